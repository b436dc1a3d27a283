"""Random scenarios and laws with numbers from all over their ranges, which are read from the
records.
"""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

from tpssim.core.errors import InputError
from tpssim.core.schedule import AUTO, BURST, Late
from tpssim.core.timer_models import IDEAL, TIMERS
from tpssim.core.validation import FLAG, Range, checked, ranges
from tpssim.scenarios.disturbances import Ramp, Sine, Spike, Stall, Step, Swap
from tpssim.scenarios.plant import Async, Backend, Blocking, Pool
from tpssim.scenarios.retries import Retry
from tpssim.scenarios.scenario import Producer, Scenario, checked_scenario
from tpssim.scenarios.service_times import (
    Autocorrelated,
    Constant,
    Exponential,
    Gamma,
    Lognormal,
    Pareto,
    Recorded,
    TwoPhase,
)

SHORTEST, LONGEST = 1e-3, 1e6  # s: a run
SLOWEST, FASTEST = 1e-6, 1e6  # 1/s
TINY = (5e-324, 1e-300, 1e-18, 1e-9)
WHOLE = {"calls", "retries"}  # units of which there are no parts
LOOKS = 10_000.0  # windows and steps of a law in a run
TICKS = ("round", "batch", "period")  # how long they are, s
VARIES = 1000.0  # s of a factor
BINS = 100.0  # of a law that goes through all of them with each call: simpy is to end, too

SERVICES = (
    Constant(0.02),
    Exponential(0.02),
    Lognormal(0.02, 1.0),
    Gamma(0.02, 1.0),
    TwoPhase(0.01, 0.1, 0.1),
    Pareto(0.02, 1.5),
    Autocorrelated(0.02, 1.0, 0.9),
)
FACTORS = (
    Step(0.0, 1.0, 8.0),
    Ramp(0.0, 1.0, 4.0),
    Spike(0.0, 1.0, 20.0),
    Sine(0.0, 1.0, 0.5, 0.7),
)
CONSUMERS = (Blocking(), Async(), Async(feedback="completion"), Pool(2.0))


def number(rng: random.Random, allowed: Range) -> float:
    """A number of a range: its edges, 0 where that is allowed besides, or any size in between."""
    if allowed.unit == FLAG:
        return float(rng.randrange(2))
    where = rng.random()
    if where < 0.15:
        return 0.0 if allowed.off else allowed.low if allowed.closed_low else rng.choice(TINY)
    if where < 0.3:
        return allowed.high if allowed.closed_high else math.nextafter(allowed.high, 0.0)
    low, high = max(allowed.low, 1e-9), min(allowed.high, 1e9)
    found = math.exp(rng.uniform(math.log(low), math.log(high)))
    if allowed.unit in WHOLE:
        found = float(math.floor(found))
    return min(max(found, low), high)


def record(rng: random.Random, template: Any, often: float) -> Any:
    """A record like the template, each of its numbers drawn with that probability; it keeps its own
    rules.
    """
    for _ in range(100):
        values = {f: number(rng, r) for f, r in ranges(template).items() if rng.random() < often}
        try:
            return checked(template._replace(**values), "drawn")
        except InputError:
            continue  # a rule between two of its numbers
    return template


def service(rng: random.Random, typical: float) -> Any:
    """A distribution of service times, its mean near a typical one or anywhere."""
    if rng.random() < 0.1:
        return Recorded(
            tuple(typical * rng.expovariate(1.0) for _ in range(rng.choice((1, 2, 50)))), "drawn"
        )
    drawn = record(rng, rng.choice(SERVICES), 0.5)
    if rng.random() < 0.6:
        means = {
            f: typical * rng.uniform(0.3, 3.0)
            for f in drawn._fields
            if f in ("mean", "fast", "slow")
        }
        drawn = drawn._replace(**means)
    return drawn


def stretch(rng: random.Random, duration: float) -> tuple[float, float]:
    """A start within a run, and an end, which may lie far behind it."""
    start = rng.choice((0.0, duration * rng.random()))
    end = rng.choice((duration, 2.0 * duration, LONGEST * 10.0, math.inf, start + 1e-6 * duration))
    return start, end if end > start else math.inf


def disturbance(rng: random.Random, duration: float, typical: float) -> Any:
    start, end = stretch(rng, duration)
    kind = rng.randrange(6)
    if kind == 0:
        return Stall(start, end)
    if kind == 1:
        return Swap(start, end, service(rng, typical))
    if min(end, duration) - start > VARIES:
        end = start + VARIES  # what is achievable is worked out second by second while it changes
    return record(rng, rng.choice(FACTORS), 0.7)._replace(start=start, end=end)


def counted(rng: random.Random, most: int) -> tuple[float, float]:
    """(target, duration) of a run of 0, 1, 2 or many slots, `most` of them about."""
    duration = math.exp(rng.uniform(math.log(SHORTEST), math.log(LONGEST)))
    slots = rng.choice((0.01, 0.5, 1.0, 1.5, 2.0, 3.0, 10.0, 100.0, float(most)))
    target = min(max(slots / duration, SLOWEST), FASTEST)
    if target * duration > most:  # as many as there may be at the slowest or fastest
        duration = most / target
    return target, duration


def scenario(rng: random.Random, most: int) -> Scenario:
    """A scenario with at most about so many slots; every field is drawn now and then."""
    for attempt in itertools.count():
        target, duration = counted(rng, most)
        typical = rng.choice((1.0 / target, duration / 10.0, duration / most, duration))

        def sometimes(template: Any, often: float = 0.25) -> Any:
            return record(rng, template, 0.5) if rng.random() < often else template

        start = rng.choice((0.0, 0.0, duration * rng.random(), math.nextafter(duration, 0.0)))
        many = rng.choice((1, 1, 1, 1, 2, 3))
        fields = ranges(Scenario)
        names = [f for f in ("spin_threshold", "tick", "grid") if rng.random() < 0.25]
        other: Any = {f: number(rng, fields[f]) for f in names}
        drawn = Scenario(
            f"drawn-{attempt}",
            service(rng, typical),
            target,
            duration,
            sometimes(rng.choice(CONSUMERS)),
            tuple(disturbance(rng, duration, typical) for _ in range(rng.choice((0, 0, 1, 3)))),
            rng.choice((IDEAL, IDEAL, *TIMERS.values(), record(rng, IDEAL, 0.4))),
            backend=sometimes(Backend(), 0.5),
            timeout=rng.choice(
                (math.inf, math.inf, math.inf, number(rng, fields["timeout"]), typical)
            ),
            retry=record(rng, Retry(), 0.5)._replace(attempts=2.0)
            if rng.random() < 0.1
            else Retry(),
            late=sometimes(BURST, 0.3)
            if rng.random() < 0.5
            else rng.choice((AUTO, Late(skip=1.0))),
            poisson=rng.choice((0.0, 0.0, 0.0, 1.0)),
            producers=(
                Producer(start, rng.choice((math.inf, 2.0 * duration))),
                *(Producer(),) * (many - 1),
            ),
            network=rng.choice((None, None, None, service(rng, typical))),
        )._replace(**other)
        try:
            return checked_scenario(drawn)
        except InputError:
            continue  # a rule between parts
    raise AssertionError


def law(rng: random.Random, template: Any, duration: float) -> Any:
    """A law with numbers from all over their ranges, whose own clock ticks so often in a run at
    most.
    """
    drawn = record(rng, template, 0.4)
    kept = {
        f: min(max(getattr(drawn, f), duration / LOOKS), 60.0) for f in TICKS if f in drawn._fields
    }
    if "bins" in drawn._fields:
        kept["bins"] = min(drawn.bins, BINS)
    return checked(drawn._replace(**kept), "drawn")
