"""DAGOR: admit the calls of so many priorities, fewer after a time of long queues, more after any
other.
"""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from tpssim.controllers.codel import above_least
from tpssim.core.types import Observation, described, floored, record
from tpssim.core.validation import Range
from tpssim.output import format


@record
class DagorState(NamedTuple):
    rate: float
    limit: float
    reject: float
    level: float  #: priorities up to this one are admitted
    changed: float  #: when the level was computed last, s
    calls: float  #: ended since then
    queued: float  #: sum of their times in the queue, s
    timed: float  #: how many of them told theirs
    least: float  #: least latency seen, s; inf before the first
    last: float  #: time in the queue of the last call that told it, s


@described(
    """Lower the level of admission while calls queue too long, and raise it step by step else.

    A call has one of `priorities` priorities, and those up to the level are admitted. After
    `window` seconds or `most_calls` calls, with the mean time in the queue::

        mean >= delay:  level <- (1 - alpha) level
        else:           level <- level + beta priorities
        level <- min(max(level, 1), priorities - 1)
        reject = 1 - (trunc(level) + 1) / priorities

    In WeChat a priority is that of the service, and within it a number that is drawn for each user
    and hour, so that a user meets the same fate at each service. The level comes back with each
    answer, and the caller then refuses what would be refused there. `delay`, `window` and
    `most_calls` are the numbers of the paper; the steps of the level are those of the code. The
    level starts with `initial`.

    Deviations: all calls are of one service, and a priority is drawn for each call, as in the
    code. The service measures its queue and counts requests; a caller sees answers, so the time in
    the queue is the latency less the least one seen, of calls without an error, and calls count
    when they end. The code averages that time every 10 us, with weight 0.2; it starts with
    32, and here all calls are admitted at first.

    >>> law = Dagor()
    >>> state = law.update(law.init(100.0), Observation(0.5, 100.0, 0.01, 0.0))
    >>> late = law.update(state, Observation(1.5, 100.0, 0.09, 0.0))  # 40 ms on average
    >>> late.level, late.reject  # 121 of 128: those from 0 to 120
    (120.64999999999999, 0.0546875)
    """,
    actuators=("reject",),
    signals="latency above the least",
    origin="DAGOR (SoCC 2018), as in shenango/caladan, `breakwater/src/dg_server.c` (Apache-2.0)",
    year=2018,
)
@record
class Dagor(NamedTuple):
    delay: Annotated[
        float,
        Range(0.0, 1e6, "s", False, search=(2e-3, 0.5), log=True),
        "mean time in the queue that is too long",
    ] = 0.02
    window: Annotated[
        float,
        Range(0.0, 1e6, "s", False, search=(0.1, 5.0), log=True),
        "least time between two changes of the level, unless calls are many",
    ] = 1.0
    most_calls: Annotated[
        float,
        Range(1.0, 1e9, "calls", search=(100.0, 1e4), log=True),
        "number of calls that ends a window before its time",
    ] = 2000.0
    alpha: Annotated[
        float,
        Range(0.0, 1.0, "share", False, False, search=(0.01, 0.5)),
        "share by which the level is lowered",
    ] = 0.05
    beta: Annotated[
        float,
        Range(0.0, 1.0, "share of the priorities", False, search=(2e-3, 0.1), log=True),
        "share of all priorities by which the level is raised",
    ] = 0.01
    initial: Annotated[
        float, Range(1.0, 1e6, "priority", search=(8.0, 127.0)), "level at the start"
    ] = 127.0
    priorities: Annotated[
        float,
        Range(2.0, 1e6, "priorities", search=(32.0, 1024.0), log=True),
        "number of priorities",
    ] = 128.0

    def conflict(self) -> str:
        if self.initial > self.priorities - 1.0:
            return (
                f"initial={self.initial:g} is not below priorities={self.priorities:g}; allowed:"
                " initial <= priorities - 1"
            )
        return ""

    def init(self, target: float) -> DagorState:
        return DagorState(
            rate=math.inf,
            limit=math.inf,
            reject=refused_above(self.initial, self.priorities),
            level=self.initial,
            changed=0.0,
            calls=0.0,
            queued=0.0,
            timed=0.0,
            least=math.inf,
            last=0.0,
        )

    def update(self, state: DagorState, obs: Observation) -> DagorState:
        if obs.count < 1.0:
            return state
        least, last = above_least(state.least, state.last, obs)
        told = obs.errors == 0.0 and not math.isnan(obs.latency)
        calls, queued, timed = state.calls + obs.count, state.queued, state.timed
        if told:
            queued, timed = queued + last * obs.count, timed + obs.count
        level, changed = state.level, state.changed
        if obs.now - changed >= self.window or calls >= self.most_calls:
            mean = queued / timed if timed > 0.0 else 0.0
            level = moved(self, level, mean)
            changed, calls, queued, timed = obs.now, 0.0, 0.0, 0.0
        return DagorState(
            rate=state.rate,
            limit=state.limit,
            reject=refused_above(level, self.priorities),
            level=level,
            changed=changed,
            calls=calls,
            queued=queued,
            timed=timed,
            least=least,
            last=last,
        )

    def why(self, before: DagorState, obs: Observation, after: DagorState) -> str:
        level = f"level {floored(after.level):g} of {self.priorities:g}"
        refused = f"{format.share(after.reject, 1)} refused"
        if after.level < before.level:
            return f"calls queued for {self.delay:g} s or longer: {level}, {refused}"
        return f"{level}, {refused}"


def moved(law: Dagor, level: float, mean: float) -> float:
    """The level after a window of that mean time in the queue.

    >>> moved(Dagor(), 100.0, 0.02), moved(Dagor(), 126.0, 0.019), moved(Dagor(), 1.0, 1.0)
    (95.0, 127.0, 1.0)
    """
    if mean >= law.delay:
        level = (1.0 - law.alpha) * level
    else:
        level = level + law.beta * law.priorities
    return min(max(level, 1.0), law.priorities - 1.0)


def refused_above(level: float, priorities: float) -> float:
    """The share of calls with a priority above the level.

    >>> refused_above(127.0, 128.0), refused_above(63.9, 128.0)
    (0.0, 0.5)
    """
    return max(0.0, 1.0 - (floored(level) + 1.0) / priorities)
