"""The events of a recording, read and checked. Its format is that of `tpssim.live.journal`."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tpssim.core.errors import InputError
from tpssim.core.profiles import Stages
from tpssim.core.types import OUTCOMES
from tpssim.live.journal import FORMAT

#: What a playback needs of each event; `limit` and `reject` may be left out, and the rate may be
#: null.
FIELDS = {
    "header": ("controller", "parameters", "late", "seed", "began"),
    "start": ("t", "tps", "calls", "rate"),
    "release": ("t", "call", "due", "rate"),
    "refuse": ("t", "call", "due", "rate"),
    "end": ("t", "call", "outcome", "rate"),
    "look": ("t", "rate"),
    "tps": ("t", "tps", "rate"),
    "stop": ("t",),
}
#: The least and the most that a finite number may be.
BOUNDS = {
    "tps": (5e-324, math.inf),
    "rate": (0.0, math.inf),
    "limit": (0.0, math.inf),
    "reject": (0.0, 1.0),
    "seed": (0, math.inf),
    "call": (0, math.inf),
    "in_flight": (0, math.inf),
    "cost": (0.0, math.inf),
    "retry_after": (0.0, math.inf),
    "outcome": (0, len(OUTCOMES) - 1),
    "spin_cpu": (0.0, math.inf),
    "limited": (0.0, math.inf),
    "held": (0.0, math.inf),  # what `limited` was called
}
#: How calls are made.
CALLS = re.compile(r"(blocking|permits|async)|(pool|async)\([1-9]\d{0,5}\)")
#: Which sequence of times an event belongs to, if not to that of the ends.
CLOCKS = {"release": "release", "refuse": "release", "look": "look"}
SLACK = 10.0  # s by which times of two threads may differ: the process may be stopped between
KINDS: dict[str, type] = {
    **dict.fromkeys(("controller", "late", "began", "calls", "stages"), str),
    **dict.fromkeys(("seed", "call", "outcome", "in_flight"), int),
    "parameters": dict,
}
TIMES = ("t", "due")
LATEST = 1e12  # s, of a clock


def events(path: str | Path) -> Iterator[dict[str, Any]]:
    """The header and the events of a recording, without a last line that is cut off.

    Raises `InputError` for a file that is not a recording, and for a damaged line, which it names.
    """
    try:
        file = open(path, encoding="utf-8", errors="replace")  # noqa: SIM115
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}; allowed: a recording"
        ) from error
    with file:
        order = _Order()
        for number, line in enumerate(file, 1):
            try:
                event = json.loads(line, parse_constant=_refuse)
                if not isinstance(event, dict) or not isinstance(event.get("e"), str):
                    raise ValueError("no event")
            except (ValueError, RecursionError) as error:
                if not line.endswith("\n") and number > 1:
                    return
                raise InputError(
                    f"{path}, line {number}: {line[:40]!r} is no line of a recording;"
                    " allowed: a file of live --record, or of record="
                ) from error
            if number == 1 and (event["e"] != "header" or event.get("format") != FORMAT):
                raise InputError(f"{path}, line 1: it is not a recording of format {FORMAT}")
            if wrong := _wrong(event) or order.wrong(event):
                raise InputError(f"{path}, line {number}: {wrong}")
            yield event
        if not order.last:
            raise InputError(f"{path} is empty; allowed: a recording")


class _Order:
    """The rules from one line to the next."""

    def __init__(self) -> None:
        self.last = ""  # the kind of the line before
        self.latest: dict[str, float] = {}  # time of each sequence: releases, ends, windows
        self.released: dict[int, float] = {}

    def wrong(self, event: dict[str, Any]) -> str:
        """Why an event cannot follow those before it; "" if it can."""
        kind, before = event["e"], self.last
        self.last = kind
        wanted = {"": "header", "header": "start"}.get(before, "")
        if wanted:
            missing = (
                f"an event {kind!r} where {wanted!r} is missing; allowed: a recording as it was"
                " written"
            )
            if kind != wanted:
                return missing
            self.latest = dict.fromkeys(("release", "end", "look"), event.get("t", 0.0))
            return ""
        if kind in ("header", "start") or before == "stop":
            return f"an event {kind!r} behind {before!r}; allowed: one recording in a file"
        return self._backwards(kind, event)

    def _backwards(self, kind: str, event: dict[str, Any]) -> str:
        """Whether times go back. Threads write a time a moment after they have read it."""
        t = event["t"]
        clock = CLOCKS.get(kind, "end")
        earliest = max(self.latest.get(clock, 0.0), max(self.latest.values(), default=0.0) - SLACK)
        if kind in ("end", "release"):
            call = event["call"]
            if (call in self.released) is (kind == "release"):
                wrong = "released twice" if kind == "release" else "ended, and not in flight"
                return f"call={call} is {wrong}; allowed: for each call one release, then one end"
            if kind == "end":
                earliest = max(earliest, self.released.pop(call))
            else:
                self.released[call] = t
        if t < earliest:
            return f"t={t!r}, which goes back; allowed: {earliest!r} or later"
        self.latest[clock] = t
        return ""


def _fits(value: Any, wanted: type | None) -> bool:
    """Whether a value has that type; None: a number. True and False are not numbers."""
    return isinstance(value, wanted or int | float) and not isinstance(value, bool)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _wrong(event: dict[str, Any]) -> str:
    """What is wrong with an event; "" if nothing is."""
    kind = event["e"]
    if kind not in FIELDS:
        return f"an event {kind!r}; allowed: {', '.join(FIELDS)}"
    given = {**event}
    for name in ("rate", "tps"):  # null: no rate is wanted or commanded
        if event.get(name, 0.0) is None:
            given[name] = math.inf
    for name in (
        *FIELDS[kind],
        *(name for name in (*BOUNDS, "stages") if name in event and name not in FIELDS[kind]),
    ):
        if name not in given:
            return f"an event {kind!r} without {name!r}; allowed: with {', '.join(FIELDS[kind])}"
        wanted, value = KINDS.get(name), given[name]
        if not _fits(value, wanted):
            return f"{name}={value!r}; allowed: {wanted.__name__ if wanted else 'a number'}"
        if name in TIMES and not 0.0 <= value <= LATEST:
            return f"{name}={str(value)[:20]}; allowed: a number of seconds from 0 to {LATEST:g}"
        if name in BOUNDS and event[name] is not None:
            low, high = BOUNDS[name]
            if not low <= value <= high or not abs(value) <= sys.float_info.max:
                least = "above 0" if name == "tps" else f"of {low:g} or more"
                most = "" if math.isinf(high) else f", at most {high:g}"
                return f"{name}={str(value)[:20]}; allowed: a finite number {least}{most}"
        if name == "stages":
            try:
                Stages(value)
            except InputError as error:
                return str(error)
        if name == "calls" and not CALLS.fullmatch(value):
            return (
                f"calls={value!r}; allowed: blocking, permits, async, or such as pool(8), async(8)"
            )
    return ""
