"""A prediction and what the simulation shows, and the rows that several laws share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tpssim.core.statistics import Estimate, estimate
from tpssim.core.types import record
from tpssim.experiments.analysis.plants import Plant
from tpssim.metrics.measure import measure
from tpssim.output.records.parts import interval
from tpssim.output.records.predictions import Prediction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tpssim.metrics.layout import Phase
    from tpssim.simulation.trace import Trace

QUIET = 0.05  # CV of a service time up to which it is taken for one without noise
TOLERANCE = 0.25  # of a prediction: what theory of noisy loops is good to
#: Of a share, beside that: what is rarer is not counted in runs of some thousand calls.
SLIGHT = 0.001
SPREAD = 2.0 * 1.6448536  # 95th - 5th percentile of a normal variable, in standard deviations


@record
class Row(NamedTuple):
    """One prediction and what the simulation shows."""

    quantity: str
    unit: str
    predicted: float  #: inf: never
    simulated: Estimate | None  #: over replications; None: nothing to simulate
    assumption: str
    refusal: str = ""  #: why it does not apply; "" if it does

    def part(self) -> Prediction:
        """As it stands in a record."""
        value, found = self.predicted, self.simulated
        return {
            "quantity": self.quantity,
            "unit": self.unit,
            "predicted": None
            if math.isnan(value)
            else value
            if math.isfinite(value)
            else str(value),
            "simulated": None if found is None else interval(found),
            "assumption": self.assumption,
            "applies": not self.refusal,
            "why_not": self.refusal,
            "refuted": self.refuted(),
        }

    def refuted(self) -> str:
        """How the simulation contradicts a prediction that applies; "" if it does not.

        It does if its interval (without one, its mean) lies wholly farther than `TOLERANCE` from
        the prediction, or if most runs do what was predicted never to happen, or never what was
        predicted to.
        """
        found = self.simulated
        if self.refusal or math.isnan(self.predicted) or found is None or not found.n + found.never:
            return ""
        runs = found.n + found.never
        if math.isinf(self.predicted):
            return f"it happens in {found.n} of {runs} runs" if found.n > found.never else ""
        if found.never > found.n:
            return f"it never happens in {found.never} of {runs} runs"
        if found.mean is None:
            return ""
        low = found.mean if found.low is None else found.low
        high = found.mean if found.high is None else found.high
        room = TOLERANCE * abs(self.predicted) + (SLIGHT if self.unit == "share" else 0.0)
        if low <= self.predicted + room and high >= self.predicted - room:
            return ""
        times = found.mean / self.predicted if self.predicted else math.nan
        far = f", {times:.3g} times the prediction" if times > 0.0 else ""
        return f"the simulation shows {found.mean:.3g}{far}"


@record
class Picture(NamedTuple):
    """What is drawn of the loop in the complex plane, and as levels over the rate."""

    caption: str
    curves: list[tuple[str, NDArray[np.complex128]]]
    marks: list[tuple[str, complex]]
    levels: list[tuple[str, float]]


@record
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
    return (
        Estimate(value, None, None, 1, 0)
        if math.isfinite(value)
        else Estimate(None, None, None, 0, 1)
    )


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
