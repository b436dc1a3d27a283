"""The model against Ciw, an independent queueing simulator: open queues with one or several
servers.
"""

from __future__ import annotations

import math
from typing import Any

import ciw
import pytest
from helpers.laws import FIXED

from tpssim import simulate
from tpssim.core.statistics import Estimate, mean_interval
from tpssim.scenarios.plant import Async, Backend
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Exponential, Gamma, Lognormal, draws

REPLICATIONS, CUSTOMERS = 20, 4000
CONFIDENCE = 0.99


def lognormal(mean: float, cv: float) -> Any:
    variance = math.log(1.0 + cv * cv)
    return ciw.dists.Lognormal(math.log(mean) - variance / 2.0, math.sqrt(variance))


def theirs(rate: float, service: Any, servers: int) -> Estimate:
    """Mean waiting time of Ciw's customers, the first tenth left out."""
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(rate)],
        service_distributions=[service],
        number_of_servers=[servers],
    )
    means = []
    for replication in range(REPLICATIONS):
        ciw.seed(replication)
        simulation = ciw.Simulation(network)
        simulation.simulate_until_max_time(CUSTOMERS / rate)
        records = sorted(simulation.get_all_records(), key=lambda record: record.arrival_date)
        waits = [record.waiting_time for record in records[len(records) // 10 :]]
        means.append(sum(waits) / len(waits))
    return mean_interval(means, CONFIDENCE)


def ours(rate: float, service: Any, servers: int) -> Estimate:
    scenario = Scenario(
        "queue", service, rate, CUSTOMERS / rate, Async(0.0, "completion")
    )._replace(backend=Backend(servers=float(servers)), poisson=1.0)
    means = []
    for replication in range(REPLICATIONS):
        # The compiled engine: its bits are the model's.
        trace = simulate(scenario, FIXED, replication=replication)
        done = trace.latency == trace.latency
        times = service.times(draws(service.noise(), len(done), 0, replication))
        waits = (trace.latency - times)[done]
        means.append(float(waits[len(waits) // 10 :].mean()))
    return mean_interval(means, CONFIDENCE)


@pytest.mark.parametrize(
    ("rate", "mine", "ciws", "servers"),
    [
        (0.6, Exponential(1.0), ciw.dists.Exponential(1.0), 1),
        (10.0, Exponential(0.25), ciw.dists.Exponential(4.0), 3),
        (7.0, Exponential(1.0), ciw.dists.Exponential(1.0), 10),
        (1.2, Lognormal(1.0, 1.0), lognormal(1.0, 1.0), 2),
        # A gamma of mean 1 and CV 0.5 has shape 4 and scale 1 / 4.
        (3.0, Gamma(1.0, 0.5), ciw.dists.Gamma(4.0, 0.25), 4),
    ],
    ids=["M/M/1", "M/M/3", "M/M/10", "M/G/2 lognormal", "M/G/4 gamma"],
)
def test_waiting_times_agree_with_ciw(rate: float, mine: Any, ciws: Any, servers: int) -> None:
    us, them = ours(rate, mine, servers), theirs(rate, ciws, servers)
    for one, other in ((us, them), (them, us)):
        assert one.mean is not None
        assert other.low is not None
        assert other.high is not None
        # an interval without end agrees with everything
        assert other.high - other.low < 0.4 * one.mean
        assert other.low <= one.mean <= other.high
