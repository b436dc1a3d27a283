"""sweep: what it computes, what it keeps, and that only the points and the seed decide the
numbers.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pytest
from helpers import ROOT
from helpers.laws import Actuators

from tpssim import InputError, Observation, judge, measure, simulate, sweep
from tpssim.cli.main import main
from tpssim.controllers import CONTROLLERS
from tpssim.core.errors import Aborted
from tpssim.core.profiles import Stages
from tpssim.core.statistics import estimate
from tpssim.core.validation import Range, ranges
from tpssim.experiments.sweep import designs
from tpssim.experiments.sweep.rows import Row
from tpssim.experiments.sweep.store import Store
from tpssim.experiments.sweep.sweep_result import SweepResult
from tpssim.metrics.measure import METRICS
from tpssim.scenarios.builtin import SCENARIOS
from tpssim.scenarios.scenario import Scenario, parameter_range, parts_of

SHORT = "blocking-steady:duration=5"
GRID = {"alpha": [0.1, 0.3, 0.5], "deadzone": [1.05, 1.2]}


def csv_of(result: SweepResult, folder: Path) -> bytes:
    path = folder / "points.csv"
    result.to_csv(path)
    return path.read_bytes()


def test_every_point_is_what_its_runs_are() -> None:
    result = sweep(
        SHORT, "ewma-deadzone", {"alpha": [0.1, 0.5], "cv": [0.2, 1.0]}, replications=3, seed=4
    )
    assert [row.point for row in result.rows] == [(0.1, 0.2), (0.1, 1.0), (0.5, 0.2), (0.5, 1.0)]
    for number, row in enumerate(result.rows):
        scenario = f"{SHORT},cv={row.point[1]}"
        law = f"ewma-deadzone:alpha={row.point[0]}"
        traces = [simulate(scenario, law, seed=4, replication=k) for k in range(3)]
        for name in METRICS:
            ours, theirs = row.estimate(name), estimate([measure(trace)[name] for trace in traces])
            assert ours._replace(mean=0.0, low=0.0, high=0.0) == theirs._replace(
                mean=0.0, low=0.0, high=0.0
            )
            for a, b in zip(ours[:3], theirs[:3], strict=True):
                assert (a is None and b is None) or a == pytest.approx(b, rel=1e-12, nan_ok=True)
        assert row.calls == sum(len(trace.released) for trace in traces)
        assert sum(row.words.values()) == 3
        assert all(judge(trace).word in row.words for trace in traces)
        assert np.array_equal(result.trace(number, 2).released, traces[2].released)


def parameters() -> Iterator[tuple[Scenario, Any, str, float]]:
    """Every parameter of every law and scenario with its value, under the names that a grid may
    give it.
    """
    arena, plain = SCENARIOS["blocking-steady"], CONTROLLERS["aimd"]()
    for cls in CONTROLLERS.values():
        for name in ranges(law := cls()):
            yield arena, law, f"controller.{name}", getattr(law, name)
            if parameter_range(arena, name) is None:
                yield arena, law, name, getattr(law, name)
    for scenario in SCENARIOS.values():
        for record in (scenario, *parts_of(scenario).values()):
            for name in ranges(record):
                if not isinstance(value := getattr(record, name), Stages):  # no number to sweep
                    yield scenario, plain, name, value


def test_no_factor_has_the_name_of_another_column() -> None:
    alone = SweepResult(SCENARIOS["drift"], "aimd", None, (), [Row.failed(())], [], 1, 0, "common")
    (columns,) = alone.records()
    assert columns.keys() <= designs.COLUMNS
    tried = set()
    for scenario, law, name, value in parameters():
        (factor,) = designs.factors(scenario, law, {name: [value]})
        assert factor.name not in columns
        tried.add(name)
    assert {"share", "controller.share", "failure", "period", "alpha"} <= tried


def test_the_table_has_every_factor_as_it_was_swept(tmp_path: Path) -> None:
    """`share` is headroom's, `failure` the backend's, and `period`, which pie has, is a measure
    too.
    """
    result = sweep(SHORT, "headroom", {"share": [0.5, 0.9], "failure": [0.0, 0.1]}, replications=1)
    rows = list(result.records())
    assert [row["share"] for row in rows] == [0.5, 0.5, 0.9, 0.9]
    assert [row["scenario.failure"] for row in rows] == [0.0, 0.1, 0.0, 0.1]
    assert [row["failure"] for row in rows] == [""] * 4
    assert {row["verdict_share"] for row in rows} == {1.0}
    header = csv_of(result, tmp_path).decode().partition("\n")[0].split(",")
    assert len(header) == len(set(header)) == len(rows[0])
    (row,) = sweep(SHORT, "pie", {"period": [0.02]}, replications=1).records()
    assert row["controller.period"] == 0.02
    assert row["period"] is None


def test_common_seeds_share_their_noise_and_independent_ones_do_not() -> None:
    grid = {"min_rate": [1.0, 1.5]}  # never reached: both points are the same run
    common = sweep(SHORT, "aimd", grid, replications=4)
    apart = sweep(SHORT, "aimd", grid, replications=4, seed_set="independent")
    index = list(METRICS).index("throughput")
    assert common.rows[0].mean[index] == common.rows[1].mean[index]
    assert apart.rows[0].mean[index] != apart.rows[1].mean[index]
    assert np.array_equal(apart.trace(1).released, apart.trace(1).released)
    assert not np.array_equal(apart.trace(0).released, apart.trace(1).released)


class Fragile(NamedTuple):
    """A law that cannot live with one of its parameters, and one that may not be combined."""

    step: Annotated[float, Range(0.0, 10.0)] = 1.0
    ceiling: Annotated[float, Range(0.0, 10.0)] = 10.0

    def conflict(self) -> str:
        return f"step={self.step:g} above {self.ceiling:g}" if self.step > self.ceiling else ""

    def init(self, target: float) -> Actuators:
        if self.step == 3.0:
            raise ZeroDivisionError("three is too much")
        return Actuators(target / (1.0 + self.step), math.inf, 0.0)

    def update(self, state: Actuators, obs: Observation) -> Actuators:
        return state


@pytest.mark.usefixtures("uncompiled")
def test_a_point_that_fails_is_recorded_and_the_others_go_on(tmp_path: Path) -> None:
    store = tmp_path / "kept.sqlite"
    grid = {"step": [1.0, 2.0, 3.0], "ceiling": [1.0, 10.0]}
    result = sweep("fast-async:duration=5", Fragile, grid, replications=2, store=store)
    assert [row.words for row in result.rows] == [
        {"stuck": 2}, {"stuck": 2}, {}, {"stuck": 2}, {}, {},
    ]  # fmt: skip
    assert [(f.point, f.type) for f in result.failures] == [
        ((2.0, 1.0), "InputError"), ((3.0, 1.0), "InputError"), ((3.0, 10.0), "ZeroDivisionError"),
    ]  # fmt: skip
    assert "three is too much" in result.failures[2].traceback
    assert "failed 3" in result.summary()
    assert list(result.records())[5]["failure"] == "ZeroDivisionError: three is too much"
    assert list(result.records())[5]["achieved"] is None
    with sqlite3.connect(store) as file:
        assert file.execute("SELECT count(*) FROM failure").fetchone() == (3,)
    file.close()


def test_the_table_does_not_depend_on_who_ran_it(tmp_path: Path) -> None:
    here = csv_of(sweep(SHORT, "ewma-deadzone", GRID, replications=4), tmp_path)
    with ThreadPoolExecutor(3) as threads:
        assert (
            csv_of(sweep(SHORT, "ewma-deadzone", GRID, replications=4, executor=threads), tmp_path)
            == here
        )
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        assert (
            csv_of(
                sweep(SHORT, "ewma-deadzone", GRID, replications=4, executor=processes), tmp_path
            )
            == here
        )


def test_what_is_in_the_store_is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tpssim.experiments.sweep import batch_runs, scheduler

    path = tmp_path / "kept.sqlite"
    asked: list[tuple[int, ...]] = []
    really = batch_runs.reduced

    def counting(scenario: Any, law: Any, seed: int, replications: tuple[int, ...]) -> Any:
        asked.append(tuple(replications))
        return really(scenario, law, seed, replications)

    monkeypatch.setattr(scheduler, "reduced", counting)
    first = sweep(SHORT, "aimd", {"dec_rate": [0.5, 0.7]}, replications=2, store=path)
    assert asked == [(0, 1), (0, 1)]
    again = sweep(SHORT, "aimd", {"dec_rate": [0.5, 0.7]}, replications=2, store=path)
    assert len(asked) == 2
    assert csv_of(again, tmp_path) == csv_of(first, tmp_path)
    # More replications and more points: only what is missing. Another seed, law or scenario:
    # everything.
    sweep(SHORT, "aimd", {"dec_rate": [0.5, 0.6]}, replications=3, store=path)
    assert asked[2:] == [(2,), (0, 1, 2)]
    for change in ({"seed": 1}, {"seed_set": "independent"}):
        sweep(SHORT, "aimd", {"dec_rate": [0.5]}, replications=2, store=path, **change)
    sweep(SHORT, "aimd:inc_step=2", {"dec_rate": [0.5]}, replications=2, store=path)
    sweep(f"{SHORT},mean=0.03", "aimd", {"dec_rate": [0.5]}, replications=2, store=path)
    assert asked[4:] == [(0, 1)] * 4


def test_a_full_disk_ends_the_sweep_and_keeps_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "kept.sqlite"
    grid = {"dec_rate": [0.3 + 0.01 * i for i in range(60)]}
    with Store(path) as store:
        store._file.execute("PRAGMA max_page_count = 12")
        with pytest.raises(
            Aborted, match="cannot be written: database or disk is full; what had arrived"
        ):
            sweep(SHORT, "aimd", grid, replications=5, store=store)
    with Store(path) as store:
        assert 0 < store._file.execute("SELECT count(*) FROM run").fetchone()[0] < 300
    whole = csv_of(sweep(SHORT, "aimd", grid, replications=5, store=path), tmp_path)
    assert whole == csv_of(sweep(SHORT, "aimd", grid, replications=5), tmp_path)


def law_with(factor: float) -> Any:
    """Classes of the same name whose code differs in one constant of a function that they call."""
    source = f"""
def scaled(target):
    return target * {factor}

class Mine(NamedTuple):
    share: Annotated[float, Range(0.0, 1.0)] = 1.0
    def init(self, target):
        return Actuators(self.share * scaled(target), math.inf, 0.0)
    def update(self, state, obs):
        return state
"""
    names: dict[str, Any] = {"NamedTuple": NamedTuple, "Annotated": Annotated, "Range": Range}
    names |= {"Actuators": Actuators, "math": math, "__name__": "mine"}
    exec(compile(source, "mine", "exec", dont_inherit=True), names)
    return names["Mine"]


@pytest.mark.usefixtures("uncompiled")
def test_an_edited_law_is_run_again(tmp_path: Path) -> None:
    path = tmp_path / "kept.sqlite"
    rates = [
        sweep(SHORT, law_with(factor), {"share": [0.1]}, replications=1, store=path).values(
            "throughput"
        )[0]
        for factor in (1.0, 1.0, 0.5)
    ]
    assert rates[0] == rates[1] == pytest.approx(2.0 * rates[2], rel=0.1)
    with Store(path) as store:
        assert store._file.execute("SELECT count(*) FROM run").fetchone() == (2,)


def test_a_store_has_one_writer(tmp_path: Path) -> None:
    path = tmp_path / "kept.sqlite"
    with (
        Store(path),
        pytest.raises(InputError, match=r"cannot be used: .*locked; allowed: a new file"),
    ):
        Store(path)
    (tmp_path / "text").write_text("this is no database, however long it may be " * 100)
    with pytest.raises(InputError, match="cannot be used: file is not a database"):
        Store(tmp_path / "text")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("printed-ewma", {"alpha": [0.1]}), "printed-ewma has no parameters to sweep"),
        (("aimd", {"dec_rate": [0.5]}, {"replications": 0}), "replications=0"),
        (
            ("aimd", "inc_step"),
            "grid='inc_step' does not say values by name; allowed: such as {'alpha'",
        ),
        (("aimd", {1: [0.5]}), "does not say values by name"),
        (("aimd", {"dec_rate": None}), "grid: dec_rate=None are no values; allowed: a number"),
        (
            ("aimd", {"dec_rate": [0.5]}, {"seed_set": "lucky"}),
            "no seed set 'lucky'; allowed: common, independent",
        ),
    ],
)
def test_bad_input_gets_one_line(arguments: Any, message: str) -> None:
    controller, grid, *options = arguments
    with pytest.raises(InputError, match=message):
        sweep(SHORT, controller, grid, **(options[0] if options else {}))


def test_a_law_that_cannot_travel_is_refused_early() -> None:
    class Local(Fragile):
        pass

    with (
        ProcessPoolExecutor(1) as pool,
        pytest.raises(InputError, match="Local cannot be sent to other processes"),
    ):
        sweep(SHORT, Local, {"step": [1.0]}, executor=pool)


def _dies(*_: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def test_dead_workers_end_the_sweep_with_a_word_on_what_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tpssim.experiments.sweep import scheduler

    monkeypatch.setattr(scheduler, "run_pieces", _dies)
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        pytest.raises(
            Aborted,
            match=(
                r"the workers failed \(BrokenProcessPool: .*\) with 6 runs still to do;"
                r" nothing"
            ),
        ),
    ):
        sweep(SHORT, "aimd", {"dec_rate": [0.5, 0.6]}, replications=3, executor=pool)


COMMAND = (
    "sweep",
    "--scenario",
    "blocking-steady:duration=400",
    "--grid",
    "alpha=0.05:0.5:24",
    "deadzone=1:2:10",
)


def test_a_sweep_that_is_killed_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 at some moment; the same command resumes, and its table is that of a sweep that ran
    through.
    """
    monkeypatch.chdir(tmp_path)
    words = [word.replace("=400", "=150") for word in COMMAND]
    words += ["--replications", "4", "--workers", "1"]
    assert main([*words, "--out", "whole"]) == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "tpssim", *words, "--out", "killed"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    kept = tmp_path / ".killed.sqlite"
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline and _runs_in(kept) < 100:
        time.sleep(0.02)
    process.kill()
    process.wait()
    arrived = _runs_in(kept)
    assert 100 <= arrived < 24 * 10 * 4
    assert not (tmp_path / "killed").exists()
    assert main([*words, "--out", "killed"]) == 0
    whole, killed = (tmp_path / name / "points.csv" for name in ("whole", "killed"))
    assert whole.read_bytes() == killed.read_bytes()
    summaries = [(tmp_path / name / "summary.json").read_bytes() for name in ("whole", "killed")]
    assert summaries[0] == summaries[1]
    assert not kept.exists()


def _runs_in(path: Path) -> int:
    """How many runs a store holds whose writer may be at work: its file is copied, with its
    journal.
    """
    if not path.exists():
        return 0
    copy = path.with_name("copy.sqlite")
    for end in ("", "-wal"):
        source = Path(f"{path}{end}")
        if source.exists():
            Path(f"{copy}{end}").write_bytes(source.read_bytes())
    try:
        with sqlite3.connect(copy) as file:
            (count,) = file.execute("SELECT count(*) FROM run").fetchone()
        file.close()
        return int(count)
    except sqlite3.Error:
        return 0
    finally:
        for end in ("", "-wal", "-shm"):
            Path(f"{copy}{end}").unlink(missing_ok=True)


def test_an_interrupt_says_what_is_kept(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [
        sys.executable,
        "-m",
        "tpssim",
        *COMMAND,
        "--replications",
        "200",
        "--workers",
        "2",
        "--out",
        "out",
    ]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline and _runs_in(tmp_path / ".out.sqlite") == 0:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.splitlines()[-1].endswith(".out.sqlite; the same command goes on from there")
    assert not (tmp_path / "out").exists()


def test_the_command_writes_table_maps_and_traces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    line = (
        f"sweep --scenario {SHORT} --grid alpha=0.1:0.5:3 deadzone=1.1,1.2 --replications 2"
        " --workers 1"
    )
    assert (
        main(
            [
                *line.split(),
                "--traces",
                "0",
                "5",
                "--heatmap",
                "verdict",
                "swing",
                "--plot",
                "swing:achieved",
            ]
        )
        == 0
    )
    out = capsys.readouterr().out
    assert "ewma-deadzone on blocking-steady:duration=5: 6 points, 2 replications each" in out
    folder = tmp_path / "results" / "sweep-ewma-deadzone--blocking-steady_duration=5"
    names = {path.name for path in folder.iterdir()}
    assert names - {"points.parquet"} == {
        "heatmap-verdict.png", "heatmap-swing.png", "swing_achieved.png", "points.csv",
        "summary.json", "run.json", "point-0.npz", "point-5.npz",
    }  # fmt: skip
    document = json.loads((folder / "summary.json").read_text())
    assert document["command"].startswith("python -m tpssim sweep --scenario")
    assert len(document["points"]) == 6
    released = np.load(folder / "point-5.npz")["released"]
    again = simulate(SHORT, "ewma-deadzone:alpha=0.5,deadzone=1.2")
    assert np.array_equal(released, again.released, equal_nan=True)
    assert not list((tmp_path / "results").glob(".*.sqlite*"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "sweep",
            "give a study or --grid NAME=VALUES; allowed studies: alpha-deadzone, spin-threshold",
        ),
        ("sweep nothing", "there is no study 'nothing'"),
        ("sweep --grid alpha", "grid 'alpha' names no values"),
        ("sweep --grid alpha=0.1 alpha=0.2", "grid: alpha is given twice"),
        ("sweep --grid alpha=0.1 --workers 0", "workers=0"),
        (
            "sweep --grid alpha=0.1,0.2 deadzone=1,2 --heatmap nonsense",
            "--heatmap: there is no measure 'nonsense'; allowed: verdict",
        ),
        ("sweep --grid alpha=0.1,0.2 --heatmap swing", "--heatmap needs a grid of two factors"),
        (
            "sweep --grid alpha=0.1,0.2 --plot swing:speed",
            "--plot swing:speed: there is no factor or measure 'speed'",
        ),
        ("sweep --grid alpha=0.1 --dask 127.0.0.1:1", "no scheduler answers there"),
        ("sweep --grid alpha=0.1 --traces 1", "--traces 1: no such point; allowed: 0 to 0"),
    ],
)
def test_bad_command_lines_get_exit_code_2(
    line: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*line.split(), *(["--replications", "1"] if "--grid" in line else [])]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    there = [path.name for path in tmp_path.rglob("*") if path.name != "results"]
    assert there == []


def test_maps_and_lines_refuse_what_cannot_be_drawn() -> None:
    result = sweep(SHORT, "aimd", {"dec_rate": [0.5, 0.7], "inc_step": [1.0, 2.0]}, replications=2)
    with pytest.raises(InputError, match="x and y are both 'dec_rate'"):
        result.heatmap("swing", "dec_rate", "dec_rate")
    with pytest.raises(InputError, match="there is no factor 'alpha'; allowed: dec_rate, inc_step"):
        result.plot("swing", "alpha")
    with pytest.raises(InputError, match="there is no measure 'speed'"):
        result.values("speed")
    sample = sweep(
        SHORT,
        "aimd",
        {"dec_rate": [0.5, 0.9], "inc_step": [1.0, 2.0]},
        design="lhs",
        points=8,
        replications=2,
    )
    with pytest.raises(InputError, match="a sample lies on no grid"):
        sample.heatmap("swing")
    xs, ys, means = result.grid("achieved", "inc_step", "dec_rate")
    assert (xs, ys, means.shape) == ([1.0, 2.0], [0.5, 0.7], (2, 2))
    assert means[1, 0] == result.rows[2].estimate("achieved").mean


def test_maps_say_what_they_are_a_mean_of() -> None:
    grid = {"dec_rate": [0.5, 0.7], "inc_step": [1.0, 2.0], "cv": [0.1, 0.5]}
    result = sweep(SHORT, "aimd", grid, replications=2)
    assert result.heatmap("achieved").axes[0].get_title() == "mean over cv (0.1, 0.5)"
    title = result.heatmap("verdict", "cv", "inc_step").axes[0].get_title()
    assert title == "majority of the runs over dec_rate (0.5, 0.7)"
    _, _, means = result.grid("achieved", "dec_rate", "inc_step")
    achieved = result.values("achieved")  # cv varies fastest
    assert means[0, 0] == pytest.approx((achieved[0] + achieved[1]) / 2.0)
    lines = result.plot("achieved").axes[0].lines
    assert [line.get_label() for line in lines[:2]] == ["inc_step=1, cv=0.1", "inc_step=1, cv=0.5"]
    assert np.asarray(lines[1].get_ydata()).tolist() == achieved[[1, 5]].tolist()


def legend_of(result: SweepResult) -> list[str]:
    """The legend of its map of swings."""
    return [
        text.get_text() for legend in result.heatmap("swing").legends for text in legend.get_texts()
    ]


def test_bounds_of_theory_are_drawn_where_they_hold() -> None:
    grid = {"alpha": [0.1, 0.3], "deadzone": [1.0, 1.05, 1.1]}
    # A service that can sustain 50 a second: 0.95 + 5/50 = 1.05; of noise of CV 0.01 an EWMA of
    # alpha 0.3 keeps 0.01 sqrt(0.3 / 1.7) = 0.0042.
    result = sweep(f"{SHORT},cv=0.01", "ewma-deadzone:inc_step=5", grid, replications=2)
    noise, landing = (
        next(
            line
            for line in result.heatmap("swing").axes[0].lines
            if str(line.get_label()).startswith(name)
        )
        for name in ("noise rule", "no limit cycle")
    )
    assert landing.get_label() == "no limit cycle from 1.05 up (backlogged, no noise)"
    assert np.asarray(landing.get_ydata()) == pytest.approx(1.05)
    assert np.asarray(noise.get_ydata())[-1] == pytest.approx(1.0 + 3.0 * 0.0042, abs=3e-4)


def test_a_bound_off_the_map_is_reported_and_one_without_grounds_is_not() -> None:
    grid: dict[str, list[float]] = {"alpha": [0.1, 0.3], "deadzone": [1.0, 1.04]}
    legend = legend_of(sweep(SHORT, "ewma-deadzone", grid, replications=2))
    assert "no limit cycle from 0.97 up (backlogged, no noise): below the map" in legend
    assert "noise rule, 3 sigma (CV 0.5): above the map" in legend
    # No backlog where all that is wanted is borne; no single place over a third factor.
    for scenario, more in (("fast-async:duration=5", {}), (SHORT, {"inc_step": [1.0, 9.0]})):
        legend = legend_of(sweep(scenario, "ewma-deadzone", {**grid, **more}, replications=2))
        assert not any("limit cycle" in text for text in legend)


def test_the_table_as_a_frame_and_as_parquet(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    result = sweep(
        SHORT, "aimd", {"dec_rate": [0.5, 0.7], "timer": ["ideal", "linux"]}, replications=2
    )
    frame = result.to_pandas()
    assert list(frame["dec_rate"]) == [0.5, 0.5, 0.7, 0.7]
    assert list(frame["timer"]) == ["ideal", "linux"] * 2
    assert all(frame[name].dtype == "float64" for name in METRICS)
    assert result.to_parquet(tmp_path / "points.parquet")
    pandas.testing.assert_frame_equal(pandas.read_parquet(tmp_path / "points.parquet"), frame)


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    program = """
import time
from tpssim.experiments.executor import processes
from os import getpid
if __name__ == "__main__":
    with processes(2) as pool:
        print(*{pool.submit(getpid).result() for _ in range(50)}, flush=True)
        time.sleep(60)
"""
    path = tmp_path / "parent.py"
    path.write_text(program)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen(
        [sys.executable, str(path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert parent.stdout is not None
    workers = [int(word) for word in parent.stdout.readline().split()]
    assert workers
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 30.0
    while time.monotonic() < deadline and any(Path(f"/proc/{pid}").exists() for pid in workers):
        time.sleep(0.05)
    assert not any(_runs(pid) for pid in workers)


def _runs(pid: int) -> bool:
    """Whether a process is there and no zombie that waits for its new parent to look."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")
