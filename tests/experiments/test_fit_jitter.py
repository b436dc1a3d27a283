"""A service of equal times behind answers that scatter, and one that scatters itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tpssim
from tpssim import Async, Backend, Constant, Exponential, Gamma, Scenario, Step
from tpssim.experiments.fitting.changes import FLAT, Course
from tpssim.experiments.fitting.implied import Calls, calls_of, implied
from tpssim.experiments.fitting.jitter import Steady, steady
from tpssim.metrics.verdicts import judge

#: Four servers take 40 a second of 52.
PLANT = Scenario(
    "crowd",
    Constant(0.1),
    52.0,
    30.0,
    Async(0.0, "completion"),
    backend=Backend(servers=4.0),
    network=Exponential(0.002),
)


def seen(plant: Scenario, course: Course = FLAT, delay: float = 0.0) -> Steady | None:
    trace = tpssim.simulate(plant, "fixed", seed=3)
    there = np.isfinite(trace.completed)
    calls: Calls = calls_of(trace.released[there], trace.completed[there])
    return steady(calls, implied(calls, 4.0, delay), 4, course)


def test_answers_that_are_late_by_themselves_keep_no_server_busy() -> None:
    """The answers follow one another as the servers do: jitter of 2 ms leaves their time to 10 us,
    for it does not add up over some 300 services in a row.
    """
    found = seen(PLANT)
    assert found is not None
    assert found.time.value == pytest.approx(0.1, abs=1e-5)
    assert found.time.low <= 0.1 <= found.time.high
    assert found.delay.value == pytest.approx(0.002, rel=0.15)
    assert float(found.late.std()) == pytest.approx(0.002, rel=0.15)  # as exponential ones have
    assert found.cv.value == 0.0 < found.cv.high < 0.01


def test_servers_that_are_late_hold_up_all_behind_them() -> None:
    assert seen(PLANT._replace(service=Gamma(0.1, 0.02), network=None)) is None
    assert seen(PLANT._replace(service=Gamma(0.1, 0.3), network=None)) is None


def test_few_calls_that_waited_do_not_tell() -> None:
    assert seen(PLANT._replace(target=35.0)) is None
    assert seen(PLANT._replace(duration=2.0)) is None


def test_a_change_stays_where_answers_alone_do_not_explain_it() -> None:
    slower = PLANT._replace(disturbances=(Step(10.03, math.inf, 1.5),))
    found = seen(slower, Course((10.03,), (1.0, 1.5)))
    assert found is not None
    assert found.course.factors == (1.0, 1.5)
    assert found.time.value == pytest.approx(0.1, abs=2e-4)
    none = seen(PLANT, Course((10.0,), (1.0, 1.004)))
    assert none is not None
    assert none.course == FLAT


def as_recording(plant: Scenario, law: Any) -> tpssim.Recording:
    trace = tpssim.simulate(plant, law, seed=4)
    return tpssim.Recording.of(trace.released, trace.completed, trace.outcome)


def test_a_law_that_watches_gaps_is_foretold_as_it_is() -> None:
    """The fitted service has even gaps that last, as the recorded one does."""
    found = tpssim.fit(as_recording(PLANT, "aimd"), holdout=0.0)
    assert found.kind == "constant"
    assert found.line() == "overlapping: 4 servers, constant of mean 0.1 s and cv 0"
    assert found.estimates["network.mean"].value == pytest.approx(0.002, rel=0.15)
    for twin in found.draws(6):  # all with as many answers a second, and as long on the whole
        rate = twin.backend.servers / twin.service.mean
        assert rate == pytest.approx(40.0, rel=1e-3)
        if twin.backend.servers < 4.0 and twin.network is not None:
            assert twin.service.mean + twin.network.mean == pytest.approx(0.102, abs=1e-3)
    twin = found.scenario._replace(target=52.0, duration=30.0)
    commonest = []
    for one in (PLANT, twin):  # in one run of ten or so another one
        words = [judge(tpssim.simulate(one, "headroom", replication=k)).word for k in range(12)]
        commonest.append(max(sorted(set(words)), key=words.count))
    assert commonest[0] == commonest[1]


def test_times_that_scatter_in_a_slow_phase_are_no_late_answers() -> None:
    """Calls of 0.364 s, ten times as long for the first 25 of 60 s, of CV 0.18 in both phases: in
    seconds they scatter far less in the quick one, and so does how late they are."""
    slow = Scenario(
        "slow first",
        tpssim.Lognormal(0.364, 0.18),
        tpssim.Stages("42s:46,18s:9", start=9.0),
        60.0,
        Async(0.0, "completion"),
        (Step(0.0, 25.0, 10.0),),
        backend=Backend(servers=12.0, places=134.0),
    )
    found = tpssim.fit(as_recording(slow, "fixed"), holdout=0.0)
    assert found.kind in ("lognormal", "gamma")
    assert found.estimates["service.cv"].value == pytest.approx(0.18, rel=0.1)
    assert found.estimates["backend.servers"].value == 12.0
    assert found.estimates["service.mean"].low < 3.64 < found.estimates["service.mean"].high
