"""Loss, fluid queues and Lindley's recursion, against tables and by hand."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from tpssim.theory import blocked, fluid_queue, lindley


def erlang_b(servers: int, load: Fraction) -> Fraction:
    """The formula itself: a^c / c! over the sum of a^k / k!."""
    terms = [load**k / math.factorial(k) for k in range(servers + 1)]
    return terms[-1] / sum(terms)


@pytest.mark.parametrize(("servers", "load"), [(1, "1/2"), (5, "3"), (20, "25"), (100, "84")])
def test_erlang_b_is_the_formula(servers: int, load: str) -> None:
    exact = erlang_b(servers, Fraction(load))
    assert blocked(servers, float(Fraction(load))) == pytest.approx(float(exact), rel=1e-12)


def test_erlang_b_is_the_table_s() -> None:
    # Tables of Erlang B: 10 lines lose 1 % at 4.461 erlang, 30 lines 2 % at 21.93.
    assert blocked(10, 4.461) == pytest.approx(0.01, rel=1e-3)
    assert blocked(30, 21.93) == pytest.approx(0.02, rel=1e-3)


def test_places_to_wait_by_hand() -> None:
    # Two servers, one place, a = 1: states 1, 1, 1/2, 1/4 (in sum 11/4); the last one is full.
    assert blocked(2, 1.0, 1) == pytest.approx(1.0 / 11.0)
    # Six servers, two places, a = 7: the terms up to 7^6 / 720, then times 7/6 twice.
    terms = [Fraction(7) ** k / math.factorial(k) for k in range(7)]
    terms += [terms[6] * Fraction(7, 6), terms[6] * Fraction(49, 36)]
    assert blocked(6, 7.0, 2) == pytest.approx(float(terms[-1] / sum(terms)), rel=1e-12)
    # M/M/1/K of the reference, K = 5 and a load of 0.8; at a load of 1 it is 1 / (K + 1).
    assert blocked(1, 0.8, 4) == pytest.approx(0.0888195, abs=5e-8)
    assert blocked(1, 1.0, 4) == pytest.approx(1.0 / 6.0)
    assert blocked(3, 0.0) == 0.0


#: 2/s for 4 s, down to 0 in 8 s more, before a server of 1/s: 4 wait after 4 s; the load falls
#: to 1/s at 8 s, by when half of 4 more have come.
RUSH = (0.0, 4.0, 12.0), (2.0, 2.0, 0.0)


@pytest.mark.parametrize(
    ("t", "queue"),
    [
        (0.0, 0.0),
        (3.0, 3.0),
        (4.0, 4.0),
        # 4 + the integral of 1 - s/4 over 2 s.
        (6.0, 4.0 + 2.0 - 0.5),
        (8.0, 6.0),
        # As much comes in the 4 s before 8 s as is missing in the 4 s after.
        (12.0, 4.0),
        # Nothing comes any more: 1/s leaves.
        (14.0, 2.0),
        (16.0, 0.0),
        (99.0, 0.0),
    ],
)
def test_a_rush_by_hand(t: float, queue: float) -> None:
    assert fluid_queue(*RUSH, 1.0, t) == pytest.approx(queue, abs=1e-12)


def test_spare_capacity_is_not_saved_up() -> None:
    # 0 -> 4/s over 4 s before a server of 2/s: nothing waits until 2 s, then (t - 2)^2 / 2.
    assert fluid_queue((0.0, 4.0), (0.0, 4.0), 2.0, 2.0) == 0.0
    assert fluid_queue((0.0, 4.0), (0.0, 4.0), 2.0, 4.0) == pytest.approx(2.0)
    # A jump down empties it, whatever was spare before a jump up.
    times, rates = (0.0, 1.0, 1.0, 2.0, 2.0), (0.0, 0.0, 3.0, 3.0, 0.0)
    assert [fluid_queue(times, rates, 2.0, t) for t in (1.0, 2.0, 2.25, 3.0)] == [
        0.0,
        1.0,
        0.5,
        0.0,
    ]


def test_one_server_by_hand() -> None:
    # Served 0-2; waits until 2; comes when it is free; comes later than that.
    assert lindley([0.0, 1.0, 5.0, 9.0], [2.0, 3.0, 1.0, 0.5]) == [2.0, 5.0, 6.0, 9.5]
    # The wait as Lindley has it: W' = max(0, W + S - A).
    arrivals, work = [0.0, 0.5, 0.75, 4.0], [1.0, 1.5, 0.25, 1.0]
    wait, waits = 0.0, [0.0]
    for k in range(3):
        wait = max(0.0, wait + work[k] - (arrivals[k + 1] - arrivals[k]))
        waits.append(wait)
    assert waits == [0.0, 0.5, 1.75, 0.0]
    ends = [a + w + s for a, w, s in zip(arrivals, waits, work, strict=True)]
    assert lindley(arrivals, work) == ends
    with pytest.raises(ValueError, match="zip"):
        lindley([0.0], [1.0, 2.0])
