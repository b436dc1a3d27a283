"""What a report says of a run whose wanted rate was changed in the middle of a gap."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import pytest

from tpssim import Observation, throttle
from tpssim.core.clocks import VirtualClock


def changed(
    law: Any, first: float, then: float, after: float, calls: int
) -> tuple[list[float], Any]:
    """Releases of which the second one is waited for when the rate is changed; the times, and the
    report.
    """
    clock = VirtualClock()
    handle = throttle(range(calls), first, controller=law, clock=clock)
    seen = []
    for k in handle:
        seen.append(clock.time())
        if k == 0:
            clock.wait(after, 0.0)
            handle.tps = then
    return seen, handle.report()


def test_each_wanted_rate_counts_for_its_time() -> None:
    # 0.5 a second for a second: half a slot. The other half takes 1 ms at 500 a second; then 18 of
    # 2 ms.
    seen, report = changed("fixed", 0.5, 500.0, 1.0, 20)
    assert seen[:3] == pytest.approx([0.0, 1.001, 1.003])
    assert report.wanted == pytest.approx((0.5 + 500.0 * 0.037) / 1.037)  # = 19 calls in 1.037 s
    assert report.commanded == pytest.approx(19.0 / 1.037)
    assert report.rate_error == pytest.approx(0.0, abs=1e-9)
    assert report.target_error == pytest.approx(0.0, abs=1e-9)
    assert report.verdict.startswith("on pace")
    assert "commanded 18.32, wanted 18.32" in str(report)


def test_two_changes_in_one_gap() -> None:
    clock = VirtualClock()
    handle = throttle(range(3), 1.0, clock=clock)
    seen = []
    for k in handle:
        seen.append(clock.time())
        if k == 0:
            clock.wait(0.25, 0.0)
            handle.tps = 2.0  # a quarter of the slot is over, a half at 0.375 s
            clock.wait(0.375, 0.0)
            handle.tps = 4.0  # the other half takes 0.125 s
    assert seen == [0.0, 0.5, 0.75]
    assert (handle.report().wanted, handle.report().target_error) == (2.0 / 0.75, 0.0)


class Meddler(NamedTuple):
    """A law that answers whatever it sees by another wanted rate."""

    rates: tuple[float, ...]

    def init(self, target: float) -> Open:
        return Open()

    def update(self, state: Open, obs: Observation) -> Open:
        if HANDLES:
            HANDLES[-1].tps = self.rates[len(SEEN) % len(self.rates)]
        SEEN.append(obs.count)
        return state


class Open(NamedTuple):
    rate: float = math.inf
    limit: float = math.inf
    reject: float = 0.0


SEEN: list[float] = []
HANDLES: list[Any] = []


@pytest.mark.parametrize("rates", [(50.0,), (50.0, 60.0), (50.0, 60.0, 70.0)])
def test_a_law_that_sets_the_wanted_rate_at_each_change_of_it_comes_to_an_end(
    rates: tuple[float, ...],
) -> None:
    SEEN.clear()
    HANDLES[:] = [throttle(range(20), 100.0, controller=Meddler(rates), clock=VirtualClock())]
    try:
        assert list(HANDLES[-1]) == list(range(20))
        assert HANDLES[-1].tps in rates
    finally:
        HANDLES.clear()


def test_a_change_to_the_same_rate_is_no_observation() -> None:
    SEEN.clear()
    handle = throttle(range(3), 100.0, controller=Meddler((1.0,)), clock=VirtualClock())
    next(handle)
    handle.tps = 100.0
    assert SEEN == []
    handle.tps = 50.0
    assert SEEN == [0.0]
