"""Answers to the caller's own words: text, and its value when it is JSON."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from langchain_qwen_ocr import FreePrompt
from langchain_qwen_ocr.geometry import Quad, Size
from langchain_qwen_ocr.tasks.layout import Layout, LayoutLine
from langchain_qwen_ocr.tasks.results import Text

TASK = FreePrompt("Which train is it? Answer in JSON.")
CASES: dict[str, tuple[str, Text]] = {
    "words": ("G1948", Text("G1948")),
    "fenced JSON": ('```json\n{"train": "G1948"}\n```', Text('{"train": "G1948"}', {"train": "G1948"})),
    "bare JSON": ('{"train": "G1948"}', Text('{"train": "G1948"}', {"train": "G1948"})),
    "a list": ('["G1948", "K7"]', Text('["G1948", "K7"]', ["G1948", "K7"])),
    "a mark in brackets": ("[illegible] Street", Text("[illegible] Street")),
    "numbered notes": ("[1] First note\n[2] Second", Text("[1] First note\n[2] Second")),
    "words around fenced JSON": (
        'The train:\n```json\n{"train": "G1948"}\n```\nAnything else?',
        Text('The train:\n```json\n{"train": "G1948"}\n```\nAnything else?', {"train": "G1948"}),
    ),
    "fenced text": ("```text\nG1948\n```", Text("G1948")),
    "HTML": ("```html\n<p>G1948</p>\n```", Text("<p>G1948</p>")),
}


@pytest.mark.parametrize(("answer", "expected"), CASES.values(), ids=CASES)
def test_an_answer_is_read(answer: str, expected: Text) -> None:
    """JSON gives its value beside the text; anything else is text."""
    assert TASK.parse(answer) == expected


@pytest.mark.parametrize(
    ("answer", "data"), [("{'train': 'G1948'}", {"train": "G1948"}), ('{"a": "1", "b": "2', {"a": "1"})]
)
def test_a_repair_is_said(answer: str, data: Any) -> None:
    """What had to be repaired or left out is a warning."""
    text = TASK.parse(answer)
    assert text.data == data
    assert text.warnings


def test_json_that_cannot_be_read_is_text() -> None:
    """A free answer has no form that it could break."""
    text = TASK.parse("```json\nno JSON at all\n```")
    assert (text.text, text.data) == ("no JSON at all", None)
    assert "cannot be read" in text.warnings[0]


def test_a_copy_can_have_other_options() -> None:
    """A task is a value like all others; the prompt of a copy may be another one."""
    assert dataclasses.replace(TASK, prompt_language="en") == FreePrompt(TASK.prompt(), prompt_language="en")
    assert dataclasses.replace(TASK, words="Which seat?") == FreePrompt("Which seat?")


def test_a_plain_engine_says_that_it_does_not_follow_words() -> None:
    """It gives the page's text, with a warning."""
    layout = Layout(Size(100, 50), Size(100, 50), (LayoutLine("G1948", Quad.of(5, 5, 60, 20)),))
    text = TASK.from_layout(layout)
    assert text.text == "G1948"
    assert "cannot follow a prompt" in text.warnings[0]
