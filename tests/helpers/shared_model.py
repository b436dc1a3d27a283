"""What a shared throttle owes its users, worked from its contract: nothing of the project's pacer
is used.

Times are seconds of the run's clock. The model is told what was asked, granted, ended and changed,
in order, and raises `AssertionError` for whatever the contract does not allow.
"""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

NOISE = 1e-3  # of a slot: the clock is read twice for one moment


class Wanted:
    """The wanted rate over time, a step function, and its integral."""

    def __init__(self, tps: float) -> None:
        self.since = [-math.inf]
        self.rates = [tps]

    def change(self, now: float, tps: float) -> None:
        self.since.append(now)
        self.rates.append(tps)

    def __repr__(self) -> str:
        return str(list(zip(self.since, self.rates, strict=True)))

    @property
    def now(self) -> float:
        return self.rates[-1]

    def steps(self, start: float, end: float) -> list[tuple[float, float, float]]:
        """(from, to, rate) over a stretch."""
        cuts = [start, *(t for t in self.since if start < t < end), end]
        rates = [self.rates[bisect.bisect_right(self.since, t) - 1] for t in cuts]
        return [(a, b, rate) for a, b, rate in zip(cuts, cuts[1:], rates, strict=False)]

    def slots(self, start: float, end: float, most: float = math.inf) -> float:
        """The integral of `min(most, wanted)` over a stretch."""
        if end <= start:
            return 0.0
        return math.fsum((b - a) * min(rate, most) for a, b, rate in self.steps(start, end))

    def after(self, start: float, slots: float, most: float = math.inf) -> float:
        """Where that integral from `start` reaches so many slots."""
        end = max(start, self.since[-1])
        for a, b, rate in self.steps(start, end):
            speed = min(rate, most)
            if speed * (b - a) >= slots:
                return a + slots / speed if slots > 0.0 else a
            slots -= speed * (b - a)
        speed = min(self.now, most)
        return end + slots / speed if speed > 0.0 else math.inf

    def before(self, now: float) -> float:
        """Where `late="auto"` goes on at the earliest after a release: 0.1 s or one interval before
        it.

        An interval of what is wanted now; after a fall no longer than it took until one was wanted.
        """
        return max(now - max(0.1, 1.0 / self.now), min(now - 0.1, self._one_back(now)))

    def _one_back(self, now: float) -> float:
        left = 1.0
        for a, b, rate in reversed(self.steps(min(now - 1e6, now), now)):
            if rate * (b - a) >= left:
                return b - left / rate
            left -= rate * (b - a)
        return -math.inf

    def most(self, start: float, end: float) -> float:
        return max(rate for _, _, rate in self.steps(start, end))


class Schedule:
    """The release rule and the late policies, over the wanted rate as it was at each time."""

    def __init__(self, late: str, wanted: Wanted) -> None:
        self.late = late
        self.wanted = wanted
        self.anchor = math.nan  #: where the slot in progress began
        self.call = -1  #: the last slot's number

    def due(self, rate: float) -> float:
        """The next slot, if the law commands that rate."""
        return self.wanted.after(self.anchor, 1.0, rate)

    def check(self, permit: Any, rate: float) -> None:
        """A slot is the one that was due."""
        off = self.wanted.slots(self.anchor, permit.scheduled, rate) - 1.0
        at = f"{permit.scheduled} (from {self.anchor}, {rate}/s, wanted {self.wanted})"
        assert abs(off) < NOISE, f"slot {permit.call} was due {off:+.4f} slots from {at}"
        assert permit.call == self.call + 1, f"slot {permit.call} after {self.call}"

    def go_on(self, permit: Any, rate: float) -> bool:
        """Where the next slot begins after this one; False where that hangs on a last bit."""
        due, now, wanted = permit.scheduled, permit.released, self.wanted
        self.call, self.anchor = permit.call, due
        if now <= due or self.late == "burst":
            return True
        missed = wanted.slots(due, now, rate)
        if self.late == "delay":
            self.anchor = now
        elif self.late == "skip":
            given_up = math.floor(missed)
            self.call += given_up
            self.anchor = wanted.after(due, given_up, rate)
            return abs(missed - round(missed)) > NOISE or missed < 0.5
        elif self.late == "auto":
            self.anchor = max(due, wanted.before(now))
        else:
            kept = float(self.late.removeprefix("capped(").removesuffix(")"))
            self.anchor = wanted.after(due, missed - kept, rate) if missed > kept else due
        return True


class Contract:
    """One run as its users see it.

    `exact`: whether the law commands by its rate and limit alone, so that each slot's time is known
    from what it commands; where it lets calls through or not, the bounds hold still.
    """

    def __init__(self, late: str, tps: float, exact: bool) -> None:
        self.late = late
        self.wanted = Wanted(tps)
        self.schedule = Schedule(late, self.wanted)
        self.exact, self.sure = exact, False
        self.steady = True  #: whether the law has never held the rate below the wanted one
        self.start = math.nan
        self.line: list[Any] = []  #: who waits, in the order in which they asked
        self.open: set[Any] = set()  #: who has a call in hand
        self.ended: Counter[str] = Counter()
        self.releases: list[
            tuple[float, float]
        ] = []  # (when, slots up to where its stretch before begins)
        self.items = 0

    def ask(self, user: Any) -> None:
        self.line.append(user)

    def leave(self, user: Any) -> None:
        """Without a slot: time is up, cancelled, over."""
        self.line.remove(user)

    def first(self, user: Any) -> None:
        assert self.line[0] is user, f"not first come, first served: {user} before {self.line[0]}"

    def granted(self, user: Any, permit: Any, item: Any, rate: float, limit: float) -> None:
        """A slot, to whoever has waited longest, at its time and not before."""
        self.first(user)
        self.line.remove(user)
        assert user not in self.open
        self.open.add(user)
        assert permit.in_flight == len(self.open), (
            f"{permit.in_flight} in flight, of {len(self.open)}"
        )
        assert len(self.open) <= limit, f"{len(self.open)} in flight, where the law allows {limit}"
        assert item is None or item == self.items, f"item {item}, where {self.items} comes next"
        self.items += 1
        assert permit.released >= permit.scheduled, "before its time"
        self.steady = self.steady and rate >= self.wanted.now
        self._in_time(permit, rate)
        self._bounded(permit)

    def _in_time(self, permit: Any, rate: float) -> None:
        if not self.releases:
            assert permit.call == 0 or not self.exact
            self.start = permit.scheduled
            self.schedule.call = permit.call
        elif self.exact and self.sure:
            self.schedule.check(permit, rate)
        # Slot k is never before the place where the integral from the start is k.
        place = self.wanted.slots(self.start, permit.released)
        assert place >= permit.call - NOISE, f"slot {permit.call} where {place} were wanted"
        self.sure = self.schedule.go_on(permit, rate)

    def _bounded(self, permit: Any) -> None:
        """No stretch holds more than its integral and the policy allow, each second included."""
        now, wanted = permit.released, self.wanted
        begin = wanted.before(now) if self.late == "auto" else now
        self.releases.append((now, begin))
        more = {"burst": math.inf, "auto": 0.0, "delay": 0.0, "skip": 1.0}.get(self.late)
        if more is None:
            more = float(self.late.removeprefix("capped(").removesuffix(")"))
        if more > 0.0 and not self.steady:
            return  # an interval of a slower law counts more once it is faster: `Schedule` knows
        for n, (then, since) in enumerate(reversed(self.releases), 1):
            allowed = 1.0 + more + wanted.slots(since, now)
            assert n <= allowed + NOISE, f"{n} releases from {then} to {now}; at most {allowed}"
            if self.late == "auto" and now < then + 1.0:
                most = wanted.most(since, now + 1e-9)
                ceiling = 1.1 * most + 1.0 if most >= 10.0 else most + 2.0
                assert n <= ceiling + NOISE, (
                    f"{n} in the second from {then}; the ceiling is {ceiling}"
                )

    def end(self, user: Any, how: str) -> None:
        self.open.remove(user)
        self.ended[how] += 1

    def most_in_1s(self, second: float) -> int:
        times = [now for now, _ in self.releases]
        return max(
            (k - bisect.bisect_right(times, t - second) + 1 for k, t in enumerate(times)), default=0
        )

    def check(self, report: Any, fetched: float, pending: tuple[Any, ...] | None) -> None:
        """The report's sums, and the items."""
        ended = self.ended
        errors = ended["failed"] + ended["refused"] + ended["timed out"]
        found = (
            report.ok,
            report.errors,
            report.refused_by_service,
            report.timed_out,
            report.forgotten,
        )
        true = (ended["ok"], errors, ended["refused"], ended["timed out"], ended["forgotten"])
        assert found == true, f"ok, errors, refused, timed out, forgotten: {found}, of {true}"
        given = len(self.releases), len(self.open), 0
        counted = report.released, report.in_flight, report.early
        assert counted == given, f"released, in flight, early: {counted}, of {given}"
        assert given[0] == sum(ended.values()) + given[1], "the sums"
        most = report.most_in_1s
        assert self.most_in_1s(1.0 - 1e-6) <= most <= self.most_in_1s(1.0 + 1e-6), (
            f"{most} in a second"
        )
        if pending is not None:
            true_pending = tuple(range(self.items, int(fetched)))
            assert pending == true_pending, (
                f"pending is {pending}, where {true_pending} was fetched"
            )

    def overdue(self, now: float, rate: float, limit: float, due: Callable[[], float]) -> bool:
        """Whether the first of the line should have a slot by now. `due`: where the law has the
        last word.
        """
        if not self.line or len(self.open) + 1 > limit:
            return False
        if not (self.exact and self.sure):
            return due() < now
        return self.schedule.due(rate) < now
