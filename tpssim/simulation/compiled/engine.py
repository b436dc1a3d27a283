"""The compiled engine: the same runs as `model`, to the bit, many times faster.

It takes what `refusal` does not name and runs `kernel` on noise drawn beforehand, compiled if numba
is there.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim.core.schedule import Late, on_grid
from tpssim.core.timer_models import IDEAL, TimerModel, late_wakeups
from tpssim.core.types import UNFINISHED, Controller, record
from tpssim.core.window import CAPACITY, Sensor, sensor_of
from tpssim.scenarios import service_times
from tpssim.scenarios.disturbances import Stall, Swap, factor_row, merged
from tpssim.scenarios.plant import Async, Backend, kind_of
from tpssim.scenarios.scenario import Scenario, check_calls, code
from tpssim.scenarios.scenario import expected_slots as slots_of
from tpssim.simulation.compiled import kernel
from tpssim.simulation.compiled.compiling import fast_for, was_compiled
from tpssim.simulation.compiled.kernel import SPARE, Draws, Log, Plan, Tables
from tpssim.simulation.trace import COUNTERS, Trace, unsound

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def refusal(scenario: Scenario) -> str:
    """What in a scenario the engine cannot express; "" if nothing."""
    asked = {
        f"{len(scenario.producers)} producers": len(scenario.producers) > 1,
        f"timeout={scenario.timeout:g}": scenario.timeout < math.inf,
        f"attempts={scenario.retry.attempts:g}": scenario.retry.attempts > 0.0,
        f"backend.rate={scenario.backend.rate:g}": scenario.backend.rate < math.inf,
        "silent=1": scenario.backend.silent > 0.0,
    }
    return ", ".join(what for what, is_asked in asked.items() if is_asked)


KEPT = 65_536  # draws; more of them are drawn faster than new memory is found to keep them in


#: Slots for the next run of a law on a scenario, from how many calls the last one made.
_took: dict[tuple[type, Scenario], int] = {}


@record
class Wanted(NamedTuple):
    """Which service times: a key, in which plain named tuples of a user's differ by their class
    too.
    """

    service: Any
    own: tuple[str, ...]  #: what of the user's own code decides them, as it is now
    n: int
    seed: int
    replication: int


def _make_times(wanted: Wanted) -> Array:
    service, _, *number = wanted
    return service_times.times_of(service, _drawn(service.noise(), *number))


_draw_once = functools.lru_cache(maxsize=64)(service_times.draws)
_make_times_once = functools.lru_cache(maxsize=64)(_make_times)


def _drawn(stream: str, n: int, seed: int, replication: int) -> Array:
    """Draws that other laws and points will ask for too."""
    return (_draw_once if n <= KEPT else service_times.draws)(stream, n, seed, replication)


def _times(service: Any, own: tuple[str, ...], n: int, seed: int, replication: int) -> Array:
    return (_make_times_once if n <= KEPT else _make_times)(
        Wanted(service, own, n, seed, replication)
    )


def delays(network: Any, n: int, seed: int, replication: int) -> Array:
    """How long each answer takes on its way, s."""
    noise = service_times.draws(f"network.{network.noise()}", n, seed, replication)
    return service_times.times_of(network, noise)


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
    times = [_times(service, own, n, seed, replication) for service in every]
    none = np.zeros(1)

    def drawn(stream: str, needed: bool = True, length: int = n) -> Array:
        return _drawn(stream, length, seed, replication) if needed else none

    timer = scenario.timer
    late = none
    if timer != IDEAL:
        sleeps = 2 * n + SPARE
        if timer.median == 0.0 and timer.spike == 0.0:
            late = np.zeros(sleeps)
        else:
            normal, uniform = (drawn(s, True, sleeps) for s in ("timer.normal", "timer.uniform"))
            late = np.asarray(late_wakeups(timer, normal, uniform), dtype=np.float64)
    return Draws(
        times[0][np.newaxis] if len(times) == 1 else np.stack(times),
        late,
        drawn(
            "law.uniform", True, 2 * n if windowed else n + 2
        ),  # a window is an observation of its own
        drawn("reject.uniform") if refuses else none[:0],
        drawn("gap.exponential", scenario.poisson > 0.0),
        drawn("failure.uniform", scenario.backend.failure > 0.0),
        none if scenario.network is None else delays(scenario.network, n, seed, replication),
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
        _rows([factor_row(d) for d in disturbances if not isinstance(d, Swap | Stall)], 5),
        _rows(merged([d for d in disturbances if isinstance(d, Stall)]), 2),
    )


def plan_of(scenario: Scenario, law: Any) -> Plan:
    """What a scenario and a law come to for the kernel."""
    consumer = scenario.consumer
    producer = scenario.producers[0]
    return Plan(
        consumer=kind_of(consumer),
        by_handoff=isinstance(consumer, Async) and consumer.feedback == "handoff",
        poisson=scenario.poisson > 0.0,
        admits=hasattr(law, "admit"),
        target=scenario.target,
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
    )


def simulate(
    scenario: Scenario, law: Controller[Any], seed: int, replication: int, meta: Mapping[str, Any]
) -> Trace:
    """One run; `meta["engine"]` says whether it was compiled."""
    run = fast_for(kernel.run, type(law))
    trace = _simulate(run, scenario, law, seed, replication, meta)
    return trace._replace(
        meta={**trace.meta, "engine": "compiled" if was_compiled(run) else "interpreted"}
    )


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


def log_of(n: int) -> Log:
    """Room for n rows."""
    # One block: the system hands out large ones in large pages, which is faster than writing to
    # them.
    columns: list[Any] = list(np.empty((7, n)))
    columns += [np.empty(n, np.int8), np.zeros(len(COUNTERS))]
    return Log(*columns)


def _simulate(
    run: Callable[..., int],
    scenario: Scenario,
    law: Any,
    seed: int,
    replication: int,
    meta: Mapping[str, Any],
) -> Trace:
    setting = setting_of(scenario, law)
    memory, latencies = memory_of(law, setting)
    most = expected_slots(scenario)
    # What the same law took before is a better guess, and noise is most of a long run.
    n = min(most, _took.get((type(law), scenario), most)) if most > KEPT else most
    windowed, refuses, own = setting.sensor is not None, False, code(scenario)
    while True:
        # Before there is room for what cannot be.
        noise = draws(scenario, own, n, seed, replication, windowed, refuses)
        log = log_of(n)
        tables = tables_of(scenario.disturbances)
        rows = run(law, law.init(scenario.target), *setting, noise, tables, log, memory, latencies)
        if rows >= 0:
            break
        if rows <= kernel.UNSOUND:
            name = str(meta.get("controller", type(law).__name__))
            raise unsound(scenario, name, kernel.UNSOUND - rows)
        # Begin again with more of what was missing.
        refuses = refuses or rows == kernel.NEEDS_REFUSALS
        n = n if rows == kernel.NEEDS_REFUSALS else 2 * n
        memory[:] = 0.0
    if most > KEPT:
        if len(_took) >= 64:
            _took.clear()
        _took[type(law), scenario] = math.ceil(1.1 * rows) + 1000
    outcome = log.outcome[:rows]
    outcome[outcome > UNFINISHED] = UNFINISHED
    counters = dict(zip(COUNTERS, log.counters.tolist(), strict=True))
    found: list[Any] = [column[:rows] for column in log[:7]]
    found += [outcome, np.zeros(rows, np.int32), scenario, {**meta, **counters}]
    return Trace(*found)
