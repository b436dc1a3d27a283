"""How a live run ends: after some seconds, after its last call, at a signal; and what it waits for
then.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tpssim.live.handle import Handle

GRACE = 1.0  # s that calls may take after the end before it is reported


class Ending:
    """SIGINT and SIGTERM end a run in good order, a second one at once; so does the end of its
    seconds.

    `patience` says how long a call may take: "each at most 30 s".
    """

    def __init__(
        self, recording: Path, seconds: float | None, total: int | None, patience: str
    ) -> None:
        self.name = ""  #: of the signal that ended it
        self.after = 0.0  #: when it did, s since the start
        self.say = say  #: how it is reported
        self._recording, self._patience = recording, patience
        self._seconds, self._total = seconds, total
        self._handle: Handle | None = None  # of the run, once it has started
        self._over = threading.Event()

    @contextlib.contextmanager
    def begin(self, handle: Handle) -> Iterator[None]:
        """The run has started; the block is as long as it lasts."""
        self._handle = handle
        thread = threading.Thread(
            target=self._watch, args=(handle,), name="tpssim ending", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _watch(self, handle: Handle) -> None:
        """Stop the run when its time is over, and say so once if it then waits for calls."""
        if self._seconds is not None:
            if self._over.wait(self._seconds):
                return
            handle.stop()
        waited = False
        while not self._over.wait(GRACE):
            numbers, *_ = handle.flow.glimpse()
            if self.name or not numbers["in_flight"] or not self._last(numbers):
                waited = False
            elif waited:
                over = handle.flow.stopped or handle.flow.timing.now() >= handle.flow.ends
                why = "its time is over" if over else "all calls are released"
                n = numbers["in_flight"]
                calls = (
                    f"{n} call{'' if n == 1 else 's'} in hand {'is' if n == 1 else 'are'}"
                    " waited for"
                )
                self.say(f"{why}; {calls}, {self._patience}; Ctrl-C twice ends it at once")
                return
            else:
                waited = True

    def _last(self, numbers: dict[str, Any]) -> bool:
        """Whether no call will be released any more."""
        assert self._handle is not None
        flow = self._handle.flow
        return flow.ending or numbers["released"] + numbers["refused"] == self._total

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Ours in the block, those that were there before after it."""

        def stop(number: int, _: Any) -> None:
            if self._handle is None:
                raise KeyboardInterrupt
            if self.name:
                raise KeyboardInterrupt(
                    f"the run was cut off; its recording, {self._recording}, is readable"
                )
            self.name = signal.Signals(number).name
            flow = self._handle.flow
            self.after = flow.timing.now() - flow.pacer.start if flow.pacer else 0.0
            self._handle.stop()
            waited = f"the calls in hand are waited for, {self._patience}"
            self.say(f"{self.name}: {waited}; a second one ends it at once")

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def say(text: str) -> None:
    """A line on stderr, from a signal handler too, which may not wait for a buffered stream."""
    with contextlib.suppress(OSError):  # nobody may be reading
        os.write(2, f"tpssim: {text}\n".encode())
