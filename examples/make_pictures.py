"""Draw the example pictures and write what they truly say beside them.

All content is invented. The same fonts and the same release of Pillow give the same bytes: the grain of the
photos is seeded and nothing is stamped with the time. Each line of a true text is recorded by the call that
draws it, so the two cannot differ.

    python examples/make_pictures.py --out examples/pictures
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

A4_150_DPI = (1240, 1754)
A4_200_DPI = (1654, 2339)
A4_300_DPI = (2480, 3508)
PAPER = 255
INK = 25
EXIF_ORIENTATION = 0x0112
HEADING = "# "

SANS = "LiberationSans-Regular.ttf"
SANS_BOLD = "LiberationSans-Bold.ttf"
SERIF = "LiberationSerif-Regular.ttf"
SERIF_BOLD = "LiberationSerif-Bold.ttf"
MATHS = "DejaVuSerif.ttf"
CHINESE = "NotoSansCJK-Regular.ttc"
CHINESE_BOLD = "NotoSansCJK-Bold.ttc"

# Noto's collections hold Japanese, Korean, Simplified Chinese, ... in this order.
SIMPLIFIED_CHINESE = 2
FACE_INDEX = {CHINESE: SIMPLIFIED_CHINESE, CHINESE_BOLD: SIMPLIFIED_CHINESE}
DEBIAN_PACKAGES = {"Liberation": "fonts-liberation", "DejaVu": "fonts-dejavu-core", "Noto": "fonts-noto-cjk"}

SAVING: Mapping[str, Mapping[str, object]] = {
    ".jpg": {"quality": 85, "optimize": True},
    ".png": {"optimize": True},
    ".tiff": {"compression": "tiff_lzw"},
    ".pdf": {"quality": 80, "creationDate": time.gmtime(0), "modDate": time.gmtime(0)},
}


@dataclass(frozen=True, slots=True)
class Example:
    """A picture and the truth about it."""

    name: str
    """File name, from the folder of the pictures."""
    frames: Sequence[Image.Image]
    """One for a picture; several for the pages of a PDF or the frames of a TIFF."""
    text: str
    """What a person reads, line by line; pages are separated by a form feed."""
    truths: Mapping[str, str] = field(default_factory=dict)
    """Further truths by the ending of their file: `.html`, `.tex`, `.fields.json`."""
    saving: Mapping[str, object] = field(default_factory=dict)
    """Pillow's options for saving it, over those of its format."""


class Fonts:
    """The fonts of a folder, by file name and size in px."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths = {path.name: path for path in folder.rglob("*.tt[fc]")}
        self.get = cache(self._load)

    def _load(self, face: str, size_px: int) -> ImageFont.FreeTypeFont:
        if face not in self._paths:
            package = next(name for prefix, name in DEBIAN_PACKAGES.items() if face.startswith(prefix))
            raise SystemExit(
                f"The font {face} is not below {self._folder}. Install it (on Debian and Ubuntu: "
                f"apt-get install {package}) or name the folder that holds it with --fonts."
            )
        # The basic layout is the same on every machine; raqm is not always built in.
        return ImageFont.truetype(
            self._paths[face], size_px, index=FACE_INDEX.get(face, 0), layout_engine=ImageFont.Layout.BASIC
        )


class Sheet:
    """A page that records each line of text drawn on it."""

    def __init__(self, size_px: tuple[int, int], fonts: Fonts, *, ink: int = INK, paper: int = PAPER) -> None:
        self.image = Image.new("L", size_px, paper)
        self.draw = ImageDraw.Draw(self.image)
        self.fonts = fonts
        self.ink = ink
        self.lines: list[str] = []

    @property
    def text(self) -> str:
        """The lines in the order they were drawn; a gap is an empty line."""
        return "\n".join(self.lines).strip("\n")

    def gap(self) -> None:
        """Record the end of a paragraph or block."""
        self.lines.append("")

    def line(self, y_px: float, *pieces: tuple[float, str, str], face: str, size_px: int) -> None:
        """Draw one line of text.

        Args:
            y_px: Of the baseline.
            pieces: Each at its x in px: start, text, and how the text lies there ("l", "m" or "r").
            face: File name of the font.
            size_px: Of the font.
        """
        font = self.fonts.get(face, size_px)
        for x_px, text, side in pieces:
            self.draw.text((x_px, y_px), text, fill=self.ink, font=font, anchor=f"{side}s")
        self.lines.append(" ".join(text for _, text, _ in pieces))

    def paragraph(
        self,
        x_px: int,
        y_px: int,
        text: str,
        *,
        width_px: int,
        face: str,
        size_px: int,
        leading_px: int,
        justified: bool = False,
    ) -> int:
        """Draw *text* broken into lines; returns the baseline of the next line in px."""
        font = self.fonts.get(face, size_px)
        rows = wrapped(text, font, width_px)
        for row in rows:
            stretched = justified and row is not rows[-1]
            self.line(
                y_px,
                *(spread(row, font, x_px, width_px) if stretched else [(x_px, " ".join(row), "l")]),
                face=face,
                size_px=size_px,
            )
            y_px += leading_px
        return y_px


def blocks(text: str) -> list[str]:
    """The headings (marked by `HEADING`) and paragraphs of *text*, each on one line."""
    return [" ".join(block.split()) for block in text.split("\n\n")]


def wrapped(text: str, font: ImageFont.FreeTypeFont, width_px: int) -> list[list[str]]:
    """The words of each line that fits *width_px*."""
    rows: list[list[str]] = [[]]
    for word in text.split():
        if rows[-1] and font.getlength(" ".join([*rows[-1], word])) > width_px:
            rows.append([])
        rows[-1].append(word)
    return rows


def spread(
    words: Sequence[str], font: ImageFont.FreeTypeFont, x_px: int, width_px: int
) -> list[tuple[float, str, str]]:
    """The pieces of a justified line."""
    widths = [font.getlength(word) for word in words]
    space_px = (width_px - sum(widths)) / max(1, len(words) - 1)
    starts = [x_px + sum(widths[:index]) + index * space_px for index in range(len(words))]
    return [(start, word, "l") for start, word in zip(starts, words, strict=True)]


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table; `side` says how its text lies in it."""

    text: str
    rowspan: int = 1
    colspan: int = 1
    side: str = "l"


Grid = Sequence[Sequence[Cell]]


def row_of(*texts: str, sides: str) -> list[Cell]:
    """A row without spans; *sides* has one letter for each cell."""
    return [Cell(text, side=side) for text, side in zip(texts, sides, strict=True)]


def html_of(grid: Grid) -> str:
    """The table as bare HTML, one row a line."""
    rows = []
    for row in grid:
        cells = []
        for cell in row:
            spans = {"rowspan": cell.rowspan, "colspan": cell.colspan}
            shown = "".join(f' {name}="{count}"' for name, count in spans.items() if count > 1)
            cells.append(f"<td{shown}>{escape(cell.text)}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return "\n".join(["<table>", *rows, "</table>"])


def draw_table(
    sheet: Sheet,
    grid: Grid,
    *,
    columns_px: Sequence[int],
    top_px: int,
    row_px: int,
    faces: tuple[str, str],
    size_px: int,
    ruled: bool = True,
) -> int:
    """Draw a table, one line of text a row; returns its bottom in px.

    Args:
        sheet: To draw on.
        grid: Each row holds the cells that start in it.
        columns_px: The x of each ruling, from the left edge to the right one.
        top_px: Of the first row.
        row_px: Height of a row.
        faces: Of the first row and of the others.
        size_px: Of the font.
        ruled: Whether the borders are drawn.
    """
    padding_px = size_px // 2
    taken: set[tuple[int, int]] = set()
    for row_index, row in enumerate(grid):
        y_px = top_px + row_index * row_px
        pieces = []
        for cell in row:
            column = next(index for index in range(len(columns_px)) if (row_index, index) not in taken)
            taken |= {(row_index + r, column + c) for r in range(cell.rowspan) for c in range(cell.colspan)}
            left_px, right_px = columns_px[column], columns_px[column + cell.colspan]
            if ruled:
                box = (left_px, y_px, right_px, y_px + cell.rowspan * row_px)
                sheet.draw.rectangle(box, outline=sheet.ink, width=2)
            starts = {"l": left_px + padding_px, "m": (left_px + right_px) / 2, "r": right_px - padding_px}
            pieces.append((starts[cell.side], cell.text, cell.side))
        face = faces[min(row_index, 1)]
        sheet.line(y_px + (row_px + size_px * 0.7) / 2, *pieces, face=face, size_px=size_px)
    return top_px + len(grid) * row_px


def with_grain(image: Image.Image, *, strength: int, seed: int) -> Image.Image:
    """A grey picture with the noise of a sensor, at most *strength* grey levels up or down."""
    width_px, height_px = image.size
    values = random.Random(seed).randbytes(width_px * height_px)  # noqa: S311 - has to repeat
    noise = Image.frombytes("L", image.size, values).filter(ImageFilter.BoxBlur(1))
    centred = noise.point([128 + (value - 128) * strength // 64 for value in range(256)])
    return ImageChops.add(image, centred, scale=1, offset=-128)


def with_light_from_left(image: Image.Image, *, darkest: int) -> Image.Image:
    """A grey picture that grows darker to the right, down to *darkest* / 255 of its light."""
    falling = Image.linear_gradient("L").rotate(90).resize(image.size)
    return ImageChops.multiply(image, falling.point([255 - v * (255 - darkest) // 255 for v in range(256)]))


def photographed(
    paper: Image.Image,
    *,
    size_px: tuple[int, int],
    corners: Sequence[tuple[float, float]],
    table: int,
    darkest: int,
    seed: int,
) -> Image.Image:
    """A colour photo of a sheet of paper on a table, in the light of one window.

    Args:
        paper: Grey.
        size_px: Of the photo.
        corners: Of what the photo shows, in px from the paper's top left corner: top left, bottom left,
            bottom right, top right.
        table: Grey level of the table.
        darkest: Light at the right edge, of 255.
        seed: Of the grain.
    """
    margin_px = max(paper.size) // 2
    ground = Image.new("L", (paper.width + 2 * margin_px, paper.height + 2 * margin_px), table)
    edge = (margin_px + 8, margin_px + 12, margin_px + paper.width + 8, margin_px + paper.height + 12)
    ImageDraw.Draw(ground).rectangle(edge, fill=table - 60)
    ground = ground.filter(ImageFilter.GaussianBlur(9))
    ground.paste(paper, (margin_px, margin_px))
    quad = [offset + margin_px for corner in corners for offset in corner]
    seen = ground.transform(size_px, Image.Transform.QUAD, quad, Image.Resampling.BICUBIC)
    seen = with_light_from_left(seen.filter(ImageFilter.GaussianBlur(0.6)), darkest=darkest)
    grained = with_grain(seen, strength=5, seed=seed)
    warm = [min(255, value + 4) for value in range(256)]
    cool = [value * 237 // 255 for value in range(256)]
    return Image.merge("RGB", [grained.point(warm), grained, grained.point(cool)])


def scanned(page: Image.Image, *, turned_deg: float, seed: int) -> Image.Image:
    """A page as a flatbed scanner sees it: *turned_deg* counter-clockwise, greyish, with a little grain."""
    turned = page.rotate(turned_deg, Image.Resampling.BICUBIC, fillcolor=PAPER)
    greyish = turned.point([30 + value * 214 // 255 for value in range(256)])
    return with_grain(greyish, strength=3, seed=seed)


def joined(sheets: Sequence[Sheet]) -> str:
    """The text of several pages."""
    return "\n\f".join(sheet.text for sheet in sheets)


def as_json(values: Mapping[str, str]) -> str:
    """JSON that shows every script as it is."""
    return json.dumps(values, ensure_ascii=False, indent=2)


def receipt(fonts: Fonts) -> Iterator[Example]:
    """A Chinese till receipt, photographed askew on a grey table."""
    heading = {
        "单号": "20260318-0472",
        "日期": "2026-03-18",
        "时间": "18:42",
        "收银员": "小禾",
    }
    totals = {
        "合计": "75.97",
        "优惠": "0.97",
        "应收": "75.00",
        "实收": "100.00",
        "找零": "25.00",
        "支付方式": "现金",
    }
    items = (
        ("品名", "数量", "单价", "金额"),
        ("鲜牛奶950ml", "2", "12.80", "25.60"),
        ("全麦面包", "1", "9.90", "9.90"),
        ("红富士苹果", "1.36", "8.80", "11.97"),
        ("龙须挂面500g", "3", "4.50", "13.50"),
        ("柠檬洗洁精", "1", "15.00", "15.00"),
    )
    sheet = Sheet((760, 1240), fonts, ink=45, paper=245)

    def dashes(y_px: int) -> None:
        for x_px in range(50, 710, 18):
            sheet.draw.line((x_px, y_px, x_px + 10, y_px), fill=90, width=2)

    sheet.line(96, (380, "青禾巷便利店", "m"), face=CHINESE_BOLD, size_px=52)
    sheet.line(150, (380, "青禾巷18号", "m"), face=CHINESE, size_px=30)
    y_px = 218
    for label, value in heading.items():
        sheet.line(y_px, (50, f"{label}：{value}", "l"), face=CHINESE, size_px=32)
        y_px += 50
    dashes(y_px - 18)
    y_px += 40
    for name, *numbers in items:
        places = zip((430, 560, 710), numbers, strict=True)
        pieces = [(x_px, number, "r") for x_px, number in places]
        sheet.line(y_px, (50, name, "l"), *pieces, face=CHINESE, size_px=32)
        y_px += 52
    dashes(y_px - 20)
    y_px += 38
    for label, value in totals.items():
        face = CHINESE_BOLD if label == "合计" else CHINESE
        sheet.line(y_px, (50, label, "l"), (710, value, "r"), face=face, size_px=32)
        y_px += 50
    dashes(y_px - 20)
    sheet.line(y_px + 40, (380, "谢谢惠顾，欢迎再来", "m"), face=CHINESE, size_px=32)
    sheet.line(y_px + 86, (380, "凭小票七日内可退换", "m"), face=CHINESE, size_px=28)
    photo = photographed(
        sheet.image,
        size_px=(1000, 1400),
        corners=[(-213, -48), (-42, 1342), (951, 1237), (796, -166)],
        table=128,
        darkest=195,
        seed=7,
    )
    fields = {"店名": "青禾巷便利店", **heading, **totals}
    yield Example("receipt_zh.jpg", [photo], sheet.text, {".fields.json": as_json(fields)})


def invoice(fonts: Fonts) -> Iterator[Example]:
    """An English invoice with a ruled table of line items."""
    beside = {
        "Invoice number": "LH-2026-0318",
        "Invoice date": "18 March 2026",
        "Due date": "17 April 2026",
        "Customer number": "C-40917",
    }
    below = {
        "Order number": "PO-77120",
        "Payment terms": "30 days net",
        "Delivery date": "16 March 2026",
        "Currency": "GBP",
    }
    totals = {"Subtotal": "1,018.50", "VAT 20%": "203.70", "Total due": "1,222.20"}
    sides = "llrrr"
    grid = [
        row_of("Code", "Description", "Quantity", "Unit price", "Amount", sides=sides),
        row_of("TG-110", "Brass tide gauge, 110 mm", "2", "184.00", "368.00", sides=sides),
        row_of("RB-25", "Rubber bushing, set of 25", "4", "12.50", "50.00", sides=sides),
        row_of("CL-07", "Calibration in the workshop", "3", "95.00", "285.00", sides=sides),
        row_of("MB-300", "Mounting bracket, stainless", "6", "31.75", "190.50", sides=sides),
        row_of("SH-01", "Packing and shipping", "1", "125.00", "125.00", sides=sides),
    ]
    sheet = Sheet(A4_150_DPI, fonts)
    left_px, right_px = 110, 1130
    sheet.line(150, (left_px, "Larkhollow Instruments", "l"), face=SANS_BOLD, size_px=38)
    sheet.line(190, (left_px, "12 Weir Lane, Exampleton EX4 0MP", "l"), face=SANS, size_px=24)
    sheet.gap()
    sheet.line(310, (left_px, "INVOICE", "l"), face=SANS_BOLD, size_px=56)
    sheet.gap()
    for index, (label, value) in enumerate(beside.items()):
        y_px = 380 + 42 * index
        sheet.line(y_px, (left_px, f"{label}:", "l"), (left_px + 250, value, "l"), face=SANS, size_px=26)
    sheet.gap()
    sheet.line(590, (left_px, "Bill to", "l"), face=SANS_BOLD, size_px=26)
    for index, text in enumerate(("Brindle Vale Workshop", "Unit 5, Cooper's Yard", "Exampleton EX1 9QT")):
        sheet.line(628 + 36 * index, (left_px, text, "l"), face=SANS, size_px=26)
    sheet.gap()
    starts = [left_px + 270 * index for index in range(len(below))]
    for y_px, face, texts in ((780, SANS_BOLD, below.keys()), (820, SANS, below.values())):
        pieces = [(x_px, text, "l") for x_px, text in zip(starts, texts, strict=True)]
        sheet.line(y_px, *pieces, face=face, size_px=26)
    sheet.gap()
    columns_px = (left_px, 250, 660, 800, 960, right_px)
    y_px = draw_table(sheet, grid, columns_px=columns_px, top_px=880, row_px=58, faces=(SANS_BOLD, SANS), size_px=26)
    sheet.gap()
    for label, value in totals.items():
        y_px += 50
        face = SANS_BOLD if label == "Total due" else SANS
        sheet.line(y_px, (800, label, "l"), (right_px - 13, value, "r"), face=face, size_px=28)
    sheet.gap()
    note = "Please quote the invoice number with your payment. Goods remain ours until paid in full."
    sheet.line(1560, (left_px, note, "l"), face=SANS, size_px=24)
    fields = {**beside, **below, **totals}
    truths = {".fields.json": as_json(fields), ".html": html_of(grid)}
    yield Example("invoice_en.png", [sheet.image], sheet.text, truths, {"dpi": (150, 150)})


def merged_table(fonts: Fonts) -> Iterator[Example]:
    """A bordered table with merged cells, in Chinese and English."""
    numbers = "lrrrr"
    grid = [
        [
            Cell("车间", rowspan=2),
            Cell("产品 Product", rowspan=2),
            Cell("计划 Plan", colspan=2, side="m"),
            Cell("实际 Actual", colspan=2, side="m"),
        ],
        row_of("1月 Jan", "2月 Feb", "1月 Jan", "2月 Feb", sides="mmmm"),
        [Cell("一车间", rowspan=3), *row_of("螺栓 Bolt", "1,200", "1,250", "1,188", "1,263", sides=numbers)],
        row_of("螺母 Nut", "980", "1,000", "1,002", "997", sides=numbers),
        row_of("垫圈 Washer", "2,400", "2,400", "2,415", "2,386", sides=numbers),
        [Cell("二车间", rowspan=2), *row_of("齿轮 Gear", "310", "325", "308", "319", sides=numbers)],
        row_of("轴承 Bearing", "640", "655", "651", "662", sides=numbers),
        [Cell("合计 Total", colspan=2, side="m"), *row_of("5,530", "5,630", "5,564", "5,627", sides="rrrr")],
        [Cell("备注"), Cell("单位：件。2月含春节假期七天。", colspan=5)],
    ]
    sheet = Sheet((1200, 820), fonts)
    sheet.line(90, (600, "2026年1月至2月产量 Output by workshop", "m"), face=CHINESE_BOLD, size_px=36)
    sheet.gap()
    columns_px = (70, 240, 470, 635, 800, 965, 1130)
    draw_table(sheet, grid, columns_px=columns_px, top_px=140, row_px=66, faces=(CHINESE, CHINESE), size_px=30)
    yield Example("table_merged.png", [sheet.image], sheet.text, {".html": html_of(grid)})


def borderless_table(fonts: Fonts) -> Iterator[Example]:
    """A table whose columns are held by white space alone."""
    sides = "llrrr"
    grid = [
        row_of("Station", "Taken on", "Depth (m)", "Temperature", "Salinity", sides=sides),
        row_of("North pier", "2 March 2026", "4.5", "6.8", "31.20", sides=sides),
        row_of("Old lock", "2 March 2026", "2.0", "7.1", "12.85", sides=sides),
        row_of("Heron marsh", "3 March 2026", "0.8", "8.4", "3.10", sides=sides),
        row_of("Mill basin", "3 March 2026", "1.6", "7.9", "0.45", sides=sides),
        row_of("Outer buoy", "5 March 2026", "18.0", "5.9", "33.75", sides=sides),
        row_of("Ferry slip", "6 March 2026", "3.2", "6.5", "29.60", sides=sides),
    ]
    sheet = Sheet((1240, 640), fonts)
    sheet.line(90, (70, "Water samples of the first week", "l"), face=SANS_BOLD, size_px=38)
    sheet.gap()
    draw_table(
        sheet,
        grid,
        columns_px=(60, 330, 610, 790, 1010, 1180),
        top_px=140,
        row_px=62,
        faces=(SANS_BOLD, SANS),
        size_px=28,
        ruled=False,
    )
    yield Example("table_borderless.png", [sheet.image], sheet.text, {".html": html_of(grid)})


ARTICLE_TITLE = "The Clock That Kept the Tide"
ARTICLE = (
    """\
For ninety years a clock on the harbour wall told the town not the hour but the height of the water. Its
single hand moved up at flood and down at ebb, and the painted face beside it named the boats that could
pass the bar. Last winter the hand stopped at half tide and stayed there.

This report tells how the clock was taken apart, what was found inside, and what a small workshop can do
with patience, a lathe and a borrowed crane.

# 1 What was found

The works sit in an oak case below the dial. A copper float in a stone well pulls a chain; the chain
turns a drum; the drum moves the hand through a pair of bevel gears. Nothing in it measures time at all.
The first surprise was how little had worn. The gears were as sharp as on the day they were cut.

The fault lay lower. The well is joined to the sea by a clay pipe, and the pipe had filled with sand to
within a finger of its crown. The float had been resting on mud for weeks.

# 2 Clearing the pipe

We tried water first. A hose from the quay washed out two barrows of sand and then a great deal more
sand came in behind it. The pipe, it turned out, was broken under the slipway, and each tide carried in
what the last hose had carried out.

In the end a new pipe was laid beside the old one. It is forty metres long, falls by one part in two
hundred, and has a grating at its mouth that can be lifted from a boat. The work took nine low tides,
three of them at night.
""",
    """\
# 3 The float and the chain

The float had a seam of solder that had let in a cup of water. Emptied and sealed again, it rode four
centimetres higher, which explains a complaint in the harbour book of long ago that the clock was always
a little shy of the truth.

The chain was replaced. The old one had stretched by eleven links in three hundred, and somebody had
once made up for it by moving the dial. We moved it back.

# 4 Setting the hand

To set the hand we waited for a calm day and let a boy call out the marks on the gauge post while a
second person turned the collar. Ten readings over one tide agreed to within two centimetres. That is
better than the waves allow anyone to see.

# 5 What it cost

The pipe was four fifths of the whole cost. The clock itself needed one new chain, a pot of solder, nine
days of work and some paint. A plan for the years to come now hangs inside the case: lift the grating
each spring, oil the drum each autumn, and never again move the dial.

The hand began to rise at six in the morning on the second of March. Nobody had told the town, but by
seven there were people on the wall, looking at it with their hands in their pockets.
""",
)


def article(fonts: Fonts) -> Iterator[Example]:
    """A page of a magazine: a title across two justified columns with headings."""
    sheet = Sheet(A4_200_DPI, fonts)
    width_px, height_px = A4_200_DPI
    margin_px, gutter_px = 150, 74
    column_px = (width_px - 2 * margin_px - gutter_px) // 2
    sheet.line(230, (width_px / 2, ARTICLE_TITLE, "m"), face=SERIF_BOLD, size_px=76)
    sheet.line(300, (width_px / 2, "A report from the harbour workshop", "m"), face=SERIF, size_px=36)
    sheet.gap()
    top_px = 430
    for x_px, column in zip((margin_px, margin_px + column_px + gutter_px), ARTICLE, strict=True):
        y_px = top_px
        for block in blocks(column):
            if block.startswith(HEADING):
                y_px += 24 if y_px > top_px else 0
                sheet.line(y_px, (x_px, block.removeprefix(HEADING), "l"), face=SERIF_BOLD, size_px=40)
                y_px += 58
            else:
                y_px = 18 + sheet.paragraph(
                    x_px,
                    y_px,
                    block,
                    width_px=column_px,
                    face=SERIF,
                    size_px=32,
                    leading_px=46,
                    justified=True,
                )
            sheet.gap()
    sheet.line(height_px - 90, (width_px / 2, "Page 14", "m"), face=SERIF, size_px=28)
    yield Example("article_two_columns.png", [sheet.image], sheet.text, saving={"dpi": (200, 200)})


LETTER = """\
Dear neighbours,

The lease of the allotment gardens behind the old brickworks ends on 30 September. The council has now
answered our letter of January: it will renew the lease for twelve years if the association takes over
the care of the footpath and of the two wooden bridges. I think this is a fair offer, and I should like
to hear what you think before we reply.

The footpath is 640 metres long. It needs gravel every third year and cutting back twice each summer.
The upper bridge was renewed six years ago and is sound. The lower bridge is not: three of its planks
are soft, and the rail on the river side moves when one leans on it. A joiner has looked at it and asks
2,350 for new planks and a new rail, timber included.

Our account holds 4,180. If we pay for the bridge at once, we can still buy the seed potatoes in spring,
but the new roof of the tool shed would have to wait a year. The other way is a work day in May, with
borrowed tools and our own hands, which would bring the cost of the bridge down to about 900.

Please come to the meeting on Thursday, 16 April, at half past seven in the reading room above the
bakery. Those who cannot come may give their vote to another member in writing. Tea will be there; bring
a cup.

With kind regards,
"""


def letter(fonts: Fonts) -> Iterator[Example]:
    """A letter scanned at 300 dpi with the sheet laid sideways on the glass."""
    sheet = Sheet(A4_300_DPI, fonts)
    width_px, _ = A4_300_DPI
    margin_px = 295
    for index, text in enumerate(("Brickworks Garden Association", "Kiln Row 3", "Exampleton")):
        sheet.line(330 + 68 * index, (margin_px, text, "l"), face=SERIF, size_px=50)
    sheet.line(640, (width_px - margin_px, "27 March 2026", "r"), face=SERIF, size_px=50)
    sheet.gap()
    sheet.line(840, (margin_px, "Renewal of our lease", "l"), face=SERIF_BOLD, size_px=54)
    y_px = 990
    for paragraph in blocks(LETTER):
        sheet.gap()
        y_px = 44 + sheet.paragraph(
            margin_px,
            y_px,
            paragraph,
            width_px=width_px - 2 * margin_px,
            face=SERIF,
            size_px=50,
            leading_px=72,
        )
    sheet.gap()
    sheet.line(y_px + 170, (margin_px, "The treasurer", "l"), face=SERIF, size_px=50)
    tilted = sheet.image.rotate(0.4, Image.Resampling.BICUBIC, fillcolor=PAPER)
    sixteen_greys = tilted.point([value // 16 * 17 for value in range(256)])
    turned = sixteen_greys.transpose(Image.Transpose.ROTATE_90)
    yield Example("letter_turned_90.png", [turned], sheet.text, saving={"dpi": (300, 300)})


def phone_photo(fonts: Fonts) -> Iterator[Example]:
    """A pale notice in a dim hallway; the phone stored it sideways and says so in its EXIF data."""
    sheet = Sheet((900, 1200), fonts, ink=112, paper=182)
    sheet.draw.rectangle((30, 30, 870, 1170), outline=132, width=4)
    sheet.line(180, (450, "NOTICE", "m"), face=SANS_BOLD, size_px=92)
    lines = (
        "The lift will be out of service",
        "on Tuesday, 21 April,",
        "from 8:30 to 16:00.",
        "",
        "Please use the stairs or ask",
        "the caretaker for help with",
        "heavy loads: door 4,",
        "ground floor.",
    )
    for index, text in enumerate(lines):
        if text:
            sheet.line(330 + 74 * index, (90, text, "l"), face=SANS, size_px=50)
        else:
            sheet.gap()
    sheet.gap()
    sheet.line(1060, (90, "House management, ref. 26-117", "l"), face=SANS, size_px=38)
    photo = photographed(
        sheet.image,
        size_px=(1200, 1600),
        corners=[(-150, -190), (-175, 1400), (1075, 1385), (1040, -205)],
        table=96,
        darkest=185,
        seed=11,
    )
    # Orientation 6: the top of the page is at the right edge of the stored picture.
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    stored = photo.transpose(Image.Transpose.ROTATE_90)
    yield Example("photo_exif6.jpg", [stored], sheet.text, saving={"exif": exif})


CONTRACT = (
    """\
# Rental Agreement

between Quillmere Boats, Exampleton (the owner), and the sailing club of Heron Bay (the club).

1. Subject. The owner rents to the club the rowing boat Plover, built in 2011, with four oars, one
anchor and a canvas cover.

2. Term. The rental begins on 1 May 2026 and ends on 30 September 2026. It does not renew itself.

3. Use. The boat may be used on the bay inside the two lights. It may not carry more than five persons
and may not be lent to others.

4. Condition. Both sides have seen the boat and found it sound, but for a scratch of about 20 cm on the
left side near the bow.
""",
    """\
# Payment and deposit

5. Rent. The rent is 180.00 a month and is due on the first working day of each month.

6. Deposit. The club pays a deposit of 400.00 before the boat is handed over. The owner returns it
within 14 days after the end of the rental, less the cost of damage.

7. Late payment. For each full week of delay the owner may ask for 6.00.

8. Insurance. The owner insures the boat against fire and theft. The club answers for damage that its
members cause, up to 1,500.00 for each event.

9. Repairs. Small repairs below 50.00 are paid by the club, all others by the owner.
""",
    """\
# Final terms and signatures

10. End. Either side may end this agreement in writing with four weeks of notice, the owner at once if
two rents are unpaid.

11. Return. The boat is returned clean and dry at the owner's slip, with everything listed under number
1.

12. Changes. Changes are valid only in writing.

Exampleton, 22 April 2026
""",
)


def contract(fonts: Fonts) -> Iterator[Example]:
    """A short contract as an office scanner saves it: a PDF that holds nothing but a picture a page."""
    width_px, height_px = A4_150_DPI
    margin_px = 150
    sheets = []
    for number, page in enumerate(CONTRACT, start=1):
        heading, *paragraphs = blocks(page)
        sheet = Sheet(A4_150_DPI, fonts)
        sheet.line(220, (margin_px, heading.removeprefix(HEADING), "l"), face=SERIF_BOLD, size_px=46)
        y_px = 310
        for paragraph in paragraphs:
            sheet.gap()
            y_px = 26 + sheet.paragraph(
                margin_px,
                y_px,
                paragraph,
                width_px=width_px - 2 * margin_px,
                face=SERIF,
                size_px=29,
                leading_px=42,
            )
        sheet.gap()
        if number == len(CONTRACT):
            for left_px, right_px in ((margin_px, 560), (680, width_px - margin_px)):
                sheet.draw.line((left_px, 1000, right_px, 1000), fill=INK, width=2)
            pieces = (margin_px, "For the owner", "l"), (680, "For the club", "l")
            sheet.line(1040, *pieces, face=SERIF, size_px=29)
            sheet.gap()
        footer = f"Page {number} of {len(CONTRACT)}"
        sheet.line(height_px - 100, (width_px / 2, footer, "m"), face=SERIF, size_px=26)
        sheets.append(sheet)
    pages = [
        scanned(sheet.image, turned_deg=turned_deg, seed=seed)
        for seed, (sheet, turned_deg) in enumerate(zip(sheets, (0.3, -0.2, 0.4), strict=True))
    ]
    yield Example("scan_three_pages.pdf", pages, joined(sheets), saving={"resolution": 150})


def formulas(fonts: Fonts) -> Iterator[Example]:
    """Formulas that stay on their line, and one that does not."""
    linear = {
        "E = mc²": r"E = mc^{2}",
        "a² + b² = c²": r"a^{2} + b^{2} = c^{2}",
        "∑ k = n(n + 1)/2": r"\sum k = n(n + 1)/2",
        "α + β = γ": r"\alpha + \beta = \gamma",
        "x ≥ 2 ± √(b² − 4ac)": r"x \geq 2 \pm \sqrt{(b^{2} - 4ac)}",
        "A = πr²": r"A = \pi r^{2}",
    }
    sheet = Sheet((1000, 840), fonts)
    for index, text in enumerate(linear):
        sheet.line(130 + 120 * index, (120, text, "l"), face=MATHS, size_px=52)
    yield Example("formulas.png", [sheet.image], sheet.text, {".tex": "\n".join(linear.values())})

    stacked = Sheet((900, 320), fonts)
    stacked.line(175, (90, "x =", "l"), face=MATHS, size_px=56)
    stacked.line(125, (520, "−b ± √(b² − 4ac)", "m"), face=MATHS, size_px=56)
    stacked.draw.line((240, 156, 800, 156), fill=INK, width=4)
    stacked.line(225, (520, "2a", "m"), face=MATHS, size_px=56)
    yield Example(
        "formula_fraction.png",
        [stacked.image],
        "x = (−b ± √(b² − 4ac)) / 2a",
        {".tex": r"x = \frac{-b \pm \sqrt{(b^{2} - 4ac)}}{2a}"},
    )


def russian(fonts: Fonts) -> Iterator[Example]:
    """A notice in Cyrillic letters."""
    sheet = Sheet((1000, 480), fonts)
    sheet.line(100, (80, "Объявление", "l"), face=SANS_BOLD, size_px=52)
    lines = (
        "Библиотека закрыта с 4 по 9 мая.",
        "Книги можно вернуть в ящик у входа.",
        "Мы снова ждём вас в понедельник,",
        "11 мая, с 10 до 19 часов.",
    )
    for index, text in enumerate(lines):
        sheet.line(190 + 68 * index, (80, text, "l"), face=SANS, size_px=40)
    yield Example("russian.png", [sheet.image], sheet.text)


def colour_modes(fonts: Fonts) -> Iterator[Example]:
    """One small label in each colour mode that files come in."""
    sheet = Sheet((520, 240), fonts, ink=0)
    sheet.line(80, (40, "HANDLE WITH CARE", "l"), face=SANS_BOLD, size_px=44)
    sheet.line(145, (40, "Keep dry and upright", "l"), face=SANS, size_px=38)
    sheet.line(205, (40, "Lot 4471-B, 12 pieces", "l"), face=SANS, size_px=38)
    grey = sheet.image
    ink = ImageChops.invert(grey)
    blue = Image.new("RGB", grey.size, "white")
    blue.paste("navy", mask=ink)
    # Black below the transparent parts: dropping the alpha channel instead of laying the picture on white
    # turns the whole label black.
    black = Image.new("L", grey.size, 0)
    modes = {
        "label_p.png": blue.quantize(16),
        "label_1.png": grey.convert("1", dither=Image.Dither.NONE),
        "label_1.tiff": grey.convert("1", dither=Image.Dither.NONE),
        "label_l.png": grey,
        "label_la.png": Image.merge("LA", [black, ink]),
        "label_rgba.png": Image.merge("RGBA", [black, black, black, ink]),
        "label_i16.png": grey.convert("I").point(lambda value: value * 257).convert("I;16"),
        "label_cmyk.jpg": blue.convert("CMYK"),
    }
    for name, image in modes.items():
        saving = {"compression": "group4"} if name.endswith(".tiff") else {}
        yield Example(f"modes/{name}", [image], sheet.text, saving=saving)


def two_frames(fonts: Fonts) -> Iterator[Example]:
    """A fax of two pages in one TIFF."""
    pages = (
        ("Fax, page one", "Please send us forty roof tiles", "of the red kind, size 3."),
        ("Fax, page two", "Deliver to the yard behind", "the station before noon."),
    )
    sheets = []
    for heading, *lines in pages:
        sheet = Sheet((800, 400), fonts)
        sheet.line(100, (70, heading, "l"), face=SANS_BOLD, size_px=48)
        for index, text in enumerate(lines):
            sheet.line(200 + 70 * index, (70, text, "l"), face=SANS, size_px=40)
        sheets.append(sheet)
    yield Example("two_frames.tiff", [sheet.image for sheet in sheets], joined(sheets))


def blank(_fonts: Fonts) -> Iterator[Example]:
    """The empty back of a sheet: nothing but the shadow at the edge of the glass."""
    page = Image.new("L", A4_150_DPI, 250)
    for x_px, level in enumerate(range(228, 250, 2)):
        ImageDraw.Draw(page).line((x_px, 0, x_px, page.height), fill=level)
    yield Example("blank.png", [page], "", saving={"dpi": (150, 150)})


MAKERS: Sequence[Callable[[Fonts], Iterator[Example]]] = (
    receipt,
    invoice,
    merged_table,
    borderless_table,
    article,
    letter,
    phone_photo,
    contract,
    formulas,
    russian,
    colour_modes,
    two_frames,
    blank,
)


def write(example: Example, folder: Path) -> Path:
    """The path of *example*, saved in *folder* with its truths beside it."""
    path = folder / example.name
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *others = example.frames
    several = {"save_all": True, "append_images": others} if others else {}
    options: dict[str, Any] = {**SAVING[path.suffix], **example.saving, **several}
    first.save(path, **options)
    for ending, truth in {".txt": example.text, **example.truths}.items():
        ended = f"{truth}\n" if truth else ""
        path.with_suffix(ending).write_text(ended, encoding="utf-8", newline="\n")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the example pictures and write their true text.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "pictures")
    parser.add_argument("--fonts", type=Path, default=Path("/usr/share/fonts"))
    options = parser.parse_args()
    fonts = Fonts(options.fonts)
    for make in MAKERS:
        for example in make(fonts):
            path = write(example, options.out)
            print(f"{path.stat().st_size:>9,} bytes  {path}")


if __name__ == "__main__":
    main()
