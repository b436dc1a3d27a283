"""The two speeds of the tests, and their groups: what is left out in daily work is there, and what
lives by the clock is never beside its like.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SHARING, SLOW, group_of
from helpers import ROOT


@pytest.mark.parametrize("entry", [*SLOW, *SHARING])
def test_what_is_listed_as_slow_is_a_test(entry: str) -> None:
    """A test that was renamed would come back into the daily run."""
    file, _, name = entry.partition("::")
    text = (Path(__file__).parent / file).read_text(encoding="utf-8")
    assert re.search(rf"^def {name.rstrip('[')}", text, re.M)


def test_groups() -> None:
    assert group_of("live/test_retries.py::test_bad_policies[a-b]") == (0, "clock")
    assert group_of("test_goldens.py::test_what_users_see[sweep]") == (1, "test_goldens.py")
    known = "experiments/test_tune.py::test_a_known_optimum_is_found"
    assert group_of(known) == (2, known)
    assert group_of("core/test_window.py::test_any") == (3, "core/test_window.py")


def test_one_process_runs_all_that_live_by_the_clock() -> None:
    """With the pytest and pytest-xdist that are there: `loadgroup` ceased to do so silently."""
    files = ["tests/live/test_retries.py", "tests/live/test_retry_after.py"]
    command = [sys.executable, "-m", "pytest", "-vv", *files, "-k", "draws or budget or answer"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert all(f"{file}::" in done.stdout for file in files)
    ran = re.findall(r"^\[(gw\d)\] .* PASSED ", done.stdout, re.M)
    assert len(ran) > 10
    assert len(set(ran)) == 1
