"""Many runs of one law on one scenario, each reduced to its measures where it ran: what a sweep is
made of.

No trace leaves this module. The measures are those of `metrics.measure`, by the same functions.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim.core.errors import InputError
from tpssim.core.types import UNFINISHED, record
from tpssim.metrics.layout import (
    GRID,
    OPEN,
    Columns,
    Frame,
    Phase,
    Samples,
    one_of,
)
from tpssim.metrics.measure import METRICS, fairness, frame_of, measured, room_for, settled
from tpssim.metrics.order_statistics import conclude
from tpssim.metrics.places import (
    FAIRNESS,
    LIMITED,
    REFUSED_CALLS,
    TIME_TO_FAIRNESS,
)
from tpssim.metrics.single_pass import collect
from tpssim.metrics.verdicts import judge, word_of_run
from tpssim.output.verdict_words import WORDS
from tpssim.scenarios.disturbances import Swap
from tpssim.scenarios.plant import Backend
from tpssim.scenarios.scenario import Scenario, code
from tpssim.simulation import simpy_engine
from tpssim.simulation.compiled import engine, kernel
from tpssim.simulation.compiled.compiling import fast
from tpssim.simulation.compiled.kernel import Draws, Log
from tpssim.simulation.compiled.tables import log_of
from tpssim.simulation.faulty_laws import explained
from tpssim.simulation.trace import unsound

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MOST = 1_000_000  # numbers in one array of noise or samples


@record
class Reduced(NamedTuple):
    """What some replications came to, a row each."""

    values: Array  #: in the order of `METRICS`
    words: NDArray[np.int8]  #: verdicts, as positions in `WORDS`
    calls: NDArray[np.int64]


def gather(
    log: Log,
    n: int,
    producer: Any,
    cost: Array,
    frame: Frame,
    samples: Samples,
    lane: int,
    rows: Array,
    values: Array,
) -> None:
    """The first n rows of a log, reduced to the measures of that lane."""
    for i in range(n):
        if log.outcome[i] > UNFINISHED:
            log.outcome[i] = UNFINISHED
    columns = Columns(
        log.scheduled,
        log.released,
        log.completed,
        log.latency,
        log.rate,
        log.limit,
        log.outcome,
        producer,
        cost,
    )
    collect(columns, n, log.counters, frame, one_of(samples, lane), rows[lane], values[lane])


def reduced(scenario: Scenario, law: Any, seed: int, replications: Sequence[int]) -> Reduced:
    """The replications of those numbers, reduced to their measures.

    As the compiled engine runs them; what would be interpreted on a heap of events, one by one in
    the simpy model.
    """
    loop, every = engine.loop_for(scenario, law)
    if loop is None and not every:
        return _one_by_one(scenario, law, seed, replications)
    n = engine.expected_slots(scenario)
    at_once = max(1, MOST // max(n, len(frame_of(scenario).long) * GRID))
    batches = (tuple(replications[i : i + at_once]) for i in range(0, len(replications), at_once))
    parts = []
    for batch in batches:
        loop, every = engine.loop_for(scenario, law)  # its own may have been compiled meanwhile
        try:
            if loop is None:
                parts.append(_generally(scenario, law, seed, batch))
            else:
                parts.append(_side_by_side(loop, scenario, law, seed, batch, n))
        except InputError:
            raise
        except Exception as error:
            raise explained(error, scenario, law, seed, batch, type(law).__name__) from None
    return Reduced(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _one_by_one(scenario: Scenario, law: Any, seed: int, replications: Sequence[int]) -> Reduced:
    found = Reduced(
        np.empty((len(replications), len(METRICS))),
        np.empty(len(replications), np.int8),
        np.empty(len(replications), np.int64),
    )
    for i, replication in enumerate(replications):
        trace = simpy_engine.simulate(
            scenario, law, seed, replication, {"controller": type(law).__name__}
        )
        measures, phases = measured(trace)
        found.values[i] = list(measures.values())
        found.words[i] = WORDS.index(judge(trace, phases).word)
        found.calls[i] = len(trace.released)
    return found


def _noise_alone(scenario: Scenario) -> Scenario:
    """A scenario with the same noise, and nothing else in it that could tell it from another
    one.
    """
    swaps = tuple(d for d in scenario.disturbances if isinstance(d, Swap))
    failure = 1.0 if scenario.backend.failure > 0.0 else 0.0
    return Scenario(
        "", scenario.service, 1.0, 1.0, timer=scenario.timer, disturbances=swaps
    )._replace(backend=Backend(failure=failure), poisson=scenario.poisson, network=scenario.network)


@functools.lru_cache(maxsize=4)
def _noise(
    scenario: Scenario,
    own: tuple[str, ...],
    n: int,
    seed: int,
    replications: tuple[int, ...],
    *needed: bool,
) -> Draws:
    each = [
        engine.draws(scenario, own, n, seed, replication, *needed) for replication in replications
    ]
    columns: list[Any] = [np.stack(column) for column in zip(*each, strict=True)]
    return Draws(*columns)


def _generally(scenario: Scenario, law: Any, seed: int, replications: tuple[int, ...]) -> Reduced:
    """As the general loop runs them."""
    name, frame = {"controller": type(law).__name__}, frame_of(scenario)
    runs = []
    for replication in replications:
        _, every = engine.loop_for(scenario, law)  # a run has its own places for a law's numbers
        runs.append(engine.generally(scenario, law, every, seed, replication, name))
    values = np.empty((len(runs), len(METRICS)))
    rows = np.empty((len(runs), len(frame.long), len(Phase._fields)))
    calls = np.array([run.rows for run in runs], np.int64)
    samples = room_for(len(runs), max(int(calls.max()), 1), frame)
    reduce_one = fast(gather, counted=False)
    for lane, run in enumerate(runs):
        run.counters()
        reduce_one(
            run.room.log, run.rows, run.owners(), run.costs(), frame, samples, lane, rows, values
        )
    found = _concluded(samples, rows, values, calls)
    if len(scenario.producers) > 1:
        for lane, run in enumerate(runs):
            outcome, completed = (
                run.room.log.outcome[: run.rows],
                run.room.log.completed[: run.rows],
            )
            fair = fairness(scenario, outcome, completed, run.owners(), run.costs())
            values[lane, [FAIRNESS, TIME_TO_FAIRNESS]] = fair
    return found


def _side_by_side(
    run: Callable[..., int],
    scenario: Scenario,
    law: Any,
    seed: int,
    replications: tuple[int, ...],
    n: int,
) -> Reduced:
    """As the lean loop runs them, on noise that is drawn for all of them and kept."""
    setting, frame = engine.setting_of(scenario, law), frame_of(scenario)
    windowed, refuses = setting.sensor is not None, False
    memory, latencies = engine.memory_of(law, setting)
    runs = len(replications)
    values = np.empty((runs, len(METRICS)))
    rows = np.empty((runs, len(frame.long), len(Phase._fields)))
    calls = np.zeros(runs, np.int64)
    law_class: Any = type(law)
    reduce_one = fast(gather, counted=False)
    start, tables = law.init(scenario.target), engine.tables_of(scenario.disturbances)
    while True:
        noise = _noise(
            _noise_alone(scenario), code(scenario), n, seed, replications, windowed, refuses
        )
        samples, log = room_for(runs, n, frame), log_of(n)
        bench = engine.bench_of(scenario, n)
        producer, cost = np.zeros(n, np.int32), np.ones(n)
        for lane in range(runs):
            memory[:] = log.counters[:] = 0.0
            drawn = Draws(*(column[lane] for column in noise))
            done = run(law, start, *setting, drawn, tables, log, bench, memory, latencies)
            if done < 0:
                break
            reduce_one(log, done, producer, cost, frame, samples, lane, rows, values)
            calls[lane] = done
        if done >= 0:
            break
        if done <= kernel.UNSOUND:
            raise unsound(scenario, law_class.__name__, kernel.UNSOUND - done)
        refuses = refuses or done == kernel.NEEDS_REFUSALS
        n = n if done == kernel.NEEDS_REFUSALS else 2 * n
    return _concluded(samples, rows, values, calls)


def _concluded(samples: Samples, rows: Array, values: Array, calls: NDArray[np.int64]) -> Reduced:
    """The measures and verdicts of runs that were gathered."""
    fast(conclude, counted=False)(samples, settled(samples), rows, values)
    return Reduced(
        values,
        np.array([_word(*run) for run in zip(samples.sizes, values, rows, strict=True)], np.int8),
        calls,
    )


def _word(sizes: Array, values: Array, rows: Array) -> int:
    """What `verdicts.judge` says of a run of a law, as a position in `WORDS`."""
    phases = [Phase(*row) for row in rows.tolist()]
    word = word_of_run(bool(sizes[OPEN]), values[LIMITED], values[REFUSED_CALLS], phases)
    return WORDS.index(word)
