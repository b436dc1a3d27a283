"""Why the generator itself releases late: judged a second at a time."""

from __future__ import annotations

import math
import sys
import threading
import time

from tpssim.live.stats import Tally
from tpssim.output import format

#: Fewer late releases than these are chance.
FEW_LATE = 5


def queued() -> float:
    """How long this thread has waited for a core so far, s; nan where the system does not say."""
    if sys.is_finalizing():  # a report of what nobody closed; `open` may be gone
        return math.nan
    try:
        with open("/proc/thread-self/schedstat", "rb") as file:
            return int(file.read().split()[1]) * 1e-9
    except (OSError, IndexError, ValueError):
        return math.nan


class Watch:
    """Is the generator late, and why? Judges stretches of a second (or of ten releases, if that
    is longer). Only the pacing thread judges, for no other thread can read its processor time."""

    def __init__(self, tally: Tally, now: float, in_loop: bool) -> None:
        self._tally = tally
        self._in_loop = in_loop  # whether the pacing thread is an event loop
        self._pacing = threading.get_ident()
        self._worst = 1
        #: why releases came late in the stretch in which most did; "" while none has
        self.cause = ""
        self._warned = self._judging = False
        self._begin(now)

    def _begin(self, now: float) -> None:
        """A stretch begins."""
        tally = self._tally
        self._since, self._planned = now, tally.planned
        self.look_after = now + 1.0  #: nothing is judged before, s
        self._released, self._behind = tally.released, tally.behind
        self._computed = math.fsum(tally.computed)
        self._process, self._thread, self._queued = (
            time.process_time(),
            time.thread_time(),
            queued(),
        )

    def look(self, now: float) -> str:
        """What to warn of after a release, once: one in five was late because of the generator,
        for a reason that the reader can remove."""
        seconds = now - self._since
        released, behind = self._tally.released - self._released, self._tally.behind - self._behind
        if seconds <= 1.0 or released < 10:
            return ""
        cause, helps = self.judge(now)
        self._begin(now)
        if self._warned or not helps or behind <= 0.2 * released or behind < FEW_LATE:
            return ""
        self._warned = True
        return f"{behind} of {released} releases came late in the last {seconds:.1f} s, for {cause}"

    def judge(self, now: float) -> tuple[str, bool]:
        """Why releases were late in this stretch so far, and whether the reader can remove the
        reason. Does nothing in another thread."""
        behind = self._tally.behind - self._behind
        if not behind or self._judging or threading.get_ident() != self._pacing:
            return "", False
        self._judging = True  # a signal handler that comes meanwhile may ask for a report, too
        try:
            cause, helps = self._found(max(now - self._since, 1e-9))
        finally:
            self._judging = False
        if behind >= self._worst:
            self._worst, self.cause = behind, cause
        return cause, helps

    def _found(self, seconds: float) -> tuple[str, bool]:
        mine = (time.thread_time() - self._thread) / seconds
        others = (time.process_time() - self._process) / seconds - mine
        slots = self._tally.planned - self._planned
        wanted = self._tally.of_calls(slots) / (self._tally.released - self._released)
        waited = (queued() - self._queued) / seconds
        if others > 0.15 and self._tally.computed:
            calls = (math.fsum(self._tally.computed) - self._computed) / seconds
            # A call that is still open is not among them.
            who = (
                "the calls themselves"
                if calls > 0.5 * others
                else "the calls, or other threads of this process,"
            )
            return (
                (
                    f"{who} compute ({format.share(others)} of a core) and hold the interpreter"
                    " lock: fewer workers make as many of such calls, processes make more"
                ),
                True,
            )
        if others > 0.15:  # on a busy machine they get no more than that
            return (
                (
                    f"other threads of this process compute ({format.share(others)} of a core)"
                    " and hold the interpreter lock; move them to a process, or"
                    " sys.setswitchinterval(1e-4)"
                ),
                True,
            )
        if mine * wanted > 0.9 and not self._in_loop:  # the cores that the commanded rate needs
            return (
                "the pacing thread is busy all the time: the rate is too high for one thread",
                True,
            )
        others_run = (
            f"other processes keep this thread from its core ({format.share(waited)} of the time)"
        )
        if self._in_loop:  # both may hold
            also = f", or {others_run}" if waited > 0.1 else ""
            return f"a task computes or blocks the event loop too long without await{also}", True
        if waited > 0.1:
            return others_run, False
        return "the system wakes this thread late", False
