"""The league: every throttle on every scenario where its actuator acts, by one score. It reads
finished runs.

A throttle's score is the mean, over its scenarios, of its runs' scores (`tpssim.metrics.score`),
each against the oracle's run on the same noise (`tpssim.simulation.oracle`), which is not ranked.
Intervals are over replications, whose noise all throttles share: the scenarios are these, not a
sample of others.

A rank compares like with like: a throttle's is among those that play all of its scenarios, on
these. So throttles that play everywhere are ranked on everything, and limits, which act on some
scenarios only, among all throttles on those.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim.core.statistics import (
    CONFIDENCE,
    EACH,
    Estimate,
    assumption,
    estimate,
    estimates,
    fewest,
)
from tpssim.core.types import record
from tpssim.experiments.comparison import Comparison
from tpssim.metrics.score import PARTS, WEIGHTS, Score, score, share
from tpssim.output import format, records
from tpssim.output.records import comparisons as record_parts
from tpssim.output.records.parts import interval
from tpssim.output.results_dir import plain
from tpssim.output.tables import Column, Table, filled
from tpssim.scenarios.plant import Async, Pool
from tpssim.scenarios.scenario import Scenario
from tpssim.simulation.oracle import NAME as ORACLE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tpssim.output.plots import Figure

    Array = NDArray[np.float64]

SEED = (
    1000  #: of a league by default; laws were chosen by comparisons, too, and these begin at seed 0
)
APART = "Scores are means over the scenarios of a block: compare within a block only."
SPLIT = ("tuning", "held-out")


COLUMNS = (
    Column("throttle", left=True),
    Column("rank"),
    Column("score", digits=3),
    Column("behind\nfirst", digits=3, spread=True),
    *(
        Column(name, digits=2)
        for name in (
            "good\xad\nput",
            "use\xad\nful",
            "tail",
            "smo\xad\noth",
            "reco\xad\nvery",
            "fair",
            "tun\xad\ning",
            "held-\nout",
        )
    ),
)


def acts(actuators: Sequence[str], scenario: Scenario) -> bool:
    """Whether one of a law's actuators can act on a scenario: a limit only where several calls of a
    producer are in flight.

    With hand-off feedback a call is over, for the law, when it has been handed over.
    """
    consumer = scenario.consumer
    several = isinstance(consumer, Pool) and consumer.workers > 1.0
    several = several or (isinstance(consumer, Async) and consumer.feedback == "completion")
    return "rate" in actuators or "reject" in actuators or several


def half(scenario: str) -> str:
    """The half to which a scenario belongs: by the first byte of the SHA-256 of its name, without
    parameters.

    >>> half("degrade-recover"), half("degrade-recover:mean=0.1") == half("degrade-recover")
    ('tuning', True)
    """
    return SPLIT[hashlib.sha256(scenario.partition(":")[0].encode()).digest()[0] % 2]


@record
class Standing(NamedTuple):
    """One throttle in the table: among those that play all of its scenarios, on these."""

    throttle: str
    actuator: str
    scenarios: int
    rank: int  #: by the mean score
    among: int  #: how many are ranked there, itself included
    ranks: Estimate  #: of the rank in each replication
    score: Estimate
    first: str  #: who is first there
    behind: Estimate  #: score of the first - its own, with an interval at `together`
    parts: Score  #: means
    halves: tuple[float, float]  #: mean scores on the tuning and the held-out half
    worst: tuple[str, float]  #: least score over the best one of any throttle on that scenario


@record
class League(NamedTuple):
    """The scores of a comparison."""

    comparison: Comparison  #: the oracle among the throttles
    weights: Mapping[str, float] = WEIGHTS  #: of the parts of the score

    def scenarios(self) -> list[str]:
        """Their names, the tuning half first."""
        return sorted(self.comparison.scenarios, key=lambda name: SPLIT.index(half(name)))

    def standings(self, only: str | None = None) -> list[Standing]:
        """The table: who plays most scenarios first, then by rank; `only`: one half of the
        scenarios.
        """
        played = {name for name, _ in self.comparison.cells}
        names = [name for name in self.scenarios() if name in played and only in (None, half(name))]
        throttles = dict.fromkeys(label for _, label in self.comparison.cells if label != ORACLE)
        totals = {label: self._totals(label, names) for label in throttles}
        totals = {label: rows for label, rows in totals.items() if rows}
        best = {
            name: max(float(rows[name].mean()) for rows in totals.values() if name in rows)
            for name in names
        }
        rows = [self._standing(label, totals, best) for label in totals]
        return sorted(rows, key=lambda row: (-row.scenarios, row.rank))

    def _standing(
        self, label: str, totals: Mapping[str, Mapping[str, Array]], best: Mapping[str, float]
    ) -> Standing:
        """One row, against all throttles that play on the scenarios of this one."""
        own = totals[label]
        others = [other for other, rows in totals.items() if own.keys() <= rows.keys()]
        means = {other: np.mean([totals[other][name] for name in own], axis=0) for other in others}
        mine, first = means[label], max(others, key=lambda other: float(means[other].mean()))
        every = np.array(list(means.values()))
        share = {name: float(row.mean()) / best[name] for name, row in own.items()}
        worst = min(share, key=lambda name: share[name])
        return Standing(
            throttle=label,
            actuator=self._actuator(label),
            scenarios=len(own),
            rank=1 + int((every.mean(axis=1) > mine.mean()).sum()),
            among=len(others),
            ranks=estimate((1.0 + (every > mine).sum(axis=0)).tolist()),
            score=estimate(mine.tolist()),
            first=first,
            behind=estimate((means[first] - mine).tolist(), together(len(others))),
            parts=self._parts(label, list(own)),
            halves=(self._mean(own, SPLIT[0]), self._mean(own, SPLIT[1])),
            worst=(worst, share[worst]),
        )

    def cell(self, scenario: str, throttle: str) -> tuple[str, float] | None:
        """(verdict, mean score); None where its actuator does not act."""
        found = self.comparison.cells.get((scenario, throttle))
        if found is None:
            return None
        totals = [run.total for run in self.scores(scenario, throttle)]
        return found.verdict()[0], float(np.mean(totals))

    def _actuator(self, throttle: str) -> str:
        cells = self.comparison.cells.items()
        return " or ".join(next(cell.actuators for (_, label), cell in cells if label == throttle))

    def _totals(self, throttle: str, names: Sequence[str]) -> dict[str, Array]:
        """Its score in each replication on each of its scenarios."""
        cells = self.comparison.cells
        return {
            name: np.array([run.total for run in self.scores(name, throttle)])
            for name in names
            if (name, throttle) in cells
        }

    def _mean(self, totals: Mapping[str, Array], which: str) -> float:
        means = [float(row.mean()) for name, row in totals.items() if half(name) == which]
        return sum(means) / len(means) if means else math.nan

    def _parts(self, throttle: str, names: Sequence[str]) -> Score:
        """Its mean over scenarios of each part, where there is one."""
        rows = np.array([np.mean(self.scores(name, throttle), axis=0) for name in names])
        return Score(*estimates(rows).mean.tolist())

    def __repr__(self) -> str:
        throttles = {label for _, label in self.comparison.cells} - {ORACLE}
        return (
            f"<League: {format.count(len(throttles), 'throttle')} on"
            f" {format.count(len(self.comparison.scenarios), 'scenario')},"
            f" {format.count(self.comparison.replications, 'replication')}; print(.table()),"
            " .plot(), .standings()>"
        )

    def _repr_html_(self) -> str:
        """The table in a notebook."""
        from tpssim.output.html.notebook import shown

        blocks = self._blocks()
        apart = [("", APART)] if len(blocks) > 1 else []
        return shown(blocks, apart, self._about())

    def table(self) -> str:
        """For people, 80 columns wide: a block for each number of scenarios."""

        def fitted(text: str) -> str:
            return "\n".join(filled(line, further="  ") for line in text.splitlines())

        parts = [fitted(self._about())]
        for block in self._blocks():
            parts += [fitted(block.title), block._replace(title="").text()]
        return "\n\n".join([*parts, *([APART] if len(parts) > 3 else [])])

    def _about(self) -> str:
        weights = ", ".join(f"{name} {self.weights[name]:g}" for name in PARTS)
        ranks = f"ranks: {assumption(self.comparison.replications)}"
        behind = f"behind first ±: {format.share(CONFIDENCE)} for all of a block together, likewise"
        what = f"score: geometric mean, as shares of the oracle's (1.00), of {weights}"
        runs, most = self.above()
        beyond = [f"more goodput than the oracle's, counted as 1: {runs}, {most:.3f} at most"]
        return "\n".join([what, *(beyond if runs else []), ranks, behind])

    def above(self) -> tuple[int, float]:
        """(how many runs have more goodput than the oracle, the most of them as a share of its)."""
        shares = [
            share(run.measures, best.measures)
            for (name, label), cell in self.comparison.cells.items()
            if label != ORACLE
            for run, best in zip(cell.runs, self.comparison.cells[name, ORACLE].runs, strict=True)
        ]
        beyond = [one for one in shares if one > 1.0]
        return len(beyond), max(beyond, default=1.0)

    def scores(self, scenario: str, throttle: str) -> list[Score]:
        """The score of each replication, against the oracle's."""
        cells = self.comparison.cells
        pairs = zip(cells[scenario, throttle].runs, cells[scenario, ORACLE].runs, strict=True)
        return [score(run.measures, best.measures, self.weights) for run, best in pairs]

    def _blocks(self) -> list[Table]:
        standings = self.standings()
        numbers = dict.fromkeys(row.scenarios for row in standings)
        return [self._block([row for row in standings if row.scenarios == n]) for n in numbers]

    def _block(self, block: Sequence[Standing]) -> Table:
        """Those that play on as many scenarios."""
        rows = [
            [
                row.throttle,
                format.ranks(row.ranks),
                row.score,
                "-" if row.throttle == row.first else row.behind,
                *row.parts[1:],
                *row.halves,
            ]
            for row in block
        ]
        n, first = block[0].scenarios, block[0]
        rows = [[ORACLE, "-", 1.0, "-", *_bar(block), 1.0, 1.0], *rows]
        where = f"on {n} of {len(self.scenarios())} scenarios"
        who = f"ranked among the {first.among} throttles that act there; first: {first.first}"
        least = fewest(together(first.among))
        few = self.comparison.replications < least and len(block) > 1
        none = f"\nno ± behind the first: it needs {least} replications at least" if few else ""
        return Table(f"{where}, {who}{none}", COLUMNS, rows)

    def plot(self) -> Figure:
        """Throttle by scenario: the verdict and the score in each cell; in the order of the
        table.
        """
        from tpssim.output import plots

        names = self.scenarios()
        order = [row.throttle for row in self.standings()]
        cells = [[self.cell(name, label) for name in names] for label in order]
        values = np.array(
            [[math.nan if cell is None else cell[1] for cell in row] for row in cells]
        )
        words = [["" if cell is None else cell[0] for cell in row] for row in cells]
        groups = [(which, sum(half(name) == which for name in names)) for which in SPLIT]
        means = [row.score.mean or 0.0 for row in self.standings()]
        return plots.matrix_figure(
            "Every throttle on every scenario where its actuator acts",
            "score, from 0 to 1 (best), and verdict; empty: the actuator does not act there",
            order,
            means,
            names,
            groups,
            values,
            words,
        )

    def record(self) -> records.LeagueRecord:
        """The table, the score of every cell with its parts, and what defines them."""
        return records.LeagueRecord(
            seed=self.comparison.seed,
            replications=self.comparison.replications,
            confidence={"ranks": EACH, "behind": CONFIDENCE},
            assumption=assumption(self.comparison.replications),
            parts={
                name: {"weight": self.weights[name], "definition": part.definition}
                for name, part in PARTS.items()
            },
            halves={name: half(name) for name in self.scenarios()},
            standings=[_listed(row) for row in self.standings()],
            held_out=[_listed(row) for row in self.standings(SPLIT[1])],
            cells=self.rows(),
        )

    def to_json(self, **extra: Any) -> str:
        """The record as JSON; `extra` is added, or takes the place of a field such as `command`."""
        return json.dumps({**self.record().to_dict(), **extra}, indent=1, allow_nan=False)

    def rows(self) -> list[record_parts.Played]:
        """One flat row a cell: verdict, the mean score with its interval, the means of its
        parts.
        """
        found: list[record_parts.Played] = []
        for (name, label), cell in self.comparison.cells.items():
            each = np.array(self.scores(name, label))
            total = estimate(each[:, 0].tolist())
            row: Any = {"scenario": name, "half": half(name), "throttle": label}
            row |= {
                "verdict": cell.verdict()[0],
                "score": total.mean,
                "low": total.low,
                "high": total.high,
            }
            means = zip(Score._fields[1:], estimates(each).mean[1:].tolist(), strict=True)
            found.append(row | {part: plain(value) for part, value in means})
        return found


def _bar(block: Sequence[Standing]) -> list[float]:
    """The parts of the oracle: 1 where any of the others has the part."""
    columns = zip(*(row.parts[1:] for row in block), strict=True)
    return [math.nan if all(map(math.isnan, column)) else 1.0 for column in columns]


def together(throttles: int) -> float:
    """The confidence of each interval, for all pairs of so many to have `CONFIDENCE` together
    (Bonferroni).

    All pairs, since the first is not known before: of k that are alike one is ahead by luck, and k
    - 1 intervals that compare with it would not allow for that.
    """
    return 1.0 - (1.0 - CONFIDENCE) / max(throttles * (throttles - 1) // 2, 1)


def _listed(row: Standing) -> record_parts.Standing:
    return {
        "throttle": row.throttle,
        "actuator": row.actuator,
        "scenarios": row.scenarios,
        "rank": row.rank,
        "among": row.among,
        "ranks": interval(row.ranks),
        "score": interval(row.score),
        "first": row.first,
        "behind": interval(row.behind),
        "parts": plain(row.parts._asdict()),
        "halves": dict(zip(SPLIT, map(plain, row.halves), strict=True)),
        "worst": {"scenario": row.worst[0], "share_of_best": row.worst[1]},
    }
