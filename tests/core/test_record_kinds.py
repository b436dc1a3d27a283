"""Records of different kinds with equal numbers are different things, and so is what is kept of
them.
"""

# Both operators are meant where they stand: ruff would make one of two.
# ruff: noqa: SIM201, SIM202

import importlib
import itertools
import pickle
import pkgutil
from typing import Any, NamedTuple

import numpy as np
import pytest

import tpssim
from tpssim.core.errors import InputError
from tpssim.core.states import current
from tpssim.core.types import record
from tpssim.core.validation import checked
from tpssim.metrics.measure import frame_of
from tpssim.scenarios.disturbances import Ramp, Step, Swap
from tpssim.scenarios.scenario import Producer, Scenario
from tpssim.scenarios.service_times import Constant, Exponential, Gamma, Lognormal, Pareto, draws
from tpssim.simulation.compiled import noise
from tpssim.simulation.compiled.noise import Which

SCRIPTS = {"tpssim.__main__", "tpssim.scenarios.recordings.record_sqlite"}


def record_classes() -> list[Any]:
    """Every class of the package that is a named tuple, in modules of any depth."""
    for module in pkgutil.walk_packages(tpssim.__path__, "tpssim."):
        if module.name not in SCRIPTS:
            importlib.import_module(module.name)
    found: list[Any] = []
    unseen: list[type] = list(tuple.__subclasses__())
    while unseen:
        cls = unseen.pop()
        unseen += cls.__subclasses__()
        if cls.__module__.partition(".")[0] == "tpssim" and hasattr(cls, "_fields"):
            found.append(cls)
    return sorted(found, key=lambda cls: (cls.__module__, cls.__qualname__))


def filled(cls: Any) -> Any:
    return cls._make([1.0] * len(cls._fields))


CLASSES = record_classes()


def test_there_are_records() -> None:
    assert len(CLASSES) > 150
    assert {Lognormal, Gamma, Scenario} <= set(CLASSES)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: f"{cls.__module__}.{cls.__qualname__}")
def test_a_record_equals_its_like_and_no_plain_tuple(cls: Any) -> None:
    one, other = filled(cls), filled(cls)
    assert one == other
    assert not one != other
    assert hash(one) == hash(other)
    plain = tuple(one)
    assert not one == plain
    assert one != plain
    assert not plain == one
    assert plain != one
    assert len({one, other, plain}) == 2


def test_no_two_kinds_are_equal() -> None:
    for one, other in itertools.combinations(map(filled, CLASSES), 2):
        pair = f"{type(one)} and {type(other)}"
        assert not one == other, pair
        assert one != other, pair
        assert not other == one, pair
        assert other != one, pair
        assert len({one: 1, other: 2}) == 2, pair


class Plain(NamedTuple):
    """A service as a user writes it: no `@record`."""

    mean: float

    def noise(self) -> str:
        return "uniform"

    def times(self, draws: Any) -> Any:
        return 0.0 * draws + self.mean


class Doubled(NamedTuple):
    mean: float

    def noise(self) -> str:
        return "uniform"

    def times(self, draws: Any) -> Any:
        return 0.0 * draws + 2.0 * self.mean


@pytest.mark.parametrize("cls", [Constant, Exponential])
def test_a_plain_named_tuple_of_a_user_is_another_key_on_either_side(cls: Any) -> None:
    ours, theirs = cls(0.02), Plain(0.02)
    assert not ours == theirs
    assert len({ours: 1, theirs: 2}) == len({theirs: 1, ours: 2}) == 2


def test_records_differ_where_plain_records_in_them_do() -> None:
    one, other = (Scenario("s", cls(0.02), 1.0, 1.0) for cls in (Plain, Doubled))
    assert Plain(0.02) == tuple(Doubled(0.02))  # two plain tuples: nobody can help that
    assert one != other
    assert len({one: 1, other: 2}) == 2


def test_a_class_defined_again_is_another_kind() -> None:
    def define() -> Any:
        @record
        class Mine(NamedTuple):
            mean: float

        return Mine

    assert define()(1.0) != define()(1.0)


def test_a_subclass_is_a_kind_of_its_own() -> None:
    class Slower(Constant):
        """A user changes what one of our services does."""

        def times(self, draws: Any) -> Any:
            return super().times(draws) * 2.0

    assert Slower(0.02) != Constant(0.02)
    assert Constant(0.02) != Slower(0.02)
    assert len({Slower(0.02), Constant(0.02)}) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Lognormal(0.02, 1.5), Gamma(0.02, 1.5)),
        (Lognormal(0.02, 1.5), Pareto(0.02, 1.5)),
        (Constant(0.02), Exponential(0.02)),
        (Plain(0.02), Doubled(0.02)),
        (Plain(0.02), Exponential(0.02)),
    ],
)
def test_kept_service_times_are_those_of_the_kind(one: Any, other: Any) -> None:
    for service in (one, other, one):
        drawn = noise.times(service, (current(type(service)),), Which(50, 0, 0))
        fresh = service.times(draws(service.noise(), 50, 0, 0))
        assert np.array_equal(drawn, fresh), service


def test_engines_agree_where_a_service_is_swapped_for_one_of_equal_numbers() -> None:
    swap = Swap(0.5, 1.5, Constant(0.02))
    scenario = Scenario("s", Exponential(0.02), 100.0, 2.0, disturbances=(swap,))
    simpy, compiled = (
        tpssim.simulate(scenario, "fixed", engine=name) for name in ("simpy", "compiled")
    )
    assert simpy.completed.tobytes() == compiled.completed.tobytes()
    begun = compiled.released[(compiled.released >= 0.5) & (compiled.completed < 1.5)]
    assert np.allclose(compiled.latency[np.isin(compiled.released, begun)], 0.02)


def test_kept_frames_are_those_of_the_kind() -> None:
    """Constant(0.02) has a capacity of 50 a second, Doubled(0.02), whose mean lies, that of its
    mean.
    """
    step, ramp = (
        tpssim.simulate(
            Scenario("s", Constant(0.02), 100.0, 20.0, disturbances=(kind(5.0, 15.0, 4.0),)),
            "fixed",
        )
        for kind in (Step, Ramp)
    )
    # A step to a quarter for half of the run: (10 x 50 + 10 x 12.5) calls. A ramp there: capacity
    # 50 / (1 + 3 x), x from 0 to 1, whose mean is 50 ln 4 / 3 = 23.1.
    assert frame_of(step.scenario).capacity == pytest.approx(625.0)
    assert frame_of(ramp.scenario).capacity == pytest.approx(
        500.0 + 10.0 * 50.0 * np.log(4.0) / 3.0, rel=1e-4
    )


@pytest.mark.parametrize("how", ["simpy", "compiled"])
def test_a_negative_zero_is_the_zero_that_it_equals(how: str) -> None:
    """Else two equal scenarios, which share what is kept of them, would have different bytes."""
    traces = [
        tpssim.simulate(
            Scenario("s", Constant(0.01), 50.0, 1.0, producers=(Producer(start),)),
            "fixed",
            engine=how,
        )
        for start in (0.0, -0.0, 0)
    ]
    assert len({trace.scheduled.tobytes() for trace in traces}) == 1
    assert str(checked(Lognormal(0.5, -0.0), "l")) == "Lognormal(mean=0.5, cv=0.0)"


@pytest.mark.parametrize("producers", [Producer(), [Producer()], (1.0, 2.0), ((0.0, 1.0),)])
def test_producers_are_a_tuple_of_producers(producers: Any) -> None:
    with pytest.raises(InputError, match=r"producer|record"):
        tpssim.simulate(Scenario("s", Constant(0.01), 50.0, 1.0, producers=producers), "fixed")


def test_records_survive_a_journey() -> None:
    scenario = Scenario("s", Lognormal(0.02, 0.5), 100.0, 10.0)
    back = pickle.loads(pickle.dumps(scenario))
    assert back == scenario
    assert hash(back) == hash(scenario)
    assert scenario._replace(name="t") != scenario


def test_two_plain_services_of_one_scenario_keep_times_of_their_own() -> None:
    """Both classes stand in both scenarios, so what code is in force does not tell their times
    apart.
    """
    swaps = [Swap(0.5, 1.5, Doubled(0.02)), Swap(0.5, 1.5, Plain(0.02))]
    scenarios = [
        Scenario("s", cls(0.02), 10.0, 2.0, disturbances=(swap,), network=network(0.01))
        for cls, network, swap in ((Plain, Doubled, swaps[0]), (Doubled, Plain, swaps[1]))
    ]
    for scenario in (*scenarios, *reversed(scenarios)):
        kept, fresh = (
            tpssim.simulate(scenario, "fixed", engine=how) for how in ("compiled", "simpy")
        )
        assert kept.completed.tobytes() == fresh.completed.tobytes()
