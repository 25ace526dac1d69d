"""The picture side: a source becomes pages, a page becomes the picture that is sent.

The names below load on first use: Pillow and PDFium are not needed to talk about pages.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_qwen_ocr.pages.limits import SourceLimits
    from langchain_qwen_ocr.pages.page import (
        ImageFormat,
        ImageOptions,
        Page,
        PageInfo,
        PreparedImage,
    )
    from langchain_qwen_ocr.pages.preparing import prepare
    from langchain_qwen_ocr.pages.ranges import parse_page_ranges
    from langchain_qwen_ocr.pages.sources import open_pages
    from langchain_qwen_ocr.pages.text_layer import TextLayer, TextLine
    from langchain_qwen_ocr.pages.views import UprightPage, split_page

__all__ = [
    "ImageFormat",
    "ImageOptions",
    "Page",
    "PageInfo",
    "PreparedImage",
    "SourceLimits",
    "TextLayer",
    "TextLine",
    "UprightPage",
    "open_pages",
    "parse_page_ranges",
    "prepare",
    "split_page",
]

_HOME = {
    "ImageFormat": "page",
    "ImageOptions": "page",
    "Page": "page",
    "PageInfo": "page",
    "PreparedImage": "page",
    "SourceLimits": "limits",
    "TextLayer": "text_layer",
    "TextLine": "text_layer",
    "UprightPage": "views",
    "open_pages": "sources",
    "parse_page_ranges": "ranges",
    "prepare": "preparing",
    "split_page": "views",
}
"""The module each name lives in."""


def __getattr__(name: str) -> object:
    """A public name, loaded now."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
