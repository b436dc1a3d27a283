"""What may have made a service refuse calls: each explanation counts something, and refuses above
an amount.

The counts of a call are computed from what was recorded before it, so an explanation is scored by
what it says of every call by itself: one wrong word does not spoil those that follow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tpssim.core.types import record
from tpssim.experiments.fitting import windows
from tpssim.experiments.fitting.thresholds import WITHIN, Cut, cut, roundest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Places = NDArray[np.intp]

LIMIT, ROOM, WINDOW = "limit", "room", "window"
COARSE = 1.05  #: from one length of a window to the next, where they are first looked for
#: the longest of them in the recording, and the shortest in the mean gap between calls: what
#: happens but once in a recording is no window, and what holds a call or two is no quota
LONGEST, SHORTEST = 1.2, 10.0
SAMPLE = 1500  #: refused calls, and as many others, by which that is done
FINALISTS = 2  #: lengths that are looked at closely, of each way to count
ZOOMS = (0.1, 0.01, 0.001, 0.0001)  #: shares of a length around it that are looked at, in turn
STEPS = 8  #: on each side
DELAYS = 8  #: steps of what an answer takes on its way, up to the shortest response


@record
class Seen(NamedTuple):
    """The calls that reached a service; times in s."""

    start: Array
    leave: Array  #: when its caller had the answer, or gave up; nan: never
    refused: Flags
    cost: Array  #: 1 where the recording has none
    #: refused by something that a quota does not know of: it counts them
    elsewhere: Flags
    silent: bool = False  #: refused calls are not answered, so nothing is known of their stay


@record
class Explanation(NamedTuple):
    """Something that a service may count; it refuses what exceeds an amount of it.

    `limit`: calls in flight, refused ones until their error is out; `room`: calls in flight that
    were not refused; `window`: calls, or their cost, in a window.
    """

    kind: str
    delay: float = 0.0  #: of limit and room: s that an answer is on its way, out of the service
    per: float = 0.0  #: of a window, s
    of: str = "calls"  #: or "cost"
    fixed: bool = False
    phase: float = 0.0  #: when a fixed window begins, s
    counts_refused: bool = False

    def parameters(self) -> int:
        """How many numbers of it are chosen by the recording."""
        if self.kind != WINDOW:
            return 1 + (self.delay > 0.0)
        return 2 + self.fixed


@record
class Scored(NamedTuple):
    """An explanation with the amount that agrees best with a recording."""

    what: Explanation
    cut: Cut
    score: float  #: gain in log-likelihood, less what its parameters cost (BIC)


def counts(seen: Seen, what: Explanation, at: Places | None = None) -> Array:
    """What the service would have counted when each call began, itself included."""
    if what.kind == WINDOW:
        weight = seen.cost if what.of == "cost" else np.ones(len(seen.start))
        counted = ~seen.refused | what.counts_refused | seen.elsewhere
        taken = np.where(counted, weight, 0.0)
        if what.fixed:
            return windows.fixed(seen.start, taken, weight, what.per, what.phase, at)
        return windows.rolling(seen.start, taken, weight, what.per, at)
    inside = np.ones(len(seen.start), bool) if what.kind == LIMIT else ~seen.refused
    leave = np.maximum(seen.leave - what.delay, seen.start)
    return windows.in_flight(seen.start, leave, inside, at)


def scored(seen: Seen, what: Explanation, at: Places | None = None) -> Scored:
    """How well an explanation agrees with a recording, or with those calls of it."""
    refused = seen.refused if at is None else seen.refused[at]
    found = cut(counts(seen, what, at), refused)
    price = 0.5 * what.parameters() * math.log(max(len(refused), 2))
    return Scored(what, found, found.gain - price)


def best(candidates: Iterable[Scored]) -> Scored:
    """The first of those of the greatest score."""
    return max(candidates, key=lambda found: found.score)


@record
class Search(NamedTuple):
    """Where windows are looked for."""

    seen: Seen
    among: Places  #: calls that nothing else refused, in order
    phases: Sequence[float] = (0.0,)  #: moments with which fixed windows may begin
    #: (last refused start, next accepted one) of these calls, wherever they are taken again
    turned: tuple[Array, Array] = (np.empty(0), np.empty(0))

    def longest(self) -> float:
        """The longest window that the recording may show, s."""
        return float(self.seen.start[-1]) / LONGEST


def search(seen: Seen, among: Places, phases: Sequence[float]) -> Search:
    """The search among these calls."""
    turned = windows.turns(seen.start[among], seen.refused[among])
    return Search(seen, among, phases, turned)


def sample(seen: Seen, among: Places) -> Places:
    """Some of these calls, in order: so many refused ones, and as many others."""
    parts = [among[seen.refused[among]], among[~seen.refused[among]]]
    return np.sort(np.concatenate([part[:: len(part) // SAMPLE + 1] for part in parts]))


def in_flight_ones(seen: Seen, among: Places, delays: Iterable[float]) -> Iterator[Scored]:
    """Limits of the calls in flight, each with the best delay of an answer on its way."""
    # A place is refused to what never gets in: simpler, so it comes first.
    kinds = (ROOM,) if seen.silent else (ROOM, LIMIT)
    for kind in kinds:
        yield best(scored(seen, Explanation(kind, delay=delay), among) for delay in delays)


def window_ones(within: Search) -> Iterator[Scored]:
    """A window of each kind, by some of the calls: rolling and fixed, of calls and of cost where
    that varies, refused calls counted or not."""
    seen, longest = within.seen, within.longest()
    kinds = [
        Explanation(WINDOW, of=of, fixed=fixed, counts_refused=counted)
        for of in ("calls", "cost")[: 1 + int(np.ptp(seen.cost) > 0.0)]
        for fixed in (False, True)
        for counted in (False, True)
        # A fixed window that is full of calls stays full, whatever is counted then.
        if not (fixed and counted and of == "calls")
    ]
    some = sample(seen, within.among)
    number = math.log(max(len(seen.start) / LONGEST / SHORTEST, COARSE)) / math.log(COARSE)
    lengths = (longest * COARSE ** -np.arange(math.floor(number) + 1.0)).tolist()
    for kind in kinds:
        rough = [at_length(within, some, kind, per) for per in lengths]
        peaks: list[Scored] = []
        for each in sorted(rough, key=lambda found: -found.score):
            if all(abs(math.log(each.what.per / peak.what.per)) > 0.1 for peak in peaks):
                peaks.append(each)
            if len(peaks) == FINALISTS:
                break
        yield best(closer(within, some, peak, ZOOMS[:2]) for peak in peaks)


def at_length(within: Search, at: Places, kind: Explanation, per: float) -> Scored:
    """A window of that length; a fixed one with the phase that it may have."""
    what = kind._replace(per=per)
    if not what.fixed:
        return scored(within.seen, what, at)
    begin, end = windows.phase_of(within.turned, per)
    # A moment that is known beforehand, such as a full minute of the clock, wins where it fits.
    known = [phase % per - shift for phase in within.phases for shift in (0.0, per)]
    phase = next((phase for phase in known if begin < phase <= end), (begin + end) / 2.0)
    return scored(within.seen, what._replace(phase=phase % per), at)


def closer(within: Search, at: Places, found: Scored, zooms: Sequence[float] = ZOOMS) -> Scored:
    """The best length near one, and a round one where that agrees as well."""
    tried = lengths_near(within, at, found, zooms)
    top = best(tried.values())
    plain = at_length(within, at, found.what, roundest(*interval(tried)))
    return plain if plain.score >= top.score - WITHIN else top


def lengths_near(
    within: Search, at: Places, found: Scored, zooms: Sequence[float] = ZOOMS
) -> dict[float, Scored]:
    """Windows of lengths around one, closer and closer to the best of them, and further off for as
    long as they agree as well: where answers say when to come back, many lengths may.
    """
    tried = {found.what.per: at_length(within, at, found.what, found.what.per)}
    for share in zooms:
        middle = best(tried.values()).what.per
        for step in range(-STEPS, STEPS + 1):
            per = middle * (1.0 + share * step / STEPS)
            if per not in tried and per <= within.longest():
                tried[per] = at_length(within, at, found.what, per)
    for ratio, end in ((1.0 / COARSE, min(tried)), (COARSE, max(tried))):
        while tried[end].score >= best(tried.values()).score - WITHIN:
            end *= ratio
            if not within.longest() * SHORTEST / len(within.seen.start) <= end <= within.longest():
                break
            tried[end] = at_length(within, at, found.what, end)
    return tried


def interval(tried: Mapping[float, Scored]) -> tuple[float, float]:
    """The lengths around the best one that agree as well, as far as the recording tells: between
    the nearest that do not."""
    top = best(tried.values())
    worse = [per for per, one in tried.items() if one.score < top.score - WITHIN]
    below = max((per for per in worse if per < top.what.per), default=min(tried))
    above = min((per for per in worse if per > top.what.per), default=max(tried))
    return below, above
