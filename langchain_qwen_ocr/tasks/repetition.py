"""Answers that run into a loop: a tail or a cycle of lines repeated until the length limit.

Honest pages repeat themselves too: leaders in a table of contents, rows of an empty form, refrains, boilerplate cells.
A loop is told from them by how much is repeated: the shorter the unit, the more often it must come; units that make up
structures, such as an empty row, must come far more often; and what is repeated must end the answer.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

_TAIL = 60_000
"""Characters at the end in which a loop is looked for; how far back it goes is followed from there."""
_LONGEST_UNIT = 12_000
"""Characters that are repeated at most."""

_LEADERS = re.compile(r"[\s\d.·•…_\-‐-―—=*~#|+:/\\<>,，、。oO○□☐×xX\"'`(){}\[\]]+")
"""What pages repeat as ornament, as leaders, as boxes to fill in, or as columns of equal numbers."""
_MARKUP = re.compile(r"<[^<>]{0,200}>|\\[A-Za-z]+\*?|[{}\[\]\"',:&\\$]|\b(?:null|true|false)\b|\s")
_ROW = re.compile(r"</?t[rdh]\b|\\\\[ \t]*$|[{}]|&|^[ \t]*[\[\"|]|^[ \t]*\d+(?:,\d+){3}", re.IGNORECASE | re.MULTILINE)
_CLOSERS = re.compile(r"(?:\s|`{3}|~{3}|[\]})]|</\w{1,12}>|\\end\{\w{1,20}\*?\})+\Z")
"""What may stand behind a loop that the model got out of."""

_RECURRING = 32
"""The last characters of every loop that counts stand in it a second time: the shortest covers thrice as much."""
_FEWEST_LEADERS = 4000
"""Characters of ornament that no page has."""
_FEWEST_EMPTY_ROWS = 200
"""How often a row of a structure without any words comes at least."""
_FEWEST_ROWS = 51
"""How often an equal row of a structure, or of a form with little but leaders, comes at least."""
_FEWEST_CLOSED_ROWS = 101
"""How often it comes at least in a structure that the model closed: few loops end so."""
_FEWEST_DIGITS = 400
"""Digits in a row that no number has."""
_FEWEST_TEXTS = ((200, 5), (80, 8), (30, 12), (10, 25), (4, 40), (1, 100))
"""How often running text comes at least, by the characters of what is repeated."""
_FEWEST_LINES = 25
"""How often a short line comes at least: a page may hold the same sentence on every line."""
_LONG_LINE = 80
_FEWEST_LINES_INSIDE = 100
"""How often an equal line comes at least when the answer goes on behind the loop."""


@dataclass(frozen=True, slots=True)
class Repetition:
    """A loop at the end of an answer."""

    start: int
    """The character of the answer at which it begins."""
    unit: str
    """What is repeated."""
    times: int
    """How often it comes in full, the first time counted."""


def find_repetition(answer: str) -> Repetition | None:
    """The loop that *answer* ran into, or None.

    The last repetition may be unfinished, and what closes the structure may stand behind it.
    """
    return _tail_loop(answer) or _line_loop(answer)


def _tail_loop(answer: str) -> Repetition | None:
    end = len(answer)
    closers = _CLOSERS.search(answer, max(0, end - 200))
    for stop in dict.fromkeys((end, closers.start() if closers is not None else end)):
        tail = answer[max(0, stop - _TAIL) : stop]
        # Honest answers seldom end in words they have said before, and looking for those is quick.
        period = _period(tail) if tail.find(tail[-_RECURRING:]) < len(tail) - _RECURRING else None
        if period is None:
            continue
        start = _reach(answer, stop, period)
        start = _first_boundary(answer, start, start + period)
        unit, times = answer[start : start + period], (stop - start) // period
        if _is_runaway(unit, times, stop - start, is_closed=bool(answer[stop:].strip("`~ \t\r\n"))):
            return Repetition(start, unit, times)
    return None


def _period(tail: str) -> int | None:
    """The period of the longest end of *tail* that is made of one unit, three times at least.

    Reversed, the tail begins with the loop; the prefix function gives the period of every beginning at once.
    """
    text = tail[::-1]
    best_length, best_period = 0, None
    borders = [0] * len(text)
    border = 0
    for i in range(1, len(text)):
        while border and text[i] != text[border]:
            border = borders[border - 1]
        if text[i] == text[border]:
            border += 1
        borders[i] = border
        period = i + 1 - border
        if border >= 2 * period and period <= _LONGEST_UNIT:
            best_length, best_period = i + 1, period
    return best_period if best_length else None


def _reach(answer: str, end: int, period: int) -> int:
    """Where the repetition that ends at *end* begins: the first character that equals the one a period later."""
    start = end - period
    while start > 0:
        low = max(0, start - 4096)
        if answer[low:start] != answer[low + period : start + period]:
            break
        start = low
    while start > 0 and answer[start - 1] == answer[start - 1 + period]:
        start -= 1
    return start


_BOUNDARIES = tuple(map(re.compile, (r"<(?:tr|li)\b", r"(?<=\n)", r"(?=[{])", r"<t[dh]\b", r"(?:\A|(?<=\s))(?=\S)")))
"""Where a person sees a repetition begin: at a row, a line, a record, a cell or a word."""


def _first_boundary(answer: str, start: int, end: int) -> int:
    """Where between *start* and *end* the repetition begins as a person sees it."""
    found = (boundary.search(answer, start, end) for boundary in _BOUNDARIES)
    return next((boundary.start() for boundary in found if boundary is not None), start)


def _line_loop(answer: str) -> Repetition | None:
    """The longest run of equal lines, when it is longer than any page is."""
    best: Repetition | None = None
    at = 0
    for line, run in itertools.groupby(answer.split("\n")):
        times = sum(1 for _ in run)
        if times >= _FEWEST_LINES_INSIDE and (best is None or times > best.times):
            unit = f"{line}\n"
            if _is_runaway(unit, times // 2, times * len(unit) // 2):
                best = Repetition(at, unit, times)
        at += times * (len(line) + 1)
    return best


def _is_runaway(unit: str, times: int, covered: int, *, is_closed: bool = False) -> bool:
    """Whether no honest page repeats *unit* so often; *is_closed* says that the structure around it ends in order."""
    if unit.isdecimal():
        return covered >= _FEWEST_DIGITS
    if _LEADERS.fullmatch(unit):
        return covered >= _FEWEST_LEADERS
    words = _LEADERS.sub("", _MARKUP.sub("", unit))
    if not words:
        return times >= _FEWEST_EMPTY_ROWS
    if _ROW.search(unit) or 2 * len(words) < len(_MARKUP.sub("", unit)):
        return times >= (_FEWEST_CLOSED_ROWS if is_closed else _FEWEST_ROWS)
    if "\n" in unit and len(unit) < _LONG_LINE:
        return times >= _FEWEST_LINES
    return times >= next(fewest for length, fewest in _FEWEST_TEXTS if len(unit) >= length)
