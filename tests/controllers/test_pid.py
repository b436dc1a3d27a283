"""`pid` beside simple-pid, and `pi` with the anti-windup that it lacks."""

from __future__ import annotations

import math
import random

import pytest
from helpers.laws import fed, run

from tpssim.controllers.pi import Pi
from tpssim.controllers.pid import Pid
from tpssim.core.types import Observation
from tpssim.scenarios.disturbances import Step
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant
from tpssim.theory import simc


def observation(now: float, given: float, target: float = 1e6) -> Observation:
    return Observation(now, target, given, 0.0)


def parts(law: Pid, rows: list[float], dt: float) -> list[tuple[float, float, float]]:
    # The integral starts at 0 here, as simple-pid's does; bounds are out of the way.
    state = law.init(1e6)._replace(integral=0.0)
    found = []
    for k, given in enumerate(rows, start=1):
        state = law.update(state, observation(k * dt, given))
        found.append((state.proportional, state.integral, state.derivative))
    return found


def test_the_three_terms() -> None:
    # Setpoint 10. P(1): 0 -> 10, 5 -> 5, -5 -> 15; I(10) with dt 0.1: 10, 20.
    p = Pid(kp=1.0, ki=0.0, kd=0.0, setpoint=10.0)
    assert [t[0] for t in parts(p, [0.0, 5.0, -5.0], 1.0)] == [10.0, 5.0, 15.0]
    i = Pid(kp=0.0, ki=10.0, kd=0.0, setpoint=10.0)
    assert [t[1] for t in parts(i, [0.0, 0.0], 0.1)] == pytest.approx([10.0, 20.0])
    # D(0.1), dt 0.1: 0, 0, 0, then 5 -> -5, 15 -> -10. P 1, D 1: 5 -> (5, 0, -50).
    d = Pid(kp=0.0, ki=0.0, kd=0.1, setpoint=10.0)
    slopes = [t[2] for t in parts(d, [0.0, 0.0, 0.0, 5.0, 15.0], 0.1)]
    assert slopes == pytest.approx([0.0, 0.0, 0.0, -5.0, -10.0])
    both = Pid(kp=1.0, ki=0.0, kd=1.0, setpoint=10.0)
    first, second = parts(both, [0.0, 5.0], 0.1)
    assert first == (10.0, 1.0, 0.0)  # the integral is held at min_rate
    assert (second[0], second[2]) == pytest.approx((5.0, -50.0))


@pytest.mark.parametrize(
    ("p_on_input", "d_on_error"), [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)]
)
def test_beside_simple_pid(p_on_input: float, d_on_error: float) -> None:
    """10,000 random observations: the same output and terms, to the bit."""
    package = pytest.importorskip("simple_pid")
    now = [0.0]
    theirs = package.PID(
        3.0,
        2.0,
        0.05,
        setpoint=0.5,
        sample_time=0.01,
        output_limits=(1.0, 100.0),
        proportional_on_measurement=bool(p_on_input),
        differential_on_measurement=not d_on_error,
        starting_output=100.0,
        time_fn=lambda: now[0],
    )
    law = Pid(3.0, 2.0, 0.05, 0.5, 0.01, p_on_input, d_on_error, 1.0)
    state = law.init(100.0)
    draw = random.Random(7)
    for k in range(10_000):
        now[0] += draw.choice([0.0, 0.004, draw.expovariate(10.0)])
        given = draw.lognormvariate(-1.0, 1.0)
        output = theirs(given)
        state = law.update(state, observation(now[0], given, 100.0))
        assert state.rate == output, k
        assert (state.proportional, state.integral, state.derivative) == theirs.components, k


def test_another_target_is_another_limit_of_simple_pid() -> None:
    """Its integral and its last output are clamped when the limits are set, not when it computes
    next.
    """
    package = pytest.importorskip("simple_pid")
    now = [0.0]
    theirs = package.PID(
        3.0, 2.0, 0.05, 0.5, 0.01, (1.0, 100.0), time_fn=lambda: now[0], starting_output=100.0
    )
    law = Pid(3.0, 2.0, 0.05, 0.5, 0.01)
    state, target = law.init(100.0), 100.0
    draw = random.Random(3)
    for k in range(5_000):
        if k % 7 == 6:
            target = draw.choice([1.0, 5.0, 50.0, 100.0, 1e4])
            theirs.output_limits = (1.0, target)
            state = law.update(state, Observation(now[0], target, math.nan, 0.0, 0.0))
            assert (state.rate, state.integral) == (theirs._last_output, theirs.components[1]), k
        now[0] += draw.choice([0.0, 0.004, draw.expovariate(10.0)])
        given = draw.lognormvariate(-1.0, 1.0)
        assert theirs(given) == law.update(state, observation(now[0], given, target)).rate, k
        state = law.update(state, observation(now[0], given, target))
        assert (state.proportional, state.integral, state.derivative) == theirs.components, k


def test_a_rate_at_a_bound_does_not_wind_the_integral_up() -> None:
    """Ten seconds of a service that is far too slow, then a quick one: at once up again."""
    service = Constant(0.005)
    scenario = Scenario(
        "s", service, target=100.0, duration=40.0, disturbances=(Step(10.0, 20.0, factor=40.0),)
    )

    def back(law: object) -> float:
        trace = run(scenario, law)
        return float(trace.released[(trace.released > 20.0) & (trace.rate > 95.0)][0])

    assert back(Pi()) < back(Pi(ti=4.0)) < 40.0
    # Idle for an hour at the bound: the integral stays at what the bound allows.
    state = fed(Pi(), [observation(float(k), 0.001, 100.0) for k in range(3600)])[-1]
    assert (state.integral, state.rate) == (1.0, 100.0)


def test_pi_by_hand() -> None:
    # kp 1, ti 0.4, setpoint 0.2: 0.1 s is an error of 0.5; wanted 1.5, share 1: I + dt/ti x 0 = 1.
    law = Pi()
    assert fed(law, [observation(0.1, 0.1, 100.0)])[-1].integral == 1.0
    # 0.3 s: error -0.5, wanted 0.5: I = 1 + 0.1/0.4 x (-0.5) = 0.875.
    state = fed(law, [observation(0.1, 0.3, 100.0)])[-1]
    assert (state.rate, state.integral) == pytest.approx((50.0, 0.875))
    # An hour is cut to an error of -1, a wait of an hour to ti: wanted -0.125, share 0.01: 0.875 -
    # 1 + 0.135.
    state = law.update(state, observation(3600.0, 3600.0, 100.0))
    assert state.rate == 1.0
    assert state.integral == pytest.approx(0.875 + (-1.0 + 0.01 + 0.125))


def test_simc() -> None:
    # Skogestad's rules, tc = theta: tau / (2 k theta), min(tau, 8 theta).
    assert simc(1.0 / 4.0, 4.0, 1.0) == (2.0, 4.0)
    assert simc(1.0 / 10.0, 10.0, 1.0) == (5.0, 8.0)
    assert simc(10.0, float("inf"), 0.05) == pytest.approx((1.0, 0.4))  # the defaults of `Pi`
    with pytest.raises(ValueError, match="slope=0"):
        simc(0.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="delay=0"):
        simc(1.0, 1.0, 0.0)
