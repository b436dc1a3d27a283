"""Recordings of simulated runs, of which the truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np

import tpssim
from tpssim import Async, Scenario, Stages, Trace
from tpssim.scenarios.recordings.calls import Recording
from tpssim.scenarios.service_times import Lognormal

#: 30 s of 200 calls a second, with exponential gaps, of 50 ms each
CROWD = Scenario("plant", Lognormal(0.05, 0.5), 200.0, 30.0, Async(0.0, "completion"), poisson=1.0)
#: More than any of the limits takes, then little, then more again.
WAVE = Stages("10s:300,5s:300,5s:20,10s:20,10s:250")


def recording_of(trace: Trace) -> Recording:
    """What a caller could have written down of a run."""
    made = ~np.isnan(trace.released)
    columns: Any = trace.columns()
    started, completed, outcome, cost = (
        columns[name][made] for name in ("released", "completed", "outcome", "cost")
    )
    priced = trace.scenario.cost is not None
    return Recording.of(started, completed, outcome, cost=cost if priced else None)


def recorded(scenario: Scenario, law: Any = "fixed", seed: int = 0) -> Recording:
    """A recording of one run."""
    return recording_of(tpssim.simulate(scenario, law, seed=seed))
