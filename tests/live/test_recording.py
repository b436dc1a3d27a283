"""Runs written down: whole whatever happens, and played back to the bit."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from helpers.laws import SetOnce, left, threads

import tpssim
from tpssim import Aborted, InputError, Observation, arun, run, throttle
from tpssim.controllers import CONTROLLERS
from tpssim.core.clocks import VirtualClock
from tpssim.live import journal
from tpssim.live.events import events
from tpssim.live.permits import Permit
from tpssim.live.playback import play, read_journal


def drive(path: Path, controller: str, **options: Any) -> None:
    """A run with everything in it: slow and fast calls, failures, drops, refusals, another rate."""
    handles: list[Any] = []

    def call(item: int) -> None:
        if item == 150:
            handles[0].tps = 900.0
        time.sleep(0.0005 if item % 50 < 25 else 0.004)
        if item % 17 == 3:
            raise ValueError("no")
        if item % 23 == 4:
            raise TimeoutError

    run(
        call,
        range(300),
        700.0,
        workers=3,
        started=handles.append,
        controller=controller,
        record=path,
        **options,
    )


#: Laws that begin with hardly a call a second, or fall to it, hurried for a test in real time.
HURRIED = {"botocore-cubic": "min_rate=100", "scrapy-autothrottle": "start_delay=0.01"}


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recording of each law; several are made at a time, for they mostly wait."""
    folder = tmp_path_factory.mktemp("driven")
    with ThreadPoolExecutor(6) as pool:
        for _ in pool.map(lambda name: drive_law(folder / f"{name}.ndjson", name), CONTROLLERS):
            pass
    return folder


def drive_law(path: Path, name: str) -> None:
    law = f"{name}:{HURRIED[name]}" if name in HURRIED else name
    drive(path, law, late="capped(3)", seed=5)


@pytest.mark.parametrize("name", list(CONTROLLERS))
def test_a_recording_played_back_decides_the_same_to_the_bit(name: str, driven: Path) -> None:
    path = driven / f"{name}.ndjson"
    recording = read_journal(path)
    assert recording.header["controller"] == name
    assert recording.header["late"] == "capped(3)"
    assert recording.start["calls"] == "pool(3)"
    back = play(recording)
    assert back.difference == ""
    assert back.decisions == len(recording.events) + 1 >= 601
    assert sum(call.outcome == 0 for call in back.calls) == recording.report["ok"]
    assert back.pacer.caught_up == recording.report["caught_up"]
    # A decision that is not the recorded one is found.
    event = next(e for e in recording.events[300:] if e["e"] == "end")
    event["rate"] = math.nextafter(event["rate"] or 1.0, 0.0)
    assert "recorded" in play(recording).difference


def test_observations_that_were_not_so_lead_to_other_decisions(tmp_path: Path) -> None:
    path = tmp_path / "run.ndjson"
    drive(path, "aimd")
    recording = read_journal(path)
    event = next(e for e in recording.events[100:] if e["e"] == "end")
    event["t"] += 0.05
    assert play(recording).difference != ""


def test_an_asynchronous_run_and_a_plain_loop_play_back_too(tmp_path: Path) -> None:
    import asyncio

    async def call(_: int) -> None:
        await asyncio.sleep(0.001)

    path = tmp_path / "a.ndjson"
    asyncio.run(arun(call, range(100), 1000.0, controller="headroom", record=path))
    assert read_journal(path).start["calls"] == "async"
    assert play(read_journal(path)).difference == ""
    for _ in throttle(range(100), 1000.0, controller="ewma-deadzone", record=path):
        time.sleep(0.0003)
    recording = read_journal(path)
    assert recording.start["calls"] == "blocking"
    assert play(recording).difference == ""
    assert recording.report["released"] == 100
    assert recording.report["verdict"]


def test_numbers_read_back_to_the_same_bits_and_the_header_says_what_made_them(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run.ndjson"
    clock = VirtualClock()
    live = throttle("abc", 3.0, clock=clock, record=path, controller="aimd:dec_rate=0.5")
    for _ in live:
        clock.set(clock.time() + 0.1)
    header, start, *rest = events(path)
    assert header["controller"] == "aimd"
    assert header["parameters"] == CONTROLLERS["aimd"](dec_rate=0.5)._asdict()
    assert header["tpssim"] == tpssim.__version__
    assert (header["tps"], header["total"], header["late"], header["seed"]) == (
        3.0,
        None,
        "auto",
        0,
    )
    assert {"python", "system", "cores", "spin", "threshold", "began"} <= set(header)
    assert start == {"e": "start", "t": 0.0, "tps": 3.0, "calls": "blocking", "rate": 3.0}
    assert [event["e"] for event in rest] == ["release", "end"] * 3 + ["stop"]
    assert [event["due"] for event in rest if event["e"] == "release"] == [
        0.0,
        1 / 3,
        1 / 3 + 1 / 3,
    ]
    assert rest[-1]["ok"] == 3


def test_open_permits_are_waited_for_before_the_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "run.ndjson"
    live = throttle(range(5), 1000.0, record=path)
    held = [permit for _, permit in live.permits()]
    for permit in held:
        threading.Timer(0.05, permit.done).start()
    while live.report().ok < 5:
        time.sleep(0.01)
    time.sleep(0.05)
    kinds = [event["e"] for event in events(path)]
    assert kinds[-1] == "stop"
    assert kinds.count("end") == 5


def test_permits_outlive_a_throttle_that_goes_out_of_scope(tmp_path: Path) -> None:
    path = tmp_path / "run.ndjson"

    def submit() -> list[Permit]:
        return [permit for _, permit in throttle(range(5), 1000.0, record=path).permits()]

    for permit in submit():
        permit.done()
    assert [event["e"] for event in events(path)][2:] == ["release"] * 5 + ["end"] * 5 + ["stop"]
    before = threads()
    submit()  # and nobody keeps the permits: they are settled as forgotten
    assert not left(before)
    assert [event["e"] for event in events(path)][2:] == ["release"] * 5 + ["end"] * 5 + ["stop"]


def test_another_rate_while_the_law_begins_is_obeyed_and_written_after_the_start(
    tmp_path: Path,
) -> None:
    """The other thread gets no further than the law's first moment, however long that takes."""
    path = tmp_path / "run.ndjson"
    clock = VirtualClock()

    class Slow(NamedTuple):
        def init(self, target: float) -> SetOnce:
            if made and setter.ident is None:
                setter.start()
                setter.join(0.2)
            return SetOnce()

        def update(self, state: SetOnce, obs: Observation) -> SetOnce:
            return state

    made = False  # a law's beginning is looked at once when the throttle is made
    live = throttle(range(4), 1000.0, clock=clock, controller=Slow(), record=path)
    made = True
    setter = threading.Thread(target=setattr, args=(live, "tps", 50.0))
    seen = []
    for _ in live:
        setter.join()
        seen.append(clock.time())
    assert live.tps == 50.0
    assert seen == pytest.approx([0.0, 0.02, 0.04, 0.06])
    assert [event["e"] for event in read_journal(path).events].count("tps") == 1


def test_a_recording_that_is_there_is_kept_under_another_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.run.ndjson"
    path.touch()  # an empty file is nothing to keep
    kept = [tmp_path / "a.run.1.ndjson", tmp_path / "a.run.2.ndjson"]
    for text in "abc", "de", "f":
        list(throttle(text, 1000.0, clock=VirtualClock(), record=path))
    assert [read_journal(file).report["ok"] for file in (*kept, path)] == [3, 2, 1]
    said = "".join(f"tpssim: the recording that was {path} is now {file}\n" for file in kept)
    assert capsys.readouterr().err == said


def test_another_file_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(
        InputError, match=r"mine.csv contains something else .*; allowed: a new file"
    ):
        throttle("abc", 5.0, record=path)
    assert path.read_text() == "a,b\n1,2\n"
    with pytest.raises(InputError, match="cannot be written: Is a directory"):
        throttle("abc", 5.0, record=tmp_path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_ends_the_run_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "PERIOD", 0.01)
    before = threads()
    live = throttle(range(100_000), 1000.0, record="/dev/full")
    with pytest.raises(Aborted, match="the recording stopped: /dev/full: No space left on device"):
        list(live)
    assert live.report().released > 0
    assert not left(before)


def test_what_a_full_disk_has_taken_stays_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk takes 3,000 bytes and half a line, then no more."""
    room, path = 3000, tmp_path / "run.ndjson"
    written = os.write

    def write(file: int, data: bytes) -> int:
        nonlocal room
        if not path.exists() or os.fstat(file).st_ino != path.stat().st_ino:
            return written(file, data)
        if room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = written(file, data[:room])
        room -= taken
        return taken

    monkeypatch.setattr(journal, "PERIOD", 0.01)
    monkeypatch.setattr(os, "write", write)
    with pytest.raises(Aborted, match="what is in the file is complete"):
        list(throttle(range(100_000), 2000.0, record=path))
    text = path.read_bytes()
    assert 2500 < len(text) <= 3000
    assert text.endswith(b"\n")
    assert play(read_journal(path)).difference == ""


CHILD = """
import sys, time
from tpssim import throttle
for k in throttle(range(10**9), 500.0, controller="aimd", record=sys.argv[1]):
    if k == 300:
        print("go", flush=True)
"""


def test_a_killed_run_is_readable_up_to_its_last_second(tmp_path: Path) -> None:
    path = tmp_path / "run.ndjson"
    with subprocess.Popen([sys.executable, "-c", CHILD, path], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"go\n"
        time.sleep(1.0)
        child.send_signal(signal.SIGKILL)
    recording = read_journal(path)
    assert recording.report == {}
    back = play(recording)
    assert back.difference == ""
    # Call 300 was made a second before the end at least, and all but the last second is there.
    assert len(back.calls) > 300


def test_a_program_that_ends_in_the_middle_of_a_run_leaves_a_whole_recording(
    tmp_path: Path,
) -> None:
    """A throttle of the module's own, left early, and permits that nobody settled."""
    left_early = (
        "for k in (a := throttle(range(9), 1e3, record='a.ndjson')):\n    if k == 5: break\n"
    )
    unsettled = (
        "b = throttle(range(5), 1e3, record='b.ndjson')\nheld = [p for _, p in b.permits()]\n"
    )
    code = f"from tpssim import throttle\n{left_early}{unsettled}"
    environment = {**os.environ, "PYTHONPATH": str(Path(tpssim.__file__).parent.parent)}
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, timeout=60.0
    )
    for name, calls in ("a", 5), ("b", 5):  # the sixth was in the caller's hand, not counted yet
        recording = read_journal(tmp_path / f"{name}.ndjson")
        assert sum(event["e"] == "release" for event in recording.events) == calls
        assert play(recording).difference == ""


def test_a_torn_last_line_is_left_out_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.ndjson"
    drive(path, "aimd")
    lines = path.read_text().splitlines(keepends=True)
    (tmp_path / "torn.ndjson").write_text("".join(lines[:100]) + lines[100][:20])
    assert len(read_journal(tmp_path / "torn.ndjson").events) == 98
    (tmp_path / "bad.ndjson").write_text("".join(lines[:50]) + "{]\n" + "".join(lines[50:]))
    with pytest.raises(InputError, match="line 51"):
        read_journal(tmp_path / "bad.ndjson")
    (tmp_path / "empty.ndjson").write_text(lines[0])
    with pytest.raises(InputError, match="has no call;"):
        read_journal(tmp_path / "empty.ndjson")
    (tmp_path / "other.ndjson").write_text(json.dumps({"e": "header", "format": 99}) + "\n")
    with pytest.raises(InputError, match="not a recording of format 1"):
        read_journal(tmp_path / "other.ndjson")
    with pytest.raises(InputError, match="cannot be read"):
        read_journal(tmp_path / "nothing.ndjson")


def test_whatever_is_damaged_is_reported_in_one_line_or_found_to_differ(tmp_path: Path) -> None:
    """Every line left out, doubled, and with every value left out or another."""
    path, bad = tmp_path / "run.ndjson", tmp_path / "bad.ndjson"
    clock = VirtualClock()
    live = throttle(range(6), 4.0, clock=clock, record=path, controller="aimd", late="capped(2)")
    for k in live:
        clock.set(clock.time() + 0.3)
        if k == 2:
            live.tps = 8.0
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    damaged: list[list[Any]] = []
    others: list[Any] = [None, "x", [], {}, -1, 0, 1e308, math.nan, math.inf]
    for i, line in enumerate(lines):
        damaged += [[*lines[:i], *lines[i + 1 :]], [*lines[: i + 1], line, *lines[i + 1 :]]]
        for key in line:
            left_out = {k: v for k, v in line.items() if k != key}
            damaged.append([*lines[:i], left_out, *lines[i + 1 :]])
            for value in others:
                damaged.append([*lines[:i], line | {key: value}, *lines[i + 1 :]])
    said = set()
    for document in damaged:
        bad.write_text("".join(json.dumps(line) + "\n" for line in document))
        try:
            play(read_journal(bad))
        except InputError as error:
            said.add(str(error).replace(str(bad), "bad"))
    assert not any("\n" in text for text in said)
    assert "bad, line 1: an event 'header' without 'late'" in "".join(said)
    assert "bad, line 3: due='x'; allowed: a number" in said
    assert "bad, line 3: call=0 is ended, and not in flight; allowed" in "".join(said)
