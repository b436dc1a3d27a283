"""The records of `simulate`, `compare` and `compare --league`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import ClassVar, TypedDict

from tpssim.output.records.checks import empty, field, unknown
from tpssim.output.records.parts import (
    Definition,
    Definitions,
    Ends,
    Interval,
    Measured,
    Numbers,
    OverDraws,
    Plant,
    Record,
    Share,
)


class Verdict(TypedDict):
    """The word for a run, and why."""

    word: str
    reason: str
    remark: str


class Verdicts(Verdict):
    """The word of most replications, the share of them, and the word of each."""

    share: Share
    replications: list[str]


class Phase(TypedDict):
    """A long phase: its bounds, s, its rates, 1/s, and measures in it."""

    start: float
    end: float
    achievable: float | None
    capacity: float | None
    throughput: Interval
    share: Interval
    steady_share: Interval
    steady_load: Interval
    commanded: Interval
    swing: Interval
    regularity: Interval
    period: Interval
    drift: Interval
    steady_unanswered: Interval
    goodput: Interval


class Cell(TypedDict):
    """All replications of one throttle on one scenario."""

    controller: str
    parameters: Numbers
    verdict: Verdicts
    calls: list[int]  #: of each replication
    metrics: dict[str, Interval]
    phases: list[Phase]


class _Load(TypedDict, total=False):
    """What not every scenario has."""

    stages: str  #: the target over time, as `--stages` takes it
    arrivals: int  #: how many arrivals were recorded
    arrivals_after_end: int  #: how many of them come when the run is over, if any
    quotas: list[Plant]  #: that the pacer of each producer knows
    network: Plant
    cost: Plant
    feedback: Plant
    drawn_from: str  #: the fitted scenario from whose intervals it was drawn, if it was


class ScenarioPart(_Load):
    """A scenario, and the throttles on it by name."""

    summary: str
    target: float  #: 1/s; of stages and arrivals the highest
    duration: float
    consumer: Plant
    backend: Plant
    timeout: float | None
    retry: Plant
    late: str
    variant_of: str  #: the scenario of which it differs in `late` alone; "" if it stands for itself
    poisson: float
    producers: list[Plant]
    disturbances: list[Plant]
    tick: float
    grid: float
    service: Plant
    timer: Numbers
    spin_threshold: float
    throttles: dict[str, Cell]


class Twins(TypedDict):
    """How a printed throttle and its parameterised twin agree."""

    printed: str
    law: str
    scenarios: int
    runs: int
    equal: int
    calls: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareRecord(Record):
    """Every throttle on every scenario."""

    kind: ClassVar[str] = "compare"
    seed: int
    replications: int
    confidence: Share
    assumption: str
    metrics: Definitions
    scenarios: dict[str, ScenarioPart]
    twins: list[Twins]
    #: by fitted scenario and throttle
    over_draws: dict[str, dict[str, OverDraws]] = dataclasses.field(default_factory=dict)

    def defined(self) -> Mapping[str, Definition]:
        return self.metrics

    def faults(self) -> Iterator[str]:
        yield from super().faults()
        yield empty(self.scenarios, "scenarios")
        for name, scenario in self.scenarios.items():
            for label, cell in scenario["throttles"].items():
                where = f"scenarios > {name} > throttles > {label}"
                yield empty(cell["verdict"]["replications"], f"{where} > verdict > replications")
                for metric in self.metrics:
                    yield field(cell["metrics"], metric, Interval, f"{where} > metrics")
        for name, throttles in self.over_draws.items():
            for label, over in throttles.items():
                where = f"over_draws > {name} > {label} > measures"
                for metric in self.metrics:
                    yield field(over["measures"], metric, Ends, where)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimulateRecord(Record):
    """One run."""

    kind: ClassVar[str] = "simulate"
    scenario: str
    controller: str
    parameters: Numbers
    seed: int
    replication: int
    verdict: Verdict
    metrics: Measured
    never: list[str]  #: measures of what never happened
    definitions: Definitions

    def defined(self) -> Mapping[str, Definition]:
        return self.definitions

    def faults(self) -> Iterator[str]:
        yield from super().faults()
        yield from (unknown(name, self.metrics, "never") for name in self.never)


class Part(TypedDict):
    """A part of a score."""

    weight: float
    definition: str


class Worst(TypedDict):
    """The scenario on which a throttle is farthest behind the best one, and its share of that."""

    scenario: str
    share_of_best: float


class Standing(TypedDict):
    """A throttle in the table."""

    throttle: str
    actuator: str
    scenarios: int
    rank: int
    among: int
    ranks: Interval
    score: Interval
    first: str
    behind: Interval
    parts: Measured
    halves: Measured
    worst: Worst


class Played(TypedDict):
    """One throttle on one scenario of a league; beside these it holds the score of every part."""

    scenario: str
    half: str
    throttle: str
    verdict: str
    score: float | None
    low: float | None
    high: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class LeagueRecord(Record):
    """Every throttle on every scenario where its actuator acts, scored and ranked."""

    kind: ClassVar[str] = "league"
    seed: int
    replications: int
    confidence: Numbers  #: of `ranks` and of `behind`
    assumption: str
    parts: dict[str, Part]
    halves: dict[str, str]  #: by scenario
    standings: list[Standing]
    held_out: list[Standing]
    cells: list[Played]

    def faults(self) -> Iterator[str]:
        yield from super().faults()
        for name, rows in (("standings", self.standings), ("held_out", self.held_out)):
            yield empty(rows, name)
            for i, row in enumerate(rows):
                for part in self.parts:
                    yield field(row["parts"], part, float | None, f"{name} > {i} > parts")
        for i, cell in enumerate(self.cells):
            yield from (field(cell, part, float | None, f"cells > {i}") for part in self.parts)
