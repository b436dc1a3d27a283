"""Who wants the next slot: a line, first come, first served.

The one at its head waits for the slot with a clock; the others wait for their turn, each in its own
way (a thread by a lock, a task by a future). Whoever leaves the line, for whatever reason, gives
its turn on.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from tpssim.core.errors import InputError
from tpssim.live.run_lock import Guard
from tpssim.live.signal_handlers import by_handler

#: Where threads and event loops wait in one line, they look so often whether a loop ahead still
#: runs, s.
LOOK = 1.0


class Turn(Protocol):
    """One that waits for its turn."""

    who: Any  #: the thread, by `threading.get_ident`, or the event loop of a task
    term: int  #: the term of the line in which it was given its turn; -1 before

    def expect(self) -> None:
        """From now on somebody may call."""

    def call(self) -> bool:
        """Wake it up, from any thread; False if it can never wake up."""


class ThreadTurn:
    """A thread in the line."""

    __slots__ = ("_bell", "term", "who")

    def __init__(self, who: int) -> None:
        self._bell = threading.Lock()
        self.who = who
        self.term = -1

    def expect(self) -> None:
        self._bell.acquire()

    def wait(self, seconds: float) -> None:
        """Until it is called, or for so long."""
        self._bell.acquire(
            timeout=-1 if seconds == math.inf else min(seconds, threading.TIMEOUT_MAX)
        )

    def call(self) -> bool:
        if (
            self._bell.locked()
        ):  # else it has been called already; who calls holds the lock of the line
            self._bell.release()
        return True


class WaitQueue:
    """The line of one run. Who holds the baton is its head.

    A signal handler may raise wherever the interpreter looks for signals: where a function begins,
    after a call, where a loop begins anew. So the baton is the one thing in a list, taken by `del
    baton[0]` and given back by `baton += (None,)`, neither of which is a call, within a `try` whose
    `finally` begins with giving it back; a lock whose `acquire` has just returned could be lost. It
    is free for a moment while others wait; who comes then gets in line behind them. `leave` may be
    called again where it was cut short.

    A thread at the head leaves it in any case. A task does not if its event loop is stopped: then
    its turn is taken from it, the line's term ends, and a task whose `term` is over gets in line
    again.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self.lock = guard.lock
        self.baton: list[None] = [None]
        self.head: Any = None  #: as `Turn.who`, of the one who holds the baton
        self.waiting: deque[Turn] = deque()  #: those behind the head
        self.at_head: Turn | None = None  #: the one at the head, if it has waited for its turn
        self.term = 0  #: how often a task has left the head, or has been taken from it
        self._place: Any = (
            None  # where all waiters came from so far: 0 from threads, or one loop, by identity
        )
        self.look = math.inf  #: how often those who wait look whether the head is alive, s
        self._still: tuple[Any, float] | None = (
            None  # (loop of the head, since when it has not run)
        )

    def join(self, turn: Turn) -> None:
        """Get in line. If nobody is in it, this is the head now: `at_head`."""
        if self._guard.mine():
            raise InputError(
                "a law, or a signal handler in the middle of a report, asks for a slot, for which"
                " it would have to wait; allowed: when that is over"
            )
        with self.lock:
            self.tidy()
            self._refuse_behind_itself(turn.who)
            for who in (turn.who, self.head):
                place = 0 if isinstance(who, int) else id(who)
                if who is None:
                    continue
                if self._place is None:
                    self._place = place
                elif place != self._place and self.look == math.inf:
                    self.look = LOOK
                    self.call_all()  # who waits already is to look from now on
            turn.term = -1
            turn.expect()
            self.waiting.append(turn)
            if self.baton:  # the head has left meanwhile
                self._pass_on()
        if self._guard.mail:
            self._guard.drain()

    def _refuse_behind_itself(self, who: Any) -> None:
        """Nobody may wait for a turn that comes only when he has waited."""
        if not isinstance(who, int):
            return
        loop = running_loop()
        for ahead in (self.head, *(turn.who for turn in self.waiting)):
            if loop is not None and ahead is loop:
                raise InputError(
                    "a thread would wait behind tasks of the event loop that it holds up; "
                    "allowed: async with, or await aacquire()"
                )
            if ahead == who:
                raise InputError(
                    "this thread waits for a slot already, and asks again from within (a signal"
                    " handler, its iterable); allowed: one at a time"
                )

    def leave(self, turn: Turn | None, term: int = -1) -> None:
        """One leaves that gave its baton back, or waits, or was given its turn; or a task that has
        that term.

        The first one in line gets its turn, and whoever has it is called again: who gave it to him
        may have been interrupted before the call.
        """
        with self.lock:
            if term == self.term or (turn is not None and self.at_head is turn):
                self._free()
            elif turn is not None and turn.term < 0 and turn in self.waiting:
                self.waiting.remove(turn)
            if self.baton:
                self._pass_on()
            elif self.at_head is not None:
                self.at_head.call()
        if self._guard.mail:
            self._guard.drain()

    def _free(self) -> None:
        """The baton is free: nothing here is a call, so it is all done or nothing."""
        self.head = self.at_head = None
        self.term += 1
        self.baton += (None,)

    def _pass_on(self) -> None:
        """The baton, which is free, goes to the next one who can take it."""
        while self.waiting:
            place = self._first()
            turn = self.waiting[place]
            try:
                del self.baton[0]  # no call from here ...
            except IndexError:  # a thread that saw nobody wait has taken it
                return
            del self.waiting[place]
            self.head = turn.who
            self.at_head = turn
            turn.term = self.term  # ... to here: it is the head, or waits still
            if turn.call():
                return
            self._free()

    def _first(self) -> int:
        """The place of the first one that can go on at once; that of the first one if nobody
        can.
        """
        for place, turn in enumerate(self.waiting):
            if isinstance(turn.who, int) or turn.who.is_running():
                return place
        return 0

    def holds(self, turn: Turn) -> int:
        """The term for which this task is the head; -1 if it is not, or not any more."""
        with self.lock:
            term = self.term if self.at_head is turn else -1
        if self._guard.mail:
            self._guard.drain()
        return term

    def still(self, term: int) -> bool:
        """Whether a task is the head still, after it has waited: from now on it is until it waits
        again.
        """
        with self.lock:
            is_head = term == self.term
        if self._guard.mail:
            self._guard.drain()
        return is_head

    def tidy(self) -> None:
        """Give on the turn of a head whose event loop is gone, or has not run for `LOOK`
        seconds.
        """
        with self.lock:
            if self._rests(self.head):
                self._still = None
                self._free()
                self._pass_on()
        if self._guard.mail:
            self._guard.drain()

    def _rests(self, head: Any) -> bool:
        """Whether this is an event loop that is gone, or has not run for `LOOK` seconds."""
        if head is None or isinstance(head, int) or head.is_running():
            self._still = None
            return False
        if head.is_closed():
            return True
        still = self._still
        if still is None or still[0] is not head:
            still = self._still = head, time.monotonic()
            ring(head, self._runs, head)
        return (
            time.monotonic() - still[1] >= LOOK and self._still is still
        )  # it may have run just now

    def _runs(self, loop: Any) -> None:
        """This loop has run since it was seen not to."""
        if self._still is not None and self._still[0] is loop:
            self._still = None

    def call_all(self) -> None:
        """Wake up everybody who waits: the run is over. Who calls this holds the lock."""
        for turn in tuple(self.waiting):
            turn.call()


def ring(loop: Any, call: Callable[..., Any], *args: Any) -> bool:
    """Have an event loop do this, from any thread; False if it is gone."""
    try:
        loop.call_soon_threadsafe(call, *args)
    except RuntimeError as error:
        if by_handler(error):
            raise
        return False
    return True


def running_loop() -> Any:
    """The event loop that runs in this thread, if one does; without importing asyncio."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return None
    running = getattr(asyncio, "_get_running_loop", None)  # it may be being imported
    return None if running is None else running()
