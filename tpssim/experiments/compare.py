"""Runs: one (`simulate`), or every throttle on every scenario with common random numbers
(`compare`).
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from tpssim.controllers import CONTROLLERS
from tpssim.controllers.article import PRINTED
from tpssim.core.errors import InputError
from tpssim.core.provenance import ours
from tpssim.core.validation import (
    MOST_COMPARED,
    MOST_KEPT,
    MOST_PROCESSES,
    check_size,
    checked_count,
)
from tpssim.experiments.cells import Cell, Run
from tpssim.experiments.comparison import Comparison
from tpssim.experiments.executor import Helped, Shared, processes
from tpssim.experiments.league import SEED, League, acts
from tpssim.metrics.measure import measured
from tpssim.metrics.score import checked_weights
from tpssim.metrics.verdicts import judge
from tpssim.scenarios.builtin import CORE, SCENARIOS
from tpssim.scenarios.capacity import check_calls, expected_slots
from tpssim.scenarios.load import wanted_calls
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant
from tpssim.simulation.compiled.compiling import compiles, nothing_kept
from tpssim.simulation.compiled.engine import is_plain, loop_for
from tpssim.simulation.hosting.runner import unhosted
from tpssim.simulation.oracle import NAME as ORACLE
from tpssim.simulation.resolve import ControllerLike, ThrottleSpec, scenario_named, throttle_spec
from tpssim.simulation.run import check_hostable, equals_law, has_twin, run_once, run_twin

#: What a comparison compares by default: the article's throttles as printed, and what mends
#: them.
DEFAULT_CONTROLLERS = (*PRINTED, "fixed", "aimd", "ewma-deadzone", "headroom")


def _measured(
    scenario: Scenario, spec: ThrottleSpec, seed: int, replications: int, keep: int
) -> list[Run]:
    """All replications of one pair, reduced to measures; the first `keep` traces are kept.

    A printed throttle is a generator, which cannot be compiled: its first replication is hosted,
    and where it has a twin that equals it to the bit, the others are the twin's (without a digest,
    since they prove nothing).
    """
    runs = []
    for replication in range(replications):
        hosted_here = replication == 0 or not has_twin(scenario, spec)
        once = run_once if hosted_here else run_twin
        trace = once(scenario, spec, seed, replication)
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
    compiling: Callable[[], None] | None = None,
) -> Comparison:
    """Every controller on every scenario, `replications` times, all of them under the same noise.

    `None` means the scenarios of `CORE`, or the `DEFAULT_CONTROLLERS` (the printed ones among them
    only where all scenarios can be put to code that keeps its own schedule). The
    traces of the first `keep` replications are kept. With `workers` > 1 the pairs run in that many
    processes (a script needs the usual `if __name__ == "__main__"`), or on any `executor`; the
    result does not depend on it. `progress(done, total, share)` is called as pairs end, with the
    share of the work that is done; `compiling()` before all of them if code is compiled first, as
    after an installation. Raises `InputError` before anything runs.

    >>> result = compare("blocking-steady:duration=5", ["aimd", "headroom"], replications=2)
    >>> [label for _, label in result.cells]
    ['aimd', 'headroom']
    """
    _check_counts(replications, seed, workers)
    checked_count("keep", keep, 1)
    resolved = [scenario_named(s) for s in _listed(scenarios, CORE, Scenario)]
    hostable = not any(unhosted(scenario) for scenario in resolved)
    default = [name for name in DEFAULT_CONTROLLERS if hostable or name not in PRINTED]
    specs = [throttle_spec(c) for c in _listed(controllers, default, tuple)]
    specs = [_distinguished(spec, specs) for spec in specs]
    _check_distinct("scenario", [scenario.name for scenario in resolved])
    _check_distinct("controller", [spec.label for spec in specs])
    pairs = [(scenario, spec) for scenario in resolved for spec in specs]
    cells = _run_pairs(pairs, replications, seed, keep, workers, executor, progress, compiling)
    return Comparison({scenario.name: scenario for scenario in resolved}, cells, seed, replications)


def league(
    scenarios: Iterable[Scenario | str] | Scenario | str | None = None,
    controllers: Iterable[ControllerLike] | ControllerLike | None = None,
    *,
    replications: int = 5,
    seed: int = SEED,
    weights: Mapping[str, float] | None = None,
    workers: int = 1,
    executor: Executor | None = None,
    progress: Callable[[int, int, float], None] | None = None,
    compiling: Callable[[], None] | None = None,
) -> League:
    """Every law on every scenario where its actuator acts, scored and ranked; no trace is kept.

    `None` means all built-in scenarios, or all laws. The seed is one that `tune` does not search on
    by default. `weights`: of the parts of the score, by name; 0 for those that are not named; None:
    `metrics.score.WEIGHTS`. The oracle plays beside the laws, for it is what they are measured by.
    Everything else is as in `compare`.
    """
    by_name = checked_weights(weights)
    _check_counts(replications, seed, workers)
    resolved = [scenario_named(s) for s in _listed(scenarios, SCENARIOS, Scenario)]
    specs = [throttle_spec(c) for c in _listed(controllers, CONTROLLERS, tuple)]
    specs = [_distinguished(spec, specs) for spec in specs if spec.name != ORACLE]
    _check_distinct("scenario", [scenario.name for scenario in resolved])
    _check_distinct("controller", [spec.label for spec in specs])
    pairs = [
        (scenario, spec)
        for scenario in resolved
        for spec in specs
        if acts(spec.actuators(), scenario)
    ]
    played = dict.fromkeys(scenario for scenario, _ in pairs)
    pairs += [(scenario, throttle_spec(ORACLE)) for scenario in played]
    if not pairs:
        raise InputError(
            "no actuator of these laws acts on these scenarios; "
            "allowed: an async consumer or a pool"
        )
    cells = _run_pairs(pairs, replications, seed, 0, workers, executor, progress, compiling)
    named = {scenario.name: scenario for scenario in resolved}
    return League(Comparison(named, cells, seed, replications), by_name)


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
    compiling: Callable[[], None] | None,
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
        if executor is None and min(workers, len(jobs)) > 1:
            number = min(workers, len(jobs))
            executor = stack.enter_context(processes(number, helped=True))
        if executor is not None:
            _prepare(executor, pairs, compiling)
        elif compiling is not None and nothing_kept():
            compiling()
        results = _in_turn(jobs, shares) if executor is None else _sent_out(executor, jobs, shares)
    return {
        (scenario.name, spec.label): Cell(spec.name, spec.parameters(), runs, spec.actuators())
        for (scenario, spec), runs in zip(pairs, results, strict=True)
    }


def _prepare(
    executor: Executor,
    pairs: Sequence[tuple[Scenario, ThrottleSpec]],
    compiling: Callable[[], None] | None,
) -> None:
    """Let one process compile the loop, another the measures, and each law whoever is free first:
    not each of them everything. After an installation that is most of the time. All find on disk
    what another has compiled. What fails here fails in a job too.
    """
    if not compiles:
        return
    asking = next((s for s, _ in pairs if not is_plain(s)), pairs[0][0])
    laws = {type(spec.law): (s, spec) for s, spec in pairs if ours(type(spec.law))}
    tasks: list[tuple[Callable[..., None], tuple[Any, ...]]] = [(_run_first, (asking,))]
    # Those with the most parameters take longest, as a rule.
    ordered = sorted(laws.values(), key=lambda pair: -len(pair[1].law))
    tasks += [(_place_first, pair) for pair in ordered]
    looped = [pair for pair in pairs if has_twin(*pair) and not equals_law(*pair)]
    tasks += [(_twin_first, pair) for pair in looped[:1]]
    tasks.append((_measure_first, ()))
    if compiling is not None:
        here = isinstance(executor, Helped)
        if nothing_kept() if here else executor.submit(nothing_kept).result():
            compiling()
    # Laws that another process compiles need not be there when the runs begin.
    needed, shared = {0, len(tasks) - 1}, Shared(executor, _begun, tasks)
    for number in shared.ended():
        needed.discard(number)
        if not needed and not shared.left:
            break


def _begun(work: Callable[..., None], given: tuple[Any, ...]) -> None:
    with contextlib.suppress(Exception):
        work(*given)


def _run_first(scenario: Scenario) -> None:
    run_once(scenario, throttle_spec("fixed"), 0, 0)


def _place_first(scenario: Scenario, spec: ThrottleSpec) -> None:
    loop_for(scenario, spec.law)


def _twin_first(scenario: Scenario, spec: ThrottleSpec) -> None:
    run_twin(scenario, spec, 0, 0)


def _measure_first() -> None:
    measured(
        run_once(
            Scenario("first", Constant(0.01), 10.0, 1.0), throttle_spec("fixed"), 0, 0, "simpy"
        )
    )


Job = tuple[Scenario, ThrottleSpec, int, int, int]

#: How many times as long as a compiled call one takes in simpy or in hosted code, about (it differs
#: by machine, law and scenario; it only weighs what is left to do).
INTERPRETED = 100.0


def expected_work(scenario: Scenario, spec: ThrottleSpec, replications: int) -> float:
    """What the runs of a pair take, about, in compiled calls.

    100 calls a second for 5 s, first by code that waits by itself, then by its compiled twin:

    >>> short, law = scenario_named("blocking-steady:duration=5"), throttle_spec("printed-sleep")
    >>> expected_work(short, law, 2)
    50500.0
    """
    calls = wanted_calls(scenario)
    slow = replications if spec.law is None or not compiles else 0
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
    shared = Shared(executor, _measured, jobs, ahead=1)
    for number in shared.ended():
        shares.ended(number)
    return shared.results()


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
