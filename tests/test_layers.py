"""What is imported when: nothing outside the standard library before it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT

from tpssim.cli.commands import VERBS


def loaded_by(statement: str) -> set[str]:
    found = "sorted({name.partition('.')[0] for name in sys.modules})"
    code = f"import sys\n{statement}\nprint(*{found})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import tpssim",
        "import tpssim.controllers, tpssim.core.clocks, tpssim.controllers.article",
        "import tpssim.cli.main",
    ],
)
def test_importing_loads_only_the_standard_library(statement: str) -> None:
    bare = loaded_by("pass")
    foreign = loaded_by(statement) - bare - set(sys.stdlib_module_names) - {"tpssim"}
    assert foreign == set()


def test_the_law_of_the_live_throttle_needs_no_numpy() -> None:
    law = "law = tpssim.CONTROLLERS['aimd']()"
    update = "law.update(law.init(1.0), tpssim.Observation(0, 1, 0, 0))"
    assert "numpy" not in loaded_by(f"import tpssim\n{law}\n{update}")


RUNS = {
    "throttle": "for _ in tpssim.throttle(range(20), 1000.0, controller='aimd', record=file): pass",
    "run": "tpssim.run(abs, range(20), tps=1000.0, workers=2, controller='headroom', record=file)",
    "athrottle": (
        "import asyncio\n"
        "async def main():\n"
        "    law = 'ewma-deadzone'\n"
        "    async for _ in tpssim.athrottle(range(20), 1e3, controller=law, record=file): pass\n"
        "asyncio.run(main())"
    ),
}


@pytest.mark.parametrize("way", list(RUNS))
def test_running_the_live_throttle_loads_only_the_standard_library(
    way: str, tmp_path: Path
) -> None:
    statement = f"import tpssim\nfile = {str(tmp_path / 'run.ndjson')!r}\n{RUNS[way]}"
    foreign = loaded_by(statement) - loaded_by("pass") - set(sys.stdlib_module_names) - {"tpssim"}
    assert foreign == set()
    assert (tmp_path / "run.ndjson").read_text(encoding="utf-8").count('"e": "release"') == 20


def test_help_imports_no_verb_and_a_verb_no_other() -> None:
    def modules(words: list[str]) -> set[str]:
        code = f"""
import sys
from tpssim.cli.main import main
try:
    main({words!r})
except SystemExit:
    pass
print(*sys.modules, file=sys.stderr)
"""
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        return set(done.stderr.split())

    verbs = {f"tpssim.cli.commands.{verb.module}" for verb in VERBS.values()}
    bare = modules(["--help"])
    assert not verbs & bare
    assert not {"asyncio", "numpy", "tpssim.controllers"} & bare
    assert verbs & modules(["serve", "--help"]) == {"tpssim.cli.commands.serve"}


def test_the_way_of_a_call_is_still_as_the_picture_has_it(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "docs/packages.py"), str(tmp_path / "packages.png")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "packages.png").stat().st_size > 10_000
