"""The state of a run, its lock, and the calls of its law.

The first of the four steps that a run is built in: `session_state`, `settlements`, `releases`,
`session`. Each step uses only those before it.
"""

from __future__ import annotations

import math
import os
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tpssim.core.costs import unit_of
from tpssim.core.errors import Aborted, InputError
from tpssim.core.pacer import Pacer
from tpssim.core.profiles import Stages
from tpssim.core.quotas import Quota, checked_quotas
from tpssim.core.schedule import Late
from tpssim.core.validation import parameters_of
from tpssim.live.arguments import (
    Cost,
    Tps,
    checked_cost,
    checked_cost_rule,
    checked_record,
    checked_target,
    draws,
    late_of,
    law_of,
)
from tpssim.live.journal import Journal, look_line, machine, mean_cost, stamp, wanted
from tpssim.live.late_causes import Watch
from tpssim.live.outcomes import Classify
from tpssim.live.run_lock import Guard
from tpssim.live.run_parts import Bell, Release, Timing
from tpssim.live.signal_handlers import by_handler
from tpssim.live.stats import Tally
from tpssim.live.waiters import WaitQueue
from tpssim.live.wanted import Points, ends_at, first_target


class SessionState:
    """What a run consists of: a law, its schedule, and the queue of those who want its slots.

    A signal handler may raise an exception at any function call. Whatever must be done completely
    or not at all is therefore done by plain stores, one after the other, with no call in between
    (see `WaitQueue`), or is undone. So a slot is either released or not, and a call is either
    settled or not. An observation of the law may be lost, and so may one value of a distribution.
    """

    # Beyond 30 attributes without slots CPython looks up each of them in a dict.
    # fmt: off
    __slots__ = (
        "__weakref__",
        "_before",
        "_bell",
        "_changing",
        "_current",
        "_due",
        "_exhausted",
        "_failure",
        "_first_call",
        "_guard",
        "_lock",
        "_mine",
        "_requested",
        "_settled_at",
        "_starved",
        "_stuck",
        "_uncounted",
        "asked_cost",
        "borrowed",
        "calls",
        "changed",
        "changes",
        "classify",
        "cost",
        "ending",
        "ends",
        "free_since",
        "from_verb",
        "journal",
        "late",
        "law",
        "mean_cost",
        "name",
        "on_demand",
        "outcome_reported",
        "pacer",
        "profile",
        "queue",
        "quotas",
        "released_at",
        "retrying",
        "seed",
        "since",
        "stopped",
        "tally",
        "tasks",
        "timing",
        "wanted",
        "warning",
        "watch",
        "workers",
    )
    # fmt: on

    def __init__(
        self,
        tps: Tps,
        controller: Any,
        late: Late | str,
        record: str | Path | None,
        seed: int,
        timing: Timing,
        options: Mapping[str, Any],
        borrowed: bool = False,
        quotas: Sequence[Quota] = (),
        cost: Cost | None = None,
    ) -> None:
        self.name, self.law = law_of(controller)
        self.wanted = checked_target(tps, self.name, self.law)
        self.profile: Points | None = None  #: what is wanted, on the run's clock, if it changes
        self.ends = math.inf  #: when the last stage does, s
        self.since = math.nan  #: from when on this is wanted, s
        self.changes = 0  #: of what is wanted
        self.quotas = checked_quotas(quotas, "live")
        #: of a call with an item
        self.cost = 1.0 if cost is None else checked_cost_rule(cost, self.quotas)
        #: What calls cost on average; None: what they turn out to cost.
        self.mean_cost = self.cost if cost is not None and isinstance(self.cost, float) else None
        self.late = late_of(late)
        self.timing = timing
        self.borrowed = borrowed  #: whether its clock is the caller's
        self.seed = seed
        self._check_first_state()
        self.stopped = False
        self.ending = False  #: whether to ask `over`
        #: How calls are made: blocking, permits, pool(N), async, async(N).
        self.calls = "blocking"
        self.workers = 0  #: that make the calls; 0 if there are none, or no fixed number
        self.tasks = False  #: whether tasks of an event loop make the calls
        self.from_verb = False  #: whether the command line made it, whose options have other names
        self.on_demand = False  #: whether there are no items: a call is made when somebody asks
        self.classify: Classify | None = None  #: the user's own rule for outcomes, if there is one
        #: Whether anybody has reported the outcome of a call, or raised an exception in one.
        self.outcome_reported = False
        self.tally = Tally(len(self.quotas))
        self.pacer: Pacer | None = None
        self.watch: Watch | None = None
        #: (state, observation, state) of the last update that changed an actuator.
        self.changed: tuple[Any, Any, Any] | None = None
        self.released_at = math.nan  #: when a call was released last, s
        self.free_since = math.nan  #: when the queue's head left it last, s
        #: Time in which a run only waited for retries, s. It does not count as the iterable's.
        self.retrying = 0.0
        self.warning = ""  #: what the caller of `deadline` is to warn of, once the lock is free
        self._start_locks()
        self._start_counting()
        path = checked_record(record)
        self.journal = None if path is None else Journal(path, self._header() | dict(options))
        _runs.add(self)

    def _start_locks(self) -> None:
        self._guard = Guard()
        self._lock = self._guard.lock
        self._mine = self._guard.mine
        self.queue = WaitQueue(self._guard)
        self._bell: Bell | None = None  # of the head of the queue, while it waits for its slot
        self.asked_cost = math.nan  #: of its call; nan: nobody waits

    def _start_counting(self) -> None:
        # The last release, if it is not counted yet: the caller, who waits for it, goes first.
        self._uncounted: Release | None = None
        # At the release counted last: time in the caller's code, in the iterable, and for retries.
        self._before = 0.0, 0.0, 0.0
        self._failure: Aborted | None = None
        self._settled_at = math.nan  # when a call was settled last, s
        self._first_call = 0  # in a forked child, calls before this one belong to the parent
        self._due = math.inf  # when the next slot may be released, s
        self._current = False  # whether that is up to date
        self._starved = self._exhausted = self._stuck = False
        self._changing = False  # whether the law is being given another wanted rate
        self._requested: float | Stages | None = None  # the wanted rate that the law sets meanwhile

    def _check_first_state(self) -> None:
        try:
            wrong = invalid_actuators(self.first_state())
        except InputError:
            raise
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"
        if wrong:
            raise InputError(
                f"controller {self.name} begins with an invalid state at"
                f" tps={first_target(self.wanted):g}:"
                f" {wrong}"
            )

    def first_state(self) -> Any:
        """What the law begins with, as far as is known before a call."""
        return self.law.init(first_target(self.wanted) / unit_of(self.mean_cost or 1.0))

    def _header(self) -> dict[str, Any]:
        quotas = [{k: v for k, v in q._asdict().items() if v != math.inf} for q in self.quotas]
        return {
            **({"quotas": quotas} if quotas else {}),
            **mean_cost(self.mean_cost),
            **machine(),
            "began": stamp(),
            "controller": self.name,
            "parameters": parameters_of(self.law),
            **wanted(self.wanted),
            "late": str(self.late),
            "seed": self.seed,
            "threshold": self.timing.threshold,
        }

    def new_pacer(self, start: float) -> Pacer:
        """The law and its schedule at the start of a run."""
        return Pacer(
            self.law,
            self.wanted,
            start,
            *draws(self.seed),
            late=self.late,
            quotas=self.quotas,
            wall=self.wall(),
            mean_cost=self.mean_cost,
        )

    def wall(self) -> float:
        """The wall clock less the run's; a caller's own clock is taken for the wall's."""
        return 0.0 if self.borrowed else time.time() - self.timing.now()

    @property
    def target(self) -> float:
        """The wanted rate now, 1/s."""
        wanted = self.wanted
        if isinstance(wanted, float):
            return wanted
        if self.profile is None:
            return first_target(wanted)
        return wanted.at(self.timing.now() - self.profile[0][0])

    def want(self, wanted: float | Stages, now: float) -> None:
        """This is wanted from now on."""
        self.profile = wanted.points(now) if isinstance(wanted, Stages) else None
        self.ends, self.wanted, self.since = ends_at(wanted, now), wanted, now
        self.changes += 1

    def cost_of(self, item: Any) -> float:
        """What the call of an item costs."""
        cost = self.cost
        return checked_cost(cost(item)) if callable(cost) else cost

    def after_fork(self) -> None:
        """In a forked child: waiters, calls in flight and the recording are the parent's."""
        uncounted, self._uncounted = self._uncounted, None
        self._start_locks()
        self.timing.after_fork()
        if self.journal is not None:
            self.journal.after_fork()
            self.journal = None
        if self.pacer is not None:
            self._first_call = self.pacer.slot
            self.tally.part(self.pacer.flying - (uncounted is not None))
            self.pacer.flying = 0

    def over(self) -> bool:
        """Whether nothing more will be released; raises what ended the run, if it failed."""
        if self._failure is not None:
            raise self._failure
        return self.stopped or self._exhausted

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self.journal is not None and self.journal.failure is not None:
            reason = self.journal.failure.strerror
            raise Aborted(
                f"the recording stopped: {self.journal.path}: {reason}; {self.tally.released} calls"
                " were made, and what is in the file is complete"
            ) from self.journal.failure

    def _ring(self) -> None:
        """Have the head of the queue look again, if it waits."""
        if self._bell is not None:
            self._bell.wake()

    def _end_window(self, pacer: Pacer) -> None:
        """End a window of the law, at its own time however late this is: as in virtual time."""
        end = pacer.look_at
        self._call_law(pacer.look, end)
        if self._failure is not None:
            pacer.look_at = math.inf  # the law is not called again
        elif self.journal is not None:
            self.journal.add(look_line(end, pacer.state))

    def _call_law(self, step: Callable[..., Any], *arguments: Any) -> Any:
        """Call a step of the pacer that calls the law; an error or an invalid state ends the run.

        Raises what a signal handler raised meanwhile, which is not the law's fault: its state is
        put back. (What it keeps in its `memory` may then be half updated.)
        """
        pacer = self.pacer
        assert pacer is not None
        self._current = False
        before = pacer.state
        try:
            answer = step(*arguments)
            state = pacer.state
            if state is not before:
                try:  # as `invalid_actuators`, without a call each time
                    rate, limit, reject = state[:3]
                    valid = rate >= 0.0 and limit >= 0.0 and 0.0 <= reject <= 1.0
                except (TypeError, ValueError):
                    valid = False
                if not valid:
                    raise ValueError(invalid_actuators(state))
                if rate != before[0] or limit != before[1] or reject != before[2]:
                    self.changed = before, pacer.observation, state
        except BaseException as error:
            pacer.state = before
            if not isinstance(error, Exception) or by_handler(error):
                raise
            self.ending = True
            if self._failure is None:
                self._failure = Aborted(f"{self.name} failed: {type(error).__name__}: {error}")
                self._failure.__cause__ = error
            return None
        return answer


def invalid_actuators(state: Any) -> str:
    """What is wrong with the actuators of a state; "" if nothing is."""
    try:
        rate, limit, reject = state[:3]
        if rate >= 0.0 and limit >= 0.0 and 0.0 <= reject <= 1.0:
            return ""
        found = f"rate={rate!r}, limit={limit!r}, reject={reject!r}"
    except (TypeError, ValueError):
        found = f"a state {state!r}"
    return f"{found}; allowed: rate, limit >= 0, reject in [0, 1]"


#: The runs of this process, of which a forked child has copies.
_runs: weakref.WeakSet[SessionState] = weakref.WeakSet()


def _in_child() -> None:
    for run in list(_runs):
        run.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
