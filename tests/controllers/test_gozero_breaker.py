"""`gozero-breaker`: the original's cases, and its weights and forced calls by hand."""

from __future__ import annotations

import math
from array import array

import pytest

from tpssim.controllers.gozero_breaker import GozeroBreaker, GozeroBreakerState
from tpssim.core.errors import InputError
from tpssim.core.types import Observation
from tpssim.core.validation import checked


class Breaker:
    """A law with its state and memory, fed with answers, asked for slots."""

    def __init__(self, law: GozeroBreaker | None = None) -> None:
        self.law = law or GozeroBreaker()
        self.memory = array("d", [0.0]) * self.law.memory()
        self.state: GozeroBreakerState = self.law.init(100.0)

    def answered(self, now: float, ok: float, failed: float = 0.0) -> None:
        self.observe(Observation(now, 100.0, 0.01, 0.0, ok + failed, failed))

    def refused(self, now: float) -> None:
        self.observe(Observation(now, 100.0, math.nan, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0))

    def observe(self, obs: Observation) -> None:
        self.state = self.law.update(self.state, obs, self.memory)

    def asked(self, now: float) -> float:
        self.state = self.law.admit(self.state, now, 0.0, 1.0, self.memory)
        return self.state.reject


def test_the_originals_cases() -> None:
    few = Breaker()
    few.answered(0.0, 0.0, 4.0)
    assert few.asked(0.25) == 0.0
    well = Breaker(GozeroBreaker(k=5.0))
    for _ in range(2):
        well.answered(0.0, 100.0)
        assert well.asked(0.0) == 0.0
    badly = Breaker(GozeroBreaker(k=5.0))
    badly.answered(0.0, 10.0)
    assert badly.asked(0.0) == 0.0
    badly.answered(0.0, 0.0, 1e5)
    assert badly.asked(0.02) == pytest.approx((100_010.0 - 5.0 - 50.0) / 100_011.0)
    assert badly.asked(11.0) == 0.0  # the window has passed, without an observation


def test_the_weight_falls_with_bins_that_only_failed() -> None:
    # Bins of 0.25 s. 60 successes, then 10 failures in each of 8 bins: 1.5 - 0.4 x 8 / 40 = 1.42.
    breaker = Breaker()
    breaker.answered(0.0, 60.0)
    for k in range(1, 9):
        breaker.answered(0.25 * k, 0.0, 10.0)
    assert breaker.asked(2.0) == pytest.approx((140.0 - 5.0 - 1.42 * 60.0) / 141.0)
    assert (breaker.state.failing, breaker.state.working) == (8.0, 0.0)
    breaker.answered(2.25, 1.0)  # one success, and it is 1.5 again
    assert breaker.asked(2.25) == pytest.approx((141.0 - 5.0 - 1.5 * 61.0) / 142.0 * 39.0 / 40.0)
    assert (breaker.state.failing, breaker.state.working) == (0.0, 1.0)


def test_the_ratio_to_the_bit() -> None:
    # 199 of 308 succeeded: (308 - 5 - 1.5 x 199) / 309, times 40 / 40.
    breaker = Breaker()
    breaker.answered(0.0, 199.0, 109.0)
    assert breaker.asked(0.1) == 4.5 / 309.0


@pytest.mark.parametrize(("ok", "failed"), [(10, 0), (0, 10), (5, 5)])
def test_the_originals_history(ok: int, failed: int) -> None:
    # TestGoogleBreakerHistory, at 11f2109: 10 bins of 10 ms, a call every 5 ms, failures first.
    breaker = Breaker(GozeroBreaker(window=0.1, bins=10.0))
    for k in range(10):
        breaker.answered(0.005 * k, float(k >= failed), float(k < failed))
    breaker.asked(0.05)
    assert (breaker.state.accepts, breaker.state.requests) == (ok, 10.0)
    breaker.asked(0.15)
    assert (breaker.state.accepts, breaker.state.requests) == (0.0, 0.0)


def test_the_originals_recovery() -> None:
    # TestGoogleBreakerRecover: 20 bins of 10 ms, ten with 100 failures each, ten with 100 successes
    # each.
    breaker = Breaker(GozeroBreaker(window=0.2, bins=20.0))
    for k in range(20):
        breaker.answered(0.01 * k, 100.0 * (k >= 10), 100.0 * (k < 10))
    # At its end the first bin has left: 1900 - 5 - 1.5 x 1000 of 1901, with 10 of 20 bins at work.
    assert breaker.asked(0.2) == (1900.0 - 5.0 - 1500.0) / 1901.0 * 0.5


def test_the_weight_has_a_floor() -> None:
    breaker = Breaker(GozeroBreaker(window=4.0, bins=4.0))
    for second in range(4):
        breaker.answered(float(second), 0.0, 10.0)
    assert breaker.asked(3.0) == pytest.approx(35.0 / 41.0)
    assert breaker.state.failing == 4.0


def test_fewer_are_refused_after_bins_that_only_succeeded_and_empty_bins_say_nothing() -> None:
    breaker = Breaker()
    breaker.answered(0.0, 0.0, 200.0)
    for k in (1, 2, 5, 9):
        breaker.answered(0.25 * k, 1.0)
    assert breaker.asked(2.5) == pytest.approx((204.0 - 5.0 - 1.5 * 4.0) / 205.0 * 36.0 / 40.0)


def test_a_call_is_forced_when_none_was_let_through_for_a_second() -> None:
    breaker = Breaker()
    breaker.answered(0.0, 0.0, 95.0)
    # Before any call was let through, none is forced.
    assert breaker.asked(5.0) == pytest.approx(90.0 / 96.0)
    breaker.refused(5.0)
    assert breaker.asked(5.1) == pytest.approx(91.0 / 97.0)  # the refused one is a request
    # No refusal is reported: let through at 5.1 s. Refused until 6.1 s, then one is let through,
    # and so on.
    for now, forced in [
        (5.2, False),
        (6.1, False),
        (6.11, True),
        (6.2, False),
        (7.11, False),
        (7.12, True),
    ]:
        assert (breaker.asked(now) == 0.0) == forced, now
        if not forced:
            breaker.refused(now)
    assert breaker.state.passed == 6.11


def test_a_second_is_not_more_than_a_second() -> None:
    breaker = Breaker()
    breaker.answered(0.0, 0.0, 95.0)
    assert breaker.asked(1.2) > 0.0  # let through, for no refusal is reported
    assert 2.2 - 1.2 > 1.0
    assert breaker.asked(2.2) > 0.0  # the original counts nanoseconds: 1 s is not above 1 s
    breaker.refused(2.2)
    assert breaker.asked(2.200000001) == 0.0


def test_calls_let_through_while_nothing_is_to_be_refused_do_not_count_for_it() -> None:
    breaker = Breaker()
    assert breaker.asked(0.0) == 0.0
    breaker.answered(0.1, 0.0, 10.0)
    assert breaker.asked(3.0) == pytest.approx(5.0 / 11.0)
    assert math.isnan(breaker.state.passed)


def test_the_weights_in_order() -> None:
    with pytest.raises(InputError, match=r"min_k=2 lies above k=1.5"):
        checked(GozeroBreaker(min_k=2.0), "gozero-breaker")


def test_why() -> None:
    breaker, obs = Breaker(), Observation(0.0, 100.0, 0.01, 0.0)
    breaker.answered(0.0, 0.0, 9.0)
    breaker.asked(0.0)
    state = breaker.state
    assert breaker.law.why(state, obs, state) == (
        "0 of 9 requests succeeded in 10 s, failing bins 1: 40.0 % refused"
    )
