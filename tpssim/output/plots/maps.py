"""Measures over factors: heat maps of two, lines over one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from tpssim.output.cells import At, Cells, Value, levels, mean_of
from tpssim.output.plots.common import BLACK, BLUE, DASHES, GREY, ORANGE, PRODUCERS
from tpssim.output.plots.partial import draw_made, draw_partial
from tpssim.output.plots.ticks import (
    cell_edges,
    is_numeric,
    label_values,
    place_label,
    spaced,
    tick_labels,
    without_unit,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: Good is the strongest colour and bad warns. The colour-blind tell them apart, and so does a grey
#: printer.
WORD_COLOURS = {
    "stuck": "#7A0F0F",
    "oscillates": "#D55E00",
    "saturated": "#E69F00",
    "drifts": "#DDB3D0",
    "converges": "#0072B2",
}
MOST_LINES = 8  # as many as there are colours
Point = tuple[Value, ...]
Curve = tuple[str, "Array", "Array"]
#: label and points of each line
Lines = Sequence[tuple[str, Sequence[At]]]


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
    better: str = "",
    made: Cells | None = None,
) -> Figure:
    """A map of values, a row for each y, in colours that the colour-blind and grey printers keep in
    order.

    With `words`, values are positions in them. A curve that lies off the map is named in the legend
    alone. Ticks stand in the middle of cells, at values that were swept: cells at the border reach
    beyond these. Light is good where `better` is more or less. `made` says of how many runs a cell
    is made: one in which it never happens in some is black, whatever the others say; both are
    hatched and counted.
    """
    figure = Figure(figsize=(7.2, 5.2), layout="constrained", dpi=110)
    ax = figure.subplots()
    edges = _swept(ax.xaxis, xs, axes[0]), _swept(ax.yaxis, ys, axes[1])
    ax.set_facecolor(GREY)
    if words is None:
        handles = _draw_values(figure, ax, edges, values, legend, better)
        handles += draw_made(ax, edges, made) if made is not None else []
    else:
        handles = _draw_words(ax, edges, values, words)
    _draw_theory(ax, curves, mark)
    ax.set_xlabel(without_unit(axes[0]))
    ax.set_ylabel(without_unit(axes[1]))
    _titles(figure, ax, title, note)
    handles += ax.get_legend_handles_labels()[0]
    if handles:
        wide = max(len(str(handle.get_label())) for handle in handles) > 40
        figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=1 if wide else 2,
            frameon=False,
            fontsize=9,
        )
    return figure


def _swept(axis: Any, places: Sequence[Value], name: str) -> Array:
    """Ticks at what was swept along an axis of cells; the edges of these."""
    if not is_numeric(places):
        axis.set_ticks(range(len(places)), labels=[place_label(place) for place in places])
        return np.arange(len(places) + 1.0) - 0.5
    swept = [float(place) for place in places]
    edges, log = cell_edges(swept)
    if log:
        (axis.axes.set_xscale if axis is axis.axes.xaxis else axis.axes.set_yscale)("log")
    ticks = spaced(swept, log)
    axis.set_ticks(ticks, labels=tick_labels(ticks, name))
    axis.set_minor_locator(NullLocator())
    return edges


def _draw_values(
    figure: Figure, ax: Axes, edges: tuple[Array, Array], values: Array, legend: str, better: str
) -> list[Any]:
    """Cells in the colours of a bar; what explains those without a value."""
    shown = np.ma.masked_invalid(values)
    colour = "cividis_r" if better == "less" else "cividis"
    mesh = ax.pcolormesh(*edges, shown, cmap=colour, shading="flat", rasterized=True)
    bar = figure.colorbar(mesh, ax=ax)
    bar.outline.set_visible(False)
    label_values(bar.ax.yaxis, legend)
    if better:
        bar.ax.yaxis.set_label_text(f"{without_unit(legend)}: {better} is better")
    return [Patch(fc=GREY, ec=BLACK, lw=0.6, label="no value")] if np.isnan(values).any() else []


def _draw_words(
    ax: Axes, edges: tuple[Array, Array], values: Array, words: Sequence[str]
) -> list[Any]:
    """Cells in the colours of words; what explains them."""
    colours = [WORD_COLOURS.get(word, GREY) for word in words]
    last = len(words) - 0.5
    ax.pcolormesh(
        *edges, values, cmap=ListedColormap(colours), vmin=-0.5, vmax=last, rasterized=True
    )
    there = np.unique(values).astype(int)
    return [Patch(fc=colours[i], ec=BLACK, lw=0.6, label=words[i]) for i in there]


def _draw_theory(ax: Axes, curves: Sequence[Curve], mark: tuple[float, float] | None) -> None:
    """Curves, and the mark of what was given, over a map whose bounds stay."""
    bounds = ax.axis()
    for (label, x, y), dashes in zip(curves, ("-", "--", ":"), strict=False):
        if y.max() < bounds[2] or y.min() > bounds[3]:  # named, as it cannot be shown
            where, arrow = ("below", "v") if y.max() < bounds[2] else ("above", "^")
            ax.plot([], [], arrow, color=BLACK, ls="", label=f"{label}: {where} the map")
            continue
        ax.plot(x, y, color="white", lw=3.2, solid_capstyle="butt")
        ax.plot(x, y, color=BLACK, lw=1.6, ls=dashes, label=label)
    if mark is not None and bounds[0] <= mark[0] <= bounds[1] and bounds[2] <= mark[1] <= bounds[3]:
        label = f"given: {mark[0]:g}, {mark[1]:g}"
        ax.plot(*mark, "*", ms=15, mfc="white", mec=BLACK, label=label, ls="")
    ax.axis(bounds)


def lines_over(
    names: Sequence[str],
    points: Sequence[Point],
    x: str,
    by: str | None,
    rows: Sequence[At],
) -> tuple[Lines, str, bool]:
    """(lines, what they are a mean of, whether points are joined) of the points of a sweep.

    A line for each setting of the other factors; where these are more than `MOST_LINES`, for each
    value of `by` (default: the last), its points means over the rest. If `x` is no factor, the
    first that is left runs along the lines, and points without a place on the axis are left out, as
    the note then says. Numbers rise along a line and from line to line, in whatever order they were
    swept. The points of a sample lie on no line.
    """
    places = {name: levels(point[i] for point in points) for i, name in enumerate(names)}
    placed = [x in places or math.isfinite(float(row.x)) for row in rows]
    left_out = _left_out(
        x, [row for row, there in zip(rows, placed, strict=True) if not there], len(rows)
    )
    if math.prod(len(found) for found in places.values()) != len(points):
        return [("", list(itertools.compress(rows, placed)))], left_out, False
    along = x if x in places else next((name for name in names if name != by), names[0])
    apart = [name for name in names if name != along]
    rest: list[str] = []
    if len(apart) > 1 and math.prod(len(places[name]) for name in apart) > MOST_LINES:
        kept = by or apart[-1]
        rest, apart = [name for name in apart if name != kept], [kept]
    there: dict[Point, dict[Value, list[At]]] = {}
    for point, row in itertools.compress(zip(points, rows, strict=True), placed):
        at = dict(zip(names, point, strict=True))
        there.setdefault(tuple(at[name] for name in apart), {}).setdefault(at[along], []).append(
            row
        )
    lines = [
        (
            ", ".join(
                f"{name}={place_label(value)}" for name, value in zip(apart, setting, strict=True)
            ),
            [mean_of(there[setting][place]) for place in places[along] if place in there[setting]],
        )
        for setting in itertools.product(*(places[name] for name in apart))
        if setting in there
    ]
    over = mean_over({name: places[name] for name in rest})
    return lines, "; ".join(part for part in (over, left_out) if part), True


def _left_out(x: str, out: Sequence[At], points: int) -> str:
    """Of how many points a measure along the axis never happens, and how many do not have it."""
    never = sum(row.x == math.inf for row in out)
    counts = ((f"{x} never", never), (f"no {x}", len(out) - never))
    return "; ".join(f"{what} at {n} of {points} points, left out" for what, n in counts if n)


def mean_over(places: Mapping[str, Sequence[Value]], what: str = "mean") -> str:
    """What a picture does not show apart, by factor.

    >>> mean_over({"alpha": [0.05, 0.2], "cv": [0.1, 0.2, 0.3, 0.4, 0.5]})
    'mean over alpha (0.05, 0.2) and cv (5 values)'
    """
    named = [
        f"{name}"
        f" ({', '.join(map(place_label, found)) if len(found) < 5 else f'{len(found)} values'})"
        for name, found in places.items()
    ]
    return f"{what} over {' and '.join(named)}" if named else ""


def line_figure(
    title: str, axes: tuple[str, str], lines: Lines, note: str = "", joined: bool = True
) -> Figure:
    """Values and the intervals that hold the median run against x, a line each.

    `note` says what is not shown.

    A point at which it never happens in some runs stands at the top with their number, not on the
    line; one that some runs do not have is hollow.
    """
    widest = max((len(label) for label, _ in lines), default=0)
    figure = Figure(figsize=(7.2 if widest < 20 else 8.8, 4.4), layout="constrained", dpi=110)
    ax = figure.subplots()
    colours = (BLUE, ORANGE, *PRODUCERS, "#E69F00", "#F0E442", BLACK)
    places = levels(at.x for _, line in lines for at in line)
    numeric = is_numeric(places)
    lowest = np.inf
    for i, (name, line) in enumerate(lines):
        x = np.array([at.x if numeric else places.index(at.x) for at in line], dtype=np.float64)
        y = np.array([math.nan if at.never else at.value for at in line])
        half = np.array([at.half for at in line])
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
            x = x + shift
            ax.errorbar(x, y, half, ls="", ms=6, capsize=3, **look)
        draw_partial(ax, line, x, y, look["color"], i)
        lowest = min(lowest, float(np.fmin.reduce(y, initial=np.inf)))
    if not numeric:
        ax.set_xticks(range(len(places)), labels=[place_label(x) for x in places])
    elif len(places) > 2 and cell_edges(sorted(float(x) for x in places))[1]:
        ax.set_xscale("log")
    if lowest >= 0.0:  # an interval may reach below what cannot be negative
        low, high = ax.get_ylim()
        ax.set_ylim(bottom=max(low, -0.02 * high))
    if numeric:
        label_values(ax.xaxis, axes[0], places)
    else:
        ax.set_xlabel(axes[0])
    label_values(ax.yaxis, axes[1])
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color=GREY, lw=0.5, alpha=0.6)
    _titles(figure, ax, title, note)
    if len(lines) > 1:
        figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    return figure


def _titles(figure: Figure, ax: Axes, title: str, note: str) -> None:
    if note:
        ax.set_title(note, fontsize=9)
        figure.suptitle(title, fontsize=11, fontweight="bold")
    else:
        ax.set_title(title, fontsize=11, fontweight="bold")
