"""What a quota allows, by hand and counted call by call."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tpssim.theory import amplification, bucket_opens, fixed_use, late_aimd_period, rolling_use


def test_a_rolling_window_is_half_open() -> None:
    times, weights = (
        np.array([0.0, 0.0, 1.0, 1.5, 2.0, 2.5]),
        np.array([1.0, 2.0, 4.0, 8.0, 1.0, 1]),
    )
    # The calls of 0 have left at 2, that of 1 at 3.
    assert rolling_use(times, weights, 2.0).tolist() == [0.0, 1.0, 3.0, 7.0, 12.0, 13.0]
    # Immediately before 2 those of 0 have not left.
    assert rolling_use(times, weights, 2.0, at_once=True).tolist() == [0, 1.0, 3.0, 7.0, 15.0, 13.0]


def test_windows_of_a_random_log_counted_one_by_one() -> None:
    rng = np.random.default_rng(4)
    times = np.cumsum(rng.integers(0, 5, 300)) / 8.0
    weights = rng.integers(1, 9, 300).astype(float)
    log = [
        (Fraction(t), Fraction(w)) for t, w in zip(times.tolist(), weights.tolist(), strict=True)
    ]
    for per in (0.5, 3.0):
        rolling, fixed = rolling_use(times, weights, per), fixed_use(times, weights, per)
        at_once = fixed_use(times, weights, per, at_once=True)
        for k, (now, _) in enumerate(log):
            in_window = sum(w for t, w in log[:k] if now - Fraction(per) < t)
            assert rolling[k] == in_window
            number = now // Fraction(per)
            assert fixed[k] == sum(w for t, w in log[:k] if t // Fraction(per) == number)
            before = -(-now // Fraction(per)) - 1
            assert at_once[k] == sum(w for t, w in log[:k] if t // Fraction(per) == before)


def test_a_bucket_by_hand() -> None:
    # Two tokens, one a second. Both are gone at 0; the third call may come at 1, and comes at 1.5.
    # With 0.5 left the fourth may come at 2, and with none the fifth at 3. At 9 it is full: two at
    # once, the next at 10.
    times = np.array([0.0, 0.0, 1.5, 2.0, 9.0, 9.0, 10.0])
    opens = bucket_opens(times, np.ones(7), 1.0, 2.0)
    assert opens.tolist() == [-np.inf, 0.0, 1.0, 2.0, 3.0, 9.0, 10.0]
    # A bucket of 10 that gains 4 a second, emptied by 8 and 2: 6 are there after 1.5 s.
    opens = bucket_opens(np.array([0.0, 0.0, 1.5]), np.array([8.0, 2.0, 6.0]), 4.0, 10.0)
    assert opens[2] == 1.5


def test_a_bucket_as_a_level_of_tokens() -> None:
    """The other form of the algorithm: a level that rises, in exact arithmetic."""
    rng = np.random.default_rng(5)
    times = np.cumsum(rng.integers(0, 4, 400)) / 4.0
    weights = rng.integers(1, 4, 400).astype(float)
    opens = bucket_opens(times, weights, 2.0, 5.0)
    level, last = Fraction(5), Fraction(0)
    for now, weight, opened in zip(times.tolist(), weights.tolist(), opens.tolist(), strict=True):
        level = min(Fraction(5), level + 2 * (Fraction(now) - last))
        assert (Fraction(weight) <= level) == (opened <= now)
        if opened > now:  # so much later it has what is missing
            assert (Fraction(weight) - level) / 2 == Fraction(opened) - Fraction(now)
        level, last = level - Fraction(weight), Fraction(now)


def test_attempts_by_hand() -> None:
    # 1 + 1/2 + 1/4; every attempt fails; none does; a tenth more at most.
    assert amplification(0.5, 2.0) == 1.75
    assert amplification(1.0, 3.0) == 4.0
    assert amplification(0.0, 3.0) == 1.0
    assert amplification(0.9, 3.0, 0.1) == 1.1
    # The budget is not needed: 1 + 0.05 + 0.0025.
    assert amplification(0.05, 2.0, 0.1) == pytest.approx(1.0525)


@pytest.mark.parametrize(("delay", "behind"), [(0.0, 0), (3.0, 3), (7.0, 7)])
def test_late_aimd_step_by_step(delay: float, behind: int) -> None:
    """Windows of 1 s: + 2 each, halved once for a window above 40.5, seen `delay` windows later."""
    rates: list[float] = []
    rate, hold, cuts = 10.0, -1, []
    for window in range(4_000):
        seen = rates[window - 1 - behind] if window > behind else 0.0
        if seen > 40.5 and window > hold:
            rate, hold = rate * 0.5, window + behind
            cuts.append(window)
        else:
            rate += 2.0
        rates.append(rate)
    period = (cuts[-1] - cuts[10]) / (len(cuts) - 11)
    theory = late_aimd_period(40.5, 2.0, 0.5, 1.0, delay)
    # 0.5 (20.25 + 0.5 + delay) + 1
    assert theory == pytest.approx(11.375 + delay / 2.0)
    # Where in a step the capacity lies: at most a quarter of a window.
    assert abs(period - theory) <= 0.25 + 1e-9
