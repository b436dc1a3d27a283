"""A pool of processes whose parent works too."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from tpssim.experiments.executor import processes, taken_back


def test_what_is_taken_back_is_done_once_and_the_rest_by_others() -> None:
    with processes(2, helped=True) as pool:
        futures = [pool.submit(time.sleep, 0.02 * number) for number in range(8)]
        mine = list(taken_back(pool, futures))
        theirs = [number for number in range(8) if not futures[number].cancelled()]
        for number in theirs:
            futures[number].result()
    # From the last one on, and all but those that a process has begun or is about to.
    assert mine == sorted(mine, reverse=True)
    assert sorted([*mine, *theirs]) == list(range(8))
    assert mine[0] == 7
    assert theirs == list(range(len(theirs)))


def test_nothing_is_taken_back_from_others() -> None:
    with ThreadPoolExecutor(1) as pool:
        futures = [pool.submit(time.sleep, 0.01) for _ in range(4)]
        assert list(taken_back(pool, futures)) == []
    with processes(1) as alone:
        futures = [alone.submit(time.sleep, 0.01) for _ in range(4)]
        assert list(taken_back(alone, futures)) == []
    assert list(taken_back(None, [])) == []
