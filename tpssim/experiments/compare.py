"""Runs: one (`simulate`), or every throttle on every scenario with common random numbers
(`compare`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from tpssim.controllers import CONTROLLERS
from tpssim.controllers.article import PRINTED
from tpssim.core.errors import InputError
from tpssim.core.validation import (
    MOST_PROCESSES,
    checked_count,
)
from tpssim.experiments._pair_runs import Cells, run_pairs
from tpssim.experiments.comparison import Comparison
from tpssim.experiments.league import SEED, League, acts
from tpssim.metrics.score import checked_weights
from tpssim.scenarios.builtin import CORE, SCENARIOS
from tpssim.scenarios.scenario import Scenario
from tpssim.simulation.hosting.runner import unhosted
from tpssim.simulation.oracle import NAME as ORACLE
from tpssim.simulation.resolve import ControllerLike, ThrottleSpec, scenario_named, throttle_spec

#: What a comparison compares by default: the article's throttles as printed, and what mends
#: them.
DEFAULT_CONTROLLERS = (*PRINTED, "fixed", "aimd", "ewma-deadzone", "headroom")


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
    ended: Callable[[Comparison], None] | None = None,
) -> Comparison:
    """Every controller on every scenario, `replications` times, all of them under the same noise.

    `None` means the scenarios of `CORE`, or the `DEFAULT_CONTROLLERS` (the printed ones among them
    only where all scenarios can be put to code that keeps its own schedule). The
    traces of the first `keep` replications are kept. With `workers` > 1 the pairs run in that many
    processes (a script needs the usual `if __name__ == "__main__"`), or on any `executor`; the
    result does not depend on it. `progress(done, total, share)` is called as pairs end, with the
    share of the work that is done; `compiling()` before all of them if code is compiled first, as
    after an installation; `ended(part)` with what is to be had of a scenario when its last run has
    ended. Raises `InputError` before anything runs.

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

    def part(scenario: Scenario, cells: Cells) -> None:
        if ended is not None:
            ended(Comparison({scenario.name: scenario}, cells, seed, replications))

    cells = run_pairs(pairs, replications, seed, keep, workers, executor, progress, compiling, part)
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
    cells = run_pairs(pairs, replications, seed, 0, workers, executor, progress, compiling)
    named = {scenario.name: scenario for scenario in resolved}
    return League(Comparison(named, cells, seed, replications), by_name)


def _check_counts(replications: int, seed: int, workers: int) -> None:
    checked_count("replications", replications, 1)
    checked_count("seed", seed, 0)
    checked_count("workers", workers, 1, MOST_PROCESSES)


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
