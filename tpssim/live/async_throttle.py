"""`athrottle`: calls from a coroutine, while the event loop serves other tasks."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

from tpssim.core.clocks import Clock
from tpssim.core.quotas import Quota
from tpssim.core.schedule import Late
from tpssim.live.arguments import (
    Cost,
    Tps,
    checked_timeout,
    checked_total,
    cycled,
    cycled_async,
)
from tpssim.live.async_acquire import aask
from tpssim.live.async_sources import AsyncSource
from tpssim.live.call_owners import CallOwners
from tpssim.live.clocks import Clocks
from tpssim.live.handle import Handle
from tpssim.live.outcomes import Classify, checked_classify
from tpssim.live.permits import Permit
from tpssim.live.session import Flow
from tpssim.live.sources import Source

T = TypeVar("T")


class AsyncThrottle(Handle, Generic[T]):
    """What `athrottle` returns: an asynchronous iterator over items, and the handle of the run.

    Any number of tasks may iterate it at once (`async for`, `anext`, `permits`): there is one
    schedule, they get its slots in the order in which they asked, and each item comes once. A call
    from plain iteration belongs to the task that received it. It is over when that task asks again,
    reaches the end, closes the throttle or leaves its `async with`. If the task ends first, the
    call is forgotten.

    If a wait ends early, nothing is lost: the item that was fetched is `pending` and comes next. To
    limit a wait, use `async with asyncio.timeout(s)` around `anext`, or
    `permits().next(timeout=s)`. (Before Python 3.12 `asyncio.wait_for` makes a task of its own, so
    the call that it returns is forgotten.)

    It may be used in several `asyncio.run`, one after the other. As a context it closes itself, and
    an exception that leaves the block counts as a failure of the open call.

    >>> import asyncio
    >>> async def main():
    ...     paced = athrottle(range(20), 2000.0)
    ...     async def share():
    ...         return [item async for item in paced]
    ...     shares = await asyncio.gather(share(), share(), share())
    ...     return sorted(sum(shares, [])) == list(range(20))
    >>> asyncio.run(main())
    True
    """

    def __init__(
        self,
        items: Iterable[T] | AsyncIterable[T],
        tps: Tps,
        total: int | None,
        controller: Any,
        late: Late | str,
        quotas: Sequence[Quota],
        cost: Cost,
        spin: float | str,
        clock: Clock | None,
        record: str | Path | None,
        seed: int,
        classify: Classify | None,
    ) -> None:
        self._source: Source[T] | AsyncSource[T]
        self._timing = Clocks(spin, clock)
        if isinstance(items, AsyncIterable):
            self._source = AsyncSource(cycled_async(items, checked_total(total)), self._timing.now)
        else:
            self._source = Source(cycled(items, total))
        self._owners = CallOwners()
        options = {"total": total, "spin": spin}
        self.flow = Flow(
            tps,
            controller,
            late,
            record,
            seed,
            self._timing,
            options,
            clock is not None,
            quotas,
            cost,
        )
        self.flow.classify = classify
        self.flow.tasks = True

    @property
    def pending(self) -> tuple[T, ...]:
        """The items that were fetched and not released, in order; they come next."""
        return tuple(self._source.waiting)

    def __aiter__(self) -> AsyncThrottle[T]:
        return self

    async def __anext__(self) -> T:
        calls = self._owners.mine()
        asked = calls.pop().passed() if calls else self.flow.timing.now()
        got = await aask(self.flow, self._timing, self._source, asked)
        if got is None:
            self._timing.close()
            raise StopAsyncIteration
        calls += (got[1],)
        return got[0]  # type: ignore[no-any-return]

    def permits(self) -> AsyncPermits[T]:
        """(item, permit) at their times; several permits may be open at once, in any tasks.

        A task that is cancelled before it begins never enters its permit: where such a task is kept
        (in a list, say), its call stays in flight until the task is let go. `arun` sees to that by
        itself.
        """
        if self.flow.calls == "blocking":
            self.flow.calls = "permits"
        return AsyncPermits(self)

    async def _next(self, asked: float, timeout: float | None = None) -> tuple[T, Permit]:
        got = await aask(self.flow, self._timing, self._source, asked, timeout)
        if got is None:
            self._timing.close()
            raise StopAsyncIteration
        return got

    def close(self) -> None:
        """Stop; nothing is left in the loop; a recording is completed."""
        self._leave()
        self.flow.end()

    def _leave(self) -> None:
        """Stop; the open call is forgotten."""
        self.flow.stop()
        self._timing.close()
        if isinstance(self._source, AsyncSource):
            self._source.close()
        calls = self._owners.mine()
        while calls:
            calls.pop().forget()

    async def __aenter__(self) -> AsyncThrottle[T]:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        calls = self._owners.mine()
        while calls:
            calls.pop().__exit__(kind, error, trace)
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "flow"):
            self.flow.stop()
            self._timing.close()
            if isinstance(self._source, AsyncSource):
                self._source.close()
            self._owners.clear()
            self.flow.finish()  # permits that are still open may be settled


class AsyncPermits(Generic[T]):
    """What `permits` of an `athrottle` returns: (item, permit) at their times, for any number of
    tasks.

    >>> import asyncio
    >>> async def main():
    ...     item, permit = await athrottle("ab", 100.0).permits().next(timeout=1.0)
    ...     async with permit:
    ...         return item
    >>> asyncio.run(main())
    'a'
    """

    def __init__(self, throttle: AsyncThrottle[T]) -> None:
        self._throttle = throttle

    def __aiter__(self) -> AsyncPermits[T]:
        return self

    async def __anext__(self) -> tuple[T, Permit]:
        throttle = self._throttle  # as `next`, in fewer steps, for loops
        flow = throttle.flow
        got = await aask(flow, throttle._timing, throttle._source, flow.timing.now())
        if got is None:
            throttle._timing.close()
            raise StopAsyncIteration
        return got

    async def next(self, timeout: float | None = None) -> tuple[T, Permit]:
        """As `anext(permits)`; raises `TimeoutError` if no slot comes in so many seconds.

        It then takes no slot and no item.
        """
        throttle = self._throttle
        return await throttle._next(throttle.flow.timing.now(), checked_timeout(timeout))


def athrottle(
    items: Iterable[T] | AsyncIterable[T],
    tps: Tps,
    total: int | None = None,
    *,
    controller: Any = None,
    late: Late | str = "auto",
    quotas: Sequence[Quota] = (),
    cost: Cost = 1.0,
    spin: float | str = "auto",
    clock: Clock | None = None,
    record: str | Path | None = None,
    seed: int = 0,
    classify: Classify | None = None,
) -> AsyncThrottle[T]:
    """The asynchronous twin of `throttle`, with the same arguments: `async for item in
    athrottle(...)`.

    Waits with the kernel's timer file (or, if there is none, a sleeping thread) until shortly
    before the deadline, and then goes round the loop. Other tasks run all the time. There is one
    call at a time, as in `throttle`: for many, start tasks and pass them the permit (`permits`), or
    use `arun`. `items` may be asynchronous.

    >>> import asyncio
    >>> async def main():
    ...     return [item async for item in athrottle("ab", 1000, 3)]
    >>> asyncio.run(main())
    ['a', 'b', 'a']
    """
    return AsyncThrottle(
        items,
        tps,
        total,
        controller,
        late,
        quotas,
        cost,
        spin,
        clock,
        record,
        seed,
        checked_classify(classify),
    )
