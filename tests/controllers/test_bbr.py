"""`bbr` by hand: rounds of 0.5 s on a service of a known speed."""

from __future__ import annotations

from helpers.laws import fed, run

from tpssim.controllers.bbr import Bbr
from tpssim.core.types import Observation
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant


def ended(k: int, n: float, errors: float = 0.0, u: float = 0.0) -> Observation:
    """Round k of half a second, with n completions."""
    return Observation(0.5 * (k + 1), 1000.0, 0.01, 0.0, n, errors, 1.0, 0.0, 0.0, 1.0, u)


def test_startup_drain_and_the_probe_cycle() -> None:
    # 20 a second, then 40: three rounds without growth end startup; drain; 1.25, 0.75, 1 x 6, 1.25.
    rounds = [10.0, 20.0] + [20.0] * 12
    states = fed(Bbr(), [ended(k, n) for k, n in enumerate(rounds)], target=1000.0)
    gains = [round(s.rate / s.best, 6) for s in states[1:]]
    assert gains == [2.885] * 4 + [0.347] + [1.25, 0.75, 1, 1, 1, 1, 1, 1, 1.25]
    assert states[-1].best == 40.0


def test_one_slow_round_does_not_slow_a_startup_down() -> None:
    # Linux, tcp_bbr.c, bbr_set_pacing_rate: until the pipe is full the pacing rate only rises. 2 a
    # second of 10: 2.885 x 2 is less; growth is seen once, three rounds without it end startup.
    states = fed(Bbr(min_rate=0.1), [ended(k, 1.0) for k in range(6)], target=1000.0)
    assert [s.rate for s in states] == [10.0] * 4 + [0.347 * 2.0, 2.5, 1.5]
    assert [s.rate for s in fed(Bbr(), [ended(0, 1.0)._replace(target=4.0)], target=1000.0)] == [
        10.0,
        4.0,
    ]


def test_the_cycle_is_begun_at_random_but_not_with_less() -> None:
    turns = []
    for u in (0.0, 0.15, 0.99):
        states = fed(Bbr(), [ended(k, 20.0, u=u) for k in range(5)], target=1000.0)
        turns.append(states[-1].turn)
    assert turns == [0.0, 2.0, 7.0]


def test_the_best_is_forgotten_after_so_many_rounds_and_failures_are_not_delivered() -> None:
    law = Bbr(memory_rounds=2.0)
    states = fed(
        law, [ended(0, 50.0), ended(1, 10.0), ended(2, 10.0), ended(3, 10.0, errors=5.0)], 1000.0
    )
    assert [s.best for s in states[1:]] == [100.0, 100.0, 20.0, 20.0]


def test_it_finds_the_capacity_of_a_blocking_service() -> None:
    # 10 ms a call: 100 a second; 1000 wanted. From 10 a second on.
    trace = run(Scenario("s", Constant(0.01), target=1000.0, duration=20.0), Bbr())
    late = trace.released[trace.released > 10.0]
    assert 0.93 < len(late) / 1000.0 <= 1.0
