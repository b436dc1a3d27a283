"""A twin is judged by what was held out: the true one holds, of a wrong one it is named why."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers.recordings import CROWD, recorded

from tpssim import Backend, Constant, Lognormal, ServiceQuota, Stages, Stall, Step
from tpssim.core.types import FAILED, OK
from tpssim.experiments.fitting.flows import Calls, flow, flows
from tpssim.experiments.fitting.held_out import Check, Row, check, compared, replayed

#: Too much for twelve servers for a while, on each side of the middle.
PLANT = CROWD._replace(
    target=Stages("8s:280,4s:50,8s:280,4s:50"), duration=24.0, backend=Backend(servers=12.0)
)


def test_the_true_service_holds() -> None:
    found = check(PLANT, recorded(PLANT, seed=3), 12.0, runs=8)
    assert found.holds, found.table()
    assert found.apart
    assert found.misses == ()
    assert found.line().startswith("The twin holds, on ")
    names = [row.name for row in found.rows]
    assert names[:5] == ["p50", "p90", "p99", "throughput", "errors"]
    assert sum("in flight" in name for name in names) == 4


def test_a_wrong_number_of_servers_is_named_by_what_it_misses() -> None:
    twin = PLANT._replace(backend=Backend(servers=8.0))
    found = check(twin, recorded(PLANT, seed=3), 12.0, runs=8)
    assert not found.holds
    assert {"p50", "p90", "p99"} <= set(found.misses)
    assert "it misses p50; p90; p99; " in found.line()


def test_a_missing_quota_is_seen_by_the_errors() -> None:
    plant = PLANT._replace(backend=Backend(servers=16.0, quotas=(ServiceQuota(1500.0, 10.0),)))
    seen = recorded(plant, seed=3)
    assert check(plant, seen, 12.0, runs=6).holds
    found = check(plant._replace(backend=Backend(servers=16.0)), seen, 12.0, runs=6)
    assert "errors" in found.misses


def test_a_part_without_an_answer_is_judged_by_throughput_and_errors_and_says_so() -> None:
    # Four servers of 100 ms, 52 calls a second, patience of a second: after 6 s all give up.
    plant = CROWD._replace(
        target=52.0,
        duration=20.0,
        service=Constant(0.1),
        backend=Backend(servers=4.0),
        timeout=1.0,
    )
    found = check(plant, recorded(plant, seed=3), 10.0, runs=4)
    assert [row.name for row in found.rows] == ["throughput", "errors"]
    assert found.rows[1].recorded == found.rows[1].simulated == 1.0
    assert "(fewer than 50 of them went well, so no latency is judged)" in found.line()


def test_windows_begin_when_they_were_seen_to() -> None:
    seen = recorded(CROWD._replace(duration=10.0), seed=3)
    calls = Calls(seen.start, seen.completion, seen.outcome)
    stalled = CROWD._replace(disturbances=(Stall(2.0, 3.0),))
    twin, shift = replayed(stalled, calls, seen, 1.5)
    assert twin.arrivals is not None
    assert (shift, twin.arrivals[0], twin.disturbances) == (0.0, 0.0, (Stall(2.0, 3.0),))
    quota = ServiceQuota(400.0, 5.0, window="fixed")
    fixed = stalled._replace(backend=Backend(quotas=(quota,)))
    twin, shift = replayed(fixed, calls, seen, 1.5)
    # what was recorded at 1.5 s, where a window began, is at 5 s, where one of the twin's does
    assert shift == 3.5
    assert twin.arrivals is not None
    assert twin.arrivals[10] == seen.start[10] + 3.5
    assert twin.disturbances == (Stall(5.5, 6.5),)


def test_what_a_service_had_come_to_when_the_fit_ended_lasts() -> None:
    """A step up to the end of what was fitted is there in what was held out; one that was over is
    not."""
    seen = recorded(CROWD._replace(duration=10.0), seed=3)
    calls = Calls(seen.start, seen.completion, seen.outcome)
    over, lasting = Step(1.0, 2.0, 3.0), Step(2.0, 5.0, 0.5)
    fitted = CROWD._replace(duration=5.0, disturbances=(over, lasting))
    twin, _ = replayed(fitted, calls, seen, 0.0)
    assert twin.duration > seen.start[-1]
    assert twin.disturbances == (over, Step(2.0, twin.duration, 0.5))


def test_runs_on_drawn_services_differ_by_what_is_open() -> None:
    """Where nothing waits a latency is the service's: of services 20 % apart it lies between
    them, where runs of one differ by far less.
    """
    quick = PLANT._replace(target=20.0, duration=20.0, backend=Backend(servers=40.0))
    slow = quick._replace(service=Lognormal(0.06, 0.5))
    seen = recorded(quick, seed=3)
    one, both = (check(quick, seen, runs=6, drawn=services) for services in ((), (quick, slow)))
    (narrow,), (wide,) = ([row for row in found.rows if row.name == "p50"] for found in (one, both))
    assert wide.simulated == pytest.approx(1.1 * narrow.simulated, rel=0.03)
    assert wide.high - wide.low > 2.0 * (narrow.high - narrow.low)


def test_what_was_fitted_is_not_called_held_out() -> None:
    seen = recorded(PLANT, seed=3)
    found = check(PLANT, seen, math.inf, runs=2)
    assert not found.apart
    assert found.calls == len(seen)
    assert "for none were held out" in found.line()


def test_each_point_of_the_rate_in_flight_is_of_many_answers() -> None:
    """150 calls of 1 s one after the other, then 20 times two together: 40 answers come while two
    are in flight, too few for a point of their own."""
    start = np.concatenate((np.arange(150.0), 200.0 + np.repeat(np.arange(20.0), 2)))
    calls = Calls(start, start + 1.0, np.zeros(len(start), np.int8))
    flying, recorded, simulated = flows(calls, [calls])
    # An answer belongs to the window that begins with it; in that from 150 s on nobody is at work.
    assert recorded.tolist() == simulated.tolist() == pytest.approx([(149.0 + 40.0) / 170.0])
    assert flying.tolist() == pytest.approx([(150.0 + 2.0 * 20.0) / 170.0])


def test_answers_at_once_are_no_more_than_the_service_gives() -> None:
    """Four servers take 1 s, four calls come together each 1.5 s, and their answers 1 us apart: in
    no window are there more than 4 a second."""
    start = np.repeat(1.5 * np.arange(200.0), 4)
    end = start + 1.0 + np.tile([0.0, 1e-6, 2e-6, 3e-6], 200)
    calls = Calls(start, end, np.zeros(800, np.int8))
    flying, recorded, _ = flows(calls, [calls])
    assert (recorded <= 4.0 + 1e-3).all()
    assert (flying <= 4.0).all()


def test_a_row_holds_within_what_runs_differ_by_or_what_is_allowed() -> None:
    row = Row("p50", "ms", 1.0, 1.3, 0.9, 1.7, 0.1)
    assert row.holds  # within the runs, though 30 % off
    assert not row._replace(low=1.1).holds
    assert row._replace(low=1.1, simulated=1.1, allowed=0.11).holds
    nothing = row._replace(simulated=math.nan, low=math.nan, high=math.nan)
    assert not nothing.holds
    assert row.difference == pytest.approx(0.3)


def test_what_is_missed_is_said_with_its_size() -> None:
    rows = (
        Row("p99", "ms", 0.0123, 0.0189, 0.018, 0.02, 0.001),
        Row("throughput", "1/s", 41.3, 41.0, 40.0, 42.0, 1.0),
        Row("errors", "%", 0.25, 0.041, 0.04, 0.05, 0.01),
        Row("p50, 3 or more in flight", "ms", 0.5, math.nan, math.nan, math.nan, 0.05),
    )
    nothing = np.zeros(0)
    found = Check(rows, 20, 0.0, 100, False, (nothing, nothing, nothing), ())
    assert found.missed() == [
        "p99: 18.9 ms, recorded 12.3",
        "errors: 4.1 %, recorded 25",
        "p50, 3 or more in flight: none ms, recorded 500",
    ]


def test_where_one_more_run_would_be() -> None:
    # mean 2, std 1 of three; t(2) at 97.5 % is 4.302653; times sqrt(1 + 1/3)
    row = compared("p50", "ms", 2.0, [1.0, 2.0, 3.0], 0.0)
    half = 4.302652729911275 * math.sqrt(4.0 / 3.0)
    assert (row.simulated, row.low, row.high) == pytest.approx((2.0, 2.0 - half, 2.0 + half))
    assert math.isnan(compared("p50", "ms", 2.0, [1.0, math.nan], 0.0).simulated)


def test_answers_over_calls_in_flight_by_hand() -> None:
    start, end = np.array([0.0, 1.0, 1.5]), np.array([4.0, 2.0, 3.0])
    # one in flight over [0, 1) and [3, 4), two over [1, 1.5) and [2, 3), three over [1.5, 2): in
    # windows of 1 s there are 1, 2.5 (rounded to even: 2), 2 and 1, and answers at 2, 3 and 4 s
    answers, load, seconds = flow(Calls(start, end, np.array([OK, FAILED, OK], np.int8)), 1.0, 3)
    assert seconds.tolist() == [2.0, 2.0, 0.0]
    assert load.tolist() == [2.0, 4.5, 0.0]
    assert answers.tolist() == [2.0, 1.0, 0.0]
