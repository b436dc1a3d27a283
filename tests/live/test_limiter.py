"""`Limiter`: from threads and tasks at once, as a context, a decorator, by hand; timeouts, stop,
forks.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.laws import SetOnce, left, threads
from helpers.watchdog import within

import tpssim
from tpssim import Aborted, InputError, Limiter, Rejected
from tpssim.core.clocks import VirtualClock
from tpssim.live.events import events


def in_line(handle: Any) -> int:
    """How many want a slot, the head included."""
    line = handle.flow.queue
    return len(line.waiting) + int(not line.baton)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def counts(limiter: Limiter) -> tuple[float, float, float, float]:
    report = limiter.report()
    return report.ok, report.errors, report.drops, report.in_flight


def test_calls_are_settled_by_the_way_they_end() -> None:
    limiter = Limiter(1000.0, clock=VirtualClock())
    with limiter as permit:
        assert permit.in_flight == 1
        with limiter as inner:  # nested
            assert inner.in_flight == 2
    with pytest.raises(ValueError, match="body"), limiter:
        raise ValueError("body")
    with pytest.raises(Rejected), limiter:
        raise Rejected
    with pytest.raises(TimeoutError), limiter:
        raise TimeoutError
    with pytest.raises(KeyboardInterrupt), limiter:
        raise KeyboardInterrupt
    assert counts(limiter) == (2, 3, 2, 0)
    assert limiter.flow.tally.forgotten == 1


def test_the_same_in_a_coroutine() -> None:
    limiter = Limiter(1000.0)

    async def main() -> None:
        async with limiter, limiter as inner:
            assert inner.in_flight == 2
        with pytest.raises(ValueError, match="body"):
            async with limiter:
                raise ValueError("body")
        permit = await limiter.aacquire()
        async with permit:
            pass
        assert len(asyncio.all_tasks()) == 1

    before, files = threads(), open_files()
    within(30.0, lambda: asyncio.run(main()))
    assert counts(limiter) == (3, 1, 0, 0)
    assert not left(before)
    assert open_files() == files


def test_slots_are_those_of_the_schedule() -> None:
    clock = VirtualClock()
    limiter = Limiter(4.0, clock=clock)
    seen = []
    for k in range(5):
        with limiter:
            seen.append(clock.time())
            if k == 1:
                limiter.tps = 8.0
    assert seen == [0.0, 0.25, 0.375, 0.5, 0.625]


def test_as_a_decorator() -> None:
    limiter = Limiter(5000.0)

    @limiter
    def double(x: int) -> int:
        """Twice."""
        return 2 * x

    @limiter
    async def triple(x: int) -> int:
        await asyncio.sleep(0)
        return 3 * x

    class Client:
        @limiter
        def get(self, x: int) -> int:
            return double(x) + 1

        @limiter
        async def aget(self, x: int) -> int:
            return await triple(x) + 1

        @staticmethod
        @limiter
        def twice(x: int) -> int:
            return x

    async def main() -> tuple[int, int]:
        return await triple(3), await Client().aget(3)

    assert (double(2), Client().get(2), Client.twice(7)) == (4, 5, 7)
    assert asyncio.run(main()) == (9, 10)
    assert (double.__name__, double.__doc__) == ("double", "Twice.")
    assert inspect.iscoroutinefunction(triple)
    assert list(inspect.signature(double).parameters) == ["x"]
    assert inspect.iscoroutinefunction(limiter(functools.partial(triple)))
    assert counts(limiter)[:2] == (7, 0)

    @limiter
    def fails() -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        fails()
    assert counts(limiter)[:2] == (7, 1)


def test_generators_are_refused() -> None:
    async def agen() -> AsyncIterator[int]:
        yield 1

    def gen() -> Iterator[int]:
        yield 1

    limiter = Limiter(5.0)
    for function in (agen, gen):
        with pytest.raises(InputError, match=r"is a generator.*; allowed: "):
            limiter(function)
    with pytest.raises(InputError, match="cannot be called; allowed"):
        limiter(5)  # type: ignore[arg-type]


def test_a_timeout_takes_no_slot_and_moves_nobody_elses() -> None:
    limiter = Limiter(5.0, spin="off")

    def main() -> None:
        first = limiter.acquire()
        with pytest.raises(TimeoutError, match=r"no slot came within 0 s"):
            limiter.acquire(timeout=0)
        with pytest.raises(TimeoutError, match=r"within 0.01 s"):
            limiter.acquire(timeout=0.01)
        second = limiter.acquire(timeout=30.0)
        assert second.call == first.call + 1
        assert second.scheduled - first.scheduled == pytest.approx(0.2)
        assert limiter.report().released == 2

    within(60.0, main)


def test_waits_that_end_without_a_slot_are_counted() -> None:
    """The slot after the first is 100 s away."""
    limiter = Limiter(0.01, spin="off")

    async def main() -> None:
        async def timed_out(seconds: float) -> None:
            with pytest.raises(TimeoutError, match="no slot came within"):
                await limiter.aacquire(timeout=seconds)

        async def cancelled() -> None:
            async with limiter:
                pass

        with await limiter.aacquire():
            pass
        tasks = [asyncio.create_task(cancelled()) for _ in range(20)]
        await asyncio.gather(
            *(timed_out(0.02) for _ in range(30)), *(timed_out(0) for _ in range(7))
        )
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())
    with pytest.raises(TimeoutError):
        limiter.acquire(timeout=0.01)  # of a thread
    report = limiter.report()
    assert (report.released, report.went_without) == (1, 51)  # 30 + 20 + 1: seven only tried
    assert report.verdict.startswith(
        "51 of 52 waits ended without a slot (a timeout, or cancelled); "
    )
    assert "; 51 waits without a slot" in str(report)


def test_who_is_sent_away_has_not_given_up() -> None:
    limiter = Limiter(0.01, spin="off")

    async def main() -> None:
        async def wait() -> None:
            await limiter.aacquire(timeout=50.0)

        (await limiter.aacquire()).done()
        tasks = [asyncio.create_task(wait()) for _ in range(5)]
        await asyncio.sleep(0.01)
        limiter.stop()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(end) for end in ends} == {Aborted}

    asyncio.run(main())
    assert limiter.report().went_without == 0


def test_a_timeout_in_the_middle_of_the_line() -> None:
    limiter = Limiter(5.0)
    ended: list[str] = []

    def wait(name: str, timeout: float | None) -> None:
        try:
            permit = limiter.acquire(timeout)
            ended.append(f"{name}{permit.call}")
        except TimeoutError:
            ended.append(f"{name}-")

    def main() -> None:
        limiter.acquire()
        pool = []
        for n, (name, timeout) in enumerate([("a", None), ("b", 0.05), ("c", None), ("d", 0.05)]):
            pool.append(threading.Thread(target=wait, args=(name, timeout)))
            pool[-1].start()
            while in_line(limiter) <= n:
                time.sleep(0.001)
        for thread in pool:
            thread.join()

    within(30.0, main)
    assert sorted(ended) == ["a1", "b-", "c2", "d-"]
    assert ended.index("a1") < ended.index("c2")


@pytest.mark.parametrize("timeout", [-1.0, "5", math.nan, True])
def test_bad_timeouts(timeout: Any) -> None:
    with pytest.raises(InputError, match=r"timeout=.*; allowed: seconds >= 0, or None"):
        Limiter(5.0).acquire(timeout)


def test_threads_and_tasks_stand_in_one_line() -> None:
    before, files = threads(), open_files()
    limiter = Limiter(1000.0, late="burst")
    calls: list[int] = []

    def thread() -> None:
        for _ in range(10):
            with limiter as permit:
                calls.append(permit.call)
                time.sleep(0.001)

    async def task(k: int) -> None:
        async with limiter as permit:
            calls.append(permit.call)
            await asyncio.sleep(0.001)
            if k % 20 == 3:
                raise ValueError

    async def tasks() -> None:
        await asyncio.gather(*(task(k) for k in range(200)), return_exceptions=True)

    def main() -> None:
        pool = [threading.Thread(target=thread) for _ in range(20)]
        loops = [threading.Thread(target=asyncio.run, args=(tasks(),)) for _ in range(2)]
        for each in (*pool, *loops):
            each.start()
        for each in (*pool, *loops):
            each.join()

    within(120.0, main)
    assert sorted(calls) == list(range(600))
    report = limiter.report()
    assert (report.released, report.ok, report.errors, report.in_flight) == (600, 580, 20, 0)
    assert limiter.flow.pacer is not None
    assert limiter.flow.released_at - limiter.flow.pacer.start >= 599 / 1000 - 1e-9
    limiter.close()
    assert not left(before)
    assert open_files() == files


def test_tasks_and_threads_get_slots_in_the_order_in_which_they_asked() -> None:
    limiter = Limiter(20.0)
    order: list[int] = []

    def thread(k: int) -> None:
        with limiter:
            order.append(k)

    async def task(k: int) -> None:
        async with limiter:
            order.append(k)

    async def main() -> None:
        limiter.acquire().done()
        waiting: list[Any] = []
        for k in range(6):
            if k % 2:
                waiting.append(asyncio.create_task(task(k)))
            else:
                waiting.append(asyncio.create_task(asyncio.to_thread(thread, k)))
            while in_line(limiter) <= k:
                await asyncio.sleep(0.0005)
        await asyncio.gather(*waiting)

    within(30.0, lambda: asyncio.run(main()))
    assert order == list(range(6))


def test_cancelled_tasks_take_no_slots() -> None:
    limiter = Limiter(100.0)
    got: list[int] = []

    async def call(k: int) -> None:
        async with limiter as permit:
            got.append(permit.call)

    async def main() -> None:
        tasks = [asyncio.create_task(call(k)) for k in range(50)]
        await asyncio.sleep(0.02)
        for k, task in enumerate(tasks):
            if k % 5:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    within(30.0, lambda: asyncio.run(main()))
    assert got == list(range(len(got)))
    assert 10 <= len(got) < 50
    assert counts(limiter) == (len(got), 0, 0, 0)


def test_after_stop_whoever_waits_or_asks_gets_an_error() -> None:
    limiter = Limiter(0.01)
    said: list[str] = []

    def thread() -> None:
        try:
            limiter.acquire()
        except Aborted as error:
            said.append(str(error))

    async def task() -> None:
        with pytest.raises(Aborted, match="was stopped"):
            await limiter.aacquire()

    async def main() -> None:
        limiter.acquire().done()
        pool = [threading.Thread(target=thread) for _ in range(3)]
        tasks = [asyncio.create_task(task()) for _ in range(3)]
        for each in pool:
            each.start()
        while in_line(limiter) < 6:
            await asyncio.sleep(0.001)
        limiter.stop()
        await asyncio.gather(*tasks)
        for each in pool:
            each.join()

    within(30.0, lambda: asyncio.run(main()))
    assert said == ["this limiter was stopped and releases no more calls; allowed: a new one"] * 3
    with pytest.raises(Aborted), limiter:
        pass
    limiter.close()


def test_a_thread_that_holds_up_its_own_loop_is_refused_and_not_hung() -> None:
    limiter = Limiter(0.1)

    async def main() -> None:
        limiter.acquire().done()
        task = asyncio.create_task(limiter.aacquire())
        await asyncio.sleep(0.01)
        with pytest.raises(InputError, match="event loop that it blocks; allowed: async with"):
            limiter.acquire()
        task.cancel()

    within(30.0, lambda: asyncio.run(main()))


def test_a_with_that_another_thread_leaves_is_reported() -> None:
    limiter = Limiter(1000.0)
    limiter.__enter__()
    with pytest.raises(InputError, match="another thread or task leaves"):
        within(10.0, lambda: limiter.__exit__(None, None, None))


def test_a_recording_of_a_limiter_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "run.ndjson"
    limiter = Limiter(1000.0, record=path, controller="aimd")
    for _ in range(5):
        with limiter:
            pass
    limiter.close()
    kinds = [event["e"] for event in events(path)]
    assert kinds[:2] == ["header", "start"]
    assert (kinds.count("release"), kinds.count("end"), kinds[-1]) == (5, 5, "stop")


FORK = """
import asyncio, os, sys, threading, time
from tpssim import Limiter
limiter = Limiter(50.0, controller="netflix-aimd", record=sys.argv[1])
held = limiter.acquire()
over = threading.Event()
def work():  # threads of the parent: they wait in line, and hold the locks now and then
    while not over.is_set():
        with limiter:
            pass
pool = [threading.Thread(target=work, daemon=True) for _ in range(5)]
for thread in pool:
    thread.start()
async def some():
    async with limiter:
        pass
asyncio.run(some())
for _ in range(5):
    time.sleep(0.003)
    child = os.fork()
    if child == 0:
        held.done()  # the parent's call, and not this one's
        before = limiter.report().released
        for _ in range(3):
            with limiter:
                pass
        asyncio.run(some())
        report = limiter.report()
        assert report.released == before + 4, report
        assert report.in_flight == 0, report
        limiter.close()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
over.set()
for thread in pool:
    thread.join()
assert limiter.report().in_flight == 1
held.done()
assert limiter.report().in_flight == 0
limiter.close()
print("fine")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_copy_in_a_forked_child_is_its_own(tmp_path: Path) -> None:
    path = tmp_path / "run.ndjson"
    done = subprocess.run(
        [sys.executable, "-c", FORK, str(path)], capture_output=True, text=True, timeout=60.0
    )
    assert done.stdout == "fine\n", done.stderr
    kinds = [event["e"] for event in events(path)]
    assert kinds[-1] == "stop"
    assert kinds.count("release") == kinds.count("end")


def test_it_is_public_and_loads_no_asyncio_for_threads() -> None:
    assert "Limiter" in tpssim.__all__
    program = (
        "import sys; from tpssim import Limiter\nwith Limiter(1000.0): pass\nprint('asyncio' in"
        " sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60.0
    )
    assert done.stdout == "False\n", done.stderr


def test_a_limit_lets_so_many_through_and_a_raising_law_is_reported() -> None:
    limiter = Limiter(10_000.0, controller=SetOnce(math.inf, 2.0))
    a, b = limiter.acquire(), limiter.acquire()
    with pytest.raises(TimeoutError):
        limiter.acquire(timeout=0.01)
    a.done()
    c = limiter.acquire(timeout=30.0)
    del b  # garbage is forgotten
    d = limiter.acquire(timeout=30.0)
    c.done()
    d.fail()
    assert counts(limiter) == (2, 1, 0, 0)
    assert limiter.flow.tally.forgotten == 1


def test_a_limiter_may_be_entered_by_others_than_a_with() -> None:
    """An `ExitStack` or an `__enter__` of the user's calls ours, and has returned long before the
    end.
    """

    class Client:
        def __enter__(self) -> None:
            limiter.__enter__()

        def __exit__(self, *error: Any) -> None:
            limiter.__exit__(*error)

    limiter = Limiter(1e6)
    with contextlib.ExitStack() as stack:
        stack.enter_context(limiter)
        stack.enter_context(limiter)
        with limiter, Client(), Client():
            assert limiter.report().in_flight == 5
    assert (limiter.report().ok, limiter.report().forgotten) == (5, 0)
