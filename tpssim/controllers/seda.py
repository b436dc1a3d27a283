"""SEDA's controller, as a caller runs it: a rate that keeps a high percentile of the latency at a
target.
"""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from tpssim.core.types import Observation, described, record
from tpssim.core.validation import Range

CALLS = 100.0  # of a sample
KEPT = 0.7  # weight of the past in the moving average
FALLS, RISES = 0.0, -0.5  # relative errors above which the rate falls, and below which it rises
OFFSET = -0.1  # relative error from which the rise is counted


@record
class SedaState(NamedTuple):
    rate: float
    limit: float
    reject: float
    command: float  #: the rate of the law itself, which may lie above the target, 1/s
    average: float  #: of the samples, s
    changed: float  #: when the rate was computed last, s; -inf before the first call
    calls: float  #: of the sample in progress
    first: float  #: its first latency, s
    longest: float  #: its longest latency, s
    second: float  #: its second longest latency, s


@described(
    """Divide the rate while the latency's 99th percentile is above `delay`, and add to it while it
    is below half of that.

    A sample is of 100 calls, or of those of more than `timeout` seconds; the first is of one::

        p99     = the longest of 100 latencies; the second longest of fewer; that of one
        average <- 0.7 average + 0.3 p99            (0 at the start)
        error   = (average - delay) / delay
        error > 0:      rate <- rate / dec_factor
        error < -0.5:   rate <- rate - (error + 0.1) inc_step
        rate <- max(min_rate, rate), of which no more than the wanted one is commanded

    If the 100th call is also the one that ends the time, p99 is the first latency of the sample, as
    in the original, whose count has then begun anew. The rate starts with `initial`.

    The original's constants are for services of 10 us, and a thousand callers. Here each time is
    a thousand times longer: for services of 10 ms. Its `inc_step` is then that of all callers
    together. They were tuned for the service (`inc_step` is 120 at a tenth of the service time, 10
    at ten times as much; `dec_factor` 1.3 there), so tune them for yours.

    Deviations: latencies are not cut to whole us. The rate paces, where the original has a bucket
    of 4 tokens; what waits for a token for more than 10 times the service time is dropped there.
    There it starts at random between `min_rate` and `initial`.

    >>> law = Seda()
    >>> slow = Observation(1.5, 100.0, 0.8, 0.0)  # of more than 1 s: a sample of one call
    >>> law.update(law.init(100.0), slow).average, law.update(law.init(100.0), slow).rate
    (0.24000000000000005, 3.846153846153846)
    """,
    actuators=("rate",),
    signals="99th percentile of the latency",
    origin="SEDA, as in shenango/caladan, `breakwater/src/sd_client.c` (Apache-2.0)",
    year=2003,
)
@record
class Seda(NamedTuple):
    delay: Annotated[
        float,
        Range(0.0, 1e6, "s", False, search=(0.01, 2.0), log=True),
        "99th percentile of the latency above which the rate falls",
    ] = 0.08
    timeout: Annotated[
        float,
        Range(0.0, 1e6, "s", search=(0.1, 10.0), log=True),
        "longest duration of a sample",
    ] = 1.0
    inc_step: Annotated[
        float,
        Range(0.0, 1e6, "1/s per unit of error", search=(0.5, 500.0), log=True),
        "by how much the rate rises for each unit that the relative error is below -0.1",
    ] = 40.0
    dec_factor: Annotated[
        float,
        Range(1.0, 100.0, "x", False, search=(1.01, 2.0)),
        "what the rate is divided by when it falls",
    ] = 1.04
    initial: Annotated[
        float, Range(0.0, 1e6, "1/s", False, search=(1.0, 100.0), log=True), "rate at the start"
    ] = 4.0
    min_rate: Annotated[
        float,
        Range(0.0, 1e6, "1/s", False, search=(0.1, 10.0), log=True),
        "least rate that is commanded",
    ] = 2.0

    def init(self, target: float) -> SedaState:
        command = max(self.min_rate, self.initial)
        return SedaState(
            rate=min(command, max(target, self.min_rate)),
            limit=math.inf,
            reject=0.0,
            command=command,
            average=0.0,
            changed=-math.inf,
            calls=0.0,
            first=0.0,
            longest=0.0,
            second=0.0,
        )

    def update(self, state: SedaState, obs: Observation) -> SedaState:
        command, average, changed = state.command, state.average, state.changed
        calls, first, longest, second = state.calls, state.first, state.longest, state.second
        if obs.count >= 1.0 and not math.isnan(obs.latency):
            first = obs.latency if calls == 0.0 else first
            second = max(second, min(longest, obs.latency))
            longest = max(longest, obs.latency)
            calls += 1.0
            over = obs.now - changed > self.timeout
            if over or calls >= CALLS:
                sample = high_percentile(calls, over, first, longest, second)
                average = KEPT * average + (1.0 - KEPT) * sample
                command = max(self.min_rate, corrected(self, command, average))
                changed, calls, longest, second = obs.now, 0.0, 0.0, 0.0
        return SedaState(
            rate=min(command, max(obs.target, self.min_rate)),
            limit=state.limit,
            reject=state.reject,
            command=command,
            average=average,
            changed=changed,
            calls=calls,
            first=first,
            longest=longest,
            second=second,
        )

    def why(self, before: SedaState, obs: Observation, after: SedaState) -> str:
        seen = f"99 % within {after.average:.3g} s on average, wanted {self.delay:g} s"
        if after.command < before.command:
            return f"{seen}: rate / {self.dec_factor:g}"
        if after.command > before.command:
            return f"{seen}: +{after.command - before.command:.3g}/s"
        return f"{seen}: held"


def high_percentile(calls: float, over: bool, first: float, longest: float, second: float) -> float:
    """The original's 99th percentile of a sample, s.

    >>> [high_percentile(n, True, 1.0, 3.0, 2.0) for n in (1.0, 2.0, 99.0, 100.0)]
    [3.0, 2.0, 2.0, 1.0]
    >>> high_percentile(100.0, False, 1.0, 3.0, 2.0)
    3.0
    """
    if calls >= CALLS:
        return first if over else longest
    return longest if calls == 1.0 else second


def corrected(law: Seda, rate: float, average: float) -> float:
    """The rate after a sample.

    >>> corrected(Seda(), 100.0, 0.02), corrected(Seda(), 100.0, 0.06)  # (0.75 - 0.1) x 40
    (126.0, 100.0)
    """
    error = (average - law.delay) / law.delay
    if error > FALLS:
        return rate / law.dec_factor
    if error < RISES:
        return min(rate - (error - OFFSET) * law.inc_step, 1e9)
    return rate
