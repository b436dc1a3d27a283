"""What theory says of the points of a sweep, to be drawn over its picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tpssim import theory
from tpssim.metrics.measure import long_phases
from tpssim.scenarios.capacity import achievable
from tpssim.scenarios.load import peak, profiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tpssim.scenarios.scenario import Scenario

    Array = NDArray[np.float64]


def bounds(scenario: Scenario, law: Any, xs: Sequence[float]) -> list[tuple[str, Array, Array]]:
    """Bounds of DEADZONE over the values `xs` of ALPHA, as (label, x, y), for `ewma-deadzone`."""
    alpha = np.linspace(min(xs), max(xs), 200)
    sigma = theory.service_noise(scenario)
    noise = theory.noise_rule(alpha, sigma)
    curves = [(f"noise rule, {theory.LOOKS:g} sigma (CV {sigma:.2g})", alpha, noise)]
    rate = min(
        (achievable(scenario, (a + b) / 2.0) for a, b in long_phases(scenario)),
        default=0.0,
    )
    # Where the consumer can sustain the target there is no backlog, several producers share
    # what a return shows, and a consumer that stands still returns nothing.
    alone = len(scenario.producers) == 1 and not profiles(scenario)
    if alone and 0.0 < rate < peak(scenario):
        landing = theory.landing_boundary(law.low, law.inc_step, rate)
        label = f"no limit cycle from {landing:.3g} up (backlogged, no noise)"
        curves.append((label, alpha, np.full(len(alpha), landing)))
    return curves
