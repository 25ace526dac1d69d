"""Formulas: the service's `formula_recognition`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from langchain_qwen_ocr.tasks.results import Result
from langchain_qwen_ocr.tasks.task import Task

PROMPT = (
    "Extract and output the LaTeX representation of the formula from the image, "
    "without any additional text or descriptions."
)


@dataclass(frozen=True, slots=True)
class Formulas(Result):
    """The formulas of a picture, in its order."""

    formulas: tuple[str, ...] = ()
    """LaTeX without delimiters; an environment that lays a formula out, such as `align*`, is part of it."""

    forms: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"text": "text", "md": "to_markdown", "json": "to_json", "latex": "to_latex"}
    )


@dataclass(frozen=True, kw_only=True)
class FormulaRecognition(Task[Formulas]):
    """Read the formulas of a picture as LaTeX."""

    name: ClassVar[str] = "formula_recognition"

    def prompt(self) -> str:
        """The vendor's prompt, the same in both languages."""
        return PROMPT
