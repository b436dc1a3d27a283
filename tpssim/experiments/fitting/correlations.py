"""Which numbers of a fit are known better together than apart."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tpssim.experiments.fitting.intervals import Spread, cv_of
from tpssim.scenarios.files import Correlated

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tpssim.experiments.fitting.estimates import Estimate

    Array = NDArray[np.float64]

NAMES = ("service.mean", "service.cv", "network.mean")
WIDTH = 2.0 * 1.96  #: standard deviations in a 95 % interval
LEAST = 0.01  #: a correlation nearer to 0 is left out


def correlations(
    spread: Spread, delay: Estimate, at_delays: Sequence[tuple[float, Any]]
) -> tuple[Correlated, ...]:
    """Of the service's mean and cv and the delay, from the times drawn anew and from the services
    that are fitted at several delays, `(delay, service)`.

    The service's numbers vary by themselves, with covariance `C`, and move with the delay by the
    slopes `s`; of a delay of variance `v` the covariance is `C + s s' v`, that with it `s v`.
    """
    if len(spread.mean) < 2:
        return ()
    own = np.cov(np.stack((spread.mean, spread.cv)))
    if not np.isfinite(own).all():  # the variance of the service is infinite
        return ()
    variance = ((delay.high - delay.low) / WIDTH) ** 2
    slopes = _slopes(at_delays)
    joint = np.zeros((3, 3))
    joint[:2, :2] = own + np.outer(slopes, slopes) * variance
    joint[:2, 2] = joint[2, :2] = slopes * variance
    joint[2, 2] = variance
    std = np.sqrt(np.diag(joint))
    found = []
    for i, k in itertools.combinations(range(3), 2):
        value = float(joint[i, k] / (std[i] * std[k])) if std[i] * std[k] > 0.0 else 0.0
        if abs(value) >= LEAST:
            found.append(Correlated(NAMES[i], NAMES[k], min(max(value, -1.0), 1.0)))
    return tuple(found)


def _slopes(at_delays: Sequence[tuple[float, Any]]) -> Array:
    """How fast mean and cv of the service move with the delay, by the services that have a cv."""
    # a Pareto service of shape 2 or less has none: at that delay the data say nothing of a slope
    each_delay = [(delay, one.mean, cv_of(one)) for delay, one in at_delays]
    known = np.array([each for each in each_delay if np.isfinite(each[2])])
    if len({each[0] for each in known.tolist()}) < 2:
        return np.zeros(2)
    delays, numbers = known[:, 0], known[:, 1:]
    away = delays - delays.mean()
    found: Array = away @ numbers / float(away @ away)
    return found
