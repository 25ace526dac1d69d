"""What a plain OCR engine sees on a picture: lines, drawn rulings, and how the page lies."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from langchain_qwen_ocr.geometry import Affine, Point, Quad, Size, reading_blocks


@dataclass(frozen=True, slots=True)
class LayoutLine:
    """One line of text that the engine read."""

    text: str
    quad: Quad
    """Its corners in px of the upright, deskewed page."""
    score: float = 1.0
    """The engine's own confidence, 0…1; not to be taken for truth."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """A straight drawn line, horizontal or vertical on the deskewed page, in px."""

    start: Point
    end: Point

    @property
    def is_horizontal(self) -> bool:
        """Whether it runs along x."""
        return abs(self.end.x - self.start.x) >= abs(self.end.y - self.start.y)


@dataclass(frozen=True)
class Layout:
    """A page as a plain OCR engine sees it."""

    picture: Size
    """The picture as it was received, in px."""
    size: Size
    """The upright, deskewed page that lines and rulings lie on, in px."""
    lines: tuple[LayoutLine, ...]
    """In no order that means anything."""
    rulings: tuple[Ruling, ...] = ()
    to_picture: Affine = field(default_factory=Affine)
    """From the upright page to the picture as received."""
    warnings: tuple[str, ...] = ()
    """What the engine could not do, for a person."""

    @cached_property
    def upright_angle_deg(self) -> float:
        """How the page's own x axis lies in the picture as received, in degrees."""
        origin, ahead = self.to_picture(0, 0), self.to_picture(1, 0)
        return Quad((origin, ahead, ahead, origin)).angle_deg

    def blocks(self) -> tuple[tuple[tuple[LayoutLine, ...], ...], ...]:
        """The lines by columns and what stands between them, rows, and places in a row, each in reading order."""
        return tuple(
            tuple(tuple(self.lines[index] for index in row) for row in block)
            for block in reading_blocks([line.quad for line in self.lines])
        )

    def text_rows(self) -> tuple[tuple[LayoutLine, ...], ...]:
        """The lines that stand side by side in a column, row by row in reading order."""
        return tuple(row for block in self.blocks() for row in block)

    def in_reading_order(self) -> tuple[LayoutLine, ...]:
        """The lines as a person reads them."""
        return tuple(line for row in self.text_rows() for line in row)

    def text(self) -> str:
        """All that is written on the page: one text line a row, a blank between what stands side by side."""
        return "\n".join(" ".join(line.text for line in row) for row in self.text_rows())
