"""Running text in languages beside Chinese and English: the service's `multi_lan`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from langchain_qwen_ocr.tasks.layout import Layout
from langchain_qwen_ocr.tasks.results import Text
from langchain_qwen_ocr.tasks.task import Task
from langchain_qwen_ocr.tasks.text_recognition import PROMPT, read_text, text_of_layout, write_text


@dataclass(frozen=True, kw_only=True)
class MultilingualRecognition(Task[Text]):
    """Read all text of a picture in any of many languages as plain lines.

    The choice for Arabic, French, German, Italian, Japanese, Korean, Portuguese, Russian, Spanish, Ukrainian or
    Vietnamese text, alone or mixed. Gives no places and no structure.
    """

    name: ClassVar[str] = "multi_lan"
    asks_for_text: ClassVar[bool] = True

    def prompt(self) -> str:
        """The vendor's prompt, the same as for `text_recognition`."""
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
