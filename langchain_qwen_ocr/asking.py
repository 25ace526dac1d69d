"""How a page is asked about, and asked again after a bad answer.

A page is a conversation: a generator that yields requests and is sent completions, so that threads and event loops
drive the same decisions. It ends with the best reading it came to. Every call is counted in `attempts` and in
`usage`, every step told in `warnings`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType
from typing import Any, Generic, TypeAlias, TypeVar

from langchain_qwen_ocr.errors import EndpointError, OptionError
from langchain_qwen_ocr.exchange import Completion, OCRRequest, Outcome, Reading, build_request, interpret
from langchain_qwen_ocr.geometry import CoordinateFrame, PixelBudget
from langchain_qwen_ocr.models import find_model
from langchain_qwen_ocr.pages import Page, prepare
from langchain_qwen_ocr.pages.page import ImageOptions, PreparedImage
from langchain_qwen_ocr.tasks.results import Result
from langchain_qwen_ocr.tasks.task import Task
from langchain_qwen_ocr.usage import image_tokens

R = TypeVar("R", bound=Result)

_SMALLER = 0.6
"""How much of its area a picture is shown with when the first look at it ended in a loop."""


@dataclass(frozen=True, kw_only=True)
class Question(Generic[R]):
    """A task and how to ask it: of which model, with what pictures."""

    task: Task[R]
    model: str
    image_options: ImageOptions
    frame: CoordinateFrame | None = None
    max_tokens: int | None = None
    asks_again: bool = True
    """Whether a bad answer is asked for again."""

    def request(self, pages: Sequence[Page]) -> OCRRequest[R]:
        """The request for one page, or for several together.

        Raises:
            SourceError: A page cannot be rendered or sent.
            OptionError: The pages together are more than the model takes.
        """
        images = tuple(prepare(page, self.image_options) for page in pages)
        if len(images) > 1:
            self._check_input(images)
        return build_request(
            self.task,
            images,
            model=self.model,
            budget=self.image_options.budget,
            frame=self.frame,
            max_tokens=self.max_tokens,
        )

    def _check_input(self, images: Sequence[PreparedImage]) -> None:
        profile, budget = find_model(self.model), self.image_options.budget
        tokens = sum(image_tokens(image.size_px, profile, budget) for image in images)
        if tokens > profile.max_input_tokens:
            raise OptionError(
                f"{len(images)} pages of {images[0].page.source} together are {tokens} image tokens; {self.model} "
                f"takes {profile.max_input_tokens}. Choose fewer pages, or lower max_pixels."
            )


Conversation: TypeAlias = Generator[OCRRequest[Any], Completion, Reading[R]]
"""Yields requests, is sent completions (or has the error thrown in), and returns the reading."""


def converse(pages: Sequence[Page], question: Question[R]) -> Conversation[R]:
    """Ask about a page, and again as `LADDER` says while the answer is bad; ends with the best reading."""
    best = yield from _ask(pages, question)
    if not question.asks_again or len(pages) > 1:
        return best
    for step in LADDER.get(best.outcome, ()):
        try:
            again = yield from step(pages[0], question, best)
        except EndpointError as error:
            # The first answer is worth more than the error: it stays, with the reason why there is no better one.
            return _with_warning(best, f"Asking again failed: {error}")
        if again is None:
            continue
        best = _better(best, again, step.__name__.strip("_").replace("_", " "))
        if best.is_good:
            break
    return best


def _ask(pages: Sequence[Page], question: Question[R]) -> Conversation[R]:
    request = question.request(pages)
    return interpret((yield request), request)


Step: TypeAlias = Callable[
    [Page, Question[Any], Reading[Any]], Generator[OCRRequest[Any], Completion, Reading[Any] | None]
]


def _the_models_full_length(
    page: Page, question: Question[R], _: Reading[R]
) -> Generator[OCRRequest[Any], Completion, Reading[R] | None]:
    """Ask for an answer as long as the model can give, when the caller had asked for less."""
    longest = find_model(question.model).max_output_tokens
    if question.max_tokens is None or question.max_tokens >= longest:
        return None
    return (yield from _ask((page,), dataclasses.replace(question, max_tokens=longest)))


def _in_halves(
    page: Page, question: Question[R], _: Reading[R]
) -> Generator[OCRRequest[Any], Completion, Reading[R] | None]:
    """Read the upper and the lower half by themselves."""
    return (yield from _in_parts(page, question, 2))


def _in_tiles(
    page: Page, question: Question[R], _: Reading[R]
) -> Generator[OCRRequest[Any], Completion, Reading[R] | None]:
    """Read the page in three stripes."""
    return (yield from _in_parts(page, question, 3))


def _with_a_smaller_picture(
    page: Page, question: Question[R], first: Reading[R]
) -> Generator[OCRRequest[Any], Completion, Reading[R] | None]:
    """Look at a smaller picture: another size breaks most loops."""
    budget = question.image_options.budget
    area = min(budget.max_pixels, first.size_px.area_px2 if first.size_px else budget.max_pixels)
    smaller = max(budget.factor**2, int(area * _SMALLER))
    if smaller < budget.min_pixels:
        return None
    options = dataclasses.replace(question.image_options, budget=PixelBudget(budget.factor, budget.min_pixels, smaller))
    return (yield from _ask((page,), dataclasses.replace(question, image_options=options)))


def _once_more(
    page: Page, question: Question[R], _: Reading[R]
) -> Generator[OCRRequest[Any], Completion, Reading[R] | None]:
    """Ask the same again."""
    return (yield from _ask((page,), question))


LADDER: Mapping[Outcome, tuple[Step, ...]] = MappingProxyType(
    {
        "truncated": (_the_models_full_length, _in_halves),
        "repeating": (_with_a_smaller_picture, _in_tiles),
        "malformed": (_once_more,),
    }
)
"""What is tried after which outcome, in this order, each at most once, until a step succeeds."""


def _in_parts(
    page: Page, question: Question[R], count: int
) -> Generator[OCRRequest[Any], Completion, Reading[R] | None]:
    """The reading joined from *count* parts; None for tasks whose results cannot be put together honestly."""
    if not question.task.result_type().joins:
        return None
    readings = []
    from langchain_qwen_ocr.pages import split_page

    for part in split_page(page, count):
        readings.append((yield from _ask((part,), question)))  # noqa: PERF401 - a comprehension cannot yield
    return join_parts(readings)


def join_parts(readings: Sequence[Reading[R]]) -> Reading[R]:
    """One reading of a page from those of its parts, top to bottom; as bad as the worst of them."""
    worst = next((reading for reading in readings if not reading.is_good), readings[0])
    results = [reading.result for reading in readings if reading.result is not None]
    joined = reduce(lambda above, below: above.join(below), results[1:], results[0]) if results else None
    outcome = worst.outcome
    if outcome == "blank" and joined is not None and not joined.is_blank:
        outcome = "ok"
    return dataclasses.replace(
        worst,
        outcome=outcome,
        result=joined,
        answer="\n\n".join(reading.answer for reading in readings),
        usage=sum((reading.usage for reading in readings[1:]), start=readings[0].usage),
        attempts=sum(reading.attempts for reading in readings),
        warnings=tuple(dict.fromkeys(warning for reading in readings for warning in reading.warnings)),
    )


def _better(first: Reading[R], again: Reading[R], step: str) -> Reading[R]:
    """The better of two readings, charged with the calls of both."""
    chosen = again if again.is_good else first
    return dataclasses.replace(
        _with_warning(chosen, f"The first answer was {first.outcome}; asked again {step}: {again.outcome}."),
        usage=first.usage + again.usage,
        attempts=first.attempts + again.attempts,
    )


def _with_warning(reading: Reading[R], warning: str) -> Reading[R]:
    return dataclasses.replace(reading, warnings=(*reading.warnings, warning))
