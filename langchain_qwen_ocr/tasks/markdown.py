"""Markdown that a model wrote, read into blocks; tables in HTML inside of it too."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from langchain_qwen_ocr.tasks.document import (
    MAX_HEADING_LEVEL,
    Block,
    Blocks,
    Code,
    Figure,
    Footnote,
    Formula,
    Heading,
    ListBlock,
    ListItem,
    Paragraph,
    TableBlock,
    meaningful,
)
from langchain_qwen_ocr.tasks.fences import fenced_block
from langchain_qwen_ocr.tasks.grid import Grid
from langchain_qwen_ocr.tasks.html import read_html
from langchain_qwen_ocr.tasks.latex import read_latex
from langchain_qwen_ocr.tasks.table import Cell
from langchain_qwen_ocr.tasks.wording import normal_lines, running_text

# What is repeated gives nothing back (`*+`) wherever two neighbours could share it: a line of a million blanks is
# read in one pass.
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]++(.*))?$")
_CLOSING_MARKS = re.compile(r"(?:\A|(?<=[ \t]))#++\Z")
_DELIMITER_ROW = re.compile(r"\s*+\|?(?:\s*+:?-++:?\s*+\|)*\s*+:?-++:?\s*+(?:\|\s*+)?$")
_ITEM = re.compile(r"([ \t]*)(?:[-*+•]|(\d{1,9})[.)])[ \t]+(?=\S)")
_CODE = re.compile(r" {0,3}(`{3,}|~{3,})")
_DISPLAY = {"$$": "$$", "\\[": "\\]"}
_ENVIRONMENT = re.compile(r"\s*+\\begin\{([A-Za-z]+\*?)\}")
_IMAGE = re.compile(r"\s*+!\[([^\[\]]*)\]\(([^()\s]*+)[^()]*+\)\s*+$")
_NOTE = re.compile(r"\[\^([0-9A-Za-z]{1,8})\]:[ \t]*(.*)")
_RULE = re.compile(r" {0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$")
_HTML_TABLE = re.compile(r"\s*<(?:table|html|div|figure|center)\b", re.IGNORECASE)
_FIELDS = re.compile(r"(?<!\\)\|")
_PIPE_TABLE = re.compile(r"^[^\n|]*+\|[^\n]*+\n[ \t]*+(?:\|[ \t]*+)?:?-++:?[ \t]*+(?:\||\n|\Z)[^\n]*+", re.MULTILINE)
_INLINE = re.compile(
    r"""\\\((?P<math>(?:(?!\\[()]).)*)\\\)
      | (?<![\\$])\$(?=\S)(?P<dollars>[^$]*?)(?<=\S)\$(?!\d)
      | `(?P<code>[^`]+)`
      | \\(?:text(?:bf|it|rm|tt|sc)?|emph|underline)\{(?P<styled>[^{}]*)\}
      | \\(?P<escaped>[!-/:-@\[-`{-~])
      | (?P<br><br\s*/?>|\\\n|(?<![ ])[ ]{2,}+\n)
      | !?\[(?!\^)(?P<label>[^\[\]]*)\]\([^()]*\)
      | (?P<emphasis>\*\*\*?|(?<![^\W_])__|__(?![^\W_])|\*(?=\S)(?<![\w*]\*)|(?<=\S)\*(?!\w)|~~)
    """,
    re.VERBOSE | re.DOTALL,
)
_MAX_FENCES = 20
_MAX_INDENT = 16
"""How deep lists are followed."""


def without_fences(answer: str) -> tuple[str, bool]:
    """*answer* without the marks of its code fences, and whether one of them never closes."""
    pieces: list[str] = []
    is_open = False
    for _ in range(_MAX_FENCES):
        block = fenced_block(answer)
        if not block.opened:
            break
        pieces += [block.before, block.body]
        is_open, answer = not block.closed, block.after
    else:
        pieces.append(answer)
        answer = ""
    pieces.append(answer)
    return "\n\n".join(piece for piece in pieces if piece.strip()), is_open


def has_pipe_table(text: str) -> bool:
    """Whether there is the head of a Markdown table in *text*."""
    return _PIPE_TABLE.search(text) is not None


def read_markdown(text: str) -> Blocks:
    """The blocks of *text*; emphasis is taken off, links keep their words alone.

    Raises:
        AnswerError: A table's rectangle is beyond all reason.
    """
    reader = _Reader(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    reader.read()
    return Blocks(meaningful(reader.blocks), tuple(dict.fromkeys(reader.warnings)), reader.cut)


class _Reader:
    """Lines in, blocks out."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.blocks: list[Block] = []
        self.warnings: list[str] = []
        self.cut = False
        self._lines = lines
        self._next = 0
        self._paragraph: list[str] = []

    def read(self) -> None:
        while self._next < len(self._lines):
            line = self._lines[self._next]
            if not any(
                step(line) for step in (self._code, self._display, self._latex, self._table, self._markup, self._list)
            ):
                self._next += 1
                self._line(line)
        self._flush()

    def _flush(self) -> None:
        if self._paragraph:
            self.blocks.append(Paragraph(inline("\n".join(self._paragraph))))
            self._paragraph = []

    def _add(self, *blocks: Block) -> None:
        self._flush()
        self.blocks += blocks

    def _line(self, line: str) -> None:
        if not line.strip() or _RULE.match(line):
            self._flush()
        elif (heading := _HEADING.match(line)) is not None:
            level = min(len(heading[1]), MAX_HEADING_LEVEL)
            self._add(Heading(level, inline(_CLOSING_MARKS.sub("", (heading[2] or "").rstrip()))))
        elif (image := _IMAGE.match(line)) is not None:
            self._add(Figure(inline(image[1]), image[2]))
        elif (note := _NOTE.match(line)) is not None:
            self._add(Footnote(note[1], inline(note[2])))
        else:
            self._paragraph.append(re.sub(r"^[ \t]*>+[ \t]?", "", line))

    def _until(self, first: int, is_last: re.Pattern[str]) -> tuple[list[str], bool]:
        """The lines from *first* on before the one that matches, and whether there is one."""
        for index in range(first, len(self._lines)):
            if is_last.search(self._lines[index]) is not None:
                return list(self._lines[first:index]), True
        return list(self._lines[first:]), False

    def _code(self, line: str) -> bool:
        opening = _CODE.match(line)
        if opening is None:
            return False
        marks = opening[1]
        lines, is_closed = self._until(self._next + 1, re.compile(rf"^ {{0,3}}{re.escape(marks)}{marks[0]}*\s*$"))
        self._next += len(lines) + 2
        self.cut = self.cut or not is_closed
        self._add(Code("\n".join(lines)))
        return True

    def _display(self, line: str) -> bool:
        text = line.strip()
        closing = _DISPLAY.get(text[:2])
        if closing is None:
            return False
        rest = text[2:]
        if closing in rest:
            latex, _, behind = rest.partition(closing)
            self._next += 1
            self._add(Formula(latex))
            if behind.strip():
                self._paragraph.append(behind)
            return True
        lines, is_closed = self._until(self._next + 1, re.compile(re.escape(closing)))
        last = self._lines[self._next + 1 + len(lines)] if is_closed else ""
        head, _, behind = last.partition(closing)
        self._next += len(lines) + 2
        self.cut = self.cut or not is_closed
        self._add(Formula("\n".join([rest, *lines, head])))
        if behind.strip():
            self._paragraph.append(behind)
        return True

    def _latex(self, line: str) -> bool:
        opening = _ENVIRONMENT.match(line)
        if opening is None:
            return False
        edges = re.compile(rf"\\(begin|end)\{{{re.escape(opening[1])}\}}")
        depth, first = 0, self._next
        while self._next < len(self._lines):
            depth += sum(1 if edge == "begin" else -1 for edge in edges.findall(self._lines[self._next]))
            self._next += 1
            if depth <= 0:
                break
        read = read_latex("\n".join(self._lines[first : self._next]))
        self.warnings += read.warnings
        self.cut = self.cut or read.cut
        self._add(*read.blocks)
        return True

    def _table(self, line: str) -> bool:
        following = self._lines[self._next + 1] if self._next + 1 < len(self._lines) else ""
        if "|" not in line or "-" not in following or _DELIMITER_ROW.match(following) is None:
            return False
        if "|" not in following and len(_FIELDS.findall(line.strip().strip("|"))) > 0:
            return False
        grid = Grid()
        self._row(grid, line, is_header=True)
        self._next += 2
        while self._next < len(self._lines) and "|" in self._lines[self._next]:
            self._row(grid, self._lines[self._next], is_header=False)
            self._next += 1
        table = grid.finish()
        self.warnings += grid.warnings
        self._add(TableBlock(table))
        return True

    def _row(self, grid: Grid, line: str, *, is_header: bool) -> None:
        fields = _FIELDS.split(line.strip().removeprefix("|"))
        if len(fields) > 1 and not fields[-1].strip():
            fields.pop()
        grid.start_row()
        for field in fields:
            grid.put(Cell(0, 0, "", is_header=is_header), inline(field.replace("\\|", "|")))

    def _markup(self, line: str) -> bool:
        if _HTML_TABLE.match(line) is None:
            return False
        lines, is_closed = self._until(self._next, re.compile(r"</(?:table|html|div|figure|center)\s*>", re.IGNORECASE))
        last = [self._lines[self._next + len(lines)]] if is_closed else []
        self._next += len(lines) + 1
        read = read_html("\n".join([*lines, *last]), keep_lines=True)
        self.warnings += read.warnings
        self.cut = self.cut or read.cut
        self._add(*read.blocks)
        return True

    def _list(self, line: str) -> bool:
        if _ITEM.match(line) is None or _RULE.match(line) is not None:
            return False
        entries: list[tuple[int, int | None, list[str]]] = []
        while self._next < len(self._lines):
            current = self._lines[self._next]
            item = _ITEM.match(current)
            if item is not None:
                entries.append(
                    (len(item[1].expandtabs(4)), None if item[2] is None else int(item[2]), [current[item.end() :]])
                )
            elif current.strip() and current[0] in " \t":
                entries[-1][2].append(current.strip())
            elif current.strip() or not self._goes_on(self._next + 1):
                break
            self._next += 1
        self._add(*_lists(entries, 0))
        return True

    def _goes_on(self, index: int) -> bool:
        """Whether a list goes on behind its empty line."""
        line = self._lines[index] if index < len(self._lines) else ""
        return _ITEM.match(line) is not None or (bool(line.strip()) and line.startswith(("  ", "\t")))


def _lists(entries: Sequence[tuple[int, int | None, list[str]]], depth: int) -> list[ListBlock]:
    """The lists that these items make; an item that stands further in belongs to the one before it."""
    lists: list[ListBlock] = []
    items: list[ListItem] = []
    index = 0
    start = entries[0][1]
    while index < len(entries):
        margin, number, lines = entries[index]
        if (number is None) != (start is None):
            lists.append(_list_block(items, start))
            items, start = [], number
        index += 1
        inner_start = index
        while index < len(entries) and entries[index][0] > margin + 1 and depth < _MAX_INDENT:
            index += 1
        inner = _lists(entries[inner_start:index], depth + 1) if index > inner_start else []
        items.append(ListItem(inline("\n".join(lines)), tuple(inner)))
    lists.append(_list_block(items, start))
    return lists


def _list_block(items: Sequence[ListItem], start: int | None) -> ListBlock:
    """A list that counts from *start*, or that does not count."""
    return ListBlock(tuple(items), start is not None, 1 if start is None else start)


def inline(text: str) -> str:
    r"""The words of *text* in their normal form, its mathematics between `\(` and `\)`."""
    pieces: list[str] = []
    position = 0
    for found in _INLINE.finditer(text):
        pieces += [_words(text[position : found.start()]), _inline_piece(found)]
        position = found.end()
    return normal_lines("".join([*pieces, _words(text[position:])]).replace("\v", "\n"))


def _inline_piece(found: re.Match[str]) -> str:
    latex = found["math"] or found["dollars"]
    if latex is not None:
        return f"\\({' '.join(latex.split())}\\)" if latex.strip() else ""
    if found["br"]:
        return "\v"
    inner = found["label"] if found["label"] is not None else found["styled"]
    if inner is not None:
        return inline(inner)
    return found["code"] or found["escaped"] or ""


def _words(text: str) -> str:
    return html.unescape(running_text(text.replace("\v", " ")))
