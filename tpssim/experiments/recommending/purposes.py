"""What a recommendation is for: how much each part of the score weighs."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping

from tpssim.core.errors import no_such
from tpssim.metrics.score import LEAST, checked_weights, qualities, score

Measures = Mapping[str, float]

#: name -> weights of the parts of the score. The place to add one.
PURPOSES: Mapping[str, Mapping[str, float]] = {
    # what is delivered in time, and little else
    "throughput": {
        "goodput": 0.8,
        "useful": 0.05,
        "tail": 0.05,
        "smoothness": 0.05,
        "recovery": 0.05,
    },
    # a call that comes in time should come soon
    "latency": {"goodput": 0.45, "useful": 0.05, "tail": 0.5},
    # a refused call costs, or is counted: as much as is allowed, and hardly a call more
    "quota": {"goodput": 0.5, "useful": 0.5},
    # nobody is left behind
    "fairness": {"goodput": 0.5, "useful": 0.05, "tail": 0.05, "fairness": 0.4},
}


def weights_of(purpose: str) -> dict[str, float]:
    """The weight of each part for a purpose; raises `InputError`.

    >>> weights_of("quota")["useful"]
    0.5
    """
    if purpose not in PURPOSES:
        raise no_such("purpose", purpose, PURPOSES)
    return checked_weights(PURPOSES[purpose])


def value(weights: Mapping[str, float], measures: Measures, oracle: Measures) -> float:
    """What a run is worth, 1 at best; 0 where the oracle itself delivers nothing."""
    found = score(measures, oracle, weights).total
    return 0.0 if math.isnan(found) else found


def loss(weights: Mapping[str, float]) -> Callable[[Measures], float]:
    """What to tune for: `- sum w ln quality / sum w`, of the measures alone.

    That is `- ln score` less what the oracle comes to, which is the same for all settings, but for
    parts at which a setting is better than the oracle.
    """
    return functools.partial(_loss, dict(weights))


def _loss(weights: Mapping[str, float], measures: Measures) -> float:
    found = qualities(measures)
    # What a service has no use for, as fairness of one producer, is nan in all of its runs.
    there = {name: weights[name] for name, quality in found.items() if not math.isnan(quality)}
    total = math.fsum(there.values())
    logs = (weight * math.log(max(found[name], LEAST)) for name, weight in there.items())
    return -math.fsum(logs) / total
