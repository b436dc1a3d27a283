"""go-zero's adaptive shedder: under load, refuse what exceeds the best throughput times the least
latency, both now and on average.
"""

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
from tpssim.controllers._waiting_load import BUSY, Load, ended, ticked, unloaded
from tpssim.controllers.aegis_bbr import within
from tpssim.controllers.sre_throttling import bin_of, turned
from tpssim.core.types import Observation, described, record
from tpssim.core.validation import Range

TICK = 0.25  # s, at which the load is taken
KEPT = 0.9  # weight of the past in the average of calls in flight
UNKNOWN = 1000.0  # ms; the least latency of a window without one
LEAST_FACTOR = 0.1


@record
class GozeroShedderState(NamedTuple):
    rate: float
    limit: float
    reject: float
    head: float  #: number of the newest bin, counted from time 0
    flying: float  #: calls in flight
    average: float  #: of them, at completions
    most: float  #: how many are allowed under load, as computed last
    loaded: float  #: when the load was last too high, s; nan before
    dropped: float  #: 1 if a call was refused since the load was too high and has cooled off
    load: Load


@described(
    """Under load, refuse a call while more are in flight than the best throughput and the least
    latency need, and were so on average.

    Of the last `window` seconds in `bins` bins, that of now left out::

        best   = most successes in a bin, at least 1
        least  = least mean latency of a bin, in whole ms; 1000 if none is known
        most   = max(1, best least bins per second / 1000)
        factor = min(max((1000 - load) / (1000 - threshold), 0.1), 1)

    A latency counts in whole ms above it. At each completion, with the calls that are still in
    flight: `average <- 0.9 average + 0.1 flying`. A slot is refused if `average` and the calls in
    flight exceed `factor most`, while `load >= threshold`, and for `cool_off` after that if a call
    was refused.

    The load is a moving average with weight 0.95, taken each 0.25 s, in thousandths.

    Deviations: there it is the processor's, which a caller does not see. Here the usage of 0.25 s
    is the mean share of their time that its calls waited: 1 - (least latency seen) / latency, and 1
    of a call that timed out or was refused by the service. A queue with one server and random
    arrivals has that share as its usage, so 900 stands for a latency of ten times the least. Every
    failed call is a failure, for an observation tells no status; go-zero's HTTP handler takes each
    answer below 500 for a success, a 429 too.

    >>> law = GozeroShedder(threshold=0.0)
    >>> state, memory = law.init(100.0), array("d", [0.0]) * law.memory()
    >>> for k in range(80):  # 20 calls of 0.1 s in each bin, 40 in flight
    ...     state = law.admit(state, 0.1 * (k // 20), 0.0, 39.0, memory)
    ...     state = law.update(state, Observation(0.1 * (k // 20), 100.0, 0.1, 0.0), memory)
    >>> law.admit(state, 0.4, 0.0, 39.0, memory).reject  # 20 x 100 ms x 10 / 1000 are allowed
    1.0
    """,
    actuators=("reject",),
    signals="throughput, latency, calls in flight",
    origin="zeromicro/go-zero, `core/load/adaptiveshedder.go` (MIT)",
    year=2020,
)
@record
class GozeroShedder(NamedTuple):
    window: Annotated[
        float,
        Range(1e-3, 1e6, "s", search=(1.0, 60.0), log=True),
        "time over which the best throughput and the least latency are sought",
    ] = 5.0
    bins: Annotated[
        float, Range(2.0, 10000.0, "bins", search=(10.0, 200.0)), "number of bins in a window"
    ] = 50.0
    threshold: Annotated[
        float,
        Range(0.0, BUSY, "thousandths", True, False, search=(200.0, 950.0)),
        "least load at which calls are refused",
    ] = 900.0
    cool_off: Annotated[
        float,
        Range(0.0, 1e6, "s", search=(0.1, 10.0), log=True),
        "how long calls are refused after the load was too high, if any was then",
    ] = 1.0

    def memory(self) -> int:
        return ROWS * int(self.bins)

    def init(self, target: float) -> GozeroShedderState:
        return GozeroShedderState(
            rate=math.inf,
            limit=math.inf,
            reject=0.0,
            head=0.0,
            flying=0.0,
            average=0.0,
            most=0.0,
            loaded=math.nan,
            dropped=0.0,
            load=unloaded(),
        )

    def admit(
        self,
        state: GozeroShedderState,
        now: float,
        lag: float,
        in_flight: float,
        memory: array[float],
    ) -> GozeroShedderState:
        load, head, most = ticked(state.load, now, TICK), state.head, state.most
        loaded, dropped = state.loaded, state.dropped
        hot = load.usage >= self.threshold
        if hot:
            loaded = now
        elif dropped > 0.0 and not math.isnan(loaded):
            hot = within(loaded, now, self.cool_off)
            dropped = 1.0 if hot else 0.0
        reject = 0.0
        if hot:
            bins = int(self.bins)
            head = turned(memory, bins, ROWS, head, bin_of(now, self.window, bins))
            most = allowed(memory, bins, head, self.window) * factor(load.usage, self.threshold)
            if state.average > most and in_flight > most:
                reject, dropped = 1.0, 1.0
        return GozeroShedderState(
            rate=state.rate,
            limit=state.limit,
            reject=reject,
            head=head,
            flying=in_flight + (1.0 - reject),
            average=state.average,
            most=most,
            loaded=loaded,
            dropped=dropped,
            load=load,
        )

    def update(
        self, state: GozeroShedderState, obs: Observation, memory: array[float]
    ) -> GozeroShedderState:
        head, flying, average = state.head, state.flying, state.average
        if obs.count >= 1.0:
            flying = max(0.0, flying - obs.count)
            average = average * KEPT + flying * (1.0 - KEPT)
            succeeded = obs.count - obs.errors
            if succeeded > 0.0:
                bins = int(self.bins)
                head = added(memory, bins, self.window, head, obs.now, succeeded, obs.latency)
        return GozeroShedderState(
            rate=state.rate,
            limit=state.limit,
            reject=state.reject,
            head=head,
            flying=flying,
            average=average,
            most=state.most,
            loaded=state.loaded,
            dropped=state.dropped,
            load=ended(ticked(state.load, obs.now, TICK), obs),
        )

    def why(self, before: GozeroShedderState, obs: Observation, after: GozeroShedderState) -> str:
        load = f"load {after.load.usage / 10.0:.3g} %, {after.average:.3g} in flight on average"
        if after.reject > 0.0:
            return f"{load}, more than {after.most:.3g}: refused"
        return f"{load}: none refused"


def allowed(memory: array[float], bins: int, head: float, window: float) -> float:
    """How many calls may be in flight while the load is at the threshold."""
    best = max(1.0, most_in_a_bin(memory, bins, head))
    least = min(least_mean(memory, bins, head, True), UNKNOWN)
    return max(1.0, best * least * (bins_per_second(window, bins) / 1000.0))


def factor(load: float, threshold: float) -> float:
    """What is left of that at a higher load.

    >>> factor(900.0, 900.0), factor(950.0, 900.0), factor(1000.0, 900.0), factor(0.0, 900.0)
    (1.0, 0.5, 0.1, 1.0)
    """
    return min(max((BUSY - load) / (BUSY - threshold), LEAST_FACTOR), 1.0)
