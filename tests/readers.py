"""A reader whose service is a double, and pictures to read, for tests of the LangChain edge."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import httpx2
from PIL import Image

from langchain_qwen_ocr import QwenOCR


def picture(shade: int = 200, size: tuple[int, int] = (64, 48), *, kind: str = "PNG", mode: str = "L") -> bytes:
    """A picture of one shade of grey."""
    stream = io.BytesIO()
    Image.new(mode, size, shade if mode == "L" else (shade,) * len(mode)).save(stream, format=kind)
    return stream.getvalue()


def tiff(path: Path, page_count: int) -> Path:
    """A file with so many pages, of the shades 40, 60, 80…"""
    pages = [Image.new("L", (64, 48), 40 + 20 * index) for index in range(page_count)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    return path


def reader(transport: Any, **options: Any) -> QwenOCR:
    """A reader whose connections are the double's, without repeats."""
    return QwenOCR(
        **{"api_key": "sk-0f1e2d3c4b5a6978", "max_retries": 0, **options},
        http_client=httpx2.Client(transport=transport),
        http_async_client=httpx2.AsyncClient(transport=transport),
    )


def shade_of(data: bytes) -> int:
    """The shade of a picture, by which a double tells pages apart."""
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("L").tobytes()[0]
