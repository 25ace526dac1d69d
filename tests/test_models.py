"""What is known about the service's models."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from langchain_qwen_ocr.errors import OptionError
from langchain_qwen_ocr.geometry import CoordinateFrame, Size
from langchain_qwen_ocr.models import MODELS, REGIONS, find_model, find_region
from langchain_qwen_ocr.usage import image_tokens


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("qwen-vl-ocr-1120", "qwen-vl-ocr-2025-11-20"),
        ("qwen/qwen-vl-ocr-2025-11-20", "qwen-vl-ocr-2025-11-20"),
        ("QWEN-VL-OCR", "qwen-vl-ocr"),
        ("qwen-vl-ocr-0828", "qwen-vl-ocr-2025-08-28"),
    ],
)
def test_a_model_is_found_by_alias_and_behind_a_gateway(asked: str, found: str) -> None:
    """Short names, gateway prefixes and capitals lead to the same profile."""
    assert find_model(asked).name == found


def test_an_unknown_snapshot_is_like_its_line_but_has_no_price() -> None:
    """A later snapshot works the day it appears; its price is not invented."""
    later = find_model("qwen3.5-ocr-2027-01-01")
    assert later.horizontal_angle_deg == 0
    assert later.multi_turn
    assert later.price("beijing") is None


def test_old_models_answer_in_pixels_and_28_px_tokens() -> None:
    """The models before 2025-11-20 count otherwise."""
    old = find_model("qwen-vl-ocr-2025-08-28")
    assert (old.factor, old.frame) == (28, CoordinateFrame.PIXELS)


def test_prices_follow_region_and_day() -> None:
    """The alias became cheaper when it moved to the new snapshot."""
    model = find_model("qwen-vl-ocr")
    before = model.price("beijing", on=dt.date(2025, 11, 1))
    after = model.price("beijing", on=dt.date(2026, 11, 1))
    assert before is not None
    assert after is not None
    assert (before.per_million_input, after.per_million_input) == (Decimal(5), Decimal("0.3"))
    assert model.price("beijing", on=dt.date(2020, 1, 1)) is None


@pytest.mark.parametrize("region", list(REGIONS))
def test_each_region_has_its_default_model(region: str) -> None:
    """The default model of a region is one that the region has."""
    default = find_region(region).default_model
    assert region in find_model(default).regions


def test_latest_exists_in_beijing_only() -> None:
    """Elsewhere the default is a dated snapshot."""
    assert [name for name, r in REGIONS.items() if r.default_model.endswith("-latest")] == ["beijing"]


def test_workspace_addresses() -> None:
    """A workspace has an address of its own where the region offers it."""
    assert find_region("singapore").workspace_url("ws1") == (
        "https://ws1.ap-southeast-1.maas.aliyuncs.com/compatible-mode/v1"
    )
    with pytest.raises(OptionError, match="virginia"):
        find_region("virginia").workspace_url("ws1")


def test_an_unknown_region_names_the_known_ones() -> None:
    """The message says what to choose from."""
    with pytest.raises(OptionError, match="beijing, singapore, virginia"):
        find_region("tokyo")


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_every_model_has_a_sound_budget(model: object) -> None:
    """Budgets are whole tokens and in order."""
    profile = find_model(model.name)  # type: ignore[attr-defined]
    assert profile.budget.max_pixels % profile.factor**2 == 0
    assert profile.max_pixels <= profile.max_pixels_limit


@pytest.mark.parametrize(
    ("size", "old", "new"),
    [
        pytest.param(Size(689, 487), 427, 332, id="ticket"),
        pytest.param(Size(716, 445), 418, 310, id="receipt"),
        pytest.param(Size(1425, 1900), 3470, 2657, id="table"),
        pytest.param(Size(1500, 1734), 3350, 2540, id="scanned page"),
        pytest.param(Size(480, 234), 138, 107, id="handwriting"),
        pytest.param(Size(509, 265), 164, 130, id="web page"),
        pytest.param(Size(3000, 1500), 5780, 4420, id="poster"),
        pytest.param(Size(6000, 3000), 8194, 8194, id="poster above the largest area"),
    ],
)
def test_image_tokens_as_the_service_billed_them(size: Size, old: int, new: int) -> None:
    """The token counts of recorded answers, for both generations."""
    assert image_tokens(size, find_model("qwen-vl-ocr-2025-08-28")) == old
    assert image_tokens(size, find_model("qwen-vl-ocr-latest")) == new
