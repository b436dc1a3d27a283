"""Grids in any order give the picture of the sorted one; what cells and points are made of is
seen.
"""

from __future__ import annotations

import csv
import functools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from tpssim import InputError
from tpssim.cli.main import main
from tpssim.core.statistics import Estimate, estimate
from tpssim.experiments.sweep.rows import Row
from tpssim.experiments.sweep.sweep import sweep
from tpssim.experiments.sweep.sweep_result import SweepResult
from tpssim.metrics.measure import ENDLESS, METRICS
from tpssim.output import plots
from tpssim.output.cells import At, cells_of, levels
from tpssim.output.format import interval, mean
from tpssim.output.html import drawings
from tpssim.output.records import SweepRecord, from_dict
from tpssim.output.records.parts import Figure

SHORT = "blocking-steady:duration=5"
ALPHA, ZONE = [0.1, 0.2, 0.4], [1.0, 1.1, 1.2]


def pixels(figure: Any) -> bytes:
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return bytes(canvas.buffer_rgba())


def grid(alpha: list[float], zone: list[float], **more: list[Any]) -> SweepResult:
    return sweep(SHORT, "ewma-deadzone", {"alpha": alpha, "deadzone": zone, **more}, replications=2)


@functools.cache
def in_order() -> SweepResult:
    return grid(ALPHA, ZONE)


@pytest.mark.parametrize("alpha", [[0.2, 0.1, 0.4], [0.4, 0.2, 0.1]])
def test_a_grid_out_of_order_gives_the_picture_of_the_sorted_one(alpha: list[float]) -> None:
    shuffled = grid(alpha, [1.1, 1.0, 1.2])
    for metric in ("achieved", "verdict", "converges"):
        assert [np.asarray(x).tolist() for x in shuffled.grid(metric, "alpha", "deadzone")] == [
            np.asarray(x).tolist() for x in in_order().grid(metric, "alpha", "deadzone")
        ]
        assert pixels(shuffled.heatmap(metric)) == pixels(in_order().heatmap(metric))
    for ask in (
        ("achieved",),
        ("achieved", "deadzone"),
        ("achieved", "swing"),
        ("swing", None, "alpha"),
    ):
        assert pixels(shuffled.plot(*ask)) == pixels(in_order().plot(*ask))
    line = shuffled.plot("achieved").axes[0].lines[0]
    assert np.asarray(line.get_xdata()).tolist() == ALPHA


def test_the_means_over_other_factors_are_those_of_the_sorted_grid() -> None:
    """More lines than there are colours: means over the rest, named in order; logarithmic axes
    too.
    """
    inc = [0.1, 1.0, 10.0]
    many, same = (
        grid(ALPHA, ZONE, inc_step=inc),
        grid(ALPHA[::-1], ZONE[::-1], inc_step=[1.0, 10.0, 0.1]),
    )
    for metric in ("swing", "verdict"):
        assert pixels(same.heatmap(metric, "alpha", "inc_step")) == pixels(
            many.heatmap(metric, "alpha", "inc_step")
        )
    figure = same.plot("swing")
    assert figure.axes[0].get_title() == "mean over deadzone (1, 1.1, 1.2)"
    assert pixels(figure) == pixels(many.plot("swing"))


@pytest.mark.parametrize("alpha", ["0.3,0.1,0.2", "0.3,0.2,0.1"])
def test_the_command_writes_the_pictures_of_the_sorted_grid(alpha: str, tmp_path: Path) -> None:
    made = {}
    for name, values in (("sorted", "0.1,0.2,0.3"), ("shuffled", alpha)):
        out = tmp_path / name
        asked = [
            "--grid",
            f"alpha={values}",
            "deadzone=1,1.1",
            "--replications",
            "2",
            "--workers",
            "1",
        ]
        line = [
            "sweep",
            "--scenario",
            SHORT,
            *asked,
            "--out",
            str(out),
            "--heatmap",
            "swing",
            "verdict",
        ]
        assert main([*line, "--plot", "swing", "achieved:swing"]) == 0
        # The command, which a PNG carries, differs.
        made[name] = {path.name: plots_of(path) for path in sorted(out.glob("*.png"))}
    assert len(made["sorted"]) == 4
    assert made["sorted"] == made["shuffled"]


def plots_of(path: Path) -> bytes:
    """The compressed pixels of a PNG."""
    data, at, found = path.read_bytes(), 8, b""
    while at < len(data):
        size = int.from_bytes(data[at : at + 4])
        if data[at + 4 : at + 8] == b"IDAT":
            found += data[at + 8 : at + 8 + size]
        at += size + 12
    return found


def test_words_keep_their_order_and_an_infinite_value_is_a_word() -> None:
    assert levels(["windows", "linux", "windows"]) == ["windows", "linux"]
    assert levels([0.3, math.inf, 0.1]) == [0.1, 0.3, math.inf]
    rows = [At(x, 1.0) for x in (0.5, math.inf, 0.1)]
    ax: Any = plots.line_figure("", ("timeout (s)", "y"), [("", rows)]).axes[0]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["0.1", "0.5", "inf"]
    figure: Any = plots.heat_figure(
        "", ("a", "b"), [0.1, math.inf], [1.0, 2.0], np.eye(2), "z", [], None
    )
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["0.1", "inf"]


def test_neighbours_that_four_digits_do_not_tell_apart_have_names_of_their_own() -> None:
    xs = [0.10001, 0.10002, 0.10003]
    figure: Any = plots.heat_figure("", ("a", "b"), xs, [1.0], np.zeros((1, 3)), "z", [], None)
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == [str(x) for x in xs]


@pytest.mark.parametrize("points", [2, 3, 4, 5])
def test_a_few_points_of_a_sample_are_no_map(points: int) -> None:
    ends = {"alpha": [0.1, 0.5], "deadzone": [1.0, 2.0]}
    sample = sweep(SHORT, "ewma-deadzone", ends, design="sobol", points=points, replications=2)
    for metric in ("swing", "verdict"):
        with pytest.raises(InputError, match="a sample lies on no grid"):
            sample.heatmap(metric)
    assert sample.plot("swing").axes[0].lines[0].get_linestyle() == "None"


def test_a_sample_of_one_factor_is_a_line_from_left_to_right() -> None:
    sample = sweep(
        SHORT, "ewma-deadzone", {"alpha": [0.1, 0.5]}, design="sobol", points=4, replications=2
    )
    x = np.asarray(sample.plot("swing").axes[0].lines[0].get_xdata())
    assert (np.diff(x) > 0.0).all()


def with_never(
    never: dict[tuple[float | str, ...], list[float]], metric: str = "recovery_time"
) -> SweepResult:
    """The sorted grid whose runs at some points came to these values of a measure."""
    place, rows = list(METRICS).index(metric), []
    for row in in_order().rows:
        values = np.full((6, len(METRICS)), 1.0)
        values[:, place] = never.get(row.point, [2.0] * 6)
        rows.append(Row.of(row.point, [(6, 10, run) for run in values]))
    return in_order()._replace(rows=rows, replications=6)


@pytest.mark.parametrize("metric", ENDLESS)
def test_never_is_worse_than_late_in_maps_and_lines(metric: str) -> None:
    """At one point five of six never do it, and the sixth at once: by its mean it would be the
    best.
    """
    often = with_never({(0.2, 1.1): [0.1] + [math.inf] * 5}, metric)
    _, _, values = often.grid(metric, "alpha", "deadzone")
    assert np.isinf(values).sum() == 1
    assert values[1, 1] == math.inf == often.values(metric)[4]
    figure: Any = often.heatmap(metric)
    ax = figure.axes[0]
    assert [text.get_text() for text in ax.texts] == ["5/6"]
    (black,) = ax.patches
    assert black.get_facecolor()[:3] == (0.0, 0.0, 0.0)
    assert any("never" in text.get_text() for text in figure.legends[0].get_texts())
    ax = often.plot(metric).axes[0]
    assert [text.get_text() for text in ax.texts] == ["never 5/6"]
    drawn = [
        np.asarray(line.get_ydata()) for line in ax.lines if line.get_transform() == ax.transData
    ]
    assert math.isnan(drawn[1][1])
    assert min(np.nanmin(y) for y in drawn) == 2.0


def marks(ax: Any) -> list[list[float]]:
    """Across, of each line that was drawn."""
    return [
        np.asarray(line.get_xdata()).tolist() for line in ax.lines if line.get_marker() in "os^"
    ]


@pytest.mark.parametrize("metric", ENDLESS)
def test_a_measure_across_that_never_happens_or_does_not_exist_is_left_out_and_counted(
    metric: str,
) -> None:
    """Where it is finite the axis stays one of numbers; what has no place on it is in the title."""
    values: dict[tuple[float | str, ...], list[float]] = {
        (0.2, 1.1): [0.1] + [math.inf] * 5,
        (0.1, 1.0): [math.nan] * 6,
        (0.4, 1.2): [math.nan] * 6,
    }
    shown = with_never(values, metric)
    ax = shown.plot("achieved", metric).axes[0]
    assert (
        ax.get_title()
        == f"{metric} never at 1 of 9 points, left out; no {metric} at 2 of 9 points, left out"
    )
    assert marks(ax) == [[2.0] * 2] * 3
    assert not any(
        "inf" in text.get_text() or "nan" in text.get_text() for text in ax.get_xticklabels()
    )
    record = from_dict(json.loads(json.dumps(shown.record().to_dict())))
    assert isinstance(record, SweepRecord)
    line: Figure = {"name": "line", "file": "x.png", "measure": "achieved", "over": metric}
    page = drawings.of_sweep(record, line)
    assert f"{metric} never at 1 of 9 points, left out" in page


def test_a_measure_across_that_no_point_has_leaves_an_empty_picture_that_says_so() -> None:
    for value, said in ((math.inf, "regain_time never"), (math.nan, "no regain_time")):
        shown = with_never({row.point: [value] * 6 for row in in_order().rows}, "regain_time")
        ax = shown.plot("achieved", "regain_time").axes[0]
        assert (ax.get_title(), marks(ax)) == (f"{said} at 9 of 9 points, left out", [])
        sample = ["alpha", "deadzone"], [(0.1, 1.0), (0.2, 1.1)], "regain_time", None
        assert plots.lines_over(*sample, [At(value, 1.0)] * 2)[0] == [("", [])]


def test_a_mean_over_points_with_a_measure_across_leaves_out_the_same_points() -> None:
    """Three alphas by twelve zones are more lines than there are colours, so alpha is averaged
    over.

    At alpha 0.1 there is a point (2, 10), at 0.2 one (4, 20), at 0.4 it never happens: (3, 15) is
    left.
    """
    points = [(alpha, zone) for alpha in ALPHA for zone in [float(k) for k in range(12)]]
    across = {0.1: (2.0, 10.0), 0.2: (4.0, 20.0), 0.4: (math.inf, 90.0)}
    rows = [At(across[alpha][0], across[alpha][1], 0.0, 6) for alpha, _ in points]
    lines, note, _ = plots.lines_over(["alpha", "zone"], points, "recovery_time", "alpha", rows)
    assert [{(at.x, at.value) for at in line} for _, line in lines] == [
        {(2.0, 10.0)},
        {(4.0, 20.0)},
    ]
    assert note == "recovery_time never at 12 of 36 points, left out"
    names = ["run", "alpha", "zone"]
    lines, note, _ = plots.lines_over(
        names, [(1.0, *p) for p in points], "recovery_time", "zone", rows
    )
    assert [[(at.x, at.value) for at in line] for _, line in lines] == [[(3.0, 15.0)]] * 12
    assert (
        note == "mean over alpha (0.1, 0.2, 0.4); recovery_time never at 12 of 36 points, left out"
    )


def test_a_sweep_whose_measure_across_does_not_exist_is_written(tmp_path: Path) -> None:
    """Nothing recovers where nothing is disturbed: the command ends well, with an empty picture."""
    asked = ["sweep", "--scenario", "blocking-steady:duration=3", "--grid", "alpha=0.1,0.2,0.3"]
    asked += ["--replications", "2", "--workers", "1", "--out", str(tmp_path / "out")]
    assert main([*asked, "--plot", "achieved:recovery_time", "recovery_time"]) == 0
    made = {path.name for path in (tmp_path / "out").glob("*.png")}
    assert made == {"achieved_recovery_time.png", "recovery_time.png"}


def test_a_cell_of_which_a_level_failed_says_so() -> None:
    many = grid([0.1, 0.2], [1.0, 1.1], low=[0.5, 0.9])
    rows = [Row.failed(row.point) if row.point == (0.1, 1.0, 0.9) else row for row in many.rows]
    figure: Any = many._replace(rows=rows).heatmap("achieved")
    assert [text.get_text() for text in figure.axes[0].texts] == ["2/4"]
    assert "some runs failed or lack it (how many)" in [
        t.get_text() for t in figure.legends[0].get_texts()
    ]
    lost = At("", math.nan, math.nan, 2, 0, 2)
    cells = cells_of([("a", "b", lost), ("a", "b", At("", 3.0, 0.1, 2)), ("c", "b", lost)])
    assert cells is not None
    assert (cells.missing.tolist(), cells.runs.tolist()) == ([[2.0, 2.0]], [[4.0, 2.0]])
    ax = plots.line_figure("", ("x", "y"), [("", [At(1.0, 3.0, 0.0, 4, 0, 2), At(2.0, 1.0)])]).axes[
        0
    ]
    assert [text.get_text() for text in ax.texts] == ["without 2/4"]


def test_tables_count_what_never_happens() -> None:
    assert mean(estimate([0.1, math.inf, math.inf]), 2) == "never 2/3"
    assert interval(estimate([0.1, 0.2, math.inf]), 2) == "never 1/3"
    assert mean(estimate([math.inf] * 2), 2) == "never"
    assert interval(estimate([1.0] * 5), 1) == "1.0 ±0.0"
    # Of five the least and the greatest bound the median: 3 - 1 and 6 - 3, of which the longer
    # counts.
    assert interval(estimate([1.0, 2.0, 3.0, 3.0, 6.0]), 1) == "3.0 ±3.0"
    assert interval(estimate([1.0, 3.0]), 1) == "2.0", "too few for an interval"
    keys = [
        drawings_key(value)
        for value in (
            Estimate(9e9, 9e9, 9e9, 5, 0),
            estimate([0.1, math.inf]),
            estimate([math.inf, math.inf]),
        )
    ]
    assert keys == sorted(keys)
    assert keys[-1] == math.inf


def drawings_key(value: Estimate) -> float:
    from tpssim.output.html.cells import cell, numbers

    key = cell(value, numbers("")).key
    assert isinstance(key, float)
    return key


def test_what_is_written_says_of_how_many_runs_a_mean_is(tmp_path: Path) -> None:
    often = with_never({(0.2, 1.1): [0.1] + [math.inf] * 5})
    often.to_csv(tmp_path / "points.csv")
    with open(tmp_path / "points.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    counts = [(row["recovery_time_n"], row["recovery_time_never"]) for row in rows]
    assert counts == [("6", "0")] * 4 + [("1", "5")] + [("6", "0")] * 4
    assert all({f"{name}_n" for name in METRICS} <= row.keys() for row in rows)


def test_the_table_of_a_comparison_counts_too(tmp_path: Path) -> None:
    """EWMA + dead zone never comes back on degrade-recover, as printed and in every replication."""
    out = tmp_path / "out"
    line = [
        "compare",
        "--scenarios",
        "degrade-recover",
        "--controllers",
        "ewma-deadzone",
        "busy-time",
    ]
    assert main([*line, "--replications", "2", "--workers", "1", "--out", str(out)]) == 0
    with open(out / "summary.csv", newline="", encoding="utf-8") as file:
        never, back = csv.DictReader(file)
    assert (never["recovery_time_n"], never["recovery_time_never"]) == ("0", "2")
    assert (back["recovery_time_n"], back["recovery_time_never"]) == ("2", "0")


def test_less_is_better_is_light_and_said() -> None:
    light = []
    for metric in ("achieved", "response_p99"):
        figure: Any = in_order().heatmap(metric)
        mesh, bar = figure.axes[0].collections[0], figure.axes[1]
        best = mesh.norm.vmax if METRICS[metric].better == "more" else mesh.norm.vmin
        light.append(
            sum(mesh.cmap(mesh.norm(best))[:3])
            > sum(mesh.cmap(mesh.norm.vmin + mesh.norm.vmax - best)[:3])
        )
        assert bar.get_ylabel().endswith(f": {METRICS[metric].better} is better")
    assert light == [True, True]


def test_a_page_of_a_shuffled_grid_draws_the_sorted_one() -> None:
    maps: list[Figure] = [
        {"name": "heat map", "file": "x.png", "measure": m, "factors": ["alpha", "deadzone"]}
        for m in ("swing", "verdict")
    ]
    line: Figure = {"name": "line", "file": "x.png", "measure": "swing", "over": "alpha"}
    pages = []
    for alpha in (ALPHA, ALPHA[::-1]):
        record = grid(alpha, ZONE).record()
        pages.append([drawings.of_sweep(record, figure) for figure in (*maps, line)])
    assert pages[0] == pages[1]
    assert all(pages[0])
