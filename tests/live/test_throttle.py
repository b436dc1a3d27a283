"""`throttle` on a virtual clock: schedules by hand, and the decisions of the model to the bit."""

from __future__ import annotations

import gc
import math
import threading
import weakref
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers.laws import Actuators, SetOnce

import tpssim
from tpssim import (
    CONTROLLERS,
    SCENARIOS,
    Aborted,
    InputError,
    Observation,
    Quota,
    Stages,
    throttle,
)
from tpssim.core.clocks import VirtualClock
from tpssim.core.timer_models import TIMERS
from tpssim.core.types import REFUSED
from tpssim.core.window import Sensor
from tpssim.live.session import Flow
from tpssim.live.waiting import PreciseClock
from tpssim.scenarios.load import peak


def times(clock: VirtualClock, *args: Any, **options: Any) -> list[float]:
    return [clock.time() for _ in throttle(*args, clock=clock, **options)]


@pytest.mark.parametrize(
    ("items", "total", "given"),
    [
        ("abc", None, "abc"),
        ("abc", 7, "abcabca"),
        ("abc", 2, "ab"),
        ("abc", 0, ""),
        ("", None, ""),
        ("", 5, ""),
        (iter("ab"), 5, "ababa"),
        ((c for c in "ab"), None, "ab"),
    ],
)
def test_items_one_pass_or_cycled(items: Any, total: int | None, given: str) -> None:
    assert "".join(throttle(items, 100.0, total, clock=VirtualClock())) == given


def test_an_endless_iterable_is_taken_as_it_comes() -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        while True:
            taken.append(len(taken))
            yield taken[-1]

    assert list(throttle(numbers(), 10.0, 4, clock=VirtualClock())) == [0, 1, 2, 3]
    assert taken == [0, 1, 2, 3]


def test_the_schedule_is_absolute() -> None:
    # 4 a second; the body of the second call takes 0.6 s: two slots are missed and made up for at
    # once.
    clock = VirtualClock()
    seen = []
    for k in throttle(range(6), 4.0, clock=clock, late="burst"):
        seen.append(clock.time())
        if k == 1:
            clock.set(clock.time() + 0.6)
    assert seen == [0.0, 0.25, 0.85, 0.85, 1.0, 1.25]


@pytest.mark.parametrize(
    ("late", "released"),
    [
        ("delay", [0.0, 0.25, 1.0, 1.25, 1.5]),
        ("skip", [0.0, 0.25, 1.0, 1.25, 1.5]),
        ("capped(1)", [0.0, 0.25, 1.0, 1.0, 1.25]),
        ("burst", [0.0, 0.25, 1.0, 1.0, 1.0]),
    ],
)
def test_late_policies(late: str, released: list[float]) -> None:
    clock = VirtualClock()
    seen = []
    for k in throttle(range(5), 4.0, clock=clock, late=late):
        seen.append(clock.time())
        if k == 1:
            clock.set(1.0)  # slots 0.5 and 0.75 are missed, and that of 1.0 is now
    assert seen == released


@pytest.mark.parametrize(
    ("scenario", "seconds"), [("blocking-steady", 20), ("degrade-recover", 40)]
)
@pytest.mark.parametrize("name", list(CONTROLLERS))
@pytest.mark.usefixtures("draws_of_the_model")
def test_the_live_throttle_decides_as_the_model_to_the_bit(
    name: str, scenario: str, seconds: int
) -> None:
    """Call k comes back when the model's call k did; the throttle then does what the model did."""
    wanted = SCENARIOS[scenario]._replace(duration=float(seconds))
    trace = tpssim.simulate(wanted, name, engine="simpy")
    clock = VirtualClock()
    made = np.flatnonzero(trace.outcome != REFUSED)  # a refused slot keeps its item
    live = throttle(made, peak(wanted), clock=clock, controller=name, late=wanted.late)
    for k in live:
        assert clock.time() == trace.released[k], f"call {k}"
        if not math.isfinite(trace.completed[k]):
            break
        assert live.flow.pacer is not None
        clock.set(trace.completed[k])
    assert k > LEAST.get(name, 100)


#: Laws that command next to nothing for a while: a start of one call in 5 s.
LEAST = {"scrapy-autothrottle": 0}


def test_ten_minutes_do_not_drift() -> None:
    # 700 a second is no whole number of ns, us or ms; a real clock's wake-ups are late, spins cost
    # time.
    clock = VirtualClock(TIMERS["linux"], late=[120e-6, 80e-6, 900e-6, 140e-6] * 120_000)
    live = throttle([None], 700.0, 420_001, clock=clock)
    for _ in live:
        pass
    report = live.report()
    assert report.seconds == pytest.approx(600.0, abs=2e-3)
    assert abs(report.drift_ppm) < 0.01
    assert report.rate_error < 20e-6
    assert report.early == 0


def test_another_rate_while_running() -> None:
    clock = VirtualClock()
    live = throttle(range(7), 4.0, clock=clock)
    seen = []
    for k in live:
        seen.append(clock.time())
        if k == 2:
            live.tps = 8.0
    assert live.tps == 8.0
    assert seen == [0.0, 0.25, 0.5, 0.625, 0.75, 0.875, 1.0]


def test_another_rate_does_not_turn_back_a_laws_time() -> None:
    heard: list[float] = []

    class Windowed:
        def sensor(self) -> Sensor:
            return Sensor(period=0.5)

        def init(self, target: float) -> Actuators:
            return Actuators(target, math.inf, 0.0)

        def update(self, state: Actuators, obs: Observation) -> Actuators:
            heard.append(obs.now)
            return state

    clock = VirtualClock()
    live = throttle(range(6), 4.0, clock=clock, controller=Windowed())
    for k in live:
        if k == 1:
            # windows end in the body, and then another rate is wanted
            clock.set(clock.time() + 2.0)
            live.tps = 8.0
    assert heard == sorted(heard)
    assert len(heard) > 2


def test_stop_ends_the_iteration() -> None:
    live = throttle(range(100), 4.0, clock=VirtualClock())
    taken = []
    for k in live:
        taken.append(k)
        if k == 2:
            live.stop()
    assert taken == [0, 1, 2]
    assert live.report().ok == 3
    assert next(live, None) is None


def test_a_law_that_slows_down_is_obeyed() -> None:
    # aimd: an interval 1.5 times the wanted one: the rate times 0.7; the slot after follows the new
    # rate.
    clock = VirtualClock()
    live = throttle(range(4), 10.0, clock=clock, controller="aimd")
    seen = []
    for _ in live:
        seen.append(clock.time())
        clock.set(clock.time() + 0.2)
    assert seen == pytest.approx([0.0, 0.2, 0.4, 0.6])
    assert live.flow.pacer is not None
    # 0.2 s after 0.2 s: late for intervals of 0.1 s (10 -> 7) and, at last, of 1/8 s (8 -> 5.6); in
    # time for 1/7 s (7 -> 8). The gaps of 0.2 s were commanded 10, 7 and 8 a second: 5 calls in 0.6
    # s; 3 were made.
    assert live.flow.pacer.state.rate == pytest.approx(5.6)
    report = live.report()
    assert report.commanded == pytest.approx(5.0 / 0.6)
    assert report.rate == pytest.approx(5.0)
    said = "one call at a time takes 200 ms: at most 5 a second; use workers=3 (run)"
    assert report.verdict == said
    assert live.why() == "returned later than 1.5 intervals after the last"


@pytest.mark.parametrize("end", ["exhausted", "closed", "dropped"])
def test_a_throttle_leaves_no_garbage_for_the_collector(end: str) -> None:
    gc.collect()
    gc.disable()
    try:
        live = throttle(range(3), 1000.0)
        clock = weakref.ref(live.flow.timing)
        if end == "exhausted":
            list(live)
        elif end == "closed":
            live.close()
        del live
        assert clock() is None
    finally:
        gc.enable()


def test_a_rehearsal_that_fails_ends_the_rehearsing() -> None:
    """A law that raises after so many seconds; in rehearsals they pass quickly."""

    class Mortal(NamedTuple):
        seconds: float

        def init(self, target: float) -> SetOnce:
            return SetOnce()

        def update(self, state: SetOnce, obs: Observation) -> SetOnce:
            return state

        def admit(self, state: SetOnce, now: float, lag: float, flying: float) -> SetOnce:
            if now > self.seconds:
                raise ZeroDivisionError
            return state

    clock = PreciseClock(1.0)
    flow = Flow(100.0, Mortal(0.015), "burst", None, 0, clock, {})
    rehearse = flow.rehearsal()
    assert [rehearse() for _ in range(4)] == [True, True, False, False]
    clock.rehearse = rehearse
    while vars(clock)["rehearse"] is not None:
        clock.wait(clock.now() + 0.001)
    assert list(throttle(range(4), 20.0, controller=Mortal(60.0), spin=1.0)) == [0, 1, 2, 3]


@pytest.mark.parametrize("quotas", [[], [Quota(2, 1.0)]])
def test_rehearsals_go_on_past_the_end_of_a_profile(quotas: list[Quota]) -> None:
    """A profile of 1 s; rehearsed is a slow ramp that begins at half of its peak, 50 a second."""
    seen: list[float] = []

    class Counting(NamedTuple):
        unused: float = 0.0

        def init(self, target: float) -> SetOnce:
            return SetOnce()

        def update(self, state: SetOnce, obs: Observation) -> SetOnce:
            return state

        def admit(self, state: SetOnce, now: float, lag: float, flying: float) -> SetOnce:
            seen.append(now)
            return state

    flow = Flow(
        Stages("1s:100"), Counting(), "burst", None, 0, PreciseClock(1.0), {}, quotas=quotas
    )
    rehearse = flow.rehearsal()
    assert all(rehearse() for _ in range(200))
    assert len(seen) == 200
    if quotas:
        assert max(sum(start <= t < start + 1.0 for t in seen) for start in seen) == 2
    else:
        assert seen[-1] == pytest.approx(199 / 50.0)


def test_a_class_of_laws_stands_for_its_defaults() -> None:
    live = throttle("ab", 5.0, controller=CONTROLLERS["aimd"], clock=VirtualClock())
    assert live.flow.law == CONTROLLERS["aimd"]()
    assert live.flow.name == "aimd"
    assert list(throttle("ab", 5.0, controller=Refusing, clock=VirtualClock())) == ["a", "b"]


class Refusing(NamedTuple):
    """A law that refuses every call with probability a half."""

    def init(self, target: float) -> SetOnce:
        return SetOnce(math.inf, math.inf, 0.5)

    def update(self, state: SetOnce, obs: Observation) -> SetOnce:
        return state


def test_a_refused_slot_keeps_its_item() -> None:
    live = throttle(range(200), 100.0, clock=VirtualClock(), controller=Refusing(), seed=3)
    assert list(live) == list(range(200))
    report = live.report()
    assert report.ok == report.released == 200
    # Slots until 200 were not refused: negative binomial, mean 200 refusals, standard deviation 20.
    assert 100 < report.refused < 300


def test_permits_tell_the_law_what_became_of_a_call() -> None:
    observed: list[Observation] = []

    class Listening(NamedTuple):
        def init(self, target: float) -> SetOnce:
            return SetOnce(target, math.inf, 0.0)

        def update(self, state: SetOnce, obs: Observation) -> SetOnce:
            observed.append(obs)
            return state

    clock = VirtualClock()
    live = throttle(range(6), 10.0, clock=clock, controller=Listening())
    for k, permit in live.permits():
        if k == 0:
            with permit:
                clock.set(0.05)
            permit.fail()  # settled already
        elif k == 1:
            with pytest.raises(ValueError, match="body"), permit:
                raise ValueError("body")
        elif k == 2:
            with pytest.raises(TimeoutError), permit:
                raise TimeoutError
        elif k == 3:
            permit.drop()
        elif k == 4:
            with pytest.raises(KeyboardInterrupt), permit:
                raise KeyboardInterrupt
        else:
            assert permit.in_flight == 1
            permit.done()
    assert [(obs.count, obs.errors, obs.drops) for obs in observed] == [
        (1.0, 0.0, 0.0),
        (1.0, 1.0, 0.0),
        (1.0, 1.0, 1.0),
        (1.0, 1.0, 1.0),
        (1.0, 0.0, 0.0),
    ]
    assert observed[0].latency == 0.05
    report = live.report()
    assert (report.ok, report.errors, report.drops, report.in_flight) == (2, 3, 2, 0)


def test_a_body_that_raises_in_a_context_is_a_failure() -> None:
    live = throttle(range(5), 100.0, clock=VirtualClock())

    def loop() -> None:
        with live:
            for k in live:
                _ = 1 / (2 - k)

    with pytest.raises(ZeroDivisionError):
        loop()
    report = live.report()
    assert (report.ok, report.errors, report.in_flight) == (2, 1, 0)


def test_an_iterable_that_raises_is_heard_and_the_run_is_over() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the source went away")

    live = throttle(items(), 100.0, clock=VirtualClock())
    assert next(live) == 1
    with pytest.raises(OSError, match="went away"):
        next(live)
    assert next(live, None) is None
    assert live.report().ok == 1


class Nonsense(NamedTuple):
    """A law that answers `value` from its third call on, or raises."""

    value: float

    def init(self, target: float) -> SetOnce:
        return SetOnce(target, math.inf, 0.0)

    def update(self, state: SetOnce, obs: Observation) -> SetOnce:
        if obs.now < 0.025:
            return state
        if self.value == 7.0:
            raise ZeroDivisionError("division by zero")
        return SetOnce(self.value, math.inf, 0.0)


@pytest.mark.parametrize(
    ("value", "said"), [(-1.0, "rate=-1.0"), (math.nan, "rate=nan"), (7.0, "ZeroDiv")]
)
def test_a_law_with_an_invalid_state_ends_the_run(value: float, said: str) -> None:
    live = throttle(range(100), 100.0, clock=VirtualClock(), controller=Nonsense(value))
    with pytest.raises(Aborted, match=said):
        list(live)
    assert live.report().released == 4


def test_a_law_that_releases_nothing_for_ever_is_warned_of() -> None:
    live = throttle(range(9), 100.0, clock=VirtualClock(), controller=SetOnce(0.0, math.inf, 0.0))
    with (
        pytest.warns(tpssim.ThrottleWarning, match="SetOnce releases nothing"),
        pytest.raises(Aborted, match="for good"),
    ):
        list(live)


@pytest.mark.parametrize(
    ("args", "options", "said"),
    [
        (("ab", 0.0), {}, "tps=0.0; allowed"),
        (("ab", math.inf), {"controller": "aimd"}, "tps=inf with aimd"),
        (("ab", "5"), {}, "tps='5'"),
        ((5, 5.0), {}, "items is a int; allowed: an iterable"),
        (("ab", 5.0, -1), {}, "total=-1; allowed"),
        (("ab", 5.0, 1.5), {}, "total=1.5"),
        (("ab", 5.0), {"late": "never"}, "no late policy 'never'"),
        (("ab", 5.0), {"spin": "fast"}, "spin='fast'; allowed"),
        (("ab", 5.0), {"spin": -1.0}, "spin=-1.0"),
        (("ab", 5.0), {"controller": "pidd"}, "no controller 'pidd'"),
        (("ab", 5.0), {"controller": "aimd:dec_rate=2"}, "dec_rate"),
        (("ab", 5.0), {"controller": 5}, "controller=5; allowed"),
        (("ab", 5.0), {"controller": int}, "controller=<class 'int'>; allowed"),
        (
            ("ab", 5.0),
            {"controller": Nonsense},
            "missing 1 required positional argument: 'value'; allowed",
        ),
        (("ab", 5.0), {"record": "/nowhere/at/all"}, "cannot be written"),
    ],
)
def test_bad_arguments(args: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        throttle(*args, **options)
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        tpssim.athrottle(*args, **options)


def test_bad_rates_while_running() -> None:
    live = throttle("ab", 5.0, clock=VirtualClock())
    with pytest.raises(InputError, match="tps=-1"):
        live.tps = -1.0
    assert live.tps == 5.0


def test_the_limit_actuator_waits_for_a_permit_to_be_settled_in_another_thread() -> None:
    live = throttle(range(6), 1000.0, controller=SetOnce(math.inf, 2.0, 0.0))
    most = 0
    for _, permit in live.permits():
        most = max(most, permit.in_flight)
        threading.Timer(0.02, permit.done).start()
    assert most == 2
    assert live.report().limited > 0
