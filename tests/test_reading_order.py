"""The order in which a person reads boxes on a page."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_qwen_ocr.geometry import Affine, Quad, reading_blocks, reading_order

Placed = tuple[str, float, float, float, float]

LINE_PX = 30


def line(text: str, left: float, top: float, width: float = 0, height: float = LINE_PX) -> Placed:
    """A line of text; without a width, as wide as so many letters are."""
    return text, left, top, left + (width or 15 * len(text)), top + height


def column(name: str, count: int, left: float, top: float, *, width: float = 420, pitch: float = 38) -> list[Placed]:
    """Lines of running text, the last one short."""
    widths = [width * (0.97 + 0.03 * (number % 2)) for number in range(count - 1)] + [width / 2]
    return [line(f"{name}{number}", left, top + pitch * number, w) for number, w in enumerate(widths)]


def grid(left: float, top: float, lefts: Iterable[float], rows: Iterable[str], *, pitch: float = 44) -> list[Placed]:
    """Words that begin at *lefts* in each row."""
    lefts = list(lefts)
    return [
        line(word, left + x, top + pitch * number)
        for number, row in enumerate(rows)
        for x, word in zip(lefts, row.split(), strict=True)
    ]


def read(placed: list[Placed], affine: Affine | None = None) -> str:
    """The texts in reading order, however they were handed in."""
    shuffled = random.Random(5).sample(placed, len(placed))
    quads = [Quad.of(*box).mapped(affine or Affine()) for _, *box in shuffled]
    return " ".join(shuffled[index][0] for index in reading_order(quads))


TITLE = line("Title", 200, 20, 600, 60)
TWO_COLUMNS = [*column("a", 9, 60, 140), *column("b", 9, 520, 140)]
FOOT = line("foot", 60, 400)
FIGURE = line("Figure", 300, 200, 400)
LETTERHEAD = [
    line("Brickworks", 60, 0),
    line("Kiln Row 3", 60, 40),
    line("27 March", 800, 110),
    line("Renewal", 60, 180),
]
RECEIPT = [
    line("店名", 300, 0),
    line("单号:0472", 40, 60),
    *grid(40, 120, (0, 300, 420), ("品名 单价 金额", "牛奶 12.80 25.60", "面包 9.90 9.90")),
    *grid(40, 280, (0, 420), ("合计 35.50", "实收 40.00", "找零 4.50", "支付 现金")),
    line("谢谢", 250, 480),
]

CASES: dict[str, tuple[list[Placed], str]] = {
    "two columns below a title across": (
        [TITLE, *TWO_COLUMNS],
        "Title a0 a1 a2 a3 a4 a5 a6 a7 a8 b0 b1 b2 b3 b4 b5 b6 b7 b8",
    ),
    "columns whose lines do not stand at the same heights": (
        [TITLE, *column("a", 5, 60, 140), *column("b", 5, 520, 157)],
        "Title a0 a1 a2 a3 a4 b0 b1 b2 b3 b4",
    ),
    "a picture's caption across splits the columns": (
        [
            *column("a", 4, 60, 0),
            *column("b", 4, 520, 0),
            line("Figure", 300, 200, 400),
            *column("c", 4, 60, 280),
            *column("d", 4, 520, 280),
        ],
        "a0 a1 a2 a3 b0 b1 b2 b3 Figure c0 c1 c2 c3 d0 d1 d2 d3",
    ),
    "paragraphs that end at the same height in both columns": (
        [*column("a", 4, 60, 0), *column("b", 4, 60, 200), *column("c", 4, 520, 0), *column("d", 4, 520, 200)],
        "a0 a1 a2 a3 b0 b1 b2 b3 c0 c1 c2 c3 d0 d1 d2 d3",
    ),
    "a running title and a page number outside the columns": (
        [line("Tides", 60, 0), line("14", 900, 0), *column("a", 4, 60, 120), *column("b", 4, 520, 120), FOOT],
        "Tides 14 a0 a1 a2 a3 b0 b1 b2 b3 foot",
    ),
    "three narrow columns": (
        [p for i, name in enumerate("abc") for p in column(name, 6, 60 + 320 * i, 0, width=290)],
        "a0 a1 a2 a3 a4 a5 b0 b1 b2 b3 b4 b5 c0 c1 c2 c3 c4 c5",
    ),
    "a receipt goes row by row": (
        RECEIPT,
        "店名 单号:0472 品名 单价 金额 牛奶 12.80 25.60 面包 9.90 9.90 合计 35.50 实收 40.00 找零 4.50 支付 现金 谢谢",
    ),
    "a form keeps label and value together": (
        grid(50, 0, (0, 300), ("Number: A-1", "Date: 3.4.", "Customer: Brindle", "Payment: cash")),
        "Number: A-1 Date: 3.4. Customer: Brindle Payment: cash",
    ),
    "a table goes row by row": (
        grid(0, 0, (0, 200, 400, 600), ("a b c d", "e f g h", "i j k l", "m n o p")),
        "a b c d e f g h i j k l m n o p",
    ),
    "one value beside a cell of two lines": (
        [*column("a", 2, 0, 0), line("1", 600, 19), *column("b", 2, 0, 120), line("2", 600, 139)],
        "a0 1 a1 b0 2 b1",
    ),
    "a letter with its date at the right": (
        [
            line("Brickworks", 60, 0),
            line("Kiln Row 3", 60, 40),
            line("27 March", 800, 110),
            line("Renewal", 60, 180),
            *column("a", 4, 60, 240, width=860),
        ],
        "Brickworks Kiln Row 3 27 March Renewal a0 a1 a2 a3",
    ),
    "ragged lines of Chinese": (
        [line(f"行{n}", 60, 50 * n, width) for n, width in enumerate((800, 780, 420, 805, 790, 130))],
        "行0 行1 行2 行3 行4 行5",
    ),
    "padded boxes that overlap the lines above and below": (
        [line(f"a{n}", 60, 30 * n, 700, 44) for n in range(6)],
        "a0 a1 a2 a3 a4 a5",
    ),
    "a large price beside a small label": (
        [line("Total", 60, 20), line("52.00", 400, 0, 200, 60), line("Thanks", 60, 100)],
        "Total 52.00 Thanks",
    ),
    "nothing": ([], ""),
    "one line": ([line("a", 3, 4)], "a"),
}


@pytest.mark.parametrize(("placed", "expected"), CASES.values(), ids=CASES)
def test_boxes_are_read_as_a_person_reads_them(placed, expected):
    """Columns one after the other, rows across."""
    assert read(placed) == expected


LONG_LINED = {
    name: case
    for name, case in CASES.items()
    if any(right - left > 3 * (bottom - top) for _, left, top, right, bottom in case[0])
}


@pytest.mark.parametrize(("placed", "expected"), LONG_LINED.values(), ids=LONG_LINED)
@pytest.mark.parametrize("angle_deg", [-6.0, -1.5, 1.5, 6.0])
def test_a_slanted_page_reads_like_a_straight_one(placed, expected, angle_deg):
    """The slant of the whole page does not mix its rows."""
    assert read(placed, Affine.rotation(angle_deg)) == expected


def test_blocks_are_columns_and_what_stands_between():
    """A title is a block before the two columns below it; side by side is a row."""
    placed = [TITLE, *TWO_COLUMNS, *grid(60, 600, (0, 800), ("left right",))]
    blocks = reading_blocks([Quad.of(*box) for _, *box in placed])
    texts = [[" ".join(placed[index][0] for index in row) for row in block] for block in blocks]
    assert texts == [
        ["Title"],
        [f"a{n}" for n in range(9)],
        [f"b{n}" for n in range(9)],
        ["left right"],
    ]


coordinates = st.integers(0, 4000)
extents = st.integers(0, 900)
pages = st.lists(
    st.builds(lambda x, y, w, h: Quad.of(x, y, x + w, y + h), coordinates, coordinates, extents, extents), max_size=40
)


@given(quads=pages)
def test_every_box_is_read_once(quads):
    """The order is a permutation of the indexes, whatever the boxes are like."""
    assert sorted(reading_order(quads)) == list(range(len(quads)))


@given(quads=pages, dx=st.integers(-5000, 5000), dy=st.integers(-5000, 5000), power=st.integers(-3, 3))
def test_the_order_does_not_depend_on_place_or_size(quads, dx, dy, power):
    """Moving or enlarging the page changes nothing."""
    moved = [quad.mapped(Affine.scaling(2.0**power, 2.0**power) @ Affine.translation(dx, dy)) for quad in quads]
    assert reading_order(moved) == reading_order(quads)
