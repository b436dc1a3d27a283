"""Whose call is it? The open calls that threads and tasks were given without a permit to settle."""

from __future__ import annotations

import functools
import inspect
import opcode
import sys
import threading
import weakref
from types import FrameType
from typing import Any

from tpssim.live.permits import Permit

#: What a `with` calls `__enter__` by; from Python 3.14 on it stands just before the call.
BY_WITH = {opcode.opmap[name] for name in ("BEFORE_WITH", "LOAD_SPECIAL") if name in opcode.opmap}

#: Frames that may be suspended in the middle of something, and so be on no stack.
SUSPENDED = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


class OpenCalls(list[Permit]):
    """The open calls of one thread or task, the innermost one last."""

    __slots__ = ("owner",)
    owner: Any  #: of a task: a weak reference to it, which forgets these calls when it is gone

    def forget(self) -> None:
        """The innermost call, if there is one, is over, and nobody knows how."""
        if self:
            self.pop().forget()

    def tidy(self, frame: FrameType) -> None:
        """This frame enters a limiter: forget the calls of each `with` that is over.

        A signal handler may raise at the first instruction of `__exit__`, which then does nothing.
        Such a `with` is over when its function has returned or enters the same `with` again. (A
        suspended generator has not returned.) If an `ExitStack` or the user's own code called
        `__enter__`, this cannot be known.
        """
        running, outer = {frame}, frame.f_back
        while outer is not None:
            running.add(outer)
            outer = outer.f_back
        for i in reversed(range(len(self))):
            permit = self[i]
            within = getattr(permit, "within", None)
            if within is None:
                continue
            then, place = within
            if BY_WITH.isdisjoint(then.f_code.co_code[max(place - 2, 0) : place + 1 : 2]):
                continue
            suspended = then.f_code.co_flags & SUSPENDED
            if place == frame.f_lasti if then is frame else then not in running and not suspended:
                permit.within = None
                del self[i]
                permit.forget()


class _End:
    """Lives as long as the thread that it belongs to."""

    def __init__(self, open_calls: dict[int, OpenCalls], key: int) -> None:
        self._open_calls, self._key = open_calls, key

    def __del__(self) -> None:
        self._open_calls.pop(self._key, None)


class CallOwners:
    """The open calls of each thread and task. When one ends, its calls are forgotten."""

    def __init__(self) -> None:
        self._open_calls: dict[int, OpenCalls] = {}
        self._ends = threading.local()
        self._running: Any = None  # gives the running loop, as soon as asyncio is imported

    def mine(self) -> OpenCalls:
        """The calls of the running task, or outside of any task of this thread."""
        running = self._running
        if running is None and "asyncio" in sys.modules:
            running = self._running = getattr(sys.modules["asyncio"], "_get_running_loop", None)
        loop = None if running is None else running()
        task = None if loop is None else sys.modules["asyncio"].current_task(loop)
        key = threading.get_ident() if task is None else id(task)
        calls = self._open_calls.get(key)
        return self._new(key, task) if calls is None else calls

    def _new(self, key: int, task: Any) -> OpenCalls:
        calls = self._open_calls[key] = OpenCalls()
        over = functools.partial(_over, self._open_calls, key)
        if task is None:  # a key of its own, for the bench has many threads in a real one
            setattr(self._ends, f"end{key}", _End(self._open_calls, key))
        else:
            task.add_done_callback(over)
            calls.owner = weakref.ref(task, over)
        return calls

    def only(self) -> Permit | None:
        """The only open call of all threads and tasks, removed; None if there are more, or none."""
        some = [calls for calls in self._open_calls.copy().values() if calls]
        return some[0].pop() if len(some) == 1 and len(some[0]) == 1 else None

    def clear(self) -> None:
        """Nobody has an open call any more."""
        self._open_calls.clear()


def _over(open_calls: dict[int, OpenCalls], key: int, _: Any) -> None:
    open_calls.pop(key, None)
