"""One word for a run: each rule at its threshold, and what the built-in scenarios must show."""

from __future__ import annotations

import math
from typing import Any

import pytest
from helpers.laws import SetOnce, run

from tpssim import compare
from tpssim.core.errors import InputError
from tpssim.metrics.layout import Phase
from tpssim.metrics.measure import measure
from tpssim.metrics.verdicts import judge, judge_phase, losses, majority
from tpssim.output.verdict_words import WORDS, merit
from tpssim.scenarios.plant import Async, Backend, Blocking, Consumer, Pool
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_quotas import ServiceQuota
from tpssim.scenarios.service_times import Constant
from tpssim.simulation.run import simulate

GOOD = Phase(
    0.0, 60.0, 100.0, 200.0, 100.0, 1.0, 1.0, 0.5, 100.0, 0.0, 0.1, math.nan, 0.0, 0.0, 100.0
)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "converges"),
        ({"swing": 0.51}, "oscillates"),
        ({"swing": 0.5}, "converges"),
        ({"swing": 0.11, "period": 3.0}, "oscillates"),  # small but regular
        ({"swing": 0.1, "period": 3.0}, "converges"),
        ({"steady_share": 0.79}, "stuck"),
        ({"steady_share": 0.8}, "converges"),
        ({"drift": 1001.0}, "drifts"),
        ({"drift": 1000.0}, "converges"),
        (
            {"drift": 10_000.0, "steady_load": 0.9},
            "converges",
        ),  # a busy consumer makes any schedule late
        ({"drift": 10_001.0, "steady_load": 0.9}, "saturated"),
        ({"drift": 10_001.0, "steady_load": 0.89}, "drifts"),
        ({"steady_unanswered": 0.1}, "converges"),
        ({"steady_unanswered": 0.11}, "saturated"),
        ({"steady_unanswered": 0.11, "steady_share": 0.79}, "stuck"),  # that is worse
        ({"steady_unanswered": 1.0, "achievable": 0.0}, "converges"),  # nothing could be served
    ],
)
def test_each_rule_at_its_threshold(changes: dict[str, Any], word: str) -> None:
    assert judge_phase(GOOD._replace(**changes)).word == word


def test_reasons_are_one_line_with_figures() -> None:
    assert (
        judge_phase(GOOD._replace(steady_share=0.5)).reason
        == "0-60 s: settled at 50 % of the achievable 100/s"
    )


def test_losses_are_named_with_the_phase_in_which_they_are_largest() -> None:
    few, many = GOOD._replace(steady_unanswered=0.06), GOOD._replace(start=60.0, end=90.0)
    text = "60-90 s: 33 % of the calls sent are refused, time out or pile up"
    many = many._replace(steady_unanswered=0.334)
    assert judge_phase(many).reason == text
    assert losses([few, many]) == text
    assert losses([few]) == text.replace("60-90", "0-60").replace("33", "6")
    assert losses([GOOD._replace(steady_unanswered=0.05)]) == ""
    assert losses([many._replace(achievable=0.0)]) == ""


def test_a_fixed_rate_above_what_the_service_takes_does_not_converge() -> None:
    # 300/s of 200 a second with 20 places: a third finds them taken, for which nobody waits.
    found = compare("refusing", ["fixed"], replications=1)
    (cell,) = found.of("refusing").values()
    assert cell.runs[0].phases[0].steady_unanswered == pytest.approx(1.0 / 3.0, abs=0.05)
    assert cell.verdict() == ("saturated", 1.0)
    table = found.table()
    assert "saturated*" in table
    assert "of the calls sent are refused, time out or pile up" in table


def test_a_backlog_in_the_service_is_one_where_no_lag_shows_it() -> None:
    # 600/s of 500 a second, without a limit of the queue: a sixth of what is sent piles up.
    (cell,) = compare("creep", ["fixed"], replications=1).of("creep").values()
    assert cell.runs[0].phases[0].steady_unanswered == pytest.approx(1.0 / 6.0, abs=0.02)
    assert cell.verdict() == ("saturated", 1.0)


def test_the_majority_decides_and_the_worse_word_wins_a_tie() -> None:
    assert majority(["converges", "converges", "stuck"]) == ("converges", 2 / 3)
    assert majority(["converges", "stuck"]) == ("stuck", 0.5)
    assert WORDS[:3] == ("inert", "exceeds", "stuck")


@pytest.mark.parametrize(
    ("consumer", "law", "word", "reason"),
    [
        (
            Blocking(),
            SetOnce(limit=1.0),
            "inert",
            "the law left the rate open, and its limit, never below 1, held no call back; "
            "at most 1 call was in flight: a blocking producer makes one call at a time",
        ),
        (
            Async(0.0),
            SetOnce(limit=3.0),
            "inert",
            "with hand-off feedback a call is over when it has been handed",
        ),
        (
            Async(0.0, "completion"),
            SetOnce(limit=30.0),
            "inert",
            "never below 30, held no call back; at most 2",
        ),
        (
            Async(0.0, "completion"),
            SetOnce(limit=3.0),
            "stuck",
            "settled at 60 % of the achievable",
        ),
        (Pool(20.0), SetOnce(limit=3.0), "stuck", "settled at"),
        (Blocking(), SetOnce(), "inert", "the law left every actuator open"),
        (Blocking(), SetOnce(rate=200.0), "converges", "of the achievable"),
        (Blocking(), SetOnce(limit=1.0, reject=0.5), "stuck", "settled at 51 % of the achievable"),
    ],
)
def test_a_law_none_of_whose_actuators_acts_is_inert(
    consumer: Consumer, law: SetOnce, word: str, reason: str
) -> None:
    # 0.2 s of work, so 20 in flight at 100/s; a blocking producer gets 0.002 s.
    service = Constant(0.002 if isinstance(consumer, Blocking) else 0.2)
    scenario = Scenario("s", service, 100.0, 20.0, consumer)
    if isinstance(consumer, Async | Pool) and word == "stuck":
        scenario = scenario._replace(service=Constant(0.05))
    verdict = judge(run(scenario, law))
    assert verdict.word == word
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("scenario", "controller", "word"),
    [
        ("degrade-recover", "printed-sleep", "drifts"),
        ("degrade-recover", "printed-spin", "saturated"),
        ("degrade-recover", "printed-aimd", "oscillates"),
        ("degrade-recover", "printed-ewma", "stuck"),
        ("degrade-recover", "headroom", "converges"),
        ("blocking-steady", "aimd", "oscillates"),
        ("blocking-steady", "headroom", "converges"),
        ("fast-async", "ewma-deadzone", "converges"),
        ("drift", "printed-sleep", "drifts"),
        ("drift", "printed-spin", "converges"),
        ("spikes", "printed-ewma", "stuck"),
        ("spikes", "headroom", "converges"),
    ],
)
def test_the_story_holds_on_another_seed(scenario: str, controller: str, word: str) -> None:
    words = [
        judge(simulate(scenario, controller, seed=12345, replication=r)).word for r in range(3)
    ]
    assert majority(words)[0] == word


@pytest.mark.parametrize("reads", [judge, measure])
def test_what_is_no_run_is_refused_in_one_line(reads: Any) -> None:
    with pytest.raises(
        InputError, match=r"^int is no run; allowed: a Trace, as simulate makes it$"
    ):
        reads(5)


def test_the_best_converges_and_where_none_does_answers_soonest() -> None:
    best_first = [
        ("converges", 1.0, 0.90, 0.05),
        ("converges", 0.6, 0.99, 0.05),
        ("saturated", 0.6, 0.970, 0.62),  # of a growing backlog the shorter one
        ("saturated", 1.0, 0.991, 9.8),
        ("saturated", 1.0, 0.999, None),
        ("oscillates", 1.0, 0.95, 3.0),
        ("oscillates", 1.0, 0.90, 0.1),
        ("oscillates", 1.0, None, 0.1),
        ("failed", 1.0, None, None),
    ]
    worst_first = best_first[::-1]
    assert sorted(worst_first, key=lambda setting: merit(*setting)) == best_first


@pytest.mark.parametrize(("duration", "said"), [(60.0, True), (180.0, True), (240.0, False)])
def test_where_the_windows_of_a_quota_decide_it_is_said(duration: float, said: bool) -> None:
    # 500 calls at the start of each minute: the last half of 60 or 180 s holds 0 and 1 1/2 windows.
    quotas = (ServiceQuota(500.0, 60.0, retry_after=1.0),)
    scenario = Scenario("q", Constant(0.01), 50.0, duration, Async(0.0, "completion"))
    scenario = scenario._replace(backend=Backend(servers=8.0, quotas=quotas))
    verdict = judge(simulate(scenario, "fixed"))
    assert ("less than two windows of a quota (60 s)" in verdict.reason) == said
    assert (verdict.word == "stuck") == said
