"""The score of a run against the oracle's on the same noise: the weighted geometric mean of its
parts, each between 0 and 1.

`PARTS` defines them; those that a run does not have are left out, with their weight. The oracle
(`simulation.oracle`) scores 1 in each, by definition.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from tpssim.core.errors import InputError, no_such
from tpssim.core.types import record
from tpssim.core.validation import Range, checked_number

LEAST = 0.01  # of a part: what fails wholly costs much, but not everything
PATIENCE = 5.0  # s; a recovery that takes as long is half as good as one at once

Measures = Mapping[str, float]


@record
class Part(NamedTuple):
    weight: float
    definition: str


PARTS = {
    "goodput": Part(0.7, "calls that completed within the deadline (measure goodput)"),
    "useful": Part(0.1, "1 - share of the calls sent that failed or came too late (1 - wasted)"),
    "tail": Part(0.05, "1 / 99th percentile of the latency (1 / latency_p99)"),
    "smoothness": Part(0.05, "1 / (1 + swing) of the command; 1 where a limit held nothing"),
    "recovery": Part(
        0.05, f"{PATIENCE:g} s / ({PATIENCE:g} s + regain_time), where the achievable rises"
    ),
    "fairness": Part(0.05, "Jain's index of the producers (fairness), where there are several"),
}

#: The weight of each part unless others are given.
WEIGHTS: Mapping[str, float] = {name: part.weight for name, part in PARTS.items()}


@record
class Score(NamedTuple):
    """The score of one run and its parts, each as a share of the oracle's and at most 1; nan for a
    part that the run does not have.
    """

    total: float
    goodput: float
    useful: float
    tail: float
    smoothness: float
    recovery: float
    fairness: float


def checked_weights(given: Mapping[str, float] | None) -> dict[str, float]:
    """The weight of every part, 0 for those that are not named; None: `WEIGHTS`. Raises
    `InputError`.

    >>> checked_weights({"goodput": 1})["goodput"], checked_weights({"goodput": 1})["tail"]
    (1.0, 0.0)
    """
    if given is None:
        return dict(WEIGHTS)
    for name in given:
        if name not in PARTS:
            raise no_such("part", name, PARTS, "weights: ")
    allowed = Range(0.0, 1e6, closed_high=False)
    found = {name: checked_number(given.get(name, 0.0), allowed, "weights", name) for name in PARTS}
    if not found["goodput"] > 0.0:
        raise InputError("weights: goodput=0; allowed: above 0, for every run has it")
    return found


def qualities(measures: Measures) -> dict[str, float]:
    """What each part compares, more being better; nan for what a run does not have."""
    # A limit that held nothing back, of a law whose rate never moved, swings in vain.
    inert = measures["limited"] == 0.0 and measures["total_variation"] == 0.0
    p99 = measures["latency_p99"]
    return {
        "goodput": measures["goodput"],
        "useful": 1.0 - measures["wasted"],
        "tail": 1.0 / p99 if p99 > 0.0 else math.nan,
        "smoothness": 1.0 if inert else 1.0 / (1.0 + measures["swing"]),
        "recovery": PATIENCE / (PATIENCE + measures["regain_time"]),
        "fairness": measures["fairness"],
    }


def share(measures: Measures, oracle: Measures) -> float:
    """The goodput of a run as a share of the oracle's, above 1 if it delivers more; nan if that
    delivers none.

    >>> share({"goodput": 90.0}, {"goodput": 100.0})
    0.9
    """
    most = oracle["goodput"]
    return measures["goodput"] / most if most > 0.0 else math.nan


def score(
    measures: Measures, oracle: Measures, weights: Mapping[str, float] | None = None
) -> Score:
    """The score of a run from its measures and those of the oracle on the same noise: `exp(sum w ln
    part / sum w)` over the parts that it has; `weights` of parts by name (`WEIGHTS`).

    A part is the run's quality over the oracle's, at most 1, and counts as 0.01 at least. What the
    oracle has and the run has not (a run without one completed call has no tail) is 0.

    >>> nan = math.nan
    >>> best = {"goodput": 100.0, "wasted": 0.0, "latency_p99": 0.1, "swing": 0.0, "limited": 0.0}
    >>> best |= {"total_variation": 0.0, "regain_time": nan, "fairness": nan}
    >>> half = score({**best, "goodput": 50.0}, best)  # 0.5^(0.7 / 0.9)
    >>> half.goodput, half.tail, round(half.total, 3), round(score(best, best).total, 3)
    (0.5, 1.0, 0.583, 1.0)
    """
    own, best = qualities(measures), qualities(oracle)
    parts, by_name = {}, WEIGHTS if weights is None else weights
    weight = logarithm = 0.0
    for name, most in best.items():
        parts[name] = part(own[name], most)
        if not math.isnan(parts[name]):
            weight += by_name[name]
            logarithm += by_name[name] * math.log(max(parts[name], LEAST))
    return Score(math.exp(logarithm / weight) if weight > 0.0 else math.nan, **parts)


def part(own: float, most: float) -> float:
    """A quality as a share of the oracle's, at most 1; nan if that has none.

    >>> part(0.5, 1.0), part(2.0, 1.0), part(math.nan, 1.0), part(1.0, math.nan)
    (0.5, 1.0, 0.0, nan)
    """
    if not most > 0.0:
        return math.nan
    return 0.0 if math.isnan(own) else min(1.0, own / most)
