"""A results folder as it was written; raises `InputError` for anything else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tpssim.artefacts import MARK, verb_of
from tpssim.core import InputError

#: What a verb says of its run; `calibrate` alone calls it otherwise.
SUMMARIES = ("summary.json", "timer.json")


class Result(NamedTuple):
    """What a folder holds: its summary, what made it, and by which verb."""

    folder: Path
    verb: str
    summary: Mapping[str, Any]
    run: Mapping[str, Any]

    def definitions(self) -> Mapping[str, Mapping[str, str]]:
        """Unit and definition of every measure by name, where the summary has them."""
        found = self.summary.get("metrics")
        if not isinstance(found, Mapping):
            return {}
        told = {k: v for k, v in found.items() if isinstance(v, Mapping)}
        return told if all("definition" in v for v in told.values()) else {}


def read_result(folder: Path) -> Result:
    """The results in a folder."""
    allowed = "allowed: a folder that compare, sweep, live or another verb of tpssim wrote"
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "is not there"
        raise InputError(f"results {str(folder)!r}: {what}; {allowed}")
    if not (folder / MARK).is_file():
        raise InputError(f"results {str(folder)!r}: there is no {MARK} in it; {allowed}")
    run = _object(folder / MARK)
    if not isinstance(run.get("tpssim"), str) or not isinstance(run.get("command"), str):
        raise InputError(f"results {str(folder)!r}: its {MARK} is another program's; {allowed}")
    path = next((folder / name for name in SUMMARIES if (folder / name).is_file()), None)
    if path is None:
        raise InputError(f"results {str(folder)!r}: there is no {SUMMARIES[0]} in it; {allowed}")
    summary = _object(path)
    made = str(summary.get("command", run["command"]))
    verb = "league" if "--league" in made.split() else verb_of(made) or "results"
    return Result(folder, verb, summary, run)


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{str(path)!r} cannot be read as JSON: {error}".splitlines()[0]) from error
    if not isinstance(found, dict):
        raise InputError(f"{str(path)!r} holds no JSON object; allowed: a file that tpssim wrote")
    return found
