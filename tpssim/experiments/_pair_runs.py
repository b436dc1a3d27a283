"""The runs of a comparison, pair by pair: who makes them, here or in other processes."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent import futures
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any

from tpssim.core.provenance import ours
from tpssim.core.validation import MOST_COMPARED, MOST_KEPT, check_size
from tpssim.experiments.cells import Cell, Run
from tpssim.experiments.executor import Beside, Helped, Shared, processes
from tpssim.metrics.measure import measured
from tpssim.metrics.order_statistics import conclude
from tpssim.metrics.single_pass import collect
from tpssim.metrics.verdicts import judge
from tpssim.scenarios.capacity import check_calls, expected_slots
from tpssim.scenarios.load import wanted_calls
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant
from tpssim.simulation.compiled import general, printed
from tpssim.simulation.compiled.compiling import compiles, kept_names, nothing_kept
from tpssim.simulation.compiled.engine import is_plain, loop_for
from tpssim.simulation.resolve import ThrottleSpec, throttle_spec
from tpssim.simulation.run import check_hostable, equals_law, has_twin, run_once, run_twin

if TYPE_CHECKING:
    from tpssim.simulation.trace import Trace

#: What became of each pair, by the names of both.
Cells = dict[tuple[str, str], Cell]

#: A pair, seed, replications, and of how many replications the traces are kept.
Job = tuple[Scenario, ThrottleSpec, int, int, int]

#: How many times as long as a compiled call one takes in simpy or in hosted code, about (it differs
#: by machine, law and scenario; it only weighs what is left to do).
INTERPRETED = 100.0
#: The same with measures, for which a compiled call takes longer than to run.
HOSTED = 10.0
#: Compiled calls, with their measures, that take about as long as a process needs to read compiled
#: code.
FEW = 2_000_000.0


def run_hosted(scenario: Scenario, spec: ThrottleSpec, seed: int, replications: int) -> list[Trace]:
    """The runs of code that waits by itself which nothing compiled can stand for: the first one
    where it has a twin, else all.
    """
    number = 1 if has_twin(scenario, spec) else replications
    return [run_once(scenario, spec, seed, replication) for replication in range(number)]


def measured_runs(
    scenario: Scenario,
    spec: ThrottleSpec,
    seed: int,
    replications: int,
    keep: int,
    hosted: Sequence[Trace] | None = None,
) -> list[Run]:
    """All replications of one pair, reduced to measures; the first `keep` traces are kept.

    A printed throttle is a generator, which cannot be compiled: its first replication is hosted,
    and where it has a twin that equals it to the bit, the others are the twin's (without a digest,
    since they prove nothing). `hosted`: those, if they have been run.
    """
    if hosted is None:
        hosted = run_hosted(scenario, spec, seed, replications) if spec.law is None else []
    once = run_once if spec.law is not None else run_twin
    runs = []
    for replication in range(replications):
        is_hosted = replication < len(hosted)
        trace = hosted[replication] if is_hosted else once(scenario, spec, seed, replication)
        measures, phases = measured(trace)
        kept = trace if replication < keep else None
        verdict, calls = judge(trace, phases), len(trace.released)
        own = is_hosted or spec.law is not None
        runs.append(Run(measures, phases, verdict, calls, digest(trace) if own else "", kept))
    return runs


def digest(trace: Trace) -> str:
    """By which runs are told to be equal."""
    found = hashlib.sha256()
    for column in (trace.scheduled, trace.released, trace.completed, trace.rate):
        found.update(column.tobytes())
    return found.hexdigest()


def run_pairs(
    pairs: Sequence[tuple[Scenario, ThrottleSpec]],
    replications: int,
    seed: int,
    keep: int,
    workers: int,
    executor: Executor | None,
    progress: Callable[[int, int, float], None] | None,
    compiling: Callable[[], None] | None,
    ended: Callable[[Scenario, Cells], None] | None = None,
) -> Cells:
    """What became of each pair, by the names of both; `ended` is called with those of a scenario
    when its last run has ended.
    """
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
    shares = _Shares(jobs, progress, ended)
    with contextlib.ExitStack() as stack:
        if executor is None and min(workers, len(jobs)) > 1:
            number = min(workers, len(jobs))
            executor = stack.enter_context(processes(number, helped=True))
        if executor is None:
            if compiling is not None and nothing_kept():
                compiling()
            for number, job in enumerate(jobs):
                shares.ended(number, measured_runs(*job))
        elif isinstance(executor, Helped) and is_divided(jobs, executor.workers + 1):
            _divided(executor, jobs, shares)
        else:
            compiled = _prepare(executor, pairs, compiling)
            order = in_turn(jobs, set(compiled))

            def wait(_: Scenario, spec: ThrottleSpec, *__: int) -> None:
                """A law that another process compiles is not compiled here too."""
                futures.wait([compiled[kind] for kind in [type(spec.law)] if kind in compiled])

            ordered = [jobs[number] for number in order]
            shared = Shared(executor, measured_runs, ordered, ahead=1, before=wait)
            for place in shared.ended():
                shares.ended(order[place], shared.result(place))
    return shares.cells(range(len(jobs)))


def is_divided(jobs: Sequence[Job], workers: int) -> bool:
    """Whether other processes run hosted code alone, and this one all that is compiled: no more
    than its share of the work of so many processes, or so little that they need not read compiled
    code, which is there.
    """
    compiled = sum(wanted_calls(job[0]) * job[3] for job in jobs)
    hosted = sum(HOSTED * wanted_calls(job[0]) for job in jobs if job[1].law is None)
    if not compiles or not hosted or compiled >= max(FEW, (compiled + hosted) / workers):
        return False
    laws: list[Any] = [type(job[1].law) for job in jobs if ours(type(job[1].law))]
    parts: list[Any] = [general.run, collect, conclude, *(law.update for law in laws)]
    if any(has_twin(*job[:2]) and not equals_law(*job[:2]) for job in jobs):
        parts.append(printed.run)
    return {f"{part.__module__}.{part.__qualname__}" for part in parts} <= kept_names()


def _divided(executor: Helped, jobs: Sequence[Job], shares: _Shares) -> None:
    """Hosted code in other processes, all that is compiled in this one; of a scenario first what
    waits for nobody. Hosted code that this process would wait for, it runs itself.
    """
    beside = Beside(executor)
    for number, job in enumerate(jobs):
        if job[1].law is None:
            beside.begin(number, run_hosted, *job[:4])
    order = {job[0].name: place for place, job in enumerate(jobs)}
    left = sorted(range(len(jobs)), key=lambda k: (order[jobs[k][0].name], k in beside.jobs))
    while left:
        chosen: int = beside.next_of(left)
        left.remove(chosen)
        hosted = beside.result(chosen) if chosen in beside.jobs else None
        shares.ended(chosen, measured_runs(*jobs[chosen], hosted))


def _prepare(
    executor: Executor,
    pairs: Sequence[tuple[Scenario, ThrottleSpec]],
    compiling: Callable[[], None] | None,
) -> dict[type, Future[Any]]:
    """Let one process compile the loop, another the measures, and each law whoever is free first:
    not each of them everything. After an installation that is most of the time. All find on disk
    what another has compiled. What fails here fails in a job too.

    Returned are, after an installation, the laws that a process still compiles, with its work.
    """
    if not compiles:
        return {}
    asking = next((s for s, _ in pairs if not is_plain(s)), pairs[0][0])
    laws = {type(spec.law): (s, spec) for s, spec in pairs if ours(type(spec.law))}
    tasks: list[tuple[Callable[..., None], tuple[Any, ...]]] = [(_run_first, (asking,))]
    # Those with the most parameters take longest, as a rule.
    ordered = sorted(laws.values(), key=lambda pair: -len(pair[1].law))
    tasks += [(_place_first, pair) for pair in ordered]
    looped = [pair for pair in pairs if has_twin(*pair) and not equals_law(*pair)]
    tasks += [(_twin_first, pair) for pair in looped[:1]]
    tasks.append((_measure_first, ()))
    new = False
    if compiling is not None:
        here = isinstance(executor, Helped)
        new = nothing_kept() if here else executor.submit(nothing_kept).result()
        if new:
            compiling()
    # Laws that another process compiles need not be there when the runs begin.
    needed, shared = {0, len(tasks) - 1}, Shared(executor, _begun, tasks)
    for number in shared.ended():
        needed.discard(number)
        if not needed and not shared.left:
            break
    begun = [(*tasks[number], sent) for number, sent in shared.begun().items()] if new else []
    return {type(given[1].law): sent for work, given, sent in begun if work is _place_first}


def in_turn(jobs: Sequence[Job], compiled: set[type]) -> list[int]:
    """The numbers of the jobs as they are to be taken, from both ends: in the middle those of laws
    that are being compiled, for which whoever takes one too soon would wait.
    """
    waiting = [number for number, job in enumerate(jobs) if type(job[1].law) in compiled]
    others = [number for number in range(len(jobs)) if number not in waiting]
    half = len(others) // 2
    return others[:half] + waiting + others[half:]


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


def expected_work(scenario: Scenario, spec: ThrottleSpec, replications: int) -> float:
    """What the runs of a pair take, about, in compiled calls.

    100 calls a second for 5 s, first by code that waits by itself, then by its compiled twin:

    >>> from tpssim.simulation.resolve import scenario_named
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
    """What has become of the jobs; tells how many are done, and which share of the work, and when
    those of a scenario are.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        progress: Callable[[int, int, float], None] | None,
        scenario_ended: Callable[[Scenario, Cells], None] | None,
    ) -> None:
        self.jobs, self.progress, self.scenario_ended = jobs, progress, scenario_ended
        self.work = [
            expected_work(scenario, spec, replications)
            for scenario, spec, _, replications, _ in jobs
        ]
        self.runs: dict[int, list[Run]] = {}
        self.worked = 0.0
        self._of: dict[str, list[int]] = {}
        for number, (scenario, *_) in enumerate(jobs):
            self._of.setdefault(scenario.name, []).append(number)

    def ended(self, number: int, runs: list[Run]) -> None:
        """The job of that number has ended."""
        self.runs[number] = runs
        self.worked += self.work[number]
        if self.progress is not None:
            self.progress(len(self.runs), len(self.work), self.worked / sum(self.work))
        scenario = self.jobs[number][0]
        numbers = self._of[scenario.name]
        if self.scenario_ended is not None and self.runs.keys() >= set(numbers):
            self.scenario_ended(scenario, self.cells(numbers))

    def cells(self, numbers: Iterable[int]) -> Cells:
        """What became of these pairs, by the names of both."""
        found = {}
        for number in numbers:
            scenario, spec, *_ = self.jobs[number]
            cell = Cell(spec.name, spec.parameters(), self.runs[number], spec.actuators())
            found[scenario.name, spec.label] = cell
        return found
