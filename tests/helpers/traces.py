"""Traces made by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tpssim.core.types import OK, UNFINISHED
from tpssim.scenarios.plant import Pool
from tpssim.scenarios.scenario import Producer, Scenario
from tpssim.scenarios.service_times import Constant
from tpssim.simulation.trace import Trace


def trace(
    scenario: Scenario, released: Any, completed: Any, rate: Any, scheduled: Any = None
) -> Trace:
    sent = np.asarray(released, dtype=np.float64)
    done = np.asarray(completed, dtype=np.float64)
    return Trace(
        sent if scheduled is None else np.asarray(scheduled, dtype=np.float64),
        sent,
        done,
        done - sent,
        np.full(sent.shape, rate, dtype=np.float64),
        np.full(len(sent), math.inf),
        np.ones(len(sent)),
        np.where(np.isnan(done), UNFINISHED, OK).astype(np.int8),
        np.zeros(len(sent), dtype=np.int32),
        np.ones(len(sent)),
        scenario,
        {"spun": 0.0, "caught_up": 0.0, "re_anchored": 0.0, "skipped": 0.0, "limited": 0.0},
    )


def limited(limits: Any, producer: Any = 0) -> Trace:
    """A call a second, released under these limits with an open rate."""
    times = np.arange(float(len(limits)))
    plant = Scenario("s", Constant(0.1), 1.0, float(len(limits)), Pool(8.0))
    plant = plant._replace(producers=(Producer(),) * (1 + int(np.max(producer))))
    run = trace(plant, times, times + 0.1, math.inf)
    who = np.full(times.shape, producer, dtype=np.int32)
    return run._replace(limit=np.asarray(limits, dtype=np.float64), producer=who)
