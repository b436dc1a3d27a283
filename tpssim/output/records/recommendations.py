"""The record of `recommend`: which law for a service, what to expect, and what is given up."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, TypedDict

from tpssim.output.records.fits import Checked
from tpssim.output.records.parts import Numbers, Plant, Record


class Expected(TypedDict):
    """A number that a run comes to: its median, and what 95 % of all runs lie between."""

    name: str
    unit: str
    median: float | None
    low: float | None
    high: float | None


class GivenUp(TypedDict):
    """Another candidate that is better in one number, by more than the runs leave open."""

    name: str
    unit: str
    label: str
    other: float | None  #: its median; None: never
    own: float | None
    goodput: float | None  #: its goodput, as a share of that of the one recommended


class Ranked(TypedDict):
    """A candidate, judged on services that had no part in the choice."""

    label: str
    effort: str  #: "no controller", "as it is", or "tuned"
    value: float  #: mean, 1 is the best there can be
    behind: float  #: of the one recommended, mean in pairs; below 0: ahead
    low: float | None  #: of `behind`, 95 % for all together
    high: float | None
    expected: dict[str, Expected]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecommendRecord(Record):
    """Which law for a service, with which parameters."""

    kind: ClassVar[str] = "recommend"
    SPARSE: ClassVar[tuple[str, ...]] = (*Record.SPARSE, "check")
    purpose: str  #: what it is for: "throughput", "latency", "quota" or "fairness"
    said: str  #: the answer in a sentence
    label: str
    parameters: Numbers  #: of the law; empty without one
    tps: float | None  #: the rate to ask for, 1/s; None: calls come by themselves or by stages
    reasons: list[str]  #: in sentences
    code: str  #: to paste
    service: str  #: in a sentence
    scenario: Plant
    seed: int
    chosen_on: int  #: services
    judged_on: int  #: others
    replications: int  #: of each
    expected: list[Expected]  #: empty where the check of the fit says that the model is wrong
    given_up: list[GivenUp]
    ranking: list[Ranked]
    check: Checked | None = None  #: of the fit; only where a recording was fitted
