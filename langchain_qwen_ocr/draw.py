"""Regions painted on their page: a picture for people, an SVG overlay for the web."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Sequence
from contextlib import closing
from functools import lru_cache
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from langchain_qwen_ocr.engine import Source
from langchain_qwen_ocr.errors import OptionError
from langchain_qwen_ocr.geometry import Quad, Size
from langchain_qwen_ocr.pages import Page, open_pages
from langchain_qwen_ocr.pages.page import ImageOptions, StoredPicture
from langchain_qwen_ocr.tasks.results import Region

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_COLOURS = ("#d81b60", "#1e88e5", "#00796b", "#e65100", "#5e35b1", "#558b2f")
"""Told apart by most kinds of colour vision, and dark enough for white letters."""

_NOT_IN_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML document may hold, escaped or not (XML 1.0, 2.2)."""

_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKsc-Regular.otf",
    "NotoSansSC-Regular.otf",
    "SourceHanSansSC-Regular.otf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "msyh.ttc",
    "simsun.ttc",
    "PingFang.ttc",
    "Hiragino Sans GB.ttc",
    "Arial Unicode.ttf",
    "DejaVuSans.ttf",
)
"""Fonts of the usual systems, those with Chinese, Japanese and Korean first."""


def draw_regions(
    image: Source | Page,
    regions: Sequence[Region],
    *,
    size_px: Size | None = None,
    labels: bool = True,
    font: str | os.PathLike[str] | None = None,
) -> Image.Image:
    """The picture, upright, with a numbered box and a label for each region.

    Args:
        image: A PIL image, a path, bytes, or a `Page`; of a document with several pages, its first one.
        regions: With places in pixels of that picture, upright, such as `reading.regions`.
        size_px: The page that the places are on, `reading.size_px`: the picture is brought to that size. Needed
            for PDFs, whose pixels depend on how they are rendered.
        labels: Whether to write each region's text above its box.
        font: A font file for the labels; None for one of the system's fonts, those with CJK letters first.
            Letters that the font lacks are left out of the label; the number always stands.

    Raises:
        SourceError: The picture cannot be opened.
        OptionError: The font file cannot be opened.
    """
    from PIL import ImageDraw

    picture = _upright(image)
    if size_px is not None and picture.size != size_px:
        picture = picture.resize(size_px)
    picture = picture.convert("RGB")
    scale = max(picture.size) / 1000
    pen = ImageDraw.Draw(picture, "RGBA")
    letters = _font(str(font) if font is not None else None, max(10, round(14 * scale)))
    for number, (region, colour) in enumerate(zip(regions, _colours(len(regions)), strict=True), start=1):
        corners = [tuple(point) for point in _shape(region).points]
        pen.polygon(corners, fill=colour + "22", outline=colour, width=max(1, round(1.5 * scale)))
        if labels:
            text = f"{number} {_drawable(region.text, letters)}".rstrip()
            _write_label(pen, text, _label_box(pen, text, letters, region, Size(*picture.size)), letters, colour)
    return picture


def regions_to_svg(regions: Sequence[Region], size: Size) -> str:
    """An SVG overlay of a page's size, in px: one polygon a region, its text as a tooltip.

    Lay it over the page's picture, scaled alike; it holds no script and no reference to anything outside.
    """
    shapes = "\n".join(
        f'  <g><polygon points="{_svg_points(_shape(region))}" fill="{colour}22" stroke="{colour}" '
        f'stroke-width="{max(1, round(max(size) / 700))}"><title>{_svg_text(region.text)}</title></polygon></g>'
        for region, colour in zip(regions, _colours(len(regions)), strict=True)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size.width_px}" height="{size.height_px}" '
        f'viewBox="0 0 {size.width_px} {size.height_px}">\n{shapes}\n</svg>\n'
    )


def _colours(count: int) -> list[str]:
    return [_COLOURS[i % len(_COLOURS)] for i in range(count)]


def _svg_text(text: str) -> str:
    return escape(_NOT_IN_XML.sub(" ", text))


def _svg_points(quad: Quad) -> str:
    return " ".join(f"{point.x:.1f},{point.y:.1f}" for point in quad.points)


def _shape(region: Region) -> Quad:
    """What to draw: the rectangle that fits the text, where it differs from the service's corners."""
    return region.rectangle or region.quad


def _upright(image: Source | Page) -> Image.Image:
    """The picture at its page's own size."""
    from PIL import Image

    if not isinstance(image, Page):
        with closing(open_pages(image)) as pages:
            return _upright(next(pages))
    drawn = image.draw(ImageOptions())
    if isinstance(drawn, StoredPicture):
        return Image.open(io.BytesIO(drawn.data))
    whole = drawn.image.size == drawn.page_size_px
    return drawn.image if whole else drawn.image.resize(drawn.page_size_px)


def _label_box(
    pen: ImageDraw.ImageDraw, text: str, font: Font, region: Region, size: Size
) -> tuple[float, float, float, float]:
    """Where a label fits: above its box, or below where there is no room, and always on the picture."""
    left, top, _, bottom = region.quad.bounds
    _, _, width, height = pen.textbbox((0, 0), text, font=font)
    x = min(max(left, 0), max(0, size.width_px - width - 4))
    y = top - height - 4 if top >= height + 4 else min(bottom, size.height_px - height - 4)
    return x, y, x + width + 4, y + height + 4


def _write_label(
    pen: ImageDraw.ImageDraw, text: str, box: tuple[float, float, float, float], font: Font, colour: str
) -> None:
    pen.rectangle(box, fill=colour + "cc")
    pen.text((box[0] + 2, box[1] + 1), text, font=font, fill="#ffffff")


def _drawable(text: str, font: Font) -> str:
    """*text* in one line, without letters that the font has no picture of."""
    missing = bytes(font.getmask("\uffff"))
    kept = (c for c in text[:60] if c.isspace() or c.isascii() or bytes(font.getmask(c)) != missing)
    return " ".join("".join(kept).split())


@lru_cache(maxsize=16)
def _font(path: str | None, size_px: int) -> Font:
    from PIL import ImageFont

    if path is not None:
        try:
            return ImageFont.truetype(path, size_px)
        except OSError as error:
            raise OptionError(f"The font {path} cannot be opened: {error}") from error
    for name in _FONTS:
        try:
            return ImageFont.truetype(name, size_px)
        except OSError:
            continue
    return ImageFont.load_default(size_px)
