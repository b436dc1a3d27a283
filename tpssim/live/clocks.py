"""The clocks of a run that threads and tasks share: one time, and ways to wait for it."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from tpssim.core.clocks import Clock
from tpssim.live.waiting import SPIN, BorrowedClock, PreciseClock, spin_seconds

if TYPE_CHECKING:
    import asyncio

    from tpssim.live.async_clocks import BorrowedLoopClock, LoopClock


class Clocks:
    """One clock for threads, one for each event loop, each made when it is first asked for.

    Only the head of the queue asks, so one does at a time.
    """

    def __init__(self, spin: float | str, borrowed: Clock | None) -> None:
        self._spin = spin
        self._borrowed = borrowed
        seconds = spin_seconds(spin)
        self._threshold = SPIN if seconds is None else seconds  # until a clock has its own
        self._origin = time.perf_counter()
        self._of_threads: PreciseClock | BorrowedClock | None = None
        self._of_loops: list[Any] = []
        self.latest: LoopClock | BorrowedLoopClock | None = None  #: the one that was asked for last
        self._spun = 0.0  # by clocks whose loops are gone
        self.now = self._now if borrowed is None else borrowed.now

    def _now(self) -> float:
        return time.perf_counter() - self._origin

    def in_thread(self) -> PreciseClock | BorrowedClock:
        """The clock for a thread."""
        clock = self._of_threads
        if clock is None:
            if self._borrowed is None:
                clock = PreciseClock(self._spin, self._origin)
            else:
                clock = BorrowedClock(self._borrowed, self._spin)
            self._of_threads = clock
        return clock

    def in_loop(self, loop: asyncio.AbstractEventLoop) -> LoopClock | BorrowedLoopClock:
        """The clock for a task of that loop, which runs."""
        latest = self.latest
        if latest is not None and latest.loop is loop:
            return latest
        from tpssim.live.async_clocks import BorrowedLoopClock, LoopClock

        for gone in [clock for clock in self._of_loops if clock.loop.is_closed()]:
            self._drop(gone)
        for clock in self._of_loops:
            if clock.loop is loop:
                break
        else:
            if self._borrowed is None:
                clock = LoopClock(self._spin, self._origin)
            else:
                clock = BorrowedLoopClock(self._borrowed, self._spin)
            clock.loop = loop
            self._of_loops.append(clock)
        found: LoopClock | BorrowedLoopClock = clock
        self.latest = found
        return found

    def _drop(self, clock: Any) -> None:
        clock.close()
        self._of_loops.remove(clock)
        if self._borrowed is None:
            self._spun += clock.spun

    def _all(self) -> list[Any]:
        return [clock for clock in (self._of_threads, *self._of_loops) if clock is not None]

    @property
    def spun(self) -> float:
        """Seconds spent waiting actively."""
        clocks = self._all()
        if self._borrowed is not None:
            return float(clocks[0].spun) if clocks else math.nan
        return self._spun + math.fsum(clock.spun for clock in clocks)

    @property
    def threshold(self) -> float:
        """How long before a deadline the clock that was used last wakes up, s."""
        clocks = [self.latest] if self.latest is not None else self._all()
        return float(clocks[0].threshold) if clocks else self._threshold

    def close(self) -> None:
        """Close all clocks."""
        for clock in self._all():
            clock.close()

    def after_fork(self) -> None:
        """In a forked child: loops and what waits in them are the parent's."""
        if self._of_threads is not None:
            self._of_threads.after_fork()
        for clock in self._of_loops:
            clock.after_fork()
        self._of_loops.clear()
        self.latest = None
