"""Queues: closed forms, and identities that hold on every run.

Sources of the formulas: Kleinrock, Queueing Systems 1; Gross & Harris. Time is in units of the
service time where a case gives no other.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tpssim.core.schedule import DELAY
from tpssim.core.types import OK, REJECTED, Observation, record
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant, Exponential, Lognormal, draws
from tpssim.theory import blocked, lindley
from tpssim.validation.known_answers.common import (
    FIXED,
    Actuators,
    Case,
    Found,
    open_queue,
    simulated,
)


@record
class Window(NamedTuple):
    """A law that allows a constant number of calls in flight."""

    limit: float

    def init(self, target: float) -> Actuators:
        return Actuators(math.inf, self.limit, 0.0)

    def update(self, state: Actuators, obs: Observation) -> Actuators:
        return state


def _response(scenario: Scenario, seed: int) -> tuple[list[float], int]:
    """The mean time in the system of each replication, its first tenth left out; and the number of
    calls.
    """
    runs = simulated(scenario, FIXED, seed)
    means = []
    for trace in runs:
        late = trace.latency[len(trace.latency) // 10 :]
        means.append(float(np.nanmean(late)))
    return means, sum(len(trace.released) for trace in runs)


def erlang_c(servers: int, load: float) -> float:
    """The probability that a call has to wait in M/M/c, at an offered load of `load` servers.

    >>> round(erlang_c(3, 2.5), 7)
    0.7022472
    """
    lost = blocked(servers, load)
    return lost / (1.0 - load / servers * (1.0 - lost))


def dm1_sigma(load: float) -> float:
    """The root in (0, 1) of `sigma = exp(-(1 - sigma) / load)`: what a paced arrival finds busy in
    D/M/1.

    >>> round(dm1_sigma(0.8), 7)
    0.6286298
    """
    sigma = load
    for _ in range(1000):
        sigma = math.exp(-(1.0 - sigma) / load)
    return sigma


TIME_IN_SYSTEM = "time in system, s"


def _mm1(seed: int) -> Found:
    values, calls = _response(open_queue(Exponential(1.0), 0.8, 25_000), seed)
    return Found(TIME_IN_SYSTEM, 1.0 / (1.0 - 0.8), values, 0.0, calls)


def _md1(seed: int) -> Found:
    values, calls = _response(open_queue(Constant(1.0), 0.8, 10_000), seed)
    return Found(TIME_IN_SYSTEM, 1.0 + 0.8 / (2.0 * (1.0 - 0.8)), values, 0.0, calls)


def _mg1(seed: int) -> Found:
    squared_cv = math.e - 1.0  # lognormal with sigma 1
    service = Lognormal(1.0, math.sqrt(squared_cv))
    values, calls = _response(open_queue(service, 0.7, 25_000), seed)
    return Found(
        TIME_IN_SYSTEM, 1.0 + 0.7 * (1.0 + squared_cv) / (2.0 * (1.0 - 0.7)), values, 0.0, calls
    )


def _mmc(seed: int) -> Found:
    values, calls = _response(open_queue(Exponential(0.25), 10.0, 20_000, servers=3.0), seed)
    return Found(TIME_IN_SYSTEM, 0.25 + erlang_c(3, 2.5) / (3.0 * 4.0 - 10.0), values, 0.0, calls)


def _dm1(seed: int) -> Found:
    values, calls = _response(open_queue(Exponential(1.0), 0.8, 10_000, poisson=0.0), seed)
    return Found(TIME_IN_SYSTEM, 1.0 / (1.0 - dm1_sigma(0.8)), values, 0.0, calls)


def _mm1k(seed: int) -> Found:
    places, load = 5, 0.8
    runs = simulated(open_queue(Exponential(1.0), load, 5_000, places=places - 1.0), FIXED, seed)
    values = [float((trace.outcome == REJECTED).mean()) for trace in runs]
    theory = blocked(1, load, places - 1)
    return Found("share rejected", theory, values, 0.0, sum(len(trace.released) for trace in runs))


def _closed(seed: int) -> Found:
    # A producer of exponential gaps that may have a gap running and n - 1 calls in flight is the
    # closed tandem of two exponential stations with n credits; held back, it begins a new gap when
    # it is let go.
    credits, producer, consumer = 8, 1.0, 1.25
    scenario = open_queue(Exponential(1.0 / consumer), producer, 5_000)._replace(late=DELAY)
    runs = simulated(scenario, Window(credits - 1.0), seed)
    values = [len(trace.released) / scenario.duration for trace in runs]
    ratio = producer / consumer
    theory = producer * (1.0 - ratio**credits) / (1.0 - ratio ** (credits + 1))
    return Found("throughput, 1/s", theory, values, 0.0, sum(len(trace.released) for trace in runs))


def _little(seed: int) -> Found:
    """L = lambda W on every run, L from the number in flight as the model counts it."""
    worst, calls = 0.0, 0
    for scenario in (
        open_queue(Exponential(1.0), 0.8, 5_000),
        open_queue(Exponential(0.25), 10.0, 5_000, servers=3.0),
        open_queue(Lognormal(0.5, 2.0), 1.0, 5_000, slope=0.05, servers=math.inf),
    ):
        for trace in simulated(scenario, FIXED, seed, 5):
            done = np.sort(trace.completed[trace.outcome == OK])
            counted = np.arange(1.0, len(trace.released) + 1.0)
            counted -= np.searchsorted(done, trace.released, side="right")
            # The model's own count at each release against the log of completions: a wrong one
            # fails here.
            worst = max(worst, float(np.abs(counted - trace.in_flight).max()))
            ends = np.where(trace.outcome == OK, trace.completed, scenario.duration)
            moments = np.concatenate((trace.released, ends))
            steps = np.concatenate((np.ones(len(ends)), -np.ones(len(ends))))
            order = np.argsort(moments, kind="stable")
            level = np.cumsum(steps[order])[:-1]
            number = float((level * np.diff(moments[order])).sum()) / scenario.duration
            rate, time = len(ends) / scenario.duration, float((ends - trace.released).mean())
            worst = max(worst, abs(number / (rate * time) - 1.0))
            calls += len(ends)
    return Found("largest error of L / (lambda W)", 0.0, [worst], 1e-9, calls)


def _lindley(seed: int) -> Found:
    """One first-come-first-served server."""
    wrong, calls = 0, 0
    scenario = open_queue(Lognormal(1.0, 1.0), 0.9, 20_000)
    for replication, trace in enumerate(simulated(scenario, FIXED, seed, 3)):
        work = scenario.service.times(
            draws("normal", len(trace.released), seed, replication)
        ).tolist()
        left = np.array(lindley(trace.released.tolist(), work))
        done = np.isfinite(trace.completed)
        wrong += int((trace.completed != left)[done].sum())
        calls += len(work)
    return Found("calls that differ by a bit", 0.0, [float(wrong)], 0.0, calls)


def _ties(seed: int) -> Found:
    """Service as long as the interval, no place to wait: a completion frees the server for the
    release.
    """
    scenario = open_queue(Constant(0.25), 4.0, 1_000, poisson=0.0, places=0.0)
    (trace,) = simulated(scenario, FIXED, seed, 1)
    return Found(
        "calls rejected", 0.0, [float((trace.outcome == REJECTED).sum())], 0.0, len(trace.released)
    )


CASES: dict[str, Case] = {
    "M/M/1": Case("random arrivals, exponential service, load 0.8", _mm1),
    "M/D/1": Case("constant service, load 0.8", _md1),
    "M/G/1": Case("lognormal service of CV 1.31, load 0.7 (Pollaczek-Khinchine)", _mg1),
    "M/M/c": Case("three servers, load 0.83 (Erlang C)", _mmc),
    "D/M/1": Case("a perfectly paced producer, load 0.8", _dm1),
    "M/M/1/K": Case("five in the system at most, load 0.8", _mm1k),
    "closed window": Case("producer and consumer with 8 credits", _closed),
    "Little": Case("L = lambda W on every run", _little),
    "Lindley": Case("one server to the bit", _lindley),
    "ties": Case("completions before releases at equal times", _ties),
}
