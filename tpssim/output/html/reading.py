"""A results folder as it was written; raises `InputError` for anything else."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tpssim.core.errors import InputError
from tpssim.core.types import VERSION, record
from tpssim.output.html.checking import unlike, wrong
from tpssim.output.html.shapes import SHAPES
from tpssim.output.results_dir import MARK, recover, through_links, verb_of

#: What a verb says of its run; `calibrate` alone calls it otherwise.
SUMMARIES = ("summary.json", "timer.json")
DEEPEST = 40  # levels of objects and lists; what tpssim writes has a dozen


@record
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
    """The results in a folder; every number in them is one, and what a page reads of them is
    there.
    """
    allowed = "allowed: a folder that compare, sweep, live or another verb of tpssim wrote"
    with contextlib.suppress(OSError):
        recover(through_links(folder))
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
    if verb not in SHAPES:
        return Result(folder, verb, summary, run)
    if found := wrong(summary, SHAPES[verb], "") or unlike(verb, summary):
        raise damaged(path, found, run["tpssim"])
    return Result(folder, verb, _Known.of(summary, path, run["tpssim"]), run)


def damaged(path: Path, what: str, version: str) -> InputError:
    """The error for a file of ours that is not as we write it."""
    by = (
        ""
        if version == VERSION
        else f" (written by tpssim {version}, this is {VERSION}: run it again)"
    )
    return InputError(f"{str(path)!r}: {what}{by}")


class _Known(dict[str, Any]):
    """An object of a summary; a name that it lacks is an error that says where it was looked
    for.
    """

    where = ""
    path = Path()
    version = ""

    @classmethod
    def of(cls, value: Any, path: Path, version: str, where: str = "") -> Any:
        """The value with every object in it known."""
        if isinstance(value, list):
            return [cls.of(item, path, version, f"{where}{i} > ") for i, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        known = cls(
            (name, cls.of(v, path, version, f"{where}{name} > ")) for name, v in value.items()
        )
        known.where, known.path, known.version = where, path, version
        return known

    def __missing__(self, name: str) -> Any:
        raise damaged(
            self.path, f"{self.where}{name} is missing; allowed: as tpssim writes it", self.version
        )


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{str(path)!r} cannot be read as JSON: {error}".splitlines()[0]
        ) from error
    except RecursionError as error:
        raise InputError(
            f"{str(path)!r} is nested too deeply; allowed: {DEEPEST} levels"
        ) from error
    if not isinstance(found, dict):
        raise InputError(f"{str(path)!r} holds no JSON object; allowed: a file that tpssim wrote")
    if what := _unsound(found):
        raise InputError(f"{str(path)!r}: {what}")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _unsound(document: Any) -> str:
    """A number that no float holds, or what is nested too deeply; "" if there is none."""
    left = [("", document, 0)]
    while left:
        where, value, depth = left.pop()
        if depth > DEEPEST:
            return f"{where[:60]}... is nested too deeply; allowed: {DEEPEST} levels"
        if isinstance(value, dict | list):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            left += [
                (f"{where} > {name}" if where else str(name), inner, depth + 1)
                for name, inner in items
            ]
        elif isinstance(value, int | float) and not abs(value) <= sys.float_info.max:
            return f"{where} is {str(value)[:20]}; allowed: a number that a float holds"
    return ""
