"""Moving statistics in a law's memory, as failsafe-go has them: average, median, largest,
correlation.
"""

from __future__ import annotations

import math
from array import array

WARM_UP = 10.0  # values
LEAST_VARIATION = 0.01
#: Places of a correlation: sum of products; of each side values kept, next place, sum, sum of
#: squares.
PRODUCTS, X, Y, SUMS = 0, 1, 5, 9
COUNT, NEXT, SUM, SQUARES = 0, 1, 2, 3


def averaged(
    total: float, value: float, count: float, age: float, new: float, warm_up: float = WARM_UP
) -> tuple[float, float]:
    """(sum, average) with one more value: the plain mean of the first ten, then exponential of that
    age.

    >>> averaged(10.0, 5.0, 2.0, 5.0, 20.0), averaged(0.0, 30.0, 10.0, 5.0, 60.0)
    ((30.0, 10.0), (0.0, 40.0))
    """
    if count < warm_up:
        return total + new, (total + new) / (count + 1.0)
    part = 2.0 / (age + 1.0)
    return total, value * (1.0 - part) + new * part


def median_of_five(memory: array[float], base: int, count: float, new: float) -> float:
    """The value itself for the first four, then the median of the last five, which a ring keeps."""
    memory[base + int(count) % 5] = new
    if count < 4.0:
        return new
    found = new
    for i in range(5):
        below, equal = 0, 0
        for j in range(5):
            if memory[base + j] < memory[base + i]:
                below += 1
            elif memory[base + j] == memory[base + i]:
                equal += 1
        if below <= 2 < below + equal:
            found = memory[base + i]
    return found


def largest(
    memory: array[float], base: int, kept: int, new: float, now: float, window: float
) -> float:
    """The largest value of the last `window`, this one included; one that old has left.

    Only values that can still become the largest are kept, falling from the first on; of more than
    `kept` of them the last is lost.

    >>> memory = array("d", [0.0]) * 18
    >>> values = enumerate((3.0, 1.0, 2.0, 1.0, 1.0))
    >>> [largest(memory, 0, 8, value, float(t), 2.0) for t, value in values]
    [3.0, 3.0, 2.0, 2.0, 1.0]
    """
    first, n = int(memory[base]), int(memory[base + 1])
    values = base + 2
    while n > 0 and memory[values + kept + first] <= now - window:
        first = (first + 1) % kept
        n -= 1
    while n > 0 and (n == kept or memory[values + (first + n - 1) % kept] <= new):
        n -= 1
    at = values + (first + n) % kept
    memory[at], memory[at + kept] = new, now
    memory[base], memory[base + 1] = first * 1.0, n + 1.0
    return memory[values + first]


def related(memory: array[float], base: int, size: int, x: float, y: float) -> tuple[float, float]:
    """(Pearson's correlation of the last `size` x and y, variation of y), this pair included.

    Population formulas on running sums; zeros are not kept. Both are 0 with fewer than 10 values,
    the correlation also if either varies by less than 1 %.
    """
    values = base + SUMS
    full = memory[base + X + COUNT] == size
    old_x = kept(memory, base + X, values, size, x)
    old_y = kept(memory, base + Y, values + size, size, y)
    if full and x != 0.0:
        memory[base + PRODUCTS] -= old_x * old_y
    memory[base + PRODUCTS] += x * y
    mean_x, variance_x, cv_x = spread(memory, base + X)
    mean_y, variance_y, cv_y = spread(memory, base + Y)
    n = memory[base + X + COUNT]
    if math.isnan(cv_x) or math.isnan(cv_y) or n < WARM_UP:
        return 0.0, 0.0
    if cv_x < LEAST_VARIATION or cv_y < LEAST_VARIATION:
        return 0.0, cv_y
    covariance = memory[base + PRODUCTS] / n - mean_x * mean_y
    return covariance / (math.sqrt(variance_x) * math.sqrt(variance_y)), cv_y


def kept(memory: array[float], base: int, values: int, size: int, new: float) -> float:
    """Put a value in a ring and its sums; the one that it drives out, 0 if none."""
    old = 0.0
    if new != 0.0:
        at = values + int(memory[base + NEXT])
        if memory[base + COUNT] == size:
            old = memory[at]
            memory[base + SUM] -= old
            memory[base + SQUARES] -= old * old
        else:
            memory[base + COUNT] += 1.0
        memory[at] = new
        memory[base + SUM] += new
        memory[base + SQUARES] += new * new
        memory[base + NEXT] = (int(memory[base + NEXT]) + 1) % size * 1.0
    return old


def spread(memory: array[float], base: int) -> tuple[float, float, float]:
    """(mean, variance, coefficient of variation) of a ring; nan with fewer than two values."""
    n = memory[base + COUNT]
    if n < 2.0:
        return math.nan, math.nan, math.nan
    mean = memory[base + SUM] / n
    variance = memory[base + SQUARES] / n - mean * mean
    if variance < 0.0 or mean == 0.0:
        return math.nan, math.nan, math.nan
    return mean, variance, math.sqrt(variance) / mean
