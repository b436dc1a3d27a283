"""What a run is handed, and what it notes of a release until that is counted."""

from __future__ import annotations

from typing import Any, Protocol

from tpssim.live.wanted import Points


class Timing(Protocol):
    """What a run needs of the clock that its throttle waits on."""

    @property
    def spun(self) -> float: ...
    @property
    def threshold(self) -> float: ...
    def now(self) -> float: ...
    def after_fork(self) -> None: ...


class Bell(Protocol):
    """What the head of the queue waits with."""

    def wake(self) -> None: ...


class Release:
    """A release that is not counted yet.

    It is made before the release and filled in by plain stores, which no signal handler interrupts.
    """

    __slots__ = (
        "asked",
        "begun",
        "blocked",
        "call",
        "cost",
        "due",
        "fetching",
        "flying",
        "gate",
        "limited",
        "now",
        "opened",
        "profile",
        "retrying",
        "seen",
        "state",
        "target",
        "unit",
    )
    due: float  #: s
    now: float  #: when it was released, s
    target: float  #: the wanted rate, 1/s
    profile: Points | None  #: the wanted rate over time, if there is one
    seen: float  #: the one that the law saw last, calls per second
    asked: float  #: the same in cost per second
    unit: float  #: what a call counted as for the law
    cost: float  #: of the call
    gate: int  #: what held it back: a quota, or behind them Retry-After; -1: nothing did
    opened: float  #: when that let it through, s
    begun: float  #: as in `Tally.release`, s
    limited: bool  #: whether the limit delayed it
    call: int
    flying: int  #: calls in flight, this one included
    state: Any  #: of the law
    blocked: float  #: total time so far in the caller's code, s
    fetching: float  #: total time so far in the iterable, s
    retrying: float  #: total time so far spent waiting for retries alone, s
