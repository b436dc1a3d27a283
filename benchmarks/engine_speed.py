"""The compiled engine beside the simpy model and other simulators, and sweeps: ratios within one
run.

    python benchmarks/engine_speed.py [FILE.json] [--smoke]

`--smoke`: everything once and small, to see that it runs; its figures mean nothing.

The same M/M/8 queue runs here, in Ciw and (if it is installed: pip install cimba) in cimba, which
compiles models in Python for an engine in C. With feedback, a law here sees the end of each call
and sets the rate of the arrivals by it, which the other two do not: they run the queue alone. Every
round takes another seed, so drawing noise is part of the time.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import ciw
import numpy as np

from tpssim import sweep
from tpssim.controllers import CONTROLLERS
from tpssim.experiments.executor import processes
from tpssim.scenarios.builtin import SCENARIOS
from tpssim.scenarios.plant import Async, Backend
from tpssim.scenarios.retries import Retry
from tpssim.scenarios.scenario import Producer, Scenario
from tpssim.scenarios.service_quotas import ServiceQuota
from tpssim.scenarios.service_times import Constant, Exponential, Lognormal
from tpssim.simulation import simpy_engine
from tpssim.simulation.compiled import engine


class Size(NamedTuple):
    """How much is run."""

    rounds: int
    calls: int
    points: int  #: of ALPHA and of DEADZONE in the sweep
    replications: int
    moves: int


FULL = Size(7, 200_000, 40, 20, 15)
SMOKE = Size(1, 2_000, 4, 2, 2)


def eight(calls: int) -> Scenario:
    """M/M/8."""
    scenario = Scenario("M/M/8", Exponential(1.0), 6.4, calls / 6.4, Async(0.0, "completion"))
    return scenario._replace(backend=Backend(servers=8.0), poisson=1.0)


def plants(calls: int) -> dict[str, tuple[Scenario, str]]:
    """Scenarios of about so many calls: of the lean loop, then what asks for the general one."""
    steady, recover = SCENARIOS["blocking-steady"], SCENARIOS["degrade-recover"]
    handed = Async(0.0, "completion")
    open_load = Scenario("open", Exponential(0.02), 200.0, calls / 200.0, handed)
    lone = open_load._replace(backend=Backend(servers=8.0))
    two = (Producer(), Producer(target=100.0))
    return {
        "blocking, EWMA + dead zone": (
            Scenario("b", Constant(0.0005), 500.0, calls / 500.0),
            "ewma-deadzone",
        ),
        "blocking-steady, EWMA + dead zone": (
            steady._replace(duration=calls / 27.0),
            "ewma-deadzone",
        ),
        "degrade-recover, EWMA + dead zone": (
            recover._replace(duration=max(calls / 30.0, 40.0)),
            "ewma-deadzone",
        ),
        "M/M/8 with feedback, EWMA + dead zone": (eight(calls), "ewma-deadzone"),
        "M/M/8 without feedback": (eight(calls), "fixed"),
        "producers": (lone._replace(producers=two, duration=calls / 300.0), "fixed"),
        "timeouts": (lone._replace(timeout=0.1), "fixed"),
        "retries": (
            lone._replace(
                backend=Backend(servers=8.0, failure=0.1),
                retry=Retry(3.0, 0.01, 2.0, jitter="full"),
            ),
            "fixed",
        ),
        "quotas": (
            lone._replace(
                backend=Backend(servers=8.0, quotas=(ServiceQuota(180.0, 1.0, retry_after=1.0),))
            ),
            "fixed",
        ),
    }


SMALL = Scenario("s", Lognormal(0.0005, 0.5), 200.0, 10.0)  # 2,000 calls
SLIDER = Scenario("slider", Lognormal(0.01, 0.5), 200.0, 50.0)  # about 5,000 calls
#: The parameter of each law that a slider moves.
MOVED = {"aimd": "dec_rate", "ewma-deadzone": "dec_rate", "headroom": "share"}


def seconds_a_call(run: Callable[[int], int], seed: int) -> float:
    began = time.perf_counter()
    calls = run(seed)
    return (time.perf_counter() - began) / calls


def ciw_calls(seed: int, calls: int) -> int:
    """A tenth of the calls of `eight` in Ciw."""
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(6.4)],
        service_distributions=[ciw.dists.Exponential(1.0)],
        number_of_servers=[8],
    )
    ciw.seed(seed)
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_time(calls / 6.4 / 10.0)
    return len(simulation.get_all_records())


def cimba_seconds(seed: int, calls: int) -> float:
    """Seconds a customer of `eight` takes in cimba, in a process of its own."""
    command = [
        sys.executable,
        str(Path(__file__).with_name("cimba_queue.py")),
        str(calls),
        str(seed),
    ]
    return float(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def rates(size: Size) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for name, (scenario, controller) in plants(size.calls).items():
        law = CONTROLLERS[controller]()

        def fast(seed: int, scenario: Scenario = scenario, law: Any = law) -> int:
            return len(engine.simulate(scenario, law, seed, 0, {}).released)

        def slow(seed: int, scenario: Scenario = scenario, law: Any = law) -> int:
            return len(simpy_engine.simulate(scenario, law, seed, 0, {}).released)

        fast(0)  # the general loop, compiled
        engine.prepare(scenario, law)  # the lean one, which long runs get as they go
        fast(0)
        pairs = [
            (seconds_a_call(fast, k), seconds_a_call(slow, k)) for k in range(1, size.rounds + 1)
        ]
        found[name] = {
            "ns a call": 1e9 * statistics.median(a for a, _ in pairs),
            "x simpy": statistics.median(b / a for a, b in pairs),
        }
        if name.startswith("M/M/8"):
            found[name] |= beside(fast, size)
    return found


def beside(fast: Callable[[int], int], size: Size) -> dict[str, float]:
    """How many times as long a call takes in other simulators."""
    others: dict[str, Callable[[int], float]] = {
        "x Ciw": lambda seed: seconds_a_call(lambda k: ciw_calls(k, size.calls), seed)
    }
    if importlib.util.find_spec("cimba") is None:
        print("skipped beside cimba: it is not installed (pip install cimba)")
    else:
        others["x cimba"] = lambda seed: cimba_seconds(seed, size.calls)
    found = {}
    for label, other in others.items():
        rounds = [(seconds_a_call(fast, k), other(k)) for k in range(20, 20 + size.rounds)]
        found[label] = statistics.median(b / a for a, b in rounds)
    return found


def sweeps(size: Size) -> dict[str, float]:
    """1,600 points of 20 replications of 2,000 calls on two processes with start-up; a quarter of
    them.
    """
    alpha, deadzone = np.linspace(0.02, 0.6, size.points), np.linspace(1.5, 2.5, size.points)
    sweep(SMALL, "ewma-deadzone", {"alpha": [0.1]}, replications=2)  # compiled and kept
    found: dict[str, float] = {}
    for share in (4, 1):
        began = time.perf_counter()
        grid = {"alpha": alpha[::share].tolist(), "deadzone": deadzone.tolist()}
        with processes(2) as pool:
            result = sweep(
                SMALL, "ewma-deadzone", grid, replications=size.replications, executor=pool
            )
        seconds = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024.0
        calls = sum(row.calls for row in result.rows)
        what = f"{len(result.rows)} points"
        found |= {f"{what}, s": seconds, f"{what}, million calls a second": calls / seconds / 1e6}
        found |= {f"{what}, peak MB of a worker": peak}
    found["peak MB of the parent"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    return found


def drag(size: Size) -> dict[str, float]:
    """One parameter moves: three laws, ten replications of 5,000 calls each."""
    for law, moved in MOVED.items():
        sweep(SLIDER, law, {moved: [0.9]}, replications=10)
    times = []
    for step in range(size.moves):
        began = time.perf_counter()
        for law, moved in MOVED.items():
            sweep(SLIDER, law, {moved: [0.7 + 0.01 * step]}, replications=10)
        times.append(time.perf_counter() - began)
    return {"move, ms": 1e3 * statistics.median(times)}


def main() -> None:
    parser = argparse.ArgumentParser(description="The compiled engine beside others, and sweeps.")
    parser.add_argument(
        "file", nargs="?", type=Path, metavar="FILE.json", help="where the figures go, too"
    )
    parser.add_argument(
        "--smoke", action="store_true", help="everything once and small: does it run?"
    )
    args = parser.parse_args()
    size = SMOKE if args.smoke else FULL
    found: dict[str, Any] = {"sweep on two workers": sweeps(size)}
    found |= {"dragging a parameter": drag(size), **rates(size)}
    for name, figures in found.items():
        print(name)
        for what, value in figures.items():
            print(f"  {what:40}{value:12.4g}")
    if args.file is not None:
        machine = {
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "machine": platform.machine(),
        }
        text = json.dumps({"machine": machine, **found}, indent=1)
        args.file.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
