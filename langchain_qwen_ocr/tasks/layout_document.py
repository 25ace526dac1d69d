"""A page as the blocks of a document: headings, paragraphs, lists, equations and tables in reading order.

What a block is comes from where its rows stand and how high they are; a plain OCR engine does not see bold or italics.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise

from langchain_qwen_ocr.geometry import Quad, reading_blocks, union_bounds
from langchain_qwen_ocr.tasks.document import (
    MAX_HEADING_LEVEL,
    Block,
    Formula,
    Heading,
    ListBlock,
    ListItem,
    Paragraph,
    TableBlock,
)
from langchain_qwen_ocr.tasks.layout import Layout, LayoutLine
from langchain_qwen_ocr.tasks.layout_formulas import is_plain_equation, stack_seen, to_latex
from langchain_qwen_ocr.tasks.layout_tables import PlacedTable, find_tables
from langchain_qwen_ocr.tasks.table import Table

_LARGE = 1.2
"""How much higher than the body a heading is; boxes of one size differ by a tenth."""
_SAME_SIZE = 1.12
_LONGEST_HEADING = 120
"""In letters."""
_WIDE_STEP = 1.35
"""From row to row, in the usual steps of the page: from here on a new paragraph begins."""
_LARGEST_INDENT = 4.0
"""Of the first row of a paragraph, in line heights."""
_CLEAR = 2.0
"""A blank inside a row, in line heights, that running text does not have."""

_SENTENCE_END = re.compile(
    r"[.!?\u3002\uff01\uff1f\uff1a\uff1b\u2026:;,\uff0c\u3001][\"'\u201d\u2019\u300d\u300f)\uff09]*$"
)
_FULL_STOP = re.compile(r"[.!?\u3002\uff01\uff1f\u2026][\"'\u201d\u2019\u300d\u300f)\uff09]*$")
_BULLET = re.compile(r"(?:[\u2022\u25cf\u25cb\u25aa\u25a0\u25e6\u2023\u2219]\s*|[*\u00b7\u2013\u2014-]\s+)(?=\S)")
_NUMBER = re.compile(
    r"(?:(\d{1,3})[.)\u3001\uff0e\uff09](?!\d)|[(\uff08](\d{1,3})[)\uff09]|([\u2460-\u2473])|([a-z])\))\s*(?=\S)"
)
_FIRST = frozenset({1, ord("a"), ord("\u2460")})
"""What the first mark of a list counts."""
_SECTION = re.compile(r"(\d{1,2}(?:\.\d{1,2})*)\.?\s+(?=[^\W\d])")
_CHAPTER = re.compile(
    r"\u7b2c[\u4e00\u4e8c\u4e09\u56db\u4e94\u516d\u4e03\u516b\u4e5d\u5341\u767e\d]+[\u7ae0\u8282\u90e8\u6761]|"
    r"[\u4e00\u4e8c\u4e09\u56db\u4e94\u516d\u4e03\u516b\u4e5d\u5341]+\u3001|(?:Chapter|Section|Part|Appendix)\s+\w+\b"
)
_CAPTION = re.compile(r"(?:Table|Tab\.|\u8868)\s*\d+", re.IGNORECASE)
_CJK = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]")


def find_blocks(layout: Layout) -> tuple[Block, ...]:
    """The blocks of a page in reading order; the lines of a table stand in the table alone."""
    return tuple(_with_captions(_blocks(_Page(layout))))


@dataclass(frozen=True, slots=True)
class _Row:
    """What stands side by side in a column, or a table."""

    text: str
    left: float
    top: float
    right: float
    bottom: float
    line_height: float
    column: int
    """Which block of the reading order it stands in."""
    is_apart: bool = False
    """Whether wide blanks divide it: label and value, a date at the right."""
    table: Table | None = None

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


class _Page:
    """The rows of a page and what is usual on it."""

    def __init__(self, layout: Layout) -> None:
        tables = find_tables(layout)
        taken = frozenset[int]().union(*(placed.line_indexes for placed in tables))
        lines = [line for index, line in enumerate(layout.lines) if index not in taken and line.text.strip()]
        self.rows = tuple(_rows(lines, tables))
        self.reads_formulas = stack_seen(layout) is None
        """Whether a line is a whole formula; beside a fraction it may be a part of one."""
        self.body_height = _weighted_median(
            sorted((row.line_height, len(row.text)) for row in self.rows if row.table is None)
        )
        steps = sorted(
            below.middle - above.middle
            for above, below in pairwise(self.rows)
            if above.column == below.column and not above.table and not below.table
        )
        # Most steps are inside paragraphs, unless each is one row.
        self.step = min(steps[len(steps) // 4] if steps else math.inf, 1.6 * self.body_height)
        """From one row of a paragraph to the next, in px."""

    @cached_property
    def sections(self) -> frozenset[int]:
        """Which rows are numbered headings."""
        return frozenset(_sections(self))

    @cached_property
    def edges(self) -> Mapping[int, tuple[float, float]]:
        """Left and right of each column."""
        return {
            column: (min(row.left for row in rows), max(row.right for row in rows))
            for column, rows in ((column, list(rows)) for column, rows in groupby(self.rows, lambda row: row.column))
        }

    def is_heading(self, number: int) -> bool:
        """Whether a row stands out as a heading, by its size or its number."""
        row = self.rows[number]
        if row.table or number in self.sections:
            return number in self.sections
        letters = sum(letter.isalpha() for letter in row.text)
        return (
            row.line_height >= _LARGE * self.body_height
            and letters >= 2  # noqa: PLR2004 - one letter is an ornament
            and 2 * letters >= len(row.text.replace(" ", ""))
            and len(row.text) <= _LONGEST_HEADING
            and not _SENTENCE_END.search(row.text)
        )

    def is_broken_after(self, row: _Row, below: _Row) -> bool:
        """Whether the first word of the row below would have fitted into *row*: the line ends there on purpose."""
        word = re.match(r"\S+", below.text)
        first = 1 if word is None or _CJK.match(below.text) else len(word[0])
        letter = (below.right - below.left) / max(len(below.text), 1)
        _, right = self.edges[row.column]
        return row.right + (first + 1) * letter + self.body_height < right


def _weighted_median(values: Sequence[tuple[float, int]]) -> float:
    half, reached = sum(weight for _, weight in values) / 2, 0
    for value, weight in values:
        reached += weight
        if reached >= half:
            return value
    return 1.0


def _rows(lines: Sequence[LayoutLine], tables: Sequence[PlacedTable]) -> Iterator[_Row]:
    quads = [*(line.quad for line in lines), *(Quad.of(*placed.bounds) for placed in tables)]
    for column, block in enumerate(reading_blocks(quads)):
        for indexes in block:
            side_by_side = [lines[index] for index in indexes if index < len(lines)]
            if side_by_side:
                yield _row(side_by_side, column)
            for index in indexes:
                if index >= len(lines):
                    placed = tables[index - len(lines)]
                    left, top, right, bottom = placed.bounds
                    yield _Row("", left, top, right, bottom, bottom - top, column, table=placed.table)


def _row(lines: Sequence[LayoutLine], column: int) -> _Row:
    boxes = [line.quad.bounds for line in lines]
    height = max(line.quad.height for line in lines)
    text = " ".join(line.text.strip() for line in lines)
    begins_item = len(lines) > 1 and (_BULLET.match(text) or _NUMBER.match(text) or _SECTION.match(text))
    blanks = [after[0] - before[2] for before, after in pairwise(boxes)][1 if begins_item else 0 :]
    left, top, right, bottom = union_bounds(boxes)
    return _Row(text, left, top, right, bottom, height, column, is_apart=any(b > _CLEAR * height for b in blanks))


# --- Headings


def _sections(page: _Page) -> Iterator[int]:
    """The rows that are headings by their number: several of them that count up, each on a row of its own."""
    numbered: dict[tuple[int, ...], int] = {}
    for number, row in enumerate(page.rows):
        if row.table or row.is_apart or _SENTENCE_END.search(row.text) or len(row.text) > _LONGEST_HEADING:
            continue
        if not _stands_alone(page, number):
            continue
        section = _SECTION.match(row.text)
        if _CHAPTER.match(row.text):
            yield number
        elif section:
            numbered.setdefault(tuple(map(int, section[1].split("."))), number)
    for at, number in numbered.items():
        neighbours = {(*at[:-1], at[-1] + 1), (*at[:-1], at[-1] - 1), (*at, 1), at[:-1]}
        if neighbours & numbered.keys():
            yield number


def _stands_alone(page: _Page, number: int) -> bool:
    """Whether a row does not run on from the row above or into the row below."""
    row = page.rows[number]
    above = page.rows[number - 1] if number else None
    below = page.rows[number + 1] if number + 1 < len(page.rows) else None
    begins = (
        above is None
        or above.column != row.column
        or row.middle - above.middle > 1.15 * page.step
        or page.is_broken_after(above, row)
    )
    ends = (
        below is None
        or below.column != row.column
        or below.middle - row.middle > 1.15 * page.step
        or page.is_broken_after(row, below)
    )
    return begins and ends


def _levels(page: _Page, headings: Sequence[int]) -> dict[int, int]:
    """The level of each heading: by rank of its size, or by its number where it is as high as the body."""
    sizes: list[float] = []
    for number in sorted(headings, key=lambda number: -page.rows[number].line_height):
        height = page.rows[number].line_height
        if height >= _LARGE * page.body_height and (not sizes or sizes[-1] > _SAME_SIZE * height):
            sizes.append(height)

    def rank(number: int) -> int:
        height = page.rows[number].line_height
        return next((rank for rank, size in enumerate(sizes) if size <= _SAME_SIZE * height), len(sizes))

    largest = [number for number in headings if sizes and rank(number) == 0]
    has_title = bool(largest) and largest[0] == headings[0] and largest == list(range(largest[0], largest[-1] + 1))
    levels = {}
    for number in headings:
        section = _SECTION.match(page.rows[number].text)
        if page.rows[number].line_height >= _LARGE * page.body_height:
            level = rank(number) + (not has_title)
        else:
            level = 1 + (section[1].count(".") if section else 0)
        levels[number] = min(level, MAX_HEADING_LEVEL)
    return levels


# --- Blocks


def _blocks(page: _Page) -> Iterator[Block]:
    levels = _levels(page, [number for number in range(len(page.rows)) if page.is_heading(number)])
    number = 0
    while number < len(page.rows):
        row = page.rows[number]
        if row.table is not None:
            yield TableBlock(row.table)
            number += 1
        elif number in levels:
            end = _end_of_heading(page, number, levels)
            yield Heading(levels[number], _joined(row.text for row in page.rows[number:end]))
            number = end
        else:
            end = next((n for n in range(number, len(page.rows)) if n in levels or page.rows[n].table), len(page.rows))
            yield from _running(page, page.rows[number:end])
            number = end


def _end_of_heading(page: _Page, number: int, levels: dict[int, int]) -> int:
    """The row after a heading, which may go over several rows of one size."""
    end = number + 1
    while (
        levels.get(end) == levels[number]
        and not {end, number} & page.sections
        and page.rows[end].column == page.rows[number].column
        and page.rows[end].top - page.rows[end - 1].bottom < 0.5 * page.rows[number].line_height
    ):
        end += 1
    return end


def _running(page: _Page, rows: Sequence[_Row]) -> Iterator[Block]:
    """The paragraphs and lists of rows between headings and tables."""
    items: list[tuple[re.Match[str], list[_Row]]] = []
    paragraph: list[_Row] = []
    for row in rows:
        mark = None if row.is_apart else _BULLET.match(row.text) or _NUMBER.match(row.text)
        last = items[-1][1][-1] if items else paragraph[-1] if paragraph else None
        if mark and (items or last is None or _break(page, last, row)):
            yield from _paragraph(page, paragraph)
            paragraph = []
            if items and not _counts_on(items[-1][0], mark):
                yield from _list(page, items)
                items = []
            items.append((mark, [row]))
        elif items and last and _is_in_item(page, items[-1][1], row):
            items[-1][1].append(row)
        else:
            yield from _list(page, items)
            items = []
            if paragraph and _break(page, paragraph[-1], row) == "paragraph":
                yield from _paragraph(page, paragraph)
                paragraph = []
            paragraph.append(row)
    yield from _list(page, items)
    yield from _paragraph(page, paragraph)


def _break(page: _Page, above: _Row, below: _Row) -> str:
    """What is between two rows: "paragraph", "line" (ended on purpose), or nothing."""
    if above.is_apart or below.is_apart:
        return "paragraph"
    if above.column != below.column:
        full = not page.is_broken_after(above, below)
        goes_on = full and not _FULL_STOP.search(above.text) and not below.text[:1].isupper()
        return "" if goes_on else "paragraph"
    if below.middle - above.middle > _WIDE_STEP * page.step or not _are_alike(above, below):
        return "paragraph"
    left, _ = page.edges[below.column]
    centred = abs(above.left + above.right - below.left - below.right) < page.body_height
    indented = below.left - max(above.left, left) > 0.8 * page.body_height and not centred
    outdented = above.left - below.left > _LARGEST_INDENT * page.body_height and not centred
    broken = page.is_broken_after(above, below)
    if indented or outdented or (broken and _FULL_STOP.search(above.text)):
        return "paragraph"
    return "line" if broken else ""


def _are_alike(above: _Row, below: _Row) -> bool:
    """Whether two rows are of one size."""
    return max(above.line_height, below.line_height) < 1.4 * min(above.line_height, below.line_height)


def _paragraph(page: _Page, rows: Sequence[_Row]) -> Iterator[Block]:
    if len(rows) == 1 and page.reads_formulas and is_plain_equation(rows[0].text):
        yield Formula(to_latex(rows[0].text))
    elif rows:
        yield Paragraph(_text(page, rows))


def _text(page: _Page, rows: Sequence[_Row]) -> str:
    """The text of rows, with a line break where a line ends on purpose."""
    pieces: list[list[str]] = [[rows[0].text]]
    for above, below in pairwise(rows):
        if _break(page, above, below) == "line":
            pieces.append([])
        pieces[-1].append(below.text)
    return "\n".join(map(_joined, pieces))


def _joined(texts: Iterable[str]) -> str:
    """Lines of running text in one: no blank between Chinese letters, no hyphen inside a divided word."""
    joined = ""
    for text in filter(None, (text.strip() for text in texts)):
        if not joined:
            joined = text
        elif re.search(r"[^\W\d_][-\u2010\u00ad]$", joined[-2:]):
            joined = (joined[:-1] if text[0].islower() else joined) + text
        elif _CJK.match(joined[-1]) and _CJK.match(text):
            joined += text
        else:
            joined += " " + text
    return joined


# --- Lists


def _counts_on(before: re.Match[str], after: re.Match[str]) -> bool:
    """Whether a mark goes on with the list of the mark before it."""
    kinds = [[number for number, value in enumerate(mark.groups()) if value] for mark in (before, after)]
    if kinds[0] != kinds[1]:
        return False
    return not kinds[0] or _count(after) == _count(before) + 1


def _count(mark: re.Match[str]) -> int:
    """The number that a mark says."""
    text = next(filter(None, mark.groups()), "0")
    return int(text) if text.isdecimal() else ord(text)


def _is_in_item(page: _Page, item: Sequence[_Row], row: _Row) -> bool:
    """Whether a row goes on with a list's item: below its words, or because the row above is full."""
    first, last = item[0], item[-1]
    if _break(page, last, row) == "paragraph" and not (
        row.column == last.column and len(item) == 1 and row.middle - last.middle <= _WIDE_STEP * page.step
    ):
        return False
    hangs = row.column == first.column and row.left - first.left > 0.5 * page.body_height
    return not row.is_apart and (hangs or not page.is_broken_after(last, row))


def _list(page: _Page, items: Sequence[tuple[re.Match[str], Sequence[_Row]]]) -> Iterator[Block]:
    """The list of some items; a single numbered one is a paragraph that begins with a number."""
    if not items:
        return
    ordered = any(items[0][0].groups())
    if ordered and len(items) == 1:
        yield from _paragraph(page, items[0][1])
        return
    texts = [_joined([rows[0].text[mark.end() :], *(row.text for row in rows[1:])]) for mark, rows in items]
    if ordered and _count(items[0][0]) not in _FIRST:
        # A list that began on the page before keeps its numbers: a numbered one would count from 1 again.
        terms = [mark[0].strip() for mark, _ in items]
        yield ListBlock(tuple(ListItem(text, term=term) for text, term in zip(texts, terms, strict=True)))
        return
    yield ListBlock.of(texts, ordered=ordered)


def _with_captions(blocks: Iterable[Block]) -> Iterator[Block]:
    """The blocks, with a paragraph that names the table after it as that table's caption."""
    held: Block | None = None
    for block in blocks:
        if isinstance(block, TableBlock) and isinstance(held, Paragraph) and _CAPTION.match(held.text):
            yield TableBlock(block.table, held.text)
            held = None
            continue
        if held:
            yield held
        held = block
    if held:
        yield held
