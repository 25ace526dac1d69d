"""A table as cells with spans, and the flat views of it: rows, Markdown, CSV, a pandas frame."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from langchain_qwen_ocr.errors import OptionError
from langchain_qwen_ocr.tasks.wording import markdown_cell, normal_lines

if TYPE_CHECKING:
    import pandas as pd

Row = tuple[str, ...]

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet may run when a field begins with it."""

MAX_ROW_SPAN = 65534
MAX_COLUMN_SPAN = 1000
"""The HTML standard, "Attributes common to td and th elements"."""

_PLACE = attrgetter("row", "column")


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell, and how many rows and columns it covers."""

    row: int
    """The first row it covers, from 0."""
    column: int
    """The first column it covers, from 0."""
    text: str
    """Lines without empty ones, white space collapsed; inline mathematics stands between `\\(` and `\\)`."""
    row_span: int = 1
    column_span: int = 1
    is_header: bool = False

    def __post_init__(self) -> None:
        """Bring the text to its normal form.

        Raises:
            OptionError: It lies outside of any table, or covers more than HTML lets a cell cover.
        """
        spans_fit = 1 <= self.row_span <= MAX_ROW_SPAN and 1 <= self.column_span <= MAX_COLUMN_SPAN
        if self.row < 0 or self.column < 0 or not spans_fit:
            raise OptionError(
                f"A cell at row {self.row}, column {self.column} cannot cover "
                f"{self.row_span} rows and {self.column_span} columns."
            )
        text = normal_lines(self.text)
        if text != self.text:
            object.__setattr__(self, "text", text)


@dataclass(frozen=True)
class Table:
    """Cells with spans: the truth of a table, of which rows, Markdown, CSV and frames are views.

    Cells are kept in reading order. A gap before a cell is filled with an empty cell, as HTML has no other way to
    say it; a row may end early.

    Raises:
        OptionError: Two cells cover the same place.
    """

    cells: tuple[Cell, ...] = ()

    def __post_init__(self) -> None:
        """Put the cells in order."""
        object.__setattr__(self, "cells", tuple(self.cells if _is_plain(self.cells) else _ordered(self.cells)))

    @cached_property
    def row_count(self) -> int:
        """How many rows there are."""
        return max((cell.row + cell.row_span for cell in self.cells), default=0)

    @cached_property
    def column_count(self) -> int:
        """How many columns the widest row has."""
        return max((cell.column + cell.column_span for cell in self.cells), default=0)

    @cached_property
    def header_row_count(self) -> int:
        """How many rows from the top on hold header cells only."""
        first_body_row = min((cell.row for cell in self.cells if not cell.is_header), default=self.row_count)
        spanning = (cell.row + cell.row_span for cell in self.cells if cell.row < first_body_row)
        return first_body_row if max(spanning, default=0) <= first_body_row else 0

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The texts as a rectangle; a spanning cell's text stands in every place it covers."""
        return self._rectangle(repeat=True)

    def _rectangle(self, *, repeat: bool) -> tuple[Row, ...]:
        grid = [[""] * self.column_count for _ in range(self.row_count)]
        for cell in self.cells:
            if cell.row_span == cell.column_span == 1 or not repeat:
                grid[cell.row][cell.column] = cell.text
                continue
            for row in grid[cell.row : cell.row + cell.row_span]:
                row[cell.column : cell.column + cell.column_span] = [cell.text] * cell.column_span
        return tuple(map(tuple, grid))

    def to_html(self) -> str:
        """It as HTML: nothing but table, tr, th, td, br and spans, all text escaped."""
        lines = ["<table>"]
        for cells in self._cells_by_row():
            lines += ["  <tr>", *(f"    {_html_cell(cell)}" for cell in cells), "  </tr>"]
        return "\n".join([*lines, "</table>"])

    def to_markdown(self, *, repeat_spans: bool = True, escape_dollars: bool = False) -> str:
        """It as a pipe table; the first row is its head, as Markdown has no table without one.

        Args:
            repeat_spans: Whether a spanning cell's text stands in every place it covers, or in the first alone.
            escape_dollars: Whether a dollar sign is kept from opening mathematics.
        """
        if not self.column_count:
            return ""
        head, *body = (
            "| " + " | ".join(markdown_cell(text, escape_dollars=escape_dollars) for text in row) + " |"
            for row in self._rectangle(repeat=repeat_spans)
        )
        return "\n".join([head, "|" + " --- |" * self.column_count, *body])

    def to_csv(self, *, repeat_spans: bool = True, escape_formulas: bool = False) -> str:
        r"""It as comma-separated values with `\r\n` line ends (RFC 4180).

        Args:
            repeat_spans: Whether a spanning cell's text stands in every place it covers, or in the first alone.
            escape_formulas: Whether a field that a spreadsheet would run as a formula (it begins with `=`, `+`, `-`
                or `@`) gets an apostrophe in front. What a picture says is anybody's text: set it when people open
                the file. It changes negative numbers too.
        """
        out = io.StringIO()
        rows = self._rectangle(repeat=repeat_spans)
        csv.writer(out).writerows([map(_disarmed, row) for row in rows] if escape_formulas else rows)
        return out.getvalue()

    def to_dataframe(self, *, header_rows: int | None = None) -> pd.DataFrame:
        """It as a pandas frame of strings.

        Args:
            header_rows: How many rows from the top name the columns; several make a MultiIndex. None for the rows
                that the table itself marks as header, or for the first row when it marks none and has others.

        Raises:
            OptionError: pandas is not installed, or there are not so many rows.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise OptionError('to_dataframe needs pandas: pip install "langchain-qwen-ocr[pandas]"') from error
        rows = self.rows
        if header_rows is None:
            header_rows = self.header_row_count or (1 if len(rows) > 1 else 0)
        if not 0 <= header_rows <= len(rows):
            raise OptionError(f"header_rows is 0 to {len(rows)} for this table, not {header_rows}.")
        head, body = rows[:header_rows], rows[header_rows:]
        if not head:
            return pd.DataFrame(body, dtype="object")
        columns = pd.Index(head[0]) if len(head) == 1 else pd.MultiIndex.from_arrays(head)
        return pd.DataFrame(body, columns=columns, dtype="object")

    def _cells_by_row(self) -> Iterator[list[Cell]]:
        rows: list[list[Cell]] = [[] for _ in range(self.row_count)]
        for cell in self.cells:
            rows[cell.row].append(cell)
        yield from rows


def _html_cell(cell: Cell) -> str:
    tag = "th" if cell.is_header else "td"
    rows = f' rowspan="{cell.row_span}"' if cell.row_span > 1 else ""
    columns = f' colspan="{cell.column_span}"' if cell.column_span > 1 else ""
    text = html.escape(cell.text, quote=False).replace("\n", "<br>")
    return f"<{tag}{rows}{columns}>{text}</{tag}>"


def _disarmed(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _is_plain(cells: Iterable[Cell]) -> bool:
    """Whether the cells are in order, without spans and gaps."""
    row, column = 0, -1
    for cell in cells:
        if cell.row == row and cell.column == column + 1:
            column += 1
        elif cell.row == row + 1 and cell.column == 0 and column >= 0:
            row, column = row + 1, 0
        else:
            return False
        if cell.row_span != 1 or cell.column_span != 1:
            return False
    return True


def _ordered(cells: Iterable[Cell]) -> Iterator[Cell]:
    """The cells row by row, with empty ones in the gaps before a cell."""
    covered_until: dict[int, int] = {}
    next_row = last_covered = 0
    for row, in_row in groupby(sorted(cells, key=_PLACE), key=lambda cell: cell.row):
        for empty_row in range(max(next_row, last_covered), row):
            yield Cell(empty_row, 0, "")
        next_row, next_column = row + 1, 0
        for cell in in_row:
            for column in range(next_column, cell.column):
                if covered_until.get(column, 0) <= row:
                    yield Cell(row, column, "")
            next_column = cell.column + cell.column_span
            for column in range(cell.column, next_column):
                if covered_until.get(column, 0) > row:
                    raise OptionError(f"Two cells cover row {row}, column {column}.")
                covered_until[column] = row + cell.row_span
            last_covered = max(last_covered, row + cell.row_span)
            yield cell
