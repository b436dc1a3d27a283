"""What becomes of released calls: they are counted, begun and settled.

Their outcomes are observations of the law.
"""

from __future__ import annotations

from tpssim.core.costs import cost_rate
from tpssim.core.types import OK, UNFINISHED, drop_of, error_of
from tpssim.live.journal import end_line, slot_line, stop_line
from tpssim.live.permits import Permit
from tpssim.live.reporting import report_of
from tpssim.live.run_parts import Release
from tpssim.live.session_state import SessionState
from tpssim.live.stats import CALLER, CLOSED, LIMIT, MACHINE, QUOTA, RETRIES, SOURCE


class Settlements(SessionState):
    """The second step of a run: calls begin and end. Any thread may call its public methods."""

    __slots__ = ()

    def _count(self) -> None:
        """Count the last release, and write it to the journal."""
        release, self._uncounted = self._uncounted, None  # at once: a signal handler may ask, too
        if release is None:
            return
        tally, rate, target = self.tally, release.state.rate, release.target
        profile = release.profile
        if profile is not None or release.unit != 1.0:
            known = release.seen, release.asked, release.unit
            rate = cost_rate(rate, *known, profile is not None)
        n = tally.lateness.n
        try:
            due, now, begun, limited = release.due, release.now, release.begun, release.limited
            free = due if due > begun else begun
            held = release.gate >= 0 and release.opened > free
            waited = held or limited
            tally.release(due, now, rate, target, begun, waited, profile, release.cost)
            if held:
                tally.hold(release.gate, release.opened - free)
            if release.flying > tally.most_in_flight:
                tally.most_in_flight = release.flying
            assert self.pacer is not None
            slots = self.pacer.skipped - tally.skipped
            if slots > 0.0:
                speed = rate if rate < target else target
                seconds = slots * release.unit / speed if speed > 0.0 else 0.0
                tally.lose(slots, seconds, self._cause(release, held, seconds))
        except BaseException:  # of a signal handler
            if tally.lateness.n == n:
                self._uncounted = release
            else:
                self._counted(release)
            raise
        self._before = release.blocked, release.fetching, release.retrying
        if self.journal is not None:
            self._counted(release)

    def _cause(self, release: Release, held: bool, seconds: float) -> int:
        """What a release waited for that came so many seconds too late; `held`: a quota or the
        service held it back.
        """
        if release.limited:
            return LIMIT
        if held:
            return QUOTA if release.gate < len(self.quotas) else CLOSED
        blocked, fetching, retrying = self._before
        retry = release.retrying - retrying
        longest, waited = max(
            (release.blocked - blocked, CALLER),
            (release.fetching - fetching - retry, SOURCE),
            (retry, RETRIES),
        )
        return waited if longest > 0.5 * seconds else MACHINE

    def _counted(self, release: Release) -> None:
        """A release has been counted; write it to the journal."""
        self._before = release.blocked, release.fetching, release.retrying
        if self.journal is not None:
            slot = release.call, release.due, release.cost, release.flying
            line = slot_line("release", release.now, *slot, release.state)
            self.journal.lines += (line,)

    def began(self, permit: Permit) -> None:
        """A worker has taken a call."""
        self._guard.do(self._began, permit)

    def _began(self, permit: Permit) -> None:
        if permit.open and permit.begun != permit.begun and permit.call >= self._first_call:
            self._count()
            now, running = self.timing.now(), self.tally.running
            try:
                self.tally.begin(now, now - permit.released)
            finally:
                if self.tally.running != running:
                    permit.begun = now

    def settle(self, permit: Permit, outcome: int, posted: bool = False) -> float:
        """A call is over; returns when, s."""
        if not posted and self._mine():
            self._guard.post(self.settle, permit, outcome, True)
            return self.timing.now()
        try:
            with self._lock:
                now = self.timing.now()
                if not permit.open or permit.call < self._first_call:
                    permit.open = False
                    return now
                if self._uncounted is not None:
                    self._count()
                pacer = self.pacer
                assert pacer is not None
                while pacer.look_at < now:
                    self._end_window(pacer)
                flying, said = pacer.flying, permit.outcome
                if said is not None and said.retry_after is not None:
                    pacer.close_until(now + said.retry_after)
                    self._current = False
                try:
                    if outcome == UNFINISHED:
                        self._current = False
                        pacer.forgotten()
                    else:
                        released = permit.released
                        error = drop = 0.0
                        if outcome != OK:
                            error, drop = error_of(outcome), drop_of(outcome)
                        lag, others = released - permit.scheduled, float(permit.in_flight)
                        self._call_law(pacer.settled, now, now - released, lag, error, drop, others)
                    self.tally.settle(now, permit, outcome)
                except BaseException:
                    self._interrupted(permit, now, outcome, flying)
                    raise
                self._settled_at = now
                permit.__class__ = Permit
                if self.journal is not None:
                    self._settled(permit, now, outcome)
                bell = self._bell
                last = self._exhausted and not pacer.flying
            if bell is not None:
                bell.wake()
            if last:
                self.end()
        except BaseException:
            if not permit.open:  # it is counted as over, but perhaps nobody was woken
                self._wake_after_interrupt()
            raise
        if self._guard.mail:
            self._guard.drain()
        return now

    def _wake_after_interrupt(self) -> None:
        """Wake those who wait for the end of a call that a signal handler interrupted."""
        with self._lock:
            self._ring()
            last = self._exhausted and (self.pacer is None or not self.pacer.flying)
        if last:
            self.end()

    def _interrupted(self, permit: Permit, now: float, outcome: int, flying: int) -> None:
        """A signal handler has raised while a call was settled: it is counted, or still open."""
        assert self.pacer is not None
        if permit.open:
            self.pacer.flying = flying
        else:
            self._settled(permit, now, outcome)

    def _settled(self, permit: Permit, now: float, outcome: int) -> None:
        """A call has been counted as over; write it to the journal."""
        self._settled_at = now
        permit.__class__ = Permit
        if self.journal is not None:
            assert self.pacer is not None
            said = permit.outcome
            wait = None if said is None else said.retry_after
            self.journal.lines += (end_line(now, permit.call, outcome, self.pacer.state, wait),)

    def abandon(self, permit: Permit) -> None:
        """Nobody has settled a permit that is garbage now. Even a finaliser may call this."""
        self._guard.post(self.settle, permit, UNFINISHED, True)

    def end(self) -> None:
        """The run is over: the journal gets the report and is closed."""
        with self._lock:
            self._count()
            journal = self.journal
            if journal is not None:
                line = stop_line(self.timing.now(), report_of(self))
                self.journal = None
                journal.lines += (line,)
        if self._guard.mail:
            self._guard.drain()
        if journal is not None:
            journal.close()
