"""folly's CoDel: while the least wait of the last interval was too long, refuse whatever waits
longer.
"""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from tpssim.controllers._nanoseconds import nanoseconds
from tpssim.controllers.codel import above_least, waited
from tpssim.core.types import Observation, described, floored, record
from tpssim.core.validation import FLAG, Range


@record
class CodelFollyState(NamedTuple):
    rate: float
    limit: float
    reject: float
    until: float  #: when the interval ends, s
    shortest: float  #: wait of the interval, s
    fresh: float  #: 1 before the first slot
    overloaded: float  #: 0 or 1
    load: float  #: 0..100
    wait: float  #: of the last slot, s
    least: float  #: latency seen, s; inf before the first
    queued: float  #: last latency less the least one, s


@described(
    """Refuse what has waited more than `2 delay`, while the least wait of the last interval
    exceeded `delay`.

    A slot is a task that is taken from the queue; its wait is the lag behind its due time. At each
    slot::

        now > until (not at the first slot):  overloaded <- shortest > delay;
                       until <- now + interval;  this slot is passed;  shortest <- its wait
        else:          shortest <- min(shortest, its wait);
                       refuse if overloaded and its wait > 2 delay
        load = min(100, trunc(100 shortest / (2 delay)))

    The first slot is passed and is the first `shortest`. Times are compared in whole nanoseconds,
    as the original counts. `signal` 1 takes the last latency less the least one for the wait, as in
    `codel`.

    >>> law = CodelFolly()
    >>> state = law.admit(law.admit(law.init(100.0), 0.1, 0.02, 0.0), 0.2, 0.02, 0.0)
    >>> state.reject, law.admit(state, 0.21, 0.02, 0.0).reject  # the first of an interval is passed
    (0.0, 1.0)
    """,
    actuators=("reject",),
    signals="wait before release, or latency above the least",
    origin="facebook/folly, `folly/executors/Codel.cpp` (Apache-2.0)",
    year=2015,
)
@record
class CodelFolly(NamedTuple):
    delay: Annotated[
        float,
        Range(0.0, 60.0, "s", False, search=(1e-3, 0.5), log=True),
        "longest least wait of an interval that is not overloaded; in one that is, twice as long is"
        " refused",
    ] = 0.005
    interval: Annotated[
        float,
        Range(0.0, 600.0, "s", False, search=(0.01, 5.0), log=True),
        "duration of an interval of which the least wait is taken",
    ] = 0.1
    signal: Annotated[
        float,
        Range(0.0, 1.0, FLAG),
        "0: the wait is the lag behind the due time; 1: the last latency less the least one",
    ] = 0.0

    def conflict(self) -> str:
        if self.interval <= self.delay:
            return (
                f"interval={self.interval:g} is not above delay={self.delay:g}; allowed: delay <"
                " interval"
            )
        return ""

    def init(self, target: float) -> CodelFollyState:
        return CodelFollyState(
            math.inf,
            math.inf,
            0.0,
            0.0,
            0.0,
            1.0,
            0.0,
            0.0,
            0.0,
            math.inf,
            0.0,
        )

    def admit(
        self, state: CodelFollyState, now: float, lag: float, in_flight: float
    ) -> CodelFollyState:
        wait = waited(self.signal, lag, state.queued)
        until, shortest, overloaded, passed = (
            state.until,
            state.shortest,
            state.overloaded,
            state.fresh,
        )
        if passed == 0.0 and nanoseconds(now) > nanoseconds(until):
            overloaded = 1.0 if nanoseconds(shortest) > nanoseconds(self.delay) else 0.0
            until, passed = now + self.interval, 1.0
        shortest = wait if passed > 0.0 else min(shortest, wait)
        too_long = nanoseconds(wait) > 2.0 * nanoseconds(self.delay)
        refused = passed == 0.0 and overloaded > 0.0 and too_long
        return CodelFollyState(
            state.rate,
            state.limit,
            1.0 if refused else 0.0,
            until,
            shortest,
            0.0,
            overloaded,
            load_of(shortest, self.delay),
            wait,
            state.least,
            state.queued,
        )

    def update(self, state: CodelFollyState, obs: Observation) -> CodelFollyState:
        least, queued = above_least(state.least, state.queued, obs)
        return CodelFollyState(
            state.rate,
            state.limit,
            state.reject,
            state.until,
            state.shortest,
            state.fresh,
            state.overloaded,
            state.load,
            state.wait,
            least,
            queued,
        )

    def why(self, before: CodelFollyState, obs: Observation, after: CodelFollyState) -> str:
        times = f"waited {after.wait * 1e3:.3g} ms, load {after.load:g} %"
        if after.overloaded > 0.0:
            return f"{times}, overloaded: what waits more than {2e3 * self.delay:g} ms is refused"
        return f"{times}, not overloaded"


def load_of(shortest: float, delay: float) -> float:
    """The least wait as a share of the one that is refused, in whole % up to 100.

    >>> load_of(0.04, 0.005), load_of(0.007, 0.005), load_of(0.002, 0.005)
    (100.0, 70.0, 20.0)
    """
    share = 100.0 * nanoseconds(shortest) / (2.0 * max(nanoseconds(delay), 1.0))
    return min(100.0, floored(share))
