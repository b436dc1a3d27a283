"""`athrottle` and `arun`: the twin of `throttle`, with other tasks running, and nothing left
behind.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from helpers.laws import SetOnce, left, threads

from tpssim import InputError, arun, athrottle
from tpssim.core.clocks import VirtualClock
from tpssim.live import async_clocks
from tpssim.live.waiting import PreciseClock


def taken(items: Any, total: int | None) -> str:
    async def main() -> str:
        return "".join([c async for c in athrottle(items, 5000.0, total, clock=VirtualClock())])

    return asyncio.run(main())


async def letters(text: str) -> AsyncIterator[str]:
    for letter in text:
        await asyncio.sleep(0)
        yield letter


class Letters:
    def __aiter__(self) -> AsyncIterator[str]:
        return letters("abc")


@pytest.mark.parametrize(
    ("items", "total", "given"),
    [
        ("abc", 5, "abcab"),
        ("", 5, ""),
        (letters("abc"), None, "abc"),
        (letters("abc"), 7, "abcabca"),
        (letters(""), 7, ""),
        (Letters(), None, "abc"),
        (Letters(), 7, "abcabca"),
        (Letters(), 2, "ab"),
        (Letters(), 0, ""),
    ],
)
def test_items_plain_or_asynchronous(items: Any, total: int | None, given: str) -> None:
    assert taken(items, total) == given


def test_the_schedule_is_absolute() -> None:
    clock = VirtualClock()
    seen = []

    async def main() -> None:
        async for k in athrottle(range(6), 4.0, clock=clock, late="burst"):
            seen.append(clock.time())
            if k == 1:
                clock.set(clock.time() + 0.6)

    asyncio.run(main())
    assert seen == [0.0, 0.25, 0.85, 0.85, 1.0, 1.25]


def open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


@pytest.fixture(params=["timer file", "thread"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both alarms, where the first exists."""
    if request.param == "thread":

        def none(*_: Any) -> None:
            raise OSError("none here")

        monkeypatch.setattr(async_clocks, "TimerFile", none)
    return str(request.param)


def test_real_time_with_other_tasks_running(kind: str) -> None:
    before, files = threads(), open_files()
    rounds = 0

    async def other() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0.001)

    async def main() -> float:
        task = asyncio.create_task(other())
        start = time.perf_counter()
        live = athrottle(range(100), 200.0)
        async for _ in live:
            pass
        task.cancel()
        assert live.report().ok == 100
        assert live.report().early == 0
        assert asyncio.all_tasks() == {asyncio.current_task(), task}
        return time.perf_counter() - start

    assert asyncio.run(main()) >= 99 / 200
    assert rounds > 20
    assert not left(before)
    assert open_files() == files


def test_stop_from_another_thread_ends_a_long_wait(kind: str) -> None:
    async def main() -> int:
        live = athrottle(range(9), 0.01)  # one in 100 s
        threading.Timer(0.05, live.stop).start()
        return len([k async for k in live])

    start = time.perf_counter()
    assert asyncio.run(main()) == 1
    assert time.perf_counter() - start < 50.0


def test_another_rate_from_another_thread_ends_a_long_wait(kind: str) -> None:
    async def main() -> int:
        live = athrottle(range(9), 0.01)

        def faster() -> None:
            live.tps = 1000.0

        threading.Timer(0.05, faster).start()
        return len([k async for k in live])

    start = time.perf_counter()
    assert asyncio.run(main()) == 9
    assert time.perf_counter() - start < 50.0


def test_an_alarm_set_again_while_it_rings_rings_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """`set` in the moment between the sleeper's last look at its time and its forgetting it."""

    class Sleeper(async_clocks.Sleeper):
        over = False  # whether the wait has come to its end
        other: threading.Thread | None = None

        def wait(self, when: float) -> float:
            now = PreciseClock.wait(self._clock, when)
            self.over = now >= when
            return now

        @property
        def _when(self) -> float:
            when = self.when
            if threading.current_thread() is self._thread and self.over and self.other is None:
                self.other = threading.Thread(target=self.set, args=(time.perf_counter(),))
                self.other.start()
                self.other.join(0.2)  # as far as it gets
            return when

        @_when.setter
        def _when(self, when: float) -> None:
            self.when = when

    async def main() -> None:
        rung = asyncio.Semaphore(0)
        sleeper = Sleeper(asyncio.get_running_loop(), rung.release)
        monkeypatch.setattr(sleeper._clock, "wait", sleeper.wait)
        sleeper.set(time.perf_counter() + 0.02)
        try:
            async with asyncio.timeout(10.0):
                await rung.acquire()
                await rung.acquire()
        finally:
            sleeper.close()

    asyncio.run(main())


@pytest.mark.parametrize("from_a_thread", [False, True])
def test_stop_ends_an_iteration_that_waits_for_an_item(from_a_thread: bool) -> None:
    seen: list[str] = []
    live: Any = None

    async def items() -> AsyncIterator[int]:
        try:
            yield 1
            for _ in range(2):
                threading.Thread(target=live.stop).start() if from_a_thread else live.stop()
            await asyncio.sleep(3600.0)
            yield 2
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def main() -> None:
        nonlocal live
        live = athrottle(items(), 1000.0)
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: seen.append(str(context))
        )
        async with asyncio.timeout(30.0):
            seen.extend([str(item) async for item in live])
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        assert len(asyncio.all_tasks()) == 1
        assert live.report().ok == 1

    asyncio.run(main())
    assert seen == ["cancelled", "1"]


def test_a_timeout_of_the_iterable_or_of_the_caller_is_theirs() -> None:
    async def late() -> AsyncIterator[int]:
        yield 1
        raise TimeoutError("no item came")

    async def main() -> None:
        with pytest.raises(TimeoutError, match="no item came"):
            _ = [item async for item in athrottle(late(), 1000.0)]

        async def for_ever() -> AsyncIterator[int]:
            yield await asyncio.Future()

        live = athrottle(for_ever(), 1000.0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                _ = [item async for item in live]

    asyncio.run(main())


def test_leaving_the_loop_early_leaves_nothing_behind(kind: str) -> None:
    before, files = threads(), open_files()

    async def main() -> None:
        async with athrottle(range(100), 1000.0) as live:
            async for k in live:
                if k == 3:
                    break
        assert live.report().ok == 4

    asyncio.run(main())
    assert not left(before)
    assert open_files() == files


def test_a_body_and_an_iterable_that_raise(kind: str) -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise OSError("the source went away")

    async def main() -> None:
        live = athrottle(range(5), 1000.0)

        async def loop() -> None:
            async with live:
                async for k in live:
                    _ = 1 / (2 - k)

        with pytest.raises(ZeroDivisionError):
            await loop()
        report = live.report()
        assert (report.ok, report.errors, report.in_flight) == (2, 1, 0)
        live = athrottle(items(), 1000.0)
        with pytest.raises(OSError, match="went away"):
            _ = [k async for k in live]
        assert live.report().ok == 3
        assert len(asyncio.all_tasks()) == 1

    before, files = threads(), open_files()
    asyncio.run(main())
    assert not left(before)
    assert open_files() == files


def test_open_loop_calls_and_their_outcomes() -> None:
    running = most = 0

    async def call(item: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        if item == 3:
            raise TimeoutError
        if item == 4:
            raise ValueError("four")

    done = asyncio.run(arun(call, range(60), 2000.0))
    assert (done.report.ok, done.report.errors, done.report.drops) == (58, 2, 1)
    assert done.failures == {"TimeoutError": 1, "ValueError: four": 1}
    assert most > 10
    most = 0
    done = asyncio.run(arun(call, range(60), 2000.0, max_in_flight=4))
    assert most == 4
    assert done.report.ok == 58
    # Sixty calls of 20 ms, four at a time: the last ones waited 14 turns.
    assert done.report.latency_max > 0.2


def test_the_limit_actuator_holds_tasks_back() -> None:
    running = most = 0

    async def call(_: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        running -= 1

    done = asyncio.run(arun(call, range(20), 5000.0, controller=SetOnce(limit=3.0)))
    assert most == 3
    assert done.report.ok == 20


def test_a_cancelled_run_cancels_its_calls() -> None:
    cancelled = 0

    async def call(_: int) -> None:
        nonlocal cancelled
        try:
            await asyncio.sleep(60.0)
        except asyncio.CancelledError:
            cancelled += 1
            raise

    handles: list[Any] = []

    async def main() -> None:
        task = asyncio.create_task(
            arun(call, range(1000), 500.0, max_in_flight=5, started=handles.append)
        )
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(asyncio.all_tasks()) == 1

    before, files = threads(), open_files()
    asyncio.run(main())
    assert cancelled == 5
    report = handles[0].report()
    assert (report.ok, report.errors, report.in_flight) == (0, 0, 0)
    assert not left(before)
    assert open_files() == files


def test_bad_numbers_in_flight() -> None:
    async def call(_: int) -> None:
        """Nothing."""

    with pytest.raises(InputError, match="max_in_flight=0; allowed"):
        asyncio.run(arun(call, [1], 5.0, max_in_flight=0))
