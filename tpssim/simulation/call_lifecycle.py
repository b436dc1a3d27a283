"""How a released call is made and served: hand-off, pool, attempts with timeout and retries, the
backend.

It knows no law. Whoever releases a call hands over three functions: `freed(call)`, when the
producer's thread is free again; `settled(call)`, when the outcome is known to the caller (or, with
hand-off feedback, when the call has been handed over); `closed(time)`, when an answer says not to
come back before that time (never with hand-off feedback, where nobody reads answers).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from tpssim.core.types import FAILED, OK, REJECTED, TIMED_OUT
from tpssim.scenarios.plant import Async, Backend, Blocking, Pool, slowdown
from tpssim.scenarios.retries import RESERVE, affordable, deposited, drawn_wait
from tpssim.scenarios.service_quotas import Meters, seconds_until
from tpssim.simulation.environment import (
    COMPLETED,
    COMPLETION,
    COST,
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

    __slots__ = (
        "attempt",
        "closed",
        "cost",
        "freed",
        "number",
        "pending",
        "producer",
        "retry_after",
        "retry_wait",
        "row",
        "settled",
        "slot",
    )

    def __init__(
        self,
        producer: int,
        slot: int,
        row: Row,
        freed: Callable[[Call], None],
        settled: Callable[[Call], None],
        closed: Callable[[float], None] = lambda time: None,
    ) -> None:
        self.producer = producer
        self.slot = slot
        self.row = row
        self.cost = row[COST]
        self.freed = freed
        self.settled = settled
        self.closed = closed
        self.retry_after = 0.0  # what the answer to the attempt says, s
        self.retry_wait = 0.0  # the last one, s
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
        self.meters = Meters(self.backend.quotas)
        self.whole = max((quota.whole for quota in self.backend.quotas), default=0.0)
        self.at_once = any(quota.at_once for quota in self.backend.quotas)
        self.failures: dict[tuple[int, int], Noise] = {}
        self.jitters: dict[tuple[int, int], Noise] = {}
        n = len(scenario.producers)
        self.tokens = [RESERVE] * n
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

    def visit(self, call: Call) -> None:
        """A call of another client comes now: it takes up the backend, and nobody here waits for
        it.
        """
        done, _, inside = self._serve(call, self.world.env._now)

        def leave(_: Any) -> None:
            self.inside -= 1

        if inside:
            self.world.at(done, COMPLETION + call.number, leave)

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
        if call.attempt == 0 and self.retry.budget < math.inf:
            self.tokens[call.producer] = deposited(self.tokens[call.producer], self.retry.budget)
        done, outcome, inside = self.answer(call, now)
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

    def answer(self, call: Call, now: float) -> tuple[float, int, bool]:
        """When the answer to an attempt that begins now is there (inf: never), the outcome, and
        whether the call is in the backend until then.
        """
        done, outcome, inside = self._serve(call, now)
        if self.world.scenario.network is not None:
            done += self.world.delay(call.producer, call.slot, call.attempt)
        return done, outcome, inside

    def _serve(self, call: Call, now: float) -> tuple[float, int, bool]:
        """When the backend answers (inf: never), the outcome, and whether the call is inside until
        then.
        """
        world, backend = self.world, self.backend
        if self.plain:
            work = world.work(call.producer, call.slot, call.attempt, now, call.cost)
            return (world.finish(now, work) if world.stalls else now + work), OK, False
        n = self.inside + 1
        opens = self.meters.take(now, call.cost) if backend.quotas else -1.0
        turned_away = self._too_fast(now) or n > backend.limit or opens >= 0.0
        if turned_away or n > backend.servers + backend.places:
            if backend.silent:
                return math.inf, REJECTED, False
            if turned_away:
                self.inside = n  # until its error is out; for want of a place it never got in
            # No work is done on it that its cost could lengthen.
            work = world.work(call.producer, call.slot, call.attempt, now, 0.0)
            if opens >= 0.0 and self.at_once:
                work = 0.0
            sent = now + world.ticked(work)
            call.retry_after = seconds_until(opens, sent, self.whole)
            return sent, REJECTED, turned_away
        self.inside = n
        start = now
        lined_up = backend.servers < math.inf
        if len(self.server_free_at) >= backend.servers:
            # First come, first served: the next server to be free takes the call, so its end is
            # known now.
            start = max(now, heappop(self.server_free_at))
        work = world.work(call.producer, call.slot, call.attempt, start, call.cost)
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
        if self.backend.failure == 0.0 or call.producer >= self.world.producers:
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
        now = world.env._now
        # Of an answer that came in time; a timeout says nothing.
        asked = call.retry_after if outcome == REJECTED else 0.0
        if asked > 0.0 and not self.by_handoff:
            call.closed(now + asked)
        if outcome != OK and self._tries_again(call):
            wait = world.ticked(self._retry_wait(call, asked))
            world.at(now + wait, RETRY + call.number, lambda _: self._attempt(call))
            return
        row = call.row
        row[OUTCOME] = outcome
        row[COMPLETED] = now
        if self.by_handoff:
            return
        row[LATENCY] = now - row[RELEASED]
        call.settled(call)
        if self.blocking:
            call.freed(call)
        elif self.pooled:
            self._next(call.producer)

    def _tries_again(self, call: Call) -> bool:
        """Whether a call that failed is tried again; a budget pays for it."""
        if call.attempt > self.retry.attempts:
            return False
        if self.retry.budget < math.inf:
            if not affordable(self.tokens[call.producer]):
                return False
            self.tokens[call.producer] -= 1.0
        return True

    def _retry_wait(self, call: Call, asked: float) -> float:
        u = 0.0
        if self.retry.jitter != "none":
            key = (call.producer, call.attempt)
            if key not in self.jitters:
                self.jitters[key] = self.world.noise("retry.uniform", *key)
            u = self.jitters[key][call.slot]
        call.retry_wait = drawn_wait(self.retry, call.attempt, u, call.retry_wait, asked)
        return call.retry_wait

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
