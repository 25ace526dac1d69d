"""Running text: the service's `text_recognition`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from langchain_qwen_ocr.errors import AnswerError
from langchain_qwen_ocr.tasks.fences import fence, unfence
from langchain_qwen_ocr.tasks.layout import Layout
from langchain_qwen_ocr.tasks.places import text_without_places
from langchain_qwen_ocr.tasks.results import Text
from langchain_qwen_ocr.tasks.task import Task

PROMPT = "Please output only the text content from the image without any additional descriptions or formatting."
"""Model Studio, "Text extraction (Qwen-OCR)": the same for `text_recognition`, `multi_lan` and no prompt at all."""


def read_text(answer: str) -> Text:
    """The running text that *answer* holds, without a fence around it and without places.

    Raises:
        AnswerError: The answer holds places only.
    """
    unplaced = text_without_places(answer)
    if unplaced is not None:
        return Text(unplaced.text, warnings=unplaced.warnings, cut=unplaced.cut)
    fenced = unfence(answer)
    return Text(fenced.body, cut=not fenced.closed)


def write_text(result: Text) -> str:
    """*result* as the service answers it: bare, or fenced where it would be taken for something else."""
    return result.text if _is_plain(result.text) else fence(result.text, "text")


def _is_plain(text: str) -> bool:
    """Whether *text* would be read back as it stands."""
    try:
        return not unfence(text).opened and text_without_places(text) is None
    except AnswerError:
        return False


def text_of_layout(layout: Layout) -> Text:
    """The lines of a page in the order a person reads them; what stands side by side in one row shares a line."""
    return Text(layout.text(), warnings=layout.warnings)


@dataclass(frozen=True, kw_only=True)
class TextRecognition(Task[Text]):
    """Read all text of a picture or of a document's pages as plain lines.

    The choice when only the words matter: letters, screenshots, signs, book pages. Gives no places, no table
    structure and no field names; there are tools of their own for those.
    """

    name: ClassVar[str] = "text_recognition"
    prompt_tokens: ClassVar[Mapping[str, int]] = MappingProxyType({"zh": 16, "en": 16})
    asks_for_text: ClassVar[bool] = True

    def prompt(self) -> str:
        """The vendor's prompt, the same in both languages."""
        return PROMPT

    def parse(self, answer: str) -> Text:
        """The text of *answer*; places that the model gave unasked are left out, with a warning.

        Raises:
            AnswerError: The answer holds places only.
        """
        return read_text(answer)

    def write(self, result: Text) -> str:
        """*result* as the service answers it."""
        return write_text(result)

    def from_layout(self, layout: Layout) -> Text:
        """The lines of a page in the order a person reads them."""
        return text_of_layout(layout)
