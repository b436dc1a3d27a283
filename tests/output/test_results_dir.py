"""Results folders: whatever happens while one is replaced, the old or the new one is there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tpssim.core.errors import InputError
from tpssim.output import results_dir
from tpssim.output.results_dir import MARK, check_out, is_page, recover, results_folder, write_whole

#: What a process asks of the file system: it dies as it asks for the n-th time.
CHILD = """
import os, sys
from pathlib import Path
from tpssim.output import results_dir

out, last, swaps = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "swaps"
if not swaps:
    results_dir._exchanged = lambda one, other: False
left = last
ASKED = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "shutil.rmtree")
ASKED += ("ctypes.dlsym",)

def count(event, args):
    global left
    if event in ASKED:
        left -= 1
        if left < 0:
            os._exit(9)

sys.addaudithook(count)
with results_dir.results_folder(out, "compare") as folder:
    (folder / "summary.json").write_text("new", encoding="utf-8")
    (folder / "traces").mkdir()
    (folder / "traces" / "one").write_text("new", encoding="utf-8")
    run = {"tpssim": "1", "verb": "compare", "command": "poetry run bench"}
    results_dir.write_json(folder / "run.json", run)
"""


def fill(folder: Path, words: str, verb: str = "compare") -> None:
    (folder / "summary.json").write_text(words, encoding="utf-8")
    (folder / "traces").mkdir()
    (folder / "traces" / "one").write_text(words, encoding="utf-8")
    run = {"tpssim": "1", "verb": verb, "command": "poetry run bench"}
    results_dir.write_json(folder / MARK, run)


def result(out: Path, words: str = "old", verb: str = "compare") -> Path:
    with results_folder(out, verb) as folder:
        fill(folder, words, verb)
    return out


def found(out: Path) -> str:
    """What a complete result holds."""
    assert {p.name for p in out.iterdir()} == {"summary.json", "traces", MARK}
    words = (out / "summary.json").read_text(encoding="utf-8")
    assert (out / "traces" / "one").read_text(encoding="utf-8") == words
    return words


def age(path: Path) -> None:
    """As if it had been there, with all that is in it, for two days."""
    then = time.time() - 2 * 86400
    for each in (*path.rglob("*"), path):
        os.utime(each, (then, then))


@pytest.mark.parametrize("how", ["swaps", "renames"])
def test_a_kill_at_any_moment_leaves_the_old_or_the_new_and_litter_that_goes(
    how: str, tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(results_dir.__file__).parent.parent)}
    seen = []
    for last in range(200):
        place = tmp_path / str(last)
        place.mkdir()
        out = result(place / "r")
        done = subprocess.run(
            [sys.executable, "-c", CHILD, str(out), str(last), how], env=environment
        )
        if how == "swaps":
            assert out.is_dir(), (
                f"killed at {last}: the folder is never away, not even for a moment"
            )
        recover(out)  # as every verb and `report` do first
        seen.append(found(out))
        for path in place.iterdir():
            if path != out:
                age(path)
        check_out(out, "compare")
        assert [path.name for path in place.iterdir()] == ["r"], (
            f"killed at {last}: litter for good"
        )
        if done.returncode == 0:
            break
        assert done.returncode == 9
    else:
        pytest.fail("the child never came to its end")
    assert seen == sorted(seen, reverse=True), "old, and from one moment on new"
    assert {*seen} == {"old", "new"}
    assert len(seen) > 15, "every step of it was met"


def test_a_result_of_an_earlier_version_says_its_verb_in_its_command(tmp_path: Path) -> None:
    out = result(tmp_path / "r")
    run = json.loads((out / MARK).read_text(encoding="utf-8"))
    del run["verb"]
    run["command"] = "python -m tpssim compare --seed 0"
    (out / MARK).write_text(json.dumps(run), encoding="utf-8")
    check_out(out, "compare")
    with pytest.raises(InputError, match="holds the result of compare"):
        check_out(out, "sweep")


def test_a_link_to_a_folder_is_written_through(tmp_path: Path) -> None:
    real = tmp_path / "disk" / "real"
    real.parent.mkdir()
    link = tmp_path / "link"
    link.symlink_to(real)
    for words in ("first", "second"):  # a link that points to nothing yet, and one to a result
        result(link, words)
        assert link.is_symlink()
        assert found(real) == words
    assert {path.name for path in tmp_path.iterdir()} == {"disk", "link"}
    assert [path.name for path in real.parent.iterdir()] == ["real"]


def test_a_page_is_written_through_a_link_too(tmp_path: Path) -> None:
    (tmp_path / "real.html").write_text("old", encoding="utf-8")
    (tmp_path / "page.html").symlink_to(tmp_path / "real.html")
    write_whole(tmp_path / "page.html", "new")
    assert (tmp_path / "page.html").is_symlink()
    assert (tmp_path / "real.html").read_text(encoding="utf-8") == "new"


def stray_notes(out: Path) -> None:
    (result(out) / "notes.md").write_text("mine", encoding="utf-8")


def stray_trace(out: Path) -> None:
    (result(out) / "traces" / "mine.npz").write_text("mine", encoding="utf-8")


def others_mark(out: Path) -> None:
    """A folder of another program's, whose run.json has a command as well."""
    out.mkdir()
    run = {"tpssim": "1", "command": "poetry run jobs compare data", "files": ["thesis.txt"]}
    (out / MARK).write_text(json.dumps(run), encoding="utf-8")
    (out / "thesis.txt").write_text("years", encoding="utf-8")


def unlisted(out: Path) -> None:
    """With our mark, which lists nothing."""
    out.mkdir()
    (out / MARK).write_text(json.dumps({"command": "python -m tpssim compare"}), encoding="utf-8")
    (out / "thesis.txt").write_text("years", encoding="utf-8")


def stray_folder(out: Path) -> None:
    """An empty folder is somebody's too."""
    (result(out) / "for tomorrow").mkdir()


def stray_folder_deep(out: Path) -> None:
    (result(out) / "traces" / "a" / "b").mkdir(parents=True)


def damaged_mark(out: Path) -> None:
    result(out)
    (out / MARK).write_text('{"tpssim": "1", "comm', encoding="utf-8")


def deep_mark(out: Path) -> None:
    result(out)
    (out / MARK).write_text("[" * 100_000, encoding="utf-8")


def a_checkout(out: Path) -> None:
    for name in ("src", "docs"):
        (out / name).mkdir(parents=True)
    (out / "src" / "a.py").write_text("pass", encoding="utf-8")


@pytest.mark.parametrize(
    "make",
    [
        stray_notes,
        stray_trace,
        stray_folder,
        stray_folder_deep,
        others_mark,
        unlisted,
        damaged_mark,
        deep_mark,
        a_checkout,
    ],
)
def test_what_is_not_known_to_be_ours_is_neither_replaced_nor_touched(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    out = tmp_path / "r"
    make(out)
    before = {path: path.read_bytes() if path.is_file() else b"" for path in out.rglob("*")}
    for refused in (lambda: check_out(out, "compare"), lambda: result(out, "new")):
        with pytest.raises(InputError, match=r"^--out '.*r' holds .*; allowed: ") as error:
            refused()
        assert "\n" not in str(error.value)
    assert {path: path.read_bytes() if path.is_file() else b"" for path in out.rglob("*")} == before


def test_a_file_put_there_while_the_result_is_written_is_not_lost(tmp_path: Path) -> None:
    out = result(tmp_path / "r")
    folder = results_folder(out, "compare")
    fill(folder.__enter__(), "new")
    (out / "notes.md").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match=r"holds 'notes\.md' too"):
        folder.__exit__(None, None, None)
    assert (out / "notes.md").read_text(encoding="utf-8") == "mine"
    assert (out / "summary.json").read_text(encoding="utf-8") == "old"


def test_a_page_in_it_and_what_a_file_manager_leaves_do_not_keep_a_result_from_being_replaced(
    tmp_path: Path,
) -> None:
    out = result(tmp_path / "r")
    (out / "report.html").write_text(
        '<head>\n<meta name="generator" content="tpssim">', encoding="utf-8"
    )
    assert is_page(out / "report.html")
    (out / ".DS_Store").write_bytes(b"\0")
    assert found(result(out, "new")) == "new"


def test_a_result_that_lists_no_files_is_refused_for_what_it_is(tmp_path: Path) -> None:
    unlisted(tmp_path / "r")
    with pytest.raises(InputError) as error:
        check_out(tmp_path / "r", "compare")
    assert "a result of compare by a version that did not list its files" in str(error.value)
    with pytest.raises(
        InputError, match=r"holds the result of compare; allowed: .* result of sweep$"
    ):
        check_out(tmp_path / "r", "sweep")


def test_a_folder_of_our_own_that_is_empty_does_not_keep_a_result_from_being_replaced(
    tmp_path: Path,
) -> None:
    for words in ("old", "new"):
        with results_folder(tmp_path / "r", "compare") as folder:
            fill(folder, words)
            (folder / "pictures").mkdir()
    assert (tmp_path / "r" / "summary.json").read_text(encoding="utf-8") == "new"


MARKED = {results_dir.STAGED[0]: results_dir.STAGED[1], "result/half": "x"}
#: Folders that look like litter, as {file: text}.
THEIRS: dict[str, dict[str, str]] = {
    ".notes.settings.tpssim": {"thing": "x"},
    ".r.ab_3defg.tpssim": {"thing": "x"},
    ".r.tpssim": {"thing": "x"},
    ".cache": MARKED,
    ".tpssim-unfinished-": MARKED,
    ".tpssim-unfinished-ABCDEFGH": MARKED,
    ".tpssim-unfinished-notesabc": {"thing": "x"},
    ".tpssim-unfinished-marks_ab": {results_dir.STAGED[0]: "mine", "thing": "x"},
    ".r.tpssim-old": {"thing": "x"},
}


def test_only_our_own_litter_is_removed_and_only_when_it_is_old(tmp_path: Path) -> None:
    ours: dict[str, dict[str, str]] = {
        ".tpssim-unfinished-ab_3defg": MARKED,
        ".tpssim-unfinished-00000000": {results_dir.STAGED[0]: ""},  # killed as it was begun
        ".tpssim-unfinished-empty_ab": {},  # killed before, or at its very end
    }
    for name, files in {**ours, **THEIRS}.items():
        (tmp_path / name / "result").mkdir(parents=True)
        for file, text in files.items():
            (tmp_path / name / file).write_text(text, encoding="utf-8")
        if not files:
            (tmp_path / name / "result").rmdir()
        age(tmp_path / name)
    for name in (".notes.settings.tpssim-old", ".tpssim-unfinished-notes_md"):
        (tmp_path / name).write_text("mine", encoding="utf-8")
        age(tmp_path / name)
    at_work = tmp_path / ".tpssim-unfinished-zzzzzzzz"  # another process may be filling it
    (at_work / "result").mkdir(parents=True)
    (at_work / results_dir.STAGED[0]).write_text(results_dir.STAGED[1], encoding="utf-8")
    age(at_work)
    os.utime(at_work / "result")
    treasure = tmp_path / "treasure"
    (treasure / "result").mkdir(parents=True)
    (treasure / results_dir.STAGED[0]).write_text(results_dir.STAGED[1], encoding="utf-8")
    age(treasure)
    (tmp_path / ".tpssim-unfinished-11111111").symlink_to(treasure)
    before = {
        path for path in tmp_path.rglob("*") if not {*path.relative_to(tmp_path).parts} & {*ours}
    }
    check_out(tmp_path / "r", "compare")
    write_whole(tmp_path / "page", "a page")
    recover(tmp_path / "r")
    assert {*tmp_path.rglob("*")} == before | {tmp_path / "page"}


def test_a_result_that_was_put_aside_and_holds_a_file_of_the_users_is_kept(tmp_path: Path) -> None:
    out, aside = result(tmp_path / "r"), tmp_path / ".r.tpssim-old"
    os.rename(out, aside)
    (aside / "notes.md").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match=r"holds 'notes\.md' too"):
        result(out, "new")  # nothing has its name: the earlier one takes it again
    os.rename(out, aside)
    out.mkdir()
    for put_new in (lambda: recover(out), lambda: result(out, "new")):
        put_new()
        assert (aside / "notes.md").read_text(encoding="utf-8") == "mine"
    assert found(out) == "new"


def test_what_is_in_the_way_of_putting_a_result_aside_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results_dir, "_exchanged", lambda one, other: False)
    out = result(tmp_path / "r")
    (tmp_path / ".r.tpssim-old").mkdir()
    with pytest.raises(InputError, match=r"'\.r\.tpssim-old' beside it is in the way"):
        result(out, "new")
    assert found(out) == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"r", ".r.tpssim-old"}


@pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")
@pytest.mark.parametrize(("mask", "file", "folder"), [(0o077, 0o600, 0o700), (0o002, 0o664, 0o775)])
def test_what_is_written_has_the_rights_that_the_umask_gives(
    mask: int, file: int, folder: int, tmp_path: Path
) -> None:
    before = os.umask(mask)
    try:
        out = result(tmp_path / "r")
        result(out, "again")
        write_whole(tmp_path / "page.html", "a page")
    finally:
        os.umask(before)
    rights = {
        path: path.stat().st_mode & 0o777 for path in (out, out / MARK, tmp_path / "page.html")
    }
    assert rights == {out: folder, out / MARK: file, tmp_path / "page.html": file}


@pytest.mark.skipif(sys.platform != "linux", reason="renameat2 is Linux's")
def test_on_linux_names_are_swapped_in_one_step(tmp_path: Path) -> None:
    one, other = result(tmp_path / "one", "1"), result(tmp_path / "other", "2")
    assert results_dir._exchanged(one, other)
    assert (found(one), found(other)) == ("2", "1")
    assert not results_dir._exchanged(one, tmp_path / "nowhere")


def test_the_current_folder_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="the current folder"):
        check_out(Path("."), "compare")
    (tmp_path / "inside").mkdir()
    monkeypatch.chdir(tmp_path / "inside")
    with pytest.raises(InputError, match="the current folder"):
        check_out(Path(".."), "compare")


@pytest.mark.skipif(sys.platform == "win32", reason="no limits there")
def test_a_full_disk_in_the_middle_of_any_file_leaves_the_old_result(tmp_path: Path) -> None:
    out = result(tmp_path / "r")
    code = (
        "import resource, sys\nfrom tpssim.cli.main import main\n"
        "sys.argv += ['--replications', '1', '--workers', '1', '--json']\n"
        "run = ['compare', '--scenarios', 'stall:duration=12', '--controllers', 'aimd']\n"
        "run += sys.argv[4:]\n"
        "main([*run, '--out', sys.argv[3]])  # what is compiled is compiled now\n"
        "print('limited', flush=True)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), -1))\n"
        "sys.exit(main([*run, '--out', sys.argv[2]]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(results_dir.__file__).parent.parent)}
    for size in (1_000, 30_000):  # within the summary; within the picture
        command = [sys.executable, "-c", code, str(size), str(out), str(tmp_path / "first")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stdout.rpartition("limited\n")[2]) == (2, "")
        messages = [
            line
            for line in done.stderr.splitlines()
            if not re.match(r"[\d,]+ of [\d,]+ |compiling", line)
        ]
        assert len(messages) == 1, done.stderr
        assert "cannot be written: File too large" in messages[0]
        assert found(out) == "old"
        assert {path.name for path in tmp_path.iterdir()} == {"r", "first"}
