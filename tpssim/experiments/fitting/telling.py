"""A fit in words, as a record, and as a file; `result` is a `FitResult`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from tpssim.core.types import VERSION
from tpssim.experiments.fitting.estimates import Estimate
from tpssim.experiments.fitting.held_out import Check
from tpssim.output import fit_words, records, tables
from tpssim.output.fit_words import in_words, meaning, quota_in_words
from tpssim.output.format import number
from tpssim.output.records.fits import Checked, Fitted, FittedQuota
from tpssim.output.results_dir import plain
from tpssim.output.tables import Column, Table
from tpssim.scenarios.files import Estimated, Provenance, ScenarioFile
from tpssim.scenarios.scenario import Scenario


def table(result: Any) -> str:
    """What the recording says, in plain words: estimates, what is not known, what changed."""
    columns = [
        Column("", left=True),
        Column("estimate", digits=None),
        Column("unit", left=True),
        Column("95 % interval", left=True),
    ]
    named = {"plateau": result.plateau, **result.estimates}
    rows: list[list[Any]] = []
    for name, estimate in named.items():
        words, unit, scale = meaning(name)
        found = _fitted(estimate)
        rows.append([words, fit_words.estimate(found, scale), unit, in_words(found, scale)])
    lines = [f"{result.line()}\n", Table("", columns, rows, label=32).text()]
    quotas = map(quota_in_words, quotas_of(result))
    lines += [tables.filled(f"- {text}", further="  ") for text in quotas]
    for change in result.changes:
        text = f"from {number(change.time)} s on it takes {number(change.factor)} times as long"
        lines.append(tables.filled(f"- {text}", further="  "))
    if result.unidentified:
        lines.append("\nNot known from this recording:")
    for missing in result.unidentified:
        lines.append(
            tables.filled(f"- {missing.name}: {missing.because}; this would tell:", further="  ")
        )
        lines.append(_command(missing.experiment))
    return "\n".join(lines)


def _command(text: str) -> str:
    """A command that can be copied, broken where it is too long for the screen."""
    if len(text) <= 76:
        return f"    {text}"
    begin, _, end = text.rpartition(" --")
    return f"    {begin} \\\n      --{end}"


def quotas_of(result: Any) -> list[FittedQuota]:
    """Each quota with its intervals, as plain data."""
    found = () if result.limits is None else result.limits.quotas
    return [
        {
            "amount": _fitted(each.amount),
            "per": _fitted(each.per._replace(value=each.quota.per)),
            "of": each.quota.of,
            "window": each.quota.window,
            "counts_refused": bool(each.quota.counts_refused),
            "retry_after": bool(each.quota.retry_after),
        }
        for each in found
    ]


def file_of(result: Any, command: str = "", checked: Check | None = None) -> ScenarioFile:
    """The twin as a scenario's file, with where it comes from, how sure it is, and what is wrong
    with it where it was checked and does not hold.
    """
    source = result.recording.source
    wrong = checked is not None and not checked.holds
    fault = checked.line() if checked is not None and wrong else ""
    origin = Provenance(source.path, source.digest, command, VERSION, result.seed, fault)
    named = {**result.estimates, "plateau": result.plateau}
    scenario = result.scenario
    if checked is not None and wrong:
        where = "what was held out" if checked.apart else "what it was fitted to"
        name = Path(source.path).name or "a recording"
        scenario = scenario._replace(summary=f"fitted to {name}; it does not hold on {where}")
    return ScenarioFile(
        scenario,
        origin,
        tuple(Estimated(name, *estimate) for name, estimate in named.items()),
        tuple(one for one in result.correlations if {one.first, one.second} <= named.keys()),
    )


def record_of(result: Any, checked: Check, command: str = "") -> records.FitRecord:
    """All of it as plain data."""
    source = result.recording.source
    return records.FitRecord(
        command=command,
        recording={
            "path": source.path,
            "format": source.format,
            "digest": source.digest,
            "rows": source.rows,
            "unreadable": source.unreadable,
            "first_unreadable": source.first_unreadable,
            "notes": list(source.notes),
        },
        calls=len(result.recording),
        seed=result.seed,
        holdout=result.holdout,
        said=result.line(),
        structure=result.structure,
        distribution=result.kind,
        scenario=plain(plant_of(result.scenario)),
        plateau=_fitted(result.plateau),
        estimates={name: _fitted(estimate) for name, estimate in result.estimates.items()},
        quotas=quotas_of(result),
        unidentified=[
            {"name": one.name, "because": one.because, "experiment": one.experiment}
            for one in result.unidentified
        ],
        changes=[{"time": one.time, "factor": one.factor} for one in result.changes],
        check=checked_in_full(checked),
        toml=file_of(result, command, checked).to_toml(),
    )


def plant_of(scenario: Scenario) -> dict[str, Any]:
    """The parts of a service, each as its numbers by name."""
    parts: dict[str, Any] = {
        "service": scenario.service,
        "backend": scenario.backend,
        "network": scenario.network,
    }
    found: dict[str, Any] = {"name": scenario.name, "timeout": scenario.timeout}
    for name, part in parts.items():
        if part is not None:
            numbers = {k: v for k, v in part._asdict().items() if isinstance(v, float | str)}
            found[name] = {"kind": type(part).__name__, **numbers}
    return found


def _fitted(estimate: Estimate) -> Fitted:
    value, low, high = (x if math.isfinite(x) else None for x in estimate)
    return {"value": value, "low": low, "high": high}


def checked_in_full(checked: Check) -> Checked:
    """The check of a twin as plain data."""

    def known(x: float) -> float | None:
        return x if math.isfinite(x) else None

    return {
        "holds": checked.holds,
        "said": checked.line(),
        "misses": list(checked.misses),
        "runs": checked.runs,
        "since": checked.since,
        "calls": checked.calls,
        "apart": checked.apart,
        "rows": [
            {
                "name": row.name,
                "unit": row.unit,
                "recorded": known(row.recorded),
                "simulated": known(row.simulated),
                "low": known(row.low),
                "high": known(row.high),
                "allowed": known(row.allowed),
                "holds": bool(row.holds),
            }
            for row in checked.rows
        ],
    }
