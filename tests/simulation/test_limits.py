"""Numbers beyond what a float or the memory holds: one line that says what is allowed, before any
work.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tpssim
from tpssim.cli.main import main
from tpssim.core.errors import InputError
from tpssim.core.validation import MOST_CALLS, checked
from tpssim.experiments.replay import consumer_of
from tpssim.experiments.sweep import designs
from tpssim.live.demo_queue import VirtualQueue
from tpssim.live.events import events
from tpssim.scenarios.builtin import trace_scenario
from tpssim.scenarios.capacity import check_calls
from tpssim.scenarios.plant import Async
from tpssim.scenarios.recordings import read_service_times
from tpssim.scenarios.scenario import Producer, Scenario, checked_scenario
from tpssim.scenarios.service_times import Constant, Recorded
from tpssim.simulation.hosting import runner
from tpssim.simulation.resolve import scenario_named

HEADER = {"e": "header", "format": 1, "controller": "fixed", "parameters": {}, "late": "burst"}
HEADER |= {"seed": 0, "began": "2026-01-01"}


def one_line(capsys: pytest.CaptureFixture[str], argv: list[str]) -> str:
    assert main(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    return captured.err


@pytest.mark.parametrize(
    ("values", "unit", "message"),
    [
        (
            ["1e308"] * 30,
            "s",
            "row 2: latency='1e308'; allowed: a finite number >= 0, at most 1e+06 s",
        ),
        (["0.1", "1000000.1"], "s", "row 3: latency='1000000.1'; allowed: a finite number"),
        (["1e13"], "us", "row 2: latency='1e13'; allowed: a finite number >= 0, at most 1e+12 us"),
        (["5e-324"] * 30, "s", "a mean service time of"),  # whose mean rate overflows
        (["5e-324", "0", "0"], "ms", "every latency is 0"),  # and a mean that underflows
        (["1e-13"], "s", "a mean service time of 1e-13 s; allowed: at least 1e-12 s"),
    ],
)
@pytest.mark.parametrize(
    "verb", [["compare"], ["tune", "aimd"], ["simulate", "aimd"], ["analyse", "aimd"]]
)
def test_a_recording_of_absurd_times_is_refused_in_one_line(
    verb: list[str],
    values: list[str],
    unit: str,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("calls.csv").write_text("\n".join(["latency", *values, ""]), encoding="utf-8")
    assert message in one_line(capsys, [*verb, "--trace", "calls.csv", "--unit", unit])
    assert [path.name for path in tmp_path.iterdir()] == ["calls.csv"]


def test_the_longest_times_that_are_allowed_can_be_summed(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_text("latency\n" + "1e6\n" * 30, encoding="utf-8")
    assert Recorded(read_service_times(path), "x").mean == 1e6


def test_of_calls_of_a_nanosecond_the_highest_rate_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_text("latency\n" + "1e-9\n" * 30, encoding="utf-8")
    assert trace_scenario(path).target == 1e6


@pytest.mark.parametrize(
    ("recording", "message"),
    [
        ((0.1, 1e308), "recording[1]=1e+308; allowed: service times from 0 to 1e+06 s"),
        ((0.1, math.inf), "recording[1]=inf; allowed"),
        ((math.nan,), "recording[0]=nan; allowed"),
        ((0.1, -1e-9), "recording[1]=-1e-09; allowed"),
        ((0.1, "0.1"), "recording[1]='0.1'; allowed"),
        ((), "0 service times in a recording; allowed: 1 to 20,000,000"),
        ((0.0, 0.0), "a mean service time of 0 s; allowed"),
        ([0.1, 0.2], "recording=list; allowed: a tuple of numbers"),
        (((0.1,), [0.2]), "recording=tuple; allowed: a tuple of numbers"),
        (
            (0.1,) * (MOST_CALLS + 1),
            "20,000,001 service times in a recording; allowed: 1 to 20,000,000",
        ),
    ],
)
def test_a_recording_made_in_python_obeys_the_same_rules(recording: Any, message: str) -> None:
    scenario = Scenario("mine", Recorded(recording, "here"), 10.0, 10.0)
    with pytest.raises(InputError) as error:
        tpssim.simulate(scenario, "fixed")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_whole_numbers_beyond_a_float_are_out_of_range() -> None:
    for number in (10**400, -(10**400)):
        with pytest.raises(InputError, match="out of range"):
            checked(Constant(number), "mine")
        with pytest.raises(InputError, match="out of range"):
            tpssim.simulate("stall", tpssim.CONTROLLERS["aimd"](inc_step=number))


def recording(folder: Path, *lines: Any) -> Path:
    path = folder / "r.ndjson"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in (HEADER, *lines)]
    path.write_text("\n".join([*texts, ""]), encoding="utf-8", errors="surrogateescape")
    return path


START = {"e": "start", "t": 0.0, "tps": 10.0, "calls": "blocking", "rate": 10.0}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([START | {"t": 10**400}], "line 2: t=1000000"),
        ([START | {"t": 1e308}], "line 2: t=1e+308; allowed: a number of seconds from 0 to 1e+12"),
        (
            [START, {"e": "release", "t": 0.1, "call": 0, "due": 1e300, "rate": 1.0}],
            "line 3: due=1e+300",
        ),
        ([START | {"tps": 10**400}], "tps"),
        (
            ['{"e": "start", "t": Infinity, "tps": 1, "calls": "x", "rate": 1}'],
            "is no line of a recording",
        ),
        ([START, "[" * 100_000], "is no line of a recording"),
        ([START, '{"e": "\udcff'], "is no line of a recording"),
        ([START | {"t": True}], "line 2: t=True; allowed: a number"),
    ],
)
def test_a_live_recording_of_absurd_numbers_is_refused_in_one_line(
    lines: list[Any], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = recording(tmp_path, *lines)
    assert message in one_line(capsys, ["replay", str(path), "--out", str(tmp_path / "r")])


@pytest.mark.parametrize("calls", ["pool(1e18)", "pool(0)", "pool(x)", "pool(nan)"])
def test_a_pool_of_no_size_is_refused(calls: str) -> None:
    with pytest.raises(InputError, match=r"calls='pool\(.*; allowed: such as pool\(8\)"):
        consumer_of(calls)


def test_what_a_live_run_writes_is_within_these_limits(tmp_path: Path) -> None:
    path = tmp_path / "r.ndjson"
    tpssim.run(abs, range(20), 1e6, workers=2, record=path, controller="aimd")
    assert sum(1 for _ in events(path)) > 40


TOO_MANY = [
    (
        ["simulate", "drift:duration=1e6,target=1e6", "fixed"],
        "1,000,000,000,000 calls in a run of 1e+06 s",
    ),
    (
        ["simulate", "drift:duration=1e6,target=1e6", "printed-spin"],
        "1,000,000,000,000 calls in a run",
    ),
    (
        ["simulate", "join-leave:duration=1e6,target=1e6", "fixed"],
        "calls in a run of 1e+06 s of join-leave",
    ),
    (
        ["compare", "--scenarios", "drift:duration=1e6,target=1e6"],
        "allowed: at most 20,000,000, at 0.1 to",
    ),
    (
        ["compare", "--replications", "1000000000"],
        "runs of a comparison; allowed: at most 1,000,000, at 5 kB",
    ),
    (
        ["compare", "--league", "--replications", "1000000000"],
        "runs of a comparison; allowed: at most",
    ),
    (
        ["compare", "--traces", "all", "--replications", "1000"],
        "calls in traces that are kept; allowed: at most 100,000,000, at 60 bytes of memory each",
    ),
    (["compare", "--workers", "1000000"], "workers=1000000; allowed: a whole number >= 1 and <= "),
    (
        ["sweep", "--grid", "alpha=0.01:0.9:10000", "deadzone=1.01:3:10000"],
        "100,000,000 points of a sweep;",
    ),
    (
        ["sweep", "--grid", "alpha=0.01:0.9:1000000000"],
        "1,000,000,000 points of a sweep; allowed: at most 100,",
    ),
    (
        ["sweep", "--grid", "alpha=0.1:0.9", "--design", "sobol", "--points", "100000000"],
        "100,000,000 points of a sweep",
    ),
    (
        ["sweep", "--grid", "alpha=0.1,0.2", "--replications", "1000000000"],
        "2,000,000,000 runs of a sweep; allowed: at most 10,000,000, at 0.5 kB of memory each",
    ),
    (["tune", "aimd", "--budget", "1000000000"], "budget=1000000000; allowed: a whole number >= "),
    (
        ["tune", "aimd", "--replications", "1000000000"],
        "runs of a search; allowed: at most 10,000,000",
    ),
    (
        ["analyse", "aimd", "--replications", "1000000000"],
        "replications=1000000000; allowed: a whole number",
    ),
    (
        ["calibrate", "--sleeps", "1000000000"],
        "sleeps=1000000000; allowed: a whole number >= 20 and <= 100,000",
    ),
    (
        ["serve", "--servers", "10000000000"],
        "servers=10000000000; allowed: a whole number >= 1 and <= 10,000",
    ),
    (
        ["live", "--call", "os:getpid", "--tps", "1", "--workers", "1000000", "--quiet"],
        "workers=1000000; allowed",
    ),
]


@pytest.mark.parametrize(("argv", "message"), TOO_MANY, ids=lambda value: " ".join(value)[:50])
def test_what_would_fill_the_memory_is_refused_before_anything_runs(
    argv: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)

    def nothing(*_: Any, **__: Any) -> None:
        pytest.fail("something ran")

    for run in (
        "experiments._pair_runs.run_once",
        "simulation.run.run_once",
        "experiments.sweep.scheduler.run_pieces",
        "experiments._pair_runs.measured_runs",
    ):
        monkeypatch.setattr(f"tpssim.{run}", nothing)
    assert message in one_line(capsys, argv)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


MANY = "drift:duration=1e6,target=1e6"


@pytest.mark.parametrize(
    "ask",
    [
        lambda: tpssim.simulate(MANY, "fixed", engine="simpy"),
        lambda: tpssim.simulate(MANY, "fixed", engine="compiled"),
        lambda: runner.simulate(scenario_named(MANY), lambda guest: None, 0, 0, {}),
        lambda: tpssim.compare(MANY, "fixed"),
        lambda: tpssim.sweep(MANY, "aimd", {"dec_rate": [0.5]}, points=None, replications=10**9),
        lambda: tpssim.sweep("stall", "aimd", {"dec_rate": [0.5, 0.9]}, design="lhs", points=10**9),
        lambda: tpssim.tune("stall", "aimd", budget=10**9),
        lambda: tpssim.tune(MANY, "aimd", parameters=["dec_rate"], budget=24),
        lambda: tpssim.sensitivity("stall", "aimd", base=1 << 30),
        lambda: tpssim.compare("stall", "fixed", workers=10**6),
        lambda: tpssim.run(abs, [1], 1.0, workers=10**6),
        lambda: VirtualQueue(1.0, servers=10**10),
    ],
)
def test_the_same_from_python(ask: Callable[[], Any]) -> None:
    with pytest.raises(InputError, match="allowed: ") as error:
        ask()
    assert "\n" not in str(error.value)


def test_a_grid_of_many_values_is_looked_through_once() -> None:
    scenario, law = scenario_named("stall"), tpssim.CONTROLLERS["ewma-deadzone"]()
    values = [0.1 + i * 1e-6 for i in range(100_000)]  # pair by pair that would take hours
    (factor,) = designs.factors(scenario, law, {"alpha": values})
    assert len(factor.values) == 100_000
    with pytest.raises(InputError, match=r"alpha=0\.1 is given twice"):
        designs.factors(scenario, law, {"alpha": [*values[2:], 0.1, 0.1]})

    def endless() -> Any:
        value = 0.1
        while True:
            value = math.nextafter(value, 1.0)
            yield value

    with pytest.raises(InputError, match="100,001 points of a sweep"):
        designs.factors(scenario, law, {"alpha": endless()})


def test_calls_are_counted_by_what_can_be_made_and_while_producers_are_there() -> None:
    blocking = scenario_named("blocking-steady:duration=1e6,target=1000,mean=0.1")
    check_calls(blocking)  # a thousand million are wanted, ten million can be made
    alone = Scenario("s", Constant(0.001), 1000.0, 20_000.0, consumer=Async())
    check_calls(checked_scenario(alone))  # 20,000,000
    several = alone._replace(producers=(Producer(), Producer(19_000.0)))
    with pytest.raises(
        InputError, match="21,000,000 calls in a run of 20000 s of s; allowed: at most 20,000"
    ):
        check_calls(several)


def test_a_printed_throttle_is_given_as_many_items_as_the_run_has_slots() -> None:
    """It stopped after the first 65,538, without a word; 500 a second for 140 s are 70,000."""
    scenario = scenario_named("fast-async:duration=140")
    released = len(tpssim.simulate(scenario, "printed-schedule").released)
    assert released in (70_000, 70_001)  # the last may be due a rounding before the end
    assert released == len(tpssim.simulate(scenario, "fixed").released)
