"""Which of the best is best: chosen on fresh seeds by a procedure that says how sure it is.

The least loss of a search is too good to be true: of many noisy numbers the least is one with luck (the
optimiser's curse). So the best few meet replications that the search has not seen, and what is said about the
one that is chosen comes from others that the choice has not seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tpssim.metrics import METRICS
from tpssim.statistics import Estimate, estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

FIRST = 10  # replications before anyone is dropped
CONFIDENCE = 0.95

#: Measures of which more is better, and of which less is; of others neither. What matters most comes first.
MORE = ("achieved", "worst_phase", "throughput", "utilisation", "fairness")
LESS = (
    "response_p99",
    "errors",
    "refused",
    "dropped",
    "swing",
    "overshoot",
    "recovery_time",
    "total_variation",
    "iae",
    "burst_100ms",
    "spin_cpu",
    "settling_time",
    "caught_up",
    "re_anchored",
    "itae",
    "burst_10ms",
    "response_p50",
    "response_p999",
    "lag_p99",
    "lag_max",
    "lateness_p50",
    "lateness_p99",
    "time_to_fairness",
)


class Choice(NamedTuple):
    """Which contender was chosen."""

    winner: int
    replications: int  #: that the last ones standing have met
    standing: list[int]  #: contenders that were not dropped
    dropped: dict[int, int]  #: contender -> replications after which it was dropped
    confidence: float  #: of being within the indifference zone of the best
    indifference: float


#: Losses of contenders (first argument) in one replication, counted from 0; nan where there is none.
Draw = Callable[[Sequence[int], int], Sequence[float]]


def kim_nelson(
    contenders: int, draw: Draw, indifference: float, most: int, alpha: float = 1.0 - CONFIDENCE
) -> Choice:
    """The contender with the least mean loss, by the sequential procedure of Kim and Nelson (2001).

    With n0 = `FIRST` replications each, S2[i, j] the sample variance of their differences and delta the
    indifference zone::

        eta = ((2 alpha / (k - 1)) ^ (-2 / (n0 - 1)) - 1) / 2,  h2 = 2 eta (n0 - 1)
        W[i, j](r) = max(0, delta / (2 r) (h2 S2[i, j] / delta^2 - r))

    contender i is dropped after r replications if mean[i] > mean[j] + W[i, j](r) for any j that stands. With
    normal losses the last one standing is the best with probability 1 - alpha, if the best is better than
    all others by delta; common random numbers are allowed. One without a finite loss is dropped at once.

    If more than one stands after `most` replications, the one with the least mean is chosen (of equal ones
    the last: the place for a default, which need not change then). The confidence is what paired t tests with
    Bonferroni's inequality leave for it to be within delta of the others:
    1 - sum of P(t(r - 1) > (mean[j] - mean[i] + delta) / s[i, j] sqrt(r)).
    """
    rows: list[list[float]] = [[] for _ in range(contenders)]
    standing, dropped = list(range(contenders)), dict[int, int]()
    n0 = min(FIRST, most)
    eta = ((2.0 * alpha / max(contenders - 1, 1)) ** (-2.0 / (n0 - 1)) - 1.0) / 2.0
    h2 = 2.0 * eta * (n0 - 1)
    variance = np.zeros((contenders, contenders))
    r = 0
    while standing and r < most and (r < n0 or len(standing) > 1):
        for i, loss in zip(standing, draw(standing, r), strict=True):
            rows[i].append(loss)
        r += 1
        _drop([i for i in standing if not math.isfinite(rows[i][-1])], standing, dropped, r)
        if r == n0:
            for i in standing:
                for j in standing:
                    variance[i, j] = np.subtract(rows[i], rows[j]).var(ddof=1)
        if r >= n0:
            mean = {i: math.fsum(rows[i]) / r for i in standing}
            wide = np.maximum(0.0, indifference / (2.0 * r) * (h2 * variance / indifference**2 - r))
            beaten = [i for i in standing if any(mean[i] > mean[j] + wide[i, j] for j in standing)]
            _drop(beaten, standing, dropped, r)
    if not standing:
        return Choice(-1, r, [], dropped, 0.0, indifference)
    winner = min(standing, key=lambda i: (math.fsum(rows[i]), -i))
    sure = 1.0 - alpha
    if len(standing) > 1:
        sure = _bonferroni(rows[winner], [rows[i] for i in standing if i != winner], indifference)
    return Choice(winner, r, standing, dropped, sure, indifference)


def _drop(which: Sequence[int], standing: list[int], dropped: dict[int, int], r: int) -> None:
    for i in which:
        standing.remove(i)
        dropped[i] = r


def _bonferroni(ours: Sequence[float], others: Sequence[Sequence[float]], indifference: float) -> float:
    from scipy.special import stdtr  # a quarter of a second

    doubt = 0.0
    for other in others:
        ahead = np.subtract(other, ours)
        spread = float(ahead.std(ddof=1)) / math.sqrt(len(ahead))
        if spread > 0.0:
            doubt += float(stdtr(len(ahead) - 1, -(float(ahead.mean()) + indifference) / spread))
    return max(0.0, 1.0 - doubt)


class Change(NamedTuple):
    """How a measure differs between the chosen setting and the default on one scenario, in paired runs."""

    scenario: str
    measure: str
    default: float
    tuned: float
    difference: Estimate  #: tuned - default, with a simultaneous 95 % interval


def changes(names: Sequence[str], default: Array, tuned: Array) -> tuple[list[Change], list[Change]]:
    """(measures that became worse, those that became better), what matters most first.

    `default` and `tuned`: measures by scenario, replication and measure, of the same noise. A change counts
    if its interval excludes zero at 95 % for all of them together (Bonferroni).
    """
    places = {name: i for i, name in enumerate(METRICS)}
    pairs = [(s, name) for name in (*MORE, *LESS) for s in range(len(names))]
    worse: list[Change] = []
    better: list[Change] = []
    for s, name in pairs:
        before, after = default[s, :, places[name]], tuned[s, :, places[name]]
        there = np.isfinite(before) & np.isfinite(after)
        difference = estimate((after[there] - before[there]).tolist(), 1.0 - (1.0 - CONFIDENCE) / len(pairs))
        if difference.low is None or difference.high is None or difference.low <= 0.0 <= difference.high:
            continue
        change = Change(names[s], name, float(before[there].mean()), float(after[there].mean()), difference)
        (better if (difference.low > 0.0) == (name in MORE) else worse).append(change)
    return worse, better
