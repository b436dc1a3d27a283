"""An iterable that raises in the middle of a run: calls that may have been sent are not cut off."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from helpers.watchdog import within

from tpssim import arun, athrottle, run
from tpssim.live.jobs import Run


class Gone(Exception):
    """Of the iterable."""


def of(error: BaseException | None) -> Run:
    found: Run = error.run  # type: ignore[union-attr]
    return found


def test_a_pool_ends_the_calls_in_hand() -> None:
    begun, raised = threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        yield 1
        begun.wait()
        raised.set()
        raise Gone

    def call(item: int) -> int:
        begun.set()
        raised.wait()
        return item

    with pytest.raises(Gone) as caught:
        within(30.0, lambda: run(call, items(), 1000.0))
    done = of(caught.value)
    assert (done.results, done.pending) == ([1], [])


@pytest.mark.parametrize("retries", [None, 1])
def test_tasks_end_the_calls_in_hand(retries: int | None) -> None:
    async def main() -> None:
        begun, raised = asyncio.Event(), asyncio.Event()

        async def items() -> AsyncIterator[int]:
            yield 1
            await begun.wait()
            raised.set()
            raise Gone

        async def call(item: int) -> int:
            begun.set()
            await raised.wait()
            await asyncio.sleep(0.01)
            return item

        await arun(call, items(), 1000.0, retries=retries)

    with pytest.raises(Gone) as caught:
        within(30.0, lambda: asyncio.run(main()))
    done = of(caught.value)
    assert (done.results, done.pending) == ([1], [])
    assert (done.report.ok, done.report.in_flight) == (1, 0)


def test_calls_that_have_not_begun_are_pending_in_both() -> None:
    """One call at a time: the second item was released and waits for its turn when the iterable
    raises.
    """

    def items(first: threading.Event, raised: threading.Event) -> Iterator[int]:
        yield 1
        first.wait()
        yield 2
        raised.set()
        raise Gone

    def pool() -> None:
        first, raised = threading.Event(), threading.Event()

        def call(item: int) -> int:
            first.set()
            raised.wait()
            while not stopped[0].flow.stopped:
                threading.Event().wait(0.001)
            return item

        stopped: list[Any] = []
        run(call, items(first, raised), 1000.0, workers=1, started=stopped.append)

    async def tasks() -> None:
        begun, raised = asyncio.Event(), asyncio.Event()

        async def aitems() -> AsyncIterator[int]:
            yield 1
            await begun.wait()
            yield 2
            raised.set()
            raise Gone

        async def call(item: int) -> int:
            begun.set()
            await raised.wait()
            while not stopped[0].flow.stopped:
                await asyncio.sleep(0.001)
            return item

        stopped: list[Any] = []
        await arun(call, aitems(), 1000.0, max_in_flight=1, started=stopped.append)

    for body in (pool, lambda: asyncio.run(tasks())):
        with pytest.raises(Gone) as caught:
            within(30.0, body)
        done = of(caught.value)
        assert (done.results, done.pending) == ([1, None], [2])


def test_who_cancels_meanwhile_does_not_wait_for_the_calls() -> None:
    async def main() -> None:
        begun, raised = asyncio.Event(), asyncio.Event()

        async def items() -> AsyncIterator[int]:
            yield 1
            await begun.wait()
            raised.set()
            raise Gone

        async def call(_: int) -> None:
            begun.set()
            await asyncio.sleep(3600.0)

        task = asyncio.create_task(arun(call, items(), 1000.0))
        await raised.wait()
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError) as caught:
        within(30.0, lambda: asyncio.run(main()))
    assert of(caught.value).pending == [1]


def test_a_timeout_has_the_run_as_its_cause() -> None:
    async def main() -> None:
        async with asyncio.timeout(None) as end:

            async def call(_: int) -> None:
                end.reschedule(0.0)  # at once
                await asyncio.sleep(3600.0)

            await arun(call, [1], 1000.0)

    with pytest.raises(TimeoutError) as caught:
        within(30.0, lambda: asyncio.run(main()))
    assert of(caught.value.__cause__).pending == [1]


def test_what_an_iterable_raises_when_nobody_waits_any_more_is_raised_to_the_next() -> None:
    """Whoever waited for the item was cancelled; the fetch went on, and failed."""

    async def items() -> AsyncIterator[int]:
        yield 0
        await failing.wait()
        raise Gone

    failing = asyncio.Event()

    async def main() -> None:
        live = athrottle(items(), 1e6)
        assert await anext(live) == 0
        waiting = asyncio.create_task(live.__anext__())
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.wait((waiting,))
        failing.set()
        await asyncio.sleep(0.01)
        with pytest.raises(Gone):
            await anext(live)

    asyncio.run(main())
