"""brpc's automatic limiter: vectors of the original, each rule by hand."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest
from helpers.laws import done, fed

from tpssim.controllers.brpc_auto import (
    BrpcAuto,
    BrpcAutoState,
    average_us,
    explored,
    remeasure_wait,
)
from tpssim.core.types import Observation

LAW = BrpcAuto()


def steady(rtts: Iterable[float], begin: float, gap: float) -> list[Observation]:
    return [done(begin + k * gap, rtt) for k, rtt in enumerate(rtts)]


def window(
    law: BrpcAuto, state: BrpcAutoState, begin: float, rtt: float, gap: float = 0.001
) -> BrpcAutoState:
    """The state after 200 samples, which end a window."""
    for obs in steady([rtt] * 200, begin, gap):
        state = law.update(state, obs)
    assert state.window.successes == 0.0
    return state


@pytest.mark.parametrize(
    ("ok", "failed", "threshold", "average"),
    [
        (90, 10, 0.0, 212.0),
        (90, 10, 0.2, 100.0),
        (90, 10, 0.1, 100.0),
        (50, 50, 0.1, 545.0),
        (10, 90, 0.1, 8100.0),
    ],
)
def test_average_latency(ok: int, failed: int, threshold: float, average: float) -> None:
    assert average_us(ok * 100.0, failed * 1000.0, float(ok), float(failed), threshold) == average
    # The same through the law: 100 samples in 1 s and more.
    law = LAW._replace(error_threshold=threshold)
    history = [done(0.0101 * k, 1e-4) for k in range(ok)]
    history += [done(0.0101 * k, 1e-3, dropped=True) for k in range(ok, ok + failed)]
    state = fed(law, history)[-1]
    assert math.isnan(state.known.least)  # 0.9999 s: not over yet
    state = fed(law, [*history[:-1], done(1.0, 1e-3, dropped=True)])[-1]
    assert state.known.least == average


def test_defaults() -> None:
    assert LAW.init(100.0).limit == 40.0
    assert tuple(LAW) == (40.0, 9.0, 1.0, 100.0, 200.0, 0.1, 0.3, 0.0, 50.0, 0.9, 1.0)


@pytest.mark.parametrize(
    ("punish", "threshold", "average"), [(0.5, 0.0, 156.0), (0.0, 0.0, 100.0), (2.0, 0.05, 112.0)]
)
def test_the_punishment_of_failures(punish: float, threshold: float, average: float) -> None:
    # (0.5 x 10000 + 9000) / 90 = 155.6; (2 x 10000 x (0.1 - 0.05) / 0.95 + 9000) / 90 = 111.7.
    law = LAW._replace(punish=punish, error_threshold=threshold)
    history = [done(0.0101 * k, 1e-4) for k in range(90)]
    history += [done(0.0101 * k, 1e-3, dropped=True) for k in range(90, 99)]
    assert fed(law, [*history, done(1.0, 1e-3, dropped=True)])[-1].known.least == average


def test_a_window_of_a_second() -> None:
    # 101 samples 10 ms apart: 101 successes in 1 s, 0.5 s each: trunc(101 x 0.5 x 1.3) = 65.
    states = fed(LAW, steady([0.5] * 101, 0.01, 0.01))
    assert [state.limit for state in states[-2:]] == [40.0, 65.0]
    assert states[-1].known.best == 101.0
    assert states[-1].known.least == 500_000.0
    assert states[-1].known.explore == 0.3


def test_a_window_of_two_hundred_samples() -> None:
    # 200 in 0.199 s: 1005.025 a second x 0.1 s x 1.3 = 130.65.
    state = window(LAW, LAW.init(100.0), 0.001, 0.1)
    assert state.limit == 130.0
    assert state.known.best == 1e6 * 200.0 / 199_000.0


def test_fewer_than_a_hundred_in_a_second_are_thrown_away() -> None:
    # 99 of them: the 100th, in time, makes a window. 50 a second never do.
    assert fed(LAW, steady([0.5] * 500, 0.0, 0.02))[-1].limit == 40.0
    states = fed(
        LAW, [*steady([0.5] * 98, 0.0, 0.01), done(1.0, 0.5), *steady([0.2] * 200, 1.001, 0.001)]
    )
    assert states[99].window.start == 1e6
    assert states[99].window.successes == 0.0
    assert states[-1].known.least == 200_000.0  # nothing of the first window is left
    assert states[-1].known.best == 1e6 * 200.0 / 200_000.0


def test_the_throughput_counts_what_is_not_sampled() -> None:
    # Pairs at once: the second of each is within 0.1 ms of the first. The first of pair 101 ends
    # the window.
    history = [obs for obs in steady([0.5] * 101, 0.01, 0.01) for _ in range(2)][:-1]
    state = fed(LAW, history)[-1]
    assert state.known.best == 201.0
    apart = fed(LAW, [done(0.0, 0.1), done(0.0000999, 0.1), done(0.0001, 0.1)])
    assert [s.window.successes for s in apart] == [0.0, 1.0, 2.0, 2.0]  # whole us: 99.9 is 100


def test_a_local_refusal_is_no_sample() -> None:
    state = LAW.init(100.0)
    refusal = Observation(0.0, 100.0, math.nan, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0)
    assert LAW.update(state, refusal) is state


def test_windows_of_failures_halve_the_limit_down_to_the_floor() -> None:
    history = [done(0.001 * k, 0.1, dropped=True) for k in range(1, 1001)]
    states = fed(LAW, history)
    assert [states[200 * k].limit for k in range(6)] == [40.0, 20.0, 10.0, 9.0, 9.0, 9.0]
    assert math.isnan(states[-1].known.least)
    odd = fed(LAW._replace(initial=25.0, min_limit=1.0), history)
    assert [odd[200 * k].limit for k in range(6)] == [25.0, 12.0, 6.0, 3.0, 1.0, 1.0]


def test_the_least_latency_falls_by_a_tenth_in_whole_microseconds_and_never_rises() -> None:
    state = window(LAW, LAW.init(100.0), 0.001, 0.001)
    assert state.known.least == 1000.0
    state = window(LAW, state, 0.201, 0.000909)
    assert state.known.least == 990.0  # 0.1 x 909 + 0.9 x 1000 = 990.9
    assert window(LAW, state, 0.401, 0.5).known.least == 990.0


def test_the_best_throughput_decays_by_a_hundredth_of_the_gap() -> None:
    state = window(LAW, LAW.init(100.0), 0.001, 0.1)
    # 200 in 399 ms, counted from the last window's end at 0.2
    slower = window(LAW, state, 0.202, 0.1, 0.002)
    assert slower.known.best == pytest.approx(0.01 * 200.0 / 0.4 + 0.99 * 200.0 / 0.199, rel=1e-12)
    assert slower.limit == math.floor(0.1 * slower.known.best * 1.3)  # low load: it explores


def test_exploring_less_under_load_and_more_without() -> None:
    # At 1.07 of the least latency and full throughput: 0.28, 0.26, ... down to 0.06.
    state = window(LAW, LAW.init(100.0), 0.001, 0.1)
    found = []
    for k in range(1, 15):
        state = window(LAW, state, 0.001 + 0.2 * k, 0.107)
        found.append(state.known.explore)
    assert found[:3] == pytest.approx([0.28, 0.26, 0.24])
    assert found[-4:] == [pytest.approx(0.08), 0.06, 0.06, 0.06]
    # At 1.06 and less, up again; and at any latency once throughput has fallen by 1.06.
    assert window(LAW, state, 3.001, 0.106).known.explore == pytest.approx(0.08)
    assert window(LAW, state, 3.002, 0.2, 0.00108).known.explore == pytest.approx(0.08)
    assert [explored(0.3, True, 0.3), explored(0.06, False, 0.3)] == [0.3, 0.06]


def test_when_the_latency_is_measured_again() -> None:
    # Half of 50 s, and a whole number of ms below another half.
    assert remeasure_wait(50.0, 0.0) == 25e6
    assert remeasure_wait(50.0, 0.99999999) == 49.999e6
    assert remeasure_wait(50.0, 0.00005) == 25.001e6


def test_measuring_the_latency_again() -> None:
    law = LAW._replace(remeasure_after=0.2)  # with u = 0.5: 0.15 s after the start
    state = law.init(100.0)
    for obs in steady([0.1] * 200, 0.001, 0.001):
        state = law.update(state, obs)
    # The window ends at 0.2: ceil(1005.025 x 0.1 x 0.9) = 91, and nothing is sampled for 0.2 s.
    assert state.limit == 91.0
    assert state.known.resume == 400_000.0
    ignored = law.update(state, done(0.399, 9.0))
    assert (ignored.window.successes, ignored.limit, ignored.known.least) == (0.0, 91.0, 100_000.0)
    fresh = law.update(ignored, done(0.4, 0.05))
    # Forgotten; the next time is drawn from now; this call is a sample, but not in the throughput.
    assert math.isnan(fresh.known.least)
    assert (
        fresh.window.start,
        fresh.window.successes,
        fresh.window.served,
        fresh.known.resume,
    ) == (400_000.0, 1.0, 0.0, 0.0)
    assert fresh.remeasure == 550_000.0
    for obs in steady([0.05] * 100, 0.401, 0.001):
        fresh = law.update(fresh, obs)
    assert fresh.limit == 91.0
    for obs in steady([0.05] * 99, 0.501, 0.001):
        fresh = law.update(fresh, obs)
    assert fresh.known.least == 50_000.0


def test_the_reason() -> None:
    law = LAW._replace(remeasure_after=0.2)
    states = fed(law, steady([0.1] * 200, 0.001, 0.001))
    assert "fewer than 100 samples in 1 s" in law.why(states[0], done(0.0, 0.1), states[1])
    assert "limit 91 to measure the latency without load" in law.why(
        states[-2], done(0.2, 0.1), states[-1]
    )
    state = window(LAW, LAW.init(100.0), 0.001, 0.1)
    assert "best 1005/s, least latency 100 ms, explores 30 %: limit 130" in LAW.why(
        state, done(0.2, 0.1), state
    )
