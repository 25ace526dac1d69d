r"""A document as a sequence of blocks, and its views: Markdown, LaTeX, HTML, plain text.

A text in a block is plain, in the normal form of `wording`: lines without empty ones, inline mathematics between `\\(`
and `\\)`, the mark of a footnote as `[^1]`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import indent

from langchain_qwen_ocr.errors import OptionError
from langchain_qwen_ocr.tasks.table import Cell, Table
from langchain_qwen_ocr.tasks.wording import (
    FOOTNOTE_MARK,
    harmless_latex,
    markdown_text,
    normal_lines,
    split_math,
)

MAX_HEADING_LEVEL = 5
"""The deepest of LaTeX's sections, `\\subparagraph`."""


_NUMBERING = re.compile(r"\\(?:label\{[^{}]*\}|(?:nonumber|notag)(?![A-Za-z]))[ \t]*")
_BLANK_LINES = re.compile(r"\n\s*\n")


def _normalize(block: object, *names: str) -> None:
    for name in names:
        object.__setattr__(block, name, normal_lines(getattr(block, name)))


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading: level 0 is the document's title, 1 its topmost sections, 5 the deepest."""

    level: int
    text: str

    def __post_init__(self) -> None:
        """Bring the text to its normal form.

        Raises:
            OptionError: There is no such level.
        """
        if not 0 <= self.level <= MAX_HEADING_LEVEL:
            raise OptionError(f"The level of a heading is 0 to {MAX_HEADING_LEVEL}, not {self.level}.")
        _normalize(self, "text")


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text; a line break in it is one that the document insists on."""

    text: str

    def __post_init__(self) -> None:
        """Bring the text to its normal form."""
        _normalize(self, "text")


@dataclass(frozen=True, slots=True)
class Formula:
    """Mathematics on lines of its own."""

    latex: str
    """LaTeX without delimiters; an environment that lays it out, such as `align*`, is part of it."""

    def __post_init__(self) -> None:
        """Take off white space, empty lines, labels and numbering, and the backslash of dangerous commands."""
        latex = _BLANK_LINES.sub("\n", _NUMBERING.sub("", harmless_latex(self.latex))).strip()
        object.__setattr__(self, "latex", latex)


@dataclass(frozen=True, slots=True)
class TableBlock:
    """A table and its caption."""

    table: Table
    caption: str = ""

    def __post_init__(self) -> None:
        """Bring the caption to its normal form."""
        _normalize(self, "caption")


@dataclass(frozen=True, slots=True)
class ListItem:
    """One item of a list."""

    text: str
    blocks: tuple[Block, ...] = ()
    """What else stands in the item: nested lists, formulas, further paragraphs."""
    term: str = ""
    """What the item describes, or its own label."""

    def __post_init__(self) -> None:
        """Bring the texts to their normal form; a paragraph at the beginning is the item's text."""
        _normalize(self, "text", "term")
        blocks = meaningful(self.blocks)
        if not self.text and blocks and isinstance(blocks[0], Paragraph):
            object.__setattr__(self, "text", blocks[0].text)
            blocks = blocks[1:]
        object.__setattr__(self, "blocks", blocks)


@dataclass(frozen=True, slots=True)
class ListBlock:
    """A list, numbered or not."""

    items: tuple[ListItem, ...]
    ordered: bool = False
    start: int = 1
    """The number of its first item; 1 where items have no numbers."""

    def __post_init__(self) -> None:
        """Refuse a list of nothing.

        Raises:
            OptionError: It has no items.
        """
        if not self.items:
            raise OptionError("A list has at least one item.")
        if not self.ordered:
            object.__setattr__(self, "start", 1)

    @classmethod
    def of(cls, texts: Iterable[str], *, ordered: bool = False) -> ListBlock:
        """The list whose items are these texts."""
        return cls(tuple(map(ListItem, texts)), ordered=ordered)


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture in the document."""

    caption: str = ""
    source: str = ""
    """The file or address that the answer names; the model invents it."""

    def __post_init__(self) -> None:
        """Bring the texts to their normal form."""
        _normalize(self, "caption", "source")


@dataclass(frozen=True, slots=True)
class Footnote:
    """A note; its mark stands in the text of a block before it."""

    mark: str
    text: str

    def __post_init__(self) -> None:
        """Bring the text to its normal form."""
        _normalize(self, "mark", "text")


@dataclass(frozen=True, slots=True)
class Code:
    """Text whose lines and spaces count."""

    text: str

    def __post_init__(self) -> None:
        """Take empty lines off its ends, spaces off the ends of lines, and expand tabs."""
        lines = self.text.replace("\\end{verbatim}", "\\end {verbatim}").expandtabs().rstrip().split("\n")
        first = next((index for index, line in enumerate(lines) if line.strip()), len(lines))
        object.__setattr__(self, "text", "\n".join(line.rstrip() for line in lines[first:]))


Block = Heading | Paragraph | Formula | TableBlock | ListBlock | Figure | Footnote | Code


@dataclass(frozen=True, slots=True)
class Blocks:
    """What an answer in some markup holds."""

    blocks: tuple[Block, ...]
    warnings: tuple[str, ...] = ()
    cut: bool = False
    """It stops in the middle of a structure."""


def item_of(blocks: Sequence[Block]) -> ListItem:
    """The list item that holds these blocks: a paragraph at their beginning is its text."""
    return ListItem("", tuple(blocks))


def meaningful(blocks: Iterable[Block]) -> tuple[Block, ...]:
    """The blocks that hold anything."""
    return tuple(block for block in blocks if not _is_empty(block))


def _is_empty(block: Block) -> bool:
    if isinstance(block, Formula):
        return not block.latex
    return isinstance(block, Heading | Paragraph | Code) and not block.text


# Plain text.


def plain_text(block: Block) -> str:
    """The words of a block, in lines."""
    match block:
        case Heading() | Paragraph() | Code():
            return block.text
        case Formula():
            return block.latex
        case TableBlock():
            rows = (" | ".join(text.replace("\n", " ") for text in row) for row in block.table.rows)
            return "\n".join(filter(None, (block.caption, *rows)))
        case ListBlock():
            return "\n".join(f"{mark} {_item_words(item)}" for mark, item in _marked(block))
        case Figure():
            return block.caption
        case Footnote():
            return f"[^{block.mark}] {block.text}"


def _item_words(item: ListItem) -> str:
    return "\n".join(filter(None, (item.text, *map(plain_text, item.blocks))))


def _marked(block: ListBlock) -> Iterable[tuple[str, ListItem]]:
    for number, item in enumerate(block.items, block.start):
        yield (f"{number}." if block.ordered else "-"), item


# Markdown.

_IN_DOLLARS = {
    "align": "aligned", "alignat": "alignedat", "flalign": "aligned", "gather": "gathered", "multline": "gathered",
}  # fmt: skip
_DISPLAY_ENVIRONMENT = re.compile(r"\\(begin|end)\{(align|alignat|flalign|gather|multline)\*?\}")


def to_markdown(blocks: Sequence[Block]) -> str:
    """The blocks as Markdown with `$` and `$$` mathematics and footnotes; what was plain text is escaped."""
    shift = 1 if any(isinstance(block, Heading) and block.level == 0 for block in blocks) else 0
    return "\n\n".join(_block_markdown(block, shift) for block in blocks)


def _block_markdown(block: Block, shift: int = 0) -> str:  # noqa: PLR0911 - one for each kind of block
    match block:
        case Heading():
            return f"{'#' * (block.level + shift)} {markdown_text(block.text).replace(chr(10), ' ')}"
        case Paragraph():
            return markdown_text(block.text).replace("\n", "\\\n")
        case Formula():
            return formula_markdown(block.latex)
        case TableBlock():
            caption = markdown_text(block.caption).replace("\n", " ")
            return "\n\n".join(filter(None, (caption, block.table.to_markdown(escape_dollars=True))))
        case ListBlock():
            return "\n".join(_item_markdown(mark, item) for mark, item in _marked(block))
        case Figure():
            # The file's name is the model's invention: a page that shows the Markdown shall not fetch it.
            caption = markdown_text(block.caption).replace("\n", " ").replace("]", "\\]")
            return f"![{caption}]()"
        case Footnote():
            return f"[^{block.mark}]: {markdown_text(block.text).replace(chr(10), ' ')}"
        case Code():
            longest = max((len(marks) for marks in re.findall(r"`{3,}", block.text)), default=2)
            marks = "`" * (longest + 1)
            return f"{marks}\n{block.text}\n{marks}"


def formula_markdown(latex: str) -> str:
    """A formula between `$$`, in the environments that may stand there."""
    inside = _DISPLAY_ENVIRONMENT.sub(lambda found: f"\\{found[1]}{{{_IN_DOLLARS[found[2]]}}}", latex)
    return f"$$\n{inside}\n$$"


def _item_markdown(mark: str, item: ListItem) -> str:
    term = f"**{markdown_text(item.term)}** " if item.term else ""
    head = term + markdown_text(item.text).replace("\n", "\\\n")
    inner = "\n\n".join([head, *map(_block_markdown, item.blocks)])
    return f"{mark} {indent(inner, ' ' * (len(mark) + 1)).lstrip()}"


# LaTeX.

_SECTIONS = ("title", "section*", "subsection*", "subsubsection*", "paragraph*", "subparagraph*")
_LATEX_ESCAPES = str.maketrans(
    {
        "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}",
        **{character: f"\\{character}" for character in "{}$&#%_"},
    }
)  # fmt: skip
_LIGATURE = re.compile(r"-(?=-)|`(?=`)|'(?=')|[!?](?=`)")
_STANDS_ALONE = re.compile(
    r"\\begin\{((?:align|alignat|flalign|gather|multline|eqnarray)\*?)\}.*\\end\{\1\}", re.DOTALL
)


def to_latex(blocks: Sequence[Block]) -> str:
    """The blocks as the body of a LaTeX document that needs multirow and makecell; it runs no dangerous command."""
    return "\n\n".join(map(_block_latex, blocks))


def _block_latex(block: Block) -> str:  # noqa: PLR0911 - one for each kind of block
    match block:
        case Heading():
            return f"\\{_SECTIONS[block.level]}{{{_latex(block.text)}}}"
        case Paragraph():
            return _latex(block.text)
        case Formula():
            return formula_latex(block.latex)
        case TableBlock():
            table = table_latex(block.table)
            caption = f"\\caption{{{_latex(block.caption)}}}"
            return f"\\begin{{table}}\n{caption}\n{table}\n\\end{{table}}" if block.caption else table
        case ListBlock():
            environment = "enumerate" if block.ordered else "itemize"
            items = "\n".join(map(_item_latex, block.items))
            if block.ordered and block.start != 1:
                items = f"\\setcounter{{enumi}}{{{block.start - 1}}}\n{items}"
            return f"\\begin{{{environment}}}\n{items}\n\\end{{{environment}}}"
        case Figure():
            source = f"\\includegraphics{{{_latex(block.source)}}}\n" if block.source else ""
            return f"\\begin{{figure}}\n{source}\\caption{{{_latex(block.caption)}}}\n\\end{{figure}}"
        case Footnote():
            return f"\\footnotetext[{{{_latex(block.mark)}}}]{{{_latex(block.text)}}}"
        case Code():
            return f"\\begin{{verbatim}}\n{block.text}\n\\end{{verbatim}}"


def formula_latex(latex: str) -> str:
    """A formula with the delimiters it needs."""
    return latex if _STANDS_ALONE.fullmatch(latex) else f"\\[\n{latex}\n\\]"


def _item_latex(item: ListItem) -> str:
    # The braces keep a bracket at the beginning of the text from being taken for a label.
    label = f"[{{{_latex(item.term)}}}]" if item.term else "{}"
    return "\n\n".join([f"\\item{label} {_latex(item.text)}", *map(_block_latex, item.blocks)])


def _latex(text: str) -> str:
    return split_math(text, _latex_words, lambda latex: f"\\({latex}\\)")


def _latex_words(text: str) -> str:
    parts = FOOTNOTE_MARK.split(text)
    words = (
        f"\\footnotemark[{part}]" if index % 2 else _LIGATURE.sub(r"\g<0>{}", part.translate(_LATEX_ESCAPES))
        for index, part in enumerate(parts)
    )
    return "".join(words).replace("\n", "\\\\{}\n")


def table_latex(table: Table) -> str:
    r"""A table as a `tabular`; header cells are makecell's `\thead`."""
    by_place = {(cell.row, cell.column): cell for cell in table.cells}
    covering: dict[int, Cell] = {}
    lines = []
    for row in range(table.row_count):
        fields, column = [], 0
        last = max((c for c in range(table.column_count) if (row, c) in by_place), default=-1)
        while column <= last:
            cell = by_place.get((row, column))
            if cell is not None:
                fields.append(_field_latex(cell))
                covering.update(dict.fromkeys(range(column, column + cell.column_span), cell))
            else:
                # A place under a cell that spans rows stays empty.
                cell = covering[column]
                width = cell.column_span
                fields.append(f"\\multicolumn{{{width}}}{{l}}{{}}" if width > 1 else "")
            column += cell.column_span
        lines.append(" & ".join(fields) + r" \\")
    columns = "l" * max(table.column_count, 1)
    return "\n".join([f"\\begin{{tabular}}{{{columns}}}", *lines, "\\end{tabular}"])


def _field_latex(cell: Cell) -> str:
    text = _latex(cell.text)
    if cell.is_header:
        text = f"\\thead{{{text}}}"
    elif "\n" in cell.text:
        text = f"\\makecell{{{text}}}"
    # Nothing at all would be a place under another cell.
    text = text or "{}"
    if cell.row_span > 1:
        text = f"\\multirow{{{cell.row_span}}}{{*}}{{{text}}}"
    if cell.column_span > 1:
        text = f"\\multicolumn{{{cell.column_span}}}{{l}}{{{text}}}"
    return text


# HTML.


def to_html(blocks: Sequence[Block]) -> str:
    r"""The blocks as clean HTML; mathematics stays LaTeX between `\(`, `\)` and `\[`, `\]`."""
    shift = 1 if any(isinstance(block, Heading) and block.level == 0 for block in blocks) else 0
    return "\n".join(_block_html(block, shift) for block in blocks)


def _block_html(block: Block, shift: int = 0) -> str:  # noqa: PLR0911 - one for each kind of block
    match block:
        case Heading():
            level = block.level + shift
            return f"<h{level}>{_html(block.text)}</h{level}>"
        case Paragraph():
            return f"<p>{_html(block.text)}</p>"
        case Formula():
            return f"<p>\\[{html.escape(block.latex, quote=False)}\\]</p>"
        case TableBlock():
            caption = f"<p>{_html(block.caption)}</p>\n" if block.caption else ""
            return caption + block.table.to_html()
        case ListBlock():
            tag = "ol" if block.ordered else "ul"
            items = "\n".join(f"<li>{_item_html(item)}</li>" for item in block.items)
            start = f' start="{block.start}"' if block.ordered and block.start != 1 else ""
            return f"<{tag}{start}>\n{items}\n</{tag}>"
        case Figure():
            return f"<figure><figcaption>{_html(block.caption)}</figcaption></figure>"
        case Footnote():
            return f"<p>[^{_html(block.mark)}] {_html(block.text)}</p>"
        case Code():
            return f"<pre>{html.escape(block.text, quote=False)}</pre>"


def _item_html(item: ListItem) -> str:
    term = f"<b>{_html(item.term)}</b> " if item.term else ""
    return "\n".join([term + _html(item.text), *map(_block_html, item.blocks)])


def _html(text: str) -> str:
    return html.escape(text, quote=False).replace("\n", "<br>")
