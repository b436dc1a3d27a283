"""Who is chosen: the best in the mean, or what takes less effort and is as good."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tpssim.core.statistics import CONFIDENCE, Estimate, estimate
from tpssim.experiments.recommending.trials import Outcome

#: A difference in value that is not worth a law, or parameters of one's own.
WORTH = 0.01
NEVER = 1e9  #: what never happens counts as so much, in any unit


def chosen(found: Sequence[Outcome]) -> Outcome:
    """The best in the mean of those that take the least effort, where less effort costs less than
    `WORTH`.
    """
    best = max(each.mean() for each in found)
    as_good = [each for each in found if best - each.mean() < WORTH]
    return min(as_good, key=lambda each: (each.candidate.effort, -each.mean()))


def behind(one: Outcome, other: Outcome, pairs: int) -> Estimate:
    """What `one` loses against `other` in the same runs, with an interval of `pairs` that hold
    together.
    """
    lost = np.subtract(other.values, one.values)
    return estimate(lost.tolist(), 1.0 - (1.0 - CONFIDENCE) / max(pairs, 1))


def better_in(measure: str, less: bool, one: Outcome, other: Outcome, pairs: int) -> bool:
    """Whether `other` is better in a measure by more than the runs leave open; a run that never
    comes to it counts as worse than any.
    """
    sign = 1.0 if less else -1.0
    gains = [
        sign * (min(mine[measure], NEVER) - min(others[measure], NEVER))
        for mine, others in zip(one.runs, other.runs, strict=True)
        if not (np.isnan(mine[measure]) or np.isnan(others[measure]))
    ]
    found = estimate(gains, 1.0 - (1.0 - CONFIDENCE) / max(pairs, 1))
    return found.low is not None and found.low > 0.0
