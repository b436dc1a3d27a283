"""Waiting in an event loop, precisely and without blocking it.

On Linux asyncio's own timers have whole milliseconds. An alarm here is the kernel's timer as a file
(timerfd), at an absolute time, which the loop watches. If there is none, it is a thread that sleeps
and calls back. Just before a deadline the wait goes round the loop, so that other tasks run.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import struct
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from tpssim.core.clocks import Clock
from tpssim.live.waiters import ring
from tpssim.live.waiting import SHORTEST, BorrowedClock, PreciseClock, Threshold, spin_seconds

#: How late a loop wakes up, s, until it is measured: at the median, and rarely later than.
MIDDLE, TAIL = 100e-6, 250e-6
#: A throttle that is late lets other tasks run at least this often, s.
SHARE = 0.001


class Alarm(Protocol):
    """Calls back in the loop at a time of `perf_counter`; the last `set` counts."""

    def set(self, when: float) -> None: ...
    def close(self) -> None: ...


class TimerFile:
    """Linux's timerfd, absolute times in nanoseconds. Raises `OSError` where there is none."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        if time.get_clock_info("perf_counter").implementation != "clock_gettime(CLOCK_MONOTONIC)":
            raise OSError("perf_counter is not the timer's clock")
        self._settime, self._file = _timerfd()
        self._loop = loop
        self._ring = ring
        try:
            loop.add_reader(self._file, self._read)
        except NotImplementedError as error:
            os.close(self._file)
            raise OSError("this loop watches no files") from error

    def set(self, when: float) -> None:
        self._settime(self._file, max(int(when * 1e9), 1))  # 0 would disarm it

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):  # set again since it rang
            os.read(self._file, 8)
            self._ring()

    def after_fork(self) -> None:
        """In a forked child, which shares the file: leave it alone."""
        os.close(self._file)
        self._file = -1

    def close(self) -> None:
        if self._file >= 0:
            if not self._loop.is_closed():
                self._loop.remove_reader(self._file)
            os.close(self._file)
            self._file = -1


def _timerfd() -> tuple[Callable[[int, int], None], int]:
    """(how to set it, a new file); the standard library has it from Python 3.13 on."""
    if sys.version_info >= (3, 13) and hasattr(os, "timerfd_create"):
        flags = os.TFD_NONBLOCK | os.TFD_CLOEXEC

        def settime(file: int, when: int) -> None:
            os.timerfd_settime_ns(file, flags=os.TFD_TIMER_ABSTIME, initial=when)

        return settime, os.timerfd_create(time.CLOCK_MONOTONIC, flags=flags)
    if not sys.platform.startswith("linux"):
        raise OSError("no timerfd on this system")
    import ctypes

    # calls of 0.5 us: too short to release the interpreter lock
    library = ctypes.PyDLL(None, use_errno=True)
    create, set_ = library.timerfd_create, library.timerfd_settime
    file = create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
    if file < 0:
        raise OSError(ctypes.get_errno(), "timerfd_create failed")
    pack = struct.Struct("@qqqq").pack  # struct itimerspec: interval, value

    def settime(file: int, when: int) -> None:
        if set_(file, 1, pack(0, 0, *divmod(when, 10**9)), None) != 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime failed")

    return settime, file


class Sleeper:
    """A thread that sleeps, and calls back into the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._clock = PreciseClock("off")
        self._origin = time.perf_counter() - self._clock.now()
        self._lock = threading.Lock()  # of `_when`
        self._when = math.inf
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="tpssim alarm", daemon=True)
        self._thread.start()

    def set(self, when: float) -> None:
        with self._lock:
            self._when = when - self._origin
        self._clock.wake()

    def _work(self) -> None:
        while not self._closed:
            when = self._when
            now = self._clock.wait(when)
            with self._lock:
                over = now >= when == self._when  # and not set again meanwhile
                if over:
                    self._when = math.inf
            if over and not self._closed:
                with contextlib.suppress(RuntimeError):  # the loop has gone
                    self._loop.call_soon_threadsafe(self._ring)

    def close(self) -> None:
        self._closed = True
        self._clock.wake()
        self._thread.join()


class LoopClock:
    """`PreciseClock` for coroutines: real time since its creation; `wait` shares the running loop.

    One task waits at a time, in one loop. Its alarm is removed from the loop when the loop is shut
    down (as `asyncio.run` does it), or by `close`.
    """

    def __init__(self, spin: float | str = "auto", origin: float | None = None) -> None:
        self._fixed = spin_seconds(spin)
        self._threshold = Threshold(
            *((MIDDLE, TAIL) if self._fixed is None else (self._fixed, self._fixed))
        )
        self.loop: asyncio.AbstractEventLoop | None = None  #: the one that it waits in
        self._farewell: AsyncGenerator[None, None] | None = None
        self._alarm: Alarm | None = None
        self._bell: asyncio.Future[None] | None = None
        self._rung = False  # somebody called `wake`: the next wait ends at once
        self._shared = 0.0  # when other tasks could run last
        self.spun = 0.0  #: seconds spent going round the loop
        self._origin = time.perf_counter() if origin is None else origin

    @property
    def threshold(self) -> float:
        """How long before a deadline it wakes up, s."""
        return self._threshold.seconds if self._fixed is None else self._fixed

    def now(self) -> float:
        return time.perf_counter() - self._origin

    def wake(self) -> None:
        """End the current wait, or the next one, before its deadline. Any thread."""
        self._rung = True
        if self.loop is not None:
            ring(self.loop, self._ring)

    def _ring(self) -> None:
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)

    async def wait(self, deadline: float) -> float:
        """Return the time at or just after the deadline, or before it if somebody called `wake`."""
        clock, origin = time.perf_counter, self._origin
        start = now = clock() - origin
        if now >= deadline and now - self._shared <= SHARE:
            self._rung = False
            return now
        pause = deadline - now - self.threshold
        if pause > SHORTEST and not self._rung:
            await self._pause(now + pause if deadline < math.inf else math.inf)
            start = clock() - origin
            if not self._rung:
                self._learn(start - now - pause)
            now = self._shared = start
        elif now - self._shared > SHARE:
            await asyncio.sleep(0)
            now = self._shared = clock() - origin
        while now < deadline and not self._rung:
            before = now
            await asyncio.sleep(0)
            now = self._shared = clock() - origin
            if now - before < SHARE:  # a longer round was another task's
                self.spun += now - before
        self._rung = False
        return now

    def _learn(self, late: float) -> None:
        if self._fixed is None:
            self._threshold.learn(late)

    async def _pause(self, until: float) -> None:
        """Let other tasks run until then, or until somebody rings."""
        loop = self.loop = asyncio.get_running_loop()
        # An old ring may come late. One that is early by a last bit counts, for nothing rings
        # again.
        while not self._rung and self.now() < until - 1e-6:
            if until < math.inf:
                (self._alarm or self._alarmed(loop)).set(until + self._origin)
            self._bell = loop.create_future()
            if not self._rung:  # another thread has not rung in between
                await self._bell

    def _alarmed(self, loop: asyncio.AbstractEventLoop) -> Alarm:
        """An alarm, until the loop is shut down."""
        self._alarm = made = alarm(loop, self._ring)
        self._farewell = self._until_shutdown()
        with contextlib.suppress(StopIteration):  # up to its `yield`: now the loop knows it
            self._farewell.asend(None).send(None)
        return made

    async def _until_shutdown(self) -> AsyncGenerator[None, None]:
        """An asynchronous generator that is not exhausted: a loop closes those before it goes."""
        try:
            yield
        finally:
            self._silence()
            if self.loop is not None:  # a wait that is still in progress makes a new alarm
                with contextlib.suppress(RuntimeError):
                    self.loop.call_soon_threadsafe(self._ring)

    def after_fork(self) -> None:
        """In a forked child: the loop is the parent's, and so is the timer in it."""
        if isinstance(self._alarm, TimerFile):
            self._alarm.after_fork()
        self._alarm = self._farewell = self._bell = None

    def close(self) -> None:
        """Remove everything from the loop. Any thread."""
        loop = self.loop
        if loop is not None and loop.is_running() and asyncio._get_running_loop() is not loop:
            with contextlib.suppress(RuntimeError):  # the loop has gone meanwhile
                loop.call_soon_threadsafe(self.close)
                return
        farewell, self._farewell = self._farewell, None
        if farewell is not None:
            with contextlib.suppress(StopIteration, RuntimeError):  # it is being closed by the loop
                farewell.aclose().send(None)
        self._silence()

    def _silence(self) -> None:
        ringing, self._alarm = self._alarm, None
        if ringing is not None:
            ringing.close()


class BorrowedLoopClock(BorrowedClock):
    """A clock of the caller's in a coroutine: other tasks run once for each wait."""

    def __init__(self, clock: Clock, spin: float | str) -> None:
        super().__init__(clock, spin)
        self._wait = super().wait
        self.loop: asyncio.AbstractEventLoop | None = None  #: the one that it waits in

    async def wait(self, deadline: float) -> float:  # type: ignore[override]
        await asyncio.sleep(0)
        return self._wait(deadline)


def alarm(loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> Alarm:
    """The best alarm on this system and loop."""
    try:
        return TimerFile(loop, ring)
    except (OSError, AttributeError):
        return Sleeper(loop, ring)
