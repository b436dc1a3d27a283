"""What is printed may be lost, what was worked for is not: closed, full, unread and foreign
streams.
"""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import tpssim
from tpssim.cli.main import main
from tpssim.core.streams import PLAINLY

TPSSIM = f"{shlex.quote(sys.executable)} -m tpssim"
SIMULATE = "simulate blocking-steady:duration=2 aimd --out r"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(tpssim.__file__).parent.parent)}
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux's")


def shell(line: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, capture_output=True, env={**ENVIRONMENT, **environment}
    )


@needs_full
@pytest.mark.parametrize("arguments", ["list", "--help", "list --json", SIMULATE])
@pytest.mark.parametrize(
    ("where", "why"), [(">&-", "Bad file descriptor"), (">/dev/full", "No space left on device")]
)
def test_a_closed_or_full_stdout_is_reported_in_one_line_after_the_work(
    arguments: str, where: str, why: str, tmp_path: Path
) -> None:
    done = shell(f"{TPSSIM} {arguments} {where}", tmp_path)
    message = f"tpssim: stdout cannot be written: {why}; what goes to files is there\n"
    assert (done.returncode, done.stderr.decode()) == (1, message)
    if arguments == SIMULATE:
        names = {"summary.json", "run.json", "trace.csv", "trace.npz", "rate.png"}
        assert {path.name for path in (tmp_path / "r").iterdir()} == names


@needs_full
@pytest.mark.parametrize("where", ["2>&-", "2>/dev/full", "<&- 2>&-"])
def test_a_closed_or_full_stderr_ends_nothing(where: str, tmp_path: Path) -> None:
    done = shell(
        f"{TPSSIM} compare --scenarios stall:duration=12 --controllers aimd --workers 2 --out r"
        f" {where}",
        tmp_path,
    )
    assert done.returncode == 0
    assert "Written to r" in done.stdout.decode()
    assert shell(f"{TPSSIM} compare --scenarios nowhere {where}", tmp_path).returncode == 2


@needs_full
def test_the_view_of_a_live_run_may_be_lost(tmp_path: Path) -> None:
    (tmp_path / "calls.py").write_text("def send(i): pass", encoding="utf-8")
    line = f"{TPSSIM} live --call calls.py:send --tps 50 --seconds 1.5 --out r 2>/dev/full"
    done = shell(line, tmp_path)
    assert done.returncode == 0
    assert "Written to r" in done.stdout.decode()


@pytest.mark.parametrize("arguments", ["list", "list --json", "list controllers aimd"])
def test_a_reader_who_leaves_ends_it_quietly(arguments: str, tmp_path: Path) -> None:
    done = shell(f"{TPSSIM} {arguments} | sleep 0; echo ${{PIPESTATUS[0]}}", tmp_path)
    assert (done.stdout, done.stderr) == (b"141\n", b"")


def test_another_alphabet_gets_plain_letters(tmp_path: Path) -> None:
    line = (
        f"{TPSSIM} compare --scenarios stall:duration=12 --controllers aimd --replications 3"
        " --workers 1 --out r"
    )
    ascii_ = shell(line, tmp_path, PYTHONIOENCODING="ascii")
    utf = shell(line, tmp_path, PYTHONIOENCODING="utf-8")
    assert (ascii_.returncode, utf.returncode) == (0, 0)
    assert "±" in utf.stdout.decode()
    assert ascii_.stdout.decode("ascii") == utf.stdout.decode().replace("±", "+-")


def test_a_name_that_is_no_text_is_printed_escaped(tmp_path: Path) -> None:
    done = shell(f"{TPSSIM} {SIMULATE}$'\\xff'", tmp_path, PYTHONIOENCODING="utf-8")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Written to r\\udcff" in done.stdout
    assert os.fsencode(next(tmp_path.iterdir())).endswith(b"r\xff")


def test_letters_of_the_panel_and_others() -> None:
    assert "±▁█ é\N{SNOWMAN}".encode("latin-1", PLAINLY) == b"\xb1.# \xe9\\u2603"


class Watching(io.StringIO):
    """Looks, as the first is printed, at what is written."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.there: bool | None = None

    def write(self, text: str) -> int:
        if self.there is None:
            self.there = (self.folder / "run.json").is_file()
        return super().write(text)


SHORT = "blocking-steady:duration=2"
VERBS = [
    f"compare --scenarios {SHORT} --controllers aimd --replications 1 --workers 1",
    f"compare --league --scenarios {SHORT} --controllers aimd fixed --replications 1 --workers 1",
    "compare --random 2 --kinds blocking --controllers aimd fixed --workers 1",
    f"simulate {SHORT} aimd",
    (
        f"sweep --scenario {SHORT} --controller aimd --grid dec_rate=0.5,0.9 --replications 1"
        " --workers 1"
    ),
    f"tune aimd --scenarios {SHORT} --parameters dec_rate --budget 24 --replications 1 --workers 1",
    f"analyse aimd --scenario {SHORT} --replications 2",
    "validate --cases ties",
    "calibrate --sleeps 20",
    "live --call CALLS:send --tps 100 --total 20 --quiet",
    "replay RECORDING",
]


@pytest.mark.usefixtures("chosen_soon")
@pytest.mark.parametrize("form", ["", " --json"])
@pytest.mark.parametrize("line", VERBS, ids=lambda line: " ".join(line.split()[:2]))
def test_the_results_are_whole_before_a_word_of_them_is_printed(
    line: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = tmp_path / "calls.py"
    calls.write_text("def send(i): pass", encoding="utf-8")
    if "RECORDING" in line:
        made = ["live", "--call", f"{calls}:send", "--tps", "100", "--total", "20", "--quiet"]
        assert main([*made, "--out", str(tmp_path / "made")]) == 0
    line = line.replace("CALLS", str(calls))
    line = line.replace("RECORDING", str(tmp_path / "made" / "recording.ndjson"))
    watching = Watching(tmp_path / "r")
    monkeypatch.setattr(sys, "stdout", watching)
    assert main([*f"{line}{form}".split(), "--out", str(tmp_path / "r")]) == 0
    assert watching.there is True
