"""A loop in the complex plane beside a run: what theory predicts and what happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from tpssim.output.pictures import Frame, Panel
from tpssim.output.plots.common import BLACK, BLUE, DASHES, GREY, ORANGE, PRODUCERS
from tpssim.output.plots.rates import draw_run, scales_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray


def analysis_figure(
    title: str,
    caption: str,
    curves: Sequence[tuple[str, NDArray[np.complex128]]],
    marks: Sequence[tuple[str, complex]],
    panel: Panel,
    frame: Frame,
    levels: Sequence[tuple[str, float]],
    span: tuple[float, float],
) -> Figure:
    """A loop in the complex plane (left out if there are no curves), and a run with levels over a
    span.
    """
    loops = len(curves) > 0
    figure = Figure(figsize=(11.0 if loops else 7.0, 5.2), layout="constrained", dpi=110)
    axes = figure.subplots(1, 2 if loops else 1, squeeze=False)[0]
    if loops:
        _draw_loop(axes[0], curves, marks)
        axes[0].set_title(caption, fontsize=10)
    ax = axes[-1]
    draw_run(ax, panel, frame, scales_of([panel], frame))
    for (label, level), dashes in zip(
        levels, ((0, (6, 2)), (0, (1, 1)), (0, (3, 1, 1, 1))), strict=False
    ):
        text = f"{label} {level:.3g}/s"
        ax.plot(span, [level, level], color=PRODUCERS[1], lw=2.2, ls=dashes, label=text, zorder=4)
    ax.set_xlabel("time (s)")
    ax.set_ylabel("calls per second")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=12, fontweight="bold")
    return figure


def _draw_loop(
    ax: Axes,
    curves: Sequence[tuple[str, NDArray[np.complex128]]],
    marks: Sequence[tuple[str, complex]],
) -> None:
    """Curves of the complex plane around the points that matter."""
    ax.axhline(0.0, color=GREY, lw=0.8)
    ax.axvline(0.0, color=GREY, lw=0.8)
    reach = max([1.2, *(1.15 * abs(at) for _, at in marks)])
    for i, (label, values) in enumerate(curves):
        near = np.where(np.abs(values) < 3.0 * reach, values, np.nan)
        style: dict[str, Any] = {
            "color": (BLUE, ORANGE, BLACK)[i % 3],
            "lw": (2.0, 1.6, 2.6)[i % 3],
            "ls": DASHES[i % 3],
        }
        ax.plot(near.real, near.imag, label=label, **style)
    for i, (label, at) in enumerate(marks):
        look: dict[str, Any] = {
            "marker": "+ox"[i % 3],
            "color": (BLACK, ORANGE, PRODUCERS[0])[i % 3],
        }
        ax.plot(
            [at.real], [at.imag], ms=10, mew=2.0, ls="", mfc="none", zorder=5, label=label, **look
        )
    ax.set_xlim(-reach, 0.35 * reach)
    ax.set_ylim(-reach, 0.35 * reach)
    ax.set_aspect("equal")
    ax.set_xlabel("real part")
    ax.set_ylabel("imaginary part")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, frameon=False, fontsize=8)
