"""headroom where calls overlap: windows, refusals and timeouts, worked by hand."""

from __future__ import annotations

import math

import pytest
from helpers.flights import BASE, LAW, TICK, TUNING, TWICE, allowed, base_of, flight, found
from helpers.laws import done, fed

from tpssim.controllers._headroom_concurrency import (
    Flight,
    closed,
    crowded,
    is_over,
    opened,
    queued_out,
    tallied,
)
from tpssim.controllers._headroom_steps import Before, stepped
from tpssim.controllers._headroom_windows import Spread, Tally, begun, spread_after, spread_at_first
from tpssim.core.types import Observation


def test_the_first_window_is_of_four_calls_among_few() -> None:
    """The first calls among many that have ended are short ones: only the four first ones count."""
    states = fed(LAW, [*flight(0.0, 0.1, 8, 20.0), *flight(8 * TICK, 0.25, 4, 4.0)])
    assert math.isnan(states[-2].flight.base.level)
    base = states[-1].flight.base
    # Relative to the first latency seen, 0.1 s; the variance is (8 x 0.4 + 0) / (8 + 3), of four.
    assert base.level == pytest.approx(math.log(2.5))
    assert (base.variance, base.number) == (pytest.approx(3.2 / 11.0), 4.0)


def test_the_first_window_lasts_eight_of_its_latencies_unless_many_calls_come() -> None:
    """Of calls that begin together the short ones end first."""

    def known(completions: list[Observation]) -> list[bool]:
        return [not math.isnan(s.flight.base.level) for s in fed(LAW, completions)[1:]]

    # It begins with the first completion. 8 x 1/8 s is 64 ticks, and before 33 calls have come.
    assert known(flight(0.0, 0.125, 33, 3.0)) == [False] * 32 + [True]
    # 8 x 1/64 s is 8 ticks.
    assert known(flight(0.0, TICK, 9, 3.0)) == [False] * 8 + [True]
    # More than 8 in flight would queue meanwhile.
    crowd = [*flight(0.0, 0.125, 4, 3.0), done(5 * TICK, 0.125, 3.0)._replace(peak=9.0)]
    assert known(crowd) == [False] * 4 + [True]


def test_before_the_first_queue_the_limit_is_twice_what_was_in_flight() -> None:
    before, after = fed(LAW, flight(0.0, TICK / 4.0, 4, 3.0))[-2:]
    assert (before.limit, after.limit) == (64.0, 8.0)
    more = [*flight(0.0, 0.1, 3, 3.0), done(4 * TICK, 0.1, 3.0)._replace(peak=20.0)]
    assert fed(LAW, more)[-1].limit == 40.0


def test_a_window_lasts_32_calls_and_a_latency_without_queue() -> None:
    first = [*flight(0.0, 0.125, 3, 3.0), done(4 * TICK, 0.125, 3.0)._replace(peak=9.0)]
    states = fed(LAW, [*first, *flight(4 * TICK, 0.125, 40, 3.0)])
    assert states[4 + 31].flight.tally.begun == 4 * TICK
    assert states[4 + 32].flight.tally.begun == 36 * TICK
    # 1/8 s are 8 ticks: 32 calls in half a tick each are 16 ticks; in an eighth, 64 are needed.
    quick = fed(LAW, [*first, *flight(4 * TICK, 0.125, 80, 3.0, step=TICK / 8.0)])
    assert quick[4 + 63].flight.tally.begun == 4 * TICK
    assert quick[4 + 64].flight.tally.begun == 12 * TICK


def test_while_the_limit_is_open_a_window_of_short_calls_may_cut() -> None:
    """The window began before calls of before the step up are over. Latencies doubled among 20: of
    10 that wait 6 for sure (two standard errors), where 2.1 are wanted.
    """
    tally = Tally(0.5, 32.0, 32.0 * TWICE, 32.0 * TWICE * TWICE, 640.0, 0.0, 32.0, 20.0)
    before = opened(0.0)._replace(tally=tally, unit=0.1, base=BASE)
    cut = closed(
        before._replace(allowance=allowed(20.0, open=1.0, fresh=0.75)), 1.0, 900.0, True, TUNING
    )
    assert (cut.allowance.open, cut.allowance.before.held) == (0.0, 20.0)
    assert cut.allowance.calls < 20.0
    kept = closed(before._replace(allowance=allowed(20.0, fresh=0.75)), 1.0, 900.0, True, TUNING)
    assert kept.allowance.calls == 20.0


def test_a_window_that_shows_a_queue_goes_on_to_64_calls() -> None:
    """Latencies doubled, and known to 0.05: 8.8 of 20 wait for sure, where 2.1 are wanted."""

    def over(number: float, level: float = TWICE, **known: float) -> bool:
        logs = number * level
        tally = Tally(0.5, number, logs, logs * level, 20.0 * number, 0.0, number, 20.0)
        now = opened(0.0)._replace(tally=tally, unit=0.1, base=BASE)
        return is_over(now._replace(allowance=allowed(20.0, **known)), 1.0, TUNING)

    assert not over(32.0)
    assert not over(63.0)
    assert over(64.0)
    assert over(32.0, 0.0)  # no queue
    assert over(32.0, fresh=0.6)  # with calls of before the last step up: no cut may follow
    assert over(32.0, open=1.0)


def test_the_next_window_begins_a_latency_after_calls_in_flight_have_fallen_to_the_limit() -> None:
    new = opened(0.0)
    allowance = allowed(10.0, drain=10.0, before=Before(20.0, 20.0, TWICE, 0.0))
    state = LAW.init(100.0)._replace(
        overlap=1.0,
        limit=10.0,
        flight=new._replace(allowance=allowance, unit=0.25, base=base_of(0.0, 0.0, 5.0, 0.0)),
    )
    many = LAW.update(state, done(1.0, 0.5, 20.0)._replace(peak=11.0))
    assert many.flight.allowance.drain == 10.0
    few = LAW.update(many, done(2.0, 0.5, 20.0)._replace(peak=10.0))
    assert (few.flight.allowance.drain, few.flight.tally.begun) == (0.0, 2.5)  # 0.25 s, twice
    assert LAW.update(few, done(2.4, 0.5, 20.0)).flight.tally.number == 0.0
    assert LAW.update(few, done(2.5, 0.5, 10.0)).flight.tally.number == 1.0


def served_of(*history: tuple[float, float, float, bool]) -> Flight:
    """After calls: (now, latency, in flight, refused), 10 of them allowed, 0.1 s the base."""
    after = opened(0.0)._replace(unit=0.1, base=BASE, allowance=allowed(10.0))
    for now, latency, among, refused in history:
        obs = done(now, latency, among, dropped=refused)
        after = tallied(after, obs, not refused, refused and crowded(after, obs))
    return after


def test_calls_among_refused_ones_do_not_show_how_many_are_served() -> None:
    # Refused ones were in flight from 0.90 to 1.05 s: one answer came at 1.0, one at 1.05.
    refused = [(1.0, 0.1, 9.0, True), (1.05, 0.1, 9.0, True)]
    assert served_of(*refused, (1.06, 0.1, 9.0, False)).proven == 0.0  # released at 0.96
    assert served_of(*refused, (1.16, 0.1, 9.0, False)).proven == 9.0  # at 1.06
    assert served_of(*refused, (1.06, 0.18, 9.0, False)).proven == 9.0  # at 0.88
    # Another time begins at 1.2; what was released at 1.1, between both, counts.
    both = [*refused, (1.3, 0.1, 9.0, True)]
    assert served_of(*both, (1.4, 0.3, 9.0, False)).proven == 9.0
    assert served_of(*both, (1.4, 0.15, 9.0, False)).proven == 0.0


def test_what_is_refused_after_a_step_up_takes_the_place_back_once() -> None:
    # 11 were served at a time before; now 11 are allowed again, from 1.0 s on.
    known = opened(0.0)._replace(unit=0.1, base=BASE, proven=11.0)
    known = known._replace(allowance=allowed(11.0, fresh=1.1))
    first = done(1.07, 0.05, 11.0, dropped=True)
    assert crowded(known, first)
    known = tallied(known, first, False, True)
    assert known.allowance.calls == 10.0
    # Until 1.07 + 0.05 s calls were released that its answer has not held back.
    assert not crowded(known, done(1.16, 0.05, 11.0, dropped=True))
    assert crowded(known, done(1.18, 0.05, 11.0, dropped=True))


def test_a_limit_that_is_not_used_is_not_raised() -> None:
    old = allowed(20.0)
    assert (
        stepped(
            old, found(0.0, 9.0), base_of(0.0, 0.0, 5.0, 0.0), True, False, False, 9.0, TUNING
        ).calls
        == 20
    )


def test_a_probe_allows_seven_tenths() -> None:
    tally = Tally(0.0, 32.0, 0.0, 0.0, 640.0, 0.0, 32.0, 20.0)
    old = opened(0.0)._replace(
        tally=tally, unit=0.1, base=BASE, allowance=allowed(20.0, probed=200.0)
    )
    new = closed(old, 1.0, 100.0, True, TUNING).allowance
    assert (new.probing, new.drain, new.before.calls) == (1.0, 14.0, 20.0)


def test_what_calls_in_flight_may_explain_of_a_change_is_no_noise() -> None:
    """From ln 1 among 10: among 20 the level may rise by ln 2 = 0.693."""

    def between(level: float, among: float, before: Spread) -> float:
        tally = Tally(0.0, 32.0, 32.0 * level, 32.0 * level * level, 32.0 * among, 0.0, 32.0, among)
        return spread_after(before, tally).between

    first = Tally(0.0, 32.0, 0.0, 0.0, 320.0, 0.0, 32.0, 10.0)
    one = spread_after(spread_at_first(), first)
    assert one.between == 0.0
    assert between(0.5, 20.0, one) == 0.0
    assert between(TWICE + 0.4, 20.0, one) == pytest.approx(0.5 * 0.5 * 0.16)  # half, of two
    assert between(-0.4, 20.0, one) == pytest.approx(0.04)
    assert between(0.4, 5.0, one) == pytest.approx(0.04)
    # The tenth and later ones weigh a tenth.
    many = one._replace(between=0.1, windows=30.0)
    assert between(0.4, 10.0, many) == pytest.approx(0.1 + 0.1 * (0.08 - 0.1))


def timed_out(now: float, latency: float) -> Observation:
    return done(now, latency, 20.0, dropped=True)


def test_a_call_that_times_out_while_others_queue_is_one_that_waited() -> None:
    # 8 latencies, of 0.4 s where 0.1 is the one without queue: 15 of 20 wait.
    tally = Tally(0.0, 8.0, 16.0 * TWICE, 32.0 * TWICE * TWICE, 160.0, 0.0, 8.0, 20.0)
    known: Flight = opened(0.0)._replace(tally=tally, unit=0.1, base=BASE, allowance=allowed(20.0))
    assert queued_out(known, timed_out(1.0, 0.5), TUNING)
    assert not queued_out(known, timed_out(1.0, 0.15), TUNING)  # too soon: it was refused
    # The others do not wait: the service lost it.
    alone = tally._replace(logs=0.0, squares=0.0)
    assert not queued_out(known._replace(tally=alone), timed_out(1.0, 0.5), TUNING)
    # Too few say anything: as in the window before.
    early = known._replace(tally=begun(0.0))
    assert not queued_out(early, timed_out(1.0, 0.5), TUNING)
    assert queued_out(early._replace(queued=1.0), timed_out(1.0, 0.5), TUNING)
    # One that was released before the cut.
    assert queued_out(early._replace(tally=begun(math.inf)), timed_out(1.0, 0.5), TUNING)
