"""One throttle in many hands: threads and tasks, in real time."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import math
import os
import queue
import signal
import threading
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import pytest
from helpers.laws import Actuators, SetOnce, left, threads
from helpers.watchdog import within

from tpssim import Aborted, InputError, Observation, ThrottleWarning, athrottle, throttle
from tpssim.core.clocks import VirtualClock
from tpssim.live import releases


def in_line(handle: Any) -> int:
    """How many want a slot, the head included."""
    line = handle.flow.queue
    return len(line.waiting) + int(not line.baton)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def sums_agree(live: Any) -> bool:
    """Every release is somewhere."""
    report = live.report()
    return bool(report.released == report.ok + report.errors + report.in_flight + report.forgotten)


def never_faster(live: Any, times: list[float], tps: float) -> bool:
    """No release is before its place, and no stretch holds more than it and 0.1 s have slots, and
    one.
    """
    ahead = [k - tps * (t - live.flow.pacer.start) for k, t in enumerate(sorted(times))]
    least = itertools.accumulate(ahead, min)
    return all(
        now <= 1e-6 and now - then <= 0.1 * tps for now, then in zip(ahead, least, strict=True)
    )


@pytest.mark.parametrize("controller", [None, "netflix-vegas", "headroom"])
def test_threads_share_one_schedule(controller: str | None) -> None:
    before = threads()
    live = throttle(range(200), tps=1000.0, controller=controller)
    seen: list[int] = []
    times: list[float] = []

    def work() -> None:
        for item in live:
            seen.append(item)
            times.append(live._owners.mine()[-1].released)
            time.sleep(0.005)

    def main() -> None:
        pool = [threading.Thread(target=work) for _ in range(100)]
        for thread in pool:
            thread.start()
        for thread in pool:
            thread.join()

    within(60.0, main)
    assert sorted(seen) == list(range(200))
    report = live.report()
    assert (report.released, report.ok, report.in_flight, report.early) == (200, 200, 0, 0)
    assert never_faster(live, times, 1000.0)
    assert not left(before)


@pytest.mark.parametrize("way", ["plain", "permits"])
def test_tasks_share_one_schedule(way: str) -> None:
    before, files = threads(), open_files()
    live = athrottle(range(200), tps=1000.0)
    seen: list[int] = []
    times: list[float] = []

    async def plain() -> None:
        async for item in live:
            seen.append(item)
            times.append(live._owners.mine()[-1].released)
            await asyncio.sleep(0.005)

    async def with_permits(permits: Any) -> None:
        async for item, permit in permits:
            with permit:
                seen.append(item)
                times.append(permit.released)
                await asyncio.sleep(0.005)

    async def main() -> None:
        permits = live.permits() if way == "permits" else None
        await asyncio.gather(
            *(plain() if permits is None else with_permits(permits) for _ in range(100))
        )
        assert len(asyncio.all_tasks()) == 1

    within(60.0, lambda: asyncio.run(main()))
    assert seen == list(range(200))
    report = live.report()
    assert (report.released, report.ok, report.in_flight, report.early) == (200, 200, 0, 0)
    assert never_faster(live, times, 1000.0)
    assert not left(before)
    assert open_files() == files


def test_permits_are_one_iterator_for_all_threads() -> None:
    permits = throttle(range(100), tps=2000.0).permits()
    seen: list[int] = []

    def work() -> None:
        for item, permit in permits:
            with permit:
                seen.append(item)

    def main() -> None:
        pool = [threading.Thread(target=work) for _ in range(10)]
        for thread in pool:
            thread.start()
        for thread in pool:
            thread.join()

    within(30.0, main)
    assert sorted(seen) == list(range(100))


def test_a_call_is_forgotten_when_its_thread_ends() -> None:
    live = throttle(range(10), tps=1000.0, controller=SetOnce(math.inf, 1.0))

    def main() -> None:
        for _ in range(5):  # with a call that stayed open, the second one would wait for ever
            thread = threading.Thread(target=lambda: next(live))
            thread.start()
            thread.join()

    within(30.0, main)
    assert live.report().in_flight == 0
    assert live.report().forgotten == 5
    assert sums_agree(live)


def test_a_call_is_forgotten_when_its_task_ends() -> None:
    live = athrottle(range(10), tps=1000.0, controller=SetOnce(math.inf, 1.0))

    async def main() -> None:
        kept = []
        for _ in range(5):
            task = asyncio.create_task(one())
            kept.append(task)  # who keeps the task keeps no call
            await task

    async def one() -> int:
        return await anext(live)

    within(30.0, lambda: asyncio.run(main()))
    assert live.report().forgotten == 5
    assert sums_agree(live)


def test_a_permit_that_is_garbage_is_forgotten() -> None:
    """Every second task is cancelled before it begins, so nobody ever enters its permit."""
    live = athrottle(range(100), tps=20_000.0, controller=SetOnce(math.inf, 3.0))
    made = 0

    async def call(permit: Any) -> None:
        nonlocal made
        with permit:
            made += 1

    async def main() -> None:
        tasks = set()
        async for k, permit in live.permits():
            task = asyncio.create_task(call(permit))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            del permit
            if k % 2:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    within(30.0, lambda: asyncio.run(main()))
    gc.collect()
    assert made == 50
    assert live.report().forgotten == 50
    assert live.report().in_flight == 0
    assert sums_agree(live)


def test_permits_that_nobody_settles_are_warned_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases, "PATIENCE", 0.05)
    live = throttle(range(10), tps=1000.0, controller=SetOnce(math.inf, 2.0))

    def main() -> None:
        def stop() -> None:
            while not live.flow._stuck:  # the watchdog ends it
                time.sleep(0.001)
            live.stop()

        threading.Thread(target=stop, daemon=True).start()
        held = [permit for _, permit in live.permits()]
        assert len(held) == 2

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        within(30.0, main)
    said = [str(w.message) for w in caught if w.category is ThrottleWarning]
    assert len(said) == 1
    assert said[0].startswith("2 calls are in flight, which is the limit of SetOnce, and none has")


def test_the_line_is_first_come_first_served() -> None:
    live = throttle(range(6), tps=20.0)
    order: list[int] = []

    def work(k: int) -> None:
        next(live)
        order.append(k)

    def main() -> None:
        next(live)  # the next slot is 50 ms away
        pool = [threading.Thread(target=work, args=(k,)) for k in range(5)]
        for n, thread in enumerate(pool):
            thread.start()
            while in_line(live) <= n:
                time.sleep(0.001)
        for thread in pool:
            thread.join()

    within(30.0, main)
    assert order == [0, 1, 2, 3, 4]


def test_a_timeout_takes_no_slot_and_no_item() -> None:
    live = throttle("abc", tps=10.0, spin="off")
    permits = live.permits()

    def main() -> None:
        first, permit = permits.next(timeout=5.0)
        permit.done()
        assert first == "a"
        for seconds in (0.0, 0.001):
            with pytest.raises(TimeoutError, match="no slot came within"):
                permits.next(timeout=seconds)
        assert live.pending == ("b",)
        begun = permit.released
        for text, slot in (("b", 1), ("c", 2)):
            item, permit = permits.next()
            permit.done()
            assert (item, permit.call) == (text, slot)
            assert permit.scheduled == pytest.approx(begun + slot / 10.0, abs=0.05)
        assert next(permits, None) is None

    within(30.0, main)
    with pytest.raises(InputError, match="timeout=-1; allowed"):
        permits.next(timeout=-1)


def test_a_cancelled_wait_loses_nothing() -> None:
    # so slow that a busy machine does not make the waits too long
    live = athrottle("abcd", tps=1.0)

    async def main() -> str:
        got = await anext(live)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(live), 0.005)
        assert live.pending == ("b",)
        task = asyncio.create_task(anext(live))
        await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(TimeoutError):
            await live.permits().next(timeout=0.005)
        live.tps = 1000.0
        return got + "".join([item async for item in live])

    assert within(30.0, lambda: asyncio.run(main())) == "abcd"
    assert live.pending == ()
    assert live.report().released == 4


def test_a_cancelled_wait_for_an_item_leaves_the_source_alone() -> None:
    line: asyncio.Queue[str] = asyncio.Queue()

    async def items() -> AsyncIterator[str]:
        for _ in range(3):
            yield await line.get()

    async def main() -> list[str]:
        live = athrottle(items(), tps=1000.0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await anext(live)
        with pytest.raises(TimeoutError):
            await live.permits().next(timeout=0.01)
        line.put_nowait("a")
        while live.pending != ("a",):  # the watchdog ends it
            await asyncio.sleep(0.001)
        line.put_nowait("b")
        line.put_nowait("c")
        found = [item async for item in live]
        assert len(asyncio.all_tasks()) == 1
        return found

    assert within(30.0, lambda: asyncio.run(main())) == ["a", "b", "c"]


def test_stop_while_many_wait_sends_all_away_and_says_what_is_pending() -> None:
    live = throttle(range(10), tps=0.01)

    def main() -> None:
        assert next(live) == 0
        ended: queue.SimpleQueue[int] = queue.SimpleQueue()
        pool = [threading.Thread(target=lambda: ended.put(len(list(live)))) for _ in range(5)]
        for thread in pool:
            thread.start()
        while in_line(live) < 5:
            time.sleep(0.001)
        live.stop()
        for thread in pool:
            thread.join()
        assert [ended.get() for _ in pool] == [0] * 5
        assert live.pending == (1,)

    within(30.0, main)


def test_stop_sends_those_away_who_wait_behind_a_source_that_gives_nothing() -> None:
    line: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    live = throttle(iter(line.get, None), tps=1000.0)
    pool = [threading.Thread(target=list, args=(live,), daemon=True) for _ in range(4)]

    def main() -> None:
        for thread in pool:
            thread.start()
        while in_line(live) < 4:
            time.sleep(0.001)
        live.stop()
        while sum(thread.is_alive() for thread in pool) > 1:
            time.sleep(0.001)
        line.put(7)  # the first one waits for an item still, which nobody can cut off
        for thread in pool:
            thread.join()
        assert live.pending == (7,)

    within(30.0, main)


def test_an_error_of_the_iterable_leaves_the_throttle_open() -> None:
    class Flaky:
        n = 0

        def __iter__(self) -> Flaky:
            return self

        def __next__(self) -> int:
            self.n += 1
            if self.n == 2:
                raise OSError("not now")
            if self.n > 4:
                raise StopIteration
            return self.n

    live = throttle(Flaky(), tps=1000.0, clock=VirtualClock())
    assert next(live) == 1
    with pytest.raises(OSError, match="not now"):
        next(live)
    assert list(live) == [3, 4]
    assert live.report().ok == 3


def test_an_interrupted_wait_keeps_the_item() -> None:
    class Interrupted(VirtualClock):
        def wait(self, deadline: float, spin: float) -> float:
            if deadline > 0.0 and not hurt:
                hurt.append(1)
                raise KeyboardInterrupt
            return super().wait(deadline, spin)

    hurt: list[int] = []
    live = throttle("abc", tps=10.0, clock=Interrupted())
    assert next(live) == "a"
    with pytest.raises(KeyboardInterrupt):
        next(live)
    assert live.pending == ("b",)
    assert list(live) == ["b", "c"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_one_athrottle_in_two_loops(asynchronous: bool) -> None:
    class Numbers:
        n = 0

        def __aiter__(self) -> Numbers:
            return self

        async def __anext__(self) -> int:
            await asyncio.sleep(0)
            if self.n == 20:
                raise StopAsyncIteration
            self.n += 1
            return self.n - 1

    before, files = threads(), open_files()
    live = athrottle(Numbers() if asynchronous else range(20), tps=1000.0)

    async def some(n: int) -> list[int]:
        return [await anext(live) for _ in range(n)]

    async def rest() -> list[int]:
        return [item async for item in live]

    def main() -> list[int]:
        return asyncio.run(some(5)) + asyncio.run(some(3)) + asyncio.run(rest())

    assert within(30.0, main) == list(range(20))
    assert sums_agree(live)
    assert not left(before)
    assert open_files() == files


def test_an_asynchronous_generator_that_went_with_its_loop_is_reported() -> None:
    async def items() -> AsyncIterator[int]:
        for k in range(20):
            yield k

    live = athrottle(items(), tps=1000.0)

    async def one() -> int:
        return await anext(live)

    def main() -> None:
        assert asyncio.run(one()) == 0
        with pytest.raises(Aborted, match="closed with the event loop that it began in; allowed"):
            asyncio.run(one())

    within(30.0, main)


def test_a_loop_that_is_gone_gives_its_turn_on() -> None:
    live = athrottle(range(9), tps=5.0)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(anext(live))
    waiting = loop.create_task(anext(live))
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
    loop.close()  # with a task that waits for its slot

    async def main() -> list[int]:
        return [await anext(live) for _ in range(2)]

    assert within(30.0, lambda: asyncio.run(main())) == [1, 2]
    assert not waiting.done()
    with contextlib.suppress(RuntimeError):
        waiting.get_coro().close()


def test_a_law_may_ask_change_and_stop() -> None:
    live: Any = None
    seen: list[float] = []

    class Busybody(NamedTuple):
        def init(self, target: float) -> SetOnce:
            return SetOnce(target)

        def update(self, state: SetOnce, obs: Observation) -> SetOnce:
            seen.append(live.report().released)
            if len(seen) == 3:
                live.tps = 4.0
            if len(seen) == 8:
                live.stop()
            return state

    clock = VirtualClock()
    live = throttle(range(100), 2.0, clock=clock, controller=Busybody(), late="burst")
    times = within(10.0, lambda: [clock.time() for _ in live])
    # The third call ends with the request for the fourth, which is due 0.5 s after the third at 2 a
    # second.
    assert live.tps == 4.0
    assert len(times) == 7
    assert times[3:] == pytest.approx([times[3] + k * 0.5 for k in range(4)])
    assert seen[:3] == [1, 2, 3]


def test_a_signal_handler_may_do_anything_at_any_moment() -> None:
    """A handler that comes thousands of times, in the main thread, which paces."""
    live = throttle(range(3000), tps=1e6, late="burst")
    count = 0

    def handler(*_: Any) -> None:
        nonlocal count
        count += 1
        live.report()
        live.why()
        live.tps = 1e6 + count
        if count == 2000:
            live.stop()

    def shoot() -> None:
        while not over.is_set():
            signal.pthread_kill(main or 0, signal.SIGUSR1)
            time.sleep(2e-5)

    over = threading.Event()
    main = threading.main_thread().ident
    assert main is not None
    before = signal.signal(signal.SIGUSR1, handler)
    shooter = threading.Thread(target=shoot)
    hung: list[int] = []

    def give_up(*_: Any) -> None:
        hung.append(1)
        live.stop()

    alarm = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(60)
    shooter.start()
    try:
        taken = sum(1 for _ in live)
    finally:
        over.set()
        shooter.join()
        signal.alarm(0)
        signal.signal(signal.SIGUSR1, before)
        signal.signal(signal.SIGALRM, alarm)
    assert not hung
    assert count > 0
    assert taken == live.report().released
    assert sums_agree(live)


@pytest.mark.parametrize("rate", [math.nan, -5.0])
def test_a_law_with_an_invalid_first_state_is_refused_at_once(rate: float) -> None:
    with pytest.raises(
        InputError, match=rf"controller SetOnce begins with an invalid state at tps=5: rate={rate}"
    ):
        throttle("ab", 5.0, controller=SetOnce(rate))

    class NoState(NamedTuple):
        def init(self, target: float) -> Any:
            return None

        def update(self, state: Any, obs: Observation) -> Any:
            return state

    with pytest.raises(InputError, match="a state None"):
        throttle("ab", 5.0, controller=NoState())


def test_who_asks_again_from_within_is_refused() -> None:
    live: Any = None

    def items() -> Iterator[int]:
        yield 1
        yield next(live)

    live = throttle(items(), 1000.0, clock=VirtualClock())
    assert next(live) == 1
    with pytest.raises(InputError, match="waits for a slot already"):
        within(10.0, lambda: next(live))


def test_a_failed_law_reaches_everybody() -> None:
    class Mortal(NamedTuple):
        def init(self, target: float) -> Actuators:
            return Actuators(target, math.inf, 0.0)

        def update(self, state: Actuators, obs: Observation) -> Actuators:
            raise ZeroDivisionError("ouch")

    live = throttle(range(100), 1000.0, controller=Mortal())
    ends: queue.SimpleQueue[str] = queue.SimpleQueue()

    def work() -> None:
        try:
            list(live)
            ends.put("ended")
        except Aborted as error:
            ends.put(str(error))

    def main() -> list[str]:
        pool = [threading.Thread(target=work) for _ in range(5)]
        for thread in pool:
            thread.start()
        for thread in pool:
            thread.join()
        return [ends.get() for _ in pool]

    assert within(30.0, main) == ["Mortal failed: ZeroDivisionError: ouch"] * 5
