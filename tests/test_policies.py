"""Retries, limits and the cache round an endpoint: nobody waits, nothing is lost, nothing is paid for twice."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from langchain_core.rate_limiters import InMemoryRateLimiter

from langchain_qwen_ocr.cache import SQLiteStore, fingerprint
from langchain_qwen_ocr.endpoints.endpoint import Endpoint
from langchain_qwen_ocr.errors import (
    AuthenticationError,
    BudgetError,
    ContentRefusedError,
    EndpointError,
    OptionError,
    RateLimitError,
    RequestRejectedError,
    ServiceUnavailableError,
)
from langchain_qwen_ocr.exchange import Completion
from langchain_qwen_ocr.models import RateLimit
from langchain_qwen_ocr.policies import (
    AdaptiveLimiter,
    Budget,
    BudgetedEndpoint,
    CachedEndpoint,
    LimitedEndpoint,
    RetryingEndpoint,
    RetryPolicy,
    next_wait_s,
    with_policies,
)
from langchain_qwen_ocr.testing import (
    ManualClock,
    Reply,
    ScriptedTransport,
    Step,
    StrictService,
    completion_body,
    dropped,
    empty,
    error_body,
    flaky,
    late,
    looping,
    refused,
    server_error,
    throttled,
    timed_out,
    truncated,
)
from langchain_qwen_ocr.usage import Usage
from tests.wire import endpoint, request

POLICY = RetryPolicy(max_retries=4, first_wait_s=1.0, max_wait_s=60.0, max_retry_after_s=120.0, max_total_s=900.0)


def error(kind: type[EndpointError] = ServiceUnavailableError, **facts: Any) -> EndpointError:
    return kind("Page 1 of x.pdf: it failed.", **facts)


# How long to wait


@pytest.mark.parametrize(
    ("failed", "repeats", "jitter", "expected"),
    [
        (error(), 0, 1.0, 1.0),
        (error(), 1, 1.0, 2.0),
        (error(), 2, 1.0, 4.0),
        (error(), 3, 1.0, 8.0),
        (error(), 3, 0.25, 2.0),
        (error(), 3, 0.0, 0.0),
        (error(), 4, 1.0, None),
        (error(RateLimitError), 0, 1.0, 1.0),
        (error(RateLimitError, retry_after_s=7.0), 0, 0.0, 7.0),
        (error(RateLimitError, retry_after_s=7.0), 3, 1.0, 7.7),
        (error(RateLimitError, retry_after_s=3600.0), 0, 0.0, 120.0),
        (error(retry_after_s=0.0), 2, 1.0, 0.0),
        (error(AuthenticationError), 0, 1.0, None),
        (error(RequestRejectedError), 0, 1.0, None),
        (error(ContentRefusedError), 0, 1.0, None),
        (error(EndpointError), 0, 1.0, None),
    ],
)
def test_how_long_to_wait(failed, repeats, jitter, expected):
    """A random part of a doubling span, or what the service asks for and up to a tenth more; None to give up."""
    wait_s = next_wait_s(failed, repeats=repeats, elapsed_s=0.0, jitter=jitter, policy=POLICY)

    assert wait_s == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("elapsed_s", "retry_after_s", "expected"),
    [(899.0, None, 1.0), (899.5, None, None), (890.0, 10.0, None), (880.0, 10.0, 11.0)],
)
def test_no_wait_goes_beyond_the_whole_time(elapsed_s, retry_after_s, expected):
    """A wait that would end after the whole time is not begun."""
    failed = error(RateLimitError, retry_after_s=retry_after_s)
    wait_s = next_wait_s(failed, repeats=0, elapsed_s=elapsed_s, jitter=1.0, policy=POLICY)

    assert wait_s == (None if expected is None else pytest.approx(expected))


@given(
    st.integers(0, 10_000),
    st.floats(0, 1e6),
    st.floats(0, 1),
    st.none() | st.floats(0, 1e9),
    st.builds(
        RetryPolicy,
        max_retries=st.integers(0, 10_000),
        first_wait_s=st.floats(0, 1e3),
        max_wait_s=st.floats(0, 1e3),
        max_retry_after_s=st.floats(0, 1e3),
        max_total_s=st.floats(0, 1e6),
    ),
)
def test_waits_are_bounded(repeats, elapsed_s, jitter, retry_after_s, policy):
    """No wait is negative, longer than its cap, or beyond the whole time, and repetitions end."""
    failed = error(RateLimitError, retry_after_s=retry_after_s)
    wait_s = next_wait_s(failed, repeats=repeats, elapsed_s=elapsed_s, jitter=jitter, policy=policy)

    if wait_s is not None:
        assert 0 <= wait_s <= max(policy.max_wait_s, policy.max_retry_after_s * 1.1) + 1e-9
        assert elapsed_s + wait_s <= policy.max_total_s
        assert repeats < policy.max_retries


@pytest.mark.parametrize("name", ["max_retries", "first_wait_s", "max_wait_s", "max_retry_after_s", "max_total_s"])
def test_a_policy_below_zero(name):
    """A number below 0 is refused by its name."""
    with pytest.raises(OptionError, match=name):
        RetryPolicy(**{name: -1})


# Retries


def retrying(script: Any, *, clock: ManualClock | None = None, **options: Any) -> RetryingEndpoint:
    transport = script if isinstance(script, httpx2.BaseTransport) else ScriptedTransport(script)
    return RetryingEndpoint(endpoint(transport), RetryPolicy(**options), clock=clock or ManualClock())


@pytest.mark.parametrize(
    ("script", "waits_s"),
    [
        (["Hello"], []),
        ([throttled(), "Hello"], [1.0]),
        ([throttled(retry_after=5), "Hello"], [5.5]),
        ([server_error(), server_error(503), dropped(), "Hello"], [1.0, 2.0, 4.0]),
        ([timed_out(), "Hello"], [1.0]),
        ([throttled(), throttled(), timed_out(), "Hello"], [1.0, 2.0, 4.0]),
        ([timed_out(), throttled(), "Hello"], [1.0, 2.0]),
    ],
    ids=["at once", "throttled", "Retry-After", "in trouble", "late", "late after throttled", "throttled after late"],
)
async def test_a_call_is_repeated_until_it_succeeds(script, waits_s):
    """Sync and async alike: each failure is waited for as it asks, and the attempts are counted."""
    clock = ManualClock()
    completion = retrying(list(script), clock=clock).complete(request())
    assert (completion.answer, completion.attempts) == ("Hello", len(script))
    assert clock.waits_s == pytest.approx(waits_s)

    clock = ManualClock()
    completion = await retrying(list(script), clock=clock).acomplete(request())
    assert (completion.answer, completion.attempts) == ("Hello", len(script))
    assert clock.waits_s == pytest.approx(waits_s)


@pytest.mark.parametrize(
    ("step", "kind", "calls"),
    [
        (throttled(), RateLimitError, 5),
        (server_error(), ServiceUnavailableError, 5),
        (timed_out(), ServiceUnavailableError, 2),
        (server_error(504), ServiceUnavailableError, 2),
        (refused(), ContentRefusedError, 1),
        (Reply(401, error_body("invalid_api_key", "x")), AuthenticationError, 1),
        (Reply(400, error_body("invalid_parameter_error", "x")), RequestRejectedError, 1),
    ],
    ids=["throttled", "500", "late", "gateway late", "refused", "key", "parameter"],
)
async def test_giving_up(step, kind, calls):
    """What does not pass by itself is sent once, a late answer is asked for twice, the rest is bounded."""
    transport = ScriptedTransport(step)
    with pytest.raises(kind) as sync:
        retrying(transport).complete(request())
    assert (sync.value.attempts, transport.calls) == (calls, calls)

    with pytest.raises(kind) as native:
        await retrying(transport).acomplete(request())
    assert (native.value.attempts, transport.calls) == (calls, 2 * calls)


def test_the_whole_time_counts_the_calls():
    """Slow failures end the repetitions before their number does."""
    clock = ManualClock(jitter=0.0)
    transport = ScriptedTransport(late(100.0, server_error(), clock=clock))
    with pytest.raises(ServiceUnavailableError):
        retrying(transport, clock=clock, max_retries=50, max_total_s=350.0).complete(request())

    assert transport.calls == 4


def test_closing_ends_the_wait():
    """A thread that waits for its next call gives up when the endpoint is closed, with what the last call met."""
    waiting = threading.Event()

    class WatchedClock(ManualClock):
        def wait(self, seconds: float, stop: threading.Event) -> bool:
            waiting.set()
            return not stop.wait(30)

    one = retrying(throttled(retry_after=60), clock=WatchedClock())
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(one.complete, request())
        assert waiting.wait(10)
        one.close()
        failed = call.exception(10)

    assert isinstance(failed, RateLimitError)


async def test_closing_reaches_the_inside():
    """Closing the outermost endpoint closes what is inside."""
    closed = []

    class Inner:
        def complete(self, request: Any) -> Completion:
            return Completion(answer="")

        async def acomplete(self, request: Any) -> Completion:
            return Completion(answer="")

        def close(self) -> None:
            closed.append("closed")

    one: Any = with_policies(Inner())
    one.close()
    await one.aclose()

    assert closed == ["closed", "closed"]


# Limits


def test_the_pace_of_the_limit():
    """A minute's worth goes at once; then turns come at the pace of the limit."""
    limiter = AdaptiveLimiter(RateLimit(60, 1_000_000), clock=ManualClock())

    assert [limiter.reserve() for _ in range(60)] == [0.0] * 60
    assert [limiter.reserve() for _ in range(3)] == pytest.approx([1.0, 2.0, 3.0])


def test_tokens_are_limited_too():
    """Whichever of requests and tokens runs out first is waited for."""
    limiter = AdaptiveLimiter(RateLimit(600, 6000), clock=ManualClock())

    assert limiter.reserve(6000) == 0.0
    assert limiter.reserve(200) == pytest.approx(2.0)


def test_true_counts_are_settled():
    """What was used beyond the estimate is waited for by those who come later; what was not is given back."""
    limiter = AdaptiveLimiter(RateLimit(600, 6000), clock=ManualClock())
    limiter.reserve(5000)
    limiter.settle(1500)
    assert limiter.reserve(0) == pytest.approx(5.0)
    limiter.settle(-500)
    assert limiter.reserve(0) == 0.0


@given(
    st.integers(1, 1000),
    st.lists(st.tuples(st.floats(0, 30), st.booleans()), max_size=120),
)
@example(1, [(0.0, True), (0.0, False), (0.0, False), (5.0, False), (8.0, False)])
def test_starts_are_bounded_in_any_span(per_minute, events):
    """In any span of time at most what was saved up and what came in is started, whatever happens."""
    clock = ManualClock()
    limiter = AdaptiveLimiter(RateLimit(per_minute, 10**9), clock=clock)
    starts = []
    for pause_s, is_throttled in events:
        clock.advance(pause_s)
        if is_throttled:
            limiter.throttled()
        starts.append(clock.now_s() + limiter.reserve())
    starts.sort()

    for i, begin in enumerate(starts):
        for n, end in enumerate(starts[i:], start=1):
            assert n <= per_minute + (end - begin) * per_minute / 60 + 1 + 1e-6


def test_throttling_halves_the_pace():
    """Each throttled second halves the pace, down to a least one; within a minute it is back."""
    clock = ManualClock()
    limiter = AdaptiveLimiter(RateLimit(60, 1_000_000), clock=clock)
    limiter.throttled()
    assert limiter.pace == 0.5
    assert limiter.reserve() == pytest.approx(2.0)

    limiter.throttled()
    assert limiter.pace == 0.5

    for _ in range(40):
        clock.advance(1.0)
        limiter.throttled()
    assert limiter.pace < 0.05

    clock.advance(60.0)
    assert limiter.pace == 1.0


def test_asking_without_waiting():
    """Asked without blocking, a limiter says whether a call may be made, and takes no turn when it may not."""
    clock = ManualClock()
    limiter = AdaptiveLimiter(RateLimit(1, 1000), clock=clock)

    assert limiter.acquire(blocking=False) is True
    assert [limiter.acquire(blocking=False) for _ in range(5)] == [False] * 5
    clock.advance(60.0)
    assert limiter.acquire(blocking=False) is True
    assert clock.waits_s == []


async def test_throttled_calls_slow_the_limiter_down():
    """Throttling seen by any call, sync or async, slows all down."""
    limiter = AdaptiveLimiter(RateLimit(600, 6_000_000), clock=ManualClock())
    one = LimitedEndpoint(endpoint(ScriptedTransport(throttled())), limiter=limiter)
    with pytest.raises(RateLimitError):
        one.complete(request())
    assert limiter.pace == 0.5

    limiter = AdaptiveLimiter(RateLimit(600, 6_000_000), clock=ManualClock())
    one = LimitedEndpoint(endpoint(ScriptedTransport(throttled())), limiter=limiter)
    with pytest.raises(RateLimitError):
        await one.acomplete(request())
    assert limiter.pace == 0.5


async def test_calls_wait_for_their_turn():
    """Beyond the minute's worth, calls are made at the pace of the limit, threads and tasks from one account."""
    clock = ManualClock()
    limiter = AdaptiveLimiter(RateLimit(2, 1_000_000), clock=clock)
    one = LimitedEndpoint(endpoint(ScriptedTransport("Hello")), limiter=limiter)
    one.complete(request())
    await one.acomplete(request())
    assert clock.waits_s == []
    one.complete(request())
    await one.acomplete(request())

    assert clock.waits_s == pytest.approx([30.0, 30.0])


async def test_langchains_limiter_stands_in():
    """A limiter of LangChain is asked once for each call, sync and async."""
    asked = []

    class Counting(InMemoryRateLimiter):
        def acquire(self, *, blocking: bool = True) -> bool:
            asked.append(("sync", blocking))
            return True

        async def aacquire(self, *, blocking: bool = True) -> bool:
            asked.append(("async", blocking))
            return True

    one = LimitedEndpoint(endpoint(ScriptedTransport("Hello")), limiter=Counting(requests_per_second=1))
    one.complete(request())
    await one.acomplete(request())

    assert asked == [("sync", True), ("async", True)]


@pytest.mark.parametrize("options", [{"limiter": object()}, {"max_concurrency": 0}])
def test_limits_that_cannot_work(options):
    """What is no limiter, and no places at all, are refused."""
    with pytest.raises(OptionError):
        LimitedEndpoint(endpoint(ScriptedTransport("Hello")), **options)


@pytest.mark.parametrize("limit", [RateLimit(0, 5), RateLimit(5, 0)])
def test_a_limit_of_nothing(limit):
    """A limit that lets nothing through is refused."""
    with pytest.raises(OptionError):
        AdaptiveLimiter(limit)


class Crowd:
    """An endpoint that counts how many are in it at once, and lets them out when enough have come."""

    def __init__(self, enough: int) -> None:
        self.now = self.most = self.all = 0
        self._lock = threading.Lock()
        self._gate = threading.Semaphore(0)
        self._enough = enough

    def complete(self, request: Any) -> Completion:
        self._enter()
        assert self._gate.acquire(timeout=10)
        return self._leave()

    async def acomplete(self, request: Any) -> Completion:
        self._enter()
        while not self._gate.acquire(blocking=False):  # noqa: ASYNC110 - threads open the gate too
            await asyncio.sleep(0)
        return self._leave()

    def _enter(self) -> None:
        with self._lock:
            self.now += 1
            self.all += 1
            self.most = max(self.most, self.now)
            if self.now == self._enough:
                self._gate.release(self._enough)

    def _leave(self) -> Completion:
        with self._lock:
            self.now -= 1
        return Completion(answer="Hello")


def test_threads_and_loops_share_the_places():
    """Threads and tasks of two event loops together never exceed the number of places, and all get theirs."""
    crowd = Crowd(3)
    one = LimitedEndpoint(crowd, max_concurrency=3)

    async def tasks() -> list[Completion]:
        return await asyncio.gather(*(one.acomplete(request()) for _ in range(9)))

    with ThreadPoolExecutor(8) as pool:
        loops = [pool.submit(lambda: asyncio.run(tasks())) for _ in range(2)]
        calls = [pool.submit(one.complete, request()) for _ in range(12)]
        answers = [call.result(20) for call in calls] + [c for loop in loops for c in loop.result(20)]

    assert [completion.answer for completion in answers] == ["Hello"] * 30
    assert (crowd.most, crowd.all) == (3, 30)


async def test_a_cancelled_call_gives_its_place_back():
    """Tasks cancelled while they wait, or while they are in, leave the places to others."""
    inside = asyncio.Event()

    class Silent:
        def complete(self, request: Any) -> Completion:
            return Completion(answer="Hello")

        async def acomplete(self, request: Any) -> Completion:
            inside.set()
            await asyncio.Event().wait()
            raise AssertionError

    one = LimitedEndpoint(Silent(), max_concurrency=1)
    tasks = [asyncio.create_task(one.acomplete(request())) for _ in range(3)]
    await inside.wait()
    for task in reversed(tasks):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert (await asyncio.to_thread(one.complete, request())).answer == "Hello"


def test_a_failed_call_gives_its_place_back():
    """A call that fails leaves its place to the next."""
    one = LimitedEndpoint(endpoint(ScriptedTransport([refused(), "Hello"])), max_concurrency=1)
    with pytest.raises(ContentRefusedError):
        one.complete(request())

    assert one.complete(request()).answer == "Hello"


def test_closing_ends_the_wait_for_a_turn():
    """A request that waits for its turn when the endpoint is closed is not sent, and says so."""
    waiting = threading.Event()

    class WatchedClock(ManualClock):
        def wait(self, seconds: float, stop: threading.Event) -> bool:
            waiting.set()
            return not stop.wait(30)

    transport = ScriptedTransport("Hello")
    limiter = AdaptiveLimiter(RateLimit(1, 10**6), clock=WatchedClock())
    one = LimitedEndpoint(endpoint(transport), limiter=limiter)
    one.complete(request())
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(one.complete, request())
        assert waiting.wait(10)
        one.close()
        failed = call.exception(10)

    assert isinstance(failed, EndpointError)
    assert "not sent" in str(failed)
    assert transport.calls == 1


# Budgets


def budgeted(script: Any, **caps: Any) -> tuple[BudgetedEndpoint, ScriptedTransport]:
    transport = ScriptedTransport(script)
    return BudgetedEndpoint(endpoint(transport), Budget(**caps)), transport


def sent_until_stopped(one: Endpoint, pages: int = 10) -> int:
    for n in range(1, pages + 1):
        try:
            one.complete(request(max_tokens=n))
        except BudgetError:
            return n - 1
    return pages


# 640×320 is expected to cost 202 tokens, and 256 for the prompt and a short answer.
BILL = completion_body("Hello", image_tokens=202, text_tokens=24, completion_tokens=774)


def test_closing_lets_calls_under_way_come_to_their_end():
    """They are paid for: the connection is closed only when their answers are there."""
    events: list[str] = []
    begun, may_answer = threading.Event(), threading.Event()

    class Slow:
        def complete(self, request: Any) -> Completion:
            begun.set()
            may_answer.wait(10)
            events.append("answered")
            return Completion(answer="Hello")

        async def acomplete(self, request: Any) -> Completion:
            return self.complete(request)

        def close(self) -> None:
            events.append("closed")

    one = LimitedEndpoint(Slow(), max_concurrency=1)
    caller = threading.Thread(target=lambda: one.complete(request()))
    caller.start()
    begun.wait(10)
    closer = threading.Thread(target=one.close)
    closer.start()
    closer.join(0.05)
    may_answer.set()
    for thread in (caller, closer):
        thread.join(10)

    assert events == ["answered", "closed"]


def test_nothing_is_sent_while_connections_are_closed():
    """A call that comes while the endpoint closes would lose its connection, be repeated, and be paid for twice."""
    met: list[BaseException | None] = []

    class Closing:
        def complete(self, request: Any) -> Completion:
            return Completion(answer="Hello")

        async def acomplete(self, request: Any) -> Completion:
            return self.complete(request)

        def close(self) -> None:
            with ThreadPoolExecutor(1) as pool:
                met.append(pool.submit(one.complete, request()).exception(10))

    one = LimitedEndpoint(Closing())
    one.close()

    assert [type(error) for error in met] == [EndpointError]
    assert "not sent" in str(met[0])
    assert one.complete(request()).answer == "Hello"


async def test_nothing_is_sent_while_connections_of_a_loop_are_closed():
    """The same for tasks; afterwards the endpoint can be used again."""
    met: list[object] = []

    class Closing:
        def complete(self, request: Any) -> Completion:
            return Completion(answer="Hello")

        async def acomplete(self, request: Any) -> Completion:
            return self.complete(request)

        async def aclose(self) -> None:
            met.extend(await asyncio.gather(one.acomplete(request()), return_exceptions=True))

    one = LimitedEndpoint(Closing())
    await one.aclose()

    assert [type(error) for error in met] == [EndpointError]
    assert "not sent" in str(met[0])
    assert (await one.acomplete(request())).answer == "Hello"


@pytest.mark.parametrize(
    ("caps", "sent"),
    [
        ({}, 10),
        ({"max_pages": 3}, 3),
        ({"max_pages": 0}, 0),
        # Each call uses 1,000 tokens, and 458 must be left before one is sent.
        ({"max_tokens": 2458}, 3),
        ({"max_tokens": 2457}, 2),
        # Each costs (226·0.3 + 774·0.5) / 1,000,000 yuan.
        ({"max_cost": Decimal("0.001")}, 2),
    ],
    ids=["no cap", "pages", "nothing", "tokens", "one token less", "money"],
)
def test_a_cap_stops_before_it_is_passed(caps, sent):
    """What would pass a cap is not sent."""
    one, transport = budgeted(BILL, **caps)

    assert sent_until_stopped(one) == sent
    assert transport.calls == sent


async def test_a_cap_says_what_was_not_read():
    """The error names the page that was not sent, and the cap, sync and async."""
    one, _ = budgeted(BILL, max_pages=0)
    with pytest.raises(BudgetError, match=r"^Page 3 of scan\.pdf: not sent, since max_pages=0 would be passed"):
        one.complete(request())
    with pytest.raises(BudgetError, match=r"^Page 3 of scan\.pdf: not sent"):
        await one.acomplete(request())


def test_failures_are_given_back():
    """A call that failed counts for nothing."""
    one, _ = budgeted([server_error(), refused(), "Hello"], max_pages=1)
    for kind in (ServiceUnavailableError, ContentRefusedError):
        with pytest.raises(kind):
            one.complete(request())

    assert one.complete(request()).answer == "Hello"


async def test_many_calls_at_once_do_not_pass_a_cap_together():
    """Calls that are under way count at what they are expected to cost."""
    one, transport = budgeted(BILL, max_tokens=1500)
    outcomes = await asyncio.gather(
        *(one.acomplete(request(max_tokens=n)) for n in range(1, 9)), return_exceptions=True
    )

    assert transport.calls == 3
    assert sum(isinstance(outcome, BudgetError) for outcome in outcomes) == 5


def test_money_needs_a_price():
    """A cap on money for a model without a price is refused before anything is sent."""
    one, transport = budgeted(BILL, max_cost=Decimal(1))
    with pytest.raises(OptionError, match="cap tokens"):
        one.complete(request(model="my-own-model"))

    assert transport.calls == 0


@pytest.mark.parametrize("value", [-1, "0.01", float("nan"), Decimal("nan"), float("inf")])
@pytest.mark.parametrize("name", ["max_pages", "max_tokens", "max_cost"])
def test_a_cap_that_is_none(name, value):
    """A cap below 0, or no number at all, is refused by its name."""
    caps: Any = {name: value}
    with pytest.raises(OptionError, match=name):
        Budget(**caps)


def test_hits_need_no_budget():
    """What the cache knows is free, also when nothing may be sent any more."""
    transport = ScriptedTransport("Hello")
    one = with_policies(endpoint(transport), cache=Memory(), budget=Budget(max_pages=1))
    one.complete(request())

    assert one.complete(request()).usage.cached == 1
    with pytest.raises(BudgetError):
        one.complete(request(max_tokens=1))


# Cache


class Memory:
    """A store in memory."""

    def __init__(self) -> None:
        self.entries: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self.entries.get(key)

    def put(self, key: str, value: bytes) -> None:
        self.entries[key] = value


def cached(script: Any, store: Any = None, **options: Any) -> tuple[CachedEndpoint, ScriptedTransport]:
    transport = ScriptedTransport(script)
    return CachedEndpoint(endpoint(transport), Memory() if store is None else store, **options), transport


async def test_a_hit_costs_nothing():
    """An answer asked for again comes from the store: the same text, no tokens, no cost, no attempt."""
    one, transport = cached(["Hello"])
    first = one.complete(request())
    again = one.complete(request(source="another name.pdf"))
    native = await one.acomplete(request())

    assert first.usage.calls == 1
    assert again == native
    assert (again.answer, again.finish_reason, again.model) == ("Hello", "stop", "qwen-vl-ocr-latest")
    assert (again.usage, again.attempts, again.origin) == (Usage(cached=1), 0, "service")
    assert again.request_id == first.request_id
    assert transport.calls == 1


async def test_tasks_fill_the_cache_too():
    """What a task asked for, a thread finds."""
    one, transport = cached(["Hello"])
    await one.acomplete(request())

    assert one.complete(request()).usage.cached == 1
    assert transport.calls == 1


@pytest.mark.parametrize(
    ("step", "is_kept"),
    [
        ("Hello", True),
        (empty(), True),
        (completion_body("I cannot read it.", refusal="I cannot read it."), True),
        (truncated("Hello"), False),
        (looping(), False),
    ],
    ids=["ok", "blank", "refused", "truncated", "looping"],
)
def test_what_is_kept(step, is_kept):
    """Answers that another call would not better are kept; the others are asked for again."""
    one, transport = cached([step, step])
    one.complete(request())
    one.complete(request())

    assert transport.calls == (1 if is_kept else 2)


@pytest.mark.parametrize(
    ("step", "kind", "is_kept"),
    [
        (refused(), ContentRefusedError, True),
        (Reply(400, error_body("invalid_parameter_error", "The image format is illegal")), RequestRejectedError, True),
        (Reply(400, "<html>Bad request</html>"), RequestRejectedError, False),
        (throttled(), RateLimitError, False),
        (server_error(), ServiceUnavailableError, False),
        (Reply(401, error_body("invalid_api_key", "x")), AuthenticationError, False),
    ],
    ids=["refused", "rejected", "rejected by a gateway", "throttled", "500", "key"],
)
async def test_which_failures_are_kept(step, kind, is_kept):
    """A refusal that would come again is not asked for again; it names the page that it is met on now."""
    one, transport = cached([step, step, step])
    with pytest.raises(kind) as first:
        one.complete(request())
    with pytest.raises(kind) as again:
        one.complete(request(source="copy.pdf"))
    with pytest.raises(kind):
        await one.acomplete(request())

    assert transport.calls == (1 if is_kept else 3)
    assert str(again.value).startswith("Page 3 of copy.pdf: ")
    assert "scan.pdf" not in str(again.value)
    assert again.value.code == first.value.code
    assert again.value.attempts == (0 if is_kept else 1)


def test_a_kept_failure_grows_old():
    """After a week a refusal is asked for again: the service's rules change."""
    now_s = [1_000_000.0]
    one, transport = cached([refused(), "Hello"], now_s=lambda: now_s[0])
    with pytest.raises(ContentRefusedError):
        one.complete(request())
    now_s[0] += 8 * 24 * 3600

    assert one.complete(request()).answer == "Hello"
    assert transport.calls == 2


@pytest.mark.parametrize("damage", [b"", b"x", b"0123456789abcdef{}", None])
def test_a_damaged_entry_is_asked_for_again(damage):
    """What is not whole counts as missing, and is replaced."""
    store = Memory()
    one, transport = cached(["Hello", "Hello"], store)
    one.complete(request())
    key = fingerprint(request())
    store.entries[key] = store.entries[key][:-3] if damage is None else damage

    assert one.complete(request()).usage.cached == 0
    assert one.complete(request()).usage.cached == 1
    assert transport.calls == 2


async def test_a_store_that_fails_loses_no_answer():
    """A store that cannot be used costs a warning, not the answer that was paid for."""

    class Broken:
        def get(self, key: str) -> bytes | None:
            raise OSError("disk I/O error")

        def put(self, key: str, value: bytes) -> None:
            raise OSError("disk full")

    one, _ = cached("Hello", Broken())
    for completion in (one.complete(request()), await one.acomplete(request())):
        assert completion.answer == "Hello"
        assert completion.warnings == (
            "The cache failed (OSError: disk I/O error); this answer may be paid for again.",
        )


async def test_the_event_loop_goes_on_while_the_store_works():
    """A slow store is waited for in a thread, so that other tasks go on."""
    loop_thread = threading.get_ident()
    used_from = []

    class Watched(Memory):
        def get(self, key: str) -> bytes | None:
            used_from.append(threading.get_ident())
            return super().get(key)

        def put(self, key: str, value: bytes) -> None:
            used_from.append(threading.get_ident())
            super().put(key, value)

    one, _ = cached("Hello", Watched())
    await one.acomplete(request())

    assert len(used_from) == 2
    assert loop_thread not in used_from


# Together


def policies(transport: Any, **options: Any) -> Endpoint:
    clock = ManualClock(jitter=0.0)
    inner = LimitedEndpoint(
        endpoint(transport),
        limiter=AdaptiveLimiter(RateLimit(600, 6_000_000), clock=clock),
        max_concurrency=4,
    )
    return CachedEndpoint(RetryingEndpoint(inner, RetryPolicy(max_retries=8), clock=clock), Memory(), **options)


STORM: tuple[Callable[[], Step], ...] = (
    throttled,
    lambda: throttled(retry_after=2),
    server_error,
    lambda: server_error(503),
    dropped,
    timed_out,
)


def test_a_storm():
    """Sixty pages through every kind of fault: each has its answer, and none is sent again after its success."""
    succeeded: dict[bytes, int] = {}

    def answer(sent: Any) -> str:
        succeeded[sent.content] = succeeded.get(sent.content, 0) + 1
        return f"answer {sent.body['max_tokens']}"

    def fault(sent: Any, before: int) -> Step | None:
        number = sent.body["max_tokens"]
        return STORM[(number + before) % len(STORM)]() if before < number % 4 else None

    one = policies(flaky(StrictService(answer), fault))
    requests = [request(max_tokens=n) for n in range(1, 61)]
    with ThreadPoolExecutor(8) as pool:
        completions = list(pool.map(one.complete, requests))
        again = list(pool.map(one.complete, requests))

    assert [c.answer for c in completions] == [f"answer {n}" for n in range(1, 61)]
    assert [c.attempts for c in completions] == [n % 4 + 1 for n in range(1, 61)]
    assert sum((c.usage for c in again), Usage()).cached == 60
    assert set(succeeded.values()) == {1}


async def test_policies_as_the_engine_takes_them(tmp_path):
    """One call puts limits, retries and cache round an endpoint; a path is a cache, a limiter is the caller's."""
    transport = flaky(StrictService("Hello"), [throttled(retry_after=0)])
    one = with_policies(
        endpoint(transport),
        max_concurrency=2,
        max_retries=1,
        rate_limit=RateLimit(600, 6_000_000),
        cache=tmp_path / "cache.sqlite",
    )
    first = one.complete(request())
    again = await one.acomplete(request())

    assert (first.answer, first.attempts) == ("Hello", 2)
    assert (again.answer, again.usage.cached) == ("Hello", 1)
    assert len(SQLiteStore(tmp_path / "cache.sqlite")) == 1


def test_no_time_is_lost_where_nothing_fails():
    """Without faults and below the limits, nothing waits."""
    one = with_policies(endpoint(StrictService("Hello")), rate_limit=RateLimit(600, 6_000_000))
    began_s = time.monotonic()
    for n in range(1, 30):
        one.complete(request(max_tokens=n))

    assert time.monotonic() - began_s < 5
