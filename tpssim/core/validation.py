"""Which numbers may be given: ranges of parameters, counts, sizes, and `NAME:key=value`; all in one
line.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar, cast, get_type_hints

from tpssim.core.errors import InputError, no_such
from tpssim.core.types import record

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
        return f"{besides}{left}{self.low:g}, {self.high:g}{right}" + (
            f" {self.unit}" if self.unit else ""
        )


#: Of a law's number that says nothing else: nan, too, may stand for what is not set.
ANY = Range(-math.inf, math.inf)


def ranges(record: Any) -> Mapping[str, Range]:
    """The `Range` of every parameter of a record (or of its class), in the order of its fields. A
    plain `float` of a law may be any number.
    """
    return _ranges(record if isinstance(record, type) else type(record))


@functools.lru_cache(maxsize=256)
def _ranges(cls: Any) -> Mapping[str, Range]:
    hints = get_type_hints(cls, include_extras=True)
    found, decides = {}, hasattr(cls, "update")
    for field in cls._fields:
        for note in getattr(hints[field], "__metadata__", ()):
            if isinstance(note, Range):
                found[field] = note
        if decides and hints[field] is float:
            found[field] = ANY
    return found


def parameters_of(law: Any) -> dict[str, float]:
    """The parameters of a law by name, as results hold them: inf or nan says that it is not set."""
    every = {name: getattr(law, name) for name in ranges(law)}
    return {name: value for name, value in every.items() if math.isfinite(value)}


@functools.cache
def meanings(record: type) -> dict[str, str]:
    """What each field of a record is: the string in its annotation; "" without one.

    >>> from tpssim.scenarios.service_times import Lognormal
    >>> meanings(Lognormal)["mean"]
    'expected service time'
    """
    hints = get_type_hints(record, include_extras=True)
    return {
        field: next(
            (note for note in getattr(hint, "__metadata__", ()) if isinstance(note, str)), ""
        )
        for field, hint in hints.items()
    }


RecordT = TypeVar("RecordT")


#: How much may be asked for: of a service time, and of what fills the memory (6 GB; more with simpy
#: alone).
LONGEST_SERVICE = 1e6  # s, of one call
#: Of one run: 0.1 kB each where the run is compiled, 0.5 kB in the simpy model.
MOST_CALLS = 20_000_000
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

    >>> check_size("points", 1e8, MOST_POINTS, "20 kB")
    Traceback (most recent call last):
    tpssim.core.errors.InputError: 100,000,000 points; allowed: at most 100,000, at 20 kB each
    """
    if not asked <= most:
        raise InputError(f"{asked:,.0f} {what}; allowed: at most {most:,}, at {each} each")


def checked_number(given: Any, allowed: Range, owner: str, field: str) -> float:
    """A number as a float inside its range; raises `InputError`.

    >>> checked_number(3, Range(1.0, 5.0), "mine", "servers")
    3.0
    """
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise InputError(f"{owner}: {field}={given!r} is not a number; allowed: {allowed}")
    try:
        number = float(given)
    except OverflowError:  # of a whole number beyond what a float holds
        number = math.inf if given > 0 else -math.inf
    if allowed is ANY:
        return number
    if not allowed.holds(number) or (allowed.unit == FLAG and number not in (0.0, 1.0)):
        raise InputError(f"{owner}: {field}={number:g} is out of range; allowed: {allowed}")
    return number


def checked(record: RecordT, owner: str, seconds: str = "s") -> RecordT:
    """The record with every parameter a float inside its range; raises `InputError` naming the
    field.

    A record may have a method `conflict() -> str` for rules between fields ("" when there is none).
    `seconds`: the unit of what its ranges give in s, where such a record measures something else.
    """
    if isinstance(record, type) or not hasattr(record, "_fields"):
        raise InputError(
            f"{owner}: {record!r} is not a record of numbers; allowed: such as Constant(mean=0.02)"
        )
    changed = {}
    for field, allowed in ranges(record).items():
        if allowed.unit == "s" != seconds:
            allowed = allowed._replace(unit=seconds)
        given = getattr(record, field)
        number = checked_number(given, allowed, owner, field)
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


def replaced(
    record: RecordT, owner: str, parameters: Mapping[str, float], seconds: str = "s"
) -> RecordT:
    """The record with some parameters changed and all of them checked; raises `InputError`."""
    known = ranges(record)
    changed: Any = record
    for name in parameters:
        if name not in known:
            raise no_such("parameter", name, known, f"{owner}: ")
    made = cast(RecordT, changed._replace(**parameters) if parameters else changed)
    return checked(made, owner, seconds)


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
            raise InputError(
                f"{text!r}: {part!r} is not of the form key=number; write NAME:key=1.5,other=2"
            )
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
