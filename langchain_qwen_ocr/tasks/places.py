"""Places in answers: what the numbers of a rectangle mean, and every form in which the model writes them.

A rectangle is `[cx, cy, width, height, angle]`, degrees clockwise, as OpenCV's `minAreaRect` gives it: upright
horizontal text comes as angle 90 with the line's length as height, as angle -89 from older models, or as angle 0 with
the length as width. The direction of the text follows from the longer side; a turn by 180° cannot be told from a
rectangle, so the direction is the one nearest to upright reading, in (-90, 90].
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from langchain_qwen_ocr.errors import AnswerError
from langchain_qwen_ocr.geometry import (
    Affine,
    Bounds,
    CoordinateFrame,
    PageMap,
    Point,
    Quad,
    Size,
    rectangle_corners,
)
from langchain_qwen_ocr.tasks.fences import fence, fenced_block
from langchain_qwen_ocr.tasks.json_answers import JSONValue, holds_json, read_json
from langchain_qwen_ocr.tasks.results import MetadataValue, Region, Result

Rect = tuple[float, float, float, float, float]
"""Centre x and y, width, height, angle in degrees."""

_LARGEST_THOUSANDTH = 1030
"""Real answers overhang the picture by a few thousandths; beyond this the numbers count something else."""
_NEARLY_SQUARE = 1.2
"""Below this ratio of sides, and for a single character, the longer side says nothing about the direction."""
_SKEW = 1e-3
"""The cosine of the angle between two edges from which on a quadrilateral is no rectangle."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text and where it stands."""

    text: str
    """Empty when the model gave a place without text."""
    quad: Quad
    """Four corners, clockwise from the text's own top-left; they may overhang the picture."""
    angle_deg: float = 0.0
    """The direction in which the text runs: 0 to the right, 90 downwards."""
    rectangle: Quad | None = None
    """The truer rectangle where the way to the page skews a slanted line; None when it equals `quad`."""
    in_pixels: bool = False
    """Its numbers are pixels of the picture, whatever the model's frame."""
    rect: Rect | None = field(default=None, compare=False)
    """The five numbers of the answer, as they came."""

    @classmethod
    def from_rect(
        cls, text: str, rect: Sequence[float], *, direction_deg: float | None = None, in_pixels: bool = False
    ) -> Line:
        """The line in a rotated rectangle `[cx, cy, width, height, angle]`.

        Whole numbers are truncated to whole corners, as the service does on its own grid.

        Args:
            text: The line.
            rect: Five numbers.
            direction_deg: The direction of the text, where it is known better than the rectangle tells.
            in_pixels: The numbers are pixels, whatever the model's frame.
        """
        cx, cy, width, height, angle = rect
        corners = rectangle_corners(cx, cy, width, height, angle)
        if all(float(n).is_integer() for n in rect):
            a, b, c, d = (Point(float(int(p.x)), float(int(p.y))) for p in corners)
            corners = (a, b, c, d)
        if direction_deg is None:
            direction_deg = _direction(text, width, height, angle)
        return cls(
            text,
            _rolled(corners, angle, direction_deg),
            direction_deg,
            in_pixels=in_pixels,
            rect=(cx, cy, width, height, angle),
        )

    @classmethod
    def from_corners(cls, text: str, quad: Quad, *, in_pixels: bool = True) -> Line:
        """The line in a quadrilateral that begins at any corner, as native answers give it."""
        points = quad.points
        if _turns_left(points):
            a, b, c, d = points
            points = (d, c, b, a)
        height, width = math.dist(points[0], points[1]), math.dist(points[1], points[2])
        angle = math.degrees(math.atan2(points[2].y - points[1].y, points[2].x - points[1].x))
        rolled = _rolled(points, angle, _direction(text, width, height, angle))
        return cls(text, rolled, rolled.angle_deg, in_pixels=in_pixels)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the upright box around it."""
        return self.quad.bounds

    def mapped(self, to_page: Affine) -> Line:
        """The line on the page: its corners as the service maps them, and the truer rectangle of a slanted one."""
        quad = self.quad.mapped(to_page)
        rectangle = self._true_rectangle(to_page)
        return dataclasses.replace(
            self,
            quad=quad,
            rectangle=rectangle,
            angle_deg=_half_turn_free(self.angle_deg, (rectangle or quad).angle_deg),
            in_pixels=False,
        )

    def _true_rectangle(self, to_page: Affine) -> Quad | None:
        """The rectangle along the mapped line: its length kept, its height taken at right angles."""
        edges = self._exact_quad().mapped(to_page)
        first, second, _, last = edges.points
        along = Point(second.x - first.x, second.y - first.y)
        down = Point(last.x - first.x, last.y - first.y)
        length, height = math.hypot(*along), math.hypot(*down)
        if not length or not height:
            return None
        overlap = (along.x * down.x + along.y * down.y) / length
        if abs(overlap) <= _SKEW * height:
            return None
        square = Point(down.x - overlap * along.x / length, down.y - overlap * along.y / length)
        centre = edges.center
        left, top = centre.x - (along.x + square.x) / 2, centre.y - (along.y + square.y) / 2
        return Quad(
            (
                Point(left, top),
                Point(left + along.x, top + along.y),
                Point(left + along.x + square.x, top + along.y + square.y),
                Point(left + square.x, top + square.y),
            )
        )

    def _exact_quad(self) -> Quad:
        """The corners before they were truncated."""
        if self.rect is None:
            return self.quad
        corners = rectangle_corners(*self.rect)
        exact = _rolled(corners, self.rect[4], self.angle_deg)
        near = all(math.dist(p, q) < 2 for p, q in zip(exact.points, self.quad.points, strict=True))  # noqa: PLR2004 - a grid step each way
        return exact if near else self.quad


def _direction(text: str, width: float, height: float, angle_deg: float) -> float:
    """The direction of a line in a rectangle, in (-90, 90]."""
    longer, shorter = max(width, height), min(width, height)
    along_width = _upright(angle_deg)
    along_height = _upright(angle_deg - 90)
    if len(text.strip()) == 1 or (text.strip() and longer < _NEARLY_SQUARE * shorter):
        return min(along_height, along_width, key=abs)
    return along_height if height >= width else along_width


def _upright(angle_deg: float) -> float:
    """The same line of sight in (-90, 90]."""
    return 90 - (90 - angle_deg) % 180


def _half_turn_free(before_deg: float, after_deg: float) -> float:
    """The mapped direction, exact where nothing was turned."""
    return before_deg if math.isclose(before_deg, after_deg, abs_tol=1e-9) else after_deg


def _rolled(points: Sequence[Point], angle_deg: float, direction_deg: float) -> Quad:
    """Corners in OpenCV's order, begun at the top-left of a text that runs in *direction_deg*."""
    start = (round((direction_deg - angle_deg) / 90) + 1) % 4
    a, b, c, d = (points[(start + i) % 4] for i in range(4))
    return Quad((a, b, c, d))


def _turns_left(points: Sequence[Point]) -> bool:
    """Whether the corners run against the clock."""
    doubled_area = sum(points[i].x * points[(i + 1) % 4].y - points[(i + 1) % 4].x * points[i].y for i in range(4))
    return doubled_area < 0


def line_in_picture(text: str, quad: Quad, picture: Size) -> Line:
    """The line as the service would answer it for text at *quad* px: whole thousandths of *picture*.

    Horizontal text has angle 90, the line's length as height and its height as width.
    """
    grid = quad.mapped(Affine.scaling(1000 / picture.width_px, 1000 / picture.height_px))
    first, second, _, last = grid.points
    along = Point(second.x - first.x, second.y - first.y)
    down = Point(last.x - first.x, last.y - first.y)
    length = math.hypot(*along)
    height = abs(along.x * down.y - along.y * down.x) / length if length else math.hypot(*down)
    angle = round(_upright(grid.angle_deg + 90))
    centre = grid.center
    rect = (round(centre.x), round(centre.y), max(1, round(height)), max(1, round(length)), angle)
    line = Line.from_rect(text, rect)
    directed = min((angle - 90, angle + 90), key=lambda direction: _turn_between(direction, grid.angle_deg))
    if _turn_between(line.angle_deg, directed) == 0:
        return line
    return Line.from_rect(text, rect, direction_deg=directed)


def _turn_between(one_deg: float, other_deg: float) -> float:
    """How far one direction is from another."""
    return abs((one_deg - other_deg + 180) % 360 - 180)


@dataclass(frozen=True, slots=True)
class Lines(Result):
    """Lines of text with their places, in the model's own order."""

    lines: tuple[Line, ...] = ()
    page: Size | None = field(default=None, compare=False)
    """The page that the places lie on, in px; None while they are in the answer's own frame."""

    @property
    def text(self) -> str:
        """The texts of the lines, one below the other."""
        return "\n".join(line.text for line in self.lines if line.text)

    @property
    def regions(self) -> tuple[Region, ...]:
        """The lines with their places, moved onto the page where they overhang it."""
        page = self.page
        return tuple(
            Region(
                line.text,
                line.quad if page is None else line.quad.clipped(page),
                line.rectangle,
                line.angle_deg,
            )
            for line in self.lines
        )

    joins: ClassVar[bool] = True

    def join(self, below: Lines) -> Lines:
        """The lines of both parts; a line that both saw stands once, as the part has it that saw more of it."""
        lines = list(self.lines)
        for line in below.lines:
            twin = next((i for i, other in enumerate(lines) if _is_same_place(other.bounds, line.bounds)), None)
            if twin is None:
                lines.append(line)
            elif len(line.text) > len(lines[twin].text):
                lines[twin] = line
        return dataclasses.replace(
            self, lines=tuple(lines), warnings=(*self.warnings, *below.warnings), cut=self.cut or below.cut
        )

    def metadata(self) -> dict[str, MetadataValue]:
        """How many lines there are."""
        return {"line_count": len(self.lines)}

    def mapped(self, to_page: PageMap) -> Lines:
        """The lines in pixels of the page.

        Numbers that no thousandth can be are read as pixels of the picture, all of them, with a warning.
        """
        frame, warnings = to_page.frame, self.warnings
        reach = max((max(line.bounds[2:]) for line in self.lines if not line.in_pixels), default=0.0)
        if frame is CoordinateFrame.THOUSANDTHS and reach > _LARGEST_THOUSANDTH:
            frame = CoordinateFrame.PIXELS
            warnings = (
                *warnings,
                f"A place reaches {reach:.0f}, which is no thousandth: the places were read as pixels.",
            )
        ways = {chosen: to_page.affine(chosen) for chosen in CoordinateFrame}
        return dataclasses.replace(
            self,
            lines=tuple(line.mapped(ways[CoordinateFrame.PIXELS if line.in_pixels else frame]) for line in self.lines),
            page=to_page.page,
            warnings=warnings,
        )


def _is_same_place(one: Bounds, other: Bounds) -> bool:
    """Whether two boxes cover each other by more than half of the smaller one."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return across > 0 and down > 0 and across * down > smaller / 2


# Reading

_TEXT_KEYS = ("text", "word", "content", "label", "text_content", "transcription", "文本", "文字", "内容")
_RECT_KEYS = ("rotate_rect", "rotated_rect", "rotateRect", "rect", "rotated_rectangle", "旋转矩形", "坐标", "pos_list")
_BOX_KEYS = ("bbox_2d", "bbox", "box", "box_2d", "points", "polygon", "position")
_PLACE_KEYS = (*_RECT_KEYS, *_BOX_KEYS)
_NAMED_NUMBERS = (
    ("cx", "cy", "width", "height", "angle"),
    ("cx", "cy", "w", "h", "angle"),
    ("x1", "y1", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("left", "top", "right", "bottom"),
    ("x", "y"),
)
"""Numbers of a place that have names of their own, in the order in which they are meant."""
_ASIDES = frozenset({"type", "id", "category", "class", "unit", "language", "lang"})
"""What an object says about its text; no text of the picture."""


def read_lines(answer: str) -> Lines:
    """The lines of *answer* with their places, in the answer's own frame.

    Raises:
        AnswerError: The answer holds no places in any known form.
    """
    has_objects = _OBJECTS.search(answer) is not None
    may_be_json = has_objects or (holds_json(answer) and not _BRACKETED_ROW.match(answer))
    lines = _lines_from_json(answer) if may_be_json else None
    if lines is None and not has_objects:
        lines = _lines_from_rows(answer)
    if lines is None:
        raise AnswerError("The answer holds no places of text in any known form.", answer=answer)
    textless = sum(not line.text for line in lines.lines)
    if not textless:
        return lines
    warning = f"{textless} of {len(lines.lines)} places came without text."
    return dataclasses.replace(lines, warnings=(*lines.warnings, warning))


def _lines_from_json(answer: str) -> Lines | None:
    try:
        read = read_json(answer)
    except AnswerError:
        return None
    finder = _Finder()
    finder.walk(read.value)
    if not finder.lines and not read.cut and finder.unread:
        return None
    warnings = read.warnings
    if finder.unread:
        warnings = (*warnings, f"{finder.unread} entries hold no readable place and were left out.")
    return Lines(tuple(finder.lines), warnings=warnings, cut=read.cut)


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a JSON value that may hold lines."""

    value: JSONValue
    native: bool = False
    """Its places are pixels, as the service itself gives them."""
    text: str = ""
    """What the object around it says, for the first place in it."""


@dataclass(slots=True)
class _Finder:
    """Collects lines from a JSON value, whatever lists and objects they are wrapped in."""

    lines: list[Line] = field(default_factory=list)
    unread: int = 0

    def walk(self, value: JSONValue) -> None:
        """Collect the lines of *value*, in their order."""
        pending = [_Part(value)]
        while pending:
            part = pending.pop()
            if isinstance(part.value, dict):
                inner = self._take_object(part.value, part)
            elif isinstance(part.value, list):
                inner = self._take_list(part.value, part)
            else:
                self.unread += part.value not in (None, "")
                continue
            pending.extend(reversed(inner))

    def _take_object(self, entry: dict[str, Any], around: _Part) -> list[_Part]:
        """Take the line of an object, or the texts it names by place; what is left to look at."""
        for key in ("ocr_result", "words_info"):
            # Native answers hold the same lines twice: the ready-made ones come first and are enough.
            if isinstance(entry.get(key), dict | list):
                return [_Part(entry[key], native=around.native or key == "words_info")]
        texts, parts = _texts_and_parts(entry)
        text = "\n".join(texts) or around.text
        line = _line_of_object(text, entry, native=around.native)
        if line is not None:
            self.lines.append(line)
            return [_Part(value, around.native) for value in parts.values()]
        by_text = {key: _numbers(value) for key, value in entry.items()}
        if entry and all(map(_looks_like_place, by_text.values())):
            self.lines += [Line.from_rect(key, rect, in_pixels=around.native) for key, rect in by_text.items()]
            return []
        if entry and not parts:
            self.unread += 1
        owner = "pos_list" if "pos_list" in parts else next(iter(parts), "")
        return [_Part(value, around.native, text if key == owner else "") for key, value in parts.items()]

    def _take_list(self, entries: list[Any], around: _Part) -> list[_Part]:
        """Take the line of a list of numbers; what is left to look at."""
        line = _line_of_list(entries, around)
        if line is None:
            return [_Part(entry, around.native, "" if i else around.text) for i, entry in enumerate(entries)]
        self.lines.append(line)
        return []


def _texts_and_parts(entry: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """What an object says of its own, and the values in it that have places of their own."""
    named = next((key for key in _TEXT_KEYS if isinstance(entry.get(key), str | int | float)), None)
    texts = [] if named is None else [str(entry[named])]
    said = "\n".join(texts)
    placed: dict[str, Any] = {}
    for key, value in entry.items():
        if isinstance(value, dict | list):
            if len(_numbers(value)) not in _SHAPES and _holds_place(value):
                placed[key] = value
                continue
        elif named is not None or _holds_place(value, key):
            continue
        # The object's own text may be there once more, in pieces.
        texts += (word for word in _words({key: value}) if word not in said)
    return texts, placed


def _words(value: JSONValue) -> Iterator[str]:
    """The texts in *value*, without what only says what kind of text they are."""
    if isinstance(value, str) and value:
        yield value
    elif isinstance(value, list):
        yield from (word for part in value for word in _words(part))
    elif isinstance(value, dict):
        yield from (word for key, part in value.items() if key not in _ASIDES for word in _words(part))


def _holds_place(value: JSONValue, key: str = "") -> bool:
    """Whether there is a place anywhere in *value*, which stands under *key*."""
    if isinstance(value, str):
        return key in _PLACE_KEYS and len(_numbers(value)) in _SHAPES
    if isinstance(value, list):
        is_place = len(_numbers(value)) in _SHAPES and not isinstance(value[0], str)
        return is_place or any(map(_holds_place, value))
    return isinstance(value, dict) and any(_holds_place(part, name) for name, part in value.items())


def _line_of_object(text: str, entry: Mapping[str, Any], *, native: bool) -> Line | None:
    own = _numbers(entry.get("quad"))
    if len(own) == 8:  # noqa: PLR2004 - four corners
        return _own_line(text, entry, own)
    location = _numbers(entry.get("location"))
    if len(location) == 8:  # noqa: PLR2004 - four corners
        return Line.from_corners(text, Quad.from_numbers(location))
    places = [_numbers(entry[key]) for key in _PLACE_KEYS if key in entry]
    places += [_numbers([entry[name] for name in names]) for names in _NAMED_NUMBERS if entry.keys() >= set(names)]
    # A rotated rectangle says more than the upright box that may stand beside it.
    places.sort(key=lambda numbers: len(numbers) != 5)  # noqa: PLR2004 - a rotated rectangle
    directions = _numbers(entry.get("direction"))
    lines = (
        _line_of_numbers(text, numbers, native=native, direction_deg=directions[0] if directions else None)
        for numbers in places
    )
    return next(filter(None, lines), None)


_SHAPES = frozenset({4, 5, 8})
"""How many numbers say a place: two corners, a rotated rectangle, four corners."""


def _line_of_numbers(
    text: str, numbers: tuple[float, ...], *, native: bool, direction_deg: float | None = None
) -> Line | None:
    """The line in a rotated rectangle, in an upright one by two corners, or in four corners."""
    match numbers:
        case (_, _, _, _, _):
            return Line.from_rect(text, numbers, direction_deg=direction_deg, in_pixels=native)
        case (x1, y1, x2, y2):
            return Line(text, Quad.of(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)), in_pixels=native)
        case (_, _, _, _, _, _, _, _):
            return Line.from_corners(text, Quad.from_numbers(numbers), in_pixels=native)
    return None


def _own_line(text: str, entry: Mapping[str, Any], corners: tuple[float, ...]) -> Line:
    quad = Quad.from_numbers(corners)
    direction, rectangle = _numbers(entry.get("direction")), _numbers(entry.get("rectangle"))
    return Line(
        text,
        quad,
        direction[0] if direction else quad.angle_deg,
        Quad.from_numbers(rectangle) if len(rectangle) == 8 else None,  # noqa: PLR2004 - four corners
        in_pixels=entry.get("unit") == "px",
    )


def _line_of_list(entries: list[Any], around: _Part) -> Line | None:
    """The line of `[cx, cy, w, h, angle]`, of one with a text before or behind it, or of `[text, [numbers]]`."""
    if len(entries) == 6 and all(map(_is_number, entries)):  # noqa: PLR2004 - five numbers and a text
        entries = [*entries[:5], str(entries[5])]
    texts = [entry for entry in entries if isinstance(entry, str)]
    numbers = [entry for entry in entries if not isinstance(entry, str)]
    if len(texts) > 1 or not numbers:
        return None
    return _line_of_numbers(texts[0] if texts else around.text, _numbers(numbers), native=around.native)


_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_LARGEST_NUMBER = 1e15
"""Beyond it nothing is a place, and a float no longer counts in ones."""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST_NUMBER


def _numbers(value: object, *, depth: int = 0) -> tuple[float, ...]:
    """The numbers of a list, of `<1><2>`, of `"1, 2"` or of a number; none when anything else is among them."""
    if isinstance(value, int | float):
        return (value,) if _is_number(value) else ()
    if isinstance(value, str):
        if len(value) > _LONGEST_RECT or re.fullmatch(r"[\s<>()\[\],;，、.\deE+°-]*", value) is None:
            return ()
        return _numbers([_as_number(word) for word in _NUMBER.findall(value)], depth=depth)
    if isinstance(value, dict):
        names = next((names for names in _NAMED_NUMBERS if value.keys() == set(names)), ())
        value = [value[name] for name in names]
    if not isinstance(value, list) or depth > _DEEPEST_NUMBERS or len(value) > _MOST_NUMBERS:
        return ()
    parts = [_numbers(part, depth=depth + 1) for part in value]
    return () if () in parts else tuple(n for part in parts for n in part)


_LONGEST_RECT = 200
_MOST_NUMBERS = 8
_DEEPEST_NUMBERS = 2
_LONGEST_ROW = 2000
"""Characters of a row that is looked at closely."""


def _as_number(word: str) -> float:
    number = float(word)
    return int(number) if abs(number) < _LARGEST_NUMBER and number.is_integer() else number


# What is repeated never gives back what it took: an answer of a million blanks or digits is read in one pass.
_N = r"-?\d++(?:\.\d++)?"
_GAP = r"(?:[ \t]*+[,，;；][ \t]*+|\t++)"
_LOOSE_GAP = r"(?:[ \t]*+[,，;；][ \t]*+|[ \t]++)"
# `cx,cy,w,h,angle` at the start of a row, with the text behind a comma.
_ROW = re.compile(rf"[ \t]*(?P<rect>{_N}(?:{_GAP}{_N}){{4}})(?:[ \t]*[,，;；\t][ \t]?(?P<text>.*)|[ \t]*)")
_BRACKETED = re.compile(rf"[\[(（【<][ \t]*(?P<rect>{_N}(?:{_LOOSE_GAP}{_N}){{4}})[ \t]*[\])）】>]")
_BROKEN_TAIL = re.compile(
    rf"[\[(（【<]?[ \t]*{_N}(?:{_LOOSE_GAP}(?:{_N})?){{0,4}}[ \t]*+(?:(?P<closed>[\])）】>])[ \t]*+)?"
)
_ONLY_NUMBERS = re.compile(r"[ \t]*-?\d[-\d., \t，;；]*")
_NUMBERING = re.compile(r"^[ \t]*+(?:\d++[.、)）:：]|[-*•])[ \t]+")
_TRAILING = re.compile(rf"(?P<text>.*?\S)[ \t]*[,，:：\t ][ \t]*(?P<rect>{_N}(?:{_GAP}{_N}){{4}})[ \t]*")
_BRACKETED_ROW = re.compile(rf"(?:[ \t]*```\w*\n)?\s*{_BRACKETED.pattern}[ \t]*[^,\s\]]?")
_OBJECTS = re.compile(r"(?:\A|(?<=\s))(?:\[\s*+)?\{\s*+(?:[\"'}]|\Z)")
_HEADER = re.compile(r"\W*c?x\b\W.*\b(?:angle|theta)\b.*", re.IGNORECASE)
_OPEN_TAIL = re.compile(rf"(?P<text>.*)[\[(（【<][ \t]*+{_N}(?:{_LOOSE_GAP}(?:{_N})?){{0,4}}[ \t]*")
_AROUND_RECT = " \t,，:：;；-–—|"


@dataclass(slots=True)
class _Rows:
    """Collects lines from an answer of rows."""

    with_text: bool
    """Numbers behind a rectangle are its text, not the next rectangle."""
    lines: list[Line] = field(default_factory=list)
    pending: str = ""
    """The last row, when it was text without a place."""
    added: int = 0
    broken: int = 0
    mended: int = 0
    cut: bool = False

    def take(self, row: str, *, is_last: bool) -> None:
        """Read one row."""
        if not row.strip() or (not self.lines and _HEADER.fullmatch(row)):
            return
        found = _row_lines(row, with_text=self.with_text)
        if found is None:
            self._take_rest(row, is_last=is_last)
            return
        lines, mended, tail = found
        self.mended += mended
        if self.pending and len(lines) == 1 and not lines[0].text and lines[0].rect is not None:
            lines = [Line.from_rect(self.pending, lines[0].rect)]
        elif self.pending:
            self._append_to_last(self.pending)
        self.pending = ""
        self.lines.extend(lines)
        if tail:
            self.broken += 1
            self.cut = self.cut or (is_last and tail[-1] not in ")]）】>")

    def _take_rest(self, row: str, *, is_last: bool) -> None:
        tail = _BROKEN_TAIL.fullmatch(row)
        if tail is not None and self.lines and re.search(r"[,，\[(]", row):
            self.broken += 1
            self.cut = self.cut or (is_last and tail["closed"] is None)
            return
        if is_last and self.lines and len(row) < _LONGEST_ROW and _OPEN_TAIL.fullmatch(row):
            self.broken += 1
            self.cut = True
            return
        if self.pending:
            self._append_to_last(self.pending)
        self.pending = _NUMBERING.sub("", row, count=1).strip()

    def _append_to_last(self, text: str) -> None:
        self.added += 1
        if self.lines:
            last = self.lines[-1]
            self.lines[-1] = dataclasses.replace(last, text=f"{last.text}\n{text}".strip("\n"))

    def finish(self) -> Lines | None:
        """The lines; None when no row held a place."""
        if not self.lines:
            return None
        if self.pending:
            self._append_to_last(self.pending)
        counts = (
            (self.mended, "Places with blanks among their numbers, mended"),
            (self.added, "Rows without a place, added to the line before or left out at the start"),
            (self.broken, "Incomplete places, left out"),
        )
        warnings = tuple(f"{what}: {count}." for count, what in counts if count)
        return Lines(tuple(self.lines), warnings=warnings, cut=self.cut)


def _lines_from_rows(answer: str) -> Lines | None:
    block = fenced_block(answer)
    body = block.body
    rows = body.split("\n")
    last = max((i for i, row in enumerate(rows) if row.strip()), default=-1)
    reader = _Rows(with_text=any(map(_has_text, rows[:_MOST_LOOKED_AT])) or sum(map(_is_rect_and_number, rows)) > 1)
    for i, row in enumerate(rows):
        reader.take(row.rstrip("\r"), is_last=i == last)
    lines = reader.finish()
    is_open = block.opened and not block.closed
    if lines is None:
        # A fence was just opened, or nothing came yet: no word against the form.
        return Lines(cut=is_open) if is_open and len(body) < _LONGEST_RECT else None
    return dataclasses.replace(lines, cut=True) if is_open else lines


def _has_text(row: str) -> bool:
    """Whether a row is a rectangle with words behind it."""
    found = _ROW.fullmatch(row)
    return found is not None and re.search(r"[^\W\d_]", found["text"] or "") is not None


def _is_rect_and_number(row: str) -> bool:
    """Whether a row is a rectangle with one number behind it, which is its text."""
    found = _ROW.fullmatch(row)
    return found is not None and re.fullmatch(_N, found["text"] or "") is not None


def _row_lines(row: str, *, with_text: bool) -> tuple[list[Line], int, str] | None:
    """The lines of a row, how many of them had to be mended, and an incomplete place at its end."""
    plain = _ROW.fullmatch(row)
    if plain is not None and plain["text"] is None:
        return [Line.from_rect("", _numbers(plain["rect"]))], 0, ""
    numbers = _number_row(row) if plain is None or not with_text else None
    if numbers is not None:
        return numbers
    if plain is not None:
        text = plain["text"] or ""
        if _BRACKETED.search(text) is None:
            return [Line.from_rect(_unquoted(text), _numbers(plain["rect"]))], 0, ""
    trailing = _TRAILING.fullmatch(row) if len(row) < _LONGEST_ROW else None
    if trailing is not None:
        text = _NUMBERING.sub("", trailing["text"], count=1).strip(_AROUND_RECT)
        return [Line.from_rect(text, _numbers(trailing["rect"]))], 0, ""
    return _bracketed_row(row)


def _number_row(row: str) -> tuple[list[Line], int, str] | None:
    """The places in a row of nothing but numbers."""
    if len(row) > _LONGEST_ROW or _ONLY_NUMBERS.fullmatch(row) is None:
        return None
    by_comma = [part.strip() for part in re.split(r"[,，;；]", row) if part.strip()]
    joined = [re.sub(r"[ \t]+", "", part) for part in by_comma]
    mended = joined != by_comma
    if len(by_comma) != 5 or not all(re.fullmatch(_N, part) for part in joined):  # noqa: PLR2004 - a rectangle
        joined = re.split(r"[,，;；\s]+", row.strip(" \t,，;；"))
        mended = False
    if len(joined) < 5 or not all(re.fullmatch(_N, part) for part in joined):  # noqa: PLR2004 - a rectangle
        return None
    if len(joined) == 6:  # noqa: PLR2004 - a rectangle and a number as text
        return None
    whole = len(joined) // 5 * 5
    lines = [Line.from_rect("", [_as_number(n) for n in joined[i : i + 5]]) for i in range(0, whole, 5)]
    return lines, int(mended), ",".join(joined[whole:])


def _bracketed_row(row: str) -> tuple[list[Line], int, str] | None:
    """The places in brackets of a row; their text stands before them, or else behind them."""
    found = list(_BRACKETED.finditer(row))
    if not found:
        return None
    edges = [0, *(edge for match in found for edge in match.span()), len(row)]
    texts = [row[edges[i] : edges[i + 1]] for i in range(0, len(edges), 2)]
    texts = [_NUMBERING.sub("", text, count=1).strip(_AROUND_RECT) for text in texts]
    tail = ""
    if _BROKEN_TAIL.fullmatch(texts[-1]) and re.match(r"[\[(（【<]", texts[-1]):
        tail, texts[-1] = texts[-1], ""
    before = texts[0] or (len(texts) > 2 and not texts[-1])  # noqa: PLR2004 - text between two places
    chosen = texts[:-1] if before else texts[1:]
    lines = [
        Line.from_rect(text, _numbers(match["rect"].replace("，", ",")))
        for match, text in zip(found, chosen, strict=True)
    ]
    if before and texts[-1]:
        lines[-1] = dataclasses.replace(lines[-1], text=f"{lines[-1].text} {texts[-1]}".strip())
    return lines, 0, tail


def _unquoted(text: str) -> str:
    """The text of a CSV field that had to be quoted."""
    inner = text.strip()
    if re.fullmatch(r'"(?:[^"]|"")*"', inner) and re.search(r'[,]|""', inner[1:-1]):
        return inner[1:-1].replace('""', '"')
    return text


# Text prompts that the model answered with places


@dataclass(frozen=True, slots=True)
class Unplaced:
    """The text of an answer that gave places unasked."""

    text: str
    warnings: tuple[str, ...]
    cut: bool


_USUAL_ANGLE_DEG = 15
"""Pages stand upright to within this; a fifth number beyond it in most rows is no angle but data."""
_SHORTEST_LINE = 10
"""In thousandths: smaller numbers are data."""
_MOST_ROWS = 0.8
_MOST_LOOKED_AT = 2000
"""Rows by which an answer is judged."""


def text_without_places(answer: str) -> Unplaced | None:
    """The text of an answer that is made of places; None for an answer of plain text.

    Pages may hold rows of numbers of their own, so nearly every row must be a place, and look like one.

    Raises:
        AnswerError: There are places only, and no text.
    """
    if fenced_block(answer).language == "text":
        return None
    lines = _places_in_json(answer) if holds_json(answer) else _places_in_rows(answer)
    if lines is None:
        return None
    if lines.lines and not lines.text.strip():
        raise AnswerError(
            f"The answer holds {len(lines.lines)} places and no text. Read the page again, or another way.",
            answer=answer,
        )
    warning = f"The answer gave {len(lines.lines)} places unasked; they were left out."
    return Unplaced(lines.text, (*lines.warnings, warning), lines.cut)


def _places_in_json(answer: str) -> Lines | None:
    block = fenced_block(answer)
    if block.before.strip() or block.after.strip() or not re.match(r"\s*[\[{]", block.body):
        return None
    if re.search(r'"(?:rotate_rect|pos_list|words_info)"|\[\s*\[\s*-?\d', block.body) is None:
        return None
    lines = _lines_from_json(answer)
    return lines if lines is not None and lines.lines else None


def _places_in_rows(answer: str) -> Lines | None:
    block = fenced_block(answer)
    if block.before.strip() or block.after.strip():
        return None
    rows = [row for row in block.body.split("\n", _MOST_LOOKED_AT) if row.strip()][:_MOST_LOOKED_AT]
    if not rows or len(rows[0]) > _LONGEST_ROW:
        return None
    rects: list[tuple[float, ...]] = []
    unplaced, most_unplaced = 0, (1 - _MOST_ROWS) * len(rows) + 1
    for row in rows:
        found = _strict_rects(row)
        rects += found
        unplaced += not found and not _is_part_of_places(row)
        if unplaced > most_unplaced:
            # Plain text, which nearly every answer is, shows itself in its first rows.
            return None
    alike = sum(map(_looks_like_place, rects))
    if 2 * len(rects) < len(rows) or alike < _MOST_ROWS * len(rects):
        return None
    usual = sum(abs((rect[4] + 45) % 90 - 45) <= _USUAL_ANGLE_DEG for rect in rects)
    return _lines_from_rows(answer) if usual * 2 > len(rects) else None


def _strict_rects(row: str) -> list[tuple[float, ...]]:
    plain = re.match(r"\s*(\d+(?:,\d+){3},-?\d+)\s*(?:,|$)", row)
    if plain is not None:
        return [_numbers(plain[1])]
    return [_numbers(match["rect"]) for match in _BRACKETED.finditer(row)]


def _is_part_of_places(row: str) -> bool:
    """Whether a row is places with drifting separators, or a piece of one."""
    return len(row) < _LONGEST_ROW and (_number_row(row) is not None or _BROKEN_TAIL.fullmatch(row) is not None)


def _looks_like_place(rect: Sequence[float]) -> bool:
    is_rect = len(rect) == 5 and min(rect[2:4]) > 0 and abs(rect[4]) <= 180  # noqa: PLR2004 - a rectangle, half a turn
    return is_rect and max(rect[2:4]) >= _SHORTEST_LINE


# Writing


def write_lines(lines: Lines) -> str:
    """*lines* as the service answers them: a fenced array of objects, one on a row.

    Whole numbers go out as the service's rectangles; a place that a rectangle cannot say goes out as its corners.
    """
    rows = [json.dumps(_entry(line), ensure_ascii=False) for line in lines.lines]
    return fence("[\n" + ",\n".join(f"\t{row}" for row in rows) + "\n]" if rows else "[]", "json")


def _entry(line: Line) -> dict[str, Any]:
    return next((entry for entry in _entries(line) if _lines_in(entry) == [line]), _corners(line))


def _lines_in(entry: dict[str, Any]) -> list[Line]:
    finder = _Finder()
    finder.walk(entry)
    return finder.lines


def _entries(line: Line) -> Iterator[dict[str, Any]]:
    """The ways to write *line*, the service's own first."""
    if line.rect is not None:
        rect: dict[str, Any] = {"rotate_rect": [_as_number(repr(float(n))) for n in line.rect]}
        yield {**rect, "text": line.text}
        yield {**rect, "text": line.text, "direction": line.angle_deg}
    if line.in_pixels:
        yield {"location": list(line.quad.numbers()), "text": line.text}


def _corners(line: Line) -> dict[str, Any]:
    entry: dict[str, Any] = {"quad": list(line.quad.numbers()), "text": line.text, "direction": line.angle_deg}
    if line.rectangle is not None:
        entry["rectangle"] = list(line.rectangle.numbers())
    if line.in_pixels:
        entry["unit"] = "px"
    return entry
