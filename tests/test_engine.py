"""`QwenOCR`: pages in, readings out, in order, whatever happens to single pages."""

from __future__ import annotations

import asyncio
import contextlib
import io
import pickle
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from langchain_qwen_ocr import (
    AdvancedRecognition,
    FreePrompt,
    KeyInformationExtraction,
    QwenOCR,
    Reading,
    TextRecognition,
)
from langchain_qwen_ocr.cache import SQLiteStore
from langchain_qwen_ocr.endpoints.endpoint import Endpoint
from langchain_qwen_ocr.errors import (
    AuthenticationError,
    BudgetError,
    OptionError,
    ServiceUnavailableError,
    SourceError,
)
from langchain_qwen_ocr.exchange import Completion, OCRRequest
from langchain_qwen_ocr.policies import Budget, CachedEndpoint
from langchain_qwen_ocr.testing import (
    Reply,
    ScriptedTransport,
    SentRequest,
    Step,
    StrictService,
    completion_body,
    error_body,
    refused,
    server_error,
)
from tests.readers import picture, reader, shade_of


def shade_of_sent(sent: SentRequest) -> int:
    """Which of the pictures was sent."""
    return shade_of(sent.pictures[0])


def tiff(path: Path, shades: list[int]) -> Path:
    """A file with a page for each shade."""
    frames = [Image.open(io.BytesIO(picture(shade))) for shade in shades]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    return path


async def collect(readings: Any) -> list[Reading[Any]]:
    """All readings of an asynchronous iterator."""
    return [reading async for reading in readings]


def both(ocr: QwenOCR, *arguments: Any, **options: Any) -> list[Reading[Any]]:
    """The readings of `read`, after checking that `aread` gives the same."""
    readings = list(ocr.read(*arguments, **options))
    again = asyncio.run(collect(ocr.aread(*arguments, **options)))
    assert [(r.page_index, r.outcome, r.text) for r in again] == [(r.page_index, r.outcome, r.text) for r in readings]
    return readings


def test_pages_come_in_order_whatever_is_answered_first(tmp_path: Path) -> None:
    """Ten pages with eight calls in flight are read in page order, sync and async."""
    shades = list(range(0, 250, 25))
    service = StrictService(lambda sent: f"shade {shade_of_sent(sent)}")
    readings = both(reader(service), tiff(tmp_path / "ten.tiff", shades))
    assert [reading.text for reading in readings] == [f"shade {shade}" for shade in shades]
    assert [reading.page_number for reading in readings] == list(range(1, 11))
    assert service.refusals == []


@pytest.mark.parametrize("how", ["read", "aread"])
async def test_sources_that_break_off(how: str) -> None:
    """What the caller's own iterable raises comes after the pages before it: they are paid for."""

    def sources() -> Iterator[bytes]:
        yield picture(10)
        yield picture(20)
        raise LookupError("no more")

    ocr, texts = reader(StrictService(lambda sent: f"shade {shade_of_sent(sent)}")), []

    async def take_all() -> None:
        if how == "aread":
            async for reading in ocr.aread(sources()):
                texts.append(reading.text)  # noqa: PERF401 - it raises at the end
        else:
            texts.extend(reading.text for reading in ocr.read(sources()))

    with pytest.raises(LookupError, match="no more"):
        await take_all()
    assert texts == ["shade 10", "shade 20"]


@pytest.mark.parametrize("together", [False, True])
def test_no_sources_give_no_readings(together: bool) -> None:  # noqa: FBT001
    """An empty list is no mistake: a folder may have been read to its end."""
    service = StrictService("text")
    assert both(reader(service), [], FreePrompt("What is it?"), together=together) == []
    assert service.calls == 0


def test_reading_is_lazy(tmp_path: Path) -> None:
    """Who takes one page pays for a window of pages, not for the document."""
    service = StrictService("text")
    path = tiff(tmp_path / "hundred.tiff", [n % 250 for n in range(100)])
    readings = reader(service, max_concurrency=2).read(path)
    assert service.calls == 0
    next(readings)
    readings.close()  # type: ignore[attr-defined]
    assert service.calls <= 8


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        pytest.param(server_error(), "failed", id="server error"),
        pytest.param(refused(), "refused", id="content check"),
        pytest.param(
            Reply(400, error_body("invalid_parameter_error", "The image format is illegal")), "failed", id="rejected"
        ),
    ],
)
def test_a_failing_page_leaves_its_neighbours_alone(tmp_path: Path, fault: Step, outcome: str) -> None:
    """The page in the middle has its own outcome and error; the others keep their place."""
    service = StrictService(lambda sent: fault if shade_of_sent(sent) == 100 else f"shade {shade_of_sent(sent)}")
    readings = both(reader(service), tiff(tmp_path / "three.tiff", [50, 100, 150]))
    assert [reading.outcome for reading in readings] == ["ok", outcome, "ok"]
    assert [reading.text for reading in readings] == ["shade 50", "", "shade 150"]
    with pytest.raises(Exception, match=r"Page 2 of .*three\.tiff"):
        readings[1].raise_for_outcome()


def test_a_wrong_key_stops_at_once(tmp_path: Path) -> None:
    """What would meet every page alike is raised, and the key is not in the message."""
    service = StrictService("text", api_key="sk-right")
    ocr = reader(service, api_key="sk-very-secret-wrong")
    with pytest.raises(AuthenticationError) as caught:
        list(ocr.read(tiff(tmp_path / "a.tiff", [1, 2, 3])))
    assert "sk-very-secret-wrong" not in str(caught.value) + repr(ocr)


def test_without_a_key_nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to set, and that there is a way without."""
    monkeypatch.delenv("DASHSCOPE_API_KEY", raising=False)
    with pytest.raises(AuthenticationError, match=r"DASHSCOPE_API_KEY.*QwenOCR\.local"):
        QwenOCR()


def test_the_key_and_the_address_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with the service's own packages."""
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-env")
    monkeypatch.setenv("DASHSCOPE_BASE_URL", "https://proxy.example/v1")
    service = ScriptedTransport("text")
    ocr = QwenOCR(http_client=httpx2.Client(transport=service))
    list(ocr.read(picture(9)))
    assert service.requests[0].url == "https://proxy.example/v1/chat/completions"
    assert service.requests[0].headers["authorization"] == "Bearer sk-env"


@pytest.mark.parametrize(
    ("region", "model"), [("beijing", "qwen-vl-ocr-latest"), ("singapore", "qwen-vl-ocr-2025-11-20")]
)
def test_the_default_model_is_the_regions(region: str, model: str) -> None:
    """Each region gets a model that it has."""
    service = StrictService("text", region=region)
    (reading,) = reader(service, region=region).read(picture(1))
    assert reading.model == model
    assert service.refusals == []


def test_several_sources_are_read_one_after_the_other(tmp_path: Path) -> None:
    """A source of a list that does not open is a failed reading, and the rest is read."""
    service = StrictService(lambda sent: f"shade {shade_of_sent(sent)}")
    missing = tmp_path / "missing.png"
    readings = both(reader(service), [picture(10), missing, Image.new("L", (64, 48), 20), io.BytesIO(picture(30))][:3])
    assert [reading.text for reading in readings] == ["shade 10", "", "shade 20"]
    assert [reading.outcome for reading in readings] == ["ok", "failed", "ok"]
    assert isinstance(readings[1].error, SourceError)


def test_a_single_source_that_does_not_open_is_an_error(tmp_path: Path) -> None:
    """Nothing stands for it."""
    with pytest.raises(SourceError, match=r"missing\.png"):
        list(reader(StrictService()).read(tmp_path / "missing.png"))


def test_pages_are_chosen_from_one(tmp_path: Path) -> None:
    """Page ranges count from 1, indexes from 0."""
    readings = both(reader(StrictService("x")), tiff(tmp_path / "a.tiff", [1, 2, 3, 4]), pages="2,4-")
    assert [reading.page_index for reading in readings] == [1, 3]


def test_fields_are_read_from_pages_together(tmp_path: Path) -> None:
    """One request with all pictures, one reading."""
    service = StrictService('{"total": "12.00"}')
    task = KeyInformationExtraction({"total": ""})
    readings = both(reader(service), tiff(tmp_path / "a.tiff", [1, 2]), task, together=True)
    assert [(reading.page_indexes, reading.text) for reading in readings] == [((0, 1), "total: 12.00")]
    assert len(service.requests[0].pictures) == 2


@pytest.mark.parametrize("task", ["table_parsing", TextRecognition, None], ids=["a name", "a class", "nothing"])
def test_what_is_no_task(task: Any) -> None:
    """It is refused with what to write."""
    service = StrictService()
    with pytest.raises(OptionError, match=r"TextRecognition\(\)"):
        list(reader(service).read(picture(1), task))
    assert service.calls == 0


def test_only_some_tasks_are_read_together(tmp_path: Path) -> None:
    """The refusal comes before anything is sent."""
    service = StrictService()
    with pytest.raises(OptionError, match="together"):
        list(reader(service).read(tiff(tmp_path / "a.tiff", [1, 2]), AdvancedRecognition(), together=True))
    assert service.calls == 0


def test_more_pages_together_than_the_model_takes(tmp_path: Path) -> None:
    """The sum of their tokens is checked before they are sent."""
    big = tmp_path / "big.tiff"
    page = Image.effect_noise((3000, 2500), 60)
    page.save(big, save_all=True, append_images=[page] * 4)
    service = StrictService()
    with pytest.raises(OptionError, match="image tokens"):
        list(reader(service).read(big, FreePrompt("Sum up."), together=True))
    assert service.calls == 0


def test_one_object_serves_two_event_loops_and_threads() -> None:
    """Notebooks and servers make new loops; the reader does not mind."""
    ocr = reader(StrictService("text"))
    texts = [asyncio.run(collect(ocr.aread(picture(shade))))[0].text for shade in (1, 2)]
    threads = [threading.Thread(target=lambda: texts.extend(r.text for r in ocr.read(picture(3)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == ["text"] * 6


def test_a_closed_reader_can_be_used_again() -> None:
    """Closing gives up threads and connections; the next call makes new ones."""
    with reader(StrictService("text")) as ocr:
        list(ocr.read(picture(1)))
    assert next(ocr.read(picture(2))).text == "text"


class Held:
    """An endpoint that answers the first call; the next one waits until it may have its answer, or is cancelled."""

    def __init__(self, answer: str = "second") -> None:
        self.answer = answer
        self.calls = 0
        self.cancelled = 0
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()

    def complete(self, request: OCRRequest[Any]) -> Completion:
        raise NotImplementedError

    async def acomplete(self, request: OCRRequest[Any]) -> Completion:
        self.calls += 1
        if self.calls == 1:
            return Completion(answer="first")
        self.begun.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return Completion(answer=self.answer)


async def leave_early(ocr: QwenOCR, held: Held) -> None:
    """Take the first of two pages, and go while the second is under way."""
    readings: Any = ocr.aread([picture(10), picture(20)], FreePrompt("What is it?"))
    assert (await anext(readings)).text == "first"
    await held.begun.wait()
    await readings.aclose()


async def test_a_call_under_way_is_remembered_when_an_asynchronous_read_is_left(tmp_path: Path) -> None:
    """It is paid for: the answer goes into the cache."""
    held = Held()
    ocr = QwenOCR(endpoint=held, max_concurrency=1, cache=tmp_path / "answers.sqlite")
    await leave_early(ocr, held)
    held.go_on.set()
    await ocr.aclose()
    assert (held.calls, held.cancelled) == (2, 0)

    again = [reading async for reading in ocr.aread([picture(10), picture(20)], FreePrompt("What is it?"))]
    assert [(reading.text, reading.usage.cached) for reading in again] == [("first", 1), ("second", 1)]


async def test_who_is_cancelled_while_waiting_loses_no_answer(tmp_path: Path) -> None:
    """The page that is waited for is under way like those after it."""
    held = Held()
    ocr = QwenOCR(endpoint=held, max_concurrency=1, cache=tmp_path / "answers.sqlite")

    async def take_all() -> list[Reading[Any]]:
        return await collect(ocr.aread([picture(10), picture(20)], FreePrompt("What is it?")))

    taking = asyncio.create_task(take_all())
    await held.begun.wait()
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    held.go_on.set()
    await ocr.aclose()
    assert (held.calls, held.cancelled) == (2, 0)
    assert [r.usage.cached for r in await collect(ocr.aread(picture(20), FreePrompt("What is it?")))] == [1]


def test_closing_does_not_wait_for_tasks_of_an_event_loop(tmp_path: Path) -> None:
    """The loop may be the very one that is blocked meanwhile."""

    async def leave_and_close() -> None:
        held = Held()
        with QwenOCR(endpoint=held, max_concurrency=1, cache=tmp_path / "answers.sqlite") as ocr:
            await leave_early(ocr, held)

    thread = threading.Thread(target=asyncio.run, args=(leave_and_close(),), daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()


async def test_a_slow_source_does_not_hold_up_who_is_cancelled() -> None:
    """It is opened to its end in its thread, and closed there."""
    opening, go_on, closed = threading.Event(), threading.Event(), threading.Event()

    def sources() -> Iterator[bytes]:
        try:
            opening.set()
            go_on.wait(20)
            yield picture(10)
        finally:
            closed.set()

    taking = asyncio.create_task(collect(reader(StrictService("text")).aread(sources())))
    await asyncio.to_thread(opening.wait, 20)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    go_on.set()
    assert await asyncio.to_thread(closed.wait, 20)


async def test_a_call_under_way_ends_where_nobody_would_remember_it() -> None:
    """Without a cache an answer that comes later is of no use to anybody."""
    held = Held()
    await leave_early(QwenOCR(endpoint=held, max_concurrency=1), held)
    assert (held.calls, held.cancelled) == (2, 1)


def test_an_endpoint_of_ones_own() -> None:
    """Anything with complete and acomplete takes the place of the service, and needs no key."""

    class Echo:
        def complete(self, request: OCRRequest[Any]) -> Completion:
            return Completion(answer=request.task.prompt(), model="echo")

        async def acomplete(self, request: OCRRequest[Any]) -> Completion:
            return self.complete(request)

    (reading,) = both(QwenOCR(endpoint=Echo()), picture(1))
    assert (reading.text, reading.model) == (TextRecognition().prompt(), "echo")


def test_a_view_shares_its_engine() -> None:
    """A wrapped endpoint sees the calls of the view, and only those."""
    seen = []

    class Counting:
        def __init__(self, endpoint: Endpoint) -> None:
            self.endpoint = endpoint

        def complete(self, request: OCRRequest[Any]) -> Completion:
            seen.append(request)
            return self.endpoint.complete(request)

        async def acomplete(self, request: OCRRequest[Any]) -> Completion:
            seen.append(request)
            return await self.endpoint.acomplete(request)

    ocr = reader(StrictService("text"))
    both(ocr.with_endpoint(Counting), picture(1))
    list(ocr.read(picture(2)))
    assert len(seen) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"max_concurrency": 0},
        {"max_retries": -1},
        {"region": "atlantis"},
        {"max_pixels": 10**9},
        {"min_pixels": 5_000_000, "max_pixels": 1_000_000},
        {"image_format": "gif"},
        {"coordinate_frame": "inches"},
        {"max_tokens": 0},
    ],
    ids=lambda o: next(iter(o)),
)
def test_arguments_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    """At once, by name."""
    with pytest.raises(OptionError):
        reader(StrictService(), **options)


def test_a_reader_is_not_pickled() -> None:
    """It holds a key and connections."""
    with pytest.raises(TypeError, match="each process"):
        pickle.dumps(reader(StrictService()))


def test_pixel_limits_are_said_beside_the_picture() -> None:
    """The service is told the same budget that the picture was prepared for."""
    service = StrictService("text")
    list(reader(service, min_pixels=10_000, max_pixels=500_000).read(picture(1)))
    (part,) = [part for part in service.requests[0].parts if part["type"] == "image_url"]
    assert (part["min_pixels"], part["max_pixels"]) == (10_000, 500_000)


def test_a_cut_answer_is_asked_for_with_the_models_full_length() -> None:
    """When the caller had set less, the model's own limit is tried; both calls are paid for and told."""
    service = ScriptedTransport([completion_body("first ha", finish_reason="length"), "first half and the rest"])
    (reading,) = reader(service, max_tokens=20).read(picture(1))
    assert (reading.outcome, reading.text, reading.attempts) == ("ok", "first half and the rest", 2)
    assert [request.body.get("max_tokens") for request in service.requests] == [20, 8192]
    assert reading.usage.calls == 2
    assert any("asked again" in warning for warning in reading.warnings)


def test_a_cut_page_is_read_in_halves() -> None:
    """With no length left to ask for, the halves are read by themselves and joined."""
    service = ScriptedTransport([completion_body("one\ntwo", finish_reason="length"), "one\ntwo", "two\nthree"])
    (reading,) = reader(service).read(picture(1))
    assert (reading.outcome, reading.text, reading.attempts) == ("ok", "one\ntwo\nthree", 3)


def test_asking_again_can_be_switched_off() -> None:
    """Then a cut answer stays cut, and what came is kept."""
    service = ScriptedTransport([completion_body("one\ntwo", finish_reason="length")])
    (reading,) = reader(service, asks_again=False).read(picture(1))
    assert (reading.outcome, reading.text, reading.attempts) == ("truncated", "one\ntwo", 1)


def test_a_failure_while_asking_again_keeps_the_first_answer() -> None:
    """What was read is worth more than the error."""
    service = ScriptedTransport([completion_body("one\ntwo", finish_reason="length"), server_error()])
    (reading,) = reader(service).read(picture(1))
    assert (reading.outcome, reading.text) == ("truncated", "one\ntwo")
    assert any("Asking again failed" in warning for warning in reading.warnings)


def test_a_cap_skips_the_rest_visibly(tmp_path: Path) -> None:
    """Pages beyond the cap are not sent, and each says so."""
    service = StrictService("text")
    ocr = reader(service, budget=Budget(max_pages=2), max_concurrency=1)
    readings = list(ocr.read(tiff(tmp_path / "five.tiff", [1, 2, 3, 4, 5])))
    assert sorted(reading.outcome for reading in readings) == ["ok", "ok", "skipped", "skipped", "skipped"]
    assert all(isinstance(r.error, BudgetError) for r in readings if r.outcome == "skipped")
    assert service.calls == 2


@pytest.mark.parametrize("cache", [False, True])
def test_pages_beyond_a_cap_are_not_even_decoded(tmp_path: Path, cache: bool) -> None:  # noqa: FBT001
    """Nor looked for in a cache that began empty; one of an earlier run may know them, and what it knows is free."""
    decoded: list[int] = []

    def pictures() -> list[Image.Image]:
        made = [Stored(shade, partial(decoded.append, shade)).image() for shade in range(1, 40)]
        for shade, image in enumerate(made, start=1):
            image.filename = f"{shade}.bmp"  # type: ignore[attr-defined]
        return made

    options: dict[str, Any] = {"cache": tmp_path / "answers.sqlite"} if cache else {}
    ocr = reader(StrictService("text"), budget=Budget(max_pages=2), max_concurrency=1, **options)
    outcomes = [reading.outcome for reading in ocr.read(pictures())]
    assert Counter(outcomes) == {"ok": 2, "skipped": 37}
    assert len(set(decoded)) < 10

    if cache:
        again = reader(StrictService("text"), budget=Budget(max_pages=0), **options)
        assert [reading.outcome for reading in again.read(pictures())] == outcomes


def test_what_is_known_is_free_beyond_a_cap(tmp_path: Path) -> None:
    """Also what became known in this very run, and through a view with a cache of its own."""
    service, path = StrictService("text"), tiff(tmp_path / "three.tiff", [1, 2, 3])
    ocr = reader(service, budget=Budget(max_pages=3), cache=tmp_path / "answers.sqlite")
    view = reader(service, budget=Budget(max_pages=3)).with_endpoint(
        lambda endpoint: CachedEndpoint(endpoint, SQLiteStore(tmp_path / "others.sqlite"))
    )
    for one in (ocr, view):
        assert [reading.usage.cached for _ in range(2) for reading in one.read(path)] == [0, 0, 0, 1, 1, 1]
    assert service.calls == 6


def test_an_error_of_the_connection_is_told_with_its_attempts() -> None:
    """The reading says how often it was tried."""

    class Broken:
        def complete(self, request: OCRRequest[Any]) -> Completion:
            raise ServiceUnavailableError("The connection broke.")

        async def acomplete(self, request: OCRRequest[Any]) -> Completion:
            raise ServiceUnavailableError("The connection broke.")

    (reading,) = both(QwenOCR(endpoint=Broken(), max_retries=0), picture(1))
    assert (reading.outcome, reading.attempts) == ("failed", 1)


class Stored(io.BytesIO):
    """A picture's file that calls back when it is decoded."""

    def __init__(self, shade: int, decoded: Callable[[], object]) -> None:
        super().__init__()
        self._decoded = decoded
        self._opened = False
        Image.new("L", (64, 48), shade).save(self, format="BMP")

    def image(self) -> Image.Image:
        """The picture, opened and not decoded yet."""
        image = Image.open(self)
        self._opened = True
        return image

    def read(self, size: int | None = -1, /) -> bytes:
        if self._opened:
            self._decoded()
        return super().read(size)


class Meeting:
    """Answers when as many calls are under way as are expected."""

    def __init__(self, calls: int) -> None:
        self._calls = threading.Barrier(calls, timeout=10)

    def complete(self, request: OCRRequest[Any]) -> Completion:
        self._calls.wait()
        return Completion(answer="text")

    async def acomplete(self, request: OCRRequest[Any]) -> Completion:
        return await asyncio.to_thread(self.complete, request)


def test_few_threads_hold_pictures() -> None:
    """However many calls wait: each thread would keep the memory of its largest picture."""
    five_at_once = threading.Barrier(5, timeout=0.1)
    threads: set[str] = set()

    def decoded() -> None:
        threads.add(threading.current_thread().name)
        with contextlib.suppress(threading.BrokenBarrierError):
            five_at_once.wait()

    pictures = [Stored(shade, decoded).image() for shade in range(8)]
    readings = list(QwenOCR(endpoint=Meeting(8), max_concurrency=8).read(pictures))
    assert [reading.text for reading in readings] == ["text"] * 8
    assert 1 <= len(threads) <= 4
    assert five_at_once.broken


@pytest.mark.parametrize("how", ["read", "aread"])
def test_an_answer_does_not_wait_for_later_pictures(how: str) -> None:
    """The first reading is there while the pictures of all other pages are still being decoded."""
    came, in_time = threading.Event(), []
    later = [Stored(shade, lambda: in_time.append(came.wait(timeout=10))).image() for shade in range(1, 9)]
    ocr = reader(StrictService("text"))

    async def first_and_rest() -> list[Reading[Any]]:
        readings = ocr.aread([picture(0), *later])
        first = await anext(readings)
        came.set()
        return [first, *await collect(readings)]

    if how == "aread":
        read = asyncio.run(first_and_rest())
    else:
        readings = ocr.read([picture(0), *later])
        read = [next(readings)]
        came.set()
        read.extend(readings)
    assert [reading.text for reading in read] == ["text"] * 9
    assert set(in_time) == {True}
