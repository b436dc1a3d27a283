"""`sre-throttling`: the originals' sequences and numbers, and the steady state that the formula
has.
"""

from __future__ import annotations

import math
from array import array
from typing import Any

import numpy as np
import pytest
from helpers.laws import SetOnce, run

from tpssim.controllers.sre_throttling import SreThrottling, SreThrottlingState
from tpssim.core.pacer import Pacer
from tpssim.core.types import REFUSED, REJECTED, Observation
from tpssim.scenarios.plant import Async, Backend
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant

GRPC = SreThrottling(padding=8.0, window=30.0, bins=100.0, attempts=0.0, failures=1.0)
BEAM = SreThrottling(window=60.0, bins=60.0, failures=1.0)
FAILSAFE = SreThrottling(
    k=1.0 / 0.9, max_reject=0.9, window=60.0, bins=20.0, attempts=0.0, local=0.0, failures=1.0
)
AEGIS = SreThrottling(
    k=1.0 / 0.6, window=3.0, bins=10.0, min_requests=100.0, attempts=0.0, failures=1.0
)


class Throttler:
    """A law with its state and memory, fed with answers, asked for slots."""

    def __init__(self, law: SreThrottling) -> None:
        self.law = law
        self.memory = array("d", [0.0]) * law.memory()
        self.state: SreThrottlingState = law.init(100.0)

    def answered(self, now: float, ok: float, failed: float = 0.0) -> None:
        self.observe(Observation(now, 100.0, 0.01, 0.0, ok + failed, failed, 1.0, failed))

    def refused(self, now: float) -> None:
        self.observe(Observation(now, 100.0, math.nan, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0))

    def observe(self, obs: Observation) -> None:
        self.state = self.law.update(self.state, obs, self.memory)

    def asked(self, now: float) -> float:
        self.state = self.law.admit(self.state, now, 0.0, 1.0, self.memory)
        return self.state.reject

    def counts(self) -> tuple[float, float]:
        return self.state.accepts, self.state.requests - self.state.accepts


@pytest.mark.parametrize(
    ("k", "padding", "want"),
    [
        (1.1, 8.0, "nnnnnnnnyyyyynnnyyy"),
        (1.1, 7.0, "nnnnnnnyyyyyyyyyyyy"),
        (1.4, 8.0, "nnnnnnnnyynnnnnnnnn"),
    ],
)
def test_grpcs_sequence_of_answers_with_every_draw_at_one_half(
    k: float, padding: float, want: str
) -> None:
    throttler = Throttler(GRPC._replace(k=k, padding=padding, bins=1.0))
    got = ""
    for answer in "TTTTTTTTTAAAAAATTTT":
        throttler.answered(0.0, float(answer == "A"), float(answer == "T"))
        refused = throttler.asked(0.0) > 0.5
        if refused:
            throttler.refused(0.0)
        got += "y" if refused else "n"
    assert got == want


@pytest.mark.parametrize(
    ("bins", "ticks", "answers", "accepts", "throttles"),
    [
        (3.0, (0, 1, 2), "AT-", (1, 1, 1), (0, 1, 1)),
        (3.0, (1, 0, 2), "AT-", (1, 1, 1), (0, 1, 1)),
        (3.0, (8, 0, 9), "AAA", (1, 1, 2), (0, 0, 0)),
        (1.0, (0, 1, 2), "AT-", (1, 0, 0), (0, 1, 0)),
    ],
    ids=["accumulate", "a little back", "far back", "rollover"],
)
def test_grpcs_bins(
    bins: float, ticks: Any, answers: str, accepts: tuple[int, ...], throttles: tuple[int, ...]
) -> None:
    throttler = Throttler(GRPC._replace(bins=bins, window=bins))
    for tick, answer, accepted, throttled in zip(ticks, answers, accepts, throttles, strict=True):
        if answer != "-":
            throttler.answered(float(tick), float(answer == "A"), float(answer == "T"))
        throttler.asked(float(tick))
        assert throttler.counts() == (accepted, throttled)


@pytest.mark.parametrize(
    ("bins", "ticks", "sums"),
    [
        (3.0, (0, 1, 2), (1, 3, 6)),
        (3.0, (1, 0, 2), (1, 3, 6)),
        (3.0, (8, 0, 9), (1, 1, 4)),
        (1.0, (0, 1, 2), (1, 2, 3)),
    ],
    ids=["accumulate", "a little back", "far back", "rollover"],
)
def test_grpcs_lookback(bins: float, ticks: tuple[int, ...], sums: tuple[int, ...]) -> None:
    # TestLookback of lookback_test.go, at 4793ad0: 1, 2, 3 are added.
    throttler = Throttler(GRPC._replace(bins=bins, window=bins))
    for value, (tick, total) in enumerate(zip(ticks, sums, strict=True), start=1):
        throttler.answered(float(tick), float(value))
        assert throttler.counts() == (total, 0.0)


def test_bins_are_counted_in_nanoseconds() -> None:
    # Bins of 0.3 s: 3 x 0.3 s is 899,999,999.9999999 ns in floats, and the first bin has left.
    throttler = Throttler(GRPC._replace(bins=3.0, window=0.9))
    for k in range(3):
        throttler.answered(0.3 * k, 1.0)
    assert throttler.counts() == (3.0, 0.0)
    throttler.asked(3 * 0.3)
    assert throttler.counts() == (2.0, 0.0)


def test_beam_without_data_and_without_errors() -> None:
    throttler = Throttler(BEAM)
    assert throttler.asked(0.0) == 0.0
    throttler = Throttler(BEAM)
    for ms in range(20):
        assert throttler.asked(ms / 1e3) == 0.0
        throttler.answered(ms / 1e3, 1.0)
    assert throttler.asked(0.02) == 0.0


def test_beam_forgets_errors_after_a_clean_window() -> None:
    throttler = Throttler(BEAM)
    for tenth in range(600):
        throttler.asked(tenth / 10.0)
    assert throttler.asked(60.0) > 0.0
    for tenth in range(600, 1200):
        throttler.asked(tenth / 10.0)
        throttler.answered(tenth / 10.0, 1.0)
    assert throttler.asked(120.0) == 0.0


def test_beam_after_errors() -> None:
    # One in three succeeds; the draws are 0, 0.1, ..., 0.9 and again.
    throttler = Throttler(BEAM)
    for ms in range(20):
        now = ms / 1e3
        throttled = (ms % 10) / 10.0 < throttler.asked(now)
        if throttled:
            throttler.refused(now)
        if ms % 3 == 1:
            throttler.answered(now, 1.0)
        if ms > 10:
            # the probability as it is now
            throttler.observe(Observation(now, 100.0, math.nan, 0.0, 0.0))
            assert throttler.state.reject == pytest.approx(0.33, abs=0.1)
            assert throttled == (ms < 14)


@pytest.mark.parametrize(
    ("requests", "ok", "most", "low", "high"),
    [
        (1, 0, 0.9, 0.5, 0.5),
        (120, 90, 0.9, 20 / 121, 20 / 121),
        (200, 50, 0.9, 0.7, 0.8),
        (1000, 10, 0.8, 0.8, 0.8),
        (0, 0, 0.9, 0.0, 0.0),
        (100, 0, 0.8, 0.8, 0.8),
        (100, 95, 0.9, 0.0, 0.0),
        (100, 90, 0.9, 0.0, 0.0),
    ],
)
def test_failsafe_gos_rates(
    requests: float, ok: float, most: float, low: float, high: float
) -> None:
    throttler = Throttler(FAILSAFE._replace(max_reject=most))
    throttler.answered(0.0, float(ok), float(requests - ok))
    rate = throttler.asked(0.0)
    assert low - 1e-12 <= rate <= high + 1e-12


def test_failsafe_go_acts_from_so_many_executions_on_and_leaves_out_its_own_refusals() -> None:
    throttler = Throttler(FAILSAFE._replace(min_requests=10.0))
    throttler.answered(0.0, 0.0, 9.0)
    assert throttler.asked(0.0) == 0.0
    throttler.answered(0.0, 0.0, 1.0)
    assert throttler.asked(0.0) == 0.9  # 10 / 11, capped
    for _ in range(50):
        throttler.refused(0.0)
    assert throttler.counts() == (0.0, 10.0)


def test_aegis() -> None:
    few = Throttler(AEGIS._replace(k=2.0))
    few.answered(0.0, 0.0, 99.0)
    assert few.asked(0.0) == 0.0
    well = Throttler(AEGIS._replace(k=2.0))
    well.answered(0.0, 1001.0, 999.0)  # fewer than 2 x 1001
    assert well.asked(0.0) == 0.0
    badly = Throttler(AEGIS._replace(k=2.0))
    badly.answered(0.0, 100.0)
    assert badly.asked(0.0) == 0.0
    badly.answered(0.0, 0.0, 1e7)
    assert badly.asked(0.0) == (1e7 + 100.0 - 200.0) / (1e7 + 101.0)
    refusals = badly.counts()[1]
    badly.refused(0.0)
    assert badly.counts()[1] == refusals + 1.0  # a refusal is a failure


def test_aegis_summary_and_its_reset() -> None:
    throttler = Throttler(AEGIS._replace(window=1.0))
    for k in range(10):
        throttler.answered(0.05 * k, float(k >= 5), float(k < 5))
    assert throttler.counts() == (5.0, 5.0)
    throttler.asked(0.5 + 1.0)
    assert throttler.counts() == (0.0, 0.0)


def test_a_probability_is_met_within_5_percent() -> None:
    probability = math.pi / 10.0
    plant = Scenario("s", Constant(0.001), 1000.0, 20.0, Async(0.0))
    outcome = run(plant, SetOnce(reject=probability)).outcome
    assert len(outcome) == 20000
    assert np.mean(outcome == REFUSED) == pytest.approx(probability, rel=0.05)


def test_a_law_at_rest_forgets() -> None:
    # In the bug class the window passes with observations only: nothing is asked for two minutes,
    # and still refused.
    throttler = Throttler(SreThrottling(attempts=0.0))
    throttler.answered(0.5, 0.0, 50.0)
    throttler.answered(60.5, 0.0, 49.0)
    assert throttler.asked(60.5) == 99.0 / 100.0
    assert throttler.asked(119.9) == 99.0 / 100.0
    assert throttler.asked(120.0) == 49.0 / 50.0
    assert throttler.asked(180.0) == 0.0
    assert throttler.counts() == (0.0, 0.0)


def test_a_law_at_rest_forgets_at_its_next_slot() -> None:
    law: Any = SreThrottling()  # its memory makes it no Controller to a type checker
    pacer = Pacer(law, 10.0, 0.0, [0.5] * 200, [0.5] * 200)
    for _ in range(100):
        now = pacer.due()
        if pacer.release(now):
            pacer.settled(now, 0.01, 0.0, 1.0, 1.0, 1.0)
        else:
            pacer.refused(now)
    assert pacer.state.reject == 100.0 / 101.0
    pacer.due()
    assert pacer.release(200.0)  # a stall of minutes later


def test_requests_count_at_their_slot_or_at_their_answer() -> None:
    ahead, behind = Throttler(SreThrottling()), Throttler(SreThrottling(attempts=0.0))
    for throttler in (ahead, behind):
        assert throttler.asked(0.0) == 0.0
    assert ahead.counts() == (0.0, 1.0)
    assert behind.counts() == (0.0, 0.0)
    assert ahead.asked(0.1) == 0.5  # one under way, none accepted: 1 / 2
    for throttler in (ahead, behind):
        throttler.answered(0.2, 1.0)
    assert ahead.counts() == (1.0, 1.0)
    assert behind.counts() == (1.0, 0.0)


@pytest.mark.parametrize("attempts", [0.0, 1.0])
@pytest.mark.parametrize("local", [0.0, 1.0])
def test_refusals_count_as_requests_or_do_not(attempts: float, local: float) -> None:
    throttler = Throttler(SreThrottling(attempts=attempts, local=local))
    throttler.asked(0.0)
    throttler.refused(0.0)
    assert throttler.counts() == (0.0, local)


def test_a_failed_call_was_accepted_unless_failures_count() -> None:
    failed = Observation(0.0, 100.0, 0.01, 0.0, 4.0, 3.0, 1.0, 1.0)  # 1 dropped, 2 failed otherwise
    book, other = (
        Throttler(SreThrottling(attempts=0.0, failures=failures)) for failures in (0.0, 1.0)
    )
    for throttler in (book, other):
        throttler.observe(failed)
    assert book.counts() == (3.0, 1.0)
    assert other.counts() == (1.0, 3.0)


STEADY = [
    (1.1, [26.7, 45.0, 78.0, 89.0]),
    (1.5, [0.0, 25.0, 70.0, 85.0]),
    (2.0, [0.0, 0.0, 60.0, 80.0]),
]


@pytest.mark.parametrize(
    ("k", "times", "refused"),
    [
        (k, times, share)
        for k, shares in STEADY
        for times, share in zip((1.5, 2, 5, 10), shares, strict=True)
    ],
)
def test_it_sends_k_times_what_is_accepted(k: float, times: float, refused: float) -> None:
    # A service of exactly 40 calls a second, with room for so many to wait that it is never idle.
    capacity, wanted = 40.0, 40.0 * times
    plant = Scenario("s", Constant(1.0 / capacity), wanted, 60.0, Async(0.0, "completion"))
    plant = plant._replace(backend=Backend(servers=1.0, places=20.0))
    outcome = run(plant, SreThrottling(k=k, window=10.0, bins=20.0)).outcome
    late = outcome[len(outcome) // 3 :]
    assert 100.0 * np.mean(late == REFUSED) == pytest.approx(refused, abs=2.0)
    sent = late[late != REFUSED]
    rejects = 1.0 - 1.0 / min(k, times)
    assert np.mean(sent == REJECTED) == pytest.approx(rejects, abs=0.025)


def test_why() -> None:
    law = AEGIS
    throttler = Throttler(law)
    throttler.answered(0.0, 0.0, 99.0)
    obs = Observation(0.0, 100.0, 0.01, 0.0)
    assert law.why(throttler.state, obs, throttler.state) == (
        "0 of 99 requests accepted in 3 s, fewer than 100 requests: none refused"
    )
    throttler.answered(0.0, 0.0, 1.0)
    assert (
        law.why(throttler.state, obs, throttler.state)
        == "0 of 100 requests accepted in 3 s: 99.0 % refused"
    )
