"""What theory says of the laws (margins of loops, limit cycles, noise, tuning rules) and of what
they act on (queues, quotas, retries).

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
    late_aimd_period,
    noise_of,
    noise_rule,
    paced_noise,
    phase_crossover,
    service_noise,
)
from tpssim.theory.queues import blocked, fluid_queue, lindley
from tpssim.theory.quotas import bucket_opens, fixed_use, rolling_use
from tpssim.theory.retrying import amplification
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
    "amplification",
    "beyond",
    "blocked",
    "bucket_opens",
    "critical_dead_zone",
    "cycle_boundary",
    "dead_zone_balance",
    "fixed_use",
    "fluid_queue",
    "landing_boundary",
    "late_aimd_period",
    "lindley",
    "noise_of",
    "noise_rule",
    "paced_noise",
    "phase_crossover",
    "rolling_use",
    "service_noise",
    "simc",
    "tyreus_luyben",
    "ultimate",
    "ziegler_nichols",
    "ziegler_nichols_step",
]
