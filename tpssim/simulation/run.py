"""One run of a controller on a scenario (`simulate`), by the engine that can."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tpssim.controllers.article import PRINTED, SPIN_THRESHOLD, TWINS
from tpssim.core.errors import InputError
from tpssim.core.schedule import BURST
from tpssim.core.timer_models import IDEAL
from tpssim.core.types import VERSION
from tpssim.core.validation import checked_count
from tpssim.scenarios.capacity import check_calls
from tpssim.scenarios.disturbances import Swap
from tpssim.scenarios.plant import Async, Blocking
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Exponential, Lognormal
from tpssim.simulation import simpy_engine
from tpssim.simulation.compiled import engine as fast
from tpssim.simulation.compiled import printed
from tpssim.simulation.compiled.compiling import compiles
from tpssim.simulation.faulty_laws import explained
from tpssim.simulation.hosting import runner, user_code
from tpssim.simulation.oracle import Oracle, bounded
from tpssim.simulation.resolve import ControllerLike, ThrottleSpec, scenario_named, throttle_spec
from tpssim.simulation.trace import Trace

ENGINES = ("auto", "simpy", "compiled")


def simulate(
    scenario: Scenario | str,
    controller: ControllerLike,
    *,
    seed: int = 0,
    replication: int = 0,
    engine: str = "auto",
) -> Trace:
    """One run. Equal arguments give equal bits; `replication` picks the noise of one run of
    `compare`.

    `engine`: `simpy` is the reference, `compiled` gives the same bits (and takes no code that waits
    by itself), `auto` takes the fast one where it can. `trace.meta["engine"]` tells which ran.
    Raises `InputError` for anything that cannot be used.

    >>> trace = simulate("blocking-steady:duration=2", "aimd")
    >>> trace.scenario.duration
    2.0
    """
    if engine not in ENGINES:
        raise InputError(f"there is no engine {engine!r}; allowed: {', '.join(ENGINES)}")
    checked_count("seed", seed, 0)
    checked_count("replication", replication, 0)
    named, spec = scenario_named(scenario), throttle_spec(controller)
    check_calls(named)
    check_hostable(named, spec)
    if engine == "compiled":
        _check_compilable(spec)
    return run_once(named, spec, seed, replication, engine)


def check_hostable(scenario: Scenario, spec: ThrottleSpec) -> None:
    """Refuse a throttle that waits by itself where the scenario cannot host it; raises
    `InputError`.
    """
    if spec.law is None:
        runner.refuse_unhosted(scenario, spec.label)


def _check_compilable(spec: ThrottleSpec) -> None:
    if spec.law is None:
        raise InputError(
            f"{spec.label} waits by itself and cannot be compiled; allowed: engine simpy or auto"
        )


def run_once(
    scenario: Scenario, spec: ThrottleSpec, seed: int, replication: int, engine: str = "auto"
) -> Trace:
    meta = _meta(spec, seed, replication)
    if spec.code is not None:
        return user_code.simulate(scenario, spec.code, seed, replication, meta)
    if spec.law is None:
        throttle = PRINTED[spec.name]
        if engine == "auto" and runner.stands_alone(scenario):
            return runner.simulate_alone(
                scenario, throttle, seed, replication, {**meta, "engine": "direct"}
            )
        return runner.simulate(scenario, runner.printed(throttle), seed, replication, meta)
    if isinstance(spec.law, Oracle):
        met, law = bounded(scenario)
        return _by_law(met, spec._replace(law=law), seed, replication, engine)._replace(
            scenario=scenario
        )
    return _by_law(scenario, spec, seed, replication, engine)


def _by_law(
    scenario: Scenario, spec: ThrottleSpec, seed: int, replication: int, engine: str
) -> Trace:
    """One run of a law, by the engine that can."""
    meta = _meta(spec, seed, replication)
    run = simpy_engine.simulate
    if engine == "compiled" or (engine == "auto" and compiles):
        run = fast.simulate
    try:
        return run(scenario, spec.law, seed, replication, meta)
    except InputError:
        raise
    except Exception as error:  # a law's own
        compiled = run is fast.simulate
        found = explained(
            error, scenario, spec.law, seed, [replication] if compiled else [], spec.label
        )
        if found is error:
            raise
        raise found from None


def _meta(spec: ThrottleSpec, seed: int, replication: int) -> dict[str, Any]:
    return {
        "controller": spec.name,
        "parameters": spec.parameters(),
        "seed": seed,
        "replication": replication,
        "engine": "simpy",
        "version": VERSION,
    }


def has_twin(scenario: Scenario, spec: ThrottleSpec) -> bool:
    """Whether there is compiled code that equals a printed throttle to the bit here: a law, for
    producers that make each call once on the ideal timer, or `compiled.printed`.

    Whether numba is there does not matter: a comparison is the same with it and without.
    """
    return spec.name in PRINTED and (equals_law(scenario, spec) or runner.stands_alone(scenario))


def equals_law(scenario: Scenario, spec: ThrottleSpec) -> bool:
    """Whether that compiled code is the law's."""
    producers = scenario.producers
    if spec.name not in TWINS or scenario.timer != IDEAL:
        return False
    waits = observes_alike(scenario, "printed-aimd")
    if len(producers) > 1 and not (waits and _never_ties(scenario)):
        return False
    alike = all(one.target is None and one.law is None for one in producers)
    once = fast.is_lean(scenario._replace(producers=producers[:1]))
    return alike and once and observes_alike(scenario, spec.name)


def _never_ties(scenario: Scenario) -> bool:
    """Whether no two calls are answered at the same time, when code that waits by itself releases
    in the order of the answers and a law in the order of the producers.
    """
    service, late = scenario.service, scenario.tick > 0.0 or scenario.grid > 0.0
    drawn = isinstance(service, Exponential) or (isinstance(service, Lognormal) and service.cv > 0)
    return drawn and not late and not any(isinstance(d, Swap) for d in scenario.disturbances)


def observes_alike(scenario: Scenario, printed: str) -> bool:
    """Whether the law that equals a printed throttle sees what that one times: from one return of
    its own thread to the next. Where calls overlap a law sees their completions instead.
    """
    consumer = scenario.consumer
    by_handoff = isinstance(consumer, Async) and consumer.feedback == "handoff"
    return TWINS[printed] == "fixed" or by_handoff or isinstance(consumer, Blocking)


def run_twin(scenario: Scenario, spec: ThrottleSpec, seed: int, replication: int) -> Trace:
    """The run of a printed throttle, by what equals it (`has_twin`)."""
    if equals_law(scenario, spec):
        # A printed throttle makes up for everything; throttle 2 does not spin.
        spin = 0.0 if spec.name == "printed-schedule" else SPIN_THRESHOLD
        plant = scenario._replace(spin_threshold=spin, late=BURST)
        trace = run_once(plant, throttle_spec(TWINS[spec.name]), seed, replication)
        return _spun_since_the_start(trace, spin)
    return printed.simulate(scenario, spec.name, seed, replication, _meta(spec, seed, replication))


def _spun_since_the_start(trace: Trace, spin: float) -> Trace:
    """A law's run with the spinning of a printed throttle, whose clock runs from the start of its
    producer: it waits for its first slot no longer.
    """
    scenario, each = trace.scenario, []
    if len(scenario.producers) == 1 and scenario.producers[0].start == 0.0:
        return trace
    consumer = scenario.consumer
    for index, producer in enumerate(scenario.producers):
        mine = trace.producer == index
        free = trace.completed[mine]
        if isinstance(consumer, Async):
            free = trace.released[mine] + consumer.handoff
        waits = trace.scheduled[mine] - np.concatenate([[producer.start], free[:-1]])[: len(free)]
        each.append(float(np.cumsum([0.0, *np.minimum(waits, spin).clip(0.0)])[-1]))
    return trace._replace(meta={**trace.meta, "spun": math.fsum(each)})
