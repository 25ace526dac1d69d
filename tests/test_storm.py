"""Whatever the service throws at a long run, every page is accounted for, in order, and none is sent twice for nothing.

Each page of a file meets weather of its own: faults in front of the service, or answers that are no good. What comes of
each kind is written out in `WEATHER`, so that whole runs can be checked page by page and call by call.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from langchain_qwen_ocr import QwenOCR, QwenOCRLoader, Reading
from langchain_qwen_ocr.endpoints.openai_chat import OpenAIChatEndpoint
from langchain_qwen_ocr.exchange import GOOD_OUTCOMES
from langchain_qwen_ocr.models import RateLimit
from langchain_qwen_ocr.policies import with_policies
from langchain_qwen_ocr.report import Tally
from langchain_qwen_ocr.testing import (
    FlakyTransport,
    ManualClock,
    Reply,
    SentRequest,
    Step,
    StrictService,
    completion_body,
    cut_body,
    dropped,
    empty,
    flaky,
    looping,
    refused,
    server_error,
    throttled,
    timed_out,
    truncated,
    unreachable,
    wrong_content_type,
)

PAGES = 60
SIZE = (64, 48)


@dataclass(frozen=True)
class Weather:
    """What a page meets, and what comes of it."""

    steps: Sequence[Step]
    """What its whole picture meets, call by call; afterwards, and for parts of it, the service answers."""
    outcome: str = "ok"
    calls: int = 1
    """All calls that the page takes."""
    paid: int = 1
    """Those that were answered."""


WEATHER = {
    "calm": Weather([]),
    "throttled": Weather([throttled()], calls=2),
    "throttled, with a wait asked for": Weather([throttled(retry_after=2), throttled(retry_after=5)], calls=3),
    "a burst": Weather([throttled(code="limit_burst_rate")] * 3, calls=4),
    "server error": Weather([server_error(500)], calls=2),
    "overloaded": Weather([server_error(503), server_error(503)], calls=3),
    "connection lost": Weather([dropped(), dropped()], calls=3),
    "no connection": Weather([unreachable()], calls=2),
    "half a body": Weather([cut_body()], calls=2),
    "everything": Weather([throttled(retry_after=1), server_error(502), dropped(), timed_out()], calls=5),
    "too late once": Weather([timed_out()], calls=2),
    "too late twice": Weather([timed_out()] * 9, "failed", calls=2, paid=0),
    "never up": Weather([server_error(500)] * 9, "failed", calls=5, paid=0),
    "throttled for ever": Weather([throttled(retry_after=1)] * 9, "failed", calls=5, paid=0),
    "a wall": Weather([Reply(400, "no")] * 9, "failed", paid=0),
    "refused": Weather([refused()] * 9, "refused", paid=0),
    "empty": Weather([empty()] * 9, "blank"),
    "cut": Weather([truncated("line one\nline two")] * 9, calls=3, paid=3),
    "cut, throttled before": Weather([throttled(), truncated("line one\nline two"), empty()], calls=4, paid=3),
    "a loop": Weather([looping()] * 9, calls=4, paid=4),
    "malformed": Weather(["236,254,115,299,90"], calls=2, paid=2),
    "malformed twice": Weather(["236,254,115,299,90"] * 9, "malformed", calls=2, paid=2),
}


def page_of(sent: SentRequest) -> int:
    """Which page was sent, from 0."""
    with Image.open(io.BytesIO(sent.pictures[0])) as image:
        return image.convert("L").tobytes()[0] // 4


def is_whole(sent: SentRequest) -> bool:
    """Whether the whole page was sent, not a part of it."""
    with Image.open(io.BytesIO(sent.pictures[0])) as image:
        return image.size == SIZE


class StandingClock(ManualClock):
    """Nobody waits, and no time passes: the waits of pages in flight overlap, so their sum would be no time at all."""

    def advance(self, seconds: float) -> None:
        """Let no time pass."""


@pytest.fixture(scope="module")
def sixty_pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file whose page n, from 0, has the shade 4 n on the left and no two equal parts."""
    path = tmp_path_factory.mktemp("storm") / "sixty.tiff"
    pages = [Image.linear_gradient("L").resize(SIZE) for _ in range(PAGES)]
    for n, page in enumerate(pages):
        page.paste(4 * n, (0, 0, SIZE[0] // 2, SIZE[1]))
    pages[0].save(path, save_all=True, append_images=pages[1:])
    return path


def in_weather(weather: Sequence[str], answered: Counter[str] | None = None) -> FlakyTransport:
    """A service in front of which page n meets the n-th weather; *answered* counts what came through, by request."""

    def fault(sent: SentRequest, before: int) -> Step | None:
        steps = WEATHER[weather[page_of(sent)]].steps
        step = steps[before] if is_whole(sent) and before < len(steps) else None
        if answered is not None and (step is None or isinstance(step, Mapping)):
            answered[hashlib.sha256(sent.content).hexdigest()] += 1
        return step

    return flaky(StrictService(lambda sent: f"page {page_of(sent)}"), fault)


def reader(transport: Any, **options: Any) -> QwenOCR:
    """A reader with the policies of a real one, whose waits nobody waits for."""
    endpoint = OpenAIChatEndpoint(
        api_key="sk-test",
        http_client=httpx2.Client(transport=transport),
        http_async_client=httpx2.AsyncClient(transport=transport),
    )
    policies = with_policies(endpoint, rate_limit=RateLimit(600, 6_000_000), clock=StandingClock(), **options)
    return QwenOCR(endpoint=policies, max_retries=0, image_format="png")


def read(ocr: QwenOCR, path: Path) -> list[Reading[Any]]:
    """All readings, by threads."""
    with ocr:
        return list(ocr.read(path))


def aread(ocr: QwenOCR, path: Path) -> list[Reading[Any]]:
    """All readings, by tasks."""

    async def collect() -> list[Reading[Any]]:
        async with ocr:
            return [reading async for reading in ocr.aread(path)]

    return asyncio.run(collect())


BOTH = pytest.mark.parametrize("how", [pytest.param(read, id="threads"), pytest.param(aread, id="tasks")])
How = Callable[[QwenOCR, Path], list[Reading[Any]]]


@BOTH
@settings(max_examples=5)
@given(weather=st.lists(st.sampled_from(sorted(WEATHER)), min_size=PAGES, max_size=PAGES))
def test_every_page_is_accounted_for(sixty_pages: Path, how: How, weather: list[str]) -> None:
    """In page order, each with the outcome, the text and the number of calls that its weather allows."""
    transport = in_weather(weather)
    readings = how(reader(transport), sixty_pages)
    met = [WEATHER[name] for name in weather]
    assert [reading.page_indexes for reading in readings] == [(n,) for n in range(PAGES)]
    assert [(weather[n], r.outcome) for n, r in enumerate(readings)] == [
        (name, expected.outcome) for name, expected in zip(weather, met, strict=True)
    ]
    assert all(r.text == f"page {n}" for n, r in enumerate(readings) if r.outcome == "ok")
    assert [r.attempts for r in readings] == [expected.calls for expected in met]
    sent = Counter(page_of(request) for request in transport.requests)
    assert [sent[n] for n in range(PAGES)] == [expected.calls for expected in met]

    tally = Tally()
    for reading in readings:
        tally.add(reading)
    report = tally.report()
    assert report.pages == Counter(expected.outcome for expected in met)
    assert report.usage.calls == sum(expected.paid for expected in met)
    failed = [n for n, expected in enumerate(met) if expected.outcome not in GOOD_OUTCOMES]
    assert len(report.failures) == len(failed)
    assert all(f"Page {n + 1} of" in line for n, line in zip(failed, report.failures, strict=True))


@BOTH
def test_nothing_is_sent_twice_after_success(sixty_pages: Path, how: How) -> None:
    """The very same request is repeated only after a fault, never after an answer that could be read."""
    names = sorted(WEATHER)
    answered: Counter[str] = Counter()
    transport = in_weather([names[n % len(names)] for n in range(PAGES)], answered)
    how(reader(transport), sixty_pages)
    assert len(answered) > PAGES
    assert set(answered.values()) == {1}


@BOTH
def test_the_next_day_is_calm(tmp_path: Path, sixty_pages: Path, how: How) -> None:
    """Asked again with the same cache, what was read stays as it was and only the rest is sent."""
    names = sorted(WEATHER)
    weather = [names[n % len(names)] for n in range(PAGES)]
    cache = tmp_path / "answers.sqlite"
    first = how(reader(in_weather(weather), cache=cache), sixty_pages)
    calm = in_weather(["calm"] * PAGES)
    second = how(reader(calm, cache=cache), sixty_pages)
    settled = {"ok", "blank", "refused"}
    assert [r.outcome for r in second] == [r.outcome if r.outcome in settled else "ok" for r in first]
    assert [s.text for f, s in zip(first, second, strict=True) if f.outcome == "ok"] == [
        f.text for f in first if f.outcome == "ok"
    ]
    missing = [n for n, r in enumerate(first) if r.outcome not in settled]
    assert sorted(page_of(request) for request in calm.requests) == missing


def test_the_loader_tells_the_same(sixty_pages: Path) -> None:
    """Its Documents are those of the pages that gave something; its report counts all."""
    names = sorted(WEATHER)
    weather = [names[n % len(names)] for n in range(PAGES)]
    loader = QwenOCRLoader(sixty_pages, ocr=reader(in_weather(weather)), on_error="skip")
    documents = loader.load()
    outcomes = [WEATHER[name].outcome for name in weather]
    assert [d.metadata["page"] for d in documents] == [n for n, o in enumerate(outcomes) if o in GOOD_OUTCOMES]
    assert loader.report is not None
    assert loader.report.pages == Counter(outcomes)
    assert len(loader.report.failures) == sum(outcome not in GOOD_OUTCOMES for outcome in outcomes)


def test_a_sign_in_page_is_no_answer(sixty_pages: Path) -> None:
    """A captive portal that answers every call with 200 gives sixty failures and not one empty page."""
    readings = read(reader(flaky(StrictService(), lambda *_: wrong_content_type())), sixty_pages)
    assert [reading.outcome for reading in readings] == ["failed"] * PAGES
    assert len({reading.page_index for reading in readings}) == PAGES
    assert all(reading.error is not None for reading in readings)


def test_a_body_of_nothing_is_no_answer(sixty_pages: Path) -> None:
    """A completion without choices is a failure too."""
    body = {**completion_body("x"), "choices": []}
    readings = read(reader(flaky(StrictService(), lambda *_: body)), sixty_pages)
    assert {reading.outcome for reading in readings} == {"failed"}
