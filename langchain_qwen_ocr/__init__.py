"""Every Qwen-OCR task as typed LangChain tools, document loaders and a chat model.

The names below load on first use, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_qwen_ocr.chat_models import ChatQwenOCR
    from langchain_qwen_ocr.draw import draw_regions
    from langchain_qwen_ocr.engine import QwenOCR
    from langchain_qwen_ocr.exchange import Reading
    from langchain_qwen_ocr.geometry import Quad
    from langchain_qwen_ocr.loaders import QwenOCRBlobParser, QwenOCRLoader
    from langchain_qwen_ocr.output_parsers import QwenOCROutputParser
    from langchain_qwen_ocr.tasks import (
        TASKS,
        AdvancedRecognition,
        DocumentParsing,
        FormulaRecognition,
        FreePrompt,
        KeyInformationExtraction,
        MultilingualRecognition,
        TableParsing,
        TextRecognition,
    )
    from langchain_qwen_ocr.tasks.results import Region
    from langchain_qwen_ocr.tools import QwenOCRTool, QwenOCRToolkit
    from langchain_qwen_ocr.usage import Usage

__all__ = [
    "TASKS",
    "AdvancedRecognition",
    "ChatQwenOCR",
    "DocumentParsing",
    "FormulaRecognition",
    "FreePrompt",
    "KeyInformationExtraction",
    "MultilingualRecognition",
    "Quad",
    "QwenOCR",
    "QwenOCRBlobParser",
    "QwenOCRLoader",
    "QwenOCROutputParser",
    "QwenOCRTool",
    "QwenOCRToolkit",
    "Reading",
    "Region",
    "TableParsing",
    "TextRecognition",
    "Usage",
    "draw_regions",
]

_HOME = {
    "ChatQwenOCR": "chat_models",
    "Quad": "geometry",
    "QwenOCR": "engine",
    "QwenOCRBlobParser": "loaders",
    "QwenOCRLoader": "loaders",
    "QwenOCROutputParser": "output_parsers",
    "QwenOCRTool": "tools",
    "QwenOCRToolkit": "tools",
    "Reading": "exchange",
    "Region": "tasks.results",
    "Usage": "usage",
    "draw_regions": "draw",
}
"""The module each name lives in; the tasks and their table live in `tasks`."""


def __getattr__(name: str) -> object:
    """A public name, loaded now."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOME.get(name, 'tasks')}")
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
