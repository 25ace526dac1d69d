"""How each kind of answer is judged: one table of cases, for all tasks."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from langchain_qwen_ocr import (
    AdvancedRecognition,
    DocumentParsing,
    FormulaRecognition,
    FreePrompt,
    KeyInformationExtraction,
    TableParsing,
    TextRecognition,
)
from langchain_qwen_ocr.errors import AnswerError, ContentRefusedError
from langchain_qwen_ocr.exchange import Completion, Reading, build_request, interpret
from langchain_qwen_ocr.geometry import Size
from langchain_qwen_ocr.pages.page import PageInfo, PreparedImage

TEXT, LINES, TABLE = TextRecognition(), AdvancedRecognition(), TableParsing()
DOCUMENT, FORMULA, FREE = DocumentParsing(), FormulaRecognition(), FreePrompt("Which train? In JSON.")
FIELDS = KeyInformationExtraction({"train": "", "price": ""})
RECT = '{"rotate_rect": [500, 500, 100, 200, 90], "text": "RENT"}'
ROW = "<tr><td>Tea</td><td>5</td></tr>"


class Case(NamedTuple):
    """An answer and what is to be made of it."""

    task: Any
    answer: str
    outcome: str
    kept: str | None
    """The text of the result; None when there is none."""
    finish_reason: str = "stop"


CASES = {
    "text": Case(TEXT, "Open daily", "ok", "Open daily"),
    "text in a fence": Case(TEXT, "```\nOpen daily\n```", "ok", "Open daily"),
    "text with places unasked": Case(TEXT, "236,254,115,299,90,Open daily", "ok", "Open daily"),
    "text, at the limit": Case(TEXT, "Open dai", "truncated", "Open dai", "length"),
    "text, fence left open": Case(TEXT, "```\nOpen dai", "truncated", "Open dai"),
    "text, only places": Case(TEXT, "236,254,115,299,90", "malformed", None),
    "text, a loop": Case(TEXT, "Open daily\n" * 200, "repeating", "Open daily\n" * 200),
    "text, a loop at the limit": Case(TEXT, "Menu\n" + "tea " * 300, "repeating", "Menu\n" + "tea " * 300, "length"),
    "text, a refusal": Case(
        TEXT, "I'm sorry, but I can't assist with that.", "refused", "I'm sorry, but I can't assist with that."
    ),
    "text, a letter that declines": Case(
        TEXT, "Sorry, I cannot come on Friday.", "ok", "Sorry, I cannot come on Friday."
    ),
    "text, nothing": Case(TEXT, "", "blank", ""),
    "text, nothing at the limit": Case(TEXT, "", "truncated", "", "length"),
    "text, nothing, in words": Case(TEXT, "There is no text in the image.", "blank", "There is no text in the image."),
    "lines": Case(LINES, f"```json\n[{RECT}]\n```", "ok", "RENT"),
    "lines, repaired": Case(LINES, f'```json\n[{{"pos_list": [{RECT}]}}```', "ok", "RENT"),
    "lines as rows": Case(LINES, "500,500,100,200,90,RENT", "ok", "RENT"),
    "lines without text": Case(LINES, "500,500,100,200,90", "ok", ""),
    "lines, none": Case(LINES, "```json\n[]\n```", "blank", ""),
    "lines, an empty fence": Case(LINES, "```json\n```", "blank", None),
    "lines, cut": Case(LINES, f'```json\n[\n\t{RECT},\n\t{{"rotate_rect": [2', "truncated", "RENT"),
    "lines, cut at the limit": Case(LINES, f'[{RECT}, {{"rot', "truncated", "RENT", "length"),
    "lines, fence left open": Case(LINES, f"```json\n[{RECT}]", "ok", "RENT"),
    "lines, only prose": Case(LINES, "The rent is due on Monday.", "malformed", None),
    "lines, prose at the limit": Case(LINES, "The rent is due on", "truncated", None, "length"),
    "lines, a loop": Case(LINES, f"[{RECT}, " + f"{RECT}, " * 100, "repeating", "\n".join(["RENT"] * 101)),
    "fields": Case(FIELDS, '```json\n{"train": "G1", "price": "8.00"}\n```', "ok", "train: G1\nprice: 8.00"),
    "fields, all missing": Case(FIELDS, '{"train": null, "price": "null"}', "ok", ""),
    "fields, cut": Case(FIELDS, '```json\n{"train": "G1", "price": "8.', "truncated", "train: G1"),
    "fields, repaired": Case(FIELDS, "{'train': 'G1', 'price': '8'}", "ok", "train: G1\nprice: 8"),
    "fields, prose": Case(FIELDS, "It is train G1.", "malformed", None),
    "fields, a value": Case(FIELDS, "[8, 9]", "malformed", None),
    "fields, thirty equal records": Case(
        KeyInformationExtraction(),
        "[" + ", ".join(['{"a": "1"}'] * 30) + "]",
        "ok",
        "\n".join(f"items[{i}].a: 1" for i in range(30)),
    ),
    "fields, none": Case(KeyInformationExtraction(), "{}", "blank", ""),
    "words": Case(FREE, "G1948", "ok", "G1948"),
    "JSON": Case(FREE, '```json\n{"train": "G1"}\n```', "ok", '{"train": "G1"}'),
    "JSON, cut": Case(FREE, '{"train": "G1", "pri', "truncated", '{"train": "G1", "pri'),
}
MARKUP_CASES = {
    "table": Case(TABLE, f"```html\n<table>{ROW}</table>\n```", "ok", "Tea"),
    "table, none but text": Case(TABLE, "```html\n<p>Dear Ann,</p>\n```", "ok", "Dear Ann,"),
    "table, a page of nothing": Case(TABLE, "```html\n<html><body></body></html>\n```", "blank", ""),
    "table, bare words": Case(TABLE, "A cat sits on a mat.", "malformed", ""),
    "table, cut in a row": Case(TABLE, f"```html\n<table>{ROW}<tr><td>Mil", "truncated", "Tea"),
    "table, fence left open": Case(TABLE, f"```html\n<table>{ROW}</table>", "truncated", "Tea"),
    "table, thirty equal rows": Case(TABLE, f"<table>{ROW * 30}</table>", "ok", "Tea"),
    "table, a loop": Case(TABLE, f"<table>{ROW * 200}", "repeating", "Tea"),
    "document": Case(DOCUMENT, "```latex\n\\section*{Lease}\nThe rent is due.\n```", "ok", "The rent is due."),
    "document, cut": Case(
        DOCUMENT,
        "```latex\n\\begin{document}\nThe rent is due.\n\\begin{itemize}\n\\item Gas",
        "truncated",
        "The rent is due.",
    ),
    "formula": Case(FORMULA, "```latex\nE = mc^2\n```", "ok", "mc^2"),
    "formula, cut": Case(FORMULA, "```latex\n\\begin{align*}\nE = mc^2", "truncated", "mc^2"),
}


def reading_of(case: Case) -> Reading[Any]:
    """What is made of the answer."""
    page = PageInfo(source="lease.pdf", page_index=2, size_px=Size(1000, 1000))
    image = PreparedImage(data=b"picture", mime_type="image/png", size_px=Size(1000, 1000), page=page)
    request = build_request(case.task, [image], model="qwen-vl-ocr-latest")
    return interpret(Completion(answer=case.answer, finish_reason=case.finish_reason), request)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_answer_is_judged(case: Case) -> None:
    """The outcome is as the table says, what is complete is kept, and the answer stays as it came."""
    reading = reading_of(case)
    assert reading.outcome == case.outcome
    assert (None if reading.result is None else reading.text) == case.kept
    assert reading.answer == case.answer


@pytest.mark.parametrize("case", MARKUP_CASES.values(), ids=MARKUP_CASES)
def test_an_answer_in_markup_is_judged(case: Case) -> None:
    """Tables, documents and formulas are judged by the same rules."""
    reading = reading_of(case)
    assert reading.outcome == case.outcome
    assert case.kept is not None
    assert case.kept in reading.text


@pytest.mark.parametrize("case", [case for case in CASES.values() if case.outcome not in {"ok", "blank"}])
def test_what_went_wrong_is_an_error_that_names_the_page(case: Case) -> None:
    """Page, file and reason are said, and the answer is the evidence."""
    reading = reading_of(case)
    with pytest.raises(AnswerError, match=f"Page 3 of lease.pdf: {case.outcome}") as caught:
        reading.raise_for_outcome()
    assert caught.value.answer == case.answer


def test_the_services_own_refusal_is_one() -> None:
    """What the content check declined is refused, whatever the answer says."""
    page = PageInfo(source="lease.pdf", page_index=2, size_px=Size(1000, 1000))
    image = PreparedImage(data=b"picture", mime_type="image/png", size_px=Size(1000, 1000), page=page)
    request = build_request(TEXT, [image], model="qwen-vl-ocr-latest")
    reading = interpret(Completion(answer="", refusal="inappropriate content", request_id="r-1"), request)
    assert reading.outcome == "refused"
    assert isinstance(reading.error, ContentRefusedError)
    assert reading.error.request_id == "r-1"


@pytest.mark.parametrize(
    "case",
    [
        case
        for case in (*CASES.values(), *MARKUP_CASES.values())
        if case.answer.startswith("```") and case.outcome == "ok"
    ],
    ids=lambda case: case.answer[:24],
)
def test_no_beginning_of_a_fenced_answer_is_ok(case: Case) -> None:
    """Wherever a fenced answer is cut, it is read without an exception and not called ok.

    Only JSON that is whole but for the end of its fence has lost nothing.
    """
    closed = case.answer.rstrip().removesuffix("```").rstrip()
    last = len(closed) - closed.endswith(("}", "]"))
    outcomes = {reading_of(case._replace(answer=closed[:end])).outcome for end in range(1, last + 1)}
    assert "ok" not in outcomes
