"""Pages seen another way: cut into parts, or turned upright. Places still come back in the original page."""

from __future__ import annotations

import dataclasses
import math
from array import array
from itertools import pairwise
from typing import TYPE_CHECKING

from langchain_qwen_ocr.errors import OptionError
from langchain_qwen_ocr.geometry import POINTS_PER_INCH, Affine, PixelBudget, Size
from langchain_qwen_ocr.pages.page import Drawing, ImageOptions, Page, StoredPicture

if TYPE_CHECKING:
    from PIL import Image

_STRIP_RATIO = 20
"""A page this many times wider than high is one line of text, cut across; others are cut between their lines."""
_PART_RATIO = 10
"""The longest side of a part over its shortest, when the number of parts is not given."""


class _View(Page):
    """A page drawn through another one."""

    def __init__(self, base: Page) -> None:
        super().__init__(
            source=base.source,
            page_index=base.page_index,
            total_pages=base.total_pages,
            page_label=base.page_label,
            size_px=base.size_px,
            size_pt=base.size_pt,
        )
        self._base = base

    def _pixels(self, options: ImageOptions) -> Drawing:
        """The base as pixels, even when its file could be sent."""
        # No file is so short that its data URL has no characters.
        drawn = self._base.draw(dataclasses.replace(options, max_data_url_chars=0))
        assert isinstance(drawn, Drawing)
        return drawn


class PartOfPage(_View):
    """A piece of a page, between two fractions of its width and of its height.

    Args:
        base: The page.
        box: Left, top, right, bottom, each 0…1 of the page.
        parts: Into how many the page is cut; it is drawn so much larger than the budget.
    """

    def __init__(self, base: Page, box: tuple[float, float, float, float], *, parts: int) -> None:
        super().__init__(base)
        self._box = box
        self._parts = parts

    def draw(self, options: ImageOptions) -> Drawing:
        """The piece's pixels."""
        budget = options.budget
        larger = PixelBudget(budget.factor, budget.min_pixels, budget.max_pixels * self._parts)
        drawn = self._pixels(dataclasses.replace(options, budget=larger))
        width, height = drawn.image.size
        left, top = math.floor(self._box[0] * width), math.floor(self._box[1] * height)
        right, bottom = math.ceil(self._box[2] * width), math.ceil(self._box[3] * height)
        return dataclasses.replace(
            drawn,
            image=drawn.image.crop((left, top, max(right, left + 1), max(bottom, top + 1))),
            to_page=drawn.to_page @ Affine.translation(left, top),
        )


def split_page(
    page: Page, count: int | None = None, *, overlap: float = 0.05, options: ImageOptions | None = None
) -> tuple[Page, ...]:
    """The page in parts, from top to bottom, each a little over the edge of the one before.

    A page over 20 times wider than high is cut from left to right instead. Places read in a part come back in the
    whole page; what lies in an overlap is seen twice.

    Args:
        page: To be cut.
        count: Into how many parts; None for as many as keep all its pixels within the budget and every part at most
            ten times as long as wide.
        overlap: By how much of a part's length it reaches into its neighbour, 0…0.5.
        options: Whose budget decides when *count* is None.

    Raises:
        OptionError: *count* is below 1, or *overlap* is not within 0…0.5.
        SourceError: The page has to be drawn to be measured, and is broken.
    """
    size = _size(page, options or ImageOptions())
    parts = _count(size, options or ImageOptions()) if count is None else count
    if parts < 1:
        raise OptionError(f"A page is cut into 1 part at least, not {parts}.")
    if not 0 <= overlap <= 0.5:  # noqa: PLR2004 - at half, every place is seen twice
        raise OptionError(f"overlap={overlap} is not within 0 and 0.5 of a part.")
    if parts == 1:
        return (page,)
    across = size.width_px > _STRIP_RATIO * size.height_px
    edges = [i / parts for i in range(parts + 1)]
    reach = overlap / parts / 2
    spans = [(max(0.0, start - reach), min(1.0, end + reach)) for start, end in pairwise(edges)]
    boxes = [(start, 0.0, end, 1.0) if across else (0.0, start, 1.0, end) for start, end in spans]
    return tuple(PartOfPage(page, box, parts=parts) for box in boxes)


def _size(page: Page, options: ImageOptions) -> Size:
    """How large the page is, or would be drawn."""
    if page.size_px is not None:
        return page.size_px
    if page.size_pt is not None:
        scale = options.render_dpi / POINTS_PER_INCH
        width_pt, height_pt = page.size_pt
        return Size(max(1, round(width_pt * scale)), max(1, round(height_pt * scale)))
    # A frame of a TIFF, whose size is not known before.
    drawn = page.draw(options)
    return drawn.size_px if isinstance(drawn, StoredPicture) else drawn.page_size_px


def _count(size: Size, options: ImageOptions) -> int:
    by_area = math.ceil(size.area_px2 / options.budget.max_pixels)
    by_ratio = math.ceil(max(size) / (_PART_RATIO * min(size)))
    return max(by_area, by_ratio, 1)


# --- turned upright ------------------------------------------------------------------------------------------------

_SMALL_SIDE_PX = 800
"""Lines of text are found on a picture of this size."""
_STROKE_PX = 7
"""The strokes of letters are thinner than this, in that picture; an odd number."""
_LEAST_DEPTH = 20
"""How much darker than the paper beside it ink is, of 255."""
_LEAST_INK = 0.005
"""So small a share of ink says nothing about lines."""
_SIDEWAYS = 1.3
"""How much more the columns must swing than the rows before a page counts as lying on its side."""
_EDGE_ROWS = 4
"""So many rows are where edges of the paper or a frame may be."""
_LEAST_SIGNAL = 4.0
"""How much more the rows must swing than strewn ink would."""
_LARGEST_SKEW_DEG = 5.0
_SKEW_STEP_DEG = 0.5
_LEAST_SKEW_DEG = 0.75
"""Less is left alone: turning softens the letters."""
_LEAST_GAIN = 1.1
"""How much sharper the lines must stand after a turn."""


class UprightPage(_View):
    """A page that is turned so that its lines run from left to right, as far as its own ink tells.

    Whether lines lie along the page or across it, and by how many degrees they are askew, shows in how the ink is
    spread over rows and columns. Which way up they read does not: a page on its side is turned clockwise or
    counter-clockwise by *lies_clockwise*, and one upside down stays so. A page whose ink does not say, such as a short
    receipt or a few formulas, is left as it is.

    Args:
        base: The page.
        lies_clockwise: Whether a page on its side is taken to have been turned clockwise.
    """

    def __init__(self, base: Page, *, lies_clockwise: bool = True) -> None:
        super().__init__(base)
        self._lies_clockwise = lies_clockwise

    def draw(self, options: ImageOptions) -> StoredPicture | Drawing:
        """The page as it is when it is upright; otherwise its pixels, turned."""
        drawn = self._pixels(options)
        angle_deg = find_turn_deg(drawn.image)
        if angle_deg == 0:
            return self._base.draw(options)
        if abs(angle_deg) > 45 and not self._lies_clockwise:  # noqa: PLR2004 - nearer to its side than to upright
            angle_deg -= 180
        return turned(drawn, angle_deg)


def turned(drawn: Drawing, angle_deg: float) -> Drawing:
    """A drawing whose content is turned clockwise by *angle_deg*, turned back; corners that open are white."""
    from PIL import Image

    size = Size(*drawn.image.size)
    cosine, sine = abs(math.cos(math.radians(angle_deg))), abs(math.sin(math.radians(angle_deg)))
    new = Size(
        math.ceil(size.width_px * cosine + size.height_px * sine - 1e-6),
        math.ceil(size.width_px * sine + size.height_px * cosine - 1e-6),
    )
    to_drawn = (
        Affine.translation(size.width_px / 2, size.height_px / 2)
        @ Affine.rotation(angle_deg)
        @ Affine.translation(-new.width_px / 2, -new.height_px / 2)
    )
    smooth = drawn.image.convert("L" if drawn.image.mode in {"1", "L"} else "RGB")
    image = smooth.transform(
        new,
        Image.Transform.AFFINE,
        dataclasses.astuple(to_drawn),
        Image.Resampling.NEAREST if angle_deg % 90 == 0 else Image.Resampling.BICUBIC,
        fillcolor="white",
    )
    return dataclasses.replace(drawn, image=image, to_page=drawn.to_page @ to_drawn)


def find_turn_deg(image: Image.Image) -> float:
    """How far the lines of text are turned clockwise, in (-95, 95); 0 when they are upright or not to be found.

    A page on its side counts as turned clockwise.
    """
    ink = _ink(image)
    if ink is None:
        return 0.0
    upright, lying = _swings(ink), _swings(_quarter(ink))
    is_lying = max(lying.values()) > _SIDEWAYS * max(upright.values())
    swings = lying if is_lying else upright
    best_deg = max(swings, key=swings.__getitem__)
    if swings[best_deg] < _LEAST_SIGNAL * _swing_by_chance(_quarter(ink) if is_lying else ink):
        return 0.0
    skew_deg = best_deg if abs(best_deg) >= _LEAST_SKEW_DEG and swings[best_deg] > _LEAST_GAIN * swings[0.0] else 0.0
    return (90.0 if is_lying else 0.0) + skew_deg


def _quarter(ink: Image.Image) -> Image.Image:
    """The picture turned counter-clockwise, which sets what lies clockwise upright."""
    from PIL import Image

    return ink.transpose(Image.Transpose.ROTATE_90)


def _ink(image: Image.Image) -> Image.Image | None:
    """Where a small picture of the page has dark strokes; None when there are too few."""
    from PIL import Image, ImageChops, ImageFilter

    grey = image.convert("L")
    grey.thumbnail((_SMALL_SIDE_PX, _SMALL_SIDE_PX), Image.Resampling.BOX)
    # Only what is thin and dark: strokes, not shadows or the desk below a photographed page.
    closed = grey.filter(ImageFilter.MaxFilter(_STROKE_PX)).filter(ImageFilter.MinFilter(_STROKE_PX))
    depth = ImageChops.subtract(closed, grey)
    ink = depth.point(lambda value: 255 * (value >= _LEAST_DEPTH))
    return ink if ink.histogram()[255] >= _LEAST_INK * ink.width * ink.height else None


def _swing(ink: Image.Image) -> float:
    """How sharply the ink of one row differs from that of the next, over all rows: large across upright lines."""
    from PIL import Image

    # One column of the mean darkness of each row.
    profile = array("f", ink.convert("F").resize((1, ink.height), Image.Resampling.BOX).tobytes())
    steps = sorted((below - above) ** 2 for above, below in pairwise(profile))
    # The sharpest few are edges of the paper and frames, not lines of text.
    return sum(steps[:-_EDGE_ROWS]) / max(len(steps), 1)


def _swing_by_chance(ink: Image.Image) -> float:
    """The swing of ink that is strewn over the page without lines."""
    share = ink.histogram()[255] / (ink.width * ink.height)
    return 2 * 255**2 * share * (1 - share) / ink.width


def _swings(ink: Image.Image) -> dict[float, float]:
    """The swing after each small turn counter-clockwise, in degrees."""
    steps = round(_LARGEST_SKEW_DEG / _SKEW_STEP_DEG)
    angles_deg = [step * _SKEW_STEP_DEG for step in range(-steps, steps + 1)]
    return {angle: _swing(ink.rotate(angle)) for angle in angles_deg}
