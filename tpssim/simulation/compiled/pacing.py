"""Parts of the general loop: what `Pacer` and `Driver` do for the releases of one producer.

When its next slot is due, what holds it back, the wait until then, the release. Each part takes a
row of a table (`world`), is called from one place, and is made part of the loop there.
"""

from __future__ import annotations

import math
from typing import Any

from tpssim.core.arrivals import recent_rate
from tpssim.core.costs import cost_rate
from tpssim.core.quota_windows import ENTRIES, Ceiling, count, dropped, on_grid_from, opening
from tpssim.core.schedule import anchor, anchor_on, next_due
from tpssim.core.slots import ROUNDING, due_on, first_wanted, piece_at, target_at
from tpssim.core.timer_models import plan_ideal_wait, plan_wait
from tpssim.core.types import REFUSED, UNFINISHED
from tpssim.simulation.compiled.events import key_of, scheduled
from tpssim.simulation.compiled.heap import Events
from tpssim.simulation.compiled.kernel import Log
from tpssim.simulation.compiled.laws import law_entry
from tpssim.simulation.compiled.world import SINCE_ARRIVAL, Known, More, Paths, Rules
from tpssim.simulation.event_kinds import RELEASE


def target_now(rules: Rules, producer: Any, paths: Paths, now: float) -> float:
    """The target of a producer for which it varies, 1/s."""
    if producer.arrives != 0:
        return recent_rate(paths.arrivals, now) * rules.unit
    times = paths.times[producer.path_at : producer.path_end]
    targets = paths.targets[producer.path_at : producer.path_end]
    return target_at(times, targets, piece_at(times, now, 0), now)


def commanded(rules: Rules, producer: Any) -> float:
    """What the rate that the law commands comes to, cost per second."""
    seen, varies = producer.seen_target, producer.varies != 0
    return cost_rate(producer.rate, seen, producer.target, rules.unit, varies)


def due_time(rules: Rules, producer: Any, noise: Any, more: More | None) -> float:
    """When the next slot is due, whatever holds it back."""
    previous, rate, gap = producer.previous, producer.rate, producer.cost
    if more is not None:
        if producer.arrives != 0:
            return due_as_arrived(rules, producer, more.paths.arrivals)
        if math.isnan(previous) and not rules.poisson:
            times = more.paths.times[producer.path_at : producer.path_end]
            targets = more.paths.targets[producer.path_at : producer.path_end]
            return first_wanted(times, targets, producer.start) if rate > 0.0 else math.inf
    if math.isnan(previous):
        if not rules.poisson:
            return producer.start if rate > 0.0 else math.inf
        previous = producer.start
    if rules.poisson:
        gap = noise[producer.gap_at + producer.slot] * producer.cost
    if more is not None and producer.piece < producer.path_n - 1:
        return due_on_path(rules, producer, more.paths, previous, gap)
    return next_due(previous, commanded(rules, producer), producer.target, gap)


def due_on_path(rules: Rules, producer: Any, paths: Paths, previous: float, gap: float) -> float:
    """The same where the target changes after the slot before."""
    times = paths.times[producer.path_at : producer.path_end]
    targets = paths.targets[producer.path_at : producer.path_end]
    rounding = ROUNDING if producer.varies != 0 else 0.0
    due, owes = due_on(
        times,
        targets,
        producer.piece,
        previous,
        commanded(rules, producer),
        gap,
        producer.owed,
        rounding,
    )
    producer.owes = owes
    return due


def due_as_arrived(rules: Rules, producer: Any, arrivals: Any) -> float:
    """The same of recorded arrivals: as the call comes, or as the law's rate lets it."""
    slot, previous = producer.slot, producer.previous
    if slot >= len(arrivals) or not producer.rate > 0.0:
        return math.inf
    allowed = commanded(rules, producer)
    if math.isnan(previous) or allowed == math.inf:
        return float(arrivals[slot])
    return float(max(arrivals[slot], next_due(previous, allowed, math.inf, producer.cost)))


def ceiling_at(known: Known, index: int, i: int) -> Ceiling:
    """The numbers of a producer's quota."""
    row = known.rows[index, i]
    return Ceiling(
        amount=row[0],
        length=row[1],
        by_cost=row[2],
        fixed=row[3],
        origin=row[4],
        half=row[5],
        burst=row[6],
        fill=row[7],
    )


def opens(rules: Rules, producer: Any, known: Known, due: float, cost: float) -> float:
    """When answers and quotas let the slot through that is due then; inf if never."""
    found = due
    if producer.closed_until > due:
        found = on_grid_from(producer.closed_until, rules.grid)
    index, room = producer.index, -math.inf
    for i in range(known.rows.shape[1]):
        times, weights, book = known.times[index, i], known.weights[index, i], known.books[index, i]
        room = max(room, opening(ceiling_at(known, index, i), cost, times, weights, book))
    return max(found, on_grid_from(room, rules.grid))


def arm(
    rules: Rules, world: Any, producer: Any, noise: Any, aside: Events, more: More | None
) -> bool:
    """Wait for the next slot, unless the wait in progress has the same deadline; whether no quota
    would ever let it through.
    """
    blocked = producer.flying + 1 > producer.limit
    if producer.idle == 0:
        return False
    if producer.armed > 0 and producer.rate == producer.waited_rate and not blocked:
        return False
    now = world.now
    producer.waited_rate = math.nan if producer.moves != 0 else producer.rate
    due = math.inf
    if blocked:
        producer.deadline = due
        if producer.limited_slot != producer.slot:
            producer.limited_slot = producer.slot
            producer.limited += 1.0
    else:
        due = producer.deadline = due_time(rules, producer, noise, more)
        if more is not None and due < math.inf:
            cost = noise[producer.cost_at + producer.slot] if rules.costed else 1.0
            due = opens(rules, producer, more.known, due, cost)
            if due == math.inf:
                return True
    if math.isnan(due):
        world.unsound, world.number = 1, world.rows
    if producer.armed > 0 and due == producer.due:
        return False
    producer.due = due
    producer.armed = 0
    if max(due, now) >= producer.end or due == math.inf:
        return False
    if rules.ideal:
        time, spun = plan_ideal_wait(now, due, rules.threshold)
    else:
        first = producer.late_at
        wait = plan_wait(rules.timer, now, 0, due, rules.threshold, noise, first + producer.sleeps)
        producer.sleeps = wait.sleeps - first
        time, spun = wait.base + wait.reads * rules.timer.read_cost, wait.spun
    producer.spun = spun
    key = key_of(RELEASE, producer.index, 0)
    producer.armed = scheduled(rules.grid, world, aside, time, key, 0)
    return False


def fall_behind(
    rules: Rules,
    producer: Any,
    rate: float,
    due: float,
    now: float,
    target: float,
    more: More | None,
) -> float:
    """Where the schedule continues after a release later than it was due.

    `target` is the one at `now`, like the rate it is of cost; it may change after `due`.
    """
    speed = min(rate, target)
    interval = rules.unit / speed if speed > 0.0 else math.inf
    if now - due >= interval > 0.0:
        producer.caught_up += 1.0
    late = rules.late
    slack = late.seconds if late.keep == math.inf and late.skip == 0.0 else -math.inf
    if due >= now - slack and interval > 0.0:
        return due  # the schedule stays where it is, as `anchor` would say
    if producer.admits != 0 and rate < target and due + interval >= now:
        return due  # the law has just said when, as of `due`: nothing is behind
    previous, skipped = anchor(late, due, now, interval, target, rules.unit)
    if more is not None and producer.varies != 0:
        times = more.paths.times[producer.path_at : producer.path_end]
        piece = piece_at(times, due, producer.piece)
        if piece < producer.path_n - 1:
            targets = more.paths.targets[producer.path_at : producer.path_end]
            previous, skipped = anchor_on(
                late, times, targets, piece, due, now, rate, target, rules.unit
            )
    if late.skip > 0.0:
        producer.slot += int(skipped)
    elif previous != due:
        producer.re_anchored += 1.0
    producer.skipped += skipped
    return previous


def moved(rules: Rules, producer: Any, due: float, now: float, more: More | None) -> None:
    """The schedule after a release at `now` of a slot that was due then."""
    previous, target, rate = due, producer.target, commanded(rules, producer)
    if more is not None and producer.varies != 0:
        target = target_now(rules, producer, more.paths, now)
    if now > due and producer.arrives == 0:
        previous = fall_behind(rules, producer, rate, due, now, target, more)
    if more is not None and producer.varies != 0:
        producer.piece = piece_at(
            more.paths.times[producer.path_at : producer.path_end], previous, producer.piece
        )
        producer.owed = producer.owes if previous == due else 0.0
    producer.target, producer.previous = target, previous


def counted(producer: Any, known: Known, now: float, cost: float) -> None:
    """All quotas count a call that is released now."""
    index, most = producer.index, 0.0
    for i in range(known.rows.shape[1]):
        times, weights, book = known.times[index, i], known.weights[index, i], known.books[index, i]
        ceiling = ceiling_at(known, index, i)
        dropped(ceiling, now, times, weights, book)
        count(ceiling, now, cost, times, weights, book)
        if ceiling.fixed == 0.0:
            most = max(most, book[ENTRIES])
    producer.entries = most


def release(
    rules: Rules,
    now: float,
    producer: Any,
    call: Any,
    row: int,
    log: Log,
    noise: Any,
    more: More | None,
) -> bool:
    """The slot's time has come: log it; whether it is released, or else refused locally."""
    due, slot, previous = producer.deadline, producer.slot, producer.previous
    if producer.admits != 0:
        came = due
        if more is not None and producer.admits == SINCE_ARRIVAL:
            came = more.paths.arrivals[slot]
        producer.rate, producer.limit, producer.reject = law_entry(
            producer.admit,
            producer.law,
            producer.state,
            producer.memory,
            producer.memory_size,
            now - producer.start,
            now - came,
            float(producer.flying),
        )
    refused = producer.reject > 0.0 and noise[producer.refusal_at + slot] < producer.reject
    moved(rules, producer, due, now, more)
    call.cost = noise[producer.cost_at + slot] if rules.costed else 1.0
    if refused and producer.arrives != 0:
        producer.previous = previous  # it moves the next slot by nothing
    else:
        producer.cost = call.cost
    producer.slot += 1
    if not refused:
        if more is not None:
            counted(producer, more.known, now, call.cost)
        producer.flying += 1
        producer.peak = max(producer.peak, producer.flying)
    log.scheduled[row] = due
    log.released[row] = math.nan if refused else now
    log.completed[row] = log.latency[row] = math.nan
    log.rate[row], log.limit[row] = producer.rate * rules.unit, producer.limit
    log.in_flight[row] = float(producer.flying)
    log.outcome[row] = REFUSED if refused else UNFINISHED
    call.producer, call.slot = producer.index, slot
    call.attempt = call.pending = 0
    call.retry_after = call.retry_wait = 0.0
    return not refused
