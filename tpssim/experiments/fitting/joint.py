"""Servers, delay and changes over time together: each is seen through the others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tpssim.core.types import record
from tpssim.experiments.fitting.changes import (
    FLAT,
    PRICE,
    Course,
    arithmetic,
    blockwise,
    course_of,
    geometric,
    middle,
    refitted,
    shortest,
)
from tpssim.experiments.fitting.densities import NOTHING
from tpssim.experiments.fitting.implied import Calls, Implied, implied
from tpssim.experiments.fitting.servers import CLOSE, Profile, Setting, profile
from tpssim.experiments.fitting.survival import given_up, unhurried

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tpssim.experiments.fitting.changes import Scale
    from tpssim.experiments.fitting.servers import Factors

    Array = NDArray[np.float64]

LOOKED_AT = 3  # numbers of servers, the likeliest, whose times are looked at for changes
FINALISTS = 2  # of those with their changes, that are settled closely
TURNS = 3  # from the delay to the changes and back


#: What best tells how large times of a distribution are.
SCALES: dict[str, Scale] = {
    "constant": middle,
    "exponential": arithmetic,
    "lognormal": geometric,
    "gamma": arithmetic,
    "pareto": shortest,
    "two-phase": arithmetic,
    "recorded": geometric,
}


@record
class Seen(NamedTuple):
    """What the calls are most likely to be."""

    profile: Profile
    best: Setting
    course: Course


def along(calls: Calls, course: Course, scale: Scale) -> Factors | None:
    """The factors of calls by when a server took them: the times of the changes stay, how large
    they are follows from servers and delay.
    """
    if not course.times:
        return None

    def factors(found: Implied, used: NDArray[np.bool_]) -> Array:
        return refitted(course, found, used, calls.grain, scale).at(found.taken)

    return factors


def course_at(calls: Calls, setting: Setting, scale: Scale = geometric) -> Course:
    """The changes, if servers and delay are these."""
    found = implied(calls, setting.servers, setting.delay)
    used = found.sure & calls.answered
    times = found.time[used]
    if calls.patience < math.inf and setting.density is not NOTHING:
        ages = given_up(calls, found, np.ones(len(used)))
        allowed = (calls.start + calls.patience - found.begin)[used]
        times = unhurried(setting.density, times, ages, allowed)
    return course_of(found.taken[used], times, calls.grain, scale)[0]


def seen(calls: Calls) -> Seen:
    """The likeliest servers, delay and changes."""
    plain = profile(calls)
    looked_at = plain.leading(LOOKED_AT)
    if not any(course_at(calls, setting).times for setting in looked_at):
        return Seen(plain, looked_at[0], FLAT)

    def adapted(found: Implied, used: NDArray[np.bool_]) -> Array:
        return blockwise(found, used, calls.grain)

    apart = profile(calls, adapted)
    looked_at = list(dict.fromkeys([*looked_at, *apart.leading(LOOKED_AT)]))
    rough = _settled_ones(calls, looked_at, turns=1)[:FINALISTS]
    tried = _settled_ones(calls, [one.best for one in rough], turns=TURNS)
    if not tried:
        return Seen(plain, looked_at[0], FLAT)
    best = tried[0]
    scale = SCALES[best.best.density.kind]
    around = profile(calls, along(calls, best.course, scale), best.best.delay)
    top = around.best[around.ranked()[0]]
    last = _settled_ones(calls, [top], TURNS, around)
    return max([*last, best], key=lambda found: _score(calls, found))


def closely(calls: Calls, rough: Seen) -> Seen:
    """The same of all calls, where the times of some were looked at."""
    scale = SCALES[rough.best.density.kind]
    made = _settled(calls, rough.best, scale, 1, rough.profile)
    if made is None:
        return rough
    found = made.profile
    for servers in found.ranked()[:FINALISTS]:
        found.refine(servers)
    best = found.best[found.ranked()[0]]
    return Seen(found, best, _course_with(calls, best, made.course, scale))


def _settled_ones(
    calls: Calls, settings: list[Setting], turns: int, around: Profile | None = None
) -> list[Seen]:
    """These with their changes, as each distribution tells how large times are, the likeliest
    first.
    """
    tried = [
        _settled(calls, setting, scale, turns, around)
        for setting in settings
        for scale in _scales(setting.density.kind)
    ]
    return sorted((one for one in tried if one), key=lambda found: -_score(calls, found))


def _scales(kind: str) -> list[Scale]:
    """What may tell how large times of that distribution are; of one that is none of the catalogue,
    perhaps because the changes spoil it, each.
    """
    return [*dict.fromkeys(SCALES.values())] if kind == "recorded" else [SCALES[kind]]


def _score(calls: Calls, found: Seen) -> float:
    return found.best.score - PRICE * len(found.course.times) * math.log(len(calls.start))


def _settled(
    calls: Calls, setting: Setting, scale: Scale, turns: int, around: Profile | None
) -> Seen | None:
    """Changes at the delay, the delay with the changes, and again; None if no service has its
    times with these changes.
    """
    for _ in range(turns):
        course = course_at(calls, setting, scale)
        found = Profile(calls, along(calls, course, scale))
        found.begin(setting.servers)
        found.attempt(setting.servers, setting.delay)
        if setting.servers not in found.best:
            return None
        found.refine(setting.servers)
        setting = found.best[setting.servers]
    if around is not None:  # each number of servers with these changes
        near = around.best[around.ranked()[0]].score - CLOSE
        for servers in [s for s, made in around.best.items() if made.score > near]:
            found.attempt(servers, around.best[servers].delay)
            found.attempt(servers, setting.delay)
        setting = found.best[found.ranked()[0]]
    return Seen(found, setting, _course_with(calls, setting, course, scale))


def _course_with(calls: Calls, setting: Setting, course: Course, scale: Scale) -> Course:
    """The changes with the factors that they have with these servers and this delay."""
    found = implied(calls, setting.servers, setting.delay)
    return refitted(course, found, found.sure & calls.answered, calls.grain, scale)
