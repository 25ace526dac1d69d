"""How large pages are, told without decoding them."""

from __future__ import annotations

from pathlib import Path

import pytest

from langchain_qwen_ocr.geometry import PixelBudget, smart_resize
from langchain_qwen_ocr.pages import ImageOptions, open_pages, prepare

PICTURES = Path(__file__).parents[2] / "examples" / "pictures"


@pytest.mark.parametrize(
    "name", ["scan_three_pages.pdf", "two_frames.tiff", "photo_exif6.jpg", "invoice_en.png", "modes/label_1.tiff"]
)
@pytest.mark.parametrize("budget", [PixelBudget(), PixelBudget(32, 3072, 400_000)], ids=["default", "small"])
def test_a_page_is_measured_as_the_model_will_see_it(name: str, budget: PixelBudget) -> None:
    """What the model makes of the measure is what it makes of the picture that is sent."""
    options = ImageOptions(budget=budget)
    for page in open_pages(PICTURES / name):
        measured = smart_resize(page.measure(options), budget)
        assert measured == smart_resize(prepare(page, options).size_px, budget)
