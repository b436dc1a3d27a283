"""What a shared throttle owes its users, worked from its contract: nothing of the project's pacer
is used.

Times are seconds of the run's clock. The model is given what was asked, granted, ended and changed,
in order, and raises `AssertionError` for whatever the contract does not allow.
"""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

NOISE = 1e-3  # of a slot: the clock is read twice for one moment


#: (from, to, rate at the beginning, rate at the end) of a piece of the wanted rate.
Piece = tuple[float, float, float, float]


def capped_area(piece: Piece, most: float) -> float:
    """The integral of `min(most, rate)` over a piece: of its parts below and above."""
    a, b, ra, rb = piece
    low, high = min(ra, rb), max(ra, rb)
    if low == high or high <= most:
        return 0.5 * (ra + rb) * (b - a) if most >= high else most * (b - a)
    if low >= most:
        return most * (b - a)
    below = (most - low) / (high - low) * (b - a)
    return 0.5 * (low + most) * below + most * (b - a - below)


class Wanted:
    """The wanted rate over time, linear in pieces, and its integral."""

    def __init__(self, tps: float) -> None:
        self.pieces: list[Piece] = [(-math.inf, math.inf, tps, tps)]

    def change(self, now: float, tps: float) -> None:
        """This rate from now on."""
        self._cut(now)
        self.pieces.append((now, math.inf, tps, tps))

    def profile(self, now: float, stages: list[tuple[float, float]], rate: float) -> None:
        """From now on stages of (duration, rate at its end), from a rate; then nothing."""
        self._cut(now)
        for seconds, reached in stages:
            if seconds > 0.0:
                self.pieces.append((now, now + seconds, rate, reached))
            now, rate = now + seconds, reached
        self.pieces.append((now, math.inf, 0.0, 0.0))

    def _cut(self, now: float) -> None:
        kept = [piece for piece in self.pieces if piece[0] < now]
        if kept:
            kept[-1] = self._part(kept[-1], kept[-1][0], now)
        self.pieces = kept

    def __repr__(self) -> str:
        return str(self.pieces)

    def _part(self, piece: Piece, start: float, end: float) -> Piece:
        """What of a piece lies in a stretch."""
        a, b, ra, rb = piece
        if ra == rb:
            return max(a, start), min(b, end), ra, rb
        since, until = max(a, start), min(b, end)
        slope = (rb - ra) / (b - a)
        return since, until, ra + slope * (since - a), ra + slope * (until - a)

    @property
    def ends(self) -> float:
        """From when on nothing is wanted any more; inf if something always is."""
        start, _, _, rate = self.pieces[-1]
        return math.inf if rate > 0.0 else start

    def at(self, now: float) -> float:
        for piece in reversed(self.pieces):
            if piece[0] <= now:
                return self._part(piece, now, now)[2]
        return self.pieces[0][2]

    def parts(self, start: float, end: float) -> list[Piece]:
        """What was wanted in a stretch."""
        found = [self._part(p, start, end) for p in self.pieces if p[0] < end and p[1] > start]
        return [part for part in found if part[1] > part[0]]

    def slots(self, start: float, end: float, most: float = math.inf) -> float:
        """The integral of `min(most, wanted)` over a stretch."""
        if end <= start:
            return 0.0
        return math.fsum(capped_area(part, most) for part in self.parts(start, end))

    def after(self, start: float, slots: float, most: float = math.inf) -> float:
        """Where that integral from `start` reaches so many slots; inf if it never does."""
        if slots <= 0.0:
            return start
        for part in self.parts(start, math.inf):
            a, b, ra, rb = part
            if ra == rb:
                speed = min(ra, most)
                if speed > 0.0 and speed * (b - a) >= slots:
                    return a + slots / speed
            elif capped_area(part, most) >= slots:
                low, high = a, b  # in halves, until no float lies between
                while low < (middle := 0.5 * (low + high)) < high:
                    if capped_area(self._part(part, a, middle), most) >= slots:
                        high = middle
                    else:
                        low = middle
                return high
            slots -= capped_area(part, most) if min(ra, rb, most) > 0.0 or ra != rb else 0.0
        return math.inf

    def before(self, now: float, unit: float) -> float:
        """Where `late="auto"` goes on at the earliest after a release: 0.1 s or one interval before
        it, that of a call which costs `unit`.

        An interval of what is wanted now; after a fall no longer than it took until one was wanted.
        """
        rate = self.at(now)
        interval = unit / rate if rate > 0.0 else math.inf
        return max(now - max(0.1, interval), min(now - 0.1, self._one_back(now, unit)))

    def _one_back(self, now: float, unit: float) -> float:
        left = unit
        for part in reversed(self.parts(now - 1e6, now)):
            a, b, _, _ = part
            if capped_area(part, math.inf) >= left:
                low, high = a, b
                while low < (middle := 0.5 * (low + high)) < high:
                    if capped_area(self._part(part, middle, b), math.inf) >= left:
                        low = middle
                    else:
                        high = middle
                return low
            left -= capped_area(part, math.inf)
        return -math.inf

    def most(self, start: float, end: float) -> float:
        return max(max(ra, rb) for _, _, ra, rb in self.parts(start, end))


class Schedule:
    """The release rule and the late policies, over the wanted rate as it was at each time."""

    def __init__(self, late: str, wanted: Wanted) -> None:
        self.late = late
        self.wanted = wanted
        self.anchor = math.nan  #: where the slot in progress began
        self.gap = 1.0  #: how long it is: the cost of the call before
        self.call = -1  #: the last slot's number
        self.most = 1.0  #: the most that a call has counted as
        self.place = 0.0  #: the integral from the start up to the next slot, at least
        self.mean = self.unit = 1.0  #: of the costs of the slots so far; what a call counts as

    def due(self, rate: float) -> float:
        """The next slot, if the law commands that rate."""
        return self.wanted.after(self.anchor, self.gap, rate)

    def check(self, permit: Any, rate: float) -> None:
        """A slot is the one that was due."""
        off = self.wanted.slots(self.anchor, permit.scheduled, rate) - self.gap
        at = f"{permit.scheduled} (from {self.anchor}, {rate}/s, wanted {self.wanted})"
        assert abs(off) < NOISE, f"slot {permit.call} was due {off:+.4f} slots from {at}"
        assert permit.call == self.call + 1, f"slot {permit.call} after {self.call}"

    def go_on(self, permit: Any, rate: float) -> bool:
        """Where the next slot begins after this one; False where that hangs on a last bit."""
        due, now, wanted = permit.scheduled, permit.released, self.wanted
        self.call, self.anchor, self.gap = permit.call, due, permit.cost
        self.place += permit.cost
        if now <= due or self.late == "burst":
            return True
        missed = wanted.slots(due, now, rate) / self.unit
        if self.late == "delay":
            self.anchor = now
        elif self.late == "skip":
            given_up = math.floor(missed)
            self.call += given_up
            self.place += given_up * self.unit
            self.anchor = wanted.after(due, given_up * self.unit, rate)
            return abs(missed - round(missed)) > NOISE or missed < 0.5
        elif self.late == "auto":
            self.anchor = max(due, wanted.before(now, self.unit))
        else:
            kept = float(self.late.removeprefix("capped(").removesuffix(")"))
            over = (missed - kept) * self.unit
            self.anchor = wanted.after(due, over, rate) if missed > kept else due
        return True

    def learn(self, permit: Any) -> None:
        """A mean of the slots so far, which a law sees when it is more than a twentieth off."""
        self.mean += (permit.cost - self.mean) / min(permit.call + 1, 500)
        if abs(self.mean - self.unit) > 0.05 * self.unit:
            self.unit = self.mean
            self.most = max(self.most, self.unit)


class Quotas:
    """Ceilings of (amount, length of the window, whether of cost), counted afresh each time."""

    def __init__(self, ceilings: list[tuple[float, float, bool]]) -> None:
        self.ceilings = ceilings
        self.released: list[tuple[float, float]] = []  # (when, cost)

    def used(self, start: float, end: float, of_cost: bool) -> float:
        """What was released in [start, end)."""
        found = [cost if of_cost else 1.0 for t, cost in self.released if start <= t < end]
        return math.fsum(found)

    def release(self, now: float, cost: float) -> None:
        """One more; the windows that end with it are the fullest that it is in."""
        self.released.append((now, cost))
        for amount, length, of_cost in self.ceilings:
            used = self.used(now - length + 1e-9, math.inf, of_cost)
            assert used <= amount + NOISE, f"{used} of {amount} in {length} s, at {now}"

    def opening(self, cost: float) -> float:
        """From when on all windows have room for a call."""
        opens = -math.inf
        for amount, length, of_cost in self.ceilings:
            weight = cost if of_cost else 1.0
            for t in (-math.inf, *(t + length for t, _ in self.released)):
                if self.used(t - length + 1e-9, math.inf, of_cost) + weight <= amount + NOISE:
                    opens = max(opens, t)
                    break
        return opens


class Contract:
    """One run as its users see it.

    `exact`: whether the law commands by its rate and limit alone, so that each slot's time is known
    from what it commands; where it lets calls through or not, the bounds hold still.
    """

    def __init__(
        self, late: str, tps: float, exact: bool, ceilings: list[tuple[float, float, bool]]
    ) -> None:
        self.late = late
        self.wanted = Wanted(tps)
        self.schedule = Schedule(late, self.wanted)
        self.quotas = Quotas(ceilings)
        self.exact, self.sure = exact, False
        self.steady = True  #: whether the law has never held the rate below the wanted one
        self.start = math.nan
        self.line: list[Any] = []  #: who waits, in the order in which they asked
        self.open: set[Any] = set()  #: who has a call in hand
        self.ended: Counter[str] = Counter()
        #: (when, where the stretch before it begins, cost)
        self.releases: list[tuple[float, float, float]] = []
        self.items = 0
        #: Until when the service has asked to wait, s: by the clock before and after the answer.
        self.closed = self.surely_open = -math.inf

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
        assert permit.released >= self.closed - 1e-4, "before the service said"
        self.quotas.release(permit.released, permit.cost)
        self.steady = self.steady and rate >= self.wanted.at(permit.released)
        self._in_time(permit, rate)
        self._bounded(permit)
        self.schedule.learn(permit)

    def _in_time(self, permit: Any, rate: float) -> None:
        if not self.releases:
            assert permit.call == 0 or not self.exact
            self.start = permit.scheduled
            self.schedule.call = permit.call
        elif self.exact and self.sure:
            self.schedule.check(permit, rate)
        # A slot is never before the place where the integral from the start is the cost before it.
        place, least = self.wanted.slots(self.start, permit.released), self.schedule.place
        assert place >= least - NOISE, f"{least} wanted before slot {permit.call}, found {place}"
        assert permit.scheduled < self.wanted.ends, "a slot when nothing is wanted any more"
        self.sure = self.schedule.go_on(permit, rate)

    def _bounded(self, permit: Any) -> None:
        """No stretch holds more than its integral and the policy allow, each second included."""
        now, wanted = permit.released, self.wanted
        unit = self.schedule.most
        begin = wanted.before(now, unit) if self.late == "auto" else now
        self.releases.append((now, begin, permit.cost))
        more = {"burst": math.inf, "auto": 0.0, "delay": 0.0, "skip": 1.0}.get(self.late)
        if more is None:
            more = float(self.late.removeprefix("capped(").removesuffix(")"))
        if more > 0.0 and not self.steady:
            return  # an interval of a slower law counts more once it is faster: `Schedule` knows
        spent = -permit.cost  # the newest one moves the next slot alone
        for then, since, cost in reversed(self.releases):
            spent += cost
            allowed = more * unit + wanted.slots(since, now)
            assert spent <= allowed + NOISE, f"{spent} from {then} to {now}; at most {allowed}"
            if self.late == "auto" and now < then + 1.0:
                most = wanted.most(since, now + 1e-9)
                ceiling = most + max(0.1 * most, unit)
                assert spent <= ceiling + NOISE, (
                    f"{spent} in the second from {then}; the ceiling is {ceiling}"
                )

    def asked_to_wait(self, before: float, after: float, seconds: float) -> None:
        """The service has said when to come back."""
        self.closed = max(self.closed, before + seconds)
        self.surely_open = max(self.surely_open, after + seconds)

    def end(self, user: Any, how: str) -> None:
        self.open.remove(user)
        self.ended[how] += 1

    def most_in_1s(self, second: float) -> int:
        times = [now for now, *_ in self.releases]
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

    def overdue(
        self, now: float, rate: float, limit: float, cost: float, due: Callable[[], float]
    ) -> bool:
        """Whether the first of the line should have a slot by now. `due`: where the law has the
        last word.
        """
        if not self.line or len(self.open) + 1 > limit or now <= self.surely_open:
            return False
        if self.quotas.opening(cost) >= now:
            return False
        if not (self.exact and self.sure):
            return due() < now
        return self.schedule.due(rate) < now
