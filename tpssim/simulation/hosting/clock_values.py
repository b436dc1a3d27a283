"""What hosted code sees of the virtual clock: numbers and datetimes that notice what they are
compared with.

An instant to come with which the code compares a look, or from which it takes one, is the deadline
that it waits for, whichever clock it looks at. What is computed from a look is of the plain type
again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tpssim.simulation.hosting.threads import Span, current

#: What the wall clock shows at virtual time 0: 2026-01-01 UTC.
EPOCH = 1_767_225_600
EPOCH_NS = EPOCH * 10**9


class _Look:
    """The comparisons and differences of a look; the type that it is mixed into does the
    arithmetic.
    """

    __slots__ = ()

    def _since_start(self, other: Any) -> float | None:
        """The virtual time at which this clock shows `other`; None if it never does."""
        raise NotImplementedError

    def _notice(self, other: Any, scheduled: bool = False) -> None:
        try:
            deadline = self._since_start(other)
        except OverflowError:  # an integer that no clock will ever show
            return
        vthread = current()
        if deadline is not None and vthread is not None:
            vthread.notice(deadline, scheduled)

    def __lt__(self, other: Any) -> Any:
        self._notice(other)
        return super().__lt__(other)  # type: ignore[misc]

    def __le__(self, other: Any) -> Any:
        self._notice(other)
        return super().__le__(other)  # type: ignore[misc]

    def __gt__(self, other: Any) -> Any:
        self._notice(other)
        return super().__gt__(other)  # type: ignore[misc]

    def __ge__(self, other: Any) -> Any:
        self._notice(other)
        return super().__ge__(other)  # type: ignore[misc]


class Instant(_Look, float):
    """`time.monotonic`, `time.perf_counter`: seconds since the start."""

    __slots__ = ()

    def _since_start(self, other: Any) -> float | None:
        return float(other) if isinstance(other, (int, float)) else None

    def __rsub__(self, other: Any) -> Any:
        self._notice(other, scheduled=True)
        left = float.__rsub__(self, other)
        return left if left is NotImplemented else Span(left)


class WallInstant(Instant):
    """`time.time`: seconds since 1970."""

    __slots__ = ()

    def _since_start(self, other: Any) -> float | None:
        return float(other) - EPOCH if isinstance(other, (int, float)) else None


class Ticks(_Look, int):
    """`time.monotonic_ns`, `time.perf_counter_ns`: nanoseconds since the start."""

    __slots__ = ()

    def _since_start(self, other: Any) -> float | None:
        return float(other) / 1e9 if isinstance(other, (int, float)) else None

    def __rsub__(self, other: Any) -> Any:
        self._notice(other, scheduled=True)
        return super().__rsub__(other)


class WallTicks(Ticks):
    """`time.time_ns`: nanoseconds since 1970."""

    __slots__ = ()

    def _since_start(self, other: Any) -> float | None:
        return float(other - EPOCH_NS) / 1e9 if isinstance(other, (int, float)) else None


class Left(timedelta):
    """A datetime to come less now, unchanged since it was taken."""

    def total_seconds(self) -> Span:
        return Span(super().total_seconds())

    def __reduce__(self) -> Any:
        return timedelta, (self.days, self.seconds, self.microseconds)

    def __repr__(self) -> str:
        return repr(timedelta(self.days, self.seconds, self.microseconds))


class Moment(_Look, datetime):
    """`datetime.now`, `utcnow`, `today`: a datetime in every respect, of whole microseconds as the
    real one.

    What is made of it (by arithmetic, `replace`, `astimezone`, pickling) is a plain one.
    """

    micros: int  #: virtual microseconds since the start

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return datetime(*args, **kwargs)

    @classmethod
    def of(cls, shown: datetime, micros: int) -> Moment:
        moment = datetime.__new__(
            cls,
            *(shown.year, shown.month, shown.day, shown.hour, shown.minute, shown.second),
            microsecond=shown.microsecond,
            tzinfo=shown.tzinfo,
            fold=shown.fold,
        )
        moment.micros = micros
        return moment

    def _plain(self) -> datetime:
        return datetime.combine(self.date(), self.timetz())

    def _since_start(self, other: Any) -> float | None:
        if not isinstance(other, datetime) or (other.utcoffset() is None) != (
            self.utcoffset() is None
        ):
            return None
        return (self.micros + (other - self._plain()) // timedelta(microseconds=1)) / 1e6

    def __rsub__(self, other: Any) -> Any:
        if not isinstance(other, datetime):
            return NotImplemented
        self._notice(other, scheduled=True)
        left = other - self._plain()
        return Left(left.days, left.seconds, left.microseconds)

    def replace(self, *args: Any, **kwargs: Any) -> Any:
        return self._plain().replace(*args, **kwargs)

    __replace__ = replace

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._plain().__reduce_ex__(protocol)

    def __repr__(self) -> str:
        return repr(self._plain())
