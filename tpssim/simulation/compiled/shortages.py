"""Parts of the general loop: what is missing for an event, before anything comes of it.

The loop then stops, and goes on when there is more.
"""

from __future__ import annotations

import math
from typing import Any

from tpssim.core.types import OK
from tpssim.scenarios.retries import PLAIN
from tpssim.simulation.compiled.serving import SIZE
from tpssim.simulation.compiled.world import Rules
from tpssim.simulation.event_kinds import COMPLETION, RELEASE, RETRY, TIMEOUT

SPARE = 64  # sleeps that a wait may take
AT_ONCE = 6  # events that one event may bring
#: Why the loop stops: the run is over; time did not pass; a quota lets a call never through; what
#: there is too little of, the kind of noise in `world.family`.
DONE, UNSOUND, NEVER, MORE_CALLS, MORE_EVENTS, MORE_TIMEOUTS = range(6)
MORE_SERVERS, MORE_BEGINS, MORE_QUOTAS, MORE_KNOWN, MORE_NEWS, MORE_NOISE = range(6, 12)
#: Kinds of noise, by what they are counted in: slots, sleeps, observations, slots of an attempt.
GAPS, SLEEPS, CHANCES, REFUSALS, COSTS, ATTEMPTED = range(6)


def lacks_noise(world: Any, family: int, owner: int, attempt: int, number: int) -> int:
    """Note which draw is not there."""
    world.family, world.producer, world.attempt, world.number = family, owner, attempt, number
    return MORE_NOISE


def lacks_to_arm(rules: Rules, world: Any, producer: Any) -> int:
    """What is missing to plan a producer's wait; 0 if nothing is."""
    index, slot = producer.index, producer.slot
    if rules.poisson and slot + 1 > producer.gap_n:
        return lacks_noise(world, GAPS, index, 0, slot)
    if rules.costed and slot + 1 > producer.cost_n:
        return lacks_noise(world, COSTS, index, 0, slot)
    if not rules.ideal and producer.sleeps + SPARE > producer.late_n:
        return lacks_noise(world, SLEEPS, index, 0, producer.sleeps + SPARE)
    return MORE_EVENTS if world.heaped + AT_ONCE > world.events_n else 0


def lacks_room(rules: Rules, world: Any) -> int:
    """What is missing for any event; 0 if nothing is."""
    if world.heaped + AT_ONCE > world.events_n:
        return MORE_EVENTS
    if world.waiting + 1 > world.timeouts_n:
        return MORE_TIMEOUTS
    if rules.backend.servers < math.inf and world.working + 1 > world.servers_n:
        return MORE_SERVERS
    if rules.backend.rate < math.inf and world.begun + 1 > world.begins_n:
        return MORE_BEGINS
    if world.sent + 1 > world.news_n:
        return MORE_NEWS
    return MORE_QUOTAS if world.entries + 1.0 > world.rings_n else 0


def lacks_to_visit(rules: Rules, world: Any, client: Any, blocks: Any) -> int:
    """What is missing for a call of another client; 0 if nothing is."""
    index, number = client.index, client.calls
    if client.gap_n < number + 2:
        return lacks_noise(world, GAPS, index, 0, number + 1)
    if rules.costed and client.cost_n < number + 1:
        return lacks_noise(world, COSTS, index, 0, number)
    if blocks[index, 0, SIZE] < number + 1:
        return lacks_noise(world, ATTEMPTED, index, 0, number)
    return 0


def lacks(
    rules: Rules, world: Any, producer: Any, kind: int, calls: Any, row: int, blocks: Any
) -> int:
    """What is missing for an event of a producer; 0 if nothing is."""
    index, slot = producer.index, producer.slot
    if producer.seen + 2 > producer.chance_n:
        return lacks_noise(world, CHANCES, index, 0, producer.seen + 1)
    if kind == RETRY or (rules.retry.jitter != PLAIN and kind in (COMPLETION, TIMEOUT)):
        call = calls[row]
        fails = kind == TIMEOUT or call.answer != OK
        again = call.attempt + (0 if kind == RETRY else 1)
        if kind != RETRY and not (fails and again <= rules.retry.attempts):
            return 0
        if blocks[index, again, SIZE] <= call.slot:
            return lacks_noise(world, ATTEMPTED, index, again, call.slot)
    if kind == RELEASE:
        if world.rows + 1 > world.calls_n:
            return MORE_CALLS
        if slot + 1 > blocks[index, 0, SIZE]:
            return lacks_noise(world, ATTEMPTED, index, 0, slot)
        refuses = producer.reject > 0.0 or producer.admits != 0
        if refuses and slot + 1 > producer.refusal_n:
            return lacks_noise(world, REFUSALS, index, 0, slot)
        if producer.entries + 1.0 > world.known_n:
            return MORE_KNOWN
    return 0
