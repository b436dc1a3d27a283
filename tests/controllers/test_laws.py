"""The built-in laws on numbers worked by hand. Rows: (time of return, latency, rate after it)."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tpssim.controllers.aimd import Aimd
from tpssim.controllers.busy_time import BusyTime
from tpssim.controllers.ewma_deadzone import EwmaDeadzone
from tpssim.controllers.fixed import Fixed
from tpssim.core.errors import InputError
from tpssim.core.types import Observation
from tpssim.core.validation import checked

Rows = list[tuple[float, float, float]]


def follow(law: Any, target: float, rows: Rows) -> None:
    state = law.init(target)
    for now, latency, rate in rows:
        state = law.update(state, Observation(now, target, latency, 0.0))
        assert state.rate == pytest.approx(rate, rel=1e-12), f"at {now} s"


def test_fixed_holds_the_target_and_follows_its_change() -> None:
    law = Fixed()
    state = law.update(law.init(100.0), Observation(1.0, 100.0, 5.0, 9.0))
    assert state.rate == 100.0
    assert law.update(state, Observation(2.0, 40.0, 5.0, 9.0)).rate == 40.0


def test_aimd_by_hand() -> None:
    # Target 8, so the first interval is 1/8 s = 0.125 and the threshold 0.1875 s (exact in binary).
    rows = [
        (0.0, 0.1, 8.0),  # the first return only sets the mark
        (0.1875, 0.1, 8.0),  # exactly at the threshold is no breach: 8 + 1, held at the target
        (0.5, 0.1, 5.6),  # 0.3125 > 0.1875: 8 x 0.7
        (0.75, 0.1, 6.6),  # 0.25 <= 1.5 / 5.6 = 0.268: + 1
        (2.0, 0.1, 4.62),  # 1.25 > 1.5 / 6.6: 6.6 x 0.7
    ]
    follow(Aimd(), 8.0, rows)


def test_aimd_never_falls_below_its_floor() -> None:
    # 1.2 x 0.5 = 0.6, held at min_rate = 1.
    follow(Aimd(dec_rate=0.5), 1.2, [(0.0, 0.0, 1.2), (100.0, 0.0, 1.0), (200.0, 0.0, 1.0)])


def test_aimd_shares_an_interval_among_the_completions_of_a_sum() -> None:
    law = Aimd()
    state = law.update(law.init(10.0), Observation(0.0, 10.0, 0.0, 0.0))
    # Five completions in 0.5 s are 0.1 s each: on time at 10/s. One alone would be late.
    assert law.update(state, Observation(0.5, 10.0, 0.0, 0.0, 5.0)).rate == 10.0
    assert law.update(state, Observation(0.5, 10.0, 0.0, 0.0, 1.0)).rate == 7.0


def test_ewma_deadzone_by_hand() -> None:
    # Target 10, interval 0.1 s; alpha 0.2.
    rows = [
        (0.0, 0.0, 10.0),
        (0.2, 0.0, 9.0),  # ewma = 0.2 (first), ratio 2 > 1.1: x 0.9
        (0.3, 0.0, 8.1),  # ewma = 0.02 + 0.16 = 0.18, ratio 0.18 x 9 = 1.62: x 0.9
        (0.4, 0.0, 7.29),  # ewma = 0.02 + 0.144 = 0.164, ratio 0.164 x 8.1 = 1.328: x 0.9
        (
            0.5,
            0.0,
            6.561,
        ),  # ewma = 0.02 + 0.1312 = 0.1512, ratio 0.1512 x 7.29 = 1.102: x 0.9, just
        (0.6, 0.0, 7.561),  # ewma = 0.02 + 0.12096 = 0.14096, ratio x 6.561 = 0.925 < 0.95: + 1
        (0.7, 0.0, 7.561),  # ewma = 0.02 + 0.112768 = 0.132768, ratio x 7.561 = 1.004: held
    ]
    follow(EwmaDeadzone(), 10.0, rows)


def test_ewma_deadzone_holds_at_both_edges() -> None:
    # alpha 1: the ratio is the last interval x rate. 0.125 s at 8/s is 1, the edge of both
    # comparisons.
    law = EwmaDeadzone(alpha=1.0, deadzone=1.0, low=1.0)
    state = law.init(16.0)._replace(rate=8.0, last=0.0)
    assert law.update(state, Observation(0.125, 16.0, 0.0, 0.0)).rate == 8.0


def test_ewma_deadzone_cannot_see_spare_capacity() -> None:
    # Released on time, returns lie one commanded interval apart, however fast the service: nothing
    # moves.
    law = EwmaDeadzone()
    state = law.init(200.0)._replace(rate=32.0, last=0.0, ewma=1.0 / 32.0)
    for k in range(1, 1000):
        state = law.update(state, Observation(k / 32.0, 200.0, 0.0005, 0.0))
    assert state.rate == 32.0


def test_busy_time_by_hand() -> None:
    # Target 10; alpha 0.5, dead zone 0.9 to 1.0, x 0.8, + a tenth of the target.
    law = BusyTime(alpha=0.5, high=1.0, low=0.9, dec_rate=0.8, inc_step=0.1)
    rows = [
        (0.0, 0.25, 8.0),  # busy 0.25 (first), load 2.5 > 1: 10 x 0.8
        (0.2, 0.05, 6.4),  # busy 0.15, load 0.15 x 8 = 1.2: x 0.8
        (0.4, 0.15, 6.4),  # busy 0.15, load 0.15 x 6.4 = 0.96: held
        (0.6, 0.05, 7.4),  # busy 0.10, load 0.64 < 0.9: + 1
        (0.8, 0.02, 8.4),  # busy 0.06, load 0.444: + 1
        (1.0, 0.00, 9.4),  # busy 0.03
        (1.2, 0.00, 10.0),  # busy 0.015: + 1, held at the target
    ]
    follow(law, 10.0, rows)


def test_busy_time_holds_at_both_edges() -> None:
    law = BusyTime(alpha=1.0, high=1.0, low=1.0)
    state = law.init(16.0)._replace(rate=8.0)
    assert law.update(state, Observation(0.0, 16.0, 0.125, 0.0)).rate == 8.0


def test_busy_time_sees_spare_capacity() -> None:
    # The run in which ewma-deadzone never moves: busy 0.5 ms of 31 ms, + 1 a call, 200 after 168
    # calls.
    law = BusyTime(inc_step=1.0 / 200.0)
    state = law.init(200.0)._replace(rate=32.0)
    rates = []
    for k in range(200):
        state = law.update(state, Observation(k / 32.0, 200.0, 0.0005, 0.0))
        rates.append(state.rate)
    assert rates[166] == 199.0
    assert rates[167] == rates[-1] == 200.0


def test_busy_time_ignores_a_call_without_busy_time() -> None:
    law = BusyTime()
    state = law.update(law.init(10.0), Observation(0.0, 10.0, 0.05, 0.0))
    assert law.update(state, Observation(1.0, 10.0, math.nan, 0.0)) == state
    failed = Observation(1.0, 10.0, 9.0, 0.0, 1.0, errors=1.0)
    assert law.update(state, failed) == state
    # a timeout kept the consumer busy
    assert law.update(state, failed._replace(drops=1.0)).busy > state.busy


@pytest.mark.parametrize("record", [EwmaDeadzone(low=1.2), BusyTime(low=0.99, high=0.9)])
def test_a_dead_zone_upside_down_is_refused(record: Any) -> None:
    with pytest.raises(InputError, match=r"low=.* lies above"):
        checked(record, "law")


def test_why_names_the_reason() -> None:
    aimd = Aimd()
    first = aimd.update(aimd.init(10.0), Observation(0.0, 10.0, 0.0, 0.0))
    obs = Observation(1.0, 10.0, 0.0, 0.0)
    assert (
        aimd.why(first, obs, aimd.update(first, obs))
        == "returned later than 1.5 intervals after the last"
    )
    law = BusyTime()
    obs = Observation(0.0, 10.0, 0.2, 0.0)
    reason = law.why(law.init(10.0), obs, law.update(law.init(10.0), obs))
    assert reason == "consumer busy 200 % of the commanded interval, too much"
