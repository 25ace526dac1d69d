"""How a run went: every page counted, also those that gave nothing."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from langchain_qwen_ocr.errors import QwenOCRError
from langchain_qwen_ocr.exchange import OUTCOMES, Outcome, Reading
from langchain_qwen_ocr.usage import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Pages by outcome, what they cost, and what went wrong."""

    pages: Mapping[Outcome, int] = field(default_factory=dict)
    """How many pages had each outcome."""
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    """From the first page asked for to the last one given."""
    failures: tuple[str, ...] = ()
    """What went wrong, page by page; pages that a cap left out are here too."""

    @property
    def total_pages(self) -> int:
        """How many pages there were."""
        return sum(self.pages.values())

    @property
    def cost(self) -> Decimal | None:
        """In `currency`; None where no price is known."""
        return self.usage.cost

    @property
    def currency(self) -> str | None:
        """The currency of `cost`."""
        return self.usage.currency

    @property
    def summary(self) -> str:
        """The totals in one line."""
        counts = ", ".join(f"{self.pages[outcome]} {outcome}" for outcome in OUTCOMES if outcome in self.pages)
        cached = f", {self.usage.cached} from the cache" if self.usage.cached else ""
        cost = f", {self.cost:f} {self.currency}" if self.cost is not None else ""
        return (
            f"{self.total_pages} pages in {self.seconds:.1f} s ({counts or 'nothing read'}), "
            f"{self.usage.total_tokens} tokens{cached}{cost}"
        )

    def __str__(self) -> str:
        """For a person, failures one a line; pages of one source that a cap left out share a line."""
        return "\n".join((self.summary, *(f"  {line}" for line in _runs_together(self.failures))))


_NOT_SENT = re.compile(r"Page (\d+) (of .*: not sent, .*)", re.DOTALL)


def _runs_together(failures: Iterable[str]) -> Iterator[str]:
    """The lines, with one for each run of pages that were not sent for the same reason."""
    run: list[tuple[int, str]] = []
    for failure in failures:
        match = _NOT_SENT.fullmatch(failure)
        page = (int(match[1]), match[2]) if match else None
        if run and page != (run[-1][0] + 1, run[-1][1]):
            yield _in_one_line(run)
            run.clear()
        if page is None:
            yield failure
        else:
            run.append(page)
    if run:
        yield _in_one_line(run)


def _in_one_line(run: Sequence[tuple[int, str]]) -> str:
    (first, words), (last, _) = run[0], run[-1]
    return f"Page {first} {words}" if first == last else f"Pages {first}-{last} {words}"


class Tally:
    """Counts readings as they come; `report` says how it stands."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._began_s = now_s()
        self._pages: Counter[Outcome] = Counter()
        self.usage = Usage()
        """Of all pages so far."""
        self._failures: list[str] = []

    def add(self, reading: Reading[Any]) -> None:
        """Count a reading."""
        self._pages[reading.outcome] += len(reading.page_indexes)
        self.usage += reading.usage
        failure = _failure(reading)
        if failure:
            self._failures.append(failure)

    @property
    def total_pages(self) -> int:
        """How many pages there were so far."""
        return self._pages.total()

    @property
    def failed_pages(self) -> int:
        """How many of them went wrong or were left out."""
        return len(self._failures)

    def report(self) -> Report:
        """How it stands."""
        return Report(
            pages=dict(self._pages),
            usage=self.usage,
            seconds=self._now_s() - self._began_s,
            failures=tuple(self._failures),
        )


def _failure(reading: Reading[Any]) -> str:
    if reading.is_good:
        return str(reading.error) if reading.error is not None else ""
    try:
        reading.raise_for_outcome()
    except QwenOCRError as error:
        return str(error)
    return ""
