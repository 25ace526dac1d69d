"""PDF pages are drawn as the eye sees them, or handed over as the scan they are."""

from __future__ import annotations

import gc
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pypdfium2
import pytest
from PIL import Image

from langchain_qwen_ocr.errors import SourceError
from langchain_qwen_ocr.geometry import PixelBudget, Quad, Size, SizePt, smart_resize
from langchain_qwen_ocr.pages import ImageOptions, PreparedImage, SourceLimits, open_pages, prepare
from langchain_qwen_ocr.pages.page import Drawing
from tests.pages.documents import (
    BLUE,
    block,
    encoded,
    line_of_text,
    marked,
    noisy,
    opened,
    pdf,
    raw_pdf,
    red_box,
    saved,
    scan,
    write,
)
from tests.pages.test_pictures import open_files

JPEG = encoded(noisy(600, 400), "JPEG")
GREY_JPEG = encoded(noisy(600, 400).convert("L"), "JPEG")


def first(source: object, options: ImageOptions | None = None, **how: Any) -> PreparedImage:
    return prepare(next(open_pages(source, **how)), options or ImageOptions())


@pytest.mark.parametrize("jpeg", [JPEG, GREY_JPEG], ids=["colour", "grey"])
def test_a_scan_is_passed_through(jpeg):
    """A page that is one JPEG is sent as that JPEG, byte for byte."""
    image = first(pdf(scan(jpeg)))
    assert (image.data, image.mime_type) == (jpeg, "image/jpeg")
    assert (image.size_px, image.page.size_px) == (Size(600, 400), Size(600, 400))
    assert image.page.size_pt == SizePt(300, 200)


def _with_text(document, page):
    scan(JPEG)(document, page)
    write(document, page, "stamped")


def _turned(document, page):
    scan(JPEG)(document, page)
    page.set_rotation(90)


def _cropped(document, page):
    scan(JPEG)(document, page)
    page.set_cropbox(50, 50, 250, 150)


def _flipped(document, page):
    picture = pypdfium2.PdfImage.new(document)
    picture.load_jpeg(io.BytesIO(JPEG), inline=True)
    picture.set_matrix(pypdfium2.PdfMatrix(-300, 0, 0, 200, 300, 0))
    page.insert_obj(picture)


def _two(document, page):
    scan(JPEG)(document, page)
    scan(JPEG)(document, page)


@pytest.mark.parametrize(
    "maker",
    [
        _with_text,
        _turned,
        _cropped,
        _flipped,
        _two,
        scan(JPEG, fill=(200, 150)),
        scan(encoded(noisy(600, 400).convert("CMYK"), "JPEG")),
        scan(JPEG[:-2]),
    ],
    ids=["text-on-it", "turned", "cropped", "flipped", "two-pictures", "smaller-than-page", "cmyk", "no-end"],
)
def test_a_scan_with_anything_to_it_is_drawn(maker):
    """What the JPEG alone would not show is drawn instead."""
    image = first(pdf(maker))
    assert JPEG not in image.data
    assert image.mime_type == "image/jpeg"


def test_an_inverted_scan_is_drawn():
    """A picture that the PDF turns from negative to positive is not sent as the negative."""
    data = pdf(scan(GREY_JPEG))
    assert first(data).data == GREY_JPEG
    inverted = data.replace(b"/Filter", b"/Decode[1 0]/Filter", 1)
    assert inverted != data
    assert first(inverted).data != GREY_JPEG


def test_a_scan_over_the_budget_is_drawn_within_it():
    """The budget rules over untouched pages as well."""
    options = ImageOptions(budget=PixelBudget(max_pixels=60_000))
    image = first(pdf(scan(JPEG)), options)
    assert image.size_px == image.page.size_px == smart_resize(Size(600, 400), options.budget)


def test_a_scan_is_drawn_at_its_own_resolution():
    """A scan that must be drawn has as many pixels as it was scanned with, give or take one token."""
    image = first(pdf(scan(JPEG)), ImageOptions(image_format="png"))
    assert image.size_px == smart_resize(Size(600, 400), PixelBudget())


def test_text_is_drawn_at_200_dpi_to_a_size_the_model_keeps():
    """A4 has 1654 x 2339 px at 200 dpi; the service finds multiples of 32 and leaves them."""
    image = first(pdf(line_of_text("hello"), size_pt=(595, 842)))
    assert image.size_px == Size(1664, 2336)
    assert smart_resize(image.size_px, PixelBudget()) == image.size_px
    assert image.to_page(0, 0) == (0, 0)
    assert image.to_page(1664, 2336) == (1664, 2336)


def test_a_budget_is_drawn_to_directly():
    """A poster is never drawn larger than the model looks at it."""
    image = first(pdf(line_of_text("hello"), size_pt=(5000, 7000)))
    assert image.size_px.area_px2 <= PixelBudget().max_pixels
    assert image.page.size_px == image.size_px


@pytest.mark.parametrize(
    ("rotation_deg", "expected_pt", "size_pt"),
    [
        (0, (30, 20, 90, 60), (300, 200)),
        (90, (140, 30, 180, 90), (200, 300)),
        (180, (210, 140, 270, 180), (300, 200)),
        (270, (20, 210, 60, 270), (200, 300)),
    ],
)
def test_places_follow_the_rotation_of_a_page(rotation_deg, expected_pt, size_pt):
    """A block comes back where the eye sees it on the turned page."""

    def make(document, page):
        block(page, (30, 140), (60, 40))  # 30 pt from the left, 20 pt from the top
        page.set_rotation(rotation_deg)

    image = first(pdf(make))
    assert image.page.size_pt == SizePt(*size_pt)
    box = Quad.of(*red_box(opened(image.data))).mapped(image.to_page)
    across, down = size_pt[0] / image.page.size_px.width_px, size_pt[1] / image.page.size_px.height_px
    left, top, right, bottom = box.bounds
    assert (left * across, top * down, right * across, bottom * down) == pytest.approx(expected_pt, abs=1)


def test_places_follow_the_crop_box():
    """What lies outside the crop box is not on the page, and places count from its corner."""

    def make(document, page):
        block(page, (30, 140), (60, 40))
        block(page, (0, 0), (10, 10))
        page.set_cropbox(20, 100, 220, 190)

    image = first(pdf(make))
    assert image.page.size_pt == SizePt(200, 90)
    left, top, right, bottom = red_box(opened(image.data))
    across, down = 200 / image.size_px.width_px, 90 / image.size_px.height_px
    assert (left * across, top * down, right * across, bottom * down) == pytest.approx((10, 10, 70, 50), abs=1)


def test_colour_is_kept_and_its_absence_used():
    """A page with a coloured block is sent in colour, a black one in grey."""

    def coloured(document, page):
        block(page, (30, 140), (60, 40), BLUE)

    black, blue = (prepare(page, ImageOptions()) for page in open_pages(pdf(line_of_text("x"), coloured)))
    assert Image.open(io.BytesIO(black.data)).mode == "L"
    assert opened(blue.data).getpixel((150, 100)) == pytest.approx(BLUE, abs=12)


FORM = raw_pdf(
    "<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [4 0 R] /DA (/Helv 12 Tf 0 g) >> >>",
    "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
    "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] /Annots [4 0 R 6 0 R] >>",
    "<< /Type /Annot /Subtype /Widget /FT /Tx /T (name) /V (filled) /F 4 /Rect [20 100 120 140] /P 3 0 R "
    "/AP << /N 5 0 R >> >>",
    "<< /Type /XObject /Subtype /Form /BBox [0 0 100 40] /Length 29 >>\n"
    "stream\n1 0 0 rg 0 0 100 40 re f     \nendstream",
    "<< /Type /Annot /Subtype /Square /F 4 /Rect [200 20 280 60] /AP << /N 7 0 R >> >>",
    "<< /Type /XObject /Subtype /Form /BBox [0 0 80 40] /Length 28 >>\nstream\n0 0 1 rg 0 0 80 40 re f     \nendstream",
)


def test_form_fields_and_annotations_are_drawn():
    """What was filled in, and what was marked, is on the page."""
    image = opened(first(FORM, ImageOptions(image_format="png")).data).resize((300, 200))
    assert image.getpixel((70, 80)) != (255, 255, 255)
    assert image.getpixel((240, 160)) == (0, 0, 255)


def test_page_labels_and_totals():
    """A page knows what number is printed on it."""
    data = raw_pdf(
        "<< /Type /Catalog /Pages 2 0 R /PageLabels << /Nums [0 << /S /r >> 1 << /S /D /St 7 >>] >> >>",
        "<< /Type /Pages /Kids [3 0 R 4 0 R] /Count 2 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] >>",
    )
    pages = list(open_pages(data))
    assert [page.page_label for page in pages] == ["i", "7"]
    assert [page.total_pages for page in pages] == [2, 2]


@pytest.mark.parametrize(
    ("pages", "indexes"),
    [
        (None, [0, 1, 2, 3, 4]),
        ("2", [1]),
        ("1-2,4-", [0, 1, 3, 4]),
        ("-2", [0, 1]),
        ("4-5,1,4", [0, 3, 4]),
        (" 1 - 2 ,5", [0, 1, 4]),
        ("4-9", [3, 4]),
        ("2,5-100000", [1, 4]),
    ],
)
def test_page_ranges(pages, indexes):
    """Pages are chosen as people write them, and come in page order."""
    data = pdf(*[line_of_text("x")] * 5)
    assert [page.page_index for page in open_pages(data, pages=pages)] == indexes


def test_a_page_beyond_the_end_is_an_error():
    """The error says how many pages there are. (A range may end there, for folders of long and short documents.)"""
    with pytest.raises(SourceError, match=r"bytes has 2 pages; there is no page 9\. Choose pages from 1 to 2"):
        next(open_pages(pdf(*[line_of_text("x")] * 2), pages="1,9"))


def test_a_broken_page_leaves_its_neighbours_alone():
    """The second of three pages cannot be drawn; the others can, each with its own number."""
    data = raw_pdf(
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R 9 0 R 4 0 R] /Count 3 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 400 200] >>",
    )
    pages = list(open_pages(data))
    assert prepare(pages[0], ImageOptions()).page.size_pt == SizePt(300, 200)
    with pytest.raises(SourceError, match=r"Page 2 of bytes cannot be drawn") as caught:
        prepare(pages[1], ImageOptions())
    assert caught.value.page_index == 1
    assert prepare(pages[2], ImageOptions()).page.size_pt == SizePt(400, 200)


def test_the_file_is_closed_with_its_pages(tmp_path):
    """When the generator is closed and the pages are gone, no handle is left."""
    path = saved(tmp_path, "three.pdf", pdf(*[line_of_text("x")] * 3))
    pages = open_pages(path)
    page = next(pages)
    assert str(path) in open_files()
    pages.close()
    prepare(page, ImageOptions())  # a page in flight keeps its document
    del page
    gc.collect()
    assert str(path) not in open_files()


def test_a_picture_stays_as_it_is_while_others_are_drawn():
    """Memory is used again only when nobody holds the picture that is in it."""
    pages = list(open_pages(pdf(*(line_of_text(f"page {i}") for i in range(6)))))
    held = [drawing.image for page in pages[:2] if isinstance(drawing := page.draw(ImageOptions()), Drawing)]
    seen = [image.tobytes() for image in held]
    for page in pages[2:]:
        page.draw(ImageOptions())
    gc.collect()
    for page in pages[2:]:
        page.draw(ImageOptions())
    assert [image.tobytes() for image in held] == seen
    assert len(set(seen)) == 2


def test_pages_are_prepared_in_threads():
    """Several threads draw pages of several documents while another opens them."""
    numbers = [f"page {i}" for i in range(12)]
    documents = [pdf(*(line_of_text(text) for text in numbers)) for _ in range(2)]
    alone = [prepare(page, ImageOptions()).digest for page in open_pages(documents[0])]
    barrier = threading.Barrier(2)

    def read(data):
        barrier.wait()
        with ThreadPoolExecutor(3) as pool:
            return [image.digest for image in pool.map(lambda p: prepare(p, ImageOptions()), open_pages(data))]

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(read, documents)) == [alone, alone]


def test_too_many_pages_are_refused_and_a_choice_accepted():
    """A limit on pages counts those that are to be read."""
    data = pdf(*[line_of_text("x")] * 4)
    limits = SourceLimits(max_pages=2)
    with pytest.raises(SourceError, match=r"4 pages are to be read, more than 2.*max_pages"):
        next(open_pages(data, limits=limits))
    assert len(list(open_pages(data, pages="3-4", limits=limits))) == 2


def test_a_picture_inside_that_is_too_large_is_refused():
    """A small page may hold a picture of absurd size; it is not decoded."""
    with pytest.raises(SourceError, match="declares 240000 pixels, more than 40000"):
        first(pdf(scan(JPEG)), limits=SourceLimits(max_pixels=10_000))


def test_the_name_is_the_callers():
    """Bytes may be given a name, for errors and readings."""
    assert str(next(open_pages(pdf(line_of_text("x")), name="letter.pdf"))) == "Page 1 of letter.pdf"


def test_a_marked_page_survives_the_way_through(tmp_path):
    """A picture, put into a PDF and read back, has its mark where it was."""
    path = saved(tmp_path, "päge 一.pdf", pdf(scan(encoded(marked(600, 400), "JPEG", quality=95))))
    image = first(path)
    assert red_box(opened(image.data)) == pytest.approx((0, 0, 20, 10), abs=2)
