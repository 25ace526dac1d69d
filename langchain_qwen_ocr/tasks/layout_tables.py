"""Tables of a page from its drawn rulings, or from how its words stand below each other.

Where a table is drawn, its rulings say what a cell is: cells whose common edge is not drawn are one. Where nothing is
drawn, words that keep to columns over several rows are a table; nothing there can show a cell across several columns.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, groupby, pairwise
from statistics import median

from langchain_qwen_ocr.geometry import Bounds, Quad, reading_blocks, union_bounds
from langchain_qwen_ocr.tasks.layout import Layout, LayoutLine, Ruling
from langchain_qwen_ocr.tasks.table import Cell, Table

_FALLBACK_LINE_HEIGHT_PX = 30.0
_RULED_ROWS = 4
"""From so many bands between horizontal rulings on, each band is a row."""
_SQUARED_PAPER_CELLS = 400
_CELLS_PER_TEXT = 20
"""A grid of more cells with fewer texts is what the page is printed on, not what it says."""
_LABEL = re.compile(r"[:\uff1a]\s*$|^[^\d:\uff1a]{1,30}[:\uff1a]\s*\S")
"""A line that names a field; its rows are a form, not a table."""


@dataclass(frozen=True, slots=True)
class PlacedTable:
    """A table and where it stands on the upright page."""

    table: Table
    bounds: Bounds
    """In px."""
    line_indexes: frozenset[int]
    """Which of the layout's lines it holds."""


@dataclass(frozen=True, slots=True)
class _Edge:
    """A drawn line at *at*, along the other axis from *low* to *high*, in px."""

    at: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class _Piece:
    """A text and the bounds of its box; half of a line where a box goes over a ruling."""

    text: str
    bounds: Bounds
    line_index: int

    @property
    def x(self) -> float:
        return (self.bounds[0] + self.bounds[2]) / 2

    @property
    def y(self) -> float:
        return (self.bounds[1] + self.bounds[3]) / 2


def find_tables(layout: Layout) -> tuple[PlacedTable, ...]:
    """The tables of a page, from top to bottom; empty where nothing is one."""
    line_height = _line_height(layout.lines)
    pieces = [_Piece(line.text, line.quad.bounds, index) for index, line in enumerate(layout.lines)]
    tables: list[PlacedTable] = []
    for table in chain(_drawn_tables(layout.rulings, pieces, line_height), _striped_tables(layout.rulings, pieces)):
        if not any(table.line_indexes & other.line_indexes for other in tables):
            tables.append(table)
    taken = frozenset[int]().union(*(table.line_indexes for table in tables))
    tables.extend(_undrawn_tables([piece for piece in pieces if piece.line_index not in taken]))
    return tuple(sorted(tables, key=lambda table: (table.bounds[1], table.bounds[0])))


def _line_height(lines: Iterable[LayoutLine]) -> float:
    return median([line.quad.height for line in lines] or [_FALLBACK_LINE_HEIGHT_PX]) or _FALLBACK_LINE_HEIGHT_PX


# --- Tables with rulings both ways


def _drawn_tables(rulings: Sequence[Ruling], pieces: Sequence[_Piece], line_height: float) -> Iterator[PlacedTable]:
    tolerance = 0.3 * line_height
    across, down = _edges(rulings, tolerance)
    for rows, columns in _connected(across, down, tolerance):
        inside = [piece for piece in pieces if _is_within(piece, _reach(rows, columns))]
        grid = _Grid.of(rows, columns, inside, tolerance)
        table = grid.table(inside) if grid else None
        if table:
            yield table


def _edges(rulings: Iterable[Ruling], tolerance: float) -> tuple[list[_Edge], list[_Edge]]:
    """The horizontal and the vertical rulings, pieces of one line joined."""
    across, down = [], []
    for ruling in rulings:
        (x1, y1), (x2, y2) = ruling.start, ruling.end
        if ruling.is_horizontal:
            across.append(_Edge((y1 + y2) / 2, min(x1, x2), max(x1, x2)))
        else:
            down.append(_Edge((x1 + x2) / 2, min(y1, y2), max(y1, y2)))
    return _joined(across, tolerance), _joined(down, tolerance)


def _joined(edges: Iterable[_Edge], tolerance: float) -> list[_Edge]:
    joined: list[_Edge] = []
    for place, group in _clusters(edges, tolerance):
        low, high = -math.inf, -math.inf
        for edge in sorted(group, key=lambda edge: edge.low):
            if edge.low > high + tolerance:
                if high > low:
                    joined.append(_Edge(place, low, high))
                low, high = edge.low, edge.high
            high = max(high, edge.high)
        joined.append(_Edge(place, low, high))
    return joined


def _clusters(edges: Iterable[_Edge], tolerance: float) -> Iterator[tuple[float, list[_Edge]]]:
    """Edges at nearly the same place, and the place of the longest of them."""
    group: list[_Edge] = []
    for edge in sorted(edges, key=lambda edge: edge.at):
        if group and edge.at - group[-1].at > tolerance:
            yield max(group, key=lambda edge: edge.high - edge.low).at, group
            group = []
        group.append(edge)
    if group:
        yield max(group, key=lambda edge: edge.high - edge.low).at, group


def _connected(
    across: Sequence[_Edge], down: Sequence[_Edge], tolerance: float
) -> Iterator[tuple[list[_Edge], list[_Edge]]]:
    """The rulings of each drawn figure: those that touch each other, directly or through others."""
    groups = _Groups(len(across) + len(down))
    for i, row in enumerate(across):
        for j, column in enumerate(down):
            if (
                row.low - tolerance <= column.at <= row.high + tolerance
                and column.low - tolerance <= row.at <= column.high + tolerance
            ):
                groups.join(i, len(across) + j)
    for members in groups.members():
        rows = [across[i] for i in members if i < len(across)]
        columns = [down[i - len(across)] for i in members if i >= len(across)]
        if rows and columns and len(rows) + len(columns) > 2:  # noqa: PLR2004 - a cross is no table
            yield rows, columns


class _Groups:
    """Numbers 0 … count - 1 in groups that grow together."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def leader(self, member: int) -> int:
        """The number that stands for the group of *member*."""
        while self._parents[member] != member:
            self._parents[member] = self._parents[self._parents[member]]
            member = self._parents[member]
        return member

    def join(self, one: int, other: int) -> None:
        """Make the groups of two numbers one."""
        self._parents[self.leader(other)] = self.leader(one)

    def members(self) -> Iterable[list[int]]:
        """Each group."""
        groups: dict[int, list[int]] = defaultdict(list)
        for member in range(len(self._parents)):
            groups[self.leader(member)].append(member)
        return groups.values()


def _reach(rows: Sequence[_Edge], columns: Sequence[_Edge]) -> Bounds:
    """The bounds of a drawn figure."""
    return union_bounds(
        [(edge.low, edge.at, edge.high, edge.at) for edge in rows]
        + [(edge.at, edge.low, edge.at, edge.high) for edge in columns]
    )


def _is_within(piece: _Piece, bounds: Bounds) -> bool:
    left, top, right, bottom = bounds
    return left <= piece.x <= right and top <= piece.y <= bottom


@dataclass(frozen=True, slots=True)
class _Grid:
    """The places of rulings, and which edges between neighbouring places are drawn."""

    xs: list[float]
    ys: list[float]
    rows: Mapping[float, Sequence[_Edge]]
    columns: Mapping[float, Sequence[_Edge]]

    @classmethod
    def of(cls, rows: list[_Edge], columns: list[_Edge], pieces: Sequence[_Piece], tolerance: float) -> _Grid | None:
        """The grid of a drawn figure; None when it has no two cells, or is squared paper.

        A table open at its sides gets an edge there when text stands outside of its outermost ruling.
        """
        left, top, right, bottom = _reach(rows, columns)
        xs = _closed([edge.at for edge in columns], left, right, [p.x for p in pieces], tolerance)
        ys = _closed([edge.at for edge in rows], top, bottom, [p.y for p in pieces], tolerance)
        cell_count = (len(xs) - 1) * (len(ys) - 1)
        if not 1 < cell_count <= max(_SQUARED_PAPER_CELLS, _CELLS_PER_TEXT * len(pieces)):
            return None
        return cls(xs, ys, _by_place(rows), _by_place(columns))

    def table(self, pieces: Sequence[_Piece]) -> PlacedTable | None:
        """The table, or None when fewer than two of its cells hold text."""
        texts: dict[tuple[int, int], list[_Piece]] = defaultdict(list)
        spans = self._spans()
        starts = {
            (row, column): (top, left)
            for (top, left), (bottom, right) in spans.items()
            for row in range(top, bottom)
            for column in range(left, right)
        }
        for piece in chain.from_iterable(self._divided(piece, starts) for piece in pieces):
            row, column = self._place(piece)
            texts[starts[row, column]].append(piece)
        if len(texts) < 2:  # noqa: PLR2004 - a frame around one text
            return None
        cells = _without_empty_lines(
            [
                Cell(top, left, _joined_text(texts[top, left]), row_span=bottom - top, column_span=right - left)
                for (top, left), (bottom, right) in spans.items()
            ]
        )
        bounds = self.xs[0], self.ys[0], self.xs[-1], self.ys[-1]
        return PlacedTable(Table(tuple(cells)), bounds, frozenset(piece.line_index for piece in pieces))

    def _place(self, piece: _Piece) -> tuple[int, int]:
        return _slot(self.ys, piece.y), _slot(self.xs, piece.x)

    def _divided(self, piece: _Piece, starts: Mapping[tuple[int, int], tuple[int, int]]) -> Iterable[_Piece]:
        """*piece* cut at the rulings that its box goes well over, where a blank stands near them."""
        left, top, right, bottom = piece.bounds
        row, margin = _slot(self.ys, piece.y), 0.6 * (bottom - top)
        for column, x in enumerate(self.xs[1:-1], start=1):
            if left + margin < x < right - margin and starts[row, column - 1] != starts[row, column]:
                at = _blank_near(piece.text, (x - left) / (right - left))
                if at is not None:
                    yield _Piece(piece.text[:at].rstrip(), (left, top, x, bottom), piece.line_index)
                    rest = _Piece(piece.text[at:].lstrip(), (x, top, right, bottom), piece.line_index)
                    yield from self._divided(rest, starts)
                    return
        yield piece

    def _spans(self) -> dict[tuple[int, int], tuple[int, int]]:
        """Where each cell begins (row, column), and the row and column after it."""
        row_count, column_count = len(self.ys) - 1, len(self.xs) - 1
        groups = _Groups(row_count * column_count)
        for row in range(row_count):
            for column in range(column_count):
                here = row * column_count + column
                if column + 1 < column_count and not _is_drawn(
                    self.columns, self.xs[column + 1], self.ys[row], self.ys[row + 1]
                ):
                    groups.join(here, here + 1)
                if row + 1 < row_count and not _is_drawn(
                    self.rows, self.ys[row + 1], self.xs[column], self.xs[column + 1]
                ):
                    groups.join(here, here + column_count)
        owners = [
            [groups.leader(row * column_count + column) for column in range(column_count)] for row in range(row_count)
        ]
        return _rectangles(owners)


def _closed(places: Iterable[float], low: float, high: float, texts: Sequence[float], tolerance: float) -> list[float]:
    """The sorted places, with *low* and *high* where text stands between them and the outermost place."""
    ordered = sorted(set(places))
    if ordered[0] - low > 3 * tolerance and any(low < text < ordered[0] for text in texts):
        ordered.insert(0, low)
    if high - ordered[-1] > 3 * tolerance and any(ordered[-1] < text < high for text in texts):
        ordered.append(high)
    return ordered


def _slot(places: Sequence[float], at: float) -> int:
    """Between which two of the sorted places *at* lies."""
    return min(max(bisect_right(places, at) - 1, 0), len(places) - 2)


def _by_place(edges: Iterable[_Edge]) -> Mapping[float, Sequence[_Edge]]:
    places: dict[float, list[_Edge]] = defaultdict(list)
    for edge in edges:
        places[edge.at].append(edge)
    return places


def _is_drawn(edges: Mapping[float, Sequence[_Edge]], at: float, low: float, high: float) -> bool:
    """Whether most of the way from *low* to *high* is drawn."""
    drawn = sum(max(0.0, min(edge.high, high) - max(edge.low, low)) for edge in edges.get(at, ()))
    return drawn >= 0.5 * (high - low)


def _rectangles(owners: Sequence[Sequence[int]]) -> dict[tuple[int, int], tuple[int, int]]:
    """The grid in rectangles of one owner each, as wide and then as high as they go."""
    spans: dict[tuple[int, int], tuple[int, int]] = {}
    taken: set[tuple[int, int]] = set()
    for top, row in enumerate(owners):
        for left, owner in enumerate(row):
            if (top, left) in taken:
                continue
            right = left + 1
            while right < len(row) and row[right] == owner and (top, right) not in taken:
                right += 1
            bottom = top + 1
            while bottom < len(owners) and all(other == owner for other in owners[bottom][left:right]):
                bottom += 1
            taken.update((r, c) for r in range(top, bottom) for c in range(left, right))
            spans[top, left] = bottom, right
    return spans


def _without_empty_lines(cells: Sequence[Cell]) -> list[Cell]:
    """*cells* without rows and columns that no cell begins or ends in: a ruling that stops short of every cell."""
    rows = sorted({cell.row for cell in cells})
    columns = sorted({cell.column for cell in cells})
    return [
        Cell(
            bisect_right(rows, cell.row) - 1,
            bisect_right(columns, cell.column) - 1,
            cell.text,
            row_span=bisect_right(rows, cell.row + cell.row_span - 1) - bisect_right(rows, cell.row) + 1,
            column_span=bisect_right(columns, cell.column + cell.column_span - 1)
            - bisect_right(columns, cell.column)
            + 1,
        )
        for cell in cells
    ]


def _blank_near(text: str, fraction: float) -> int | None:
    """The blank nearest to *fraction* of the text's width; None when none is near."""
    widths = [2 if ord(letter) > 0x2E80 else 1 for letter in text]  # noqa: PLR2004 - Chinese letters are twice as wide
    middles = [(reached - width / 2) / sum(widths) for reached, width in zip(accumulate(widths), widths, strict=True)]
    blanks = [(abs(middles[at] - fraction), at) for at, letter in enumerate(text) if letter.isspace()]
    distance, at = min(blanks, default=(1.0, 0))
    return at if distance < 0.15 else None  # noqa: PLR2004 - further away it is another blank


def _joined_text(pieces: Iterable[_Piece]) -> str:
    """The texts of a cell, one line a row."""
    ordered = list(pieces)
    rows = [row for block in reading_blocks([Quad.of(*piece.bounds) for piece in ordered]) for row in block]
    rows.sort(key=lambda row: ordered[row[0]].y)
    return "\n".join(" ".join(ordered[index].text for index in row) for row in rows)


# --- Tables with horizontal rulings only


def _striped_tables(rulings: Sequence[Ruling], pieces: Sequence[_Piece]) -> Iterator[PlacedTable]:
    """Tables between rulings of one width, as in books: columns are found as where nothing is drawn."""
    line_height = median([piece.bounds[3] - piece.bounds[1] for piece in pieces] or [_FALLBACK_LINE_HEIGHT_PX])
    across, _ = _edges(rulings, 0.3 * line_height)
    key = line_height or _FALLBACK_LINE_HEIGHT_PX
    stacks: list[list[_Edge]] = []
    for edge in sorted(across, key=lambda edge: edge.at):
        for stack in stacks:
            if abs(stack[-1].low - edge.low) < key and abs(stack[-1].high - edge.high) < key:
                stack.append(edge)
                break
        else:
            stacks.append([edge])
    for stack in stacks:
        yield from _striped_table(stack, pieces, key)


def _striped_table(stack: Sequence[_Edge], pieces: Sequence[_Piece], line_height: float) -> Iterator[PlacedTable]:
    bounds = stack[0].low - line_height, stack[0].at, stack[0].high + line_height, stack[-1].at
    inside = [piece for piece in pieces if _is_within(piece, bounds)]
    if len(stack) < 2 or not inside:  # noqa: PLR2004 - a table stands between two rulings
        return
    if len(stack) > _RULED_ROWS:
        places = [edge.at for edge in stack]
        rows = [list(row) for _, row in groupby(sorted(inside, key=lambda p: p.y), key=lambda p: _slot(places, p.y))]
    else:
        rows = _side_by_side(inside)
    table = _table_of_rows(rows)
    if table:
        yield table


# --- Tables without rulings


def _undrawn_tables(pieces: Sequence[_Piece]) -> Iterator[PlacedTable]:
    for block in reading_blocks([Quad.of(*piece.bounds) for piece in pieces]):
        rows = [[pieces[index] for index in row] for row in block]
        for run in _aligned_runs(rows):
            table = _table_of_rows(run)
            if table:
                yield table


def _side_by_side(pieces: Sequence[_Piece]) -> list[list[_Piece]]:
    blocks = reading_blocks([Quad.of(*piece.bounds) for piece in pieces])
    return [[pieces[index] for index in row] for block in blocks for row in block]


def _aligned_runs(rows: Iterable[list[_Piece]]) -> Iterator[list[list[_Piece]]]:
    """Consecutive rows of several words that keep a common gap, not far below each other."""
    run: list[list[_Piece]] = []
    for row in rows:
        if run and not _goes_on(run, row):
            yield _trimmed(run)
            run = []
        if run or len(row) > 1:
            run.append(row)
    yield _trimmed(run)


def _trimmed(run: list[list[_Piece]]) -> list[list[_Piece]]:
    """*run* without rows of one word at its end: they may as well be a line of text."""
    last = max((number for number, row in enumerate(run) if len(row) > 1), default=-1)
    return run[: last + 1]


def _goes_on(run: Sequence[list[_Piece]], row: list[_Piece]) -> bool:
    """Whether *row* belongs to the table that *run* began."""
    pitches = [below[0].y - above[0].y for above, below in pairwise(run)]
    height = median(piece.bounds[3] - piece.bounds[1] for piece in chain(*run, row))
    usual = median(pitches) if pitches else 1.5 * height
    step = row[0].y - run[-1][0].y
    # A head may stand further above; further down a wide step and another number of words start something new.
    wide = step > max(1.8 * usual, 2.5 * height) or (step > 1.35 * usual and len(row) != len(run[-1]) and len(run) > 1)
    before, together = _column_starts(run), _column_starts([*run, row])
    return not wide and (len(together) >= len(before) or (len(together) > 1 and len(row) > 1 and len(run) == 1))


def _column_starts(rows: Iterable[Sequence[_Piece]]) -> list[float]:
    """Where the columns begin that the words of all rows keep to."""
    pieces = list(chain.from_iterable(rows))
    least = 0.3 * median(piece.bounds[3] - piece.bounds[1] for piece in pieces)
    starts: list[float] = []
    reach = -math.inf
    for piece in sorted(pieces, key=lambda piece: piece.bounds[0]):
        if piece.bounds[0] - reach > least:
            starts.append(piece.bounds[0])
        reach = max(reach, piece.bounds[2])
    return starts


def _table_of_rows(rows: Sequence[Sequence[_Piece]]) -> PlacedTable | None:
    """The table that *rows* make, or None when they are not one."""
    if not rows:
        return None
    starts = _column_starts(rows)
    placed: list[dict[int, list[_Piece]]] = []
    for row in rows:
        slots: dict[int, list[_Piece]] = defaultdict(list)
        for piece in row:
            slots[bisect_right(starts, piece.bounds[0]) - 1].append(piece)
        placed.append(slots)
    if not _is_table(placed, len(starts)):
        return None
    cells = [
        Cell(number, column, _joined_text(row.get(column, ())))
        for number, row in enumerate(placed)
        for column in range(len(starts))
    ]
    pieces = list(chain.from_iterable(rows))
    return PlacedTable(
        Table(tuple(cells)), union_bounds(p.bounds for p in pieces), frozenset(p.line_index for p in pieces)
    )


def _is_table(rows: Sequence[Mapping[int, Sequence[_Piece]]], column_count: int) -> bool:
    """Whether the words keep to their columns, in rows enough to be sure, and are not the labels of a form."""
    full = [row for row in rows if len(row) > 1]
    least_rows = 3 if column_count == 2 else 2  # noqa: PLR2004 - two words below two others happen by chance
    if column_count < 2 or len(full) < least_rows or 2 * len(full) < len(rows):  # noqa: PLR2004 - a list
        return False
    labels = sum(bool(_LABEL.search(piece.text)) for row in rows for pieces in row.values() for piece in pieces)
    if labels > 0.3 * len(rows):
        return False
    return all(_is_aligned([row[column] for row in rows if column in row]) for column in range(column_count))


def _is_aligned(cells: Sequence[Sequence[_Piece]]) -> bool:
    """Whether most cells of a column share their left edge, their right edge or their middle."""
    height = median(piece.bounds[3] - piece.bounds[1] for cell in cells for piece in cell)
    boxes = [union_bounds(piece.bounds for piece in cell) for cell in cells]
    sides = ([b[0] for b in boxes], [b[2] for b in boxes], [(b[0] + b[2]) / 2 for b in boxes])
    return any(_most_agree(places, within=0.8 * height) for places in sides)


def _most_agree(places: Sequence[float], *, within: float) -> bool:
    middle = median(places)
    return Counter(abs(place - middle) <= within for place in places)[True] >= 0.7 * len(places)
