"""What is to be tuned, and the settings that were tried for it."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tpssim.core.errors import InputError
from tpssim.core.validation import MOST_POINTS, MOST_RUNS, check_size, checked_count, replaced
from tpssim.experiments.sweep.designs import Factor
from tpssim.experiments.sweep.store import Store
from tpssim.experiments.tuning import search
from tpssim.experiments.tuning.evaluations import Evaluations, Progress, penalised
from tpssim.experiments.tuning.objectives import (
    PENALTY,
    ROBUST,
    Function,
    Objective,
    distinguished,
    objective,
)
from tpssim.experiments.tuning.search import Axis, Bounds, Setting
from tpssim.experiments.tuning.tried import Tried
from tpssim.scenarios.capacity import check_calls
from tpssim.scenarios.scenario import Scenario
from tpssim.simulation.resolve import ControllerLike, scenario_named, throttle_spec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: An objective as it may be given.
Aim = str | Function

#: Seeds of searches begin here, far above those that people give.
SEARCHES = 2**64


def noise_of(seed: int) -> int:
    """The seed of the runs of a search: noise that was searched on is not judged on by anyone's
    default.

    `compare`, `league` and the others with the same seed meet other noise, in every replication. A
    run of a search is made once more by `simulate(..., seed=noise_of(seed), replication=...)`.

    >>> noise_of(5) - noise_of(0)
    5
    """
    return SEARCHES + seed


class Task:
    """What is to be tuned, on what, for what: checked."""

    def __init__(
        self,
        scenarios: Iterable[Scenario | str] | Scenario | str,
        controller: ControllerLike,
        aims: Aim | Sequence[Aim],
        parameters: Iterable[str] | Mapping[str, Bounds | None] | None,
        robust: str,
        replications: int,
        seed: int,
    ) -> None:
        checked_count("replications", replications, 1)
        checked_count("seed", seed, 0)
        if robust not in ROBUST:
            raise InputError(f"there is no robust={robust!r}; allowed: {', '.join(ROBUST)}")
        given: list[Any] = [scenarios] if isinstance(scenarios, str | Scenario) else list(scenarios)
        self.scenarios = [scenario_named(scenario) for scenario in given]
        names = [scenario.name for scenario in self.scenarios]
        if not names:
            raise InputError("no scenario was given; allowed: at least one")
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"scenario {name!r} is given twice; allowed: once")
        self.spec = throttle_spec(controller)
        if self.spec.law is None:
            raise InputError(
                f"{self.spec.label} has no parameters to tune; allowed: a law such as aimd"
            )
        listed = [aims] if isinstance(aims, str) or callable(aims) else list(aims)
        if len(listed) not in (1, 2):
            raise InputError(
                f"{len(listed)} objectives; allowed: one, or two for a front of compromises"
            )
        if len(listed) == 2 and importlib.util.find_spec("optuna") is None:
            raise InputError("two objectives need the extra tune: pip install 'tpssim[tune]'")
        self.objectives: list[Objective] = distinguished([objective(aim) for aim in listed])
        self.axes: list[Axis] = search.axes(self.spec.law, parameters)
        self.robust, self.replications, self.seed = robust, replications, seed

    def evaluations(
        self,
        executor: Executor | None,
        store: Store | str | Path | None,
        progress: Progress | None,
        stack: contextlib.ExitStack,
    ) -> Evaluations:
        factors = [
            Factor(axis.name, "controller", axis.name, (), axis.unit, axis.log)
            for axis in self.axes
        ]
        noise = noise_of(self.seed)
        return Evaluations(
            self.scenarios, self.spec.law, factors, noise, executor, store, progress, stack
        )

    def check_size(self, settings: int) -> None:
        """Refuse so many settings on these scenarios, if the memory has no room for them."""
        for scenario in self.scenarios:
            check_calls(scenario)
        check_size("settings of a search", settings, MOST_POINTS, "20 kB of memory")
        runs = settings * len(self.scenarios) * self.replications
        check_size("runs of a search", runs, MOST_RUNS, "0.5 kB of memory")

    def default(self) -> Setting:
        return tuple(float(getattr(self.spec.law, axis.name)) for axis in self.axes)

    def at(self, u: Sequence[float]) -> Setting:
        """The setting at a point of the unit cube."""
        return tuple(axis.at(share) for axis, share in zip(self.axes, u, strict=True))

    def law(self, point: Setting) -> Any:
        """The law with that setting; raises `InputError` if its numbers do not go together."""
        names = [axis.name for axis in self.axes]
        return replaced(
            self.spec.law, self.spec.name, dict(zip(names, map(float, point), strict=True))
        )


class Trials:
    """The settings that were tried, in order, each once."""

    def __init__(self, task: Task, runs: Evaluations) -> None:
        self.task, self.runs = task, runs
        self.tried: dict[Setting, Tried] = {}

    def ask(self, cube: Array, stage: str) -> Array:
        """Losses at points of the unit cube."""
        return self.losses([self.task.at(u) for u in cube.tolist()], stage)

    def losses(self, points: Sequence[Setting], stage: str) -> Array:
        """Losses of settings, by objective."""
        task = self.task
        new = [point for point in dict.fromkeys(points) if point not in self.tried]
        clashes = {point: text for point in new if (text := _conflict(task, point))}
        run = [point for point in new if point not in clashes]
        found = self.runs.runs(run, range(task.replications))
        by_scenario = self.runs.by_scenario(found, task.objectives)
        losses = penalised(robustly(by_scenario, task.robust))
        each = dict(
            zip(run, zip(losses.tolist(), by_scenario.mean(axis=2), strict=True), strict=True)
        )
        for point in new:
            if point in clashes:
                none = np.full((len(task.scenarios), len(task.objectives)), np.nan)
                worst = (2.0 * PENALTY,) * len(task.objectives)
                self.tried[point] = Tried(point, stage, worst, none, clashes[point])
                continue
            loss, means = each[point]
            failure = self.runs.failed.get(point, "")
            if not failure and max(loss) >= PENALTY:
                lost = [
                    s.name
                    for s, row in zip(task.scenarios, means, strict=True)
                    if np.isnan(row).any()
                ]
                failure = f"the objective has no finite value on {', '.join(lost)}"
            self.tried[point] = Tried(point, stage, tuple(loss), means, failure)
        return np.array([self.tried[point].losses for point in points])


def _conflict(task: Task, point: Setting) -> str:
    try:
        task.law(point)
    except InputError as error:
        return str(error)
    return ""


def robustly(by_scenario: Array, robust: str) -> Array:
    """Over the scenarios, the second axis: the mean or the worst; nan if there is any."""
    found: Array = by_scenario.mean(axis=1) if robust == "mean" else by_scenario.max(axis=1)
    return found
