"""Scrapy's AutoThrottle: a delay between requests that follows their latency."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from tpssim.core.types import Observation, described, record
from tpssim.core.validation import Range


@record
class ScrapyAutothrottleState(NamedTuple):
    rate: float
    limit: float
    reject: float
    delay: float  #: between two requests, s


@described(
    """Wait between requests as long as one takes, divided by how many should be under way.

    For each response with a latency::

        wanted = latency / concurrency
        new    = max(wanted, (delay + wanted) / 2), in [min_delay, max_delay]
        delay <- new        (unless the response was a failure and new <= delay)
        rate   = min(target, 1 / delay)

    It starts with `start_delay`. Up at once, down by halves: with a constant latency the distance
    halves with each response. It is blind to quick errors, which look like a quick service.

    Deviations: the delay is exact where Scrapy by default draws it from half to one and a half of
    it; never faster than the target; Scrapy also keeps at most 8 requests under way for a domain,
    here any number may be; a call that timed out is a failed response with its time-out as latency,
    where Scrapy sees none.

    >>> law = ScrapyAutothrottle(concurrency=2.0, start_delay=1.0)
    >>> law.update(law.init(100.0), Observation(2.0, 100.0, 2.0, 0.0)).delay
    1.0
    """,
    actuators=("rate",),
    signals="latency, failed or not",
    origin="scrapy/scrapy, `extensions/throttle.py` (BSD-3-Clause)",
    year=2011,
)
@record
class ScrapyAutothrottle(NamedTuple):
    start_delay: Annotated[
        float, Range(0.0, 1e6, "s", search=(0.01, 10.0)), "delay between two calls at the start"
    ] = 5.0
    min_delay: Annotated[
        float, Range(0.0, 1e6, "s", search=(0.0, 1.0)), "least delay between two calls"
    ] = 0.0
    max_delay: Annotated[
        float, Range(0.0, 1e6, "s", False, search=(1.0, 120.0)), "longest delay between two calls"
    ] = 60.0
    concurrency: Annotated[
        float,
        Range(0.0, 1e5, "calls", False, search=(0.5, 32.0), log=True),
        "number of calls that should be under way at a time",
    ] = 1.0

    def conflict(self) -> str:
        if self.min_delay > self.max_delay:
            return (
                f"min_delay={self.min_delay:g} lies above max_delay={self.max_delay:g}; allowed:"
                " min <= max"
            )
        return ""

    def init(self, target: float) -> ScrapyAutothrottleState:
        delay = max(self.start_delay, self.min_delay)
        return ScrapyAutothrottleState(speed(delay, target), math.inf, 0.0, delay)

    def update(self, state: ScrapyAutothrottleState, obs: Observation) -> ScrapyAutothrottleState:
        delay = state.delay
        if obs.count >= 1.0 and not math.isnan(obs.latency):
            wanted = obs.latency / self.concurrency
            new = max(wanted, (delay + wanted) / 2.0)
            new = min(max(self.min_delay, new), self.max_delay)
            if obs.errors == 0.0 or new > delay:
                delay = new
        return ScrapyAutothrottleState(speed(delay, obs.target), state.limit, state.reject, delay)

    def why(
        self, before: ScrapyAutothrottleState, obs: Observation, after: ScrapyAutothrottleState
    ) -> str:
        change = f"delay {before.delay * 1e3:.4g} -> {after.delay * 1e3:.4g} ms"
        return f"latency {obs.latency * 1e3:.4g} ms for {self.concurrency:g} under way: {change}"


def speed(delay: float, target: float) -> float:
    """A delay as a rate, at most the target.

    >>> speed(0.5, 100.0), speed(0.0, 100.0)
    (2.0, 100.0)
    """
    if delay <= 0.0:
        return target
    return target if delay * target <= 1.0 else 1.0 / delay
