"""What every record holds, and the parts that records of several verbs share.

The parts are plain JSON data with a type: objects (`TypedDict`), lists, numbers, words.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypedDict

from tpssim.core.types import VERSION
from tpssim.core.validation import Range

if TYPE_CHECKING:
    from tpssim.core.statistics import Estimate

#: Of all records: it rises when a key gets another name, place or meaning.
SCHEMA = 1

Numbers = dict[str, float]
Measured = dict[str, float | None]
Share = Annotated[float, Range(0.0, 1.0)]
Plant = dict[str, Any]  #: a part of a scenario: its kind and its numbers by name


class Interval(TypedDict):
    """A mean over replications, as `statistics.Estimate`."""

    mean: float | None
    low: float | None
    high: float | None
    n: int
    never: int


class Ends(TypedDict):
    """Of the means of a measure on several services the least and the most."""

    least: float | None
    most: float | None
    n: int  #: on how many of them there is a mean


class OverDraws(TypedDict):
    """What a throttle comes to on services drawn from what a fit leaves open."""

    draws: int
    verdicts: dict[str, int]  #: that of most replications: on how many services which
    measures: dict[str, Ends]


class _Defined(TypedDict):
    unit: str
    definition: str


class Definition(_Defined, total=False):
    """What a number means; of a measure also who says so and which way is better."""

    source: str
    better: str  #: "more", "less" or ""


Definitions = dict[str, Definition]


class _Drawn(TypedDict):
    name: str  #: the kind of picture: "rates", "heat map", ...
    file: str  #: in the folder of the results


class Figure(_Drawn, total=False):
    """A picture and what it shows; what does not apply is not there."""

    scenario: str
    controller: str
    controllers: list[str]
    late: list[str]  #: late policies
    measure: str  #: or `verdict`
    factors: list[str]  #: that a heat map has along x and y
    over: str  #: the factor or measure along x
    recording: str  #: the file that a service was learned from
    traces: dict[str, str]  #: by controller: the file of the run that it is drawn from


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """What a run of a verb leaves, as plain data; `to_dict` is its `summary.json`."""

    kind: ClassVar[str]
    tpssim: str = VERSION
    command: str = ""  #: that makes these numbers again; "" if no command made them
    figures: list[Figure] = dataclasses.field(default_factory=list)
    #: what was made of the files that were given; in JSON only where something was
    notes: list[str] = dataclasses.field(default_factory=list)
    #: fields that are in JSON only where something is in them
    SPARSE: ClassVar[tuple[str, ...]] = ("notes", "over_draws")

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        figures = values.pop("figures")
        values = {k: value for k, value in values.items() if value or k not in self.SPARSE}
        return {"kind": self.kind, "schema_version": SCHEMA, **values, "figures": figures}

    def defined(self) -> Mapping[str, Definition]:
        """The definitions of the numbers in it, by name."""
        return {}

    def faults(self) -> Iterator[str]:
        """What does not go together, though each field has its shape; "" where something does."""
        for i, figure in enumerate(self.figures):
            for k, name in enumerate([figure["file"], *figure.get("traces", {}).values()]):
                if not _inside(name):
                    where = f"figures > {i} > {'traces' if k else 'file'}"
                    yield f"{where} is {name!r:.40}; allowed: a path inside the folder"


def _inside(name: str) -> bool:
    """Whether a file is in the folder whose record names it, wherever that lies."""
    path = PurePosixPath(name)
    return not (path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or not name)


def interval(e: Estimate) -> Interval:
    """An estimate as a part of a record."""
    return {"mean": e.mean, "low": e.low, "high": e.high, "n": e.n, "never": e.never}
