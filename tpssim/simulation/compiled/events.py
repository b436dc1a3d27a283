"""The event list of the compiled loops: (time, key, tag) in the order of such tuples.

The first events are in a line, a short ring in order; those behind it are in a heap. Few are to
come in most runs, and a short line costs a processor less than a heap, whose branches it cannot
guess.

The key says what happens, whose it is and of which call, so that the order of keys is that of
`event_kinds`: kind, producer, call. The tag begins with the number of the push: of two events with
one time and one key the earlier comes first, as in simpy.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tpssim.core.schedule import on_grid
from tpssim.core.types import record
from tpssim.simulation.compiled.heap import (
    AROUND,
    LINE,
    Events,
    comes_before,
    in_a_heap,
    pop,
    push,
)
from tpssim.simulation.event_kinds import COMPLETION, RETRY

#: Bits of a key below the kind, and below the producer: the row of the call.
OWNER, ROW = 60, 40
ROWS, PRODUCERS = (1 << ROW) - 1, (1 << (OWNER - ROW)) - 1
#: Bits of a tag below the number of the push: attempt, whether the call is inside the backend until
#: then, whether it is handed over then.
PUSHES, ATTEMPT = 12, 2
ATTEMPTS, INSIDE, HAND_OVER = 1023, 2, 1


#: As many servers as are kept in order, at most.
FEW = 16.0


@record
class Queue(NamedTuple):
    """Where the line of events begins, and how many are in it and in the heap."""

    first: int
    lined: int
    heaped: int


def key_of(kind: int, producer: int, row: int) -> int:
    """The key of an event.

    >>> key_of(1, 2, 3) >> OWNER, key_of(1, 2, 3) >> ROW & PRODUCERS, key_of(1, 2, 3) & ROWS
    (1, 2, 3)
    """
    return (kind << OWNER) + (producer << ROW) + row


def put(events: Events, queue: Queue, time: float, key: int, tag: int) -> Queue:
    """With one more event."""
    at, keys, tags = events.at, events.key, events.tag
    first, lined, heaped = queue.first, queue.lined, queue.heaped
    if lined == LINE or heaped > 0:
        last = (first + lined - 1) & AROUND
        behind = comes_before(events, last, time, key, tag)
        if behind:
            return Queue(first=first, lined=lined, heaped=push(events, heaped, time, key, tag))
        if lined == LINE:
            heaped = push(events, heaped, at[last], keys[last], tags[last])
            lined -= 1
    here = first + lined
    while here > first:
        before = (here - 1) & AROUND
        if comes_before(events, before, time, key, tag):
            break
        at[here & AROUND], keys[here & AROUND] = at[before], keys[before]
        tags[here & AROUND] = tags[before]
        here -= 1
    at[here & AROUND], keys[here & AROUND], tags[here & AROUND] = time, key, tag
    return Queue(first=first, lined=lined + 1, heaped=heaped)


def rest(events: Events, queue: Queue) -> Queue:
    """Without the first event."""
    at, keys, tags = events.at, events.key, events.tag
    first, lined, heaped = (queue.first + 1) & AROUND, queue.lined - 1, queue.heaped
    if lined == 0:
        while heaped > 0 and lined < LINE // 2:
            last = (first + lined) & AROUND
            at[last], keys[last], tags[last] = at[LINE], keys[LINE], tags[LINE]
            heaped = pop(events, heaped)
            lined += 1
    return Queue(first=first, lined=lined, heaped=heaped)


def queue_of(world: Any) -> Queue:
    """How many events there are."""
    return Queue(first=world.first, lined=world.lined, heaped=world.heaped)


def keep_queue(world: Any, queue: Queue) -> None:
    """So many there are from now on."""
    world.first, world.lined, world.heaped = queue.first, queue.lined, queue.heaped


def scheduled(grid: float, world: Any, aside: Events, time: float, key: int, flags: int) -> int:
    """Put an event aside, on the grid, until `settle`; its number. Time that is none, or past, is
    noted.

    Many places have new events, and the code of the line and the heap stands in the loop once.
    """
    time = on_grid(time, grid)
    if not time >= world.now:
        called = key >> OWNER == COMPLETION or key >> OWNER == RETRY
        world.unsound, world.number = 1, key & ROWS if called else world.rows
        time = world.now
    world.pushes += 1
    here = world.aside
    aside.at[here], aside.key[here] = time, key
    aside.tag[here] = (world.pushes << PUSHES) + flags
    world.aside = here + 1
    return int(world.pushes)


def settle(world: Any, aside: Events, events: Events) -> None:
    """Put those that were put aside among the events."""
    while world.aside > 0:
        here = world.aside - 1
        world.aside = here
        at, key, tag = aside.at[here], aside.key[here], aside.tag[here]
        keep_queue(world, put(events, queue_of(world), at, key, tag))


def append(line: Events, first: int, size: int, time: float, key: int, tag: int) -> int:
    """Put an event into a line in which the times of new ones never fall; the new size.

    The line is a ring of a power of two places, and `first` the place of the first event.
    """
    at, keys, tags = line.at, line.key, line.tag
    around = len(at) - 1
    here = first + size
    while here > first:
        before = (here - 1) & around
        if at[before] < time or (at[before] == time and keys[before] <= key):
            break
        at[here & around], keys[here & around] = at[before], keys[before]
        tags[here & around] = tags[before]
        here -= 1
    at[here & around], keys[here & around], tags[here & around] = time, key, tag
    return size + 1


def occupied(free_at: Any, working: int, servers: float, done: float) -> int:
    """The server that is free first works until `done`; how many servers have worked by now.

    `free_at` has the times when those that have worked are free: in order where there are few
    servers, which takes no guess of a branch; else as a heap.
    """
    if working < servers:
        here = working
        above = here - 1 if servers <= FEW else (here - 1) >> 1
        while here > 0 and free_at[above] > done:
            free_at[here] = free_at[above]
            here = above
            above = here - 1 if servers <= FEW else (here - 1) >> 1
        free_at[here] = done
        return working + 1
    if servers <= FEW:
        in_order(free_at, working, done)
    else:
        in_a_heap(free_at, working, done)
    return working


def in_order(free_at: Any, working: int, done: float) -> None:
    """The first of the times, in order, becomes `done`, which is no earlier."""
    now = free_at[0]
    for i in range(working - 1):
        then = free_at[i + 1]
        later = done if done > now else now
        free_at[i] = later if later < then else then
        now = then
    free_at[working - 1] = done if done > now else now
