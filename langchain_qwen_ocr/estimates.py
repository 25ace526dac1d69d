"""What reading would cost, said before anything is sent."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from langchain_qwen_ocr.asking import Question
from langchain_qwen_ocr.errors import SourceError
from langchain_qwen_ocr.models import find_model
from langchain_qwen_ocr.pages import Page
from langchain_qwen_ocr.tasks.results import Result
from langchain_qwen_ocr.usage import cost_of, image_tokens, price_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Pages, tokens and money of a run that has not begun."""

    pages: int = 0
    image_tokens: int = 0
    text_tokens: int = 0
    """Of the prompts, with the chat markup."""
    is_exact: bool = True
    """Whether the tokens sent are counted with the model's own vocabulary; otherwise they are estimated."""
    max_completion_tokens: int = 0
    """If every answer were as long as it may be; most are a tenth of that."""
    min_cost: Decimal | None = None
    """For what is sent alone; None where no price is known."""
    max_cost: Decimal | None = None
    """With the longest answers."""
    currency: str | None = None
    model: str = ""
    unreadable: tuple[str, ...] = ()
    """Pages that cannot be sent, with the reason."""

    @property
    def prompt_tokens(self) -> int:
        """What is sent: pictures and prompts."""
        return self.image_tokens + self.text_tokens

    def to_dict(self) -> dict[str, Any]:
        """It as plain values, for JSON."""
        return {**dataclasses.asdict(self), "prompt_tokens": self.prompt_tokens}

    def __str__(self) -> str:
        about = "" if self.is_exact else "about "
        cost = (
            f"{self.min_cost:f} {self.currency} for what is sent, at most {self.max_cost:f} with the longest answers"
            if self.min_cost is not None
            else f"no price of {self.model} is known"
        )
        head = (
            f"{self.pages} pages for {self.model}: {about}{self.prompt_tokens} tokens sent "
            f"({self.image_tokens} for pictures); {cost}"
        )
        return "\n".join((head, *(f"  cannot be sent: {words}" for words in self.unreadable)))


def estimate(pages: Iterable[Page | SourceError], question: Question[Result], *, region: str) -> Estimate:
    """What asking *question* about *pages* would cost in *region*; the pages are measured, not rendered."""
    from langchain_qwen_ocr.pages.preparing import check_shape

    profile = find_model(question.model)
    prompt = question.task.count_prompt(profile)
    count, pictures, unreadable = 0, 0, []
    for page in pages:
        try:
            if isinstance(page, SourceError):
                raise page
            size = page.measure(question.image_options)
            if not question.tiles:
                check_shape(page, size)
            pictures += image_tokens(size, profile, question.image_options.budget)
            count += 1
        except SourceError as error:
            unreadable.append(str(error))
    texts = count * (prompt.tokens + profile.prompt_overhead_tokens)
    longest = count * (question.max_tokens or profile.max_output_tokens)
    price = price_of(question.model, region)
    return Estimate(
        pages=count,
        image_tokens=pictures,
        text_tokens=texts,
        is_exact=prompt.exact,
        max_completion_tokens=longest,
        min_cost=None if price is None else cost_of(pictures + texts, 0, price),
        max_cost=None if price is None else cost_of(pictures + texts, longest, price),
        currency=None if price is None else price.currency,
        model=question.model,
        unreadable=tuple(unreadable),
    )
