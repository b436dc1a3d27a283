"""What services at random are drawn with: numbers from ranges, and the parts that several families
have.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from tpssim.core.types import record
from tpssim.scenarios.plant import Async, Consumer, Pool
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_quotas import ServiceQuota
from tpssim.scenarios.service_times import Exponential, Gamma, Lognormal, Service

T = TypeVar("T")

#: Calls in flight at once, whose end the law observes.
IN_FLIGHT = Async(feedback="completion")


class Draw:
    """One generator for one scenario: a function of seed, family and number alone.

    Numbers have three significant digits, so that a scenario can be read. Only `random()` of the
    standard library is used, whose sequence is the same in every version of Python.

    >>> Draw(0, "overload", 3).even(1.0, 2.0) == Draw(0, "overload", 3).even(1.0, 2.0)
    True
    """

    def __init__(self, seed: int, family: str, number: int) -> None:
        self._next: Callable[[], float] = random.Random(f"{seed} {family} {number}").random

    def unit(self) -> float:
        """A number between 0 and 1, of all its digits."""
        return self._next()

    def even(self, low: float, high: float) -> float:
        """Each number between as likely as any other."""
        return rounded(low + (high - low) * self._next())

    def log(self, low: float, high: float) -> float:
        """Each size between as likely as any other: the logarithm is even."""
        return rounded(low * (high / low) ** self._next())

    def whole(self, low: float, high: float) -> float:
        """A whole number from `low` to `high`, whose size is as likely as any other."""
        return float(min(math.floor(low * ((high + 1.0) / low) ** self._next()), high))

    def one_of(self, *things: T) -> T:
        """One of them."""
        return things[int(len(things) * self._next())]

    def chance(self, probability: float) -> bool:
        """Whether it happens."""
        return self._next() < probability

    def normal(self, std: float) -> float:
        """A number of a normal distribution around 0 (Box and Muller)."""
        radius = math.sqrt(-2.0 * math.log(1.0 - self._next()))
        return std * radius * math.cos(2.0 * math.pi * self._next())


def rounded(value: float) -> float:
    """Three significant digits.

    >>> rounded(0.0123456)
    0.0123
    """
    return float(f"{value:.3g}")


@record
class Size(NamedTuple):
    """How large a service is: `servers` work at a time, on calls of `mean` seconds.

    >>> Size(servers=8.0, mean=0.02).capacity
    400.0
    """

    servers: float
    mean: float

    @property
    def capacity(self) -> float:
        return self.servers / self.mean


def size(draw: Draw, servers: tuple[float, float] = (2.0, 64.0)) -> Size:
    """A service of 30 to 250 calls a second."""
    found = draw.whole(*servers)
    return Size(found, rounded(found / draw.log(30.0, 250.0)))


def noisy(draw: Draw, mean: float) -> Service:
    """Service times of CV 0.1 to 1.2."""
    kind = draw.one_of("lognormal", "lognormal", "gamma", "exponential")
    cv = draw.log(0.1, 1.2)
    if kind == "exponential":
        return Exponential(mean)
    return Lognormal(mean, cv) if kind == "lognormal" else Gamma(mean, cv)


def callers(draw: Draw, servers: float) -> Consumer:
    """An async loop, or (three in ten) a pool of two to eight threads for each server."""
    workers = math.ceil(servers * draw.log(2.0, 8.0))
    return Pool(float(max(workers, 8))) if draw.chance(0.3) else IN_FLIGHT


def length(draw: Draw) -> float:
    """How long a run is, s: a multiple of ten."""
    return draw.one_of(40.0, 50.0, 60.0, 70.0, 80.0)


def stretch(draw: Draw, duration: float, low: float, high: float) -> tuple[float, float]:
    """From when to when something lasts `low` to `high` of a run that it leaves time to recover
    from.
    """
    lasts = duration * draw.even(low, high)
    start = duration * draw.even(0.15, 0.3)
    return rounded(start), rounded(start + lasts)


def patience(draw: Draw, latency: float) -> float:
    """A timeout that an idle service hardly ever reaches: 10 to 100 latencies, 0.5 s at least."""
    return max(0.5, rounded(latency * draw.log(10.0, 100.0)))


def waiting_room(draw: Draw, servers: float, away: float = 0.0) -> float:
    """Places of a queue: 4 to 100 for each server, 2,000 at most.

    A backend counts a call until its answer is there, so there are three more places for each of
    the `away` calls that are on the network on average.
    """
    waiting = min(2000, math.ceil(servers * draw.log(4.0, 100.0)))
    return float(waiting + math.ceil(3.0 * away))


def quota(draw: Draw) -> tuple[ServiceQuota, float, float]:
    """A quota of calls; what is wanted in front of it, 1/s; how long the run is, s."""
    per = draw.one_of(0.1, 1.0, 1.0, 1.0, 10.0, 60.0)
    rate = draw.log(5.0, 30.0) if per == 60.0 else draw.log(10.0, 100.0)
    amount = max(1.0, float(round(rate * per)))
    found = ServiceQuota(amount, per, at_once=float(draw.chance(0.7)))
    duration = 240.0 if per == 60.0 else draw.one_of(40.0, 60.0, 80.0)
    return found, rounded(amount / per * draw.log(1.2, 4.0)), duration


def plain(service: Service, target: Any, duration: float, **parts: Any) -> Scenario:
    """A scenario whose name and summary are given later."""
    return Scenario("", service, target, duration, **parts)
