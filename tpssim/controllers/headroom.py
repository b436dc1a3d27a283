"""Find what a consumer bears, whether calls to it block, queue or overlap: the law that we
recommend.
"""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from tpssim.controllers._headroom_concurrency import (
    PROBE,
    Flight,
    Tuning,
    closed,
    crowded,
    is_over,
    limit_of,
    opened,
    tallied,
)
from tpssim.controllers._headroom_rate import LEAST, Pace, paced, rate_of, unrefused
from tpssim.controllers._target_changes import followed
from tpssim.core.types import Observation, described, record
from tpssim.core.validation import Range

FAST = 0.3  # weight of a latency in the quick mean
LOOKS = 3.0  # standard deviations of the quick mean that are no noise


@record
class HeadroomState(NamedTuple):
    rate: float
    limit: float
    reject: float
    busy: float  #: mean time that a call keeps a blocked caller busy, s; nan before the first
    quick: float  #: the same, of the last few calls, s
    spread: float  #: variance of it, s^2
    weight: float  #: of the next call in `busy`
    crowd: float  #: 1 once two calls were in flight
    begun: float  #: of the window, s
    good: float  #: successes in it
    total: float  #: their latencies, s
    squares: float  #: and squares of them, s^2
    peak: float  #: most in flight in it
    used: float  #: most in flight lately
    borne: float  #: most in flight among which one was served lately
    base: float  #: latency without queue, s; nan before the first window
    window: float  #: calls that may be in flight; inf before the first congestion
    settled: float  #: when the calls of before the last step have ended, s
    probing: float  #: 1 while fewer are allowed, to see whether fewer complete
    probed: float  #: windows since the last probe; inf before the first
    flow: float  #: completions a second, smoothed; nan before
    cut_from: float  #: the window before it was cut for a queue; 0 once that has been judged
    allowed: float  #: rate that refusals allow, 1/s; inf before the first
    mark: float  #: rate that was served around the last of them, 1/s
    least: float  #: rate at which it came back after it, 1/s
    span: float  #: scale of the cubic, calls
    asked: float  #: calls that were served or refused since
    served: float  #: calls served since
    spent: float  #: the time that they took, s
    down: float  #: how long it has refused, s; -1 while it does not
    turn: float  #: when it last began to refuse, or ceased to, s
    bad: float  #: calls refused lately
    heard: float  #: time of the last news, s; -1 before the first
    wanted: float  #: the target last seen, 1/s


@described(
    """Use the capacity of a consumer but for a little headroom, without being told what it is.

    It knows no unit of time but the service's own: a latency, or the time of a call at the wanted
    rate.

    *One call at a time* (a blocked caller, a hand-off): a call's latency is the consumer's time for
    it, so its mean says what is possible (one stray call counts as 4 standard deviations above it,
    or three means)::

        busy <- busy + weight (latency - busy),  weight -> alpha;  at once to the mean of
                the last few calls when that is 3 standard deviations of its noise away
        rate  = min(target, allowed, share / busy / (1 + lag / (patience max(busy, 1 / target))))

    *Several in flight* (from the first time on): the rate is left open (to `allowed`) and the limit
    is set, which paces itself. By windows of 16 successes and 3 `base` or more (the first one: 4
    successes), once the calls of before the last step have ended, with `held` calls in flight
    (Little), the mean latency, and `base`, the least such mean (plus twice its standard error, so
    that luck does not lower it)::

        wanted = queue + slack * held,  queued = held (1 - base / latency)
        queued > wanted:   window <- window - 0.7 (queued - wanted), by a half at most
        else, if full:     window <- window + 0.2 (wanted - queued), by a tenth at most
        limit  = trunc(window), at most max_limit;
                 before the first congestion 2 x the most in use, >= 64

    *Is it a queue?* Every `probe_every` windows while the limit is in use (10 windows after the
    last probe if the queue looks more than twice as long as wanted), 0.7 window calls are allowed
    for a window. If fewer complete in proportion, it was none: the service itself is slower, and
    `base` is its latency now. If as many do, the smaller window is kept, and probed again 10
    windows later. Cuts of the window that come to a quarter of it are judged in the same way: if
    fewer completed in proportion, they are taken back, and `base` is the latency now.

    *Refusals and timeouts.* A second one within some 34 calls is no accident: the service refuses.
    Until a call that was released after that is served, the next trial waits a share of the time
    for which it has refused, `down`::

        1 / rate = 2 / allowed + 0.15 down + lag

    Then, with what was `served` in the time `spent` since it last ceased to refuse (pauses of the
    caller do not count), and `allowed`, the rate that was refused::

        seen = min(served / spent, allowed),  mark = min((seen + allowed) / 2, 1.15 seen)
        least = cut * seen,  K = (1 - least / mark)^(1/3)
        allowed = mark (1 + (n / span - K)^3),  n calls served since

    which begins at `least`, is flat at `mark`, and then finds out whether more is allowed now.
    `span` is 64 calls (16 times those in flight, if that is more) and four times as long, up to
    1536, each time that `seen` confirms the mark to a quarter, so a trial of what is known costs
    ever fewer calls; when a mark so well known is exceeded by 15 %, mark and `least` are the rate
    then, and `span` is what it was at first. `seen` takes 16 calls served, or 16 made and 4 served;
    after fewer, the mark stays (at first: it is the rate that was refused, and `least` half of it).

    Where calls overlap and refusals have paced the law once, one that is refused at once (within 2
    `base`) for want of a place takes the window to one call fewer than were in flight, and leaves
    the rate: one among more calls than any that was served lately, or the first since the last step
    with the window full.

    No rate is less than 1e-9 of the target. A changed target is the rate at once if the rate held
    nothing back; one that held back stays.

    The parts are known: busy time (Little's law with one in flight), the queue estimate of TCP
    Vegas, the plateau of CUBIC (RFC 9438), counted in calls, a probe of the round trip as in BBR,
    here judged by the elasticity of the throughput. Where it holds and why: `docs/headroom.md`.
    Failed calls that are no drops carry no latency news and are ignored.

    >>> law = Headroom()
    >>> state = law.update(law.init(100.0), Observation(0.02, 100.0, 0.02, 0.0))
    >>> state.rate, state.limit  # 20 ms a call: 50 a second would fill the caller's time
    (49.0, 64.0)
    """,
    actuators=("rate", "limit"),
    signals="latency, lag, calls in flight, throughput, drops",
    origin="ours",
    year=2026,
)
@record
class Headroom(NamedTuple):
    alpha: Annotated[
        float,
        Range(0.0, 1.0, "weight", False, search=(0.005, 0.2), log=True),
        "weight of a latency in the mean while the service does not change",
    ] = 0.05
    share: Annotated[
        float,
        Range(0.0, 1.0, "busy share", False, search=(0.8, 1.0)),
        "share of the caller's time that calls may fill, one at a time",
    ] = 0.98
    patience: Annotated[
        float,
        Range(0.0, 1e6, "calls", False, search=(2.0, 1000.0), log=True),
        "how many calls' time is the lag at which the rate is half of what it is without, one call"
        " at a time",
    ] = 25.0
    queue: Annotated[
        float,
        Range(0.0, 1e4, "calls", search=(0.2, 8.0), log=True),
        "number of calls that may queue at the service, beside `slack`",
    ] = 1.5
    slack: Annotated[
        float,
        Range(0.0, 1.0, "x in flight", search=(0.02, 0.5), log=True),
        "share of the calls in flight that may queue at the service, beside `queue`",
    ] = 0.03
    cut: Annotated[
        float,
        Range(0.0, 1.0, "x", False, False, search=(0.6, 0.98)),
        "share of the rate that was served with which it begins again after refusals or timeouts",
    ] = 0.93
    probe_every: Annotated[
        float,
        Range(1.0, 1e6, "windows", search=(10.0, 1000.0), log=True),
        "windows between two probes of whether the calls in flight queue",
    ] = 200.0
    max_limit: Annotated[
        float, Range(1.0, 1e6, "calls", search=(100.0, 1e5), log=True), "largest limit"
    ] = 10000.0

    def init(self, target: float) -> HeadroomState:
        nan, inf = math.nan, math.inf
        limit = limit_of(inf, 0.0, self.max_limit)
        return state_of(inf, limit, Busy(nan, nan, 0.0, 1.0), 0.0, opened(0.0), unrefused(), target)

    def update(self, state: HeadroomState, obs: Observation) -> HeadroomState:
        busy, flight, pace = busy_of(state), flight_of(state), pace_of(state)
        rate, limit = followed(state.rate, state.wanted, obs.target), state.limit
        if obs.count < 1.0:
            return state_of(rate, limit, busy, state.crowd, flight, pace, obs.target)
        rate = max(min(rate, obs.target), LEAST * obs.target)
        timed = obs.drops == 0.0 and obs.errors < obs.count and not math.isnan(obs.latency)
        if state.crowd == 0.0 and obs.in_flight <= 1.0 and obs.peak <= 1.0:
            pace = paced(pace, obs, obs.drops, rate, self.cut)
            if timed:
                busy = smoothed(busy, obs.latency, self.alpha)
            able = obs.target
            if busy.mean > 0.0:
                patience = self.patience * max(busy.mean, 1.0 / obs.target)
                able = self.share / busy.mean / (1.0 + obs.lag / patience)
            rate = max(LEAST * obs.target, min(able, rate_of(pace, obs.lag), obs.target))
            return state_of(rate, limit, busy, 0.0, flight, pace, obs.target)
        if state.crowd == 0.0:
            flight = opened(obs.now)
        # A call that one more place would have saved says nothing of the rate, once that was tried.
        crowd = pace.down < 0.0 and pace.mark < math.inf and crowded(flight, obs)
        pace = paced(pace, obs, 0.0 if crowd else obs.drops, rate, self.cut)
        flight = tallied(flight, obs, timed, crowd)
        over = is_over(flight, obs.now)
        if over:
            tuning = Tuning(self.queue, self.slack, self.probe_every)
            flight = closed(flight, obs.now, obs.target, flight.peak + 1.0 > limit, tuning)
        if over or crowd:
            allowed = flight.window * (PROBE if flight.probing > 0.0 else 1.0)
            limit = limit_of(allowed, flight.used, self.max_limit)
        rate = max(LEAST * obs.target, rate_of(pace, obs.lag))
        rate = rate if rate < obs.target else math.inf
        return state_of(rate, limit, busy, 1.0, flight, pace, obs.target)

    def why(self, before: HeadroomState, obs: Observation, after: HeadroomState) -> str:
        if after.down >= 0.0:
            if before.down < 0.0:
                return "calls are refused: fewer trials, the longer it lasts"
            return f"refused for {after.down:.3g} s: the next trial in {1.0 / after.rate:.3g} s"
        if before.down >= 0.0:
            return f"served again: {after.allowed:.4g}/s, then up to about {after.mark:.4g}/s"
        if after.allowed < obs.target and after.rate == after.allowed:
            return f"{after.mark:.4g}/s was too much or just enough: {after.rate:.4g}/s now"
        if obs.count < 1.0:
            return (
                "another rate is wanted" if after.wanted != before.wanted else "no news of a call"
            )
        if after.crowd == 0.0:
            if math.isnan(after.busy):
                return "no latency yet"
            load = after.busy * after.rate
            return f"a call takes {after.busy * 1e3:.3g} ms: {load:.0%} of the time at this rate"
        if after.begun == before.begun:
            if after.window < before.window:
                return (
                    f"a call was refused for want of a place: {after.window:.3g} may be in flight"
                )
            return "window of completions going on"
        if after.probing > before.probing:
            return "probe: fewer calls for a window, does less complete?"
        if before.cut_from == after.window > before.window:
            return "less completed since the cut: the service itself is slower"
        if before.probing > after.probing:
            slower = after.base > before.base
            return (
                "less completed: the service itself is slower"
                if slower
                else "as much completed: a queue"
            )
        alone = f"latency without queue {after.base * 1e3:.3g} ms"
        if after.window == math.inf:
            return f"no congestion so far, {alone}"
        return f"{alone}: window {before.window:.3g} -> {after.window:.3g}"


@record
class Busy(NamedTuple):
    """The consumer's time for a call, while one is made at a time."""

    mean: float
    quick: float
    spread: float
    weight: float


def smoothed(busy: Busy, latency: float, alpha: float) -> Busy:
    """The mean with one more latency: it moves slowly while nothing changes, and at once when
    something does.

    A latency counts for no more than 4 standard deviations above the mean (or 3 means, if that is
    more), so that one stray call moves little, and several do.

    >>> busy = smoothed(Busy(math.nan, math.nan, 0.0, 1.0), 0.02, 0.1)
    >>> for _ in range(9):
    ...     busy = smoothed(busy, 0.08, 0.1)
    >>> 0.07 < busy.mean < 0.08
    True
    """
    if math.isnan(busy.mean):
        return Busy(latency, latency, 0.25 * latency * latency, 0.5)
    sigma = max(math.sqrt(busy.spread), 0.1 * busy.mean)
    latency = min(latency, max(busy.mean + 4.0 * sigma, 3.0 * busy.mean))
    quick = busy.quick + FAST * (latency - busy.quick)
    residual = latency - busy.mean
    mean = busy.mean + busy.weight * residual
    residual = min(abs(residual), 3.0 * sigma)
    spread = busy.spread + 2.0 * min(alpha, 0.5) * (residual * residual - busy.spread)
    weight = max(alpha, busy.weight / (1.0 + busy.weight))  # 1/2, 1/3, ...: at first the plain mean
    if abs(quick - mean) > LOOKS * sigma * math.sqrt(FAST / (2.0 - FAST)):
        ratio = quick / mean if mean > 0.0 else 1.0
        return Busy(quick, quick, spread * ratio * ratio, max(alpha, FAST))
    return Busy(mean, quick, spread, weight)


def busy_of(state: HeadroomState) -> Busy:
    return Busy(state.busy, state.quick, state.spread, state.weight)


def flight_of(state: HeadroomState) -> Flight:
    return Flight(
        state.begun, state.good, state.total, state.squares, state.peak, state.used, state.borne,
        state.base,
        state.window, state.settled, state.probing, state.probed, state.flow, state.cut_from,
    )  # fmt: skip


def pace_of(state: HeadroomState) -> Pace:
    return Pace(
        state.allowed, state.mark, state.least, state.span, state.asked, state.served, state.spent,
        state.down, state.turn, state.bad, state.heard,
    )  # fmt: skip


def state_of(
    rate: float, limit: float, busy: Busy, crowd: float, flight: Flight, pace: Pace, wanted: float
) -> HeadroomState:
    return HeadroomState(
        rate, limit, 0.0, busy.mean, busy.quick, busy.spread, busy.weight, crowd, flight.begun,
        flight.good, flight.total, flight.squares, flight.peak, flight.used, flight.borne,
        flight.base, flight.window, flight.settled, flight.probing, flight.probed, flight.flow,
        flight.cut_from, pace.allowed, pace.mark, pace.least, pace.span, pace.asked, pace.served,
        pace.spent, pace.down, pace.turn, pace.bad, pace.heard, wanted,
    )  # fmt: skip
