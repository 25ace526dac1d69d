"""HTML that a model wrote, read into blocks: closed or not, cut anywhere, with or without a page around it.

Tags are found by one regular expression and not by `html.parser`: that one needs most of the time of a whole
`pandas.read_html` for its tokens alone, and on Pythons up to 3.13.5 it takes quadratic time for unclosed comments and
tags (CVE-2025-6069). What a tag means is decided here in any case.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from langchain_qwen_ocr.tasks.document import (
    MAX_HEADING_LEVEL,
    Block,
    Blocks,
    Code,
    Figure,
    Heading,
    ListBlock,
    ListItem,
    Paragraph,
    TableBlock,
    item_of,
)
from langchain_qwen_ocr.tasks.grid import Grid
from langchain_qwen_ocr.tasks.table import MAX_COLUMN_SPAN, MAX_ROW_SPAN, Cell
from langchain_qwen_ocr.tasks.wording import lowered, normal_lines, raised

_TOKEN = re.compile(
    r"""<(t[dh])>([^<]*)</\1>\s*                                                  # a plain cell, at once
      | (</?[A-Za-z](?:[^<>"']|"[^"<]*"|'[^'<]*')*>|</?[A-Za-z][^<>]*>)           # any tag
    """,
    re.VERBOSE,
)
_NAME = re.compile(r"</?([A-Za-z][A-Za-z0-9]*)")
_SPAN = re.compile(r"\b(row|col)span\s*=\s*[\"']?\s*\+?(\d{1,20})", re.IGNORECASE)
_LIST_START = re.compile(r"\bstart\s*=\s*[\"']?(\d{1,9})\b", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"\b(alt|src)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+))", re.IGNORECASE)
_UNFINISHED = re.compile(r"<(?:[/!?A-Za-z][^<>]*+|\s*+)\Z")
_RAISED = re.compile(r"<su([pb])>\s*([0-9+=()n−-]{1,20})\s*</su\1>", re.IGNORECASE)
_DECLARATION = re.compile(r"<[!?](?!--)[^<>]*>")
_INVISIBLE = re.compile(r"<(script|style|head|template)(?=[\s>/])", re.IGNORECASE)
_INVISIBLE_END = {name: re.compile(rf"</{name}\s*>", re.IGNORECASE) for name in ("script", "style", "head", "template")}
_TABLE_TAG = re.compile(r"<(?:table|thead|tbody|tr|t[dh])(?=[\s>/]|\Z)", re.IGNORECASE)

_COMMON_TAG_LENGTH = 9
_BODY_CELL, _HEADER_CELL = Cell(0, 0, ""), Cell(0, 0, "", is_header=True)
_MAX_DEPTH = 16
"""How deep tables and lists are followed; what is deeper is text of the level above."""


def has_table(text: str) -> bool:
    """Whether there is a tag of a table in *text*."""
    return _TABLE_TAG.search(text) is not None


def read_html(text: str, *, keep_lines: bool = False) -> Blocks:
    """The blocks of *text*, in time linear in its length.

    Spans are clamped to what HTML allows and to the rows there are, and cut where they run into another cell; a table
    inside a cell becomes lines of its text, fields parted by ` | `. A cell in whose middle the text ends is left out.

    Args:
        text: HTML, or plain text with HTML in it.
        keep_lines: Whether line ends outside of tables are line breaks, as in plain text, and not white space.

    Raises:
        AnswerError: A table's rectangle is beyond all reason.
    """
    visible, comment_open = _visible(text)
    whole = _UNFINISHED.sub("", visible)
    reader = _Reader(keep_lines=keep_lines)
    between, *tokens = _TOKEN.split(whole)
    reader.text(between)
    for cell, words, tag, between in zip(tokens[::4], tokens[1::4], tokens[2::4], tokens[3::4], strict=True):
        if tag is not None:
            reader.tag(tag)
        else:
            reader.plain_cell(cell, words)
        if between:
            reader.text(between)
    stops_in_tag = whole != visible
    reader.end(stops_in_tag=stops_in_tag)
    cut = reader.cut or stops_in_tag or comment_open
    return Blocks(tuple(reader.blocks), tuple(dict.fromkeys(reader.warnings)), cut)


def _visible(text: str) -> tuple[str, bool]:
    """*text* without comments, declarations, scripts and styles; and whether one of them never ends."""
    pieces: list[str] = []
    open_at_end = False
    position = 0
    while (start := text.find("<!--", position)) >= 0:
        end = text.find("-->", start)
        pieces.append(text[position:start])
        if end < 0:
            # What follows may be the table: only the marks are dropped.
            open_at_end, position = True, len(text)
            pieces.append(text[start:].replace("<!--", ""))
            break
        position = end + 3
    text = _DECLARATION.sub("", "".join([*pieces, text[position:]]))
    text = _RAISED.sub(lambda found: (raised if found[1] in "pP" else lowered)(found[2]), text)
    return _without_invisible(text, open_at_end=open_at_end)


def _without_invisible(text: str, *, open_at_end: bool) -> tuple[str, bool]:
    pieces: list[str] = []
    position = 0
    while (start := _INVISIBLE.search(text, position)) is not None:
        end = _INVISIBLE_END[start[1].lower()].search(text, start.end())
        if end is None:
            open_at_end = True
            break
        pieces.append(text[position : start.start()])
        position = end.end()
    return "".join([*pieces, text[position:]]), open_at_end


class _OpenTable:
    """A table that is being read."""

    def __init__(self, *, is_implied: bool = False) -> None:
        self.is_implied = is_implied
        self.in_head = False
        self.in_caption = False
        self.caption = ""
        self.cell: Cell | None = None
        """The open cell, at no place yet and without its text."""
        self.grid = Grid()


@dataclass(slots=True)
class _OpenList:
    ordered: bool
    items: list[ListItem]
    start: int = 1
    blocks: list[Block] | None = None
    """What the open item holds; None between items."""


class _Reader:
    """Tags and texts in, blocks out."""

    def __init__(self, *, keep_lines: bool) -> None:
        self.blocks: list[Block] = []
        self.warnings: list[str] = []
        self.cut = False
        self._keep_lines = keep_lines
        self._texts: list[str] = []
        self._outer_texts: list[list[str]] = []
        """Of each open cell or caption, the texts around its table."""
        self._tables: list[_OpenTable] = []
        self._lists: list[_OpenList] = []
        self._heading: int | None = None
        self._in_code = False
        self._open: dict[str, int] = {}
        self._ends_in_text = False
        self._known: dict[str, tuple[_Handler | None, str]] = {}

    # Text.

    def text(self, text: str) -> None:
        table = self._tables[-1] if self._tables else None
        if table is not None and table.cell is None and text.isspace():
            return
        if "&" in text:
            text = html.unescape(text)
        if table is None:
            if not self._keep_lines and not self._in_code:
                text = text.replace("\n", " ").replace("\r", " ")
        elif table.cell is not None or table.in_caption:
            if "\n" in text:
                text = text.replace("\n", " ")
        elif text.strip():
            # Between cells there is no place for text; it is kept in front of the table, as browsers do.
            self._outer_texts[-1].append(f"\n{text}\n")
            return
        else:
            return
        self._texts.append(text)
        self._ends_in_text = bool(text.strip())

    def _take_text(self) -> str:
        text = "".join(self._texts)
        self._texts = []
        return text

    # Tags.

    def tag(self, tag: str) -> None:
        known = self._known.get(tag)
        if known is None:
            name = _NAME.match(tag)
            assert name is not None, "the pattern of a tag begins with its name"
            word = name[1].lower()
            known = ((_END_TAGS if tag[1] == "/" else _START_TAGS).get(word), word)
            # Thousands of tags are the same few; those with attributes are not worth keeping.
            if len(tag) < _COMMON_TAG_LENGTH:
                self._known[tag] = known
        handler, word = known
        self._ends_in_text = False
        if handler is not None:
            handler(self, tag)
        if word in _CONTAINERS:
            self._open[word] = self._open.get(word, 0) + (-1 if tag[1] == "/" else 1)

    def line_break(self, _tag: str) -> None:
        self._texts.append("\n")

    def paragraph(self, _tag: str = "") -> None:
        if self._tables:
            self._texts.append("\n")
            return
        text = self._take_text()
        if self._in_code:
            self._in_code = False
            self._add(*([Code(text)] if text.strip() else []))
            return
        for part in re.split(r"\n\s*\n", text) if self._keep_lines else [text]:
            if words := normal_lines(part):
                self._add(Paragraph(words) if self._heading is None else Heading(self._heading, words))

    def _add(self, *blocks: Block) -> None:
        is_in_item = self._lists and self._lists[-1].blocks is not None
        (self._lists[-1].blocks if is_in_item else self.blocks).extend(blocks)  # type: ignore[union-attr]

    def start_heading(self, tag: str) -> None:
        self.paragraph()
        self._heading = min(int(tag[2]), MAX_HEADING_LEVEL)

    def end_heading(self, _tag: str) -> None:
        self.paragraph()
        self._heading = None

    def start_code(self, _tag: str) -> None:
        if not self._tables:
            self.paragraph()
            self._in_code = True

    def image(self, tag: str) -> None:
        found = {m[1].lower(): html.unescape(m[2] or m[3] or m[4] or "") for m in _ATTRIBUTE.finditer(tag)}
        if self._tables:
            self._texts.append(f" {found.get('alt', '')} ")
            return
        self.paragraph()
        self._add(Figure(found.get("alt", ""), found.get("src", "")))

    def end_figure_caption(self, _tag: str) -> None:
        caption = normal_lines(self._take_text()) if not self._tables else ""
        if caption:
            figure = self.blocks[-1] if self.blocks else None
            if isinstance(figure, Figure):
                self.blocks[-1] = replace(figure, caption=caption)
            else:
                self._add(Figure(caption))

    # Lists.

    def start_list(self, tag: str) -> None:
        self.paragraph()
        if not self._tables and len(self._lists) < _MAX_DEPTH:
            number = _LIST_START.search(tag)
            self._lists.append(_OpenList(tag[1].lower() == "o", [], 1 if number is None else int(number[1])))

    def start_item(self, _tag: str) -> None:
        self.paragraph()
        if self._tables:
            return
        if not self._lists:
            self._lists.append(_OpenList(ordered=False, items=[]))
        self._end_item()
        self._lists[-1].blocks = []

    def end_item(self, _tag: str) -> None:
        self.paragraph()
        if self._lists and not self._tables:
            self._end_item()

    def _end_item(self) -> None:
        if (blocks := self._lists[-1].blocks) is not None:
            self._lists[-1].items.append(item_of(blocks))
            self._lists[-1].blocks = None

    def end_list(self, _tag: str = "") -> None:
        self.paragraph()
        if self._lists and not self._tables:
            self._end_item()
            done = self._lists.pop()
            if done.items:
                self._add(ListBlock(tuple(done.items), done.ordered, done.start if done.ordered else 1))

    # Tables.

    def start_table(self, _tag: str, *, is_implied: bool = False) -> None:
        if self._tables and self._tables[-1].cell is None and not is_implied:
            self.warnings.append("A table that is never closed ends where the next one begins.")
            self.end_table("")
        if len(self._tables) < _MAX_DEPTH:
            self._tables.append(_OpenTable(is_implied=is_implied))
            self._outer_texts.append(self._texts)
            self._texts = []

    def _table(self) -> _OpenTable:
        if not self._tables:
            self.start_table("", is_implied=True)
        return self._tables[-1]

    def start_row(self, _tag: str) -> None:
        self._end_cell()
        self._table().grid.start_row()

    def end_row(self, _tag: str) -> None:
        if self._tables:
            self._end_cell()
            self._tables[-1].grid.end_row()

    def start_section(self, tag: str) -> None:
        self.end_row("")
        self._table().in_head = tag[2].lower() == "h"

    def end_section(self, _tag: str) -> None:
        self.end_row("")
        if self._tables:
            self._tables[-1].in_head = False

    def start_caption(self, _tag: str) -> None:
        if self._tables and self._tables[-1].cell is None:
            self._tables[-1].in_caption = True
            self._texts = []

    def end_caption(self, _tag: str) -> None:
        if self._tables and self._tables[-1].in_caption:
            self._tables[-1].in_caption = False
            self._tables[-1].caption = normal_lines(self._take_text())

    def start_cell(self, tag: str) -> None:
        self._end_cell()
        table = self._table()
        if not table.grid.in_row:
            table.grid.start_row()
        is_header = tag[2] in "hH" or table.in_head
        table.cell = _HEADER_CELL if is_header else _BODY_CELL
        if len(tag) > len("<td>"):
            row_span = column_span = 1
            for axis, digits in _SPAN.findall(tag):
                number = int(digits)
                if axis.lower() == "row":
                    # Zero means: to the end of the table.
                    row_span = min(number or MAX_ROW_SPAN, MAX_ROW_SPAN)
                else:
                    column_span = min(number or 1, MAX_COLUMN_SPAN)
                if number > (MAX_ROW_SPAN if axis.lower() == "row" else MAX_COLUMN_SPAN):
                    self.warnings.append(f"A {axis.lower()}span of {digits} was clamped.")
            table.cell = Cell(0, 0, "", row_span, column_span, is_header)

    def plain_cell(self, name: str, text: str) -> None:
        """A whole cell without spans or markup: the bulk of every table."""
        table = self._tables[-1] if self._tables else None
        if table is None or table.cell is not None or table.in_caption:
            self.tag(f"<{name}>")
            self.text(text)
            self.tag(f"</{name}>")
            return
        if not table.grid.in_row:
            table.grid.start_row()
        if "&" in text:
            text = html.unescape(text)
        if "\n" in text:
            text = text.replace("\n", " ")
        table.grid.put(_HEADER_CELL if name == "th" or table.in_head else _BODY_CELL, text)
        self._ends_in_text = False

    def end_cell(self, _tag: str) -> None:
        self._end_cell()

    def _end_cell(self) -> None:
        if not self._tables:
            return
        table = self._tables[-1]
        if table.in_caption:
            self.end_caption("")
        if table.cell is not None:
            table.grid.put(table.cell, "".join(self._texts))
            table.cell = None
        self._texts = []

    def end_table(self, _tag: str, *, is_cut: bool = False) -> None:
        if not self._tables:
            return
        self._end_cell()
        done = self._tables.pop()
        table = done.grid.finish(is_cut=is_cut)
        self._texts = self._outer_texts.pop()
        self.warnings += done.grid.warnings
        if self._tables:
            self.warnings.append("A table inside a cell became lines of its text.")
            lines = "\n".join(" | ".join(text.replace("\n", " ") for text in row) for row in table.rows)
            self._texts.append(f"\n{lines}\n")
        else:
            self.paragraph()
            self._add(TableBlock(table, done.caption))

    # The end.

    def end(self, *, stops_in_tag: bool) -> None:
        while self._tables:
            self.cut = self.cut or not self._tables[-1].is_implied or self._tables[-1].grid.in_row
            is_innermost_text = self._ends_in_text and not stops_in_tag
            if is_innermost_text and self._tables[-1].cell is not None:
                self._ends_in_text = False
                self._tables[-1].cell = None
                half = normal_lines(self._take_text())
                self.warnings.append(f"The last cell stops in its middle ({half[:40]!r}) and is left out.")
            self.end_table("", is_cut=True)
        self.paragraph()
        self.cut = (
            self.cut
            or bool(self._lists)
            or self._heading is not None
            or any(count > 0 for count in self._open.values())
        )
        while self._lists:
            self.end_list()


_Handler = Callable[[_Reader, str], None]
_CONTAINERS = frozenset({"html", "body", "div", "section", "article", "main", "pre", "figure"})
_HEADINGS = tuple(f"h{level}" for level in range(1, 7))
_PARAGRAPHS = (
    "p", "div", "section", "article", "main", "body", "html", "header", "footer", "blockquote", "figure", "hr",
    "dl", "dt", "dd", "center",
)  # fmt: skip
_START_TAGS: Mapping[str, _Handler] = MappingProxyType(
    {
        **dict.fromkeys(_PARAGRAPHS, _Reader.paragraph),
        **dict.fromkeys(_HEADINGS, _Reader.start_heading),
        **dict.fromkeys(("ul", "ol"), _Reader.start_list),
        **dict.fromkeys(("thead", "tbody", "tfoot"), _Reader.start_section),
        **dict.fromkeys(("td", "th"), _Reader.start_cell),
        "br": _Reader.line_break,
        "caption": _Reader.start_caption,
        "figcaption": _Reader.paragraph,
        "img": _Reader.image,
        "li": _Reader.start_item,
        "pre": _Reader.start_code,
        "table": _Reader.start_table,
        "tr": _Reader.start_row,
    }
)
_END_TAGS: Mapping[str, _Handler] = MappingProxyType(
    {
        **dict.fromkeys(_PARAGRAPHS, _Reader.paragraph),
        **dict.fromkeys(_HEADINGS, _Reader.end_heading),
        **dict.fromkeys(("ul", "ol"), _Reader.end_list),
        **dict.fromkeys(("thead", "tbody", "tfoot"), _Reader.end_section),
        **dict.fromkeys(("td", "th"), _Reader.end_cell),
        "br": _Reader.line_break,
        "caption": _Reader.end_caption,
        "figcaption": _Reader.end_figure_caption,
        "li": _Reader.end_item,
        "pre": _Reader.paragraph,
        "table": _Reader.end_table,
        "tr": _Reader.end_row,
    }
)
