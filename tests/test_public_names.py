"""The public names: one map, which type checkers see as it is."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tpssim

SOURCE = Path(tpssim.__file__)

USER = """
import tpssim
from tpssim import CONTROLLERS, Backend, Lognormal, Observation, Pool, Scenario, Step
from tpssim import capped, simulate

plant = Scenario("mine", Lognormal(0.02, 0.5), 50.0, 20.0, Pool(4.0), (Step(5.0, 10.0, 2.0),))
plant = plant._replace(backend=Backend(servers=2.0), late=capped(3))
rates: list[float] = simulate(plant, CONTROLLERS["aimd"]()).rate.tolist()
for item in tpssim.throttle(["a", "b"], tps=10.0, late=tpssim.AUTO):
    item.upper()
"""


def test_every_public_name_is_there() -> None:
    for name in tpssim.__all__:
        assert getattr(tpssim, name) is not None
    assert dir(tpssim) == sorted(tpssim.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(tpssim, "nothing")  # noqa: B009  # a type checker knows that it is not there


def test_what_a_type_checker_reads_is_what_is_loaded() -> None:
    (hidden,) = (
        node
        for node in ast.parse(SOURCE.read_text(encoding="utf-8")).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    seen = {
        alias.asname: (node.module or "").removeprefix("tpssim.")
        for node in hidden.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == tpssim._MODULES


def checked(code: str, folder: Path) -> list[str]:
    """What mypy, strict, says of a user's file: its errors."""
    path = folder / "mine.py"
    path.write_text(code, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        f"--cache-dir={folder}",
        str(path),
    ]
    done = subprocess.run(
        command, cwd=SOURCE.parent.parent, capture_output=True, text=True, check=False
    )
    return [line.partition("error: ")[2] for line in done.stdout.splitlines() if "mine.py" in line]


def test_a_user_s_file_is_checked(tmp_path: Path) -> None:
    wrong = "tpssim.nothing_there\nScenario(5)\n"
    found = checked(USER + wrong, tmp_path)
    assert found[0] == 'Module has no attribute "nothing_there"  [attr-defined]'
    # The other two: an argument of another type, and some that are missing.
    assert len(found) == 3, found
