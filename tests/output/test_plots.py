"""Pictures: nothing that is written or drawn is cut off, and grey paper shows what colours show."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb

from tpssim.output import plots
from tpssim.output.cells import At
from tpssim.output.pictures import panel
from tpssim.output.plots.common import DIM
from tpssim.output.plots.maps import WORD_COLOURS
from tpssim.output.plots.searches import AGE


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
@pytest.mark.parametrize(("producers", "limit"), [(0, None), (3, None), (0, 1024.0), (3, 8.0)])
def test_title_and_legend_of_rates_lie_within_the_figure(
    count: int, producers: int, limit: float | None
) -> None:
    t = np.linspace(0.0, 60.0, 100)
    held = None if limit is None else np.full(100, limit)
    panel = plots.Panel("", t, np.full(100, 90.0), t, [t] * producers, held)
    frame = plots.Frame([(0.0, 60.0, 80.0)], [(10.0, 30.0)], 100.0, 60.0)
    figure: Any = plots.rate_figure("a long title of many words " * 5, [panel] * count, frame)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    title = figure._suptitle.get_window_extent(renderer)
    legend = figure.legends[0].get_window_extent(renderer)
    for box in (title, legend):
        assert 0.0 <= box.x0 < box.x1 <= figure.bbox.width
        assert 0.0 <= box.y0 < box.y1 <= figure.bbox.height
    axes = [ax.get_tightbbox(renderer) for ax in figure.axes if ax.get_visible()]
    assert max(box.y1 for box in axes) <= title.y0
    assert max(box.x1 for box in axes) <= figure.bbox.width
    assert legend.y1 <= min(box.y0 for box in axes)


def grey(colour: str) -> float:
    """What a grey printer makes of a colour: 0 black, 255 white (ITU-R BT.601, as PIL's mode L)."""
    return float(255.0 * np.dot(to_rgb(colour), (0.299, 0.587, 0.114)))


FRAME = plots.Frame([(0.0, 60.0, 80.0)], [(10.0, 30.0)], 100.0, 60.0)
STEADY = np.arange(0.0, 60.0, 0.01)


def burst(rate: float) -> plots.Panel:
    """100 a second, and `rate` a second from 40 s to 42 s."""
    completed = np.sort(np.concatenate((STEADY, np.arange(40.0, 42.0, 1.0 / (rate - 100.0)))))
    return plots.Panel("a", STEADY, np.full(len(STEADY), 100.0), completed)


def test_a_law_that_commands_by_a_limit_is_drawn_by_its_limit() -> None:
    columns: dict[str, Any] = {
        "producer": np.zeros(4, dtype=np.int32),
        "outcome": np.zeros(4, dtype=np.int8),
        "scheduled": np.array([0.0, 1.0, 2.0, 3.0]),
        "released": np.array([0.0, 1.0, 2.0, 3.0]),
        "completed": np.array([0.5, 1.5, 2.5, 3.5]),
        "rate": np.full(4, np.inf),
        "limit": np.array([8.0, 8.0, 4.0, 4.0]),
    }
    frame = plots.Frame([(0.0, 4.0, 80.0)], [], 100.0, 4.0)
    run = panel(columns, [(0.0, 4.0)], [([0.0], [100.0])], 4.0, "")
    assert run.limit is not None
    assert [run.limit[0], run.limit[-1]] == [8.0, 4.0]
    assert np.isnan(run.commanded).all(), "a rate actuator that is never touched commands nothing"
    figure: Any = plots.rate_figure("t", [run], frame)
    assert len(figure.axes) == 2
    assert "limit, calls in flight (right)" in [
        text.get_text() for text in figure.legends[0].get_texts()
    ]
    assert len(plots.overlay_figure("t", [run], frame, "achievable").axes) == 3
    by_rate = panel(
        {**columns, "rate": np.full(4, 50.0)}, [(0.0, 4.0)], [([0.0], [100.0])], 4.0, ""
    )
    assert not by_rate.limited(), "a limit that stands beside a rate does not act"
    assert (by_rate.commanded == 50.0).all()
    assert len(plots.rate_figure("t", [by_rate], frame).axes) == 1


def said(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_what_was_delivered_is_shown_whole_up_to_twice_the_target() -> None:
    figure: Any = plots.rate_figure("t", [burst(150.0), burst(190.0)], FRAME)
    for ax, rate in zip(figure.axes, (150.0, 190.0), strict=True):
        assert ax.get_ylim()[1] >= 190.0, "all panels on the same axis"
        assert max(line.get_ydata().max() for line in ax.lines) == pytest.approx(rate, abs=4.0)
        assert said(ax) == []


def test_a_storm_that_leaves_the_axes_is_named_and_does_not_press_the_others_flat() -> None:
    for figure in (
        plots.rate_figure("t", [burst(150.0), burst(1100.0)], FRAME),
        plots.overlay_figure("t", [burst(150.0), burst(1100.0)], FRAME, "achievable"),
    ):
        axes: Any = figure.axes
        assert 150.0 < axes[-1].get_ylim()[1] < 200.0
        (named,) = said(axes[-1])
        peak = float(named.removeprefix("storm: ").removesuffix("/s").replace(",", ""))
        assert peak == pytest.approx(1100.0, abs=12.0)
        assert 36.0 < axes[-1].texts[0].xy[0] < 40.5, "beside the storm"


def test_a_storm_is_named_where_it_is_however_many_producers_there_are() -> None:
    one = burst(1100.0)
    panel = one._replace(each=[one.completed, one.completed[:1]])
    figure: Any = plots.rate_figure("t", [panel], FRAME)
    (ax,) = figure.axes
    assert len(said(ax)) == 1
    assert 36.0 < ax.texts[0].xy[0] < 40.5


def test_a_limit_is_a_line_where_another_producer_has_none() -> None:
    times = np.linspace(0.0, 40.0, 9)
    limit = np.where(np.arange(9) % 2, math.inf, 8.0)  # every other release is the other's
    every = np.full(9, math.inf)
    panel = plots.Panel("t", times, every, times, [times, times], limit)
    figure: Any = plots.rate_figure("t", [panel], FRAME)
    (line,) = figure.axes[-1].lines
    assert line.get_ydata().tolist() == [8.0] * 5


def test_a_grey_printer_keeps_the_verdicts_apart_and_good_is_stronger_than_what_is_bad() -> None:
    greys = {word: grey(colour) for word, colour in WORD_COLOURS.items()}
    assert min(np.diff(sorted(greys.values()))) > 15.0
    assert all(greys["converges"] < greys[word] for word in ("oscillates", "saturated", "drifts"))


def test_every_dot_of_a_search_is_dark_enough_for_white_paper() -> None:
    for colour in (AGE(0.0), AGE(1.0), DIM):
        assert grey(to_hex(colour)) < 170.0


def test_axes_of_numbers_are_plain_and_have_their_unit_once() -> None:
    values = np.array([[0.001, 0.002, 0.004], [0.0, 0.0, 0.001]])
    axes = ("alpha", "spin (s)")
    figure: Any = plots.heat_figure(
        "t", axes, [0.1, 0.2, 0.4], [0.0, 0.001], values, "late (s)", [], None
    )
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    ax, bar = figure.axes
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0.1", "0.2", "0.4"]
    assert {tick.get_text() for tick in ax.get_xticklabels(minor=True)} <= {""}
    assert "1 ms" in [tick.get_text() for tick in ax.get_yticklabels()]
    assert "4 ms" in [tick.get_text() for tick in bar.get_yticklabels()]
    assert (ax.get_xlabel(), ax.get_ylabel(), bar.get_ylabel()) == ("alpha", "spin", "late")


def test_lines_differ_in_more_than_colour_and_names_are_not_joined() -> None:
    lines: Any = [(f"k={k}", [At(1.0, 0.1, 0.4), At(2.0, 0.2)]) for k in (1, 2, 3)]
    figure: Any = plots.line_figure("t", ("x", "y (share)"), lines)
    drawn = figure.axes[0].lines
    assert len({(line.get_linestyle(), line.get_marker()) for line in drawn}) == 3
    assert -0.05 < figure.axes[0].get_ylim()[0] <= 0.0, "the interval alone reaches below nothing"
    named: Any = [("", [At("a", 0.1), At("b", 0.2)])]
    apart: Any = plots.line_figure("t", ("x", "y (share)"), named)
    assert {line.get_linestyle() for line in apart.axes[0].lines} == {"None"}


def test_the_matrix_says_what_its_cells_are_and_nothing_is_cut_off() -> None:
    figure: Any = plots.matrix_figure(
        "Every throttle on every scenario where its actuator acts",
        "score, from 0 to 1 (best), and verdict; empty: the actuator does not act there",
        ["headroom"],
        [0.5],
        ["join-leave-in-flight"],
        [("tuning", 1)],
        np.array([[0.5]]),
        [["converges"]],
    )
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    written = [
        *figure.texts,
        *figure.axes[0].texts,
        *figure.axes[0].get_xticklabels(),
        figure._suptitle,
    ]
    for text in written:
        box = text.get_window_extent(canvas.get_renderer())
        assert 0.0 <= box.x0 < box.x1 <= figure.bbox.width, text.get_text()
        assert 0.0 <= box.y0 < box.y1 <= figure.bbox.height, text.get_text()


NAMES = ("slack", "share", "alpha")


def points_of(*counts: int) -> list[tuple[float, ...]]:
    return list(itertools.product(*([float(i) for i in range(count)] for count in counts)))


def test_a_line_for_each_setting_of_few_other_factors() -> None:
    points = points_of(2, 2, 2)
    rows = [At(point[0], float(i), 0.5) for i, point in enumerate(points)]
    lines, note, joined = plots.lines_over(NAMES, points, "slack", None, rows)
    assert (note, joined) == ("", True)
    # The first factor varies slowest: the points of one setting of the others are 4 apart.
    assert lines == [
        ("share=0, alpha=0", [At(0.0, 0.0, 0.5), At(1.0, 4.0, 0.5)]),
        ("share=0, alpha=1", [At(0.0, 1.0, 0.5), At(1.0, 5.0, 0.5)]),
        ("share=1, alpha=0", [At(0.0, 2.0, 0.5), At(1.0, 6.0, 0.5)]),
        ("share=1, alpha=1", [At(0.0, 3.0, 0.5), At(1.0, 7.0, 0.5)]),
    ]


@pytest.mark.parametrize(
    ("x", "by", "labels", "first", "note"),
    [
        # Value = 100 x + 10 y + z; the mean of y is 2, of z 0.5.
        ("slack", None, ["alpha=0", "alpha=1"], At(0.0, 20.0), "mean over share (5 values)"),
        (
            "slack",
            "share",
            [f"share={i}" for i in range(5)],
            At(0.0, 0.5),
            "mean over alpha (0, 1)",
        ),
        ("swing", None, ["alpha=0", "alpha=1"], At(0.0, 20.0), "mean over share (5 values)"),
    ],
)
def test_of_many_settings_the_means_are_drawn_and_the_title_says_so(
    x: str, by: str | None, labels: list[str], first: At, note: str
) -> None:
    points = points_of(3, 5, 2)
    rows = [At(float(a), 100.0 * float(a) + 10.0 * float(b) + float(c), 0.5) for a, b, c in points]
    lines, noted, joined = plots.lines_over(NAMES, points, x, by, rows)
    assert [label for label, _ in lines] == labels
    assert [len(line) for _, line in lines] == [3] * len(labels)
    assert lines[0][1][0] == first
    assert (noted, joined) == (note, True)
    ax = plots.line_figure("title", ("x", "y"), lines, noted).axes[0]
    assert ax.get_title() == note


def test_the_points_of_a_sample_are_not_joined() -> None:
    points = [(0.1, 0.7), (0.2, 0.5), (0.3, 0.9)]
    rows = [At(a, b, 0.1) for a, b in points]
    lines, note, joined = plots.lines_over(("a", "b"), points, "a", None, rows)
    assert (lines, note, joined) == ([("", rows)], "", False)
    assert (
        plots.line_figure("", ("a", "y"), lines, note, joined).axes[0].lines[0].get_linestyle()
        == "None"
    )


@pytest.mark.parametrize(
    ("xs", "ticks", "labels"),
    [
        ([0.01, 0.1], [0.01, 0.1], ["0.01", "0.1"]),
        ([0.5, 0.7, 0.9], [0.5, 0.7, 0.9], ["0.5", "0.7", "0.9"]),
        ([0.001, 0.01, 0.1], [0.001, 0.01, 0.1], ["0.001", "0.01", "0.1"]),  # a logarithmic axis
        # Thirty: every fourth, the least that leaves an eighth of the axis between two.
        (
            [float(i) for i in range(30)],
            [float(i) for i in range(0, 30, 4)],
            [str(i) for i in range(0, 30, 4)],
        ),
    ],
)
def test_a_map_names_no_value_that_was_not_swept(
    xs: list[float], ticks: list[float], labels: list[str]
) -> None:
    values = np.zeros((2, len(xs)))
    figure: Any = plots.heat_figure("", ("x", "y (s)"), xs, [0.0005, 0.001], values, "z", [], None)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    axis = figure.axes[0].xaxis
    assert axis.get_ticklocs().tolist() == ticks
    assert [text.get_text() for text in axis.get_ticklabels()] == labels
    assert len(axis.get_ticklocs(minor=True)) == 0
    assert [text.get_text() for text in figure.axes[0].yaxis.get_ticklabels()] == ["500 µs", "1 ms"]


def test_a_score_is_drawn_as_the_score_and_its_best_is_at_the_top() -> None:
    """Losses 0.5, 0.3 and 0.2 of an objective "1 - score" are scores of 0.5, 0.7 and 0.8."""
    losses, none = np.array([0.5, 0.3, 0.2]), (math.nan,) * 3
    figure: Any = plots.convergence_figure(
        "title", "score", losses, ["screen"] * 3, none, none, plots.Shown(1.0, -1.0)
    )
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    (ax,) = figure.axes
    worst, best = ax.get_ylim()
    assert worst > best, "the least loss is at the top"
    assert ax.get_ylabel() == "score (more is better)"
    for loss, label in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True):
        assert float(label.get_text()) == pytest.approx(1.0 - loss)
    plain: Any = plots.convergence_figure("title", "churn", losses, ["screen"] * 3, none, none)
    assert plain.axes[0].get_ylim()[0] < plain.axes[0].get_ylim()[1]
    assert plain.axes[0].get_ylabel() == "churn (less is better)"


@pytest.mark.parametrize("count", [2, 3, 4])
def test_labels_of_neighbours_and_the_note_of_a_profile_stand_free(count: int) -> None:
    """Ticks at both ends of two panels side by side, and a best value at the right end of the
    first.
    """
    columns = [
        plots.Column("deadzone", np.linspace(0.87, 3.852, 60), False, 1.1, 3.85),
        *[plots.Column("low", np.linspace(0.329, 0.93, 60), False, 0.5, 0.9)] * (count - 1),
    ]
    losses = np.array([1.0 + 0.01 * i for i in range(58)] + [9.0, 10.0])
    figure: Any = plots.profile_figure("title", "loss", columns, losses)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    first, second = figure.axes[:2]
    boxes = [
        [
            label.get_window_extent()
            for label in ax.get_xticklabels()
            if ax.get_xlim()[0] <= label.get_position()[0] <= ax.get_xlim()[1]
        ]
        for ax in (first, second)
    ]
    # One letter and a half of 10 points.
    assert min(box.x0 for box in boxes[1]) - max(box.x1 for box in boxes[0]) > 15.0
    (note,) = first.texts
    assert note.get_text() == "2 more are worse"
    assert note.get_window_extent().y0 > first.bbox.y1
    assert note.get_window_extent().y1 < figure._suptitle.get_window_extent().y0


@pytest.mark.parametrize("count", [2, 5])
def test_what_a_profile_shows_is_named_once_and_stands_in_the_picture(count: int) -> None:
    """The name of the objective is longer than a row of panels is high."""
    columns = [plots.Column("low", np.linspace(0.3, 0.9, 60), False, 0.5, 0.9)] * count
    objective = "1 - score, what is missing to the best"
    figure: Any = plots.profile_figure("title", objective, columns, np.linspace(0.2, 0.6, 60))
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    assert [ax.get_ylabel() for ax in figure.axes] == [""] * len(figure.axes)
    label = figure._supylabel
    assert " ".join(label.get_text().split()) == f"{objective} (less is better)"
    box = label.get_window_extent()
    assert 0.0 <= box.y0 < box.y1 <= figure.bbox.y1
    assert (
        0.0
        <= box.x0
        < box.x1
        < min(text.get_window_extent().x0 for text in figure.axes[0].get_yticklabels())
    )


LONG = [
    "servicetalk-gradient:limit_hi=120,backoff=0.8,measured=3",
    "aimd:dec_rate=0.95,inc_step=0.0123,window=12,ewma=0.3",
    *("netflix-gradient2, tuned", "no controller, tps=144", "scrapy-autothrottle, tuned"),
    *("headroom", "topfull-mimd", "no controller", "failsafe-adaptive", "botocore-cubic"),
]


@pytest.mark.parametrize("count", range(1, 11))
@pytest.mark.parametrize("most", [0.0123, 144.0, 1.44e5])
def test_of_candidates_with_long_names_nothing_collides_or_is_cut_off(
    count: int, most: float
) -> None:
    title = f"checkout-of-the-north, for throughput: {LONG[0]}, at 10s:50,20s:120,10s:0,30s:400"
    served = [(most / (k + 1), 0.9 * most / (k + 1), 1.1 * most / (k + 1)) for k in range(count)]
    took = [(0.25 * 1.5**k, 0.2 * 1.5**k, 0.3 * 1.5**k) for k in range(count)]
    figure: Any = plots.recommend_figure(title, LONG[:count], served, took, 0)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    left, right = figure.axes
    rows = [text.get_window_extent() for text in left.get_yticklabels()]
    assert all(above.y0 > below.y1 for above, below in itertools.pairwise(rows))
    words = [ax.xaxis.label.get_window_extent() for ax in (left, right)]
    ticks = [
        text.get_window_extent()
        for ax in (left, right)
        for text in ax.get_xticklabels()
        if ax.get_xlim()[0] <= text.get_position()[0] <= ax.get_xlim()[1]
    ]
    for apart in (words, ticks):
        assert all(one.x1 + 5.0 < other.x0 for one, other in itertools.pairwise(apart))
    head, foot = figure._suptitle.get_window_extent(), figure._supxlabel.get_window_extent()
    assert rows[0].y1 < head.y0
    for box in (*rows, *words, *ticks, head, foot):
        assert 0.0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert 0.0 <= box.y0 < box.y1 <= figure.bbox.y1
    assert min(ax.bbox.width for ax in (left, right)) > 3.0 * figure.dpi


def test_a_candidate_that_completes_no_call_says_so() -> None:
    spreads = [(0.5, 0.4, 0.6), (math.nan,) * 3]
    figure: Any = plots.recommend_figure("t", ["aimd", "pie"], [(9.0, 8.0, 10.0)] * 2, spreads, 0)
    left, right = figure.axes
    assert (said(left), said(right)) == ([], ["no call completes"])
    assert right.texts[0].get_position()[1] == 1
