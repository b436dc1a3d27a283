"""What theory says of the laws: bounds for EWMA + dead zone, tuning rules for PI.

Two lower bounds for DEADZONE over ALPHA, drawn over a sweep of the two. Each stands on assumptions that are
named; the simulation beside them says how far they carry.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tpssim import services
from tpssim.core import InputError
from tpssim.disturbances import Swap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tpssim.scenario import Scenario

    Array = NDArray[np.float64]

LOOKS = 3.0  # standard deviations: a false trigger in 0.27 % of independent looks
MARGIN = 1.5  # the describing function is slightly optimistic
DRAWS = 20_000


def noise_rule(alpha: Any, sigma: float, z: float = LOOKS) -> Any:
    """The least DEADZONE that noise seldom crosses: `1 + z sigma sqrt(alpha / (2 - alpha))`.

    `sigma`: standard deviation of the time between returns over its mean. An EWMA of pole `1 - alpha` keeps
    `alpha / (2 - alpha)` of the variance of independent noise (NIST handbook 6.3.2.4); of noise that is
    correlated, as that of a queue is, it keeps more.

    >>> round(float(noise_rule(0.2, 0.5)), 6)
    1.5
    """
    return 1.0 + z * sigma * np.sqrt(alpha / (2.0 - alpha))


def phase_crossover(tau: float, delay: float) -> float:
    """The frequency at which `e^(-s delay) / (s (tau s + 1))` lags by half a turn, rad per unit of time.

    >>> round(phase_crossover(1.0, 0.5), 5)
    1.30654
    """
    low, high = 0.0, math.pi / (2.0 * delay)
    for _ in range(200):
        middle = (low + high) / 2.0
        if math.atan(middle * tau) + middle * delay < math.pi / 2.0:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0


def critical_dead_zone(step: float, gain: float, tau: float, delay: float) -> float:
    """The half-width of a dead zone above which a relay of steps +-`step` has no limit cycle.

    `delta = 2 step |G(j w180)| / pi` for `G(s) = gain e^(-s delay) / (s (tau s + 1))`: the describing
    function of a relay with a dead zone, `N = (4 step / (pi A)) sqrt(1 - (delta / A)^2)`, has the maximum
    `2 step / (pi delta)`, and a cycle needs `|G| N = 1`.

    >>> round(critical_dead_zone(1.0, 1.0, 1.0, 0.5), 5)
    0.29615
    """
    w = phase_crossover(tau, delay)
    return 2.0 * step * gain / (w * math.hypot(1.0, w * tau)) / math.pi


def cycle_boundary(alpha: float, low: float, dec_rate: float, inc_step: float, rate: float) -> float:
    """The least DEADZONE of `ewma-deadzone` without a limit cycle, by its describing function.

    In units of one call: the smoothed ratio lags by `tau = -1 / ln(1 - alpha)` calls and acts on the next
    call (`delay` 1); the commanded rate integrates steps, relative to `rate`, of `1 - dec_rate` down and
    `inc_step / rate` up, here taken as a relay of their mean. The dead zone from `low` up is
    `2 critical_dead_zone` wide. It holds while the consumer is saturated, so that a return tells the
    service time: paced below capacity the loop is open, and nothing cycles.
    """
    tau = -1.0 / math.log1p(-alpha) if alpha < 1.0 else 0.0
    step = ((1.0 - dec_rate) + inc_step / rate) / 2.0
    return low + 2.0 * critical_dead_zone(step, 1.0, tau, 1.0)


def service_noise(scenario: Scenario) -> float:
    """Standard deviation of the service time over its mean (sampled), of a scenario's noisiest service."""
    every = [scenario.service, *(d.service for d in scenario.disturbances if isinstance(d, Swap))]
    spreads = []
    for service in every:
        times = service.times(services.draws(service.noise(), DRAWS, 0, 0))
        spreads.append(float(np.std(times) / np.mean(times)))
    return max(spreads)


def simc(slope: float, tau: float, delay: float, closed: float | None = None) -> tuple[float, float]:
    """(gain, integral time) of a PI controller by the SIMC rules, for a first-order plant with dead time.

    `slope` is the plant's initial slope, gain / tau (for an integrator, tau = inf, its gain); with the wanted
    closed-loop time constant `closed` (default: the dead time)::

        K = 1 / (slope (closed + delay)),  Ti = min(tau, 4 (closed + delay))

    Source: Skogestad 2003.

    >>> simc(2.0, 4.0, 0.5)  # 4 / (8 x 1), min(4, 4 x 1)
    (0.5, 4.0)
    """
    if not (slope > 0.0 and tau > 0.0 and delay >= 0.0):
        raise InputError(
            f"slope={slope!r}, tau={tau!r}, delay={delay!r}; allowed: slope, tau > 0, delay >= 0"
        )
    horizon = (delay if closed is None else closed) + delay
    if not horizon > 0.0:
        raise InputError(f"delay={delay!r}, closed={closed!r}; allowed: one of them above 0")
    return 1.0 / (slope * horizon), min(tau, 4.0 * horizon)
