"""Vector's scenarios for its adaptive concurrency: parameters, and the range of each statistic of a
run.

Origin: vectordotdev/vector c3445d4, `tests/data/adaptive-concurrency`, and for the last one
`sinks/util/adaptive_concurrency/tests.rs` (MPL-2.0).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from tpssim.core.types import record
from tpssim.scenarios.plant import Backend
from tpssim.scenarios.retries import Retry

FIBONACCI = Retry(1000.0, 1.0, 0.0, 30.0)
Bounds = tuple[float, float]


@record
class VectorCase(NamedTuple):
    """A scenario of theirs: parameters, and the range of each statistic."""

    about: str
    requests: int
    delay: float  #: s
    ranges: dict[str, Bounds]
    interval: float = 0.0  #: between requests, s; 0: all at once
    backend: Backend = Backend()
    retry: Retry = FIBONACCI
    pinned: float = math.nan  #: the limit, if it is fixed
    #: attempts of these numbers, from 0, fail for good (not the second)
    failures: tuple[int, int] = (
        0,
        0,
    )
    jitter: float = 0.0  #: mean of an exponential share of the delay, added to it
    timeout: float = math.inf  #: of an attempt, s


def _both(one: str, other: str, **ranges: Bounds) -> dict[str, Bounds]:
    return {f"{what} {which}": bounds for what in (one, other) for which, bounds in ranges.items()}


TENTH: Bounds = (0.100, 0.102)
VECTOR_CASES = {
    "constant-link": VectorCase(
        "500 requests at once, 0.1 s each",
        500,
        0.1,
        _both("s", "c", max=(30, 31), mean=(15, 16))
        | {"limit max": (22, 32), "limit mean": (16, 18)}
        | _both("rtt", "avg", min=TENTH, max=TENTH, mean=TENTH),
    ),
    "medium-send": VectorCase(
        "40 requests a second, 0.1 s each",
        500,
        0.1,
        _both("s", "c", max=(8, 8), mode=(4, 5), mean=(4.0, 4.5))
        | {"limit max": (9, 9)}
        | _both("rtt", "avg", min=TENTH, max=TENTH),
        interval=0.025,
    ),
    "slow-send-1": VectorCase(
        "10 requests a second, 0.05 s each",
        100,
        0.05,
        _both("s", "c", max=(1, 1), mode=(1, 1), mean=(0.5, 0.55))
        | {"limit mode": (1, 2), "limit mean": (1, 2)}
        | _both("rtt", "avg", min=(0.050, 0.052), mean=(0.050, 0.052)),
        interval=0.1,
    ),
    "shallow-knee": VectorCase(
        "1000 requests at once; beyond 10 in flight each makes it 1.1 times slower",
        1000,
        0.1,
        _both("s", "c", max=(12, 12), mean=(9, 11), mode=(9, 12))
        | {"rate max": (103, 108), "rate mean": (87, 89)}
        | {"limit max": (12, 12), "limit mean": (10, 12), "limit mode": (9, 12)}
        | _both("rtt", "avg", min=TENTH, max=(0.100, 0.123), mean=(0.106, 0.120)),
        backend=Backend(knee=10.0, exponent=1.1),
    ),
    "fixed-simple": VectorCase(
        "500 requests at once through 10 permits",
        500,
        0.1,
        _both("s", "c", max=(10, 10), mode=(10, 10), mean=(8, 10))
        | {"rate max": (90, 90), "rate mean": (80, 85)}
        | {"limit min": (10, 10), "limit max": (10, 10), "limit mode": (10, 10)},
        pinned=10.0,
    ),
    "defers-at-high-concurrency": VectorCase(
        "500 requests at once; with more than 5 in flight an error, tried again after 1, 2, 3, 5,"
        " ... s",
        500,
        0.1,
        {"s max": (5, 18), "s mode": (0, 6), "s mean": (2.2, 5)}
        | {"rate max": (52, 63), "rate mean": (20, 44)}
        | {"c max": (5, 41), "c mode": (4, 29), "c mean": (3.5, 26)}
        | {"limit max": (6, 41), "limit mode": (2, 29), "limit mean": (4, 29)}
        | {"rtt min": TENTH, "rtt max": (0.0, 19.7), "rtt mean": (0.0, 5.7)}
        | {"avg min": TENTH, "avg max": (0.0, 9.0), "avg mean": (0.0, 3.2)},
        backend=Backend(limit=5.0),
    ),
    "slow-send-2": VectorCase(
        "20 requests a second, 0.05 s each",
        100,
        0.05,
        {"s max": (1, 2), "s mode": (1, 1), "s mean": (1.0, 1.2)}
        | {"c max": (2, 3), "c mode": (1, 1), "c mean": (1.0, 2.0)}
        | {"limit mode": (2, 3), "limit mean": (2.0, 2.5)}
        | _both("rtt", "avg", min=(0.050, 0.052), mean=(0.050, 0.052)),
        interval=0.05,
    ),
    "slow-link": VectorCase(
        "200 requests at once; n in flight take n times as long",
        200,
        0.1,
        _both("s", "c", max=(2, 7), mode=(2, 5), mean=(1.5, 5.0))
        | {"limit mode": (2, 5), "limit mean": (1.7, 5.0)}
        | _both("rtt", "avg", min=TENTH, mean=(0.100, 0.450)),
        backend=Backend(slope=1.0),
    ),
    "jittery-link-small": VectorCase(
        "1000 requests at once, 0.1 s and 0.01 s exponential each",
        1000,
        0.1,
        _both("s", "c", max=(20, 40), mean=(8, 20))
        | {"rate max": (165, 350), "rate mean": (70, 150)}
        | {"limit max": (20, 40), "limit mean": (9, 20)}
        | _both("rtt", "avg", mean=(0.100, 0.130)),
        jitter=0.1,
    ),
    "fixed-jitter": VectorCase(
        "500 requests at once through 10 permits, 0.1 s and 0.05 s exponential each",
        500,
        0.1,
        _both("s", "c", max=(10, 10), mode=(10, 10), mean=(8, 10))
        | {"rate max": (65, 84), "rate mean": (55, 66)}
        | {"limit min": (10, 10), "limit max": (10, 10), "limit mode": (10, 10)},
        pinned=10.0,
        jitter=0.5,
    ),
    "defers-at-high-rate": VectorCase(
        "1000 requests at once; beyond 100 attempts in a second an error, tried again",
        1000,
        0.1,
        {"s max": (16, 24), "s mean": (6, 9), "rate max": (90, 123), "rate mean": (31, 75)}
        | {"c max": (16, 24), "c mean": (8, 19), "limit max": (16, 24), "limit mean": (8, 18.5)}
        | {"rtt min": TENTH, "rtt max": (0.100, 1.203), "rtt mean": (0.100, 0.85)}
        | {"avg min": TENTH, "avg max": (0.100, 1.203), "avg mean": (0.100, 0.30)},
        backend=Backend(rate=100.0),
    ),
    "drops-at-high-concurrency": VectorCase(
        "500 requests at once; with more than 5 in flight no answer, tried again after a timeout"
        " of 1 s",
        500,
        0.1,
        {
            "s max": (4, 5),
            "s mean": (3, 4),
            "s mode": (3, 5),
            "rate max": (55, 90),
            "rate mean": (31, 54),
        }
        | {"c max": (13, 85), "c mean": (7, 41), "c mode": (1, 11)}
        | {"limit max": (10, 86), "limit mean": (7, 52), "limit mode": (4, 77)}
        | {"rtt min": TENTH, "rtt max": (0.100, 11.2), "rtt mean": (0.100, 2.4)}
        | {"avg min": TENTH, "avg max": (0.100, 7.0), "avg mean": (0.100, 2.0)},
        backend=Backend(limit=5.0, silent=1.0),
        timeout=1.001,  # on the tick, as every wait
    ),
    # The limiter within the retries, as the case asks for: each attempt is a call. Around them, as
    # in the other cases, the round trip of the request that fails five times would hold 19 s of
    # waiting.
    "retried-request-rtt": VectorCase(
        "20 requests, one at a time; after 2 attempts 5 fail: a failure is no round trip",
        20,
        0.1,
        {"rtt min": TENTH, "rtt max": (0.100, 0.300)},
        retry=Retry(),
        backend=Backend(failure=0.5),
        pinned=1.0,
        failures=(2, 7),
    ),
}
