"""One live run over time: what was released against the ceiling, what acted, how long calls
took.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tpssim.core.types import FAILED, OK, REJECTED, record
from tpssim.output.plots.common import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    PURPLE,
    REFUSED_HERE,
    REFUSED_THERE,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

BINS = 120  # of a run, at most
FEW = 4.0  # slots in a bin, at least: one release in a short bin would look like many a second
# s
STEPS = (
    0.1,
    0.2,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    20.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    1800.0,
    3600.0,
)


@record
class LiveRun(NamedTuple):
    """Columns of a run, a row a call in the order of release; times in s since the start."""

    released: Array
    outcome: NDArray[np.int8]  #: index into `tpssim.core.types.OUTCOMES`
    latency: Array  #: nan of a call that was not over
    rate: Array  #: commanded, 1/s, of cost where calls have one; inf while it is open
    limit: Array  #: calls; inf while it is open
    in_flight: Array  #: at the release
    #: (from when, wanted rate, 1/s, of cost); inf: none is wanted
    ceiling: Sequence[tuple[float, float]]
    duration: float
    cost: Array | None = None  #: of each call; None: 1
    refused_here: Array | None = None  #: when slots were due that the law refused
    refused_here_cost: Array | None = None


def live_figure(title: str, run: LiveRun) -> Figure:
    """Releases a second and what of them was not served, calls in flight where a limit acts, and
    percentiles of the latency of calls that went well.
    """
    limited = bool(np.isfinite(run.limit).any())
    figure = Figure(figsize=(9.0, 8.0 if limited else 5.8), layout="constrained", dpi=110)
    axes = list(figure.subplots(3 if limited else 2, 1, sharex=True))
    width = _bin(run)
    # the last: 0.5 to 1.5
    edges = np.append(np.arange(0.0, run.duration - 0.5 * width, width), run.duration)
    _draw_rates(axes[0], run, edges)
    if limited:
        _draw_flight(axes[1], run, edges)
    _draw_latency(axes[-1], run, edges)
    for ax in axes:
        ax.set_xlim(0.0, run.duration)
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", color=GREY, lw=0.5, alpha=0.6)
        ax.legend(frameon=False, fontsize=9, ncols=3, loc="lower left", bbox_to_anchor=(0.0, 1.0))
    axes[-1].set_xlabel(f"time (s); means and percentiles of {width:g} s each")
    figure.suptitle(title, fontsize=12, fontweight="bold")
    return figure


def _bin(run: LiveRun) -> float:
    """How long a bin is, s: so that there are not too many, and that some releases fit in each as
    wanted.
    """
    fastest = max((level for _, level in run.ceiling if level < math.inf), default=0.0)
    few = FEW if run.cost is None or not len(run.cost) else FEW * float(run.cost.mean())
    least = max(run.duration / BINS, few / fastest if fastest > 0.0 else 0.0)
    return min(next((step for step in STEPS if step >= least), least), run.duration)


def _draw_rates(ax: Axes, run: LiveRun, edges: Array) -> None:
    shown = [_rate(run.released, run.cost, edges)]
    lost = (run.outcome >= FAILED) & (run.outcome <= REJECTED)
    if lost.any():
        cost = None if run.cost is None else run.cost[lost]
        shown.append(_rate(run.released[lost], cost, edges))
        ax.stairs(shown[-1], edges, **REFUSED_THERE, label="not served: refused, failed, timed out")
    if run.refused_here is not None and len(run.refused_here):
        shown.append(_rate(run.refused_here, run.refused_here_cost, edges))
        ax.stairs(shown[-1], edges, **REFUSED_HERE, label="refused here")
    what = "releases a second" if run.cost is None else "released cost a second"
    ax.stairs(shown[0], edges, color=BLUE, lw=1.8, baseline=None, label=what)
    starts, levels = zip(*run.ceiling, strict=True)
    peaks = [float(rate.max(initial=0.0)) for rate in shown]
    most = max([*peaks, *(level for level in levels if level < math.inf)])
    if min(levels) < math.inf:
        ax.stairs(
            [level if level < math.inf else math.nan for level in levels],
            [*starts, run.duration],
            color=BLACK,
            lw=1.2,
            ls="--",
            baseline=None,
            label="ceiling (wanted)",
        )
    if np.isfinite(run.rate).any():
        shown_rate = np.where(np.isfinite(run.rate), run.rate, np.nan)
        ax.step(
            run.released, shown_rate, where="post", color=ORANGE, lw=0.9, label="commanded rate"
        )
    ax.set_ylim(0.0, 1.15 * most or 1.0)
    ax.set_ylabel("calls per second" if run.cost is None else "cost per second")


def _rate(times: Array, cost: Array | None, edges: Array) -> Array:
    """Events, or what they cost, a second in each bin."""
    rate: Array = np.histogram(times, edges, weights=cost)[0] / np.diff(edges)
    return rate


def _draw_flight(ax: Axes, run: LiveRun, edges: Array) -> None:
    place = np.searchsorted(edges, run.released, side="right") - 1
    peaks = np.full(len(edges) - 1, np.nan)
    np.fmax.at(peaks, np.clip(place, 0, len(peaks) - 1), run.in_flight)
    ax.stairs(peaks, edges, color=BLUE, lw=1.8, baseline=None, label="most calls in flight")
    shown = np.where(np.isfinite(run.limit), run.limit, np.nan)
    ax.step(run.released, shown, where="post", color=PURPLE, lw=1.2, label="limit")
    top = float(np.nanmax(peaks))
    if np.nanmin(shown) > 4.0 * top:  # a limit that nothing comes near presses the calls flat
        ax.set_ylim(0.0, 1.3 * top)
        ax.plot([], [], " ", label=f"(it is {np.nanmin(shown):,.0f} or more, above the picture)")
    else:
        ax.set_ylim(0.0, 1.15 * max(top, float(np.nanmax(shown))))
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.set_ylabel("calls in flight")


def _draw_latency(ax: Axes, run: LiveRun, edges: Array) -> None:
    """Of the calls that went well, by the time of the release: a call that takes long stands where
    it began. A refusal may be quick and a timeout long, and neither says how long an answer takes.
    """
    there = np.isfinite(run.latency) & (run.outcome == OK)
    place = np.clip(
        np.searchsorted(edges, run.released[there], side="right") - 1, 0, len(edges) - 2
    )
    took = run.latency[there]
    scale, unit = (1e3, "ms") if not len(took) or np.median(took) < 1.0 else (1.0, "s")
    middle = (edges[:-1] + edges[1:]) / 2.0
    for q, colour, width in ((0.99, ORANGE, 1.2), (0.5, BLUE, 1.8)):
        level = np.full(len(middle), np.nan)
        for k in np.unique(place):
            level[k] = scale * float(np.quantile(took[place == k], q))
        ax.plot(
            middle,
            level,
            color=colour,
            lw=width,
            marker=".",
            ms=3,
            label=f"p{100 * q:.0f} of calls that went well",
            clip_on=False,
        )
    ax.set_ylim(bottom=0.0)
    ax.set_ylabel(f"latency ({unit})")
