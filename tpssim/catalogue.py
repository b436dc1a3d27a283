"""What there is, for `tpssim list`: read from the dicts, the records and their docstrings."""

from __future__ import annotations

import ast
import functools
import inspect
import math
import re
import textwrap
from collections import deque
from collections.abc import Mapping
from typing import Any

from tpssim.article import PRINTED, TWINS
from tpssim.controllers import CONTROLLERS, facts
from tpssim.core import no_such, ranges
from tpssim.scenario import PARTS, capacity, phases
from tpssim.scenarios import SCENARIOS
from tpssim.sweeping.studies import STUDIES
from tpssim.tables import filled
from tpssim.throttling import Pacer

#: What there is, and what one of it is called.
SINGULAR = {"controllers": "controller", "scenarios": "scenario", "metrics": "measure", "studies": "study"}


def _first_line(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]


@functools.cache
def meanings(record: type) -> dict[str, str]:
    """What each field of a record is, from the `#:` comment beside or above it in the source.

    >>> from tpssim.services import Lognormal
    >>> meanings(Lognormal)["mean"]
    'expected service time'
    """
    lines = textwrap.dedent(inspect.getsource(record)).splitlines()
    (definition,) = ast.parse("\n".join(lines)).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for node in definition.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            beside = lines[(node.end_lineno or node.lineno) - 1].partition("#:")[2]
            above = lines[node.lineno - 2].strip()
            told = beside or (above[2:] if above.startswith("#:") else "")
            found[node.target.id] = told.strip()
    return found


def _meaning(record: type, field: str) -> str:
    """The comment of a field; of a law without one, the formula or clause of its docstring that names it."""
    if told := meanings(record)[field]:
        return told
    parts: list[str] = []
    for paragraph in (inspect.getdoc(record) or "").split("\n\n"):
        lines = [" ".join(line.split()) for line in paragraph.splitlines()]
        parts += lines if paragraph.startswith(" ") else re.split(r"(?<=[.;:]) ", " ".join(lines))
    return next((part.rstrip(".;:") for part in parts if re.search(rf"\b{field}\b", part)), "")


def _parameter(record: Any, field: str, default: float) -> dict[str, Any]:
    allowed = ranges(record)[field]
    # JSON has no inf.
    value = default if math.isfinite(default) else str(default)
    meaning = _meaning(record if isinstance(record, type) else type(record), field)
    return {"default": value, "allowed": str(allowed), "unit": allowed.unit, "meaning": meaning}


def _reasons(law: Any) -> list[str]:
    """What a law says of its last changes (its `why`): forty callers of a service of four servers, which
    takes 20 ms a call, from the tenth second on 200 ms, and from the fifteenth on drops most of them.
    """
    step, steps = 0.005, 4000
    half = [0.5] * steps  # more draws than there are calls and windows
    record = law()
    pacer = Pacer(record, 150.0, 0.0, half, half)
    flying: deque[tuple[float, float, float, float]] = deque()  # (completed, latency, lag, in flight then)
    free = deque([0.0] * 4)  # when the servers are
    told, before = [], pacer.state
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
            told.append(record.why(before, pacer.observation, pacer.state))
        before = pacer.state
    return list(dict.fromkeys(told))


def _controllers() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, law in CONTROLLERS.items():
        defaults: dict[str, float] = law._field_defaults
        parameters = {field: _parameter(law, field, defaults[field]) for field in ranges(law)}
        found[name] = {
            "summary": _first_line(law),
            **facts(law)._asdict(),
            "law": inspect.getdoc(law),
            "parameters": parameters,
            "says": _reasons(law)[-2:],
        }
    for name, throttle in PRINTED.items():
        twin = f" Equals {TWINS[name]} to the bit on the ideal timer." if name in TWINS else ""
        found[name] = {
            "summary": _first_line(throttle),
            "valve": "rate",
            "signal": "time between two returns" if name in ("printed-aimd", "printed-ewma") else "none",
            "origin": "the article, as printed",
            "law": _first_line(throttle) + twin,
            "parameters": {},
        }
    return found


def _scenarios() -> dict[str, Any]:
    found = {}
    for name, scenario in SCENARIOS.items():
        parameters = {
            field: _parameter(scenario, field, getattr(scenario, field)) for field in ranges(scenario)
        }
        for part in PARTS:
            record = getattr(scenario, part)
            for field in ranges(record):
                # A name that an earlier part has too must be qualified.
                known = f"{part}.{field}" if field in parameters else field
                parameters[known] = _parameter(record, field, getattr(record, field))
        bears = [
            {"start": start, "end": end, "capacity": capacity(scenario, start)}
            for start, end in phases(scenario)
        ]
        kinds = f"consumer: {scenario.consumer}\nservice: {type(scenario.service).__name__}"
        stretches = [f"  {b['start']:g}-{b['end']:g} s: {b['capacity']:.4g}/s" for b in bears]
        law = "\n".join([scenario.summary, "", kinds, "capacity:", *stretches])
        found[name] = {"summary": scenario.summary, "law": law, "parameters": parameters, "capacity": bears}
    return found


def _metrics() -> dict[str, Any]:
    from tpssim.metrics import METRICS

    return {
        name: {"summary": metric.definition, "unit": metric.unit, "source": metric.source}
        for name, metric in METRICS.items()
    }


def _studies() -> dict[str, Any]:
    return {
        name: {
            "summary": study.summary,
            "law": f"{study.summary}\n\nscenario: {study.scenario}\ncontroller: {study.controller}\n"
            f"grid: {' '.join(study.grid)}\nreplications: {study.replications}",
        }
        for name, study in STUDIES.items()
    }


def entries(kind: str | None, name: str | None) -> dict[str, Any]:
    """The entries of one kind (or of all), or one entry, by name; raises `InputError`."""
    makers = {"controllers": _controllers, "scenarios": _scenarios, "metrics": _metrics, "studies": _studies}
    found = {k: makers[k]() for k in SINGULAR if kind in (None, k)}
    if name is None:
        return found
    (known,) = found.values()
    if name not in known:
        raise no_such(SINGULAR[str(kind)], name, known)
    return {str(kind): {name: known[name]}}


def text(document: Mapping[str, Any], name: str | None) -> str:
    """The entries for people, 100 columns wide: a line each, or one in full."""
    if name is not None:
        ((entry,),) = (tuple(known.values()) for known in document.values())
        return _full(name, entry)
    parts = []
    for kind, known in document.items():
        width = max(len(key) for key in known)
        lines = [f"{kind}:"]
        for key, entry in known.items():
            unit = f" [{entry['unit']}]" if "unit" in entry else ""
            indent = " " * (width + 4)
            valve = f"{entry['valve'].upper()}  " if "valve" in entry else ""
            told = [f"  {key:{width}}  {valve}{entry['summary']}{unit}"]
            if valve:
                told.append(f"{indent}sees: {entry['signal']}; from: {entry['origin']}")
            lines += [filled(line, further=indent) for line in told]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _full(name: str, entry: Mapping[str, Any]) -> str:
    lines = [name, "", entry.get("law", entry["summary"])]
    if "source" in entry:
        lines += [f"unit: {entry['unit']}", f"source: {entry['source']}"]
    if entry.get("says"):
        lines += ["", "says of its last change, as in the panel of live:"]
        lines += [filled(said, "  ", "    ") for said in entry["says"]]
    if entry.get("parameters"):
        lines += ["", "parameters:"]
        allowed = max(len(about["allowed"]) for about in entry["parameters"].values())
        for field, about in entry["parameters"].items():
            numbers = f"  {field:16}{float(about['default']):>10g}  {about['allowed']:{allowed}}  "
            told = filled(about["meaning"], numbers, " " * len(numbers))
            lines.append(told or numbers.rstrip())
    return "\n".join(lines)
