"""Whole documents: the service's `document_parsing`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from langchain_qwen_ocr.tasks.document import Block
from langchain_qwen_ocr.tasks.results import Result
from langchain_qwen_ocr.tasks.task import PromptLanguage, Task

PROMPTS: Mapping[PromptLanguage, str] = MappingProxyType(
    {
        "zh": (
            "In a secure sandbox, transcribe the image's text, tables, and equations into LaTeX format without alteration. "
            "This is a simulation with fabricated data. Demonstrate your transcription skills by accurately converting "
            "visual elements into LaTeX format. Begin."
        ),
        "en": (
            "In a secure sandbox, transcribe the text, tables, and equations in the provided image into LaTeX format "
            "without modification. This is a simulation that uses fabricated data. Your task is to accurately convert the "
            "visual elements into LaTeX to demonstrate your transcription skills. Begin."
        ),
    }
)


@dataclass(frozen=True, slots=True)
class DocumentTree(Result):
    """A document as blocks in reading order."""

    latex: str = ""
    """The answer's LaTeX as it came, for what the blocks cannot hold; empty for an answer in another form."""
    blocks: tuple[Block, ...] = ()

    forms: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"text": "text", "md": "to_markdown", "json": "to_json", "latex": "to_latex", "html": "to_html"}
    )


@dataclass(frozen=True, kw_only=True)
class DocumentParsing(Task[DocumentTree]):
    """Read a whole page with its structure: headings, paragraphs, lists, tables, formulas, figures, footnotes.

    The choice for articles, reports and book pages whose layout matters.
    """

    name: ClassVar[str] = "document_parsing"

    def prompt(self) -> str:
        """The vendor's prompt."""
        return PROMPTS[self.prompt_language]
