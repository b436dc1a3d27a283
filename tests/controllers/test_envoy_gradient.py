"""Envoy's adaptive concurrency: vectors of the original's tests, each rule and trap by hand."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from helpers.laws import done, fed, memory_of

from tpssim.controllers.envoy_gradient import (
    EnvoyGradient,
    added,
    cut_quantile,
    probe_wait,
    stepped,
)
from tpssim.core.errors import InputError
from tpssim.core.pacer import Pacer
from tpssim.core.types import Observation
from tpssim.core.validation import checked

QUICK = EnvoyGradient(probe_samples=5.0, jitter=0.0, update_every=0.1, probe_every=1000.0)


class Run:
    """A law with its memory; five completions at a time, as the original's tests have them."""

    def __init__(self, law: EnvoyGradient) -> None:
        self.law = law
        self.memory = memory_of(law)
        self.now = 1.0
        self.state: Any = law.init(100.0)

    def ends(self, latency: float, times: int = 1, dropped: bool = False) -> Run:
        for _ in range(times):
            self.state = self.law.update(
                self.state, done(self.now, latency, dropped=dropped), *self.memory
            )
        return self

    def later(self, seconds: float) -> Run:
        self.now += seconds
        return self


def limits_of(law: EnvoyGradient, run: Run, latency: float, rounds: int) -> list[float]:
    """The limit after each window of five such calls and 101 ms: a timer acts with the next
    completion.
    """
    found = []
    for _ in range(rounds):
        run.ends(latency, 5).later(0.101)
        found.append(law.update(run.state, done(run.now, 0.006), *(m[:] for m in run.memory)).limit)
    return found


def test_defaults() -> None:
    assert tuple(EnvoyGradient()) == (3.0, 1000.0, 0.5, 0.25, 0.1, 60.0, 50.0, 0.15, 0.0, 0.0)


def test_it_starts_with_its_least_limit_and_lets_no_more_through() -> None:
    law: Any = EnvoyGradient(min_limit=7.0)
    pacer = Pacer(law, 1000.0, 0.0, [0.5] * 9, [0.5] * 9)
    for k in range(7):
        assert pacer.due() == pytest.approx(0.001 * k)
        assert pacer.release(pacer.deadline)
    assert pacer.due() == math.inf


def test_fifty_samples_measure_the_least_latency() -> None:
    run = Run(EnvoyGradient(min_limit=7.0)).ends(0.013, 49)
    assert (run.state.probing, run.state.limit) == (1.0, 7.0)
    run.ends(0.013)
    # The 25th of 50 in the bin from 13 ms to 14: 13000 + 1000 x 25 / 51.
    assert (run.state.probing, run.state.limit, run.state.least) == (0.0, 7.0, 13490.0)


def test_the_median_of_one_to_five_milliseconds_is_three() -> None:
    run = Run(QUICK)
    for ms in range(1, 6):
        run.ends(ms / 1e3)
    assert run.state.least == 3050.0  # alone in its bin of 0.1 ms: in the middle


def test_growth_while_the_buffer_covers_the_latency() -> None:
    law = QUICK._replace(min_limit=7.0, buffer=0.5)
    run = Run(law).ends(0.005, 5)
    assert run.state.least == 5050.0
    found = [7.0, *limits_of(law, run, 0.006, 10)]
    assert all(b > a for a, b in itertools.pairwise(found))
    # 5050 x 1.5 = 7575 against 6050: 7 x 1.25207 = 8.764, + 2.96.
    assert found[1] == 11.0


def test_growth_and_decline_with_a_small_buffer() -> None:
    law = QUICK._replace(min_limit=7.0, buffer=0.1)
    run = Run(law).ends(0.005, 5)
    up = limits_of(law, run, 0.004, 10)
    assert all(b > a for a, b in itertools.pairwise([7.0, *up]))
    down = limits_of(law, run, 0.006, 10)
    assert all(b < a for a, b in itertools.pairwise([up[-1], *down][1:]))
    assert min(down) >= 7.0


def test_half_a_minute_later_a_probe_and_the_old_limit_after_it() -> None:
    law = QUICK._replace(probe_every=30.0, buffer=0.1)
    run = Run(law).ends(0.005, 5)
    limits_of(law, run, 0.004, 10)
    run.ends(0.004)
    before = run.state.limit
    assert before > 100.0
    run.later(31.0).ends(0.013)
    # The call that came back is the first after the timer: the probe began while it was under way,
    # or not.
    assert (run.state.limit, run.state.probing) == (3.0, 1.0)
    run.ends(0.013, 4)
    assert run.state.probing == 0.0
    assert run.state.limit >= before  # what the window before the probe made of it
    assert run.state.limit == run.state.saved
    assert run.state.least == 13500.0


@pytest.mark.parametrize(
    ("gradient", "found"),
    [
        ((1.25, 1.0), [3, 5, 8, 13, 20, 30, 43, 61, 84, 115, 155]),
        ((1.375, 1.0), [7, 12, 20, 32, 50, 77, 116, 172, 251, 363, 521]),
        ((11.0, 12.0), [521, 499, 478, 459, 441, 424, 408, 393]),
        ((0.8, 1.0), [20, 20]),
        ((0.9, 1.0), [90, 90]),
        # Bounds: at most doubled, at least halved, and its root.
        ((9.0, 1.0), [100, 214]),
        ((1.0, 9.0), [100, 57]),
        ((1.0, 0.0), [100, 214]),
    ],
)
def test_steps(gradient: tuple[float, float], found: list[float]) -> None:
    for before, after in itertools.pairwise(found):
        assert stepped(before, *gradient) == after


@pytest.mark.parametrize(("numerator", "denominator"), [(4.0, 5.0), (9.0, 10.0), (11.0, 12.0)])
def test_fixed_point(numerator: float, denominator: float) -> None:
    g = numerator / denominator
    point = g / (1.0 - g) ** 2.0
    assert round(point) == {4.0: 20, 9.0: 90, 11.0: 132}[numerator]
    assert point * g + math.sqrt(point * g) == pytest.approx(point, rel=1e-12)
    assert stepped(round(point) * 1.0, numerator, denominator) in (round(point), round(point) - 1)


def test_jitter_is_in_whole_milliseconds() -> None:
    assert probe_wait(100.0, 0.1, 15000 % 10000 / 10000) == 105.0
    assert probe_wait(45.0, 0.0, 0.9) == 45.0
    assert probe_wait(0.01, 0.15, 0.6) == 0.011  # ceil(1.5 ms) = 2: 0 or 1
    run = Run(QUICK._replace(probe_every=100.0, jitter=0.1)).ends(0.013, 5)
    assert run.state.next_probe == 106e9  # 1 + 100 + 5


def test_five_windows_at_the_floor_set_off_a_probe() -> None:
    # 5 ms measured, then 50 ms: g = 0.5, 3 x 0.5 + 1.2 = 2.7: the floor, again and again.
    run = Run(QUICK).ends(0.005, 5)
    floors = []
    for _ in range(5):
        run.later(0.05).ends(0.05).later(0.051).ends(0.05)
        floors.append((run.state.at_floor, run.state.probing))
    assert floors == [(1.0, 0.0), (2.0, 0.0), (3.0, 0.0), (4.0, 0.0), (0.0, 1.0)]
    # It began when the window ended, at 1.5; the call that came back at 1.505 was released before.
    assert run.state.began == 1.5e9
    assert run.state.samples == 0.0
    run.later(0.05).ends(0.05, 5)
    assert run.state.least == 50500.0


def test_a_fixed_least_latency_has_no_probes() -> None:
    """Run with envoyproxy/envoy 0884a279, `fixed_value` 13 ms: five windows at the floor set off
    none.
    """
    law = EnvoyGradient(fixed=0.013)
    calls = [(0.05, 0.013), (0.11, 0.013), *((0.21 + 0.1 * k, 0.03) for k in range(8))]
    states = fed(law, [done(now, latency) for now, latency in calls])
    assert [state.limit for state in states] == [
        3.0,
        3.0,
        5.0,
        8.0,
        6.0,
        4.0,
        3.0,
        3.0,
        3.0,
        3.0,
        3.0,
    ]
    assert {state.probing for state in states} == {0.0}
    assert {state.least for state in states} == {13000.0}
    late = fed(law._replace(fixed=0.0139), [done(500.0, 0.01)])[-1]
    assert (late.least, late.probing) == (13000.0, 0.0)  # whole ms, as a duration there


def test_a_floor_of_its_own_leaves_the_limit_alone_in_a_probe() -> None:
    """Run with envoyproxy/envoy 149521d8, as its test of `min_concurrency_limit` 2 beside a probe's
    7.
    """
    law = EnvoyGradient(
        min_limit=7.0, max_limit=100.0, probe_samples=5.0, jitter=0.0, probe_every=30.0, floor=2.0
    )
    calls = (
        [(0.05, 0.013)] * 5 + [(0.06, 0.005), (0.16, 0.005), (0.26, 0.005)] + [(31.0, 0.013)] * 5
    )
    states = fed(law, [done(now, latency) for now, latency in calls])
    assert [state.limit for state in states] == [2.0] * 7 + [6.0, 15.0] + [35.0] * 5
    assert [state.probing for state in states] == [1.0] * 5 + [0.0] * 4 + [1.0] * 4 + [0.0]


def test_windows_at_a_floor_of_its_own_set_off_probe_after_probe() -> None:
    """Run with envoyproxy/envoy 149521d8: a probe changes no limit; nothing counts them again."""
    law = EnvoyGradient(probe_samples=1.0, jitter=0.0, floor=2.0, buffer=0.0)
    calls = [(0.05, 0.005), *((0.1 + 0.1 * k, 0.05) for k in range(6))]
    states = fed(law, [done(now, latency) for now, latency in calls])
    # Ends at 0.15, ..., 0.55 leave it at 2; the call that ends at 0.6 was released when the probe
    # began.
    assert [state.at_floor for state in states[-2:]] == [4.0, 5.0]
    assert (states[-1].least, states[-1].probing) == (50500.0, 0.0)
    quiet = fed(
        law, [*(done(now, latency) for now, latency in calls), done(9.0, 0.2, dropped=True)]
    )[-1]
    assert (quiet.probing, quiet.at_floor) == (0.0, 5.0)
    again = [(0.69, 0.1), (0.75, 0.1)]
    state = fed(law, [done(now, latency) for now, latency in [*calls, *again]])[-1]
    assert (state.at_floor, state.probing) == (6.0, 1.0)


def test_calls_of_before_a_probe_never_count() -> None:
    run = Run(QUICK._replace(probe_every=0.5)).ends(0.005, 5)  # at 1; the probe is due at 1.5
    run.later(0.51).ends(0.02)
    assert (run.state.probing, run.state.began, run.state.samples) == (1.0, 1.5e9, 0.0)
    run.later(0.01).ends(0.02).ends(0.005, 5)  # released at 1.5, and at 1.515
    assert run.state.probing == 0.0
    # Released before 1.5, back after the probe's end: not in the window either.
    run.ends(0.03)
    assert run.state.samples == 1.0  # the fifth and sixth of above: one was left over
    run.ends(0.01)
    assert run.state.samples == 2.0


def test_the_timer_that_ran_out_first_acts_first() -> None:
    # The probe is due at 1.25, a window's end at 1.3: what that window held is gone.
    law = QUICK._replace(probe_every=0.25, buffer=1.0)
    run = Run(law).ends(0.005, 5)
    for gap in (
        0.05,
        0.1,
        0.07,
    ):  # 1.05, 1.15, 1.22: the ends of 1.1 and 1.2 double 3 and 8, and add roots
        run.later(gap).ends(0.005)
    assert run.state.limit == 20.0
    run.later(0.13).ends(0.005)
    assert (run.state.limit, run.state.saved, run.state.probing) == (3.0, 20.0, 1.0)
    # At equal times the window's end comes first; 1 + 0.1 + 0.15 is 1.25 in whole ns, if not in
    # floats.
    run = Run(QUICK._replace(probe_every=0.25, update_every=0.25, buffer=1.0)).ends(0.005, 5)
    run.later(0.1).ends(0.005).later(0.15).ends(0.005)
    assert run.state.saved == 8.0


def test_a_window_without_completions_changes_nothing() -> None:
    run = Run(QUICK).ends(0.005, 5).later(10.0).ends(0.05)
    assert run.state.limit == 3.0
    assert run.state.at_floor == 0.0
    assert run.state.next_update == 11.1e9
    run.later(0.2).ends(0.05)
    assert run.state.at_floor == 1.0


def test_a_cancelled_call_is_no_sample_but_time_goes_on() -> None:
    run = Run(QUICK).ends(0.005, 4).ends(0.001, 9, dropped=True)
    assert run.state.probing == 1.0
    run.ends(0.005)
    assert run.state.least == 5050.0
    run.later(0.05).ends(0.005).later(0.06).ends(9.0, dropped=True)
    assert run.state.limit == 5.0  # 3 x 1.25 + sqrt(3.75)
    failed = Observation(run.now, 100.0, 0.005, 0.0, 1.0, 1.0)
    assert run.law.update(run.state, failed, *run.memory).samples == 1.0  # an answer, if a bad one


def test_the_limit_stays_below_the_most() -> None:
    law = QUICK._replace(max_limit=20.5)
    run = Run(law).ends(0.005, 5)
    assert limits_of(law, run, 0.001, 4) == [8.0, 20.0, 20.0, 20.0]


@pytest.mark.parametrize(
    ("microseconds", "read"),
    [
        (0.9, 0.0),  # less than one
        (1.9, 1.0),  # 1 + 0.05, cut
        (99.0, 99.0),  # 99 + 0.5, cut
        (100.0, 105.0),
        (5000.0, 5050.0),
        (5099.999, 5050.0),
        (5100.0, 5150.0),
        (9_999_999.0, 9_950_000.0),
    ],
)
def test_two_significant_digits_of_whole_microseconds(microseconds: float, read: float) -> None:
    (memory,) = memory_of(QUICK)
    added(memory, microseconds / 1e6)
    assert sum(memory) == 1.0
    assert cut_quantile(memory, 0.5) == read


def test_a_rank_in_a_bin() -> None:
    # Ten calls of 5 ms stand at 5000 + 100 k / 11; nine of 1 ms before them at 1000 + 100 k / 10.
    (memory,) = memory_of(QUICK)
    for _ in range(9):
        added(memory, 0.001)
    for _ in range(10):
        added(memory, 0.005)
    assert [cut_quantile(memory, q) for q in (0.01, 9 / 19, 0.5, 0.9, 1.0)] == [
        1010.0,
        1090.0,
        5009.0,  # 9.5 - 9: the first
        5081.0,  # 17.1 - 9 = 8.1: the ninth
        5090.0,
    ]


def test_a_refusal_is_no_observation() -> None:
    states = fed(QUICK, [Observation(9.0, 100.0, math.nan, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0)])
    assert states[0] is states[1]


def test_bounds_in_the_wrong_order() -> None:
    with pytest.raises(
        InputError, match="min_limit=30 lies above max_limit=25; allowed: min <= max"
    ):
        checked(EnvoyGradient(min_limit=30.0, max_limit=25.0), "envoy-gradient")
    with pytest.raises(InputError, match="floor=30 lies above max_limit=25; allowed: floor <= max"):
        checked(EnvoyGradient(floor=30.0, max_limit=25.0), "envoy-gradient")
