"""The contracts: what a law may see, what it answers, which numbers it accepts.

This module knows no law, no clock, no service and no file. It imports nothing but the standard
library.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar

VERSION = "0.1.0"

#: Outcome of a call, as it stands in a trace.
OK, FAILED, TIMED_OUT, REJECTED, REFUSED, UNFINISHED = range(6)
OUTCOMES = ("ok", "failed", "timed out", "rejected by the service", "refused locally", "unfinished")
#: HTTP statuses of a refusal: too many requests, unavailable, overloaded.
REFUSALS = (429, 503, 529)


def error_of(outcome: float) -> float:
    """1 if the outcome of a call is an error for a law, else 0; the codes of errors are in a row.

    >>> [error_of(outcome) for outcome in (OK, FAILED, TIMED_OUT, REJECTED, UNFINISHED)]
    [0.0, 1.0, 1.0, 1.0, 0.0]
    """
    return 1.0 if FAILED <= outcome <= REJECTED else 0.0


def drop_of(outcome: float) -> float:
    """1 if an error is a drop, a sign of overload: the call timed out or the service refused it.

    >>> [drop_of(outcome) for outcome in (OK, FAILED, TIMED_OUT, REJECTED)]
    [0.0, 0.0, 1.0, 1.0]
    """
    return 1.0 if TIMED_OUT <= outcome <= REJECTED else 0.0


ClassT = TypeVar("ClassT", bound=type[tuple[Any, ...]])


def record(cls: ClassT) -> ClassT:
    """Make a `NamedTuple` class a kind of its own: equal are only records of one class, number by
    number.

    A named tuple is a tuple, so without this `Lognormal(a, b) == Gamma(a, b)`, and a cache keyed by
    one of them would answer for the other. A record equals no plain tuple. Records of a user's
    plain `NamedTuple` classes are distinguished inside a record, but not by their own `==`: a cache
    that is keyed by one of them puts its class into the key.

    >>> @record
    ... class Metre(NamedTuple):
    ...     length: float
    >>> @record
    ... class Yard(NamedTuple):
    ...     length: float
    >>> Metre(1.0) == Metre(1.0), Metre(1.0) == Yard(1.0), Metre(1.0) == (1.0,)
    (True, False, False)
    """
    methods: Any = cls
    # All three: `tuple` has each of them, and defining `__eq__` on a class that exists keeps the
    # old hash.
    methods.__eq__, methods.__ne__, methods.__hash__ = _equal, _unequal, _hash
    return cls


#: Looked up once: a scenario is ten records, and several are compared or looked up in every run.
_tuples_are_equal, _hash_of_tuple = tuple.__eq__, tuple.__hash__


def _equal(self: tuple[Any, ...], other: Any) -> bool:
    if self is other:
        return True
    if type(self) is not type(other) or not _tuples_are_equal(self, other):
        return False
    return all(_same(*pair) for pair in zip(self, other, strict=True) if isinstance(pair[0], tuple))


def _unequal(self: tuple[Any, ...], other: object) -> bool:
    return not _equal(self, other)


def _hash(self: tuple[Any, ...]) -> int:
    return _hash_of_tuple(self) ^ id(type(self))


def _same(one: Any, other: Any) -> bool:
    """Whether two things that are equal as numbers are of one kind, and so are the things in
    them.
    """
    if one is other or not isinstance(one, tuple):
        return True
    if type(one) is tuple and set(map(type, one)) == {float}:  # a recording, which may be long
        return type(other) is tuple and set(map(type, other)) == {float}
    return type(one) is type(other) and all(map(_same, one, other))


@record
class Observation(NamedTuple):
    """What a law may see: one completion, or several summed up by a sensor. Times in s, rates in
    1/s.

    >>> from tpssim import CONTROLLERS
    >>> law = CONTROLLERS["busy-time"]()
    >>> slow = Observation(now=0.5, target=100.0, latency=0.02, lag=0.0)  # two intervals
    >>> law.update(law.init(100.0), slow).rate < 100.0
    True
    """

    now: float  #: time now; a law's time starts at 0 at `init`
    target: float  #: the wanted TPS; where calls have costs, calls of the mean cost
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


WHOLE = 2.0**52  #: from here on every float is a whole number


def floored(x: float) -> float:
    """The greatest whole number not above x, for every float; as C's `floor`, a float.

    `math.floor` makes an integer: in compiled code one of 64 bits, which a large float overflows in
    silence.

    >>> floored(-1.5), floored(1e300), floored(math.inf)
    (-2.0, 1e+300, inf)
    """
    return math.floor(x) * 1.0 if -WHOLE < x < WHOLE else x


def ceiled(x: float) -> float:
    """The least whole number not below x, in the same way.

    >>> ceiled(1.5), ceiled(1e300)
    (2.0, 1e+300)
    """
    return math.ceil(x) * 1.0 if -WHOLE < x < WHOLE else x


class State(Protocol):
    """All memory of a law. Every state begins with the three actuators."""

    @property
    def rate(self) -> float: ...  #: releases per second
    @property
    def limit(self) -> float: ...  #: calls in flight
    @property
    def reject(self) -> float: ...  #: probability of refusing a call locally


StateT = TypeVar("StateT", bound=State)


class Controller(Protocol[StateT]):
    """A control law: a `NamedTuple` of float parameters with two pure functions.

    `update` must be total (no exception for any finite observation, nor for a latency of nan), must
    not depend on the origin of time, and must leave an actuator that it does not use at inf (rate,
    limit) or 0.
    """

    def init(self, target: float) -> StateT: ...
    def update(self, state: StateT, obs: Observation) -> StateT: ...


DescribedT = TypeVar("DescribedT")

#: What a law can command, in the order in which every state begins.
ACTUATORS = ("rate", "limit", "reject")


def described(
    text: str,
    *,
    actuators: tuple[str, ...],
    signals: str,
    origin: str,
    year: int,
    needs_target: bool = False,
    only_arrivals: bool = False,
) -> Callable[[DescribedT], DescribedT]:
    """A decorator that says what a law is, as class attributes of these names, and `description`:
    the text.

    Type checkers take an assignment in the body of a NamedTuple for a field; at run time it does as
    well. The text stands here, and becomes the docstring, because `list` shows it and `python -OO`
    drops docstrings. `needs_target`: it cannot work without a wanted rate (`tps=inf`), for it
    starts from it. `only_arrivals`: its `admit` decides on recorded arrivals alone, and gets as lag
    how long each has waited since it came.

    >>> @described("Stop.", actuators=("limit",), signals="none", origin="ours", year=2026)
    ... class Stop(NamedTuple):
    ...     pass
    >>> Stop.actuators, Stop.year, Stop.__doc__
    (('limit',), 2026, 'Stop.')
    """

    def describe(law: DescribedT) -> DescribedT:
        facts: dict[str, Any] = {"description": text, "__doc__": text, "actuators": actuators}
        facts |= {"signals": signals, "origin": origin, "year": year}
        facts |= {"needs_target": needs_target, "only_arrivals": only_arrivals}
        for name, value in facts.items():
            setattr(law, name, value)
        return law

    return describe


def admits(law: Any, arrivals: bool) -> bool:
    """Whether a law decides at each call's turn whether it is released; `arrivals`: of recorded
    arrivals. A law that refuses calls only because they have waited does not do so in a loop: its
    items are not late.

    >>> from tpssim import CONTROLLERS
    >>> admits(CONTROLLERS["headroom"](), True), admits(CONTROLLERS["headroom"](), False)
    (True, False)
    >>> admits(CONTROLLERS["pie"](), False), admits(CONTROLLERS["aimd"](), True)
    (True, False)
    """
    return hasattr(law, "admit") and (arrivals or not since_arrival(law))


def since_arrival(law: Any) -> bool:
    """Whether a law has `only_arrivals`: the lag that its `admit` gets counts from the arrival."""
    return bool(getattr(law, "only_arrivals", False))
