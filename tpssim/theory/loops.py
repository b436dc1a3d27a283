"""Frequency response of linear loops, and their stability margins.

A loop is a function from angular frequencies (rad per unit of time) to the complex gain once around
it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tpssim.core.types import record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Loop = Callable[[Array], NDArray[np.complex128]]

GRID = 20_000  # frequencies that are tried


@record
class Margins(NamedTuple):
    """The stability margins of a loop; inf if it never crosses."""

    gain: float  #: factor on the loop's gain at which it cycles; below 1: the loop is unstable
    phase: float  #: further lag at which it cycles, degrees
    peak: float  #: Ms, the largest |1 / (1 + L)|
    phase_crossover: (
        float  #: where the loop lags by half a turn, rad per unit of time; nan if nowhere
    )
    gain_crossover: float  #: where its gain is 1; nan if nowhere
    delay: float  #: further dead time at which it cycles, units of time


def pi_loop(gain: float, ti: float, k: float, tau: float, delay: float) -> Loop:
    """A PI controller, `gain (1 + 1 / (ti s))`, on a lag with dead time, `k e^(-s delay) / (tau s +
    1)`.

    >>> abs(pi_loop(1.0, 1.0, 1.0, 1.0, 0.5)(np.array([2.0]))).round(6).tolist()  # ti = tau: 1 / w
    [0.5]
    """

    def loop(w: Array) -> NDArray[np.complex128]:
        s = 1j * w
        controller = gain * (1.0 + 1.0 / (ti * s))
        values: NDArray[np.complex128] = controller * k * np.exp(-s * delay) / (tau * s + 1.0)
        return values

    return loop


def backlog_loop(kp: float, ki: float, kd: float, gain: float, period: float, late: bool) -> Loop:
    """The exact sampled loop of P, I and D, computed every `period` on a backlog, which integrates.

    A blocking consumer with a backlog completes a call every `1 / capacity`; the rate that is set
    then is that of the next slot, so the response time y follows `y' = y + service - 1 / rate`.
    Linear, with `z = e^(j w period)` and `gain` in seconds of backlog a second for each unit of the
    controller's output::

        L = (kp + ki I(z) + kd (z - 1) / (period z)) gain period / (z - 1)
        I = period z / (z - 1), or period / (z - 1) with `late` (added to after its use)

    There is no other dead time, because a late slot shows its lag as soon as the consumer is free.
    """

    def loop(w: Array) -> NDArray[np.complex128]:
        z = np.exp(1j * w * period)
        integral = period * (1.0 if late else z) / (z - 1.0)
        controller = kp + ki * integral + kd * (z - 1.0) / (period * z)
        values: NDArray[np.complex128] = controller * gain * period / (z - 1.0)
        return values

    return loop


def margins(loop: Loop, low: float, high: float) -> Margins:
    """Gain and phase margin, Ms and delay margin of a loop, between two frequencies.

    `1 / |L|` where L lies on the negative real axis (of several crossings the one nearest to 1),
    `180 + arg L` where |L| = 1 (the least), and the largest `|1 / (1 + L)|`. Crossings are
    bisected. Source: Astrom & Hagglund, Advanced PID Control (2006), ch. 4.

    >>> found = margins(pi_loop(0.5, 1.0, 1.0, 1.0, 1.0), 1e-3, 1e2)  # SIMC: L = 0.5 e^-s / s
    >>> round(found.gain, 3), round(found.phase, 2), round(found.peak, 3)
    (3.142, 61.35, 1.59)
    """
    w = np.geomspace(low, high, GRID)
    values = loop(w)

    def roots(
        measure: Callable[[NDArray[np.complex128]], Array], where: NDArray[np.bool_]
    ) -> list[float]:
        signs = measure(values) > 0.0
        found = []
        for i in np.flatnonzero((signs[1:] != signs[:-1]) & where):
            a, b, sign = float(w[i]), float(w[i + 1]), bool(signs[i])
            for _ in range(60):
                middle = (a + b) / 2.0
                if bool(measure(loop(np.array([middle])))[0] > 0.0) == sign:
                    a = middle
                else:
                    b = middle
            found.append((a + b) / 2.0)
        return found

    turns = roots(np.imag, (values.real[1:] < 0.0) & (values.real[:-1] < 0.0))
    gains = [(1.0 / abs(complex(loop(np.array([at]))[0])), at) for at in turns]
    gain, turn = min(gains, key=lambda pair: abs(math.log(pair[0])), default=(math.inf, math.nan))
    ones = roots(lambda x: np.abs(x) - 1.0, np.full(len(w) - 1, True))
    phases = []
    for at in ones:
        angle = math.degrees(float(np.angle(loop(np.array([at]))[0])))
        phases.append((180.0 + angle if angle <= 0.0 else angle - 180.0, at))
    phase, one = min(phases, key=lambda pair: abs(pair[0]), default=(math.inf, math.nan))
    delay = min((math.radians(p % 360.0) / at for p, at in phases), default=math.inf)
    peak = float(np.max(1.0 / np.abs(1.0 + values)))
    return Margins(gain, phase, peak, turn, one, delay)


def noise_kept(loop: Loop, period: float) -> float:
    """The part of the standard deviation of independent noise that a sampled loop passes to its
    output.

    `sqrt(mean over the circle of |T|^2)` with `T = L / (1 + L)`. For `L = a / (z - 1)`, an EWMA of
    weight a, it is `sqrt(a / (2 - a))`:

    >>> round(noise_kept(backlog_loop(0.2, 0.0, 0.0, 1.0, 1.0, False), 1.0), 4)
    0.3333
    """
    w = (np.arange(GRID) + 0.5) * math.pi / GRID / period
    values = loop(w)
    return float(np.sqrt(np.mean(np.abs(values / (1.0 + values)) ** 2)))
