"""`seda`, `breakwater`, `dagor` and `topfull-mimd`: steps by hand, and the originals beside."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from helpers import originals
from helpers.laws import done

from tpssim.controllers.breakwater import Breakwater, credited
from tpssim.controllers.dagor import Dagor, moved, refused_above
from tpssim.controllers.seda import Seda
from tpssim.controllers.topfull_mimd import TopfullMimd
from tpssim.core.errors import InputError
from tpssim.core.types import Observation
from tpssim.core.validation import checked


@pytest.mark.parametrize("seed", range(5))
def test_seda_beside_the_original(seed: int) -> None:
    """Times of many calls, of few and of one a sample; quick, slow and in between."""
    chance, now = random.Random(seed), 0.0
    law = Seda()
    original = originals.Seda(4.0, 0.08, 1.0, 40.0, 1.04, 2.0)
    state = law.init(1e9)
    for k in range(6000):
        now += chance.expovariate([300.0, 101.0, 20.0, 0.5][k // 500 % 4])
        latency = chance.expovariate(1.0 / [0.005, 0.03, 0.06, 0.2][k // 700 % 4])
        original.update(now, latency)
        state = law.update(state, Observation(now, 1e9, latency, 0.0))
        assert (state.command, state.average) == (original.rate, original.cur), k
    assert state.rate == state.command


def test_seda_by_hand() -> None:
    # The first call is a sample: 0.3 x 0.02 = 0.006, error -0.925, so 4 + (0.925 - 0.1) x 40 = 37.
    law = Seda()
    state = law.update(law.init(100.0), done(0.5, 0.02))
    assert state.rate == pytest.approx(37.0)
    assert state.average == pytest.approx(0.006)
    # 100 calls within a second: the longest. 0.7 x 0.006 + 0.3 x 0.5 = 0.1542 > 0.08.
    for k in range(100):
        state = law.update(state, done(0.6 + 0.001 * k, 0.5 if k == 7 else 0.01))
    assert state.average == pytest.approx(0.1542)
    assert state.rate == pytest.approx(37.0 / 1.04)
    assert state.calls == 0.0
    slowest = Seda(dec_factor=50.0).update(state, done(2.0, 1.0))
    assert slowest.rate == 2.0  # the least


def test_seda_is_blind_above_the_wanted_rate() -> None:
    # As in the original its own rate rises beyond what is asked for, and has to fall from there.
    law = Seda()
    state = law.init(10.0)
    for k in range(20):
        state = law.update(state, done(2.0 * k, 0.001)._replace(target=10.0))
    assert state.rate == 10.0
    assert state.command > 500.0


def test_breakwater_beside_the_original() -> None:
    chance = random.Random(1)
    law, credits, carry = Breakwater(), 10, 0.0
    state = law.update(law.init(100.0), done(0.5, 0.01))  # the least latency
    credits, carry = originals.breakwater(credits, carry, 0.0, 1000, 0.08)
    for k in range(3000):
        slow = [0.02, 0.1, 0.5][k // 300 % 3]
        latency = 0.01 + chance.expovariate(1.0 / slow)
        state = law.update(state, done(1.0 + 0.02 * k, latency))
        credits, carry = originals.breakwater(credits, carry, latency - 0.01, 1000, 0.08)
        assert (state.limit, state.carry) == (credits, carry), k
    for clients in (1, 300, 2500):
        few, rest, own, part = 10, 0.0, 10.0, 0.0
        for k in range(2000):
            queue = chance.choice([0.0, 0.05, 0.09 * (k % 7 == 0)])
            few, rest = originals.breakwater(few, rest, queue, clients, 0.08)
            own, part = credited(Breakwater(clients=float(clients)), own, part, queue)
            assert (own, part) == (few, rest)


def test_breakwater_changes_once_in_a_round_trip_by_the_longest_queue() -> None:
    law = Breakwater(min_credits=1.0)._replace(rtt=0.5)
    state = law.update(law.init(100.0), done(0.5, 0.01))
    assert state.limit == 2.0
    state = state._replace(limit=100.0)
    for now, latency in [(0.6, 0.25), (0.7, 0.02), (0.9, 0.03)]:
        state = law.update(state, done(now, latency))
        assert state.limit == 100.0
    # 0.24 s in the queue, three times 80 ms: 1 - 0.02 x 2.
    assert law.update(state, done(1.0, 0.02)).limit == 96.0


def test_breakwater_refuses_what_waited_and_what_would_join_a_long_queue() -> None:
    law = Breakwater()
    state = law.update(law.init(100.0), done(0.5, 0.01))
    assert law.admit(state, 1.0, 0.01, 5.0).reject == 0.0
    assert law.admit(state, 1.0, 0.0101, 5.0).reject == 1.0
    state = law.update(state, done(1.0, 0.17))
    assert law.admit(state, 1.0, 0.0, 5.0).reject == 1.0
    assert law.admit(state, 1.0, 0.0, 0.0).reject == 0.0  # nothing is in flight: no queue is left
    with pytest.raises(InputError, match="min_credits=100 lies above 64 clients=64"):
        checked(Breakwater(min_credits=100.0, clients=1.0), "breakwater")


def test_dagor_beside_the_original() -> None:
    chance = random.Random(2)
    law, level = Dagor(), 127.0
    for _ in range(3000):
        late = chance.random() < 0.2
        own = moved(law, level, 0.02 if late else 0.0199)
        level, whole = originals.dagor(level, late)
        assert own == level
        assert refused_above(own, 128.0) == 1.0 - len(range(whole + 1)) / 128.0


def test_dagor_looks_each_second_or_2000_calls_at_the_mean_queue() -> None:
    law = Dagor()
    state = law.update(law.init(100.0), done(0.1, 0.01))  # the least latency: no queue
    for now, latency in [(0.2, 0.03), (0.5, 0.05), (0.9, 0.05)]:
        state = law.update(state, done(now, latency))
        assert state.reject == 0.0
    # (0 + 20 + 40 + 40 + 0) / 5 ms = 20 ms: as long as may be, which is too long.
    assert law.update(state, done(1.0, 0.01)).level == 0.95 * 127.0
    shorter = law.update(state, done(1.0, 0.01)._replace(count=2.0))
    assert shorter.level == 127.0
    many = law.update(state, done(0.95, 0.05)._replace(count=1995.0))
    assert many.level == 127.0
    assert law.update(many, done(0.96, 0.05)).level == 0.95 * 127.0  # that is 2000
    with pytest.raises(InputError, match="initial=128 is not below priorities=128"):
        checked(Dagor(initial=128.0), "dagor")


def interval(law: TopfullMimd, state: Any, end: float, latencies: list[float]) -> Any:
    """An interval's calls, the last of which ends it."""
    for k, latency in enumerate(latencies):
        last = k == len(latencies) - 1
        state = law.update(state, done(end if last else end - 0.6, latency))
    return state


@pytest.mark.parametrize("seed", range(3))
def test_topfull_beside_the_original(seed: int) -> None:
    chance = random.Random(seed)
    law, now = TopfullMimd(), 1.0
    state = law.init(100.0)
    agent = None
    limited = 0
    for k in range(800):
        slow = [0.0, 0.3, 0.07, 0.03][k // 40 % 4]
        latencies = [
            1.5 if chance.random() < slow else 0.1 for _ in range(chance.randrange(20, 60))
        ]
        fail = sum(latency > 1.0 for latency in latencies)
        rank = math.ceil(0.95 * len(latencies)) - 1
        if agent is not None:
            agent.run(100.0, len(latencies), fail, sorted(latencies)[rank])
            if agent.terminated:
                agent = None
        elif fail > 0.1 * len(latencies):
            agent = originals.TopfullAgent(100.0)
        state = interval(law, state, now, latencies)
        now += 1.5
        assert state.threshold == (math.inf if agent is None else agent.threshold), k
        assert state.rate == min(state.threshold, 100.0)
        limited += agent is not None
    assert 100 < limited < 800


def test_topfull_sees_quick_failures_but_does_not_slow_down_for_them() -> None:
    law = TopfullMimd()
    failed, ok = done(0.5, 0.01, dropped=True), done(0.5, 0.01)
    state = law.init(100.0)
    for obs in [failed, *[ok] * 8, ok._replace(now=1.0)]:
        state = law.update(state, obs)
    assert state.threshold == math.inf  # a tenth may fail
    for k in range(1, 14):
        state = law.update(state, failed._replace(now=1.0 + k))
        # 1.01^10 is 1.105: no more than a tenth above what is wanted.
        assert state.threshold == pytest.approx(min(100.0 * 1.01 ** (k - 1), 110.0))
        assert state.rate == 100.0
    assert law.update(state, ok._replace(now=20.0)).threshold == math.inf


def test_topfull_takes_its_limit_away_after_150_intervals() -> None:
    law = TopfullMimd()
    state = law.update(law.init(100.0), done(1.0, 2.0))
    for k in range(150):
        state = law.update(state, done(2.0 + k, 2.0))
        assert state.threshold < math.inf
    assert state.rate == 10.0  # the least, which 0.95^45 x 100 reaches
    assert law.update(state, done(152.0, 2.0)).rate == 100.0


def test_why() -> None:
    obs = done(1.0, 0.5)
    seda = Seda()
    state = seda.init(100.0)
    assert "rate / 1.04" in seda.why(state, obs, state._replace(command=1.0))
    assert "held" in seda.why(state, obs, state)
    credit = Breakwater()
    start = credit.init(100.0)
    assert "9 credits" in credit.why(start, obs, start._replace(limit=9.0))
    level = Dagor()
    first = level.init(100.0)
    assert "level 63 of 128, 50.0 % refused" in level.why(
        first, obs, first._replace(level=63.0, reject=0.5)
    )
    mimd = TopfullMimd()
    free = mimd.init(100.0)
    assert "no limit" in mimd.why(free, obs, free)
    held = free._replace(threshold=95.0)
    assert "-5 %" in mimd.why(free._replace(threshold=100.0), obs, held)
    assert "+1.0 %" in mimd.why(free._replace(threshold=94.0), obs, held)
