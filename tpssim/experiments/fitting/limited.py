"""The limits of a service, put into what a fit found of its servers and service times."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from tpssim.experiments.fitting.limits import Limits
from tpssim.scenarios.scenario import checked_scenario

if TYPE_CHECKING:
    from tpssim.experiments.fitting.fit_result import FitResult


def with_limits(result: FitResult, limits: Limits) -> FitResult:
    """The fit with its limits: in the scenario, the estimates, and what is not known.

    A limit of calls in flight says nothing of a caller that makes one at a time, so it stays with
    the estimates there.
    """
    scenario = result.scenario
    backend = limits.backend(scenario.backend)
    if result.structure == "one at a time":
        backend = backend._replace(limit=scenario.backend.limit)
    return dataclasses.replace(
        result,
        scenario=checked_scenario(scenario._replace(backend=backend)),
        estimates={**result.estimates, **limits.estimates(scenario.backend.servers)},
        unidentified=(*result.unidentified, *limits.unidentified),
        limits=limits,
    )
