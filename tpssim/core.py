"""The contracts: what a law may see, what it answers, which numbers it accepts.

This room knows no law, no clock, no service and no file. It imports nothing but the standard library.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar, cast, get_type_hints

VERSION = "0.1.0"

#: Outcome of a call, as it stands in a trace.
OK, FAILED, TIMED_OUT, REJECTED, REFUSED, UNFINISHED = range(6)
OUTCOMES = ("ok", "failed", "timed out", "rejected by the service", "refused locally", "unfinished")


class InputError(ValueError):
    """What the user gave cannot be used; the message is one line: what is wrong and what is allowed.

    >>> import tpssim
    >>> try:
    ...     tpssim.simulate("degrade-recover", "aimd:dec_rate=2")
    ... except tpssim.InputError as error:
    ...     print(error)
    aimd: dec_rate=2 is out of range; allowed: (0, 1) x
    """


class Aborted(RuntimeError):
    """Something outside ended a run before its end; the message says what is kept and how to go on.

    >>> issubclass(Aborted, RuntimeError)  # a store that another process holds, workers that died
    True
    """


ClassT = TypeVar("ClassT", bound=type[tuple[Any, ...]])


def record(cls: ClassT) -> ClassT:
    """Make a `NamedTuple` class a kind of its own: equal are only records of one class, number by number.

    A named tuple is a tuple, so without this `Lognormal(a, b) == Gamma(a, b)`, and a cache keyed by one of
    them would answer for the other. A record equals no plain tuple. Records of a user's plain `NamedTuple`
    classes are told apart inside a record, but not by their own `==`: a cache that is keyed by one of them
    puts its class into the key.

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
    # All three: `tuple` has each of them, and defining `__eq__` on a class that exists keeps the old hash.
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
    """Whether two things that are equal as numbers are of one kind, and so are the things in them."""
    if one is other or not isinstance(one, tuple):
        return True
    if type(one) is tuple and set(map(type, one)) == {float}:  # a recording, which may be long
        return type(other) is tuple and set(map(type, other)) == {float}
    return type(one) is type(other) and all(map(_same, one, other))


@record
class Observation(NamedTuple):
    """What a law may see: one completion, or several summed up by a sensor. Times in s, rates in 1/s.

    >>> from tpssim import CONTROLLERS
    >>> law = CONTROLLERS["busy-time"]()
    >>> slow = Observation(now=0.5, target=100.0, latency=0.02, lag=0.0)  # a call that took two intervals
    >>> law.update(law.init(100.0), slow).rate < 100.0
    True
    """

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


WHOLE = 2.0**52  #: from here on every float is a whole number


def floored(x: float) -> float:
    """The greatest whole number not above x, for every float; as C's `floor`, a float.

    `math.floor` makes an integer: in compiled code one of 64 bits, which a large float overflows in silence.

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


#: The unit of a number that is a switch.
FLAG = "0 or 1"


@record
class Range(NamedTuple):
    """Which values a parameter may take, its unit, and where a tuner should look.

    >>> share = Range(0.0, 1.0, "share", closed_low=False)
    >>> share.holds(1.0), share.holds(0.0), str(share)
    (True, False, '(0, 1] share')
    """

    low: float
    high: float
    unit: str = ""
    closed_low: bool = True
    closed_high: bool = True
    search: tuple[float, float] | None = None  #: None: the range itself
    log: bool = False  #: search on a logarithmic scale
    off: bool = False  #: 0 is allowed besides, which switches it off

    def holds(self, value: float) -> bool:
        """Whether the value lies inside; nan never does, inf only where inf is a closed bound."""
        if self.off and value == 0.0:
            return True
        above = value >= self.low if self.closed_low else value > self.low
        below = value <= self.high if self.closed_high else value < self.high
        return above and below

    def __str__(self) -> str:
        left = "[" if self.closed_low else "("
        right = "]" if self.closed_high else ")"
        besides = "0 or " if self.off else ""
        return f"{besides}{left}{self.low:g}, {self.high:g}{right}" + (f" {self.unit}" if self.unit else "")


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
) -> Callable[[DescribedT], DescribedT]:
    """A decorator that says what a law is, as class attributes of these names, and `description`: the text.

    Type checkers take an assignment in the body of a NamedTuple for a field; at run time it does as well. The
    text stands here, and becomes the docstring, because `list` shows it and `python -OO` drops docstrings.
    `needs_target`: it cannot work without a wanted rate (`tps=inf`), for it starts from it.

    >>> @described("Stop.", actuators=("limit",), signals="none", origin="ours", year=2026)
    ... class Stop(NamedTuple):
    ...     pass
    >>> Stop.actuators, Stop.year, Stop.__doc__
    (('limit',), 2026, 'Stop.')
    """

    def describe(law: DescribedT) -> DescribedT:
        facts: dict[str, Any] = {"description": text, "__doc__": text, "actuators": actuators}
        facts |= {"signals": signals, "origin": origin, "year": year}
        facts["needs_target"] = needs_target
        for name, value in facts.items():
            setattr(law, name, value)
        return law

    return describe


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

#: How much may be asked for: of a service time, and of what fills the memory (6 GB; more with simpy alone).
LONGEST_SERVICE = 1e6  # s, of one call
MOST_CALLS = 20_000_000  # of one run: 0.1 kB each where the run is compiled, 0.5 kB in the simpy model
MOST_KEPT = 100_000_000  # calls in traces that are kept, 60 bytes each
MOST_RUNS = 10_000_000  # of a sweep or a search, 0.5 kB each
MOST_COMPARED = 1_000_000  # runs of a comparison, 5 kB each
MOST_POINTS = 100_000  # settings of a sweep or a search, 20 kB each
MOST_PROCESSES = 256  # 0.2 GB each
MOST_THREADS = 10_000  # 50 kB each


def checked_count(name: str, number: int, least: int = 1, most: float = math.inf) -> int:
    """A number of workers, say; raises `InputError`.

    >>> checked_count("workers", 2)
    2
    """
    if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
        to = f" and <= {most:,}" if most < math.inf else ""
        raise InputError(f"{name}={number!r}; allowed: a whole number >= {least}{to}")
    return number


def check_size(what: str, asked: float, most: int, each: str) -> None:
    """Refuse what would fill the memory, before anything is done; raises `InputError`.

    >>> check_size("points of a sweep", 1e8, MOST_POINTS, "20 kB of memory")
    Traceback (most recent call last):
    tpssim.core.InputError: 100,000,000 points of a sweep; allowed: at most 100,000, at 20 kB of memory each
    """
    if not asked <= most:
        raise InputError(f"{asked:,.0f} {what}; allowed: at most {most:,}, at {each} each")


def checked(record: RecordT, owner: str) -> RecordT:
    """The record with every parameter a float inside its range; raises `InputError` naming the field.

    A record may have a method `conflict() -> str` for rules between fields ("" when there is none).
    """
    if isinstance(record, type) or not hasattr(record, "_fields"):
        raise InputError(
            f"{owner}: {record!r} is not a record of numbers; allowed: such as Constant(mean=0.02)"
        )
    changed = {}
    for field, allowed in ranges(record).items():
        given = getattr(record, field)
        if isinstance(given, bool) or not isinstance(given, int | float):
            raise InputError(f"{owner}: {field}={given!r} is not a number; allowed: {allowed}")
        try:
            number = float(given)
        except OverflowError:  # of a whole number beyond what a float holds
            number = math.inf if given > 0 else -math.inf
        if not allowed.holds(number) or (allowed.unit == FLAG and number not in (0.0, 1.0)):
            raise InputError(f"{owner}: {field}={number:g} is out of range; allowed: {allowed}")
        # Never -0.0, which equals 0.0 and would be the same key.
        if type(given) is not float or math.copysign(1.0, given) < 0.0 == given:
            changed[field] = number + 0.0
    fixed: Any = record
    if changed:  # one that is as it should be stays itself, which is quickly compared
        fixed = fixed._replace(**changed)
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
    return checked(cast(RecordT, changed._replace(**parameters) if parameters else changed), owner)


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
