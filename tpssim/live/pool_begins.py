"""When the calls of a pool may begin: those that waited for a worker do not all begin at once."""

from __future__ import annotations

import math
import threading

from tpssim.core.schedule import anchor, next_due
from tpssim.live.session import Flow


class Begins:
    """The late policy again, for the begin of calls instead of their release. Any thread.

    Released calls that waited for a worker would all begin as soon as the service is fast again,
    and the service sees their begin. So begins have a schedule of their own, `tps` a second. `due`
    gives the time when a call whose worker is free at `now` may begin, by the rule of releases:

        due = max(previous + 1 / tps, now),  then previous = anchor(due, now)

    With `late="burst"` all waiting calls begin at once; with `tps=inf` every call does.

    >>> from tpssim import throttle
    >>> begins = Begins(throttle((), 10.0).flow)
    >>> [begins.due(now) for now in (0.0, 5.0, 5.0, 5.0)]  # workers free after 5 s
    [0.0, 5.0, 5.0, 5.1]
    """

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._lock = threading.Lock()
        self._previous = math.nan

    def due(self, now: float) -> float:
        """When the next call may begin, s; its place is taken."""
        late, target = self._flow.late, self._flow.target
        with self._lock:
            if target == math.inf:
                self._previous = now
                return now
            if math.isnan(self._previous):
                due = now if self._flow.pacer is None else self._flow.pacer.start
            else:
                due = next_due(self._previous, target, target)
            begin = max(due, now)
            self._previous, _ = anchor(late, due, begin, 1.0 / target, target)
            return begin
