"""`fit`: a service learned from a recording of its calls."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tpssim.core.errors import InputError
from tpssim.core.types import FAILED, OK, REFUSED, REJECTED, TIMED_OUT
from tpssim.experiments.fitting.changes import Course
from tpssim.experiments.fitting.correlations import correlations
from tpssim.experiments.fitting.costs import (
    differ,
    per_cost_at_delays,
    per_cost_of,
    with_costs,
)
from tpssim.experiments.fitting.crowding import (
    crowding_at_delays,
    per_cost_at_slowdowns,
    seen_with_crowding,
)
from tpssim.experiments.fitting.densities import NOTHING, Density, sampled
from tpssim.experiments.fitting.estimates import Estimate
from tpssim.experiments.fitting.fit_result import FitResult
from tpssim.experiments.fitting.gaps import timed
from tpssim.experiments.fitting.implied import (
    Calls,
    calls_of,
    implied,
    in_flight,
    some_of,
    within_steps,
)
from tpssim.experiments.fitting.intervals import (
    Spread,
    cv_of,
    delay_interval,
    interval,
    spread_of,
)
from tpssim.experiments.fitting.jitter import steadied
from tpssim.experiments.fitting.joint import closely, course_at
from tpssim.experiments.fitting.limited import with_limits
from tpssim.experiments.fitting.limits import limits_of, refused_later
from tpssim.experiments.fitting.servers import Profile, Setting, likeliest
from tpssim.experiments.fitting.survival import (
    best_censored,
    completed_times,
    given_up,
    kaplan_meier,
)
from tpssim.experiments.fitting.timeouts import bounded, timeout_of
from tpssim.experiments.fitting.twin import Learned, changes_of, plateau_of, twin_of
from tpssim.experiments.fitting.unsaid import unidentified
from tpssim.scenarios.files import Correlated
from tpssim.scenarios.recordings.calls import Recording
from tpssim.scenarios.recordings.reading import read_recording

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

LEAST = 50  # answered calls
ALONE = 1e-3  # share of calls that may overlap by a stamp's accident, where one is made at a time


def fit(recording: Recording | str | Path, *, holdout: float = 0.5, seed: int = 0) -> FitResult:
    """Learn a service from a recording of its calls, or a file that `read_recording` reads; raises
    `InputError`.

    The last `holdout` of the time is kept for `check`, what began before is fitted.

    >>> import tpssim
    >>> seen = tpssim.Recording.of([float(i) for i in range(100)], [i + 0.02 for i in range(100)])
    >>> tpssim.fit(seen, holdout=0.0).line()
    'one at a time: at least 1 server, constant of mean 0.02 s and cv 0'
    """
    if not isinstance(recording, Recording):
        recording = read_recording(recording)
    if not 0.0 <= holdout < 1.0:
        raise InputError(f"holdout={holdout!r}; allowed: from 0 to below 1")
    span = float(recording.start[-1]) if len(recording) else 0.0
    split = math.inf if holdout == 0.0 else (1.0 - holdout) * span
    timeout, part = timeout_of(recording.between(-math.inf, split))
    limits, refused = limits_of(part), int((recording.outcome == REJECTED).sum())
    if refused and not limits.refused:
        limits = refused_later(limits, refused)
    calls = served(part, timeout, limits.silent, seed)
    answered = int(calls.answered.sum())
    if answered < LEAST:
        part_of = f" in the first {1.0 - holdout:.0%} of the time" if holdout > 0.0 else ""
        raise InputError(f"answered calls to fit{part_of}: {answered}; allowed: at least {LEAST}")
    alone = float((calls.crowd > 1.0).mean()) < ALONE
    found = _one_at_a_time(calls, seed) if alone else _overlapping(calls, seed)
    estimates = {"service.mean": found.mean, "service.cv": found.cv}
    estimates["backend.servers"] = found.servers
    if found.delay.high > 0.0 and not alone:
        estimates["network.mean"] = found.delay
    estimates |= found.crowding.estimates()
    if found.per_cost is not None:
        estimates["backend.per_cost"] = found.per_cost
    if timeout is not None:
        estimates["timeout"] = timeout
    result = FitResult(
        scenario=twin_of(part, found, timeout, alone, seed),
        estimates=estimates,
        unidentified=unidentified(part, found, alone, timeout, calls),
        changes=changes_of(found.course),
        plateau=plateau_of(found, float(calls.cost.mean())),
        structure="one at a time" if alone else "overlapping",
        kind=found.density.kind,
        recording=recording,
        split=split,
        holdout=holdout,
        seed=seed,
        likelihoods=found.likelihoods,
        correlations=found.correlations,
    )
    return with_limits(result, limits)


def served(
    recording: Recording, timeout: Estimate | None = None, silent: bool = False, seed: int = 0
) -> Calls:
    """The calls that the service worked on: not those that were refused, by its silence too. Each
    start and a latency are drawn within their steps of a coarse clock, with `seed`.
    """
    ended = np.where(np.isnan(recording.completion), math.inf, recording.completion)
    order = np.lexsort((ended, recording.start))
    start, ended = within_steps(recording.start[order], ended[order], recording.resolution, seed)
    outcome = recording.outcome[order]
    answered = (outcome == OK) | (outcome == FAILED)
    released = outcome != REFUSED
    known = ended[np.isfinite(ended)]
    end = float(max(known.max(initial=0.0), start.max(initial=0.0)))
    crowd = np.ones(len(recording))
    crowd[released] = np.maximum(in_flight(start[released], ended[released]), 1.0)
    worked = released & (outcome != REJECTED)
    if silent:
        worked &= outcome != TIMED_OUT
    calls = calls_of(
        start[worked],
        np.minimum(ended, end)[worked],
        answered[worked],
        crowd[worked],
        None if recording.cost is None else recording.cost[order][worked],
        recording.resolution,
    )
    refusals = recording.latency[(outcome == REJECTED) & (recording.latency >= 0.0)]
    calls = calls._replace(quickest=float(refusals.min(initial=math.inf)))
    if timeout is None or silent or not (outcome == TIMED_OUT).any():
        return calls
    return calls._replace(patience=timeout.high)


def _overlapping(calls: Calls, seed: int) -> Learned:
    """Of a service that had several calls in flight."""
    if calls.patience < math.inf:
        calls = bounded(calls)
    what, per_cost, crowding, calls = seen_with_crowding(some_of(calls))
    if calls.some is not None:
        calls = calls._replace(some=None)
        what = closely(calls, what)
    found, course = what.profile, what.course
    best, least, most = likeliest(found)
    if math.isinf(most):  # the times are those of no particular number
        best = found.best[math.inf]
    delay = _delay(found, best, calls.grain)
    crowding = crowding_at_delays(crowding, calls, best, delay)
    if per_cost is not None:
        per_cost = per_cost_at_delays(per_cost, calls, best, course, delay)
        if crowding.parameters():
            per_cost = per_cost_at_slowdowns(per_cost, crowding, calls, best, course)
    times, ages, plain = _times(calls, best.servers, best.delay, course)
    spread = spread_of(times, best.density, calls.grain, seed, ages, calls.shortest, plain)
    left = 0.0
    if best.density.service is None and len(ages):
        left = _left(times, ages)
        times = completed_times(times, ages, len(times) + len(ages))
    known = found.tried[best.servers]
    ends = [made for d, made in known.items() if delay.low <= d <= delay.high]
    ends = [made for made in ends if made.density.kind == best.density.kind]
    mean, cv = _moments(best.density, times, spread, ends, calls.grain)
    implies = implied(calls, best.servers, best.delay)
    course = timed(course, calls, implies, best.servers, mean.value)
    bound = math.isinf(most)
    servers = Estimate(math.inf if bound else best.servers, least, most)
    likelihoods = {s: made.score for s, made in found.best.items()}
    learned = (servers, delay, best.density, times, mean, cv, course, likelihoods)
    correlated = _correlations(spread, delay, [best, *ends])
    made = Learned(*learned, correlated, left, per_cost, crowding)
    steady: Learned = steadied(made, calls)
    return steady


def _one_at_a_time(calls: Calls, seed: int) -> Learned:
    """Of a caller that waits for each answer: how long the answers take is all that there is."""
    setting = Setting(math.inf, 0.0, NOTHING, 0.0)
    course = course_at(calls, setting)
    per_cost = None
    if differ(calls.cost[calls.answered]):
        per_cost = per_cost_of(calls, setting, course)
        calls = with_costs(calls, per_cost.value, setting, course)
    times, ages, plain = _times(calls, math.inf, 0.0, course)
    sample = sampled(times, calls.grain, calls.shortest)
    if sample is None:
        raise InputError("the calls take no time; allowed: answers after their starts")
    density = best_censored(sample, ages)[0]
    spread = spread_of(times, density, calls.grain, seed, ages, calls.shortest, plain)
    left = 0.0
    if density.service is None and len(ages):
        left = _left(times, ages)
        times = completed_times(times, ages, len(times) + len(ages))
    mean, cv = _moments(density, times, spread, [], calls.grain)
    nothing = Estimate(0.0, 0.0, float(sample.times[0]))
    servers = Estimate(math.inf, 1.0, math.inf)
    likelihoods = {math.inf: density.score}
    learned = (servers, nothing, density, times, mean, cv, course, likelihoods)
    return Learned(*learned, _correlations(spread, Estimate(0.0, 0.0, 0.0), []), left, per_cost)


def _correlations(spread: Spread, delay: Estimate, made: list[Setting]) -> tuple[Correlated, ...]:
    services = [(one.delay, one.density.service) for one in made]
    known = [pair for pair in services if pair[1] is not None]
    return correlations(spread, delay, known)


def _times(
    calls: Calls, servers: float, delay: float, course: Course
) -> tuple[Array, Array, NDArray[np.bool_] | None]:
    """The service times of the answered calls, without what changed; how long the service had
    worked on those that were given up; and which of the answered ones no change touched, if there
    was any.
    """
    found = implied(calls, servers, delay)
    factor, used = course.at(found.taken), found.sure & calls.answered
    times = (found.time / factor)[used]
    lost = given_up(calls, found, factor) if calls.patience < math.inf else times[:0]
    return times, lost, factor[used] == 1.0 if course.times else None


def _left(times: Array, ages: Array) -> float:
    """The share of the services that are longer than all that were seen."""
    most = max(float(times.max()), float(ages.max()))
    return float(kaplan_meier(times, ages)(np.array([most]))[0])


def _delay(found: Profile, best: Setting, grain: float) -> Estimate:
    """The delay with its interval; what it costs to have one at all is left out."""

    def attempt(delay: float) -> float:
        found.attempt(best.servers, delay)
        made = found.tried[best.servers].get(delay)
        if made is None or made.density.kind != best.density.kind:
            return -math.inf
        return made.density.likelihood

    return delay_interval(attempt, best.delay, found.highest, best.density.kind, grain)


def _moments(
    density: Density, times: Array, spread: Spread, ends: list[Setting], grain: float
) -> tuple[Estimate, Estimate]:
    """Mean and cv of the service, each with its interval."""
    if density.service is None:
        mean, cv = float(times.mean()), float(times.std() / times.mean())
        return (
            interval(mean, spread.mean, (mean, mean), grain),
            interval(cv, spread.cv, (cv, cv), 0.0),
        )
    mean, cv = density.service.mean, cv_of(density.service)
    others = [end.density.service for end in ends if end.density.service is not None]
    means = [mean, *(other.mean for other in others)]
    cvs = [cv, *(cv_of(other) for other in others)]
    return (
        interval(mean, spread.mean, (min(means), max(means)), grain),
        interval(cv, spread.cv, (min(cvs), max(cvs)), 0.0),
    )
