"""Readings as Documents: text, flat facts, places on request, ids that stay."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from typing import Any

import pytest

from langchain_qwen_ocr import (
    AdvancedRecognition,
    DocumentParsing,
    KeyInformationExtraction,
    Quad,
    Reading,
    TableParsing,
    TextRecognition,
    Usage,
)
from langchain_qwen_ocr.documents import METADATA_KEYS, join_readings, to_document, to_elements
from langchain_qwen_ocr.errors import OptionError, ServiceUnavailableError
from langchain_qwen_ocr.geometry import Size, SizePt
from langchain_qwen_ocr.tasks.document import Heading, Paragraph, TableBlock
from langchain_qwen_ocr.tasks.document_parsing import DocumentTree
from langchain_qwen_ocr.tasks.places import Line, Lines
from langchain_qwen_ocr.tasks.results import Text
from langchain_qwen_ocr.tasks.table import Cell, Table
from langchain_qwen_ocr.tasks.table_parsing import Tables

TABLE = Table((Cell(0, 0, "Item", column_span=2, is_header=True), Cell(1, 0, "Tea"), Cell(1, 1, "2.50")))
PAGE: Reading[Any] = Reading(
    source="scan.pdf",
    page_indexes=(2,),
    task=TextRecognition(),
    outcome="ok",
    result=Text("Dear reader"),
    size_px=Size(1000, 2000),
    size_pt=SizePt(500, 1000),
    total_pages=7,
    page_label="iii",
    warnings=("shrunk", "faint"),
    usage=Usage(prompt_tokens=100, completion_tokens=5, calls=1, cost=Decimal("0.0000325"), currency="CNY"),
    attempts=2,
    model="qwen-vl-ocr-latest",
)
FAILED = dataclasses.replace(
    PAGE,
    page_indexes=(3,),
    page_label=None,
    outcome="failed",
    result=None,
    usage=Usage(),
    warnings=("Page 4 of scan.pdf: the service is in trouble.",),
    error=ServiceUnavailableError("Page 4 of scan.pdf: the service is in trouble."),
)
TABLES = dataclasses.replace(PAGE, task=TableParsing(), result=Tables((TABLE,), ("Prices", "Thank you")))
LINES = dataclasses.replace(
    PAGE,
    task=AdvancedRecognition(),
    result=Lines((Line("Total", Quad.of(100, 200, 300, 240)), Line("9.90", Quad.of(400, 200, 500, 240)))),
)
TREE = dataclasses.replace(
    PAGE,
    task=DocumentParsing(),
    result=DocumentTree(blocks=(Heading(1, "Menu"), Paragraph("Daily."), TableBlock(TABLE, "Drinks"))),
)


def test_facts_of_a_page():
    """Every known fact stands in the metadata, flat, the page counted from 0."""
    document = to_document(PAGE)

    assert document.page_content == "Dear reader"
    assert document.metadata == {
        "source": "scan.pdf",
        "page": 2,
        "total_pages": 7,
        "page_label": "iii",
        "ocr_task": "text_recognition",
        "ocr_model": "qwen-vl-ocr-latest",
        "ocr_outcome": "ok",
        "ocr_origin": "service",
        "ocr_attempts": 2,
        "ocr_prompt_tokens": 100,
        "ocr_completion_tokens": 5,
        "ocr_cost": 0.0000325,
        "ocr_currency": "CNY",
        "ocr_warnings": "shrunk\nfaint",
    }


def test_what_is_unknown_is_left_out():
    """No None gets into the metadata, which vector stores refuse."""
    bare = Reading(source="bytes", page_indexes=(0,), task=TextRecognition(), outcome="blank", result=Text(""))

    keys = to_document(bare).metadata.keys()

    assert keys.isdisjoint({"total_pages", "page_label", "ocr_model", "ocr_cost", "ocr_currency", "ocr_warnings"})
    assert None not in to_document(bare).metadata.values()


def test_a_failed_page_says_why():
    """A page that failed is an empty Document with its outcome and the reason."""
    document = to_document(FAILED)

    assert document.page_content == ""
    assert document.metadata["ocr_outcome"] == "failed"
    assert document.metadata["ocr_warnings"] == "Page 4 of scan.pdf: the service is in trouble."


def test_metadata_of_the_source_is_carried_along():
    """What the source knows is kept, nested values as JSON; the reading's own facts win."""
    document = to_document(PAGE, metadata={"source": "other", "author": "Ada", "tags": ["a", "b"], "nothing": None})

    assert document.metadata["source"] == "scan.pdf"
    assert document.metadata["author"] == "Ada"
    assert document.metadata["tags"] == '["a","b"]'
    assert "nothing" not in document.metadata


@pytest.mark.parametrize("reading", [PAGE, FAILED, TABLES, LINES, TREE], ids=lambda r: f"{r.task.name}-{r.outcome}")
@pytest.mark.parametrize("layout", [False, True])
def test_every_key_is_listed(reading, layout):
    """Keys are those of the list, or facts of the task's own result; values are flat."""
    of_task = reading.result.metadata() if reading.result is not None else {}
    for document in (to_document(reading, layout=layout), *to_elements(reading, layout=layout)):
        assert document.metadata.keys() <= METADATA_KEYS.keys() | of_task.keys()
        assert all(isinstance(value, str | int | float | bool) for value in document.metadata.values())


def test_tables_as_markdown_or_html():
    """Markdown is the default; HTML keeps the merged cell."""
    assert "| Tea | 2.50 |" in to_document(TABLES).page_content
    assert '<th colspan="2">Item</th>' in to_document(TABLES, tables="html").page_content
    assert '<th colspan="2">Item</th>' in to_document(TREE, tables="html").page_content
    assert "# Menu" in to_document(TREE, tables="html").page_content


def test_an_unknown_form_of_tables_is_refused():
    """A form that does not exist is an error, not Markdown."""
    with pytest.raises(OptionError, match="markdown"):
        to_document(TABLES, tables="csv")  # type: ignore[arg-type]


def test_layout_on_request():
    """Regions come with their corners in pixels, in points and in fractions of the page."""
    layout = json.loads(to_document(LINES, layout=True).metadata["ocr_layout"])

    assert "ocr_layout" not in to_document(LINES).metadata
    assert layout["size_px"] == [1000, 2000]
    assert layout["size_pt"] == [500, 1000]
    assert layout["regions"][0] == {
        "text": "Total",
        "page": 2,
        "quad_px": [[100, 200], [300, 200], [300, 240], [100, 240]],
        "quad_pt": [[50, 100], [150, 100], [150, 120], [50, 120]],
        "quad_normalized": [[0.1, 0.1], [0.3, 0.1], [0.3, 0.12], [0.1, 0.12]],
        "angle_deg": 0.0,
    }


@pytest.mark.parametrize("reading", [TABLES, TREE], ids=["tables", "document"])
def test_layout_holds_tables(reading):
    """Tables stand in the layout with their spans and as a rectangle."""
    [table] = json.loads(to_document(reading, layout=True).metadata["ocr_layout"])["tables"]

    assert 'colspan="2"' in table["html"]
    assert table["rows"][1] == ["Tea", "2.50"]


@pytest.mark.parametrize(
    ("reading", "kinds"),
    [
        (LINES, ["line", "line"]),
        (TABLES, ["text", "table", "text"]),
        (TREE, ["heading", "paragraph", "table"]),
    ],
    ids=["lines", "tables", "document"],
)
def test_elements(reading, kinds):
    """Each line, table or block is a Document of its own, numbered, nothing lost between them."""
    documents = to_elements(reading)

    assert [document.metadata["ocr_element"] for document in documents] == kinds
    assert [document.metadata["ocr_element_index"] for document in documents] == list(range(len(kinds)))
    assert len({document.id for document in documents}) == len(kinds)


@pytest.mark.parametrize("reading", [PAGE, FAILED], ids=["text", "failed"])
def test_a_page_without_elements_is_one_document(reading):
    """Running text and pages without a result do not get lost."""
    assert to_elements(reading) == [to_document(reading)]


def test_tokens_of_elements_add_up():
    """The page was paid for once, so its elements together count its tokens once."""
    assert sum(document.metadata["ocr_prompt_tokens"] for document in to_elements(LINES)) == 100


def test_pages_joined():
    """One Document of several pages says where each begins, how each went, and what all cost."""
    document = join_readings([PAGE, FAILED])

    assert document.page_content == "Dear reader\n\f\n"
    facts = document.metadata
    assert (facts["ocr_pages"], facts["ocr_page_starts"]) == ("2,3", "0,14")
    assert (facts["ocr_outcome"], facts["ocr_outcomes"]) == ("failed", "ok: 1, failed: 1")
    assert facts["ocr_attempts"] == 4
    assert facts["ocr_prompt_tokens"] == 100
    assert "Page 3: shrunk" in facts["ocr_warnings"]
    assert "page" not in facts
    assert facts.keys() <= METADATA_KEYS.keys()


def test_nothing_cannot_be_joined():
    """There is no Document of no pages."""
    with pytest.raises(OptionError, match="no readings"):
        join_readings([])


@pytest.mark.parametrize(
    "change",
    [
        {"source": "other.pdf"},
        {"page_indexes": (3,)},
        {"result": Text("Dear reader!")},
        {"model": "qwen3.5-ocr"},
        {"task": TextRecognition(prompt_language="en")},
        {"task": KeyInformationExtraction()},
    ],
    ids=["source", "page", "content", "model", "options", "task"],
)
def test_ids_tell_documents_apart(change):
    """Another source, page, text, model or task is another Document."""
    assert to_document(PAGE).id != to_document(dataclasses.replace(PAGE, **change)).id


def test_ids_stay():
    """The id does not depend on the run: not on cost, attempts or warnings."""
    again = dataclasses.replace(PAGE, usage=Usage(cached=1), attempts=0, warnings=())

    assert to_document(PAGE).id == to_document(again).id
