"""When to release: arithmetic on deadlines. This module never reads a clock and never waits."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from tpssim.core.errors import InputError
from tpssim.core.slots import Floats, between, due_on, one_back, piece_at
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
        " wanted rate (where calls have costs, of calls of their mean cost)",
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
    late: Late, due: float, now: float, interval: float, target: float, unit: float = 1.0
) -> tuple[float, float]:
    """(where the schedule continues from after a release at `now`, slots that are given up by
    that).

    `skip`: the last tick at or before now; else `max(due, now - keep * interval)`. With `seconds`
    it is `max(due, now - max(seconds, 1 / target))`: the slots up to a release at t lie after the
    first one of the second before it, less that, so no second holds more than `(1 + max(seconds, 1
    / target)) * target + 1`. Where calls cost `unit` on average, `interval` is that of such a call,
    `unit / target` stands for `1 / target`, and the slots that are given up are counted in them.

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
        start = max(start, now - max(late.seconds, unit / target if target > 0.0 else math.inf))
    return start, (start - due) / interval


def anchor_on(
    late: Late,
    times: Floats,
    targets: Floats,
    piece: int,
    due: float,
    now: float,
    rate: float,
    target: float,
    unit: float = 1.0,
) -> tuple[float, float]:
    """`anchor`, for a target that changes after `due`: each part of it counts for its own time.

    `times` and `targets` are the break points of the target and `piece` the one that holds `due`
    (see `slots`); `target` is the one at `now`. Where any number of slots fits (a rate without
    bound) none is missed. With `seconds` the schedule continues from `max(due, now - max(seconds, 1
    / target), min(now - seconds, b))`, where one slot was wanted from b until now: after a fall,
    one slot of what was wanted is kept, not what the old rate makes of an interval of the new one.
    So a second [t, t + 1), t a release, holds at most one more than the integral of the target from
    the later of t - max(seconds, 1 / target(t)) and min(t - seconds, b(t)) to t + 1.

    >>> anchor_on(DELAY, [0.0, 1.0, 1.0], [4.0, 4.0, 100.0], 0, 0.0, 2.0, math.inf, 100.0)
    (2.0, 104.0)
    """
    if rate == math.inf:
        for after in range(piece, len(times)):
            until = min(times[after + 1], now) if after + 1 < len(times) else now
            if targets[after] == math.inf and until > max(due, times[after]):
                due = until
    piece = piece_at(times, due, piece)
    start, lost = due, 0.0
    if late.skip > 0.0 or late.keep < math.inf:
        missed = between(times, targets, piece, due, now, rate) / unit
        lost = floored(missed) if late.skip > 0.0 else max(0.0, missed - late.keep)
        if lost > 0.0:
            given_up = lost * unit
            start = min(now, due_on(times, targets, piece, due, rate, given_up, 0.0, 0.0)[0])
    if late.skip > 0.0:
        return start, lost
    if late.seconds < math.inf:
        start, _ = anchor(late, due, now, math.inf, target, unit)
        start = max(start, min(now - late.seconds, one_back(times, targets, now, unit)))
    return start, between(times, targets, piece, due, start, rate) / unit


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
