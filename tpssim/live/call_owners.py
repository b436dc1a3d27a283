"""Whose call is it? The calls that threads and tasks were given without a permit to settle."""

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

#: Frames that may be in the middle of something, and on no stack.
RESTING = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


class Hand(list[Permit]):
    """The calls of one thread or task, the last one innermost."""

    __slots__ = ("owner",)
    owner: Any  #: of a task: a weak reference to it, which empties the hand when the task is gone

    def forget(self) -> None:
        """The innermost call, if there is one, is over, and nobody knows how."""
        if self:
            self.pop().forget()

    def tidy(self, frame: FrameType) -> None:
        """This frame enters a limiter: forget the calls of a `with` that is over.

        A signal handler may raise at the first instruction of `__exit__`, which then does nothing.
        Such a `with` is over when its function has returned, or begins it anew. (A generator that
        rests has not.) Of a call of `__enter__` by an `ExitStack`, or by one of the user's, it
        cannot be known.
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
            rests = then.f_code.co_flags & RESTING
            if place == frame.f_lasti if then is frame else then not in running and not rests:
                permit.within = None
                del self[i]
                permit.forget()


class _End:
    """Lives as long as the thread whose it is."""

    def __init__(self, hands: dict[int, Hand], key: int) -> None:
        self._hands, self._key = hands, key

    def __del__(self) -> None:
        self._hands.pop(self._key, None)


class Hands:
    """The calls in hand, by thread or task. One that ends takes its calls with it: they are
    forgotten.
    """

    def __init__(self) -> None:
        self._hands: dict[int, Hand] = {}
        self._ends = threading.local()
        self._running: Any = (
            None  # what tells the running loop, as soon as somebody has imported asyncio
        )

    def mine(self) -> Hand:
        """The calls of the running task, or outside of any task of this thread."""
        running = self._running
        if running is None and "asyncio" in sys.modules:
            running = self._running = getattr(sys.modules["asyncio"], "_get_running_loop", None)
        loop = None if running is None else running()
        task = None if loop is None else sys.modules["asyncio"].current_task(loop)
        key = threading.get_ident() if task is None else id(task)
        hand = self._hands.get(key)
        return self._new(key, task) if hand is None else hand

    def _new(self, key: int, task: Any) -> Hand:
        hand = self._hands[key] = Hand()
        if task is None:
            setattr(
                self._ends, f"end{key}", _End(self._hands, key)
            )  # the bench has many in a real thread
        else:
            task.add_done_callback(functools.partial(_over, self._hands, key))
            hand.owner = weakref.ref(task, functools.partial(_over, self._hands, key))
        return hand

    def only(self) -> Permit | None:
        """The one call in anybody's hand, which is taken out of it; None if there are more, or
        none.
        """
        hands = [hand for hand in self._hands.copy().values() if hand]
        return hands[0].pop() if len(hands) == 1 and len(hands[0]) == 1 else None

    def clear(self) -> None:
        """Nobody has a call in hand any more."""
        self._hands.clear()


def _over(hands: dict[int, Hand], key: int, _: Any) -> None:
    hands.pop(key, None)
