"""What the live throttle says of its own generator, on the wall clock, and what it leaves as it found it."""

from __future__ import annotations

import asyncio
import ctypes
import sys
import threading
import time
import warnings

import pytest

from tpssim import ThrottleWarning, athrottle, throttle

LINUX = sys.platform == "linux"


def test_a_thread_that_computes_is_named_as_the_cause() -> None:
    over = threading.Event()

    def compute() -> None:
        while not over.is_set():
            sum(range(2000))

    def told() -> tuple[str, str]:
        live = throttle(range(10_000), 400.0)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in live:
                if live.report().seconds > 1.5:
                    break
        return " ".join(
            str(w.message) for w in caught if w.category is ThrottleWarning
        ), live.report().verdict

    busy = threading.Thread(target=compute)
    busy.start()
    try:
        # On a busy machine the system itself may be what is late, and is named then.
        for _ in range(5):
            warning, verdict = told()
            if "hold the interpreter lock" in warning:
                break
    finally:
        over.set()
        busy.join()
    assert "hold the interpreter lock" in warning
    assert "for other threads of this process compute" in verdict


def test_a_task_that_blocks_the_event_loop_is_named_as_the_cause() -> None:
    async def main() -> str:
        async def rude() -> None:
            while True:
                time.sleep(0.02)  # without await: nothing else runs meanwhile
                await asyncio.sleep(0)

        task = asyncio.create_task(rude())
        live = athrottle(range(10_000), 400.0)
        async for _ in live:
            if live.report().seconds > 1.5:
                break
        task.cancel()
        return live.report().verdict

    with pytest.warns(ThrottleWarning, match="for a task computes or blocks the event loop too long"):
        verdict = asyncio.run(main())
    assert "limited by the generator: " in verdict


@pytest.mark.skipif(not LINUX, reason="timer slack is a property of threads on Linux")
def test_timer_slack_is_low_while_waiting_and_as_before_in_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    prctl = ctypes.CDLL(None).prctl
    get, put = 30, 29

    def slack() -> int:
        return int(prctl(get, 0, 0, 0, 0))

    while_waiting = []

    class Bell:
        """A lock that is never free: how the pacing thread sleeps."""

        def acquire(self, timeout: float) -> bool:
            while_waiting.append(slack())
            time.sleep(timeout)
            return False

        def release(self) -> None: ...

    live = throttle(range(5), 100.0)
    monkeypatch.setattr(live.flow.timing, "_bell", Bell())
    before = slack()
    prctl(put, 70_000, 0, 0, 0)
    try:
        in_the_body = [slack() for _ in live]
    finally:
        prctl(put, before, 0, 0, 0)
    assert in_the_body == [70_000] * 5
    assert len(while_waiting) >= 4
    assert set(while_waiting) == {1}
