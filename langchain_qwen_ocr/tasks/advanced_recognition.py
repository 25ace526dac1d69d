"""Text lines and where they stand: the service's `advanced_recognition`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from langchain_qwen_ocr.tasks.layout import Layout
from langchain_qwen_ocr.tasks.places import Lines, line_in_picture, read_lines, write_lines
from langchain_qwen_ocr.tasks.task import Task

_PROMPTS = {
    "zh": "定位所有的文字行，并且返回旋转矩形([cx, cy, width, height, angle])的坐标结果。",
    "en": "Locate all text lines and return the coordinates of the rotated rectangle ([cx, cy, width, height, angle]).",
}


@dataclass(frozen=True, kw_only=True)
class AdvancedRecognition(Task[Lines]):
    """Find every line of text in a picture and where it stands.

    The choice when places matter: highlighting words, reading a form by position, checking where a name was found.
    Gives each line's text, its four corners in pixels and the direction in which it runs.
    """

    name: ClassVar[str] = "advanced_recognition"
    prompt_tokens: ClassVar[Mapping[str, int]] = MappingProxyType({"zh": 25, "en": 24})
    asks_for_text: ClassVar[bool] = True

    def prompt(self) -> str:
        """The vendor's prompt."""
        return _PROMPTS[self.prompt_language]

    def parse(self, answer: str) -> Lines:
        """The lines of *answer*, places in the answer's own frame.

        Raises:
            AnswerError: The answer holds no places in any known form.
        """
        return read_lines(answer)

    def write(self, result: Lines) -> str:
        """*result* as the service answers it: a fenced array of rectangles, one line each."""
        return write_lines(result)

    def from_layout(self, layout: Layout) -> Lines:
        """The lines of a page in reading order, in thousandths of the picture as it was received."""
        lines = (
            line_in_picture(line.text, line.quad.mapped(layout.to_picture), layout.picture)
            for line in layout.in_reading_order()
        )
        return Lines(tuple(lines), warnings=layout.warnings)
