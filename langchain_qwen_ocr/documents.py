"""Readings as LangChain Documents: text for retrieval, flat facts about it, and the places on request.

Every key that may stand in the metadata of a Document is in `METADATA_KEYS`. Values are strings, numbers and
booleans, as vector stores want them; what is unknown is left out. The exact cost is in `reading.usage.cost`;
`ocr_cost` is the same as a float, so that it can be filtered and added up.
"""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from itertools import zip_longest
from types import MappingProxyType
from typing import Any, Literal, get_args

from langchain_core.documents import Document

from langchain_qwen_ocr.errors import OptionError
from langchain_qwen_ocr.exchange import GOOD_OUTCOMES, OUTCOMES, Outcome, Reading
from langchain_qwen_ocr.geometry import Quad
from langchain_qwen_ocr.tasks.document import Block, TableBlock
from langchain_qwen_ocr.tasks.document_parsing import DocumentTree
from langchain_qwen_ocr.tasks.results import MetadataValue, Region, Result
from langchain_qwen_ocr.tasks.table import Table
from langchain_qwen_ocr.tasks.table_parsing import Tables
from langchain_qwen_ocr.usage import Usage

TableForm = Literal["markdown", "html"]
TABLE_FORMS: tuple[TableForm, ...] = get_args(TableForm)

PAGE_SEPARATOR = "\n\f\n"
"""What stands between two pages in one Document."""

METADATA_KEYS: Mapping[str, str] = MappingProxyType(
    {
        "source": "The file's path or address, or a name such as “bytes”.",
        "page": "The page, from 0.",
        "total_pages": "How many pages the source has.",
        "page_label": "The number printed on the page, where the file says it.",
        "ocr_task": "The task's name.",
        "ocr_model": "The model that answered.",
        "ocr_outcome": "ok, blank, truncated, repeating, malformed, refused, failed or skipped.",
        "ocr_origin": "service, local or text-layer.",
        "ocr_attempts": "How many calls were made.",
        "ocr_prompt_tokens": "Tokens of picture and prompt.",
        "ocr_completion_tokens": "Tokens of the answer.",
        "ocr_cost": "What it cost, as a float.",
        "ocr_currency": "The currency of `ocr_cost`.",
        "ocr_warnings": "What was repaired, dropped or doubtful; one a line.",
        "ocr_pages": "Pages read or joined together: from 0, with commas.",
        "ocr_page_starts": 'Where each page of "ocr_pages" begins: characters from 0, with commas.',
        "ocr_outcomes": "Pages joined together by outcome, such as “ok: 2, failed: 1”.",
        "ocr_element": "What a Document of an element is: line, table, heading, paragraph…",
        "ocr_element_index": "Which element of its page, from 0.",
        "ocr_layout": "Sizes, regions and tables as JSON; on request.",
    }
)
"""Every key and what it says. A task adds facts of its own from its result's `metadata()`."""

_ID_NAMESPACE = uuid.UUID("6f2b7f0e-9d0c-5a53-8f61-0c7a5a0f3c11")


def to_document(
    reading: Reading[Result],
    *,
    layout: bool = False,
    tables: TableForm = "markdown",
    metadata: Mapping[str, object] | None = None,
) -> Document:
    """The reading as a Document, whatever its outcome: a failed page has no text and says why.

    Args:
        reading: Of a page, or of pages read together.
        layout: Whether to add `ocr_layout`.
        tables: How tables stand in the text; "html" keeps merged cells.
        metadata: Facts of the source to carry along; the reading's own win.
    """
    content = _content(reading, tables)
    return _document(reading, content, layout=layout, metadata=metadata)


def to_elements(
    reading: Reading[Result],
    *,
    layout: bool = False,
    tables: TableForm = "markdown",
    metadata: Mapping[str, object] | None = None,
) -> list[Document]:
    """A Document for each line with a place, table, or block of a document.

    A page without such parts (running text, blank, failed) is one Document, so that none gets lost. Tokens and
    cost belong to the page as a whole: they stand with its first element only, so that they add up.
    """
    elements = _elements(reading.result, reading, _table_form(tables)) if reading.result is not None else ()
    if not elements:
        return [to_document(reading, layout=layout, tables=tables, metadata=metadata)]
    unpaid = dataclasses.replace(reading, usage=Usage())
    return [
        _document(
            reading if index == 0 else unpaid,
            element.text,
            layout=layout,
            metadata=metadata,
            element=dataclasses.replace(element, index=index),
        )
        for index, element in enumerate(elements)
    ]


def join_readings(
    readings: Sequence[Reading[Result]],
    *,
    layout: bool = False,
    tables: TableForm = "markdown",
    metadata: Mapping[str, object] | None = None,
    separator: str = PAGE_SEPARATOR,
) -> Document:
    """The pages of one source as one Document, with where each page begins.

    Its outcome is that of its worst page.

    Raises:
        OptionError: There are no readings.
    """
    if not readings:
        raise OptionError("There are no readings to join.")
    contents = [_content(reading, tables) for reading in readings]
    content = separator.join(contents)
    first, indexes = readings[0], [i for reading in readings for i in reading.page_indexes]
    whole = dataclasses.replace(
        first,
        outcome=_worst(reading.outcome for reading in readings),
        warnings=tuple(f"Page {r.page_number}: {warning}" for r in readings for warning in r.warnings),
        usage=sum((reading.usage for reading in readings), Usage()),
        attempts=sum(reading.attempts for reading in readings),
        model=next((reading.model for reading in readings if reading.model), None),
        origin=next((reading.origin for reading in readings if reading.result is not None), first.origin),
    )
    facts = _flat(metadata or {}) | _facts(whole)
    del facts["page"]
    facts.pop("page_label", None)
    facts["ocr_pages"] = _numbers(indexes)
    facts["ocr_page_starts"] = _numbers(_starts(contents, separator))
    facts["ocr_outcomes"] = _counts(Counter(reading.outcome for reading in readings))
    if layout:
        facts["ocr_layout"] = _dumps({"pages": [_layout(reading) for reading in readings]})
    return Document(content, metadata=facts, id=_id(whole, content, indexes))


def _document(
    reading: Reading[Result],
    content: str,
    *,
    layout: bool,
    metadata: Mapping[str, object] | None,
    element: _Element | None = None,
) -> Document:
    of_task = reading.result.metadata() if reading.result is not None else {}
    facts = _flat(metadata or {}) | _flat(of_task) | _facts(reading)
    if element is not None:
        facts |= {"ocr_element": element.kind, "ocr_element_index": element.index}
    if layout:
        facts["ocr_layout"] = _dumps(_layout(reading, element))
    index = None if element is None else element.index
    return Document(content, metadata=facts, id=_id(reading, content, reading.page_indexes, index))


_FACTS: Mapping[str, Callable[[Reading[Result]], MetadataValue | None]] = {
    "source": lambda r: r.source,
    "page": lambda r: r.page_index,
    "total_pages": lambda r: r.total_pages,
    "page_label": lambda r: r.page_label,
    "ocr_task": lambda r: r.task.name,
    "ocr_model": lambda r: r.model,
    "ocr_outcome": lambda r: r.outcome,
    "ocr_origin": lambda r: r.origin,
    "ocr_attempts": lambda r: r.attempts,
    "ocr_prompt_tokens": lambda r: r.usage.prompt_tokens,
    "ocr_completion_tokens": lambda r: r.usage.completion_tokens,
    "ocr_cost": lambda r: None if r.usage.cost is None else float(r.usage.cost),
    "ocr_currency": lambda r: r.usage.currency,
    "ocr_warnings": lambda r: "\n".join(r.warnings) or None,
    "ocr_pages": lambda r: _numbers(r.page_indexes) if len(r.page_indexes) > 1 else None,
}


def _facts(reading: Reading[Result]) -> dict[str, MetadataValue]:
    values = ((key, fact(reading)) for key, fact in _FACTS.items())
    return {key: value for key, value in values if value is not None}


def _flat(metadata: Mapping[str, object]) -> dict[str, MetadataValue]:
    """Metadata without unknown values; what is nested becomes JSON, as vector stores take no lists."""
    return {
        key: value if isinstance(value, str | int | float | bool) else _dumps(value)
        for key, value in metadata.items()
        if value is not None
    }


def _content(reading: Reading[Result], tables: TableForm) -> str:
    if reading.result is None:
        return ""
    return _text(reading.result, _table_form(tables))


def _table_form(tables: TableForm) -> TableForm:
    if tables not in TABLE_FORMS:
        raise OptionError(f'tables is "markdown" or "html", not {tables!r}.')
    return tables


@singledispatch
def _text(result: Result, tables: TableForm) -> str:  # noqa: ARG001 - most results hold no tables
    """The result's text with its tables in that form."""
    return result.text


@_text.register
def _(result: Tables, tables: TableForm) -> str:
    return result.to_html() if tables == "html" else result.text


@_text.register
def _(result: DocumentTree, tables: TableForm) -> str:
    if tables == "markdown":
        return result.text
    return "\n\n".join(_block_text(block, tables) for block in result.blocks)


def _block_text(block: Block, tables: TableForm) -> str:
    if isinstance(block, TableBlock) and tables == "html":
        return "\n\n".join(part for part in (block.caption, block.table.to_html()) if part)
    return DocumentTree(blocks=(block,)).to_markdown()


@dataclass(frozen=True, slots=True)
class _Element:
    """A part of a page that may be a Document of its own."""

    kind: str
    text: str
    region: Region | None = None
    table: Table | None = None
    index: int = 0


@singledispatch
def _elements(result: Result, reading: Reading[Result], tables: TableForm) -> tuple[_Element, ...]:  # noqa: ARG001
    """The parts of a result; none when it is one piece."""
    return tuple(_Element("line", region.text, region=region) for region in reading.regions)


@_elements.register
def _(result: Tables, reading: Reading[Result], tables: TableForm) -> tuple[_Element, ...]:  # noqa: ARG001
    around = (_Element("text", text) for text in result.text_around or ("",) * (len(result.tables) + 1))
    inside = (_Element("table", _table_text(table, tables), table=table) for table in result.tables)
    in_turn = (element for pair in zip_longest(around, inside) for element in pair if element is not None)
    return tuple(element for element in in_turn if element.text)


@_elements.register
def _(result: DocumentTree, reading: Reading[Result], tables: TableForm) -> tuple[_Element, ...]:  # noqa: ARG001
    return tuple(_block_element(block, tables) for block in result.blocks)


def _block_element(block: Block, tables: TableForm) -> _Element:
    kind = type(block).__name__.removesuffix("Block").lower()
    table = block.table if isinstance(block, TableBlock) else None
    return _Element(kind, _block_text(block, tables), table=table)


def _table_text(table: Table, tables: TableForm) -> str:
    return table.to_html() if tables == "html" else table.to_markdown()


@singledispatch
def _tables(result: Result) -> tuple[Table, ...]:  # noqa: ARG001 - most results hold no tables
    """The tables in a result."""
    return ()


@_tables.register
def _(result: Tables) -> tuple[Table, ...]:
    return result.tables


@_tables.register
def _(result: DocumentTree) -> tuple[Table, ...]:
    return tuple(block.table for block in result.blocks if isinstance(block, TableBlock))


def _layout(reading: Reading[Result], element: _Element | None = None) -> dict[str, Any]:
    """Sizes, regions and tables of a page, or of one element of it."""
    if element is not None:
        regions = tuple(part for part in (element.region,) if part is not None)
        tables = tuple(part for part in (element.table,) if part is not None)
    else:
        regions = reading.regions
        tables = () if reading.result is None else _tables(reading.result)
    return {
        "page": reading.page_index,
        "size_px": reading.size_px,
        "size_pt": None if reading.size_pt is None else [round(side, 2) for side in reading.size_pt],
        "regions": [_region(region) for region in regions],
        "tables": [{"html": table.to_html(), "rows": table.rows} for table in tables],
    }


def _region(region: Region) -> dict[str, Any]:
    return {
        "text": region.text,
        "page": region.page_index,
        "quad_px": _corners(region.quad, 2),
        "quad_pt": _corners(region.quad_pt, 2),
        "quad_normalized": _corners(region.quad_normalized, 6),
        "angle_deg": round(region.angle_deg, 2),
    }


def _corners(quad: Quad | None, digits: int) -> list[list[float]] | None:
    return None if quad is None else [[round(n, digits) for n in point] for point in quad.points]


def _worst(outcomes: Iterable[Outcome]) -> Outcome:
    """The outcome that speaks for all: a bad one before ok, ok before blank and skipped."""
    order = [o for o in reversed(OUTCOMES) if o not in GOOD_OUTCOMES] + ["ok", "blank", "skipped"]
    return min(outcomes, key=order.index)


def _counts(counts: Mapping[Outcome, int]) -> str:
    return ", ".join(f"{outcome}: {counts[outcome]}" for outcome in OUTCOMES if counts.get(outcome))


def _starts(contents: Sequence[str], separator: str) -> list[int]:
    starts, at = [], 0
    for content in contents:
        starts.append(at)
        at += len(content) + len(separator)
    return starts


def _numbers(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _id(reading: Reading[Result], content: str, indexes: Sequence[int], element: int | None = None) -> str:
    """The same for the same text of the same page by the same task and model, so that indexing finds it again."""
    task = reading.task.to_json()
    name = json.dumps(
        [reading.source, list(indexes), element, content, task, reading.model],
        ensure_ascii=True,
        sort_keys=True,
        default=str,
    )
    return str(uuid.uuid5(_ID_NAMESPACE, name))
