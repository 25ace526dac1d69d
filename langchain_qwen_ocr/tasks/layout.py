"""What a plain OCR engine sees on a picture: lines, drawn rulings, and how the page lies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from langchain_qwen_ocr.geometry import Affine, Point, Quad, Size


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
    to_picture: Affine = Affine()
    """From the upright page to the picture as received."""
    warnings: tuple[str, ...] = ()
    """What the engine could not do, for a person."""

    @cached_property
    def upright_angle_deg(self) -> float:
        """How the page's own x axis lies in the picture as received, in degrees."""
        origin, ahead = self.to_picture(0, 0), self.to_picture(1, 0)
        return Quad((origin, ahead, ahead, origin)).angle_deg
