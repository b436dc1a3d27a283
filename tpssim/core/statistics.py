"""What several replications say together: means, and intervals that hold however the runs spread.

No interval for a mean holds for every distribution (Bahadur & Savage 1956): an event that happens
in one run of a thousand and costs a thousand times as much is seldom among a hundred runs, and
moves the mean all the same. So what is claimed is of the *median run*: half of all runs come to
more, half to less. Its interval, between two of the sorted values, needs only that the runs are
independent and alike. What may be missing is a number of its own (`unseen`). Knows numbers only;
docs/statistics.md says how often each claim was right.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tpssim.core.types import record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

CONFIDENCE = 0.95  #: of what is decided by, for all that is decided at once
EACH = 0.9375  #: of a ± for itself: what five runs, the default, can say at most (1 - 2 / 2^5)

WHOLE = 500  # runs up to which their ways are counted as whole numbers


@record
class Estimate(NamedTuple):
    """A mean over replications and an interval around it; `never` counts the infinite ones left
    out.
    """

    mean: float | None
    low: float | None
    high: float | None
    n: int
    never: int


@record
class Estimates(NamedTuple):
    """Means of many measures over the same replications, an entry each; nan where there is none."""

    mean: Array
    half: Array  #: half-width of the interval
    n: NDArray[np.int64]
    never: NDArray[np.int64]


@functools.lru_cache(maxsize=1024)
def place(n: int, confidence: float) -> int:
    """The greatest k for which the k-th least and the k-th greatest of n values hold the median
    between them.

    P(they do not) is at most `2 P(Bin(n, 1/2) < k)`, whatever the distribution. 0: no k is sure
    enough.

    >>> place(5, EACH), place(5, CONFIDENCE), place(6, CONFIDENCE), place(40, CONFIDENCE)
    (1, 0, 1, 14)
    """
    if n < fewest(confidence):
        return 0
    outside = 1.0 - confidence + 1e-12
    if n <= WHOLE:
        k, below, most = 0, 1, outside * 2.0**n
        while 2 * below <= most:  # of 2^n equally likely ways, so many have at most k
            k += 1
            below += math.comb(n, k)
        return k
    from scipy.special import bdtr, bdtrik  # a quarter of a second, which few need to spend

    k = max(int(bdtrik(outside / 2.0, n, 0.5)), 1)  # near it, for bdtrik is of a continuous k
    while 2.0 * bdtr(k, n, 0.5) <= outside:
        k += 1
    while 2.0 * bdtr(k - 1, n, 0.5) > outside:
        k -= 1
    return k


def fewest(confidence: float) -> int:
    """The least number of runs of which anything can be said with that confidence: `2 / 2^n` is
    left.

    >>> fewest(EACH), fewest(CONFIDENCE)
    (5, 6)
    """
    return math.ceil(1.0 - math.log2(1.0 - confidence + 1e-12))


def unseen(n: int) -> float:
    """What happens in a greater share of all runs was among n of them, with 95 % confidence.

    >>> round(unseen(5), 2), round(unseen(150), 2)
    (0.45, 0.02)
    """
    return 1.0 - math.pow(1.0 - CONFIDENCE, 1.0 / n)


def assumption(n: int, confidence: float = EACH) -> str:
    """What an interval of n runs says, and what it does not.

    >>> assumption(100, CONFIDENCE)
    '95 % for the median of 100 runs, however they spread; what 3 % of all runs do may be missing'
    """
    if not place(n, confidence):
        few = "1 replication is" if n == 1 else f"{n} replications are"
        return f"no interval: {few} too few, {fewest(confidence)} are the least"
    return (
        f"{100.0 * confidence:.4g} % for the median of {n} runs, however they spread; what "
        f"{100.0 * unseen(n):.2g} % of all runs do may be missing"
    )


def estimates(values: Array, confidence: float = EACH) -> Estimates:
    """Mean and half-width of the finite values in each column (a row a replication).

    The half-width is the least with which `mean ± half` holds the `place`-th least and greatest of
    the values, and so the median run. nan: no mean without a finite value, no half-width of too few
    (`fewest`).
    """
    finite = np.isfinite(values)
    n = finite.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(finite, values, 0.0).sum(axis=0) / n
    places = np.array([place(count, confidence) for count in n.tolist()], dtype=np.int64)
    half = np.full(len(n), math.nan)
    said = np.flatnonzero(places)
    if len(said):
        ordered = np.sort(np.where(finite, values, math.inf), axis=0)  # the finite ones first
        k = places[said]
        low, high = ordered[k - 1, said], ordered[n[said] - k, said]
        half[said] = np.maximum(high - mean[said], mean[said] - low)
    return Estimates(mean, half, n, (values == math.inf).sum(axis=0))


def estimate(values: Sequence[float], confidence: float = EACH) -> Estimate:
    """Mean of the finite values, and the interval `mean ± half` of `estimates` that holds the
    median run.

    No interval (None) with too few finite values, no mean with none.

    >>> estimate([1.0, 2.0, 3.0, 4.0, 5.0])
    Estimate(mean=3.0, low=1.0, high=5.0, n=5, never=0)
    """
    (found,) = estimate_each([values], confidence)
    return found


def estimate_each(columns: Sequence[Sequence[float]], confidence: float = EACH) -> list[Estimate]:
    """`estimate` of many measures over the same replications, to the bit: a row of values each.

    Transposed, the values of a measure still lie side by side, so NumPy adds them in one order,
    however many measures there are.
    """
    found = estimates(np.array(columns, dtype=np.float64).T, confidence)
    return [single(*one) for one in zip(*(column.tolist() for column in found), strict=True)]


def single(mean: float, half: float, n: int, never: int) -> Estimate:
    """One entry of `Estimates`: None for what there is not."""
    if n == 0:
        return Estimate(None, None, None, 0, never)
    if math.isnan(half):
        return Estimate(mean, None, None, n, never)
    return Estimate(mean, mean - half, mean + half, n, never)


def next_value(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Between what the next value lies: the k-th least and the k-th greatest of n, with the largest
    k that is sure enough.

    Among n + 1 values that are drawn alike each place is as likely for the last one, so it is
    between these with `(n + 1 - 2k) / (n + 1)`, however they spread (Wilks 1941). Of fewer than 39
    values even the least and the greatest hold 95 % of the next ones no more.

    >>> next_value([float(k) for k in range(1, 41)]), next_value([float(k) for k in range(1, 80)])
    ((1.0, 40.0), (2.0, 78.0))
    """
    ordered = sorted(values)
    k = max(math.floor((1.0 - confidence) / 2.0 * (len(ordered) + 1) + 1e-9), 1)
    return ordered[k - 1], ordered[-k]


def mean_interval(values: Sequence[float], confidence: float) -> Estimate:
    """Mean of the finite values with the interval `mean ± t(n - 1) s / sqrt(n)`.

    For values that are nearly normal, such as means over thousands of calls each; of others, and of
    rare events above all, it holds less often than it says.
    """
    from scipy.special import stdtrit

    there = np.array([x for x in values if math.isfinite(x)], dtype=np.float64)
    n, never = len(there), sum(x == math.inf for x in values)
    if n < 2:
        return single(float(there.sum()), math.nan, n, never)
    half = float(stdtrit(n - 1, 0.5 + confidence / 2.0)) * float(there.std(ddof=1)) / math.sqrt(n)
    return single(float(there.mean()), half, n, never)
