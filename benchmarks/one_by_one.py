"""For each family of services the law that beats `headroom` most, and by how much.

    python benchmarks/one_by_one.py [--law NAME] [--kinds A,B] [--services N] [--out DIR] [--smoke]

Every law is run on the services of each family, once each and under the same noise. The first table
names the law with the best mean: found on one half of a family's services and shown on the other
half, so the best of many is not flattered by luck: share of the oracle's goodput within the
deadline, and the difference in pairs. The second names the one service of the family on which any
law is farthest ahead, and that law. Where that is more than 2 %, a picture shows both side by side
there: DIR/FAMILY.png. About three minutes on two cores. `--smoke`: two families and three laws, and
only that it runs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _inputs import ended

from tpssim import simulate
from tpssim.cli.commands.progress import Progress
from tpssim.controllers import CONTROLLERS
from tpssim.core.errors import InputError
from tpssim.core.statistics import CONFIDENCE, Estimate, mean_interval
from tpssim.core.types import record
from tpssim.experiments.compare import league
from tpssim.experiments.over_services import over_services
from tpssim.experiments.random_services import families_of, family_of, random_scenarios
from tpssim.output import plots
from tpssim.output.pictures import Frame
from tpssim.output.tables import Column, Table
from tpssim.scenarios.scenario import Scenario
from tpssim.simulation.resolve import throttle_spec

NOISE = 5000  #: seed of the runs: none that a law was tuned on
AHEAD = 0.02  #: from which difference on there is a picture

#: By service and law: the share of the oracle's goodput.
Shares = dict[str, dict[str, float]]


@record
class Row(NamedTuple):
    """The best other law of a family, and the law, on services that had no part in the choice."""

    family: str
    services: float
    best: str
    share: float
    own: float
    ahead: Estimate  #: share of the best less the law's


@record
class Farthest(NamedTuple):
    """The service of a family on which another law is farthest ahead, and by which shares."""

    service: str
    best: str
    share: float
    own: float


def row_of(family: str, shares: Shares, law: str) -> Row:
    """One family: choose on every other service, show the rest."""
    names = [name for name in shares if family_of(name) == family]
    choosing, judging = names[::2], names[1::2]
    everywhere = set.intersection(*(set(shares[name]) for name in names))
    if law not in everywhere or len(everywhere) < 2:
        who = "no other law acts" if law in everywhere else f"{law} does not act"
        raise InputError(
            f"{who} on every service of {family}; allowed: other --kinds or --controllers"
        )
    everywhere -= {law}
    best = max(sorted(everywhere), key=lambda one: sum(shares[name][one] for name in choosing))
    ahead = [shares[name][best] - shares[name][law] for name in judging]
    return Row(
        family=family,
        services=float(len(judging)),
        best=best,
        share=float(np.mean([shares[name][best] for name in judging])),
        own=float(np.mean([shares[name][law] for name in judging])),
        ahead=mean_interval(ahead, CONFIDENCE),
    )


def farthest(family: str, shares: Shares, law: str) -> Farthest:
    """Of all services of a family and all laws."""
    found = [
        Farthest(name, other, share, row[law])
        for name, row in shares.items()
        for other, share in sorted(row.items())
        if family_of(name) == family and other != law
    ]
    return max(found, key=lambda one: one.share - one.own)


def picture(best: str, law: str, scenario: Scenario, folder: Path) -> Path:
    """Both laws on one service, side by side; the file."""
    traces = [simulate(scenario, each, seed=NOISE) for each in (best, law)]
    panels = [trace.panel(name) for trace, name in zip(traces, (best, law), strict=True)]
    title = f"{scenario.name}: {scenario.summary}"
    path = folder / f"{family_of(scenario.name)}.png"
    figure = plots.rate_figure(title, panels, Frame(*traces[0].frame()))
    plots.save(figure, path, f"{best} and {law}")
    return path


def played(args: argparse.Namespace, laws: list[str], services: list[Scenario]) -> Shares:
    """What every law comes to on every service."""
    found = league(
        services, laws, replications=1, seed=NOISE, workers=args.workers,
        progress=Progress("runs").weighed,
    )  # fmt: skip
    return over_services(found).shares


def shown(rows: list[Row], ends: list[Farthest], law: str) -> str:
    """The tables."""
    shares = [Column("share", digits=3), Column(law, digits=3)]
    first = [Column("family", left=True), Column("ser-\nvices"), Column("best other", left=True)]
    behind = sum((row.ahead.low or 0.0) > 0.0 for row in rows)
    about = [("", f"ahead by more than the interval (95 % of the mean): {behind} of {len(rows)}")]
    title = f"who beats {law} most, by families"
    table = Table(title, [*first, *shares, Column("ahead", digits=3, spread=True)], rows, about)
    second = [Column("service", left=True), Column("law", left=True), *shares]
    title = f"on which service of each family another law is farthest ahead of {law}"
    return f"{table.text()}\n\n{Table(title, second, ends).text()}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--law", default="headroom", help="that is compared (headroom)")
    parser.add_argument("--kinds", default="all", help="tuning, judging, all, or families: A,B")
    parser.add_argument("--services", type=int, default=16, help="of each family (16)")
    parser.add_argument("--seed", type=int, default=2027, help="of the services (2027)")
    parser.add_argument("--controllers", nargs="+", help="the other laws; default: all")
    parser.add_argument("--workers", type=int, default=2, help="processes (2)")
    parser.add_argument("--out", type=Path, default=Path("results/one-by-one"))
    parser.add_argument("--smoke", action="store_true", help="short, and only that it runs")
    args = parser.parse_args()
    if args.services < 4:
        parser.error(f"--services {args.services}; allowed: 4 and more, to choose and to judge on")
    families, others = families_of(args.kinds.split(",")), args.controllers or list(CONTROLLERS)
    if args.smoke:
        families, args.services, others = ["overload", "far"], 4, ["aimd", "fixed"]
    law = throttle_spec(args.law).label
    services = random_scenarios(args.services * len(families), args.seed, families)
    shares = played(args, list(dict.fromkeys([law, *others])), services)
    rows = [row_of(family, shares, law) for family in families]
    ends = [farthest(family, shares, law) for family in families]
    print(shown(rows, ends, law))
    by_name = {one.name: one for one in services}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) if args.smoke else args.out
        folder.mkdir(parents=True, exist_ok=True)
        for one in ends:
            if one.share - one.own > AHEAD or args.smoke:
                drawn = picture(one.best, law, by_name[one.service], folder)
                print(f"{drawn}: {one.best} and {law}")
    return 0


if __name__ == "__main__":
    sys.exit(ended(main))
