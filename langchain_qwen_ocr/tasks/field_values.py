"""The values of fields: found, missing or illegible, and made into what the schema says where nothing is lost."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any, Literal

from langchain_qwen_ocr.tasks.field_schemas import Leaf

State = Literal["found", "missing", "illegible"]


@dataclass(frozen=True, slots=True)
class Field:
    """One field: what the answer says and what became of it."""

    path: str
    """Such as `invoice.number` or `items[0].price`; names that hold a dot or a bracket stand as `["a.b"]`."""
    state: State
    raw: Any
    """The value as the answer has it; None when it has none."""
    value: Any
    """The value in the type that the schema names; `raw` where that would lose something."""
    problem: str | None = None
    """Why the value is not what the schema says."""


def read_value(path: str, raw: Any, leaf: Leaf) -> Field:  # noqa: ANN401 - JSON
    """The field at *path* with the answer's value *raw*."""
    if is_missing(raw):
        return Field(path, "missing", raw, None)
    if isinstance(raw, str) and is_illegible(raw):
        return Field(path, "illegible", raw, raw)
    if isinstance(raw, dict | list) and leaf.kind not in {"any", "object"}:
        return Field(path, "found", raw, raw, "A single value was asked for.")
    if isinstance(raw, str) and len(raw) > _LONGEST_VALUE_CHARS and leaf.kind in _SHORT_KINDS:
        return Field(path, "found", raw, raw, f"It is too long for a {leaf.kind}.")
    try:
        value = _choose(raw, leaf.choices) if leaf.choices else _READERS.get(leaf.kind, _as_it_is)(raw)
    except _LossyError as error:
        return Field(path, "found", raw, raw, str(error))
    return Field(path, "found", raw, value)


_LONGEST_VALUE_CHARS = 200
"""Of a number or a date, however it is printed; the forms are tried on nothing longer."""
_SHORT_KINDS = frozenset({"number", "decimal", "integer", "date", "time", "date-time"})


def is_missing(raw: object) -> bool:
    """Whether the answer has no value: null, "null" or nothing."""
    return raw is None or (isinstance(raw, str) and raw.strip().casefold() in {"", "null"})


_INTERROGATIVES = re.compile(
    r"[¿]|(?:who|whom|whose|what|when|where|why|how|which|is|are|was|were|am|do|does|did|can|could|will|would|shall"
    r"|should|have|has|had|may|might|any|anything|isn't|aren't|don't|doesn't)\b|.*(?:吗|呢|么|谁|何|哪|怎|几|是否|多少|か)",
    re.IGNORECASE | re.DOTALL,
)
_FEWEST_WORDS = 4
"""Words before a question mark from which on it ends a sentence."""


def is_illegible(text: str) -> bool:
    """Whether a `?` in *text* stands for a character that could not be read.

    A question mark that ends a sentence, or that begins the query of an address, is no such mark.
    """
    return any(_stands_for_character(text, mark.start(), mark.end()) for mark in re.finditer(r"\?+", text))


def _stands_for_character(text: str, start: int, end: int) -> bool:
    before, after = text[max(0, start - _LONGEST_VALUE_CHARS) : start], text[end : end + 1]
    if end - start > 1 or not before or before[-1].isspace() or before[-1].isdigit():
        return True
    if re.search(r"https?://\S*$|www\.\S*$", before):
        return False
    if after and not re.match(r"[\s\"'”’)）」』.!！]", after):
        return True
    sentence = re.split(r"[.!?。！？\n]\s*", before)[-1].strip()
    return not (_INTERROGATIVES.match(sentence) or len(sentence.split()) >= _FEWEST_WORDS)


class _LossyError(ValueError):
    """The value cannot be made into what the schema says without losing something."""


def _normal(raw: object) -> str:
    return unicodedata.normalize("NFKC", str(raw)).strip()


def _as_it_is(raw: Any) -> Any:  # noqa: ANN401 - JSON
    return raw


def _choose(raw: object, choices: tuple[Any, ...]) -> Any:  # noqa: ANN401 - JSON
    if raw in choices:
        return raw
    alike = [choice for choice in choices if _normal(choice).casefold() == _normal(raw).casefold()]
    if len(alike) == 1:
        return alike[0]
    raise _LossyError(f"It is none of {', '.join(map(str, choices))}.")


def _string(raw: object) -> str:
    if isinstance(raw, bool):
        return "true" if raw else "false"
    return str(raw)


_CURRENCY = r"(?:[¥$€£₽₩₹]|(?:CN|HK|US|NT|A|C|S)[¥$]|(?:CNY|RMB|USD|EUR|GBP|HKD|JPY|TWD|SGD|CHF|INR|KRW|人民币))"
_AMOUNT = re.compile(
    rf"(?P<sign>[-+−])?\s*{_CURRENCY}?\s*(?P<sign_2>[-−])?(?P<digits>\d[\d., '’]*?)\s*(?:元整?|圆整?|{_CURRENCY})?",
    re.IGNORECASE,
)
_NUMBER_FORMS = (
    (re.compile(r"\d+(?:\.\d+)?"), "", "."),
    (re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?"), ",", "."),
    (re.compile(r"\d{1,3}(?:[ '’]\d{3})+(?:\.\d+)?"), " '’", "."),
    (re.compile(r"\d{1,3}(?:\.\d{3})+,\d+"), ".", ","),
    (re.compile(r"\d{1,3}(?:[ '’]\d{3})+,\d+"), " '’", ","),
    # Three digits behind a comma are a group of thousands, one or two can only be decimals.
    (re.compile(r"\d+,\d{1,2}"), "", ","),
)
"""How numbers are printed: the form, its marks between groups, its decimal mark."""


def _decimal(raw: object) -> Decimal:
    if isinstance(raw, bool):
        raise _LossyError("It is no number.")
    if isinstance(raw, int | float):
        return Decimal(str(raw))
    amount = _AMOUNT.fullmatch(_normal(raw))
    if amount is None:
        raise _LossyError("It is no number.")
    digits = amount["digits"].strip()
    for form, groups, point in _NUMBER_FORMS:
        if form.fullmatch(digits):
            plain = "".join(d for d in digits if d not in groups).replace(point, ".")
            break
    else:
        raise _LossyError("It is no number in a form that can be told.")
    if re.match(r"0\d", plain):
        raise _LossyError("A number would lose its leading zeros.")
    try:
        number = Decimal(plain)
    except InvalidOperation as error:
        raise _LossyError("It is no number.") from error
    return -number if (amount["sign"] or amount["sign_2"] or "+") in "-−" else number


def _number(raw: object) -> int | float | Decimal:
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        return raw
    exact = _decimal(raw)
    near = float(exact)
    return near if Decimal(str(near)) == exact else exact


def _integer(raw: object) -> int:
    exact = _decimal(raw)
    if not exact.is_finite() or exact != exact.to_integral_value():
        raise _LossyError("It is no whole number.")
    return int(exact)


_BOOLEANS: Mapping[str, bool] = MappingProxyType(
    dict.fromkeys(("true", "yes", "y", "是", "有", "对", "on", "1", "√", "✓", "✔", "☑", "oui", "ja", "sí", "да"), True)
    | dict.fromkeys(
        ("false", "no", "n", "否", "无", "不是", "没有", "错", "off", "0", "×", "✗", "✘", "☐", "non", "nein", "нет"),
        False,
    )
)


def _boolean(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    word = _normal(raw).casefold()
    if word not in _BOOLEANS:
        raise _LossyError("It is neither yes nor no.")
    return _BOOLEANS[word]


_MONTHS = {
    name: number
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], start=1
    )
}
_MONTH = r"(?P<name>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DATES = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        r"(?P<year>\d{4})\s*[-/.年]\s*(?P<month>\d{1,2})\s*[-/.月]\s*(?P<day>\d{1,2})\s*[日号]?",
        r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})",
        rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th)?[\s.-]*{_MONTH}[\s,-]*(?P<year>\d{{4}})",
        rf"{_MONTH}\s*(?P<day>\d{{1,2}})(?:st|nd|rd|th)?[\s,]+(?P<year>\d{{4}})",
        r"(?P<one>\d{1,2})[-/.](?P<other>\d{1,2})[-/.](?P<year>\d{4})",
    )
)
_TIME = re.compile(
    r"(?P<hour>\d{1,2})\s*[:时点]\s*(?P<minute>\d{1,2})\s*(?:[:分]\s*(?P<second>\d{1,2})?\s*秒?)?\s*(?P<half>[ap]\.?m\.?)?开?",
    re.IGNORECASE,
)


def _date(raw: object) -> dt.date:
    text = _normal(raw)
    for form in _DATES:
        found = form.fullmatch(text)
        if found is not None:
            return _date_of(found.groupdict())
    raise _LossyError("It is no date in a form that can be told.")


def _date_of(parts: Mapping[str, str | None]) -> dt.date:
    year = int(parts["year"] or 0)
    if parts.get("one"):
        one, other = int(parts["one"] or 0), int(parts["other"] or 0)
        if one != other and max(one, other) <= 12:  # noqa: PLR2004 - months
            raise _LossyError("Day and month of the date cannot be told apart.")
        month, day = (one, other) if one <= 12 else (other, one)  # noqa: PLR2004 - months
    else:
        name = parts.get("name")
        month = _MONTHS[name.casefold()] if name else int(parts["month"] or 0)
        day = int(parts["day"] or 0)
    try:
        return dt.date(year, month, day)
    except ValueError as error:
        raise _LossyError("There is no such day.") from error


def _time(raw: object) -> dt.time:
    text = _normal(raw)
    found = _TIME.fullmatch(text)
    if found is None and ":" in text:
        with contextlib.suppress(ValueError):
            return dt.time.fromisoformat(text)
    if found is None:
        raise _LossyError("It is no time in a form that can be told.")
    hour = int(found["hour"])
    if found["half"]:
        hour = hour % 12 + (12 if found["half"][0] in "pP" else 0)
    try:
        return dt.time(hour, int(found["minute"]), int(found["second"] or 0))
    except ValueError as error:
        raise _LossyError("There is no such time.") from error


def _date_time(raw: object) -> dt.datetime:
    text = _normal(raw)
    if ":" in text:
        with contextlib.suppress(ValueError):
            return dt.datetime.fromisoformat(text)
    split = re.match(r"(.*?\d{4}.*?[日号]|\S*\d{4}\S*?|.*\d{4})(?:\s+|T|(?<=[日号]))(\d{1,2}\s*[:时点].*)", text)
    if split is None:
        raise _LossyError("It is no date with a time in a form that can be told.")
    return dt.datetime.combine(_date(split[1]), _time(split[2]))


_READERS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "string": _string,
        "number": _number,
        "decimal": _decimal,
        "integer": _integer,
        "boolean": _boolean,
        "date": _date,
        "time": _time,
        "date-time": _date_time,
    }
)
