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
#: Of these, the ones that are infinite where what they wait for never happens.
NEVER = ("recovery_time", "time_to_fairness")


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
    the last: the place for a default, which need not change then). What paired t tests leave for it not to be
    within delta of the others, sum of P(t(r - 1) > (mean[j] - mean[i] + delta) / s[i, j] sqrt(r)), is taken
    off the confidence. So is alpha as soon as the procedure has dropped anyone, since the best may have been
    among them: their theorem bounds that by alpha for all drops together, and Bonferroni's inequality adds.
    """
    rows: list[list[float]] = [[] for _ in range(contenders)]
    standing, dropped = list(range(contenders)), dict[int, int]()
    n0 = min(FIRST, most)
    eta = ((2.0 * alpha / max(contenders - 1, 1)) ** (-2.0 / (n0 - 1)) - 1.0) / 2.0
    h2 = 2.0 * eta * (n0 - 1)
    variance = np.zeros((contenders, contenders))
    r, spent = 0, 0.0
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
            spent = alpha if beaten else spent
            _drop(beaten, standing, dropped, r)
    if not standing:
        return Choice(-1, r, [], dropped, 0.0, indifference)
    winner = min(standing, key=lambda i: (math.fsum(rows[i]), -i))
    doubt = _doubt(rows[winner], [rows[i] for i in standing if i != winner], indifference)
    return Choice(winner, r, standing, dropped, max(0.0, 1.0 - spent - doubt), indifference)


def _drop(which: Sequence[int], standing: list[int], dropped: dict[int, int], r: int) -> None:
    for i in which:
        standing.remove(i)
        dropped[i] = r


def _doubt(ours: Sequence[float], others: Sequence[Sequence[float]], indifference: float) -> float:
    from scipy.special import stdtr  # a quarter of a second

    doubt = 0.0
    for other in others:
        ahead = np.subtract(other, ours)
        spread = float(ahead.std(ddof=1)) / math.sqrt(len(ahead))
        if spread > 0.0:
            doubt += float(stdtr(len(ahead) - 1, -(float(ahead.mean()) + indifference) / spread))
    return doubt


class Change(NamedTuple):
    """How a measure differs between the chosen setting and the default on one scenario, in paired runs."""

    scenario: str
    measure: str
    default: float | None  #: mean over the pairs in which both are finite; None without any
    tuned: float | None
    difference: Estimate  #: tuned - default over these, with a simultaneous 95 % interval
    pairs: int  #: of runs in which both have the measure
    never: tuple[int, int]  #: in how many of these it is infinite: of the default, of the tuned


def changes(names: Sequence[str], default: Array, tuned: Array) -> tuple[list[Change], list[Change]]:
    """(measures that became worse, those that became better), what matters most first.

    `default` and `tuned`: measures by scenario, replication and measure, of the same noise. A change counts
    if it is certain at 95 % for all of them together (Bonferroni): if the paired interval excludes zero, or,
    of `NEVER`, if one is infinite more often by McNemar's exact test, which then decides: never is worse than
    late. And nothing is better that is never more often.
    """
    from scipy.special import bdtr

    places = {name: i for i, name in enumerate(METRICS)}
    pairs = [(s, name) for name in (*MORE, *LESS) for s in range(len(names))]
    alpha = (1.0 - CONFIDENCE) / (len(pairs) + len(NEVER) * len(names))
    worse: list[Change] = []
    better: list[Change] = []
    for s, name in pairs:
        before, after = default[s, :, places[name]], tuned[s, :, places[name]]
        there = ~(np.isnan(before) | np.isnan(after))
        never = there & np.isposinf([before, after])
        finite = there & ~never.any(axis=0)
        difference = estimate((after[finite] - before[finite]).tolist(), 1.0 - alpha)
        lost, won = int((never[1] & ~never[0]).sum()), int((never[0] & ~never[1]).sum())
        # McNemar: of the runs in which one alone never does it, each is as likely to be the one.
        if lost + won and 2.0 * float(bdtr(min(lost, won), lost + won, 0.5)) <= alpha:
            good = won > lost
        elif difference.low is None or difference.high is None or difference.low <= 0.0 <= difference.high:
            continue
        else:
            good = (difference.low > 0.0) == (name in MORE)
            if good and lost > won:
                continue
        old, new = (float(row[finite].mean()) if finite.any() else None for row in (before, after))
        counts = int(never[0].sum()), int(never[1].sum())
        change = Change(names[s], name, old, new, difference, int(there.sum()), counts)
        (better if good else worse).append(change)
    return worse, better
