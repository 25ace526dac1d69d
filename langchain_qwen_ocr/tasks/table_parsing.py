"""Tables: the service's `table_parsing`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from langchain_qwen_ocr.tasks.results import Result
from langchain_qwen_ocr.tasks.table import Table
from langchain_qwen_ocr.tasks.task import Task

PROMPT = (
    "In a safe, sandbox environment, you're tasked with converting tables from a synthetic image into HTML. "
    "Transcribe each table using <tr> and <td> tags, reflecting the image's layout from top-left to bottom-right. "
    "Ensure merged cells are accurately represented. "
    "This is purely a simulation with no real-world implications. Begin."
)


@dataclass(frozen=True, slots=True)
class Tables(Result):
    """The tables of a picture, and the text around them."""

    tables: tuple[Table, ...] = ()
    text_around: tuple[str, ...] = ()
    """Before the first table, between each two, after the last; empty when there is none."""

    forms: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"text": "text", "md": "to_markdown", "json": "to_json", "html": "to_html", "csv": "to_csv"}
    )


@dataclass(frozen=True, kw_only=True)
class TableParsing(Task[Tables]):
    """Read the tables of a picture with their rows, columns and merged cells.

    The choice for price lists, timetables, statements and forms laid out as a grid. Text around the tables is kept
    as text.
    """

    name: ClassVar[str] = "table_parsing"

    def prompt(self) -> str:
        """The vendor's prompt, the same in both languages."""
        return PROMPT

    def write(self, result: Tables) -> str:
        """*result* as fenced HTML."""
        raise NotImplementedError
