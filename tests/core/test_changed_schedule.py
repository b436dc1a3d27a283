"""A wanted rate that is changed while a run goes on: the slot in progress, the schedule, the
laws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers.laws import SetOnce
from hypothesis import given, settings
from hypothesis import strategies as st

from tpssim import throttle
from tpssim.core.clocks import VirtualClock
from tpssim.core.pacer import Pacer
from tpssim.core.schedule import AUTO, BURST, DELAY, SKIP, Late, anchor_on, capped
from tpssim.live.playback import play, read_journal

HALF = [0.5] * 10_000


def pacer(target: float, late: Late = AUTO, rate: float = math.inf, gaps: Any = None) -> Pacer:
    return Pacer(SetOnce(rate=rate), target, 0.0, HALF, HALF, late=late, gaps=gaps)


def at_zero(target: float, **options: Any) -> Pacer:
    """A pacer that has released its first slot, at 0."""
    found = pacer(target, **options)
    assert found.due() == 0.0
    assert found.release(0.0)
    return found


def on_time(paced: Pacer, n: int) -> list[float]:
    """The next n releases of somebody who is never late."""
    times = []
    for _ in range(n):
        times.append(paced.due())
        paced.release(times[-1])
    return times


def test_the_slot_in_progress_keeps_the_part_that_is_over() -> None:
    # Half of a slot of 2 s is over after 1 s; the other half takes 1 ms at 500 a second. None is
    # caught up.
    paced = at_zero(0.5)
    paced.retarget(1.0, 500.0)
    assert on_time(paced, 4) == pytest.approx([1.001, 1.003, 1.005, 1.007], abs=1e-12)
    assert (paced.caught_up, paced.skipped) == (0.0, 0.0)


def test_an_iteration_goes_on_at_once() -> None:
    clock = VirtualClock()
    paced = throttle(range(30), 0.25, clock=clock)
    next(paced)
    clock.set(1.0)
    paced.tps = 100.0
    seen = [clock.time() for _ in paced]
    # A quarter of the slot is over; three quarters take 7.5 ms.
    assert seen[:3] == pytest.approx([1.0075, 1.0175, 1.0275], abs=1e-12)
    assert len(seen) == 29


@pytest.mark.parametrize(
    ("changes", "due"),
    [
        # Two in one slot: 0.25 slots by 1 s, 0.5 more by 1.5 s, and the last quarter at 2 a second.
        ([(1.0, 1.0), (1.5, 2.0)], 1.5 + 0.25 / 2.0),
        # Lower, then higher: 0.25, then 0.1 in a second, and 0.65 of a slot at 10 a second.
        ([(1.0, 0.1), (2.0, 10.0)], 2.065),
        # Lower for good.
        ([(1.0, 0.125)], 1.0 + 0.75 / 0.125),
        # There and back at one moment changes nothing.
        ([(1.0, 100.0), (1.0, 0.25)], 4.0),
        # After the slot was due: nothing of the past changes.
        ([(5.0, 100.0)], 4.0),
    ],
)
def test_each_rate_counts_for_its_own_time(changes: list[tuple[float, float]], due: float) -> None:
    paced = at_zero(0.25)
    for now, target in changes:
        paced.retarget(now, target)
    assert paced.due() == pytest.approx(due, abs=1e-12)


def test_the_latest_command_holds_for_the_whole_stretch() -> None:
    # The law commands 0.5 a second, the wanted rate is 0.25 until 1 s and 100 from then on.
    paced = at_zero(0.25, rate=0.5)
    paced.retarget(1.0, 100.0)
    assert paced.due() == 1.0 + 0.75 / 0.5


def test_a_random_gap_keeps_its_part_too() -> None:
    # A gap of 2 slots at 0.25 a second: 0.25 of them are over at 1 s, 1.75 take 17.5 ms.
    paced = pacer(0.25, gaps=[0.0, 2.0, 3.0])
    assert paced.due() == 0.0
    assert paced.release(0.0)
    paced.retarget(1.0, 100.0)
    assert on_time(paced, 2) == pytest.approx([1.0175, 1.0475], abs=1e-12)


def test_a_random_gap_before_the_first_slot() -> None:
    paced = pacer(0.25, gaps=[1.0, 1.0])
    paced.retarget(1.0, 100.0)
    assert paced.due() == pytest.approx(1.0 + 0.75 / 100.0, abs=1e-12)


def test_before_the_first_slot_a_change_moves_nothing() -> None:
    paced = pacer(0.25)
    paced.retarget(1.0, 100.0)
    assert paced.due() == 0.0
    assert paced.release(1.0)
    # Due at 0, released at 1 s: 0.1 s behind from then on.
    assert paced.due() == pytest.approx(1.0 + (1.0 - 0.1 * 0.25) / 100.0, abs=1e-12)


def test_a_change_while_the_limit_holds_calls_back() -> None:
    paced = Pacer(SetOnce(limit=1.0), 1.0, 0.0, HALF, HALF, late=BURST)
    assert paced.due() == 0.0
    assert paced.release(0.0)
    paced.retarget(2.5, 4.0)
    assert paced.due() == math.inf
    paced.settled(3.0, 3.0, 0.0, 0.0, 0.0, 1.0)
    # Two and a half slots at 1 a second were over by 2.5 s, then four a second.
    slots = []
    for now in (3.0, 3.0, 3.0, 3.0):
        slots.append(paced.due())
        paced.release(now)
        paced.settled(now, 0.0, 0.0, 0.0, 0.0, 1.0)
    assert slots == pytest.approx([1.0, 2.0, 2.625, 2.875], abs=1e-12)
    assert paced.due() == pytest.approx(3.125, abs=1e-12)


def test_a_closed_rate_actuator_takes_no_time_into_account() -> None:
    paced = at_zero(1.0)
    paced.state = paced.state._replace(rate=0.0)
    paced.retarget(1.0, 10.0)
    assert paced.due() == math.inf


def test_without_a_change_since_the_last_slot_the_bits_are_the_rule_s() -> None:
    paced = at_zero(3.0)
    paced.retarget(0.1, 7.0)
    first = paced.due()
    paced.release(first)
    assert paced.due() == first + 1.0 / 7.0
    paced.retarget(first, 11.0)  # at the very moment of the slot
    assert paced.due() == first + 1.0 / 11.0


@pytest.mark.parametrize(
    ("late", "then"),
    [
        # Due at 2 s, released at 3 s; 0.5 a second were wanted until 2.9 s, then 500: 50.45 slots.
        (BURST, (2.0, 0.0)),
        (DELAY, (3.0, 50.45)),
        (SKIP, (3.0 - 0.45 / 500.0, 50.0)),
        (capped(10), (2.98, 40.45)),
        (AUTO, (2.9, 0.45)),
    ],
    ids=str,
)
def test_where_the_schedule_continues(late: Late, then: tuple[float, float]) -> None:
    times, targets = [0.0, 2.9, 2.9], [0.5, 0.5, 500.0]
    assert anchor_on(late, times, targets, 0, 2.0, 3.0, math.inf, 500.0) == pytest.approx(
        then, abs=1e-9
    )


def test_after_a_fall_one_slot_of_what_is_wanted_now_is_kept() -> None:
    # 500 a second were wanted until 2 s and 0.5 since; at 3 s half a slot has come since then, the
    # other half in 1 ms before: not the 500 that lie in the two seconds which one slot takes now.
    times, targets = [0.0, 2.0, 2.0], [500.0, 500.0, 0.5]
    start, skipped = anchor_on(AUTO, times, targets, 0, 0.0, 3.0, math.inf, 0.5)
    assert start == pytest.approx(2.0 - 0.5 / 500.0, abs=1e-12)
    assert skipped == pytest.approx(999.5, abs=1e-9)


@pytest.mark.parametrize("late", ["auto", "burst", "delay", "skip", "capped(3)"])
def test_a_recording_with_changes_is_played_back_to_the_bit(late: str, tmp_path: Path) -> None:
    clock = VirtualClock()
    path = tmp_path / "run.ndjson"
    paced = throttle(range(200), 30.0, clock=clock, controller="aimd", late=late, record=path)
    for k in paced:
        clock.set(clock.time() + (0.7 if k % 40 == 9 else 0.003))
        if k % 7 == 3:
            paced.tps = (5.0, 300.0, 41.7)[k % 3]
            clock.set(clock.time() + 0.0123 * (k % 5))
    played = play(read_journal(path))
    assert (played.difference, len(played.calls)) == ("", 200)
    assert played.pacer.skipped == paced.flow.pacer.skipped  # type: ignore[union-attr]


def wanted(start: float, end: float, changes: Sequence[tuple[float, float]]) -> float:
    """The integral of the wanted rate; `changes` are (from, rate), the first from 0."""
    total = 0.0
    for k, (since, rate) in enumerate(changes):
        until = changes[k + 1][0] if k + 1 < len(changes) else math.inf
        total += max(0.0, min(end, until) - max(start, since)) * rate
    return total


RATES = st.sampled_from([0.1, 0.5, 3.0, 10.0, 37.0, 100.0])


@settings(deadline=None, max_examples=200)
@given(
    first=RATES,
    steps=st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.0, 0.01, 0.07, 0.4, 3.0]),
            st.one_of(st.none(), st.none(), RATES),
        ),
        min_size=5,
        max_size=80,
    ),
    rate=st.sampled_from([math.inf, 20.0, 1.0]),
)
def test_no_second_holds_more_than_is_wanted_in_it_and_the_stretch_before(
    first: float, steps: list[tuple[float, float | None]], rate: float
) -> None:
    paced = pacer(first, rate=rate)
    now, changes = 0.0, [(0.0, first)]
    times: list[tuple[float, float]] = []
    for gap, target in steps:
        if target is not None:
            paced.retarget(now, target)
            changes.append((now, target))
        now = max(now, paced.due())
        assert paced.release(now)
        times.append((now, max(0.1, 1.0 / paced.target)))
        now += gap
    for k, (begin, before) in enumerate(times):  # of several at one moment, each from it on
        inside = sum(t < begin + 1.0 for t, _ in times[k:])
        assert inside <= wanted(begin - before, begin + 1.0, changes) + 1.0 + 1e-6
