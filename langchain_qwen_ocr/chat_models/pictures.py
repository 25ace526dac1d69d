"""Pictures in messages: found in every form that LangChain has, sealed for traces, opened for the service."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from langchain_core.messages import BaseMessage

from langchain_qwen_ocr.errors import OptionError
from langchain_qwen_ocr.tracing import describe_picture

_DATA_URL = re.compile(r"data:(?P<mime>[^;,]*)(?P<parameters>(;[^;,]*)*),(?P<data>.*)", re.DOTALL)
_LIMITS = ("min_pixels", "max_pixels")
_PICTURE_TYPES = frozenset({"image", "image_url", "input_image", "file", "input_file", "document"})
_TEXT_TYPES = frozenset({"text", "input_text", "output_text"})
_SILENT_TYPES = frozenset({"reasoning", "thinking", "tool_use", "tool_call", "function_call", "non_standard"})
"""Blocks of answers that say nothing to a reader of pictures."""

Block = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture or a document that a message holds or points to."""

    data: bytes | None = field(default=None, repr=False)
    url: str | None = None
    mime_type: str = ""
    """As the message says; the content itself decides."""
    is_file: bool = False
    """Whether it came as a file, which may have pages."""
    min_pixels: int | None = None
    max_pixels: int | None = None

    @property
    def description(self) -> str:
        """What traces and cache keys hold in place of its bytes."""
        limits = ", ".join(f"{name}={getattr(self, name)}" for name in _LIMITS if getattr(self, name) is not None)
        if self.data is None:
            # A query may hold a signature; its digest still tells two pictures apart.
            shown, mark, query = (self.url or "").partition("?")
            digest = f"query sha256 {hashlib.sha256(query.encode()).hexdigest()[:16]}" if mark else ""
            return f"[picture: {', '.join(filter(None, (shown, digest, limits)))}]"
        digest = hashlib.sha256(self.data).hexdigest()
        kind = self.mime_type or "of unknown type"
        return describe_picture(kind, None, len(self.data), digest, page=limits or None)


class SealedPicture(str):
    """A description that still holds the picture: it prints, copies and serialises as the text alone."""

    __slots__ = ("picture",)
    picture: Picture

    @classmethod
    def of(cls, picture: Picture) -> Self:
        """The description of *picture*, with the picture inside."""
        sealed = cls(picture.description)
        sealed.picture = picture
        return sealed


def sealed(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The messages with their pictures sealed, so that no handler, trace or cache key sees their bytes.

    Raises:
        OptionError: A message holds something that is neither text nor a picture.
    """
    return [_sealed(message) for message in messages]


def parts_of(message: BaseMessage) -> list[str | Picture]:
    """The texts and pictures of a message, in their order.

    Raises:
        OptionError: It holds something else.
    """
    content = message.content
    blocks: Sequence[str | Block] = [content] if isinstance(content, str) else content
    return [part for part in map(_part, blocks) if part is not None and part != ""]


def _sealed(message: BaseMessage) -> BaseMessage:
    if isinstance(message.content, str):
        return message
    blocks = [_sealed_block(block) for block in message.content]
    return message.model_copy(update={"content": blocks})


def _sealed_block(block: str | Block) -> str | Block:
    part = _part(block)
    return {"type": "text", "text": SealedPicture.of(part)} if isinstance(part, Picture) else block


def _part(block: str | Block) -> str | Picture | None:
    if isinstance(block, str):
        return block
    kind = block.get("type")
    if kind in _TEXT_TYPES or (kind is None and "text" in block):
        text = block.get("text", "")
        return text.picture if isinstance(text, SealedPicture) else str(text)
    if kind in _PICTURE_TYPES:
        return _picture(block)
    if kind in _SILENT_TYPES:
        return None
    raise OptionError(f"A message holds a block of type {kind!r}; Qwen-OCR takes text, images and PDF files.")


def _picture(block: Block) -> Picture:
    limits = {name: _limit(block, name) for name in _LIMITS}
    is_file = block["type"] not in {"image", "image_url", "input_image"}
    for find in _FORMS:
        found = find(block)
        if found is not None:
            data, url, mime_type = found
            return Picture(data, url, mime_type or str(block.get("mime_type") or ""), is_file, **limits)
    raise OptionError(
        f"A block of type {block['type']!r} names no picture: give base64 data, a data URL, or an https URL. "
        "(File ids belong to other services.)"
    )


def _limit(block: Block, name: str) -> int | None:
    """A pixel limit from wherever it may stand: beside the picture, in `extras`, in `metadata`, inside `image_url`."""
    inner = (block.get(place) for place in ("extras", "metadata", "image_url"))
    holders = (block, *(holder for holder in inner if isinstance(holder, Mapping)))
    value = next((holder[name] for holder in holders if holder.get(name) is not None), None)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise OptionError(f"{name} is a whole number of pixels, not {value!r}.")
    return value


_Found = tuple[bytes | None, str | None, str]
"""Data or address, and the type as far as it is named."""


def _from_data(block: Block) -> _Found | None:
    """LangChain's own blocks, of both versions: `base64`, or `data` with `source_type`."""
    data = block.get("base64") or block.get("data")
    return (_decoded(data), None, str(block.get("mime_type") or "")) if isinstance(data, str) else None


def _from_url(block: Block) -> _Found | None:
    url = block.get("url")
    return _address(url) if isinstance(url, str) else None


def _from_image_url(block: Block) -> _Found | None:
    """OpenAI's blocks: `image_url` with the address in it, or inside it."""
    holder = block.get("image_url")
    url = holder.get("url") if isinstance(holder, Mapping) else holder
    return _address(url) if isinstance(url, str) else None


def _from_file(block: Block) -> _Found | None:
    """OpenAI's file blocks: `file_data` in `file` or beside it, as a data URL or bare."""
    holder = block.get("file")
    data = (holder if isinstance(holder, Mapping) else block).get("file_data")
    if not isinstance(data, str):
        return None
    return _address(data) if data.startswith("data:") else (_decoded(data), None, "")


def _from_source(block: Block) -> _Found | None:
    """Anthropic's blocks: `source` with `data` or `url`."""
    source = block.get("source")
    if not isinstance(source, Mapping):
        return None
    if isinstance(source.get("data"), str):
        return _decoded(source["data"]), None, str(source.get("media_type") or "")
    url = source.get("url")
    return _address(url) if isinstance(url, str) else None


_FORMS: tuple[Callable[[Block], _Found | None], ...] = (
    _from_data,
    _from_url,
    _from_image_url,
    _from_file,
    _from_source,
)
"""Where a block may hold its picture; the first that has one decides."""


def _address(url: str) -> _Found:
    match = _DATA_URL.fullmatch(url)
    if match is None:
        return None, url, ""
    if ";base64" not in match["parameters"].lower():
        raise OptionError("A data URL of a picture is in base64: data:image/png;base64,…")
    return _decoded(match["data"]), None, match["mime"]


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise OptionError("A picture's base64 data is damaged: it holds other characters, or is cut.") from None
