"""The article's throttles iterated without an event list: the bits of the event-driven run."""

from __future__ import annotations

import math

import pytest
from helpers.plants import DISTURBANCES, SERVICES, TIMER_MODELS, accepted, same
from hypothesis import given, settings
from hypothesis import strategies as st

from tpssim import simulate
from tpssim.controllers.article import PRINTED
from tpssim.scenarios.builtin import CORE, SCENARIOS
from tpssim.scenarios.plant import Async, Blocking
from tpssim.scenarios.scenario import Producer, Scenario
from tpssim.simulation.hosting import runner


@pytest.mark.parametrize("printed", PRINTED)
def test_on_every_scenario_where_it_stands_alone(printed: str) -> None:
    alone = [name for name in CORE if runner.stands_alone(SCENARIOS[name])]
    assert set(CORE) - set(alone) == {"join-leave"}
    for name in alone:
        ours, theirs = (
            simulate(name, printed, seed=2, replication=1, engine=e) for e in ("auto", "simpy")
        )
        assert (ours.meta["engine"], theirs.meta["engine"]) == ("direct", "simpy")
        assert same(ours, theirs), name


LONE = st.builds(
    lambda service, target, consumer, disturbances, timer, end: Scenario(
        "drawn", service, target, 2.5, consumer, disturbances, timer
    )._replace(producers=(Producer(0.0, end),)),
    SERVICES,
    st.sampled_from([4.0, 16.0, 50.0, 123.456, 400.0]),
    st.sampled_from([Blocking(), Async(), Async(0.0), Async(0.0625)]),
    DISTURBANCES,
    TIMER_MODELS,
    st.sampled_from([math.inf, 1.25]),
)


@given(LONE.filter(accepted), st.sampled_from(list(PRINTED)), st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_on_drawn_plants(scenario: Scenario, printed: str, seed: int) -> None:
    assert runner.stands_alone(scenario)
    body = runner.printed(PRINTED[printed])
    assert same(
        runner.simulate_alone(scenario, PRINTED[printed], seed, 0, {}),
        runner.simulate(scenario, body, seed, 0, {}),
    )
