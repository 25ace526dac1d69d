"""Formulas: the service's `formula_recognition`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from langchain_qwen_ocr.errors import AnswerError
from langchain_qwen_ocr.tasks.document import Formula, formula_latex, formula_markdown
from langchain_qwen_ocr.tasks.fences import fence
from langchain_qwen_ocr.tasks.latex import DELIMITING_ENVIRONMENTS, MATH_ENVIRONMENTS
from langchain_qwen_ocr.tasks.layout import Layout
from langchain_qwen_ocr.tasks.markdown import without_fences
from langchain_qwen_ocr.tasks.phrases import says_nothing_to_read
from langchain_qwen_ocr.tasks.results import Result, join_pieces
from langchain_qwen_ocr.tasks.task import Task

PROMPT = (
    "Extract and output the LaTeX representation of the formula from the image, "
    "without any additional text or descriptions."
)

_MARKS = re.compile(
    r"""\\\\|\\\$|(?P<dollars>\$\$?)|\\(?P<bracket>[\[\]()])|\\(?P<edge>begin|end)\s*\{(?P<name>[A-Za-z]+\*?)\}""",
    re.VERBOSE,
)
_CLOSING = {"[": "]", "(": ")"}
_BRACES = re.compile(r"\\.|[{}]", re.DOTALL)
_SENTENCE = re.compile(r"(?<![^\W\d_])(?:[^\W\d_]++[\s,.;:]++){3}[^\W\d_]++")
_CHINESE = re.compile("[一-鿿]{4}")
_MATHEMATICS = re.compile(r"[\\^_=+*/<>\d-]")
_OTHER_MARKUP = re.compile(r"\s*+(?:<(?:math|html|body|div|p|table)\b|[\[{]\s*+\")", re.IGNORECASE)
_PREAMBLE = re.compile(r"\\(?:documentclass|usepackage|begin|end)(?:\[[^\]]*+\]|\{[^{}]*+\})*+")
_LONG_WORD = re.compile(r"[^\W\d_]{4}")


@dataclass(frozen=True, slots=True)
class Formulas(Result):
    """The formulas of a picture, in its order."""

    formulas: tuple[str, ...] = ()
    """LaTeX without delimiters; an environment that lays a formula out, such as `align*`, is part of it."""

    forms: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"text": "text", "md": "to_markdown", "json": "to_json", "latex": "to_latex"}
    )

    def __post_init__(self) -> None:
        """Bring the formulas to their normal form, without labels and dangerous commands."""
        formulas = (Formula(latex).latex for latex in self.formulas)
        object.__setattr__(self, "formulas", tuple(filter(None, formulas)))

    joins: ClassVar[bool] = True

    def join(self, below: Formulas) -> Formulas:
        """The formulas of both parts; those that end one and begin the other stand once."""
        return dataclasses.replace(
            self,
            formulas=tuple(join_pieces(self.formulas, below.formulas)),
            warnings=(*self.warnings, *below.warnings),
            cut=self.cut or below.cut,
        )

    @property
    def text(self) -> str:
        """The formulas without delimiters, an empty line between two."""
        return "\n\n".join(self.formulas)

    def to_markdown(self) -> str:
        """The formulas between `$$`."""
        return "\n\n".join(map(formula_markdown, self.formulas))

    def to_latex(self) -> str:
        """The formulas as display mathematics."""
        return "\n\n".join(map(formula_latex, self.formulas))


@dataclass(frozen=True, kw_only=True)
class FormulaRecognition(Task[Formulas]):
    """Read the formulas of a picture as LaTeX.

    The choice when only the mathematics matters; a page with text around it is read better as a document.
    """

    name: ClassVar[str] = "formula_recognition"
    prompt_tokens: ClassVar[Mapping[str, int]] = MappingProxyType({"zh": 20, "en": 20})

    def prompt(self) -> str:
        """The vendor's prompt, the same in both languages."""
        return PROMPT

    def parse(self, answer: str) -> Formulas:
        """The formulas of an answer: between delimiters, or else one for each part between empty lines.

        Raises:
            AnswerError: It is a sentence and no formula, and does not say that there is none.
        """
        body, fence_open = without_fences(answer)
        if says_nothing_to_read(body):
            return Formulas()
        found = list(_delimited(body))
        cut = fence_open
        warnings: list[str] = []
        if found:
            formulas = [formula.latex for formula in found]
            if _LONG_WORD.search(_around(body, found)) is not None:
                warnings.append("The words around the formulas are left out.")
            if not found[-1].is_whole:
                cut = True
                warnings.append("The last formula never ends.")
        else:
            formulas = re.split(r"\n[ \t\r]*\n", body)
            if _is_prose(body):
                raise AnswerError("The answer holds sentences but no formula.", answer=answer)
        for number, latex in enumerate(formulas, 1):
            depth = _open_braces(latex)
            if depth:
                warnings.append(f"Formula {number}: its braces do not match.")
                cut = cut or (depth > 0 and number == len(formulas))
        return Formulas(tuple(formulas), warnings=tuple(warnings), cut=cut)

    def write(self, result: Formulas) -> str:
        """*result* as fenced LaTeX."""
        return fence(result.to_latex(), "latex")

    def from_layout(self, layout: Layout) -> Formulas:
        """The formulas that are written on one line.

        Raises:
            UnsupportedTaskError: There is a fraction, a matrix or another formula that lines do not hold.
        """
        from langchain_qwen_ocr.tasks.layout_formulas import find_formulas

        return Formulas(find_formulas(layout), warnings=layout.warnings)


@dataclass(frozen=True, slots=True)
class _Delimited:
    """A formula, and where it stands in the answer with its delimiters."""

    latex: str
    start: int
    end: int
    is_whole: bool = True


def _delimited(body: str) -> Iterator[_Delimited]:
    """The formulas between delimiters or in environments."""
    closing = name = ""
    start = inner = depth = 0
    for mark in _MARKS.finditer(body):
        token = mark["dollars"] or mark["bracket"]
        if closing and not name:
            if token == closing:
                yield _Delimited(body[inner : mark.start()], start, mark.end())
                closing = ""
        elif name:
            if mark["name"] == name:
                depth += 1 if mark["edge"] == "begin" else -1
                if depth == 0:
                    is_delimiter = name in DELIMITING_ENVIRONMENTS
                    latex = body[inner : mark.start()] if is_delimiter else body[start : mark.end()]
                    yield _Delimited(latex, start, mark.end())
                    closing = name = ""
        elif mark["dollars"] or token in _CLOSING:
            closing, start, inner = _CLOSING.get(token, token), mark.start(), mark.end()
        elif mark["edge"] == "begin" and mark["name"] in MATH_ENVIRONMENTS:
            closing = name = mark["name"]
            start, inner, depth = mark.start(), mark.end(), 1
    if closing:
        latex = body[inner if not name or name in DELIMITING_ENVIRONMENTS else start :]
        yield _Delimited(latex, start, len(body), is_whole=False)


def _around(body: str, found: Sequence[_Delimited]) -> str:
    """What stands outside of the formulas."""
    starts = [0, *(formula.end for formula in found)]
    ends = [*(formula.start for formula in found), len(body)]
    around = " ".join(body[start:end] for start, end in zip(starts, ends, strict=True))
    return _PREAMBLE.sub("", around)


def _is_prose(body: str) -> bool:
    if _OTHER_MARKUP.match(body) is not None or (_CHINESE.search(body) and _MATHEMATICS.search(body) is None):
        return True
    words = _SENTENCE.search(body)
    return words is not None and _LONG_WORD.search(words[0]) is not None and not re.search(r"[\\^_=]", body)


def _open_braces(latex: str) -> int:
    """How many braces stay open, less those that close nothing."""
    braces = _BRACES.findall(latex)
    return braces.count("{") - braces.count("}")
