"""The record of `compare --random`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import ClassVar, TypedDict

from tpssim.output.records.checks import empty
from tpssim.output.records.parts import Interval, Numbers, Record, Share


class Worst(TypedDict):
    """The service on which a throttle is farthest behind the best one, and its share of that."""

    service: str
    share_of_best: float


class Standing(TypedDict):
    """A throttle over services."""

    throttle: str
    services: int  #: on which its actuator acts
    share: Interval  #: of the oracle's goodput
    first: str  #: who has the most of it on these services
    behind: Interval
    near: Share  #: on how many of them it is within 2 % of the best
    below_90: Share  #: on how many it is below 0.9 of the best
    below_70: Share  #: on how many it is below 0.7 of the best
    worst: Worst


class Served(TypedDict):
    """One throttle on one service."""

    service: str
    family: str  #: "" of a service that was not drawn
    kind: str  #: what the family is for: "tuning", "judging" or ""
    throttle: str
    share: float  #: of the oracle's goodput
    of_best: float  #: of the best share of any throttle there


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServicesRecord(Record):
    """Throttles over services at random, by family."""

    kind: ClassVar[str] = "services"
    seed: int
    replications: int
    confidence: Numbers  #: of `share` and of `behind`
    assumption: str
    kinds: dict[str, str]  #: what each family is for
    standings: list[Standing]
    families: dict[str, list[Standing]]
    services: list[Served]

    def faults(self) -> Iterator[str]:
        yield from super().faults()
        yield empty(self.standings, "standings")
        yield empty(self.services, "services")
