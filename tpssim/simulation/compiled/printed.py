"""The article's throttles as printed, each alone with its service, as a loop that compiles.

It does what a printed generator and its clock do from one release to the next: the same operations
in the same order. The generator is the authority: of each pair of a comparison the first
replication runs it, and `tests/simulation/test_runner.py` compares every bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tpssim.controllers.article import (
    ALPHA,
    DEADZONE,
    DEC_RATE,
    INC_STEP,
    LOW,
    PRINTED,
    SPIN_THRESHOLD,
)
from tpssim.core.timer_models import IDEAL, TimerModel, plan_ideal_wait, plan_wait, sleep_end
from tpssim.core.types import OK, UNFINISHED, record
from tpssim.scenarios.disturbances import finish
from tpssim.scenarios.load import peak, peak_of, target_of
from tpssim.scenarios.plant import Async, Blocking
from tpssim.scenarios.scenario import Scenario, code
from tpssim.simulation.compiled.compiling import compiles, fast
from tpssim.simulation.compiled.engine import draws, tables_of
from tpssim.simulation.compiled.kernel import SHORT, SPARE, Log, Tables, service_time
from tpssim.simulation.compiled.tables import log_of
from tpssim.simulation.hosting.runner import held_against
from tpssim.simulation.trace import CAUGHT_UP_COUNTER, COUNTERS, SPUN_COUNTER, Trace, sound

SLEEP, SCHEDULE, SPIN, AIMD, EWMA = range(5)  # in the order of `PRINTED`


@record
class Alone(NamedTuple):
    """What a scenario comes to for a printed throttle that `stands_alone`."""

    throttle: int
    ideal: bool  #: the timer is
    blocking: bool
    target: float
    start: float
    stop: float
    duration: float
    handoff: float


@record
class Command(NamedTuple):
    """What throttles 4 and 5 command and remember; nan: not yet."""

    rate: float
    interval: float
    last_yield: float
    ewma: float


def decided(throttle: int, before: Command, target: float, now: float) -> Command:
    """What throttles 4 and 5 make of the time from one return to the next."""
    rate, ewma = before.rate, before.ewma
    if not math.isnan(before.last_yield):
        measured = now - before.last_yield
        if throttle == AIMD:
            rate = rate * 0.7 if measured > before.interval * 1.5 else rate + 1.0
        else:
            ewma = measured if math.isnan(ewma) else ALPHA * measured + (1 - ALPHA) * ewma
            ratio = ewma / before.interval
            if ratio > DEADZONE:
                rate *= DEC_RATE
            elif ratio < LOW:
                rate += INC_STEP
        rate = max(1.0, min(rate, target))
    return Command(rate, 1.0 / rate, now, ewma)


def run(
    alone: Alone, timer: TimerModel, tables: Tables, times: Any, late: Any, log: Log, most: int
) -> int:
    """Fill the log; how many rows, or `SHORT` of draws of late sleeps."""
    throttle, cost = alone.throttle, timer.read_cost
    spin = SPIN_THRESHOLD if throttle > SCHEDULE else 0.0
    command = Command(alone.target, 1.0 / alone.target, math.nan, math.nan)
    # The clock shows `base + reads * cost`.
    base, reads, sleeps, spun, deadline = alone.start, 0, 0, 0.0, math.nan
    if throttle != SLEEP:
        reads = 1
    next_tick = base + reads * cost
    rows = 0
    while rows < most:
        if sleeps + SPARE > len(late):
            return SHORT
        if throttle != SLEEP:
            deadline, spinning = next_tick, 0.0
            if alone.ideal:
                base, spinning = plan_ideal_wait(base + reads * cost, next_tick, spin)
                reads = 0
            else:
                wait = plan_wait(timer, base, reads, next_tick, spin, late, sleeps)
                base, reads, sleeps, spinning = wait.base, wait.reads, wait.sleeps, wait.spun
            spun += spinning
        now = base + reads * cost
        if now >= alone.stop:
            break
        log.counters[SPUN_COUNTER] = spun
        base, reads = released(alone, command.rate, tables, times, log, rows, deadline, now), 0
        rows += 1
        if throttle == SLEEP:
            base = sleep_end(timer, base + reads * cost, command.interval, late[sleeps])
            sleeps += 1
        elif throttle >= AIMD:
            reads = 1
            command = decided(throttle, command, alone.target, base + reads * cost)
        next_tick += command.interval
    return rows


def released(
    alone: Alone,
    rate: float,
    tables: Tables,
    times: Any,
    log: Log,
    row: int,
    deadline: float,
    now: float,
) -> float:
    """Log the call that is released now; when the producer's thread is free again."""
    due, behind = held_against(alone.target, alone.start, deadline, now, float(row), rate)
    log.counters[CAUGHT_UP_COUNTER] += behind
    log.scheduled[row], log.released[row], log.rate[row] = due, now, rate
    log.completed[row] = log.latency[row] = math.nan
    log.outcome[row] = UNFINISHED
    begin = free = now + alone.handoff
    if begin < alone.duration:
        work = service_time(times, tables.swaps, tables.factors, row, begin)
        done = finish(tables.stalls, begin, work)
        if alone.blocking:
            free = done
        if free < alone.duration:
            log.latency[row] = free - now
        if done < alone.duration:
            log.outcome[row] = OK
            log.completed[row] = done
    return free


def simulate(
    scenario: Scenario, name: str, seed: int, replication: int, meta: Mapping[str, Any]
) -> Trace:
    """The run of `hosting.runner.simulate_alone` with that printed throttle, to the bit."""
    (producer,) = scenario.producers
    consumer, target = scenario.consumer, peak_of(target_of(scenario, producer))
    alone = Alone(
        throttle=list(PRINTED).index(name),
        ideal=scenario.timer == IDEAL,
        blocking=isinstance(consumer, Blocking),
        target=target,
        start=producer.start,
        stop=min(producer.end, scenario.duration),
        duration=scenario.duration,
        handoff=consumer.handoff if isinstance(consumer, Async) else 0.0,
    )
    most = math.ceil(max(peak(scenario), 1.0) * scenario.duration) + 2  # as of a `World`
    loop, tables, n = fast(run, counted=False), tables_of(scenario.disturbances), most + SPARE
    while True:
        random = draws(scenario, code(scenario), n, seed, replication, False, False)
        late = random.late if scenario.timer != IDEAL else np.zeros(n + SPARE)
        log = log_of(most)
        rows = loop(alone, scenario.timer, tables, random.times, late, log, most)
        if rows >= 0:
            break
        n *= 2
    log.limit[:rows], log.in_flight[:rows] = math.inf, 1.0
    counters = dict(zip(COUNTERS, log.counters.tolist(), strict=True))
    how = {"engine": "compiled" if compiles else "direct"}
    found: list[Any] = [column[:rows] for column in log[:8]]
    found += [np.zeros(rows, np.int32), np.ones(rows), scenario, {**meta, **how, **counters}]
    return sound(Trace(*found))
