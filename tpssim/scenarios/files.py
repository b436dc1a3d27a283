"""Scenarios as files: TOML with the names of the fields, read with errors that name line and field.

`Scenario.to_toml` writes them; `fit` does, with where they come from and how sure it is.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from tpssim.core.arrivals import mean_rate, until
from tpssim.core.errors import InputError, no_such
from tpssim.core.profiles import Stages
from tpssim.core.types import record
from tpssim.core.validation import Range, exact
from tpssim.scenarios.disturbances import checked_disturbance
from tpssim.scenarios.scenario import Scenario, checked_scenario
from tpssim.scenarios.toml_tables import Tables, shown
from tpssim.scenarios.toml_text import quoted, toml, written

ORIGIN = ("provenance", "estimates", "correlations")  # of a file, beside the scenario


@record
class Provenance(NamedTuple):
    """Where a fitted scenario comes from.

    >>> Provenance("calls.csv", command="tpssim fit calls.csv").seed
    0
    """

    recording: str = ""  #: the file that it was fitted to
    digest: str = ""  #: SHA-256 of that file
    command: str = ""  #: what made it
    tpssim: str = ""  #: the version that made it
    seed: int = 0
    fault: str = ""  #: what the check of the fit says where it does not hold


@record
class Estimated(NamedTuple):
    """A number of a fitted scenario and its interval; where it is a parameter, by the name that
    `with_parameters` takes.

    >>> Estimated("backend.servers", 8.0, 8.0, float("inf")).high  # at least 8
    inf
    """

    name: str
    value: float
    low: float
    high: float
    std: float | None = None  #: its standard error, if there is one


CORRELATION = Range(-1.0, 1.0)


@record
class Correlated(NamedTuple):
    """Two estimates that err together (above 0) or against each other (below 0).

    >>> Correlated("service.mean", "network.mean", -0.9).value
    -0.9
    """

    first: str
    second: str
    value: float  #: the correlation of their errors


@record
class ScenarioFile(NamedTuple):
    r"""All that stands in a scenario's file.

    >>> from tpssim import SCENARIOS
    >>> fitted = ScenarioFile(SCENARIOS["healthy"], Provenance("calls.csv", digest="ab12"))
    >>> print(fitted.to_toml().rpartition("\n\n")[2])
    [provenance]
    recording = "calls.csv"
    digest = "ab12"
    <BLANKLINE>
    """

    scenario: Scenario
    provenance: Provenance | None = None  #: None: written by hand
    estimates: tuple[Estimated, ...] = ()
    correlations: tuple[Correlated, ...] = ()

    def to_toml(self, path: str | Path | None = None) -> str:
        """As `Scenario.to_toml`, with what is known of its origin."""
        text = self.scenario.to_toml()
        owner = f"scenario {self.scenario.name}"
        if self.provenance is not None:
            text += "\n[provenance]\n" + toml(self.provenance, owner)
        if self.estimates:
            text += "\n# Each estimate with the interval in which it is, and its standard error.\n"
        for estimate in self.estimates:
            numbers = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
            numbers |= {} if estimate.std is None else {"std": estimate.std}
            text += f"\n[estimates.{quoted(estimate.name, owner)}]\n"
            text += "".join(f"{name} = {exact(number)}\n" for name, number in numbers.items())
        for first, pairs in itertools.groupby(self.correlations, lambda each: each.first):
            text += f"\n[correlations.{quoted(first, owner)}]\n"
            text += "".join(
                f"{quoted(each.second, owner)} = {exact(each.value)}\n" for each in pairs
            )
        return written(text, path)


def read_scenario(path: str | Path) -> Scenario:
    """The scenario of a TOML file, by hand or by `Scenario.to_toml`; raises `InputError`, which
    names line and field.

    The names are those of `Scenario` and its parts; what is left out is as by default. A part of
    several kinds (`service`, `network`, `cost`, `consumer`, a disturbance) says which: `kind =
    "lognormal"`. The name of the file is that of the scenario where it has none.

    >>> import tempfile
    >>> from tpssim import SCENARIOS
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = SCENARIOS["knee"].to_toml(f"{folder}/mine.toml")
    ...     read_scenario(f"{folder}/mine.toml") == SCENARIOS["knee"]
    True
    """
    return read_scenario_file(path).scenario


def read_scenario_file(
    path: str | Path, implied: Mapping[str, float | Stages] = MappingProxyType({})
) -> ScenarioFile:
    """As `read_scenario`, with what the file says of its origin; raises `InputError`.

    `implied`: the target and the duration that hold where the file and its load say neither.
    """
    text = _text(path)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said, _, place = str(error).removesuffix(")").partition(" (at ")
        line, _, _ = place.partition(",")
        where = f", {line}" if line.startswith("line") else ""
        raise InputError(f"{path}{where}: this is no TOML: {said}; allowed: name = value") from None
    tables = Tables(path, text)
    extra = {name: table.pop(name) for name in ORIGIN if name in table}
    scenario = _scenario(tables, table, implied)
    provenance = None
    if "provenance" in extra:
        provenance = tables.part(Provenance, extra["provenance"], ("provenance",))
    found = []
    for name, given in tables.table(extra.get("estimates", {}), ("estimates",)).items():
        here = ("estimates", name)
        named = {**tables.table(given, here), "name": name}
        found.append(tables.part(Estimated, named, here))
    correlated = _correlated(tables, extra.get("correlations", {}), [each.name for each in found])
    return ScenarioFile(scenario, provenance, tuple(found), correlated)


def _correlated(tables: Tables, table: Any, names: list[str]) -> tuple[Correlated, ...]:
    """Those of the estimates with these names."""
    found = []
    for first, others in tables.table(table, ("correlations",)).items():
        for second, value in tables.table(others, ("correlations", first)).items():
            place = ("correlations", first, second)
            for name in (first, second):
                if name not in names:
                    raise no_such("estimate", name, names, f"{tables.at(place)}: correlations: ")
            found.append(Correlated(first, second, tables.number(value, CORRELATION, place)))
    return tuple(found)


def file_of_scenario(path: str | Path, scenario: Scenario) -> ScenarioFile:
    """What a file says of its origin, with its scenario as it became under parameters or a load;
    raises `InputError`.
    """
    implied = {"target": scenario.target, "duration": scenario.duration}
    return read_scenario_file(path, implied)._replace(scenario=scenario)


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}; allowed: a TOML file of a scenario"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is no text in UTF-8; allowed: a TOML file") from None


def _scenario(
    tables: Tables, table: dict[str, Any], implied: Mapping[str, float | Stages]
) -> Scenario:
    """The scenario of a table; target and duration may follow from its load, or are implied."""
    values = tables.values(Scenario, table, ())
    values.setdefault("name", Path(tables.path).stem)
    arrivals, target = values.get("arrivals"), values.get("target")
    if arrivals is not None:
        values.setdefault("target", mean_rate(arrivals))
        values.setdefault("duration", until(arrivals))
    if isinstance(target, Stages):
        values.setdefault("duration", target.duration)
    values = {**implied, **values}
    scenario = tables.made(Scenario, values, ())
    for number, disturbance in enumerate(scenario.disturbances):
        place = ("disturbances", number)
        with tables.saying(place):
            checked_disturbance(disturbance, scenario.duration, shown(place))
    try:
        return checked_scenario(scenario)
    except InputError as error:  # fields that do not go together
        said = str(error).removeprefix(f"scenario {scenario.name}: ")
        raise InputError(f"{tables.beside(said)}: {said}") from None
