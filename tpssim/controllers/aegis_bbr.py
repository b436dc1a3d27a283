"""aegis' BBR limiter: under load, refuse what exceeds best throughput times least latency."""

from __future__ import annotations

import math
from array import array
from typing import Annotated, NamedTuple

from tpssim.controllers._best_bins import (
    ROWS,
    added,
    bins_per_second,
    least_mean,
    most_in_a_bin,
)
from tpssim.controllers._nanoseconds import nanoseconds
from tpssim.controllers._waiting_load import Load, ended, ticked, unloaded
from tpssim.controllers.sre_throttling import bin_of, turned
from tpssim.core.types import Observation, ceiled, described, floored, record
from tpssim.core.validation import Range

TICK = 0.5  # s, at which the load is taken


@record
class AegisBbrState(NamedTuple):
    rate: float
    limit: float
    reject: float
    head: float  #: number of the newest bin, counted from time 0
    last: float  #: number of the bin of the last completion; 0 before the first
    most: float  #: calls in flight that are allowed under load, as computed last
    computed: float  #: when it was, s; nan before the first time
    dropping: float  #: since when calls are refused, s; nan while none is
    load: Load


@described(
    """Under load, refuse a call while more are in flight than the best throughput and the least
    latency need.

    Of the last `window` seconds in `bins` bins, that of now left out::

        best  = most completions in a bin, at least 1
        least = least mean latency of a bin, in whole ms above it, at least 1
        most  = trunc(best least whole bins per second / 1000)

    A latency counts in whole ms above it. `most` is kept for the length of a bin. At each slot::

        over = more than 1 call in flight, and more than `most`
        load >= threshold:  refuse if over;  the first refusal begins a time of dropping
        else:               refuse if over, up to `cool_off` after that; then the time is over

    The load is a moving average with weight 0.95, taken each 0.5 s, in thousandths.

    Deviations: there it is the processor's, which a caller does not see. Here the usage of 0.5 s is
    the mean share of their time that its calls waited: 1 - (least latency seen) / latency, and 1 of
    a call that timed out or was refused by the service. A queue with one server and random arrivals
    has that share as its usage, so 800 stands for a latency of five times the least.

    >>> law = AegisBbr()
    >>> state, memory = law.init(100.0), array("d", [0.0]) * law.memory()
    >>> for k in range(4):  # 20 calls of 0.1 s in each bin: 20 x 100 ms x 10 / 1000
    ...     state = law.update(state, Observation(0.1 * k, 100.0, 0.1, 0.0, 20.0), memory)
    >>> law.admit(state, 0.4, 0.0, 21.0, memory).reject  # without load nothing is refused
    0.0
    >>> law._replace(threshold=0.0).admit(state, 0.4, 0.0, 21.0, memory).reject
    1.0
    """,
    actuators=("reject",),
    signals="throughput, latency, calls in flight",
    origin="go-kratos/aegis, `ratelimit/bbr/bbr.go` (MIT)",
    year=2021,
)
@record
class AegisBbr(NamedTuple):
    window: Annotated[
        float,
        Range(1e-3, 1e6, "s", search=(1.0, 60.0), log=True),
        "time over which the best throughput and the least latency are sought",
    ] = 10.0
    bins: Annotated[
        float, Range(2.0, 10000.0, "bins", search=(10.0, 200.0)), "number of bins in a window"
    ] = 100.0
    threshold: Annotated[
        float,
        Range(0.0, 1000.0, "thousandths", search=(200.0, 950.0)),
        "least load at which calls are refused",
    ] = 800.0
    cool_off: Annotated[
        float,
        Range(0.0, 1e6, "s", search=(0.1, 10.0), log=True),
        "how long calls are refused without load, from the first refusal on",
    ] = 1.0

    def memory(self) -> int:
        return ROWS * int(self.bins)

    def init(self, target: float) -> AegisBbrState:
        return AegisBbrState(
            rate=math.inf,
            limit=math.inf,
            reject=0.0,
            head=0.0,
            last=0.0,
            most=0.0,
            computed=math.nan,
            dropping=math.nan,
            load=unloaded(),
        )

    def admit(
        self, state: AegisBbrState, now: float, lag: float, in_flight: float, memory: array[float]
    ) -> AegisBbrState:
        load = ticked(state.load, now, TICK)
        head, most, computed = state.head, state.most, state.computed
        dropping, reject = state.dropping, 0.0
        loaded = load.usage >= self.threshold
        if not loaded and not math.isnan(dropping) and past(dropping, now, self.cool_off):
            dropping = math.nan
        if (loaded or not math.isnan(dropping)) and in_flight > 1.0:
            bins = int(self.bins)
            head = turned(memory, bins, ROWS, head, bin_of(now, self.window, bins))
            if math.isnan(computed) or not within(computed, now, self.window / bins):
                most, computed = allowed(memory, bins, head, state.last, self.window), now
            if in_flight > most:
                reject = 1.0
                dropping = now if math.isnan(dropping) else dropping
        return AegisBbrState(
            rate=state.rate,
            limit=state.limit,
            reject=reject,
            head=head,
            last=state.last,
            most=most,
            computed=computed,
            dropping=dropping,
            load=load,
        )

    def update(self, state: AegisBbrState, obs: Observation, memory: array[float]) -> AegisBbrState:
        head, last = state.head, state.last
        if obs.count >= 1.0:
            bins = int(self.bins)
            head = added(memory, bins, self.window, head, obs.now, obs.count, obs.latency)
            last = bin_of(obs.now, self.window, bins)
        return AegisBbrState(
            rate=state.rate,
            limit=state.limit,
            reject=state.reject,
            head=head,
            last=last,
            most=state.most,
            computed=state.computed,
            dropping=state.dropping,
            load=ended(ticked(state.load, obs.now, TICK), obs),
        )

    def why(self, before: AegisBbrState, obs: Observation, after: AegisBbrState) -> str:
        load = f"load {after.load.usage / 10.0:.3g} %"
        if after.reject > 0.0:
            return f"{load}, more than {after.most:g} calls in flight: refused"
        return f"{load}: none refused"


def within(then: float, now: float, time: float) -> bool:
    """Whether less than that time has passed since then, in whole ns.

    >>> within(0.2, 0.299, 0.1), within(0.2, 0.3, 0.1)
    (True, False)
    """
    return nanoseconds(now) - nanoseconds(then) < nanoseconds(time)


def past(then: float, now: float, time: float) -> bool:
    """Whether more than that time has passed since then, in whole ns.

    >>> past(0.2, 0.3, 0.1), past(0.2, 0.301, 0.1)
    (False, True)
    """
    return nanoseconds(now) - nanoseconds(then) > nanoseconds(time)


def allowed(memory: array[float], bins: int, head: float, last: float, window: float) -> float:
    """How many calls may be in flight under load: none, as in the original, if the last completion
    has left the window.
    """
    if head - last >= bins:
        return 0.0
    best = max(1.0, most_in_a_bin(memory, bins, head))
    least = least_mean(memory, bins, head, False)
    least = max(1.0, ceiled(least)) if least < math.inf else 1.0
    return floored(best * least * floored(bins_per_second(window, bins)) / 1000.0)
