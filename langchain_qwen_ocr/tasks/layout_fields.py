"""Fields of a page from where labels and values stand: a value follows its label, or stands right of it or below it.

A field is found only by a label that the page shows: its name, a name in its hint, or the name of the object around it
with its own. What has no such label is absent, never guessed; a label is nobody's value, and a value is used once.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import cached_property
from typing import Any

from langchain_qwen_ocr.geometry import Affine, Bounds, slant_deg
from langchain_qwen_ocr.tasks.layout import Layout, LayoutLine
from langchain_qwen_ocr.tasks.layout_tables import PlacedTable, find_tables

_ALIKE = 0.84
"""How alike a name and a label on the page are, 0…1, from which on they are the same: one letter misread in seven."""
_LONGEST_LABEL = 30
"""In letters, when any label will do."""
_BELOW = 1.2
"""How far below its label a value may begin, in line heights."""

_COLON = re.compile(r"\s*(?:(?<!\d)[:\uff1a]|[:\uff1a](?!\d))(?!//)\s*")
"""Not the one in 18:42, nor in an address."""
_SEPARATORS = " \t,;|\uff0c\uff1b"
_SPLIT_HINT = re.compile(r"[,;/|\n\uff0c\uff1b\u3001]|\bor\b|\u6216")
_SPLIT_LIST = re.compile(r"\s*[,;\uff0c\uff1b\u3001]\s*")
_SPLIT_HEAD = re.compile(r"[\n/()\uff08\uff09]|(?<=[\u4e00-\u9fff])\s|\s(?=[\u4e00-\u9fff])")
_NEXT_LABEL = re.compile(r"\s{2,}|(?<=\S)\s(?=[\u4e00-\u9fff]{2,8}[:\uff1a])")
_LEADERS = " \t.\u2026\u00b7_-\u2014:\uff1a"
"""What fills the way from a label to its value."""
_TOTALS = re.compile(r"(?:sub|grand)?\s*total\b|sum\b|合\s*计|小\s*计|总\s*计", re.IGNORECASE)

Path = tuple[str, ...]


def find_fields(layout: Layout, template: Mapping[str, Any] | None) -> dict[str, Any]:
    """The values of a page in the shape of *template*; None for what the page does not name.

    Args:
        layout: The page.
        template: Field names with hints (text in them may name the label too), objects, and lists with one element as
            a template. None for all pairs of label and value that the page shows.
    """
    page = _Page(layout)
    if template is None:
        return _all_pairs(page)
    return _Search(page, template).run()


# --- Words of the page


@dataclass(frozen=True, slots=True)
class _Part:
    """A line, or the part of a line from one label to the next."""

    line_index: int
    label: str
    """What stands before the colon; the whole part when there is none."""
    rest: str
    """What stands after the colon."""
    has_colon: bool

    @property
    def text(self) -> str:
        return f"{self.label} {self.rest}".strip()

    @property
    def is_label(self) -> bool:
        letters = _letters(self.label)
        return self.has_colon and 0 < len(letters) <= _LONGEST_LABEL and not letters[0].isdigit()


class _Page:
    """The lines of a page and where they stand."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.lines: Sequence[LayoutLine] = layout.lines
        # What stands beside what is asked over the whole width of the page: a small slant would shift it by a row.
        level = Affine.rotation(-slant_deg([line.quad for line in layout.lines]))
        self.boxes: list[Bounds] = [line.quad.mapped(level).bounds for line in layout.lines]
        self.places = {id(line): place for place, line in enumerate(layout.in_reading_order())}

    @cached_property
    def order(self) -> list[int]:
        """The indexes of the lines in reading order."""
        return sorted(range(len(self.lines)), key=lambda index: self.places[id(self.lines[index])])

    @cached_property
    def tables(self) -> tuple[PlacedTable, ...]:
        return find_tables(self.layout)

    def right_of(self, index: int) -> int | None:
        """The nearest line on the same height, right of a line."""
        _, top, right, bottom = self.boxes[index]
        slack = (bottom - top) / 2
        return min(
            (
                other
                for other, box in enumerate(self.boxes)
                if other != index and box[0] >= right - slack and self._beside(index, other)
            ),
            key=lambda other: self.boxes[other][0],
            default=None,
        )

    def left_of(self, index: int) -> int | None:
        """The nearest line on the same height, left of a line."""
        left, top, _, bottom = self.boxes[index]
        slack = (bottom - top) / 2
        return max(
            (
                other
                for other, box in enumerate(self.boxes)
                if other != index and box[2] <= left + slack and self._beside(index, other)
            ),
            key=lambda other: self.boxes[other][2],
            default=None,
        )

    def below(self, index: int) -> int | None:
        """The nearest line close below a line that shares its left edge, its middle or most of its width."""
        _, top, _, bottom = self.boxes[index]
        middle, height = (top + bottom) / 2, bottom - top
        return min(
            (
                other
                for other, box in enumerate(self.boxes)
                if middle < box[1] + height / 3 <= bottom + (_BELOW + 1 / 3) * height
                and (box[1] + box[3]) / 2 > bottom - height / 4
                and self._below(index, other)
            ),
            key=lambda other: self.boxes[other][1],
            default=None,
        )

    def _beside(self, one: int, other: int) -> bool:
        (_, top, _, bottom), (_, other_top, _, other_bottom) = self.boxes[one], self.boxes[other]
        nearer = min(bottom - top, other_bottom - other_top)
        return abs(top + bottom - other_top - other_bottom) / 2 <= 0.6 * nearer

    def _below(self, one: int, other: int) -> bool:
        (left, top, right, bottom), (other_left, _, other_right, _) = self.boxes[one], self.boxes[other]
        common = min(right, other_right) - max(left, other_left)
        return (
            abs(left - other_left) <= bottom - top
            or abs(left + right - other_left - other_right) / 2 <= bottom - top
            or common >= 0.5 * min(right - left, other_right - other_left)
        )


def _letters(text: str) -> str:
    """Letters and digits of *text* in one form: no width, no case, no blanks, no marks."""
    return "".join(letter for letter in unicodedata.normalize("NFKC", text).casefold() if letter.isalnum())


def _likeness(name: str, label: str) -> float:
    """How alike the letters of two names are, 0…1; 0 when their lengths tell or their digits differ."""
    if name == label:
        return 1.0
    too_short = 2 * min(len(name), len(label)) < _ALIKE * (len(name) + len(label))
    if too_short or _digits(name) != _digits(label):
        return 0.0
    return SequenceMatcher(None, name, label, autojunk=False).ratio()


def _digits(text: str) -> str:
    return "".join(letter for letter in text if letter.isdigit())


def _has_digit(text: str) -> bool:
    return any(letter.isdigit() for letter in text)


def _part(line_index: int, text: str) -> _Part:
    colon = _COLON.search(text)
    if colon is None or not colon.start():
        return _Part(line_index, text.strip(), "", has_colon=False)
    return _Part(line_index, text[: colon.start()].strip(), text[colon.end() :].strip(), has_colon=True)


def _parts(page: _Page, names: Iterable[str]) -> list[_Part]:
    """The parts of all lines in reading order; a line is divided where a known name with a colon begins."""
    patterns = sorted(
        {r"\s*".join(map(re.escape, letters)) for letters in map(_letters, names) if letters}, key=len, reverse=True
    )
    inner = (
        re.compile(rf"(?<=[\s,;|\uff0c\uff1b])(?=(?:{'|'.join(patterns)})\s*[:\uff1a])", re.IGNORECASE)
        if patterns
        else None
    )
    parts = []
    for index in page.order:
        text = page.lines[index].text.strip()
        pieces = (inner or _NEXT_LABEL).split(text)
        parts += [_part(index, piece.strip(_SEPARATORS)) for piece in pieces if piece.strip(_SEPARATORS)]
    return parts


# --- Fields that are asked for


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A single value that is asked for."""

    path: Path
    names: tuple[str, ...]
    """What its label may be, in letters."""
    is_list: bool = False


@dataclass(frozen=True, slots=True)
class _Found:
    """A label on the page."""

    part: _Part
    rest: str
    """What follows it in its own part."""
    likeness: float


@dataclass(slots=True)
class _Search:
    """The search for all fields of one template on one page."""

    page: _Page
    template: Mapping[str, Any]
    values: dict[Path, Any] = field(default_factory=dict)
    taken: set[int] = field(default_factory=set)
    """Lines whose words belong to somebody."""
    used: set[int] = field(default_factory=set)
    """Parts, by number, that gave their label or their words."""
    parts: list[_Part] = field(default_factory=list)
    labels: set[int] = field(default_factory=set)
    """Lines that begin with a label."""

    def run(self) -> dict[str, Any]:
        """The values in the shape of the template."""
        wanted = list(_wanted(self.template, ()))
        for path, element in _lists_of_records(self.template, ()):
            self.values[path] = self._records(element, wanted)
        self.parts = _parts(self.page, [name for item in wanted for name in item.names])
        found = self._labels_of(wanted)
        self.labels.update(part.line_index for part in self.parts if part.is_label)
        for take in (self._after, self._right, self._below):
            for item in wanted:
                if item.path not in self.values:
                    self._take(item, found[item.path], take)
        return _filled(self.template, (), self.values)

    def _labels_of(self, wanted: Sequence[_Wanted]) -> dict[Path, list[tuple[int, _Found]]]:
        """The labels of each field by number of their part, likeliest first."""
        found: dict[Path, list[tuple[int, _Found]]] = {item.path: [] for item in wanted}
        for number, part in enumerate(self.parts):
            if part.line_index in self.taken:
                continue
            matches = [(match, item) for item in wanted if (match := _match(part, item.names))]
            best = max((match.likeness for match, _ in matches), default=0.0)
            for match, item in matches:
                if match.likeness == best:
                    found[item.path].append((number, match))
                    self.labels.add(part.line_index)
        for item in wanted:
            inside = self._section(item.path, wanted)
            found[item.path].sort(key=lambda pair: (pair[0] not in inside, -pair[1].likeness, pair[0]))
        return found

    def _section(self, path: Path, wanted: Sequence[_Wanted]) -> range:
        """The parts from the heading of the object around a field to the heading of the next one."""
        everything = range(len(self.parts))
        if len(path) < 2:  # noqa: PLR2004 - no object around it
            return everything
        parents = {item.path[-2]: None for item in wanted if len(item.path) > 1}
        headings = {
            parent: number
            for number, part in reversed(list(enumerate(self.parts)))
            for parent in parents
            if not part.rest and _likeness(_letters(parent), _letters(part.label)) >= _ALIKE
        }
        start = headings.get(path[-2])
        if start is None:
            return everything
        return range(start, min((at for at in headings.values() if at > start), default=len(self.parts)))

    def _take(self, item: _Wanted, labels: Iterable[tuple[int, _Found]], take: Callable[[_Found], str | None]) -> None:
        for number, label in labels:
            if number in self.used:
                continue
            value = take(label)
            if value:
                self.used.add(number)
                self.values[item.path] = _SPLIT_LIST.split(value) if item.is_list else value
                return

    def _after(self, label: _Found) -> str | None:
        return label.rest or None

    def _right(self, label: _Found) -> str | None:
        if label.rest:
            return None
        index = label.part.line_index
        other = self.page.right_of(index)
        if other is None or self._heads(index, other):
            return None
        return self._words(other)

    def _below(self, label: _Found) -> str | None:
        if label.rest or self._is_column_head(label.part.line_index):
            return None
        other = self.page.below(label.part.line_index)
        if other is None:
            return None
        neighbour = self.page.left_of(other)
        if neighbour in self.labels and self.page.right_of(neighbour) == other:
            return None
        return self._words(other)

    def _words(self, index: int) -> str | None:
        """The words of a line that are free to be a value."""
        if index in self.taken or index in self.labels:
            return None
        self.taken.add(index)
        return self.page.lines[index].text.strip() or None

    def _heads(self, label: int, other: int) -> bool:
        """Whether a line and its right neighbour are labels above their values."""
        if _has_digit(self.page.lines[other].text) or self._is_column_head(label):
            return not _has_digit(self.page.lines[other].text)
        below, below_other = self.page.below(label), self.page.below(other)
        if below is None or below_other is None or below in self.labels:
            return False
        return _has_digit(self.page.lines[below].text)

    def _is_column_head(self, index: int) -> bool:
        """Whether a line stands in the head of a table with several rows below: such a column is no single value."""
        for placed in self.page.tables:
            if index in placed.line_indexes and placed.table.row_count > 2:  # noqa: PLR2004 - a head, several rows
                head, *body = placed.table.rows
                columns = [list(filter(None, column)) for column in zip(*body, strict=True)]
                filled = sum(bool(column) and all(map(_has_digit, column)) for column in columns)
                in_head = self.page.lines[index].text.strip() in {text.strip() for text in head}
                return in_head and not any(map(_has_digit, head)) and 2 * filled > len(head)
        return False

    def _records(self, element: Mapping[str, Any], wanted: Sequence[_Wanted]) -> list[dict[str, Any]] | None:
        """The rows of the table whose head has the names of *element*; None when there is no such table."""
        names = {key: _names((key,), hint) for key, hint in element.items()}
        single = [name for item in wanted for name in item.names]
        for placed in self.page.tables:
            if placed.line_indexes & self.taken:
                continue
            for head, row in enumerate(placed.table.rows[:3]):
                columns = _columns(row, names)
                if 2 * len(columns) >= len(names) and len(columns) >= min(2, len(names)):
                    self.taken |= self._lines_of(placed, head, single)
                    return [
                        _filled(element, (), {(key,): record[column] or None for key, column in columns.items()})
                        for record in _rows_below(placed, head, single)
                        if any(record[column] for column in columns.values())
                    ]
        return None

    def _lines_of(self, placed: PlacedTable, head: int, single: Sequence[str]) -> set[int]:
        """The lines of a table but for the rows below its records, such as totals."""
        kept = {text for row in placed.table.rows[: head + 1] for text in row}
        kept |= {text for row in _rows_below(placed, head, single) for text in row}
        words = {word for text in kept for word in text.replace("\n", " ").split()}
        return {index for index in placed.line_indexes if words.issuperset(self.page.lines[index].text.split())}


def _wanted(template: Mapping[str, Any], path: Path) -> Iterator[_Wanted]:
    """The single values of a template, and its lists of single values."""
    for key, hint in template.items():
        here = (*path, key)
        if isinstance(hint, Mapping) and hint:
            yield from _wanted(hint, here)
        elif isinstance(hint, list) and hint and isinstance(hint[0], Mapping):
            continue
        else:
            is_list = isinstance(hint, list)
            yield _Wanted(here, _names(here, hint[0] if is_list and hint else hint), is_list=is_list)


def _lists_of_records(template: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    for key, hint in template.items():
        if isinstance(hint, Mapping):
            yield from _lists_of_records(hint, (*path, key))
        elif isinstance(hint, list) and hint and isinstance(hint[0], Mapping):
            yield (*path, key), hint[0]


def _names(path: Path, hint: object) -> tuple[str, ...]:
    """What a field's label may be, in letters: its name, the object's name before it, or words of its hint."""
    texts = [path[-1], re.sub(r"(?<=[a-z])(?=[A-Z])", " ", path[-1])]
    if len(path) > 1:
        texts.append("".join(path[-2:]))
    if isinstance(hint, str):
        texts += [piece for piece in _SPLIT_HINT.split(hint) if len(piece.strip()) <= _LONGEST_LABEL]
    return tuple(dict.fromkeys(filter(None, map(_letters, texts))))


def _filled(template: Mapping[str, Any], path: Path, values: Mapping[Path, Any]) -> dict[str, Any]:
    """The values in the shape of *template*."""
    return {
        key: _filled(hint, (*path, key), values) if isinstance(hint, Mapping) and hint else values.get((*path, key))
        for key, hint in template.items()
    }


def _match(part: _Part, names: Iterable[str]) -> _Found | None:
    """The label that a part begins with, when it is one of *names*."""
    label = _letters(part.label)
    likeness = max((_likeness(name, label) for name in names), default=0.0)
    if likeness >= _ALIKE:
        return _Found(part, part.rest.strip(_LEADERS) if part.rest else "", likeness)
    if part.has_colon:
        return None
    for name in names:
        rest = _rest_without_colon(part.label, name)
        if rest:
            return _Found(part, rest, _ALIKE)
    return None


def _rest_without_colon(text: str, name: str) -> str | None:
    """What follows *name* in a line without a colon, when it is plainly a value: a number, or set off by a blank."""
    end = _end_of(text, name)
    if end is None:
        return None
    rest = text[end:]
    value = rest.strip(_LEADERS)
    if re.match(r"[:.,]\d", rest) and name[-1].isdigit():
        return None
    if not value or (rest[0].isalnum() and name[-1].isascii() and not rest[0].isdigit()):
        return None
    first_word = value.split()[0]
    is_number = _has_digit(first_word) or unicodedata.category(first_word[0]) == "Sc"
    set_off = not name[-1].isascii() and not rest[0].isalnum() and len(value) <= _LONGEST_LABEL
    return value if is_number or set_off else None


def _end_of(text: str, name: str) -> int | None:
    """Where the letters of *name* end in *text*, when *text* begins with them."""
    reached = ""
    for at, letter in enumerate(text):
        reached += _letters(letter)
        if reached == name:
            return at + 1
        if not name.startswith(reached):
            return None
    return None


def _columns(head: Sequence[str], names: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Which column of a table each name stands above."""
    columns: dict[str, int] = {}
    for key, known in names.items():
        scores = [
            (max(_likeness(name, label) for name in known for label in _labels_in(text)), -column)
            for column, text in enumerate(head)
            if column not in columns.values()
        ]
        likeness, column = max(scores, default=(0.0, 0))
        if likeness >= _ALIKE:
            columns[key] = -column
    return columns


def _labels_in(text: str) -> list[str]:
    """A label and, when it is given in two languages or with a unit, its parts."""
    return [_letters(text), *map(_letters, _SPLIT_HEAD.split(text))]


def _rows_below(placed: PlacedTable, head: int, single: Sequence[str]) -> list[tuple[str, ...]]:
    """The rows that are records: up to one that spans columns, or that begins as a total or as another field."""
    spanning = [cell.row for cell in placed.table.cells if cell.column_span > 1 and cell.row > head]
    rows = []
    for number, row in enumerate(placed.table.rows[head + 1 :], start=head + 1):
        first = next(filter(None, row), "")
        ends = any(_likeness(name, _letters(first)) >= _ALIKE for name in single)
        if number in spanning or ends or _TOTALS.match(first.strip()):
            break
        rows.append(tuple(text.replace("\n", " ") for text in row))
    return rows


# --- All pairs of a page


def _all_pairs(page: _Page) -> dict[str, Any]:
    """Every label with its value: by a colon, side by side, or one above the other in a table of two rows."""
    parts = _parts(page, ())
    labels = {part.line_index for part in parts if part.is_label}
    pairs: dict[str, Any] = {}
    taken: set[int] = set()
    for label, value, line_indexes in _pairs(page, parts, labels):
        if taken.isdisjoint(line_indexes):
            taken.update(line_indexes)
            _add(pairs, label, value)
    return pairs


def _add(pairs: dict[str, Any], label: str, value: str) -> None:
    """Keep every value of a label that comes again."""
    if label not in pairs:
        pairs[label] = value
    elif isinstance(pairs[label], list):
        pairs[label].append(value)
    else:
        pairs[label] = [pairs[label], value]


def _pairs(page: _Page, parts: Sequence[_Part], labels: set[int]) -> Iterator[tuple[str, str, set[int]]]:
    below = dict(_pairs_in_tables(page))
    beside = dict(_pairs_in_rows(page, labels))
    for part in parts:
        index = part.line_index
        if part.is_label and part.rest:
            yield part.label, part.rest, set()
        elif part.is_label:
            for other in (page.right_of(index), page.below(index)):
                if other is not None and other not in labels:
                    yield part.label, page.lines[other].text.strip(), {other}
                    break
        elif index in below or index in beside:
            other = below.get(index, beside.get(index, index))
            yield part.label, page.lines[other].text.strip(), {index, other}


def _pairs_in_tables(page: _Page) -> Iterator[tuple[int, int]]:
    """Label and value of tables that are a row of labels over a row of values."""
    for placed in page.tables:
        if placed.table.row_count != 2:  # noqa: PLR2004 - labels and values
            continue
        head, body = placed.table.rows
        if any(map(_has_digit, head)) or 2 * sum(map(_has_digit, body)) < len(body):
            continue
        for index in placed.line_indexes:
            other = page.below(index)
            if page.lines[index].text.strip() in head and other in placed.line_indexes:
                yield index, other


def _pairs_in_rows(page: _Page, labels: set[int]) -> Iterator[tuple[int, int]]:
    """Label and value of rows of exactly two lines, outside of wider tables."""
    wide = {i for placed in page.tables if placed.table.column_count > 2 for i in placed.line_indexes}  # noqa: PLR2004
    numbers = {id(line): index for index, line in enumerate(page.lines)}
    for row in page.layout.text_rows():
        indexes = [numbers[id(line)] for line in row]
        if len(row) == 2 and wide.isdisjoint(indexes) and labels.isdisjoint(indexes):  # noqa: PLR2004 - a pair
            letters = _letters(row[0].text)
            if letters and len(letters) <= _LONGEST_LABEL and not letters[0].isdigit():
                yield indexes[0], indexes[1]
