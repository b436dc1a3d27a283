"""An asyncio event loop in virtual time, with the timer of epoll or of libuv as the timer model has
it.

epoll: a wait is rounded up to the model's granularity, as asyncio does it. libuv (`nearest` 1): the
clock is a count of whole milliseconds that stands still between two turns of the loop, and a delay
is rounded to the nearest millisecond, so a timer may even be early.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable
from contextvars import Context
from typing import Any

from tpssim.core.timer_models import IDEAL, TimerModel
from tpssim.simulation.hosting.threads import VirtualThread

# s; a turn of the loop with nothing to wait for: measured 1.8 us (asyncio), 0.8 us (uvloop)
TURN = 2e-6


class VirtualLoop(asyncio.BaseEventLoop):
    """One for each virtual thread. What needs a file descriptor is refused by name."""

    def __init__(self, vthread: VirtualThread) -> None:
        super().__init__()
        self.vthread = vthread
        timer = vthread.clock.timer
        self._nearest = timer.granularity if timer.nearest > 0.0 else 0.0
        self._plain: TimerModel = timer._replace(granularity=0.0)
        self._selector = _Selector(self)
        self._turn = 0.0
        if self._nearest > 0.0:
            self._clock_resolution = self._nearest / 2.0
            self._look()

    def _look(self) -> None:
        clock = self.vthread.clock
        self._turn = math.floor(clock.now() / self._nearest + 1e-9) * self._nearest

    def time(self) -> float:
        if self._nearest > 0.0:
            return self._turn
        # A plain number: the loop compares it with its own timers, which are no schedule of the
        # code's.
        return self.vthread.look(sys._getframe(1))

    def call_at(  # type: ignore[override]  # a looser signature
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        if self._nearest > 0.0:
            n = max(round((when - self._turn) / self._nearest), 0)
            when = self._turn + n * self._nearest
        return super().call_at(when, callback, *args, context=context)

    def wait(self, timeout: float | None) -> None:
        """The loop has nothing to do for so long."""
        vthread = self.vthread
        if timeout != 0.0 and self._ready:  # type: ignore[attr-defined]
            # a thread has called since the timeout was computed, for looking at the clock takes
            # time
            return
        if vthread.closing and timeout is not None:
            # the run is over: clean-up takes no time of the world
            vthread.clock.set(vthread.clock.time() + timeout)
        elif timeout is None:
            vthread.pause()
        elif timeout > 0.0:
            if self._nearest > 0.0:
                timeout = round(timeout / self._nearest) * self._nearest
                model, vthread.clock.timer = vthread.clock.timer, self._plain
                try:
                    vthread.wait(timeout)
                finally:
                    vthread.clock.timer = model
            else:
                vthread.wait(timeout)
        elif vthread.clock.timer == IDEAL:
            vthread.reads += 1
            vthread.dawdle()
        else:
            vthread.clock.set(vthread.clock.time() + TURN)
            vthread.catch_up()
        if self._nearest > 0.0:
            self._look()

    def _write_to_self(self) -> None:
        self.vthread.wake()

    def _process_events(self, events: Any) -> None:
        pass


class _Selector:
    """The place where an event loop waits."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        self.loop.wait(timeout)
        return []

    def close(self) -> None:
        pass


def _refused(name: str) -> Callable[..., Any]:
    def refuse(self: VirtualLoop, *args: Any, **kwargs: Any) -> Any:
        self.vthread.fail(
            f"the hosted code waits by the event loop's {name}, which has no virtual twin; "
            "allowed: asyncio timers, tasks, locks and queues"
        )

    return refuse


for _name in (
    "add_reader",
    "add_writer",
    "add_signal_handler",
    "create_connection",
    "create_datagram_endpoint",
    "create_server",
    "connect_read_pipe",
    "connect_write_pipe",
    "getaddrinfo",
    "getnameinfo",
    "sock_accept",
    "sock_connect",
    "sock_recv",
    "sock_sendall",
    "subprocess_exec",
    "subprocess_shell",
):
    setattr(VirtualLoop, _name, _refused(_name))
