"""Loops are found, and honest repetition is left alone."""

from __future__ import annotations

import pytest

from langchain_qwen_ocr.tasks.repetition import Repetition, find_repetition

ROW = "<tr><td>Widget</td><td>5.00</td></tr>"
LOOPS = {
    "a word": ("Intro text. " + "the " * 200, Repetition(12, "the ", 200)),
    "a character": ("abc" + "啊" * 500, Repetition(3, "啊", 500)),
    "a line": ("Heading\n" + "same line again\n" * 60, Repetition(8, "same line again\n", 60)),
    "an unfinished last time": (
        "Hi\n" + "Total due now: 100 EUR\n" * 40 + "Total d",
        Repetition(3, "Total due now: 100 EUR\n", 40),
    ),
    "a cycle of lines": ("x\n" + "one of them\nand another\n" * 30, Repetition(2, "one of them\nand another\n", 30)),
    "rows that fill the answer": ("<table><tr><th>h</th></tr>" + ROW * 120, Repetition(26, ROW, 120)),
    "rows, closed at last": ("```html\n<table>" + "<tr><td>Widget</td></tr>" * 120 + "</table>\n```", None),
    "empty rows beyond any form": ("<table>" + "<tr><td></td></tr>\n" * 900, None),
    "cells": ("<table><tr>" + "<td>a</td>" * 300, Repetition(11, "<td>a</td>", 300)),
    "a sentence behind a heading": (
        "\\section*{A}\n" + "The rent is due. " * 40,
        Repetition(13, "The rent is due. ", 40),
    ),
    "a number without end": ('{"total": "1' + "0" * 900, Repetition(12, "0", 900)),
    "digits": ("No. " + "0" * 8000, Repetition(4, "0", 8000)),
    "lines, and the answer goes on": ("A\n" + "again and again\n" * 300 + "then\nthe end", None),
}
HONEST = {
    "nothing": "",
    "five equal long rows": "Signature: ________ Date: ________ Name of the witness in capitals: ________\n" * 5,
    "thirty equal rows of a table": f"<table>{ROW * 30}</table>",
    "eighty equal rows of a table that is closed": f"```html\n<table>{ROW * 80}</table>\n```",
    "a form of empty rows": "<table>" + "<tr><td></td><td></td></tr>" * 60 + "</table>",
    "a refrain": "Down the river we go\nslow, slow, slow\nhey ho, hey ho, hey ho\n" * 4,
    "leaders": "Chapter 1" + "." * 600 + "12\n" + "_" * 2000,
    "a multiplication table": "\n".join(" ".join(str(i * j) for j in range(1, 21)) for i in range(1, 21)),
    "thirty equal records": "[" + ", ".join(['{"name": "A", "price": "1.00"}'] * 30) + "]",
    "a column of zeros": "0.00\n" * 80,
    "a sentence written twenty times": "I will not talk in class.\n" * 20,
    "laughter": "哈哈哈哈哈哈" * 5,
    "equal LaTeX rows": r"\begin{tabular}{ll}" + "a & b \\\\\n" * 40 + r"\end{tabular}",
}


@pytest.mark.parametrize(("answer", "loop"), LOOPS.values(), ids=LOOPS)
def test_a_loop_is_found(answer: str, loop: Repetition | None) -> None:
    """A loop is found with the character it begins at, what is repeated, and how often."""
    found = find_repetition(answer)
    assert found is not None
    assert loop in {found, None}


@pytest.mark.parametrize("answer", HONEST.values(), ids=HONEST)
def test_honest_repetition_is_no_loop(answer: str) -> None:
    """What pages repeat themselves is left alone."""
    assert find_repetition(answer) is None


def test_a_loop_is_followed_over_a_million_characters() -> None:
    """A loop that fills a huge answer is found at its beginning."""
    assert find_repetition("start " + "ab" * 500_000) == Repetition(6, "ab", 500_000)


@pytest.mark.parametrize(
    ("unit", "times"),
    [("a", 100), ("abcd", 40), ("ten chars ", 25), ("The quick brown fox jumps over ", 12), ("z" * 79 + ".", 8)],
    ids=repr,
)
def test_the_fewest_times_that_count(unit: str, times: int) -> None:
    """A short unit must come often; once fewer, and it may be the page's own."""
    assert find_repetition(f"Page 7\n{unit * times}") is not None
    assert find_repetition(f"Page 7\n{unit * (times - 1)}") is None
