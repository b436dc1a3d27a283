"""What candidates come to on services, all of them under the same noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import NamedTuple

import numpy as np

from tpssim.core.statistics import next_value
from tpssim.core.types import record
from tpssim.experiments.compare import league
from tpssim.experiments.recommending.candidates import Candidate
from tpssim.scenarios.scenario import Scenario, with_parameters

#: how many runs are done, and how many there are in all
Progress = Callable[[int, int], None]


@record
class Outcome(NamedTuple):
    """What a candidate came to: the measures of each run, service by service."""

    candidate: Candidate
    runs: tuple[Mapping[str, float], ...]
    values: tuple[float, ...]  #: of the same runs, 1 is the best there can be

    def mean(self) -> float:
        """The mean value."""
        return math.fsum(self.values) / len(self.values)

    def spread(self, name: str) -> tuple[float, float, float]:
        """Median of a measure over the runs, and between what the next one lies in 95 % of all
        cases; nan if no run has it, inf where it never happened.
        """
        found = [run[name] for run in self.runs if not math.isnan(run[name])]
        if not found:
            return math.nan, math.nan, math.nan
        return (float(np.quantile(found, 0.5, method="inverted_cdf")), *next_value(found))


def outcomes(
    candidates: Sequence[Candidate],
    services: Sequence[Scenario],
    value: Callable[[Scenario, int, int, Mapping[str, float]], float],
    replications: int,
    noises: Sequence[int],
    executor: Executor | None = None,
    progress: Progress = lambda done, total: None,
) -> list[Outcome]:
    """Each candidate on each service, `replications` times, under noise of its own: `noises` are
    the seeds. Two services under one noise would have their luck in common.

    `value` makes one number of a service, its seed, the number of the replication and the measures.
    """
    runs: dict[Candidate, list[Mapping[str, float]]] = {one: [] for one in candidates}
    values: dict[Candidate, list[float]] = {one: [] for one in candidates}
    groups = [
        (tps, [one for one in runs if one.tps == tps])
        for tps in dict.fromkeys(one.tps for one in runs)
    ]
    done, total = 0, len(runs) * len(services) * replications
    for service, noise in zip(services, noises, strict=True):
        for tps, group in groups:
            given = ["fixed" if one.law is None else one.law for one in group]
            asked = at_rate(service, tps)
            cells = league(
                asked, given, replications=replications, seed=noise, executor=executor
            ).comparison.cells
            for one in group:
                made = cells[asked.name, "fixed" if one.law is None else one.label].runs
                runs[one] += [run.measures for run in made]
                values[one] += [value(service, noise, k, r.measures) for k, r in enumerate(made)]
            done += len(group) * replications
            progress(done, total)
    return [Outcome(one, tuple(runs[one]), tuple(values[one])) for one in candidates]


def at_rate(service: Scenario, tps: float | None) -> Scenario:
    """The service with another wanted rate; None: its own."""
    return service if tps is None else with_parameters(service, {"target": tps})
