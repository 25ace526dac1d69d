"""A place on the page, seen by the model, and back on the page."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from langchain_qwen_ocr import AdvancedRecognition, Quad
from langchain_qwen_ocr.exchange import Completion, build_request, interpret
from langchain_qwen_ocr.geometry import PixelBudget
from langchain_qwen_ocr.pages import ImageOptions, Page, UprightPage, open_pages, prepare, split_page
from langchain_qwen_ocr.tasks.places import Lines, line_in_picture

sides = st.integers(40, 1500)
fractions = st.floats(0.02, 0.9)


def photo(width: int, height: int, orientation: int) -> Page:
    """A picture stored with an EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    Image.new("L", (width, height), 200).save(stream, "JPEG", exif=exif)
    return next(open_pages(stream.getvalue()))


def there_and_back(page: Page, box: tuple[float, float, float, float], budget: PixelBudget) -> tuple[Quad, Quad, float]:
    """A box on the page, the same box after the model saw it, and how far a step of the model's grid is there."""
    image = prepare(page, ImageOptions(budget=budget))
    size = image.page.size_px
    quad = Quad.of(box[0] * size.width_px, box[1] * size.height_px, box[2] * size.width_px, box[3] * size.height_px)
    seen = quad.mapped(image.to_page.inverse())
    answer = AdvancedRecognition().write(Lines((line_in_picture("Tenant", seen, image.size_px),)))
    request = build_request(AdvancedRecognition(), [image], model="qwen-vl-ocr-latest", budget=budget)
    (region,) = interpret(Completion(answer=answer, finish_reason="stop"), request).regions
    # Centre and length are whole thousandths each, and the server's corners are truncated: up to two steps.
    return quad, region.quad, 2.1 * max(size) / 1000


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("part", [0, 1])
def test_a_place_in_a_part_is_a_place_on_the_page(count: int, part: int) -> None:
    """A box of the page comes back from the part that shows it."""
    page = split_page(photo(600, 900, 1), count)[part]
    box = (0.2, part / count + 0.05, 0.5, part / count + 0.1)
    was, now, step = there_and_back(page, box, PixelBudget())
    assert now.bounds == pytest.approx(was.bounds, abs=step)


def test_an_upright_page_is_left_as_it_is() -> None:
    """Without lines of text to tell by, nothing is turned."""
    was, now, step = there_and_back(UprightPage(photo(600, 900, 6)), (0.2, 0.3, 0.5, 0.4), PixelBudget())
    assert now.bounds == pytest.approx(was.bounds, abs=step)


@settings(max_examples=40)
@given(sides, sides, st.integers(1, 8), st.tuples(fractions, fractions), st.integers(20_000, 2_000_000))
def test_a_place_survives_turning_and_resizing(
    width: int, height: int, orientation: int, corner: tuple[float, float], max_pixels: int
) -> None:
    """Whatever the size, the EXIF orientation and the budget, a box comes back within a step of the model's grid."""
    left, top = corner
    budget = PixelBudget(32, 3072, max_pixels)
    was, now, step = there_and_back(photo(width, height, orientation), (left, top, left + 0.1, top + 0.1), budget)
    for before, after in zip(was.bounds, now.bounds, strict=True):
        assert abs(before - after) <= step
