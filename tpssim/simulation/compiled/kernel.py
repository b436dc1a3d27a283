"""The model's loop as one function of numbers: what `engine` runs, compiled or as plain Python.

It does what `simpy_engine` and `call_lifecycle` do, event by event, without an event list: at any
time there is at most one release, one look at the window, and the completions in a heap. Written
for a compiler: arrays and records of floats, no objects. Where it differs from the model by a bit,
it is wrong.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim.core.own_laws import answered
from tpssim.core.schedule import Late, anchor, next_due, on_grid, ticked
from tpssim.core.timer_models import TimerModel, plan_ideal_wait, plan_wait
from tpssim.core.types import (
    FAILED,
    OK,
    REFUSED,
    REJECTED,
    UNFINISHED,
    Observation,
    drop_of,
    error_of,
    record,
)
from tpssim.core.window import Sensor, collected, opened, summed_up, window_end
from tpssim.scenarios.disturbances import factor_at, finish
from tpssim.scenarios.plant import ASYNC, BLOCKING, POOL, Backend, slowdown
from tpssim.simulation.compiled.events import Queue, occupied, put, rest
from tpssim.simulation.compiled.heap import Events
from tpssim.simulation.event_kinds import COMPLETION, WINDOW, first_kind
from tpssim.simulation.trace import (
    CAUGHT_UP_COUNTER,
    LIMITED_COUNTER,
    RE_ANCHORED_COUNTER,
    SKIPPED_COUNTER,
    SPUN_COUNTER,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SPARE = 64  # sleeps that a wait may take
SHORT = -1  # draws or log are too short
NEEDS_REFUSALS = -2  # the law refuses calls, and no draws for that were given
UNSOUND = -3  # less a row: its time is no number or lies before now
PENDING = 16  # is added to an outcome until the call is answered
#: The key of an event is the row of its call and these bits: whether it is a hand-over, and whether
#: the call is inside the backend until then.
KEY_BITS, HAND_OVER, INSIDE = 2, 2, 1


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
    slack: float  #: a slot due no longer ago stays where it is, s; -inf where that depends on more


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


@record
class Coming(NamedTuple):
    """The completions and hand-overs to come: the first of them, and how many others."""

    at: float  #: inf if there is none
    key: int
    others: Queue


def sooner(coming: Coming, events: Events, at: float, key: int) -> Coming:
    """With one more event; at equal times the lower key comes first, and so the lower call."""
    if coming.at == math.inf:
        return Coming(at=at, key=key, others=coming.others)
    first_at, first_key = coming.at, coming.key
    if at < first_at or (at == first_at and key < first_key):
        at, key, first_at, first_key = first_at, first_key, at, key
    return Coming(at=first_at, key=first_key, others=put(events, coming.others, at, key, key))


def later(coming: Coming, events: Events) -> Coming:
    """Without the first event."""
    others = coming.others
    if others.lined == 0:
        return Coming(at=math.inf, key=0, others=others)
    at, key = events.at[others.first], events.key[others.first]
    return Coming(at=at, key=key, others=rest(events, others))


@record
class Bench(NamedTuple):
    """Arrays to work with, with room for each call."""

    events: Events  #: completions and hand-overs to come; no two have one key, which is the tag too
    slot_of: NDArray[np.int64]
    queue: NDArray[np.int64]  #: calls that wait for a worker of the pool, by row
    free_at: NDArray[np.float64]  #: when each server that has worked is free


def law_update(law: Any, state: Any, obs: Observation, memory: Any) -> Any:
    """`law.update`, with memory if it has some; compiled, it is replaced by the record's own
    function.
    """
    if hasattr(law, "memory"):
        return answered(law, law.update(state, obs, memory))
    return answered(law, law.update(state, obs))


def law_admit(law: Any, state: Any, now: float, lag: float, in_flight: float, memory: Any) -> Any:
    """`law.admit`, if it has one."""
    if hasattr(law, "memory"):
        return answered(law, law.admit(state, now, lag, in_flight, memory))
    return answered(law, law.admit(state, now, lag, in_flight)) if hasattr(law, "admit") else state


def service_time(times: Any, swaps: Any, factors: Any, slot: int, begin: float) -> float:
    """Service time of a call whose work begins at `begin`, under the disturbances in force."""
    which = 0
    for i in range(len(swaps)):
        if swaps[i, 0] <= begin < swaps[i, 1]:
            which = i + 1
    time: float = times[which, slot]
    return time * factor_at(factors, begin) if len(factors) else time


def due_at(plan: Plan, rate: float, previous: float, gap: float) -> float:
    """When the next slot is due, if the limit does not hold it back."""
    if not math.isnan(previous):
        return next_due(previous, rate, plan.target, gap)
    if plan.poisson:
        return next_due(plan.start, rate, plan.target, gap)
    return plan.start if min(rate, plan.target) > 0.0 else math.inf


@record
class Behind(NamedTuple):
    """What follows from a release later than it was due."""

    previous: float  #: where the schedule continues
    skipped: float  #: slots
    caught_up: float  #: 1 if a whole interval had passed
    re_anchored: float  #: 1 if the schedule was moved


def fallen_behind(plan: Plan, late: Late, rate: float, due: float, now: float) -> Behind:
    """What follows from a release at `now` of a slot that was due before."""
    speed = min(rate, plan.target)
    interval = 1.0 / speed if speed > 0.0 else math.inf
    previous, skipped = due, 0.0
    # As `anchor` would say, whose divisions cost more; and a law that has just said when, as of
    # `due`, has nothing behind.
    stays = due >= now - plan.slack and interval > 0.0
    if not stays and not (plan.admits and rate < plan.target and due + interval >= now):
        previous, skipped = anchor(late, due, now, interval, plan.target)
    return Behind(
        previous=previous,
        skipped=skipped,
        caught_up=1.0 if now - due >= interval else 0.0,
        re_anchored=1.0 if late.skip == 0.0 and previous != due else 0.0,
    )


@record
class Admission(NamedTuple):
    """How the backend takes a call."""

    outcome: int  #: `OK` so far, or `REJECTED`
    inside: int  #: 1 if it is inside until it is answered
    served: bool


def admission(plan: Plan, backend: Backend, inside: int) -> Admission:
    """How the backend takes one call more than the `inside` that it has."""
    if plan.bare:
        return Admission(outcome=OK, inside=0, served=False)
    if inside + 1 > backend.limit:
        return Admission(outcome=REJECTED, inside=1, served=False)  # until its error is out
    if inside + 1 > backend.servers + backend.places:
        return Admission(outcome=REJECTED, inside=0, served=False)
    return Admission(outcome=OK, inside=1, served=True)


def observed(
    plan: Plan,
    outcome: int,
    now: float,
    latency: float,
    lag: float,
    in_flight: float,
    peak: int,
    u: float,
) -> Observation:
    """What the law sees of a call: its outcome is `OK` for a hand-over, `REFUSED` locally."""
    count = 0.0 if outcome == REFUSED else 1.0
    return Observation(
        now=now - plan.start,
        target=plan.target,
        latency=latency,
        lag=lag,
        count=count,
        errors=error_of(outcome),
        in_flight=in_flight,
        drops=drop_of(outcome),
        refusals=1.0 - count,
        peak=float(peak),
        u=u,
    )


def look_time(sensor: Sensor, window: Any, now: float, grid: float) -> float:
    """When to look at the window: at its end, if that is still to come."""
    return on_grid(max(window_end(sensor, window), now), grid)


# One function, for what changes from event to event is some twenty numbers, and they stay in
# registers; the parts above take and give numbers only, for an array handed on is counted.
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
    bench: Bench,
    memory: Any,
    latencies: Any,
) -> int:
    """One run; the number of rows logged, or `SHORT`, `NEEDS_REFUSALS`, `UNSOUND`.

    `sensor` is None if the law has none. Everything else has one type, so a law is compiled once.
    """
    room, slots = len(log.scheduled), draws.times.shape[1]
    counters = log.counters
    events, slot_of, queue, free_at = bench.events, bench.slot_of, bench.queue, bench.free_at
    coming = Coming(at=math.inf, key=0, others=Queue(first=0, lined=0, heaped=0))
    new_at, new_key = 0.0, -1  # an event to be put among them
    first, last, free_workers = 0, 0, plan.workers
    working = 0  # servers that have worked; of as many as there are calls one is always free
    lines_up = backend.servers < room
    rows, slot, seen, flying, peak, inside = 0, 0, 0, 0, 0, 0
    now, previous = 0.0, math.nan
    # The wait for the next slot: when that is due, when the wait ends, the spinning in it, whether
    # it is in progress, the rate that it was planned for.
    due, release_at, spun, armed, waited_rate, sleeps = math.nan, math.inf, 0.0, False, math.nan, 0
    idle, arm, held_slot = True, True, -1  # of the producer's thread; whether to plan its wait
    look_at = math.inf
    if sensor is not None:
        window = opened(plan.start)
        if sensor.period > 0.0:
            look_at = look_time(sensor, window, now, plan.grid)
    begins = -1  # row of a call whose attempt begins now
    # What an event means for the law: it sees a call; its window ends; the next look changes.
    seen_row, seen_outcome, close, watch = -1, OK, False, False

    while True:
        blocked = flying + 1 > state.limit
        if arm and idle and not (armed and state.rate == waited_rate and not blocked):
            waited_rate = state.rate
            if plan.poisson and slot >= slots:
                return SHORT
            gap = draws.gaps[slot] if plan.poisson else 1.0
            wanted = due_at(plan, state.rate, previous, gap)
            if blocked:
                wanted = math.inf
                if held_slot != slot:
                    held_slot = slot
                    counters[LIMITED_COUNTER] += 1.0
            if not (armed and wanted == due):
                due, release_at, armed = wanted, math.inf, max(wanted, now) < plan.end
                if armed and plan.ideal:
                    release_at, spun = plan_ideal_wait(now, due, plan.threshold)
                elif armed:
                    if sleeps + SPARE > len(draws.late):
                        return SHORT
                    wait = plan_wait(timer, now, 0, due, plan.threshold, draws.late, sleeps)
                    sleeps, spun = wait.sleeps, wait.spun
                    release_at = wait.base + wait.reads * timer.read_cost
                release_at = on_grid(release_at, plan.grid)
                if not release_at >= now:
                    return UNSOUND - rows
        arm = False

        kind = first_kind(coming.at, look_at, release_at)
        now = coming.at if kind == COMPLETION else look_at if kind == WINDOW else release_at
        if now >= plan.duration:
            return rows
        if kind == COMPLETION:
            key = coming.key
            row = key >> KEY_BITS
            coming = later(coming, events)
            if key & HAND_OVER:
                begins = row
            else:
                if key & INSIDE:
                    inside -= 1
                outcome = log.outcome[row] - PENDING
                log.outcome[row] = outcome
                log.completed[row] = now
                if not plan.by_handoff:
                    log.latency[row] = now - log.released[row]
                    flying -= 1
                    seen_row, seen_outcome = row, outcome
                    arm = True
                    if plan.consumer == BLOCKING:
                        idle = True
                    elif plan.consumer == POOL and first == last:
                        free_workers += 1.0
                    elif plan.consumer == POOL:
                        # The call that held the producer back has its place.
                        idle = idle or last - first > plan.queue
                        begins = queue[first]
                        first += 1
        elif kind == WINDOW:
            if sensor is not None:
                if now < on_grid(window_end(sensor, window), plan.grid):
                    watch = True  # it began again, or waits for more round trips
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
            release_at = math.inf
            if now >= plan.end:
                continue
            armed = False
            counters[SPUN_COUNTER] += spun
            if rows + 1 > room or slot + 1 > slots:
                return SHORT
            if plan.admits:
                state = law_admit(law, state, now - plan.start, now - due, float(flying), memory)
            row, this = rows, slot
            rows, slot, previous = rows + 1, slot + 1, due
            if now > due:
                behind = fallen_behind(plan, late, state.rate, due, now)
                previous = behind.previous
                counters[CAUGHT_UP_COUNTER] += behind.caught_up
                counters[SKIPPED_COUNTER] += behind.skipped
                counters[RE_ANCHORED_COUNTER] += behind.re_anchored
                if late.skip > 0.0:
                    slot += int(behind.skipped)
            slot_of[row] = this
            log.scheduled[row] = due
            log.completed[row] = log.latency[row] = math.nan
            log.rate[row] = state.rate
            log.limit[row] = state.limit
            if state.reject > 0.0 and this >= len(draws.refusal):
                return NEEDS_REFUSALS
            if state.reject > 0.0 and draws.refusal[this] < state.reject:
                log.released[row] = math.nan
                log.in_flight[row] = float(flying)
                log.outcome[row] = REFUSED
                seen_row, seen_outcome = row, REFUSED
                arm = True
            else:
                flying += 1
                peak = max(peak, flying)
                log.released[row] = now
                log.in_flight[row] = float(flying)
                log.outcome[row] = UNFINISHED
                idle = False
                if plan.consumer == ASYNC and plan.handoff > 0.0:
                    new_at = on_grid(now + plan.handoff, plan.grid)
                    new_key = (row << KEY_BITS) + HAND_OVER
                elif plan.consumer != POOL:
                    begins = row
                elif free_workers > 0.0:
                    free_workers -= 1.0
                    begins = row
                    idle = arm = True
                else:
                    queue[last] = row
                    last += 1
                    idle = arm = last - first <= plan.queue

        if begins >= 0:
            row, begins = begins, -1
            # One attempt begins now: when is it answered, and how?
            number = slot_of[row]
            taken = admission(plan, backend, inside)
            outcome, begun = taken.outcome, now
            inside += taken.inside
            if taken.served and lines_up and working >= backend.servers:
                begun = max(now, free_at[0])
            work = draws.times[0, number]
            if begun < tables.last:
                work = service_time(draws.times, tables.swaps, tables.factors, number, begun)
            if taken.served and (backend.slope > 0.0 or backend.knee < math.inf):
                work *= slowdown(backend, float(inside))
            done = begun + work
            if outcome == OK and begun < tables.last:
                done = finish(tables.stalls, begun, work)
            if plan.tick > 0.0:
                done = now + ticked(work if outcome == REJECTED else done - now, plan.tick)
            if taken.served:
                if lines_up:
                    working = occupied(free_at, working, backend.servers, done)
                if backend.failure > 0.0 and draws.failures[number] < backend.failure:
                    outcome = FAILED
            if plan.networked:
                done = done + draws.delays[number]
            log.outcome[row] = PENDING + outcome
            new_at, new_key = on_grid(done, plan.grid), (row << KEY_BITS) + taken.inside * INSIDE
            if plan.consumer == ASYNC:
                if plan.by_handoff:
                    log.latency[row] = now - log.released[row]
                    flying -= 1
                    seen_row, seen_outcome = row, OK
                idle = arm = True

        if new_key >= 0:
            if not new_at >= now:
                return UNSOUND - (new_key >> KEY_BITS)
            coming = sooner(coming, events, new_at, new_key)
            new_key = -1

        observes = False  # whether the law sees one
        if seen_row >= 0:
            u = draws.chance[seen]
            latency, in_flight = log.latency[seen_row], log.in_flight[seen_row]
            lag = log.released[seen_row] - log.scheduled[seen_row]
            if seen_outcome == REFUSED:
                lag = now - log.scheduled[seen_row]
            obs = observed(plan, seen_outcome, now, latency, lag, in_flight, peak, u)
            seen += 1
            peak = flying
            observes = True
            if sensor is not None and seen_outcome != REFUSED:
                window = collected(window, obs, latencies)
                observes = False
                close = (
                    window.calls >= sensor.least
                    and now >= on_grid(window_end(sensor, window), plan.grid)
                    and (sensor.period == 0.0 or sensor.discard == 0.0)
                )
        if sensor is not None and close:
            u = draws.chance[seen]
            obs = summed_up(sensor, window, latencies, now - plan.start, plan.target, u)
            seen += 1
            window = opened(now)
            observes = True
        if observes:
            state = law_update(law, state, obs, memory)
        if sensor is not None and watch:
            look_at = look_time(sensor, window, now, plan.grid)
            if not look_at > now:
                return UNSOUND - rows
        seen_row, close, watch = -1, False, False
        if seen + 2 > len(draws.chance):
            return SHORT
