"""Answers with tables, and what is read from them."""

import pytest

from langchain_qwen_ocr.errors import AnswerError
from langchain_qwen_ocr.tasks.table_parsing import TableParsing, Tables

TASK = TableParsing()


def rows(result: Tables):
    return [table.rows for table in result.tables]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param("```html\n<table><tr><td>a</td><td>b</td></tr></table>\n```", [(("a", "b"),)], id="fenced"),
        pytest.param("<table><tr><td>a</td></tr></table>", [(("a",),)], id="bare"),
        pytest.param("<tr><td>a</td></tr><tr><td>b</td></tr>", [(("a",), ("b",))], id="no-table-tag"),
        pytest.param(
            "<html><head><title>x</title></head><body><table><tr><td>a</td></tr></table></body></html>",
            [(("a",),)],
            id="page-around",
        ),
        pytest.param(
            "<table><tr><td>a</td></tr></table><table><tr><td>b</td></tr></table>", [(("a",),), (("b",),)], id="two"
        ),
        pytest.param("<table><tr><td>a<td>b<tr><td>c</table>", [(("a", "b"), ("c", ""))], id="nothing-closed"),
        pytest.param(
            '<table><tr><td rowspan="2">a</td><td>b</td></tr><tr><td>c</td></tr></table>',
            [(("a", "b"), ("a", "c"))],
            id="rowspan",
        ),
        pytest.param(
            "<table><tr><td colspan=2>a</td></tr><tr><td>b</td><td>c</td></tr></table>",
            [(("a", "a"), ("b", "c"))],
            id="colspan",
        ),
        pytest.param(
            "<table><tr><td rowspan=0>a<td>b<tr><td>c<tr><td>d</table>",
            [(("a", "b"), ("a", "c"), ("a", "d"))],
            id="rowspan-zero-goes-to-the-end",
        ),
        pytest.param(
            "<table><tr><td rowspan=1000000000>a<td>b<tr><td>c</table>",
            [(("a", "b"), ("a", "c"))],
            id="absurd-rowspan",
        ),
        pytest.param(
            "<table><tr><td>a<td>b<td rowspan=2>c<tr><td colspan=3>d</table>",
            [(("a", "b", "c"), ("d", "d", "c"))],
            id="overlapping-spans",
        ),
        pytest.param("<table><tr><td>a<br/>b<p>c</p></table>", [(("a\nb\nc",),)], id="line-breaks"),
        pytest.param("<table><tr><td>&lt;b&gt; &amp;&nbsp;&#x4e2d;</table>", [(("<b> & 中",),)], id="entities"),
        pytest.param("<table><tr><td>m<sup>2</sup> H<sub>2</sub>O</table>", [(("m² H₂O",),)], id="raised"),
        pytest.param("<table><!-- <tr><td>x --><tr><td>a</table>", [(("a",),)], id="comment"),
        pytest.param('<TABLE border="1"><TR><TD style="a>b" CLASS=c>a</TD></TR></TABLE>', [(("a",),)], id="attributes"),
        pytest.param(
            "<table><tr><td>x<table><tr><td>1<td>2<tr><td>3</table></td><td>y</table>",
            [(("x\n1 | 2\n3 |", "y"),)],
            id="nested-becomes-lines",
        ),
        pytest.param("| a | b |\n|---|:-:|\n| 1 | 2\\|3 |", [(("a", "b"), ("1", "2|3"))], id="markdown"),
        pytest.param(
            "\\begin{tabular}{l}a & b \\\\ \\hline c & d\\end{tabular}", [(("a", "b"), ("c", "d"))], id="latex"
        ),
        pytest.param("", [], id="nothing"),
        pytest.param("There is no table in the image.", [], id="says-there-is-none"),
        pytest.param("<p>There is no table in the image.</p>", [], id="says-in-a-paragraph-that-there-is-none"),
        pytest.param("```html\n<html><head></head><body></body></html>\n```", [], id="page-of-nothing"),
    ],
)
def test_forms_of_an_answer(answer, expected) -> None:
    """Every form in which models write tables gives the same rectangle of texts, and is whole."""
    result = TASK.parse(answer)
    assert (rows(result), result.cut) == (expected, False)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param("```html\n<table><tr><td>a</td></tr></table>", [(("a",),)], id="fence-open"),
        pytest.param("<table><tr><td>a</td></tr>", [(("a",),)], id="table-open"),
        pytest.param("```html\n<table>\n<tr>\n<td>a</td>\n</```", [(("a",),)], id="in-a-closing-tag"),
        pytest.param("<table><tr><td>a</td></tr><tr><td rowsp", [(("a",),)], id="in-a-tag"),
        pytest.param("<table><tr><td>a</td><td>147.9", [(("a",),)], id="half-a-cell-is-left-out"),
        pytest.param("<table><tr><td>a<tr><td><tr><td></td", [(("a",),)], id="empty-rows-at-the-end-are-left-out"),
        pytest.param("<html><body><table><tr><td>a</table>", [(("a",),)], id="page-open"),
    ],
)
def test_answers_that_stop_are_cut(answer, expected) -> None:
    """What was complete is kept, and the result says that it was cut."""
    result = TASK.parse(answer)
    assert (rows(result), result.cut) == (expected, True)


@pytest.mark.parametrize(
    ("answer", "warning"),
    [
        pytest.param(
            "<table><tr><th>a<tr><td>1<td>2<tr><td>3<td>4</table>",
            "The first row has one cell less than the rows below it; which column has no name is not said.",
            id="head-one-short",
        ),
        pytest.param("<table><tr><td>a<td>b<tr><td>c</table>", "Rows with less than 2 columns: 2.", id="ragged"),
        pytest.param(
            "<table><tr><td>1<tr><td><td", "1 empty row at the end of a table that was cut left out.", id="tail"
        ),
        pytest.param(
            "<table><tr><td>a</td><td>147.9", "The last cell stops in its middle ('147.9') and is left out.", id="half"
        ),
    ],
)
def test_repairs_are_said(answer, warning) -> None:
    """What a reader must know stands in the warnings."""
    assert warning in TASK.parse(answer).warnings


@pytest.mark.parametrize("answer", ["A cat sits on a mat.", "<table>" + "<tr>" + "<td colspan=1000>" * 20])
def test_answers_in_no_form_are_refused(answer) -> None:
    """Text without a table, and a table beyond reason, are AnswerErrors that keep the answer."""
    with pytest.raises(AnswerError) as caught:
        TASK.parse(answer)
    assert caught.value.answer == answer


def test_a_picture_without_a_table_keeps_its_text() -> None:
    """HTML without a table is an answer: the text stays, and that there is no table is said."""
    result = TASK.parse("```html\n<p>Dear Ann,</p>\n<p>the rent is due.</p>\n```")
    assert (result.tables, result.text) == ((), "Dear Ann,\n\nthe rent is due.")
    assert result.warnings == ("The answer holds no table; its text is kept.",)
    assert TASK.parse(TASK.write(result)) == result


def test_text_around_keeps_its_place() -> None:
    """Captions and text before, between and after the tables stand there in every form."""
    result = TASK.parse("Prices\nof May:\n<table><caption>Tab. 1</caption><tr><td>1</table>\nEnd <b>now</b>.")
    assert result.text_around == ("Prices\nof May:\n\nTab. 1", "End now.")
    assert result.text == "Prices\nof May:\n\nTab. 1\n\n| 1 |\n| --- |\n\nEnd now."
    assert result.to_html() == (
        "<p>Prices<br>of May:</p>\n<p>Tab. 1</p>\n<table>\n  <tr>\n    <td>1</td>\n  </tr>\n</table>\n<p>End now.</p>"
    )


def test_head_cells_are_marked() -> None:
    """`th`, and `td` in a `thead`, are header cells."""
    (table,) = TASK.parse("<table><thead><tr><td>a<td>b</thead><tbody><tr><th>c<td>d</table>").tables
    assert [cell.is_header for cell in table.cells] == [True, True, True, False]


def test_scripts_never_come_out() -> None:
    """Only table markup comes out; what the picture says is text."""
    html = TASK.parse(
        "<table onload=x><tr><td onclick='y'><script>z()</script>&lt;img src=x onerror=y&gt;</table>"
    ).to_html()
    assert html == "<table>\n  <tr>\n    <td>&lt;img src=x onerror=y&gt;</td>\n  </tr>\n</table>"
