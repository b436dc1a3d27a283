"""What laws would have done with a recorded service, on the twin that is fitted to the recording.

Service times of calls that overlapped hold what they waited for one another, so a law that sends
more is flattered by them. The twin has servers and queues of its own. What is said is an interval:
over services drawn from what the fit leaves open, each under noise of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim.core.statistics import next_value
from tpssim.core.types import REFUSED, record
from tpssim.experiments.fitting.estimate import fit
from tpssim.experiments.replay import numbers
from tpssim.live.playback import Call
from tpssim.scenarios.recordings.calls import Recording
from tpssim.scenarios.scenario import Scenario, checked_scenario
from tpssim.simulation.run import simulate

if TYPE_CHECKING:
    from tpssim.experiments.fitting.fit_result import FitResult

DRAWS = 40  #: services: of fewer than 39 no interval holds 95 % of the next runs


@record
class Range(NamedTuple):
    """Where a number lies: the middle one, and between which 95 % of all further runs are."""

    middle: float
    low: float
    high: float


def overlapping(calls: Sequence[Call]) -> bool:
    """Whether calls were in flight together."""
    return any(call.in_flight > 1.0 for call in calls)


def recording_of(calls: Sequence[Call]) -> Recording:
    """The calls of a live run as a recording."""
    made = [call for call in calls if call.outcome != REFUSED]
    return Recording.of(
        [call.released for call in made],
        [call.completed for call in made],
        [call.outcome for call in made],
        cost=[call.cost for call in made],
        retry_after=[call.retry_after for call in made],
    )


def twins(
    calls: Sequence[Call], setting: Scenario, draws: int = DRAWS, seed: int = 0
) -> tuple[FitResult, list[Scenario]]:
    """The fit to a live run, and services that may have been it; raises `InputError`.

    What was wanted, how calls were made, and how long it went on are as in `setting`.
    """
    found = fit(recording_of(calls), holdout=0.0, seed=seed)
    return found, [as_called(twin, setting) for twin in (found.scenario, *found.draws(draws, seed))]


def as_called(twin: Scenario, setting: Scenario) -> Scenario:
    """The service of a twin, called as in a setting."""
    return checked_scenario(
        setting._replace(
            service=twin.service,
            backend=twin.backend,
            network=twin.network,
            timeout=twin.timeout,
            disturbances=twin.disturbances,
        )
    )


def predicted(
    services: Sequence[Scenario],
    controllers: Mapping[str, Any],
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, dict[str, Range]]:
    """What each law comes to on these services, each under noise of its own, by name."""
    found: dict[str, dict[str, Range]] = {}
    done, total = 0, len(services) * len(controllers)
    for label, controller in controllers.items():
        runs = []
        for replication, service in enumerate(services):
            trace = simulate(service, controller, seed=seed, replication=replication)
            runs.append(numbers(trace))
            done += 1
            progress(done, total)
        found[label] = {name: _range([run[name] for run in runs]) for name in runs[0]}
    return found


def _range(values: Sequence[float]) -> Range:
    there = [value for value in values if not math.isnan(value)]
    if not there:
        return Range(math.nan, math.nan, math.nan)
    return Range(float(np.median(there)), *next_value(there))
