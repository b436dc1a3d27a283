"""A user's file, as a type checker reads it: the gate's mypy, strict, says of it what its marks say
and nothing else. Nothing runs it.
"""

from __future__ import annotations

import tpssim
from tpssim import CONTROLLERS, Backend, Lognormal, Pool, Scenario, Step, capped, simulate

plant = Scenario("mine", Lognormal(0.02, 0.5), 50.0, 20.0, Pool(4.0), (Step(5.0, 10.0, 2.0),))
plant = plant._replace(backend=Backend(servers=2.0), late=capped(3))
rates: list[float] = simulate(plant, CONTROLLERS["aimd"]()).rate.tolist()
for item in tpssim.throttle(["a", "b"], tps=10.0, late=tpssim.AUTO):
    item.upper()

tpssim.nothing_there  # type: ignore[attr-defined]  # noqa: B018
Scenario(5)  # type: ignore[arg-type, call-arg]
