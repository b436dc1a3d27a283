"""What the model costs on top of simpy: calls per second beside a minimal hand-written pair of
processes.

The pair makes the same events (a release, a completion), draws the same service times and calls the
same law; it has no actuator but the rate, no late policies, no timer, no retries, and logs nothing
but releases.

    python benchmarks/simpy_overhead.py [--smoke]

prints the ratio `model / pair` of calls per second, measured alternately in one run; it is meant to
be 0.6 or more. Exit code 1 if it is not; with `--smoke`, one short round to see that it runs,
nothing is judged.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import simpy

from tpssim.controllers import CONTROLLERS
from tpssim.core.types import Observation
from tpssim.scenarios.load import peak
from tpssim.scenarios.plant import Async, Blocking, Consumer
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant, Lognormal, draws
from tpssim.simulation import simpy_engine

ROUNDS = 9
LEAST = 0.6
#: What is compared: a loop that is paced, one that is held back by its calls, one that hands over.
#: Consumer, law, mean service time, wanted rate. The async one has a law that keeps its rate, since
#: the model waits again whenever an observation moves its deadline, which the pair does not.
PLANTS: dict[str, tuple[Consumer, str, float, float]] = {
    "blocking, paced": (Blocking(), "ewma-deadzone", 0.0005, 500.0),
    "blocking, saturated": (Blocking(), "ewma-deadzone", 0.02, 200.0),
    "async, completion feedback": (Async(0.0, "completion"), "fixed", 0.005, 500.0),
}


def by_hand(scenario: Scenario, law: Any) -> int:
    """The pair of processes; the number of calls."""
    target, service, blocking = (
        peak(scenario),
        scenario.service,
        isinstance(scenario.consumer, Blocking),
    )
    n = int(target * scenario.duration) + 2
    times = service.times(draws(service.noise(), n, 0, 0)).tolist()
    env = simpy.Environment()
    state = law.init(target)
    released: list[float] = []
    inbox = env.event()  # the next call; a new one as soon as it is taken

    def finished(event: Any) -> None:
        nonlocal state
        begun, due, done = event.value
        state = law.update(state, Observation(env.now, target, env.now - begun, begun - due))
        if blocking:
            done.succeed()

    def producer() -> Any:
        due, k = 0.0, 0
        while True:
            if due > env.now:
                yield env.timeout(due - env.now)
            released.append(env.now)
            done = env.event()
            inbox.succeed((env.now, due, times[k], done))
            if blocking:
                yield done
            k += 1
            due += 1.0 / min(state.rate, target)

    def consumer() -> Any:
        nonlocal inbox
        while True:
            begun, due, work, done = yield inbox
            inbox = env.event()
            env.timeout(work, (begun, due, done)).callbacks.append(finished)

    env.process(consumer())
    env.process(producer())
    env.run(scenario.duration)
    return len(released)


def by_model(scenario: Scenario, law: Any) -> int:
    return len(simpy_engine.simulate(scenario, law, 0, 0, {}).released)


def rate(run: Callable[..., int], *given: Any) -> float:
    """Calls per second of real time."""
    began = time.perf_counter()
    calls = run(*given)
    return float(calls / (time.perf_counter() - began))


def main() -> int:
    parser = argparse.ArgumentParser(description="What the model costs on top of simpy.")
    parser.add_argument("--smoke", action="store_true", help="one short round: does it run?")
    smoke = parser.parse_args().smoke
    worst = float("inf")
    for name, (consumer, controller, mean, target) in PLANTS.items():
        service = Lognormal(mean, 0.5) if mean > 0.001 else Constant(mean)
        duration = (200.0 if smoke else 20_000.0) / min(
            target, 1.0 / mean if isinstance(consumer, Blocking) else target
        )
        scenario = Scenario("benchmark", service, target, duration, consumer)
        law = CONTROLLERS[controller]()
        ratios, speeds = [], []
        for _ in range(1 if smoke else ROUNDS):
            theirs = rate(by_hand, scenario, law)
            ours = rate(by_model, scenario, law)
            ratios.append(ours / theirs)
            speeds.append(ours)
        ratio = statistics.median(ratios)
        worst = min(worst, ratio)
        print(
            f"{name:28} model / pair {ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f}), "
            f"{statistics.median(speeds):,.0f} calls/s"
        )
    print(f"least ratio {worst:.2f}; wanted {LEAST} or more")
    return 0 if smoke or worst >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
