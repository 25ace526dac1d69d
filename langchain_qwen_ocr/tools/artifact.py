"""What a tool gives to the program beside what it gives to the model."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from langchain_qwen_ocr.exchange import Outcome, Reading
from langchain_qwen_ocr.tasks.results import Result
from langchain_qwen_ocr.usage import Usage

Readings = tuple[Reading[Result], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OCRArtifact:
    """The whole result of a tool's call: nothing shortened, everything typed."""

    handle: str
    """What later calls accept in place of the picture."""
    source: str
    """The file, relative to the root folder, or the address."""
    task: str
    """The task's name."""
    readings: Readings
    """One for each page, in page order."""
    pages_left: tuple[int, ...] = ()
    """Pages that were asked for but not read, from 0: there is a cap on pages for one call."""
    usage: Usage = field(default_factory=Usage)
    """What this call consumed: nothing when it was answered from what had been read before."""

    @property
    def text(self) -> str:
        """The text of all pages, a form feed between two."""
        return "\n\f\n".join(reading.text for reading in self.readings)

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """The outcome of each page."""
        return tuple(reading.outcome for reading in self.readings)

    @property
    def cost(self) -> Decimal | None:
        """What this call cost, in `currency`; None where no price is known."""
        return self.usage.cost

    @property
    def currency(self) -> str | None:
        """The currency of `cost`."""
        return self.usage.currency
