"""Part of the general loop: what `other_clients` does for the background load."""

from __future__ import annotations

import math
from typing import Any

from tpssim.core.schedule import next_due
from tpssim.simulation.compiled.events import INSIDE, key_of, scheduled
from tpssim.simulation.compiled.heap import Events
from tpssim.simulation.compiled.serving import Answer
from tpssim.simulation.compiled.world import Rules
from tpssim.simulation.event_kinds import ARRIVAL, COMPLETION


def next_visit(rules: Rules, world: Any, client: Any, aside: Events, noise: Any) -> None:
    """Put the next call of a load among the events."""
    gap = noise[client.gap_at + client.calls]
    client.time = next_due(client.time, math.inf, client.rate, gap)
    if client.time < client.end:
        key = key_of(ARRIVAL, client.index, client.calls)
        scheduled(rules.grid, world, aside, client.time, key, 0)


def arrived(rules: Rules, client: Any, call: Any, noise: Any) -> None:
    """A call of another client comes: nobody here waits for it."""
    call.slot = client.calls
    call.cost = noise[client.cost_at + client.calls] if rules.costed else 1.0


def left_later(
    rules: Rules, world: Any, client: Any, aside: Events, noise: Any, answer: Answer
) -> None:
    """It leaves when it is answered, and the next one comes."""
    if answer.inside:
        key = key_of(COMPLETION, client.index, client.calls)
        scheduled(rules.grid, world, aside, answer.at, key, INSIDE)
    client.calls += 1
    next_visit(rules, world, client, aside, noise)
