"""The engine against the model: the same bits on everything that it accepts, listed and drawn."""

from __future__ import annotations

import itertools
import math
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from helpers.laws import Actuators, SetOnce
from helpers.plants import (
    LAWS,
    PLANTS,
    Admitting,
    Remembering,
    Windowed,
    accepted,
    interpreted,
    needs_numba,
    same,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tpssim
from tpssim import InputError, simulate
from tpssim.controllers import CONTROLLERS
from tpssim.core.schedule import capped
from tpssim.core.types import OK, REJECTED, Observation
from tpssim.scenarios.builtin import CORE, SCENARIOS
from tpssim.scenarios.disturbances import Step
from tpssim.scenarios.plant import Async, Backend, Pool
from tpssim.scenarios.retries import Retry
from tpssim.scenarios.scenario import Producer, Scenario
from tpssim.scenarios.service_quotas import ServiceQuota
from tpssim.scenarios.service_times import Constant, Exponential, Lognormal
from tpssim.simulation import simpy_engine
from tpssim.simulation.compiled import compiling, engine, kernel
from tpssim.simulation.trace import COLUMNS

#: Seconds that are enough, of scenarios whose calls are all alike, or which have recovered by then.
ENOUGH = {
    "fast-async": 5.0,
    "drift": 5.0,
    "blocking-steady": 20.0,
    "heavy-tail": 20.0,
    "degrade-recover": 40.0,
    "spikes": 25.0,
}
ARENAS = [
    SCENARIOS[name]._replace(duration=ENOUGH.get(name, SCENARIOS[name].duration)) for name in CORE
]


def kind_of_law(law: Any) -> tuple[bool, ...]:
    """What a law has for the lean loop: a window, a memory, an `admit`, records in its state.

    Within a kind, only the law's own code differs, which is compiled and tested by address too.
    """
    parts = (type(part) for part in law.init(100.0))
    has = (hasattr(law, name) for name in ("sensor", "memory", "admit"))
    return (*has, any(issubclass(part, tuple) for part in parts))


def covering() -> list[str]:
    """Few laws of which each two of these parts are seen together, and each alone, and neither."""
    left = {kind_of_law(law()): name for name, law in reversed(CONTROLLERS.items())}
    wanted = {pair for kind in left for pair in pairs(kind)}
    found = []
    while wanted:
        kind = max(left, key=lambda kind: len(wanted & pairs(kind)))
        wanted -= pairs(kind)
        found.append(left.pop(kind))
    return found


def pairs(kind: tuple[bool, ...]) -> set[Any]:
    return set(itertools.combinations(enumerate(kind), 2))


#: Laws whose own lean loop is compiled; `bounds.py` compiles those of all.
LEAN = covering()


@needs_numba
@pytest.mark.parametrize("name", CONTROLLERS)
def test_every_controller_on_every_core_scenario_to_the_bit(name: str) -> None:
    law = CONTROLLERS[name]()
    for scenario in ARENAS:
        ours = engine.simulate(scenario, law, 5, 1, {})
        assert ours.meta["engine"] == "compiled"
        model = simpy_engine.simulate(scenario, law, 5, 1, {})
        assert same(ours, model), scenario.name
        if engine.is_lean(scenario) and name in LEAN:
            engine.prepare(scenario, law)
            assert engine.loop_for(scenario, law)[0] is not None
            assert same(engine.simulate(scenario, law, 5, 1, {}), model), scenario.name


@given(PLANTS.filter(accepted), LAWS, st.integers(0, 2**32))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_drawn_plants_and_laws_to_the_bit(scenario: Scenario, law: Any, seed: int) -> None:
    assert same(interpreted(scenario, law, seed), simpy_engine.simulate(scenario, law, seed, 0, {}))


@needs_numba
@pytest.mark.parametrize(
    "law", [Windowed(), Remembering(), Admitting()], ids=lambda law: type(law).__name__
)
@pytest.mark.parametrize(
    "consumer", [Pool(4.0, 5.0), Async(0.0, "completion")], ids=["pool", "async"]
)
def test_one_s_own_law_compiles_to_the_same_bits(law: Any, consumer: Any) -> None:
    scenario = Scenario(
        "s", Lognormal(0.02, 1.0), 150.0, 10.0, consumer, (Step(3.0, 5.0, 4.0),)
    )._replace(backend=Backend(servers=3.0, failure=0.05, slope=0.02), late=capped(5))
    ours = engine.simulate(scenario, law, 1, 0, {})
    assert ours.meta["engine"] == "compiled"
    assert same(ours, simpy_engine.simulate(scenario, law, 1, 0, {}))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "first_kind(coming.at, look_at, release_at)",
            "first_kind(math.nextafter(coming.at, math.inf), look_at, release_at)",
        ),
        ("anchor(late, due, now, interval, plan", "anchor(late, now, now, interval, plan"),
        (
            "            seen += 1\n            peak = flying\n",
            "            peak = flying\n            seen += 2\n",
        ),
        ("begun = max(now, free_at[0])", "begun = now"),
        ("free_workers += 1.0", "free_workers += 2.0"),
        ("outcome=REJECTED, inside=1", "outcome=REJECTED, inside=0"),
    ],
)
def test_one_operation_of_the_lean_loop_changed_is_noticed(before: str, after: str) -> None:
    source = Path(kernel.__file__).read_text(encoding="utf-8")
    assert source.count(before) == 1
    broken = types.ModuleType("broken")
    broken.__dict__["__file__"] = kernel.__file__
    exec(compile(source.replace(before, after), "broken", "exec"), broken.__dict__)
    plants = [
        Scenario("ties", Constant(0.25), 4.0, 4.0, Async(0.0, "completion"))._replace(
            backend=Backend(servers=1.0, places=0.0)
        ),
        Scenario("pool", Exponential(0.05), 50.0, 4.0, Pool(2.0, 2.0))._replace(
            backend=Backend(servers=1.0)
        ),
        Scenario("limit", Constant(0.25), 16.0, 4.0, Async(0.0, "completion"))._replace(
            backend=Backend(limit=2.0)
        ),
    ]
    laws: list[Any] = [SetOnce(limit=5.0), Remembering()]
    differ = [
        not same(
            engine._simulate(broken.run, plant, law, 0, 0, {}),
            simpy_engine.simulate(plant, law, 0, 0, {}),
        )
        for plant in plants
        for law in laws
    ]
    assert any(differ)


def test_code_that_waits_by_itself_is_no_law() -> None:
    with pytest.raises(InputError, match="printed-aimd waits by itself and cannot be compiled"):
        simulate("blocking-steady", "printed-aimd", engine="compiled")


def test_what_a_scenario_may_ask_for_at_once() -> None:
    everything = SCENARIOS["blocking-steady"]._replace(
        duration=6.0,
        producers=(Producer(), Producer(1.0)),
        timeout=0.1,
        retry=Retry(2.0, 0.05, jitter="full", budget=0.5),
        backend=Backend(rate=30.0, quotas=(ServiceQuota(20.0, 1.0, retry_after=1.0),)),
        cost=Exponential(2.0),
    )
    both = [simulate(everything, "aimd", engine=kind) for kind in ("compiled", "simpy")]
    assert same(*both)
    assert set(both[0].outcome) >= {OK, REJECTED}


@needs_numba
def test_auto_takes_the_fast_one_and_only_the_metadata_tell() -> None:
    fast, slow = (
        simulate("degrade-recover", "headroom", engine=name) for name in ("auto", "simpy")
    )
    assert (fast.meta["engine"], slow.meta["engine"]) == ("compiled", "simpy")
    assert same(fast, slow)
    assert [getattr(fast, name).dtype for name in COLUMNS] == [
        getattr(slow, name).dtype for name in COLUMNS
    ]


def test_without_numba_it_runs_interpreted_and_auto_takes_the_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compiling, "compiles", False)
    monkeypatch.setattr("tpssim.simulation.run.compiles", False)
    trace = simulate("blocking-steady:duration=5", "aimd", engine="compiled")
    assert trace.meta["engine"] == "interpreted"
    assert same(trace, simulate("blocking-steady:duration=5", "aimd", engine="simpy"))
    assert simulate("blocking-steady:duration=5", "aimd").meta["engine"] == "simpy"


@needs_numba
def test_a_class_redefined_under_the_same_name_takes_effect_at_once() -> None:
    def define(step: float) -> Any:
        class Law(NamedTuple):
            def init(self, target: float) -> Actuators:
                return Actuators(1.0, math.inf, 0.0)

            def update(self, state: Actuators, obs: Observation) -> Actuators:
                return Actuators(state.rate + step, state.limit, state.reject)

        Law.update.__globals__  # noqa: B018  # step is frozen in each class's own function
        return Law()

    scenario = Scenario("s", Constant(0.001), 100.0, 5.0)
    for step in (1.0, 5.0):
        law = define(step)
        assert same(
            engine.simulate(scenario, law, 0, 0, {}), simpy_engine.simulate(scenario, law, 0, 0, {})
        )


@needs_numba
def test_a_law_that_cannot_be_compiled_says_why_and_runs() -> None:
    class Stubborn(NamedTuple):
        def init(self, target: float) -> Actuators:
            return Actuators(target, math.inf, 0.0)

        def update(self, state: Actuators, obs: Observation) -> Actuators:
            return state._replace(rate=state.rate)

    scenario = Scenario("s", Constant(0.001), 100.0, 1.0)
    with pytest.warns(UserWarning, match="Stubborn cannot be compiled and runs interpreted: "):
        ours = engine.simulate(scenario, Stubborn(), 0, 0, {})
    assert ours.meta["engine"] == "interpreted"
    assert same(ours, simpy_engine.simulate(scenario, Stubborn(), 0, 0, {}))


@needs_numba
def test_an_edited_law_file_takes_effect_at_once(tmp_path: Path) -> None:
    package = tmp_path / "tpssim"
    shutil.copytree(
        Path(tpssim.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    code = (
        "from tpssim import simulate; t = simulate('blocking-steady:duration=5', 'aimd');m ="
        " simulate('blocking-steady:duration=5', 'aimd', engine='simpy');assert t.meta['engine'] =="
        " 'compiled' and (t.released == m.released).all(); print(len(t.released))"
    )
    environment = os.environ | {
        "NUMBA_CACHE_DIR": str(tmp_path / "cache"),
        "NUMBA_OPT": "0",  # which compiles sooner
        "PYTHONPATH": str(tmp_path),
    }

    def calls() -> int:
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stdout)

    before = calls()
    law = package / "controllers" / "aimd.py"
    text = law.read_text(encoding="utf-8")
    assert text.count("= 0.7\n") == 1
    law.write_text(
        text.replace("rate = rate * self.dec_rate", "rate = rate * 0.1"), encoding="utf-8"
    )
    assert law.read_text(encoding="utf-8") != text
    assert calls() < before
