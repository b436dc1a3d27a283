"""Rates over time: small multiples, one run a panel."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from tpssim.core.types import record
from tpssim.output.pictures import Frame, Panel
from tpssim.output.plots.common import (
    BLACK,
    BLUE,
    DASHES,
    GREY,
    LETTER,
    ORANGE,
    PER_ROW,
    PRODUCERS,
    PURPLE,
    REFUSED_HERE,
    REFUSED_THERE,
    balanced,
    save,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

ALONE = 8.4, 4.2  # inch: a figure of one panel, as wide as its legend
ENTRY = 2.1  # inch: a column of the legend
LINE = 46  # letters: as wide as a panel of several
BY_SERVICE, HERE = "refused by the service", "refused here"
SHADE = "#CFE6F4"  # of what can be had: light, so that lines on it are read


def rate_figure(title: str, panels: Sequence[Panel], frame: Frame) -> Figure:
    """Small multiples: the delivered and the commanded rate over time against what was
    achievable.
    """
    panels = [_headed(panel) for panel in panels]
    columns = 2 if len(panels) == 4 else min(PER_ROW, len(panels))
    rows = -(-len(panels) // columns)
    # inch: titles of several lines
    above = 0.17 * max(panel.title.count("\n") for panel in panels)
    first = 0.17 * max(panel.title.count("\n") for panel in panels[:columns])
    several = 4.2 * columns, 1.3 + first + 2.1 * rows + above * (rows - 1)
    width, height = several if len(panels) > 1 else ALONE
    ncols = int(width / ENTRY)
    below = 0.95 + max(0.0, 0.2 * (-(-_entries(panels, frame) // ncols) - 2))  # of the legend
    height += below - 0.95
    title = balanced(title, int(width / LETTER))
    head = (0.8 if any(panel.title for panel in panels) else 0.5) + 0.2 * title.count("\n") + first
    height += 0.2 * title.count("\n")
    figure = Figure(figsize=(width, height), dpi=110)
    axes = [figure.add_subplot(rows, columns, place + 1) for place in range(len(panels))]
    # Fixed margins, inch: panels are alike, and finding a layout takes as long as drawing.
    scale = 0.3 if any(panel.limited() for panel in panels) else 0.0
    figure.subplots_adjust(
        left=0.75 / width,
        right=1.0 - (0.15 + scale) / width,
        bottom=below / height,
        top=1.0 - head / height,
        wspace=(0.35 + scale) / (width / columns - 0.4 - scale),
        hspace=(0.36 + above) / 1.7,
    )
    axis = scales_of(panels, frame)
    for place, (ax, panel) in enumerate(zip(axes, panels, strict=True)):
        draw_run(ax, panel, frame, axis)  # on equal axes: to have them share one takes longer
        below = place + columns >= len(panels)
        _label(ax, frame, figure.dpi, left=place % columns == 0, below=below)
    figure.suptitle(title, fontsize=12, fontweight="bold")
    entries: dict[str, Any] = {}
    for ax in figure.axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    labels = list(entries)
    figure.legend(
        list(entries.values()),
        labels,
        loc="lower center",
        ncols=min(len(labels), ncols),
        frameon=False,
        fontsize=9,
    )
    return figure


def _label(ax: Axes, frame: Frame, inch: float, left: bool, below: bool) -> None:
    """Numbers and words at the left of a panel and below it, each if nothing else stands there.

    Words have a fixed place: looking for one takes as long as drawing them. `inch`: of so many
    dots.
    """
    ax.tick_params(labelleft=left, labelbottom=below)
    place = ax.get_window_extent()
    ax.xaxis.set_label_coords(0.5, -0.27 * inch / place.height)
    ax.yaxis.set_label_coords(-0.45 * inch / place.width, 0.5)
    if below:
        ax.set_xlabel("time (s)")
    if left:
        ax.set_ylabel(f"{frame.of} per second")


def _entries(panels: Sequence[Panel], frame: Frame) -> int:
    """How many entries the legend has."""
    areas = {label for panel in panels for label, *_ in refused_of(panel)}
    extras = [
        bool(frame.shades),
        bool(frame.wanted),
        any(np.isfinite(panel.commanded).any() for panel in panels),
        any(panel.limited() for panel in panels),
    ]
    return 2 + len(areas) + sum(extras) + max(len(panel.each) for panel in panels)


def _headed(panel: Panel) -> Panel:
    """The panel with a title that is no wider than one of several panels.

    >>> none = np.array([])
    >>> long = "pie:\\ninert 2/2, 75 % in vain or too late, equal to the bit"
    >>> _headed(Panel(long, none, none, none)).title
    'pie:\\ninert 2/2, 75 % in vain or too late,\\nequal to the bit'
    """
    lines = panel.title.split("\n")
    return panel._replace(title="\n".join(balanced(line, LINE) for line in lines))


def drawn(description: str, title: str, panels: Sequence[Panel], frame: Frame) -> bytes:
    """A `rate_figure` as PNG, where a worker may draw it."""
    file = io.BytesIO()
    save(rate_figure(title, panels, frame), file, description)
    return file.getvalue()


def panel_figure(panel: Panel, frame: Frame, axis: Scales) -> Figure:
    """One run without title and legend, for a page that has them."""
    figure = Figure(figsize=(3.9, 2.0), dpi=110)
    ax = figure.subplots()
    figure.subplots_adjust(
        left=0.155, right=0.92 if panel.limited() else 0.97, bottom=0.235, top=0.95
    )
    draw_run(ax, panel._replace(title=""), frame, axis)
    ax.set_xlabel("time (s)", labelpad=2)
    ax.set_ylabel(f"{frame.of} per second", labelpad=2)
    return figure


def top_of(
    panels: Sequence[Panel], frame: Frame, margin: float = 1.3, width: float | None = None
) -> float:
    """Where the axis of runs that share it ends: above all that was delivered, or `margin` x
    target.

    Twice the target at most: a storm goes beyond it and is named, as it would press the others
    flat.
    """
    width = frame.duration / 120.0 if width is None else width
    peaks = [
        float(binned(panel.completed, frame.duration, max(width, 1e-9), panel.costs)[1].max())
        for panel in panels
    ]
    return max(
        [margin * frame.target, *(1.05 * peak for peak in peaks if peak <= 2.0 * frame.target)]
    )


@record
class Scales(NamedTuple):
    """The axes of runs that share them."""

    top: float  #: where that of the rates ends
    lowest: float  #: of the limits that are set
    highest: float


def scales_of(panels: Sequence[Panel], frame: Frame) -> Scales:
    """The axes on which runs can be compared by eye."""
    limits = [panel.limit for panel in panels if panel.limit is not None and panel.limited()]
    every = np.concatenate(limits) if limits else np.array([])
    every = every[np.isfinite(every)]
    return Scales(
        top=top_of(panels, frame),
        lowest=float(every.min(initial=math.inf)),
        highest=float(every.max(initial=-math.inf)),
    )


def draw_run(ax: Axes, panel: Panel, frame: Frame, axis: Scales) -> None:
    for i, (start, end) in enumerate(frame.shades):
        ax.axvspan(
            start, end, color=GREY, alpha=0.45, lw=0, label="disturbance" if i == 0 else None
        )
    steps = panel.steps or frame.steps
    edges = np.array([start for start, _, _ in steps] + [frame.duration])
    rates = [rate for _, _, rate in steps]
    if frame.wanted:
        ax.stairs(rates, edges, fill=True, color=SHADE, lw=0, label="achievable")
        ax.plot(*zip(*frame.wanted, strict=True), color=BLACK, lw=1.2, ls="--", label="wanted")
    else:
        line: dict[str, Any] = {"color": BLACK, "lw": 1.4, "ls": "--", "zorder": 2}  # over areas
        ax.stairs(rates, edges, baseline=None, **line, label="achievable")
    if np.isfinite(panel.commanded).any():
        ax.plot(panel.t, panel.commanded, color=ORANGE, lw=0.9, zorder=3, label="commanded rate")
    width = max(frame.duration / 120.0, 1e-9)
    middle, delivered = binned(panel.completed, frame.duration, width, panel.costs)
    ax.plot(middle, delivered, color=BLUE, lw=2.2, label=f"delivered ({width:.2g} s means)")
    for label, times, costs, style in refused_of(panel):
        _, rate = binned(times, frame.duration, width, costs)
        ax.stairs(rate, np.arange(len(rate) + 1) * width, **style, label=label)
    for i, completed in enumerate(panel.each):
        costs = panel.each_costs[i] if panel.each_costs else None
        wider, share = binned(completed, frame.duration, 4.0 * width, costs)
        label = f"producer {i + 1} ({4.0 * width:.2g} s means)"
        ax.plot(wider, share, color=PRODUCERS[i % 3], ls=DASHES[i % 3], lw=1.5, label=label)
    ax.set_ylim(0.0, axis.top)
    ax.set_xlim(0.0, frame.duration)
    ax.set_title(panel.title, fontsize=10, y=1.0)  # there: looking for a place takes long
    ax.spines[["top", "right"]].set_visible(False)
    if delivered.max() > axis.top:
        name_storm(ax, middle, delivered, BLUE, axis.top)
    if panel.limited():
        _draw_limit(ax, panel, axis)


def refused_of(panel: Panel) -> list[tuple[str, Array, Array | None, dict[str, Any]]]:
    """Who refused calls of a run, when, of which cost, and how that is drawn; nobody: nothing."""
    areas = (
        (BY_SERVICE, panel.refused, panel.refused_costs, REFUSED_THERE),
        (HERE, panel.refused_here, panel.refused_here_costs, REFUSED_HERE),
    )
    return [
        (label, times, costs, style)
        for label, times, costs, style in areas
        if times is not None and len(times)
    ]


def _draw_limit(ax: Axes, panel: Panel, axis: Scales) -> None:
    """The limit, calls in flight, on an axis of its own at the right, which is logarithmic to base
    2.
    """
    right = ax.twinx()
    assert panel.limit is not None
    # Among several producers, another's law may leave its own limit open.
    given = np.isfinite(panel.limit) if panel.each else np.full(len(panel.limit), True)
    label = "limit, calls in flight (right)"
    right.plot(panel.t[given], panel.limit[given], color=PURPLE, lw=0.8, label=label)
    right.set_yscale("log", base=2)
    low, high = axis.lowest, axis.highest
    # In the lower half, out of the way of the rates; at least four times from end to end.
    right.set_ylim(low / 1.3, max(4.0 * low, high * (high / low) ** 0.6))
    right.yaxis.set_major_locator(LogLocator(base=2.0, numticks=5))
    right.yaxis.set_major_formatter("{x:g}")
    right.yaxis.set_minor_formatter(NullFormatter())
    right.tick_params(colors=PURPLE, labelsize=7, length=0, pad=3)
    right.spines[["top", "left", "right", "bottom"]].set_visible(False)


def name_storm(ax: Axes, middle: Array, delivered: Array, colour: str, top: float) -> None:
    """Say how high a line goes that leaves the axes, beside where it does."""
    peak, calm = int(delivered.argmax()), np.flatnonzero(delivered <= top)
    before, after = calm[calm < peak], calm[calm > peak]
    late = peak > len(middle) / 2
    edge = (before[-1] if len(before) else peak) if late else (after[0] if len(after) else peak)
    ax.annotate(
        f"storm: {delivered.max():,.0f}/s",
        (middle[edge], top),
        (-6 if late else 6, -9),
        textcoords="offset points",
        fontsize=8,
        color=colour,
        ha="right" if late else "left",
        bbox={"facecolor": "white", "alpha": 0.8, "pad": 1, "lw": 0},
        zorder=5,
    )


def binned(
    times: Array, duration: float, width: float, costs: Array | None = None
) -> tuple[Array, Array]:
    """Mid-points of bins, s, and events (or what they cost) a second in each."""
    bins = np.arange(0.0, duration + width / 2.0, width)
    return bins[:-1] + width / 2.0, np.histogram(times, bins, weights=costs)[0] / width
