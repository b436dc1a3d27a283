"""Files of kept results that are damaged, of another kind or in use: mended, or named in one
line.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pytest
from helpers.laws import Actuators
from helpers.plants import interpret

from tpssim import InputError, sweep
from tpssim.cli.main import main
from tpssim.core.errors import Aborted
from tpssim.core.types import Observation
from tpssim.core.validation import Range
from tpssim.experiments.sweep import batch_runs
from tpssim.experiments.sweep.store import Store

SHORT = "blocking-steady:duration=2"
GRID = {"dec_rate": [0.5 + 0.01 * i for i in range(12)]}


def rows(**more: Any) -> list[Any]:
    result = sweep(SHORT, "aimd", GRID, replications=2, **more)
    return [(row.point, row.words, row.calls, repr(row.mean)) for row in result.rows]


@pytest.fixture(scope="module")
def fresh() -> list[Any]:
    return rows()


@pytest.fixture
def kept(tmp_path: Path, fresh: list[Any]) -> Path:
    """A store with all runs, closed."""
    path = tmp_path / "kept.sqlite"
    assert rows(store=path) == fresh
    return path


def changed(column: str, value: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with sqlite3.connect(path) as file:
            assert (
                file.execute(f"UPDATE run SET {column} = {value} WHERE replication = 1").rowcount
                == 12
            )
        file.close()

    return change


MENDED = {
    "a blob cut off": changed("measures", "substr(measures, 1, 11)"),
    "an empty blob": changed("measures", "x''"),
    "no blob": changed("measures", "NULL"),
    "a text for a blob": changed("measures", "'nothing'"),
    "a text that is none": changed("measures", "CAST(x'ff00fe' AS TEXT)"),
    "a text for a number": changed("calls", "'many'"),
    "a blob with one other byte": changed("measures", "x'00' || substr(measures, 2)"),
    "another verdict": changed("word", "(word + 1) % 3"),
    "another count of calls": changed("calls", "calls + 1"),
}


@pytest.mark.parametrize("what", list(MENDED))
def test_a_damaged_row_is_run_again(kept: Path, fresh: list[Any], what: str) -> None:
    MENDED[what](kept)
    assert rows(store=kept) == fresh
    with Store(kept) as store:  # and is whole from now on
        keys = [key.decode() for (key,) in store._file.execute("SELECT DISTINCT key FROM run")]
        assert [len(store.runs(key)) for key in keys] == [2] * 12


def test_a_row_under_the_key_of_another_point_is_run_again(kept: Path, fresh: list[Any]) -> None:
    file = sqlite3.connect(kept)
    one, two = file.execute("SELECT DISTINCT key FROM run LIMIT 2").fetchall()
    taken = file.execute(
        "SELECT word, calls, measures FROM run WHERE key = ? AND replication = 0", one
    )
    values = taken.fetchone()
    file.execute(
        "UPDATE run SET word = ?, calls = ?, measures = ? WHERE key = ? AND replication = 0",
        (*values, *two),
    )
    file.commit()
    file.close()
    assert rows(store=kept) == fresh


def mended_or_named(kept: Path, fresh: list[Any]) -> None:
    said = ""
    try:
        found = rows(store=kept)
    except (InputError, Aborted) as error:
        said = str(error)
    assert (
        (said.startswith(f"store {str(kept)!r} ") and "\n" not in said) if said else found == fresh
    )


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_file_that_was_cut_off_is_named_or_mended(
    kept: Path, fresh: list[Any], share: float
) -> None:
    whole = kept.read_bytes()
    kept.write_bytes(whole[: int(share * len(whole))])
    mended_or_named(kept, fresh)


@pytest.mark.parametrize("start", [0, 20, 90, 4100, 9000, 20000, 30000])
def test_a_file_with_a_hole_is_named_or_mended(kept: Path, fresh: list[Any], start: int) -> None:
    data = bytearray(kept.read_bytes())
    data[start : start + 300] = bytes(300)
    kept.write_bytes(bytes(data))
    mended_or_named(kept, fresh)


def other(statement: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.unlink(missing_ok=True)
        file = sqlite3.connect(path)
        file.executescript(statement)
        file.close()

    return make


FOREIGN = {
    "another program's": (other("CREATE TABLE bookmarks (url TEXT)"), "with the table 'bookmarks'"),
    "one of its tables has our name": (other("CREATE TABLE run (distance REAL)"), "'another run'"),
    "a later version": (
        other("PRAGMA application_id=0x74707373; PRAGMA user_version=9"),
        "later version",
    ),
    "its mark is another": (other("PRAGMA application_id=77"), "another program"),
}


@pytest.mark.parametrize("what", list(FOREIGN))
def test_a_database_that_is_not_ours_is_refused_and_stays_as_it_is(
    tmp_path: Path, what: str
) -> None:
    path = tmp_path / "theirs.sqlite"
    make, message = FOREIGN[what]
    make(path)
    before = path.read_bytes()
    with pytest.raises(InputError, match=message):
        rows(store=path)
    assert path.read_bytes() == before


def test_a_store_of_the_first_format_is_used_and_its_rows_are_not(
    tmp_path: Path, fresh: list[Any]
) -> None:
    path = tmp_path / "old.sqlite"
    other("""
        CREATE TABLE campaign (key TEXT PRIMARY KEY, made TEXT, tpssim TEXT, specification TEXT);
        CREATE TABLE run (key TEXT, replication INTEGER, word INTEGER, calls INTEGER, measures BLOB,
            PRIMARY KEY (key, replication)) WITHOUT ROWID;
        CREATE TABLE failure (key TEXT PRIMARY KEY, type TEXT, message TEXT, traceback TEXT);
        INSERT INTO run VALUES ('0123', 0, 1, 2, x'0000000000000000');
    """)(path)
    assert rows(store=path) == fresh
    with Store(path) as store:
        assert store.runs("0123") == {}


def test_the_command_line_names_what_it_cannot_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("folder", "text"):
        path = tmp_path / name
        path.mkdir() if name == "folder" else path.write_text("no database " * 99)
        arguments = [
            "--scenario",
            SHORT,
            "--controller",
            "aimd",
            "--grid",
            "dec_rate=0.5",
            "--workers",
            "1",
        ]
        assert (
            main(["sweep", *arguments, "--store", str(path), "--out", str(tmp_path / "out")]) == 2
        )
        assert capsys.readouterr().err.startswith(f"tpssim: store {str(path)!r} cannot be used: ")
    assert not (tmp_path / "out").exists()


def test_a_sweep_in_which_all_points_failed_replaces_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tpssim.experiments.sweep import scheduler

    out = tmp_path / "out"
    command = ["sweep", "--scenario", SHORT, "--controller", "aimd", "--grid", "dec_rate=0.5,0.6"]
    command += ["--replications", "1", "--workers", "1", "--out", str(out)]
    assert main(command) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    capsys.readouterr()

    def broken(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scheduler, "reduced", broken)
    assert main(command) == 1
    said = capsys.readouterr()
    reason = "OSError: [Errno 28] No space left on device"
    assert (
        said.err == f"tpssim: all 2 points failed, the first with {reason}; nothing was written\n"
    )
    assert said.out == ""
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


class Paced(NamedTuple):
    """A law that other processes can load."""

    share: Annotated[float, Range(0.0, 1.0)] = 0.5

    def init(self, target: float) -> Actuators:
        return Actuators(self.share * target * SCALE, math.inf, 0.0)

    def update(self, state: Actuators, obs: Observation) -> Actuators:
        return state


SCALE = 1.0


def test_workers_with_other_code_are_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value set after the import, or a file edited since: a new process does not have it."""
    path = tmp_path / "kept.sqlite"
    monkeypatch.setattr("test_store.SCALE", 0.5)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        with pytest.raises(Aborted, match=r"the workers failed \(Differs: a worker has other code"):
            sweep(SHORT, Paced, {"share": [0.5]}, replications=1, executor=pool, store=path)
        monkeypatch.undo()
        assert (
            sweep(SHORT, Paced, {"share": [0.5]}, replications=1, executor=pool, store=path)
            .rows[0]
            .calls
        )


def test_an_earlier_sweep_stays_when_code_changes_in_a_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two replications are kept; of four, the two others are not, for the code changes as they
    run.
    """
    from tpssim.experiments.sweep import scheduler

    interpret(monkeypatch)
    path = tmp_path / "kept.sqlite"
    sweep(SHORT, Paced, {"share": [0.5]}, replications=2, store=path)

    def edited(*given: Any) -> Any:
        found = reduced(*given)
        monkeypatch.setattr("test_store.SCALE", 0.5)
        return found

    reduced = batch_runs.reduced
    monkeypatch.setattr(scheduler, "reduced", edited)
    with pytest.warns(UserWarning, match="these runs are not kept in the store: values that"):
        sweep(SHORT, Paced, {"share": [0.5]}, replications=4, store=path)
    file = sqlite3.connect(path)
    assert file.execute("SELECT replication FROM run ORDER BY replication").fetchall() == [
        (0,),
        (1,),
    ]
    file.close()


def test_rows_are_checked_before_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the process were killed after the first chunk: at no time is a wrong row in the
    file.
    """
    path = tmp_path / "kept.sqlite"
    counts: list[Any] = []
    add = Store.add

    def counted(self: Store, rows: Any, failures: Any) -> None:
        add(self, rows, failures)
        counts.append(self._file.execute("SELECT count(*) FROM run").fetchone())

    interpret(monkeypatch)
    monkeypatch.setattr(Store, "add", counted)
    monkeypatch.setattr("test_store.LOG", [])
    with pytest.warns(UserWarning, match="these runs are not kept"):
        sweep(
            "blocking-steady:duration=2",
            Logged,
            {"share": [0.5, 0.6, 0.7]},
            replications=2,
            store=path,
        )
    assert all(count == (0,) for count in counts)


LOG: list[float] = []


class Logged(Paced):
    """A law that changes what it depends on."""

    def init(self, target: float) -> Actuators:
        LOG.append(target)
        return Actuators(self.share * target, math.inf, float(len(LOG) > 99))
