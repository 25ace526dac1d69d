"""What holds for every table, document and formula, and for any answer at all."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_qwen_ocr.errors import AnswerError
from langchain_qwen_ocr.tasks.document_parsing import DocumentParsing, DocumentTree
from langchain_qwen_ocr.tasks.formula_recognition import FormulaRecognition, Formulas
from langchain_qwen_ocr.tasks.table_parsing import TableParsing, Tables

from .markup_strategies import BLOCKS, FORMULAS, SOUPS, WORDS, tables

TASKS = [TableParsing(), DocumentParsing(), FormulaRecognition()]


@given(st.builds(Tables, st.lists(tables(), max_size=3).map(tuple), st.lists(WORDS, max_size=4).map(tuple)))
def test_tables_are_read_back_as_they_were_written(result: Tables) -> None:
    """What `write` says of tables, `parse` understands."""
    read = TableParsing().parse(TableParsing().write(result))
    assert (read, read.cut) == (result, False)


@given(st.builds(DocumentTree, blocks=BLOCKS))
def test_documents_are_read_back_as_they_were_written(result: DocumentTree) -> None:
    """What `write` says of a document, `parse` understands."""
    read = DocumentParsing().parse(DocumentParsing().write(result))
    assert (read, read.cut) == (result, False)


@given(st.builds(Formulas, st.lists(FORMULAS, max_size=4).map(tuple)))
def test_formulas_are_read_back_as_they_were_written(result: Formulas) -> None:
    """What `write` says of formulas, `parse` understands."""
    read = FormulaRecognition().parse(FormulaRecognition().write(result))
    assert (read, read.cut) == (result, False)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
@given(answer=SOUPS)
def test_any_text_is_read_or_refused(task, answer: str) -> None:
    """No text raises anything but AnswerError, and every form of what was read can be written."""
    with contextlib.suppress(AnswerError):
        result = task.parse(answer)
        assert all(isinstance(result.render(form), str) for form in result.forms)


@given(st.builds(Tables, st.lists(tables(), min_size=1, max_size=2).map(tuple)), st.data())
def test_every_beginning_of_a_table_answer_is_cut(result: Tables, data: st.DataObject) -> None:
    """An answer that stops anywhere is not taken for a whole one."""
    answer = TableParsing().write(result)
    end = data.draw(st.integers(len("```html\n"), len(answer) - 1))
    with contextlib.suppress(AnswerError):
        assert TableParsing().parse(answer[:end]).cut


@given(st.builds(DocumentTree, blocks=BLOCKS), st.data())
def test_every_beginning_of_a_document_answer_is_cut(result: DocumentTree, data: st.DataObject) -> None:
    """An answer that stops anywhere is not taken for a whole one."""
    answer = DocumentParsing().write(result)
    end = data.draw(st.integers(len("```latex\n"), len(answer) - 1))
    assert DocumentParsing().parse(answer[:end]).cut
