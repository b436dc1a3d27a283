"""Waiting: the wall clock, and a virtual clock whose timer is as imperfect as a real one.

A clock answers three calls: `now()`, `sleep(seconds)` and `wait(deadline, spin)`, the loop "sleep
until `spin` before the deadline, then read the clock until it is there". This module knows when
code wakes up; it does not know why anybody waits. Times in seconds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Protocol

from tpssim.core.timer_models import IDEAL, Draws, TimerModel, plan_ideal_wait, plan_wait, sleep_end


class Clock(Protocol):
    """What waiting code may ask for."""

    def now(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...
    def wait(self, deadline: float, spin: float) -> float: ...


class WallClock:
    """Real time: `perf_counter` and `time.sleep`."""

    def now(self) -> float:
        return time.perf_counter()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def wait(self, deadline: float, spin: float) -> float:
        """Return at the deadline or just after it; the last `spin` seconds are spent reading the
        clock.
        """
        while True:
            now = time.perf_counter()
            remaining = deadline - now
            if remaining <= 0.0:
                return now
            if remaining > spin:
                time.sleep(remaining - spin)


class Punctual:
    """Sleeps that end on time."""

    def __getitem__(self, _: int) -> float:
        return 0.0


PUNCTUAL = Punctual()


class VirtualClock:
    """Virtual time for code that waits: `base + reads * read_cost`, so looking at the clock takes
    time.

    `late[i]` is how late sleep i ends (`late_wakeups`); `advance(t)` is called whenever the code
    gives time away, and must return when virtual time is t. Without it the clock is alone in its
    world. `spun` sums up the seconds spent reading the clock in `wait`: the CPU that a spin loop
    burns.

    >>> from tpssim import TIMERS
    >>> clock = VirtualClock(TIMERS["linux"], late=[100e-6] * 10)
    >>> clock.sleep(0.002)  # 100 us late
    >>> round(clock.time(), 6)
    0.0021
    """

    def __init__(
        self,
        timer: TimerModel = IDEAL,
        late: Draws = PUNCTUAL,
        advance: Callable[[float], None] | None = None,
    ) -> None:
        self.timer = timer
        self.ideal = timer == IDEAL  # compared once, not at each wait
        self.late = late
        self.advance = advance
        self.base = 0.0
        self.reads = 0
        self.sleeps = 0
        self.spun = 0.0
        self.deadline = math.nan  #: the last one that was waited for

    def time(self) -> float:
        """The time, for the world around: looking this way costs nothing."""
        return self.base + self.reads * self.timer.read_cost

    def set(self, now: float) -> None:
        """Continue at `now`: something other than waiting took the time."""
        self.base = now
        self.reads = 0

    def now(self) -> float:
        self.reads += 1
        return self.time()

    def sleep(self, seconds: float) -> None:
        late = self.late[self.sleeps]
        self.sleeps += 1
        self.set(sleep_end(self.timer, self.time(), seconds, late))
        self._give()

    def wait(self, deadline: float, spin: float) -> float:
        """As `WallClock.wait`, in virtual time (`plan_wait`)."""
        self.deadline = deadline
        if self.ideal:
            end, spun = plan_ideal_wait(self.time(), deadline, spin)
            self.set(end)
        else:
            plan = plan_wait(
                self.timer, self.base, self.reads, deadline, spin, self.late, self.sleeps
            )
            self.base, self.reads, self.sleeps, spun = plan
        self.spun += spun
        self._give()
        return self.time()

    def _give(self) -> None:
        if self.advance is not None:
            self.advance(self.time())
