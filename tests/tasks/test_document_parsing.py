"""Answers with documents, and the blocks that are read from them."""

import pytest

from langchain_qwen_ocr.tasks.document import (
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
from langchain_qwen_ocr.tasks.document_parsing import DocumentParsing, DocumentTree
from langchain_qwen_ocr.tasks.table import Cell, Table

TASK = DocumentParsing()


@pytest.mark.parametrize(
    ("answer", "blocks"),
    [
        pytest.param(r"\section*{A}Text", (Heading(1, "A"), Paragraph("Text")), id="body"),
        pytest.param(
            "```latex\n\\documentclass{article}\n\\title{T}\\author{A \\\\ B}\\date{}\n\\begin{document}\n\\maketitle\n"
            "\\begin{abstract}Short.\\end{abstract}\n\\subsection{S}\n\\end{document}\n\n```",
            (Heading(0, "T"), Paragraph("A\nB"), Heading(1, "Abstract"), Paragraph("Short."), Heading(2, "S")),
            id="whole-document",
        ),
        pytest.param(
            r"\chapter{A}\section{B}\paragraph{C}d",
            (Heading(1, "A"), Heading(2, "B"), Heading(5, "C"), Paragraph("d")),
            id="chapters",
        ),
        pytest.param("\\noindent a\nb\n\nc\\\\d", (Paragraph("a b"), Paragraph("c\nd")), id="paragraphs"),
        pytest.param("\\textbf{中文}\n换行", (Paragraph("中文换行"),), id="no-space-between-chinese-lines"),
        pytest.param(
            r"\textit{50\% of \$3 \& a\_b --- caf\'e} \unknown[x]{kept}",
            (Paragraph("50% of $3 & a_b — café [x]kept"),),
            id="escapes",
        ),
        pytest.param(r"\emph{a} costs $5, 10% off", (Paragraph("a costs $5, 10% off"),), id="stray-signs"),
        pytest.param(r"\emph{a} $x_1 < 2$ and \(y\)", (Paragraph(r"a \(x_1 < 2\) and \(y\)"),), id="inline"),
        pytest.param(
            "\\noindent a\\[x\\]b$$y$$\\begin{equation}\\label{e}z\\end{equation}\\begin{align*}p&=q\\end{align*}",
            (
                Paragraph("a"),
                Formula("x"),
                Paragraph("b"),
                Formula("y"),
                Formula("z"),
                Formula("\\begin{align*}p&=q\\end{align*}"),
            ),
            id="display",
        ),
        pytest.param(
            "\\begin{itemize}\\item a\\item[T] b\\begin{enumerate}\\item c\\end{enumerate}\\end{itemize}",
            (ListBlock((ListItem("a"), ListItem("b", (ListBlock.of(["c"], ordered=True),), "T"))),),
            id="lists",
        ),
        pytest.param(
            "\\begin{table}\\caption{C}\\begin{tabular}{|l|r|}\\hline\\multicolumn{2}{c}{\\textbf{H}}\\\\\\cline{1-2}"
            "\\multirow{2}{*}{a}&1\\\\&2\\\\\\hline\\end{tabular}\\end{table}",
            (
                TableBlock(
                    Table(
                        (Cell(0, 0, "H", column_span=2), Cell(1, 0, "a", row_span=2), Cell(1, 1, "1"), Cell(2, 1, "2"))
                    ),
                    "C",
                ),
            ),
            id="table",
        ),
        pytest.param(
            r"\begin{figure}[h]\includegraphics[width=1cm]{a.png}\caption{F}\end{figure}",
            (Figure("F", "a.png"),),
            id="figure",
        ),
        pytest.param(
            "\\emph{a}\\footnote{n}.\n\nb", (Paragraph("a[^1]."), Footnote("1", "n"), Paragraph("b")), id="footnote"
        ),
        pytest.param("\\begin{verbatim}\n a $ % \\x\n\\end{verbatim}", (Code(" a $ % \\x"),), id="verbatim"),
        pytest.param("\\emph{a} % note\nb", (Paragraph("a b"),), id="comment"),
        pytest.param(
            "# T\n\na **b** $x$\n\n- c\n  1. d\n\n$$\ny\n$$\n\n| e |\n|---|\n| f |",
            (
                Heading(1, "T"),
                Paragraph(r"a b \(x\)"),
                ListBlock((ListItem("c", (ListBlock.of(["d"], ordered=True),)),)),
                Formula("y"),
                TableBlock(Table((Cell(0, 0, "e", is_header=True), Cell(1, 0, "f")))),
            ),
            id="markdown",
        ),
        pytest.param(
            "```html\n<h1>T</h1><p>a<br>b $x$</p><ul><li>c<li>d</ul><table><tr><td>e</table>\n```",
            (
                Heading(1, "T"),
                Paragraph("a\nb \\(x\\)"),
                ListBlock.of(["c", "d"]),
                TableBlock(Table((Cell(0, 0, "e"),))),
            ),
            id="html",
        ),
        pytest.param(
            r"\section{A\footnote{n}}b\footnote{o}\section{C}",
            (Heading(1, "A[^1]"), Footnote("1", "n"), Paragraph("b[^2]"), Footnote("2", "o"), Heading(1, "C")),
            id="notes-follow-what-they-belong-to",
        ),
        pytest.param(
            "\\begin{theorem}[Rolle]\nLet $x$.\n\\end{theorem}\n\\begin{proof}Easy.\\end{proof}",
            (Paragraph(r"Theorem (Rolle). Let \(x\)."), Paragraph("Proof. Easy.")),
            id="theorem",
        ),
        pytest.param(
            r"\emph{a} \ding{51} \ding{172} \textcircled{3} \checkmark \Box",
            (Paragraph("a ✓ ① ③ ✓☐"),),
            id="signs",
        ),
        pytest.param(
            "# A\n\nThe \\textbf{rent}:\n\\begin{equation}\nx=1\n\\end{equation}\nend",
            (Heading(1, "A"), Paragraph("The rent:"), Formula("x=1"), Paragraph("end")),
            id="latex-inside-markdown",
        ),
        pytest.param(
            "<h1>A</h1><div>$$x=1$$</div><p>\\[y\\]</p>",
            (Heading(1, "A"), Formula("x=1"), Formula("y")),
            id="formulas-inside-html",
        ),
        pytest.param(
            "第一章 总则\n第一条 目的\n\nEnd",
            (Paragraph("第一章 总则\n第一条 目的"), Paragraph("End")),
            id="plain-lines",
        ),
        pytest.param(
            "\\section*{A}\n1. Let $x$.\n\n$$y$$\n\nName: \\underline{\\qquad}",
            (Heading(1, "A"), Paragraph(r"1. Let \(x\)."), Formula("y"), Paragraph("Name: ____")),
            id="numbers-and-dollars-inside-latex",
        ),
        pytest.param(
            r"\begin{table}\caption{T}\resizebox{\textwidth}{!}{\begin{tabular}{l}a\end{tabular}}\end{table}",
            (TableBlock(Table((Cell(0, 0, "a"),)), "T"),),
            id="resized-table",
        ),
        *(
            pytest.param(
                list_that_goes_on,
                (ListBlock.of(["A"], ordered=True), Paragraph("b"), ListBlock((ListItem("C"),), ordered=True, start=2)),
                id=f"list-that-goes-on-{markup}",
            )
            for markup, list_that_goes_on in {
                "latex": "\\begin{enumerate}\\item A\\end{enumerate}b"
                "\\begin{enumerate}\\setcounter{enumi}{1}\\item C\\end{enumerate}",
                "markdown": "1. A\n\nb\n\n2. C",
                "html": "<ol><li>A</li></ol><p>b</p><ol start='2'><li>C</li></ol>",
            }.items()
        ),
        pytest.param("Just words.", (Paragraph("Just words."),), id="plain"),
        pytest.param("", (), id="nothing"),
    ],
)
def test_forms_of_an_answer(answer, blocks) -> None:
    """Every form in which models write documents gives blocks, and is whole."""
    result = TASK.parse(answer)
    assert (result.blocks, result.cut) == (blocks, False)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("```latex\n\\section{A}", id="fence"),
        pytest.param("\\documentclass{article}\n\\begin{document}\na", id="document"),
        pytest.param("\\documentclass{article}\n\\title{a}", id="before-the-document"),
        pytest.param("\\section{A", id="argument"),
        pytest.param("\\section", id="command"),
        pytest.param("\\textbf{a}\\begin{itemize}\\item b", id="environment"),
        pytest.param("\\textbf{a} $x", id="inline-mathematics"),
        pytest.param("\\textbf{a} \\[x", id="display"),
        pytest.param("\\begin{verbatim} a", id="verbatim"),
        pytest.param("# a\n\n\\begin{tabular}{l}\nb", id="latex-inside-markdown"),
        pytest.param("a\n\n$$\nx", id="markdown-display"),
        pytest.param("a\n\n```python\nx", id="markdown-code"),
    ],
)
def test_answers_that_stop_are_cut(answer) -> None:
    """A structure that stays open is said."""
    assert TASK.parse(answer).cut


@pytest.mark.parametrize(
    "command",
    [r"\input{/etc/passwd}", r"\write18{rm}", r"\immediate\openout1=x", r"\def\x{y}", r"\catcode`a=1", "^^5cinput{x}"],
)
@pytest.mark.parametrize("place", ["\\textbf{a} %s", "$x %s$", "\\[x %s\\]", "\\begin{tabular}{l}$%s$\\end{tabular}"])
def test_dangerous_commands_are_harmless_in_all_that_is_written(command, place) -> None:
    """No form of the document holds a command that reads, writes, runs or redefines; the answer's LaTeX is kept."""
    answer = place % command
    result = TASK.parse(answer)
    written = "".join(result.render(form) for form in ("text", "md", "latex", "html")) + TASK.write(result)
    assert not any(name in written for name in ("\\input", "\\write", "\\immediate", "\\openout", "\\def", "\\catcode"))
    assert "^^" not in result.to_latex()
    assert result.latex in {answer, ""}


def test_a_link_keeps_its_words_alone() -> None:
    """No address that the model wrote can be followed."""
    assert "javascript" not in TASK.parse(r"\textbf{a} \href{javascript:alert(1)}{link}").text


def test_markdown_for_retrieval() -> None:
    """Mathematics in dollars, footnotes, escaped text, environments that Markdown knows."""
    result = DocumentTree(
        blocks=(
            Heading(0, "T"),
            Heading(1, "S"),
            Paragraph("$5 for \\(a_1\\)[^1]\n# no heading"),
            Footnote("1", "note"),
            Formula("\\begin{align*}a&=b\\end{align*}"),
            ListBlock((ListItem("one", (Paragraph("two"),)),), ordered=True),
        )
    )
    assert result.text == (
        "# T\n\n## S\n\n\\$5 for $a_1$[^1]\\\n\\# no heading\n\n[^1]: note\n\n"
        "$$\n\\begin{aligned}a&=b\\end{aligned}\n$$\n\n1. one\n\n   two"
    )


def test_deep_nesting_keeps_the_words() -> None:
    """A hundred thousand open braces give words and a warning, not a crash."""
    result = TASK.parse("\\section{A} words " + "{" * 100_000)
    assert result.warnings == ("The LaTeX is nested too deeply to be read; its words are kept.",)
    assert result.cut
    assert "words" in result.text
