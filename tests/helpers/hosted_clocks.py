"""Code that looks at its clock, to be hosted."""

from __future__ import annotations

import email.utils
import functools
import logging
import time
import zoneinfo
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime
from time import localtime as bare_localtime
from typing import Any, ClassVar

import arrow
import pandas as pd
import pendulum

from tpssim import simulate
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant

QUICK = Scenario("quick", Constant(0.001), 100.0, 2.0)


LONG = Scenario("long", Constant(0.001), 2.0, 200.0)


NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)  # virtual time 0


SEOUL = zoneinfo.ZoneInfo("Asia/Seoul")


def inside(ask: Callable[[], Any]) -> Any:
    """What `ask()` answers in hosted code, at virtual time 0."""
    answers: list[Any] = []

    def throttle(items: Iterable[Any], tps: float, total: int) -> Iterator[Any]:
        answers.append(ask())
        yield from items

    simulate(LONG, throttle)
    return answers[0]


def log_record() -> float:
    return logging.LogRecord("name", logging.INFO, "path", 1, "message", (), None).created


class Stamped(datetime):
    """A class of somebody's, made before anything is hosted."""


class Holder:
    now = datetime.now  # a class attribute
    clock = staticmethod(time.monotonic)
    clocks: ClassVar = {"utc": datetime.utcnow}
    day = date.today


def derived() -> Any:
    """A class that no module has, and whose attributes no descriptor names."""

    class Derived(Holder):
        clock = staticmethod(time.time)

    return Derived


IN_NO_MODULE = [derived()]


class Slotted:
    __slots__ = ("clock",)

    def __init__(self) -> None:
        self.clock = time.time


SLOTTED = Slotted()


PAIR = (datetime.now, time.time)


LISTED = [datetime.now]


PARTIAL = functools.partial(datetime.now, UTC)


def by_default(clock: Callable[[], datetime] = datetime.now) -> float:
    return clock().timestamp()


def by_keyword(*, clock: Callable[[], datetime] = datetime.utcnow) -> float:
    return clock().replace(tzinfo=UTC).timestamp()


def enclosed() -> Callable[[], float]:
    clock = datetime.now
    return lambda: clock(UTC).timestamp()


def of_day(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


#: Seconds since 1970 by every reading of the time of day.
OF_DAY: dict[str, Callable[[], float]] = {
    "time.time": time.time,
    "time.time_ns": lambda: time.time_ns() / 1e9,
    "time.clock_gettime": lambda: time.clock_gettime(time.CLOCK_REALTIME),
    "time.clock_gettime_ns": lambda: time.clock_gettime_ns(time.CLOCK_REALTIME) / 1e9,
    "time.localtime": lambda: time.mktime(time.localtime()),
    "time.localtime(None)": lambda: time.mktime(time.localtime(None)),
    "from time import localtime": lambda: time.mktime(bare_localtime()),
    "time.gmtime": lambda: (datetime(*time.gmtime()[:6], tzinfo=UTC)).timestamp(),
    "time.ctime": lambda: time.mktime(time.strptime(time.ctime())),
    "time.ctime(None)": lambda: time.mktime(time.strptime(time.ctime(None))),
    "time.asctime": lambda: time.mktime(time.strptime(time.asctime())),
    "time.strftime": lambda: time.mktime(time.strptime(time.strftime("%Y %j %X"), "%Y %j %X")),
    "datetime.now": lambda: datetime.now().timestamp(),
    "datetime.now(None)": lambda: datetime.now(None).timestamp(),
    "datetime.now(utc)": lambda: datetime.now(UTC).timestamp(),
    "datetime.now(tz=zone)": lambda: datetime.now(tz=SEOUL).timestamp(),
    "datetime.utcnow": lambda: datetime.utcnow().replace(tzinfo=UTC).timestamp(),
    "datetime.today": lambda: datetime.today().timestamp(),
    "astimezone": lambda: datetime.now().astimezone().timestamp(),
    "datetime.fromtimestamp": lambda: datetime.fromtimestamp(time.time()).timestamp(),
    "a derived class": lambda: Stamped.now(UTC).timestamp(),
    "utcnow of a derived class": lambda: Stamped.utcnow().replace(tzinfo=UTC).timestamp(),
    "a default argument": by_default,
    "a keyword default": by_keyword,
    "a closure": enclosed(),
    "a class attribute": lambda: Holder.now().timestamp(),
    "an attribute of a class within a function": lambda: IN_NO_MODULE[0].clock(),
    "a dict": lambda: Holder.clocks["utc"]().replace(tzinfo=UTC).timestamp(),
    "a list": lambda: LISTED[0]().timestamp(),
    "a tuple": lambda: PAIR[0]().timestamp(),
    "a tuple of functions": lambda: PAIR[1](),
    "a slot": lambda: SLOTTED.clock(),
    "a partial": lambda: PARTIAL().timestamp(),
    "logging": log_record,
    "email.utils.localtime": lambda: email.utils.localtime().timestamp(),
    "email.utils.formatdate": (
        lambda: email.utils.parsedate_to_datetime(email.utils.formatdate()).timestamp()
    ),
    "pandas": lambda: pd.Timestamp.now("UTC").timestamp(),
    "pandas, now in words": lambda: pd.Timestamp("now", tz="UTC").timestamp(),
    "pandas, an array": lambda: pd.to_datetime(["now"], utc=True)[0].timestamp(),
    "arrow": lambda: arrow.utcnow().timestamp(),
    "arrow, in a zone": lambda: arrow.now("Asia/Seoul").timestamp(),
    "pendulum": lambda: pendulum.now().timestamp(),
    "pendulum, in a zone": lambda: pendulum.now("Asia/Seoul").timestamp(),
    "pendulum.DateTime.utcnow": lambda: pendulum.DateTime.utcnow().replace(tzinfo=UTC).timestamp(),
}
