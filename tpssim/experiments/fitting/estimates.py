"""What a recording says of a parameter: a number and how sure it is, a bound, or nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from tpssim.core.types import record


@record
class Estimate(NamedTuple):
    """A parameter and its 95 % interval; of a bound one end is infinite.

    >>> Estimate(0.02, 0.0195, 0.0206).is_bound(), Estimate(math.inf, 14.0, math.inf).is_bound()
    (False, True)
    """

    value: float
    low: float
    high: float

    def is_bound(self) -> bool:
        """Whether the recording only says that it is no less, or no more."""
        return math.isinf(self.low) or math.isinf(self.high)


@record
class Unidentified(NamedTuple):
    """A parameter that a recording cannot tell."""

    name: str
    because: str
    experiment: str  #: a command whose recording would


def experiment(stages: Sequence[tuple[str, float]]) -> str:
    """A command that calls a service at these rates, 1/s, each reached in its time.

    >>> experiment([("2m", 1620.4), ("1m", 0.0)])
    'tpssim live --url URL --async --stages 2m:1620,1m:0 --record more.ndjson'
    """
    # Of three digits, and never with an exponent.
    shown = ",".join(f"{time}:{Decimal(f'{rate:.3g}'):f}" for time, rate in stages)
    return f"tpssim live --url URL --async --stages {shown} --record more.ndjson"


@record
class Change(NamedTuple):
    """From a time of the recording on, s, service takes that many times as long as before."""

    time: float
    factor: float
