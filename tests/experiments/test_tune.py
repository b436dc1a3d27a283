"""tune and sensitivity: what they find, how they choose, and that only the arguments decide the
result.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pytest
from helpers import ROOT
from helpers.laws import Actuators

from tpssim import (
    InputError,
    Observation,
    TuneResult,
    compare,
    measure,
    sensitivity,
    simulate,
    sweep,
    tune,
)
from tpssim.cli.main import main
from tpssim.controllers import CONTROLLERS
from tpssim.core.errors import Aborted
from tpssim.core.statistics import Estimate, estimate
from tpssim.core.validation import FLAG, Range
from tpssim.experiments.executor import processes
from tpssim.experiments.league import SEED
from tpssim.experiments.sweep.store import Store
from tpssim.experiments.tuning import search, selection
from tpssim.experiments.tuning.objectives import PENALTY, constants, objective
from tpssim.experiments.tuning.sensitivity import deciding, indices, saltelli
from tpssim.experiments.tuning.trials import noise_of
from tpssim.scenarios.builtin import SCENARIOS

SHORT = "blocking-steady:duration=5"
QUICK: dict[str, Any] = {"parameters": ["alpha", "deadzone"], "replications": 2, "budget": 40}


class Share(NamedTuple):
    """A law whose rate is known: `share` of the target, minus what `waste` costs."""

    share: Annotated[float, Range(0.0, 1.0, "x target", False, search=(0.05, 0.9))] = 0.1
    waste: Annotated[float, Range(0.0, 1.0, "", search=(0.0, 0.5))] = 0.4
    idle: Annotated[float, Range(0.0, 1.0, "", search=(0.0, 1.0))] = 0.5  #: does nothing
    broken: Annotated[float, Range(0.0, 1.0, FLAG)] = 0.0

    def conflict(self) -> str:
        return "broken=1; allowed: 0" if self.broken == 1.0 else ""

    def init(self, target: float) -> Actuators:
        return Actuators(self.share * (1.0 - self.waste) * target, math.inf, 0.0)

    def update(self, state: Actuators, obs: Observation) -> Actuators:
        return state


class Brittle(NamedTuple):
    """A law that raises in half of its range."""

    step: Annotated[float, Range(0.0, 1.0, search=(0.0, 1.0))] = 0.2

    def init(self, target: float) -> Actuators:
        if self.step > 0.5:
            raise ZeroDivisionError("more than a half is too much")
        return Actuators((0.1 + self.step) * target, math.inf, 0.0)

    def update(self, state: Actuators, obs: Observation) -> Actuators:
        return state


def wanted(measures: Mapping[str, float]) -> float:
    """Least where 20 calls a second come through."""
    return (measures["throughput"] - 20.0) ** 2


# -- search
# -------------------------------------------------------------------------------------------------


def test_axes_come_from_the_records() -> None:
    law = CONTROLLERS["ewma-deadzone"]()
    every = search.axes(law, None)
    assert [axis.name for axis in every] == list(law._fields)
    alpha = search.axes(law, ["alpha"])[0]
    assert (alpha.low, alpha.high, alpha.log) == (0.02, 0.6, True)
    # 0.02 * 30 ** 0.5 = 0.10954
    assert [alpha.at(u) for u in (0.0, 0.5, 1.0)] == [
        0.02,
        0.1095,
        0.6,
    ]
    assert alpha.share(0.02 * math.sqrt(30.0)) == pytest.approx(0.5)
    (own,) = search.axes(law, {"deadzone": (1.0, 3.0)})
    assert (own.at(0.25), own.share(1.5), own.share(9.0)) == (1.5, 0.25, 1.0)
    flags = {axis.name: axis for axis in search.axes(CONTROLLERS["pid"](), None)}
    assert [flags["p_on_input"].at(u) for u in (0.0, 0.49, 0.5, 1.0)] == [0.0, 0.0, 1.0, 1.0]


def test_of_several_the_best_come_first() -> None:
    losses = np.array([[1.0, 5.0], [2.0, 2.0], [3.0, 3.0], [5.0, 1.0], [2.0, 2.0], [4.0, 4.0]])
    assert search.front(losses) == [0, 1, 3]
    assert search.best(losses, 5) == [0, 1, 3, 4, 2]
    assert search.best(losses[:, :1], 3) == [0, 1, 4]
    cube = np.array([[0.5, 0.5], [0.5, 0.51], [0.5, 0.6], [0.9, 0.5]])
    assert search.apart(cube, [0, 1, 2, 3], 3, 0.02) == [0, 2, 3]


@pytest.mark.parametrize("look", [search.evolve, search.spread])
def test_the_optimisers_find_the_least_of_a_bowl(look: Any) -> None:
    """Two bowls around (0.3, 0.7, ...): for one objective their common bottom, for two all between
    them.
    """
    asked = []

    def ask(cube: Any, stage: str) -> Any:
        asked.append(len(cube))
        first = ((cube - 0.3) ** 2).sum(axis=1)
        return np.stack([first, ((cube - 0.7) ** 2).sum(axis=1)], axis=1)[
            :, : 1 if look is search.evolve else 2
        ]

    start = search.screen(2, 16, 0)
    best = [math.inf, math.inf]

    def watch(cube: Any, stage: str) -> Any:
        losses = ask(cube, stage)
        for k, column in enumerate(losses.T):
            best[k] = min(best[k], column.min())
        return losses

    look(start, 25, 0, watch)
    assert set(asked) == {16}
    assert best[0] < (1e-4 if look is search.evolve else 5e-3)
    assert look is search.evolve or best[1] < 5e-3
    screened = ask(start, "")[:, 0].min()
    assert best[0] < screened / 2.0


def test_a_known_optimum_is_found() -> None:
    """The rate is share * (1 - waste) of 100/s: 20 calls a second come through where that is
    0.2.
    """
    result = tune(
        "fast-async:duration=4,target=100",
        Share,
        wanted,
        parameters=["share", "waste"],
        replications=1,
        budget=200,
    )
    best = result.best
    assert best.share * (1.0 - best.waste) == pytest.approx(0.2, abs=0.003)
    assert result.gain[0].low is not None
    assert result.gain[0].low > 0.0
    # By default 6 calls a second, so 14 too few: 196 is the loss, and the gain is all of it.
    assert result.default[0].mean == pytest.approx(196.0, rel=0.05)
    assert result.gain[0].mean == pytest.approx(196.0, rel=0.05)
    assert result.so_far() == sorted(result.so_far(), reverse=True)
    assert result.so_far()[-1] == min(row.losses[0] for row in result.tried)


class Staged(NamedTuple):
    """A law whose parameters bear the names of columns."""

    stage: Annotated[float, Range(0.1, 1.0, "x", search=(0.2, 0.9))] = 0.5
    iae: Annotated[float, Range(0.1, 1.0, "x", search=(0.2, 0.9))] = 0.5

    def init(self, target: float) -> Actuators:
        return Actuators(target * self.stage, math.inf, 0.0)

    def update(self, state: Actuators, obs: Observation) -> Actuators:
        return state


@pytest.mark.usefixtures("uncompiled", "chosen_soon")
def test_no_parameter_is_lost_to_another_column_of_its_name() -> None:
    result = tune("fast-async:duration=2,target=100", Staged, "iae", replications=1, budget=16)
    first = next(result.records())
    assert (first["controller.stage"], first["controller.iae"]) == (0.5, 0.5)
    assert first["stage"] == "default"
    assert first["iae"] == result.tried[0].losses[0]


@pytest.mark.usefixtures("uncompiled", "chosen_soon")
def test_conflicts_and_laws_that_raise_are_no_crash() -> None:
    result = tune("fast-async:duration=2,target=100", Share, wanted, replications=1, budget=60)
    broken = [row for row in result.tried if row.point[3] == 1.0]
    assert broken
    assert all("broken=1; allowed: 0" in row.infeasible for row in broken)
    assert all(row.losses[0] == 2.0 * PENALTY for row in broken)
    assert result.best.broken == 0.0
    # a switch has no wider range
    assert not any(edge.startswith("broken") for edge in result.at_edges())
    result = tune("fast-async:duration=8,target=100", Brittle, wanted, replications=1, budget=40)
    for row in result.tried:
        assert (row.infeasible == "ZeroDivisionError: more than a half is too much") == (
            row.point[0] > 0.5
        )
    assert result.best.step == pytest.approx(0.1, abs=0.02)
    assert {r["infeasible"] == "" for r in result.records()} == {True, False}
    json.dumps(result.record().to_dict(), allow_nan=False)


@pytest.mark.usefixtures("uncompiled")
def test_a_search_that_can_judge_nothing_is_refused_with_the_reason() -> None:
    what = r"none of the 8 settings of the screen can be judged: "
    with pytest.raises(
        InputError, match=f"{what}the objective has no finite value on blocking-steady"
    ):
        tune(SHORT, "aimd", "recovery_time", parameters=["dec_rate"], replications=1, budget=16)
    with pytest.raises(InputError, match=f"{what}ZeroDivisionError: more than a half is too much"):
        tune("fast-async:duration=2", Brittle, wanted, parameters={"step": (0.6, 0.9)}, budget=16)


# -- the whole
# ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tuned() -> TuneResult:
    return tune([SHORT, "stall:duration=15"], "ewma-deadzone", "tracking", seed=3, **QUICK)


def same(a: TuneResult, b: TuneResult) -> bool:
    records = [list(result.records()) for result in (a, b)]
    return records[0] == records[1] and a.record() == b.record()


def test_what_is_reported_are_runs_that_nothing_was_chosen_by(tuned: TuneResult) -> None:
    """Replications 152 to 251: behind the two of the search and the 150 of the choice; noise of its
    own.
    """
    losses = []
    for law in (tuned.given, tuned.best):
        rows = []
        for scenario in tuned.scenarios:
            for replication in range(152, 252):
                trace = simulate(scenario, law, seed=2**64 + 3, replication=replication)
                rows.append(objective("tracking").of({**measure(trace), **constants(scenario)}))
        losses.append(np.array(rows).reshape(2, 100).mean(axis=0))
    difference = losses[0] - losses[1]
    for ours, theirs in zip(tuned.gain[0], estimate(difference.tolist(), 0.95), strict=True):
        assert ours == pytest.approx(theirs)
    assert tuned.tuned[0].mean == pytest.approx(losses[1].mean())
    gap = tuned.optimism()[0]
    assert gap == pytest.approx(losses[1].mean() - tuned.winner.losses[0])
    # the text is the setting
    fresh = simulate(tuned.scenarios[0], tuned.spec(), seed=3, replication=102)
    again = simulate(tuned.scenarios[0], tuned.best, seed=3, replication=102)
    assert np.array_equal(fresh.released, again.released)


def test_the_search_value_is_the_mean_of_its_runs(tuned: TuneResult) -> None:
    row = tuned.tried[20]
    law = CONTROLLERS["ewma-deadzone"](alpha=row.point[0], deadzone=row.point[1])
    each = [
        objective("tracking").of(
            {**measure(simulate(s, law, seed=noise_of(3), replication=r)), **constants(s)}
        )
        for s in tuned.scenarios
        for r in (0, 1)
    ]
    assert row.losses[0] == pytest.approx(np.mean(each))
    assert row.by_scenario[1, 0] == pytest.approx(np.mean(each[2:]))


@pytest.mark.usefixtures("chosen_soon")
def test_the_worst_scenario_of_each_replication_counts() -> None:
    scenarios = [SHORT, "stall:duration=15"]
    result = tune(
        scenarios,
        "aimd",
        "tracking",
        parameters=["dec_rate"],
        robust="worst",
        replications=2,
        budget=16,
    )
    law = CONTROLLERS["aimd"]()
    each = [
        [
            objective("tracking").of(
                {**measure(simulate(s, law, seed=noise_of(0), replication=r)), **constants(s)}
            )
            for s in result.scenarios
        ]
        for r in (0, 1)
    ]
    assert result.tried[0].losses[0] == pytest.approx(np.mean([max(row) for row in each]))


@pytest.mark.parametrize("seed", [0, 5, SEED])
def test_nobody_judges_by_default_on_the_noise_of_a_search(seed: int) -> None:
    """The found law in `compare` with the same seed: the search's value of it is that of other
    runs.

    Nor do the runs that chose it, or those it was judged by, come back in a comparison of more
    replications.
    """
    arguments: dict[str, Any] = {"parameters": ["alpha"], "replications": 5, "budget": 16}
    result = tune(SHORT, "ewma-deadzone", "iae", seed=seed, **arguments)
    found = compare(SHORT, result.best, seed=seed, replications=5)
    (cell,) = found.cells.values()
    assert cell.estimate("iae").mean != pytest.approx(result.winner.losses[0], rel=1e-6)
    noise = {
        simulate(SHORT, "fixed", seed=noise_of(seed), replication=r).completed.tobytes()
        for r in range(255)
    }
    others = {
        simulate(SHORT, "fixed", seed=seed, replication=r).completed.tobytes() for r in range(255)
    }
    assert not noise & others


def test_sensitivity_has_the_noise_of_a_search_too() -> None:
    """Its losses are those of a search of the same points, so they are no comparison's."""
    seen: list[float] = []

    def watched(measures: Mapping[str, float]) -> float:
        seen.append(measures["iae"])
        return measures["iae"]

    sensitivity(
        SHORT, "ewma-deadzone", watched, parameters=["alpha"], replications=1, base=8, seed=5
    )
    point = search.axes(CONTROLLERS["ewma-deadzone"](), ["alpha"])[0].at(
        float(saltelli(1, 8, 5)[0, 0])
    )
    law = CONTROLLERS["ewma-deadzone"](alpha=point)
    assert seen[0] == measure(simulate(SHORT, law, seed=noise_of(5)))["iae"]
    assert seen[0] != measure(simulate(SHORT, law, seed=5))["iae"]


def test_the_best_of_many_points_of_a_sweep_is_said_to_have_had_luck() -> None:
    swept = sweep(
        "fast-async:duration=1,target=20", Share, {"share": [0.1, 0.2, 0.3]}, replications=1
    )
    for table in (swept.table(most=2, best=1), swept.table(), swept._repr_html_()):
        assert "compare with another --seed" in " ".join(table.split())
    one = sweep("fast-async:duration=1,target=20", Share, {"share": [0.1]}, replications=1)
    assert "--seed" not in one.table(), "of one point none is the best"


def test_a_gain_wholly_below_zero_is_worse_and_the_default_stays(tuned: TuneResult) -> None:
    worse = tuned._replace(gain=(Estimate(-0.2, -0.3, -0.1, 100, 0),))
    assert worse.judgements() == ["worse"]
    assert worse.line() == 'throttle(items, tps, controller="ewma-deadzone")'
    text = worse.text()
    assert "gain -0.2 [-0.3, -0.1]: worse (" in text
    assert "nothing did better, keep the default:" in " ".join(text.split())
    document = worse.record().to_dict()
    assert (document["line"], document["keeps_default"]) == (worse.line(), True)
    for gain, word in (
        (Estimate(0.2, 0.1, 0.3, 100, 0), "better"),
        (Estimate(0.1, -0.1, 0.3, 100, 0), "not certain"),
        (Estimate(0.5, None, None, 2, 0), "not certain"),  # two runs prove nothing
    ):
        kept = tuned._replace(gain=(gain,))
        assert (kept.judgements(), kept.keeps_default()) == ([word], False)
        assert (f": {word} (" in kept.text()) == (word != "better")


def test_a_found_law_that_cannot_be_judged_is_not_pasted(tuned: TuneResult) -> None:
    """A run of it on fresh seeds had no loss; of a default that had none there is nothing to
    keep.
    """
    none = (Estimate(None, None, None, 0, 0),)
    broken = tuned._replace(tuned=none, gain=none)
    assert (broken.judgements(), broken.line()) == (
        ["unknown"],
        'throttle(items, tps, controller="ewma-deadzone")',
    )
    mended = tuned._replace(default=none, gain=none)
    assert mended.line() == f'throttle(items, tps, controller="{mended.spec()}")'


def test_of_two_objectives_one_gain_is_enough_to_change(tuned: TuneResult) -> None:
    up, down = Estimate(0.2, 0.1, 0.3, 100, 0), Estimate(-0.2, -0.3, -0.1, 100, 0)
    both = tuned._replace(default=tuned.default * 2, tuned=tuned.tuned * 2, gain=(up, down))
    assert (both.judgements(), both.keeps_default()) == (["better", "worse"], False)
    assert both._replace(gain=(down, down)).keeps_default()


def test_only_the_arguments_decide_the_result(tuned: TuneResult, tmp_path: Path) -> None:
    def again(**more: Any) -> TuneResult:
        return tune(
            [SHORT, "stall:duration=15"],
            "ewma-deadzone",
            "tracking",
            **{"seed": 3, **QUICK, **more},
        )

    assert same(tuned, again())
    with ThreadPoolExecutor(3) as pool:
        assert same(tuned, again(executor=pool))
    with processes(2) as workers:
        assert same(tuned, again(executor=workers))
    assert same(tuned, again(store=tmp_path / "kept.sqlite"))
    assert same(tuned, again(store=tmp_path / "kept.sqlite"))
    assert not same(tuned, again(seed=4))


def test_a_second_search_runs_only_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tpssim.experiments.sweep import batch_runs, scheduler

    asked = []

    def counting(scenario: Any, law: Any, seed: int, replications: tuple[int, ...]) -> Any:
        asked.append(replications)
        return batch_runs.reduced(scenario, law, seed, replications)

    monkeypatch.setattr(scheduler, "reduced", counting)
    first = tune(SHORT, "ewma-deadzone", "tracking", store=tmp_path / "kept", **QUICK)
    made = sum(map(len, asked))
    assert made == first.runs
    asked.clear()
    assert same(first, tune(SHORT, "ewma-deadzone", "tracking", store=tmp_path / "kept", **QUICK))
    assert asked == []
    # Another objective needs no new run of the default and the screen: 1 + 8 settings.
    tune(SHORT, "ewma-deadzone", "latency", store=tmp_path / "kept", **{**QUICK, "budget": 16})
    assert sum(map(len, asked)) < 16 * 2 + 6 * 150 + 200
    with Store(tmp_path / "kept") as store:
        assert store._file.execute("SELECT count(*) FROM run").fetchone()[0] >= made


def test_a_default_that_is_best_is_said_to_be() -> None:
    best = Share(share=0.2, waste=0.0)  # exactly what is wanted, and nothing else is
    result = tune(
        "fast-async:duration=4,target=100",
        best,
        wanted,
        parameters=["waste"],
        replications=1,
        budget=16,
    )
    assert result.best == best
    assert result.gain[0].mean == 0.0
    assert "no setting was better than the default" in result.text()
    assert result.worse == result.better == []


def test_progress_counts_runs_in_stages() -> None:
    reported: list[tuple[str, int, int]] = []
    tune(SHORT, "ewma-deadzone", "tracking", progress=lambda *args: reported.append(args), **QUICK)
    assert list(dict.fromkeys(stage for stage, _, _ in reported)) == ["search", "choice", "judging"]
    for stage, total in (("search", 40 * 2), ("judging", 2 * 100)):
        counts = [done for name, done, of in reported if name == stage and of == total]
        assert counts == sorted(counts)
        assert counts[-1] == total


def _dies(*_: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def test_dead_workers_end_the_search_with_a_word_on_what_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tpssim.experiments.sweep import scheduler

    monkeypatch.setattr(scheduler, "run_pieces", _dies)
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        pytest.raises(
            Aborted,
            match=r"the workers failed \(BrokenProcessPool.*; nothing is kept without a store",
        ),
    ):
        tune(SHORT, "aimd", executor=pool)


def test_a_law_that_cannot_travel_is_refused_early() -> None:
    class Local(Share):
        pass

    with (
        ProcessPoolExecutor(1) as pool,
        pytest.raises(InputError, match="Local cannot be sent to other processes"),
    ):
        tune(SHORT, Local, parameters=["share"], executor=pool)


def test_two_objectives_give_a_front() -> None:
    result = tune(SHORT, "ewma-deadzone", ["tracking", "churn"], **{**QUICK, "budget": 60})
    again = tune(SHORT, "ewma-deadzone", ["tracking", "churn"], **{**QUICK, "budget": 60})
    assert same(result, again)
    front = np.array([one.search for one in result.finalists[:-1]])
    tried = [row.losses for row in result.tried if not row.infeasible]
    for ours in front.tolist():  # nothing that was tried is as good in both and better in one
        assert not any(
            one[0] <= ours[0] and one[1] <= ours[1] and (one[0] < ours[0] or one[1] < ours[1])
            for one in tried
        )
    assert len(tried) > 3 * len(front), "most settings are beaten"
    assert (np.diff(front[:, 0]) > 0.0).all()
    assert (np.diff(front[:, 1]) < 0.0).all()
    assert result.winner.point in [one.point for one in result.finalists]
    assert len(result.gain) == len(result.tuned) == 2
    assert result.choice is None
    assert "the knee of a front" in result.text()
    result.plot_pareto()
    fresh = [[e.mean for e in one.fresh] for one in result.finalists]
    for ours, one in zip(
        fresh, result.finalists, strict=True
    ):  # the default is shown, beaten or not
        beaten = any(
            other[0] <= ours[0] and other[1] <= ours[1] and other != ours  # type: ignore[operator]
            for other in fresh
        )
        assert one.standing != beaten
    assert all(one.standing for one in result.finalists[:-1])


def test_what_fresh_seeds_beat_is_not_on_the_front(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses by hand: on fresh seeds the second point is beaten by the first in both, the third by
    none.
    """
    fresh = {0: (1.0, 3.0), 1: (2.0, 4.0), 2: (3.0, 1.0)}
    points: list[Any] = []

    def losses(trials: Any, asked: Sequence[Any], replications: range) -> Any:
        points[:] = asked
        rows = [fresh[i] for i in range(len(asked) - 1)] + [(9.0, 9.0)]
        return np.repeat(np.array(rows)[:, np.newaxis], len(replications), axis=1)

    def front(values: Any) -> list[int]:
        return [0, 1, 2] if len(values) > 4 else search_front(values)

    search_front = search.front
    monkeypatch.setattr("tpssim.experiments.tuning.tune._losses", losses)
    monkeypatch.setattr("tpssim.experiments.tuning.search.front", front)
    result = tune(SHORT, "ewma-deadzone", ["tracking", "churn"], **QUICK)
    assert [one.point for one in result.finalists] == [points[0], points[2], points[3]]
    assert [one.standing for one in result.finalists] == [True, True, False]
    assert result.winner.point in (points[0], points[2])


def test_two_objectives_of_one_name_have_columns_of_their_own() -> None:
    aims: Any = [lambda measures: measures["iae"], lambda measures: measures["total_variation"]]
    result = tune(SHORT, "ewma-deadzone", aims, **QUICK)
    assert [aim.name for aim in result.objectives] == ["<lambda> 1", "<lambda> 2"]
    row = next(result.records())
    assert (row["<lambda> 1"], row["<lambda> 2"]) == result.tried[0].losses

    def stage(measures: Mapping[str, float]) -> float:
        return measures["iae"]

    single = next(tune(SHORT, "ewma-deadzone", stage, **QUICK).records())
    assert (single["stage"], single["objective.stage"]) == ("default", row["<lambda> 1"])


def test_what_never_ends_any_more_is_reported_as_given_up(tuned: TuneResult) -> None:
    """An interval would be over the runs in which it did."""
    nothing, some = estimate([]), estimate([-0.5, -0.4, -0.6, -0.5, -0.5])
    late = selection.Change("stall", "response_p99", 1.0, 9.0, estimate([8.0, 8.1] * 3), 40, (0, 0))
    never = selection.Change(SHORT, "recovery_time", None, None, nothing, 40, (1, 39))
    seldom = selection.Change("stall", "recovery_time", 1.0, 0.5, some, 40, (0, 36))
    text = " ".join(tuned._replace(worse=[late, seldom, never]).text().split())
    assert (
        "recovery_time never in 39 of 40 runs (default: in 1 of 40) on blocking-steady"
        in " ".join(text.split())
    )
    assert "response_p99 1 -> 9 s on stall (8.05 [" in text
    text = " ".join(tuned._replace(worse=[seldom]).text().split())
    assert "never in 36 of 40 runs (default: in 0 of 40) on stall, else 1 -> 0.5 s (-0.5 [" in text
    document = json.loads(
        json.dumps(tuned._replace(worse=[never]).record().to_dict(), allow_nan=False)
    )
    assert (document["worse"][0]["never"], document["worse"][0]["tuned"]) == ([1, 39], None)


def test_pictures_and_words(tuned: TuneResult, tmp_path: Path) -> None:
    text = tuned.text()
    assert f'throttle(items, tps, controller="{tuned.spec()}")' in text
    assert "given up" in text
    assert max(len(line) for line in text.splitlines()) <= 120
    for figure in (tuned.plot_convergence(), tuned.plot_profile()):
        figure.savefig(tmp_path / "figure.png")
        assert (tmp_path / "figure.png").stat().st_size > 10_000
    tuned.to_csv(tmp_path / "points.csv")
    assert (tmp_path / "points.csv").read_text().count("\n") == len(tuned.tried) + 1


def test_a_value_at_the_edge_of_the_search_is_said() -> None:
    result = tune(
        "fast-async:duration=40,target=100",
        Share,
        wanted,
        parameters={"share": (0.11, 0.15)},
        budget=80,
    )
    assert result.best.share == pytest.approx(0.15, abs=0.0005)  # a call more in 40 s needs as much
    assert result.at_edges() == [f"share={result.best.share:g}"]
    assert result.line() == f"throttle(items, tps, controller=Share(share={result.best.share:g}))"
    assert "A value at the edge: search a wider range" in result.text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"controller": "printed-ewma"}, "printed-ewma has no parameters to tune"),
        ({"controller": "fixed"}, "Fixed: no parameter to tune"),
        ({"scenarios": []}, "no scenario was given"),
        ({"scenarios": [SHORT, SHORT]}, "is given twice"),
        ({"objective": ["iae", "errors", "swing"]}, "3 objectives; allowed: one, or two"),
        ({"robust": "best"}, "there is no robust='best'; allowed: mean, worst"),
        ({"parameters": ["speed"]}, "there is no parameter 'speed'; allowed: threshold"),
        (
            {"parameters": {"dec_rate": (0.5, 2.0)}},
            r"dec_rate=0.5:2 cannot be searched; allowed: within \(0, 1\)",
        ),
        ({"parameters": {"dec_rate": (0.5, 0.5)}}, "dec_rate=0.5:0.5 cannot be searched"),
        ({"parameters": ["dec_rate", "dec_rate"]}, "dec_rate is given twice"),
        ({"budget": 15}, "budget=15; allowed: a whole number >= 16"),
        ({"replications": 0}, "replications=0"),
    ],
)
def test_bad_input_gets_one_line(arguments: dict[str, Any], message: str) -> None:
    given = {"scenarios": SHORT, "controller": "aimd", **arguments}
    with pytest.raises(InputError, match=message):
        tune(given.pop("scenarios"), given.pop("controller"), **given)


# -- sensitivity
# --------------------------------------------------------------------------------------------


def test_indices_of_a_function_whose_indices_are_known() -> None:
    """Ishigami, a = 7, b = 0.1: first .3139, .4424, 0; total .5576, .4424, .2437 (Homma & Saltelli
    1996).
    """
    x = (saltelli(3, 4096, 0) - 0.5) * 2.0 * np.pi
    values = np.sin(x[:, 0]) + 7.0 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0])
    first, total = indices(values, 3, 0)
    assert first[:, 0] == pytest.approx([0.3139, 0.4424, 0.0], abs=0.02)
    assert total[:, 0] == pytest.approx([0.5576, 0.4424, 0.2437], abs=0.02)
    assert (first[:, 1] < first[:, 0]).all()
    assert (first[:, 0] < first[:, 2]).all()
    constant, none = indices(np.ones(5 * 8), 3, 0)
    assert not constant.any()
    assert not none.any()


def test_indices_are_those_of_scipy() -> None:
    from scipy.stats import sobol_indices

    def f(x: Any) -> Any:
        return x[0] + x[1] * x[2]

    cube = saltelli(3, 64, 5)
    blocks = f(cube.T).reshape(5, 1, 64)
    theirs: Any = sobol_indices(func={"f_A": blocks[0], "f_B": blocks[1], "f_AB": blocks[2:]}, n=64)
    first, total = indices(f(cube.T), 3, 0)
    assert first[:, 0] == pytest.approx(theirs.first_order.ravel(), rel=1e-9)
    assert total[:, 0] == pytest.approx(theirs.total_order.ravel(), rel=1e-9)


def test_of_a_few_settings_that_decide_no_interval_is_given() -> None:
    """A collapse in the corner x, y > 0.857, 2 % of the square: of 256 points some five are in it.

    Of values of which m in N are 1 and the others 0 with m << N, sum d^2 = m and sum d^4 = m, so m
    decide.
    """
    x = saltelli(2, 128, 0)
    values = x[:, 0] + 10.0 * ((x[:, 0] > 0.857) & (x[:, 1] > 0.857))
    first, total = indices(values, 2, 0)
    assert np.isfinite(first[:, 0]).all()
    assert np.isnan([first[:, 1:], total[:, 1:]]).all()
    inside = int((values[:256] > 2.0).sum())
    assert deciding((values > 2.0).astype(float), 2) == pytest.approx(inside, rel=0.1)
    found = sensitivity(SHORT, "ewma-deadzone", "iae", parameters=["alpha"], replications=1, base=8)
    assert found.deciding < 30.0
    assert "no intervals: " in found.text()
    assert found.record()["first"]["alpha"]["low"] is None
    found.plot()


def test_what_does_nothing_has_no_share() -> None:
    found = sensitivity(
        "fast-async:duration=2,target=100",
        Share,
        "throughput",
        parameters=["share", "waste", "idle"],
        replications=1,
        base=64,
    )
    shares = dict(zip(found.names, found.total[:, 0].tolist(), strict=True))
    assert shares["idle"] == 0.0
    assert shares["share"] > shares["waste"] > 0.0
    assert found.points == 64 * (3 + 2)
    assert "interactions" in found.text()
    json.dumps(found.record(), allow_nan=False)


@pytest.mark.usefixtures("uncompiled")
def test_infeasible_settings_count_as_the_worst() -> None:
    found = sensitivity(
        "fast-async:duration=2,target=100", Brittle, wanted, replications=1, base=16
    )
    assert 0 < found.infeasible < found.points
    assert found.mean < PENALTY
    with pytest.raises(InputError, match="base=12; allowed: a power of two"):
        sensitivity(SHORT, "aimd", base=12)
    bad: Any
    for bad in (16.0, "16", None, 0, -8):
        with pytest.raises(InputError, match=f"base={bad!r}; allowed: a whole number >= 8"):
            sensitivity(SHORT, "aimd", base=bad)


# -- the command
# --------------------------------------------------------------------------------------------

COMMAND = ("tune", "ewma-deadzone", "--scenarios", SHORT, "--parameters", "alpha,deadzone=1:1.5")


@pytest.mark.usefixtures("chosen_soon")
def test_the_command_writes_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ("--budget", "24", "--replications", "2", "--workers", "1")
    assert main([*COMMAND, *options, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    folder = tmp_path / "results" / "tune-ewma-deadzone--blocking-steady_duration=5"
    assert json.loads((folder / "summary.json").read_text()) == document
    assert sorted(path.name for path in folder.iterdir()) == [
        "convergence.png",
        "points.csv",
        "profile.png",
        "run.json",
        "summary.json",
    ]
    assert document["line"] == f'throttle(items, tps, controller="{document["best"]}")'
    assert document["searched"][1]["high"] == 1.5
    assert document["command"].startswith("python -m tpssim tune ewma-deadzone --scenarios")
    assert not list(tmp_path.glob("results/.*"))


@pytest.mark.usefixtures("chosen_soon")
def test_the_command_tunes_to_a_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("calls.csv").write_text("service\n" + "0.01\n0.02\n0.03\n" * 40)
    options = (
        "--parameters",
        "dec_rate",
        "--budget",
        "16",
        "--replications",
        "1",
        "--workers",
        "1",
    )
    assert (
        main(["tune", "aimd", "--trace", "calls.csv", *options, "--objective", "iae + errors"]) == 0
    )
    out = capsys.readouterr().out
    # The mean is 0.02 s, so 50 a second.
    assert out.startswith(
        "wanted: 100/s, twice the mean of the recording; --tps RATE for another\n"
    )
    assert "aimd tuned on trace, for" in out
    assert "Written to results/tune-aimd--trace:" in out


@pytest.mark.usefixtures("chosen_soon")
def test_a_recording_of_calls_that_overlap_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Calls of 0.04 s, one every 0.01 s: all but the first begin before another is over."""
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{0.01 * i},{0.01 * i + 0.04},0.04\n" for i in range(40))
    Path("live.csv").write_text(f"released,completed,latency\n{rows}")
    options = (
        "--parameters",
        "dec_rate",
        "--budget",
        "16",
        "--replications",
        "1",
        "--workers",
        "1",
    )
    assert main(["tune", "aimd", "--trace", "live.csv", "--tps", "60", *options, "--json"]) == 0
    out, err = capsys.readouterr()
    (note,) = json.loads(out)["notes"]
    assert note.startswith(
        "98 % of the calls of live.csv overlap: their times hold queue and concurrency"
    )
    assert f"tpssim: {note}\n" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("tune", "nothing"), "there is no controller 'nothing'"),
        (("tune", "aimd", "--objective", "speed"), "there is no measure 'speed'"),
        (
            ("tune", "aimd", "--parameters", "dec_rate=a:b"),
            "--parameters 'dec_rate=a:b'; write NAME",
        ),
        (("tune", "aimd", "--parameters", "dec_rate,dec_rate"), "dec_rate is given twice"),
        (("tune", "aimd", "--scenarios", "nowhere"), "there is no scenario 'nowhere'"),
        (
            ("tune", "aimd", "--objective", "iae", "errors", "--sensitivity"),
            "--sensitivity with two objectives",
        ),
        (("tune", "aimd", "--column", "x"), "--column and --unit belong to --trace"),
        (("tune", "aimd", "--budget", "1"), "budget=1; allowed"),
        (("tune", "aimd", "--replications", "0"), "replications=0; allowed"),
        (("tune", "aimd", "--parameters", "speed"), "there is no parameter 'speed'"),
    ],
)
def test_bad_options_get_one_line(
    options: Sequence[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(options) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_a_search_that_is_killed_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 at some moment; the same command resumes and ends like one that ran through."""
    monkeypatch.chdir(tmp_path)
    words = ["tune", "ewma-deadzone", "--scenarios", "blocking-steady:duration=100"]
    words += ["--parameters", "alpha,deadzone,low", "--budget", "48", "--workers", "1"]
    assert main([*words, "--out", "whole"]) == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "tpssim", *words, "--out", "killed"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    kept = tmp_path / ".killed.sqlite"
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline and _runs_in(kept) < 250:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    whole_runs = json.loads((tmp_path / "whole" / "summary.json").read_text())["runs"]
    assert 250 <= _runs_in(kept) < whole_runs
    assert not (tmp_path / "killed").exists()
    assert main([*words, "--out", "killed"]) == 0
    for name in ("summary.json", "points.csv"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()
    assert not kept.exists()


def _runs_in(path: Path) -> int:
    """How many runs a store holds whose writer may be at work: its file is copied, with its
    journal.
    """
    if not path.exists():
        return 0
    copy = path.with_name("copy.sqlite")
    for end in ("", "-wal"):
        source = Path(f"{path}{end}")
        if source.exists():
            Path(f"{copy}{end}").write_bytes(source.read_bytes())
    try:
        with sqlite3.connect(copy) as file:
            (count,) = file.execute("SELECT count(*) FROM run").fetchone()
        file.close()
        return int(count)
    except sqlite3.Error:
        return 0
    finally:
        for end in ("", "-wal", "-shm"):
            Path(f"{copy}{end}").unlink(missing_ok=True)


def test_the_constants_of_the_article_are_beaten_on_fresh_seeds() -> None:
    """Throttle 5 does not recover by itself; a wider dead zone and a larger step bring it back."""
    result = tune(
        [SCENARIOS["degrade-recover"]._replace(duration=40.0), "stall:duration=20"],
        "ewma-deadzone",
        parameters=["alpha", "deadzone", "inc_step"],
        replications=2,
        budget=60,
    )
    assert result.gain[0].low is not None
    assert result.gain[0].low > 0.0
    assert result.choice is not None
    assert result.choice.winner != len(result.finalists) - 1
