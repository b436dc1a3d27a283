"""The SRE book's client-side throttling: refuse calls locally once too few of the last ones were
accepted.
"""

from __future__ import annotations

import math
from array import array
from typing import Annotated, NamedTuple

from tpssim.controllers._nanoseconds import nanoseconds
from tpssim.core.types import Observation, described, floored, record
from tpssim.core.validation import FLAG, Range
from tpssim.output import format


@record
class SreThrottlingState(NamedTuple):
    rate: float
    limit: float
    reject: float
    requests: float  #: in the window
    accepts: float  #: in the window
    head: float  #: number of the newest bin, counted from time 0


@described(
    """Refuse with the probability by which the requests of a window exceed `k` times those
    accepted.

    At each slot, of the last `window` seconds in `bins` bins::

        reject = min(max_reject, max(0, (requests - k accepts) / (requests + padding)))
                 0 while requests < min_requests

    A call that was dropped (timed out or refused by the service) is not accepted, with `failures` 1
    no failed call is. With `attempts` 1 a request counts from its slot on, after the slot's
    probability is known; with 0 when its answer comes. With `local` 1 a call refused here is a
    request too. Bins pass with time, not with observations: a law at rest forgets. With a capacity
    c and R calls a second wanted, min(R, k c) are sent.

    The 120 bins are ours. The variants, each with `failures` 1::

        grpc/grpc-go, balancer/rls/internal/adaptive   padding 8, window 30, bins 100, attempts 0
        apache/beam, io/components/adaptive_throttler  window 60, bins 60 (its unit
                                                       test's: it has no defaults)
        failsafe-go, adaptivethrottler                 k 1/0.9, max_reject 0.9, window 60, bins 20,
                                                       attempts 0, local 0
        go-kratos/aegis, circuitbreaker/sre            k 1/0.6, min_requests 100, window 3, bins 10,
                                                       attempts 0

    Deviations: an acceptance counts in the bin of its answer (Beam: of its start); a time on the
    edge of two bins lies in the later one (Beam: the earlier); failsafe-go's bins pass only with
    observations.

    >>> law = SreThrottling(attempts=0.0)
    >>> state, memory = law.init(100.0), array("d", [0.0]) * law.memory()
    >>> refused = Observation(0.02, 100.0, 0.01, 0.0, 9.0, 9.0, 1.0, 9.0)
    >>> law.update(state, refused, memory).reject
    0.9
    """,
    actuators=("reject",),
    signals="accepted and dropped calls",
    origin="Site Reliability Engineering, chapter 21",
    year=2016,
)
@record
class SreThrottling(NamedTuple):
    k: Annotated[
        float,
        Range(1.0, 1000.0, "requests per accept", search=(1.05, 3.0)),
        "requests for each accepted one above which calls are refused",
    ] = 2.0
    padding: Annotated[
        float,
        Range(0.0, 1e6, "requests", search=(1.0, 20.0)),
        "number of requests added to the denominator, so that few requests say little",
    ] = 1.0
    window: Annotated[
        float,
        Range(1e-3, 1e6, "s", search=(1.0, 120.0), log=True),
        "time over which requests are counted",
    ] = 120.0
    bins: Annotated[
        float, Range(1.0, 10000.0, "bins", search=(5.0, 200.0)), "number of bins in a window"
    ] = 120.0
    max_reject: Annotated[
        float,
        Range(0.0, 1.0, "probability", search=(0.5, 1.0)),
        "largest probability of refusing a call",
    ] = 1.0
    min_requests: Annotated[
        float,
        Range(0.0, 1e6, "requests", search=(0.0, 200.0)),
        "fewest requests of a window in which a call may be refused",
    ] = 0.0
    attempts: Annotated[
        float,
        Range(0.0, 1.0, FLAG),
        "0: a request counts when its answer comes; 1: from its slot on",
    ] = 1.0
    local: Annotated[
        float, Range(0.0, 1.0, FLAG), "0: a call refused here is no request; 1: it is one"
    ] = 1.0
    failures: Annotated[
        float,
        Range(0.0, 1.0, FLAG),
        "0: a failed call is accepted unless it was dropped; 1: no failed call is",
    ] = 0.0

    def memory(self) -> int:
        return 2 * int(self.bins)

    def init(self, target: float) -> SreThrottlingState:
        return SreThrottlingState(math.inf, math.inf, 0.0, 0.0, 0.0, 0.0)

    def admit(
        self,
        state: SreThrottlingState,
        now: float,
        lag: float,
        in_flight: float,
        memory: array[float],
    ) -> SreThrottlingState:
        at = bin_of(now, self.window, int(self.bins))
        seen = counted(
            memory, int(self.bins), Counts(state.requests, state.accepts, state.head), at, 0.0, 0.0
        )
        reject = refusal(
            seen.requests, seen.accepts, self.k, self.padding, self.max_reject, self.min_requests
        )
        seen = counted(memory, int(self.bins), seen, at, self.attempts, 0.0)
        return SreThrottlingState(
            state.rate,
            state.limit,
            reject,
            seen.requests,
            seen.accepts,
            seen.head,
        )

    def update(
        self, state: SreThrottlingState, obs: Observation, memory: array[float]
    ) -> SreThrottlingState:
        accepts = obs.count - (obs.errors if self.failures > 0.0 else obs.drops)
        requests = obs.count + obs.refusals * self.local
        if self.attempts > 0.0:
            # Its slot has counted it already: what is not to count is taken back.
            requests = obs.refusals * (self.local - 1.0)
        at = bin_of(obs.now, self.window, int(self.bins))
        before = Counts(state.requests, state.accepts, state.head)
        seen = counted(memory, int(self.bins), before, at, requests, accepts)
        reject = refusal(
            seen.requests, seen.accepts, self.k, self.padding, self.max_reject, self.min_requests
        )
        return SreThrottlingState(
            state.rate,
            state.limit,
            reject,
            seen.requests,
            seen.accepts,
            seen.head,
        )

    def why(self, before: SreThrottlingState, obs: Observation, after: SreThrottlingState) -> str:
        seen = f"{after.accepts:g} of {after.requests:g} requests accepted in {self.window:g} s"
        if after.requests < self.min_requests:
            return f"{seen}, fewer than {self.min_requests:g} requests: none refused"
        return f"{seen}: {format.share(after.reject, 1)} refused"


@record
class Counts(NamedTuple):
    """What a window holds, and its newest bin."""

    requests: float
    accepts: float
    head: float


def bin_of(now: float, window: float, bins: int) -> float:
    """The number of the bin that a time lies in, both in whole nanoseconds as the originals count
    them.

    >>> bin_of(2.5, 10.0, 5), bin_of(0.3, 30.0, 100), bin_of(3 * 0.3, 30.0, 100)
    (1.0, 1.0, 3.0)
    """
    width = max(1.0, floored(nanoseconds(window) / bins))
    return floored(min(nanoseconds(now) / width, 9e15))


def counted(
    memory: array[float], bins: int, before: Counts, at: float, requests: float, accepts: float
) -> Counts:
    """The window once time has come to bin `at`, and so many more lie in it; the memory is a ring
    of bins.

    An observation of a bin that has left the window counts for nothing.

    >>> ring = array("d", [0.0]) * 4
    >>> one = counted(ring, 2, Counts(0.0, 0.0, 0.0), 0.0, 1.0, 1.0)
    >>> two = counted(ring, 2, one, 1.0, 5.0, 0.0)
    >>> two, counted(ring, 2, two, 2.0, 0.0, 0.0)
    (Counts(requests=6.0, accepts=1.0, head=1.0), Counts(requests=5.0, accepts=0.0, head=2.0))
    """
    all_requests, all_accepts, head = before
    if at > head:
        head = turned(memory, bins, 2, head, at)
        all_requests, all_accepts = 0.0, 0.0
        for k in range(bins):
            all_requests += memory[k]
            all_accepts += memory[bins + k]
    if head - at < bins:
        place = int(at) % bins
        memory[place] += requests
        memory[bins + place] += accepts
        all_requests += requests
        all_accepts += accepts
    return Counts(all_requests, all_accepts, head)


def turned(memory: array[float], bins: int, rows: int, head: float, at: float) -> float:
    """The newest bin once time has come to bin `at`; the bins in between are emptied in all rows of
    the ring.

    >>> ring = array("d", [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    >>> turned(ring, 3, 2, 1.0, 3.0), ring.tolist()
    (3.0, [0.0, 2.0, 0.0, 0.0, 5.0, 0.0])
    """
    if not at > head:
        return head
    for k in range(1, int(min(at - head, float(bins))) + 1):
        gone = (int(head) + k) % bins
        for row in range(rows):
            memory[row * bins + gone] = 0.0
    return at


def refusal(
    requests: float, accepts: float, k: float, padding: float, most: float, least_requests: float
) -> float:
    """The probability of refusing the next call.

    >>> refusal(100.0, 30.0, 2.0, 0.0, 1.0, 0.0), refusal(100.0, 30.0, 2.0, 0.0, 0.25, 0.0)
    (0.4, 0.25)
    """
    if requests < least_requests or not requests + padding > 0.0:
        return 0.0
    return min(max(0.0, (requests - k * accepts) / (requests + padding)), most)
