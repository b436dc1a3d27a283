"""The items of an asynchronous run."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Iterator
from typing import Any, Generic, TypeVar

from tpssim.live.jobs import Job, Jobs
from tpssim.live.waiting import SPIN

T = TypeVar("T")


async def stream(jobs: Jobs[T], items: AsyncIterator[T] | PlainFeed[T]) -> AsyncIterator[Job[T]]:
    """As `Jobs.source`. A retry does not wait for an asynchronous iterable, but for a plain one."""
    if jobs.policy is None and not isinstance(items, PlainFeed):
        async for item in items:
            yield jobs.fetch(item)
        return
    bell = asyncio.Event()
    jobs.ring = bell.set
    feed = items if isinstance(items, PlainFeed) else _Feed(items, bell)
    try:
        while True:
            bell.clear()
            job = jobs.due()
            if job is None and feed.ready():
                job = jobs.fetch(feed.take())
            if job is not None:
                yield job
                continue
            when, calls = jobs.left()
            over = jobs.flow.timing.now() >= jobs.flow.ends
            if feed.empty and (over or not (calls or when < math.inf)):
                return
            since = jobs.flow.timing.now()
            await _pause(jobs, bell, min(when, jobs.flow.ends), calls if feed.empty else 1)
            if feed.empty:
                jobs.flow.retrying += jobs.flow.timing.now() - since
    finally:
        if await feed.close():
            jobs.fetch(feed.take())


async def _pause(jobs: Jobs[Any], bell: asyncio.Event, when: float, calls: int) -> None:
    if jobs.clock is not None and not calls:
        await asyncio.sleep(0)
        jobs.clock.wait(when, SPIN)
        return
    now = jobs.flow.timing.now()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(None if when == math.inf else max(when - now, 0.0)):
            await bell.wait()


class PlainFeed(Generic[T]):
    """As `_Feed`, of a plain iterable, which blocks the thread until it has an item."""

    def __init__(self, items: Iterator[T]) -> None:
        self.empty = False
        self._items = items
        self._fetched: list[T] = []

    def ready(self) -> bool:
        if not (self.empty or self._fetched):
            for item in self._items:
                self._fetched.append(item)
                break
            else:
                self.empty = True
        return bool(self._fetched)

    def take(self) -> T:
        return self._fetched.pop()

    async def close(self) -> bool:
        return bool(self._fetched)


class _Feed(Generic[T]):
    """The next item of an asynchronous iterable, fetched by a task of its own, so that retries go
    on.
    """

    def __init__(self, items: AsyncIterator[T], bell: asyncio.Event) -> None:
        self.empty = False
        self._items, self._bell = items, bell
        self._task: asyncio.Task[tuple[T] | None] | None = None

    def ready(self) -> bool:
        """Whether `take` has an item; if not, fetches one. Raises what the iterable raised."""
        if self.empty:
            return False
        if self._task is None:
            self._task = asyncio.create_task(self._next())
            self._task.add_done_callback(lambda _: self._bell.set())
        if self._task.done() and self._task.result() is None:
            self.empty = True
        return self._task.done() and not self.empty

    def take(self) -> T:
        assert self._task is not None
        found = self._task.result()
        assert found is not None
        self._task = None
        return found[0]

    async def close(self) -> bool:
        """Fetch no more; whether an item has been fetched and not taken."""
        task = self._task
        if task is None or self.empty:
            return False
        task.cancel()
        await asyncio.wait([task])
        return not task.cancelled() and task.exception() is None and task.result() is not None

    async def _next(self) -> tuple[T] | None:
        try:
            return (await anext(self._items),)
        except StopAsyncIteration:
            return None
