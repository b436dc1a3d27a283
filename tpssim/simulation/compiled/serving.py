"""Parts of the general loop: what `call_lifecycle` does with a released call.

An attempt and how the backend answers it, the end of an attempt, the queue of a pool.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tpssim.core.schedule import on_grid, ticked
from tpssim.core.types import FAILED, OK, REJECTED, record
from tpssim.scenarios.disturbances import factor_at, finish
from tpssim.scenarios.plant import slowdown
from tpssim.scenarios.retries import PLAIN, affordable, next_wait, retry_wait
from tpssim.scenarios.service_quotas import seconds_until
from tpssim.simulation.compiled.events import ATTEMPT, INSIDE, append, key_of, occupied, scheduled
from tpssim.simulation.compiled.heap import Events
from tpssim.simulation.compiled.kernel import Tables
from tpssim.simulation.compiled.meters import largest, taken
from tpssim.simulation.compiled.world import More, Rules
from tpssim.simulation.event_kinds import COMPLETION, RETRY, TIMEOUT

#: Columns of `blocks`: how many draws an attempt of a producer has, and where they begin.
SIZE, DELAY, FAILURE, JITTER, SERVICE = range(5)


@record
class Answer(NamedTuple):
    """How the backend answers a call."""

    at: float  #: inf: never
    outcome: int
    inside: bool  #: whether the call is inside until then


def work_of(noise: Any, block: Any, tables: Tables, slot: int, begin: float, extra: float) -> float:
    """Service time of an attempt whose work begins at `begin`, under the disturbances in force.

    `extra` is what it takes for its cost.
    """
    which = SERVICE
    if begin < tables.last:
        for i in range(len(tables.swaps)):
            if tables.swaps[i, 0] <= begin < tables.swaps[i, 1]:
                which = SERVICE + 1 + i
    time: float = noise[block[which] + slot] + extra
    if begin < tables.last and len(tables.factors):
        time = time * factor_at(tables.factors, begin)
    return time


def too_fast(world: Any, rate: float, begins: Any, now: float) -> bool:
    """Whether more than `rate` calls began in the last second, this one, which is noted, included.

    `begins` has all of them in order: so many before this one is one that must be older.
    """
    begins[world.begun] = now
    world.begun += 1
    before = world.begun - 1 - int(min(rate, float(world.begun)))
    return bool(before >= 0 and begins[before] > now - 1.0)


def serve(
    rules: Rules,
    world: Any,
    call: Any,
    noise: Any,
    block: Any,
    tables: Tables,
    free_at: Any,
    begins: Any,
    known: bool,
    more: More | None,
) -> Answer:
    """How the backend answers; `known`: whether it is of a producer, and no other client's."""
    # What `Serving._serve` does, in its order: nothing to split.
    backend, now, slot = rules.backend, world.now, call.slot
    n = world.inside + 1
    opens, whole, at_once = -1.0, 0.0, 0.0
    if more is not None:
        opens = taken(world, more.meters, call.cost)
        whole, at_once = largest(more.meters)
    turned_away = backend.rate < math.inf and too_fast(world, backend.rate, begins, now)
    turned_away = turned_away or n > backend.limit or opens >= 0.0
    served = not turned_away and not n > backend.servers + backend.places
    outcome, inside, begun = OK if served else REJECTED, served or turned_away, now
    if not served and backend.silent > 0.0:
        return Answer(at=math.inf, outcome=outcome, inside=False)
    if inside:
        world.inside = n
    lined_up = served and backend.servers < math.inf
    if lined_up and world.working >= backend.servers:
        begun = max(now, free_at[0])
    # On one that is rejected no work is done that its cost could lengthen.
    extra = backend.per_cost * (call.cost if served else 0.0)
    work = work_of(noise, block, tables, slot, begun, extra)
    if served and (backend.slope > 0.0 or backend.knee < math.inf):
        work = work * slowdown(backend, float(n))
    if opens >= 0.0 and at_once > 0.0:
        work = 0.0
    done = begun + work
    if served and begun < tables.last:
        done = finish(tables.stalls, begun, work)
    if rules.tick > 0.0:
        done = now + ticked(done - now if served else work, rules.tick)
    if not served:
        call.retry_after = seconds_until(opens, done, whole)
    if lined_up:
        world.working = occupied(free_at, world.working, backend.servers, done)
    may_fail = served and known and backend.failure > 0.0
    if may_fail and noise[block[FAILURE] + slot] < backend.failure:
        outcome = FAILED
    return Answer(at=done, outcome=outcome, inside=inside)


def attempted(
    rules: Rules,
    world: Any,
    call: Any,
    row: int,
    aside: Events,
    timeouts: Events,
    noise: Any,
    block: Any,
    answer: Answer,
) -> None:
    """An attempt has begun: when it is answered, or given up."""
    done, now = answer.at, world.now
    if rules.networked:
        done += noise[block[DELAY] + call.slot]
    call.pending, call.answer = 1, answer.outcome
    flags = call.attempt << ATTEMPT
    if done != math.inf:  # a time that is none is noted there
        key = key_of(COMPLETION, call.producer, row)
        scheduled(rules.grid, world, aside, done, key, flags + (INSIDE if answer.inside else 0))
    if rules.timeout < math.inf:
        # What begins later times out later: a line in order, where a heap would be long.
        at, key = on_grid(now + rules.timeout, rules.grid), key_of(TIMEOUT, call.producer, row)
        first, size = world.first_timeout, world.waiting
        world.waiting = append(timeouts, first, size, at, key, flags)


def asked_to_wait(call: Any, outcome: int) -> float:
    """How long the answer asks to wait, s: one that came in time; a timeout says nothing."""
    return float(call.retry_after) if outcome == REJECTED else 0.0


def tries_again(
    rules: Rules,
    world: Any,
    producer: Any,
    call: Any,
    row: int,
    outcome: int,
    aside: Events,
    noise: Any,
    blocks: Any,
) -> bool:
    """An attempt has ended: whether there is another one, which is put among the events."""
    asked = asked_to_wait(call, outcome)
    retry: Any = rules.retry
    if outcome == OK or call.attempt > retry.attempts:
        return False
    if retry.budget < math.inf:
        if not affordable(producer.tokens):
            return False
        producer.tokens -= 1.0
    u = 0.0
    if retry.jitter != PLAIN:
        u = noise[blocks[call.producer, call.attempt, JITTER] + call.slot]
    wait = retry_wait(retry, call.attempt)
    wait = next_wait(retry.jitter, retry.base, retry.cap, wait, u, call.retry_wait, asked)
    call.retry_wait = wait
    wait = ticked(wait, rules.tick)
    key = key_of(RETRY, call.producer, row)
    scheduled(rules.grid, world, aside, world.now + wait, key, call.attempt << ATTEMPT)
    return True


def enqueue(producer: Any, calls: Any, row: int) -> None:
    """A call waits for a worker of the pool."""
    calls[row].next = -1
    if producer.queued > 0:
        calls[producer.last].next = row
    else:
        producer.first = row
    producer.last = row
    producer.queued += 1


def dequeue(producer: Any, calls: Any) -> int:
    """The call that has waited longest begins."""
    row: int = producer.first
    producer.first = calls[row].next
    producer.queued -= 1
    return row
