"""The compiled engine beside the simpy model, and beside Ciw on the same queue: ratios within one run.

    python benchmarks/engine_speed.py [FILE.json]

Every round takes another seed, so drawing the noise is part of the time.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ciw

from tpssim import engine, model
from tpssim.controllers import CONTROLLERS
from tpssim.plant import Async, Backend
from tpssim.scenario import Scenario
from tpssim.services import Constant, Exponential

ROUNDS = 5
CALLS = 200_000
EIGHT = Scenario("M/M/8", Exponential(1.0), 6.4, CALLS / 6.4, Async(0.0, "completion"))._replace(
    backend=Backend(servers=8.0), poisson=1.0
)
PLANTS: dict[str, tuple[Scenario, str]] = {
    "blocking, EWMA + dead zone": (
        Scenario("blocking", Constant(0.0005), 500.0, CALLS / 500.0),
        "ewma-deadzone",
    ),
    "async, 8 servers": (EIGHT, "fixed"),
}


def seconds_a_call(run: Callable[[int], int], seed: int) -> float:
    began = time.perf_counter()
    calls = run(seed)
    return (time.perf_counter() - began) / calls


def ciw_calls(seed: int) -> int:
    """A tenth of the calls of `EIGHT` in Ciw."""
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(6.4)],
        service_distributions=[ciw.dists.Exponential(1.0)],
        number_of_servers=[8],
    )
    ciw.seed(seed)
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_time(CALLS / 6.4 / 10.0)
    return len(simulation.get_all_records())


def main() -> None:
    found: dict[str, Any] = {}
    for name, (scenario, controller) in PLANTS.items():
        law = CONTROLLERS[controller]()
        began = time.perf_counter()
        engine.simulate(scenario._replace(duration=scenario.duration / 1000.0), law, 0, 0, {})
        first = time.perf_counter() - began

        def fast(seed: int, scenario: Scenario = scenario, law: Any = law) -> int:
            return len(engine.simulate(scenario, law, seed, 0, {}).released)

        def slow(seed: int, scenario: Scenario = scenario, law: Any = law) -> int:
            return len(model.simulate(scenario, law, seed, 0, {}).released)

        rounds = [(seconds_a_call(fast, k), seconds_a_call(slow, k)) for k in range(1, ROUNDS + 1)]
        found[name] = {
            "first call, s": first,
            "compiled, ns a call": 1e9 * statistics.median(a for a, _ in rounds),
            "compiled / simpy": statistics.median(b / a for a, b in rounds),
        }
        if scenario is EIGHT:
            pairs = [(seconds_a_call(fast, k), seconds_a_call(ciw_calls, k)) for k in range(1, ROUNDS + 1)]
            found[name]["compiled / Ciw"] = statistics.median(b / a for a, b in pairs)
    for name, figures in found.items():
        print(name)
        for what, value in figures.items():
            print(f"  {what:22}{value:12.4g}")
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
