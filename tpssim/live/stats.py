"""What a live run was like, counted as it goes, in bounded memory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tpssim.core.types import FAILED, OK, TIMED_OUT, UNFINISHED
from tpssim.live.bounded_counts import IN_1S, IN_10MS, Histogram, Most, Trend
from tpssim.live.wanted import Points, Wanted, slots

if TYPE_CHECKING:
    from tpssim.live.permits import Permit

#: Why a schedule was moved, and slots lost: each names what the release waited for.
LIMIT, SOURCE, CALLER, MACHINE, RETRIES, QUOTA, CLOSED = range(7)


class Tally:
    """Counts of one run. Not thread-safe: its owner holds a lock."""

    # Beyond 30 attributes without slots CPython looks up each of them in a dict.
    # fmt: off
    __slots__ = (
        "_cost",
        "_gaps",
        "_mean_late",
        "_mean_t",
        "_open",
        "_ours",
        "_recent",
        "_served",
        "_service",
        "_slower",
        "_spent",
        "_squares",
        "_stretches",
        "_t_late",
        "_tt",
        "begun_in_1s",
        "behind",
        "blocked",
        "computed",
        "doubles",
        "early",
        "errors",
        "fetching",
        "first",
        "first_begun",
        "forgotten",
        "held",
        "highest",
        "in_1s",
        "in_10ms",
        "last",
        "last_begun",
        "last_end",
        "latencies",
        "latency",
        "lateness",
        "lost",
        "most_in_flight",
        "ok",
        "overtaken",
        "planned",
        "refused",
        "refused_by_service",
        "running",
        "skipped",
        "timed_out",
        "waits",
        "wanted",
        "went_without",
        "within_10",
        "within_25",
    )
    # fmt: on

    def __init__(self, quotas: int = 0) -> None:
        self.lateness = Histogram()
        self.latency = Histogram()
        self.waits = Histogram()  # from the release until a worker began the call
        self.refused = self.ok = self.errors = self.timed_out = self.refused_by_service = 0
        self.forgotten = self.most_in_flight = 0
        self.went_without = 0  # waits for a slot that ended without one, though the run went on
        self.early = self.within_10 = self.within_25 = self.doubles = 0
        self.first = self.last = math.nan
        self.planned = self.wanted = 0.0  # integrals of the commanded and of the wanted rate
        self._cost = 1.0  # of the last call
        self._spent = 0.0  # what all calls but the last have cost: what these integrals should be
        self._mean_t = self._mean_late = self._tt = self._t_late = 0.0
        self._gaps = self._squares = 0.0
        self.in_10ms, self.in_1s, self.begun_in_1s = Most(IN_10MS), Most(IN_1S), Most(IN_1S)
        self._recent = self.in_10ms.recent, self.in_1s.recent
        self.highest = 0.0  # of the wanted rates, in calls
        self.skipped = 0.0  # slots that the late policy gave up
        self.lost = [0.0] * 7  # s of the schedule that these were, by what they were lost to
        #: How often, and for how long (s), each quota held calls back; last, Retry-After.
        self.held = [(0, 0.0)] * (quotas + 1)
        self.latencies = 0.0  # s, of all calls of which something became known
        self.first_begun = self.last_begun = self.last_end = math.nan
        self.running = 0  #: calls that workers are at
        self._served = 0  # those that they ended
        self._service = self._open = (
            0.0  # s: calls that workers ended; the beginnings of the others
        )
        self._slower = Trend()
        self._stretches: list[
            tuple[float, float, Wanted]
        ] = []  # (start, end, what was wanted) of the present gap
        self.blocked = self.fetching = 0.0  # s in the caller's code, and in the iterable
        self.computed: list[
            float
        ] = []  # s of processor time, by worker of a pool, as of its last call
        self.behind = self.overtaken = 0  # releases late by our own doing, and by the caller's
        self._ours = 0.0  # s of the present lag that are our own doing

    @property
    def released(self) -> int:
        return self.lateness.n

    # One function, for it runs at each release: a call in it costs a twentieth of it.
    def release(
        self,
        due: float,
        now: float,
        rate: float,
        target: float,
        begun: float,
        held: bool,
        profile: Points | None = None,
        cost: float = 1.0,
    ) -> None:
        """A release at `now` that was due at `due`, at a commanded rate and a wanted one.

        The rates are those of slots; a call of a `cost` takes so many of them.

        `begun` is when the pacing thread would have been free to wait for it, did we take no time
        ourselves; `held`: the limit, a quota or the service had it wait longer. `profile`: what is
        wanted over time, if it changes by itself; it is `target` now.
        """
        late = now - due
        speed = rate if rate < target else target
        self.lateness.add(late)
        n = self.lateness.n
        if late < 0.0:
            self.early += 1
        # A lag is ours if we woke up too late, and until it is made up for; the rest of it is the
        # caller's.
        ours = 0.0 if held else now - (begun if begun > due else due)
        if begun > due:
            ours += self._ours
            if ours > late:
                ours = late
            if ours < 0.0:
                ours = 0.0
        self._ours = ours
        # What a service could notice: the next one is due already, and two calls come closer than a
        # network would have them come anyway.
        if ours > 1e-3 and cost < ours * speed < math.inf and ours > 0.5 * late:
            self.behind += 1
        elif begun > due and not held and ours <= 0.5 * late:
            self.overtaken += 1
        mean_t, mean_late = self._mean_t, self._mean_late
        step = now - mean_t
        mean_t += step / n
        mean_late += (late - mean_late) / n
        self._mean_t, self._mean_late = mean_t, mean_late
        self._tt += step * (now - mean_t)
        self._t_late += step * (late - mean_late)
        if self.first != self.first:
            self.first = now
        else:
            gap = now - self.last
            self._gaps += gap
            self._squares += gap * gap
            planned = gap * speed if gap else 0.0  # of an endless rate, too
            wanted = gap * target if gap else 0.0
            if self._stretches or profile is not None:
                planned, wanted = self._of_stretches(now, rate, target, profile)
            self.planned += planned
            self.wanted += wanted
            before = self._cost
            self._spent += before
            if before != 1.0:
                planned = planned / before if before else 1.0
            if planned < 0.75:
                if planned < 0.1:
                    self.doubles += 1
            elif planned <= 1.25:
                self.within_25 += 1
                if -0.1 <= planned - 1.0 <= 0.1:
                    self.within_10 += 1
        self.last = now
        if cost != self._cost:
            self._cost = cost
        if cost != 1.0:
            target = target / cost if cost else math.inf
        if target > self.highest:
            self.highest = target
        recent, most = self._recent  # twice `Most.add`, without its call
        recent.append(now)
        if recent[0] <= now - IN_10MS:
            recent.popleft()
        most.append(now)
        if most[0] <= now - IN_1S:
            most.popleft()

    def retarget(self, now: float, wanted: Wanted) -> None:
        """Until now this was wanted; from now on it is something else."""
        if self.released:
            start = self._stretches[-1][1] if self._stretches else self.last
            self._stretches.append((start, now, wanted))

    def _of_stretches(
        self, now: float, rate: float, target: float, profile: Points | None
    ) -> tuple[float, float]:
        """(calls that were commanded, that were wanted) in a gap in which the wanted rate changed.

        By the release rule the commanded rate counts for the whole gap, each wanted rate for its
        time.
        """
        start = self._stretches[-1][1] if self._stretches else self.last
        last = target if profile is None else profile
        stretches = [*self._stretches, (start, now, last)]
        self._stretches.clear()
        lasts = [stretch for stretch in stretches if stretch[1] > stretch[0]]
        return (
            math.fsum(slots(*stretch, rate) for stretch in lasts),
            math.fsum(slots(*stretch, math.inf) for stretch in lasts),
        )

    def lose(self, slots: float, seconds: float, cause: int) -> None:
        """Slots that the late policy gave up, and to what."""
        self.skipped += slots
        self.lost[cause] += seconds

    def hold(self, gate: int, seconds: float) -> None:
        """A quota, or at the last place Retry-After, held calls back once."""
        times, before = self.held[gate]
        self.held[gate] = times + 1, before + seconds

    def begin(self, now: float, wait: float) -> None:
        """A worker has taken a call that waited for it. Counted first, as in `settle`."""
        if self.first_begun != self.first_begun:
            self.first_begun = now
        self.last_begun = now
        self.running += 1
        self._open += now
        self.waits.add(wait)
        self.begun_in_1s.add(now)

    def part(self, flying: int) -> None:
        """In a forked child: calls in flight are the parent's, and nothing more will be known of
        them.
        """
        self.forgotten += flying
        self.running, self._open = 0, 0.0

    def busy(self, workers: int, now: float) -> float:
        """Share of the workers' time, since the first release, in which they were at a call."""
        seconds = (now if self.running else self.last_end) - self.first
        if not workers or not seconds > 0.0:
            return math.nan
        return (self._service + self.running * now - self._open) / (workers * seconds)

    def service(self) -> float:
        """Mean time from begin to end of the calls that workers have ended; nan if there is
        none.
        """
        return self._service / self._served if self._served else math.nan

    @property
    def drops(self) -> int:
        """Signs of overload: calls that timed out or were refused by the service."""
        return self.timed_out + self.refused_by_service

    def slower(self) -> float:
        """By how much a call takes longer than the one a second before: 1 if half of the rate is
        served.
        """
        return self._slower.slope()

    @property
    def drift_ppm(self) -> float:
        """Slope of the regression of lateness on time, 1e-6."""
        return 1e6 * self._t_late / self._tt if self._tt > 0.0 else math.nan

    def rates(self) -> tuple[float, float, float]:
        """(achieved, commanded, wanted) mean rates of calls, 1/s; nan before the second release."""
        seconds = self.last - self.first
        if not seconds > 0.0:
            return math.nan, math.nan, math.nan
        return (
            (self.released - 1) / seconds,
            self.of_calls(self.planned) / seconds,
            self.of_calls(self.wanted) / seconds,
        )

    def mean_cost(self) -> float:
        """What calls have cost, on average; the last one does not count if there are others."""
        n = self.released - 1
        return self._spent / n if n > 0 else self._cost

    def of_calls(self, slots: float) -> float:
        """So many slots, or slots per second, as calls of the mean cost."""
        cost = self.mean_cost()
        return slots / cost if cost else math.inf

    def gap_cv(self) -> float:
        """Coefficient of variation of the gaps."""
        n = self.released - 1
        if n < 1 or self._gaps <= 0.0:
            return math.nan
        mean = self._gaps / n
        return math.sqrt(max(self._squares / n - mean * mean, 0.0)) / mean

    def settle(self, now: float, permit: Permit, outcome: int) -> None:
        """A call is over, and its permit closed.

        It is counted before anything is called, in which a signal handler might raise.
        """
        permit.open = False
        released, begun = permit.released, permit.begun
        if begun == begun:
            self.running -= 1
            self._served += 1
            self._service += now - begun
            self._open -= begun
        latency = now - released
        self.last_end = now
        if outcome == OK:
            self.ok += 1
            self.latencies += latency
            self.latency.add(latency)
            if self.most_in_flight > 1:  # one at a time they cannot hold up one another
                self._slower.add(released - self.first, now - begun if begun == begun else latency)
        elif outcome == UNFINISHED:
            self.forgotten += 1
        else:
            self.errors += 1
            self.latencies += latency
            if outcome == TIMED_OUT:
                self.timed_out += 1
            elif outcome != FAILED:
                self.refused_by_service += 1


def ceiling(target: float) -> float:
    """The most releases in a second that `late="auto"` allows at a wanted rate.

    >>> ceiling(100.0), ceiling(5.0)
    (111.0, 7.0)
    """
    return target + max(0.1 * target, 1.0) + 1.0
