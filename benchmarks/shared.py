"""One throttle in many hands, live: the rate that calls which fit get, and that every law keeps the
contract.

    python benchmarks/shared.py [--smoke] [--seed N]

100 threads share a `throttle`, 100 tasks an `athrottle`, 20 threads and 200 tasks a `Limiter`.
First 1,000 calls of 0.5 s at 100 a second under `fixed`: the rate is to be within 3 % of that. Then
under each law, with time limits, cancelled tasks, calls that fail, are refused, time out or are
given up, and other wanted rates, all drawn: no second above the ceiling, no release before its
time, each item once and in order, sums that agree, no thread and no descriptor left. The exit code
is 1 if one of these does not hold, in `--smoke` too, which is short, has few laws and makes nothing
of the rate.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import contextlib
import itertools
import math
import os
import random
import sys
import threading
import time
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

from tpssim import Aborted, Limiter, Rejected, ThrottleWarning, athrottle, throttle
from tpssim.controllers import CONTROLLERS

KINDS = ("throttle", "athrottle", "Limiter")
TPS, CALLS, CALL = 100.0, 1000, 0.5
DRAWN = 2.0  # s of a drawn run
ENDS = (
    None,
    None,
    None,
    None,
    ValueError("body"),
    Rejected("429"),
    TimeoutError("body"),
    KeyboardInterrupt(),
)


def together(
    threads: list[Callable[[], Any]], tasks: list[Callable[[], Coroutine[Any, Any, Any]]]
) -> None:
    """Threads, and tasks in an event loop of their own, until all have ended."""

    async def main() -> None:
        running = [asyncio.ensure_future(task()) for task in tasks]
        for each in (await asyncio.gather(*running, return_exceptions=True)) if running else ():
            if isinstance(each, Exception):
                raise each

    pool = [threading.Thread(target=thread, daemon=True) for thread in threads]
    if tasks:
        pool.append(threading.Thread(target=lambda: asyncio.run(main()), daemon=True))
    for thread in pool:
        thread.start()
    for thread in pool:
        thread.join(120.0)
    if any(thread.is_alive() for thread in pool):
        sys.exit("FAILS: it hangs")


def rate_of(kind: str, calls: int) -> float:
    """What calls that fit get, 1/s."""
    made = itertools.count()
    handle: Any

    def thread() -> None:
        for _ in handle:
            time.sleep(CALL)

    async def task() -> None:
        async for _ in handle:
            await asyncio.sleep(CALL)

    def caller() -> None:
        while next(made) < calls:
            with handle:
                time.sleep(CALL)

    async def acaller() -> None:
        while next(made) < calls:
            async with handle:
                await asyncio.sleep(CALL)

    if kind == "throttle":
        handle = throttle(range(calls), TPS)
        together([thread] * 100, [])
    elif kind == "athrottle":
        handle = athrottle(range(calls), TPS)
        together([], [task] * 100)
    else:
        handle = Limiter(TPS)
        together([caller] * 20, [acaller] * 200)
    report = handle.report()
    handle.close()
    assert report.ok == calls
    return float(report.rate)


def made(kind: str, law: str) -> Any:
    """What is shared."""
    if kind == "Limiter":
        return Limiter(TPS, controller=law)
    make: Any = throttle if kind == "throttle" else athrottle
    return make(itertools.count(), TPS, controller=law)


class Drawn:
    """One run under a law, its users' ways drawn."""

    def __init__(self, kind: str, law: str, seed: int, seconds: float) -> None:
        self.draw = random.Random(f"{kind} {law} {seed}")
        self.kind = kind
        self.wanted = [(0.0, math.inf, TPS)]  # (from, until, 1/s): at the change both, for a moment
        self.got: list[tuple[int, float, Any]] = []  # (slot, when it was released, item)
        self.seconds = seconds
        self.handle = made(kind, law)
        self.permits: Any = None if kind == "Limiter" else self.handle.permits()

    def run(self) -> None:
        users = {"throttle": (100, 0), "athrottle": (0, 100), "Limiter": (20, 200)}
        threads, tasks = users[self.kind]
        together([self.thread] * threads + [self.changes], [self.task] * tasks)

    def changes(self) -> None:
        """Other wanted rates, and then the end."""
        for tps in self.draw.sample([20.0, 50.0, 200.0, 400.0], 3):
            time.sleep(self.seconds / 4.0)
            since, (start, _, before) = self.handle.flow.timing.now(), self.wanted.pop()
            self.handle.tps = tps
            self.wanted += [(start, self.handle.flow.timing.now(), before), (since, math.inf, tps)]
        time.sleep(self.seconds / 4.0)
        self.handle.stop()

    def limit(self) -> float | None:
        return self.draw.choice([None, None, 0.0, 0.01, 0.2])

    def note(self, item: Any, permit: Any) -> None:
        self.got.append((permit.call, permit.released, item))

    def thread(self) -> None:
        while True:
            try:
                if self.permits is None:
                    item, permit = None, self.handle.acquire(self.limit())
                else:
                    item, permit = self.permits.next(self.limit())
            except TimeoutError:
                time.sleep(0.01)
                continue
            except (StopIteration, Aborted):
                return
            self.note(item, permit)
            time.sleep(self.draw.choice([0.0, 0.01, 0.1]))
            self.settle(permit)
            del permit

    def settle(self, permit: Any) -> None:
        if self.draw.random() < 0.1:
            return  # garbage
        error = self.draw.choice(ENDS)
        with contextlib.suppress(BaseException), permit:
            if error is not None:
                raise type(error)(*error.args)

    async def task(self) -> None:
        """Calls, each of which may be cut off at any moment."""
        over = False
        while not over:
            call = asyncio.ensure_future(self.acall())
            if self.draw.random() < 0.1:
                await asyncio.sleep(self.draw.choice([0.0, 0.001, 0.1]))
                call.cancel()
            await asyncio.wait((call,))
            over = not call.cancelled() and call.result()

    async def acall(self) -> bool:
        """Whether the run is over."""
        try:
            if self.permits is None:
                item, permit = None, await self.handle.aacquire(self.limit())
            else:
                item, permit = await self.permits.next(self.limit())
        except TimeoutError:
            await asyncio.sleep(0.01)
            return False
        except (StopAsyncIteration, Aborted):
            return True
        self.note(item, permit)
        try:
            await asyncio.sleep(self.draw.choice([0.0, 0.01, 0.1]))
            self.settle(permit)
        finally:
            del permit
        return False

    def wrong(self) -> list[str]:
        """What does not hold."""
        report, found = self.handle.report(), []
        got = sorted(self.got)
        times = [released for _, released, _ in got]
        for k, start in enumerate(times):
            n = bisect.bisect_left(times, start + 1.0) - k
            most = max(tps for a, b, tps in self.wanted if a < start + 1.0 and b > start - 0.1)
            if n > 1.1 * most + 1.0:
                found.append(f"{n} in a second, where {most:g} were wanted")
                break
        if times != sorted(times):
            found.append("slots in another order than their numbers")
        if self.kind != "Limiter" and [item for *_, item in got] != list(range(len(got))):
            found.append("an item was lost or came twice")
        ended = report.ok + report.errors + report.forgotten + report.in_flight
        if not report.released == ended == len(got):
            found.append(
                f"{report.released:.0f} released, {ended:.0f} in the sums, {len(got)} seen"
            )
        if report.in_flight or report.early:
            found.append(
                f"{report.in_flight:.0f} in flight at the end, {report.early:.0f} before their time"
            )
        return found


def left_of(before: tuple[int, int]) -> list[str]:
    """Threads and descriptors that have come to stay; those that are just ending are waited for."""
    deadline = time.monotonic() + 5.0
    while (now := counted()) != before and time.monotonic() < deadline:
        time.sleep(0.01)
    return [] if now == before else [f"(threads, descriptors) were {before} and are {now}"]


def counted() -> tuple[int, int]:
    files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    return threading.active_count(), files


def drawn(law: str, seed: int, seconds: float) -> bool:
    """Whether one law holds for all kinds; a line."""
    counts, wrong = [], []
    for kind in KINDS:
        before = counted()
        run = Drawn(kind, law, seed, seconds)
        run.run()
        wrong += [f"{kind}: {text}" for text in run.wrong()]
        run.handle.close()
        counts.append(f"{len(run.got):4}")
        wrong += [f"{kind}: {text}" for text in left_of(before)]
    print(f"  {'FAILS' if wrong else 'holds'}: {law:20} {' '.join(counts)} calls", flush=True)
    for text in wrong:
        print(f"         {text}")
    return not wrong


def main() -> int:
    parser = argparse.ArgumentParser(description="One throttle in many hands, live.")
    parser.add_argument(
        "--smoke", action="store_true", help="short, few laws, nothing made of the rate"
    )
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (0)")
    args = parser.parse_args()
    warnings.simplefilter("ignore", ThrottleWarning)
    laws = ["fixed", "headroom", "netflix-vegas", "codel"] if args.smoke else list(CONTROLLERS)
    calls = 100 if args.smoke else CALLS
    print(f"{TPS:g}/s wanted, {calls} calls of {CALL:g} s each that fit")
    holds = True
    for kind in KINDS:
        rate = rate_of(kind, calls)
        off = math.fabs(rate / TPS - 1.0)
        holds = holds and (off <= 0.03 or args.smoke)
        print(
            f"  {'holds' if off <= 0.03 else 'FAILS'}: {kind:10} {rate:.2f}/s, off by {off:.2%}",
            flush=True,
        )
    print(
        f"seed {args.seed}: limits, cancellations, failures and changes drawn; {', '.join(KINDS)}"
    )
    seconds = 0.5 if args.smoke else DRAWN
    for law in laws:
        holds = drawn(law, args.seed, seconds) and holds
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
