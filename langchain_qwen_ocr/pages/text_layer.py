"""The text embedded in a PDF page, and whether it is what the eye sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from langchain_qwen_ocr.geometry import Quad, SizePt


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of embedded text."""

    text: str
    quad_pt: Quad
    """In points of the upright page, from its top-left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextLayer:
    """The text embedded in a page, in the order of the file."""

    lines: tuple[TextLine, ...]
    size_pt: SizePt
    """The upright page."""
    doubts: tuple[str, ...] = ()
    """What speaks against trusting it; none when it is what the eye sees."""

    @property
    def text(self) -> str:
        """Its lines, one below the other."""
        return "\n".join(line.text for line in self.lines)


def read_text_layer(page: Any) -> TextLayer | None:  # noqa: ANN401 - pypdfium2 has no types
    """The text of a loaded page of pypdfium2; None when there is none. PDFium's lock is held by the caller."""
    return None
