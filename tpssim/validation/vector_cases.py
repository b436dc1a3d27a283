"""Vector's scenarios for `vector-arc`, with the statistics that its tests compare with published
ranges.

Origin: vectordotdev/vector, `tests/data/adaptive-concurrency` and
`sinks/util/adaptive_concurrency/tests.rs` (MPL-2.0). All times of a run are whole milliseconds:
latencies and retry waits are rounded up to the next millisecond but one, and requests and grants
happen on whole milliseconds.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from typing import Any, NamedTuple

from tpssim.controllers import CONTROLLERS
from tpssim.core.schedule import BURST
from tpssim.core.types import FAILED, OK, Observation, record
from tpssim.scenarios.plant import Async
from tpssim.scenarios.scenario import Scenario, checked_scenario
from tpssim.scenarios.service_times import Constant
from tpssim.simulation import simpy_engine
from tpssim.simulation.call_lifecycle import Call, Serving
from tpssim.simulation.environment import COMPLETION, World
from tpssim.validation.vector_ranges import VECTOR_CASES, VectorCase

MS = 1e-3
AT_ONCE = 1e6  #: requests a second that all come within the first millisecond


@record
class Statistic(NamedTuple):
    """One statistic of a run and its allowed range."""

    name: str
    value: float
    low: float
    high: float


@record
class Jittered(NamedTuple):
    """Service times of `least (1 + jitter E)`, E standard exponential."""

    least: float  #: s
    jitter: float

    @property
    def mean(self) -> float:
        return self.least * (1.0 + self.jitter)

    def noise(self) -> str:
        return "exponential"

    def times(self, draws: Any) -> Any:
        return self.least * (1.0 + self.jitter * draws)


class Levels:
    """The time, ms, at each level: `credit` adds the time since its last call to a level."""

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
    """The service, with the number of calls in it and of those that began in the last second."""

    def __init__(self, world: World, case: VectorCase) -> None:
        super().__init__(world)
        self.case = case
        self.in_flight, self.rate = Levels(), Levels()
        self.level = self.attempts = 0
        self.starts: deque[float] = deque()
        self.driver: simpy_engine.Driver | None = None

    def begin(self, call: Call) -> None:
        first, end = self.case.failures
        # An attempt that fails for good is an additional request.
        if self.driver is not None and call.slot + 1 == self.case.requests + end - first:
            self.driver.end = -math.inf
        super().begin(call)

    def _serve(self, call: Call, now: float) -> tuple[float, int, bool]:
        self._count(1)
        served = super()._serve(call, now)
        if served[0] < math.inf:
            self.world.at(served[0], COMPLETION - 1, lambda _: self._count(-1))
        else:  # it is never served, but counts in the rate
            self._count(-1)
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
    """The law, with calls in flight, and for each interval its limit and mean round trip."""

    def __init__(self, law: Any, pinned: float) -> None:
        self.law = law
        self.pinned = pinned
        self.in_flight, self.limit = Levels(), Levels()
        self.level = 0
        self.round_trips: list[float] = []  # of this interval, ms
        self.observed: list[tuple[float, float]] = []  # (when, round trip), ms
        self.averaged: list[tuple[float, float]] = []

    def init(self, target: float) -> Any:
        return self._pinned(self.law.init(target))

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
        return self._pinned(after)

    def _pinned(self, state: Any) -> Any:
        return state if math.isnan(self.pinned) else state._replace(limit=self.pinned)


def milliseconds(seconds: float) -> float:
    """A time of a run in whole milliseconds."""
    return math.floor(seconds * 1e3 + 0.5) * 1.0


def weighted(samples: list[tuple[float, float]]) -> dict[str, float]:
    """Least, largest and mean of all but the first, in s; the weight of each is the time since the
    one before.

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
            Constant(case.delay) if case.jitter == 0.0 else Jittered(case.delay, case.jitter),
            1.0 / case.interval if case.interval > 0.0 else AT_ONCE,
            duration,
            Async(0.0, "completion"),
            backend=case.backend,
            retry=case.retry,
            timeout=case.timeout,
            late=BURST,  # requests that wait for a place in Vector's buffer are all released
            tick=MS,
            grid=MS,
        )
    )


def measured(name: str, law: Any = None, seed: int = 0) -> tuple[list[Statistic], int]:
    """(each statistic that has a range, number of requests) of one of the cases under
    `vector-arc`.
    """
    case = VECTOR_CASES[name]
    world = World(scenario_of(name, case), seed, 0)
    service = Attempts(world, case)
    watched = Watched(CONTROLLERS["vector-arc"]() if law is None else law, case.pinned)
    service.driver = simpy_engine.Driver(world, service, watched, 0)
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
    statistics = [
        Statistic("requests done", float(finished), case.requests * 1.0, case.requests * 1.0)
    ]
    for key, (low, high) in case.ranges.items():
        what, which = key.split()
        statistics.append(Statistic(key, found[what][which], low, high))
    return statistics, len(world.rows)


def out_of_range(statistics: list[Statistic]) -> list[Statistic]:
    """Those outside their range."""
    return [s for s in statistics if not s.low <= s.value <= s.high]
