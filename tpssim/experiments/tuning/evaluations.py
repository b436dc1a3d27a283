"""Points of a search run on every scenario: remembered, kept in a store, spread over an executor.

What a run comes to depends on its point, scenario, seed and replication alone: all points meet the
same noise (common random numbers), and a search that is run again asks for the same runs and finds
those that are kept.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim.core.errors import Aborted
from tpssim.core.types import record
from tpssim.experiments.sweep.designs import Factor
from tpssim.experiments.sweep.store import Store
from tpssim.experiments.sweep.store_keys import Study, keep, key_of, opened
from tpssim.experiments.sweep.sweep import (
    BLOCK,
    Answer,
    Here,
    Lost,
    Piece,
    answered,
    check_portable,
    run_pieces,
)
from tpssim.experiments.tuning.objectives import PENALTY, Objective, constants
from tpssim.experiments.tuning.search import Setting
from tpssim.metrics.measure import METRICS
from tpssim.scenarios.scenario import Scenario

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

CHUNKS = 2  # for each worker and scenario of a batch of points

#: what is being done, runs done, runs in all
Progress = Callable[[str, int, int], None]


@record
class Runs(NamedTuple):
    """What some points came to: arrays by point, scenario and replication."""

    values: Array  #: and measure; nan where a run failed
    words: NDArray[np.int8]  #: verdicts, as positions in `WORDS`; -1 where a run failed


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
        self.studies = [
            Study(scenario, law, tuple(factors), seed, "common") for scenario in scenarios
        ]
        self.constants = [constants(scenario) for scenario in scenarios]
        self.known: dict[tuple[int, Setting], dict[int, tuple[int, Any]]] = {}
        self.failed: dict[Setting, str] = {}
        self.made = 0  #: runs, those that were found in the store included
        self.stage, self.done, self.total = "", 0, 0
        if isinstance(executor, ProcessPoolExecutor):
            check_portable(self.studies[0])
        self.store, self.prefixes = opened(store, self.studies, stack)
        if self.store is not None:
            for prefix, study in zip(self.prefixes, self.studies, strict=True):
                self.store.describe(
                    prefix,
                    {
                        "scenario": study.scenario.name,
                        "law": repr(law),
                        "factors": [factor.name for factor in factors],
                        "seed": seed,
                    },
                )

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
        jobs = [(i, point) for point in dict.fromkeys(points) for i in range(len(self.studies))]
        before = self.made
        pieces: list[list[Piece]] = [[] for _ in self.studies]
        for number, (i, point) in enumerate(jobs):
            for missing in self._missing(i, point, replications):
                pieces[i].append(Piece(number, point, missing))
        if self.made > before:
            self._tell(self.made - before)
        self._make(jobs, pieces)
        shape = len(points), len(self.studies), len(replications)
        values, words = np.full((*shape, len(METRICS)), np.nan), np.full(shape, -1, np.int8)
        for p, i, k in np.ndindex(shape):
            there = self.known[i, points[p]]
            if replications[k] in there:
                words[p, i, k], values[p, i, k] = there[replications[k]]
        return Runs(values, words)

    def _missing(self, i: int, point: Setting, replications: range) -> Iterator[tuple[int, ...]]:
        """The replications on a scenario that are neither remembered nor in the store, in
        blocks.
        """
        known = self.known.setdefault((i, point), {})
        if self.store is not None and any(r not in known for r in replications):
            for r, (word, _, values) in self.store.runs(key_of(self.prefixes[i], point)).items():
                if r in replications and r not in known:
                    known[r] = word, values
                    self.made += 1
        missing = [r for r in replications if r not in known] if point not in self.failed else []
        for start in range(0, len(missing), BLOCK):
            yield tuple(missing[start : start + BLOCK])

    def _make(self, jobs: Sequence[tuple[int, Setting]], pieces: Sequence[Sequence[Piece]]) -> None:
        pool = Here() if self.executor is None else self.executor
        chunks = CHUNKS * (1 if self.executor is None else os.cpu_count() or 1)
        out: list[Future[Any]] = []
        failures: dict[int, Answer] = {}
        try:
            for study, key, its in zip(self.studies, self.prefixes, pieces, strict=True):
                size = max(1, -(-len(its) // chunks))
                for start in range(0, len(its), size):
                    future = pool.submit(run_pieces, study, its[start : start + size], key)
                    if self.executor is None:
                        self._take(jobs, future, failures)
                    else:
                        out.append(future)
            for future in as_completed(out):
                self._take(jobs, future, failures)
        except (BrokenExecutor, Lost) as error:
            kept = (
                "nothing is kept without a store" if self.store is None else "what was done is kept"
            )
            raise Aborted(f"the workers failed ({error}); {kept}: run it again") from error
        finally:
            for future in out:
                future.cancel()
        for number in sorted(failures):  # of several, the first, whichever came first
            kind, message, _ = failures[number].failure
            self.failed.setdefault(jobs[number][1], f"{kind}: {message}")

    def _take(
        self, jobs: Sequence[tuple[int, Setting]], future: Future[Any], failures: dict[int, Answer]
    ) -> None:
        """Remember and keep what a chunk came to."""
        rows, lost, runs = [], [], 0
        chunk = answered(future)
        for answer in chunk.answers:
            i, point = jobs[answer.number]
            key, runs = key_of(self.prefixes[i], point), runs + len(answer.replications)
            if answer.found is None:
                lost.append((key, *answer.failure))
                failures[answer.number] = min(
                    answer, failures.get(answer.number, answer), key=_first
                )
                continue
            found = zip(
                answer.found.words.tolist(),
                answer.found.calls.tolist(),
                answer.found.values,
                strict=True,
            )
            for replication, (word, calls, values) in zip(answer.replications, found, strict=True):
                self.known[i, point][replication] = word, values
                rows.append((key, replication, word, calls, values.tobytes()))
        if self.store is not None:
            keep(self.store, rows, lost, chunk.unkept)
        self.made += runs
        self._tell(runs)

    def by_scenario(self, runs: Runs, objectives: Sequence[Objective]) -> Array:
        """By point, scenario, replication and objective; nan where there is no finite value."""
        found = np.full((*runs.words.shape, len(objectives)), np.nan)
        for index in np.ndindex(runs.words.shape):
            if runs.words[index] >= 0:
                measures = dict(zip(METRICS, runs.values[index].tolist(), strict=True))
                measures |= self.constants[index[1]]
                found[index] = [objective.of(measures) for objective in objectives]
        return found


def _first(answer: Answer) -> tuple[int, ...]:
    return answer.replications


def penalised(losses: Array) -> Array:
    """By point and objective: the mean over the replications, or of an infeasible point its
    penalty.
    """
    bad = np.isnan(losses)
    share = bad.mean(axis=1)
    mean = np.where(bad, 0.0, losses).sum(axis=1) / losses.shape[1]
    found: Array = np.where(share > 0.0, PENALTY * (1.0 + share), mean)
    return found
