"""The league: every throttle on every scenario where its valve acts, by one score. It reads finished runs.

The score of a run is the weighted geometric mean of its parts, each between 0 and 1 (`PARTS` defines them);
parts that a run does not have are left out, with their weight. A throttle's score is the mean over its
scenarios. Intervals are over replications, whose noise all throttles share: the scenarios are these, not a
sample of others.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim.comparison import Cell, Comparison
from tpssim.controllers import CONTROLLERS, facts
from tpssim.plant import Async, Pool
from tpssim.scenario import Scenario
from tpssim.statistics import CONFIDENCE, Estimate, estimate, estimates
from tpssim.tables import aligned

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

LEAST = 0.01  # of a part: what fails wholly costs much, but not everything
PATIENCE = 5.0  # s; a recovery that takes as long scores a half


class Part(NamedTuple):
    weight: float
    definition: str


PARTS = {
    "achieved": Part(0.4, "share of the achievable calls that completed (measure achieved)"),
    "latency": Part(0.2, "1 / (1 + log10 stretch): a half where calls wait ten times what they would alone"),
    "steadiness": Part(0.15, "1 / (1 + swing) of the commanded rate or limit; 1 where a limit held nothing"),
    "recovery": Part(0.15, f"{PATIENCE:g} s / ({PATIENCE:g} s + regain_time), where the capacity rises"),
    "fairness": Part(0.1, "Jain's index of the producers (measure fairness), where there are several"),
}
SPLIT = ("tuning", "held-out")


class Score(NamedTuple):
    """The score of one run and its parts; nan for a part that the run does not have."""

    total: float
    achieved: float
    latency: float
    steadiness: float
    recovery: float
    fairness: float


def score(measures: Mapping[str, float]) -> Score:
    """The score of a run from its measures: `exp(sum w ln part / sum w)` over the parts that it has.

    A limit that held nothing back, of a law whose rate never moved, swings in vain.

    >>> nan = math.nan
    >>> run = {"achieved": 1.0, "stretch": 10.0, "swing": 0.0, "regain_time": nan, "fairness": nan}
    >>> round(score({**run, "held": 0.0, "total_variation": 0.0}).total, 3)  # 0.5^(0.2 / 0.75)
    0.831
    """
    stretch, regain = measures["stretch"], measures["regain_time"]
    inert = measures["held"] == 0.0 and measures["total_variation"] == 0.0
    parts = {
        "achieved": measures["achieved"],
        # Without one completed call there is no stretch, and nothing good to say.
        "latency": 0.0 if math.isnan(stretch) else 1.0 / (1.0 + math.log10(max(1.0, stretch))),
        "steadiness": 1.0 if inert else 1.0 / (1.0 + measures["swing"]),
        "recovery": PATIENCE / (PATIENCE + regain),
        "fairness": measures["fairness"],
    }
    weight = logarithm = 0.0
    for name, value in parts.items():
        if not math.isnan(value):
            weight += PARTS[name].weight
            logarithm += PARTS[name].weight * math.log(max(value, LEAST))
    return Score(math.exp(logarithm / weight), **parts)


def acts(valve: str, scenario: Scenario) -> bool:
    """Whether a valve can act on a scenario: a limit only where several calls of a producer are in flight.

    With hand-off feedback a call is over, for the law, when it has been handed over.
    """
    consumer = scenario.consumer
    several = isinstance(consumer, Pool) and consumer.workers > 1.0
    several = several or (isinstance(consumer, Async) and consumer.feedback == "completion")
    return "rate" in valve or "reject" in valve or several


def valve_of(controller: str, law: Any = None) -> str:
    """The valve of a law by its name, or by its docstring if it is a user's; "rate" of other throttles."""
    record = CONTROLLERS.get(controller, type(law))
    return facts(record).valve or "rate"


def half(scenario: str) -> str:
    """The half to which a scenario belongs: by the first byte of the SHA-256 of its name, without parameters.

    >>> half("degrade-recover"), half("degrade-recover:mean=0.1") == half("degrade-recover")
    ('tuning', True)
    """
    return SPLIT[hashlib.sha256(scenario.partition(":")[0].encode()).digest()[0] % 2]


class Standing(NamedTuple):
    """One throttle in the table."""

    throttle: str
    valve: str
    scenarios: int
    rank: int  #: by the mean score
    ranks: Estimate  #: of the rank in each replication
    score: Estimate
    behind: Estimate  #: score of the first - its own, on the scenarios of both
    parts: Score  #: means
    halves: tuple[float, float]  #: mean scores on the tuning and the held-out half
    worst: tuple[str, float]  #: least score over the best one of any throttle on that scenario


class League(NamedTuple):
    """The scores of a comparison."""

    comparison: Comparison

    def scenarios(self) -> list[str]:
        """Their names, the tuning half first."""
        return sorted(self.comparison.scenarios, key=lambda name: SPLIT.index(half(name)))

    def standings(self, only: str | None = None) -> list[Standing]:
        """The table, the best first; `only`: one half of the scenarios."""
        played = {name for name, _ in self.comparison.cells}
        names = [name for name in self.scenarios() if name in played and only in (None, half(name))]
        throttles = list(dict.fromkeys(label for _, label in self.comparison.cells))
        totals = {label: self._totals(label, names) for label in throttles}
        totals = {label: rows for label, rows in totals.items() if rows}
        means = {label: np.mean(list(rows.values()), axis=0) for label, rows in totals.items()}
        order = sorted(means, key=lambda label: -float(means[label].mean()))
        every = np.array([means[label] for label in order])
        # A rank in each replication: 1 + how many are better.
        ranks = 1.0 + (every[:, np.newaxis] < every[np.newaxis]).sum(axis=1)
        first = order[0] if order else ""
        best = {
            name: max(float(rows[name].mean()) for rows in totals.values() if name in rows) for name in names
        }
        rows = []
        for i, label in enumerate(order):
            shared = [name for name in totals[label] if name in totals[first]]
            gaps = [totals[first][name] - totals[label][name] for name in shared]
            share = {name: float(row.mean()) / best[name] for name, row in totals[label].items()}
            worst = min(share, key=lambda name: share[name])
            halves = (self._mean(totals[label], SPLIT[0]), self._mean(totals[label], SPLIT[1]))
            rows.append(
                Standing(
                    label,
                    self._valve(label),
                    len(totals[label]),
                    i + 1,
                    estimate(ranks[i].tolist()),
                    estimate(means[label].tolist()),
                    estimate(np.mean(gaps, axis=0).tolist() if gaps else []),
                    self._parts(label, list(totals[label])),
                    halves,
                    (worst, share[worst]),
                )
            )
        return rows

    def cell(self, scenario: str, throttle: str) -> tuple[str, float] | None:
        """(verdict, mean score); None where its valve does not act."""
        found = self.comparison.cells.get((scenario, throttle))
        if found is None:
            return None
        return found.verdict()[0], float(np.mean([run.total for run in scores(found)]))

    def _valve(self, throttle: str) -> str:
        return valve_of(
            next(c.controller for (_, label), c in self.comparison.cells.items() if label == throttle)
        )

    def _totals(self, throttle: str, names: Sequence[str]) -> dict[str, Array]:
        """Its score in each replication on each of its scenarios."""
        cells = self.comparison.cells
        return {
            name: np.array([run.total for run in scores(cells[name, throttle])])
            for name in names
            if (name, throttle) in cells
        }

    def _mean(self, totals: Mapping[str, Array], which: str) -> float:
        means = [float(row.mean()) for name, row in totals.items() if half(name) == which]
        return sum(means) / len(means) if means else math.nan

    def _parts(self, throttle: str, names: Sequence[str]) -> Score:
        """Its mean over scenarios of each part, where there is one."""
        rows = np.array([np.mean(scores(self.comparison.cells[name, throttle]), axis=0) for name in names])
        return Score(*estimates(rows).mean.tolist())

    def table(self) -> str:
        """For people, 125 columns wide."""
        header = (
            "throttle", "valve", "on", "rank", "score", "behind the first", "achieved", "latency", "steady",
            "recovery", "fair", *SPLIT,
        )  # fmt: skip
        rows = [
            (
                row.throttle,
                row.valve,
                str(row.scenarios),
                _ranks(row.ranks),
                _plus_minus(row.score),
                "-" if row.rank == 1 else _plus_minus(row.behind),
                *(_two(value) for value in row.parts[1:]),
                *(_two(value) for value in row.halves),
            )
            for row in self.standings()
        ]
        weights = ", ".join(f"{name} {part.weight:g}" for name, part in PARTS.items())
        about = (
            f"score: geometric mean of its parts, weighted {weights}\n"
            f"on: scenarios where its valve acts; ±, ranks: {CONFIDENCE:.0%} intervals over "
            f"{self.comparison.replications} replications"
        )
        return f"{about}\n\n{aligned(header, rows)}"

    def plot(self) -> Figure:
        """Throttle by scenario: the verdict and the score in each cell, the best throttle on top."""
        from tpssim import plots

        names = self.scenarios()
        order = [row.throttle for row in self.standings()]
        cells = [[self.cell(name, label) for name in names] for label in order]
        values = np.array([[math.nan if cell is None else cell[1] for cell in row] for row in cells])
        words = [["" if cell is None else cell[0] for cell in row] for row in cells]
        groups = [(which, sum(half(name) == which for name in names)) for which in SPLIT]
        means = [row.score.mean or 0.0 for row in self.standings()]
        return plots.matrix_figure(
            "Every throttle on every scenario where its valve acts",
            "score, from 0 to 1 (best), and verdict; empty: the valve does not act there",
            order,
            means,
            names,
            groups,
            values,
            words,
        )

    def to_json(self, **extra: Any) -> str:
        """The table, the score of every cell with its parts, and what defines them."""
        document = {
            **extra,
            "seed": self.comparison.seed,
            "replications": self.comparison.replications,
            "confidence": CONFIDENCE,
            "parts": {name: part._asdict() for name, part in PARTS.items()},
            "halves": {name: half(name) for name in self.scenarios()},
            "standings": [_plain(row) for row in self.standings()],
            "held_out": [_plain(row) for row in self.standings(SPLIT[1])],
            "cells": list(self.rows()),
        }
        return json.dumps(document, indent=1, allow_nan=False)

    def rows(self) -> list[dict[str, Any]]:
        """One flat row a cell: verdict, the mean score with its interval, the means of its parts."""
        found = []
        for (name, label), cell in self.comparison.cells.items():
            each = np.array(scores(cell))
            total = estimate(each[:, 0].tolist())
            row: dict[str, Any] = {"scenario": name, "half": half(name), "throttle": label}
            row |= {"verdict": cell.verdict()[0], "score": total.mean, "low": total.low, "high": total.high}
            means = zip(Score._fields[1:], estimates(each).mean[1:].tolist(), strict=True)
            found.append(row | {part: _finite(value) for part, value in means})
        return found


def scores(cell: Cell) -> list[Score]:
    """The score of each replication."""
    return [score(run.measures) for run in cell.runs]


def _plain(row: Standing) -> dict[str, Any]:
    plain = row._asdict()
    for name in ("ranks", "score", "behind"):
        plain[name] = plain[name]._asdict()
    plain["parts"] = {part: _finite(value) for part, value in row.parts._asdict().items()}
    plain["halves"] = dict(zip(SPLIT, map(_finite, row.halves), strict=True))
    plain["worst"] = {"scenario": row.worst[0], "share_of_best": row.worst[1]}
    return plain


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _two(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _plus_minus(value: Estimate) -> str:
    if value.mean is None:
        return "-"
    return f"{value.mean:.3f}" if value.high is None else f"{value.mean:.3f} ±{value.high - value.mean:.3f}"


def _ranks(value: Estimate) -> str:
    """The interval of a rank, in whole ranks."""
    if value.low is None or value.high is None:
        return f"{value.mean:.0f}"
    low, high = max(1, math.floor(value.low + 0.5)), math.floor(value.high + 0.5)
    return str(low) if low == high else f"{low}-{high}"
