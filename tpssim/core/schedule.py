"""When to release: arithmetic on deadlines. This module never reads a clock and never waits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Annotated, NamedTuple

from tpssim.core.errors import InputError
from tpssim.core.types import ceiled, floored, record
from tpssim.core.validation import Range, checked, exact


@record
class Late(NamedTuple):
    """What becomes of the slots that were missed when the schedule has fallen behind.

    `keep` of them are caught up at once, the schedule forgets the others: `BURST` keeps all,
    `DELAY` none (it restarts from now), `capped(n)` n. `SKIP` stays on the old schedule's ticks and
    skips what was missed. `AUTO` keeps what a jitter of 0.1 s costs, or one slot where slots are
    further apart, so that the wanted rate is a ceiling: see `anchor`.

    >>> str(Late()), str(Late(keep=3.0)), str(Late(seconds=0.1))
    ('burst', 'capped(3)', 'auto')
    """

    keep: Annotated[
        float, Range(0.0, math.inf, "slots"), "missed slots that are caught up at once"
    ] = math.inf
    skip: Annotated[
        float,
        Range(0.0, 1.0, "0 or 1"),
        "1: missed slots are skipped and the schedule's ticks stay; 0: `keep` holds",
    ] = 0.0
    seconds: Annotated[
        float,
        Range(0.0, math.inf, "s"),
        "how far the schedule may lie behind a release, if that is more than an interval of the"
        " wanted rate",
    ] = math.inf

    def __str__(self) -> str:
        if self.skip:
            return "skip"
        if self.seconds < math.inf:
            return "auto" if self.seconds == AUTO.seconds else f"auto({exact(self.seconds)})"
        if self.keep == 0.0:
            return "delay"
        return "burst" if self.keep == math.inf else f"capped({self.keep:g})"

    def conflict(self) -> str:
        """One rule at a time."""
        if self.seconds < math.inf and (self.skip or self.keep < math.inf):
            return (
                f"seconds={self.seconds:g} with keep={self.keep:g}, skip={self.skip:g}; allowed:"
                " one of them"
            )
        return ""


BURST = Late()
DELAY = Late(0.0)
SKIP = Late(0.0, 1.0)
AUTO = Late(seconds=0.1)


#: What `late_policy` reads.
POLICIES = "auto, burst, capped(N), delay, skip"


def capped(n: float) -> Late:
    """Catch up n slots at most.

    >>> str(capped(3))
    'capped(3)'
    """
    return Late(n)


def late_policy(text: str) -> Late:
    """`auto`, `burst`, `delay`, `skip` or `capped(N)` as a policy; raises `InputError`.

    >>> late_policy("capped(5)") == capped(5)
    True
    """
    named = {"auto": AUTO, "burst": BURST, "delay": DELAY, "skip": SKIP}
    if text in named:
        return named[text]
    if text.startswith("auto(") and text.endswith(")"):
        try:
            return checked(Late(seconds=float(text[5:-1])), "late")
        except ValueError:
            raise InputError(f"late={text!r}; allowed: auto(S), S seconds >= 0") from None
    if text.startswith("capped(") and text.endswith(")") and text[7:-1].isdigit():
        return capped(float(text[7:-1]))
    raise InputError(f"there is no late policy {text!r}; allowed: {POLICIES}")


def next_due(previous: float, rate: float, target: float, gap: float = 1.0) -> float:
    """The release rule: `previous + gap / min(rate, target)`, s; a rate of 0 is due at inf.

    `gap` is 1 for an even schedule, or a draw of mean 1.

    >>> next_due(10.0, 50.0, 200.0)
    10.02
    """
    speed = min(rate, target)
    return previous + gap / speed if speed > 0.0 else math.inf


def anchor(
    late: Late, due: float, now: float, interval: float, target: float
) -> tuple[float, float]:
    """(where the schedule continues from after a release at `now`, slots that are given up by
    that).

    `skip`: the last tick at or before now; else `max(due, now - keep * interval)`. With `seconds`
    it is `max(due, now - max(seconds, 1 / target))`: the slots up to a release at t lie after the
    first one of the second before it, less that, so no second holds more than `(1 + max(seconds, 1
    / target)) * target + 1`.

    >>> anchor(SKIP, 1.0, 1.7, 0.25, 4.0)
    (1.5, 2.0)
    >>> anchor(AUTO, 1.0, 1.7, 0.25, 4.0)  # one interval behind
    (1.45, 1.7999999999999998)
    """
    if not interval > 0.0:
        return max(due, now), 0.0  # any number of slots fits anywhere: none is missed
    if late.skip > 0.0:
        missed = floored((now - due) / interval) if now > due else 0.0
        return due + missed * interval if missed > 0.0 else due, missed
    start = due
    if late.keep < math.inf and interval < math.inf:
        start = max(start, now - late.keep * interval)
    if late.seconds < math.inf:
        start = max(start, now - max(late.seconds, 1.0 / target if target > 0.0 else math.inf))
    return start, (start - due) / interval


#: Changes of the wanted rate: until when, s, which rate was wanted; in order.
Changes = Sequence[tuple[float, float]]


def stretches(
    start: float, end: float, changes: Changes, target: float
) -> Iterator[tuple[float, float, float]]:
    """(from, to, wanted rate) of each part of a stretch of time.

    >>> list(stretches(0.0, 3.0, [(1.0, 4.0), (2.0, 8.0)], 16.0))
    [(0.0, 1.0, 4.0), (1.0, 2.0, 8.0), (2.0, 3.0, 16.0)]
    """
    for until, wanted in (*changes, (math.inf, target)):
        if start < min(until, end):
            yield start, min(until, end), wanted
            start = until


def slots_in(start: float, end: float, rate: float, changes: Changes, target: float) -> float:
    """How many slots lie in a stretch: the integral of `min(rate, wanted rate)` over it."""
    return math.fsum(
        (b - a) * min(rate, wanted) for a, b, wanted in stretches(start, end, changes, target)
    )


def due_after(
    previous: float, rate: float, changes: Changes, target: float, gap: float = 1.0
) -> float:
    """`next_due`, with a wanted rate that was changed on the way: each rate counts for its own
    time.

    >>> due_after(0.0, math.inf, [(1.0, 0.5)], 500.0)  # half a slot is over at the change
    1.001
    """
    left = gap
    for start, end, wanted in stretches(previous, math.inf, changes, target):
        speed = min(rate, wanted)
        passed = (end - start) * speed if speed > 0.0 else 0.0
        if end == math.inf or (speed > 0.0 and passed >= left):
            return next_due(start, rate, wanted, left)
        left -= passed
    return math.inf


def anchor_over(
    late: Late, due: float, now: float, rate: float, changes: Changes, target: float
) -> tuple[float, float]:
    """`anchor`, with a wanted rate that was changed since `due`: each rate counts for its own time.

    Where any number of slots fits (a rate without bound) none is missed. Of a fall, `AUTO` keeps
    one slot of what was wanted, or what the last 0.1 s hold: not what the old rate makes of an
    interval of the new one.

    >>> anchor_over(DELAY, 0.0, 2.0, math.inf, [(1.0, 4.0)], 100.0)
    (2.0, 104.0)
    """
    for _, end, wanted in stretches(due, now, changes, target):
        if min(rate, wanted) == math.inf:
            due = end
    start, lost = due, 0.0
    if late.skip > 0.0 or late.keep < math.inf:
        missed = slots_in(due, now, rate, changes, target)
        lost = floored(missed) if late.skip > 0.0 else max(0.0, missed - late.keep)
        start = min(now, due_after(due, rate, changes, target, lost)) if lost > 0.0 else due
    if late.skip > 0.0:
        return start, lost
    if late.seconds < math.inf:
        start, _ = anchor(late, due, now, math.inf, target)
        start = max(start, one_back(now - late.seconds, now, changes, target))
    return start, slots_in(due, start, rate, changes, target)


def one_back(start: float, now: float, changes: Changes, target: float) -> float:
    """`start`, or a time before it from which on one slot was wanted until now."""
    left = 1.0
    for since, until, wanted in reversed(list(stretches(-math.inf, now, changes, target))):
        back = until - left / wanted if wanted > 0.0 else -math.inf
        if back >= since:
            return min(start, back)
        left -= (until - since) * wanted
    return start


def on_grid(time: float, grid: float) -> float:
    """A time rounded to the nearest multiple of the grid; with grid 0 as it is.

    >>> on_grid(1.26, 0.5)
    1.5
    """
    return floored(time / grid + 0.5) * grid if grid > 0.0 else time


def ticked(wait: float, tick: float) -> float:
    """A latency rounded up to a multiple of the tick, plus one; with tick 0 as it is.

    The difference of two times is a multiple but for its last bits: what lies within a millionth of
    a tick above one counts as it.

    >>> ticked(0.3, 0.25), ticked((0.7 + 0.1) - 0.7, 0.001)
    (0.75, 0.101)
    """
    return ceiled(wait / tick - 1e-6) * tick + tick if tick > 0.0 else wait
