"""How a released call is made and served: hand-off, pool, attempts with timeout and retries, the
backend.

It knows no law. Whoever releases a call hands over two functions: `freed(call)`, when the
producer's thread is free again, and `settled(call)`, when the outcome is known to the caller (or,
with hand-off feedback, when the call has been handed over).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from tpssim.core.types import FAILED, OK, REJECTED, TIMED_OUT
from tpssim.scenarios.plant import Async, Backend, Blocking, Pool, retry_wait, slowdown
from tpssim.simulation.environment import (
    COMPLETED,
    COMPLETION,
    LATENCY,
    OUTCOME,
    RELEASED,
    RETRY,
    TIMEOUT,
    Noise,
    Row,
    World,
)


class Call:
    """A released call on its way; an attempt that was given up is known by its number."""

    __slots__ = ("attempt", "freed", "number", "pending", "producer", "row", "settled", "slot")

    def __init__(
        self,
        producer: int,
        slot: int,
        row: Row,
        freed: Callable[[Call], None],
        settled: Callable[[Call], None],
    ) -> None:
        self.producer = producer
        self.slot = slot
        self.row = row
        self.freed = freed
        self.settled = settled
        self.number = (producer << 40) + slot  # order among equal times
        self.attempt = 0
        self.pending = False  # whether an answer to the attempt is awaited


class Serving:
    """Consumer and backend of one run."""

    def __init__(self, world: World) -> None:
        scenario = world.scenario
        self.world = world
        self.consumer = scenario.consumer
        self.backend = scenario.backend
        self.timeout = scenario.timeout
        self.retry = scenario.retry
        self.by_handoff = isinstance(self.consumer, Async) and self.consumer.feedback == "handoff"
        self.pooled = isinstance(self.consumer, Pool)
        self.blocking = isinstance(self.consumer, Blocking)
        # nothing but the service itself
        self.plain = self.backend == Backend() and scenario.tick == 0.0
        self.inside = 0  # calls in the backend
        self.server_free_at: list[
            float
        ] = []  # of each server that has worked; those that have not are free
        self.begun: deque[float] = deque()  # begins of the last second, for a rate limit
        self.failures: dict[tuple[int, int], Noise] = {}
        n = len(scenario.producers)
        workers = int(self.consumer.workers) if isinstance(self.consumer, Pool) else 0
        self.idle_workers = [workers] * n
        self.queues: list[deque[Call]] = [deque() for _ in range(n)]

    def begin(self, call: Call) -> None:
        """A call was released now."""
        consumer = self.consumer
        if isinstance(consumer, Blocking):
            self._attempt(call)
        elif isinstance(consumer, Async):
            if consumer.handoff > 0.0:
                handed = self.world.env._now + consumer.handoff
                self.world.at(handed, COMPLETION + call.number, lambda _: self._hand_over(call))
            else:
                self._hand_over(call)
        elif self.idle_workers[call.producer]:
            self.idle_workers[call.producer] -= 1
            self._attempt(call)
            call.freed(call)
        else:
            queue = self.queues[call.producer]
            queue.append(call)
            if len(queue) <= consumer.queue:
                call.freed(call)

    def _hand_over(self, call: Call) -> None:
        world = self.world
        self._attempt(call)
        if self.by_handoff:
            call.row[LATENCY] = world.env._now - call.row[RELEASED]
            call.settled(call)
        call.freed(call)

    def _attempt(self, call: Call) -> None:
        """One attempt begins now."""
        world = self.world
        now = world.env._now
        done, outcome, inside = self._serve(call, now)
        if world.scenario.network is not None:
            done += world.delay(call.producer, call.slot, call.attempt)
        call.pending = True
        attempt = call.attempt
        if done < math.inf:

            def answer(_: Any) -> None:
                if inside:
                    self.inside -= 1
                if call.pending and call.attempt == attempt:
                    self._answered(call, outcome)

            world.at(done, COMPLETION + call.number, answer)
        if self.timeout < math.inf:

            def give_up(_: Any) -> None:
                if call.pending and call.attempt == attempt:
                    self._answered(call, TIMED_OUT)

            world.at(now + self.timeout, TIMEOUT + call.number, give_up)

    def _serve(self, call: Call, now: float) -> tuple[float, int, bool]:
        """When the backend answers (inf: never), the outcome, and whether the call is inside until
        then.
        """
        world, backend = self.world, self.backend
        if self.plain:
            work = world.work(call.producer, call.slot, call.attempt, now)
            return (world.finish(now, work) if world.stalls else now + work), OK, False
        n = self.inside + 1
        turned_away = self._too_fast(now) or n > backend.limit
        if turned_away or n > backend.servers + backend.places:
            if backend.silent:
                return math.inf, REJECTED, False
            if turned_away:
                self.inside = n  # until its error is out; for want of a place it never got in
            work = world.work(call.producer, call.slot, call.attempt, now)
            return now + world.ticked(work), REJECTED, turned_away
        self.inside = n
        start = now
        lined_up = backend.servers < math.inf
        if len(self.server_free_at) >= backend.servers:
            # First come, first served: the next server to be free takes the call, so its end is
            # known now.
            start = max(now, heappop(self.server_free_at))
        work = world.work(call.producer, call.slot, call.attempt, start)
        work = work * slowdown(backend, float(n))
        done = world.finish(start, work)
        if world.scenario.tick > 0.0:
            done = now + world.ticked(done - now)
        if lined_up:
            heappush(self.server_free_at, done)
        return done, self._result(call), True

    def _too_fast(self, now: float) -> bool:
        if self.backend.rate == math.inf:
            return False
        self.begun.append(now)
        while self.begun[0] <= now - 1.0:
            self.begun.popleft()
        return len(self.begun) > self.backend.rate

    def _result(self, call: Call) -> int:
        if self.backend.failure == 0.0:
            return OK
        key = (call.producer, call.attempt)
        if key not in self.failures:
            self.failures[key] = self.world.noise("failure.uniform", *key)
        return FAILED if self.failures[key][call.slot] < self.backend.failure else OK

    def _answered(self, call: Call, outcome: int) -> None:
        """The caller knows how its attempt went: try again, or settle."""
        world = self.world
        call.pending = False
        call.attempt += 1
        if outcome != OK and call.attempt <= self.retry.attempts:
            wait = world.ticked(retry_wait(self.retry, call.attempt))
            world.at(world.env._now + wait, RETRY + call.number, lambda _: self._attempt(call))
            return
        row = call.row
        row[OUTCOME] = outcome
        row[COMPLETED] = now = world.env._now
        if self.by_handoff:
            return
        row[LATENCY] = now - row[RELEASED]
        call.settled(call)
        if self.blocking:
            call.freed(call)
        elif self.pooled:
            self._next(call.producer)

    def _next(self, producer: int) -> None:
        """A worker of a pool is free: the call that waited longest begins."""
        queue = self.queues[producer]
        if not queue:
            self.idle_workers[producer] += 1
            return
        last = queue[-1]
        full = isinstance(self.consumer, Pool) and len(queue) > self.consumer.queue
        self._attempt(queue.popleft())
        if full:
            last.freed(last)  # the call that held the producer back has its place
