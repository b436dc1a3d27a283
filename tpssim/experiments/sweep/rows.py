"""The points of a sweep: what each came to, or why it could not be run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tpssim.core.statistics import Estimate, estimates, single
from tpssim.core.types import record
from tpssim.metrics.measure import METRICS
from tpssim.metrics.verdicts import majority
from tpssim.output.verdict_words import WORDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tpssim.experiments.sweep.designs import Point

    Array = NDArray[np.float64]


@record
class Row(NamedTuple):
    """One point of a sweep."""

    point: Point
    calls: int  #: simulated, in all replications
    words: Mapping[str, int]  #: verdicts, how many replications each; empty if the point failed
    mean: Array  #: in the order of `METRICS`
    half: Array  #: half-widths of the intervals
    n: NDArray[np.int64]  #: replications with a finite value
    never: NDArray[np.int64]  #: replications with an infinite one

    @staticmethod
    def of(point: Point, runs: Sequence[tuple[int, int, Array]]) -> Row:
        """From the (verdict, calls, measures) of every replication."""
        found = estimates(np.array([measures for _, _, measures in runs]))
        words = Counter(WORDS[word] for word, _, _ in runs)
        return Row(point, sum(calls for _, calls, _ in runs), dict(words), *found)

    @staticmethod
    def failed(point: Point) -> Row:
        none, zero = np.full(len(METRICS), math.nan), np.zeros(len(METRICS), np.int64)
        return Row(point, 0, {}, none, none, zero, zero)

    def estimate(self, metric: str) -> Estimate:
        """Mean of a measure, and the interval around it that holds the median run."""
        i = list(METRICS).index(metric)
        mean, half = float(self.mean[i]), float(self.half[i])
        n, never = int(self.n[i]), int(self.never[i])
        return single(mean, half, n, never)

    def verdict(self) -> tuple[str, float]:
        """The word of the majority and its share."""
        return majority(list(Counter(self.words).elements())) if self.words else ("failed", 1.0)


@record
class Failure(NamedTuple):
    """A point that could not be run."""

    point: Point
    type: str
    message: str
    traceback: str
