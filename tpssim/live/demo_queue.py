"""The queue of the demo server: when each answer is due, computed, so that its rate is exact."""

from __future__ import annotations

import heapq
import itertools
import math
import threading
from collections import deque
from collections.abc import Sequence

from tpssim.core.errors import InputError
from tpssim.core.validation import MOST_THREADS, checked_count

#: (seconds after the first request, answers per second from then on)
Change = tuple[float, float]


def parse_schedule(text: str) -> list[Change]:
    """`10:200,30:800` as [(10.0, 200.0), (30.0, 800.0)]; raises `InputError`."""
    changes = []
    for part in text.split(","):
        at, colon, rate = part.partition(":")
        try:
            change = float(at), float(rate)
        except ValueError:
            change = math.nan, math.nan
        if not colon or not 0.0 <= change[0] < math.inf or not 0.0 < change[1] < math.inf:
            raise InputError(
                f"schedule {text!r}: {part!r} is not SECONDS:RATE; allowed: such as 10:200,30:800"
            )
        changes.append(change)
    if any(after <= before for (before, _), (after, _) in itertools.pairwise(changes)):
        raise InputError(f"schedule {text!r}: its times do not rise; allowed: rising seconds")
    return changes


class VirtualQueue:
    """`servers` servers, first come first served, that serve `rate` answers per second; at most
    `places` requests wait.

    An answer to a request at `now` is due at `max(now, first free server) + servers / rate`. After
    a change of the rate, new requests take the new time; those that wait keep theirs.

    >>> queue = VirtualQueue(rate=4.0, servers=1, places=1)
    >>> [queue.due(0.0), queue.due(0.0), queue.due(0.0)]
    [0.25, 0.5, None]
    """

    def __init__(
        self,
        rate: float,
        servers: int = 1,
        places: float = math.inf,
        schedule: Sequence[Change] = (),
    ) -> None:
        for name, value in (("rate", rate), ("servers", servers)):
            if not 0.0 < value < math.inf:
                raise InputError(f"{name}={value:g} is out of range; allowed: (0, inf)")
        checked_count("servers", servers, 1, MOST_THREADS)
        if not places >= 0.0:
            raise InputError(f"queue={places:g} is out of range; allowed: [0, inf]")
        self.rate = rate
        self.places = places
        self.free_at = [0.0] * servers
        self.changes = list(schedule)
        self.begins: deque[float] = deque()  # of those that wait
        self.first = math.nan
        self.answered = self.rejected = 0
        self._lock = threading.Lock()

    def due(self, now: float) -> float | None:
        """When a request that arrives now is answered; None if it is refused."""
        with self._lock:
            if math.isnan(self.first):
                self.first = now
            while self.changes and self.changes[0][0] <= now - self.first:
                self.rate = self.changes.pop(0)[1]
            while self.begins and self.begins[0] <= now:
                self.begins.popleft()
            begin = max(now, self.free_at[0])
            if begin > now:
                if len(self.begins) >= self.places:
                    self.rejected += 1
                    return None
                self.begins.append(begin)
            self.answered += 1
            end = begin + len(self.free_at) / self.rate
            heapq.heapreplace(self.free_at, end)
            return end

    def answer(self, now: float, cost: float) -> tuple[int, float, float]:
        """Status of the answer to a call that arrives now, when it is due, and how long until the
        caller is to come back: nobody says that here, and costs do not matter."""
        due = self.due(now)
        return (503, now, 0.0) if due is None else (200, due, 0.0)

    def set_rate(self, rate: float) -> None:
        """From now on so many answers per second; the schedule is discarded."""
        if not 0.0 < rate < math.inf:
            raise InputError(f"rate={rate:g} is out of range; allowed: (0, inf)")
        with self._lock:
            self.rate = rate
            self.changes.clear()

    def report(self) -> dict[str, float]:
        """Its capacity, and what it has done so far."""
        with self._lock:
            return {
                "rate": self.rate,
                "servers": len(self.free_at),
                "answered": self.answered,
                "rejected": self.rejected,
            }
