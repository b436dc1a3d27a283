"""simulate and compare: what may be given, reproducibility, common noise, results as text and
JSON.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import tpssim
from tpssim import InputError, Observation, compare, measure, simulate, sweep, tune
from tpssim.controllers.aimd import Aimd
from tpssim.controllers.fixed import FixedState
from tpssim.core.schedule import late_policy
from tpssim.core.validation import format_spec
from tpssim.metrics.measure import METRICS
from tpssim.scenarios.builtin import SCENARIOS
from tpssim.scenarios.scenario import with_late
from tpssim.simulation.trace import COLUMNS

SHORT = "blocking-steady:duration=5"


def test_a_controller_is_a_name_a_record_or_a_class() -> None:
    by_name = simulate(SHORT, "aimd:dec_rate=0.5")
    by_record = simulate(SHORT, Aimd(dec_rate=0.5))
    assert np.array_equal(by_name.released, by_record.released)
    assert by_name.meta["parameters"]["dec_rate"] == 0.5
    assert np.array_equal(simulate(SHORT, Aimd).released, simulate(SHORT, "aimd").released)


class Cautious(NamedTuple):
    """A user's own law, which the package has never heard of."""

    def init(self, target: float) -> FixedState:
        return FixedState(target / 2.0, math.inf, 0.0)

    def update(self, state: FixedState, obs: Observation) -> FixedState:
        return state


def test_ones_own_law_and_scenario_run() -> None:
    own = tpssim.Scenario("mine", SCENARIOS["blocking-steady"].service, 10.0, 4.0)
    result = compare(own, [Cautious, "fixed"], replications=2)
    assert result.of("mine")["Cautious"].estimate("throughput").mean == 5.0
    assert result.of("mine")["fixed"].estimate("throughput").mean == pytest.approx(10.0, abs=0.5)


class Plain(NamedTuple):
    """A law without ranges."""

    share: float = 0.5

    def init(self, target: float) -> FixedState:
        return FixedState(self.share * target, math.inf, 0.0)

    def update(self, state: FixedState, obs: Observation) -> FixedState:
        return state


@pytest.mark.usefixtures("uncompiled")
def test_the_numbers_of_a_law_without_ranges_are_its_parameters() -> None:
    assert simulate(SHORT, Plain(0.25)).meta["parameters"] == {"share": 0.25}
    found = compare(SHORT, [Plain(), Plain(0.25)], replications=2)
    (cells,) = (found.of(name) for name in found.scenarios)
    assert [*cells] == ["Plain", "Plain:share=0.25"]
    swept = sweep(SHORT, Plain(), {"share": [0.2, 0.4]}, replications=2)
    assert [row.point for row in swept.rows] == [(0.2,), (0.4,)]
    with pytest.raises(InputError, match="no parameter says where to search; allowed: share, with"):
        tune(SHORT, Plain())


@pytest.mark.parametrize(
    ("scenario", "controller", "options", "message"),
    [
        ("nowhere", "aimd", {}, "no scenario 'nowhere'; allowed: those of"),
        (SHORT, "nothing", {}, "no controller 'nothing'; allowed: auto, or those of"),
        (
            SHORT,
            "aimd:alpha=1",
            {},
            "aimd: there is no parameter 'alpha'; allowed: threshold, dec_rate",
        ),
        (SHORT, "ewma-deadzone:alpha=0", {}, r"alpha=0 is out of range; allowed: \(0, 1\]"),
        (SHORT, "printed-aimd:alpha=1", {}, "printed-aimd takes no parameters"),
        (SHORT, "aimd", {"seed": -1}, "seed=-1; allowed: a whole number >= 0"),
        (SHORT, "aimd", {"seed": 1.5}, "seed=1.5"),
        (SHORT, "aimd", {"replication": True}, "replication=True"),
        (SHORT, "aimd", {"engine": "steam"}, "no engine 'steam'; allowed: auto, simpy"),
        ("blocking-steady:target=nan", "aimd", {}, "target=nan is out of range"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    scenario: str, controller: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as error:
        simulate(scenario, controller, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"replications": 0}, "replications=0"),
        ({"workers": 0}, "workers=0"),
        ({"controllers": []}, "no controller was given"),
        ({"controllers": ["aimd", "aimd"]}, "controller 'aimd' is given twice"),
        ({"scenarios": [SHORT, SHORT]}, "is given twice"),
    ],
)
def test_a_comparison_of_nothing_or_of_doubles_is_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        compare(**{"scenarios": SHORT, **options})


def test_a_comparison_equals_its_runs_and_their_pairs_share_the_noise() -> None:
    result = compare(SHORT, ["fixed", "printed-spin", "headroom"], replications=3, seed=7, keep=3)
    cells = result.of(SHORT)
    for replication in range(3):
        alone = simulate(SHORT, "headroom", seed=7, replication=replication)
        run = cells["headroom"].runs[replication]
        assert repr(run.measures) == repr(measure(alone))
        kept, other = run.trace, cells["fixed"].runs[replication].trace
        assert kept is not None
        assert other is not None
        assert np.array_equal(kept.released, alone.released)
        # The first call of all is released at 0 by both: the same draw to the bit.
        assert kept.completed[0] == other.completed[0]
    assert len({run.digest for run in cells["fixed"].runs}) == 3
    # The first is hosted and proves that they are twins; the others are the twin's own.
    assert cells["fixed"].runs[0].digest == cells["printed-spin"].runs[0].digest
    for law, twin in zip(cells["fixed"].runs, cells["printed-spin"].runs, strict=True):
        assert repr(law.measures) == repr(twin.measures)


def test_pairing_under_common_noise_narrows_the_difference() -> None:
    # Two tunings of one law: the paired difference varies less than that of independent runs would.
    result = compare(
        "blocking-steady:duration=20", ["busy-time", "busy-time:low=0.9"], replications=8
    )
    a, b = (
        np.array([run.measures["throughput"] for run in cell.runs])
        for cell in result.of("blocking-steady:duration=20").values()
    )
    assert np.var(a - b, ddof=1) < 0.5 * (np.var(a, ddof=1) + np.var(b, ddof=1))


def test_the_document_is_the_same_for_any_number_of_workers_and_another_seed_changes_it() -> None:
    scenarios = [SHORT, "heavy-tail:duration=5"]
    laws = ["aimd", "printed-ewma"]
    one = compare(scenarios, laws, replications=2, seed=3)
    assert compare(scenarios, laws, replications=2, seed=3, workers=2).to_json() == one.to_json()
    assert compare(scenarios, laws, replications=2, seed=4).to_json() != one.to_json()


def test_the_document_holds_verdicts_intervals_and_phases() -> None:
    document = json.loads(
        compare("degrade-recover", "headroom", replications=5).to_json(command="x")
    )
    assert document["command"] == "x"
    assert set(document["metrics"]) == set(METRICS)
    throttle = document["scenarios"]["degrade-recover"]["throttles"]["headroom"]
    assert throttle["verdict"]["word"] == "converges"
    assert throttle["parameters"]["alpha"] == 0.05
    assert [phase["start"] for phase in throttle["phases"]] == [0.0, 10.0, 30.0]
    achieved = throttle["metrics"]["achieved"]
    assert achieved["low"] < achieved["mean"] < achieved["high"]
    assert document["confidence"] == 0.9375
    assert document["assumption"].startswith("93.75 % for the median of 5 runs")
    assert throttle["metrics"]["period"]["mean"] is None


def test_what_degrade_recover_must_show() -> None:
    result = compare(
        "degrade-recover", ["printed-aimd", "printed-ewma", "headroom"], replications=5, seed=99
    )
    cells = result.of("degrade-recover")
    assert [cell.verdict()[0] for cell in cells.values()] == ["oscillates", "stuck", "converges"]
    _, degraded, after = cells["printed-ewma"].phase_estimates()
    # The reference run: about 27 of 50 while degraded, 29 of 200 for good.
    assert degraded["steady_share"]["mean"] == pytest.approx(0.54, abs=0.1)
    assert after["commanded"]["mean"] == pytest.approx(29.0, abs=4.0)
    low = cells["headroom"].phase_estimates()[1]["share"]["low"]
    assert low is not None
    assert low >= 0.9
    recovery = cells["headroom"].estimate("recovery_time")
    assert recovery.high is not None
    assert recovery.high < 2.0


def test_the_mean_field_point_of_the_printed_aimd() -> None:
    # Expected gain = expected loss at 30.1/s (CV 0.5) and 22.5/s (CV 1) for a lognormal service of
    # 20 ms. It is a mean-field figure; time averages lie a little below it.
    for cv, balance in ((0.5, 30.1), (1.0, 22.5)):
        trace = simulate(f"blocking-steady:cv={cv:g},duration=600", "printed-aimd")
        # The rate logged at a release holds from the return before it to its own return.
        held = np.diff(trace.completed[:-1])
        mean = float((trace.rate[1:-1] * held).sum() / held.sum())
        assert 0.88 * balance < mean < balance


def test_the_table_fits_eighty_columns() -> None:
    found = compare(["degrade-recover", SHORT], replications=1)
    table = found.table(checks=True)
    assert max(len(line) for line in table.splitlines()) <= 80
    assert "never" in table
    assert "the same trajectory to the bit in 2 of 2 runs" in table
    assert "to the bit" not in found.table()


def test_rows_are_flat_and_whole() -> None:
    rows = list(compare(SHORT, ["fixed", "aimd"], replications=2).rows())
    assert [row["throttle"] for row in rows] == ["fixed", "aimd"]
    assert all(f"{name}_low" in rows[0] for name in METRICS)


def test_a_trace_survives_csv_npz_and_pandas(tmp_path: Path) -> None:
    trace = simulate(SHORT, "aimd", seed=5)
    trace.to_csv(tmp_path / "t.csv")
    trace.to_npz(tmp_path / "t.npz")
    back = np.genfromtxt(tmp_path / "t.csv", delimiter=",", names=True)
    packed = np.load(tmp_path / "t.npz")
    frame = trace.to_pandas()
    for name in COLUMNS:
        column = getattr(trace, name)
        assert np.array_equal(back[name], column, equal_nan=True)
        assert np.array_equal(packed[name], column, equal_nan=True)
        assert np.array_equal(frame[name].to_numpy(), column, equal_nan=True)
    meta = json.loads(str(packed["meta"]))
    assert (meta["controller"], meta["seed"], meta["scenario"]) == ("aimd", 5, SHORT)


def test_pictures_say_what_they_show() -> None:
    result = compare("degrade-recover", ["printed-spin", "headroom"], replications=1)
    figure = result.plot()
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["printed-spin: saturated 1/1, in bursts", "headroom: converges 1/1"]
    assert figure.axes[0].get_ylabel() == "calls per second"
    assert [axes.get_xlabel() for axes in figure.axes] == ["time (s)"] * 2
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["disturbance", "achievable", "commanded rate", "delivered (0.5 s means)"]
    # What runs off the axis is written on it, not cut off in silence.
    assert any("storm" in text.get_text() for text in figure.axes[0].texts)
    assert len(simulate(SHORT, "aimd").plot().axes) == 1


def test_labels_tell_apart_what_differs() -> None:
    result = compare(SHORT, ["aimd", Aimd(inc_step=2.0)], replications=1)
    assert list(result.of(SHORT)) == ["aimd", format_spec("aimd", {"inc_step": 2.0})]


def test_late_policies_are_compared_and_the_storm_is_seen() -> None:
    variants = with_late(
        SCENARIOS["stall"], [late_policy(word) for word in ("burst", "delay", "skip", "capped(20)")]
    )
    result = compare(variants, ["fixed", "headroom"], replications=2)
    storms = {
        arena.late: result.cells[arena.name, "fixed"].estimate("burst_100ms").mean
        for arena in variants
    }
    # 1 ms a call: after the stall 100 go out in 0.1 s instead of 20; capped(20) adds at most 20.
    assert storms[late_policy("burst")] == pytest.approx(100.0, rel=0.1)
    assert storms[late_policy("delay")] == pytest.approx(20.0, abs=2.0)
    assert storms[late_policy("skip")] == pytest.approx(20.0, abs=2.0)
    assert storms[late_policy("capped(20)")] == pytest.approx(40.0, abs=2.0)
    (group,) = result.late_variants()
    assert [str(arena.late) for arena in group] == ["burst", "delay", "skip", "capped(20)"]
    text = result.table().partition("stall: what becomes of missed slots")[2]
    assert [line.split()[:2] for line in text.splitlines()[5:7]] == [
        ["fixed", "burst"],
        ["fixed", "delay"],
    ]
    # 2 s at 200/s are missed; the call in the stall is one of them, and one is late itself.
    skipped = result.cells["stall late=skip", "fixed"].estimate("skipped").mean
    assert skipped == pytest.approx(399.0, abs=1.0)
    (figure,) = result.plot_late("fixed")
    assert len(figure.axes) == 4


def test_each_scenario_has_a_picture_of_its_late_policies() -> None:
    policies = [late_policy("burst"), late_policy("delay")]
    short = [SCENARIOS[name]._replace(duration=12.0) for name in ("stall", "blocking-steady")]
    arenas = [variant for scenario in short for variant in with_late(scenario, policies)]
    result = compare(arenas, "fixed", replications=1)
    assert list(result.late_pictures("fixed")) == ["stall", "blocking-steady"]


def test_printed_throttles_are_left_out_where_they_cannot_run() -> None:
    late = with_late(SCENARIOS["stall"]._replace(duration=11.0), [late_policy("skip")])
    labels = set(compare(late, replications=1).of("stall late=skip"))
    assert "fixed" in labels
    assert not any(label.startswith("printed") for label in labels)
    with pytest.raises(InputError, match="late=skip, but printed-spin keeps its own schedule"):
        compare(late, ["fixed", "printed-spin"], replications=1)


def test_producers_share_and_the_table_says_how_fairly() -> None:
    result = compare("join-leave", ["fixed", "headroom"], replications=2)
    assert re.search(r"fair- +fair\n.* ness +s\n", result.table())
    # First come, first served: two blocking callers of one server take turns.
    assert result.of("join-leave")["fixed"].estimate("fairness").mean == pytest.approx(
        1.0, abs=1e-3
    )
