"""What one run comes to, as functions of numbers: compiled where that is possible, else plain Python.

`collect` walks over the columns of a run; then NumPy, which does that best, sorts the samples and transforms
the waves, of one run or of many at once; `conclude` puts the rest in. What each measure means stands in
`metrics.METRICS`; its position there is its constant here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tpssim import signals
from tpssim.core import OK, REFUSED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

(
    THROUGHPUT, ACHIEVED, WORST_PHASE, UTILISATION, STEADY_ERROR, OVERSHOOT, SETTLING_TIME, RECOVERY_TIME,
    SWING, REGULARITY, PERIOD, TOTAL_VARIATION, IAE, ITAE, RESPONSE_P50, RESPONSE_P99, RESPONSE_P999,
    LAG_P99, LAG_MAX, LATENESS_P50, LATENESS_P99, DRIFT, BURST_10MS, BURST_100MS, SPIN_CPU, ERRORS,
    REFUSED_CALLS, HELD, CAUGHT_UP, RE_ANCHORED, DROPPED, STRETCH, REGAIN_TIME, FAIRNESS, TIME_TO_FAIRNESS,
) = range(35)  # fmt: skip
#: What `collect` wants to know of a run beside its rows.
COUNTERS = ("spun", "caught_up", "re_anchored", "dropped", "held")

BLOCKING, ASYNC, POOL = 0, 1, 2
GRID = 1000  # points of a steady window
SETTLING_GRID = 2000  # points of the last phase
RECOVERED = 0.95  # of the achievable
BAND = 0.1  # of the final rate: where a rate has settled


class Frame(NamedTuple):
    """What a scenario comes to for the measures."""

    consumer: int
    handoff: float
    bounded: bool  #: a queue that may hold the producer back
    target: float
    duration: float
    width: float  #: of a bin, s
    bears: float  #: integral of the capacity, calls
    producers: Array  #: rows of (start, end)
    phases: Array  #: rows of (start, end, achievable calls, mean service time and way of an answer, s)
    long: Array  #: of each long phase: start, end, mean of the achievable and of the capacity, 1/s
    rises: Array  #: rows of (edge, next edge, achievable behind it) where the achievable rises
    bins: Array  #: mean of the achievable in each bin, 1/s


class Columns(NamedTuple):
    """The columns of a trace that the measures need."""

    scheduled: Array
    released: Array
    completed: Array
    latency: Array
    rate: Array
    limit: Array
    outcome: NDArray[np.int8]
    producer: NDArray[np.int32]


class Samples(NamedTuple):
    """Room for one run: values to be sorted, padded with inf, and the waves of its steady windows."""

    response: Array
    lag: Array
    lateness: Array
    sizes: Array  #: how many values each of them has; 1 if every rate valve was open
    levels: Array  #: a row a long phase: the commanded rate in its steady window
    waves: Array  #: the same less its mean
    powers: Array  #: sum of squares of each wave; nan if it is constant


class Phase(NamedTuple):
    """What happened in one long phase."""

    start: float
    end: float
    achievable: float  #: 1/s
    capacity: float  #: 1/s
    throughput: float  #: 1/s
    share: float  #: calls completed / achievable calls
    steady_share: float  #: the same in its steady window
    steady_load: float  #: calls completed / capacity in its steady window; 0 if unlimited
    commanded: float  #: mean commanded rate in its steady window, 1/s
    swing: float
    regularity: float
    period: float
    drift: float


SHARE_IN_PHASE, STEADY_IN_PHASE, LOAD_IN_PHASE, COMMANDED_IN_PHASE = 5, 6, 7, 8
SWING_IN_PHASE, REGULARITY_IN_PHASE, PERIOD_IN_PHASE, DRIFT_IN_PHASE = 9, 10, 11, 12
RESPONSE, LAG, LATENESS, OPEN = 0, 1, 2, 3  # in `Samples.sizes`


def limit_commands(columns: Columns, n: int) -> bool:
    """Whether the law leaves the rate valve open and commands by its limit."""
    for i in range(n):
        if columns.rate[i] != math.inf or not columns.limit[i] < math.inf:
            return False
    return n > 0


def command(columns: Columns, n: int, frame: Frame, t: Array, size: int, out: Array) -> None:
    """What the law commands at sorted times t: of each producer the rate of its last release, in sum.

    A rate valve left open commands the target; one that is hidden (foreign code, nan) is replaced by the
    releases of the last second; a law that leaves it open and sets a limit commands that.
    """
    by_limit = limit_commands(columns, n)
    for k in range(size):
        out[k] = 0.0
    for p in range(1 if by_limit else len(frame.producers)):
        start, end = frame.producers[p, 0], frame.producers[p, 1]
        first = -1
        for i in range(n):
            if columns.outcome[i] != REFUSED and (by_limit or columns.producer[i] == p):
                first = i
                break
        if first < 0:
            continue
        hidden = math.isnan(columns.rate[first])
        last, ahead, behind, count = first, first, first, 0.0
        for k in range(size):
            now = t[k]
            while ahead < n and not columns.released[ahead] > now:
                if columns.outcome[ahead] != REFUSED and (by_limit or columns.producer[ahead] == p):
                    last = ahead
                    count += 1.0
                ahead += 1
            if by_limit:
                out[k] = columns.limit[last]
                continue
            if hidden:
                while behind < ahead and not columns.released[behind] > now - 1.0:
                    if columns.outcome[behind] != REFUSED and columns.producer[behind] == p:
                        count -= 1.0
                    behind += 1
            if start <= now < end:
                if hidden:
                    out[k] += count / min(max(now - start, 1.0 / frame.target), 1.0)
                else:
                    out[k] += min(columns.rate[last], frame.target)


def _drift(columns: Columns, n: int, start: float, end: float) -> float:
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


def _fill_phase(
    columns: Columns, n: int, frame: Frame, which: int, held: bool, samples: Samples, row: Array
) -> None:
    """What happened in one long phase, as far as it can be told without the sorted levels and the cycle."""
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
    row[DRIFT_IN_PHASE] = math.nan if limited else _drift(columns, n, middle, end)


def _fill_samples(columns: Columns, n: int, frame: Frame, held: bool, samples: Samples) -> None:
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


def _recovery(columns: Columns, n: int, frame: Frame, times: Array, rates: Array) -> float:
    """The longest time from a rise of the achievable until the commanded rate is near it."""
    longest = math.nan
    if limit_commands(columns, n):
        return longest
    for k in range(len(frame.rises)):
        edge, following, best = frame.rises[k, 0], frame.rises[k, 1], frame.rises[k, 2]
        size = 0
        for i in range(n):
            if edge <= columns.released[i] < following:
                times[size] = columns.released[i]
                size += 1
        command(columns, n, frame, times, size, rates)
        took = math.inf
        for i in range(size):
            if rates[i] >= RECOVERED * best:
                took = times[i] - edge
                break
        longest = took if math.isnan(longest) else max(longest, took)
    return longest


def _regain(columns: Columns, n: int, frame: Frame, times: Array) -> float:
    """The longest time from a rise of the achievable until as good as that completes in a second."""
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
        enough = max(1, math.ceil(RECOVERED * best * width))
        took = math.inf
        for i in range(enough - 1, size):
            if times[i] - times[i - enough + 1] <= width:
                took = times[i] - edge
                break
        longest = took if math.isnan(longest) else max(longest, took)
    return longest


def _stretch(columns: Columns, n: int, frame: Frame) -> float:
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


def _settling(columns: Columns, n: int, frame: Frame, final: float, times: Array, rates: Array) -> float:
    last = len(frame.long) - 1
    start, end = frame.long[last, 0], frame.long[last, 1]
    step = (end - start) / SETTLING_GRID
    for k in range(SETTLING_GRID):
        times[k] = k * step + start
    command(columns, n, frame, times, SETTLING_GRID, rates)
    return signals.settling_time(times, rates, SETTLING_GRID, final, BAND * final)


def collect(
    columns: Columns, n: int, counters: Array, frame: Frame, samples: Samples, phases: Array, out: Array
) -> None:
    """All that can be told of the n rows of a run without sorting or transforming.

    Fills `samples` (to be sorted and transformed), one row of `phases` a long phase, and `out`.
    `counters` are in the order of `COUNTERS`.
    """
    size = max(n, SETTLING_GRID)
    times, rates = np.empty(size), np.empty(size)
    held = counters[4] > 0.0
    _fill_samples(columns, n, frame, held, samples)
    for which in range(len(frame.long)):
        _fill_phase(columns, n, frame, which, held, samples, phases[which])
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

    sent, final, before, variation = 0, 0, math.nan, 0.0
    for p in range(len(frame.producers)):
        before = math.nan
        for i in range(n):
            rate = columns.rate[i]
            if columns.producer[i] == p and columns.outcome[i] != REFUSED and math.isfinite(rate):
                if not math.isnan(before):
                    variation += abs(rate - before)
                before = rate
    for i in range(n):
        if columns.outcome[i] != REFUSED:
            times[sent] = columns.released[i]
            sent += 1
    out[BURST_10MS] = signals.most_in_window(times, sent, 0.01)
    out[BURST_100MS] = signals.most_in_window(times, sent, 0.1)
    for i in range(sent):
        if last[0] <= times[i] < last[1]:
            times[final] = times[i]
            final += 1
    second = min(1.0, last[1] - last[0])
    peak = signals.most_in_window(times, final, second) / second

    bins = len(frame.bins)
    for k in range(bins):
        rates[k] = 0.0
    for i in range(n):
        if columns.outcome[i] == OK and columns.completed[i] <= bins * frame.width:
            k = min(int(columns.completed[i] / frame.width), bins - 1)
            while k > 0 and columns.completed[i] < k * frame.width:
                k -= 1
            while k < bins - 1 and columns.completed[i] >= (k + 1) * frame.width:
                k += 1
            rates[k] += 1.0
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
    out[SETTLING_TIME] = _settling(columns, n, frame, last[COMMANDED_IN_PHASE], times, rates)
    out[RECOVERY_TIME] = math.nan if held else _recovery(columns, n, frame, times, rates)
    out[TOTAL_VARIATION] = variation / frame.duration
    out[IAE] = iae
    out[ITAE] = itae
    out[DRIFT] = last[DRIFT_IN_PHASE]
    out[SPIN_CPU] = counters[0] / frame.duration
    out[ERRORS] = 1.0 - done / sent if sent > 0 else math.nan
    out[REFUSED_CALLS] = float(n - sent)
    out[HELD] = counters[4]
    out[CAUGHT_UP] = counters[1]
    out[RE_ANCHORED] = counters[2]
    out[DROPPED] = counters[3]
    out[STRETCH] = _stretch(columns, n, frame)
    out[REGAIN_TIME] = _regain(columns, n, frame, times)
    out[FAIRNESS] = math.nan
    out[TIME_TO_FAIRNESS] = math.nan


def conclude(samples: Samples, acfs: Array, phases: Array, out: Array) -> None:
    """What was still to come, for many runs: `samples` are sorted now, `acfs` are those of their waves."""
    for run in range(len(out)):
        _conclude(one_of(samples, run), acfs[run], phases[run], out[run])


def one_of(samples: Samples, run: int) -> Samples:
    """The samples of one of many runs."""
    return Samples(
        samples.response[run],
        samples.lag[run],
        samples.lateness[run],
        samples.sizes[run],
        samples.levels[run],
        samples.waves[run],
        samples.powers[run],
    )


def _conclude(samples: Samples, acfs: Array, phases: Array, out: Array) -> None:
    widest = 0
    for which in range(len(phases)):
        row, levels = phases[which], samples.levels[which]
        spread = signals.quantile(levels, GRID, 0.95) - signals.quantile(levels, GRID, 0.05)
        row[SWING_IN_PHASE] = spread / row[COMMANDED_IN_PHASE] if row[COMMANDED_IN_PHASE] > 0.0 else 0.0
        cycle = signals.cycle(acfs[which])
        row[REGULARITY_IN_PHASE] = cycle.oscillation
        step = (row[1] - (row[0] + row[1]) / 2.0) / GRID
        row[PERIOD_IN_PHASE] = cycle.period * step if signals.is_regular(cycle) else math.nan
        if not row[2] > 0.0:  # a service that stands still: whatever is commanded, nothing comes of it
            row[SWING_IN_PHASE], row[PERIOD_IN_PHASE] = 0.0, math.nan
        if row[SWING_IN_PHASE] > phases[widest, SWING_IN_PHASE]:
            widest = which
    out[SWING] = phases[widest, SWING_IN_PHASE]
    out[REGULARITY] = phases[widest, REGULARITY_IN_PHASE]
    out[PERIOD] = phases[widest, PERIOD_IN_PHASE]
    responses, lags = int(samples.sizes[RESPONSE]), int(samples.sizes[LAG])
    free = int(samples.sizes[LATENESS])
    out[RESPONSE_P50] = signals.quantile(samples.response, responses, 0.5)
    out[RESPONSE_P99] = signals.quantile(samples.response, responses, 0.99)
    out[RESPONSE_P999] = signals.quantile(samples.response, responses, 0.999)
    out[LAG_P99] = signals.quantile(samples.lag, lags, 0.99)
    out[LAG_MAX] = samples.lag[lags - 1] if lags > 0 else math.nan
    out[LATENESS_P50] = signals.quantile(samples.lateness, free, 0.5)
    out[LATENESS_P99] = signals.quantile(samples.lateness, free, 0.99)
