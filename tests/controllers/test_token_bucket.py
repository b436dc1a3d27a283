"""`token-bucket` by hand: what is saved up, how a burst ends, and the schedule after a stall."""

from __future__ import annotations

import pytest
from helpers.laws import run

from tpssim.controllers.token_bucket import Bucket, TokenBucket, refilled, taken
from tpssim.core.schedule import BURST
from tpssim.core.types import Observation
from tpssim.scenarios.disturbances import Stall
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant


def test_a_bucket_as_botocores() -> None:
    # Rate 10, a call a second: all pass. At 0.5 a second with room for one, from empty: a token
    # every 2 s.
    bucket = Bucket(10.0, 10.0, 0.0, 0.0)
    for second in range(1, 6):
        bucket = taken(bucket, float(second))
        assert bucket.tokens == 9.0
    slow = Bucket(0.5, 1.0, 0.0, 0.0)
    assert refilled(slow, 2.0).tokens == 1.0
    assert refilled(slow, 60.0).tokens == 1.0  # no more than its capacity
    assert taken(slow, 1.0).tokens == -0.5


def test_a_token_every_tenth_of_a_second_as_botocores() -> None:
    # From empty: one at 0.1 leaves none, the next is there at 0.2, the one after it at 0.3.
    bucket = taken(Bucket(10.0, 10.0, 0.0, 0.0), 0.1)
    assert bucket.tokens == 0.0
    assert refilled(bucket, 0.199999).tokens < 1.0
    bucket = taken(bucket, 0.2)
    assert bucket.tokens == 0.0
    assert refilled(bucket, 0.3 - 1e-6).tokens < 1.0
    assert refilled(bucket, 0.300001).tokens >= 1.0


def test_a_burst_then_one_for_each_token() -> None:
    # 50 of 100 a second, two saved.
    law = TokenBucket(share=0.5, capacity=2.0)
    scenario = Scenario("s", Constant(0.001), target=100.0, duration=0.1)
    released = run(scenario, law).released[:5]
    # tokens after each: 1, 0.5, 0 (at 0.02, after a wait of 0.5 / 50), then one every 0.02 s.
    assert released.tolist() == pytest.approx([0.0, 0.01, 0.02, 0.04, 0.06])


def test_after_a_stall_so_many_calls_are_made_up_for() -> None:
    # Ten a second; a call at 1 s takes until 3 s. 20 slots were missed; the bucket holds 3.
    law = TokenBucket(capacity=3.0)
    scenario = Scenario(
        "s", Constant(0.001), 10.0, 4.0, disturbances=(Stall(0.95, 2.999),), late=BURST
    )
    trace = run(scenario, law)
    after = trace.released[trace.released > 2.5]
    assert (after < 3.05).sum() == 3
    assert after[3] == pytest.approx(after[0] + 0.1, abs=2e-3)


def test_another_target() -> None:
    law = TokenBucket(share=0.5, capacity=1.0)
    state = law.admit(law.init(100.0), 0.0, 0.0, 0.0)
    assert (state.rate, state.tokens) == (50.0, 0.0)
    after = law.update(state, Observation(0.01, 200.0, 0.01, 0.0))
    assert (after.fill, after.tokens, after.rate) == (100.0, 0.5, 100.0)
