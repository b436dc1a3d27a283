"""The best bin of a window: most completions in one, and the least mean latency of one.

The memory is a ring of three rows: completions, their latencies in whole ms, and how many of these.
"""

from __future__ import annotations

import math
from array import array

from tpssim.controllers._nanoseconds import nanoseconds
from tpssim.controllers.sre_throttling import bin_of, turned
from tpssim.core.types import ceiled, floored

ROWS = 3
MS = 1e6  # ns


def added(
    memory: array[float],
    bins: int,
    window: float,
    head: float,
    now: float,
    n: float,
    latency: float,
) -> float:
    """The newest bin, once n completions of that latency (s; nan if unknown) have ended at
    `now`.

    >>> memory = array("d", [0.0]) * 6
    >>> added(memory, 2, 0.2, 0.0, 0.1, 2.0, 0.0101), memory.tolist()
    (1.0, [0.0, 2.0, 0.0, 22.0, 0.0, 2.0])
    """
    at = bin_of(now, window, bins)
    head = turned(memory, bins, ROWS, head, at)
    if head - at < bins:
        place = int(at) % bins
        memory[place] += n
        if not math.isnan(latency):
            ms = ceiled(nanoseconds(latency) / MS)
            if ms > 0.0:
                memory[bins + place] += n * ms
                memory[2 * bins + place] += n
    return head


def most_in_a_bin(memory: array[float], bins: int, head: float) -> float:
    """Most completions in a bin, that of now left out, for it is not yet complete; 0 if none.

    >>> most_in_a_bin(array("d", [9.0, 4.0, 5.0] + [0.0] * 6), 3, 3.0)
    5.0
    """
    most = 0.0
    for k in range(1, bins):
        most = max(most, memory[(int(head) + k) % bins])
    return most


def least_mean(memory: array[float], bins: int, head: float, rounded: bool) -> float:
    """Least mean latency of a bin, ms, that of now left out; each `rounded`, half up; inf if no
    latency is known.

    >>> memory = array("d", [0.0, 0.0, 0.0, 1.0, 21.0, 70.0, 1.0, 2.0, 10.0])
    >>> least_mean(memory, 3, 3.0, False), least_mean(memory, 3, 3.0, True)
    (7.0, 7.0)
    """
    least = math.inf
    for k in range(1, bins):
        place = (int(head) + k) % bins
        n = memory[2 * bins + place]
        if n > 0.0:
            mean = memory[bins + place] / n
            least = min(least, floored(mean + 0.5) if rounded else mean)
    return least


def bins_per_second(window: float, bins: int) -> float:
    """How many bins make a second.

    >>> bins_per_second(10.0, 100), bins_per_second(5.0, 40)
    (10.0, 8.0)
    """
    return 1e9 / max(1.0, floored(nanoseconds(window) / bins))
