"""The clocks of `time` and `datetime` in hosted code, and what it asks in vain.

Called by a replacement (`patching`), which knows that a strand is asking.
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
from tpssim.simulation.hosting.threads import Strand


def caller(depth: int = 3) -> FrameType:
    """The code that asks, if a virtual clock calls this: beyond that clock and its replacement."""
    return sys._getframe(depth)


def _ns(look: float) -> int:
    return round(look * 1e9)


def now(strand: Strand) -> Instant:
    return Instant(strand.look(caller()))


def now_ns(strand: Strand) -> Ticks:
    return Ticks(_ns(strand.look(caller())))


def wall(strand: Strand) -> WallInstant:
    return WallInstant(EPOCH + strand.look(caller()))


def wall_ns(strand: Strand) -> WallTicks:
    return WallTicks(EPOCH_NS + _ns(strand.look(caller())))


#: Clocks of `clock_gettime` that stand for `time.monotonic`, as far as the system has them.
_STEADY = {
    getattr(time, f"CLOCK_{name}")
    for name in ("MONOTONIC", "MONOTONIC_RAW", "BOOTTIME", "UPTIME", "UPTIME_RAW", "HIGHRES")
    if hasattr(time, f"CLOCK_{name}")
}


def thread_time(strand: Strand) -> float:
    """What the processor did for this thread: looking at the clock is all that takes virtual
    time.
    """
    strand.look(caller())
    return strand.busy


def process_time(strand: Strand) -> float:
    strand.look(caller())
    return math.fsum(each.busy for each in (strand.root, *strand.root.started))


def thread_time_ns(strand: Strand) -> int:
    strand.look(caller())
    return _ns(strand.busy)


def process_time_ns(strand: Strand) -> int:
    strand.look(caller())
    return _ns(math.fsum(each.busy for each in (strand.root, *strand.root.started)))


def clock_gettime(strand: Strand, clock: int) -> Instant:
    if clock == time.CLOCK_REALTIME:
        return WallInstant(EPOCH + strand.look(caller()))
    _check_steady(strand, clock)
    return Instant(strand.look(caller()))


def clock_gettime_ns(strand: Strand, clock: int) -> Ticks:
    if clock == time.CLOCK_REALTIME:
        return WallTicks(EPOCH_NS + _ns(strand.look(caller())))
    _check_steady(strand, clock)
    return Ticks(_ns(strand.look(caller())))


def _check_steady(strand: Strand, clock: int) -> None:
    if clock not in _STEADY:
        refuse(strand, f"time.clock_gettime({clock!r})", "reads the clock", caller(4))


def localtime(strand: Strand, seconds: float | None = None) -> time.struct_time:
    return real_localtime(EPOCH + strand.look(caller()) if seconds is None else seconds)


def gmtime(strand: Strand, seconds: float | None = None) -> time.struct_time:
    return real_gmtime(EPOCH + strand.look(caller()) if seconds is None else seconds)


def ctime(strand: Strand, seconds: float | None = None) -> str:
    return real_asctime(
        real_localtime(EPOCH + strand.look(caller()) if seconds is None else seconds)
    )


def asctime(strand: Strand, *at: Any) -> str:
    return real_asctime(*at or (real_localtime(EPOCH + strand.look(caller())),))


def strftime(strand: Strand, form: str, *at: Any) -> str:
    return real_strftime(form, *at or (real_localtime(EPOCH + strand.look(caller())),))


def sleep(strand: Strand, seconds: float) -> None:
    strand.sleep(seconds)


def _moment(look: float, kind: type[datetime], tz: tzinfo | None) -> datetime:
    """Whole microseconds, cut off as the real clock's nanoseconds are."""
    micros = _ns(look) // 1000
    shown = kind.fromtimestamp((EPOCH * 10**6 + micros) / 1e6, tz)
    return Moment.of(shown, micros) if kind in (datetime, Moment) else shown


def datetime_now(strand: Strand, kind: type[datetime], tz: tzinfo | None = None) -> datetime:
    return _moment(strand.look(caller()), kind, tz)


def datetime_utcnow(strand: Strand, kind: type[datetime]) -> datetime:
    look = strand.look(caller())
    shown = _moment(look, kind, UTC).replace(tzinfo=None)
    return Moment.of(shown, _ns(look) // 1000) if kind in (datetime, Moment) else shown


def today(strand: Strand, kind: type[date]) -> date:
    look = strand.look(caller())
    return (
        _moment(look, kind, None)
        if issubclass(kind, datetime)
        else kind.fromtimestamp(EPOCH + look)
    )


def refuse(strand: Strand, name: str, does: str, frame: FrameType) -> None:
    """End the run: the code has asked for something that virtual time cannot give."""
    where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
    strand.fail(
        f"the hosted code {does} by {name} ({where}), which has no virtual twin; "
        "allowed: time, datetime, threading, queue and asyncio timers"
    )


def refused(name: str, does: str = "waits") -> Callable[..., Any]:
    """In place of what cannot be hosted: it is named."""

    def stand_in(strand: Strand, *args: Any, **kwargs: Any) -> Any:
        refuse(strand, name, does, caller())

    return stand_in
