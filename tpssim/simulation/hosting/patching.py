"""Real time, threads and locks replaced by virtual ones, for hosted code alone and for as long as
it runs.

All references to `time.sleep` and the like are found and replaced (`references`), methods in their
classes. A replacement asks who is calling: in a virtual thread it acts in virtual time, anywhere
else it is the real thing, so nothing outside the hosted code notices.
"""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import ctypes
import functools
import gc
import importlib
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime
from multiprocessing.synchronize import SemLock
from types import BuiltinMethodType, ClassMethodDescriptorType
from typing import Any

from tpssim.simulation.hosting import virtual_clocks
from tpssim.simulation.hosting.references import Exchange
from tpssim.simulation.hosting.threads import VirtualThread, current
from tpssim.simulation.hosting.virtual_clocks import refused
from tpssim.simulation.hosting.virtual_threads import (
    Lock,
    current_thread,
    get,
    identity,
    is_alive,
    join,
    simple_queue,
    start,
    start_new_thread,
)


class Replacement:
    """Stands in for a real function. No descriptor, so that a class attribute stays what it was."""

    def __init__(self, real: Any, virtual: Callable[..., Any], *first: Any) -> None:
        self.real = real
        self.virtual = virtual
        self.first = first  # arguments that come before the caller's
        functools.update_wrapper(self, real, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        vthread = current()
        if vthread is None:
            return self.real(*args, **kwargs)
        return self.virtual(vthread, *self.first, *args, **kwargs)

    def __getitem__(self, _: Any) -> Replacement:
        """`queue.SimpleQueue[int]`, of a class."""
        return self


def _lock(vthread: VirtualThread) -> Lock:
    return Lock()


def _rlock(vthread: VirtualThread) -> Any:
    # made of the lock and identity of this module
    return threading._PyRLock()  # type: ignore[attr-defined]


def _event_loop(vthread: VirtualThread) -> asyncio.AbstractEventLoop:
    from tpssim.simulation.hosting.virtual_loop import VirtualLoop

    return VirtualLoop(vthread)


#: Found wherever they are referred to.
_CLOCKS: dict[str, Callable[..., Any]] = {
    "sleep": virtual_clocks.sleep,
    "perf_counter": virtual_clocks.now,
    "monotonic": virtual_clocks.now,
    "time": virtual_clocks.wall,
    "perf_counter_ns": virtual_clocks.now_ns,
    "monotonic_ns": virtual_clocks.now_ns,
    "time_ns": virtual_clocks.wall_ns,
    "clock_gettime": virtual_clocks.clock_gettime,
    "clock_gettime_ns": virtual_clocks.clock_gettime_ns,
    "process_time": virtual_clocks.process_time,
    "process_time_ns": virtual_clocks.process_time_ns,
    "thread_time": virtual_clocks.thread_time,
    "thread_time_ns": virtual_clocks.thread_time_ns,
    "localtime": virtual_clocks.localtime,
    "gmtime": virtual_clocks.gmtime,
    "ctime": virtual_clocks.ctime,
    "asctime": virtual_clocks.asctime,
    "strftime": virtual_clocks.strftime,
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
#: What cannot be hosted, by module, as far as the system has it: means to wait or to talk to the
#: outside ...
_WAITING = {
    "select": "select poll epoll devpoll kqueue",
    "signal": "pause sigwait sigwaitinfo sigtimedwait setitimer alarm",
    "os": (
        "wait wait3 wait4 waitid waitpid system fork forkpty posix_spawn posix_spawnp"
        " timerfd_create"
    ),
    "socket": "getaddrinfo gethostbyname gethostbyname_ex gethostbyaddr getnameinfo",
}
#: ... and clocks: of the processor, of identifiers that grow with time; and what sets the
#: machine's.
_READING = {
    "time": "clock_settime clock_settime_ns",
    "os": "times",
    "resource": "getrusage",
    "uuid": "uuid1 uuid6 uuid7",
}
#: Methods are replaced in their classes, which others may derive from meanwhile.
_METHODS: list[tuple[type, str, Callable[..., Any]]] = [
    (datetime, "now", virtual_clocks.datetime_now),
    (datetime, "utcnow", virtual_clocks.datetime_utcnow),
    (date, "today", virtual_clocks.today),
    (threading.Thread, "start", start),
    (threading.Thread, "join", join),
    (threading.Thread, "is_alive", is_alive),
    *(
        (socket.socket, name, refused(f"socket.{name}"))
        for name in (
            "connect",
            "connect_ex",
            "accept",
            "recv",
            "recv_into",
            "recvfrom",
            "recvfrom_into",
        )
    ),
    (subprocess.Popen, "__init__", refused("subprocess.Popen")),
    (SemLock, "__init__", refused("a lock of multiprocessing")),
    (queue.SimpleQueue, "get", get),
]


def _replacements() -> dict[int, Replacement]:
    """By the identity of what is replaced."""
    wanted = [(time, name, virtual) for name, virtual in _CLOCKS.items()]
    wanted += _THREADS
    for table, does in ((_WAITING, "waits"), (_READING, "reads the clock")):
        for module_name, names in table.items():
            with contextlib.suppress(ImportError):  # not on every system
                module = importlib.import_module(module_name)
                wanted += [
                    (module, name, refused(f"{module_name}.{name}", does)) for name in names.split()
                ]
    found = {}
    for module, name, virtual in wanted:
        if hasattr(module, name):
            real = getattr(module, name)
            found[id(real)] = Replacement(real, virtual)
    return found


_by_identity = _replacements()


@contextlib.contextmanager
def rebound() -> Iterator[None]:
    """While this lasts, hosted code lives in virtual time; two that overlap share the
    replacements.
    """
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
    gc.unfreeze()  # or what is frozen is not looked through
    _undo.append(functools.partial(_restore_imported, frozenset(sys.modules)))
    found = _by_identity | _bound_early()
    exchange = Exchange(
        ((stand_in.real, stand_in) for stand_in in found.values()),
        [found, _by_identity, _METHODS, *(stand_in.__dict__ for stand_in in found.values())],
    )
    _undo.append(exchange.back)
    exchange.make()
    for owner, name, virtual in _METHODS:
        _rebind_method(owner, name, virtual)
    # Code that asks for the time when the garbage collector runs would be taken for hosted code.
    _undo.append(functools.partial(gc.callbacks.extend, gc.callbacks.copy()))
    gc.callbacks.clear()


def _restore_imported(before: frozenset[str]) -> None:
    """A module that was first imported in virtual time took the replacements for the real thing."""
    if not before.issuperset(sys.modules):
        pairs = ((stand_in, stand_in.real) for stand_in in _by_identity.values())
        Exchange(pairs, [_by_identity]).make()


def _bound_early() -> dict[int, Replacement]:
    """`clock = datetime.now`: methods of C classes that were taken out of their class before
    now.
    """
    kinds: list[type] = [date]
    for kind in kinds:  # it grows: all that derive from it
        kinds += kind.__subclasses__()
    found = {}
    for taken in gc.get_referrers(*kinds):
        if type(taken) is BuiltinMethodType and taken.__self__ in kinds:
            for owner, name, virtual in _METHODS:
                if name == taken.__name__ and issubclass(taken.__self__, owner):
                    found[id(taken)] = Replacement(taken, virtual, taken.__self__)
    return found


def _rebind_method(owner: type, name: str, virtual: Callable[..., Any]) -> None:
    real = owner.__dict__.get(name)
    if isinstance(real, ClassMethodDescriptorType):
        _set_in_class(owner, name, classmethod(_method(_unbound(real), virtual)))
    else:
        _set_in_class(owner, name, _method(getattr(owner, name), virtual))
    if real is None:
        _undo.append(functools.partial(delattr, owner, name))
    else:
        _undo.append(functools.partial(_set_in_class, owner, name, real))


def _unbound(real: ClassMethodDescriptorType) -> Callable[..., Any]:
    @functools.wraps(real)
    def function(kind: type, *args: Any, **kwargs: Any) -> Any:
        return real.__get__(None, kind)(*args, **kwargs)

    return function


def _set_in_class(owner: Any, name: str, value: Any) -> None:
    """`setattr`. A class written in C refuses it: there in its dict, and then it must be said.

    Another class in the place of `datetime` would not reach what derives from it, nor C code.
    """
    try:
        setattr(owner, name, value)
    except TypeError:
        gc.get_referents(owner.__dict__)[0][name] = value
        ctypes.pythonapi.PyType_Modified(ctypes.py_object(owner))


def _method(real: Callable[..., Any], virtual: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def method(this: Any, *args: Any, **kwargs: Any) -> Any:
        vthread = current()
        if vthread is None:
            return real(this, *args, **kwargs)
        return virtual(vthread, this, *args, **kwargs)

    return method
