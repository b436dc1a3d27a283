"""Late feedback: what reaches a law when, by hand; the limit cycle that a delay makes."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers.laws import Actuators, SetOnce, observations_of, run

import tpssim
from tpssim.core.errors import InputError
from tpssim.core.schedule import BURST
from tpssim.core.types import Observation
from tpssim.core.window import Sensor
from tpssim.scenarios.disturbances import Step
from tpssim.scenarios.feedback import Feedback
from tpssim.scenarios.plant import Async, Backend, Blocking
from tpssim.scenarios.scenario import Producer, Scenario, checked_scenario, with_parameters
from tpssim.scenarios.service_quotas import ServiceQuota
from tpssim.scenarios.service_times import Constant


def plant(period: float, delay: float, **more: Any) -> Scenario:
    """A call each 1/4 s of 1/8 s, for 4 s."""
    scenario = Scenario("s", Constant(0.125), 4.0, 4.0, Async(0.0, "completion"), late=BURST)
    return checked_scenario(scenario._replace(feedback=Feedback(period, delay), **more))


def test_each_call_is_observed_later() -> None:
    seen = observations_of(plant(0.0, 0.5))
    assert [obs.now for obs in seen] == [k / 4 + 0.125 + 0.5 for k in range(14)]
    assert {(obs.latency, obs.count, obs.in_flight) for obs in seen} == {(0.125, 1.0, 1.0)}


def test_a_period_is_one_observation() -> None:
    # In [0, 1) end the calls of 0, 1/4, 1/2, 3/4; they are seen at 1.25.
    seen = observations_of(plant(1.0, 0.25))
    assert [obs.now for obs in seen] == [1.25, 2.25, 3.25]
    assert [obs.count for obs in seen] == [4.0] * 3
    assert [obs.latency for obs in seen] == [0.125] * 3
    # A completion at the very end of a period comes before it; without a delay it is seen then.
    edge = observations_of(plant(0.125, 0.0))
    assert [(obs.now, obs.count) for obs in edge[:2]] == [(0.125, 1.0), (0.375, 1.0)]


def test_a_producer_has_periods_of_its_own() -> None:
    seen = observations_of(plant(1.0, 0.25, producers=(Producer(0.625),)))
    assert [obs.now for obs in seen] == [1.25, 2.25, 3.25]  # since it came
    assert [obs.count for obs in seen] == [4.0] * 3


def test_errors_drops_latencies_and_peaks_are_summed_up() -> None:
    # One call in a second passes: 0 takes 3/8 s, the others are refused after as long.
    one = Backend(quotas=(ServiceQuota(1.0, 1.0),))
    seen = observations_of(plant(1.0, 0.0, backend=one, service=Constant(0.375), duration=3.5))
    # In (0, 1] ended the calls of 0, 1/4, 1/2; in the next four of which one passed.
    assert [(obs.count, obs.errors, obs.drops) for obs in seen] == [
        (3.0, 2.0, 2.0),
        (4.0, 3.0, 3.0),
        (4.0, 3.0, 3.0),
    ]
    assert {obs.peak for obs in seen} == {obs.in_flight for obs in seen} == {2.0}


def test_the_most_in_flight_is_that_of_each_period() -> None:
    # Calls of the first 0.9 s take a second: four of them fly together. Each that ends in the
    # second after is replaced at once; from then on there is one at a time.
    slow = (Step(0.0, 0.9, 8.0),)
    seen = observations_of(plant(1.0, 0.5, disturbances=slow, duration=6.0))
    assert [obs.peak for obs in seen] == [4.0, 4.0, 1.0, 1.0, 1.0]


def test_local_refusals_are_counted_and_nothing_is_no_observation() -> None:
    seen = observations_of(plant(1.0, 0.5), SetOnce(reject=1.0))
    assert [(obs.now, obs.count, obs.refusals) for obs in seen] == [
        (1.5, 0.0, 4.0),
        (2.5, 0.0, 4.0),
        (3.5, 0.0, 4.0),
    ]
    assert all(math.isnan(obs.latency) for obs in seen)
    half = observations_of(plant(1.0, 0.5, duration=30.0), SetOnce(reject=0.5))
    assert {obs.count + obs.refusals for obs in half} == {4.0}
    assert observations_of(plant(1.0, 0.5, target=0.25, duration=8.0))[1].now == 5.5


def test_a_window_of_the_law_stands_behind_it() -> None:
    # Two summaries of four calls each make its window of at least eight.
    seen = observations_of(plant(1.0, 0.25, duration=8.0), window=Sensor(least=8.0))
    assert [(obs.now, obs.count) for obs in seen] == [(2.25, 8.0), (4.25, 8.0), (6.25, 8.0)]


class Marked(NamedTuple):
    """Lowers its rate from 8 to 2 at the first observation."""

    def init(self, target: float) -> Actuators:
        return Actuators(8.0, math.inf, 0.0)

    def update(self, state: Actuators, obs: Observation) -> Actuators:
        return Actuators(2.0, math.inf, 0.0)


def test_the_law_acts_when_it_knows() -> None:
    trace = run(plant(0.5, 0.25, target=8.0, duration=2.0), Marked())
    # 1/8 apart until 3/4; then 1/2, the slot in progress too, which began at 5/8.
    assert trace.released.tolist() == [k / 8 for k in range(6)] + [1.125, 1.625]


def test_calls_in_flight_are_counted_at_once() -> None:
    slow = plant(0.0, 3.0, service=Constant(0.5))
    assert run(slow, SetOnce(limit=1.0)).released.tolist() == [k / 2 for k in range(8)]


class Switch(NamedTuple):
    """Two rates around a setpoint of latency: a relay."""

    def init(self, target: float) -> Actuators:
        return Actuators(150.0, math.inf, 0.0)

    def update(self, state: Actuators, obs: Observation) -> Actuators:
        return Actuators(50.0 if obs.latency > 2.0 else 150.0, math.inf, 0.0)


@pytest.mark.parametrize("delay", [0.25, 0.75, 1.5])
def test_a_relay_on_a_queue_cycles_with_four_delays(delay: float) -> None:
    """The queue of a server of 100 a second rises and falls by 50 a second, so the latency by 1/2 s
    each second. The call whose latency crosses the setpoint of 2 s is observed `d = 2 + delay`
    after its release; then the relay turns. So the latency rises for d, falls back for d, falls for
    d more and rises back: a period is 4 d.
    """
    scenario = plant(
        0.0,
        delay,
        service=Constant(0.01),
        target=200.0,
        duration=100.0,
        backend=Backend(servers=1.0),
    )
    trace = run(scenario, Switch())
    late = trace.released > 30.0
    turned = trace.released[late][np.flatnonzero(np.diff(trace.rate[late]))]
    assert len(turned) > 8
    assert 2.0 * np.diff(turned).mean() == pytest.approx(4.0 * (2.0 + delay), rel=0.02)


def test_its_numbers_have_names_and_code_of_users_has_none() -> None:
    changed = with_parameters(plant(1.0, 0.5), {"feedback.period": 2.0, "delay": 1.0})
    assert changed.feedback == Feedback(2.0, 1.0)
    with pytest.raises(InputError, match="late feedback, but printed-aimd keeps its own schedule"):
        tpssim.simulate(plant(1.0, 0.5), "printed-aimd")


@pytest.mark.parametrize(
    ("feedback", "message"),
    [
        (Feedback(), "period=0 with delay=0 is no late feedback; allowed: one of them above 0"),
        (Feedback(-1.0), "period=-1 is out of range"),
        (Feedback(1e-5), "period=1e-05 is out of range"),
        (Feedback(1.0, math.inf), "delay=inf is out of range"),
        (3.0, "3 is not a record of numbers"),
        (Feedback(4.0), "period=4 and delay=0 of the feedback in a run of 4 s, in which no law"),
        (Feedback(2.0, 2.0), "period=2 and delay=2 of the feedback in a run of 4 s"),
        (Feedback(0.0, 5.0), "no law would observe anything; allowed: together below the duration"),
    ],
)
def test_impossible_feedback_is_refused_in_one_line(feedback: Any, message: str) -> None:
    scenario = Scenario("s", Constant(0.1), 4.0, 4.0, Blocking())._replace(feedback=feedback)
    with pytest.raises(InputError, match=message.replace("3 is", "3.0 is")):
        checked_scenario(scenario)
