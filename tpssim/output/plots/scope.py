"""The picture of `explore`: one figure whose lines move. It takes arrays, so it can start no run.

What does not change is drawn once; a new set of lines is drawn over it, which takes some
milliseconds.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.ticker import EngFormatter

from tpssim.core.types import record
from tpssim.output.pictures import Frame
from tpssim.output.plots.common import BLACK, BLUE, GREY, ORANGE

if TYPE_CHECKING:
    from matplotlib.lines import Line2D
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

BINS = 120
BASE = "#9A9A9A"


@record
class Curves(NamedTuple):
    """What is drawn of a run: rates, 1/s (of cost if calls have one), and response times, s, at the
    middle of `BINS` bins; nan: none.
    """

    commanded: Array
    delivered: Array
    median: Array
    most: Array


class Scope:
    """A figure for one scenario, with one run in grey to compare others with."""

    def __init__(self, title: str, frame: Frame, baseline: Curves) -> None:
        self._figure = Figure(figsize=(7.75, 4.9), dpi=96)
        self._canvas = FigureCanvasAgg(self._figure)
        rate, latency = self._figure.subplots(2, 1, sharex=True)
        self._figure.subplots_adjust(left=0.108, right=0.985, top=0.875, bottom=0.1, hspace=0.09)
        middle = (np.arange(BINS) + 0.5) * frame.duration / BINS
        for start, end in frame.shades:
            for ax in (rate, latency):
                ax.axvspan(start, end, color=GREY, alpha=0.4, lw=0)
        edges = np.array([start for start, _, _ in frame.steps] + [frame.duration])
        rate.stairs(
            [r for _, _, r in frame.steps], edges, baseline=None, color=BLACK, lw=1.2, ls="--"
        )
        rate.plot(middle, baseline.delivered, color=BASE, lw=2.6)
        latency.plot(middle, baseline.median, color=BASE, lw=2.6)
        labels = {"delivered": BLUE, "commanded": ORANGE}
        times = {"median response time": BLUE, "longest": ORANGE}
        self._lines: list[tuple[Any, Line2D]] = []
        for ax, names in ((rate, labels), (latency, times)):
            for (name, colour), width in zip(names.items(), (2.0, 1.1), strict=True):
                (line,) = ax.plot(
                    middle, np.full(BINS, np.nan), color=colour, lw=width, animated=True
                )
                line.set_label(name)
                self._lines.append((ax, line))
            ax.spines[["top", "right"]].set_visible(False)
        self._top = 1.3 * frame.target
        rate.set_ylim(0.0, self._top)
        rate.set_xlim(0.0, frame.duration)
        rate.set_ylabel(f"{frame.of} per second")
        latency.set_yscale("log")
        latency.set_ylim(_below(baseline.median), frame.duration)
        latency.yaxis.set_major_formatter(EngFormatter(unit="s"))
        latency.set_ylabel("response time")
        latency.set_xlabel("time (s)")
        self._storm = rate.text(
            0.995, 0.97, "", transform=rate.transAxes, ha="right", va="top", fontsize=9, color=BLUE,
            animated=True, bbox={"facecolor": "white", "alpha": 0.8, "pad": 1, "lw": 0},
        )  # fmt: skip
        self._figure.suptitle(title, fontsize=10, fontweight="bold", x=0.108, ha="left", y=0.985)
        rate.plot([], [], color=BLACK, lw=1.2, ls="--", label="achievable")
        rate.plot([], [], color=BASE, lw=2.6, label="the article's constants")
        rate.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, frameon=False, fontsize=9)
        latency.legend(loc="upper left", ncols=2, frameon=False, fontsize=9)
        self._canvas.draw()
        self._background = self._canvas.copy_from_bbox(self._figure.bbox)

    def png(self, curves: Curves) -> bytes:
        """The picture with the lines of a run."""
        self._canvas.restore_region(self._background)
        rows = (curves.delivered, curves.commanded, curves.median, curves.most)
        for (ax, line), values in zip(self._lines, rows, strict=True):
            line.set_ydata(values)
            ax.draw_artist(line)
        most = float(np.nanmax(curves.delivered, initial=0.0))
        if most > self._top:
            self._storm.set_text(f"storm: {most:,.0f}/s")
            self._lines[0][0].draw_artist(self._storm)
        with io.BytesIO() as file:
            pixels = np.asarray(self._canvas.buffer_rgba())
            imsave(file, pixels, format="png", pil_kwargs={"compress_level": 1})
            return file.getvalue()


def _below(values: Array) -> float:
    """The power of ten below the least of the values."""
    there = values[values > 0.0]
    return 10.0 ** math.floor(math.log10(float(there.min()))) if len(there) else 1e-4
