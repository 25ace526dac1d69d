"""`QwenOCR`: pages in, readings out, several in flight, always in page order."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, Protocol, Self, TypeAlias, TypeVar, cast, get_args, overload
from urllib.parse import urlsplit

from pydantic import SecretStr

from langchain_qwen_ocr.asking import Conversation, Question, TextLayerUse, converse
from langchain_qwen_ocr.endpoints.endpoint import Endpoint
from langchain_qwen_ocr.endpoints.openai_chat import OpenAIChatEndpoint
from langchain_qwen_ocr.errors import (
    AuthenticationError,
    BudgetError,
    ContentRefusedError,
    EndpointError,
    OptionError,
    QwenOCRError,
    SourceError,
    UnsupportedTaskError,
)
from langchain_qwen_ocr.estimates import Estimate, estimate
from langchain_qwen_ocr.exchange import Completion, OCRRequest, Origin, Outcome, Reading
from langchain_qwen_ocr.geometry import CoordinateFrame, PixelBudget
from langchain_qwen_ocr.models import ModelProfile, find_model, find_region
from langchain_qwen_ocr.pages import Page, SourceLimits, open_pages
from langchain_qwen_ocr.pages.page import ImageFormat, ImageOptions
from langchain_qwen_ocr.policies import Budget, Wrapper, not_sent, with_policies
from langchain_qwen_ocr.tasks.results import Result, Text
from langchain_qwen_ocr.tasks.task import Task
from langchain_qwen_ocr.tasks.text_recognition import TextRecognition

if TYPE_CHECKING:
    import httpx2
    from PIL import Image

R = TypeVar("R", bound=Result)
C = TypeVar("C", bound=str)
T = TypeVar("T")


class _HasBytes(Protocol):
    """Such as LangChain's Blob."""

    def as_bytes(self) -> bytes: ...


Source: TypeAlias = "str | os.PathLike[str] | bytes | BinaryIO | Image.Image | _HasBytes"
"""A path or an https address, bytes, a file opened for bytes, a PIL image, or anything with `as_bytes()`."""

_TEXT: Task[Any] = TextRecognition()
_AHEAD = 0.5
"""How many pages are rendered and encoded beyond those in flight, as a part of these: when answers come close after
one another, the next calls do not wait for their pictures."""
_PREPARING_THREADS = max(2, min(4, os.cpu_count() or 2))
"""Threads that render and encode. Few, since each keeps the memory of the largest picture it has held."""
_MOMENT_S = 0.002
"""How long, in seconds, pages are gathered before those that are there are begun."""
_REMEMBERING_S = 10.0
"""How long, in seconds, answers may take to be remembered when all calls have ended."""


@dataclass(frozen=True, slots=True)
class _Unopened:
    """A source of a sequence that could not be opened."""

    error: SourceError


_Job = tuple[Page, ...] | _Unopened
"""What one reading is made of: a page, several pages read together, or a source that did not open."""


@dataclass(slots=True)
class _Stop:
    """Whether nothing more is to be sent for a read: it was closed, or its reader was."""

    reader_closed: threading.Event
    read_closed: bool = False

    def __bool__(self) -> bool:
        return self.read_closed or self.reader_closed.is_set()


class QwenOCR:
    """Reads pages with Qwen-OCR, or with anything else that answers its requests.

    Args:
        model: The model's id; None for the region's best stable one.
        api_key: Falls back to `DASHSCOPE_API_KEY`.
        base_url: Falls back to `DASHSCOPE_BASE_URL`, then to the region's address.
        region: "beijing", "singapore" or "virginia"; keys and prices belong to one.
        max_concurrency: How many calls may be in flight, over all that share this object.
        max_retries: How often a call that may succeed later is repeated.
        timeout_s: The longest wait for one answer, in seconds.
        max_tokens: The longest answer to ask for; None for the model's own limit.
        min_pixels: The least area a picture is seen at, in px²; None for the model's own.
        max_pixels: The largest, in px²; lower it to pay less, raise it for small print.
        image_format: "jpeg", "png" or "webp" to send all pictures so; None for the cheapest form that does not
            hurt recognition.
        coordinate_frame: What places in answers count, "thousandths" or "pixels"; None for what the model is known
            to use.
        asks_again: Whether a cut, looping or malformed answer is asked for again: with the model's full length, with
            a smaller picture, in parts. Each step is a call that is paid for.
        text_layer: "trust" to take the embedded text of a PDF page, free of charge, where it is what the eye sees;
            such readings have the origin "text-layer". Of the tasks that ask for text alone.
        auto_orient: Whether pages lying on their side or a little askew are turned upright before they are sent, as
            far as their own ink tells. Photos are upright by their EXIF data anyway; places are those of the
            original page.
        tiles: Whether pages larger or longer than one look allows are read in overlapping parts, and put together.
        limits: What is too large to be opened: bytes, pixels, pages.
        cache: A path for a SQLite file, or a store with `mget` and `mset` such as LangChain's `ByteStore`.
        rate_limiter: Anything with `acquire` and `aacquire`, such as LangChain's `BaseRateLimiter`, in place of the
            built-in limiter.
        budget: Caps on pages, tokens and money. A page that is not sent for them is a reading with the outcome
            "skipped".
        endpoint: Anything with `complete` and `acomplete`, in place of the service.
        http_client: An `httpx2.Client` to call with; it is not closed here.
        http_async_client: An `httpx2.AsyncClient` likewise.

    Raises:
        AuthenticationError: There is no key.
        OptionError: An argument cannot work.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        api_key: str | SecretStr | None = None,
        base_url: str | None = None,
        region: str = "beijing",
        max_concurrency: int = 8,
        max_retries: int = 4,
        timeout_s: float = 300.0,
        max_tokens: int | None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        image_format: ImageFormat | None = None,
        coordinate_frame: CoordinateFrame | str | None = None,
        asks_again: bool = True,
        text_layer: TextLayerUse = "ignore",
        auto_orient: bool = False,
        tiles: bool = False,
        limits: SourceLimits | None = None,
        cache: object = None,
        rate_limiter: object = None,
        budget: Budget | None = None,
        endpoint: Endpoint | None = None,
        http_client: httpx2.Client | None = None,
        http_async_client: httpx2.AsyncClient | None = None,
    ) -> None:
        service_region = find_region(region)
        self.region = region
        self._origin: Origin = "service"
        self.model = model or service_region.default_model
        self.max_concurrency = _at_least("max_concurrency", max_concurrency, 1)
        _at_least("max_retries", max_retries, 0)
        self._max_tokens = None if max_tokens is None else _at_least("max_tokens", max_tokens, 1)
        self._asks_again = asks_again
        self._text_layer = _choice("text_layer", text_layer, TextLayerUse)
        self._auto_orient = auto_orient
        self._tiles = tiles
        self._limits = limits or SourceLimits()
        self._frame = _frame(coordinate_frame)
        self._image_options = ImageOptions(
            budget=_budget(self.profile, min_pixels, max_pixels),
            image_format=image_format and _choice("image_format", image_format, ImageFormat),
            max_data_url_chars=self.profile.max_data_url_chars,
        )
        self.base_url = base_url or os.environ.get("DASHSCOPE_BASE_URL") or service_region.base_url
        calls = endpoint or OpenAIChatEndpoint(
            api_key=_api_key(api_key),
            base_url=self.base_url,
            region=region,
            timeout_s=timeout_s,
            http_client=http_client,
            http_async_client=http_async_client,
        )
        policies = with_policies(
            calls,
            max_concurrency=max_concurrency,
            max_retries=max_retries,
            rate_limit=None if endpoint is not None else self.profile.rate_limit,
            rate_limiter=rate_limiter,
            cache=cache,
            budget=budget,
            region=region,
        )
        self._policies = policies
        self._endpoint: Endpoint = policies
        self._window = self.max_concurrency
        self._calling = _Pool(self.max_concurrency)
        self._preparing = _Pool(_PREPARING_THREADS)
        self._is_remembering = cache is not None
        self._abandoned: set[asyncio.Task[Reading[Any]]] = set()
        """Calls under way of asynchronous reads that were closed: their answers are still remembered."""

    @classmethod
    def local(cls, **options: Any) -> Self:
        """Reads with the embedded OCR engine: no key, no network, nothing leaves the machine.

        Needs `pip install "langchain-qwen-ocr[local]"`. Takes the options of the constructor that are about
        pictures and pages.
        """
        import httpx2

        from langchain_qwen_ocr.local import LocalTransport

        transport = LocalTransport()
        options = {"model": "local", "max_concurrency": 2, "max_retries": 0, **options}
        made = cls(
            **options,
            api_key="sk-nobody-asks-for-it",
            base_url="http://local/v1",
            http_client=httpx2.Client(transport=transport),
            http_async_client=httpx2.AsyncClient(transport=transport),
        )
        made._origin = "local"
        return made

    @property
    def profile(self) -> ModelProfile:
        """What is known about the model."""
        return find_model(self.model)

    @property
    def host(self) -> str:
        """The host that pictures are sent to, unless an `endpoint` was given."""
        return urlsplit(self.base_url).hostname or self.base_url

    @property
    def is_local(self) -> bool:
        """Whether pages are read on this machine, by the embedded engine."""
        return self._origin == "local"

    @property
    def limits(self) -> SourceLimits:
        """What is too large to be opened."""
        return self._limits

    @property
    def endpoint(self) -> Endpoint:
        """What answers the requests, with retries, limits and the cache around it."""
        return self._endpoint

    @property
    def image_options(self) -> ImageOptions:
        """What pictures are made like before they are sent."""
        return self._image_options

    def with_endpoint(self, wrap: Callable[[Endpoint], Endpoint], *, max_concurrency: int | None = None) -> QwenOCR:
        """A view of this object whose calls go through `wrap(endpoint)`; clients, limits and threads are shared.

        Args:
            wrap: Makes an endpoint round the present one.
            max_concurrency: How many pages this view works on at a time; never more than the object's own.
        """
        view = object.__new__(type(self))
        view.__dict__.update(self.__dict__)
        view._endpoint = wrap(self._endpoint)
        if max_concurrency is not None:
            view._window = min(self._window, _at_least("max_concurrency", max_concurrency, 1))
        return view

    def question(self, task: Task[R]) -> Question[R]:
        """How this object asks for *task*."""
        return Question(
            task=task,
            model=self.model,
            image_options=self._image_options,
            frame=self._frame,
            max_tokens=self._max_tokens,
            asks_again=self._asks_again,
            text_layer=self._text_layer,
            auto_orient=self._auto_orient,
            tiles=self._tiles,
            check=partial(self._endpoint.check_budget, model=self.model)
            if isinstance(self._endpoint, Wrapper)
            else None,
        )

    @overload
    def read(
        self,
        source: Source | Iterable[Source],
        *,
        pages: str | None = None,
        together: bool = False,
        password: str | None = None,
    ) -> Iterator[Reading[Text]]: ...

    @overload
    def read(
        self,
        source: Source | Iterable[Source],
        task: Task[R],
        *,
        pages: str | None = None,
        together: bool = False,
        password: str | None = None,
    ) -> Iterator[Reading[R]]: ...

    def read(
        self,
        source: Source | Iterable[Source],
        task: Task[Any] = _TEXT,
        *,
        pages: str | None = None,
        together: bool = False,
        password: str | None = None,
    ) -> Iterator[Reading[Any]]:
        """The readings of a source's pages, lazily and in page order.

        Args:
            source: A path, a URL, bytes, a file object, a PIL image, anything with `as_bytes()` such as a LangChain
                Blob, or a sequence of these.
            task: What to read.
            pages: Such as "1-3,7,10-", counted from 1; None for all.
            together: All pages in one request and one reading, for fields and free prompts that span pages.
            password: Of an encrypted PDF.

        Yields:
            A reading for each page. A page that failed is a reading too: see `reading.outcome`.

        Raises:
            SourceError: The source cannot be opened. (One of a sequence becomes a failed reading instead.)
            AuthenticationError: The key, the account or the model's access: it would meet every page alike.
            OptionError: An argument cannot work.
        """
        opening = partial(open_pages, pages=pages, password=password, limits=self._limits)
        with closing(_in_turn(_jobs(source, task, opening, together=together))) as jobs:
            window: deque[Future[Reading[Any]]] = deque()
            stop = _Stop(self._calling.closing)
            try:
                for job in jobs:
                    window.append(self._begin(job, task, stop))
                    while window and (window[0].done() or len(window) >= self._most_pages):
                        yield window.popleft().result()
                while window:
                    yield window.popleft().result()
            finally:
                stop.read_closed = True

    @overload
    def aread(
        self,
        source: Source | Iterable[Source],
        *,
        pages: str | None = None,
        together: bool = False,
        password: str | None = None,
    ) -> AsyncIterator[Reading[Text]]: ...

    @overload
    def aread(
        self,
        source: Source | Iterable[Source],
        task: Task[R],
        *,
        pages: str | None = None,
        together: bool = False,
        password: str | None = None,
    ) -> AsyncIterator[Reading[R]]: ...

    async def aread(
        self,
        source: Source | Iterable[Source],
        task: Task[Any] = _TEXT,
        *,
        pages: str | None = None,
        together: bool = False,
        password: str | None = None,
    ) -> AsyncIterator[Reading[Any]]:
        """The same as `read`, on the running event loop; rendering and encoding happen in threads."""
        opening = partial(open_pages, pages=pages, password=password, limits=self._limits)
        jobs = _in_turn(_jobs(source, task, opening, together=together))
        window: deque[asyncio.Task[Reading[Any]]] = deque()
        stop = _Stop(self._calling.closing)

        def close_jobs() -> None:
            with suppress(ValueError):  # a thread is still opening a source; it is closed when that has ended
                jobs.close()

        try:
            while some := await _in_thread(_some, jobs, self._most_pages - len(window), on_cancel=close_jobs):
                for job in some:
                    window.append(asyncio.create_task(self._aread_job(job, task, stop)))
                while window and (window[0].done() or len(window) >= self._most_pages):
                    yield await _first(window)
            while window:
                yield await _first(window)
        finally:
            stop.read_closed = True
            await self._abandon(window)
            close_jobs()

    @property
    def _most_pages(self) -> int:
        """How many pages are worked on at a time."""
        return self._window + max(2, int(self._window * _AHEAD))

    async def _abandon(self, tasks: Iterable[asyncio.Task[Reading[Any]]]) -> None:
        """Let calls under way come to their end where their answers are remembered; otherwise end them now."""
        kept = [task for task in tasks if self._is_remembering and self._policies.is_calling(task)]
        for task in kept:
            self._abandoned.add(task)
            task.add_done_callback(self._forget)
        await _cancel([task for task in tasks if task not in kept])

    def _forget(self, task: asyncio.Task[Reading[Any]]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()  # asked for, or asyncio complains that nobody did

    def estimate(
        self,
        source: Source | Iterable[Source],
        task: Task[Any] = _TEXT,
        *,
        pages: str | None = None,
        password: str | None = None,
    ) -> Estimate:
        """What reading would cost, in pages, tokens and money, without sending anything.

        Takes the same arguments as `read`. Pages are measured, not rendered; a page that cannot be sent is named.

        Raises:
            SourceError: A single source cannot be opened.
            OptionError: An argument cannot work.
        """
        opening = partial(open_pages, pages=pages, password=password, limits=self._limits)
        opened = (
            page
            for job in _jobs(source, task, opening, together=False)
            for page in ((job.error,) if isinstance(job, _Unopened) else job)
        )
        return estimate(opened, self.question(task), region=self.region)

    def close(self) -> None:
        """Give up threads and connections: calls under way come to their end, and nothing more is sent."""
        self._calling.announce_close()
        close = getattr(self._endpoint, "close", None)
        if close is not None:
            close()
        self._close_threads()

    async def aclose(self) -> None:
        """The same, also for the running event loop's connections."""
        self._calling.announce_close()
        aclose = getattr(self._endpoint, "aclose", None)
        if aclose is not None:
            await aclose()
        loop = asyncio.get_running_loop()
        abandoned = [task for task in tuple(self._abandoned) if task.get_loop() is loop]
        if abandoned:
            _, waiting = await asyncio.wait(abandoned, timeout=_REMEMBERING_S)
            await _cancel(waiting)
        await asyncio.to_thread(self._close_threads)

    def _close_threads(self) -> None:
        # In this order: what was prepared ends in a reading, if only one that says that it was not sent.
        self._preparing.close()
        self._calling.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self.model!r}, region={self.region!r})"

    def __getstate__(self) -> object:
        raise TypeError("A QwenOCR holds a key and open connections and is not pickled: make one in each process.")

    def _begin(self, job: _Job | Exception, task: Task[R], stop: _Stop) -> Future[Reading[R]]:
        """A reading to come. One thread prepares the picture, then another makes the call and reads the answer."""
        reading: Future[Reading[R]] = Future()

        def prepare(pages: tuple[Page, ...]) -> None:
            with self._settling(pages, task, reading):
                dialogue = _Dialogue(converse(pages, self.question(task)), stop)
                dialogue.check(pages[0])
                step = dialogue.begin()
                if isinstance(step, Reading):
                    reading.set_result(step)
                else:
                    self._calling.submit(call, pages, dialogue, step)

        def call(pages: tuple[Page, ...], dialogue: _Dialogue[R], request: OCRRequest[Any]) -> None:
            with self._settling(pages, task, reading):
                read = _carry_on(dialogue, request, self._endpoint)
                self._remember_way(read, dialogue)
                reading.set_result(read)

        if isinstance(job, Exception):
            reading.set_exception(job)
        elif isinstance(job, _Unopened):
            reading.set_result(_failed_source(job, task))
        else:
            self._preparing.submit(prepare, job)
        return reading

    def _remember_way(self, reading: Reading[Any], dialogue: _Dialogue[Any]) -> None:
        """Remember the bad answers on the way to a good reading, so that the next run takes it for nothing."""
        if reading.is_good and len(dialogue.exchanges) > 1 and isinstance(self._endpoint, Wrapper):
            self._endpoint.remember(dialogue.exchanges)

    @contextmanager
    def _settling(self, pages: tuple[Page, ...], task: Task[R], reading: Future[Reading[R]]) -> Iterator[None]:
        """Makes what is raised the reading's."""
        try:
            try:
                yield
            except QwenOCRError as error:
                reading.set_result(self._failed(pages, task, error))
        except BaseException as error:  # noqa: BLE001 - raised by whoever takes the reading
            reading.set_exception(error)

    async def _aread_job(self, job: _Job | Exception, task: Task[R], stop: _Stop) -> Reading[R]:
        if isinstance(job, Exception):
            raise job
        if isinstance(job, _Unopened):
            return _failed_source(job, task)
        try:
            dialogue = _Dialogue(converse(job, self.question(task)), stop)
            read = await _acarry_on(dialogue, self._endpoint, self._preparing, self._calling)
            if len(dialogue.exchanges) > 1:
                await asyncio.wrap_future(self._calling.submit(self._remember_way, read, dialogue))
        except QwenOCRError as error:
            return self._failed(job, task, error)
        return read

    def _failed(self, pages: tuple[Page, ...], task: Task[R], error: QwenOCRError) -> Reading[R]:
        """The reading of a page that failed; what would meet every page alike is raised."""
        if isinstance(error, AuthenticationError):
            raise error
        if isinstance(error, OptionError) and not isinstance(error, UnsupportedTaskError):
            raise error
        first = pages[0]
        return Reading(
            source=first.source,
            page_indexes=tuple(page.page_index for page in pages),
            task=task,
            outcome=next((o for kind, o in _OUTCOME_OF.items() if isinstance(error, kind)), "failed"),
            total_pages=first.total_pages,
            page_label=first.page_label,
            model=self.model,
            attempts=error.attempts if isinstance(error, EndpointError) else 0,
            request_id=error.request_id if isinstance(error, EndpointError) else None,
            warnings=(str(error),),
            # Its traceback would keep the request, and with it the picture, as long as the reading.
            error=error.with_traceback(None),
            origin=self._origin,
        )


_OUTCOME_OF: Mapping[type[QwenOCRError], Outcome] = {ContentRefusedError: "refused", BudgetError: "skipped"}
"""What else a page is that has no answer; anything else has failed."""

Opening: TypeAlias = Callable[[Any], Iterator[Page]]


def _jobs(source: Source | Iterable[Source], task: Task[R], opening: Opening, *, together: bool) -> Generator[_Job]:
    """One job for each reading to come, opened as late as possible."""
    if not isinstance(task, Task):
        raise OptionError(f"task is a task such as TextRecognition(), not {task!r}.")
    if together and not task.spans_pages:
        raise OptionError(
            f"{type(task).__name__} reads one page at a time: leave together out, or ask for fields or with a "
            "free prompt."
        )
    several = several_sources(source)
    if together:
        pages = tuple(page for one in (several if several is not None else (source,)) for page in opening(one))
        if pages:
            yield pages
    elif several is not None:
        for one in several:
            yield from _tolerant(one, opening)
    else:
        yield from ((page,) for page in opening(source))


def _tolerant(source: Source, opening: Opening) -> Iterator[_Job]:
    """The pages of one of several sources; that it does not open, or breaks off, is a job too."""
    try:
        yield from ((page,) for page in opening(source))
    except SourceError as error:
        yield _Unopened(error)


def _in_turn(jobs: Generator[_Job]) -> Generator[_Job | Exception]:
    """The jobs, then what broke them off: it is raised when the pages before it are read."""
    try:
        yield from jobs
    except Exception as error:  # noqa: BLE001 - anybody's iterable may be the source
        yield error


def _some(jobs: Iterator[T], most: int) -> list[T]:
    """The next jobs, as many as come within a moment, up to *most*; none at the end."""
    began_s, some = time.perf_counter(), []
    for job in jobs:
        some.append(job)
        if len(some) >= most or time.perf_counter() - began_s > _MOMENT_S:
            break
    return some


class _Dialogue(Generic[R]):
    """A conversation about a page while it is held: what was said in it, and what comes next."""

    def __init__(self, conversation: Conversation[R], stop: _Stop) -> None:
        self._conversation = conversation
        self._stop = stop
        self.exchanges: list[tuple[OCRRequest[Any], Completion]] = []
        """What was asked, and what was answered."""

    def begin(self) -> OCRRequest[Any] | Reading[R]:
        """The first request; the reading where none is needed."""
        return self._next(partial(next, self._conversation))

    def check(self, page: object) -> None:
        """Do no more for a page that nobody waits for any more.

        Raises:
            EndpointError: The read was closed, or its reader.
        """
        if self._stop:
            raise not_sent(page)

    def answer(self, request: OCRRequest[Any], completion: Completion) -> OCRRequest[Any] | Reading[R]:
        """What follows an answer: the next request, or the reading at the end."""
        self.exchanges.append((request, completion))
        return self._next(partial(self._conversation.send, completion))

    def fail(self, error: QwenOCRError) -> OCRRequest[Any] | Reading[R]:
        """The same where no answer came."""
        return self._next(partial(self._conversation.throw, error))

    @staticmethod
    def _next(advance: Callable[[], OCRRequest[Any]]) -> OCRRequest[Any] | Reading[R]:
        try:
            return advance()
        except StopIteration as end:
            return cast("Reading[R]", end.value)


def _carry_on(dialogue: _Dialogue[R], request: OCRRequest[Any], endpoint: Endpoint) -> Reading[R]:
    """Carry requests and completions between a page and an endpoint until there is a reading."""
    step: OCRRequest[Any] | Reading[R] = request
    while not isinstance(step, Reading):
        try:
            dialogue.check(step.page)
            advance = partial(dialogue.answer, step, endpoint.complete(step))
        except (EndpointError, BudgetError) as error:
            advance = partial(dialogue.fail, error)
        step = advance()
    return step


async def _acarry_on(dialogue: _Dialogue[R], endpoint: Endpoint, preparing: _Pool, calling: _Pool) -> Reading[R]:
    """The same with calls made on the event loop, and what precedes and follows them in threads of these pools."""
    step = await asyncio.wrap_future(preparing.submit(dialogue.begin))
    while not isinstance(step, Reading):
        try:
            dialogue.check(step.page)
            advance = partial(dialogue.answer, step, await endpoint.acomplete(step))
        except (EndpointError, BudgetError) as error:
            advance = partial(dialogue.fail, error)
        # Not in a thread that prepares: reading an answer would wait behind the pictures of all pages to come.
        step = await asyncio.wrap_future(calling.submit(advance))
    return step


async def _first(window: deque[asyncio.Task[T]]) -> T:
    """Take the first result. Who is cancelled while waiting for it leaves its task in the window."""
    if not window[0].done():
        await asyncio.wait([window[0]])
    return window.popleft().result()


async def _in_thread(work: Callable[..., T], *arguments: Any, on_cancel: Callable[[], None]) -> T:
    """What *work* gives, in a thread. Who is cancelled meanwhile does not wait for it; *on_cancel* then follows it."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *arguments))

    def follow(done: asyncio.Task[T]) -> None:
        if not done.cancelled():
            done.exception()  # asked for, or asyncio complains that nobody did
        on_cancel()

    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        running.add_done_callback(follow)
        raise


async def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """End tasks now; returns when they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def several_sources(source: Source | Iterable[Source]) -> Iterable[Source] | None:
    """The sources of a sequence; None for one by itself, such as bytes, an array, a file object or a Blob."""
    if isinstance(source, str | bytes | bytearray | memoryview | os.PathLike):
        return None
    if any(hasattr(source, name) for name in ("read", "as_bytes", "__array_interface__")):
        return None
    return source if isinstance(source, Iterable) else None


def _failed_source(unopened: _Unopened, task: Task[R]) -> Reading[R]:
    error = unopened.error
    return Reading(
        source=error.source or "",
        page_indexes=(error.page_index or 0,),
        task=task,
        outcome="failed",
        warnings=(str(error),),
        error=error,
    )


class _Pool:
    """Worker threads, started on first use and again after `close`."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        self.closing = threading.Event()
        """Set once the threads that there are now are to be given up."""

    def submit(self, work: Callable[..., T], *arguments: Any) -> Future[T]:
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self._workers, thread_name_prefix="qwen-ocr")
            return self._executor.submit(work, *arguments)

    def announce_close(self) -> None:
        """Let those who watch `closing` know; the threads go on until `close`."""
        with self._lock:
            closing, self.closing = self.closing, threading.Event()
        closing.set()

    def close(self) -> None:
        self.announce_close()
        with self._lock:
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown()


def _api_key(given: str | SecretStr | None) -> SecretStr:
    key = given.get_secret_value() if isinstance(given, SecretStr) else given
    key = key or os.environ.get("DASHSCOPE_API_KEY")
    if not key:
        raise AuthenticationError(
            "There is no API key. Set DASHSCOPE_API_KEY, or pass api_key=. To read without a key, use QwenOCR.local()."
        )
    return SecretStr(key)


def _at_least(name: str, value: int, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise OptionError(f"{name} is a whole number of at least {least}, not {value!r}.")
    return value


def _frame(given: CoordinateFrame | str | None) -> CoordinateFrame | None:
    if given is None:
        return None
    try:
        return CoordinateFrame(given)
    except ValueError:
        raise OptionError(f'coordinate_frame is "thousandths" or "pixels", not {given!r}.') from None


def _choice(name: str, given: C, choices: object) -> C:
    if given not in get_args(choices):
        raise OptionError(f"{name} is one of {', '.join(get_args(choices))}; not {given!r}.")
    return given


def _budget(profile: ModelProfile, min_pixels: int | None, max_pixels: int | None) -> PixelBudget:
    """The pixel budget of a model, narrowed or widened by the caller.

    Raises:
        OptionError: It goes beyond what the model takes.
    """
    budget = PixelBudget(
        profile.factor,
        _at_least("min_pixels", min_pixels, 1)
        if min_pixels is not None
        else min(profile.min_pixels, max_pixels or profile.min_pixels),
        _at_least("max_pixels", max_pixels, 1) if max_pixels is not None else profile.max_pixels,
    )
    if budget.max_pixels > profile.max_pixels_limit:
        raise OptionError(
            f"max_pixels={budget.max_pixels} is beyond what {profile.name} takes ({profile.max_pixels_limit})."
        )
    return budget
