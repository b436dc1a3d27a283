"""Laws in a loop: what theory says of their sawtooth, their cycle and their noise.

Sources: Chiu & Jain 1989 for two that share; the describing function and the noise rule are
`theory`'s.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tpssim.controllers import CONTROLLERS
from tpssim.core.types import Observation, record
from tpssim.core.window import Sensor
from tpssim.scenarios.plant import Backend
from tpssim.scenarios.scenario import Producer, Scenario
from tpssim.scenarios.service_times import Constant, Lognormal, Recorded, draws
from tpssim.theory import aimd_balance, beyond, critical_dead_zone, noise_rule
from tpssim.validation.known_answers.common import (
    COMPLETION_FEEDBACK,
    REPLICATIONS,
    Actuators,
    Case,
    Found,
    simulated,
)


@record
class ChiuJain(NamedTuple):
    """Rate + 1 a second; halved if the median latency of the second was above `threshold`. From
    10/s.
    """

    threshold: float

    def sensor(self) -> Sensor:
        return Sensor(period=1.0, quantile=0.5)

    def init(self, target: float) -> Actuators:
        return Actuators(10.0, math.inf, 0.0)

    def update(self, state: Actuators, obs: Observation) -> Actuators:
        if obs.latency > self.threshold:
            return Actuators(state.rate * 0.5, math.inf, 0.0)
        return Actuators(state.rate + 1.0, math.inf, 0.0)


@record
class RelayState(NamedTuple):
    rate: float
    limit: float
    reject: float
    late: float  #: smoothed latency beyond what is wanted, s


@record
class Relay(NamedTuple):
    """Rate `centre` + `step` while the smoothed latency is below `wanted` by more than `zone`, -
    above.
    """

    centre: float
    step: float
    wanted: float
    zone: float
    alpha: float

    def init(self, target: float) -> RelayState:
        return RelayState(self.centre + self.step, math.inf, 0.0, 0.0)

    def update(self, state: RelayState, obs: Observation) -> RelayState:
        late = state.late + self.alpha * (obs.latency - self.wanted - state.late)
        step = -self.step if late > self.zone else self.step if late < -self.zone else 0.0
        return RelayState(self.centre + step, math.inf, 0.0, late)


def _sawtooth(seed: int) -> Found:
    # A constant blocking service of s: the measured interval is s, so the cut comes above C = 1.5 /
    # s and the rate runs from 0.7 C to C in steps of 1. A step adds up to 1 to the peak of the
    # continuous sawtooth.
    service, beta = 0.015, 0.7
    peak = 1.5 / service
    scenario = Scenario("sawtooth", Constant(service), 2.0 * peak, 60.0)
    (trace,) = simulated(scenario, CONTROLLERS["aimd"](), seed, 1)
    rate = trace.rate[len(trace.rate) // 2 :]
    return Found(
        "mean rate, 1/s", (1.0 + beta) / 2.0 * peak, [float(rate.mean())], 1.0, len(trace.rate)
    )


def _chiu_jain(seed: int) -> Found:
    # The second comes when the first is at 90/s; both add 1 and halve together, so each cut halves
    # the difference of 80: after three it is 10, and F = S^2 / (S^2 + D^2) with S the sum.
    scenario = Scenario("chiu-jain", Constant(0.01), 1000.0, 170.0, COMPLETION_FEEDBACK)._replace(
        backend=Backend(servers=1.0), producers=(Producer(), Producer(80.0))
    )
    (trace,) = simulated(scenario, ChiuJain(0.03), seed, 1)
    one, two = (trace.rate[trace.producer == i] for i in (0, 1))
    times = [trace.released[trace.producer == i] for i in (0, 1)]
    cuts = times[1][1:][np.diff(two) < 0.0]
    after = float(cuts[2]) + 0.5
    rates = [
        float(rate[np.searchsorted(t, after) - 1])
        for rate, t in zip((one, two), times, strict=True)
    ]
    return Found(
        "difference after 3 cuts, 1/s", 80.0 / 2.0**3, [rates[0] - rates[1]], 1e-9, len(trace.rate)
    )


def _mean_field(cv: float) -> Callable[[int], Found]:
    def run(seed: int) -> Found:
        theory = aimd_balance(0.02, cv)
        scenario = Scenario("noisy", Lognormal(0.02, cv), 100.0, 120.0)
        runs = simulated(scenario, CONTROLLERS["aimd"](), seed)
        values = []
        for trace in runs:
            t = np.linspace(20.0, scenario.duration, 5000, endpoint=False)
            values.append(float(trace.commanded(t).mean()))
        calls = sum(len(trace.released) for trace in runs)
        return Found("mean rate, 1/s", theory, [float(np.mean(values))], 0.12 * theory, calls)

    return run


def _dead_zone(seed: int) -> Found:
    # The reference case, an integrator, a lag of 1 s and a dead time of 0.5 s behind a relay with a
    # dead zone, as a queue: its wait integrates what the rate exceeds capacity by, as a share; a
    # call tells of it when it leaves, about the wanted wait after it came; the law's EWMA is the
    # lag.
    capacity, step, tau, wait = 100.0, 0.02, 1.0, 0.5
    scenario = Scenario(
        "relay", Constant(1.0 / capacity), 2.0 * capacity, 200.0, COMPLETION_FEEDBACK
    )
    scenario = scenario._replace(backend=Backend(servers=1.0))
    law = Relay(capacity, step * capacity, wait, 0.0, -math.expm1(-1.0 / (tau * capacity)))
    theory, calls = critical_dead_zone(step, 1.0, tau, wait), 0
    low, high = 0.5 * theory, 2.0 * theory
    for _ in range(7):
        middle = (low + high) / 2.0
        (trace,) = simulated(scenario, law._replace(zone=middle), seed, 1)
        late = trace.latency[len(trace.latency) * 3 // 4 :]
        cycles = float(np.nanmax(late) - np.nanmin(late)) > 0.1 * step
        low, high = (middle, high) if cycles else (low, middle)
        calls += len(trace.latency)
    return Found("least half-width without a cycle, s", theory, [high], 0.2 * theory, calls)


def _noise_rule(seed: int) -> Found:
    # Independent normal service times of CV 0.3, paced at half of capacity: `busy-time`, its steps
    # next to nothing, cuts wherever its smoothed load is above the bound.
    alpha, cv, load, looks, mean = 0.2, 0.3, 0.5, 2.0, 0.01
    bound = load * float(noise_rule(alpha, cv, looks))
    law = CONTROLLERS["busy-time"](alpha=alpha, low=0.0, high=bound, dec_rate=1.0 - 1e-12)
    cuts = calls = 0
    for replication in range(REPLICATIONS):
        noise = draws("normal", 5_000, seed, replication)
        times = np.maximum(mean * (1.0 + cv * noise), 0.0)
        scenario = Scenario("noise", Recorded(tuple(times.tolist()), "normal"), load / mean, 100.0)
        (trace,) = simulated(scenario, law, seed, 1)
        cuts += int((np.diff(trace.rate) < 0.0).sum())
        calls += len(trace.rate)
    return Found(
        "share of looks above 2 sigma", beyond(looks), [cuts / calls], 0.2 * beyond(looks), calls
    )


CASES: dict[str, Case] = {
    "AIMD sawtooth": Case("cut to 0.7 above 1.5 / service time, + 1 a call", _sawtooth),
    "Chiu-Jain": Case("two AIMD producers: each cut halves their difference", _chiu_jain),
    "AIMD, CV 0.5": Case(
        "mean-field balance of gain 1 - p and loss 0.3 rate p, within 12 %", _mean_field(0.5)
    ),
    "AIMD, CV 1": Case("the same under more noise", _mean_field(1.0)),
    "relay + dead zone": Case(
        "describing function: a queue, a lag and a dead time stop cycling, within 20 %", _dead_zone
    ),
    "noise rule": Case(
        "a smoothed busy time crosses 2 sigma by chance in 2.3 %, within 20 %", _noise_rule
    ),
}
