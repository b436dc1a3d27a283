"""What users see, frozen: `python tests/test_goldens.py --write [CASE ...]` writes it again.

A case is some commands, run as a user runs them in an empty folder; `tests/goldens` holds what came
of each: exit codes, lines on the terminal, names of files, JSON, digests of tables. One case is the
traces of both engines. It is a record, not a judgement: other tests say what is right, this one
that nothing has changed unnoticed.

Numbers change in no commit. Wording and schema change on purpose only, in a commit that says so and
holds nothing but that change and the record written again.

What differs from run to run or from machine to machine is masked, by `VOLATILE` and `MASKS`;
pictures and pages are known by name alone. Numbers have nine digits, for the last bits may differ
where a library is another one. Nothing is used but the command line and the public names, so that
modules may move.
"""

from __future__ import annotations

import contextlib
import csv
import difflib
import hashlib
import io
import json
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

import tpssim
from tpssim.cli.main import main

GOLDENS = Path(__file__).parent / "goldens"
SHOWN = 20  # lines of a difference

#: Keys of JSON and columns of tables whose value is another one on another machine, day or version.
VOLATILE = {
    "began",
    "engine",  # without numba nothing is compiled
    "made",
    "numpy",
    "platform",
    "python",
    "seconds",
    "simpy",
    "tpssim",
    "version",
}
#: The same of what is printed. No path is among it: commands name folders relative to where they
#: are run.
MASKS = ((re.compile(r"[\d.]+ MB, in [\d.]+ s$"), "* MB, in * s"),)

FIVE = "--replications 5 --workers 1 --out out"
SHORT = "degrade-recover:duration=20"
CASES: dict[str, tuple[str, ...]] = {
    "simulate": (f"simulate {SHORT} ewma-deadzone --out out",),
    "simulate-json": (
        "simulate pool-degrade:duration=20 headroom --replication 1 --json --out out",
    ),
    "simulate-printed": (f"simulate {SHORT} printed-aimd --seed 3 --out out",),
    "simulate-producers": ("simulate join-leave:duration=50 aimd --out out",),
    "simulate-trace": (
        "simulate --trace calls.csv --unit ms --tps 80 --timer linux headroom --out out",
    ),
    "compare": (
        (
            f"compare --scenarios {SHORT},overload:duration=10 --controllers fixed aimd"
            f" ewma-deadzone headroom printed-aimd --verbose {FIVE}"
        ),
    ),
    "compare-late": (
        (
            "compare --scenarios stall:duration=15 --controllers ewma-deadzone headroom --late"
            " burst,skip --traces all --replications 2 --workers 1 --seed 1 --out out"
        ),
    ),
    "compare-own": (
        (
            "compare --scenarios blocking-steady:duration=10 --controllers fixed --throttle"
            " mine.py:paced --replications 2 --workers 1 --out out"
        ),
    ),
    "compare-league": (
        (
            f"compare --league --scenarios {SHORT} overload:duration=10 healthy:duration=10"
            f" --controllers fixed aimd ewma-deadzone headroom {FIVE}"
        ),
    ),
    "sweep": (f"sweep --scenario {SHORT} --grid alpha=0.1,0.3 deadzone=1.1,1.5 --traces 1 {FIVE}",),
    "sweep-sobol": (
        (
            "sweep --scenario blocking-steady:duration=10 --design sobol --points 4 --grid"
            f" alpha=0.05:0.5 cv=0.2:1 --seed-set independent --plot churn:swing {FIVE}"
        ),
    ),
    "tune": (
        (
            "tune ewma-deadzone --scenarios degrade-recover:duration=12,blocking-steady:duration=10"
            " --parameters alpha,deadzone=1:1.5 --objective 'tracking + 0.1 * churn' --worst"
            " --budget 16 --workers 1 --out out"
        ),
    ),
    "tune-sensitivity": (
        (
            "tune aimd --scenarios degrade-recover:duration=12 --parameters dec_rate,threshold"
            " --budget 16 --sensitivity --workers 1 --out out"
        ),
    ),
    "replay": ("replay run.ndjson --controllers fixed headroom --out out",),
    "analyse": (f"analyse ewma-deadzone --scenario {SHORT} --replications 5 --out out",),
    "validate": (
        (
            "validate --cases ties Lindley 'AIMD sawtooth' Chiu-Jain constant-link fixed-jitter"
            " --out out"
        ),
    ),
    "report": (f"simulate {SHORT} aimd --out out", "report out", "report out -o page.html"),
    "list": (
        "list",
        "list controllers headroom",
        "list scenarios degrade-recover",
        "list metrics churn",
        "list studies alpha-deadzone",
    ),
    "list-json": (
        "list controllers aimd --json",
        "list scenarios spikes --json",
        "list metrics --json",
        "list studies --json",
    ),
    "refused": (
        "",
        "simulate degrade-recover nobody",
        "simulate nowhere aimd",
        "simulate degrade-recover:duration=-1 aimd",
        "simulate degrade-recover aimd:dec_rate=2",
        "compare --replications 0",
        "sweep --grid alpha=1:2",
        "tune aimd --budget 3",
        "replay nothing.ndjson",
        "report nothing",
        "validate --cases nothing",
    ),
    "traces": (),
}
#: Blocking, a pool, a timer, refusals, a recorded service; all that the compiled engine knows.
ARENAS = (
    SHORT,
    "pool-degrade:duration=20",
    "drift:duration=10",
    "refusing:duration=10",
    "sqlite-commits:duration=10",
)
LAWS = ("fixed", "aimd", "ewma-deadzone", "headroom")

MINE = """
import time

def paced(items, tps, total):
    for item in items:
        yield item
        time.sleep(1.0 / tps)
"""


def prepare(name: str) -> None:
    """What the commands of a case are given, in the folder in which they are run."""
    if name == "compare-own":
        Path("mine.py").write_text(MINE, encoding="utf-8")
    if name == "simulate-trace":
        times = [f"{6.0 + 5.0 * (k % 7 == 3) + 0.5 * (k % 4)}" for k in range(300)]
        Path("calls.csv").write_text("\n".join(["latency", *times]), encoding="utf-8")
    if name == "replay":  # 20 s at 100 calls a second of 1 ms each, from 5 s to 10 s of 40 ms
        clock = tpssim.VirtualClock()
        for _ in tpssim.throttle(
            range(10_000), 100.0, clock=clock, controller="ewma-deadzone", record="run.ndjson"
        ):
            now = clock.time()
            if now > 20.0:
                break
            clock.set(now + (0.04 if 5.0 <= now < 10.0 else 0.001))


def tidy(value: Any) -> Any:
    """JSON with nine digits of each number, and without what is volatile."""
    if isinstance(value, dict):
        return {key: "*" if key in VOLATILE else tidy(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [tidy(inner) for inner in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


def digest(cells: Iterable[str | float]) -> str:
    """Of a column, each number with nine digits."""

    def cell(value: str | float) -> str:
        try:
            return f"{float(value):.9g}"
        except ValueError:
            return str(value)

    return hashlib.sha256("\n".join(map(cell, cells)).encode()).hexdigest()


def table(columns: dict[str, list[Any]]) -> dict[str, Any]:
    """Rows, and for each column its name and digest."""
    return {
        "rows": max(map(len, columns.values())),
        "columns": [
            f"{name} {'*' if name in VOLATILE else digest(column)}"
            for name, column in columns.items()
        ],
    }


def content(path: Path) -> Any:
    """What is held of a file; None if it is its name alone."""
    if path.suffix == ".json":
        return tidy(json.loads(path.read_text(encoding="utf-8")))
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        return table({name: [row[i] for row in rows] for i, name in enumerate(header)})
    if path.suffix == ".npz":
        with np.load(path) as archive:
            arrays = {name: archive[name].tolist() for name in archive.files}
        meta = tidy(json.loads(arrays.pop("meta")))
        return {"meta": meta, **table(arrays)}
    return None


def run(words: str) -> dict[str, Any]:
    """A command: what it ends with and prints. Progress on stderr is left out, a refusal is not."""
    out, error = io.StringIO(), io.StringIO()
    wide = mock.patch.dict(os.environ, COLUMNS="80")  # the help
    with wide, contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        code = main(shlex.split(words))
    printed: Any = out.getvalue()
    if "--json" in words:
        printed = tidy(json.loads(printed))
    else:
        printed = printed.splitlines()
        for known, mask in MASKS:
            printed = [known.sub(mask, line) for line in printed]
    refusal = {"stderr": error.getvalue().splitlines()} if code == 2 else {}
    return {"command": words, "exit": code, "stdout": printed, **refusal}


def traces() -> dict[str, Any]:
    """Runs by both engines, which must agree on every bit."""
    found = {}
    for arena in ARENAS:
        for law in LAWS:
            one, other = (
                tpssim.simulate(arena, law, engine=engine) for engine in ("simpy", "compiled")
            )
            columns = one.columns()
            for name, column in columns.items():
                twin = other.columns()[name]
                assert column.dtype == twin.dtype
                assert column.tobytes() == twin.tobytes(), (
                    f"{law} on {arena}: the engines differ in {name}"
                )
            cells = {name: column.tolist() for name, column in columns.items()}
            found[f"{law} on {arena}"] = {"verdict": tpssim.judge(one).word, **table(cells)}
    return found


def record(name: str, folder: Path) -> Any:
    """What a case gives, as JSON; what it writes is in `folder`, which is empty."""
    if name == "traces":
        return traces()
    with contextlib.chdir(folder):
        prepare(name)
        said = [run(words) for words in CASES[name]]
        there = (path for path in Path().rglob("*") if "__pycache__" not in path.parts)
        paths = {path.as_posix(): path for path in there if path.is_file()}
        found = {known: content(path) for known, path in sorted(paths.items())}
    return {
        "commands": said,
        "files": list(found),
        "content": {known: held for known, held in found.items() if held is not None},
    }


def lines(value: Any, where: str = "") -> Iterator[str]:
    """A line for each value, with where it stands; texts in a list have no number, for one may be
    put in.
    """
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from lines(inner, f"{where}{' > ' if where else ''}{key}")
    elif isinstance(value, list) and value:
        for i, inner in enumerate(value):
            yield from lines(inner, f"{where}[{'' if isinstance(inner, str) else i}]")
    else:
        yield f"{where}: {json.dumps(value, ensure_ascii=False)}"


def difference(was: Any, now: Any) -> str:
    """What changed, for people; "" if nothing did."""
    if json.dumps(was) == json.dumps(now):  # the order counts
        return ""
    before, after = list(lines(was)), list(lines(now))
    changes = []
    for kind, a, b, c, d in difflib.SequenceMatcher(
        None, before, after, autojunk=False
    ).get_opcodes():
        if kind == "equal":
            continue
        pairs = min(b - a, d - c)
        for old, new in zip(before[a:b][:pairs], after[c:d][:pairs], strict=True):
            changes += [f"was  {old}", f"is   {new}"]
        changes += [f"was  {old}" for old in before[a:b][pairs:]]
        changes += [f"is   {new}" for new in after[c:d][pairs:]]
    rest = len(changes) - SHOWN
    return "\n".join(changes[:SHOWN] + ([f"... and {rest} lines more"] if rest > 0 else []))


def golden(name: str) -> Path:
    return GOLDENS / f"{name}.json"


@pytest.mark.parametrize("name", CASES)
def test_what_users_see(name: str, tmp_path: Path) -> None:
    if name.startswith("sweep"):
        # else there is no points.parquet
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    was = json.loads(golden(name).read_text(encoding="utf-8"))
    changes = difference(was, record(name, tmp_path))
    if changes:
        pytest.fail(f"{name} is not as in {golden(name).name}:\n{changes}", pytrace=False)


def test_each_record_has_its_case() -> None:
    assert {path.name for path in GOLDENS.iterdir()} == {golden(name).name for name in CASES}


def test_a_difference_is_shown_in_few_lines() -> None:
    was = {"exit": 0, "stdout": ["a", "b"], "cells": [{"swing": 0.5, "n": 5}]}
    assert difference(was, was) == ""
    now = {"exit": 0, "stdout": ["a", "x", "b"], "cells": [{"swing": 0.25, "n": 5}]}
    assert difference(was, now).splitlines() == [
        'is   stdout[]: "x"',
        "was  cells[0] > swing: 0.5",
        "is   cells[0] > swing: 0.25",
    ]
    long = difference({"stdout": ["a"] * 100}, {"stdout": ["b"] * 100}).splitlines()
    assert len(long) == SHOWN + 1
    assert long[-1] == "... and 180 lines more"


def test_what_differs_by_machine_or_in_the_tenth_digit_is_not_held() -> None:
    one = {"python": "3.11.7", "value": 0.1234567891, "n": 5, "none": None}
    other = {"python": "3.14.0", "value": 0.1234567892, "n": 5, "none": None}
    assert tidy(one) == tidy(other) == {"python": "*", "value": 0.123456789, "n": 5, "none": None}
    assert (
        digest(["0.1234567891", "a"])
        == digest(["0.1234567892", "a"])
        != digest(["0.123456788", "a"])
    )


def write(names: Iterable[str]) -> None:
    """Write the records of these cases again, and say what changed."""
    GOLDENS.mkdir(exist_ok=True)
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            now = record(name, Path(folder))
        path = golden(name)
        was = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        changed = difference(was, now) if was else "new"
        print(f"{name}: {changed or 'as it was'}", flush=True)
        path.write_text(json.dumps(now, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for path in GOLDENS.iterdir():
        if path.stem not in CASES:
            path.unlink()
            print(f"{path.stem}: removed, for it is no case")


if __name__ == "__main__":
    mode, *asked = sys.argv[1:] or ["--help"]
    wrong = [name for name in asked if name not in CASES]
    if mode != "--write" or wrong:
        sys.exit(f"python tests/test_goldens.py --write [CASE ...]; cases: {', '.join(CASES)}")
    write(asked or CASES)
