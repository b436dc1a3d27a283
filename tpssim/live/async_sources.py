"""Items of an asynchronous iterable, fetched one at a time by a task of their own.

If a task is cancelled while it waits for an item, the item is not lost: the fetch goes on, and the
item comes next.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Generic, TypeVar

from tpssim.core.errors import Aborted

T = TypeVar("T")


class AsyncSource(Generic[T]):
    """As `Source`, of an asynchronous iterable."""

    def __init__(self, items: AsyncIterator[T], now: Callable[[], float]) -> None:
        self._items = items
        self._now = now
        #: When the last fetch began and ended, s; if a wait takes longer, the event loop was busy.
        self.began = self.ended = 0.0
        self.waiting: deque[T] = deque()  #: fetched, and not released yet
        self._task: asyncio.Task[None] | None = None  # the fetch in progress
        self._loop: Any = None  # the loop of the last fetch
        self._ended = False

    async def fetch(self, bell: asyncio.Future[None], seconds: float | None) -> bool:
        """One more item, if none waits; False if the bell rings first, or time is up.

        Raises `StopAsyncIteration` at the end, and `Aborted` if the items ended with an event loop.
        """
        if self.waiting:
            return True
        loop = asyncio.get_running_loop()
        task = self._task
        if task is not None and task.done() and not task.cancelled():
            self._task = None
            task.result()  # raises what the iterable raised when nobody waited
            if self._ended:
                raise StopAsyncIteration
        if task is None or task.done():
            self._check_alive(loop)
            task = self._task = loop.create_task(self._fetch())
            self._loop = loop
        elif task.get_loop() is not loop:
            raise Aborted(
                "an item is being awaited in another event loop; allowed: items of one event loop"
                " at a time"
            )
        await asyncio.wait((task, bell), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            return False
        self._task = None
        if task.cancelled():
            raise Aborted(
                "the wait for an item was cancelled with its event loop, and the items end with it"
            )
        task.result()
        if self._ended:
            raise StopAsyncIteration
        return True

    def _check_alive(self, loop: Any) -> None:
        """Check that the items were not closed: a loop closes its asynchronous generators when
        it ends."""
        closed = getattr(self._items, "ag_frame", self) is None
        if closed and not self._ended and self._loop is not None and self._loop is not loop:
            raise Aborted(
                "the items are an asynchronous generator, which was closed with the event loop that"
                " it began in; allowed: one asyncio.run, or a plain iterable"
            )

    async def _fetch(self) -> None:
        self.began = self._now()
        try:
            self.waiting.append(await anext(self._items))
        except StopAsyncIteration:
            self._ended = True
        self.ended = self._now()

    async def give_up(self) -> None:
        """Wait for no more items: the fetch in progress is cancelled."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait((task,))

    async def end(self) -> None:
        """As `give_up`, of a generator that nobody else uses: it is also closed, and so reports
        what it holds.
        """
        await self.give_up()
        if isinstance(self._items, AsyncGenerator):
            await self._items.aclose()

    def close(self) -> None:
        """As `give_up`, from anywhere."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            with contextlib.suppress(RuntimeError):  # the loop has gone
                task.get_loop().call_soon_threadsafe(task.cancel)
