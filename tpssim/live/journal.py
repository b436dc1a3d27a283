"""A live run written down as it goes: one JSON object a line, readable up to the last second of a killed run.

The first line is the header; every other line is one event, in the order in which the law met them::

    {"e": "start", "t": 0.002, "tps": 500.0, "calls": "pool(8)", "rate": 500.0}
    {"e": "release", "t": 0.004, "call": 2, "due": 0.004, "rate": 500.0, "in_flight": 1}
    {"e": "end", "t": 0.0052, "call": 2, "outcome": 0, "rate": 498.0}
    {"e": "refuse", "t": ..., "call": ..., "due": ..., "rate": ...}   the law refused the call
    {"e": "look", "t": ..., "rate": ...}                      a window of the law may have ended
    {"e": "tps", "t": ..., "tps": 700.0, "rate": ...}         the wanted rate was changed
    {"e": "stop", "t": ..., ...}                              the run is over: the numbers of its report

`t` is in seconds on the run's own clock; `outcome` indexes `tpssim.core.OUTCOMES`; `rate` (null: infinite),
`limit` (left out while infinite) and `reject` (left out while 0) are the valves after the event. Numbers read
back to the same bits.
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
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tpssim.core import VERSION, InputError

FORMAT = 1
_HEAD = b'{"e": "header", '  # how a recording begins
#: What a playback needs of each event, and of which kind; valves may be left out, and the rate be null.
FIELDS = {
    "header": ("controller", "parameters", "late", "seed", "began"),
    "start": ("t", "tps", "calls", "rate"),
    "release": ("t", "call", "due", "rate"),
    "refuse": ("t", "call", "due", "rate"),
    "end": ("t", "call", "outcome", "rate"),
    "look": ("t", "rate"),
    "tps": ("t", "tps", "rate"),
    "stop": ("t",),
}
KINDS: dict[str, type] = {
    **dict.fromkeys(("controller", "late", "began", "calls"), str),
    **dict.fromkeys(("seed", "call", "outcome"), int),
    "parameters": dict,
}
PERIOD = 0.25  # s between two writes


def machine() -> dict[str, Any]:
    """What a number depends on, besides the program."""
    return {
        "tpssim": VERSION,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.platform(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }


def valves(state: Any) -> str:
    """The valves of a state as the end of a JSON object."""
    text = f'"rate": {state.rate!r}' if state.rate < math.inf else '"rate": null'
    if state.limit < math.inf:
        text += f', "limit": {state.limit!r}'
    if state.reject > 0.0:
        text += f', "reject": {state.reject!r}'
    return text + "}\n"


class Journal:
    """A file that is written by a thread of its own, so that no disk ever stops the pacing.

    `add` takes whole lines. If the disk fails, `failure` tells, and what was written stays up to its last
    whole line. A recording that is there already is kept under another name. Raises `InputError` if the file
    cannot be made or would replace one that is no recording.
    """

    def __init__(self, path: str | Path, header: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.failure: OSError | None = None
        self._lines = [json.dumps({"e": "header", "format": FORMAT, **header}) + "\n"]
        self._done = threading.Event()
        self._size = 0
        try:
            _make_way(self.path)
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}") from error
        self._thread = threading.Thread(target=self._write_on, name="tpssim journal", daemon=True)
        self._thread.start()
        atexit.register(self.close)  # of a run that nobody ended; the thread would not live to write it

    def add(self, line: str) -> None:
        """One more line, its end included. Any thread."""
        self._lines.append(line)

    def close(self) -> None:
        """Write what is left and end the thread."""
        if not self._done.is_set():
            self._done.set()
            self._thread.join()
            os.close(self._file)
            atexit.unregister(self.close)

    def _write_on(self) -> None:
        while not self._done.wait(PERIOD):
            self._write()
        self._write()

    def _write(self) -> None:
        n = len(self._lines)
        if not n or self.failure is not None:
            return
        data = "".join(self._lines[:n]).encode()
        del self._lines[:n]
        try:
            while data:
                written = os.write(self._file, data)  # the interpreter lock is free meanwhile
                self._size += written
                data = data[written:]
        except OSError as error:
            self.failure = error
            self._cut()

    def _cut(self) -> None:
        """Leave no half line."""
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            return  # a device or a pipe has no end to cut
        with contextlib.suppress(OSError), open(self.path, "rb") as file:
            file.seek(max(self._size - 65536, 0))
            tail = file.read()
            os.ftruncate(self._file, max(self._size - 65536, 0) + tail.rfind(b"\n") + 1)


def _make_way(path: Path) -> None:
    """Give a recording that is there, of a run that was killed, say, another name; refuse another file."""
    if not path.is_file() or not path.stat().st_size:
        return
    with path.open("rb") as file:
        head = file.read(len(_HEAD))
    if head != _HEAD:
        raise InputError(f"{path} holds something else ({head!r}...); allowed: a new file, or a recording")
    number = 1
    while (kept := path.with_name(f"{path.stem}.{number}{path.suffix}")).exists():
        number += 1
    os.rename(path, kept)
    print(f"tpssim: the recording that was {path} is {kept} now", file=sys.stderr)


def events(path: str | Path) -> Iterator[dict[str, Any]]:
    """The header and the events of a recording; a last line that was cut off is left out.

    Raises `InputError` for a file that is no recording, and for a damaged line (naming it).
    """
    try:
        file = open(path, encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; allowed: a recording") from error
    with file:
        for number, line in enumerate(file, 1):
            try:
                event = json.loads(line)
                if not isinstance(event, dict) or not isinstance(event.get("e"), str):
                    raise ValueError("no event")
            except ValueError as error:
                if not line.endswith("\n") and number > 1:
                    return
                raise InputError(f"{path}, line {number}: {line[:40]!r} is no line of a recording") from error
            if number == 1 and (event["e"] != "header" or event.get("format") != FORMAT):
                raise InputError(f"{path} is not a recording of format {FORMAT}")
            if wrong := _wrong(event):
                raise InputError(f"{path}, line {number}: {wrong}")
            yield event


def _wrong(event: dict[str, Any]) -> str:
    """What is wrong with an event; "" if nothing is."""
    kind = event["e"]
    if kind not in FIELDS:
        return f"an event {kind!r}; allowed: {', '.join(FIELDS)}"
    given = event | {"rate": math.inf} if event.get("rate", 0.0) is None else event
    for name in (*FIELDS[kind], *(valve for valve in ("limit", "reject") if valve in event)):
        if name not in given:
            return f"an event {kind!r} without {name!r}; allowed: with {', '.join(FIELDS[kind])}"
        wanted = KINDS.get(name)
        if not isinstance(given[name], wanted or int | float):
            return f"{name}={given[name]!r}; allowed: {wanted.__name__ if wanted else 'a number'}"
    return ""


def stamp() -> str:
    """The date and time, for a header."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
