"""Limits are learned from plants whose limits are known, and from none where there is none."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from helpers.recordings import CROWD, WAVE, recorded

import tpssim
from tpssim import Backend, ServiceQuota, Stall
from tpssim.core.types import FAILED, OK, REFUSED, REJECTED, TIMED_OUT
from tpssim.experiments.fitting import windows
from tpssim.experiments.fitting.estimates import Estimate
from tpssim.experiments.fitting.limits import Limits, limits_of, share
from tpssim.experiments.fitting.thresholds import cut, roundest
from tpssim.scenarios.recordings.calls import Recording
from tpssim.scenarios.service_times import Constant, Exponential, Lognormal


def exactly(value: float) -> Estimate:
    """A number without any doubt."""
    return Estimate(value, value, value)


def learned(backend: Backend, **changes: Any) -> Limits:
    """What a recording of a plant with that backend says."""
    return limits_of(recorded(CROWD._replace(backend=backend, **changes)))


@pytest.mark.parametrize("network", [None, Constant(0.02), Lognormal(0.02, 0.3)])
def test_a_limit_in_flight_is_exact(network: Constant | Lognormal | None) -> None:
    truth = Backend(servers=8.0, limit=12.0)
    found = learned(truth, network=network)
    assert found.limit == exactly(12.0)
    assert (found.room, found.rate, found.quotas) == (None, None, ())
    assert found.explained == found.refused > 1000
    assert found.backend(Backend(servers=8.0)) == truth


def test_places_are_told_from_a_limit() -> None:
    truth = Backend(servers=8.0, places=5.0)
    found = learned(truth)
    assert found.room == exactly(13.0)
    assert found.limit is None
    assert found.backend(Backend(servers=8.0)) == truth
    assert found.estimates(8.0)["backend.places"] == exactly(5.0)
    # of unknown servers it is a limit of calls in flight
    assert found.backend(Backend()).limit == 13.0
    assert found.estimates()["backend.limit"].value == 13.0


@pytest.mark.parametrize("silent", [0.0, 1.0])
def test_a_rate_counts_refused_calls(silent: float) -> None:
    truth = Backend(rate=150.0, silent=silent)
    found = learned(truth, target=WAVE, duration=WAVE.duration, timeout=2.0)
    assert found.rate == exactly(150.0)
    assert found.silent == bool(silent)
    assert found.backend(Backend()) == truth


@pytest.mark.parametrize(
    "quota",
    [
        ServiceQuota(300.0, 3.0),
        ServiceQuota(590.0, 3.0, counts_refused=1.0),
        ServiceQuota(300.0, 3.0, window="fixed"),
        ServiceQuota(437.0, 4.0, window="fixed"),
    ],
    ids=str,
)
def test_a_quota_and_its_window_are_exact(quota: ServiceQuota) -> None:
    found = learned(Backend(quotas=(quota,)))
    assert found.backend(Backend()).quotas == (quota,)
    (one,) = found.quotas
    assert one.amount == exactly(quota.amount)
    assert one.per.low < quota.per < one.per.high
    assert one.per.high - one.per.low < 0.002 * quota.per
    assert found.failure.value == 0.0


def test_where_many_windows_agree_the_interval_holds_them_all() -> None:
    # 20 calls in 0.7 s, one that is refused, and a second until the next: all windows of more than
    # 0.7 s hold 21 calls at the refused one, and up to 1.7 s no more than 20 at the others.
    starts = np.concatenate([1.7 * k + np.arange(21) * 0.035 for k in range(12)])
    refused = np.tile(np.arange(21) == 20, 12)
    limits = limits_of(Recording.of(starts, starts + 0.01, np.where(refused, REJECTED, OK)))
    (found,) = limits.quotas
    assert found.quota.amount == 20.0
    assert found.per.value == 1.0
    assert found.per.low == pytest.approx(0.7, rel=0.05)
    assert found.per.high == pytest.approx(1.7, rel=0.05)


@pytest.mark.parametrize("window", ["rolling", "fixed"])
def test_a_quota_of_cost(window: str) -> None:
    quota = ServiceQuota(120e3, 3.0, of="cost", window=window)
    plant = CROWD._replace(cost=Exponential(400.0), target=200.0 * 400.0)
    found = limits_of(recorded(plant._replace(backend=Backend(quotas=(quota,)))))
    assert found.backend(Backend()).quotas == (quota,)
    amount = found.quotas[0].amount
    assert amount.low <= 120e3 <= amount.high < 1.001 * amount.low


def test_two_quotas_at_once() -> None:
    quotas = (ServiceQuota(160.0, 1.0), ServiceQuota(750.0, 10.0, window="fixed"))
    found = learned(Backend(quotas=quotas))
    assert set(found.backend(Backend()).quotas) == set(quotas)


@pytest.mark.parametrize(("whole", "at_once"), [(1.0, 1.0), (0.0, 0.0)])
def test_how_a_quota_refuses_is_learned(whole: float, at_once: float) -> None:
    """As an HTTP service does, at once and in whole seconds; or as the bench does."""
    quota = ServiceQuota(300.0, 3.0, retry_after=1.0, whole=whole, at_once=at_once)
    heedless = quota._replace(retry_after=0.0)  # the caller does not wait: more is refused
    plant = CROWD._replace(backend=Backend(quotas=(heedless,)), network=Constant(0.001))
    seen = recorded(plant)
    # What an answer to a refused call says: when the first of the last 300 leaves the window.
    asks = np.full(len(seen), math.nan)
    begun = seen.start[seen.outcome != REJECTED]
    for i in np.flatnonzero(seen.outcome == REJECTED):
        before = begun[: np.searchsorted(begun, seen.start[i])]
        wait = before[-300] + 3.0 - seen.start[i]
        asks[i] = math.ceil(wait) if whole else wait
    found = limits_of(dataclasses.replace(seen, retry_after=asks))
    assert found.backend(Backend()).quotas == (quota,)


def test_refusals_bound_the_delay() -> None:
    """Constant times of 50 ms that never wait look like a delay; refusals after 1 ms say no."""
    quota = ServiceQuota(190.0, 1.0, at_once=1.0)
    plant = CROWD._replace(
        service=Constant(0.05), backend=Backend(quotas=(quota,)), network=Constant(0.001)
    )
    found = tpssim.fit(recorded(plant._replace(duration=10.0)), holdout=0.0)
    assert found.estimates["network.mean"].high <= 0.0011
    assert found.estimates["service.mean"].value == pytest.approx(0.05, rel=0.03)
    assert found.estimates["backend.servers"].is_bound()


def test_where_nothing_is_refused_nothing_is_known() -> None:
    found = learned(Backend(servers=12.0))
    assert (found.limit, found.room, found.rate, found.quotas) == (None, None, None, ())
    assert found.failure.value == 0.0
    assert 0.0 < found.failure.high < 0.001
    assert found.backend(Backend(servers=12.0)) == Backend(servers=12.0)
    (said,) = found.unidentified
    assert "no call was refused" in said.because
    assert f"up to {found.peak:g} in flight" in said.because
    assert said.experiment.startswith("tpssim live --url URL ")


@pytest.mark.parametrize(
    ("backend", "disturbances"),
    [(Backend(servers=6.0), ()), (Backend(servers=16.0), (Stall(8.0, 12.0),))],
    ids=["overload", "stall"],
)
def test_slow_service_is_no_silent_refusal(
    backend: Backend, disturbances: tuple[Stall, ...]
) -> None:
    plant = CROWD._replace(target=WAVE, duration=WAVE.duration, timeout=1.0, backend=backend)
    seen = recorded(plant._replace(disturbances=disturbances))
    assert int((seen.outcome == TIMED_OUT).sum()) > 500
    found = limits_of(seen)
    assert not found.silent
    assert (found.limit, found.room, found.rate, found.quotas) == (None, None, None, ())


def test_an_outage_is_no_quota() -> None:
    start = np.arange(0.0, 60.0, 0.01)
    down = (start >= 20.0) & (start < 35.0)
    found = limits_of(Recording.of(start, start + 0.005, np.where(down, REJECTED, OK)))
    assert (found.limit, found.room, found.rate, found.quotas) == (None, None, None, ())
    assert found.unidentified[0].name == "refusals"
    assert found.failure.value == 0.25


def test_calls_that_swap_places_at_a_quota_are_no_failures() -> None:
    """Each call is at the service up to 10 ms later than its stamp says, at up to 300 a second:
    where a place opens, another takes it.
    """
    plant = CROWD._replace(
        backend=Backend(quotas=(ServiceQuota(300.0, 3.0),)), target=WAVE, duration=WAVE.duration
    )
    true = recorded(plant)
    stamped = true.start - np.random.default_rng(7).uniform(0.0, 0.01, len(true.start))
    found = limits_of(Recording.of(stamped, true.completion, true.outcome))
    assert found.quotas[0].quota.amount == 300.0
    assert found.quotas[0].quota.per == pytest.approx(3.0, rel=0.001)
    assert found.failure.value == 0.0


def test_refusals_at_random_are_failures() -> None:
    noise = np.random.default_rng(1)
    start = np.cumsum(noise.exponential(0.01, 8000))
    outcome = np.where(noise.random(8000) < 0.1, REJECTED, OK)
    found = limits_of(Recording.of(start, start + noise.exponential(0.05, 8000), outcome))
    assert (found.limit, found.room, found.rate, found.quotas) == (None, None, None, ())
    assert found.failure.low < 0.1 < found.failure.high
    assert "agree with no limit" in found.unidentified[0].because


def test_failures_have_an_interval_and_do_not_depend_on_the_load() -> None:
    found = learned(Backend(servers=12.0, failure=0.03))
    assert found.failure.low < 0.03 < found.failure.high
    assert found.failure.high - found.failure.low < 0.02
    assert [said.name for said in found.unidentified] == ["limits"]


def test_failures_that_come_with_the_load_are_named() -> None:
    start = np.arange(0.0, 100.0, 0.02)
    busy = (start // 10.0) % 2.0 == 1.0
    completion = start + np.where(busy, 0.5, 0.05)
    flying = windows.in_flight(start, completion, np.ones(len(start), bool))
    fails = (flying > 10.0) & (np.arange(len(start)) % 5 == 0)
    found = limits_of(Recording.of(start, completion, np.where(fails, FAILED, OK)))
    named = {said.name: said.because for said in found.unidentified}
    assert "0.00% fail with up to 10 calls in flight, and 20." in named["backend.failure"]


def test_what_an_answer_says_of_the_wait_is_seen() -> None:
    quota = ServiceQuota(300.0, 3.0)
    seen = recorded(CROWD._replace(backend=Backend(quotas=(quota,))))
    wait = np.where(seen.outcome == REJECTED, 1.5, math.nan)
    told = Recording.of(seen.start, seen.completion, seen.outcome, retry_after=wait)
    assert limits_of(told).backend(Backend()).quotas == (quota._replace(retry_after=1.0),)


def test_what_a_throttle_refused_never_reached_the_service() -> None:
    start = np.arange(0.0, 10.0, 0.01)
    outcome = np.where(np.arange(len(start)) % 2, REFUSED, OK)
    completion = np.where(outcome == OK, start + 0.005, math.nan)
    found = limits_of(Recording.of(start, completion, outcome))
    assert found.refused == 0
    assert found.fastest in (50.0, 51.0)  # as the ends of a second are rounded


def test_failures_by_clopper_and_pearson() -> None:
    # scipy.stats.binomtest(3, 100).proportion_ci(method="exact"), and the rule of three
    assert tuple(share(3, 100)) == pytest.approx((0.03, 0.0062299715, 0.0851760530), abs=1e-9)
    assert share(0, 100).high == pytest.approx(3.0 / 100.0, rel=0.02)
    assert share(5, 5).value < 1.0  # a backend on which nothing succeeds is none


def test_a_cut_is_where_the_shares_differ_most() -> None:
    counts = np.array([1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0])
    refused = np.array([0, 0, 0, 0, 0, 1, 1, 1], bool)
    found = cut(counts, refused)
    assert (found.low, found.high, found.above, found.refused) == (2.0, 3.0, 4, 3)
    # ln L = 3 ln(3/4) + ln(1/4), against 3 ln(3/8) + 5 ln(5/8) of one share
    expected = 3 * math.log(3 / 4) + math.log(1 / 4) - 3 * math.log(3 / 8) - 5 * math.log(5 / 8)
    assert found.gain == pytest.approx(expected)
    assert cut(counts, np.zeros(8, bool)).gain == 0.0


def test_a_window_is_counted_as_the_plant_counts_it() -> None:
    from tpssim.scenarios.service_quotas import Meters

    noise = np.random.default_rng(2)
    start = np.cumsum(noise.exponential(0.02, 400))
    cost = noise.exponential(1.0, 400)
    for window in ("rolling", "fixed"):
        meters = Meters((ServiceQuota(20.0, 0.7, of="cost", window=window),))
        refused = np.array([meters.take(t, c) >= 0.0 for t, c in zip(start, cost, strict=True)])
        taken = np.where(refused, 0.0, cost)
        counted = (
            windows.rolling(start, taken, cost, 0.7, None)
            if window == "rolling"
            else windows.fixed(start, taken, cost, 0.7, 0.0, None)
        )
        assert 100 < refused.sum() < 300
        assert np.array_equal(counted > 20.0 + 1e-9, refused)


def test_the_phase_of_fixed_windows() -> None:
    begun = 0.3 + 2.0 * np.arange(20.0)
    low, high = windows.phase_of((begun - 0.05, begun + 0.02), 2.0)
    assert low == pytest.approx(0.25)
    assert high == pytest.approx(0.32)
    low, high = windows.phase_of((begun - 0.35, begun + 0.05), 2.0)  # around the end of a window
    assert low < 0.3 < high or low < -1.7 < high


def test_round_numbers() -> None:
    assert roundest(8.0, 9.0) == 8.0
    assert roundest(46.0, 53.0) == 50.0
    assert roundest(0.2981, 0.3011) == 0.3
    assert roundest(3541.0, 3662.0) == 3600.0
    assert roundest(1 / 3, 1 / 3) == 1 / 3
