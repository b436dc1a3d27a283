"""One lock for a run, on which no thread can block itself."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from tpssim.live.signal_handlers import by_handler


class Guard:
    """A lock, and actions that need it but cannot wait for it.

    The thread that holds the lock may be interrupted by code that needs it too: a signal handler,
    the finaliser of an object, a law that asks for a report. The actions of such code are posted,
    and run as soon as the lock is free. So a handler never waits for the thread that it interrupts.

    Whoever has held `lock` calls `drain` afterwards if there is `mail`. Use `with guard.lock`, not
    a context manager around it: a signal handler may raise at the first instruction of our
    `__exit__`, which would then never release the lock. A posted action may be interrupted by such
    an exception, and is then run again.
    """

    def __init__(self) -> None:
        self.lock: Any = threading.RLock()
        #: Whether the calling thread holds the lock.
        self.mine: Callable[[], bool] = self.lock._is_owned  # type: ignore[attr-defined]
        self.mail: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()

    def do(self, action: Callable[..., Any], *args: Any) -> None:
        """Run an action under the lock: now, or when this thread releases the lock."""
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
        """As `do`, but without waiting: if another thread holds the lock, that thread runs the
        action."""
        self.mail.append((action, args))
        self.drain()

    def drain(self) -> None:
        """Run what was posted, unless somebody holds the lock; then that thread will."""
        while self.mail and not self.mine():
            taken = False
            try:
                taken = self.lock.acquire(blocking=False)
                if not taken:
                    return
                while self.mail:
                    self._deliver()
            finally:
                if taken or self.mine():  # a handler may have raised just after it was taken
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
