"""Quotas as ceilings of the pacer, beside an independent count of every window."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from typing import Any

import pytest
from helpers.laws import SetOnce
from hypothesis import given, settings
from hypothesis import strategies as st

from tpssim import InputError, Quota
from tpssim.core.pacer import Pacer
from tpssim.core.profiles import Stages
from tpssim.core.quotas import Quotas, checked_quotas
from tpssim.core.schedule import AUTO, BURST

HALF = [0.5] * 100_000


def paced(*quotas: Quota, tps: float | Stages = math.inf, **options: Any) -> Pacer:
    checked = checked_quotas(quotas, "test")
    start, refusal = options.pop("start", 0.0), options.pop("refusal", HALF)
    law = options.pop("law", SetOnce())
    return Pacer(law, tps, start, HALF, refusal, quotas=checked, **({"late": AUTO} | options))


def greedy(pacer: Pacer, costs: list[float], pauses: list[float] | None = None) -> list[float]:
    """Releases of somebody who asks again at once, or after a pause."""
    now, times = pacer.start, []
    for k, cost in enumerate(costs):
        now = max(now, pacer.due(cost))
        if pacer.release(now, cost):
            times.append(now)
        now += pauses[k] if pauses else 0.0
    return times


def test_a_rolling_window_by_hand() -> None:
    # Three in any second: three at once, three more a second later, ...
    pacer = paced(Quota(3, 1, margin=0.0))
    assert greedy(pacer, [1.0] * 8) == [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 2.0, 2.0]
    # Of those that come one after the other, each leaves on its own.
    times = greedy(paced(Quota(3, 1, margin=0.0)), [1.0] * 7, [0.25, 0.25, 0.0, 0.0, 0.0, 0.5, 0.0])
    assert times == [0.0, 0.25, 0.5, 1.0, 1.25, 1.5, 2.0]


def test_the_margin_makes_the_window_longer() -> None:
    assert greedy(paced(Quota(2, 10)), [1.0] * 5) == [0.0, 0.0, 10.5, 10.5, 21.0]


def test_cost_by_hand() -> None:
    # 10 in a second: 6 and 3 fit; the 4 fits when the 6 has left; the next 6 when the 3 has too.
    pacer = paced(Quota(10, 1, of="cost", margin=0.0))
    assert greedy(pacer, [6, 3, 4, 6, 1], [0.25, 0.0, 0.0, 0.0, 0.0]) == [0.0, 0.25, 1.0, 1.25, 2.0]


def test_a_burst_is_a_bucket_besides() -> None:
    # 10 in 10 s, 2 at once: two, then one each second, until ten are in the window; when the two
    # leave it, the bucket has gained two.
    times = greedy(paced(Quota(10, 10, burst=2, margin=0.0)), [1.0] * 12)
    assert times == [0.0, *map(float, range(9)), 10.0, 10.0]
    # A bucket of 10 that gains 4 a second, emptied by 8 and 2: 6 are there after 1.5 s.
    pacer = paced(Quota(40, 10, of="cost", burst=10, margin=0.0))
    assert greedy(pacer, [8.0, 2.0, 6.0]) == [0.0, 0.0, 1.5]


def test_fixed_windows_begin_at_the_start() -> None:
    pacer = paced(Quota(2, 1, window="fixed", margin=0.0), start=5.25)
    # Two at the end of a window and two at the beginning of the next are within the rule.
    times = greedy(pacer, [1.0] * 6, [0.75, 0.0, 0.0, 0.0, 0.0, 0.0])
    assert times == [5.25, 6.0, 6.25, 6.25, 7.25, 7.25]


def test_a_fixed_window_is_longer_at_both_ends() -> None:
    # Windows of 10 s, half a second more at either end: one at 9.6 s counts in both.
    pacer = paced(Quota(2, 10, window="fixed", margin=0.1))
    times = greedy(pacer, [1.0] * 6, [9.6, 0.0, 0.0, 0.0, 0.0, 0.0])
    assert times == [0.0, 9.6, 10.5, 20.5, 20.5, 30.5]


def test_aligned_windows_begin_on_the_wall_clock() -> None:
    # The wall clock shows 1000 s at 5 s: a minute begins at 25 s.
    quota = Quota(2, 60, window="fixed", margin=0.0, align=True)
    assert greedy(paced(quota, start=5.0, wall=995.0), [1.0] * 5) == [5.0, 5.0, 25.0, 25.0, 85.0]


def test_all_quotas_hold_at_once() -> None:
    # 500 calls and 200,000 tokens a minute, 1000 tokens a call: 200 a minute.
    llm = (Quota(500, 60, margin=0.0), Quota(200_000, 60, of="cost", margin=0.0))
    times = greedy(paced(*llm), [1000.0] * 401)
    assert [times.count(t) for t in (0.0, 60.0, 120.0)] == [200, 200, 1]
    times = greedy(paced(*llm), [100.0] * 1001)
    assert [times.count(t) for t in (0.0, 60.0, 120.0)] == [500, 500, 1]


def test_what_a_quota_costs_is_not_made_up_for_and_the_slot_keeps_its_time() -> None:
    pacer = paced(Quota(5, 2, margin=0.0), tps=10.0)
    times = greedy(pacer, [1.0] * 5)
    assert times == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert pacer.due() == pacer.due() == 2.0
    assert pacer.deadline == pytest.approx(0.5)
    assert pacer.release(2.0)
    # 0.1 s behind at most: due at 2.0 and 2.1, and the window has room at 2.1 and 2.2 s.
    assert greedy(pacer, [1.0] * 2) == pytest.approx([2.1, 2.2])


def test_a_locally_rejected_slot_counts_nothing() -> None:
    pacer = paced(
        Quota(2, 1, margin=0.0), law=SetOnce(reject=0.5), refusal=[0.9, 0.1, 0.1, 0.9, 0.9]
    )
    assert greedy(pacer, [1.0] * 5) == [0.0, 0.0, 1.0]


def test_an_answer_and_a_quota() -> None:
    pacer = paced(Quota(1, 1, margin=0.0))
    greedy(pacer, [1.0])
    pacer.close_until(0.5)
    assert pacer.due() == 1.0
    pacer.close_until(3.0)
    assert pacer.due() == 3.0


def test_on_a_grid_no_release_is_rounded_to_before_its_time() -> None:
    pacer = paced(Quota(1, 1.3, margin=0.0), grid=0.5)
    assert greedy(pacer, [1.0] * 3) == [0.0, 1.5, 3.0]
    pacer.close_until(4.6)
    assert greedy(pacer, [1.0]) == [5.0]


def test_under_a_profile() -> None:
    # 0 -> 100 over 10 s, at most 60 in 2 s: before 3.5 s no two seconds want more.
    pacer = paced(Quota(60, 2, margin=0.0), tps=Stages("10s:100"))
    times = []
    while (due := pacer.due()) < 10.0:
        times.append(due)
        pacer.release(due)
    assert times[:60] == pytest.approx([math.sqrt(k / 5.0) for k in range(60)])
    assert max(sum(a <= t < a + 2.0 for t in times) for a in times) == 60


@pytest.mark.parametrize("quota", [Quota(5, 1, of="cost"), Quota(50, 1, of="cost", burst=5)])
def test_a_call_that_never_fits_is_an_error_of_one_line(quota: Quota) -> None:
    pacer = paced(quota)
    assert pacer.due(5.0) == 0.0
    with pytest.raises(InputError) as error:
        pacer.due(6.0)
    assert str(error.value).startswith(f"cost=6 is more than the quota of {quota} ever lets")
    assert str(error.value).endswith("allowed: <= 5")
    assert pacer.due(5.0) == 0.0  # nothing has changed


@pytest.mark.parametrize(
    ("quotas", "message"),
    [
        ([Quota(0, 1)], "amount=0 is out of range"),
        ([Quota(-1, 1)], "amount=-1 is out of range"),
        ([Quota(math.nan, 1)], "amount=nan is out of range"),
        ([Quota(math.inf, 1)], "amount=inf is out of range"),
        ([Quota(2.5, 1)], "amount=2.5 is no whole number of calls"),
        ([Quota(1, 0)], "per=0 is out of range"),
        ([Quota(1, math.inf)], "per=inf is out of range"),
        ([Quota(1, 1, of="tokens")], "of='tokens'; allowed: calls, cost"),
        ([Quota(1, 1, window="open")], "window='open'; allowed: rolling, fixed"),
        ([Quota(1, 1, burst=0)], "burst=0 is out of range"),
        ([Quota(1, 1, burst=0.5)], "burst=0.5 lets no call through"),
        ([Quota(5, 1, burst=10)], "burst=10 above amount=5 changes nothing; allowed: <= 5, or inf"),
        ([Quota(1, 1, margin=-0.1)], "margin=-0.1 is out of range"),
        ([Quota(1, 1, margin=1.1)], "margin=1.1 is out of range"),
        ([Quota(1, 1, align=True)], "align=True with window='rolling'"),
        ([Quota(1, 1, window="fixed", align=2)], "align=2; allowed: True, False"),  # type: ignore[arg-type]
        (Quota(1, 1), "allowed: a list of Quota"),
        ([500], "allowed: a list of Quota"),
        ("500/60", "allowed: a list of Quota"),
        (500, "allowed: a list of Quota"),
    ],
)
def test_impossible_quotas_are_refused_in_one_line(quotas: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        checked_quotas(quotas, "throttle")
    assert str(error.value).startswith("throttle: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_no_quota_at_all() -> None:
    assert checked_quotas([], "throttle") == checked_quotas((), "throttle") == ()


def test_a_signal_handler_that_raises_leaves_nothing_counted() -> None:
    quotas = Quotas([Quota(1.0, 10.0, margin=0.0), Quota(5.0, 10.0, margin=0.0)], 0.0, 0.0)
    quotas.counted(2.0, 1.0)  # and its answer is lost
    assert quotas.opening(1.0) == -math.inf
    quotas.rings = quotas.counted(3.0, 1.0)
    assert quotas.opening(1.0) == 13.0


def test_a_lost_answer_leaves_a_full_window_as_it_was() -> None:
    # 16 calls, as many as a new ring holds: the first leaves at 1.0, when the lost one would come.
    quotas = Quotas([Quota(16.0, 1.0, margin=0.0)], 0.0, 0.0)
    for k in range(16):
        quotas.rings = quotas.counted(k / 64.0, 1.0)
    quotas.counted(1.0, 1.0)
    assert quotas.opening(1.0) == 1.0


class Slow:
    """Everything that was released, counted again each time, in exact arithmetic (the numbers of
    the quotas below are such that the ends of their windows are floats).
    """

    def __init__(self, quota: Quota, start: float) -> None:
        self.quota, self.start = quota, Fraction(start)
        self.per, self.more = Fraction(quota.per), Fraction(quota.margin)
        self.released: list[tuple[Fraction, Fraction]] = []

    def weight(self, cost: float) -> Fraction:
        return Fraction(cost) if self.quota.of == "cost" else Fraction(1)

    def windows(self, now: Fraction) -> list[tuple[Fraction, Fraction]]:
        """The windows that hold now, half-open."""
        if self.quota.window == "rolling":
            return [(now - self.per * (1 + self.more), now)]
        half = self.per * self.more / 2
        number = (now - self.start) // self.per
        edges = [
            (self.start + n * self.per - half, self.start + (n + 1) * self.per + half)
            for n in (number - 1, number, number + 1)
        ]
        return [(a, b) for a, b in edges if a <= now < b]

    def room(self, now: float, cost: float) -> bool:
        at, taken = Fraction(now), self.weight(cost)
        for begin, end in self.windows(at):
            if self.quota.window == "rolling":
                inside = sum(c for t, c in self.released if begin < t)
            else:
                inside = sum(c for t, c in self.released if begin <= t < end)
            if inside + taken > Fraction(self.quota.amount):
                return False
        return taken <= self.bucket(at)

    def bucket(self, now: Fraction) -> Fraction:
        size = min(Fraction(self.quota.amount), Fraction(min(self.quota.burst, 1e300)))
        fill = Fraction(self.quota.amount) / (self.per * (1 + self.more))
        level, last = size, self.start
        for t, c in self.released:
            level = min(size, level + fill * (t - last)) - c
            last = t
        if size == Fraction(self.quota.amount):  # there is none
            return Fraction(10) ** 30
        return min(size, level + fill * (now - last))


QUOTAS = st.builds(
    Quota,
    amount=st.sampled_from([1, 2, 3, 7]),
    per=st.sampled_from([1.0, 0.75, 10.0]),
    of=st.sampled_from(["calls", "cost"]),
    window=st.sampled_from(["rolling", "fixed"]),
    burst=st.sampled_from([math.inf, math.inf, 1.0, 2.0]),
    margin=st.sampled_from([0.0, 0.0625, 0.25, 1.0]),
    align=st.just(False),
).filter(lambda quota: not quota.conflict())


@settings(deadline=None, max_examples=400)
@given(
    quotas=st.lists(QUOTAS, min_size=1, max_size=3),
    calls=st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.25, 0.5, 1.0]),
            st.sampled_from([0.0, 0.0, 0.0, 0.1, 0.3, 0.95, 5.0]),
        ),
        max_size=40,
    ),
    start=st.sampled_from([0.0, 0.125, 1234.5]),
    tps=st.sampled_from([math.inf, 5.0]),
)
def test_no_window_holds_more_and_nobody_waits_for_nothing(
    quotas: list[Quota], calls: list[tuple[float, float]], start: float, tps: float
) -> None:
    pacer = paced(*quotas, tps=tps, start=start, late=BURST)
    slow = [Slow(quota, start) for quota in quotas]
    now = start
    for cost, pause in calls:
        opens = pacer.due(cost)
        tiny = 1e-9 * (1.0 + opens)
        at = max(now, opens)
        # Room for it, but for the last bits of a window's end; and, if it had to wait, none before.
        assert all(one.room(at + tiny, cost) for one in slow)
        if at > now and at > pacer.deadline:
            before = max(now, pacer.deadline, at - 2.0 * tiny)
            assert before > at - 3.0 * tiny
            if before < at - tiny:
                assert not all(one.room(before, cost) for one in slow)
        pacer.release(at, cost)
        for one in slow:
            one.released.append((Fraction(at), one.weight(cost)))
        now = at + pause


@pytest.mark.parametrize("per", [1.0, 0.7, 1.0 / 3.0, 60.0])
def test_float_times_are_a_whole_window_apart(per: float) -> None:
    """What anybody computes from the times: the difference is the window or more."""
    rng = random.Random(3)
    pacer = paced(Quota(7, per, margin=0.0))
    times = greedy(pacer, [1.0] * 5000, [rng.choice([0.0, 0.01, 0.1]) for _ in range(5000)])
    assert all(b - a >= per for a, b in zip(times, times[7:], strict=False))
    # And no more than that where it had to wait.
    assert sum(b - a <= per * (1.0 + 1e-12) for a, b in zip(times, times[7:], strict=False)) > 1000


def test_costs_that_are_no_whole_numbers_add_up_to_no_error() -> None:
    # Tenths, whose sums are 1 or not by the last bit: each window is summed up on its own.
    rng = random.Random(8)
    costs = [rng.choice([0.1, 0.2, 0.3, 0.7]) for _ in range(5000)]
    pacer = paced(Quota(1.0, 1.0, of="cost", margin=0.0))
    times = greedy(pacer, costs, [0.0625] * 5000)
    inside: list[tuple[float, float]] = []
    now = 0.0
    for cost, time in zip(costs, times, strict=True):
        inside = [(t, c) for t, c in inside if t + 1.0 > now]
        while math.fsum([cost, *(c for _, c in inside)]) > 1.0:
            now = max(now, inside.pop(0)[0] + 1.0)
        assert time == now
        inside.append((now, cost))
        now += 0.0625


def test_what_has_left_is_forgotten() -> None:
    pacer = paced(Quota(7, 1.0), Quota(7, 1.0, of="cost"))
    greedy(pacer, [1.0] * 1000, [0.03] * 1000)
    assert pacer.quotas is not None
    assert [len(times) for times, _, _ in pacer.quotas.rings] == [16, 16]
    # More than 16 in a window: the rings grow.
    pacer = paced(Quota(100, 1.0, margin=0.0))
    assert greedy(pacer, [1.0] * 300) == [0.0] * 100 + [1.0] * 100 + [2.0] * 100
