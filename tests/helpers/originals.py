"""Laws of other projects, written again from their sources (Go, C, Python) and nothing else.

They keep the structure of the sources: time in whole nanoseconds, rings with an offset, sorted
arrays. What the sources read of the machine, such as the processor's usage, is an argument.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

SECOND, MILLISECOND = 1_000_000_000, 1_000_000
Bucket = list[float]  # sum, count


class AegisWindow:
    """go-kratos/aegis e0742c6, internal/window/policy.go."""

    def __init__(self, size: int, width: int) -> None:
        self.size, self.width, self.offset, self.appended = size, width, 0, 0
        self.buckets: list[Bucket] = [[0.0, 0.0] for _ in range(size)]

    def timespan(self, now: int) -> int:
        return (now - self.appended) // self.width

    def add(self, now: int, value: float) -> None:
        span = self.timespan(now)
        if span > 0:
            for i in range(min(span, self.size)):
                self.buckets[(self.offset + 1 + i) % self.size] = [0.0, 0.0]
            self.offset = (self.offset + span) % self.size
            self.appended += span * self.width
        bucket = self.buckets[self.offset]
        bucket[0] += value
        bucket[1] += 1

    def reduce(self, now: int, f: Callable[[Sequence[Bucket]], float]) -> float:
        count = self.size - self.timespan(now)
        if count <= 0:
            return 0.0
        start = self.offset + self.timespan(now) + 1
        return f([self.buckets[(start + i) % self.size] for i in range(count)])


class AegisBbr:
    """go-kratos/aegis e0742c6, ratelimit/bbr/bbr.go."""

    def __init__(self, window: int, buckets: int, threshold: float) -> None:
        self.width, self.buckets, self.threshold = window // buckets, buckets, threshold
        self.passes, self.rts = (AegisWindow(buckets, self.width) for _ in range(2))
        self.per_second = SECOND // self.width
        self.pass_cache: tuple[int, int] | None = None
        self.rt_cache: tuple[int, int] | None = None
        self.previous_drop: int | None = None

    def max_pass(self, now: int) -> int:
        if self.pass_cache and (now - self.pass_cache[1]) // self.width < 1:
            return self.pass_cache[0]

        def most(buckets: Sequence[Bucket]) -> float:
            return max([1.0, *(total for total, _ in buckets[: self.buckets - 1])])

        self.pass_cache = int(self.passes.reduce(now, most)), now
        return self.pass_cache[0]

    def min_rt(self, now: int) -> int:
        if self.rt_cache and (now - self.rt_cache[1]) // self.width < 1:
            return self.rt_cache[0]

        def least(buckets: Sequence[Bucket]) -> float:
            means = [total / n for total, n in buckets[: self.buckets - 1] if n > 0]
            return math.ceil(min(means)) if means else -math.inf  # the largest float overflows

        found = self.rts.reduce(now, least)
        self.rt_cache = 1 if found <= 0 else int(found), now
        return self.rt_cache[0]

    def max_in_flight(self, now: int) -> int:
        return int(math.floor(self.max_pass(now) * self.min_rt(now) * self.per_second / 1000) + 0.5)

    def should_drop(self, now: int, in_flight: int, cpu: float) -> bool:
        if cpu < self.threshold:
            if self.previous_drop is None:
                return False
            if now - self.previous_drop <= SECOND:
                return in_flight > 1 and in_flight > self.max_in_flight(now)
            self.previous_drop = None
            return False
        drop = in_flight > 1 and in_flight > self.max_in_flight(now)
        if drop and self.previous_drop is None:
            self.previous_drop = now
        return drop

    def done(self, now: int, rt: int) -> None:
        ms = math.ceil(rt / MILLISECOND)
        if ms > 0:
            self.rts.add(now, ms)
        self.passes.add(now, 1)


class GozeroWindow:
    """zeromicro/go-zero 0786862, core/collection/rollingwindow.go, the current bucket ignored."""

    def __init__(self, size: int, interval: int) -> None:
        self.size, self.interval, self.offset, self.last = size, interval, 0, 0
        self.buckets: list[Bucket] = [[0.0, 0.0] for _ in range(size)]

    def span(self, now: int) -> int:
        return min((now - self.last) // self.interval, self.size)

    def add(self, now: int, value: float) -> None:
        span = self.span(now)
        if span > 0:
            for i in range(span):
                self.buckets[(self.offset + 1 + i) % self.size] = [0.0, 0.0]
            self.offset = (self.offset + span) % self.size
            self.last = now - (now - self.last) % self.interval
        self.buckets[self.offset][0] += value
        self.buckets[self.offset][1] += 1

    def reduced(self, now: int) -> list[Bucket]:
        span = self.span(now)
        n = self.size - 1 if span == 0 else self.size - span
        return [self.buckets[(self.offset + span + 1 + i) % self.size] for i in range(n)]


class GozeroShedder:
    """zeromicro/go-zero 037917d, core/load/adaptiveshedder.go."""

    def __init__(self, window: int, buckets: int, threshold: float) -> None:
        interval = window // buckets
        self.threshold, self.scale = threshold, SECOND / interval / 1000.0
        self.passes, self.rts = (GozeroWindow(buckets, interval) for _ in range(2))
        self.flying, self.average = 0, 0.0
        self.overload_time: int | None = None
        self.dropped_recently = False

    def max_flight(self, now: int) -> float:
        most = max([1.0, *(total for total, _ in self.passes.reduced(now))])
        means = [math.floor(total / n + 0.5) for total, n in self.rts.reduced(now) if n > 0]
        return max(most * min([1000.0, *means]) * self.scale, 1.0)

    def still_hot(self, now: int) -> bool:
        if not self.dropped_recently or self.overload_time is None:
            return False
        if now - self.overload_time < SECOND:
            return True
        self.dropped_recently = False
        return False

    def allow(self, now: int, cpu: float) -> bool:
        overloaded = cpu >= self.threshold
        if overloaded:
            self.overload_time = now
        if overloaded or self.still_hot(now):
            factor = min(max((1000.0 - cpu) / (1000.0 - self.threshold), 0.1), 1.0)
            most = self.max_flight(now) * factor
            if self.average > most and self.flying > most:
                self.dropped_recently = True
                return False
        self.flying += 1
        return True

    def finish(self, now: int, rt: int, passed: bool) -> None:
        self.flying -= 1
        self.average = self.average * 0.9 + self.flying * (1 - 0.9)
        if passed:
            self.rts.add(now, math.ceil(rt / MILLISECOND))
            self.passes.add(now, 1)


class WaitingShare:
    """The load of `_waiting_load` in plain sums: a list of the shares of each tick."""

    def __init__(self, tick: int) -> None:
        self.tick, self.at, self.usage, self.least = tick, 0, 0, math.inf
        self.shares: list[float] = []

    def at_time(self, now: int) -> int:
        while self.at < now // self.tick:
            seen = int(1000.0 * sum(self.shares) / len(self.shares)) if self.shares else 0
            self.usage = int(self.usage * 0.95 + seen * (1.0 - 0.95))
            self.at, self.shares = self.at + 1, []
        return self.usage

    def ended(self, now: int, latency: float, dropped: bool) -> None:
        self.at_time(now)
        if not dropped:
            self.least = min(self.least, latency)
        self.shares.append(1.0 if dropped else 1.0 - self.least / latency)


class Seda:
    """shenango/caladan bdb4dde, breakwater/src/sd_client.c, with times in s."""

    def __init__(
        self, rate: float, target: float, timeout: float, adj_i: float, adj_d: float, least: float
    ) -> None:
        self.rate, self.target, self.timeout = rate, target, timeout
        self.adj_i, self.adj_d, self.least = adj_i, adj_d, least
        self.res, self.idx, self.cur, self.updated = [0.0] * 100, 0, 0.0, -math.inf

    def update(self, now: float, us: float) -> None:
        self.res[self.idx % 100] = us
        self.idx += 1
        if now - self.updated > self.timeout:
            n = self.idx % 100
            self.res[:n] = sorted(self.res[:n])
            self.correct(self.res[int((n - 1) * 0.99)])
            self.updated, self.idx = now, 0
        elif self.idx % 100 == 0:
            self.res.sort()
            self.correct(self.res[int(100 * 0.99)])
            self.updated = now

    def correct(self, sample: float) -> None:
        self.cur = 0.7 * self.cur + (1 - 0.7) * sample
        err = (self.cur - self.target) / self.target
        rate = self.rate
        if err > 0.0:
            rate = rate / self.adj_d
        elif err < -0.5:
            rate += -(err - -0.1) * self.adj_i
        self.rate = max(rate, self.least)


def breakwater(win: int, carry: float, us: float, sessions: int, delay: float) -> tuple[int, float]:
    """shenango/caladan bdb4dde, breakwater/src/bw_server.c: a round of `srpc_cc_worker`, 10 cores;
    in doubles.
    """
    if us >= delay:
        alpha = max(1.0 - (us - delay) / delay * 0.02, 0.5)
        win, carry = int(win * alpha), 0.0
    else:
        carry += sessions * 0.001
        if carry >= 1.0:
            win += int(carry)
            carry -= int(carry)
    return min(max(win, 10), sessions << 6), carry


def dagor(priority: float, overloaded: bool) -> tuple[float, int]:
    """shenango/caladan bdb4dde, breakwater/src/dg_server.c: (priority, its whole threshold)."""
    priority = 0.95 * priority if overloaded else priority + 0.01 * 128
    priority = min(max(priority, 1.0), 128 - 1)
    return priority, int(priority)


class TopfullAgent:
    """kaist-ina/TopFull 0c7af21, deploy_mimd.py and overload_detection.py, for one interface."""

    def __init__(self, rps: float) -> None:
        self.threshold, self.ttl, self.terminated = max(rps, 10.0), 150, False

    def run(self, rps: float, calls: int, fail: int, latency95: float) -> None:
        if self.ttl <= 0 or (fail <= 0.1 * calls and self.threshold >= rps):
            self.terminated = True
            return
        action = (-0.05 if latency95 > 1.0 else 0.01) * self.threshold
        if action < 0.0:
            self.threshold -= -action
        elif self.threshold + action <= rps * 1.1:
            self.threshold += action
        else:
            self.threshold = rps * 1.1
        if self.threshold <= 10:
            self.threshold = 10.0
        self.ttl -= 1
