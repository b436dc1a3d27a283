"""Runs of a controller, scored against the oracle on the same noise."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from tpssim.metrics.measure import measure
from tpssim.metrics.score import Score, checked_weights, score
from tpssim.scenarios.scenario import Scenario, code
from tpssim.simulation.oracle import NAME
from tpssim.simulation.resolve import ControllerLike, scenario_named
from tpssim.simulation.run import simulate


def oracle_measures(scenario: Scenario | str, seed: int, replication: int = 0) -> dict[str, float]:
    """The measures of the oracle's run on a scenario, which is made once.

    >>> oracle_measures("fast-async:duration=2", 0)["goodput"]
    494.0
    """
    named = scenario_named(scenario)
    return dict(_oracle_measures(named, code(named), seed, replication))


@functools.lru_cache(maxsize=4096)
def _oracle_measures(
    scenario: Scenario, _: tuple[str, ...], seed: int, replication: int
) -> Mapping[str, float]:
    return measure(simulate(scenario, NAME, seed=seed, replication=replication))


def score_of(
    scenario: Scenario | str,
    controller: ControllerLike,
    *,
    seed: int = 0,
    replication: int = 0,
    weights: Mapping[str, float] | None = None,
) -> Score:
    """The score of one run of a controller, and its parts: `.goodput` is its share of what the
    oracle delivers within the deadline, `.total` all parts together. Raises `InputError`.

    >>> score_of("fast-async:duration=2", "fixed").goodput
    1.0
    """
    named, by_name = scenario_named(scenario), checked_weights(weights)
    found = measure(simulate(named, controller, seed=seed, replication=replication))
    return score(found, oracle_measures(named, seed, replication), by_name)
