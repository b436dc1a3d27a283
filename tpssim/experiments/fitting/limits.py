"""What makes a service refuse or fail calls, learned from which of them it refused and failed.

For every explanation (calls in flight, places, calls or cost in a window) it is computed what it
would have refused of the very calls that were recorded, and the one that agrees best is taken. What
nothing explains counts as failures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tpssim.core.types import FAILED, OK, REFUSED, REJECTED, TIMED_OUT, UNFINISHED, record
from tpssim.experiments.fitting import explanations
from tpssim.experiments.fitting.estimates import Estimate, Unidentified, experiment
from tpssim.experiments.fitting.explanations import LIMIT, ROOM, WINDOW, Seen
from tpssim.experiments.fitting.refusals import Found, beyond, explained, is_rate
from tpssim.experiments.fitting.thresholds import Cut, cut, roundest
from tpssim.scenarios.plant import Backend
from tpssim.scenarios.recordings.calls import Recording
from tpssim.scenarios.service_quotas import ServiceQuota

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Flags = NDArray[np.bool_]

#: answers that took longer than half of the timeout, of each call that timed out: from so many on
#: it was slow service
SLOW = 0.2
MISSED = 0.05  #: share of the refusals that may be left without a word
EVIDENCE = 10.0  #: gain in log-likelihood from which failures are said to depend on the load


@record
class QuotaEstimate(NamedTuple):
    """A quota, and how sure its numbers are."""

    quota: ServiceQuota
    amount: Estimate
    per: Estimate
    phase: float = 0.0  #: when a fixed window begins, s since the start of the recording


@record
class Limits(NamedTuple):
    """What a service refuses and fails, as far as a recording tells; None: nothing is known."""

    limit: Estimate | None  #: calls in flight, with those that are being refused
    room: Estimate | None  #: calls in flight without those: servers and places together
    rate: Estimate | None  #: calls begun in a second, with those that are refused
    quotas: tuple[QuotaEstimate, ...]
    silent: bool  #: refused calls are never answered
    failure: Estimate  #: share of the answers, whatever the load
    delay: float  #: s that an answer was on its way, as a limit of calls in flight shows it; nan
    refused: int
    explained: int  #: of the refused calls
    peak: float  #: most in flight that were let in
    fastest: float  #: most begun in a second that were let in
    unidentified: tuple[Unidentified, ...]

    def backend(self, backend: Backend) -> Backend:
        """A backend with these limits; its servers are known already.

        >>> found = limits_of(Recording.of([0.0, 1.0, 2.0], [0.5, 1.5, 2.5], [0, 1, 0]))
        >>> round(found.backend(Backend(servers=2.0)).failure, 3)
        0.333
        """
        room = math.inf if self.room is None else self.room.value
        limit = math.inf if self.limit is None else self.limit.value
        placed = backend.servers <= room < math.inf
        return backend._replace(
            places=room - backend.servers if placed else math.inf,
            limit=limit if placed else min(limit, room),
            rate=math.inf if self.rate is None else self.rate.value,
            quotas=tuple(each.quota for each in self.quotas),
            silent=float(self.silent),
            failure=self.failure.value,
        )

    def estimates(self, servers: float = math.inf) -> dict[str, Estimate]:
        """What is known, by the names that `with_parameters` takes; `servers` as in the backend."""
        found = {"backend.limit": self.limit, "backend.rate": self.rate}
        if self.room is not None and servers <= self.room.value:
            found["backend.places"] = Estimate(*(max(end - servers, 0.0) for end in self.room))
        elif self.room is not None and self.limit is None:
            found["backend.limit"] = self.room
        known = {name: each for name, each in found.items() if each is not None}
        return {**known, "backend.failure": self.failure}


def limits_of(recording: Recording, delay: float | None = None) -> Limits:
    """What a recording says of limits.

    `delay`: what an answer takes on its way, s, if that is known; else it is found beside a limit
    of the calls in flight.
    """
    sent = recording.outcome != REFUSED  # what a throttle refused never reached the service
    outcome = recording.outcome[sent]
    told = Seen(
        start=recording.start[sent],
        leave=recording.completion[sent],
        refused=outcome == REJECTED,
        cost=np.ones(len(outcome)) if recording.cost is None else recording.cost[sent],
        elsewhere=nobody(len(outcome)),
    )
    phases = (0.0, *((-recording.began,) if math.isfinite(recording.began) else ()))
    delays = _delays(told, outcome) if delay is None else [delay]
    known = np.flatnonzero(outcome != UNFINISHED)
    seen, found = explained(told, known, delays, phases)
    if not found and _may_be_silent(told, outcome):
        lost = told._replace(refused=outcome == TIMED_OUT, silent=True)
        silently, unanswered = explained(lost, known, delays, phases)
        seen, found = (silently, unanswered) if unanswered else (seen, found)
    return _limits(recording, seen, outcome, found, phases)


def refused_later(limits: Limits, calls: int) -> Limits:
    """The limits of a part without refusals, of a recording that refused so many calls later."""
    said = Unidentified(
        "limits",
        f"no call was refused in what was fitted, {calls:,} were in what was held out",
        "tpssim fit FILE --holdout 0",
    )
    found = tuple(said if one.name == "limits" else one for one in limits.unidentified)
    return limits._replace(unidentified=found)


def nobody(calls: int) -> Flags:
    """A flag for each call that is true of none."""
    return np.zeros(calls, bool)


def _delays(seen: Seen, outcome: NDArray[np.int8]) -> list[float]:
    """What an answer may take on its way: no more than the shortest response."""
    took = (seen.leave - seen.start)[outcome == OK]
    shortest = float(took.min()) if len(took) else 0.0
    return [shortest * step / explanations.DELAYS for step in range(explanations.DELAYS + 1)]


def _may_be_silent(seen: Seen, outcome: NDArray[np.int8]) -> bool:
    """Whether calls timed out though none of those that were answered came near the timeout, and
    those just before them did not.
    """
    took, late = seen.leave - seen.start, outcome == TIMED_OUT
    timeouts = took[late & np.isfinite(took)]
    if not len(timeouts):
        return bool(late.any())
    well = outcome == OK
    near = (took > 0.5 * float(np.median(timeouts))) & well
    if int(near.sum()) >= SLOW * int(late.sum()):
        return False
    answered = np.flatnonzero(well)
    last = np.searchsorted(answered, np.flatnonzero(late)) - 1
    before = answered[last[last >= 0]]
    return not (len(before) and float(near[before].mean()) > 0.5)


def _limits(
    recording: Recording,
    seen: Seen,
    outcome: NDArray[np.int8],
    found: Sequence[Found],
    phases: Sequence[float],
) -> Limits:
    """What was found, as numbers with intervals."""
    over = np.zeros(len(seen.start), bool)
    limit = room = rate = None
    quotas: list[QuotaEstimate] = []
    delay = math.nan
    for one in found:
        what = one.best.what
        over |= beyond(seen, one.best)
        amount = amount_of(one.best.cut, whole=what.of == "calls")
        if what.kind != WINDOW:
            limit, room = (amount, room) if what.kind == LIMIT else (limit, amount)
            delay = what.delay
        elif is_rate(what):
            rate = amount
        else:
            quotas.append(_quota(recording, seen, one, amount, phases))
    refused = outcome == REJECTED
    unexplained = refused & ~(over & seen.refused)
    # A call that is late at the service finds no room where another had it: as many as were let in
    # beyond a limit were refused below it. What is left after that is near the edge of a limit.
    swapped = int((over & ~seen.refused & (outcome != UNFINISHED)).sum())
    swapped = min(swapped, int(unexplained.sum()))
    if int(unexplained.sum()) - swapped <= MISSED * int(refused.sum()):
        unexplained = nobody(len(refused))
    answered = (outcome == OK) | (outcome == FAILED) | unexplained
    failed = (outcome == FAILED) | unexplained
    let_in = ~seen.refused
    flying = explanations.counts(seen, explanations.Explanation(ROOM))
    second = explanations.counts(
        seen, explanations.Explanation(WINDOW, per=1.0, counts_refused=True)
    )
    limits = Limits(
        limit=limit,
        room=room,
        rate=rate,
        quotas=tuple(quotas),
        silent=seen.silent,
        failure=share(int(failed.sum()), int(answered.sum())),
        delay=delay,
        refused=int(seen.refused.sum()),
        explained=int((over & seen.refused).sum()) + swapped,
        peak=float(flying[let_in].max(initial=0.0)),
        fastest=float(second[let_in].max(initial=0.0)),
        unidentified=(),
    )
    return limits._replace(unidentified=tuple(_unsaid(limits, found, flying, failed, answered)))


def amount_of(found: Cut, whole: bool) -> Estimate:
    """The amount of a cut: the roundest that agrees, and all that do; of calls a whole number.

    >>> amount_of(Cut(40.0, 41.0, 39.0, 41.0, 9.0, 5, 5), whole=True)
    Estimate(value=40.0, low=39.0, high=40.0)
    """
    value = found.low if whole and found.high <= found.low + 1.0 else roundest(*found[:2])
    return Estimate(value, found.least, max(found.most - 1.0, value) if whole else found.most)


def share(part: int, whole: int) -> Estimate:
    """A probability by Clopper and Pearson's interval: a bound if it never happened.

    >>> share(0, 299).value, round(share(0, 299).high, 3), share(0, 0).high
    (0.0, 0.01, 1.0)
    """
    from scipy.special import betaincinv

    if part == 0:
        return Estimate(0.0, 0.0, 1.0 - 0.05 ** (1.0 / whole) if whole else 1.0)
    low = float(betaincinv(part, whole - part + 1.0, 0.025))
    high = 1.0 if part == whole else float(betaincinv(part + 1.0, whole - part, 0.975))
    return Estimate(min(part / whole, whole / (whole + 1.0)), low, high)  # of none nothing is known


def _quota(
    recording: Recording, seen: Seen, found: Found, amount: Estimate, phases: Sequence[float]
) -> QuotaEstimate:
    """A quota, with the interval of its window."""
    what = found.best.what
    known = np.flatnonzero(recording.outcome[recording.outcome != REFUSED] != UNFINISHED)
    within = explanations.search(seen, known, phases)
    tried = explanations.lengths_near(within, known, found.best)
    low, high = explanations.interval({**tried, what.per: found.best})
    mine = beyond(seen, found.best) & seen.refused
    made = recording.outcome != REFUSED
    says = whole = False
    if recording.retry_after is not None:
        told = recording.retry_after[made][mine]
        says = bool(len(told)) and 2 * int((told > 0.0).sum()) >= len(told)
        told = told[told > 0.0]
        whole = says and bool((told == np.rint(told)).all())  # as HTTP's header
    quota = ServiceQuota(
        amount=amount.value,
        per=what.per,
        of=what.of,
        window="fixed" if what.fixed else "rolling",
        counts_refused=float(what.counts_refused),
        retry_after=float(says),
        whole=float(whole),
        at_once=float(at_once(recording.latency[made][mine], recording)),
    )
    return QuotaEstimate(quota, amount, Estimate(what.per, low, high), what.phase)


def at_once(refused: Array, recording: Recording) -> bool:
    """Whether refusals take no service time: nine of ten are quicker than nearly all answers."""
    answered = recording.latency[recording.outcome == OK]
    refused = refused[np.isfinite(refused)]
    if not len(refused) or not len(answered):
        return False
    return float(np.quantile(refused, 0.9)) < float(np.quantile(answered, 0.02))


def _unsaid(
    limits: Limits,
    found: Sequence[Found],
    flying: Array,
    failed: Flags,
    answered: Flags,
) -> Iterator[Unidentified]:
    """What the recording does not say of limits, and which one would."""
    faster = experiment(waves(2.0 * limits.fastest, "1m"))
    again = experiment(waves(limits.fastest, "10m"))
    if not limits.refused:
        yield Unidentified(
            "limits",
            f"no call was refused, with up to {limits.peak:g} in flight and {limits.fastest:g}"
            " begun in a second: no limit is known",
            faster,
        )
    elif limits.refused - limits.explained > max(MISSED * limits.refused, 2.0):
        left = limits.refused - limits.explained
        yield Unidentified(
            "refusals",
            f"{left:,} of {limits.refused:,} refused calls agree with no limit of calls in flight"
            " or in a window: they count as failures, whatever the load",
            again,
        )
    for one in found:
        if one.rivals:
            others = "; ".join(dict.fromkeys(told(rival.what) for rival in one.rivals))
            yield Unidentified(
                told(one.best.what),
                f"it could as well be {others}",
                again,
            )
    dependent = cut(flying[answered], failed[answered])
    if dependent.gain > EVIDENCE:
        below = int(failed[answered].sum()) - dependent.refused
        under = int(answered.sum()) - dependent.above
        yield Unidentified(
            "backend.failure",
            f"{below / under:.2%} fail with up to {dependent.low:g} calls in flight, and"
            f" {dependent.precision:.2%} above: the twin fails the mean of both, whatever the load",
            faster,
        )


def told(what: explanations.Explanation) -> str:
    """An explanation in words.

    >>> told(explanations.Explanation(WINDOW, per=60.0, fixed=True, counts_refused=True))
    'a quota of calls in fixed windows of 60 s that counts refused calls'
    """
    if what.kind != WINDOW:
        return "a limit of calls in flight" if what.kind == LIMIT else "places for calls"
    kind = "fixed windows" if what.fixed else "a rolling window"
    text = f"a quota of {what.of} in {kind} of {what.per:g} s"
    return f"{text} that counts refused calls" if what.counts_refused else text


def waves(rate: float, how_long: str) -> list[tuple[str, float]]:
    """Up to a rate, down to a fifth of it, and up again: what is refused is let in again."""
    return [(how_long, rate), (how_long, rate / 5.0), (how_long, rate)]
