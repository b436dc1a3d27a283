"""When the calls of a pool may begin: those that waited for a worker do not all begin at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from tpssim.controllers import CONTROLLERS
from tpssim.core.pacer import Pacer
from tpssim.core.profiles import Stages
from tpssim.live.arguments import draws
from tpssim.live.jobs import LOOK
from tpssim.live.session import Flow


class Begins:
    """The rule of releases again, for the begin of calls. Any thread.

    Released calls that waited for a worker would all begin as soon as the service is fast again,
    and the service sees their begin. So begins have a schedule of their own, with the run's wanted
    rate, late policy, costs, quotas and Retry-After. `due` gives the time when a call whose worker
    is free at `now` may begin. What still waits when the last stage is over begins at the highest
    rate of the profile. With `late="burst"` all waiting calls begin at once; with `tps=inf` every
    call does.

    >>> from tpssim import throttle
    >>> begins = Begins(throttle((), 10.0).flow)
    >>> [begins.due(now) for now in (0.0, 5.0, 5.0, 5.0)]  # workers free after 5 s
    [0.0, 5.0, 5.0, 5.1]
    """

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._lock = threading.Lock()
        self._pacer: Pacer | None = None
        self._changes = 0  # of the wanted rate, as far as they are known here

    def due(self, now: float, cost: float = 1.0) -> float:
        """When the next call may begin, s; its place is taken."""
        flow = self._flow
        with self._lock:
            pacer = self._pacer
            if pacer is None:
                pacer = self._pacer = self._new(now)
            elif flow.changes != self._changes:
                self._changes = flow.changes
                pacer.retarget(flow.since, _unending(flow.wanted))
            if flow.pacer is not None and flow.pacer.closed_until > pacer.closed_until:
                pacer.close_until(flow.pacer.closed_until)
            begin = max(pacer.due(cost), now)
            pacer.release(begin, cost)
            pacer.forgotten()
            return begin

    def waits(self, cost: float) -> Iterator[float]:
        """How long to sleep, s, again and again until a call may begin or the run has stopped.

        An answer that comes meanwhile may hold the call back, which then needs another time; what
        it took of quotas is not given back.
        """
        flow = self._flow
        now = flow.timing.now
        due = self.due(now(), cost)
        while not flow.stopped:
            if flow.pacer is not None and due < flow.pacer.closed_until:
                due = self.due(now(), cost)
            left = due - now()
            if left <= 0.0:
                return
            yield min(left, LOOK)

    def _new(self, now: float) -> Pacer:
        flow = self._flow
        self._changes = flow.changes
        start, origin = (now, now) if flow.pacer is None else (flow.pacer.start, flow.since)
        wanted = _unending(flow.wanted)
        law = CONTROLLERS["fixed"]()
        return Pacer(
            law,
            wanted,
            start,
            *draws(0),
            late=flow.late,
            origin=origin,
            quotas=flow.quotas,
            wall=flow.wall(),
            mean_cost=flow.mean_cost,
        )


def _unending(wanted: float | Stages) -> float | Stages:
    """A profile that goes on, at its highest rate."""
    if not isinstance(wanted, Stages):
        return wanted
    return Stages([*wanted.stages, (0.0, wanted.peak), (1e9, wanted.peak)], wanted.start)
