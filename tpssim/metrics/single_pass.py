"""The measures of a run that need no sorting and no transform."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tpssim.core.types import FAILED, OK, REFUSED
from tpssim.metrics import timeseries
from tpssim.metrics.commanded_rate import (
    churn,
    command,
    limit_commands,
    recovery,
    settling,
    slope_of,
    total_variation,
)
from tpssim.metrics.goodput import fill_goodput
from tpssim.metrics.layout import (
    BEST,
    BEST_AT_LAST,
    BEST_IN_PHASE,
    CAPACITY,
    CAPACITY_AT_LAST,
    CAPACITY_IN_PHASE,
    COMMANDED_IN_PHASE,
    DRIFT_IN_PHASE,
    END,
    END_OF_PHASE,
    GRID,
    LAG,
    LATENESS,
    LOAD_IN_PHASE,
    MOVES,
    OPEN,
    RESPONSE,
    SETTLES,
    SHARE_IN_PHASE,
    START,
    START_OF_PHASE,
    STEADY_IN_PHASE,
    THROUGHPUT_IN_PHASE,
    UNANSWERED_IN_PHASE,
    Columns,
    Frame,
    Run,
    Samples,
)
from tpssim.metrics.own_values import fill_own_values
from tpssim.metrics.places import (
    BURST_1S,
    BURST_10MS,
    BURST_100MS,
    CAUGHT_UP,
    CHURN,
    DRIFT,
    ERRORS,
    FAIRNESS,
    LIMITED,
    OVERSHOOT,
    RE_ANCHORED,
    RECOVERY_TIME,
    REFUSED_CALLS,
    REGAIN_TIME,
    SETTLING_TIME,
    SKIPPED,
    SPIN_CPU,
    STEADY_ERROR,
    TIME_TO_FAIRNESS,
    TOTAL_VARIATION,
)
from tpssim.metrics.tracking import (
    done_in,
    fill_achieved,
    fill_tracking,
    overshoot,
    regain,
    served,
)
from tpssim.scenarios.plant import ASYNC, BLOCKING
from tpssim.simulation.trace import (
    CAUGHT_UP_COUNTER,
    LIMITED_COUNTER,
    RE_ANCHORED_COUNTER,
    SKIPPED_COUNTER,
    SPUN_COUNTER,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def drift(columns: Columns, n: int, start: float, end: float) -> float:
    """Growth of the least lag from the first to the last quarter of a stretch, ppm."""
    quarter = (end - start) / 4.0
    first, last = math.inf, math.inf
    for i in range(n):
        at = columns.released[i]
        if start <= at < start + quarter:
            first = min(first, at - columns.scheduled[i])
        if end - quarter <= at < end:
            last = min(last, at - columns.scheduled[i])
    if first == math.inf or last == math.inf:
        return math.nan
    return (last - first) / (3.0 * quarter) * 1e6


def unanswered(columns: Columns, n: int, start: float, end: float) -> float:
    """The share of the calls sent in a stretch beyond those answered in it, by a success or a
    failure: the service refuses them, they time out, or they pile up.
    """
    sent, answered = 0.0, 0.0
    for i in range(n):
        if columns.outcome[i] == REFUSED:
            continue
        if start <= columns.released[i] < end:
            sent += 1.0
        if columns.outcome[i] <= FAILED and start <= columns.completed[i] < end:
            answered += 1.0
    return max(0.0, (sent - answered) / sent) if sent > 0.0 else 0.0


def mean_of(values: Array, size: int) -> float:
    """The mean of the first `size` values, summed in their order."""
    total = 0.0
    for k in range(size):
        total += values[k]
    return total / size


def fill_wave(levels: Array, mean: float, wave: Array) -> float:
    """The levels less their mean; the power of that, nan if they are constant."""
    power, most = 0.0, 1.0
    for k in range(GRID):
        most = max(most, abs(levels[k]))
        wave[k] = levels[k] - mean
        power += wave[k] * wave[k]
    # Rounding leaves a trace of power in a constant signal; it says nothing.
    return power if power > GRID * (1e-12 * most) * (1e-12 * most) else math.nan


def fill_phase(
    columns: Columns, n: int, frame: Frame, which: int, held: bool, samples: Samples, row: Array
) -> float:
    """What happened in one long phase, as far as the sorted levels and the cycle are not needed;
    the slope of the line that its levels are taken from, a point.

    `held`: the limit held calls back.
    """
    start, end = frame.long[which, START], frame.long[which, END]
    best, capacity = frame.long[which, BEST], frame.long[which, CAPACITY]
    best_at_last, at_last = frame.long[which, BEST_AT_LAST], frame.long[which, CAPACITY_AT_LAST]
    middle = (start + end) / 2.0
    count, later = done_in(columns, n, start, middle, end)
    steady = later / (end - middle)
    levels, wave = samples.levels[which], samples.waves[which]
    step = (end - middle) / GRID
    for k in range(GRID):
        wave[k] = k * step + middle
    command(columns, n, frame, wave, GRID, levels)
    mean, slope = mean_of(levels, GRID), 0.0
    if frame.long[which, MOVES] > 0.0:
        slope = slope_of(levels)
        for k in range(GRID):
            levels[k] -= slope * (k - (GRID - 1) / 2.0)
    samples.powers[which] = fill_wave(levels, mean, wave)
    row[START_OF_PHASE], row[END_OF_PHASE] = start, end
    row[BEST_IN_PHASE], row[CAPACITY_IN_PHASE] = best, capacity
    row[THROUGHPUT_IN_PHASE] = count / (end - start)
    row[SHARE_IN_PHASE] = count / (best * (end - start)) if best > 0.0 else 1.0
    row[STEADY_IN_PHASE] = steady / best_at_last if best_at_last > 0.0 else 1.0
    row[LOAD_IN_PHASE] = steady / at_last if at_last > 0.0 else 1.0
    row[COMMANDED_IN_PHASE] = mean
    # Behind a limit the lag grows by the law's own will.
    limited = held or limit_commands(columns, n)
    row[DRIFT_IN_PHASE] = math.nan if limited else drift(columns, n, middle, end)
    row[UNANSWERED_IN_PHASE] = unanswered(columns, n, middle, end)
    return slope


def fill_lateness(
    columns: Columns, n: int, frame: Frame, producer: int, size: int, lateness: Array
) -> int:
    """The lags of a producer's releases for which it was free in time, behind `size` others; the
    new size.
    """
    free = 0.0
    for i in range(n):
        if columns.outcome[i] == REFUSED or columns.producer[i] != producer:
            continue
        if free <= columns.scheduled[i]:
            lateness[size] = columns.released[i] - columns.scheduled[i]
            size += 1
        free = columns.released[i]
        if frame.consumer == BLOCKING:
            free += columns.latency[i]
        elif frame.consumer == ASYNC:
            free += frame.handoff
    return size


def fill_samples(columns: Columns, n: int, frame: Frame, held: bool, samples: Samples) -> None:
    """Response times, lags, and the lags of the releases for which the producer was free in time.

    Nothing is known of the last if a limit or a full queue held calls back.
    """
    responses, lags, free_in_time = 0, 0, 0
    if not held and not frame.bounded:
        for p in range(len(frame.producers)):
            free_in_time = fill_lateness(columns, n, frame, p, free_in_time, samples.lateness)
    is_open = n > 0
    for i in range(n):
        is_open = is_open and columns.rate[i] == math.inf
        if columns.outcome[i] != REFUSED:
            samples.lag[lags] = columns.released[i] - columns.scheduled[i]
            lags += 1
        if columns.outcome[i] == OK:
            samples.response[responses] = columns.completed[i] - columns.scheduled[i]
            responses += 1
    samples.response[responses:] = math.inf
    samples.lag[lags:] = math.inf
    samples.lateness[free_in_time:] = math.inf
    samples.sizes[RESPONSE], samples.sizes[LAG] = float(responses), float(lags)
    samples.sizes[LATENESS], samples.sizes[OPEN] = float(free_in_time), 1.0 if is_open else 0.0


def fill_releases(
    columns: Columns,
    n: int,
    frame: Frame,
    last: Array,
    times: Array,
    succeeded: int,
    alike: bool,
    out: Array,
) -> None:
    """Bursts, what was not released and what failed of the rest; the excess in the last phase;
    `succeeded`: calls; `alike`: each costs 1.
    """
    sent = 0
    for i in range(n):
        if columns.outcome[i] != REFUSED:
            times[sent] = columns.released[i]
            sent += 1
    out[BURST_10MS] = timeseries.most_in_window(times, sent, 0.01)
    out[BURST_100MS] = timeseries.most_in_window(times, sent, 0.1)
    out[BURST_1S] = timeseries.most_in_window(times, sent, 1.0)
    out[OVERSHOOT] = overshoot(columns, n, frame, last, times, sent, alike)
    out[ERRORS] = 1.0 - succeeded / sent if sent > 0 else math.nan
    out[REFUSED_CALLS] = float(n - sent)


def fill_counted(counters: Array, duration: float, out: Array) -> None:
    """What the throttle counts."""
    out[SPIN_CPU] = counters[SPUN_COUNTER] / duration
    out[LIMITED] = counters[LIMITED_COUNTER]
    out[CAUGHT_UP] = counters[CAUGHT_UP_COUNTER]
    out[RE_ANCHORED] = counters[RE_ANCHORED_COUNTER]
    out[SKIPPED] = counters[SKIPPED_COUNTER]


def collect(
    columns: Columns,
    n: int,
    counters: Array,
    frame: Frame,
    samples: Samples,
    phases: Array,
    out: Array,
) -> None:
    """All measures of the n rows of a run that need no sorting and no transform.

    Fills `samples` (to be sorted and transformed), one row of `phases` a long phase, and `out`.
    `counters` are in the order of `COUNTERS`.
    """
    times, rates = samples.times, samples.values
    held = counters[LIMITED_COUNTER] > 0.0
    fill_samples(columns, n, frame, held, samples)
    settled = 0.0
    for which in range(len(frame.long)):
        row = phases[which]
        slope = fill_phase(columns, n, frame, which, held, samples, row)
        if frame.long[which, SETTLES] > 0.0:
            final = row[COMMANDED_IN_PHASE]
            took = settling(columns, n, frame, which, final, slope, times, rates)
            settled = max(settled, took)
    last = phases[len(frame.long) - 1]
    succeeded, done, alike = served(columns, n)
    fill_achieved(columns, n, frame, done, phases, out)
    fill_releases(columns, n, frame, last, times, succeeded, alike, out)
    fill_tracking(columns, n, frame, rates, out)
    fill_goodput(columns, n, frame, samples, times, rates, phases, out)
    out[STEADY_ERROR] = 1.0 - last[STEADY_IN_PHASE]
    out[DRIFT] = last[DRIFT_IN_PHASE]
    out[SETTLING_TIME] = settled
    out[RECOVERY_TIME] = math.nan if held else recovery(columns, n, frame, times, rates)
    out[TOTAL_VARIATION] = total_variation(columns, n, frame)
    out[CHURN] = churn(columns, n, frame, out[TOTAL_VARIATION], times, rates)
    out[REGAIN_TIME] = regain(columns, n, frame, times, rates)
    fill_counted(counters, frame.duration, out)
    out[FAIRNESS] = out[TIME_TO_FAIRNESS] = math.nan
    fill_own_values(Run(columns, n, counters, frame, phases, out))
