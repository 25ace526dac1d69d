"""LaTeX that a model wrote, read into blocks on `pylatexenc`'s walker; nothing in it is executed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from pylatexenc.latex2text import LatexNodes2Text
from pylatexenc.latexwalker import (
    LatexCharsNode,
    LatexCommentNode,
    LatexEnvironmentNode,
    LatexGroupNode,
    LatexMacroNode,
    LatexMathNode,
    LatexNode,
    LatexSpecialsNode,
    LatexToken,
    LatexWalker,
    LatexWalkerParseError,
    get_default_latex_context_db,
)
from pylatexenc.macrospec import std_environment, std_macro

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
    item_of,
    meaningful,
)
from langchain_qwen_ocr.tasks.grid import Grid
from langchain_qwen_ocr.tasks.table import MAX_COLUMN_SPAN, MAX_ROW_SPAN, Cell, Table
from langchain_qwen_ocr.tasks.wording import harmless_latex, lowered, normal_lines, raised, running_text

Nodes = Sequence[LatexNode]

# What is said about a command's arguments: `*` a star, `[` an optional one, `{` one that must be there.
_MACROS: Mapping[str, str] = MappingProxyType(
    {
        "part": "*[{", "chapter": "*[{", "paragraph": "*[{", "subparagraph": "*[{",
        "title": "[{", "author": "[{", "date": "{", "affil": "[{", "thanks": "{",
        "caption": "*[{", "captionof": "*{[{", "footnote": "[{", "footnotetext": "[{", "footnotemark": "[",
        "multicolumn": "{{{", "multirow": "[{[{[{", "makecell": "*[{", "thead": "*[{", "shortstack": "[{",
        "cline": "{", "cmidrule": "[{", "toprule": "[", "midrule": "[", "bottomrule": "[", "specialrule": "{{{",
        "addlinespace": "[", "arrayrulecolor": "[{", "rowcolor": "[{", "cellcolor": "[{", "columncolor": "[{",
        "includegraphics": "*[{", "rotatebox": "[{{", "resizebox": "*{{{", "scalebox": "{[{", "parbox": "[[[{{",
        "raisebox": "{[[{", "adjustbox": "{{", "href": "[{{", "url": "{", "nolinkurl": "{", "hyperref": "[{",
        "textsuperscript": "{", "textsubscript": "{", "bibitem": "[{", "cite": "[[{", "citep": "*[[{",
        "citet": "*[[{", "fontsize": "{{", "selectlanguage": "{", "newcolumntype": "{[{", "setlist": "[{",
        "titleformat": "*{[{{{{", "geometry": "{", "pagestyle": "{", "thispagestyle": "{", "graphicspath": "{",
        "setcounter": "{{", "addtocounter": "{{", "renewcommand": "*{[[{", "write": "{", "setmainfont": "[{",
        "setCJKmainfont": "[{", "includepdf": "[{", "usetikzlibrary": "{", "hspace": "*{", "vspace": "*{",
        "keptcode": "{", "diagbox": "[{{", "slashbox": "[{{", "backslashbox": "[{{", "ding": "{", "textcircled": "{",
    }
)  # fmt: skip
_ENVIRONMENTS: Mapping[str, str] = MappingProxyType(
    {
        "tabular": "[{", "tabular*": "{[{", "tabularx": "{[{", "tabulary": "{[{", "longtable": "[{", "tabu": "{",
        "array": "[{", "figure": "[", "figure*": "[", "table": "[", "table*": "[", "sidewaystable": "[",
        "wrapfigure": "[{[{", "minipage": "[[[{", "multicols": "{[", "thebibliography": "{",
        "itemize": "[", "enumerate": "[", "description": "[",
    }
)  # fmt: skip
_TABULARS = frozenset({"tabular", "tabular*", "tabularx", "tabulary", "longtable", "tabu", "array"})
DELIMITING_ENVIRONMENTS = frozenset({"equation", "equation*", "displaymath", "math", "subequations", "dmath", "dmath*"})
"""Environments that only say where mathematics begins and ends."""
_LAYING_OUT = frozenset(
    {
        "align", "align*", "gather", "gather*", "multline", "multline*", "flalign", "flalign*", "alignat", "alignat*",
        "eqnarray", "eqnarray*", "split", "aligned", "gathered", "alignedat", "cases", "matrix", "pmatrix", "bmatrix",
        "Bmatrix", "vmatrix", "Vmatrix", "smallmatrix", "dcases", "rcases", "empheq",
    }
)  # fmt: skip
"""Environments that are part of a formula."""
MATH_ENVIRONMENTS = DELIMITING_ENVIRONMENTS | _LAYING_OUT
_CODE = "verbatim|lstlisting|Verbatim|minted|alltt|comment"

_CONTEXT = get_default_latex_context_db()
_CONTEXT.add_context_category(
    "answers",
    prepend=True,
    macros=[std_macro(name, arguments) for name, arguments in _MACROS.items()],
    environments=[
        *(std_environment(name, arguments) for name, arguments in _ENVIRONMENTS.items()),
        *(
            std_environment(name, "{" if name.startswith("alignat") else None, is_math_mode=True)
            for name in sorted(MATH_ENVIRONMENTS)
        ),
    ],
)
_SYMBOLS = LatexNodes2Text(math_mode="verbatim", strict_latex_spaces="macros")

_PLAIN_RUN = re.compile(r"[^\\{}$%&~\[\]()<>\n`'!?|-]+")
_BREAK = "\v"
"""A line break that the source insists on, until a text is finished; line ends of the source mean nothing."""


class _Walker(LatexWalker):  # type: ignore[misc] # pylatexenc has no types
    """pylatexenc's walker, taking running text a run at a time, and noting what does not fit together.

    One character at a time is what costs pylatexenc its time, and quadratic time for long texts.
    """

    def __init__(self, source: str) -> None:
        super().__init__(source, latex_context=_CONTEXT, tolerant_parsing=True)
        self.mismatches: list[str] = []

    def get_token(self, pos: int, *args: object, environments: bool = True, **kwargs: object) -> LatexToken:
        # A command's argument may be one bare character: those are asked for with environments=False.
        run = _PLAIN_RUN.match(self.s, pos) if environments else None
        if run is not None:
            return LatexToken(tok="char", arg=run[0], pos=pos, len=run.end() - pos, pre_space="")
        return super().get_token(pos, *args, environments=environments, **kwargs)

    def _report_ignore_parse_error(self, exc: LatexWalkerParseError) -> None:
        self.mismatches.append(exc.msg)


def read_latex(latex: str) -> Blocks:
    r"""The blocks of a document or of a part of one.

    Inline mathematics stays LaTeX, between `\(` and `\)`; of unknown commands the arguments' text is kept. An
    unescaped `$` that no other one follows in its paragraph, and a `%` behind a digit, are taken for the characters.

    Raises:
        AnswerError: A table's rectangle is beyond all reason.
    """
    prepared = _Preparation(latex)
    source = prepared.source
    walker = _Walker(source)
    try:
        nodes = walker.get_latex_nodes()[0]
        reader = _Reader(source, prepared.code)
        reader.read(nodes)
        reader.flush()
    except RecursionError:
        text = re.sub(r"\\[A-Za-z]+\*?|[{}\\$]", " ", latex)
        paragraphs = (Paragraph(part) for part in re.split(r"\n\s*\n", text))
        said = "The LaTeX is nested too deeply to be read; its words are kept."
        return Blocks(tuple(p for p in paragraphs if p.text), (said,), cut=True)
    warnings = [*prepared.warnings, *reader.warnings]
    warnings += [f"LaTeX: {said}." for said in dict.fromkeys(walker.mismatches[:3])]
    cut = prepared.cut or _is_open(source, nodes) or ("\\documentclass" in source and _DOCUMENT_END not in source)
    return Blocks(meaningful(reader.blocks), tuple(dict.fromkeys(warnings)), cut)


_DOCUMENT_END = "\\end{document}"


def _is_open(source: str, nodes: Nodes) -> bool:
    """Whether the source ends inside of a structure: then it is the last one, as it takes in all that follows."""
    last = nodes[-1] if nodes else None
    if isinstance(last, LatexMacroNode):
        arguments = [argument for argument in _arguments(last) if argument is not None]
        # A command that still waits for its argument, such as `\\section`.
        return last.nodeargd is None or (bool(arguments) and _is_open(source, arguments))
    if isinstance(last, LatexEnvironmentNode):
        return re.search(r"\\end\s*\{[^{}]*\}\Z", _source_of(source, last)) is None
    if isinstance(last, LatexGroupNode | LatexMathNode):
        text, (opening, closing) = _source_of(source, last), last.delimiters
        return len(text) < len(opening) + len(closing) or not text.endswith(closing)
    return False


# What is settled before the walker sees the source.

_SCAN = re.compile(
    rf"""(?P<code>\\(?P<edge>begin|end)\{{(?P<name>{_CODE})\*?\}})
      | \\verb\*?(?P<bar>[^\sA-Za-z*])[^\n]*?(?P=bar)
      | (?P<glued>\\[A-Za-z]+(?=[^\x00-\x7f]))
      | (?P<rule>\\cmidrule\([^)\n]*\))
      | \\.
      | (?P<display>\$\$)
      | (?P<dollar>\$)
      | (?P<percent>(?<=\d)[ ]?%|(?<=\d)%)
      | (?P<comment>%[^\n]*)
      | (?P<paragraph>\n[ \t\r]*\n)""",
    re.VERBOSE,
)


class _Preparation:
    """A source with code taken out, and with stray dollars and percent signs escaped."""

    def __init__(self, latex: str) -> None:
        self.code: list[str] = []
        """What stood in verbatim environments; `\\\\keptcode` and a number stand in their place."""
        self.warnings: list[str] = []
        self.cut = False
        self._pieces: list[str] = []
        self._open_dollar: int | None = None
        """The piece that holds a dollar sign whose partner was not seen yet."""
        self._in_display = False
        plain = latex.replace("\r\n", "\n").replace("\r", "\n").replace(_BREAK, " ").replace("\0", "")
        # The number is no part of the command's name, and would be left of it as text.
        self.source = self._scan(plain.replace("\\write18", "\\write"))

    def _scan(self, latex: str) -> str:
        position = 0
        open_code: re.Match[str] | None = None
        for found in _SCAN.finditer(latex):
            if open_code is not None:
                if found["edge"] == "end" and found["name"] == open_code["name"]:
                    self._keep_code(latex[open_code.end() : found.start()])
                    position, open_code = found.end(), None
                continue
            self._pieces += [latex[position : found.start()], self._piece(found)]
            position = found.end()
            if found["edge"] == "begin":
                open_code = found
        if open_code is not None:
            self._keep_code(latex[open_code.end() :])
            position, self.cut = len(latex), True
        self._pieces.append(latex[position:])
        behind = "".join(self._pieces[self._open_dollar + 1 :]) if self._open_dollar is not None else ""
        # A price is no formula that stops.
        self.cut = self.cut or (self._open_dollar is not None and not behind[:1].isdigit())
        self._end_paragraph()
        return "".join(self._pieces)

    def _keep_code(self, code: str) -> None:
        self._pieces.append(f"\\keptcode{{{len(self.code)}}}")
        self.code.append(code)

    def _piece(self, found: re.Match[str]) -> str:
        replace_it = _REPLACEMENTS.get(found.lastgroup or "")
        return found[0] if replace_it is None else replace_it(self, found)

    def begin_code(self, found: re.Match[str]) -> str:
        self._end_paragraph()
        return "" if found["edge"] == "begin" else found[0]

    def glued(self, found: re.Match[str]) -> str:
        # pylatexenc takes every letter for a part of the command's name, LaTeX only a to z.
        return f"{found[0]} "

    def percent(self, found: re.Match[str]) -> str:
        return found[0].replace("%", "\\%")

    def trimmed_rule(self, _found: re.Match[str]) -> str:
        return "\\cmidrule"

    def display(self, found: re.Match[str]) -> str:
        if self._open_dollar is not None:
            return self.dollar(found)
        self._in_display = not self._in_display
        return found[0]

    def dollar(self, found: re.Match[str]) -> str:
        if not self._in_display:
            # The piece before it is added together with this one.
            self._open_dollar = len(self._pieces) + 1 if self._open_dollar is None else None
        return found[0]

    def paragraph(self, _found: re.Match[str]) -> str:
        self._end_paragraph()
        return "\n" if self._in_display else "\n\n"

    def _end_paragraph(self) -> None:
        if self._open_dollar is not None:
            self._pieces[self._open_dollar] = "\\$"
            self.warnings.append("A dollar sign without a second one was taken for the character.")
            self._open_dollar = None


_REPLACEMENTS: Mapping[str, Callable[[_Preparation, re.Match[str]], str]] = MappingProxyType(
    {
        "code": _Preparation.begin_code,
        "glued": _Preparation.glued,
        "rule": _Preparation.trimmed_rule,
        "display": _Preparation.display,
        "dollar": _Preparation.dollar,
        "percent": _Preparation.percent,
        "paragraph": _Preparation.paragraph,
    }
)


# From nodes to blocks.

_SECTIONS = ("section", "subsection", "subsubsection", "paragraph", "subparagraph")
_THEOREMS = {
    **{name: name.capitalize() for name in ("theorem", "lemma", "corollary", "proposition", "definition", "proof")},
    **{name: name.capitalize() for name in ("remark", "example", "exercise", "conjecture", "axiom", "claim")},
}
_LIGATURES = {
    "~": " ", "``": "“", "''": "”", "--": "–", "---": "—", "!`": "¡", "?`": "¿", "&": "&",
}  # fmt: skip
_SPACES = frozenset({"quad", "qquad", ",", ";", ":", " ", "!", ">", "hspace", "hfill", "enspace", "thinspace", "space"})
_BREAKS = frozenset({"\\", "newline", "linebreak", "tabularnewline", "cr"})
_SILENT = frozenset(
    {
        "documentclass", "usepackage", "RequirePackage", "maketitle", "tableofcontents", "listoffigures",
        "listoftables", "newpage", "clearpage", "pagebreak", "centering", "raggedright", "raggedleft", "noindent",
        "indent", "label", "vspace", "bigskip", "medskip", "smallskip", "vfill", "hline", "toprule", "midrule",
        "bottomrule", "cline", "cmidrule", "specialrule", "addlinespace", "hrule", "setlength", "addtolength",
        "setcounter", "addtocounter", "pagestyle", "thispagestyle", "geometry", "hypersetup", "newcommand",
        "renewcommand", "providecommand", "newenvironment", "renewenvironment", "newcolumntype", "definecolor",
        "color", "rowcolor", "cellcolor", "columncolor", "rowcolors", "arrayrulecolor", "fontsize", "selectfont",
        "selectlanguage", "input", "include", "bibliographystyle", "bibliography", "graphicspath", "titleformat",
        "setlist", "setmainfont", "setCJKmainfont", "DeclareMathOperator", "tiny", "scriptsize", "footnotesize",
        "small", "normalsize", "large", "Large", "LARGE", "huge", "Huge", "bfseries", "itshape", "rmfamily",
        "sffamily", "ttfamily", "upshape", "mdseries", "bf", "it", "rm", "tt", "sf", "sc", "em", "par", "appendix",
        "relax", "protect", "nocite", "write", "write18", "immediate", "openout", "openin", "read", "def", "let",
        "catcode", "csname", "endcsname", "endhead", "endfoot", "endfirsthead", "endlastfoot", "includepdf",
        "usetikzlibrary", "columnbreak", "and",
    }
)  # fmt: skip
"""Commands that put no words on the page."""
_CHARACTERS = {
    "textasciicircum": "^",
    "textasciitilde": "~",
    "textbackslash": "\\",
    "textbar": "|",
    "checkmark": "✓",
    "Box": "☐",
    "Square": "□",
    "CheckedBox": "☑",
    "XBox": "☒",
    "blacksquare": "■",
    "bigstar": "★",
}
_FIXED: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(_SILENT, ""),
        **dict.fromkeys(_SPACES, " "),
        **dict.fromkeys(_BREAKS, _BREAK),
        "item": _BREAK,
        **_CHARACTERS,
    }
)
_LAST_ONLY = frozenset(
    {"href", "textcolor", "colorbox", "rotatebox", "resizebox", "scalebox", "parbox", "raisebox", "multicolumn",
     "multirow", "hyperref", "captionof"}
)  # fmt: skip
"""Commands whose last argument alone is text."""


def _arguments(node: LatexNode) -> list[LatexNode | None]:
    return list(node.nodeargd.argnlist) if node.nodeargd is not None else []


def _last(node: LatexNode) -> Nodes:
    arguments = _arguments(node)
    return [arguments[-1]] if arguments and arguments[-1] is not None else []


class _Reader:
    """Nodes in, blocks out."""

    def __init__(self, source: str, code: Sequence[str]) -> None:
        self.blocks: list[Block] = []
        self.warnings: list[str] = []
        self._source = source
        self._code = code
        self._texts: list[str] = []
        self._footnotes: list[Footnote] = []
        self._notes = 0
        self._caption: str | None = None
        """The caption of the float that is being read; None outside of any."""
        shift = 1 if re.search(r"\\(?:chapter|part)\b", source) else 0
        self._levels = {"part": 1, "chapter": 1, "title": 0} | {
            name: min(level + shift, MAX_HEADING_LEVEL) for level, name in enumerate(_SECTIONS, 1)
        }

    # Blocks.

    def read(self, nodes: Nodes) -> None:
        for node in nodes:
            if isinstance(node, LatexCharsNode):
                first, *others = node.chars.split("\n\n")
                self._texts.append(first)
                for text in others:
                    self.flush()
                    self._texts.append(text)
            elif isinstance(node, LatexMacroNode):
                self._block_macro(node)
            elif isinstance(node, LatexEnvironmentNode):
                self._environment(node)
            elif isinstance(node, LatexMathNode) and node.displaytype == "display":
                self._formula(_inner(self._source, node))
            elif isinstance(node, LatexGroupNode):
                self.read(node.nodelist)
            elif isinstance(node, LatexCommentNode):
                self._texts.append("\n" if "\n" in node.comment_post_space else "")
            else:
                self._texts.append(self._inline_node(node))

    def flush(self) -> None:
        """End the paragraph."""
        text = _finished(self._texts)
        self._texts = []
        if text:
            self.blocks.append(Paragraph(text))
        self.blocks += self._footnotes
        self._footnotes = []

    def _add(self, block: Block) -> None:
        # The notes of the block itself follow it; those of the text before are taken by `flush` before they are made.
        notes, self._footnotes = self._footnotes, []
        self.flush()
        self.blocks += [block, *notes]

    def _formula(self, latex: str) -> None:
        self._add(Formula(latex))

    def _block_macro(self, node: LatexMacroNode) -> None:
        handler = _BLOCK_MACROS.get(node.macroname)
        if handler is not None:
            if node.macroname not in {"caption", "captionof"}:
                self.flush()
            handler(self, node)
        elif node.macroname not in _OWN and _has_block(node):
            self.read(_last(node))
        else:
            self._texts.append(self.macro(node))

    def heading(self, node: LatexMacroNode) -> None:
        self._add(Heading(self._levels[node.macroname], self.inline(_last(node))))

    def own_paragraph(self, node: LatexMacroNode) -> None:
        self._add(Paragraph(self.inline(_last(node))))

    def code(self, node: LatexMacroNode) -> None:
        index = self.inline(_last(node))
        # Behind the environment's name may stand its options.
        code = self._code[int(index)] if index.isdecimal() and int(index) < len(self._code) else index
        self._add(Code(re.sub(r"\A(?:\[[^\]\n]*\])?(?:\{[^}\n]*\})?", "", code)))

    def caption(self, node: LatexMacroNode) -> None:
        if self._caption is None:
            self.own_paragraph(node)
        else:
            self._caption = self.inline(_last(node))

    def picture(self, node: LatexMacroNode) -> None:
        self._add(Figure("", self.inline(_last(node))))

    def footnote_text(self, node: LatexMacroNode) -> None:
        mark = _arguments(node)[:1]
        named = self.inline(mark[0].nodelist) if mark and mark[0] is not None else str(self._notes)
        self._add(Footnote(named, self.inline(_last(node))))

    def end_paragraph(self, _node: LatexMacroNode) -> None:
        self.flush()

    def _environment(self, node: LatexEnvironmentNode) -> None:
        name = node.environmentname
        if name in _TABULARS:
            table, caption = self._table(node)
            self._add(TableBlock(table, caption))
        elif name in MATH_ENVIRONMENTS:
            self._formula(
                _inner(self._source, node) if name in DELIMITING_ENVIRONMENTS else _source_of(self._source, node)
            )
        elif name in {"itemize", "enumerate", "description"}:
            self._list(node)
        elif name in {"table", "table*", "sidewaystable", "figure", "figure*", "wrapfigure"}:
            self._float(node)
        elif name in _THEOREMS:
            self.flush()
            named = self.inline([a for a in _arguments(node) if a is not None])
            self._texts.append(f"{_THEOREMS[name]} ({named}). " if named else f"{_THEOREMS[name]}. ")
            self.read(node.nodelist)
            self.flush()
        elif name == "abstract":
            self._add(Heading(1, "Abstract"))
            self.read(node.nodelist)
            self.flush()
        else:
            self.flush()
            self.read(node.nodelist)
            self.flush()

    def _nested(self, nodes: Nodes) -> list[Block]:
        outer_blocks, outer_texts = self.blocks, self._texts
        self.blocks, self._texts = [], []
        self.read(nodes)
        self.flush()
        inner, self.blocks, self._texts = self.blocks, outer_blocks, outer_texts
        return inner

    def _float(self, node: LatexEnvironmentNode) -> None:
        self.flush()
        outer, self._caption = self._caption, ""
        blocks = self._nested(node.nodelist)
        caption, self._caption = self._caption, outer
        captioned = next((i for i, b in enumerate(blocks) if isinstance(b, Figure | TableBlock)), None)
        if captioned is not None:
            block = blocks[captioned]
            assert isinstance(block, Figure | TableBlock)
            blocks[captioned] = replace(block, caption=block.caption or caption)
        elif node.environmentname.startswith(("figure", "wrap")):
            blocks.append(Figure(caption))
        elif caption:
            blocks.append(Paragraph(caption))
        self.blocks += blocks

    def _list(self, node: LatexEnvironmentNode) -> None:
        self.flush()
        items: list[ListItem] = []
        before: list[LatexNode] = []
        parts: list[tuple[LatexMacroNode, list[LatexNode]]] = []
        for child in node.nodelist:
            if isinstance(child, LatexMacroNode) and child.macroname == "item":
                parts.append((child, []))
            else:
                (parts[-1][1] if parts else before).append(child)
        self.read(before)
        for item, nodes in parts:
            label = _arguments(item)
            term = self.inline(label[0].nodelist) if label and label[0] is not None else ""
            items.append(replace(item_of(self._nested(nodes)), term=term))
        if items:
            is_ordered = node.environmentname == "enumerate"
            self._add(ListBlock(tuple(items), is_ordered, self._first_number(before) if is_ordered else 1))

    def _first_number(self, before: Nodes) -> int:
        """What a list that goes on counts from, by the counter set at its beginning."""
        counters = [_arguments(n) for n in before if isinstance(n, LatexMacroNode) and n.macroname == "setcounter"]
        numbers = [self.inline([value]) for _, value in counters if value is not None]
        return int(numbers[-1]) + 1 if numbers and re.fullmatch("-?[0-9]{1,9}", numbers[-1]) else 1

    # Tables.

    def _table(self, node: LatexEnvironmentNode) -> tuple[Table, str]:
        grid = Grid()
        caption = ""
        first_head: int | None = None
        for segments, ending in _rows(node.nodelist):
            head = [n for n in segments[0] if not _is_blank(n)]
            for part in head:
                if isinstance(part, LatexMacroNode) and part.macroname == "caption":
                    caption = caption or self.inline(_last(part))
            segments[0] = [n for n in segments[0] if not (isinstance(n, LatexMacroNode) and n.macroname == "caption")]
            if ending == "endfirsthead":
                first_head = grid.row_count
            elif ending in {"endhead", "endfoot", "endlastfoot"} and first_head is not None:
                # A long table repeats its head on every page, the answer says it twice.
                grid.drop_rows(first_head)
            self._row(grid, segments)
        table = grid.finish()
        self.warnings += grid.warnings
        return table, caption

    def _row(self, grid: Grid, segments: list[list[LatexNode]]) -> None:
        cells = [self._cell(nodes) for nodes in segments]
        is_blank = all(text is None for _, text in cells)
        grid.start_row()
        if is_blank and len(cells) == 1:
            if not grid.is_row_covered:
                grid.end_row()
            return
        for cell, text in cells:
            if text is not None or not grid.skip(cell.column_span):
                grid.put(cell, text or "")

    def _cell(self, nodes: Nodes) -> tuple[Cell, str | None]:
        """A cell at no place yet, and its text; None where nothing at all is said."""
        rows = columns = 1
        is_header = False
        content = [node for node in nodes if not _is_blank(node)]
        while len(content) == 1 and isinstance(content[0], LatexMacroNode):
            macro = content[0]
            if macro.macroname == "multicolumn":
                columns = _number(self.inline(_arguments(macro)[:1]), MAX_COLUMN_SPAN)
            elif macro.macroname == "multirow":
                rows = _number(self.inline(_arguments(macro)[1:2]), MAX_ROW_SPAN)
            elif macro.macroname == "thead":
                is_header = True
            else:
                break
            argument = _last(macro)
            nodes = argument[0].nodelist if argument and isinstance(argument[0], LatexGroupNode) else argument
            content = [node for node in nodes if not _is_blank(node)]
        text = self.inline(nodes) if content else None
        return Cell(0, 0, "", rows, columns, is_header), "" if text is None and is_header else text

    # Text.

    def inline(self, nodes: Nodes) -> str:
        """The text of *nodes* in its normal form."""
        return _finished([self._inline(nodes)])

    def _inline(self, nodes: Nodes) -> str:
        return "".join(self._inline_node(node) for node in nodes if node is not None)

    def _inline_node(self, node: LatexNode) -> str:
        return _INLINE[type(node)](self, node)

    def chars(self, node: LatexCharsNode) -> str:
        """Running text, its line ends as they are."""
        return str(node.chars)

    def math(self, node: LatexMathNode) -> str:
        """Inline mathematics; displayed one too, where there is no place for a block."""
        return _inline_math(_inner(self._source, node))

    def specials(self, node: LatexSpecialsNode) -> str:
        """The character that a ligature stands for."""
        return str(_LIGATURES.get(node.specials_chars, node.specials_chars))

    def group(self, node: LatexGroupNode) -> str:
        """What stands in braces."""
        return self._inline(node.nodelist)

    def comment(self, node: LatexCommentNode) -> str:
        """Nothing but the line end behind a comment."""
        return "\n" if "\n" in node.comment_post_space else ""

    def environment(self, node: LatexEnvironmentNode) -> str:
        """An environment where there is no place for a block."""
        if node.environmentname in MATH_ENVIRONMENTS:
            return _inline_math(_source_of(self._source, node))
        if node.environmentname in _TABULARS:
            return _BREAK.join(" | ".join(row) for row in self._table(node)[0].rows)
        return f"{_BREAK}{self._inline(node.nodelist)}{_BREAK}"

    def macro(self, node: LatexMacroNode) -> str:
        """What a command prints: of unknown ones the text of their arguments."""
        name, space = node.macroname, node.macro_post_space
        if name in _OWN:
            return _OWN[name](self, node)
        if name in _FIXED:
            return _FIXED[name]
        if name in _LAST_ONLY:
            return self._inline(_last(node))
        arguments = [a for a in _arguments(node) if isinstance(a, LatexGroupNode) and a.delimiters[0] == "{"]
        if _is_symbol(name) and not _holds_commands(_arguments(node)):
            return str(_SYMBOLS.macro_node_to_text(node))
        if not arguments:
            return self._inline(_arguments(node)) or str(space)
        return " ".join(self._inline(argument.nodelist) for argument in arguments)

    def verbatim(self, node: LatexMacroNode) -> str:
        r"""What stands in `\\verb`."""
        return str(getattr(node.nodeargd, "verbatim_text", ""))

    def footnote(self, node: LatexMacroNode) -> str:
        """The mark of a note; the note follows its paragraph."""
        self._notes += 1
        mark = str(self._notes)
        self._footnotes.append(Footnote(mark, self.inline(_last(node))))
        return f"[^{mark}]"

    def footnote_mark(self, node: LatexMacroNode) -> str:
        """The mark of a note that is written elsewhere."""
        mark = _arguments(node)[:1]
        if mark and mark[0] is not None:
            return f"[^{self._inline(mark[0].nodelist)}]"
        self._notes += 1
        return f"[^{self._notes}]"

    def raised(self, node: LatexMacroNode) -> str:
        """Superscript text."""
        return raised(self._inline(_last(node)))

    def lowered(self, node: LatexMacroNode) -> str:
        """Subscript text."""
        return lowered(self._inline(_last(node)))

    def mathematics(self, node: LatexMacroNode) -> str:
        r"""The formula in `\ensuremath`."""
        return _inline_math("".join(_source_of(self._source, n) for a in _last(node) for n in a.nodelist))

    def underlined(self, node: LatexMacroNode) -> str:
        """Underlined text; a line to write on where there is none."""
        return self._inline(_last(node)) if self.inline(_last(node)) else "____"

    def dingbat(self, node: LatexMacroNode) -> str:
        """A sign of the font Zapf Dingbats by its number: hooks, crosses, numbers in circles."""
        words = self.inline(_last(node))
        number = int(words) if re.fullmatch("[0-9]{1,3}", words) else 0
        runs = (chr(code + number - first) for first, last, code in _DINGBATS if first <= number <= last)
        return _ODD_DINGBATS.get(number) or next(runs, words)

    def circled(self, node: LatexMacroNode) -> str:
        """A number or letter in a circle."""
        inside = self.inline(_last(node))
        if inside.isdecimal() and 1 <= int(inside) <= 20:  # noqa: PLR2004 - as far as there are such characters
            return chr(ord("①") + int(inside) - 1)
        return unicodedata.lookup(f"CIRCLED LATIN CAPITAL LETTER {inside}") if re.fullmatch("[A-Z]", inside) else inside

    def reference(self, node: LatexMacroNode) -> str:
        """A citation or reference by its key, which is all there is."""
        return f"[{self.inline(_last(node))}]"


_BLOCK_MACROS: Mapping[str, Callable[[_Reader, LatexMacroNode], None]] = MappingProxyType(
    {
        **dict.fromkeys(("title", "part", "chapter", *_SECTIONS), _Reader.heading),
        **dict.fromkeys(("author", "date", "affil"), _Reader.own_paragraph),
        **dict.fromkeys(("caption", "captionof"), _Reader.caption),
        **dict.fromkeys(("par", "bibitem"), _Reader.end_paragraph),
        "keptcode": _Reader.code,
        "includegraphics": _Reader.picture,
        "footnotetext": _Reader.footnote_text,
    }
)
_INLINE: Mapping[type, Callable[[_Reader, LatexNode], str]] = MappingProxyType(
    {
        LatexCharsNode: _Reader.chars,
        LatexMathNode: _Reader.math,
        LatexSpecialsNode: _Reader.specials,
        LatexGroupNode: _Reader.group,
        LatexCommentNode: _Reader.comment,
        LatexEnvironmentNode: _Reader.environment,
        LatexMacroNode: _Reader.macro,
    }
)
_ODD_DINGBATS = {
    37: "☎", 42: "☛", 43: "☞", 72: "★", 108: "●", 110: "■", 115: "▲", 116: "▼", 117: "◆", 119: "◗",
    168: "♣", 169: "♦", 170: "♥", 171: "♠",
}  # fmt: skip
"""Signs that Unicode had elsewhere before."""
_DINGBATS = ((33, 126, 0x2701), (172, 181, 0x2460), (182, 191, 0x2776), (192, 211, 0x2780))
"""The first and the last number of each run in the font, and the character of the first."""
_OWN: Mapping[str, Callable[[_Reader, LatexMacroNode], str]] = MappingProxyType(
    {
        "footnote": _Reader.footnote,
        "thanks": _Reader.footnote,
        "footnotemark": _Reader.footnote_mark,
        "textsuperscript": _Reader.raised,
        "textsubscript": _Reader.lowered,
        "ding": _Reader.dingbat,
        "textcircled": _Reader.circled,
        "underline": _Reader.underlined,
        "ensuremath": _Reader.mathematics,
        "verb": _Reader.verbatim,
        **dict.fromkeys(("cite", "citep", "citet", "ref", "eqref", "autoref", "cref", "Cref"), _Reader.reference),
    }
)


def _is_symbol(name: str) -> bool:
    """Whether pylatexenc knows what the command prints: accents, letters, signs."""
    if len(name) == 1:
        return True
    spec = _SYMBOLS.latex_context.get_macro_spec(name)
    shown = getattr(spec, "simplify_repl", None)
    return isinstance(shown, str) and "%" not in shown and bool(shown)


def _holds_commands(nodes: Sequence[LatexNode | None]) -> bool:
    """Whether there is anything in an accent's argument that cannot bear an accent."""
    return any(
        (isinstance(node, LatexMacroNode) and node.macroname not in {"i", "j"})
        or (isinstance(node, LatexGroupNode) and _holds_commands(node.nodelist))
        or isinstance(node, LatexMathNode | LatexEnvironmentNode)
        for node in nodes
    )


def _inline_math(latex: str) -> str:
    words = " ".join(harmless_latex(latex).replace("\\(", "(").replace("\\)", ")").split())
    return f"\\({words}\\)" if words else ""


def _finished(texts: Sequence[str]) -> str:
    return normal_lines(running_text("".join(texts)).replace(_BREAK, "\n"))


def _source_of(source: str, node: LatexNode) -> str:
    return source[node.pos : node.pos + node.len]


def _inner(source: str, node: LatexNode) -> str:
    """The source between a node's delimiters."""
    if not node.nodelist:
        return ""
    last = node.nodelist[-1]
    return source[node.nodelist[0].pos : last.pos + last.len]


def _is_blank(node: LatexNode) -> bool:
    if isinstance(node, LatexCharsNode):
        return not node.chars.strip()
    if isinstance(node, LatexMacroNode):
        return node.macroname in _SILENT
    return isinstance(node, LatexCommentNode)


def _has_block(node: LatexMacroNode) -> bool:
    return any(isinstance(n, LatexEnvironmentNode) for a in _last(node) for n in getattr(a, "nodelist", ()))


def _number(text: str, most: int) -> int:
    digits = re.search(r"\d+", text[:30])
    return max(1, min(int(digits[0]), most)) if digits else 1


def _rows(nodes: Nodes) -> Iterator[tuple[list[list[LatexNode]], str]]:
    """The rows of a tabular as segments between `&`, each with the command of a long table that it begins with."""
    segments: list[list[LatexNode]] = [[]]
    ending = ""
    for node in nodes:
        if isinstance(node, LatexSpecialsNode) and node.specials_chars == "&":
            segments.append([])
        elif isinstance(node, LatexMacroNode) and node.macroname in {"\\", "tabularnewline", "cr"}:
            yield segments, ending
            segments, ending = [[]], ""
        else:
            if isinstance(node, LatexMacroNode) and node.macroname.startswith("end"):
                ending = node.macroname
            segments[-1].append(node)
    if len(segments) > 1 or any(not _is_blank(node) for node in segments[0]):
        yield segments, ending
