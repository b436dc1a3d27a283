"""Never is worse than late, and is not what does not exist: where runs are shown, judged and
searched.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.traces import limited

from tpssim.cli.main import main
from tpssim.experiments.tuning import selection
from tpssim.experiments.tuning.objectives import PENALTY, objective
from tpssim.experiments.tuning.sensitivity import sensitivity
from tpssim.experiments.tuning.trials import Trials
from tpssim.metrics.measure import ENDLESS, METRICS
from tpssim.metrics.score import score
from tpssim.metrics.verdicts import judge


def test_a_run_tells_never_from_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """EWMA + dead zone does not come back; of one producer there is no fairness."""
    out = tmp_path / "run"
    assert main(["simulate", "degrade-recover", "ewma-deadzone", "--json", "--out", str(out)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {"recovery_time", "regain_time"} <= set(document["never"]) <= set(ENDLESS)
    assert document["metrics"]["recovery_time"] is None is document["metrics"]["fairness"]
    assert "fairness" not in document["never"]
    assert main(["report", str(out)]) == 0
    (page,) = out.glob("*.html")
    words = page.read_text(encoding="utf-8")
    row = words[words.index(">recovery_<wbr>time<") :]
    assert "never" in row[: row.index("</tr>")]


def test_what_may_never_happen_is_compared_by_how_often_it_does_not() -> None:
    before = np.full((1, 40, len(METRICS)), np.nan)
    after = before.copy()
    for name in ENDLESS:
        place = list(METRICS).index(name)
        before[0, :, place], after[0, :, place] = 9.0, [0.1, *[math.inf] * 39]
    worse, better = selection.changes(["here"], before, after)
    assert better == []
    assert {change.measure for change in worse} == set(ENDLESS)


@pytest.mark.parametrize("name", ENDLESS)
def test_a_search_cannot_choose_what_never_happens(name: str) -> None:
    assert math.isnan(objective(name).of({name: math.inf}))
    assert METRICS[name].better == "less"


def test_a_sensitivity_counts_what_cannot_be_judged_as_worse_than_all_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """31 losses of 1 to 31 and one without: 31 and once more their range, 61."""
    losses = np.array([*range(1, 32), PENALTY * 1.5], dtype=np.float64)[:, np.newaxis]

    def ask(self: Any, cube: Any, stage: str) -> Any:
        assert len(cube) == 32
        return losses.copy()

    monkeypatch.setattr(Trials, "ask", ask)
    found = sensitivity(
        "degrade-recover",
        "ewma-deadzone",
        "recovery_time",
        parameters=["alpha", "deadzone"],
        base=8,
    )
    assert found.mean == pytest.approx((31 * 32 / 2 + 61) / 32)


def test_what_swings_is_named() -> None:
    """A limit that is halved and doubled is no rate."""
    run = limited([4.0, 8.0] * 16)
    verdict = judge(run._replace(meta={**run.meta, "limited": 1.0}))
    assert verdict.word == "oscillates"
    assert ": the limit swings by 67 % of its mean" in verdict.reason


def test_code_that_hides_its_rate_is_not_called_steady_by_the_league() -> None:
    """Its total variation is unknown, not 0: a swing of 1 halves the part."""
    nan = math.nan
    run = {
        "goodput": 1.0,
        "wasted": 0.0,
        "latency_p99": 1.0,
        "swing": 1.0,
        "regain_time": nan,
        "fairness": nan,
        "limited": 0.0,
    }
    best = {**run, "swing": 0.0, "total_variation": 0.0}
    assert score({**run, "total_variation": nan}, best).smoothness == 0.5
    assert score({**run, "total_variation": 0.0}, best).smoothness == 1.0
