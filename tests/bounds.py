"""Every compiled loop with its indices checked: `python tests/bounds.py [--quick]`.

It runs the tests of the engine under `NUMBA_BOUNDSCHECK=1`, and then random scenarios and laws with
extreme numbers (`extremes`): runs of 1e-3 to 1e6 s, rates of 1e-6 to 1e6 a second, 0, 1, 2 and many
calls, every field. Each is run by both engines, whose bits must agree, measured, and measured again
as a sweep does it. A draw that fails is printed with the options that repeat it. Code with checks
has a cache of its own.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

TESTS = Path(__file__).parent
SUITE = (
    "simulation/test_compiled_engine.py",
    "simulation/test_heap.py",
    "simulation/test_runner.py",
    "experiments/test_batch_runs.py",
    "metrics/test_measure.py",
    "core/test_window.py",
    "metrics/test_timeseries.py",
    "simulation/test_soundness.py",
)
#: Laws with what a kernel can have: memory and windows; admission, memory and refusals; a limit and
#: a rate.
QUICK = ("bbr", "gozero-breaker")
MOST, MANY, MANY_EACH = 400, 100, 50  # calls of a draw, about; so many times as many in each 50th
#: s of CPU time that one draw may take; an endless loop ends the command with a traceback.
PATIENCE = 120.0


class Counts(NamedTuple):
    draws: int = 0
    calls: int = 0
    lean: int = 0  #: of the draws, those that the lean loop takes, too
    failed: int = 0


def with_checks(arguments: list[str]) -> int:
    """The command again, in a process whose compiled code checks every index."""
    with tempfile.TemporaryDirectory() as folder:
        cache = os.environ.get("TPSSIM_BOUNDS_CACHE", folder)
        environment = os.environ | {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": cache}
        environment["PYTHONPATH"] = os.pathsep.join(
            [str(TESTS.parent), os.environ.get("PYTHONPATH", "")]
        )
        if "--quick" not in arguments and "--draw" not in arguments:
            suite = [
                sys.executable,
                "-m",
                "pytest",
                "-n",
                "0",
                *(str(TESTS / name) for name in SUITE),
            ]
            code = subprocess.run(suite, env=environment, cwd=TESTS.parent, check=False).returncode
            if code:
                return code
        command = [sys.executable, str(Path(__file__)), "--checked", *arguments]
        return subprocess.run(command, env=environment, check=False).returncode


def indices_are_checked() -> bool:
    import numba

    def beyond(values: Any) -> float:
        return float(values[len(values)])

    try:
        numba.njit(beyond)(np.zeros(2))
    except IndexError:
        return True
    return False


def equal(one: Any, other: Any) -> bool:
    return np.array_equal(np.asarray(one), np.asarray(other), equal_nan=True)


def tried(seed: int, name: str, k: int, most: int) -> tuple[str, int, bool]:
    """(what is wrong with draw k of a law, "" if nothing; its calls; whether the lean loop
    takes it, too).
    """
    from helpers import extremes

    from tpssim.controllers import CONTROLLERS
    from tpssim.experiments.sweep.batch_runs import reduced
    from tpssim.metrics.measure import measured
    from tpssim.metrics.places import FAIRNESS
    from tpssim.simulation import simpy_engine
    from tpssim.simulation.compiled import engine
    from tpssim.simulation.compiled.compiling import placed
    from tpssim.simulation.trace import COLUMNS, COUNTERS, first_unsound

    rng = random.Random(f"{seed} {name} {k}")
    scenario = extremes.scenario(rng, most)
    law = extremes.law(rng, CONTROLLERS[name](), scenario.duration)
    lean = engine.is_lean(scenario)
    try:
        slow = simpy_engine.simulate(scenario, law, seed, k, {})
        places: Any = [placed(*ruled) for ruled in engine.ruled(scenario, law)]
        traces = [slow, engine.generally(scenario, law, places, seed, k, {}).trace({})]
        if lean:
            engine.prepare(scenario, law)
            traces.append(engine.simulate(scenario, law, seed, k, {}))
        found = [list(measured(trace)[0].values()) for trace in traces]
        lane = reduced(scenario, law, seed, [k]).values[0]
    except Exception as error:
        return f"{type(error).__name__}: {error}\n  {scenario}\n  {law}", 0, lean
    wrong = []
    for trace in traces[1:]:
        wrong += [c for c in COLUMNS if not equal(getattr(trace, c), getattr(slow, c))]
        wrong += [c for c in COUNTERS if trace.meta[c] != slow.meta[c]]
        wrong += ["the compiled trace"] if first_unsound(trace) >= 0 else []
    wrong += ["measures"] if not all(equal(other, found[0]) for other in found) else []
    wrong += ["measures of a sweep"] if not equal(lane[:FAIRNESS], found[0][:FAIRNESS]) else []
    message = f"not alike: {', '.join(wrong)}\n  {scenario}\n  {law}" if wrong else ""
    return message, len(slow.released), lean


def drawn(laws: list[str], numbers: Sequence[int], most: int, seed: int) -> Counts:
    """The draws of those numbers of each law."""
    counts = Counts()
    faulthandler.register(signal.SIGPROF, chain=True)
    for name in laws:
        for k in numbers:
            signal.setitimer(signal.ITIMER_PROF, PATIENCE)
            print(f"\r--laws {name} --draw {k} --seed {seed} ", end="", file=sys.stderr, flush=True)
            wrong, calls, lean = tried(seed, name, k, most if k % MANY_EACH else MANY * most)
            if wrong:
                print(f"\npython tests/bounds.py --laws {name} --draw {k} --seed {seed}\n  {wrong}")
            counts = Counts(
                counts.draws + 1,
                counts.calls + calls,
                counts.lean + lean,
                counts.failed + bool(wrong),
            )
    signal.setitimer(signal.ITIMER_PROF, 0.0)
    return counts


def main() -> int:
    from tpssim.controllers import CONTROLLERS

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="some draws of two laws, and no tests")
    parser.add_argument("--laws", nargs="+", choices=CONTROLLERS, help="these alone")
    parser.add_argument("--draws", type=int, default=100, help="of each law")
    parser.add_argument("--draw", type=int, help="this one alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checked", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.checked:
        return with_checks(sys.argv[1:])
    if not indices_are_checked():
        print("compiled code does not check its indices: NUMBA_BOUNDSCHECK=1 had no effect")
        return 1
    warnings.simplefilter("error")
    np.seterr(over="ignore", under="ignore")  # numbers at the ends of their ranges do
    laws = options.laws or list(QUICK if options.quick else CONTROLLERS)
    began = time.monotonic()
    numbers = (
        range(40 if options.quick else options.draws) if options.draw is None else [options.draw]
    )
    counts = drawn(laws, numbers, MOST, options.seed)
    print(
        f"\n{counts.draws:,} draws of {len(laws)} laws, {counts.lean:,} by the lean loop too, "
        f"{counts.calls:,} calls, {time.monotonic() - began:.0f} s: {counts.failed} failed"
    )
    return 1 if counts.failed or not counts.draws else 0


if __name__ == "__main__":
    sys.exit(main())
