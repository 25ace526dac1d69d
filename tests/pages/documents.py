"""Small sources for the tests of pages, made on the spot."""

from __future__ import annotations

import ctypes
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium_c
from PIL import Image, ImageChops, ImageDraw

RED, BLUE, WHITE = (220, 20, 20), (20, 20, 220), (255, 255, 255)


def marked(width_px: int = 120, height_px: int = 80) -> Image.Image:
    """A white picture with a red block 20 px wide and 10 px high in its top-left corner."""
    image = Image.new("RGB", (width_px, height_px), WHITE)
    ImageDraw.Draw(image).rectangle((0, 0, 19, 9), fill=RED)
    return image


def noisy(width_px: int = 640, height_px: int = 480) -> Image.Image:
    """A coloured picture that no format makes small."""
    red, green, blue = (Image.effect_noise((width_px, height_px), 80) for _ in range(3))
    return Image.merge("RGB", (red, green, blue))


def encoded(image: Image.Image, image_format: str, **options: Any) -> bytes:
    """The picture as a file."""
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def opened(data: bytes) -> Image.Image:
    """The picture in a file, in RGB."""
    return Image.open(io.BytesIO(data)).convert("RGB")


def red_box(image: Image.Image) -> tuple[int, int, int, int]:
    """The bounds of what is red."""
    red, green, blue = image.convert("RGB").split()
    is_red = Image.merge(
        "RGB",
        (
            red.point(lambda v: 255 * (v > 150)),
            green.point(lambda v: 255 * (v < 100)),
            blue.point(lambda v: 255 * (v < 100)),
        ),
    )
    channels = is_red.split()
    box = ImageChops.multiply(ImageChops.multiply(channels[0], channels[1]), channels[2]).getbbox()
    assert box is not None, "nothing is red"
    return box


PageMaker = Callable[[pypdfium2.PdfDocument, pypdfium2.PdfPage], None]


def pdf(*makers: PageMaker, size_pt: tuple[float, float] = (300, 200)) -> bytes:
    """A PDF with one page for each maker, which draws on it."""
    document = pypdfium2.PdfDocument.new()
    for make in makers:
        page = document.new_page(*size_pt)
        make(document, page)
        page.gen_content()
        page.close()
    buffer = io.BytesIO()
    document.save(buffer)
    document.close()
    return buffer.getvalue()


def write(
    document: pypdfium2.PdfDocument,
    page: pypdfium2.PdfPage,
    text: str,
    *,
    at: tuple[float, float] = (20, 150),
    size_pt: float = 18,
    mode: int = pdfium_c.FPDF_TEXTRENDERMODE_FILL,
    colour: tuple[int, int, int] = (0, 0, 0),
) -> None:
    """Put a line of text on a page, *at* from its bottom-left."""
    font = pypdfium2.PdfFont.load_standard(document, "Helvetica")
    item = pdfium_c.FPDFPageObj_CreateTextObj(document, font, size_pt)
    letters = ctypes.create_string_buffer((text + "\0").encode("utf-16-le"))
    pdfium_c.FPDFText_SetText(item, ctypes.cast(letters, pdfium_c.FPDF_WIDESTRING))
    pdfium_c.FPDFPageObj_SetFillColor(item, *colour, 255)
    pdfium_c.FPDFTextObj_SetTextRenderMode(item, mode)
    pdfium_c.FPDFPageObj_Transform(item, 1, 0, 0, 1, *at)
    pdfium_c.FPDFPage_InsertObject(page, item)


def block(
    page: pypdfium2.PdfPage,
    at: tuple[float, float],
    size: tuple[float, float],
    colour: tuple[int, int, int] = RED,
) -> None:
    """Put a filled block on a page."""
    item = pdfium_c.FPDFPageObj_CreateNewRect(*at, *size)
    pdfium_c.FPDFPageObj_SetFillColor(item, *colour, 255)
    pdfium_c.FPDFPath_SetDrawMode(item, pdfium_c.FPDF_FILLMODE_ALTERNATE, 0)
    pdfium_c.FPDFPage_InsertObject(page, item)


def scan(jpeg: bytes, *, fill: tuple[float, float] = (300, 200)) -> PageMaker:
    """A maker of a page that is a JPEG, *fill* points wide and high."""

    def make(document: pypdfium2.PdfDocument, page: pypdfium2.PdfPage) -> None:
        picture = pypdfium2.PdfImage.new(document)
        picture.load_jpeg(io.BytesIO(jpeg), inline=True)
        picture.set_matrix(pypdfium2.PdfMatrix().scale(*fill))
        page.insert_obj(picture)

    return make


def line_of_text(text: str) -> PageMaker:
    """A maker of a page with one line of text."""
    return lambda document, page: write(document, page, text)


def raw_pdf(*objects: str, root: int = 1, trailer: str = "") -> bytes:
    """A PDF of the given objects, numbered from 1."""
    body = b"%PDF-1.7\n"
    offsets = []
    for number, text in enumerate(objects, 1):
        offsets.append(len(body))
        body += f"{number} 0 obj\n{text}\nendobj\n".encode("latin-1")
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    end = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    end += f"trailer\n<< /Size {len(objects) + 1} /Root {root} 0 R {trailer}>>\nstartxref\n{len(body)}\n%%EOF\n"
    return body + end.encode("latin-1")


def saved(folder: Path, name: str, data: bytes) -> Path:
    """A file with those bytes."""
    path = folder / name
    path.write_bytes(data)
    return path
