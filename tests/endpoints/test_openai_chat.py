"""The OpenAI-compatible chat endpoint: bodies out, completions in, and the calls between, at the transport."""

import asyncio
import base64
import dataclasses
import gc
import json
import pickle
import threading
import traceback
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from langchain_qwen_ocr.endpoints.openai_chat import OpenAIChatEndpoint, completion_from, request_body
from langchain_qwen_ocr.errors import (
    AuthenticationError,
    ContentRefusedError,
    EndpointError,
    OptionError,
    RateLimitError,
    ServiceUnavailableError,
    UnsupportedTaskError,
)
from langchain_qwen_ocr.exchange import Completion, build_request
from langchain_qwen_ocr.geometry import PixelBudget
from langchain_qwen_ocr.tasks.free_prompt import FreePrompt
from langchain_qwen_ocr.tasks.text_recognition import PROMPT
from langchain_qwen_ocr.testing import (
    Reply,
    ScriptedTransport,
    completion_body,
    cut_body,
    dropped,
    error_body,
    late,
    refused,
    throttled,
    timed_out,
    unreachable,
    wrong_content_type,
)
from langchain_qwen_ocr.usage import Usage
from tests.wire import KEY, endpoint, picture, request


def failure(transport: ScriptedTransport, kind: type[EndpointError] = EndpointError, **options: Any) -> EndpointError:
    with pytest.raises(kind) as caught:
        endpoint(transport, **options).complete(request())
    return caught.value


# What is sent


def test_the_body():
    """A request is one user message: the picture with its pixel limits beside it, then the task's prompt."""
    data = picture()
    body = request_body(request(data, budget=PixelBudget(32, 4096, 1_000_000)))

    assert json.loads(body) == {
        "model": "qwen-vl-ocr-latest",
        "messages": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "image_url",
                        "image_url": {"url": "data:image/png;base64," + base64.b64encode(data).decode()},
                        "min_pixels": 4096,
                        "max_pixels": 1_000_000,
                    },
                    {"type": "text", "text": PROMPT},
                ],
            }
        ],
        "stream": False,
    }


@pytest.mark.parametrize("pages", [1, 3])
async def test_a_body_of_several_pieces(pages):
    """Large pictures are encoded piece by piece; the length that is announced is that of what is sent."""
    data = [bytes([n]) * (500_000 + n) for n in range(pages)]
    (image,) = request().images
    one = build_request(FreePrompt("What is it?"), [dataclasses.replace(image, data=each) for each in data], model="m")
    transport = ScriptedTransport("Hello")
    endpoint(transport).complete(one)
    await endpoint(transport).acomplete(one)

    for sent in transport.requests:
        assert sent.headers["content-length"] == str(len(sent.content))
        assert "transfer-encoding" not in sent.headers
        *pictures, _ = json.loads(sent.content)["messages"][0]["content"]
        urls = [picture["image_url"]["url"] for picture in pictures]
        assert [base64.b64decode(url.partition(",")[2], validate=True) for url in urls] == data


def test_the_longest_answer_is_sent_when_it_is_chosen():
    """`max_tokens` is in the body only when the caller chose it."""
    assert json.loads(request_body(request(max_tokens=512)))["max_tokens"] == 512
    assert "max_tokens" not in json.loads(request_body(request()))


def test_odd_characters_survive():
    """Whatever a model is called, the body is JSON."""
    assert json.loads(request_body(request(model='my "模型"\n')))["model"] == 'my "模型"\n'


def test_how_it_is_sent():
    """One POST with the key, the body and nothing of an OpenAI account."""
    transport = ScriptedTransport("Hello")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_ORG_ID", "org-of-somebody")
        patch.setenv("OPENAI_PROJECT_ID", "proj-of-somebody")
        endpoint(transport).complete(request())

    (sent,) = transport.requests
    assert sent.url == "https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions"
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.headers["content-type"] == "application/json"
    assert sent.content == request_body(request())
    assert not [name for name in sent.headers if name.startswith("openai-")]


@pytest.mark.parametrize(
    ("base_url", "region", "expected"),
    [
        (None, "singapore", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1/chat/completions"),
        ("https://gateway.example/v1/", "beijing", "https://gateway.example/v1/chat/completions"),
        (" https://gateway.example/v1/chat/completions ", "beijing", "https://gateway.example/v1/chat/completions"),
    ],
)
def test_where_it_is_sent(base_url, region, expected):
    """The region's address is taken where none is given; one with the path already on it is understood."""
    transport = ScriptedTransport("Hello")
    endpoint(transport, base_url=base_url, region=region).complete(request())

    assert transport.requests[0].url == expected


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "dashscope.aliyuncs.com"},
        {"base_url": "ftp://dashscope.aliyuncs.com/v1"},
        {"base_url": "https://{WorkspaceId}.cn-beijing.maas.aliyuncs.com/compatible-mode/v1"},
        {"base_url": "https://user:password@example.com/v1"},
        {"region": "atlantis"},
        {"timeout_s": 0},
        {"timeout_s": float("nan")},
        {"timeout_s": float("inf")},
    ],
)
def test_options_that_cannot_work(options):
    """An address, a region or a time that cannot work is refused before anything is sent."""
    with pytest.raises(OptionError):
        OpenAIChatEndpoint(api_key=KEY, **options)


def test_the_time_limit():
    """Waiting for an answer has the caller's limit; waiting for a connection a shorter one."""
    transport = ScriptedTransport("Hello")
    endpoint(transport, timeout_s=120.0).complete(request())

    assert transport.requests[0].timeout["read"] == 120.0
    assert transport.requests[0].timeout["connect"] == 15.0


# What comes back


def test_a_completion():
    """The answer comes with what the service counted, what that costs, and the request's id."""
    body = completion_body("Hello", image_tokens=2000, text_tokens=24, completion_tokens=100)
    completion = endpoint(ScriptedTransport([body])).complete(request())

    assert completion.answer == "Hello"
    assert completion.finish_reason == "stop"
    assert completion.model == "qwen-vl-ocr-latest"
    assert completion.origin == "service"
    assert completion.request_id == "5d5bd8a3-1b1c-9c1b-8f6b-0e6a2f3c4d5e"
    assert completion.usage == Usage(
        prompt_tokens=2024,
        completion_tokens=100,
        image_tokens=2000,
        text_tokens=24,
        calls=1,
        cost=Decimal("0.0006572"),
        currency="CNY",
    )


def read(body: Mapping[str, Any], **options: Any) -> Completion:
    return completion_from(body, **{"model": "qwen-vl-ocr-latest", **options})


def with_message(message: object, finish_reason: str = "stop", **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "finish_reason": finish_reason, "message": message}], **more}


def test_old_bodies_lack_the_details():
    """Without the details objects the counts of picture and text are unknown, not zero."""
    usage = read(with_message({"content": "x"}, usage={"prompt_tokens": 606, "completion_tokens": 159})).usage

    assert (usage.prompt_tokens, usage.completion_tokens) == (606, 159)
    assert (usage.image_tokens, usage.text_tokens) == (None, None)


@pytest.mark.parametrize("usage", [None, {}, "none", {"prompt_tokens": "606"}, {"prompt_tokens": -1}])
def test_without_counts_the_cost_is_unknown(usage):
    """A reply that does not say what it used costs an unknown amount, not nothing."""
    counted = read(with_message({"content": "x"}, usage=usage)).usage

    assert counted == Usage(calls=1)


@pytest.mark.parametrize(
    ("model", "region", "cost", "currency"),
    [
        ("qwen-vl-ocr-2025-11-20", "beijing", "0.3", "CNY"),
        ("qwen-vl-ocr-2025-11-20", "singapore", "0.07", "USD"),
        ("qwen/qwen-vl-ocr-2025-11-20", "virginia", "0.043", "USD"),
        ("my-own-model", "beijing", None, None),
        ("qwen-vl-ocr-latest", "singapore", None, None),
    ],
)
def test_cost_follows_model_and_region(model, region, cost, currency):
    """A million prompt tokens cost the listed price; where none is listed the cost is unknown."""
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 0}
    counted = read(with_message({"content": "x"}, usage=usage), model=model, region=region).usage

    assert counted.cost == (None if cost is None else Decimal(cost))
    assert counted.currency == currency


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ("Hello", "Hello"),
        ("", ""),
        ([{"text": "Hello"}], "Hello"),
        ([{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}], "Hello"),
        ([{"text": "```json\n{}\n```", "ocr_result": {"kv_result": {"No": "1"}}}], "```json\n{}\n```"),
        ([{"text": " ", "ocr_result": {"kv_result": {"No": "8"}}}], '{"No": "8"}'),
        ([{"ocr_result": {"words_info": [{"text": "阿"}]}}], '[{"text": "阿"}]'),
        ([{"text": "[{}]", "ocr_result": {"words_info": [{"text": "阿"}]}}], '[{"text": "阿"}]'),
        ([{"ocr_result": {"pages": 1}}], '{"pages": 1}'),
        ([{"text": ""}], ""),
    ],
)
def test_forms_of_content(content, answer):
    """The answer is a string, or the text of parts as gateways forward them, or what the service made of it."""
    assert read(with_message({"content": content})).answer == answer


def test_a_native_body():
    """A reply in the service's native dialect is read like its own."""
    body = {
        "output": {
            "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": [{"text": "Hello"}]}}]
        },
        "usage": {
            "input_tokens": 134,
            "output_tokens": 5,
            "image_tokens": 110,
            "input_tokens_details": {"image_tokens": 110, "text_tokens": 24},
        },
        "request_id": "r-7",
    }
    completion = read(body)

    assert completion.answer == "Hello"
    assert completion.request_id == "r-7"
    usage = completion.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.image_tokens, usage.text_tokens) == (134, 5, 110, 24)


def test_a_native_finish_reason_of_null():
    """The word "null" is how a native reply says that there is none."""
    assert read(with_message({"content": "x"}, finish_reason="null")).finish_reason is None


@pytest.mark.parametrize(
    ("message", "finish_reason", "refusal"),
    [
        ({"content": None, "refusal": "I cannot read this."}, "stop", "I cannot read this."),
        (
            {"content": ""},
            "content_filter",
            "the content check stopped the answer (finish_reason=content_filter)",
        ),
        ({"content": "x", "refusal": None}, "stop", None),
    ],
)
def test_refusals(message, finish_reason, refusal):
    """What the service declined to answer is said to be so."""
    assert read(with_message(message, finish_reason)).refusal == refusal


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"choices": []},
        {"choices": None},
        {"choices": ["x"]},
        {"choices": [{}]},
        {"choices": [{"message": None}]},
        {"output": {}},
        with_message({"content": None}),
        with_message({}),
        with_message({"content": 5}),
        with_message({"content": []}),
    ],
)
def test_a_body_without_an_answer_is_an_error(body):
    """A reply that holds no answer is never an empty one."""
    with pytest.raises(EndpointError, match=r"^Page 1 of x\.png: "):
        read(body, page="Page 1 of x.png")


def test_half_a_character_becomes_a_mark():
    """Half of an escaped pair, as cut answers have it, does not break what writes the text to a file."""
    body = json.loads('{"choices": [{"message": {"content": "a\\ud83d"}}]}')

    assert read(body).answer == "a\ufffd"


def test_the_embedded_engine_says_so():
    """An answer of the embedded engine is marked, brings its warnings, and costs nothing."""
    body = completion_body("Hello") | {"qwen_ocr_local": {"warnings": ["Two columns were guessed."]}}
    completion = read(body)

    assert completion.origin == "local"
    assert completion.warnings == ("Two columns were guessed.",)
    assert (completion.usage.calls, completion.usage.cost) == (0, None)


# What goes wrong


@pytest.mark.parametrize(
    ("step", "kind", "retryable"),
    [
        (throttled(), RateLimitError, True),
        (refused(), ContentRefusedError, False),
        (dropped(), ServiceUnavailableError, True),
        (unreachable(), ServiceUnavailableError, True),
        (timed_out(), ServiceUnavailableError, True),
        (late(301.0), ServiceUnavailableError, True),
        (cut_body(), ServiceUnavailableError, True),
        (Reply(200, ""), ServiceUnavailableError, True),
        (wrong_content_type(), EndpointError, False),
        (Reply(200, "[]"), EndpointError, False),
        (Reply(200, "[" * 100_000), EndpointError, False),
        (Reply(200, error_body("data_inspection_failed", "x")), ContentRefusedError, False),
        (Reply(200, {"choices": []}), EndpointError, False),
    ],
    ids=[
        "throttled",
        "refused",
        "dropped",
        "unreachable",
        "timed out",
        "late",
        "cut",
        "nothing",
        "html",
        "no object",
        "deep",
        "refused in a body",
        "no choices",
    ],
)
async def test_failures(step, kind, retryable):
    """Every failure is its error, sync and async alike, naming the page; the client repeats nothing by itself."""
    transport = ScriptedTransport(step)
    with pytest.raises(kind) as sync:
        endpoint(transport).complete(request())
    with pytest.raises(kind) as native:
        await endpoint(transport).acomplete(request())

    assert str(sync.value) == str(native.value)
    assert str(sync.value).startswith("Page 3 of scan.pdf: ")
    assert type(sync.value) is kind
    assert sync.value.retryable is retryable
    assert transport.calls == 2


def test_evidence_is_on_the_error():
    """Status, code, id and the wait that is asked for are on the error."""
    error = failure(ScriptedTransport([throttled(retry_after=3)]), RateLimitError)

    assert (error.status, error.code, error.retry_after_s) == (429, "limit_requests", 3.0)
    assert error.request_id == "5d5bd8a3-1b1c-9c1b-8f6b-0e6a2f3c4d5e"


def test_a_key_of_another_region():
    """A key that is refused is said to belong to one region, and where it was sent."""
    step = Reply(401, error_body("invalid_api_key", "Incorrect API key provided."))
    error = failure(ScriptedTransport([step]), AuthenticationError, region="singapore")

    assert "'singapore'" in str(error)
    assert "dashscope-intl.aliyuncs.com" in str(error)


def test_a_task_that_the_embedded_engine_cannot_do():
    """What the embedded engine refuses is a matter of the task."""
    step = Reply(400, error_body("unsupported_task", "Fractions cannot be read without the service."))
    with pytest.raises(UnsupportedTaskError, match="Fractions"):
        endpoint(ScriptedTransport([step])).complete(request())


# The key


def test_the_key_is_shown_nowhere():
    """Neither the endpoint's words nor its attributes show the key."""
    one = endpoint(ScriptedTransport("Hello"))
    one.complete(request())

    assert KEY not in repr(one) + str(one) + repr(vars(one))


def test_the_key_is_not_pickled():
    """An endpoint is not sent to another process with its key in it."""
    with pytest.raises(TypeError, match="make one in each process"):
        pickle.dumps(endpoint(ScriptedTransport("Hello")))


@pytest.mark.parametrize(
    "step",
    [
        Reply(401, error_body("invalid_api_key", f"Incorrect API key provided: {KEY}.")),
        Reply(502, f"<html>Bearer {KEY}</html>"),
        httpx2.ConnectError(f"cannot connect with {KEY}"),
        timed_out(),
    ],
    ids=["quoted", "gateway", "connection", "timeout"],
)
def test_an_error_keeps_neither_the_key_nor_the_picture(step):
    """No error, nor what caused it, holds the key or the body with the picture."""
    error = failure(ScriptedTransport([step]))
    shown = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))

    assert KEY not in shown
    assert error.__cause__ is None
    assert error.__context__ is None


def test_a_word_in_place_of_a_key_is_no_secret():
    """What servers without keys are given for one does not blot out the words of an error."""
    step = Reply(400, error_body("unsupported_task", "The local engine reads no fractions."))
    with pytest.raises(UnsupportedTaskError, match="The local engine reads no fractions"):
        endpoint(ScriptedTransport([step]), api_key="local").complete(request())


@pytest.mark.parametrize("key", ["gateway-key-0123456789", "sk-or-v1-0123456789"])
def test_keys_of_gateways_are_secrets_too(key):
    """A key of another form than the service's is taken out as well."""
    step = Reply(401, error_body("invalid_api_key", f"No such key: {key}"))
    with pytest.raises(AuthenticationError) as caught:
        endpoint(ScriptedTransport([step]), api_key=key).complete(request())

    assert "0123456789" not in str(caught.value)


@pytest.mark.parametrize("key", ["sk-abc\n", "  sk-abc  ", SecretStr("sk-abc")])
def test_blanks_around_a_key(key):
    """A key copied with its line break works."""
    transport = ScriptedTransport("Hello")
    OpenAIChatEndpoint(api_key=key, http_client=httpx2.Client(transport=transport)).complete(request())

    assert transport.requests[0].headers["authorization"] == "Bearer sk-abc"


@pytest.mark.parametrize("key", ["sk-“abc”", "sk-a bc", "sk-a\x00bc"])
def test_what_cannot_be_a_key(key):
    """Characters that no key has are refused without being shown."""
    with pytest.raises(OptionError) as caught:
        OpenAIChatEndpoint(api_key=key)

    assert "bc" not in str(caught.value)


@pytest.mark.parametrize("key", ["", "  ", SecretStr("")])
def test_no_key(key):
    """Without a key the error says how to give one."""
    with pytest.raises(AuthenticationError, match="DASHSCOPE_API_KEY"):
        OpenAIChatEndpoint(api_key=key)


# Threads, loops, closing


def test_threads_share_one_client():
    """Many threads use one client, and each gets its own answer."""
    transport = ScriptedTransport(lambda sent: sent.body["model"])
    one = endpoint(transport)
    models = [f"model-{n}" for n in range(24)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda model: one.complete(request(model=model)).answer, models))

    assert answers == models


class ChatHandler(BaseHTTPRequestHandler):
    """Answers every request with Hello, and keeps the connection."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(completion_body("Hello")).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


class ChatServer(ThreadingHTTPServer):
    """A chat endpoint on the loopback, which counts connections."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), ChatHandler)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.opened = 0

    def process_request(self, *arguments: Any) -> None:
        self.opened += 1
        super().process_request(*arguments)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join(10)


def test_two_event_loops(server):
    """One endpoint works under successive event loops, and each loop's connections close with it."""
    one = OpenAIChatEndpoint(api_key=KEY, base_url=server.url)

    async def twice() -> str:
        first = await one.acomplete(request())
        second = await one.acomplete(request())
        return first.answer + second.answer

    assert [asyncio.run(twice()), asyncio.run(twice())] == ["HelloHello", "HelloHello"]
    # What a loop leaves open is a warning when it is collected, and a warning is an error.
    gc.collect()
    assert server.opened == 2


async def test_tasks_of_one_loop_share_a_client(server):
    """Many tasks at once get their answers through one client."""
    one = OpenAIChatEndpoint(api_key=KEY, base_url=server.url)
    completions = await asyncio.gather(*(one.acomplete(request()) for _ in range(12)))
    again = await one.acomplete(request())
    await one.aclose()

    assert [completion.answer for completion in (*completions, again)] == ["Hello"] * 13
    assert server.opened <= 12


def test_closing_gives_connections_back(server):
    """A closed endpoint opens new connections when it is used again; closing twice does no harm."""
    one = OpenAIChatEndpoint(api_key=KEY, base_url=server.url)
    for _ in range(2):
        assert [one.complete(request()).answer for _ in range(3)] == ["Hello"] * 3
        one.close()
    one.close()

    assert server.opened == 2


async def test_the_callers_clients_stay_open():
    """Clients that the caller gave are the caller's to close."""
    transport = ScriptedTransport("Hello")
    client, async_client = httpx2.Client(transport=transport), httpx2.AsyncClient(transport=transport)
    one = OpenAIChatEndpoint(api_key=KEY, http_client=client, http_async_client=async_client)
    one.complete(request())
    await one.acomplete(request())
    await one.aclose()

    assert not client.is_closed
    assert not async_client.is_closed


async def test_a_cancelled_call_stays_cancelled():
    """Cancelling a task is not turned into an error of the service."""
    started = asyncio.Event()

    class Silent(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request):
            started.set()
            await asyncio.Event().wait()

    one = OpenAIChatEndpoint(api_key=KEY, http_async_client=httpx2.AsyncClient(transport=Silent()))
    task = asyncio.create_task(one.acomplete(request()))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
