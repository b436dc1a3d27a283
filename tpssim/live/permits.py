"""What a user of the throttles holds: the permit for one call, the handle of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tpssim.core import FAILED, OK, REJECTED, TIMED_OUT, UNFINISHED
from tpssim.live.account import Report

if TYPE_CHECKING:
    from tpssim.live.flow import Flow


class Rejected(Exception):
    """Raise it in a call: the service refused it (429, 503), a sign of overload; a drop to the law."""


class Permit:
    """Leave to make one call. As a context it settles the call: latency from the release, and the outcome.

    An exception in the body is a failure that the law sees (`TimeoutError`, `Rejected`: a drop), and goes on
    to the caller. Without a `with`, or for an outcome that is no exception, call `done`, `fail` or `drop`;
    the first settles the call, later ones do nothing. Any thread may settle it.
    """

    __slots__ = ("_flow", "call", "in_flight", "open", "released", "scheduled")

    def __init__(self, flow: Flow, call: int, scheduled: float, released: float, in_flight: int) -> None:
        self._flow = flow
        self.call = call  #: number of the slot
        self.scheduled = scheduled  #: when it was due, s on the throttle's clock
        self.released = released  #: when it was given, s
        self.in_flight = in_flight  #: calls in flight then, this one included
        self.open = True

    def done(self) -> None:
        """The call went well."""
        self._flow.settle(self, OK)

    def fail(self) -> None:
        """The call failed; its latency is no news of the service's speed."""
        self._flow.settle(self, FAILED)

    def drop(self, timed_out: bool = False) -> None:
        """The service refused the call (429, 503), or it timed out: a sign of overload."""
        self._flow.settle(self, TIMED_OUT if timed_out else REJECTED)

    def forget(self) -> None:
        """The call was given up: no news of the service."""
        self._flow.settle(self, UNFINISHED)

    def __enter__(self) -> Permit:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: Any) -> None:
        if kind is None:
            self.done()
        elif issubclass(kind, TimeoutError):
            self.drop(timed_out=True)
        elif issubclass(kind, Rejected):
            self.drop()
        elif issubclass(kind, Exception):
            self.fail()
        else:
            self.forget()  # interrupted or cancelled

    async def __aenter__(self) -> Permit:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: Any, trace: Any) -> None:
        self.__exit__(kind, error, trace)


def told(outcome: int) -> tuple[float, float]:
    """(errors, drops) of one call, as a law is told."""
    error = 0.0 if outcome == OK else 1.0
    return error, 0.0 if outcome == FAILED else error


class Handle:
    """The handle of a run, whatever waits for it. All of it may be used from any thread."""

    flow: Flow

    @property
    def tps(self) -> float:
        """The wanted rate, 1/s; set it to change it while running."""
        return self.flow.target

    @tps.setter
    def tps(self, tps: float) -> None:
        self.flow.retarget(tps)

    def stop(self) -> None:
        """Release nothing more; the iteration ends. Signal handlers may call it too."""
        self.flow.stop()

    def why(self) -> str:
        """Why the law last moved a valve."""
        return self.flow.why()

    def report(self) -> Report:
        """The run so far, in numbers."""
        return self.flow.report()
