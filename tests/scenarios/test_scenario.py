"""Scenarios and recordings: what they say, what they refuse."""

from __future__ import annotations

import gzip
import math
import re
from pathlib import Path
from typing import Any

import pytest

from tpssim.core.errors import InputError
from tpssim.core.schedule import Late
from tpssim.scenarios.builtin import SCENARIOS, trace_scenario
from tpssim.scenarios.capacity import achievable, capacity, mean_service, phases
from tpssim.scenarios.disturbances import Sine, Step, Swap
from tpssim.scenarios.plant import Async, Backend, Blocking, Pool
from tpssim.scenarios.recordings import SQLITE_COMMITS, overlapping, read_service_times
from tpssim.scenarios.retries import Retry
from tpssim.scenarios.scenario import Producer, Scenario, checked_scenario, with_parameters
from tpssim.scenarios.service_times import Constant, Lognormal

PLAIN = Scenario("s", Constant(0.25), 8.0, 10.0)


def test_the_promised_scenarios_are_there() -> None:
    promised = {"fast-async", "blocking-steady", "degrade-recover", "spikes", "heavy-tail", "drift"}
    assert promised <= SCENARIOS.keys()
    assert all(name == scenario.name and scenario.summary for name, scenario in SCENARIOS.items())


def test_degrade_recover_is_the_one_of_the_article() -> None:
    scenario = SCENARIOS["degrade-recover"]
    assert (scenario.target, scenario.duration) == (200.0, 60.0)
    assert phases(scenario) == [(0.0, 10.0), (10.0, 30.0), (30.0, 60.0)]
    assert [capacity(scenario, t) for t in (0.0, 10.0, 29.9, 30.0)] == [2000.0, 50.0, 50.0, 2000.0]
    assert [achievable(scenario, t) for t in (0.0, 10.0, 30.0)] == [200.0, 50.0, 200.0]


def test_capacity_under_disturbances_by_hand() -> None:
    plant = PLAIN._replace(disturbances=(Step(2.0, 6.0, 2.0), Swap(4.0, 8.0, Constant(0.125))))
    assert [mean_service(plant, t) for t in (0.0, 2.0, 4.0, 6.0, 8.0)] == [
        0.25,
        0.5,
        0.25,
        0.125,
        0.25,
    ]
    assert phases(plant) == [(0.0, 2.0), (2.0, 4.0), (4.0, 6.0), (6.0, 8.0), (8.0, 10.0)]
    assert capacity(plant._replace(consumer=Async(0.125)), 4.0) == 8.0
    assert capacity(plant._replace(consumer=Async(0.0)), 4.0) == math.inf


def test_parameters_reach_scenario_service_consumer_and_timer() -> None:
    changed = with_parameters(
        SCENARIOS["fast-async"],
        {
            "target": 10,
            "mean": 0.5,
            "cv": 1,
            "handoff": 0.001,
            "median": 1e-4,
            "spin_threshold": 0.0,
        },
    )
    assert (changed.target, changed.service) == (10.0, Lognormal(0.5, 1.0))
    assert changed.consumer == Async(0.001)
    assert changed.timer.median == 1e-4
    assert changed.spin_threshold == 0.0


@pytest.mark.parametrize(
    ("scenario", "message"),
    [
        (PLAIN._replace(target=-1.0), r"target=-1 is out of range; allowed: \(0, 1e\+06\] 1/s"),
        (PLAIN._replace(target=math.nan), "target=nan is out of range"),
        (PLAIN._replace(duration=0.0), "duration=0 is out of range"),
        (PLAIN._replace(name=""), "scenario: name=''; allowed: a text that"),
        (PLAIN._replace(name="../x"), r"scenario: name='\.\./x'; allowed: a text that"),
        (PLAIN._replace(service=Constant(-1.0)), "mean=-1 is out of range"),
        (PLAIN._replace(consumer=Async(-1.0)), "handoff=-1 is out of range"),
        (
            PLAIN._replace(consumer=Async(0.0, "telepathy")),
            "feedback='telepathy'; allowed: handoff, completion",
        ),
        (
            PLAIN._replace(disturbances=(Step(3.0, 3.0, 2.0),)),
            "a step from 3 to 3 s; allowed: 0 <= start",
        ),
        (
            PLAIN._replace(disturbances=(Step(10.0, 12.0, 2.0),)),
            "a step at 10 s, after the end of the run",
        ),
        (PLAIN._replace(disturbances=(Step(1.0, 2.0, 0.0),)), "factor=0 is out of range"),
        (PLAIN._replace(disturbances=(Swap(1.0, 2.0, Constant(0.0)),)), "mean=0 is out of range"),
        (
            PLAIN._replace(disturbances=(Sine(1.0, 2.0, 1.0, 1.0),)),
            r"amplitude=1 is out of range; allowed: \[0, 1\)",
        ),
        (PLAIN._replace(consumer=Pool(0.0)), r"workers=0 is out of range; allowed: \[1, "),
        (PLAIN._replace(consumer=Pool(1.5)), "workers=1.5 is no whole number; allowed: 1, 2, 3"),
        (PLAIN._replace(consumer=Pool(2.0, -1.0)), "queue=-1 is out of range"),
        (
            PLAIN._replace(backend=Backend(limit=5.0)),
            "limit=5 on one blocking producer, which never has more than one call in flight; "
            "allowed: an async consumer, a pool or several producers",
        ),
        (PLAIN._replace(backend=Backend(servers=2.5)), "servers=2.5 is no whole number"),
        (PLAIN._replace(backend=Backend(failure=1.0)), "failure=1: nothing would ever succeed"),
        (
            PLAIN._replace(backend=Backend(rate=5.0, silent=1.0)),
            "would wait for ever; allowed: a timeout",
        ),
        (PLAIN._replace(timeout=0.0), "timeout=0 is out of range"),
        (PLAIN._replace(retry=Retry(-1.0)), "attempts=-1 is out of range"),
        (PLAIN._replace(producers=()), "no producer; allowed: at least one"),
        (
            PLAIN._replace(producers=(Producer(2.0, 1.0),)),
            "a producer from 2 to 1 s in a run of 10 s",
        ),
        (
            PLAIN._replace(producers=(Producer(10.0),)),
            "a producer from 10 to inf s in a run of 10 s",
        ),
        (PLAIN._replace(late=Late(-1.0)), "keep=-1 is out of range"),
        (PLAIN._replace(grid=1.0), "grid=1 is out of range"),
        (PLAIN._replace(poisson=0.5), r"poisson=0.5 is out of range; allowed: \[0, 1\] 0 or 1"),
        (
            PLAIN._replace(service=0.03),  # type: ignore[arg-type]
            "0.03 is not a record of numbers; allowed: such as Constant",
        ),
        (
            PLAIN._replace(consumer="pool"),  # type: ignore[arg-type]
            r"consumer='pool'; allowed: Blocking\(\), ",
        ),
        (
            PLAIN._replace(consumer=Pool),  # type: ignore[arg-type]
            "consumer=<class .*Pool'>; allowed: Blocking",
        ),
        (
            PLAIN._replace(disturbances=Step(1.0, 2.0, 3.0)),  # type: ignore[arg-type]
            "allowed: a tuple of disturbances",
        ),
    ],
)
def test_impossible_scenarios_are_refused_in_one_line(scenario: Scenario, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        checked_scenario(scenario)
    assert "\n" not in str(error.value)


def test_an_unknown_parameter_names_the_known_ones() -> None:
    with pytest.raises(
        InputError,
        match=r"no parameter 'color'; allowed: target, duration, .*mean, servers, places",
    ):
        with_parameters(PLAIN, {"color": 1.0})


def test_a_part_can_be_named() -> None:
    scenario = PLAIN._replace(consumer=Async(0.0))
    changed = with_parameters(
        scenario, {"backend.rate": 5.0, "servers": 2.0, "retry.base": 0.5, "timeout": 1.0}
    )
    assert changed.backend == Backend(servers=2.0, rate=5.0)
    assert changed.retry == Retry(base=0.5)
    assert changed.timeout == 1.0
    with pytest.raises(InputError, match=r"no parameter 'timer\.rate'"):
        with_parameters(scenario, {"timer.rate": 5.0})


def test_a_plain_scenario_is_blocking_on_the_ideal_timer() -> None:
    assert isinstance(PLAIN.consumer, Blocking)


def write(folder: Path, text: str) -> Path:
    path = folder / "calls.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "options", "times"),
    [
        ("service_s\n0.5\n1.5\n", {}, (0.5, 1.5)),
        ("anything\n1\n2\n", {"unit": "ms"}, (0.001, 0.002)),
        ("id,latency_ms\na,2\nb,4\n", {}, (0.002, 0.004)),
        ("id,t\na,2\nb,4\n", {"column": "t", "unit": "us"}, (2e-6, 4e-6)),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\r\nx,1,10\r\ny,2,8", {}, (0.01, 0.008)),
        ("\ufeffservice_s\n1\n\n2\n", {}, (1.0, 2.0)),
    ],
)
def test_service_times_are_read_from_csv(
    tmp_path: Path, text: str, options: dict[str, Any], times: tuple[float, ...]
) -> None:
    assert read_service_times(write(tmp_path, text), **options) == pytest.approx(times)


def test_a_gzipped_csv_is_read(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv.gz"
    path.write_bytes(gzip.compress(b"service_s\n0.25\n"))
    assert read_service_times(path) == (0.25,)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "is empty"),
        ("service_s\n", {}, "has no rows"),
        ("service_s\nfast\n", {}, "row 2: service_s='fast'; allowed: a finite number >= 0"),
        ("service_s\n1\ninf\n", {}, "row 3: service_s='inf'"),
        ("service_s\n-1\n", {}, "row 2: service_s='-1'"),
        ("service_s\n0\n", {}, "every service_s is 0"),
        ("a,b\n1,2\n", {}, "Name it; allowed: a, b"),
        ("a,b\n1,2\n", {"column": "c"}, "has no column 'c'; allowed: a, b"),
        ("a,b\n1,2\n3,4,5\n", {"column": "b"}, "row 3: 3 cells under 2 names"),
        ("service_s\n1\n", {"unit": "h"}, "unit 'h' is not known; allowed: s, ms, us"),
    ],
)
def test_unusable_recordings_are_refused_in_one_line(
    tmp_path: Path, text: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as error:
        read_service_times(write(tmp_path, text), **options)
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_service_times(tmp_path / "nothing.csv")
    binary = tmp_path / "noise.csv"
    binary.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\xff")
    with pytest.raises(InputError, match="is binary; allowed: text, or Parquet"):
        read_service_times(binary)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("released,completed,latency\n0,1,1\n1,2,1\n2,3,1\n", 0.0),
        # In any order: the second and the third begin while the first still runs, the fourth after
        # all.
        ("released,completed,latency\n2,3,1\n0,9,9\n1,2,1\n9,10,1\n", 0.5),
        (
            "released,completed,latency\n0,5,5\n1,nan,1\n2,3,1\n",
            0.5,
        ),  # a call without an end is none
        ("released,completed,service_s\n0,9,0.1\n1,9,0.1\n", math.nan),
        ("latency\n0.1\n", math.nan),
    ],
)
def test_the_share_of_calls_that_overlap(text: str, share: float, tmp_path: Path) -> None:
    assert overlapping(write(tmp_path, text)) == pytest.approx(share, nan_ok=True)


def test_a_trace_scenario_wants_twice_what_the_recording_sustains(tmp_path: Path) -> None:
    scenario = trace_scenario(write(tmp_path, "service_s\n0.02\n0.06\n"))
    assert (scenario.target, scenario.duration) == (50.0, 240.0)  # mean 0.04 s: 25/s, 6,000 calls
    assert trace_scenario(write(tmp_path, "service_s\n0.02\n"), target=7.0).target == 7.0


def test_the_shipped_recording_is_slow_noisy_and_documented() -> None:
    times = read_service_times(SQLITE_COMMITS)
    assert len(times) == 4000
    # The figures of recordings/README.md, which were computed when it was recorded.
    assert sum(times) / 4000 == pytest.approx(1.305e-3, abs=1e-6)
    assert max(times) == pytest.approx(22.19e-3, abs=1e-5)
    assert SCENARIOS["sqlite-commits"].service.mean == pytest.approx(1.305e-3, abs=1e-6)


@pytest.mark.parametrize("shared_trace", ["azure_llm_code_2023.csv"], indirect=True)
def test_the_azure_recording_counts_a_token_as_a_millisecond(shared_trace: Path) -> None:
    times = read_service_times(shared_trace)
    assert len(times) == 8819
    # Published: 245,896 generated tokens in all.
    assert sum(times) == pytest.approx(245.896)
    assert trace_scenario(shared_trace).target == 72.0  # 2 x 8819 / 245.896 = 71.7, in two digits


@pytest.mark.parametrize("shared_trace", ["ycsb_read_latency.csv.gz"], indirect=True)
def test_the_ycsb_recording_is_read(shared_trace: Path) -> None:
    times = read_service_times(shared_trace, column="latency_s")
    assert len(times) == 97_266
    assert (min(times), max(times)) == (215e-6, 1.545216)
