"""What the columns of tables are called, and the units that their names say."""

from __future__ import annotations

import re
from collections.abc import Sequence

UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0}

#: What a column of service times is called, without its unit, in lower case and without signs; the
#: first that is there is taken.
KNOWN_COLUMNS = (
    "service",
    "servicetime",
    "latency",
    "duration",
    "responsetime",
    "elapsed",
    "elapsedtime",
    "took",
    "timetaken",
    "rtt",
    "generatedtokens",
)
#: What a column of start times is called, without its unit; the first that is there is taken.
STARTS = (
    "released",
    "start",
    "starttime",
    "begin",
    "begun",
    "arrival",
    "arrivaltime",
    "arrived",
    "timestamp",
    "datetime",
    "date",
    "time",
    "ts",
    "t",
)
#: A generated token counts 1 ms: the length of a language model's answer sets how long it works,
#: and 1 ms a token is a fast, batched server.
TOKENS = "generatedtokens"
#: How a name says its unit: at its end, behind a sign or in brackets, or as in `durationMs`.
_UNIT_WORDS = {
    "s": "s",
    "sec": "s",
    "secs": "s",
    "second": "s",
    "seconds": "s",
    "ms": "ms",
    "msec": "ms",
    "msecs": "ms",
    "millis": "ms",
    "millisecond": "ms",
    "milliseconds": "ms",
    "us": "us",
    "µs": "us",
    "μs": "us",
    "usec": "us",
    "usecs": "us",
    "micros": "us",
    "microsecond": "us",
    "microseconds": "us",
    "ns": "ns",
    "nsec": "ns",
    "nanos": "ns",
    "nanosecond": "ns",
    "nanoseconds": "ns",
    "min": "min",
    "mins": "min",
    "minute": "min",
    "minutes": "min",
}
_WORDS = re.compile(r"[^\W\d_]+|\d+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
#: Columns beside which `latency_min` is the least one, and no number of minutes.
_STATISTICS = frozenset(
    ("max", "avg", "mean", "median", "p50", "p90", "p95", "p99", "std", "stddev")
)


def words(name: str) -> list[str]:
    """The words of a name, in lower case.

    >>> words("responseTime (ms)"), words("latency_us")
    (['response', 'time', 'ms'], ['latency', 'us'])
    """
    return [word.lower() for word in _WORDS.findall(_HUMP.sub(" ", name))]


def stem(name: str) -> str:
    """A name without its unit.

    >>> stem("Response_Time_ms"), stem("latency"), stem("s")
    ('responsetime', 'latency', 's')
    """
    found = words(name)
    if len(found) > 1 and found[-1] in _UNIT_WORDS:
        found.pop()
    return "".join(found)


def unit_of(name: str, names: Sequence[str]) -> str:
    """The unit that a name says; "" if it says none.

    >>> both = ["latency_min", "latency_max"]
    >>> unit_of("duration_min", ["duration_min"]), unit_of("latency_min", both)
    ('min', '')
    """
    found = words(name)
    if stem(name) == TOKENS:
        return "ms"
    unit = _UNIT_WORDS.get(found[-1], "") if found else ""
    if unit == "min" and any(_STATISTICS & {*words(other)} for other in names):
        return ""
    return unit
