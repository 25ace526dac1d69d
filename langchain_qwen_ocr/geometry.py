"""Sizes, quadrilaterals and the way between frames: arithmetic only.

Origin top-left, x to the right, y downwards, everywhere. Angles in degrees, clockwise as the eye sees them
(because y grows downwards).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Self

from langchain_qwen_ocr.errors import OptionError, SourceError

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
    def rotation(cls, angle_deg: float, *, about: Point = Point(0, 0)) -> Affine:
        """A clockwise turn by *angle_deg* about a point."""
        cosine, sine = _cos_sin(angle_deg)
        turn = cls(a=cosine, b=-sine, d=sine, e=cosine)
        return cls.translation(*about) @ turn @ cls.translation(-about.x, -about.y)

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

    Columns and bands are found by cutting at the widest empty gap, again and again (recursive XY-cut);
    what no gap divides is read line by line. Pages must be upright.
    """
    boxes = [quad.bounds for quad in quads]
    return _xy_cut(list(range(len(boxes))), boxes) if boxes else []


Bounds = tuple[float, float, float, float]


def _xy_cut(indexes: list[int], boxes: Sequence[Bounds]) -> list[int]:
    pending, ordered = [indexes], []
    while pending:
        group = pending.pop()
        parts = _cut(group, boxes)
        if len(parts) == 1:
            ordered.extend(_line_by_line(group, boxes))
        else:
            pending.extend(reversed(parts))
    return ordered


def _cut(group: list[int], boxes: Sequence[Bounds]) -> list[list[int]]:
    """*group* divided at its best gap, or as it was when nothing divides it."""
    if len(group) < 2:  # noqa: PLR2004 - one box has no gap
        return [group]
    line_height = sorted(boxes[i][3] - boxes[i][1] for i in group)[len(group) // 2] or 1.0
    gap_x, at_x = _widest_gap(group, boxes, axis=0)
    gap_y, at_y = _widest_gap(group, boxes, axis=1)
    # A column gap is wider than the space between words; a band gap may be as thin as between two lines.
    if gap_x >= 0.8 * line_height and gap_x >= gap_y:
        return _divide(group, boxes, axis=0, at=at_x)
    if gap_y > 0:
        return _divide(group, boxes, axis=1, at=at_y)
    if gap_x >= 0.8 * line_height:
        return _divide(group, boxes, axis=0, at=at_x)
    return [group]


def _divide(group: list[int], boxes: Sequence[Bounds], *, axis: int, at: float) -> list[list[int]]:
    before = [i for i in group if (boxes[i][axis] + boxes[i][axis + 2]) / 2 < at]
    after = [i for i in group if (boxes[i][axis] + boxes[i][axis + 2]) / 2 >= at]
    return [part for part in (before, after) if part]


def _widest_gap(group: list[int], boxes: Sequence[Bounds], *, axis: int) -> tuple[float, float]:
    """How wide the widest stretch without a box is along *axis*, and its middle."""
    spans = sorted((boxes[i][axis], boxes[i][axis + 2]) for i in group)
    best, at, reach = 0.0, 0.0, spans[0][1]
    for low, high in spans[1:]:
        if low - reach > best:
            best, at = low - reach, (low + reach) / 2
        reach = max(reach, high)
    return best, at


def _line_by_line(group: list[int], boxes: Sequence[Bounds]) -> list[int]:
    """Boxes that overlap in height are one line; lines go down, boxes in a line to the right."""
    lines: list[list[int]] = []
    for i in sorted(group, key=lambda i: (boxes[i][1] + boxes[i][3]) / 2):
        middle = (boxes[i][1] + boxes[i][3]) / 2
        if lines and boxes[lines[-1][0]][1] <= middle <= boxes[lines[-1][0]][3]:
            lines[-1].append(i)
        else:
            lines.append([i])
    return [i for line in lines for i in sorted(line, key=lambda i: boxes[i][0])]


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
