"""`throttle` and `run`: calls from a thread that waits."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Generic, NamedTuple, TypeVar

from tpssim.clock import Clock
from tpssim.core import OK, checked_count
from tpssim.live.account import Report, warn
from tpssim.live.arguments import checked_call, cycled
from tpssim.live.flow import Flow
from tpssim.live.permits import Handle, Permit
from tpssim.live.waiting import BorrowedClock, PreciseClock
from tpssim.pacing import Late

T = TypeVar("T")


class Throttle(Handle, Generic[T]):
    """What `throttle` returns: an iterator over items at their times, and the handle of the run.

    Iterating (`for`, `next`, `permits`) belongs to one thread. `tps`, `stop`, `report`, `why` and the
    permits may be used from any. As a context it closes itself, and an exception that leaves the block
    counts as a failure of the call in hand.
    """

    def __init__(
        self,
        items: Iterable[T],
        tps: float,
        total: int | None,
        controller: Any,
        late: Late | str,
        spin: float | str,
        clock: Clock | None,
        record: str | Path | None,
        seed: int,
    ) -> None:
        self._items = cycled(items, total)
        self._timing = PreciseClock(spin) if clock is None else BorrowedClock(clock, spin)
        self._real = clock is None
        self._wait = self._timing.wait
        self._hand: Permit | None = None  # the call in the caller's hand, while iterated plainly
        options = {"total": total, "spin": spin}
        self.flow = Flow(tps, controller, late, record, seed, self._timing, options)
        if isinstance(self._timing, PreciseClock):
            self._timing.rehearse = self.flow.rehearsal()

    def __iter__(self) -> Throttle[T]:
        return self

    def __next__(self) -> T:
        hand, self._hand = self._hand, None
        asked = self.flow.timing.now() if hand is None else self.flow.settle(hand, OK)
        item, self._hand = self._next(asked)
        return item

    def permits(self) -> Iterator[tuple[T, Permit]]:
        """(item, permit) at their times; several permits may be open at once, in any threads."""
        if self.flow.calls == "blocking":
            self.flow.calls = "permits"
        yield from self._all()

    def _all(self) -> Iterator[tuple[T, Permit]]:
        while True:
            try:
                yield self._next(self.flow.timing.now())
            except StopIteration:
                return

    def _next(self, asked: float) -> tuple[T, Permit]:
        """`asked` is when the caller came for it: from then on, the iterable apart, time is our own."""
        flow, now = self.flow, self.flow.timing.now
        if flow.pacer is not None:
            flow.tally.blocked += asked - flow.released_at
        try:
            if flow.stopped:
                raise StopIteration
            before = now()
            item = next(self._items)
            took = now() - before
            if flow.pacer is None:
                begun = flow.begin(in_loop=False if self._real else None)
            else:
                begun = asked + took
                flow.tally.fetching += took
            while not flow.stopped:
                deadline = flow.deadline()
                if flow.complaint:
                    warn(flow.complaint)
                permit = flow.release(self._wait(deadline), begun)
                if permit is not None:
                    return item, permit
            raise StopIteration
        except StopIteration:
            self._timing.close()
            flow.finish()
            raise
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop; a recording is completed."""
        self._leave()
        self.flow.end()

    def _leave(self) -> None:
        """Stop; the call in hand is forgotten."""
        self.flow.stop()
        self._timing.close()
        if self._hand is not None:
            self._hand.forget()
            self._hand = None

    def __enter__(self) -> Throttle[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        hand, self._hand = self._hand, None
        if hand is not None:
            hand.__exit__(kind, error, trace)
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "flow"):
            self._leave()
            self.flow.finish()  # permits that are open still may be settled


def throttle(
    items: Iterable[T],
    tps: float,
    total: int | None = None,
    *,
    controller: Any = None,
    late: Late | str = "burst",
    spin: float | str = "auto",
    clock: Clock | None = None,
    record: str | Path | None = None,
    seed: int = 0,
) -> Throttle[T]:
    """Iterate over items at `tps` a second, exactly on schedule, or as a controller commands.

    Slot k is due at `due_k = due_(k-1) + 1 / min(rate, tps)`, where `rate` is the law's; never "now plus an
    interval", so nothing drifts. The time from one item to the request for the next is the latency of the
    call that the law sees. One call at a time: a body that is slower than the interval holds up the schedule
    (`run` has workers).

    - `total`: that many items, the iterable begun anew at its end; None: one pass. A slot that the law
      refuses keeps its item for the next.
    - `controller`: None (the fixed rate), a spec such as `"headroom"` or `"aimd:dec_rate=0.8"`, or a record
      (or a class of records) from `tpssim.CONTROLLERS` or of your own.
    - `late`: what becomes of missed slots: `"burst"`, `"capped(N)"`, `"delay"`, `"skip"`.
    - `spin`: `"auto"` (the last moments before a deadline are spent reading the clock: as long as wake-ups
      are late on this machine, measured and tracked), seconds, or `"off"`.
    - `clock`: one with `now()` and `wait(deadline, spin)`, such as `tpssim.clock.VirtualClock`; None: real
      time.
    - `record`: a file that the run is written to as it goes (`python -m tpssim replay FILE`).
    - `seed`: of the draws of laws that probe at random or refuse calls.

    Raises `InputError` for bad arguments, `Aborted` in mid-run if the law answers nonsense or the recording
    fails. Warns (`ThrottleWarning`) if the generator itself is what is late.

    >>> from tpssim.clock import VirtualClock
    >>> clock = VirtualClock()
    >>> [(item, clock.time()) for item in throttle("ab", 4, 3, clock=clock)]
    [('a', 0.0), ('b', 0.25), ('a', 0.5)]
    """
    return Throttle(items, tps, total, controller, late, spin, clock, record, seed)


class Run(NamedTuple):
    """What `run` and `arun` return."""

    report: Report
    failures: dict[
        str, int
    ]  #: the exceptions of the calls, "Type: message" (the first of each type): how many


class Failures:
    """Exceptions counted by type, with the first message of each. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, error: Exception) -> None:
        kind = type(error).__name__
        text = f"{kind}: {error}" if str(error) else kind
        with self._lock:
            self._first.setdefault(kind, text)
            self._counts[kind] += 1

    def all(self) -> dict[str, int]:
        return {self._first[kind]: n for kind, n in self._counts.most_common()}


def run(
    call: Callable[[T], Any],
    items: Iterable[T],
    tps: float,
    total: int | None = None,
    *,
    workers: int = 1,
    started: Callable[[Throttle[T]], Any] | None = None,
    **options: Any,
) -> Run:
    """Call `call(item)` at `tps` a second from a pool of threads: the schedule does not wait for the calls.

    With all workers busy, released calls wait for one; their latency counts from the release, so a pool that
    is too small shows. With `workers=0` there is no pool: one call at a time, on this thread, as in a loop
    over `throttle`. An exception in a call is a failure that the law sees, counted in the result
    (`TimeoutError`, `Rejected`: a drop). `stop()` lets the calls in hand end and forgets those that wait for
    a worker; so does an interrupt, which then goes on to the caller. `started` gets the throttle before the
    first call. Options as of `throttle`.

    >>> run(abs, range(5), 1000.0, workers=2).report.ok
    5
    """
    if workers != 0:
        checked_count("workers", workers)
    checked_call(call, asynchronous=False)
    failures = Failures()
    queue: SimpleQueue[tuple[T, Permit] | None] = SimpleQueue()

    def work() -> None:
        while (job := queue.get()) is not None:
            item, permit = job
            if paced.flow.stopped:
                permit.forget()
                continue
            make(item, permit)

    def make(item: T, permit: Permit) -> None:
        try:
            with permit:
                call(item)
        except Exception as error:
            failures.add(error)

    with throttle(items, tps, total, **options) as paced:
        paced.flow.calls = f"pool({workers})" if workers else "blocking"
        if started is not None:
            started(paced)
        if not workers:
            for job in paced._all():
                make(*job)
            return Run(paced.report(), failures.all())
        pool = [threading.Thread(target=work, name=f"tpssim worker {i}", daemon=True) for i in range(workers)]
        for thread in pool:
            thread.start()
        try:
            for job in paced.permits():
                queue.put(job)
        except BaseException:
            paced.stop()
            raise
        finally:
            for _ in pool:
                queue.put(None)
            for thread in pool:
                thread.join()
        return Run(paced.report(), failures.all())
