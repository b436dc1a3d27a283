"""Real time, threads and locks replaced by virtual ones, for hosted code alone and for as long as it runs.

Code that is not ours holds `time.sleep` in many ways: as an attribute of the module, by `from time import
sleep`, as a default argument, in an instance, a closure or a partial. All of these references are found and
replaced. A replacement asks who is calling: in a strand it acts in virtual time, anywhere else it is the
real thing, so nothing outside the hosted code notices.
"""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import functools
import gc
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import CellType, FunctionType
from typing import Any

from tpssim.hosting.strands import Strand, current
from tpssim.hosting.virtual_threads import (
    Lock,
    current_thread,
    identity,
    is_alive,
    join,
    simple_queue,
    start,
    start_new_thread,
)

#: What `time.time` shows at virtual time 0: 2026-01-01 UTC.
EPOCH = 1_767_225_600.0


class Replacement:
    """Stands in for a real function. No descriptor, so that a class attribute stays what it was."""

    def __init__(self, real: Any, virtual: Callable[..., Any]) -> None:
        self.real = real
        self.virtual = virtual
        functools.update_wrapper(self, real, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        strand = current()
        if strand is None:
            return self.real(*args, **kwargs)
        return self.virtual(strand, *args, **kwargs)


def _caller(depth: int = 3) -> Any:
    # This function, the virtual clock, Replacement.__call__, and then the code that looks.
    return sys._getframe(depth)


def _now(strand: Strand) -> float:
    return strand.now(_caller())


def _wall(strand: Strand) -> float:
    return EPOCH + strand.now(_caller())


def _now_ns(strand: Strand) -> int:
    return round(strand.now(_caller()) * 1e9)


def _wall_ns(strand: Strand) -> int:
    return round((EPOCH + strand.now(_caller())) * 1e9)


def _clock_gettime(strand: Strand, clock: int) -> float:
    now = strand.now(_caller())
    return EPOCH + now if clock == time.CLOCK_REALTIME else now


def _clock_gettime_ns(strand: Strand, clock: int) -> int:
    now = strand.now(_caller())
    return round((EPOCH + now if clock == time.CLOCK_REALTIME else now) * 1e9)


def _sleep(strand: Strand, seconds: float) -> None:
    strand.sleep(seconds)


def _lock(strand: Strand) -> Lock:
    return Lock()


def _rlock(strand: Strand) -> Any:
    return threading._PyRLock()  # type: ignore[attr-defined]  # made of the lock and identity of this room


def _event_loop(strand: Strand) -> asyncio.AbstractEventLoop:
    from tpssim.hosting.virtual_loop import VirtualLoop

    return VirtualLoop(strand)


def _refused(name: str) -> Callable[..., Any]:
    def refuse(strand: Strand, *args: Any, **kwargs: Any) -> Any:
        frame = _caller()
        where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        strand.fail(
            f"the hosted code waits by {name} ({where}), which has no virtual twin; "
            "allowed: time, threading, queue and asyncio timers"
        )

    return refuse


#: Found wherever they are referred to.
_CLOCKS: dict[str, Callable[..., Any]] = {
    "sleep": _sleep,
    "perf_counter": _now,
    "monotonic": _now,
    "time": _wall,
    "perf_counter_ns": _now_ns,
    "monotonic_ns": _now_ns,
    "time_ns": _wall_ns,
    "clock_gettime": _clock_gettime,
    "clock_gettime_ns": _clock_gettime_ns,
}
_THREADS: list[tuple[Any, str, Callable[..., Any]]] = [
    (_thread, "allocate_lock", _lock),
    (threading, "Lock", _lock),
    (threading, "RLock", _rlock),
    (_thread, "get_ident", identity),
    (_thread, "start_new_thread", start_new_thread),
    (threading, "current_thread", current_thread),
    (queue, "SimpleQueue", simple_queue),
    (asyncio, "new_event_loop", _event_loop),
]
#: Means to wait, or to talk to the outside, that cannot be hosted.
_REFUSED: list[tuple[Any, str]] = [
    (select, "select"),
    (select, "poll"),
    (select, "epoll"),
    (select, "kqueue"),
    (signal, "pause"),
    (signal, "sigwait"),
    (signal, "sigtimedwait"),
    (signal, "setitimer"),
    (signal, "alarm"),
    (os, "wait"),
    (os, "waitpid"),
    (os, "system"),
    (os, "fork"),
]
#: Methods are replaced in their classes, which others may derive from meanwhile.
_METHODS: list[tuple[type, str, Callable[..., Any]]] = [
    (threading.Thread, "start", start),
    (threading.Thread, "join", join),
    (threading.Thread, "is_alive", is_alive),
    *(
        (socket.socket, name, _refused(f"socket.{name}"))
        for name in ("connect", "connect_ex", "accept", "recv", "recv_into", "recvfrom")
    ),
    (subprocess.Popen, "__init__", _refused("subprocess.Popen")),
]


def _replacements() -> dict[int, Replacement]:
    """By the identity of what is replaced."""
    found = {}
    wanted = [(time, name, virtual) for name, virtual in _CLOCKS.items()]
    wanted += _THREADS
    wanted += [(module, name, _refused(f"{module.__name__}.{name}")) for module, name in _REFUSED]
    for module, name, virtual in wanted:
        if hasattr(module, name):
            real = getattr(module, name)
            found[id(real)] = Replacement(real, virtual)
    return found


_by_identity = _replacements()


@contextlib.contextmanager
def rebound() -> Iterator[None]:
    """While this lasts, hosted code lives in virtual time; two that overlap share the replacements."""
    global _users
    with _guard:
        _users += 1
        if _users == 1:
            _rebind()
    try:
        yield
    finally:
        with _guard:
            _users -= 1
            if _users == 0:
                while _undo:
                    _undo.pop()()


_guard = threading.Lock()
_users = 0
_undo: list[Callable[[], None]] = []


def _rebind() -> None:
    _rebind_modules(_undo)
    _rebind_objects(_undo)
    for owner, name, virtual in _METHODS:
        real = getattr(owner, name)
        if name in owner.__dict__:
            _undo.append(functools.partial(setattr, owner, name, real))
        else:
            _undo.append(functools.partial(delattr, owner, name))
        setattr(owner, name, _method(real, virtual))
    # Code that asks for the time when the garbage collector runs would be taken for hosted code.
    _undo.append(functools.partial(gc.callbacks.extend, gc.callbacks.copy()))
    gc.callbacks.clear()


def _method(real: Callable[..., Any], virtual: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def method(this: Any, *args: Any, **kwargs: Any) -> Any:
        strand = current()
        if strand is None:
            return real(this, *args, **kwargs)
        return virtual(strand, this, *args, **kwargs)

    return method


def _put(space: Any, key: Any, new: Any, undo: list[Callable[[], None]]) -> None:
    old = space[key]
    space[key] = new

    def back() -> None:
        if space.get(key) is new:
            space[key] = old

    undo.append(back)


def _rebind_modules(undo: list[Callable[[], None]]) -> None:
    for module in list(sys.modules.values()):
        space = getattr(module, "__dict__", None)
        if not isinstance(space, dict) or str(space.get("__name__", "")).startswith("tpssim"):
            continue
        for key, value in list(space.items()):
            replacement = _by_identity.get(id(value))
            if replacement is not None and value is replacement.real:
                _put(space, key, replacement, undo)


def _rebind_objects(undo: list[Callable[[], None]]) -> None:
    """References in default arguments, instances, classes, closures, lists and partials."""
    ours = {id(r.__dict__) for r in _by_identity.values()}
    reals = [r.real for r in _by_identity.values()]
    tuples = []
    for holder in gc.get_referrers(*reals):
        if id(holder) in ours or holder is reals:
            continue
        if isinstance(holder, tuple):
            tuples.append(holder)
        else:
            _rebind_in(holder, undo)
    if tuples:
        known = {id(held) for held in tuples}
        for function in gc.get_referrers(*tuples):
            if isinstance(function, FunctionType) and id(function.__defaults__) in known:
                old = function.__defaults__ or ()
                undo.append(functools.partial(setattr, function, "__defaults__", old))
                function.__defaults__ = tuple(_replaced(value) for value in old)


def _replaced(value: Any) -> Any:
    replacement = _by_identity.get(id(value))
    return value if replacement is None or value is not replacement.real else replacement


def _rebind_in(holder: Any, undo: list[Callable[[], None]]) -> None:
    if isinstance(holder, Replacement) or getattr(holder, "__name__", "").startswith("tpssim"):
        return
    if isinstance(holder, CellType):
        old = holder.cell_contents
        holder.cell_contents = _replaced(old)
        undo.append(functools.partial(setattr, holder, "cell_contents", old))
    elif isinstance(holder, functools.partial):
        bound: Any = holder
        old = bound.__reduce__()[2]
        bound.__setstate__((_replaced(old[0]), tuple(_replaced(a) for a in old[1]), *old[2:]))
        undo.append(functools.partial(bound.__setstate__, old))
    elif isinstance(holder, list):
        for i, value in enumerate(holder):
            if _replaced(value) is not value:
                holder[i] = _replaced(value)
                undo.append(functools.partial(holder.__setitem__, i, value))
    elif isinstance(holder, dict):
        if str(holder.get("__name__", "")).startswith("tpssim"):
            return  # the bench itself
        owner = _owner(holder) if "__module__" in holder else None
        for key, value in list(holder.items()):
            if _replaced(value) is value:
                continue
            if owner is None:
                _put(holder, key, _replaced(value), undo)
            else:
                setattr(owner, key, _replaced(value))
                undo.append(functools.partial(setattr, owner, key, value))
    elif hasattr(holder, "__dict__") and not isinstance(holder, type):
        for key, value in list(vars(holder).items()):
            if _replaced(value) is not value:
                _put(vars(holder), key, _replaced(value), undo)


def _owner(space: dict[str, Any]) -> type | None:
    """The class whose attributes these are, if they are a class's: they must be set through it."""
    for owner in gc.get_referrers(space):
        if isinstance(owner, type) and all(owner.__dict__.get(key) is space[key] for key in space):
            return owner
    return None
