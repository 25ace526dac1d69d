"""JSON as models answer it: fenced, wrapped in prose, cut in its middle, or not quite JSON.

Strict reading comes first; `json_repair` reads what is left. What was repaired is said, and what cannot be trusted
after a repair is refused.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

from langchain_qwen_ocr.errors import AnswerError
from langchain_qwen_ocr.tasks.fences import fenced_block

JSONValue = None | bool | int | float | str | list[Any] | dict[str, Any]

_LONGEST_REPAIR = 400_000
"""Characters. No model answers more; repairing is about a thousand times slower than reading."""
_DEEPEST = 60
"""How deep an answer may be nested."""
_LEAST_KEPT = 0.6
"""Of the letters and digits of an answer, how many a repair must keep to be trusted."""
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?P<closed>")?|[\[\]{},:]|[^\s\[\]{},:"]+', re.DOTALL)
_CLOSING = {"{": "}", "[": "]"}


@dataclass(frozen=True, slots=True)
class JSONAnswer:
    """The JSON value of an answer, and how it was got."""

    value: JSONValue
    warnings: tuple[str, ...] = ()
    """What was repaired, or stood around it."""
    cut: bool = False
    """The answer stops in the middle of the value; complete parts are in `value`."""


def holds_json(answer: str) -> bool:
    """Whether *answer* looks as if it held a JSON object or array."""
    block = fenced_block(answer)
    return block.language == "json" or block.body.lstrip()[:1] in {"{", "["}


def read_json(answer: str) -> JSONAnswer:
    """The JSON object or array that *answer* holds.

    Raises:
        AnswerError: There is none, or none that can be trusted after a repair.
    """
    block = fenced_block(answer)
    body = block.body.strip()
    open_fence = block.opened and not block.closed
    start = _first_bracket(body)
    around = [text.strip() for text in (block.before, body[: max(start, 0)]) if text.strip()]
    if start < 0:
        if open_fence:
            return JSONAnswer(None, cut=True)
        raise AnswerError("The answer holds no JSON object or array.", answer=answer)
    notes = _Notes()
    try:
        value, end = _decode(body[start:], notes)
    except ValueError:
        value, cut = _mend(body[start:], notes, answer, closed=block.opened and block.closed)
        _check_depth(value, answer)
        return JSONAnswer(value, (*notes.all(), *_say_around([*around, block.after])), cut or open_fence)
    except RecursionError:
        _refuse_depth(answer)
    further = _read_further(f"{body[start + end :]}\n{block.after}", notes, answer)
    value = _joined([value, *further.values], notes)
    _check_depth(value, answer)
    rest = further.rest.strip()
    if open_fence and not rest.strip("`"):
        # What the fence holds is whole: nothing was lost with its end.
        notes.repairs.append("The code fence is never closed; the JSON in it is whole.")
        return JSONAnswer(value, (*notes.all(), *_say_around(around)), further.cut)
    # Behind the first fence another may have been opened.
    cut = open_fence or further.cut or block.after.count("```") % 2 == 1
    return JSONAnswer(value, (*notes.all(), *_say_around([*around, rest])), cut)


_BETWEEN = re.compile(r"(?:[\s,;]|```(?:jsonl?\b)?)*")


@dataclass(frozen=True, slots=True)
class _Further:
    """What stands behind the first value."""

    values: list[JSONValue]
    rest: str
    cut: bool = False


def _read_further(text: str, notes: _Notes, answer: str) -> _Further:
    """The values that follow the first one, as in JSON Lines or in several fences."""
    values: list[JSONValue] = []
    at = 0
    while True:
        start = _between(text, at)
        if text[start : start + 1] not in {"[", "{"}:
            return _Further(values, text[start:])
        try:
            value, at = _decode(text, notes, start)
        except ValueError:
            return _Further(values, text[start:], cut=_complete_part(text[start:], answer) is not None)
        except RecursionError:
            _refuse_depth(answer)
        values.append(value)


def _between(text: str, at: int) -> int:
    """Where what separates two values ends."""
    found = _BETWEEN.match(text, at)
    assert found is not None
    return found.end()


def _joined(values: list[JSONValue], notes: _Notes) -> JSONValue:
    """One value of those that stood one after another: a list."""
    if len(values) == 1:
        return values[0]
    notes.repairs.append(f"The answer holds {len(values)} JSON values one after another; they were read as one list.")
    return [part for value in values for part in (value if isinstance(value, list) else [value])]


def _first_bracket(body: str) -> int:
    found = re.search(r"[\[{]", body)
    return -1 if found is None else found.start()


def _say_around(around: list[str]) -> tuple[str, ...]:
    return tuple(f"Text around the JSON was left out: {_short(text)}" for text in around if text.strip())


def _short(text: str, longest: int = 80) -> str:
    flat = " ".join(text.split())
    return repr(flat if len(flat) <= longest else flat[: longest - 1] + "…")


@dataclass(slots=True)
class _Notes:
    """What was noticed while reading."""

    duplicates: dict[str, None] = field(default_factory=dict)
    not_numbers: int = 0
    repairs: list[str] = field(default_factory=list)

    def pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """An object; of keys that come twice the last value counts, but never an empty one over a full one."""
        made: dict[str, Any] = {}
        for key, value in pairs:
            if key in made:
                self.duplicates[key] = None
                if value in (None, "", "null"):
                    continue
            made[key] = value
        return made

    def constant(self, _: str) -> None:
        """NaN and the infinities, which JSON does not know."""
        self.not_numbers += 1

    def all(self) -> tuple[str, ...]:
        """Them as sentences."""
        found = list(self.repairs)
        if self.duplicates:
            found.append(f"Keys come more than once; the last value counts: {', '.join(self.duplicates)}.")
        if self.not_numbers:
            found.append(f"{self.not_numbers} values are NaN or infinite, which is no JSON: read as null.")
        return tuple(found)


def _whole(digits: str) -> int | str:
    """A whole number; digits beyond what Python converts stay text."""
    try:
        return int(digits)
    except ValueError:
        return digits


def _fraction(digits: str) -> float | str:
    """A number with a fraction or an exponent; one beyond what a float holds stays text."""
    number = float(digits)
    return number if math.isfinite(number) else digits


def _decode(text: str, notes: _Notes, start: int = 0) -> tuple[JSONValue, int]:
    # Line breaks inside strings are what models write most often beside JSON: they do no harm, so they are let in.
    decoder = json.JSONDecoder(
        object_pairs_hook=notes.pairs,
        parse_constant=notes.constant,
        parse_int=_whole,
        parse_float=_fraction,
        strict=False,
    )
    value, end = decoder.raw_decode(text, start)
    return value, end


def _mend(text: str, notes: _Notes, answer: str, *, closed: bool) -> tuple[JSONValue, bool]:
    """The value of *text*, which is no JSON as it stands, and whether it was cut."""
    kept = _complete_part(text, answer)
    if closed:
        kept = None
    try:
        if kept is not None:
            notes.repairs.append(
                f"The JSON stops in its middle; the unfinished end was left out: {_short(text[kept.end :])}"
            )
            return _decode_or_repair(kept.text, notes, answer), True
        return _repair(text, notes, answer), False
    except RecursionError:
        _refuse_depth(answer)


def _decode_or_repair(text: str, notes: _Notes, answer: str) -> JSONValue:
    try:
        return _decode(text, notes)[0]
    except ValueError:
        return _repair(text, notes, answer)


def _repair(text: str, notes: _Notes, answer: str) -> JSONValue:
    import json_repair

    if len(text) > _LONGEST_REPAIR:
        raise AnswerError(
            f"The answer is no valid JSON and with {len(text):,} characters too long to be repaired.", answer=answer
        )
    try:
        value = json_repair.loads(text, skip_json_loads=True)
    except (ValueError, LookupError, TypeError, AssertionError, RecursionError):
        # What it cannot mend, it does not always say by a ValueError: `[{"a": 1, ```` fails an assertion of its own.
        _refuse(answer)
    if not isinstance(value, dict | list):
        _refuse(answer)
    written = json.dumps(value, ensure_ascii=False, default=str)
    if _letters(written) < _LEAST_KEPT * _letters(text):
        _refuse(answer)
    notes.repairs.append("The JSON was not well-formed and was repaired; compare it with the answer.")
    return _decode(written, notes)[0]


def _refuse(answer: str) -> NoReturn:
    raise AnswerError("The answer is no valid JSON, and no repair of it can be trusted.", answer=answer)


def _refuse_depth(answer: str) -> NoReturn:
    raise AnswerError(f"The JSON of the answer is nested more than {_DEEPEST} levels deep.", answer=answer) from None


def _check_depth(value: JSONValue, answer: str) -> None:
    """Refuse what would exhaust the stack of whoever walks through it."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            part
            for outer in level
            if isinstance(outer, dict | list)
            for part in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    _refuse_depth(answer)


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))


@dataclass(slots=True)
class _Open:
    """A bracket that is not closed yet."""

    bracket: str
    safe: int
    """Where its last complete element ends."""
    name: str = ""
    """The last name in this object, quoted as it stands."""
    after_colon: bool = False
    holds_objects: bool = False

    def take(self, token: re.Match[str]) -> None:
        """Move on by one token inside this bracket."""
        word = token[0]
        if word == ",":
            # A number is only complete when something follows it.
            self.safe, self.after_colon = max(self.safe, token.start()), False
        elif word == ":":
            self.after_colon = True
        elif word in {"}", "]"} or (token["closed"] and (self.bracket == "[" or self.after_colon)):
            self.safe = token.end()
            self.holds_objects = self.holds_objects or word == "}"
        elif token["closed"]:
            self.name = word


@dataclass(frozen=True, slots=True)
class _Kept:
    """The complete part of a cut JSON text."""

    text: str
    end: int
    """Where in the source it ends."""


def _complete_part(text: str, answer: str) -> _Kept | None:
    """What is complete in a JSON text that stops in its middle; None when all its brackets are closed.

    The half-written record of a list is left out as a whole; of a half-written object outside a list the complete
    members stay.
    """
    stack: list[_Open] = []
    for token in _TOKEN.finditer(text):
        word = token[0]
        if word in _CLOSING:
            stack.append(_Open(word, token.end()))
            if len(stack) > _DEEPEST:
                _refuse_depth(answer)
            continue
        if word in {"}", "]"}:
            del stack[-1:]
        if not stack:
            return None
        stack[-1].take(token)
    if not stack:
        return None
    depth = _depth_to_keep(stack)
    closers = "".join(_CLOSING[part.bracket] for part in reversed(stack[: depth + 1]))
    end = stack[depth].safe
    return _Kept(text[:end] + closers, end)


_WRAPPERS = frozenset({'"choices"', '"content"'})
"""Lists of one element that the service's own envelope consists of."""


def _depth_to_keep(stack: list[_Open]) -> int:
    """Which open bracket keeps its complete elements; what is open inside it is dropped."""
    arrays = [
        depth
        for depth, part in enumerate(stack)
        if part.bracket == "[" and (depth == 0 or stack[depth - 1].name not in _WRAPPERS)
    ]
    if not arrays:
        return len(stack) - 1
    records = [
        depth
        for depth in arrays
        if stack[depth].holds_objects or (depth + 1 < len(stack) and stack[depth + 1].bracket == "{")
    ]
    return records[-1] if records else arrays[0]
