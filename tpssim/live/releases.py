"""How slots are released: when the next one is due, and who gets it."""

from __future__ import annotations

import math

from tpssim.core.errors import Aborted
from tpssim.core.pacer import Pacer
from tpssim.core.profiles import Stages
from tpssim.live.arguments import Tps, checked_target
from tpssim.live.gates import holding, last_gate
from tpssim.live.journal import slot_line, start_line, target_line
from tpssim.live.late_causes import Watch
from tpssim.live.permits import OpenPermit, Permit
from tpssim.live.run_parts import Bell, Release
from tpssim.live.session_state import invalid_actuators
from tpssim.live.settlements import Settlements

#: If a limit is reached and no call has ended for so long, the user is warned, s.
PATIENCE = 30.0


class Releases(Settlements):
    """The third step of a run: slots are released.

    The methods are for the head of the queue alone, unless they say that any thread may call them.
    """

    __slots__ = ()

    def begin(self, in_loop: bool) -> float:
        """The first moment of the run, s: the law's time starts.

        `in_loop`: whether the first one to ask is a task.
        """
        with self._lock:
            start = self.timing.now()
            pacer = self.new_pacer(start)
            if wrong := invalid_actuators(pacer.state):
                self._failure = Aborted(f"{self.name} failed: {wrong}")
            watch = None if self.borrowed else Watch(self.tally, start, in_loop)
            line = start_line(start, self.wanted, self.calls, pacer.state)
            self.free_since = start  # from here on there is no call
            self.want(self.wanted, start)
            self.watch = watch
            self.pacer = pacer
            if self.journal is not None:
                self.journal.lines += (line,)
        if self._guard.mail:
            self._guard.drain()
        return start

    def left_without_slot(self) -> None:
        """The head leaves the queue without a slot. What held it back counts if that was the end;
        who tries again and again would count it each time.
        """
        if self.pacer is not None:
            now = self.free_since = self.timing.now()
            with self._lock:
                held = holding(self, now) if self.stopped else None
                if held is not None:
                    self.tally.hold(*held)
                self.asked_cost = math.nan
            if self._guard.mail:
                self._guard.drain()

    def given_up(self) -> None:
        """Somebody stops waiting for a slot, though the run goes on. Any thread."""
        self._guard.do(self._given_up)

    def _given_up(self) -> None:
        if not (self.stopped or self._exhausted):
            self.tally.went_without += 1

    def waits_for_item(self, bell: Bell) -> bool:
        """Whether the run goes on; if it ends while the head waits for its item, `bell` is rung."""
        with self._lock:
            self._bell = bell
        if self._guard.mail:
            self._guard.drain()
        return not self.over()

    def deadline(self, bell: Bell | None = None, cost: float = 1.0) -> float | None:
        """When the head of the queue is to look again: the next slot, or the end of a window.

        `cost` is that of its call; `bell` is what it waits with, and whatever moves the slot rings
        it. None: the run is over.
        """
        with self._lock:
            if self._uncounted is not None:
                self._count()
            watch, released_at = self.watch, self.released_at
            self.warning = ""
            if watch is not None and not released_at <= watch.look_after:
                self.warning = watch.look(released_at)
            if self._failure is not None or self.journal is not None:
                self._check()
            pacer = self.pacer
            assert pacer is not None
            if self.stopped:
                return None
            if self._requested is not None:
                self._grant(self._requested)
            over = self.ends < math.inf and self.timing.now() >= self.ends
            due = self._due = pacer.due(cost)
            self._bell, self.asked_cost = bell, cost
            self._current = True
            if due == math.inf:
                due = self._closed(pacer)
            elif pacer.look_at < due:
                due = pacer.look_at
        if self._guard.mail:
            self._guard.drain()
        if over:
            self.finish()
            return None
        return due if due < self.ends else self.ends

    def _closed(self, pacer: Pacer) -> float:
        """No slot is due now: when to look again. Warns once if there may never be one."""
        look_at = pacer.look_at
        if not pacer.flying:
            if look_at == self.ends == math.inf and not self._starved:
                self._starved = True
                self.warning = (
                    f"{self.name} releases nothing and no call is in flight, so nothing will"
                    " change that; set tps, or call stop()"
                )
        elif (
            not self.borrowed
            and self.calls == "permits"
            and pacer.flying + 1 > pacer.state.limit
            and not self._stuck
        ):
            since = (
                max(self.released_at, self._settled_at)
                if self._settled_at > 0.0
                else self.released_at
            )
            if self.timing.now() < since + PATIENCE:
                return min(look_at, since + PATIENCE)
            self._stuck = True
            self.warning = (
                f"{pacer.flying} calls are in flight, which is the limit of {self.name}, and none"
                f" has ended for {PATIENCE:g} s: settle each permit (with permit: ..., or done,"
                " fail, drop)"
            )
        return look_at

    def finish(self) -> None:
        """Release nothing more; the run is over when what is in flight is settled. Any thread."""
        self._guard.post(self._finish)

    def _finish(self) -> None:
        self._count()
        self._exhausted = self.ending = True
        self.queue.call_all()
        if self.watch is not None:
            self.watch.judge(self.timing.now())  # another thread may ask for the report
        if self.pacer is None or not self.pacer.flying:
            self.end()

    def release(self, now: float, begun: float, cost: float = 1.0) -> Permit | None:
        """A permit, if a slot is due now (`begun`: as in `Tally.release`)."""
        permit = None
        try:
            with self._lock:
                self._bell = None
                pacer = self.pacer
                assert pacer is not None
                while pacer.look_at <= now:
                    self._end_window(pacer)
                # `deadline` has asked for the slot; only an observation since then can move it.
                opens = self._due if self._current else pacer.due(cost)
                if now >= opens and opens < self.ends:
                    due = pacer.deadline
                    call, flying = pacer.slot, pacer.flying + 1
                    path = pacer.path
                    seen, asked, unit = path.seen, path.asked, path.unit
                    new, release = OpenPermit(self, call, due, now, flying, cost), Release()
                    release.gate = -1
                    if opens != due:
                        release.gate, release.opened = last_gate(pacer, cost)
                    try:
                        given = (
                            pacer.release(now, cost)
                            if pacer.admit is None and (call > 0 or not pacer.learns)
                            else self._call_law(pacer.release, now, cost)
                        )
                    except BaseException:  # of a signal handler: nothing has been released
                        pacer.slot, pacer.flying = call, flying - 1
                        raise
                    self.asked_cost = math.nan
                    if given:  # from here on there is no call
                        self.released_at = self.free_since = now
                        release.due, release.now, release.begun = due, now, begun
                        release.call, release.flying = call, flying
                        release.limited = pacer.limited_slot == call
                        release.state, release.target = pacer.state, pacer.target
                        release.cost, release.profile = cost, self.profile
                        release.seen, release.asked, release.unit = seen, asked, unit
                        tally = self.tally
                        release.blocked, release.fetching = tally.blocked, tally.fetching
                        release.retrying = self.retrying
                        self._uncounted = release
                        new.open = True
                        permit = new
                    else:
                        self._refuse(pacer, call, due, cost, now)
            if self._guard.mail:
                self._guard.drain()
        except BaseException:
            if permit is not None:  # nobody gets it, and the exception may be kept for long
                permit.forget()
            raise
        return permit

    def _refuse(self, pacer: Pacer, call: int, due: float, cost: float, now: float) -> None:
        """The law refuses the call of this slot."""
        if self._failure is None:
            self.tally.refused += 1
            self._call_law(pacer.refused, now)
        if self.journal is not None:
            self.journal.add(slot_line("refuse", now, call, due, cost, pacer.flying, pacer.state))
        self._check()

    def retarget(self, tps: Tps) -> None:
        """Another wanted rate from now on, or a profile that begins now. Any thread.

        A law that sets the wanted rate while it is being given another one gets its own at the next
        look at the schedule, for it might go on for ever.
        """
        tps = checked_target(tps, self.name, self.law)
        if self._changing and self._mine():
            self._requested = tps
            return
        self._guard.do(self._retarget, tps)

    def _retarget(self, tps: float | Stages) -> None:
        if tps == self.wanted and not isinstance(tps, Stages):
            return
        self._count()
        if self.pacer is not None:
            now = self.timing.now()
            if now >= self.ends:
                self._finish()  # the last stage is over, though nobody has asked since
                return
            while self.pacer.look_at < now:
                self._end_window(self.pacer)
            self.tally.retarget(now, self.target if self.profile is None else self.profile)
            before = self.wanted, self.profile, self.ends, self.since
            path = self.pacer.path
            self.want(tps, now)
            self._changing = True
            try:
                self._call_law(self.pacer.retarget, now, tps)
            finally:
                self._changing = False
                if self.pacer.path is path:
                    self.wanted, self.profile, self.ends, self.since = before
                    self.changes += 1  # back again
            if self.journal is not None:
                self.journal.add(target_line(now, tps, self.pacer.state))
        else:
            self.wanted, self.since = tps, self.timing.now()
            self.changes += 1
        self._ring()

    def _grant(self, tps: float | Stages) -> None:
        """Set the wanted rate that the law requested."""
        self._requested = None
        try:
            self._retarget(tps)
        finally:
            if self.wanted != tps and self._requested is None:
                self._requested = tps
