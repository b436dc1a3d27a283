"""What several replications say together: means with confidence intervals. Knows numbers only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from scipy.special import stdtrit

CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A mean over replications with its confidence interval; `never` counts the infinite ones left out."""

    mean: float | None
    low: float | None
    high: float | None
    n: int
    never: int


def estimate(values: Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """Mean and confidence interval `mean +- t(n - 1) s / sqrt(n)` of the finite values.

    No interval (None) with fewer than two finite values, no mean with none.

    >>> estimate([1.0, 2.0, 3.0]).mean
    2.0
    """
    finite = [value for value in values if math.isfinite(value)]
    never = sum(value == math.inf for value in values)
    n = len(finite)
    if n == 0:
        return Estimate(None, None, None, 0, never)
    mean = math.fsum(finite) / n
    if n == 1:
        return Estimate(mean, None, None, 1, never)
    variance = math.fsum((value - mean) ** 2 for value in finite) / (n - 1)
    half = float(stdtrit(n - 1, 0.5 + confidence / 2.0)) * math.sqrt(variance / n)
    return Estimate(mean, mean - half, mean + half, n, never)
