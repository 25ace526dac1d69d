"""The engine reads the example pictures, however they lie, and says what it did not read."""

from __future__ import annotations

import io
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pypdfium2
import pytest
from PIL import Image, ImageDraw, ImageFont
from pytest_socket import SocketBlockedError

from langchain_qwen_ocr.errors import SourceError
from langchain_qwen_ocr.geometry import Quad
from langchain_qwen_ocr.local.vision import Vision, shared_vision
from langchain_qwen_ocr.tasks.layout import Layout
from tests.local.conftest import error_rate, page_of, picture, png, truth, turned

pytestmark = pytest.mark.local

# Measured with rapidocr 3.10 and its shipped models: no error on any of these; the margin is for other builds of
# onnxruntime and OpenCV, whose last digits differ.
CLEAN, PHOTO = 0.005, 0.015
EXAMPLES = {
    "receipt_zh.jpg": PHOTO,
    "invoice_en.png": CLEAN,
    "table_merged.png": CLEAN,
    "table_borderless.png": CLEAN,
    "article_two_columns.png": CLEAN,
    "letter_turned_90.png": CLEAN,
    "photo_exif6.jpg": PHOTO,
    "formulas.png": 0.05,
    "modes/label_1.png": CLEAN,
    "modes/label_1.tiff": CLEAN,
    "modes/label_cmyk.jpg": CLEAN,
    "modes/label_i16.png": CLEAN,
    "modes/label_l.png": CLEAN,
    "modes/label_la.png": CLEAN,
    "modes/label_p.png": CLEAN,
    "modes/label_rgba.png": CLEAN,
}


@pytest.mark.parametrize(("name", "most"), EXAMPLES.items(), ids=EXAMPLES)
def test_reads_the_example(see, name, most):
    """Every example in a script it knows is read in reading order, within the error rate measured for it."""
    layout = see(picture(name))
    assert error_rate(truth(name), layout.text()) <= most
    assert layout.warnings == ()


def test_reads_a_scan(see):
    """The pages of an office scanner, slightly askew and with grain, are read."""
    document = pypdfium2.PdfDocument(picture("scan_three_pages.pdf"))
    page = document[1]
    scan = png(page.render(scale=150 / 72).to_pil())
    page.close()
    document.close()
    assert error_rate(truth("scan_three_pages.pdf").split("\f")[1], see(scan).text()) <= CLEAN


@pytest.mark.parametrize("clockwise_deg", [0, 7, 90, 180, 270])
def test_finds_how_the_page_lies(see, clockwise_deg):
    """A page is read however it lies, and its own x axis is known to about a degree."""
    # The stored letter lies on its side by -90.4 degrees.
    layout = see(turned("letter_turned_90.png", 90.4 + clockwise_deg, width_px=1300))
    assert error_rate(truth("letter_turned_90.png"), layout.text()) <= CLEAN
    off = (layout.upright_angle_deg - clockwise_deg + 180) % 360 - 180
    assert abs(off) <= 1.2


@pytest.mark.parametrize("clockwise_deg", [90, 180], ids=["sideways", "upside down"])
def test_reads_a_turned_table(see, clockwise_deg):
    """Cells with a single digit are read on a turned page too, and its rulings are found."""
    layout = see(turned("table_merged.png", clockwise_deg))
    assert error_rate(truth("table_merged.png"), layout.text()) <= CLEAN
    upright = see(picture("table_merged.png"))
    assert _directions(layout) == _directions(upright)


def test_deskews_rulings(see):
    """On a table that was scanned askew, rulings come out along x and y."""
    layout = see(turned("table_merged.png", 1.5))
    assert len(layout.rulings) == len(see(picture("table_merged.png")).rulings)
    for ruling in layout.rulings:
        drift = min(abs(ruling.end.x - ruling.start.x), abs(ruling.end.y - ruling.start.y))
        length = max(abs(ruling.end.x - ruling.start.x), abs(ruling.end.y - ruling.start.y))
        assert drift / length < 0.01


def _directions(layout: Layout) -> tuple[int, int]:
    horizontal = sum(ruling.is_horizontal for ruling in layout.rulings)
    return horizontal, len(layout.rulings) - horizontal


def test_strokes_of_letters_are_no_rulings(see):
    """A page of running text, however large its heading, has no rulings."""
    assert see(picture("letter_turned_90.png")).rulings == ()


def test_the_bar_of_a_fraction_is_a_ruling(see):
    """What makes a fraction a fraction is seen."""
    (bar,) = see(picture("formula_fraction.png")).rulings
    assert bar.is_horizontal
    assert bar.end.x - bar.start.x == pytest.approx(560, abs=12)


def test_boxes_lie_on_the_text(see):
    """Each line's box covers the ink of that line and little more."""
    image = Image.new("L", (1000, 500), 255)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(36)
    lines = {"Ferry times, high season": (60, 60), "First crossing 7:15": (60, 180), "No dogs": (640, 360)}
    drawn = {}
    for text, at in lines.items():
        draw.text(at, text, fill=10, font=font)
        drawn[text] = draw.textbbox(at, text, font=font)
    layout = see(png(image))
    found = {line.text: line.quad.mapped(layout.to_picture) for line in layout.lines}
    assert found.keys() == drawn.keys()
    for text, box in drawn.items():
        assert _overlap(found[text], box) > 0.6, text


def test_boxes_of_a_turned_page_start_at_the_texts_own_corner(see):
    """On a page turned clockwise by 90 degrees, a line's first corner is where its first letter's top is."""
    image = Image.new("L", (900, 300), 255)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(40)
    draw.text((100, 100), "Wharf closed until Easter", fill=0, font=font)
    left, top, right, bottom = draw.textbbox((100, 100), "Wharf closed until Easter", font=font)
    layout = see(png(image.transpose(Image.Transpose.ROTATE_270)))
    (line,) = layout.lines
    quad = line.quad.mapped(layout.to_picture)
    # Clockwise by 90 degrees, (x, y) goes to (height - y, x).
    assert quad.points[0] == pytest.approx((300 - top, left), abs=14)
    assert quad.points[2] == pytest.approx((300 - bottom, right), abs=14)
    assert quad.angle_deg == pytest.approx(90, abs=1)


def _overlap(quad: Quad, box: tuple[float, float, float, float]) -> float:
    """Intersection over union."""
    left, top, right, bottom = quad.bounds
    width = min(right, box[2]) - max(left, box[0])
    height = min(bottom, box[3]) - max(top, box[1])
    common = max(width, 0) * max(height, 0)
    return common / ((right - left) * (bottom - top) + (box[2] - box[0]) * (box[3] - box[1]) - common)


def test_a_label_and_its_value_are_two_lines(see):
    """What stands far apart on one line of paper is two lines, whatever the detector makes of it."""
    image = Image.new("L", (900, 200), 255)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(36)
    draw.text((60, 80), "Deposit", fill=0, font=font)
    draw.text((300, 80), "120.00", fill=0, font=font)
    assert sorted(line.text for line in see(png(image)).lines) == ["120.00", "Deposit"]


def test_says_when_it_has_no_model_for_the_script(see):
    """Of a notice in Cyrillic letters nothing is made up, and the warning names what can be read."""
    layout = see(picture("russian.png"))
    assert layout.lines == ()
    (warning,) = layout.warnings
    assert "5 of 5 lines" in warning
    assert "Chinese, Japanese, English" in warning


def test_keeps_the_lines_it_can_read_beside_others(see):
    """A page in two scripts gives the lines of one, and a warning about the others."""
    russian = Image.open(io.BytesIO(picture("russian.png"))).convert("L")
    english = Image.open(io.BytesIO(page_of(["The pool is closed today."], size_px=(1000, 160)))).convert("L")
    both = Image.new("L", (1000, russian.height + english.height), 255)
    both.paste(russian, (0, 0))
    both.paste(english, (0, russian.height))
    layout = see(png(both))
    assert [line.text for line in layout.lines] == ["The pool is closed today."]
    assert "5 of 6 lines" in layout.warnings[0]


def test_a_blank_page_is_blank(see):
    """The empty back of a sheet has no lines, and nothing to warn about."""
    layout = see(picture("blank.png"))
    assert (layout.lines, layout.warnings) == ((), ())


@pytest.mark.parametrize("size_px", [(11, 11), (1600, 40), (40, 1600)], ids=["tiny", "flat strip", "tall strip"])
def test_odd_sizes_are_looked_at(see, size_px):
    """A picture of the least size, and strips, are blank pages like others."""
    layout = see(png(Image.new("L", size_px, 255)))
    assert layout.lines == ()
    assert layout.size == size_px


def test_reads_a_single_line_cut_out(see):
    """A strip that holds one line only is read."""
    strip = Image.open(io.BytesIO(page_of(["Return to the lending desk"]))).crop((40, 40, 640, 100))
    assert [line.text for line in see(png(strip)).lines] == ["Return to the lending desk"]


def test_threads_see_the_same(see):
    """Two threads that read at once read what one reads alone."""
    pages = [picture("modes/label_l.png"), page_of(["Boats for hire", "Two hours: 14.50"])]
    alone = [see(page) for page in pages]
    start = threading.Barrier(4)

    def read(page: bytes) -> Layout:
        start.wait()
        return shared_vision().read(page)

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(read, pages * 2))
    assert together == alone * 2


def test_loads_and_reads_silently_without_any_socket(socket_disabled, capfd, caplog):
    """The models come with the wheel: a fresh engine needs no network, and neither logs, warns nor prints."""
    with pytest.warns(UserWarning, match="socket"), pytest.raises(SocketBlockedError):
        socket.create_connection(("127.0.0.1", 9))
    layout = Vision().read(picture("modes/label_l.png"))
    assert "HANDLE WITH CARE" in layout.text()
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_one_engine_in_a_process():
    """Whoever asks gets the same engine: it takes a gigabyte."""
    assert shared_vision() is shared_vision()


def test_a_broken_picture_is_said_to_be_broken(see):
    """A JPEG that ends in the middle is an error, not half a page."""
    with pytest.raises(SourceError, match="cannot be opened"):
        see(picture("receipt_zh.jpg")[:50_000])
