"""Answers written to keep a reader busy: what they cost grows with their length, not with its square."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from langchain_qwen_ocr import (
    AdvancedRecognition,
    DocumentParsing,
    FormulaRecognition,
    KeyInformationExtraction,
    TableParsing,
    TextRecognition,
)
from langchain_qwen_ocr.exchange import Completion, build_request, interpret
from langchain_qwen_ocr.geometry import Size
from langchain_qwen_ocr.pages.page import PageInfo, PreparedImage

LENGTH = 300_000
PROCESSOR_TIME_S = 20
"""What each answer takes is well below a tenth of it; with a single pass too many it would take minutes."""

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Windows has no timer of processor time")


def long(unit: str) -> str:
    """*unit* over and over."""
    return unit * (LENGTH // len(unit))


DATED = KeyInformationExtraction(
    {"type": "object", "properties": {"at": {"type": "string", "format": "date-time"}, "sum": {"type": "number"}}}
)
ANSWERS = {
    "blanks as rows": (AdvancedRecognition(), long(" ")),
    "lines as rows": (AdvancedRecognition(), long(" \t\n")),
    "digits as rows": (AdvancedRecognition(), long("1")),
    "a number and blanks": (AdvancedRecognition(), "1" + long(" ") + "x"),
    "numbers and blanks": (AdvancedRecognition(), "1,2,3,4,5,a\n[1 2" + long(" ") + "x"),
    "open brackets": (AdvancedRecognition(), long("[1,1,1,1,1 ")),
    "empty objects": (AdvancedRecognition(), long("{} ")),
    "open lists": (KeyInformationExtraction(), '{"a":' + long("[")),
    "digits as a date": (DATED, '{"at": "' + long("1111T") + '"}'),
    "blanks in a number": (DATED, '{"sum": "1' + long(" ") + 'x"}'),
    "addresses with question marks": (DATED, '{"a": "' + long("http://a?") + '"}'),
    "one long word": (FormulaRecognition(), long("a")),
    "one long sentence": (FormulaRecognition(), long("字")),
    "open brackets of formulas": (FormulaRecognition(), long("\\(")),
    "a heading that does not end": (DocumentParsing(), "# a" + long(" ") + "x"),
    "a heading of marks": (DocumentParsing(), "# a " + long("# ") + "x"),
    "a picture that does not end": (DocumentParsing(), "# a\n![](" + long("b") + "x"),
    "blanks in a line": (DocumentParsing(), "# a\nb" + long(" ") + "c"),
    "blanks below a pipe": (DocumentParsing(), "# a\n|" + long(" ") + "|\n" + long(" ") + "x-\n"),
    "dashes below a pipe": (TableParsing(), "a|b\n" + long("-") + "x"),
    "blanks below a row": (TableParsing(), "a|b\n" + long(" ") + "-x"),
    "a tag of blanks": (TableParsing(), "<table><tr><td>a</td><td><a" + long(" ") + ">"),
    "cells that never close": (TableParsing(), "<table>" + long("<td>")),
    "comments that never close": (TableParsing(), "<table>" + long("<!--")),
    "scripts that never close": (TableParsing(), "<table>" + long("<script>")),
    "tables in tables": (DocumentParsing(), "<html>" + long("<table><tr><td>")),
    "lists in lists": (DocumentParsing(), "\\section{a}" + long("\\begin{itemize}\\item ")),
    "open braces": (DocumentParsing(), "\\section{a}" + long("{")),
    "spans": (TableParsing(), "<table>" + long("<tr><td rowspan=65534 colspan=1000>x")),
    "columns of columns": (DocumentParsing(), "\\begin{tabular}{*{999}{*{999}{*{999}{c}}}}a\\end{tabular}"),
    "macros in macros": (DocumentParsing(), "\\section{a}" + long("\\newcommand{\\a}{\\a\\a}\\a ")),
    "carets": (DocumentParsing(), "\\section{a}" + long("^^")),
    "blanks": (TextRecognition(), long(" ") + "x"),
    "fences": (TextRecognition(), long("```\n")),
}


@pytest.fixture
def processor_time() -> Iterator[None]:
    """A bound for the time that the processor works, however busy the machine is."""

    def stop(signal_number: int, frame: object) -> None:
        raise AssertionError(f"more than {PROCESSOR_TIME_S} s of work")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, PROCESSOR_TIME_S)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, before)


@pytest.mark.usefixtures("processor_time")
@pytest.mark.parametrize("case", ANSWERS)
def test_a_long_answer_costs_no_more_than_its_length(case):
    """Whatever is in it, an answer is read, judged and shown."""
    task, answer = ANSWERS[case]
    page = PageInfo(source="hostile.png", page_index=0, total_pages=1, size_px=Size(1000, 1000))
    picture = PreparedImage(data=b"", mime_type="image/png", size_px=page.size_px, page=page)
    request = build_request(task, [picture], model="qwen-vl-ocr-latest")

    reading = interpret(Completion(answer=answer, finish_reason="stop"), request)

    assert reading.answer == answer
    assert len(reading.text) <= 20 * LENGTH
