"""A stream of calls under a law: slots, counts, journal. All of a throttle but items and
waiting.
"""

from __future__ import annotations

import json
import math
import os
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from tpssim.core.errors import Aborted, InputError
from tpssim.core.pacer import Pacer
from tpssim.core.schedule import Late
from tpssim.core.types import OK, UNFINISHED
from tpssim.core.validation import ranges
from tpssim.live.arguments import checked_record, checked_target, draws, late_of, law_of
from tpssim.live.journal import Journal, end_line, machine, number, slot_line, stamp, valves
from tpssim.live.late_causes import Watch
from tpssim.live.outcomes import Classify
from tpssim.live.permits import OpenPermit, Permit, told
from tpssim.live.report import Report
from tpssim.live.reporting import glimpse_of, report_of, why_of
from tpssim.live.run_lock import Guard
from tpssim.live.signal_handlers import by_handler
from tpssim.live.stats import CALLER, LIMIT, MACHINE, RETRIES, SOURCE, Tally
from tpssim.live.waiters import Line

#: So long may calls be open behind a closed limit, none of them ending, before somebody is told of
#: it, s.
PATIENCE = 30.0


class Timing(Protocol):
    """What a flow needs of the clock that its throttle waits on."""

    @property
    def spun(self) -> float: ...
    @property
    def threshold(self) -> float: ...
    def now(self) -> float: ...
    def part(self) -> None: ...


class Bell(Protocol):
    """What the head of the line waits with."""

    def wake(self) -> None: ...


class Wait(Bell, Protocol):
    """What a thread at the head of the line waits with."""

    def wait(self, deadline: float) -> float: ...


class Flow:
    """What the throttles share: one law, one schedule, one line of those who want its slots.

    The methods that say so may be called from any thread; those may be called from signal handlers,
    finalisers and laws too.

    A signal handler may raise in the middle of anything. What counts is therefore done by plain
    stores one after the other, between which the interpreter calls nobody (see `Line`), or is put
    back: a slot is released, and a call settled, or it is not. What may be lost is an observation
    of the law, or one value of a distribution.
    """

    # Beyond 30 attributes without slots CPython looks up each of them in a dict.
    # fmt: off
    __slots__ = (
        "__weakref__",
        "_before",
        "_bell",
        "_changing",
        "_current",
        "_exhausted",
        "_failure",
        "_first_call",
        "_guard",
        "_lock",
        "_mine",
        "_moved_at",
        "_starved",
        "_stuck",
        "_uncounted",
        "_wish",
        "borrowed",
        "calls",
        "changed",
        "classify",
        "complaint",
        "ending",
        "free_since",
        "from_verb",
        "heard",
        "journal",
        "late",
        "law",
        "line",
        "name",
        "on_demand",
        "pacer",
        "released_at",
        "retrying",
        "seed",
        "stopped",
        "tally",
        "target",
        "tasks",
        "timing",
        "watch",
        "workers",
    )
    # fmt: on

    def __init__(
        self,
        tps: float,
        controller: Any,
        late: Late | str,
        record: str | Path | None,
        seed: int,
        timing: Timing,
        options: Mapping[str, Any],
        borrowed: bool = False,
    ) -> None:
        self.name, self.law = law_of(controller)
        self.target = checked_target(tps, self.name, self.law)
        self.late = late_of(late)
        self.timing = timing
        self.borrowed = borrowed  #: whether its clock is the caller's
        self.seed = seed
        try:
            wrong = nonsense(self.law.init(self.target))
        except InputError:
            raise
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"
        if wrong:
            raise InputError(
                f"controller {self.name} begins with nonsense at tps={self.target:g}: {wrong}"
            )
        self.stopped = False
        self.classify: Classify | None = None  #: the user's word on what came of a call, if any
        self.retrying = (
            0.0  #: s that a run only waited for retries, which is not the iterable's doing
        )
        self.heard = (
            False  #: whether anybody has said what came of a call, or raised something in it
        )
        self.tally = Tally()
        self.pacer: Pacer | None = None
        self.watch: Watch | None = None
        self.changed: tuple[Any, Any, Any] | None = (
            None  #: (state, observation, state) of the last move
        )
        self.calls = "blocking"  #: how they are made: blocking, permits, pool(N), async, async(N)
        self.workers = 0  #: that make them; 0: as many as it takes, or none
        self.tasks = False  #: whether tasks of an event loop make them
        self.from_verb = False  #: whether the command line made it, whose options have other names
        self.on_demand = False  #: whether there are no items: a call is made when somebody asks
        #: The last release, not yet counted: the caller, who waits for this moment, goes first.
        self._uncounted: (
            tuple[float, float, float, float, float, bool, int, int, Any, float, float, float]
            | None
        ) = None
        #: The last that was counted; at its end: s in the caller's code, in the iterable, and for
        #: retries.
        self._before: tuple[Any, ...] = 0.0, 0.0, 0.0
        self.released_at = math.nan  #: the last release, s
        self.complaint = ""  #: what `deadline` would have the caller warned of, without our lock
        self._failure: Aborted | None = None
        self._guard = Guard()
        self._lock = self._guard.lock
        self._mine = self._guard.mine
        self.line = Line(self._guard)
        self._bell: Bell | None = None  # of the head of the line, while it waits for its slot
        self.free_since = math.nan  #: when the head left the line last, s
        self.ending = False  #: whether to ask `over`
        self._moved_at = math.nan  # when a call was settled last, s
        self._first_call = 0  # calls before it are those of the process that this one is a fork of
        self._current = False  # whether the pacer's deadline is what it would say now
        self._starved = self._exhausted = self._stuck = False
        self._changing = False  # whether the law is being told of another wanted rate
        self._wish: float | None = None  # the wanted rate that it sets meanwhile
        path = checked_record(record)
        self.journal = None if path is None else Journal(path, self._header() | dict(options))
        _flows.add(self)

    def _header(self) -> dict[str, Any]:
        law = {field: getattr(self.law, field) for field in ranges(self.law)}
        return {
            **machine(),
            "began": stamp(),
            "controller": self.name,
            "parameters": law,
            "tps": self.target if self.target < math.inf else None,
            "late": str(self.late),
            "seed": self.seed,
            "threshold": self.timing.threshold,
        }

    def begin(self, in_loop: bool) -> float:
        """The first moment of the run: the law's time starts. `in_loop`: the first one to ask is a
        task.
        """
        with self._lock:
            start = self.timing.now()
            pacer = Pacer(self.law, self.target, start, *draws(self.seed), late=self.late)
            if wrong := nonsense(pacer.state):
                self._failure = Aborted(f"{self.name} answered nonsense: {wrong}")
            watch = None if self.borrowed else Watch(self.tally, start, in_loop)
            what = (
                f'"e": "start", "t": {start!r}, "tps": {number(self.target)}, "calls":'
                f' "{self.calls}"'
            )
            line = f"{{{what}, {valves(pacer.state)}"
            self.free_since = start  # from here on nothing is called
            self.watch = watch
            self.pacer = pacer
            if self.journal is not None:
                self.journal.lines += (line,)
        if self._guard.mail:
            self._guard.drain()
        return start

    def gone_without(self) -> None:
        """The head leaves the line without a slot."""
        if self.pacer is not None:
            self.free_since = self.timing.now()

    def given_up(self) -> None:
        """Somebody has waited for a slot and waits no more, though the run goes on. Any thread."""
        self._guard.do(self._given_up)

    def _given_up(self) -> None:
        if not (self.stopped or self._exhausted):
            self.tally.went_without += 1

    def waits_for_item(self, bell: Bell) -> bool:
        """The head waits for its item, and `bell` is rung if the run ends; whether it has not."""
        with self._lock:
            self._bell = bell
        if self._guard.mail:
            self._guard.drain()
        return not self.over()

    def over(self) -> bool:
        """Whether nothing more will be released; raises what ended the run, if it failed."""
        if self._failure is not None:
            raise self._failure
        return self.stopped or self._exhausted

    def deadline(self, bell: Bell | None = None) -> float | None:
        """When the head of the line is to look again: the next slot, or the end of a window.

        `bell` is what it waits with, rung by whatever moves the slot. None: the run is over.
        """
        with self._lock:
            if self._uncounted is not None:
                self._count()
            watch, released_at = self.watch, self.released_at
            self.complaint = ""
            if watch is not None and not released_at <= watch.look_after:
                self.complaint = watch.look(released_at)
            if self._failure is not None or self.journal is not None:
                self._check()
            pacer = self.pacer
            assert pacer is not None
            if self.stopped:
                return None
            if self._wish is not None:
                self._grant(self._wish)
            due = pacer.due()
            self._bell = bell
            self._current = True
            if due == math.inf:
                due = self._closed(pacer)
            elif pacer.look_at < due:
                due = pacer.look_at
        if self._guard.mail:
            self._guard.drain()
        return due

    def _closed(self, pacer: Pacer) -> float:
        """A valve is closed: when to look again. What may never open is told of, once."""
        look_at = pacer.look_at
        if not pacer.flying:
            if look_at == math.inf and not self._starved:
                self._starved = True
                self.complaint = (
                    f"{self.name} closed its valve and nothing is in flight: only tps or stop() can"
                    " end this"
                )
        elif (
            not self.borrowed
            and self.calls == "permits"
            and pacer.flying + 1 > pacer.state.limit
            and not self._stuck
        ):
            since = (
                max(self.released_at, self._moved_at) if self._moved_at > 0.0 else self.released_at
            )
            if self.timing.now() < since + PATIENCE:
                return min(look_at, since + PATIENCE)
            self._stuck = True
            self.complaint = (
                f"{pacer.flying} calls are open, as many as {self.name} lets be in flight, and for"
                f" {PATIENCE:g} s none has ended: settle each permit (with permit: ..., or done,"
                " fail, drop)"
            )
        return look_at

    def _count(self) -> None:
        """Count the last release, and write it down."""
        uncounted, self._uncounted = self._uncounted, None  # at once: a signal handler may ask, too
        if uncounted is None:
            return
        due, now, rate, target, begun, held, _, flying, _, *spent = uncounted
        tally, speed = self.tally, rate if rate < target else target
        n = tally.lateness.n
        try:
            tally.release(due, now, speed, target, begun, held)
            if flying > tally.most_in_flight:
                tally.most_in_flight = flying
            assert self.pacer is not None
            slots = self.pacer.skipped - tally.skipped
            if slots > 0.0:
                body, item, retry = (
                    at - then for at, then in zip(spent, self._before[-3:], strict=True)
                )
                seconds = slots / speed if speed > 0.0 else 0.0
                longest, waited = max((body, CALLER), (item - retry, SOURCE), (retry, RETRIES))
                cause = LIMIT if held else waited if longest > 0.5 * seconds else MACHINE
                tally.lose(slots, seconds, cause)
        except BaseException:  # of a signal handler
            if tally.lateness.n == n:
                self._uncounted = uncounted
            else:
                self._counted(uncounted)
            raise
        self._before = uncounted
        if self.journal is not None:
            self._counted(uncounted)

    def _counted(self, uncounted: tuple[Any, ...]) -> None:
        """A release has been counted, and is written down."""
        self._before = uncounted
        if self.journal is not None:
            due, now, *_, call, flying, state, _, _, _ = uncounted
            self.journal.lines += (slot_line("release", now, call, due, flying, state),)

    def began(self, permit: Permit) -> None:
        """A worker has taken a call. Any thread."""
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

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self.journal is not None and self.journal.failure is not None:
            reason = self.journal.failure.strerror
            raise Aborted(
                f"the recording stopped: {self.journal.path}: {reason}; {self.tally.released} calls"
                " were made, what is written is whole"
            ) from self.journal.failure

    def release(self, now: float, begun: float) -> Permit | None:
        """A permit, if a slot is due now (`begun`: as in `Tally.release`)."""
        permit = None
        try:
            with self._lock:
                self._bell = None
                pacer = self.pacer
                assert pacer is not None
                while pacer.look_at <= now:
                    self._end_window(pacer)
                # `deadline` has asked for the slot; only news since then can have moved it.
                due = pacer.deadline if self._current else pacer.due()
                if now >= due:
                    call, flying = pacer.slot, pacer.flying + 1
                    new = OpenPermit(self, call, due, now, flying)
                    try:
                        given = (
                            pacer.release(now)
                            if pacer.admit is None
                            else self._guarded(pacer.release, now)
                        )
                    except BaseException:  # of a signal handler: nothing has been released
                        pacer.slot, pacer.flying = call, flying - 1
                        raise
                    if given:  # from here on nothing is called
                        self.released_at = self.free_since = now
                        held = pacer.held_slot == call
                        state, target, tally = pacer.state, pacer.target, self.tally
                        spent = state, tally.blocked, tally.fetching, self.retrying
                        self._uncounted = (
                            due,
                            now,
                            state.rate,
                            target,
                            begun,
                            held,
                            call,
                            flying,
                            *spent,
                        )
                        new.open = True
                        permit = new
                    else:
                        self._refuse(pacer, call, due, now)
            if self._guard.mail:
                self._guard.drain()
        except BaseException:
            if (
                permit is not None
            ):  # whoever asked never gets it, and the exception may be kept for long
                permit.forget()
            raise
        return permit

    def _refuse(self, pacer: Pacer, call: int, due: float, now: float) -> None:
        """The law lets this slot's call not through."""
        if self._failure is None:
            self.tally.refused += 1
            self._guarded(pacer.refused, now)
        if self.journal is not None:
            self.journal.add(slot_line("refuse", now, call, due, pacer.flying, pacer.state))
        self._check()

    def _end_window(self, pacer: Pacer) -> None:
        """A window is looked at as of its end, also if nobody had time then: as under virtual
        time.
        """
        end = pacer.look_at
        self._guarded(pacer.look, end)
        if self._failure is not None:
            pacer.look_at = math.inf  # the law has had its last word
        elif self.journal is not None:
            self.journal.add(f'{{"e": "look", "t": {end!r}, {valves(pacer.state)}')

    def settle(self, permit: Permit, outcome: int, posted: bool = False) -> float:
        """A call is over: when. Any thread."""
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
                flying = pacer.flying
                try:
                    if outcome == UNFINISHED:
                        self._current = False
                        pacer.forgotten()
                    else:
                        released = permit.released
                        error, drop = (0.0, 0.0) if outcome == OK else told(outcome)
                        lag, others = released - permit.scheduled, float(permit.in_flight)
                        self._guarded(pacer.settled, now, now - released, lag, error, drop, others)
                    self.tally.settle(now, permit, outcome)
                except BaseException:
                    self._cut_short(permit, now, outcome, flying)
                    raise
                self._moved_at = now
                permit.__class__ = Permit
                if self.journal is not None:
                    self._ended(permit, now, outcome)
                bell = self._bell
                last = self._exhausted and not pacer.flying
            if bell is not None:
                bell.wake()
            if last:
                self.end()
        except BaseException:
            if not permit.open:  # its end is counted, but perhaps nobody was told
                self._make_way()
            raise
        if self._guard.mail:
            self._guard.drain()
        return now

    def _make_way(self) -> None:
        """A signal handler has raised when a call was over: tell those who wait for that."""
        with self._lock:
            self._ring()
            last = self._exhausted and (self.pacer is None or not self.pacer.flying)
        if last:
            self.end()

    def _cut_short(self, permit: Permit, now: float, outcome: int, flying: int) -> None:
        """A signal handler has raised while a call was settled: it is counted, or it is open
        still.
        """
        assert self.pacer is not None
        if permit.open:
            self.pacer.flying = flying
        else:
            self._ended(permit, now, outcome)

    def _ended(self, permit: Permit, now: float, outcome: int) -> None:
        """A call has been counted as over, and is written down."""
        self._moved_at = now
        permit.__class__ = Permit
        if self.journal is not None:
            assert self.pacer is not None
            self.journal.lines += (end_line(now, permit.call, outcome, self.pacer.state),)

    def lose(self, permit: Permit) -> None:
        """A permit is garbage, and nobody has settled it. Any thread, in the middle of anything."""
        self._guard.post(self.settle, permit, UNFINISHED, True)

    def _ring(self) -> None:
        """Have the head of the line look again, if it waits."""
        if self._bell is not None:
            self._bell.wake()

    def _guarded(self, tell: Callable[..., Any], *news: Any) -> Any:
        """Let the law speak; one that raises or answers nonsense ends the run, in one line.

        Raises what a signal handler raised meanwhile, which is none of the law's doing: it has not
        spoken. (What it keeps in its `memory` may be of half an update then.)
        """
        pacer = self.pacer
        assert pacer is not None
        self._current = False
        before = pacer.state
        try:
            answer = tell(*news)
            state = pacer.state
            if state is not before:
                try:  # as `nonsense`, without a call each time
                    rate, limit, reject = state[:3]
                    sane = rate >= 0.0 and limit >= 0.0 and 0.0 <= reject <= 1.0
                except (TypeError, ValueError):
                    sane = False
                if not sane:
                    raise ValueError(nonsense(state))
                if rate != before[0] or limit != before[1] or reject != before[2]:
                    self.changed = before, pacer.observation, state
        except BaseException as error:
            pacer.state = before
            if not isinstance(error, Exception) or by_handler(error):
                raise
            self.ending = True
            if self._failure is None:
                self._failure = Aborted(
                    f"{self.name} answered nonsense: {type(error).__name__}: {error}"
                )
                self._failure.__cause__ = error
            return None
        return answer

    def retarget(self, tps: float) -> None:
        """Another wanted rate from now on. Any thread; from within a law, once it has answered.

        A law that answers a change of it by another one gets it at the next look at the schedule:
        it may never come to an end.
        """
        tps = checked_target(tps, self.name, self.law)
        if self._changing and self._mine():
            self._wish = tps
            return
        self._guard.do(self._retarget, tps)

    def _retarget(self, tps: float) -> None:
        if tps == self.target:
            return
        self._count()
        if self.pacer is not None:
            now = self.timing.now()
            while self.pacer.look_at < now:
                self._end_window(self.pacer)
            self.tally.retarget(now, self.target)
        self.target = tps
        if self.pacer is not None:
            self._changing = True
            try:
                self._guarded(self.pacer.retarget, now, tps)
            finally:
                self._changing = False
                self.target = self.pacer.target
            if self.journal is not None:
                state = valves(self.pacer.state)
                self.journal.add(f'{{"e": "tps", "t": {now!r}, "tps": {number(tps)}, {state}')
        self._ring()

    def _grant(self, wish: float) -> None:
        """The law wants another wanted rate."""
        self._wish = None
        try:
            self._retarget(wish)
        finally:
            if self.target != wish and self._wish is None:
                self._wish = wish

    def stop(self) -> None:
        """No more releases, and whoever waits for one is sent away. Any thread, and signal
        handlers.
        """
        self.stopped = self.ending = True
        self._guard.post(self._send_away)

    def _send_away(self) -> None:
        self._ring()
        self.line.call_all()

    def rehearsal(self) -> Callable[[], bool]:
        """A release on a stand-in, with the same law and code: see `PreciseClock.rehearse`."""
        stand_in = Flow(self.target, self.law, self.late, None, self.seed, self.timing, {})
        stand_in._starved = True  # it has nobody to warn
        pacer = stand_in.pacer = Pacer(
            self.law, self.target, 0.0, *draws(self.seed), late=self.late
        )

        def rehearse() -> bool:
            try:
                due = stand_in.deadline()
                permit = None if due is None or due == math.inf else stand_in.release(due, due)
            except Exception as error:
                if by_handler(error):
                    raise
                # the law's own doing: should it do so in earnest, the run is aborted then
                return False
            if permit is not None:
                permit.open = False
                permit.__class__ = Permit
                pacer.forgotten()
            return True

        return rehearse

    def finish(self) -> None:
        """Nothing more will be released; the run is over when what is in flight has settled. Any
        thread.
        """
        self._guard.post(self._finish)

    def _finish(self) -> None:
        self._count()
        self._exhausted = self.ending = True
        self.line.call_all()
        if self.watch is not None:
            self.watch.judge(self.timing.now())  # a report may be asked for elsewhere
        if self.pacer is None or not self.pacer.flying:
            self.end()

    def fall(self) -> None:
        """If the law or the recording has failed, this was the end of the run."""
        if self._failure is not None or (
            self.journal is not None and self.journal.failure is not None
        ):
            self.stop()
            self.end()

    def end(self) -> None:
        """The run is over: the journal gets the report and is closed. Any thread."""
        with self._lock:
            self._count()
            journal = self.journal
            if journal is not None:
                numbers = {
                    k: v for k, v in report_of(self)._asdict().items() if v == v and v != math.inf
                }
                line = json.dumps({"e": "stop", "t": self.timing.now(), **numbers}) + "\n"
                self.journal = None
                journal.lines += (line,)
        if self._guard.mail:
            self._guard.drain()
        if journal is not None:
            journal.close()

    def part(self) -> None:
        """In a forked child: who waits, calls in flight and the recording are the parent's."""
        self._guard = Guard()
        self._lock = self._guard.lock
        self._mine = self._guard.mine
        self.line = Line(self._guard)
        self._bell = None
        uncounted, self._uncounted = self._uncounted, None
        self.timing.part()
        if self.journal is not None:
            self.journal.part()
            self.journal = None
        if self.pacer is not None:
            self._first_call = self.pacer.slot
            self.tally.part(self.pacer.flying - (uncounted is not None))
            self.pacer.flying = 0

    def __del__(self) -> None:
        if hasattr(self, "journal"):
            self.end()  # nobody is left who could settle a call

    def why(self) -> str:
        """Why the law last moved a valve, in its own words. Any thread."""
        return why_of(self)

    def glimpse(self) -> tuple[dict[str, Any], bytes, bytes]:
        """Numbers and the bins of lateness and latency, for somebody who looks on. Any thread, in
        20 us.
        """
        with self._lock:
            self._count()
            seen = glimpse_of(self)
        if self._guard.mail:
            self._guard.drain()
        return seen

    def report(self) -> Report:
        """The run so far. Any thread."""
        with self._lock:
            self._count()
            report = report_of(self)
        if self._guard.mail:
            self._guard.drain()
        return report


def nonsense(state: Any) -> str:
    """What is wrong with the valves of a state; "" if nothing is."""
    try:
        rate, limit, reject = state[:3]
        if rate >= 0.0 and limit >= 0.0 and 0.0 <= reject <= 1.0:
            return ""
        found = f"rate={rate!r}, limit={limit!r}, reject={reject!r}"
    except (TypeError, ValueError):
        found = f"a state {state!r}"
    return f"{found}; allowed: rate, limit >= 0, reject in [0, 1]"


#: Those that a forked child has copies of.
_flows: weakref.WeakSet[Flow] = weakref.WeakSet()


def _in_child() -> None:
    """After a fork, in the child: its copies are its own."""
    for flow in list(_flows):
        flow.part()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
