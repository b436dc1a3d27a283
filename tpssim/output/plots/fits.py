"""A fitted service beside its recording: what it serves while so many calls are in flight, and how
long calls took.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from tpssim.output.plots.common import BLACK, BLUE, DIM, GREY, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def fit_figure(
    title: str,
    flow: tuple[Array, Array, Array],
    times: tuple[Array, ...],
    since: float = 0.0,
    verdict: str = "",
) -> Figure:
    """Throughput over calls in flight, and latencies over time, recorded and simulated.

    `flow`: calls in flight, answers per second recorded and simulated; `times`: ends of stretches,
    p50 and p99 recorded, p50 and p99 simulated; `since`: from when on calls were held out.
    """
    figure = Figure(figsize=(11.0, 4.8), layout="constrained", dpi=110)
    left, right = figure.subplots(1, 2)
    _draw_flow(left, *flow)
    _draw_times(right, times, since)
    for ax in (left, right):
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", color=GREY, lw=0.5, alpha=0.6)
        ax.legend(frameon=False, fontsize=9, ncols=2, loc="lower left", bbox_to_anchor=(0.0, 1.0))
    good = verdict.startswith("The twin holds")
    figure.suptitle(title, fontsize=12, fontweight="bold")
    if verdict:
        figure.supxlabel(verdict, fontsize=10, color=BLACK if good else ORANGE)
    return figure


def _draw_flow(ax: Axes, flying: Array, recorded: Array, simulated: Array) -> None:
    ax.plot(flying, recorded, ls="", marker="o", ms=4, color=BLUE, label="recorded")
    ax.plot(flying, simulated, color=ORANGE, lw=2.0, label="the twin")
    ax.set_xlabel("calls in flight")
    ax.set_ylabel("answers per second")
    shown = np.concatenate([recorded, simulated])
    shown = shown[np.isfinite(shown)]
    ax.set_ylim(0.0, 1.15 * float(shown.max()) if len(shown) else 1.0)
    ax.set_xlim(0.0, 1.05 * float(flying.max(initial=1.0)))


def _draw_times(ax: Axes, times: tuple[Array, ...], since: float) -> None:
    edges, p50, p99, twin50, twin99 = times
    middle = (edges[:-1] + edges[1:]) / 2.0
    scale, unit = (1e3, "ms") if not np.nanmax(p99, initial=0.0) >= 1.0 else (1.0, "s")
    for level, twin, marker, name in ((p99, twin99, "^", "p99"), (p50, twin50, "o", "p50")):
        ax.plot(
            middle, scale * level, ls="", marker=marker, ms=4, color=BLUE, label=f"{name} recorded"
        )
        style: dict[str, Any] = {"color": ORANGE, "lw": 2.0, "ls": "--" if name == "p99" else "-"}
        ax.plot(middle, scale * twin, label=f"{name} of the twin", **style)
    if 0.0 < since < edges[-1]:
        ax.axvline(since, color=DIM, lw=1.0, ls=":")
        ax.text(
            since,
            0.99,
            " held out",
            transform=ax.get_xaxis_transform(),
            va="top",
            fontsize=9,
            color=DIM,
        )
    ax.set_xlim(0.0, float(edges[-1]))
    ax.set_ylim(0.0, 1.08 * ax.get_ylim()[1])  # there is room for the words above
    ax.set_xlabel("time of the recording (s)")
    ax.set_ylabel(f"latency ({unit})")
