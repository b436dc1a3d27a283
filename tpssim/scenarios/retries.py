"""How a caller tries again: waits between attempts, their jitter, the budget that pays for them.

Arithmetic for both engines, and for `run` and `arun`.
"""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from tpssim.core.types import record
from tpssim.core.validation import Range

MOST = 345.0  # powers stop growing at e^345, far from where a float ends


@record
class Retry(NamedTuple):
    """How often a caller tries again after a failure, and how long it waits before.

    Wait n: `base` times 1, 2, 3, 5, 8, ... (`growth` 0: Fibonacci) or `base * growth^(n - 1)`; at
    most `cap`. `jitter` "full" draws it evenly between 0 and that; "decorrelated" between `base`
    and three times the last wait (`base` at first), at most `cap`, without `growth`. Both are of
    AWS, "Exponential Backoff and Jitter" (2015). Where the service asks for more (Retry-After),
    the caller waits for that, and that is the last wait then.

    With a finite `budget` a producer has a bucket of 10 tokens, full at first: each call adds
    `budget` when its first attempt begins, each retry takes one, and without a token nothing is
    tried again. So all retries are at most `10 + budget * calls`: the deposits of Finagle's
    RetryBudget, the bucket of gRPC's retry throttling (proposal A6).

    >>> [round(retry_wait(Retry(attempts=3, base=0.1, growth=2.0), n), 3) for n in (1, 2, 3)]
    [0.1, 0.2, 0.4]
    """

    attempts: Annotated[
        float, Range(0.0, 1000.0, "retries"), "how often a caller tries again after a failure"
    ] = 0.0
    base: Annotated[float, Range(0.0, 1e4, "s"), "wait before the first retry"] = 1.0
    growth: Annotated[
        float, Range(0.0, 100.0, "x; 0: Fibonacci"), "factor from one wait to the next"
    ] = 0.0
    cap: Annotated[float, Range(0.0, 1e6, "s"), "longest wait before a retry"] = 30.0
    jitter: Annotated[str, "how the wait is drawn: none, full or decorrelated"] = "none"
    budget: Annotated[
        float,
        Range(0.0, math.inf, "retries per call"),
        "retries that each call pays for; inf: any number",
    ] = math.inf

    def conflict(self) -> str:
        if self.jitter not in JITTERS:
            return f"jitter={self.jitter!r}; allowed: {', '.join(JITTERS)}"
        return ""


#: How a wait is drawn; in compiled code by number.
JITTERS = ("none", "full", "decorrelated")
PLAIN, FULL, DECORRELATED = range(3)
#: Tokens of a retry budget, at the start and at most.
RESERVE = 10.0


def power(base: float, exponent: float) -> float:
    """`base^exponent` for a base of 1 or more, finite however large both are."""
    if exponent * math.log(base) > MOST:
        return math.exp(MOST)
    power: float = base**exponent
    return power


def retry_wait(retry: Retry, n: int) -> float:
    """How long the caller waits before retry n = 1, 2, ..., s.

    >>> [retry_wait(Retry(9, 1.0, 0.0, 30.0), n) for n in range(1, 9)]
    [1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 30.0]
    """
    if retry.growth > 0.0:
        return min(retry.base * power(retry.growth, n - 1.0), retry.cap)
    one, other = 1.0, 2.0
    for _ in range(n - 1):
        one, other = other, one + other
    return min(retry.base * one, retry.cap)


def drawn_wait(retry: Retry, n: int, u: float, last: float, asked: float = 0.0) -> float:
    """How long the caller waits before retry n by a uniform draw; `last`: the wait before, `asked`:
    what the service asks for, s.

    >>> drawn_wait(Retry(9, 1.0, 2.0, jitter="full"), 3, 0.25, 0.0)  # of 4 s
    1.0
    >>> drawn_wait(Retry(9, 1.0, jitter="decorrelated"), 2, 0.25, 3.0)  # between 1 and 9 s
    3.0
    >>> drawn_wait(Retry(9, 1.0, jitter="decorrelated"), 2, 0.25, 3.0, 7.0)
    7.0
    """
    kind, wait = JITTERS.index(retry.jitter), retry_wait(retry, n)
    return next_wait(kind, retry.base, retry.cap, wait, u, last, asked)


def next_wait(
    kind: int, base: float, cap: float, wait: float, u: float, last: float, asked: float
) -> float:
    """The same of a plain wait, s: the service may have asked for more than `cap` before."""
    return max(jittered(kind, base, cap, wait, u, min(last, cap)), asked)


def jittered(kind: int, base: float, cap: float, wait: float, u: float, last: float) -> float:
    """The wait that a draw makes of a plain one, s; `last`: the wait before (0 at first)."""
    if kind == FULL:
        return u * wait
    if kind == DECORRELATED:
        low = min(base, cap)
        return min(cap, low + u * (3.0 * max(last, low) - low))
    return wait


def deposited(tokens: float, budget: float) -> float:
    """The tokens of a retry budget after another call."""
    return min(tokens + budget, RESERVE)


def affordable(tokens: float) -> bool:
    """Whether there is a token for a retry, but for the last bits of a sum.

    >>> affordable(sum([0.1] * 10)), affordable(0.9)
    (True, False)
    """
    return tokens > 1.0 - 1e-9
