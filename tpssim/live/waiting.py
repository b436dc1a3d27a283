"""How precisely to wait: sleep until shortly before the deadline, then read the clock.

Times are in seconds.
"""

from __future__ import annotations

import functools
import math
import sys
import threading
import time
from collections.abc import Callable

from tpssim.core.clocks import Clock
from tpssim.core.errors import Aborted, InputError
from tpssim.live.signal_handlers import by_handler

#: The threshold never leaves this range, s: a clock read takes 0.1 us, and no timer that works
#: needs 2 ms.
LEAST, MOST = 20e-6, 2e-3
#: A wake-up beyond the threshold raises it by 5 %, one within lowers it by 0.025 %: it settles
#: where one wake-up in 200 comes later (the step sizes are in the ratio of the two shares).
UP, DOWN = 1.05, 0.99975
#: How far the threshold may be above the median, s: so much is spun at the most.
FAR = 130e-6
#: A shorter sleep is not worth two switches of context.
SHORTEST = 20e-6
#: The threshold on a clock that is not ours, where it cannot be learned, s.
SPIN = 0.0002
#: A rehearsal takes about this long, s; if it takes longer, the release is late by that.
REHEARSAL = 12e-6
_SET_SLACK, _GET_SLACK = 29, 30  # prctl(2)


def spin_seconds(spin: float | str) -> float | None:
    """The option `spin` as seconds, None for auto; raises `InputError`.

    >>> spin_seconds("auto"), spin_seconds("off"), spin_seconds(0.0005)
    (None, 0.0, 0.0005)
    """
    if spin == "auto":
        return None
    if spin == "off":
        return 0.0
    if isinstance(spin, bool) or not isinstance(spin, int | float) or not 0.0 <= spin <= 1.0:
        raise InputError(f"spin={spin!r}; allowed: auto, off, or seconds in [0, 1]")
    return float(spin)


@functools.cache
def _prctl() -> Callable[..., int] | None:
    """Linux's call for the timer slack of the calling thread, without giving up the interpreter
    lock.
    """
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    try:
        found: Callable[..., int] = ctypes.PyDLL(None).prctl
    except (OSError, AttributeError):
        return None
    return found if found(_GET_SLACK, 0, 0, 0, 0) >= 0 else None


class Threshold:
    """How long before a deadline to wake up, tracked: `min(tail, middle + 130 us)`.

    `tail` estimates the 99.5 % quantile of late wake-ups and `middle` their median, both by steps
    of the size that balances there. A tail far above the median is another program on our core,
    against which spinning helps little and costs much; hence the bound.

    >>> threshold = Threshold(50e-6, 100e-6)
    >>> threshold.learn(150e-6)
    >>> round(threshold.seconds * 1e6, 3)
    105.0
    """

    def __init__(self, middle: float, tail: float) -> None:
        self._middle, self._tail = middle, tail
        self.seconds = min(tail, middle + FAR)

    def learn(self, late: float) -> None:
        """A sleep ended this much too late."""
        self._middle *= 1.02 if late > self._middle else 1.0 / 1.02
        tail = self._tail * (UP if late > self._tail else DOWN)
        self._tail = min(max(tail, LEAST), MOST)
        self.seconds = min(self._tail, self._middle + FAR)


class PreciseClock:
    """Real time since its creation, and waits that end within a clock read of their deadline.

    One thread waits at a time; any thread may `wake` it. `spin` is the option of `throttle`. While
    the thread sleeps its timer slack is 1 ns where the system allows; it is put back before the
    wait ends.
    """

    def __init__(self, spin: float | str = "auto", origin: float | None = None) -> None:
        seconds = spin_seconds(spin)
        self.after_fork()
        self.spun = 0.0  #: seconds spent reading the clock
        #: Called again and again until just before a deadline, while it returns True. Code that has
        #: not run for milliseconds takes 30 us instead of 3, because the processor has to fetch it
        #: again.
        self.rehearse: Callable[[], bool] | None = None
        self._fixed = seconds
        self._threshold = Threshold(
            *(_typical_lateness() if seconds is None else (seconds, seconds))
        )
        self._origin = time.perf_counter() if origin is None else origin  # of `perf_counter`, s

    def after_fork(self) -> None:
        """A new bell: in a forked child the old one may be held by a thread that does not exist."""
        self._bell = threading.Lock()
        self._bell.acquire()

    @property
    def threshold(self) -> float:
        """How long before a deadline it wakes up, s."""
        return self._threshold.seconds if self._fixed is None else self._fixed

    def now(self) -> float:
        return time.perf_counter() - self._origin

    def wake(self) -> None:
        """End the current wait, or the next one, before its deadline. Any thread."""
        try:
            self._bell.release()
        except RuntimeError as error:  # it has been rung already
            if by_handler(error):
                raise

    def wait(self, deadline: float) -> float:
        """Return the time at or just after the deadline, or before it if somebody called `wake`."""
        clock, origin = time.perf_counter, self._origin
        start = clock() - origin
        if start >= deadline:
            return start
        goal = deadline - self.threshold
        if goal - start > SHORTEST:
            if self._pause(goal - start):
                return clock() - origin
            start = clock() - origin
            if self._fixed is None:
                self._threshold.learn(start - goal)
        now = start
        rehearse = self.rehearse
        if rehearse is not None:
            while deadline - now > REHEARSAL:
                if not rehearse():
                    self.rehearse = None
                    break
                now = clock() - origin
        while now < deadline:
            now = clock() - origin
        self.spun += now - start
        return now

    def close(self) -> None:
        """Rehearse no more, and release what was rehearsed."""
        self.rehearse = None

    def _pause(self, seconds: float) -> bool:
        """Sleep; whether somebody rang."""
        seconds = min(seconds, threading.TIMEOUT_MAX)
        prctl = _prctl()
        if prctl is None:
            return self._bell.acquire(timeout=seconds)
        before = prctl(_GET_SLACK, 0, 0, 0, 0)
        try:
            prctl(_SET_SLACK, 1, 0, 0, 0)
            return self._bell.acquire(timeout=seconds)
        finally:
            prctl(_SET_SLACK, before, 0, 0, 0)


class BorrowedClock:
    """A clock of the caller's, such as `tpssim.core.clocks.VirtualClock`; no other thread can wake
    it.
    """

    def __init__(self, clock: Clock, spin: float | str) -> None:
        seconds = spin_seconds(spin)
        self.clock = clock
        self.threshold = SPIN if seconds is None else seconds
        self.now = clock.now

    @property
    def spun(self) -> float:
        return float(getattr(self.clock, "spun", math.nan))

    def wake(self) -> None:
        """Nobody waits in another thread."""

    def after_fork(self) -> None:
        """Nothing is open."""

    def close(self) -> None:
        """Nothing is open."""

    def wait(self, deadline: float) -> float:
        if deadline == math.inf:
            raise Aborted(
                "the law releases nothing for good, and on this clock nothing else can happen"
            )
        return self.clock.wait(deadline, self.threshold)


@functools.cache
def _typical_lateness() -> tuple[float, float]:
    """(median, most) of 32 sleeps of half a millisecond on this machine (20 ms, once)."""
    clock = PreciseClock("off")
    lates = []
    for _ in range(32):
        start = clock.now()
        clock._pause(0.0005)
        lates.append(max(clock.now() - start - 0.0005, 0.0))
    lates.sort()
    return max(lates[16], 1e-6), min(max(lates[-1], LEAST), MOST)
