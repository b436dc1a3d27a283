"""Retries: how many attempts they make of a call, without a budget and with one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from tpssim.scenarios.plant import Backend
from tpssim.scenarios.retries import RESERVE, Retry
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant
from tpssim.theory import amplification
from tpssim.validation.known_answers.common import (
    COMPLETION_FEEDBACK,
    FIXED,
    Case,
    Found,
    found_in_parts,
    simulated,
)
from tpssim.validation.vector_cases import Statistic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tpssim.simulation.trace import Trace

SERVICE, WAIT, FAILURE, MOST = 0.01, 0.03, 0.5, 4.0


def _failing(budget: float, calls: int) -> Scenario:
    """Each attempt takes `SERVICE` and fails by chance; the wait before each retry is `WAIT`."""
    retry = Retry(attempts=MOST, base=WAIT, growth=1.0, budget=budget)
    scenario = Scenario("failing", Constant(SERVICE), 100.0, calls / 100.0, COMPLETION_FEEDBACK)
    return scenario._replace(backend=Backend(failure=FAILURE), retry=retry)


def _attempts(trace: Trace) -> NDArray[np.float64]:
    """The attempts of each call that ended: its latency is `SERVICE` for each, `WAIT` between."""
    late = trace.latency[np.isfinite(trace.latency)]
    made = (late + WAIT) / (SERVICE + WAIT)
    whole: NDArray[np.float64] = np.rint(made)
    assert np.abs(made - whole).max() < 1e-6
    return whole


def _amplification(seed: int) -> Found:
    runs = simulated(_failing(math.inf, 2_500), FIXED, seed)
    values = [float(_attempts(trace).mean()) for trace in runs]
    calls = sum(len(trace.released) for trace in runs)
    return Found("attempts per call", amplification(FAILURE, MOST), values, 0.0, calls)


def _beyond(trace: Trace, attempts: NDArray[np.float64], budget: float) -> float:
    """The most retries that were ever made beyond `budget` times the calls released until then."""
    released = trace.released[np.isfinite(trace.latency)]
    number = np.arange(1.0, MOST + 1.0)
    times = released[:, None] + number * SERVICE + (number - 1.0) * WAIT
    times = np.sort(times[number < attempts[:, None]])
    calls = np.searchsorted(trace.released, times, side="right")
    return float((np.arange(1.0, len(times) + 1.0) - budget * calls).max())


def _budget(seed: int) -> Found:
    # Unbounded there would be 0.94 retries per call. So every token is used, and what the bucket
    # has at the start and at the end is all that may differ.
    budget, n = 0.25, 30_000
    (trace,) = simulated(_failing(budget, n), FIXED, seed, 1)
    attempts = _attempts(trace)
    theory, away = amplification(FAILURE, MOST, budget), 2.0 * RESERVE / n
    parts = [
        Statistic("attempts per call", float(attempts.mean()), theory - away, theory + away),
        Statistic("retries beyond the budget", _beyond(trace, attempts, budget), 0.0, RESERVE),
    ]
    return found_in_parts(parts, len(trace.released))


CASES: dict[str, Case] = {
    "retry amplification": Case(
        "attempts fail with probability 0.5, four retries: (1 - f^5) / (1 - f) attempts per call",
        _amplification,
    ),
    "retry budget": Case(
        "the same with a budget of 0.25 retries per call: 1.25 attempts per call, and never more",
        _budget,
    ),
}
