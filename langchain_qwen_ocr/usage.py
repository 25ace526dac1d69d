"""Tokens and what they cost."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal

from langchain_qwen_ocr.geometry import PixelBudget, Size, smart_resize
from langchain_qwen_ocr.models import ModelProfile, Price, find_model
from langchain_qwen_ocr.vocabulary import count_tokens

_MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Usage:
    """What one or several calls consumed, as the service counted it; adds up with `+` and `sum`."""

    prompt_tokens: int = 0
    """Picture, prompt and chat markup together."""
    completion_tokens: int = 0
    image_tokens: int | None = None
    """The picture's part of the prompt; None where the service does not say."""
    text_tokens: int | None = None
    """The text's part of the prompt; None where the service does not say."""
    calls: int = 0
    """How many answers were paid for."""
    cached: int = 0
    """How many answers came from the cache, free of charge."""
    cost: Decimal | None = None
    """In `currency`; None where no price is known."""
    currency: str | None = None

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        """Both together; the cost of two currencies is unknown."""
        if not isinstance(other, Usage):
            return NotImplemented
        cost, currency = _add_costs(self, other)
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            image_tokens=_add(self.image_tokens, other.image_tokens),
            text_tokens=_add(self.text_tokens, other.text_tokens),
            calls=self.calls + other.calls,
            cached=self.cached + other.cached,
            cost=cost,
            currency=currency,
        )

    def __radd__(self, other: object) -> Usage:
        """Lets `sum()` start from 0."""
        return self if other == 0 else NotImplemented


def _add(a: int | None, b: int | None) -> int | None:
    return None if a is None and b is None else (a or 0) + (b or 0)


def _add_costs(a: Usage, b: Usage) -> tuple[Decimal | None, str | None]:
    if not a.calls and a.cost is None:
        return b.cost, b.currency
    if not b.calls and b.cost is None:
        return a.cost, a.currency
    if a.cost is None or b.cost is None or a.currency != b.currency:
        return None, None
    return a.cost + b.cost, a.currency


def cost_of(prompt_tokens: int, completion_tokens: int, price: Price) -> Decimal:
    """What so many tokens cost, in the price's currency."""
    return (prompt_tokens * price.per_million_input + completion_tokens * price.per_million_output) / _MILLION


def price_of(model: str, region: str, *, on: dt.date | None = None) -> Price | None:
    """The price of *model* in *region* on a day (today when None); None where none is published."""
    return find_model(model).price(region, on=on)


def image_tokens(size: Size, profile: ModelProfile, budget: PixelBudget | None = None) -> int:
    """How many tokens a picture of *size* costs: (h·w)/factor² + 2 after the service's own resizing.

    Source: Model Studio, "Text extraction (Qwen-OCR)", image tokens. The high-precision task is billed by
    another, unpublished rule when the service's native task switch is used.

    >>> from langchain_qwen_ocr.models import find_model
    >>> image_tokens(Size(1425, 1900), find_model("qwen-vl-ocr-latest"))
    2657
    """
    budget = budget or profile.budget
    seen = smart_resize(size, budget)
    return seen.area_px2 // budget.factor**2 + profile.image_overhead_tokens


@dataclass(frozen=True, slots=True)
class TokenCount:
    """A number of tokens and whether it is exact."""

    tokens: int
    exact: bool = field(default=True)
    """False for models whose vocabulary is another one: then it is an estimate."""


def text_tokens(text: str, profile: ModelProfile) -> TokenCount:
    """How many tokens *text* has, counted without any network."""
    return TokenCount(count_tokens(text), profile.exact_vocabulary)
