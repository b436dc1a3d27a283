"""Cases with a known answer, for `validation`: closed forms, identities, published scenarios.

Sources of the formulas: Kleinrock, Queueing Systems 1; Gross & Harris; Chiu & Jain 1989. Time is in units of
the service time where a case gives no other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from tpssim import model
from tpssim.controllers import CONTROLLERS
from tpssim.core import OK, REJECTED, Observation
from tpssim.pacing import DELAY
from tpssim.plant import Async, Backend
from tpssim.scenario import Producer, Scenario, checked_scenario
from tpssim.sensor import Sensor
from tpssim.services import Constant, Exponential, Lognormal, draws
from tpssim.theory import LOOKS, beyond, critical_dead_zone, noise_rule
from tpssim.theory.describing import reference_loop
from tpssim.traces import Trace
from tpssim.vector_cases import Statistic, measured, out_of_range
from tpssim.vector_ranges import VECTOR_CASES

REPLICATIONS = 20
COMPLETION_FEEDBACK = Async(0.0, "completion")


class Found(NamedTuple):
    """What a case found."""

    quantity: str
    theory: float
    values: Sequence[float]  #: one a replication; a single one is held against the tolerance
    tolerance: float
    calls: int
    parts: tuple[Statistic, ...] = ()  #: if several numbers are judged, each with its range


class Case(NamedTuple):
    about: str
    run: Callable[[int], Found]  #: from the seed


class Valves(NamedTuple):
    rate: float
    limit: float
    reject: float


class Window(NamedTuple):
    """A law that allows a constant number of calls in flight."""

    limit: float

    def init(self, target: float) -> Valves:
        return Valves(math.inf, self.limit, 0.0)

    def update(self, state: Valves, obs: Observation) -> Valves:
        return state


class ChiuJain(NamedTuple):
    """Rate + 1 a second; halved if the median latency of the second was above `threshold`. From 10/s."""

    threshold: float

    def sensor(self) -> Sensor:
        return Sensor(period=1.0, quantile=0.5)

    def init(self, target: float) -> Valves:
        return Valves(10.0, math.inf, 0.0)

    def update(self, state: Valves, obs: Observation) -> Valves:
        if obs.latency > self.threshold:
            return Valves(state.rate * 0.5, math.inf, 0.0)
        return Valves(state.rate + 1.0, math.inf, 0.0)


FIXED = CONTROLLERS["fixed"]()


def _runs(scenario: Scenario, law: Any, seed: int, replications: int = REPLICATIONS) -> list[Trace]:
    plant = checked_scenario(scenario)
    return [model.simulate(plant, law, seed, replication, {}) for replication in range(replications)]


def _queue(service: Any, rate: float, calls: int, poisson: float = 1.0, **backend: float) -> Scenario:
    """An open queue: `calls` arrivals a replication on average, random or evenly spaced."""
    plant = Backend(**({"servers": 1.0} | backend))
    scenario = Scenario("queue", service, rate, calls / rate, COMPLETION_FEEDBACK, backend=plant)
    return scenario._replace(poisson=poisson)


def _response(scenario: Scenario, seed: int) -> tuple[list[float], int]:
    """The mean time in the system of each replication, its first tenth left out; and the number of calls."""
    runs = _runs(scenario, FIXED, seed)
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
    blocked = 1.0
    for k in range(1, servers + 1):
        blocked = load * blocked / (k + load * blocked)
    return blocked / (1.0 - load / servers * (1.0 - blocked))


def dm1_sigma(load: float) -> float:
    """The root in (0, 1) of `sigma = exp(-(1 - sigma) / load)`: what a paced arrival finds busy in D/M/1.

    >>> round(dm1_sigma(0.8), 7)
    0.6286298
    """
    sigma = load
    for _ in range(1000):
        sigma = math.exp(-(1.0 - sigma) / load)
    return sigma


TIME_IN_SYSTEM = "time in system, s"


def _mm1(seed: int) -> Found:
    values, calls = _response(_queue(Exponential(1.0), 0.8, 25_000), seed)
    return Found(TIME_IN_SYSTEM, 1.0 / (1.0 - 0.8), values, 0.0, calls)


def _md1(seed: int) -> Found:
    values, calls = _response(_queue(Constant(1.0), 0.8, 10_000), seed)
    return Found(TIME_IN_SYSTEM, 1.0 + 0.8 / (2.0 * (1.0 - 0.8)), values, 0.0, calls)


def _mg1(seed: int) -> Found:
    squared_cv = math.e - 1.0  # lognormal with sigma 1
    service = Lognormal(1.0, math.sqrt(squared_cv))
    values, calls = _response(_queue(service, 0.7, 25_000), seed)
    return Found(TIME_IN_SYSTEM, 1.0 + 0.7 * (1.0 + squared_cv) / (2.0 * (1.0 - 0.7)), values, 0.0, calls)


def _mmc(seed: int) -> Found:
    values, calls = _response(_queue(Exponential(0.25), 10.0, 20_000, servers=3.0), seed)
    return Found(TIME_IN_SYSTEM, 0.25 + erlang_c(3, 2.5) / (3.0 * 4.0 - 10.0), values, 0.0, calls)


def _dm1(seed: int) -> Found:
    values, calls = _response(_queue(Exponential(1.0), 0.8, 10_000, poisson=0.0), seed)
    return Found(TIME_IN_SYSTEM, 1.0 / (1.0 - dm1_sigma(0.8)), values, 0.0, calls)


def _mm1k(seed: int) -> Found:
    places, load = 5, 0.8
    runs = _runs(_queue(Exponential(1.0), load, 5_000, places=places - 1.0), FIXED, seed)
    values = [float((trace.outcome == REJECTED).mean()) for trace in runs]
    theory = (1.0 - load) * load**places / (1.0 - load ** (places + 1))
    return Found("share rejected", theory, values, 0.0, sum(len(trace.released) for trace in runs))


def _closed(seed: int) -> Found:
    # A producer of exponential gaps that may have a gap running and n - 1 calls in flight is the closed
    # tandem of two exponential stations with n credits; held back, it begins a new gap when it is let go.
    credits, producer, consumer = 8, 1.0, 1.25
    scenario = _queue(Exponential(1.0 / consumer), producer, 5_000)._replace(late=DELAY)
    runs = _runs(scenario, Window(credits - 1.0), seed)
    values = [len(trace.released) / scenario.duration for trace in runs]
    ratio = producer / consumer
    theory = producer * (1.0 - ratio**credits) / (1.0 - ratio ** (credits + 1))
    return Found("throughput, 1/s", theory, values, 0.0, sum(len(trace.released) for trace in runs))


def _little(seed: int) -> Found:
    """L = lambda W on every run, L from the number in flight as the model counts it."""
    worst, calls = 0.0, 0
    for scenario in (
        _queue(Exponential(1.0), 0.8, 5_000),
        _queue(Exponential(0.25), 10.0, 5_000, servers=3.0),
        _queue(Lognormal(0.5, 2.0), 1.0, 5_000, slope=0.05, servers=math.inf),
    ):
        for trace in _runs(scenario, FIXED, seed, 5):
            done = np.sort(trace.completed[trace.outcome == OK])
            counted = np.arange(1.0, len(trace.released) + 1.0)
            counted -= np.searchsorted(done, trace.released, side="right")
            # The model's own count at each release against the log of completions: a wrong one fails here.
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
    """One first-come-first-served server: W' = max(0, W + S - A), as begin and end of each call."""
    wrong, calls = 0, 0
    scenario = _queue(Lognormal(1.0, 1.0), 0.9, 20_000)
    for replication, trace in enumerate(_runs(scenario, FIXED, seed, 3)):
        work = scenario.service.times(draws("normal", len(trace.released), seed, replication)).tolist()
        free = 0.0
        for released, service, completed in zip(
            trace.released.tolist(), work, trace.completed.tolist(), strict=True
        ):
            free = max(free, released) + service
            wrong += completed != free and completed == completed
        calls += len(work)
    return Found("calls that differ by a bit", 0.0, [float(wrong)], 0.0, calls)


def _ties(seed: int) -> Found:
    """Service as long as the interval, no place to wait: a completion frees the server for the release."""
    scenario = _queue(Constant(0.25), 4.0, 1_000, poisson=0.0, places=0.0)
    (trace,) = _runs(scenario, FIXED, seed, 1)
    return Found("calls rejected", 0.0, [float((trace.outcome == REJECTED).sum())], 0.0, len(trace.released))


def _sawtooth(seed: int) -> Found:
    # A constant blocking service of s: the measured interval is s, so the cut comes above C = 1.5 / s and the
    # rate runs from 0.7 C to C in steps of 1. A step adds up to 1 to the peak of the continuous sawtooth.
    service, beta = 0.015, 0.7
    peak = 1.5 / service
    scenario = Scenario("sawtooth", Constant(service), 2.0 * peak, 60.0)
    (trace,) = _runs(scenario, CONTROLLERS["aimd"](), seed, 1)
    rate = trace.rate[len(trace.rate) // 2 :]
    return Found("mean rate, 1/s", (1.0 + beta) / 2.0 * peak, [float(rate.mean())], 1.0, len(trace.rate))


def _chiu_jain(seed: int) -> Found:
    # The second comes when the first is at 90/s; both add 1 and halve together, so each cut halves the
    # difference of 80: after three it is 10, and F = S^2 / (S^2 + D^2) with S the sum.
    scenario = Scenario("chiu-jain", Constant(0.01), 1000.0, 170.0, COMPLETION_FEEDBACK)._replace(
        backend=Backend(servers=1.0), producers=(Producer(), Producer(80.0))
    )
    (trace,) = _runs(scenario, ChiuJain(0.03), seed, 1)
    one, two = (trace.rate[trace.producer == i] for i in (0, 1))
    times = [trace.released[trace.producer == i] for i in (0, 1)]
    cuts = times[1][1:][np.diff(two) < 0.0]
    after = float(cuts[2]) + 0.5
    rates = [float(rate[np.searchsorted(t, after) - 1]) for rate, t in zip((one, two), times, strict=True)]
    return Found("difference after 3 cuts, 1/s", 80.0 / 2.0**3, [rates[0] - rates[1]], 1e-9, len(trace.rate))


def aimd_balance(
    mean: float, cv: float, threshold: float = 1.5, dec_rate: float = 0.7, inc_step: float = 1.0
) -> float:
    """The rate at which AIMD gains what it loses: `inc_step (1 - p) = (1 - dec_rate) rate p`, 1/s.

    `p` is the chance that a measured interval, `s_k + max(interval - s_(k-1), 0)` with lognormal service
    times `s`, is longer than `threshold` intervals. The defaults are the article's.

    >>> [round(aimd_balance(0.02, cv), 2) for cv in (0.5, 1.0)]
    [30.17, 22.51]
    """
    sigma = math.sqrt(math.log(1.0 + cv * cv))
    centre = math.log(mean) - sigma * sigma / 2.0
    normal = NormalDist(centre, sigma)
    before = [math.exp(normal.inv_cdf((k + 0.5) / 2000.0)) for k in range(2000)]

    def surplus(rate: float) -> float:
        interval = 1.0 / rate
        thresholds = (threshold * interval - max(interval - s, 0.0) for s in before)
        p = math.fsum(1.0 - normal.cdf(math.log(t)) for t in thresholds) / len(before)
        return inc_step * (1.0 - p) - (1.0 - dec_rate) * rate * p

    low, high = 0.1 / mean, 1.0 / mean
    for _ in range(50):
        middle = (low + high) / 2.0
        low, high = (middle, high) if surplus(middle) > 0.0 else (low, middle)
    return low


def _mean_field(cv: float) -> Callable[[int], Found]:
    def run(seed: int) -> Found:
        theory = aimd_balance(0.02, cv)
        scenario = Scenario("noisy", Lognormal(0.02, cv), 100.0, 120.0)
        runs = _runs(scenario, CONTROLLERS["aimd"](), seed)
        values = []
        for trace in runs:
            t = np.linspace(20.0, scenario.duration, 5000, endpoint=False)
            values.append(float(trace.commanded(t).mean()))
        calls = sum(len(trace.released) for trace in runs)
        return Found("mean rate, 1/s", theory, [float(np.mean(values))], 0.12 * theory, calls)

    return run


def _vector(name: str) -> Callable[[int], Found]:
    def run(seed: int) -> Found:
        statistics, calls = measured(name, seed=seed)
        wrong = out_of_range(statistics)
        listed = ", ".join(f"{s.name} {s.value:.5g} ({s.low:g} to {s.high:g})" for s in wrong)
        quantity = f"out of range, of {len(statistics)} statistics" + (f": {listed}" if wrong else "")
        return Found(quantity, 0.0, [float(len(wrong))], 0.0, calls, tuple(statistics))

    return run


def _dead_zone(seed: int) -> Found:
    # The reference case: an integrator, a lag of 1 and a dead time of 0.5 behind a relay of steps +-1.
    theory = critical_dead_zone(1.0, 1.0, 1.0, 0.5)
    low, high, steps = 0.5 * theory, 2.0 * theory, 0
    for _ in range(8):
        middle = (low + high) / 2.0
        wave = reference_loop(middle, step=1.0, gain=1.0, tau=1.0, delay=0.5, start=3.0, seconds=200.0)
        late = wave[len(wave) * 3 // 4 :]
        low, high = (middle, high) if max(late) - min(late) > 0.1 else (low, middle)
        steps += len(wave)
    return Found("least half-width without a cycle", theory, [high], 0.2 * theory, steps)


def _noise_rule(seed: int) -> Found:
    # Independent normal noise of CV 0.3 through an EWMA: where its looks lie beyond on 0.135 % of occasions.
    alpha, sigma = 0.2, 0.3
    value, values = 1.0, []
    for noise in draws("normal", 400_000, seed, 0).tolist():
        value += alpha * (1.0 + sigma * noise - value)
        values.append(value)
    simulated = float(np.quantile(values, 1.0 - beyond(LOOKS)))
    theory = float(noise_rule(alpha, sigma))
    # The rule is for what lies beyond 1.
    return Found("dead zone above 1", theory - 1.0, [simulated - 1.0], 0.2 * (theory - 1.0), len(values))


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
    "AIMD sawtooth": Case("cut to 0.7 above 1.5 / service time, + 1 a call", _sawtooth),
    "Chiu-Jain": Case("two AIMD producers: each cut halves their difference", _chiu_jain),
    "AIMD, CV 0.5": Case(
        "mean-field balance of gain 1 - p and loss 0.3 rate p, within 12 %", _mean_field(0.5)
    ),
    "AIMD, CV 1": Case("the same under more noise", _mean_field(1.0)),
    "relay + dead zone": Case(
        "describing function: integrator, lag and dead time stop cycling, within 20 %", _dead_zone
    ),
    "noise rule": Case("an EWMA of independent noise crosses 3 sigma in 0.135 %, within 20 %", _noise_rule),
    **{name: Case(f"Vector's scenario: {case.about}", _vector(name)) for name, case in VECTOR_CASES.items()},
}
