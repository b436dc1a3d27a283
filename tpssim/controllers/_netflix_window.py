"""The window that Netflix's laws may look through: many samples become one. It lives in the law's
memory.

Source: Netflix/concurrency-limits, `WindowedLimit` with its average and percentile windows
(Apache-2.0).
"""

from __future__ import annotations

import math
from array import array
from typing import NamedTuple

from tpssim.controllers._nanoseconds import nanoseconds
from tpssim.core.types import Observation, floored, record
from tpssim.core.window import ranked

#: Places of the accumulators in a law's memory; the round-trip times that are kept for a percentile
#: follow.
BEGUN, UNTIL, SAMPLES, TOTAL, LEAST, MOST, DROPPED, TIMES = range(8)


@record
class Sample(NamedTuple):
    """What a law sees: one round trip, or a window of them."""

    given: float  #: 1, or 0 if the window goes on or had too few
    rtt: float  #: ns
    in_flight: float
    dropped: float  #: 1 if any call was dropped


def window_memory(size: float, kept: float) -> int:
    """How many floats a window of that many samples needs, `kept` of them (0: all) for a
    percentile.
    """
    return TIMES + int(kept if kept >= 1.0 else size)


def sampled(
    memory: array[float],
    obs: Observation,
    window: float,
    longest: float,
    size: float,
    percentile: float,
    shortest: float,
    kept: float,
) -> Sample:
    """What a law sees of an observation, through the window that it may have.

    A call that failed without being dropped, and a local refusal, are not seen: Netflix's
    `onIgnore`.
    """
    if obs.count < 1.0 or obs.errors - obs.drops >= obs.count or math.isnan(obs.latency):
        return Sample(given=0.0, rtt=0.0, in_flight=0.0, dropped=0.0)
    sample = Sample(
        given=1.0,
        rtt=nanoseconds(obs.latency),
        in_flight=obs.in_flight,
        dropped=1.0 if obs.drops > 0.0 else 0.0,
    )
    return through_window(
        memory, obs.now, sample, window, longest, size, percentile, shortest, kept
    )


def through_window(
    memory: array[float],
    now: float,
    sample: Sample,
    window: float,
    longest: float,
    size: float,
    percentile: float,
    shortest: float,
    kept: float,
) -> Sample:
    """The sample as it is without a window (0 s); else the window that it ends, if that has enough
    in it.

    A window ends with the first completion after `until`; the next lasts 2 x the least round trip
    of this one, `window` s or more, `longest` s at most. The very first sample is a window of its
    own, and too few. For a percentile only the first `kept` count (0: `size`); later ones, drops
    too, are not seen.
    """
    if not window > 0.0:
        return sample
    if sample.rtt < nanoseconds(shortest):
        return Sample(given=0.0, rtt=sample.rtt, in_flight=sample.in_flight, dropped=sample.dropped)
    places = kept if kept >= 1.0 else size
    if percentile == 0.0 or memory[SAMPLES] + 1.0 <= places:
        if memory[SAMPLES] == 0.0:
            memory[LEAST] = sample.rtt
        if percentile > 0.0:
            memory[TIMES + int(memory[SAMPLES])] = sample.rtt
        memory[SAMPLES] += 1.0
        memory[TOTAL] += sample.rtt
        memory[LEAST] = min(memory[LEAST], sample.rtt)
        memory[MOST] = max(memory[MOST], sample.in_flight)
        memory[DROPPED] = max(memory[DROPPED], sample.dropped)
    end = nanoseconds(now)
    if memory[BEGUN] > 0.0 and end <= memory[UNTIL]:
        return Sample(given=0.0, rtt=sample.rtt, in_flight=sample.in_flight, dropped=sample.dropped)
    samples = memory[SAMPLES]
    rtt = floored(memory[TOTAL] / samples)
    if percentile > 0.0:
        rtt = percentile_of(memory, percentile)
    found = Sample(
        given=1.0 if samples >= size else 0.0,
        rtt=rtt,
        in_flight=memory[MOST],
        dropped=memory[DROPPED],
    )
    length = min(max(2.0 * memory[LEAST], nanoseconds(window)), nanoseconds(longest))
    memory[BEGUN], memory[UNTIL] = 1.0, end + length
    for place in range(SAMPLES, TIMES):
        memory[place] = 0.0
    return found


def percentile_of(memory: array[float], percentile: float) -> float:
    """The kept round trip of rank `round(n p)`, halves up (1: the least), ns."""
    kept = int(memory[SAMPLES])
    rank = min(max(int(kept * percentile + 0.5) - 1, 0), kept - 1)
    times = memory[TIMES : TIMES + kept]
    return ranked(times, kept, rank)
