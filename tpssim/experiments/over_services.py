"""What throttles come to over many services, by family: it reads a league that was run on them.

What is judged is the share of the oracle's goodput on each service (`metrics.score`), and that
share beside the best one of any throttle there. Intervals are over services, which are drawn
independently of each other; all throttles meet the same services under the same noise.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim.core.errors import InputError
from tpssim.core.statistics import CONFIDENCE, EACH, Estimate, assumption, estimate
from tpssim.core.types import record
from tpssim.experiments.families import JUDGING, TUNING
from tpssim.experiments.league import League, together
from tpssim.experiments.random_services import family_of
from tpssim.output import format, records
from tpssim.output.records import services as record_parts
from tpssim.output.records.parts import interval
from tpssim.output.tables import Column, Table
from tpssim.simulation.oracle import NAME as ORACLE

if TYPE_CHECKING:
    from tpssim.output.plots import Figure

NEAR, FAR, FAILED = 0.98, 0.9, 0.7  #: shares of the best on a service
BESIDE = 3  #: throttles that the table of families shows beside the best

COLUMNS = (
    Column("throttle", left=True),
    Column("ser-\nvices"),
    Column("share of\noracle", digits=3, spread=True),
    Column("behind\nfirst", digits=3, spread=True),
    Column("near\nbest", "%", scale=100.0),
    Column("below\n0.9", "%", scale=100.0),
    Column("below\n0.7", "%", scale=100.0),
    Column("worst", left=True),
    Column("of\nbest", digits=2),
)


@record
class Over(NamedTuple):
    """One throttle over the services on which its actuator acts."""

    throttle: str
    services: int
    share: Estimate  #: of the oracle's goodput
    first: str  #: who has the most of it there
    behind: Estimate  #: its share - its own, with an interval at `together`
    near: float  #: on which share of the services it is within 2 % of the best one there
    below_90: float  #: on which it is below 0.9 of that
    below_70: float  #: on which it is below 0.7 of that
    worst: tuple[
        str, float
    ]  #: the service on which it is farthest behind, and its share of the best


@record
class OverServices(NamedTuple):
    """Throttles over services, by family.

    >>> from tpssim import random_scenarios
    >>> from tpssim.experiments.compare import league
    >>> two = random_scenarios(2, seed=3, kinds="blocking")
    >>> over_services(league(two, ["fixed", "aimd"], replications=1)).standings()[0].services
    2
    """

    #: by service and throttle: the share of the oracle's goodput, the mean of the replications
    shares: dict[str, dict[str, float]]
    seed: int  #: of the noise
    replications: int

    def families(self) -> list[str]:
        """Those of which there are services, as `FAMILIES` has them; "" for other services last."""
        there = {family_of(name) for name in self.shares}
        return [name for name in (*TUNING, *JUDGING, "") if name in there]

    def standings(self, family: str | None = None) -> list[Over]:
        """Who plays on most services first, then by the mean share; `family`: of its services."""
        found = self.shares
        if family is not None:
            found = {name: row for name, row in found.items() if family_of(name) == family}
        own: dict[str, dict[str, float]] = {}
        for name, row in found.items():
            for throttle, share in row.items():
                own.setdefault(throttle, {})[name] = share
        best = {name: max(row.values()) for name, row in found.items()}
        rows = [_over(throttle, own, best) for throttle in own]
        return sorted(rows, key=lambda row: (-row.services, -(row.share.mean or 0.0)))

    def table(self) -> str:
        """For people, 80 columns wide: all services together, then by family."""
        return "\n\n".join(table.text() for table in self._tables())

    def _tables(self) -> list[Table]:
        number, rows = len(self.shares), self.standings()
        shown = [
            [
                row.throttle,
                float(row.services),
                row.share,
                "-" if row.throttle == row.first else row.behind,
                row.near,
                row.below_90,
                row.below_70,
                *row.worst,
            ]
            for row in rows
        ]
        families = [name or "others" for name in self.families()]
        title = (
            f"{format.count(number, 'service')} of {count_families(len(families))}:"
            " goodput as a share of the oracle's\nnear best: within 2 % of the best throttle on"
            " that service; below 0.9, below 0.7: of that; worst: where it is farthest behind it"
        )
        about = [
            ("±:", assumed(number)),
            ("", f"± behind the first: {format.share(CONFIDENCE)} for all together, likewise"),
        ]
        return [Table(title, COLUMNS, shown, about), self._by_family([r.throttle for r in rows])]

    def _by_family(self, ranked: Sequence[str]) -> Table:
        """The best throttle of each family, and the first of all beside it."""
        beside = ranked[:BESIDE]
        columns = [
            Column("family", left=True),
            Column("ser-\nvices"),
            Column("best", left=True),
            Column("share", digits=2),
            *(Column(name, digits=2, spread=True) for name in beside),
        ]
        rows: list[list[Any]] = []
        for family in self.families():
            found = {row.throttle: row for row in self.standings(family)}
            first = max(found.values(), key=lambda row: row.share.mean or 0.0)
            others = [found[name].share if name in found else None for name in beside]
            rows.append(
                [family or "others", float(first.services), first.throttle, first.share, *others]
            )
        return Table("by family", columns, rows)

    def plot(self) -> Figure:
        """Throttle by family: the mean share of the oracle's goodput, and the worst share of the
        best.
        """
        from tpssim.output import plots

        order = self.standings()
        families = self.families()
        found = {name: {row.throttle: row for row in self.standings(name)} for name in families}
        cells = [[found[name].get(row.throttle) for name in families] for row in order]
        values = [[np.nan if cell is None else cell.share.mean for cell in row] for row in cells]
        words = [["" if c is None else f"worst {c.worst[1]:.2f}" for c in row] for row in cells]
        kinds = [kind_of(name) for name in families]
        return plots.matrix_figure(
            f"{format.count(len(self.shares), 'service')} at random: goodput by family",
            "mean share of the oracle's goodput, and the least share of the best throttle's on one"
            " service; empty: the actuator does not act there",
            [row.throttle for row in order],
            [row.share.mean or 0.0 for row in order],
            [name or "others" for name in families],
            [(kind, kinds.count(kind)) for kind in dict.fromkeys(kinds)],
            np.array(values, dtype=np.float64),
            words,
        )

    def rows(self) -> Iterator[record_parts.Served]:
        """One flat row for each service and throttle."""
        for name, row in self.shares.items():
            best = max(row.values())
            for throttle, share in row.items():
                yield {
                    "service": name,
                    "family": family_of(name),
                    "kind": kind_of(family_of(name)),
                    "throttle": throttle,
                    "share": share,
                    "of_best": of(share, best),
                }

    def record(self) -> records.ServicesRecord:
        """The tables and every share."""
        return records.ServicesRecord(
            seed=self.seed,
            replications=self.replications,
            confidence={"share": EACH, "behind": CONFIDENCE},
            assumption=assumed(len(self.shares)),
            kinds={name: kind_of(name) for name in self.families()},
            standings=[_listed(row) for row in self.standings()],
            families={
                name: [_listed(row) for row in self.standings(name)] for name in self.families()
            },
            services=list(self.rows()),
        )

    def to_json(self, **extra: Any) -> str:
        """The record as JSON; `extra` is added, or takes the place of a field such as `command`."""
        return json.dumps({**self.record().to_dict(), **extra}, indent=1, allow_nan=False)

    def __repr__(self) -> str:
        throttles = {throttle for row in self.shares.values() for throttle in row}
        return (
            f"<OverServices: {format.count(len(throttles), 'throttle')} on"
            f" {format.count(len(self.shares), 'service')} of"
            f" {count_families(len(self.families()))}; print(.table()), .plot(),"
            " .standings()>"
        )


def over_services(league: League) -> OverServices:
    """What the throttles of a league come to over its scenarios."""
    shares: dict[str, dict[str, float]] = {}
    for name, throttle in league.comparison.cells:
        if throttle != ORACLE:
            each = [one.goodput for one in league.scores(name, throttle)]
            shares.setdefault(name, {})[throttle] = float(np.mean(each))
    # Where the oracle itself delivers nothing in time, as with a deadline below the service time.
    empty = [name for name, row in shares.items() if np.isnan([*row.values()]).any()]
    if empty:
        what = f"{len(empty)} of {len(shares)} services, such as {empty[0]}, serve nothing in time"
        raise InputError(f"{what}; allowed: a longer deadline, or other kinds")
    return OverServices(shares, league.comparison.seed, league.comparison.replications)


def kind_of(family: str) -> str:
    """What a family is for: "tuning", "judging", or "" for other services.

    >>> kind_of("far"), kind_of("knee"), kind_of("")
    ('tuning', 'judging', '')
    """
    return "tuning" if family in TUNING else "judging" if family in JUDGING else ""


def assumed(services: int) -> str:
    """What an interval over so many services says, and what it does not.

    >>> assumed(3)
    'no interval: 3 services are too few, 5 are the least'
    """
    said = assumption(services)
    for runs, drawn in (("1 replication", "1 service"), ("replications", "services")):
        said = said.replace(runs, drawn)
    return said.replace("runs", "services")


def count_families(n: int) -> str:
    """So many of them.

    >>> count_families(1), count_families(17)
    ('1 family', '17 families')
    """
    return "1 family" if n == 1 else f"{n} families"


def of(share: float, best: float) -> float:
    """A share as a share of the best one; 1 where nobody delivers anything."""
    return share / best if best > 0.0 else 1.0


def _over(throttle: str, every: dict[str, dict[str, float]], best: dict[str, float]) -> Over:
    """One row, against all throttles that play on all of its services."""
    own = every[throttle]
    others = [other for other, shares in every.items() if own.keys() <= shares.keys()]
    by_name = {other: np.array([every[other][name] for name in own]) for other in others}
    mine = by_name[throttle]
    first = max(others, key=lambda other: float(by_name[other].mean()))
    of_best = {name: of(share, best[name]) for name, share in own.items()}
    reached, worst = np.array(list(of_best.values())), min(of_best, key=lambda name: of_best[name])
    return Over(
        throttle=throttle,
        services=len(own),
        share=estimate(mine.tolist()),
        first=first,
        behind=estimate((by_name[first] - mine).tolist(), together(len(others))),
        near=float((reached >= NEAR).mean()),
        below_90=float((reached < FAR).mean()),
        below_70=float((reached < FAILED).mean()),
        worst=(worst, of_best[worst]),
    )


def _listed(row: Over) -> record_parts.Standing:
    return {
        "throttle": row.throttle,
        "services": row.services,
        "share": interval(row.share),
        "first": row.first,
        "behind": interval(row.behind),
        "near": row.near,
        "below_90": row.below_90,
        "below_70": row.below_70,
        "worst": {"service": row.worst[0], "share_of_best": row.worst[1]},
    }
