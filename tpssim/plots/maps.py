"""Measures over factors: heat maps of two, lines over one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator, NullLocator

from tpssim.plots.common import BLACK, BLUE, DASHES, GREY, ORANGE, PRODUCERS, log_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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
MOST_LINES = 8  # as many as there are colours
TICKS = 8  # on an axis of values that were swept
Value = float | str
Point = tuple[Value, ...]
Curve = tuple[str, "Array", "Array"]
#: (label, its points: x, value, half-width of the interval)
Lines = Sequence[tuple[str, Sequence[tuple[Value, float, float]]]]


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
    note: str = "",
) -> Figure:
    """A map of values, a row for each y, in colours that the colour-blind and grey printers keep in order.

    With `words`, values are positions in them. A curve that lies off the map is named in the legend alone.
    Ticks stand in the middle of cells, at values that were swept: cells at the border reach beyond these.
    """
    figure = Figure(figsize=(7.2, 5.2), layout="constrained", dpi=110)
    ax = figure.subplots()
    edges = []
    for axis, places, name in ((ax.xaxis, xs, axes[0]), (ax.yaxis, ys, axes[1])):
        if all(isinstance(place, float) for place in places):
            swept = [float(place) for place in places]
            found, log = _edges(swept)
            if log:
                (ax.set_xscale if axis is ax.xaxis else ax.set_yscale)("log")
            ticks = _apart(swept, log)
            axis.set_ticks(ticks, labels=[_tick(value, name) for value in ticks])
            axis.set_minor_locator(NullLocator())
        else:
            found = np.arange(len(places) + 1.0) - 0.5
            axis.set_ticks(range(len(places)), labels=[_place(place) for place in places])
        edges.append(found)
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
    ax.set_xlabel(_bare(axes[0]))
    ax.set_ylabel(_bare(axes[1]))
    _titles(figure, ax, title, note)
    handles += ax.get_legend_handles_labels()[0]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def lines_over(
    names: Sequence[str],
    points: Sequence[Point],
    x: str,
    by: str | None,
    rows: Sequence[tuple[Value, float, float]],
) -> tuple[Lines, str, bool]:
    """(lines, what they are a mean of, whether points are joined) of the points of a sweep.

    A row is (x, value, half-width). A line for each setting of the other factors; where these are more than
    `MOST_LINES`, for each value of `by` (default: the last), its points means over the rest. If `x` is no
    factor, the first that is left runs along the lines. The points of a sample lie on no line.
    """
    levels = {name: list(dict.fromkeys(point[i] for point in points)) for i, name in enumerate(names)}
    if math.prod(len(found) for found in levels.values()) != len(points):
        return [("", rows)], "", False
    along = x if x in levels else next((name for name in names if name != by), names[0])
    apart = [name for name in names if name != along]
    rest: list[str] = []
    if len(apart) > 1 and math.prod(len(levels[name]) for name in apart) > MOST_LINES:
        kept = by or apart[-1]
        rest, apart = [name for name in apart if name != kept], [kept]
    cells: dict[Point, dict[Value, list[tuple[Value, float, float]]]] = {}
    for point, row in zip(points, rows, strict=True):
        at = dict(zip(names, point, strict=True))
        cells.setdefault(tuple(at[name] for name in apart), {}).setdefault(at[along], []).append(row)
    lines = [
        (
            ", ".join(f"{name}={_place(value)}" for name, value in zip(apart, setting, strict=True)),
            [_mean(found) for found in line.values()],
        )
        for setting, line in cells.items()
    ]
    return lines, mean_over({name: levels[name] for name in rest}), True


def _mean(rows: Sequence[tuple[Value, float, float]]) -> tuple[Value, float, float]:
    """The mean of points, without an interval, as they share their noise; of one, itself."""
    if len(rows) == 1:
        return rows[0]
    x = rows[0][0]
    if not isinstance(x, str):
        x = _finite_mean([float(row[0]) for row in rows])
    return x, _finite_mean([row[1] for row in rows]), 0.0


def _finite_mean(values: Sequence[float]) -> float:
    there = [value for value in values if math.isfinite(value)]
    return math.fsum(there) / len(there) if there else math.nan


def mean_over(levels: Mapping[str, Sequence[Value]], what: str = "mean") -> str:
    """What a picture does not show apart, by factor.

    >>> mean_over({"alpha": [0.05, 0.2], "cv": [0.1, 0.2, 0.3, 0.4, 0.5]})
    'mean over alpha (0.05, 0.2) and cv (5 values)'
    """
    told = [
        f"{name} ({', '.join(map(_place, found)) if len(found) < 5 else f'{len(found)} values'})"
        for name, found in levels.items()
    ]
    return f"{what} over {' and '.join(told)}" if told else ""


def line_figure(
    title: str, axes: tuple[str, str], lines: Lines, note: str = "", joined: bool = True
) -> Figure:
    """Values with their confidence intervals against x, a line each; `note` says what is not shown."""
    widest = max(len(label) for label, _ in lines)
    figure = Figure(figsize=(7.2 if widest < 20 else 8.8, 4.4), layout="constrained", dpi=110)
    ax = figure.subplots()
    colours = (BLUE, ORANGE, *PRODUCERS, "#E69F00", "#F0E442", BLACK)
    places = list(dict.fromkeys(x for _, line in lines for x, _, _ in line))
    numeric = all(isinstance(x, float) for x in places)
    lowest = np.inf
    for i, (name, line) in enumerate(lines):
        x = np.array([x if numeric else places.index(x) for x, _, _ in line], dtype=np.float64)
        y, half = (np.array([point[k] for point in line]) for k in (1, 2))
        look: dict[str, Any] = {
            "color": colours[i % len(colours)],
            "marker": "os^DvPX"[i % 7],
            "label": name,
        }
        if numeric and joined:  # of lines on one another the lower ones show between the dashes
            ax.plot(x, y, ms=4, lw=1.6, ls=DASHES[i % 3], **look)
            ax.fill_between(x, y - half, y + half, color=look["color"], alpha=0.2, lw=0)
        elif numeric:  # the points of a sample lie on no line
            ax.errorbar(x, y, half, ls="", ms=4, elinewidth=0.8, **look)
        else:  # nothing lies between two names
            shift = 0.5 * ((i + 0.5) / len(lines) - 0.5)
            ax.errorbar(x + shift, y, half, ls="", ms=6, capsize=3, **look)
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
    _titles(figure, ax, title, note)
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
    log = axis.get_scale() == "log"
    if places:
        ticks = _apart([float(place) for place in places], log)
        axis.set_ticks(ticks, labels=[_tick(value, label) for value in ticks])
        axis.set_minor_locator(NullLocator())
    elif log:
        low, high = axis.get_view_interval()
        log_ticks(axis, high / low)
    elif label.endswith(" (s)"):
        axis.set_major_formatter(EngFormatter(unit="s"))
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    elif label.endswith(" (share)"):
        axis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value, label)))
    axis.set_label_text(_bare(label))


def _bare(label: str) -> str:
    """Without a unit that stands at each tick."""
    return label.removesuffix(" (s)").removesuffix(" (share)")


def _apart(values: Sequence[float], log: bool) -> list[float]:
    """Of values some that leave room for their labels: of evenly spaced ones those with the shortest.

    >>> _apart([1.0 + 0.04 * k for k in range(26)], False)
    [1.0, 1.2, 1.4, 1.6, 1.8, 2.0]
    """
    ordered = sorted(values)
    u = np.log(ordered) if log else np.asarray(ordered)
    gaps, least = np.diff(u), (1.0 - 1e-9) * (u[-1] - u[0]) / TICKS
    if len(u) > 2 and np.ptp(gaps) < 1e-6 * gaps[0]:
        stride = math.ceil(least / gaps[0])
        every = [
            ordered[first::step]
            for step in range(stride, max(stride + 1, 3 * stride // 2))
            for first in range(step)
        ]
        return min(every, key=lambda kept: sum(len(_place(x)) for x in kept) / len(kept))
    kept = [0]
    for i in range(1, len(ordered)):
        if u[i] - u[kept[-1]] >= least:
            kept.append(i)
    return [ordered[i] for i in kept]


def _tick(value: float, label: str) -> str:
    """A value of an axis in the unit of its label: seconds in ms and us, shares in percent."""
    if label.endswith(" (s)"):
        return EngFormatter(unit="s").format_data(value)
    return f"{100.0 * value:.4g}%" if label.endswith(" (share)") else _place(value)


def _titles(figure: Figure, ax: Axes, title: str, note: str) -> None:
    if note:
        ax.set_title(note, fontsize=9)
        figure.suptitle(title, fontsize=11, fontweight="bold")
    else:
        ax.set_title(title, fontsize=11, fontweight="bold")


def _place(value: Value | None) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
