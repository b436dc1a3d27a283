"""The recording of a live run, written during the run: one JSON object a line, readable up to the
last second if the run is killed.

The first line is the header. Every other line is one event, in the order of the law's
observations::

    {"e": "start", "t": 0.002, "tps": 500.0, "calls": "pool(8)", "rate": 500.0}
    {"e": "release", "t": 0.004, "call": 2, "due": 0.004, "rate": 500.0, "in_flight": 1}
    {"e": "end", "t": 0.0052, "call": 2, "outcome": 0, "rate": 498.0}
    {"e": "refuse", "t": ..., "call": ..., "due": ..., "rate": ...}   the law refused the call
    {"e": "look", "t": ..., "rate": ...}                      the end of a window of the law
    {"e": "tps", "t": ..., "tps": 700.0, "rate": ...}         the wanted rate has changed
    {"e": "stop", "t": ..., ...}                              the run is over: its report

`t` is in seconds on the run's own clock; `outcome` indexes `tpssim.core.types.OUTCOMES`; `rate`
(null: infinite), `limit` (left out while infinite) and `reject` (left out while 0) are the
actuators after the event, in calls. `tps` (null: infinite) is what is wanted, in cost per second. A
profile has its text in `stages` beside its peak in `tps`; a call that does not cost 1 has a `cost`;
an end whose answer asked the caller to wait says so in `retry_after`, s.
In the header `mean_cost` is what a call counts as for the law: a number, or "recent" for the mean
of the calls so far (see `tpssim.core.costs`); left out, it is 1. Numbers read back to the same
bits.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import math
import os
import platform
import stat
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tpssim.core.errors import InputError
from tpssim.core.locks import lock, still_named
from tpssim.core.profiles import Stages
from tpssim.core.types import VERSION
from tpssim.live.report import Report

FORMAT = 1
_HEAD = b'{"e": "header", '  # how a recording begins
PERIOD = 0.25  # s between two writes
RECENT = "recent"  # the mean cost is that of the calls so far


def machine() -> dict[str, Any]:
    """What the numbers of a run depend on, besides the program."""
    return {
        "tpssim": VERSION,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.platform(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }


def number(value: float) -> str:
    """A number of a JSON object, null for inf; read back to the same bits.

    >>> number(0.1), number(math.inf)
    ('0.1', 'null')
    """
    return repr(value) if value < math.inf else "null"


def _line(members: str, state: Any) -> str:
    """The line of an event: its own members, already encoded, and the actuators of a state.

    Encoded by hand: `json.dumps` takes more than twice as long, in the pacing thread.
    """
    text = f'{{{members}, "rate": {number(state.rate)}'
    if state.limit < math.inf:
        text += f', "limit": {state.limit!r}'
    if state.reject > 0.0:
        text += f', "reject": {state.reject!r}'
    return text + "}\n"


def header_line(header: Mapping[str, Any]) -> str:
    """The first line of a recording."""
    return json.dumps({"e": "header", "format": FORMAT, **header}) + "\n"


def wanted(tps: float | Stages) -> dict[str, Any]:
    """What is wanted, as members of a JSON object; of a profile its peak and its text.

    >>> wanted(math.inf), wanted(Stages("1m:20"))
    ({'tps': None}, {'tps': 20.0, 'stages': '1m:20'})
    """
    if isinstance(tps, Stages):
        return {"tps": tps.peak, "stages": str(tps)}
    return {"tps": tps if tps < math.inf else None}


def mean_cost(cost: float | None) -> dict[str, Any]:
    """What calls cost on average, as a member of a header; nothing if that is 1.

    >>> mean_cost(400.0), mean_cost(None), mean_cost(1.0)
    ({'mean_cost': 400.0}, {'mean_cost': 'recent'}, {})
    """
    if cost == 1.0:
        return {}
    return {"mean_cost": RECENT if cost is None else cost}


def _members(tps: float | Stages) -> str:
    return json.dumps(wanted(tps))[1:-1]


def start_line(now: float, tps: float | Stages, calls: str, state: Any) -> str:
    """The line of a run's first moment."""
    return _line(f'"e": "start", "t": {now!r}, {_members(tps)}, "calls": "{calls}"', state)


def slot_line(
    kind: str, now: float, call: int, due: float, cost: float, flying: int, state: Any
) -> str:
    """The line of a slot: a release, or a refusal by the law."""
    slot = f'"call": {call}, "due": {due!r}, "in_flight": {flying}'
    if cost != 1.0:
        slot += f', "cost": {cost!r}'
    return _line(f'"e": "{kind}", "t": {now!r}, {slot}', state)


def end_line(now: float, call: int, outcome: int, state: Any, wait: float | None = None) -> str:
    """The line of a call's end; `wait`: in how many s its answer asked the caller to come back."""
    end = f'"e": "end", "t": {now!r}, "call": {call}, "outcome": {outcome}'
    if wait is not None:
        end += f', "retry_after": {wait!r}'
    return _line(end, state)


def look_line(now: float, state: Any) -> str:
    """The line of a window's end."""
    return _line(f'"e": "look", "t": {now!r}', state)


def target_line(now: float, tps: float | Stages, state: Any) -> str:
    """The line of a change of the wanted rate."""
    return _line(f'"e": "tps", "t": {now!r}, {_members(tps)}', state)


def stop_line(now: float, report: Report) -> str:
    """The last line of a recording: the report, without what is nan or inf."""
    numbers = {k: v for k, v in report._asdict().items() if v == v and v != math.inf}
    return json.dumps({"e": "stop", "t": now, **numbers}) + "\n"


class Journal:
    """A file written by a thread of its own, so that a slow disk does not delay the pacing.

    `add` takes whole lines. If the disk fails, the error is in `failure`, and the file ends with
    its last whole line. An existing recording is kept under another name. Raises `InputError` if
    the file cannot be made, or if it would replace a file that is not a recording.
    """

    def __init__(self, path: str | Path, header: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.failure: OSError | None = None
        #: Lines to be written; any thread may append whole lines.
        self.lines = [header_line(header)]
        self._done = threading.Event()
        self._size = 0
        try:
            self._file = _opened(self.path)
        except BlockingIOError:
            raise InputError(
                f"{path} is being written by another run; allowed: another file, or this one when"
                " that run has ended"
            ) from None
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}") from error
        self._thread = threading.Thread(target=self._write_on, name="tpssim journal", daemon=True)
        self._thread.start()
        # of a run that nobody ended; its thread would not live to write it
        atexit.register(self.close)

    def add(self, line: str) -> None:
        """One more line, its end included. Any thread."""
        self.lines.append(line)

    def close(self) -> None:
        """Write the remaining lines and end the thread."""
        if not self._done.is_set():
            self._done.set()
            self._thread.join()
            os.close(self._file)
            atexit.unregister(self.close)

    def after_fork(self) -> None:
        """In a forked child: the thread does not exist, and the file belongs to the parent."""
        # the lock of the old one may be held by a thread that does not exist
        self._done = threading.Event()
        self._done.set()
        atexit.unregister(self.close)
        os.close(self._file)

    def _write_on(self) -> None:
        while not self._done.wait(PERIOD):
            self._write()
        self._write()

    def _write(self) -> None:
        n = len(self.lines)
        if not n or self.failure is not None:
            return
        data = "".join(self.lines[:n]).encode()
        del self.lines[:n]
        try:
            while data:
                written = os.write(self._file, data)  # without the interpreter lock
                self._size += written
                data = data[written:]
        except OSError as error:
            self.failure = error
            self._cut()

    def _cut(self) -> None:
        """Remove a half-written line."""
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            return  # a device or a pipe has no end to cut
        with contextlib.suppress(OSError), open(self.path, "rb") as file:
            file.seek(max(self._size - 65536, 0))
            tail = file.read()
            os.ftruncate(self._file, max(self._size - 65536, 0) + tail.rfind(b"\n") + 1)


def _opened(path: Path) -> int:
    """A new file, locked until it is closed; raises `BlockingIOError` for one that a run is
    writing.
    """
    while True:
        _make_way(path)
        file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return file  # any number may write to a device
        try:
            lock(file)
        except BlockingIOError:
            os.close(file)
            raise
        if still_named(file, path) and not os.fstat(file).st_size:
            return file
        os.close(file)  # another run has come and gone just now


def _make_way(path: Path) -> None:
    """Give an existing recording (of a killed run, for example) another name; refuse any other
    file.
    """
    if not path.is_file() or not path.stat().st_size:
        return
    with path.open("rb") as file:
        head = file.read(len(_HEAD))
        if head != _HEAD:
            raise InputError(
                f"{path} contains something else ({head!r}...); allowed: a new file, or a recording"
            )
        lock(file.fileno())  # a recording that is being written must not move
        number = 1
        while (kept := path.with_name(f"{path.stem}.{number}{path.suffix}")).exists():
            number += 1
        os.rename(path, kept)
    print(f"tpssim: the recording that was {path} is now {kept}", file=sys.stderr)


def stamp() -> str:
    """The date and time, for a header."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
