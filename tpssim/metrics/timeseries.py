"""Measures of signals: step response, limit cycle, variation. NumPy arrays in, numbers out.

This module knows nothing of throttles. A measure that cannot be computed is nan, never an error.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tpssim.core.types import record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MOST_INTERVALS = 10  # zero crossings of the autocorrelation that are looked at (Thornhill et al.)


@record
class Cycle(NamedTuple):
    """What an autocorrelation function tells of a cycle."""

    oscillation: float  #: R of Miao & Seborg
    regularity: float  #: r of Thornhill, Huang & Zhang
    period: float  #: samples


def correlations(waves: Array, powers: Array) -> Array:
    """The autocorrelation function of each wave (a signal less its mean) over its first half of
    lags.

    `a_k = sum w_i w_(i+k) / power` (biased, as usual), by FFT, with `power = sum w_i^2`; nan where
    that is.
    """
    n = waves.shape[-1]
    spectrum = np.fft.rfft(waves, 2 * n)
    # In real numbers, so that a wave gets the same bits alone and among others.
    acf: Array = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, 2 * n)[..., : n // 2]
    return acf / powers[..., np.newaxis]


def autocorrelation(x: Array) -> Array:
    """The autocorrelation function of a signal over its first half of lags; all nan for a
    constant.
    """
    wave = np.asarray(x - np.mean(x), dtype=np.float64)
    power = float(wave @ wave)
    # Rounding leaves a trace of power in a constant signal; it says nothing.
    constant = power <= len(x) * (1e-12 * max(1.0, float(np.max(np.abs(x))))) ** 2
    return correlations(wave, np.array(math.nan if constant else power))


def cycle(acf: Array) -> Cycle:
    """How oscillatory and how regular a signal is, from its autocorrelation function.

    R: with the first minimum at lag p, the first maximum after it at q and the next minimum at r,
    `R = a / b`; `b` is the depth of the minimum p below the line from lag 0 to q, `a` the height of
    the maximum q above the line from p to r. nan if the function has no such extremes. Source: Miao
    & Seborg 1999.

    r and T: of the intervals between zero crossings (the stretch before the first one dropped, at
    most 10): `T = 2 mean`, `sigma_T = 2 std` (sample standard deviation), `r = T / (3 sigma_T)`.
    nan with fewer than two intervals, r = inf if they are all alike. Source: Thornhill, Huang &
    Zhang 2003.
    """
    n = len(acf)
    if n < 3 or math.isnan(acf[0]):
        return Cycle(math.nan, math.nan, math.nan)
    turns, p, q, r = 0, 0, 0, 0
    crossings, before = -1, 0.0
    total, squares, first = 0.0, 0.0, 0.0
    for k in range(n - 1):
        if k > 0 and turns < 3 and (acf[k + 1] > acf[k]) != (acf[k] > acf[k - 1]):
            turns += 1
            p, q, r = q, r, k
        if crossings < MOST_INTERVALS and (acf[k] > 0.0) != (acf[k + 1] > 0.0):
            at = k + acf[k] / (acf[k] - acf[k + 1])
            crossings += 1
            if crossings == 1:
                first = at - before
            if crossings > 0:
                # Sums of deviations from the first interval: no difference of large numbers.
                total += at - before - first
                squares += (at - before - first) * (at - before - first)
            before = at
        elif turns == 3 and crossings == MOST_INTERVALS:
            break
    oscillation = math.nan
    if turns == 3 and not acf[1] > acf[0]:
        b = acf[0] + (acf[q] - acf[0]) * p / q - acf[p]
        a = acf[q] - (acf[p] + (acf[r] - acf[p]) * (q - p) / (r - p))
        oscillation = a / b
    if crossings < 2:
        return Cycle(oscillation, math.nan, math.nan)
    period = 2.0 * (first + total / crossings)
    sigma = 2.0 * math.sqrt(max(squares - total * total / crossings, 0.0) / (crossings - 1))
    return Cycle(oscillation, period / (3.0 * sigma) if sigma > 0.0 else math.inf, period)


def is_regular(found: Cycle) -> bool:
    """Whether a signal runs in a regular cycle: R > 0.5 and r > 1."""
    return found.oscillation > 0.5 and found.regularity > 1.0


def settling_time(t: Array, y: Array, n: int, final: float, band: float) -> float:
    """Time from t[0] until n samples of a signal enter `final +- band` for good: after their last
    exit.

    The first sample after the last one outside; 0 if it never was outside, inf if it ends outside.

    >>> settling_time(np.arange(5.0), np.array([0.0, 1.3, 0.8, 1.05, 1.0]), 5, 1.0, 0.1)
    3.0
    """
    last = n - 1
    while last >= 0 and abs(y[last] - final) <= band:
        last -= 1
    if last < 0:
        return 0.0
    return float(t[last + 1] - t[0]) if last + 1 < n else math.inf


def jain(shares: Array) -> Array:
    """Jain's index of each column, `(sum x)^2 / (n sum x^2)`: 1 if all are alike, 1 / n if one has
    all.

    >>> jain(np.array([[10.0], [90.0]])).round(4).tolist()
    [0.6098]
    """
    squares = len(shares) * (shares**2).sum(axis=0)
    index: Array = np.where(
        squares > 0.0, shares.sum(axis=0) ** 2 / np.where(squares > 0.0, squares, 1.0), 1.0
    )
    return index


def quantile(ordered: Array, n: int, q: float) -> float:
    """The quantile of the first n values, which are in order: linear between ranks (Hyndman & Fan,
    type 7).

    >>> quantile(np.array([1.0, 2.0, 4.0]), 3, 0.75)
    3.0
    """
    if n == 0:
        return math.nan
    at = q * (n - 1)
    below = int(at)
    if below + 1 >= n:
        return float(ordered[n - 1])
    step, part = ordered[below + 1] - ordered[below], at - below
    # From the nearer end, as NumPy does.
    return float(
        ordered[below] + step * part if part < 0.5 else ordered[below + 1] - step * (1.0 - part)
    )


def most_in_window(times: Array, n: int, window: float) -> int:
    """The most of the first n events, which are in order, in any half-open window [t, t + window).

    >>> most_in_window(np.array([0.0, 0.5, 0.9, 1.0, 3.0]), 5, 1.0)
    3
    """
    most = 0
    for start in range(n):
        # One more than the most so far, and so on: as good as never, and no end is looked for.
        while start + most < n and times[start + most] < times[start] + window:
            most += 1
    return most
