"""The half of `headroom` for calls that overlap: how many may be in flight. Pure, and plain
arithmetic.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from tpssim.core.types import Observation, ceiled, floored, record

TRIPS, SAMPLES = 3.0, 16.0  # latencies without queue and successes: what a window lasts at least
FEW = 4.0  # successes of the first window
UP, DOWN = 0.2, 0.7  # gains of the queue's error
MOST_UP, MOST_DOWN = 0.1, 0.5  # of the window in one step
PROBE = 0.7  # of the window, while it is probed
ELASTIC = (
    0.5  # d ln throughput / d ln window above which fewer calls mean less work done, not less queue
)
SHOWS = 0.75  # of the calls in flight: a cut to that shows in what is done, if it cut no queue
PROMPT = 2.0  # x the latency without queue: a refusal that took no longer is for want of a place
JUMP = 2.0  # x the wanted queue: probed at once
AGAIN = 10.0  # windows between two such probes
MET = 0.98  # of the wanted rate: that is what is wanted
LEAST_OPEN, OPEN = (
    64.0,
    2.0,
)  # the limit before the first congestion: at least, and x the most in use
FADED = 0.98  # of the most in flight among which one was served, a window later
FORGET = 0.9  # of the most in use, a window later


@record
class Flight(NamedTuple):
    """What the law remembers of calls in flight; the fields of `HeadroomState` of the same
    names.
    """

    begun: float
    good: float
    total: float
    squares: float
    peak: float
    used: float
    borne: float
    base: float
    window: float
    settled: float
    probing: float
    probed: float
    flow: float
    cut_from: float


@record
class Tuning(NamedTuple):
    """The parameters of the law that matter here."""

    queue: float
    slack: float
    probe_every: float


def opened(now: float) -> Flight:
    """Nothing known, and a window that begins."""
    return Flight(
        begun=now,
        good=0.0,
        total=0.0,
        squares=0.0,
        peak=0.0,
        used=0.0,
        borne=0.0,
        base=math.nan,
        window=math.inf,
        settled=-math.inf,
        probing=0.0,
        probed=math.inf,
        flow=math.nan,
        cut_from=0.0,
    )


def crowded(flight: Flight, obs: Observation) -> bool:
    """Whether the call was refused for want of a place: at once, among more than any lately served.

    >>> flight = opened(0.0)._replace(borne=20.0, base=0.1)
    >>> refused = Observation(1.0, 100.0, 0.1, 0.0, errors=1.0, in_flight=22.0, drops=1.0)
    >>> crowded(flight, refused), crowded(flight, refused._replace(in_flight=20.0))
    (True, False)
    """
    if not (obs.drops > 0.0 and obs.latency <= PROMPT * flight.base):
        return False
    full = obs.in_flight >= floored(flight.window) and obs.now - obs.latency >= flight.settled
    return full or obs.in_flight > ceiled(flight.borne)


def tallied(flight: Flight, obs: Observation, timed: bool, crowd: bool) -> Flight:
    """The window with one more piece of news."""
    good, total, squares, borne = flight.good, flight.total, flight.squares, flight.borne
    window, settled, cut_from = flight.window, flight.settled, flight.cut_from
    if timed:
        latency = min(obs.latency, 1e100)
        good += obs.count
        total += obs.count * latency
        squares += obs.count * latency * latency
        borne = max(borne, obs.in_flight)
    elif crowd and obs.in_flight <= window + 1.0:
        window = max(1.0, min(window, obs.in_flight - 1.0))
        cut_from, settled = 0.0, obs.now + obs.latency
    return Flight(
        begun=flight.begun,
        good=good,
        total=total,
        squares=squares,
        peak=max(flight.peak, obs.peak),
        used=flight.used,
        borne=borne,
        base=flight.base,
        window=window,
        settled=settled,
        probing=flight.probing,
        probed=flight.probed,
        flow=flight.flow,
        cut_from=cut_from,
    )


def is_over(flight: Flight, now: float) -> bool:
    """Whether the window ends with the completion at `now`."""
    span = now - flight.begun
    if not span > 0.0:
        return False
    if math.isnan(flight.base):
        return flight.good >= FEW
    return flight.good >= SAMPLES and span >= TRIPS * flight.base


def closed(flight: Flight, now: float, target: float, full: bool, tuning: Tuning) -> Flight:
    """What the window says, and a new one. `full`: the limit was reached in it."""
    base, window, settled = flight.base, flight.window, flight.settled
    probing, probed, flow, cut_from = (
        flight.probing,
        flight.probed + 1.0,
        flight.flow,
        flight.cut_from,
    )
    delivered = max(1e-100, min(flight.good / (now - flight.begun), 1e100))
    latency = latency_of(flight)
    if flight.begun < settled or not latency > 0.0:
        pass  # calls of before the last step are among its completions
    else:
        held = min(window, delivered * latency)
        doubt = 2.0 * standard_error(flight)
        base = latency if math.isnan(base) else min(base, latency + doubt)
        if probing > 0.0:
            elasticity = elasticity_of(delivered, flow, PROBE, 1.0)
            cut_from, probing, probed, settled = 0.0, 0.0, 0.0, now + latency
            if elasticity > ELASTIC:
                base = latency  # less was done, so nothing waited
            elif elasticity < 0.5 * ELASTIC:
                window = max(
                    1.0, PROBE * window
                )  # as much was done with fewer: that is better, and again
                probed = tuning.probe_every - AGAIN
        elif (
            is_probe(window, cut_from)
            and elasticity_of(delivered, flow, window, cut_from) > ELASTIC
        ):
            base, window, cut_from, settled = latency, cut_from, 0.0, now + latency  # it was none
        else:
            cut_from = 0.0 if is_probe(window, cut_from) else cut_from
            flow = delivered if math.isnan(flow) else flow + 0.3 * (delivered - flow)
            queued = held * max(0.0, 1.0 - base / latency)
            wanted = tuning.queue + tuning.slack * held
            if window == math.inf:
                # Beyond doubt, and with less done than is wanted: a limit that is not needed does
                # harm.
                sure = held * (1.0 - base / max(latency - 2.0 * doubt, base))
                if sure > wanted and (delivered < MET * target or sure > JUMP * wanted):
                    window, flow, settled = max(1.0, held), delivered, now + latency
            elif full and probed >= (AGAIN if queued > JUMP * wanted else tuning.probe_every):
                probing, settled = 1.0, now + latency
            elif queued > wanted:
                cut_from = window if cut_from == 0.0 else cut_from
                window = max(1.0, window - min(DOWN * (queued - wanted), MOST_DOWN * window))
                settled = now + latency
            elif full:
                cut_from = 0.0
                window = window + min(UP * (wanted - queued), MOST_UP * window)
        base = min(base, 1e100)
    used = max(flight.peak, FORGET * flight.used)
    return Flight(
        begun=now,
        good=0.0,
        total=0.0,
        squares=0.0,
        peak=0.0,
        used=used,
        borne=FADED * flight.borne,
        base=base,
        window=window,
        settled=settled,
        probing=probing,
        probed=probed,
        flow=flow,
        cut_from=cut_from,
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
    return before > 0.0 and floored(window) <= SHOWS * floored(before)


def latency_of(flight: Flight) -> float:
    """The mean latency of the window's successes, s; 0 if there are none."""
    return flight.total / flight.good if flight.good > 0.0 else 0.0


def standard_error(flight: Flight) -> float:
    """Of that mean, if the latencies were independent, s."""
    mean = latency_of(flight)
    return math.sqrt(max(flight.squares / flight.good - mean * mean, 0.0) / flight.good)


def limit_of(window: float, used: float, most: float) -> float:
    """The limit for a window; before the first congestion (inf) twice the most in use, and 64 at
    least.

    >>> limit_of(7.9, 5.0, 1e4), limit_of(math.inf, 5.0, 1e4), limit_of(math.inf, 100.0, 1e4)
    (7.0, 64.0, 200.0)
    """
    wanted = max(LEAST_OPEN, OPEN * used) if window == math.inf else floored(min(window, most))
    return max(1.0, min(wanted, floored(most)))
