"""Compiled code on disk: nothing of anybody else's is removed, and what is damaged is compiled
again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tpssim import measure, simulate

pytest.importorskip("numba")
import numba

from tpssim.simulation.compiled import _jit, cache
from tpssim.simulation.compiled.heap import in_a_heap


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    return tmp_path / "tpssim"


def aged(folder: Path, days: float, mark: bool = True) -> Path:
    """A folder as an earlier version of the sources left it, so long ago."""
    folder.mkdir(parents=True)
    (folder / "run-0123456789abcdef.nbc").write_bytes(b"compiled")
    if mark:
        (folder / cache.MARK).touch()
        then = time.time() - 86_400.0 * days
        os.utime(folder / cache.MARK, (then, then))
    return folder


def content(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_checkout_in_the_place_of_the_cache_stays(base: Path) -> None:
    """With `NUMBA_CACHE_DIR` (or `XDG_CACHE_HOME`) where one's projects are, tpssim's own among
    them.
    """
    for name in ("docs", "src", "tests", ".git", "notes", "0123456789abcdef"):
        folder = base / name
        folder.mkdir(parents=True)
        (folder / "work.py").write_text("mine", encoding="utf-8")
        os.utime(folder, (0.0, 0.0))
    before = content(base)
    folder = cache.cache_folder()
    assert folder.parent == base / "compiled"
    assert content(base) == sorted([*before, *(f"compiled{end}" for end in ("", *(
        f"/{folder.name}{more}" for more in ("", f"/{cache.MARK}")))) ])  # fmt: skip


def test_old_folders_of_ours_go_and_no_others(base: Path) -> None:
    kept = base / "compiled"
    named = f"{0:016x}"
    # in use, by another process perhaps
    young = [aged(kept / f"{i:016x}", 0.5) for i in range(1, 6)]
    old = [aged(kept / f"{i:016x}", 30.0 + i) for i in range(6, 9)]
    unmarked = aged(kept / f"{9:016x}", 30.0, mark=False)
    other = aged(kept / "backup", 30.0)
    mixed = aged(kept / f"{10:016x}", 30.0)
    (mixed / "notes.txt").write_text("mine", encoding="utf-8")
    elsewhere = aged(base / "elsewhere", 30.0)
    (kept / named).symlink_to(elsewhere, target_is_directory=True)
    own = cache.cache_folder()
    assert not any(folder.exists() for folder in old)
    assert all(content(folder) for folder in (own, *young, unmarked, other))
    assert content(mixed) == [cache.MARK, "notes.txt"]
    assert (kept / named).is_symlink()
    assert content(elsewhere) == [cache.MARK, "run-0123456789abcdef.nbc"]


def test_the_newest_few_stay_however_old(base: Path) -> None:
    folders = [aged(base / "compiled" / f"{i:016x}", 10.0 * i) for i in range(1, 6)]
    cache.cache_folder()
    assert [folder.exists() for folder in folders] == [True, True, True, False, False]


def test_a_mark_that_is_a_link_is_no_mark(base: Path) -> None:
    folders = [aged(base / "compiled" / f"{i:016x}", 30.0) for i in range(1, 6)]
    for folder in folders:
        (folder / cache.MARK).unlink()
        (folder / cache.MARK).symlink_to(__file__)
    cache.cache_folder()
    assert all(folder.exists() for folder in folders)


def test_settings_of_numba_have_folders_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code compiled without bounds checks must not be loaded where they are asked for."""
    names = {cache.sources()}
    for setting, value in (
        ("BOUNDSCHECK", 1),
        ("OPT", 0),
        ("CPU_NAME", "generic"),
        ("LOOP_VECTORIZE", 0),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(cache.settings, setting, value)
            names.add(cache.sources())
    assert len(names) == 5


def damaged(change: Callable[[Path], object]) -> Callable[[Path], None]:
    def all_of(folder: Path) -> None:
        files = list(folder.glob("*.nbc"))
        assert files
        for path in files:
            change(path)

    return all_of


def _as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "mine.txt").write_text("mine", encoding="utf-8")


def _as_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def _of_another(path: Path) -> None:
    """As two processes that write at once may leave it: whole, and of another signature."""
    import hashlib
    import pickle

    data = pickle.dumps(("another signature", ()))
    path.write_bytes(hashlib.sha256(data).digest() + data)


DAMAGE = {
    "empty": damaged(lambda path: path.write_bytes(b"")),
    "cut off": damaged(lambda path: path.write_bytes(path.read_bytes()[:-1])),
    "one other bit": damaged(lambda path: path.write_bytes(path.read_bytes()[:-9] + b"\x00" * 9)),
    "zeros": damaged(lambda path: path.write_bytes(bytes(len(path.read_bytes())))),
    "another signature": damaged(_of_another),
    "a folder": damaged(_as_folder),
    "a link to nothing": damaged(_as_link),
    "gone": damaged(lambda path: path.unlink()),
}


@pytest.fixture
def compiled(base: Path) -> Callable[[], Any]:
    """A small function of the package, compiled as in a new process; how often it was read from the
    disk.
    """
    import numpy as np

    def call() -> Any:
        _jit.kept.cache_clear()
        try:
            function: Any = _jit.kept(in_a_heap)
            free_at = np.array([1.0, 3.0, 2.0])
            function(free_at, 3, 4.0)
            assert free_at[0] == 2.0
            return sum(function.stats.cache_hits.values())
        finally:
            _jit.kept.cache_clear()

    return call


@pytest.mark.parametrize("what", list(DAMAGE))
def test_damaged_code_is_compiled_again(compiled: Callable[[], Any], base: Path, what: str) -> None:
    assert (compiled(), compiled()) == (0, 1)
    (folder,) = (base / "compiled").iterdir()
    DAMAGE[what](folder)
    assert (compiled(), compiled()) == (0, 1)
    if what == "a folder":
        assert [path.name for path in folder.rglob("*.txt")] == ["mine.txt"]


def test_where_nothing_can_be_kept_it_runs_and_says_so_once(
    compiled: Callable[[], Any], base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.warns(
        UserWarning, match="compiled code cannot be kept in .*: No space left on"
    ) as said:
        assert (compiled()) == 0
    assert len(said) == 1
    (folder,) = (base / "compiled").iterdir()
    assert content(folder) == [cache.MARK]


def test_a_file_where_the_folder_should_be_is_left_alone(
    base: Path, compiled: Callable[[], Any]
) -> None:
    base.parent.mkdir(exist_ok=True)
    base.write_text("mine", encoding="utf-8")
    assert compiled() == 0
    assert base.read_text(encoding="utf-8") == "mine"


def test_commands_are_right_after_a_power_cut(tmp_path: Path) -> None:
    """Files of the cache are emptied: a new process compiles what it needs again, and gives the
    bytes of before.
    """
    # so that all of it is kept
    measure(simulate("fast-async:duration=2", "fixed", engine="compiled"))
    copy = tmp_path / "cache" / "tpssim" / "compiled" / cache.sources()
    shutil.copytree(cache.cache_folder(), copy)
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "tpssim", "compare", "--scenarios", "fast-async:duration=2"]
    command += ["--controllers", "fixed", "--replications", "1", "--out", "out"]

    def summary(name: str) -> bytes:
        (tmp_path / name).mkdir()
        done = subprocess.run(
            command,
            cwd=tmp_path / name,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "Traceback" not in done.stderr
        return (tmp_path / name / "out" / "summary.json").read_bytes()

    before = summary("one")
    # The quickest to compile; one is of single runs, another of sweeps.
    sizes = {path: path.stat().st_size for path in copy.glob("*.conclude-*.nbc")}
    for path in sizes:
        path.write_bytes(b"")
    assert summary("two") == before
    assert any(path.stat().st_size > 0.9 * whole for path, whole in sizes.items())


def test_functions_of_one_name_in_two_modules_have_files_of_their_own(tmp_path: Path) -> None:
    found = []
    for number in (2.0, 3.0):
        names: dict[str, Any] = {"__name__": f"module_{number:g}"}
        exec(f"def f(x):\n    return {number} * x", names)
        compiled: Any = numba.njit(names["f"])
        compiled._cache = cache.Kept(names["f"], tmp_path)
        found.append(compiled(1.0))
    assert found == [2.0, 3.0]
