"""Spark Streaming's PID rate estimator: as fast as the last batch was processed, less what
waits.
"""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from tpssim.controllers._target_changes import followed
from tpssim.core.types import Observation, described, record
from tpssim.core.validation import Range
from tpssim.core.window import SHORTEST_WINDOW, Sensor


@record
class SparkPidState(NamedTuple):
    rate: float
    limit: float
    reject: float
    time: float  #: of the last batch, s; nan before the first
    latest: float  #: the last estimate, 1/s
    error: float  #: the last error, 1/s
    target: float  #: the target last seen, 1/s


@described(
    """Command the processing rate of the last batch, corrected for the delay with which batches
    begin.

    A batch is the calls that end within `batch` seconds: n of them, mean latency and mean lag. Per
    batch, with `dt` since the last one::

        processing = 1 / latency
        error      = latest - processing
        waiting    = lag * processing / batch
        latest    <- max(min_rate, latest - kp error - ki waiting - kd (error - last error) / dt)
        rate       = min(latest, target)

    The first batch only sets `latest = processing` and an error of 0; until the second, the rate is
    the target.

    Deviations: the batch's processing delay is n times the mean latency, which holds for calls made
    one at a time, and its scheduling delay is the mean lag; seconds, not milliseconds. `min_rate`
    is Spark's, far above many a service here.

    >>> law = SparkPid(ki=0.0, min_rate=10.0)
    >>> state = law.update(law.init(5000.0), Observation(0.01, 5000.0, 0.001, 0.0, 10.0))
    >>> law.update(state, Observation(0.02, 5000.0, 0.001, 0.0, 10.0)).rate
    1000.0
    """,
    actuators=("rate",),
    signals="latency and lag of a batch",
    origin="apache/spark, `streaming/scheduler/rate/PIDRateEstimator.scala` (Apache-2.0)",
    year=2015,
)
@record
class SparkPid(NamedTuple):
    kp: Annotated[
        float,
        Range(0.0, 10.0, "share", search=(0.1, 2.0)),
        "proportional gain: the share of the error that is taken off",
    ] = 1.0
    ki: Annotated[
        float,
        Range(0.0, 10.0, "share", search=(0.0, 1.0)),
        "integral gain: the share that is taken off of the rate at which what waits could be"
        " worked off",
    ] = 0.2
    kd: Annotated[
        float,
        Range(0.0, 10.0, "s", search=(0.0, 0.5)),
        "derivative gain: what is taken off for an error that grows by 1/s in a second",
    ] = 0.0
    min_rate: Annotated[
        float,
        Range(0.0, 1e6, "1/s", False, search=(0.1, 200.0), log=True),
        "least rate that is commanded",
    ] = 100.0
    batch: Annotated[
        float, Range(SHORTEST_WINDOW, 60.0, "s", search=(0.1, 5.0), log=True), "duration of a batch"
    ] = 1.0

    def sensor(self) -> Sensor:
        return Sensor(self.batch)

    def init(self, target: float) -> SparkPidState:
        return SparkPidState(
            rate=target,
            limit=math.inf,
            reject=0.0,
            time=math.nan,
            latest=target,
            error=0.0,
            target=target,
        )

    def update(self, state: SparkPidState, obs: Observation) -> SparkPidState:
        time, latest, last = state.time, state.latest, state.error
        held = followed(state.rate, state.target, obs.target)
        fresh = obs.count >= 1.0 and obs.latency > 0.0 and not obs.now <= time
        if not fresh:
            rate = min(held, max(obs.target, self.min_rate))
            return SparkPidState(
                rate=rate,
                limit=state.limit,
                reject=state.reject,
                time=time,
                latest=latest,
                error=last,
                target=obs.target,
            )
        processing = min(1.0 / obs.latency, 1e300)
        if math.isnan(time):
            rate = min(held, max(obs.target, self.min_rate))
            return SparkPidState(
                rate=rate,
                limit=state.limit,
                reject=state.reject,
                time=obs.now,
                latest=processing,
                error=0.0,
                target=obs.target,
            )
        error = latest - processing
        waiting = obs.lag * processing / self.batch
        change = (error - last) / (obs.now - time)
        wanted = latest - self.kp * error - self.ki * waiting - self.kd * change
        latest = self.min_rate if not wanted > self.min_rate else wanted
        rate = max(self.min_rate, min(latest, obs.target))
        return SparkPidState(
            rate=rate,
            limit=state.limit,
            reject=state.reject,
            time=obs.now,
            latest=latest,
            error=error,
            target=obs.target,
        )

    def why(self, before: SparkPidState, obs: Observation, after: SparkPidState) -> str:
        if not obs.latency > 0.0:
            return "no batch with a latency"
        seen = f"processed {1.0 / obs.latency:.4g}/s, {obs.lag:.3g} s behind"
        return (
            f"{seen}: {after.latest:.4g}/s"
            if before.time == before.time
            else f"{seen}: the first batch"
        )
