"""Predictions beside simulations: what must agree agrees, what does not apply says why."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tpssim import simulate
from tpssim.cli.main import main
from tpssim.controllers import CONTROLLERS
from tpssim.core.errors import InputError
from tpssim.core.statistics import Estimate
from tpssim.experiments.analysis import dead_zones
from tpssim.experiments.analysis.analyses import Analysis, analyse
from tpssim.experiments.analysis.plants import Plant, backlogged, plant_of
from tpssim.experiments.analysis.rows import Row
from tpssim.simulation.resolve import scenario_named
from tpssim.simulation.trace import Trace

QUIET = "blocking-steady:cv=0.01"


def row(found: Analysis, quantity: str) -> Row:
    (only,) = (row for row in found.rows if row.quantity == quantity)
    return only


def agrees(found: Row, tolerance: float) -> bool:
    """Whether prediction and simulation lie within a share of each other."""
    assert found.simulated is not None
    assert found.simulated.mean is not None
    return not found.refusal and abs(found.simulated.mean / found.predicted - 1.0) < tolerance


def test_the_plant_of_a_scenario() -> None:
    plant = plant_of(scenario_named("degrade-recover"))
    assert isinstance(plant, Plant)
    assert (plant.start, plant.end, plant.capacity, plant.target) == (10.0, 30.0, 50.0, 200.0)
    assert plant.cv == pytest.approx(0.5, rel=0.05)
    assert (plant.later, plant.later_cv) == (200.0, 0.0)


@pytest.mark.parametrize(
    ("scenario", "why"),
    [
        ("fast-async", "only handed off"),
        ("join-leave", "one blocking producer"),
        ("spikes", "nothing closes the loop"),
    ],
)
def test_where_theory_has_no_plant_it_says_so(scenario: str, why: str) -> None:
    found = analyse(f"{scenario}:duration=50", "aimd", replications=2)
    assert found.rows == []
    assert why in found.reason
    assert why in " ".join(found.table().split())


@pytest.mark.parametrize("law", ["fixed", "token-bucket", "netflix-vegas", "spark-pid"])
def test_a_law_without_theory_says_so(law: str) -> None:
    found = analyse("blocking-steady:duration=10", law, replications=2)
    assert found.rows == []
    assert found.reason


def test_the_gain_at_which_pi_cycles() -> None:
    """By hand: L = 0.2 (1 + 0.05 / (z - 1)) / (z - 1), at z = -1: -0.2 x 0.975 / 2."""
    found = row(analyse(QUIET, "pi", replications=2), "gain margin")
    assert found.predicted == pytest.approx(2.0 / (0.2 * 0.975))
    assert agrees(found, 0.05)


def test_the_gain_at_which_pid_cycles() -> None:
    """By hand: C = 100 + 100 x 0.02 z / (z - 1), P = (1 / 50^2) / (z - 1), at z = -1: (100 + 1) /
    5000.
    """
    found = row(analyse(QUIET, "pid", replications=2), "gain margin")
    assert found.predicted == pytest.approx(5000.0 / 101.0)
    assert agrees(found, 0.05)


def test_an_unstable_loop_refuses_what_rests_on_its_stability() -> None:
    """By hand: the margin of pi is 2 / (0.2 x 0.975) at kp = 1, at kp = 20 a twentieth of that."""
    found = analyse(QUIET, "pi:kp=20", replications=2)
    assert row(found, "gain margin").predicted == pytest.approx(2.0 / (0.2 * 0.975) / 20.0)
    assert agrees(row(found, "gain margin"), 0.05)
    assert "unstable" in row(found, "swing").refusal
    # With ti of half a sample the loop lags by more than half a turn at every frequency.
    found = analyse(QUIET, "pi:kp=0.1,ti=0.009", replications=2)
    assert row(found, "phase margin").predicted < 0.0
    assert "unstable" in row(found, "mean rate").refusal


@pytest.mark.parametrize(
    ("law", "why"),
    [
        ("pi:kp=0", "no operating point"),
        ("aimd-epoch:inc_step=0", "no operating point"),
    ],
)
def test_parameters_without_a_loop(law: str, why: str) -> None:
    found = analyse(QUIET, law, replications=2)
    assert found.rows == []
    assert why in found.reason


@pytest.mark.parametrize("law", ["busy-time:inc_step=0", "ewma-deadzone:low=0"])
def test_a_law_that_never_rises_has_no_predicted_rest(law: str) -> None:
    assert (
        "never rises" in row(analyse("blocking-steady", law, replications=2), "mean rate").refusal
    )


@pytest.mark.parametrize("law", ["pi", "pid"])
def test_noise_through_the_linear_loop(law: str) -> None:
    found = analyse("blocking-steady", law, replications=5)
    assert agrees(row(found, "swing"), 0.2)
    assert agrees(row(found, "mean rate"), 0.05)


@pytest.mark.parametrize("law", ["aimd", "aimd:dec_rate=0.5,inc_step=2", "aimd-epoch"])
def test_the_sawtooth_without_noise(law: str) -> None:
    found = analyse(QUIET, law, replications=2)
    for quantity, tolerance in [
        ("mean rate, sawtooth", 0.03),
        ("time between cuts", 0.12),  # a discrete step more
        ("swing, sawtooth", 0.08),
    ]:
        assert agrees(row(found, quantity), tolerance), quantity


def test_the_sawtooth_by_hand() -> None:
    # Capacity 50: peak 75, trough 52.5, in 22.5 steps of one call of 20 ms.
    found = analyse(QUIET, "aimd", replications=2)
    assert row(found, "mean rate, sawtooth").predicted == pytest.approx(63.75)
    assert row(found, "time between cuts").predicted == pytest.approx(0.45)
    assert "steps differ" in row(found, "period as a relay, no noise").refusal
    # aimd-epoch: not drained between cuts, so the mean is the capacity: peak 100 / 1.7, period 0.3
    # peak / 10.
    found = analyse(QUIET, "aimd-epoch", replications=2)
    assert row(found, "mean rate, sawtooth").predicted == pytest.approx(50.0)
    assert row(found, "time between cuts").predicted == pytest.approx(0.3 * 100.0 / 1.7 / 10.0)


def test_under_noise_the_sawtooth_is_refused_and_the_mean_field_holds() -> None:
    found = analyse("blocking-steady", "aimd", replications=5)
    assert "CV of 0.5" in row(found, "mean rate, sawtooth").refusal
    assert row(found, "mean rate, mean field").predicted == pytest.approx(30.2, abs=0.2)
    assert agrees(row(found, "mean rate, mean field"), 0.2)


def test_busy_time_rests_swings_and_recovers_as_predicted() -> None:
    found = analyse("degrade-recover", "busy-time", replications=5)
    assert row(found, "mean rate").predicted == pytest.approx(0.975 * 50.0)
    assert agrees(row(found, "mean rate"), 0.05)
    assert agrees(row(found, "swing"), 0.2)
    # ln(0.95 x 200 / 48.75) / 2: a step of 0.01 x 200 = 2/s a call.
    assert row(found, "recovery time").predicted == pytest.approx(
        math.log(190.0 / 48.75) / 2.0, rel=1e-6
    )
    assert agrees(row(found, "recovery time"), 0.2)
    assert agrees(row(found, "looks above HIGH"), 0.2)


def test_ewma_deadzone_never_recovers_and_noise_makes_it_rest_low() -> None:
    found = analyse("degrade-recover", "printed-ewma", replications=5)
    assert row(found, "recovery time").predicted == math.inf
    simulated = row(found, "recovery time").simulated
    assert simulated is not None
    assert (simulated.mean, simulated.never) == (None, 5)
    assert agrees(row(found, "looks above DEADZONE"), 0.2)
    assert agrees(row(found, "mean rate"), 0.25)


def test_two_seeds_have_no_noise_in_common(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seed 0 and seed 1 look at other draws in each replication."""
    seen: list[bytes] = []

    def watched(*args: Any, **options: Any) -> Trace:
        trace = simulate(*args, **options)
        seen.append(trace.latency.tobytes())
        return trace

    monkeypatch.setattr(dead_zones, "simulate", watched)
    for seed in (0, 1):
        analyse("blocking-steady:duration=10", "busy-time", replications=3, seed=seed)
    assert len(set(seen)) == len(seen) == 6


@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.6])
@pytest.mark.parametrize("inc_step", [0.5, 2.0])
def test_a_climb_cannot_miss_a_zone_as_wide_as_a_step(alpha: float, inc_step: float) -> None:
    """The smoothing does not matter; a dead zone that no step hits exactly is crossed for ever."""
    plant = plant_of(scenario_named(QUIET))
    assert isinstance(plant, Plant)
    law = CONTROLLERS["ewma-deadzone"](alpha=alpha, inc_step=inc_step, low=0.95)
    landed = backlogged(law._replace(deadzone=0.95 + inc_step / 50.0 + 1e-6), plant)
    assert np.ptp(landed[1000:]) == 0.0
    # Rates are at least `min_rate` apart from anything in a zone of no width.
    crossing = backlogged(law._replace(deadzone=0.95 + 1e-12, dec_rate=0.7071), plant)
    assert np.ptp(crossing[1000:]) > 0.1 * crossing[1000:].mean()


def test_the_describing_function_of_a_lagging_ewma_is_refused() -> None:
    found = analyse(QUIET, "ewma-deadzone", replications=2)
    bound = row(found, "DEADZONE without a cycle")
    assert "EWMA is not in the loop" in bound.refusal
    assert bound.simulated is not None
    assert bound.simulated.mean is not None
    # It is an upper bound: what cycles cycles below it.
    assert bound.simulated.mean < bound.predicted


@pytest.mark.parametrize(
    ("law", "scenario", "title", "levels"),
    [
        ("aimd", "blocking-steady", "the rate, and what is predicted of it", ["mean"]),
        ("aimd", QUIET, "the rate, and what is predicted of it", ["mean", "peak", "trough"]),
        # The peak of 1.5 x 50 lies above the wanted rate, so the table refuses the sawtooth.
        ("aimd", f"{QUIET},target=60", "the rate, and no prediction that applies to it", []),
        ("ewma-deadzone", "blocking-steady", "the rate, and what is predicted of it", ["mean"]),
        ("busy-time:inc_step=0", QUIET, "the rate, and no prediction that applies to it", []),
        ("fixed", QUIET, "the rate alone, as nothing is predicted", []),
    ],
)
def test_of_what_does_not_apply_nothing_is_drawn(
    law: str, scenario: str, title: str, levels: list[str]
) -> None:
    figure: Any = analyse(scenario, law, replications=2).plot()
    (ax,) = figure.axes  # no loop in the complex plane
    assert figure._suptitle.get_text().endswith(f"\n{title}")
    predicted = [
        line.get_label().split()[1] for line in ax.lines if line.get_label().startswith("predicted")
    ]
    assert predicted == levels


def test_of_a_linear_loop_what_applies_is_drawn() -> None:
    """At ti of half a sample the loop lags by more than half a turn: no gain is its margin."""
    for law, labels in (
        ("pi", ["-1", "-1 / gain margin, predicted 10.3", "predicted mean 50/s"]),
        ("pi:kp=0.1,ti=0.009", ["-1"]),
    ):
        figure: Any = analyse(QUIET, law, replications=2).plot()
        drawn = [line.get_label() for ax in figure.axes for line in ax.lines]
        assert [
            label for label in drawn if label.startswith("-1") or "predicted" in label
        ] == labels
        assert figure._suptitle.get_text() == f"{law} on {QUIET}"


def test_bad_input() -> None:
    with pytest.raises(InputError, match="allowed: a whole number >= 2"):
        analyse("blocking-steady", "aimd", replications=1)
    with pytest.raises(InputError, match="there is no controller"):
        analyse("blocking-steady", "nothing")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "result"
    asked = ["analyse", "pi", "--scenario", QUIET, "--replications", "2", "--out", str(out)]
    assert main(asked) == 0
    printed = capsys.readouterr().out
    assert "gain margin" in printed
    assert max(len(line) for line in printed.splitlines()) <= 100 + len(str(tmp_path))
    assert {path.name for path in out.iterdir()} == {"summary.json", "analysis.png", "run.json"}
    document = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert document["command"].startswith(
        "python -m tpssim analyse pi --scenario blocking-steady:cv=0.01"
    )
    assert document["rows"][0]["quantity"] == "gain margin"
    assert main([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == document


def test_the_command_with_nothing_to_predict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [
        "analyse",
        "fixed",
        "--scenario",
        QUIET,
        "--replications",
        "2",
        "--out",
        str(tmp_path / "r"),
    ]
    assert main(asked) == 0
    assert "it looks at nothing, so there is no loop" in " ".join(capsys.readouterr().out.split())
    assert main(["analyse", "fixed", "--scenario", QUIET, "--trace", "x.csv"]) == 2
    assert "allowed: one of the two" in capsys.readouterr().err


def judged(
    predicted: float, simulated: Estimate | None, unit: str = "1/s", refusal: str = ""
) -> str:
    return Row("q", unit, predicted, simulated, "a", refusal).refuted()


def test_what_refutes_a_prediction() -> None:
    """By hand: a quarter of 10 is 2.5, so intervals that reach [7.5, 12.5] do not contradict it."""
    assert judged(10.0, Estimate(15.0, 12.5, 17.5, 5, 0)) == ""
    assert (
        judged(10.0, Estimate(15.0, 12.6, 17.4, 5, 0))
        == "the simulation shows 15, 1.5 times the prediction"
    )
    assert judged(10.0, Estimate(7.0, 6.6, 7.4, 5, 0)).endswith("0.7 times the prediction")
    assert judged(10.0, Estimate(7.0, 6.4, 7.6, 5, 0)) == ""
    # Without an interval its mean decides; a share of a thousandth more or less is not counted.
    assert judged(0.0, Estimate(0.0009, None, None, 1, 0), "share") == ""
    assert judged(0.0, Estimate(0.3, None, None, 1, 0), "share") == "the simulation shows 0.3"
    assert judged(1e-9, Estimate(0.0, 0.0, 0.0, 5, 0), "share") == ""
    # Never.
    assert judged(math.inf, Estimate(3.0, 2.0, 4.0, 3, 2)) == "it happens in 3 of 5 runs"
    assert judged(math.inf, Estimate(3.0, 2.0, 4.0, 2, 3)) == ""
    assert judged(2.0, Estimate(2.0, None, None, 1, 4)) == "it never happens in 4 of 5 runs"
    # What does not apply, or says nothing, cannot be refuted.
    assert judged(10.0, Estimate(99.0, 98.0, 100.0, 5, 0), refusal="no noise") == ""
    assert judged(math.nan, Estimate(1.0, 0.9, 1.1, 5, 0)) == judged(1.0, None) == ""


def test_a_refuted_prediction_says_so_in_table_document_and_picture(tmp_path: Path) -> None:
    """A mean rate of 50/s, 21 times what was predicted, where the other predictions hold."""
    found = analyse(QUIET, "aimd", replications=2)
    assert found.refuted() == []
    assert "refuted" not in found.table()
    rows = [
        one._replace(predicted=one.predicted / 21.0)
        if one.quantity == "mean rate, sawtooth"
        else one
        for one in found.rows
    ]
    levels = [
        (label, rows[0].predicted if "mean" in label else at) for label, at in found.picture.levels
    ]
    wrong = found._replace(rows=rows, picture=found.picture._replace(levels=levels))
    assert wrong.refuted() == ["mean rate, sawtooth"]
    (line,) = (
        line for line in wrong.table().splitlines() if line.startswith("mean rate, sawtooth  ")
    )
    assert line.split()[3] == "refuted"
    assert "lies more than 25 % away from the prediction" in wrong.table()
    assert "REFUTED: the simulation shows 64, 21.1 times the prediction." in " ".join(
        wrong.table().split()
    )
    document = wrong.record().to_dict()
    assert document["tolerance"] == 0.25
    assert [bool(one["refuted"]) for one in document["rows"]] == [True, False, False, False]
    figure: Any = wrong.plot()
    assert "refuted by the simulation: mean rate, sawtooth" in figure._suptitle.get_text()
    drawn = [
        str(line.get_label())
        for line in figure.axes[0].lines
        if "predicted" in str(line.get_label())
    ]
    assert drawn[0].startswith("predicted mean (refuted) 3.04")
