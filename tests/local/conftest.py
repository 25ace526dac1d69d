"""The embedded engine, loaded once, and what it saw on each example picture, looked at once."""

from __future__ import annotations

import base64
import functools
import io
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image, ImageDraw, ImageFont

from langchain_qwen_ocr.local import LocalTransport
from langchain_qwen_ocr.local.vision import shared_vision
from langchain_qwen_ocr.tasks.layout import Layout

PICTURES = Path(__file__).parents[2] / "examples" / "pictures"


@pytest.fixture(scope="session")
def see() -> Callable[[bytes], Layout]:
    """The layout of a picture; each picture is looked at once in a session."""
    return functools.cache(shared_vision().read)


@pytest.fixture(scope="session")
def transport() -> LocalTransport:
    return LocalTransport()


@pytest.fixture(scope="session")
def post(transport) -> Callable[..., httpx2.Response]:
    """Sends a body as it stands to the engine."""
    client = httpx2.Client(transport=transport, base_url="http://local/v1")
    return functools.partial(client.post, "/chat/completions")


def picture(name: str) -> bytes:
    return (PICTURES / name).read_bytes()


def truth(name: str) -> str:
    return (PICTURES / name).with_suffix(".txt").read_text("utf-8")


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def turned(name: str, clockwise_deg: float, *, width_px: int | None = None) -> bytes:
    """An example picture, turned on white paper, perhaps made smaller first."""
    image = Image.open(PICTURES / name).convert("L")
    if width_px is not None:
        image = image.resize((width_px, round(image.height * width_px / image.width)), Image.Resampling.LANCZOS)
    return png(image.rotate(-clockwise_deg, Image.Resampling.BICUBIC, expand=True, fillcolor=255))


def page_of(lines: list[str], *, size_px: tuple[int, int] = (900, 420), font_px: int = 34) -> bytes:
    """Lines of English on white, in the font that Pillow brings."""
    image = Image.new("L", size_px, 255)
    draw = ImageDraw.Draw(image)
    for row, line in enumerate(lines):
        draw.text((60, 50 + row * 2 * font_px), line, fill=20, font=ImageFont.load_default(font_px))
    return png(image)


def data_url(data: bytes, mime_type: str = "image/png") -> str:
    return f"data:{mime_type};base64,{base64.b64encode(data).decode('ascii')}"


def chat(data: bytes, prompt: str | None = None, **more: Any) -> dict[str, Any]:
    """A request about one picture as the service's own samples have it."""
    content: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": data_url(data)}}]
    if prompt is not None:
        content.append({"type": "text", "text": prompt})
    return {"model": "qwen-vl-ocr-latest", "messages": [{"role": "user", "content": content}], **more}


def error_rate(expected: str, read: str) -> float:
    """The share of characters to change; white space does not count, full-width marks equal ASCII ones."""
    wanted, got = ("".join(unicodedata.normalize("NFKC", text).split()) for text in (expected, read))
    previous = list(range(len(got) + 1))
    for row, a in enumerate(wanted, start=1):
        current = [row]
        for column, b in enumerate(got, start=1):
            current.append(min(previous[column] + 1, current[-1] + 1, previous[column - 1] + (a != b)))
        previous = current
    return previous[-1] / max(1, len(wanted))
