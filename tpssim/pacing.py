"""When to release: arithmetic on deadlines. This room never reads a clock and never waits."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from tpssim.core import InputError, Range


class Late(NamedTuple):
    """What becomes of the slots that were missed when the schedule has fallen behind.

    `keep` of them are caught up at once, the schedule forgets the others: `BURST` keeps all, `DELAY` none (it
    restarts from now), `capped(n)` n. `SKIP` stays on the old schedule's ticks and drops what was missed.
    """

    #: missed slots that are caught up at once
    keep: Annotated[float, Range(0.0, math.inf, "slots")] = math.inf
    #: 1: missed slots are dropped and the schedule's ticks stay
    skip: Annotated[float, Range(0.0, 1.0, "0 or 1")] = 0.0

    def __str__(self) -> str:
        if self.skip:
            return "skip"
        if self.keep == 0.0:
            return "delay"
        return "burst" if self.keep == math.inf else f"capped({self.keep:g})"


BURST = Late()
DELAY = Late(0.0)
SKIP = Late(0.0, 1.0)


def capped(n: float) -> Late:
    """Catch up n slots at most."""
    return Late(n)


def late_policy(text: str) -> Late:
    """`burst`, `delay`, `skip` or `capped(N)` as a policy; raises `InputError`.

    >>> late_policy("capped(5)")
    Late(keep=5.0, skip=0.0)
    """
    named = {"burst": BURST, "delay": DELAY, "skip": SKIP}
    if text in named:
        return named[text]
    if text.startswith("capped(") and text.endswith(")") and text[7:-1].isdigit():
        return capped(float(text[7:-1]))
    raise InputError(f"there is no late policy {text!r}; allowed: burst, capped(N), delay, skip")


def next_due(previous: float, rate: float, target: float, gap: float = 1.0) -> float:
    """The release rule: `previous + gap / min(rate, target)`, s; a closed rate valve is due at inf.

    `gap` is 1 for an even schedule, or a draw of mean 1.

    >>> next_due(10.0, 50.0, 200.0)
    10.02
    """
    speed = min(rate, target)
    return previous + gap / speed if speed > 0.0 else math.inf


def anchor(late: Late, due: float, now: float, interval: float) -> tuple[float, float]:
    """(where the schedule continues from after a release at `now`, slots that were dropped).

    `skip`: the last tick at or before now; else `max(due, now - keep * interval)`.

    >>> anchor(SKIP, 1.0, 1.7, 0.25)
    (1.5, 2.0)
    """
    if late.keep == math.inf or interval == math.inf:
        return due, 0.0
    if late.skip > 0.0:
        missed = math.floor((now - due) / interval) if now > due else 0
        return due + missed * interval, float(missed)
    return max(due, now - late.keep * interval), 0.0


def on_grid(time: float, grid: float) -> float:
    """A time rounded to the nearest multiple of the grid; with grid 0 as it is.

    >>> on_grid(1.26, 0.5)
    1.5
    """
    return math.floor(time / grid + 0.5) * grid if grid > 0.0 else time


def ticked(wait: float, tick: float) -> float:
    """A latency rounded up to a multiple of the tick, plus one; with tick 0 as it is.

    The difference of two times is a multiple but for its last bits: what lies within a millionth of a tick
    above one counts as it.

    >>> ticked(0.3, 0.25), ticked((0.7 + 0.1) - 0.7, 0.001)
    (0.75, 0.101)
    """
    return math.ceil(wait / tick - 1e-6) * tick + tick if tick > 0.0 else wait
