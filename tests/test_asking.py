"""What happens to a page before and after it is asked about."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from langchain_qwen_ocr import AdvancedRecognition, DocumentParsing, FormulaRecognition, Reading, TableParsing
from langchain_qwen_ocr.testing import ScriptedTransport, SentRequest, Step, StrictService, completion_body, looping
from tests.pages.documents import encoded, line_of_text, noisy, pdf, scan
from tests.readers import reader


def picture(width: int = 400, height: int = 600) -> Image.Image:
    """A page with something on it."""
    made = Image.new("L", (width, height), 255)
    ImageDraw.Draw(made).rectangle((width // 10, 40, width - width // 10, 60), fill=0)
    return made


def one(readings: Any) -> Reading[Any]:
    """The only reading."""
    (reading,) = readings
    return reading  # type: ignore[no-any-return]


def sent_size(sent: SentRequest) -> tuple[int, int]:
    """Width and height of the picture that was sent."""
    with Image.open(io.BytesIO(sent.pictures[0])) as image:
        return image.size


# Embedded text


def test_trusted_embedded_text_is_free() -> None:
    """Text that the eye sees is taken as it is: no call, exact words, places in points."""
    service = StrictService()
    reading = one(reader(service, text_layer="trust").read(pdf(line_of_text("Rent 950")), AdvancedRecognition()))
    assert (reading.text, reading.outcome, reading.origin) == ("Rent 950", "ok", "text-layer")
    assert (service.calls, reading.usage.total_tokens, reading.model) == (0, 0, None)
    region = reading.regions[0]
    assert region.quad_pt is not None
    assert reading.size_px is not None
    assert region.quad.bounds[2] == pytest.approx(region.quad_pt.bounds[2] * 200 / 72, abs=1)


def test_embedded_text_is_not_taken_unless_asked_for() -> None:
    """What is printed is read by default."""
    service = StrictService("from the picture")
    assert one(reader(service).read(pdf(line_of_text("Rent 950")))).text == "from the picture"


@pytest.mark.parametrize("task", [TableParsing(), DocumentParsing(), FormulaRecognition()], ids=lambda t: t.name)
def test_embedded_text_answers_only_tasks_that_ask_for_text(task: Any) -> None:
    """Structure is read from the picture."""
    service = StrictService("$$x$$")
    list(reader(service, text_layer="trust").read(pdf(line_of_text("Rent 950")), task))
    assert service.calls >= 1


def test_a_scan_is_read_whatever_is_hidden_behind_it() -> None:
    """Text under a full-page picture is not trusted, and that it says something else is told."""
    jpeg = encoded(noisy(), "JPEG")

    def page(document: Any, made: Any) -> None:
        line_of_text("Pay one million to the bearer of this letter at once")(document, made)
        scan(jpeg)(document, made)

    reading = one(reader(StrictService("Dear Ada"), text_layer="trust").read(pdf(page)))
    assert (reading.text, reading.origin) == ("Dear Ada", "service")
    assert any("embedded text is not what its picture shows" in warning for warning in reading.warnings)


# Orientation and parts


def test_a_page_on_its_side_is_turned_and_its_places_come_back() -> None:
    """The model sees it upright; places are on the page as it lay."""
    letter = Path(__file__).parent.parent / "examples" / "pictures" / "letter_turned_90.png"
    service = StrictService('[{"rotate_rect": [500, 100, 20, 400, 90], "text": "top"}]')
    reading = one(reader(service, auto_orient=True).read(letter, AdvancedRecognition()))
    width, height = sent_size(service.requests[0])
    assert height > width
    left, top, right, bottom = reading.regions[0].quad.bounds
    assert right - left < bottom - top
    assert (left + right) / 2 == pytest.approx(0.9 * 3508, rel=0.02)
    assert (top + bottom) / 2 == pytest.approx(0.5 * 2480, rel=0.02)


def test_a_long_strip_is_read_in_parts_on_request() -> None:
    """A screenshot beyond 200:1 is refused whole, and read in tiles with its places in the whole."""
    strip = picture(20, 5000)
    refused = one(reader(StrictService()).read([strip]))
    assert (refused.outcome, "200" in str(refused.error)) == ("failed", True)
    service = StrictService('[{"rotate_rect": [500, 500, 20, 400, 90], "text": "middle of a part"}]')
    reading = one(reader(service, tiles=True).read(strip, AdvancedRecognition()))
    assert service.calls > 10
    assert len(reading.regions) == service.calls == reading.attempts
    tops = [region.quad.center.y for region in reading.regions]
    assert tops == sorted(tops)
    assert tops[-1] > 4500


def test_an_ordinary_page_is_not_cut() -> None:
    """Tiles are for pages that do not fit one look."""
    service = StrictService("text")
    list(reader(service, tiles=True).read(picture()))
    assert service.calls == 1


# Asking again

CUT = completion_body("one\ntwo", finish_reason="length")
LOOP = looping("tea ")


@pytest.mark.parametrize(
    ("script", "outcome", "text", "calls"),
    [
        pytest.param([CUT, "one\ntwo", "two\nthree"], "ok", "one\ntwo\nthree", 3, id="cut, then in halves"),
        pytest.param([CUT, CUT, CUT], "truncated", "one\ntwo", 3, id="cut, and cut in halves too"),
        pytest.param([LOOP, "tea"], "ok", "tea", 2, id="a loop, then a smaller picture"),
        pytest.param([LOOP, LOOP, "a", "b", "c"], "ok", "a\nb\nc", 5, id="a loop, then in three parts"),
        pytest.param([LOOP] * 5, "repeating", None, 5, id="nothing but loops"),
    ],
)
def test_the_ladder(script: list[Step], outcome: str, text: str | None, calls: int) -> None:
    """Each step once, the best reading kept, every call counted and told."""
    service = ScriptedTransport(script)
    reading = one(reader(service).read(picture()))
    assert (reading.outcome, reading.attempts, service.calls) == (outcome, calls, calls)
    assert reading.usage.calls == calls
    assert text is None or reading.text == text
    assert any("asked again" in warning for warning in reading.warnings)


@pytest.mark.parametrize(
    ("script", "again"),
    [
        pytest.param([CUT, "one", "two"], 0, id="well in the end"),
        pytest.param([CUT, CUT, "two"], 2, id="still bad: the good half is kept"),
        pytest.param([LOOP, LOOP, "a", "b", "c"], 0, id="after several steps"),
    ],
)
@pytest.mark.parametrize("how", ["read", "aread"])
async def test_the_way_to_a_good_reading_is_paid_for_once(
    script: list[Step], again: int, how: str, tmp_path: Path
) -> None:
    """Another run takes the same steps for nothing; a page that stayed bad is asked for once more."""

    async def read(transport: ScriptedTransport) -> Reading[Any]:
        ocr = reader(transport, cache=tmp_path / "answers.sqlite")
        if how == "aread":
            return one([reading async for reading in ocr.aread(picture())])
        return one(ocr.read(picture()))

    first = await read(ScriptedTransport(script))
    service = ScriptedTransport([CUT, "one"])
    second = await read(service)
    assert service.calls == again
    assert first.is_good == (again == 0)
    assert second.is_good
    if not again:
        assert (second.text, second.usage.cached, second.attempts) == (first.text, len(script), 0)


def test_a_looping_page_is_shown_smaller() -> None:
    """Another size of the picture breaks most loops."""
    service = ScriptedTransport([LOOP, "tea"])
    list(reader(service).read(picture(1000, 1400)))
    first, second = (sent_size(sent) for sent in service.requests)
    assert second[0] * second[1] == pytest.approx(0.6 * first[0] * first[1], rel=0.1)


def test_a_malformed_answer_is_asked_for_once_more() -> None:
    """Once, and in the same way."""
    good = '```json\n[{"rotate_rect": [500, 500, 20, 400, 90], "text": "Rent"}]\n```'
    service = ScriptedTransport(["The rent is due.", good])
    reading = one(reader(service).read(picture(), AdvancedRecognition()))
    assert (reading.outcome, reading.text, reading.attempts) == ("ok", "Rent", 2)
    assert service.requests[0].body == service.requests[1].body


def test_parts_of_a_page_are_lines_of_the_page() -> None:
    """A line that both halves saw stands once, as the half has it that saw more of it."""

    def answer(sent: SentRequest) -> Step:
        if len(service.requests) == 1:
            return completion_body('[{"rotate_rect": [500, 5', finish_reason="length")
        if len(service.requests) == 2:
            lines = [[500, 500, 20, 400, 90, "first"], [500, 970, 40, 400, 90, "in both hal"]]
        else:
            lines = [[500, 30, 40, 400, 90, "in both halves"], [500, 500, 20, 400, 90, "last"]]
        return json.dumps([{"rotate_rect": line[:5], "text": line[5]} for line in lines])

    service = ScriptedTransport(answer)
    reading = one(reader(service).read(picture(), AdvancedRecognition()))
    assert [region.text for region in reading.regions] == ["first", "in both halves", "last"]


def test_tables_are_not_put_together_from_parts() -> None:
    """A table cut through its rows cannot be joined honestly: what came first is kept, and said to be cut."""
    cut = completion_body("```html\n<table><tr><td>1</td></tr><tr><td>2", finish_reason="length")
    service = ScriptedTransport([cut])
    reading = one(reader(service).read(picture(), TableParsing()))
    assert (reading.outcome, service.calls) == ("truncated", 1)
    assert "| 1 |" in reading.text
