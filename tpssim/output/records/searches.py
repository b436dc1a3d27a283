"""The records of `sweep` and `tune`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, TypedDict

from tpssim.core.validation import Range
from tpssim.output.records.checks import empty, fault, field, unknown, unlike
from tpssim.output.records.parts import (
    Definition,
    Definitions,
    Ends,
    Interval,
    Numbers,
    OverDraws,
    Record,
    Share,
)


class Curve(TypedDict):
    """What theory says of one factor over another."""

    label: str
    x: list[float]
    y: list[float]


class Point(TypedDict):
    """Of a sweep; it also holds its factors and, of every measure, mean, low, high and n."""

    replications: int
    calls: int
    verdict: str
    verdict_share: Share
    failure: str


class Failure(TypedDict):
    """A point that could not be run."""

    point: list[float | str]
    type: str
    message: str
    traceback: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepRecord(Record):
    """One law at every point of a design."""

    kind: ClassVar[str] = "sweep"
    scenario: str
    controller: str
    parameters: Numbers
    factors: dict[str, str]  #: their units
    replications: int
    seed: int
    seed_set: str
    metrics: Definitions
    curves: list[Curve]
    points: list[dict[str, Any]]  #: each a `Point`
    failures: list[Failure]
    over_draws: list[OverDraws] = dataclasses.field(default_factory=list)  #: of each point

    def defined(self) -> Mapping[str, Definition]:
        return self.metrics

    def faults(self) -> Iterator[str]:
        yield from super().faults()
        yield empty(self.points, "points")
        yield empty(self.factors, "factors")
        for i, point in enumerate(self.points):
            where = f"points > {i}"
            yield fault(point, Point, where)
            for name in self.factors:
                yield field(point, name, float | str, where)
            for name in self.metrics:
                for end in ("", "_low", "_high"):
                    yield field(point, f"{name}{end}", float | None, where)
                yield from _counts(point, name, self.replications, where)
        if self.over_draws:
            yield unlike(self.over_draws, len(self.points), "over_draws")
        for i, over in enumerate(self.over_draws):
            for name in self.metrics:
                yield field(over["measures"], name, Ends, f"over_draws > {i} > measures")
        for i, curve in enumerate(self.curves):
            yield unlike(curve["y"], len(curve["x"]), f"curves > {i} > y")


def _counts(point: Mapping[str, Any], name: str, runs: int, where: str) -> Iterator[str]:
    """How many runs have a measure; of some measures, in how many it never happens."""
    count = Annotated[int, Range(0, runs)]
    names = [f"{name}_n", *([f"{name}_never"] if f"{name}_never" in point else [])]
    found = [field(point, each, count, where) for each in names]
    yield from found
    if not any(found) and sum(point[each] for each in names) > runs:
        yield (
            f"{where} > {' and '.join(names)} are more than the runs; allowed: together at most"
            f" {runs}"
        )


class Axis(TypedDict):
    """A parameter and where it was searched."""

    name: str
    low: float
    high: float
    unit: str
    log: bool


class Sense(TypedDict):
    """How a loss is shown: what it is called, which way is better, `start + sign * loss`."""

    name: str
    better: str
    start: float
    sign: float


class Objective(TypedDict):
    """What was searched for."""

    name: str
    formula: str
    sense: Sense


class Finalist(TypedDict):
    """A setting that was run on fresh seeds, with its losses; the last of them is the default."""

    parameters: Numbers
    search: list[float] | None
    fresh: list[Interval]
    fresh_replications: int
    standing: bool


class Outcome(TypedDict):
    """What a setting came to on one scenario."""

    verdict: str
    share: Share
    measures: dict[str, Interval]


class Outcomes(TypedDict):
    """The default and the chosen setting on one scenario."""

    scenario: str
    default: Outcome
    tuned: Outcome


class Change(TypedDict):
    """How a measure differs between the two, in paired runs."""

    scenario: str
    measure: str
    default: float | None
    tuned: float | None
    difference: Interval
    pairs: int
    never: list[int]  #: in how many runs: of the default, of the chosen


class Index(TypedDict):
    """A share of the variance of an objective."""

    value: float
    low: float | None
    high: float | None


class SensitivityPart(TypedDict):
    """How much of an objective each parameter makes: alone (first), with the others (total)."""

    controller: str
    objective: str
    names: list[str]
    first: dict[str, Index]
    total: dict[str, Index]
    points: int
    infeasible: int
    mean: float
    deviation: float
    deciding: float
    base: int
    confidence: float
    assumption: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class TuneRecord(Record):
    """The parameters of a law that did best."""

    kind: ClassVar[str] = "tune"
    controller: str
    best: str
    line: str
    parameters: Numbers
    default_parameters: Numbers
    searched: list[Axis]
    at_edges: list[str]
    scenarios: list[str]
    objectives: list[Objective]
    robust: str
    replications: int
    seed: int
    budget: int
    settings: int
    infeasible: int
    runs: int
    default: list[Interval]
    tuned: list[Interval]
    gain: list[Interval]
    judgements: list[str]
    keeps_default: bool
    search_said: list[float] | None
    optimism: list[float | None]
    confidence: float
    within: float | None
    finalists: list[Finalist]
    scenario_outcomes: list[Outcomes]
    worse: list[Change]
    better: list[Change]
    sensitivity: SensitivityPart | None = None
    definitions: Definitions

    def defined(self) -> Mapping[str, Definition]:
        return self.definitions

    def faults(self) -> Iterator[str]:
        yield from super().faults()
        for name in ("scenarios", "objectives", "searched", "finalists"):
            yield empty(getattr(self, name), name)
        for name in ("default", "tuned", "gain", "judgements"):
            yield unlike(getattr(self, name), len(self.objectives), name)
        for axis in self.searched:
            yield field(self.parameters, axis["name"], float, "parameters")
            yield field(self.default_parameters, axis["name"], float, "default_parameters")
        for i, one in enumerate(self.finalists):
            yield from self._of_finalist(one, f"finalists > {i}")
        for which, changes in (("worse", self.worse), ("better", self.better)):
            for i, change in enumerate(changes):
                yield unknown(change["measure"], self.definitions, f"{which} > {i} > measure")
                yield unlike(change["never"], 2, f"{which} > {i} > never")
        for i, outcome in enumerate(self.scenario_outcomes):
            for which, found in (("default", outcome["default"]), ("tuned", outcome["tuned"])):
                where = f"scenario_outcomes > {i} > {which} > measures"
                for name in self.definitions:
                    yield field(found["measures"], name, Interval, where)
                yield from (unknown(name, self.definitions, where) for name in found["measures"])
        if self.sensitivity is not None:
            yield from self._of_sensitivity(self.sensitivity)

    def _of_finalist(self, one: Finalist, where: str) -> Iterator[str]:
        aims = len(self.objectives)
        yield unlike(one["parameters"], len(self.searched), f"{where} > parameters")
        yield unlike(one["search"] or [0.0] * aims, aims, f"{where} > search")
        yield unlike(one["fresh"], aims, f"{where} > fresh")

    def _of_sensitivity(self, found: SensitivityPart) -> Iterator[str]:
        for order, rows in (("first", found["first"]), ("total", found["total"])):
            yield from (
                field(rows, name, Index, f"sensitivity > {order}") for name in found["names"]
            )
