"""Doubles for tests that must not reach the network: for this package's own, and for yours.

All of them stand in for the connection, as `httpx2` transports, so that everything above the connection is the real
thing:

```python
transport = ScriptedTransport(["Hello", throttled(retry_after=2), "World"])
ocr = QwenOCR(
    api_key="sk-test",
    http_client=httpx2.Client(transport=transport),
    http_async_client=httpx2.AsyncClient(transport=transport),
)
```

- `ScriptedTransport` answers from a list, and keeps what was sent;
- `StrictService` refuses what the service refuses, in its own words, and answers the rest;
- `flaky` lets faults happen in front of another transport;
- `completion_body` and `error_body` write what the service writes;
- `ManualClock` is a clock for the policies that nobody has to wait for.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import io
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2
from PIL import Image

from langchain_qwen_ocr.geometry import MAX_ASPECT_RATIO, PixelBudget, Size
from langchain_qwen_ocr.models import MODELS, ModelProfile, find_model
from langchain_qwen_ocr.usage import image_tokens, text_tokens

_REQUEST_ID: Final = "5d5bd8a3-1b1c-9c1b-8f6b-0e6a2f3c4d5e"
_DATA_URL: Final = re.compile(r"data:([^;,]*);base64,")
_MAX_DATA_URL_CHARS: Final = 10 * 1024 * 1024
_SMALLEST_SIDE_PX: Final = 10
_SIZE_4K: Final = Size(3840, 2160)
_SIZE_8K: Final = Size(7680, 4320)


def completion_body(
    answer: str | None,
    *,
    model: str = "qwen-vl-ocr-latest",
    finish_reason: str | None = "stop",
    image_tokens: int = 1000,  # noqa: A002, RUF100 - the service's own word
    text_tokens: int = 24,
    completion_tokens: int = 10,
    refusal: str | None = None,
) -> dict[str, Any]:
    """A chat completion as the service writes it."""
    prompt_tokens = image_tokens + text_tokens
    return {
        "id": f"chatcmpl-{_REQUEST_ID}",
        "object": "chat.completion",
        "created": 1763283287,
        "model": model,
        "choices": [
            {
                "index": 0,
                "finish_reason": finish_reason,
                "logprobs": None,
                "message": {"role": "assistant", "content": answer, "refusal": refusal},
            }
        ],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
            "prompt_tokens_details": {"image_tokens": image_tokens, "text_tokens": text_tokens},
            "completion_tokens_details": {"text_tokens": completion_tokens},
        },
        "system_fingerprint": None,
    }


def error_body(code: str, message: str, *, error_type: str | None = None) -> dict[str, Any]:
    """A refusal as the OpenAI-compatible endpoint writes it."""
    return {
        "error": {"message": message, "type": error_type or code, "param": None, "code": code},
        "request_id": _REQUEST_ID,
    }


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A request as it reached a double."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)
    timeout: Mapping[str, float | None]
    """Seconds for `connect`, `read`, `write` and `pool`."""

    @property
    def body(self) -> dict[str, Any]:
        """The JSON that was sent."""
        body = json.loads(self.content)
        return body if isinstance(body, dict) else {}

    @property
    def parts(self) -> list[dict[str, Any]]:
        """The parts of all messages, in order."""
        contents = (message.get("content") for message in self.body.get("messages", []))
        return [part for content in contents if isinstance(content, list) for part in content]

    @property
    def prompt(self) -> str:
        """The text that was sent with the pictures."""
        return "".join(part["text"] for part in self.parts if part.get("type") == "text")

    @property
    def pictures(self) -> list[bytes]:
        """The files that were sent, decoded."""
        urls = (part["image_url"]["url"] for part in self.parts if part.get("type") == "image_url")
        return [base64.b64decode(url.partition(",")[2]) for url in urls if url.startswith("data:")]


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply to give, whatever is in it."""

    status: int = 200
    body: Mapping[str, Any] | str | bytes = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def to_response(self) -> httpx2.Response:
        """It as the transport hands it out."""
        if isinstance(self.body, str | bytes):
            return httpx2.Response(self.status, content=self.body, headers=dict(self.headers))
        return httpx2.Response(self.status, json=self.body, headers=dict(self.headers))


Step = str | Mapping[str, Any] | Reply | Exception | Callable[[SentRequest], Any]
"""What happens to a request: an answer's text, a body, a reply, an error to raise, or a function that gives one."""


class _Transport(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """What the doubles have in common: one transport for both kinds of client, safe in any number of threads."""

    def __init__(self) -> None:
        self.requests: list[SentRequest] = []
        """What was sent, in the order it came."""
        self._lock = threading.Lock()

    def step(self, sent: SentRequest) -> Step:
        """What happens to this request."""
        raise NotImplementedError

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a request of an `httpx2.Client`."""
        sent = _sent(request, request.read())
        self.requests.append(sent)
        return _perform(self.step(sent), sent, request)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a request of an `httpx2.AsyncClient`."""
        await request.aread()
        await asyncio.sleep(0)  # other tasks get their turn, as with a real connection
        return self.handle_request(request)

    @property
    def calls(self) -> int:
        """How many requests came."""
        return len(self.requests)


class ScriptedTransport(_Transport):
    """Answers each request with the next step of a script.

    Args:
        script: The steps; a single step is given again and again.

    Raises:
        AssertionError: A request came after the last step.
    """

    def __init__(self, script: Step | Iterable[Step]) -> None:
        super().__init__()
        self._script = _steps(script)

    def step(self, sent: SentRequest) -> Step:  # noqa: ARG002 - the script goes on, whatever is asked
        """The next step of the script."""
        try:
            with self._lock:
                return next(self._script)
        except StopIteration:
            raise AssertionError(f"Request {self.calls} came after the end of the script.") from None


class FlakyTransport(_Transport):
    """Lets faults happen in front of another transport; made by `flaky`."""

    def __init__(self, inner: httpx2.BaseTransport, faults: Callable[[SentRequest, int], Step | None]) -> None:
        super().__init__()
        self._inner = inner
        self._faults = faults
        self._seen: dict[bytes, int] = {}

    def step(self, sent: SentRequest) -> Step:
        """The fault that this request meets, or what the inner transport says."""
        key = hashlib.sha256(sent.content).digest()
        with self._lock:
            before = self._seen.get(key, 0)
            self._seen[key] = before + 1
            fault = self._faults(sent, before)
        return self._pass_on if fault is None else fault

    def _pass_on(self, sent: SentRequest) -> httpx2.Response:
        request = httpx2.Request("POST", sent.url, headers=dict(sent.headers), content=sent.content)
        return self._inner.handle_request(request)


def flaky(
    inner: httpx2.BaseTransport, faults: Iterable[Step | None] | Callable[[SentRequest, int], Step | None]
) -> FlakyTransport:
    """A transport in front of *inner* that lets *faults* happen first.

    Args:
        inner: Answers what no fault hits.
        faults: One for each request in the order they come, None for a request that passes; when they are used up
            all pass. Or a function of the request and of how often the very same one came before.
    """
    if callable(faults):
        return FlakyTransport(inner, faults)
    script = iter(faults)
    return FlakyTransport(inner, lambda _sent, _before: next(script, None))


def throttled(*, retry_after: float | str | None = None, code: str = "limit_requests") -> Reply:
    """Too many requests: status 429, with or without `Retry-After` (seconds, or a date as HTTP writes it)."""
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    return Reply(429, error_body(code, "You have exceeded your current request limit."), headers)


def server_error(status: int = 500, *, code: str = "InternalError") -> Reply:
    """The service in trouble: status 500, 503, or what a gateway says (502, 504)."""
    return Reply(status, error_body(code, "An internal error has occured, please try again later."))


def dropped() -> Exception:
    """A connection that breaks while the answer is awaited."""
    return httpx2.RemoteProtocolError("Server disconnected without sending a response.")


def unreachable() -> Exception:
    """A connection that does not come about."""
    return httpx2.ConnectError("All connection attempts failed")


def timed_out() -> Exception:
    """An answer that does not come in time."""
    return httpx2.ReadTimeout("The read operation timed out")


def late(after_s: float, step: Step = "Hello", *, clock: ManualClock | None = None) -> Step:
    """A step that comes after some seconds, or is too late for the client's own limit; nobody waits for it.

    Args:
        after_s: In seconds.
        step: What comes then.
        clock: Where the time passes.
    """

    def happen(sent: SentRequest) -> Step:
        limit_s = sent.timeout.get("read")
        waited_s = after_s if limit_s is None else min(after_s, limit_s)
        if clock is not None:
            clock.advance(waited_s)
        return step if waited_s == after_s else timed_out()

    return happen


def truncated(answer: str) -> Mapping[str, Any]:
    """The first half of *answer*, cut at the length limit."""
    return completion_body(answer[: max(1, len(answer) // 2)], finish_reason="length")


def looping(unit: str = "The total is due. ", *, times: int = 400) -> Mapping[str, Any]:
    """An answer that repeats itself until its length limit."""
    return completion_body(unit * times, finish_reason="length")


def empty() -> Mapping[str, Any]:
    """An answer without any text."""
    return completion_body("")


def refused() -> Reply:
    """The service's content check refuses the picture."""
    return Reply(400, error_body("data_inspection_failed", "Input data may contain inappropriate content."))


def wrong_content_type() -> Reply:
    """A page of HTML with status 200, as a captive portal or a proxy sends it."""
    return Reply(200, "<html><body><h1>Sign in</h1></body></html>", {"content-type": "text/html"})


def cut_body(answer: str = "Hello") -> Reply:
    """JSON that breaks off in the middle."""
    text = json.dumps(completion_body(answer))
    return Reply(200, text[: len(text) // 2], {"content-type": "application/json"})


class StrictService(_Transport):
    """Refuses what the service refuses, with its own codes and messages, and answers the rest.

    It checks the key, the model and its region, the parameters and their ranges, the roles and parts of messages,
    and each picture: its data URL's length, its MIME type against its first bytes, its format, sides and ratio.
    Unknown parameters, which the service may ignore, are refused here: nothing should be sent that nobody reads.

    Args:
        answer: The text of each answer, or a function of the request that gives a step.
        api_key: The only key that is right; None for any.
        region: The models of which region exist.
    """

    def __init__(self, answer: Step = "Hello", *, api_key: str | None = None, region: str = "beijing") -> None:
        super().__init__()
        self._answer = answer
        self._api_key = api_key
        self._region = region
        self.refusals: list[str] = []
        """The messages of the requests that were refused."""

    def step(self, sent: SentRequest) -> Step:
        """An answer, or the refusal that the first broken rule brings."""
        try:
            profile, tokens = self._check(sent)
        except _RefusedError as refusal:
            self.refusals.append(refusal.message)
            return Reply(refusal.status, error_body(refusal.code, refusal.message))
        step = self._answer(sent) if callable(self._answer) else self._answer
        if not isinstance(step, str):
            return step
        pictures, text = tokens
        return completion_body(
            step,
            model=profile.name,
            image_tokens=pictures,
            text_tokens=text,
            completion_tokens=max(1, len(step) // 3),
        )

    def _check(self, sent: SentRequest) -> tuple[ModelProfile, tuple[int, int]]:
        if not sent.url.endswith("/chat/completions"):
            raise _RefusedError("not_found", f"No such address: {sent.url}", 404)
        self._check_key(sent.headers.get("authorization", ""))
        body = _json_object(sent)
        profile = self._model(body)
        _check_parameters(body, profile)
        parts = list(_parts(body))
        pictures = sum(_picture_tokens(part, profile) for part in parts if part["type"] == "image_url")
        text = profile.prompt_overhead_tokens + sum(
            text_tokens(part["text"], profile).tokens for part in parts if part["type"] == "text"
        )
        if pictures + text > profile.max_input_tokens:
            raise _invalid(f"Range of input length should be [1, {profile.max_input_tokens}]")
        return profile, (pictures, text)

    def _check_key(self, authorization: str) -> None:
        scheme, _, key = authorization.partition(" ")
        if scheme != "Bearer" or not key or (self._api_key is not None and key != self._api_key):
            raise _RefusedError("invalid_api_key", "Incorrect API key provided.", 401)

    def _model(self, body: Mapping[str, Any]) -> ModelProfile:
        model = body.get("model")
        known = {name for profile in MODELS for name in (profile.name, *profile.aliases)}
        if model not in known or self._region not in find_model(str(model)).regions:
            raise _RefusedError(
                "model_not_found", f"The model `{model}` does not exist or you do not have access to it.", 404
            )
        return find_model(str(model))


class _RefusedError(Exception):
    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def _invalid(message: str) -> _RefusedError:
    return _RefusedError("invalid_parameter_error", message)


def _bad_picture(message: str) -> _RefusedError:
    return _invalid(f"<400> InternalError.Algo.InvalidParameter: {message}")


def _json_object(sent: SentRequest) -> dict[str, Any]:
    if sent.headers.get("content-type") != "application/json":
        raise _invalid("The request's content type must be application/json.")
    try:
        body = json.loads(sent.content)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise _invalid("The request body is not valid JSON.")
    return body


def _number(low: float, high: float, *, without: tuple[float, ...] = ()) -> Callable[[object], bool]:
    return lambda value: (
        isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high and value not in without
    )


_PARAMETERS: Final[Mapping[str, tuple[Callable[[object], bool], str]]] = {
    "model": (lambda _: True, ""),
    "messages": (lambda value: isinstance(value, list) and bool(value), "Field required: messages"),
    "stream": (lambda value: value is False, "This double answers in one piece: stream must be false"),
    "max_tokens": (lambda _: True, ""),
    "temperature": (_number(0, 2, without=(2,)), "Temperature should be in [0.0, 2.0)"),
    "top_p": (_number(0, 1, without=(0,)), "Range of top_p should be (0.0, 1.0]"),
    "top_k": (_number(0, 10_000), "Parameter top_k be greater than or equal to 0"),
    "repetition_penalty": (_number(0, 100, without=(0,)), "Repetition_penalty should be greater than 0.0"),
    "presence_penalty": (_number(-2, 2), "Presence_penalty should be in [-2.0, 2.0]"),
    "seed": (_number(0, 2**31 - 1), "Range of seed should be [0, 2147483647]"),
    "logprobs": (lambda value: isinstance(value, bool), "logprobs must be a boolean"),
    "top_logprobs": (_number(0, 5), "Range of top_logprobs should be [0, 5]"),
    "stop": (lambda value: isinstance(value, str | list), "stop must be a string or an array"),
}
"""The parameters that Qwen-OCR knows on this endpoint, what they must be like, and the complaint."""


def _check_parameters(body: Mapping[str, Any], profile: ModelProfile) -> None:
    if "messages" not in body:
        raise _invalid("Field required: messages")
    for name, value in body.items():
        if name not in _PARAMETERS:
            raise _invalid(f"Unknown parameter: {name}")
        is_right, complaint = _PARAMETERS[name]
        if not is_right(value):
            raise _invalid(complaint)
    max_tokens = body.get("max_tokens", 1)
    if not isinstance(max_tokens, int) or not 1 <= max_tokens <= profile.max_output_tokens:
        raise _invalid(f"Range of max_tokens should be [1, {profile.max_output_tokens}]")


_PART_KEYS: Final[Mapping[str, frozenset[str]]] = {
    "image_url": frozenset({"type", "image_url", "min_pixels", "max_pixels"}),
    "text": frozenset({"type", "text"}),
}


def _parts(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for message in body["messages"]:
        if message.get("role") != "user":
            raise _invalid(f"Role {message.get('role')!r} is not supported by Qwen-OCR; send a user message.")
        content = message.get("content")
        for part in content if isinstance(content, list) else [{"type": "text", "text": content}]:
            keys = _PART_KEYS.get(part.get("type", ""))
            if keys is None or part["type"] not in part:
                raise _invalid(f"Field required: {part.get('type')}")
            if not keys >= part.keys():
                raise _invalid(f"Unknown parameter: {', '.join(sorted(part.keys() - keys))}")
            yield part


def _picture_tokens(part: Mapping[str, Any], profile: ModelProfile) -> int:
    """How many tokens a picture costs, after all that can be wrong with it was looked at."""
    address = part["image_url"]
    if not isinstance(address, dict) or not isinstance(address.get("url"), str):
        raise _invalid("Field required: image_url")
    if address.keys() - {"url", "detail"}:
        raise _invalid(f"Unknown parameter: image_url.{', '.join(sorted(address.keys() - {'url', 'detail'}))}")
    budget = _budget(part, profile)
    size = _picture_size(address["url"])
    return profile.image_overhead_tokens if size is None else image_tokens(size, profile, budget)


def _budget(part: Mapping[str, Any], profile: ModelProfile) -> PixelBudget:
    low = part.get("min_pixels", profile.min_pixels)
    high = part.get("max_pixels", profile.max_pixels)
    if not (isinstance(low, int) and isinstance(high, int) and 0 < low <= high <= profile.max_pixels_limit):
        raise _invalid(f"Range of max_pixels should be [{profile.min_pixels}, {profile.max_pixels_limit}]")
    return PixelBudget(profile.factor, low, high)


_MIME_TYPES: Final = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "TIFF": "image/tiff",
    "BMP": "image/bmp",
}
"""By Pillow's names; the service opens HEIC too, which Pillow alone does not."""


def _picture_size(url: str) -> Size | None:
    """The size of the picture in a data URL; None for an address that the service would fetch."""
    if url.startswith(("http://", "https://", "oss://")):
        return None
    start = _DATA_URL.match(url)
    if start is None:
        raise _invalid("The provided URL does not appear to be valid. Ensure it is correctly formatted.")
    if len(url) > _MAX_DATA_URL_CHARS:
        raise _invalid(f"Exceeded limit on max bytes per data-uri item : {_MAX_DATA_URL_CHARS}")
    try:
        data = base64.b64decode(url[start.end() :], validate=True)
        with Image.open(io.BytesIO(data)) as picture:
            kind, size = picture.format or "", Size(*picture.size)
    except (binascii.Error, OSError, ValueError, Image.DecompressionBombError):
        kind, size = "", Size(0, 0)
    # The declared type must be that of the first bytes.
    if _MIME_TYPES.get(kind) != start[1]:
        raise _bad_picture("The image format is illegal and cannot be opened")
    _check_size(size, kind)
    return size


def _check_size(size: Size, kind: str) -> None:
    if min(size) <= _SMALLEST_SIDE_PX:
        raise _bad_picture(
            "The image length and width do not meet the model restrictions. "
            f"[height:{size.height_px} or width:{size.width_px} must be larger than {_SMALLEST_SIDE_PX}]"
        )
    if max(size) > MAX_ASPECT_RATIO * min(size):
        raise _bad_picture(f"absolute aspect ratio must be smaller than {MAX_ASPECT_RATIO}")
    limit = _SIZE_8K if kind in {"JPEG", "PNG"} else _SIZE_4K
    if max(size) > max(limit) or min(size) > min(limit):
        raise _invalid("Multimodal file size is too large")


class ManualClock:
    """A clock for the policies that goes on only when somebody waits, so that nobody does.

    Args:
        jitter: What stands for chance, from 0 to 1; 1 makes every wait the longest possible.
    """

    def __init__(self, *, jitter: float = 1.0) -> None:
        self._now_s = 0.0
        self._jitter = jitter
        self._lock = threading.Lock()
        self.waits_s: list[float] = []
        """Every wait that was asked for, in seconds."""

    def now_s(self) -> float:
        """Seconds since the clock was made."""
        return self._now_s

    def jitter(self) -> float:
        """The same number each time."""
        return self._jitter

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        with self._lock:
            self._now_s += seconds

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """Let that time pass at once; False when *stop* is set."""
        self.waits_s.append(seconds)
        self.advance(seconds)
        return not stop.is_set()

    async def await_(self, seconds: float) -> None:
        """The same for tasks, which get their turn meanwhile."""
        self.waits_s.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)


def _sent(request: httpx2.Request, content: bytes) -> SentRequest:
    return SentRequest(
        url=str(request.url),
        headers={name.lower(): value for name, value in request.headers.items()},
        content=content,
        timeout=request.extensions.get("timeout", {}),
    )


def _steps(script: Step | Iterable[Step]) -> Iterator[Step]:
    if isinstance(script, str | Mapping | Reply | Exception) or callable(script):
        while True:
            yield script
    yield from script


def _perform(step: Step | httpx2.Response, sent: SentRequest, request: httpx2.Request) -> httpx2.Response:
    """Make a response of a step, or raise what it is."""
    while callable(step):
        step = step(sent)
    if isinstance(step, httpx2.RequestError):
        # An error is about one request: raised again, the next one gets its own.
        raise type(step)(str(step), request=request)
    if isinstance(step, Exception):
        raise step
    if isinstance(step, httpx2.Response):
        return step
    if isinstance(step, Reply):
        return step.to_response()
    body = completion_body(step) if isinstance(step, str) else dict(step)
    return httpx2.Response(200, json=body, headers={"x-request-id": _REQUEST_ID})
