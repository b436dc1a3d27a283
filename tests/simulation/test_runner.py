"""The article's throttles without an event list, and compiled: the bits of the event-driven run."""

from __future__ import annotations

import math
from typing import Any

import pytest
from helpers.plants import DISTURBANCES, SERVICES, TIMER_MODELS, accepted, same
from hypothesis import given, settings
from hypothesis import strategies as st

from tpssim import simulate
from tpssim.controllers.article import PRINTED, TWINS
from tpssim.core.schedule import AUTO
from tpssim.scenarios.builtin import CORE, SCENARIOS
from tpssim.scenarios.disturbances import Step, Swap
from tpssim.scenarios.plant import Async, Backend, Blocking
from tpssim.scenarios.scenario import Producer, Scenario
from tpssim.scenarios.service_times import Constant, Exponential, Lognormal
from tpssim.simulation.compiled import printed as loop
from tpssim.simulation.hosting import runner
from tpssim.simulation.resolve import throttle_spec
from tpssim.simulation.run import has_twin, run_once, run_twin


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


def test_answers_on_their_way_are_waited_for() -> None:
    # 10 ms of service, 20 ms on the way, then a sleep of 10 ms: every 40 ms.
    plant = Scenario("far", Constant(0.01), 100.0, 1.0, network=Constant(0.02))
    trace = simulate(plant, "printed-sleep")
    assert trace.released == pytest.approx([0.04 * k for k in range(25)])
    assert same(trace, simulate(plant, "printed-sleep", engine="simpy"))


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
    alone = runner.simulate_alone(scenario, PRINTED[printed], seed, 0, {})
    body = runner.printed(PRINTED[printed])
    assert same(alone, runner.simulate(scenario, body, seed, 0, {}))
    assert same(alone, loop.simulate(scenario, printed, seed, 0, {}))  # which may be compiled


@pytest.mark.parametrize("printed", PRINTED)
def test_the_loop_has_the_same_bits_interpreted(
    printed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "fast", lambda function, counted: function)
    for name in ("degrade-recover", "drift", "stall"):
        plant = SCENARIOS[name]._replace(duration=13.0)
        alone = runner.simulate_alone(plant, PRINTED[printed], 1, 2, {})
        assert same(alone, loop.simulate(plant, printed, 1, 2, {})), name


@pytest.mark.parametrize("printed", PRINTED)
def test_a_twin_has_the_bits_of_the_printed_throttle(printed: str) -> None:
    twins, spec = [], throttle_spec(printed)
    far = SCENARIOS["blocking-steady"]._replace(name="far", network=Constant(0.02))
    for plant in (*(SCENARIOS[name] for name in (*CORE, "healthy", "pool-degrade")), far):
        # What a printed throttle does not know of.
        scenario = plant._replace(spin_threshold=0.002, late=AUTO)
        if has_twin(scenario, spec):
            hosted, twin = (once(scenario, spec, 4, 1) for once in (run_once, run_twin))
            assert same(hosted, twin), plant.name
            twins.append(plant.name)
    # Of all core ones, of several producers those that keep a schedule; where calls overlap, of
    # those that only keep time.
    only_keeps_time = (
        ["healthy", "pool-degrade"] if printed in ("printed-schedule", "printed-spin") else []
    )
    waits_for_answers = ["far"] if printed != "printed-sleep" else []
    core = [name for name in CORE if name != "join-leave" or printed != "printed-sleep"]
    assert twins == core + only_keeps_time + waits_for_answers


PRODUCERS = st.builds(
    lambda start, lasts: Producer(start, start + lasts),
    st.sampled_from([0.0, 1.0, 1.5]),
    st.sampled_from([1.0, 2.5, math.inf]),
)
SHARED = [Backend(), Backend(servers=1.0), Backend(servers=2.0, places=1.0, failure=0.2, slope=0.1)]


@given(
    st.lists(PRODUCERS, min_size=1, max_size=3),
    st.sampled_from([Lognormal(0.05, 0.7), Exponential(0.02)]),
    st.sampled_from([Blocking(), Async(0.0, "handoff"), Async(0.01, "handoff")]),
    st.sampled_from(SHARED),
    st.sampled_from([*TWINS]),
    st.integers(0, 2**32),
)
@settings(max_examples=100, deadline=None)
def test_of_producers_that_share_a_service_too(
    producers: list[Producer], service: Any, consumer: Any, backend: Any, printed: str, seed: int
) -> None:
    scenario = Scenario("shared", service, 20.0, 4.0, consumer, (Step(2.0, 2.5, 4.0),))
    scenario = scenario._replace(backend=backend, producers=tuple(producers))
    spec = throttle_spec(printed)
    assert has_twin(scenario, spec)
    assert same(run_once(scenario, spec, seed, 0), run_twin(scenario, spec, seed, 0))


def test_where_answers_come_at_once_a_law_may_release_in_another_order() -> None:
    shared = SCENARIOS["join-leave"]
    for scenario in (
        shared._replace(service=Constant(0.01)),
        shared._replace(service=Lognormal(0.01, 0.0)),
        shared._replace(disturbances=(Swap(1.0, 2.0, Constant(0.01)),)),
        shared._replace(grid=0.001),
        shared._replace(tick=0.001),
        shared._replace(consumer=Async(0.0, "completion")),
        shared._replace(producers=(Producer(), Producer(target=10.0))),
        shared._replace(timeout=0.1),
    ):
        assert not has_twin(scenario, throttle_spec("printed-spin"))
    assert has_twin(shared, throttle_spec("printed-spin"))
