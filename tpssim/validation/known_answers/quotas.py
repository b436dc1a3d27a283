"""Quotas against a check of the whole log, by `theory.quotas`: never too much, nothing in vain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tpssim.core.pacer import Pacer
from tpssim.core.quotas import Quota
from tpssim.core.schedule import DELAY
from tpssim.core.types import REJECTED
from tpssim.scenarios.service_quotas import Meters, ServiceQuota
from tpssim.scenarios.service_times import Constant, Recorded, draws
from tpssim.theory import bucket_opens, fixed_use, rolling_use
from tpssim.validation.known_answers.common import (
    FIXED,
    Case,
    Found,
    found_in_parts,
    open_queue,
    simulated,
)
from tpssim.validation.vector_cases import Statistic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: Half of 10^6 each, of the pacer's and of the service's.
SLOTS = 500_000
CALLS = 20_000  # of either in the model
#: Whole numbers, so that no sum of them is rounded.
COSTS = (3.0, 1.0, 40.0, 7.0, 12.0, 1.0, 90.0, 5.0, 2.0, 25.0, 60.0)
MEAN = sum(COSTS) / len(COSTS)  # a target counts cost per second
#: Of 100 random calls a second each of them has to reject some.
SERVICE = (
    ServiceQuota(105.0, 1.0),
    ServiceQuota(230.0, 2.0, counts_refused=1.0),
    ServiceQuota(9_600.0, 5.0, of="cost"),
    ServiceQuota(1_250.0, 0.5, of="cost", window="fixed"),
)
#: Of the pacer in the model.
MODEL = (
    Quota(70.0, 1.0, margin=0.0),
    Quota(3_000.0, 2.0, of="cost", margin=0.0),
    Quota(780.0, 0.5, of="cost", window="fixed", margin=0.0),
)
#: 64 in any 2 s, 16 at once, 32 more a second: with powers of 2 no time is rounded.
PACER, RATE = Quota(64.0, 1.0, burst=16.0, margin=1.0), 128.0


def _wrong(
    quotas: tuple[ServiceQuota, ...], times: Array, costs: Array, accepted: NDArray[np.bool_]
) -> float:
    """How many calls were accepted without room or rejected with room in all windows."""
    room = np.full(len(times), True)
    for quota in quotas:
        takes = costs if quota.of == "cost" else np.ones(len(costs))
        counted = np.where(accepted | (quota.counts_refused > 0.0), takes, 0.0)
        use = rolling_use if quota.window == "rolling" else fixed_use
        room &= use(times, counted, quota.per) + takes <= quota.amount
    return float((room != accepted).sum())


def service(seed: int) -> tuple[list[Statistic], int]:
    """Quotas of a service in the model, and one window alone."""
    model = open_queue(Constant(0.01), 100.0 * MEAN, CALLS, servers=np.inf, quotas=SERVICE)
    model = model._replace(cost=Recorded(COSTS, "cost"), duration=CALLS / 100.0)
    (trace,) = simulated(model, FIXED, seed, 1)
    accepted = trace.outcome != REJECTED
    # The window alone, which costs less than the model.
    times = np.cumsum(draws("exponential", SLOTS, seed, 0)) / 100.0
    take = Meters(SERVICE[:1]).take
    took = np.array([take(now, 1.0) < 0.0 for now in times.tolist()])
    parts = [
        Statistic(
            "wrong in the model", _wrong(SERVICE, trace.released, trace.cost, accepted), 0.0, 0.0
        ),
        Statistic("share rejected", float(1.0 - accepted.mean()), 0.1, 0.4),
        Statistic("wrong of a window", _wrong(SERVICE[:1], times, np.ones(SLOTS), took), 0.0, 0.0),
        # Both happen, or nothing would be checked.
        Statistic("share rejected by it", float(1.0 - took.mean()), 0.03, 0.1),
    ]
    return parts, len(trace.released) + SLOTS


def _releases(asked_after: list[float]) -> list[float]:
    """The releases of a caller who asks again so long after each release."""
    pacer = Pacer(FIXED, RATE, 0.0, [0.5], [0.5], late=DELAY, quotas=[PACER])
    now, times = 0.0, []
    for pause in asked_after:
        now = max(now, pacer.due())
        pacer.release(now)
        times.append(now)
        now += pause
    return times


def _pacer(seed: int) -> tuple[list[Statistic], int]:
    # Pauses of 1/64 s on average, in steps of 1/1024, and 3 s after every hundredth or so.
    steps = np.floor(16.0 * draws("exponential", SLOTS, seed, 0))
    rests = np.where(draws("uniform", SLOTS, seed, 0) < 0.01, 3.0, 0.0)
    pauses = steps / 1024.0 + rests
    times, one = np.array(_releases(pauses.tolist())), np.ones(SLOTS)
    per = PACER.per * (1.0 + PACER.margin)
    bucket = bucket_opens(times, one, PACER.amount / per, PACER.burst)
    over = rolling_use(times, one, per) + one > PACER.amount
    # Late by no quota: the caller asked then, or the slot was due one interval after the last.
    ready = np.maximum(times[:-1] + pauses[:-1], times[:-1] + 1.0 / RATE)
    by_bucket = bucket[1:] == times[1:]
    by_window = (rolling_use(times, one, per, at_once=True) + one > PACER.amount)[1:]
    waits = times[1:] > ready
    parts = [
        Statistic("calls above the window", float(over.sum()), 0.0, 0.0),
        Statistic("calls above the bucket", float((bucket > times).sum()), 0.0, 0.0),
        Statistic("waits in vain", float((waits & ~by_bucket & ~by_window).sum()), 0.0, 0.0),
        Statistic("share that waits for the bucket", float((waits & by_bucket).mean()), 0.1, 0.9),
        Statistic("share that waits for the window", float((waits & by_window).mean()), 0.1, 0.9),
    ]
    return parts, SLOTS


def pacer_in_the_model(seed: int) -> tuple[list[Statistic], int]:
    """Quotas that a pacer knows, in the model."""
    # Slots of 2048 in cost per second, more than each of the quotas: all that is late is held back.
    plant = open_queue(Constant(0.01), 2048.0, CALLS, poisson=0.0, servers=np.inf)
    plant = plant._replace(cost=Recorded(COSTS, "cost"), quotas=MODEL, duration=CALLS / 70.0)
    (trace,) = simulated(plant, FIXED, seed, 1)
    times, costs = trace.released, trace.cost
    waits = np.concatenate(([False], times[1:] > np.maximum(trace.scheduled[1:], times[:-1])))
    over, in_vain, each = 0, waits.copy(), []
    for quota in MODEL:
        takes = costs if quota.of == "cost" else np.ones(len(times))
        use = rolling_use if quota.window == "rolling" else fixed_use
        over += int((use(times, takes, quota.per) + takes > quota.amount).sum())
        full = use(times, takes, quota.per, at_once=True) + takes > quota.amount
        each.append(int((waits & full).sum()))
        in_vain &= ~full
    parts = [
        Statistic("calls above a quota in the model", float(over), 0.0, 0.0),
        Statistic("waits in vain in the model", float(in_vain.sum()), 0.0, 0.0),
        Statistic("waits for the least busy quota", float(min(each)), 100.0, CALLS),
    ]
    return parts, len(times)


def _quotas(seed: int) -> Found:
    checks = [check(seed) for check in (_pacer, pacer_in_the_model, service)]
    parts = [part for found, _ in checks for part in found]
    return found_in_parts(parts, sum(calls for _, calls in checks))


CASES: dict[str, Case] = {
    "quotas": Case(
        "token bucket, rolling and fixed windows, of the pacer and of the service: 10^6 slots",
        _quotas,
    ),
}
