"""The records of `live`, `replay` and `calibrate`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, TypedDict

from tpssim.output.records.checks import field
from tpssim.output.records.parts import Definition, Definitions, Numbers, Record

#: Numbers and a headline, by the names of `live.report.Report`.
Report = dict[str, str | float | None]
SAID = ("released", "seconds", "ok", "errors", "rate", "commanded", "wanted")  # in the first lines


@dataclasses.dataclass(frozen=True, kw_only=True)
class LiveRecord(Record):
    """Real calls at a rate."""

    kind: ClassVar[str] = "live"
    controller: str
    report: Report
    metrics: Definitions
    failures: dict[str, int]
    redirects: dict[str, int]
    stopped: str
    failed: list[str]

    def defined(self) -> Mapping[str, Definition]:
        return self.metrics

    def faults(self) -> Iterator[str]:
        yield from super().faults()
        for name in ("verdict", *SAID, *self.report):
            yield field(self.report, name, str if name == "verdict" else float | None, "report")


class Recorded(TypedDict):
    """The run that was recorded."""

    began: str
    controller: str
    parameters: Numbers
    late: str


class Numbered(TypedDict):
    """What a law came to."""

    throughput: float | None
    commanded: float | None
    spread: float | None
    response_p50: float | None
    response_p99: float | None


class Between(TypedDict):
    """A number on services that may have been the recorded one: 95 % are between its ends."""

    middle: float | None
    low: float | None
    high: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReplayRecord(Record):
    """A recorded run, decided again, and what other laws would have done."""

    kind: ClassVar[str] = "replay"
    recording: Recorded
    calls: str
    complete: bool
    decisions: int
    difference: str  #: where the decisions differ; "" if they do not
    report: Report  #: of the recorded run; empty if that was cut off
    numbers: dict[str, Numbered]  #: by law: the live run, its law simulated, the others
    flattered: list[str]
    left_out: dict[str, int]
    without: str
    twin: str  #: the service that was fitted; "": calls take their own recorded times
    predicted: dict[str, dict[str, Between]]  #: by law and number, on that service
    definitions: Definitions  #: of the report

    def said(self) -> str:
        """Whether it decided as recorded, in a sentence."""
        if self.difference:
            return f"The replay differs from the recording: {self.difference}"
        return f"The replay equals the recording: {self.decisions:,} decisions, to the bit"

    def defined(self) -> Mapping[str, Definition]:
        return self.definitions

    def faults(self) -> Iterator[str]:
        yield from super().faults()
        for name in self.report:
            if name in self.definitions:
                yield field(self.report, name, float | None, "report")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CalibrateRecord(Record):
    """How a machine waits."""

    kind: ClassVar[str] = "calibrate"
    clock_read: float
    threshold: float
    machine: dict[str, Any]
    timers: dict[str, Numbers]
