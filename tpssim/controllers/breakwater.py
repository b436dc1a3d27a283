"""Breakwater: credits for calls in flight, one more for each short queue, a share fewer for each
long one.
"""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from tpssim.controllers.codel import above_least
from tpssim.core.types import Observation, described, floored, record
from tpssim.core.validation import Range

LEAST_FACTOR = 0.5
WINDOW = 64.0  # credits of one client at most


@record
class BreakwaterState(NamedTuple):
    rate: float
    limit: float
    reject: float
    carry: float  #: of a credit that is still to be given
    ran: float  #: when credits were computed last, s
    longest: float  #: longest time in the queue of a call since then, s
    least: float  #: least latency seen, s; inf before the first
    queued: float  #: time in the queue of the last call that told it, s


@described(
    """Give credits for calls in flight: more while the queue is short, a share fewer the longer it
    is.

    At a completion `rtt` or more after the last change, with q the longest time in the queue of a
    call since then::

        q >= delay:  credits <- trunc(credits max(1 - cut (q - delay) / delay, 0.5));  carry <- 0
        else:        carry <- carry + clients add
                     credits <- credits + trunc(carry), which leaves the carry
        credits <- min(max(credits, min_credits), 64 clients)

    A call in flight holds a credit. What has waited for one for longer than `max_wait` is refused;
    so is a call while others are in flight of which the last told of `drop` or more in the queue.

    The original's constants are for services of 10 us, on 10 cores, and 1000 clients. Here each
    time is a thousand times longer: for services of 10 ms; the caller is all clients. `delay` is
    40 % of what the paper takes for an objective of the latency, ten times the service time and
    the network's; `drop` is twice `delay`.

    Deviations: the service measures its queue, every `rtt`; a caller sees answers, so the time in
    the queue is the latency less the least one seen, of calls without an error, and nothing changes
    without an answer. Credits are shared by all clients, so those that the original gives to one in
    advance of its demand are not there. Numbers are doubles (there floats).

    >>> law = Breakwater()
    >>> state = law.update(law.init(100.0), Observation(0.1, 100.0, 0.01, 0.0))
    >>> queued = Observation(0.2, 100.0, 0.26, 0.0)  # for 0.25 s: a factor of 0.9575
    >>> state.limit, law.update(state, queued).limit
    (11.0, 10.0)
    """,
    actuators=("limit", "reject"),
    signals="latency above the least, wait before release",
    origin="shenango/caladan, `breakwater/src/bw_server.c` (Apache-2.0)",
    year=2020,
)
@record
class Breakwater(NamedTuple):
    delay: Annotated[
        float,
        Range(0.0, 1e6, "s", False, search=(5e-3, 1.0), log=True),
        "shortest time in the queue that is too long",
    ] = 0.08
    drop: Annotated[
        float,
        Range(0.0, 1e6, "s", False, search=(0.01, 2.0), log=True),
        "shortest time in the queue that has calls refused at once",
    ] = 0.16
    rtt: Annotated[
        float,
        Range(0.0, 1e6, "s", search=(1e-3, 0.5), log=True),
        "least time between two changes",
    ] = 0.01
    add: Annotated[
        float,
        Range(0.0, 1e3, "credits per client", search=(1e-4, 1e-2), log=True),
        "credits that are added for each client while the queue is short",
    ] = 0.001
    cut: Annotated[
        float,
        Range(0.0, 1.0, "share", search=(5e-3, 0.2), log=True),
        "share by which credits are cut for each `delay` that the queue is too long",
    ] = 0.02
    clients: Annotated[
        float,
        Range(1.0, 1e6, "clients", search=(10.0, 1e4), log=True),
        "number of clients that the caller stands for",
    ] = 1000.0
    min_credits: Annotated[
        float,
        Range(1.0, 1e5, "calls", search=(1.0, 50.0)),
        "fewest credits, and those at the start",
    ] = 10.0
    max_wait: Annotated[
        float,
        Range(0.0, 1e6, "s", search=(1e-3, 1.0), log=True),
        "longest wait of a call that is not refused",
    ] = 0.01

    def conflict(self) -> str:
        if self.min_credits > WINDOW * self.clients:
            return (
                f"min_credits={self.min_credits:g} lies above 64 clients={WINDOW * self.clients:g};"
                " allowed: min_credits <= 64 clients"
            )
        return ""

    def init(self, target: float) -> BreakwaterState:
        return BreakwaterState(
            rate=math.inf,
            limit=floored(self.min_credits),
            reject=0.0,
            carry=0.0,
            ran=0.0,
            longest=0.0,
            least=math.inf,
            queued=0.0,
        )

    def admit(
        self, state: BreakwaterState, now: float, lag: float, in_flight: float
    ) -> BreakwaterState:
        jammed = in_flight > 0.0 and state.queued >= self.drop
        return BreakwaterState(
            rate=state.rate,
            limit=state.limit,
            reject=1.0 if jammed or lag > self.max_wait else 0.0,
            carry=state.carry,
            ran=state.ran,
            longest=state.longest,
            least=state.least,
            queued=state.queued,
        )

    def update(self, state: BreakwaterState, obs: Observation) -> BreakwaterState:
        if obs.count < 1.0:
            return state
        least, queued = above_least(state.least, state.queued, obs)
        told = obs.errors == 0.0 and not math.isnan(obs.latency)
        longest = max(state.longest, queued) if told else state.longest
        limit, carry, ran = state.limit, state.carry, state.ran
        if obs.now - ran >= self.rtt:
            limit, carry = credited(self, limit, carry, longest)
            ran, longest = obs.now, 0.0
        return BreakwaterState(
            rate=state.rate,
            limit=limit,
            reject=state.reject,
            carry=carry,
            ran=ran,
            longest=longest,
            least=least,
            queued=queued,
        )

    def why(self, before: BreakwaterState, obs: Observation, after: BreakwaterState) -> str:
        if after.limit < before.limit:
            return f"a call queued for {self.delay:g} s or longer: {after.limit:g} credits"
        if after.limit > before.limit:
            return f"no call queued for {self.delay:g} s: {after.limit:g} credits"
        held = f"held at {after.limit:g} credits"
        if after.reject > before.reject:
            waited = f"waited for longer than {self.max_wait:g} s"
            return f"{held}; {waited}, or the queue is too long: refused"
        return f"{held}; none refused" if after.reject < before.reject else held


def credited(law: Breakwater, credits: float, carry: float, queued: float) -> tuple[float, float]:
    """(credits, carry) after a time in which the queue was at most so long, s.

    >>> credited(Breakwater(), 100.0, 0.5, 0.16)
    (98.0, 0.0)
    >>> credited(Breakwater(clients=1500.0), 10.0, 0.0, 0.0)
    (11.0, 0.5)
    """
    if queued >= law.delay:
        factor = max(1.0 - law.cut * ((queued - law.delay) / law.delay), LEAST_FACTOR)
        credits, carry = floored(credits * factor), 0.0
    else:
        carry += law.clients * law.add
        if carry >= 1.0:
            credits += floored(carry)
            carry -= floored(carry)
    return min(max(credits, floored(law.min_credits)), floored(WINDOW * law.clients)), carry
