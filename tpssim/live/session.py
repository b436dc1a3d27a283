"""A run: all of a throttle but its items and its waiting."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

from tpssim.live.permits import Permit
from tpssim.live.releases import Releases
from tpssim.live.report import Report
from tpssim.live.reporting import glimpse_of, report_of, why_of
from tpssim.live.session_state import SessionState
from tpssim.live.signal_handlers import by_handler
from tpssim.live.wanted import lasting

T = TypeVar("T")


class Flow(Releases):
    """A run as the throttles use it: the last step adds its end, its rehearsal and its reports.

    Methods that say "any thread" may also be called by signal handlers, finalisers and laws.
    """

    __slots__ = ()

    def stop(self) -> None:
        """Release nothing more, and send away those who wait for a slot. Any thread."""
        self.stopped = self.ending = True
        self._guard.post(self._send_away)

    def _send_away(self) -> None:
        self._ring()
        self.queue.call_all()

    def end_if_failed(self) -> None:
        """If the law or the recording has failed, the run is over."""
        if self._failure is not None or (
            self.journal is not None and self.journal.failure is not None
        ):
            self.stop()
            self.end()

    def rehearsal(self) -> Callable[[], bool]:
        """A release by a stand-in with the same law and code: see `PreciseClock.rehearse`."""
        stand_in = Flow(
            lasting(self.wanted),
            self.law,
            self.late,
            None,
            self.seed,
            self.timing,
            {},
            quotas=self.quotas,
        )
        stand_in._starved = True  # it has nobody to warn
        stand_in.want(stand_in.wanted, 0.0)
        pacer = stand_in.pacer = stand_in.new_pacer(0.0)

        def rehearse() -> bool:
            try:
                due = stand_in.deadline()
                permit = None if due is None or due == math.inf else stand_in.release(due, due)
            except Exception as error:
                if by_handler(error):
                    raise
                return False  # of the law: if it does the same in the run, the run is aborted
            if permit is not None:
                permit.open = False
                permit.__class__ = Permit
                pacer.forgotten()
            return True

        return rehearse

    def __del__(self) -> None:
        if hasattr(self, "journal"):
            self.end()  # nobody is left who could settle a call

    def why(self) -> str:
        """Why the law last moved an actuator, in its own words. Any thread."""
        return why_of(self)

    def glimpse(self) -> tuple[dict[str, Any], bytes, bytes]:
        """Numbers and the bins of lateness and latency, for a live monitor. Any thread; 20 us."""
        return self._reported(glimpse_of)

    def report(self) -> Report:
        """The run so far. Any thread."""
        return self._reported(report_of)

    def _reported(self, of: Callable[[SessionState], T]) -> T:
        with self._lock:
            self._count()
            found = of(self)
        if self._guard.mail:
            self._guard.drain()
        return found
