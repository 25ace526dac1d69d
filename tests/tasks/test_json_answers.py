"""JSON out of answers: strict first, repaired where it can be trusted, honest about what was cut."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_qwen_ocr.errors import AnswerError
from langchain_qwen_ocr.tasks.json_answers import read_json

WHOLE = {
    "bare": ('{"a": 1}', {"a": 1}),
    "fenced": ('```json\n{"a": 1}\n```', {"a": 1}),
    "a line break in a value": ('{"a": "x\ny"}', {"a": "x\ny"}),
    "single quotes": ("{'a': 'x'}", {"a": "x"}),
    "a comma too many": ('{"a": "x", "b": [1, 2,],}', {"a": "x", "b": [1, 2]}),
    "a bracket missing inside a closed fence": ('```json\n[{"a": ["x"]}```', [{"a": ["x"]}]),
    "a number beyond any float": ('{"a": 1e999}', {"a": "1e999"}),
}
CUT: dict[str, tuple[str, Any]] = {
    "in a record of a list": ('[{"a": "x"}, {"a": "y"}, {"a": "z', [{"a": "x"}, {"a": "y"}]),
    "between records": ('[{"a": "x"},', [{"a": "x"}]),
    "in the first record": ('[{"a": "x", "b', []),
    "in a value": ('{"a": "x", "b": "12', {"a": "x"}),
    "in a number": ('{"a": 1, "b": 12', {"a": 1}),
    "behind a value": ('{"a": "x", "b": "12"', {"a": "x", "b": "12"}),
    "in an inner object": ('{"a": {"b": "x", "c": tr', {"a": {"b": "x"}}),
    "in a list of values": ('{"a": ["x", "y', {"a": ["x"]}),
    "in a list of lists": ("[[1, 2], [3", [[1, 2]]),
    "in a list of records in an object": (
        '{"n": "1", "items": [{"a": "x"}, {"a": "y", "b',
        {"n": "1", "items": [{"a": "x"}]},
    ),
    "in an open fence": ('```json\n{"a": "x", "b": "y', {"a": "x"}),
    "at the opening of a fence": ("```json", None),
}


def test_a_fence_that_never_closes_loses_nothing_of_a_whole_value() -> None:
    """The value is whole, so it is not called cut; that the fence is open is said."""
    read = read_json('```json\n{"a": "x"}\n``')
    assert (read.value, read.cut) == ({"a": "x"}, False)
    assert any("fence" in warning for warning in read.warnings)


@pytest.mark.parametrize(("answer", "value"), WHOLE.values(), ids=WHOLE)
def test_a_whole_value_is_read(answer: str, value: Any) -> None:
    """What the model meant is read, and it is not called cut."""
    read = read_json(answer)
    assert read.value == value
    assert not read.cut


@pytest.mark.parametrize(("answer", "value"), CUT.values(), ids=CUT)
def test_what_is_complete_of_a_cut_value_is_kept(answer: str, value: Any) -> None:
    """Complete records and members stay, the half-written one goes."""
    read = read_json(answer)
    assert read.value == value
    assert read.cut


def test_a_huge_cut_value_keeps_its_records() -> None:
    """What only was cut needs no repair, however long it is."""
    read = read_json("[" + '{"a": "x"}, ' * 50_000 + '{"a": "y')
    assert read.cut
    assert isinstance(read.value, list)
    assert len(read.value) == 50_000


def test_a_repair_is_said() -> None:
    """Whoever reads the result learns that the answer was not well-formed."""
    assert "repaired" in read_json("{'a': 'x'}").warnings[0]


def test_prose_around_is_said() -> None:
    """Text that is left out is quoted."""
    read = read_json('Sure! {"a": 1} Hope that helps.')
    assert read.value == {"a": 1}
    assert read.warnings == (
        "Text around the JSON was left out: 'Sure!'",
        "Text around the JSON was left out: 'Hope that helps.'",
    )


def test_of_a_key_that_comes_twice_the_full_value_counts() -> None:
    """The last value wins, but never an empty one over a full one; the key is named."""
    read = read_json('{"a": "1", "a": "2", "b": "x", "b": null}')
    assert read.value == {"a": "2", "b": "x"}
    assert "a, b" in read.warnings[0]


def test_not_a_number_is_null() -> None:
    """NaN is no JSON and no value."""
    read = read_json('{"a": NaN}')
    assert read.value == {"a": None}
    assert "NaN" in read.warnings[0]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("Total 12.50", id="prose"),
        pytest.param("", id="nothing"),
        pytest.param("[" * 100_000, id="too deep"),
        pytest.param('{"a":' * 100_000, id="objects too deep"),
        pytest.param("[" * 70 + "]" * 70, id="closed, but too deep"),
        pytest.param("[in brackets] a long sentence follows that no repair can turn into any JSON {", id="no JSON"),
        pytest.param("{'a': 1}, " * 100_000, id="too long to repair"),
    ],
)
def test_what_cannot_be_trusted_is_refused(answer: str) -> None:
    """No value is made up."""
    with pytest.raises(AnswerError):
        read_json(answer)
