"""A t-digest in a law's memory: quantiles of a stream from a few hundred centroids.

As influxdata/tdigest has it (Apache-2.0), merging after Dunning and Ertl, Computing Extremely
Accurate Quantiles Using t-Digests (2019), with the scale function `asin`.
"""

from __future__ import annotations

import math
from array import array

COMPRESSION = 100.0
# values that wait to be merged; centroids, of which there are 201 at most
WAITING, MERGED = (
    800,
    256,
)
#: Places from `base` on: numbers of both kinds, least and largest centroid so far, then means and
#: weights.
WAIT, KEPT, LEAST, MOST, VALUES = 0, 1, 2, 3, 4
ROOM = WAITING + 1 + MERGED
SIZE = VALUES + 2 * ROOM + 2 * MERGED


def forgotten(memory: array[float], base: int) -> None:
    """An empty digest."""
    memory[base + WAIT] = memory[base + KEPT] = 0.0
    memory[base + LEAST], memory[base + MOST] = math.inf, -math.inf


def noted(memory: array[float], base: int, value: float) -> None:
    """The digest with one more value."""
    at = base + VALUES + int(memory[base + WAIT])
    memory[at], memory[at + ROOM] = value, 1.0
    memory[base + WAIT] += 1.0
    if memory[base + WAIT] > WAITING:
        merge(memory, base)


def merge(memory: array[float], base: int) -> None:
    """Merge what waits: neighbours share a centroid while it spans at most one unit of the
    scale.
    """
    waiting, kept = int(memory[base + WAIT]), int(memory[base + KEPT])
    if waiting == 0:
        return
    values = base + VALUES
    means = values + 2 * ROOM
    for k in range(kept):
        memory[values + waiting + k] = memory[means + k]
        memory[values + ROOM + waiting + k] = memory[means + MERGED + k]
    n = waiting + kept
    in_order(memory, values, n)
    total = 0.0
    for k in range(n):
        total += memory[values + ROOM + k]
    so_far = memory[values + ROOM]
    memory[means], memory[means + MERGED] = memory[values], so_far
    last = means
    bound = total * share(1.0)
    for k in range(1, n):
        mean, weight = memory[values + k], memory[values + ROOM + k]
        if so_far + weight <= bound:
            memory[last + MERGED] += weight
            memory[last] += weight * (mean - memory[last]) / memory[last + MERGED]
        else:
            bound = total * share(unit(so_far / total) + 1.0)
            last += 1
            memory[last], memory[last + MERGED] = mean, weight
        so_far += weight
    memory[base + WAIT], memory[base + KEPT] = 0.0, last - means + 1.0
    memory[base + LEAST] = min(memory[base + LEAST], memory[means])
    memory[base + MOST] = max(memory[base + MOST], memory[last])


def share(k: float) -> float:
    """The share of the weight that lies below unit k of the scale.

    >>> share(0.0), round(share(50.0), 12), share(200.0)
    (0.0, 0.5, 1.0)
    """
    return (math.sin(min(k, COMPRESSION) * math.pi / COMPRESSION - math.pi / 2.0) + 1.0) / 2.0


def unit(q: float) -> float:
    """The inverse of `share`.

    >>> unit(0.0), unit(0.5), unit(1.0)
    (0.0, 50.0, 100.0)
    """
    return COMPRESSION * (math.asin(2.0 * q - 1.0) + math.pi / 2.0) / math.pi


def digest_quantile(memory: array[float], base: int, q: float) -> float:
    """The quantile, interpolated between the middles of the two centroids around it; nan of
    nothing.

    >>> memory = array("d", [0.0]) * SIZE
    >>> forgotten(memory, 0)
    >>> for value in (30.0, 10.0, 20.0, 40.0):
    ...     noted(memory, 0, value)
    >>> [digest_quantile(memory, 0, q) for q in (0.1, 0.5, 0.75, 0.99)]
    [10.0, 25.0, 35.0, 40.0]
    """
    merge(memory, base)
    n = int(memory[base + KEPT])
    if n == 0:
        return math.nan
    means = base + VALUES + 2 * ROOM
    total = 0.0
    for k in range(n):
        total += memory[means + MERGED + k]
    wanted = q * total
    least, most = memory[base + LEAST], memory[base + MOST]
    half = memory[means + MERGED] / 2.0
    if n == 1:
        return memory[means]
    if wanted <= half:
        return least + wanted / half * (memory[means] - least)
    middle = half
    for k in range(1, n):
        before = middle
        middle += (memory[means + MERGED + k - 1] + memory[means + MERGED + k]) / 2.0
        if middle >= wanted:
            return between(
                memory[means + k - 1], middle - wanted, memory[means + k], wanted - before
            )
    half = memory[means + MERGED + n - 1] / 2.0
    beyond = wanted - total - half
    return between(memory[means + n - 1], beyond, most, half - beyond)


def between(low: float, weight_low: float, high: float, weight_high: float) -> float:
    """The weighted mean of two values, not outside of them."""
    mean = (low * weight_low + high * weight_high) / (weight_low + weight_high)
    return max(low, min(mean, high))


def in_order(memory: array[float], values: int, n: int) -> None:
    """Sort n values, with their weights, in place (heapsort: never slow, no recursion)."""
    start, end = n // 2, n
    while end > 1:
        if start > 0:
            start -= 1
        else:
            end -= 1
            exchanged(memory, values, values + end)
        root = start
        while 2 * root + 1 < end:
            child = 2 * root + 1
            if child + 1 < end and memory[values + child] < memory[values + child + 1]:
                child += 1
            if memory[values + root] >= memory[values + child]:
                break
            exchanged(memory, values + root, values + child)
            root = child


def exchanged(memory: array[float], i: int, j: int) -> None:
    """Two values change places, with their weights."""
    memory[i], memory[j] = memory[j], memory[i]
    memory[i + ROOM], memory[j + ROOM] = memory[j + ROOM], memory[i + ROOM]
