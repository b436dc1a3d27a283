"""One run of a controller on a scenario (`simulate`), by the engine that can."""

from __future__ import annotations

from tpssim.controllers.article import PRINTED, TWINS
from tpssim.core.errors import InputError
from tpssim.core.schedule import BURST
from tpssim.core.timer_models import IDEAL
from tpssim.core.types import VERSION
from tpssim.core.validation import checked_count
from tpssim.scenarios.scenario import Scenario, check_calls
from tpssim.simulation import simpy_engine
from tpssim.simulation.compiled import engine as fast
from tpssim.simulation.compiled.compiling import compiles
from tpssim.simulation.hosting import runner, user_code
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

    `engine`: `simpy` is the reference, `compiled` gives the same bits (and refuses by name what it
    cannot express), `auto` takes the fast one where it can. `trace.meta["engine"]` tells which ran.
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
        _check_compilable(named, spec)
    return run_once(named, spec, seed, replication, engine)


def check_hostable(scenario: Scenario, spec: ThrottleSpec) -> None:
    """Refuse a throttle that waits by itself where the scenario cannot host it; raises
    `InputError`.
    """
    if spec.law is None:
        runner.refuse_unhosted(scenario, spec.label)


def _check_compilable(scenario: Scenario, spec: ThrottleSpec) -> None:
    if spec.law is None:
        raise InputError(
            f"{spec.label} waits by itself and cannot be compiled; allowed: engine simpy or auto"
        )
    what = fast.refusal(scenario)
    if what:
        raise InputError(
            f"scenario {scenario.name}: {what}, which the compiled engine does not know; "
            "allowed: engine simpy or auto"
        )


def run_once(
    scenario: Scenario, spec: ThrottleSpec, seed: int, replication: int, engine: str = "auto"
) -> Trace:
    meta = {
        "controller": spec.name,
        "parameters": spec.parameters(),
        "seed": seed,
        "replication": replication,
        "engine": "simpy",
        "version": VERSION,
    }
    if spec.code is not None:
        return user_code.simulate(scenario, spec.code, seed, replication, meta)
    if spec.law is None:
        throttle = PRINTED[spec.name]
        if engine == "auto" and runner.stands_alone(scenario):
            return runner.simulate_alone(
                scenario, throttle, seed, replication, {**meta, "engine": "direct"}
            )
        return runner.simulate(scenario, runner.printed(throttle), seed, replication, meta)
    if engine == "compiled" or (engine == "auto" and compiles and not fast.refusal(scenario)):
        return fast.simulate(scenario, spec.law, seed, replication, meta)
    return simpy_engine.simulate(scenario, spec.law, seed, replication, meta)


def has_twin(scenario: Scenario, spec: ThrottleSpec) -> bool:
    """Whether a printed throttle equals a law to the bit here, and the law can be compiled.

    Whether numba is there does not matter: a comparison is the same with it and without.
    """
    return spec.name in TWINS and scenario.timer == IDEAL and not fast.refusal(scenario)


def as_twin(scenario: Scenario, spec: ThrottleSpec) -> Scenario:
    """The scenario in which the twin does as the printed throttle, which makes up for everything.

    Throttle 2 does not spin.
    """
    spin = 0.0 if spec.name == "printed-schedule" else scenario.spin_threshold
    return scenario._replace(spin_threshold=spin, late=BURST)
