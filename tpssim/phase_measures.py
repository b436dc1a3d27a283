"""What happened in each long phase of one run. Reads a trace; starts nothing.

*Phase*: a stretch between two edges of the disturbances. *Long phase*: one of at least 5 s (or the longest).
*Steady window*: the second half of a long phase.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tpssim import signals
from tpssim.core import OK, REFUSED
from tpssim.scenario import achievable, capacity, mean_over, phases

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tpssim.scenario import Scenario
    from tpssim.traces import Trace

    Array = NDArray[np.float64]

LONG = 5.0  # s; a shorter phase is over before a law can settle


class Phase(NamedTuple):
    """What happened in one long phase."""

    start: float
    end: float
    achievable: float  #: 1/s
    capacity: float  #: 1/s
    throughput: float  #: 1/s
    share: float  #: calls completed / achievable calls
    steady_share: float  #: the same in its steady window
    steady_load: float  #: calls completed / capacity in its steady window; 0 if unlimited
    commanded: float  #: mean commanded rate in its steady window, 1/s
    swing: float
    regularity: float
    period: float
    drift: float


def by_limit(trace: Trace) -> bool:
    """Whether the law leaves the rate valve open and commands by its limit."""
    return bool(np.isinf(trace.rate).all() and np.isfinite(trace.limit).all() and len(trace.limit))


def commanded(trace: Trace, t: Array) -> Array:
    """What the law commands: its rate, or its limit if it leaves the rate valve open and sets a limit."""
    if by_limit(trace):
        sent = trace.outcome != REFUSED
        times, limits = trace.released[sent], trace.limit[sent]
        held: Array = limits[np.maximum(np.searchsorted(times, t, side="right") - 1, 0)]
        return held
    return trace.commanded(t)


def completions(trace: Trace) -> Array:
    return np.sort(trace.completed[trace.outcome == OK])


def count_in(times: Array, start: float, end: float) -> float:
    first, last = np.searchsorted(times, (start, end), side="left")
    return float(last - first)


def long_phases(scenario: Scenario) -> list[tuple[float, float]]:
    """The phases in which a law has time to settle."""
    every = phases(scenario)
    enough = min(LONG, max(end - start for start, end in every))
    return [(start, end) for start, end in every if end - start >= enough]


def measure_phases(trace: Trace) -> list[Phase]:
    """One row for each long phase."""
    scenario = trace.scenario
    completed = completions(trace)
    rows = []
    for start, end in long_phases(scenario):
        middle = (start + end) / 2.0
        best = mean_over(scenario, achievable, start, end)
        bears = mean_over(scenario, capacity, start, end)
        count = count_in(completed, start, end)
        steady = count_in(completed, middle, end) / (end - middle)
        grid = np.linspace(middle, end, 1000, endpoint=False)
        rate = commanded(trace, grid)
        mean = float(np.mean(rate))
        spread = float(np.subtract(*np.quantile(rate, (0.95, 0.05)))) / mean if mean > 0.0 else 0.0
        _, period = signals.regular_cycle(rate)
        rows.append(
            Phase(
                start,
                end,
                best,
                bears,
                count / (end - start),
                count / (best * (end - start)) if best > 0.0 else 1.0,
                steady / best if best > 0.0 else 1.0,
                steady / bears if bears > 0.0 else 1.0,
                mean,
                spread,
                signals.miao_seborg(rate),
                period * (end - middle) / len(grid),
                _drift(trace, middle, end),
            )
        )
    return rows


def _drift(trace: Trace, start: float, end: float) -> float:
    if by_limit(trace):
        return math.nan  # such a law keeps no schedule
    quarter = (end - start) / 4.0
    lag = trace.released - trace.scheduled
    first = lag[(trace.released >= start) & (trace.released < start + quarter)]
    last = lag[(trace.released >= end - quarter) & (trace.released < end)]
    if not len(first) or not len(last):
        return math.nan
    return float(last.min() - first.min()) / (3.0 * quarter) * 1e6
