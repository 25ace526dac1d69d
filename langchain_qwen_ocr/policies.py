"""How often, how fast and at what price an endpoint is called: an endpoint in, an endpoint out.

The order from outside to inside is cache, budget, retries, limits, so that a hit costs nothing, every repetition
passes the limits anew, and the limits learn of each call that was throttled:

    CachedEndpoint(BudgetedEndpoint(RetryingEndpoint(LimitedEndpoint(endpoint)), budget), store)

Each wrapper serves any number of threads and event loops at once. What is decided (how long to wait, whether to go
on) is decided in pure functions; waiting goes through a `Clock`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
import random
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Protocol, TypeVar, cast, runtime_checkable

from langchain_qwen_ocr.cache import (
    CompletionStore,
    Remembered,
    fingerprint,
    open_store,
    read_entry,
    write_completion,
    write_failure,
)
from langchain_qwen_ocr.endpoints.endpoint import Endpoint
from langchain_qwen_ocr.errors import BudgetError, EndpointError, OptionError, RateLimitError
from langchain_qwen_ocr.exchange import Completion, OCRRequest, Outcome, interpret
from langchain_qwen_ocr.models import RateLimit, find_model
from langchain_qwen_ocr.tasks.results import Result
from langchain_qwen_ocr.usage import cost_of, image_tokens, price_of

_T = TypeVar("_T")

REMEMBERED_OUTCOMES: Final[frozenset[Outcome]] = frozenset({"ok", "blank", "refused"})
"""Outcomes that another call would not better: these answers are kept, and only these."""


def with_policies(
    endpoint: Endpoint,
    *,
    max_concurrency: int = 8,
    max_retries: int = 4,
    rate_limit: RateLimit | None = None,
    rate_limiter: object = None,
    cache: object = None,
    budget: Budget | None = None,
    region: str = "beijing",
    clock: Clock | None = None,
) -> Wrapper:
    """*endpoint* within its limits and budget, repeated where that helps, its answers remembered.

    Args:
        endpoint: What answers.
        max_concurrency: How many calls may be under way at once.
        max_retries: How often a call that may succeed later is repeated.
        rate_limit: How fast the account may call; None for as fast as it goes.
        rate_limiter: Anything with `acquire` and `aacquire`, in place of the built-in limiter.
        cache: A path, a store with `mget` and `mset`, or a `CompletionStore`; None for no cache.
        budget: Caps on pages, tokens and money; what the cache knows is free.
        region: Where calls are paid.
        clock: What waiting goes by; None for the clock on the wall.

    Raises:
        OptionError: An argument cannot work.
    """
    clock = clock or _SYSTEM_CLOCK
    limiter = rate_limiter if rate_limiter is not None else rate_limit and AdaptiveLimiter(rate_limit, clock=clock)
    wrapped: Wrapper = LimitedEndpoint(endpoint, limiter=limiter, max_concurrency=max_concurrency)
    wrapped = RetryingEndpoint(wrapped, RetryPolicy(max_retries=max_retries), clock=clock)
    if budget is not None:
        wrapped = BudgetedEndpoint(wrapped, budget, region=region)
    return wrapped if cache is None else CachedEndpoint(wrapped, open_store(cache))


class Clock(Protocol):
    """What tells the time, lets it pass, and rolls the dice."""

    def now_s(self) -> float:
        """Seconds from any fixed moment."""
        ...

    def jitter(self) -> float:
        """A number from 0 to 1, by chance."""
        ...

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """Let a thread wait; False when *stop* was set meanwhile."""
        ...

    async def await_(self, seconds: float) -> None:
        """Let a task wait."""
        ...


class SystemClock:
    """The clock on the wall."""

    def now_s(self) -> float:
        """Seconds from some fixed moment."""
        return time.monotonic()

    def jitter(self) -> float:
        """A number from 0 to 1, by chance."""
        return random.random()  # noqa: S311 - spreads calls, guards nothing

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """Let a thread wait; False when *stop* was set meanwhile."""
        return not stop.wait(seconds)

    async def await_(self, seconds: float) -> None:
        """Let a task wait."""
        await asyncio.sleep(seconds)


_SYSTEM_CLOCK: Final = SystemClock()


class Wrapper:
    """An endpoint round another one, which passes everything on; closing it closes what is inside."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def complete(self, request: OCRRequest[Result]) -> Completion:
        """The answer to one request."""
        return self._endpoint.complete(request)

    async def acomplete(self, request: OCRRequest[Result]) -> Completion:
        """The same without blocking the running event loop."""
        return await self._endpoint.acomplete(request)

    def close(self) -> None:
        """Give up what the endpoint inside holds."""
        close = getattr(self._endpoint, "close", None)
        if close is not None:
            close()

    async def aclose(self) -> None:
        """The same, also for what belongs to the running event loop."""
        aclose = getattr(self._endpoint, "aclose", None)
        if aclose is not None:
            await aclose()
        else:
            self.close()

    def check_budget(self, page: object, *, model: str) -> None:
        """Refuse a page before it is rendered, when it is certain that it would not be sent.

        Raises:
            BudgetError: Not even the smallest page would be.
        """
        if isinstance(self._endpoint, Wrapper):
            self._endpoint.check_budget(page, model=model)

    def is_calling(self, task: asyncio.Task[Any]) -> bool:
        """Whether a call of that task is under way; not while it waits for its turn, or to try again."""
        return isinstance(self._endpoint, Wrapper) and self._endpoint.is_calling(task)

    def remember(self, exchanges: Iterable[tuple[OCRRequest[Result], Completion]]) -> None:
        """Keep the bad answers of a page that was read well in the end, where there is a cache."""
        if isinstance(self._endpoint, Wrapper):
            self._endpoint.remember(exchanges)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._endpoint!r})"


# Retries


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and for how long a call is repeated.

    Raises:
        OptionError: A number is below 0.
    """

    max_retries: int = 4
    """How many calls may follow the first one."""
    first_wait_s: float = 1.0
    """The longest wait before the first repetition; doubled for each further one."""
    max_wait_s: float = 60.0
    """The longest wait that is chosen here: the service's limits lift within about a minute."""
    max_retry_after_s: float = 120.0
    """The longest wait that the service may ask for."""
    max_total_s: float = 900.0
    """How long the calls and the waits for one page may take together."""

    def __post_init__(self) -> None:
        """Refuse numbers below 0."""
        for name in ("max_retries", "first_wait_s", "max_wait_s", "max_retry_after_s", "max_total_s"):
            if not getattr(self, name) >= 0:
                raise OptionError(f"{name} is at least 0, not {getattr(self, name)!r}.")


def next_wait_s(
    error: EndpointError,
    *,
    repeats: int,
    elapsed_s: float,
    jitter: float,
    policy: RetryPolicy,
    costly_repeats: int = 0,
) -> float | None:
    """How long to wait before the call is repeated, in seconds; None when it is not to be.

    A wait that the service asks for is kept, and a tenth more at most, so that not all pages come back at the same
    moment; any other wait is a random part of a span that doubles each time.

    Args:
        error: What the last call met.
        repeats: How many repetitions there were.
        elapsed_s: Since the first call began.
        jitter: From 0 to 1, by chance.
        policy: How often and for how long.
        costly_repeats: How many of the repetitions followed an error that is worth only so many (`max_repeats`).

    >>> throttled = RateLimitError("too fast", retry_after_s=2.0)
    >>> next_wait_s(throttled, repeats=0, elapsed_s=0.5, jitter=0.5, policy=RetryPolicy())
    2.1
    """
    if not error.retryable or repeats >= policy.max_retries:
        return None
    if error.max_repeats is not None and costly_repeats >= error.max_repeats:
        return None
    if error.retry_after_s is not None:
        wait_s = min(error.retry_after_s, policy.max_retry_after_s) * (1 + 0.1 * jitter)
    else:
        wait_s = min(policy.max_wait_s, policy.first_wait_s * 2.0 ** min(repeats, 64)) * jitter
    return wait_s if elapsed_s + wait_s <= policy.max_total_s else None


class _Attempts:
    """The calls made for one request, and what to do after each that failed."""

    def __init__(self, policy: RetryPolicy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self._began_s = clock.now_s()
        self._failed = 0
        self._costly = 0
        # An endpoint inside may repeat calls too; its errors and completions say how often.
        self._calls = 0

    def wait_after(self, error: EndpointError) -> float:
        """How long to wait before the next call.

        Raises:
            EndpointError: The given one, when there is to be none.
        """
        wait_s = next_wait_s(
            error,
            repeats=self._failed,
            costly_repeats=self._costly,
            elapsed_s=self._clock.now_s() - self._began_s,
            jitter=self._clock.jitter(),
            policy=self._policy,
        )
        self._failed += 1
        self._costly += error.max_repeats is not None
        self._calls += error.attempts
        error.attempts = self._calls
        if wait_s is None:
            raise error
        return wait_s

    def record(self, completion: Completion) -> Completion:
        """The completion, with all calls counted."""
        return dataclasses.replace(completion, attempts=completion.attempts + self._calls)


class RetryingEndpoint(Wrapper):
    """Repeats calls that failed and may succeed later: throttling, trouble of the service, broken connections.

    Which errors these are is `EndpointError.retryable`. A call that timed out is repeated once, since a long answer
    is paid for each time. `completion.attempts` and `error.attempts` say how many calls there were.

    Args:
        endpoint: What is called.
        policy: How often and for how long.
        clock: What waiting goes by.
    """

    def __init__(self, endpoint: Endpoint, policy: RetryPolicy | None = None, *, clock: Clock = _SYSTEM_CLOCK) -> None:
        super().__init__(endpoint)
        self._policy = policy or RetryPolicy()
        self._clock = clock
        self._closing = threading.Event()

    def complete(self, request: OCRRequest[Result]) -> Completion:
        """The answer to one request, after as many calls as it takes.

        Raises:
            EndpointError: Of the last call.
        """
        attempts, closing = _Attempts(self._policy, self._clock), self._closing
        while True:
            try:
                return attempts.record(self._endpoint.complete(request))
            except EndpointError as error:
                if not self._clock.wait(attempts.wait_after(error), closing):
                    raise

    async def acomplete(self, request: OCRRequest[Result]) -> Completion:
        """The same without blocking the running event loop."""
        attempts, closing = _Attempts(self._policy, self._clock), self._closing
        while True:
            try:
                return attempts.record(await self._endpoint.acomplete(request))
            except EndpointError as error:
                await self._clock.await_(attempts.wait_after(error))
                if closing.is_set():
                    raise

    def close(self) -> None:
        """Give up: who waits for the next call raises what the last one met."""
        self._end_waits()
        super().close()

    async def aclose(self) -> None:
        """The same for the running event loop."""
        self._end_waits()
        await super().aclose()

    def _end_waits(self) -> None:
        closing, self._closing = self._closing, threading.Event()
        closing.set()


# Limits


@runtime_checkable
class RateLimiter(Protocol):
    """What LangChain's `BaseRateLimiter` offers."""

    def acquire(self, *, blocking: bool = True) -> bool:
        """Wait until a call may be made."""
        ...

    async def aacquire(self, *, blocking: bool = True) -> bool:
        """The same for tasks."""
        ...


class _Bucket:
    """An account that fills at a rate: what is taken beyond its balance has to be waited for."""

    def __init__(self, per_minute: float, now_s: float) -> None:
        self._per_second = per_minute / 60
        self._capacity = float(per_minute)
        self._balance = self._capacity
        self._then_s = now_s

    def refill(self, now_s: float, pace: float) -> None:
        """Add what came in since the last time, at a part of the full rate."""
        income = max(0.0, now_s - self._then_s) * self._per_second * pace
        self._balance = min(self._capacity, self._balance + income)
        self._then_s = max(self._then_s, now_s)

    def take(self, amount: float) -> None:
        """Take *amount*, on credit if need be; a negative one gives back."""
        self._balance = min(self._capacity, self._balance - amount)

    def empty(self) -> None:
        """Forget what was saved up."""
        self._balance = min(self._balance, 0.0)

    def debt_s(self, pace: float) -> float:
        """How long until the balance is back at 0, in seconds."""
        return max(0.0, -self._balance / (self._per_second * pace))


class AdaptiveLimiter:
    """Keeps calls within requests and tokens a minute, slower after throttling, climbing back within a minute.

    A minute's worth may be spent at once; then calls come at the pace of the limit. When the service throttles, the
    pace is halved (once a second at most: calls that were under way together count once) and what was saved up is
    forgotten. One limiter serves any number of threads and event loops: it hands out turns in the order they are
    asked for.

    Args:
        rate_limit: Of the account and model.
        clock: What waiting goes by.
    """

    SLOWEST: Final = 1 / 64
    """The least part of the full pace."""
    CLIMB_S: Final = 60.0
    """How long it takes from the slowest pace back to the full one, in seconds."""

    def __init__(self, rate_limit: RateLimit, *, clock: Clock = _SYSTEM_CLOCK) -> None:
        if rate_limit.requests_per_minute <= 0 or rate_limit.tokens_per_minute <= 0:
            raise OptionError("A rate limit is more than 0 requests and more than 0 tokens a minute.")
        self._clock = clock
        self._lock = threading.Lock()
        now_s = clock.now_s()
        self._requests = _Bucket(rate_limit.requests_per_minute, now_s)
        self._tokens = _Bucket(rate_limit.tokens_per_minute, now_s)
        self._pace = 1.0
        self._pace_set_s = now_s
        self._throttled_s = float("-inf")
        self._last_start_s = float("-inf")
        self._least_gap_s = 60 / rate_limit.requests_per_minute

    @property
    def pace(self) -> float:
        """The part of the full rate that calls are made at now: 1 unless the service throttled."""
        with self._lock:
            return self._refill()

    def reserve(self, tokens: int = 0) -> float:
        """Take the next turn; the answer is how long to wait for it, in seconds."""
        with self._lock:
            return self._reserve(tokens)

    def _reserve(self, tokens: int) -> float:
        pace = self._refill()
        self._requests.take(1)
        self._tokens.take(tokens)
        now_s = self._clock.now_s()
        start_s = now_s + self._requests.debt_s(pace)
        if self._last_start_s > now_s:
            # Turns given while the pace was lower come late; those given since must not fall among them.
            start_s = max(start_s, self._last_start_s + self._least_gap_s)
        self._last_start_s = start_s
        return max(start_s - now_s, self._tokens.debt_s(pace))

    def settle(self, tokens: int) -> None:
        """Count tokens that were used beyond what was reserved; give back when negative."""
        with self._lock:
            self._refill()
            self._tokens.take(tokens)

    def throttled(self) -> None:
        """Slow down: the service says that calls come too fast."""
        with self._lock:
            pace = self._refill()
            now_s = self._clock.now_s()
            if now_s - self._throttled_s < 1:
                return
            self._throttled_s = now_s
            self._pace, self._pace_set_s = max(self.SLOWEST, pace / 2), now_s
            self._requests.empty()
            self._tokens.empty()

    def acquire(self, *, blocking: bool = True, tokens: int = 0, stop: threading.Event | None = None) -> bool:
        """Wait until a call may be made; False when it may not.

        Args:
            blocking: False to ask whether it may be made now.
            tokens: What it is expected to use.
            stop: Ends the wait when it is set.
        """
        if not blocking:
            return self._try(tokens)
        wait_s = self.reserve(tokens)
        return wait_s == 0 or self._clock.wait(wait_s, stop or threading.Event())

    async def aacquire(self, *, blocking: bool = True, tokens: int = 0) -> bool:
        """The same for tasks."""
        if not blocking:
            return self._try(tokens)
        wait_s = self.reserve(tokens)
        if wait_s > 0:
            await self._clock.await_(wait_s)
        return True

    def _try(self, tokens: int) -> bool:
        with self._lock:
            last_start_s = self._last_start_s
            wait_s = self._reserve(tokens)
            if wait_s > 0:
                self._requests.take(-1)
                self._tokens.take(-tokens)
                self._last_start_s = last_start_s
        return wait_s == 0

    def _refill(self) -> float:
        now_s = self._clock.now_s()
        climbed = max(0.0, now_s - self._pace_set_s) / self.CLIMB_S
        pace = min(1.0, self._pace + climbed)
        self._requests.refill(now_s, pace)
        self._tokens.refill(now_s, pace)
        return pace


class _Slots:
    """A number of places, taken by threads and by tasks of any event loop, given in the order they are asked for."""

    def __init__(self, places: int | None) -> None:
        self._free = float("inf") if places is None else places
        self._waiting: deque[Future[None]] = deque()
        self._lock = threading.Lock()

    def take(self) -> Future[None]:
        """A place to come: done when it is there."""
        place: Future[None] = Future()
        with self._lock:
            if self._free:
                self._free -= 1
                place.set_result(None)
            else:
                self._waiting.append(place)
        return place

    def give_back(self, place: Future[None]) -> None:
        """Let the next one have the place; one that was not there yet is not waited for any longer."""
        if place.cancel():
            return
        with self._lock:
            while self._waiting:
                following = self._waiting.popleft()
                if following.set_running_or_notify_cancel():
                    following.set_result(None)
                    return
            self._free += 1


class _OtherLimiter:
    """A limiter from elsewhere, or none, in the shape of the built-in one: it only learns that a call comes."""

    def __init__(self, limiter: RateLimiter | None) -> None:
        self._limiter = limiter

    def acquire(self, *, tokens: int, stop: threading.Event) -> bool:  # noqa: ARG002 - same shape
        return self._limiter is None or self._limiter.acquire(blocking=True)

    async def aacquire(self, *, tokens: int) -> bool:  # noqa: ARG002 - same shape
        return self._limiter is None or await self._limiter.aacquire(blocking=True)

    def settle(self, tokens: int) -> None:
        """Nothing to settle."""

    def throttled(self) -> None:
        """Nothing to slow down."""


class _CallsUnderWay:
    """The calls made between an opening and a closing."""

    def __init__(self) -> None:
        self.closing = threading.Event()
        self._count = 0
        self._changed = threading.Condition()

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Count a call as long as it lasts."""
        with self._changed:
            self._count += 1
        try:
            yield
        finally:
            with self._changed:
                self._count -= 1
                self._changed.notify_all()

    def end(self) -> None:
        """Let none begin that waits for its turn, and wait for those that have begun."""
        self.closing.set()
        with self._changed:
            self._changed.wait_for(lambda: self._count == 0)


class LimitedEndpoint(Wrapper):
    """Calls an endpoint no faster and no more at once than allowed, whoever calls.

    Args:
        endpoint: What is called.
        limiter: An `AdaptiveLimiter`, or anything with `acquire` and `aacquire` such as LangChain's
            `BaseRateLimiter`; None for as fast as it goes.
        max_concurrency: How many calls may be under way at once, over all threads and event loops; None for any
            number.

    Raises:
        OptionError: An argument cannot work.
    """

    def __init__(self, endpoint: Endpoint, *, limiter: object = None, max_concurrency: int | None = None) -> None:
        super().__init__(endpoint)
        if limiter is not None and not isinstance(limiter, RateLimiter):
            raise OptionError(f"A rate limiter has acquire and aacquire; {type(limiter).__name__} has not.")
        if max_concurrency is not None and max_concurrency < 1:
            raise OptionError(f"max_concurrency is at least 1, not {max_concurrency}.")
        self._limiter = limiter if isinstance(limiter, AdaptiveLimiter) else _OtherLimiter(limiter)
        self._slots = _Slots(max_concurrency)
        self._under_way = _CallsUnderWay()
        self._tasks: dict[asyncio.Task[Any], asyncio.Future[None]] = {}
        """The tasks with a call under way, and what is done when it has ended."""

    def complete(self, request: OCRRequest[Result]) -> Completion:
        """The answer to one request, when its turn has come.

        Raises:
            EndpointError: No answer came, or the endpoint was closed while the request waited.
        """
        tokens, under_way = _expected_tokens(request), self._under_way
        place = self._slots.take()
        try:
            place.result()
            if not self._limiter.acquire(tokens=tokens, stop=under_way.closing):
                raise not_sent(request.page)
            with under_way.one_more(), self._observed(tokens) as record:
                if under_way.closing.is_set():
                    raise not_sent(request.page)
                return record(self._endpoint.complete(request))
        finally:
            self._slots.give_back(place)

    async def acomplete(self, request: OCRRequest[Result]) -> Completion:
        """The same without blocking the running event loop."""
        tokens, under_way = _expected_tokens(request), self._under_way
        place = self._slots.take()
        try:
            if not place.done():
                await asyncio.wrap_future(place)
            if not await self._limiter.aacquire(tokens=tokens):
                raise not_sent(request.page)
            with self._in_this_task(), self._observed(tokens) as record:
                if under_way.closing.is_set():
                    raise not_sent(request.page)
                return record(await self._endpoint.acomplete(request))
        finally:
            self._slots.give_back(place)

    def close(self) -> None:
        """Give up: requests that wait for their turn are not sent; calls under way come to their end.

        They are paid for, and closing the connection under them would lose their answers.
        """
        try:
            self._under_way.end()
            super().close()
        finally:
            # Not before: a call that begins meanwhile would have its connection closed, and be sent again.
            self._under_way = _CallsUnderWay()

    async def aclose(self) -> None:
        """The same without blocking the running event loop, also for its own calls and connections.

        Other event loops are not waited for: they may rest, or be gone.
        """
        loop = asyncio.get_running_loop()
        try:
            self._under_way.closing.set()
            own = [ended for task, ended in tuple(self._tasks.items()) if task.get_loop() is loop]
            if own:
                await asyncio.wait(own)
            await asyncio.to_thread(self._under_way.end)
            await super().aclose()
        finally:
            self._under_way = _CallsUnderWay()

    def is_calling(self, task: asyncio.Task[Any]) -> bool:
        """Whether a call of that task is under way."""
        return task in self._tasks

    @contextmanager
    def _in_this_task(self) -> Iterator[None]:
        """Mark a call as long as it lasts."""
        task = asyncio.current_task()
        assert task is not None, "a coroutine of an event loop runs in a task"
        self._tasks[task] = ended = task.get_loop().create_future()
        try:
            yield
        finally:
            del self._tasks[task]
            if not task.get_loop().is_closed():
                ended.set_result(None)

    @contextmanager
    def _observed(self, tokens: int) -> Iterator[Callable[[Completion], Completion]]:
        """Tells the limiter how a call went."""

        def record(completion: Completion) -> Completion:
            if completion.usage.calls:
                self._limiter.settle(completion.usage.total_tokens - tokens)
            return completion

        try:
            yield record
        except RateLimitError:
            self._limiter.throttled()
            raise


def not_sent(page: object) -> EndpointError:
    """The error of a page that nobody waits for any more; it has no attempts."""
    error = EndpointError(f"{page}: closed while it waited for its turn; it was not sent.")
    error.attempts = 0
    return error


_EXPECTED_TEXT_TOKENS: Final = 256
"""What a prompt and a short answer come to; the true number is settled when it is known."""


def _expected_tokens(request: OCRRequest[Result]) -> int:
    profile = find_model(request.model)
    pictures = (image_tokens(image.size_px, profile, request.budget) for image in request.images)
    return sum(pictures) + _EXPECTED_TEXT_TOKENS


# Budgets


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Caps on what may be spent; None for no cap.

    Raises:
        OptionError: A cap is no number, or below 0.
    """

    max_pages: int | None = None
    """How many pages may be sent."""
    max_tokens: int | None = None
    """How many tokens, prompt and completion together, may be used."""
    max_cost: Decimal | None = None
    """How much may be paid, in the currency of the model and region."""

    def __post_init__(self) -> None:
        """Refuse what is no number from 0 on."""
        for cap in dataclasses.fields(self):
            value = getattr(self, cap.name)
            if value is None:
                continue
            if not isinstance(value, int | float | Decimal) or not math.isfinite(value) or value < 0:
                raise OptionError(f"{cap.name} is a number of at least 0, not {value!r}.")


class BudgetedEndpoint(Wrapper):
    """Sends nothing more once a cap would be passed; what is under way is finished.

    Before a call its pictures and prompt are set aside at their expected price, so that many calls at once do not
    pass a cap together; afterwards what was really used counts. How long an answer gets is not known before: each
    of the calls under way may pass a cap by that much.

    Args:
        endpoint: What is called.
        budget: The caps.
        region: Where calls are paid.
    """

    def __init__(self, endpoint: Endpoint, budget: Budget, *, region: str = "beijing") -> None:
        super().__init__(endpoint)
        self._budget = budget
        self._region = region
        self._lock = threading.Lock()
        self._spent = _Tally()

    def complete(self, request: OCRRequest[Result]) -> Completion:
        """The answer to one request.

        Raises:
            BudgetError: A cap would be passed; nothing was sent.
            EndpointError: No answer came.
            OptionError: There is a cap on money, and no price for the model.
        """
        with self._set_aside(request) as record:
            return record(self._endpoint.complete(request))

    async def acomplete(self, request: OCRRequest[Result]) -> Completion:
        """The same without blocking the running event loop."""
        with self._set_aside(request) as record:
            return record(await self._endpoint.acomplete(request))

    def check_budget(self, page: object, *, model: str) -> None:
        """Refuse a page before it is rendered, when not even one without a picture would be sent."""
        price = price_of(model, self._region)
        cost = Decimal(0) if price is None else cost_of(_EXPECTED_TEXT_TOKENS, 0, price)
        with self._lock:
            self._refuse(_Tally(1, _EXPECTED_TEXT_TOKENS, cost), page)

    def _refuse(self, expected: _Tally, page: object) -> None:
        passed = (self._spent + expected).first_passed(self._budget)
        if passed is not None:
            raise BudgetError(f"{page}: not sent, since {passed} would be passed. Raise it and read what is missing.")

    @contextmanager
    def _set_aside(self, request: OCRRequest[Result]) -> Iterator[Callable[[Completion], Completion]]:
        expected, used = self._expected(request), _Tally()
        with self._lock:
            self._refuse(expected, request.page)
            self._spent += expected

        def record(completion: Completion) -> Completion:
            nonlocal used
            usage = completion.usage
            used = _Tally(len(request.images), usage.total_tokens, usage.cost or Decimal(0))
            return completion

        try:
            yield record
        finally:
            with self._lock:
                self._spent += used - expected

    def _expected(self, request: OCRRequest[Result]) -> _Tally:
        tokens = _expected_tokens(request)
        price = price_of(request.model, self._region)
        if price is None and self._budget.max_cost is not None:
            raise OptionError(
                f"No price of {request.model} in region {self._region!r} is known: cap tokens instead of money."
            )
        cost = Decimal(0) if price is None else cost_of(tokens, 0, price)
        return _Tally(len(request.images), tokens, cost)


@dataclass(frozen=True, slots=True)
class _Tally:
    """What was spent, or is expected to be."""

    pages: int = 0
    tokens: int = 0
    cost: Decimal = Decimal(0)

    def __add__(self, other: _Tally) -> _Tally:
        return _Tally(self.pages + other.pages, self.tokens + other.tokens, self.cost + other.cost)

    def __sub__(self, other: _Tally) -> _Tally:
        return _Tally(self.pages - other.pages, self.tokens - other.tokens, self.cost - other.cost)

    def first_passed(self, budget: Budget) -> str | None:
        """The cap that this is beyond, by its name and value."""
        spent = {"max_pages": self.pages, "max_tokens": self.tokens, "max_cost": self.cost}
        for name, amount in spent.items():
            cap = getattr(budget, name)
            if cap is not None and amount > cap:
                return f"{name}={cap}"
        return None


# Cache


class CachedEndpoint(Wrapper):
    """Remembers answers, and refusals that would come again, so that nothing is paid for twice.

    Kept are answers that another call would not better: read without fault, blank, or refused. A cut, looping or
    malformed answer is asked for again next time, unless its page was read well in another way. A hit has
    `usage.cached == 1`, no tokens, no cost, and `attempts == 0`. A store that fails costs a warning on the
    completion, never the answer.

    Args:
        endpoint: What answers what is not known yet.
        store: Where completions are kept.
        now_s: The time in seconds since 1970.
    """

    def __init__(self, endpoint: Endpoint, store: CompletionStore, *, now_s: Callable[[], float] = time.time) -> None:
        super().__init__(endpoint)
        self._store = store
        self._now_s = now_s
        is_empty: Callable[[], bool] | None = getattr(store, "is_empty", None)
        self._began_empty = is_empty is not None and is_empty()
        self._seen_pages: set[str] = set()

    def check_budget(self, page: object, *, model: str) -> None:
        """Refuse a page only where its answer cannot be known: what is known is free, cap or not.

        It may be known from an earlier run, when the store held anything at the beginning, or from this one, when the
        page was seen before. (A copy of a page under another name is found out by its pixels only.)
        """
        name = str(page)
        if self._began_empty and name not in self._seen_pages:
            self._seen_pages.add(name)
            super().check_budget(page, model=model)

    def complete(self, request: OCRRequest[Result]) -> Completion:
        """The answer to one request, from the store where it is known.

        Raises:
            EndpointError: No answer came, now or when it was last asked for.
        """
        key = fingerprint(request)
        entry, trouble = _tried(lambda: self._store.get(key))
        known = self._known(entry, request)
        if known is not None:
            return _recalled(known)
        try:
            completion = self._endpoint.complete(request)
        except EndpointError as error:
            self._keep(key, write_failure(error, request, now_s=self._now_s()))
            raise
        return _with_warning(completion, trouble or self._keep(key, _worth_keeping(completion, request)))

    async def acomplete(self, request: OCRRequest[Result]) -> Completion:
        """The same without blocking the running event loop."""
        key = fingerprint(request)
        entry, trouble = await _atried(self._aget(key))
        known = self._known(entry, request)
        if known is not None:
            return _recalled(known)
        try:
            completion = await self._endpoint.acomplete(request)
        except EndpointError as error:
            await self._akeep(key, write_failure(error, request, now_s=self._now_s()))
            raise
        return _with_warning(completion, trouble or await self._akeep(key, _worth_keeping(completion, request)))

    def remember(self, exchanges: Iterable[tuple[OCRRequest[Result], Completion]]) -> None:
        """Keep the bad answers of a page that was read well in the end: they lead to the good ones.

        Without them the next run would pay for the first, bad answer again. Where one request had several answers,
        the last one counts.
        """
        for key, exchange in {fingerprint(request): (request, completion) for request, completion in exchanges}.items():
            request, completion = exchange
            if not completion.usage.cached and _worth_keeping(completion, request) is None:
                self._keep(key, write_completion(completion))

    def _known(self, entry: bytes | None, request: OCRRequest[Result]) -> Remembered | None:
        return None if entry is None else read_entry(entry, request, now_s=self._now_s())

    def _keep(self, key: str, entry: bytes | None) -> str | None:
        """Keep an entry; the answer is what went wrong."""
        if entry is None:
            return None
        return _tried(lambda: self._store.put(key, entry))[1]

    async def _akeep(self, key: str, entry: bytes | None) -> str | None:
        if entry is None:
            return None
        aput = getattr(self._store, "aput", None)
        return (await _atried(aput(key, entry) if aput else asyncio.to_thread(self._store.put, key, entry)))[1]

    async def _aget(self, key: str) -> bytes | None:
        aget = getattr(self._store, "aget", None)
        entry = await (aget(key) if aget else asyncio.to_thread(self._store.get, key))
        return cast("bytes | None", entry)


def _recalled(known: Remembered) -> Completion:
    if known.error is not None:
        raise known.error
    assert known.completion is not None
    return known.completion


def _worth_keeping(completion: Completion, request: OCRRequest[Result]) -> bytes | None:
    outcome = interpret(completion, request).outcome
    return write_completion(completion) if outcome in REMEMBERED_OUTCOMES else None


def _with_warning(completion: Completion, trouble: str | None) -> Completion:
    if trouble is None:
        return completion
    return dataclasses.replace(completion, warnings=(*completion.warnings, trouble))


# A store may be anybody's, and so may its errors. An answer that is paid for is not lost to a full disk.


def _tried(use: Callable[[], _T]) -> tuple[_T | None, str | None]:
    """What using a store gave, and what went wrong."""
    try:
        return use(), None
    except Exception as error:  # noqa: BLE001 - it becomes a warning on the completion
        return None, _cache_trouble(error)


async def _atried(use: Awaitable[_T]) -> tuple[_T | None, str | None]:
    try:
        return await use, None
    except Exception as error:  # noqa: BLE001 - as above
        return None, _cache_trouble(error)


def _cache_trouble(error: Exception) -> str:
    return f"The cache failed ({type(error).__name__}: {error}); this answer may be paid for again."
