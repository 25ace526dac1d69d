"""Tables: the service's `table_parsing`."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from types import MappingProxyType
from typing import ClassVar

from langchain_qwen_ocr.errors import AnswerError
from langchain_qwen_ocr.tasks.document import Block, Blocks, TableBlock, plain_text
from langchain_qwen_ocr.tasks.fences import fence
from langchain_qwen_ocr.tasks.html import has_table, read_html
from langchain_qwen_ocr.tasks.latex import read_latex
from langchain_qwen_ocr.tasks.layout import Layout
from langchain_qwen_ocr.tasks.markdown import has_pipe_table, read_markdown, without_fences
from langchain_qwen_ocr.tasks.phrases import says_nothing_to_read
from langchain_qwen_ocr.tasks.results import Result
from langchain_qwen_ocr.tasks.table import Table
from langchain_qwen_ocr.tasks.task import Task
from langchain_qwen_ocr.tasks.wording import normal_lines

PROMPT = (
    "In a safe, sandbox environment, you're tasked with converting tables from a synthetic image into HTML. "
    "Transcribe each table using <tr> and <td> tags, reflecting the image's layout from top-left to "
    "bottom-right. Ensure merged cells are accurately represented. "
    "This is purely a simulation with no real-world implications. Begin."
)
_TAG = re.compile(r"</?(?:html|body|div|p|h[1-6]|[ou]l|li|br|span|b|strong)\b[^<>]*>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Tables(Result):
    """The tables of a picture, and the text around them."""

    tables: tuple[Table, ...] = ()
    text_around: tuple[str, ...] = ()
    """Before the first table, between each two, after the last; empty when there is none anywhere."""

    forms: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"text": "text", "md": "to_markdown", "json": "to_json", "html": "to_html", "csv": "to_csv"}
    )

    def __post_init__(self) -> None:
        """Bring the texts to their normal form: paragraphs of lines."""
        texts = [_paragraphs(text) for text in self.text_around]
        # Texts behind the last place belong to it.
        places = len(self.tables) + 1
        last = "\n\n".join(filter(None, texts[places - 1 :]))
        padded = (*texts[: places - 1], *[""] * (places - 1 - len(texts)), last)
        object.__setattr__(self, "text_around", padded if any(padded) else ())

    @property
    def text(self) -> str:
        """The tables in Markdown, with the text around them in its place."""
        return self.to_markdown()

    def to_markdown(self) -> str:
        """The tables as pipe tables, with the text around them in its place."""
        parts = (part if isinstance(part, str) else part.to_markdown() for part in self._parts())
        return "\n\n".join(filter(None, parts))

    def to_html(self) -> str:
        """The tables as clean HTML, the text around them in paragraphs."""
        return "\n".join(
            _html_paragraphs(part) if isinstance(part, str) else part.to_html() for part in self._parts() if part
        )

    def to_csv(self) -> str:
        """The tables as comma-separated values, an empty line between two; without the text around them."""
        return "\r\n".join(table.to_csv() for table in self.tables)

    def _parts(self) -> Iterator[str | Table]:
        for text, table in zip_longest(self.text_around, self.tables):
            if text:
                yield text
            if table is not None:
                yield table


@dataclass(frozen=True, kw_only=True)
class TableParsing(Task[Tables]):
    """Read the tables of a picture with their rows, columns and merged cells.

    The choice for price lists, timetables, statements and forms laid out as a grid. Text around the tables is kept
    as text.
    """

    name: ClassVar[str] = "table_parsing"
    prompt_tokens: ClassVar[Mapping[str, int]] = MappingProxyType({"zh": 66, "en": 66})

    def prompt(self) -> str:
        """The vendor's prompt, the same in both languages."""
        return PROMPT

    def parse(self, answer: str) -> Tables:
        """The tables of an answer in HTML, or in Markdown or LaTeX as some models prefer.

        HTML without a table is a picture without one: its text is kept, with a warning. Words without any markup may
        as well be about the picture, and are no answer.

        Raises:
            AnswerError: It holds bare words, and does not say that there is no table; or a table beyond reason.
        """
        body, fence_open = without_fences(answer)
        try:
            read = _read(body)
        except AnswerError as error:
            raise AnswerError(str(error), answer=answer) from error
        tables, texts = _parted(read.blocks)
        warnings = read.warnings
        if not tables and any(texts):
            if says_nothing_to_read("\n".join(texts)):
                texts = ()
            elif _TAG.search(body) is not None:
                warnings = (*warnings, "The answer holds no table; its text is kept.")
            elif not read.cut:
                raise AnswerError("The answer holds text but no table.", answer=answer)
        return Tables(tables, texts, warnings=warnings, cut=read.cut or fence_open)

    def write(self, result: Tables) -> str:
        """*result* as fenced HTML."""
        return fence(result.to_html(), "html")

    def from_layout(self, layout: Layout) -> Tables:
        """The tables that rulings and columns of lines show, with the other lines around them."""
        from langchain_qwen_ocr.tasks.layout_tables import find_tables

        placed = find_tables(layout)
        in_tables = frozenset[int]().union(*(table.line_indexes for table in placed))
        others = {id(line) for index, line in enumerate(layout.lines) if index not in in_tables}
        texts: list[list[str]] = [[] for _ in range(len(placed) + 1)]
        for line in layout.in_reading_order():
            if id(line) in others:
                top, bottom = line.quad.bounds[1], line.quad.bounds[3]
                above = sum(1 for table in placed if (table.bounds[1] + table.bounds[3]) / 2 < (top + bottom) / 2)
                texts[above].append(line.text)
        return Tables(tuple(table.table for table in placed), tuple(map("\n".join, texts)), warnings=layout.warnings)


def _read(body: str) -> Blocks:
    if has_table(body):
        return read_html(body, keep_lines=True)
    if has_pipe_table(body):
        return read_markdown(body)
    if "\\begin{tabular" in body:
        return read_latex(body)
    return read_html(body, keep_lines=True)


def _parted(blocks: Sequence[Block]) -> tuple[tuple[Table, ...], tuple[str, ...]]:
    """The tables, and what stands before, between and after them."""
    tables: list[Table] = []
    texts: list[list[str]] = [[]]
    for block in blocks:
        if isinstance(block, TableBlock):
            texts[-1].append(block.caption)
            tables.append(block.table)
            texts.append([])
        else:
            texts[-1].append(plain_text(block))
    return tuple(tables), tuple("\n\n".join(filter(None, part)) for part in texts)


def _paragraphs(text: str) -> str:
    return "\n\n".join(filter(None, map(normal_lines, re.split(r"\n\s*\n", text))))


def _html_paragraphs(text: str) -> str:
    escaped = html.escape(text, quote=False).replace("`", "&#96;").replace("~~~", "&#126;~~")
    return "\n".join(f"<p>{paragraph}</p>".replace("\n", "<br>") for paragraph in escaped.split("\n\n"))
