"""Pictures of finished runs; matplotlib's only door. It takes arrays, so it can start no run.

Colours are Okabe and Ito's, which colour-blind readers can tell apart; lines differ in width and dashes too.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib import rc_context
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

BLUE, ORANGE, BLACK, GREY = "#0072B2", "#D55E00", "#000000", "#BBBBBB"
#: From dark to light, bad to good.
WORD_COLOURS = {
    "stuck": "#1B1B4B",
    "oscillates": "#D55E00",
    "drifts": "#8D5A97",
    "saturated": "#E69F00",
    "converges": "#F6F1B8",
}
PRODUCERS, DASHES = ("#009E73", "#CC79A7", "#56B4E9"), ("-", "--", ":")
PER_ROW = 3
Value = float | str
POINTS = 1000  # of the commanded rate; more than a panel has pixels


class Panel(NamedTuple):
    """One run: the commanded rate, 1/s, at times t, s; when calls were completed, s: all, and by producer."""

    title: str
    t: Array
    commanded: Array
    completed: Array
    each: Sequence[Array] = ()


class Frame(NamedTuple):
    """What all panels of a figure share."""

    steps: Sequence[tuple[float, float, float]]  #: (start, end, achievable rate)
    shades: Sequence[tuple[float, float]]  #: when a disturbance acts
    target: float
    duration: float


def rate_figure(title: str, panels: Sequence[Panel], frame: Frame) -> Figure:
    """Small multiples: the delivered and the commanded rate over time against what was achievable."""
    columns = 2 if len(panels) == 4 else min(PER_ROW, len(panels))
    rows = -(-len(panels) // columns)
    width, height = 4.2 * columns, 1.3 + 2.1 * rows
    figure = Figure(figsize=(width, height), dpi=110)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    # Fixed margins, inch: panels are alike, and finding a layout takes as long as drawing.
    figure.subplots_adjust(
        left=0.75 / width,
        right=1.0 - 0.15 / width,
        bottom=0.95 / height,
        top=1.0 - 0.8 / height,
        wspace=0.35 / (width / columns - 0.4),
        hspace=0.36 / 1.7,
    )
    for ax, panel in zip(axes.flat, panels, strict=False):
        _draw(ax, panel, frame)
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    for column in range(columns):
        last = (len(panels) - 1 - column) // columns
        axes[last, column].set_xlabel("time (s)")
        axes[last, column].tick_params(labelbottom=True)
    for row in axes:
        row[0].set_ylabel("calls per second")
    figure.suptitle(title, fontsize=12, fontweight="bold")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="lower center",
        ncols=min(len(labels), 1 + 2 * columns),
        frameon=False,
        fontsize=9,
    )
    return figure


def panel_figure(panel: Panel, frame: Frame) -> Figure:
    """One run without title and legend, for a page that has them."""
    figure = Figure(figsize=(3.9, 2.0), dpi=110)
    ax = figure.subplots()
    figure.subplots_adjust(left=0.155, right=0.97, bottom=0.235, top=0.95)
    _draw(ax, panel._replace(title=""), frame)
    ax.set_xlabel("time (s)", labelpad=2)
    ax.set_ylabel("calls per second", labelpad=2)
    return figure


def overlay_figure(title: str, panels: Sequence[Panel], frame: Frame, ceiling: str) -> Figure:
    """Runs over one another: the commanded rate above, the delivered one below; the first run stands out.

    `ceiling` says what the steps of the frame are.
    """
    figure = Figure(figsize=(9.0, 6.2), layout="constrained", dpi=110)
    above, below = figure.subplots(2, 1, sharex=True, sharey=True)
    edges = np.array([start for start, _, _ in frame.steps] + [frame.duration])
    width = max(frame.duration / 60.0, 1e-9)
    colours = (BLUE, ORANGE, *PRODUCERS, "#E69F00")
    for ax in (above, below):
        steps = [rate for _, _, rate in frame.steps]
        ax.stairs(steps, edges, baseline=None, color=GREY, lw=1.2, ls="--", label=ceiling)
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_ylim(0.0, 1.15 * frame.target)
        ax.set_xlim(0.0, frame.duration)
    for i, panel in enumerate(panels):
        style: dict[str, Any] = {"color": BLACK, "lw": 2.6, "alpha": 0.75}
        if i > 0:
            style = {"color": colours[(i - 1) % len(colours)], "lw": 1.4, "ls": DASHES[(i - 1) % 3]}
        above.plot(panel.t, panel.commanded, label=panel.title, **style)
        below.plot(*_binned(panel.completed, frame.duration, width), **style)
    above.set_ylabel("commanded (1/s)")
    below.set_ylabel(f"delivered (1/s, {width:.2g} s means)")
    below.set_xlabel("time (s)")
    figure.suptitle(title, fontsize=12, fontweight="bold")
    handles, labels = above.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def analysis_figure(
    title: str,
    caption: str,
    curves: Sequence[tuple[str, NDArray[np.complex128]]],
    marks: Sequence[tuple[str, complex]],
    panel: Panel,
    frame: Frame,
    levels: Sequence[tuple[str, float]],
    span: tuple[float, float],
) -> Figure:
    """A loop in the complex plane (left out if there are no curves), and a run with levels over a span."""
    loops = len(curves) > 0
    figure = Figure(figsize=(11.0 if loops else 7.0, 5.2), layout="constrained", dpi=110)
    axes = figure.subplots(1, 2 if loops else 1, squeeze=False)[0]
    if loops:
        _draw_loop(axes[0], curves, marks)
        axes[0].set_title(caption, fontsize=10)
    ax = axes[-1]
    _draw(ax, panel, frame)
    for (label, level), dashes in zip(levels, ((0, (6, 2)), (0, (1, 1)), (0, (3, 1, 1, 1))), strict=False):
        text = f"{label} {level:.3g}/s"
        ax.plot(span, [level, level], color=PRODUCERS[1], lw=2.2, ls=dashes, label=text, zorder=4)
    ax.set_xlabel("time (s)")
    ax.set_ylabel("calls per second")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=12, fontweight="bold")
    return figure


def _draw_loop(
    ax: Axes, curves: Sequence[tuple[str, NDArray[np.complex128]]], marks: Sequence[tuple[str, complex]]
) -> None:
    """Curves of the complex plane around the points that matter."""
    ax.axhline(0.0, color=GREY, lw=0.8)
    ax.axvline(0.0, color=GREY, lw=0.8)
    reach = max([1.2, *(1.15 * abs(at) for _, at in marks)])
    for i, (label, values) in enumerate(curves):
        near = np.where(np.abs(values) < 3.0 * reach, values, np.nan)
        style: dict[str, Any] = {
            "color": (BLUE, ORANGE, BLACK)[i % 3],
            "lw": (2.0, 1.6, 2.6)[i % 3],
            "ls": DASHES[i % 3],
        }
        ax.plot(near.real, near.imag, label=label, **style)
    for i, (label, at) in enumerate(marks):
        look: dict[str, Any] = {"marker": "+ox"[i % 3], "color": (BLACK, ORANGE, PRODUCERS[0])[i % 3]}
        ax.plot([at.real], [at.imag], ms=10, mew=2.0, ls="", mfc="none", zorder=5, label=label, **look)
    ax.set_xlim(-reach, 0.35 * reach)
    ax.set_ylim(-reach, 0.35 * reach)
    ax.set_aspect("equal")
    ax.set_xlabel("real part")
    ax.set_ylabel("imaginary part")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, frameon=False, fontsize=8)


def _draw(ax: Axes, panel: Panel, frame: Frame) -> None:
    for i, (start, end) in enumerate(frame.shades):
        ax.axvspan(start, end, color=GREY, alpha=0.45, lw=0, label="disturbance" if i == 0 else None)
    edges = np.array([start for start, _, _ in frame.steps] + [frame.duration])
    ax.stairs(
        [rate for _, _, rate in frame.steps],
        edges,
        baseline=None,
        color=BLACK,
        lw=1.4,
        ls="--",
        label="achievable",
    )
    if np.isfinite(panel.commanded).any():
        ax.plot(panel.t, panel.commanded, color=ORANGE, lw=0.9, zorder=3, label="commanded rate")
    width = max(frame.duration / 120.0, 1e-9)
    middle, delivered = _binned(panel.completed, frame.duration, width)
    ax.plot(middle, delivered, color=BLUE, lw=2.2, label=f"delivered ({width:.2g} s means)")
    for i, completed in enumerate(panel.each):
        middle, share = _binned(completed, frame.duration, 4.0 * width)
        label = f"of producer {i + 1} ({4.0 * width:.2g} s means)"
        ax.plot(middle, share, color=PRODUCERS[i % 3], ls=DASHES[i % 3], lw=1.5, label=label)
    top = 1.3 * frame.target
    ax.set_ylim(0.0, top)
    ax.set_xlim(0.0, frame.duration)
    ax.set_title(panel.title, fontsize=10)
    ax.spines[["top", "right"]].set_visible(False)
    if delivered.max() > top:
        at = width * int(delivered.argmax())
        right = at > frame.duration / 2.0
        ax.annotate(
            f"storm: {delivered.max():,.0f}/s",
            (at, top),
            (-6 if right else 6, -9),
            textcoords="offset points",
            fontsize=8,
            color=BLUE,
            ha="right" if right else "left",
            bbox={"facecolor": "white", "alpha": 0.8, "pad": 1, "lw": 0},
            zorder=5,
        )


def _edges(values: Sequence[float]) -> tuple[Array, bool]:
    """Edges of cells around the values, and whether those are spaced evenly on a logarithmic scale."""
    v = np.asarray(values, dtype=np.float64)
    if len(v) == 1:
        return np.array([v[0] - 0.5, v[0] + 0.5]), False
    ratios = v[1:] / v[:-1] if (v > 0.0).all() else np.array([1.0, 2.0])
    log = len(v) > 2 and bool(np.ptp(ratios) < 1e-3 * ratios[0]) and ratios[0] > 1.05
    u = np.log(v) if log else v
    middle = (u[1:] + u[:-1]) / 2.0
    edges = np.concatenate(([1.5 * u[0] - 0.5 * u[1]], middle, [1.5 * u[-1] - 0.5 * u[-2]]))
    return (np.exp(edges) if log else edges), log


Curve = tuple[str, "Array", "Array"]


def heat_figure(
    title: str,
    axes: tuple[str, str],
    xs: Sequence[Value],
    ys: Sequence[Value],
    values: Array,
    legend: str,
    curves: Sequence[Curve],
    mark: tuple[float, float] | None,
    words: Sequence[str] | None = None,
) -> Figure:
    """A map of values, a row for each y, in colours that the colour-blind and grey printers keep in order.

    With `words`, values are positions in them.
    """
    figure = Figure(figsize=(7.2, 5.2), layout="constrained", dpi=110)
    ax = figure.subplots()
    edges = []
    for axis, places in ((ax.xaxis, xs), (ax.yaxis, ys)):
        if all(isinstance(place, float) for place in places):
            found, log = _edges([float(place) for place in places])
        else:
            found, log = np.arange(len(places) + 1.0) - 0.5, False
            axis.set_ticks(range(len(places)), labels=[_place(place) for place in places])
        edges.append(found)
        if log:
            (ax.set_xscale if axis is ax.xaxis else ax.set_yscale)("log")
    handles: list[Any] = []
    ax.set_facecolor(GREY)
    if words is None:
        shown = np.ma.masked_invalid(values)
        mesh = ax.pcolormesh(edges[0], edges[1], shown, cmap="cividis", shading="flat", rasterized=True)
        bar = figure.colorbar(mesh, ax=ax, label=legend)
        bar.outline.set_visible(False)
        if legend.endswith("(share)"):
            bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0))
        if not np.isfinite(values).all():
            handles.append(Patch(color=GREY, label="no finite value"))
    else:
        colours = ListedColormap([WORD_COLOURS.get(word, GREY) for word in words])
        ax.pcolormesh(
            edges[0], edges[1], values, cmap=colours, vmin=-0.5, vmax=len(words) - 0.5, rasterized=True
        )
        there = np.unique(values).astype(int)
        handles += [Patch(color=WORD_COLOURS.get(words[i], GREY), label=words[i]) for i in there]
    bounds = ax.axis()
    for (label, x, y), dashes in zip(curves, ("-", "--", ":"), strict=False):
        ax.plot(x, y, color="white", lw=3.2, solid_capstyle="butt")
        ax.plot(x, y, color=BLACK, lw=1.6, ls=dashes, label=label)
    if mark is not None and bounds[0] <= mark[0] <= bounds[1] and bounds[2] <= mark[1] <= bounds[3]:
        label = f"given: {mark[0]:g}, {mark[1]:g}"
        ax.plot(*mark, "*", ms=15, mfc="white", mec=BLACK, label=label, ls="")
    ax.axis(bounds)
    _units(ax, axes)
    ax.set_xlabel(axes[0])
    ax.set_ylabel(axes[1])
    ax.set_title(title, fontsize=11, fontweight="bold")
    handles += ax.get_legend_handles_labels()[0]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def matrix_figure(
    title: str,
    rows: Sequence[str],
    means: Sequence[float],
    columns: Sequence[str],
    groups: Sequence[tuple[str, int]],
    values: Array,
    words: Sequence[Sequence[str]],
) -> Figure:
    """A cell for each row and column: its value between 0 and 1 as colour and number, a word below it.

    `groups`: names of stretches of columns and how many each has; `means`: a number for each row. A cell
    whose value is nan stays empty.
    """
    width, height = 3.0 + 0.74 * len(columns), 2.6 + 0.34 * len(rows)
    figure = Figure(figsize=(width, height), dpi=110)
    ax = figure.subplots()
    figure.subplots_adjust(
        left=1.75 / width, right=1.0 - 0.75 / width, top=1.0 - 1.75 / height, bottom=0.55 / height
    )
    ax.set_facecolor("white")
    ax.imshow(np.ma.masked_invalid(values), cmap="cividis", vmin=0.0, vmax=1.0, aspect="auto")
    for i, j in zip(*np.nonzero(np.isfinite(values)), strict=True):
        colour = "white" if values[i, j] < 0.55 else BLACK
        number = f"{values[i, j]:.2f}".removeprefix("0")
        ax.text(j, i - 0.17, number, ha="center", va="center", fontsize=8.5, color=colour, fontweight="bold")
        ax.text(j, i + 0.25, words[i][j], ha="center", va="center", fontsize=6.5, color=colour)
    ax.set_yticks(range(len(rows)), labels=list(rows), fontsize=9)
    ax.set_xticks(range(len(columns)), labels=list(columns), fontsize=9, rotation=40, ha="left")
    ax.xaxis.tick_top()
    ax.set_xticks(np.arange(len(columns) + 1.0) - 0.5, minor=True)
    ax.set_yticks(np.arange(len(rows) + 1.0) - 0.5, minor=True)
    ax.grid(which="minor", color="white", lw=1.5)
    ax.tick_params(length=0, which="both")
    ax.spines[:].set_visible(False)
    for i, mean in enumerate(means):
        ax.text(len(columns) - 0.35, i, f"{mean:.3f}", va="center", fontsize=9, fontweight="bold")
    ax.text(len(columns) - 0.35, -0.75, "mean", fontsize=9)
    start = 0
    for name, count in groups:
        if count:
            ax.axvline(start - 0.5, color=BLACK, lw=1.5 if start else 0.0)
            ax.text(start + count / 2.0 - 0.5, len(rows) - 0.3, name, ha="center", va="top", fontsize=10)
        start += count
    figure.suptitle(title, fontsize=12, fontweight="bold", y=1.0 - 0.1 / height, va="top")
    return figure


def line_figure(
    title: str,
    axes: tuple[str, str],
    by: str | None,
    lines: Mapping[Value | None, Sequence[tuple[Value, float, float]]],
) -> Figure:
    """Values with their confidence intervals against x, a line each."""
    figure = Figure(figsize=(7.2, 4.4), layout="constrained", dpi=110)
    ax = figure.subplots()
    colours = (BLUE, ORANGE, *PRODUCERS, "#E69F00", "#F0E442", BLACK)
    places = list(dict.fromkeys(x for line in lines.values() for x, _, _ in line))
    numeric = all(isinstance(x, float) for x in places)
    for i, (name, line) in enumerate(lines.items()):
        x = np.array([x if numeric else places.index(x) for x, _, _ in line], dtype=np.float64)
        y, half = (np.array([point[k] for point in line]) for k in (1, 2))
        label = None if name is None else f"{by}={_place(name)}"
        colour, dashes = colours[i % len(colours)], DASHES[i // len(colours) % 3]
        ax.plot(x, y, marker="os^Dv"[i % 5], ms=4, lw=1.6, label=label, color=colour, ls=dashes)
        ax.fill_between(x, y - half, y + half, color=colour, alpha=0.2, lw=0)
    if not numeric:
        ax.set_xticks(range(len(places)), labels=[_place(x) for x in places])
    elif len(places) > 2 and _edges(sorted(float(x) for x in places))[1]:
        ax.set_xscale("log")
    ax.set_xlabel(axes[0])
    ax.set_ylabel(axes[1])
    _units(ax, axes if numeric else ("", axes[1]))
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color=GREY, lw=0.5, alpha=0.6)
    ax.set_title(title, fontsize=11, fontweight="bold")
    if len(lines) > 1:
        figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    return figure


def _units(ax: Axes, labels: tuple[str, str]) -> None:
    """Seconds in ms and us, shares in percent."""
    for axis, label in ((ax.xaxis, labels[0]), (ax.yaxis, labels[1])):
        if label.endswith(" (s)"):
            axis.set_major_formatter(EngFormatter(unit="s"))
            if axis.get_scale() == "linear":
                axis.set_major_locator(MaxNLocator(6))
        elif label.endswith(" (share)"):
            axis.set_major_formatter(PercentFormatter(1.0))


def _place(value: Value | None) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _binned(times: Array, duration: float, width: float) -> tuple[Array, Array]:
    """Mid-points of bins, s, and events a second in each."""
    bins = np.arange(0.0, duration + width / 2.0, width)
    return bins[:-1] + width / 2.0, np.histogram(times, bins)[0] / width


def draw(path: Path, description: str, title: str, panels: Sequence[Panel], frame: Frame) -> None:
    """Draw a `rate_figure` and write it, where a worker may do that."""
    save(rate_figure(title, panels, frame), path, description)


def save(figure: Figure, path: Path, description: str) -> None:
    """Write a PNG that carries the command and version that made it."""
    figure.savefig(path, metadata={"Description": description, "Software": "tpssim"})


def svg(figure: Figure) -> str:
    """The figure as SVG whose text is text; equal figures give equal bytes."""
    with (
        io.StringIO() as file,
        rc_context({"svg.fonttype": "none", "svg.hashsalt": "tpssim", "path.simplify_threshold": 0.4}),
    ):
        figure.savefig(file, format="svg", metadata={"Date": None})
        return file.getvalue()
