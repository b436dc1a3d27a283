"""Marks over what is not made of all its runs: never in some, or missing in some."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import Patch, Rectangle

from tpssim.output.cells import At, Cells
from tpssim.output.plots.common import BLACK, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

COUNTED = 150  # cells that have room for a number


def draw_made(ax: Axes, edges: tuple[Array, Array], made: Cells) -> list[Patch]:
    """Hatches and numbers over cells that are not made of all their runs; what explains them."""
    across, up = edges
    never, missing = made.never > 0.0, (made.missing > 0.0) & (made.missing < made.runs)
    looks = (
        (never, made.never, BLACK, "white", "xx", "never in some runs (in how many)"),
        (
            missing & ~never,
            made.missing,
            "none",
            ORANGE,
            "//",
            "some runs failed or lack it (how many)",
        ),
    )
    handles = []
    for which, counts, face, ink, hatch, label in looks:
        if not which.any():
            continue
        handles.append(Patch(fc=face, ec=ink, hatch=hatch, lw=0.0, label=label))
        for j, i in zip(*np.nonzero(which), strict=True):
            corner, size = (across[i], up[j]), (across[i + 1] - across[i], up[j + 1] - up[j])
            ax.add_patch(Rectangle(corner, *size, fc=face, ec=ink, hatch=hatch, lw=0.0))
            if which.size <= COUNTED:
                text = f"{counts[j, i]:.0f}/{made.runs[j, i]:.0f}"
                look: dict[str, Any] = {"bbox": {"fc": "white", "ec": "none", "pad": 1.0}}
                ax.annotate(text, corner, (3, 4), textcoords="offset points", fontsize=7, **look)
    return handles


def draw_partial(
    ax: Axes, line: Sequence[At], x: Array, y: Array, colour: str, number: int
) -> None:
    """Points in which it never happens in some runs, at the top; hollow marks over those that some
    lack.
    """
    beside: dict[str, Any]
    for at, place, value in zip(line, x, y, strict=True):
        if at.never:
            top, above = 0.97 - 0.06 * (number % 8), ax.get_xaxis_transform()
            ax.plot(
                [place], [top], "^", color=colour, ms=6, transform=above, clip_on=False, zorder=5
            )
            text = f"never {at.never}/{at.runs}"
            beside = {"xytext": (5, 0), "textcoords": "offset points", "xycoords": above}
            ax.annotate(text, (place, top), va="center", fontsize=7, color=colour, **beside)
        elif at.missing and math.isfinite(value):
            ax.plot([place], [value], "o", mfc="white", mec=colour, ms=5, zorder=5)
            beside = {"xytext": (4, 5), "textcoords": "offset points"}
            text = f"without {at.missing}/{at.runs}"
            ax.annotate(text, (place, value), fontsize=7, color=colour, **beside)
