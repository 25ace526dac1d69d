"""Sizes, quadrilaterals and the way between frames: arithmetic only.

Origin top-left, x to the right, y downwards, everywhere. Angles in degrees, clockwise as the eye sees them
(because y grows downwards).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple, Self

from langchain_qwen_ocr.errors import OptionError, SourceError

POINTS_PER_INCH = 72
MAX_ASPECT_RATIO = 200
"""The longest side over the shortest that the service takes."""


class Size(NamedTuple):
    """Width and height of a picture."""

    width_px: int
    height_px: int

    @property
    def area_px2(self) -> int:
        """How many pixels it has."""
        return self.width_px * self.height_px


class SizePt(NamedTuple):
    """Width and height of a page on paper, in points of 1/72 inch."""

    width_pt: float
    height_pt: float


class Point(NamedTuple):
    """A place, in the unit of the frame it belongs to."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Affine:
    """A map from one frame to another: x' = a·x + b·y + c, y' = d·x + e·y + f."""

    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0
    e: float = 1.0
    f: float = 0.0

    def __call__(self, x: float, y: float) -> Point:
        """Where the point (x, y) comes to lie."""
        return Point(self.a * x + self.b * y + self.c, self.d * x + self.e * y + self.f)

    def __matmul__(self, first: Affine) -> Affine:
        """The map that applies *first*, then this one."""
        return Affine(
            self.a * first.a + self.b * first.d,
            self.a * first.b + self.b * first.e,
            self.a * first.c + self.b * first.f + self.c,
            self.d * first.a + self.e * first.d,
            self.d * first.b + self.e * first.e,
            self.d * first.c + self.e * first.f + self.f,
        )

    def inverse(self) -> Affine:
        """The way back.

        Raises:
            OptionError: The map flattens the plane, so there is no way back.
        """
        determinant = self.a * self.e - self.b * self.d
        if determinant == 0:
            raise OptionError(f"{self} has no inverse: it maps the plane onto a line.")
        a, b = self.e / determinant, -self.b / determinant
        d, e = -self.d / determinant, self.a / determinant
        return Affine(a, b, -(a * self.c + b * self.f), d, e, -(d * self.c + e * self.f))

    @classmethod
    def scaling(cls, x: float, y: float) -> Affine:
        """A map that multiplies x and y."""
        return cls(a=x, e=y)

    @classmethod
    def translation(cls, x: float, y: float) -> Affine:
        """A map that adds to x and y."""
        return cls(c=x, f=y)

    @classmethod
    def rotation(cls, angle_deg: float, *, about: Point | None = None) -> Affine:
        """A clockwise turn by *angle_deg* about a point."""
        cosine, sine = _cos_sin(angle_deg)
        turn = cls(a=cosine, b=-sine, d=sine, e=cosine)
        x, y = about or (0.0, 0.0)
        return cls.translation(x, y) @ turn @ cls.translation(-x, -y)

    @classmethod
    def resizing(cls, old: Size, new: Size) -> Affine:
        """The map of a picture resized from *old* to *new*, each axis on its own."""
        return cls.scaling(new.width_px / old.width_px, new.height_px / old.height_px)


@dataclass(frozen=True, slots=True)
class Quad:
    """Four corners, clockwise from the text's own top-left."""

    points: tuple[Point, Point, Point, Point]

    def __post_init__(self) -> None:
        """Accept any four pairs."""
        points = tuple(Point(float(x), float(y)) for x, y in self.points)
        if len(points) != 4:  # noqa: PLR2004 - a quadrilateral has four corners
            raise OptionError(f"A Quad has four points; {len(points)} were given.")
        object.__setattr__(self, "points", points)

    @classmethod
    def of(cls, left: float, top: float, right: float, bottom: float) -> Self:
        """The upright rectangle between two corners."""
        return cls((Point(left, top), Point(right, top), Point(right, bottom), Point(left, bottom)))

    @classmethod
    def from_numbers(cls, numbers: Sequence[float]) -> Self:
        """The quad of x1, y1, … x4, y4.

        Raises:
            OptionError: There are not eight numbers.
        """
        if len(numbers) != 8:  # noqa: PLR2004 - four corners of two numbers
            raise OptionError(f"A quad has eight numbers; {len(numbers)} were given.")
        x1, y1, x2, y2, x3, y3, x4, y4 = numbers
        return cls((Point(x1, y1), Point(x2, y2), Point(x3, y3), Point(x4, y4)))

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the upright box around it."""
        xs, ys = [p.x for p in self.points], [p.y for p in self.points]
        return min(xs), min(ys), max(xs), max(ys)

    @property
    def center(self) -> Point:
        """The middle of the four corners."""
        return Point(sum(p.x for p in self.points) / 4, sum(p.y for p in self.points) / 4)

    @property
    def angle_deg(self) -> float:
        """The direction of its top edge, in (-180, 180]: 0 reads to the right, 90 downwards."""
        (x1, y1), (x2, y2) = self.points[0], self.points[1]
        return 0.0 if (x1, y1) == (x2, y2) else math.degrees(math.atan2(y2 - y1, x2 - x1))

    @property
    def width(self) -> float:
        """The length of the top edge."""
        return math.dist(self.points[0], self.points[1])

    @property
    def height(self) -> float:
        """The length of the left edge."""
        return math.dist(self.points[0], self.points[3])

    def mapped(self, affine: Affine) -> Quad:
        """The quad in another frame."""
        a, b, c, d = (affine(*p) for p in self.points)
        return Quad((a, b, c, d))

    def clipped(self, size: Size) -> Quad:
        """The quad with each corner moved onto the picture."""
        a, b, c, d = (
            Point(min(max(p.x, 0.0), float(size.width_px)), min(max(p.y, 0.0), float(size.height_px)))
            for p in self.points
        )
        return Quad((a, b, c, d))

    def normalized(self, size: Size) -> Quad:
        """The quad in fractions of the page, 0…1."""
        return self.mapped(Affine.scaling(1 / size.width_px, 1 / size.height_px))

    def rounded(self) -> Quad:
        """The quad with whole numbers."""
        a, b, c, d = (Point(round(p.x), round(p.y)) for p in self.points)
        return Quad((a, b, c, d))

    def numbers(self) -> tuple[float, ...]:
        """x1, y1, … x4, y4."""
        return tuple(n for p in self.points for n in p)


class CoordinateFrame(StrEnum):
    """What the numbers of places in an answer count."""

    THOUSANDTHS = "thousandths"
    """0…1000 of the picture's width and height, each axis on its own."""
    PIXELS = "pixels"
    """Pixels of the picture as it was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageMap:
    """The way from the numbers of an answer to the pixels of the page."""

    frame: CoordinateFrame
    """What the model's numbers count."""
    sent: Size
    """The picture as it was sent, in px."""
    page: Size
    """The original, upright page, in px."""
    to_page: Affine = Affine()
    """From a pixel of the picture sent to a pixel of the page."""

    def affine(self, frame: CoordinateFrame | None = None) -> Affine:
        """From numbers in *frame* (the model's own when None) to pixels of the page."""
        if (frame or self.frame) is CoordinateFrame.PIXELS:
            return self.to_page
        return self.to_page @ Affine.scaling(self.sent.width_px / 1000, self.sent.height_px / 1000)


@dataclass(frozen=True, slots=True)
class PixelBudget:
    """How large a picture a model looks at."""

    factor: int = 32
    """Both sides become multiples of this, in px."""
    min_pixels: int = 3 * 32 * 32
    """The least area, in px²."""
    max_pixels: int = 8192 * 32 * 32
    """The largest area, in px²."""

    def __post_init__(self) -> None:
        """Refuse a budget that no size can meet."""
        if not 0 < self.min_pixels <= self.max_pixels:
            raise OptionError(
                f"min_pixels={self.min_pixels} and max_pixels={self.max_pixels} leave no size: "
                "give 0 < min_pixels <= max_pixels."
            )
        if self.max_pixels < self.factor**2:
            raise OptionError(f"max_pixels={self.max_pixels} is below one token of {self.factor}² px².")


def smart_resize(size: Size, budget: PixelBudget) -> Size:
    """The size at which the model will see an image of *size*.

    Both sides become multiples of `budget.factor` px; the area moves into `min_pixels … max_pixels` px² as
    far as whole factors allow; the aspect ratio changes as little as that allows.

    Args:
        size: In px, as it will be sent: after EXIF rotation and cropping.
        budget: Of the model in use.

    Raises:
        SourceError: One side is over 200 times the other, or a side is not positive.

    Source: Model Studio, "Text extraction (Qwen-OCR)", image tokens; the order of clamping follows
    qwen-vl-utils 0.0.14.

    >>> smart_resize(Size(1000, 700), PixelBudget())
    Size(width_px=992, height_px=704)
    """
    width, height, factor = size.width_px, size.height_px, budget.factor
    if min(size) < 1 or max(size) > MAX_ASPECT_RATIO * min(size):
        raise SourceError(
            f"A picture of {width}x{height} px cannot be read: the longer side may be at most "
            f"{MAX_ASPECT_RATIO} times the shorter. Cut it into parts."
        )
    w_bar = max(factor, round(width / factor) * factor)
    h_bar = max(factor, round(height / factor) * factor)
    if w_bar * h_bar > budget.max_pixels:
        beta = math.sqrt(width * height / budget.max_pixels)
        w_bar = max(factor, math.floor(width / beta / factor) * factor)
        h_bar = max(factor, math.floor(height / beta / factor) * factor)
    elif w_bar * h_bar < budget.min_pixels:
        beta = math.sqrt(budget.min_pixels / (width * height))
        w_bar = math.ceil(width * beta / factor) * factor
        h_bar = math.ceil(height * beta / factor) * factor
    return Size(w_bar, h_bar)


def rectangle_corners(
    cx: float, cy: float, width: float, height: float, angle_deg: float
) -> tuple[Point, Point, Point, Point]:
    """The corners of a rotated rectangle: bottom-left, top-left, top-right, bottom-right before the turn.

    The same order and turn as OpenCV's `boxPoints`.
    """
    cosine, sine = _cos_sin(angle_deg)
    corners = []
    for sx, sy in ((-1, 1), (-1, -1), (1, -1), (1, 1)):
        dx, dy = sx * width / 2, sy * height / 2
        corners.append(Point(cx + dx * cosine - dy * sine, cy + dx * sine + dy * cosine))
    a, b, c, d = corners
    return a, b, c, d


def reading_order(quads: Sequence[Quad]) -> list[int]:
    """The indexes of *quads* as a person reads them: columns from left to right, each from top to bottom.

    Pages must be upright; a slant of the whole page is taken out first.
    """
    return [index for block in reading_blocks(quads) for row in block for index in row]


def reading_blocks(quads: Sequence[Quad]) -> list[list[list[int]]]:
    """The indexes of *quads* by blocks, rows of a block, and places in a row, each in reading order.

    A block is a column, or what stands between columns. The page is cut again and again (recursive XY-cut):
    horizontally where the empty stretches between columns end, vertically at these stretches. One of them parts
    columns only if what it parts is not a table or a form, whose rows go on at the other side of it.
    """
    pending, blocks = [_strips(quads)] if quads else [], []
    while pending:
        group = pending.pop()
        parts = _parts(group)
        if len(parts) == 1:
            blocks.append([[strip.index for strip in row] for row in _rows(group)])
        else:
            pending.extend(reversed(parts))
    return blocks


@dataclass(frozen=True, slots=True)
class _Strip:
    """The middle half of a line's height: what is left of neighbours that overlap when boxes are padded."""

    index: int
    left: float
    top: float
    right: float
    bottom: float

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2

    @property
    def line_height(self) -> float:
        return 2 * (self.bottom - self.top)


Bounds = tuple[float, float, float, float]
"""Left, top, right, bottom."""

_Span = tuple[float, float]
"""From where to where along x."""

_LEAST_GAP = 0.4
"""The narrowest stretch between columns, in line heights."""
_LEAST_COLUMN = 8
"""The narrowest column of running text, in line heights."""
_LEAST_ROWS_OF_PROSE = 4
_LONGEST_PITCH_OF_PROSE = 1.7
"""From line to line, in line heights; tables are more airy."""


def _strips(quads: Sequence[Quad]) -> list[_Strip]:
    level = Affine.rotation(-slant_deg(quads))
    strips = []
    for index, quad in enumerate(quads):
        flat = quad.mapped(level)
        left, top, right, bottom = flat.bounds
        height = flat.height if abs(flat.angle_deg) < 45 else bottom - top  # noqa: PLR2004 - runs to the right
        middle = (top + bottom) / 2
        strips.append(_Strip(index, left, middle - height / 4, right, middle + height / 4))
    return strips


def slant_deg(quads: Sequence[Quad]) -> float:
    """The angle of most of the text that runs to the right, long lines counting more; 0 where no line is long."""
    weighted = sorted(
        (quad.angle_deg, quad.width)
        for quad in quads
        if abs(quad.angle_deg) < 45 and quad.width > 2 * quad.height  # noqa: PLR2004 - a long line shows its angle
    )
    half, reached = sum(width for _, width in weighted) / 2, 0.0
    for angle_deg, width in weighted:
        reached += width
        if reached >= half:
            return angle_deg
    return 0.0


def _parts(group: list[_Strip]) -> list[list[_Strip]]:
    """*group* in parts to be read one after the other; *group* alone when nothing divides it."""
    unit = _median(strip.line_height for strip in group)
    parts: list[list[_Strip]] = []
    plain: list[_Strip] = []
    for run in _runs(group, unit):
        head, bands, tail = _without_stray_ends(run, unit)
        columns = _columns([strip for band in bands for strip in band], unit)
        if len(columns) == 1:
            head, columns, tail = [strip for band in run for strip in band], [], []
        plain += head
        if columns:
            parts += [plain, *columns] if plain else columns
            plain = tail
    return [*parts, plain] if plain else parts


def _runs(group: list[_Strip], unit: float) -> Iterator[list[list[_Strip]]]:
    """Consecutive bands that share an empty stretch with something at both sides, or that all have none."""
    run: list[list[_Strip]] = []
    covered: list[_Span] = []
    for band in _bands(group):
        own = _covered(((strip.left, strip.right) for strip in band), _LEAST_GAP * unit)
        both = _covered([*covered, *own], _LEAST_GAP * unit)
        if len(both) == 1 < max(len(covered), len(own)) and run:
            yield run
            run, both = [], own
        run.append(band)
        covered = both
    yield run


def _bands(group: Iterable[_Strip]) -> list[list[_Strip]]:
    """The strips between two empty stretches that go across the whole group."""
    bands: list[list[_Strip]] = []
    reach = -math.inf
    for strip in sorted(group, key=lambda strip: strip.top):
        if strip.top > reach:
            bands.append([])
        bands[-1].append(strip)
        reach = max(reach, strip.bottom)
    return bands


def _covered(spans: Iterable[_Span], least_gap: float) -> list[_Span]:
    """The stretches that *spans* cover, from left to right; gaps up to *least_gap* count as covered."""
    covered: list[_Span] = []
    for low, high in sorted(spans):
        if covered and low - covered[-1][1] <= least_gap:
            covered[-1] = covered[-1][0], max(covered[-1][1], high)
        else:
            covered.append((low, high))
    return covered


def _without_stray_ends(run: list[list[_Strip]], unit: float) -> tuple[list[_Strip], list[list[_Strip]], list[_Strip]]:
    """*run* without a single row far above or below it: a date, a running title, the number of the page."""
    if len(run) < 3:  # noqa: PLR2004 - two ends and something between them
        return [], run, []
    bounds = [(min(s.top for s in band), max(s.bottom for s in band)) for band in run]
    spaces = [below[0] - above[1] for above, below in pairwise(bounds)]
    far = max(2 * unit, 1.2 * max(spaces[1:-1], default=0.0))
    first = 1 if spaces[0] > far and len(_rows(run[0])) == 1 else 0
    last = len(run) - 1 if spaces[-1] > far and len(_rows(run[-1])) == 1 else len(run)
    return [s for band in run[:first] for s in band], run[first:last], [s for band in run[last:] for s in band]


def _columns(strips: list[_Strip], unit: float) -> list[list[_Strip]]:
    """The columns that *strips* stand in, from left to right; one when rows go across."""
    starts = [low for low, _ in _covered(((strip.left, strip.right) for strip in strips), _LEAST_GAP * unit)]
    stacks: list[list[_Strip]] = [[] for _ in starts]
    for strip in strips:
        stacks[bisect_right(starts, strip.left) - 1].append(strip)
    columns = [stacks[0]]
    for before, stack in pairwise(stacks):
        if _are_columns(before, stack):
            columns.append(stack)
        else:
            columns[-1] = columns[-1] + stack
    return columns


def _are_columns(first: list[_Strip], second: list[_Strip]) -> bool:
    """Whether two neighbouring stacks are read one after the other."""
    tops, bottoms = [], []
    for stack in (first, second):
        tops.append(min(strip.top for strip in stack))
        bottoms.append(max(strip.bottom for strip in stack))
    shorter = min(bottom - top for top, bottom in zip(tops, bottoms, strict=True))
    if min(bottoms) - max(tops) < shorter / 2:
        return False
    rows = _rows(first), _rows(second)
    if min(map(len, rows)) == 1:
        return False
    return all(map(_is_prose, rows)) or not _rows_match(*rows)


def _is_prose(rows: list[list[_Strip]]) -> bool:
    """Whether most lines run from edge to edge, close below each other."""
    if len(rows) < _LEAST_ROWS_OF_PROSE:
        return False
    left, right = min(row[0].left for row in rows), max(strip.right for row in rows for strip in row)
    height = _median(strip.line_height for row in rows for strip in row)
    pitch = _median(below[0].middle - above[0].middle for above, below in pairwise(rows))
    long = sum(max(strip.right for strip in row) - row[0].left > 0.75 * (right - left) for row in rows)
    return (
        right - left >= _LEAST_COLUMN * height and pitch <= _LONGEST_PITCH_OF_PROSE * height and long >= 0.6 * len(rows)
    )


def _rows_match(first: list[list[_Strip]], second: list[list[_Strip]]) -> bool:
    """Whether the rows of the stack with fewer go on in the other, beside a row or halfway between two."""
    fewer, more = sorted((first, second), key=len)
    places = [row[0].middle for row in more]
    halfway = [(above + below) / 2 for above, below in pairwise(places)]
    within = [row[0] for row in fewer if more[0][0].top <= row[0].middle <= more[-1][0].bottom]
    matched = sum(
        _nearest(places, strip.middle) <= 0.35 * strip.line_height
        or _nearest(halfway, strip.middle) <= 0.2 * strip.line_height
        for strip in within
    )
    return matched >= 0.7 * len(within)


def _nearest(places: list[float], place: float) -> float:
    """How far the nearest of the sorted *places* is."""
    at = bisect_right(places, place)
    return min((abs(place - other) for other in places[max(at - 1, 0) : at + 1]), default=math.inf)


def _rows(strips: Iterable[_Strip]) -> list[list[_Strip]]:
    """Strips side by side make a row; rows go down, strips in a row to the right."""
    rows: list[list[_Strip]] = []
    middle = 0.0
    for strip in sorted(strips, key=lambda strip: (strip.middle, strip.left)):
        row = rows[-1] if rows else []
        beside = row and strip.middle - middle <= min(strip.line_height, row[-1].line_height) / 2
        if beside and not any(_stands_over(strip, other) for other in row):
            row.append(strip)
            middle += (strip.middle - middle) / len(row)
        else:
            rows.append([strip])
            middle = strip.middle
    return [sorted(row, key=lambda strip: strip.left) for row in rows]


def _stands_over(one: _Strip, other: _Strip) -> bool:
    """Whether one covers most of the other's width: lines too close below each other to be a row."""
    common = min(one.right, other.right) - max(one.left, other.left)
    return common > 0 and common > min(one.right - one.left, other.right - other.left) / 2


def _median(values: Iterable[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if ordered else 0.0


def union_bounds(boxes: Iterable[Bounds]) -> Bounds:
    """The upright box around all *boxes*."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _cos_sin(angle_deg: float) -> tuple[float, float]:
    """Cosine and sine, exact at quarter turns."""
    quarter, rest = divmod(angle_deg, 90)
    if rest == 0:
        return ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[int(quarter) % 4]
    angle = math.radians(angle_deg)
    return math.cos(angle), math.sin(angle)
