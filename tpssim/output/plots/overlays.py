"""Rates over time of several runs over one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tpssim.output.pictures import Frame, Panel
from tpssim.output.plots.common import BLACK, BLUE, DASHES, DIM, ORANGE, PRODUCERS
from tpssim.output.plots.rates import binned, name_storm, top_of


def overlay_figure(title: str, panels: Sequence[Panel], frame: Frame, ceiling: str) -> Figure:
    """Runs over one another: the commanded rate above, the delivered one below, and the limit and
    what was refused here where a law does so; the first run stands out.

    `ceiling` says what the steps of the frame are.
    """
    limited = any(panel.limited() for panel in panels)
    refusing = any(panel.refuses() for panel in panels)
    rows = 2 + limited + refusing
    figure = Figure(figsize=(9.0, 2.2 + 2.0 * rows), layout="constrained", dpi=110)
    axes = figure.subplots(rows, 1, sharex=True)
    above, below = axes[:2]
    below.sharey(above)
    edges = np.array([start for start, _, _ in frame.steps] + [frame.duration])
    width = max(frame.duration / 60.0, 1e-9)
    colours = (BLUE, ORANGE, *PRODUCERS, "#E69F00")
    top, most = top_of(panels, frame, 1.15, width), 0.0
    for ax in (above, below):
        steps = [rate for _, _, rate in frame.steps]
        ax.stairs(steps, edges, baseline=None, color=DIM, lw=1.2, ls="--", label=ceiling)
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_ylim(0.0, top)
        ax.set_xlim(0.0, frame.duration)
    for i, panel in enumerate(panels):
        style: dict[str, Any] = {"color": BLACK, "lw": 2.6, "alpha": 0.75}
        if i > 0:
            style = {"color": colours[(i - 1) % len(colours)], "lw": 1.4, "ls": DASHES[(i - 1) % 3]}
        above.plot(panel.t, panel.commanded, label=panel.title, **style)
        middle, delivered = binned(panel.completed, frame.duration, width, panel.costs)
        below.plot(middle, delivered, **style)
        if panel.limit is not None and limited:
            axes[2].plot(panel.t, panel.limit, **style)
        if panel.refused_here is not None and refusing:
            costs = panel.refused_here_costs
            axes[-1].plot(*binned(panel.refused_here, frame.duration, width, costs), **style)
        if delivered.max() > max(top, most):  # the highest of all is named
            most, storm = delivered.max(), (middle, delivered, style["color"])
    if most > top:
        name_storm(below, *storm, top)
    unit = "1/s" if frame.of == "calls" else f"{frame.of}/s"
    above.set_ylabel(f"commanded ({unit})")
    below.set_ylabel(f"delivered ({unit}, {width:.2g} s means)")
    if limited:
        axes[2].set_yscale("log", base=2)
        axes[2].yaxis.set_major_formatter("{x:g}")
        axes[2].spines[["top", "right"]].set_visible(False)
        axes[2].set_ylabel("limit (calls in flight)")
    if refusing:
        axes[-1].set_ylim(bottom=0.0)
        axes[-1].spines[["top", "right"]].set_visible(False)
        axes[-1].set_ylabel(f"refused here ({unit})")
    axes[-1].set_xlabel("time (s)")
    figure.suptitle(title, fontsize=12, fontweight="bold")
    handles, labels = above.get_legend_handles_labels()
    ncols = 2 if len(labels) == 4 else 3
    figure.legend(
        handles, labels, loc="outside lower center", ncols=ncols, frameon=False, fontsize=9
    )
    return figure
