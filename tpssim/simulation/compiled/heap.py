"""The heaps of the compiled loops: of events, and of times when servers are free."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tpssim.core.types import record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Events in the line; a power of two, for it is a ring.
LINE = 16
AROUND = LINE - 1


@record
class Events(NamedTuple):
    """The events to come: the first of them in a line, the others behind it in a heap."""

    at: NDArray[np.float64]
    key: NDArray[np.int64]
    tag: NDArray[np.int64]


def comes_before(events: Events, place: int, time: float, key: int, tag: int) -> bool:
    """Whether the event at a place comes before one with these numbers."""
    at, keys, tags = events.at, events.key, events.tag
    return bool(
        at[place] < time
        or (at[place] == time and (keys[place] < key or (keys[place] == key and tags[place] < tag)))
    )


def push(events: Events, size: int, time: float, key: int, tag: int) -> int:
    """Put an event into the heap; the new size."""
    at, keys, tags = events.at, events.key, events.tag
    here = size
    while here > 0:
        above = (here - 1) >> 1
        if comes_before(events, LINE + above, time, key, tag):
            break
        at[LINE + here], keys[LINE + here] = at[LINE + above], keys[LINE + above]
        tags[LINE + here] = tags[LINE + above]
        here = above
    at[LINE + here], keys[LINE + here], tags[LINE + here] = time, key, tag
    return size + 1


def pop(events: Events, size: int) -> int:
    """Take the first event of the heap away; the new size."""
    at, keys, tags = events.at, events.key, events.tag
    size -= 1
    time, key, tag = at[LINE + size], keys[LINE + size], tags[LINE + size]
    here = 0
    while True:
        below = 2 * here + 1
        if below >= size:
            break
        one, other = LINE + below, LINE + below + 1
        if below + 1 < size:
            # Which of the two is as good as random, so a branch would be guessed wrong half of the
            # time.
            tied = at[other] == at[one]
            first = keys[other] < keys[one]
            first |= (keys[other] == keys[one]) & (tags[other] < tags[one])
            below += int((at[other] < at[one]) | (tied & first))
        if not comes_before(events, LINE + below, time, key, tag):
            break
        at[LINE + here], keys[LINE + here] = at[LINE + below], keys[LINE + below]
        tags[LINE + here] = tags[LINE + below]
        here = below
    at[LINE + here], keys[LINE + here], tags[LINE + here] = time, key, tag
    return size


def in_a_heap(free_at: Any, working: int, done: float) -> None:
    """The first of the times, in a heap, becomes `done`."""
    here = 0
    while True:
        below = 2 * here + 1
        if below >= working:
            break
        if below + 1 < working and free_at[below + 1] < free_at[below]:
            below += 1
        if done <= free_at[below]:
            break
        free_at[here] = free_at[below]
        here = below
    free_at[here] = done
