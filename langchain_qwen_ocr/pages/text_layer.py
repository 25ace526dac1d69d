"""The text embedded in a PDF page, and whether it is what the eye sees.

A page can show one thing and say another: text laid invisibly over a scan, white on white, under a black bar, in a
font that maps its shapes to the wrong letters, or no text at all for what is drawn as outlines. So the page is drawn
small and compared: every line must be seen where it says to be, and what is seen must be said by some line.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_qwen_ocr.geometry import Affine, Bounds, Point, Quad, SizePt, reading_order, union_bounds

if TYPE_CHECKING:
    from PIL import Image

_INK_BELOW = 200
"""A pixel darker than this, of 255, is ink."""
_MOST_UNSAID = 0.1
"""How much of the ink may lie outside all lines: specks, bullets, a logo."""
_LEAST_CONTRAST = 24
"""What a line must differ by in itself to be seen; below, it is the colour of its ground."""
_MOST_PICTURE = 0.5
"""How much of the page pictures may cover; beyond, it is a scan or a poster."""
_SIMPLE_SEGMENTS = 6
"""A path of so few strokes is a ruling or a box, not letters drawn as outlines."""
_GAP = 1.5
"""A gap of so many line heights divides a line in two: columns, cells of a table."""
_MARGIN = 0.25
"""How far ink may reach beyond a line's box, in line heights: accents, slanted letters, shadows."""


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of embedded text."""

    text: str
    quad_pt: Quad
    """In points of the upright page, from its top-left; the corners begin at the text's own top-left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextLayer:
    """The text embedded in a page, in reading order."""

    lines: tuple[TextLine, ...]
    size_pt: SizePt
    """The upright page."""
    doubts: tuple[str, ...] = ()
    """What speaks against trusting it; none when it is what the eye sees."""

    @property
    def text(self) -> str:
        """Its lines, one below the other."""
        return "\n".join(line.text for line in self.lines)


@dataclass(frozen=True, slots=True)
class Glyph:
    """A character as the file has it."""

    code: int
    bounds_pt: Bounds | None
    """On the upright page; None for the line ends and spaces that PDFium adds."""
    quarter_turns: int = 0
    """Clockwise, of its reading direction, as the eye sees the page."""
    is_invisible: bool = False
    is_unmapped: bool = False
    """Whether the font does not say which letter it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedText:
    """What PDFium tells about the text of a page; judged by `judge`, without PDFium."""

    glyphs: tuple[Glyph, ...]
    size_pt: SizePt
    rulings_pt: tuple[Bounds, ...]
    """Lines and boxes drawn on the page."""
    picture_share: float
    """How much of the page pictures cover, 0…1 and beyond."""


def judge(text: EmbeddedText, picture: Image.Image) -> TextLayer | None:
    """The lines of *text*, and what speaks against them; None when there are none.

    Args:
        text: Of the page.
        picture: Of the whole upright page, of any size.
    """
    shown = [glyph for glyph in text.glyphs if glyph.bounds_pt is None or _is_on_page(glyph, text.size_pt)]
    found = list(_lines(shown))
    if not found:
        return None
    # The file's own order is PDFium's guess; on turned pages it runs from bottom to top. A page whose text lies on its
    # side is ordered as it is read: with the head turned.
    turns = statistics.mode(glyph.quarter_turns for glyph in shown if glyph.bounds_pt is not None)
    head = Affine.rotation(-90 * turns)
    lines = tuple(found[i] for i in reading_order([line.quad_pt.mapped(head) for line in found]))
    grey = picture.convert("L")
    to_px = Affine.scaling(grey.width / text.size_pt.width_pt, grey.height / text.size_pt.height_pt)
    doubts = (*_doubts_of_glyphs(shown), *_doubts_of_ink(lines, text, grey, to_px))
    return TextLayer(lines=lines, size_pt=text.size_pt, doubts=doubts)


def _is_on_page(glyph: Glyph, size_pt: SizePt) -> bool:
    assert glyph.bounds_pt is not None
    left, top, right, bottom = glyph.bounds_pt
    x, y = (left + right) / 2, (top + bottom) / 2
    return 0 <= x <= size_pt.width_pt and 0 <= y <= size_pt.height_pt


def _doubts_of_glyphs(glyphs: Sequence[Glyph]) -> Iterator[str]:
    unmapped = sum(glyph.is_unmapped or _is_private(glyph.code) for glyph in glyphs)
    if unmapped:
        yield f"{unmapped} characters have no letter of Unicode"
    invisible = sum(glyph.is_invisible for glyph in glyphs)
    if invisible:
        yield f"{invisible} characters are invisible"


def _is_private(code: int) -> bool:
    """Whether a code says nothing: private areas, the replacement character, null."""
    return code in {0, 0xFFFD} or 0xE000 <= code <= 0xF8FF or code >= 0xF0000  # noqa: PLR2004 - of Unicode


def _doubts_of_ink(lines: Sequence[TextLine], text: EmbeddedText, grey: Image.Image, to_px: Affine) -> Iterator[str]:
    if text.picture_share > _MOST_PICTURE:
        yield "a picture covers the page"
    hidden = [line for line in lines if not _is_seen(grey, line.quad_pt.mapped(to_px).bounds)]
    if hidden:
        yield f"{len(hidden)} lines cannot be seen, such as {hidden[0].text[:30]!r}"
    ink = grey.point(lambda value: 255 * (value < _INK_BELOW))
    before = _count(ink)
    for bounds in text.rulings_pt:
        # Half a point more, for what drawing them spread.
        _blank(ink, Quad.of(*bounds).mapped(to_px).bounds, margin=1.0)
    for line in lines:
        bounds = line.quad_pt.mapped(to_px).bounds
        height = min(bounds[2] - bounds[0], bounds[3] - bounds[1])
        _blank(ink, bounds, margin=1.0 + _MARGIN * height)
    unsaid = _count(ink)
    if unsaid > _MOST_UNSAID * before:
        yield f"{unsaid / before:.0%} of what is drawn is not in it"


def _is_seen(grey: Image.Image, bounds: Bounds) -> bool:
    low, high = grey.crop(_inside(grey, bounds, margin=0.5)).getextrema()
    assert not isinstance(low, tuple)
    assert not isinstance(high, tuple)
    return high - low >= _LEAST_CONTRAST


def _blank(ink: Image.Image, bounds: Bounds, *, margin: float) -> None:
    ink.paste(0, _inside(ink, bounds, margin=margin))


def _inside(image: Image.Image, bounds: Bounds, *, margin: float) -> tuple[int, int, int, int]:
    """A box in whole pixels around *bounds*, on the picture, at least one pixel large."""
    left, top, right, bottom = bounds
    x1 = min(max(math.floor(left - margin), 0), image.width - 1)
    y1 = min(max(math.floor(top - margin), 0), image.height - 1)
    return (
        x1,
        y1,
        max(min(math.ceil(right + margin), image.width), x1 + 1),
        max(min(math.ceil(bottom + margin), image.height), y1 + 1),
    )


def _count(ink: Image.Image) -> int:
    return ink.histogram()[255]


def _lines(glyphs: Sequence[Glyph]) -> Iterator[TextLine]:
    run: list[Glyph] = []
    for glyph in glyphs:
        if run and (glyph.code in {0x0A, 0x0D} or _is_apart(run, glyph)):
            yield from _line(run)
            run = []
        if glyph.code not in {0x0A, 0x0D}:
            run.append(glyph)
    yield from _line(run)


def _is_apart(run: Sequence[Glyph], glyph: Glyph) -> bool:
    """Whether *glyph* begins something else: it reads in another direction, or there is a gap before it."""
    last = next((each for each in reversed(run) if each.bounds_pt is not None), None)
    if last is None or last.bounds_pt is None or glyph.bounds_pt is None:
        return False
    if last.quarter_turns != glyph.quarter_turns:
        return True
    along = glyph.quarter_turns % 2  # 0: x, 1: y
    before, after = last.bounds_pt, glyph.bounds_pt
    height = max(before[3 - along] - before[1 - along], after[3 - along] - after[1 - along])
    gap = max(after[along] - before[along + 2], before[along] - after[along + 2])
    return gap > _GAP * height


def _line(run: Sequence[Glyph]) -> Iterator[TextLine]:
    text = _text(run).strip()
    placed = [glyph for glyph in run if glyph.bounds_pt is not None and not chr(glyph.code).isspace()]
    if not text or not placed:
        return
    left, top, right, bottom = union_bounds([glyph.bounds_pt for glyph in placed if glyph.bounds_pt is not None])
    corners = (Point(left, top), Point(right, top), Point(right, bottom), Point(left, bottom))
    turns = placed[0].quarter_turns
    a, b, c, d = (*corners[turns:], *corners[:turns])
    yield TextLine(text, Quad((a, b, c, d)))


def _text(run: Sequence[Glyph]) -> str:
    # PDFium marks a hyphen that divides a word with U+0002, and may give letters beyond U+FFFF as two halves.
    units = "".join("-" if glyph.code == 2 else chr(glyph.code) for glyph in run)  # noqa: PLR2004
    return units.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def collect_text(page: Any) -> EmbeddedText:  # noqa: ANN401 - pypdfium2 has no types
    """What PDFium tells about the text of a loaded page; its lock is held by the caller."""
    import pypdfium2.raw as pdfium_c

    box, rotation_deg = page.get_bbox(), page.get_rotation()
    upright = _to_upright(box, rotation_deg)
    area_pt2 = (box[2] - box[0]) * (box[3] - box[1])
    picture_pt2, rulings = 0.0, []
    for item in page.get_objects(max_depth=1):
        if item.type == pdfium_c.FPDF_PAGEOBJ_IMAGE:
            matrix = item.get_matrix()
            picture_pt2 += abs(matrix.a * matrix.d - matrix.b * matrix.c)
        elif item.type == pdfium_c.FPDF_PAGEOBJ_PATH and pdfium_c.FPDFPath_CountSegments(item) <= _SIMPLE_SEGMENTS:
            rulings.append(_upright_bounds(item.get_bounds(), upright))
    textpage = page.get_textpage()
    try:
        glyphs = tuple(_glyphs(textpage, upright, rotation_deg))
    finally:
        textpage.close()
    return EmbeddedText(
        glyphs=glyphs,
        size_pt=SizePt(*page.get_size()),
        rulings_pt=tuple(rulings),
        picture_share=picture_pt2 / area_pt2 if area_pt2 > 0 else 0.0,
    )


def _glyphs(textpage: Any, upright: Affine, rotation_deg: int) -> Iterator[Glyph]:  # noqa: ANN401
    import pypdfium2.raw as pdfium_c

    invisible = {pdfium_c.FPDF_TEXTRENDERMODE_INVISIBLE, pdfium_c.FPDF_TEXTRENDERMODE_CLIP}
    for i in range(textpage.count_chars()):
        code = pdfium_c.FPDFText_GetUnicode(textpage, i)
        if pdfium_c.FPDFText_IsGenerated(textpage, i) == 1:
            yield Glyph(code, None)
            continue
        item = pdfium_c.FPDFText_GetTextObject(textpage, i)
        angle_deg = rotation_deg - math.degrees(pdfium_c.FPDFText_GetCharAngle(textpage, i))
        yield Glyph(
            code,
            _upright_bounds(textpage.get_charbox(i), upright),
            quarter_turns=round(angle_deg / 90) % 4,
            is_invisible=bool(item) and pdfium_c.FPDFTextObj_GetTextRenderMode(item) in invisible,
            is_unmapped=pdfium_c.FPDFText_HasUnicodeMapError(textpage, i) == 1,
        )


def _to_upright(box: tuple[float, float, float, float], rotation_deg: int) -> Affine:
    """From the file's points (origin bottom-left, before rotation) to those of the upright page."""
    left, bottom, right, top = box
    return {
        0: Affine(1, 0, -left, 0, -1, top),
        90: Affine(0, 1, -bottom, 1, 0, -left),
        180: Affine(-1, 0, right, 0, 1, -bottom),
        270: Affine(0, -1, top, -1, 0, right),
    }[rotation_deg]


def _upright_bounds(box: tuple[float, float, float, float], upright: Affine) -> Bounds:
    # Quarter turns keep a box upright, so two of its corners are enough; a page has thousands of boxes.
    (x1, y1), (x2, y2) = upright(box[0], box[1]), upright(box[2], box[3])
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)
