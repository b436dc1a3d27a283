"""What came in time: goodput, wasted work, and how long calls took since they were asked for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tpssim.core.slots import between, piece_at
from tpssim.core.types import OK, REFUSED, UNFINISHED
from tpssim.metrics.layout import (
    BEHIND,
    END,
    FIRST,
    GOODPUT_IN_PHASE,
    START,
    TOOK,
    Columns,
    Frame,
    Samples,
)
from tpssim.metrics.places import GOODPUT, WASTED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SECOND, BEFORE = 1.0, 0.1  # s: the ceiling is what was wanted in these, see `core.schedule`
ROUNDING = 1e-6  # of the ceiling


def wanted_before(times: Any, targets: Any, unit: float, at: float) -> float:
    """What was wanted in the second up to a time, and in the 0.1 s before it, or one call if that
    is more.

    >>> wanted_before([0.0], [64.0], 1.0, 5.0), wanted_before([0.0], [4.0], 1.0, 5.0)
    (70.4, 5.0)
    """
    middle, start = at - SECOND, at - SECOND - BEFORE
    earlier = between(times, targets, piece_at(times, start, 0), start, middle, math.inf)
    return between(times, targets, piece_at(times, middle, 0), middle, at, math.inf) + max(
        earlier, unit
    )


def asked_for(columns: Columns, i: int, frame: Frame, slot: int) -> float:
    """From when on a call is waited for: its release where a loop hands out items; where the load
    comes by itself, its slot at random or its recorded arrival.
    """
    if slot < len(frame.arrivals):
        return float(frame.arrivals[slot])
    return float(columns.scheduled[i] if frame.poisson else columns.released[i])


def fill_goodput(
    columns: Columns,
    n: int,
    frame: Frame,
    samples: Samples,
    sent: Array,
    costs: Array,
    phases: Array,
    out: Array,
) -> None:
    """Goodput, of the run and of each long phase, and wasted work; the latencies are to be sorted.

    `sent`, `costs`: room for the calls of a producer within its ceiling.
    """
    for which in range(len(frame.long)):
        phases[which, GOODPUT_IN_PHASE] = 0.0
    took, good, wasted, ended = 0, 0.0, 0, 0
    for p in range(len(frame.producers)):
        points, behind_points = int(frame.producers[p, FIRST]), int(frame.producers[p, BEHIND])
        times: Any = frame.times[points:behind_points]
        targets: Any = frame.targets[points:behind_points]
        recorded = frame.arriving == p
        capped = not frame.poisson and not recorded
        slot, size, first, inside = 0, 0, 0, 0.0
        for i in range(n):
            if columns.producer[i] != p:
                continue
            asked = asked_for(columns, i, frame, slot if recorded else n)
            slot += 1
            if columns.outcome[i] == REFUSED:
                continue
            at = columns.released[i]
            if capped:
                while first < size and sent[first] <= at - SECOND:
                    inside -= costs[first]
                    first += 1
                if inside > wanted_before(times, targets, frame.unit, at) * (1.0 + ROUNDING):
                    continue
                sent[size], costs[size] = at, columns.cost[i]
                inside += columns.cost[i]
                size += 1
            over = frame.duration if columns.outcome[i] == UNFINISHED else columns.completed[i]
            if columns.outcome[i] == OK:
                samples.took[took] = over - asked
                took += 1
            late = over - asked > frame.deadline
            if columns.outcome[i] == UNFINISHED and not late:
                continue
            ended += 1
            if columns.outcome[i] != OK or late:
                wasted += 1
                continue
            good += columns.cost[i]
            for which in range(len(frame.long)):
                if frame.long[which, START] <= over < frame.long[which, END]:
                    phases[which, GOODPUT_IN_PHASE] += columns.cost[i]
                    break
    for which in range(len(frame.long)):
        phases[which, GOODPUT_IN_PHASE] /= frame.long[which, END] - frame.long[which, START]
    samples.took[took:] = math.inf
    samples.sizes[TOOK] = float(took)
    out[GOODPUT] = good / frame.duration
    out[WASTED] = wasted / ended if ended > 0 else math.nan
