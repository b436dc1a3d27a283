"""A change of the wanted rate is an observation of no call: each law that commands a rate takes it
in.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
from helpers.laws import done, fed, memory_of, numbers
from helpers.observations import PIECES, TARGETS, observed, records
from hypothesis import given, settings
from hypothesis import strategies as st

from tpssim.controllers import CONTROLLERS
from tpssim.core.pacer import Pacer
from tpssim.core.schedule import AUTO
from tpssim.core.types import Observation

RATE_LAWS = [name for name, law in CONTROLLERS.items() if "rate" in law.actuators]
#: What they command follows from their own measure or clock, as in the original, up to the target.
RAMPING = (
    "botocore-cubic",
    "scrapy-autothrottle",
    "firestore-ramp",
    "bbr",
    "token-bucket",
    "pid",
    "seda",
)
#: Not begun with the target as their rate.
SLOW_STARTS = ("scrapy-autothrottle", "firestore-ramp", "bbr", "seda")


def changed(now: float, target: float) -> Observation:
    """The observation that another rate is wanted."""
    return Observation(now, target, math.nan, 0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize("name", [name for name in RATE_LAWS if name not in SLOW_STARTS])
@pytest.mark.parametrize(("old", "new"), [(0.25, 100.0), (100.0, 0.25), (50.0, 51.0)])
def test_a_rate_that_held_nothing_back_is_the_new_target_at_once(
    name: str, old: float, new: float
) -> None:
    law = CONTROLLERS[name]()
    state = law.update(law.init(old), changed(1.0, new), *memory_of(law))
    assert min(state.rate, new) == new


@pytest.mark.parametrize("name", [name for name in RATE_LAWS if name not in RAMPING])
@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    target=TARGETS,
    factor=st.sampled_from([0.01, 0.5, 0.999, 1.0, 1.001, 2.0, 100.0]),
)
def test_what_held_back_stays_and_is_at_most_the_new_target(
    name: str, data: st.DataObject, target: float, factor: float
) -> None:
    law = data.draw(records(name))
    history = observed(data.draw(PIECES), target)
    before = fed(law, history, target)[-1]
    memory = memory_of(law)
    state = law.init(target)
    for obs in history:
        state = law.update(state, obs, *memory)
    after = law.update(state, changed(history[-1].now + 1.0, target * factor), *memory)
    assert state == before
    if target * factor == target:
        assert numbers(after) == pytest.approx(numbers(before), nan_ok=True, rel=0.0, abs=0.0)
    elif before.rate >= target:
        assert min(after.rate, target * factor) == target * factor
    else:
        assert after.rate == min(before.rate, target * factor)
    assert after[1:3] == before[1:3]


@pytest.mark.parametrize("name", RATE_LAWS)
@settings(max_examples=60, deadline=None)
@given(data=st.data(), target=TARGETS, factor=st.sampled_from([0.01, 0.5, 2.0, 100.0]))
def test_actuators_stay_sound_whatever_is_wanted(
    name: str, data: st.DataObject, target: float, factor: float
) -> None:
    law = data.draw(records(name))
    memory = memory_of(law)
    state = law.init(target)
    for k, obs in enumerate(observed(data.draw(PIECES), target)):
        wanted = target * factor if k % 3 == 1 else target
        if k % 3:
            state = law.update(state, changed(obs.now, wanted), *memory)
        state = law.update(state, obs._replace(target=wanted), *memory)
        assert all(type(value) is float for value in numbers(state)), state
        assert state.rate > 0.0
        if state.rate < math.inf:
            assert state.rate <= max(wanted, getattr(law, "min_rate", 0.0))
            assert state.rate >= min(wanted, getattr(law, "min_rate", 0.0))


@pytest.mark.parametrize("name", [name for name in RATE_LAWS if name not in (*SLOW_STARTS, "pid")])
def test_the_next_call_is_due_within_ten_milliseconds(name: str) -> None:
    # One call in 4 s, which takes 1 ms; after a second of waiting 100 a second are wanted.
    paced = Pacer(CONTROLLERS[name](), 0.25, 0.0, [0.5] * 9, [0.5] * 9, late=AUTO)
    assert paced.due() == 0.0
    assert paced.release(0.0)
    paced.settled(0.001, 0.001, 0.0, 0.0, 0.0, 1.0)
    while paced.look_at < 1.0:
        paced.look(paced.look_at)
    paced.retarget(1.0, 100.0)
    assert 1.0 <= paced.due() <= 1.01


@pytest.mark.parametrize("name", CONTROLLERS)
def test_a_target_that_hardly_moves_is_as_one_that_stands_still(name: str) -> None:
    # Half as many returns as are wanted, then twice as many; one in 40 calls is dropped.
    law, standing, moving, now = CONTROLLERS[name](), [], [], 0.0
    for k in range(400):
        now += 0.0203 if k < 200 else 0.0051  # no tie with a threshold
        latency = 0.4 if k < 200 else 0.01
        obs = done(now, latency, in_flight=min(k + 1.0, 12.0), dropped=k % 40 == 39)
        standing.append(obs)
        moving.append(obs._replace(target=100.0 + 1e-9 * k))
    for one, other in zip(fed(law, standing), fed(law, moving), strict=True):
        assert other[:3] == pytest.approx(one[:3], rel=1e-6)


@pytest.mark.parametrize("name", ["aimd", "ewma-deadzone"])
def test_a_service_that_is_too_slow_is_seen_on_a_slope(name: str) -> None:
    # A return each 20 ms where 10 ms are commanded, and a tenth of a call a second more each time.
    history = [done(0.02 * k, 0.02)._replace(target=100.0 + 0.1 * k) for k in range(20)]
    rates = [state.rate for state in fed(CONTROLLERS[name](), history)]
    assert min(rates) < 75.0


@pytest.mark.parametrize("name", ["aimd", "ewma-deadzone"])
def test_returns_on_time_cut_nothing_on_a_slope(name: str) -> None:
    # 0 to 200 a second in 2 s: slot k at sqrt(k / 50) s, the law begins with the peak; and back.
    up = [math.sqrt(k / 50.0) for k in range(1, 200)]
    for times, way in ((up, 100.0), ([2.0 - now for now in reversed(up)], -100.0)):
        history = [
            done(now, 0.0)._replace(target=way * now if way > 0.0 else 200.0 + way * now)
            for now in times
        ]
        rates = [state.rate for state in fed(CONTROLLERS[name](), history, 200.0)][1:]
        assert rates == pytest.approx([obs.target for obs in history])


def test_an_interval_that_spans_a_change_is_not_measured() -> None:
    # 4 s lie between two returns at 0.25 a second, and are no sign of a service that is slow at
    # 100.
    for name in ("aimd", "ewma-deadzone"):
        law = CONTROLLERS[name]()
        history: list[Any] = [done(0.0, 0.001), done(4.0, 0.001)]
        history = [obs._replace(target=0.25) for obs in history] + [
            changed(5.0, 100.0),
            done(5.01, 0.001),
        ]
        assert fed(law, history, 0.25)[-1].rate == 100.0, name


def test_a_smoothed_interval_keeps_its_ratio() -> None:
    law = CONTROLLERS["ewma-deadzone"]()
    history = [done(float(k), 0.001)._replace(target=1.0) for k in range(5)]
    state = fed(law, [*history, changed(4.5, 50.0)], 1.0)[-1]
    assert (state.rate, state.ewma * state.rate) == (50.0, pytest.approx(1.0))


def test_pid_starts_at_the_new_target_and_later_goes_on_as_simple_pid_does() -> None:
    law = CONTROLLERS["pid"](kp=0.0, ki=100.0)
    state = law.update(law.init(0.25), changed(1.0, 100.0))
    assert (state.rate, state.integral) == (100.0, 100.0)
    state = law.update(state, done(2.0, 0.1))
    assert law.update(state, changed(2.5, 400.0)).rate == 100.0
    # 0.1 s below the setpoint for a second: 100 x 0.1 x 1 more.
    state = law.update(
        law.update(state, changed(2.5, 400.0)), done(3.0, 0.1)._replace(target=400.0)
    )
    assert state.rate == pytest.approx(110.0)


def test_firestore_s_ramp_is_what_its_time_allows() -> None:
    law = CONTROLLERS["firestore-ramp"]()
    state = law.update(law.init(10.0), changed(1.0, 1e6))
    assert state.rate == 500.0
    assert law.update(state, changed(300.0, 1e5)).rate == 750.0  # half as much again after 300 s


def test_pi_keeps_the_rate_that_it_found() -> None:
    # 40 of 100 a second are held in steady state; of 80 they are half, and the error has not
    # changed.
    law = CONTROLLERS["pi"](kp=0.0)
    state = law.init(100.0)._replace(rate=40.0, integral=0.4)
    state = law.update(state, changed(1.0, 80.0))
    assert (state.rate, state.integral) == (40.0, 0.5)
    # At the setpoint nothing moves.
    assert law.update(state, done(1.1, law.setpoint)._replace(target=80.0)).rate == 40.0


def test_bbr_keeps_its_gain_on_what_was_delivered() -> None:
    law = CONTROLLERS["bbr"]()
    memory = memory_of(law)
    # 20 delivered in a second: the startup's gain of 2.885 makes 57.7, of which 30 are wanted.
    state = law.update(law.init(30.0), Observation(1.0, 30.0, 0.01, 0.0, 20.0), *memory)
    assert state.rate == 30.0
    state = law.update(state, changed(1.5, 1000.0), *memory)
    assert state.rate == pytest.approx(57.7)
