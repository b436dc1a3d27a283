"""Numbers at the ends of their ranges: memory, whole numbers, time that stands still or falls."""

from __future__ import annotations

import ast
import inspect
import math
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers.laws import FIXED, Actuators
from helpers.plants import interpret, interpreted, needs_numba, same
from hypothesis import given
from hypothesis import strategies as st

import tpssim
from tpssim import InputError, simulate
from tpssim.controllers import CONTROLLERS
from tpssim.core import window
from tpssim.core.pacer import Pacer
from tpssim.core.timer_models import TimerModel, reads_until
from tpssim.core.types import OK, REFUSED, UNFINISHED, Observation, ceiled, floored
from tpssim.core.validation import Range
from tpssim.core.window import Sensor
from tpssim.experiments.sweep import batch_runs
from tpssim.metrics import measure, timeseries
from tpssim.metrics.order_statistics import conclude
from tpssim.metrics.single_pass import collect
from tpssim.scenarios import service_times
from tpssim.scenarios.disturbances import Stall
from tpssim.scenarios.plant import Async, Backend, Pool
from tpssim.scenarios.scenario import Scenario, checked_scenario
from tpssim.scenarios.service_times import Constant
from tpssim.simulation import simpy_engine
from tpssim.simulation.compiled import compiling, general, heap, kernel, noise
from tpssim.simulation.trace import Trace, first_unsound

# Memory.


def test_fewer_calls_than_seconds_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    # A call every 100 s for 5,000 s, of 1 s each: 50 seconds with a call where 0.01 are due, 4,950
    # without.
    trace = simulate(Scenario("slow", Constant(1.0), 0.01, 5000.0), "fixed")
    # NumPy checks every index.
    monkeypatch.setattr(measure, "fast", lambda function, counted=True: function)
    found = tpssim.measure(trace)
    assert found["iae"] == pytest.approx(50 * 0.99 + 4950 * 0.01)
    assert found["throughput"] == 0.01


def test_the_same_in_a_sweep_and_of_no_call_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(NamedTuple):
        def init(self, target: float) -> Actuators:
            return Actuators(0.0, math.inf, 0.0)

        def update(self, state: Actuators, obs: Observation) -> Actuators:
            return state

    monkeypatch.setattr(batch_runs, "fast", lambda function, counted=True: function)
    interpret(monkeypatch)
    at = list(measure.METRICS).index("iae")
    slow = Scenario("slow", Constant(1.0), 0.01, 5000.0)
    assert batch_runs.reduced(slow, FIXED, 0, [0]).values[0, at] == pytest.approx(99.0)
    assert batch_runs.reduced(slow, Closed(), 0, [0]).values[0, at] == pytest.approx(50.0)


@pytest.mark.parametrize("servers", [1e6, 1e19, 1e300])
def test_of_more_servers_than_calls_one_is_always_free(servers: float) -> None:
    plant = Scenario("many", Constant(0.5), 16.0, 2.0, Async(0.0, "completion"))
    for run in (interpreted, lambda s, law: simpy_engine.simulate(s, law, 0, 0, {})):
        free = run(plant._replace(backend=Backend(servers=math.inf)), FIXED)
        assert same(run(plant._replace(backend=Backend(servers=servers)), FIXED), free)
        assert set(free.latency[free.outcome == OK].tolist()) == {0.5}


@pytest.mark.parametrize("timeout", [math.inf, 3.0], ids=["alone", "beside the model"])
def test_a_printed_throttle_releases_all_that_is_wanted(timeout: float) -> None:
    # 2,048 a second for 35 s, of 0.1 ms each; intervals of 1 / 2,048 s add up without rounding.
    busy = Scenario("busy", Constant(1e-4), 2048.0, 35.0, timeout=timeout)
    assert len(simulate(busy, "printed-schedule").released) == 2048 * 35


# Whole numbers.

KNEE = Scenario("knee", Constant(0.1), 500.0, 3.0, Async())._replace(
    backend=Backend(knee=10.0, exponent=1.1)
)


@pytest.mark.parametrize(
    "changes", [{}, {"grid": 1e-6}, {"tick": 1e-3}, {"tick": 1e-9, "grid": 1e-9}]
)
@pytest.mark.parametrize("kind", ["simpy", pytest.param("compiled", marks=needs_numba)])
def test_a_service_that_is_overwhelmed_answers_no_more(changes: dict[str, Any], kind: str) -> None:
    # Call n takes 0.1 s times 1.1^(n - 10) with n in the backend: the last ones longer than the
    # universe.
    trace = simulate(KNEE._replace(**changes), "fixed", engine=kind)
    assert int((trace.outcome == OK).sum()) == 45
    assert set(trace.outcome.tolist()) == {OK, UNFINISHED}
    assert np.nanmax(trace.latency) < 1e-3  # of the hand-off; the last has not ended


@pytest.mark.parametrize("kind", ["simpy", "compiled"])
def test_a_stall_without_end_holds_all_work_back(kind: str) -> None:
    stuck = Scenario("stuck", Constant(0.5), 1.0, 8.0, Async(), (Stall(2.25, math.inf),), grid=1e-4)
    trace = simulate(stuck, "fixed", engine=kind)
    assert trace.completed[:2].tolist() == pytest.approx([0.5, 1.5], abs=2e-4)
    assert (trace.outcome[2:] == UNFINISHED).all()  # the third would end at 2.5 s


@given(st.floats(allow_nan=False))
def test_whole_numbers_of_any_float(x: float) -> None:
    if math.isinf(x):
        assert floored(x) == ceiled(x) == x
    else:
        assert floored(x) == math.floor(x)
        assert ceiled(x) == math.ceil(x)
    assert type(floored(x)) is type(ceiled(x)) is float


@needs_numba
def test_compiled_they_are_the_same() -> None:
    rounded = compiling.fast(services_rounded)
    for x in (
        -1e300,
        -(2.0**63),
        -2.5,
        -0.5,
        0.0,
        0.5,
        2.0**52 - 0.5,
        2.0**53,
        9.3e18,
        1e300,
        math.inf,
    ):
        assert rounded(x) == (floored(x), ceiled(x))
    assert all(math.isnan(part) for part in rounded(math.nan))


def services_rounded(x: float) -> tuple[float, float]:
    return floored(x), ceiled(x)


def compiled_functions() -> Iterator[tuple[str, ast.AST]]:
    """What numba may see: the helpers of the kernel, and all of the laws."""
    if compiling.compiles:
        from tpssim.simulation.compiled import _jit

        for entered in (kernel.run, general.run, collect, conclude):
            compiling.fast(entered)
        assert {window.window_end, timeseries.quantile, heap.pop} <= _jit._jitables
        reached = [
            function for function in _jit._jitables if function.__module__.startswith("tpssim.")
        ]
        functions: list[Any] = [kernel.run, general.run, collect, conclude, *reached]
        for helper in functions:
            if helper not in (floored, ceiled):
                yield helper.__qualname__, ast.parse(textwrap.dedent(inspect.getsource(helper)))
    for path in (Path(tpssim.__file__).parent / "controllers").glob("*.py"):
        yield path.name, ast.parse(path.read_text(encoding="utf-8"))


def test_no_compiled_function_makes_an_integer_that_may_overflow() -> None:
    for name, tree in compiled_functions():
        for node in ast.walk(tree):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            assert called not in (
                "math.floor",
                "math.ceil",
                "math.trunc",
                "round",
            ), f"{name}: {called}"


# Time that stands still.


@pytest.mark.parametrize("spec", ["spark-pid:batch=1e-18", "bbr:round=1e-18", "bbr:round=0.0004"])
def test_a_window_too_short_for_time_to_pass_is_out_of_range(spec: str) -> None:
    with pytest.raises(InputError, match=r"is out of range; allowed: \[0.001, 60\] s"):
        simulate("blocking-steady", spec)


class Hasty(NamedTuple):
    """A law of one's own with a window of any length."""

    period: float

    def sensor(self) -> Sensor:
        return Sensor(self.period)

    def init(self, target: float) -> Actuators:
        return Actuators(target, math.inf, 0.0)

    def update(self, state: Actuators, obs: Observation) -> Actuators:
        return state


@pytest.mark.parametrize("period", [1e-18, 4e-4, -1.0, math.nan])
def test_so_is_that_of_a_law_of_one_s_own(period: float) -> None:
    # On a grid of 1 ms a window of 0.4 ms ends when it begins.
    scenario = Scenario("s", Constant(0.001), 10.0, 1.0, grid=1e-3)
    wanted = (
        r"the window of controller Hasty: period=.* is out of range; allowed: 0 or \[0.001,"
        r" 1e\+06\] s"
    )
    for kind in ("simpy", "compiled"):
        with pytest.raises(InputError, match=wanted):
            simulate(scenario, Hasty(period), engine=kind)
    with pytest.raises(InputError, match=wanted):
        batch_runs.reduced(scenario, Hasty(period), 0, [0])
    with pytest.raises(InputError, match=wanted):
        Pacer(Hasty(period), 10.0, 0.0, [0.5], [0.5])


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("grid", {"grid": 1e-308}),
        ("tick", {"tick": 1e-308}),
        ("read_cost", {"timer": TimerModel(read_cost=1e-22)}),
        ("granularity", {"timer": TimerModel(granularity=1e-308)}),
        ("tick", {"timer": TimerModel(tick=1e-308)}),
    ],
)
def test_a_step_shorter_than_any_clock_shows_is_out_of_range(
    what: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(
        InputError, match=rf"{what}=1e-\d+ is out of range; allowed: 0 or \[1e-09, "
    ):
        checked_scenario(Scenario("s", Constant(0.001), 10.0, 1.0)._replace(**changes))


def test_a_range_may_allow_0_besides() -> None:
    allowed = Range(0.5, 1.0, "s", off=True)
    assert [allowed.holds(x) for x in (0.0, 0.25, 0.5, 1.0, math.nan)] == [
        True,
        False,
        True,
        True,
        False,
    ]
    assert str(allowed) == "0 or [0.5, 1] s"


@given(
    st.floats(0.0, 1e15), st.integers(0, 5), st.floats(1e-9, 1e-3), st.floats(-1e-3, 1.0)
)  # at 1e15 s a float holds 1e8 reads of the clock
def test_the_first_read_that_sees_the_deadline(
    base: float, reads: int, cost: float, ahead: float
) -> None:
    deadline = base + ahead
    n = reads_until(base, reads, cost, deadline)
    assert deadline - (base + n * cost) <= 0.0
    assert n == reads + 1 or deadline - (base + (n - 1) * cost) > 0.0


# Times that cannot be.


class Odd(NamedTuple):
    """A service of one's own whose third call takes a given time."""

    third: float
    mean: float = 0.01

    def noise(self) -> str:
        return "uniform"

    def times(self, draws: Any) -> Any:
        times = 0.0 * draws + self.mean
        times[2] = self.third
        return times


@pytest.mark.parametrize("third", [-1.0, math.nan, math.inf])
@pytest.mark.parametrize("place", ["service", "network"])
def test_service_times_that_are_no_times_are_refused_by_both(third: float, place: str) -> None:
    odd: dict[str, Any] = {place: Odd(third)}
    scenario = Scenario("s", Constant(0.01), 10.0, 1.0, Async())._replace(**odd)
    for kind in ("simpy", "compiled"):
        with pytest.raises(InputError, match=r"Odd: call 2 would take .* s; allowed: finite times"):
            simulate(scenario, "fixed", engine=kind)
    with pytest.raises(InputError, match="Odd: call 2 would take"):
        batch_runs.reduced(scenario, FIXED, 0, [0])


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Service times are taken as they come, so that something in a run is wrong."""
    monkeypatch.setattr(
        service_times, "times_of", lambda service, noise: np.asarray(service.times(noise))
    )
    yield
    noise._make_times_once.cache_clear()
    batch_runs._noise.cache_clear()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("third", [-1.0, math.nan])
@pytest.mark.parametrize(
    "consumer", [Async(feedback="completion"), Pool(2.0)], ids=["async", "pool"]
)
def test_a_run_in_which_time_falls_is_refused_wherever_it_was_made(
    third: float, consumer: Any
) -> None:
    scenario = Scenario("odd", Odd(third), 10.0, 1.0, consumer)
    wanted = (
        "scenario odd: controller fixed: a time of call 2 is negative, falls or is no number;"
        " allowed: "
    )
    # simpy: nan is never answered
    kinds = ["compiled"] if math.isnan(third) else ["compiled", "simpy"]
    for kind in kinds:
        with pytest.raises(InputError, match=wanted):
            simulate(scenario, "fixed", engine=kind)
    with pytest.raises(
        InputError, match="scenario odd: controller Fixed: a time of call 2 is negative"
    ):
        batch_runs.reduced(scenario, FIXED, 0, [0])


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("timeout", [math.inf, 0.5], ids=["alone", "beside the model"])
def test_so_is_one_of_code_that_waits_by_itself(timeout: float) -> None:
    scenario = Scenario("odd", Odd(-1.0), 10.0, 1.0, Async(), timeout=timeout)
    with pytest.raises(
        InputError, match="scenario odd: controller printed-schedule: a time of call 2 is"
    ):
        simulate(scenario, "printed-schedule")


def test_what_may_and_what_may_not_stand_in_a_trace() -> None:
    good = simulate(Scenario("s", Constant(0.25), 2.0, 2.1, Async(0.0, "completion")), "fixed")
    assert good.outcome.tolist() == [OK] * 4 + [UNFINISHED]
    refused = good.outcome.copy()
    refused[1] = REFUSED
    nan = math.nan
    cases: list[tuple[int, dict[str, tuple[int, float]]]] = [
        (-1, {}),
        (2, {"scheduled": (2, nan)}),
        (2, {"scheduled": (2, -1.0)}),
        (2, {"scheduled": (2, math.inf)}),
        (0, {"released": (0, -1.0)}),
        (1, {"released": (1, nan)}),
        (3, {"released": (2, 1.6), "completed": (2, 1.9)}),  # call 3 at 1.5 s lies before it
        (1, {"completed": (1, 0.4)}),
        (1, {"completed": (1, nan)}),
        (1, {"completed": (1, math.inf)}),
        (4, {"completed": (4, 2.05)}),  # of a call that has not ended
        (3, {"latency": (3, -1e-9)}),
        (3, {"latency": (3, nan)}),
    ]
    for call, changes in cases:
        assert first_unsound(changed(good, changes)) == call, changes
    gone = good._replace(outcome=refused)
    assert first_unsound(gone) == 1
    for name in ("released", "completed", "latency"):
        gone = changed(gone, {name: (1, nan)})
    assert first_unsound(gone) == -1
    assert first_unsound(changed(gone, {"released": (2, 0.0), "completed": (2, 0.5)})) == -1
    assert first_unsound(changed(gone, {"released": (2, -0.5)})) == 2


def changed(trace: Trace, changes: dict[str, tuple[int, float]]) -> Trace:
    columns = {name: getattr(trace, name).copy() for name in changes}
    for name, (call, value) in changes.items():
        columns[name][call] = value
    return trace._replace(**columns)


@needs_numba
def test_code_with_checks_is_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    from tpssim.simulation.compiled import cache

    plain = cache.sources()
    monkeypatch.setattr(cache.settings, "BOUNDSCHECK", 0 if cache.settings.BOUNDSCHECK else 1)
    assert cache.sources() != plain


def test_every_law_is_drawn_from() -> None:
    import random

    from helpers import extremes

    for name, law in CONTROLLERS.items():
        rng = random.Random(name)
        drawn = [extremes.law(rng, law(), 60.0) for _ in range(20)]
        assert not law._fields or len({repr(one) for one in drawn}) > 5
