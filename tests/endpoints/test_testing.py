"""The public doubles: the strict service refuses what the service refuses, and takes all that is sent to it."""

import base64
import json
from typing import Any

import httpx2
import pytest

from langchain_qwen_ocr.endpoints.openai_chat import request_body
from langchain_qwen_ocr.errors import EndpointError, RateLimitError, ServiceUnavailableError
from langchain_qwen_ocr.exchange import interpret
from langchain_qwen_ocr.models import MODELS
from langchain_qwen_ocr.testing import (
    ManualClock,
    ScriptedTransport,
    StrictService,
    empty,
    flaky,
    late,
    looping,
    server_error,
    throttled,
    truncated,
)
from tests.wire import KEY, endpoint, picture, request

URL = "https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("profile", MODELS, ids=lambda profile: profile.name)
def test_the_service_takes_what_is_sent(profile, kind):
    """Every model takes a request as it is written here, in each picture format, and counts it."""
    service = StrictService("Hello", api_key=KEY)
    data = picture(kind=kind)
    completion = endpoint(service).complete(request(data, mime_type=f"image/{kind.lower()}", model=profile.name))

    assert completion.answer == "Hello"
    # 640×320 is 20·10 squares of 32 px, or 23·11 of 28 px.
    assert completion.usage.image_tokens == {32: 200, 28: 253}[profile.factor] + profile.image_overhead_tokens
    assert service.refusals == []
    assert service.requests[0].pictures == [data]


def body(**changes: Any) -> dict[str, Any]:
    return {**json.loads(request_body(request())), **changes}


def content(*parts: object) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


def image_part(data: bytes | None = None, mime_type: str = "image/png", **more: Any) -> dict[str, Any]:
    url = f"data:{mime_type};base64," + base64.b64encode(data or picture()).decode()
    return {"type": "image_url", "image_url": {"url": url}, **more}


TEXT = {"type": "text", "text": "Read."}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "system message": (
        {"messages": [{"role": "system", "content": "You read."}, *body()["messages"]]},
        "Role 'system' is not supported",
    ),
    "nested pixel limits": (
        content({"type": "image_url", "image_url": image_part()["image_url"] | {"max_pixels": 9999}}, TEXT),
        "Unknown parameter: image_url.max_pixels",
    ),
    "pixel limits beyond the model": (
        content(image_part(max_pixels=30_720_001), TEXT),
        "Range of max_pixels",
    ),
    "unknown parameter": ({"enable_rotate": True}, "Unknown parameter: enable_rotate"),
    "unknown part": (content({"type": "image", "image": "x"}, TEXT), "Field required: image"),
    "no messages": ({"messages": []}, "Field required: messages"),
    "wrong type": (content(image_part(picture(kind="JPEG")), TEXT), "format is illegal"),
    "gif": (content(image_part(picture(kind="GIF", mode="P"), "image/gif"), TEXT), "format is illegal"),
    "no picture": (content(image_part(b"hello world", "image/png"), TEXT), "format is illegal"),
    "small": (content(image_part(picture(64, 10)), TEXT), "height:10 or width:64 must be larger than 10"),
    "strip": (content(image_part(picture(2500, 12)), TEXT), "aspect ratio must be smaller than 200"),
    "huge": (content(image_part(picture(7681, 100)), TEXT), "too large"),
    "huge webp": (content(image_part(picture(4000, 100, "WEBP"), "image/webp"), TEXT), "too large"),
    "long": (
        content({"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10_485_739}}, TEXT),
        "data-uri item : 10485760",
    ),
    "no address": (content({"type": "image_url", "image_url": {"url": "scan.png"}}, TEXT), "not appear to be valid"),
    "long answer": ({"max_tokens": 8193}, r"Range of max_tokens should be [1, 8192]"),
    "no answer": ({"max_tokens": 0}, "Range of max_tokens"),
    "hot": ({"temperature": 2}, "Temperature should be in [0.0, 2.0)"),
    "streaming": ({"stream": True}, "stream must be false"),
    "model": ({"model": "qwen-vl-ocr-2031"}, "does not exist"),
    "too much": (content(*[image_part(picture(2900, 2900))] * 4, TEXT), "Range of input length should be [1, 30000]"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_the_service_refuses(case):
    """What the service refuses is refused with its own words."""
    changes, words = REFUSED[case]
    service = StrictService(api_key=KEY)
    reply = httpx2.Client(transport=service).post(URL, json=body(**changes), headers={"authorization": f"Bearer {KEY}"})

    assert reply.status_code == (404 if case == "model" else 400)
    assert words in reply.json()["error"]["message"]
    assert len(service.refusals) == 1


def test_the_longest_data_url_is_taken():
    """A data URL of exactly the limit is not refused for its length."""
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10_485_738}}
    reply = httpx2.Client(transport=StrictService()).post(
        URL, json=body(**content(part, TEXT)), headers={"authorization": f"Bearer {KEY}"}
    )

    assert "format is illegal" in reply.json()["error"]["message"]


@pytest.mark.parametrize("key", ["Bearer sk-other", "Basic sk-test", ""])
def test_the_service_knows_its_key(key):
    """Another key is refused as the service does it."""
    reply = httpx2.Client(transport=StrictService(api_key=KEY)).post(URL, json=body(), headers={"authorization": key})

    assert (reply.status_code, reply.json()["error"]["code"]) == (401, "invalid_api_key")


def test_models_belong_to_regions():
    """A model that a region does not have is not found there."""
    with pytest.raises(EndpointError, match="does not exist"):
        endpoint(StrictService(region="singapore"), region="singapore").complete(request())


async def test_faults_come_first():
    """Faults hit the first requests, in order; what is let pass reaches the service, sync and async."""
    service = StrictService("Hello")
    transport = flaky(service, [throttled(retry_after=1), None, server_error(503)])
    one = endpoint(transport)

    with pytest.raises(RateLimitError):
        one.complete(request())
    assert one.complete(request()).answer == "Hello"
    with pytest.raises(ServiceUnavailableError):
        await one.acomplete(request())
    assert (await one.acomplete(request())).answer == "Hello"
    assert (transport.calls, service.calls) == (4, 2)


def test_faults_by_request():
    """A function decides by how often the same request came before."""
    transport = flaky(StrictService("Hello"), lambda _, before: server_error() if before == 0 else None)
    one = endpoint(transport)
    outcomes = []
    for max_tokens in (1, 2, 1, 2):
        try:
            outcomes.append(one.complete(request(max_tokens=max_tokens)).answer)
        except ServiceUnavailableError:
            outcomes.append("failed")

    assert outcomes == ["failed", "failed", "Hello", "Hello"]


@pytest.mark.parametrize(
    ("step", "outcome"),
    [("Hello", "ok"), (truncated("Hello"), "truncated"), (looping(), "repeating"), (empty(), "blank")],
    ids=["ok", "truncated", "looping", "empty"],
)
def test_bad_answers(step, outcome):
    """Bad answers are read as what they are."""
    one = request()

    assert interpret(endpoint(ScriptedTransport([step])).complete(one), one).outcome == outcome


def test_a_script_ends():
    """A request after the last step is a fault of the test, said loudly."""
    one = endpoint(ScriptedTransport(["Hello"]))
    one.complete(request())
    with pytest.raises(AssertionError, match="Request 2 came after the end"):
        one.complete(request())


def test_late_answers_take_no_time():
    """A late answer moves the clock by what was waited, and fails when that is more than the limit."""
    clock = ManualClock()
    one = endpoint(ScriptedTransport([late(2.0, clock=clock), late(99.0, clock=clock)]), timeout_s=10.0)

    assert one.complete(request()).answer == "Hello"
    assert clock.now_s() == 2.0
    with pytest.raises(ServiceUnavailableError, match="within 10 s"):
        one.complete(request())
    assert clock.now_s() == 12.0
