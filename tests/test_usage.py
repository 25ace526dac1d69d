"""Tokens and what they cost."""

from __future__ import annotations

from decimal import Decimal

import pytest

from langchain_qwen_ocr import Usage
from langchain_qwen_ocr.models import find_model
from langchain_qwen_ocr.usage import cost_of, price_of, text_tokens


def test_usage_adds_up() -> None:
    """Tokens, calls and cost of one currency are summed; `sum` works."""
    page = Usage(prompt_tokens=100, completion_tokens=10, image_tokens=80, calls=1, cost=Decimal("0.1"), currency="CNY")
    hit = Usage(cached=1)
    total = sum([page, hit, page], start=Usage())
    assert total == Usage(
        prompt_tokens=200,
        completion_tokens=20,
        image_tokens=160,
        calls=2,
        cached=1,
        cost=Decimal("0.2"),
        currency="CNY",
    )
    assert total.total_tokens == 220
    assert sum([page, page]) == page + page


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(Usage(calls=1, cost=Decimal(1), currency="USD"), id="another currency"),
        pytest.param(Usage(calls=1), id="no price known"),
    ],
)
def test_a_cost_that_is_not_known_is_not_invented(other: Usage) -> None:
    """One page without a price makes the sum unknown, rather than too low."""
    page = Usage(calls=1, cost=Decimal(1), currency="CNY")
    assert (page + other).cost is None


def test_cost_in_decimal() -> None:
    """A million tokens in and out cost what the price list says."""
    price = price_of("qwen-vl-ocr-latest", "beijing")
    assert price is not None
    assert cost_of(1_000_000, 1_000_000, price) == Decimal("0.8")
    assert cost_of(2731, 1981, price) == Decimal("0.0018098")


def test_text_tokens_say_whether_they_are_exact() -> None:
    """Another vocabulary makes the count an estimate."""
    assert text_tokens("Hello", find_model("qwen-vl-ocr-latest")).exact
    assert not text_tokens("Hello", find_model("qwen3.5-ocr")).exact
