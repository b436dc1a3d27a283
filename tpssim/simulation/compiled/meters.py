"""Quotas of a backend in the general loop: what `service_quotas.Meters` does, on arrays."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim.core.types import record
from tpssim.scenarios.service_quotas import (
    BOOK,
    ENTRIES,
    QuotaRow,
    ServiceQuota,
    count,
    has_room,
    opening,
    quota_row,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

LACKS = BOOK  #: besides the columns of a book: 1 if the window had no room for the last call


@record
class Meters(NamedTuple):
    """The quotas, a row each: their numbers, the rings of their windows, and their books."""

    rows: NDArray[np.float64]
    times: NDArray[np.float64]
    weights: NDArray[np.float64]
    books: NDArray[np.float64]


def meters_of(quotas: tuple[ServiceQuota, ...]) -> Meters:
    """The windows as a run begins."""
    n = len(quotas)
    rows = np.array([quota_row(quota) for quota in quotas]).reshape(n, len(QuotaRow._fields))
    return Meters(rows, np.zeros((n, 64)), np.zeros((n, 64)), np.zeros((n, BOOK + 1)))


def quota_at(meters: Meters, i: int) -> QuotaRow:
    """The numbers of a quota."""
    row = meters.rows[i]
    return QuotaRow(
        amount=row[0],
        per=row[1],
        by_cost=row[2],
        fixed=row[3],
        counts_refused=row[4],
        retry_after=row[5],
        whole=row[6],
        at_once=row[7],
    )


def largest(meters: Meters) -> tuple[float, float]:
    """`whole` and `at_once` of the quotas together."""
    whole = at_once = 0.0
    for i in range(len(meters.rows)):
        quota = quota_at(meters, i)
        whole, at_once = max(whole, quota.whole), max(at_once, quota.at_once)
    return whole, at_once


def taken(world: Any, meters: Meters, cost: float) -> float:
    """Count a call that begins now if it has room: -1 then, else when it is to come back (inf:
    nobody says).
    """
    now, lacking, most = world.now, False, 0.0
    for i in range(len(meters.rows)):
        times, weights, book = meters.times[i], meters.weights[i], meters.books[i]
        room = has_room(quota_at(meters, i), now, cost, times, weights, book)
        book[LACKS] = 0.0 if room else 1.0
        lacking = lacking or not room
    opens, said = -1.0, False
    for i in range(len(meters.rows)):
        quota = quota_at(meters, i)
        if not lacking or quota.counts_refused > 0.0:
            count(quota, now, cost, meters.times[i], meters.weights[i], meters.books[i])
        if quota.fixed == 0.0:
            most = max(most, meters.books[i, ENTRIES])
    world.entries = most
    for i in range(len(meters.rows)):
        quota, book = quota_at(meters, i), meters.books[i]
        if book[LACKS] > 0.0 and quota.retry_after > 0.0:
            opened = opening(quota, now, cost, meters.times[i], meters.weights[i], book)
            opens, said = max(opens, opened), True
    return math.inf if lacking and not said else opens
