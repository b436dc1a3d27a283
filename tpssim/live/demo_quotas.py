"""The quotas of the demo server: which calls have room, and when the others are to come back.

The record is the model's, the counting is not: so each can test the other, and the pacer's quotas.
Fixed windows begin with the first call.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from tpssim.core.errors import InputError
from tpssim.core.validation import checked
from tpssim.scenarios.service_quotas import ServiceQuota


class Counted:
    """What one quota has counted. Times never go back.

    >>> one = Counted(ServiceQuota(2.0, 1.0))
    >>> for now in (0.0, 0.25):
    ...     one.count(now, 1.0)
    >>> one.wait(0.5, 1.0), one.wait(1.0, 1.0)
    (0.5, 0.0)
    """

    def __init__(self, quota: ServiceQuota) -> None:
        self.quota = quota
        self._calls: deque[tuple[float, float]] = deque()  # (until when it counts, how much)
        self._first = math.nan

    def _amount(self, cost: float) -> float:
        return cost if self.quota.of == "cost" else 1.0

    def wait(self, now: float, cost: float) -> float:
        """How long until there is room for a call, s: 0 if there is, inf if there never will be."""
        while self._calls and self._calls[0][0] <= now:
            self._calls.popleft()
        amount = self._amount(cost)
        if amount > self.quota.amount:
            return math.inf
        over = math.fsum(counted for _, counted in self._calls) + amount - self.quota.amount
        wait = 0.0
        for until, counted in self._calls:
            if over <= 0.0:
                break
            over -= counted
            wait = until - now
        return wait

    def count(self, now: float, cost: float) -> None:
        """A call counts from now on."""
        if self._first != self._first:
            self._first = now
        until = now + self.quota.per
        if self.quota.window == "fixed":
            window = math.floor((now - self._first) / self.quota.per)
            until = self._first + (window + 1) * self.quota.per
        self._calls.append((until, self._amount(cost)))


class DemoQuotas:
    """All quotas of a server: a call is let in if it has room in each of them.

    >>> a_minute = ServiceQuota(100.0, 60.0, of="cost", retry_after=1.0)
    >>> quotas = DemoQuotas([ServiceQuota(1.0, 1.0), a_minute])
    >>> [quotas.refusal(now, cost) for now, cost in [(0.0, 60.0), (0.5, 1.0), (1.5, 60.0)]]
    [None, 0.0, 58.5]
    """

    def __init__(self, quotas: Sequence[ServiceQuota]) -> None:
        self._counted = [Counted(checked(quota, "quota")) for quota in quotas]
        self.refused = 0

    def refusal(self, now: float, cost: float) -> float | None:
        """None if a call that arrives now is let in; else in how many seconds it shall come
        back, 0 if the answer does not say.
        """
        if not 0.0 <= cost < math.inf:
            raise InputError(f"cost={cost:g}; allowed: a number in [0, inf)")
        lacking = [one for one in self._counted if one.wait(now, cost) > 0.0]
        for one in self._counted:
            if not lacking or one.quota.counts_refused > 0.0:
                one.count(now, cost)
        if not lacking:
            return None
        self.refused += 1
        waits = [one.wait(now, cost) for one in lacking if one.quota.retry_after > 0.0]
        longest = max(waits, default=0.0)
        return longest if longest < math.inf else 0.0
