"""Points of a search run on every scenario: remembered, kept in a store, spread over an executor.

What a run comes to depends on its point, scenario, seed and replication alone: all points meet the
same noise (common random numbers), and a search that is run again asks for the same runs and finds
those that are kept.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim.core.types import record
from tpssim.experiments.scoring import oracle_measures
from tpssim.experiments.sweep.designs import Factor
from tpssim.experiments.sweep.run_cache import Answer, RunCache, Study, caches
from tpssim.experiments.sweep.scheduler import check_portable, pieces_of, run_missing
from tpssim.experiments.sweep.store import Store
from tpssim.experiments.tuning.objectives import PENALTY, SCORE, Objective, constants
from tpssim.experiments.tuning.search import Setting
from tpssim.metrics.measure import METRICS
from tpssim.metrics.score import score
from tpssim.scenarios.scenario import Scenario

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: what is being done, runs done, runs in all
Progress = Callable[[str, int, int], None]


@record
class Runs(NamedTuple):
    """What some points came to: arrays by point, scenario and replication."""

    values: Array  #: and measure; nan where a run failed
    words: NDArray[np.int8]  #: verdicts, as positions in `WORDS`; -1 where a run failed
    replications: range


class Evaluations:
    """All runs of a search."""

    def __init__(
        self,
        scenarios: Sequence[Scenario],
        law: Any,
        factors: Sequence[Factor],
        seed: int,
        executor: Executor | None,
        store: Store | str | Path | None,
        progress: Progress | None,
        stack: contextlib.ExitStack,
    ) -> None:
        self.scenarios, self.executor, self.progress = scenarios, executor, progress
        self.seed = seed
        studies = [Study(scenario, law, tuple(factors), seed, "common") for scenario in scenarios]
        self.constants = [constants(scenario) for scenario in scenarios]
        self.failed: dict[Setting, str] = {}
        self.made = 0  #: runs, those that were found in the store included
        self.stage, self.done, self.total = "", 0, 0
        check_portable(studies[0], executor)
        self.caches = caches(store, studies, stack)

    def begin(self, stage: str, runs: int) -> None:
        """A new stage of at most so many runs, for the progress."""
        self.stage, self.done, self.total = stage, 0, runs

    def end(self) -> None:
        """The stage is over, whatever it took."""
        self._tell(self.total - self.done)

    def _tell(self, runs: int) -> None:
        self.done += runs
        if self.progress is not None and self.total:
            self.progress(self.stage, min(self.done, self.total), self.total)

    def runs(self, points: Sequence[Setting], replications: range) -> Runs:
        """Those replications of those points, on every scenario."""
        missing, found = [], 0
        for cache in self.caches:
            for point in dict.fromkeys(points):
                if point in self.failed:
                    cache.known.setdefault(point, {})
                    continue
                before = sum(r in cache.known.get(point, ()) for r in replications)
                pieces = list(pieces_of(cache, point, replications))
                missing += [(cache, piece) for piece in pieces]
                lacking = sum(len(piece.replications) for piece in pieces)
                found += len(replications) - lacking - before
        if found:
            self.made += found
            self._tell(found)
        run_missing(missing, self.executor, self._arrived)
        for cache in self.caches:  # of several failures, that on the first scenario
            for point in points:
                if point in cache.failed:
                    kind, message, _ = cache.failed[point].failure
                    self.failed.setdefault(point, f"{kind}: {message}")
        shape = len(points), len(self.caches), len(replications)
        values, words = np.full((*shape, len(METRICS)), np.nan), np.full(shape, -1, np.int8)
        for p, i, k in np.ndindex(shape):
            there = self.caches[i].known[points[p]]
            if replications[k] in there:
                words[p, i, k], _, values[p, i, k] = there[replications[k]]
        return Runs(values, words, replications)

    def _arrived(self, _: RunCache, answers: Sequence[Answer]) -> None:
        runs = sum(len(answer.replications) for answer in answers)
        self.made += runs
        self._tell(runs)

    def by_scenario(self, runs: Runs, objectives: Sequence[Objective]) -> Array:
        """By point, scenario, replication and objective; nan where there is no finite value."""
        found = np.full((*runs.words.shape, len(objectives)), np.nan)
        scored = any(objective.scored() for objective in objectives)
        for index in np.ndindex(runs.words.shape):
            if runs.words[index] >= 0:
                measures = dict(zip(METRICS, runs.values[index].tolist(), strict=True))
                measures |= self.constants[index[1]]
                if scored:
                    scenario, replication = self.scenarios[index[1]], runs.replications[index[2]]
                    best = oracle_measures(scenario, self.seed, replication)
                    measures[SCORE] = score(measures, best).total
                found[index] = [objective.of(measures) for objective in objectives]
        return found


def penalised(losses: Array) -> Array:
    """By point and objective: the mean over the replications, or of an infeasible point its
    penalty.
    """
    bad = np.isnan(losses)
    share = bad.mean(axis=1)
    mean = np.where(bad, 0.0, losses).sum(axis=1) / losses.shape[1]
    found: Array = np.where(share > 0.0, PENALTY * (1.0 + share), mean)
    return found
