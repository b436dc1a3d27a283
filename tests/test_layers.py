"""The walls: imports point downward, every outside thing has one door, nothing heavy comes early."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "tpssim"

#: Rooms from the ground up. A room may import rooms on lower floors only.
FLOORS = (
    {"core", "provenance", "streams", "workers"},
    {"cells", "meanings", "pictures", "reads", "sensor", "verdict_words"},
    {"fingerprint"},
    {"states"},
    {
        "loading",
        "clock",
        "controllers",
        "locks",
        "server",
        "pacing",
        "plots",
        "recordings",
        "services",
        "signals",
        "statistics",
    },
    {"tables", "disturbances", "plant"},
    {"article", "artefacts", "scenario", "throttling"},
    {"complaints", "vector_ranges"},
    {"scenarios", "theory", "traces"},
    {"live", "reduction", "world"},
    {"callees", "panel"},
    {"serving"},
    {"model"},
    {"compiled"},
    {"metrics", "vector_cases"},
    {"verdicts"},
    {"hosting"},
    {"comparison", "contenders", "report", "yardsticks"},
    {"league"},
    {"experiment", "replays", "validation"},
    {"analysis", "parity", "sweeping", "widgets"},
    {"tuning"},
    {"catalogue"},
    {"verbs"},
    {"cli"},
    {"__main__"},
)
HEIGHT = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}

#: Outside things and the only rooms that may import them.
DOORS = {
    "simpy": {"world", "verbs"},  # verbs reads its version number for the record of a run
    "greenlet": {"hosting"},
    "ipywidgets": {"widgets"},
    "matplotlib": {"plots"},
    "pandas": {"tables"},
    "scipy": {"statistics", "services", "sweeping", "tuning"},
    "optuna": {"tuning"},
    "numba": {"compiled"},
    "distributed": {"verbs"},
    "sqlite3": {"sweeping"},
    "h11": {"server"},
    "urllib3": {"callees"},
    "aiohttp": {"callees", "live/clients"},
    "requests": {"live/clients"},
    "httpx": {"live/clients"},
    "rich": {"panel"},
}


def rooms() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts != ("__init__",) and path.name != "record_sqlite.py":
            yield parts[0], path


def imports(path: Path) -> Iterator[str]:
    """Dotted names imported at run time anywhere in a file; what only a type checker reads is left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are absolute"
            assert node.module is not None
            if node.module == "tpssim":
                yield from (f"tpssim.{alias.name}" for alias in node.names)
            else:
                yield node.module


@pytest.mark.parametrize(("room", "path"), list(rooms()), ids=lambda value: str(value).rpartition("/")[2])
def test_imports_point_downward(room: str, path: Path) -> None:
    for name in imports(path):
        top, _, rest = name.partition(".")
        other = rest.partition(".")[0]
        if top == "tpssim" and other and other != room:
            assert HEIGHT[other] < HEIGHT[room], f"{path.name} imports {name}, which is not below it"


@pytest.mark.parametrize(("room", "path"), list(rooms()), ids=lambda value: str(value).rpartition("/")[2])
def test_outside_things_have_one_door(room: str, path: Path) -> None:
    for name in imports(path):
        top = name.partition(".")[0]
        if top in DOORS:
            folder = path.parent.relative_to(PACKAGE).as_posix()
            assert DOORS[top] & {room, folder}, f"{path.name} imports {top}, whose door is {DOORS[top]}"


def test_every_room_has_a_floor() -> None:
    assert {room for room, _ in rooms()} == set(HEIGHT)


def test_an_upward_import_would_be_seen(tmp_path: Path) -> None:
    bad = tmp_path / "core.py"
    bad.write_text(
        "def f():\n    from tpssim import cli\n    from tpssim.model import World\n", encoding="utf-8"
    )
    assert list(imports(bad)) == ["tpssim.cli", "tpssim.model"]


def loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    ["import tpssim", "import tpssim.controllers, tpssim.clock, tpssim.article", "import tpssim.cli"],
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
        "    async for _ in tpssim.athrottle(range(20), 1e3, controller='ewma-deadzone', record=file): pass\n"
        "asyncio.run(main())"
    ),
}


@pytest.mark.parametrize("way", list(RUNS))
def test_running_the_live_throttle_loads_only_the_standard_library(way: str, tmp_path: Path) -> None:
    statement = f"import tpssim\nfile = {str(tmp_path / 'run.ndjson')!r}\n{RUNS[way]}"
    foreign = loaded_by(statement) - loaded_by("pass") - set(sys.stdlib_module_names) - {"tpssim"}
    assert foreign == set()
    assert (tmp_path / "run.ndjson").read_text(encoding="utf-8").count('"e": "release"') == 20
