"""The views of a table."""

import pytest

from langchain_qwen_ocr.errors import OptionError
from langchain_qwen_ocr.tasks.table import Cell, Table

HEAD = Table(
    (
        Cell(0, 0, "Item", row_span=2, is_header=True),
        Cell(0, 1, "Price", column_span=2, is_header=True),
        Cell(1, 1, "net", is_header=True),
        Cell(1, 2, "gross", is_header=True),
        Cell(2, 0, "Tea|cup\n(blue)"),
        Cell(2, 1, "=1+1"),
        Cell(2, 2, "-3"),
    )
)


def test_rows_repeat_what_spans() -> None:
    """A spanning cell's text stands in every place it covers."""
    assert HEAD.rows == (
        ("Item", "Price", "Price"),
        ("Item", "net", "gross"),
        ("Tea|cup\n(blue)", "=1+1", "-3"),
    )


def test_markdown_escapes_pipes_and_breaks() -> None:
    """Nothing in a field can end it; spans stand once when asked."""
    assert HEAD.to_markdown(repeat_spans=False) == (
        "| Item | Price |  |\n| --- | --- | --- |\n|  | net | gross |\n| Tea\\|cup<br>(blue) | =1+1 | -3 |"
    )


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("a_b", "a_b"),
        ("_a_", "\\_a\\_"),
        ("2 * 3", "2 * 3"),
        ("*a*", "\\*a\\*"),
        ("<b>", "&lt;b>"),
        ("a < b", "a < b"),
        ("`x`", "\\`x\\`"),
        ("[t](u)", "[t]\\(u)"),
        ("\\(a|b\\)", "$a\\vert b$"),
        ("R&D", "R&D"),
        ("&amp;", "&amp;amp;"),
    ],
)
def test_markdown_escapes_only_what_has_a_meaning(text, field) -> None:
    """Plain text stays readable, and stays text."""
    assert Table((Cell(0, 0, text),)).to_markdown().splitlines()[0] == f"| {field} |"


def test_csv() -> None:
    """Fields are quoted where needed, and disarmed for spreadsheets on request."""
    assert HEAD.to_csv() == 'Item,Price,Price\r\nItem,net,gross\r\n"Tea|cup\n(blue)",=1+1,-3\r\n'
    assert HEAD.to_csv(escape_formulas=True).endswith(",'=1+1,'-3\r\n")


def test_dataframe_takes_the_marked_head() -> None:
    """Header rows name the columns; without any the first row does."""
    frame = HEAD.to_dataframe()
    assert [frame.columns.get_level_values(n).tolist() for n in (0, 1)] == [
        ["Item", "Price", "Price"],
        ["Item", "net", "gross"],
    ]
    assert frame.values.tolist() == [["Tea|cup\n(blue)", "=1+1", "-3"]]
    plain = Table((Cell(0, 0, "a"), Cell(1, 0, "1"))).to_dataframe()
    assert (list(plain.columns), plain.values.tolist()) == (["a"], [["1"]])


def test_gaps_before_a_cell_are_filled() -> None:
    """HTML cannot leave a place out, so a table has none but at the end of a row."""
    table = Table((Cell(0, 1, "b"), Cell(2, 0, "c")))
    assert [(cell.row, cell.column, cell.text) for cell in table.cells] == [
        (0, 0, ""),
        (0, 1, "b"),
        (1, 0, ""),
        (2, 0, "c"),
    ]


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param(lambda: (Cell(0, 0, "a", column_span=2), Cell(0, 1, "b")), id="same-row"),
        pytest.param(lambda: (Cell(0, 0, "a", row_span=2), Cell(1, 0, "b")), id="row-below"),
        pytest.param(lambda: (Cell(-1, 0, "a"),), id="outside"),
        pytest.param(lambda: (Cell(0, 0, "a", row_span=0),), id="no-span"),
        pytest.param(lambda: (Cell(0, 0, "a", column_span=10**9),), id="absurd-span"),
    ],
)
def test_impossible_cells_are_refused(cells) -> None:
    """Two cells in one place, or a cell in none, are the caller's mistake."""
    with pytest.raises(OptionError):
        Table(cells())
