"""The simpy model by hand: releases, ties, actuators, disturbances; the printed throttles beside
it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers.laws import Actuators, SetOnce, run
from hypothesis import given, settings
from hypothesis import strategies as st

from tpssim.controllers import CONTROLLERS
from tpssim.controllers.article import PRINTED, TWINS, OnRate
from tpssim.core.clocks import Clock
from tpssim.core.schedule import BURST, DELAY, SKIP, Late, capped
from tpssim.core.timer_models import TIMERS
from tpssim.core.types import OK, REFUSED, UNFINISHED, Observation
from tpssim.scenarios.disturbances import Stall, Step, Swap
from tpssim.scenarios.plant import Async, Backend, Blocking
from tpssim.scenarios.retries import Retry
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant, Lognormal, draws
from tpssim.simulation.hosting import runner
from tpssim.simulation.trace import COLUMNS


def test_a_fast_blocking_call_keeps_the_schedule() -> None:
    trace = run(Scenario("s", Constant(0.125), 4.0, 1.0))
    assert trace.scheduled.tolist() == trace.released.tolist() == [0.0, 0.25, 0.5, 0.75]
    assert trace.completed.tolist() == [0.125, 0.375, 0.625, 0.875]
    assert trace.latency.tolist() == [0.125] * 4
    assert trace.in_flight.tolist() == [1.0] * 4
    assert trace.outcome.tolist() == [OK] * 4
    assert trace.rate.tolist() == [4.0] * 4


def test_a_slow_blocking_call_holds_the_next_one_back() -> None:
    # 0.375 s a call, one wanted every 0.25 s: released back to back; the last one is not done at 1
    # s.
    trace = run(Scenario("s", Constant(0.375), 4.0, 1.0))
    assert trace.scheduled.tolist() == [0.0, 0.25, 0.5]
    assert trace.released.tolist() == [0.0, 0.375, 0.75]
    assert trace.completed.tolist()[:2] == [0.375, 0.75]
    assert math.isnan(trace.completed[2])
    assert trace.outcome.tolist() == [OK, OK, UNFINISHED]


def test_what_lies_at_the_end_does_not_happen() -> None:
    # The release due at 0.5 s and the completion of call 1 at 0.5 s lie at the end, not before it.
    trace = run(Scenario("s", Constant(0.25), 4.0, 0.5))
    assert trace.released.tolist() == [0.0, 0.25]
    assert trace.outcome.tolist() == [OK, UNFINISHED]


# The end of a window may raise the rate, so that a slot turns out to have been due before it.
UNTIMED = [name for name, law in CONTROLLERS.items() if not hasattr(law, "sensor")]


@pytest.mark.parametrize("law", UNTIMED)
def test_one_server_obeys_lindley_to_the_bit(law: str) -> None:
    scenario = Scenario("s", Lognormal(0.02, 1.0), 60.0, 30.0)
    trace = run(scenario, CONTROLLERS[law]())
    service = Lognormal(0.02, 1.0).times(draws("normal", len(trace.released), 0, 0))
    free = 0.0
    for k in range(len(trace.released) - 1):
        if trace.outcome[k] == REFUSED:
            continue  # an admission law at work: its draw is used up, the server is not
        earliest = max(trace.scheduled[k], free)
        # A window may end while the producer waits: if it raises the rate, the slot is due earlier
        # than now.
        moved = hasattr(CONTROLLERS[law], "sensor") and trace.released[k] > earliest
        assert trace.released[k] == earliest or moved
        free = trace.released[k] + service[k]
        assert trace.completed[k] == free


def test_a_hand_off_frees_the_producer_and_is_all_the_law_sees() -> None:
    scenario = Scenario("s", Constant(0.5), 4.0, 1.0, Async(handoff=0.125))
    trace = run(scenario)
    assert trace.released.tolist() == [0.0, 0.25, 0.5, 0.75]
    assert trace.latency.tolist() == [0.125] * 4
    # the second ends at 0.875, the others after the end
    assert trace.completed.tolist()[:1] == [0.625]
    assert trace.outcome.tolist() == [OK, OK, UNFINISHED, UNFINISHED]


def test_completion_feedback_counts_the_calls_in_flight() -> None:
    scenario = Scenario("s", Constant(0.625), 4.0, 1.0, Async(0.0, "completion"))
    trace = run(scenario)
    # Released at 0, 1/4, 1/2, 3/4; the first ends at 5/8.
    assert trace.in_flight.tolist() == [1.0, 2.0, 3.0, 3.0]
    assert trace.latency.tolist()[:2] == [0.625, 0.625]
    assert math.isnan(trace.latency[2])


def test_a_completion_comes_before_a_release_at_the_same_instant() -> None:
    # Every call ends exactly when the next one is due.
    trace = run(Scenario("s", Constant(0.25), 4.0, 2.0, Async(0.0, "completion")))
    assert trace.in_flight.tolist() == [1.0] * 8


def test_the_limit_actuator_holds_releases_back() -> None:
    # Two in flight at most, half a second each: pairs at 0 and 1/4, then one as each ends.
    scenario = Scenario("s", Constant(0.5), 8.0, 1.0, Async(0.0, "completion"))
    trace = run(scenario, SetOnce(limit=2.0))
    assert trace.released.tolist() == [0.0, 0.125, 0.5, 0.625]
    assert trace.in_flight.max() == 2.0
    assert trace.limit.tolist() == [2.0] * 4


def test_the_rate_actuator_paces_releases() -> None:
    assert run(Scenario("s", Constant(0.01), 8.0, 1.0), SetOnce(rate=2.0)).released.tolist() == [
        0.0,
        0.5,
    ]


def test_the_rejection_actuator_refuses_slots() -> None:
    scenario = Scenario("s", Constant(0.01), 100.0, 100.0)
    every = run(scenario, SetOnce(reject=1.0))
    assert set(every.outcome.tolist()) == {REFUSED}
    assert np.isnan(every.released).all()
    assert len(every.outcome) == 10_000
    half = run(scenario, SetOnce(reject=0.5))
    # Binomial: 5,000 +- 5 x 50.
    assert (half.outcome == REFUSED).sum() == pytest.approx(5000, abs=250)
    # A refused slot uses up its noise, and its place in the schedule.
    assert half.scheduled.tolist() == pytest.approx((np.arange(10_000) / 100.0).tolist())


class Faster(NamedTuple):
    """A law that quadruples the rate at the first observation."""

    def init(self, target: float) -> Actuators:
        return Actuators(1.0, math.inf, 0.0)

    def update(self, state: Actuators, obs: Observation) -> Actuators:
        return Actuators(4.0, math.inf, 0.0)


def test_a_wait_is_begun_again_when_an_observation_moves_the_deadline() -> None:
    # Released at 0; the next is due at 1 s, until the completion at 0.375 s moves it to 0 + 1/4: at
    # once.
    scenario = Scenario("s", Constant(0.375), 8.0, 1.0, Async(0.0, "completion"))
    trace = run(scenario, Faster())
    assert trace.scheduled.tolist() == [0.0, 0.25, 0.5, 0.75]
    assert trace.released.tolist() == [0.0, 0.375, 0.5, 0.75]


def test_disturbances_act_on_calls_begun_while_they_last() -> None:
    disturbances = (Step(0.25, 0.75, 2.0), Swap(0.5, 1.0, Constant(0.03125)), Step(0.0, 0.25, 0.5))
    trace = run(Scenario("s", Constant(0.0625), 4.0, 1.25, Blocking(), disturbances))
    # 0: x 0.5; 0.25: x 2 (the edge belongs to it); 0.5: the other service x 2; 0.75: the other; 1:
    # neither.
    assert (trace.completed - trace.released).tolist() == [0.03125, 0.125, 0.0625, 0.03125, 0.0625]


def test_call_k_draws_the_same_time_whatever_the_law_does() -> None:
    scenario = Scenario("s", Lognormal(0.02, 0.5), 100.0, 5.0)
    traces = [run(scenario, law()) for law in CONTROLLERS.values()]
    compared = 0
    for trace in traces[1:]:
        n = min(len(trace.released), len(traces[0].released)) - 1
        served = np.flatnonzero(trace.outcome[:n] == OK)
        assert trace.latency[served] == pytest.approx(traces[0].latency[served], rel=1e-12)
        compared += len(served)
    assert compared > 1000  # a law that begins slowly has few calls to compare


def test_what_a_law_observes() -> None:
    seen: list[Observation] = []

    class Spy(NamedTuple):
        def init(self, target: float) -> Actuators:
            return Actuators(math.inf, math.inf, 0.0)

        def update(self, state: Actuators, obs: Observation) -> Actuators:
            seen.append(obs)
            return state

    run(Scenario("s", Constant(0.375), 4.0, 1.0), Spy())
    uniform = draws("law.uniform", 2, 0, 0)
    first, second = seen
    assert first == Observation(0.375, 4.0, 0.375, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, uniform[0])
    assert second == Observation(0.75, 4.0, 0.375, 0.125, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, uniform[1])


def test_the_timer_makes_releases_late_and_spinning_cures_it() -> None:
    scenario = Scenario("s", Constant(0.0001), 500.0, 10.0, Blocking(), (), TIMERS["linux"], 0.0)
    asleep = run(scenario)
    awake = run(scenario._replace(spin_threshold=0.0005))
    # The linux model: median 125 us late; a spin of 500 us hides all but the rare spikes.
    assert np.median(asleep.released - asleep.scheduled) == pytest.approx(125e-6, rel=0.05)
    assert np.median(awake.released - awake.scheduled) < 1e-7
    assert asleep.meta["spun"] == 0.0
    # Spun: 500 us less the median 125 us (mean 128) of lateness, each of 5,000 times.
    assert awake.meta["spun"] == pytest.approx(5000 * (500e-6 - 128e-6), rel=0.02)


BACKENDS = st.builds(
    lambda servers, slope, failure: Backend(servers=servers, slope=slope, failure=failure),
    st.sampled_from([1.0, 3.0, math.inf]),
    st.sampled_from([0.0, 0.1]),
    st.sampled_from([0.0, 0.2]),
)
PLANTS = st.builds(
    lambda *parts: Scenario("drawn", *parts[:-3])._replace(
        backend=parts[-3],
        timeout=parts[-2],
        retry=Retry(attempts=parts[-1], base=0.01),
        late=BURST,  # all that the printed throttles know
    ),
    st.builds(Lognormal, st.floats(1e-4, 0.1), st.floats(0.0, 2.0))
    | st.builds(Constant, st.floats(1e-4, 0.1)),
    st.floats(1.0, 500.0),
    st.just(4.0),
    st.sampled_from([Blocking(), Async(), Async(0.0)]),
    st.sampled_from(
        [(), (Step(1.0, 2.0, 20.0),), (Swap(1.0, 3.0, Lognormal(0.02, 0.5)), Stall(2.0, 2.5))]
    ),
    BACKENDS,
    st.sampled_from([0.03, math.inf]),
    st.sampled_from([0.0, 2.0]),
)


@given(PLANTS, st.sampled_from(sorted(TWINS)), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_a_law_reproduces_its_printed_twin_to_the_bit(
    scenario: Scenario, printed: str, seed: int
) -> None:
    theirs = runner.simulate(scenario, runner.printed(PRINTED[printed]), seed, 0, {})
    ours = run(scenario, CONTROLLERS[TWINS[printed]](), seed)
    assert len(theirs.released) > 0
    for name in COLUMNS:
        assert np.array_equal(getattr(theirs, name), getattr(ours, name), equal_nan=True), name
    if printed != "printed-schedule":  # which does not spin
        assert theirs.meta["spun"] == ours.meta["spun"]


def test_a_changed_constant_would_not_pass_as_a_twin() -> None:
    scenario = Scenario("s", Lognormal(0.02, 0.5), 100.0, 10.0)
    theirs = runner.simulate(scenario, runner.printed(PRINTED["printed-aimd"]), 0, 0, {})
    ours = run(scenario, CONTROLLERS["aimd"](inc_step=1.0 + 1e-12))
    assert not np.array_equal(theirs.released, ours.released)


def test_an_error_in_hosted_code_comes_out_and_its_end_is_clean() -> None:
    closed: list[float] = []

    def broken(
        items: Iterable[Any],
        tps: float,
        total: int,
        *,
        clock: Clock | None = None,
        on_rate: OnRate | None = None,
    ) -> Iterator[Any]:
        assert clock is not None
        try:
            for item in items:
                clock.wait(item / tps, 0.0)
                yield item
                if item == 3 and tps == 4.0:
                    raise ZeroDivisionError("in the throttle")
        finally:
            closed.append(clock.now())

    with pytest.raises(ZeroDivisionError, match="in the throttle"):
        runner.simulate(Scenario("s", Constant(0.01), 4.0, 2.0), runner.printed(broken), 0, 0, {})
    trace = runner.simulate(
        Scenario("s", Constant(0.01), 5.0, 2.0), runner.printed(broken), 0, 0, {}
    )
    assert len(trace.released) == 10
    assert len(closed) == 2


def test_equal_arguments_give_equal_bits_and_another_seed_does_not() -> None:
    scenario = Scenario("s", Lognormal(0.02, 0.5), 100.0, 5.0)
    one, two, other = run(scenario), run(scenario), run(scenario, seed=1)
    for name in COLUMNS:
        assert getattr(one, name).tobytes() == getattr(two, name).tobytes()
    assert not np.array_equal(one.completed[:10], other.completed[:10])
    assert not np.array_equal(one.completed[:10], run(scenario, replication=1).completed[:10])


class Closing(NamedTuple):
    """A law that closes the rate actuator at a late release, by `admit`."""

    def init(self, target: float) -> Actuators:
        return Actuators(math.inf, math.inf, 0.0)

    def update(self, state: Actuators, obs: Observation) -> Actuators:
        return state

    def admit(self, state: Actuators, now: float, lag: float, in_flight: float) -> Actuators:
        return Actuators(0.0, math.inf, 0.0) if lag > 0.0 else state


@pytest.mark.parametrize("late", [BURST, DELAY, SKIP, capped(2)], ids=str)
def test_a_closed_rate_actuator_is_due_never(late: Late) -> None:
    scenario = Scenario("s", Constant(0.375), 4.0, 4.0, late=late)
    assert run(scenario, SetOnce(rate=0.0)).released.tolist() == []
    # The second release is late, so it is the last.
    assert run(scenario, Closing()).released.tolist() == [0.0, 0.375]
