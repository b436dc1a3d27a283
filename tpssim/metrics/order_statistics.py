"""What the sorted samples and the transformed waves of many runs add to their measures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from tpssim.metrics import timeseries
from tpssim.metrics.layout import (
    BEST_IN_PHASE,
    COMMANDED_IN_PHASE,
    END_OF_PHASE,
    GRID,
    LAG,
    LATENESS,
    PERIOD_IN_PHASE,
    REGULARITY_IN_PHASE,
    RESPONSE,
    START_OF_PHASE,
    SWING_IN_PHASE,
    TOOK,
    Samples,
    one_of,
)
from tpssim.metrics.places import (
    LAG_MAX,
    LAG_P99,
    LATENCY_P99,
    LATENESS_P50,
    LATENESS_P99,
    PERIOD,
    REGULARITY,
    RESPONSE_P50,
    RESPONSE_P99,
    RESPONSE_P999,
    SWING,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def conclude(samples: Samples, acfs: Array, phases: Array, out: Array) -> None:
    """What was still to come, for many runs: `samples` are sorted now, `acfs` are those of their
    waves.
    """
    for run in range(len(out)):
        conclude_one(one_of(samples, run), acfs[run], phases[run], out[run])


def conclude_one(samples: Samples, acfs: Array, phases: Array, out: Array) -> None:
    widest = 0
    for which in range(len(phases)):
        row, levels = phases[which], samples.levels[which]
        spread = timeseries.quantile(levels, GRID, 0.95) - timeseries.quantile(levels, GRID, 0.05)
        row[SWING_IN_PHASE] = (
            spread / row[COMMANDED_IN_PHASE] if row[COMMANDED_IN_PHASE] > 0.0 else 0.0
        )
        cycle = timeseries.cycle(acfs[which])
        row[REGULARITY_IN_PHASE] = cycle.oscillation
        start, end = row[START_OF_PHASE], row[END_OF_PHASE]
        step = (end - (start + end) / 2.0) / GRID
        row[PERIOD_IN_PHASE] = cycle.period * step if timeseries.is_regular(cycle) else math.nan
        if not row[BEST_IN_PHASE] > 0.0:
            # The service stands still: whatever is commanded, nothing comes of it.
            row[SWING_IN_PHASE], row[PERIOD_IN_PHASE] = 0.0, math.nan
        if row[SWING_IN_PHASE] > phases[widest, SWING_IN_PHASE]:
            widest = which
    out[SWING] = phases[widest, SWING_IN_PHASE]
    out[REGULARITY] = phases[widest, REGULARITY_IN_PHASE]
    out[PERIOD] = phases[widest, PERIOD_IN_PHASE]
    responses, lags = int(samples.sizes[RESPONSE]), int(samples.sizes[LAG])
    free = int(samples.sizes[LATENESS])
    out[RESPONSE_P50] = timeseries.quantile(samples.response, responses, 0.5)
    out[RESPONSE_P99] = timeseries.quantile(samples.response, responses, 0.99)
    out[RESPONSE_P999] = timeseries.quantile(samples.response, responses, 0.999)
    out[LATENCY_P99] = timeseries.quantile(samples.took, int(samples.sizes[TOOK]), 0.99)
    out[LAG_P99] = timeseries.quantile(samples.lag, lags, 0.99)
    out[LAG_MAX] = samples.lag[lags - 1] if lags > 0 else math.nan
    out[LATENESS_P50] = timeseries.quantile(samples.lateness, free, 0.5)
    out[LATENESS_P99] = timeseries.quantile(samples.lateness, free, 0.99)
