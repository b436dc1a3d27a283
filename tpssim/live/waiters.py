"""Who wants the next slot: a queue, first come, first served.

The head of the queue waits for the slot with a clock. The others wait for their turn, each in its
own way (a thread with a lock, a task with a future). Whoever leaves the queue, for whatever reason,
passes its turn on.
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

#: If threads and event loops wait in one queue, they check so often whether a loop ahead still
#: runs, s.
LOOK = 1.0


class Turn(Protocol):
    """One that waits for its turn."""

    who: Any  #: the thread, by `threading.get_ident`, or the event loop of a task
    term: int  #: the term of the queue in which it got its turn; -1 before

    def expect(self) -> None:
        """From now on somebody may call."""

    def call(self) -> bool:
        """Wake it up, from any thread; False if it can never wake up."""


class ThreadTurn:
    """A thread in the queue."""

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
        ):  # else it has been called already; the caller holds the lock of the queue
            self._bell.release()
        return True


class WaitQueue:
    """The queue of one run. Whoever holds the baton is its head.

    A signal handler may raise wherever the interpreter checks for signals: at the beginning of a
    function, after a call, and when a loop repeats. So the baton is the only element of a list. It
    is taken by `del baton[0]` and given back by `baton += (None,)`. Neither is a call, and both are
    within a `try` whose `finally` first gives it back. (A lock could be lost just after its
    `acquire` has returned.) While others wait, the baton is free for a moment; a newcomer then
    queues behind them. `leave` may be called again if it was interrupted.

    A thread at the head always leaves it. A task does not if its event loop is stopped. Then its
    turn is taken from it and the term of the queue ends; a task whose `term` is over queues again.
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
            None  # where all waiters came from so far: 0 for threads, or the identity of one loop
        )
        self.look = math.inf  #: how often those who wait check whether the head is alive, s
        self._still: tuple[Any, float] | None = (
            None  # (loop of the head, since when it has not run)
        )

    def join(self, turn: Turn) -> None:
        """Join the queue. If nobody is in it, this turn is the head now: `at_head`."""
        if self._guard.mine():
            raise InputError(
                "a law, or a signal handler during a report, asks for a slot, but cannot wait for"
                " one; allowed: after that"
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
                    self.call_all()  # those who wait already are to check from now on
            turn.term = -1
            turn.expect()
            self.waiting.append(turn)
            if self.baton:  # the head has left meanwhile
                self._pass_on()
        if self._guard.mail:
            self._guard.drain()

    def _refuse_behind_itself(self, who: Any) -> None:
        """Nobody may wait for a turn that can only come after this wait."""
        if not isinstance(who, int):
            return
        loop = running_loop()
        for ahead in (self.head, *(turn.who for turn in self.waiting)):
            if loop is not None and ahead is loop:
                raise InputError(
                    "a thread would wait behind tasks of the event loop that it blocks; "
                    "allowed: async with, or await aacquire()"
                )
            if ahead == who:
                raise InputError(
                    "this thread waits for a slot already, and asks again from within (a signal"
                    " handler, its iterable); allowed: one at a time"
                )

    def leave(self, turn: Turn | None, term: int = -1) -> None:
        """Somebody leaves who has given the baton back, or waits, or has got a turn; or a task with
        that term.

        The first one in the queue gets the turn. Whoever has it already is called again, because
        whoever passed it on may have been interrupted before the call.
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
        """Free the baton. There is no call in here, so all of it is done or nothing."""
        self.head = self.at_head = None
        self.term += 1
        self.baton += (None,)

    def _pass_on(self) -> None:
        """The baton, which is free, goes to the next one who can take it."""
        while self.waiting:
            place = self._first()
            turn = self.waiting[place]
            try:
                del self.baton[0]  # there is no call from here ...
            except IndexError:  # a thread that saw an empty queue has taken it
                return
            del self.waiting[place]
            self.head = turn.who
            self.at_head = turn
            turn.term = self.term  # ... to here: it is the head, or still waits
            if turn.call():
                return
            self._free()

    def _first(self) -> int:
        """The place of the first one that can continue at once; 0 if nobody can."""
        for place, turn in enumerate(self.waiting):
            if isinstance(turn.who, int) or turn.who.is_running():
                return place
        return 0

    def holds(self, turn: Turn) -> int:
        """The term for which this task is the head; -1 if it is not, or no longer."""
        with self.lock:
            term = self.term if self.at_head is turn else -1
        if self._guard.mail:
            self._guard.drain()
        return term

    def still(self, term: int) -> bool:
        """Whether a task is still the head after a wait; if so, it is until it waits again."""
        with self.lock:
            is_head = term == self.term
        if self._guard.mail:
            self._guard.drain()
        return is_head

    def tidy(self) -> None:
        """Pass on the turn of a head whose event loop is gone, or has not run for `LOOK` s."""
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
        # it may have run just now
        return time.monotonic() - still[1] >= LOOK and self._still is still

    def _runs(self, loop: Any) -> None:
        """This loop runs again."""
        if self._still is not None and self._still[0] is loop:
            self._still = None

    def call_all(self) -> None:
        """Wake everybody who waits: the run is over. The caller holds the lock."""
        for turn in tuple(self.waiting):
            turn.call()


def ring(loop: Any, call: Callable[..., Any], *args: Any) -> bool:
    """Make an event loop call this, from any thread; False if the loop is gone."""
    try:
        loop.call_soon_threadsafe(call, *args)
    except RuntimeError as error:
        if by_handler(error):
            raise
        return False
    return True


def running_loop() -> Any:
    """The event loop that runs in this thread, if there is one; without importing asyncio."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return None
    running = getattr(asyncio, "_get_running_loop", None)  # it may be being imported
    return None if running is None else running()
