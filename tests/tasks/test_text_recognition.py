"""Running text, also where the model gave places unasked."""

from __future__ import annotations

import pytest

from langchain_qwen_ocr import MultilingualRecognition, TextRecognition
from langchain_qwen_ocr.errors import AnswerError
from langchain_qwen_ocr.geometry import Quad, Size
from langchain_qwen_ocr.tasks.layout import Layout, LayoutLine
from langchain_qwen_ocr.tasks.results import Text

PLACED = {
    "rows": "236,254,115,299,90,Open daily\n646,254,115,269,90,Closed, Mondays",
    "fenced rows": "```\n236,254,115,299,90,Open daily\n646,254,115,269,90,Closed, Mondays\n```",
    "objects": (
        '```json\n[{"rotate_rect": [236, 254, 115, 299, 90], "text": "Open daily"},'
        ' {"rotate_rect": [646, 254, 115, 269, 90], "text": "Closed, Mondays"}]\n```'
    ),
    "numbered": "1. Open daily [236, 254, 115, 299, 90]\n2. Closed, Mondays [646, 254, 115, 269, 90]",
}
PLAIN = {
    "lines": "Open daily\nClosed on Mondays",
    "rows of numbers": "1,2,3,4,5\n6,7,8,9,1000\n2,2,2,2,512",
    "a list of numbers and words": "2024,1,15,3,47,Widget\n2024,1,16,5,58,Gadget",
    "years and small numbers": "2024,10,5,3,1\n2024,11,6,4,0",
    "a row of numbers among text": "Sizes\n10,20,30,40,90\nColours\nred\nblue",
    "JSON": '{"name": "left-pad"}',
    "code with a fence": "Type:\n```\nls\n```\nand Enter.",
    "blanks": "  two blanks before\n\n",
}


@pytest.mark.parametrize("answer", PLACED.values(), ids=PLACED)
def test_places_given_unasked_are_left_out(answer: str) -> None:
    """The text comes without the numbers, and that is said."""
    text = TextRecognition().parse(answer)
    assert text.text == "Open daily\nClosed, Mondays"
    assert "gave 2 places unasked" in text.warnings[-1]


@pytest.mark.parametrize("answer", PLAIN.values(), ids=PLAIN)
def test_text_of_the_page_stays_as_it_is(answer: str) -> None:
    """Numbers, code and data of the page itself are no places."""
    assert TextRecognition().parse(answer) == Text(answer)


def test_a_fence_around_the_text_comes_off() -> None:
    """The fence is the model's, not the page's."""
    assert MultilingualRecognition().parse("```text\nПривіт\n```") == Text("Привіт")


def test_an_open_fence_is_a_cut() -> None:
    """A fence that never closes says that the end is missing."""
    assert TextRecognition().parse("```\nOpen dai").cut


def test_places_without_text_are_no_text() -> None:
    """An answer of nothing but places is not an empty page."""
    with pytest.raises(AnswerError, match="2 places and no text"):
        TextRecognition().parse("236,254,115,299,90\n646,254,115,269,90")


def test_pieces_of_places_are_no_text() -> None:
    """Several on a line, drifting separators and a cut tail are places all the same."""
    with pytest.raises(AnswerError, match="places and no text"):
        TextRecognition().parse("(236,254,115,299,90), (646,254,115,269,90)\n420,204,33,3 3,90\n334,)")


def test_a_plain_engine_reads_row_by_row() -> None:
    """What stands side by side shares a line."""
    layout = Layout(
        picture=Size(800, 200),
        size=Size(800, 200),
        lines=(
            LayoutLine("below", Quad.of(20, 80, 120, 110)),
            LayoutLine("daily", Quad.of(130, 20, 230, 50)),
            LayoutLine("Open", Quad.of(20, 20, 120, 50)),
        ),
        warnings=("The lower half is blurred.",),
    )
    text = TextRecognition().from_layout(layout)
    assert text.text == "Open daily\nbelow"
    assert text.warnings == ("The lower half is blurred.",)
