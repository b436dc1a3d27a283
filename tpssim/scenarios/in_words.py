"""A service in a sentence, for whoever reads of a scenario that says nothing of itself."""

from __future__ import annotations

import math

from tpssim.scenarios.kinds import KIND_OF
from tpssim.scenarios.plant import Blocking
from tpssim.scenarios.scenario import Scenario


def in_words(scenario: Scenario) -> str:
    """Its summary, or else its calls, servers and service times.

    >>> from tpssim import Async, Backend, Lognormal
    >>> eight = Backend(servers=8.0)
    >>> plant = Scenario("mine", Lognormal(0.08, 0.6), 90.0, 60.0, Async(), backend=eight)
    >>> in_words(plant)
    'overlapping: 8 servers, lognormal of mean 0.08 s and cv 0.6'
    >>> in_words(plant._replace(summary="the checkout"))
    'the checkout'
    """
    if scenario.summary:
        return scenario.summary
    service, servers = scenario.service, scenario.backend.servers
    structure = "one at a time" if isinstance(scenario.consumer, Blocking) else "overlapping"
    many = "servers without limit" if math.isinf(servers) else f"{servers:g} servers"
    many = "1 server" if servers == 1.0 else many
    kind = KIND_OF.get(type(service), type(service).__name__)
    cv = f" and cv {service.cv:.3g}" if hasattr(service, "cv") else ""
    return f"{structure}: {many}, {kind} of mean {service.mean:.4g} s{cv}"
