"""Measures of signals: step response, limit cycle, variation. NumPy arrays in, numbers out.

This room knows nothing of throttles. A measure that cannot be computed is nan, never an error.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MOST_INTERVALS = 10  # zero crossings of the autocorrelation that are looked at (Thornhill et al.)


def autocorrelation(x: Array) -> Array:
    """The autocorrelation function of a signal over its first half of lags; all nan for a constant.

    `a_k = sum (x_i - m) (x_(i+k) - m) / sum (x_i - m)^2` (biased, as usual), by FFT.
    """
    n = len(x)
    deviation = x - np.mean(x)
    power = float(deviation @ deviation)
    # Rounding leaves a trace of power in a constant signal; it carries no news.
    if power <= n * (1e-12 * max(1.0, float(np.max(np.abs(x))))) ** 2:
        return np.full(n // 2, np.nan)
    spectrum = np.fft.rfft(deviation, 2 * n)
    acf: Array = np.fft.irfft(spectrum * np.conj(spectrum), 2 * n)[: n // 2] / power
    return acf


def miao_seborg(x: Array) -> float:
    """How oscillatory a signal is: R = a / b on its autocorrelation function; above 0.5 it oscillates.

    With the first minimum at lag p, the first maximum after it at q and the next minimum at r: `b` is the
    depth of the minimum p below the line from lag 0 to q, `a` the height of the maximum q above the line from
    p to r. nan if the function has no such extremes. Source: Miao & Seborg 1999.
    """
    acf = autocorrelation(x)
    rises = np.diff(acf) > 0.0
    turns = np.flatnonzero(rises[1:] != rises[:-1]) + 1
    if len(turns) < 3 or rises[0]:
        return math.nan
    p, q, r = turns[:3]
    b = acf[0] + (acf[q] - acf[0]) * p / q - acf[p]
    a = acf[q] - (acf[p] + (acf[r] - acf[p]) * (q - p) / (r - p))
    return float(a / b)


def thornhill(x: Array) -> tuple[float, float]:
    """How regular a cycle is, and its period in samples: (r, T) from zero crossings of the autocorrelation.

    With the intervals between crossings (the stretch before the first crossing dropped, at most 10):
    `T = 2 mean`, `sigma_T = 2 std` (sample standard deviation), `r = T / (3 sigma_T)`; r > 1 is regular.
    (nan, nan) with fewer than two intervals, r = inf if they are all alike.
    Source: Thornhill, Huang & Zhang 2003.
    """
    acf = autocorrelation(x)
    before = np.flatnonzero((acf[:-1] > 0.0) != (acf[1:] > 0.0))
    crossings = before + acf[before] / (acf[before] - acf[before + 1])
    intervals = np.diff(crossings)[:MOST_INTERVALS]
    if len(intervals) < 2:
        return math.nan, math.nan
    period = 2.0 * float(np.mean(intervals))
    sigma = 2.0 * float(np.std(intervals, ddof=1))
    return (period / (3.0 * sigma) if sigma > 0.0 else math.inf), period


def regular_cycle(x: Array) -> tuple[bool, float]:
    """Whether a signal runs in a regular cycle (R > 0.5 and r > 1), and the period in samples (else nan)."""
    regularity, period = thornhill(x)
    if miao_seborg(x) > 0.5 and regularity > 1.0:
        return True, period
    return False, math.nan


def settling_time(t: Array, y: Array, final: float, band: float) -> float:
    """Time from t[0] until the signal enters the band `final +- band` for good: after its last exit.

    The first sample after the last one outside; 0 if it never was outside, nan if it ends outside.

    >>> settling_time(np.arange(5.0), np.array([0.0, 1.3, 0.8, 1.05, 1.0]), 1.0, 0.1)
    3.0
    """
    outside = np.flatnonzero(np.abs(y - final) > band)
    if not len(outside):
        return 0.0
    last = int(outside[-1])
    return float(t[last + 1] - t[0]) if last + 1 < len(t) else math.nan


def jain(shares: Array) -> Array:
    """Jain's index of each column, `(sum x)^2 / (n sum x^2)`: 1 if all are alike, 1 / n if one has all.

    >>> jain(np.array([[10.0], [90.0]])).round(4).tolist()
    [0.6098]
    """
    squares = len(shares) * (shares**2).sum(axis=0)
    index: Array = np.where(
        squares > 0.0, shares.sum(axis=0) ** 2 / np.where(squares > 0.0, squares, 1.0), 1.0
    )
    return index


def total_variation(u: Array) -> float:
    """`sum |u_(k+1) - u_k|`: how much a signal moves.

    >>> total_variation(np.array([1.0, 3.0, 2.0]))
    3.0
    """
    return float(np.abs(np.diff(u)).sum())


def most_in_window(times: Array, window: float) -> int:
    """The largest number of sorted events in any half-open window [t, t + window).

    >>> most_in_window(np.array([0.0, 0.5, 0.9, 1.0, 3.0]), 1.0)
    3
    """
    if not len(times):
        return 0
    ends = np.searchsorted(times, times + window, side="left")
    return int((ends - np.arange(len(times))).max())
