"""What goes into the measures of a run and what comes out of them, as records of arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tpssim.core.types import record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


GRID = 1000  # points of a steady window
SETTLING_GRID = 2000  # points of the last phase
RECOVERED = 0.95  # of the achievable
BAND = 0.1  # of the final rate: where a rate has settled


@record
class Frame(NamedTuple):
    """What a scenario comes to for the measures."""

    consumer: int
    handoff: float
    bounded: bool  #: a queue that may hold the producer back
    duration: float
    width: float  #: of a bin, s
    capacity: float  #: integral of the capacity, calls
    achievable: float  #: its mean over the run, 1/s
    #: rows of (start, end, index of its first point, index behind its last one)
    producers: Array
    times: Array  #: points of what each producer wants, those of one after the other, s
    targets: Array  #: what it wants there, 1/s: see `core.slots`
    #: rows of (start, end, achievable calls, mean service time and way of an answer, s)
    phases: Array
    #: of each long phase: start, end, mean of the achievable and of the capacity, 1/s; the same two
    #: of its steady window; 1 if the wanted rate moves in it; 1 if it has to settle
    long: Array
    #: rows of (edge, next edge, achievable behind it) where the achievable jumps up, or an overload
    #: ends
    rises: Array
    bins: Array  #: mean of the achievable in each bin, 1/s
    #: achievable calls since the start of the last long phase, at even points of it, if the wanted
    #: rate moves in it; else empty
    curve: Array
    deadline: float  #: how soon a call must succeed, s
    poisson: bool  #: gaps between slots are random: the load comes by itself
    arrivals: Array  #: when the calls of `arriving` come, s; empty where none are recorded
    arriving: int  #: the producer of the recorded arrivals; -1: none
    unit: float  #: mean cost of a call


@record
class Columns(NamedTuple):
    """The columns of a trace that the measures need."""

    scheduled: Array
    released: Array
    completed: Array
    latency: Array
    rate: Array
    limit: Array
    outcome: NDArray[np.int8]
    producer: NDArray[np.int32]
    cost: Array


@record
class Samples(NamedTuple):
    """Room for one run: values to be sorted, padded with inf, and the waves of its steady
    windows.
    """

    response: Array
    lag: Array
    lateness: Array
    took: Array  #: how long completed calls took from when they were asked for
    sizes: Array  #: how many values each of them has; 1 if every rate was left open
    levels: Array  #: a row a long phase: the commanded rate in its steady window
    waves: Array  #: the same less its mean
    powers: Array  #: sum of squares of each wave; nan if it is constant
    times: Array  #: room for what a measure needs for itself alone, in turn; the same for all runs
    values: Array


@record
class Run(NamedTuple):
    """What a metric of its own may read: one run, and what the single pass found of it."""

    columns: Columns  #: of which the first n rows are the run's
    n: int
    counters: Array  #: in the order of `COUNTERS`
    frame: Frame
    phases: Array  #: a row a long phase, see `Phase`; swing, cycle and what follows still to come
    values: Array  #: of the metrics found so far, in the order of `METRICS`


@record
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
    #: calls sent in its steady window beyond those answered in it (ok or failed) / all sent in it
    steady_unanswered: float
    goodput: float  #: calls that completed in it within the deadline, 1/s


# Places in a row of `Frame.phases`, `long`, `producers` (START, END in all), `rises`, of `Phase`.
START, END = 0, 1
CALLS, ALONE = 2, 3
BEST, CAPACITY, BEST_AT_LAST, CAPACITY_AT_LAST, MOVES, SETTLES = range(2, 8)
FIRST, BEHIND = 2, 3
EDGE, NEXT_EDGE, BEST_BEHIND = 0, 1, 2
(
    START_OF_PHASE, END_OF_PHASE, BEST_IN_PHASE, CAPACITY_IN_PHASE, THROUGHPUT_IN_PHASE,
    SHARE_IN_PHASE, STEADY_IN_PHASE, LOAD_IN_PHASE, COMMANDED_IN_PHASE, SWING_IN_PHASE,
    REGULARITY_IN_PHASE, PERIOD_IN_PHASE, DRIFT_IN_PHASE, UNANSWERED_IN_PHASE,
    GOODPUT_IN_PHASE,
) = range(15)  # fmt: skip
RESPONSE, LAG, LATENESS, OPEN, TOOK = range(5)  # in `Samples.sizes`


def one_of(samples: Samples, run: int) -> Samples:
    """The samples of one of many runs."""
    return Samples(
        samples.response[run],
        samples.lag[run],
        samples.lateness[run],
        samples.took[run],
        samples.sizes[run],
        samples.levels[run],
        samples.waves[run],
        samples.powers[run],
        samples.times,
        samples.values,
    )
