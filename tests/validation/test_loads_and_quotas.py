"""Known answers of load, quotas, retries and late feedback: what is broken makes them fail."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tpssim.core import quota_windows
from tpssim.core.pacer import Pacer
from tpssim.core.profiles import Stages
from tpssim.core.target_path import TargetPath
from tpssim.scenarios import service_quotas
from tpssim.scenarios.feedback import Feedback
from tpssim.simulation import call_lifecycle, environment
from tpssim.simulation.call_lifecycle import Serving
from tpssim.validation.known_answers import comeback, late, quotas
from tpssim.validation.known_answers.cases import CASES
from tpssim.validation.validate import validate


def failing(case: str, seed: int = 0) -> list[str]:
    """The names of the statistics of a case that are out of range."""
    (outcome,) = validate([case], seed=seed)
    wrong = [one.name for one in outcome.parts if not one.low <= one.value <= one.high]
    assert outcome.holds == (not wrong)
    return wrong


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer slots of the windows."""
    monkeypatch.setattr(quotas, "SLOTS", 20_000)
    monkeypatch.setattr(comeback, "WINDOWS", 40)


@pytest.mark.usefixtures("short")
def test_quotas_hold_and_both_of_their_limits_are_met() -> None:
    assert failing("quotas") == []


@pytest.mark.usefixtures("short")
def test_a_window_with_room_for_one_more_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    room = service_quotas.has_room

    def generous(quota: service_quotas.QuotaRow, *rest: Any) -> bool:
        return room(quota._replace(amount=quota.amount + 1.0), *rest)

    monkeypatch.setattr(service_quotas, "has_room", generous)
    assert failing("quotas") == ["wrong in the model", "wrong of a window"]


@pytest.mark.usefixtures("short")
def test_a_fixed_window_that_begins_late_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    number = service_quotas.window_number
    monkeypatch.setattr(service_quotas, "window_number", lambda now, per: number(now - 0.01, per))
    assert failing("quotas") == ["wrong in the model"]


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    ("change", "bucket", "wrong"),
    [
        # A window that is shorter, a bucket that fills faster; or a call waits a little longer.
        ({"length": 1.984375}, True, "calls above the window"),
        ({"fill": 33.0}, True, "calls above the bucket"),
        ({"length": 2.015625}, True, "waits in vain"),
        ({"fill": 31.0}, True, "waits in vain"),
        ({"burst": 15.0}, True, "waits in vain"),
        ({"length": 0.4375}, False, "calls above a quota in the model"),
        ({"length": 2.015625}, False, "waits in vain in the model"),
    ],
)
def test_a_pacer_s_quota_that_is_a_little_off_fails(
    change: dict[str, float], bucket: bool, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = quota_windows.Ceiling

    def off(**numbers: float) -> quota_windows.Ceiling:
        changed = (numbers["burst"] < numbers["amount"]) == bucket
        return made(**(numbers | change if changed else numbers))

    monkeypatch.setattr("tpssim.core.quotas.Ceiling", off)
    assert wrong in failing("quotas")


@pytest.mark.usefixtures("short")
def test_a_comeback_is_where_the_window_opens() -> None:
    """128 slots a second, 32 in a second, an answer after 2.5 slots: 32 calls, then three in vain
    at 32/128 to 34/128 s, and nothing until the next whole second."""
    times, rejected = comeback.releases(3)
    assert times[:35] == [j / 128.0 for j in range(35)]
    assert times[35:70] == [1.0 + time for time in times[:35]]
    assert rejected == ([False] * 32 + [True] * 3) * 3
    assert failing("Retry-After") == []


AWAY = [f"away from the closed form, {window}" for window in ("fixed", "rolling")]
ALL = [f"{what}, {window}" for window in ("fixed", "rolling") for what in comeback.JUDGED]


@pytest.mark.usefixtures("short")
def test_a_word_that_is_a_bit_late_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """By 10 us: the next window of 1 s is as late again, so no call is missing for long."""
    said = service_quotas.seconds_until
    monkeypatch.setattr(call_lifecycle, "seconds_until", lambda *now: said(*now) + 1e-5)
    assert set(AWAY) <= set(failing("Retry-After"))


@pytest.mark.usefixtures("short")
def test_a_caller_who_does_not_heed_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_lifecycle, "seconds_until", lambda opens, sent, whole: 0.0)
    assert failing("Retry-After") == ALL


@pytest.mark.usefixtures("short")
def test_a_window_that_opens_early_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    room = service_quotas.has_room

    def generous(quota: service_quotas.QuotaRow, *rest: Any) -> bool:
        return room(quota._replace(amount=quota.amount + 1.0), *rest)

    monkeypatch.setattr(service_quotas, "has_room", generous)
    assert failing("Retry-After") == ALL


RUSH = [f"calls in the queue at {t} s{how}" for how in ("", ", even") for t in (4, 8, 12)]


def test_a_rush_that_is_longer_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """By half a second: 4.5 + 1.97 in place of 6 at 8 s, 4.97 in place of 4 at 12 s."""

    def longer(law: Any, target: Stages, *args: Any, **options: Any) -> Pacer:
        (_, high), rest = target.stages
        return Pacer(law, Stages([(4.5, high), rest], target.start), *args, **options)

    monkeypatch.setattr("tpssim.simulation.simpy_engine.Pacer", longer)
    assert failing("M(t)/M/1") == [name for name in RUSH if " 4 s" not in name]


def test_a_server_that_is_slower_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    work = environment.World.work
    monkeypatch.setattr(environment.World, "work", lambda *args: 1.1 * work(*args))
    assert failing("M(t)/M/1") == RUSH


def test_an_arrival_or_a_service_that_is_a_bit_off_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        work = environment.World.work
        patch.setattr(environment.World, "work", lambda *args: math.nextafter(work(*args), 9.0))
        assert not validate(["G/G/1"])[0].holds
    arrival = TargetPath.arrival
    monkeypatch.setattr(TargetPath, "arrival", lambda *args: math.nextafter(arrival(*args), 1e9))
    assert validate(["G/G/1"])[0].simulated == 60_000


def test_classes_that_share_a_server_more_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Serving.__init__

    def generous(self: Serving, world: Any) -> None:
        made(self, world)
        self.backend = self.backend._replace(servers=self.backend.servers + 1.0)

    monkeypatch.setattr(Serving, "__init__", generous)
    assert len(failing("M/M/c/K by classes")) == 6


def test_the_theory_of_classes_and_retries_by_hand() -> None:
    # Six servers, two places, a = 1 + 2 + 4 = 7: terms 1, 7, 24.5, 57.1667, 100.0417, 140.0583,
    # 163.4014, then times 7/6: 190.6350, 222.4075; in sum 906.2105.
    (outcome,) = validate(["M/M/c/K by classes"])
    shares = [one for one in outcome.parts if one.name.startswith("share rejected")]
    for one in shares:
        assert (one.low + one.high) / 2.0 == pytest.approx(222.4075 / 906.2105, rel=1e-5)
    # 1 + 1/2 + 1/4 + 1/8 + 1/16.
    assert CASES["retry amplification"].run(0).theory == 1.9375


def test_a_retry_more_or_fewer_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Serving.__init__

    def fewer(self: Serving, world: Any) -> None:
        made(self, world)
        self.retry = self.retry._replace(attempts=self.retry.attempts - 1.0)

    monkeypatch.setattr(Serving, "__init__", fewer)
    (outcome,) = validate(["retry amplification"])
    assert not outcome.holds
    assert outcome.simulated == pytest.approx(1.875, rel=0.02)


def test_a_budget_that_is_not_kept_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def richer(tokens: float, budget: float) -> float:
        return min(tokens + 1.01 * budget, 10.0)

    monkeypatch.setattr(call_lifecycle, "deposited", richer)
    assert failing("retry budget") == ["attempts per call", "retries beyond the budget"]


def test_retries_are_those_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts are read off the latency: another wait than the case's is no attempt at all."""
    monkeypatch.setattr(call_lifecycle, "drawn_wait", lambda *_: 0.04)
    with pytest.raises(AssertionError):
        validate(["retry budget"])


def test_the_cycle_of_a_late_aimd_by_hand() -> None:
    """2/s a second up, halved near 50/s: 12.5 s up, 1 s until half a window is over, half of the
    delay, and the window of the cut.
    """
    (outcome,) = validate(["late AIMD"])
    middles = [(one.low + one.high) / 2.0 for one in outcome.parts]
    assert middles == [12.5 + 0.5 + 2.0 + half for half in (0.0, 2.0, 4.0, 8.0)]
    values = [one.value for one in outcome.parts]
    assert np.diff(values) == pytest.approx([2.0, 2.0, 4.0], abs=0.5)


def test_feedback_that_is_later_or_not_late_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"period of delay {delay} s" for delay in (0, 4, 8, 16)]
    with monkeypatch.context() as patch:
        patch.setattr(late, "Feedback", lambda period, delay: Feedback(period, delay + 1.9))
        assert failing("late AIMD") == names
    monkeypatch.setattr(late, "Feedback", lambda period, delay: Feedback(period, 0.0))
    assert failing("late AIMD") == names[1:]
