"""Locks and threads in virtual time. `threading`'s Condition, Event, Semaphore and Queue are made
of them.

A thread that hosted code starts becomes a virtual thread of the same producer. Threads take turns
where they wait, so what happens between two waits is atomic, and equal runs are equal.
"""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from tpssim.simulation.hosting.threads import VirtualThread, current
from tpssim.simulation.hosting.virtual_clocks import caller, refuse


class Lock:
    """As `threading.Lock`; it is handed to the thread that waited longest."""

    def __init__(self) -> None:
        self._locked = False
        self._waiting: deque[VirtualThread] = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if not self._locked:
            self._locked = True
            return True
        vthread = current()
        if not blocking or timeout == 0:
            return False
        if vthread is None:
            raise RuntimeError("a lock made by hosted code is waited for outside of it")
        self._waiting.append(vthread)
        vthread.wait(None if timeout < 0 else timeout)
        if vthread in self._waiting:
            self._waiting.remove(vthread)
            return False
        return True

    def release(self) -> None:
        if not self._locked:
            raise RuntimeError("release unlocked lock")
        if self._waiting:
            self._waiting.popleft().wake()  # it stays locked, in other hands
        else:
            self._locked = False

    def locked(self) -> bool:
        return self._locked

    def _at_fork_reinit(self) -> None:
        self._locked = False

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def _begin(vthread: VirtualThread, body: Callable[[], None]) -> VirtualThread:
    def quiet() -> None:
        with contextlib.suppress(SystemExit):  # which ends a thread and nothing else
            body()

    new = VirtualThread(vthread.world, vthread.producer, quiet, vthread.root)
    new.clock.set(vthread.clock.time())
    new.start()
    return new


def start(vthread: VirtualThread, thread: threading.Thread) -> None:
    """`Thread.start` in hosted code."""
    known = vthread.root.threads
    if thread in known or thread.ident is not None:
        raise RuntimeError("threads can only be started once")

    def body() -> None:
        try:
            thread.run()
        except Exception:
            threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), thread)))
        finally:
            done.release()
            _mark_ended(thread)

    new = _begin(vthread, body)
    new.thread = thread
    done = known[thread] = Lock()  # held as long as the thread runs
    done.acquire()
    thread._ident = id(new)  # type: ignore[attr-defined]
    thread._started.set()  # type: ignore[attr-defined]


def _mark_ended(thread: threading.Thread) -> None:
    """For whoever joins it later in real time, such as the interpreter when it ends."""
    handle = getattr(thread, "_handle", None)
    if handle is not None:  # Python 3.13
        handle._set_done()
    else:
        thread._is_stopped = True  # type: ignore[attr-defined]


_real_join, _real_is_alive = threading.Thread.join, threading.Thread.is_alive
_real_ident = threading.get_ident


def join(vthread: VirtualThread, thread: threading.Thread, timeout: float | None = None) -> None:
    """`Thread.join` in hosted code; of a real thread, which only a finaliser may end there, in real
    time.
    """
    done = vthread.root.threads.get(thread)
    if done is None:
        if thread.ident == _real_ident():  # in which all hosted code runs: it would wait for itself
            raise RuntimeError("cannot join a thread that hosted code has not started")
        _real_join(thread, timeout)
        return
    if done.acquire(timeout=-1 if timeout is None else max(timeout, 0.0)):
        done.release()


def is_alive(vthread: VirtualThread, thread: threading.Thread) -> bool:
    """`Thread.is_alive` in hosted code."""
    done = vthread.root.threads.get(thread)
    return _real_is_alive(thread) if done is None else done.locked()


def start_new_thread(
    vthread: VirtualThread,
    function: Callable[..., object],
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None = None,
) -> int:
    """`_thread.start_new_thread` in hosted code."""
    return id(_begin(vthread, lambda: (function(*args, **(kwargs or {})), None)[1]))


def identity(vthread: VirtualThread) -> int:
    """`threading.get_ident` in hosted code."""
    return id(vthread)


def current_thread(vthread: VirtualThread) -> threading.Thread:
    """`threading.current_thread` in hosted code."""
    return vthread.thread or threading.main_thread()


def simple_queue(vthread: VirtualThread) -> Any:
    """`queue.SimpleQueue` in hosted code: the one written in Python, made of a semaphore."""
    return queue._PySimpleQueue()  # type: ignore[attr-defined]


def get(vthread: VirtualThread, this: Any, block: bool = True, timeout: float | None = None) -> Any:
    """`queue.SimpleQueue.get` in hosted code, of a queue made outside of it: what is there
    already.
    """
    if block and this.empty():
        refuse(vthread, "queue.SimpleQueue.get, of a queue made before,", "waits", caller())
    return this.get_nowait()
