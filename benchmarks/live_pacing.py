"""How precisely and how cheaply the live throttles pace, against others in the same run.

    python benchmarks/live_pacing.py [--minute] [--smoke]

`--minute`: drift over a minute of real time. `--smoke`: everything once and short, to see that it
runs; its figures mean nothing.

Rounds of the candidates alternate, so that a disturbed second hits them all; the figure of a
candidate is the median of its rounds. Lateness is measured from outside: releases against the line
`first + k / tps` through the earliest of them (for one that drifts, each gap against 1 / tps: the
kinder measure). Needs aiolimiter.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import pty
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple

from aiolimiter import AsyncLimiter

from tpssim import athrottle, throttle
from tpssim.controllers.article import spin_throttle
from tpssim.core.clocks import VirtualClock, WallClock
from tpssim.core.timer_models import TIMERS
from tpssim.live.monitor import LiveMonitor

TPS = 500.0


class Size(NamedTuple):
    """How much is measured."""

    calls: int = 1500  #: a round
    rounds: int = 7
    fast: int = 500_000  #: calls at 100,000/s
    cycles: int = 120_000  #: of late wake-ups, in virtual time
    seconds: float = 10.0  #: in which drift is looked for
    pairs: int = 12
    delayed: int = 2000  #: calls with `late="delay"`


SMOKE = Size(100, 1, 10_000, 1_000, 0.2, 1, 100)
now = time.perf_counter


class Figures(NamedTuple):
    late_p50: float
    late_p99: float
    cpu: float  #: share of a core
    rate: float


def quantile(values: list[float], q: float) -> float:
    return sorted(values)[min(int(q * len(values)), len(values) - 1)]


def figures(times: list[float], cpu: float, drifts: bool = False) -> Figures:
    """Lateness, CPU and rate of one round."""
    if drifts:
        late = [abs(b - a - 1.0 / TPS) for a, b in itertools.pairwise(times)]
    else:
        origin = min(t - k / TPS for k, t in enumerate(times))
        late = [t - k / TPS - origin for k, t in enumerate(times)]
    span = times[-1] - times[0]
    return Figures(quantile(late, 0.5), quantile(late, 0.99), cpu / span, (len(times) - 1) / span)


def blocking(make: Callable[[], Iterator[object]]) -> Figures:
    begun = time.thread_time()
    times = [now() for _ in make()]
    return figures(times, time.thread_time() - begun)


async def paced_athrottle(calls: int) -> list[float]:
    return [now() async for _ in athrottle([None], TPS, calls)]


async def paced_sleep(calls: int) -> list[float]:
    """A schedule without drift on the loop's own timers."""
    times: list[float] = []
    start = now()
    for k in range(calls):
        await asyncio.sleep(max(0.0, start + k / TPS - now()))
        times.append(now())
    return times


async def paced_aiolimiter(calls: int) -> list[float]:
    times = []
    limiter = AsyncLimiter(1, 1.0 / TPS)
    for _ in range(calls):
        async with limiter:
            times.append(now())
    return times


async def beside(paced: Awaitable[list[float]]) -> tuple[list[float], list[float]]:
    """(release times, how late another task's sleeps of 5 ms end while it paces)."""
    late: list[float] = []

    async def other() -> None:
        while True:
            start = now()
            await asyncio.sleep(0.005)
            late.append(now() - start - 0.005)

    task = asyncio.create_task(other())
    times = await paced
    task.cancel()
    return times, late


def medians(rounds: list[Figures]) -> Figures:
    return Figures(*(statistics.median(column) for column in zip(*rounds, strict=True)))


def line(name: str, found: Figures) -> None:
    late = f"{found.late_p50 * 1e6:9.2f} us{found.late_p99 * 1e6:10.1f} us"
    print(f"  {name:34}{late}{found.cpu:9.1%}{found.rate:11.3f}/s")


def judge(text: str, holds: bool) -> None:
    print(f"  {'holds' if holds else 'FAILS'}: {text}")


class Watched(WallClock):
    """The article's clock, which keeps how late each wait ends."""

    def __init__(self) -> None:
        self.late: list[float] = []

    def wait(self, deadline: float, spin: float) -> float:
        end = super().wait(deadline, spin)
        self.late.append(end - deadline)
        return end


def sync(size: Size) -> None:
    print(
        f"Blocking, {TPS:g}/s, {size.rounds} rounds of {size.calls}\n"
        f"{'':36}  late p50        p99      CPU       rate"
    )
    ours, spun, none = [], [], []
    decided, theirs = [], []
    calls = size.calls
    for _ in range(size.rounds):
        live, clock = throttle([None], TPS, calls), Watched()
        ours.append(blocking(lambda live=live: live))  # type: ignore[misc]
        by_spinning: Any = lambda c=clock: spin_throttle([None], TPS, calls, clock=c)  # noqa: E731
        spun.append(blocking(by_spinning))
        decided.append(live.report().late_p99)
        theirs.append(quantile(clock.late, 0.99))
        none.append(blocking(lambda: throttle([None], TPS, calls, spin="off")))
    us, article = medians(ours), medians(spun)
    line("throttle", us)
    line("the article's, spin of 0.5 ms", article)
    line("throttle(spin='off')", medians(none))
    judge(f"median lateness {us.late_p50 * 1e6:.2f} us <= 2 us", us.late_p50 <= 2e-6)
    ratio = us.cpu / article.cpu
    judge(f"CPU {ratio:.2f} of the article's <= 0.5", ratio <= 0.5)
    ends = statistics.median(decided), statistics.median(theirs)
    text = (
        f"p99 of the end of the wait {ends[0] * 1e6:.2f} us <= the article's {ends[1] * 1e6:.2f} us"
    )
    judge(text, ends[0] <= ends[1])
    text = (
        f"p99 in the body {us.late_p99 * 1e6:.1f} us <= the article's"
        f" {article.late_p99 * 1e6:.1f} us"
    )
    judge(text, us.late_p99 <= article.late_p99)


def fast(size: Size) -> None:
    wanted, n = 1e5, size.fast
    rates = []
    for _ in range(3):
        live = throttle([None], wanted, n)
        start = now()
        for _ in live:
            pass
        rates.append(n / (now() - start))
    print(f"\nAn empty body at 100,000/s for {n / wanted:g} s, three times")
    for rate in rates:
        judge(
            f"{rate:.1f}/s, off by {abs(rate / wanted - 1):.3%} <= 1 %",
            abs(rate / wanted - 1) <= 0.01,
        )


def delayed(size: Size) -> None:
    """What a strict ceiling costs: each release that is late moves the schedule."""
    live = throttle([None], TPS, size.delayed, late="delay")
    found = blocking(lambda: live)
    moved = live.report().re_anchored
    print(f'\nlate="delay", {TPS:g}/s')
    print(f"  {found.rate:.1f}/s, re-anchored {moved:.0f} times in {size.delayed} calls")


def loops(size: Size) -> None:
    print(
        f"\nIn an event loop, {TPS:g}/s, {size.rounds} rounds of {size.calls}, beside a task of 5"
        " ms sleeps"
    )
    print(f"{'':36}  late p50        p99      CPU       rate")
    candidates = {
        "athrottle": paced_athrottle,
        "asyncio.sleep, no drift": paced_sleep,
        "aiolimiter (1, 1/tps)": paced_aiolimiter,
    }
    rounds: dict[str, list[Figures]] = {name: [] for name in candidates}
    others: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(size.rounds):
        for name, paced in candidates.items():
            begun = time.process_time()
            times, late = asyncio.run(beside(paced(size.calls)))
            cpu = time.process_time() - begun
            rounds[name].append(figures(times, cpu, drifts=name.startswith("aiolimiter")))
            others[name] += late
    found = {name: medians(values) for name, values in rounds.items()}
    for name, values in found.items():
        line(name, values)
    us = found["athrottle"]
    judge(f"rate off by {abs(us.rate / TPS - 1):.4%} <= 0.1 %", abs(us.rate / TPS - 1) <= 0.001)
    for name in list(candidates)[1:]:
        ratio = found[name].late_p50 / us.late_p50
        judge(f"median lateness 1/{ratio:.0f} of {name} <= 1/30", ratio >= 30.0)
    others["nobody"] = asyncio.run(beside(asyncio.sleep(size.calls / TPS, [])))[1]
    notes = {
        name: f"p50 {quantile(v, 0.5) * 1e3:.2f}, p99 {quantile(v, 0.99) * 1e3:.2f} ms"
        for name, v in others.items()
    }
    for name, text in notes.items():
        print(f"  the other task's sleeps end late beside {name}: {text}")


def drift(size: Size) -> None:
    calls, seconds = int(3.5 * size.cycles) + 1, size.seconds
    print(
        f"\nDrift: {calls / 700.0:.0f} s of virtual time (late wake-ups), {seconds:g} s of real"
        " time"
    )
    clock = VirtualClock(TIMERS["linux"], late=[120e-6, 80e-6, 900e-6, 140e-6] * size.cycles)
    live = throttle([None], 700.0, calls, clock=clock)
    for _ in live:
        pass
    judge(
        f"virtual: {live.report().drift_ppm:+.4f} ppm <= 20 ppm",
        abs(live.report().drift_ppm) <= 20.0,
    )
    times = [now() for _ in throttle([None], TPS, int(TPS * seconds))]
    late = [t - times[0] - k / TPS for k, t in enumerate(times)]
    slope = statistics.linear_regression(times, late).slope * 1e6
    judge(
        f"real: {slope:+.3f} ppm <= 20 ppm; rate {figures(times, 0.0).rate:.5f}/s",
        abs(slope) <= 20.0,
    )


@contextlib.contextmanager
def terminal() -> Iterator[None]:
    """Standard error is a terminal, read by a process that throws it away."""
    reader, screen = pty.openpty()
    kept = os.dup(2)
    with subprocess.Popen(
        ["cat"], stdin=reader, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as cat:
        os.dup2(screen, 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(screen)
            os.close(kept)
            os.close(reader)
            cat.kill()


def watched(calls: int) -> Figures:
    live = throttle([None], TPS, calls)
    with terminal(), LiveMonitor(live, calls, None):
        return blocking(lambda: live)


def drawing(size: Size) -> None:
    """In pairs, for this machine's own hiccups are larger than what is looked for: the 95 %
    interval of the median difference is between the third and the tenth of twelve (binomial: 96
    %)."""
    pairs, calls = size.pairs, size.calls
    print(f"\nThe live panel, {TPS:g}/s, {pairs} pairs of {calls} releases: without it, with it")
    alone, seen = [], []
    for k in range(pairs):
        for watch in (k % 2 == 0, k % 2 == 1):
            if watch:
                seen.append(watched(calls))
            else:
                alone.append(blocking(lambda: throttle([None], TPS, calls)))
    line("alone", medians(alone))
    line("watched", medians(seen))
    for name, unit in (("late_p50", "median"), ("late_p99", "p99")):
        more = sorted(getattr(b, name) - getattr(a, name) for a, b in zip(alone, seen, strict=True))
        low, high = more[pairs // 6] * 1e6, more[-1 - pairs // 6] * 1e6
        judge(f"{unit} changes by {low:+.2f} to {high:+.2f} us (contains 0)", low <= 0.0 <= high)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="How precisely and how cheaply the live throttles pace."
    )
    parser.add_argument("--minute", action="store_true", help="drift over a minute of real time")
    parser.add_argument(
        "--smoke", action="store_true", help="everything once and short: does it run?"
    )
    args = parser.parse_args()
    size = SMOKE if args.smoke else Size()
    if args.minute:
        size = size._replace(seconds=60.0)
    sync(size)
    fast(size)
    delayed(size)
    loops(size)
    drift(size)
    drawing(size)


if __name__ == "__main__":
    main()
