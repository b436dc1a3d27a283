"""One throttle or Limiter in many hands, in virtual time: what was wanted is made."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from typing import Any

import pytest
from helpers.virtual_time import virtual_time

from tpssim import Limiter, athrottle, throttle


def in_a_loop(main: Any) -> None:
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(main)
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


def together(targets: list[Any]) -> None:
    pool = [threading.Thread(target=target, args=args) for target, *args in targets]
    for thread in pool:
        thread.start()
    for thread in pool:
        thread.join()


def users_at(kind: str) -> float:
    """Seconds from the first slot to the last of 1,000 that a hundred users share at 100 a
    second.
    """
    if kind == "limiter":
        limiter, made = Limiter(100.0, spin="off"), itertools.count()

        def calls() -> None:
            while next(made) < 1000:
                with limiter:
                    time.sleep(0.5)

        async def acall() -> None:
            while next(made) < 1000:
                async with limiter:
                    await asyncio.sleep(0.5)

        async def acalls() -> None:
            await asyncio.gather(*(acall() for _ in range(200)))

        together([*[(calls,)] * 20, (in_a_loop, acalls())])
        assert limiter.report().ok == 1000
        return limiter.report().seconds
    live: Any = (throttle if kind == "throttle" else athrottle)(range(1000), 100.0, spin="off")

    def thread() -> None:
        for _ in live:
            time.sleep(0.5)

    async def task() -> None:
        async for _ in live:
            await asyncio.sleep(0.5)

    async def tasks() -> None:
        await asyncio.gather(*(task() for _ in range(100)))

    if kind == "throttle":
        together([(thread,)] * 100)
    else:
        in_a_loop(tasks())
    assert live.report().ok == 1000
    return float(live.report().seconds)


@pytest.mark.parametrize("kind", ["throttle", "athrottle", "limiter"])
@pytest.mark.filterwarnings("ignore::tpssim.ThrottleWarning")
def test_calls_that_fit_get_what_was_wanted(kind: str) -> None:
    found: list[float] = []
    with virtual_time() as run, contextlib.suppress(asyncio.CancelledError):
        assert run(lambda: found.append(users_at(kind))), "it hangs"
    assert found[0] == pytest.approx(9.99, rel=0.01)


def test_a_wait_too_short_to_be_seen_takes_time() -> None:
    """What is left of a timeout may be less than the last bit of the clock: who waits for it again
    and again would never end. By hand: a microsecond a wait, from the hundredth on."""
    seen: list[float] = []

    def main() -> None:
        taken = threading.Lock()
        taken.acquire()
        time.sleep(1000.0)
        for _ in range(1099):
            assert not taken.acquire(timeout=1e-15)
        seen.append(time.perf_counter())

    with virtual_time() as run:
        assert run(main), "it hangs"
    assert seen == [pytest.approx(1000.001, abs=1e-5)]
