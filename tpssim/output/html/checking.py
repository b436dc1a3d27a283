"""Whether a summary is of its shape, and whether its parts go together; in one line what does
not.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Union

from tpssim.core.validation import Range
from tpssim.metrics.measure import METRICS
from tpssim.output.html.shapes import Interval, Sensitivity
from tpssim.output.meanings import MEANINGS

MOST = 1e300  # what is drawn is scaled, and must not overflow
WORDS = {
    float: "a number",
    int: "a whole number",
    str: "text",
    bool: "true or false",
    type(None): "null",
}


SAID = (
    "released",
    "seconds",
    "ok",
    "errors",
    "rate",
    "commanded",
    "target",
)  # of a live run, in its first lines


def wrong(value: Any, shape: Any, path: str) -> str:
    """What in a value is not of its shape: the path, what is there, what is allowed; "" if nothing
    is.

    >>> from tpssim.output.html.shapes import Verdict
    >>> wrong({"word": "stuck", "reason": 3}, Verdict, "verdict")
    'verdict > reason is 3; allowed: text'
    """
    origin, inner = typing.get_origin(shape), typing.get_args(shape)
    if shape is Any:
        return ""
    if origin is Annotated:
        outside = wrong(value, inner[0], path)
        return outside or ("" if inner[1].holds(value) else _says(path, value, str(inner[1])))
    if origin in (Union, types.UnionType):
        fits = any(not wrong(value, arm, path) for arm in inner)
        return "" if fits else _says(path, value, " or ".join(WORDS[arm] for arm in inner))
    if origin is dict or typing.is_typeddict(shape):
        if not isinstance(value, Mapping):
            return _says(path, value, "an object")
        fields = (
            typing.get_type_hints(shape, include_extras=True)
            if origin is None
            else dict.fromkeys(value, inner[-1])
        )
        for name, of in fields.items():
            here = f"{path} > {name}" if path else name
            if name not in value:
                return f"{here} is missing; allowed: {_named(of)}"
            if found := wrong(value[name], of, here):
                return found
        return ""
    if origin is list:
        if not isinstance(value, list):
            return _says(path, value, "a list")
        each = (wrong(item, inner[0], f"{path} > {i}") for i, item in enumerate(value))
        return next((found for found in each if found), "")
    number = isinstance(value, int) and shape is float
    fits = (isinstance(value, shape) or number) and (shape is bool or not isinstance(value, bool))
    if fits and shape is float and abs(value) > MOST:
        return _says(path, value, f"a number of at most {MOST:g}")
    return "" if fits else _says(path, value, WORDS[shape])


def unlike(verb: str, summary: Mapping[str, Any]) -> str:
    """What in a summary of the right shape does not go together; "" if nothing."""
    checks = {
        "sweep": _of_sweep,
        "simulate": _of_run,
        "league": _of_league,
        "tune": _of_search,
        "live": _of_live,
    }
    check = (checks | {"replay": _of_replay}).get(verb)
    return "" if check is None else next((found for found in check(summary) if found), "")


def _of_sweep(summary: Mapping[str, Any]) -> Iterator[str]:
    yield from (_empty(summary, name) for name in ("points", "factors"))
    measures = [f"{name}{end}" for name in summary["metrics"] for end in ("", "_low", "_high")]
    for i, point in enumerate(summary["points"]):
        shapes = dict.fromkeys(summary["factors"], float | str) | dict.fromkeys(
            measures, float | None
        )
        yield from (_field(point, name, shape, f"points > {i}") for name, shape in shapes.items())
        for name in summary["metrics"]:
            yield from _counts(point, name, summary["replications"], f"points > {i}")
    for i, curve in enumerate(summary["curves"]):
        yield _length(curve["y"], len(curve["x"]), f"curves > {i} > y")


def _counts(point: Mapping[str, Any], name: str, runs: int, where: str) -> Iterator[str]:
    """How many runs have a measure, and in how many it never happens; earlier versions wrote
    neither.
    """
    names = [count for count in (f"{name}_n", f"{name}_never") if count in point]
    yield from (_field(point, count, Annotated[int, Range(0, runs)], where) for count in names)
    if sum(point[count] for count in names) > runs:
        yield (
            f"{where} > {' and '.join(names)} are more than the runs; allowed: together at most"
            f" {runs}"
        )


def _of_run(summary: Mapping[str, Any]) -> Iterator[str]:
    """Earlier versions did not write what never happened."""
    if "never" in summary:
        yield wrong(summary["never"], list[str], "never")
        yield from (_known(name, "never") for name in summary["never"])


def _of_league(summary: Mapping[str, Any]) -> Iterator[str]:
    yield from (_empty(summary, name) for name in ("standings", "held_out"))
    for i, cell in enumerate(summary["cells"]):
        yield from (_field(cell, name, float | None, f"cells > {i}") for name in summary["parts"])


def _of_live(summary: Mapping[str, Any]) -> Iterator[str]:
    report = summary["report"]
    for name in ("verdict", *SAID, *report):
        yield _field(report, name, str if name == "verdict" else float | None, "report")


def _of_replay(summary: Mapping[str, Any]) -> Iterator[str]:
    report = summary["report"]  # empty, if the run was cut off
    yield from (_field(report, name, float | None, "report") for name in report if name in MEANINGS)


def _of_search(summary: Mapping[str, Any]) -> Iterator[str]:
    yield from (
        _empty(summary, name) for name in ("scenarios", "objectives", "searched", "finalists")
    )
    aims, axes = len(summary["objectives"]), len(summary["searched"])
    yield from (
        _length(summary[name], aims, name) for name in ("default", "tuned", "gain", "judgements")
    )
    for i, one in enumerate(summary["finalists"]):
        lengths = ("parameters", axes), ("search", aims if one["search"] else 0), ("fresh", aims)
        yield from (_length(one[name], n, f"finalists > {i} > {name}") for name, n in lengths)
    for which in ("worse", "better"):
        for i, change in enumerate(summary[which]):
            yield _known(change["measure"], f"{which} > {i} > measure")
            yield _length(change["never"], 2, f"{which} > {i} > never")
    for i, outcome in enumerate(summary["scenario_outcomes"]):
        for which in ("default", "tuned"):
            where = f"scenario_outcomes > {i} > {which} > measures"
            measures = outcome[which]["measures"]
            yield from (_field(measures, name, Interval, where) for name in METRICS)
            yield from (_known(name, where) for name in measures)
    if "sensitivity" in summary:
        yield wrong(summary["sensitivity"], Sensitivity, "sensitivity")


def _field(record: Mapping[str, Any], name: str, shape: Any, where: str) -> str:
    here = f"{where} > {name}"
    return (
        wrong(record[name], shape, here)
        if name in record
        else f"{here} is missing; allowed: {_named(shape)}"
    )


def _empty(summary: Mapping[str, Any], name: str) -> str:
    return "" if summary[name] else f"{name} is empty; allowed: at least one"


def _length(value: Any, n: int, where: str) -> str:
    return (
        "" if len(value) == n else f"{where} has {len(value)} entries; allowed: {n}, as beside it"
    )


def _known(measure: str, where: str) -> str:
    return (
        ""
        if measure in METRICS
        else f"{where} names {measure!r:.40}; allowed: {', '.join(METRICS)}"
    )


def _named(shape: Any) -> str:
    if typing.get_origin(shape) in (Union, types.UnionType):
        return " or ".join(_named(arm) for arm in typing.get_args(shape))
    return WORDS.get(shape, "a list" if typing.get_origin(shape) is list else "an object")


def _says(path: str, value: Any, allowed: str) -> str:
    if isinstance(value, list | Mapping):
        shown = f"a list of {len(value)}" if isinstance(value, list) else "an object"
    else:
        shown = "null" if value is None else repr(value)[:40]
    return f"{path} is {shown}; allowed: {allowed}"
