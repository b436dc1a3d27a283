"""The heap of the compiled engine against the standard library's."""

from __future__ import annotations

import heapq

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tpssim.simulation.compiled.heap import pop, push

#: None takes one out; a time puts one in, with the next key.
STEPS = st.lists(
    st.none() | st.sampled_from([0.0, 1.0, 2.0, 2.5]) | st.floats(0.0, 10.0), max_size=60
)


@given(STEPS)
def test_it_gives_the_same_events_in_the_same_order_as_heapq(steps: list[float | None]) -> None:
    times, keys = np.zeros(64), np.zeros(64, np.int64)
    size = 0
    theirs: list[tuple[float, int]] = []
    for key, step in enumerate(steps):
        if step is not None:
            size = push(times, keys, size, step, key)
            heapq.heappush(theirs, (step, key))
        elif theirs:
            assert (times[0], keys[0]) == heapq.heappop(theirs)
            size = pop(times, keys, size)
        assert size == len(theirs)
