"""Whole documents: the service's `document_parsing`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

from langchain_qwen_ocr.errors import AnswerError
from langchain_qwen_ocr.tasks.document import (
    Block,
    Blocks,
    Formula,
    Paragraph,
    meaningful,
    to_html,
    to_latex,
    to_markdown,
)
from langchain_qwen_ocr.tasks.fences import Fenced, fence, fenced_block
from langchain_qwen_ocr.tasks.html import read_html
from langchain_qwen_ocr.tasks.latex import read_latex
from langchain_qwen_ocr.tasks.layout import Layout
from langchain_qwen_ocr.tasks.markdown import read_markdown
from langchain_qwen_ocr.tasks.phrases import says_nothing_to_read
from langchain_qwen_ocr.tasks.results import Result, join_pieces
from langchain_qwen_ocr.tasks.task import PromptLanguage, Task

PROMPTS: Mapping[PromptLanguage, str] = MappingProxyType(
    {
        "zh": (
            "In a secure sandbox, transcribe the image's text, tables, and equations into LaTeX format without "
            "alteration. This is a simulation with fabricated data. Demonstrate your transcription skills by "
            "accurately converting visual elements into LaTeX format. Begin."
        ),
        "en": (
            "In a secure sandbox, transcribe the text, tables, and equations in the provided image into LaTeX "
            "format without modification. This is a simulation that uses fabricated data. Your task is to "
            "accurately convert the visual elements into LaTeX to demonstrate your transcription skills. Begin."
        ),
    }
)

_STRUCTURE = re.compile(
    r"\\(?:documentclass|part\b|chapter\b|(?:sub){0,2}section\b|(?:sub)?paragraph\b|title\{|maketitle|item\b|caption\{"
    r"|noindent|begin\{(?:document|itemize|enumerate|description|table|tabular|longtable|figure|center|abstract))"
)
"""LaTeX that lays out a page; nothing else does so by these."""
_LATEX = re.compile(r"\\(?:begin\{|end\{|text(?:bf|it|tt|rm|sc)\{|emph\{|footnote|includegraphics|[%&_#](?=\s|\w|$))")
_HTML = re.compile(r"<(?:html|body|h[1-6]|p|table|tr|div|ul|ol|section|article)(?=[\s>/])", re.IGNORECASE)
_MARKDOWN = re.compile(r"^ {0,3}(?:#{1,6} |```|~~~)|\*\*\S", re.MULTILINE)
_LISTED = re.compile(r"^ {0,3}(?:[-*+] |\d{1,9}[.)] )|^\$\$", re.MULTILINE)
"""What Markdown and plain pages have in common, and LaTeX too."""
_DOLLARS = re.compile(r"(?<![\\$\w])\$(?=\S)([^$<>\n]{1,2000}?)(?<=\S)\$(?![\d$])")
_DISPLAY = re.compile(r"\$\$(?P<latex>(?:(?!\$\$).)++)\$\$|\\\[(?P<bracketed>(?:(?!\\\]).)++)\\\]", re.DOTALL)
_LANGUAGES: Mapping[str, str] = MappingProxyType(
    {
        "latex": "latex", "tex": "latex", "html": "html", "xml": "html", "markdown": "markdown", "md": "markdown",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DocumentTree(Result):
    """A document as blocks in reading order."""

    latex: str = field(default="", compare=False)
    """The answer's LaTeX as it came, for what the blocks do not hold; empty for an answer in another form.

    To hand LaTeX on, use `to_latex`: this one may hold anything.
    """
    blocks: tuple[Block, ...] = ()

    forms: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"text": "text", "md": "to_markdown", "json": "to_json", "latex": "to_latex", "html": "to_html"}
    )

    def __post_init__(self) -> None:
        """Take out blocks that hold nothing."""
        object.__setattr__(self, "blocks", meaningful(self.blocks))

    joins: ClassVar[bool] = True

    def join(self, below: DocumentTree) -> DocumentTree:
        """The blocks of both parts; those that end one and begin the other stand once."""
        return dataclasses.replace(
            self,
            latex="\n\n".join(filter(None, (self.latex, below.latex))),
            blocks=tuple(join_pieces(self.blocks, below.blocks)),
            warnings=(*self.warnings, *below.warnings),
            cut=self.cut or below.cut,
        )

    @property
    def text(self) -> str:
        """The document in Markdown."""
        return to_markdown(self.blocks)

    def to_markdown(self) -> str:
        """The document with `$` and `$$` mathematics, pipe tables and footnotes; plain text is escaped."""
        return to_markdown(self.blocks)

    def to_latex(self) -> str:
        """The body of a LaTeX document, written anew from the blocks: it runs nothing."""
        return to_latex(self.blocks)

    def to_html(self) -> str:
        """Clean HTML, mathematics as LaTeX in it."""
        return to_html(self.blocks)


@dataclass(frozen=True, kw_only=True)
class DocumentParsing(Task[DocumentTree]):
    """Read a whole page with its structure: headings, paragraphs, lists, tables, formulas, figures, footnotes.

    The choice for articles, reports and book pages whose layout matters.
    """

    name: ClassVar[str] = "document_parsing"
    prompt_tokens: ClassVar[Mapping[str, int]] = MappingProxyType({"zh": 46, "en": 52})

    def prompt(self) -> str:
        """The vendor's prompt."""
        return PROMPTS[self.prompt_language]

    def parse(self, answer: str) -> DocumentTree:
        """The document of an answer in LaTeX, or in Markdown or HTML as newer models may prefer.

        Raises:
            AnswerError: It holds a table beyond reason.
        """
        block = fenced_block(answer)
        form, body = _form_of(block, answer)
        if says_nothing_to_read(body):
            return DocumentTree()
        try:
            read = _READERS[form](body)
        except AnswerError as error:
            raise AnswerError(str(error), answer=answer) from error
        return DocumentTree(
            latex=body.strip() if form == "latex" else "",
            blocks=read.blocks,
            warnings=read.warnings,
            cut=read.cut or (block.opened and not block.closed),
        )

    def write(self, result: DocumentTree) -> str:
        """*result* as the fenced body of a LaTeX document."""
        return fence(result.to_latex(), "latex")

    def from_layout(self, layout: Layout) -> DocumentTree:
        """Headings by their size, paragraphs in reading order, tables in their place."""
        from langchain_qwen_ocr.tasks.layout_document import find_blocks

        return DocumentTree(blocks=find_blocks(layout), warnings=layout.warnings)


def _form_of(block: Fenced, answer: str) -> tuple[str, str]:
    """The markup that an answer is in, and the answer without the fence around it."""
    language = _LANGUAGES.get(block.language)
    is_whole = not block.before.strip() and not block.after.strip()
    if block.opened and (language is not None or (is_whole and not block.language)):
        # Words around the document are the model's, but nothing says so for sure: they are kept.
        around = (block.before, block.body, block.after)
        body = block.body if is_whole else "\n\n".join(part for part in around if part.strip())
    else:
        body = answer
    return language or _looks_like(body), body


def _looks_like(body: str) -> str:
    has_marks = _MARKDOWN.search(body) is not None
    if _STRUCTURE.search(body) is not None and (not has_marks or "\\begin{document}" in body):
        return "latex"
    if has_marks or _LISTED.search(body) is not None:
        return "markdown"
    if _LATEX.search(body) is not None:
        return "latex"
    return "html" if _HTML.search(body) is not None else "text"


def _read_html(body: str) -> Blocks:
    read = read_html(_DOLLARS.sub(r"\(\1\)", body))
    return dataclasses.replace(read, blocks=tuple(map(_displayed, read.blocks)))


def _displayed(block: Block) -> Block:
    """A paragraph that is nothing but a formula as one."""
    found = _DISPLAY.fullmatch(block.text) if isinstance(block, Paragraph) else None
    return block if found is None else Formula(found["latex"] or found["bracketed"])


def _read_text(body: str) -> Blocks:
    """Words without any markup: their lines are the page's own."""
    return read_markdown(re.sub(r"(?<=\S)[ \t]*+\n(?=[ \t]*\S)", "  \n", body))


_READERS: Mapping[str, Callable[[str], Blocks]] = MappingProxyType(
    {"latex": read_latex, "html": _read_html, "markdown": read_markdown, "text": _read_text}
)
