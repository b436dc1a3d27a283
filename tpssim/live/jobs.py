"""The items of a run: each is fetched once, and has a result, has failed, or is pending.

The throttle of a run takes its items from here, so a retry waits for a slot as any other item.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

from tpssim.core.clocks import Clock
from tpssim.core.types import OK, UNFINISHED, record
from tpssim.live.outcomes import WORDS, Outcome
from tpssim.live.permits import Permit
from tpssim.live.report import Report
from tpssim.live.retries import Attempt, Counted, Policy
from tpssim.live.session import Flow
from tpssim.live.waiting import SPIN

T = TypeVar("T")

#: The words for a response by which a call was not ok.
SAID = {code: word for word, code in WORDS.items() if code != OK}

#: How often whoever waits for a retry, for calls in other threads or for the begin of a call
#: checks whether the run was stopped, s.
LOOK = 0.05


@record
class Run(NamedTuple):
    """What `run` and `arun` return. Every item that was fetched has a result, has failed, or is
    pending.

    >>> import tpssim
    >>> done = tpssim.run(lambda x: 6 / x, [1, 0, 2], tps=1000.0)
    >>> done.results, done.failed, done.pending
    ([6.0, None, 3.0], [(0, ZeroDivisionError('division by zero'))], [])
    """

    report: Report
    #: How many calls raised what, as "Type: message" (the first of each type), or returned a
    #: response that is a failure, a timeout or a refusal, as "Type: refused".
    failures: dict[str, int]
    #: what the calls returned, in the order of the items; None where there is nothing
    results: list[Any]
    #: Items whose last call was not ok, in the order in which they ended, each with what it raised.
    #: If it raised nothing, with its response, which is its result, too.
    failed: list[tuple[Any, Any]]
    #: items that were fetched and not done: not released, not begun, or to be retried
    pending: list[Any]

    def __repr__(self) -> str:
        some = f"{self.report.ok:,} ok, {len(self.failed):,} failed, {len(self.pending):,} pending"
        return f"<Run: {some}; {self.report!r}>"


class Failures:
    """What failed calls raised and returned, by type, with the first message. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, error: BaseException) -> None:
        kind = text = type(error).__name__
        with contextlib.suppress(Exception):  # not every class can show each of its objects
            text = f"{kind}: {error}" if str(error) else kind
        self._count(kind, text)

    def add_response(self, response: Any, code: int) -> None:
        """A response by which the call was not ok."""
        text = f"{type(response).__name__}: {SAID[code]}"
        self._count(text, text)

    def _count(self, kind: str, text: str) -> None:
        with self._lock:
            self._first.setdefault(kind, text)
            self._counts[kind] += 1

    def all(self) -> dict[str, int]:
        return {self._first[kind]: n for kind, n in self._counts.most_common()}


class Job(Generic[T]):
    """An item and its calls so far."""

    __slots__ = ("began", "idle", "index", "item", "number", "waited")

    def __init__(self, index: int, item: T) -> None:
        self.index = index  #: in the order of the items
        self.item = item
        self.number = 0  #: calls begun
        self.began = math.nan  #: the first of them, s
        self.idle = 0.0  #: seconds waited for retries
        self.waited = 0.0  #: of that the last wait


class Jobs(Generic[T]):
    """The items that were fetched, and their results. All methods may be called from any thread.

    Without `keep`, neither results nor failures are kept, for runs without an end. `flow` is set
    when the throttle has been made.
    """

    flow: Flow

    def __init__(self, policy: Policy | None, keep: bool, clock: Clock | None) -> None:
        self.results: list[Any] = []
        self.failed: list[tuple[T, Any]] = []
        self.failures = Failures()
        self.policy, self._keep = policy, keep
        self._counted = policy if isinstance(policy, Counted) else None
        self.clock = (
            clock  #: the caller's own, which stops while nobody waits on it; None: real time
        )
        self._lock = threading.Lock()
        self._open: dict[int, Job[T]] = {}  # fetched, and neither done nor given up
        self._retries: list[tuple[float, int, Job[T]]] = []  # (when, the how manieth, job)
        self._order = itertools.count()
        self.fetched = 0
        self._bell = threading.Event()
        self.ring: Callable[[], None] = self._bell.set  #: done when a call has ended

    def done(self, report: Report) -> Run:
        with self._lock:
            pending = [self._open[index].item for index in sorted(self._open)]
            return Run(report, self.failures.all(), list(self.results), list(self.failed), pending)

    def begin(self, job: Job[T]) -> None:
        """A call of it begins."""
        job.number += 1
        if job.number == 1:
            job.began = self.flow.timing.now()
            if self._counted is not None:
                self._counted.begun()

    def end(
        self, job: Job[T], permit: Permit, result: Any, error: BaseException | None = None
    ) -> None:
        """A call of it is over: for good, or until its retry."""
        outcome = permit.outcome or Outcome(UNFINISHED)
        if error is not None:
            self.failures.add(error)
        elif outcome.code in SAID:
            self.failures.add_response(result, outcome.code)
        wait = None
        if self.policy is not None:
            now = self.flow.timing.now()
            times = job.began, now, job.idle, job.waited
            attempt = Attempt(job.item, job.number, *times, outcome, result, error)
            wait = self.policy(attempt)
        with self._lock:
            if wait is not None:
                job.idle += wait
                job.waited = wait
                heapq.heappush(self._retries, (now + wait, next(self._order), job))
            else:
                del self._open[job.index]
                if error is None and self._keep:
                    self.results[job.index] = result
                if self._keep and (error is not None or outcome.code in SAID):
                    self.failed.append((job.item, result if error is None else error))
        if self.policy is not None:
            self.ring()

    def fetch(self, item: T) -> Job[T]:
        """An item has been fetched."""
        with self._lock:
            job = self._open[self.fetched] = Job(self.fetched, item)
            self.fetched += 1
            if self._keep:
                self.results.append(None)
            return job

    def due(self) -> Job[T] | None:
        """A job whose retry has come."""
        with self._lock:
            if self._retries and self._retries[0][0] <= self.flow.timing.now():
                return heapq.heappop(self._retries)[2]
            return None

    def left(self) -> tuple[float, int]:
        """When the next retry is due, s (inf: there is none), and how many open calls may still
        need one.
        """
        with self._lock:
            when = self._retries[0][0] if self._retries else math.inf
            return when, len(self._open) - len(self._retries)

    def source(self, items: Iterator[T]) -> Iterator[Job[T]]:
        """Jobs for a throttle: retries that are due, then items, then the remaining retries.

        While the iterable runs, a retry waits.
        """
        if self.policy is None:
            for item in items:
                yield self.fetch(item)
            return
        empty = False
        while True:
            self._bell.clear()
            job = self.due()
            if job is None and not empty:
                try:
                    job = self.fetch(next(items))
                except StopIteration:
                    empty = True
                    continue
            if job is not None:
                yield job
                continue
            when, calls = self.left()
            over = self.flow.stopped or self.flow.timing.now() >= self.flow.ends
            if over or not (calls or when < math.inf):
                return
            since = self.flow.timing.now()
            self._wait(min(when, self.flow.ends), calls)
            self.flow.retrying += self.flow.timing.now() - since

    def _wait(self, when: float, calls: int) -> None:
        """Wait until a retry is due, a call ends, or `LOOK` has passed."""
        if self.clock is not None and not calls:
            self.clock.wait(when, SPIN)
            return
        self._bell.wait(min(max(when - self.flow.timing.now(), 0.0), LOOK))
