"""What each late policy makes of 3 s in which nothing could be released, and what the report says
of it.

100 a second. Slot 51, due at 0.51 s, is released at `now`, a little after a tick; all values by
hand.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import pytest
from helpers.laws import Actuators
from helpers.virtual_time import virtual_time

from tpssim import run, throttle
from tpssim.core.clocks import VirtualClock
from tpssim.core.types import Observation
from tpssim.core.window import Sensor
from tpssim.live.permits import Permit
from tpssim.live.report import Report

#: Of a release at 0.005 s after a tick: most in a second, slots skipped beside those up to that
#: tick. burst: what was missed and what is due in that second. auto: 0.1 s, 10 slots, behind;
#: capped: 20; delay: none; skip: as the ticks have it, and the late one.
POLICIES = {"burst": 0, "auto": 110, "capped(20)": 120, "capped(3)": 103, "delay": 100, "skip": 101}
KEPT = {"auto": 10.0, "capped(20)": 20.0, "capped(3)": 3.0, "delay": 0.0}


class Troubled(VirtualClock):
    """Once, where the slot of 0.51 s is waited for, something else happens instead."""

    def __init__(self, trouble: Callable[[VirtualClock], None] | None = None) -> None:
        super().__init__()
        self.trouble = trouble

    def wait(self, deadline: float, spin: float) -> float:
        if self.trouble is not None and deadline > 0.505:
            trouble, self.trouble = self.trouble, None
            trouble(self)
            return self.now()
        return super().wait(deadline, spin)


class TwoAtOnce:
    """A limit of two calls in flight; its windows have the throttle look again while it is
    closed.
    """

    def sensor(self) -> Sensor:
        return Sensor(period=0.2)

    def init(self, target: float) -> Actuators:
        return Actuators(math.inf, 2.0, 0.0)

    def update(self, state: Actuators, obs: Observation) -> Actuators:
        return state


def stopped(policy: str) -> tuple[Report, float]:
    """SIGSTOP, a suspended laptop: the wait ends 3.005 s late."""
    clock = Troubled(lambda clock: clock.set(3.515))
    live = throttle(range(700), 100.0, clock=clock, late=policy)
    for _ in live:
        pass
    return live.report(), 3.515


def empty_source(policy: str) -> tuple[Report, float]:
    clock = VirtualClock()

    def items() -> Iterator[int]:
        for k in range(700):
            if k == 51:
                clock.set(3.505)
            yield k

    live = throttle(items(), 100.0, clock=clock, late=policy)
    for _ in live:
        pass
    return live.report(), 3.505


def held_by_a_limit(policy: str) -> tuple[Report, float]:
    """Two calls may be in flight, and the two of 0.49 and 0.5 s end at 3.505 s."""
    hand: list[Permit] = []

    def trouble(clock: VirtualClock) -> None:
        clock.set(3.505)
        for permit in hand:
            permit.done()

    live = throttle(range(700), 100.0, clock=Troubled(trouble), late=policy, controller=TwoAtOnce())
    for k, permit in live.permits():
        if k in (49, 50):
            hand.append(permit)
        else:
            permit.done()
    return live.report(), 3.505


CAUSES: dict[Callable[[str], tuple[Report, float]], str] = {
    stopped: "this process was stopped",
    empty_source: "the source was empty",
    held_by_a_limit: "the limit of TwoAtOnce delayed them",
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("trouble", CAUSES)
def test_the_most_in_a_second_is_as_the_policy_says_and_the_report_names_it(
    trouble: Callable[[str], tuple[Report, float]], policy: str
) -> None:
    report, now = trouble(policy)
    if policy == "burst":
        missed = math.floor(100.0 * now) - 50  # up to the last tick before
        assert report.most_in_1s == missed + 100
        assert report.skipped == report.lost == 0.0
        assert f"; up to {missed + 100} calls were released in one second" in report.verdict
        assert report.verdict.startswith("behind its schedule by ")
        return
    behind = 100.0 * (now - 0.51)
    skipped = math.floor(behind) if policy == "skip" else behind - KEPT[policy]
    assert report.most_in_1s == POLICIES[policy]
    assert report.skipped == pytest.approx(skipped)
    assert report.lost == pytest.approx(skipped / 100.0)
    assert f"{report.lost:.3g} s of the schedule, " in report.verdict
    assert CAUSES[trouble] in report.verdict
    assert report.released == report.ok == 700


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.filterwarnings("ignore::tpssim.ThrottleWarning")
def test_what_waited_for_a_full_pool_begins_as_the_policy_says(policy: str) -> None:
    """Calls 51 to 54 keep the four workers until 3.505 s; calls go on to be released, and wait."""
    reports: list[Report] = []

    def main() -> None:
        begin = time.perf_counter()

        def call(k: int) -> None:
            if 51 <= k <= 54:
                time.sleep(begin + 3.505 - time.perf_counter())

        reports.append(run(call, range(700), 100.0, workers=4, late=policy, spin="off").report)

    with virtual_time() as hosted:
        assert hosted(main), "it hangs"
    (report,) = reports
    assert report.ok == 700
    assert report.most_in_1s <= 101  # a look at the clock may take a microsecond
    assert report.skipped < 1.0
    # Calls 55 to 350 wait by then; with burst they begin at once, and 100 more in that second.
    most = 296 + 100 if policy == "burst" else POLICIES[policy]
    assert report.most_begun_in_1s == most
    if most > report.ceiling:
        assert f"up to {most} calls began in one second" in report.verdict
    if policy == "burst":
        assert "1 % of the calls waited 2.9" in report.verdict
    else:  # what waited stays as late as it is: at the same rate nothing makes up for it
        assert report.verdict.startswith("limited by the workers: 4 workers were busy 3")


class Slowed:
    """A law that goes down to 10 a second when a call is refused, and up again when one has taken 3
    s.
    """

    def init(self, target: float) -> Actuators:
        return Actuators(math.inf, math.inf, 0.0)

    def update(self, state: Actuators, obs: Observation) -> Actuators:
        if obs.drops > 0.0:
            return Actuators(10.0, math.inf, 0.0)
        return Actuators(math.inf, math.inf, 0.0) if obs.latency > 3.0 else state


class Eventful(VirtualClock):
    """Things happen at their times while a slot is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[float, Callable[[], None]]] = []

    def wait(self, deadline: float, spin: float) -> float:
        if self.events and self.events[0][0] < deadline:
            at, happen = self.events.pop(0)
            self.set(at)
            happen()
            return self.now()
        return super().wait(deadline, spin)


@pytest.mark.parametrize(
    ("policy", "most", "skipped"),
    [
        # Slots at 3.4 and 3.5 s, then at 3.51 and so on since the rate is 100 again, from 3.585 s
        # on: the one of 3.51 s and seven more are late then, 100 are due in the second from there.
        ("burst", 108, 0.0),
        ("auto", 108, 0.0),
        ("capped(20)", 108, 0.0),
        ("capped(3)", 103, 4.5),
        ("delay", 100, 7.5),
        ("skip", 101, 7.0),
    ],
)
def test_a_recovery_makes_up_for_nothing_that_the_law_held_back(
    policy: str, most: int, skipped: float
) -> None:
    clock = Eventful()
    live = throttle(range(700), 100.0, clock=clock, late=policy, controller=Slowed())
    for k, permit in live.permits():
        if k == 0:
            clock.events.append((3.585, permit.done))
        elif k == 49:
            clock.events.insert(0, (0.505, permit.refused))
        else:
            permit.done()
    report = live.report()
    assert report.most_in_1s == most
    assert report.skipped == pytest.approx(skipped)
    assert report.verdict.startswith("held back by Slowed: ")
    assert report.released == 700
