"""What is posted while somebody else holds the lock of a run is done, by whoever holds it."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from helpers.watchdog import within

from tpssim import throttle
from tpssim.live.run_lock import Guard


def test_what_is_posted_meanwhile_is_done_at_the_end() -> None:
    guard = Guard()
    done: list[int] = []
    with guard.lock:
        thread = threading.Thread(target=guard.post, args=(done.append, 1))
        thread.start()
        thread.join()
        assert done == []
    guard.drain()
    assert done == [1]


@pytest.mark.parametrize("look", ["report", "glimpse"])
def test_a_stop_is_not_lost_on_somebody_who_looks_on(look: str) -> None:
    for _ in range(5):
        live = throttle(range(10), 0.01)  # the second item comes after 100 s
        assert next(live) == 0
        over = threading.Event()

        def watch(live: Any = live, over: threading.Event = over) -> None:
            while not over.is_set():
                getattr(live.flow, look)()

        watcher = threading.Thread(target=watch)
        waiter = threading.Thread(target=list, args=(live,))
        watcher.start()
        waiter.start()
        live.stop()
        try:
            within(10.0, waiter.join)
        finally:
            over.set()
            watcher.join()
