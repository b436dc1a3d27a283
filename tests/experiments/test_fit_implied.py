"""The service times that a recording implies: worked by hand, counted one by one, and drawn."""

from __future__ import annotations

import math

import numpy as np

from tpssim import Async, Backend, Constant, Lognormal, Scenario, Stages, Step, simulate
from tpssim.core.types import OK
from tpssim.experiments.fitting.implied import (
    begin_times,
    calls_of,
    implied,
    in_flight,
    overtakings,
    within_steps,
)
from tpssim.scenarios.service_times import draws, times_of


def test_three_calls_on_two_servers_by_hand() -> None:
    # 1 s on the way; the servers work from 1 to 4, from 1.5 to 2.5 and, on the second, from 2.5.
    calls = calls_of(np.array([0.0, 0.5, 0.75]), np.array([4.0, 2.5, 4.5]))
    found = implied(calls, 2.0, 1.0)
    assert found.time.tolist() == [3.0, 1.0, 2.0]
    assert found.waited.tolist() == [False, False, True]
    assert found.taken.tolist() == [0.0, 0.5, 1.5]
    # One server: the second call would end before the first.
    assert implied(calls, 1.0, 1.0).time.tolist() == [3.0, -1.5, 0.5]
    assert implied(calls, math.inf, 1.0).time.tolist() == [3.0, 1.0, 2.75]


def test_calls_that_are_not_looked_at_count_for_the_others() -> None:
    calls = calls_of(np.array([0.0, 0.5, 0.75]), np.array([4.0, 2.5, 4.5]))
    some = implied(calls._replace(some=np.array([False, True, True])), 2.0, 1.0)
    assert some.sure.tolist() == [False, True, True]
    assert some.time.tolist() == [3.0, 1.0, 2.0]


def test_the_times_that_the_model_drew_are_recovered() -> None:
    service = Lognormal(0.02, 0.8)
    plant = Scenario("five", service, 230.0, 20.0, Async(feedback="completion"), poisson=1.0)
    plant = plant._replace(backend=Backend(servers=5.0), network=Constant(0.03))
    trace = simulate(plant, "fixed", seed=3)
    done = np.isfinite(trace.completed)
    calls = calls_of(trace.released[done], trace.completed[done])
    drawn = times_of(service, draws(service.noise(), len(done), 3, 0))[done]
    first = int(np.argmin(done)) if not done.all() else len(done)  # what follows may have waited
    found = implied(calls, 5.0, 0.03 + 20e-6)
    assert found.waited.sum() > 1000
    np.testing.assert_allclose(found.time[:first], drawn[:first], atol=1e-9)


def test_compiled_and_plain_python_give_the_same() -> None:
    drawn = np.random.default_rng(1)
    arrivals = np.cumsum(drawn.exponential(1.0, 500))
    ends = arrivals + drawn.exponential(3.0, 500)
    there = drawn.random(500) < 0.9
    calls = calls_of(arrivals, ends, there)
    plain = np.empty(500)
    latest = np.full(500, math.inf)
    begin_times(arrivals + 0.5, ends, there, latest, 3, 0.0, np.empty(3), plain)
    assert (implied(calls._replace(longest=2.0), 3.0, 0.5).begin == plain).all()


def test_an_answer_tells_that_all_calls_before_it_had_been_taken() -> None:
    """One server, and a call that nobody waited for longer than 1 s: it may last for 100 s, but the
    one behind it was answered after 3 s. So the server was free by then, and the next call, which
    comes after 10 s, began at once.
    """
    given_up = np.array([False, True, True])
    alone = calls_of(np.array([0.0, 0.5, 10.0]), np.array([1.0, 3.0, 12.0]), given_up)
    found = implied(alone._replace(longest=100.0), 1.0, 0.0)
    assert found.sure.tolist() == [True, False, True]
    assert found.time[2] == 2.0
    # Two servers and two such calls: who is answered after 3 s frees one of them, and the last
    # call, which comes while that one is busy again, may have waited for the other.
    starts, ends = np.array([0.0, 0.0, 0.5, 10.0, 10.5]), np.array([1.0, 1.0, 3.0, 12.0, 13.0])
    pair = calls_of(starts, ends, np.array([False, False, True, True, True]))
    found = implied(pair._replace(longest=100.0), 2.0, 0.0)
    assert found.sure.tolist() == [True, True, False, True, False]


def test_what_cannot_be_is_known_after_a_call_that_was_given_up() -> None:
    """Two servers, taken for one: of two calls that begin at 10 s the second would have begun at
    15 s, after its answer at 14 s. That a call was given up before hides nothing of it.
    """
    starts, ends = np.array([0.0, 10.0, 10.0]), np.array([1.0, 15.0, 14.0])
    calls = calls_of(starts, ends, np.array([False, True, True]))
    found = implied(calls._replace(longest=1.0), 1.0, 0.0)
    assert found.time.tolist()[1:] == [5.0, -1.0]
    assert found.sure.tolist()[1:] == [True, True]


def test_after_a_flood_of_calls_that_were_given_up_times_are_known_again() -> None:
    """Five times slower for 12 s: of what came meanwhile hundreds of calls were given up, each of
    which may have kept its server for 4 s. All of them were taken before the first one that was
    answered after them, so 4 s later everything is known.
    """
    service, four = Lognormal(0.05, 0.5), Backend(servers=4.0)
    slow = Scenario(
        "slow", service, Stages("12s:60,48s:20", start=16.0), 60.0, Async(feedback="completion"),
        (Step(0.0, 12.0, 5.0),), backend=four, timeout=1.0,
    )  # fmt: skip
    trace = simulate(slow, "fixed", seed=5)
    ended = np.where(np.isfinite(trace.completed), trace.completed, 60.0)
    well = trace.outcome == OK
    assert (~well).sum() > 100
    calls = calls_of(trace.released, ended, well)
    found = implied(calls._replace(longest=4.0), 4.0, 0.0)
    last = float(trace.released[~well].max())
    back = float(ended[well & (trace.released > last)].min())  # the first answer after them
    later = well & (trace.released > back + 4.0)
    assert later.sum() > 500
    assert found.sure[later].all()
    drawn = times_of(service, draws(service.noise(), len(well), 5, 0))
    np.testing.assert_allclose(found.time[later], drawn[later], atol=3e-5)  # 20 us of hand-over


def test_the_third_latest_completion_one_by_one() -> None:
    drawn = np.random.default_rng(2)
    arrivals = np.cumsum(drawn.exponential(1.0, 300))
    ends = arrivals + drawn.exponential(4.0, 300)
    begin = [max(arrivals[i], sorted(ends[:i])[-3]) if i >= 3 else arrivals[i] for i in range(300)]
    assert implied(calls_of(arrivals, ends), 3.0, 0.0).begin.tolist() == begin


def test_overtakings_and_calls_in_flight_one_by_one() -> None:
    drawn = np.random.default_rng(3)
    starts = np.cumsum(drawn.exponential(1.0, 200))
    ends = starts + drawn.exponential(5.0, 200)
    depth = [sum(ends[j] > ends[i] for j in range(i)) for i in range(200)]
    assert overtakings(ends).tolist() == depth
    flying = [sum(s <= t < e for s, e in zip(starts, ends, strict=True)) for t in starts]
    assert in_flight(starts, ends).tolist() == flying


def test_what_follows_a_call_without_an_answer_is_not_sure() -> None:
    # The caller gave the first call up at 1 s. Its server may still be at it at 2 s, or not.
    starts, ends = np.array([0.0, 2.0, 6.0]), np.array([1.0, 4.0, 7.0])
    calls = calls_of(starts, ends, np.array([False, True, True]))
    assert implied(calls._replace(longest=3.0), 1.0, 0.0).sure.tolist() == [True, False, True]
    assert implied(calls._replace(longest=1.5), 1.0, 0.0).sure.tolist() == [True, True, True]


def test_a_stamp_is_any_time_within_its_step() -> None:
    starts = np.repeat(np.arange(100.0), 20)
    ends = starts + np.tile(np.arange(20.0), 100)
    begun, ended = within_steps(starts, ends, 1.0, seed=1)
    assert (np.diff(begun) >= 0.0).all()
    assert np.abs(begun - starts).max() <= 0.5
    assert np.abs((ended - begun) - (ends - starts)).max() <= 0.5
    assert (ended >= begun).all()
    # evenly: of 2,000 draws of +-0.5 the mean has a standard error of 0.0065
    assert abs(float((ended - begun - (ends - starts))[ends - starts >= 1.0].mean())) < 0.02
    again = within_steps(starts, ends, 1.0, seed=1)
    assert (again[0] == begun).all()
    assert (again[1] == ended).all()
