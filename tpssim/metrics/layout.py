"""What goes into the measures of a run and what comes out of them, as records of arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tpssim.core.types import record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


(
    THROUGHPUT, ACHIEVED, WORST_PHASE, UTILISATION, STEADY_ERROR, OVERSHOOT, SETTLING_TIME,
    RECOVERY_TIME, SWING, REGULARITY, PERIOD, TOTAL_VARIATION, IAE, ITAE, RESPONSE_P50,
    RESPONSE_P99, RESPONSE_P999, LAG_P99, LAG_MAX, LATENESS_P50, LATENESS_P99, DRIFT, BURST_10MS,
    BURST_100MS, SPIN_CPU, ERRORS, REFUSED_CALLS, LIMITED, CAUGHT_UP, RE_ANCHORED, SKIPPED, STRETCH,
    REGAIN_TIME, FAIRNESS, TIME_TO_FAIRNESS, CHURN, BURST_1S,
) = range(37)  # fmt: skip

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
    target: float
    duration: float
    width: float  #: of a bin, s
    capacity: float  #: integral of the capacity, calls
    achievable: float  #: its mean over the run, 1/s
    producers: Array  #: rows of (start, end)
    #: rows of (start, end, achievable calls, mean service time and way of an answer, s)
    phases: Array
    long: Array  #: of each long phase: start, end, mean of the achievable and of the capacity, 1/s
    rises: Array  #: rows of (edge, next edge, achievable behind it) where the achievable rises
    bins: Array  #: mean of the achievable in each bin, 1/s


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


@record
class Samples(NamedTuple):
    """Room for one run: values to be sorted, padded with inf, and the waves of its steady
    windows.
    """

    response: Array
    lag: Array
    lateness: Array
    sizes: Array  #: how many values each of them has; 1 if every rate was left open
    levels: Array  #: a row a long phase: the commanded rate in its steady window
    waves: Array  #: the same less its mean
    powers: Array  #: sum of squares of each wave; nan if it is constant


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


# Places in a row of `Frame.phases`, `long` (START and END in both), `rises`, of `Phase`.
START, END = 0, 1
CALLS, ALONE = 2, 3
BEST, CAPACITY = 2, 3
EDGE, NEXT_EDGE, BEST_BEHIND = 0, 1, 2
(
    START_OF_PHASE, END_OF_PHASE, BEST_IN_PHASE, CAPACITY_IN_PHASE, THROUGHPUT_IN_PHASE,
    SHARE_IN_PHASE, STEADY_IN_PHASE, LOAD_IN_PHASE, COMMANDED_IN_PHASE, SWING_IN_PHASE,
    REGULARITY_IN_PHASE, PERIOD_IN_PHASE, DRIFT_IN_PHASE,
) = range(13)  # fmt: skip
RESPONSE, LAG, LATENESS, OPEN = 0, 1, 2, 3  # in `Samples.sizes`


def one_of(samples: Samples, run: int) -> Samples:
    """The samples of one of many runs."""
    return Samples(
        samples.response[run],
        samples.lag[run],
        samples.lateness[run],
        samples.sizes[run],
        samples.levels[run],
        samples.waves[run],
        samples.powers[run],
    )
