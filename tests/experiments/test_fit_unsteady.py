"""What a service did that its twin does not is said: standing still, and changes without steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tpssim
from tpssim import Async, Backend, Constant, Scenario, Stall, simulate
from tpssim.experiments.fitting.changes import FLAT, Course
from tpssim.experiments.fitting.densities import Density
from tpssim.experiments.fitting.estimates import Estimate
from tpssim.experiments.fitting.implied import calls_of, implied
from tpssim.experiments.fitting.twin import Learned
from tpssim.experiments.fitting.unsaid import unsaid_of_names
from tpssim.experiments.fitting.unsteady import standing, stretches, unsaid_of_time
from tpssim.scenarios.recordings.calls import Recording

DELAY = 0.01002  # 10 ms of network and 20 us of the consumer
SERVICES: dict[str, Any] = {
    "constant": tpssim.Constant(0.02),
    "exponential": tpssim.Exponential(0.02),
    "lognormal": tpssim.Lognormal(0.02, 1.5),
    "pareto": tpssim.Pareto(0.02, 2.2),
}


def seen(kind: str, *disturbances: Any, servers: float = 6.0) -> tuple[Any, Learned]:
    """Calls of a service, and the truth of it as if it had been learned."""
    scenario = Scenario("known", SERVICES[kind], 45.0 * servers, 20.0, Async(feedback="completion"))
    scenario = scenario._replace(
        backend=Backend(servers=servers),
        network=Constant(0.01),
        poisson=1.0,
        disturbances=disturbances,
    )
    trace = simulate(scenario, "fixed", seed=2)
    done = np.isfinite(trace.completed)
    calls = calls_of(trace.released[done], trace.completed[done])
    exactly = Estimate(servers, servers, servers)
    delay = Estimate(DELAY, DELAY, DELAY)
    density = Density(kind, SERVICES[kind], 0.0, 1, 0.0)
    times = implied(calls, servers, DELAY).time
    mean, cv = Estimate(0.02, 0.02, 0.02), Estimate(1.0, 1.0, 1.0)
    return calls, Learned(exactly, delay, density, times, mean, cv, FLAT, {})


@pytest.mark.parametrize("kind", SERVICES)
def test_a_stall_is_seen_when_it_was(kind: str) -> None:
    (found,) = standing(*seen(kind, Stall(8.0, 9.0)))
    # The last answer before it came a call or two before, each answer 10 ms after the service.
    assert found.start == pytest.approx(8.01, abs=0.03)
    assert found.end == pytest.approx(9.01, abs=0.03)
    assert found.calls >= 5


@pytest.mark.parametrize("kind", SERVICES)
def test_a_service_that_works_does_not_stand_still(kind: str) -> None:
    assert standing(*seen(kind)) == []


def test_of_one_server_a_stall_may_be_a_long_call() -> None:
    assert standing(*seen("exponential", Stall(8.0, 9.0), servers=1.0)) == []


def test_a_swing_that_steps_do_not_describe_is_said() -> None:
    draw = np.random.default_rng(3)
    steady = draw.exponential(0.02, 4800)
    assert stretches(steady) is None
    swing = 1.0 + 0.5 * np.sin(np.arange(4800) / 4800.0 * 2.0 * np.pi * 3.0)
    levels = stretches(steady * swing)
    assert levels is not None
    assert 0.4 < levels.min() < 0.7
    assert 1.3 < levels.max() < 1.8


def test_it_is_said_in_words_with_a_command() -> None:
    calls, found = seen("exponential", Stall(8.0, 9.0))
    rising = found._replace(course=Course((2.0, 4.0, 6.0), (1.0, 1.01, 1.02, 1.03)))
    stalls, ramp = unsaid_of_time(calls, rising, "tpssim live")
    assert (stalls.name, ramp.name) == ("stalls", "changes")
    assert stalls.because.startswith("no answer came from 8.0")
    assert ramp.because.startswith("3 changes follow one another in one direction")
    assert stalls.experiment == ramp.experiment == "tpssim live"


def test_calls_of_other_names_that_were_left_out_are_said() -> None:
    both = Recording.of([0.0, 1.0, 2.0], [0.5, 1.5, 2.5], name=["a", "b", "a"])
    assert unsaid_of_names(both) == []
    (said,) = unsaid_of_names(both.named("a"))
    assert said.name == "calls of other names"
    assert "only calls named 'a'" in said.because
    assert unsaid_of_names(Recording.of([0.0], [0.5], name=["a"])) == []
