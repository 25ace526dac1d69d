"""Sizes, quads and the way between frames."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from langchain_qwen_ocr import Quad
from langchain_qwen_ocr.errors import OptionError, SourceError
from langchain_qwen_ocr.geometry import (
    Affine,
    CoordinateFrame,
    PageMap,
    PixelBudget,
    Point,
    Size,
    rectangle_corners,
    smart_resize,
)

sides = st.integers(min_value=1, max_value=12_000)
coordinates = st.floats(min_value=-5_000, max_value=5_000)
affines = st.builds(Affine, *([st.floats(min_value=-50, max_value=50)] * 6))


@pytest.mark.parametrize(
    ("size", "factor", "seen"),
    [
        pytest.param(Size(1425, 1900), 32, Size(1440, 1888), id="a table page, new models"),
        pytest.param(Size(689, 487), 28, Size(700, 476), id="a ticket, old models"),
        pytest.param(Size(11, 11), 32, Size(64, 64), id="tiny pictures grow to the least area"),
        pytest.param(Size(1600, 9), 32, Size(1600, 32), id="a thin strip keeps one factor"),
    ],
)
def test_smart_resize(size: Size, factor: int, seen: Size) -> None:
    """The size a model sees, written out."""
    budget = PixelBudget(factor, 3 * factor**2, 8192 * factor**2)
    assert smart_resize(size, budget) == seen


@given(sides, sides, st.sampled_from([28, 32]), st.integers(4, 9_000), st.integers(4, 9_000))
def test_smart_resize_properties(width: int, height: int, factor: int, low: int, high: int) -> None:
    """Multiples of the factor within the budget, as far as one factor a side allows."""
    assume(max(width, height) <= 200 * min(width, height))
    budget = PixelBudget(factor, min(low, high) * factor**2, max(low, high) * factor**2)
    seen = smart_resize(Size(width, height), budget)
    assert seen.width_px % factor == seen.height_px % factor == 0
    assert min(seen) >= factor
    assert seen.area_px2 <= budget.max_pixels or min(seen) == factor or budget.min_pixels * 2 > budget.max_pixels


@pytest.mark.parametrize("size", [Size(2001, 10), Size(10, 2001), Size(0, 5), Size(-3, 5)])
def test_impossible_sizes_are_refused(size: Size) -> None:
    """Strips beyond 200:1 and empty pictures are the source's fault."""
    with pytest.raises(SourceError, match="200"):
        smart_resize(size, PixelBudget())


@pytest.mark.parametrize(("low", "high"), [(0, 10_000), (20_000, 10_000), (5, 100)])
def test_impossible_budgets_are_refused(low: int, high: int) -> None:
    """A budget that no size can meet is the caller's fault."""
    with pytest.raises(OptionError):
        PixelBudget(32, low, high)


@given(affines, coordinates, coordinates)
def test_an_affine_undoes_itself(affine: Affine, x: float, y: float) -> None:
    """There and back again is the same place."""
    determinant = affine.a * affine.e - affine.b * affine.d
    assume(abs(determinant) > 0.1)
    back = affine.inverse()(*affine(x, y))
    assert back == pytest.approx((x, y), abs=1e-3)


def test_a_flattening_map_has_no_way_back() -> None:
    """A map onto a line says so."""
    with pytest.raises(OptionError, match="inverse"):
        Affine(a=0, b=0).inverse()


def test_maps_compose_from_right_to_left() -> None:
    """`a @ b` applies b first, as functions do."""
    moved_then_doubled = Affine.scaling(2, 2) @ Affine.translation(1, 0)
    assert moved_then_doubled(1, 1) == Point(4, 2)


def test_a_quarter_turn_is_exact() -> None:
    """A quarter turn leaves no rounding behind."""
    assert Affine.rotation(90)(3, 0) == Point(0, 3)
    assert Affine.rotation(90, about=Point(1, 1))(1, 0) == Point(2, 1)


def test_corners_of_a_rotated_rectangle() -> None:
    """Angle 90 with the line's height as width is upright horizontal text."""
    assert rectangle_corners(50, 20, 10, 60, 90) == (Point(20, 15), Point(80, 15), Point(80, 25), Point(20, 25))


def test_a_quad_knows_its_size_and_direction() -> None:
    """Width, height and angle follow the text's own top edge."""
    quad = Quad(((10, 0), (10, 30), (0, 30), (0, 0)))  # type: ignore[arg-type]
    assert (quad.width, quad.height, quad.angle_deg) == (30, 10, 90)
    assert quad.bounds == (0, 0, 10, 30)


def test_a_quad_is_clipped_rounded_and_normalized() -> None:
    """Clipping moves corners onto the page; fractions are of its sides."""
    quad = Quad.of(-30, 10.4, 50, 20.6)
    assert quad.clipped(Size(100, 100)) == Quad.of(0, 10.4, 50, 20.6)
    assert quad.rounded() == Quad.of(-30, 10, 50, 21)
    assert Quad.of(10, 20, 50, 40).normalized(Size(100, 200)) == Quad.of(0.1, 0.1, 0.5, 0.2)


@pytest.mark.parametrize("numbers", [(1, 2, 3), tuple(range(9))])
def test_a_quad_has_eight_numbers(numbers: tuple[float, ...]) -> None:
    """Anything else is refused."""
    with pytest.raises(OptionError):
        Quad.from_numbers(numbers)


def test_thousandths_scale_each_axis() -> None:
    """0…1000 is the whole width and the whole height of the picture sent, whatever its shape."""
    way = PageMap(
        frame=CoordinateFrame.THOUSANDTHS, sent=Size(600, 300), page=Size(1200, 600), to_page=Affine.scaling(2, 2)
    )
    assert way.affine()(500, 500) == Point(600, 300)
    assert way.affine(CoordinateFrame.PIXELS)(500, 250) == Point(1000, 500)
