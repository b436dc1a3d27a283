"""Queues in closed form: loss, overload as a fluid, one server call by call."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence


def blocked(servers: int, load: float, places: int = 0) -> float:
    """The share of random arrivals that M/M/c/K turns away: all servers and places are taken.

    `load`: arrivals in a mean service time, in sum over all classes of callers; `places`: calls
    that may wait, K - c. Without places it is Erlang's loss formula, `(a^c / c!) / sum_k (a^k /
    k!)`, computed as `B_k = a B_(k-1) / (min(k, c) + a B_(k-1))` from `B_0 = 1`. A random arrival
    sees the state as it is over time (PASTA: Wolff 1982), so each class of random arrivals loses
    this same share. Source: Gross & Harris, Fundamentals of Queueing Theory, 2.4 and 2.5.

    >>> blocked(2, 1.0), round(blocked(1, 0.8, 4), 7)  # Erlang's 1/5; M/M/1/5
    (0.2, 0.0888195)
    """
    share = 1.0
    for k in range(1, servers + places + 1):
        share = load * share / (min(k, servers) + load * share)
    return share


def fluid_queue(times: Sequence[float], rates: Sequence[float], capacity: float, t: float) -> float:
    """The fluid limit of the queue before one server at time t, calls: the integral of `rate -
    capacity`, held at 0 from below.

    Arrivals come at a rate that is linear between the points (`times`, `rates`), the first at 0;
    two points at one time are a jump, and behind the last the rate stays. The queue of M(t)/M/1
    whose rates are n times as high, over n, tends to it: arrivals and services deviate from their
    means by `sqrt(n)` alone. Source: Newell, Applications of Queueing Theory (1982), ch. 2;
    Mandelbaum & Massey, Strong approximations for time-dependent queues (1995).

    >>> fluid_queue((0.0, 4.0, 12.0), (2.0, 2.0, 0.0), 1.0, 8.0)  # 4, and half of 4 more
    6.0
    """
    queue = 0.0
    points = [*zip(times, rates, strict=True), (math.inf, rates[-1])]
    for (begin, rate), (end, later) in itertools.pairwise(points):
        if not begin < min(end, t):
            continue
        slope, surplus = (later - rate) / (end - begin), rate - capacity
        moments = [begin, min(end, t)]
        # Where the surplus changes its sign the queue begins to grow or to fall.
        if slope != 0.0 and moments[0] < begin - surplus / slope < moments[1]:
            moments.insert(1, begin - surplus / slope)
        for one, other in itertools.pairwise(moments):
            middle = surplus + slope * ((one + other) / 2.0 - begin)
            queue = max(0.0, queue + middle * (other - one))
    return queue


def lindley(arrivals: Iterable[float], work: Iterable[float]) -> list[float]:
    """When each call leaves a server that takes them first come, first served, s: `D_k = max(A_k,
    D_(k-1)) + S_k`.

    Lindley's recursion for the wait, `W' = max(0, W + S - A)`, written with times of departure:
    each departure is one maximum and one sum, so that a simulation must equal it to the bit. It
    asks nothing of the arrivals (G/G/1). Source: Lindley, The theory of queues with a single server
    (1952).

    >>> lindley([0.0, 1.0, 5.0], [2.0, 2.0, 1.0])
    [2.0, 4.0, 6.0]
    """
    left, free = [], 0.0
    for arrival, service in zip(arrivals, work, strict=True):
        free = max(arrival, free) + service
        left.append(free)
    return left
