"""`firestore-ramp` and `aimd-epoch`: vectors and numbers worked by hand."""

from __future__ import annotations

import math

import pytest
from helpers.laws import done, fed

from tpssim.controllers.aimd_epoch import AimdEpoch
from tpssim.controllers.firestore_ramp import FirestoreRamp, ramp
from tpssim.core.types import Observation

STEPS = [
    (0.0, 500.0),
    (4.99, 500.0),
    (5.0, 750.0),
    (10.0, 1125.0),
    (15.0, 1687.0),
    (90.0, 738945.0),
]


@pytest.mark.parametrize(("minutes", "rate"), STEPS)
def test_the_ramp(minutes: float, rate: float) -> None:
    law = FirestoreRamp(max_rate=1e6)
    obs = Observation(minutes * 60.0, 1e6, 0.01, 0.0)
    assert fed(law, [obs], target=1e6)[-1].rate == rate
    assert fed(law, [obs._replace(target=600.0)], target=600.0)[-1].rate == min(rate, 600.0)


@pytest.mark.parametrize(
    ("minutes", "rate"), [*STEPS[:-1], (35.0, 8542.0), (40.0, 10000.0), (90.0, 10000.0)]
)
def test_the_ramp_ends_at_the_maximum_of_bulk_writer(minutes: float, rate: float) -> None:
    # 500 x 1.5^7 = 8542.96..., 500 x 1.5^8 = 12814.4...
    obs = Observation(minutes * 60.0, 1e6, 0.01, 0.0)
    assert fed(FirestoreRamp(), [obs], target=1e6)[-1].rate == rate


def test_a_maximum_below_the_start_is_the_start_as_in_bulk_writer() -> None:
    # throttling: {maxOpsPerSecond: 100}
    law = FirestoreRamp(max_rate=100.0)
    assert law.init(1e6).rate == 100.0
    assert fed(law, [Observation(3600.0, 1e6, 0.01, 0.0)], target=1e6)[-1].rate == 100.0


def test_the_ramp_counts_whole_steps() -> None:
    # 1.9 / 0.1 is a little less than 19; the original counts ms: floor(500 x 1.5^19).
    law = FirestoreRamp(step=0.1, max_rate=1e9)
    assert fed(law, [Observation(1.9, 1e9, 0.01, 0.0)], target=1e9)[-1].rate == 1_108_418.0


@pytest.mark.parametrize(
    ("minutes", "calls", "delay_ms"),
    [(0, 100, 200), (0, 250, 500), (0, 500, 1000), (5, 250, 334), (5, 500, 667), (5, 750, 1000)],
)
def test_the_delays_of_batches_are_those_of_the_rate(
    minutes: float, calls: float, delay_ms: int
) -> None:
    # After that many calls the original waits until the rate has made room for them, in whole ms.
    assert math.ceil(1000.0 * calls / ramp(500.0, 1.5, minutes / 5.0)) == delay_ms


def test_a_refusal_tells_no_time() -> None:
    state = fed(FirestoreRamp(), [Observation(600.0, 1e6, math.nan, 0.0, 0.0)], target=1e6)[-1]
    assert state.rate == 500.0


def test_one_cut_for_each_event() -> None:
    # 100, halved, + 10 a second. Slow: over 0.25 s. Calls released at 0.7, 0.8, 0.9 are under way
    # at the cut.
    law = AimdEpoch(dec_rate=0.5)
    history = [
        done(1.0, 0.3),  # released 0.7: 50, the epoch begins at 1
        done(1.1, 0.3),  # released 0.8: the same event
        done(1.25, 0.26),  # released 0.99: the same
        done(1.5, 0.1),  # well: + 10 x 0.25
        done(2.0, 0.5),  # released 1.5: a new event
        done(2.1, 0.01, dropped=True),  # released 2.09, refused: another
    ]
    rates = [state.rate for state in fed(law, history)]
    assert rates == pytest.approx([100.0, 50.0, 50.0, 50.0, 52.5, 26.25, 13.125])


def test_what_was_held_up_before_the_cut_belongs_to_its_event() -> None:
    law = AimdEpoch(dec_rate=0.5)
    late = Observation(1.5, 100.0, 0.01, 0.6, 1.0)  # released at 1.49, scheduled at 0.89
    later = Observation(2.5, 100.0, 0.01, 0.6, 1.0)  # scheduled at 1.89
    assert [s.rate for s in fed(law, [done(1.0, 0.3), late, later])] == [100.0, 50.0, 50.0, 25.0]


@pytest.mark.parametrize(
    ("start", "after_5", "after_20"), [((10.0, 90.0), 0.6700, 0.8255), ((1.0, 9.0), 0.8621, 0.9750)]
)
def test_two_users_converge_as_in_chiu_and_jain(
    start: tuple[float, float], after_5: float, after_20: float
) -> None:
    # Cap 100; while the sum is at most 100 both add 1, else both halve. Both starts have F =
    # 0.6098.
    law = AimdEpoch(dec_rate=0.5, inc_step=1.0)
    users = [law.init(1e9)._replace(rate=rate, last=0.0) for rate in start]
    fairness = []
    for step in range(1, 21):
        over = users[0].rate + users[1].rate > 100.0
        obs = Observation(float(step), 1e9, 0.001, 0.0, 1.0, float(over), 1.0, float(over))
        users = [law.update(user, obs) for user in users]
        total, squares = sum(u.rate for u in users), sum(u.rate**2 for u in users)
        fairness.append(total**2 / (2.0 * squares))
    assert fairness[4] == pytest.approx(after_5, abs=5e-5)
    assert fairness[19] == pytest.approx(after_20, abs=5e-5)


@pytest.mark.parametrize(("ratio", "share"), [(0.5, 0.75), (0.7, 0.85), (0.9, 0.95)])
def test_the_sawtooth_between_two_cuts(ratio: float, share: float) -> None:
    # Refused above 100: the mean is (1 + b) / 2 of the peak, the period (1 - b) x 100 / a seconds,
    # a = 1.
    law, step = AimdEpoch(dec_rate=ratio, inc_step=1.0), 1.0 / 128.0
    state = law.init(1e9)._replace(rate=90.0)
    rates: list[float] = []
    cuts = []
    for k in range(1, 60_000):
        over = float(state.rate > 100.0)
        after = law.update(state, Observation(k * step, 1e9, 0.0, 0.0, 1.0, over, 1.0, over))
        if after.epoch > state.epoch:
            cuts.append(len(rates))
        state = after
        rates.append(state.rate)
    whole = rates[cuts[0] : cuts[-1]]
    assert sum(whole) / len(whole) == pytest.approx(share * 100.0, rel=1e-3)
    period = (cuts[-1] - cuts[0]) * step / (len(cuts) - 1)
    assert period == pytest.approx((1.0 - ratio) * 100.0, rel=5e-3)
