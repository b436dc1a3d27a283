"""Goodput over time before and after a change, each service on a panel of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from matplotlib.figure import Figure

from tpssim.core.types import record
from tpssim.output.plots.common import BLUE, ORANGE, PER_ROW
from tpssim.output.plots.rates import SHADE

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@record
class Goodputs(NamedTuple):
    """One service: calls a second that came in time, in each window."""

    title: str
    edges: Array  #: of the windows, s
    best: Array  #: what was achievable
    before: Array
    after: Array
    shares: tuple[float, float]  #: of the achievable, over the run: before and after


def goodput_figure(title: str, panels: Sequence[Goodputs]) -> Figure:
    """Small multiples: what was achievable as an area, both runs as lines, and their shares."""
    rows = -(-len(panels) // PER_ROW)
    columns = min(PER_ROW, len(panels))
    figure = Figure(figsize=(3.6 * columns, 0.9 + 2.1 * rows), layout="constrained", dpi=110)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax, panel in zip(axes, panels, strict=False):
        _draw(ax, panel)
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    for ax in axes[max(0, len(panels) - PER_ROW) : len(panels)]:
        ax.set_xlabel("time (s)", fontsize=9)
    figure.supylabel("calls per second that come in time", fontsize=10)
    figure.suptitle(title, fontsize=12, fontweight="bold")
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False
    )
    return figure


def _draw(ax: Axes, panel: Goodputs) -> None:
    edges = panel.edges
    middle = (edges[:-1] + edges[1:]) / 2.0
    ax.stairs(panel.best, edges, fill=True, color=SHADE, lw=0, label="achievable")
    ax.plot(middle, panel.before, color=ORANGE, lw=1.5, ls="--", label="before")
    ax.plot(middle, panel.after, color=BLUE, lw=2.2, label="after")
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(0.0, 1.15 * max(row.max() for row in (panel.best, panel.before, panel.after)))
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8)
    ax.set_title(panel.title, loc="left", fontsize=9)
    shares = zip(panel.shares, (0.72, 1.0), (ORANGE, BLUE), ("", "→ "), strict=True)
    for share, x, colour, arrow in shares:
        words = f"{arrow}{share:.0%}".replace("%", " %")
        ax.text(
            x, 1.0, words, color=colour, transform=ax.transAxes, ha="right", va="top",
            fontsize=11, fontweight="bold",
        )  # fmt: skip
