"""Tables, blocks and hostile texts for property tests."""

from hypothesis import strategies as st

from langchain_qwen_ocr.tasks.document import (
    Block,
    Code,
    Figure,
    Footnote,
    Formula,
    Heading,
    ListBlock,
    ListItem,
    Paragraph,
    TableBlock,
)
from langchain_qwen_ocr.tasks.table import Cell, Table

WORDS = st.text(
    st.one_of(
        st.sampled_from(list("ab 1.,$&%#_{}~^\\<>|`'\"-!?[]()*+=/\n中文，é“–")),
        st.characters(exclude_categories=["Cs", "Cc"]),
    ),
    max_size=30,
).filter(lambda text: "\\(" not in text)
"""Text with all that HTML, LaTeX and Markdown would take for their own."""
LATEX = st.lists(
    st.sampled_from([r"\frac{a}{b}", "x", "+", r"\alpha ", "_{i}", "^2", r"\{", r"\}", r"\text{if }", "&", r"\\"]),
    min_size=1,
    max_size=8,
).map("".join)
MATH_TEXT = st.tuples(WORDS, LATEX, WORDS).map(lambda parts: f"{parts[0]} \\({parts[1]}\\) {parts[2]}")
TEXTS = st.one_of(WORDS, MATH_TEXT)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Tables with spans and early row ends, every place covered once."""
    height, width = draw(st.integers(0, 5)), draw(st.integers(1, 5))
    covered: set[tuple[int, int]] = set()
    cells = []
    for row in range(height):
        for column in range(draw(st.integers(0, width))):
            if (row, column) in covered:
                continue
            rows = draw(st.integers(1, height - row))
            columns = draw(st.integers(1, width - column))
            places = {(row + r, column + c) for r in range(rows) for c in range(columns)}
            if places & covered:
                rows = columns = 1
                places = {(row, column)}
            covered |= places
            cells.append(Cell(row, column, draw(TEXTS), rows, columns, draw(st.booleans())))
    return Table(tuple(cells))


FORMULAS = st.one_of(LATEX, LATEX.map(lambda latex: f"\\begin{{align*}}\n{latex}\n\\end{{align*}}"))
_SIMPLE: st.SearchStrategy[Block] = st.one_of(
    st.builds(Heading, st.integers(0, 5), TEXTS),
    st.builds(Paragraph, TEXTS),
    st.builds(Formula, FORMULAS),
    st.builds(TableBlock, tables(), TEXTS),
    st.builds(Figure, TEXTS, WORDS),
    st.builds(Footnote, st.from_regex(r"\A[0-9a-z]{1,3}\Z"), TEXTS),
    st.builds(Code, WORDS),
)


def _lists(inner: st.SearchStrategy[Block]) -> st.SearchStrategy[Block]:
    item = st.builds(ListItem, TEXTS, st.lists(inner, max_size=3).map(tuple), TEXTS)
    return st.builds(ListBlock, st.lists(item, min_size=1, max_size=3).map(tuple), st.booleans(), st.integers(0, 99))


BLOCKS = st.lists(st.recursive(_SIMPLE, _lists, max_leaves=6), max_size=6).map(tuple)

FRAGMENTS = [
    "<table>",
    "</table>",
    "<tr>",
    "</tr>",
    "<td>",
    "</td>",
    "<td rowspan=0>",
    '<td colspan="3">',
    "<th",
    "<!--",
    "-->",
    "<li>",
    "</ul>",
    "<ol>",
    "<h2>",
    "<pre>",
    "<p>",
    "&amp;",
    "&#0;",
    "<script>",
    "\\begin{tabular}{l}",
    "\\end{tabular}",
    "\\begin{itemize}",
    "\\item",
    "[",
    "]",
    "{",
    "}",
    "$",
    "$$",
    "\\[",
    "\\]",
    "\\(",
    "\\)",
    "\\\\",
    "\\section",
    "%",
    "\\multirow{2}{*}{",
    "\\multicolumn{9999999}{c}",
    "&",
    "\\begin{verbatim}",
    "\\end{verbatim}",
    "\\verb|",
    "\\footnote",
    "\\'",
    "\\frac",
    "\\begin{align}",
    "\\end{align}",
    "|",
    "---",
    "| - |",
    "\n",
    "\n\n",
    "```",
    "```html\n",
    "# ",
    "- ",
    "1. ",
    " ",
    "a",
    "中",
    "\\keptcode{7}",
    "\\keptcode{}",
    "\\chapter",
    "\\caption",
    "\\cmidrule(lr){1-2}",
    "~",
    "`",
]
SOUPS = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(FRAGMENTS), max_size=25).map("".join))
"""Any text, and texts of broken markup."""
