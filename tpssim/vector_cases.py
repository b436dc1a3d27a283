"""Vector's scenarios for `vector-arc`, with the statistics that its tests hold against published ranges.

Origin: vectordotdev/vector, `tests/data/adaptive-concurrency` and `sinks/util/adaptive_concurrency/tests.rs`
(MPL-2.0). All times of a run are whole milliseconds: latencies and retry waits are rounded up to the next but
one, requests and grants happen on them.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from typing import Any, NamedTuple

from tpssim import model
from tpssim.controllers import CONTROLLERS
from tpssim.core import FAILED, OK, Observation
from tpssim.plant import Async, Backend, Retry
from tpssim.scenario import Scenario, checked_scenario
from tpssim.services import Constant
from tpssim.serving import Call, Serving
from tpssim.world import COMPLETION, World

MS = 1e-3
AT_ONCE = 1e6  #: requests a second that all come within the first millisecond
FIBONACCI = Retry(1000.0, 1.0, 0.0, 30.0)
Bounds = tuple[float, float]


class VectorCase(NamedTuple):
    """A scenario of theirs: parameters, and the range of each statistic."""

    about: str
    requests: int
    delay: float  #: s
    ranges: dict[str, Bounds]
    interval: float = 0.0  #: between requests, s; 0: all at once
    backend: Backend = Backend()
    retry: Retry = FIBONACCI
    pinned: float = math.nan  #: the limit, if it is fixed
    failures: tuple[int, int] = (0, 0)  #: attempts of these numbers, from 0, fail for good (not the second)


class Statistic(NamedTuple):
    """One statistic of a run and where it is to lie."""

    name: str
    value: float
    low: float
    high: float


class Levels:
    """A histogram of time, ms, by level: a level is credited with the time since the last one was."""

    def __init__(self) -> None:
        self.last = math.nan
        self.time: dict[float, float] = {}

    def credit(self, level: float, now: float) -> None:
        if not math.isnan(self.last):
            self.time[level] = self.time.get(level, 0.0) + now - self.last
        self.last = now

    def statistics(self) -> dict[str, float]:
        time = {level: weight for level, weight in self.time.items() if weight > 0.0}
        total = math.fsum(time.values())
        return {
            "min": min(time),
            "max": max(time),
            "mean": math.fsum(level * weight for level, weight in time.items()) / total,
            "mode": max(time, key=lambda level: (time[level], level)),
        }


class Attempts(Serving):
    """The service, watched: calls in it, and how many began in the last second."""

    def __init__(self, world: World, case: VectorCase) -> None:
        super().__init__(world)
        self.case = case
        self.in_flight, self.rate = Levels(), Levels()
        self.level = self.attempts = 0
        self.starts: deque[float] = deque()
        self.driver: model.Driver | None = None

    def begin(self, call: Call) -> None:
        first, end = self.case.failures
        # An attempt that fails for good is a request more.
        if self.driver is not None and call.slot + 1 == self.case.requests + end - first:
            self.driver.end = -math.inf
        super().begin(call)

    def _serve(self, call: Call, now: float) -> tuple[float, int, bool]:
        self._count(1)
        served = super()._serve(call, now)
        self.world.at(served[0], COMPLETION - 1, lambda _: self._count(-1))
        return served

    def _result(self, call: Call) -> int:
        first, end = self.case.failures
        self.attempts += 1
        return FAILED if first < self.attempts <= end else OK

    def _count(self, change: int) -> None:
        now = milliseconds(self.world.env._now)
        while self.starts and self.starts[0] <= now - 1000.0:
            self.starts.popleft()
        if change > 0:
            self.starts.append(now)
        self.rate.credit(float(len(self.starts)), now)
        self.in_flight.credit(float(self.level), now)
        self.level += change


class Watched:
    """The law, watched: calls in flight, and at the end of each interval its limit and mean round trip."""

    def __init__(self, law: Any, pinned: float) -> None:
        self.law = law
        self.pinned = pinned
        self.in_flight, self.limit = Levels(), Levels()
        self.level = 0
        self.round_trips: list[float] = []  # of this interval, ms
        self.observed: list[tuple[float, float]] = []  # (when, round trip), ms
        self.averaged: list[tuple[float, float]] = []

    def init(self, target: float) -> Any:
        return self._held(self.law.init(target))

    def admit(self, state: Any, now: float, lag: float, in_flight: float) -> Any:
        self.in_flight.credit(float(self.level), milliseconds(now))
        self.level += 1
        return self.law.admit(state, now, lag, in_flight)

    def update(self, state: Any, obs: Observation) -> Any:
        now = milliseconds(obs.now)
        self.in_flight.credit(float(self.level), now)
        self.level -= 1
        if obs.errors == 0.0:
            round_trip = milliseconds(obs.latency)
            self.observed.append((now, round_trip))
            self.round_trips.append(round_trip)
        after = self.law.update(state, obs)
        if after.samples == 0.0 and not math.isnan(after.mean):  # the interval is over
            self.limit.credit(state.limit, now)
            if self.round_trips:
                mean = math.fsum(self.round_trips) / len(self.round_trips)
                self.averaged.append((now, math.floor(mean * 1e3 + 0.5) / 1e3))
            self.round_trips = []
        return self._held(after)

    def _held(self, state: Any) -> Any:
        return state if math.isnan(self.pinned) else state._replace(limit=self.pinned)


def milliseconds(seconds: float) -> float:
    """A time of a run in the whole milliseconds that it is."""
    return math.floor(seconds * 1e3 + 0.5) * 1.0


def weighted(samples: list[tuple[float, float]]) -> dict[str, float]:
    """Least, largest and mean of all but the first, in s; each weighs the time since the one before.

    >>> weighted([(0.0, 500.0), (1.0, 100.0), (4.0, 200.0)])
    {'min': 0.1, 'max': 0.2, 'mean': 0.175}
    """
    times, values = [time for time, _ in samples], [value for _, value in samples[1:]]
    weights = [later - earlier for earlier, later in itertools.pairwise(times)]
    total = math.fsum(weights)
    mean = math.fsum(v * w for v, w in zip(values, weights, strict=True)) / total
    return {"min": min(values) / 1e3, "max": max(values) / 1e3, "mean": mean / 1e3}


def scenario_of(name: str, case: VectorCase, duration: float = 600.0) -> Scenario:
    """Their scenario on our plant."""
    return checked_scenario(
        Scenario(
            name,
            Constant(case.delay),
            1.0 / case.interval if case.interval > 0.0 else AT_ONCE,
            duration,
            Async(0.0, "completion"),
            backend=case.backend,
            retry=case.retry,
            tick=MS,
            grid=MS,
        )
    )


def measured(name: str, law: Any = None) -> tuple[list[Statistic], int]:
    """(each statistic that has a range, number of requests) of one of the cases under `vector-arc`."""
    case = VECTOR_CASES[name]
    world = World(scenario_of(name, case), 0, 0)
    service = Attempts(world, case)
    watched = Watched(CONTROLLERS["vector-arc"]() if law is None else law, case.pinned)
    service.driver = model.Driver(world, service, watched, 0)
    service.driver.arm()
    world.run()
    found = {
        "s": service.in_flight.statistics(),
        "rate": service.rate.statistics(),
        "c": watched.in_flight.statistics(),
        "limit": watched.limit.statistics(),
        "rtt": weighted(watched.observed),
        "avg": weighted(watched.averaged),
    }
    finished = sum(row[7] == OK for row in world.rows)
    statistics = [Statistic("requests done", float(finished), case.requests * 1.0, case.requests * 1.0)]
    for key, (low, high) in case.ranges.items():
        what, which = key.split()
        statistics.append(Statistic(key, found[what][which], low, high))
    return statistics, len(world.rows)


def out_of_range(statistics: list[Statistic]) -> list[Statistic]:
    """Those that do not lie where they should."""
    return [s for s in statistics if not s.low <= s.value <= s.high]


def _both(one: str, other: str, **ranges: Bounds) -> dict[str, Bounds]:
    return {f"{what} {which}": bounds for what in (one, other) for which, bounds in ranges.items()}


TENTH: Bounds = (0.100, 0.102)
VECTOR_CASES = {
    "constant-link": VectorCase(
        "500 requests at once, 0.1 s each",
        500,
        0.1,
        _both("s", "c", max=(30, 31), mean=(15, 16))
        | {"limit max": (22, 32), "limit mean": (16, 18)}
        | _both("rtt", "avg", min=TENTH, max=TENTH, mean=TENTH),
    ),
    "medium-send": VectorCase(
        "40 requests a second, 0.1 s each",
        500,
        0.1,
        _both("s", "c", max=(8, 8), mode=(4, 5), mean=(4.0, 4.5))
        | {"limit max": (9, 9)}
        | _both("rtt", "avg", min=TENTH, max=TENTH),
        interval=0.025,
    ),
    "slow-send-1": VectorCase(
        "10 requests a second, 0.05 s each",
        100,
        0.05,
        _both("s", "c", max=(1, 1), mode=(1, 1), mean=(0.5, 0.55))
        | {"limit mode": (1, 2), "limit mean": (1, 2)}
        | _both("rtt", "avg", min=(0.050, 0.052), mean=(0.050, 0.052)),
        interval=0.1,
    ),
    "shallow-knee": VectorCase(
        "1000 requests at once; beyond 10 in flight each makes it 1.1 times slower",
        1000,
        0.1,
        _both("s", "c", max=(12, 12), mean=(9, 11), mode=(9, 12))
        | {"rate max": (103, 108), "rate mean": (87, 89)}
        | {"limit max": (12, 12), "limit mean": (10, 12), "limit mode": (9, 12)}
        | _both("rtt", "avg", min=TENTH, max=(0.100, 0.123), mean=(0.106, 0.120)),
        backend=Backend(knee=10.0, exponent=1.1),
    ),
    "fixed-simple": VectorCase(
        "500 requests at once through 10 permits",
        500,
        0.1,
        _both("s", "c", max=(10, 10), mode=(10, 10), mean=(8, 10))
        | {"rate max": (90, 90), "rate mean": (80, 85)}
        | {"limit min": (10, 10), "limit max": (10, 10), "limit mode": (10, 10)},
        pinned=10.0,
    ),
    "defers-at-high-concurrency": VectorCase(
        "500 requests at once; with more than 5 in flight an error, tried again after 1, 2, 3, 5, ... s",
        500,
        0.1,
        {"s max": (5, 18), "s mode": (0, 6), "s mean": (2.2, 5)}
        | {"rate max": (52, 63), "rate mean": (20, 44)}
        | {"c max": (5, 41), "c mode": (4, 29), "c mean": (3.5, 26)}
        | {"limit max": (6, 41), "limit mode": (2, 29), "limit mean": (4, 29)}
        | {"rtt min": TENTH, "rtt max": (0.0, 19.7), "rtt mean": (0.0, 5.7)}
        | {"avg min": TENTH, "avg max": (0.0, 9.0), "avg mean": (0.0, 3.2)},
        backend=Backend(limit=5.0),
    ),
    # The limiter within the retries, as the case asks for: each attempt is a call. Around them, as in the
    # other cases, the round trip of the request that fails five times would hold 19 s of waiting.
    "retried-request-rtt": VectorCase(
        "20 requests, one at a time; after 2 attempts 5 fail: a failure is no round trip",
        20,
        0.1,
        {"rtt min": TENTH, "rtt max": (0.100, 0.300)},
        retry=Retry(),
        backend=Backend(failure=0.5),
        pinned=1.0,
        failures=(2, 7),
    ),
}
