"""One walk over a run: all that can be told of it without sorting or transforming."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from tpssim.core.types import OK, REFUSED, ceiled
from tpssim.metrics import timeseries
from tpssim.metrics.commanded_rate import (
    bin_of,
    churn,
    command,
    limit_commands,
    recovery,
    settling,
    total_variation,
)
from tpssim.metrics.layout import (
    ACHIEVED,
    ASYNC,
    BLOCKING,
    BURST_1S,
    BURST_10MS,
    BURST_100MS,
    CAUGHT_UP,
    CHURN,
    COMMANDED_IN_PHASE,
    DRIFT,
    DRIFT_IN_PHASE,
    ERRORS,
    FAIRNESS,
    GRID,
    HELD,
    IAE,
    ITAE,
    LAG,
    LATENESS,
    LOAD_IN_PHASE,
    OPEN,
    OVERSHOOT,
    RE_ANCHORED,
    RECOVERED,
    RECOVERY_TIME,
    REFUSED_CALLS,
    REGAIN_TIME,
    RESPONSE,
    SETTLING_GRID,
    SETTLING_TIME,
    SHARE_IN_PHASE,
    SKIPPED,
    SPIN_CPU,
    STEADY_ERROR,
    STEADY_IN_PHASE,
    STRETCH,
    THROUGHPUT,
    TIME_TO_FAIRNESS,
    TOTAL_VARIATION,
    UTILISATION,
    WORST_PHASE,
    Columns,
    Frame,
    Samples,
)

if TYPE_CHECKING:
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


def fill_phase(
    columns: Columns, n: int, frame: Frame, which: int, held: bool, samples: Samples, row: Array
) -> None:
    """What happened in one long phase, as far as it can be told without the sorted levels and the
    cycle.
    """
    start, end = frame.long[which, 0], frame.long[which, 1]
    best, bears = frame.long[which, 2], frame.long[which, 3]
    middle = (start + end) / 2.0
    count, steady = 0.0, 0.0
    for i in range(n):
        if columns.outcome[i] == OK and start <= columns.completed[i] < end:
            count += 1.0
            if columns.completed[i] >= middle:
                steady += 1.0
    steady /= end - middle
    levels, wave = samples.levels[which], samples.waves[which]
    step = (end - middle) / GRID
    for k in range(GRID):
        wave[k] = k * step + middle
    command(columns, n, frame, wave, GRID, levels)
    mean, most = 0.0, 1.0
    for k in range(GRID):
        mean += levels[k]
        most = max(most, abs(levels[k]))
    mean /= GRID
    power = 0.0
    for k in range(GRID):
        wave[k] = levels[k] - mean
        power += wave[k] * wave[k]
    # Rounding leaves a trace of power in a constant signal; it carries no news.
    samples.powers[which] = power if power > GRID * (1e-12 * most) * (1e-12 * most) else math.nan
    row[0], row[1], row[2], row[3] = start, end, best, bears
    row[4] = count / (end - start)
    row[SHARE_IN_PHASE] = count / (best * (end - start)) if best > 0.0 else 1.0
    row[STEADY_IN_PHASE] = steady / best if best > 0.0 else 1.0
    row[LOAD_IN_PHASE] = steady / bears if bears > 0.0 else 1.0
    row[COMMANDED_IN_PHASE] = mean
    # Behind a limit the lag grows by the law's own will.
    limited = held or limit_commands(columns, n)
    row[DRIFT_IN_PHASE] = math.nan if limited else drift(columns, n, middle, end)


def fill_samples(columns: Columns, n: int, frame: Frame, held: bool, samples: Samples) -> None:
    """Response times, lags, and the lags of the releases for which the producer was free in time.

    The last cannot be told if a limit or a full queue held calls back.
    """
    responses, lags, free_in_time = 0, 0, 0
    for p in range(len(frame.producers)):
        free = 0.0
        for i in range(n):
            if columns.outcome[i] == REFUSED or columns.producer[i] != p:
                continue
            lag = columns.released[i] - columns.scheduled[i]
            if free <= columns.scheduled[i] and not held and not frame.bounded:
                samples.lateness[free_in_time] = lag
                free_in_time += 1
            free = columns.released[i]
            if frame.consumer == BLOCKING:
                free += columns.latency[i]
            elif frame.consumer == ASYNC:
                free += frame.handoff
    is_open = n > 0
    for i in range(n):
        is_open = is_open and columns.rate[i] == math.inf
        if columns.outcome[i] != REFUSED:
            samples.lag[lags] = columns.released[i] - columns.scheduled[i]
            lags += 1
        if columns.outcome[i] == OK:
            samples.response[responses] = columns.completed[i] - columns.scheduled[i]
            responses += 1
    size = len(samples.lag)
    for i in range(responses, size):
        samples.response[i] = math.inf
    for i in range(lags, size):
        samples.lag[i] = math.inf
    for i in range(free_in_time, size):
        samples.lateness[i] = math.inf
    samples.sizes[RESPONSE], samples.sizes[LAG] = float(responses), float(lags)
    samples.sizes[LATENESS], samples.sizes[OPEN] = float(free_in_time), 1.0 if is_open else 0.0


def regain(columns: Columns, n: int, frame: Frame, times: Array) -> float:
    """The longest time from a rise of the achievable until as good as that completes in a
    second.
    """
    longest = math.nan
    for k in range(len(frame.rises)):
        edge, following, best = frame.rises[k, 0], frame.rises[k, 1], frame.rises[k, 2]
        size = 0
        for i in range(n):
            if columns.outcome[i] == OK and edge <= columns.completed[i] < following:
                times[size] = columns.completed[i]
                size += 1
        times[:size].sort()
        width = min(1.0, following - edge)
        enough = max(1, int(ceiled(RECOVERED * best * width)))
        took = math.inf
        for i in range(enough - 1, size):
            if times[i] - times[i - enough + 1] <= width:
                took = times[i] - edge
                break
        longest = took if math.isnan(longest) else max(longest, took)
    return longest


def stretch(columns: Columns, n: int, frame: Frame) -> float:
    """What calls waited over what they would have waited in an idle plant."""
    waited, alone = 0.0, 0.0
    for i in range(n):
        if columns.outcome[i] != OK:
            continue
        begun = columns.scheduled[i] if frame.consumer == BLOCKING else columns.released[i]
        for k in range(len(frame.phases)):
            if frame.phases[k, 0] <= columns.released[i] < frame.phases[k, 1]:
                if frame.phases[k, 3] < math.inf:
                    waited += columns.completed[i] - begun
                    alone += frame.phases[k, 3]
                break
    return waited / alone if alone > 0.0 else math.nan


def collect(
    columns: Columns,
    n: int,
    counters: Array,
    frame: Frame,
    samples: Samples,
    phases: Array,
    out: Array,
) -> None:
    """All that can be told of the n rows of a run without sorting or transforming.

    Fills `samples` (to be sorted and transformed), one row of `phases` a long phase, and `out`.
    `counters` are in the order of `COUNTERS`.
    """
    size = max(n, SETTLING_GRID, len(frame.bins))  # of all that is written into them
    times, rates = np.empty(size), np.empty(size)
    held = counters[4] > 0.0
    fill_samples(columns, n, frame, held, samples)
    for which in range(len(frame.long)):
        fill_phase(columns, n, frame, which, held, samples, phases[which])
    last = phases[len(frame.long) - 1]

    done, got, wanted = 0.0, 0.0, 0.0
    for i in range(n):
        if columns.outcome[i] == OK:
            done += 1.0
    for k in range(len(frame.phases)):
        start, end, best = frame.phases[k, 0], frame.phases[k, 1], frame.phases[k, 2]
        count = 0.0
        for i in range(n):
            if columns.outcome[i] == OK and start <= columns.completed[i] < end:
                count += 1.0
        got += min(count, best)
        wanted += best
    worst = math.inf
    for which in range(len(frame.long)):
        worst = min(worst, phases[which, SHARE_IN_PHASE])

    sent, final = 0, 0
    for i in range(n):
        if columns.outcome[i] != REFUSED:
            times[sent] = columns.released[i]
            sent += 1
    out[BURST_10MS] = timeseries.most_in_window(times, sent, 0.01)
    out[BURST_100MS] = timeseries.most_in_window(times, sent, 0.1)
    out[BURST_1S] = timeseries.most_in_window(times, sent, 1.0)
    for i in range(sent):
        if last[0] <= times[i] < last[1]:
            times[final] = times[i]
            final += 1
    second = min(1.0, last[1] - last[0])
    peak = timeseries.most_in_window(times, final, second) / second

    bins = len(frame.bins)
    for k in range(bins):
        rates[k] = 0.0
    for i in range(n):
        if columns.outcome[i] == OK and columns.completed[i] <= bins * frame.width:
            rates[bin_of(columns.completed[i], frame.width, bins)] += 1.0
    iae, itae = 0.0, 0.0
    for k in range(bins):
        error = abs(frame.bins[k] - rates[k] / frame.width) * frame.width
        iae += error
        itae += (k * frame.width + frame.width / 2.0) * error

    out[THROUGHPUT] = done / frame.duration
    out[ACHIEVED] = got / wanted if wanted > 0.0 else math.nan
    out[WORST_PHASE] = worst
    out[UTILISATION] = done / frame.bears if frame.bears > 0.0 else math.nan
    out[STEADY_ERROR] = 1.0 - last[STEADY_IN_PHASE]
    out[OVERSHOOT] = max(0.0, peak / last[2] - 1.0) if last[2] > 0.0 else math.nan
    out[SETTLING_TIME] = settling(columns, n, frame, last[COMMANDED_IN_PHASE], times, rates)
    out[RECOVERY_TIME] = math.nan if held else recovery(columns, n, frame, times, rates)
    out[TOTAL_VARIATION] = total_variation(columns, n, frame)
    out[IAE] = iae
    out[ITAE] = itae
    out[DRIFT] = last[DRIFT_IN_PHASE]
    out[SPIN_CPU] = counters[0] / frame.duration
    out[ERRORS] = 1.0 - done / sent if sent > 0 else math.nan
    out[REFUSED_CALLS] = float(n - sent)
    out[HELD] = counters[4]
    out[CAUGHT_UP] = counters[1]
    out[RE_ANCHORED] = counters[2]
    out[SKIPPED] = counters[3]
    out[STRETCH] = stretch(columns, n, frame)
    out[REGAIN_TIME] = regain(columns, n, frame, times)
    out[FAIRNESS] = math.nan
    out[TIME_TO_FAIRNESS] = math.nan
    out[CHURN] = churn(columns, n, frame, out[TOTAL_VARIATION], times, rates)
