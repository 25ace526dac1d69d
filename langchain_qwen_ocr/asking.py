"""How a page is asked about, and asked again after a bad answer.

A page is a conversation: a generator that yields requests and is sent completions, so that threads and event loops
drive the same decisions. It ends with the best reading it came to. Every call is counted in `attempts` and in
`usage`, every step told in `warnings`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import reduce
from types import MappingProxyType
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from langchain_qwen_ocr.errors import BudgetError, EndpointError, OptionError
from langchain_qwen_ocr.exchange import Completion, OCRRequest, Outcome, Reading, build_request, interpret
from langchain_qwen_ocr.geometry import (
    POINTS_PER_INCH,
    Affine,
    CoordinateFrame,
    PageMap,
    PixelBudget,
    Size,
)
from langchain_qwen_ocr.models import find_model
from langchain_qwen_ocr.pages import Page, TextLayer, UprightPage, prepare, split_page
from langchain_qwen_ocr.pages.page import ImageOptions, PreparedImage
from langchain_qwen_ocr.tasks.layout import Layout, LayoutLine
from langchain_qwen_ocr.tasks.results import Result
from langchain_qwen_ocr.tasks.task import Task
from langchain_qwen_ocr.usage import image_tokens

R = TypeVar("R", bound=Result)

TextLayerUse = Literal["ignore", "trust"]

_COMPARED_CHARS = 3000
"""How much of a page's embedded text and of its reading is compared."""
_AGREES = 0.6
"""The least likeness, 0…1, of two readings of one text."""
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
    text_layer: TextLayerUse = "ignore"
    """Whether embedded text that is what the eye sees stands for an answer."""
    auto_orient: bool = False
    """Whether pages are turned upright first."""
    tiles: bool = False
    """Whether pages too large or too long for one look are read in parts."""
    check: Callable[[Page], object] | None = None
    """Called with a page before it is rendered; raises when it is certain that it would not be sent."""

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
    if len(pages) > 1:
        return (yield from _ask(pages, question))
    page = pages[0]
    layer = page.inspect_text_layer() if _wants_text_layer(question) else None
    if layer is not None and not layer.doubts:
        return read_text_layer(layer, page, question)
    if question.check is not None:
        question.check(page)
    if question.auto_orient:
        page = UprightPage(page)
    best = (yield from _in_tiles(page, question)) or (yield from _ask((page,), question))
    if layer is not None:
        best = _compared(best, layer)
    return (yield from _climb(page, question, best)) if question.asks_again else best


def _climb(page: Page, question: Question[R], best: Reading[R]) -> Conversation[R]:
    """Take the steps of the ladder until the reading is good."""
    for step in LADDER.get(best.outcome, ()):
        try:
            again = yield from step.take(page, question, best)
        except (EndpointError, BudgetError) as error:
            # The first answer is worth more than the error: it stays, with the reason why there is no better one.
            return _with_warning(best, f"Asking again failed: {error}")
        if again is not None:
            best = _better(best, again, step.words)
        if best.is_good:
            break
    return best


def _wants_text_layer(question: Question[R]) -> bool:
    return question.text_layer == "trust" and question.task.asks_for_text


def read_text_layer(layer: TextLayer, page: Page, question: Question[R]) -> Reading[R]:
    """The reading that a page's embedded text is, without any call; its pixels are those of the usual rendering."""
    scale = question.image_options.render_dpi / POINTS_PER_INCH
    to_px = Affine.scaling(scale, scale)
    width, height = to_px(*layer.size_pt)
    size = Size(round(width), round(height))
    lines = tuple(LayoutLine(line.text, line.quad_pt.mapped(to_px)) for line in layer.lines)
    result = question.task.from_layout(Layout(picture=size, size=size, lines=lines))
    return Reading(
        source=page.source,
        page_indexes=(page.page_index,),
        task=question.task,
        outcome="ok",
        result=result.mapped(PageMap(frame=CoordinateFrame.THOUSANDTHS, sent=size, page=size)),
        size_px=size,
        size_pt=layer.size_pt,
        total_pages=page.total_pages,
        page_label=page.page_label,
        origin="text-layer",
    )


def _compared(reading: Reading[R], layer: TextLayer) -> Reading[R]:
    """The reading of a page whose embedded text was not trusted, with a warning where the two disagree."""
    if not reading.is_good:
        return reading
    embedded, seen = ("".join(text.split())[:_COMPARED_CHARS] for text in (layer.text, reading.text))
    if SequenceMatcher(None, embedded, seen, autojunk=False).ratio() >= _AGREES:
        return reading
    return _with_warning(
        reading,
        f"The page's embedded text is not what its picture shows ({'; '.join(layer.doubts)}). The picture was read; "
        "programs that take the embedded text see something else.",
    )


def _ask(pages: Sequence[Page], question: Question[R]) -> Conversation[R]:
    request = question.request(pages)
    return interpret((yield request), request)


Again: TypeAlias = Generator[OCRRequest[Any], Completion, Reading[R] | None]
"""A further attempt; None when it does not apply."""


@dataclass(frozen=True, slots=True)
class Step:
    """One rung of the ladder."""

    words: str
    """What it does, for the warning."""
    take: Callable[[Page, Question[Any], Reading[Any]], Again[Any]]


def _at_full_length(page: Page, question: Question[R], _: Reading[R]) -> Again[R]:
    longest = find_model(question.model).max_output_tokens
    if question.max_tokens is None or question.max_tokens >= longest:
        return None
    return (yield from _ask((page,), dataclasses.replace(question, max_tokens=longest)))


def _with_a_smaller_picture(page: Page, question: Question[R], first: Reading[R]) -> Again[R]:
    budget = question.image_options.budget
    area = min(budget.max_pixels, first.size_px.area_px2 if first.size_px else budget.max_pixels)
    smaller = max(budget.factor**2, int(area * _SMALLER))
    if smaller < budget.min_pixels:
        return None
    options = dataclasses.replace(question.image_options, budget=PixelBudget(budget.factor, budget.min_pixels, smaller))
    return (yield from _ask((page,), dataclasses.replace(question, image_options=options)))


def _once_more(page: Page, question: Question[R], _: Reading[R]) -> Again[R]:
    return (yield from _ask((page,), question))


def _in_halves(page: Page, question: Question[R], _: Reading[R]) -> Again[R]:
    return (yield from _in_parts(split_page(page, 2), question))


def _in_thirds(page: Page, question: Question[R], _: Reading[R]) -> Again[R]:
    return (yield from _in_parts(split_page(page, 3), question))


LADDER: Mapping[Outcome, tuple[Step, ...]] = MappingProxyType(
    {
        "truncated": (Step("with the model's full length", _at_full_length), Step("in two halves", _in_halves)),
        "repeating": (Step("with a smaller picture", _with_a_smaller_picture), Step("in three parts", _in_thirds)),
        "malformed": (Step("in the same way", _once_more),),
    }
)
"""What is tried after which outcome, in this order, each at most once, until a step succeeds."""


def _in_tiles(page: Page, question: Question[R]) -> Again[R]:
    """The page in as many parts as it takes to see all its pixels, when that was asked for."""
    if not question.tiles:
        return None
    parts = split_page(page, options=question.image_options)
    return (yield from _in_parts(parts, question)) if len(parts) > 1 else None


def _in_parts(parts: Sequence[Page], question: Question[R]) -> Again[R]:
    """The reading joined from the parts; None for tasks whose results cannot be put together honestly."""
    if not question.task.result_type().joins:
        return None
    readings = []
    for part in parts:
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
