"""What a page reads of a summary: the shape of each verb's.

Only what is read is written down here: a summary may hold more. `float | None` is a number that may
not exist (a mean of nothing, a time that was never reached).
"""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from tpssim.core.validation import Range

Numbers = dict[str, float]
Measured = dict[str, float | None]
Share = Annotated[float, Range(0.0, 1.0)]


class Interval(TypedDict):
    """A mean over replications, as `statistics.Estimate`."""

    mean: float | None
    low: float | None
    high: float | None
    n: int
    never: int


class Verdict(TypedDict):
    word: str
    reason: str


class Verdicts(Verdict):
    share: Share
    replications: list[str]


class Phase(TypedDict):
    steady_share: Interval


class Cell(TypedDict):
    parameters: Numbers
    verdict: Verdicts
    metrics: dict[str, Interval]
    phases: list[Phase]


class Arena(TypedDict):
    summary: str
    target: float
    duration: float
    late: str
    producers: list[Any]
    throttles: dict[str, Cell]


class Twins(TypedDict):
    printed: str
    law: str
    runs: int
    equal: int
    calls: int


class Definition(TypedDict):
    unit: str
    definition: str


class Comparison(TypedDict):
    metrics: dict[str, Definition]
    scenarios: dict[str, Arena]
    twins: list[Twins]


class Simulation(TypedDict):
    scenario: str
    controller: str
    parameters: Numbers
    verdict: Verdict
    metrics: Measured


class Curve(TypedDict):
    label: str
    x: list[float]
    y: list[float]


class Point(TypedDict):
    """Of a sweep; beside these it holds its factors and every measure."""

    verdict: str
    verdict_share: Share
    calls: int
    failure: str


class Failure(TypedDict):
    type: str
    message: str


class Sweep(TypedDict):
    scenario: str
    controller: str
    parameters: Numbers
    factors: dict[str, str]
    replications: int
    metrics: dict[str, Definition]
    curves: list[Curve]
    points: list[Point]
    failures: list[Failure]


class Live(TypedDict):
    controller: str
    report: dict[str, str | float | None]
    metrics: dict[str, Definition]
    failures: dict[str, int]
    stopped: str
    failed: list[str]


class Recorded(TypedDict):
    controller: str
    parameters: Numbers


class Replay(TypedDict):
    recording: Recorded
    calls: str
    complete: bool
    decisions: int
    difference: str
    report: dict[str, str | float | None]
    numbers: dict[str, Measured]
    flattered: list[str]
    without: str


class Part(TypedDict):
    weight: float
    definition: str


class Standing(TypedDict):
    throttle: str
    valve: str
    scenarios: int
    rank: int
    score: Interval
    behind: Interval
    parts: Measured
    halves: Measured


class Played(TypedDict):
    """One throttle on one scenario of a league; beside these it holds the score of every part."""

    scenario: str
    half: str
    throttle: str
    verdict: str
    score: float | None


class League(TypedDict):
    parts: dict[str, Part]
    halves: dict[str, str]
    standings: list[Standing]
    held_out: list[Standing]
    cells: list[Played]


class Axis(TypedDict):
    name: str
    low: float
    high: float
    unit: str
    log: bool


class Objective(TypedDict):
    name: str
    formula: str


class Finalist(TypedDict):
    parameters: Numbers
    search: list[float | None]
    fresh: list[Interval]
    fresh_replications: int
    standing: bool


class Outcome(TypedDict):
    verdict: str
    share: Share
    measures: dict[str, Interval]


class Outcomes(TypedDict):
    scenario: str
    default: Outcome
    tuned: Outcome


class Change(TypedDict):
    scenario: str
    measure: str
    default: float | None
    tuned: float | None
    difference: Interval
    pairs: int
    never: list[int]  # of the default, of the chosen


class Index(TypedDict):
    value: float
    low: float | None
    high: float | None


class Sensitivity(TypedDict):
    names: list[str]
    first: dict[str, Index]
    total: dict[str, Index]
    assumption: str


class Search(TypedDict):
    controller: str
    line: str
    parameters: Numbers
    default_parameters: Numbers
    searched: list[Axis]
    at_edges: list[str]
    scenarios: list[str]
    objectives: list[Objective]
    robust: str
    settings: int
    runs: int
    default: list[Interval]
    tuned: list[Interval]
    gain: list[Interval]
    judgements: list[str]
    keeps_default: bool
    within: float | None
    finalists: list[Finalist]
    scenario_outcomes: list[Outcomes]
    worse: list[Change]
    better: list[Change]


#: By verb. What is not here is shown as it is.
SHAPES: dict[str, Any] = {
    "compare": Comparison,
    "league": League,
    "sweep": Sweep,
    "live": Live,
    "simulate": Simulation,
    "tune": Search,
    "replay": Replay,
}
