"""Linear formulas, read as characters, in LaTeX; what stands above each other is refused.

A plain OCR engine reads lines. It can give `E = mc²`; it cannot see what a fraction bar or a limit above a sum means,
so a page that shows one is not answered.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import groupby

from langchain_qwen_ocr.errors import UnsupportedTaskError
from langchain_qwen_ocr.geometry import Bounds
from langchain_qwen_ocr.tasks.layout import Layout, LayoutLine, Ruling

_RELATIONS = {
    "=": "=",
    "<": "<",
    ">": ">",
    "≠": r"\neq",
    "≤": r"\leq",
    "≥": r"\geq",
    "⩽": r"\leq",
    "⩾": r"\geq",
    "≪": r"\ll",
    "≫": r"\gg",
    "≈": r"\approx",
    "≅": r"\cong",
    "≡": r"\equiv",
    "∼": r"\sim",
    "∝": r"\propto",
    "∈": r"\in",
    "∉": r"\notin",
    "⊂": r"\subset",
    "⊆": r"\subseteq",
    "⊥": r"\perp",
    "∥": r"\parallel",
    "→": r"\to",
    "⇒": r"\Rightarrow",
    "⇔": r"\Leftrightarrow",
    "↦": r"\mapsto",
}
_OPERATORS = {
    "±": r"\pm",
    "∓": r"\mp",
    "×": r"\times",
    "÷": r"\div",
    "\u22c5": r"\cdot",
    "∏": r"\prod",
    "∫": r"\int",
    "∬": r"\iint",
    "∮": r"\oint",
    "∂": r"\partial",
    "∇": r"\nabla",
    "\u2206": r"\Delta",
    "∞": r"\infty",
    "∪": r"\cup",
    "∩": r"\cap",
    "∅": r"\emptyset",
    "∀": r"\forall",
    "∃": r"\exists",
    "∧": r"\land",
    "∨": r"\lor",
    "¬": r"\neg",
    "∠": r"\angle",
    "△": r"\triangle",
    "∴": r"\therefore",
    "∵": r"\because",
    "⊕": r"\oplus",
    "⊗": r"\otimes",
    "∘": r"\circ",
    "∑": r"\sum",
}
_GREEK = {
    letter: "\\" + name
    for letters, names in (
        (
            "αβγδζηθικλμνξπρστυχψω",
            "alpha beta gamma delta zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon chi psi omega",
        ),
        ("εϵφϕϑςϖ", "varepsilon epsilon varphi phi vartheta varsigma varpi"),
        (
            "ΓΔΘΛΞΠΣΥΦΨΩ\u2126\u00b5",
            "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega Omega mu",
        ),
    )
    for letter, name in zip(letters, names.split(), strict=True)
}
_OTHERS = {
    "\u2212": "-",
    "\u2013": "-",
    "\u2010": "-",
    "\u2217": "*",
    "\u00b7": r"\cdot",
    "\u2022": r"\cdot",
    "…": r"\ldots",
    "⋯": r"\cdots",
    "′": "'",
    "″": "''",
    "ℓ": r"\ell",
    "ℏ": r"\hbar",
    "ℕ": r"\mathbb{N}",
    "ℤ": r"\mathbb{Z}",
    "ℚ": r"\mathbb{Q}",
    "ℝ": r"\mathbb{R}",
    "ℂ": r"\mathbb{C}",
    "°": r"^{\circ}",
    "½": r"\frac{1}{2}",
    "¼": r"\frac{1}{4}",
    "¾": r"\frac{3}{4}",
    "⅓": r"\frac{1}{3}",
    "⅔": r"\frac{2}{3}",
    "\uff08": "(",
    "\uff09": ")",
    "\uff0c": ",",
    "\uff1d": "=",
    "\uff0b": "+",
    "%": r"\%",
    "&": r"\&",
    "#": r"\#",
    "$": r"\$",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "\\": r"\backslash",
    "~": r"\sim",
}
_SIGNS = {**_RELATIONS, **_OPERATORS, **_GREEK, **_OTHERS}
_RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱ", "0123456789+-=()ni", strict=True))
_LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₙᵢⱼₖₘₓ", "0123456789+-=()nijkmx", strict=True))
_ROOTS = {"√": r"\sqrt", "∛": r"\sqrt[3]", "∜": r"\sqrt[4]"}
_FUNCTIONS = frozenset(
    {"sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "log", "ln", "lg"}
    | {"exp", "lim", "max", "min", "sup", "inf", "det", "dim", "ker", "gcd"}
)
_PLAIN_RELATIONS = frozenset(_RELATIONS) | {"\uff1d"}
_MARKS = _PLAIN_RELATIONS | frozenset(_OPERATORS) | frozenset(_RAISED) | frozenset(_LOWERED) | frozenset(_ROOTS)
"""A line with one of them may be a formula; Greek letters, plus, minus and points also stand in other texts."""
_WORD = re.compile(r"[A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f]+|[\u3040-\u30ff\u3400-\u9fff]+")
_FIRST_KANA = 0x3040
"""Letters of Chinese and Japanese stand from here on."""
_LONG_WORD = 3
"""A word from so many letters on; shorter ones are products of variables."""
_TAG = re.compile(r"\s+\((\d+(?:\.\d+)*[a-z]?)\)$")
_REMEDY = (
    "The local engine reads formulas that stand on one line only. Use the service for this picture: "
    "QwenOCR(api_key=...) or --engine service."
)


def find_formulas(layout: Layout) -> tuple[str, ...]:
    """The formulas of a page in LaTeX without delimiters, in reading order; lines of text are left out.

    Raises:
        UnsupportedTaskError: The page shows a fraction bar, or parts of a formula above each other.
    """
    stack = stack_seen(layout)
    if stack:
        raise UnsupportedTaskError(f"{stack} {_REMEDY}")
    texts = (" ".join(line.text for line in row) for row in layout.text_rows())
    return tuple(to_latex(text) for text in texts if is_formula(text))


def is_formula(text: str) -> bool:
    """Whether a line has mathematical signs, and not the words of a sentence around them."""
    if _MARKS.isdisjoint(text) or not any(letter.isalnum() for letter in text):
        return False
    words = sum(len(word) >= _LONG_WORD and word not in _FUNCTIONS for word in _WORD.findall(text))
    return words < (5 if not _PLAIN_RELATIONS.isdisjoint(text) else 3)


def is_plain_equation(text: str) -> bool:
    """Whether a line is an equation in letters and numbers, without a word in it: mathematics in any document."""
    words = _WORD.findall(text)
    return (
        is_formula(text)
        and not _PLAIN_RELATIONS.isdisjoint(text)
        and any(letter.isalpha() for letter in text)
        and all(len(word) < _LONG_WORD or word in _FUNCTIONS for word in words)
        and not any(ord(word[0]) >= _FIRST_KANA for word in words)
    )


def to_latex(text: str) -> str:
    """A linear formula in LaTeX; a number in parentheses after it becomes its tag."""
    tag = _TAG.search(text)
    body = "".join(_spaced(_pieces(text[: tag.start()] if tag else text)))
    return " ".join(body.split()) + (rf" \tag{{{tag[1]}}}" if tag else "")


def _pieces(text: str) -> Iterator[str]:
    """The LaTeX of *text*, piece by piece."""
    at = 0
    while at < len(text):
        letter = text[at]
        for table, mark in ((_RAISED, "^"), (_LOWERED, "_")):
            if letter in table:
                run = "".join(next(run for is_in, run in groupby(text[at:], table.__contains__) if is_in))
                yield f"{mark}{{{''.join(table[sign] for sign in run)}}}"
                at += len(run)
                break
        else:
            word = _WORD.match(text, at)
            if letter in _ROOTS or letter == "^":
                end, inner = _argument(text, at + 1)
                yield f"{_ROOTS.get(letter, '^')}{{{''.join(_spaced(_pieces(inner)))}}}"
                at = end
            elif word:
                yield _word(word[0])
                at = word.end()
            else:
                yield _SIGNS.get(letter, letter)
                at += 1


def _word(word: str) -> str:
    if word in _FUNCTIONS:
        return "\\" + word
    return rf"\text{{{word}}}" if len(word) > _LONG_WORD or ord(word[0]) >= _FIRST_KANA else word


def _argument(text: str, at: int) -> tuple[int, str]:
    """Where the argument that begins at *at* ends, and its text without the parentheses around it."""
    while at < len(text) and text[at].isspace():
        at += 1
    if at < len(text) and text[at] in "(\uff08[":
        depth = 0
        for end in range(at, len(text)):
            depth += (text[end] in "(\uff08[") - (text[end] in ")\uff09]")
            if not depth:
                return end + 1, text[at + 1 : end]
    simple = re.compile(r"-?\d+(?:\.\d+)?|\S?").match(text, at)
    return (simple.end(), simple[0]) if simple else (at, "")


def _spaced(pieces: Iterable[str]) -> Iterator[str]:
    """*pieces* with a space where a command would run into the letter after it."""
    before = ""
    for piece in pieces:
        if re.search(r"\\[A-Za-z]+$", before) and piece[:1].isalpha():
            yield " "
        yield piece
        before = piece


# --- What is above each other


def stack_seen(layout: Layout) -> str | None:
    """What on a page looks like a formula on more than one line, as a sentence; None when nothing does."""
    lines = _ByHeight(layout.lines)
    for ruling in layout.rulings:
        stack = _over_and_under(ruling, lines.near(ruling.start.y)) if ruling.is_horizontal else None
        if stack:
            return f'A fraction bar was seen, with "{stack[0].text}" above and "{stack[1].text}" below it.'
    for line in filter(lambda line: is_formula(line.text), layout.lines):
        near = lines.near(line.quad.center.y)
        for above, below in _beside_stack(line, near):
            return (
                f'"{above.text}" and "{below.text}" stand above each other beside "{line.text}", like the parts of '
                "a fraction."
            )
        for other in near:
            if _is_limit(line.quad.bounds, other.quad.bounds):
                return f'"{other.text}" stands small above or below "{line.text}", like the limit of a sum.'
    return None


class _ByHeight:
    """Lines by where they stand on the page, so that those near a place are found without looking at all."""

    def __init__(self, lines: Iterable[LayoutLine]) -> None:
        self._lines = sorted((line for line in lines if line.text.strip()), key=lambda line: line.quad.center.y)
        self._middles = [line.quad.center.y for line in self._lines]
        self._reach = 1.5 * max(
            (bounds[3] - bounds[1] for bounds in (line.quad.bounds for line in self._lines)), default=0
        )

    def near(self, y: float) -> list[LayoutLine]:
        """The lines whose middle is within the reach of the largest of them from *y*."""
        first, last = bisect_left(self._middles, y - self._reach), bisect_right(self._middles, y + self._reach)
        return self._lines[first:last]


def _over_and_under(ruling: Ruling, lines: Iterable[LayoutLine]) -> tuple[LayoutLine, LayoutLine] | None:
    """The lines that a ruling of about their width stands between."""
    left, right = sorted((ruling.start.x, ruling.end.x))
    y = (ruling.start.y + ruling.end.y) / 2
    above, below = [], []
    for line in lines:
        x1, y1, x2, y2 = line.quad.bounds
        height = y2 - y1
        if not left - height <= (x1 + x2) / 2 <= right + height or x2 - x1 > right - left + 1.5 * height:
            continue
        if abs(y2 - y) <= 0.5 * height:
            above.append(line)
        elif abs(y1 - y) <= 0.5 * height:
            below.append(line)
    if not above or not below:
        return None
    widest = max(line.quad.width for line in (*above, *below))
    return (above[0], below[0]) if right - left <= widest + 1.5 * above[0].quad.height else None


def _beside_stack(line: LayoutLine, lines: Iterable[LayoutLine]) -> Iterator[tuple[LayoutLine, LayoutLine]]:
    """Two lines above each other that begin or end close beside a formula, one higher and one lower than it."""
    _, top, _, bottom = line.quad.bounds
    middle, height = (top + bottom) / 2, bottom - top
    higher: list[LayoutLine] = []
    lower: list[LayoutLine] = []
    for other in lines:
        distance = other.quad.center.y - middle
        if other is not line and _gap(line, other) > -0.3 * height and 0.3 * height < abs(distance) < 1.2 * height:
            (lower if distance > 0 else higher).append(other)
    for above in higher:
        for below in lower:
            common = min(above.quad.bounds[2], below.quad.bounds[2]) - max(above.quad.bounds[0], below.quad.bounds[0])
            if common > 0 and min(_gap(line, above), _gap(line, below)) < 2.5 * height:
                yield above, below


def _gap(line: LayoutLine, other: LayoutLine) -> float:
    """How far two lines are apart along x; negative when they overlap."""
    return max(other.quad.bounds[0] - line.quad.bounds[2], line.quad.bounds[0] - other.quad.bounds[2])


def _is_limit(line: Bounds, other: Bounds) -> bool:
    """Whether *other* is small, close above or below *line*, and within its width."""
    height, other_height = line[3] - line[1], other[3] - other[1]
    gap = max(other[1] - line[3], line[1] - other[3])
    within = line[0] - height <= other[0] and other[2] <= line[2] + height
    return other_height < 0.65 * height and -0.5 * other_height < gap < 0.4 * height and within
