"""brpc's automatic limiter: the best throughput times the least latency, and a little more to
explore.
"""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from tpssim.core.types import Observation, ceiled, described, floored, record
from tpssim.core.validation import Range
from tpssim.output import format

LEAST_EXPLORE, EXPLORE_STEP = 0.06, 0.02
NEAR = 1.0 + LEAST_EXPLORE
EVERY = 100.0  # us; at most one sample in it


@record
class Window(NamedTuple):
    """What a window has collected so far."""

    start: float  #: us; nan before the first sample
    successes: float  #: sampled
    failures: float  #: sampled
    ok_us: float  #: latencies of the successes, us
    failed_us: float  #: and of the failures
    served: float  #: all successes since the last window


@record
class Known(NamedTuple):
    """What windows have taught, and the limit that follows."""

    limit: float
    least: float  #: latency without load, us; nan if not known
    best: float  #: successes a second; nan before the first window
    explore: float  #: ratio of extra calls
    #: until when samples are ignored to measure the latency without load, us; 0 if they are not
    resume: float


@record
class BrpcAutoState(NamedTuple):
    rate: float
    limit: float
    reject: float
    sampled: float  #: time of the last sample, us; nan before the first
    #: when the latency without load will be measured again, us; nan before the first sample
    remeasure: float
    window: Window
    known: Known


@described(
    """Allow `best throughput x least latency` calls, and an explored share more.

    A window ends with `most_samples` samples (at most one each 0.1 ms), or after `window` seconds
    if it has `least_samples`; with fewer then it is thrown away. With averages in whole us::

        no success in it:   limit <- trunc(limit / 2)
        avg   = ceil((punish * failed_us + ok_us) / successes)
        qps   = all successes / time
        least <- avg at first;  trunc(ema * avg + (1 - ema) * least) if avg < least
        best  <- qps if qps >= best, else ema / 10 * qps + (1 - ema / 10) * best
        remeasure time:     limit <- ceil(best * least * reduce)
                            samples are ignored for 2 avg, then least is forgotten
        else:               explore +- 0.02, up if avg <= 1.06 least or qps <= best / 1.06
                            limit <- trunc(least * best * (1 + explore))
        limit <- max(min_limit, limit);  explore stays in [0.06, max_explore]

    With `error_threshold` th above 0 and failures `punish` is 0 while the error rate e <= th, else
    it is multiplied by (e - th) / (1 - th). The latency is measured again after half of
    `remeasure_after` or more, at random in whole ms. It starts with `initial`.

    Deviations: the floor, there the number of server threads, is `min_limit` (its default is
    brpc's, 8 and one for events); drops count as failures, as every error does.

    >>> BrpcAuto().init(100.0).limit
    40.0
    """,
    actuators=("limit",),
    signals="mean latency, failures, throughput",
    origin="apache/brpc, `policy/auto_concurrency_limiter.cpp` (Apache-2.0)",
    year=2018,
)
@record
class BrpcAuto(NamedTuple):
    initial: Annotated[
        float, Range(1.0, 1e5, "calls", search=(4.0, 200.0), log=True), "limit at the start"
    ] = 40.0
    min_limit: Annotated[float, Range(1.0, 1e5, "calls", search=(1.0, 40.0)), "least limit"] = 9.0
    window: Annotated[
        float, Range(0.0, 60.0, "s", False, search=(0.2, 5.0)), "longest duration of a window"
    ] = 1.0
    least_samples: Annotated[
        float,
        Range(1.0, 1e5, "samples", search=(10.0, 200.0)),
        "fewest samples of a window; one with fewer is thrown away",
    ] = 100.0
    most_samples: Annotated[
        float,
        Range(1.0, 1e5, "samples", search=(50.0, 1000.0)),
        "number of samples that ends a window before its time",
    ] = 200.0
    ema: Annotated[
        float,
        Range(0.0, 1.0, "weight", False, search=(0.02, 0.5)),
        "weight of a lower mean in the least latency; a tenth of it: of a lower throughput in the"
        " best",
    ] = 0.1
    max_explore: Annotated[
        float,
        Range(LEAST_EXPLORE, 10.0, "share", search=(0.1, 1.0)),
        "largest share by which the limit exceeds throughput x latency",
    ] = 0.3
    error_threshold: Annotated[
        float,
        Range(0.0, 1.0, "share of calls", True, False, search=(0.0, 0.5)),
        "share of failed calls up to which failures add nothing to the mean latency",
    ] = 0.0
    remeasure_after: Annotated[
        float,
        Range(0.0, 1e6, "s", False, search=(10.0, 200.0)),
        "longest time until the least latency is measured again; the shortest is half of it",
    ] = 50.0
    reduce: Annotated[
        float,
        Range(0.0, 1.0, "x", False, search=(0.5, 1.0)),
        "factor by which throughput x latency is multiplied while the least latency is measured"
        " again",
    ] = 0.9
    punish: Annotated[
        float,
        Range(0.0, 100.0, "x failed time"),
        "weight of the time of failed calls in the mean latency of the successes",
    ] = 1.0

    def init(self, target: float) -> BrpcAutoState:
        nan, limit = math.nan, floored(self.initial)
        return BrpcAutoState(
            rate=math.inf,
            limit=limit,
            reject=0.0,
            sampled=nan,
            remeasure=nan,
            window=empty(nan),
            known=Known(limit=limit, least=nan, best=nan, explore=self.max_explore, resume=0.0),
        )

    def update(self, state: BrpcAutoState, obs: Observation) -> BrpcAutoState:
        if obs.count < 1.0 or math.isnan(obs.latency):
            return state
        now, window, known = microseconds(obs.now), state.window, state.known
        wait = remeasure_wait(self.remeasure_after, obs.u)
        remeasure = wait if math.isnan(state.remeasure) else state.remeasure
        served = window.served + (obs.count - obs.errors)
        fresh = math.isnan(state.sampled) or now - state.sampled >= EVERY
        if fresh and known.resume > 0.0 and now >= known.resume:
            # What was under way while it was measured has ended.
            known, remeasure = forgotten(known), now + wait
            window, served = empty(now), 0.0
        window = collected(window, served, obs, now, fresh and known.resume == 0.0)
        if fresh and known.resume == 0.0:
            samples = window.successes + window.failures
            over = now - window.start >= self.window * 1e6
            enough = samples >= self.least_samples
            if enough and (over or samples >= self.most_samples):
                known = learned(self, known, window, now, now >= remeasure)
            if over or (enough and samples >= self.most_samples):
                window = empty(now)
        sampled = now if fresh else state.sampled
        return BrpcAutoState(
            state.rate, known.limit, state.reject, sampled, remeasure, window, known
        )

    def why(self, before: BrpcAutoState, obs: Observation, after: BrpcAutoState) -> str:
        known = after.known
        if known.resume > 0.0:
            return f"limit {after.limit:g} to measure the latency without load"
        if math.isnan(known.best):
            return f"fewer than {self.least_samples:g} samples in {self.window:g} s so far"
        measured = f"best {known.best:.4g}/s, least latency {known.least / 1e3:.3g} ms"
        return f"{measured}, explores {format.share(known.explore)}: limit {after.limit:g}"


def empty(now: float) -> Window:
    """A window that begins."""
    return Window(start=now, successes=0.0, failures=0.0, ok_us=0.0, failed_us=0.0, served=0.0)


def collected(window: Window, served: float, obs: Observation, now: float, sampled: bool) -> Window:
    """The window with one more completion, which counts as a sample or only as served."""
    start, successes, failures = window.start, window.successes, window.failures
    ok_us, failed_us = window.ok_us, window.failed_us
    if sampled:
        start = now if math.isnan(start) else start
        if obs.errors > 0.0:
            failures += 1.0
            failed_us += microseconds(obs.latency)
        else:
            successes += 1.0
            ok_us += microseconds(obs.latency)
    # In order: keywords would cost an interpreted run 4 %.
    return Window(start, successes, failures, ok_us, failed_us, served)


def forgotten(known: Known) -> Known:
    """The latency without load is measured again: samples count from now on."""
    return Known(
        limit=known.limit,
        least=math.nan,
        best=known.best,
        explore=known.explore,
        resume=0.0,
    )


def learned(law: BrpcAuto, old: Known, window: Window, now: float, remeasures: bool) -> Known:
    """What a full window says; `remeasures`: the latency without load is to be measured again."""
    floor, time = floored(law.min_limit), now - window.start
    if window.successes == 0.0:
        return Known(
            limit=max(floor, floored(old.limit / 2.0)),
            least=old.least,
            best=old.best,
            explore=old.explore,
            resume=old.resume,
        )
    if not time > 0.0:
        return old
    average = average_us(
        window.ok_us,
        window.failed_us * law.punish,
        window.successes,
        window.failures,
        law.error_threshold,
    )
    qps = 1e6 * window.served / time
    least, best, explore, resume = old.least, old.best, old.explore, old.resume
    if math.isnan(least) or least == 0.0:
        least = average
    elif average < least:
        least = floored(average * law.ema + least * (1.0 - law.ema))
    slow = law.ema / 10.0
    best = qps if not qps < best else qps * slow + best * (1.0 - slow)
    if remeasures:
        limit = ceiled(min(best * least / 1e6 * law.reduce, 1e9))
        resume = now + 2.0 * average
    else:
        low = average <= least * NEAR or qps <= best / NEAR
        explore = explored(explore, low, law.max_explore)
        limit = floored(min(least * best / 1e6 * (1.0 + explore), 1e9))
    return Known(limit=max(floor, limit), least=least, best=best, explore=explore, resume=resume)


def microseconds(seconds: float) -> float:
    """A time in whole us, as the original counts; a number of seconds that no clock shows is cut.

    >>> microseconds(0.0101)
    10100.0
    """
    return floored(max(min(seconds, 9e9), -9e9) * 1e6 + 0.5)


def remeasure_wait(after: float, u: float) -> float:
    """Time until the latency is measured again, us: half of `after`, and a random part of the other
    half.

    >>> remeasure_wait(50.0, 0.5)
    37500000.0
    """
    half = floored(after * 1000.0 / 2.0)
    return (half + floored(u * half)) * 1000.0


def explored(explore: float, low: bool, most: float) -> float:
    """The explored share, one step up or down in its bounds.

    >>> explored(0.1, False, 0.3), explored(0.3, True, 0.3)
    (0.08, 0.3)
    """
    if low:
        return min(explore + EXPLORE_STEP, most)
    return max(explore - EXPLORE_STEP, LEAST_EXPLORE)


def average_us(
    ok_us: float, failed_us: float, successes: float, failures: float, threshold: float
) -> float:
    """The mean latency of the successes, us, with the failures' time added as a punishment.

    >>> average_us(9000.0, 10000.0, 90.0, 10.0, 0.0), average_us(9000.0, 10000.0, 90.0, 10.0, 0.1)
    (212.0, 100.0)
    """
    punish = 1.0
    if threshold > 0.0 and failures > 0.0:
        rate = failures / (successes + failures)
        punish = 0.0 if rate <= threshold else (rate - threshold) / (1.0 - threshold)
    return ceiled((punish * failed_us + ok_us) / successes)
