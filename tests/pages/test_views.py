"""Parts of pages and turned pages give places on the original page."""

from __future__ import annotations

import random

import pytest
from PIL import Image, ImageDraw, ImageFont

from langchain_qwen_ocr.errors import OptionError
from langchain_qwen_ocr.geometry import MAX_ASPECT_RATIO, PixelBudget, Quad, Size
from langchain_qwen_ocr.pages import ImageOptions, UprightPage, open_pages, prepare, split_page
from langchain_qwen_ocr.pages.views import find_turn_deg
from tests.pages.documents import RED, block, encoded, noisy, opened, pdf, red_box

PNG = ImageOptions(image_format="png")


def mark(width: int, height: int, box: tuple[int, int, int, int]) -> Image.Image:
    """White paper with a red block."""
    image = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(image).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=RED)
    return image


def text_page(width: int = 900, height: int = 1200) -> Image.Image:
    """A page of ragged lines of words."""
    rng = random.Random(7)
    image = Image.new("L", (width, height), 250)
    font = ImageFont.load_default(24)
    for y in range(80, height - 80, 40):
        words = ("".join(rng.choices("abcdefghilmnoprstu", k=rng.randint(2, 9))) for _ in range(rng.randint(6, 9)))
        ImageDraw.Draw(image).text((80, y), " ".join(words), fill=10, font=font)
    return image


def test_parts_cover_the_page_from_top_to_bottom():
    """Three parts are a third of the page each, and a little over the edge."""
    (page,) = open_pages(noisy(300, 900))
    images = [prepare(part, PNG) for part in split_page(page, 3, overlap=0.1)]
    tops = [image.to_page(0, 0).y for image in images]
    bottoms = [image.to_page(*image.size_px).y for image in images]
    assert tops == pytest.approx([0, 285, 585], abs=1)
    assert bottoms == pytest.approx([315, 615, 900], abs=1)
    assert {image.page.size_px for image in images} == {Size(300, 900)}


def test_places_in_a_part_are_places_on_the_page():
    """A block in the second half comes back where it is on the whole, also when the part was shrunk."""
    (page,) = open_pages(encoded(mark(400, 800, (100, 600, 200, 650)), "PNG"))
    part = split_page(page, 2)[1]
    options = ImageOptions(image_format="png", budget=PixelBudget(max_pixels=80_000))
    image = prepare(part, options)
    assert image.size_px.area_px2 <= 80_000
    assert Quad.of(*red_box(opened(image.data))).mapped(image.to_page).bounds == pytest.approx(
        (100, 600, 200, 650), abs=3
    )


def test_a_pdf_page_in_parts_is_drawn_finer():
    """A poster whose text is too small at the budget is seen with more pixels in its parts."""
    options = ImageOptions(budget=PixelBudget(max_pixels=200_000))
    page = next(open_pages(pdf(lambda document, page: block(page, (30, 140), (60, 40)))))
    whole = prepare(page, options)
    parts = [prepare(part, options) for part in split_page(page, 4)]
    assert parts[0].page.size_px.area_px2 > 2 * whole.page.size_px.area_px2
    assert all(part.size_px.area_px2 <= 200_000 for part in parts)


@pytest.mark.parametrize("image_format", ["PNG", "TIFF"])
@pytest.mark.parametrize(("width", "height"), [(20, 5000), (5000, 20)])
def test_a_strip_that_cannot_be_sent_can_in_parts(width, height, image_format):
    """A picture of ratio 250 is cut along its length, as often as it takes."""
    (page,) = open_pages(encoded(noisy(width, height), image_format))
    parts = split_page(page)
    images = [prepare(part, ImageOptions()) for part in parts]
    assert len(parts) == 25
    assert all(max(image.size_px) <= MAX_ASPECT_RATIO * min(image.size_px) for image in images)
    assert images[-1].to_page(*images[-1].size_px) == (width, height)


def test_an_ordinary_page_is_not_cut():
    """A page within the budget is its own only part."""
    (page,) = open_pages(noisy(300, 400))
    assert split_page(page) == (page,)


@pytest.mark.parametrize(("count", "overlap"), [(0, 0.0), (2, 0.6), (2, -0.1)])
def test_parts_that_cannot_be(count, overlap):
    """No parts, and overlaps beyond half, are refused."""
    (page,) = open_pages(noisy(30, 40))
    with pytest.raises(OptionError):
        split_page(page, count, overlap=overlap)


@pytest.mark.parametrize("angle_deg", [0, 2, -3, -4.5, 90, 92])
def test_the_turn_of_a_page_is_found(angle_deg):
    """Lines that lie askew or across are measured to half a degree."""
    image = text_page().rotate(-angle_deg, Image.Resampling.BICUBIC, expand=True, fillcolor=250)
    assert find_turn_deg(image) == pytest.approx(angle_deg, abs=0.51)


@pytest.mark.parametrize("angle_deg", [0, 90])
def test_the_edges_of_the_paper_are_not_lines(angle_deg):
    """A page photographed on a dark desk is judged by its text, not by its outline."""
    desk = Image.new("L", (1300, 1500), 60)
    desk.paste(text_page(), (200, 150))
    assert find_turn_deg(desk.rotate(-angle_deg, expand=True)) == angle_deg


@pytest.mark.parametrize(
    "image",
    [
        Image.new("L", (300, 200), 255),
        Image.new("L", (900, 1200), 244).rotate(2, expand=True, fillcolor=255),
        Image.new("L", (900, 1200), 244).rotate(2, expand=True, fillcolor=40),
        noisy(300, 200),
    ],
    ids=["blank", "askew-paper", "askew-paper-on-a-desk", "noise"],
)
def test_a_page_without_lines_is_left_alone(image):
    """Where there are no lines there is nothing to turn."""
    assert find_turn_deg(image) == 0


def test_an_upright_page_is_not_touched():
    """A file that need not be turned is still passed through."""
    data = encoded(text_page(), "PNG")
    assert prepare(UprightPage(next(open_pages(data))), ImageOptions()).data == data


@pytest.mark.parametrize("angle_deg", [90, 3])
def test_places_on_a_turned_page_are_places_on_the_original(angle_deg):
    """The page is sent upright, and a mark on it comes back where it is on the file's page."""
    image = text_page().convert("RGB")
    ImageDraw.Draw(image).rectangle((500, 20, 580, 50), fill=RED)
    lying = image.rotate(-angle_deg, Image.Resampling.BICUBIC, expand=True, fillcolor=(250, 250, 250))
    sent = prepare(UprightPage(next(open_pages(encoded(lying, "PNG")))), PNG)
    upright = opened(sent.data)
    left, top, right, bottom = red_box(upright)
    assert right - left == pytest.approx(81, abs=4)
    assert bottom - top == pytest.approx(31, abs=4)
    middle = Quad.of(left, top, right, bottom).mapped(sent.to_page).center
    box = red_box(lying)
    assert middle == pytest.approx(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), abs=3)
    assert sent.page.size_px == Size(*lying.size)


def test_which_way_a_page_lies_may_be_said():
    """Rows and columns do not tell clockwise from counter-clockwise; the caller may."""
    lying = text_page().rotate(90, expand=True)
    sent = prepare(UprightPage(next(open_pages(encoded(lying, "PNG"))), lies_clockwise=False), PNG)
    assert opened(sent.data).convert("L").tobytes() == text_page().tobytes()
