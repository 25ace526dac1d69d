"""How long answers take to be read, beside libraries that read the same text: `python -m tests.benchmarks.reading`.

Needs lxml and beautifulsoup4 beside the test requirements.
"""

import io
import time
from collections.abc import Callable

import pandas as pd
from bs4 import BeautifulSoup
from pylatexenc.latexwalker import LatexWalker

from langchain_qwen_ocr.tasks.document_parsing import DocumentParsing
from langchain_qwen_ocr.tasks.table_parsing import TableParsing

_ROUNDS = 3


def table_answer(length: int, columns: int = 8) -> str:
    """A fenced HTML table of about *length* characters."""
    rows: list[str] = []
    while sum(map(len, rows[:1])) * len(rows) < length:
        number = len(rows)
        cells = "".join(f"    <td>Item {number}.{column} 活载荷 &amp; more</td>\n" for column in range(columns))
        rows.append(f"  <tr>\n{cells}  </tr>\n")
    return f"```html\n<table>\n{''.join(rows)}</table>\n```"


def document_answer(length: int) -> str:
    """A fenced LaTeX document of about *length* characters: prose, mathematics, lists, tables."""
    part = (
        "\\section{Measured values}\nThe load of the \\textbf{first} span, $q_{k} = 3.5\\,\\mathrm{kN/m}$, was "
        "raised in steps of 5\\% until the deflection $w(x) = \\frac{q x^2}{24 E I}$ had reached its limit; "
        "the values are the "
        "means of three runs, and nothing was left out of them but the first minute.\n\n"
        "\\begin{align*}\nM(x) &= \\int_0^x q(t)(x-t)\\,dt \\\\\nV(x) &= \\frac{dM}{dx}\n\\end{align*}\n"
        "\\begin{itemize}\n\\item the first span, 中文说明文字\n\\item the second span\n\\end{itemize}\n"
        "\\begin{tabular}{|l|r|}\n\\hline\nSpan & Load \\\\ \\hline\nfirst & 3.5 \\\\\nsecond & 4.1 \\\\\n\\hline\n"
        "\\end{tabular}\n\n"
    )
    return f"```latex\n\\begin{{document}}\n{part * (length // len(part))}\\end{{document}}\n```"


def seconds(work: Callable[[], object]) -> float:
    """The best of some rounds."""
    times = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def table_peers(answer: str) -> dict[str, Callable[[], object]]:
    """What else reads a table, without the fence, which only we understand."""
    inner = answer.removeprefix("```html\n").removesuffix("\n```")
    return {
        "pandas.read_html (lxml)": lambda: pd.read_html(io.StringIO(inner), flavor="lxml"),
        "BeautifulSoup (lxml)": lambda: BeautifulSoup(inner, "lxml"),
        "BeautifulSoup (html.parser)": lambda: BeautifulSoup(inner, "html.parser"),
    }


def document_peers(answer: str) -> dict[str, Callable[[], object]]:
    """What else reads LaTeX."""
    inner = answer.removeprefix("```latex\n").removesuffix("\n```")
    return {"pylatexenc, its own parse": lambda: LatexWalker(inner).get_latex_nodes()}


def main() -> None:
    """Print the table of times and ratios."""
    table, document = table_answer(1_000_000), document_answer(200_000)
    grid = "<table>" + ("<tr>" + "<td>12.5</td>" * 20 + "</tr>") * 300 + "</table>"
    runs: list[tuple[str, Callable[[], object], dict[str, Callable[[], object]]]] = [
        (f"table, {len(table) // 1000} kB", lambda: TableParsing().parse(table), table_peers(table)),
        ("table, 300 x 20 cells", lambda: TableParsing().parse(grid), table_peers(grid)),
        (
            f"document, {len(document) // 1000} kB",
            lambda: DocumentParsing().parse(document),
            document_peers(document),
        ),
    ]
    print(f"{'answer':24} {'ours ms':>9}   {'other':28} {'other ms':>9} {'ours/other':>11}")
    for name, ours, others in runs:
        own = seconds(ours)
        for other, work in others.items():
            its = seconds(work)
            print(f"{name:24} {own * 1000:9.1f}   {other:28} {its * 1000:9.1f} {own / its:11.2f}")


if __name__ == "__main__":
    main()
