"""The compiled engine: the same runs as the simpy model, to the bit, many times faster.

It takes every scenario. `kernel`, compiled for one law, runs what is lean, once it is there;
`general` runs everything. Without numba both run as they are.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim.core.schedule import Late, on_grid
from tpssim.core.timer_models import IDEAL, TimerModel
from tpssim.core.types import UNFINISHED, Controller, admits, record
from tpssim.core.window import CAPACITY, Sensor, sensor_of
from tpssim.scenarios.capacity import check_calls
from tpssim.scenarios.capacity import expected_slots as slots_of
from tpssim.scenarios.disturbances import OTHER, Background, Stall, Swap, factor_row, merged
from tpssim.scenarios.load import peak, profiles
from tpssim.scenarios.plant import Async, Backend, Pool, kind_of
from tpssim.scenarios.scenario import Scenario, code
from tpssim.simulation.compiled import compiling, general, kernel, noise
from tpssim.simulation.compiled.compiling import fast
from tpssim.simulation.compiled.general_engine import Run
from tpssim.simulation.compiled.heap import LINE, Events
from tpssim.simulation.compiled.kernel import SPARE, Bench, Draws, Plan, Tables
from tpssim.simulation.compiled.laws import Placed, as_it_is
from tpssim.simulation.compiled.noise import KEPT, Which
from tpssim.simulation.compiled.tables import log_of, path_of
from tpssim.simulation.trace import COUNTERS, Trace, unsound

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def is_plain(scenario: Scenario) -> bool:
    """Whether a scenario has nothing of `world.More`."""
    return (
        not any(isinstance(d, Background) for d in scenario.disturbances)
        and not profiles(scenario)
        and scenario.arrivals is None
        and not scenario.quotas
        and not scenario.backend.quotas
        and scenario.feedback is None
    )


def is_lean(scenario: Scenario) -> bool:
    """Whether a scenario asks for nothing beyond the lean loop: one producer, each call once."""
    backend = scenario.backend
    return (
        is_plain(scenario)
        and len(scenario.producers) == 1
        and scenario.producers[0].target is None
        and scenario.producers[0].law is None
        and scenario.timeout == math.inf
        and scenario.retry.attempts == 0.0
        and backend.rate == math.inf
        and backend.silent == 0.0
        and scenario.cost is None
        and backend.per_cost == 0.0
    )


#: Slots, and draws of all kinds, for the next run of a law on a scenario, from the last one.
_took: dict[tuple[type, Scenario], tuple[int, int]] = {}


def draws(
    scenario: Scenario,
    own: tuple[str, ...],
    n: int,
    seed: int,
    replication: int,
    windowed: bool,
    refuses: bool,
) -> Draws:
    """The first n draws of every stream that the run needs; `own`: `scenario.code` of it."""
    swaps = [d.service for d in scenario.disturbances if isinstance(d, Swap)]
    every: list[Any] = [scenario.service, *swaps]
    which = Which(n, seed, replication)
    times = [noise.times(service, own, which) for service in every]
    none = np.zeros(1)

    def drawn(stream: str, needed: bool = True, length: int = n) -> Array:
        return noise.drawn(stream, which._replace(n=length)) if needed else none

    timer = scenario.timer
    late = none
    if timer != IDEAL:
        late = noise.lateness(timer, which._replace(n=2 * n + SPARE))
    return Draws(
        times[0][np.newaxis] if len(times) == 1 else np.stack(times),
        late,
        drawn(
            "law.uniform", True, 2 * n if windowed else n + 2
        ),  # a window is an observation of its own
        drawn("reject.uniform") if refuses else none[:0],
        drawn("gap.exponential", scenario.poisson > 0.0),
        drawn("failure.uniform", scenario.backend.failure > 0.0),
        none if scenario.network is None else noise.delays(scenario.network, which),
    )


def expected_slots(scenario: Scenario) -> int:
    """As many slots as a run seldom exceeds (else it begins again with twice as many)."""
    check_calls(scenario)
    wanted = slots_of(scenario)
    # Six standard deviations more where the gaps are random.
    return math.ceil(wanted + (6.0 * math.sqrt(wanted) if scenario.poisson else 0.0)) + 2


def _rows(rows: list[Any], width: int) -> Array:
    return np.array(rows, dtype=np.float64).reshape(-1, width)


@functools.lru_cache(maxsize=256)
def tables_of(disturbances: tuple[Any, ...]) -> Tables:
    return Tables(
        max((d.end for d in disturbances), default=-math.inf),
        _rows([(d.start, d.end) for d in disturbances if isinstance(d, Swap)], 2),
        _rows([factor_row(d) for d in disturbances if not isinstance(d, OTHER)], 5),
        _rows(merged([d for d in disturbances if isinstance(d, Stall)]), 2),
    )


def plan_of(scenario: Scenario, law: Any) -> Plan:
    """What a scenario and a law come to for the kernel."""
    consumer = scenario.consumer
    producer, target = scenario.producers[0], peak(scenario)
    return Plan(
        consumer=kind_of(consumer),
        by_handoff=isinstance(consumer, Async) and consumer.feedback == "handoff",
        poisson=scenario.poisson > 0.0,
        admits=admits(law, False),
        target=target,
        duration=on_grid(scenario.duration, scenario.grid),
        start=producer.start,
        end=producer.end,
        handoff=getattr(consumer, "handoff", 0.0),
        workers=getattr(consumer, "workers", 0.0),
        queue=getattr(consumer, "queue", 0.0),
        threshold=scenario.spin_threshold,
        tick=scenario.tick,
        grid=scenario.grid,
        networked=scenario.network is not None,
        ideal=scenario.timer == IDEAL,
        bare=scenario.backend == Backend(),
        slack=slack_of(scenario.late, target),
    )


def slack_of(late: Late, target: float) -> float:
    """How late a release may be and leave the schedule where it is, whatever the rate, s.

    >>> slack_of(Late(seconds=0.1), 4.0)
    0.25
    """
    if late.skip > 0.0 or late.keep < math.inf:
        return -math.inf
    return max(late.seconds, 1.0 / target if target > 0.0 else math.inf)


def simulate(
    scenario: Scenario, law: Controller[Any], seed: int, replication: int, meta: Mapping[str, Any]
) -> Trace:
    """One run; `meta["engine"]` says whether it was compiled."""
    loop, every = loop_for(scenario, law)
    how = "interpreted" if loop is kernel.run or not (loop or every) else "compiled"
    meta = {**meta, "engine": how}
    if loop is not None:
        return _simulate(loop, scenario, law, seed, replication, meta)
    return generally(scenario, law, every, seed, replication, meta).trace(meta)


def loop_for(scenario: Scenario, law: Any) -> tuple[Callable[..., int] | None, list[Placed]]:
    """The lean loop if a run can take it now, else what the general loop calls for each producer,
    which is nothing where it is interpreted.
    """
    lean = is_lean(scenario)
    if lean:
        loop = compiling.specialised(law, lambda: _example(scenario, law))
        if loop is not None:
            return loop, []
    found = [compiling.placed(own, target) for own, target in ruled(scenario, law)]
    every = [at for at in found if at is not None]
    if len(every) == len(found):
        return None, every
    return (kernel.run if lean else None), []


def ruled(scenario: Scenario, law: Any) -> list[tuple[Any, float]]:
    """The law of each producer, and the target that it begins with."""
    return [
        (law if producer.law is None else producer.law, path_of(scenario, producer).seen)
        for producer in scenario.producers
    ]


def prepare(scenario: Scenario, law: Controller[Any]) -> None:
    """Compile what long runs of a law on a scenario take, which else comes as they go."""
    if is_lean(scenario):
        compiling.prepare(law, lambda: _example(scenario, law))


def _example(scenario: Scenario, law: Any) -> tuple[Any, ...]:
    """Arguments of the lean loop, small."""
    setting, none = setting_of(scenario, law), np.zeros(1)
    random = Draws(np.zeros((1, 1)), *[none] * (len(Draws._fields) - 1))
    tables, memory = tables_of(scenario.disturbances), memory_of(law, setting)
    return (
        law,
        law.init(scenario.target),
        *setting,
        random,
        tables,
        log_of(1),
        bench_of(scenario, 1),
        *memory,
    )


def generally(
    scenario: Scenario,
    law: Controller[Any],
    every: list[Placed],
    seed: int,
    replication: int,
    meta: Mapping[str, Any],
) -> Run:
    """One run by the general loop, interpreted if the law is placed nowhere."""
    loop = fast(general.run, counted=False) if every else general.run
    laws = ruled(scenario, law)
    most = expected_slots(scenario)
    # It goes on where that is too little.
    slots, numbers = _took.get((type(law), scenario), (min(most, KEPT), 0))
    n = min(most, slots)
    places = every or [as_it_is(own, target) for own, target in laws]
    run = Run(
        scenario, [own for own, _ in laws], places, Which(n, seed, replication), max(4 * n, numbers)
    )
    tables = tables_of(scenario.disturbances)
    full = not is_plain(scenario) or not every
    if not full and not compiling.is_there(loop, run.arguments(tables, False)):
        # Without what a plain scenario has not, the loop is compiled in half the time.
        full = compiling.is_there(loop, run.arguments(tables, True))
    if not run.go(loop, tables, full):
        name = str(meta.get("controller", type(law).__name__))
        raise unsound(scenario, name, int(run.room.world[0].number))
    _remember(law, scenario, most, run.slots, run.used)
    compiling.has_run(law, run.rows)
    return run


def _remember(law: Any, scenario: Scenario, most: int, slots: int, numbers: int) -> None:
    """How many slots a long run took: noise is most of it."""
    if most > KEPT:
        if len(_took) >= 64:
            _took.clear()
        _took[type(law), scenario] = math.ceil(1.1 * slots) + 1000, math.ceil(1.2 * numbers)


@record
class Setting(NamedTuple):
    """What the kernel wants to know of a scenario and a law, in its order."""

    plan: Plan
    timer: TimerModel
    late: Late
    backend: Backend
    sensor: Sensor | None


def setting_of(scenario: Scenario, law: Any) -> Setting:
    """What the kernel is given of a scenario and a law."""
    return Setting(
        plan_of(scenario, law),
        scenario.timer,
        scenario.late,
        scenario.backend,
        sensor_of(law),
    )


def memory_of(law: Any, setting: Setting) -> tuple[Array, Array]:
    """Room for what the law remembers, and for the latencies of a window."""
    memory = np.zeros(law.memory() if hasattr(law, "memory") else 1)
    return memory, np.zeros(1 if setting.sensor is None else CAPACITY)


def bench_of(scenario: Scenario, n: int) -> Bench:
    """Arrays for a run of n calls to work with."""
    consumer, servers = scenario.consumer, scenario.backend.servers
    pooled = isinstance(consumer, Pool)
    # No more calls are begun at once than there are callers.
    callers = n if isinstance(consumer, Async) else getattr(consumer, "workers", 1.0)
    places = LINE + int(min(callers, n))
    keys = np.empty(places, np.int64)
    return Bench(
        events=Events(at=np.empty(places), key=keys, tag=keys),
        slot_of=np.empty(n, np.int64),
        queue=np.empty(n if pooled else 1, np.int64),
        free_at=np.empty(int(servers) if servers < n else 1),
    )


def _simulate(
    run: Callable[..., int],
    scenario: Scenario,
    law: Any,
    seed: int,
    replication: int,
    meta: Mapping[str, Any],
) -> Trace:
    setting = setting_of(scenario, law)
    memory = memory_of(law, setting)
    most = expected_slots(scenario)
    # What the same law took before is a better guess, and noise is most of a long run.
    n = min(most, _took.get((type(law), scenario), (most, 0))[0]) if most > KEPT else most
    windowed, refuses, own = setting.sensor is not None, False, code(scenario)
    while True:
        # Before there is room for what cannot be.
        random = draws(scenario, own, n, seed, replication, windowed, refuses)
        log, bench = log_of(n), bench_of(scenario, n)
        tables = tables_of(scenario.disturbances)
        rows = run(law, law.init(scenario.target), *setting, random, tables, log, bench, *memory)
        if rows >= 0:
            break
        if rows <= kernel.UNSOUND:
            name = str(meta.get("controller", type(law).__name__))
            raise unsound(scenario, name, kernel.UNSOUND - rows)
        # Begin again with more of what was missing.
        refuses = refuses or rows == kernel.NEEDS_REFUSALS
        n = n if rows == kernel.NEEDS_REFUSALS else 2 * n
        memory[0][:] = 0.0
    _remember(law, scenario, most, rows, 0)
    outcome = log.outcome[:rows]
    outcome[outcome > UNFINISHED] = UNFINISHED
    counters = dict(zip(COUNTERS, log.counters.tolist(), strict=True))
    found: list[Any] = [column[:rows] for column in log[:7]]
    found += [outcome, np.zeros(rows, np.int32), np.ones(rows), scenario, {**meta, **counters}]
    return Trace(*found)
