"""A prediction and what the simulation shows, and the rows that several laws share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tpssim.analysis.plants import Plant
from tpssim.metrics import measure
from tpssim.statistics import Estimate, estimate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tpssim.reduction.records import Phase
    from tpssim.traces import Trace

QUIET = 0.05  # CV of a service time up to which it is taken for one without noise
SPREAD = 2.0 * 1.6448536  # 95th - 5th percentile of a normal variable, in standard deviations


class Row(NamedTuple):
    """One prediction and what the simulation shows."""

    quantity: str
    unit: str
    predicted: float  #: inf: never
    simulated: Estimate | None  #: over replications; None: nothing to simulate
    assumption: str
    refusal: str = ""  #: why it does not apply; "" if it does


class Picture(NamedTuple):
    """What is drawn of the loop in the complex plane, and as levels over the rate."""

    caption: str
    curves: list[tuple[str, NDArray[np.complex128]]]
    marks: list[tuple[str, complex]]
    levels: list[tuple[str, float]]


class Runs(NamedTuple):
    """The replications on the scenario itself, and the phase of each that is looked at."""

    plant: Plant
    traces: Sequence[Trace]
    phases: Sequence[Phase]

    def of(self, what: Callable[[Phase], float]) -> Estimate:
        return estimate([what(phase) for phase in self.phases])

    def steady(self) -> tuple[float, float]:
        """The steady window of the phase, s."""
        return (self.plant.start + self.plant.end) / 2.0, self.plant.end


def exact(value: float) -> Estimate:
    """Of a run without noise: one value, no interval."""
    return Estimate(value, None, None, 1, 0) if math.isfinite(value) else Estimate(None, None, None, 0, 1)


def recovery_row(runs: Runs, predicted: float, assumption: str) -> list[Row]:
    """The time to come back, where the scenario has a later and better phase."""
    if math.isnan(runs.plant.later):
        return []
    simulated = estimate([measure(trace)["recovery_time"] for trace in runs.traces])
    return [Row("recovery time", "s", predicted, simulated, assumption)]


def climb(runs: Runs, rest: float, inc_step: float) -> list[Row]:
    """A rate that gains a step a call grows as `r' = inc_step r`."""
    if math.isnan(runs.plant.later) or inc_step == 0.0:
        return []
    return recovery_row(
        runs,
        math.log(0.95 * runs.plant.later / rest) / inc_step,
        "from the predicted mean rate, a step a call: r' = inc_step r, ln(0.95 r1 / r0) / inc_step",
    )
