"""How a task asks for the next slot: as in `acquire`, without blocking its event loop."""

from __future__ import annotations

import asyncio
import math
from typing import Any, Literal

from tpssim.core.errors import Aborted
from tpssim.live.acquire import without
from tpssim.live.async_sources import AsyncSource
from tpssim.live.clocks import Clocks
from tpssim.live.permits import Permit
from tpssim.live.report import warn
from tpssim.live.session import Flow
from tpssim.live.sources import Source
from tpssim.live.waiters import ring


class TaskTurn:
    """A task in the queue, or one that waits for an item."""

    __slots__ = ("_bell", "_rung", "term", "who")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.who: Any = loop
        self._bell: asyncio.Future[None] | None = None
        self._rung = False
        self.term = -1

    def expect(self) -> None:
        """Its bell is made when it waits."""

    def call(self) -> bool:
        self._rung = True
        bell = self._bell
        if bell is None:
            return not self.who.is_closed()
        if asyncio._get_running_loop() is self.who:
            _ring(bell)
            return True
        return ring(self.who, _ring, bell)

    def wake(self) -> None:
        """As `call`."""
        self.call()

    def bell(self) -> asyncio.Future[None]:
        """A future that is done when it is called."""
        bell: asyncio.Future[None] = self.who.create_future()
        self._bell = bell
        if self._rung:  # since the last look
            self._rung = False
            _ring(bell)
        return bell

    async def wait(self, seconds: float) -> None:
        """Until it is called, or for so long."""
        bell = self.bell()
        timer = self.who.call_later(seconds, _ring, bell) if seconds < math.inf else None
        try:
            await bell
        finally:
            self._bell = None
            self._rung = False
            if timer is not None:
                timer.cancel()


def _ring(bell: asyncio.Future[None]) -> None:
    if not bell.done():
        bell.set_result(None)


async def aask(
    flow: Flow,
    clocks: Clocks,
    source: Source[Any] | AsyncSource[Any] | None,
    asked: float,
    timeout: float | None = None,
    cost: float = 1.0,
) -> tuple[Any, Permit] | None:
    """As `ask`. After each `await` somebody else may have the turn: see `WaitQueue`."""
    until = math.inf if timeout is None else asked + timeout
    queue, loop = flow.queue, asyncio.get_running_loop()
    try:
        while True:
            term, turn, got = -1, None, None
            try:
                if queue.baton and not queue.waiting:
                    try:
                        del queue.baton[0]
                        term = queue.term
                    except IndexError:  # a thread was faster
                        pass
                if term >= 0:
                    queue.head = loop
                    if flow.pacer is not None:
                        flow.tally.blocked += asked - flow.free_since
                else:
                    turn = TaskTurn(loop)
                    term = await _turn_comes(flow, turn, until)
                    if term < 0:
                        without(flow, timeout)
                        return None
                got = await _slot(flow, clocks, source, asked, until, timeout, cost, term, loop)
                if got or got is None:
                    return got
            finally:
                if got:  # it is the head, and its loop runs
                    queue.head = queue.at_head = None
                    queue.term += 1
                    queue.baton += (None,)
                if not got or queue.waiting:
                    try:
                        queue.leave(turn, term)
                    except BaseException:  # of a signal handler
                        queue.leave(turn, term)
                        raise
    except asyncio.CancelledError:
        flow.given_up()
        raise


async def _slot(
    flow: Flow,
    clocks: Clocks,
    source: Source[Any] | AsyncSource[Any] | None,
    asked: float,
    until: float,
    timeout: float | None,
    cost: float,
    term: int,
    loop: asyncio.AbstractEventLoop,
) -> tuple[Any, Permit] | Literal[False] | None:
    """As `aask`, for the head of the queue in this term; False if the term is over."""
    # In one piece, because each `await` may end the term, and only what follows may go on.
    queue, permit = flow.queue, None
    try:
        if flow.ending and flow.over():
            return None
        item, took = None, 0.0
        if source is not None:
            before = flow.timing.now()
            waiting = source.waiting
            if waiting:
                pass  # it took no time
            elif isinstance(source, Source):
                if not _fetched_at_once(flow, source):
                    return None
                took = flow.timing.now() - before
            else:
                fetched = await _fetched(flow, source, loop, until, term)
                if not queue.still(term):
                    return False
                if not fetched:
                    without(flow, timeout)
                    return None
                took = max(source.ended - max(source.began, before), 0.0)
            item = waiting[0]
            given = flow.cost
            cost = given if given.__class__ is float else flow.cost_of(item)
        if flow.pacer is None:
            begun = flow.begin(in_loop=True)
        else:
            flow.tally.fetching += took
            begun = (asked if asked > flow.released_at else flow.released_at) + took
        clock = clocks.latest
        if clock is None or clock.loop is not loop:
            clock = clocks.in_loop(loop)
        while (deadline := flow.deadline(clock, cost)) is not None:
            if flow.warning:
                warn(flow.warning)
            at = await clock.wait(deadline if deadline < until else until)
            with queue.lock:
                lost = term != queue.term
            if lost:
                return False
            permit = flow.release(at, begun, cost)
            if permit is not None:
                if source is not None:
                    del waiting[0]  # until now an exception leaves it there
                return item, permit
            if at >= until:
                break
    except Aborted:
        flow.end_if_failed()
        raise
    finally:
        if permit is None and queue.still(term):
            flow.left_without_slot()
    without(flow, timeout)
    return None


async def _turn_comes(flow: Flow, turn: TaskTurn, until: float) -> int:
    """Wait in the queue for a term at its head; -1 if time is up, or the run is over."""
    queue = flow.queue
    queue.join(turn)
    while (term := queue.holds(turn)) < 0:
        left = until - flow.timing.now() if until < math.inf else math.inf
        if left <= 0.0 or flow.over():
            break
        if 0 <= turn.term < queue.term:  # it had its turn while its loop was stopped
            queue.join(turn)
            continue
        await turn.wait(min(left, queue.look))
        if queue.look < math.inf:
            queue.tidy()
    return term


def _fetched_at_once(flow: Flow, source: Source[Any]) -> bool:
    """Whether a plain iterable gives an item; else the run is over."""
    for item in source.items:
        source.waiting.append(item)
        return True
    flow.finish()
    return False


async def _fetched(
    flow: Flow, source: AsyncSource[Any], loop: asyncio.AbstractEventLoop, until: float, term: int
) -> bool:
    """Whether an item waits; else time is up, or the run or the term is over."""
    turn = TaskTurn(loop)
    try:
        while flow.queue.still(term) and flow.waits_for_item(turn):
            last = min(until, flow.ends)
            left = None if last == math.inf else max(last - flow.timing.now(), 0.0)
            if await source.fetch(turn.bell(), left):
                return True
            if flow.timing.now() >= flow.ends:
                flow.finish()
            elif flow.timing.now() >= until:
                return False
        if flow.queue.still(term):
            await source.give_up()
    except StopAsyncIteration:
        flow.finish()
    return False
