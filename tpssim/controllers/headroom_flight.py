"""The half of `headroom` for calls that overlap: how many may be in flight. Pure, and plain arithmetic."""

from __future__ import annotations

import math
from typing import NamedTuple

from tpssim.core import Observation

PERIOD, SAMPLES = 0.1, 16.0  # s and completions: what a window lasts at least
LONG, FEW = 1.0, 4.0  # s and completions: with these it ends too
UP, DOWN = 0.2, 0.7  # gains of the queue's error
MOST_UP, MOST_DOWN = 0.1, 0.5  # of the window in one step
PROBE = 0.7  # of the window, while it is probed
ELASTIC = 0.5  # d ln throughput / d ln window above which fewer calls mean less work done, not less queue
SHOWS = 0.75  # of the calls in flight: a cut to that shows in what is done, if it cut no queue
JUMP = 2.0  # x the wanted queue: probed at once
AGAIN = 1.0  # s between two such probes
MET = 0.98  # of the wanted rate: that is what is wanted
LOST = 0.02  # share of refused calls that is no accident
NEAR = 1.1  # x what was not refused: refused there again
OUTAGE = 0.7  # cut of a window without any success
CALM = 1.0  # s after a cut in which nothing is cut again
LEAST_OPEN, OPEN = 64.0, 2.0  # the limit before the first congestion: at least, and x the most in use
FORGET = 0.9  # of the most in use, a window later


class Flight(NamedTuple):
    """What the law remembers of calls in flight; the fields of `HeadroomState` of the same names."""

    begun: float
    done: float
    good: float
    drops: float
    total: float
    squares: float
    peak: float
    used: float
    base: float
    window: float
    clean: float
    cut_at: float
    settled: float
    probing: float
    probed: float
    flow: float
    cut_from: float


class Tuning(NamedTuple):
    """The parameters of the law that matter here."""

    queue: float
    slack: float
    cut: float
    scale: float
    probe_every: float


def opened(now: float) -> Flight:
    """Nothing known, and a window that begins."""
    nan, inf = math.nan, math.inf
    return Flight(now, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, nan, inf, inf, -inf, -inf, 0.0, -inf, nan, 0.0)


def tallied(flight: Flight, obs: Observation, timed: bool) -> Flight:
    """The window with one more piece of news."""
    good, total, squares = flight.good, flight.total, flight.squares
    if timed:
        latency = min(obs.latency, 1e100)
        good += obs.count
        total += obs.count * latency
        squares += obs.count * latency * latency
    return Flight(
        flight.begun,
        flight.done + obs.count,
        good,
        flight.drops + obs.drops,
        total,
        squares,
        max(flight.peak, obs.peak),
        flight.used,
        flight.base,
        flight.window,
        flight.clean,
        flight.cut_at,
        flight.settled,
        flight.probing,
        flight.probed,
        flight.flow,
        flight.cut_from,
    )


def is_over(flight: Flight, now: float) -> bool:
    """Whether the window ends with the completion at `now`."""
    span = now - flight.begun
    if span < PERIOD:
        return False
    return flight.done >= SAMPLES or (span >= LONG and flight.done >= FEW)


def closed(flight: Flight, now: float, target: float, full: bool, tuning: Tuning) -> Flight:
    """What the window says, and a new one. `full`: the limit was reached in it."""
    base, window, clean, cut_at = flight.base, flight.window, flight.clean, flight.cut_at
    settled, probing, probed, flow = flight.settled, flight.probing, flight.probed, flight.flow
    cut_from = flight.cut_from
    delivered = flight.good / (now - flight.begun)
    latency = latency_of(flight)
    if flight.begun < settled:
        pass  # calls of before the last step are among its completions
    elif flight.drops > LOST * flight.done:
        before = min(window, flight.peak)
        if latency > 0.0:
            clean = max(1.0, converged(clean, before, tuning.cut))
            kept = max(1.0, min(clean, before))
            window = by_a_call(tuning.cut, kept) * kept
        else:  # an outage says nothing of what the service bears when it is back
            clean = max(1.0, before) if clean == math.inf else clean
            window = min(window, max(1.0, OUTAGE * before))
        cut_at, probing, cut_from = now, 0.0, 0.0
        settled = now + max(CALM, latency)
    elif latency > 0.0:
        held = min(window, delivered * latency)
        doubt = 2.0 * standard_error(flight)
        base = latency if math.isnan(base) else min(base, latency + doubt)
        if probing > 0.0:
            elasticity = elasticity_of(delivered, flow, PROBE, 1.0)
            cut_from, probing, probed, settled = 0.0, 0.0, now, now + latency
            if elasticity > ELASTIC:
                base = latency  # less was done, so nothing waited
            elif elasticity < 0.5 * ELASTIC:
                clean = marked(clean, window)
                window = max(1.0, PROBE * window)  # as much was done with fewer: that is better, and again
                probed = now - tuning.probe_every + AGAIN
        elif is_probe(window, cut_from) and elasticity_of(delivered, flow, window, cut_from) > ELASTIC:
            base, window, cut_from, settled = latency, cut_from, 0.0, now + latency  # it was none
        else:
            cut_from = 0.0 if is_probe(window, cut_from) else cut_from
            flow = delivered if math.isnan(flow) else flow + 0.3 * (delivered - flow)
            queued = held * max(0.0, 1.0 - base / latency)
            wanted = tuning.queue + tuning.slack * held
            if window == math.inf:
                # Beyond doubt, and with less done than is wanted: a limit that is not needed does harm.
                sure = held * (1.0 - base / max(latency - doubt, base))
                if sure > wanted and (delivered < MET * target or sure > JUMP * wanted):
                    window, flow, settled = max(1.0, held), delivered, now + latency
            elif full and now - probed >= (AGAIN if queued > JUMP * wanted else tuning.probe_every):
                probing, settled = 1.0, now + latency
            elif queued > wanted:
                clean = marked(clean, window)  # a queue, not a refusal, says how many are enough
                cut_from = window if cut_from == 0.0 else cut_from
                window = max(1.0, window - min(DOWN * (queued - wanted), MOST_DOWN * window))
                settled = now + latency
            elif full:
                cut_from = 0.0
                step = min(UP * (wanted - queued), MOST_UP * window)
                if window < 0.9 * by_a_call(tuning.cut, clean) * clean < math.inf:
                    step = window  # the way back from an outage, doubled as in a slow start
                if cut_at > -math.inf:
                    cut = by_a_call(tuning.cut, clean)
                    allowed = cubic(clean, now - cut_at, cut, tuning.scale)
                    step = max(0.0, min(step, allowed - window))
                    clean = max(clean, held)
                window = window + step
        base = min(base, 1e100)
    used = max(flight.peak, FORGET * flight.used)
    return Flight(
        now,
        0.0,
        0.0,
        0.0,
        0.0,
        0.0,
        0.0,
        used,
        base,
        window,
        clean,
        cut_at,
        settled,
        probing,
        probed,
        flow,
        cut_from,
    )


def elasticity_of(delivered: float, flow: float, window: float, before: float) -> float:
    """d ln throughput / d ln window, between what is done now and what was done with `before`.

    >>> round(elasticity_of(50.0, 75.0, 2.0, 3.0), 3)
    1.0
    """
    return math.log(delivered / flow) / math.log(window / before)


def is_probe(window: float, before: float) -> bool:
    """Whether calls in flight were cut by so much since `before` (0: they were not) that it shows.

    >>> is_probe(3.9, 5.2), is_probe(4.1, 5.2), is_probe(3.9, 0.0)
    (True, False, False)
    """
    return before > 0.0 and math.floor(window) <= SHOWS * math.floor(before)


def latency_of(flight: Flight) -> float:
    """The mean latency of the window's successes, s; 0 if there are none."""
    return flight.total / flight.good if flight.good > 0.0 else 0.0


def standard_error(flight: Flight) -> float:
    """Of that mean, if the latencies were independent, s."""
    mean = latency_of(flight)
    return math.sqrt(max(flight.squares / flight.good - mean * mean, 0.0) / flight.good)


def converged(clean: float, before: float, cut: float) -> float:
    """What is taken for not refused, after a refusal at `before`: less than it was if it was refused again.

    The second time near the same mark half of the cut comes off the mark itself (fast convergence, RFC 9438);
    far below it, where an outage may have led, the mark falls by no more than a half.

    >>> converged(math.inf, 20.0, 0.9), converged(20.0, 21.0, 0.9), converged(20.0, 30.0, 0.9)
    (20.0, 19.0, 20.0)
    >>> converged(20.0, 2.0, 0.9)
    10.0
    """
    if clean < math.inf and before <= NEAR * clean:
        return max(0.5 * clean, min(clean, before) * (1.0 + cut) / 2.0)
    return min(clean, before)


def marked(clean: float, window: float) -> float:
    """The mark of the cubic where a queue has shown that fewer are enough; inf if nothing was refused yet.

    >>> marked(math.inf, 5.0), marked(20.0, 5.0)
    (inf, 5.0)
    """
    return clean if clean == math.inf else max(1.0, min(clean, window))


def by_a_call(cut: float, clean: float) -> float:
    """A cut of calls in flight: by one at least, but to no less than a half.

    >>> by_a_call(0.9, 20.0), by_a_call(0.9, 4.0), by_a_call(0.9, 1.0)
    (0.9, 0.75, 0.5)
    """
    return max(0.5, min(cut, 1.0 - 1.0 / clean))


def cubic(clean: float, since: float, cut: float, scale: float) -> float:
    """`clean (1 + ((since - K) / scale)^3)` with `K = scale (1 - cut)^(1/3)`: begins at `cut * clean`.

    >>> round(cubic(100.0, 0.0, 0.875, 4.0), 9), cubic(100.0, 2.0, 0.875, 4.0)
    (87.5, 100.0)
    """
    lag: float = scale * (1.0 - cut) ** (1.0 / 3.0)
    x = (min(since, 1e9 * scale) - lag) / scale
    return clean * (1.0 + x * x * x)


def limit_of(window: float, used: float, most: float) -> float:
    """The limit for a window; before the first congestion (inf) twice the most in use, and 64 at least.

    >>> limit_of(7.9, 5.0, 1e4), limit_of(math.inf, 5.0, 1e4), limit_of(math.inf, 100.0, 1e4)
    (7.0, 64.0, 200.0)
    """
    wanted = max(LEAST_OPEN, OPEN * used) if window == math.inf else float(math.floor(min(window, most)))
    return max(1.0, min(wanted, float(math.floor(most))))
