"""go-zero's breaker: the SRE book's formula, its weight moved by what it observes, and a forced
call each second.
"""

from __future__ import annotations

import math
from array import array
from typing import Annotated, NamedTuple

from tpssim.controllers._nanoseconds import nanoseconds
from tpssim.controllers.sre_throttling import bin_of, turned
from tpssim.core.types import Observation, described, record
from tpssim.core.validation import Range
from tpssim.output import format


@record
class GozeroBreakerState(NamedTuple):
    rate: float
    limit: float
    reject: float
    head: float  #: number of the newest bin, counted from time 0
    requests: float  #: in the window, at the last slot
    accepts: float
    failing: float  #: bins since the last one with a success that have failures
    working: float  #: bins since the last one with a failure that have successes
    #: when a call was let through last while some were to be refused, s; nan before the first
    passed: float
    #: time of the last slot of that kind, until it is known what became of it, s; else nan
    slot: float


@described(
    """Refuse as the SRE book does, sooner after bins of failures only, and less after bins of
    successes only.

    At each slot, of the last `window` seconds in `bins` bins (a call refused here is a request
    too)::

        failing   bins with failures since the last bin with a success
        working   bins with successes since the last bin with a failure
        weight  = max(min_k, k - (k - min_k) failing / bins)
        ratio   = (requests - protection - weight accepts) / (requests + 1)
        reject  = 0                                   if ratio <= 0
                = 0                          a call was let through, but not for `force_after`
                = ratio (bins - working) / bins       else

    Only calls let through while the ratio is above 0 count for `force_after`; before the first of
    them none is forced. A failure counts when the call ends.

    Deviations: every failed call is a failure, for an observation tells no status; go-zero's HTTP
    handler takes each answer below 500 for a success, a 429 too. The latencies that a proposal of
    2026 (pull request 5366) would add are no part of it.

    >>> law = GozeroBreaker()
    >>> state, memory = law.init(100.0), array("d", [0.0]) * law.memory()
    >>> state = law.update(state, Observation(0.0, 100.0, 0.01, 0.0, 9.0, 9.0), memory)
    >>> law.admit(state, 0.0, 0.0, 0.0, memory).reject  # (9 - 5) / 10
    0.4
    """,
    actuators=("reject",),
    signals="succeeded and failed calls",
    origin="zeromicro/go-zero, `core/breaker/googlebreaker.go` (MIT)",
    year=2020,
)
@record
class GozeroBreaker(NamedTuple):
    k: Annotated[
        float,
        Range(1.0, 1000.0, "requests per accept", search=(1.05, 3.0)),
        "requests for each accepted one above which calls are refused, unless bins of failures"
        " lower it",
    ] = 1.5
    min_k: Annotated[
        float,
        Range(1.0, 1000.0, "requests per accept", search=(1.0, 2.0)),
        "what `k` falls to when all bins hold failures only",
    ] = 1.1
    protection: Annotated[
        float,
        Range(0.0, 1e6, "requests", search=(0.0, 50.0)),
        "number of requests beyond those accepted that is always let through",
    ] = 5.0
    window: Annotated[
        float,
        Range(1e-3, 1e6, "s", search=(1.0, 120.0), log=True),
        "time over which requests are counted",
    ] = 10.0
    bins: Annotated[
        float, Range(1.0, 10000.0, "bins", search=(5.0, 200.0)), "number of bins in a window"
    ] = 40.0
    force_after: Annotated[
        float,
        Range(0.0, 1e6, "s", search=(0.1, 10.0)),
        "longest time without a call let through; the next one then is",
    ] = 1.0

    def conflict(self) -> str:
        if self.min_k > self.k:
            return f"min_k={self.min_k:g} lies above k={self.k:g}; allowed: min_k <= k"
        return ""

    def memory(self) -> int:
        return 3 * int(self.bins)

    def init(self, target: float) -> GozeroBreakerState:
        return GozeroBreakerState(
            rate=math.inf,
            limit=math.inf,
            reject=0.0,
            head=0.0,
            requests=0.0,
            accepts=0.0,
            failing=0.0,
            working=0.0,
            passed=math.nan,
            slot=math.nan,
        )

    def admit(
        self,
        state: GozeroBreakerState,
        now: float,
        lag: float,
        in_flight: float,
        memory: array[float],
    ) -> GozeroBreakerState:
        # A slot without an observed refusal let its call through.
        passed = state.passed if math.isnan(state.slot) else state.slot
        bins = int(self.bins)
        head = turned(memory, bins, 3, state.head, bin_of(now, self.window, bins))
        seen = history(memory, bins, head)
        weight = max(self.min_k, self.k - (self.k - self.min_k) * seen.failing / bins)
        ratio = (seen.requests - self.protection - weight * seen.accepts) / (seen.requests + 1.0)
        reject, slot = 0.0, math.nan
        if ratio > 0.0:
            slot = now
            if math.isnan(passed) or since(passed, now) <= nanoseconds(self.force_after):
                reject = min(ratio * ((bins - seen.working) / bins), 1.0)
        return GozeroBreakerState(
            rate=state.rate,
            limit=state.limit,
            reject=reject,
            head=head,
            requests=seen.requests,
            accepts=seen.accepts,
            failing=seen.failing,
            working=seen.working,
            passed=passed,
            slot=slot,
        )

    def update(
        self, state: GozeroBreakerState, obs: Observation, memory: array[float]
    ) -> GozeroBreakerState:
        bins = int(self.bins)
        at = bin_of(obs.now, self.window, bins)
        head = turned(memory, bins, 3, state.head, at)
        if head - at < bins:
            place = int(at) % bins
            memory[place] += obs.count + obs.refusals
            memory[bins + place] += obs.count - obs.errors
            memory[2 * bins + place] += obs.errors
        return GozeroBreakerState(
            rate=state.rate,
            limit=state.limit,
            reject=state.reject,
            head=head,
            requests=state.requests,
            accepts=state.accepts,
            failing=state.failing,
            working=state.working,
            passed=state.passed,
            slot=math.nan if obs.refusals > 0.0 else state.slot,
        )

    def why(self, before: GozeroBreakerState, obs: Observation, after: GozeroBreakerState) -> str:
        seen = f"{after.accepts:g} of {after.requests:g} requests succeeded in {self.window:g} s"
        if after.failing > 0.0:
            return (
                f"{seen}, failing bins {after.failing:g}: {format.share(after.reject, 1)} refused"
            )
        return f"{seen}: {format.share(after.reject, 1)} refused"


def since(then: float, now: float) -> float:
    """The time from one time to another, ns.

    >>> since(0.1, 1.1), 1.4 - 0.4, since(0.4, 1.4)
    (1000000000.0, 0.9999999999999999, 1000000000.0)
    """
    return nanoseconds(now) - nanoseconds(then)


@record
class History(NamedTuple):
    """What a window holds, and what its end looks like."""

    requests: float
    accepts: float
    failing: float
    working: float


def history(memory: array[float], bins: int, head: float) -> History:
    """Sums over a ring of three rows (requests, successes, failures), and the runs of bins at its
    end.

    A bin without a call that ended neither ends a run nor adds to it.

    >>> history(array("d", [4.0, 2.0, 0.0, 3.0, 0.0, 0.0, 1.0, 1.0, 0.0]), 3, 2.0)
    History(requests=6.0, accepts=3.0, failing=1.0, working=0.0)
    """
    requests, accepts, failing, working = 0.0, 0.0, 0.0, 0.0
    for k in range(1, bins + 1):
        place = (int(head) + k) % bins
        success, failure = memory[bins + place], memory[2 * bins + place]
        requests += memory[place]
        accepts += success
        if failure > 0.0:
            working = 0.0
        elif success > 0.0:
            working += 1.0
        if success > 0.0:
            failing = 0.0
        elif failure > 0.0:
            failing += 1.0
    return History(requests=requests, accepts=accepts, failing=failing, working=working)
