"""Linear formulas in LaTeX, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_qwen_ocr.errors import UnsupportedTaskError
from langchain_qwen_ocr.geometry import Point, Quad, Size
from langchain_qwen_ocr.tasks.layout import Layout, LayoutLine, Ruling
from langchain_qwen_ocr.tasks.layout_formulas import find_formulas

PAGE = Size(1000, 1400)


def line(text: str, left: float, top: float, right: float, bottom: float) -> LayoutLine:
    return LayoutLine(text, Quad.of(left, top, right, bottom))


def page(*lines: LayoutLine, rulings: tuple[Ruling, ...] = ()) -> Layout:
    return Layout(PAGE, PAGE, lines, rulings)


def written(*texts: str) -> Layout:
    """Lines of text, one below the other."""
    return page(*(line(text, 50, 120 * n, 50 + 30 * len(text), 120 * n + 60) for n, text in enumerate(texts)))


LINEAR = {
    "E = mc²": r"E = mc^{2}",
    "a² + b² = c²": r"a^{2} + b^{2} = c^{2}",
    "A = πr²": r"A = \pi r^{2}",
    "∑ k = n(n + 1)/2": r"\sum k = n(n + 1)/2",
    "α + β = γ": r"\alpha + \beta = \gamma",
    "x ≥ 2 ± √(b² \u2212 4ac)": r"x \geq 2 \pm \sqrt{b^{2} - 4ac}",
    "√2 · √x ≠ ∛(a(b + c))": r"\sqrt{2} \cdot \sqrt{x} \neq \sqrt[3]{a(b + c)}",
    "√(√(x)) = y": r"\sqrt{\sqrt{x}} = y",
    "x₁₂ ≤ 10⁻³": r"x_{12} \leq 10^{-3}",
    "x^2 = y^(n+1)": r"x^{2} = y^{n+1}",
    "∫ sin x dx = \u2212cos x": r"\int \sin x dx = -\cos x",
    "∀ε > 0 ∃δ": r"\forall\varepsilon > 0 \exists\delta",
    "2πr × 5 ÷ 3": r"2\pi r \times 5 \div 3",
    "A ∪ B ⊆ ℝ": r"A \cup B \subseteq \mathbb{R}",
    "∞ ≈ ½": r"\infty \approx \frac{1}{2}",
    "p = 5 % & {q}": r"p = 5 \% \& \{q\}",
    "speed = way / time": r"\text{speed} = way / \text{time}",
    "面积 = 长 × 宽": r"\text{面积} = \text{长} \times \text{宽}",
    "E = mc² (1.2)": r"E = mc^{2} \tag{1.2}",
    "√( = 3": r"\sqrt{(} = 3",
}


@pytest.mark.parametrize(("text", "latex"), LINEAR.items(), ids=LINEAR)
def test_a_linear_formula_in_latex(text, latex):
    """What stands on one line is written in LaTeX, sign by sign."""
    assert find_formulas(written(text)) == (latex,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "======",
        "The lift is out of service",
        "2026-03-18 18:42",
        "a/b and c + d",
        "The flat has 12 m² of room",
        "If the price is = 5 then nobody will buy any of it",
        "5 µm wide, 20 °C",
    ],
)
def test_text_is_no_formula(text):
    """A line without mathematical signs, or with the words of a sentence, is left out."""
    assert find_formulas(written(text)) == ()


def test_formulas_come_in_reading_order_without_the_text_between():
    """Of a page of both, the formulas are given from top to bottom."""
    assert find_formulas(written("By the theorem of old", "a² + b² = c²", "we find that", "c = 5")) == (
        "a^{2} + b^{2} = c^{2}",
        "c = 5",
    )


BAR = Ruling(Point(260, 160), Point(780, 160))
FRACTION = (line("x =", 84, 132, 190, 186), line("\u2212b ± √2", 266, 60, 773, 148), line("2a", 479, 173, 562, 237))
SUM = (line("∑ k = 3", 100, 200, 400, 280), line("n", 110, 165, 140, 198))


@pytest.mark.parametrize(
    ("layout", "seen"),
    [
        (page(*FRACTION, rulings=(BAR,)), 'fraction bar was seen, with "\u2212b ± √2" above and "2a" below'),
        (page(*FRACTION), 'stand above each other beside "x ='),
        (page(*SUM), '"n" stands small above or below "∑ k = 3"'),
    ],
    ids=["fraction bar", "stacked boxes", "limit of a sum"],
)
def test_what_is_stacked_is_refused(layout, seen):
    """Two-dimensional formulas are an error that says what was seen and what to do, never a guess."""
    with pytest.raises(UnsupportedTaskError, match=r"Use the service") as caught:
        find_formulas(layout)
    assert seen in str(caught.value)


def test_a_ruling_across_the_page_is_no_fraction_bar():
    """A separator is far wider than what it separates."""
    rule = Ruling(Point(0, 90), Point(990, 90))
    lines = (line("a = 1", 50, 20, 200, 80), line("b = 2", 50, 100, 200, 160))
    assert find_formulas(page(*lines, rulings=(rule,))) == ("a = 1", "b = 2")


def test_an_underlined_heading_is_no_fraction():
    """Running text below an underline is wider than the line."""
    rule = Ruling(Point(50, 84), Point(260, 84))
    lines = (line("Theorem", 50, 20, 260, 80), line("For all sides it holds that", 50, 92, 900, 152))
    assert find_formulas(page(*lines, rulings=(rule,))) == ()


@given(text=st.text(alphabet="ab1²₂√()^πsin =≤\u2212{}%\\", max_size=30))
def test_braces_are_always_closed(text):
    """Whatever was read, the LaTeX groups it opens are closed."""
    for latex in find_formulas(written(text)):
        bare = latex.replace(r"\{", "").replace(r"\}", "")
        assert bare.count("{") == bare.count("}")
