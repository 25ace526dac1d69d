"""Tables from the lines and rulings of a page."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pytest

from langchain_qwen_ocr.geometry import Affine, Point, Quad, Size
from langchain_qwen_ocr.tasks.layout import Layout, LayoutLine, Ruling
from langchain_qwen_ocr.tasks.layout_tables import find_tables
from langchain_qwen_ocr.tasks.table import Cell, Table

PAGE = Size(2400, 3000)
LINE_PX = 32


def line(text: str, left: float, top: float, width: float | None = None) -> LayoutLine:
    """A line of text; without a width, as wide as so many letters are."""
    return LayoutLine(text, Quad.of(left, top, left + (width or 14 * len(text)), top + LINE_PX))


def across(y: float, left: float, right: float) -> Ruling:
    return Ruling(Point(left, y), Point(right, y))


def down(x: float, top: float, bottom: float) -> Ruling:
    return Ruling(Point(x, top), Point(x, bottom))


def page(lines: Iterable[LayoutLine], rulings: Iterable[Ruling] = ()) -> Layout:
    return Layout(PAGE, PAGE, tuple(lines), tuple(rulings))


def lattice(xs: Sequence[float], ys: Sequence[float]) -> list[Ruling]:
    """The rulings of a table without merged cells."""
    return [*(across(y, xs[0], xs[-1]) for y in ys), *(down(x, ys[0], ys[-1]) for x in xs)]


def words(rows: Sequence[str], lefts: Sequence[float], top: float = 10, pitch: float = 60) -> list[LayoutLine]:
    """The words of each row, each at the left edge of its column; a dot leaves its place empty."""
    return [
        line(word, left + 10, top + pitch * number)
        for number, row in enumerate(rows)
        for left, word in zip(lefts, row.split(), strict=True)
        if word != "."
    ]


def tables(layout: Layout) -> list[tuple[tuple[str, ...], ...]]:
    return [placed.table.rows for placed in find_tables(layout)]


def test_cells_whose_edge_is_not_drawn_are_one():
    """Spans come from the rulings that are missing."""
    rulings = [
        *(across(y, 0, 600) for y in (0, 180)),
        across(60, 200, 600),
        across(120, 0, 600),
        *(down(x, 0, 180) for x in (0, 200, 600)),
        down(400, 60, 180),
    ]
    lines = [line("shop", 20, 40), line("plan", 350, 10), *words(("1 2",), (200, 400), 70)]
    (placed,) = find_tables(page([*lines, *words(("a b c",), (0, 200, 400), 130)], rulings))
    assert placed.table.cells == (
        Cell(0, 0, "shop", row_span=2),
        Cell(0, 1, "plan", column_span=2),
        Cell(1, 1, "1"),
        Cell(1, 2, "2"),
        Cell(2, 0, "a"),
        Cell(2, 1, "b"),
        Cell(2, 2, "c"),
    )


def test_several_lines_of_a_cell_stay_below_each_other():
    """A cell's lines are joined from top to bottom, what stands side by side with a blank."""
    rulings = lattice((0, 300, 600), (0, 120, 180))
    lines = [line("second", 10, 60), line("first", 10, 15), line("left", 310, 40), line("right", 450, 40)]
    assert tables(page([*lines, *words(("x y",), (0, 300), 130)], rulings)) == [
        (("first\nsecond", "left right"), ("x", "y"))
    ]


def test_each_drawn_table_is_one():
    """Two lattices on a page are two tables, from top to bottom; a text between them is in neither."""
    rulings = lattice((0, 200, 400), (500, 560, 620)) + lattice((0, 200, 400), (0, 60, 120))
    lines = [*words(("a b", "c d"), (0, 200)), line("between", 0, 300), *words(("e f", "g h"), (0, 200), 510)]
    found = find_tables(page(lines, rulings))
    assert [placed.table.rows for placed in found] == [(("a", "b"), ("c", "d")), (("e", "f"), ("g", "h"))]
    assert [sorted(placed.line_indexes) for placed in found] == [[0, 1, 2, 3], [5, 6, 7, 8]]
    assert found[0].bounds == (0, 0, 400, 120)


def test_broken_and_crooked_rulings_are_one_line():
    """Pieces of a ruling, a little off and with gaps, make the edge that was meant."""
    rulings = [across(y + dy, x, x + 195) for y in (0, 60, 120) for x, dy in ((0, 0), (200, 3), (400, -2))]
    rulings += [down(x + dx, y + 2, y + 57) for x in (0, 200, 400, 600) for y, dx in ((0, 1), (60, -2))]
    assert tables(page(words(("a b c", "d e f"), (0, 200, 400)), rulings)) == [(("a", "b", "c"), ("d", "e", "f"))]


def test_a_table_open_at_its_sides():
    """Rows that go on beyond the outermost vertical ruling have a column there."""
    rulings = [*(across(y, 0, 600) for y in (0, 60, 120)), down(200, 0, 120), down(400, 0, 120)]
    assert tables(page(words(("a b c", "d e f"), (0, 200, 400)), rulings)) == [(("a", "b", "c"), ("d", "e", "f"))]


def test_a_box_over_a_ruling_is_divided_at_a_blank():
    """Two cells that were read as one line get their own words back."""
    rulings = lattice((0, 200, 400), (0, 60, 120))
    lines = [line("Number A-17", 90, 10, 190), *words(("a b",), (0, 200), 70)]
    assert tables(page(lines, rulings)) == [(("Number", "A-17"), ("a", "b"))]


def test_rulings_across_alone_make_rows_of_words():
    """A table in the manner of books: a ruling above, below and under the head."""
    rulings = [across(y, 0, 700) for y in (0, 58, 240)]
    lines = words(("Name Depth Salt", "North 4.5 31.2", "South . 12.9", "East 2.0 3.1"), (0, 250, 500))
    assert tables(page(lines, rulings)) == [
        (("Name", "Depth", "Salt"), ("North", "4.5", "31.2"), ("South", "", "12.9"), ("East", "2.0", "3.1"))
    ]


def test_a_ruling_below_each_row_keeps_lines_of_a_cell_together():
    """Between two of many rulings there is one row, however many lines its cells have."""
    rulings = [across(y, 0, 700) for y in (0, 60, 160, 260, 320)]
    lines = words(("Name Place",), (0, 400))
    lines += [line("north pier", 10, 70), line("far end", 10, 110), line("quay", 410, 90)]
    lines += [line("old lock", 10, 170), line("gate", 10, 210), line("town", 410, 190)]
    lines += words(("mill basin",), (0, 400), 270)
    assert tables(page(lines, rulings)) == [
        (("Name", "Place"), ("north pier\nfar end", "quay"), ("old lock\ngate", "town"), ("mill", "basin"))
    ]


def test_words_in_columns_are_a_table():
    """Without rulings, what keeps to columns over several rows is a table; the title above is not in it."""
    lines = [line("Water samples of the first week", 60, 0)]
    lines += words(("Station Depth Salt", "North 4.5 31.20", "Lock . 12.85", "Buoy 18.0 3.10"), (50, 350, 600), 120)
    (placed,) = find_tables(page(lines))
    assert placed.table.rows == (
        ("Station", "Depth", "Salt"),
        ("North", "4.5", "31.20"),
        ("Lock", "", "12.85"),
        ("Buoy", "18.0", "3.10"),
    )
    assert 0 not in placed.line_indexes


def column(name: str, left: float) -> list[LayoutLine]:
    """A column of running text."""
    return [line(f"{name} line {n} of a text", left, 40 * n, 560 - 40 * (n % 3)) for n in range(12)]


FORM = ("No:", "A-1", "Date:", "3.4.", "By:", "me", "For:", "you")
SCATTERED = (("one", 0, 0), ("two", 170, 0), ("three", 60, 50), ("four", 300, 50), ("five", 20, 100), ("six", 240, 100))
NO_TABLES = {
    "nothing": page([]),
    "one line": page([line("alone", 0, 0)]),
    "a paragraph": page(column("a", 0)),
    "two columns of running text": page([*column("a", 0), *column("b", 620)]),
    "labels with their values": page([line(text, 300 * (n % 2), 60 * (n // 2)) for n, text in enumerate(FORM)]),
    "two words beside two others": page(words(("a b", "c d"), (0, 300))),
    "a frame around a text": page([line("framed", 20, 20)], lattice((0, 400), (0, 100))),
    "a frame around running text": page(column("a", 20), lattice((0, 700), (-20, 600))),
    "a cross": page([line("a", 20, 20)], [across(100, 0, 200), down(100, 0, 200)]),
    "a note on squared paper": page(
        [line("milk", 95, 95), line("and bread", 95, 195)],
        lattice([30.0 * n for n in range(40)], [30.0 * n for n in range(60)]),
    ),
    "running text between two rulings": page(column("a", 0), [across(-10, 0, 600), across(500, 0, 600)]),
    "words here and there": page([line(*word) for word in SCATTERED]),
}


@pytest.mark.parametrize("layout", NO_TABLES.values(), ids=NO_TABLES)
def test_what_is_no_table(layout):
    """Nothing is made a table that is none."""
    assert find_tables(layout) == ()


LETTERS = "abcdefghijklmnop"


@dataclass(frozen=True)
class Drawn:
    """A table and the page that shows it."""

    table: Table
    layout: Layout


def random_cells(dice: random.Random, row_count: int, column_count: int, *, merged: float) -> list[Cell]:
    """Cells of random spans and texts such that a cell begins in each row and each column."""
    while True:
        taken: set[tuple[int, int]] = set()
        cells = []
        for row in range(row_count):
            for column in range(column_count):
                if (row, column) in taken:
                    continue
                height, width = dice.choice([(1, 2), (2, 1), (2, 2), (1, 3)]) if dice.random() < merged else (1, 1)
                places = {(row + r, column + c) for r in range(height) for c in range(width)}
                if row + height > row_count or column + width > column_count or places & taken:
                    height, width, places = 1, 1, {(row, column)}
                taken |= places
                text = "".join(dice.choices(LETTERS, k=dice.randint(1, 9)))
                if merged and dice.random() < 0.07:
                    text = ""
                cells.append(Cell(row, column, text, height, width))
        if {c.row for c in cells} == set(range(row_count)) and {c.column for c in cells} == set(range(column_count)):
            return cells


def drawn_table(seed: int, *, ruled: bool) -> Drawn:
    """A random table of 3–9 rows and 2–7 columns, with everything a pixel or two off."""
    dice = random.Random(seed)
    row_count, column_count = dice.randint(3, 9), dice.randint(2, 7)
    cells = random_cells(dice, row_count, column_count, merged=0.18 if ruled else 0.0)
    xs, ys = [80.0], [90.0]
    for _ in range(column_count):
        xs.append(xs[-1] + dice.randint(170, 320))
    for _ in range(row_count):
        ys.append(ys[-1] + (dice.randint(50, 90) if ruled else 56))
    sides = [dice.choice("lmr") for _ in range(column_count)]
    lines, rulings = [], []
    for cell in cells:
        left, right = xs[cell.column], xs[cell.column + cell.column_span]
        top, bottom = ys[cell.row], ys[cell.row + cell.row_span]
        off = dice.uniform(-2, 2)
        rulings += [across(top + off, left, right), across(bottom + off, left, right)]
        rulings += [down(left + off, top, bottom), down(right + off, top, bottom)]
        if cell.text:
            width = 14.0 * len(cell.text) + 6
            places = {"l": left + 12, "m": (left + right - width) / 2, "r": right - 12 - width}
            lines.append(line(cell.text, places[sides[cell.column]] + off, (top + bottom - LINE_PX) / 2 + off, width))
    dice.shuffle(lines)
    return Drawn(Table(tuple(cells)), page(lines, rulings if ruled else ()))


@pytest.mark.parametrize("ruled", [True, False], ids=["ruled", "without rulings"])
def test_random_tables_are_found_exactly(ruled):
    """Sixty random tables each way come back cell by cell, spans and all."""
    drawn = [drawn_table(seed, ruled=ruled) for seed in range(60)]
    wrong = [seed for seed, d in enumerate(drawn) if [placed.table for placed in find_tables(d.layout)] != [d.table]]
    assert wrong == []


@pytest.mark.parametrize("ruled", [True, False], ids=["ruled", "without rulings"])
def test_tables_do_not_depend_on_place_or_size(ruled):
    """The same table elsewhere and twice as large is the same table."""
    drawn = drawn_table(3, ruled=ruled)
    bigger = Affine.scaling(2, 2) @ Affine.translation(500, 300)
    moved = page(
        [LayoutLine(text.text, text.quad.mapped(bigger)) for text in drawn.layout.lines],
        [Ruling(bigger(*ruling.start), bigger(*ruling.end)) for ruling in drawn.layout.rulings],
    )
    assert [placed.table for placed in find_tables(moved)] == [drawn.table]
