"""PID on the response time, as the package simple-pid computes it."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from tpssim.core.types import Observation, described, record
from tpssim.core.validation import FLAG, Range


@record
class PidState(NamedTuple):
    rate: float
    limit: float
    reject: float
    proportional: float
    integral: float
    derivative: float
    time: float  #: of the last computation, s
    output: float  #: nan before the first
    last_input: float  #: nan before the first
    last_error: float  #: nan before the first
    target: float  #: the target last seen, 1/s


@described(
    """Hold `lag + latency` at a setpoint by the three terms, with the integral clamped.

    With `input = lag + latency`, `error = setpoint - input`, `dt` since the last computation::

        dt < sample_time:   the last output
        P = kp * error                     (p_on_input: P <- P - kp * change of input)
        I = clamp(I + ki * error * dt)
        D = - kd * change of input / dt    (d_on_error: kd * change of error / dt)
        rate = clamp(P + I + D)            into [min_rate, target]

    The integral starts at the target, so the rate does. **Clamping is weak anti-windup**: with P at
    a bound the integral still moves; `Pi` stops that.

    Deviations: the clock is the law's `now`; an observation without a latency is skipped; the
    limits are the target and `min_rate`, as set again with every target: below one that rises the
    output goes on from where it is, as simple-pid's does; before the first computation it starts at
    the new one.

    >>> law = Pid(kp=100.0, ki=0.0, kd=0.0, setpoint=0.5)
    >>> law.update(law.init(100.0), Observation(1.0, 100.0, 0.8, 0.0)).rate  # 100 (0.5 - 0.8) + 100
    70.0
    """,
    actuators=("rate",),
    signals="lag + latency",
    origin="m-lundberg/simple-pid 2.0.1 (MIT)",
    year=2018,
    needs_target=True,
)
@record
class Pid(NamedTuple):
    kp: Annotated[
        float,
        Range(0.0, 1e6, "1/s per s", search=(1.0, 1000.0), log=True),
        "proportional gain: the rate for a second of error",
    ] = 100.0
    ki: Annotated[
        float,
        Range(0.0, 1e6, "1/s per s s", search=(1.0, 1000.0), log=True),
        "integral gain: the rate for a second of error that lasts for a second",
    ] = 100.0
    kd: Annotated[
        float,
        Range(0.0, 1e6, "1/s per s/s", search=(0.0, 100.0)),
        "derivative gain: the rate for an input that grows by a second in a second",
    ] = 0.0
    setpoint: Annotated[
        float, Range(0.0, 1e6, "s", False, search=(0.02, 2.0), log=True), "lag + latency to keep to"
    ] = 0.2
    sample_time: Annotated[
        float, Range(0.0, 60.0, "s", search=(0.0, 1.0)), "least time between two computations"
    ] = 0.01
    p_on_input: Annotated[
        float,
        Range(0.0, 1.0, FLAG),
        "0: the proportional term follows the error; 1: the change of the input",
    ] = 0.0
    d_on_error: Annotated[
        float, Range(0.0, 1.0, FLAG), "0: the derivative term follows the input; 1: the error"
    ] = 0.0
    min_rate: Annotated[
        float,
        Range(0.0, 1e6, "1/s", False, search=(0.1, 10.0), log=True),
        "least rate that is commanded",
    ] = 1.0

    def init(self, target: float) -> PidState:
        return begun(target)

    def update(self, state: PidState, obs: Observation) -> PidState:
        high = max(obs.target, self.min_rate)
        if math.isnan(state.output) and obs.target != state.target:
            state = begun(obs.target)  # nothing was computed yet
        if high < state.integral or high < state.rate:
            # The target has fallen: simple-pid clamps both when its limits are set.
            state = within(state, self.min_rate, high)
        if obs.count < 1.0 or math.isnan(obs.latency):
            return state
        now = obs.now
        dt = now - state.time
        if dt == 0.0:
            dt = 1e-16
        if dt < self.sample_time and not math.isnan(state.output):
            return state
        given = obs.lag + obs.latency
        error = self.setpoint - given
        change = 0.0 if math.isnan(state.last_input) else given - state.last_input
        error_change = 0.0 if math.isnan(state.last_error) else error - state.last_error
        proportional = (
            self.kp * error if self.p_on_input == 0.0 else state.proportional - self.kp * change
        )
        integral = state.integral + self.ki * error * dt
        integral = max(self.min_rate, min(integral, high))
        derivative = (
            -self.kd * change / dt if self.d_on_error == 0.0 else self.kd * error_change / dt
        )
        output = proportional + integral + derivative
        output = self.min_rate if math.isnan(output) else max(self.min_rate, min(output, high))
        return PidState(
            rate=output,
            limit=state.limit,
            reject=state.reject,
            proportional=proportional,
            integral=integral,
            derivative=derivative,
            time=now,
            output=output,
            last_input=given,
            last_error=error,
            target=obs.target,
        )

    def why(self, before: PidState, obs: Observation, after: PidState) -> str:
        if math.isnan(after.output):
            return "nothing computed yet"
        terms = f"P {after.proportional:.4g}, I {after.integral:.4g}, D {after.derivative:.4g}"
        return f"response {after.last_input:.3g} s for {self.setpoint:g}: {terms}"


def begun(target: float) -> PidState:
    """The state before the first computation."""
    nan = math.nan
    return PidState(
        rate=target,
        limit=math.inf,
        reject=0.0,
        proportional=0.0,
        integral=target,
        derivative=0.0,
        time=0.0,
        output=nan,
        last_input=nan,
        last_error=nan,
        target=target,
    )


def within(state: PidState, low: float, high: float) -> PidState:
    """The state with its integral and its output inside new limits.

    >>> within(Pid().init(100.0), 1.0, 40.0)[:5]
    (40.0, inf, 0.0, 0.0, 40.0)
    """
    output = state.output if math.isnan(state.output) else max(low, min(state.output, high))
    return PidState(
        rate=max(low, min(state.rate, high)),
        limit=state.limit,
        reject=state.reject,
        proportional=state.proportional,
        integral=max(low, min(state.integral, high)),
        derivative=state.derivative,
        time=state.time,
        output=output,
        last_input=state.last_input,
        last_error=state.last_error,
        target=state.target,
    )
