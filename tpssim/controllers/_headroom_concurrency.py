"""The half of `headroom` for calls that overlap: how many may be in flight. Pure, and plain
arithmetic.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from tpssim.core.types import Observation, ceiled, floored, record

TRIPS = 3.0  # latencies without queue that a window lasts at least
SAMPLES = 16.0  # successes of a window, at least
FEW = 4.0  # successes of the first window
UP, DOWN = 0.2, 0.7  # gains of the queue's error
MOST_UP, MOST_DOWN = 0.1, 0.5  # of the calls allowed, in one step
PROBE = 0.7  # of the calls allowed, while it is probed
#: d ln throughput / d ln calls above which fewer calls mean less work done, not less queue
ELASTIC = 0.5
SHOWS = 0.75  # of the calls in flight: a cut to that shows in what is done, if it cut no queue
PROMPT = 2.0  # x the latency without queue: a refusal that took no longer is for want of a place
JUMP = 2.0  # x the wanted queue: probed at once
AGAIN = 10.0  # windows between two such probes
MET = 0.98  # of the target: that is what is wanted
LEAST_OPEN = 64.0  # the limit before the first congestion, at least
OPEN = 2.0  # x the most in use: the limit before the first congestion
FADED = 0.98  # of the most in flight among which one was served, a window later
MOST_BASE = 1e100  # s: no latency without queue is more
FORGET = 0.9  # of the most in use, a window later


@record
class Tally(NamedTuple):
    """What completed in a window so far."""

    begun: float  #: s
    good: float  #: successes
    total: float  #: their latencies, s
    squares: float  #: and squares of them, s^2
    peak: float  #: most in flight


@record
class Allowance(NamedTuple):
    """How many calls may be in flight, and why."""

    calls: float  #: inf before the first congestion
    base: float  #: latency without queue, s; nan before the first window
    settled: float  #: when the calls of before the last step have ended, s
    probing: float  #: 1 while fewer are allowed, to see whether fewer complete
    probed: float  #: windows since the last probe; inf before the first
    flow: float  #: completions a second, smoothed; nan before
    cut_from: float  #: `calls` before it was cut for a queue; 0 once that has been judged


@record
class Flight(NamedTuple):
    """What the law remembers of calls in flight."""

    tally: Tally
    allowance: Allowance
    used: float  #: most in flight lately
    proven: float  #: most in flight lately among which one was served


@record
class Tuning(NamedTuple):
    """The parameters of the law that matter here."""

    queue: float
    slack: float
    probe_every: float


@record
class Measured(NamedTuple):
    """What a window of completions says."""

    now: float  #: its end, s
    delivered: float  #: successes a second
    latency: float  #: their mean, s; 0 if there are none
    doubt: float  #: two standard errors of it, s; 0 if there are none


def opened(now: float) -> Flight:
    """Nothing known, and a window that begins."""
    allowance = Allowance(
        calls=math.inf,
        base=math.nan,
        settled=-math.inf,
        probing=0.0,
        probed=math.inf,
        flow=math.nan,
        cut_from=0.0,
    )
    return Flight(tally=begun(now), allowance=allowance, used=0.0, proven=0.0)


def begun(now: float) -> Tally:
    """A window that begins."""
    return Tally(begun=now, good=0.0, total=0.0, squares=0.0, peak=0.0)


def crowded(flight: Flight, obs: Observation) -> bool:
    """Whether the call was refused for want of a place: at once, among more than any lately served.

    >>> flight = opened(0.0)
    >>> flight = flight._replace(proven=20.0, allowance=flight.allowance._replace(base=0.1))
    >>> refused = Observation(1.0, 100.0, 0.1, 0.0, errors=1.0, in_flight=22.0, drops=1.0)
    >>> crowded(flight, refused), crowded(flight, refused._replace(in_flight=20.0))
    (True, False)
    """
    allowance = flight.allowance
    if not (obs.drops > 0.0 and obs.latency <= PROMPT * allowance.base):
        return False
    full = obs.in_flight >= floored(allowance.calls) and obs.now - obs.latency >= allowance.settled
    return full or obs.in_flight > ceiled(flight.proven)


def tallied(flight: Flight, obs: Observation, timed: bool, crowd: bool) -> Flight:
    """The window with one more observation. `timed`: it has a latency; `crowd`: see `crowded`."""
    tally, allowance, proven = flight.tally, flight.allowance, flight.proven
    good, total, squares = tally.good, tally.total, tally.squares
    if timed:
        latency = min(obs.latency, 1e100)
        good += obs.count
        total += obs.count * latency
        squares += obs.count * latency * latency
        proven = max(proven, obs.in_flight)
    elif crowd and obs.in_flight <= allowance.calls + 1.0:
        allowance = Allowance(
            calls=max(1.0, min(allowance.calls, obs.in_flight - 1.0)),
            base=allowance.base,
            settled=obs.now + obs.latency,
            probing=allowance.probing,
            probed=allowance.probed,
            flow=allowance.flow,
            cut_from=0.0,
        )
    peak = max(tally.peak, obs.peak)
    return Flight(
        tally=Tally(begun=tally.begun, good=good, total=total, squares=squares, peak=peak),
        allowance=allowance,
        used=flight.used,
        proven=proven,
    )


def is_over(flight: Flight, now: float) -> bool:
    """Whether the window ends with the completion at `now`."""
    good, base = flight.tally.good, flight.allowance.base
    span = now - flight.tally.begun
    if not span > 0.0:
        return False
    if math.isnan(base):
        return good >= FEW
    return good >= SAMPLES and span >= TRIPS * base


def closed(flight: Flight, now: float, target: float, full: bool, tuning: Tuning) -> Flight:
    """What follows from the window, and a new one. `full`: the limit was reached in it."""
    tally = flight.tally
    latency = latency_of(tally)
    found = Measured(
        now=now,
        delivered=max(1e-100, min(tally.good / (now - tally.begun), 1e100)),
        latency=latency,
        doubt=2.0 * standard_error(tally) if latency > 0.0 else 0.0,
    )
    # Else calls of before the last step are among its completions.
    usable = latency > 0.0 and not tally.begun < flight.allowance.settled
    allowance = based(flight.allowance, found, usable)
    if usable:
        if allowance.probing > 0.0:
            allowance = after_probe(allowance, found, tuning)
        elif was_no_queue(allowance, found):
            allowance = uncut(allowance, found)
        elif allowance.calls == math.inf:
            allowance = first_limited(allowance, found, target, tuning)
        else:
            allowance = stepped(allowance, found, full, tuning)
    return Flight(
        tally=begun(now),
        allowance=allowance,
        used=max(tally.peak, FORGET * flight.used),
        proven=FADED * flight.proven,
    )


def based(old: Allowance, found: Measured, usable: bool) -> Allowance:
    """A window later, and with the latency without queue that its latencies allow."""
    base = old.base
    if usable:
        base = found.latency if math.isnan(base) else min(base, found.latency + found.doubt)
    return Allowance(
        calls=old.calls,
        base=base,
        settled=old.settled,
        probing=old.probing,
        probed=old.probed + 1.0,
        flow=old.flow,
        cut_from=old.cut_from,
    )


def after_probe(old: Allowance, found: Measured, tuning: Tuning) -> Allowance:
    """What a window with fewer calls allowed has shown."""
    calls, base, probed = old.calls, old.base, 0.0
    elasticity = elasticity_of(found.delivered, old.flow, PROBE, 1.0)
    if elasticity > ELASTIC:
        base = found.latency  # less was done, so nothing waited
    elif elasticity < 0.5 * ELASTIC:
        # As much was done with fewer: that is better, and is tried again.
        calls = max(1.0, PROBE * calls)
        probed = tuning.probe_every - AGAIN
    return Allowance(
        calls=calls,
        base=min(base, MOST_BASE),
        settled=found.now + found.latency,
        probing=0.0,
        probed=probed,
        flow=old.flow,
        cut_from=0.0,
    )


def was_no_queue(old: Allowance, found: Measured) -> bool:
    """Whether less was done since calls were cut, so that what was cut had not waited."""
    if not is_probe(old.calls, old.cut_from):
        return False
    return elasticity_of(found.delivered, old.flow, old.calls, old.cut_from) > ELASTIC


def uncut(old: Allowance, found: Measured) -> Allowance:
    """A cut that cut no queue is taken back: the latency is the one without queue now."""
    return Allowance(
        calls=old.cut_from,
        base=min(found.latency, MOST_BASE),
        settled=found.now + found.latency,
        probing=old.probing,
        probed=old.probed,
        flow=old.flow,
        cut_from=0.0,
    )


def first_limited(old: Allowance, found: Measured, target: float, tuning: Tuning) -> Allowance:
    """Before the first congestion: the first limit, if there is a queue beyond doubt and less is
    done than is wanted. A limit that is not needed does harm.
    """
    calls, settled, flow = old.calls, old.settled, smoothed_flow(old.flow, found.delivered)
    held = found.delivered * found.latency
    sure = held * (1.0 - old.base / max(found.latency - 2.0 * found.doubt, old.base))
    wanted = tuning.queue + tuning.slack * held
    if sure > wanted and (found.delivered < MET * target or sure > JUMP * wanted):
        calls, settled, flow = max(1.0, held), found.now + found.latency, found.delivered
    return Allowance(
        calls=calls,
        base=min(old.base, MOST_BASE),
        settled=settled,
        probing=old.probing,
        probed=old.probed,
        flow=flow,
        cut_from=0.0,
    )


def stepped(old: Allowance, found: Measured, full: bool, tuning: Tuning) -> Allowance:
    """A step towards the wanted queue, or the begin of a probe."""
    calls, settled, probing = old.calls, old.settled, old.probing
    cut_from = 0.0 if is_probe(calls, old.cut_from) else old.cut_from
    held = min(calls, found.delivered * found.latency)
    queued = held * max(0.0, 1.0 - old.base / found.latency)
    wanted = tuning.queue + tuning.slack * held
    if full and old.probed >= (AGAIN if queued > JUMP * wanted else tuning.probe_every):
        probing, settled = 1.0, found.now + found.latency
    elif queued > wanted:
        cut_from = calls if cut_from == 0.0 else cut_from
        calls = max(1.0, calls - min(DOWN * (queued - wanted), MOST_DOWN * calls))
        settled = found.now + found.latency
    elif full:
        cut_from = 0.0
        calls = calls + min(UP * (wanted - queued), MOST_UP * calls)
    return Allowance(
        calls=calls,
        base=min(old.base, MOST_BASE),
        settled=settled,
        probing=probing,
        probed=old.probed,
        flow=smoothed_flow(old.flow, found.delivered),
        cut_from=cut_from,
    )


def smoothed_flow(flow: float, delivered: float) -> float:
    """The smoothed throughput with one window more.

    >>> smoothed_flow(math.nan, 10.0), smoothed_flow(10.0, 20.0)
    (10.0, 13.0)
    """
    return delivered if math.isnan(flow) else flow + 0.3 * (delivered - flow)


def elasticity_of(delivered: float, flow: float, calls: float, before: float) -> float:
    """d ln throughput / d ln calls, between what is done now and what was done with `before`.

    >>> round(elasticity_of(50.0, 75.0, 2.0, 3.0), 3)
    1.0
    """
    return math.log(delivered / flow) / math.log(calls / before)


def is_probe(calls: float, before: float) -> bool:
    """Whether calls in flight were cut by so much since `before` (0: they were not) that it shows.

    >>> is_probe(3.9, 5.2), is_probe(4.1, 5.2), is_probe(3.9, 0.0)
    (True, False, False)
    """
    return before > 0.0 and floored(calls) <= SHOWS * floored(before)


def latency_of(tally: Tally) -> float:
    """The mean latency of the window's successes, s; 0 if there are none."""
    return tally.total / tally.good if tally.good > 0.0 else 0.0


def standard_error(tally: Tally) -> float:
    """Of that mean, if the latencies were independent, s."""
    mean = latency_of(tally)
    return math.sqrt(max(tally.squares / tally.good - mean * mean, 0.0) / tally.good)


def limit_of(calls: float, used: float, most: float) -> float:
    """The limit for an allowance of calls; before the first congestion (inf) twice the most in
    use, and 64 at least.

    >>> limit_of(7.9, 5.0, 1e4), limit_of(math.inf, 5.0, 1e4), limit_of(math.inf, 100.0, 1e4)
    (7.0, 64.0, 200.0)
    """
    wanted = max(LEAST_OPEN, OPEN * used) if calls == math.inf else floored(min(calls, most))
    return max(1.0, min(wanted, floored(most)))
