"""Find what a consumer can sustain, whether calls to it block, queue or overlap: the law that we
recommend.
"""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from tpssim.controllers._headroom_base import Tuning
from tpssim.controllers._headroom_busy import (
    ON_TIME,
    TRIAL,
    Alone,
    Busy,
    ahead_after,
    alone_again,
    smoothed,
    trial_is_due,
    unmeasured,
    untried,
)
from tpssim.controllers._headroom_concurrency import (
    Flight,
    closed,
    crowded,
    is_over,
    limit_of,
    opened,
    queued_out,
    tallied,
)
from tpssim.controllers._headroom_rate import LEAST, Pace, paced, rate_of, unrefused
from tpssim.controllers._headroom_windows import latency_at
from tpssim.controllers._target_changes import followed
from tpssim.core.types import Observation, described, record
from tpssim.core.validation import Range
from tpssim.output import format

#: Of the most in flight among which one was served lately: among fewer no place was wanting.
PROVEN = 0.95


@record
class HeadroomState(NamedTuple):
    rate: float
    limit: float
    reject: float
    wanted: float  #: the target last seen, 1/s
    overlap: float  #: 1 once two calls were in flight
    busy: Busy
    ahead: float  #: x the rate that the mean alone would allow
    alone: Alone
    flight: Flight
    pace: Pace


@described(
    """Run slightly below the capacity of a consumer, without knowing it in advance.

    It knows no unit of time but the service's own: a latency, or the time of a call at the wanted
    rate.

    *One call at a time* (a blocked caller, a hand-off): a call's latency is the consumer's time for
    it, so its mean says what is possible (one stray call counts as 4 standard deviations above it,
    or three means)::

        busy <- busy + weight (latency - busy),  weight -> alpha;  at once to the mean of
                the last few calls when that is 3 standard deviations of its noise away;
                where that of ln latency is 2.5 lower, busy <- busy exp(-difference)
        ahead <- ahead (1 + 0.15 (idle / busy - (1 - share))),  1 at least, 2 at most
        rate  = min(target, allowed,
                    ahead share / busy / (1 + lag / (patience max(busy, 1 / target))))

    `idle` is how long the caller waited for the slot, if the rate held it back: calls that vary
    fill their share of the time only at a rate above that of their mean.

    A caller who waits for each call is late where the rate is more than that; one who does not is
    never late, and this rate would hold him back for nothing. So after 25 calls in a row that it
    held back and that were on time (50 after the next trial, then 100, ...) the next slot is one at
    twice the rate: if two calls are in flight then, the caller does not wait.

    *Several in flight* (from the first time on): the rate is left open (to `allowed`) and the limit
    is set, which paces itself. By windows of 32 latencies and one `base` or more (64 if they show a
    queue; the first: 4, and 8 of its latencies unless many calls come), once the calls of before
    the last cut have ended, with `held` calls in flight, the mean `level` of ln latency, its
    variance `doubt`, and `base`, the same where no call waited::

        queued(z) = held (1 - exp(base - level + z sqrt(doubt + doubt of base))),  at least 0
        wanted = queue + slack * held
        queued(1) > wanted:       window <- window - 0.7 (queued(1) - wanted), by a half at most
        else, if full and
              queued(0) < wanted: window <- window (1 + 0.15 (1 - queued(0) / wanted));
                                  or half of the way to where a queue was last cut, if more
        limit  = trunc(window), at most max_limit;
                 until queued(2) > wanted: twice the most in flight (64 at most), then doubled
                 when full

    *Is it a queue?* When cuts come to a quarter of the window, and in a probe (0.7 window for a
    window, every `probe_every` windows while the limit is in use), levels before and after are
    compared. With a queue, latencies fall with the calls in flight; if they fall by less than 0.65
    of that, the service itself is slower: the cut is taken back, and `base` is the level now.
    Beyond twice the least base, where it may be the queue of other callers, they must stay what
    they were, to a fifth; or they scatter as they did without queue, where a wait, which is the
    same for all, would make them more alike. `base` is also a level that is lower for sure while
    the limit is in use, and takes the mean with what is like it.

    Timeouts while other calls queue, because the limit was too high, count as latencies.

    *Refusals and timeouts.* A second one within some 34 calls is no accident: the service refuses;
    so does it after one whose answer said when to come back. Until a call that was released after
    that is served, the next trial waits a share of the time for which it has refused, `down`::

        1 / rate = 2 / allowed + 0.15 down + min(lag, latency)

    Then, with the calls served since the last such event, the time that they took (pauses of the
    caller do not count), `out` of it refusing (since the call that shows it was released, or one
    was served last), and `allowed`, the rate that was refused::

        mean  = min(calls / time, allowed)
        takes = mean if out is brief (a quarter of the time, or two calls' time), or max(mean, last)
                if the last mean was no more than twice as high or low; else it may have been an
                outage, and the rate of before is tried: min(calls / (time - out), allowed)
        mark  = min((takes + allowed) / 2, 1.15 takes if out is brief, else 1.03 takes)
        K     = (1 - cut)^(1/3),  allowed = mark (1 + (n / span - K)^3),  n calls served since

    which begins at `cut * mark`, is flat at `mark`, and then finds out whether more is allowed now.
    `span` is 64 calls (16 times those in flight, if that is more) and five times as long, up to
    2048, each time that the mark was passed and `mean` confirms the last one to a quarter, so a
    trial of what is known costs ever fewer calls. The mark is then at 3/4 of the way to `allowed`,
    and the curve below it is flatter: it begins closer to it, by the square root of how much longer
    `span` is, and gets there after as many calls. Above 1.15 `mark` a curve begins there, four
    times as short. A mean takes 12 calls, half as many as the last one or 64, and a quarter of the
    time for which it refused in that; after less, the mark stays and the rate begins lower (at
    first: it is the rate that was refused, and the rate half of it).
    If latencies have become a third of those when the mark was found, in the mean of their
    logarithms over some 32 calls, the service is another: `mark` and `allowed` rise by as much, and
    `span` is 64.

    Where calls overlap and refusals have paced the law once, one that is refused at once (within
    twice the latency without queue) for want of a place takes the window to one call fewer than
    were in flight, and leaves the rate: one among more calls than any that was served lately
    (while no refused call was in flight), or with the window full one among nearly as many (0.95)
    that was released after the last place was taken.

    *Calls that come by themselves* (recorded arrivals) wait where more come than can be done, and
    if none is turned away, all are late. One that has `waited` too long when its turn comes is
    refused::

        waited > longest_wait (busy, or exp(least base) where several are in flight)

    and, as long as no call was refused by the service, longest_wait intervals at the wanted rate.

    Items of a loop are not late, and are never refused.

    No rate is less than 1e-9 of the target. A changed target is the rate at once if the rate held
    nothing back; one that held back stays.

    The parts are known: busy time (Little's law with one in flight), the queue estimate of TCP
    Vegas, here with its error, the plateau of CUBIC (RFC 9438), counted in calls, a probe of the
    round trip as in BBR, here judged by the elasticity of the throughput. Where it holds and why:
    `docs/headroom.md`. Failed calls that are no drops carry no latency and are ignored.

    >>> law = Headroom()
    >>> state = law.update(law.init(100.0), Observation(0.02, 100.0, 0.02, 0.0))
    >>> state.rate, state.limit  # 20 ms a call: 50 a second would fill the caller's time
    (49.75, 64.0)
    """,
    actuators=("rate", "limit", "reject"),
    signals="latency, lag, calls in flight, throughput, drops",
    origin="ours",
    year=2026,
    only_arrivals=True,
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
    ] = 0.995
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
    ] = 2.0
    slack: Annotated[
        float,
        Range(0.0, 1.0, "x in flight", search=(0.02, 0.5), log=True),
        "share of the calls in flight that may queue at the service, beside `queue`",
    ] = 0.15
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
    longest_wait: Annotated[
        float,
        Range(0.0, 1e6, "calls", search=(2.0, 50.0), log=True),
        "how many calls' time a call may have waited since it came; then it is refused (recorded"
        " arrivals only)",
    ] = 6.0

    def init(self, target: float) -> HeadroomState:
        flight = opened(0.0)
        return HeadroomState(
            rate=math.inf,
            limit=limit_of(flight.allowance, self.max_limit),
            reject=0.0,
            wanted=target,
            overlap=0.0,
            busy=unmeasured(),
            ahead=1.0,
            alone=untried(),
            flight=flight,
            pace=unrefused(),
        )

    def update(self, state: HeadroomState, obs: Observation) -> HeadroomState:
        rate = followed(state.rate, state.wanted, obs.target)
        if obs.count < 1.0:
            return nothing_seen(state, rate, 0.0, obs.target)
        rate = max(min(rate, obs.target), LEAST * obs.target)
        timed = obs.drops == 0.0 and obs.errors < obs.count and not math.isnan(obs.latency)
        if state.overlap == 0.0 and obs.in_flight <= 1.0 and obs.peak <= 1.0:
            return one_at_a_time(self, state, obs, rate, timed)
        return overlapping(self, state, obs, rate, timed)

    def admit(
        self, state: HeadroomState, now: float, lag: float, in_flight: float
    ) -> HeadroomState:
        late = lag > self.longest_wait * call_time(state)
        if state.pace.cubic.mark == math.inf and lag * state.wanted <= self.longest_wait:
            late = False  # so few are no backlog: a machine may wake up as late
        return nothing_seen(state, state.rate, 1.0 if late else 0.0, state.wanted)

    def why(self, before: HeadroomState, obs: Observation, after: HeadroomState) -> str:
        refused = why_refused(before.pace, after.pace, after.rate)
        if refused:
            return refused
        allowed = after.pace.allowed
        if allowed < obs.target and after.rate == allowed:
            mark = after.pace.cubic.mark
            return f"{mark:.4g}/s was too much or just enough: {after.rate:.4g}/s now"
        if obs.count < 1.0:
            if obs.refusals > 0.0:
                return f"a call had waited for more than {self.longest_wait:.3g} calls' time"
            changed = after.wanted != before.wanted
            return "another rate is wanted" if changed else "no call completed"
        if after.overlap == 0.0:
            if math.isnan(after.busy.mean):
                return "no latency yet"
            if trial_is_due(after.alone):
                return "always on time: does the caller wait for each call at all?"
            load = after.busy.mean * after.rate
            took = after.busy.mean * 1e3
            return f"a call takes {took:.3g} ms: {format.share(load)} of the time at this rate"
        return why_limited(before.flight, after.flight)


def nothing_seen(state: HeadroomState, rate: float, reject: float, wanted: float) -> HeadroomState:
    """The state where no call has ended: what is known of the service stays."""
    return HeadroomState(
        rate=rate,
        limit=state.limit,
        reject=reject,
        wanted=wanted,
        overlap=state.overlap,
        busy=state.busy,
        ahead=state.ahead,
        alone=state.alone,
        flight=state.flight,
        pace=state.pace,
    )


def call_time(state: HeadroomState) -> float:
    """How long a call takes without queue, s; nan before that is known."""
    if state.overlap == 0.0:
        return state.busy.mean
    return latency_at(state.flight.unit, state.flight.base.least)


def one_at_a_time(
    law: Headroom, state: HeadroomState, obs: Observation, rate: float, timed: bool
) -> HeadroomState:
    """After a call that nothing overlapped: the rate that fills a share of the caller's time."""
    busy = smoothed(state.busy, obs.latency, law.alpha) if timed else state.busy
    pace = paced(state.pace, obs, obs.drops, rate, law.cut)
    able, ahead = obs.target, state.ahead
    if busy.mean > 0.0:
        old = state.pace
        held_back = old.down < 0.0 and rate < min(obs.target, old.allowed)
        if timed and held_back and old.seen >= 0.0:
            on_time = obs.lag <= ON_TIME * busy.mean
            idle = max(0.0, obs.now - old.seen - obs.count * obs.latency) if on_time else 0.0
            ahead = ahead_after(ahead, idle, busy.mean, law.share)
        patience = law.patience * max(busy.mean, 1.0 / obs.target)
        able = ahead * law.share / busy.mean / (1.0 + obs.lag / patience)
    allowed = min(rate_of(pace, obs), obs.target)
    alone = alone_again(state.alone, able < allowed, obs.lag, busy.mean)
    if trial_is_due(alone):
        able = TRIAL * able
    return HeadroomState(
        rate=max(LEAST * obs.target, min(able, allowed)),
        limit=state.limit,
        reject=0.0,
        wanted=obs.target,
        overlap=0.0,
        busy=busy,
        ahead=ahead,
        alone=alone,
        flight=state.flight,
        pace=pace,
    )


def overlapping(
    law: Headroom, state: HeadroomState, obs: Observation, rate: float, timed: bool
) -> HeadroomState:
    """After a call among others: the limit that keeps the wanted queue, window by window."""
    flight = state.flight if state.overlap > 0.0 else opened(obs.now)
    tuning = Tuning(queue=law.queue, slack=law.slack, probe_every=law.probe_every)
    # A call that one more place would have saved says nothing of the rate, once that was tried.
    tried = state.pace.down < 0.0 and state.pace.cubic.mark < math.inf
    many = obs.in_flight > max(1.0, PROVEN * flight.proven)
    crowd = tried and many and crowded(flight, obs)
    late = queued_out(flight, obs, tuning)
    pace = paced(state.pace, obs, 0.0 if crowd or late else obs.drops, rate, law.cut)
    flight = tallied(flight, obs, timed or late, crowd)
    if is_over(flight, obs.now, tuning):
        full = flight.tally.peak + 1.0 > state.limit
        flight = closed(flight, obs.now, obs.target, full, tuning)
    rate = max(LEAST * obs.target, rate_of(pace, obs))
    return HeadroomState(
        rate=rate if rate < obs.target else math.inf,
        limit=limit_of(flight.allowance, law.max_limit),
        reject=0.0,
        wanted=obs.target,
        overlap=1.0,
        busy=state.busy,
        ahead=state.ahead,
        alone=state.alone,
        flight=flight,
        pace=pace,
    )


def why_refused(before: Pace, after: Pace, rate: float) -> str:
    """What refusals explain of a step; "" if nothing."""
    if after.down >= 0.0:
        if before.down < 0.0:
            return "calls are refused: fewer trials, the longer it lasts"
        return f"refused for {after.down:.3g} s: the next trial in {1.0 / rate:.3g} s"
    mark = after.cubic.mark
    if before.down >= 0.0:
        return f"served again: {after.allowed:.4g}/s, then up to about {mark:.4g}/s"
    return ""


def why_limited(before: Flight, after: Flight) -> str:
    """What the last window explains of the limit."""
    old, new = before.allowance, after.allowance
    if after.base == before.base and new.probed == old.probed:
        if new.calls < old.calls:
            return f"a call was refused for want of a place: {new.calls:.3g} may be in flight"
        return "window of completions going on"
    if new.probing > old.probing:
        return "probe: fewer calls for a window, are they served sooner?"
    if old.before.calls > 0.0 and new.before.calls == 0.0 and new.calls == old.before.calls:
        return "calls were not served sooner since the cut: the service itself is slower"
    if old.probing > new.probing:
        return "calls were served sooner: it was a queue"
    alone = f"latency without queue {latency_at(after.unit, after.base.level) * 1e3:.3g} ms"
    if new.open > 0.0:
        return f"no congestion so far, {alone}"
    return f"{alone}: window {old.calls:.3g} -> {new.calls:.3g}"
