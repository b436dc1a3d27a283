"""Envoy's adaptive concurrency: a latency quantile against one measured with hardly any calls."""

from __future__ import annotations

import math
from array import array
from typing import Annotated, NamedTuple

from tpssim.controllers._nanoseconds import nanoseconds
from tpssim.core.types import Observation, ceiled, described, floored, record
from tpssim.core.validation import Range

#: The histogram keeps two significant digits: 90 bins a decade, from 1 us, of ten decades; bin 0
#: holds less.
BINS, DECADES = 90, 10
WINDOWS_AT_FLOOR = 5.0


@record
class EnvoyGradientState(NamedTuple):
    rate: float
    limit: float
    reject: float
    saved: float  #: the limit to go back to after the probe, calls
    least: float  #: latency measured by the last probe, us; nan before the first
    probing: float  #: 1 while the least latency is measured
    began: float  #: when the last one began, ns; calls released before it do not count
    samples: float  #: in the histogram
    next_update: float  #: ns
    next_probe: float  #: ns
    at_floor: float  #: windows in a row that left the limit at its floor


@described(
    """Multiply the limit by `least latency x (1 + buffer) / latency now`, and add its square root.

    A *probe*, at the start and every `probe_every` seconds (and up to a share `jitter` later, at
    random), sets the limit to `min_limit`; the quantile of `probe_samples` calls is the least
    latency, and the old limit comes back. Calls released before the last probe began never count.
    Every `update_every` seconds outside of a probe, if calls have ended::

        g     = max(0.5, min(2, (least + least buffer) / quantile))
        limit <- max(min_limit, min(max_limit, trunc(g limit + sqrt(g limit))))

    Five windows in a row that leave the limit at `min_limit` set off a probe. With `fixed` above 0
    that, in whole ms below it, is the least latency, and there are no probes. With `floor` above 0
    that stands for `min_limit`, from the start, and a probe leaves the limit as it is, and the
    windows at the floor uncounted (so the next one there sets off another). Latencies are counted
    in whole us, in a histogram of two significant digits; the `quantile` is the k-th of the n in
    its bin, which stands at `left + width k / (n + 1)`, cut to whole us.

    Deviations: a timer acts with the first completion then or later, for a law has no timer of its
    own; a call that timed out or was refused is a cancelled one there: no sample.

    >>> from array import array
    >>> law = EnvoyGradient(probe_samples=1.0)
    >>> memory = array("d", [0.0]) * law.memory()
    >>> state = law.init(100.0)
    >>> for now in (0.1, 0.2, 0.3):  # the probe; a sample; the window's end: 3 x 1.25 + sqrt(3.75)
    ...     state = law.update(state, Observation(now, 100.0, 0.01, 0.0), memory)
    >>> state.limit
    5.0
    """,
    actuators=("limit",),
    signals="latency quantile against a probed one",
    origin=(
        "envoyproxy/envoy, `adaptive_concurrency/controller/gradient_controller.cc` (Apache-2.0); "
        "histogram openhistogram/libcircllhist"
    ),
    year=2019,
)
@record
class EnvoyGradient(NamedTuple):
    min_limit: Annotated[
        float,
        Range(1.0, 1e5, "calls", search=(1.0, 30.0)),
        "least limit, and the limit during a probe",
    ] = 3.0
    max_limit: Annotated[
        float, Range(1.0, 1e5, "calls", search=(10.0, 1000.0), log=True), "largest limit"
    ] = 1000.0
    quantile: Annotated[
        float,
        Range(0.0, 1.0, "share of calls", False, search=(0.3, 0.99)),
        "quantile of the latencies that is compared",
    ] = 0.5
    buffer: Annotated[
        float,
        Range(0.0, 10.0, "x least latency", search=(0.0, 1.0)),
        "share by which the quantile may exceed the least latency before the gradient falls"
        " below 1",
    ] = 0.25
    update_every: Annotated[
        float,
        Range(1e-3, 600.0, "s", search=(0.05, 2.0), log=True),
        "time between two updates of the limit",
    ] = 0.1
    probe_every: Annotated[
        float,
        Range(1e-3, 1e6, "s", search=(10.0, 300.0), log=True),
        "time between two probes of the least latency",
    ] = 60.0
    probe_samples: Annotated[
        float,
        Range(1.0, 1e5, "samples", search=(10.0, 200.0)),
        "number of calls whose quantile a probe takes for the least latency",
    ] = 50.0
    jitter: Annotated[
        float,
        Range(0.0, 1.0, "x probe_every", search=(0.0, 0.5)),
        "largest share of `probe_every` by which a probe comes later, at random",
    ] = 0.15
    fixed: Annotated[
        float,
        Range(0.0, 600.0, "s; 0: probed"),
        "the least latency, where it is given and not probed",
    ] = 0.0
    floor: Annotated[
        float,
        Range(0.0, 1e5, "calls; 0: min_limit"),
        "least limit in place of `min_limit`, which a probe then leaves as it is",
    ] = 0.0

    def conflict(self) -> str:
        if self.min_limit > self.max_limit:
            return (
                f"min_limit={self.min_limit:g} lies above max_limit={self.max_limit:g}; allowed:"
                " min <= max"
            )
        if self.floor > self.max_limit:
            return (
                f"floor={self.floor:g} lies above max_limit={self.max_limit:g}; allowed: floor"
                " <= max"
            )
        return ""

    def memory(self) -> int:
        return 1 + BINS * DECADES

    def init(self, target: float) -> EnvoyGradientState:
        floor = floored(self.floor if self.floor >= 1.0 else self.min_limit)
        inf = math.inf
        if self.fixed > 0.0:
            least, update = (
                floored(self.fixed * 1000.0 + 1e-9) * 1000.0,
                nanoseconds(self.update_every),
            )
            return EnvoyGradientState(
                rate=inf,
                limit=floor,
                reject=0.0,
                saved=floor,
                least=least,
                probing=0.0,
                began=-inf,
                samples=0.0,
                next_update=update,
                next_probe=inf,
                at_floor=0.0,
            )
        return EnvoyGradientState(
            rate=inf,
            limit=floor,
            reject=0.0,
            saved=floor,
            least=math.nan,
            probing=1.0,
            began=-inf,
            samples=0.0,
            next_update=inf,
            next_probe=inf,
            at_floor=0.0,
        )

    def update(
        self, state: EnvoyGradientState, obs: Observation, memory: array[float]
    ) -> EnvoyGradientState:
        if obs.count < 1.0 or math.isnan(obs.latency):
            return state
        # whole ns, so that ties are exact
        now, every = (
            nanoseconds(obs.now),
            nanoseconds(self.update_every),
        )
        limit, saved, least, probing = state.limit, state.saved, state.least, state.probing
        began, samples, at_floor = state.began, state.samples, state.at_floor
        next_update, next_probe = state.next_update, state.next_probe
        floor = floored(self.floor if self.floor >= 1.0 else self.min_limit)
        # The timers that have run out since the last completion, the earlier first.
        if probing == 0.0 and next_update <= min(now, next_probe):
            if samples > 0.0:
                old = limit
                # The original's us have become ns by then; a product rounds otherwise.
                base, latency = least * 1000.0, cut_quantile(memory, self.quantile) * 1000.0
                limit = stepped(old, base + base * self.buffer, latency)
                limit = max(floor, min(limit, floored(self.max_limit)))
                at_floor = at_floor + 1.0 if limit == floor and old == floor else 0.0
                emptied(memory)
                samples = 0.0
                if at_floor >= WINDOWS_AT_FLOOR and self.fixed == 0.0:
                    next_probe = next_update
            next_update += every * (floored((now - next_update) / every) + 1.0)
        if probing == 0.0 and now >= next_probe:
            saved, probing, began = limit, 1.0, next_probe
            if self.floor < 1.0:
                limit, at_floor = floor, 0.0
            emptied(memory)
            samples = 0.0
        if obs.drops < obs.count and now - nanoseconds(obs.latency) >= began:
            added(memory, obs.latency)
            samples += 1.0
        if probing > 0.0 and samples >= self.probe_samples:
            least, limit, probing = cut_quantile(memory, self.quantile), saved, 0.0
            emptied(memory)
            samples = 0.0
            next_update = now + every
            next_probe = now + nanoseconds(probe_wait(self.probe_every, self.jitter, obs.u))
        return EnvoyGradientState(
            rate=state.rate,
            limit=limit,
            reject=state.reject,
            saved=saved,
            least=least,
            probing=probing,
            began=began,
            samples=samples,
            next_update=next_update,
            next_probe=next_probe,
            at_floor=at_floor,
        )

    def why(self, before: EnvoyGradientState, obs: Observation, after: EnvoyGradientState) -> str:
        if after.probing > 0.0:
            return (
                f"probe: {after.samples:g} of {self.probe_samples:g} samples with {after.limit:g}"
                " calls"
            )
        least = f"least latency {after.least / 1e3:.3g} ms"
        if before.probing > 0.0:
            return f"{least} measured, limit back at {after.limit:g}"
        return f"{least}, gradient window: limit {before.limit:g} -> {after.limit:g}"


def stepped(limit: float, least: float, latency: float) -> float:
    """`trunc(g limit + sqrt(g limit))` with the gradient g in [0.5, 2].

    >>> stepped(3.0, 1.25, 1.0)
    5.0
    """
    gradient = 2.0 if latency == 0.0 else max(0.5, min(2.0, least / latency))
    wanted = limit * gradient
    return floored(wanted + math.sqrt(wanted))


def probe_wait(every: float, jitter: float, u: float) -> float:
    """Time to the next probe, s: `every`, and a random number of ms below the jitter's share.

    >>> probe_wait(100.0, 0.1, 0.5), probe_wait(45.0, 0.0, 0.5)
    (105.0, 45.0)
    """
    span = ceiled(every * 1000.0 * jitter)
    return every + floored(u * span) / 1000.0


def added(memory: array[float], latency: float) -> None:
    """Count one latency, in whole us below it, in its bin of two significant digits."""
    value = floored(nanoseconds(min(latency, 9e3)) / 1000.0)
    if value < 1.0:
        memory[0] += 1.0
        return
    decade, scale = 0, 1.0
    while value >= 10.0 * scale:
        scale *= 10.0
        decade += 1
    memory[1 + BINS * decade + int(value * 10.0 / scale) - 10] += 1.0


def cut_quantile(memory: array[float], q: float) -> float:
    """The quantile of the histogram, where its rank stands in its bin, in whole us below it."""
    n = 0.0
    for count in memory:
        n += count
    wanted, below = q * n, memory[0]
    if wanted <= below:
        return 0.0
    scale = 1.0
    for decade in range(DECADES):
        for step in range(BINS):
            count = memory[1 + BINS * decade + step]
            if count > 0.0 and below + count >= wanted:
                rank = max(1.0, ceiled(wanted - below))
                left = (step + 10.0) / 10.0 * scale
                return floored(left + rank / (count + 1.0) * (scale / 10.0))
            below += count
        scale *= 10.0
    return math.nan


def emptied(memory: array[float]) -> None:
    """An empty histogram."""
    for k in range(len(memory)):
        memory[k] = 0.0
