"""Pictures of finished runs; matplotlib's only door. It takes arrays, so it can start no run.

Colours are Okabe and Ito's, which colour-blind readers can tell apart; lines differ in width and dashes too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

BLUE, ORANGE, BLACK, GREY = "#0072B2", "#D55E00", "#000000", "#BBBBBB"
PRODUCERS, DASHES = ("#009E73", "#CC79A7", "#56B4E9"), ("-", "--", ":")
PER_ROW = 3
POINTS = 1000  # of the commanded rate; more than a panel has pixels


class Panel(NamedTuple):
    """One run: the commanded rate, 1/s, at times t, s; when calls were completed, s: all, and by producer."""

    title: str
    t: Array
    commanded: Array
    completed: Array
    each: Sequence[Array] = ()


class Frame(NamedTuple):
    """What all panels of a figure share."""

    steps: Sequence[tuple[float, float, float]]  #: (start, end, achievable rate)
    shades: Sequence[tuple[float, float]]  #: when a disturbance acts
    target: float
    duration: float


def rate_figure(title: str, panels: Sequence[Panel], frame: Frame) -> Figure:
    """Small multiples: the delivered and the commanded rate over time against what was achievable."""
    columns = 2 if len(panels) == 4 else min(PER_ROW, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.2 * columns, 1.1 + 2.1 * rows), layout="constrained", dpi=110)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for ax, panel in zip(axes.flat, panels, strict=False):
        _draw(ax, panel, frame)
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    for column in range(columns):
        last = (len(panels) - 1 - column) // columns
        axes[last, column].set_xlabel("time (s)")
        axes[last, column].tick_params(labelbottom=True)
    for row in axes:
        row[0].set_ylabel("calls per second")
    figure.suptitle(title, fontsize=12, fontweight="bold")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(len(labels), 1 + 2 * columns),
        frameon=False,
        fontsize=9,
    )
    return figure


def _draw(ax: Axes, panel: Panel, frame: Frame) -> None:
    for i, (start, end) in enumerate(frame.shades):
        ax.axvspan(start, end, color=GREY, alpha=0.45, lw=0, label="disturbance" if i == 0 else None)
    edges = np.array([start for start, _, _ in frame.steps] + [frame.duration])
    ax.stairs(
        [rate for _, _, rate in frame.steps],
        edges,
        baseline=None,
        color=BLACK,
        lw=1.4,
        ls="--",
        label="achievable",
    )
    if np.isfinite(panel.commanded).any():
        ax.plot(panel.t, panel.commanded, color=ORANGE, lw=0.9, zorder=3, label="commanded rate")
    width = max(frame.duration / 120.0, 1e-9)
    middle, delivered = _binned(panel.completed, frame.duration, width)
    ax.plot(middle, delivered, color=BLUE, lw=2.2, label=f"delivered ({width:.2g} s means)")
    for i, completed in enumerate(panel.each):
        middle, share = _binned(completed, frame.duration, 4.0 * width)
        label = f"of producer {i + 1} ({4.0 * width:.2g} s means)"
        ax.plot(middle, share, color=PRODUCERS[i % 3], ls=DASHES[i % 3], lw=1.5, label=label)
    top = 1.3 * frame.target
    ax.set_ylim(0.0, top)
    ax.set_xlim(0.0, frame.duration)
    ax.set_title(panel.title, fontsize=10)
    ax.spines[["top", "right"]].set_visible(False)
    if delivered.max() > top:
        at = width * int(delivered.argmax())
        right = at > frame.duration / 2.0
        ax.annotate(
            f"storm: {delivered.max():,.0f}/s",
            (at, top),
            (-6 if right else 6, -9),
            textcoords="offset points",
            fontsize=8,
            color=BLUE,
            ha="right" if right else "left",
            bbox={"facecolor": "white", "alpha": 0.8, "pad": 1, "lw": 0},
            zorder=5,
        )


def _binned(times: Array, duration: float, width: float) -> tuple[Array, Array]:
    """Mid-points of bins, s, and events a second in each."""
    bins = np.arange(0.0, duration + width / 2.0, width)
    return bins[:-1] + width / 2.0, np.histogram(times, bins)[0] / width


def save(figure: Figure, path: Path, description: str) -> None:
    """Write a PNG that carries the command and version that made it."""
    figure.savefig(path, metadata={"Description": description, "Software": "tpssim"})
