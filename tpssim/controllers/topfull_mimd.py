"""TopFull's baseline for entry rates: a share up or down while too many calls fail or are slow."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from tpssim.controllers._target_changes import followed
from tpssim.core.types import Observation, ceiled, described, record
from tpssim.core.validation import Range
from tpssim.output import format

MARGIN = 1.1  # of the wanted rate; the limit of the rate never lies above
QUANTILE = 0.95  # of the latencies of an interval, which decides
CLEAN = 0.1  # of the calls: so many may fail or be slow


@record
class TopfullMimdState(NamedTuple):
    rate: float
    limit: float
    reject: float
    threshold: float  #: the limit of the rate, 1/s; inf while there is none
    left: float  #: intervals until the limit is taken away
    ends: float  #: when the interval ends, s
    calls: float  #: ended in the interval
    slow: float  #: of them, those that took longer than `slo`
    failed: float  #: of them, those that failed or were slow
    target: float  #: the target last seen, 1/s


@described(
    """Cut the rate by a share while the 95th percentile is too long, else raise it by a share.

    An interval ends with the first completion `interval` or later after the last one. While there
    is no limit, more than a tenth of its calls that failed or took longer than `slo` set one::

        threshold <- the wanted rate

    At the end of each later interval::

        a tenth or less failed or were slow, and threshold >= wanted,
        or for `intervals` intervals there was a limit:     there is none any more
        the 95th percentile of the latency is above `slo`:  threshold <- threshold (1 - cut)
        else:        threshold <- min(threshold (1 + raise_by), 1.1 wanted)
        threshold <- max(min_rate, threshold);  rate <- min(threshold, wanted)

    The percentile is that of the nearest rank. The source's constants are for a second as `slo`.

    Deviations: the original sets a limit where the processor of a service is busy for more than
    80 % of the time, which a caller does not see; the tenth is its condition for taking the limit
    away. One kind of call: the clusters of interfaces that share a service, and their priorities,
    are not there. An interval is 1 s, as the original is started (its class has 2 s); one in which
    no call ended is none.

    >>> law = TopfullMimd()
    >>> slow = Observation(1.0, 100.0, 1.5, 0.0)
    >>> limited = law.update(law.init(100.0), slow)  # all of one call: a limit, of 100/s
    >>> law.update(limited, slow._replace(now=2.0)).rate
    95.0
    """,
    actuators=("rate",),
    signals="95th percentile of the latency, failed and slow calls",
    origin="kaist-ina/TopFull, `online_boutique_scripts/src/deploy_mimd.py` (no licence named)",
    year=2024,
    needs_target=True,
)
@record
class TopfullMimd(NamedTuple):
    slo: Annotated[
        float,
        Range(0.0, 1e6, "s", False, search=(0.02, 5.0), log=True),
        "longest latency of a call that is not slow",
    ] = 1.0
    cut: Annotated[
        float,
        Range(0.0, 1.0, "share", False, False, search=(0.01, 0.5)),
        "share by which the rate is cut at the end of an interval that was too slow",
    ] = 0.05
    raise_by: Annotated[
        float,
        Range(0.0, 10.0, "share", search=(0.002, 0.2), log=True),
        "share by which the rate is raised at the end of any other interval",
    ] = 0.01
    interval: Annotated[
        float,
        Range(0.0, 1e6, "s", False, search=(0.1, 5.0), log=True),
        "least time between two changes of the rate",
    ] = 1.0
    intervals: Annotated[
        float,
        Range(1.0, 1e6, "intervals", search=(10.0, 1000.0), log=True),
        "number of changes after which the limit is taken away",
    ] = 150.0
    min_rate: Annotated[
        float,
        Range(0.0, 1e6, "1/s", False, search=(0.1, 20.0), log=True),
        "least rate that is commanded",
    ] = 10.0

    def init(self, target: float) -> TopfullMimdState:
        return TopfullMimdState(
            rate=target,
            limit=math.inf,
            reject=0.0,
            threshold=math.inf,
            left=0.0,
            ends=self.interval,
            calls=0.0,
            slow=0.0,
            failed=0.0,
            target=target,
        )

    def update(self, state: TopfullMimdState, obs: Observation) -> TopfullMimdState:
        rate = followed(state.rate, state.target, obs.target)
        calls, slow, failed = state.calls, state.slow, state.failed
        threshold, left, ends = state.threshold, state.left, state.ends
        if obs.count >= 1.0:
            late = obs.count if obs.latency > self.slo else 0.0
            calls, slow, failed = calls + obs.count, slow + late, failed + max(late, obs.errors)
            if obs.now >= ends:
                threshold, left = decided(self, threshold, left, obs.target, calls, slow, failed)
                ends = obs.now + self.interval
                calls, slow, failed = 0.0, 0.0, 0.0
                rate = min(threshold, max(obs.target, self.min_rate))
        return TopfullMimdState(
            rate=rate,
            limit=state.limit,
            reject=state.reject,
            threshold=threshold,
            left=left,
            ends=ends,
            calls=calls,
            slow=slow,
            failed=failed,
            target=obs.target,
        )

    def why(self, before: TopfullMimdState, obs: Observation, after: TopfullMimdState) -> str:
        if after.threshold == math.inf:
            return "no limit: a tenth of the calls or fewer fail or are slow"
        if after.threshold < before.threshold < math.inf:
            slow = f"95 % of the calls took longer than {self.slo:g} s"
            return f"{slow.replace('95 %', 'more than 5 %')}: -{format.share(self.cut)}"
        if after.threshold == before.threshold:
            return "held until the interval ends, or at a bound"
        if before.threshold == math.inf:
            return "more than a tenth of the calls failed or were slow: limited to what is wanted"
        return f"95 % of the calls took {self.slo:g} s or less: +{format.share(self.raise_by, 1)}"


def decided(
    law: TopfullMimd,
    threshold: float,
    left: float,
    wanted: float,
    calls: float,
    slow: float,
    failed: float,
) -> tuple[float, float]:
    """(limit of the rate, intervals that it has left) after an interval with so many calls.

    >>> decided(TopfullMimd(), 80.0, 9.0, 100.0, 100.0, 5.0, 5.0)  # the 95th of 100 was in time
    (80.8, 8.0)
    """
    clean = failed <= CLEAN * calls
    if threshold == math.inf:
        return (threshold, left) if clean else (max(law.min_rate, wanted), law.intervals)
    if left <= 0.0 or (clean and threshold >= wanted):
        return math.inf, 0.0
    if calls - slow < ceiled(QUANTILE * calls):
        threshold = threshold - law.cut * threshold
    else:
        threshold = min(threshold + law.raise_by * threshold, max(MARGIN * wanted, law.min_rate))
    return max(law.min_rate, threshold), left - 1.0
