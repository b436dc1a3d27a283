"""`pie` by hand, rule by rule, and the delay that it holds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers.laws import done, run

from tpssim.controllers.pie import Pie, PieState, next_probability
from tpssim.core.types import OK, REFUSED, Observation
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant

AT_ONCE = Pie(max_burst=0.0)


@pytest.mark.parametrize(
    ("p", "divisor"),
    [
        (0.0, 2048.0),
        (9.9e-7, 2048.0),
        (1e-6, 512.0),
        (1e-5, 128.0),
        (1e-4, 32.0),
        (1e-3, 8.0),
        (0.01, 2.0),
        (0.1, 1.0),
        (0.5, 1.0),
    ],
)
def test_steps_are_small_while_the_probability_is(p: float, divisor: float) -> None:
    # A steady 30 ms: 0.125 x 15 ms.
    assert next_probability(p, 0.03, 0.03, 0.015, 0.125, 1.25) == pytest.approx(
        p + 0.001875 / divisor
    )


def test_the_cap_the_decay_and_the_bounds() -> None:
    def after(p: float, q: float, old: float) -> float:
        return next_probability(p, q, old, 0.015, 0.125, 1.25)

    assert after(0.1, 1.0, 0.0) == pytest.approx(0.12)  # 1.373125 without the cap
    assert after(0.09, 1.0, 0.0) == pytest.approx(0.09 + 1.373125 / 2.0)
    assert after(0.5, 0.0, 1.0) == 0.0  # downwards there is no cap: 0.5 - 1.251875
    assert after(0.5, 0.0, 0.0) == pytest.approx((0.5 - 0.001875) * 0.98)
    assert after(0.5, 0.0, 0.02) == pytest.approx(0.5 - 0.001875 - 0.025)
    assert after(0.995, 1.0, 0.0) == 1.0


def controlled(state: PieState, **changes: float) -> PieState:
    """The state with other numbers in its control."""
    return state._replace(control=state.control._replace(**changes))


def test_a_step_every_period() -> None:
    # 30 ms at 15 ms: (0.125 x 15 + 1.25 x 30) / 1000 / 2048; again at 30 ms: + 0.001875 / 128.
    state = AT_ONCE.init(1000.0)
    state = AT_ONCE.admit(state, 0.0149, 0.03, 0.0)
    assert (state.control.probability, state.control.steps) == (0.0, 0.0)
    state = AT_ONCE.admit(state, 0.015, 0.03, 0.0)
    assert state.control.probability == pytest.approx(0.039375 / 2048.0)
    assert AT_ONCE.admit(state, 0.029, 0.5, 0.0).control.probability == state.control.probability
    state = AT_ONCE.admit(state, 0.03, 0.03, 0.0)
    assert state.control.probability == pytest.approx(0.039375 / 2048.0 + 0.001875 / 128.0)


def test_periods_that_passed_are_made_up_for_with_the_delay_that_there_was() -> None:
    # Released at 60 ms, due at 10 ms: at 15, 30, 45, 60 ms it had waited 5, 20, 35, 50 ms.
    state = AT_ONCE.admit(AT_ONCE.init(1000.0), 0.06, 0.05, 0.0)
    by_hand = 0.005 / 2048 + 0.019375 / 512 + 0.02125 / 128 + 0.023125 / 32
    assert state.control.probability == pytest.approx(by_hand)
    assert state.control.steps == 4.0
    assert state.control.old == pytest.approx(0.05)
    # Due at 50 ms: at 15, 30 and 45 ms nothing waited.
    idle = AT_ONCE.admit(AT_ONCE.init(1000.0), 0.06, 0.01, 0.0)
    assert idle.control.probability == pytest.approx((0.125 * -0.005 + 1.25 * 0.01) / 2048)


def test_steps_are_counted_in_nanoseconds() -> None:
    # A slot at the very time of a step finds it made: 43 x 16 ms / 16 ms is less than 43 in floats.
    law = Pie(max_burst=0.0, period=0.016)
    assert 0.688 / 0.016 < 43.0
    assert law.admit(law.init(1000.0), 0.688, 0.0, 0.0).control.steps == 43.0
    odd = Pie(max_burst=0.07, period=0.005)  # 0.07 / 0.005 is more
    assert odd.init(1000.0).control.burst == 14.0
    # Due at the time of the step: nothing had waited by then, so p decays, though 816 - 800 ms is
    # 16.000000000000014 in floats.
    state = controlled(law.init(1000.0), probability=0.5, steps=49.0)
    after = law.admit(state, 0.816, 0.816 - 0.8, 0.0)
    first = (0.5 - 0.001875) * 0.98  # at 800 ms, both delays 0
    # 0.02 is the most of 0.125 x 1 ms + 1.25 x 16 ms.
    assert after.control.probability == pytest.approx(first + 0.02)


def test_a_burst_is_allowed_for_ten_periods_and_again_once_nothing_waits() -> None:
    law = Pie(alpha=100.0)
    state = law.init(1000.0)
    for k in range(1, 10):
        state = law.admit(state, 0.015 * k + 1e-6, 0.1, 0.0)
        assert state.reject == 0.0
    assert state.control.burst == 1.0
    state = law.admit(state, 0.15 + 1e-6, 0.1, 0.0)
    assert (state.control.burst, state.control.probability) == (0.0, 1.0)
    rejects = [law.admit(state._replace(saved=float(n)), 0.151, 0.1, 0.0).reject for n in (0, 8)]
    assert rejects == [1.0, 1.0]
    for k in (11, 12):  # the second step finds both delays below 7.5 ms
        assert state.control.burst == 0.0
        state = law.admit(state, 0.015 * k + 1e-6, 0.0, 0.0)
    assert (state.control.probability, state.control.burst) == (0.0, 10.0)


def test_nothing_is_refused_while_the_queue_is_short() -> None:
    def rejects(p: float, old: float, lag: float) -> float:
        state = controlled(AT_ONCE.init(1000.0), probability=p, old=old)._replace(saved=1.0)
        return AT_ONCE.admit(state, 0.001, lag, 0.0).reject

    assert rejects(0.19, 0.0074, 0.1) == 0.0  # the last delay below 7.5 ms, p below 0.2
    assert rejects(0.19, 0.0075, 0.1) == 0.19
    assert rejects(0.2, 0.0, 0.1) == 0.2
    assert rejects(0.3, 0.02, 0.0029) == 0.0  # two slots wait behind this one
    assert rejects(0.3, 0.02, 0.0031) == 0.3


def test_derandomisation() -> None:
    state = controlled(AT_ONCE.init(1000.0), probability=0.3, old=0.02)
    rejects = []
    for _ in range(29):
        state = AT_ONCE.admit(state, 0.001, 0.02, 0.0)
        rejects.append(state.reject)
    # 0.3 and 0.6 are below 0.85; 28 x 0.3 = 8.4; 29 x 0.3 is above 8.5.
    assert rejects == [0.0] * 2 + [0.3] * 26 + [1.0]
    refusal = Observation(0.001, 1000.0, math.nan, 0.02, 0.0, 0.0, 1.0, 0.0, 1.0)
    state = AT_ONCE.update(state, refusal)
    assert (state.saved, state.reject) == (0.0, 1.0)
    assert AT_ONCE.admit(state, 0.001, 0.02, 0.0).reject == 0.0
    nothing = controlled(state, probability=0.0)._replace(saved=3.0)
    assert AT_ONCE.admit(nothing, 0.001, 0.02, 0.0).saved == 0.0
    plain = AT_ONCE._replace(derandomise=0.0)
    assert plain.admit(state, 0.001, 0.02, 0.0).reject == 0.3


def test_a_long_pause_ends_calm() -> None:
    state = controlled(Pie().init(1000.0), probability=1.0, old=0.5, burst=0.0)
    state = Pie().admit(state, 1e6, 0.0, 0.0)
    assert (state.control.probability, state.control.old, state.control.burst) == (0.0, 0.0, 10.0)
    assert state.control.steps == math.floor(1e6 / 0.015)


def test_a_queue_that_only_the_latencies_show() -> None:
    law = Pie(max_burst=0.0, signal=1.0)
    state = law.update(law.init(100.0), done(0.01, 0.02))
    state = law.update(state, done(0.02, 0.05))  # one step has passed, while the estimate was 0
    assert (state.control.steps, state.control.probability) == (1.0, 0.0)
    assert state.queued == pytest.approx(0.03)
    state = law.update(state, done(0.031, 0.02))  # another, at 30 ms
    assert (state.queued, state.control.steps) == (0.0, 2.0)
    assert state.control.probability == pytest.approx(0.039375 / 2048)
    high = controlled(state, probability=0.5)._replace(saved=1.0)
    assert law.admit(high, 0.032, 0.0, 2.0).reject == 0.0  # two calls in flight are no queue
    assert law.admit(high, 0.032, 0.0, 3.0).reject == 0.5


def test_it_holds_the_delay() -> None:
    # 1000 wanted, 800 borne by a blocking service: a fifth must go, and 15 ms are to be waited.
    trace = run(Scenario("s", Constant(0.00125), target=1000.0, duration=60.0), Pie())
    late = trace.scheduled > 30.0
    refused = np.mean(trace.outcome[late] == REFUSED)
    assert refused == pytest.approx(0.2, abs=0.01)
    served = late & (trace.outcome == OK)
    waits = trace.released[served] - trace.scheduled[served]
    assert np.mean(waits) == pytest.approx(0.015, rel=0.15)


def test_why() -> None:
    law, obs = Pie(), done(0.0, 0.01)
    first = law.admit(law.init(1000.0), 0.015, 0.03, 0.0)
    assert law.why(first, obs, first) == (
        "delay 30 ms, probability 1.92e-05, a burst is allowed for 0.135 s more"
    )
    calm = controlled(first, burst=0.0, old=0.001)
    assert law.why(first, obs, calm) == "delay 1 ms, probability 1.92e-05, no queue to speak of"
    busy = controlled(first, burst=0.0)._replace(saved=0.5)
    assert law.why(first, obs, busy) == (
        "delay 30 ms, probability 1.92e-05, 0.5 saved up since the last refusal"
    )
