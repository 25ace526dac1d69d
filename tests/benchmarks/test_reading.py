"""Reading is no slower than what people would read the same text with."""

import pytest

from langchain_qwen_ocr.tasks.document_parsing import DocumentParsing
from langchain_qwen_ocr.tasks.table_parsing import TableParsing

pytest.importorskip("lxml")
pytest.importorskip("bs4")

from .reading import document_answer, document_peers, seconds, table_answer, table_peers


def test_tables_are_read_no_slower_than_by_pandas_or_beautiful_soup() -> None:
    """A table of 1 MB, the best of some rounds."""
    answer = table_answer(1_000_000)
    own = seconds(lambda: TableParsing().parse(answer))
    assert {name: own / seconds(work) <= 1 for name, work in table_peers(answer).items()} == dict.fromkeys(
        table_peers(answer), True
    )


def test_documents_are_read_within_twice_the_time_of_pylatexenc() -> None:
    """A document of 200 kB, the best of some rounds."""
    answer = document_answer(200_000)
    own = seconds(lambda: DocumentParsing().parse(answer))
    assert {name: own / seconds(work) <= 2 for name, work in document_peers(answer).items()} == dict.fromkeys(
        document_peers(answer), True
    )
