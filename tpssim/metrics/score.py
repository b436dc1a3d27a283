"""The score of a run: the weighted geometric mean of its parts, each between 0 and 1.

`PARTS` defines them; those that a run does not have are left out, with their weight.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from tpssim.core.types import record

LEAST = 0.01  # of a part: what fails wholly costs much, but not everything
PATIENCE = 5.0  # s; a recovery that takes as long scores a half


@record
class Part(NamedTuple):
    weight: float
    definition: str


PARTS = {
    "achieved": Part(0.4, "share of the achievable calls that completed (measure achieved)"),
    "latency": Part(
        0.2, "1 / (1 + log10 stretch): a half where calls wait ten times what they would alone"
    ),
    "steadiness": Part(
        0.15, "1 / (1 + swing) of the commanded rate or limit; 1 where a limit held nothing"
    ),
    "recovery": Part(
        0.15, f"{PATIENCE:g} s / ({PATIENCE:g} s + regain_time), where the capacity rises"
    ),
    "fairness": Part(
        0.1, "Jain's index of the producers (measure fairness), where there are several"
    ),
}


@record
class Score(NamedTuple):
    """The score of one run and its parts; nan for a part that the run does not have."""

    total: float
    achieved: float
    latency: float
    steadiness: float
    recovery: float
    fairness: float


def score(measures: Mapping[str, float]) -> Score:
    """The score of a run from its measures: `exp(sum w ln part / sum w)` over the parts that it
    has.

    A limit that held nothing back, of a law whose rate never moved, swings in vain.

    >>> nan = math.nan
    >>> run = {"achieved": 1.0, "stretch": 10.0, "swing": 0.0, "regain_time": nan, "fairness": nan}
    >>> round(score({**run, "limited": 0.0, "total_variation": 0.0}).total, 3)  # 0.5^(0.2 / 0.75)
    0.831
    """
    stretch, regain = measures["stretch"], measures["regain_time"]
    inert = measures["limited"] == 0.0 and measures["total_variation"] == 0.0
    parts = {
        "achieved": measures["achieved"],
        # Without one completed call there is no stretch, and nothing good to say.
        "latency": 0.0 if math.isnan(stretch) else 1.0 / (1.0 + math.log10(max(1.0, stretch))),
        "steadiness": 1.0 if inert else 1.0 / (1.0 + measures["swing"]),
        "recovery": PATIENCE / (PATIENCE + regain),
        "fairness": measures["fairness"],
    }
    weight = logarithm = 0.0
    for name, value in parts.items():
        if not math.isnan(value):
            weight += PARTS[name].weight
            logarithm += PARTS[name].weight * math.log(max(value, LEAST))
    return Score(math.exp(logarithm / weight), **parts)
