"""An event loop that is stopped, and not closed, while one of its tasks is at the head of the
line.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.watchdog import within

from tpssim import Limiter, athrottle
from tpssim.live import waiters as lines


@pytest.fixture
def stopped() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(loop.shutdown_asyncgens())  # with which the timers in it go
    loop.close()
    gc.collect()  # tests that count open files come later


def run_for(loop: asyncio.AbstractEventLoop, seconds: float) -> None:
    loop.call_later(seconds, loop.stop)
    loop.run_forever()


def ask_and_stop(loop: asyncio.AbstractEventLoop, limiter: Limiter, tasks: int = 1) -> list[Any]:
    """The first slot is taken; tasks wait for the next ones in a loop that is stopped."""
    limiter.acquire().done()
    with slowly(limiter):
        asking = [loop.create_task(limiter.aacquire()) for _ in range(tasks)]
        run_for(loop, 0.02)
        assert limiter.flow.queue.head is loop
    return asking


@contextlib.contextmanager
def slowly(handle: Any) -> Iterator[None]:
    """No slot comes meanwhile, however busy the machine is."""
    tps, handle.tps = handle.tps, 0.001
    yield
    handle.tps = tps


@pytest.mark.parametrize("who", ["thread", "loop", "same thread"])
def test_it_holds_up_nobody(stopped: asyncio.AbstractEventLoop, who: str) -> None:
    limiter = Limiter(2.0)
    asking = ask_and_stop(stopped, limiter, tasks=5)

    def main() -> None:
        if who == "loop":

            async def one() -> None:
                (await limiter.aacquire()).done()

            asyncio.run(one())
        else:
            limiter.acquire().done()

    if who == "same thread":
        limiter.acquire(20.0).done()
    else:
        within(20.0, main)
    assert not any(task.done() for task in asking)
    assert limiter.report().released == 2


def test_who_has_lost_his_turn_gets_in_line_again(stopped: asyncio.AbstractEventLoop) -> None:
    limiter = Limiter(5.0)
    asking = ask_and_stop(stopped, limiter, tasks=3)
    for _ in range(2):
        within(20.0, lambda: limiter.acquire().done())
    permits = stopped.run_until_complete(asyncio.wait_for(asyncio.gather(*asking), 20.0))
    # those of the line, each slot once
    assert sorted(permit.call for permit in permits) == [
        3,
        4,
        5,
    ]
    for permit in permits:
        permit.done()
    report = limiter.report()
    assert (report.released, report.ok, report.in_flight) == (6, 6, 0)
    assert limiter.flow.queue.baton == [None]
    assert not limiter.flow.queue.waiting


def test_one_that_runs_now_and_then_keeps_its_turn(
    stopped: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only who has not run at all for so long loses his turn, and not who is never seen to run."""
    now = [0.0]  # what the line's clock shows: a machine that is busy makes no loop rest longer
    monkeypatch.setattr(lines, "LOOK", 0.3)
    monkeypatch.setattr(lines, "time", SimpleNamespace(monotonic=lambda: now[0]))
    limiter = Limiter(0.5)
    (first,) = ask_and_stop(stopped, limiter)
    calls: list[int] = []
    thread = threading.Thread(target=lambda: calls.append(limiter.acquire().call), daemon=True)
    thread.start()

    async def turns() -> None:
        await asyncio.sleep(0.01)

    def main() -> None:
        while not first.done():
            stopped.run_until_complete(turns())
            now[0] += 0.1
            threading.Event().wait(0.1)

    within(20.0, main)
    assert first.result().call == 1
    first.result().done()
    thread.join(20.0)
    assert calls == [2]


def test_no_item_is_lost_or_comes_twice(stopped: asyncio.AbstractEventLoop) -> None:
    """The task that was stopped has fetched an item, which the next one gets."""
    live = athrottle(range(100), 5.0)
    assert stopped.run_until_complete(anext(live)) == 0
    with slowly(live):
        task = stopped.create_task(anext(live))
        run_for(stopped, 0.02)
    assert live.pending == (1,)

    async def others() -> list[int]:
        return [await anext(live) for _ in range(2)]

    assert within(20.0, lambda: asyncio.run(others())) == [1, 2]
    assert not task.done()
    assert stopped.run_until_complete(asyncio.wait_for(task, 20.0)) == 3
    assert live.report().released == 4


def test_a_task_that_is_gone_with_its_turn_gives_back_nothing(
    stopped: asyncio.AbstractEventLoop,
) -> None:
    """Its turn was taken from it; when it is cancelled, another one is the head."""
    limiter = Limiter(1.0)
    (task,) = ask_and_stop(stopped, limiter)
    took = threading.Event()

    def other() -> None:
        limiter.acquire().done()
        limiter.tps = 0.001
        took.set()
        limiter.acquire().done()  # when the rate is another one

    thread = threading.Thread(target=other, daemon=True)
    thread.start()
    assert took.wait(20.0)
    while limiter.flow.queue.head is None:  # until the thread waits for its second slot
        assert thread.is_alive()
    task.cancel()
    stopped.run_until_complete(asyncio.wait((task,), timeout=20.0))
    assert task.cancelled()
    assert limiter.flow.queue.baton == []
    assert limiter.flow.queue.head == thread.ident
    limiter.tps = 100.0
    thread.join(20.0)
    assert limiter.report().ok == 3


def test_one_that_runs_just_when_it_is_looked_at(
    stopped: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter = Limiter(2.0)
    ask_and_stop(stopped, limiter)
    ring = lines.ring

    def runs(*args: Any) -> bool:
        done = ring(*args)
        run_for(stopped, 0.0)
        return done

    monkeypatch.setattr(lines, "ring", runs)
    limiter.flow.queue.tidy()
    assert limiter.flow.queue.head is stopped
