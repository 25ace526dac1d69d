"""A request on its way out and a reading on its way back: two pure functions with one call between them.

`build_request` puts a task and its prepared pictures together; an endpoint makes a `Completion` of it; `interpret`
makes the `Reading`. Neither function opens a connection, and a request holds all that `interpret` needs, so the call
may happen in another thread, another process, or another day.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar, get_args

from langchain_qwen_ocr.errors import AnswerError, ContentRefusedError, OptionError, QwenOCRError
from langchain_qwen_ocr.geometry import (
    Affine,
    CoordinateFrame,
    PageMap,
    PixelBudget,
    Size,
    SizePt,
    reading_order,
)
from langchain_qwen_ocr.models import ModelProfile, find_model
from langchain_qwen_ocr.pages.page import PageInfo, PreparedImage
from langchain_qwen_ocr.tasks import TASKS
from langchain_qwen_ocr.tasks.fences import unfence
from langchain_qwen_ocr.tasks.phrases import declines, says_nothing_to_read
from langchain_qwen_ocr.tasks.repetition import find_repetition
from langchain_qwen_ocr.tasks.results import Region, Result, plain
from langchain_qwen_ocr.tasks.task import Task
from langchain_qwen_ocr.usage import Usage

R = TypeVar("R", bound=Result)
R_co = TypeVar("R_co", bound=Result, covariant=True)

Outcome = Literal["ok", "blank", "truncated", "repeating", "malformed", "refused", "failed", "skipped"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
GOOD_OUTCOMES: frozenset[Outcome] = frozenset({"ok", "blank", "skipped"})
"""Outcomes that are no fault of anybody; the others are what `on_error` is about."""

Origin = Literal["service", "local", "text-layer"]


@dataclass(frozen=True, kw_only=True)
class OCRRequest(Generic[R_co]):
    """All that one call needs, and all that reading its answer needs."""

    task: Task[R_co]
    images: tuple[PreparedImage, ...]
    """Normally one; several for pages read together."""
    model: str
    budget: PixelBudget
    """What the service may resize the pictures to, in px²."""
    frame: CoordinateFrame
    """What the places in the answer count."""
    max_tokens: int | None = None
    """The longest answer to ask for; None for the model's own limit."""

    @property
    def page(self) -> PageInfo:
        """The page it is about; the first one when pages are read together."""
        return self.images[0].page

    def to_json(self) -> dict[str, Any]:
        """It as JSON, pictures as base64, to be interpreted in another process."""
        return {
            "task": self.task.to_json(),
            "images": [_image_to_json(image) for image in self.images],
            "model": self.model,
            "budget": dataclasses.asdict(self.budget),
            "frame": self.frame.value,
            "max_tokens": self.max_tokens,
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> OCRRequest[Result]:
        """The request that `to_json` saved."""
        task_type = TASKS[saved["task"]["name"]]
        return OCRRequest(
            task=task_type.from_json(saved["task"]),
            images=tuple(_image_from_json(image) for image in saved["images"]),
            model=saved["model"],
            budget=PixelBudget(**saved["budget"]),
            frame=CoordinateFrame(saved["frame"]),
            max_tokens=saved["max_tokens"],
        )


def _image_to_json(image: PreparedImage) -> dict[str, Any]:
    return {
        "data": base64.b64encode(image.data).decode("ascii"),
        "mime_type": image.mime_type,
        "size_px": list(image.size_px),
        "to_page": dataclasses.astuple(image.to_page),
        "page": dataclasses.asdict(image.page),
        "warnings": list(image.warnings),
    }


def _image_from_json(saved: Mapping[str, Any]) -> PreparedImage:
    page = dict(saved["page"])
    page["size_px"] = Size(*page["size_px"])
    page["size_pt"] = SizePt(*page["size_pt"]) if page["size_pt"] is not None else None
    return PreparedImage(
        data=base64.b64decode(saved["data"]),
        mime_type=saved["mime_type"],
        size_px=Size(*saved["size_px"]),
        to_page=Affine(*saved["to_page"]),
        page=PageInfo(**page),
        warnings=tuple(saved["warnings"]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What came back: the answer as it stands, and what is known about it."""

    answer: str
    finish_reason: str | None = None
    """ "stop" or "length"; not to be trusted alone."""
    model: str | None = None
    """The model that answered, by its own word."""
    usage: Usage = field(default_factory=Usage)
    request_id: str | None = None
    attempts: int = 1
    """How many calls it took."""
    origin: Origin = "service"
    refusal: str | None = None
    """Why the service declined, in its words."""
    warnings: tuple[str, ...] = ()
    """What the reader on the other end said it could not do."""


@dataclass(frozen=True, kw_only=True)
class Reading(Generic[R_co]):
    """What was read from one page, or from several read together: honest about how it went."""

    source: str
    page_indexes: tuple[int, ...]
    """From 0, in the order they were sent."""
    task: Task[R_co]
    outcome: Outcome
    result: R_co | None = None
    """The task's own type, places in pixels of the page; None when there is no answer to read."""
    size_px: Size | None = None
    """The original, upright page; for a PDF as rendered."""
    size_pt: SizePt | None = None
    """The page on paper, for a PDF."""
    total_pages: int | None = None
    page_label: str | None = None
    warnings: tuple[str, ...] = ()
    """What was repaired, dropped or doubtful."""
    answer: str = ""
    """The answer as it came."""
    usage: Usage = field(default_factory=Usage)
    attempts: int = 0
    """How many calls were made for it."""
    finish_reason: str | None = None
    model: str | None = None
    request_id: str | None = None
    origin: Origin = "service"
    error: QwenOCRError | None = None
    """Why there is no good answer."""

    @property
    def page_index(self) -> int:
        """The page, from 0; the first one when pages were read together."""
        return self.page_indexes[0]

    @property
    def page_number(self) -> int:
        """The page, from 1."""
        return self.page_index + 1

    @property
    def text(self) -> str:
        """What goes into `page_content`; empty when there is no result: see `outcome`."""
        return self.result.text if self.result is not None else ""

    @property
    def regions(self) -> tuple[Region, ...]:
        """Pieces of text with their places on the page, in the model's own order."""
        if self.result is None:
            return ()
        if self.size_px is None:
            return self.result.regions
        size_px, size_pt = self.size_px, self.size_pt
        return tuple(region.on_page(size_px, size_pt, self.page_index) for region in self.result.regions)

    def in_reading_order(self) -> tuple[Region, ...]:
        """The regions as a person reads them: columns, then top to bottom."""
        regions = self.regions
        return tuple(regions[i] for i in reading_order([region.quad for region in regions]))

    @property
    def is_good(self) -> bool:
        """Whether nothing went wrong: ok, blank or skipped."""
        return self.outcome in GOOD_OUTCOMES

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain lists, dictionaries, strings and numbers, for JSON."""
        usage = dataclasses.asdict(self.usage)
        usage["cost"] = None if self.usage.cost is None else str(self.usage.cost)
        return {
            "source": self.source,
            "page_indexes": list(self.page_indexes),
            "page_label": self.page_label,
            "total_pages": self.total_pages,
            "task": self.task.name,
            "outcome": self.outcome,
            "text": self.text,
            "result": None if self.result is None else self.result.to_dict(),
            "regions": [plain(region) for region in self.regions],
            "size_px": None if self.size_px is None else list(self.size_px),
            "size_pt": None if self.size_pt is None else list(self.size_pt),
            "warnings": list(self.warnings),
            "error": None if self.error is None else str(self.error),
            "answer": self.answer,
            "model": self.model,
            "origin": self.origin,
            "attempts": self.attempts,
            "finish_reason": self.finish_reason,
            "request_id": self.request_id,
            "usage": usage,
        }

    def raise_for_outcome(self) -> Reading[R_co]:
        """The reading itself, when nothing went wrong.

        Raises:
            QwenOCRError: What went wrong, naming the page and what to do.
        """
        if self.is_good:
            return self
        raise self.error or AnswerError(self._complaint(), answer=self.answer)

    def _complaint(self) -> str:
        return f"Page {self.page_number} of {self.source}: {self.outcome}. {' '.join(self.warnings)}".rstrip()


def build_request(
    task: Task[R],
    images: Sequence[PreparedImage],
    *,
    model: str,
    budget: PixelBudget | None = None,
    frame: CoordinateFrame | None = None,
    max_tokens: int | None = None,
) -> OCRRequest[R]:
    """The request that asks *model* for *task* on these pictures.

    Args:
        task: What to read.
        images: Normally one; several to read pages together.
        model: The model's id.
        budget: None for the model's own.
        frame: What places in the answer count; None for what the model is known to use.
        max_tokens: None for the model's own limit.

    Raises:
        OptionError: There is no picture, or several for a task whose answer cannot span pages.
    """
    if not images:
        raise OptionError("A request needs a picture.")
    if len(images) > 1 and not task.spans_pages:
        spanning = ", ".join(sorted(t.__name__ for t in TASKS.values() if t.spans_pages))
        raise OptionError(f"{type(task).__name__} reads one page at a time; together works with {spanning}.")
    profile: ModelProfile = find_model(model)
    if max_tokens is not None and max_tokens < 1:
        raise OptionError(f"max_tokens is at least 1, not {max_tokens}.")
    return OCRRequest(
        task=task,
        images=tuple(images),
        model=model,
        budget=budget or profile.budget,
        frame=frame or profile.frame,
        max_tokens=max_tokens,
    )


def interpret(completion: Completion, request: OCRRequest[R]) -> Reading[R]:
    """The reading that *completion* holds; never raises, whatever the text is.

    The outcome comes from the first of these that applies: a refusal, a loop, nothing to read, an answer in none of
    the task's forms, an answer that was cut; otherwise it is ok.
    """
    read = _read(completion.answer, request)
    outcome, complaint = _judge(completion, read)
    result = read.result
    page = request.page
    warnings = (
        *(warning for image in request.images for warning in image.warnings),
        *completion.warnings,
        *(result.warnings if result is not None else ()),
        *((complaint,) if complaint else ()),
    )
    return Reading(
        source=page.source,
        page_indexes=tuple(image.page.page_index for image in request.images),
        task=request.task,
        outcome=outcome,
        result=result,
        size_px=page.size_px,
        size_pt=page.size_pt,
        total_pages=page.total_pages,
        page_label=page.page_label,
        warnings=tuple(dict.fromkeys(warnings)),
        answer=completion.answer,
        usage=completion.usage,
        attempts=completion.attempts,
        finish_reason=completion.finish_reason,
        model=completion.model or request.model,
        request_id=completion.request_id,
        origin=completion.origin,
        error=_error_of(outcome, complaint, completion, request),
    )


@dataclass(frozen=True, slots=True)
class _Read(Generic[R_co]):
    """A result, or why there is none."""

    result: R_co | None
    error: AnswerError | None = None


def _read(answer: str, request: OCRRequest[R]) -> _Read[R]:
    image = request.images[0]
    to_page = PageMap(frame=request.frame, sent=image.size_px, page=image.page.size_px, to_page=image.to_page)
    try:
        return _Read(request.task.parse(answer).mapped(to_page))
    except AnswerError as error:
        return _Read(None, error)


Judge = Callable[[Completion, "_Read[Result]"], str | None]


def _refused(completion: Completion, _: _Read[Result]) -> str | None:
    if completion.refusal:
        return f"The service declined: {completion.refusal}"
    if declines(completion.answer):
        return "The model declined to read the picture. Look at the picture; another task or model may read it."
    return None


def _repeating(completion: Completion, _: _Read[Result]) -> str | None:
    loop = find_repetition(completion.answer)
    if loop is None:
        return None
    return (
        f"From character {loop.start} on the answer repeats {loop.unit[:40]!r} {loop.times} times. "
        "Use another max_pixels, or cut the page into parts."
    )


def _blank(completion: Completion, read: _Read[Result]) -> str | None:
    fenced = unfence(completion.answer)
    if fenced.closed and not fenced.body.strip():
        # An answer of nothing that ran into its length limit is no word about the picture.
        return None if completion.finish_reason == "length" else ""
    if says_nothing_to_read(completion.answer):
        return ""
    return "" if read.result is not None and read.result.is_blank and not read.result.cut else None


def _malformed(completion: Completion, read: _Read[Result]) -> str | None:
    return str(read.error) if read.error is not None and completion.finish_reason != "length" else None


def _truncated(completion: Completion, read: _Read[Result]) -> str | None:
    if completion.finish_reason == "length":
        return (
            "The answer was cut at its length limit (finish_reason=length); what was complete is kept. "
            "Raise max_tokens, or read the page in parts."
        )
    if read.result is not None and read.result.cut:
        return (
            f"The answer stops in the middle of a structure (finish_reason={completion.finish_reason}); "
            "what was complete is kept. Read the page again, or in parts."
        )
    return None


OUTCOME_RULES: tuple[tuple[Outcome, Judge], ...] = (
    ("refused", _refused),
    ("repeating", _repeating),
    ("blank", _blank),
    ("malformed", _malformed),
    ("truncated", _truncated),
)
"""Asked in this order; the first that has something to say decides. Otherwise the outcome is ok."""


def _judge(completion: Completion, read: _Read[Result]) -> tuple[Outcome, str]:
    for outcome, rule in OUTCOME_RULES:
        complaint = rule(completion, read)
        if complaint is not None:
            return outcome, complaint
    return "ok", ""


def _error_of(
    outcome: Outcome, complaint: str, completion: Completion, request: OCRRequest[Result]
) -> QwenOCRError | None:
    if outcome in GOOD_OUTCOMES:
        return None
    message = f"{request.page}: {outcome}. {complaint}"
    if outcome == "refused" and completion.refusal:
        return ContentRefusedError(message, request_id=completion.request_id)
    return AnswerError(message, answer=completion.answer)
