"""Tuning: the parameters of a law that do best on a set of scenarios, chosen and judged on fresh
seeds.

All runs have noise of their own, which no other verb meets (`trials.noise_of`). Replications are
distinguished by number: those below `replications` are the search's, the next `CHOOSING` the
choice's, the next `JUDGING` those of what is reported.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tpssim.core.errors import InputError
from tpssim.core.statistics import CONFIDENCE, EACH, Estimate, estimate
from tpssim.core.validation import MOST_POINTS, checked_count
from tpssim.experiments.sweep.store import Store
from tpssim.experiments.tuning import search, selection
from tpssim.experiments.tuning.evaluations import Progress
from tpssim.experiments.tuning.objectives import PENALTY
from tpssim.experiments.tuning.search import Bounds, Setting
from tpssim.experiments.tuning.trials import Aim, Task, Trials, robustly
from tpssim.experiments.tuning.tried import Finalist, Outcome, Tried
from tpssim.experiments.tuning.tune_result import TuneResult
from tpssim.scenarios.scenario import Scenario
from tpssim.simulation.resolve import ControllerLike

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

FINALISTS = 5  # settings that are chosen from, beside the default
ON_FRONT = 12  # settings of a front that are run on fresh seeds
DISTANCE = 0.02  # of finalists in some parameter, as a share of its search range
CHOOSING = 150  # replications: what happens in 2 % of all runs is among them, with 95 % confidence
JUDGING, SHOWING = 100, 40  # of the default and the chosen; of a front
POINTS_EACH, FEWEST, MOST = 120, 240, 1500  # of a budget, for each parameter, and in all


def tune(
    scenarios: Iterable[Scenario | str] | Scenario | str,
    controller: ControllerLike,
    objective: Aim | Sequence[Aim] = "balanced",
    *,
    parameters: Iterable[str] | Mapping[str, Bounds | None] | None = None,
    robust: str = "mean",
    replications: int = 5,
    seed: int = 0,
    budget: int | None = None,
    executor: Executor | None = None,
    store: Store | str | Path | None = None,
    progress: Progress | None = None,
) -> TuneResult:
    """The parameters of a law with the least loss on some scenarios; those that were given are the
    default.

    `objective`: a name of `tuning.objectives.OBJECTIVES`, a formula of measures, or a function of
    them; two of these for a front of compromises. `robust`: a replication's loss is the mean over
    the scenarios or the `worst`. `parameters`: which, with bounds or None for those of the record;
    None: all whose record says where to look. `budget`: points of the search, `replications` runs
    each on every scenario.

    A Sobol screen takes a third of the budget; differential evolution goes on from its best
    (NSGA-II for two objectives). All points meet the same noise, which is the search's own:
    `compare` with the same seed meets another. The best few and the default then meet fresh
    replications (`selection.least_mean`), and what is said of the one that was chosen comes from
    others again.

    `executor`, `store` and Ctrl-C are as in `sweep`; `progress(stage, done, total)` counts runs.
    Equal arguments give equal bits, also after a run that was killed. Raises `InputError` for bad
    input.

    >>> result = tune("blocking-steady:duration=5", "ewma-deadzone", "tracking",
    ...               parameters=["alpha", "deadzone"], replications=2, budget=24)
    >>> result.gain[0].low > 0.0
    True
    """
    task = Task(scenarios, controller, objective, parameters, robust, replications, seed)
    number = len(task.axes)
    budget = min(max(FEWEST, POINTS_EACH * number), MOST) if budget is None else budget
    checked_count("budget", budget, search.LEAST_BUDGET, MOST_POINTS)
    task.check_size(budget)
    with contextlib.ExitStack() as stack:
        runs = task.evaluations(executor, store, progress, stack)
        trials = Trials(task, runs)
        _search(trials, budget)
        return (_chosen if len(task.objectives) == 1 else _compromise)(trials, budget)


def _search(trials: Trials, budget: int) -> None:
    task, number = trials.task, len(trials.task.axes)
    per_point = len(task.scenarios) * task.replications
    trials.runs.begin("search", budget * per_point)
    trials.losses([task.default()], "default")
    cube = search.screen(number, search.screen_size(budget), task.seed)
    losses = trials.ask(cube, "screen")
    if losses.min() >= PENALTY:
        reasons = [row.infeasible for row in trials.tried.values() if row.infeasible]
        common = max(set(reasons), key=lambda text: (reasons.count(text), text))
        what = f"none of the {len(cube)} settings of the screen can be judged: {common}"
        raise InputError(f"{what}; allowed: another objective, other parameters")
    members = search.population_of(number, len(cube))
    start = cube[search.best(losses, members)]
    own = trials.tried[task.default()]
    inside = all(axis.low <= x <= axis.high for axis, x in zip(task.axes, own.point, strict=True))
    if inside and max(own.losses) < PENALTY:  # the default is a member too, in place of the worst
        start[-1] = [axis.share(x) for axis, x in zip(task.axes, own.point, strict=True)]
    rounds = (budget - len(trials.tried)) // members
    look = search.evolve if len(task.objectives) == 1 else search.spread
    look(start, rounds, task.seed, trials.ask)
    trials.runs.end()


def _feasible(trials: Trials) -> list[Tried]:
    """Settings but the default that can be judged, best first."""
    own = trials.task.default()
    rows = [row for row in trials.tried.values() if not row.infeasible and row.point != own]
    order = search.best(np.array([row.losses for row in rows]), len(rows)) if rows else []
    return [rows[i] for i in order]


def _shares(task: Task, rows: Sequence[Tried]) -> Array:
    return np.array(
        [[a.share(x) for a, x in zip(task.axes, row.point, strict=True)] for row in rows]
    )


def _chosen(trials: Trials, budget: int) -> TuneResult:
    """The result for one objective: the least mean loss on fresh seeds wins."""
    task, rows = trials.task, _feasible(trials)
    few = [
        rows[i] for i in search.apart(_shares(task, rows), range(len(rows)), FINALISTS, DISTANCE)
    ]
    few.append(trials.tried[task.default()])
    trials.runs.begin("choice", len(few) * len(task.scenarios) * CHOOSING)
    first = task.replications
    losses = _losses(trials, [row.point for row in few], range(first, first + CHOOSING))
    trials.runs.end()
    choice = selection.least_mean(losses[:, :, 0])
    finalists = [
        Finalist(row.point, row.losses, tuple(_estimates(each)), CHOOSING, i in choice.standing)
        for i, (row, each) in enumerate(zip(few, losses, strict=True))
    ]
    return _judged(trials, budget, finalists, choice, few[choice.winner])


def _compromise(trials: Trials, budget: int) -> TuneResult:
    """The result for two objectives: a front on fresh seeds; its knee is the winner.

    The search's front is run on fresh seeds, and so is the default; what is beaten there is left
    out, for the search had thought too well of it. The knee: the least distance to the best of
    both, each scaled by its extent on the front.
    """
    task, rows = trials.task, _feasible(trials)
    ahead = [rows[i] for i in search.front(np.array([row.losses for row in rows]))]
    ahead.sort(key=lambda row: row.losses)
    places = np.unique(
        np.linspace(0, len(ahead) - 1, min(ON_FRONT, len(ahead))).round().astype(int)
    )
    few = [*(ahead[i] for i in places), trials.tried[task.default()]]
    trials.runs.begin("front", len(few) * len(task.scenarios) * SHOWING)
    first = task.replications
    losses = _losses(trials, [row.point for row in few], range(first, first + SHOWING))
    trials.runs.end()
    means = losses.mean(axis=1)
    # others failed on fresh seeds
    sound = [i for i, mean in enumerate(means) if np.isfinite(mean).all()]
    front = [sound[i] for i in search.front(means[sound])] if sound else []
    default = len(few) - 1
    finalists = [
        Finalist(few[i].point, few[i].losses, tuple(_estimates(losses[i])), SHOWING, i in front)
        for i in sorted({*front, default})
    ]
    if not front:
        return _judged(trials, budget, finalists, None, few[default])
    low, high = means[front].min(axis=0), means[front].max(axis=0)
    far = (((means[front] - low) / np.where(high > low, high - low, 1.0)) ** 2).sum(axis=1)
    return _judged(trials, budget, finalists, None, few[front[int(far.argmin())]])


def _losses(trials: Trials, points: Sequence[Setting], replications: range) -> Array:
    """By point, replication and objective; nan where there is none."""
    runs = trials.runs.runs(points, replications)
    return robustly(trials.runs.by_scenario(runs, trials.task.objectives), trials.task.robust)


def _judged(
    trials: Trials,
    budget: int,
    finalists: list[Finalist],
    choice: selection.Choice | None,
    winner: Tried,
) -> TuneResult:
    """The winner beside the default, in replications that had no part in the choice."""
    task = trials.task
    pair = [task.default(), winner.point]
    first = task.replications + CHOOSING
    trials.runs.begin("judging", 2 * len(task.scenarios) * JUDGING)
    runs = trials.runs.runs(pair, range(first, first + JUDGING))
    trials.runs.end()
    by_scenario = trials.runs.by_scenario(runs, task.objectives)
    losses = robustly(by_scenario, task.robust)
    names = [scenario.name for scenario in task.scenarios]
    outcomes = [
        tuple(Outcome.of(name, runs.words[p, s], runs.values[p, s]) for p in (0, 1))
        for s, name in enumerate(names)
    ]
    worse, better = selection.changes(names, runs.values[0], runs.values[1])
    return TuneResult(
        controller=task.spec.name,
        given=task.spec.law,
        best=task.law(winner.point),
        axes=task.axes,
        scenarios=task.scenarios,
        objectives=task.objectives,
        robust=task.robust,
        replications=task.replications,
        seed=task.seed,
        budget=budget,
        runs=trials.runs.made,
        tried=list(trials.tried.values()),
        finalists=finalists,
        choice=choice,
        winner=winner,
        default=tuple(_estimates(losses[0])),
        tuned=tuple(_estimates(losses[1])),
        gain=gains(losses[0] - losses[1]),
        outcomes=outcomes,
        worse=worse,
        better=better,
    )


def gains(differences: Array) -> tuple[Estimate, ...]:
    """Of what one setting loses more than another in the same runs, by objective."""
    return tuple(_estimates(differences, CONFIDENCE))


def _estimates(losses: Array, confidence: float = EACH) -> list[Estimate]:
    """One for each objective; none where any replication has no loss, for a mean of the others
    would lie.
    """
    return [
        estimate(column, confidence)
        if np.isfinite(column).all()
        else Estimate(None, None, None, 0, 0)
        for column in losses.T.tolist()
    ]
