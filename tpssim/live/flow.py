"""A stream of calls under a law: slots, counts, journal. All of a throttle but items and waiting."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from tpssim.core import UNFINISHED, Aborted, ranges
from tpssim.live.account import Report, Watch, verdict
from tpssim.live.arguments import checked_rate, checked_record, draws, late_of, law_of
from tpssim.live.journal import Journal, machine, stamp, valves
from tpssim.live.permits import Permit, told
from tpssim.live.tally import Tally
from tpssim.pacing import Late
from tpssim.throttling import Pacer


class Timing(Protocol):
    """What a flow needs of the clock that its throttle waits on."""

    @property
    def spun(self) -> float: ...
    @property
    def threshold(self) -> float: ...
    def now(self) -> float: ...
    def wake(self) -> None: ...


class Flow:
    """What the throttles share. The methods that say so may be called from any thread."""

    def __init__(
        self,
        tps: float,
        controller: Any,
        late: Late | str,
        record: str | Path | None,
        seed: int,
        timing: Timing,
        options: Mapping[str, Any],
    ) -> None:
        self.target = checked_rate(tps)
        self.name, self.law = law_of(controller)
        self.late = late_of(late)
        self.timing = timing
        self.seed = seed
        self.stopped = False
        self.tally = Tally()
        self.pacer: Pacer | None = None
        self.watch: Watch | None = None
        self.changed: tuple[Any, Any, Any] | None = None  #: (state, observation, state) of the last move
        self.calls = "blocking"  #: how they are made: blocking, permits, pool(N), async, async(N)
        #: The last release, not yet counted: the caller, who waits for this moment, goes first.
        self._uncounted: tuple[float, float, float, float, float, bool, int, int, Any] | None = None
        self.released_at = math.nan  #: the last release, s
        self.complaint = ""  #: what `deadline` would have the caller warned of, without our lock
        self._failure: Aborted | None = None
        self._lock = threading.Lock()
        self._current = False  # whether the pacer's deadline is what it would say now
        self._waiting = self._starved = self._exhausted = False
        path = checked_record(record)
        self.journal = None if path is None else Journal(path, self._header() | dict(options))

    def _header(self) -> dict[str, Any]:
        law = {field: getattr(self.law, field) for field in ranges(self.law)}
        return {
            **machine(),
            "began": stamp(),
            "controller": self.name,
            "parameters": law,
            "tps": self.target,
            "late": str(self.late),
            "seed": self.seed,
            "threshold": self.timing.threshold,
        }

    def begin(self, in_loop: bool | None) -> float:
        """The first moment of the run: the law's time starts. `in_loop` is None on a borrowed clock."""
        with self._lock:
            start = self.timing.now()
            self.pacer = Pacer(self.law, self.target, start, *draws(self.seed), late=self.late)
            if in_loop is not None:
                self.watch = Watch(self.tally, start, in_loop)
            if self.journal is not None:
                what = f'"e": "start", "t": {start!r}, "tps": {self.target!r}, "calls": "{self.calls}"'
                self.journal.add(f"{{{what}, {valves(self.pacer.state)}")
            return start

    def deadline(self) -> float:
        """When the pacing thread is to look again: the next slot, or the end of a window."""
        with self._lock:
            self._count()
            self.complaint = "" if self.watch is None else self.watch.look(self.released_at)
            self._check()
            pacer = self.pacer
            assert pacer is not None
            due = pacer.due()
            self._waiting = self._current = True
            if due < math.inf or pacer.look_at < math.inf:
                return min(due, pacer.look_at)
            if pacer.flying == 0 and not self._starved:
                self._starved = True
                self.complaint = (
                    f"{self.name} closed its valve and nothing is in flight: only tps or stop() can end this"
                )
            return due

    def _count(self) -> None:
        """Count the last release, and write it down."""
        if self._uncounted is not None:
            due, now, rate, target, begun, held, call, flying, state = self._uncounted
            self._uncounted = None
            self.tally.release(due, now, min(rate, target), target, begun, held)
            if self.journal is not None:
                self.journal.add(_slot("release", now, call, due, flying, state))

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self.journal is not None and self.journal.failure is not None:
            reason = self.journal.failure.strerror
            raise Aborted(
                f"the recording stopped: {self.journal.path}: {reason}; {self.tally.released} calls were "
                "made, what is written is whole"
            ) from self.journal.failure

    def release(self, now: float, begun: float) -> Permit | None:
        """A permit, if a slot is due now (`begun`: as in `Tally.release`)."""
        with self._lock:
            self._waiting = False
            pacer = self.pacer
            assert pacer is not None
            while pacer.look_at <= now:
                self._end_window(pacer)
            # `deadline` has asked for the slot; only news since then can have moved it.
            due = pacer.deadline if self._current else pacer.due()
            if now < due:
                return None
            call = pacer.slot
            given = pacer.release(now) if pacer.admit is None else self._guarded(pacer.release, now)
            rate, target = pacer.state.rate, pacer.target
            if given:
                self.released_at = now
                held = pacer.held_slot == call
                self._uncounted = due, now, rate, target, begun, held, call, pacer.flying, pacer.state
                return Permit(self, call, due, now, pacer.flying)
            if self._failure is None:
                self.tally.refused += 1
                self._guarded(pacer.refused, now)
            if self.journal is not None:
                self.journal.add(_slot("refuse", now, call, due, pacer.flying, pacer.state))
            self._check()
            return None

    def _end_window(self, pacer: Pacer) -> None:
        """A window is looked at as of its end, also if nobody had time then: as under virtual time."""
        end = pacer.look_at
        self._guarded(pacer.look, end)
        if self._failure is not None:
            pacer.look_at = math.inf  # the law has had its last word
        elif self.journal is not None:
            self.journal.add(f'{{"e": "look", "t": {end!r}, {valves(pacer.state)}')

    def settle(self, permit: Permit, outcome: int) -> float:
        """A call is over: when. Any thread."""
        with self._lock:
            now = self.timing.now()
            if not permit.open:
                return now
            permit.open = False
            self._count()
            pacer = self.pacer
            assert pacer is not None
            while pacer.look_at < now:
                self._end_window(pacer)
            if outcome == UNFINISHED:
                self._current = False
                pacer.forgotten()
            else:
                latency = now - permit.released
                error, drop = told(outcome)
                self.tally.settle(latency, error, drop)
                lag = permit.released - permit.scheduled
                self._guarded(pacer.settled, now, latency, lag, error, drop, float(permit.in_flight))
            if self.journal is not None:
                self.journal.add(
                    f'{{"e": "end", "t": {now!r}, "call": {permit.call}, "outcome": {outcome}, '
                    f"{valves(pacer.state)}"
                )
            ring = self._waiting
            last = self._exhausted and not pacer.flying
        if ring:
            self.timing.wake()
        if last:
            self.end()
        return now

    def _guarded(self, tell: Callable[..., Any], *news: Any) -> Any:
        """Let the law speak; one that raises or answers nonsense ends the run, in one line."""
        pacer = self.pacer
        assert pacer is not None
        self._current = False
        before = pacer.state
        try:
            answer = tell(*news)
            state = pacer.state
            if state is not before:
                rate, limit, reject = state[:3]
                if not (rate >= 0.0 and limit >= 0.0 and 0.0 <= reject <= 1.0):
                    found = f"rate={rate!r}, limit={limit!r}, reject={reject!r}"
                    raise ValueError(f"{found}; allowed: rate, limit >= 0, reject in [0, 1]")
                if rate != before[0] or limit != before[1] or reject != before[2]:
                    self.changed = before, pacer.observation, state
        except Exception as error:
            pacer.state = before
            if self._failure is None:
                self._failure = Aborted(f"{self.name} answered nonsense: {type(error).__name__}: {error}")
                self._failure.__cause__ = error
            return None
        return answer

    def retarget(self, tps: float) -> None:
        """Another wanted rate from now on. Any thread."""
        tps = checked_rate(tps)
        with self._lock:
            self._count()
            if self.pacer is not None:
                now = self.timing.now()
                while self.pacer.look_at < now:
                    self._end_window(self.pacer)
            self.target = tps
            if self.pacer is not None:
                self._guarded(self.pacer.retarget, now, tps)
                if self.journal is not None:
                    state = valves(self.pacer.state)
                    self.journal.add(f'{{"e": "tps", "t": {now!r}, "tps": {tps!r}, {state}')
        self.timing.wake()

    def stop(self) -> None:
        """No more releases. Any thread, and signal handlers."""
        self.stopped = True
        self.timing.wake()

    def rehearsal(self) -> Callable[[], bool]:
        """A release on a stand-in, with the same law and code: see `PreciseClock.rehearse`."""
        stand_in = Flow(self.target, self.law, self.late, None, self.seed, self.timing, {})
        stand_in._starved = True  # it has nobody to warn
        pacer = stand_in.pacer = Pacer(self.law, self.target, 0.0, *draws(self.seed), late=self.late)

        def rehearse() -> bool:
            try:
                due = stand_in.deadline()
                permit = stand_in.release(due, due) if due < math.inf else None
            except Exception:  # the law's own doing: should it do so in earnest, the run is aborted then
                return False
            if permit is not None:
                pacer.forgotten()
            return True

        return rehearse

    def finish(self) -> None:
        """Nothing more will be released; the run is over when what is in flight has settled."""
        with self._lock:
            self._count()
            self._exhausted = True
            if self.watch is not None:
                self.watch.judge(self.timing.now())  # a report may be asked for elsewhere
            last = self.pacer is None or not self.pacer.flying
        if last:
            self.end()

    def end(self) -> None:
        """The run is over: the journal gets the report and is closed. Any thread."""
        with self._lock:
            self._count()
            journal, self.journal = self.journal, None
        if journal is not None:
            numbers = {k: v for k, v in self.report()._asdict().items() if v == v}
            journal.add(json.dumps({"e": "stop", "t": self.timing.now(), **numbers}) + "\n")
            journal.close()

    def __del__(self) -> None:
        if hasattr(self, "journal"):
            self.end()  # nobody is left who could settle a call

    def why(self) -> str:
        """Why the law last moved a valve, in its own words. Any thread."""
        explain = getattr(self.law, "why", None)
        changed = self.changed
        return "" if changed is None or explain is None else str(explain(*changed))

    def glimpse(self) -> tuple[dict[str, Any], bytes, bytes]:
        """Numbers and the bins of lateness and latency, for somebody who looks on. Any thread, in 20 us."""
        with self._lock:
            self._count()
            tally, pacer = self.tally, self.pacer
            state = pacer.state if pacer else self.law.init(self.target)
            numbers = {
                "t": self.timing.now() - pacer.start if pacer else 0.0,
                "tps": self.target,
                "rate": min(state.rate, self.target),
                "limit": state.limit if state.limit < math.inf else None,
                "reject": state.reject,
                "in_flight": pacer.flying if pacer else 0,
                "released": tally.released,
                "refused": tally.refused,
                "ok": tally.ok,
                "errors": tally.errors,
                "drops": tally.drops,
            }
            return numbers, tally.lateness.bins.tobytes(), tally.latency.bins.tobytes()

    def report(self) -> Report:
        """The run so far. Any thread."""
        with self._lock:
            self._count()
            tally, pacer = self.tally, self.pacer
            elapsed = self.timing.now() - pacer.start if pacer else 0.0
            share = 1.0 / elapsed if elapsed > 0.0 else math.nan
            if self.watch is not None:
                self.watch.judge(self.timing.now())
            return Report(
                **tally.numbers(),
                in_flight=pacer.flying if pacer else 0,
                target=self.target,
                caught_up=pacer.caught_up if pacer else 0.0,
                dropped=pacer.dropped if pacer else 0.0,
                re_anchored=pacer.re_anchored if pacer else 0.0,
                held=pacer.held if pacer else 0.0,
                blocked=tally.blocked * share,
                fetching=tally.fetching * share,
                spin_cpu=self.timing.spun * share,
                spin_threshold=self.timing.threshold,
                verdict=verdict(
                    tally,
                    self.name,
                    self.watch.cause if self.watch else "",
                    pacer.held if pacer else 0.0,
                ),
            )


def _slot(kind: str, now: float, call: int, due: float, flying: int, state: Any) -> str:
    """A slot's line in the journal."""
    what = f'"e": "{kind}", "t": {now!r}, "call": {call}, "due": {due!r}, "in_flight": {flying}'
    return f"{{{what}, {valves(state)}"
