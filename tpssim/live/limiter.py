"""`Limiter`: a throttle without items, for code that calls from many places."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from tpssim.core.clocks import Clock
from tpssim.core.errors import Aborted, InputError
from tpssim.core.quotas import Quota
from tpssim.core.schedule import Late
from tpssim.live.acquire import ask
from tpssim.live.arguments import Tps, checked_cost, checked_timeout
from tpssim.live.call_owners import CallOwners
from tpssim.live.clocks import Clocks
from tpssim.live.handle import Handle
from tpssim.live.outcomes import Classify, checked_classify
from tpssim.live.permits import Permit
from tpssim.live.session import Flow

P = ParamSpec("P")
R = TypeVar("R")


class Limiter(Handle):
    """A ceiling on the calls a second of any number of threads and tasks at once.

    They wait in one queue and get slots in the order in which they asked. A call begins with its
    slot. How it ends is its outcome, which a `controller` observes:

    - `with limiter:` around a call, in a coroutine `async with limiter:`; `as` gives the permit;
    - `@limiter` on a function, a method or a coroutine function: each call of it waits for a slot;
    - `permit = limiter.acquire()`, in a coroutine `await limiter.aacquire()`, and then `with
      permit:`, or `permit.done()`, `fail()`, `drop()`. With `timeout` it raises `TimeoutError` if
      no slot comes in so many seconds, and nobody else's slot moves; `timeout=0` only tries. With
      `cost` the call counts for so much, in the wanted rate and in quotas `of="cost"`.

    A signal handler may raise at any moment (Ctrl-C in a notebook). Then a call is either made or
    not, and nobody loses a turn. If it raises at the first instruction of the end of a `with`, the
    call stays in flight until this thread enters the limiter again.

    `limiter.tps = 50` changes the rate during the run. After `limiter.stop()` everybody who waits
    or asks gets `Aborted`. A copy in a forked child is independent of the parent's. The options are
    those of `throttle`.

    >>> limiter = Limiter(tps=500.0)
    >>> with limiter:
    ...     answer = abs(-1)
    >>> @limiter
    ... def call(item):
    ...     return 2 * item
    >>> [call(item) for item in range(3)]
    [0, 2, 4]
    >>> limiter.report().ok
    4
    """

    def __init__(
        self,
        tps: Tps,
        *,
        controller: Any = None,
        late: Late | str = "auto",
        quotas: Sequence[Quota] = (),
        spin: float | str = "auto",
        clock: Clock | None = None,
        record: str | Path | None = None,
        seed: int = 0,
        classify: Classify | None = None,
    ) -> None:
        self._clocks = Clocks(spin, clock)
        self._owners = CallOwners()
        self.flow = Flow(
            tps,
            controller,
            late,
            record,
            seed,
            self._clocks,
            {"spin": spin},
            clock is not None,
            quotas,
        )
        self.flow.calls = "permits"
        self.flow.on_demand = True
        self.flow.classify = checked_classify(classify)

    def acquire(self, timeout: float | None = None, *, cost: float = 1.0) -> Permit:
        """A permit for one call of a cost, when its slot has come."""
        flow = self.flow
        clock, timeout = self._clocks.in_thread(), checked_timeout(timeout)
        got = ask(flow, clock, None, flow.timing.now(), timeout, checked_cost(cost))
        if got is None:
            raise _over(flow)
        return got[1]

    async def aacquire(self, timeout: float | None = None, *, cost: float = 1.0) -> Permit:
        """As `acquire`, in a coroutine; other tasks run meanwhile."""
        from tpssim.live.async_acquire import aask

        flow = self.flow
        timeout, asked = checked_timeout(timeout), flow.timing.now()
        got = await aask(flow, self._clocks, None, asked, timeout, checked_cost(cost))
        if got is None:
            raise _over(flow)
        return got[1]

    def __enter__(self) -> Permit:
        calls, frame = self._owners.mine(), sys._getframe(1)
        if calls:
            calls.tidy(frame)
        permit = self.acquire()
        permit.within = frame, frame.f_lasti
        calls += (permit,)  # no call any more, in which a signal handler might raise
        return permit

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        permit = None
        try:
            calls = self._owners.mine()
            if calls:
                permit = calls[-1]
                permit.within = None
                del calls[-1]
                permit.__exit__(kind, error, trace)
                return
        except BaseException:
            if permit is None:  # of a signal handler, before the call was found
                self._owners.mine().forget()
            raise
        stray = self._owners.only()  # of the one that entered
        if stray is not None:
            stray.forget()
        raise InputError(
            "another thread or task leaves a with of this limiter than has entered it; "
            "allowed: acquire(), whose permit may go anywhere"
        )

    async def __aenter__(self) -> Permit:
        calls = self._owners.mine()
        permit = await self.aacquire()
        calls += (permit,)
        return permit

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, call: Callable[P, R]) -> Callable[P, R]:
        """As a decorator: each call waits for a slot, and its outcome is that of the call."""
        if isinstance(call, staticmethod | classmethod):
            raise InputError(
                f"{_name(call)} is a {type(call).__name__} already; allowed: @{type(call).__name__}"
                " above @limiter"
            )
        if not callable(call):
            raise InputError(
                f"{call!r} cannot be called; allowed: a function or a coroutine function"
            )
        if inspect.isasyncgenfunction(call) or inspect.isgeneratorfunction(call):
            raise InputError(
                f"{_name(call)} is a generator: its call is over before its work begins; allowed:"
                " a function or a coroutine function; inside a generator, with limiter"
            )
        if _is_coroutine_function(call):

            @functools.wraps(call)
            async def acall(*args: P.args, **kwargs: P.kwargs) -> Any:
                with await self.aacquire() as permit:
                    return permit.see(await call(*args, **kwargs))  # type: ignore[misc]

            return acall  # type: ignore[return-value]

        @functools.wraps(call)
        def limited(*args: P.args, **kwargs: P.kwargs) -> R:
            with self.acquire() as permit:
                return permit.see(call(*args, **kwargs))

        return limited

    def close(self) -> None:
        """Stop; nothing is left open; a recording is completed."""
        self.flow.stop()
        self._clocks.close()
        self.flow.end()

    def __del__(self) -> None:
        if hasattr(self, "flow"):
            self.flow.stop()
            self._clocks.close()
            self._owners.clear()
            self.flow.finish()  # permits that are open still may be settled


def _is_coroutine_function(call: Any) -> bool:
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__)


def _name(call: Any) -> str:
    return str(getattr(call, "__qualname__", call))


def _over(flow: Flow) -> Aborted:
    if flow.stopped:
        return Aborted("this limiter was stopped and releases no more calls; allowed: a new one")
    return Aborted("the last stage of this limiter is over; allowed: a new one")
