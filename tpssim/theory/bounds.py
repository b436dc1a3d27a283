"""Bounds for EWMA + dead zone, and the rate at which its noise balances.

Two lower bounds for DEADZONE, `noise_rule` and `landing_boundary`, are overlaid on a sweep of ALPHA
and DEADZONE. Each names its assumptions; the simulation shows how far they hold.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from tpssim.scenarios import service_times
from tpssim.scenarios.disturbances import Swap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tpssim.scenarios.scenario import Scenario
    from tpssim.scenarios.service_times import Service

    Array = NDArray[np.float64]

LOOKS = 3.0  # standard deviations: a false trigger in 0.27 % of independent values
DRAWS = 20_000


def noise_rule(alpha: Any, sigma: float, z: float = LOOKS) -> Any:
    """The least DEADZONE that noise rarely crosses: `1 + z sigma sqrt(alpha / (2 - alpha))`.

    `sigma`: standard deviation of the time between returns over its mean. An EWMA of pole `1 -
    alpha` keeps `alpha / (2 - alpha)` of the variance of independent noise (NIST handbook 6.3.2.4);
    of correlated noise, as that of a queue, it keeps more.

    >>> round(float(noise_rule(0.2, 0.5)), 6)
    1.5
    """
    return 1.0 + z * sigma * np.sqrt(alpha / (2.0 - alpha))


def phase_crossover(tau: float, delay: float) -> float:
    """The frequency at which `e^(-s delay) / (s (tau s + 1))` lags by half a turn, rad per unit of
    time.

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

    `delta = 2 step |G(j w180)| / pi` for `G(s) = gain e^(-s delay) / (s (tau s + 1))`: the
    describing function of a relay with a dead zone, `N = (4 step / (pi A)) sqrt(1 - (delta /
    A)^2)`, has the maximum `2 step / (pi delta)`, and a cycle needs `|G| N = 1`.

    >>> round(critical_dead_zone(1.0, 1.0, 1.0, 0.5), 5)
    0.29615
    """
    w = phase_crossover(tau, delay)
    return 2.0 * step * gain / (w * math.hypot(1.0, w * tau)) / math.pi


def cycle_boundary(
    alpha: float, low: float, dec_rate: float, inc_step: float, rate: float
) -> float:
    """The least DEADZONE without a limit cycle, for a loop that `ewma-deadzone` is often assumed to
    be.

    That loop smooths the *ratio* of the measured to the commanded interval: in units of one call
    the ratio lags by `tau = -1 / ln(1 - alpha)` calls and acts on the next call (`delay` 1); the
    commanded rate integrates steps, relative to `rate`, of `1 - dec_rate` down and `inc_step /
    rate` up, here taken as a relay of their mean. The dead zone from `low` up is `2
    critical_dead_zone` wide.

    **This is not the law's own loop**: the law smooths the measured interval. While there is a
    backlog, a return shows the service time, which does not depend on the rate; so the lag is not
    in the loop, and `landing_boundary` applies. Below capacity the loop is open. `analysis`
    compares this bound with what the law does.
    """
    tau = -1.0 / math.log1p(-alpha) if alpha < 1.0 else 0.0
    step = ((1.0 - dec_rate) + inc_step / rate) / 2.0
    return low + 2.0 * critical_dead_zone(step, 1.0, tau, 1.0)


def service_noise(scenario: Scenario) -> float:
    """Standard deviation of the service time over its mean (sampled), of a scenario's noisiest
    service.
    """
    every = [scenario.service, *(d.service for d in scenario.disturbances if isinstance(d, Swap))]
    return max(noise_of(service) for service in every)


def noise_of(service: Service) -> float:
    """Standard deviation of a service time over its mean (sampled)."""
    times = service.times(service_times.draws(service.noise(), DRAWS, 0, 0))
    # The mean of equal numbers is off by a rounding: a constant has no noise at all.
    return float(np.std(times) / np.mean(times)) if np.ptp(times) > 0.0 else 0.0


def beyond(z: float) -> float:
    """The share of independent normal values that are more than z standard deviations above the
    mean.

    >>> round(beyond(3.0), 5)  # one side of the 0.27 % of both
    0.00135
    """
    return math.erfc(z / math.sqrt(2.0)) / 2.0


def landing_boundary(low: float, inc_step: float, rate: float) -> float:
    """The least upper end of a dead zone that no climb can skip: `low + inc_step / rate`.

    For a law that keeps its rate inside the zone, and whose measured time does not depend on the
    rate (`rate`: the capacity). The first climb that reaches the zone ends in it, for any cuts and
    any smoothing.

    >>> landing_boundary(0.95, 1.0, 50.0)
    0.97
    """
    return low + inc_step / rate


def paced_noise(alpha: float, cv: float, load: float) -> float:
    """Standard deviation of the smoothed time between returns, in commanded intervals, paced at
    `load`.

    Without waits, `measured = interval + s_k - s_(k-1)`: if one return is late, the next is early
    by as much, and an EWMA keeps `2 alpha^2 / (2 - alpha)` of the variance of s, less than of
    independent noise. `load`: the commanded rate over the capacity, by which the noise shrinks.

    >>> round(paced_noise(0.2, 0.5, 1.0), 4)  # independent: 0.1667
    0.1054
    """
    return cv * load * alpha * math.sqrt(2.0 / (2.0 - alpha))


def dead_zone_balance(law: Any, cv: float, capacity: float) -> float:
    """The rate at which chance gains and losses of a paced `ewma-deadzone` are equal, 1/s; at most
    capacity.

    `inc_step P(ratio < low) = (1 - dec_rate) rate P(ratio > deadzone)` with a normal ratio of mean
    1 and `paced_noise`. Without noise it is `capacity`: a rate that is reached from above is kept.
    """
    if cv == 0.0:
        return capacity

    def surplus(rate: float) -> float:
        sigma = paced_noise(law.alpha, cv, rate / capacity)
        up = float(law.inc_step) * beyond((1.0 - law.low) / sigma)
        return up - float(1.0 - law.dec_rate) * rate * beyond((law.deadzone - 1.0) / sigma)

    # If noise crosses neither bound within a run, nothing is gained or lost: search above that.
    low, high = 0.05 * capacity, capacity
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if surplus(middle) > 0.0 else (low, middle)
    return low


def aimd_balance(
    mean: float, cv: float, threshold: float = 1.5, dec_rate: float = 0.7, inc_step: float = 1.0
) -> float:
    """The rate at which the gains and losses of AIMD are equal, 1/s.

    `inc_step (1 - p) = (1 - dec_rate) rate p`, where `p` is the probability that a measured
    interval, `s_k + max(interval - s_(k-1), 0)` with lognormal service times `s`, is longer than
    `threshold` intervals. The defaults are the article's.

    >>> [round(aimd_balance(0.02, cv), 2) for cv in (0.5, 1.0)]
    [30.17, 22.51]
    """
    sigma = math.sqrt(math.log(1.0 + cv * cv))
    centre = math.log(mean) - sigma * sigma / 2.0
    normal = NormalDist(centre, sigma)
    before = [math.exp(normal.inv_cdf((k + 0.5) / 2000.0)) for k in range(2000)]

    def surplus(rate: float) -> float:
        interval = 1.0 / rate
        thresholds = (threshold * interval - max(interval - s, 0.0) for s in before)
        p = math.fsum(1.0 - normal.cdf(math.log(t)) for t in thresholds) / len(before)
        return inc_step * (1.0 - p) - (1.0 - dec_rate) * rate * p

    low, high = 0.1 / mean, 1.0 / mean
    for _ in range(50):
        middle = (low + high) / 2.0
        low, high = (middle, high) if surplus(middle) > 0.0 else (low, middle)
    return low


def late_aimd_period(
    capacity: float, inc_step: float, dec_rate: float, period: float, delay: float = 0.0
) -> float:
    """The period of the limit cycle of an AIMD that sees windows of `period` seconds, each `delay`
    after its end, s.

    After each window the rate gains `inc_step`, so it climbs at `a = inc_step / period`; an
    overload multiplies it by `dec_rate = b`, once (what was sent before the cut cuts no more). The
    first window above `capacity` has a rate of `capacity + inc_step / 2` on average, between 0 and
    one step above. Until it is seen the rate climbs on, by `a delay`; so it is cut at

        `peak = capacity + inc_step / 2 + a delay`,

    and climbs from `b peak` to `peak` in `(1 - b) peak / a`. The cut takes the place of one gain:

        `T = period + (1 - b) (capacity / a + period / 2 + delay)`.

    Each second of delay makes the cycle `1 - b` seconds longer and the peak `a` higher; where in a
    step capacity lies moves T by at most `(1 - b) period / 2`. For whole windows of delay. Source:
    Bolot & Shankar, Dynamical behavior of rate-based flow control mechanisms (1990), with linear
    increase and exponential decrease; here with Chiu and Jain's cut of one step.

    >>> [late_aimd_period(50.0, 4.0, 0.5, 2.0, delay) for delay in (0.0, 4.0, 16.0)]
    [15.0, 17.0, 23.0]
    """
    return period + (1.0 - dec_rate) * (capacity * period / inc_step + period / 2.0 + delay)
