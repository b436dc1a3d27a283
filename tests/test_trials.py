"""The parts of the trials in `benchmarks` that decide what is compared with what."""

from __future__ import annotations

import json
import math
import sys
from types import ModuleType
from typing import Any

import pytest
from helpers import ROOT

from tpssim.controllers import CONTROLLERS
from tpssim.core.errors import InputError
from tpssim.core.validation import Range
from tpssim.experiments.families import TUNING
from tpssim.experiments.recommending.candidates import law as candidate
from tpssim.experiments.recommending.trials import Outcome
from tpssim.scenarios.plant import Async, Pool

sys.path.insert(0, str(ROOT / "benchmarks"))
import _inputs
import _served
import live_share
import one_by_one
import overloads
import plain_quotas
import recommend_promises
import recommend_trial
import robustness


def test_a_parameter_is_moved_to_what_its_range_allows() -> None:
    assert robustness.near(1.17, 0.9, Range(0.0, 1.0)) == 1.0
    assert robustness.near(0.63, 0.9, Range(0.0, 1.0)) == 0.63
    below = robustness.near(1.17, 0.9, Range(0.0, 1.0, closed_high=False))
    assert below == pytest.approx(0.999)


def test_each_parameter_is_changed_both_ways_or_named() -> None:
    """AIMD's dec_rate 0.5 by 30 %: 0.35 and 0.65."""
    law = CONTROLLERS["aimd"]
    found, left = robustness.changes("aimd", law(dec_rate=0.5), 0.3)
    assert [value for field, value, _ in found if field == "dec_rate"] == [0.35, 0.65]
    changed = {field for field, _, _ in found} | {text.split()[0] for text in left}
    assert changed == set(law._fields)
    assert "aimd:dec_rate=0.35" in [label for _, _, label in found]


def test_a_base_of_its_own_is_kept_in_each_change() -> None:
    """What is changed is one parameter of the law that was given, not of its default."""
    law = CONTROLLERS["aimd"]
    given = law(dec_rate=0.5, inc_step=7.0)
    found, _ = robustness.changes("aimd", given, 0.3)
    labels = [label for field, _, label in found if field == "dec_rate"]
    assert all("inc_step=7" in label for label in labels)


def test_the_best_other_law_is_chosen_on_one_half_and_shown_on_the_other() -> None:
    """`lucky` is best on far-0 and far-2; on far-1 and far-3 it is behind by 0.1 and 0.3."""
    shares = {
        "far-0": {"headroom": 0.5, "lucky": 1.0, "steady": 0.9},
        "far-1": {"headroom": 0.8, "lucky": 0.7, "steady": 1.0},
        "far-2": {"headroom": 0.5, "lucky": 1.0, "steady": 0.9},
        "far-3": {"headroom": 0.8, "lucky": 0.5, "steady": 1.0, "seldom": 1.0},
        "knee-0": {"headroom": 0.0, "lucky": 1.0, "steady": 0.0},
    }
    row = one_by_one.row_of("far", shares, "headroom")
    assert (row.best, row.services) == ("lucky", 2.0)
    assert row.ahead.mean == pytest.approx(-0.2)
    assert row.share == pytest.approx(0.6)
    assert row.own == pytest.approx(0.8)
    end = one_by_one.farthest("far", shares, "headroom")
    assert (end.service, end.best, end.share, end.own) == ("far-0", "lucky", 1.0, 0.5)


def test_a_law_that_does_not_act_everywhere_is_compared_with_none() -> None:
    shares = {f"far-{k}": {"headroom": 0.5} for k in range(4)}
    with pytest.raises(InputError, match=r"^no other law acts on every service of far; allowed: "):
        one_by_one.row_of("far", shares, "headroom")
    shares["far-3"] = {"fixed": 1.0}
    with pytest.raises(InputError, match=r"^headroom does not act on every service of far; "):
        one_by_one.row_of("far", shares, "headroom")


@pytest.mark.parametrize(
    ("benchmark", "words", "said"),
    [
        (one_by_one, ["--kinds", "slow"], "there is no family of services 'slow'; allowed: "),
        (one_by_one, ["--law", "slow"], "there is no controller 'slow'; allowed: "),
        (robustness, ["--law", "slow"], "there is no controller 'slow'; allowed: "),
        (robustness, ["--services", "0"], "n=0; allowed: "),
        (live_share, ["--law", "slow"], "there is no controller 'slow'; allowed: "),
        (recommend_trial, ["--seed", "-1"], "seed=-1; allowed: "),
        (overloads, ["slow"], "there is no scenario 'slow'; allowed: "),
        (plain_quotas, ["--law", "slow", "--smoke"], "there is no controller 'slow'; allowed: "),
    ],
)
def test_bad_words_get_one_line_and_exit_code_2(
    benchmark: ModuleType,
    words: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", [f"{benchmark.__name__}.py", *words])
    assert _inputs.ended(benchmark.main) == 2
    (line,) = [one for one in capsys.readouterr().err.splitlines() if "allowed" in one]
    assert line.startswith(said)


def test_why_a_service_cannot_be_served_is_said() -> None:
    with (
        pytest.raises(InputError, match=r"noisy-neighbour: other clients .* cannot be served"),
        _served.serving("--service noisy-neighbour"),
    ):
        pass


def test_what_is_played_live_is_small_and_the_law_sees_completions() -> None:
    for kind in live_share.KINDS:
        found = live_share.small(kind, 5)
        assert isinstance(found.target, float)
        assert found.target <= live_share.MOST
        assert isinstance(found.consumer, Async)


def test_promises_kept_are_counted_by_hand() -> None:
    """Four true runs, of which three lie in 1.0 to 2.0; an end of None is none at all."""

    class Said:
        def expected(self) -> list[dict[str, Any]]:
            return [
                {"name": "goodput", "low": 1.0, "high": 2.0},
                {"name": "latency_p99", "low": 0.5, "high": None},
                {"name": "wasted", "low": 0.0, "high": 0.0},
            ]

    numbers = [(1.0, 0.4), (1.5, 0.5), (2.0, 9.0), (2.1, 9.0)]
    runs = tuple({"goodput": a, "latency_p99": b, "wasted": 1.0} for a, b in numbers)
    said: Any = Said()
    found = recommend_promises.kept(said, Outcome(candidate("aimd"), runs, (0.0,) * 4))
    assert list(found["goodput"]) == pytest.approx([0.75, 1.0 / 1.75])
    assert list(found["latency_p99"]) == [0.75, math.inf]
    assert [*found] == ["goodput", "latency_p99"]


def test_ten_families_on_which_nothing_was_tuned() -> None:
    for seed in range(20):
        families = recommend_trial.chosen_families(seed, None)
        assert len(set(families)) == 10
        assert not set(families) & set(TUNING)
        assert families[:3] == list(recommend_trial.RECORDED)
    one = recommend_trial.service_of("cold-start", 3)
    assert not isinstance(one.consumer, Pool)


@pytest.mark.parametrize(
    ("label", "tps", "wanted", "name"),
    [
        ("no controller", 30.0, None, None),
        ("no controller, tps=8.13", 8.13, 8.13, None),
        ("aimd:dec_rate=0.8", 30.0, None, "aimd"),
    ],
)
def test_what_is_named_is_read_from_the_record(
    label: str, tps: float, wanted: float | None, name: str | None
) -> None:
    record = json.loads(json.dumps({"label": label, "tps": tps}))
    found = recommend_trial.Asked(record).candidate()
    assert (found.label, found.tps) == (label, wanted)
    assert (found.law is None) == (name is None)
    if found.law is not None:
        assert (type(found.law), found.law.dec_rate) == (CONTROLLERS["aimd"], 0.8)
