"""Permits: each allows one call, and reports the outcome of that call."""

from __future__ import annotations

import math
from typing import Any, Protocol, TypeVar

from tpssim.core.types import FAILED, OK, REJECTED, TIMED_OUT, UNFINISHED
from tpssim.live.outcomes import WELL, Classify, Outcome, checked_wait, outcome_of
from tpssim.live.outcomes import Rejected as Rejected

T = TypeVar("T")

BAD, UNKNOWN = Outcome(FAILED), Outcome(UNFINISHED)


class Run(Protocol):
    """What a permit needs of its run."""

    classify: Classify | None
    outcome_reported: bool

    def began(self, permit: Permit) -> None: ...
    def settle(self, permit: Permit, outcome: int) -> float: ...
    def abandon(self, permit: Permit) -> None: ...


class Permit:
    """A permit for one call. As a context it settles the call, with its latency and its outcome.

    By the rule of `tpssim.live.outcomes`, an exception in the body is a refusal (a status of 429 or
    503), a timeout or a failure, whichever client raised it. The exception then reaches the caller.
    Pass a response that raises nothing to `see`. Without a `with`, call `see`, `done`, `fail`,
    `refused` or `drop`: the first settles the call, later ones do nothing. Any thread may settle
    it.

    >>> import tpssim
    >>> handle = tpssim.throttle(range(3), tps=1000.0)
    >>> for item, permit in handle.permits():
    ...     with permit:
    ...         if item == 1:
    ...             permit.refused(retry_after=2.0)
    >>> handle.report().ok, handle.report().drops
    (2, 1)
    """

    #: (frame, place) of the `with` of a limiter that it was entered by, if it was.
    within: Any
    __slots__ = (
        "_run",
        "begun",
        "call",
        "cost",
        "in_flight",
        "open",
        "outcome",
        "released",
        "scheduled",
        "within",
    )

    def __init__(
        self,
        run: Run,
        call: int,
        scheduled: float,
        released: float,
        in_flight: int,
        cost: float = 1.0,
    ) -> None:
        self._run = run
        self.call = call  #: number of the slot
        self.scheduled = scheduled  #: when it was due, s on the throttle's clock
        self.released = released  #: when it was given, s
        self.in_flight = in_flight  #: calls in flight then, this one included
        self.cost = cost  #: what the call counts for
        #: when a worker began the call, s; nan if none has yet, or there are no workers
        self.begun = math.nan
        self.open = False  #: whether the call has begun, and nobody has settled it
        self.outcome: Outcome | None = None  #: the outcome of the call, once it is known

    def begin(self) -> None:
        """A worker has begun the call; the report shows how long the call waited since its release.

        `run` and `arun` do this for their workers; a pool of your own may do it.
        """
        self._run.began(self)

    def done(self) -> None:
        """The call succeeded."""
        if self.open:
            self.outcome = WELL
            self._run.outcome_reported = True
        self._run.settle(self, OK)

    def passed(self) -> float:
        """The loop goes on: the call is over, and counts as ok unreported. Returns when, s."""
        if self.open:
            self.outcome = WELL
        return self._run.settle(self, OK)

    def fail(self) -> None:
        """The call failed; its latency is no observation of the service's speed."""
        self._settle(BAD)

    def refused(self, retry_after: float | None = None) -> None:
        """The service refused the call (429, 503): a sign of overload. `retry_after`: when to come
        back, in seconds from now, if it said so.
        """
        self._settle(Outcome(REJECTED, checked_wait(retry_after)))

    def drop(self, timed_out: bool = False) -> None:
        """The service refused the call (429, 503), or it timed out: a sign of overload."""
        self._settle(Outcome(TIMED_OUT if timed_out else REJECTED))

    def forget(self) -> None:
        """The call was given up, and is no observation of the service."""
        self._settle(UNKNOWN)

    def see(self, answer: T) -> T:
        """The call is over, with this response or exception, which is returned; its status is the
        outcome.

        A response below 400 is ok, 429 and 503 are refusals, the rest are failures. Any other
        object (see `tpssim.live.outcomes.outcome_of`) is ok too.
        """
        self._judge(answer)
        return answer

    def _judge(self, answer: Any) -> None:
        if not self.open:
            return
        try:
            outcome = outcome_of(answer, self._run.classify)
        except BaseException:  # of the user's own function
            self._settle(outcome_of(answer))
            raise
        self._settle(outcome)

    def _settle(self, outcome: Outcome) -> float:
        if self.open:
            self.outcome = outcome
            if outcome is not UNKNOWN:
                self._run.outcome_reported = True
        return self._run.settle(self, outcome.code)

    def __enter__(self) -> Permit:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: Any) -> None:
        if not self.open:  # the body has settled it
            return
        try:
            if kind is None:
                self.outcome = WELL
                self._run.settle(self, OK)
            else:
                self._judge(error)
        except (
            BaseException
        ):  # of a signal handler: nobody settles it later, and the exception may be kept for long
            if self.open:
                self.forget()
            raise

    async def __aenter__(self) -> Permit:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: Any, trace: Any) -> None:
        self.__exit__(kind, error, trace)


class OpenPermit(Permit):
    """A permit that nobody has settled yet; when it becomes garbage, its call is forgotten.

    When it is settled it becomes a plain `Permit`, which has no finaliser, because an exception
    that a signal handler raises during a finaliser is lost. (At the first instruction of this one
    it is still lost, and then the call stays in flight; Python offers no way to prevent that.)
    """

    __slots__ = ()

    def __del__(self) -> None:
        try:
            lost = self.open
        except AttributeError:  # an exception came while the permit was made
            return
        if lost:
            self._run.abandon(self)
