"""Tables of a TOML file as the records of a scenario; what is wrong is said with line and field."""

from __future__ import annotations

import contextlib
import functools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_type_hints

from tpssim.controllers import law_named
from tpssim.core.arrivals import checked_arrivals
from tpssim.core.errors import InputError, no_such
from tpssim.core.profiles import Stages
from tpssim.core.quotas import Quota
from tpssim.core.schedule import Late, late_policy
from tpssim.core.timer_models import TIMERS, TimerModel
from tpssim.core.validation import Range, checked_number, ranges
from tpssim.scenarios.disturbances import Swap
from tpssim.scenarios.feedback import Feedback
from tpssim.scenarios.kinds import CONSUMERS, DISTURBANCES, SERVICES
from tpssim.scenarios.plant import Backend
from tpssim.scenarios.producers import TARGET, Producer, checked_target
from tpssim.scenarios.recordings import read_service_times
from tpssim.scenarios.recordings.arrivals import read_arrivals
from tpssim.scenarios.retries import Retry
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_quotas import ServiceQuota
from tpssim.scenarios.service_times import Recorded
from tpssim.scenarios.toml_lines import Place, line_at, lines_of

ANY = Range(-math.inf, math.inf)


@functools.cache
def _hints(cls: Any) -> Mapping[str, Any]:
    return get_type_hints(cls)


def shown(place: Place) -> str:
    """A place as people write it.

    >>> shown(("disturbances", 0, "service", "mean"))
    'disturbances[0].service.mean'
    """
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return "".join(parts).removeprefix(".")


class Tables:
    """The tables of one file."""

    def __init__(self, path: str | Path, text: str) -> None:
        self.path, self.text = path, text

    @functools.cached_property
    def lines(self) -> dict[Place, int]:
        """The line of each value: needed where something is wrong."""
        return lines_of(self.text)

    def at(self, place: Place) -> str:
        """The file and the line of a place, as an error begins."""
        line = line_at(self.lines, place)
        return f"{self.path}, line {line}" if line else str(self.path)

    def beside(self, said: str) -> str:
        """The file, and the line of the first field that is spoken of."""
        for name in re.findall(r"\b(\w+)(?==)|\ba (?=producer\b)", said):
            places = [place for place in self.lines if place[-1] == (name or "producers")]
            if places:
                return self.at(places[0])
        return str(self.path)

    def wrong(self, place: Place, said: str) -> InputError:
        return InputError(f"{self.at(place)}: {shown(place)}{said}")

    @contextlib.contextmanager
    def saying(self, place: Place) -> Iterator[None]:
        """What others find wrong is said with the line and the field."""
        try:
            yield
        except InputError as error:
            said = str(error).removeprefix(f"{shown(place)}: ")
            raise self.wrong(place, f": {said}") from None

    def table(self, given: Any, place: Place) -> dict[str, Any]:
        if not isinstance(given, dict):
            raise self.wrong(place, f"={given!r:.60}; allowed: a table [{place[-1]}]")
        return given

    def part(self, cls: Any, given: Any, place: Place) -> Any:
        """The record of that class that a table holds."""
        return self.made(cls, self.values(cls, self.table(given, place), place), place)

    def values(self, cls: Any, table: dict[str, Any], place: Place) -> dict[str, Any]:
        """Each field that a table holds, checked alone."""
        found = {}
        for name, given in table.items():
            here = (*place, name)
            if name not in cls._fields:
                where = f"{self.at(here)}: {shown(place)}{': ' if place else ''}"
                raise no_such("field", name, cls._fields, where)
            found[name] = self._value(cls, name, given, here)
        return found

    def made(self, cls: Any, values: dict[str, Any], place: Place) -> Any:
        """The record of these fields, if none is missing and they go together."""
        for name in cls._fields:
            if name not in values and name not in cls._field_defaults:
                what = f"{shown(place)} has no {name}" if place else f"{name} is missing"
                needed = [field for field in cls._fields if field not in cls._field_defaults]
                raise InputError(f"{self.at(place)}: {what}; allowed: {', '.join(needed)}")
        made = cls(**values)
        if conflict := made.conflict() if hasattr(made, "conflict") else "":
            name = re.match(r"\w*", conflict)
            field = (*place, name[0]) if name and name[0] in values else place
            raise InputError(f"{self.at(field)}: {shown(place)}: {conflict}")
        return made

    def kind(self, kinds: Mapping[str, Any], given: Any, place: Place) -> Any:
        """The record of a table that says of which kind it is."""
        table = dict(self.table(given, place))
        here = (*place, "kind")
        if "kind" not in table:
            raise self.wrong(here, f" is missing; allowed: {', '.join(kinds)}")
        name = table.pop("kind")
        if not isinstance(name, str) or name not in kinds:
            raise no_such("kind", str(name), kinds, f"{self.at(here)}: {shown(place)}: ")
        cls = kinds[name]
        if cls is Recorded:
            table.setdefault("source", Path(self.path).name)
        return self.part(cls, table, place)

    def several(self, read: Callable[[Any, Place], Any], given: Any, place: Place) -> Any:
        """A tuple of what a list of tables holds."""
        if not isinstance(given, list):
            raise self.wrong(place, f"={given!r:.60}; allowed: tables [[{place[-1]}]]")
        return tuple(read(table, (*place, number)) for number, table in enumerate(given))

    def number(self, given: Any, allowed: Range, place: Place) -> float:
        """A number in its range, never -0.0."""
        try:
            return checked_number(given, allowed, "", "") + 0.0
        except InputError as error:
            raise self.wrong(place, str(error).removeprefix(": ")) from None

    def _value(self, cls: Any, name: str, given: Any, place: Place) -> Any:
        if special := _SPECIAL.get((cls, name)):
            return special(self, given, place)
        if allowed := ranges(cls).get(name):
            return self.number(given, allowed, place)
        hint = _hints(cls)[name]
        if hint in (float, float | None):
            return self.number(given, ANY, place)
        if type(given) is not hint:
            allowed_words = {str: "text in quotes", bool: "true, false", int: "a whole number"}
            raise self.wrong(place, f"={given!r:.60}; allowed: {allowed_words[hint]}")
        return given

    def target(self, given: Any, place: Place) -> float | Stages:
        if not isinstance(given, str | list):
            return self.number(given, TARGET, place)
        with self.saying(place):
            return checked_target(Stages(given), shown(place))

    def late(self, given: Any, place: Place) -> Any:
        if not isinstance(given, str):
            return self.part(Late, given, place)
        with self.saying(place):
            return late_policy(given)

    def timer(self, given: Any, place: Place) -> Any:
        if not isinstance(given, str):
            return self.part(TimerModel, given, place)
        if given not in TIMERS:
            raise no_such("timer model", given, TIMERS, f"{self.at(place)}: {shown(place)}: ")
        return TIMERS[given]

    def law(self, given: Any, place: Place) -> Any:
        if not isinstance(given, str):
            raise self.wrong(place, f"={given!r:.60}; allowed: text such as 'aimd:dec_rate=0.5'")
        with self.saying(place):
            return law_named(given)[1]

    def numbers(
        self, read: Callable[[Path], tuple[float, ...]], given: Any, place: Place
    ) -> tuple[float, ...]:
        """A list of numbers, or the CSV file that holds them; its path counts from this file."""
        if isinstance(given, str):
            with self.saying(place):
                return read(Path(self.path).parent / given)
        if not isinstance(given, list):
            raise self.wrong(place, f"={given!r:.60}; allowed: a list of numbers, or a CSV file")
        return tuple(self.number(number, ANY, (*place, i)) for i, number in enumerate(given))

    def arrivals(self, given: Any, place: Place) -> tuple[float, ...]:
        times = self.numbers(read_arrivals, given, place)
        with self.saying(place):
            return checked_arrivals(times, shown(place))


_Special = Callable[[Tables, Any, Place], Any]


def _kind(kinds: Mapping[str, Any]) -> _Special:
    return lambda tables, given, place: tables.kind(kinds, given, place)


def _part(cls: Any) -> _Special:
    return lambda tables, given, place: tables.part(cls, given, place)


def _several(read: _Special) -> _Special:
    return lambda tables, given, place: tables.several(
        functools.partial(read, tables), given, place
    )


#: How the fields are read that hold more than a number, a flag or text.
_SPECIAL: dict[tuple[Any, str], _Special] = {
    (Scenario, "service"): _kind(SERVICES),
    (Scenario, "network"): _kind(SERVICES),
    (Scenario, "cost"): _kind(SERVICES),
    (Scenario, "consumer"): _kind(CONSUMERS),
    (Scenario, "disturbances"): _several(_kind(DISTURBANCES)),
    (Scenario, "backend"): _part(Backend),
    (Scenario, "retry"): _part(Retry),
    (Scenario, "feedback"): _part(Feedback),
    (Scenario, "producers"): _several(_part(Producer)),
    (Scenario, "quotas"): _several(_part(Quota)),
    (Scenario, "target"): Tables.target,
    (Scenario, "late"): Tables.late,
    (Scenario, "timer"): Tables.timer,
    (Scenario, "arrivals"): Tables.arrivals,
    (Backend, "quotas"): _several(_part(ServiceQuota)),
    (Producer, "target"): Tables.target,
    (Producer, "law"): Tables.law,
    (Swap, "service"): _kind(SERVICES),
    (Recorded, "recording"): lambda tables, given, place: tables.numbers(
        read_service_times, given, place
    ),
}
