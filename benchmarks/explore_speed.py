"""How long `tpssim.explore` takes to follow a slider: from the choice to picture, verdict and
table.

    python benchmarks/explore_speed.py [FILE.json] [--smoke]

`--smoke`: two moves of a few scenarios, to see that it runs.

Every move takes another ALPHA, so nothing of the run is remembered; the noise of a seed is, as it
is while a slider moves. The parts are measured apart: the run, its measures and verdict, the
picture.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tpssim import Trace
from tpssim.experiments.explore import Choice, verdict_text, view
from tpssim.metrics.measure import measured
from tpssim.metrics.verdicts import Verdict, judge
from tpssim.scenarios.builtin import SCENARIOS
from tpssim.simulation.run import simulate

MOVES = 40


def milliseconds(do: Callable[..., object], *args: Any) -> float:
    began = time.perf_counter()
    do(*args)
    return 1e3 * (time.perf_counter() - began)


def moved(choice: Choice) -> None:
    verdict_text(view(choice), choice)


def run(choice: Choice) -> Trace:
    return simulate(*choice.specs(), seed=choice.seed)


def verdict_of(trace: Trace) -> Verdict:
    return judge(trace, measured(trace)[1])


def summary(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "p95": sorted(values)[int(0.95 * len(values))]}


def main() -> None:
    parser = argparse.ArgumentParser(description="How long explore takes to follow a slider.")
    parser.add_argument(
        "file", nargs="?", type=Path, metavar="FILE.json", help="where the figures go, too"
    )
    parser.add_argument("--smoke", action="store_true", help="two moves of a few: does it run?")
    args = parser.parse_args()
    found: dict[str, dict[str, dict[str, float]]] = {}
    first = milliseconds(moved, Choice())
    print(f"the first view, with what is compiled or loaded for it: {first:,.0f} ms")
    print(
        f"{'':18}{'a move':>16}{'the run':>10}{'measures':>10}{'picture':>10}   ms, median (95 %)"
    )
    for name in list(SCENARIOS)[: 4 if args.smoke else None]:
        choices = [Choice(name, alpha=0.02 + 0.01 * i) for i in range(2 if args.smoke else MOVES)]
        moved(choices[0])
        traces = [run(choice) for choice in choices]
        parts = {
            "move": [milliseconds(moved, choice) for choice in choices],
            "run": [milliseconds(run, choice) for choice in choices],
            "measures": [milliseconds(verdict_of, trace) for trace in traces],
        }
        found[name] = {part: summary(values) for part, values in parts.items()}
        row = {part: values["median"] for part, values in found[name].items()}
        picture = row["move"] - row["run"] - row["measures"]
        move = f"{row['move']:.0f} ({found[name]['move']['p95']:.0f})"
        print(f"{name:18}{move:>16}{row['run']:>10.1f}{row['measures']:>10.1f}{picture:>10.1f}")
    if args.file is not None:
        made = {
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "first": first,
            "ms": found,
        }
        args.file.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
