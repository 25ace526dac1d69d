"""A request on its way out and a reading on its way back."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from langchain_qwen_ocr import (
    TASKS,
    AdvancedRecognition,
    FreePrompt,
    KeyInformationExtraction,
    Quad,
    TableParsing,
    TextRecognition,
    Usage,
)
from langchain_qwen_ocr.errors import AnswerError, ContentRefusedError, OptionError
from langchain_qwen_ocr.exchange import Completion, OCRRequest, build_request, interpret
from langchain_qwen_ocr.geometry import Affine, CoordinateFrame, Size, SizePt
from langchain_qwen_ocr.pages.page import PageInfo, PreparedImage

SENT = Size(1000, 500)


def picture(*, page_index: int = 0, size_px: Size = SENT, **info: Any) -> PreparedImage:
    """A picture of a page that is twice as large as what is sent."""
    page = PageInfo(
        source="lease.pdf", page_index=page_index, size_px=Size(size_px.width_px * 2, size_px.height_px * 2), **info
    )
    return PreparedImage(
        data=b"picture %d" % page_index, mime_type="image/png", size_px=size_px, to_page=Affine.scaling(2, 2), page=page
    )


class Lease(BaseModel):
    """What a lease says."""

    tenant: str
    rent: Decimal


@pytest.mark.parametrize(
    "task",
    [
        pytest.param(TextRecognition(), id="text"),
        pytest.param(AdvancedRecognition(prompt_language="en"), id="language kept"),
        pytest.param(KeyInformationExtraction({"a": ""}, benchmark_clause=False), id="template"),
        pytest.param(FreePrompt("Which colour is the car?"), id="free prompt"),
    ],
)
def test_a_request_survives_being_saved(task: Any) -> None:
    """A saved request comes back equal from its JSON, pictures and way back included."""
    request = build_request(task, [picture(size_pt=SizePt(595.0, 842.0))], model="qwen-vl-ocr-latest", max_tokens=100)
    assert OCRRequest.from_json(json.loads(json.dumps(request.to_json()))) == request


def test_a_pydantic_class_is_saved_as_its_schema() -> None:
    """In another process the values come back without the class, validated by its JSON Schema."""
    request = build_request(KeyInformationExtraction(Lease), [picture()], model="qwen-vl-ocr-latest")
    elsewhere = OCRRequest.from_json(json.loads(json.dumps(request.to_json())))
    assert elsewhere.task.prompt() == request.task.prompt()
    reading = interpret(Completion(answer='{"tenant": "Ada Quill", "rent": "950.00"}'), elsewhere)
    assert reading.outcome == "ok"
    assert reading.result.to_dict()["values"]["tenant"] == "Ada Quill"  # type: ignore[union-attr]


def test_places_come_back_in_pixels_of_the_page() -> None:
    """Thousandths of the picture sent become pixels of the original page, points and fractions."""
    request = build_request(AdvancedRecognition(), [picture(size_pt=SizePt(200.0, 100.0))], model="qwen-vl-ocr-latest")
    answer = '```json\n[{"rotate_rect": [500, 500, 100, 200, 90], "text": "RENT"}]\n```'
    region = interpret(Completion(answer=answer), request).regions[0]
    assert region.text == "RENT"
    assert region.quad.rounded() == Quad.of(800, 450, 1200, 550)
    assert region.quad_pt is not None
    assert region.quad_pt.rounded() == Quad.of(80, 45, 120, 55)
    assert region.quad_normalized == Quad.of(0.4, 0.45, 0.6, 0.55)


def test_the_caller_may_say_what_the_numbers_count() -> None:
    """With coordinate_frame pixels the same numbers are pixels of the picture sent."""
    request = build_request(
        AdvancedRecognition(), [picture()], model="qwen-vl-ocr-latest", frame=CoordinateFrame.PIXELS
    )
    answer = '[{"rotate_rect": [500, 250, 100, 200, 90], "text": "RENT"}]'
    assert interpret(Completion(answer=answer), request).regions[0].quad.rounded() == Quad.of(800, 400, 1200, 600)


def test_a_reading_tells_where_it_comes_from() -> None:
    """Page, model, usage and the raw answer are kept."""
    usage = Usage(prompt_tokens=40, completion_tokens=3, calls=1)
    request = build_request(
        TextRecognition(), [picture(page_index=4, total_pages=9, page_label="v")], model="qwen-vl-ocr-latest"
    )
    reading = interpret(
        Completion(answer="Rent: 950\n", finish_reason="stop", usage=usage, request_id="r-1", attempts=2), request
    )
    assert (reading.source, reading.page_index, reading.page_number, reading.page_label) == ("lease.pdf", 4, 5, "v")
    assert (reading.text.strip(), reading.answer) == ("Rent: 950", "Rent: 950\n")
    assert (reading.usage, reading.attempts, reading.request_id) == (usage, 2, "r-1")
    assert (reading.model, reading.origin, reading.finish_reason) == ("qwen-vl-ocr-latest", "service", "stop")
    assert reading.raise_for_outcome() is reading


def test_a_refusal_of_the_service_is_an_error_of_its_own() -> None:
    """The content check is told apart from a bad answer, and names the page."""
    request = build_request(TextRecognition(), [picture(page_index=2)], model="qwen-vl-ocr-latest")
    reading = interpret(Completion(answer="", refusal="inappropriate content", request_id="r-2"), request)
    assert reading.outcome == "refused"
    with pytest.raises(ContentRefusedError, match=r"Page 3 of lease\.pdf") as caught:
        reading.raise_for_outcome()
    assert caught.value.request_id == "r-2"


def test_a_malformed_answer_is_kept_as_evidence() -> None:
    """The error carries the answer, the reading has no result, and its text is not made up."""
    request = build_request(TableParsing(), [picture()], model="qwen-vl-ocr-latest")
    reading = interpret(Completion(answer="{]", finish_reason="stop"), request)
    assert (reading.outcome, reading.result, reading.text) == ("malformed", None, "")
    with pytest.raises(AnswerError) as caught:
        reading.raise_for_outcome()
    assert caught.value.answer == "{]"


def test_pages_read_together_are_one_reading() -> None:
    """Fields that span pages come from one request with all pictures."""
    task = KeyInformationExtraction({"tenant": ""})
    request = build_request(task, [picture(), picture(page_index=1)], model="qwen-vl-ocr-latest")
    reading = interpret(Completion(answer='{"tenant": "Ada Quill"}'), request)
    assert reading.page_indexes == (0, 1)


def test_tasks_with_places_are_not_read_together() -> None:
    """Nobody could tell which page a place is on."""
    with pytest.raises(OptionError, match="KeyInformationExtraction"):
        build_request(AdvancedRecognition(), [picture(), picture(page_index=1)], model="qwen-vl-ocr-latest")


def test_a_request_needs_a_picture() -> None:
    """An empty request is refused before anything is sent."""
    with pytest.raises(OptionError, match="picture"):
        build_request(TextRecognition(), [], model="qwen-vl-ocr-latest")


@pytest.mark.parametrize("name", TASKS)
def test_a_reading_as_json(name: str) -> None:
    """Every reading can be written as JSON, whatever its outcome."""
    task: Any = FreePrompt("Read.") if name == "free_prompt" else TASKS[name]()
    request = build_request(task, [picture()], model="qwen-vl-ocr-latest")
    saved = json.loads(json.dumps(interpret(Completion(answer="???"), request).to_dict(), default=str))
    assert saved["answer"] == "???"
    assert saved["task"] == name


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda t: t.name)
def test_every_task_describes_itself(task: Any) -> None:
    """The description a tool shows is the docstring, without its arguments."""
    assert "Args:" not in task.description()
    assert len(task.description()) > 40
    assert {"text", "md", "json"} <= set(task.result_type().forms)
