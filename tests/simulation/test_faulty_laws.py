"""Laws of the user's that are no laws, or answer what none may: one line that names the law."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import pytest
from helpers.plants import needs_numba

import tpssim
from tpssim import InputError, Producer, simulate
from tpssim.experiments.sweep.batch_runs import reduced
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant
from tpssim.simulation import faulty_laws
from tpssim.simulation.compiled.compiling import cause

PLANT = Scenario("plant", Constant(0.01), 50.0, 2.0)


class State(NamedTuple):
    rate: float
    limit: float
    reject: float


class RateAlone(NamedTuple):
    rate: float


class Late(NamedTuple):
    """Answers what it is given once a second has passed."""

    rate: float = 10.0
    limit: float = math.inf
    reject: float = 0.0

    def init(self, target: float) -> State:
        return State(target, math.inf, 0.0)

    def update(self, state: State, obs: Any) -> State:
        if obs.now < 1.0:
            return state
        return State(self.rate, self.limit, self.reject)


class Admitting(Late):
    """The same at a release."""

    __slots__ = ()

    def update(self, state: State, obs: Any) -> State:
        return state

    def admit(self, state: State, now: float, lag: float, in_flight: float) -> State:
        if now < 1.0:
            return state
        return State(self.rate, self.limit, self.reject)


class Beginning(NamedTuple):
    """Begins with what it is given."""

    def init(self, target: float) -> Any:
        return (target, math.inf, 0.0)

    def update(self, state: Any, obs: Any) -> Any:
        return state


class WithRateAlone(Beginning):
    __slots__ = ()

    def init(self, target: float) -> Any:
        return RateAlone(target)


class WithNan(Beginning):
    __slots__ = ()

    def init(self, target: float) -> Any:
        return State(math.nan, math.inf, 0.0)


class Untargeted(Beginning):
    __slots__ = ()

    def init(self) -> Any:  # type: ignore[override]
        return State(1.0, math.inf, 0.0)


class Plain:
    def init(self, target: float) -> State:
        return State(target, math.inf, 0.0)

    def update(self, state: State, obs: Any) -> State:
        return state


class Typo(Beginning):
    __slots__ = ()

    def init(self, target: float) -> Any:
        return State(target, math.inf, 0.0)

    def update(self, state: Any, obs: Any) -> Any:
        return State(obs.latncy, math.inf, 0.0)


class Short(Typo):
    __slots__ = ()

    def update(self, state: Any, obs: Any) -> Any:
        return State(obs.target)  # type: ignore[call-arg]


BEGINS = "a NamedTuple that begins with rate, limit, reject"


@pytest.mark.parametrize(
    ("law", "said"),
    [
        (
            Beginning(),
            f"Beginning: init(1.0) gives (1.0, inf, 0.0) without rate; allowed: {BEGINS}",
        ),
        (
            WithRateAlone(),
            "WithRateAlone: init(1.0) gives RateAlone(rate=1.0) without limit; allowed: " + BEGINS,
        ),
        (WithNan(), "WithNan: init(1.0) gives rate=nan; allowed: [0, inf] 1/s"),
        (
            Untargeted(),
            "Untargeted: init(1.0) raises TypeError: Untargeted.init() takes 1 positional argument"
            " but 2 were given; allowed: a state for every target",
        ),
        (
            Plain(),
            "Plain is no record of numbers; allowed: class Plain(NamedTuple) with init and update",
        ),
    ],
)
def test_what_is_no_law_is_refused_before_the_run(law: Any, said: str) -> None:
    with pytest.raises(InputError) as refused:
        tpssim.compare(PLANT, [law], replications=1)
    assert str(refused.value) == said


def test_the_law_of_a_producer_too() -> None:
    plant = PLANT._replace(producers=(Producer(), Producer(law=WithNan())))
    with pytest.raises(InputError, match=r"law of a producer: init\(1.0\) gives rate=nan"):
        simulate(plant, "fixed")


WRONG = [
    ((math.nan, math.inf, 0.0), "rate=nan; allowed: [0, inf] 1/s"),
    ((-1.0, math.inf, 0.0), "rate=-1.0; allowed: [0, inf] 1/s"),
    ((1.0, math.nan, 0.0), "limit=nan; allowed: [0, inf] calls"),
    ((1.0, 1.0, 2.0), "reject=2.0; allowed: [0, 1] probability"),
]


@pytest.mark.parametrize("kind", [Late, Admitting])
@pytest.mark.parametrize(("numbers", "said"), WRONG)
@pytest.mark.parametrize("how", ["simpy", pytest.param("compiled", marks=needs_numba)])
def test_an_answer_that_none_may_give_is_refused(
    kind: Any, numbers: tuple[float, ...], said: str, how: str
) -> None:
    with pytest.raises(InputError) as refused:
        simulate(PLANT, kind(*numbers), engine=how)
    # A call each 0.02 s, answered after 0.01 s.
    when = "update at 1.01 s" if kind is Late else "admit at 1 s"
    assert str(refused.value) == f"{kind.__name__} on plant: {when} gives {said}"


def test_in_the_runs_of_a_sweep_too() -> None:
    with pytest.raises(InputError, match=r"^Late on plant: update at 1.01 s gives rate=nan"):
        reduced(PLANT, Late(math.nan), 0, [0, 1])


@needs_numba
def test_where_the_model_would_take_long_the_law_is_named_at_least(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(faulty_laws, "MOST", 10)
    with pytest.raises(InputError, match=r"^Late on plant: a rate or limit that is nan"):
        simulate(PLANT, Late(math.nan))


@needs_numba
def test_why_a_law_cannot_be_compiled_is_said_in_one_line() -> None:
    said = (
        r"interpreted: Unknown attribute 'latncy' of type Observation \(test_faulty_laws.py, line"
    )
    with pytest.warns(UserWarning, match=said), pytest.raises(AttributeError) as raised:
        simulate(PLANT, Typo())
    assert raised.value.__notes__ == ["in update at 0.01 s", "while Typo ran on plant"]
    with (
        pytest.warns(UserWarning, match="missing a required argument: 'limit'"),
        pytest.raises(TypeError, match="missing 2 required positional arguments"),
    ):
        simulate(PLANT, Short())


def test_the_cause_of_a_function_that_is_not_known() -> None:
    message = """Failed in nopython mode pipeline (step: nopython frontend)
No implementation of function Function(<built-in function add>) found for signature:

 >>> add(unicode_type, int64)

File "a/mine.py", line 7:
"""
    assert cause(message) == "numba knows no add(unicode_type, int64) (mine.py, line 7)"
