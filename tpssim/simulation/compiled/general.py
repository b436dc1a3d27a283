"""The general loop: every scenario, any number of producers, each with its own law by address.

It does what `simpy_engine`, `call_lifecycle`, `late_feedback` and `other_clients` do, event by
event, in the order of `event_kinds`. It is compiled once, for all laws and scenarios; `kernel` is
faster for one law where nothing asks for a heap. Where it differs from the model by a bit, it is
wrong.

All that a run has come to stands in tables (`world.Room`), so the loop can stop before an event
that needs more room or more noise than there is, and goes on when it is called again.
"""

from __future__ import annotations

import math
from typing import Any

from tpssim.core.types import OK, REFUSED, TIMED_OUT
from tpssim.core.window import collected, opened, summed_up
from tpssim.scenarios.feedback import period_end
from tpssim.scenarios.plant import ASYNC, BLOCKING, POOL
from tpssim.scenarios.retries import deposited
from tpssim.simulation.compiled.clients import arrived, left_later, next_visit
from tpssim.simulation.compiled.events import (
    ATTEMPT,
    ATTEMPTS,
    HAND_OVER,
    INSIDE,
    OWNER,
    PRODUCERS,
    PUSHES,
    ROW,
    ROWS,
    keep_queue,
    key_of,
    queue_of,
    rest,
    scheduled,
    settle,
)
from tpssim.simulation.compiled.heap import Events
from tpssim.simulation.compiled.kernel import Tables
from tpssim.simulation.compiled.observing import (
    OWN,
    PERIOD,
    REACHED,
    begin_period,
    has_news,
    keep,
    look,
    noticed,
    observed,
    reported,
    send,
    sensor,
    step,
    summary,
    wanted,
    watch,
    window,
    window_closes,
)
from tpssim.simulation.compiled.pacing import arm, release
from tpssim.simulation.compiled.serving import (
    asked_to_wait,
    attempted,
    dequeue,
    enqueue,
    serve,
    tries_again,
)
from tpssim.simulation.compiled.shortages import (
    AT_ONCE,
    DONE,
    GAPS,
    MORE_EVENTS,
    NEVER,
    UNSOUND,
    lacks,
    lacks_noise,
    lacks_room,
    lacks_to_arm,
    lacks_to_visit,
)
from tpssim.simulation.compiled.world import More, Room, Rules
from tpssim.simulation.event_kinds import ARRIVAL, COMPLETION, RETRY, TIMEOUT, WINDOW


def comes_first(world: Any, timeouts: Events, events: Events) -> bool:
    """Whether the first of the timeouts comes before all other events."""
    if world.waiting == 0 or world.lined == 0:
        return bool(world.waiting > 0)
    at, other = timeouts.at[world.first_timeout], events.at[world.first]
    key = timeouts.key[world.first_timeout]
    return bool(at < other or (at == other and key < events.key[world.first]))


def begin(
    rules: Rules, world: Any, producers: Any, aside: Events, noise: Any, more: More | None
) -> int:
    """Let another client begin, or then a control plane and a window; what is missing, 0 if nothing
    is.
    """
    if world.heaped + AT_ONCE > world.events_n:
        return MORE_EVENTS
    if world.started < 0:
        if more is not None:
            client = more.clients[world.started + len(more.clients)]
            if client.gap_n < 1:
                return lacks_noise(world, GAPS, client.index, 0, 0)
            next_visit(rules, world, client, aside, noise)
    else:
        producer = producers[world.started]
        if more is not None:
            begin_period(more.planes[producer.index], 0.0)
            if rules.period > 0.0:
                next_period(rules, world, producer, more.planes[producer.index], aside)
        if producer.period > 0.0:
            watch(rules, world, producer, aside)
    world.started += 1
    return 0


def next_period(rules: Rules, world: Any, producer: Any, plane: Any, aside: Events) -> None:
    """Put the end of a period of a control plane among the events."""
    feedback: Any = rules  # its fields are among them
    end = period_end(feedback, producer.start, float(plane.periods))
    scheduled(rules.grid, world, aside, end, key_of(WINDOW, producer.index, PERIOD), 0)


def released(
    rules: Rules, world: Any, producer: Any, row: int, calls: Any, aside: Events
) -> tuple[bool, bool]:
    """A call was released now: whether it begins at once, and is handed over by that."""
    producer.idle = 0
    if rules.consumer == ASYNC:
        if rules.handoff == 0.0:
            return True, True
        key = key_of(COMPLETION, producer.index, row)
        scheduled(rules.grid, world, aside, world.now + rules.handoff, key, HAND_OVER)
        return False, False
    if rules.consumer == BLOCKING:
        return True, False
    begins = producer.idle_workers > 0.0
    if begins:
        producer.idle_workers -= 1.0
    else:
        enqueue(producer, calls, row)
    if begins or producer.queued <= rules.queue:
        producer.idle = 1
        world.arm = producer.index
    return bool(begins), False


# One function, for it is the order of events: each kind in turn, with its part called where it is
# one; what changes from event to event stays in registers.
def run(rules: Rules, tables: Tables, room: Room, more: More | None) -> int:
    """Go on with a run until it is over or something is missing; why it stopped."""
    world, producers, calls, log = room.world[0], room.producers, room.calls, room.log
    events, timeouts, noise, blocks = room.events, room.timeouts, room.noise, room.blocks
    aside = room.aside
    while True:
        settle(world, aside, events)
        if world.started < len(producers):
            missing = begin(rules, world, producers, aside, noise, more)
            if missing != 0:
                return missing
            continue
        if world.arm >= 0:
            producer = producers[world.arm]
            missing = lacks_to_arm(rules, world, producer)
            if missing != 0:
                return missing
            if arm(rules, world, producer, noise, aside, more):
                world.producer = producer.index
                return NEVER
            world.arm = -1
            if world.armed < len(producers):  # all begin one after the other
                world.armed += 1
                world.arm = world.armed if world.armed < len(producers) else -1
            continue
        if world.unsound != 0:
            return UNSOUND

        # What the event comes to: an attempt has ended, or begins, and is handed over by that; the
        # law sees a call, its window, or news.
        ended, begun, handed, seen, closes, news = -1, -1, False, -1, False, -1
        passes, kind, row, now, outcome = False, COMPLETION, 0, world.now, OK
        if world.ended >= 0:  # its answer has closed the release
            ended, outcome, world.ended = world.ended, world.outcome, -1
            producer = producers[calls[ended].producer]
        else:
            timed_out = comes_first(world, timeouts, events)
            first = timeouts if timed_out else events
            place = world.first_timeout if timed_out else world.first
            if world.lined + world.waiting == 0 or not first.at[place] < rules.duration:
                return DONE
            key = first.key[place]
            kind, row, owner = key >> OWNER, key & ROWS, (key >> ROW) & PRODUCERS
            missing = lacks_room(rules, world)
            if missing == 0 and owner < len(producers):
                producer = producers[owner]
                missing = lacks(rules, world, producer, kind, calls, row, blocks)
            elif more is not None and missing == 0 and kind == ARRIVAL:
                client = more.clients[owner - len(producers)]
                missing = lacks_to_visit(rules, world, client, blocks)
            if missing != 0:
                return missing
            now, tag = first.at[place], first.tag[place]
            world.now = now
            if timed_out:
                world.first_timeout = (place + 1) & (len(timeouts.at) - 1)
                world.waiting -= 1
            else:
                keep_queue(world, rest(events, queue_of(world)))
            if owner >= len(producers):
                if kind == COMPLETION:
                    world.inside -= 1
                elif more is not None:
                    client = more.clients[owner - len(producers)]
                    visitor, block = more.visitors[owner - len(producers)], blocks[owner, 0]
                    arrived(rules, client, visitor, noise)
                    answer = serve(
                        rules, world, visitor, noise, block, tables, room.free_at, room.begins,
                        False, more,
                    )  # fmt: skip
                    left_later(rules, world, client, aside, noise, answer)
                continue
            attempt = (tag >> ATTEMPT) & ATTEMPTS
            if kind == COMPLETION and tag & HAND_OVER:
                begun, handed = row, True
            elif kind in (COMPLETION, TIMEOUT):
                if tag & INSIDE:
                    world.inside -= 1
                call = calls[row]
                if call.pending != 0 and call.attempt == attempt:
                    ended = row
                    outcome = TIMED_OUT if kind == TIMEOUT else call.answer
                    call.pending = 0
                    call.attempt += 1
                    asked = asked_to_wait(call, outcome)
                    if asked > 0.0 and not rules.by_handoff:
                        producer.closed_until = max(producer.closed_until, now + asked)
                        producer.waited_rate = math.nan
                        world.ended, world.outcome, world.arm = ended, outcome, producer.index
                        continue
            elif kind == WINDOW and row == OWN:
                closes = look(rules, world, producer)
            elif kind == WINDOW:
                if more is not None:
                    plane = more.planes[owner]
                    if row == PERIOD:
                        plane.periods += 1
                        passes = True
                    else:
                        news = plane.first
                        plane.first = more.news[news].next
            elif kind == RETRY:
                begun = row
            elif producer.armed == tag >> PUSHES and now < producer.end:
                producer.armed = 0
                world.spun += producer.spun
                row = world.rows
                world.rows += 1
                if release(rules, now, producer, calls[row], row, log, noise, more):
                    begins, handed = released(rules, world, producer, row, calls, aside)
                    begun = row if begins else -1
                else:
                    seen, outcome = row, REFUSED
                    world.arm = producer.index

        if ended >= 0 and not tries_again(
            rules, world, producer, calls[ended], ended, outcome, aside, noise, blocks
        ):
            log.outcome[ended] = outcome
            log.completed[ended] = now
            if not rules.by_handoff:
                log.latency[ended] = now - log.released[ended]
                producer.flying -= 1
                seen = ended
                world.arm = producer.index
                if rules.consumer == BLOCKING:
                    producer.idle = 1
            if rules.consumer == POOL:
                if producer.queued == 0:
                    producer.idle_workers += 1.0
                else:
                    # The call that held the producer back has its place.
                    if producer.queued > rules.queue:
                        producer.idle = 1
                    begun = dequeue(producer, calls)

        if begun >= 0:
            call = calls[begun]
            block = blocks[producer.index, call.attempt]
            if call.attempt == 0 and rules.retry.budget < math.inf:
                producer.tokens = deposited(producer.tokens, rules.retry.budget)
            answer = serve(
                rules, world, call, noise, block, tables, room.free_at, room.begins, True,
                more,
            )  # fmt: skip
            attempted(rules, world, call, begun, aside, timeouts, noise, block, answer)
            if handed:
                producer.idle = 1
                world.arm = producer.index
                if rules.by_handoff:
                    log.latency[begun] = now - log.released[begun]
                    producer.flying -= 1
                    seen, outcome = begun, OK

        u = noise[producer.chance_at + producer.seen]
        if more is not None and rules.late_news and (seen >= 0 or passes):
            plane, kept = (
                more.planes[producer.index],
                room.latencies[len(producers) + producer.index],
            )
            if seen >= 0:
                noticed(producer, plane, kept, observed(producer, log, seen, outcome, now, 0.0, u))
                seen, passes = -1, rules.period == 0.0
            if passes and has_news(plane):
                send(plane, more.news, world.sent, summary(rules, plane, kept))
                begin_period(plane, now)
                if rules.delay > 0.0:
                    key = key_of(WINDOW, producer.index, REACHED)
                    scheduled(rules.grid, world, aside, now + rules.delay, key, 0)
                else:
                    news, plane.first = world.sent, -1
                world.sent += 1
            if kind == WINDOW:
                next_period(rules, world, producer, plane, aside)
        if seen >= 0 or news >= 0:
            target = wanted(rules, producer, now, more)
            obs = observed(producer, log, max(seen, 0), outcome, now, target, u)
            producer.seen += 1
            if news < 0:
                producer.peak = producer.flying
            if more is not None and news >= 0:
                obs = reported(producer, more.news[news], now, target, u)
            world.arm = producer.index
            if producer.windowed == 0 or obs.count == 0.0:
                step(producer, obs)
            else:
                keep(producer, collected(window(producer), obs, room.latencies[producer.index]))
                closes = (
                    producer.calls >= producer.least
                    and now >= window_closes(rules, producer)
                    and (producer.period == 0.0 or producer.discard == 0.0)
                )
        if closes:
            u = noise[producer.chance_at + producer.seen]
            since, kept = now - producer.start, room.latencies[producer.index]
            target = wanted(rules, producer, now, more)
            obs = summed_up(sensor(producer), window(producer), kept, since, target, u)
            keep(producer, opened(now))
            producer.seen += 1
            step(producer, obs)
            world.arm = producer.index
        if kind == WINDOW and row == OWN:
            watch(rules, world, producer, aside)
