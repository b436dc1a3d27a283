"""Which calls a service refuses, and why: explanation by explanation, until nothing is left.

The best explanation, by the Bayesian information criterion, is taken if most of what it refuses was
refused indeed; what it leaves is explained in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tpssim.core.types import record
from tpssim.experiments.fitting.explanations import (
    WINDOW,
    Explanation,
    Scored,
    Seen,
    closer,
    counts,
    in_flight_ones,
    search,
    window_ones,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]
    Places = NDArray[np.intp]

PRECISE = 0.8  #: share of what an explanation refuses that must have been refused
WORTH = 10.0  #: gain in log-likelihood, less its price, that an explanation must bring
MOST = 4  #: explanations that are looked for
FEW = 0.005  #: share of the refusals that need no explanation
CLOSE = 2  #: windows that are looked at closely
#: times that calls must have been taken again for a window: what happened once may be an outage
AGAIN = 2
RIVAL = 3.0  #: of score: what is behind by less could as well be true


@record
class Found(NamedTuple):
    """An explanation, and those that agree about as well."""

    best: Scored
    rivals: tuple[Scored, ...] = ()


def explained(
    seen: Seen, known: Places, delays: Sequence[float], phases: Sequence[float]
) -> tuple[Seen, list[Found]]:
    """What explains the refusals, the most convincing first; and the calls, with those marked that
    quotas do not know to be refused.

    `known`: the calls of which it is known whether they were refused, in order; `delays` of an
    answer on its way and `phases` of fixed windows are what is tried first.
    """
    found: list[Found] = []
    among = known
    total = int(seen.refused.sum())
    while len(found) < MOST and int(seen.refused[among].sum()) > max(FEW * total, 2.0):
        one = explanation(seen, among, delays, phases)
        if one is None:
            break
        found.append(one)
        among = among[~beyond(seen, one.best, among)]
        if one.best.what.kind != WINDOW or is_rate(one.best.what):
            seen = seen._replace(elsewhere=_elsewhere(seen, beyond(seen, one.best)))
    return seen, _again(seen, known, found, delays, phases) if len(found) > 1 else found


def explanation(
    seen: Seen, among: Places, delays: Sequence[float], phases: Sequence[float]
) -> Found | None:
    """What explains best which of these calls were refused; None if nothing is convincing."""
    flying = list(in_flight_ones(seen, among, delays))
    within = search(seen, among, phases)
    rough = sorted(window_ones(within), key=lambda one: -one.score)
    moving = [closer(within, among, one) for one in rough[:CLOSE]]
    good = [one for one in (*flying, *moving) if convincing(seen, one, among)]
    if not good:
        return None
    good.sort(key=lambda one: -one.score)
    return Found(good[0], tuple(one for one in good[1:] if one.score > good[0].score - RIVAL))


def convincing(seen: Seen, found: Scored, among: Places) -> bool:
    """Whether an explanation is to be believed."""
    if found.score < WORTH or found.cut.precision < PRECISE:
        return False
    if found.what.kind != WINDOW:
        return True
    over, refused = beyond(seen, found, among), seen.refused[among]
    return int((over & refused)[:-1][~(over | refused)[1:]].sum()) >= AGAIN


def beyond(seen: Seen, found: Scored, at: Places | None = None) -> Flags:
    """Which calls it refuses."""
    flags: Flags = counts(seen, found.what, at) > found.cut.low
    return flags


def _elsewhere(seen: Seen, over: Flags) -> Flags:
    """Calls that a quota counts though they were refused, for they were `over` another limit.

    What a quota itself refused is not counted; whether it would have refused one that is over the
    limit too is known from the last call that was not: if that was refused, there was no room.
    """
    over = over | seen.elsewhere
    telling = np.where(seen.refused & over, 0, np.arange(len(over)))
    last = np.maximum.accumulate(telling)
    room: Flags = seen.refused & over & ~(seen.refused & ~over)[last]
    return room


def _again(
    seen: Seen,
    known: Places,
    found: list[Found],
    delays: Sequence[float],
    phases: Sequence[float],
) -> list[Found]:
    """Each of several explanations by the calls that the others let in."""
    for i, one in enumerate(found):
        others = [beyond(seen, other.best) for other in (*found[:i], *found[i + 1 :])]
        let_in = known[~np.any(others, axis=0)[known]]
        found[i] = explanation(seen, let_in, delays, phases) or one
    return found


def is_rate(what: Explanation) -> bool:
    """Whether a window is what `Backend.rate` counts."""
    counted = what.of == "calls" and what.counts_refused and not what.fixed
    return what.kind == WINDOW and what.per == 1.0 and counted
