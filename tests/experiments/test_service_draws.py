"""Services drawn from a fit: as wide as its intervals, and as correlated as its errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from helpers.recordings import CROWD, recorded

import tpssim
from tpssim import Backend
from tpssim.experiments.fitting.correlations import correlations
from tpssim.experiments.fitting.draws import drawn, mixing
from tpssim.experiments.fitting.estimates import Estimate
from tpssim.experiments.fitting.intervals import Spread
from tpssim.scenarios.files import Correlated, Estimated, ScenarioFile
from tpssim.scenarios.service_times import (
    Constant,
    Exponential,
    Lognormal,
    Pareto,
    Recorded,
    TwoPhase,
)

PLANT = CROWD._replace(backend=Backend(servers=12.0))


def test_services_drawn_from_intervals() -> None:
    estimates = (
        Estimated("service.mean", 0.05, 0.04, 0.0625),
        Estimated("backend.servers", 12.0, 11.0, 13.0),
        Estimated("backend.rate", math.inf, 300.0, math.inf),
        Estimated("plateau", 240.0, 230.0, 250.0),
    )
    file = ScenarioFile(PLANT, estimates=estimates)
    services = drawn(file, 400, seed=1)
    assert [one.name for one in services[:2]] == ["plant draw 1", "plant draw 2"]
    # as of 12 servers, for with 11 a service takes 11/12 of the time
    means = np.array([one.service.mean * 12.0 / one.backend.servers for one in services])
    assert 0.92 < ((means > 0.04) & (means < 0.0625)).mean() < 0.98  # a 95 % interval
    servers = [one.backend.servers for one in services]
    assert set(servers) == {11.0, 12.0, 13.0}
    assert {one.backend.rate for one in services} == {math.inf}
    assert drawn(file, 3, seed=1) == services[:3]
    two = PLANT._replace(service=Recorded((1.0, 3.0), "two"))
    (stretched,) = drawn(file._replace(scenario=two), 1, seed=1)
    assert isinstance(stretched.service, Recorded)
    mean = services[0].service.mean
    assert stretched.service.recording == pytest.approx((0.5 * mean, 1.5 * mean))


def test_with_other_servers_the_answers_a_second_stay() -> None:
    # 12 servers of 50 ms give 240 a second; 6 do with 25 ms, and 25 ms more on the way; 24 take
    # 100 ms, of which no network can take back more than its 10.
    mean = Estimated("service.mean", 0.05, 0.05, 0.05)
    servers = Estimated("backend.servers", 12.0, 6.0, 24.0)
    for service in (Lognormal(0.05, 0.5), TwoPhase(0.025, 0.275, 0.1)):
        plant = PLANT._replace(service=service, network=Constant(0.01))
        services = drawn(ScenarioFile(plant, estimates=(mean, servers)), 60)
        for one in services:
            many = one.backend.servers
            assert many / one.service.mean == pytest.approx(240.0)
            on_the_way = 0.0 if one.network is None else one.network.mean
            assert on_the_way == pytest.approx(max(0.06 - many / 240.0, 0.0))
        assert min(one.backend.servers for one in services) <= 7.0
        assert max(one.backend.servers for one in services) >= 23.0


def test_what_costs_add_is_as_fast_with_other_servers_too() -> None:
    # 12 servers of 50 ms, and 100 ms for a call of the mean cost, 2: 80 a second. 6 do with 75 ms,
    # and 75 ms more on the way; 24 take 300 ms, of which the network has 10.
    plant = PLANT._replace(
        service=Constant(0.05),
        network=Constant(0.01),
        cost=Exponential(2.0),
        backend=Backend(servers=12.0, per_cost=0.05),
    )
    for one in drawn(
        ScenarioFile(plant, estimates=(Estimated("backend.servers", 12.0, 6.0, 24.0),)), 60
    ):
        many = one.backend.servers
        each = one.service.mean + 2.0 * one.backend.per_cost
        assert many / each == pytest.approx(80.0)
        assert one.backend.per_cost == pytest.approx(one.service.mean)
        on_the_way = 0.0 if one.network is None else one.network.mean
        assert on_the_way == pytest.approx(max(0.16 - each, 0.0))


def test_numbers_that_are_known_better_together_are_drawn_together() -> None:
    """Mean and delay, whose errors have correlation -0.9: drawn so, and each as wide as alone."""
    estimates = (
        Estimated("service.mean", 0.05, 0.04, 0.0625),
        Estimated("network.mean", 0.01, 0.008, 0.0125),
    )
    plant = PLANT._replace(network=Constant(0.01))
    file = ScenarioFile(plant, estimates=estimates)
    tied = file._replace(correlations=(Correlated("service.mean", "network.mean", -0.9),))
    for each, expected in ((file, 0.0), (tied, -0.9)):
        services: Any = drawn(each, 400, seed=1)
        logs = np.log([(one.service.mean, one.network.mean) for one in services])
        found = float(np.corrcoef(logs.T)[0, 1])
        # Fisher: the transformed correlation of n has the deviation 1 / sqrt(n - 3).
        assert abs(math.atanh(found) - math.atanh(expected)) < 3.0 / math.sqrt(397)
        width = math.log(0.0625 / 0.04) / (2.0 * 1.96)
        assert logs.std(axis=0) == pytest.approx([width, width], rel=0.11)  # 3 / sqrt(2 n)


def test_correlations_that_do_not_go_together_give_the_nearest_that_do() -> None:
    """Each of three is wanted opposite to the others: as near as that comes, -1/2 each."""
    names = ("service.mean", "network.mean", "timeout")
    pairs = [(names[i], names[k]) for i in range(3) for k in range(i + 1, 3)]
    file = ScenarioFile(
        PLANT,
        estimates=tuple(Estimated(name, 1.0, 0.9, 1.1) for name in names),
        correlations=tuple(Correlated(*pair, -1.0) for pair in pairs),
    )
    mixed = mixing(file)
    np.testing.assert_allclose(mixed @ mixed.T, 1.5 * np.eye(3) - 0.5, atol=1e-12)


def test_correlations_of_a_fit_by_hand() -> None:
    """The mean falls by the delay, of deviation 3 ms, and has a deviation of 4 ms of its own: 5 ms
    in all, so the correlation is -3/5. The cv neither moves with the delay nor with the mean.
    """
    own = 0.004 / math.sqrt(4.0 / 3.0)  # of these four the variance, over n - 1, is 4 ms squared
    mean, cv = np.array([1, 1, -1, -1]) * own, np.array([1, -1, 1, -1]) * 0.1
    spread = Spread(0.05 + mean, 0.5 + cv)
    half = 1.96 * 0.003
    at_delays: list[tuple[float, Any]] = [
        (d, Lognormal(0.06 - d, 0.5)) for d in (0.005, 0.01, 0.015)
    ]
    found = correlations(spread, Estimate(0.01, 0.01 - half, 0.01 + half), at_delays)
    assert [each[:2] for each in found] == [("service.mean", "network.mean")]
    assert found[0].value == pytest.approx(-0.6)
    # A fourth delay, at which the variance is infinite, says nothing of how the cv moves.
    at_delays.append((0.02, Pareto(0.04, 1.9)))
    assert correlations(spread, Estimate(0.01, 0.01 - half, 0.01 + half), at_delays) == found


def test_what_leaves_the_delay_open_leaves_the_response_times_known() -> None:
    """100 calls a second that never wait: latencies are delay and service time together, so
    their mean is far better known than either, and on services drawn it is.
    """
    plant = CROWD._replace(
        duration=20.0, target=100.0, backend=Backend(servers=16.0), network=Constant(0.01)
    )
    found = tpssim.fit(recorded(plant, seed=21), holdout=0.0)
    services: Any = found.draws(200, seed=3)
    delays = np.array([one.network.mean for one in services])
    means = np.array([one.service.mean for one in services])
    assert (means + delays).std() < 0.5 * delays.std()
    # of about 2,000 answers, whose deviation is 25 ms
    assert 0.5 < (means + delays).std() / (0.025 / math.sqrt(2000.0)) < 2.0


def test_without_estimates_nothing_can_be_drawn() -> None:
    with pytest.raises(ValueError, match="no estimates to draw from; allowed: a file of fit"):
        drawn(ScenarioFile(PLANT._replace(service=Constant(0.05))), 2)
