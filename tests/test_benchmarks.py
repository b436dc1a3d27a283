"""The gate runs every benchmark in its smallest form; a script that makes data runs too."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT

from tpssim import trace_scenario

BENCHMARKS = sorted((ROOT / "benchmarks").glob("[!_]*.py"))


def test_the_gate_runs_all_of_them() -> None:
    assert len(BENCHMARKS) >= 5
    gate = (ROOT / ".ci/run").read_text(encoding="utf-8")
    loop = r"^ *for benchmark in benchmarks/\[!_\]\*\.py; do\n((?:.*\n)*?) *done$"
    body = re.search(loop, gate, re.MULTILINE)
    assert body is not None
    assert "timeout 1800 python $benchmark --smoke" in body[1]
    each = r"""'echo "check: \{\}"; \{\} \|\| \{ echo "FAILED: \{\}"; exit 1; \}'"""
    assert re.search(rf"^beside \| .*xargs -P 2 -I \{{\}} bash -c {each} >", gate, re.MULTILINE)
    assert "set -euo pipefail" in gate, "one that fails ends the gate"
    end = r'wait "\$checking" && right=yes \|\| right=no\ncat .*\ngrep .*\n\[ "\$right" = yes \]\n$'
    assert re.search(end, gate), "so does one beside the tests"


def options_of(path: Path) -> set[str]:
    """The options that a script says it takes."""
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".add_argument")
    ]
    return {ast.literal_eval(call.args[0]) for call in calls}


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_each_has_a_smoke_mode(path: Path) -> None:
    """The gate runs each so; one that ignored the option would run for hours there."""
    assert "--smoke" in options_of(path)


def test_the_script_that_made_the_recording_still_makes_one(tmp_path: Path) -> None:
    """Few commits, in a temporary folder: what it writes is read back as a scenario of as many
    calls.
    """
    out = tmp_path / "commits.csv"
    script = ROOT / "tpssim" / "scenarios" / "recordings" / "record_sqlite.py"
    words = ["--calls", "40", "--neighbour", "--directory", str(tmp_path), "--out", str(out)]
    done = subprocess.run(
        [sys.executable, script, *words], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("n 40 ")
    recorded = trace_scenario(out, column="service_s", unit="s")
    assert "40 recorded service times" in recorded.summary
    assert recorded.service.mean > 0.0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["EMPTY"], "; allowed: a folder that holds a tpssim"),
        ([], "OTHER is 'missing'; allowed: a folder that holds a tpssim"),
        ([".", "--rounds", "1"], "--rounds 1; allowed: at least 2"),
        ([".", "--only", "nonsense"], "--only 'nonsense'; allowed: compiled, blocking, "),
    ],
)
def test_another_tree_is_one_and_the_tasks_are_known(
    words: list[str], said: str, tmp_path: Path
) -> None:
    words = [str(tmp_path) if word == "EMPTY" else word for word in words]
    script = ROOT / "benchmarks" / "before_after.py"
    done = subprocess.run(
        [sys.executable, script, *words], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_each_process_works_with_the_tree_that_it_was_given(tmp_path: Path) -> None:
    """A folder without a tpssim would find the one that is installed, and time that."""
    script = ROOT / "benchmarks" / "before_after.py"
    argv = [sys.executable, str(script), str(tmp_path), "--work", "0.02"]
    done = subprocess.run(argv, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
                          capture_output=True, text=True, input="")  # fmt: skip
    assert done.returncode == 1
    assert "AssertionError" in done.stderr
