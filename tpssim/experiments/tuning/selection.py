"""Which of the best is best: chosen on fresh seeds, with a bound on how much better another may be.

The least loss of a search is too good to be true: of many noisy numbers the least is one with luck
(the optimiser's curse). So the best few meet replications that the search has not seen, and what is
said about the one that is chosen comes from others that the choice has not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tpssim.core.statistics import CONFIDENCE, Estimate, estimate
from tpssim.core.types import record
from tpssim.metrics.measure import ENDLESS, METRICS
from tpssim.output.records import searches as parts
from tpssim.output.records.parts import interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: What matters most of what is compared, in this order.
FIRST = (
    "achieved",
    "worst_phase",
    "throughput",
    "utilisation",
    "fairness",
    "response_p99",
    "errors",
    "refused",
    "skipped",
    "swing",
    "overshoot",
    "recovery_time",
    "regain_time",
    "churn",
    "total_variation",
    "iae",
    "burst_1s",
    "burst_100ms",
    "spin_cpu",
    "settling_time",
    "caught_up",
    "re_anchored",
    "itae",
    "burst_10ms",
    "response_p50",
    "response_p999",
    "stretch",
    "lag_p99",
    "lag_max",
    "lateness_p50",
    "lateness_p99",
    "time_to_fairness",
)
#: Measures that are compared: all that have a better direction.
COMPARED = (*FIRST, *(name for name in METRICS if METRICS[name].better and name not in FIRST))
MORE = tuple(name for name in COMPARED if METRICS[name].better == "more")
LESS = tuple(name for name in COMPARED if METRICS[name].better == "less")
NEVER = ENDLESS
ROUNDING = 1e-9  # x what it was: less apart is no change


@record
class Choice(NamedTuple):
    """Which candidate was chosen."""

    winner: int  #: -1 if none has a loss in every replication
    replications: int
    standing: list[int]  #: candidates that may do best in the median run, the winner among them
    #: what the best may lose less in the median run; None: of too few replications
    within: float | None


def least_mean(losses: Array) -> Choice:
    """The candidate with the least mean loss over the same replications (a row each); of equal ones
    the last.

    The last is the place for a default, which need not change then. Whoever lacks a loss in any
    replication is out. Every candidate meets every replication: who drops the worse after a few
    runs drops them before the better one has shown what it does once in fifty.

    With w the winner, the median of `loss[w] - loss[j]` lies in an interval for each other j, all k
    - 1 of them together with `CONFIDENCE` (Bonferroni; enough although w is chosen by the same
    runs, since the best is one and the same j whoever wins). So, whichever j is the best: in the
    median run it loses at most `within` less than w, and it is one of the `standing`, those whose
    interval is not wholly below 0.
    """
    sound = [i for i, row in enumerate(losses) if np.isfinite(row).all()]
    if not sound:
        return Choice(-1, losses.shape[1], [], None)
    winner = min(sound, key=lambda i: (float(losses[i].mean()), -i))
    confidence = 1.0 - (1.0 - CONFIDENCE) / max(len(losses) - 1, 1)
    more = {i: estimate(losses[winner] - losses[i], confidence) for i in sound if i != winner}
    standing = [i for i in sound if i == winner or (high := more[i].high) is None or high >= 0.0]
    highs = [e.high for e in more.values()]
    known = [high for high in highs if high is not None]
    within = max([0.0, *known]) if len(known) == len(highs) else None
    return Choice(winner, losses.shape[1], standing, within)


@record
class Change(NamedTuple):
    """How a measure differs between the chosen setting and the default on one scenario, in paired
    runs.
    """

    scenario: str
    measure: str
    default: float | None  #: mean over the pairs in which both are finite; None without any
    tuned: float | None
    difference: Estimate  #: tuned - default over these, with a simultaneous interval
    pairs: int  #: of runs in which both have the measure
    never: tuple[int, int]  #: in how many of these it is infinite: of the default, of the tuned

    def part(self) -> parts.Change:
        """As it stands in a record."""
        return {
            "scenario": self.scenario,
            "measure": self.measure,
            "default": self.default,
            "tuned": self.tuned,
            "difference": interval(self.difference),
            "pairs": self.pairs,
            "never": list(self.never),
        }


def changes(
    names: Sequence[str], default: Array, tuned: Array
) -> tuple[list[Change], list[Change]]:
    """(measures that became worse, those that became better), what matters most first.

    `default` and `tuned`: measures by scenario, replication and measure, of the same noise. A
    change counts if it is certain with `CONFIDENCE` for all of them together (Bonferroni): if the
    interval of the paired differences excludes zero, which is so of the median run's however they
    spread, and never so of too few pairs; or, of `NEVER`, if one is infinite more often by
    McNemar's exact test, which then decides: never is worse than late. And nothing is better that
    is never more often.
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
        apart = after[finite] - before[finite]
        apart[np.abs(apart) <= ROUNDING * np.abs(before[finite])] = 0.0
        difference = estimate(apart.tolist(), 1.0 - alpha)
        lost, won = int((never[1] & ~never[0]).sum()), int((never[0] & ~never[1]).sum())
        # McNemar: of the runs in which one alone never does it, each is as likely to be the one.
        if lost + won and 2.0 * float(bdtr(min(lost, won), lost + won, 0.5)) <= alpha:
            good = won > lost
        elif (
            difference.low is None
            or difference.high is None
            or difference.low <= 0.0 <= difference.high
        ):
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
