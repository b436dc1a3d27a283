"""Find what a consumer bears, whether calls to it block, queue or overlap: the law that we recommend."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from tpssim.controllers.headroom_flight import (
    CALM,
    OUTAGE,
    PROBE,
    Flight,
    Tuning,
    closed,
    converged,
    cubic,
    is_over,
    latency_of,
    limit_of,
    opened,
    tallied,
)
from tpssim.core import Observation, Range

FAST = 0.3  # weight of a latency in the quick mean
LOOKS = 3.0  # standard deviations of the quick mean that are no noise
COARSE = 8.0  # calls in flight below which a limit is too coarse for a quota


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
    done: float  #: completions in it
    good: float  #: successes in it
    drops: float
    total: float  #: their latencies, s
    squares: float  #: and squares of them, s^2
    peak: float  #: most in flight in it
    used: float  #: most in flight lately
    base: float  #: latency without queue, s; nan before the first window
    window: float  #: calls that may be in flight; inf before the first congestion
    clean: float  #: calls in flight, or rate, that was not refused; inf before the first refusal
    cut_at: float  #: time of the last refusal, s; -inf before
    settled: float  #: when the calls of before the last step have ended, s
    probing: float  #: 1 while fewer are allowed, to see whether fewer complete
    probed: float  #: end of the last probe, s
    flow: float  #: completions a second, smoothed; nan before
    cut_from: float  #: the window before it was cut for a queue; 0 once that has been judged


class Headroom(NamedTuple):
    """Use the capacity of a consumer but for a little headroom, without being told what it is.

    *One call at a time* (a blocked caller, a hand-off): a call's latency is the consumer's time for it, so
    its mean says what is possible::

        busy <- busy + weight (latency - busy),  weight -> alpha;  at once to the mean of the last few calls
                when that is 3 standard deviations of its noise away
        rate  = min(target, share / busy / (1 + lag / patience))

    *Several in flight* (from the first time on): the rate is left open and the limit is set, which paces
    itself. By windows of 0.1 s and 16 completions or more, once the calls of before the last step have
    ended, with `held` calls in flight (Little), the mean latency, and `base`, the least such mean (plus twice
    its standard error, so that luck does not lower it)::

        wanted = queue + slack * held,  queued = held (1 - base / latency)
        queued > wanted:   window <- window - 0.7 (queued - wanted), by a half at most
        else, if full:     window <- window + 0.2 (wanted - queued), by a tenth at most
        limit  = trunc(window), at most max_limit;  before the first congestion 2 x the most in use, >= 64

    *Is it a queue?* Every `probe_every` seconds while the limit is in use (and as soon as the queue looks
    twice as long as wanted), 0.7 window calls are allowed for a window. If fewer complete in proportion, it
    was none: the service itself is slower, and `base` is its latency now. If as many do, the smaller window
    is kept, and probed again. Cuts of the window that come to a quarter of it are judged in the same way: if
    fewer completed in proportion, they are taken back, and `base` is the latency now.

    *Refusals and timeouts* (2 % of a window, or one call of a blocked caller): back to `cut` times what was
    last not refused, `clean` (or what was in flight, if that is less), by one call at least; one cut a
    second; then along a cubic in the time t since, flat around `clean`, which itself falls by half a cut when
    it is refused again, by a half at most where much less was in flight. A window without any success is cut
    to 0.7 and leaves `clean`; on the way back from there the window doubles. A queue lowers `clean` to the
    window::

        window, rate <= clean (1 + ((t - K) / scale)^3),  K = scale (1 - cut)^(1/3)

    Below 8 calls in flight a limit is too coarse for a quota, so the rate is `window / latency` then. No rate
    is below `min_rate`: a law that waits for news must not wait for ever.

    Valve: rate or limit. Signal: latency, lag, calls in flight, throughput, drops.
    Origin: ours. The parts are known: busy time (Little's law with one in flight), the queue estimate of TCP
    Vegas, the plateau of CUBIC (RFC 9438), a probe of the round trip as in BBR, here judged by the elasticity
    of the throughput. Where it holds and why: `docs/headroom.md`. Failed calls that are no drops carry no
    latency news and are ignored.

    >>> law = Headroom()
    >>> state = law.update(law.init(100.0), Observation(0.02, 100.0, 0.02, 0.0))
    >>> state.rate, state.limit  # 20 ms a call: 50 a second would fill the caller's time
    (49.0, 64.0)
    """

    alpha: Annotated[float, Range(0.0, 1.0, "", False, search=(0.005, 0.2), log=True)] = 0.05
    share: Annotated[float, Range(0.0, 1.0, "busy share", False, search=(0.8, 1.0))] = 0.98
    patience: Annotated[float, Range(0.0, 1e6, "s", False, search=(0.2, 20.0), log=True)] = 0.5
    queue: Annotated[float, Range(0.0, 1e4, "calls", search=(0.2, 8.0), log=True)] = 1.5
    slack: Annotated[float, Range(0.0, 1.0, "x in flight", search=(0.02, 0.5), log=True)] = 0.03
    cut: Annotated[float, Range(0.0, 1.0, "x", False, False, search=(0.6, 0.98))] = 0.93
    scale: Annotated[float, Range(0.0, 1e6, "s", False, search=(1.0, 20.0), log=True)] = 8.0
    probe_every: Annotated[float, Range(0.0, 1e6, "s", False, search=(2.0, 60.0), log=True)] = 20.0
    min_rate: Annotated[float, Range(0.0, 1e6, "1/s", False, search=(0.1, 10.0), log=True)] = 1.0
    max_limit: Annotated[float, Range(1.0, 1e6, "calls", search=(100.0, 1e5), log=True)] = 10000.0

    def init(self, target: float) -> HeadroomState:
        nan, inf = math.nan, math.inf
        limit = limit_of(inf, 0.0, self.max_limit)
        return state_of(inf, limit, Busy(nan, nan, 0.0, 1.0), 0.0, opened(0.0))

    def update(self, state: HeadroomState, obs: Observation) -> HeadroomState:
        if obs.count < 1.0:
            return state
        least = min(self.min_rate, obs.target)
        busy, flight = busy_of(state), flight_of(state)
        timed = obs.drops == 0.0 and obs.errors < obs.count and not math.isnan(obs.latency)
        if state.crowd == 0.0 and obs.in_flight <= 1.0 and obs.peak <= 1.0:
            clean, cut_at, settled = flight.clean, flight.cut_at, flight.settled
            if timed:
                busy = smoothed(busy, obs.latency, self.alpha)
            elif obs.drops > 0.0 and obs.now >= settled:
                before = min(state.rate, obs.target)
                clean = min(converged(clean, before, self.cut), before)
                cut_at, settled = obs.now, obs.now + CALM
            able = obs.target
            if busy.mean > 0.0:
                able = self.share / busy.mean / (1.0 + obs.lag / self.patience)
            if cut_at > -math.inf:
                able = min(able, cubic(clean, obs.now - cut_at, self.cut, self.scale))
            rate = max(least, min(able, obs.target))
            return state_of(rate, state.limit, busy, 0.0, after_refusals(obs.now, clean, cut_at, settled))
        if state.crowd == 0.0:
            flight = opened(obs.now)  # what was refused until now was counted as a rate
        rate, limit = (math.inf, state.limit) if state.crowd == 0.0 else (state.rate, state.limit)
        flight = tallied(flight, obs, timed)
        if is_over(flight, obs.now):
            latency = latency_of(flight)
            full = flight.peak + 1.0 > limit or rate < obs.target
            tuning = Tuning(self.queue, self.slack, self.cut, self.scale, self.probe_every)
            flight = closed(flight, obs.now, obs.target, full, tuning)
            allowed = flight.window * (PROBE if flight.probing > 0.0 else 1.0)
            rate, limit = math.inf, limit_of(allowed, flight.used, self.max_limit)
            if flight.window < COARSE and flight.cut_at > -math.inf:
                pace = latency if latency > 0.0 else flight.base
                # Without any success so far there is nothing to pace by: less and less is tried.
                wanted = allowed / pace if pace > 0.0 else OUTAGE * min(state.rate, obs.target)
                rate = max(least, min(wanted, obs.target))
                limit = limit + 1.0
        return state_of(rate, limit, busy, 1.0, flight)

    def why(self, before: HeadroomState, obs: Observation, after: HeadroomState) -> str:
        if after.crowd == 0.0:
            if after.cut_at > before.cut_at:
                return f"a call was refused: back to {self.cut:g} of {after.clean:.4g}/s"
            if math.isnan(after.busy):
                return "no latency yet"
            load = after.busy * after.rate
            return f"a call takes {after.busy * 1e3:.3g} ms: {load:.0%} of the time at this rate"
        if after.begun == before.begun:
            return "window of completions going on"
        if after.cut_at > before.cut_at:
            return f"calls were refused: {after.window:.3g} in flight, {after.clean:.3g} were not refused"
        if after.probing > before.probing:
            return "probe: fewer calls for a window, does less complete?"
        if before.cut_from == after.window > before.window:
            return "less completed since the cut: the service itself is slower"
        if before.probing > after.probing:
            slower = after.base > before.base
            return "less completed: the service itself is slower" if slower else "as much completed: a queue"
        alone = f"latency without queue {after.base * 1e3:.3g} ms"
        if after.window == math.inf:
            return f"no congestion so far, {alone}"
        return f"{alone}: window {before.window:.3g} -> {after.window:.3g}"


class Busy(NamedTuple):
    """The consumer's time for a call, while one is made at a time."""

    mean: float
    quick: float
    spread: float
    weight: float


def smoothed(busy: Busy, latency: float, alpha: float) -> Busy:
    """The mean with one more latency: it moves slowly while nothing changes, and at once when something does.

    A latency counts for no more than 4 standard deviations above the mean (or 3 means, if that is more), so
    that one stray call moves little, and several do.

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
        state.begun, state.done, state.good, state.drops, state.total, state.squares, state.peak, state.used,
        state.base, state.window, state.clean, state.cut_at, state.settled, state.probing, state.probed,
        state.flow, state.cut_from,
    )  # fmt: skip


def after_refusals(now: float, clean: float, cut_at: float, settled: float) -> Flight:
    """What is remembered of refusals, and nothing in flight."""
    fresh = opened(now)
    return Flight(
        fresh.begun, fresh.done, fresh.good, fresh.drops, fresh.total, fresh.squares, fresh.peak, fresh.used,
        fresh.base, fresh.window, clean, cut_at, settled, fresh.probing, fresh.probed, fresh.flow,
        fresh.cut_from,
    )  # fmt: skip


def state_of(rate: float, limit: float, busy: Busy, crowd: float, flight: Flight) -> HeadroomState:
    return HeadroomState(
        rate, limit, 0.0, busy.mean, busy.quick, busy.spread, busy.weight, crowd, flight.begun, flight.done,
        flight.good, flight.drops, flight.total, flight.squares, flight.peak, flight.used, flight.base,
        flight.window, flight.clean, flight.cut_at, flight.settled, flight.probing, flight.probed,
        flight.flow, flight.cut_from,
    )  # fmt: skip
