"""What several replications say together: means with confidence intervals. Knows numbers only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A mean over replications with its confidence interval; `never` counts the infinite ones left out."""

    mean: float | None
    low: float | None
    high: float | None
    n: int
    never: int


class Estimates(NamedTuple):
    """Means of many measures over the same replications, an entry each; nan where there is none."""

    mean: Array
    half: Array  #: half-width of the confidence interval
    n: NDArray[np.int64]
    never: NDArray[np.int64]


def estimates(values: Array, confidence: float = CONFIDENCE) -> Estimates:
    """Mean and half-width `t(n - 1) s / sqrt(n)` of the finite values in each column (a row a replication).

    nan: no mean without a finite value, no half-width with fewer than two.
    """
    from scipy.special import stdtrit  # a quarter of a second, which workers need not spend

    finite = np.isfinite(values)
    n = finite.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(finite, values, 0.0).sum(axis=0) / n
        variance = np.where(finite, (values - mean) ** 2, 0.0).sum(axis=0) / (n - 1)
        half = np.where(n > 1, stdtrit(n - 1, 0.5 + confidence / 2.0) * np.sqrt(variance / n), math.nan)
    return Estimates(mean, half, n, (values == math.inf).sum(axis=0))


def estimate(values: Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """Mean and confidence interval `mean +- t(n - 1) s / sqrt(n)` of the finite values.

    No interval (None) with fewer than two finite values, no mean with none.

    >>> estimate([1.0, 2.0, 3.0]).mean
    2.0
    """
    (mean,), (half,), (n,), (never,) = estimates(
        np.asarray(values, dtype=np.float64)[:, np.newaxis], confidence
    )
    if n == 0:
        return Estimate(None, None, None, 0, int(never))
    if n == 1:
        return Estimate(float(mean), None, None, 1, int(never))
    return Estimate(float(mean), float(mean - half), float(mean + half), int(n), int(never))
