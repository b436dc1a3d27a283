"""A results folder as it was written; raises `InputError` for anything else."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from tpssim.core.errors import InputError
from tpssim.core.types import record
from tpssim.output.records import Record, from_dict
from tpssim.output.results_dir import MARK, recover, through_links

#: What a verb says of its run; `calibrate` alone calls it otherwise.
SUMMARIES = ("summary.json", "timer.json")
DEEPEST = 40  # levels of objects and lists; what tpssim writes has a dozen


RecordT = TypeVar("RecordT", bound=Record, covariant=True)


@record
class Result(NamedTuple, Generic[RecordT]):
    """What a folder holds: the record of its results, and what made it."""

    folder: Path
    record: RecordT
    run: Mapping[str, Any]


def read_result(folder: Path) -> Result[Record]:
    """The results in a folder; every number in them is one, and what their kind says is there."""
    allowed = "allowed: a folder that compare, sweep, live or another verb of tpssim wrote"
    with contextlib.suppress(OSError):
        recover(through_links(folder))
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "is not there"
        also = "; `replay` makes one of a recording" if folder.exists() else ""
        raise InputError(f"results {str(folder)!r}: {what}; {allowed}{also}")
    if not (folder / MARK).is_file():
        raise InputError(f"results {str(folder)!r}: there is no {MARK} in it; {allowed}")
    run = _object(folder / MARK)
    if not isinstance(run.get("tpssim"), str) or not isinstance(run.get("command"), str):
        raise InputError(f"results {str(folder)!r}: its {MARK} is another program's; {allowed}")
    path = next((folder / name for name in SUMMARIES if (folder / name).is_file()), None)
    if path is None:
        raise InputError(f"results {str(folder)!r}: there is no {SUMMARIES[0]} in it; {allowed}")
    document = _object(path)
    try:
        return Result(folder, from_dict(document), run)
    except InputError as error:
        raise InputError(f"{str(path)!r}: {error}") from error


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
