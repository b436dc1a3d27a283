"""Where the slots of a target lie that changes over time: integrals and their inverse.

A target is given by break points: `times`, in order, and `targets`, the target at each of them.
Between two points it is linear, before the first and after the last constant; two points at one
time are a jump. The functions take any sequence of floats, so that lists, arrays and compiled code
give the same bits. Where one takes a `piece`, it is the index of the last point at or before the
time that is asked of.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Floats = Sequence[float]

#: So close to a whole slot, as a share of it, the end of a piece is where the slot lies: far above
#: what rounding adds up to in a run, far below what anybody wants to know.
ROUNDING = 1e-9


def piece_at(times: Floats, t: float, piece: int) -> int:
    """The index of the last point at or before t, `piece` or later.

    >>> piece_at([0.0, 10.0, 10.0, 20.0], 10.0, 0)
    2
    """
    low, high = piece, len(times) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if times[middle] <= t:
            low = middle
        else:
            high = middle - 1
    return low


def target_at(times: Floats, targets: Floats, piece: int, t: float) -> float:
    """The target at t, which lies in the piece.

    >>> target_at([0.0, 10.0], [0.0, 100.0], 0, 2.5)
    25.0
    """
    begin, from_ = times[piece], targets[piece]
    if piece + 1 == len(times) or t <= begin or targets[piece + 1] == from_:
        return from_
    return from_ + (targets[piece + 1] - from_) * ((t - begin) / (times[piece + 1] - begin))


def area(v0: float, v1: float, length: float, rate: float) -> float:
    """The integral of `min(rate, v)` while v goes linearly from v0 to v1.

    >>> area(0.0, 100.0, 10.0, math.inf), area(0.0, 100.0, 10.0, 50.0)
    (500.0, 375.0)
    """
    if v0 == v1 or (v0 >= rate and v1 >= rate):
        speed = min(v0, rate)
        return length * speed if speed > 0.0 else 0.0
    if v0 <= rate and v1 <= rate:
        return 0.5 * (v0 + v1) * length
    cut = length * ((rate - v0) / (v1 - v0))
    if v0 < rate:
        return 0.5 * (v0 + rate) * cut + rate * (length - cut)
    return rate * cut + 0.5 * (rate + v1) * (length - cut)


def crossing(v0: float, v1: float, length: float, rate: float, slots: float) -> float:
    """How long it takes until the integral of `area` reaches `slots`, which it does.

    On a ramp of slope s from v this is `2 q / (v + sqrt(v v + 2 s q))`.

    >>> crossing(0.0, 100.0, 10.0, math.inf, 125.0), crossing(0.0, 100.0, 10.0, 50.0, 175.0)
    (5.0, 6.0)
    """
    if v0 == v1 or (v0 >= rate and v1 >= rate):
        return slots / min(v0, rate)
    begin, left, slope = 0.0, slots, (v1 - v0) / length
    if v0 > rate:  # falling: along the rate until it is cut
        cut = length * ((rate - v0) / (v1 - v0))
        if slots <= rate * cut:
            return slots / rate
        begin, left, v0 = cut, slots - rate * cut, rate
    elif v1 > rate:
        cut = length * ((rate - v0) / (v1 - v0))
        before = 0.5 * (v0 + rate) * cut
        if slots > before:
            return cut + (slots - before) / rate
    root = v0 + math.sqrt(max(v0 * v0 + 2.0 * slope * left, 0.0))
    return begin + (2.0 * left / root if root > 0.0 else 0.0)


def between(
    times: Floats, targets: Floats, piece: int, start: float, end: float, rate: float
) -> float:
    """How many slots lie in a stretch of time: the integral of `min(rate, target)` over it.

    `start` lies in the piece. The sum is compensated (Neumaier).

    >>> between([0.0, 10.0], [0.0, 100.0], 0, 0.0, 12.0, 50.0)
    475.0
    """
    total = lost = 0.0
    last = len(times) - 1
    while start < end:
        until = end if piece == last else min(times[piece + 1], end)
        if until > start:
            v0, v1 = target_at(times, targets, piece, start), targets[piece]
            if piece < last:
                v1 = targets[piece + 1]
                if until < times[piece + 1]:
                    v1 = target_at(times, targets, piece, until)
            part = area(v0, v1, until - start, rate)
            after = total + part
            lost += (total - after) + part if total >= part else (part - after) + total
            total, start = after, until
        piece += 1
    return total + lost if total < math.inf else total


def due_on(
    times: Floats,
    targets: Floats,
    piece: int,
    previous: float,
    rate: float,
    gap: float,
    owed: float,
    rounding: float,
) -> tuple[float, float]:
    """(when the next slot is due, what it owes): where the integral of `min(rate, target)` from
    `previous` reaches `gap`, or inf if it never does.

    While that is constant since `previous`, it is `previous + gap / min(rate, target)`, those
    operations. `owed` is what rounding has put `previous` too early by, in slots: so that nothing
    adds up, it is made up for as soon as the target is not constant, and decides on which side of
    the end of a piece a slot lies. What reaches `gap` within `rounding` of it at the end of a piece
    is due there; at the end of all, when nothing is wanted any more, never.

    >>> due_on([0.0, 10.0, 10.0], [0.0, 100.0, 0.0], 0, 0.0, math.inf, 20.0, 0.0, ROUNDING)
    (2.0, 0.0)
    """
    last = len(times) - 1
    start, left, close = previous, gap + owed, rounding * gap
    while piece < last:
        end = times[piece + 1]
        if start < end:
            v0, v1 = target_at(times, targets, piece, start), targets[piece + 1]
            passed = area(v0, v1, end - start, rate)
            if passed > 0.0 and passed >= left - close:
                if passed < left + close:
                    over = end == times[last] and targets[last] == 0.0
                    return math.inf if over else end, left - passed
                if v0 == v1 or (v0 >= rate and v1 >= rate):
                    speed = min(rate, v0)
                    due = start + (gap if start == previous else left) / speed
                    if rounding > 0.0 and due >= end:
                        due = start + left / speed
                    return due, left - (due - start) * speed
                due = start + crossing(v0, v1, end - start, rate, left)
                reached = target_at(times, targets, piece, due)
                return due, left - area(v0, reached, due - start, rate)
            left -= passed
            start = end
        piece += 1
    speed = min(rate, targets[last])
    if not speed > 0.0:
        return math.inf, 0.0
    due = start + (gap if start == previous else left) / speed
    return due, left - (due - start) * speed


def one_back(times: Floats, targets: Floats, now: float, slots: float = 1.0) -> float:
    """From when on one slot (or so many) was wanted until now; -inf if never.

    >>> one_back([0.0, 10.0], [0.0, 100.0], 10.0) == 10.0 - (10.0 - math.sqrt(99.8))
    True
    """
    left, piece = slots, piece_at(times, now, 0)
    while piece >= 0:
        since = times[piece]
        if since < now:
            v1, v0 = target_at(times, targets, piece, now), targets[piece]
            if v0 == v1:
                back = now - left / v1 if v1 > 0.0 else -math.inf
                if back >= since:
                    return back
                left -= (now - since) * v1
            else:
                wanted = area(v1, v0, now - since, math.inf)
                if wanted >= left:
                    return now - crossing(v1, v0, now - since, math.inf, left)
                left -= wanted
            now = since
        piece -= 1
    return now - left / targets[0] if targets[0] > 0.0 else -math.inf


def open_rate(rate: float, seen: float) -> float:
    """The rate that a law commands under a profile: inf, which follows it, if it is the target that
    the law saw last (but for rounding); any other holds as it is.

    >>> open_rate(100.0, 100.0), open_rate(99.0, 100.0), open_rate(101.0, 100.0)
    (inf, 99.0, 101.0)
    """
    return math.inf if abs(rate - seen) <= ROUNDING * seen else rate


def first_wanted(times: Floats, targets: Floats, start: float) -> float:
    """The first moment from `start` on with a positive target, or at which it begins to rise from
    0; inf if there is none.

    >>> first_wanted([0.0, 5.0, 10.0], [0.0, 0.0, 100.0], 0.0)
    5.0
    """
    piece, last = piece_at(times, start, 0), len(times) - 1
    while piece < last:
        begin = max(start, times[piece])
        if times[piece + 1] > begin and (targets[piece] > 0.0 or targets[piece + 1] > 0.0):
            return begin
        piece += 1
    return max(start, times[last]) if targets[last] > 0.0 else math.inf
