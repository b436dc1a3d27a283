"""headroom where calls overlap: each step worked by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
from helpers.laws import done, fed

from tpssim.controllers._headroom_base import (
    Base,
    Tuning,
    based,
    doubt_of,
    is_lower,
    least_kept,
    surely_least,
)
from tpssim.controllers._headroom_concurrency import (
    Flight,
    closed,
    crowded,
    is_over,
    opened,
    queued_out,
    tallied,
)
from tpssim.controllers._headroom_steps import (
    Allowance,
    Before,
    cut,
    kept,
    no_cut,
    restored,
    stepped,
    verdict,
    without_queue,
)
from tpssim.controllers._headroom_windows import (
    Measured,
    Spread,
    Tally,
    begun,
    spread_after,
    spread_at_first,
)
from tpssim.controllers.headroom import Headroom
from tpssim.core.types import Observation

LAW = Headroom()
TUNING = Tuning(queue=1.5, slack=0.03, probe_every=200.0)
#: Times in 1/64 s, which are floats without rounding.
TICK = 1.0 / 64.0
TWICE = math.log(2.0)


def flight(start: float, latency: float, n: int, among: float, step: float = TICK) -> list[Any]:
    """n completions, one every `step` seconds after `start`, of calls of that latency."""
    return [done(start + step * (k + 1), latency, among) for k in range(n)]


def found(level: float, held: float, doubt: float = 0.0, **known: float) -> Measured:
    """A window of 32 latencies with no more in flight than were held."""
    window = Measured(
        number=32.0,
        lost=0.0,
        level=level,
        doubt=doubt,
        variance=32.0 * doubt,
        own=0.0,
        held=held,
        peak=math.ceil(held),
    )
    return window._replace(**known)


def base_of(level: float, doubt: float, held: float, least: float) -> Base:
    """Of 32 latencies of that doubt."""
    return Base(level, 32.0 * doubt, 32.0, held, least, math.inf)


def allowed(calls: float, **known: Any) -> Allowance:
    """So many calls, with the limit no longer open and nothing going on."""
    return opened(0.0).allowance._replace(**{"calls": calls, "open": 0.0, **known})


# Windows.


def test_the_first_window_is_of_four_calls_among_few() -> None:
    """The first calls among many that have ended are short ones: only the four first ones count."""
    states = fed(LAW, [*flight(0.0, 0.1, 8, 20.0), *flight(8 * TICK, 0.25, 4, 4.0)])
    assert math.isnan(states[-2].flight.base.level)
    base = states[-1].flight.base
    # Relative to the first latency seen, 0.1 s; the variance is (8 x 0.4 + 0) / (8 + 3), of four.
    assert base.level == pytest.approx(math.log(2.5))
    assert (base.variance, base.number) == (pytest.approx(3.2 / 11.0), 4.0)


def test_before_the_first_queue_the_limit_is_twice_what_was_in_flight() -> None:
    before, after = fed(LAW, flight(0.0, 0.1, 4, 3.0))[-2:]
    assert (before.limit, after.limit) == (64.0, 8.0)
    more = [*flight(0.0, 0.1, 3, 3.0), done(4 * TICK, 0.1, 3.0)._replace(peak=20.0)]
    assert fed(LAW, more)[-1].limit == 40.0


def test_a_window_lasts_32_calls_and_a_latency_without_queue() -> None:
    first = flight(0.0, 0.125, 4, 3.0)
    states = fed(LAW, [*first, *flight(4 * TICK, 0.125, 40, 3.0)])
    assert states[4 + 31].flight.tally.begun == 4 * TICK
    assert states[4 + 32].flight.tally.begun == 36 * TICK
    # 1/8 s are 8 ticks: 32 calls in half a tick each are 16 ticks; in an eighth, 64 are needed.
    quick = fed(LAW, [*first, *flight(4 * TICK, 0.125, 80, 3.0, step=TICK / 8.0)])
    assert quick[4 + 63].flight.tally.begun == 4 * TICK
    assert quick[4 + 64].flight.tally.begun == 12 * TICK


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


# Steps.


def step(calls: float, window: Measured, base: Base, **known: Any) -> Allowance:
    """The step after a window in which the limit was used."""
    return stepped(allowed(calls, **known), window, base, True, True, True, 9.0, TUNING)


def test_a_queue_is_cut_by_what_is_sure_and_more_than_wanted() -> None:
    # 20 in flight, latencies doubled: 10 queue, 1.5 + 0.03 x 20 are wanted: 20 - 0.7 x 7.9.
    new = step(20.0, found(TWICE, 20.0), base_of(0.0, 0.0, 5.0, 0.0))
    assert new.calls == pytest.approx(14.47)
    assert (new.drain, new.before) == (14.0, Before(20.0, 20.0, TWICE, 0.0))
    # Known to ln 2 - sqrt(0.04 + 0.05) = 0.393: 20 (1 - e^-0.393) = 6.501 are sure.
    sure = 20.0 * (1.0 - math.exp(-(TWICE - 0.3)))
    new = step(20.0, found(TWICE, 20.0, 0.04), base_of(0.0, 0.05, 5.0, 0.0))
    assert new.calls == pytest.approx(20.0 - 0.7 * (sure - 2.1))
    # Sixteen times as long, 18.75 queue: but half of the calls at most.
    assert step(20.0, found(4.0 * TWICE, 20.0), base_of(0.0, 0.0, 5.0, 0.0)).calls == 10.0


def test_what_is_not_in_use_is_cut_first() -> None:
    # 100 are allowed, 20 were in flight, 30 at most: from 1.5 x 20, 0.7 x 7.9 fewer.
    new = cut(allowed(100.0), no_cut(), found(TWICE, 20.0, peak=40.0), 7.9)
    assert new.calls == pytest.approx(30.0 - 5.53)
    assert new.before.calls == 30.0


def test_next_to_no_queue_allows_more() -> None:
    base = base_of(0.0, 0.0, 5.0, 0.0)
    new = step(20.0, found(0.0, 20.0), base)
    assert new.calls == pytest.approx(20.0 * 1.15)
    assert new.fresh == 9.0
    # 1.05 of 2.1 wanted: half of that. As many as wanted, or not sure of more: none.
    half = found(-math.log(1.0 - 1.05 / 20.0), 20.0)
    assert step(20.0, half, base).calls == pytest.approx(20.0 * 1.075)
    assert step(20.0, found(-math.log(1.0 - 2.1 / 20.0), 20.0), base).calls == 20.0
    assert step(20.0, found(TWICE, 20.0, 0.5), base).calls == 20.0


def test_beyond_what_was_refused_for_want_of_a_place_a_fifth_of_a_call_is_added() -> None:
    base = base_of(0.0, 0.0, 5.0, 0.0)
    assert step(20.0, found(0.0, 20.0), base, places=20.0).calls == pytest.approx(20.2)
    assert step(20.0, found(0.0, 20.0), base, places=22.0).calls == pytest.approx(22.0)


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


def test_below_where_a_queue_was_cut_half_of_the_way_is_gone_at_once() -> None:
    base = base_of(0.0, 0.0, 5.0, 0.0)
    assert step(20.0, found(0.0, 20.0), base, top=40.0).calls == pytest.approx(30.0)
    assert step(20.0, found(0.0, 20.0), base, top=100.0).calls == pytest.approx(40.0)
    assert step(20.0, found(0.0, 20.0), base, top=22.0).calls == pytest.approx(23.0)
    # 1.05 of 2.1 wanted: half of that. And no more than 0.15 while calls of before go on.
    half = found(-math.log(1.0 - 1.05 / 20.0), 20.0)
    assert step(20.0, half, base, top=40.0).calls == pytest.approx(25.0)
    old = allowed(20.0, top=40.0)
    stale = stepped(old, found(0.0, 20.0), base, False, False, True, 9.0, TUNING)
    assert stale.calls == pytest.approx(23.0)
    # Where a cut began: 30 were in use; or a little lower than the one before.
    assert cut(allowed(100.0), no_cut(), found(TWICE, 20.0, peak=40.0), 7.9).top == 30.0
    assert cut(allowed(100.0, top=60.0), no_cut(), found(TWICE, 20.0, peak=40.0), 7.9).top == 54.0


def test_until_the_first_queue_the_limit_doubles_when_it_is_used() -> None:
    base = base_of(0.0, 0.01, 5.0, 0.0)
    # Latencies 1.2 times as long: 20 (1 - 1 / 1.2) = 3.3 may queue, but less the two errors of
    # sqrt(0.02) nothing is sure.
    new = step(20.0, found(math.log(1.2), 20.0, 0.01), base, open=1.0)
    assert (new.calls, new.open, new.fresh) == (40.0, 1.0, 9.0)
    assert step(20.0, found(TWICE, 20.0, 0.01), base, open=1.0).open == 0.0


def test_a_limit_that_is_not_used_is_not_raised() -> None:
    old = allowed(20.0)
    assert (
        stepped(
            old, found(0.0, 9.0), base_of(0.0, 0.0, 5.0, 0.0), True, False, False, 9.0, TUNING
        ).calls
        == 20
    )


# Whether it was a queue.

BASE = base_of(0.0, 0.01, 5.0, 0.0)
CUT = allowed(10.0, before=Before(calls=20.0, held=20.0, level=TWICE, doubt=0.01))


def test_a_cut_of_a_queue_shows_in_latencies() -> None:
    # 0.65 ln 20/10 = 0.451 or more is the queue's. The error is sqrt(0.02) = 0.141.
    assert verdict(CUT, BASE, found(0.0, 10.0, 0.01)) == 1.0
    assert verdict(CUT, BASE, found(TWICE, 10.0, 0.01)) == -1.0
    assert verdict(CUT, BASE, found(TWICE - 0.5, 10.0, 0.01)) == 0.0
    assert verdict(CUT, BASE, found(TWICE - 0.5, 10.0, 0.01, number=128.0)) == 1.0
    assert verdict(CUT, BASE, found(TWICE - 0.4, 10.0, 0.01, number=128.0)) == -1.0


def test_what_says_nothing_of_a_cut_is_taken_for_a_queue() -> None:
    assert verdict(CUT, BASE, found(TWICE, 17.0, 0.01)) == 1.0  # ln 20/17 = 0.16
    assert verdict(CUT, BASE, found(TWICE, 10.0, 0.01, lost=8.0)) == 1.0
    assert verdict(CUT._replace(calls=16.0), BASE, found(TWICE, 10.0, 0.01)) == 1.0  # 16 of 20
    assert verdict(allowed(10.0), BASE, found(TWICE, 10.0, 0.01)) == 1.0


def test_latencies_beyond_two_and_a_half_of_the_least_may_be_the_queue_of_others() -> None:
    """Of two who share a queue half and half, one that halves its calls shortens it by a quarter:
    0.288 of 0.693. Beyond e^0.9 of the least, latencies must stay what they were to a fifth of
    that: 0.139.
    """
    shorter = found(TWICE + math.log(0.75), 10.0, 0.001)
    assert verdict(CUT, base_of(0.0, 0.0, 5.0, 0.0), shorter) == -1.0
    far = base_of(0.0, 0.0, 5.0, TWICE - 0.91)
    assert verdict(CUT, far, shorter) == 1.0
    assert verdict(CUT, far, found(TWICE - 0.13, 10.0)) == -1.0
    assert verdict(CUT, far, found(TWICE + 0.13, 10.0)) == -1.0
    assert verdict(CUT, far, found(TWICE + 0.15, 10.0)) == 1.0  # those of others have grown


def test_latencies_that_scatter_as_before_are_those_of_a_slower_service() -> None:
    """e^0.5 times as long: by a wait the variance would be e^-1 of the one without queue. Halfway,
    at e^-0.5 = 0.61, it is a slower service; then a cut of a queue must have shortened them by
    0.451. Where they are e^1 times as long, at a half.
    """
    base = Base(0.0, 0.2, 32.0, 5.0, 0.0, math.inf)

    def judged(before: float, level: float, own: float) -> float:
        old = allowed(10.0, before=Before(calls=20.0, held=20.0, level=before, doubt=0.0))
        return verdict(old, base, found(level, 10.0, own=own * 0.2))

    assert (judged(0.9, 0.5, 0.62), judged(0.9, 0.5, 0.59)) == (-1.0, 1.0)
    assert (judged(1.2, 1.0, 0.52), judged(1.2, 1.0, 0.48)) == (-1.0, 1.0)
    assert judged(1.2, 0.7, 1.0) == 1.0  # it was shortened by 0.5


def test_a_cut_of_no_queue_is_taken_back_and_the_latency_is_the_one_without() -> None:
    old = allowed(10.0, before=Before(20.0, 20.0, 0.6, 0.03), probing=1.0, probed=7.0)
    new = restored(old, 5.0)
    assert (new.calls, new.before, new.fresh) == (20.0, no_cut(), 5.0)
    assert (new.probing, new.probed) == (0.0, 0.0)
    # Means of 0.6 and 0.4, one three times as certain: 0.45, of variance 0.03 x 0.01 / 0.04. No
    # more than before.
    base = without_queue(old.before, BASE, found(0.4, 10.0, 0.01, own=0.3))
    assert base.level == pytest.approx(0.45)
    assert base.number == pytest.approx(32.0 * 0.01 / 0.0075)
    assert (base.variance, base.held, base.least) == (0.3, 10.0, 0.0)
    assert without_queue(old.before, BASE, found(0.8, 10.0, 0.01)).level == 0.6


def test_a_probe_that_shows_a_queue_keeps_the_fewer_calls_and_comes_again_soon() -> None:
    new = kept(allowed(20.0, probing=1.0), TUNING)
    assert new.calls == pytest.approx(14.0)
    assert (new.probing, new.probed) == (0.0, 190.0)


def test_a_probe_allows_seven_tenths() -> None:
    tally = Tally(0.0, 32.0, 0.0, 0.0, 640.0, 0.0, 32.0, 20.0)
    old = opened(0.0)._replace(
        tally=tally, unit=0.1, base=BASE, allowance=allowed(20.0, probed=200.0)
    )
    new = closed(old, 1.0, 100.0, True, TUNING).allowance
    assert (new.probing, new.drain, new.before.calls) == (1.0, 14.0, 20.0)


# The latency without queue.


def test_the_latency_without_queue_is_the_mean_of_what_has_no_queue() -> None:
    old = Base(0.0, 0.32, 32.0 / 3.0, 10.0, -0.1, math.inf)  # 0.32 x 3 / 32 = 0.03
    alike = based(old, found(0.2, 20.0, 0.01, own=0.4), True, TUNING)
    assert alike[:4] == pytest.approx((0.15, 0.32 + 0.75 * 0.08, 32.0 * 4.0 / 3.0, 17.5))
    assert alike.least == -0.1
    # Much lower, by more than 2.5 errors of 0.2: another one.
    lower = based(old, found(-0.6, 20.0, 0.01, own=0.4), True, TUNING)
    assert tuple(lower) == pytest.approx((-0.6, 0.4, 32.0, 20.0, -0.6, 32.0))
    # Where the limit was not used, it is only taken into the mean: -0.6 x 0.75.
    assert based(old, found(-0.6, 2.0, 0.01), False, TUNING).level == pytest.approx(-0.45)
    # Beyond two errors of its own, 0.346, and with a queue: it says nothing; nor among 41.
    assert based(old, found(0.4, 20.0, 0.01), True, TUNING) == old
    assert based(old, found(0.2, 41.0, 0.01), True, TUNING) == old


def test_a_window_of_many_must_be_lower_than_one_of_few() -> None:
    """Ten windows have said what the base is: 2.5^2 + 2 ln 11 = 11.05, and the variances are 0.01
    and 0.001: 0.349.
    """
    known = Base(0.0, 0.32, 320.0, 10.0, 0.0, 320.0)
    assert is_lower(known, found(-0.35, 10.0, 0.01), 32.0)
    assert not is_lower(known, found(-0.34, 10.0, 0.01), 32.0)  # as 2.5 errors alone, 0.262, would


def test_four_latencies_that_were_short_by_chance_are_no_least_latency() -> None:
    """36 latencies later: 2.5 sqrt(0.32 / 36 + 0.32 / 4) = 0.745 is what chance explains."""
    four, window = Base(0.0, 0.3, 4.0, 2.0, 0.0, 4.0), found(0.5, 6.0, 0.01)
    assert least_kept(four, 0.5, 0.3, 36.0, 6.0, window)[4:] == (0.5, 36.0)
    assert least_kept(four, 0.8, 0.3, 36.0, 6.0, window)[4:] == (0.0, 4.0)
    assert least_kept(four, 0.5, 0.3, 3.0, 6.0, window)[4:] == (0.0, 4.0)  # it is known less


def test_what_four_short_latencies_say_is_little_once_longer_ones_have_come() -> None:
    """Four that were alike, and then 32 of a variance of 1.6: the level of four is known to
    sqrt(1.6 / 4) = 0.63, so one that is 1.2 higher is no other latency without queue.
    """
    four = Base(0.0, 0.3, 4.0, 2.0, 0.0, 4.0)
    wide = found(1.2, 6.0, 0.05)
    assert doubt_of(four, wide) == pytest.approx(0.4)
    assert surely_least(four, wide) == pytest.approx(math.sqrt(0.4))
    # Weights of 4 and 32: 1.2 x 32 / 36.
    assert based(four, wide, True, TUNING).level == pytest.approx(1.2 * 8.0 / 9.0)
    narrow = found(1.2, 6.0, 0.001)  # then it is known as at first, to sqrt(0.3 / 4) = 0.27
    assert based(four, narrow, True, TUNING) == four


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


# Timeouts.


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


def test_eight_timeouts_halve_the_calls() -> None:
    lost = found(TWICE, 20.0, number=16.0, lost=8.0)
    assert step(20.0, lost, base_of(0.0, 0.0, 5.0, 0.0)).calls == 10.0
