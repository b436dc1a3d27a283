"""What there is, for `tpssim list`: read from the dicts, the records and their annotations."""

from __future__ import annotations

import functools
import inspect
import itertools
import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from tpssim.controllers import CONTROLLERS
from tpssim.controllers.article import PRINTED, TWINS
from tpssim.core.errors import InputError, all_of, no_such
from tpssim.core.pacer import Pacer
from tpssim.core.profiles import Stages
from tpssim.core.validation import meanings, ranges
from tpssim.experiments.sweep.studies import STUDIES
from tpssim.output.tables import Column, Table, Value, filled
from tpssim.scenarios.builtin import SCENARIOS
from tpssim.scenarios.capacity import capacity, stretches
from tpssim.scenarios.scenario import Scenario, parts_of
from tpssim.simulation.resolve import file_of, scenario_named

MOST_SHOWN = 20  # letters of a default in a table
LONGEST_NAME = 40  # characters that a name may have before it gets a line of its own
#: What there is, and what one of it is called.
SINGULAR = {
    "controllers": "controller",
    "scenarios": "scenario",
    "metrics": "measure",
    "studies": "study",
}


def _parameter(record: Any, field: str, default: float | Stages) -> dict[str, Any]:
    allowed = ranges(record)[field]
    # JSON has neither inf nor stages.
    plain = not isinstance(default, Stages) and math.isfinite(default)
    value = default if plain else str(default)
    meaning = meanings(record if isinstance(record, type) else type(record))[field]
    return {"default": value, "allowed": str(allowed), "unit": allowed.unit, "meaning": meaning}


def _shown(default: float | str) -> str:
    """A default in a table; of stages that are longer than a column what they are, in a word.

    >>> _shown(0.5), _shown("inf"), _shown("30s:100,30s:0"), _shown("0s:60,15s:60,1s:600,9s:600")
    ('0.5', 'inf', '30s:100,30s:0', 'stages')
    """
    if isinstance(default, str):
        return default if len(default) <= MOST_SHOWN else "stages"
    return f"{default:g}"


def absolute(law: Any) -> dict[str, str]:
    """The parameters whose default is so many seconds or so many a second, whatever the service, by
    unit.

    >>> absolute(CONTROLLERS["netflix-aimd"])["timeout"], absolute(CONTROLLERS["headroom"])
    ('s', {})
    """
    units = {field: allowed.unit for field, allowed in ranges(law).items()}
    times = {
        field: unit
        for field, unit in units.items()
        if unit.split()[:1] in (["s"], ["1/s"], ["1/s^4"])
    }
    return {field: unit for field, unit in times.items() if law._field_defaults[field] > 0.0}


def _about(throttle: Any) -> dict[str, Any]:
    """What `described` says of a law or a printed throttle."""
    text = inspect.cleandoc(throttle.description)
    return {
        "summary": " ".join(text.partition("\n\n")[0].split()),
        "actuator": " or ".join(throttle.actuators),
        "signal": throttle.signals,
        "origin": throttle.origin,
        "year": throttle.year,
        "law": text,
    }


@functools.cache
def _reasons(law: Any) -> list[str]:
    """What a law says of its last changes (its `why`): forty callers of a service of four servers,
    which takes 20 ms a call, from the tenth second on 200 ms, and from the fifteenth on drops most
    of them.
    """
    step, steps = 0.005, 4000
    half = [0.5] * steps  # more draws than there are calls and windows
    record = law()
    pacer = Pacer(record, 150.0, 0.0, half, half)
    # (completed, latency, lag, in flight then)
    flying: deque[tuple[float, float, float, float]] = deque()
    free = deque([0.0] * 4)  # when the servers are
    reasons, before = [], pacer.state
    for k in range(steps):
        now = k * step
        while pacer.look_at <= now:
            pacer.look(pacer.look_at)
        if flying and flying[0][0] <= now:
            completed, latency, lag, among = flying.popleft()
            drop = 1.0 if now >= 15.0 and pacer.seen % 4 != 0 else 0.0
            pacer.settled(completed, latency, lag, drop, drop, among)
        elif len(flying) < 40 and pacer.due() <= now:
            lag = now - pacer.deadline
            if pacer.release(now):
                completed = max(free.popleft(), now) + (0.02 if now < 10.0 else 0.2)
                free.append(completed)
                flying.append((completed, completed - now, lag, float(pacer.flying)))
            else:
                pacer.refused(now)
        if pacer.state[:3] != before[:3] and pacer.observation is not None:
            reasons.append(record.why(before, pacer.observation, pacer.state))
        before = pacer.state
    return list(dict.fromkeys(reasons))


def _controllers() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, law in CONTROLLERS.items():
        defaults: dict[str, float] = law._field_defaults
        parameters = {field: _parameter(law, field, defaults[field]) for field in ranges(law)}
        found[name] = {**_about(law), "parameters": parameters, "says": _reasons(law)[-2:]}
        found[name]["absolute"] = absolute(law)
    for name, throttle in PRINTED.items():
        twin = f" Equals {TWINS[name]} to the bit on the ideal timer." if name in TWINS else ""
        about = _about(throttle)
        found[name] = {**about, "law": about["law"] + twin, "parameters": {}}
    return found


def _scenarios() -> dict[str, Any]:
    return {name: _scenario(scenario) for name, scenario in SCENARIOS.items()}


def _scenario(scenario: Scenario) -> dict[str, Any]:
    """A scenario with its parameters and what it can take."""
    parameters = {
        field: _parameter(scenario, field, getattr(scenario, field)) for field in ranges(scenario)
    }
    for part, record in parts_of(scenario).items():
        for field in ranges(record):
            # A name that an earlier part has too must be qualified.
            known = f"{part}.{field}" if field in parameters else field
            parameters[known] = _parameter(record, field, getattr(record, field))
    capacities = [
        {"start": start, "end": end, "capacity": capacity(scenario, start)}
        for start, end in stretches(scenario)
    ]
    kinds = f"consumer: {scenario.consumer}\nservice: {type(scenario.service).__name__}"
    lines = [f"  {b['start']:g}-{b['end']:g} s: {b['capacity']:.4g}/s" for b in capacities]
    return {
        "summary": scenario.summary,
        "law": "\n".join([scenario.summary, "", kinds, "capacity:", *lines]),
        "parameters": parameters,
        "capacity": capacities,
    }


def _metrics() -> dict[str, Any]:
    from tpssim.metrics.measure import METRICS

    return {
        name: {
            "summary": metric.definition,
            "unit": metric.unit,
            "source": metric.source,
            "better": metric.better,
        }
        for name, metric in METRICS.items()
    }


def _studies() -> dict[str, Any]:
    return {
        name: {
            "summary": study.summary,
            "law": (
                f"{study.summary}\n\nscenario: {study.scenario}\ncontroller: {study.controller}\n"
                f"grid: {' '.join(study.grid)}\nreplications: {study.replications}"
            ),
        }
        for name, study in STUDIES.items()
    }


def asked(kind: str | None, name: str | None) -> tuple[str | None, str | None]:
    """Kind and name of a command line, on which a name that one kind has may stand alone; raises
    `InputError`.

    >>> asked("headroom", None), asked("controllers", None)
    (('controllers', 'headroom'), ('controllers', None))
    """
    from tpssim.metrics.measure import METRICS

    if kind is None or kind in SINGULAR:
        return kind, name
    if name is not None:
        raise no_such("kind", kind, SINGULAR)
    if file_of(kind):
        return "scenarios", kind
    names: dict[str, Iterable[str]] = {
        "controllers": [*CONTROLLERS, *PRINTED],
        "scenarios": SCENARIOS,
        "metrics": METRICS,
        "studies": STUDIES,
    }
    found = [each for each, known in names.items() if kind in known]
    if len(found) > 1:
        words = " or ".join(f"list {each} {kind}" for each in found)
        raise InputError(f"{kind!r} is one of {' and of '.join(found)}; allowed: {words}")
    if not found:
        known = [*SINGULAR, *itertools.chain(*names.values())]
        allowed = f"{', '.join(SINGULAR)}, or a name of theirs"
        raise no_such("kind or name", kind, known, shown=allowed)
    return found[0], kind


def entries(kind: str | None, name: str | None) -> dict[str, Any]:
    """The entries of one kind (or of all), or one entry, by name, of a scenario also its file;
    raises `InputError`.
    """
    if kind == "scenarios" and name is not None and file_of(name):
        return {kind: {name: _scenario(scenario_named(name))}}
    makers = {
        "controllers": _controllers,
        "scenarios": _scenarios,
        "metrics": _metrics,
        "studies": _studies,
    }
    found = {k: makers[k]() for k in SINGULAR if kind in (None, k)}
    if name is None:
        return found
    (known,) = found.values()
    if name not in known:
        raise no_such(SINGULAR[str(kind)], name, known, shown=all_of(str(kind)))
    return {str(kind): {name: known[name]}}


def text(document: Mapping[str, Any], name: str | None) -> str:
    """The entries for people, 80 columns wide: a line each, or one in full."""
    if name is not None:
        ((entry,),) = (tuple(known.values()) for known in document.values())
        return _full(name, entry)
    parts = []
    for kind, known in document.items():
        parts.append(_table(kind, known).text())
        if kind == "metrics":
            parts.append("\n".join(_terms()))
    return "\n\n".join(parts)


def _table(kind: str, known: Mapping[str, Any]) -> Table:
    """A row for each entry of a kind."""
    units = kind == "metrics"
    columns = [Column(SINGULAR[kind], left=True), *([Column("unit", left=True)] if units else [])]
    rows: list[list[Value]] = []
    for name, entry in known.items():
        about = [entry["summary"]]
        if "actuator" in entry:
            about.append(f"commands: {entry['actuator']}; sees: {entry['signal']}")
            about.append(f"from: {entry['origin']}, {entry['year']}")
        if entry.get("absolute"):
            about.append(f"not scale free: {', '.join(entry['absolute'])}")
        rows.append([name, *([entry["unit"]] if units else []), "\n".join(about)])
    columns.append(Column("what it is", left=True, fills=True))
    return Table(f"{kind}:", columns, rows, label=LONGEST_NAME)


def _terms() -> list[str]:
    """The words of the definitions of measures."""
    from tpssim.metrics.measure import TERMS

    return [
        "in these words:",
        *(filled(f"  {term}: {said}", further="    ") for term, said in TERMS.items()),
    ]


def _reflowed(text: str) -> str:
    """A description in lines that fit: paragraphs filled, formulas (indented) alone, code as it
    is.

    >>> _reflowed("One\\ntwo::\\n\\n    a = b")
    'One two::\\n\\n    a = b'
    """
    parts = []
    for part in text.split("\n\n"):
        lines = part.splitlines()
        if lines and not part.startswith(">>>") and not any(line.startswith(" ") for line in lines):
            parts.append(filled(" ".join(lines)))
        elif part.startswith(">>>"):
            parts.append(part)
        else:
            parts.append("\n".join(_fitted(line) for line in lines))
    return "\n\n".join(parts)


def _fitted(line: str) -> str:
    indent = len(line) - len(line.lstrip())
    return filled(line.strip(), " " * indent, " " * (indent + 4))


def _full(name: str, entry: Mapping[str, Any]) -> str:
    lines = [name, "", _reflowed(entry.get("law", entry["summary"]))]
    if "actuator" in entry:
        lines += ["", f"commands: {entry['actuator']}", f"sees: {entry['signal']}"]
        lines.append(filled(f"from: {entry['origin']}, {entry['year']}", further="  "))
    if "source" in entry:
        lines = [name, "", filled(entry["summary"])]
        better = f"{entry['better']} is" if entry["better"] else "neither more nor less is, as such"
        lines += [
            f"unit: {entry['unit']}",
            f"better: {better}",
            filled(f"source: {entry['source']}", further="  "),
        ]
        lines += ["", *_terms()]
    if entry.get("absolute"):
        fixed = ", ".join(f"{field} ({unit})" for field, unit in entry["absolute"].items())
        lines += [
            "",
            filled(
                f"not scale free: {fixed} are absolute; fit them to the time of a call", "", "  "
            ),
        ]
    if entry.get("says"):
        lines += ["", "says of its last change, as in the panel of live:"]
        lines += [filled(said, "  ", "    ") for said in entry["says"]]
    if entry.get("parameters"):
        lines += ["", "parameters:", _parameters(entry["parameters"]).text()]
    return "\n".join(lines)


def _parameters(known: Mapping[str, Mapping[str, Any]]) -> Table:
    """A row for each parameter."""
    columns = [
        Column("name", left=True),
        Column("default"),
        Column("allowed", left=True),
        Column("meaning", left=True, fills=True),
    ]
    rows: list[list[Value]] = [
        [name, _shown(about["default"]), about["allowed"], about["meaning"]]
        for name, about in known.items()
    ]
    return Table("", columns, rows, label=LONGEST_NAME)
