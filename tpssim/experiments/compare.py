"""Runs: one (`simulate`), or every throttle on every scenario with common random numbers
(`compare`).
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, as_completed
from typing import Any

from tpssim.controllers import CONTROLLERS
from tpssim.controllers.article import PRINTED, TWINS
from tpssim.core.errors import InputError
from tpssim.core.schedule import AUTO, BURST
from tpssim.core.validation import (
    MOST_COMPARED,
    MOST_KEPT,
    MOST_PROCESSES,
    check_size,
    checked_count,
)
from tpssim.experiments.comparison import Cell, Comparison, Run
from tpssim.experiments.executor import processes
from tpssim.experiments.league import SEED, League, acts
from tpssim.metrics.measure import measured
from tpssim.metrics.verdicts import judge
from tpssim.scenarios.builtin import CORE, SCENARIOS
from tpssim.scenarios.scenario import Scenario, check_calls, expected_slots
from tpssim.simulation.compiled import engine as fast
from tpssim.simulation.compiled.compiling import compiles
from tpssim.simulation.resolve import ControllerLike, ThrottleSpec, scenario_named, throttle_spec
from tpssim.simulation.run import as_twin, check_hostable, has_twin, run_once

#: What a comparison compares by default: the article's throttles as printed, and what mends
#: them.
DEFAULT_CONTROLLERS = (*PRINTED, "fixed", "aimd", "ewma-deadzone", "headroom")


def _measured(
    scenario: Scenario, spec: ThrottleSpec, seed: int, replications: int, keep: int
) -> list[Run]:
    """All replications of one pair, reduced to measures; the first `keep` traces are kept.

    A printed throttle cannot be compiled: its first replication is hosted, and where it has a twin
    that equals it to the bit, the others are the twin's (without a digest, since they prove
    nothing).
    """
    runs = []
    for replication in range(replications):
        hosted_here = replication == 0 or not has_twin(scenario, spec)
        if hosted_here:
            trace = run_once(scenario, spec, seed, replication)
        else:
            trace = run_once(
                as_twin(scenario, spec), throttle_spec(TWINS[spec.name]), seed, replication
            )
        measures, phases = measured(trace)
        digest = hashlib.sha256()
        for column in (trace.scheduled, trace.released, trace.completed, trace.rate):
            digest.update(column.tobytes())
        runs.append(
            Run(
                measures,
                phases,
                judge(trace, phases),
                len(trace.released),
                digest.hexdigest() if hosted_here else "",
                trace if replication < keep else None,
            )
        )
    return runs


def compare(
    scenarios: Iterable[Scenario | str] | Scenario | str | None = None,
    controllers: Iterable[ControllerLike] | ControllerLike | None = None,
    *,
    replications: int = 5,
    seed: int = 0,
    keep: int = 1,
    workers: int = 1,
    executor: Executor | None = None,
    progress: Callable[[int, int, float], None] | None = None,
) -> Comparison:
    """Every controller on every scenario, `replications` times, all of them under the same noise.

    `None` means the scenarios of `CORE`, or the `DEFAULT_CONTROLLERS` (the printed ones among them
    only with the late policies `burst`, which is all that they know, and `auto`, the default). The
    traces of the first `keep` replications are kept. With `workers` > 1 the pairs run in that many
    processes (a script needs the usual `if __name__ == "__main__"`), or on any `executor`; the
    result does not depend on it. `progress(done, total, share)` is called as pairs end, with the
    share of the work that is done. Raises `InputError` before anything runs.

    >>> result = compare("blocking-steady:duration=5", ["aimd", "headroom"], replications=2)
    >>> [label for _, label in result.cells]
    ['aimd', 'headroom']
    """
    _check_counts(replications, seed, workers)
    checked_count("keep", keep, 1)
    resolved = [scenario_named(s) for s in _listed(scenarios, CORE, Scenario)]
    hostable = all(scenario.late in (AUTO, BURST) and not scenario.poisson for scenario in resolved)
    default = [name for name in DEFAULT_CONTROLLERS if hostable or name not in PRINTED]
    specs = [throttle_spec(c) for c in _listed(controllers, default, tuple)]
    specs = [_distinguished(spec, specs) for spec in specs]
    _check_distinct("scenario", [scenario.name for scenario in resolved])
    _check_distinct("controller", [spec.label for spec in specs])
    pairs = [(scenario, spec) for scenario in resolved for spec in specs]
    cells = _run_pairs(pairs, replications, seed, keep, workers, executor, progress)
    return Comparison({scenario.name: scenario for scenario in resolved}, cells, seed, replications)


def league(
    scenarios: Iterable[Scenario | str] | Scenario | str | None = None,
    controllers: Iterable[ControllerLike] | ControllerLike | None = None,
    *,
    replications: int = 5,
    seed: int = SEED,
    workers: int = 1,
    executor: Executor | None = None,
    progress: Callable[[int, int, float], None] | None = None,
) -> League:
    """Every law on every scenario where its actuator acts, scored and ranked; no trace is kept.

    `None` means all built-in scenarios, or all laws. The seed is one that `tune` does not search on
    by default. Everything else is as in `compare`.
    """
    _check_counts(replications, seed, workers)
    resolved = [scenario_named(s) for s in _listed(scenarios, SCENARIOS, Scenario)]
    specs = [throttle_spec(c) for c in _listed(controllers, CONTROLLERS, tuple)]
    specs = [_distinguished(spec, specs) for spec in specs]
    _check_distinct("scenario", [scenario.name for scenario in resolved])
    _check_distinct("controller", [spec.label for spec in specs])
    pairs = [
        (scenario, spec)
        for scenario in resolved
        for spec in specs
        if acts(spec.actuators(), scenario)
    ]
    if not pairs:
        raise InputError(
            "no actuator of these laws acts on these scenarios; "
            "allowed: an async consumer or a pool"
        )
    cells = _run_pairs(pairs, replications, seed, 0, workers, executor, progress)
    return League(
        Comparison({scenario.name: scenario for scenario in resolved}, cells, seed, replications)
    )


def _check_counts(replications: int, seed: int, workers: int) -> None:
    checked_count("replications", replications, 1)
    checked_count("seed", seed, 0)
    checked_count("workers", workers, 1, MOST_PROCESSES)


def _run_pairs(
    pairs: Sequence[tuple[Scenario, ThrottleSpec]],
    replications: int,
    seed: int,
    keep: int,
    workers: int,
    executor: Executor | None,
    progress: Callable[[int, int, float], None] | None,
) -> dict[tuple[str, str], Cell]:
    """What became of each pair, by the names of both."""
    check_size("runs of a comparison", len(pairs) * replications, MOST_COMPARED, "5 kB of memory")
    for scenario, _ in pairs:
        check_calls(scenario)
    kept = (
        sum(expected_slots(scenario) * min(keep, replications) for scenario, _ in pairs)
        if keep
        else 0.0
    )
    check_size("calls in traces that are kept", kept, MOST_KEPT, "60 bytes of memory")
    for pair in pairs:
        check_hostable(*pair)
    jobs = [(scenario, spec, seed, replications, keep) for scenario, spec in pairs]
    shares = _Shares(jobs, progress)
    with contextlib.ExitStack() as stack:
        if executor is None and workers > 1:
            executor = stack.enter_context(processes(min(workers, len(jobs))))
        results = _in_turn(jobs, shares) if executor is None else _sent_out(executor, jobs, shares)
    return {
        (scenario.name, spec.label): Cell(spec.name, spec.parameters(), runs, spec.actuators())
        for (scenario, spec), runs in zip(pairs, results, strict=True)
    }


Job = tuple[Scenario, ThrottleSpec, int, int, int]

#: How many times as long as a compiled call one takes in simpy or in hosted code, about (it differs
#: by machine, law and scenario; it only weighs what is left to do).
INTERPRETED = 100.0


def expected_work(scenario: Scenario, spec: ThrottleSpec, replications: int) -> float:
    """What the runs of a pair take, about, in compiled calls.

    100 calls a second for 5 s, twice, each of them by code that waits by itself:

    >>> short, law = scenario_named("blocking-steady:duration=5"), throttle_spec("printed-sleep")
    >>> expected_work(short, law, 2)
    100000.0
    """
    here = [
        min(producer.end, scenario.duration) - producer.start for producer in scenario.producers
    ]
    calls = scenario.target * sum(here)
    slow = replications if spec.law is None or fast.refusal(scenario) or not compiles else 0
    if spec.law is None and has_twin(scenario, spec):
        slow = 1  # the others are the twin's
    return calls * (replications + slow * (INTERPRETED - 1.0))


class _Shares:
    """Tells how many of the jobs are done, and which share of the work."""

    def __init__(
        self, jobs: Sequence[Job], progress: Callable[[int, int, float], None] | None
    ) -> None:
        self.work = [
            expected_work(scenario, spec, replications)
            for scenario, spec, _, replications, _ in jobs
        ]
        self.progress = progress
        self.done, self.worked = 0, 0.0

    def ended(self, number: int) -> None:
        """The job of that number has ended."""
        self.done += 1
        self.worked += self.work[number]
        if self.progress is not None:
            self.progress(self.done, len(self.work), self.worked / sum(self.work))


def _in_turn(jobs: Sequence[Job], shares: _Shares) -> list[list[Run]]:
    results = []
    for number, job in enumerate(jobs):
        results.append(_measured(*job))
        shares.ended(number)
    return results


def _sent_out(executor: Executor, jobs: Sequence[Job], shares: _Shares) -> list[list[Run]]:
    futures = [executor.submit(_measured, *job) for job in jobs]
    numbers = {future: number for number, future in enumerate(futures)}
    try:
        for future in as_completed(futures):
            future.result()  # an error ends the comparison at once
            shares.ended(numbers[future])
    finally:
        for future in futures:
            future.cancel()
    return [future.result() for future in futures]


def _listed(given: Any, default: Iterable[str], single: type) -> Iterator[Any]:
    if given is None:
        yield from default
    elif isinstance(given, str | type | single) or callable(given):
        yield given
    else:
        yield from given


def _distinguished(spec: ThrottleSpec, specs: Sequence[ThrottleSpec]) -> ThrottleSpec:
    """Files of the same name in two folders are named in full."""
    alike = sum(other.label == spec.label for other in specs)
    return spec._replace(label=spec.name) if alike > 1 and spec.code is not None else spec


def _check_distinct(kind: str, names: Sequence[str]) -> None:
    if not names:
        raise InputError(f"no {kind} was given; allowed: at least one")
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{kind} {name!r} is given twice; allowed: once")
