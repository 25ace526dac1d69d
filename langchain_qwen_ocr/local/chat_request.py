"""The body of a chat-completions request, checked as the service checks it.

What is refused is refused with the service's own status and code: Model Studio, "Qwen-OCR API reference" and
"Error codes". Only what a plain OCR engine cannot give (tools, enforced formats, log probabilities) goes beyond.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from langchain_qwen_ocr.errors import OptionError
from langchain_qwen_ocr.geometry import PixelBudget
from langchain_qwen_ocr.local.picture import MIME_TYPES, picture_format
from langchain_qwen_ocr.models import ModelProfile, find_model


class WireError(Exception):
    """A request that is answered with an error.

    Args:
        message: What is wrong with it and what to do.
        status: The HTTP status.
        code: The service's code of such errors.
        param: The parameter that it is about.
    """

    def __init__(
        self, message: str, *, status: int = 400, code: str = "invalid_parameter_error", param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param


@dataclass(frozen=True, slots=True)
class Attachment:
    """A picture of a request."""

    data: bytes = field(repr=False)
    budget: PixelBudget
    """What the caller lets the service resize it to; here it only counts for the tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """What is asked, after all checks."""

    model: str
    profile: ModelProfile
    pictures: tuple[Attachment, ...]
    prompt: str
    """Empty when the request has no words."""
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    stream: bool = False
    include_usage: bool = False
    """Whether a stream ends with a chunk that has the usage."""


def read_chat_request(body: bytes) -> ChatRequest:
    """The request that *body* holds.

    Raises:
        WireError: The service would refuse it.
    """
    fields = _object(body)
    model = fields.get("model")
    if not isinstance(model, str) or not model.strip():
        raise WireError("Field required: model. Name a model, such as qwen-vl-ocr-latest.", param="model")
    profile = find_model(model)
    _check_numbers(fields)
    _check_unsupported(fields)
    content = _content_to_answer(fields.get("messages"), profile)
    stream_options = fields.get("stream_options") or {}
    return ChatRequest(
        model=model,
        profile=profile,
        pictures=tuple(_attachment(part, profile) for part in content if part["type"] == "image_url"),
        prompt="\n".join(part["text"] for part in content if part["type"] == "text").strip(),
        max_tokens=_max_tokens(fields, profile),
        stop=_stop(fields.get("stop")),
        stream=bool(fields.get("stream")),
        include_usage=isinstance(stream_options, dict) and bool(stream_options.get("include_usage")),
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WireError(f"The request body is not valid JSON: {error}") from error
    if not isinstance(fields, dict):
        raise WireError("The request body is not a JSON object.")
    return fields


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_RANGES: Mapping[str, tuple[Callable[[float], bool], str]] = MappingProxyType(
    {
        "temperature": (lambda n: 0 <= n < 2, "Temperature should be in [0.0, 2.0)"),  # noqa: PLR2004
        "top_p": (lambda n: 0 < n <= 1, "Range of top_p should be (0.0, 1.0]"),
        "presence_penalty": (lambda n: -2 <= n <= 2, "Range of presence_penalty should be [-2.0, 2.0]"),  # noqa: PLR2004
        "repetition_penalty": (lambda n: n > 0, "Range of repetition_penalty should be (0.0, inf)"),
        "top_k": (lambda n: n >= 0, "Range of top_k should be [0, inf)"),
        "seed": (lambda n: 0 <= n < 2**31, "Range of seed should be [0, 2147483647]"),
        "n": (lambda n: n == 1, "Range of n should be [1, 1]"),
    }
)


def _check_numbers(fields: Mapping[str, Any]) -> None:
    for name, (accepts, complaint) in _RANGES.items():
        value = fields.get(name)
        if value is not None and not (_is_number(value) and accepts(value)):
            raise WireError(complaint, param=name)


_UNSUPPORTED: Mapping[str, str] = MappingProxyType(
    {
        "tools": "OCR models call no tools.",
        "functions": "OCR models call no functions.",
        "logprobs": "The local engine has no log probabilities.",
        "response_format": "The format of answers cannot be enforced; ask for it in the prompt.",
    }
)


def _check_unsupported(fields: Mapping[str, Any]) -> None:
    for name, reason in _UNSUPPORTED.items():
        if fields.get(name) and fields[name] != {"type": "text"}:
            raise WireError(f"The parameter {name} is not supported. {reason}", param=name)


def _max_tokens(fields: Mapping[str, Any], profile: ModelProfile) -> int | None:
    name = "max_tokens" if fields.get("max_tokens") is not None else "max_completion_tokens"
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= profile.max_output_tokens:
        raise WireError(f"Range of max_tokens should be [1, {profile.max_output_tokens}]", param=name)
    return value


def _stop(value: object) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value or []
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise WireError("stop is a string or an array of strings.", param="stop")
    return tuple(stop for stop in stops if stop)


def _content_to_answer(messages: object, profile: ModelProfile) -> list[dict[str, Any]]:
    """The parts of the last message; for a model that knows turns, with the latest picture before it."""
    if not isinstance(messages, list) or not messages:
        raise WireError("Field required: messages. Send one user message with a picture.", param="messages")
    for message in messages:
        _check_role(message)
    if messages[-1]["role"] != "user":
        raise WireError("The last message must be the user's.", param="messages")
    content = _parts(messages[-1].get("content"))
    if _pictures(content):
        return content
    if profile.multi_turn:
        earlier = (_parts(m.get("content")) for m in reversed(messages[:-1]) if m["role"] == "user")
        latest = next((pictures for parts in earlier if (pictures := _pictures(parts))), None)
        if latest is not None:
            return [*latest, *content]
    raise WireError(
        "Field required: image_url. The last message holds no picture, and there is nothing else to read.",
        param="messages",
    )


def _check_role(message: object) -> None:
    role = message.get("role") if isinstance(message, dict) else None
    if role == "system":
        raise WireError(
            "System messages are not supported by OCR models. Put everything in the user message.", param="messages"
        )
    if role not in {"user", "assistant"}:
        raise WireError(f'The role of a message is "user" or "assistant", not {role!r}.', param="messages")


def _pictures(parts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [part for part in parts if part["type"] == "image_url"]


def _parts(content: object) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise WireError("The content of a message is a string or an array of parts.", param="messages")
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in {"text", "image_url"}:
            raise WireError(f'A part of a message is of type "text" or "image_url", not {kind!r}.', param="messages")
        if kind == "text" and not isinstance(part.get("text"), str):
            raise WireError("Field required: text", param="messages")
    return content


def _attachment(part: Mapping[str, Any], profile: ModelProfile) -> Attachment:
    image_url = part.get("image_url")
    if isinstance(image_url, str):
        image_url = {"url": image_url}
    if not isinstance(image_url, dict) or not isinstance(image_url.get("url"), str):
        raise WireError("Field required: image_url", param="messages")
    if misplaced := sorted({"min_pixels", "max_pixels"} & image_url.keys()):
        raise WireError(f"{misplaced[0]} stands beside image_url, not in it.", param="messages")
    return Attachment(_bytes_of(image_url["url"], profile), _budget(part, profile))


def _budget(part: Mapping[str, Any], profile: ModelProfile) -> PixelBudget:
    min_pixels = part.get("min_pixels", profile.min_pixels)
    max_pixels = part.get("max_pixels", profile.max_pixels)
    if not all(isinstance(n, int) and not isinstance(n, bool) for n in (min_pixels, max_pixels)):
        raise WireError("min_pixels and max_pixels are whole numbers.", param="messages")
    if max_pixels > profile.max_pixels_limit:
        raise WireError(f"Range of max_pixels should be [1, {profile.max_pixels_limit}]", param="messages")
    try:
        return PixelBudget(profile.factor, min_pixels, max_pixels)
    except OptionError as error:
        raise WireError(str(error), param="messages") from error


def _bytes_of(url: str, profile: ModelProfile) -> bytes:
    if not url.startswith("data:"):
        raise WireError(
            "The provided URL does not appear to be valid: the local engine opens no addresses. "
            "Send the picture itself, as data:image/png;base64,...",
            param="messages",
        )
    if len(url) > profile.max_data_url_chars:
        raise WireError(
            f"Exceeded limit on max bytes per data-uri item : {profile.max_data_url_chars}", param="messages"
        )
    head, _, encoded = url.removeprefix("data:").partition(",")
    mime_type, _, encoding = head.partition(";")
    if encoding.strip().lower() != "base64":
        raise WireError("A data URL reads data:[MIME type];base64,[data].", param="messages")
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise WireError(f"The data URL is no valid base64: {error}", param="messages") from error
    known = picture_format(data)
    if known is not None and known in MIME_TYPES and mime_type.strip().lower() not in MIME_TYPES[known]:
        raise WireError(
            f"The image format is illegal and cannot be opened: declared as {mime_type!r}, it is {known}.",
            param="messages",
        )
    return data
