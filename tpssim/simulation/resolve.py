"""What can be put on the bench: a throttle of any kind, and a scenario, by name or as a record."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any, NamedTuple

from tpssim.controllers import CONTROLLERS, actuators_of, law_named, own_law
from tpssim.controllers.article import PRINTED
from tpssim.core.errors import InputError, all_of, no_such
from tpssim.core.own_laws import check_law
from tpssim.core.types import Controller, record
from tpssim.core.validation import checked, format_spec, parameters_of, parse_spec, ranges
from tpssim.scenarios.builtin import SCENARIOS
from tpssim.scenarios.files import read_scenario_file
from tpssim.scenarios.load import Load
from tpssim.scenarios.scenario import Scenario, checked_scenario, with_parameters
from tpssim.simulation.hosting.user_code import Foreign, ThrottleFunction, check_signature
from tpssim.simulation.oracle import NAME as ORACLE
from tpssim.simulation.oracle import Oracle

#: What may be given as a controller: a record, its class, "NAME:key=value,..." (printed throttles
#: too), or a throttle of one's own: a callable `(items, tps, total)`, or where it stands,
#: "FILE.py:callable".
ControllerLike = Controller[Any] | type[Controller[Any]] | str | Foreign | ThrottleFunction


#: What a scenario's file need not say if a parameter or the load does.
IMPLIED = ("target", "duration")

#: A scenario in a file, and parameters.
_FILE = re.compile(r"(.*\.toml)(?::.*)?")


@record
class ThrottleSpec(NamedTuple):
    """A throttle on the bench: a law with its parameters, a printed one, or foreign code."""

    label: str
    name: str
    law: Any = None
    code: Foreign | ThrottleFunction | None = None

    def parameters(self) -> dict[str, float]:
        """The parameters of the law by name; those of a printed throttle are what the article
        printed.
        """
        return {} if self.law is None else parameters_of(self.law)

    def actuators(self) -> tuple[str, ...]:
        """What it commands; code that waits by itself has a rate alone."""
        return ("rate",) if self.law is None else actuators_of(self.law)


def throttle_spec(given: ControllerLike) -> ThrottleSpec:
    """What was given as a controller, checked; raises `InputError`."""
    if isinstance(given, str) and _names_code(given):
        given = Foreign(given)
    if isinstance(given, Foreign):
        # Refuse early what cannot be loaded or called.
        function = given.load()
        if isinstance(function, type) and hasattr(function, "update"):
            raise own_law(given.spec)
        check_signature(function, f"throttle {given.spec!r}")
        return ThrottleSpec(given.label, given.spec, code=given)
    if isinstance(given, str):
        if ".py:" in given:
            how = "code of your own is FILE.py:callable, a throttle without parameters"
            raise InputError(f"{given!r}: {how}; allowed: that, or {all_of('controllers')}")
        name, parameters = parse_spec(given)
        if name in PRINTED:
            if parameters:
                twins = "its constants are the article's; allowed: a parameterised law such as aimd"
                raise InputError(f"{name} takes no parameters: {twins}")
            return ThrottleSpec(name, name)
        if name == ORACLE:
            if parameters:
                raise InputError(f"{name} takes no parameters; allowed: {name} alone")
            return ThrottleSpec(name, name, Oracle())
        name, law = law_named(given, [*PRINTED, ORACLE])
        return ThrottleSpec(format_spec(name, parameters), name, law)
    if callable(given) and not isinstance(given, type) and not hasattr(given, "update"):
        name = getattr(given, "__name__", type(given).__name__)
        check_signature(given, f"throttle {name}")
        return ThrottleSpec(name, name, code=given)
    record: Any = given() if isinstance(given, type) else given
    if not hasattr(record, "update") or not hasattr(record, "init"):
        raise InputError(
            f"controller {given!r} has no init and update; "
            "allowed: a name, a law's record, a throttle function"
        )
    cls = type(record)
    if not hasattr(record, "_fields"):
        raise InputError(
            f"{cls.__name__} is no record of numbers; allowed: class {cls.__name__}(NamedTuple)"
            " with init and update"
        )
    name = next((known for known, law in CONTROLLERS.items() if law is cls), cls.__name__)
    record = checked(record, name)
    check_law(record, name)
    default = cls._field_defaults
    changed = {
        f: getattr(record, f) for f in ranges(record) if getattr(record, f) != default.get(f)
    }
    return ThrottleSpec(format_spec(name, changed), name, record)


def _names_code(text: str) -> bool:
    """Whether it is `FILE.py:callable` or `package.module:callable` rather than a law with
    parameters.
    """
    place, colon, name = text.rpartition(":")
    return bool(colon) and "." in place and name.replace(".", "").isidentifier()


def scenario_named(given: Scenario | str, load: Load | None = None) -> Scenario:
    """A scenario; or the built-in one of that name, or that of a file, with parameters; under that
    load if there is one. Raises `InputError`.

    >>> scenario_named("blocking-steady:mean=0.05").service.mean
    0.05
    """
    if not isinstance(given, str):
        return checked_scenario(given) if load is None else load.on(given)
    path = file_of(given)
    # Its name alone, for a path may have a colon of its own.
    file = PurePath(path).name.replace(":", "")
    name, parameters = parse_spec(given if not path else f"{file}{given.removeprefix(path)}")
    if not path and name not in SCENARIOS:
        if "." in name or "/" in name:
            raise InputError(
                f"{name!r} is no scenario and no file of one; allowed: FILE.toml, or"
                f" {all_of('scenarios')}"
            )
        raise no_such("scenario", name, SCENARIOS, shown=all_of("scenarios"))
    if load is not None and "target" in parameters:
        said = f"target={parameters['target']:g} with a load that takes its place"
        raise InputError(f"scenario {name}: {said}; allowed: one of them")
    implied = {} if load is None else load.implied()
    implied |= {field: parameters[field] for field in IMPLIED if field in parameters}
    scenario = read_scenario_file(path, implied).scenario if path else SCENARIOS[name]
    if load is not None:
        scenario = load.on(scenario, parameters.get("duration"))
    changed = with_parameters(scenario, parameters)
    return changed._replace(name=format_spec(scenario.name, parameters))


def file_of(given: Scenario | str) -> str:
    """The file that a scenario is read from, if it is given as `FILE.toml` or
    `FILE.toml:key=value`; else "".

    >>> file_of("old.toml.d/mine.toml:target=50"), file_of("spikes:target=50")
    ('old.toml.d/mine.toml', '')
    """
    found = _FILE.fullmatch(given) if isinstance(given, str) else None
    return found[1] if found else ""
