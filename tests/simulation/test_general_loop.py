"""The general loop against the model, over all fields of a scenario: interpreted and compiled."""

from __future__ import annotations

import inspect
import types
from typing import Any

import pytest
from helpers.everything import EVERYTHING
from helpers.plants import LAWS, Admitting, Remembering, Windowed, needs_numba, same
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tpssim import InputError
from tpssim.controllers import CONTROLLERS
from tpssim.core.profiles import Stages
from tpssim.core.quotas import Quota
from tpssim.core.schedule import DELAY
from tpssim.scenarios.disturbances import Background
from tpssim.scenarios.feedback import Feedback
from tpssim.scenarios.plant import Async, Backend, Blocking, Pool
from tpssim.scenarios.retries import Retry
from tpssim.scenarios.scenario import Producer, Scenario
from tpssim.scenarios.service_quotas import ServiceQuota
from tpssim.scenarios.service_times import Constant, Exponential
from tpssim.simulation import simpy_engine
from tpssim.simulation.compiled import (
    clients,
    compiling,
    engine,
    events,
    general,
    meters,
    observing,
    pacing,
    serving,
)
from tpssim.simulation.compiled.tables import events_of

HEALTHY = [HealthCheck.filter_too_much, HealthCheck.too_slow]


def ran(scenario: Scenario, law: Any, seed: int, compiled: bool) -> Any:
    """The trace of the general loop, or why it is refused."""
    places: Any = []
    if compiled:
        places = [compiling.placed(*ruled) for ruled in engine.ruled(scenario, law)]
        assert None not in places
    try:
        return engine.generally(scenario, law, places, seed, 0, {}).trace({})
    except InputError as error:
        return str(error)


def alike(scenario: Scenario, law: Any, seed: int, compiled: bool) -> bool:
    """Whether the general loop does as the model, or refuses the same."""
    ours = ran(scenario, law, seed, compiled)
    try:
        model = simpy_engine.simulate(scenario, law, seed, 0, {})
    except InputError as error:
        return bool(ours == str(error))
    return not isinstance(ours, str) and same(ours, model)


@given(EVERYTHING, LAWS, st.integers(0, 2**32))
@settings(max_examples=40, deadline=None, suppress_health_check=HEALTHY)
def test_scenarios_over_all_fields_to_the_bit(scenario: Scenario, law: Any, seed: int) -> None:
    assert alike(scenario, law, seed, compiled=False)


@needs_numba
@given(EVERYTHING, LAWS, st.integers(0, 2**32))
@settings(max_examples=2000, deadline=None, suppress_health_check=HEALTHY)
def test_two_thousand_scenarios_over_all_fields_compiled_to_the_bit(
    scenario: Scenario, law: Any, seed: int
) -> None:
    assert alike(scenario, law, seed, compiled=True)


@needs_numba
def test_compiled_without_what_a_plain_scenario_has_not_the_bits_are_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    law, plain = CONTROLLERS["bbr"](), [plant for plant in _plants() if engine.is_plain(plant)]
    assert plain
    monkeypatch.setattr(compiling, "is_there", lambda loop, arguments: arguments[-1] is not None)
    full = [ran(plant, law, 0, compiled=True) for plant in plain]
    monkeypatch.setattr(compiling, "is_there", lambda loop, arguments: False)
    for plant, other in zip(plain, full, strict=True):
        assert same(ran(plant, law, 0, compiled=True), other)
        assert alike(plant, law, 0, compiled=True)


def test_a_cost_that_a_quota_never_lets_through_is_refused_as_in_the_model() -> None:
    dear = Scenario("dear", Constant(0.01), 10.0, 2.0, cost=Constant(7.0))
    dear = dear._replace(quotas=(Quota(5.0, 1.0, of="cost"),))
    assert "cost=7 is more than the quota" in ran(dear, CONTROLLERS["fixed"](), 0, compiled=False)
    assert alike(dear, CONTROLLERS["fixed"](), 0, compiled=False)


def test_a_line_of_timeouts_is_in_the_order_of_the_model_at_equal_times() -> None:
    line, size = events_of(4), 0
    for time, key in ((1.0, 5), (1.0, 3), (1.0, 4), (2.0, 1)):  # in a ring that begins at 2
        size = events.append(line, 2, size, time, key, 10 * key)
    places = [(2 + i) & 3 for i in range(size)]
    assert [line.key[place] for place in places] == [3, 4, 5, 1]
    assert [line.tag[place] for place in places] == [30, 40, 50, 10]


#: One operation of each part, as it is and as it must not be.
CHANGED = [
    (pacing, "producer.slot += 1\n", "producer.slot += 2\n"),
    (pacing, "producer.owed = producer.owes if previous == due else 0.0", "producer.owed = 0.01"),
    (general, "max(producer.closed_until, now + asked)", "now"),
    (general, "passes and has_news(plane)", "has_news(plane)"),
    (
        pacing,
        "cost = noise[producer.cost_at + producer.slot]",
        "cost = 0.5 * noise[producer.cost_at + producer.slot]",
    ),
    (observing, "now + producer.period", "now + 2.0 * producer.period"),
    (observing, "latency=one.latency", "latency=2.0 * one.latency"),
    (clients, "client.calls += 1", "client.calls += 2"),
    (serving, "u, call.retry_wait, asked)", "u, call.retry_wait, 0.0)"),
    (serving, "world.inside = n\n", "world.inside = n + 1\n"),
    (serving, "begins[before] > now - 1.0", "begins[before] >= now - 1.0"),
    (serving, "now + rules.timeout", "now + rules.timeout + 1e-9"),
    (serving, "producer.tokens -= 1.0", "producer.tokens -= 0.5"),
    (meters, "if not lacking or quota.counts_refused > 0.0", "if not lacking"),
    (general, "producer.queued > rules.queue", "producer.queued > rules.queue + 1"),
    (general, "call.attempt == attempt:", "call.attempt >= attempt:"),
]


@pytest.mark.parametrize(
    ("module", "before", "after"), CHANGED, ids=[before for _, before, _ in CHANGED]
)
def test_one_operation_changed_is_noticed(
    module: Any, before: str, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert before in inspect.getsource(module)
    changed: dict[str, Any] = {}
    for part in (
        meters,
        pacing,
        observing,
        serving,
        clients,
        general,
    ):  # each names functions of those before it
        source = inspect.getsource(part)
        loop = types.ModuleType("broken")
        code = source.replace(before, after, 1) if part is module else source
        exec(compile(code, "broken", "exec"), loop.__dict__)
        loop.__dict__.update({name: changed[name] for name in changed if hasattr(loop, name)})
        own = vars(loop).items()
        changed |= {name: it for name, it in own if getattr(it, "__module__", "") == "broken"}
    monkeypatch.setattr(engine, "general", loop)
    runs = ((plant, law) for plant in _plants() for law in _laws())
    assert not all(alike(plant, law, 0, compiled=False) for plant, law in runs)


def _laws() -> list[Any]:
    return [CONTROLLERS["aimd"](), Windowed(0.1, 3.0), Remembering(), Admitting()]


def _plants() -> list[Scenario]:
    quotas = tuple(
        ServiceQuota(5.0, 0.5, window=window, counts_refused=1.0, retry_after=1.0)
        for window in ("rolling", "fixed")
    )
    polite = (ServiceQuota(5.0, 0.5, retry_after=1.0, whole=0.25, at_once=1.0),)
    known = (Quota(6.0, 0.5, of="cost"),)
    retry = Retry(3.0, 0.01, 2.0, jitter="full", budget=0.2)
    handed = Async(0.0, "completion")
    plain = Scenario("p", Exponential(0.05), 40.0, 3.0, handed, producers=(Producer(), Producer()))
    return [
        plain._replace(timeout=0.0625, retry=retry),
        plain._replace(backend=Backend(quotas=quotas), retry=retry),
        plain._replace(backend=Backend(quotas=polite), retry=retry),
        # Two calls each 1/16 s: the 33rd begins exactly a second after the first.
        plain._replace(backend=Backend(rate=32.0), service=Constant(0.0625), target=16.0),
        plain._replace(backend=Backend(rate=20.0, limit=4.0)),
        plain._replace(consumer=Pool(2.0, 2.0), backend=Backend(servers=3.0)),
        plain._replace(consumer=Blocking(), timeout=0.03),
        plain._replace(target=Stages("1s:60,500ms:10,1500ms:80"), late=DELAY),
        plain._replace(feedback=Feedback(0.2, 0.1)),
        plain._replace(feedback=Feedback(0.0, 0.1), quotas=known, cost=Exponential(1.0)),
        plain._replace(backend=Backend(servers=4.0), disturbances=(Background(0.5, 2.0, 50.0),)),
    ]
