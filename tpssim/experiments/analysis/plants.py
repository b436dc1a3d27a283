"""What theory needs of a scenario: the stretch in which the law has something to find, in a few
numbers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim.core.schedule import BURST
from tpssim.core.types import Observation, record
from tpssim.metrics.measure import long_phases
from tpssim.scenarios.capacity import achievable, capacity
from tpssim.scenarios.disturbances import Swap
from tpssim.scenarios.load import peak, profiles
from tpssim.scenarios.plant import Backend, Blocking
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant, Lognormal
from tpssim.theory.bounds import noise_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tpssim.scenarios.service_times import Service

    Array = NDArray[np.float64]


@record
class Plant(NamedTuple):
    """A blocking consumer in the long phase in which it can sustain the least of the target."""

    service: Service
    mean: float  #: s
    cv: float  #: of the service time
    capacity: float  #: 1/s
    target: float  #: 1/s
    phase: int  #: its number among the long ones
    start: float  #: s
    end: float  #: s
    later: (
        float  #: achievable in the last long phase, if that is after this one and higher; else nan
    )
    later_cv: float  #: of the service time there

    def quiet(self) -> Scenario:
        """The same without noise: 2000 calls."""
        return Scenario("quiet", Constant(self.mean), self.target, 2000.0 * self.mean, late=BURST)

    def paced(self, rate: float, calls: float) -> Scenario:
        """This service with so many calls wanted at that rate."""
        return Scenario("paced", self.service, rate, calls / rate, late=BURST)


def service_in(scenario: Scenario, start: float) -> Service:
    """The service that is at work from `start`, factors left out."""
    swaps = [
        d.service for d in scenario.disturbances if isinstance(d, Swap) and d.start <= start < d.end
    ]
    return swaps[-1] if swaps else scenario.service


def plant_of(scenario: Scenario) -> Plant | str:
    """The plant, or in a sentence why theory has none of this scenario."""
    if not isinstance(scenario.consumer, Blocking) or len(scenario.producers) > 1:
        return (
            "the predictions are for one blocking producer, to whom a return tells when the"
            " consumer is free; here calls overlap or are only handed off"
        )
    if (
        scenario.backend != Backend()
        or scenario.network is not None
        or math.isfinite(scenario.timeout)
    ):
        return (
            "the predictions know no backend, network or timeout beside the service; the scenario"
            " has one"
        )
    if profiles(scenario) or scenario.cost is not None:
        return "the predictions are for a constant target of calls; the scenario has another"
    if scenario.poisson or scenario.tick or scenario.grid:
        return (
            "the predictions are for an even schedule and an exact clock; the scenario has another"
        )
    phases = long_phases(scenario)
    shares = [achievable(scenario, (a + b) / 2.0) / peak(scenario) for a, b in phases]
    index = int(np.argmin(shares))
    start, end = phases[index]
    sustained = capacity(scenario, (start + end) / 2.0)
    if sustained >= peak(scenario) or sustained == 0.0:
        return (
            f"in no long phase can the service sustain less than the wanted {peak(scenario):g}/s"
            " (and more than nothing): nothing closes the loop"
        )
    if any(
        not isinstance(d, Swap) and d.start < end and d.end > start for d in scenario.disturbances
    ):
        return (
            "the service changes within the phase in which it is the slowest; theory needs it"
            " steady"
        )
    service = service_in(scenario, start)
    last = phases[-1]
    rises = last[0] >= end and achievable(scenario, sum(last) / 2.0) > sustained
    return Plant(
        service,
        1.0 / sustained,
        noise_of(service),
        sustained,
        peak(scenario),
        index,
        start,
        end,
        achievable(scenario, sum(last) / 2.0) if rises else math.nan,
        noise_of(service_in(scenario, last[0])) if rises else math.nan,
    )


def is_lognormal(plant: Plant) -> bool:
    """Whether the mean-field balance, which is written for it, applies."""
    return isinstance(plant.service, Lognormal)


def backlogged(law: Any, plant: Plant, calls: int = 4000) -> Array:
    """The rates that a law commands if its consumer is busy without a break and without noise.

    A return then comes every `mean`, whatever the rate: the law alone, its loop never open.
    """
    state, rates = law.init(plant.target), np.empty(calls)
    for k in range(calls):
        state = law.update(
            state, Observation((k + 1) * plant.mean, plant.target, plant.mean, 1000.0 * plant.mean)
        )
        rates[k] = state.rate
    return rates
