"""`botocore-cubic`: vectors of the SDKs' tests, and botocore's own classes beside it."""

from __future__ import annotations

import random
from typing import Any

import pytest
from laws import fed

from tpssim.controllers.botocore_cubic import BotocoreCubic
from tpssim.core import Observation


def reply(now: float, throttled: bool = False) -> Observation:
    drop = float(throttled)
    return Observation(now, 1e6, 0.01, 0.0, 1.0, drop, 1.0, drop)


@pytest.mark.parametrize(("at", "wait"), [(0.5, 0.892857), (1.0, 1.785714), (2.0, 2.0)])
def test_the_first_throttle_and_the_wait_for_the_next_token(at: float, wait: float) -> None:
    state = fed(BotocoreCubic(), [reply(at, throttled=True)])[-1]
    assert state.rate == state.fill
    assert 1.0 / state.rate == pytest.approx(wait, abs=1e-6)


def test_the_cubic_by_its_table() -> None:
    # w_max 10, last throttle at 5 s; measured so high that the cap is out of the way.
    law = BotocoreCubic()
    state = law.init(1e6)._replace(
        enabled=1.0, w_max=10.0, k=1.9574338205844317, last_fail=5.0, measured=1e6, last_bucket=100.0
    )
    found = [law.update(state, reply(float(t))).fill for t in range(5, 12)]
    table = [7.0, 9.64893600966, 10.000030849917364, 10.453284520772092]
    table += [13.408697022224185, 21.26626835427364, 36.425998516920465]
    assert found == pytest.approx(table, rel=1e-12)


def test_an_error_sets_the_parameters_of_the_cubic() -> None:
    # error(8 at t = 1) -> 5.6, w_max 8, K 1.8171205928321397; K(10) as in the table above.
    law = BotocoreCubic()
    state = law.init(1e6)._replace(enabled=1.0, measured=8.0, fill=100.0, last_bucket=100.0)
    after = law.update(state, reply(1.0, throttled=True))
    assert after.fill == pytest.approx(5.6, rel=1e-15)
    assert (after.w_max, after.k, after.last_fail) == (8.0, 1.8171205928321397, 1.0)
    ten = law.update(state._replace(measured=10.0), reply(1.0, throttled=True))
    assert ten.k == 1.9574338205844317
    softer = BotocoreCubic(beta=0.6)
    six = softer.update(state._replace(measured=10.0), reply(1.0, throttled=True))
    assert six.fill == pytest.approx(6.0, rel=1e-15)
    assert softer.update(six, reply(1.0)).fill == pytest.approx(6.0, rel=1e-14)


@pytest.mark.parametrize(
    ("times", "low", "high"),
    [
        ([1.0], 0.8, 0.8),
        ([float(k) for k in range(1, 21)], 1.0, 1.0),
        ([0.1, 0.2, 0.3, 0.4, 0.49, 0.5], 9.6, 9.6),
        ([0.5 * k for k in range(1, 8)], 1.99, 2.0),
    ],
)
def test_the_rate_clocker(times: list[float], low: float, high: float) -> None:
    measured = fed(BotocoreCubic(), [reply(t) for t in times])[-1].measured
    assert low - 1e-9 <= measured <= high + 1e-9


def test_until_it_is_throttled_calls_go_at_the_target() -> None:
    states = fed(BotocoreCubic(), [reply(0.1 * k) for k in range(1, 50)], target=1e6)
    assert {state.rate for state in states} == {1e6}


def test_the_least_rate_and_the_cap() -> None:
    state = fed(BotocoreCubic(), [reply(10.0, throttled=True)])[-1]  # measured 0.08: 0.056 is too little
    assert state.fill == 0.5
    # Long after the throttle the cubic has gone through the roof: 2 x measured holds it.
    late = [reply(10.0, throttled=True), *(reply(1000.0 + 0.5 * k) for k in range(30))]
    after = fed(BotocoreCubic(), late)[-1]
    assert after.fill == 2.0 * after.measured
    assert after.measured == pytest.approx(2.0, rel=1e-3)


def test_the_least_rate_is_a_parameter() -> None:
    state = fed(BotocoreCubic(min_rate=0.2), [reply(4.0, throttled=True)])[-1]  # 0.7 x 0.8 / 4 = 0.14
    assert state.fill == 0.2


@pytest.mark.parametrize(("rate", "back"), [(10.0, 1.957), (100.0, 4.217), (1000.0, 9.086)])
def test_the_way_back_takes_k_and_twice_the_rate_two_and_a_half_k(rate: float, back: float) -> None:
    law = BotocoreCubic()
    state = law.init(1e6)._replace(enabled=1.0, measured=rate, fill=1e6, last_bucket=1e6)
    after = law.update(state, reply(1.0, throttled=True))
    assert after.k == pytest.approx(back, abs=5e-4)
    free = after._replace(measured=1e9)
    assert law.update(free, reply(1.0 + after.k)).fill == pytest.approx(rate, rel=1e-9)
    assert law.update(free, reply(1.0 + 2.494 * after.k)).fill == pytest.approx(2.0 * rate, rel=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_beside_botocores_own_classes(seed: int) -> None:
    """10,000 random responses: the same measured rate, cubic parameters and bucket rate, to the bit."""
    adaptive = pytest.importorskip("botocore.retries.adaptive")
    bucket = pytest.importorskip("botocore.retries.bucket")
    throttling = pytest.importorskip("botocore.retries.throttling")

    class Clock:
        now = 0.0

        def current_time(self) -> float:
            return self.now

    class Detector:
        throttled = False

        def is_throttling_error(self, **_: Any) -> bool:
            return self.throttled

    clock, detector = Clock(), Detector()
    cubic = throttling.CubicCalculator(starting_max_rate=0, start_time=0.0)
    tokens = bucket.TokenBucket(max_rate=1, clock=clock)
    clocker = adaptive.RateClocker(clock)
    limiter = adaptive.ClientRateLimiter(cubic, clocker, tokens, detector, clock)
    law = BotocoreCubic()
    state = law.init(1e6)
    draw = random.Random(seed)
    for k in range(10_000):
        clock.now += draw.expovariate(20.0 if k % 1000 < 700 else 0.5)
        detector.throttled = draw.random() < 0.05
        limiter.on_receiving_response()
        state = law.update(state, reply(clock.now, detector.throttled))
        assert state.measured == clocker.measured_rate, k
        assert (state.w_max, state.k, state.last_fail) == cubic.get_params_snapshot(), k
        assert state.fill == tokens.max_rate, k
