"""The event list of the compiled loops against the standard library's heap, and who serves next."""

from __future__ import annotations

import heapq
import random
from typing import Any

import numpy as np
import pytest

from tpssim.simulation.compiled.events import FEW, Queue, occupied, put, rest
from tpssim.simulation.compiled.heap import LINE
from tpssim.simulation.compiled.tables import events_of


@pytest.mark.parametrize("times", [[0.0, 0.5, 1.0], [i / 64.0 for i in range(64)]])
@pytest.mark.parametrize("most", [1, 2, 7, LINE, LINE + 1, 100])
def test_it_gives_the_same_events_in_the_same_order_as_heapq(most: int, times: list[float]) -> None:
    rng = random.Random(most)
    events, queue = events_of(LINE + most), Queue(first=0, lined=0, heaped=0)
    theirs: list[Any] = []
    share = 0.9  # of the steps that put one in: it fills up and empties in turns
    for tag in range(60 * most):
        share = 0.1 if len(theirs) == most else 0.9 if not theirs else share
        if len(theirs) < most and rng.random() < share:
            event = (rng.choice(times), rng.randrange(3), tag)
            queue = put(events, queue, *event)
            heapq.heappush(theirs, event)
        elif theirs:
            first = queue.first
            assert (events.at[first], events.key[first], events.tag[first]) == theirs[0]
            heapq.heappop(theirs)
            queue = rest(events, queue)
        assert queue.lined + queue.heaped == len(theirs)
        assert (queue.lined == 0) == (not theirs)


@pytest.mark.parametrize("servers", [1.0, 3.0, FEW, FEW + 1.0, 40.0])
def test_the_server_that_is_free_first_works_next(servers: float) -> None:
    rng = random.Random(int(servers))
    free_at, working = np.zeros(int(servers)), 0
    theirs: list[float] = []
    for _ in range(20 * int(servers)):
        work = rng.choice([0.0, 1.0, rng.expovariate(1.0)])
        if len(theirs) == servers:
            assert free_at[0] == theirs[0]
            done = theirs[0] + work
            heapq.heapreplace(theirs, done)
        else:
            done = work
            heapq.heappush(theirs, done)
        working = occupied(free_at, working, servers, done)
        assert (working, sorted(free_at[:working])) == (len(theirs), sorted(theirs))
