"""`athrottle` and `arun`: calls from a coroutine, the event loop serving others meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

from tpssim.clock import Clock
from tpssim.core import OK, checked_count
from tpssim.live.account import warn
from tpssim.live.alarm import BorrowedLoopClock, LoopClock
from tpssim.live.arguments import checked_call, checked_total, cycled, cycled_async
from tpssim.live.blocking import Failures, Run
from tpssim.live.flow import Flow
from tpssim.live.permits import Handle, Permit
from tpssim.pacing import Late

T = TypeVar("T")


class Patience:
    """Waits for the items of an asynchronous iterable, until it is lost: a wait is cancelled then."""

    def __init__(self) -> None:
        self._lost = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wait: asyncio.Timeout | None = None  # the one in progress

    async def items(self, items: AsyncIterator[T]) -> AsyncIterator[T]:
        """The items, as they come."""
        self._loop = asyncio.get_running_loop()
        while not self._lost:
            try:
                async with asyncio.timeout(None) as wait:
                    self._wait = wait
                    item = await anext(items)
            except StopAsyncIteration:
                return
            except TimeoutError:
                if wait.expired():
                    return
                raise
            finally:
                self._wait = None
            yield item

    def lose(self) -> None:
        """Wait no more. Any thread."""
        self._lost = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._give_up)

    def _give_up(self) -> None:
        wait, self._wait = self._wait, None
        if wait is not None:
            wait.reschedule(0.0)


class AsyncThrottle(Handle, Generic[T]):
    """What `athrottle` returns: an asynchronous iterator over items, and the handle of the run.

    Iterating (`async for`, `anext`, `permits`) belongs to one task. `tps`, `stop`, `report`, `why` and the
    permits may be used from any task and thread. As a context it closes itself, and an exception that leaves
    the block counts as a failure of the call in hand. Without one, close it if you leave the loop early.
    """

    def __init__(
        self,
        items: Iterable[T] | AsyncIterable[T],
        tps: float,
        total: int | None,
        controller: Any,
        late: Late | str,
        spin: float | str,
        clock: Clock | None,
        record: str | Path | None,
        seed: int,
    ) -> None:
        self._patience = Patience()
        if isinstance(items, AsyncIterable):
            self._items = self._patience.items(cycled_async(items, checked_total(total)))
        else:
            self._items = _one_by_one(cycled(items, total))
        self._timing = LoopClock(spin) if clock is None else BorrowedLoopClock(clock, spin)
        self._in_loop = True if clock is None else None
        self._hand: Permit | None = None  # the call in the caller's hand, while iterated plainly
        options = {"total": total, "spin": spin}
        self.flow = Flow(tps, controller, late, record, seed, self._timing, options)

    def __aiter__(self) -> AsyncThrottle[T]:
        return self

    async def __anext__(self) -> T:
        hand, self._hand = self._hand, None
        asked = self.flow.timing.now() if hand is None else self.flow.settle(hand, OK)
        item, self._hand = await self._next(asked)
        return item

    async def permits(self) -> AsyncIterator[tuple[T, Permit]]:
        """(item, permit) at their times; several permits may be open at once, in any tasks."""
        if self.flow.calls == "blocking":
            self.flow.calls = "permits"
        while True:
            try:
                yield await self._next(self.flow.timing.now())
            except StopAsyncIteration:
                return

    async def _next(self, asked: float) -> tuple[T, Permit]:
        """`asked` is when the caller came for it: from then on, the iterable apart, time is our own."""
        flow, now = self.flow, self.flow.timing.now
        if flow.pacer is not None:
            flow.tally.blocked += asked - flow.released_at
        try:
            if flow.stopped:
                raise StopAsyncIteration
            before = now()
            item = await anext(self._items)
            took = now() - before
            if flow.pacer is None:
                begun = flow.begin(self._in_loop)
            else:
                begun = asked + took
                flow.tally.fetching += took
            while not flow.stopped:
                deadline = flow.deadline()
                if flow.complaint:
                    warn(flow.complaint)
                permit = flow.release(await self._timing.wait(deadline), begun)
                if permit is not None:
                    return item, permit
            raise StopAsyncIteration
        except StopAsyncIteration:
            self._timing.close()
            flow.finish()
            raise
        except BaseException:
            self.close()
            raise

    def stop(self) -> None:
        """Release nothing more; the iteration ends, also one that waits for an item. Any thread."""
        super().stop()
        self._patience.lose()

    def close(self) -> None:
        """Stop; nothing is left in the loop; a recording is completed."""
        self._leave()
        self.flow.end()

    def _leave(self) -> None:
        """Stop; the call in hand is forgotten."""
        self.flow.stop()
        self._timing.close()
        if self._hand is not None:
            self._hand.forget()
            self._hand = None

    async def __aenter__(self) -> AsyncThrottle[T]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        hand, self._hand = self._hand, None
        if hand is not None:
            hand.__exit__(kind, error, trace)
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "flow"):
            self._leave()
            self.flow.finish()  # permits that are open still may be settled


async def _one_by_one(items: Iterable[T]) -> AsyncIterator[T]:
    for item in items:
        yield item


def athrottle(
    items: Iterable[T] | AsyncIterable[T],
    tps: float,
    total: int | None = None,
    *,
    controller: Any = None,
    late: Late | str = "burst",
    spin: float | str = "auto",
    clock: Clock | None = None,
    record: str | Path | None = None,
    seed: int = 0,
) -> AsyncThrottle[T]:
    """The asynchronous twin of `throttle`, with the same arguments: `async for item in athrottle(...)`.

    Waits by the kernel's timer file (a sleeping thread where there is none) until shortly before the
    deadline, then goes round the loop; other tasks run all the while. One call at a time, as in `throttle`:
    for many, start tasks and hand them the permit (`permits`), or use `arun`. `items` may be asynchronous.

    >>> async def main():
    ...     return [item async for item in athrottle("ab", 1000, 3)]
    >>> asyncio.run(main())
    ['a', 'b', 'a']
    """
    return AsyncThrottle(items, tps, total, controller, late, spin, clock, record, seed)


async def arun(
    call: Callable[[T], Awaitable[Any]],
    items: Iterable[T] | AsyncIterable[T],
    tps: float,
    total: int | None = None,
    *,
    max_in_flight: int | None = None,
    started: Callable[[AsyncThrottle[T]], Any] | None = None,
    **options: Any,
) -> Run:
    """Await `call(item)` at `tps` a second in tasks of their own: the schedule does not wait for the calls.

    With `max_in_flight` calls running, released ones wait for their turn; their latency counts from the
    release. Outcomes, `stop()`, `started` and options as of `run`; a cancelled run cancels its calls.

    >>> async def call(item):
    ...     await asyncio.sleep(0)
    >>> asyncio.run(arun(call, range(5), 1000.0)).report.ok
    5
    """
    if max_in_flight is not None:
        checked_count("max_in_flight", max_in_flight)
    checked_call(call, asynchronous=True)
    failures = Failures()
    turns = asyncio.Semaphore(max_in_flight) if max_in_flight is not None else None
    tasks: set[asyncio.Task[None]] = set()

    async def work(item: T, permit: Permit) -> None:
        try:
            if turns is None:
                with permit:
                    await call(item)
                return
            async with turns:
                if paced.flow.stopped:
                    permit.forget()
                    return
                with permit:
                    await call(item)
        except Exception as error:
            failures.add(error)
        finally:
            permit.forget()  # if cancelled while it waited for its turn

    async with athrottle(items, tps, total, **options) as paced:
        paced.flow.calls = "async" if max_in_flight is None else f"async({max_in_flight})"
        if started is not None:
            started(paced)
        try:
            async for item, permit in paced.permits():
                task = asyncio.create_task(work(item, permit))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return Run(paced.report(), failures.all())
