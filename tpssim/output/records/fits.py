"""The record of `fit`: what a recording says of a service, and whether the twin holds."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, TypedDict

from tpssim.output.records.parts import Plant, Record


class Fitted(TypedDict):
    """A number and its 95 % interval; None: infinite, so the rest is a bound."""

    value: float | None
    low: float | None
    high: float | None


class FittedQuota(TypedDict):
    """So many calls, or so much cost, in a window: more is refused."""

    amount: Fitted
    per: Fitted  #: how long the window is, s
    of: str  #: "calls" or "cost"
    window: str  #: "rolling" or "fixed"
    counts_refused: bool
    retry_after: bool  #: whether its answers say when to come back


class Unknown(TypedDict):
    """What the recording cannot say."""

    name: str
    because: str
    experiment: str  #: a command whose recording would say it


class Changed(TypedDict):
    """From `time` on service takes `factor` times as long as before."""

    time: float
    factor: float


class Judged(TypedDict):
    """A number of the part that was held out, recorded and simulated."""

    name: str
    unit: str
    recorded: float | None
    simulated: float | None  #: mean of the runs
    low: float | None  #: in 95 % of the runs it is between this
    high: float | None  #: and this
    allowed: float | None  #: by so much the recorded number may differ from the simulated one
    holds: bool


class Checked(TypedDict):
    """The check of a twin."""

    holds: bool
    said: str  #: in a sentence
    misses: list[str]
    runs: int
    since: float  #: what began then or later is judged, s
    calls: int
    apart: bool  #: whether they were held out of the fit
    rows: list[Judged]


class Read(TypedDict):
    """The recording, and what was made of the file."""

    path: str
    format: str
    digest: str
    rows: int
    unreadable: int
    first_unreadable: str
    notes: list[str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitRecord(Record):
    """A service learned from a recording of its calls."""

    kind: ClassVar[str] = "fit"
    recording: Read
    calls: int
    seed: int
    holdout: float
    said: str  #: the service in a sentence
    structure: str  #: "one at a time" or "overlapping"
    distribution: str  #: of the service times
    scenario: Plant
    plateau: Fitted
    estimates: dict[str, Fitted]
    quotas: list[FittedQuota]
    unidentified: list[Unknown]
    changes: list[Changed]
    check: Checked
    toml: str  #: the service as a scenario's file
