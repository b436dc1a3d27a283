"""Before and after: `headroom` on the kinds of services that once broke it, and a picture.

    python benchmarks/kinds_before_after.py [--out DIR] [--smoke]
    python benchmarks/kinds_before_after.py --before CHECKOUT [--kinds A,B] [--out DIR]

Eight services of each kind are drawn with a seed that no law was tuned on. Shown is the one of them
on which the law before was worst, which was chosen without a look at the law after, and the mean of
all eight, which does not depend on that choice: goodput within the deadline as a share of what the
oracle delivers on the same noise. A plain quota has nothing to draw, and is one service.

`--before` measures the `headroom` of a checkout (`git worktree add ../before COMMIT`) and keeps it
in DIR/before.json, from where it is read without the option. The picture is DIR/kinds.png. About a
minute. `--smoke`: two kinds, this tree before and after, and only that it runs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _inputs import ended
from _kinds import KINDS, LAW, NOISE, PLAIN, services, succeeded

from tpssim import simulate
from tpssim.core.errors import InputError
from tpssim.core.types import record
from tpssim.output import plots
from tpssim.output.plots import Goodputs
from tpssim.output.tables import Column, Table
from tpssim.scenarios.deadlines import deadline_of
from tpssim.scenarios.scenario import Scenario

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "results" / "reference-before-after"
WIDTH = 2.0  #: of a window, s: of several that quotas have a multiple

Array = np.ndarray[Any, np.dtype[np.float64]]


@record
class Before(NamedTuple):
    """What the law before made of a kind."""

    commit: str
    shares: list[float]  #: of the oracle's goodput, on each service
    windows: list[float]  #: goodput in each window of the worst one, 1/s

    def worst(self) -> int:
        """The number of the service on which its share is least."""
        return int(np.argmin(self.shares))


@record
class Row(NamedTuple):
    """A line of the table."""

    kind: str
    service: str
    before: float
    after: float
    mean_before: float
    mean_after: float


def in_time(calls: Array, service: Scenario) -> Array:
    """When the calls ended that succeeded within the deadline; they are counted from their release,
    for in none of these kinds the load comes by itself.
    """
    released, completed = calls
    found: Array = completed[completed - released <= deadline_of(service)]
    return found


def edges_of(service: Scenario) -> Array:
    """The windows of a run; the last one may be shorter."""
    return np.append(np.arange(0.0, service.duration, WIDTH), service.duration)


def windowed(times: Array, service: Scenario) -> Array:
    """Calls a second in each window."""
    edges = edges_of(service)
    found: Array = np.histogram(times, edges)[0] / np.diff(edges)
    return found


def played(service: Scenario, law: str) -> Array:
    """When the calls of a law ended that came in time."""
    return in_time(succeeded(simulate(service, law, seed=NOISE)), service)


def share(times: Array, best: Array) -> float:
    """Of what the oracle delivers, at most 1, as in the score."""
    return min(1.0, len(times) / len(best))


def commit_of(checkout: Path) -> str:
    """The commit of a checkout."""
    words = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    return subprocess.run(words, capture_output=True, text=True).stdout.strip() or "unknown"


def measured(checkout: Path, kinds: list[str]) -> dict[str, Before]:
    """The law of a checkout, in a process of its own, on the services of this tree."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "calls.npz"
        words = [sys.executable, str(Path(__file__).parent / "_kinds.py"), str(file), *kinds]
        environment = {**os.environ, "PYTHONPATH": str(checkout)}
        subprocess.run(words, check=True, env=environment, cwd=folder)
        with np.load(file) as calls:
            there = Path(str(calls["tree"])).resolve()
            assert there.is_relative_to(checkout.resolve()), there
            return {kind: before_of(kind, calls, commit_of(checkout)) for kind in kinds}


def before_of(kind: str, calls: Any, commit: str) -> Before:
    """What the calls of a checkout come to."""
    times, shares = [], []
    for service in services(kind):
        if kind != PLAIN and repr(service) != str(calls[f"{service.name} is"]):
            raise InputError(
                f"--before: {service.name} is another service there; allowed: a tree that draws"
                " the same services"
            )
        times.append(in_time(calls[service.name], service))
        shares.append(share(times[-1], played(service, "oracle")))
    worst = int(np.argmin(shares))
    windows = windowed(times[worst], services(kind)[worst])
    return Before(commit, [round(s, 4) for s in shares], [round(w, 3) for w in windows.tolist()])


def compared(kind: str, before: Before) -> tuple[Row, Goodputs]:
    """Before and after on one kind: a line of the table, and a panel."""
    worst, shares = before.worst(), []
    for number, service in enumerate(services(kind)):
        best, times = played(service, "oracle"), played(service, LAW)
        shares.append(share(times, best))
        if number == worst:
            panel = Goodputs(
                title=KINDS[kind],
                edges=edges_of(service),
                best=windowed(best, service),
                before=np.array(before.windows),
                after=windowed(times, service),
                shares=(before.shares[worst], shares[-1]),
            )
            name = service.name
    means = float(np.mean(before.shares)), float(np.mean(shares))
    return Row(KINDS[kind], name, *panel.shares, *means), panel


def stored(folder: Path) -> dict[str, Before]:
    """What was measured of the law before."""
    file = folder / "before.json"
    if not file.is_file():
        return {}
    return {kind: Before(**row) for kind, row in json.loads(file.read_text("utf-8")).items()}


def store(folder: Path, found: dict[str, Before]) -> None:
    """Keep it beside the picture, a line a kind."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [f"{json.dumps(kind)}: {json.dumps(row._asdict())}" for kind, row in found.items()]
    (folder / "before.json").write_text("{\n" + ",\n".join(rows) + "\n}\n", "utf-8")


def table(rows: list[Row]) -> Table:
    """The shares of each kind."""
    columns = [Column("kind", left=True), Column("service", left=True)]
    for of in ("", "mean of\neight, "):
        columns += [Column(f"{of}before", digits=2), Column(f"{of}after", digits=2)]
    title = "share of the oracle's goodput, on the service on which the law before was worst"
    return Table(title, columns, rows)


def draw(folder: Path, before: dict[str, Before]) -> None:
    """The table, and the picture."""
    found = [compared(kind, before[kind]) for kind in KINDS if kind in before]
    print(table([row for row, _ in found]).text())
    title = f"{LAW} before and after, as a share of what was achievable"
    figure = plots.goodput_figure(title, [panel for _, panel in found])
    path = folder / "kinds.png"
    plots.save(figure, path, "python benchmarks/kinds_before_after.py")
    print(path)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="with the law before")
    parser.add_argument("--kinds", default=",".join(KINDS), help="that it is measured on: A,B")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the picture")
    parser.add_argument("--smoke", action="store_true", help="short, and only that it runs")
    args = parser.parse_args()
    kinds = args.kinds.split(",")
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        parser.error(f"--kinds {unknown[0]!r}; allowed: {', '.join(KINDS)}")
    checkout = ROOT if args.smoke else args.before
    if checkout is not None and not (checkout / "tpssim" / "__init__.py").is_file():
        parser.error(f"--before {str(checkout)!r}; allowed: a folder that holds a tpssim")
    if checkout is None and not stored(args.out):
        parser.error(f"--out {str(args.out)!r} has no before.json: --before CHECKOUT makes it")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) if args.smoke else args.out
        if checkout is not None:
            kinds = ["far", PLAIN] if args.smoke else kinds
            store(folder, {**stored(folder), **measured(checkout.resolve(), kinds)})
        draw(folder, stored(folder))
    return 0


if __name__ == "__main__":
    sys.exit(ended(main))
