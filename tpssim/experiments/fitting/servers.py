"""How many servers a service has and how long its answers are on their way: a likelihood profile.

For each number of servers and delay the recording implies service times (`implied`), and the map
from times to completions is one to one, so the likelihood is that of the times alone. Too few
servers make times below 0, too many make times that hold one another's work. The right number has
times that depend neither on the calls in flight nor on the time before: a correlation r with either
costs `n / 2 ln(1 / (1 - r^2))`, as in a regression.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tpssim.core.errors import InputError
from tpssim.core.types import record
from tpssim.experiments.fitting.densities import (
    ATOM,
    Density,
    Sample,
    atoms_of,
    best_densities,
    sampled,
)
from tpssim.experiments.fitting.implied import Calls, Implied, implied, overtakings
from tpssim.experiments.fitting.survival import given_up, patient

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    #: The factor on each call's service time, from what the calls imply and which of them count.
    Factors = Callable[[Implied, NDArray[np.bool_]], Array]

EACH = 96  # numbers of servers that are all tried, from the least on
RATIO = 1.12  # of the next ones
REFINED = 5  # numbers of servers whose delay is searched
ROUNDS = 3  # of taking up the likeliest, for a better delay may make others likelier
STEPS = 12  # of a search for the delay between two
FIRST = (0.0, 0.5, 0.9)  # shares of the highest delay from which it is guessed
GUESSED = 2  # delays that are tried with each number of servers, for each of those shares
FEWEST = 5  # calls that waited, and others, that suggest a delay
TOPS = 3  # delays better than those beside them that are searched around, if near the best
GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
CLOSE = 100.0  # nats by which a better delay may make the likelier of two the other one
#: Numbers of servers whose likelihoods differ by this factor's logarithm may both be true: of a
#: hundred and fifty false ones, one is by chance that much likelier than the true one.
NEAR = 5.0
#: Where calls were given up: times that are known, whatever became of those, at least so many, and
#: such a share of all answered calls.
FEW, SHARE = 100, 0.05
PARTS = 4  # of a recording, none of which may decide alone
#: What a correlation comes to by chance: not counted.
CHANCE = 2.0
MOSTLY = 0.95  # of a constant's times are equal as they were recorded
RARE = 0.01  # share of the times, at either end, whose size is not looked at there


@record
class Setting(NamedTuple):
    """One number of servers with one delay: what the calls are then, and how likely."""

    servers: float  #: inf: more than ever were in flight
    delay: float
    density: Density
    score: float


def setting(
    calls: Calls,
    servers: float,
    delay: float,
    factors: Factors | None = None,
    found: Implied | None = None,
) -> Setting | None:
    """How likely the calls are with so many servers and such a delay; None if not at all."""
    found = implied(calls, servers, delay) if found is None else found
    used = found.sure & calls.answered
    times, crowd = found.time[used], calls.crowd[used]
    factor = np.ones(len(used))
    if factors is not None:
        factor = factors(found, used)
        times = times / factor[used]
    slower: Array | float = 1.0 if calls.slower is None else calls.slower[used]
    by = factor[used] * slower
    sample = sampled(times, calls.grain, calls.shortest)
    if sample is None or (calls.exact and sample.times[len(sample.times) // 2] <= calls.grain):
        return None  # no service takes no time
    if calls.patience < math.inf:
        if sample.n < max(FEW, SHARE * float(calls.answered.sum())):
            return None
        lost = given_up(calls, found, factor)
        allowed = (calls.start + calls.patience - found.begin)[used] / by
        density, even = patient(sample, times, lost, allowed)
        score = as_recorded(density, sample, times, by) - dependence(
            even, crowd, sampled(even, calls.grain, calls.shortest) or sample
        )
        score *= int(calls.answered.sum()) / sample.n  # others are known with other servers
    else:
        density = best_densities(sample)[0]
        score = as_recorded(density, sample, times, by) - dependence(times, crowd, sample)
    if delay > 0.0:
        score -= 0.5 * math.log(sample.n)
    return Setting(servers, delay, density, score)


def as_recorded(density: Density, sample: Sample, times: Array, by: Array) -> float:
    """The score of times that were recorded `by` times as long. A constant is as certain as its
    stamps however long it takes, and nothing is more certain.
    """
    if density.kind == "constant" and constant_as_recorded(times, by, sample.grain):
        return density.score
    most = -len(sample.times) * math.log(sample.grain)
    return min(density.score - float(np.log(by).sum()), most)


def constant_as_recorded(times: Array, by: Array, grain: float) -> bool:
    """Whether times that are equal, once divided, were so before: divided by enough, all are."""
    order = np.argsort(times)
    ordered, by = times[order], by[order]
    same = differ = 0
    for start, count in zip(*atoms_of(ordered, grain), strict=True):
        these = slice(start, start + count)
        away = np.abs(ordered[these] - np.median(ordered[these])) * by[these]
        differ += int((away >= ATOM * grain).sum())
        same += count
    return bool(differ <= (1.0 - MOSTLY) * same)


def dependence(times: Array, crowd: Array, sample: Sample) -> float:
    """The price of times that depend on the one before or on the calls in flight, nats.

    The rarest times count as the next ones: two that are out of the way and follow one another,
    as where a service changed, are no dependence.
    """
    rare = int(RARE * len(sample.times))
    least, most = sample.times[rare], sample.times[-1 - rare]
    logs = np.log(np.clip(times, least, most))
    if float(logs.std()) < 1e-5:
        return 0.0  # a constant
    price = 0.0
    for one, other in ((logs[1:], logs[:-1]), (logs, np.log(crowd))):
        away, apart = one - one.mean(), other - other.mean()
        spread = math.sqrt(float((away * away).mean())) * math.sqrt(float((apart * apart).mean()))
        if spread > 0.0:
            shared = float((away * apart).mean()) / spread
            lost = -0.5 * len(one) * math.log(max(1.0 - shared * shared, 1e-12))
            price += max(0.0, lost - CHANCE)
    return price


def least_servers(calls: Calls) -> int:
    """Fewer servers than this make a thousandth of the calls overtake more than can be."""
    depths = np.sort(overtakings(calls.completion[calls.answered]))
    return int(depths[-1 - len(depths) // 1000]) + 1


def candidates(least: int, most: int) -> list[float]:
    """Numbers of servers to try: each at first, then in growing steps; inf for more than `most`.

    >>> candidates(3, 5)
    [3.0, 4.0, 5.0, inf]
    """
    found = list(range(least, min(most, least + EACH) + 1))
    while found and found[-1] < most:
        found.append(min(most, math.ceil(found[-1] * RATIO)))
    return [*map(float, found), math.inf]


def delays(calls: Calls, found: Implied, highest: float, factors: Factors | None) -> list[float]:
    """Delays with which calls that waited and calls that did not took equally long, the likeliest
    first; `found` is what is implied with another delay. If that is longer than the true one, those
    that seem to wait did, and took as long as it seems.
    """
    used = found.sure & calls.answered
    waited, times = found.waited & used, found.time
    if factors is not None:  # those that nothing changed: a delay does not change with the service
        factor = factors(found, used)
        levels, many = np.unique(factor[used], return_counts=True)
        plain = factor == levels[np.argmax(many)]
        waited, used = waited & plain, used & plain
    free = times[used & ~waited] + found.delay
    guesses = []
    if waited.sum() >= FEWEST and len(free) >= FEWEST:
        late = times[waited]
        guesses = [
            float(np.median(free) - np.median(late)),
            float(free.min() - late.min()),
            float(free.mean() - late.mean()),
        ]
    return [min(max(guess, 0.0), highest) for guess in guesses]


def highest_delay(calls: Calls) -> float:
    """No delay is longer than the shortest latency, of answers and of refusals."""
    shortest = float((calls.completion - calls.start)[calls.answered].min())
    return min(shortest, calls.quickest)


class Profile:
    """Settings tried so far, and the best of each number of servers."""

    def __init__(self, calls: Calls, factors: Factors | None = None) -> None:
        self.calls, self.factors = calls, factors
        self.most = int(calls.crowd[calls.answered].max())
        self.highest = highest_delay(calls)
        self.tried: dict[float, dict[float, Setting]] = {}
        self.best: dict[float, Setting] = {}

    def attempt(self, servers: float, delay: float, found: Implied | None = None) -> float:
        """The score of one setting."""
        known = self.tried.setdefault(servers, {})
        if delay not in known:
            made = setting(self.calls, servers, delay, self.factors, found)
            if made is None:
                return -math.inf
            known[delay] = made
            if servers not in self.best or made.score > self.best[servers].score:
                self.best[servers] = made
        return known[delay].score

    def begin(self, servers: float, number: int = 3) -> bool:
        """Try the delays that suggest themselves, so many of them; whether any call waits."""
        for share in FIRST:
            found = implied(self.calls, servers, share * self.highest)
            if share == 0.0:
                self.attempt(servers, 0.0, found)
                waits = bool(found.waited.any())
            for delay in delays(self.calls, found, self.highest, self.factors)[:number]:
                self.attempt(servers, delay)
        self.attempt(servers, self.highest)
        return waits

    def ranked(self) -> list[float]:
        """Numbers of servers, the likeliest first."""
        return sorted(self.best, key=lambda servers: -self.best[servers].score)

    def leading(self, number: int) -> list[Setting]:
        """The likeliest settings: with the price of times that depend on others, and without it,
        for what changes makes them depend on one another.
        """
        every = [made for known in self.tried.values() for made in known.values()]
        apart = {}
        for made in sorted(every, key=lambda made: made.density.score):
            apart[made.servers] = made
        plain = sorted(apart.values(), key=lambda made: -made.density.score)[:number]
        return [*(self.best[servers] for servers in self.ranked()[:number]), *plain]

    def refine(self, servers: float) -> None:
        """Search for the best delay of one number of servers, from a grid on."""
        if self.highest <= 0.0:
            return
        for share in np.linspace(0.0, 1.0, 9):
            self.attempt(servers, float(share) * self.highest)
        known = self.tried[servers]
        if not known:  # with so many servers too little is known of any call
            return
        ordered = sorted(known)
        scores = np.array([-math.inf, *(known[delay].score for delay in ordered), -math.inf])
        inner = scores[1:-1]
        tops = np.flatnonzero((inner >= scores[:-2]) & (inner >= scores[2:]))
        tops = tops[inner[tops] >= inner.max() - CLOSE]
        tops = tops[np.argsort(-inner[tops], kind="stable")][:TOPS]
        for low, high in [side for top in tops for side in _sides(ordered, int(top))]:
            self._narrow(servers, low, high)

    def _narrow(self, servers: float, low: float, high: float) -> None:
        """Search for the best delay between two, by golden sections."""
        x, y = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        below, above = self.attempt(servers, x), self.attempt(servers, y)
        for _ in range(STEPS):
            if high - low <= 1e-7 * self.highest:
                break
            if below >= above:
                high, y, above = y, x, below
                x = high - GOLDEN * (high - low)
                below = self.attempt(servers, x)
            else:
                low, x, below = x, y, above
                y = low + GOLDEN * (high - low)
                above = self.attempt(servers, y)


def _sides(ordered: list[float], place: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """From one of these numbers to the next less and to the next greater one."""
    here = ordered[place]
    above = ordered[min(place + 1, len(ordered) - 1)]
    return (ordered[max(0, place - 1)], here), (here, above)


def profile(calls: Calls, factors: Factors | None = None, near: float = 0.0) -> Profile:
    """The best setting for each number of servers; of the likeliest the delay is searched.

    `near`: a delay that each number is tried with.
    """
    found = Profile(calls, factors)
    for servers in candidates(min(least_servers(calls), found.most), found.most):
        if not found.begin(servers, GUESSED):
            break  # as with any greater number
        found.attempt(servers, near)
    found.begin(math.inf)
    if not found.best:
        answered, lost = int(calls.answered.sum()), int((~calls.answered).sum())
        raise InputError(
            f"answered calls to fit: {answered}, beside {lost} that were given up; allowed: at"
            f" least {FEW} (record it again at a rate that it can take)"
        )
    found.refine(math.inf)
    refined = {math.inf}
    for _ in range(ROUNDS):
        first = found.ranked()[:REFINED]
        if math.isfinite(first[0]):  # beside the best, where not each was tried
            first += [s for s in (first[0] - 1.0, first[0] + 1.0) if 1.0 <= s <= found.most]
        fresh = [servers for servers in first if servers not in refined]
        if not fresh:
            break
        for servers in fresh:
            found.begin(servers)
            found.refine(servers)
            refined.add(servers)
    best = found.best[found.ranked()[0]]
    for servers in list(found.best):  # whose own delay may be worse than that of the best
        found.attempt(servers, best.delay)
    return found


def likeliest(found: Profile) -> tuple[Setting, float, float]:
    """The best setting, and the least and greatest number of servers that may be true: those that
    are nearly as likely, or would be without one of the `PARTS` of the recording.
    """
    ranked = found.ranked()
    best = found.best[ranked[0]]
    room, whole = NEAR, found.calls.patience == math.inf
    if not whole:  # scores are then of more calls than are known
        known = implied(found.calls, best.servers, best.delay).sure & found.calls.answered
        room *= float(found.calls.answered.sum()) / max(float(known.sum()), 1.0)
    near = [s for s, made in found.best.items() if made.score >= best.score - room]
    for servers in ranked[1 : REFINED + 1] if whole and math.isfinite(best.servers) else ():
        if servers not in near and math.isfinite(servers):
            gains = _gains(found, best, found.best[servers])
            if gains.sum() - gains.max() < room:
                near.append(servers)
    least = min(near)
    if math.isinf(least):  # more than ever were in flight
        least = max([1.0, *filter(math.isfinite, found.best)])
    return best, least, max(near)


def _gains(found: Profile, best: Setting, rival: Setting) -> Array:
    """By how much one setting is likelier than another in each part of the recording; the parts
    have as many calls that waited for a server.
    """
    calls = found.calls
    both = [(made, implied(calls, made.servers, made.delay)) for made in (best, rival)]
    telling = np.flatnonzero(both[0][1].waited | both[1][1].waited)
    if len(telling) < PARTS:
        return np.zeros(PARTS)
    ends = telling[len(telling) * np.arange(1, PARTS) // PARTS]
    part = np.searchsorted(ends, np.arange(len(calls.start)), side="right")

    def score(made: Setting, times: Implied, inside: NDArray[np.bool_]) -> float:
        there = times._replace(sure=times.sure & inside)
        here = setting(calls, made.servers, made.delay, found.factors, there)
        return -math.inf if here is None else here.score

    scores = np.array([[score(*one, part == k) for k in range(PARTS)] for one in both])
    scores[:, ~np.isfinite(scores).all(axis=0)] = 0.0  # of those nothing is known
    gains: Array = scores[0] - scores[1]
    return gains
