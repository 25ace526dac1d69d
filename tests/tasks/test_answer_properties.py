"""What holds for every answer to the tasks of text, places, fields and free words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_qwen_ocr import (
    AdvancedRecognition,
    FreePrompt,
    KeyInformationExtraction,
    MultilingualRecognition,
    Quad,
    TextRecognition,
)
from langchain_qwen_ocr.errors import AnswerError
from langchain_qwen_ocr.geometry import Affine, CoordinateFrame, PageMap, Size
from langchain_qwen_ocr.tasks.field_values import is_illegible
from langchain_qwen_ocr.tasks.phrases import declines, says_nothing_to_read
from langchain_qwen_ocr.tasks.places import Line, Lines
from langchain_qwen_ocr.tasks.repetition import find_repetition
from langchain_qwen_ocr.tasks.results import Text

TASKS: tuple[Any, ...] = (
    TextRecognition(),
    MultilingualRecognition(),
    AdvancedRecognition(),
    KeyInformationExtraction(),
    KeyInformationExtraction({"a": "", "b": {"c": ""}, "d": [{"e": ""}]}),
    FreePrompt("What is it?"),
)
TO_PAGE = PageMap(
    frame=CoordinateFrame.THOUSANDTHS, sent=Size(640, 480), page=Size(1280, 960), to_page=Affine.scaling(2, 2)
)
PIECES = (
    *(
        "```",
        "json",
        "\n",
        "{",
        "}",
        "[",
        "]",
        '"',
        "'",
        ":",
        ",",
        " ",
        "?",
        "\\",
        "\u2028",
        "é",
        "文",
        "null",
        "NaN",
        "1e999",
    ),
    *(
        '"text"',
        '"rotate_rect"',
        '"location"',
        '"words_info"',
        '"a":',
        '"d":',
        '"e": "x"',
        "<1><2><3><4><5>",
        "(1,2,3,4,5)",
    ),
    *("236,254,115,299,90,Open", "500,", "90", "-89", "1. "),
)
ANSWERS = st.text(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
NUMBERS = st.floats(-1e6, 1e6) | st.integers(-50, 1200).map(float)
QUADS = st.tuples(*[st.tuples(NUMBERS, NUMBERS)] * 4).map(Quad)
RECTS = st.tuples(*[st.integers(0, 1000)] * 4, st.integers(-90, 90)) | st.tuples(*[st.floats(0, 1000)] * 5)
LINES = st.builds(Line, st.text(max_size=20), QUADS, NUMBERS, st.none() | QUADS, st.booleans()) | st.builds(
    Line.from_rect, st.text(max_size=20), RECTS
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(ANSWERS)
def test_any_text_is_read_or_refused(answer: str) -> None:
    """Whatever comes is read, can be used, and comes back from being written; or it is an AnswerError."""
    for task in TASKS:
        try:
            result = task.parse(answer)
        except AnswerError:
            continue
        assert task.parse(task.write(result)) == result
        on_page = result.mapped(TO_PAGE)
        assert isinstance(on_page.text, str)
        assert isinstance(on_page.to_json(), str)
        assert isinstance(on_page.metadata(), dict)
        assert len(on_page.regions) >= 0


WRITTEN = (
    (
        '```json\n[\n\t{"rotate_rect": [502, 178, 95, 435, 90], "text": "Rent, {due}"},\n'
        '\t{"rotate_rect": "<1><2><3><4><5>"}\n]\n```'
    ),
    '{"ocr_result": {"words_info": [{"location": [52, 54, 250, 57, 249, 106, 52, 103], "text": "Rent"}]}}',
    "236,254,115,299,90,Open\n646,254,115,269,90,Closed, Mondays\n",
    "1. Open [236, 254, 115, 299, 90]\n2. Closed (646,254,115,269,90), (334,)",
    '```json\n{"a": "x?", "b": {"c": null}, "d": [{"e": "1"}, {"e": "null"}]}\n```',
)


@given(st.sampled_from(WRITTEN), st.integers(0, 150), st.integers(0, 150), st.sampled_from(PIECES))
def test_a_damaged_answer_is_read_or_refused(answer: str, start: int, end: int, piece: str) -> None:
    """An answer with a part replaced, doubled or missing is read, or it is an AnswerError."""
    for damaged in (answer[:start] + piece + answer[end:], answer[:start] + answer[end:] * 2):
        for task in TASKS:
            try:
                result = task.parse(damaged)
            except AnswerError:
                continue
            assert task.parse(task.write(result)) == result
            assert isinstance(result.mapped(TO_PAGE).text, str)


@given(ANSWERS)
def test_any_text_can_be_judged(answer: str) -> None:
    """Looking for loops, refusals and unreadable characters never fails."""
    loop = find_repetition(answer)
    assert loop is None or answer[loop.start :].startswith(loop.unit)
    assert isinstance(declines(answer), bool)
    assert isinstance(says_nothing_to_read(answer), bool)
    assert isinstance(is_illegible(answer), bool)


@given(ANSWERS)
def test_text_comes_back(text: str) -> None:
    """Any text at all survives being written, also text that looks like places or fences."""
    assert TextRecognition().parse(TextRecognition().write(Text(text))) == Text(text)


@given(st.lists(LINES, max_size=4))
def test_lines_come_back(lines: list[Line]) -> None:
    """Places of any shape survive being written, before and after they were mapped."""
    task, made = AdvancedRecognition(), Lines(tuple(lines))
    assert task.parse(task.write(made)) == made
    on_page = made.mapped(TO_PAGE)
    assert task.parse(task.write(on_page)) == on_page


@given(st.dictionaries(st.sampled_from("abcde") | st.text(max_size=5), JSON, max_size=4))
def test_fields_come_back(found: dict[str, Any]) -> None:
    """Fields of any shape survive being written."""
    for task in TASKS[3:5]:
        fields = task.parse(json.dumps(found, ensure_ascii=False))
        assert task.parse(task.write(fields)) == fields


@given(JSON.filter(lambda value: isinstance(value, dict | list)))
def test_json_of_a_free_prompt_comes_back(value: Any) -> None:
    """A JSON value survives being written."""
    assert FreePrompt("x").parse(FreePrompt("x").write(Text("", value))).data == value


@given(st.integers(1, 4000), st.integers(1, 4000), st.tuples(*[st.integers(0, 499)] * 4))
def test_a_box_survives_the_way_to_thousandths_and_back(width: int, height: int, numbers: tuple[int, ...]) -> None:
    """Page, grid, page: within one grid step of where it was."""
    from langchain_qwen_ocr.tasks.places import line_in_picture

    size = Size(width, height)
    left, top, across, down = (n / 1000 for n in numbers)
    box = Quad.of(left * width, top * height, (left + across + 0.01) * width, (top + down + 0.01) * height)
    line = (
        AdvancedRecognition()
        .parse(AdvancedRecognition().write(Lines((line_in_picture("Tenant", box, size),))))
        .lines[0]
    )
    back = line.mapped(Affine.scaling(width / 1000, height / 1000)).quad
    for was, now in zip(box.bounds, back.bounds, strict=True):
        assert abs(was - now) <= 2.01 * max(width, height) / 1000


@pytest.mark.parametrize(
    ("task", "answer"),
    [
        pytest.param(
            TASKS[2], '```json\n[\n\t{"rotate_rect": [500, 500, 100, 200, 90], "text": "A, {b}"}\n]\n```', id="lines"
        ),
        pytest.param(
            TASKS[4], '```json\n{"a": "x?", "b": {"c": "y"}, "d": [{"e": "1"}, {"e": null}]}\n```', id="fields"
        ),
        pytest.param(TASKS[5], '```json\n{"a": [1, {"b": "c"}]}\n```', id="free prompt"),
    ],
)
def test_every_beginning_of_an_answer_is_cut(task: Any, answer: str) -> None:
    """From the first mark of the fence to the last bracket but one, the result says that something is missing."""
    assert all(task.parse(answer[:end]).cut for end in range(1, len(answer) - len("}\n```")))
    assert not any(task.parse(answer[:end]).cut for end in range(len(answer) - len("\n```"), len(answer)))
