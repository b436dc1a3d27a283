"""The picture of the packages in CONTRIBUTING.md: the way of a call, held against the imports.

python docs/packages.py [FILE]        default: docs/packages.png; needs the extra test
"""

from __future__ import annotations

import math
import sys
import tomllib
from pathlib import Path

import grimp
import matplotlib.pyplot as plt
from matplotlib.transforms import Bbox

ROOT = Path(__file__).parent.parent
#: The way of a call from what asks for it to its picture: module -> (what it does, column).
WAY = {
    "cli.commands.compare": ("1  which scenarios and controllers", 0.0),
    "experiments.compare": ("2  which runs", 0.0),
    "experiments._pair_runs": ("2  in which process", 1.3),
    "simulation.run": ("3  which engine", 0.0),
    "simulation.simpy_engine": ("4  when calls are due", 0.92),
    "scenarios.scenario": ("4  producer and service", 1.6),
    "core.pacer": ("4  the next slot", 0.3),
    "controllers": ("4  how fast", -0.65),
    "simulation.call_lifecycle": ("5  begins, waits, ends", 1.98),
    "simulation.trace": ("6  a row for each call", 3.15),
    "metrics.measure": ("7  the numbers of a run", 2.0),
    "experiments.comparison": ("8  their table", 2.8),
    "output.plots": ("9  the picture", 2.45),
}
#: Of the imports between them those that the way goes along.
IMPORTS = (
    ("cli.commands.compare", "experiments.compare"),
    ("experiments.compare", "experiments._pair_runs"),
    ("experiments._pair_runs", "simulation.run"),
    ("experiments._pair_runs", "metrics.measure"),
    ("experiments.compare", "experiments.comparison"),
    ("experiments.compare", "controllers"),
    ("simulation.run", "simulation.simpy_engine"),
    ("simulation.simpy_engine", "scenarios.scenario"),
    ("simulation.simpy_engine", "simulation.call_lifecycle"),
    ("simulation.simpy_engine", "core.pacer"),
    ("metrics.measure", "simulation.trace"),
    ("experiments.comparison", "output.plots"),
)
BLUE = "#0072B2"


def order() -> list[str]:
    """The packages from the top down, as the contract in pyproject.toml has them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    return list(layers)


def border(box: Bbox, other: Bbox) -> tuple[float, float]:
    """Where the line between two centres leaves the box."""
    x, y = (box.x0 + box.x1) / 2.0, (box.y0 + box.y1) / 2.0
    dx, dy = (other.x0 + other.x1) / 2.0 - x, (other.y0 + other.y1) / 2.0 - y
    share = min(
        box.width / 2.0 / abs(dx) if dx else math.inf,
        box.height / 2.0 / abs(dy) if dy else math.inf,
    )
    return x + share * dx, y + share * dy


def draw(file: Path) -> None:
    """Packages as bands, the modules of the way as boxes, its imports as arrows."""
    graph = grimp.build_graph("tpssim")
    packages = order()
    figure, axes = plt.subplots(figsize=(10.0, 8.0))
    for k, package in enumerate(packages):
        axes.axhspan(-k - 0.42, -k + 0.42, color="#f2f2f2", zorder=0)
        axes.text(-1.75, -k, package, va="center", fontsize=11, weight="bold")
    boxes = {}
    for name, (what, x) in WAY.items():
        package, _, module = name.partition(".")
        text = axes.text(
            x,
            -packages.index(package),
            f"{module or package}\n{what}",
            ha="center",
            va="center",
            fontsize=8.5,
            linespacing=1.35,
            bbox={"boxstyle": "round,pad=0.3", "facecolor": "white", "edgecolor": BLUE},
        )
        box = text.get_bbox_patch()
        assert box is not None
        boxes[name] = box
    axes.set_xlim(-1.85, 3.7)
    axes.set_ylim(-len(packages) + 0.5, 0.6)
    figure.canvas.draw()  # the boxes get their places
    to_data = axes.transData.inverted()
    places = {name: Bbox(to_data.transform(box.get_window_extent())) for name, box in boxes.items()}
    for above, below in IMPORTS:
        exists = graph.direct_import_exists(importer=f"tpssim.{above}", imported=f"tpssim.{below}")
        assert exists, f"{above} does not import {below}: the picture is out of date"
        start, end = places[above], places[below]
        assert end.y0 <= start.y0, f"{above} imports {below}, which stands above it"
        axes.annotate(
            "",
            xy=border(end, start),
            xytext=border(start, end),
            arrowprops={"arrowstyle": "-|>", "color": BLUE, "shrinkA": 1.0, "shrinkB": 1.0},
            zorder=1,  # behind the boxes
        )
    axes.axis("off")
    title = "The way of a call, from the command to its picture: every import points down"
    axes.set_title(title, fontsize=12)
    figure.savefig(file, dpi=110, bbox_inches="tight")


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "docs/packages.png")
