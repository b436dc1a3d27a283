"""The tables of the general loop as a run begins, and how they grow."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tpssim.core.costs import unit_of
from tpssim.core.quota_windows import BOOK, Ceiling
from tpssim.core.quotas import ceiling_of
from tpssim.core.schedule import on_grid
from tpssim.core.target_path import TargetPath
from tpssim.core.timer_models import IDEAL
from tpssim.core.types import admits, since_arrival
from tpssim.core.window import opened, sensor_of
from tpssim.scenarios.load import arrives, mean_cost, target_of
from tpssim.scenarios.plant import Async, Pool, kind_of
from tpssim.scenarios.retries import JITTERS, RESERVE
from tpssim.scenarios.scenario import Producer, Scenario
from tpssim.scenarios.service_quotas import QuotaRow
from tpssim.simulation.compiled import observing
from tpssim.simulation.compiled.heap import Events
from tpssim.simulation.compiled.kernel import Log
from tpssim.simulation.compiled.laws import Placed
from tpssim.simulation.compiled.world import (
    SINCE_ARRIVAL,
    Backoff,
    Known,
    Rules,
)
from tpssim.simulation.trace import COUNTERS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def rules_of(scenario: Scenario) -> Rules:
    """What a scenario comes to for the loop."""
    consumer, retry, feedback = scenario.consumer, scenario.retry, scenario.feedback
    return Rules(
        consumer=kind_of(consumer),
        by_handoff=isinstance(consumer, Async) and consumer.feedback == "handoff",
        poisson=scenario.poisson > 0.0,
        networked=scenario.network is not None,
        period=0.0 if feedback is None else feedback.period,
        delay=0.0 if feedback is None else feedback.delay,
        late_news=feedback is not None,
        costed=scenario.cost is not None,
        unit=unit_of(mean_cost(scenario)),
        ideal=scenario.timer == IDEAL,
        duration=on_grid(scenario.duration, scenario.grid),
        handoff=consumer.handoff if isinstance(consumer, Async) else 0.0,
        workers=consumer.workers if isinstance(consumer, Pool) else 0.0,
        queue=consumer.queue if isinstance(consumer, Pool) else 0.0,
        threshold=scenario.spin_threshold,
        tick=scenario.tick,
        grid=scenario.grid,
        timeout=scenario.timeout,
        timer=scenario.timer,
        late=scenario.late,
        backend=scenario.backend._replace(quotas=()),
        retry=Backoff(
            attempts=retry.attempts,
            base=retry.base,
            growth=retry.growth,
            cap=retry.cap,
            jitter=JITTERS.index(retry.jitter),
            budget=retry.budget,
        ),
    )


def place(
    producer: Any, scenario: Scenario, index: int, law: Any, path: TargetPath, placed: Placed
) -> None:
    """A producer as it begins, with its law and its target."""
    known = scenario.producers[index]
    state = law.init(path.seen)
    producer.index, producer.start, producer.end = index, known.start, known.end
    producer.target, producer.seen_target = path.at(known.start), path.seen
    producer.varies, producer.arrives = int(path.varies), int(path.arrivals is not None)
    producer.moves = int(path.varies or bool(scenario.quotas))
    producer.piece, producer.path_n = path.piece, len(path.times)
    producer.rate, producer.limit, producer.reject = state.rate, state.limit, state.reject
    producer.update, producer.law, producer.state = placed.update, placed.law, placed.state
    producer.memory, producer.memory_size = placed.memory, placed.memory_size
    producer.admits = int(admits(law, path.arrivals is not None))
    if producer.admits and since_arrival(law):
        producer.admits = SINCE_ARRIVAL
    producer.admit = placed.admit or 0
    producer.previous = producer.due = producer.deadline = math.nan
    producer.waited_rate = producer.look_at = math.nan
    producer.closed_until, producer.cost, producer.tokens = -math.inf, 1.0, RESERVE
    producer.limited_slot, producer.idle = -1, 1
    if isinstance(scenario.consumer, Pool):
        producer.idle_workers = scenario.consumer.workers
    window = sensor_of(law)
    if window is not None:
        for name, value in zip(window._fields, window, strict=True):
            setattr(producer, name, value)
        producer.windowed = 1
    observing.keep(producer, opened(known.start))


def path_of(scenario: Scenario, producer: Producer) -> TargetPath:
    """The target of a producer over time."""
    arrivals = scenario.arrivals if arrives(scenario, producer) else None
    target, unit = target_of(scenario, producer), unit_of(mean_cost(scenario))
    return TargetPath(target, producer.start, 0.0, arrivals, unit)


def known_quotas(scenario: Scenario) -> Known:
    """The quotas that pacers know, with windows as a run begins."""
    n, quotas = len(scenario.producers), len(scenario.quotas)
    rows = [
        ceiling_of(q, producer.start) for producer in scenario.producers for q in scenario.quotas
    ]
    return Known(
        rows=np.array(rows, np.float64).reshape(n, quotas, len(Ceiling._fields)),
        times=np.zeros((n, quotas, 16)),
        weights=np.zeros((n, quotas, 16)),
        books=np.zeros((n, quotas, BOOK)),
    )


#: Places in the numbers of a quota, of a backend and known: whether its windows are fixed.
FIXED = QuotaRow._fields.index("fixed")
assert Ceiling._fields.index("fixed") == FIXED


def longer_rings(quotas: Any, entry: int) -> Any:
    """Quotas, of a backend or known, with twice as much room in each ring of a rolling window.

    The rings then begin at their first place; `entry`: where a book says where they begin.
    """
    rolling = quotas.rows[..., FIXED] == 0.0
    found = quotas._replace(
        times=np.concatenate([quotas.times, np.zeros_like(quotas.times)], axis=-1),
        weights=np.concatenate([quotas.weights, np.zeros_like(quotas.weights)], axis=-1),
    )
    for place in zip(*np.nonzero(rolling), strict=True):
        first = int(quotas.books[place][entry])
        for ring, before in ((found.times, quotas.times), (found.weights, quotas.weights)):
            ring[place][: before.shape[-1]] = np.roll(before[place], -first)
        quotas.books[place][entry] = 0.0
    return found


def doubled(column: Any) -> Any:
    """The column with as much room again."""
    return np.concatenate([column, np.zeros_like(column)])


def log_of(n: int) -> Log:
    """Room for n rows."""
    # One block: the system hands out large ones in large pages, which is faster than writing to
    # them.
    columns: list[Any] = list(np.empty((7, n)))
    columns += [np.empty(n, np.int8), np.zeros(len(COUNTERS))]
    return Log(*columns)


def longer_log(log: Log, rows: int, n: int) -> Log:
    """The log with room for n rows."""
    found = log_of(n)
    pairs: Any = zip(found[:8], log[:8], strict=True)
    for column, old in pairs:
        column[:rows] = old[:rows]
    return found


def events_of(n: int) -> Events:
    """Room for n events."""
    return Events(np.empty(n), np.empty(n, np.int64), np.empty(n, np.int64))
