"""One lock for a run, which nobody can lock himself out of."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from tpssim.live.signal_handlers import by_handler


class Guard:
    """A lock, and what has to wait for it without waiting.

    The thread that holds the lock may be interrupted by code that wants it too: a signal handler,
    the finaliser of an object, a law that asks for a report. What such code wants done is posted,
    and done as soon as the lock is free; so a handler never waits for the very thread that it
    interrupts.

    Whoever has held `lock` calls `drain` afterwards if there is `mail`. The lock is taken by `with`
    of itself and not of an object around it: a signal handler may raise at the first instruction of
    a function, and a lock that is given back in an `__exit__` of ours would never be. What is
    posted may be begun, cut short by such an exception, and begun again.
    """

    def __init__(self) -> None:
        self.lock: Any = threading.RLock()
        #: Whether the calling thread holds the lock, so that it is in the middle of something.
        self.mine: Callable[[], bool] = self.lock._is_owned  # type: ignore[attr-defined]
        self.mail: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()

    def do(self, action: Callable[..., Any], *args: Any) -> None:
        """Do it under the lock: now, or when whoever is in the middle of something has left it."""
        if self.mine():
            self.mail.append((action, args))
            return
        try:
            with self.lock:
                action(*args)
        finally:
            if self.mail:
                self.drain()

    def post(self, action: Callable[..., Any], *args: Any) -> None:
        """As `do`, but wait for nobody: if another thread holds the lock, that thread does it."""
        self.mail.append((action, args))
        self.drain()

    def drain(self) -> None:
        """Do what was posted, unless somebody holds the lock, who will."""
        while self.mail and not self.mine():
            taken = False
            try:
                taken = self.lock.acquire(blocking=False)
                if not taken:
                    return
                while self.mail:
                    self._deliver()
            finally:
                if (
                    taken or self.mine()
                ):  # a handler may have raised when it was taken and nobody knew yet
                    self.lock.release()

    def _deliver(self) -> None:
        action, args = self.mail[0]
        try:
            action(*args)
        except Exception as error:
            if not by_handler(error):
                del self.mail[0]
            raise
        del self.mail[0]
