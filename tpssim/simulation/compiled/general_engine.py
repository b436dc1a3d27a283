"""Runs of the general loop: its tables, its noise, and more of both whenever it stops for more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tpssim.core.quota_windows import FIRST as FIRST_KNOWN
from tpssim.core.quotas import Quotas
from tpssim.core.target_path import TargetPath
from tpssim.core.window import CAPACITY
from tpssim.scenarios.disturbances import Background, Swap
from tpssim.scenarios.retries import JITTERS, PLAIN
from tpssim.scenarios.scenario import Scenario, code
from tpssim.scenarios.service_quotas import FIRST
from tpssim.scenarios.service_times import cost_stream, costs_of, times_of
from tpssim.simulation.compiled import noise, shortages
from tpssim.simulation.compiled.heap import LINE, Events
from tpssim.simulation.compiled.kernel import Tables
from tpssim.simulation.compiled.laws import Placed
from tpssim.simulation.compiled.meters import meters_of
from tpssim.simulation.compiled.noise import Which
from tpssim.simulation.compiled.serving import DELAY, FAILURE, JITTER, SERVICE, SIZE
from tpssim.simulation.compiled.tables import (
    doubled,
    events_of,
    known_quotas,
    log_of,
    longer_log,
    longer_rings,
    path_of,
    place,
    rules_of,
)
from tpssim.simulation.compiled.world import (
    CALL,
    CLIENTS,
    NEWS,
    PLANE,
    PRODUCER,
    WORLD,
    Fields,
    More,
    Paths,
    Room,
    longer,
    table,
)
from tpssim.simulation.trace import COUNTERS, SPUN_COUNTER, Trace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

RETRIED = 1024  # draws for calls that are tried again, at first
#: Of each kind of noise: how a producer's fields that say where it is begin, and its stream.
STREAMS = {
    shortages.GAPS: ("gap", "gap.exponential"),
    shortages.SLEEPS: ("late", "timer.normal"),
    shortages.CHANCES: ("chance", "law.uniform"),
    shortages.REFUSALS: ("refusal", "reject.uniform"),
    shortages.COSTS: ("cost", ""),  # a stream of the scenario's own
}


class Run:
    """One run in progress: the tables of the loop, and how each of them grows."""

    def __init__(
        self,
        scenario: Scenario,
        laws: Sequence[Any],
        placed: Sequence[Placed],
        which: Which,
        draws: int,
    ) -> None:
        """`which.n` slots of a producer are expected, and so many draws of all kinds."""
        # One array of the run after the other: nothing to split.
        self.scenario, self.own, self.which = scenario, code(scenario), which
        self.compiled = isinstance(placed[0].update, int)
        self.used = 0
        swaps = [d.service for d in scenario.disturbances if isinstance(d, Swap)]
        self.services = [scenario.service, *swaps]
        loads = [d for d in scenario.disturbances if isinstance(d, Background)]
        n, owners, expected = len(scenario.producers), len(scenario.producers) + len(loads), which.n
        paths = [path_of(scenario, producer) for producer in scenario.producers]

        def made(of: Fields, rows: int) -> Any:
            return table(of, rows, self.compiled)

        attempts = int(scenario.retry.attempts) + 1
        blocks = np.zeros((owners, attempts, SERVICE + len(self.services)), np.int64)
        self.room = Room(
            world=made(WORLD, 1),
            producers=made(PRODUCER, n),
            calls=made(CALL, n * expected if self.compiled else 0),
            log=log_of(n * expected),
            events=events_of(LINE + 64 + 8 * owners),
            aside=events_of(shortages.AT_ONCE),
            timeouts=events_of(64),
            noise=np.empty(draws) if self.compiled else [],
            blocks=blocks,
            latencies=np.zeros((2 * n, 1)),
            free_at=np.zeros(64),
            begins=np.zeros(64),
        )
        self.besides = More(
            meters=meters_of(scenario.backend.quotas),
            known=known_quotas(scenario),
            paths=self._paths(paths),
            planes=made(PLANE, n),
            news=made(NEWS, 64),
            clients=made(CLIENTS, len(loads)),
            visitors=made(CALL, len(loads)),
        )
        world, offset = self.room.world[0], 0
        world.started, world.ended = -len(loads), -1
        for index, (law, path, known) in enumerate(zip(laws, paths, placed, strict=True)):
            producer = self.room.producers[index]
            place(producer, scenario, index, law, path, known)
            producer.path_at, offset = offset, offset + len(path.times)
            producer.path_end = offset
            self.besides.planes[index].first = -1
        for index, load in enumerate(loads):
            client = self.besides.clients[index]
            client.index, client.time = n + index, load.start
            client.end, client.rate = load.end, load.rate
        self.windowed = any(producer.windowed for producer in self.room.producers)
        if self.windowed or scenario.feedback is not None:
            self.room = self.room._replace(latencies=np.zeros((2 * n, CAPACITY)))

    def _paths(self, paths: Sequence[TargetPath]) -> Paths:
        """The targets of all producers, one behind the other."""
        times = [time for path in paths for time in path.times]
        targets = [target for path in paths for target in path.targets]
        arrivals = list(self.scenario.arrivals or ())
        found: list[Any] = [times, targets, arrivals]
        return Paths(*map(np.array, found)) if self.compiled else Paths(*found)

    def arguments(self, tables: Tables, full: bool) -> tuple[Any, ...]:
        """What the loop is called with; `full`: with all that a scenario may have."""
        return rules_of(self.scenario), tables, self.room, self.besides if full else None

    def go(self, loop: Callable[..., int], tables: Tables, full: bool) -> bool:
        """Run to the end; whether time passed as it must."""
        while True:
            self._measure()
            why = loop(*self.arguments(tables, full))
            if why in (shortages.DONE, shortages.UNSOUND):
                return why == shortages.DONE
            if why == shortages.NEVER:
                self._refuse()
            self._more(why)

    def _measure(self) -> None:
        """Tell the loop how much room there is."""
        room, world = self.room, self.room.world[0]
        world.calls_n, world.events_n = len(room.calls), len(room.events.at) - LINE
        world.timeouts_n, world.news_n = len(room.timeouts.at), len(self.besides.news)
        world.servers_n, world.begins_n = len(room.free_at), len(room.begins)
        world.rings_n, world.known_n = (
            self.besides.meters.times.shape[1],
            self.besides.known.times.shape[2],
        )

    def _refuse(self) -> None:
        """Raise the `InputError` for a call that a quota never lets through."""
        index = int(self.room.world[0].producer)
        producer, costs = self.room.producers[index], self.scenario.cost
        cost = float(self.room.noise[producer.cost_at + producer.slot]) if costs else 1.0
        Quotas(self.scenario.quotas, self.scenario.producers[index].start, 0.0).opening(cost)

    @property
    def rows(self) -> int:
        """Calls logged so far."""
        return int(self.room.world[0].rows)

    @property
    def slots(self) -> int:
        """Slots of the producer that has had most."""
        return max(int(producer.slot) for producer in self.room.producers)

    def _more(self, what: int) -> None:
        """More of what the loop has stopped for."""
        room, world = self.room, self.room.world[0]
        grown: dict[str, Any] = {}
        besides: dict[str, Any] = {}
        if what == shortages.MORE_CALLS:
            n = max(2 * len(room.calls), 64)
            grown["calls"] = longer(room.calls, n, CALL)
            if n > len(room.log.scheduled):
                grown["log"] = longer_log(room.log, self.rows, n)
        elif what == shortages.MORE_EVENTS:
            grown["events"] = Events(*map(doubled, room.events))
        elif what == shortages.MORE_TIMEOUTS:
            first = int(world.first_timeout)  # the ring is full: it begins with the first
            grown["timeouts"] = Events(*(doubled(np.roll(c, -first)) for c in room.timeouts))
            world.first_timeout = 0
        elif what == shortages.MORE_SERVERS:
            grown["free_at"] = doubled(room.free_at)
        elif what == shortages.MORE_BEGINS:
            grown["begins"] = doubled(room.begins)
        elif what == shortages.MORE_QUOTAS:
            besides["meters"] = longer_rings(self.besides.meters, FIRST)
        elif what == shortages.MORE_KNOWN:
            besides["known"] = longer_rings(self.besides.known, FIRST_KNOWN)
        elif what == shortages.MORE_NEWS:
            news = self.besides.news
            besides["news"] = longer(news, 2 * len(news), NEWS)
        elif world.family == shortages.ATTEMPTED:
            self._more_attempts(int(world.producer), int(world.attempt), int(world.number))
        else:
            self._more_noise(int(world.family), int(world.producer), int(world.number))
        self.room = self.room._replace(**grown)
        self.besides = self.besides._replace(**besides)

    def _stream(self, name: str, which: Which) -> tuple[str, Which]:
        """A stream of a producer, or of other clients, which have streams of their own."""
        n = len(self.scenario.producers)
        if which.producer < n:
            return name, which
        return f"background.{name}", which._replace(producer=which.producer - n)

    def _more_noise(self, family: int, owner: int, number: int) -> None:
        """Draws of a producer, or of other clients, up to that number at least, and as many as may
        be expected.
        """
        name, stream = STREAMS[family]
        n, expected, scenario = len(self.scenario.producers), self.which.n, self.scenario
        row = self.room.producers[owner] if owner < n else self.besides.clients[owner - n]
        if family == shortages.SLEEPS:
            expected = 2 * expected + shortages.SPARE
        elif family == shortages.CHANCES:  # a window is an observation of its own
            expected = 2 * expected if self.windowed else expected + 2
        size = max(expected, number + 1, 2 * int(getattr(row, f"{name}_n")))
        which = self.which._replace(n=size, producer=owner)
        begin, out = self._place(size)
        if family == shortages.SLEEPS:
            out[:] = noise.lateness(scenario.timer, which)
        elif family == shortages.COSTS:
            stream = cost_stream(scenario.cost, scenario.service)
            noise.fill(out, *self._stream(stream, which))
            out[:] = costs_of(scenario.cost, out)
        else:
            noise.fill(out, *self._stream(stream, which))
        self._placed(out)
        setattr(row, f"{name}_at", begin)
        setattr(row, f"{name}_n", size)

    def _more_attempts(self, owner: int, attempt: int, number: int) -> None:
        """The same of what each attempt draws."""
        block, known = self.room.blocks[owner, attempt], owner < len(self.scenario.producers)
        few = attempt > 0 and block[SIZE] == 0
        expected = min(self.which.n, RETRIED) if few else self.which.n
        n = max(expected, number + 1, 2 * int(block[SIZE]))
        which = self.which._replace(n=n, producer=owner, attempt=attempt)
        for i, service in enumerate(self.services):
            block[SERVICE + i], out = self._place(n)
            if known:
                noise.fill_times(out, service, self.own, which)
            else:
                noise.fill(out, *self._stream(service.noise(), which))
                out[:] = times_of(service, out)
            self._placed(out)
        if known and self.scenario.network is not None:
            block[DELAY], out = self._place(n)
            out[:] = noise.delays(self.scenario.network, which)
            self._placed(out)
        if known and self.scenario.backend.failure > 0.0:
            block[FAILURE], out = self._place(n)
            noise.fill(out, "failure.uniform", which)
            self._placed(out)
        if attempt > 0 and self.scenario.retry.jitter != JITTERS[PLAIN]:
            block[JITTER], out = self._place(n)
            noise.fill(out, "retry.uniform", which)
            self._placed(out)
        block[SIZE] = n

    def _place(self, n: int) -> tuple[int, Array]:
        """Room for n more draws: where it begins, and what is to be filled before `_placed`."""
        begin, have = self.used, self.room.noise
        self.used += n
        if not self.compiled:
            return begin, np.empty(n)
        if self.used > len(have):
            more = np.empty(max(self.used, 2 * len(have)))
            more[:begin] = have[:begin]
            self.room = self.room._replace(noise=more)
        return begin, self.room.noise[begin : self.used]

    def _placed(self, out: Array) -> None:
        """They are there."""
        if not self.compiled:
            self.room.noise.extend(out.tolist())

    def trace(self, meta: Mapping[str, Any]) -> Trace:
        """What was logged."""
        rows = self.rows
        counters = dict(zip(COUNTERS, self.counters().tolist(), strict=True))
        found: list[Any] = [column[:rows] for column in self.room.log[:8]]
        found += [self.owners(), self.costs()]
        found += [self.scenario, {**meta, **counters}]
        return Trace(*found)

    def owners(self) -> NDArray[np.int32]:
        """Whose each call is."""
        if len(self.scenario.producers) == 1:
            return np.zeros(self.rows, np.int32)
        calls = self.room.calls[: self.rows]
        return np.array(
            calls.producer if self.compiled else [call.producer for call in calls], np.int32
        )

    def costs(self) -> Array:
        """What each call costs."""
        if self.scenario.cost is None:
            return np.ones(self.rows)
        calls = self.room.calls[: self.rows]
        return np.array(calls.cost if self.compiled else [call.cost for call in calls], np.float64)

    def counters(self) -> Array:
        """The counters of the run, in the order of `COUNTERS`: of producers in sum."""
        found = self.room.log.counters
        for i, name in enumerate(COUNTERS):
            every = [float(getattr(producer, name)) for producer in self.room.producers]
            found[i] = 0.0 + sum(every)
        found[SPUN_COUNTER] = float(self.room.world[0].spun)  # summed up as time passed
        return found
