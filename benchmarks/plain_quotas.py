"""What a law makes of the commonest limit of an API: so many calls a second, and no word of it.

    python benchmarks/plain_quotas.py [--law LAW] [--seconds 30] [--seeds 3] [--smoke]

A quota of 100 calls a second, calls of 1, 10, 30 and 100 ms that overlap, of which 150, 300 and
1,000 a second are wanted; for each kind of quota. Each cell has the share of the quota that was
served in the whole run, and the share of the calls after the first five seconds that were refused;
the worst of the seeds, of which the first has calls that all take the same time, and the others
lognormal ones (coefficient of variation 0.3). The exit code is 1 if anywhere less than 90 % of the
quota was served or more than 3 % of those calls were refused. `--smoke`: two kinds of a few
seconds, and only that it runs.
"""

from __future__ import annotations

import argparse
import sys
from typing import NamedTuple

from _inputs import ended

from tpssim import Async, Backend, Constant, Lognormal, Scenario, simulate
from tpssim.core.types import OK, REJECTED
from tpssim.output.tables import Column, Table
from tpssim.scenarios.service_quotas import ServiceQuota

QUOTA, SETTLED = 100.0, 5.0  # calls a second; s after which refusals count
TAKES, WANTED = (0.001, 0.01, 0.03, 0.1), (150.0, 300.0, 1000.0)
SERVED, REFUSED = 0.9, 0.03  # the least, and the most


class Cell(NamedTuple):
    """The worst of the seeds."""

    served: float  #: share of the quota
    refused: float  #: share of the calls after the first seconds

    def holds(self) -> bool:
        return self.served >= SERVED and self.refused <= REFUSED

    def text(self) -> str:
        mark = "" if self.holds() else "!"
        return f"{100.0 * self.served:.1f} {100.0 * self.refused:.1f}{mark}"


#: How the window moves, which calls count, and what the answer says.
Kind = tuple[str, str, str]


def kinds() -> dict[Kind, Backend]:
    """The quotas: that of `Backend(rate=)`, and those of `ServiceQuota`."""
    found = {("rate=", "all", ""): Backend(rate=QUOTA)}
    for window in ("rolling", "fixed"):
        for counts in (0.0, 1.0):
            for says in (0.0, 1.0):
                quota = ServiceQuota(
                    QUOTA, 1.0, window=window, counts_refused=counts, retry_after=says
                )
                kind = window, "all" if counts else "served", "Retry-After" if says else ""
                found[kind] = Backend(quotas=(quota,))
    return found


def cell(law: str, backend: Backend, takes: float, wanted: float, args: argparse.Namespace) -> Cell:
    """One setting, the worst of the seeds."""
    cells = []
    for seed in range(args.seeds):
        service = Lognormal(takes, 0.3) if seed else Constant(takes)
        overlapping = Async(feedback="completion")
        plant = Scenario("quota", service, wanted, args.seconds, overlapping, backend=backend)
        trace = simulate(plant, law, seed=seed)
        good = (trace.outcome == OK) & (trace.completed <= args.seconds)
        refused = trace.outcome[trace.released >= SETTLED] == REJECTED
        share = float(refused.mean()) if len(refused) else 1.0
        cells.append(Cell(float(good.sum()) / (QUOTA * args.seconds), share))
    return Cell(min(one.served for one in cells), max(one.refused for one in cells))


def main() -> int:
    parser = argparse.ArgumentParser(description="Plain quotas that nobody announced.")
    parser.add_argument("--law", default="headroom", help="as for --controllers (headroom)")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each run (30)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each setting (3)")
    parser.add_argument("--smoke", action="store_true", help="short, and nothing made of it")
    args = parser.parse_args()
    plants, times = list(kinds().items()), list(TAKES)
    if args.smoke:
        plants, times = plants[:2], times[1:2]
        args.seconds, args.seeds = 8.0, 1
    if not args.seconds > SETTLED or args.seeds < 1:
        allowed = f"allowed: more than {SETTLED:g} seconds, and at least 1 seed"
        print(f"--seconds {args.seconds:g} --seeds {args.seeds}; {allowed}", file=sys.stderr)
        return 2
    names = ("window", "calls", "answer")
    columns = [*(Column(name, left=True) for name in names), Column("takes ms")]
    columns += [Column(f"{wanted:,.0f}/s") for wanted in WANTED]
    rows: list[list[str | float]] = []
    failed = 0
    for kind, backend in plants:
        for takes in times:
            cells = [cell(args.law, backend, takes, wanted, args) for wanted in WANTED]
            failed += sum(not one.holds() for one in cells)
            rows.append([*kind, 1000.0 * takes, *(one.text() for one in cells)])
    title = (
        f"{args.law} at a quota of {QUOTA:g} a second, {args.seconds:g} s: % of it served, % of the"
        f" calls after {SETTLED:g} s refused"
    )
    print(Table(title, columns, rows).text())
    what = f"at least {SERVED:.0%} served and at most {REFUSED:.0%} refused"
    cells_in_all = len(rows) * len(WANTED)
    print(f"{'FAILS' if failed else 'holds'}: {what} in {cells_in_all - failed} of {cells_in_all}")
    return 1 if failed and not args.smoke else 0


if __name__ == "__main__":
    sys.exit(ended(main))
