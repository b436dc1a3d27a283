"""The finalists of a recommendation: what each serves, and how long its slowest calls take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from tpssim.output.plots.common import BLUE, DIM, GREY, log_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Spread = tuple[float, float, float]  #: median, and what 95 % of the runs lie between


def recommend_figure(
    title: str, labels: Sequence[str], goodput: Sequence[Spread], took: Sequence[Spread], best: int
) -> Figure:
    """A row for each candidate, the best one first: goodput, 1/s, and the 99th percentile of the
    latency, s; `best`: the row that is recommended.
    """
    height = 1.7 + 0.36 * len(labels)
    figure = Figure(figsize=(11.0, height), layout="constrained", dpi=110)
    left, right = figure.subplots(1, 2, sharey=True)
    _draw(left, goodput, best)
    _draw(right, took, best)
    left.set_xlabel("goodput (calls per second within the deadline)")
    left.set_xlim(left=0.0)
    right.set_xlabel("99th percentile of the latency (s)")
    times = [time for row in took for time in row if 0.0 < time < math.inf]
    if times and max(times) > 3.0 * min(times):
        right.set_xscale("log")
        low, high = right.get_xlim()
        log_ticks(right.xaxis, high / low)
    else:
        right.set_xlim(left=0.0)
    left.set_yticks(range(len(labels)), labels=list(labels), fontsize=9)
    left.get_yticklabels()[best].set(fontweight="bold", color=BLUE)
    left.invert_yaxis()
    figure.suptitle(title, fontsize=12, fontweight="bold")
    return figure


def _draw(ax: Axes, rows: Sequence[Spread], best: int) -> None:
    for i, (median, low, high) in enumerate(rows):
        style: dict[str, Any] = {"color": BLUE if i == best else DIM, "zorder": 3}
        ax.plot([low, high], [i, i], lw=2.5 if i == best else 1.2, **style)
        ax.plot(median, i, marker="o", ms=8 if i == best else 5, **style)
    ax.grid(axis="x", color=GREY, lw=0.5, alpha=0.6)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
