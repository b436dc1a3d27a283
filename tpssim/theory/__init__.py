"""What theory says of the laws: margins of loops, limit cycles, noise, tuning rules.

Each prediction names its assumptions; `analysis` compares it with the simulation.
"""

from tpssim.theory.bounds import (
    LOOKS,
    aimd_balance,
    beyond,
    critical_dead_zone,
    cycle_boundary,
    dead_zone_balance,
    landing_boundary,
    noise_of,
    noise_rule,
    paced_noise,
    phase_crossover,
    service_noise,
)
from tpssim.theory.tuning import (
    amigo,
    simc,
    tyreus_luyben,
    ultimate,
    ziegler_nichols,
    ziegler_nichols_step,
)

__all__ = [
    "LOOKS",
    "aimd_balance",
    "amigo",
    "beyond",
    "critical_dead_zone",
    "cycle_boundary",
    "dead_zone_balance",
    "landing_boundary",
    "noise_of",
    "noise_rule",
    "paced_noise",
    "phase_crossover",
    "service_noise",
    "simc",
    "tyreus_luyben",
    "ultimate",
    "ziegler_nichols",
    "ziegler_nichols_step",
]
