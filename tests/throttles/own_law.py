"""A law of the user's own."""

from __future__ import annotations

import math
from typing import NamedTuple

import tpssim


class State(NamedTuple):
    """What it commands."""

    rate: float
    limit: float
    reject: float


class Halving(NamedTuple):
    """Half the rate after a slow call."""

    slow: float = 0.03

    def init(self, target: float) -> State:
        return State(target, math.inf, 0.0)

    def update(self, state: State, obs: tpssim.Observation) -> State:
        rate = state.rate / 2.0 if obs.latency > self.slow else state.rate + 1.0
        return State(min(rate, obs.target), state.limit, state.reject)
