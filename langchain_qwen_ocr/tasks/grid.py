"""Cells that come row by row without their places, as in HTML and LaTeX, put into a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from langchain_qwen_ocr.errors import AnswerError
from langchain_qwen_ocr.tasks.table import Cell, Table

_MAX_COLUMNS = 2_000
"""In a table; beyond it the answer is no table."""
_MAX_FIELDS = 2_000_000
"""Fields in a table's rectangle when most of them are empty: beyond it the spans cannot be meant."""
_MAX_NAMED_ROWS = 5


class Grid:
    """Places each cell at the next place of its row that no span from above covers, as HTML's own algorithm does."""

    def __init__(self) -> None:
        self.in_row = False
        self.warnings: list[str] = []
        self._cells: list[Cell] = []
        self._row = -1
        self._column = 0
        self._row_is_empty = True
        self._covered_until: list[int] = []
        """For each column the row from which on it is free."""
        self._last_covered = 0

    def start_row(self) -> None:
        """Begin the next row."""
        self.end_row()
        self.in_row = True
        self._row += 1
        self._column = 0
        self._row_is_empty = True

    def end_row(self) -> None:
        """End the row; without cells it counts only where a span from above reaches into it."""
        if self.in_row and self._row_is_empty and not self.is_row_covered:
            self._row -= 1
        self.in_row = False

    @property
    def is_row_covered(self) -> bool:
        """Whether a span from above reaches into the row."""
        return self._last_covered > self._row

    def skip(self, columns: int) -> bool:
        """Pass over *columns* places if a span from above covers the next one; say whether."""
        covered = self._covered_until
        if self._column < len(covered) and covered[self._column] > self._row:
            self._column += columns
            return True
        return False

    def put(self, cell: Cell, text: str) -> None:
        """Place a cell with this text; only the spans of *cell* and whether it is a header count.

        Raises:
            AnswerError: The row is longer than any table's.
        """
        row, covered, column = self._row, self._covered_until, self._column
        if cell.row_span == cell.column_span == 1 and self._last_covered <= row and column < len(covered):
            self._cells.append(Cell(row, column, text, 1, 1, cell.is_header))
            self._column = column + 1
            self._row_is_empty = False
            return
        while column < len(covered) and covered[column] > row:
            column += 1
        width = cell.column_span
        if self._last_covered > row and width > 1:
            width = next((w for w, until in enumerate(covered[column : column + width]) if until > row), width)
        if width < cell.column_span:
            self.warnings.append("A cell that runs into another one was narrowed.")
        if column + width > _MAX_COLUMNS:
            raise AnswerError(f"The answer's table would have more than {_MAX_COLUMNS} columns.")
        if column + width > len(covered):
            covered.extend([0] * (column + width - len(covered)))
        end = row + cell.row_span
        covered[column : column + width] = [end] * width
        if cell.row_span > 1:
            self._last_covered = max(self._last_covered, end)
        self._cells.append(Cell(row, column, text, cell.row_span, width, cell.is_header))
        self._column = column + width
        self._row_is_empty = False

    @property
    def row_count(self) -> int:
        """How many rows there are so far."""
        return self._row + 1

    def drop_rows(self, first: int) -> None:
        """Take out the rows from *first* on."""
        self.in_row = False
        self._row = first - 1
        self._cells = [cell for cell in self._cells if cell.row < first]
        self._covered_until = [min(until, first) for until in self._covered_until]
        self._last_covered = min(self._last_covered, first)

    def finish(self, *, is_cut: bool = False) -> Table:
        """The table; what is to be said about it is in `warnings`.

        Args:
            is_cut: Whether the answer stops inside of it: empty rows at its end are then left out.

        Raises:
            AnswerError: Its rectangle is beyond all reason.
        """
        self.end_row()
        height = self.row_count
        cells = [
            replace(cell, row_span=height - cell.row) if cell.row + cell.row_span > height else cell
            for cell in self._cells
        ]
        if is_cut:
            cells = self._without_empty_tail(cells)
        area = height * len(self._covered_until)
        if area > _MAX_FIELDS and area > 100 * len(cells):
            raise AnswerError(f"The answer's table would have {area} fields for {len(cells)} cells.")
        table = Table(tuple(cells))
        self.warnings += _ragged(table)
        return table

    def _without_empty_tail(self, cells: list[Cell]) -> list[Cell]:
        last = max((cell.row for cell in cells if cell.text), default=-1)
        kept = [cell for cell in cells if cell.row <= last]
        dropped = len({cell.row for cell in cells}) - len({cell.row for cell in kept})
        if dropped:
            rows = "empty row" if dropped == 1 else "empty rows"
            self.warnings.append(f"{dropped} {rows} at the end of a table that was cut left out.")
        return [replace(c, row_span=last + 1 - c.row) if c.row + c.row_span > last + 1 else c for c in kept]


def _ragged(table: Table) -> Iterator[str]:
    """What to say about rows that end early."""
    ends = [0] * table.row_count
    for cell in table.cells:
        end = cell.column + cell.column_span
        for row in range(cell.row, cell.row + cell.row_span):
            ends[row] = max(ends[row], end)
    short = [row for row, end in enumerate(ends) if end < table.column_count]
    if short == [0] and ends[0] == table.column_count - 1:
        yield "The first row has one cell less than the rows below it; which column has no name is not said."
    elif short:
        named = ", ".join(str(row + 1) for row in short[:_MAX_NAMED_ROWS])
        more = f" and {len(short) - _MAX_NAMED_ROWS} more" if len(short) > _MAX_NAMED_ROWS else ""
        yield f"Rows with less than {table.column_count} columns: {named}{more}."
