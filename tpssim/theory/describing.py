"""Describing functions: whether a loop with a relay or a dead zone cycles, and how.

The input of the nonlinear element is assumed to be a sine of amplitude A; `N(A)` is the gain of its
fundamental. A loop `L(j w)` after it cycles where `L = -1 / N`. The error is 10 to 20 % if the loop
damps the harmonics.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tpssim.core.types import record

SCAN = 2000  # amplitudes that are tried


def relay_gain(amplitude: float, step: float, delta: float = 0.0) -> float:
    """N of a relay of steps +-`step` with a dead zone of half-width `delta`.

    `(4 step / (pi A)) sqrt(1 - (delta / A)^2)`, 0 for A below delta; at most `2 step / (pi delta)`,
    at `A = sqrt(2) delta`. Without the dead zone it is the ideal relay.

    >>> round(relay_gain(math.sqrt(2.0), 1.0, 1.0) * math.pi / 2.0, 12)
    1.0
    """
    if amplitude <= delta:
        return 0.0
    inside = delta / amplitude
    return 4.0 * step / (math.pi * amplitude) * math.sqrt(1.0 - inside * inside)


def dead_zone_gain(amplitude: float, delta: float) -> float:
    """N of a gain of 1 outside a dead zone of half-width `delta`: `1 - (2 / pi) (asin x + x sqrt(1
    - x^2))`.

    With `x = delta / A`; 0 for A below delta.

    >>> round(dead_zone_gain(2.0, 1.0), 6)  # 1 - (2 / pi) (pi / 6 + sqrt(3) / 4)
    0.391002
    """
    if amplitude <= delta:
        return 0.0
    x = delta / amplitude
    return 1.0 - 2.0 / math.pi * (math.asin(x) + x * math.sqrt(1.0 - x * x))


@record
class Steps(NamedTuple):
    """A relay of unequal steps: `-down` above `high`, `+up` below `low`, nothing between."""

    low: float
    high: float
    up: float
    down: float


@record
class LimitCycle(NamedTuple):
    amplitude: float  #: of the input of the relay
    bias: float  #: its mean
    frequency: float  #: rad per unit of time
    period: float


def steps_gain(amplitude: float, steps: Steps) -> tuple[float, float]:
    """(N, mean of the input) of a relay of unequal steps in a loop with an integrator.

    The integrator needs a mean output of 0, so the input is not centred. If b is its mean, the
    input is above the zone for a part `acos((high - b) / A) / pi` of the time, and below it for
    `acos((b - low) / A) / pi`. b makes `down` times the one equal `up` times the other. Then `N = 2
    / (pi A) (down sqrt(1 - ((high - b) / A)^2) + up sqrt(1 - ((b - low) / A)^2))`.

    >>> steps_gain(1.0, Steps(-0.5, 0.5, 1.0, 1.0))[0] == relay_gain(1.0, 1.0, 0.5)
    True
    """
    middle = (steps.low + steps.high) / 2.0
    if 2.0 * amplitude <= steps.high - steps.low:
        return 0.0, middle

    def above(b: float) -> float:
        return max(-1.0, min(1.0, (steps.high - b) / amplitude))

    def below(b: float) -> float:
        return max(-1.0, min(1.0, (b - steps.low) / amplitude))

    low, high = steps.low - amplitude, steps.high + amplitude
    for _ in range(100):
        b = (low + high) / 2.0
        if steps.down * math.acos(above(b)) < steps.up * math.acos(below(b)):
            low = b
        else:
            high = b
    b = middle if steps.up == steps.down else b
    fundamental = steps.down * math.sqrt(1.0 - above(b) ** 2) + steps.up * math.sqrt(
        1.0 - below(b) ** 2
    )
    return 2.0 / (math.pi * amplitude) * fundamental, b


def limit_cycle(steps: Steps, gain: float, frequency: float) -> LimitCycle | None:
    """The stable limit cycle of a relay before a loop that has the gain `gain` where it lags by
    half a turn.

    `frequency` is where it lags by half a turn. The largest amplitude with `N gain = 1` is the
    stable one. None if there is none: the loop does not cycle.

    >>> found = limit_cycle(Steps(0.0, 0.0, 1.0, 1.0), 0.465188, 1.30654)  # an ideal relay
    >>> round(found.amplitude, 3), round(found.period, 3)
    (0.592, 4.809)
    """
    most = 4.0 * max(steps.up, steps.down) * gain / math.pi
    least = (steps.high - steps.low) / 2.0
    grid = np.linspace(least, 1.001 * most, SCAN) if most > least else np.empty(0)
    enough = [
        i for i, a in enumerate(grid) if a > 0.0 and steps_gain(float(a), steps)[0] * gain >= 1.0
    ]
    if not enough:
        return None
    low, high = float(grid[enough[-1]]), 1.001 * most
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if steps_gain(middle, steps)[0] * gain >= 1.0 else (low, middle)
    return LimitCycle(low, steps_gain(low, steps)[1], frequency, 2.0 * math.pi / frequency)
