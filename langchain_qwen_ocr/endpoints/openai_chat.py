"""The OpenAI-compatible chat endpoint: how a request is written for it, how its answer is read, and the calls.

`request_body` and `completion_from` turn a request into a body and a body into a completion; neither opens a
connection. `OpenAIChatEndpoint` does, through the `openai` package, which is imported by the first call.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import math
import sys
import threading
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import pybase64
from pydantic import SecretStr

from langchain_qwen_ocr.endpoints.failures import (
    CallContext,
    connection_failure,
    refusal_of,
)
from langchain_qwen_ocr.errors import (
    AuthenticationError,
    EndpointError,
    OptionError,
    QwenOCRError,
    ServiceUnavailableError,
)
from langchain_qwen_ocr.exchange import Completion, OCRRequest, Origin
from langchain_qwen_ocr.models import find_region
from langchain_qwen_ocr.pages.page import PreparedImage
from langchain_qwen_ocr.tasks.results import Result
from langchain_qwen_ocr.usage import Usage, cost_of, price_of

if TYPE_CHECKING:
    import httpx2
    import openai

_Client = TypeVar("_Client", "openai.OpenAI", "openai.AsyncOpenAI")

LOCAL_NOTES: Final = "qwen_ocr_local"
"""The key under which the embedded engine adds its own words to a body."""
CONNECT_TIMEOUT_S: Final = 15.0
"""The longest wait for a connection; waiting for an answer has a limit of its own."""
_CHAT_PATH: Final = "/chat/completions"
_SHORTEST_KEY_CHARS: Final = 12


def request_body(request: OCRRequest[Result]) -> bytes:
    """The JSON body of *request*, ready to be sent.

    One user message: the pictures as data URLs, each with its pixel limits beside `image_url`, then the prompt. The
    service takes no system message. Only what the caller chose is in it; the service's own values of temperature
    and the like are meant for reading.
    """
    return b"".join(_Body(request))


_PIECE_BYTES: Final = 192 * 1024
"""How much of a picture is encoded at a time, a multiple of 3. Much less, and threads take turns at every piece; all of
it, and each page costs fresh memory, which takes the system longer than the encoding (tests/benchmarks)."""


_FIRST_PIECE_BYTES: Final = 12 * 1024
"""Likewise of the piece that goes out with what stands before it, and is copied for that."""


class _Body:
    """The body of a request in pieces, made anew each time they are asked for.

    The picture's base64 is ASCII without anything that JSON escapes, so it is spliced in as it is; and in pieces, so
    that no page is copied as a whole on its way to the socket. The standard library would take thirty times as long
    for it as pybase64, with the interpreter's lock held.
    """

    def __init__(self, request: OCRRequest[Result]) -> None:
        self._images = request.images
        prompt = b'{"type":"text","text":' + _json(request.task.prompt()) + b'}]}],"stream":false'
        limit = b"" if request.max_tokens is None else b',"max_tokens":' + _json(request.max_tokens)
        begin = b'{"model":' + _json(request.model) + b',"messages":[{"role":"user","content":['
        pixels = b'"},"min_pixels":%d,"max_pixels":%d},' % (request.budget.min_pixels, request.budget.max_pixels)
        first, *others = (b'{"type":"image_url","image_url":{"url":"data:%b;base64,' % _mime(i) for i in self._images)
        # What stands before each picture, and after the last.
        self._between = [begin + first, *(pixels + url for url in others), pixels + prompt + limit + b"}"]

    def __len__(self) -> int:
        pictures = sum(4 * -(-len(image.data) // 3) for image in self._images)
        return pictures + sum(map(len, self._between))

    def __iter__(self) -> Iterator[bytes]:
        before, *after = self._between
        for image, following in zip(self._images, after, strict=True):
            data = memoryview(image.data)
            yield before + pybase64.b64encode(data[:_FIRST_PIECE_BYTES])
            for start in range(_FIRST_PIECE_BYTES, len(data), _PIECE_BYTES):
                yield pybase64.b64encode(data[start : start + _PIECE_BYTES])
            before = following
        yield before


class _AsyncBody:
    """The same for an asynchronous client."""

    def __init__(self, body: _Body) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._body:
            yield piece


def _mime(image: PreparedImage) -> bytes:
    return _json(image.mime_type)[1:-1]


def _json(value: str | int) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def completion_from(
    body: Mapping[str, Any],
    *,
    model: str,
    region: str | None = "beijing",
    page: str = "The answer",
    request_id: str | None = None,
) -> Completion:
    """The completion that a parsed reply holds.

    Reads the service's chat completion; also what gateways forward of its native dialect, where the content is a
    list of parts and counts have other names.

    Args:
        body: The reply's JSON.
        model: The model that was asked, for the price.
        region: Where it was asked; None when nothing is paid.
        page: How errors call the page.
        request_id: From the reply's headers; the body's own is preferred.

    Raises:
        EndpointError: The reply holds no answer.
    """
    choice = _first_choice(body, page)
    message = choice.get("message")
    if not isinstance(message, Mapping):
        raise EndpointError(f"{page}: the reply's first choice holds no message. {_CHECK_ADDRESS}")
    finish_reason = _text_or_none(choice.get("finish_reason"))
    refusal = _text_or_none(message.get("refusal"))
    if finish_reason == "content_filter" and refusal is None:
        refusal = "the content check stopped the answer (finish_reason=content_filter)"
    answer = _answer_text(message.get("content"))
    if answer is None and refusal is None and finish_reason != "length":
        raise ServiceUnavailableError(
            f"{page}: the reply holds no text (finish_reason={finish_reason}). Try again.", max_repeats=1
        )
    notes = body.get(LOCAL_NOTES)
    origin: Origin = "service" if notes is None else "local"
    answered_by = _text_or_none(body.get("model"))
    return Completion(
        answer=_without_surrogates(answer or ""),
        finish_reason=finish_reason,
        model=answered_by,
        usage=_usage(body.get("usage"), None if origin == "local" else region, (model, answered_by)),
        request_id=_text_or_none(body.get("request_id")) or request_id or _text_or_none(body.get("id")),
        origin=origin,
        refusal=refusal,
        warnings=_warnings(notes),
    )


_CHECK_ADDRESS: Final = "Check that base_url is the address of an OpenAI-compatible chat endpoint."


def _first_choice(body: Mapping[str, Any], page: str) -> Mapping[str, Any]:
    output = body.get("output")
    holder = output if isinstance(output, Mapping) else body
    choices = holder.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
        return choices[0]
    raise EndpointError(f"{page}: the reply holds no choices. {_CHECK_ADDRESS}")


def _answer_text(content: object) -> str | None:
    """The text of a message; None where it has none.

    In the native dialect the content is a list of parts, and `ocr_result` beside the text is what the service made
    of it. Its places are taken before the text's, which older models write without the words; anything else only
    where there is no text.
    """
    if content is None or isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    parts = [part for part in content if isinstance(part, Mapping)]
    results = [part["ocr_result"] for part in parts if isinstance(part.get("ocr_result"), Mapping)]
    texts = [part["text"] for part in parts if isinstance(part.get("text"), str)]
    placed = next((result for result in results if result.get("words_info")), None)
    if placed is None and any(text.strip() for text in texts):
        return "".join(texts)
    for result in (placed, *results):
        if result:
            inner = next((result[name] for name in ("words_info", "kv_result") if result.get(name)), result)
            return json.dumps(inner, ensure_ascii=False)
    return "" if texts else None


def _usage(counts: object, region: str | None, models: tuple[str | None, ...]) -> Usage:
    counts = counts if isinstance(counts, Mapping) else {}
    prompt = _count(counts, "prompt_tokens", "input_tokens")
    completion = _count(counts, "completion_tokens", "output_tokens")
    details = counts.get("prompt_tokens_details") or counts.get("input_tokens_details")
    details = details if isinstance(details, Mapping) else {}
    image = _count(details, "image_tokens")
    if image is None:
        image = _count(counts, "image_tokens")
    prices = (price_of(model, region) for model in models if model and region)
    price = next((price for price in prices if price is not None), None)
    counted = prompt is not None and completion is not None
    return Usage(
        prompt_tokens=prompt or 0,
        completion_tokens=completion or 0,
        image_tokens=image,
        text_tokens=_count(details, "text_tokens"),
        calls=1 if region is not None else 0,
        cost=cost_of(prompt or 0, completion or 0, price) if price is not None and counted else None,
        currency=price.currency if price is not None and counted else None,
    )


def _count(counts: Mapping[str, Any], *names: str) -> int | None:
    """The first of these counts that is a number; None where the service does not say."""
    for name in names:
        value = counts.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return None


def _warnings(notes: object) -> tuple[str, ...]:
    warnings = notes.get("warnings") if isinstance(notes, Mapping) else None
    return tuple(str(warning) for warning in warnings) if isinstance(warnings, list) else ()


def _text_or_none(value: object) -> str | None:
    # A native stream says "null" where it means nothing.
    return value if isinstance(value, str) and value and value != "null" else None


def _without_surrogates(text: str) -> str:
    """*text* as it can be written to a file: half of an escaped pair becomes a replacement character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


@dataclass(frozen=True, slots=True)
class _LoopClient:
    """An asynchronous client and what closes it with its event loop."""

    client: openai.AsyncOpenAI
    lifetime: AsyncGenerator[None] | None
    """None for a client that the caller owns."""


class OpenAIChatEndpoint:
    """Sends requests to an OpenAI-compatible chat endpoint, from any number of threads and event loops.

    One client with its connections is shared by all threads, and one by all tasks of an event loop. Nothing is
    repeated here: that is for whoever wraps this endpoint.

    Args:
        api_key: The key; it is shown nowhere, and not pickled.
        base_url: The endpoint's address, up to `/v1`; None for the region's.
        region: "beijing", "singapore" or "virginia"; decides what a call costs.
        timeout_s: The longest silence while an answer is awaited, in seconds.
        http_client: An `httpx2.Client` to call with; it stays the caller's to close.
        http_async_client: An `httpx2.AsyncClient` likewise, for use within one event loop.

    Raises:
        OptionError: The key or the address cannot be one, or the region has no OCR model.
    """

    def __init__(
        self,
        *,
        api_key: str | SecretStr,
        base_url: str | None = None,
        region: str = "beijing",
        timeout_s: float = 300.0,
        http_client: httpx2.Client | None = None,
        http_async_client: httpx2.AsyncClient | None = None,
    ) -> None:
        self._api_key = _checked_key(api_key)
        self.region = find_region(region).name
        self.base_url = checked_address(base_url or find_region(region).base_url)
        if not 0 < timeout_s < math.inf:
            raise OptionError(f"timeout_s is a number of seconds above 0, not {timeout_s!r}.")
        self.timeout_s = timeout_s
        self._http_client = http_client
        self._http_async_client = http_async_client
        self._lock = threading.Lock()
        self._client: openai.OpenAI | None = None
        self._loop_clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopClient] = (
            weakref.WeakKeyDictionary()
        )

    def complete(self, request: OCRRequest[Result]) -> Completion:
        """The answer to one request.

        Raises:
            EndpointError: No answer came.
            UnsupportedTaskError: The embedded engine cannot do this task.
        """
        import openai

        client = self._shared_client()
        outcome: Completion | QwenOCRError
        try:
            body = _Body(request)
            reply = client.post(_CHAT_PATH, content=body, **_post_options(body))
        except openai.OpenAIError as error:
            outcome = self._failure(error, request)
        else:
            outcome = self.read(reply, what=str(request.page), model=request.model)
        return _returned(outcome)

    async def acomplete(self, request: OCRRequest[Result]) -> Completion:
        """The same without blocking the running event loop."""
        if "openai" not in sys.modules:
            await asyncio.to_thread(importlib.import_module, "openai")
        import openai

        client = await self._client_of_this_loop()
        outcome: Completion | QwenOCRError
        try:
            body = _Body(request)
            reply = await client.post(_CHAT_PATH, content=_AsyncBody(body), **_post_options(body))
        except openai.OpenAIError as error:
            outcome = self._failure(error, request)
        else:
            outcome = self.read(reply, what=str(request.page), model=request.model)
        return _returned(outcome)

    def client(self) -> openai.OpenAI:
        """The client that all threads share, for calls that are no `OCRRequest`; it stays the endpoint's to close."""
        return self._shared_client()

    async def async_client(self) -> openai.AsyncOpenAI:
        """The client of the running event loop, likewise."""
        return await self._client_of_this_loop()

    def failure(self, error: Exception, *, what: str, model: str) -> QwenOCRError:
        """What an error of the client means; to be raised outside of the `except` that caught it.

        Args:
            error: Of the `openai` package.
            what: How the message calls what was sent, such as "Page 3 of scan.pdf".
            model: The model that was asked.
        """
        context = self._context(what, model)
        reply: httpx2.Response | None = getattr(error, "response", None)
        if reply is not None:
            return self._refusal(reply, context)
        said = getattr(error, "body", None)
        if said is None:
            return connection_failure(error, context)
        # An error that came within a stream, after a status that said success.
        text = json.dumps({"error": said}, ensure_ascii=False, default=str)
        return refusal_of(context, status=HTTPStatus.OK, text=self._without_key(text))

    def read(self, reply: httpx2.Response, *, what: str, model: str) -> Completion | QwenOCRError:
        """The completion that a reply holds, or the error that it stands for; to be raised by the caller.

        Args:
            reply: With a status that says success.
            what: How the message calls what was sent.
            model: The model that was asked.
        """
        context = self._context(what, model)
        body = _parsed(reply)
        if not isinstance(body, Mapping):
            return _no_answer(reply, context)
        if body.get("error") or (body.get("code") and "choices" not in body and "output" not in body):
            # A refusal with status 200, as gateways and results of batches have it.
            return self._refusal(reply, context)
        request_id = reply.headers.get("x-request-id")
        try:
            return completion_from(body, model=model, region=self.region, page=what, request_id=request_id)
        except EndpointError as error:
            error.status = reply.status_code
            error.request_id = _text_or_none(body.get("request_id")) or request_id
            return error.with_traceback(None)

    def close(self) -> None:
        """Give up the connections that threads share; the next call opens new ones."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None and self._http_client is None:
            client.close()

    async def aclose(self) -> None:
        """The same, also for the connections of the running event loop."""
        loop_client = self._loop_clients.pop(asyncio.get_running_loop(), None)
        if loop_client is not None and loop_client.lifetime is not None:
            await loop_client.lifetime.aclose()
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r}, region={self.region!r})"

    def __getstate__(self) -> object:
        raise TypeError(
            f"{type(self).__name__} holds a key and open connections and is not pickled: make one in each process."
        )

    def _shared_client(self) -> openai.OpenAI:
        with self._lock:
            if self._client is None:
                import openai

                self._client = _without_ambient_settings(
                    openai.OpenAI(http_client=self._http_client, **self._client_options())
                )
            return self._client

    async def _client_of_this_loop(self) -> openai.AsyncOpenAI:
        loop = asyncio.get_running_loop()
        known = self._loop_clients.get(loop)
        if known is not None:
            return known.client
        import openai

        client = _without_ambient_settings(
            openai.AsyncOpenAI(http_client=self._http_async_client, **self._client_options())
        )
        lifetime = _closed_with_its_loop(client) if self._http_async_client is None else None
        self._loop_clients[loop] = _LoopClient(client, lifetime)
        if lifetime is not None:
            await anext(lifetime)
        return client

    def _client_options(self) -> dict[str, Any]:
        import httpx2

        return {
            "api_key": self._api_key.get_secret_value(),
            "base_url": self.base_url,
            "timeout": httpx2.Timeout(self.timeout_s, connect=min(self.timeout_s, CONNECT_TIMEOUT_S)),
            "max_retries": 0,  # one place decides what is repeated
        }

    def _refusal(self, reply: httpx2.Response, context: CallContext) -> QwenOCRError:
        text = self._without_key(reply.text)
        return refusal_of(context, status=reply.status_code, text=text, headers=reply.headers)

    def _without_key(self, text: str) -> str:
        key = self._api_key.get_secret_value()
        # Servers without keys are given words such as "local" for one, which are no secret.
        return text.replace(key, "…") if len(key) >= _SHORTEST_KEY_CHARS else text

    def _failure(self, error: Exception, request: OCRRequest[Result]) -> QwenOCRError:
        return self.failure(error, what=str(request.page), model=request.model)

    def _context(self, what: str, model: str) -> CallContext:
        return CallContext(
            page=what,
            model=model,
            host=urlsplit(self.base_url).netloc.rpartition("@")[2],
            region=self.region,
            timeout_s=self.timeout_s,
        )


def _returned(outcome: Completion | QwenOCRError) -> Completion:
    # Raised here, outside of any `except`: the client's own exceptions hold the whole request, the key in its
    # headers and the picture in its body, and would keep them as the cause.
    # See test_openai_chat.py::test_an_error_keeps_neither_the_key_nor_the_picture.
    if isinstance(outcome, QwenOCRError):
        raise outcome
    return outcome


def _parsed(reply: httpx2.Response) -> object:
    try:
        return json.loads(reply.content)
    except (ValueError, RecursionError):
        return None


def _no_answer(reply: httpx2.Response, context: CallContext) -> QwenOCRError:
    """The error for a reply that is no JSON object, though its status says success."""
    if reply.content.lstrip()[:1] in {b"{", b""}:
        return ServiceUnavailableError(
            f"{context.page}: the reply of {context.host} breaks off after {len(reply.content)} bytes. Try again.",
            status=reply.status_code,
            request_id=reply.headers.get("x-request-id"),
        )
    kind = reply.headers.get("content-type", "something else").split(";")[0]
    return EndpointError(
        f"{context.page}: {context.host} answered with {kind} instead of JSON. {_CHECK_ADDRESS}",
        status=reply.status_code,
        request_id=reply.headers.get("x-request-id"),
    )


def _post_options(body: _Body) -> dict[str, Any]:
    import httpx2

    headers = {"content-type": "application/json", "content-length": str(len(body))}
    return {"cast_to": httpx2.Response, "options": {"headers": headers}}


async def _closed_with_its_loop(client: openai.AsyncOpenAI) -> AsyncGenerator[None]:
    """Once started, closes *client* when its event loop winds up, or when it is closed itself.

    `asyncio.run` and its like finish open asynchronous generators before they close their loop: the last moment at
    which connections of that loop can be closed in order. See test_openai_chat.py::test_two_event_loops.
    """
    try:
        yield
    finally:
        await client.close()


def _without_ambient_settings(client: _Client) -> _Client:
    """The client without what the environment says about accounts at OpenAI: they are none of this service's."""
    client.organization = None
    client.project = None
    client.admin_api_key = None
    return client


def _checked_key(given: str | SecretStr) -> SecretStr:
    key = (given.get_secret_value() if isinstance(given, SecretStr) else given).strip()
    if not key:
        raise AuthenticationError("There is no API key. Set DASHSCOPE_API_KEY, or pass api_key=.")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise OptionError(
            "api_key holds blanks or characters that no key has: copy it again from the Model Studio console."
        )
    return SecretStr(key)


def checked_address(base_url: str) -> str:
    """An endpoint's address, up to `/v1`.

    Raises:
        OptionError: It is none, or holds a password, which would be shown wherever the address is.
    """
    address = base_url.strip().rstrip("/").removesuffix(_CHAT_PATH)
    parts = urlsplit(address)
    if "@" in parts.netloc:
        raise OptionError(
            "base_url holds a user name or password, which would take the key's place and be shown in logs. Give an "
            "http_client with auth= or headers= instead."
        )
    if parts.scheme not in {"http", "https"} or not parts.hostname or "{" in address:
        raise OptionError(
            f"base_url is an address such as https://dashscope.aliyuncs.com/compatible-mode/v1, not {base_url!r}."
        )
    return address
