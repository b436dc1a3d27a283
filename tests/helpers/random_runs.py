"""Runs whose records have equal numbers and differ in kind: alone, or one after the other in one
process.

    python tests/random_runs.py ordered|reversed|alone|fresh [NUMBER ...]

prints a line a run: its number and a digest of its bytes. `ordered` and `reversed` run all pairs in
this process, `alone` each run in a process forked from one that has imported everything and run
nothing, `fresh` those of the given numbers, in this process.
"""

from __future__ import annotations

import hashlib
import importlib
import itertools
import math
import os
import pickle
import pkgutil
import random
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import tpssim
from tpssim.controllers import CONTROLLERS
from tpssim.core.schedule import DELAY, Late
from tpssim.core.timer_models import IDEAL, TIMERS, TimerModel
from tpssim.experiments.sweep.batch_runs import gather, reduced
from tpssim.metrics.measure import measured
from tpssim.metrics.order_statistics import conclude
from tpssim.metrics.single_pass import collect
from tpssim.metrics.verdicts import judge
from tpssim.scenarios.disturbances import Ramp, Spike, Stall, Step, Swap
from tpssim.scenarios.plant import Async, Backend, Blocking, Pool
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant, Exponential, Gamma, Lognormal, Pareto
from tpssim.simulation.compiled import general
from tpssim.simulation.compiled.compiling import fast

PAIRS, FAMILIES, MEMBERS = 500, 60, 5
SCRIPTS = {"tpssim.__main__", "tpssim.scenarios.recordings.record_sqlite"}


class Plain(NamedTuple):
    """Two services as users write them, plain named tuples with equal numbers: constant, ..."""

    mean: float

    def noise(self) -> str:
        return "uniform"

    def times(self, draws: Any) -> Any:
        return 0.0 * draws + self.mean


class Uniform(NamedTuple):
    """... and uniform between 0 and twice the mean."""

    mean: float

    def noise(self) -> str:
        return "uniform"

    def times(self, draws: Any) -> Any:
        return 2.0 * self.mean * draws


class Peaked(NamedTuple):
    """One with two numbers, as Lognormal, Gamma and Pareto have."""

    mean: float
    power: float

    def noise(self) -> str:
        return "uniform"

    def times(self, draws: Any) -> Any:
        return self.mean * (self.power + 1.0) * draws**self.power


class Actuators(NamedTuple):
    rate: float
    limit: float
    reject: float


class Halved(NamedTuple):
    """Two laws of a user with equal numbers: a share of the target, ..."""

    share: float = 0.5

    def init(self, target: float) -> Actuators:
        return Actuators(self.share * target, math.inf, 0.0)

    def update(self, state: Actuators, obs: Any) -> Actuators:
        return state


class Answering(NamedTuple):
    """... and a share of what the last latency would allow."""

    share: float = 0.5

    def init(self, target: float) -> Actuators:
        return Actuators(target, math.inf, 0.0)

    def update(self, state: Actuators, obs: Any) -> Actuators:
        return (
            Actuators(min(obs.target, self.share / obs.latency), math.inf, 0.0)
            if obs.latency > 0.0
            else state
        )


class Run(NamedTuple):
    """One run: of a scenario by a law, on an engine, or reduced as sweeps do."""

    scenario: Scenario
    law: Any
    how: str  #: "simpy", "auto" or "reduced"


def _family(rng: random.Random) -> list[Run]:
    """Runs of equal numbers, whose records differ in kind."""
    mean, shape = rng.choice([0.005, 0.02]), rng.choice([1.5, 2.5])
    start, end, factor = 0.5, rng.choice([1.0, 1.5]), rng.choice([2.0, 4.0])
    ones: list[Any] = [Constant(mean), Exponential(mean), Plain(mean), Uniform(mean)]
    twos: list[Any] = [
        Lognormal(mean, shape),
        Gamma(mean, shape),
        Pareto(mean, shape),
        Peaked(mean, shape),
    ]
    services = rng.choice([ones, twos])
    stalls: list[Any] = [Stall(start, end), Swap(start, end, ones[0]), Swap(start, end, ones[3])]
    factors: list[Any] = [kind(start, end, factor) for kind in (Step, Ramp, Spike)]
    consumers: list[Any] = [
        Blocking(),
        Async(0.001),
        Async(0.001, "completion"),
        Pool(1.0, 4.0),
        Pool(4.0),
    ]
    timers: list[TimerModel] = [IDEAL, IDEAL, TIMERS["linux"]]
    backends = [
        Backend(),
        Backend(servers=4.0),
        Backend(places=4.0, servers=1.0),
        Backend(slope=0.1),
    ]
    laws: list[Any] = [
        Halved(),
        Answering(),
        *(CONTROLLERS[name]() for name in ("fixed", "aimd", "netflix-aimd")),
    ]
    target, name = rng.choice([50.0, 100.0, 200.0]), rng.choice(["one", "other"])
    fixed = {
        "consumer": rng.choice(consumers),
        "backend": rng.choice(backends),
        "timer": rng.choice(timers),
    }
    law = rng.choice(laws)

    def member() -> Run:
        mine = law if rng.random() < 0.7 else rng.choice(laws)
        scenario = Scenario(
            name,
            rng.choice(services),
            target,
            2.0,
            disturbances=tuple(
                rng.choice(rng.choice([stalls, factors])) for _ in range(rng.randrange(3))
            ),
            late=rng.choice([Late(), DELAY]),
            network=rng.choice([None, None, *services]),
            poisson=float(rng.random() < 0.2),
            **fixed,
        )
        # A law of a user's is compiled in each process: those run as they are.
        how = (
            "simpy"
            if isinstance(mine, Halved | Answering)
            else rng.choice(["simpy", "auto", "auto", "reduced"])
        )
        return Run(scenario, mine, how)

    return [member() for _ in range(MEMBERS)]


def runs() -> list[Run]:
    """All runs, the same ones in every process."""
    rng = random.Random(46)
    return [run for _ in range(FAMILIES) for run in _family(rng)]


def pairs() -> list[tuple[int, int]]:
    """Which of them follow each other: two of one family, in random order."""
    families = [range(i * MEMBERS, (i + 1) * MEMBERS) for i in range(FAMILIES)]
    every = [pair for family in families for pair in itertools.combinations(family, 2)]
    return random.Random(47).sample(every, PAIRS)


def digest(run: Run) -> str:
    """A name for every byte that comes of a run."""
    found = hashlib.sha256()
    if run.how == "reduced":
        for column in reduced(run.scenario, run.law, 0, (0, 1)):
            found.update(column.tobytes())
        return found.hexdigest()
    trace = tpssim.simulate(run.scenario, run.law, engine=run.how)
    measures, phases = measured(trace)
    for column in (
        trace.scheduled,
        trace.released,
        trace.completed,
        trace.latency,
        trace.rate,
        trace.outcome,
    ):
        found.update(column.tobytes())
    found.update(np.array(list(measures.values())).tobytes())
    found.update(judge(trace, phases).word.encode())
    return found.hexdigest()


def _one_after_the_other(order: int) -> Iterator[tuple[int, str]]:
    every = runs()
    for pair in pairs():
        for number in pair[::order]:
            yield number, digest(every[number])


def _import_everything() -> None:
    for module in pkgutil.walk_packages(tpssim.__path__, "tpssim."):
        if module.name not in SCRIPTS:
            importlib.import_module(module.name)
    from numba import njit

    njit(lambda x: x + 1.0)(1.0)  # numba's own start, half a second of every child's time


def _forked(work: Callable[[], bytes], what: str) -> bytes:
    """What a process forked from this one comes to."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        with os.fdopen(writer, "wb") as said:
            said.write(work())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as said:
        found = said.read()
    _, status = os.waitpid(child, 0)
    if status:
        raise SystemExit(f"{what} ended with {status}")
    return found


def _digested(run: Run) -> bytes:
    return digest(run).encode()


def _load_compiled(every: list[Run]) -> None:
    """Load what is compiled for runs of each kind, which is most of a child's time.

    Nothing is run here: one child says of what types their arguments are.
    """
    functions: list[Any] = [
        fast(function, counted=False) for function in (general.run, collect, conclude, gather)
    ]

    def types_of() -> bytes:
        for how in ("simpy", "auto", "reduced"):
            digest(next(run for run in every if run.how == how))
        return pickle.dumps([function.signatures for function in functions])

    for function, found in zip(functions, pickle.loads(_forked(types_of, "types")), strict=True):
        for types in found:
            function.compile(types)


def _alone(numbers: list[int]) -> Iterator[tuple[int, str]]:
    _import_everything()
    every = runs()
    _load_compiled(every)
    for number in numbers:
        run = every[number]
        yield number, _forked(partial(_digested, run), f"run {number}, {run},").decode()


def main(mode: str, *given: str) -> None:
    numbers = [int(number) for number in given]
    if mode in ("ordered", "reversed"):
        found = _one_after_the_other(1 if mode == "ordered" else -1)
    elif mode == "alone":
        found = _alone(numbers or list(range(FAMILIES * MEMBERS)))
    else:
        found = ((number, digest(runs()[number])) for number in numbers)
    for number, name in found:
        print(number, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
