"""The clocks of `time` and `datetime` in hosted code, and what it asks in vain.

Called by a replacement (`patching`), which knows that a virtual thread is asking.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, tzinfo
from time import asctime as real_asctime
from time import gmtime as real_gmtime
from time import localtime as real_localtime
from time import strftime as real_strftime
from types import FrameType
from typing import Any

from tpssim.simulation.hosting.clock_values import (
    EPOCH,
    EPOCH_NS,
    Instant,
    Moment,
    Ticks,
    WallInstant,
    WallTicks,
)
from tpssim.simulation.hosting.threads import VirtualThread


def caller(depth: int = 3) -> FrameType:
    """The code that asks, if a virtual clock calls this: beyond that clock and its replacement."""
    return sys._getframe(depth)


def _ns(look: float) -> int:
    return round(look * 1e9)


def now(vthread: VirtualThread) -> Instant:
    return Instant(vthread.look(caller()))


def now_ns(vthread: VirtualThread) -> Ticks:
    return Ticks(_ns(vthread.look(caller())))


def wall(vthread: VirtualThread) -> WallInstant:
    return WallInstant(EPOCH + vthread.look(caller()))


def wall_ns(vthread: VirtualThread) -> WallTicks:
    return WallTicks(EPOCH_NS + _ns(vthread.look(caller())))


#: Clocks of `clock_gettime` that stand for `time.monotonic`, as far as the system has them.
_STEADY = {
    getattr(time, f"CLOCK_{name}")
    for name in ("MONOTONIC", "MONOTONIC_RAW", "BOOTTIME", "UPTIME", "UPTIME_RAW", "HIGHRES")
    if hasattr(time, f"CLOCK_{name}")
}


def thread_time(vthread: VirtualThread) -> float:
    """What the processor did for this thread: looking at the clock is all that takes virtual
    time.
    """
    vthread.look(caller())
    return vthread.busy


def process_time(vthread: VirtualThread) -> float:
    vthread.look(caller())
    return math.fsum(each.busy for each in (vthread.root, *vthread.root.started))


def thread_time_ns(vthread: VirtualThread) -> int:
    vthread.look(caller())
    return _ns(vthread.busy)


def process_time_ns(vthread: VirtualThread) -> int:
    vthread.look(caller())
    return _ns(math.fsum(each.busy for each in (vthread.root, *vthread.root.started)))


def clock_gettime(vthread: VirtualThread, clock: int) -> Instant:
    if clock == time.CLOCK_REALTIME:
        return WallInstant(EPOCH + vthread.look(caller()))
    _check_steady(vthread, clock)
    return Instant(vthread.look(caller()))


def clock_gettime_ns(vthread: VirtualThread, clock: int) -> Ticks:
    if clock == time.CLOCK_REALTIME:
        return WallTicks(EPOCH_NS + _ns(vthread.look(caller())))
    _check_steady(vthread, clock)
    return Ticks(_ns(vthread.look(caller())))


def _check_steady(vthread: VirtualThread, clock: int) -> None:
    if clock not in _STEADY:
        refuse(vthread, f"time.clock_gettime({clock!r})", "reads the clock", caller(4))


def localtime(vthread: VirtualThread, seconds: float | None = None) -> time.struct_time:
    return real_localtime(EPOCH + vthread.look(caller()) if seconds is None else seconds)


def gmtime(vthread: VirtualThread, seconds: float | None = None) -> time.struct_time:
    return real_gmtime(EPOCH + vthread.look(caller()) if seconds is None else seconds)


def ctime(vthread: VirtualThread, seconds: float | None = None) -> str:
    return real_asctime(
        real_localtime(EPOCH + vthread.look(caller()) if seconds is None else seconds)
    )


def asctime(vthread: VirtualThread, *at: Any) -> str:
    return real_asctime(*at or (real_localtime(EPOCH + vthread.look(caller())),))


def strftime(vthread: VirtualThread, form: str, *at: Any) -> str:
    return real_strftime(form, *at or (real_localtime(EPOCH + vthread.look(caller())),))


def sleep(vthread: VirtualThread, seconds: float) -> None:
    vthread.sleep(seconds)


def _moment(look: float, kind: type[datetime], tz: tzinfo | None) -> datetime:
    """Whole microseconds, cut off as the real clock's nanoseconds are."""
    micros = _ns(look) // 1000
    shown = kind.fromtimestamp((EPOCH * 10**6 + micros) / 1e6, tz)
    return Moment.of(shown, micros) if kind in (datetime, Moment) else shown


def datetime_now(
    vthread: VirtualThread, kind: type[datetime], tz: tzinfo | None = None
) -> datetime:
    return _moment(vthread.look(caller()), kind, tz)


def datetime_utcnow(vthread: VirtualThread, kind: type[datetime]) -> datetime:
    look = vthread.look(caller())
    shown = _moment(look, kind, UTC).replace(tzinfo=None)
    return Moment.of(shown, _ns(look) // 1000) if kind in (datetime, Moment) else shown


def today(vthread: VirtualThread, kind: type[date]) -> date:
    look = vthread.look(caller())
    return (
        _moment(look, kind, None)
        if issubclass(kind, datetime)
        else kind.fromtimestamp(EPOCH + look)
    )


def refuse(vthread: VirtualThread, name: str, does: str, frame: FrameType) -> None:
    """End the run: the code has asked for something that virtual time cannot give."""
    where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
    vthread.fail(
        f"the hosted code {does} by {name} ({where}), which has no virtual twin; "
        "allowed: time, datetime, threading, queue and asyncio timers"
    )


def refused(name: str, does: str = "waits") -> Callable[..., Any]:
    """In place of what cannot be hosted: it is named."""

    def stand_in(vthread: VirtualThread, *args: Any, **kwargs: Any) -> Any:
        refuse(vthread, name, does, caller())

    return stand_in
