"""Two runs at once that would write to one place: the second is refused at the start, nothing is
mixed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tpssim import InputError, run, throttle
from tpssim.cli.main import main
from tpssim.core.locks import locked
from tpssim.live.playback import read_journal

CALLS = "import time\n\ndef send(k):\n    time.sleep(0.001)\n\ndef other(k):\n    pass\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "calls.py").write_text(CALLS)
    return tmp_path


def wait_for(path: Path, lines: int) -> None:
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:
        if path.exists() and path.read_bytes().count(b"\n") > lines:
            return
        time.sleep(0.02)
    raise AssertionError(f"{path} has no {lines} lines")


@pytest.fixture
def running(here: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run that goes on until it is asked to stop: --out out, --record mine.ndjson."""
    words = "live --call calls.py:send --tps 100 --quiet --out out --record mine.ndjson"
    child = subprocess.Popen(
        [sys.executable, "-m", "tpssim", *words.split()], stdout=subprocess.DEVNULL
    )
    wait_for(here / "mine.ndjson", 20)
    yield child
    child.kill()
    child.wait()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "--out out --record other.ndjson",
            "--out 'out' is being written by another run; allowed: another",
        ),
        ("--out ./sub/../out", "--out 'sub/../out' is being written by another run"),
        (
            "--out other --record mine.ndjson",
            "--record 'mine.ndjson' is being written by another run",
        ),
        (
            "--out other --record link.ndjson",
            "--record 'link.ndjson' is being written by another run",
        ),
    ],
)
def test_the_second_is_refused_and_the_first_goes_on(
    words: str,
    said: str,
    running: subprocess.Popen[bytes],
    here: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (here / "sub").mkdir()
    (here / "link.ndjson").symlink_to("mine.ndjson")
    command = f"live --call calls.py:other --tps 100 --total 5 --quiet {words}"
    assert main(command.split()) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    running.send_signal(2)
    assert running.wait(60.0) == 0
    summary = json.loads((here / "out" / "summary.json").read_text())
    assert "calls.py:send" in summary["command"]
    calls = [
        event for event in read_journal(here / "mine.ndjson").events if event["e"] == "release"
    ]
    assert len(calls) == summary["report"]["released"] > 20
    assert len((here / "out" / "live.csv").read_text().splitlines()) == len(calls) + 1
    left = {path.name for path in here.iterdir()} - {
        "calls.py",
        "__pycache__",
        "sub",
        "link.ndjson",
    }
    assert left == {"out", "mine.ndjson"}
    assert main(command.split()) == 0, "afterwards it is free"


def test_a_lock_dies_with_its_process(running: subprocess.Popen[bytes], here: Path) -> None:
    running.kill()
    running.wait()
    assert [path for path in here.iterdir() if "lock" in path.name], "the kill leaves its file"
    words = "live --call calls.py:other --tps 100 --total 5 --quiet --out out --record mine.ndjson"
    assert main(words.split()) == 0
    assert not [path for path in here.iterdir() if "lock" in path.name], "the next one removes it"
    assert read_journal(here / "mine.ndjson").report["ok"] == 5
    assert len(read_journal(here / "mine.1.ndjson").events) > 15


def test_one_at_a_time_has_a_name(here: Path) -> None:
    """Many threads and one name: never two inside, and in the end no file of the lock."""
    inside, most, refused = 0, 0, 0
    guard = threading.Lock()

    def work() -> None:
        nonlocal inside, most, refused
        for _ in range(200):
            try:
                with locked(here / "x", "--out"):
                    with guard:
                        inside += 1
                        most = max(most, inside)
                    time.sleep(0)
                    with guard:
                        inside -= 1
            except InputError:
                refused += 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
    assert most == 1
    assert inside == 0
    assert {path.name for path in here.iterdir()} == {"calls.py"}


def test_different_names_do_not_meet(here: Path) -> None:
    with (
        locked(here / "x", "--out"),
        locked(here / "y", "--out"),
        locked(Path("/dev/null"), "--record"),
    ):
        with locked(Path("/dev/null"), "--record"):
            pass
        with pytest.raises(InputError, match="is being written"), locked(here / "x", "--out"):
            pass


def test_two_throttles_do_not_write_one_recording(here: Path) -> None:
    first = throttle(range(3), 1000.0, record="a.ndjson")
    with pytest.raises(
        InputError, match=r"a\.ndjson is being written by another run; allowed: another file"
    ):
        list(throttle(range(3), 1000.0, record="a.ndjson"))
    assert list(first) == [0, 1, 2]
    assert read_journal("a.ndjson").report["released"] == 3
    assert run(abs, range(3), 1000.0, record="a.ndjson").report.ok == 3
    assert sorted(path.name for path in here.glob("*.ndjson")) == ["a.1.ndjson", "a.ndjson"]


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="no /dev/null here")
def test_any_number_may_write_to_a_device() -> None:
    first = throttle(range(3), 1000.0, record="/dev/null")
    assert list(throttle(range(3), 1000.0, record="/dev/null")) == [0, 1, 2]
    assert list(first) == [0, 1, 2]
