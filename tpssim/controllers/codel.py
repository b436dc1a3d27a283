"""CoDel: drop at growing speed while every wait of an interval was too long."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from tpssim.controllers._nanoseconds import nanoseconds
from tpssim.core.types import Observation, described, floored, record
from tpssim.core.validation import FLAG, Range

NEARBY = 16.0  # intervals; a dropping state that ended later ago than that is forgotten


@record
class CodelState(NamedTuple):
    rate: float
    limit: float
    reject: float
    first_above: (
        float  #: when the wait will have been too long for an interval, s; inf if it is not
    )
    next_drop: float  #: s
    drops: float  #: since dropping began
    last_drops: float  #: what `drops` was when dropping began last
    dropping: float  #: 0 or 1
    advance: float  #: 1 if the next drop's time is still to be set after a drop
    wait: float  #: of the last slot, s
    least: float  #: latency seen, s; inf before the first
    queued: float  #: last latency less the least one, s
    target: float  #: wanted TPS


@described(
    """Refuse a call once the wait was `delay` or more for a whole `interval`, and then ever sooner.

    A slot is a packet that leaves the queue; its wait is the lag behind its due time. At each
    slot::

        above     the wait is >= delay, and more than `backlog` slots wait behind this one
        long      above, and it has been so for `interval`
        not dropping, long:  refuse; dropping <- yes; new = drops - drops when dropping began last
                             drops <- new if new > 1 and now - next < 16 interval, else 1
                             next <- now + interval / sqrt(drops)
        dropping, not long:  dropping <- no
        dropping, now >= next:  refuse; drops + 1; next <- next + interval / sqrt(drops)

    Times are compared in whole nanoseconds, so a wait of just 5 ms is one, however it was computed.

    Behind a blocking call or a pool that is full, the slots that are due wait, and the lag says how
    long. A call that is handed over at once leaves no lag: its queue is at the service. With
    `signal` 1 the wait is the last latency less the least latency seen, of calls without an error,
    and instead of the slots that wait the calls in flight count. That is an estimate: it takes
    noise and a slower service for a queue.

    The RFC's queue of one MTU at most is a `backlog` of 1 slot. Deviation: the slot after a refused
    one is judged when it is released, which is at once while more wait.

    >>> law = Codel()
    >>> state = law.admit(law.init(1000.0), 0.0, 0.02, 0.0)
    >>> law.admit(state, 0.09, 0.02, 0.0).reject, law.admit(state, 0.1, 0.02, 0.0).reject
    (0.0, 1.0)
    """,
    actuators=("reject",),
    signals="wait before release, or latency above the least",
    origin="RFC 8289",
    year=2018,
)
@record
class Codel(NamedTuple):
    delay: Annotated[
        float,
        Range(0.0, 60.0, "s", False, search=(1e-3, 0.5), log=True),
        "shortest wait that is too long",
    ] = 0.005
    interval: Annotated[
        float,
        Range(0.0, 600.0, "s", False, search=(0.01, 5.0), log=True),
        "how long waits must be too long before a call is refused; refusals then follow ever"
        " sooner",
    ] = 0.1
    backlog: Annotated[
        float,
        Range(0.0, 1e6, "slots", search=(0.0, 10.0)),
        "most slots that may wait behind one that is never refused",
    ] = 1.0
    signal: Annotated[
        float,
        Range(0.0, 1.0, FLAG),
        "0: the wait is the lag behind the due time; 1: the last latency less the least one",
    ] = 0.0

    def init(self, target: float) -> CodelState:
        return CodelState(
            math.inf,
            math.inf,
            0.0,
            math.inf,
            0.0,
            0.0,
            0.0,
            0.0,
            0.0,
            0.0,
            math.inf,
            0.0,
            target,
        )

    def admit(self, state: CodelState, now: float, lag: float, in_flight: float) -> CodelState:
        wait = waited(self.signal, lag, state.queued)
        waiting = behind(self.signal, lag, in_flight, state.target)
        first_above, next_drop = state.first_above, state.next_drop
        drops, last_drops, dropping = state.drops, state.last_drops, state.dropping
        long = False
        if nanoseconds(wait) < nanoseconds(self.delay) or waiting <= self.backlog:
            first_above = math.inf
        elif first_above == math.inf:
            first_above = now + self.interval
        else:
            long = nanoseconds(now) >= nanoseconds(first_above)
        reject, advance = 0.0, 0.0
        if dropping > 0.0:
            if not long:
                dropping = 0.0
            else:
                if state.advance > 0.0:
                    next_drop = next_drop + self.interval / math.sqrt(drops)
                if nanoseconds(now) >= nanoseconds(next_drop):
                    reject, advance = 1.0, 1.0
                    drops += 1.0
        elif long:
            reject, dropping = 1.0, 1.0
            new = drops - last_drops
            near = nanoseconds(now) - nanoseconds(next_drop) < NEARBY * nanoseconds(self.interval)
            drops = new if new > 1.0 and near else 1.0
            next_drop = now + self.interval / math.sqrt(drops)
            last_drops = drops
        return CodelState(
            state.rate,
            state.limit,
            reject,
            first_above,
            next_drop,
            drops,
            last_drops,
            dropping,
            advance,
            wait,
            state.least,
            state.queued,
            state.target,
        )

    def update(self, state: CodelState, obs: Observation) -> CodelState:
        least, queued = above_least(state.least, state.queued, obs)
        return CodelState(
            state.rate,
            state.limit,
            state.reject,
            state.first_above,
            state.next_drop,
            state.drops,
            state.last_drops,
            state.dropping,
            state.advance,
            state.wait,
            least,
            queued,
            obs.target,
        )

    def why(self, before: CodelState, obs: Observation, after: CodelState) -> str:
        seen = f"waited {after.wait * 1e3:.3g} ms"
        if after.dropping > 0.0:
            return (
                f"{seen}, dropping: {after.drops:g} so far, the next from {after.next_drop:.4g}"
                " s on"
            )
        if after.first_above < math.inf:
            return f"{seen}, too long: drops if that lasts until {after.first_above:.4g} s"
        return f"{seen}: no queue that stands"


def waited(signal: float, lag: float, queued: float) -> float:
    """The time spent in a queue: the lag, or what the latencies say of it, s."""
    return queued if signal > 0.0 else lag


def behind(signal: float, lag: float, in_flight: float, target: float) -> float:
    """How many slots of an even schedule have come due behind this one; or the calls in flight.

    >>> behind(0.0, 0.025, 7.0, 100.0), behind(0.0, 0.32 - 0.3, 7.0, 100.0)
    (2.0, 2.0)
    >>> behind(1.0, 0.025, 7.0, 100.0)
    7.0
    """
    return in_flight if signal > 0.0 else floored(min(nanoseconds(lag) * target / 1e9, 9e15))


def above_least(least: float, queued: float, obs: Observation) -> tuple[float, float]:
    """(least latency, last latency less it), s; a failed call's latency says nothing of a queue.

    >>> above_least(0.02, 0.0, Observation(1.0, 100.0, 0.05, 0.0))
    (0.02, 0.030000000000000002)
    """
    if obs.count < 1.0 or obs.errors > 0.0 or math.isnan(obs.latency):
        return least, queued
    lowest = min(least, obs.latency)
    return lowest, obs.latency - lowest
