"""`spark-pid`: the originals' vectors. A batch of n calls that took p ms in all: latency p / n."""

from __future__ import annotations

import random

import pytest
from helpers.laws import fed

from tpssim.controllers.spark_pid import SparkPid
from tpssim.core.types import Observation


def batch(ms: float, n: float, processing_ms: float, scheduling_ms: float) -> Observation:
    return Observation(ms / 1e3, 1e6, processing_ms / n / 1e3, scheduling_ms / 1e3, n)


def test_the_first_batch_sets_the_rate_that_the_second_corrects() -> None:
    law = SparkPid(kp=1.0, ki=0.0, kd=0.0, min_rate=10.0, batch=0.02)
    states = fed(law, [batch(0, 10, 10, 0), batch(10, 10, 10, 0), batch(10, 10, 10, 0)], target=1e6)
    assert [s.rate for s in states] == pytest.approx([1e6, 1e6, 1000.0, 1000.0])
    assert states[3] == states[2]  # the same time again: skipped


def test_a_lasting_delay_brings_it_down_to_the_least_rate() -> None:
    law = SparkPid(kp=1.0, ki=1.0, kd=0.0, min_rate=5.0, batch=0.02)
    states = fed(law, [batch(20.0 * x, 1, 20, 100) for x in range(51)], target=1e6)
    assert [s.rate for s in states[2:]] == [5.0] * 50


def test_it_follows_the_processing_rate_when_nothing_waits() -> None:
    law = SparkPid(kp=1.0, ki=1.0, kd=0.0, min_rate=10.0, batch=0.02)
    states = fed(law, [batch(20.0 * x, (x + 1) * 20.0, 20, 0) for x in range(50)], target=1e6)
    assert [s.rate for s in states[2:]] == pytest.approx([(x + 1) * 1000.0 for x in range(1, 50)])


def test_it_follows_a_processing_rate_that_falls() -> None:
    # PIDRateEstimatorSuite at 3a994db: (50 - x) * 20 elements in 20 ms each, Ki 1, nothing waits.
    law = SparkPid(kp=1.0, ki=1.0, kd=0.0, min_rate=10.0, batch=0.02)
    states = fed(law, [batch(20.0 * x, (50 - x) * 20.0, 20, 0) for x in range(50)], target=1e6)
    assert [s.rate for s in states[2:]] == pytest.approx([(50 - x) * 1000.0 for x in range(1, 50)])


def test_below_the_processing_rate_while_something_waits() -> None:
    law = SparkPid(kp=1.0, ki=0.01, kd=0.0, min_rate=10.0, batch=0.02)
    draw = random.Random(1)
    history = [batch(20.0 * x, (x + 1) * 20.0, 20, draw.uniform(1.0, 40.0)) for x in range(50)]
    for x, state in enumerate(fed(law, history, target=1e6)[2:], start=1):
        assert state.rate < (x + 1) * 1000.0


def test_batches_without_work_or_time_are_skipped() -> None:
    law = SparkPid(batch=0.02)
    first = fed(law, [batch(20, 10, 10, 0)], target=1e6)[-1]
    for idle in (
        batch(40, 10, 0, 0),
        Observation(0.04, 1e6, 0.001, 0.0, 0.0),
        batch(10, 10, 10, 0),
    ):
        assert law.update(first, idle) == first


def test_never_above_a_target_that_falls() -> None:
    law = SparkPid(min_rate=1.0)
    state = law.init(100.0)
    obs = Observation(0.5, 40.0, 0.001, 0.0, 0.0)
    assert law.update(state, obs).rate == 40.0
