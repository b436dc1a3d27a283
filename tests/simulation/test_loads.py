"""The model under a load with a shape: stages, costs that move the slots, answers that close."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers.laws import Actuators, SetOnce, observations_of, run

import tpssim
from tpssim.core.errors import InputError
from tpssim.core.pacer import Pacer
from tpssim.core.profiles import Stages
from tpssim.core.quotas import Quota
from tpssim.core.schedule import AUTO, BURST
from tpssim.core.timer_models import TIMERS
from tpssim.core.types import OK, REFUSED, REJECTED, Observation, described
from tpssim.scenarios.capacity import (
    achievable,
    check_calls,
    expected_slots,
    mean_over,
    phases,
    varies,
)
from tpssim.scenarios.drawn import frame
from tpssim.scenarios.load import peak, wanted, wanted_calls
from tpssim.scenarios.plant import Async, Backend, Blocking
from tpssim.scenarios.scenario import Producer, Scenario, checked_scenario
from tpssim.scenarios.service_quotas import ServiceQuota
from tpssim.scenarios.service_times import Constant, Exponential, Recorded, draws


def plant(target: float | Stages, duration: float = 8.0, **more: Any) -> Scenario:
    scenario = Scenario("s", Constant(1 / 64), target, duration, Async(0.0, "completion"))
    return checked_scenario(scenario._replace(late=BURST)._replace(**more))


RAMP = Stages("4s:8")  # 2 t: slot k lies at sqrt(k)


def test_slots_on_a_ramp_lie_where_the_integral_says() -> None:
    trace = run(plant(RAMP))
    assert trace.released.tolist() == pytest.approx(np.sqrt(np.arange(16)), abs=1e-9)
    up_and_down = run(plant(Stages("2s:8,2s:8,2s:0")))
    # 8 slots up, 16 on the level, 8 down, none at the very end.
    assert len(up_and_down.released) == 32
    assert up_and_down.released[8:24].tolist() == pytest.approx(2.0 + np.arange(16) / 8, abs=1e-9)


def test_each_producer_follows_the_profile_from_the_time_it_comes() -> None:
    scenario = plant(RAMP, producers=(Producer(), Producer(2.0), Producer(target=4.0, end=1.0)))
    trace = run(scenario)
    # At 2 the integral is 4; the slots that follow lie at sqrt(4 + k).
    later = trace.released[trace.producer == 1]
    assert later.tolist() == pytest.approx(np.sqrt(4.0 + np.arange(12)), abs=1e-9)
    assert trace.released[trace.producer == 2].tolist() == [0.0, 0.25, 0.5, 0.75]


def test_a_rate_of_its_own_caps_the_profile() -> None:
    trace = run(plant(RAMP), SetOnce(rate=3.0))
    # Up to 1.5 s 2.25 slots, then 3 a second.
    first = [0.0, 1.0, math.sqrt(2.0)]
    assert trace.released[:3].tolist() == pytest.approx(first, abs=1e-9)
    assert trace.released[3:6].tolist() == pytest.approx([1.75, 1.75 + 1 / 3, 1.75 + 2 / 3])


def test_a_law_observes_the_target_of_the_moment() -> None:
    seen = observations_of(plant(RAMP), SetOnce(rate=1.0))
    assert [obs.target for obs in seen] == pytest.approx([2.0 * obs.now for obs in seen])


def test_what_is_wanted_follows_the_stages() -> None:
    stages = Stages("2s:8,0s:2,2s:2")
    scenario = plant(stages, 6.0, producers=(Producer(), Producer(3.0, 5.0)))
    assert phases(scenario) == [(0.0, 2.0), (2.0, 3.0), (3.0, 4.0), (4.0, 5.0), (5.0, 6.0)]
    assert [wanted(scenario, t) for t in (0.0, 1.0, 2.0, 3.0, 4.0)] == [0.0, 4.0, 2.0, 4.0, 0.0]
    assert [achievable(scenario, t) for t in (1.0, 3.0)] == [4.0, 4.0]
    assert mean_over(scenario, achievable, 0.0, 2.0) == pytest.approx(4.0)
    assert [varies(scenario, *phase) for phase in phases(scenario)] == [True] + [False] * 4
    assert wanted_calls(scenario) == 8.0 + 4.0 + 2.0
    assert peak(scenario) == 8.0
    assert frame(scenario)[2] == pytest.approx(8.0)
    assert expected_slots(scenario) >= 12.0
    busy = plant(Stages("1s:1000000,30s:1000000"), 100.0)
    with pytest.raises(InputError, match="calls in a run of 100 s of s; allowed: at most"):
        check_calls(busy)


def test_a_blocking_service_is_asked_for_more_than_it_can() -> None:
    # 16 a second are possible; the ramp to 32 wants more from 2 s on: 16 t^2 / 4 until then.
    slow = plant(Stages("4s:32"), 4.0, consumer=Blocking(), service=Constant(1 / 16), late=AUTO)
    assert [achievable(slow, t) for t in (1.0, 3.0)] == [8.0, 16.0]
    trace = run(slow)
    assert (trace.outcome == OK).sum() == pytest.approx(16 + 2 * 16, abs=2)


def test_a_call_moves_the_next_slot_by_its_cost() -> None:
    assert run(plant(4.0, cost=Constant(2.0))).released.tolist() == [k / 2 for k in range(16)]
    trace = run(plant(4.0, 100.0, cost=Exponential(2.0)))
    costs = 2.0 * draws("cost.exponential", len(trace.cost), 0, 0)
    expected = np.concatenate([[0.0], np.cumsum(costs / 4.0)[:-1]])
    assert trace.released.tolist() == pytest.approx(expected.tolist(), abs=1e-9)
    # On the ramp 2 t, calls of 4 lie at sqrt(4 k).
    ramp = run(plant(RAMP, cost=Constant(4.0)))
    assert ramp.released.tolist() == pytest.approx([0.0, 2.0, math.sqrt(8.0), math.sqrt(12.0)])
    scenario = plant(4.0, cost=Constant(2.0))
    assert (achievable(scenario, 0.0), wanted_calls(scenario)) == (2.0, 16.0)
    assert frame(scenario)[2] == 4.0  # pictures show cost per second


def test_an_answer_closes_its_own_producer() -> None:
    # Two in 4 s for all. Each comes each second; who is refused comes when the window opens.
    backend = Backend(quotas=(ServiceQuota(2.0, 4.0, retry_after=1.0),))
    scenario = plant(1.0, 9.5, backend=backend, producers=(Producer(), Producer(1.5)))
    trace = run(scenario)
    rows = list(
        zip(trace.released.tolist(), trace.producer.tolist(), trace.outcome.tolist(), strict=True)
    )
    assert rows[:4] == [(0.0, 0, OK), (1.0, 0, OK), (1.5, 1, REJECTED), (2.0, 0, REJECTED)]
    # Both were told to come at 4, when the call of 0 leaves the window: the first of them passes;
    # both make up for the slots that they lost, until the next answers, which say 5.
    assert rows[4:6] == [(4.0, 0, OK), (4.0, 0, REJECTED)]
    assert rows[6:8] == [(4.0, 1, REJECTED)] * 2
    assert rows[8:10] == [(5.0, 0, OK), (5.0, 1, REJECTED)]
    # The slot was due before, and its lag is what the answer cost.
    held = (trace.producer == 0) & (trace.released == 4.0)
    assert trace.scheduled[held].tolist() == [3.0, 4.0]


def test_nobody_reads_an_answer_that_only_hands_over() -> None:
    backend = Backend(quotas=(ServiceQuota(1.0, 100.0, retry_after=1.0),))
    trace = run(plant(1.0, consumer=Async(0.0), backend=backend))
    assert trace.released.tolist() == [float(k) for k in range(8)]


@pytest.mark.parametrize(
    "scenario",
    [
        plant(RAMP),
        plant(4.0, cost=Constant(2.0)),
        plant(4.0, arrivals=(0.0, 1.0)),
        plant(4.0, quotas=(Quota(5.0, 1.0),)),
        plant(4.0, producers=(Producer(target=RAMP), Producer())),
    ],
)
def test_code_that_waits_by_itself_knows_one_constant_rate(scenario: Scenario) -> None:
    with pytest.raises(InputError, match="keeps its own schedule; allowed: parameterised laws"):
        tpssim.simulate(scenario, "printed-schedule")
    assert tpssim.simulate(scenario, "fixed").released.size > 0


ARRIVED = (0.0, 0.5, 0.5, 0.5, 2.0, 3.0)


def test_recorded_arrivals_come_when_they_came() -> None:
    scenario = plant(4.0, arrivals=ARRIVED)
    assert run(scenario).released.tolist() == list(ARRIVED)
    # A law delays them and advances none: half a second apart at least.
    assert run(scenario, SetOnce(rate=2.0)).released.tolist() == [0.0, 0.5, 1.0, 1.5, 2.0, 3.0]
    rejecting = run(scenario, SetOnce(reject=1.0))
    assert rejecting.scheduled.tolist() == list(ARRIVED)
    assert np.isnan(rejecting.released).all()
    # What the law sees is how many came in the second before: here at 1/64 s after each.
    seen = observations_of(scenario, SetOnce(rate=100.0))
    assert [obs.target for obs in seen] == [1.0, 4.0, 4.0, 4.0, 1.0, 1.0]


@described(
    "Two a second; what has waited for more than a quarter of a second is refused.",
    actuators=("rate", "reject"),
    signals="none",
    origin="ours",
    year=2026,
    only_arrivals=True,
)
class Impatient(NamedTuple):
    """The decorator says what it is."""

    def init(self, target: float) -> Actuators:
        return Actuators(2.0, math.inf, 0.0)

    def update(self, state: Actuators, obs: Observation) -> Actuators:
        return Actuators(2.0, math.inf, 0.0)

    def admit(self, state: Actuators, now: float, lag: float, in_flight: float) -> Actuators:
        return Actuators(2.0, math.inf, 1.0 if lag > 0.25 else 0.0)


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_a_refused_arrival_has_waited_since_it_came_and_takes_nothing(engine: str) -> None:
    trace = tpssim.simulate(plant(4.0, arrivals=ARRIVED), Impatient(), engine=engine)
    # The rate lets the third through at 1, half a second after it came. It is refused, and so is
    # the fourth, whose turn is at once.
    assert trace.scheduled.tolist() == [0.0, 0.5, 1.0, 1.0, 2.0, 3.0]
    assert (trace.outcome == REFUSED).tolist() == [False, False, True, True, False, False]


def test_the_cost_of_a_refused_arrival_moves_nothing() -> None:
    half, came = [0.5] * 9, (0.0, 0.5, 0.5, 0.5, 2.0, 2.0)
    pacer, dues = Pacer(Impatient(), 4.0, 0.0, half, half, arrivals=came), list[float]()
    for cost in (1.0, 1.0, 9.0, 9.0, 1.0, 1.0):
        dues.append(pacer.due(cost))
        if not pacer.release(dues[-1], cost):
            pacer.refused(dues[-1])
    # Two are refused at 1. If their cost counted, the next would be due at 0.5 + 9 / 2.
    assert dues == [0.0, 0.5, 1.0, 1.0, 2.0, 2.5]
    costs = Recorded((1.0, 1.0, 9.0, 2.0, 3.0), "five")
    scenario = plant(4.0, arrivals=tuple(k / 16 for k in range(64)), cost=costs)
    one, other = (
        tpssim.simulate(scenario, Impatient(), engine=engine) for engine in ("simpy", "compiled")
    )
    assert (one.outcome == REFUSED).sum() > 30
    assert one.scheduled.tolist() == other.scheduled.tolist()
    assert one.outcome.tolist() == other.outcome.tolist()


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_in_a_loop_it_decides_nothing_and_a_refused_slot_is_one(engine: str) -> None:
    loop = plant(4.0, 3.0, service=Constant(1.0), consumer=Blocking())
    assert not (tpssim.simulate(loop, Impatient(), engine=engine).outcome == REFUSED).any()
    refused = tpssim.simulate(loop, SetOnce(rate=2.0, reject=1.0), engine=engine)
    assert refused.scheduled.tolist() == [k / 2 for k in range(6)]
    assert (refused.outcome == REFUSED).all()


class Slower(NamedTuple):
    """A law that sets the rate at each call's turn, the lower the later it is."""

    def init(self, target: float) -> Actuators:
        return Actuators(2.0, math.inf, 0.0)

    def update(self, state: Actuators, obs: Observation) -> Actuators:
        return state

    def admit(self, state: Actuators, now: float, lag: float, in_flight: float) -> Actuators:
        return Actuators(2.0 / (1.0 + lag), math.inf, 0.0)


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_other_laws_count_from_when_a_call_was_due(engine: str) -> None:
    # None is released later than it is due. From its arrival the third would have waited 0.5 s.
    trace = tpssim.simulate(plant(4.0, arrivals=ARRIVED), Slower(), engine=engine)
    assert trace.released.tolist() == [0.0, 0.5, 1.0, 1.5, 2.0, 3.0]


def test_a_timer_that_is_late_is_no_backlog() -> None:
    """Calls of 1 ms, a hundred a second, in front of a timer that wakes up every 16 ms."""
    came = tuple(k / 100 for k in range(500))
    scenario = plant(100.0, service=Constant(0.001), consumer=Blocking(), arrivals=came)
    trace = tpssim.simulate(scenario._replace(timer=TIMERS["windows-tick"]), "headroom")
    assert (trace.outcome == OK).sum() == 500


def test_headroom_turns_away_only_calls_that_come_by_themselves() -> None:
    loop = plant(256.0, service=Constant(1 / 8))
    assert not (tpssim.simulate(loop, "headroom").outcome == REFUSED).any()
    came = loop._replace(arrivals=tuple(k / 256 for k in range(2000)))
    served = loop._replace(consumer=Blocking())
    trace = tpssim.simulate(came._replace(consumer=Blocking()), "headroom")
    # One at a time takes 1/8 s; six calls' time are 3/4 s.
    waited = trace.released - np.array(came.arrivals)[: len(trace.released)]
    assert np.nanmax(waited) <= 0.75
    assert (trace.outcome == REFUSED).sum() > 1700
    assert not (tpssim.simulate(served, "headroom").outcome == REFUSED).any()


def test_what_arrivals_want() -> None:
    scenario = plant(99.0, 3.5, arrivals=ARRIVED, producers=(Producer(), Producer(target=2.0)))
    # What is left of a second belongs to the last whole one: two calls in 1.5 s.
    last = pytest.approx(2.0 + 2.0 / 1.5)
    assert [wanted(scenario, t) for t in (0.2, 0.9, 1.5)] == [6.0, 6.0, 2.0]
    assert wanted(scenario, 2.0) == last
    assert wanted(scenario, 3.2) == last
    assert wanted_calls(scenario) == 6.0 + 7.0
    assert (peak(scenario), frame(scenario)[2]) == (4.0, 6.0)
    assert mean_over(scenario, achievable, 0.0, 3.5) == pytest.approx(13.0 / 3.5, rel=0.01)
    trace = run(scenario)
    assert trace.released[trace.producer == 0].tolist() == list(ARRIVED)
    assert trace.released[trace.producer == 1].tolist() == [k / 2 for k in range(7)]
    costly = plant(99.0, 3.5, arrivals=ARRIVED, cost=Constant(5.0))
    assert (achievable(costly, 0.2), wanted_calls(costly)) == (4.0, 6.0)


def test_known_quotas_are_never_exceeded() -> None:
    known = (Quota(2.0, 1.0, margin=0.0),)
    # Two at 0 and 1/4, the others when one of them is a second old; no answer is needed for it.
    trace = run(plant(4.0, 4.0, quotas=known))
    assert trace.released.tolist() == [0.0, 0.25, 1.0, 1.25, 2.0, 2.25, 3.0, 3.25]
    assert trace.scheduled.tolist() == [k / 4 for k in range(8)]
    assert achievable(plant(4.0, quotas=known), 0.0) == 2.0
    tokens = (Quota(7.0, 1.0, of="cost", margin=0.0), Quota(5.0, 1.0, margin=0.0))
    scenario = plant(16.0, 4.0, quotas=tokens, cost=Constant(3.0))
    assert run(scenario).released.tolist() == [0.0, 0.1875, 1.0, 1.1875, 2.0, 2.1875, 3.0, 3.1875]
    assert achievable(scenario, 0.0) == pytest.approx(7.0 / 3.0)
    # Each producer knows its own.
    both = run(plant(4.0, 4.0, quotas=known, producers=(Producer(), Producer())))
    assert len(both.released) == 16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arrivals": ()}, "arrivals are empty"),
        ({"arrivals": (1.0, 0.5)}, "arrival 1 at 0.5 s is before the one before it"),
        ({"arrivals": (math.nan,)}, "arrival 0 at nan s is out of range"),
        ({"arrivals": ARRIVED, "poisson": 1.0}, "poisson=1 with arrivals; allowed: one of them"),
        ({"arrivals": ARRIVED, "producers": (Producer(), Producer())}, "arrivals with 2 producers"),
        ({"arrivals": ARRIVED, "producers": (Producer(1.0),)}, "target=None, from 0 s on"),
        ({"quotas": (Quota(0.0, 1.0),)}, "a quota: amount=0 is out of range"),
        ({"quotas": Quota(1.0, 1.0)}, r"allowed: a list of Quota\(amount, per\)"),
        ({"target": Stages("1s:2000000")}, "the peak of 1s:.*: target=.* is out of range"),
    ],
)
def test_impossible_loads_are_refused_in_one_line(change: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        checked_scenario(plant(4.0)._replace(**change))
    assert "\n" not in str(error.value)
