"""A binary heap of events, (time, key), in two arrays: `heapq` in a form that a compiler takes."""

from __future__ import annotations

from typing import Any


def push(times: Any, keys: Any, size: int, time: float, key: int) -> int:
    """Put an event into a heap of (time, key); the new size."""
    at = size
    while at > 0:
        above = (at - 1) >> 1
        if times[above] < time or (times[above] == time and keys[above] < key):
            break
        times[at], keys[at] = times[above], keys[above]
        at = above
    times[at], keys[at] = time, key
    return size + 1


def pop(times: Any, keys: Any, size: int) -> int:
    """Take the first event away; the new size."""
    size -= 1
    time, key = times[size], keys[size]
    at = 0
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        other = below + 1
        if other < size:
            # Which of the two is as good as random, so a branch would be guessed wrong half of the
            # time.
            earlier, tied = times[other] < times[below], times[other] == times[below]
            below += int(earlier | (tied & (keys[other] < keys[below])))
        if time < times[below] or (time == times[below] and key < keys[below]):
            break
        times[at], keys[at] = times[below], keys[below]
        at = below
    times[at], keys[at] = time, key
    return size
