"""The finalists of a recommendation: what each serves, and how long its slowest calls take."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tpssim.output.plots.common import BLUE, DIM, GREY, LETTER, balanced, log_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, LABEL = 11.0, 36  # inch of the figure, letters of a label

Spread = tuple[float, float, float]  #: median, and what 95 % of the runs lie between


def recommend_figure(
    title: str, labels: Sequence[str], goodput: Sequence[Spread], took: Sequence[Spread], best: int
) -> Figure:
    """A row for each candidate, the best one first: goodput, 1/s, and the 99th percentile of the
    latency, s; `best`: the row that is recommended.
    """
    title, names = balanced(title, int(WIDTH / LETTER)), [_packed(label) for label in labels]
    row = 0.22 + 0.14 * (1 + max(name.count("\n") for name in names))
    height = 1.7 + row * len(labels) + 0.2 * title.count("\n")
    figure = Figure(figsize=(WIDTH, height), layout="constrained", dpi=110)
    left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"wspace": 0.06})
    _draw(left, goodput, best)
    _draw(right, took, best)
    left.set_xlabel("goodput (calls per second within the deadline)")
    end = left.get_xlim()[1]
    left.set_xlim(0.0, 1.04 * end if end > 0.0 else 1.0)
    left.xaxis.set_major_locator(MaxNLocator(5))
    left.xaxis.set_major_formatter("{x:,g}")
    right.set_xlabel("99th percentile of the latency (s)")
    times = [time for row in took for time in row if 0.0 < time < math.inf]
    if times and max(times) > 3.0 * min(times):
        right.set_xscale("log")
        low, high = right.get_xlim()
        log_ticks(right.xaxis, high / low)
    else:
        right.set_xlim(left=0.0)
    left.set_yticks(range(len(labels)), labels=names, fontsize=9)
    left.get_yticklabels()[best].set(fontweight="bold", color=BLUE)
    left.set_ylim(len(labels) - 0.5, -0.5)
    figure.suptitle(title, fontsize=12, fontweight="bold")
    figure.supxlabel("dot: median of the runs; line: what 95 % of them lie between", fontsize=9)
    return figure


def _packed(label: str) -> str:
    """A label in lines that end where a parameter does, as long as it fits.

    >>> _packed("servicetalk-gradient:limit_hi=120,backoff=0.8")
    'servicetalk-gradient:limit_hi=120,\\nbackoff=0.8'
    """
    lines = [""]
    for piece in re.split(r"(?<=[,:])", label):
        if lines[-1] and len(lines[-1] + piece) > LABEL:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.strip() for line in lines)


def _draw(ax: Axes, rows: Sequence[Spread], best: int) -> None:
    for i, (median, low, high) in enumerate(rows):
        style: dict[str, Any] = {"color": BLUE if i == best else DIM, "zorder": 3}
        ax.plot([low, high], [i, i], lw=2.5 if i == best else 1.2, **style)
        ax.plot(median, i, marker="o", ms=8 if i == best else 5, **style)
        if not math.isfinite(median):
            beside = ax.get_yaxis_transform()
            ax.text(0.02, i, "no call completes", transform=beside, fontsize=9, va="center")
    ax.grid(axis="x", color=GREY, lw=0.5, alpha=0.6)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
