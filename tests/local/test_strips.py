"""What becomes of a line once it is read: whether all of it was, and how it divides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_qwen_ocr.local.strips import Look, Strip

HEIGHT_PX, EM_PX = 40, 20


def _strip(text: str, *, ink: str | None = None) -> Strip:
    """A strip on which each character, blanks too, takes 20 px; *ink* marks where letters stand, "x" by "x"."""
    length = EM_PX * max(len(text), len(ink or ""))
    drawn = [not character.isspace() for character in (ink or text).ljust(length // EM_PX)]
    columns = np.repeat(np.array(drawn, dtype=bool), EM_PX)
    places = tuple((i + 0.5) * EM_PX / length for i, character in enumerate(text) if not character.isspace())
    corners = np.array([[0, 0], [length, 0], [length, HEIGHT_PX], [0, HEIGHT_PX]], dtype=np.float32)
    return Strip(corners, text, 0.99, places, Look(columns, columns))


UNREAD = {
    "all read": ("harbour", "xxxxxxx", 0.0),
    "nothing read": ("", "xxxxxxxxxxxx", 1.0),
    "only a full stop of it": ("           .", "xxxxxxxxxxxx", 0.875),
    "no letters": ("-", " ", 0.0),
}


@pytest.mark.parametrize(("text", "ink", "share"), UNREAD.values(), ids=UNREAD)
def test_ink_without_a_character_is_unread(text, ink, share):
    """However sure the recogniser is, ink that no character stands beside was not read."""
    assert _strip(text, ink=ink).unread_share == pytest.approx(share, abs=0.05)


def test_a_wide_blank_divides():
    """A blank of more than a line's height is a gap between columns; that between words is not."""
    pieces = _strip("Invoice number    LH-26").pieces()
    assert [piece.text for piece in pieces] == ["Invoice number", "LH-26"]
    # Each piece lies on its own ink: 14 characters, then 4 blanks, then 5 characters.
    assert pieces[0].corners[:, 0].max() == pytest.approx(14 * EM_PX, abs=4)
    assert pieces[1].corners[:, 0].min() == pytest.approx(18 * EM_PX, abs=4)


def test_a_drawn_line_divides():
    """What stands on both sides of a ruling are two cells; the ruling, read as a bar, is no text."""
    pieces = _strip("12.50|3").pieces([5.5 / 7])
    assert [piece.text for piece in pieces] == ["12.50", "3"]


@given(
    text=st.text(st.sampled_from("abc 一二三,.-"), min_size=1, max_size=30).filter(str.strip),
    crossings=st.lists(st.floats(0.01, 0.99), max_size=4),
)
def test_division_loses_nothing(text, crossings):
    """However a line divides, its characters stay, in their order."""
    pieces = _strip(text).pieces(crossings)
    joined = "".join(piece.text for piece in pieces)
    assert "".join(joined.split()) == "".join(text.split())


@given(quarters=st.integers(0, 7))
def test_turning_keeps_the_place(quarters):
    """A turned strip is the same place with another beginning; four quarters are none."""
    strip = _strip("abc")
    assert {tuple(corner) for corner in strip.turned(quarters).corners} == {tuple(corner) for corner in strip.corners}
    assert (strip.turned(quarters).turned(4 - quarters % 4).corners == strip.corners).all()
