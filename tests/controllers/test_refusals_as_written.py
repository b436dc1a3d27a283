"""headroom's rules for refusals, written once more from the equations of docs/headroom.md alone,
decide the same on quotas, outages, pauses and answers that say when to come back.
"""

from __future__ import annotations

import math
import random

import pytest

from tpssim.controllers._headroom_rate import paced, rate_of, unrefused
from tpssim.core.types import Observation

CUT, TARGET = 0.93, 300.0


class AsWritten:
    """The section "Refusals and timeouts: a rate", line by line, with its names."""

    def __init__(self) -> None:
        self.allowed = self.mark = math.inf
        self.span = self.scale = 64.0
        self.down = -1.0
        self.served = self.time = self.out = self.dry = self.m = self.start = 0.0
        self.bad = self.turn = self.last = self.of = self.drops_before = 0.0
        self.seen: float | None = None

    def see(self, obs: Observation, rate: float) -> None:
        now, latency, lag = obs.now, obs.latency, obs.lag
        good, drops = obs.count - obs.errors, obs.drops
        passed = 0.0 if self.seen is None else now - self.seen
        usual = 2.0 * max(1.0 / rate, latency)
        if self.down < 0.0 and passed > usual:
            if self.drops_before > 0.0 and lag > usual:
                self.allowed, self.down = min(self.allowed, rate), 0.0
                assert self.seen is not None
                self.turn = self.seen
            else:
                passed = usual
        after = now - latency >= self.turn
        ends = self.down >= 0.0 and good > 0.0 and after
        if ends:
            passed = (passed + min(passed, lag)) / 2.0
        self.served += good
        self.time += passed
        self.dry = 0.0 if good > 0.0 else self.dry + passed
        self.out += passed if self.down >= 0.0 else 0.0
        if ends:
            self.new_cubic(now, latency)
        elif self.down >= 0.0:
            self.down += passed
        else:
            self.bad = 0.98**good * self.bad + (drops if after else 0.0)
            if drops > 0.0 and self.bad > 1.5:
                self.allowed, self.turn, self.down = min(self.allowed, rate), now, 0.0
                self.out += min(self.dry, latency)
            else:
                self.along(good, latency, rate)
        if self.down >= 0.0:
            self.bad = 0.0
        self.drops_before, self.seen = drops, now

    def forget(self) -> None:
        self.served = self.time = self.out = self.dry = 0.0

    def new_cubic(self, now: float, latency: float) -> None:
        if self.served >= max(12.0, min(self.of / 2.0, 64.0)) and self.time > 0.0:
            got = min(self.served / self.time, self.allowed)
            brief = self.out <= max(self.time / 4.0, 2.0 * latency)
            if brief:
                takes, top = got, 1.15
            elif self.last / 2.0 <= got <= 2.0 * self.last:
                takes, top = max(got, self.last), 1.03
            else:
                takes, top = min(self.served / (self.time - self.out), self.allowed), 1.03
            near = abs(got - self.last) <= self.last / 4.0
            first = max(64.0, 16.0 * takes * latency) if brief or near else 64.0
            longer = self.span * (4.0 if self.allowed >= self.mark else 1.0)
            self.span = min(1536.0, max(first, longer)) if near else first
            self.mark = min((takes + self.allowed) / 2.0, top * takes)
            self.start, self.last, self.of = CUT * self.mark, got, self.served
            self.forget()
        elif self.mark < math.inf:
            self.start *= CUT
        else:
            self.mark, self.start = self.allowed, self.allowed / 2.0
            self.forget()
        self.mark, self.start = max(self.mark, 1e-9 * TARGET), max(self.start, 1e-9 * TARGET)
        self.allowed, self.m, self.scale, self.turn = self.start, 0.0, self.span, now
        self.down, self.bad = -1.0, 0.0

    def along(self, good: float, latency: float, rate: float) -> None:
        if self.mark < math.inf and rate >= self.allowed:
            self.m += good
            begin = (1.0 - self.start / self.mark) ** (1.0 / 3.0)
            self.allowed = self.mark * (1.0 + (self.m / self.scale - begin) ** 3)
            if self.allowed > 1.15 * self.mark:
                if self.scale == 1536.0:
                    self.forget()
                self.mark, self.start, self.m = self.allowed, self.allowed, 0.0
                self.scale = min(
                    self.scale, max(self.scale / 4.0, 64.0, 16.0 * self.allowed * latency)
                )

    def rate(self, obs: Observation) -> float:
        if self.down >= 0.0:
            return 1.0 / (
                2.0 / self.allowed + 0.15 * self.down + max(0.0, min(obs.lag, obs.latency))
            )
        return self.allowed


@pytest.mark.parametrize("seed", range(8))
def test_the_text_determines_the_law(seed: int) -> None:
    """A service with a quota that changes, outages, answers that say when to come back, and a
    caller who pauses; one call after the other.
    """
    draw = random.Random(seed)
    pace, written = unrefused(), AsWritten()
    now, rate, own, tokens, takes = 0.0, TARGET, TARGET, 20.0, draw.choice([0.001, 0.02, 0.2])
    quota, down_until, told = draw.uniform(20.0, 100.0), 0.0, draw.random() < 0.5
    events = 0
    for step in range(6000):
        wait, lag = 1.0 / rate, 0.0
        if draw.random() < 0.002:
            wait += draw.expovariate(0.2)  # a pause
        if draw.random() < 0.001:
            down_until = now + draw.expovariate(0.1)
        if step % 2000 == 1999:
            quota = draw.uniform(20.0, 100.0)
        if told and written.drops_before:
            lag = draw.uniform(0.0, 0.5)
        now += wait + lag
        tokens = min(20.0, tokens + (wait + lag) * quota) - 1.0
        refused = tokens < 0.0 or now < down_until
        tokens = max(tokens, 0.0)
        dropped = 1.0 if refused else 0.0
        latency = takes * draw.uniform(0.5, 1.5)
        obs = Observation(now, TARGET, latency, lag, 1.0, dropped, 1.0, dropped)
        before = pace.turn
        pace = paced(pace, obs, obs.drops, rate, CUT)
        written.see(obs, own)
        rate, own = rate_of(pace, obs), written.rate(obs)
        assert own == pytest.approx(rate, rel=1e-9)
        rate, own = (max(min(one, TARGET), 1e-9 * TARGET) for one in (rate, own))
        events += pace.turn != before
    assert events > 10
