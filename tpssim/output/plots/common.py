"""What all pictures share: colours, dashes, and how a picture is kept.

Colours are Okabe and Ito's, which colour-blind readers can tell apart; lines differ in width and
dashes too.
"""

from __future__ import annotations

import io
import re
import textwrap
from typing import TYPE_CHECKING, Any, BinaryIO

from matplotlib import rc_context
from matplotlib.ticker import LogLocator, NullFormatter

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

BLUE, ORANGE, BLACK, GREY = "#0072B2", "#D55E00", "#000000", "#BBBBBB"
DIM = "#767676"  # lines and dots that stand back, dark enough to be read on white
PURPLE = "#8F5EB3"  # of what stands on an axis of its own
PRODUCERS, DASHES = ("#009E73", "#CC79A7", "#56B4E9"), ("-", "--", ":")
PER_ROW = 3  # panels
LETTER = 0.1  # inch: of a title
#: Areas of calls that were not served: plain if the service refused them, hatched if they were
#: refused here.
REFUSED_THERE: dict[str, Any] = {"fill": True, "color": "#E69F00", "alpha": 0.8, "lw": 0}
REFUSED_HERE: dict[str, Any] = {"fill": True, "fc": "none", "ec": DIM, "hatch": "////", "lw": 0.7}


def save(figure: Figure, path: Path | BinaryIO, description: str) -> None:
    """Write a PNG that carries the command and version that made it."""
    # A tenth larger than as zlib is asked by default, in half the time.
    options = {"compress_level": 1}
    metadata = {"Description": description, "Software": "tpssim"}
    figure.savefig(path, metadata=metadata, pil_kwargs=options)


def log_ticks(axis: Any, ratio: float) -> None:
    """Plain numbers, so many that they do not run into each other."""
    axis.set_major_locator(LogLocator(subs=(1.0,) if ratio > 100.0 else (1.0, 2.0, 5.0)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def balanced(title: str, most: int) -> str:
    """The title in lines of about the same length, of so many letters at most; no number stands
    apart from its unit.

    >>> balanced("calls of 10 s", 9)
    'calls of\\n10 s'
    """
    lines = -(-len(title) // most)
    joined = re.sub(r"(\d) (?=(?:s\b|ms\b|%))", "\\1\N{NO-BREAK SPACE}", title)
    width = min(most, len(title) // max(lines, 1) + 10)
    filled = textwrap.fill(joined, width, break_on_hyphens=False)
    return filled.replace("\N{NO-BREAK SPACE}", " ")


def svg(figure: Figure) -> str:
    """The figure as SVG whose text is text; equal figures give equal bytes."""
    with (
        io.StringIO() as file,
        rc_context(
            {"svg.fonttype": "none", "svg.hashsalt": "tpssim", "path.simplify_threshold": 0.4}
        ),
    ):
        figure.savefig(file, format="svg", metadata={"Date": None})
        return file.getvalue()
