"""The PDFs that are read: scans that a reader may pass through, and pages that it must draw.

The same arguments give the same pages. No two pages are alike, so that nothing is read only once.
"""

from __future__ import annotations

import ctypes
import io
import random
import re
from collections.abc import Callable
from pathlib import Path

import pypdfium2
import pypdfium2.raw as pdfium_c
from PIL import Image, ImageChops, ImageDraw, ImageFont

A4_PT = (595.276, 841.89)
SCAN_PX = (1654, 2339)
"""A4 at 200 px per inch."""
LINES = 48
GRAIN = 32
"""The darkest grain is a 256th of this below the paper."""
_WORDS = re.findall(
    r"\w+",
    "account balance carried forward delivery of forty boxes paper on the ninth day signed by the clerk invoice "
    "number quantity amount due within thirty days received in good order remarks none total weight kilograms "
    "harbour office please return one copy of this sheet",
)


def page_lines(page_index: int) -> list[str]:
    """The text of one page, of *LINES* lines."""
    choose = random.Random(page_index)
    return [
        f"{page_index + 1}.{number:02} " + " ".join(choose.choices(_WORDS, k=9)) + f" {choose.randrange(10**6):,}"
        for number in range(1, LINES + 1)
    ]


def scan_picture(page_index: int) -> Image.Image:
    """One scanned page in colour: warm paper, grain all over it, dark text."""
    ink = Image.new("L", SCAN_PX, 244)
    draw = ImageDraw.Draw(ink)
    font = ImageFont.load_default(26)
    for number, line in enumerate(page_lines(page_index)):
        draw.text((130, 130 + 44 * number), line, fill=40, font=font)
    width_px, height_px = SCAN_PX
    coarse_px = (width_px // 2, height_px // 2)
    coarse = Image.frombytes("L", coarse_px, random.Random(~page_index).randbytes(coarse_px[0] * coarse_px[1]))
    # Grain twice as wide as a pixel, as scanners leave it: about half a megabyte of JPEG a page.
    grain = coarse.point(lambda value: value // GRAIN).resize(SCAN_PX, Image.Resampling.BILINEAR)
    grey = ImageChops.subtract(ink, grain)
    return Image.merge("RGB", (grey, grey, grey.point(lambda value: value - value // 16)))


def write_scans(path: Path, pages: int) -> None:
    """Pages that each are exactly one upright JPEG of 200 px per inch."""
    _write(path, pages, _add_scan)


def write_turned(path: Path, pages: int) -> None:
    """The same scans as they come from a feeder that takes sheets sideways: turned by the PDF, so to be drawn."""

    def add(document: pypdfium2.PdfDocument, page: pypdfium2.PdfPage, page_index: int) -> None:
        _add_scan(document, page, page_index)
        page.set_rotation(90)

    _write(path, pages, add)


def write_text(path: Path, pages: int) -> None:
    """Pages of text and rules, without pictures."""

    def add(document: pypdfium2.PdfDocument, page: pypdfium2.PdfPage, page_index: int) -> None:
        font = pdfium_c.FPDFText_LoadStandardFont(document.raw, b"Helvetica")
        for number, line in enumerate(page_lines(page_index)):
            baseline_pt = A4_PT[1] - 55 - 15.8 * number
            text = pdfium_c.FPDFPageObj_CreateTextObj(document.raw, font, 10.0)
            pdfium_c.FPDFText_SetText(text, _wide(line))
            pdfium_c.FPDFPageObj_Transform(text, 1, 0, 0, 1, 47, baseline_pt)
            pdfium_c.FPDFPage_InsertObject(page.raw, text)
            rule = pdfium_c.FPDFPageObj_CreateNewRect(47, baseline_pt - 4, A4_PT[0] - 94, 0.5)
            pdfium_c.FPDFPath_SetDrawMode(rule, pdfium_c.FPDF_FILLMODE_ALTERNATE, 0)
            pdfium_c.FPDFPage_InsertObject(page.raw, rule)
        pdfium_c.FPDFFont_Close(font)

    _write(path, pages, add)


DOCUMENTS: dict[str, Callable[[Path, int], None]] = {
    "scans": write_scans,
    "turned": write_turned,
    "text": write_text,
}
"""What can be made, by name."""


def _write(path: Path, pages: int, add: Callable[[pypdfium2.PdfDocument, pypdfium2.PdfPage, int], None]) -> None:
    document = pypdfium2.PdfDocument.new()
    try:
        for page_index in range(pages):
            page = document.new_page(*A4_PT)
            add(document, page, page_index)
            page.gen_content()
            page.close()
        document.save(path)
    finally:
        document.close()


def _add_scan(document: pypdfium2.PdfDocument, page: pypdfium2.PdfPage, page_index: int) -> None:
    jpeg = io.BytesIO()
    scan_picture(page_index).save(jpeg, "JPEG", quality=75)
    picture = pypdfium2.PdfImage.new(document)
    picture.load_jpeg(jpeg, inline=True)
    picture.set_matrix(pypdfium2.PdfMatrix().scale(*A4_PT))
    page.insert_obj(picture)


def _wide(text: str) -> ctypes.Array[ctypes.c_ushort]:
    """*text* as PDFium takes it: UTF-16 with a zero at the end."""
    units = (text + "\0").encode("utf-16-le")
    return (ctypes.c_ushort * (len(units) // 2)).from_buffer_copy(units)
