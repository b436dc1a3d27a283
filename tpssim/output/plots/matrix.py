"""A table of shares as colours, with a word in each cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from tpssim.output.plots.common import BLACK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def matrix_figure(
    title: str,
    note: str,
    rows: Sequence[str],
    means: Sequence[float],
    columns: Sequence[str],
    groups: Sequence[tuple[str, int]],
    values: Array,
    words: Sequence[Sequence[str]],
) -> Figure:
    """A cell for each row and column: its value between 0 and 1 as colour and number, a word below
    it.

    `note` below all says what the cells are; `groups`: names of stretches of columns and how many
    each has; `means`: a number for each row. A cell whose value is nan stays empty.
    """
    width, height = max(6.0, 3.0 + 0.74 * len(columns)), 2.75 + 0.34 * len(rows)
    figure = Figure(figsize=(width, height), dpi=110)
    ax = figure.subplots()
    figure.subplots_adjust(
        left=1.75 / width, right=1.0 - 0.75 / width, top=1.0 - 1.65 / height, bottom=0.8 / height
    )
    ax.set_facecolor("white")
    ax.imshow(np.ma.masked_invalid(values), cmap="cividis", vmin=0.0, vmax=1.0, aspect="auto")
    _label_cells(ax, values, words)
    _label_axes(ax, rows, columns)
    _label_means(ax, len(columns) - 0.5, means)
    _label_groups(ax, len(rows), groups)
    figure.text(0.5, 0.12 / height, note, ha="center", va="bottom", fontsize=9)
    figure.suptitle(title, fontsize=12, fontweight="bold", y=1.0 - 0.1 / height, va="top")
    return figure


def _label_cells(ax: Axes, values: Array, words: Sequence[Sequence[str]]) -> None:
    for i, j in zip(*np.nonzero(np.isfinite(values)), strict=True):
        colour = "white" if values[i, j] < 0.55 else BLACK
        number = f"{values[i, j]:.2f}".removeprefix("0")
        ax.text(
            j,
            i - 0.17,
            number,
            ha="center",
            va="center",
            fontsize=8.5,
            color=colour,
            fontweight="bold",
        )
        ax.text(j, i + 0.25, words[i][j], ha="center", va="center", fontsize=6.5, color=colour)


def _label_axes(ax: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    ax.set_yticks(range(len(rows)), labels=list(rows), fontsize=9)
    ax.set_xticks(
        range(len(columns)),
        labels=list(columns),
        fontsize=9,
        rotation=40,
        ha="left",
        rotation_mode="anchor",
    )
    ax.xaxis.tick_top()
    ax.set_xticks(np.arange(len(columns) + 1.0) - 0.5, minor=True)
    ax.set_yticks(np.arange(len(rows) + 1.0) - 0.5, minor=True)
    ax.grid(which="minor", color="white", lw=1.5)
    ax.tick_params(length=0, which="both")
    ax.spines[:].set_visible(False)


def _label_means(ax: Axes, edge: float, means: Sequence[float]) -> None:
    beside = "offset points"
    for i, mean in enumerate(means):
        ax.annotate(
            f"{mean:.3f}",
            (edge, i),
            (8, 0),
            textcoords=beside,
            va="center",
            fontsize=9,
            fontweight="bold",
        )
    ax.annotate("mean", (edge, -0.5), (8, 4), textcoords=beside, va="bottom", fontsize=9)


def _label_groups(ax: Axes, rows: int, groups: Sequence[tuple[str, int]]) -> None:
    start = 0
    for name, count in groups:
        if count:
            ax.axvline(start - 0.5, color=BLACK, lw=1.5 if start else 0.0)
            ax.text(start + count / 2.0 - 0.5, rows - 0.3, name, ha="center", va="top", fontsize=10)
        start += count
