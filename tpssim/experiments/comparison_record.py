"""A comparison as plain data: what stands in its record of a scenario, and of a throttle there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tpssim.core.profiles import Stages
from tpssim.experiments.cells import Cell
from tpssim.experiments.comparison_tables import DRAWN
from tpssim.output.records import comparisons as parts
from tpssim.output.records.parts import interval
from tpssim.output.results_dir import plain
from tpssim.scenarios.load import after_end, peak
from tpssim.scenarios.scenario import Scenario


def scenario_part(
    scenario: Scenario, variant_of: str, cells: Mapping[str, Cell]
) -> parts.ScenarioPart:
    """A scenario with what each throttle did on it."""
    found: parts.ScenarioPart = {
        "summary": scenario.summary,
        "target": peak(scenario),
        "duration": scenario.duration,
        "consumer": _json(scenario.consumer),
        "backend": _json(scenario.backend),
        "timeout": plain(scenario.timeout),
        "retry": _json(scenario.retry),
        "late": str(scenario.late),
        "variant_of": variant_of,
        "poisson": scenario.poisson,
        "producers": [_json(producer) for producer in scenario.producers],
        "disturbances": [_json(disturbance) for disturbance in scenario.disturbances],
        "tick": scenario.tick,
        "grid": scenario.grid,
        "service": _json(scenario.service),
        "timer": scenario.timer._asdict(),
        "spin_threshold": scenario.spin_threshold,
        "throttles": {label: _cell_part(cell, scenario) for label, cell in cells.items()},
    }
    if DRAWN.search(scenario.name):
        found["drawn_from"] = DRAWN.sub("", scenario.name)
    if isinstance(scenario.target, Stages):
        found["stages"] = str(scenario.target)
    if scenario.arrivals is not None:
        found["arrivals"] = len(scenario.arrivals)
        if late := after_end(scenario):
            found["arrivals_after_end"] = late
    if scenario.quotas:
        found["quotas"] = [_json(quota) for quota in scenario.quotas]
    if scenario.network is not None:
        found["network"] = _json(scenario.network)
    if scenario.cost is not None:
        found["cost"] = _json(scenario.cost)
    if scenario.feedback is not None:
        found["feedback"] = _json(scenario.feedback)
    return found


def _cell_part(cell: Cell, scenario: Scenario) -> parts.Cell:
    word, share = cell.verdict()
    return {
        "controller": cell.controller,
        "parameters": dict(cell.parameters),
        "verdict": {
            "word": word,
            "share": share,
            "reason": cell.reason(),
            "remark": cell.remark(scenario),
            "replications": [run.verdict.word for run in cell.runs],
        },
        "calls": [run.calls for run in cell.runs],
        "metrics": {name: interval(found) for name, found in cell.estimates().items()},
        "phases": cell.phase_estimates(),
    }


def _json(record: Any) -> dict[str, Any]:
    """A record of numbers by name; inf, which JSON does not have, becomes null; a recording its
    mean.
    """
    found: dict[str, Any] = {"kind": type(record).__name__}
    for name, value in record._asdict().items():
        if isinstance(value, Stages):
            found[name] = str(value)
        elif isinstance(value, float | int):
            found[name] = plain(float(value))
        elif isinstance(value, str):
            found[name] = value
        elif hasattr(value, "_asdict"):
            found[name] = _json(value)
        elif value and isinstance(value, tuple) and hasattr(value[0], "_asdict"):
            found[name] = [_json(part) for part in value]
    return found | ({"mean": record.mean} if hasattr(record, "mean") else {})
