"""`tpssim live` as it is used: what it drives, how it ends, what it shows."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.laws import left, threads

from tpssim import InputError, arun, run, throttle
from tpssim.cli.main import main
from tpssim.core.clocks import VirtualClock
from tpssim.live import callees
from tpssim.live.bounded_counts import BINS
from tpssim.live.demo_queue import VirtualQueue
from tpssim.live.demo_server import Server
from tpssim.live.monitor import LiveMonitor
from tpssim.live.panel import drawn, frames, line, show_lines, show_panel
from tpssim.live.permits import Rejected
from tpssim.live.playback import play, read_journal

CALLS = """
import asyncio, time

def send(k):
    time.sleep(0.001)
    if k % 10 == 3:
        raise ValueError(f"call {k}")

def bare():
    pass

async def asend(k):
    await asyncio.sleep(0.001)

def needy(a, b):
    pass

def slow(k):
    time.sleep(0.2)
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "calls.py").write_text(CALLS)
    return tmp_path


def served(port: int = 0, rate: float = 2000.0, places: float = 100.0) -> Server:
    server = Server(VirtualQueue(rate, 4, places), port=port)
    threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
    ).start()
    return server


@pytest.fixture
def url() -> Iterator[str]:
    server = served()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("how", [[], ["--workers", "3"]])
def test_a_callable(how: list[str], here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "live",
        "--call",
        "calls.py:send",
        "--tps",
        "500",
        "--total",
        "100",
        "--controller",
        "aimd",
    ]
    assert main([*words, *how]) == 0
    out = capsys.readouterr().out
    assert "100 calls" in out
    assert "90 ok, 10 failed" in out
    assert "10 times ValueError: call 3" in out
    folder = here / "results" / "live-calls.py_send"
    names = {"live.csv", "live.npz", "rate.png", "recording.ndjson", "run.json", "summary.json"}
    assert {file.name for file in folder.iterdir()} == names
    assert play(read_journal(folder / "recording.ndjson")).difference == ""
    assert len((folder / "live.csv").read_text().splitlines()) == 101
    assert list((here / "results").iterdir()) == [folder]
    assert main(["replay", str(folder / "recording.ndjson"), "--controllers", "headroom"]) == 0


def test_without_a_call_that_went_well_only_what_is_written_is_named(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["live", "--command", "exit 3", "--tps", "50", "--out", "out", "--quiet", "--total"]
    assert main([*words, "2"]) == 1  # nothing succeeded
    said = capsys.readouterr().out.splitlines()[-2:]
    assert said == [
        "Written to out: live.csv, summary.json",
        "  python -m tpssim replay out/recording.ndjson",
    ]
    names = {"live.csv", "recording.ndjson", "run.json", "summary.json"}
    assert {file.name for file in (here / "out").iterdir()} == names
    assert len((here / "out" / "live.csv").read_text().splitlines()) == 3
    assert main(["replay", "out/recording.ndjson"]) == 0


@pytest.mark.parametrize("how", [[], ["--async"], ["--workers", "4"]])
def test_stages_end_it_and_quotas_hold_it_back(
    how: list[str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A ramp to 200 a second in 1 s has 100 slots, of cost 2 each fifty; 20 of cost in 0.21 s are
    ten calls, so no more than 50 begin in a second."""
    call = "calls.py:asend" if "--async" in how else "calls.py:send"
    words = ["live", "--call", call, "--stages", "500ms:200,500ms:200", "--cost", "2", "--quiet"]
    assert main([*words, *how, "--out", "out"]) == 0
    assert "75 calls" in capsys.readouterr().out
    assert play(read_journal(here / "out" / "recording.ndjson")).difference == ""
    assert main(["replay", "out/recording.ndjson", "--out", "again"]) == 0
    capsys.readouterr()
    assert main([*words, *how, "--quota", "20/200ms:cost", "--out", "held"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "quota of 20 of cost per 0.2 s held" in said
    report = json.loads((here / "held" / "summary.json").read_text())["report"]
    assert 10 <= report["released"] <= 50
    assert report["quota_held"] >= 3


def test_a_callable_without_arguments_and_an_asynchronous_one(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(
            [
                "live",
                "--call",
                "calls.py:bare",
                "--tps",
                "1000",
                "--total",
                "20",
                "--quiet",
                "--json",
            ]
        )
        == 0
    )
    document = json.loads(capsys.readouterr().out)
    assert document["report"]["ok"] == 20
    assert document["failures"] == {}
    assert (
        main(
            [
                "live",
                "--call",
                "calls.py:asend",
                "--async",
                "--tps",
                "1000",
                "--seconds",
                "0.1",
                "--quiet",
                "--json",
            ]
        )
        == 0
    )
    document = json.loads(capsys.readouterr().out)
    # A timer of a busy machine may come late, so that there may be more than 100; that it ends is
    # the point.
    assert document["report"]["ok"] >= 50
    assert document["stopped"] == ""
    assert document["command"].endswith(
        "live --call calls.py:asend --method GET --tps 1000.0 --seconds 0.1 --controller fixed"
        " --workers 0 --async --late auto --spin auto --seed 0"
    )


def test_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["live", "--command", "exit 3", "--tps", "50", "--total", "5", "--quiet"]) == 1
    assert "5 times CallFailed: exit code 3" in capsys.readouterr().out
    words = [
        "live",
        "--command",
        "sleep 30",
        "--tps",
        "50",
        "--total",
        "3",
        "--timeout",
        "0.1",
        "--quiet",
    ]
    for how in (["--workers", "3"], ["--async"]):
        start = time.perf_counter()
        assert main([*words, *how, "--json"]) == 1
        assert time.perf_counter() - start < 20.0
        document = json.loads(capsys.readouterr().out)
        assert (document["report"]["errors"], document["report"]["drops"]) == (3, 3)
        assert document["failures"] == {"TimeoutError: no end within 0.1 s": 3}
    assert (
        main(["live", "--command", "true", "--tps", "50", "--total", "3", "--quiet", "--async"])
        == 0
    )
    assert "3 ok, 0 failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    "how", [[], ["--workers", "4"], ["--async"], ["--async", "--max-in-flight", "4"]]
)
def test_a_url(how: list[str], url: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "live",
        "--url",
        url,
        "--tps",
        "200",
        "--total",
        "60",
        "--quiet",
        "--json",
        "--timeout",
        "5",
    ]
    assert main([*words, *how]) == 0
    report = json.loads(capsys.readouterr().out)["report"]
    assert (report["ok"], report["errors"]) == (60, 0)
    assert report["latency_p50"] >= 0.002  # four servers of 2,000 a second in all


@pytest.mark.parametrize("asynchronous", [False, True])
def test_what_the_answers_of_a_service_mean(asynchronous: bool) -> None:
    """503: a drop; 404: a failure; no answer in time: a drop; nobody there: a failure."""
    server = served(rate=2.0, places=0.0)
    where = f"http://127.0.0.1:{server.server_port}"

    def ask(address: str, n: int, timeout: float) -> dict[str, int]:
        request = callees.Request(address)
        if asynchronous:

            async def go() -> dict[str, int]:
                async with callees.async_url(request, timeout) as call:
                    return (await arun(call, range(n), 1000.0)).failures

            return asyncio.run(go())
        with callees.url(request, timeout, n) as call:
            return run(call, range(n), 1000.0, workers=n).failures

    assert ask(f"{where}/nothing", 2, 5.0) == {"CallFailed: HTTP 404": 2}
    found = ask(where, 6, 0.5)  # four servers of two seconds each
    assert found == {"TimeoutError: no whole answer within 0.5 s": 4, "Rejected: HTTP 503": 2}
    server.shutdown()
    server.server_close()
    ((failure, n),) = ask(where, 2, 5.0).items()
    assert n == 2
    assert failure.startswith("CallFailed: ")
    assert "refused" in failure or "onnect" in failure


def serving(port: int) -> tuple[subprocess.Popen[str], int]:
    """A server in a process of its own, and its port."""
    command = [sys.executable, "-m", "tpssim", "serve", "--rate", "2000", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline().split(":")[2].split("/")[0])


def test_a_service_that_dies_and_returns() -> None:
    """Failures while it is away, then calls go through again; nothing hangs, nothing is left
    behind.
    """
    process, port = serving(0)
    before = threads()
    outcomes: list[str] = []

    with callees.url(callees.Request(f"http://127.0.0.1:{port}/"), 2.0, 4) as made:

        def call(item: int) -> None:
            nonlocal process
            if item == 50:
                process.kill()
                process.communicate()
            if item == 100:
                process, _ = serving(port)
            try:
                made(item)
                outcomes.append("ok")
            except Exception:
                outcomes.append("failed")
                raise

        done = run(call, range(200), 400.0, workers=0, controller="aimd")
    process.kill()
    process.communicate()
    assert outcomes == ["ok"] * 50 + ["failed"] * 50 + ["ok"] * 100
    assert (done.report.ok, done.report.errors, done.report.drops) == (150, 50, 0)
    assert sum(done.failures.values()) == 50
    assert not left(before)


def started(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tpssim", "live", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path, lines: int) -> None:
    deadline = time.monotonic() + 30.0
    while time.monotonic() < deadline:
        if path.exists() and path.read_bytes().count(b"\n") > lines:
            return
        time.sleep(0.02)
    raise AssertionError(f"{path} has no {lines} lines")


@pytest.mark.parametrize("how", [[], ["--workers", "2"], ["--async"]])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_report_and_whole_files(
    number: signal.Signals, how: list[str], here: Path
) -> None:
    call = "calls.py:asend" if how == ["--async"] else "calls.py:bare"
    child = started("--call", call, "--tps", "200", "--out", "out", *how)
    wait_for(here / "out.ndjson", 50)
    child.send_signal(number)
    out, err = child.communicate(timeout=30.0)
    assert child.returncode == 0, err
    assert "Traceback" not in err
    document = json.loads((here / "out" / "summary.json").read_text())
    assert document["report"]["verdict"] in " ".join(out.split())
    assert re.fullmatch(rf"{number.name} after [\d.]+ m?s", document["stopped"])
    assert f"interrupted by {document['stopped']}\n" in out
    assert document["report"]["in_flight"] == 0
    recording = read_journal(here / "out" / "recording.ndjson")
    assert recording.report["ok"] == document["report"]["ok"] > 20
    assert play(recording).difference == ""
    assert not (here / "out.ndjson").exists()


@pytest.mark.parametrize(
    "how", [["--call", "calls.py:bare"], ["--call", "calls.py:asend", "--async"]]
)
def test_signals_are_handled_afterwards_as_before(how: list[str]) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    assert main(["live", *how, "--tps", "1000", "--total", "5", "--quiet"]) == 0
    assert [signal.getsignal(number) for number in numbers] == before


@pytest.mark.parametrize(
    ("planned", "of"),
    [
        (["--tps", "200", "--total", "100000"], r", \d+ calls of 100,000"),
        (["--tps", "200", "--seconds", "60"], r" of 60\.?0* s"),
        (["--stages", "1s:200,60s:200"], r" of 61\.?0* s"),
    ],
)
def test_one_that_had_an_end_says_that_it_was_cut_short(
    planned: list[str], of: str, here: Path
) -> None:
    child = started("--call", "calls.py:bare", *planned, "--out", "out")
    wait_for(here / "out.ndjson", 50)
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=30.0)
    assert child.returncode == 130
    assert re.match(rf"interrupted by SIGINT after [\d.]+ m?s{of}\n", out)
    said = json.loads((here / "out" / "summary.json").read_text())["stopped"]
    assert main(["report", "out"]) == 0
    page = (here / "out" / "report.html").read_text()
    assert re.search(rf"interrupted by.{{0,60}}{re.escape(said)}", page, re.DOTALL)


def test_a_second_signal_ends_it_at_once(here: Path) -> None:
    child = started("--command", "sleep 60", "--tps", "100", "--workers", "2", "--out", "out")
    wait_for(here / "out.ndjson", 5)
    child.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert child.poll() is None  # it waits for the calls in hand
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=30.0)
    assert child.returncode == 130
    assert "cut off" in err
    assert "Traceback" not in err
    assert not (here / "out").exists()
    assert play(read_journal(here / "out.ndjson")).difference == ""


def test_the_recording_of_a_killed_run_survives_the_same_command(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    child = started("--call", "calls.py:bare", "--tps", "200", "--out", "out")
    wait_for(here / "out.ndjson", 50)
    child.kill()
    child.communicate()
    words = [
        "live",
        "--call",
        "calls.py:bare",
        "--tps",
        "200",
        "--total",
        "5",
        "--out",
        "out",
        "--quiet",
    ]
    assert main(words) == 0
    assert "the recording that was out.ndjson is now out.1.ndjson" in capsys.readouterr().err
    assert len(read_journal(here / "out.1.ndjson").events) >= 49
    assert read_journal(here / "out" / "recording.ndjson").report["ok"] == 5
    (here / "mine.csv").write_text("a,b\n")
    assert main([*words, "--record", "mine.csv"]) == 2
    assert "mine.csv contains something else" in capsys.readouterr().err
    assert (here / "mine.csv").read_text() == "a,b\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_ends_it_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(
            ["live", "--call", "calls.py:bare", "--tps", "500", "--quiet", "--record", "/dev/full"]
        )
        == 1
    )
    assert "the recording stopped: /dev/full: No space left" in capsys.readouterr().err


def test_a_line_a_second_on_stderr(here: Path) -> None:
    child = started("--call", "calls.py:bare", "--tps", "100", "--seconds", "3.5")
    _, err = child.communicate(timeout=30.0)
    # Whoever draws is a process of its own, which a busy machine starts late; and it may miss its
    # turn.
    lines = [text for text in err.splitlines() if "/s of 100 wanted" in text]
    assert 1 <= len(lines) <= 5
    assert " ok + " in lines[0]
    assert "in flight" in lines[0]
    assert "failed" not in lines[0]


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("rate_error>50%", 0),
        ("errors>=10", 1),
        ("latency_p50>100us", 1),
        ("ok<90", 0),
        ("rate < 1e3", 1),
    ],
)
def test_conditions_set_the_exit_code(
    condition: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "live",
        "--call",
        "calls.py:send",
        "--tps",
        "200",
        "--total",
        "100",
        "--quiet",
        "--workers",
        "4",
        "--fail-if",
    ]
    assert main([*words, condition, "--fail-if", "drops>0"]) == code
    assert (f"{condition}, so this run has failed" in capsys.readouterr().err) == bool(code)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--tps 5", "give one of --call, --command, --url"),
        ("--tps 5 --call a.py:b --url http://x", "give one of"),
        ("--call calls.py:send", "neither --tps nor --stages is given; allowed: one of them"),
        ("--call calls.py:send --tps 9 --cost 0", "--cost 0 leaves nothing to pace; allowed: a"),
        (
            "--call calls.py:send --tps 5 --stages 1s:5",
            "--tps and --stages are both given; allowed: one of them",
        ),
        ("--call calls.py:send --stages 1s", "'1s' is not duration:target; allowed: such as 30s:"),
        ("--call calls.py:send --stages 1s:-5", "target of '1s:-5' is -5.0; allowed: [0, inf)"),
        ("--call calls.py:send --tps 5 --quota 5", "--quota '5'; allowed: AMOUNT/PER above 0"),
        ("--call calls.py:send --tps 5 --quota 0.5/1s", "no whole number of calls"),
        ("--call calls.py:send --tps 5 --cost nan", "cost=nan; allowed: a number in [0, inf)"),
        (
            "--call calls.py:send --tps 5 --cost 9 --quota 5/1s:cost",
            "cost=9 is more than the quota of 5 of cost per 1 s ever lets through; allowed: <= 5",
        ),
        ("--call calls.py:send --tps 0", "tps=0.0; allowed"),
        ("--call calls.py:send --tps 5 --total -1", "--total -1 makes no call; allowed"),
        ("--call calls.py:send --tps 5 --seconds 0", "seconds=0; allowed"),
        ("--call calls.py:send --tps 5 --timeout 3", "cannot be cut off"),
        ("--call calls.py:send --tps 5 --method PUT", "belong to --url"),
        ("--call calls.py:send --tps 5 --max-in-flight 3", "belongs to --async"),
        ("--call calls.py:send --tps 5 --workers -1", "workers=-1; allowed"),
        ("--call calls.py:send --tps 5 --late never", "no late policy 'never'"),
        ("--call calls.py:send --tps 5 --spin fast", "spin='fast'"),
        ("--call calls.py:send --tps 5 --controller pidd", "no controller 'pidd'"),
        ("--call calls.py:send --tps 5 --fail-if speed>3", "no number 'speed'"),
        (
            "--call calls.py:send --tps 5 --fail-if rate_eror>1%",
            "did you mean 'rate_error'? allowed",
        ),
        (
            "--call calls.py:send --tps 5 --fail-if rate=1",
            "--fail-if 'rate=1'; allowed: NUMBER>VALUE",
        ),
        ("--call calls.py:send --stages -1s:5", "'-1s:5' is not duration:target; allowed"),
        (
            "--call calls.py:send --tps 5 --quota -1/s",
            "--quota '-1/s'; allowed: AMOUNT/PER above 0",
        ),
        ("--call calls.py:send --tps -inf", "tps=-inf; allowed"),
        ("--call calls.py:send --tps 5 --total 0", "--total 0 makes no call; allowed: a whole"),
        ("--call calls.py:send --tps 5 --total x", "--total: 'x' is no whole number; allowed"),
        ("--call calls.py:send --tps 5 --fail-if rate>1e", "is no number"),
        ("--call calls.py:send --tps 5 --seed -1", "seed=-1"),
        ("--call calls.py:asend --tps 5", "is asynchronous; allowed: with --async"),
        ("--call calls.py:send --tps 5 --async", "is not asynchronous; allowed: without"),
        ("--call calls.py:needy --tps 5", "needs more than one argument"),
        ("--call calls.py:nothing --tps 5", "has no callable 'nothing'"),
        ("--call nothing.py:f --tps 5", "'nothing.py' is not there"),
        ("--url ftp://x --tps 5", "url 'ftp://x'; allowed"),
        ("--url http://x --tps 5 --header Bad", "a --header without a name and a colon; allowed"),
        ("--call calls.py:send --tps 5 --record calls.py/x", "cannot be written"),
    ],
)
def test_bad_input(words: str, said: str, capsys: pytest.CaptureFixture[str], here: Path) -> None:
    assert main(["live", *words.split()]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert len(err) < 250 or "there is no controller" in err  # which lists all
    assert not list((here / "results").glob("*")) if (here / "results").exists() else True


def test_a_missing_client_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "urllib3", None)
    assert (
        main(["live", "--url", "http://127.0.0.1:9/", "--tps", "5", "--total", "1", "--quiet"]) == 2
    )
    assert (
        "needs urllib3, which is not installed; allowed: pip install 'tpssim[live]'"
        in capsys.readouterr().err
    )


def shown(calls: int) -> bytes:
    """Frames of a run at 100 a second, one every 50 calls; every tenth call fails, latency 2 ms."""
    clock = VirtualClock()
    live = throttle(range(calls), 100.0, clock=clock, controller="aimd")
    data = b""
    for k, permit in live.permits():
        clock.set(clock.time() + 0.002)
        permit.fail() if k % 10 == 9 else permit.done()
        if k % 50 == 49:
            numbers, lateness, latency = live.flow.glimpse()
            words = {"why": live.why(), "said": ["a word"] if k < 50 else []}
            data += json.dumps(numbers | words).encode() + b"\n" + lateness + latency
    return data


def test_frames_tell_what_happened_since_the_one_before() -> None:
    found = list(frames(io.BytesIO(shown(150) + b'{"t": 9}\ntorn')))
    assert len(found) == 3
    assert found[1].achieved == pytest.approx(100.0, rel=0.01)
    assert [frame.lateness.n for frame in found] == [50, 50, 50]
    assert [frame.latency.n for frame in found] == [45, 45, 45]
    assert found[2].latency.quantile(0.5) == pytest.approx(0.002, rel=0.02)
    text = line(found[2])
    # With those in flight (14 characters more) or the total it would have more than 80.
    assert text.startswith("    1 s    100.0/s of 100 wanted  135 ok + 15 errors  latency ")


def test_lines_and_panel(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    show_lines(frames(io.BytesIO(shown(100))))
    out = capsys.readouterr().out
    assert out.startswith("a word\n")
    assert out.count("wanted") == 2
    *_, last = frames(io.BytesIO(shown(100)))
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(drawn(last, deque([50.0, 100.0]), {"law": "aimd", "total": 200, "seconds": None}))
    text = console.export_text()
    assert "100 of 200 calls, 1 s left" in text
    assert "▄█" in text
    assert "100 = 90 ok + 10 failed + 0 in flight" in text
    assert max(map(len, text.splitlines())) <= 100


def test_the_panel_that_is_drawn_with_a_message_shows_no_marks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import rich.console

    made = rich.console.Console(width=80, height=24, file=io.StringIO(), force_terminal=True)
    monkeypatch.setattr("rich.console.Console", lambda: made)
    data = shown(100).replace(b'"said": []', b'"said": ["[bold]another[/]"]')
    show_panel(frames(io.BytesIO(data)), {"law": "aimd", "total": 200, "seconds": None})
    drawn_ones: Any = made.file
    text = re.sub("\x1b\\[[0-9;?]*[A-Za-z]", "", drawn_ones.getvalue())
    assert "[bold]another[/]" in text  # what is said is shown as it is
    assert "5 failed" in text
    assert text.count("[/]") == 1


def frame_of(t: float, released: int, **more: Any) -> bytes:
    numbers: dict[str, Any] = {
        "t": t,
        "tps": 0.5,
        "rate": 0.5,
        "released": released,
        "refused": 0,
        "ok": released,
    }
    numbers |= {
        "errors": 0,
        "refused_by_service": 0,
        "timed_out": 0,
        "forgotten": 0,
        "in_flight": 0,
    }
    numbers |= {"limit": None, "why": "", "said": []}
    return json.dumps(numbers | more).encode() + b"\n" + bytes(8 * BINS)


def test_a_slow_rate_is_averaged_over_its_intervals() -> None:
    """A call at 0, 2, 4, ... s, half a call a second: no second shows none, and none shows one a
    second.
    """
    data = b"".join(frame_of(t + 0.01, int(t // 2) + 1) for t in range(1, 20))
    seen = [frame.achieved for frame in frames(io.BytesIO(data))]
    assert len(seen) == 19
    assert seen[0] == seen[1] == pytest.approx(0.5)
    assert all(0.36 <= rate <= 0.64 for rate in seen)  # one call more or less in 8 s
    # Ten at once are seen all the same: 10 calls, in a second and the two that belong to the last
    # of them.
    (burst,) = frames(io.BytesIO(frame_of(1.0, 10)))
    assert burst.achieved == pytest.approx(10.0 / 3.0)


@pytest.mark.parametrize("count", [0, 7, 123])
def test_a_line_has_at_most_80_characters(count: int) -> None:
    """With whatever became of calls, and however much a law says."""
    more: dict[str, Any] = {
        "errors": 3 * count,
        "refused_by_service": count,
        "timed_out": count,
        "forgotten": 0,
    }
    more |= {
        "in_flight": count,
        "refused": count,
        "why": "served again: " + "12.5/s, " * 20,
        "tps": 1234.5,
    }
    (seen,) = frames(io.BytesIO(frame_of(2.0, 7 * count, rate=987.6, **more)))
    text = line(seen)
    assert len(text) <= 80
    assert "of 987.6 commanded, 1,234.5 wanted" in text
    assert (f" ok + {3 * count:,} errors" in text) == bool(count)  # by kind there is no room


def test_a_monitor_that_dies_does_not_stop_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    before = threads()
    live = throttle(range(300), 500.0)
    with LiveMonitor(live, 300, None) as monitor:
        monitor._child.kill()
        assert len(list(live)) == 300
    assert not left(before)


def test_what_is_said_while_somebody_looks_on_is_shown_and_so_is_the_end(
    capfd: pytest.CaptureFixture[str],
) -> None:
    live = throttle(range(30), 1000.0)
    with LiveMonitor(live, 30, None) as monitor:
        monitor.say("a word")
        assert len(list(live)) == 30
    err = capfd.readouterr().err
    assert "a word\n" in err
    assert "  30 ok + 0 in flight" in err


def test_what_nobody_has_shown_is_said_in_the_end(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "isatty", lambda _: True)
    live = throttle(range(3), 1000.0)
    with LiveMonitor(live, 3, None) as monitor:
        monitor._child.kill()
        monitor._child.wait()
        monitor.say("a word")
        assert len(list(live)) == 3
    assert "a word\n" in capfd.readouterr().err


def test_rejected_is_a_drop() -> None:
    live = throttle(range(1), 10.0, clock=VirtualClock())
    for _, permit in live.permits():
        with pytest.raises(Rejected), permit:
            raise Rejected("429")
    assert live.report().drops == 1


def test_requests_are_checked() -> None:
    with pytest.raises(InputError, match="url 'x'; allowed"):
        callees.check_request(callees.Request("x"))
    headers: Any = {"A": "b"}
    assert callees.check_request(callees.Request("http://x", headers=headers)).headers == headers


def test_no_rate_need_be_wanted(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two calls of 0.2 s at a time, six of them: the workers alone set the pace, and nothing is
    "inf".
    """
    words = [
        "live",
        "--call",
        "calls.py:slow",
        "--tps",
        "inf",
        "--total",
        "6",
        "--workers",
        "2",
        "--out",
        "o",
    ]
    assert main([*words, "--quiet"]) == 0
    said = capsys.readouterr().out
    assert "inf" not in said
    assert "commanded any, wanted any" in said
    document = json.loads((here / "o" / "summary.json").read_text())
    assert document["report"]["target"] is None
    assert document["report"]["released"] == 6
    assert (here / "o" / "rate.png").exists()
    assert main(["replay", "o/recording.ndjson"]) == 0
    frame: dict[str, Any] = {
        "t": 1.0,
        "tps": float("inf"),
        "rate": float("inf"),
        "released": 3,
        "refused": 0,
        "ok": 1,
    }
    frame |= {"errors": 0, "refused_by_service": 0, "timed_out": 0, "forgotten": 0, "in_flight": 2}
    frame |= {"limit": None, "why": "", "said": []}
    shown = io.BytesIO(json.dumps(frame).encode() + b"\n" + bytes(8 * BINS))
    (seen,) = frames(shown)
    assert "3.0/s, no rate is wanted" in line(seen)
    panel = drawn(seen, deque([3.0]), {"law": "fixed", "total": 6, "seconds": None})
    assert panel.title == "1 s, 3 of 6 calls"  # of what is left nobody knows how long it takes


def test_a_call_is_tried_again(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each of four calls fails once: with one retry all succeed in the end, eight calls in all."""
    flaky = (
        "def send(k, seen=set()):\n    if k not in seen:\n        seen.add(k)\n        raise"
        " ValueError(k)\n"
    )
    (here / "flaky.py").write_text(flaky)
    words = [
        "live",
        "--call",
        "flaky.py:send",
        "--tps",
        "100",
        "--total",
        "4",
        "--workers",
        "2",
        "--quiet",
    ]
    assert main([*words, "--retries", "1", "--out", "o"]) == 0
    report = json.loads((here / "o" / "summary.json").read_text())["report"]
    assert (report["released"], report["ok"], report["errors"]) == (8, 4, 4)
    capsys.readouterr()
    for wrong in ("-1", "1001"):
        assert main([*words, "--retries", wrong]) == 2
        allowed = "a whole number >= 0 and <= 1,000"
        assert capsys.readouterr().err == f"tpssim: retries={wrong}; allowed: {allowed}\n"


def test_what_live_prints_fits_a_terminal(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "live",
        "--call",
        "calls.py:send",
        "--tps",
        "200",
        "--total",
        "40",
        "--workers",
        "4",
        "--quiet",
    ]
    assert main([*words, "--out", "o"]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if len(line) > 80] == []
