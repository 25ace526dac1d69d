"""Running text: the service's `text_recognition`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from langchain_qwen_ocr.geometry import reading_order
from langchain_qwen_ocr.tasks.fences import unfence
from langchain_qwen_ocr.tasks.layout import Layout
from langchain_qwen_ocr.tasks.results import Text
from langchain_qwen_ocr.tasks.task import Task

PROMPT = "Please output only the text content from the image without any additional descriptions or formatting."


@dataclass(frozen=True, kw_only=True)
class TextRecognition(Task[Text]):
    """Read all text of a picture or of a document's pages as plain lines.

    The choice when only the words matter: letters, screenshots, signs, book pages. Gives no places, no table
    structure and no field names; there are tools of their own for those.
    """

    name: ClassVar[str] = "text_recognition"

    def prompt(self) -> str:
        """The vendor's prompt, the same in both languages."""
        return PROMPT
