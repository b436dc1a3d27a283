"""Which points a sweep visits: full grids and space-filling samples over parameters of law and
scenario.

A factor is named like a parameter: `alpha`, `spin_threshold`, `backend.servers`; a name that both
the law and the scenario have is qualified, `controller.NAME` or `scenario.NAME`. So is, in all that
is written, one that a column of the table has too. Two factors take words: `timer`, the name of a
timer model, and `late`, a late policy.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tpssim.core.errors import InputError
from tpssim.core.schedule import late_policy
from tpssim.core.timer_models import TIMERS
from tpssim.core.types import record
from tpssim.core.validation import MOST_POINTS, Range, check_size, ranges, replaced
from tpssim.metrics.measure import METRICS
from tpssim.scenarios.scenario import Scenario, parameter_range, with_parameters

Value = float | str
Point = tuple[Value, ...]
DESIGNS = ("grid", "sobol", "lhs")
SEED_SETS = ("common", "independent")
WORDY = ("timer", "late")
#: What the table of a sweep has beside its factors, whose names these therefore cannot be.
COLUMNS = {"replications", "calls", "verdict", "verdict_share", "failure", *METRICS}
COLUMNS |= {f"{name}_{end}" for name in METRICS for end in ("low", "high", "n", "never")}


@record
class Factor(NamedTuple):
    """One swept parameter: what it is called, whose it is, and its values (or, for a sample, its
    bounds).
    """

    name: str
    owner: str  #: "controller" or "scenario"
    field: str
    values: tuple[Value, ...]
    unit: str
    log: bool


def factors(scenario: Scenario, law: Any, grid: Mapping[str, Iterable[Value]]) -> list[Factor]:
    """The factors of a grid, checked; raises `InputError` for a name or a value that does not
    exist.
    """
    form = "such as {'alpha': [0.1, 0.2]}"
    if not isinstance(grid, Mapping) or not all(isinstance(name, str) for name in grid):
        raise InputError(f"grid={grid!r} does not say values by name; allowed: {form}")
    if not grid:
        raise InputError(f"the grid has no factor; allowed: {form}")
    found = [_factor(scenario, law, name, values) for name, values in grid.items()]
    for factor in found:
        if [(other.owner, other.field) for other in found].count((factor.owner, factor.field)) > 1:
            raise InputError(
                f"grid: {factor.field} of the {factor.owner} is given twice; allowed: once"
            )
    return found


def _factor(scenario: Scenario, law: Any, name: str, given: Iterable[Value]) -> Factor:
    owner, dot, field = name.partition(".")
    if not dot or owner not in ("controller", "scenario"):
        owner, field = "", name
    of_law = ranges(law).get(field) if owner != "scenario" else None
    of_scenario = parameter_range(scenario, field) if owner != "controller" else None
    if field in WORDY and owner != "controller":
        return Factor(name, "scenario", field, _words(name, field, given), "", False)
    if of_law is not None and of_scenario is not None:
        raise InputError(
            f"grid: {name!r} is a parameter of the controller and of the scenario; "
            f"allowed: controller.{field}, scenario.{field}"
        )
    allowed = of_law or of_scenario
    if allowed is None:
        known = ", ".join(ranges(law)) or "none"
        raise InputError(
            f"grid: there is no parameter {name!r}; allowed: the controller's ({known}), "
            "the scenario's (python -m tpssim list scenarios NAME), timer, late"
        )
    values = _numbers(name, given, allowed)
    whose = "controller" if of_law else "scenario"
    shown = f"{whose}.{name}" if name in COLUMNS else name
    return Factor(shown, whose, field, values, allowed.unit, allowed.log)


def _listed(name: str, given: Iterable[Value]) -> list[Any]:
    if not isinstance(given, str | float | int | Iterable):
        raise InputError(
            f"grid: {name}={given!r} are no values; allowed: a number, a word, or some of them"
        )
    one = isinstance(given, str | float | int)
    values: list[Any] = [given] if one else list(itertools.islice(given, MOST_POINTS + 1))
    if not values:
        raise InputError(f"grid: {name} has no value; allowed: at least one")
    _check_points(len(values))
    for value, n in Counter(v for v in values if isinstance(v, Hashable)).items():
        if n > 1:
            raise InputError(f"grid: {name}={value} is given twice; allowed: once")
    return values


def _numbers(name: str, given: Iterable[Value], allowed: Range) -> tuple[Value, ...]:
    found = []
    for value in _listed(name, given):
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if isinstance(value, str | bool) or not allowed.holds(number):
            raise InputError(f"grid: {name}={value} is out of range; allowed: {allowed}")
        found.append(number)
    return tuple(found)


def _words(name: str, field: str, given: Iterable[Value]) -> tuple[Value, ...]:
    words = [str(value) for value in _listed(name, given)]
    for word in words:
        if field == "late":
            late_policy(word)
        elif word not in TIMERS:
            raise InputError(f"grid: {name}={word} is no timer model; allowed: {', '.join(TIMERS)}")
    return tuple(words)


def points(found: Sequence[Factor], design: str, number: int | None, seed: int) -> list[Point]:
    """The points of a design, in order: every combination, or `number` points that fill the space
    evenly.

    `sobol` (scrambled) and `lhs` (Latin hypercube) lie between the least and the largest value of
    each factor, on a logarithmic scale where the parameter's range says so. Equal seeds give equal
    points.
    """
    if design not in DESIGNS:
        raise InputError(f"there is no design {design!r}; allowed: {', '.join(DESIGNS)}")
    if design == "grid":
        if number is not None:
            raise InputError(
                f"points={number} with a full grid; allowed: with the designs sobol and lhs"
            )
        _check_points(math.prod(len(factor.values) for factor in found))
        return list(itertools.product(*(factor.values for factor in found)))
    if number is None or number < 1:
        raise InputError(f"points={number} with the design {design}; allowed: a whole number >= 1")
    _check_points(number)
    bounds = []
    for factor in found:
        ends = [value for value in factor.values if isinstance(value, float)]
        if len(ends) < 2 or math.inf in ends:
            raise InputError(
                f"grid: {factor.name} with the design {design}; allowed: two finite numbers"
            )
        low, high = min(ends), max(ends)
        scale = math.log if factor.log and low > 0.0 else float
        bounds.append((scale(low), scale(high), scale is math.log))
    from scipy.stats import qmc  # half a second to import

    sampler: Any
    if design == "sobol":
        sampler = qmc.Sobol(len(found), rng=seed)
        unit = sampler.random_base2(max(0, math.ceil(math.log2(number))))[:number]
    else:
        sampler = qmc.LatinHypercube(len(found), rng=seed)
        unit = sampler.random(number)
    columns = []
    for column, (low, high, log) in zip(unit.T, bounds, strict=True):
        values = low + (high - low) * column
        columns.append((np.exp(values) if log else values).tolist())
    return list(zip(*columns, strict=True))


def _check_points(number: int) -> None:
    check_size("points of a sweep", number, MOST_POINTS, "20 kB of memory")


def at(scenario: Scenario, law: Any, found: Sequence[Factor], point: Point) -> tuple[Scenario, Any]:
    """Scenario and law at one point; raises `InputError` where numbers do not go together."""
    own: dict[str, float] = {}
    plant: dict[str, float] = {}
    for factor, value in zip(found, point, strict=True):
        if isinstance(value, str):
            thing: Any = TIMERS[value] if factor.field == "timer" else late_policy(value)
            scenario = scenario._replace(**{factor.field: thing})
        else:
            (own if factor.owner == "controller" else plant)[factor.field] = value
    law = replaced(law, type(law).__name__, own) if own else law
    return with_parameters(scenario, plant) if plant else scenario, law


def seed_of(seed: int, seed_set: str, point: Point) -> int:
    """The seed of a point: the sweep's own, or with `independent` seed sets one that the point
    decides.
    """
    if seed_set == "common":
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed} {point!r}".encode()).digest()[:6])


def parse_axis(text: str) -> tuple[str, list[Value]]:
    """`NAME=LOW:HIGH:N`, `NAME=LOW:HIGH:N:log`, `NAME=LOW:HIGH` or `NAME=A,B,C` as a name and its
    values.

    >>> parse_axis("alpha=0.1:0.5:5")
    ('alpha', [0.1, 0.2, 0.3, 0.4, 0.5])
    >>> parse_axis("timer=linux,windows")
    ('timer', ['linux', 'windows'])
    """
    name, equals, rest = text.partition("=")
    form = "write NAME=LOW:HIGH:N, NAME=LOW:HIGH:N:log or NAME=A,B,C"
    if not equals or not name or not rest:
        raise InputError(f"grid {text!r} names no values; {form}")
    if ":" not in rest:
        return name, [_number_or_word(part) for part in rest.split(",")]
    parts = rest.split(":")
    log = parts[-1] == "log"
    try:
        low, high = float(parts[0]), float(parts[1])
        n = 2 if len(parts) == 2 else int(parts[2])
        fits = len(parts) == (4 if log else min(len(parts), 3)) and n >= 2
    except (ValueError, IndexError):
        raise InputError(f"grid {text!r}: {rest!r} is no range; {form}") from None
    if not fits or not low < high or (log and low <= 0.0):
        raise InputError(
            f"grid {text!r}: {rest!r} is no range; allowed: LOW < HIGH, N >= 2, log above 0"
        )
    _check_points(n)
    values = np.geomspace(low, high, n) if log else np.linspace(low, high, n)
    # Twelve digits: 0.3 rather than 0.30000000000000004.
    return name, [float(f"{value:.12g}") for value in values]


def _number_or_word(text: str) -> Value:
    try:
        return float(text)
    except ValueError:
        return text.strip()
