"""Load that is no single even stream: classes of callers, targets over time, recorded arrivals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tpssim.core.profiles import Stages
from tpssim.core.types import REJECTED
from tpssim.scenarios.plant import Backend
from tpssim.scenarios.scenario import Producer, Scenario
from tpssim.scenarios.service_times import Constant, Exponential, Lognormal, draws
from tpssim.theory import blocked, fluid_queue, lindley
from tpssim.validation.known_answers.common import (
    COMPLETION_FEEDBACK,
    FIXED,
    REPLICATIONS,
    Case,
    Found,
    found_in_parts,
    interval,
    open_queue,
    simulated,
)
from tpssim.validation.vector_cases import Statistic

if TYPE_CHECKING:
    from tpssim.simulation.trace import Trace


def _classes(seed: int) -> Found:
    # Exponential work of 1 s and random arrivals of three classes: 1, 2 and 4 calls a second.
    rates, servers, places, seconds = (1.0, 2.0, 4.0), 6, 2, 500.0
    theory = blocked(servers, sum(rates), places)
    plant = Scenario("classes", Exponential(1.0), rates[0], seconds, COMPLETION_FEEDBACK)
    plant = plant._replace(
        backend=Backend(servers=float(servers), places=float(places)),
        poisson=1.0,
        producers=tuple(Producer(target=rate) for rate in rates),
    )
    runs = simulated(plant, FIXED, seed)
    parts = []
    for i, rate in enumerate(rates):
        own = [trace.producer == i for trace in runs]
        lost = [
            float((trace.outcome[mine] == REJECTED).mean())
            for trace, mine in zip(runs, own, strict=True)
        ]
        served = [
            float((trace.outcome[mine] != REJECTED).sum()) / seconds
            for trace, mine in zip(runs, own, strict=True)
        ]
        parts.append(interval(f"share rejected of {rate:g}/s", theory, lost))
        parts.append(interval(f"throughput of {rate:g}/s", rate * (1.0 - theory), served))
    return found_in_parts(parts, sum(len(trace.released) for trace in runs))


def _queued(trace: Trace, t: float) -> float:
    """Calls in the queue or in service at t."""
    return float((trace.released <= t).sum() - (trace.completed <= t).sum())


def _rush(seed: int) -> Found:
    # In units of the capacity: 2 for 4 s, down to 0 in 8 s more. The queue grows until 8 s, when
    # the load falls below capacity, and is 4 at 4 s, 6 at 8 s and 4 again at 12 s. Random arrivals
    # and work deviate by chance; even ones at a higher scale by the call that begins and the one
    # that ends.
    parts, total = [], 0
    for n, poisson, replications in ((250.0, 1.0, REPLICATIONS), (1000.0, 0.0, 1)):
        rush = Stages([(4.0, 2.0 * n), (8.0, 0.0)], start=2.0 * n)
        service = Exponential(1.0 / n) if poisson else Constant(1.0 / n)
        plant = open_queue(service, n, 1, poisson)._replace(target=rush, duration=rush.duration)
        runs = simulated(plant, FIXED, seed, replications)
        total += sum(len(trace.released) for trace in runs)
        for t in (4.0, 8.0, 12.0):
            theory, counts = fluid_queue(*rush.points(), n, t), [_queued(run, t) for run in runs]
            if poisson:
                parts.append(interval(f"calls in the queue at {t:g} s", theory, counts))
            else:
                name = f"calls in the queue at {t:g} s, even"
                parts.append(Statistic(name, counts[0], theory - 2.0, theory + 2.0))
    return found_in_parts(parts, total)


def _recorded(seed: int) -> Found:
    # Arrivals of CV 2, a tenth of them at once with the one before; the noise of a replication that
    # is not run.
    n, replications, service = 20_000, 3, Lognormal(1.0, 1.0)
    gaps = Lognormal(1.25, 2.0).times(draws("normal", n, seed, replications))
    gaps[draws("uniform", n, seed, replications) < 0.1] = 0.0
    arrivals = np.cumsum(gaps).tolist()
    known = [
        lindley(arrivals, service.times(draws("normal", n, seed, replication)).tolist())
        for replication in range(replications)
    ]
    plant = open_queue(service, 1.0, n, poisson=0.0)._replace(arrivals=tuple(arrivals))
    plant = plant._replace(duration=max(left[-1] for left in known) + 1.0)
    wrong = 0
    for left, trace in zip(known, simulated(plant, FIXED, seed, replications), strict=True):
        assert len(trace.released) == n
        wrong += int(((trace.released != arrivals) | (trace.completed != left)).sum())
    return Found("calls that differ by a bit", 0.0, [float(wrong)], 0.0, replications * n)


CASES: dict[str, Case] = {
    "M(t)/M/1": Case(
        "stages above the capacity of one server, random and even: the queue of the fluid limit",
        _rush,
    ),
    "G/G/1": Case("recorded arrivals before one server: Lindley's recursion to the bit", _recorded),
    "M/M/c/K by classes": Case(
        "three classes of random arrivals, six servers, two places: each loses the same (Erlang B)",
        _classes,
    ),
}
