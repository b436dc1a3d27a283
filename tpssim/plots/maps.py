"""Measures over factors: heat maps of two, lines over one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, MaxNLocator

from tpssim.plots.common import BLACK, BLUE, DASHES, GREY, ORANGE, PRODUCERS, log_ticks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: From dark to light, bad to good, so that a grey printer keeps them apart.
WORD_COLOURS = {
    "stuck": "#1B1B4B",
    "oscillates": "#D55E00",
    "drifts": "#A97BB3",
    "saturated": "#E69F00",
    "converges": "#F6F1B8",
}
FEW = 8  # values of an axis, each with its tick
Value = float | str
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

    With `words`, values are positions in them. A curve that lies off the map is named in the legend alone.
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
        bar = figure.colorbar(mesh, ax=ax)
        bar.outline.set_visible(False)
        _label(bar.ax.yaxis, legend)
        if not np.isfinite(values).all():
            handles.append(Patch(fc=GREY, ec=BLACK, lw=0.6, label="no finite value"))
    else:
        colours = ListedColormap([WORD_COLOURS.get(word, GREY) for word in words])
        ax.pcolormesh(
            edges[0], edges[1], values, cmap=colours, vmin=-0.5, vmax=len(words) - 0.5, rasterized=True
        )
        there = np.unique(values).astype(int)
        handles += [
            Patch(fc=WORD_COLOURS.get(words[i], GREY), ec=BLACK, lw=0.6, label=words[i]) for i in there
        ]
    bounds = ax.axis()
    for (label, x, y), dashes in zip(curves, ("-", "--", ":"), strict=False):
        if y.max() < bounds[2] or y.min() > bounds[3]:  # told, as it cannot be shown
            where, arrow = ("below", "v") if y.max() < bounds[2] else ("above", "^")
            ax.plot([], [], arrow, color=BLACK, ls="", label=f"{label}: {where} the map")
            continue
        ax.plot(x, y, color="white", lw=3.2, solid_capstyle="butt")
        ax.plot(x, y, color=BLACK, lw=1.6, ls=dashes, label=label)
    if mark is not None and bounds[0] <= mark[0] <= bounds[1] and bounds[2] <= mark[1] <= bounds[3]:
        label = f"given: {mark[0]:g}, {mark[1]:g}"
        ax.plot(*mark, "*", ms=15, mfc="white", mec=BLACK, label=label, ls="")
    ax.axis(bounds)
    _label(ax.xaxis, axes[0], xs)
    _label(ax.yaxis, axes[1], ys)
    ax.set_title(title, fontsize=11, fontweight="bold")
    handles += ax.get_legend_handles_labels()[0]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
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
    lowest = np.inf
    for i, (name, line) in enumerate(lines.items()):
        x = np.array([x if numeric else places.index(x) for x, _, _ in line], dtype=np.float64)
        y, half = (np.array([point[k] for point in line]) for k in (1, 2))
        label = None if name is None else f"{by}={_place(name)}"
        colour, marker = colours[i % len(colours)], "os^DvPX"[i % 7]
        if numeric:  # of lines on one another the lower ones show between the dashes
            ax.plot(x, y, marker=marker, ms=4, lw=1.6, label=label, color=colour, ls=DASHES[i % 3])
            ax.fill_between(x, y - half, y + half, color=colour, alpha=0.2, lw=0)
        else:  # nothing lies between two names
            shift = 0.5 * ((i + 0.5) / len(lines) - 0.5)
            ax.errorbar(x + shift, y, half, fmt=marker, ms=6, capsize=3, label=label, color=colour)
        lowest = min(lowest, float(np.fmin.reduce(y, initial=np.inf)))
    if not numeric:
        ax.set_xticks(range(len(places)), labels=[_place(x) for x in places])
    elif len(places) > 2 and _edges(sorted(float(x) for x in places))[1]:
        ax.set_xscale("log")
    if lowest >= 0.0:  # an interval may reach below what cannot be negative
        low, high = ax.get_ylim()
        ax.set_ylim(bottom=max(low, -0.02 * high))
    if numeric:
        _label(ax.xaxis, axes[0], places)
    else:
        ax.set_xlabel(axes[0])
    _label(ax.yaxis, axes[1])
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color=GREY, lw=0.5, alpha=0.6)
    ax.set_title(title, fontsize=11, fontweight="bold")
    if len(lines) > 1:
        figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    return figure


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


def _label(axis: Any, label: str, places: Sequence[Value] = ()) -> None:
    """What an axis of numbers measures; seconds and shares have their unit (ms, %) at each tick instead."""
    if axis.get_scale() == "log":
        low, high = axis.get_view_interval()
        log_ticks(axis, high / low)
    if label.endswith(" (s)"):
        axis.set_major_formatter(EngFormatter(unit="s"))
        if axis.get_scale() == "linear":
            axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    elif label.endswith(" (share)"):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100.0 * value:g}%"))
    if 1 < len(places) <= FEW and all(isinstance(place, float) for place in places):
        ticks = sorted(float(place) for place in places)
        between = np.diff(np.log(ticks) if axis.get_scale() == "log" else ticks)
        if between.min() > 0.08 * between.sum():  # else they would run into each other
            axis.set_major_locator(FixedLocator(ticks))
    axis.set_label_text(label.removesuffix(" (s)").removesuffix(" (share)"))


def _place(value: Value | None) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
