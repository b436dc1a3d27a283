"""Within a process: an edit in place counts at once, an unchanged class costs no second look."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

import tpssim
from tpssim import Scenario
from tpssim.core import provenance, states
from tpssim.core.states import current, seen
from tpssim.scenarios.scenario import code
from tpssim.scenarios.service_times import Constant

CELL = """
import math
import random
from typing import NamedTuple
import numpy as np
from helpers.laws import Actuators

GAIN, LOG, DRAWS, DEEP, TABLE = 1.0, [], random.Random(1), [], {"up": 1.0}
for _ in range(400):
    DEEP = [DEEP]

def scaled(x, by=1.0, *, least=0.0):
    return max(x * by, least)

class Law(NamedTuple):
    share: float = 1.0
    def init(self, target):
        return Actuators(target, math.inf, 0.0)
    def update(self, state, obs):
        return Actuators(scaled(np.minimum(obs.target, 9.0)), state.limit, state.reject)

class Noting(Law):
    def update(self, state, obs):
        LOG.append(obs.now)
        return state

class Drawing(Law):
    def update(self, state, obs):
        DRAWS.random()
        return state

class Deep(Law):
    def update(self, state, obs):
        return Actuators(GAIN * obs.target, float(len(DEEP)) * math.inf, state.reject)
"""


@pytest.fixture
def cell() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "a_cell"}
    exec(compile(CELL, "cell", "exec", dont_inherit=True), names)
    return names


def other(x: float, by: float = 1.0, *, least: float = 0.0) -> float:
    return 0.5 * x


EDITS: dict[str, Callable[[Any], object]] = {
    "its code": lambda f: setattr(f, "__code__", other.__code__),
    "its defaults": lambda f: setattr(f, "__defaults__", (0.5,)),
    "its keyword defaults": lambda f: setattr(f, "__kwdefaults__", {"least": 1.0}),
    "an entry of its keyword defaults": lambda f: f.__kwdefaults__.update(least=1.0),
    "an attribute": lambda f: setattr(f, "weight", 1.0),
}


@pytest.mark.parametrize("what", list(EDITS))
def test_a_function_that_is_edited_in_place_counts(cell: dict[str, Any], what: str) -> None:
    """As IPython's autoreload does: the function stays the same object."""
    before = current(cell["Law"])
    assert current(cell["Law"]) == before
    EDITS[what](cell["scaled"])
    assert current(cell["Law"]) != before


def test_a_function_in_a_set_that_is_edited_in_place_counts(cell: dict[str, Any]) -> None:
    exec(
        "HELPERS = frozenset({scaled})\nLaw.update = lambda self, s, o: [h(1.0) for h in HELPERS]",
        cell,
    )
    before = current(cell["Law"])
    cell["scaled"].__code__ = other.__code__
    assert current(cell["Law"]) != before


def test_other_bases_count(cell: dict[str, Any]) -> None:
    exec("class A:\n    pass\nclass B:\n    gain = 2.0\nclass C(A):\n    pass", cell)
    before = current(cell["C"])
    cell["C"].__bases__ = (cell["B"],)
    assert current(cell["C"]) != before


def test_what_reads_numpy_is_looked_at_once(
    cell: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = seen(cell["Law"])
    del cell["scaled"].__kwdefaults__
    state = seen(cell["Law"])
    monkeypatch.setattr(states, "Walk", None)  # a second walk would fail
    assert seen(cell["Law"]) is state


@pytest.mark.parametrize("name", ["Noting", "Drawing"])
def test_a_law_that_numba_refused_is_tried_once_though_its_values_change(
    cell: dict[str, Any], name: str
) -> None:
    pytest.importorskip("numba")
    with pytest.warns(UserWarning, match=f"{name} cannot be compiled and runs interpreted"):
        first = tpssim.simulate("fast-async:duration=0.1", cell[name], engine="compiled")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = tpssim.simulate("fast-async:duration=0.1", cell[name], engine="compiled")
    assert first.meta["engine"] == second.meta["engine"] == "interpreted"


def test_a_refused_law_is_tried_again_when_its_code_changes_in_place(cell: dict[str, Any]) -> None:
    state = seen(cell["Noting"])
    cell["LOG"].append(1.0)
    cell["GAIN"] = 2.0
    assert state.same_code()
    cell["Noting"].update.__code__ = cell["Law"].update.__code__
    assert not state.same_code()


def test_what_is_nested_deep_counts_by_identity_and_the_rest_by_content(
    cell: dict[str, Any],
) -> None:
    before = current(cell["Deep"])
    assert current(cell["Deep"]) == before
    cell["GAIN"] = 0.5
    assert current(cell["Deep"]) != before


def test_sources_edited_under_the_program_do_not_stop_a_run(
    cell: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def edited() -> str:
        raise provenance.Opaque("tpssim/core/types.py was changed while the program ran")

    monkeypatch.setattr(provenance, "package", edited)
    provenance._origin.cache_clear()
    exec(
        "from tpssim.core.types import Observation\nLaw.update = lambda self, s, o: Observation",
        cell,
    )
    assert current(cell["Law"])


def test_only_so_many_classes_are_remembered() -> None:
    for _ in range(3 * states.MOST):
        current(type("Mine", (), {}))
    assert len(states._seen) <= states.MOST


def test_a_class_without_a_module_can_be_compiled() -> None:
    _jit = pytest.importorskip("tpssim.simulation.compiled._jit")
    names: dict[str, Any] = {}
    exec("def update(self, state, obs):\n    return state", names)
    assert names["update"].__module__ != "a_cell"
    names["update"].__module__ = None
    assert _jit._copied(names["update"], {}) is not names["update"]


class Scale(NamedTuple):
    mean: float

    def apply(self) -> float:
        return self.mean


class Mine(NamedTuple):
    scale: Scale
    also: tuple[Any, ...] = ()

    @property
    def mean(self) -> float:
        return self.scale.mean

    def noise(self) -> str:
        return "uniform"

    def times(self, draws: Any) -> Any:
        return 0.0 * draws + self.scale.apply()


def test_a_record_inside_a_service_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    plant = Scenario("mine", Mine(Scale(0.02)), 20.0, 1.0)
    runs = [tpssim.simulate(plant, "fixed", engine=name) for name in ("compiled", "simpy")]
    monkeypatch.setattr(Scale, "apply", lambda self: 2.0 * self.mean)
    runs += [tpssim.simulate(plant, "fixed", engine=name) for name in ("compiled", "simpy")]
    assert [round(float(run.latency[0]), 6) for run in runs] == [0.02, 0.02, 0.04, 0.04]


def test_a_record_in_a_tuple_and_a_function_in_a_record_count() -> None:
    def spread(x: float) -> float:
        return x

    def key(*also: Any) -> tuple[str, ...]:
        return code(Scenario("mine", Mine(Scale(0.02), also), 20.0, 1.0))

    keys = [key(), key(Scale(1.0)), key(spread)]
    spread.__code__ = (lambda x: 2.0 * x).__code__
    keys.append(key(spread))
    assert len(set(keys)) == 4
    assert code(Scenario("ours", Constant(0.02), 20.0, 1.0)) == ()
