"""The part of `headroom` for one call at a time: the time that a call keeps the caller busy. Pure,
and plain arithmetic.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from tpssim.controllers._headroom_windows import LONGEST, logarithm
from tpssim.core.types import record

FAST = 0.3  # weight of a latency in the quick mean
LOOKS = 3.0  # standard deviations of the quick mean that are no noise
FALLS = 2.5  # the same of logarithms where calls are quicker: a caller who waits loses none by it
SCATTER, LEAST_SD = 0.5, 0.1  # variance of ln latency at first; its least standard deviation
STRAY = 4.0  # standard deviations, beyond which a latency counts as that
ON_TIME = 0.1  # of a call's time: a lag up to this is no sign that the caller waited for a call
CALM = 25.0  # calls on time until the first trial whether the caller waits at all
TRIAL = 2.0  # x the rate, for the slot of a trial
GAIN = 0.15  # of the idle time beyond the wanted share: by so much the rate grows
MOST_AHEAD = 2.0  # x the rate of the mean: no more is commanded
SELDOM = 1e6  # calls: trials are no further apart


@record
class Busy(NamedTuple):
    """The consumer's time for a call, while one is made at a time."""

    mean: float  #: s; nan before the first
    quick: float  #: the same, of the last few calls, s
    spread: float  #: variance of it, s^2
    weight: float  #: of the next call in the mean
    unit: float  #: the first latency above 0, s; nan before
    level: float  #: mean of ln(latency / unit)
    lately: float  #: the same, of the last few calls
    scatter: float  #: variance of it


@record
class Alone(NamedTuple):
    """Whether one call at a time is what the caller does, or what the rate has made of it."""

    calm: float  #: calls in a row that the rate held back and that were on time
    wait: float  #: as many of them until the next trial


def untried() -> Alone:
    """No call was held back yet.

    >>> untried().wait
    25.0
    """
    return Alone(calm=0.0, wait=CALM)


def alone_again(alone: Alone, held_back: bool, lag: float, mean: float) -> Alone:
    """After one more call that nothing overlapped; trials become rarer by half each time.

    >>> alone_again(Alone(calm=24.0, wait=25.0), True, 0.0, 0.02)
    Alone(calm=25.0, wait=25.0)
    >>> alone_again(Alone(calm=25.0, wait=25.0), True, 0.0, 0.02)  # the trial has shown nothing
    Alone(calm=0.0, wait=50.0)
    """
    if trial_is_due(alone):
        return Alone(calm=0.0, wait=min(2.0 * alone.wait, SELDOM))
    calm = alone.calm + 1.0 if held_back and lag <= ON_TIME * mean else 0.0
    return Alone(calm=calm, wait=alone.wait)


def trial_is_due(alone: Alone) -> bool:
    """Whether the next slot is that of a trial.

    >>> trial_is_due(Alone(calm=25.0, wait=25.0)), trial_is_due(untried())
    (True, False)
    """
    return alone.calm >= alone.wait


def ahead_after(ahead: float, idle: float, mean: float, share: float) -> float:
    """How many times the rate of the mean is commanded, after a call before which the caller was
    idle for so long: more, until calls fill their share of the time although they vary.

    >>> round(ahead_after(1.2, 0.01, 0.02, 0.99), 4)  # half a call's time: 1.2 (1 + 0.15 x 0.49)
    1.2882
    >>> round(ahead_after(1.2, 0.0, 0.02, 0.99), 4), ahead_after(1.0, 0.0, 0.02, 0.99)
    (1.1982, 1.0)
    """
    beyond = min(idle / mean, 1.0) - (1.0 - share)
    return min(MOST_AHEAD, max(1.0, ahead * (1.0 + GAIN * beyond)))


def unmeasured() -> Busy:
    """No call was seen yet."""
    return Busy(
        mean=math.nan,
        quick=math.nan,
        spread=0.0,
        weight=1.0,
        unit=math.nan,
        level=0.0,
        lately=0.0,
        scatter=SCATTER,
    )


def smoothed(busy: Busy, latency: float, alpha: float) -> Busy:
    """The mean with one more latency: it moves slowly while nothing changes, and at once when
    something does.

    A latency counts for no more than 4 standard deviations above the mean (or 3 means, if that is
    more), so that one stray call moves little, and several do. That calls are quicker shows first
    in logarithms: one of a tenth moves a mean by less than its own noise.

    >>> busy = smoothed(unmeasured(), 0.02, 0.1)
    >>> for _ in range(9):
    ...     busy = smoothed(busy, 0.08, 0.1)
    >>> 0.07 < busy.mean < 0.08
    True
    """
    latency = min(latency, LONGEST)
    unit = latency if math.isnan(busy.unit) and latency > 0.0 else busy.unit
    z = 0.0 if math.isnan(unit) else logarithm(latency, unit)
    if math.isnan(busy.mean):
        spread = 0.25 * latency * latency
        return Busy(latency, latency, spread, 0.5, unit, z, z, busy.scatter)
    sigma = max(math.sqrt(busy.spread), 0.1 * busy.mean)
    if busy.mean > 0.0:
        latency = min(latency, max(busy.mean + STRAY * sigma, 3.0 * busy.mean))
    quick = busy.quick + FAST * (latency - busy.quick)
    residual = latency - busy.mean
    mean = busy.mean + busy.weight * residual
    spread = spread_of(busy.spread, residual, sigma, alpha)
    sd = max(math.sqrt(busy.scatter), LEAST_SD)
    off = max(-STRAY * sd, min(z - busy.level, STRAY * sd))
    lately = busy.lately + max(FAST, busy.weight) * (busy.level + off - busy.lately)
    level = busy.level + busy.weight * off
    scatter = spread_of(busy.scatter, off, sd, alpha)
    weight = max(alpha, busy.weight / (1.0 + busy.weight))  # 1/2, 1/3, ...: at first the plain mean
    noise = math.sqrt(FAST / (2.0 - FAST))  # of a quick mean, in standard deviations of one
    if abs(quick - mean) > LOOKS * sigma * noise:
        ratio = quick / mean if mean > 0.0 else 1.0
    elif level - lately > FALLS * sd * noise:
        ratio = math.exp(lately - level)
        quick = ratio * mean
    else:
        return Busy(mean, quick, spread, weight, unit, level, lately, scatter)
    return Busy(
        quick, quick, spread * ratio * ratio, max(alpha, FAST), unit, lately, lately, scatter
    )


def spread_of(spread: float, residual: float, sigma: float, alpha: float) -> float:
    """A variance with one more deviation, of which 3 standard deviations count at most.

    >>> spread_of(1.0, 10.0, 1.0, 0.25)
    5.0
    """
    residual = min(abs(residual), 3.0 * sigma)
    return spread + 2.0 * min(alpha, 0.5) * (residual * residual - spread)
