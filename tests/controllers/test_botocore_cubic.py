"""`botocore-cubic`: vectors of the SDKs' tests, and botocore's own classes beside it."""

from __future__ import annotations

import random
from typing import Any

import pytest
from helpers.laws import fed

from tpssim.controllers.botocore_cubic import BotocoreCubic
from tpssim.core.types import Observation


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
        enabled=1.0,
        w_max=10.0,
        k=1.9574338205844317,
        last_fail=5.0,
        measured=1e6,
        last_bucket=100.0,
    )
    found = [law.update(state, reply(float(t))).fill for t in range(5, 12)]
    table = [7.0, 9.64893600966, 10.000030849917364, 10.453284520772092]
    table += [13.408697022224185, 21.26626835427364, 36.425998516920465]
    assert found == pytest.approx(table, rel=1e-12)


#: (throttled, s, measured, fill): aws/aws-sdk-go-v2, aws/retry/adaptive_ratelimit_test.go, at
#: 6925d1e; the same table in smithy-lang/smithy-typescript, DefaultRateLimiter.spec.ts, at 1e36cf8.
#: All three SDKs run it.
TABLE = [
    (False, 0.2, 0.0, 0.5),
    (False, 0.4, 0.0, 0.5),
    (False, 0.6, 4.8, 0.5),
    (False, 0.8, 4.8, 0.5),
    (False, 1.0, 4.16, 0.5),
    (False, 1.2, 4.16, 0.6912),
    (False, 1.4, 4.16, 1.0976),
    (False, 1.6, 5.632, 1.6384),
    (False, 1.8, 5.632, 2.3328),
    (True, 2.0, 4.3264, 3.02848),
    (False, 2.2, 4.3264, 3.4866391734702598),
    (False, 2.4, 4.3264, 3.8218744160402554),
    (False, 2.6, 5.66528, 4.053385727709987),
    (False, 2.8, 5.66528, 4.200373108479455),
    (False, 3.0, 4.333056, 4.282036558348658),
    (True, 3.2, 4.333056, 2.99742559084406),
    (False, 3.4, 4.333056, 3.4522263943863463),
]


def test_the_sdks_table_of_responses() -> None:
    states = fed(BotocoreCubic(), [reply(at, throttled) for throttled, at, _, _ in TABLE])[1:]
    for state, (_, at, measured, fill) in zip(states, TABLE, strict=True):
        assert (state.measured, state.fill) == pytest.approx((measured, fill), abs=1e-14), at


@pytest.mark.parametrize(
    ("at", "rate"), [(5.0, 0.112), (6.0, 0.09333333), (7.0, 0.08), (8.0, 0.07), (9.0, 0.06222222)]
)
def test_a_first_throttle_without_a_least_rate(at: float, rate: float) -> None:
    # The table `cubicThrottle` of DefaultRateLimiter.spec.ts, in 8 decimals.
    state = fed(BotocoreCubic(min_rate=1e-9), [reply(at, throttled=True)])[-1]
    assert state.fill == pytest.approx(rate, abs=5e-9)


def test_the_sdks_mixed_cubic() -> None:
    # `mixed` of adaptive_ratelimit_test.go, whose w_max after a cut is what is left of the rate.
    law = BotocoreCubic()
    free = law.init(1e6)._replace(enabled=1.0, fill=1e6, last_bucket=100.0)
    cuts = [(7.0, 9.64893600966, 6.754255206761999), (8.0, 6.754255206761999, 4.727978644733399)]
    for at, rate, left in cuts:
        state = law.update(free._replace(measured=rate), reply(at, throttled=True))
        assert state.fill == pytest.approx(left, abs=1e-11)
    w_max = 4.727978644733399
    state = free._replace(
        measured=1e6, w_max=w_max, k=(w_max * (1 - 0.7) / 0.4) ** (1 / 3), last_fail=8.0
    )
    found = [law.update(state, reply(at)).fill for at in (9.0, 10.0, 11.0, 12.0)]
    after = [4.670125557970046, 4.770870456867401, 6.011819748005445, 10.792973431384178]
    assert found == pytest.approx(after, rel=1e-14)


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
        ([0.1, 0.2, 0.3, 0.4, 0.49], 0.0, 0.0),
        ([1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 14.0], 0.1, 2.0),
        ([1.0, 1.0, 1.0, 2.0, 3.0], 1.0, 2.0),
    ],
)
def test_the_rate_clocker(times: list[float], low: float, high: float) -> None:
    measured = fed(BotocoreCubic(), [reply(t) for t in times])[-1].measured
    assert low - 1e-9 <= measured <= high + 1e-9


def test_until_it_is_throttled_calls_go_at_the_target() -> None:
    states = fed(BotocoreCubic(), [reply(0.1 * k) for k in range(1, 50)], target=1e6)
    assert {state.rate for state in states} == {1e6}


def test_the_least_rate_and_the_cap() -> None:
    # measured 0.08: 0.056 is too little
    state = fed(BotocoreCubic(), [reply(10.0, throttled=True)])[-1]
    assert state.fill == 0.5
    # Long after the throttle the cubic has gone through the roof: 2 x measured holds it.
    late = [reply(10.0, throttled=True), *(reply(1000.0 + 0.5 * k) for k in range(30))]
    after = fed(BotocoreCubic(), late)[-1]
    assert after.fill == 2.0 * after.measured
    assert after.measured == pytest.approx(2.0, rel=1e-3)


def test_the_least_rate_is_a_parameter() -> None:
    # 0.7 x 0.8 / 4 = 0.14
    state = fed(BotocoreCubic(min_rate=0.2), [reply(4.0, throttled=True)])[-1]
    assert state.fill == 0.2


@pytest.mark.parametrize(("rate", "back"), [(10.0, 1.957), (100.0, 4.217), (1000.0, 9.086)])
def test_the_way_back_takes_k_and_twice_the_rate_two_and_a_half_k(rate: float, back: float) -> None:
    law = BotocoreCubic()
    state = law.init(1e6)._replace(enabled=1.0, measured=rate, fill=1e6, last_bucket=1e6)
    after = law.update(state, reply(1.0, throttled=True))
    assert after.k == pytest.approx(back, abs=5e-4)
    free = after._replace(measured=1e9)
    assert law.update(free, reply(1.0 + after.k)).fill == pytest.approx(rate, rel=1e-9)
    assert law.update(free, reply(1.0 + 2.494 * after.k)).fill == pytest.approx(
        2.0 * rate, rel=1e-3
    )


@pytest.mark.parametrize(
    "law",
    [
        BotocoreCubic(),
        BotocoreCubic(scale=0.04, beta=0.6, smoothing=0.1, cap=1.0, min_rate=0.2),
        BotocoreCubic(scale=40.0, beta=0.3, smoothing=1.0, cap=4.0, min_rate=10.0),
        BotocoreCubic(scale=1000.0, beta=0.999, smoothing=0.5, cap=1000.0, min_rate=1e-3),
    ],
)
def test_beside_botocores_own_classes(law: BotocoreCubic) -> None:
    """10,000 random responses: the same measured rate, cubic parameters and bucket rate, to the
    bit.

    In turns: brisk, many at once, far apart, every one throttled, none.
    """
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
    cubic = throttling.CubicCalculator(0, 0.0, scale_constant=law.scale, beta=law.beta)
    tokens = bucket.TokenBucket(max_rate=1, clock=clock, min_rate=law.min_rate)
    clocker = adaptive.RateClocker(clock, smoothing=law.smoothing)
    limiter = adaptive.ClientRateLimiter(cubic, clocker, tokens, detector, clock)
    limiter._MAX_RATE_ADJUST_SCALE = law.cap
    state = law.init(1e6)
    draw = random.Random(5)
    for k in range(10_000):
        turn = k // 400 % 5
        at_once = 0.0 if draw.random() < 0.9 else 0.5
        clock.now += (
            draw.expovariate(50.0),
            at_once,
            draw.expovariate(1e-3),
            0.1,
            draw.choice([0.5, 1e-9]),
        )[turn]
        detector.throttled = draw.random() < (0.05, 0.5, 0.1, 1.0, 0.0)[turn]
        limiter.on_receiving_response()
        state = law.update(state, reply(clock.now, detector.throttled))
        assert state.measured == clocker.measured_rate, k
        assert (state.w_max, state.k, state.last_fail) == cubic.get_params_snapshot(), k
        assert state.fill == tokens.max_rate, k
