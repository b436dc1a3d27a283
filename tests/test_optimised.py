"""`python -OO` drops assertions and docstrings, which may not change a byte of what is written."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

from helpers import ROOT

PACKAGE = ROOT / "tpssim"
FEW = ["--replications", "2", "--workers", "1"]
SHORT = ["blocking-steady:duration=4", "healthy:duration=2"]

#: Each verb with something short to do; `OUT` is the folder of the run before it. Few laws: each is
#: compiled.
COMMANDS = [
    ["--help"],
    *([verb, "--help"] for verb in ("compare", "live", "list", "serve", "tune")),
    ["list"],
    ["list", "--json"],
    ["list", "controllers", "aimd"],
    ["list", "controllers", "printed-aimd"],
    ["list", "scenarios", "pool-degrade"],
    # A limit does not act on the first scenario: who plays there must not depend on a docstring.
    ["compare", "--league", "--scenarios", *SHORT, "--controllers", "fixed", "netflix-vegas", *FEW],
    [
        "compare",
        "--scenarios",
        SHORT[1],
        "--controllers",
        "netflix-vegas",
        "printed-schedule",
        *FEW,
    ],
    ["report", "OUT"],
    ["simulate", SHORT[1], "netflix-vegas"],
    [
        "sweep",
        "--scenario",
        SHORT[1],
        "--controller",
        "netflix-vegas",
        "--grid",
        "initial=4,20",
        *FEW,
    ],
    [
        "tune",
        "netflix-vegas",
        "--scenarios",
        SHORT[1],
        "--parameters",
        "initial",
        "--budget",
        "16",
        *FEW,
    ],
    ["analyse", "netflix-vegas", "--scenario", "blocking-steady:duration=20", *FEW[:2]],
    ["validate", "--cases", "Lindley"],
    ["compare", "--scenarios", "nowhere"],
]

#: Runs them in one process, so that the libraries are imported once.
DRIVER = f"""
import runpy, sys
from pathlib import Path
from tpssim.cli.main import main

for number, words in enumerate({COMMANDS!r}):
    words = [f"out-{{number - 1}}" if word == "OUT" else word for word in words]
    silent = words[0] in ("list", "report") or "--help" in words
    out = [] if silent else ["--out", f"out-{{number}}"]
    print("$", *words, flush=True)
    try:
        print("exit", main([*words, *out]), flush=True)
    except SystemExit as end:
        print("exit", end.code, flush=True)
sys.argv = ["record_sqlite", "--help"]
try:
    runpy.run_module("tpssim.scenarios.recordings.record_sqlite", run_name="__main__")
except SystemExit as end:
    print("exit", end.code)
"""


#: When something was made and how long it took.
TIMES = re.compile(
    rb'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|"seconds": [0-9.e-]+| in [0-9.]+'
    rb" s\n|<dt>seconds</dt><dd>[^<]*"
)


def ran(folder: Path, *flags: str) -> dict[str, bytes]:
    """What the commands print and write, by name."""
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, *flags, "-c", DRIVER],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    files = {
        str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()
    }
    return {
        name: TIMES.sub(b"", content) for name, content in {"stdout": done.stdout, **files}.items()
    }


def test_without_assertions_and_docstrings_every_byte_is_the_same(tmp_path: Path) -> None:
    plain = ran(tmp_path / "plain")
    assert plain["stdout"].count(b"exit 0") == len(COMMANDS)  # all but the last, and the recorder
    assert plain["stdout"].count(b"exit 2") == 1
    found = ran(tmp_path / "optimised", "-OO")  # which drops what `-O` drops as well
    assert found["stdout"].decode() == plain["stdout"].decode()
    assert found.keys() == plain.keys()
    different = [name for name in plain if found[name] != plain[name]]
    assert not different


def test_nothing_in_the_package_reads_prose_or_source() -> None:
    """No docstring, comment or source text is looked up at run time, but by the fingerprint of
    code.
    """
    read = {"__doc__", "getdoc", "getsource", "getsourcelines", "getcomments", "cleandoc"}
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
            if name in read and path.name != "fingerprint.py":
                found.add((path.name, name))
    # The text of a law is an attribute; it is only freed of its indentation.
    # The report writes the docstrings of its fields, from their meanings.
    assert found == {("catalogue.py", "cleandoc"), ("report.py", "__doc__")}
