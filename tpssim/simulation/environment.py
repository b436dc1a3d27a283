"""One run in progress: virtual time on simpy's event list, the noise, and the log of calls.

Ties are broken by kind (`event_kinds`), then by producer and slot. Every event is scheduled at an
absolute time, because `now + (t - now)` need not be `t`. Sole importer of simpy.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Mapping
from heapq import heappush
from typing import Any

import numpy as np
import simpy

from tpssim.core.clocks import PUNCTUAL
from tpssim.core.schedule import on_grid, ticked
from tpssim.core.timer_models import Draws, late_wakeups
from tpssim.core.types import REFUSED, UNFINISHED
from tpssim.scenarios import service_times
from tpssim.scenarios.disturbances import OTHER, Stall, Swap, factor_at, factor_row, finish, merged
from tpssim.scenarios.load import peak
from tpssim.scenarios.scenario import Scenario
from tpssim.simulation.event_kinds import KINDS
from tpssim.simulation.trace import COLUMNS, COUNTERS, Trace, sound

# Priorities at equal times. simpy's own wake-ups are 0 and 1; producer and slot are added to these.
END, ARRIVAL, COMPLETION, TIMEOUT, WINDOW, RETRY, RELEASE = (kind + 2 << 64 for kind in KINDS)
FIRST = 1 << 16
Action = Callable[[Any], None]

#: A row of the log, in the order of a trace's columns.
Row = list[float]
SCHEDULED, RELEASED, COMPLETED, LATENCY = range(4)
IN_FLIGHT, OUTCOME, PRODUCER, COST = range(6, len(COLUMNS))


class Moment(simpy.Event):
    """An event that has been triggered, with its one callback: what `simpy.Timeout` is for relative
    times.
    """

    def __init__(self, env: simpy.Environment, action: Action) -> None:
        self.env = env
        self.callbacks = [action]
        self._value = None
        self._ok = True


class Noise:
    """Draws by number, made in blocks as they are asked for; a longer request continues a shorter
    one.
    """

    def __init__(self, make: Callable[[int], Any], expected: int) -> None:
        self.make = make
        self.size = max(16, expected)
        self.values: list[float] = []

    def __getitem__(self, k: int) -> float:
        try:
            return self.values[k]
        except IndexError:
            while k >= self.size:
                self.size *= 2
            self.values = self.make(self.size).tolist()
            return self.values[k]


class World:
    """Virtual time, noise and log of one run."""

    def __init__(self, scenario: Scenario, seed: int, replication: int) -> None:
        self.scenario = scenario
        self.seed = seed
        self.replication = replication
        self.env = simpy.Environment()
        # A slot lies at least 1 / target after the one before (unless gaps are random).
        self.slots = math.ceil(max(peak(scenario), 1.0) * scenario.duration) + 2
        self.first = min(self.slots, FIRST)  # draws; more are made when they are asked for
        self.services = [scenario.service]
        self.swaps: list[tuple[float, float, int]] = []
        for d in scenario.disturbances:
            if isinstance(d, Swap):
                self.swaps.append((d.start, d.end, len(self.services)))
                self.services.append(d.service)
        self.factors = [factor_row(d) for d in scenario.disturbances if not isinstance(d, OTHER)]
        self.stalls = merged([d for d in scenario.disturbances if isinstance(d, Stall)])
        self.times: dict[tuple[int, int, int], Noise] = {}
        self.delays: dict[tuple[int, int], Noise] = {}
        self.costs: dict[int, Noise] = {}
        self.per_cost = scenario.backend.per_cost
        self.disturbed = bool(self.swaps or self.factors)
        self.producers = len(scenario.producers)
        self.plain_times = [self._times(0, i, 0) for i in range(self.producers)]
        self.counters = dict.fromkeys(COUNTERS, 0.0)
        self.rows: list[Row] = []

    def noise(self, stream: str, producer: int = 0, attempt: int = 0) -> Noise:
        """The draws of a stream."""
        return Noise(lambda n: self._draws(stream, n, producer, attempt), self.first)

    def _draws(self, stream: str, n: int, producer: int, attempt: int = 0) -> Any:
        """The first draws of a stream; producers beyond the scenario's are other clients, with
        streams of their own.
        """
        if producer >= self.producers:
            stream, producer = f"background.{stream}", producer - self.producers
        return service_times.draws(stream, n, self.seed, self.replication, producer, attempt)

    def late(self, producer: int = 0) -> Draws:
        """How late each sleep of a producer ends, s."""
        timer = self.scenario.timer
        if timer.median == 0.0 and timer.spike == 0.0:
            return PUNCTUAL

        def make(n: int) -> Any:
            key = (self.seed, self.replication, producer)
            normal, uniform = (
                service_times.draws(s, n, *key) for s in ("timer.normal", "timer.uniform")
            )
            return late_wakeups(timer, normal, uniform)

        return Noise(make, self.first)

    def cost(self, producer: int, slot: int) -> float:
        """What a call costs."""
        cost, service = self.scenario.cost, self.scenario.service
        if cost is None:
            return 1.0
        if producer not in self.costs:
            stream = service_times.cost_stream(cost, service)

            def make(n: int) -> Any:
                return service_times.costs_of(cost, self._draws(stream, n, producer))

            self.costs[producer] = Noise(make, self.first)
        return self.costs[producer][slot]

    def work(self, producer: int, slot: int, attempt: int, begin: float, cost: float) -> float:
        """Service time of a call of that cost whose work begins at `begin`, s, under the
        disturbances in force.
        """
        if attempt == 0 and not self.disturbed and producer < self.producers:
            return self.plain_times[producer][slot] + self.per_cost * cost
        which = 0
        for start, end, other in self.swaps:
            if start <= begin < end:
                which = other
        key = (which, producer, attempt)
        times = self.times.get(key)
        if times is None:
            times = self.times[key] = self._times(*key)
        time = times[slot] + self.per_cost * cost
        return time * factor_at(self.factors, begin) if self.factors else time

    def delay(self, producer: int, slot: int, attempt: int) -> float:
        """How long an answer takes on its way, s."""
        key = (producer, attempt)
        if key not in self.delays:
            network = self.scenario.network
            assert network is not None

            def make(n: int) -> Any:
                stream = f"network.{network.noise()}"
                noise = service_times.draws(stream, n, self.seed, self.replication, *key)
                return service_times.times_of(network, noise)

            self.delays[key] = Noise(make, self.first)
        return self.delays[key][slot]

    def _times(self, which: int, producer: int, attempt: int) -> Noise:
        service = self.services[which]

        def make(n: int) -> Any:
            noise = self._draws(service.noise(), n, producer, attempt)
            return service_times.times_of(service, noise)

        return Noise(make, self.first)

    def finish(self, begin: float, work: float) -> float:
        """When work begun at `begin` is done, s, stalls and the tick of the scenario included."""
        return finish(self.stalls, begin, work) if self.stalls else begin + work

    def ticked(self, wait: float) -> float:
        """A latency or a retry's wait on the scenario's tick."""
        return ticked(wait, self.scenario.tick)

    def at(self, time: float, priority: int, action: Action) -> simpy.Event:
        """Call `action` at an absolute time, on the scenario's grid; at equal times in order of
        priority.
        """
        env = self.env
        if self.scenario.grid > 0.0:
            time = on_grid(time, self.scenario.grid)
        moment = Moment(env, action)
        entry: Any = (time, priority, next(env._eid), moment)
        heappush(env._queue, entry)
        return moment

    def log(
        self,
        producer: int,
        scheduled: float,
        rate: float,
        limit: float,
        in_flight: int,
        cost: float,
    ) -> Row:
        """Log a release now; returns its row, whose outcome is written in later."""
        now = self.env._now
        row: Row = [
            scheduled,
            now,
            math.nan,
            math.nan,
            rate,
            limit,
            in_flight,
            UNFINISHED,
            producer,
            cost,
        ]
        self.rows.append(row)
        return row

    def log_refusal(
        self,
        producer: int,
        scheduled: float,
        rate: float,
        limit: float,
        in_flight: int,
        cost: float,
    ) -> None:
        """Log a slot whose call was refused locally."""
        row = self.log(producer, scheduled, rate, limit, in_flight, cost)
        row[RELEASED] = math.nan
        row[OUTCOME] = REFUSED

    def run(self) -> None:
        """Run to the end of the scenario: whatever lies at that instant or after it does not
        happen.
        """

        def stop(event: Any) -> None:
            raise simpy.core.StopSimulation(None)

        self.at(self.scenario.duration, END, stop)
        self.env.run()

    def trace(self, meta: Mapping[str, Any], log: array[float] | None = None) -> Trace:
        """The trace of the run, from `rows`, or from a log of one row behind the other."""
        table = np.array(self.rows if log is None else log, dtype=np.float64)
        table = table.reshape(-1, len(COLUMNS))
        columns: Any = [np.ascontiguousarray(table[:, i]) for i in range(len(COLUMNS))]
        columns[OUTCOME] = columns[OUTCOME].astype(np.int8)
        columns[PRODUCER] = columns[PRODUCER].astype(np.int32)
        columns += [self.scenario, {**meta, **self.counters}]
        return sound(Trace(*columns))
