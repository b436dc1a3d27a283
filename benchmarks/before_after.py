"""This tree beside another checkout: what the other benchmarks time, alternated within one run.

    python benchmarks/before_after.py OTHER [--rounds 40] [--only NAME ...] [--smoke]

OTHER is a folder that holds a `tpssim`: the tree before a change (`git worktree add ../before
COMMIT`), one of before 0.1.0 too, for only public names and built-in scenarios are used. Each tree
works in a process of its own; every round runs each task once in both, in turns as to who is
first, on noise of its own. A task that the other does not have is left out, by name. Printed is
the ratio of the medians, this tree / the other, with the interval between the 2.5 and 97.5 %
points of a paired bootstrap. Exit code 1 if an interval lies above 1.03. `--smoke`: three short
rounds against this tree itself, which shows that every task runs and says nothing about speed.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent.parent
MOST = 1.03
Task = Callable[[int], object]


class OwnService(NamedTuple):
    """A service as a user writes one."""

    mean: float

    def noise(self) -> str:
        return "uniform"

    def times(self, draws: Any) -> Any:
        import numpy as np

        return -self.mean * np.log1p(-draws)


class OwnState(NamedTuple):
    rate: float
    limit: float
    reject: float


class OwnLaw(NamedTuple):
    """A law as a user writes one."""

    share: float = 0.9

    def init(self, target: float) -> OwnState:
        return OwnState(target, math.inf, 0.0)

    def update(self, state: OwnState, obs: Any) -> OwnState:
        return OwnState(min(obs.target, self.share / max(obs.latency, 1e-6)), math.inf, 0.0)


def kind(name: str) -> Any:
    """A class of records by its name, from a built-in scenario that has one: trees of before 0.1.0
    have them in other modules, and not among the public names.
    """
    import tpssim

    for scenario in tpssim.SCENARIOS.values():
        for part in scenario:
            if type(part).__name__ == name:
                return type(part)
    raise SystemExit(f"no built-in scenario of {tpssim.__file__} has a {name}")


def compiled_tasks(share: float) -> dict[str, Task]:
    """`engine_speed.py`: long runs, short runs with their measures, a sweep, a slider."""
    import tpssim

    scenario, constant, lognormal = tpssim.Scenario, kind("Constant"), kind("Lognormal")
    feedback = kind("Async")(0.0, "completion")
    calls = 200_000 * share
    eight = scenario("M/M/8", OwnService(1.0), 6.4, calls / 6.4, feedback)._replace(
        backend=kind("Backend")(servers=8.0), poisson=1.0
    )
    blocking = scenario("b", constant(0.0005), 500.0, calls / 500.0)
    degrade = f"degrade-recover:duration={calls / 30.0:.0f}"
    small = scenario("s", lognormal(0.01, 0.5), 200.0, 50.0)  # about 5,000 calls
    long = tpssim.simulate(blocking, "ewma-deadzone")
    own = small._replace(service=OwnService(0.01))
    grid = [0.02 + 0.02 * i for i in range(20)]

    def run(plant: Any, law: str) -> Task:
        return lambda k: tpssim.simulate(plant, law, seed=k, engine="compiled")

    def short(k: int) -> None:
        for replication in range(10):
            tpssim.measure(tpssim.simulate(small, "aimd", seed=k, replication=replication))

    def own_classes(k: int) -> None:
        for replication in range(10):
            tpssim.measure(tpssim.simulate(own, OwnLaw(), seed=k, replication=replication))

    def slider(k: int) -> None:
        for law, name in (
            ("aimd", "dec_rate"),
            ("ewma-deadzone", "dec_rate"),
            ("headroom", "share"),
        ):
            tpssim.sweep(small, law, {name: [0.7 + 0.001 * k]}, replications=10)

    return {
        "compiled, blocking": run(blocking, "ewma-deadzone"),
        "compiled, degrade-recover": run(degrade, "ewma-deadzone"),
        "compiled, async with feedback": run(eight, "ewma-deadzone"),
        "compiled, M/M/8": run(eight, "fixed"),
        "measures of a long run": lambda k: tpssim.measure(long),
        "short runs and measures": short,
        "a user's law and service": own_classes,
        "sweep": lambda k: tpssim.sweep(
            small, "ewma-deadzone", {"alpha": grid}, replications=max(1, int(20 * share)), seed=k
        ),
        "slider": slider,
    }


def general_tasks() -> dict[str, Task]:
    """What trees of before 0.1.0 ran in simpy: several producers, timeouts, retries, a rate limit,
    silence.
    """
    import tpssim

    known, lognormal = tpssim.SCENARIOS, kind("Lognormal")(0.02, 0.5)
    handed, backend, retry = kind("Async")(0.0, "completion"), kind("Backend"), kind("Retry")
    plain = tpssim.Scenario("plain", lognormal, 200.0, 30.0, handed)._replace(
        backend=backend(servers=8.0)
    )
    plants = {
        "several producers": known["join-leave"],
        "timeouts": known["constant-timeouts"],
        "retries": plain._replace(
            backend=backend(servers=8.0, failure=0.1), retry=retry(attempts=3.0)
        ),
        "a rate limit": known["fast-errors"],
        "silence": plain._replace(
            timeout=1.0, backend=backend(servers=2.0, places=4.0, silent=1.0)
        ),
    }

    def run(plant: Any) -> Task:
        return lambda k: tpssim.simulate(plant, "aimd", seed=k)

    return {f"once in simpy, {name}": run(plant) for name, plant in plants.items()}


def prepare() -> None:
    """Compile the own loop of each law that is timed: in this tree long runs get it as they go, in
    older ones the first run has it.
    """
    import tpssim

    try:
        from tpssim.simulation.compiled.engine import prepare as compile_loop
    except ImportError:
        return
    laws = [tpssim.CONTROLLERS[n]() for n in ("ewma-deadzone", "fixed", "aimd", "headroom")]
    for law in [*laws, OwnLaw()]:
        compile_loop(tpssim.SCENARIOS["blocking-steady"], law)


def other_tasks(share: float) -> dict[str, Task]:
    """`simpy_overhead.py`, `live_pacing.py`, and a comparison as people run it."""
    import tpssim

    calls = 20_000 * share
    paced = tpssim.Scenario("paced", kind("Constant")(0.0005), 500.0, calls / 500.0)
    feedback = kind("Async")(0.0, "completion")
    service = kind("Lognormal")(0.005, 0.5)
    queued = tpssim.Scenario("async", service, 500.0, calls / 500.0, feedback)

    def released(k: int) -> None:
        for _ in tpssim.throttle(range(int(100_000 * share)), 1e6):
            pass

    scenarios, laws = (
        ["blocking-steady:duration=20", "degrade-recover"],
        ["printed-aimd", "aimd", "headroom"],
    )
    return {
        "simpy, blocking": lambda k: tpssim.simulate(
            paced, "ewma-deadzone", seed=k, engine="simpy"
        ),
        "simpy, async": lambda k: tpssim.simulate(queued, "fixed", seed=k, engine="simpy"),
        "throttle, as fast as it can": released,
        "compare": lambda k: tpssim.compare(scenarios, laws, replications=2, seed=k),
        "import, in a process": lambda k: subprocess.run(
            [sys.executable, "-c", "import tpssim"], check=True
        ),
    }


def explore_tasks() -> dict[str, Task]:
    """`explore_speed.py`; none where the tree has no such module, for what a slider calls is not
    public.
    """
    try:
        from tpssim.experiments.explore import Choice, verdict_text, view
    except ModuleNotFoundError as error:
        if not str(error.name).startswith("tpssim"):
            raise
        return {}

    def moved(k: int) -> None:
        choice = Choice(alpha=0.02 + 0.001 * k)
        verdict_text(view(choice), choice)

    return {"explore, a move": moved}


def work(folder: Path, share: float) -> None:
    """Run the tasks that are asked for on stdin, one a line, and answer with their seconds."""
    import tpssim

    assert Path(tpssim.__file__).resolve().is_relative_to(folder.resolve()), tpssim.__file__
    tasks = compiled_tasks(share) | general_tasks() | other_tasks(share) | explore_tasks()
    if share == 1.0:
        prepare()
    print(*tasks, sep="\t", flush=True)
    for line in sys.stdin:
        name, number = line.rstrip("\n").split("\t")
        began = time.perf_counter()
        tasks[name](int(number))
        print(time.perf_counter() - began, flush=True)


class Tree:
    """A checkout at work in a process of its own."""

    def __init__(self, folder: Path, share: float) -> None:
        environment = {**os.environ, "PYTHONPATH": str(folder)}
        command = [sys.executable, __file__, str(folder), "--work", str(share)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, text=True, env=environment, cwd=folder
        )
        self.tasks = self._answer().split("\t")

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(
                f"a process ended with {self.process.wait()}; what it said stands above"
            )
        return line.rstrip("\n")

    def seconds(self, task: str, number: int) -> float:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{task}\t{number}\n")
        self.process.stdin.flush()
        return float(self._answer())

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def ratio_of_medians(ours: list[float], theirs: list[float]) -> tuple[float, float, float]:
    """The ratio, and the 95 % interval of a bootstrap over rounds."""
    import numpy as np
    from scipy.stats import bootstrap

    def ratio(a: Any, b: Any, axis: int = -1) -> Any:
        return np.median(a, axis=axis) / np.median(b, axis=axis)

    found = bootstrap(
        (ours, theirs), ratio, paired=True, method="percentile", rng=0, n_resamples=2000
    )
    low, high = found.confidence_interval
    return float(ratio(ours, theirs)), float(low), float(high)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("other", nargs="?", type=Path, metavar="OTHER")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--only", nargs="+", metavar="NAME")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--work", type=float, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work is not None:
        work(args.other, args.work)
        return 0
    folder = HERE if args.smoke else args.other
    if folder is None or not (folder / "tpssim" / "__init__.py").is_file():
        parser.error(
            f"OTHER is {str(folder or 'missing')!r}; allowed: a folder that holds a tpssim"
        )
    if args.rounds < 2:  # a bootstrap takes two
        parser.error(f"--rounds {args.rounds}; allowed: at least 2")
    rounds, share = (3, 0.02) if args.smoke else (args.rounds, 1.0)
    here = Tree(HERE, share)
    if unknown := [name for name in args.only or () if name not in here.tasks]:
        here.close()
        parser.error(f"--only {unknown[0]!r}; allowed: {', '.join(here.tasks)}")
    other = Tree(folder.resolve(), share)
    chosen = here.tasks if args.only is None else args.only
    for task in chosen:
        if task not in other.tasks:
            print(f"left out, for the other has no such task: {task}", flush=True)
    slower = []
    print(
        f"{'this tree / the other':34}{'ratio':>8}{'95 % interval':>18}{'seconds':>10}", flush=True
    )
    for task in [task for task in chosen if task in other.tasks]:
        pairs = []
        for number in range(-1, rounds):  # the first compiles
            first, second = (here, other) if number % 2 else (other, here)
            times = {
                first: first.seconds(task, number + 1),
                second: second.seconds(task, number + 1),
            }
            pairs.append((times[here], times[other]))
        ours, theirs = (list(column) for column in zip(*pairs[1:], strict=True))
        ratio, low, high = ratio_of_medians(ours, theirs)
        slower += [task] if low > MOST else []
        print(
            f"{task:34}{ratio:8.3f}{low:9.3f} to {high:.3f}{sum(ours) / rounds:10.4f}", flush=True
        )
    here.close()
    other.close()
    if args.smoke:
        return 0
    print(f"slower than {MOST}: {', '.join(slower) or 'none'}")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
