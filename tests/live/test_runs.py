"""`run` and `arun` lose no item: each has a result, has failed, or is pending; retries; what ends a
run.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.laws import left, threads

import tpssim
from tpssim import InputError, Rejected, arun, run
from tpssim.core.clocks import VirtualClock
from tpssim.live.jobs import Run
from tpssim.scenarios.retries import Retry


def response(status: int) -> Any:
    return SimpleNamespace(
        status_code=status, headers={"Retry-After": "2"} if status == 429 else {}
    )


def both(call: Callable[[Any], Any], items: Any, tps: float, way: str, **options: Any) -> Run:
    """A run in a pool, on this thread, or in tasks."""
    if way != "async":
        return run(call, items, tps, workers=int(way), **options)

    async def acall(item: Any) -> Any:
        await asyncio.sleep(0)
        return call(item)

    return asyncio.run(arun(acall, items, tps, **options))


WAYS = ["0", "3", "async"]


@pytest.mark.parametrize("way", WAYS)
def test_results_are_in_the_order_of_the_items(way: str) -> None:
    done = both(lambda x: 60 // x, [1, 2, 0, 3], 1000.0, way)
    assert done.results == [60, 30, None, 20]
    assert [(item, type(error)) for item, error in done.failed] == [(0, ZeroDivisionError)]
    assert list(done.failures.values()) == [1]
    assert done.pending == []
    assert (done.report.ok, done.report.errors) == (3, 1)


def test_a_pools_results_are_in_the_order_of_the_items_whichever_ends_first() -> None:
    second = threading.Event()

    def call(item: int) -> int:
        if item == 0:
            second.wait(30.0)
        else:
            second.set()
        return 10 * item

    assert run(call, range(2), 1000.0, workers=2).results == [0, 10]


@pytest.mark.parametrize("way", WAYS)
def test_a_response_that_raises_nothing_is_seen_by_its_status(way: str) -> None:
    done = both(response, [200, 429, 503, 500], 1000.0, way)
    assert (done.report.ok, done.report.errors, done.report.drops) == (1, 3, 2)
    assert [answer.status_code for answer in done.results] == [200, 429, 503, 500]
    assert sorted((item, answer.status_code) for item, answer in done.failed) == [
        (429, 429),
        (500, 500),
        (503, 503),
    ]
    assert done.failures == {"SimpleNamespace: refused": 2, "SimpleNamespace: failed": 1}
    assert repr(done).startswith("<Run: 1 ok, 3 failed, 0 pending;")


@pytest.mark.parametrize("way", WAYS)
def test_a_users_word_on_results_and_exceptions(way: str) -> None:
    def classify(answer: Any) -> str | None:
        if isinstance(answer, dict) and answer.get("error") == "overloaded":
            return "refused"
        return "timed out" if isinstance(answer, KeyError) else None

    answers: dict[int, dict[str, str]] = {
        0: {},
        1: {"error": "overloaded"},
        2: {"error": "unknown"},
    }

    def call(item: int) -> dict[str, str]:
        return answers[item]

    done = both(call, range(4), 1000.0, way, classify=classify)
    assert (done.report.ok, done.report.errors, done.report.drops) == (2, 2, 2)


@pytest.mark.parametrize("way", WAYS)
def test_without_results_nothing_grows(way: str) -> None:
    done = both(lambda x: 60 // x, [1, 2, 0, 3], 1000.0, way, results=False)
    assert (done.results, done.failed, done.pending) == ([], [], [])
    assert done.failures == {"ZeroDivisionError: integer division or modulo by zero": 1}


def test_an_exception_that_cannot_be_shown_is_a_failure_as_any() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise AttributeError("no url")

    def call(_: int) -> None:
        raise Mute

    done = run(call, range(3), 1000.0)
    assert (done.failures, len(done.failed)) == ({"Mute": 3}, 3)


# Retries, in virtual time: one call at a time, 10 a second, each over at once.


def timed(
    call: Callable[[Any], Any], items: Any, **options: Any
) -> tuple[list[tuple[float, Any]], Run]:
    """When each call was made, and the run."""
    clock = VirtualClock()
    made: list[tuple[float, Any]] = []

    def noted(item: Any) -> Any:
        made.append((round(clock.time(), 9), item))
        return call(item)

    return made, run(noted, items, 10.0, workers=0, clock=clock, **options)


class Failing:
    """Calls of an item fail so often."""

    def __init__(self, error: Exception, **times: int) -> None:
        self.error, self.times = error, times

    def __call__(self, item: str) -> str:
        if self.times.get(item, 0) > 0:
            self.times[item] -= 1
            raise self.error
        return item.upper()


def test_a_retry_is_a_call_under_the_ceiling_and_keeps_its_place() -> None:
    made, done = timed(Failing(OSError("no"), a=1), "abcde", retries=Retry(attempts=1.0, base=0.15))
    # Back at 0.15 s, where c already waits for the slot of 0.2 s: it takes the slot after that one.
    assert made == [(0.0, "a"), (0.1, "b"), (0.2, "c"), (0.3, "a"), (0.4, "d"), (0.5, "e")]
    assert done.results == list("ABCDE")
    assert (done.failed, done.pending, done.failures) == ([], [], {"OSError: no": 1})
    assert (done.report.released, done.report.ok, done.report.errors) == (6, 5, 1)


def test_a_retry_waits_as_its_policy_says_and_the_item_fails_when_the_last_one_does() -> None:
    made, done = timed(
        Failing(OSError("no"), a=9), "a", retries=Retry(attempts=3.0, base=1.0, growth=2.0)
    )
    assert [when for when, _ in made] == [0.0, 1.0, 3.0, 7.0]
    assert [(item, str(error)) for item, error in done.failed] == [("a", "no")]
    assert (done.results, done.failures) == ([None], {"OSError: no": 4})


def test_tasks_wait_for_retries_on_the_callers_clock_too() -> None:
    clock = VirtualClock()
    made: list[float] = []

    async def call(item: str) -> None:
        made.append(round(clock.time(), 9))
        raise OSError

    done = asyncio.run(arun(call, "a", 10.0, clock=clock, retries=Retry(attempts=2.0, base=10.0)))
    assert made == [0.0, 10.0, 30.0]
    assert len(done.failed) == 1


def test_a_number_of_retries_waits_as_our_policy_does() -> None:
    made, _ = timed(Failing(OSError("no"), a=9), "a", retries=3)
    assert [when for when, _ in made] == [0.0, 1.0, 3.0, 6.0]  # waits of 1, 2 and 3 s


def test_a_wait_for_retries_is_not_the_iterables_doing() -> None:
    _, done = timed(Failing(OSError("no"), a=9), "a", retries=3)
    assert "iterable" not in done.report.verdict
    _, done = timed(abs, iter(range(4)), retries=3)
    assert "iterable" not in done.report.verdict


def test_a_retry_waits_as_long_as_the_service_asked() -> None:
    made, done = timed(Failing(Rejected("429", retry_after=5.0), a=1), "a", retries=1)
    assert made == [(0.0, "a"), (5.0, "a")]
    assert done.results == ["A"]
    answers = iter([429, 200])
    made, done = timed(lambda _: response(next(answers)), "a", retries=1)
    assert made == [(0.0, "a"), (2.0, "a")]
    assert done.results[0].status_code == 200


def test_an_answer_that_stays_a_refusal_is_the_result_and_has_failed() -> None:
    _, done = timed(lambda _: response(429), "a", retries=1)
    assert (done.results[0].status_code, done.report.drops) == (429, 2)
    assert done.failed == [("a", done.results[0])]
    assert done.failures == {"SimpleNamespace: refused": 2}


def test_a_cancelled_call_is_not_tried_again() -> None:
    import concurrent.futures

    _, done = timed(Failing(concurrent.futures.CancelledError(), a=1), "a", retries=3)
    assert (len(done.failed), done.report.released, done.report.errors) == (1, 1, 0)


class Retrying:
    """As tenacity's: three conditions of a RetryCallState, in the words of its documentation."""

    def __init__(self, stop: Any, wait: Any, retry: Any) -> None:
        self.stop, self.wait, self.retry = stop, wait, retry


def exponential(state: Any) -> float:
    return float(min(60.0, 2.0 ** (state.attempt_number - 1)))


def of_type(kind: type[BaseException]) -> Callable[[Any], bool]:
    return lambda state: bool(state.outcome.failed and isinstance(state.outcome.exception(), kind))


def test_the_conditions_of_tenacity() -> None:
    conditions = Retrying(lambda state: state.attempt_number >= 3, exponential, of_type(OSError))
    made, done = timed(Failing(OSError("no"), a=9), "a", retries=conditions)
    assert [when for when, _ in made] == [0.0, 1.0, 3.0]
    assert len(done.failed) == 1
    made, done = timed(Failing(ValueError("no"), a=9), "a", retries=conditions)
    assert len(made) == len(done.failed) == 1


def test_tenacity_stops_by_time_and_by_the_wait_to_come() -> None:
    def before_four_seconds(state: Any) -> bool:
        return bool(state.seconds_since_start + state.upcoming_sleep >= 4.0)

    made, _ = timed(
        Failing(OSError(), a=9),
        "a",
        retries=Retrying(before_four_seconds, exponential, of_type(OSError)),
    )
    assert [when for when, _ in made] == [0.0, 1.0, 3.0]


def test_tenacity_retries_results() -> None:
    answers = iter([None, None, 7])
    conditions = Retrying(
        lambda state: state.idle_for > 5.0,
        lambda _: 0.5,
        lambda state: not state.outcome.failed and state.outcome.result() is None,
    )
    made, done = timed(lambda _: next(answers), "a", retries=conditions)
    assert ([when for when, _ in made], done.results) == ([0.0, 0.5, 1.0], [7])


def test_a_call_that_asks_to_be_tried_again() -> None:
    again = type("TryAgain", (Exception,), {"__module__": "tenacity"})()
    conditions = Retrying(lambda _: False, lambda _: 0.0, lambda _: False)
    made, _ = timed(Failing(again, a=2), "a", retries=conditions)
    assert len(made) == 3


def test_a_negative_wait_of_tenacity_is_refused() -> None:
    conditions = Retrying(lambda _: False, lambda _: -1.0, of_type(OSError))
    with pytest.raises(InputError, match=r"wait answered -1.0; allowed: seconds in \[0, inf\)"):
        timed(Failing(OSError(), a=1), "a", retries=conditions)


async def asynchronous(_: Any) -> bool:
    return True


@pytest.mark.parametrize("retries", [-1, 1.5, "3", True, Retry(attempts=-1.0), object(), 2000])
def test_bad_retries(retries: Any) -> None:
    with pytest.raises(InputError, match=r"retries.*allowed"):
        run(abs, [1], 5.0, retries=retries)


def test_what_tenacity_may_not_be() -> None:
    with pytest.raises(
        InputError, match=r"retries: stop=.* is asynchronous; allowed: a plain function"
    ):
        run(abs, [1], 5.0, retries=Retrying(asynchronous, exponential, of_type(OSError)))
    conditions = Retrying(lambda _: False, lambda _: 1.0, lambda state: asynchronous(state))
    with pytest.raises(InputError, match="retry answered a coroutine; allowed: a plain function"):
        timed(Failing(OSError(), a=1), "a", retries=conditions)
    conditions = Retrying(lambda _: False, lambda _: float("nan"), of_type(OSError))
    with pytest.raises(InputError, match="wait answered nan; allowed: seconds"):
        timed(Failing(OSError(), a=1), "a", retries=conditions)


@pytest.mark.parametrize("way", WAYS)
def test_a_retry_comes_after_the_items_have_run_out(way: str) -> None:
    call = Failing(OSError("no"), c=2)
    done = both(call, "abc", 1000.0, way, retries=Retry(attempts=2.0, base=0.001))
    assert done.results == ["A", "B", "C"]
    assert (done.report.released, done.failed, done.pending) == (5, [], [])


def test_a_retry_does_not_wait_for_an_asynchronous_source() -> None:
    async def main() -> list[str]:
        seen: list[str] = []
        again = asyncio.Event()

        async def items() -> AsyncIterator[str]:
            yield "a"
            await again.wait()
            yield "b"

        async def call(item: str) -> None:
            seen.append(item)
            if len(seen) == 1:
                raise OSError
            again.set()

        async with asyncio.timeout(30.0):
            await arun(call, items(), 1000.0, retries=Retry(attempts=1.0, base=0.001))
        return seen

    assert asyncio.run(main()) == ["a", "a", "b"]


@pytest.mark.parametrize("way", WAYS)
def test_stop_leaves_what_was_to_be_tried_again(way: str) -> None:
    handles: list[Any] = []

    def call(item: int) -> int:
        if item == 2:
            handles[0].stop()
        raise OSError(item)

    done = both(call, itertools.count(), 1000.0, way, retries=5, started=handles.append)
    assert set(done.pending) >= {0, 1, 2}
    assert (done.failed, set(done.results)) == ([], {None})
    assert len(done.results) == len(done.pending)


# What ends a run.


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "end", [SystemExit("config missing"), KeyboardInterrupt(), GeneratorExit()], ids=repr
)
def test_what_ends_a_program_reaches_the_caller(way: str, end: BaseException) -> None:
    before = threads()
    made: list[int] = []

    def call(item: int) -> int:
        made.append(item)
        if item == 3:
            raise end
        return item

    with pytest.raises(type(end)) as caught:
        both(call, range(100_000), 5000.0, way)
    assert caught.value is end
    done = end.run  # type: ignore[attr-defined]
    assert all(done.results[item] == item or item in done.pending for item in range(3))
    assert 3 in done.pending
    assert len(made) < 100_000
    assert done.report.in_flight == 0
    assert not left(before)


def test_sys_exit_in_a_worker_is_raised_by_run() -> None:
    with pytest.raises(SystemExit, match="config missing"):
        run(lambda item: sys.exit("config missing") if item == 3 else None, range(100), 1000.0)


def test_a_pool_that_cannot_be_started_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    before = threads()
    start = threading.Thread.start

    def starts(thread: threading.Thread) -> None:
        if thread.name == "tpssim worker 2":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", starts)
    with pytest.raises(RuntimeError, match="can't start"):
        run(abs, range(5), 1000.0, workers=4)
    assert not left(before)


async def acall(item: int) -> int:
    return item


def numbers(item: int) -> Iterator[int]:
    yield item


def test_a_call_of_the_wrong_kind_is_refused_and_not_taken_for_ok() -> None:
    with pytest.raises(
        InputError, match=r"returned a coroutine that nobody awaits; allowed: with arun"
    ):
        run(lambda item: acall(item), range(9), 1000.0)
    wrong: Any = lambda item: item  # noqa: E731
    with pytest.raises(InputError, match=r"returned 0; allowed: an awaitable, or with run"):
        asyncio.run(arun(wrong, range(9), 1000.0))
    for way in WAYS[:2]:
        with pytest.raises(
            InputError, match=r"is a generator, which nobody iterates; allowed: a function"
        ):
            both(numbers, range(9), 1000.0, way)


def test_a_policy_that_raises_ends_the_run() -> None:
    def wrong(_: Any) -> bool:
        raise LookupError("in the policy")

    for way in WAYS:
        with pytest.raises(LookupError, match="in the policy"):
            both(abs, range(1000), 5000.0, way, retries=Retrying(wrong, wrong, wrong))


def test_an_iterable_that_raises_carries_what_was_done() -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise OSError("the source went away")

    for way in WAYS:
        with pytest.raises(OSError, match="went away") as caught:
            both(abs, items(), 1000.0, way)
        done = caught.value.run  # type: ignore[attr-defined]
        assert len(done.results) == 3
        assert [x for x in done.results if x is not None] + done.pending == [0, 1, 2]


def test_a_cancelled_run_tells_what_is_pending() -> None:
    async def call(item: int) -> int:
        await asyncio.sleep(60.0 if item else 0.0)
        return item

    async def main() -> Run:
        task = asyncio.create_task(arun(call, range(100), 1000.0, max_in_flight=3))
        await asyncio.sleep(0.1)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError as error:
            done: Run = error.run  # type: ignore[attr-defined]
            return done
        raise AssertionError("not cancelled")

    done = asyncio.run(main())
    assert done.results[0] == 0
    assert done.pending == list(range(1, len(done.results)))
    assert done.failed == []


def test_a_call_that_is_cancelled_alone_has_failed() -> None:
    async def call(item: int) -> int:
        if item == 1:
            raise asyncio.CancelledError("alone")
        return item

    done = asyncio.run(arun(call, range(3), 1000.0))
    assert (done.results, [item for item, _ in done.failed]) == ([0, None, 2], [1])
    assert (done.report.ok, done.report.errors, done.report.in_flight) == (2, 0, 0)


# No item is lost.


class Chaos:
    """Calls that succeed, fail, are refused, stop the run or end the program, as drawn."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.handle: Any = None
        self.lock = threading.Lock()

    def __call__(self, item: int) -> int:
        with self.lock:
            drawn = self.draw.random()
        if drawn < 0.02:
            self.handle.stop()
        elif drawn < 0.03:
            raise SystemExit(item)
        elif drawn < 0.2:
            raise OSError(item)
        elif drawn < 0.3:
            raise Rejected(str(item), retry_after=0.001)
        return item

    def started(self, handle: Any) -> None:
        self.handle = handle


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", range(8))
def test_no_item_is_lost(way: str, seed: int) -> None:
    chaos = Chaos(seed)
    fetched: list[int] = []

    def items() -> Iterator[int]:
        for item in range(200):
            fetched.append(item)
            yield item

    retries = Retry(attempts=2.0, base=0.0005) if seed % 2 else None
    try:
        done = both(chaos, items(), 5000.0, way, retries=retries, started=chaos.started)
    except SystemExit as error:
        done = error.run  # type: ignore[attr-defined]
    ended = [item for item in done.results if item is not None]
    assert sorted([*ended, *(item for item, _ in done.failed), *done.pending]) == fetched
    assert len(done.results) == len(fetched)
    assert done.report.in_flight == 0
    assert done.report.ok == len(ended)


@pytest.mark.parametrize("end", ["stop", "cancel"])
def test_what_is_fetched_beside_a_retry_is_pending(end: str) -> None:
    """Item 1 comes while the retry of item 0 waits for its slot, and the run ends before that."""
    fetched = asyncio.Event()

    async def items() -> AsyncIterator[int]:
        yield 0
        await asyncio.sleep(0.05)
        fetched.set()
        yield 1

    async def call(item: int) -> None:
        raise OSError(item)

    async def main() -> Run:
        handles: list[Any] = []
        given = arun(
            call, items(), 0.5, retries=Retry(attempts=2.0, base=0.001), started=handles.append
        )
        running = asyncio.create_task(given)
        await fetched.wait()
        await asyncio.sleep(0.01)
        if end == "stop":
            handles[0].stop()
            return await running
        running.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await running
        return caught.value.run  # type: ignore[attr-defined,no-any-return]

    done = asyncio.run(main())
    assert (done.results, done.pending) == ([None, None], [0, 1])


def test_the_public_names() -> None:
    assert tpssim.run is run
    assert tpssim.Rejected is Rejected
