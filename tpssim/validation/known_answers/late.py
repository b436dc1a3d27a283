"""Late feedback: the limit cycle of an AIMD behind a control plane."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tpssim.core.types import Observation, record
from tpssim.scenarios.feedback import Feedback
from tpssim.scenarios.plant import Backend
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_quotas import ServiceQuota
from tpssim.scenarios.service_times import Constant
from tpssim.theory import late_aimd_period
from tpssim.validation.known_answers.common import (
    COMPLETION_FEEDBACK,
    Case,
    Found,
    found_in_parts,
    simulated,
)
from tpssim.validation.vector_cases import Statistic

CAPACITY, PERIOD, STEP, RATIO = 50.0, 2.0, 4.0, 0.5
DELAYS = (0.0, 4.0, 8.0, 16.0)
CYCLES = 15


@record
class LateState(NamedTuple):
    rate: float
    limit: float
    reject: float
    blind: float  #: until when what is seen was sent before the last cut, s


@record
class LateAimd(NamedTuple):
    """Rate + `STEP` a period, times `RATIO` if a call of the period was refused; from 10/s.

    What was sent before a cut cuts no more: it is seen until `delay` after the cut, and its last
    answers in the period behind.
    """

    delay: float

    def init(self, target: float) -> LateState:
        return LateState(10.0, math.inf, 0.0, 0.0)

    def update(self, state: LateState, obs: Observation) -> LateState:
        if obs.drops > 0.0 and obs.now > state.blind:
            blind = obs.now + self.delay + 1.5 * PERIOD
            return LateState(state.rate * RATIO, math.inf, 0.0, blind)
        return LateState(state.rate + STEP, math.inf, 0.0, state.blind)


def _late(seed: int) -> Found:
    # The service takes 100 calls in each period of the control plane, and refuses the others.
    quota = ServiceQuota(CAPACITY * PERIOD, PERIOD, window="fixed")
    plant = Scenario("late", Constant(0.001), 20.0 * CAPACITY, 1.0, COMPLETION_FEEDBACK)
    plant = plant._replace(backend=Backend(quotas=(quota,)))
    parts, calls = [], 0
    for delay in DELAYS:
        theory = late_aimd_period(CAPACITY, STEP, RATIO, PERIOD, delay)
        late = plant._replace(duration=(CYCLES + 3) * theory, feedback=Feedback(PERIOD, delay))
        (trace,) = simulated(late, LateAimd(delay), seed, 1)
        cuts = trace.released[1:][np.diff(trace.rate) < 0.0][1:]
        # Without two cuts there is no cycle, or one as long as the run.
        found = float(np.diff(cuts).mean()) if len(cuts) > 1 else late.duration
        # Where in a step the capacity lies, which is not the same in each cycle.
        away = (1.0 - RATIO) * PERIOD / 2.0
        parts.append(Statistic(f"period of delay {delay:g} s", found, theory - away, theory + away))
        calls += len(trace.released)
    return found_in_parts(parts, calls)


CASES: dict[str, Case] = {
    "late AIMD": Case(
        "refusals seen 0, 4, 8 and 16 s late: the limit cycle grows by half of the delay", _late
    ),
}
