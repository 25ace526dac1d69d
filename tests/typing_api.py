"""The public API as users write it, for the type checker: `mypy --strict tests/typing_api.py` accepts it.

Nothing here is run. `assert_type` says what the checker must find.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import assert_type

from langchain_core.documents import Document
from langchain_core.documents.base import Blob
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import BaseTool
from pydantic import BaseModel

from langchain_qwen_ocr import (
    TASKS,
    AdvancedRecognition,
    ChatQwenOCR,
    DocumentParsing,
    FormulaRecognition,
    FreePrompt,
    KeyInformationExtraction,
    Quad,
    QwenOCR,
    QwenOCRBlobParser,
    QwenOCRLoader,
    QwenOCROutputParser,
    QwenOCRTool,
    QwenOCRToolkit,
    Reading,
    Region,
    TableParsing,
    TextRecognition,
    Usage,
    draw_regions,
)
from langchain_qwen_ocr.documents import join_readings, to_document, to_elements
from langchain_qwen_ocr.errors import QwenOCRError
from langchain_qwen_ocr.loaders import LoadReport
from langchain_qwen_ocr.tasks.document_parsing import DocumentTree
from langchain_qwen_ocr.tasks.formula_recognition import Formulas
from langchain_qwen_ocr.tasks.places import Lines
from langchain_qwen_ocr.tasks.results import Text
from langchain_qwen_ocr.tasks.table import Table
from langchain_qwen_ocr.tasks.table_parsing import Tables
from langchain_qwen_ocr.tools import OCRArtifact


class Invoice(BaseModel):
    """A schema of a user."""

    number: str
    total: Decimal | None = None


def read(ocr: QwenOCR, path: Path) -> None:
    """Each task gives its own type."""
    for reading in ocr.read(path):
        assert_type(reading, Reading[Text])
        assert_type(reading.text, str)
        assert_type(reading.usage, Usage)
        assert_type(reading.usage.cost, Decimal | None)
        assert_type(reading.regions, tuple[Region, ...])
        assert_type(reading.error, QwenOCRError | None)
    [lines] = ocr.read(path, AdvancedRecognition(), pages="1-3,7,10-")
    assert_type(lines.result, Lines | None)
    [tables] = ocr.read(path.read_bytes(), TableParsing())
    assert_type(tables.result, Tables | None)
    if tables.result is not None:
        assert_type(tables.result.tables, tuple[Table, ...])
    [tree] = ocr.read([path, str(path)], DocumentParsing())
    assert_type(tree.result, DocumentTree | None)
    [formulas] = ocr.read(path, FormulaRecognition())
    assert_type(formulas.result, Formulas | None)
    [answer] = ocr.read(path, FreePrompt("Which date?"), together=True)
    assert_type(answer.result, Text | None)
    for region in lines.in_reading_order():
        assert_type(region.quad, Quad)
    draw_regions(path, lines.regions).save("out.png")


def read_fields(ocr: QwenOCR, path: Path) -> Invoice | None:
    """The validated instance has the type of the schema."""
    [reading] = ocr.read(path, KeyInformationExtraction(Invoice))
    return reading.result.data if reading.result is not None else None


async def read_on_a_loop(path: Path) -> list[str]:
    """The asynchronous half has the same types."""
    async with QwenOCR("qwen3.5-ocr", region="beijing", max_concurrency=16) as ocr:
        return [reading.text async for reading in ocr.aread(path, TextRecognition(prompt_language="en"))]


def documents(reading: Reading[Text]) -> list[Document]:
    """Readings of any task become Documents."""
    return [to_document(reading, layout=True), *to_elements(reading), join_readings([reading], tables="html")]


def load(path: Path) -> Iterator[Document]:
    """Loaders take whatever holds pictures."""
    loader = QwenOCRLoader([path, Blob.from_path(path)], task=TableParsing(), mode="element", on_error="record")
    assert_type(loader.report, LoadReport | None)
    return loader.lazy_load()


def parse(blob: Blob) -> tuple[list[Document], AsyncIterator[Document]]:
    """Parsers take blobs."""
    parser = QwenOCRBlobParser(ocr=QwenOCR.local(), config={"tags": ["scans"], "max_concurrency": 4})
    return parser.parse(blob), parser.alazy_parse(blob)


def tools(ocr: QwenOCR, folder: Path) -> list[BaseTool]:
    """Tools alone and together."""
    tool = QwenOCRTool(KeyInformationExtraction(Invoice), ocr=ocr, root_dir=folder, url_hosts=["example.com"])
    return [tool, *QwenOCRToolkit(ocr=ocr, root_dir=folder, max_chars=2_000).get_tools()]


def artifact(found: OCRArtifact) -> tuple[str, Decimal | None]:
    """What a tool gives to the program."""
    return found.text, found.cost


def chat() -> str:
    """The chat model is one of LangChain's, and its answers are read by the parser."""
    model = ChatQwenOCR(model="qwen-vl-ocr-latest", max_pixels=1_000_000)
    message = model.invoke([HumanMessage("Read it.")])
    assert_type(message, AIMessage)
    parser = QwenOCROutputParser(TableParsing())
    assert_type(parser.invoke(message), Tables)
    return message.text


def names() -> list[str]:
    """The table of tasks is a mapping by name."""
    return sorted(TASKS)
