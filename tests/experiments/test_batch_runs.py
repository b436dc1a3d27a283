"""Runs reduced where they ran: the measures and verdicts of `measure` and `judge`, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.plants import LAWS, PLANTS, accepted, interpret
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tpssim import judge, measure, simulate
from tpssim.controllers import CONTROLLERS
from tpssim.experiments.sweep import batch_runs
from tpssim.experiments.sweep.batch_runs import Reduced, reduced
from tpssim.output.verdict_words import WORDS
from tpssim.scenarios.builtin import CORE, SCENARIOS
from tpssim.scenarios.scenario import Scenario
from tpssim.simulation import simpy_engine
from tpssim.simulation.trace import Trace


def agrees(found: Reduced, traces: list[Trace]) -> None:
    for i, trace in enumerate(traces):
        assert np.array_equal(found.values[i], list(measure(trace).values()), equal_nan=True)
        assert WORDS[found.words[i]] == judge(trace).word
        assert found.calls[i] == len(trace.released)


@pytest.mark.parametrize(
    ("scenario", "controller"),
    [
        (scenario, controller)
        for i, scenario in enumerate(CORE)
        for k, controller in enumerate(CONTROLLERS)
        if (i + k) % 3 == 0
    ],
)
def test_every_law_on_core_scenarios(scenario: str, controller: str) -> None:
    """Each law on a third of them; its bits on all are the model's (`test_compiled_engine`)."""
    arena, law = SCENARIOS[scenario], CONTROLLERS[controller]()
    found = reduced(arena, law, 3, [0, 2])
    agrees(found, [simulate(arena, law, seed=3, replication=k) for k in (0, 2)])


@given(PLANTS.filter(accepted), LAWS, st.integers(0, 2**32))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_drawn_plants_and_laws_interpreted_against_compiled_measures(
    scenario: Scenario, law: Any, seed: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        interpret(patch)
        patch.setattr(batch_runs, "fast", lambda function, counted=True: function)
        found = reduced(scenario, law, seed, (0, 1))
    agrees(found, [simpy_engine.simulate(scenario, law, seed, k, {}) for k in (0, 1)])


def test_it_does_not_matter_how_many_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    arena, law = SCENARIOS["degrade-recover"], CONTROLLERS["aimd"]()
    together = reduced(arena, law, 0, range(5))
    monkeypatch.setattr(batch_runs, "MOST", 1)
    apart = reduced(arena, law, 0, range(5))
    assert together.values.tobytes() == apart.values.tobytes()
    assert together.words.tolist() == apart.words.tolist()
    assert together.calls.tolist() == apart.calls.tolist()
