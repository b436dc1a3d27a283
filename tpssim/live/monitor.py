"""The live monitor: a process of its own that draws, so that drawing never delays the pacing.

Other output to the terminal would disturb the drawing, so warnings go through the monitor.

A thread copies the counts a few times a second (20 us of the interpreter lock) and writes them to a
pipe without waiting; if the pipe is full, the frame is left out. The process computes quantiles and
draws.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
import warnings
from collections import deque
from typing import Any

from tpssim.live.handle import Handle


class LiveMonitor:
    """Shows a run on stderr while it lasts: `tpssim.live.panel` in another process. A context."""

    def __init__(self, handle: Handle, total: int | None, seconds: float | None) -> None:
        self._handle = handle
        self._period = 0.25 if os.isatty(2) else 1.0
        law = {"law": handle.flow.name, "total": total, "seconds": seconds}
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tpssim.live.panel", json.dumps(law)],
            stdin=subprocess.PIPE,
            stdout=2,
        )
        assert self._child.stdin is not None
        self._pipe = self._child.stdin.fileno()
        os.set_blocking(self._pipe, False)
        self._left = b""  # of a frame that did not fit
        self._said: deque[str] = deque()  # shown above the drawing next
        self._sent: list[str] = []  # in the current frame
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._work, name="tpssim monitor", daemon=True)

    def __enter__(self) -> LiveMonitor:
        self._before = warnings.showwarning
        if os.isatty(2):
            warnings.showwarning = self._warned  # type: ignore[assignment]
        self._thread.start()
        return self

    def say(self, text: str) -> None:
        """Show a line of text. Any thread, and signal handlers."""
        if os.isatty(2) and not self._done.is_set():
            self._said.append(text)
            return
        with contextlib.suppress(
            OSError
        ):  # nobody may be reading; a handler must not wait for a buffer
            os.write(2, f"{text}\n".encode())

    def _warned(self, message: Any, category: Any, filename: str, lineno: int, *_: Any) -> None:
        self.say(warnings.formatwarning(message, category, filename, lineno).rstrip())

    def __exit__(self, *_: Any) -> None:
        if warnings.showwarning == self._warned:
            warnings.showwarning = self._before
        self._done.set()
        self._thread.join()
        assert self._child.stdin is not None
        with contextlib.suppress(OSError):
            self._child.stdin.close()
        try:
            self._child.wait(2.0)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        for text in (*self._sent, *self._said):  # not shown yet
            self.say(text)

    def _work(self) -> None:
        while not self._done.wait(self._period):
            if not self._send():
                return
        end, last = time.monotonic() + 1.0, False
        while not last and time.monotonic() < end:
            last = not self._left  # this frame shows the end
            if not self._send():
                return
            if self._left:
                last = False
                time.sleep(0.01)

    def _send(self) -> bool:
        """Send one frame; whether the process still reads."""
        if not self._left:
            numbers, lateness, latency = self._handle.flow.glimpse()
            numbers["why"] = self._handle.why()
            while self._said:
                self._sent.append(self._said.popleft())
            numbers["said"] = self._sent
            self._left = json.dumps(numbers).encode() + b"\n" + lateness + latency
        try:
            while self._left:
                self._left = self._left[os.write(self._pipe, self._left) :]
            self._sent = []
        except BlockingIOError:
            pass  # the rest is sent next time
        except OSError:
            return False
        return True
