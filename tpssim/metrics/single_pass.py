"""The measures of a run that need no sorting and no transform."""

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
    ALONE,
    BEST,
    BEST_BEHIND,
    BEST_IN_PHASE,
    BURST_1S,
    BURST_10MS,
    BURST_100MS,
    CALLS,
    CAPACITY,
    CAPACITY_IN_PHASE,
    CAUGHT_UP,
    CHURN,
    COMMANDED_IN_PHASE,
    DRIFT,
    DRIFT_IN_PHASE,
    EDGE,
    END,
    END_OF_PHASE,
    ERRORS,
    FAIRNESS,
    GRID,
    IAE,
    ITAE,
    LAG,
    LATENESS,
    LIMITED,
    LOAD_IN_PHASE,
    NEXT_EDGE,
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
    START,
    START_OF_PHASE,
    STEADY_ERROR,
    STEADY_IN_PHASE,
    STRETCH,
    THROUGHPUT,
    THROUGHPUT_IN_PHASE,
    TIME_TO_FAIRNESS,
    TOTAL_VARIATION,
    UTILISATION,
    WORST_PHASE,
    Columns,
    Frame,
    Samples,
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


def successes(columns: Columns, n: int) -> float:
    """How many calls succeeded."""
    count = 0.0
    for i in range(n):
        if columns.outcome[i] == OK:
            count += 1.0
    return count


def done_in(
    columns: Columns, n: int, start: float, middle: float, end: float
) -> tuple[float, float]:
    """How many calls succeeded in a stretch, and how many of them from its middle on."""
    count, later = 0.0, 0.0
    for i in range(n):
        if columns.outcome[i] == OK and start <= columns.completed[i] < end:
            count += 1.0
            if columns.completed[i] >= middle:
                later += 1.0
    return count, later


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
) -> None:
    """What happened in one long phase, as far as the sorted levels and the cycle are not needed.

    `held`: the limit held calls back.
    """
    start, end = frame.long[which, START], frame.long[which, END]
    best, capacity = frame.long[which, BEST], frame.long[which, CAPACITY]
    middle = (start + end) / 2.0
    count, later = done_in(columns, n, start, middle, end)
    steady = later / (end - middle)
    levels, wave = samples.levels[which], samples.waves[which]
    step = (end - middle) / GRID
    for k in range(GRID):
        wave[k] = k * step + middle
    command(columns, n, frame, wave, GRID, levels)
    mean = mean_of(levels, GRID)
    samples.powers[which] = fill_wave(levels, mean, wave)
    row[START_OF_PHASE], row[END_OF_PHASE] = start, end
    row[BEST_IN_PHASE], row[CAPACITY_IN_PHASE] = best, capacity
    row[THROUGHPUT_IN_PHASE] = count / (end - start)
    row[SHARE_IN_PHASE] = count / (best * (end - start)) if best > 0.0 else 1.0
    row[STEADY_IN_PHASE] = steady / best if best > 0.0 else 1.0
    row[LOAD_IN_PHASE] = steady / capacity if capacity > 0.0 else 1.0
    row[COMMANDED_IN_PHASE] = mean
    # Behind a limit the lag grows by the law's own will.
    limited = held or limit_commands(columns, n)
    row[DRIFT_IN_PHASE] = math.nan if limited else drift(columns, n, middle, end)


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


def regain(columns: Columns, n: int, frame: Frame, times: Array) -> float:
    """The longest time from a rise of the achievable until as good as that completes in a
    second.
    """
    longest = math.nan
    for k in range(len(frame.rises)):
        edge, following = frame.rises[k, EDGE], frame.rises[k, NEXT_EDGE]
        best = frame.rises[k, BEST_BEHIND]
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
            if frame.phases[k, START] <= columns.released[i] < frame.phases[k, END]:
                if frame.phases[k, ALONE] < math.inf:
                    waited += columns.completed[i] - begun
                    alone += frame.phases[k, ALONE]
                break
    return waited / alone if alone > 0.0 else math.nan


def fill_achieved(columns: Columns, n: int, frame: Frame, phases: Array, out: Array) -> None:
    """What was done of what could be done."""
    got, wanted = 0.0, 0.0
    for k in range(len(frame.phases)):
        start, end, best = frame.phases[k, START], frame.phases[k, END], frame.phases[k, CALLS]
        count, _ = done_in(columns, n, start, start, end)
        got += min(count, best)
        wanted += best
    worst = math.inf
    for which in range(len(frame.long)):
        worst = min(worst, phases[which, SHARE_IN_PHASE])
    done = successes(columns, n)
    out[THROUGHPUT] = done / frame.duration
    out[ACHIEVED] = got / wanted if wanted > 0.0 else math.nan
    out[WORST_PHASE] = worst
    out[UTILISATION] = done / frame.capacity if frame.capacity > 0.0 else math.nan


def fill_releases(columns: Columns, n: int, last: Array, times: Array, out: Array) -> None:
    """Bursts, what was not released and what failed of the rest; the excess in the last phase."""
    sent = 0
    for i in range(n):
        if columns.outcome[i] != REFUSED:
            times[sent] = columns.released[i]
            sent += 1
    out[BURST_10MS] = timeseries.most_in_window(times, sent, 0.01)
    out[BURST_100MS] = timeseries.most_in_window(times, sent, 0.1)
    out[BURST_1S] = timeseries.most_in_window(times, sent, 1.0)
    out[ERRORS] = 1.0 - successes(columns, n) / sent if sent > 0 else math.nan
    out[REFUSED_CALLS] = float(n - sent)
    start, end, best = last[START_OF_PHASE], last[END_OF_PHASE], last[BEST_IN_PHASE]
    final = 0
    for i in range(sent):
        if start <= times[i] < end:
            times[final] = times[i]
            final += 1
    second = min(1.0, end - start)
    peak = timeseries.most_in_window(times, final, second) / second
    out[OVERSHOOT] = max(0.0, peak / best - 1.0) if best > 0.0 else math.nan


def fill_tracking(columns: Columns, n: int, frame: Frame, rates: Array, out: Array) -> None:
    """How far throughput is from the achievable, summed over time."""
    bins, width = len(frame.bins), frame.width
    for k in range(bins):
        rates[k] = 0.0
    for i in range(n):
        if columns.outcome[i] == OK and columns.completed[i] <= bins * width:
            rates[bin_of(columns.completed[i], width, bins)] += 1.0
    iae, itae = 0.0, 0.0
    for k in range(bins):
        error = abs(frame.bins[k] - rates[k] / width) * width
        iae += error
        itae += (k * width + width / 2.0) * error
    out[IAE], out[ITAE] = iae, itae


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
    size = max(n, SETTLING_GRID, len(frame.bins))  # of all that is written into them
    times, rates = np.empty(size), np.empty(size)
    held = counters[LIMITED_COUNTER] > 0.0
    fill_samples(columns, n, frame, held, samples)
    for which in range(len(frame.long)):
        fill_phase(columns, n, frame, which, held, samples, phases[which])
    last = phases[len(frame.long) - 1]
    fill_achieved(columns, n, frame, phases, out)
    fill_releases(columns, n, last, times, out)
    fill_tracking(columns, n, frame, rates, out)
    out[STEADY_ERROR] = 1.0 - last[STEADY_IN_PHASE]
    out[DRIFT] = last[DRIFT_IN_PHASE]
    out[SETTLING_TIME] = settling(columns, n, frame, last[COMMANDED_IN_PHASE], times, rates)
    out[RECOVERY_TIME] = math.nan if held else recovery(columns, n, frame, times, rates)
    out[TOTAL_VARIATION] = total_variation(columns, n, frame)
    out[CHURN] = churn(columns, n, frame, out[TOTAL_VARIATION], times, rates)
    out[STRETCH] = stretch(columns, n, frame)
    out[REGAIN_TIME] = regain(columns, n, frame, times)
    out[SPIN_CPU] = counters[SPUN_COUNTER] / frame.duration
    out[LIMITED] = counters[LIMITED_COUNTER]
    out[CAUGHT_UP] = counters[CAUGHT_UP_COUNTER]
    out[RE_ANCHORED] = counters[RE_ANCHORED_COUNTER]
    out[SKIPPED] = counters[SKIPPED_COUNTER]
    out[FAIRNESS] = out[TIME_TO_FAIRNESS] = math.nan
