"""Services drawn from the intervals of a fit: what one does on all of them is sure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tpssim.core.errors import InputError
from tpssim.core.validation import checked_count
from tpssim.experiments.fitting.correlations import WIDTH
from tpssim.scenarios.files import Estimated, ScenarioFile
from tpssim.scenarios.load import mean_cost
from tpssim.scenarios.scenario import Scenario, parameter_range, with_parameters
from tpssim.scenarios.service_times import Recorded, TwoPhase

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

WHOLE = ("backend.servers", "backend.places", "backend.limit")


def drawn(file: ScenarioFile, n: int, seed: int = 0) -> list[Scenario]:
    """`n` services of a fitted scenario, one for each draw of its estimates; raises `InputError`
    for a file without any.

    A number is drawn log-normally over its interval, one that may be 0 normally, a whole one among
    the whole numbers in it. What is only a bound, or no number of the scenario, stays as it is.
    Those that are not whole are drawn together, correlated as the file says. With other servers
    than the likeliest the service takes that many times as long: how many answers a second all of
    them give is known better than how many they are, and so is how long a call takes that does not
    wait.
    """
    checked_count("draws", n, 1)
    if not file.estimates:
        raise InputError(
            f"scenario {file.scenario.name}: no estimates to draw from; allowed: a file of fit"
        )
    draw = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0xD7A3,)))
    mixed = mixing(file)
    pairs: list[tuple[float, float]] = []
    found = []
    for number in range(1, n + 1):
        scenario = file.scenario._replace(name=f"{file.scenario.name} draw {number}")
        # A draw for each, used or not: another interval leaves the other numbers as they are. Of
        # two in a row the second is opposite to the first, so that few are no luck on one side.
        if number % 2:
            pairs = [(draw.random(), draw.standard_normal()) for _ in file.estimates]
        else:
            pairs = [(1.0 - u, -z) for u, z in pairs]
        normal = mixed @ np.array([z for _, z in pairs])
        for estimate, (u, _), z in zip(file.estimates, pairs, normal.tolist(), strict=True):
            scenario = _with(scenario, estimate, u, z)
        found.append(_as_fast(scenario, file.scenario.backend.servers))
    return found


def mixing(file: ScenarioFile) -> Array:
    """The matrix that makes independent standard draws, one for each estimate, correlated ones:
    the root of the correlations, or of some near them where these do not go together.
    """
    names = [estimate.name for estimate in file.estimates]
    wanted = np.eye(len(names))
    for first, second, value in file.correlations:
        i, k = names.index(first), names.index(second)
        wanted[i, k] = wanted[k, i] = value
    values, vectors = np.linalg.eigh(wanted)
    root: Array = vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
    root /= np.linalg.norm(root, axis=1, keepdims=True)
    return root


def _with(scenario: Scenario, estimate: Estimated, u: float, z: float) -> Scenario:
    """The scenario with one number drawn."""
    name, value, low, high = estimate[:4]
    if not all(map(math.isfinite, (value, low, high))) or low == high:
        return scenario
    if name in WHOLE:
        value = min(low + math.floor(u * (high - low + 1.0)), high)
    elif low > 0.0:
        value *= math.exp(z * math.log(high / low) / WIDTH)
    else:
        value = max(value + z * (high - low) / WIDTH, 0.0)
    if name == "service.mean":
        return scenario._replace(service=_of_mean(scenario, value))
    allowed = parameter_range(scenario, name)
    if allowed is None:  # the plateau, say, which follows from the others
        return scenario
    return with_parameters(scenario, {name: min(max(value, allowed.low), allowed.high)})


def _as_fast(scenario: Scenario, servers: float) -> Scenario:
    """The scenario with a service that is as fast with its servers as it was with so many, and as
    long on the whole, as far as the network allows.
    """
    many = scenario.backend.servers
    if many == servers or math.isinf(many):
        return scenario
    before = _length(scenario)
    service = _of_mean(scenario, scenario.service.mean * many / servers)
    backend = scenario.backend
    backend = backend._replace(per_cost=backend.per_cost * many / servers)
    scenario = scenario._replace(service=service, backend=backend)
    if scenario.network is None:
        return scenario
    left = scenario.network.mean + before - _length(scenario)
    if left <= 0.0:
        return scenario._replace(network=None)
    if isinstance(scenario.network, Recorded):  # as much more or less for each answer
        more = left - scenario.network.mean
        late = tuple(max(time + more, 0.0) for time in scenario.network.recording)
        return scenario._replace(network=scenario.network._replace(recording=late))
    return with_parameters(scenario, {"network.mean": left})


def _length(scenario: Scenario) -> float:
    """How long the service of a call of the mean cost takes, s."""
    return float(scenario.service.mean + scenario.backend.per_cost * mean_cost(scenario))


def _of_mean(scenario: Scenario, mean: float) -> Any:
    """The service with another mean and the same shape."""
    if isinstance(scenario.service, Recorded | TwoPhase):
        return stretched(scenario.service, mean / scenario.service.mean)
    allowed = parameter_range(scenario, "service.mean")
    value = mean if allowed is None else min(max(mean, allowed.low), allowed.high)
    return with_parameters(scenario, {"service.mean": value}).service


def stretched(service: Any, factor: float) -> Any:
    """A service each of whose times is that many times as long.

    >>> stretched(TwoPhase(fast=0.01, slow=0.2, share=0.1), 2.0).slow
    0.4
    """
    if isinstance(service, Recorded):
        times = tuple(factor * time for time in service.recording)
        return service._replace(recording=times)
    return service._replace(fast=factor * service.fast, slow=factor * service.slow)
