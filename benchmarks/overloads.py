"""What the league's score says of `fixed`, which sends what is wanted whatever becomes of it.

For every built-in scenario in which more is wanted for at least 5 s than the service can take: the
goodput of `fixed` in those phases as a share of the oracle's, its score and that of `headroom`, and
the difference of the two in pairs. The noise is none that a law was tuned on.

    python benchmarks/overloads.py [--smoke] [--replications N] [SCENARIO ...]

The exit code is 1 if `fixed` has half of the oracle's goodput or more, or does not score below
`headroom` by more than the interval, where calls overlap and none is refused; or if it does not
deliver all there is where calls are made one at a time. `--smoke`: two scenarios, one replication,
and only that it runs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import NamedTuple

from _inputs import ended

from tpssim.core.statistics import Estimate, estimate
from tpssim.core.types import record
from tpssim.experiments.cells import Run
from tpssim.experiments.compare import compare
from tpssim.metrics.measure import long_phases, overloaded
from tpssim.metrics.score import score
from tpssim.output.tables import Column, Table
from tpssim.scenarios.builtin import SCENARIOS
from tpssim.scenarios.capacity import mean_service
from tpssim.scenarios.deadlines import deadline_of
from tpssim.scenarios.plant import Blocking
from tpssim.scenarios.scenario import Scenario
from tpssim.simulation.resolve import scenario_named

SEED = 2000
ALONE, OVERLAP, REFUSED = "one at a time", "overlap", "refused"


@record
class Row(NamedTuple):
    """What the score says of one scenario."""

    scenario: str
    calls: str  #: how they are made
    share: Estimate  #: goodput of `fixed` in the overloaded phases over the oracle's
    fixed: Estimate  #: score
    headroom: Estimate
    behind: Estimate  #: headroom's score less that of `fixed`, in pairs


def overloads(scenario: Scenario) -> list[int]:
    """Which of the long phases are overloaded in their middle, though a call can be in time."""
    found = []
    for k, (start, end) in enumerate(long_phases(scenario)):
        middle = (start + end) / 2.0
        if overloaded(scenario, middle) and mean_service(scenario, middle) < deadline_of(scenario):
            found.append(k)
    return found


def delivered(run: Run, phases: list[int]) -> float:
    """The calls that completed in time in some of the long phases."""
    found = [run.phases[k] for k in phases]
    return sum(phase.goodput * (phase.end - phase.start) for phase in found)


def rows(names: list[str], replications: int) -> Iterator[Row]:
    """A row for each scenario that is overloaded."""
    chosen = [found for found in map(scenario_named, names) if overloads(found)]
    laws = ["oracle", "fixed", "headroom"]
    found = compare(chosen, laws, replications=replications, seed=SEED, workers=2)
    for scenario in chosen:
        best, fixed, headroom = (found.cells[scenario.name, law].runs for law in laws)
        phases = overloads(scenario)
        pairs = zip(fixed, best, strict=True)
        shares = [delivered(run, phases) / delivered(bar, phases) for run, bar in pairs]
        a, b = ([score(*pair).total for pair in measured(law, best)] for law in (fixed, headroom))
        yield Row(
            scenario=scenario.name,
            calls=calls_of(scenario),
            share=estimate(shares),
            fixed=estimate(a),
            headroom=estimate(b),
            behind=estimate([two - one for one, two in zip(a, b, strict=True)]),
        )


def measured(runs: list[Run], best: list[Run]) -> Iterator[tuple[dict[str, float], ...]]:
    """The measures of each run and of the oracle's on the same noise."""
    for run, bar in zip(runs, best, strict=True):
        yield run.measures, bar.measures


def calls_of(scenario: Scenario) -> str:
    """Whether calls are made one at a time or overlap, and whether what is too much is refused, so
    that it takes nothing of what is served.
    """
    if isinstance(scenario.consumer, Blocking):
        return ALONE
    backend = scenario.backend
    refused = bool(backend.quotas) or backend.places == 0.0
    return REFUSED if refused else OVERLAP


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="short, nothing made of it")
    parser.add_argument("--replications", type=int, default=8)
    parser.add_argument("names", nargs="*", default=list(SCENARIOS))
    args = parser.parse_args()
    names, replications = args.names, args.replications
    if args.smoke:
        names, replications = ["few-samples", "join-leave"], 1
    columns = (
        Column("scenario", left=True),
        Column("calls", left=True),
        Column("share", digits=3, spread=True),
        Column("fixed", digits=3),
        Column("headroom", digits=3),
        Column("behind", digits=3, spread=True),
    )
    found = list(rows(names, replications))
    print(Table("fixed where it overloads", columns, found).text())
    return 0 if args.smoke or all(map(holds, found)) else 1


def holds(row: Row) -> bool:
    """Whether the score says of `fixed` what it must."""
    share, behind = row.share, row.behind
    if row.calls == ALONE:
        return share.mean is not None and share.mean > 0.99
    if row.calls == REFUSED:
        return True
    tells = behind.low is not None and behind.low > 0.0
    return tells and share.high is not None and share.high < 0.5


if __name__ == "__main__":
    sys.exit(ended(main))
