"""headroom where calls overlap: what follows from a window, worked by hand."""

from __future__ import annotations

import math

import pytest
from helpers.flights import BASE, TUNING, TWICE, allowed, base_of, found, step

from tpssim.controllers._headroom_base import Base
from tpssim.controllers._headroom_concurrency import opened
from tpssim.controllers._headroom_steps import (
    Before,
    cut,
    kept,
    no_cut,
    opened_up,
    restored,
    stepped,
    verdict,
    without_queue,
)


@pytest.mark.parametrize(("peak", "calls"), [(3.0, 8.0), (20.0, 40.0), (64.0, 64.0)])
def test_after_the_first_window_no_more_are_allowed_than_at_first(
    peak: float, calls: float
) -> None:
    # Nothing has ended among more than four yet, so twice 64 would be a guess.
    first = found(0.0, 2.5, peak=peak)
    assert opened_up(opened(0.0).allowance, first, 1.0).calls == calls


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


def test_what_was_before_a_cut_is_the_window_with_most_calls_in_flight() -> None:
    """The first cut comes while calls in flight still rise: what so many of them take shows in the
    window after it.
    """
    first = Before(calls=39.0, held=15.0, level=0.5, doubt=0.02)
    more = step(30.0, found(TWICE, 30.0, 0.01), BASE, before=first).before
    assert (more.calls, more.held, more.level, more.doubt) == (30.0, 30.0, TWICE, 0.01)
    fewer = first._replace(held=31.0)
    assert step(30.0, found(TWICE, 30.0, 0.01), BASE, before=fewer).before == fewer


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


def test_latencies_beyond_twice_the_least_may_be_the_queue_of_others() -> None:
    """Of two who share a queue half and half, one that halves its calls shortens it by a quarter:
    0.288 of 0.693. Beyond e^0.7 of the least, latencies must stay what they were to a fifth of
    that: 0.139.
    """
    shorter = found(TWICE + math.log(0.75), 10.0, 0.001)
    assert verdict(CUT, base_of(0.0, 0.0, 5.0, 0.0), shorter) == -1.0
    assert verdict(CUT, base_of(0.0, 0.0, 5.0, TWICE - 0.69), shorter) == -1.0
    far = base_of(0.0, 0.0, 5.0, TWICE - 0.71)
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


def test_eight_timeouts_halve_the_calls() -> None:
    lost = found(TWICE, 20.0, number=16.0, lost=8.0)
    assert step(20.0, lost, base_of(0.0, 0.0, 5.0, 0.0)).calls == 10.0
