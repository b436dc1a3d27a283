"""`aegis-bbr` and `gozero-shedder`: the originals' cases, and the originals beside them."""

from __future__ import annotations

import random
from array import array
from typing import Any

import pytest
from helpers.originals import MILLISECOND, SECOND, WaitingShare
from helpers.originals import AegisBbr as AegisOriginal
from helpers.originals import GozeroShedder as GozeroOriginal

from tpssim.controllers._best_bins import least_mean, most_in_a_bin
from tpssim.controllers._waiting_load import unloaded
from tpssim.controllers.aegis_bbr import AegisBbr, allowed
from tpssim.controllers.gozero_shedder import GozeroShedder
from tpssim.core.types import Observation


class Shedder:
    """A law with its state and memory, as a service would use it: time in ns."""

    def __init__(self, law: Any) -> None:
        self.law, self.memory = law, array("d", [0.0]) * law.memory()
        self.state = law.init(100.0)

    def ended(self, now: int, latency: int, error: bool = False, drop: bool = False) -> None:
        failed = float(error or drop)
        obs = Observation(now * 1e-9, 100.0, latency * 1e-9, 0.0, 1.0, failed, 1.0, float(drop))
        self.state = self.law.update(self.state, obs, self.memory)

    def refuses(self, now: int, in_flight: int) -> bool:
        state = self.law.admit(self.state, now * 1e-9, 0.0, float(in_flight), self.memory)
        self.state = state
        assert state.reject in (0.0, 1.0)
        return bool(state.reject)

    def loaded(self, usage: float) -> None:
        load = self.state.load
        self.state = self.state._replace(load=load._replace(usage=usage))


def filled(law: Any, first: int) -> Shedder:
    """As in the originals' tests: in bin i of 0.1 s (i + first) x 100 passes, of which ten have
    latencies, of i x 10 + 1 to i x 10 + 10 ms."""
    shedder = Shedder(law)
    bins = int(law.bins)
    for i in range(10):
        shedder.ended(i * SECOND // 10, 5 * MILLISECOND)
        shedder.memory[i] = 100.0 * (i + first)
        shedder.memory[bins + i] = sum(range(i * 10 + 1, i * 10 + 11))
        shedder.memory[2 * bins + i] = 10.0
    return shedder


def test_the_cases_of_aegis() -> None:
    # TestBBRMaxPass, TestBBRMinRt, TestBBRMaxQps, TestBBRShouldDrop, at e0742c6; tests without a
    # sleep of seconds, so the last bin is that of now.
    law = AegisBbr(window=1.0, bins=10.0)
    empty = Shedder(law)
    empty.loaded(800.0)
    assert not empty.refuses(0, 1)
    assert empty.refuses(0, 2)  # 1 x 1 ms x 10 / 1000 are less than 1
    shedder = filled(law, 2)
    assert most_in_a_bin(shedder.memory, 10, 9.0) == 1000.0
    assert least_mean(shedder.memory, 10, 9.0, False) == 5.5
    shedder.loaded(800.0)
    now = 9 * SECOND // 10
    assert not shedder.refuses(now, 50)
    assert shedder.state.most == 60.0
    shedder = filled(law, 1)
    shedder.loaded(800.0)
    assert not shedder.refuses(now, 50)
    assert shedder.refuses(now, 80)
    shedder.loaded(700.0)
    assert shedder.refuses(now, 80)  # within a second
    later = now + 2 * SECOND
    shedder.loaded(700.0)
    assert not shedder.refuses(later, 80)


def test_aegis_allows_none_once_the_window_has_passed_without_a_completion() -> None:
    # As in the original, where a window of old bins is reduced to 0; 5000 bins a second, so that
    # one completion of 1 ms in a bin, which an empty window counts as, would allow 5 calls.
    nothing = array("d", [0.0]) * 300
    assert allowed(nothing, 100, 199.0, 100.0, 0.02) == 5.0
    assert allowed(nothing, 100, 200.0, 100.0, 0.02) == 0.0
    original = AegisOriginal(SECOND // 50, 100, 800.0)
    original.done(SECOND // 50, 0)
    assert original.max_in_flight(199 * SECOND // 5000) == 5
    original.pass_cache = None
    assert original.max_in_flight(200 * SECOND // 5000) == 0


def test_the_cases_of_gozero() -> None:
    # TestAdaptiveShedderMaxPass, MinRt, MaxFlight, ShouldDrop and StillHot, at 291dbe4, where its
    # scale is that of ten bins a second.
    law = GozeroShedder(window=1.0, bins=10.0)
    shedder = filled(law, 1)
    now = 9 * SECOND // 10
    assert most_in_a_bin(shedder.memory, 10, 9.0) == 900.0
    assert least_mean(shedder.memory, 10, 9.0, True) == 6.0
    for average, flying, refused in [(50.0, 0, False), (80.0, 50, False), (80.0, 80, True)]:
        shedder.state = shedder.state._replace(average=average)
        shedder.loaded(900.0)
        assert shedder.refuses(now, flying) == refused
        assert shedder.state.most == pytest.approx(54.0)
    shedder.loaded(0.0)
    assert shedder.refuses(now, 80)  # still hot
    assert not shedder.refuses(now + SECOND, 80)
    cool = filled(law, 1)
    cool.state = cool.state._replace(average=80.0)
    assert not cool.refuses(now, 80)


def test_few_calls_are_never_too_many_for_gozero() -> None:
    # Without a completion: 1 x 1000 ms x 10 bins a second.
    shedder = Shedder(GozeroShedder())
    shedder.state = shedder.state._replace(average=10.1)
    shedder.loaded(900.0)
    assert not shedder.refuses(0, 10)
    assert shedder.refuses(0, 11)
    shedder.loaded(980.0)  # a fifth of that
    shedder.state = shedder.state._replace(average=2.0)
    assert not shedder.refuses(0, 11)
    assert shedder.state.most == pytest.approx(2.0)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["aegis", "gozero"])
def test_the_originals_beside_them(kind: str, seed: int) -> None:
    """Times of ease, of queues and of silence: every decision is the original's."""
    chance, now, refused = random.Random(f"{kind}{seed}"), 0, 0
    aegis = kind == "aegis"
    window, bins, threshold = (10, 100, 400.0) if aegis else (5, 50, 500.0)
    law: Any = (AegisBbr if aegis else GozeroShedder)(threshold=threshold)
    original: Any = (AegisOriginal if aegis else GozeroOriginal)(window * SECOND, bins, threshold)
    shedder, load = Shedder(law), WaitingShare(SECOND // (2 if aegis else 4))
    flying: list[int] = []  # when the calls in flight were sent
    for k in range(4000):
        slow = 200 * (k // 500 % 2)
        now += chance.choice([1, 3, 7, 12, 40]) * MILLISECOND + chance.randrange(1000)
        if chance.random() < 0.002:
            now += chance.choice([2, 7, 30]) * SECOND
        usage = load.at_time(now)
        if aegis:
            drops = original.should_drop(now, len(flying), usage)
        else:
            drops = not original.allow(now, usage)
        assert shedder.refuses(now, len(flying)) == drops, k
        assert shedder.state.load.usage == usage
        refused += drops
        if not drops:
            flying.append(now)
        while len(flying) > chance.randrange(10 + slow):
            sent = flying.pop(0)
            end = now = max(now, sent + MILLISECOND)
            error, drop = chance.random() < 0.05, chance.random() < 0.02
            if aegis:
                original.done(end, end - sent)
            else:
                original.finish(end, end - sent, not (error or drop))
            if drop or not error:
                load.ended(end, (end - sent) * 1e-9, drop)
            shedder.ended(end, end - sent, error, drop)
            if not aegis:
                assert shedder.state.average == original.average
    assert 50 < refused < 3500


def test_a_load_is_the_share_of_time_that_calls_wait() -> None:
    """In a queue with one server, Poisson arrivals and exponential services a call takes 1 / (1 -
    usage) times its service on average; of a usage of 75 % that is four times the least."""
    shedder = Shedder(AegisBbr())
    assert shedder.state.load == unloaded()
    for k in range(2000):
        shedder.ended(k * SECOND // 20, (400 if k else 100) * MILLISECOND)
    # 0.95 u + 37.5 in whole thousandths stands still from 731 on: 694.45 + 37.5 = 731.95.
    assert shedder.state.load.usage == 731.0


def test_why() -> None:
    obs = Observation(0.0, 100.0, 0.01, 0.0)
    for law in (AegisBbr(), GozeroShedder()):
        shedder = Shedder(law)
        assert "none refused" in law.why(shedder.state, obs, shedder.state)
        refusing = shedder.state._replace(reject=1.0, most=7.0)
        assert "more than 7" in law.why(shedder.state, obs, refusing)
