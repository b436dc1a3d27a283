"""Quotas of a service: how much it takes in a window, and when the window has room again.

Records and arithmetic on plain numbers and arrays, which the simpy model runs as they are and the
compiled engine compiles.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, NamedTuple

from tpssim.core.quota_windows import EPSILON
from tpssim.core.quotas import wrong_words
from tpssim.core.types import ceiled, floored, record
from tpssim.core.validation import FLAG, Range


@record
class ServiceQuota(NamedTuple):
    """So many calls, or so much cost, in a window of `per` seconds; a call beyond them is rejected.

    A call of cost `c` (1 where calls are counted) that begins at `t` has room if `used(t) + c <=
    amount`. In a rolling window `used(t)` is what began in `(t - per, t]`; fixed windows are `[k
    per, (k + 1) per)` from the start of the run. A call that quotas reject is counted with
    `counts_refused` 1 alone, in every quota that has it; one that they let in is counted, though
    the backend may reject it for want of a place, or by its limit or rate. With `retry_after` 1 the
    answer says in how many seconds the window has room for the call, if nothing else comes; an
    answer to a call that costs more than `amount` does not say; with `whole` the wait is rounded up
    to a multiple of it, as HTTP's header is to whole seconds. The model rejects as `Backend` does,
    with an error after the plain service time, or in silence; with `at_once` 1 the error takes no
    service time. Of several quotas the largest `whole` and `at_once` hold.

    >>> from tpssim import Backend
    >>> a_minute = 60.0
    >>> llm = (ServiceQuota(500.0, a_minute), ServiceQuota(200e3, a_minute, of="cost"))
    >>> Backend(quotas=llm).quotas[1].of
    'cost'
    """

    amount: Annotated[
        float,
        Range(0.0, math.inf, "calls or cost", closed_low=False, closed_high=False),
        "calls, or their cost, that a window takes",
    ]
    per: Annotated[float, Range(1e-6, 1e6, "s"), "length of the window"]
    of: Annotated[str, "what is counted: calls or cost"] = "calls"
    window: Annotated[str, "how the window moves: rolling or fixed"] = "rolling"
    counts_refused: Annotated[
        float, Range(0.0, 1.0, FLAG), "1: rejected calls are counted too; 0: they are not"
    ] = 0.0
    retry_after: Annotated[
        float, Range(0.0, 1.0, FLAG), "1: a rejection says when to come back; 0: it does not"
    ] = 0.0
    whole: Annotated[
        float, Range(0.0, 1e6, "s"), "of which the wait that is said is a multiple; 0: any wait"
    ] = 0.0
    at_once: Annotated[
        float, Range(0.0, 1.0, FLAG), "1: a rejection takes no service time; 0: the plain one"
    ] = 0.0

    def conflict(self) -> str:
        """What the words and the amount of a quota may be."""
        return wrong_words(self.of, self.window, self.amount)


@record
class QuotaRow(NamedTuple):
    """A quota as numbers, for both engines.

    >>> quota_row(ServiceQuota(100.0, 60.0, of="cost")).by_cost
    1.0
    """

    amount: float
    per: float
    by_cost: float  #: 1 if it counts cost, else calls
    fixed: float  #: 1 if its windows are fixed
    counts_refused: float
    retry_after: float
    whole: float
    at_once: float


def quota_row(quota: ServiceQuota) -> QuotaRow:
    """The quota as numbers."""
    return QuotaRow(
        amount=quota.amount,
        per=quota.per,
        by_cost=float(quota.of == "cost"),
        fixed=float(quota.window == "fixed"),
        counts_refused=quota.counts_refused,
        retry_after=quota.retry_after,
        whole=quota.whole,
        at_once=quota.at_once,
    )


#: What a window is, by position in its book: what is used; the first entry of the ring and the
#: number of entries, or the number of the fixed window.
USED, FIRST, ENTRIES, NUMBER = 0, 1, 2, 1
BOOK = 3


def weight(quota: QuotaRow, cost: float) -> float:
    """What a call of that cost takes up."""
    return cost if quota.by_cost > 0.0 else 1.0


def window_number(now: float, per: float) -> float:
    """Which of the fixed windows holds a moment, however its ends are rounded.

    >>> window_number(0.3, 0.1), window_number(3 * 0.1, 0.1)  # the third begins just after 0.3
    (2.0, 3.0)
    """
    number = floored(now / per)
    if (number + 1.0) * per <= now:
        number += 1.0
    if number * per > now:
        number -= 1.0
    return number


def brought_up(quota: QuotaRow, now: float, times: Any, weights: Any, book: Any) -> float:
    """What the window has used at `now`; what has left it is dropped from its ring and its book."""
    if quota.fixed > 0.0:
        number = window_number(now, quota.per)
        if number != book[NUMBER]:
            book[NUMBER] = number
            book[USED] = 0.0
        return float(book[USED])
    first, entries, used, size = int(book[FIRST]), int(book[ENTRIES]), book[USED], len(times)
    while entries > 0 and times[first] + quota.per <= now:
        used -= weights[first]
        first = first + 1 if first + 1 < size else 0
        entries -= 1
    if entries == 0:
        used = 0.0  # without what rounding left
    book[USED], book[FIRST], book[ENTRIES] = used, first, entries
    return float(used)


def has_room(quota: QuotaRow, now: float, cost: float, times: Any, weights: Any, book: Any) -> bool:
    """Whether the window has room for a call that begins now."""
    return brought_up(quota, now, times, weights, book) + weight(quota, cost) <= quota.amount


def opening(quota: QuotaRow, now: float, cost: float, times: Any, weights: Any, book: Any) -> float:
    """When the window, brought up to now, has room for a call of that cost if nothing else comes;
    inf if never.
    """
    wanted, used = weight(quota, cost), book[USED]
    if wanted > quota.amount:
        return math.inf
    if used + wanted <= quota.amount:
        return now
    if quota.fixed > 0.0:
        return float((book[NUMBER] + 1.0) * quota.per)
    at, entries, size = int(book[FIRST]), int(book[ENTRIES]), len(times)
    opened = now
    while entries > 0 and used + wanted > quota.amount:
        used -= weights[at]
        opened = times[at] + quota.per
        at = at + 1 if at + 1 < size else 0
        entries -= 1
    return float(opened)


def is_full(quota: QuotaRow, times: Any, book: Any) -> bool:
    """Whether the ring must grow before another call is counted."""
    return quota.fixed == 0.0 and book[ENTRIES] >= len(times)


def count(quota: QuotaRow, now: float, cost: float, times: Any, weights: Any, book: Any) -> None:
    """Count a call that begins now; the ring of a rolling window has room for it (`is_full`)."""
    taken = weight(quota, cost)
    book[USED] += taken
    if quota.fixed == 0.0:
        size = len(times)
        at = int(book[FIRST]) + int(book[ENTRIES])
        at = at - size if at >= size else at
        times[at], weights[at] = now, taken
        book[ENTRIES] += 1.0


def seconds_until(opens: float, sent: float, whole: float = 0.0) -> float:
    """What an answer sent at `sent` says in Retry-After, s: `sent` plus it is not before `opens`.

    0 where the answer comes later than that, or the window never opens. `whole`: it is a multiple
    of that.

    >>> seconds_until(61.0, 1.5) + 1.5 >= 61.0, seconds_until(1.0, 2.0)
    (True, 0.0)
    >>> seconds_until(2.0, 1.5, whole=1.0)
    1.0
    """
    if not sent < opens < math.inf:
        return 0.0
    wait = opens - sent
    if whole > 0.0:
        wait = ceiled(wait / whole) * whole
    # A last bit less, and the caller would come back too early.
    return wait if sent + wait >= opens else wait + opens * EPSILON


def grown(times: list[float], weights: list[float], book: list[float]) -> None:
    """Double the ring of a window, whose entries then begin at its first place."""
    first = int(book[FIRST])
    for ring in (times, weights):
        ring[:] = ring[first:] + ring[:first] + [0.0] * len(ring)
    book[FIRST] = 0.0


class Meters:
    """The windows of a backend's quotas in one run, for the simpy model.

    >>> meters = Meters((ServiceQuota(1.0, 10.0, retry_after=1.0),))
    >>> meters.take(0.0, 1.0), meters.take(4.0, 1.0)  # the second has room at 10
    (-1.0, 10.0)
    """

    def __init__(self, quotas: tuple[ServiceQuota, ...]) -> None:
        self.rows = [quota_row(quota) for quota in quotas]
        self.rings = [([0.0] * 16, [0.0] * 16, [0.0] * BOOK) for _ in quotas]

    def take(self, now: float, cost: float) -> float:
        """Count a call that begins now if it has room: -1 then, else when it is to come back (inf:
        nobody says).
        """
        windows = list(zip(self.rows, self.rings, strict=True))
        lacking = [pair for pair in windows if not has_room(pair[0], now, cost, *pair[1])]
        for row, ring in windows:
            if not lacking or row.counts_refused > 0.0:
                if is_full(row, ring[0], ring[2]):
                    grown(*ring)
                count(row, now, cost, *ring)
        if not lacking:
            return -1.0
        opens = [opening(row, now, cost, *ring) for row, ring in lacking if row.retry_after > 0.0]
        return max(opens, default=math.inf)
