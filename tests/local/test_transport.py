"""The transport answers in the service's own format, and refuses what the service refuses."""

from __future__ import annotations

import asyncio
import io
import json
import re
import subprocess
import sys
import time
from typing import Any

import httpx2
import openai
import pytest
from PIL import Image

from langchain_qwen_ocr.local import LocalTransport
from langchain_qwen_ocr.tasks import TASKS
from langchain_qwen_ocr.tasks.advanced_recognition import AdvancedRecognition
from langchain_qwen_ocr.tasks.formula_recognition import FormulaRecognition
from langchain_qwen_ocr.tasks.free_prompt import FreePrompt
from langchain_qwen_ocr.tasks.key_information_extraction import KeyInformationExtraction
from langchain_qwen_ocr.tasks.text_recognition import TextRecognition
from tests.local.conftest import chat, data_url, page_of, picture, png

pytestmark = pytest.mark.local

LABEL = picture("modes/label_l.png")
LABEL_TEXT = "HANDLE WITH CARE\nKeep dry and upright\nLot 4471-B, 12 pieces"
GIF = io.BytesIO()
Image.new("L", (40, 40)).save(GIF, "GIF")


def test_the_body_is_the_services_own(post):
    """Every key that the service's answers have is there, and one more that is the engine's own."""
    response = post(json=chat(LABEL, TextRecognition().prompt()))
    body = response.json()
    assert response.status_code == 200
    assert response.headers["x-request-id"] in body["id"]
    assert body["id"].startswith("chatcmpl-")
    assert body["object"] == "chat.completion"
    assert body["model"] == "qwen-vl-ocr-latest"
    assert isinstance(body["created"], int)
    assert body["qwen_ocr_local"] == {"warnings": []}
    (choice,) = body["choices"]
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"] == LABEL_TEXT
    assert (choice["index"], choice["finish_reason"], choice["logprobs"]) == (0, "stop", None)


def test_usage_counts_as_the_service_does(post):
    """A picture costs a token for each 32 x 32 px and two more; the default prompt 16, chat markup 8."""
    # 520 x 240 px become 512 x 256: 16 * 8 + 2.
    usage = post(json=chat(LABEL, TextRecognition().prompt())).json()["usage"]
    assert usage["prompt_tokens_details"]["image_tokens"] == 130
    assert usage["prompt_tokens_details"]["text_tokens"] == 24
    assert usage["prompt_tokens"] == 154
    assert usage["total_tokens"] == 154 + usage["completion_tokens"]
    assert usage["completion_tokens"] == usage["completion_tokens_details"]["text_tokens"] > 10


def test_without_words_all_text_is_read(post):
    """A request without a prompt gets the default task, as from the service."""
    assert post(json=chat(LABEL)).json()["choices"][0]["message"]["content"] == LABEL_TEXT


KNOWN_BY_PROMPT = {
    "text_recognition": ("modes/label_l.png", "Keep dry and upright"),
    "multi_lan": ("modes/label_l.png", "Keep dry and upright"),
    "advanced_recognition": ("modes/label_l.png", "Keep dry and upright"),
    "key_information_extraction": ("invoice_en.png", "LH-2026-0318"),
    "table_parsing": ("table_merged.png", "螺栓 Bolt"),
    "document_parsing": ("table_merged.png", "螺栓 Bolt"),
    "formula_recognition": ("formulas.png", "E = mc^{2}"),
}


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize(("name", "case"), KNOWN_BY_PROMPT.items(), ids=KNOWN_BY_PROMPT)
def test_each_task_is_known_by_its_prompt(post, name, case, language):
    """Each task's prompt, in both languages, gets an answer that the task itself can read."""
    page, expected = case
    task = TASKS[name](prompt_language=language)
    answer = post(json=chat(picture(page), task.prompt())).json()["choices"][0]["message"]["content"]
    assert expected in task.parse(answer).text


def test_places_are_thousandths_of_the_picture(post):
    """A line of upright text has angle 90 and its place on the grid of the picture."""
    answer = post(json=chat(LABEL, AdvancedRecognition().prompt())).json()["choices"][0]["message"]["content"]
    assert answer.startswith("```json\n")
    first = json.loads(answer.removeprefix("```json").removesuffix("```"))[0]
    cx, cy, width, height, angle = first["rotate_rect"]
    assert first["text"] == "HANDLE WITH CARE"
    assert angle == 90
    assert 0 < cx < 1000
    assert 0 < cy < 400
    assert height > width


def test_max_tokens_cuts(post):
    """A short limit gives the beginning, and says so."""
    body = post(json=chat(LABEL, max_tokens=3)).json()
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 3
    assert LABEL_TEXT.startswith(body["choices"][0]["message"]["content"])
    assert body["choices"][0]["message"]["content"] != LABEL_TEXT


def test_stop_ends_the_answer(post):
    """An answer ends before the first stop."""
    body = post(json=chat(LABEL, stop=["\n"])).json()
    assert body["choices"][0]["message"]["content"] == "HANDLE WITH CARE"
    assert body["choices"][0]["finish_reason"] == "stop"


def test_a_stream_joins_to_the_same_answer(transport):
    """Chunks have the service's form: the role first, then content, the reason, the usage, the end."""
    client = httpx2.Client(transport=transport, base_url="http://local/v1")
    body = chat(LABEL, stream=True, stream_options={"include_usage": True})
    response = client.post("/chat/completions", json=body)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    contents = [chunk["choices"][0]["delta"]["content"] for chunk in chunks[:-1]]
    assert "".join(contents) == LABEL_TEXT
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["prompt_tokens"] == 154


def test_the_openai_client_reads_it(transport):
    """The client that talks to the service needs nothing else, whole and streaming."""
    client = openai.OpenAI(
        api_key="none", base_url="http://local/v1", http_client=httpx2.Client(transport=transport), max_retries=0
    )
    body = chat(LABEL)
    completion = client.chat.completions.create(model=body["model"], messages=body["messages"])
    assert completion.choices[0].message.content == LABEL_TEXT
    assert completion.model_extra == {"qwen_ocr_local": {"warnings": []}}
    stream = client.chat.completions.create(model=body["model"], messages=body["messages"], stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == LABEL_TEXT
    assert "qwen-vl-ocr-latest" in [model.id for model in client.models.list()]


async def test_async_clients_do_not_block_the_loop(transport):
    """While a page is read the loop goes on, and the answer is the same."""
    client = openai.AsyncOpenAI(
        api_key="none", base_url="http://local/v1", http_client=httpx2.AsyncClient(transport=transport), max_retries=0
    )
    body = chat(page_of(["Read while others wait"]))
    call = asyncio.create_task(client.chat.completions.create(model=body["model"], messages=body["messages"]))
    turns = 0
    while not call.done():
        turns += 1
        await asyncio.sleep(0)
    assert (await call).choices[0].message.content == "Read while others wait"
    assert turns > 10
    await client.close()


def test_several_pictures_are_one_document(post):
    """Fields and prompts that span pages get the lines of all, in the order sent."""
    body = chat(page_of(["First sheet"], size_px=(600, 160)), "Read it.")
    second = {"type": "image_url", "image_url": {"url": data_url(page_of(["Second sheet"], size_px=(600, 160)))}}
    body["messages"][0]["content"].insert(1, second)
    answer = post(json=body).json()
    assert answer["choices"][0]["message"]["content"] == "First sheet\nSecond sheet"
    assert any("cannot follow a prompt" in warning for warning in answer["qwen_ocr_local"]["warnings"])


def test_a_blank_page_is_an_empty_answer(post):
    """Nothing to read is no error, for any task."""
    for task in (TextRecognition(), AdvancedRecognition(), KeyInformationExtraction()):
        response = post(json=chat(png(Image.new("L", (300, 200), 255)), task.prompt()))
        assert (response.status_code, response.json()["choices"][0]["message"]["content"]) == (200, "")


def test_an_unreadable_page_is_not_a_blank_one(post):
    """A page in a script without a model is refused, with the languages that can be read."""
    response = post(json=chat(picture("russian.png"), TextRecognition().prompt()))
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "unsupported_task"
    assert "Chinese, Japanese, English" in response.json()["error"]["message"]


def test_a_fraction_is_declined(post):
    """What the engine cannot read it does not pretend to read."""
    response = post(json=chat(picture("formula_fraction.png"), FormulaRecognition().prompt()))
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "unsupported_task"


def _with(**fields: Any) -> dict[str, Any]:
    return chat(LABEL) | fields


def _with_part(part: dict[str, Any]) -> dict[str, Any]:
    body = chat(LABEL)
    body["messages"][0]["content"][0] = part
    return body


def _with_url(url: str) -> dict[str, Any]:
    return _with_part({"type": "image_url", "image_url": {"url": url}})


REFUSED = {
    "no model": (_with(model=None), "Field required: model"),
    "no messages": (_with(messages=[]), "Field required: messages"),
    "system message": (
        _with(messages=[{"role": "system", "content": "Be brief."}, *chat(LABEL)["messages"]]),
        "System messages are not supported",
    ),
    "last word not the user's": (
        _with(messages=[*chat(LABEL)["messages"], {"role": "assistant", "content": "Yes?"}]),
        "last message must be the user's",
    ),
    "no picture": (_with(messages=[{"role": "user", "content": "Read it."}]), "Field required: image_url"),
    "unknown part": (_with_part({"type": "file"}), 'of type "text" or "image_url"'),
    "web address": (_with_url("https://example.com/page.png"), "opens no addresses"),
    "file address": (_with_url("file:///etc/passwd"), "opens no addresses"),
    "no base64": (_with_url("data:image/png;base64,@@@"), "no valid base64"),
    "no data": (_with_url("data:image/png,abc"), r"reads data:\[MIME type\];base64"),
    "no picture in it": (_with_url(data_url(b"words")), "image format is illegal"),
    "GIF": (_with_url(data_url(GIF.getvalue(), "image/gif")), "GIF is not taken"),
    "wrong type": (_with_url(data_url(LABEL, "image/jpeg")), "declared as 'image/jpeg', it is PNG"),
    "too long": (_with_url("data:image/png;base64," + "A" * 10 * 1024 * 1024), "data-uri item : 10485760"),
    "too small": (_with_url(data_url(png(Image.new("L", (10, 10))))), "must be larger than 10"),
    "limits inside": (
        _with_part({"type": "image_url", "image_url": {"url": data_url(LABEL), "max_pixels": 9999999}}),
        "stands beside image_url",
    ),
    "limits too large": (
        _with_part({"type": "image_url", "image_url": {"url": data_url(LABEL)}, "max_pixels": 30_720_001}),
        r"Range of max_pixels should be \[1, 30720000\]",
    ),
    "limits crossed": (
        _with_part(
            {"type": "image_url", "image_url": {"url": data_url(LABEL)}, "min_pixels": 9000, "max_pixels": 4000}
        ),
        "leave no size",
    ),
    "max_tokens": (_with(max_tokens=8193), r"Range of max_tokens should be \[1, 8192\]"),
    "no tokens": (_with(max_tokens=0), r"Range of max_tokens should be \[1, 8192\]"),
    "temperature": (_with(temperature=2), r"Temperature should be in \[0.0, 2.0\)"),
    "several answers": (_with(n=2), "Range of n"),
    "tools": (_with(tools=[{"type": "function"}]), "tools is not supported"),
    "enforced JSON": (_with(response_format={"type": "json_object"}), "response_format is not supported"),
}


@pytest.mark.parametrize(("body", "complaint"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(post, body, complaint):
    """Such requests are refused with status 400 in the service's form, before any page is looked at."""
    response = post(json=body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["code"] == "invalid_parameter_error"
    assert re.search(complaint, error["message"])


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000], ids=["none", "cut", "list", "?", "deep"]
)
def test_bodies_that_are_no_object(post, body):
    """Anything may come over a wire."""
    assert post(content=body).status_code == 400


def test_other_addresses_are_not_found(transport):
    """Only chats and the list of models are there."""
    client = httpx2.Client(transport=transport, base_url="http://local/v1")
    assert client.get("/files").json()["error"]["code"] == "not_found"
    assert client.get("/chat/completions").status_code == 405


def test_a_model_that_knows_turns_looks_at_the_latest_picture(post):
    """A question without a picture is about the last one sent; other models need it in the last message."""
    earlier = [*chat(LABEL)["messages"], {"role": "assistant", "content": "Read."}]
    messages = [*earlier, {"role": "user", "content": FreePrompt("What else?").prompt()}]
    answer = post(json={"model": "qwen3.5-ocr", "messages": messages})
    assert answer.json()["choices"][0]["message"]["content"] == LABEL_TEXT
    assert post(json={"model": "qwen-vl-ocr-latest", "messages": messages}).status_code == 400


def test_importing_loads_nothing_heavy():
    """The engine is loaded with the first picture, not with the package."""
    program = (
        "import sys, langchain_qwen_ocr.local as local; local.LocalTransport();"
        "print(sorted({'cv2', 'onnxruntime', 'rapidocr', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_says_what_to_install():
    """Without the extra, making a transport says how to get it."""
    program = (
        "import sys; sys.modules['rapidocr'] = None\n"
        "from langchain_qwen_ocr.errors import OptionError\n"
        "from langchain_qwen_ocr.local import LocalTransport\n"
        "try:\n    LocalTransport()\nexcept OptionError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 'pip install "langchain-qwen-ocr[local]"' in done.stdout


def test_the_same_picture_is_looked_at_once():
    """A second task on the same page costs no second look."""
    client = httpx2.Client(transport=LocalTransport(), base_url="http://local/v1")
    page = page_of([f"Row {row}: nets, ropes, lamps" for row in range(8)], size_px=(900, 700))
    took_s = []
    for task in (TextRecognition(), AdvancedRecognition()):
        start = time.perf_counter()
        assert client.post("/chat/completions", json=chat(page, task.prompt())).status_code == 200
        took_s.append(time.perf_counter() - start)
    assert took_s[1] < took_s[0] / 3
