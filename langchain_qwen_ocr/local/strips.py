"""A strip of a picture with one line of text: where it lies, what was read, and whether all of it was."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_LEAST_LETTER = 0.22
"""What spans less of a strip's height is no letter: dots, dashes, underlines."""
_RIM = 0.125
"""The part of a strip, above and below, into which neighbouring lines reach."""
_REACH = {"ideograph": 0.55, "letter": 0.36, "mark": 0.25}
"""How far on either side a character accounts for ink, in heights of the strip."""
_COLUMN_GAP = 1.2
"""So much blank, in heights of the strip, and what follows is another column."""
_ROOM = 0.06
"""What is left of the paper before and after the ink, in heights of the strip."""


@dataclass(frozen=True, slots=True)
class Look:
    """Where a strip has ink, for each px along it."""

    ink: Mask = field(default_factory=lambda: np.zeros(0, dtype=bool))
    """Anything drawn."""
    letters: Mask = field(default_factory=lambda: np.zeros(0, dtype=bool))
    """High enough for letters."""


def look_at(crop: Pixels) -> Look:
    """Where the picture of a line, upright, has ink and letters."""
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    _, dark = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)
    drawn = np.asarray(dark if dark.mean() <= 0.5 else 1 - dark, dtype=bool)  # noqa: PLR2004 - ink is the lesser half
    rim = round(_RIM * len(drawn))
    core = drawn[rim : len(drawn) - rim]
    ink = np.asarray(core.any(axis=0), dtype=bool)
    span = np.where(ink, len(core) - core[::-1].argmax(axis=0) - core.argmax(axis=0), 0)
    return Look(ink, np.asarray(span > _LEAST_LETTER * len(drawn), dtype=bool))


@dataclass(frozen=True, slots=True)
class Strip:
    """A line of text as detected, then as read."""

    corners: npt.NDArray[np.float32]
    """4x2, in px of the picture, clockwise from the text's own top-left."""
    text: str = ""
    score: float = 0.0
    places: tuple[float, ...] = ()
    """Where each character that is not blank stands, 0…1 along the strip."""
    look: Look = field(default_factory=Look)

    @property
    def length_px(self) -> float:
        """Along the text."""
        return float(np.linalg.norm(self.corners[1] - self.corners[0]))

    @property
    def height_px(self) -> float:
        """Across the text, with the detector's margin."""
        return float(np.linalg.norm(self.corners[3] - self.corners[0]))

    @property
    def angle_deg(self) -> float:
        """The mean direction of its long edges: 0 runs to the right, 90 downwards."""
        x, y = (self.corners[1] - self.corners[0]) + (self.corners[2] - self.corners[3])
        return math.degrees(math.atan2(y, x))

    @property
    def has_letters(self) -> bool:
        """Whether there is ink of a letter's height."""
        return bool(self.look.letters.any())

    @property
    def unread_share(self) -> float:
        """How much of the letters' ink has no character beside it, 0…1."""
        length = len(self.look.letters)
        accounted = np.zeros(length, dtype=bool)
        for character, place in zip(_without_blanks(self.text), self.places, strict=True):
            reach = _REACH[_kind(character)] * self.height_px
            accounted[max(0, round(place * length - reach)) : max(0, round(place * length + reach))] = True
        inked = int(self.look.letters.sum())
        return float((self.look.letters & ~accounted).sum()) / inked if inked else 0.0

    def turned(self, quarters: int) -> Strip:
        """The same place with its text starting *quarters* corners further on, clockwise; not yet read."""
        return Strip(np.roll(self.corners, -quarters, axis=0))

    def part(self, start: float, end: float) -> Strip:
        """The place between two fractions of its length."""
        a, b, c, d = self.corners
        top, bottom = b - a, c - d
        corners = [a + start * top, a + end * top, d + end * bottom, d + start * bottom]
        return Strip(np.array(corners, dtype=np.float32))

    def crop(self, picture: Pixels) -> Pixels:
        """The strip alone, its text upright, at the picture's own scale."""
        width, height = max(round(self.length_px), 1), max(round(self.height_px), 1)
        target = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
        matrix = cv2.getPerspectiveTransform(self.corners, target)
        crop = cv2.warpPerspective(
            picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE, flags=cv2.INTER_CUBIC
        )
        return np.asarray(crop, dtype=np.uint8)

    def read_as(self, text: str, score: float, places: tuple[float, ...], look: Look) -> Strip:
        """The strip with what was read on it."""
        return replace(self, text=text, score=score, places=places, look=look)

    def pieces(self, crossings: Sequence[float] = ()) -> list[Strip]:
        """It cut where a wide blank or a drawn line divides it, each piece trimmed to its ink.

        Args:
            crossings: Where drawn lines cross it, in fractions of its length.
        """
        cuts = sorted({*crossings, *self._wide_blanks()})
        edges = [0.0, *cuts, 1.0]
        texts = _divide(self.text, self.places, cuts)
        return [
            replace(self, text=text, corners=self.part(*self._trimmed(start, end)).corners)
            for text, (start, end) in zip(texts, pairwise(edges), strict=True)
            if text
        ]

    def _wide_blanks(self) -> list[float]:
        """The middles of blanks as wide as between columns, no character in them."""
        length, height = len(self.look.ink), self.height_px
        inked = np.flatnonzero(self.look.ink)
        wide = np.flatnonzero(np.diff(inked) > _COLUMN_GAP * height)
        middles = [float(inked[i] + inked[i + 1]) / 2 / length for i in wide]
        return [middle for middle in middles if not any(abs(p - middle) * length < height / 4 for p in self.places)]

    def _trimmed(self, start: float, end: float) -> tuple[float, float]:
        length = len(self.look.ink)
        inked = np.flatnonzero(self.look.ink[round(start * length) : round(end * length)])
        if not len(inked):
            return start, end
        room = _ROOM * self.height_px
        first, last = round(start * length) + int(inked[0]), round(start * length) + int(inked[-1]) + 1
        return max(start, (first - room) / length), min(end, (last + room) / length)


def _without_blanks(text: str) -> list[str]:
    return [character for character in text if not character.isspace()]


def _kind(character: str) -> str:
    if unicodedata.category(character).startswith("P"):
        return "mark"
    return "ideograph" if unicodedata.east_asian_width(character) in "WF" else "letter"


def _divide(text: str, places: Sequence[float], cuts: Sequence[float]) -> list[str]:
    """*text* in as many parts as the cuts make, each character where it stands; blanks at the ends dropped.

    A bar beside a cut is the drawn line, read as a character.
    """
    parts = [""] * (len(cuts) + 1)
    current, place = 0, iter(places)
    for character in text:
        if not character.isspace():
            at = next(place)
            current = sum(cut <= at for cut in cuts)
        parts[current] += character
    return [part.strip(" \u3000|｜") if cuts else part.strip() for part in parts]
