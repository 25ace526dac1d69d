"""Fences are taken off answers, and left on text that holds them."""

from __future__ import annotations

import pytest

from langchain_qwen_ocr.tasks.fences import Fenced, fence, fenced_block, unfence

CASES = {
    "none": ("plain", Fenced("plain")),
    "whole": ("```json\n{}\n```", Fenced("{}", "json", opened=True)),
    "glued at the end": ("```json\n[1]```", Fenced("[1]", "json", opened=True)),
    "glued at the start": ("```json[1]\n```", Fenced("[1]", "json", opened=True)),
    "never closed": ("```html\n<table>", Fenced("<table>", "html", opened=True, closed=False)),
    "half closed": ("```html\n<table>\n``", Fenced("<table>", "html", opened=True, closed=False)),
    "half opened": ("``", Fenced("", opened=True, closed=False)),
    "windows lines": ("```csv\r\n1\r\n```\r\n", Fenced("1", "csv", opened=True)),
    "tildes": ("~~~\na\n~~~", Fenced("a", opened=True)),
    "empty": ("```\n```", Fenced("", opened=True)),
}


@pytest.mark.parametrize(("answer", "expected"), CASES.values(), ids=CASES)
def test_a_fence_comes_off(answer: str, expected: Fenced) -> None:
    """What stands between the fences is the answer."""
    block = fenced_block(answer)
    assert (block.body, block.language, block.opened, block.closed) == (
        expected.body,
        expected.language,
        expected.opened,
        expected.closed,
    )


def test_prose_around_a_block_is_told_apart() -> None:
    """A block between sentences is found, and the sentences are kept beside it."""
    block = fenced_block("Here you are:\n```json\n{}\n```\nAnything else?")
    assert (block.before.strip(), block.body, block.after.strip()) == ("Here you are:", "{}", "Anything else?")


def test_a_fence_inside_text_belongs_to_the_text() -> None:
    """A page that shows a fence keeps it."""
    page = "Type this:\n```\nls\n```\nand press Enter."
    assert unfence(page) == Fenced(page)


def test_a_fence_around_a_fence_is_longer() -> None:
    """Text with a fence of its own comes back whole."""
    body = "```python\npass\n```"
    assert unfence(fence(body, "text")).body == body
