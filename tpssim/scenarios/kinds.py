"""What the parts of a scenario are called where it is text: `kind = "lognormal"`."""

from __future__ import annotations

from typing import Any

from tpssim.scenarios.disturbances import Background, Ramp, Sine, Spike, Stall, Step, Swap
from tpssim.scenarios.plant import Async, Blocking, Pool
from tpssim.scenarios.service_times import (
    Autocorrelated,
    Constant,
    Exponential,
    Gamma,
    Lognormal,
    Pareto,
    Recorded,
    TwoPhase,
)

SERVICES: dict[str, Any] = {
    "constant": Constant,
    "exponential": Exponential,
    "lognormal": Lognormal,
    "autocorrelated": Autocorrelated,
    "gamma": Gamma,
    "two-phase": TwoPhase,
    "pareto": Pareto,
    "recorded": Recorded,
}
CONSUMERS: dict[str, Any] = {"blocking": Blocking, "async": Async, "pool": Pool}
DISTURBANCES: dict[str, Any] = {
    "step": Step,
    "ramp": Ramp,
    "spike": Spike,
    "sine": Sine,
    "stall": Stall,
    "swap": Swap,
    "background": Background,
}

#: The kind of each class that has one.
KIND_OF = {
    cls: kind for kinds in (SERVICES, CONSUMERS, DISTURBANCES) for kind, cls in kinds.items()
}
