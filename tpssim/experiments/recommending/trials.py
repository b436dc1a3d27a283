"""What candidates come to on services, all of them under the same noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import NamedTuple

import numpy as np

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
        """Median of a measure over the runs, and what 95 % of them lie between; nan if a run has
        none, inf where it never happened.
        """
        found = np.array([run[name] for run in self.runs])
        if np.isnan(found).all():
            return math.nan, math.nan, math.nan
        low, middle, high = np.quantile(
            found[~np.isnan(found)], (0.025, 0.5, 0.975), method="inverted_cdf"
        )
        return float(middle), float(low), float(high)


def outcomes(
    candidates: Sequence[Candidate],
    services: Sequence[Scenario],
    value: Callable[[Scenario, int, Mapping[str, float]], float],
    replications: int,
    seed: int,
    executor: Executor | None = None,
    progress: Progress = lambda done, total: None,
) -> list[Outcome]:
    """Each candidate on each service, `replications` times.

    `value` makes one number of a service, the number of the replication and the measures.
    """
    found: dict[Candidate, Outcome] = {}
    total = len(candidates) * len(services) * replications
    for tps in dict.fromkeys(one.tps for one in candidates):
        asked = [at_rate(service, tps) for service in services]
        group = [one for one in candidates if one.tps == tps]
        given = ["fixed" if one.law is None else one.law for one in group]
        cells = league(
            asked, given, replications=replications, seed=seed, executor=executor
        ).comparison.cells
        for one in group:
            label = "fixed" if one.law is None else one.label
            runs = [
                (service, number, run.measures)
                for service, there in zip(services, asked, strict=True)
                for number, run in enumerate(cells[there.name, label].runs)
            ]
            values = tuple(value(*run) for run in runs)
            found[one] = Outcome(one, tuple(measures for _, _, measures in runs), values)
            progress(len(found) * len(runs), total)
    return [found[one] for one in candidates]


def at_rate(service: Scenario, tps: float | None) -> Scenario:
    """The service with another wanted rate; None: its own."""
    return service if tps is None else with_parameters(service, {"target": tps})
