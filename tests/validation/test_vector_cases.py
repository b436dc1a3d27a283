"""Vector's scenarios: every range of the reference, numbers by hand, and what must make one
fail.
"""

from __future__ import annotations

import math
from typing import Any

import pytest

from tpssim.controllers.vector_arc import VectorArc
from tpssim.core.types import Observation
from tpssim.scenarios.retries import Retry
from tpssim.simulation import call_lifecycle, environment
from tpssim.validation.known_answers.cases import CASES
from tpssim.validation.validate import judged, table, validate
from tpssim.validation.vector_cases import Levels, measured, out_of_range, weighted
from tpssim.validation.vector_ranges import VECTOR_CASES


@pytest.mark.parametrize("name", VECTOR_CASES)
@pytest.mark.parametrize("seed", [0, 7])
def test_every_statistic_lies_in_its_range(name: str, seed: int) -> None:
    (outcome,) = validate([name], seed=seed)
    assert outcome.holds, outcome.quantity
    assert len(outcome.parts) == len(VECTOR_CASES[name].ranges) + 1


def test_every_range_of_the_table_is_there() -> None:
    """How many their files list: of server and controller, rate, limit, round trips."""
    counted = {name: len(case.ranges) for name, case in VECTOR_CASES.items()}
    assert counted == {
        "constant-link": 2 * 2 + 2 + 2 * 3,
        "medium-send": 2 * 3 + 1 + 2 * 2,
        "slow-send-1": 2 * 3 + 2 + 2 * 2,
        "shallow-knee": 2 * 3 + 2 + 3 + 2 * 3,
        "fixed-simple": 2 * 3 + 2 + 3,
        "defers-at-high-concurrency": 3 + 2 + 3 + 3 + 3 + 3,
        "slow-send-2": 2 * 3 + 2 + 2 * 2,
        "slow-link": 2 * 3 + 2 + 2 * 2,
        "jittery-link-small": 2 * 2 + 2 + 2 + 2,
        "fixed-jitter": 2 * 3 + 2 + 3,
        "defers-at-high-rate": 2 + 2 + 2 + 2 + 3 + 3,
        "drops-at-high-concurrency": 3 + 2 + 3 + 3 + 3 + 3,
        "retried-request-rtt": 2,
    }
    assert all(name in CASES for name in VECTOR_CASES)


def test_deferred_requests_give_the_numbers_of_an_independent_simulation() -> None:
    """One run of it, in the reference, to the digits given."""
    statistics, _ = measured("defers-at-high-concurrency")
    found = {s.name: s.value for s in statistics}
    given = {
        "s max": "10",
        "s mean": "3.386",
        "rate max": "56",
        "rate mean": "31.65",
        "c max": "30",
        "c mode": "24",
        "c mean": "21.118",
        "limit max": "30",
        "limit mean": "23.735",
        "rtt max": "11.509",
        "rtt mean": "2.3131",
        "avg max": "5.373",
        "avg mean": "1.4917",
    }
    for name, digits in given.items():
        places = len(digits.partition(".")[2])
        assert round(found[name], places) == float(digits), name


def test_numbers_by_hand() -> None:
    # Ten permits, 50 rounds of 101 ms. In the last second at most nine rounds began.
    fixed = {s.name: s.value for s in measured("fixed-simple")[0]}
    assert (fixed["c mean"], fixed["rate max"]) == (10.0, 90.0)
    # One at a time, 51 ms of 100: from the first request to the last answer 99 x 100 + 51 ms, 100 x
    # 51 busy.
    slow = {s.name: s.value for s in measured("slow-send-1")[0]}
    assert slow["s mean"] == pytest.approx(5100 / 9951, rel=1e-12)
    assert slow["rtt mean"] == pytest.approx(0.051, rel=1e-12)


def test_the_limiter_around_the_retries_sees_their_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    # Six attempts of 101 ms and waits of 1, 2, 3, 5 and 8 s, each a millisecond longer: 19.611 s.
    case = VECTOR_CASES["retried-request-rtt"]._replace(retry=Retry(1000.0))
    monkeypatch.setitem(VECTOR_CASES, "around", case)
    found = {s.name: s for s in measured("around")[0]}
    assert out_of_range([found["rtt max"]])
    assert found["rtt max"].value == pytest.approx(19.611, rel=1e-12)


def test_levels_are_credited_with_the_time_before() -> None:
    levels = Levels()
    for level, now in ((9.0, 1.0), (2.0, 3.0), (4.0, 5.0), (7.0, 5.0), (1.0, 6.0)):
        levels.credit(level, now)
    # The first has no time, 7 had none; of 2 and 4, which had equally much, the higher is the mode.
    assert levels.statistics() == {"min": 1.0, "max": 4.0, "mean": 13.0 / 5.0, "mode": 4.0}


def test_weighted_samples() -> None:
    found = weighted([(0.0, 900.0), (10.0, 100.0), (40.0, 200.0)])
    assert found == {"min": 0.1, "max": 0.2, "mean": pytest.approx(0.175)}


class Eager(VectorArc):
    """Raises its limit whether it was reached or not."""

    __slots__ = ()

    def update(self, state: Any, obs: Observation) -> Any:
        return super().update(state._replace(reached=1.0), obs)


class Tolerant(VectorArc):
    """Takes a round trip for no slower that is so by less than its hundredth."""

    __slots__ = ()

    def update(self, state: Any, obs: Observation) -> Any:
        return super().update(state, obs._replace(latency=math.floor(obs.latency * 50.0) / 50.0))


@pytest.mark.parametrize(
    ("law", "case", "wrong"),
    [
        (Eager(), "slow-send-1", "limit mean"),
        (Tolerant(), "shallow-knee", "limit max"),
        (VectorArc(ratio=0.5), "shallow-knee", "c mean"),
        (VectorArc(deviations=0.0), "shallow-knee", "limit mean"),
        (VectorArc(initial=3.0), "medium-send", "limit max"),
        (VectorArc(initial=3.0), "slow-link", "avg min"),
        (VectorArc(initial=3.0), "defers-at-high-rate", "limit mean"),
        (VectorArc(initial=3.0), "drops-at-high-concurrency", "c mean"),
        (VectorArc(deviations=0.0), "jittery-link-small", "limit max"),
    ],
)
def test_another_law_fails(law: Any, case: str, wrong: str) -> None:
    assert wrong in [s.name for s in out_of_range(measured(case, law)[0])]


def test_jitter_is_drawn_and_a_silent_call_leaves_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (measured("fixed-jitter", seed=seed)[0] for seed in (0, 1))
    assert first != second
    case = VECTOR_CASES["fixed-jitter"]
    monkeypatch.setitem(VECTOR_CASES, "fixed-jitter", case._replace(jitter=0.0))
    assert "rate mean" in [s.name for s in out_of_range(measured("fixed-jitter")[0])]
    name = "drops-at-high-concurrency"
    silent = {s.name: s.value for s in measured(name)[0]}
    assert silent["s max"] == 5.0  # not one more: it never gets in
    monkeypatch.setitem(VECTOR_CASES, name, VECTOR_CASES[name]._replace(timeout=2.001))
    assert out_of_range(measured(name)[0])


def test_an_inverted_tie_rule_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    # A completion after the release of the same instant: seen where latency depends on how many are
    # inside.
    monkeypatch.setattr(call_lifecycle, "COMPLETION", environment.RELEASE + (1 << 70))
    outcomes = validate(["shallow-knee", "defers-at-high-concurrency"])
    assert not any(outcome.holds for outcome in outcomes)


def test_without_the_extra_millisecond_the_ranges_are_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the reference says of these three, with its numbers."""
    monkeypatch.setattr(
        environment, "ticked", lambda wait, tick: math.ceil(wait / tick - 1e-6) * tick
    )
    for case, name, value, places in (
        ("medium-send", "c mean", 3.976, 3),
        ("shallow-knee", "rate mean", 89.448, 3),
        ("defers-at-high-concurrency", "s mean", 5.42, 2),
        ("defers-at-high-concurrency", "rate mean", 47.8, 1),
    ):
        wrong = {s.name: s.value for s in out_of_range(measured(case)[0])}
        assert name in wrong, case
        assert round(wrong[name], places) == value


def test_what_is_out_of_range_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    case = VECTOR_CASES["fixed-simple"]
    ranges = case.ranges | {"rate max": (91.0, 95.0), "c mean": (1.0, 2.0)}
    monkeypatch.setitem(VECTOR_CASES, "fixed-simple", case._replace(ranges=ranges))
    outcome = judged("fixed-simple", CASES["fixed-simple"].run(0))
    assert not outcome.holds
    assert outcome.simulated == 2.0
    assert (
        outcome.quantity
        == "out of range, of 12 statistics: c mean 10 (1 to 2), rate max 90 (91 to 95)"
    )
    assert "rate max 90 (91 to 95)" in table([outcome])
    assert "NO" in table([outcome])
