"""`throttle`: calls from a thread that waits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

from tpssim.core.clocks import Clock
from tpssim.core.quotas import Quota
from tpssim.core.schedule import Late
from tpssim.live.acquire import ask
from tpssim.live.arguments import Cost, Tps, checked_timeout, cycled
from tpssim.live.call_owners import CallOwners
from tpssim.live.handle import Handle
from tpssim.live.outcomes import Classify, checked_classify
from tpssim.live.permits import Permit
from tpssim.live.session import Flow
from tpssim.live.sources import Source
from tpssim.live.waiting import BorrowedClock, PreciseClock

T = TypeVar("T")


class Throttle(Handle, Generic[T]):
    """What `throttle` returns: an iterator over items at their times, and the handle of the run.

    Any number of threads may iterate it at once (`for`, `next`, `permits`): there is one schedule,
    they get its slots in the order in which they asked, and each item comes once. A call from plain
    iteration belongs to the thread that received it (or to the task that runs there). It is over
    when that thread or task asks again, reaches the end, closes the throttle or leaves its `with`.
    If the thread ends first, the call is forgotten. `ThreadPoolExecutor.map(call, throttle(...))`
    asks from one thread, so each call would be over at once: use `run`, or pass the permit to the
    worker.

    If a wait ends early (an interrupt, an error, `stop`), nothing is lost: the item that was
    fetched is `pending` and comes next. As a context it closes itself, and an exception that leaves
    the block counts as a failure of the open call.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> paced = throttle(range(20), tps=2000.0)
    >>> with ThreadPoolExecutor(4) as pool:
    ...     shares = list(pool.map(list, [paced] * 4))  # four threads iterate it
    >>> sorted(sum(shares, [])) == list(range(20)), paced.report().ok
    (True, 20)
    """

    def __init__(
        self,
        items: Iterable[T],
        tps: Tps,
        total: int | None,
        controller: Any,
        late: Late | str,
        quotas: Sequence[Quota],
        cost: Cost,
        spin: float | str,
        clock: Clock | None,
        record: str | Path | None,
        seed: int,
        classify: Classify | None,
    ) -> None:
        self._source = Source(cycled(items, total))
        self._timing = PreciseClock(spin) if clock is None else BorrowedClock(clock, spin)
        self._owners = CallOwners()
        options = {"total": total, "spin": spin}
        self.flow = Flow(
            tps,
            controller,
            late,
            record,
            seed,
            self._timing,
            options,
            clock is not None,
            quotas,
            cost,
        )
        self.flow.classify = classify
        if isinstance(self._timing, PreciseClock):
            self._timing.rehearse = self.flow.rehearsal()

    @property
    def pending(self) -> tuple[T, ...]:
        """The items that were fetched and not released, in order; they come next."""
        return tuple(self._source.waiting)

    def __iter__(self) -> Throttle[T]:
        return self

    def __next__(self) -> T:
        calls = self._owners.mine()
        asked = calls.pop().passed() if calls else self.flow.timing.now()
        got = ask(self.flow, self._timing, self._source, asked)
        if got is None:
            self._timing.close()
            raise StopIteration
        calls += (got[1],)  # not a call, in which a signal handler might raise
        return got[0]  # type: ignore[no-any-return]

    def permits(self) -> Permits[T]:
        """(item, permit) at their times; several permits may be open at once, in any threads."""
        if self.flow.calls == "blocking":
            self.flow.calls = "permits"
        return self._all()

    def _all(self) -> Permits[T]:
        return Permits(self)

    def _next(self, asked: float, timeout: float | None = None) -> tuple[T, Permit]:
        got = ask(self.flow, self._timing, self._source, asked, timeout)
        if got is None:
            self._timing.close()
            raise StopIteration
        return got

    def close(self) -> None:
        """Stop; a recording is completed."""
        self._leave()
        self.flow.end()

    def _leave(self) -> None:
        """Stop; the open call is forgotten."""
        self.flow.stop()
        self._timing.close()
        calls = self._owners.mine()
        while calls:
            calls.pop().forget()

    def __enter__(self) -> Throttle[T]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        calls = self._owners.mine()
        while calls:
            calls.pop().__exit__(kind, error, trace)
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "flow"):
            self.flow.stop()
            self._timing.close()
            self._owners.clear()
            self.flow.finish()  # permits that are still open may be settled


class Permits(Generic[T]):
    """What `permits` returns: an iterator over (item, permit). Any number of threads may share it.

    >>> permits = throttle("ab", tps=100.0).permits()
    >>> item, permit = permits.next(timeout=1.0)
    >>> with permit:
    ...     print(item)
    a
    """

    def __init__(self, throttle: Throttle[T]) -> None:
        self._throttle = throttle

    def __iter__(self) -> Permits[T]:
        return self

    def __next__(self) -> tuple[T, Permit]:
        throttle = self._throttle  # as `next`, in fewer steps, for loops
        flow = throttle.flow
        got = ask(flow, throttle._timing, throttle._source, flow.timing.now())
        if got is None:
            throttle._timing.close()
            raise StopIteration
        return got

    def next(self, timeout: float | None = None) -> tuple[T, Permit]:
        """As `next(permits)`; raises `TimeoutError` if no slot comes in so many seconds.

        It then takes no slot and no item. Waiting for an item of the iterable is not interrupted.
        """
        throttle = self._throttle
        return throttle._next(throttle.flow.timing.now(), checked_timeout(timeout))


def throttle(
    items: Iterable[T],
    tps: Tps,
    total: int | None = None,
    *,
    controller: Any = None,
    late: Late | str = "auto",
    quotas: Sequence[Quota] = (),
    cost: Cost = 1.0,
    spin: float | str = "auto",
    clock: Clock | None = None,
    record: str | Path | None = None,
    seed: int = 0,
    classify: Classify | None = None,
) -> Throttle[T]:
    """Iterate over items at `tps` a second, exactly on schedule, or as a controller commands.

    Slot k is due at `due_k = due_(k-1) + 1 / min(rate, tps)`, where `rate` is the law's. It is
    never "now plus an interval", so nothing drifts. The law observes as a call's latency the time
    from its item to the request for the next. There is one call at a time: a body that takes longer
    than the interval delays the schedule. (`run` has workers; or let several threads iterate the
    object that this returns, see `Throttle`.)

    - `tps`: a number, inf, or `Stages`, with whose last stage the loop ends. An iterable that gives
    nothing for a while cannot be interrupted: the end then comes when it returns. Take items from a
    source with a timeout of its own (`queue.get(timeout=1.0)`), or use `athrottle`.
    - `total`: so many items, repeating the iterable if it ends; None: one pass. If the law refuses
    a slot, its item comes in the next.
    - `controller`: None (the fixed rate), a spec such as `"headroom"` or `"aimd:dec_rate=0.8"`, or
      a record (or a class of records) from `tpssim.CONTROLLERS` or of your own.
    - `late`: what happens to missed slots. `"auto"`: `tps` is a ceiling, and what a delay of more
    than 0.1 s (or one interval) cost is not made up for. `"burst"`: all are made up for at once.
    `"capped(N)"`: N are. `"delay"`: none are. `"skip"`: none are, and the ticks stay.
    - `spin`: how long before a deadline to read the clock instead of sleeping: seconds, `"off"`, or
    `"auto"` (as long as wake-ups are late on this machine, measured and tracked).
    - `clock`: one with `now()` and `wait(deadline, spin)`, such as `tpssim.VirtualClock`; None:
      real time.
    - `record`: a file that the run is written to as it goes (`python -m tpssim replay FILE`).
    - `seed`: of the random draws of laws that probe or refuse calls.
    - `classify`: a function that names the outcome of a call, given its exception or response:
    "ok", "failed", "timed out", "refused", or None for the rule of `tpssim.live.outcomes`.

    In a plain loop a call counts as ok if its body raises nothing. Pass responses to `see`, so that
    a refusal that raises nothing (429 from `requests.post`) is observed:

    >>> from types import SimpleNamespace as Response
    >>> handle = throttle([200, 429], 1000.0)
    >>> for status in handle:
    ...     response = handle.see(Response(status_code=status, headers={}))
    >>> handle.report().ok, handle.report().drops
    (1, 1)

    Raises `InputError` for bad arguments, and `Aborted` during the run if the law or the recording
    fails. Warns (`ThrottleWarning`) if the generator itself is late.

    >>> from tpssim.core.clocks import VirtualClock
    >>> clock = VirtualClock()
    >>> [(item, clock.time()) for item in throttle("ab", 4, 3, clock=clock)]
    [('a', 0.0), ('b', 0.25), ('a', 0.5)]
    """
    # Long by its signature and what it promises.
    return Throttle(
        items,
        tps,
        total,
        controller,
        late,
        quotas,
        cost,
        spin,
        clock,
        record,
        seed,
        checked_classify(classify),
    )
