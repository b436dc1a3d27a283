"""What the pacer and compiled code share: lists interpreted and arrays compiled, to the bit."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from tpssim.core.arrivals import mean_rate, recent_rate
from tpssim.core.profiles import Stages
from tpssim.core.quota_windows import BOOK, count, dropped, is_full, opening
from tpssim.core.quotas import Quota, ceiling_of
from tpssim.core.schedule import AUTO, BURST, DELAY, SKIP, Late, anchor_on, capped
from tpssim.core.slots import (
    ROUNDING,
    between,
    due_on,
    first_wanted,
    one_back,
    open_rate,
    piece_at,
    target_at,
)
from tpssim.simulation.compiled.compiling import fast

pytest.importorskip("numba")

LOAD = Stages("2s:0,10s:100,5s:20,0s:50,3s:50,0s:0,1s:0,7.7s:33,4s:0", start=3.0)


@pytest.mark.parametrize("rate", [math.inf, 50.0, 33.3, 1.0])
def test_slots(rate: float) -> None:
    times, targets = LOAD.points(0.1)
    many, wanted = np.array(times), np.array(targets)
    due, owed, piece = first_wanted(times, targets, 0.1), 0.0, 0
    assert fast(first_wanted)(many, wanted, 0.1) == due
    n = 0
    while due < math.inf:
        assert fast(piece_at)(many, due, piece) == piece_at(times, due, piece)
        piece = piece_at(times, due, piece)
        assert fast(target_at)(many, wanted, piece, due) == target_at(times, targets, piece, due)
        assert fast(one_back)(many, wanted, due) == one_back(times, targets, due)
        passed = between(times, targets, 0, 0.1, due, rate)
        assert fast(between)(many, wanted, 0, 0.1, due, rate) == passed
        assert passed == pytest.approx(n, abs=1e-9)
        found = due_on(times, targets, piece, due, rate, 1.0, owed, ROUNDING)
        assert fast(due_on)(many, wanted, piece, due, rate, 1.0, owed, ROUNDING) == found
        due, owed = found
        n += 1
    assert n > 25
    assert fast(open_rate)(rate, 33.3) == open_rate(rate, 33.3)


@pytest.mark.parametrize("late", [AUTO, BURST, DELAY, SKIP, capped(3)], ids=str)
def test_where_the_schedule_continues(late: Late) -> None:
    rng = random.Random(7)
    times, targets = LOAD.points()
    many, wanted = np.array(times), np.array(targets)
    for _ in range(300):
        due = rng.uniform(0.0, 30.0)
        now = due + rng.choice([0.01, 0.3, 5.0]) * rng.random()
        rate = rng.choice([math.inf, 40.0, 0.5])
        piece = piece_at(times, due, 0)
        target = target_at(times, targets, piece_at(times, now, 0), now)
        found = anchor_on(late, times, targets, piece, due, now, rate, target)
        assert fast(anchor_on)(late, many, wanted, piece, due, now, rate, target) == found
        assert due <= found[0] <= now


@pytest.mark.parametrize(
    "quota",
    [
        Quota(3.0, 1.0),
        Quota(3.0, 1.0, of="cost"),
        Quota(3.0, 1.0, window="fixed", align=True),
        Quota(9.0, 1.0, of="cost", burst=2.0),
    ],
    ids=str,
)
def test_quotas(quota: Quota) -> None:
    ceiling = ceiling_of(quota, 0.0, 7.7)
    plain = ([0.0] * 64, [0.0] * 64, [0.0] * BOOK)
    arrays = tuple(np.zeros(len(part)) for part in plain)
    rng, now = random.Random(1), 0.0
    for _ in range(2000):
        cost = rng.choice([0.1, 0.5, 1.0])
        opens = opening(ceiling, cost, *plain)
        assert fast(opening)(ceiling, cost, *arrays) == opens
        now = max(now, opens)
        dropped(ceiling, now, *plain)
        fast(dropped)(ceiling, now, *arrays)
        assert not is_full(ceiling, plain[0], plain[2])
        assert not fast(is_full)(ceiling, arrays[0], arrays[2])
        count(ceiling, now, cost, *plain)
        fast(count)(ceiling, now, cost, *arrays)
        assert plain[2] == arrays[2].tolist()
        now += rng.choice([0.0, 0.0, 0.1, 0.5])
    assert now > 300.0


def test_arrivals() -> None:
    rng = random.Random(3)
    times = sorted(rng.uniform(0.0, 20.0) for _ in range(200))
    assert fast(mean_rate)(np.array(times)) == mean_rate(times)
    for now in (-1.0, 0.0, *times, 30.0):
        assert fast(recent_rate)(np.array(times), now) == recent_rate(times, now)
