"""The records of `analyse`, `validate` and `validate --live`: what is predicted, and what is."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, TypedDict

from tpssim.output.records.parts import Interval, Measured, Numbers, Record


class Prediction(TypedDict):
    """A quantity as theory has it and as the simulation shows it."""

    quantity: str
    unit: str
    predicted: float | str | None  #: "inf": never
    simulated: Interval | None
    assumption: str
    applies: bool
    why_not: str
    refuted: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnalyseRecord(Record):
    """What theory says of a law on a scenario."""

    kind: ClassVar[str] = "analyse"
    scenario: str
    controller: str
    replications: int
    seed: int
    reason: str  #: why there are no rows
    phase: list[float] | None  #: its bounds, s
    capacity: float | None
    tolerance: float
    rows: list[Prediction]


class Statistic(TypedDict):
    """A number and where it is to lie."""

    name: str
    value: float
    low: float
    high: float


class Case(TypedDict):
    """A known answer, and what the simulation found."""

    case: str
    quantity: str
    theory: float
    simulated: float
    low: float
    high: float
    holds: bool
    calls: int
    parts: list[Statistic]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ValidateRecord(Record):
    """Known answers beside simulated ones."""

    kind: ClassVar[str] = "validate"
    seed: int
    confidence: float
    widest: float
    cases: dict[str, Case]


class VerdictPair(TypedDict):
    """The word for the live run, and that of most runs on the bench."""

    live: str
    bench: str


class Pair(TypedDict):
    """One law on one consumer: live, and on the bench."""

    law: str
    consumer: str
    delay: float
    live: Measured
    bench: Measured  #: medians
    runs: list[Measured]
    difference: Measured
    verdicts: VerdictPair
    complaints: list[str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ValidateLiveRecord(Record):
    """The bench beside real time."""

    kind: ClassVar[str] = "validate-live"
    allowed: Numbers
    pairs: list[Pair]
