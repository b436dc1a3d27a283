"""What stands behind a throttle: how calls are made, and what serves them.

Records and arithmetic; events and time are the model's business.
"""

from __future__ import annotations

import functools
import math
from typing import Annotated, Any, NamedTuple

from tpssim.core.errors import InputError
from tpssim.core.types import record
from tpssim.core.validation import Range, checked
from tpssim.scenarios.retries import Retry, power
from tpssim.scenarios.service_quotas import ServiceQuota


@record
class Blocking(NamedTuple):
    """One call at a time, on the producer's own thread: while it runs nothing is released.

    >>> import tpssim
    >>> tpssim.SCENARIOS["blocking-steady"].consumer
    Blocking()
    """


@record
class Async(NamedTuple):
    """The producer hands a call over in `handoff` seconds; any number may be in flight.

    `feedback` is what the law sees: "handoff" (the return of the hand-off, as the article's
    throttles do) or "completion" (the end of the work).

    >>> import tpssim
    >>> tpssim.SCENARIOS["healthy"]._replace(consumer=Async(feedback="completion")).consumer.handoff
    2e-05
    """

    handoff: Annotated[float, Range(0.0, 10.0, "s"), "how long it takes to hand a call over"] = (
        20e-6
    )
    feedback: Annotated[str, "what the law sees: handoff or completion"] = "handoff"


@record
class Pool(NamedTuple):
    """`workers` threads make blocking calls; at most `queue` released calls wait for one.

    A full queue holds the producer back.

    >>> Pool(workers=2.5).conflict()
    'workers=2.5 is no whole number; allowed: 1, 2, 3, ...'
    """

    workers: Annotated[float, Range(1.0, 1e6, "calls"), "threads that make calls"]
    queue: Annotated[
        float,
        Range(0.0, math.inf, "calls"),
        "released calls that may wait for a worker; beyond them the producer is held back",
    ] = math.inf

    def conflict(self) -> str:
        for name in ("workers", "queue"):
            value = getattr(self, name)
            if value < math.inf and value != int(value):
                return f"{name}={value:g} is no whole number; allowed: 1, 2, 3, ..."
        return ""


Consumer = Blocking | Async | Pool
#: Kinds of consumer, for compiled code.
BLOCKING, ASYNC, POOL = range(3)


def kind_of(consumer: Consumer) -> int:
    """`BLOCKING`, `ASYNC` or `POOL`.

    >>> kind_of(Blocking()), kind_of(Async()), kind_of(Pool(2.0))
    (0, 1, 2)
    """
    if isinstance(consumer, Blocking):
        return BLOCKING
    return ASYNC if isinstance(consumer, Async) else POOL


@record
class Backend(NamedTuple):
    """The serving side, shared by all producers.

    `servers` work first come, first served; `places` more calls may wait. Work takes the service
    time, plus `per_cost` for each unit of the call's cost, times `1 + slope (n - 1) +
    exponent^max(0, n - knee) - 1` with n calls in the backend, the new one included (the last two
    terms with a finite knee only). A call is rejected if n > `limit`, if more than `rate` calls,
    itself included, began in the last second, if n > `servers` + `places`, or if one of the
    `quotas` has no room for it: with an error after the plain service time, or (`silent` 1) by
    never answering. One that is over limit, rate or quota is in the backend, and counts in n, until
    its error is out; for want of a place, or in silence, a call never gets in. Quotas count what
    the other limits then reject. Work fails with probability `failure` when it is done.

    >>> backend_capacity(Backend(servers=8.0), 0.02, math.inf)
    400.0
    """

    servers: Annotated[float, Range(1.0, math.inf, "calls"), "calls that are worked on at once"] = (
        math.inf
    )
    places: Annotated[
        float, Range(0.0, math.inf, "calls"), "calls that may wait for a server; more are rejected"
    ] = math.inf
    slope: Annotated[
        float,
        Range(0.0, 1e3, "per call"),
        "how much longer work takes for each other call in the backend",
    ] = 0.0
    knee: Annotated[
        float, Range(1.0, math.inf, "calls"), "calls in the backend from which `exponent` acts"
    ] = math.inf
    exponent: Annotated[
        float,
        Range(1.0, 10.0, "x per call"),
        "factor on the service time for each call above `knee`",
    ] = 1.0
    failure: Annotated[
        float, Range(0.0, 1.0, "probability"), "probability that work fails when it is done"
    ] = 0.0
    limit: Annotated[
        float,
        Range(1.0, math.inf, "calls"),
        "calls in the backend above which new ones are rejected",
    ] = math.inf
    rate: Annotated[
        float,
        Range(1.0, math.inf, "1/s"),
        "calls begun in a second above which new ones are rejected",
    ] = math.inf
    silent: Annotated[
        float,
        Range(0.0, 1.0, "0 or 1"),
        "1: a rejected call is never answered, so it ends by `timeout`; 0: it gets an error",
    ] = 0.0
    quotas: tuple[ServiceQuota, ...] = ()  #: what it takes in a window, of all producers together
    per_cost: Annotated[
        float, Range(0.0, 1e6, "s"), "what each unit of a call's cost adds to its service time"
    ] = 0.0

    def conflict(self) -> str:
        for name in ("servers", "places", "limit", "silent"):
            value = getattr(self, name)
            if value < math.inf and value != int(value):
                allowed = "0, 1" if name == "silent" else "1, 2, 3, ..."
                return f"{name}={value:g} is no whole number; allowed: {allowed}"
        if self.failure == 1.0:
            return "failure=1: nothing would ever succeed; allowed: below 1"
        return ""


def slowdown(backend: Backend, n: float) -> float:
    """By what the service time is multiplied with n calls in the backend.

    >>> slowdown(Backend(knee=10.0, exponent=2.0), 12.0)
    4.0
    """
    factor = 1.0 + backend.slope * (n - 1.0)
    if backend.knee < math.inf:
        factor += power(backend.exponent, max(0.0, n - backend.knee)) - 1.0
    return factor


@functools.lru_cache(maxsize=256)
def _best_crowd(backend: Backend, callers: float) -> float:
    """The best of `min(n, servers) / slowdown(n)` over n <= callers: throughput in units of 1 /
    mean.
    """
    most = min(backend.limit, callers)

    def speed(n: float) -> float:
        return min(n, backend.servers) / slowdown(backend, n)

    if backend.knee == math.inf or backend.exponent == 1.0:
        # n / (1 + slope (n - 1)) rises up to the number of servers if slope < 1, else it falls from
        # n = 1.
        top = min(most, backend.servers)
        if top < math.inf:
            return max(speed(1.0), speed(top))
        return max(1.0, 1.0 / backend.slope) if backend.slope > 0.0 else math.inf
    # Behind the knee the speed rises to one peak, no later than n = 1 / ln(exponent), and falls.
    knee = math.floor(min(most, backend.knee))
    low, high = (
        knee,
        math.floor(min(most, max(backend.knee, 1.0 / math.log(backend.exponent)) + 2.0)),
    )
    while high - low > 2:
        third = (high - low) // 3
        if speed(float(low + third)) < speed(float(high - third)):
            low += third
        else:
            high -= third
    beside = [1.0, float(knee), min(most, backend.servers, float(knee))]
    return max(speed(n) for n in (*beside, *(float(n) for n in range(low, high + 1))))


def shares(backend: Backend) -> bool:
    """Whether what one client sends makes a difference to another one."""
    bounds = (backend.servers, backend.limit, backend.rate, backend.knee)
    return min(bounds) < math.inf or backend.slope > 0.0 or bool(backend.quotas)


def checked_backend(backend: Backend, owner: str) -> Backend:
    """The backend with its numbers and those of its quotas checked; raises `InputError`."""
    backend = checked(backend, owner)
    quotas = backend.quotas
    plain = isinstance(quotas, tuple) and not isinstance(quotas, ServiceQuota)
    for quota in quotas if plain else (quotas,):
        if not plain or not isinstance(quota, ServiceQuota):
            raise InputError(
                f"{owner}: quotas={quotas!r}; allowed: a tuple of ServiceQuota(amount, per)"
            )
    checked_quotas = tuple(checked(quota, f"{owner}: a quota of the backend") for quota in quotas)
    return backend._replace(quotas=checked_quotas) if quotas else backend


def quota_rate(quota: ServiceQuota, cost: float) -> float:
    """Calls per second of that mean cost that a quota lets through in the long run.

    >>> quota_rate(ServiceQuota(200e3, 60.0, of="cost"), 500.0)
    6.666666666666667
    """
    if quota.of == "calls":
        return quota.amount / quota.per
    return quota.amount / quota.per / cost if cost > 0.0 else math.inf


def backend_capacity(
    backend: Backend,
    mean: Any,
    callers: float = math.inf,
    cost: float = 1.0,
    least: Any = min,
) -> Any:
    """Answers per second that the backend can sustain at a mean service time and a mean cost; inf
    without limits.

    The best over n <= callers at once, n <= `limit`, of `min(n, servers) / (mean * slowdown(n))`,
    up to the rate limit and the quotas. It is what a throttle can get that sends no more: rejected
    calls take up the limit of others. `least`: of two, NumPy's `minimum` if `mean` is an array.

    >>> backend_capacity(Backend(servers=4.0), 0.01)
    400.0
    """
    best: float = _best_crowd(backend, callers)
    bounds = [backend.rate, *(quota_rate(quota, cost) for quota in backend.quotas)]
    return functools.reduce(least, bounds, best / mean)


def success(backend: Backend, retry: Retry) -> float:
    """The share of calls that succeed in the end: `1 - failure^(attempts + 1)`; less where that
    takes more retries than the budget has: `(1 - failure) (1 + budget)`.

    >>> success(Backend(failure=0.5), Retry(9)), success(Backend(failure=0.5), Retry(9, budget=0.1))
    (0.9990234375, 0.55)
    """
    lost: float = backend.failure ** (retry.attempts + 1.0)
    return min(1.0 - lost, (1.0 - backend.failure) * (1.0 + retry.budget))
