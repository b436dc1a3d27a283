"""The contracts: what a law may see, what it answers, which numbers it accepts.

This room knows no law, no clock, no service and no file. It imports nothing but the standard library.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar, cast, get_type_hints

VERSION = "0.1.0"

#: Outcome of a call, as it stands in a trace.
OK, FAILED, TIMED_OUT, REJECTED, REFUSED, UNFINISHED = range(6)
OUTCOMES = ("ok", "failed", "timed out", "rejected by the service", "refused locally", "unfinished")


class InputError(ValueError):
    """What the user gave cannot be used; the message is one line: what is wrong and what is allowed."""


class Aborted(RuntimeError):
    """Something outside ended a run before its end; the message says what is kept and how to go on."""


class Observation(NamedTuple):
    """What a law may see: one completion, or several summed up by a sensor. Times in s, rates in 1/s."""

    now: float  #: time now; a law's time starts at 0 at `init`
    target: float  #: the wanted TPS
    latency: float  #: completion - release; nan when nothing completed
    lag: float  #: release - scheduled release
    # The field is what users know; it hides `tuple.count`, which nobody calls here.
    count: float = 1.0  # type: ignore[assignment]  #: completions summed up; 0 for a local refusal
    errors: float = 0.0  #: how many of them failed
    in_flight: float = 1.0  #: calls in flight when the observed call was released, itself included
    drops: float = 0.0  #: how many of the errors timed out or were refused by the service
    refusals: float = 0.0  #: calls refused locally
    peak: float = 0.0  #: most in flight since the last observation
    u: float = 0.5  #: a uniform draw of its own stream, for laws that probe at random


#: The unit of a number that is a switch.
FLAG = "0 or 1"


class Range(NamedTuple):
    """Which values a parameter may take, its unit, and where a tuner should look."""

    low: float
    high: float
    unit: str = ""
    closed_low: bool = True
    closed_high: bool = True
    search: tuple[float, float] | None = None  #: None: the range itself
    log: bool = False  #: search on a logarithmic scale

    def holds(self, value: float) -> bool:
        """Whether the value lies inside; nan never does, inf only where inf is a closed bound."""
        above = value >= self.low if self.closed_low else value > self.low
        below = value <= self.high if self.closed_high else value < self.high
        return above and below

    def __str__(self) -> str:
        left = "[" if self.closed_low else "("
        right = "]" if self.closed_high else ")"
        return f"{left}{self.low:g}, {self.high:g}{right}" + (f" {self.unit}" if self.unit else "")


class State(Protocol):
    """All memory of a law. Every state begins with the three valves."""

    @property
    def rate(self) -> float: ...  #: releases per second
    @property
    def limit(self) -> float: ...  #: calls in flight
    @property
    def reject(self) -> float: ...  #: probability of refusing a call locally


StateT = TypeVar("StateT", bound=State)


class Controller(Protocol[StateT]):
    """A control law: a `NamedTuple` of float parameters with two pure functions.

    `update` must be total (no exception for any finite observation, nor for a latency of nan), must not
    depend on the origin of time, and must leave a valve that it does not use at inf (rate, limit) or 0.
    """

    def init(self, target: float) -> StateT: ...
    def update(self, state: StateT, obs: Observation) -> StateT: ...


def ranges(record: Any) -> Mapping[str, Range]:
    """The `Range` of every parameter of a record (or of its class), in the order of its fields."""
    return _ranges(record if isinstance(record, type) else type(record))


@functools.lru_cache(maxsize=256)
def _ranges(cls: Any) -> Mapping[str, Range]:
    hints = get_type_hints(cls, include_extras=True)
    found = {}
    for field in cls._fields:
        for note in getattr(hints[field], "__metadata__", ()):
            if isinstance(note, Range):
                found[field] = note
    return found


RecordT = TypeVar("RecordT")


def checked_count(name: str, number: int, least: int = 1) -> int:
    """A number of workers, say; raises `InputError`.

    >>> checked_count("workers", 2)
    2
    """
    if isinstance(number, bool) or not isinstance(number, int) or number < least:
        raise InputError(f"{name}={number!r}; allowed: a whole number >= {least}")
    return number


def checked(record: RecordT, owner: str) -> RecordT:
    """The record with every parameter a float inside its range; raises `InputError` naming the field.

    A record may have a method `conflict() -> str` for rules between fields ("" when there is none).
    """
    if isinstance(record, type) or not hasattr(record, "_fields"):
        raise InputError(
            f"{owner}: {record!r} is not a record of numbers; allowed: such as Constant(mean=0.02)"
        )
    values = {}
    for field, allowed in ranges(record).items():
        given = getattr(record, field)
        if isinstance(given, bool) or not isinstance(given, int | float):
            raise InputError(f"{owner}: {field}={given!r} is not a number; allowed: {allowed}")
        if not allowed.holds(given) or (allowed.unit == FLAG and given not in (0.0, 1.0)):
            raise InputError(f"{owner}: {field}={given:g} is out of range; allowed: {allowed}")
        values[field] = float(given)
    fixed: Any = record
    fixed = fixed._replace(**values)
    conflict = fixed.conflict() if hasattr(fixed, "conflict") else ""
    if conflict:
        raise InputError(f"{owner}: {conflict}")
    return cast(RecordT, fixed)


def no_such(what: str, name: str, known: Iterable[str], where: str = "") -> InputError:
    """The error for a name that is not known: the one that was meant, if one is close, then all there are.

    >>> print(no_such("law", "amid", ["fixed", "aimd"]))
    there is no law 'amid', did you mean 'aimd'? allowed: fixed, aimd
    """
    import difflib  # when something is wrong, not before

    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f", did you mean {close[0]!r}?" if close else ";"
    return InputError(f"{where}there is no {what} {name!r}{hint} allowed: {', '.join(names) or 'none'}")


def replaced(record: RecordT, owner: str, parameters: Mapping[str, float]) -> RecordT:
    """The record with some parameters changed and all of them checked; raises `InputError`."""
    known = ranges(record)
    changed: Any = record
    for name in parameters:
        if name not in known:
            raise no_such("parameter", name, known, f"{owner}: ")
    return checked(cast(RecordT, changed._replace(**parameters)), owner)


def parse_spec(text: str) -> tuple[str, dict[str, float]]:
    """`NAME:key=value,key=value` as (name, parameters); raises `InputError`.

    >>> parse_spec("aimd:dec_rate=0.5,inc_step=2")
    ('aimd', {'dec_rate': 0.5, 'inc_step': 2.0})
    """
    name, colon, rest = text.partition(":")
    parameters: dict[str, float] = {}
    for part in rest.split(",") if colon else ():
        key, equals, value = part.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
            equals = ""
        if not equals or not key:
            raise InputError(f"{text!r}: {part!r} is not of the form key=number; write NAME:key=1.5,other=2")
        if key in parameters:
            raise InputError(f"{text!r}: {key} is given twice; allowed: once")
        parameters[key] = number
    return name, parameters


def format_spec(name: str, parameters: Mapping[str, float]) -> str:
    """The inverse of `parse_spec`.

    >>> format_spec("aimd", {"dec_rate": 0.5})
    'aimd:dec_rate=0.5'
    """
    listed = ",".join(f"{key}={exact(value)}" for key, value in parameters.items())
    return f"{name}:{listed}" if listed else name


def exact(value: float) -> str:
    """A number in the fewest digits that give it back.

    >>> exact(500.0), exact(0.70000001)
    ('500', '0.70000001')
    """
    short = f"{value:g}"
    return short if float(short) == value else repr(value)
