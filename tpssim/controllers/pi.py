"""PI on the response time, with back-calculation: a bound that is reached does not wind the
integral up.
"""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from tpssim.controllers._target_changes import followed
from tpssim.core.types import Observation, described, record
from tpssim.core.validation import Range


@record
class PiState(NamedTuple):
    rate: float
    limit: float
    reject: float
    integral: float  #: x target
    time: float  #: of the last observation, s
    target: float  #: the target last seen, 1/s


@described(
    """Hold `lag + latency` at a setpoint by a proportional and an integral term.

    With `error = max(-1, (setpoint - lag - latency) / setpoint)` and `dt` since the last
    observation::

        wanted    = kp * error + integral                         (x target)
        share     = max(min_rate / target, min(wanted, 1)),  rate = share * target
        integral <- integral + dt / ti * (kp * error + share - wanted)

    The last term is the back-calculation: while the rate is at a bound, the integral tracks what
    the bound allows, so it leaves the bound as soon as the error turns. `integral` starts at 1: the
    rate at the target.

    A backlog grows by `(rate - capacity) / capacity` seconds a second: for the normalised error an
    integrator of gain `target / (capacity * setpoint)`, for which `tpssim.theory.simc` gives `kp`
    and `ti`. The defaults are its answer for a target of twice the capacity and a dead time of a
    quarter of the setpoint.

    Deviations: the error is bounded below at -1, so that one very slow call weighs no more than a
    full setpoint; when the target is changed, a rate that held back stays (`integral` is a share of
    the target).

    >>> law = Pi(kp=0.5, setpoint=0.2)
    >>> law.update(law.init(100.0), Observation(0.0, 100.0, 0.3, 0.0)).rate  # 0.5 x (-0.5) + 1
    75.0
    """,
    actuators=("rate",),
    signals="lag + latency",
    origin=(
        "the textbook's PI with back-calculation (Astrom and Hagglund), tuned by SIMC (Skogestad)"
    ),
    year=2003,
    needs_target=True,
)
@record
class Pi(NamedTuple):
    kp: Annotated[
        float,
        Range(0.0, 100.0, "x target", search=(0.05, 5.0), log=True),
        "proportional gain: the part of the target for an error of one setpoint",
    ] = 1.0
    ti: Annotated[
        float,
        Range(0.0, 1e6, "s", False, search=(0.02, 10.0), log=True),
        "integral time: how long an error must last until its integral weighs as much as itself",
    ] = 0.4
    setpoint: Annotated[
        float, Range(0.0, 1e6, "s", False, search=(0.02, 2.0), log=True), "lag + latency to keep to"
    ] = 0.2
    min_rate: Annotated[
        float,
        Range(0.0, 1e6, "1/s", False, search=(0.1, 10.0), log=True),
        "least rate that is commanded",
    ] = 1.0

    def init(self, target: float) -> PiState:
        return PiState(target, math.inf, 0.0, 1.0, 0.0, target)

    def update(self, state: PiState, obs: Observation) -> PiState:
        held, integral = followed(state.rate, state.target, obs.target), state.integral
        if obs.target != state.target and held < obs.target:
            # The rate stays, so its share of the target does not.
            integral = min(integral * (state.target / obs.target), max(integral, 1.0))
        if obs.count < 1.0 or math.isnan(obs.latency):
            return PiState(
                held,
                state.limit,
                state.reject,
                integral,
                state.time,
                obs.target,
            )
        error = max(-1.0, (self.setpoint - obs.lag - obs.latency) / self.setpoint)
        dt = min(max(obs.now - state.time, 0.0), self.ti)
        wanted = self.kp * error + integral
        least = min(1.0, self.min_rate / obs.target)
        share = max(least, min(wanted, 1.0))
        integral = integral + dt / self.ti * (self.kp * error + share - wanted)
        rate = max(self.min_rate, min(share * obs.target, obs.target))
        return PiState(
            rate,
            state.limit,
            state.reject,
            integral,
            obs.now,
            obs.target,
        )

    def why(self, before: PiState, obs: Observation, after: PiState) -> str:
        response = obs.lag + obs.latency
        return (
            f"response {response:.3g} s for {self.setpoint:g}, integral {after.integral:.3g} of the"
            " target"
        )
