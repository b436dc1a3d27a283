"""When a known quota has room for a call: arithmetic of its windows.

A quota is a record of floats, its releases a ring (`times`, `weights`), and what else it remembers
a `book` of floats, all zeros at the start, so that the same functions run on lists and on arrays,
interpreted and compiled. Times never go back.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tpssim.core.types import ceiled, floored, record

#: A float lies within this share of the true value.
EPSILON = 2.0**-52


@record
class Ceiling(NamedTuple):
    """A quota as numbers."""

    amount: float
    length: float  #: of a rolling window, s; from one fixed window to the next
    by_cost: float  #: 1 if it counts cost, else calls
    fixed: float  #: 1 if its windows are fixed
    origin: float  #: when a fixed window begins, s
    half: float  #: by how much a fixed window is lengthened at either end, s
    burst: float  #: at most the amount
    fill: float  #: of the bucket, 1/s


#: The book, by position. What the window has used and, with it, what rounding took of that; the
#: first entry of the ring and how many there are; the latest fixed window that counts anything and
#: what the one before it has used; when the bucket is full again.
USED, LOST, FIRST, ENTRIES, NUMBER, BEFORE, FULL_AT = range(7)
BOOK = 7


def weight(ceiling: Ceiling, cost: float) -> float:
    """What a call of that cost takes up."""
    return cost if ceiling.by_cost > 0.0 else 1.0


def leaves(time: float, length: float) -> float:
    """When a release leaves a rolling window: no float's rounding before `length` is over.

    >>> (0.5 + 0.2) - 0.5, leaves(0.5, 0.2) - 0.5
    (0.19999999999999996, 0.20000000000000007)
    """
    end = time + length
    return end + end * EPSILON if end - time < length else end


def ends(ceiling: Ceiling, number: float) -> float:
    """When a fixed window ends."""
    return ceiling.origin + (number + 1.0) * ceiling.length + ceiling.half


def begins(ceiling: Ceiling, number: float) -> float:
    """When a fixed window begins."""
    return ceiling.origin + number * ceiling.length - ceiling.half


def first_window(ceiling: Ceiling, now: float) -> float:
    """The first fixed window that has not ended."""
    number = floored((now - ceiling.half - ceiling.origin) / ceiling.length)
    if ends(ceiling, number) <= now:
        number += 1.0
    return number - 1.0 if ends(ceiling, number - 1.0) > now else number


def last_window(ceiling: Ceiling, now: float) -> float:
    """The last fixed window that has begun."""
    number = floored((now + ceiling.half - ceiling.origin) / ceiling.length)
    if begins(ceiling, number + 1.0) <= now:
        number += 1.0
    return number - 1.0 if begins(ceiling, number) > now else number


def less(used: float, lost: float, part: float) -> tuple[float, float]:
    """`used - part`, where `lost` is what rounding takes of it: both together are exact.

    >>> less(0.3, 0.0, 0.1), 0.3 - 0.2
    ((0.19999999999999998, 0.0), 0.09999999999999998)
    """
    after = used - part
    other = after - used
    return after, lost + ((used - (after - other)) - (part + other))


def opening(ceiling: Ceiling, cost: float, times: Any, weights: Any, book: Any) -> float:
    """From when on there is room for a call of that cost, if nothing else comes: -inf if there is
    room as soon as a call may come at all; inf if never.
    """
    wanted = weight(ceiling, cost)
    if wanted > ceiling.burst:
        return math.inf
    opens = -math.inf
    if ceiling.burst < ceiling.amount:
        opens = book[FULL_AT] - (ceiling.burst - wanted) / ceiling.fill
    used = book[USED]
    if ceiling.fixed > 0.0:
        if used + wanted > ceiling.amount:
            return float(max(opens, ends(ceiling, book[NUMBER])))
        if book[BEFORE] + wanted > ceiling.amount:
            return float(max(opens, ends(ceiling, book[NUMBER] - 1.0)))
        return float(opens)
    at, size = int(book[FIRST]), len(times)
    if ceiling.by_cost == 0.0:
        over = int(used + wanted - ceiling.amount)
        if over > 0:
            at += over - 1
            opens = max(opens, leaves(times[at - size if at >= size else at], ceiling.length))
        return float(opens)
    lost, entries = book[LOST], book[ENTRIES]
    while entries > 0.0 and used + lost + wanted > ceiling.amount:
        used, lost = less(used, lost, weights[at])
        entries -= 1.0
        if used + lost + wanted <= ceiling.amount or entries == 0.0:
            opens = max(opens, leaves(times[at], ceiling.length))
        at = at + 1 if at + 1 < size else 0
    return float(opens)


def dropped(ceiling: Ceiling, now: float, times: Any, weights: Any, book: Any) -> None:
    """Take out of the book what has left the window by `now`."""
    if ceiling.fixed > 0.0:
        number = last_window(ceiling, now)
        if number > book[NUMBER]:
            book[BEFORE] = book[USED] if number == book[NUMBER] + 1.0 else 0.0
            book[USED], book[NUMBER] = 0.0, number
        return
    at, entries, size = int(book[FIRST]), book[ENTRIES], len(times)
    used, lost = book[USED], book[LOST]
    while entries > 0.0 and leaves(times[at], ceiling.length) <= now:
        used, lost = less(used, lost, weights[at])
        at = at + 1 if at + 1 < size else 0
        entries -= 1.0
    if entries == 0.0:
        used = lost = 0.0
    book[USED], book[LOST], book[FIRST], book[ENTRIES] = used, lost, float(at), entries


def is_full(ceiling: Ceiling, times: Any, book: Any) -> bool:
    """Whether the ring must grow before another call is counted."""
    return ceiling.fixed == 0.0 and book[ENTRIES] >= len(times)


def count(ceiling: Ceiling, now: float, cost: float, times: Any, weights: Any, book: Any) -> None:
    """Count a call that is released now; what had left by then is dropped, and the ring is not
    full.
    """
    taken = weight(ceiling, cost)
    if ceiling.burst < ceiling.amount:
        book[FULL_AT] = max(book[FULL_AT], now) + taken / ceiling.fill
    if ceiling.fixed > 0.0:
        book[USED] += taken
        if first_window(ceiling, now) < book[NUMBER]:
            book[BEFORE] += taken
        return
    size = len(times)
    at = int(book[FIRST]) + int(book[ENTRIES])
    at = at - size if at >= size else at
    times[at], weights[at] = now, taken
    book[USED], book[LOST] = less(book[USED], book[LOST], -taken)
    book[ENTRIES] += 1.0


def on_grid_from(time: float, grid: float) -> float:
    """The first multiple of the grid that is not before a time; with grid 0 the time.

    >>> on_grid_from(1.26, 0.5), on_grid_from(1.5, 0.5)
    (1.5, 1.5)
    """
    if not grid > 0.0 or abs(time) == math.inf:
        return time
    found = ceiled(time / grid) * grid
    return found + grid if found < time else found
