"""Answers with formulas, and the LaTeX that is read from them."""

import pytest

from langchain_qwen_ocr.errors import AnswerError
from langchain_qwen_ocr.tasks.formula_recognition import FormulaRecognition, Formulas

TASK = FormulaRecognition()


@pytest.mark.parametrize(
    ("answer", "formulas"),
    [
        pytest.param(r"$$\tilde { Q } ( x ) = 1$$", (r"\tilde { Q } ( x ) = 1",), id="spaced-tokens"),
        pytest.param(
            "```latex\n\\begin{align*}\na &= b \\\\\nc &= d\n\\end{align*}\n```",
            ("\\begin{align*}\na &= b \\\\\nc &= d\n\\end{align*}",),
            id="align",
        ),
        pytest.param(r"\begin{equation}\label{a}x\end{equation}", ("x",), id="equation"),
        pytest.param("\\[a\\]\n\\(b\\) and $c$", ("a", "b", "c"), id="all-delimiters"),
        pytest.param(r"\[ \text{$a$ if } \$ \]", (r"\text{$a$ if } \$",), id="dollars-inside"),
        pytest.param("x^2\n\ny^2", ("x^2", "y^2"), id="bare"),
        pytest.param(r"\frac{a}{b}", (r"\frac{a}{b}",), id="bare-command"),
        pytest.param("", (), id="nothing"),
        pytest.param("There is no formula in the image.", (), id="says-there-is-none"),
    ],
)
def test_forms_of_an_answer(answer, formulas) -> None:
    """Every form in which models write formulas gives LaTeX without delimiters."""
    result = TASK.parse(answer)
    assert (result.formulas, result.cut, result.warnings) == (formulas, False, ())


@pytest.mark.parametrize(
    ("answer", "warning"),
    [
        pytest.param(r"$$\frac{a$$", "Formula 1: its braces do not match.", id="braces"),
        pytest.param("$$a", "The last formula never ends.", id="dollars"),
        pytest.param(r"\begin{align}a", "The last formula never ends.", id="environment"),
    ],
)
def test_answers_that_stop_are_cut(answer, warning) -> None:
    """Half a formula is said to be half."""
    result = TASK.parse(answer)
    assert (result.cut, result.warnings) == (True, (warning,))


def test_words_around_formulas_are_said_to_be_dropped() -> None:
    """A polite answer still gives its formula."""
    result = TASK.parse("Here is the formula:\n\\[x\\]")
    assert (result.formulas, result.warnings) == (("x",), ("The words around the formulas are left out.",))


def test_sentences_are_refused() -> None:
    """A description is no formula."""
    with pytest.raises(AnswerError):
        TASK.parse("The picture shows a long equation.")


def test_forms() -> None:
    """Plain, in dollars, as display mathematics."""
    result = Formulas(("a", "\\begin{gather*}b\\end{gather*}"))
    assert result.text == "a\n\n\\begin{gather*}b\\end{gather*}"
    assert result.to_markdown() == "$$\na\n$$\n\n$$\n\\begin{gathered}b\\end{gathered}\n$$"
    assert result.to_latex() == "\\[\na\n\\]\n\n\\begin{gather*}b\\end{gather*}"


@pytest.mark.parametrize("answer", ["<math><mi>x</mi></math>", '{"formula": "x"}', "这个公式是勾股定理。"])
def test_other_forms_are_refused(answer: str) -> None:
    """MathML, JSON and a Chinese sentence are no LaTeX."""
    with pytest.raises(AnswerError):
        FormulaRecognition().parse(answer)


def test_a_preamble_is_no_loss() -> None:
    """Of a document around the formula nothing need be said."""
    answer = "\\documentclass{article}\n\\begin{document}\n\\[x=1\\]\n\\end{document}"
    assert FormulaRecognition().parse(answer).warnings == ()
