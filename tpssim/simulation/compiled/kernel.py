"""The model's loop as one function of numbers: what `engine` runs, compiled or as plain Python.

It does what `model` and `serving` do, event by event, without an event list: at any time there is
at most one release, one look at the window, and the completions in a heap. Written for a compiler:
arrays and records of floats, no objects. Where it differs from the model by a bit, it is wrong.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim.core.schedule import Late, anchor, next_due, on_grid, ticked
from tpssim.core.timer_models import TimerModel, plan_ideal_wait, plan_wait
from tpssim.core.types import FAILED, OK, REFUSED, REJECTED, UNFINISHED, Observation, record
from tpssim.core.window import Sensor, collected, opened, summed_up, window_end
from tpssim.scenarios.disturbances import factor_at, finish
from tpssim.scenarios.plant import Backend, slowdown
from tpssim.simulation.compiled.heap import pop, push

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

BLOCKING, ASYNC, POOL = 0, 1, 2
SPARE = 64  # sleeps that a wait may take
NEEDS_REFUSALS = -2  # the law refuses calls, and no draws for that were given
UNSOUND = -3  # less a row: its time is no number or lies before now
#: Counters, in this order.
SPUN, CAUGHT_UP, RE_ANCHORED, SKIPPED, HELD = range(5)


@record
class Plan(NamedTuple):
    """What a scenario comes to for the loop."""

    consumer: int
    by_handoff: bool
    poisson: bool
    admits: bool
    target: float
    duration: float
    start: float
    end: float
    handoff: float
    workers: float
    queue: float
    threshold: float
    tick: float
    grid: float
    networked: bool
    ideal: bool  #: the timer is
    bare: bool  #: nothing but the service itself stands behind the consumer


@record
class Draws(NamedTuple):
    """Noise by number. `times[w]` are the service times of service w."""

    times: NDArray[np.float64]
    late: NDArray[np.float64]
    chance: NDArray[np.float64]
    refusal: NDArray[np.float64]
    gaps: NDArray[np.float64]
    failures: NDArray[np.float64]
    delays: NDArray[np.float64]


@record
class Tables(NamedTuple):
    """Disturbances as rows of numbers."""

    last: float  #: when the last of them ends
    swaps: NDArray[np.float64]
    factors: NDArray[np.float64]
    stalls: NDArray[np.float64]


@record
class Log(NamedTuple):
    """Columns to fill, and the counters."""

    scheduled: NDArray[np.float64]
    released: NDArray[np.float64]
    completed: NDArray[np.float64]
    latency: NDArray[np.float64]
    rate: NDArray[np.float64]
    limit: NDArray[np.float64]
    in_flight: NDArray[np.float64]
    outcome: NDArray[np.int8]
    counters: NDArray[np.float64]


def law_update(law: Any, state: Any, obs: Observation, memory: Any) -> Any:
    """`law.update`, with memory if it has some; compiled, it is replaced by the record's own
    function.
    """
    if hasattr(law, "memory"):
        return law.update(state, obs, memory)
    return law.update(state, obs)


def law_admit(law: Any, state: Any, now: float, lag: float, in_flight: float, memory: Any) -> Any:
    """`law.admit`, if it has one."""
    if hasattr(law, "memory"):
        return law.admit(state, now, lag, in_flight, memory)
    return law.admit(state, now, lag, in_flight) if hasattr(law, "admit") else state


def service_time(times: Any, swaps: Any, factors: Any, slot: int, begin: float) -> float:
    """Service time of a call whose work begins at `begin`, under the disturbances in force."""
    which = 0
    for i in range(len(swaps)):
        if swaps[i, 0] <= begin < swaps[i, 1]:
            which = i + 1
    time: float = times[which, slot]
    return time * factor_at(factors, begin) if len(factors) else time


def run(
    law: Any,
    state: Any,
    plan: Plan,
    timer: TimerModel,
    late: Late,
    backend: Backend,
    sensor: Sensor | None,
    draws: Draws,
    tables: Tables,
    log: Log,
    memory: Any,
    latencies: Any,
) -> int:
    """One run; the number of rows logged, or -1 if draws or log are too short, `NEEDS_REFUSALS`,
    `UNSOUND`.

    `sensor` is None if the law has none. Everything else has one type, so a law is compiled once.
    """
    room = len(log.scheduled)
    slots = draws.times.shape[1]
    counters = log.counters
    times = draws.times
    # Completions: key = 4 row + 2 if it is a hand-over, + 1 if the call is inside the backend until
    # then. The first of them is kept apart, the others in a heap.
    done_at, done_key = math.inf, 0
    new_at, new_key = 0.0, -1
    heap_times, heap_keys = np.empty(room + 1), np.empty(room + 1, np.int64)
    heap = 0
    queue = np.empty(room if plan.consumer == POOL else 1, np.int64)  # rows that wait for a worker
    first, last = 0, 0
    servers = 0
    if backend.servers < room:
        servers = int(backend.servers)  # of as many as there are calls one is always free
    free_at = np.zeros(servers + 1)  # of each server, in order
    slot_of = np.empty(room, np.int64)
    inside = 0
    free_workers = plan.workers
    rows, slot, seen, flying, peak, sleeps = 0, 0, 0, 0, 0, 0
    now, previous, due = 0.0, math.nan, math.nan
    release_at, spun = math.inf, 0.0
    armed, idle = False, True
    waited_rate, held_slot = math.nan, -1
    look_at = math.inf
    if sensor is not None:
        window = opened(plan.start)
        if sensor.period > 0.0:
            look_at = on_grid(max(window_end(sensor, window), now), plan.grid)
    arm = True
    begin_row = -1  # a call whose attempt begins now
    # What an event means for the law: news of a completion, of a refusal, the end of its window.
    heard, refused, close, watch = False, False, False, False
    heard_row, error, drop = -1, 0.0, 0.0
    obs = Observation(0.0, plan.target, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.5)

    while True:
        if arm and idle and not (armed and state.rate == waited_rate and flying + 1 <= state.limit):
            arm = False
            waited_rate = state.rate
            if plan.poisson and slot >= slots:
                return -1
            gap = draws.gaps[slot] if plan.poisson else 1.0
            if not math.isnan(previous):
                wanted = next_due(previous, state.rate, plan.target, gap)
            elif plan.poisson:
                wanted = next_due(plan.start, state.rate, plan.target, gap)
            else:
                wanted = plan.start if min(state.rate, plan.target) > 0.0 else math.inf
            if flying + 1 > state.limit:
                if held_slot != slot:
                    held_slot = slot
                    counters[HELD] += 1.0
                wanted = math.inf
            if not (armed and wanted == due):
                due = wanted
                armed = False
                release_at = math.inf
                if max(due, now) < plan.end:
                    if plan.ideal:
                        release_at, spun = plan_ideal_wait(now, due, plan.threshold)
                    else:
                        if sleeps + SPARE > len(draws.late):
                            return -1
                        wait = plan_wait(timer, now, 0, due, plan.threshold, draws.late, sleeps)
                        sleeps = wait.sleeps
                        spun = wait.spun
                        release_at = wait.base + wait.reads * timer.read_cost
                    release_at = on_grid(release_at, plan.grid)
                    if not release_at >= now:
                        return UNSOUND - rows
                    armed = True
        arm = False

        if done_at <= look_at and done_at <= release_at:
            now = done_at
            if now >= plan.duration:
                return rows
            key = done_key
            if heap > 0:
                done_at, done_key = heap_times[0], heap_keys[0]
                heap = pop(heap_times, heap_keys, heap)
            else:
                done_at = math.inf
            row = key >> 2
            if key & 2:
                begin_row = row
            else:
                if key & 1:
                    inside -= 1
                log.completed[row] = now
                outcome = log.outcome[row] - 16
                log.outcome[row] = outcome
                if not plan.by_handoff:
                    log.latency[row] = now - log.released[row]
                    flying -= 1
                    heard, heard_row = True, row
                    error = 0.0 if outcome == OK else 1.0
                    drop = 1.0 if outcome == REJECTED else 0.0
                    arm = True
                    if plan.consumer == BLOCKING:
                        idle = True
                    elif plan.consumer == POOL:
                        if first == last:
                            free_workers += 1.0
                        else:
                            full = last - first > plan.queue
                            begin_row = queue[first]
                            first += 1
                            if full:
                                idle = True  # the call that held the producer back has its place
        elif look_at <= release_at:
            now = look_at
            if now >= plan.duration:
                return rows
            if sensor is not None:
                if now < on_grid(window_end(sensor, window), plan.grid):
                    watch = True  # it began anew, or waits for more round trips
                elif window.calls >= sensor.least:
                    close, watch, arm = True, True, True
                elif sensor.discard > 0.0:
                    window = opened(now)
                    watch = True
                else:
                    look_at = on_grid(now + sensor.period, plan.grid)
                    if not look_at > now:
                        return UNSOUND - rows
        else:
            now = release_at
            if now >= plan.duration:
                return rows
            release_at = math.inf
            if now >= plan.end:
                continue
            armed = False
            counters[SPUN] += spun
            if rows + 1 > room or slot + 1 > slots:
                return -1
            if plan.admits:
                state = law_admit(law, state, now - plan.start, now - due, float(flying), memory)
            this, this_due = slot, due
            slot += 1
            previous = due
            if now > due:
                speed = min(state.rate, plan.target)
                interval = 1.0 / speed if speed > 0.0 else math.inf
                if now - due >= interval:
                    counters[CAUGHT_UP] += 1.0
                skipped = 0.0
                # A law that has just said when, as of `due`, has nothing behind.
                if not (plan.admits and state.rate < plan.target and due + interval >= now):
                    previous, skipped = anchor(late, due, now, interval, plan.target)
                counters[SKIPPED] += skipped
                if late.skip > 0.0:
                    slot += int(skipped)
                elif previous != due:
                    counters[RE_ANCHORED] += 1.0
            row = rows
            rows += 1
            slot_of[row] = this
            log.scheduled[row] = this_due
            log.completed[row] = math.nan
            log.latency[row] = math.nan
            log.rate[row] = state.rate
            log.limit[row] = state.limit
            if state.reject > 0.0 and this >= len(draws.refusal):
                return NEEDS_REFUSALS
            if state.reject > 0.0 and draws.refusal[this] < state.reject:
                log.released[row] = math.nan
                log.in_flight[row] = float(flying)
                log.outcome[row] = REFUSED
                refused, heard_row = True, row
                arm = True
            else:
                flying += 1
                peak = max(peak, flying)
                log.released[row] = now
                log.in_flight[row] = float(flying)
                log.outcome[row] = UNFINISHED
                idle = False
                if plan.consumer == BLOCKING:
                    begin_row = row
                elif plan.consumer == ASYNC:
                    if plan.handoff > 0.0:
                        new_at, new_key = on_grid(now + plan.handoff, plan.grid), 4 * row + 2
                    else:
                        begin_row = row
                elif free_workers > 0.0:
                    free_workers -= 1.0
                    begin_row = row
                    idle = True
                    arm = True
                else:
                    queue[last] = row
                    last += 1
                    if last - first <= plan.queue:
                        idle = True
                        arm = True

        if begin_row >= 0:
            row = begin_row
            begin_row = -1
            # One attempt begins now: when is it answered, and how?
            number = slot_of[row]
            outcome, within, begun = OK, 0, now
            if plan.bare:
                pass
            elif inside + 1 > backend.limit:
                outcome, within = REJECTED, 1  # it is inside until its error is out
            elif inside + 1 > backend.servers + backend.places:
                outcome = REJECTED
            else:
                within = 1
                if servers:
                    begun = max(now, free_at[0])
            inside += within
            work = times[0, number]
            if begun < tables.last:
                work = service_time(times, tables.swaps, tables.factors, number, begun)
            if within and outcome == OK and (backend.slope > 0.0 or backend.knee < math.inf):
                work *= slowdown(backend, float(inside))
            done = begun + work
            if outcome == OK and begun < tables.last:
                done = finish(tables.stalls, begun, work)
            if plan.tick > 0.0:
                done = now + ticked(work if outcome == REJECTED else done - now, plan.tick)
            if within and outcome == OK:
                if servers:
                    at = 1
                    while at < servers and free_at[at] < done:
                        free_at[at - 1] = free_at[at]
                        at += 1
                    free_at[at - 1] = done
                if backend.failure > 0.0 and draws.failures[number] < backend.failure:
                    outcome = FAILED
            if plan.networked:
                done = done + draws.delays[number]
            log.outcome[row] = 16 + outcome  # until it is known
            new_at, new_key = on_grid(done, plan.grid), 4 * row + within
            if plan.consumer == ASYNC:
                if plan.by_handoff:
                    log.latency[row] = now - log.released[row]
                    flying -= 1
                    heard, heard_row, error, drop = True, row, 0.0, 0.0
                idle = True
                arm = True

        if new_key >= 0:
            if not new_at >= now:
                return UNSOUND - (new_key >> 2)
            if done_at == math.inf:
                done_at, done_key = new_at, new_key
            elif new_at < done_at or (new_at == done_at and new_key < done_key):
                heap = push(heap_times, heap_keys, heap, done_at, done_key)
                done_at, done_key = new_at, new_key
            else:
                heap = push(heap_times, heap_keys, heap, new_at, new_key)
            new_key = -1

        # News for the law, or for its window.
        tell = False
        if heard or refused:
            row = heard_row
            if heard:
                lag = log.released[row] - log.scheduled[row]
                count, latency, in_flight = 1.0, log.latency[row], log.in_flight[row]
            else:
                lag = now - log.scheduled[row]
                count, latency, in_flight, error, drop = 0.0, math.nan, float(flying), 0.0, 0.0
            obs = Observation(
                now - plan.start, plan.target, latency, lag, count, error,
                in_flight, drop, 1.0 - count, float(peak), draws.chance[seen],
            )  # fmt: skip
            seen += 1
            peak = flying
            tell = True
            if sensor is not None and heard:
                window = collected(window, obs, latencies)
                tell = False
                close = (
                    window.calls >= sensor.least
                    and now >= on_grid(window_end(sensor, window), plan.grid)
                    and (sensor.period == 0.0 or sensor.discard == 0.0)
                )
        if sensor is not None and close:
            obs = summed_up(
                sensor, window, latencies, now - plan.start, plan.target, draws.chance[seen]
            )
            seen += 1
            window = opened(now)
            tell = True
        if tell:
            state = law_update(law, state, obs, memory)
        if sensor is not None and watch:
            look_at = on_grid(max(window_end(sensor, window), now), plan.grid)
            if not look_at > now:
                return UNSOUND - rows
        heard = refused = close = watch = False
        if seen + 2 > len(draws.chance):
            return -1
