"""`codel` by its closed form, by hand and beside a queue that is worked as RFC 8289 says;
`codel-folly`.
"""

from __future__ import annotations

import math
import random
from collections import deque
from typing import Any

import pytest
from helpers.laws import done, run

from tpssim.controllers.codel import Codel, CodelState
from tpssim.controllers.codel_folly import CodelFolly
from tpssim.core.errors import InputError
from tpssim.core.types import OK, REFUSED, Observation
from tpssim.core.validation import checked
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant


def slots(
    law: Codel, state: CodelState, start: float, end: float, step: float, lag: float
) -> CodelState:
    """The state after slots that all come `lag` late."""
    for k in range(round((end - start) / step)):
        state = law.admit(state, start + k * step, lag, 0.0)
    return state


def test_times_between_drops_shrink_with_the_root_of_their_number() -> None:
    law, step = Codel(), 1e-5
    state = law.init(1000.0)
    dropped = []
    for k in range(70_000):
        state = law.admit(state, k * step, 0.02, 0.0)
        if state.reject == 1.0:
            dropped.append(1e3 * k * step)
    assert dropped[0] == pytest.approx(100.0, abs=0.01)
    want = [100.0, 170.71, 228.45, 278.45, 323.17, 363.99, 401.79, 437.14, 470.48, 502.10]
    assert [at - dropped[0] for at in dropped[1:11]] == pytest.approx(want, abs=0.02)


def test_one_short_wait_begins_the_interval_again_and_ends_the_dropping() -> None:
    law = Codel()
    state = slots(law, law.init(1000.0), 0.0, 0.09, 0.01, 0.02)
    state = law.admit(state, 0.095, 0.0049, 0.0)
    assert state.first_above == math.inf
    state = slots(law, state, 0.1, 0.2, 0.01, 0.02)
    assert state.dropping == 0.0
    state = law.admit(state, 0.21, 0.02, 0.0)
    assert (state.reject, state.dropping) == (1.0, 1.0)
    state = law.admit(state, 0.22, 0.001, 0.0)
    assert (state.reject, state.dropping) == (0.0, 0.0)


def test_a_queue_that_is_no_longer_than_the_backlog_is_no_queue() -> None:
    law = Codel()
    # At 100 a second, 19 ms late: one more slot has come due. At 20 ms and a bit: two.
    short = slots(law, law.init(100.0), 0.0, 0.3, 0.01, 0.019)
    assert (short.first_above, short.dropping) == (math.inf, 0.0)
    assert slots(law, law.init(100.0), 0.0, 0.3, 0.01, 0.0201).dropping == 1.0
    assert slots(law._replace(backlog=0.0), law.init(100.0), 0.0, 0.3, 0.01, 0.019).dropping == 1.0


@pytest.mark.parametrize(("pause", "drops"), [(0.5, 3.0), (3.0, 1.0)])
def test_dropping_soon_after_goes_on_near_where_it_was(pause: float, drops: float) -> None:
    # Four drops, the first of them the one it began with: three new ones. Next drop was due at 0.1
    # + 0.278 s.
    law = Codel()
    state = law.init(1000.0)
    now = 0.0
    while state.drops < 4.0:
        state = law.admit(state, now, 0.02, 0.0)
        now += 1e-3
    state = law.admit(state, now, 0.0, 0.0)
    assert state.dropping == 0.0
    now += pause
    state = slots(law, state, now, now + 0.1005, 1e-3, 0.02)
    again = state if state.dropping else law.admit(state, now + 0.102, 0.02, 0.0)
    assert (again.dropping, again.drops) == (1.0, drops)


def test_times_in_whole_milliseconds_are_what_they_say() -> None:
    # Late by 5 ms, in floats by a little less; above until 0.2 + 0.1 s, in floats a little more
    # than 0.3.
    law = Codel()
    assert 4.28 - 4.275 < 0.005
    assert law.admit(law.init(1000.0), 4.28, 4.28 - 4.275, 0.0).first_above == pytest.approx(4.38)
    state = law.admit(law.init(1000.0), 0.2, 0.02, 0.0)
    assert state.first_above > 0.3
    assert law.admit(state, 0.3, 0.02, 0.0).reject == 1.0
    # 0.32 - 0.3 s at 100 a second: two more slots have come due.
    assert law.admit(law.init(100.0), 0.32, 0.32 - 0.3, 0.0).first_above == pytest.approx(0.42)


class Queue:
    """A queue of arrival times, worked as the pseudo-code of RFC 8289 does; notes what it drops."""

    def __init__(self, delay: float, interval: float) -> None:
        self.delay, self.interval = delay, interval
        self.waiting: deque[float] = deque()
        self.first_above = self.drop_next = 0.0
        self.count = self.last_count = 0
        self.dropping = False
        self.fates: list[tuple[float, float, bool]] = []  # (now, arrival, dropped)

    def take(self, now: float) -> tuple[float | None, bool]:
        if not self.waiting:
            self.first_above = 0.0
            return None, False
        arrival = self.waiting.popleft()
        if now - arrival < self.delay or len(self.waiting) <= 1:
            self.first_above = 0.0
            return arrival, False
        if self.first_above == 0.0:
            self.first_above = now + self.interval
            return arrival, False
        return arrival, now >= self.first_above

    def serve(self, now: float) -> bool:
        packet, ok = self.take(now)
        if self.dropping:
            self.dropping = ok
            while self.dropping and now >= self.drop_next:
                assert packet is not None
                self.fates.append((now, packet, True))
                self.count += 1
                packet, ok = self.take(now)
                if ok:
                    self.drop_next += self.interval / math.sqrt(self.count)
                else:
                    self.dropping = False
        elif ok:
            assert packet is not None
            self.fates.append((now, packet, True))
            packet, _ = self.take(now)
            self.dropping = True
            delta = self.count - self.last_count
            near = now - self.drop_next < 16 * self.interval
            self.count = delta if delta > 1 and near else 1
            self.drop_next = now + self.interval / math.sqrt(self.count)
            self.last_count = self.count
        if packet is not None:
            self.fates.append((now, packet, False))
        return packet is not None


@pytest.mark.parametrize("seed", range(8))
def test_slot_by_slot_as_a_queue_that_is_worked_as_the_rfc_says(seed: int) -> None:
    # 1024 packets a second on a link that is at times too slow; all times in multiples of 2^-20 s.
    draw = random.Random(seed)
    queue = Queue(0.005, 0.1)
    now, arrived, slow = 1.0, 1024, 1.0
    while now < 40.0:
        while arrived / 1024 <= now:
            queue.waiting.append(arrived / 1024)
            arrived += 1
        if draw.random() < 0.002:
            slow = draw.choice([0.3, 0.9, 1.02, 1.2, 3.0])
        if queue.serve(now):
            now += max(1, round(2**10 * slow * draw.uniform(0.5, 1.5))) / 2**20
        else:
            now = arrived / 1024
    law = Codel()
    state = law.init(1024.0)
    dropped = 0
    for k, (at, arrival, drop) in enumerate(queue.fates):
        state = law.admit(state, at, at - arrival, 0.0)
        assert state.reject == float(drop), (k, at)
        dropped += drop
    assert dropped > 100


def test_a_queue_that_only_the_latencies_show() -> None:
    law = Codel(signal=1.0)
    state = law.init(100.0)
    for k in range(30):  # 30 ms, of which 20 are the service
        state = law.update(state, done(0.0101 * k, 0.02 if k == 0 else 0.03))
        state = law.admit(state, 0.0101 * k, 0.0, 5.0)
        assert state.wait == pytest.approx(0.0 if k == 0 else 0.01)
        # Above from 10.1 ms on: a drop from 110.1 ms on (111.1), from 211.1 on, from 281.8 on.
        assert state.reject == (1.0 if k in (11, 21, 28) else 0.0)
    failed = Observation(0.4, 100.0, 0.001, 0.0, 1.0, 1.0, 1.0, 1.0)
    assert law.update(state, failed).queued == state.queued
    assert law.admit(state, 0.5, 0.0, 1.0).first_above == math.inf  # one call in flight is no queue


def test_behind_a_blocking_call_the_slots_wait() -> None:
    # 100 wanted, 50 borne: once an interval of long waits is over slots are refused, ever more of
    # them.
    trace = run(Scenario("s", Constant(0.02), target=100.0, duration=20.0), Codel())
    refused = trace.scheduled[trace.outcome == REFUSED]
    assert (trace.outcome == OK).sum() == pytest.approx(1000, abs=2)
    early, late = ((refused > a) & (refused < a + 2.0) for a in (0.0, 6.0))
    assert 0 < early.sum() < late.sum()


def test_why_codel() -> None:
    law, obs = Codel(), done(0.0, 0.01)
    calm = law.admit(law.init(1000.0), 0.0, 0.001, 0.0)
    above = law.admit(calm, 0.1, 0.02, 0.0)
    dropping = law.admit(above, 0.2, 0.02, 0.0)
    assert law.why(calm, obs, calm) == "waited 1 ms: no queue that stands"
    assert law.why(above, obs, above) == "waited 20 ms, too long: drops if that lasts until 0.2 s"
    assert (
        law.why(dropping, obs, dropping)
        == "waited 20 ms, dropping: 1 so far, the next from 0.3 s on"
    )


# folly's variant


def test_follys_own_sequence() -> None:
    law = CodelFolly()
    state = law.init(100.0)
    rejected = []
    for ms, wait in [(110, 100), (200, 50), (200, 50), (310, 2), (400, 20)]:
        state = law.admit(state, ms / 1e3, wait / 1e3, 0.0)
        rejected.append(state.reject == 1.0)
    assert rejected == [False, False, True, False, True]


@pytest.mark.parametrize(
    ("slots", "rejected"),
    [
        ([(0, 20)], [False]),  # oneRequestNoDrop
        ([(0, 20), (90, 8)], [False, False]),  # mediumLoad
        ([(0, 20), (90, 4)], [False, False]),  # reducingLoad
        ([(0, 50), (110, 50), (110, 50)], [False, False, True]),  # updateInterval, its first half
    ],
)
def test_follys_other_sequences(slots: list[tuple[int, int]], rejected: list[bool]) -> None:
    # CodelTest.cpp, at 101ac18: ms since the first, ms waited.
    law = CodelFolly()
    state = law.init(100.0)
    found = []
    for ms, wait in slots:
        state = law.admit(state, (ms + 1) / 1e3, wait / 1e3, 0.0)
        found.append(state.reject == 1.0)
    assert found == rejected


@pytest.mark.parametrize("seed", range(4))
def test_slot_by_slot_as_folly_counts(seed: int) -> None:
    """Whole milliseconds and nanoseconds, waits at the bounds and beside them: as in whole
    nanoseconds.
    """
    target, interval = [(5_000_000, 100_000_000), (7_000_000, 30_000_000)][seed % 2]
    law = CodelFolly(target / 1e9, interval / 1e9)
    state = law.init(100.0)
    draw = random.Random(seed)
    now = until = least = 0
    fresh, overloaded, refusals = True, False, 0
    for k in range(5_000):
        now += draw.choice(
            [0, 1, 1_000_000, interval, draw.randrange(20) * 1_000_000, draw.randrange(10**7)]
        )
        wait = min(
            now, draw.choice([0, target - 1, target, target + 1, 2 * target, 2 * target + 1, 10**8])
        )
        due = (now - wait) / 1e9
        if now > until and not fresh:
            overloaded, until, fresh = least > target, now + interval, True
        refuse = not fresh and overloaded and wait > 2 * target
        least, fresh = wait if fresh else min(least, wait), False
        state = law.admit(state, now / 1e9, now / 1e9 - due, 0.0)
        assert (state.reject == 1.0, state.load) == (
            refuse,
            min(100, 100 * least // (2 * target)),
        ), k
        refusals += refuse
    assert refusals > 100


@pytest.mark.parametrize(("wait", "load"), [(0.04, 100.0), (0.007, 70.0), (0.002, 20.0)])
def test_follys_load(wait: float, load: float) -> None:
    law = CodelFolly()
    assert law.admit(law.init(100.0), 0.11, wait, 0.0).load == load


def test_folly_refuses_only_above_twice_the_delay_and_only_while_the_least_was_too_long() -> None:
    law = CodelFolly()
    state = law.admit(law.admit(law.init(100.0), 0.0, 0.006, 0.0), 0.1, 0.006, 0.0)
    assert (state.overloaded, state.until) == (1.0, 0.2)
    assert law.admit(state, 0.15, 0.01, 0.0).reject == 0.0
    assert law.admit(state, 0.15, 0.0101, 0.0).reject == 1.0
    # the interval has not ended: 0.2 is not above
    assert law.admit(state, 0.2, 0.0101, 0.0).reject == 1.0
    short = law.admit(state, 0.16, 0.005, 0.0)
    assert short.shortest == 0.005
    after = law.admit(short, 0.201, 0.1, 0.0)
    # 5 ms are not above 5 ms
    assert (after.overloaded, after.reject, after.shortest) == (
        0.0,
        0.0,
        0.1,
    )


def test_folly_by_latencies() -> None:
    law = CodelFolly(signal=1.0)
    state = law.init(100.0)
    for k in range(12):
        state = law.update(state, done(0.05 * k, 0.02 if k == 0 else 0.04))
        state = law.admit(state, 0.05 * k, 0.0, 5.0)
    assert (state.overloaded, state.wait, state.reject) == (1.0, 0.02, 1.0)


def test_folly_wants_an_interval_above_the_delay() -> None:
    with pytest.raises(InputError, match=r"interval=0.005 is not above delay=0.005"):
        checked(CodelFolly(interval=0.005), "codel-folly")


def test_why_folly() -> None:
    law, obs = CodelFolly(), done(0.0, 0.01)
    calm = law.admit(law.init(100.0), 0.0, 0.006, 0.0)
    assert law.why(calm, obs, calm) == "waited 6 ms, load 60 %, not overloaded"
    busy = law.admit(calm, 0.1, 0.006, 0.0)
    assert law.why(calm, obs, busy) == (
        "waited 6 ms, load 60 %, overloaded: what waits more than 10 ms is refused"
    )


@pytest.mark.parametrize("law", [Codel(), CodelFolly()])
def test_observations_move_no_actuator(law: Any) -> None:
    state = law.init(100.0)._replace(reject=1.0)
    refusal = Observation(1.0, 50.0, math.nan, 0.02, 0.0, 0.0, 1.0, 0.0, 1.0)
    for obs in (refusal, done(1.0, 0.5)):
        assert law.update(state, obs).reject == 1.0
