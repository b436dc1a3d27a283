"""PIE: a PI controller turns the queueing delay into a probability of refusing."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from tpssim.controllers._nanoseconds import nanoseconds
from tpssim.controllers.codel import above_least, behind, waited
from tpssim.core.types import Observation, described, floored, record
from tpssim.core.validation import FLAG, Range

# probabilities saved up below which no call is refused, and from which one is
BURSTY, CERTAIN = (
    0.85,
    8.5,
)
MOST = 10_000.0  # steps of the past that are made up for at once


@record
class Control(NamedTuple):
    """What the steps change."""

    probability: float  #: of refusing
    old: float  #: delay at the last step, s
    burst: float  #: steps for which nothing will be refused
    steps: float  #: done so far


@record
class PieState(NamedTuple):
    rate: float
    limit: float
    reject: float
    control: Control
    saved: float  #: probabilities summed up since the last refusal
    least: float  #: latency seen, s; inf before the first
    queued: float  #: last latency less the least one, s
    target: float  #: wanted TPS


@described(
    """Steer the queueing delay to `delay` by refusing at random.

    Every `period`, with q the delay and p the probability::

        step = alpha (q - delay) + beta (q - last q)
               / 2048, 512, 128, 32, 8, 2  while p < 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1;
               <= 0.02 if p >= 0.1
        p   <- p + step;  p <- 0.98 p if q = last q = 0;  0 <= p <= 1
        burst <- burst - period, 0 at least;  max_burst if p = 0 and both delays < delay / 2

    At each slot, nothing is refused while burst > 0; nor if the last delay < delay / 2 and p < 0.2;
    nor if `backlog` slots or fewer wait behind this one. Else `saved <- saved + p` (0 before, if p
    = 0), and `reject` is 0 while saved < 0.85, 1 from 8.5 on, p between; a refusal sets saved to 0.
    With `derandomise` 0 it is p.

    Steps are made at the next slot, for every multiple of `period` that has passed since the last
    one. The call of that slot has been the first in the queue all the time, so the delay at time t
    was its lag now less `now - t`, 0 at least: what a timer would have read. With `signal` 1 the
    delay is the last latency less the least one, as in `codel`, constant between two completions,
    and the calls in flight count as the backlog. Of a longer pause than 10000 steps the last ones
    are made.

    Deviations: refused is the call that leaves the queue, not one that joins it; it is always
    active, for there is no buffer to be a third full; calls have no size.

    >>> law = Pie(max_burst=0.0)
    >>> state = law.admit(law.init(1000.0), 0.015, 0.03, 0.0)
    >>> round(state.control.probability * 2048, 9)  # 0.125 (0.03 - 0.015) + 1.25 (0.03 - 0)
    0.039375
    """,
    actuators=("reject",),
    signals="wait before release, or latency above the least",
    origin="RFC 8033, beside nsnam/ns-3, `pie-queue-disc.cc`",
    year=2017,
)
@record
class Pie(NamedTuple):
    delay: Annotated[
        float,
        Range(0.0, 60.0, "s", False, search=(1e-3, 0.5), log=True),
        "queueing delay that is steered to",
    ] = 0.015
    period: Annotated[
        float,
        Range(1e-6, 60.0, "s", search=(1e-3, 0.5), log=True),
        "time between two steps of the probability",
    ] = 0.015
    alpha: Annotated[
        float,
        Range(0.0, 1e3, "1/s", search=(0.01, 1.25)),
        "gain of the delay's distance from `delay`",
    ] = 0.125
    beta: Annotated[
        float,
        Range(0.0, 1e3, "1/s", search=(0.1, 12.5)),
        "gain of the delay's change since the last step",
    ] = 1.25
    max_burst: Annotated[
        float,
        Range(0.0, 600.0, "s", search=(0.0, 1.0)),
        "time for which nothing is refused at the start and after a quiet time",
    ] = 0.15
    backlog: Annotated[
        float,
        Range(0.0, 1e6, "slots", search=(0.0, 10.0)),
        "most slots that may wait behind one that is never refused",
    ] = 2.0
    derandomise: Annotated[
        float,
        Range(0.0, 1.0, FLAG),
        "0: each refusal is drawn by itself; 1: refusals are spread evenly",
    ] = 1.0
    signal: Annotated[
        float,
        Range(0.0, 1.0, FLAG),
        "0: the wait is the lag behind the due time; 1: the last latency less the least one",
    ] = 0.0

    def init(self, target: float) -> PieState:
        burst = allowance(self.max_burst, self.period)
        return PieState(
            rate=math.inf,
            limit=math.inf,
            reject=0.0,
            control=Control(probability=0.0, old=0.0, burst=burst, steps=0.0),
            saved=0.0,
            least=math.inf,
            queued=0.0,
            target=target,
        )

    def admit(self, state: PieState, now: float, lag: float, in_flight: float) -> PieState:
        wait = waited(self.signal, lag, state.queued)
        sinks = 0.0 if self.signal > 0.0 else 1.0
        control = stepped(self, state.control, now, wait, sinks)
        p, saved, reject = control.probability, state.saved, 0.0
        calm = control.old < self.delay / 2.0 and p < 0.2
        few = behind(self.signal, lag, in_flight, state.target) <= self.backlog
        if not (control.burst > 0.0 or calm or few):
            saved = p if p == 0.0 else saved + p
            if self.derandomise == 0.0 or BURSTY <= saved < CERTAIN:
                reject = p
            elif saved >= CERTAIN:
                reject = 1.0
        return PieState(
            rate=state.rate,
            limit=state.limit,
            reject=reject,
            control=control,
            saved=saved,
            least=state.least,
            queued=state.queued,
            target=state.target,
        )

    def update(self, state: PieState, obs: Observation) -> PieState:
        control = state.control
        if self.signal > 0.0:
            # The estimate held until now.
            control = stepped(self, control, obs.now, state.queued, 0.0)
        least, queued = above_least(state.least, state.queued, obs)
        return PieState(
            rate=state.rate,
            limit=state.limit,
            reject=state.reject,
            control=control,
            saved=0.0 if obs.refusals > 0.0 else state.saved,
            least=least,
            queued=queued,
            target=obs.target,
        )

    def why(self, before: PieState, obs: Observation, after: PieState) -> str:
        control = after.control
        seen = f"delay {control.old * 1e3:.3g} ms, probability {control.probability:.3g}"
        if control.burst > 0.0:
            return f"{seen}, a burst is allowed for {control.burst * self.period:.3g} s more"
        if control.old < self.delay / 2.0 and control.probability < 0.2:
            return f"{seen}, no queue to speak of"
        return f"{seen}, {after.saved:.3g} saved up since the last refusal"


def stepped(law: Pie, control: Control, now: float, wait: float, sinks: float) -> Control:
    """All steps up to `now`; the delay at time t was `wait - sinks (now - t)`, 0 at least.

    >>> law = Pie(alpha=0.0, beta=0.0)
    >>> stepped(law, Control(0.5, 0.0, 0.0, 0.0), 0.03, 0.0, 1.0)
    Control(probability=0.48019999999999996, old=0.0, burst=0.0, steps=2.0)
    """
    probability, old, burst, steps = control
    # In whole nanoseconds: a delay of nothing at a step is 0 then, and a step on time is not
    # missed.
    clock, tick = nanoseconds(now), nanoseconds(law.period)
    due = clock - nanoseconds(wait)
    last = floored(min(clock / tick, 9e15))
    steps = max(steps, last - MOST)
    while steps < last:
        steps += 1.0
        q = max(0.0, steps * tick - due) / 1e9 if sinks > 0.0 else wait
        probability = next_probability(probability, q, old, law.delay, law.alpha, law.beta)
        burst = max(0.0, burst - 1.0)
        if probability == 0.0 and q < law.delay / 2.0 and old < law.delay / 2.0:
            burst = allowance(law.max_burst, law.period)
        old = q
    return Control(probability=probability, old=old, burst=burst, steps=steps)


def allowance(max_burst: float, period: float) -> float:
    """For how many steps a burst is allowed.

    >>> allowance(0.15, 0.015), 0.07 / 0.005, allowance(0.07, 0.005)
    (10.0, 14.000000000000002, 14.0)
    """
    return nanoseconds(max_burst) / nanoseconds(period)


def next_probability(
    p: float, q: float, old: float, delay: float, alpha: float, beta: float
) -> float:
    """The probability after one step.

    >>> rising = next_probability(0.2, 1.0, 0.0, 0.015, 0.125, 1.25)
    >>> rising, next_probability(0.2, 0.0, 0.0, 0.0, 0.125, 1.25)
    (0.22, 0.196)
    """
    step = alpha * (q - delay) + beta * (q - old)
    if p < 1e-6:
        step /= 2048.0
    elif p < 1e-5:
        step /= 512.0
    elif p < 1e-4:
        step /= 128.0
    elif p < 1e-3:
        step /= 32.0
    elif p < 0.01:
        step /= 8.0
    elif p < 0.1:
        step /= 2.0
    elif step > 0.02:
        step = 0.02
    p += step
    if q == 0.0 and old == 0.0:
        p *= 0.98
    return max(0.0, min(p, 1.0))
