"""Parts of the general loop: what `Observing` and `ControlPlane` do, so what a law observes.

A call, a window of calls, or what a control plane has summed up and passes on late.
"""

from __future__ import annotations

import math
from typing import Any

from tpssim.core.schedule import on_grid
from tpssim.core.types import REFUSED, Observation, drop_of, error_of
from tpssim.core.window import Sensor, Window, collected, opened, summed_up, window_end
from tpssim.simulation.compiled.events import key_of, scheduled
from tpssim.simulation.compiled.heap import Events
from tpssim.simulation.compiled.kernel import Log
from tpssim.simulation.compiled.laws import law_step
from tpssim.simulation.compiled.pacing import target_now
from tpssim.simulation.compiled.world import More, Rules
from tpssim.simulation.event_kinds import WINDOW

#: Of one producer at equal times, as in `late_feedback`: the end of a period of its control plane,
#: what reaches its law, its own window.
PERIOD, REACHED, OWN = range(3)


def wanted(rules: Rules, producer: Any, now: float, more: More | None) -> float:
    """The target that the law is to see, calls per second: of now, or where nothing is wanted, as
    it saw it last.
    """
    if more is not None and producer.varies != 0:
        producer.target = target_now(rules, producer, more.paths, now)
    target = producer.target
    return float(target / rules.unit if target > 0.0 else producer.seen_target)


def observed(
    producer: Any, log: Log, row: int, outcome: int, now: float, target: float, u: float
) -> Observation:
    """What is seen of a call: its outcome is `OK` for a hand-over, `REFUSED` locally."""
    count = 0.0 if outcome == REFUSED else 1.0
    begun = now if outcome == REFUSED else log.released[row]
    return Observation(
        now=now - producer.start,
        target=target,
        latency=log.latency[row],
        lag=begun - log.scheduled[row],
        count=count,
        errors=error_of(outcome),
        in_flight=log.in_flight[row],
        drops=drop_of(outcome),
        refusals=1.0 - count,
        peak=float(producer.peak),
        u=u,
    )


def step(producer: Any, obs: Observation) -> None:
    """The law observes."""
    producer.rate, producer.limit, producer.reject = law_step(
        producer.update,
        producer.law,
        producer.state,
        producer.memory,
        producer.memory_size,
        obs,
    )
    producer.seen_target = obs.target


def sensor(producer: Any) -> Sensor:
    """The window that a producer's law wants."""
    return Sensor(
        period=producer.period,
        longest=producer.longest,
        rtts=producer.rtts,
        least=producer.least,
        discard=producer.discard,
        quantile=producer.quantile,
    )


def window(at: Any) -> Window:
    """The window of a producer, or of its control plane, as it is."""
    return Window(
        start=at.opened,
        calls=at.calls,
        errors=at.errors,
        drops=at.drops,
        timed=at.timed,
        total=at.total,
        least=at.least_latency,
        lag=at.lag,
        in_flight=at.in_flight,
        peak=at.peak_of_window,
    )


def keep(at: Any, window: Window) -> None:
    """The window as it is from now on."""
    at.opened = window.start
    at.calls = window.calls
    at.errors = window.errors
    at.drops = window.drops
    at.timed = window.timed
    at.total = window.total
    at.least_latency = window.least
    at.lag = window.lag
    at.in_flight = window.in_flight
    at.peak_of_window = window.peak


def window_closes(rules: Rules, producer: Any) -> float:
    """When the window ends, on the grid."""
    return on_grid(window_end(sensor(producer), window(producer)), rules.grid)


def look(rules: Rules, world: Any, producer: Any) -> bool:
    """Look at the window when it may end; whether the law is to observe it."""
    now = world.now
    producer.look_at = math.nan  # when it ends
    if now < window_closes(rules, producer):
        return False  # it began again, or waits for more round trips
    if producer.calls >= producer.least:
        return True
    if producer.discard > 0.0:
        keep(producer, opened(now))
    else:
        producer.look_at = now + producer.period
    return False


def watch(rules: Rules, world: Any, producer: Any, aside: Events) -> None:
    """Put the next look at the window among the events."""
    if math.isnan(producer.look_at):
        producer.look_at = max(window_closes(rules, producer), world.now)
    at = on_grid(producer.look_at, rules.grid)
    if not at > world.now:
        world.unsound, world.number = 1, world.rows
    scheduled(rules.grid, world, aside, at, key_of(WINDOW, producer.index, OWN), 0)


def begin_period(plane: Any, now: float) -> None:
    """Sum up anew."""
    keep(plane, opened(now))
    plane.refusals = plane.refused_lag = plane.refused_in_flight = 0.0


def noticed(producer: Any, plane: Any, latencies: Any, obs: Observation) -> None:
    """The control plane of a producer notices a call."""
    if obs.count > 0.0:
        keep(plane, collected(window(plane), obs, latencies))
        producer.peak = producer.flying
    else:
        plane.refusals += 1.0
        plane.refused_lag += obs.lag
        plane.refused_in_flight = max(plane.refused_in_flight, obs.in_flight)


def has_news(plane: Any) -> bool:
    """Whether there is anything to pass on."""
    return bool(plane.calls > 0.0 or plane.refusals > 0.0)


def summary(rules: Rules, plane: Any, latencies: Any) -> Observation:
    """What was summed up, of which there is something."""
    if plane.calls > 0.0:
        every = Sensor(
            period=rules.period, longest=0.0, rtts=0.0, least=1.0, discard=0.0, quantile=0.0
        )
        found = summed_up(every, window(plane), latencies, 0.0, 0.0, 0.5)
        return Observation(
            now=0.0,
            target=0.0,
            latency=found.latency,
            lag=found.lag,
            count=found.count,
            errors=found.errors,
            in_flight=found.in_flight,
            drops=found.drops,
            refusals=plane.refusals,
            peak=found.peak,
            u=0.5,
        )
    return Observation(
        now=0.0,
        target=0.0,
        latency=math.nan,
        lag=plane.refused_lag / plane.refusals,
        count=0.0,
        errors=0.0,
        in_flight=plane.refused_in_flight,
        drops=0.0,
        refusals=plane.refusals,
        peak=0.0,
        u=0.5,
    )


def send(plane: Any, news: Any, number: int, found: Observation) -> None:
    """Put a summary behind those that are on their way: they arrive in this order."""
    one = news[number]
    one.latency, one.lag, one.count, one.errors = (
        found.latency,
        found.lag,
        found.count,
        found.errors,
    )
    one.in_flight, one.drops, one.refusals = found.in_flight, found.drops, found.refusals
    one.peak, one.next = found.peak, -1
    if plane.first >= 0:
        news[plane.last].next = number
    else:
        plane.first = number
    plane.last = number


def reported(producer: Any, one: Any, now: float, target: float, u: float) -> Observation:
    """What the law observes late: time and target are of now, the rest is as it was then."""
    return Observation(
        now=now - producer.start,
        target=target,
        latency=one.latency,
        lag=one.lag,
        count=one.count,
        errors=one.errors,
        in_flight=one.in_flight,
        drops=one.drops,
        refusals=one.refusals,
        peak=float(int(one.peak)),
        u=u,
    )
