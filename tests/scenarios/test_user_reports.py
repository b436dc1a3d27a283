"""What users complain about: each symptom as theory or the thread has it, and who does not have
it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from helpers.plants import same

from tpssim import simulate
from tpssim.core.types import OK, TIMED_OUT
from tpssim.scenarios.builtin import CORE, SCENARIOS
from tpssim.scenarios.user_reports import USER_REPORTS, UserReport
from tpssim.simulation.resolve import throttle_spec
from tpssim.simulation.trace import Trace


def complained(name: str) -> Trace:
    """The run that shows the complaint."""
    return simulate(name, USER_REPORTS[name].law)


def between(trace: Trace, start: float, end: float) -> Any:
    """Which calls were released in [start, end), s: a mask."""
    return (trace.released >= start) & (trace.released < end)


def limits(trace: Trace, start: float, end: float = math.inf) -> Any:
    return trace.limit[between(trace, start, end)]


def latencies(trace: Trace, start: float, end: float = math.inf) -> Any:
    """Of the calls that were released then and ended."""
    found = trace.latency[between(trace, start, end)]
    return found[~np.isnan(found)]


def done(trace: Trace, start: float, end: float, producer: int | None = None) -> float:
    """Successes per second."""
    mine = (trace.outcome == OK) & (trace.completed >= start) & (trace.completed < end)
    if producer is not None:
        mine &= trace.producer == producer
    return float(mine.sum()) / (end - start)


def test_a_complaint_is_a_built_in_scenario_with_a_law_and_a_source() -> None:
    assert len(CORE) == 9
    assert set(CORE) | set(USER_REPORTS) < set(SCENARIOS)
    for name, complaint in USER_REPORTS.items():
        assert SCENARIOS[name] == complaint.scenario, name
        assert throttle_spec(complaint.law).law is not None
        assert complaint.about
        assert "#" in complaint.source or complaint.source.startswith(
            ("RFC ", "apache/spark SPARK-")
        )
        assert f"test_{name.replace('-', '_')}" in globals(), "every complaint has its test here"


@pytest.mark.parametrize("complaint", USER_REPORTS.values(), ids=USER_REPORTS)
def test_both_engines_show_it_to_the_bit(complaint: UserReport) -> None:
    both = (simulate(complaint.scenario, complaint.law, engine=e) for e in ("simpy", "compiled"))
    assert same(*both)


def test_constant_timeouts() -> None:
    trace = complained("constant-timeouts")
    dead = between(trace, 10.0, 44.0)
    assert (trace.outcome[dead] == TIMED_OUT).all()
    assert latencies(trace, 10.0, 44.0) == pytest.approx(1.0)
    # The long-term round trip, 0.05 s at first, nears 1 s by 2/601 a call, 20 calls a second from
    # 11 s on. The limit, 20, leaves its floor when 20 g + 4 > 20, g = 1.5 long / rtt: at long =
    # 0.5333.
    calls = math.log((1.0 - 0.05) / (1.0 - 0.8 / 1.5)) / -math.log(1.0 - 2.0 / 601.0)
    leaves = trace.released[np.flatnonzero(trace.limit > 20.0)[0]]
    assert leaves == pytest.approx(11.0 + calls / 20.0, abs=1.0)
    # the law's maximum, while not one call succeeds
    assert limits(trace, 30.0, 45.0).min() == 200.0
    # Back at 45 s the service works off calls that nobody waits for any more, 400 a second while
    # 100 a second come, until the next one has waited for less than a second.
    backlog = np.count_nonzero(between(trace, 10.0, 45.0)) - 1.0 * 100.0
    first = trace.completed[(trace.outcome == OK) & (trace.completed > 40.0)].min()
    assert first == pytest.approx(45.0 + backlog / 300.0, rel=0.05)

    other = simulate("constant-timeouts", "netflix-aimd")  # to which a timeout is a drop
    assert limits(other, 10.0, 45.0).max() == 20.0
    assert other.completed[(other.outcome == OK) & (other.completed > 40.0)].min() < first - 5.0


def test_lucky_minimum() -> None:
    trace = complained("lucky-minimum")
    lucky = trace.completed[np.flatnonzero(trace.latency < 0.05)[0]]
    assert limits(trace, lucky - 0.5, lucky).min() > 6.0
    # Below 20 calls nothing queues, yet 0.1 s against 0.01 s looks like 0.9 of the limit. It falls,
    # by one for each call, to the first whole number with ceil(0.9 limit) <= beta = 6.
    assert limits(trace, lucky + 1.0).min() == 6.0
    assert np.median(limits(trace, lucky + 1.0)) == 6.0
    assert done(trace, 20.0, 40.0) == pytest.approx(6 / 0.1, rel=0.05)  # of 200

    probing = simulate("lucky-minimum", "netflix-vegas")  # what the complaint led to
    assert limits(probing, 0.0, 40.0).min() == 6.0
    assert done(probing, 20.0, 40.0) > 160.0


def test_baseline_drift() -> None:
    trace = complained("baseline-drift")
    # A bad window is 3/4 queue to an honest baseline: 0.02 s of 0.08 s. The limit goes down to 8 or
    # less, as ceil(0.75 * 8) = 6 is the most that is not yet cut.
    assert limits(trace, 20.0, 40.0).min() <= 8.0
    # Then the baseline has followed; 15 s later twice as many are in flight as there are servers.
    assert limits(trace, 42.0, 46.0).min() > 1.5 * 20.0
    assert np.mean(latencies(trace, 42.0, 46.0)) > 1.5 * 0.08
    honest = simulate("baseline-drift", "failsafe-adaptive:period=0.2,baseline_age=1000")
    assert limits(honest, 35.0, 50.0).max() <= 8.0
    assert np.mean(latencies(honest, 35.0, 49.0)) == pytest.approx(0.08, rel=0.05)


def test_creep() -> None:
    trace = complained("creep")
    # With L calls in flight at 500/s a round trip takes L/500. The limit rests at queue / (1 - g),
    # where L = L g + 4, g = 1.5 long / rtt: L = 4 + 1.5 X with X = 500 long. A frozen baseline
    # would hold it there. But X follows by f = 2/601 a window, X' = f (L - X), so L' = 1.5 f (L -
    # (L - 4) / 1.5) = f (L/2 + 4) in a window of two round trips, 2 L / 500 s: L' = 125 f (1 + 8 /
    # L), half a call a second, for ever.
    measured = np.polyfit(trace.released[between(trace, 20.0, 60.0)], limits(trace, 20.0, 60.0), 1)[
        0
    ]
    middle = float(np.mean(limits(trace, 20.0, 60.0)))
    assert measured == pytest.approx(125.0 * 2.0 / 601.0 * (1.0 + 8.0 / middle), rel=0.1)
    assert np.mean(latencies(trace, 55.0)) > 1.4 * np.mean(latencies(trace, 10.0, 15.0))

    without = simulate("creep", "netflix-gradient2:window=0.1,queue=0")
    assert limits(without, 0.0).max() == 20.0
    assert done(without, 20.0, 60.0) == pytest.approx(500.0, rel=0.01)


def test_zero_rate() -> None:
    trace = complained("zero-rate")
    # The second batch lags by more than 0.1 s: latest - 10 lag latest < 0; at 0.01/s the next waits
    # 100 s.
    assert trace.released.max() < 3.0
    # a minimum is what the complaint led to
    bounded = simulate("zero-rate", "spark-pid:ki=10,min_rate=2")
    assert done(bounded, 15.0, 30.0) == pytest.approx(100.0, rel=0.01)


def test_slow_recovery() -> None:
    trace = complained("slow-recovery")
    start = limits(trace, 25.0)[0]
    after = between(trace, 25.5, 45.0)
    # At most one more in a round trip of 0.2 s; 40 are needed for 200/s.
    assert start < 10.0
    assert (trace.limit[after] <= start + (trace.released[after] - 25.0) / 0.2 + 1.0).all()
    assert done(trace, 26.0, 31.0) < 0.5 * 200.0
    # One more for each call; nothing above the 200/s that are wanted is made up for.
    assert done(simulate("slow-recovery", "netflix-aimd"), 26.0, 31.0) > 0.98 * 200.0


def test_probe_rejections() -> None:
    trace = complained("probe-rejections")
    probing = trace.limit == 3.0
    later = trace.released > 5.0
    begins = np.flatnonzero((probing & later)[1:] & ~probing[:-1]) + 1
    assert len(begins) == 3  # 10 to 11.5 s after the one before
    # 50 calls, 3 at a time, of 0.1 s: 50/3 rounds at 30/s of the 200/s that are wanted.
    for begin in begins[:2]:
        end = begin + np.flatnonzero(~probing[begin:])[0]
        assert trace.released[end] - trace.released[begin] == pytest.approx(50 / 3 * 0.1, rel=0.1)
    # A probe costs 5/3 s of 170 slots a second, less the 20 of the last 0.1 s; the third one began,
    # too.
    assert trace.meta["skipped"] > 2.0 * 250.0
    assert simulate("probe-rejections", "netflix-aimd").meta["skipped"] == 0.0  # needs no probe


def test_fast_errors() -> None:
    trace = complained("fast-errors")
    # The delay is latency / concurrency whatever the answer: 4 / 0.05 s = 80/s of 50, and none is
    # served.
    assert trace.rate[between(trace, 10.0, 30.0)] == pytest.approx(80.0)
    assert done(trace, 10.0, 30.0) == 0.0
    assert latencies(trace, 10.0, 29.0) == pytest.approx(0.05)
    assert done(simulate("fast-errors", "aimd-epoch"), 10.0, 30.0) > 0.6 * 50.0


def test_cuts_per_event() -> None:
    trace = complained("cuts-per-event")
    slow = np.count_nonzero(latencies(trace, 14.5, 16.0) > 0.5)
    limit, cuts = limits(trace, 10.0, 15.0).max(), 0
    while limit > 1.0:
        limit, cuts = math.floor(0.9 * limit), cuts + 1
    assert slow > cuts > 10  # within one round trip
    assert limits(trace, 16.0, 16.5).min() == 1.0

    once = simulate("cuts-per-event", "aimd-epoch")
    assert np.count_nonzero(latencies(once, 14.5, 16.0) > 0.25) > 50
    assert once.rate.min() == pytest.approx(0.7 * 100.0)
    assert np.count_nonzero(np.diff(once.rate) < 0.0) == 1


def test_idle_growth() -> None:
    trace = complained("idle-growth")
    assert trace.in_flight[between(trace, 5.0, 20.0)].max() <= 6.0
    assert limits(trace, 5.0, 20.0).min() == 1000.0  # the law's maximum
    assert trace.in_flight[between(trace, 20.0, 22.0)].max() > 2.5 * 20.0  # servers

    # These hold with less than half of the limit in flight.
    gradient, vegas = (
        simulate("idle-growth", law) for law in ("netflix-gradient2", "netflix-vegas")
    )
    for other in (gradient, vegas):
        assert limits(other, 5.0, 20.0).max() == 20.0
    assert gradient.in_flight[between(gradient, 20.0, 22.0)].max() == 20.0


def test_few_samples() -> None:
    trace = complained("few-samples")
    assert set(trace.limit) == {40.0}  # the initial one
    assert latencies(trace, 20.0) == pytest.approx(40 / 8)  # Little's law; unloaded it is 0.25 s
    # ten calls in a second, or they are lost
    windowed = simulate("few-samples", "netflix-gradient2:window=1")
    assert set(windowed.limit) == {20.0}
    assert latencies(windowed, 20.0) == pytest.approx(20 / 8)

    patient = simulate("few-samples", "brpc-auto:least_samples=5,min_limit=4")
    assert latencies(patient, 20.0).max() < 1.0
    assert done(patient, 20.0, 60.0) == pytest.approx(8.0, rel=0.02)


def test_join_leave_in_flight() -> None:
    trace = complained("join-leave-in-flight")
    shares = [done(trace, 35.0, 45.0, producer) for producer in range(3)]
    assert sum(shares) == pytest.approx(100.0, rel=0.05)
    # Each keeps 3 to 6 calls queued by its own estimate, L (1 - least / rtt); to the last one a
    # round trip in the others' queue is the least, so it needs more in flight for that, and rates
    # go as calls in flight.
    late = between(trace, 35.0, 44.0)
    leasts = []
    for producer in range(3):
        mine = trace.producer == producer
        leasts.append(float(np.nanmin(trace.latency[mine & between(trace, 0.0, 44.0)])))
        queued = trace.limit[mine & late] * (
            1.0 - leasts[-1] / np.nanmean(trace.latency[mine & late])
        )
        assert 2.0 < float(np.mean(queued)) < 7.0
    assert leasts[2] > 2.0 * leasts[0]
    assert shares[2] > 1.4 * max(shares[:2])

    # cuts by a share converge to fairness (Chiu, Jain)
    fair = simulate("join-leave-in-flight", "aimd-epoch")
    equal = [done(fair, 35.0, 45.0, producer) for producer in range(3)]
    assert max(equal) / min(equal) < 1.15
