"""Finished searches: convergence, profiles, fronts, sensitivities."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tpssim.core.types import record
from tpssim.output.plots.common import BLACK, BLUE, DIM, GREY, ORANGE, PER_ROW, log_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: From early to late; without the yellow end, which is not seen on white.
AGE = ListedColormap(colormaps["cividis_r"](np.linspace(0.3, 1.0, 256)))
WIDE = 10.0  # a ratio of losses that needs a logarithmic scale
#: mean, low and high of an interval; nan where there is none
Bar = tuple[float, float, float]


@record
class Column(NamedTuple):
    """One parameter: its values in the order of the losses, and where the default and the best
    lie.
    """

    name: str
    values: Array
    log: bool
    default: float
    best: float


@record
class Shown(NamedTuple):
    """How a loss is shown, `start + sign * loss`: of a score, which is better the more it is, the
    score.
    """

    start: float = 0.0
    sign: float = 1.0

    def label(self, objective: str) -> str:
        return f"{objective} ({'less' if self.sign > 0.0 else 'more'} is better)"

    def turn(self, axis: Any) -> None:
        """The values that are shown at the ticks of an axis of losses, and the better end where
        more is.
        """
        if self.sign > 0.0:
            return
        axis.set_inverted(True)
        axis.set_major_formatter(FuncFormatter(lambda loss, _: f"{round(self.start - loss, 12):g}"))


LOSS = Shown()


def convergence_figure(
    title: str,
    objective: str,
    losses: Array,
    stages: Sequence[str],
    default: Bar,
    tuned: Bar,
    shown: Shown = LOSS,
) -> Figure:
    """Every loss in the order of the search, the best so far, and what fresh seeds say of two
    settings.
    """
    figure = Figure(figsize=(7.6, 4.4), layout="constrained", dpi=110)
    ax = figure.subplots()
    numbers = np.arange(1, len(losses) + 1)
    screened = sum(stage != "search" for stage in stages)
    ax.axvspan(0.5, screened + 0.5, color=GREY, alpha=0.3, lw=0, label="screen")
    ax.plot(numbers, losses, ".", ms=4, color=DIM, label="a setting", zorder=2)
    ax.step(
        numbers,
        np.fmin.accumulate(losses),
        where="post",
        color=BLUE,
        lw=2.2,
        label="best so far",
        zorder=3,
    )
    for name, (mean, low, high), colour, dashes in (
        ("default, fresh seeds", default, BLACK, "--"),
        ("chosen, fresh seeds", tuned, ORANGE, "-"),
    ):
        if np.isfinite(mean):
            ax.axhspan(low, high, color=colour, alpha=0.2, lw=0)
            ax.axhline(mean, color=colour, lw=1.6, ls=dashes, label=name, zorder=4)
    ax.set_xlim(0.5, len(losses) + 0.5)
    _upto(ax, losses, [default[2], tuned[2]])
    shown.turn(ax.yaxis)
    ax.set_xlabel("settings tried")
    ax.set_ylabel(fill(shown.label(objective), 44))
    figure.suptitle(title, fontsize=11, fontweight="bold")
    ax.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def _upto(ax: Axes, losses: Array, others: Sequence[float]) -> None:
    """The losses that tell something: far outliers would press the others into one line."""
    there = losses[np.isfinite(losses)]
    low, middle, most = np.quantile(there, [0.0, 0.5, 0.98])
    known = [value for value in others if np.isfinite(value)]
    top = (
        max([min(most, middle + 4.0 * (middle - low)), *known])
        if middle > low
        else max([most, *known])
    )
    bottom = min([low, *known])
    margin = 0.05 * (top - bottom) or 1.0
    ax.set_ylim(bottom - margin, top + margin)
    beyond = int((there > top + margin).sum())
    if beyond:
        ax.annotate(
            f"{beyond} more are worse",
            (1.0, 1.0),
            (0, 3),  # outside the axes, where no line crosses it
            xycoords="axes fraction",
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=8,
            color=BLACK,
        )


def profile_figure(
    title: str, objective: str, columns: Sequence[Column], losses: Array, shown: Shown = LOSS
) -> Figure:
    """Small multiples: every loss over each parameter, with the default and the chosen setting."""
    across = 2 if len(columns) == 4 else min(PER_ROW, len(columns))
    rows = -(-len(columns) // across)
    figure = Figure(
        figsize=(max(5.0, 3.6 * across), 1.2 + 2.5 * rows), layout="constrained", dpi=110
    )
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.12)  # inches: the outermost labels of two panels stay apart
    axes = figure.subplots(rows, across, sharey=True, squeeze=False)
    figure.supylabel(fill(shown.label(objective), 26 * rows), fontsize=10)
    for ax, column in zip(axes.flat, columns, strict=False):
        order = np.arange(len(losses))
        ax.scatter(
            column.values,
            losses,
            c=order,
            cmap=AGE,
            s=11,
            lw=0,
            zorder=2,
            label="settings, later: darker",
        )
        ax.axvline(column.default, color=BLACK, lw=1.4, ls="--", label="default", zorder=3)
        ax.axvline(column.best, color=ORANGE, lw=2.0, label="chosen", zorder=3)
        if column.log:
            ax.set_xscale("log")
            log_ticks(ax.xaxis, float(column.values.max() / column.values.min()))
        else:
            ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        ax.set_xlabel(column.name)
        ax.spines[["top", "right"]].set_visible(False)
    _upto(axes[0, 0], losses, [])
    shown.turn(axes[0, 0].yaxis)
    for ax in axes.flat[len(columns) :]:
        ax.set_visible(False)
    figure.suptitle(title, fontsize=11, fontweight="bold")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def pareto_figure(
    title: str,
    objectives: tuple[str, str],
    losses: tuple[Array, Array],
    fresh: Sequence[Sequence[Bar]],
    knee: int,
    shown: tuple[Shown, Shown] = (LOSS, LOSS),
) -> Figure:
    """Two losses against each other: every setting, the front and the default (the last) on fresh
    seeds.
    """
    figure = Figure(figsize=(7.2, 5.0), layout="constrained", dpi=110)
    ax = figure.subplots()
    ax.plot(*losses, ".", ms=4, color=DIM, alpha=0.7, label="a setting of the search", zorder=2)
    bars = np.array(fresh)
    styles = (
        ("front, fresh seeds", range(len(bars) - 1), "o", BLUE, 6),
        ("knee", [knee], "D", ORANGE, 9),
        ("default", [len(bars) - 1], "s", BLACK, 8),
    )
    for label, which, marker, colour, size in styles:
        chosen = bars[list(which)]
        mean, least, most = (chosen[:, :, k].T for k in range(3))
        ax.errorbar(
            mean[0],
            mean[1],
            xerr=(mean[0] - least[0], most[0] - mean[0]),
            yerr=(mean[1] - least[1], most[1] - mean[1]),
            fmt=marker,
            ms=size,
            color=colour,
            mec="white",
            ecolor=colour,
            elinewidth=1.2,
            label=label,
            zorder=4,
        )
    for axis, set_limits, k in ((ax.xaxis, ax.set_xlim, 0), (ax.yaxis, ax.set_ylim, 1)):
        there = losses[k][np.isfinite(losses[k])]
        known = bars[:, k, :][np.isfinite(bars[:, k, :])]
        low = min(float(there.min()), float(known.min()))
        high = max(float(np.quantile(there, 0.95)), float(known.max()))
        if low > 0.0 and high > WIDE * low and shown[k] == LOSS:
            (ax.set_xscale if k == 0 else ax.set_yscale)("log")
            log_ticks(axis, high / low)
            set_limits(low / 1.15, high * 1.15)
        else:
            margin = 0.05 * (high - low) or 1.0
            set_limits(low - margin, high + margin)
    shown[0].turn(ax.xaxis)
    shown[1].turn(ax.yaxis)
    ax.set_xlabel(shown[0].label(objectives[0]))
    ax.set_ylabel(shown[1].label(objectives[1]))
    ax.set_title(title, fontsize=11, fontweight="bold")
    ax.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def sensitivity_figure(title: str, names: Sequence[str], first: Array, total: Array) -> Figure:
    """Shares of the variance by parameter: alone and with all interactions (rows of mean, low,
    high).
    """
    order = np.argsort(total[:, 0], kind="stable")
    figure = Figure(figsize=(7.2, 1.6 + 0.55 * len(names)), layout="constrained", dpi=110)
    ax = figure.subplots()
    y = np.arange(len(names))
    for shift, label, values, colour in (
        (0.2, "alone (first order)", first, BLUE),
        (-0.2, "with interactions (total)", total, ORANGE),
    ):
        mean, low, high = values[order].T
        error = np.fmax(0.0, (mean - low, high - mean))  # of one without an interval nothing
        ax.barh(
            y + shift,
            mean,
            0.36,
            xerr=error,
            color=colour,
            ecolor=BLACK,
            error_kw={"elinewidth": 1.2, "capsize": 3},
            label=label,
        )
    ax.axvline(0.0, color=BLACK, lw=0.8)
    ax.set_yticks(y, labels=[names[i] for i in order])
    ax.set_xlabel("share of the variance of the objective over the search ranges, with intervals")
    ax.set_xlim(
        min(0.0, float(np.nanmin(first[:, :2])) - 0.03), max(1.0, float(np.nanmax(total)) + 0.03)
    )
    ax.set_title(title, fontsize=11, fontweight="bold")
    ax.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure
