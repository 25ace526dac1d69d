"""All eight tasks over the example pictures: from the library, a tool, the loader and the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from langchain_qwen_ocr import (
    TASKS,
    AdvancedRecognition,
    DocumentParsing,
    FormulaRecognition,
    FreePrompt,
    KeyInformationExtraction,
    MultilingualRecognition,
    QwenOCR,
    QwenOCRLoader,
    QwenOCRToolkit,
    TableParsing,
    TextRecognition,
)
from langchain_qwen_ocr.cli import main

PICTURES = Path(__file__).parents[2] / "examples" / "pictures"
pytestmark = pytest.mark.local


class Case(NamedTuple):
    """A task, a picture that suits it, what is asked beside, and words that must be read."""

    task: Any
    picture: str
    arguments: dict[str, Any]
    flags: list[str]
    words: str


CASES = [
    Case(TextRecognition(), "photo_exif6.jpg", {}, [], "The lift will be out of service"),
    Case(MultilingualRecognition(), "two_frames.tiff", {}, [], ""),
    Case(AdvancedRecognition(), "photo_exif6.jpg", {}, [], "The lift will be out of service"),
    Case(
        KeyInformationExtraction({"Invoice number": ""}),
        "invoice_en.png",
        {"fields": {"Invoice number": ""}},
        ["--schema", '{"Invoice number": ""}'],
        "LH-2026-0318",
    ),
    Case(TableParsing(), "table_borderless.png", {}, [], ""),
    Case(DocumentParsing(), "article_two_columns.png", {}, [], ""),
    Case(FormulaRecognition(), "formulas.png", {}, [], "E = mc^{2}"),
    Case(FreePrompt("Read it."), "photo_exif6.jpg", {"prompt": "Read it."}, ["--prompt", "Read it."], "NOTICE"),
]


@pytest.fixture(scope="module")
def ocr() -> Iterator[QwenOCR]:
    """One engine, so that a page is looked at once for all."""
    with QwenOCR.local() as ocr:
        yield ocr


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DASHSCOPE_API_KEY", raising=False)


def test_no_task_is_missing() -> None:
    """A new task needs a picture here."""
    assert [case.task.name for case in CASES] == list(TASKS)


@pytest.mark.parametrize("case", CASES, ids=[case.task.name for case in CASES])
def test_everywhere_the_same(case: Case, ocr: QwenOCR, capsys: pytest.CaptureFixture[str]) -> None:
    """The library, a tool, the loader and the command line read the same text, and say who read it."""
    path = PICTURES / case.picture
    readings = list(ocr.read(path, case.task))
    text = readings[0].text
    assert {reading.outcome for reading in readings} == {"ok"}
    assert {reading.origin for reading in readings} == {"local"}
    assert text.strip()
    assert case.words in text

    tools = {tool.name: tool for tool in QwenOCRToolkit(ocr, root_dir=PICTURES).get_tools()}
    call: dict[str, Any] = {
        "name": f"qwen_ocr_{case.task.name}",
        "args": {"image": case.picture, **case.arguments},
        "id": "1",
    }
    message = tools[call["name"]].invoke({**call, "type": "tool_call"})
    assert message.status == "success"
    assert message.artifact.readings[0].text == text
    assert "untrusted" in message.content.lower()

    documents = QwenOCRLoader(path, task=case.task, ocr=ocr).load()
    assert [document.page_content for document in documents] == [reading.text for reading in readings]

    assert main(["read", str(path), "--task", case.task.name, "--json", *case.flags]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["text"] for line in lines] == [reading.text for reading in readings]


def test_a_failed_page_says_who_did_not_read_it(ocr: QwenOCR) -> None:
    """The local engine's failures are its own."""
    [reading] = ocr.read(PICTURES / "formula_fraction.png", FormulaRecognition())
    assert (reading.outcome, reading.origin) == ("failed", "local")
