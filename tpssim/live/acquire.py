"""How a thread asks for the next slot: in the queue, then with a clock."""

from __future__ import annotations

import math
import threading
from typing import Any, Protocol

from tpssim.core.errors import Aborted
from tpssim.live.permits import Permit
from tpssim.live.report import warn
from tpssim.live.session import Flow
from tpssim.live.sources import Source
from tpssim.live.waiters import ThreadTurn


class ThreadClock(Protocol):
    """What a thread at the head of the queue waits with."""

    def wake(self) -> None: ...
    def wait(self, deadline: float) -> float: ...


def ask(
    flow: Flow,
    clock: ThreadClock,
    source: Source[Any] | None,
    asked: float,
    timeout: float | None = None,
    cost: float = 1.0,
) -> tuple[Any, Permit] | None:
    """(item, permit) of the next slot, or None if the run is over.

    `asked` is when the caller asked; from then on all time but the iterable's counts as the
    throttle's own. `cost` is of a call without an item. Raises `TimeoutError`, and then takes no
    slot.
    """
    until = math.inf if timeout is None else asked + timeout
    queue, who = flow.queue, threading.get_ident()
    baton, mine = queue.baton, False
    turn = None
    try:
        if baton and not queue.waiting:
            try:
                del baton[0]
                mine = True
            except IndexError:  # another thread was faster
                pass
        if mine:
            queue.head = who
            if flow.pacer is not None:
                flow.tally.blocked += asked - flow.free_since
        else:
            turn = ThreadTurn(who)
            if not _turn_comes(flow, turn, until):
                without(flow, timeout)
                return None
            mine = True
            queue.at_head = None  # whoever else leaves need not call it again
        # Stored first, for an exception just after a call is to be raised within this `try`.
        got = _slot(flow, clock, source, asked, until, timeout, cost)
        return got  # noqa: RET504
    finally:
        if mine:
            queue.head = None
            baton += (None,)
        if queue.waiting or not mine:
            try:
                queue.leave(turn)
            except BaseException:  # of a signal handler
                queue.leave(turn)
                raise


def _slot(
    flow: Flow,
    clock: ThreadClock,
    source: Source[Any] | None,
    asked: float,
    until: float,
    timeout: float | None,
    cost: float,
) -> tuple[Any, Permit] | None:
    """As `ask`, for the head of the queue."""
    permit = None
    try:
        if flow.ending and flow.over():
            return None
        item, took = None, 0.0
        if source is not None:
            before = flow.timing.now()
            waiting = source.waiting
            if not waiting:
                for item in source.items:
                    waiting.append(item)
                    break
                else:
                    flow.finish()
                    return None
            item = waiting[0]
            given = flow.cost
            cost = given if given.__class__ is float else flow.cost_of(item)
            took = flow.timing.now() - before
        if flow.pacer is None:
            begun = flow.begin(in_loop=False)
        else:
            flow.tally.fetching += took
            begun = (asked if asked > flow.released_at else flow.released_at) + took
        while (deadline := flow.deadline(clock, cost)) is not None:
            if flow.warning:
                warn(flow.warning)
            at = clock.wait(deadline if deadline < until else until)
            permit = flow.release(at, begun, cost)
            if permit is not None:
                # Until now an exception leaves the item there; from here on there is no call.
                if source is not None:
                    del waiting[0]
                return item, permit
            if at >= until:
                break
    except Aborted:
        flow.end_if_failed()
        raise
    finally:
        if permit is None:
            flow.left_without_slot()
    without(flow, timeout)
    return None


def _turn_comes(flow: Flow, turn: ThreadTurn, until: float) -> bool:
    """Wait in the queue; False if time is up, or the run is over."""
    queue = flow.queue
    queue.join(turn)
    while queue.at_head is not turn:
        left = until - flow.timing.now() if until < math.inf else math.inf
        if left <= 0.0 or flow.over():
            return False
        turn.wait(min(left, queue.look))
        if queue.look < math.inf:
            queue.tidy()
    return True


def without(flow: Flow, timeout: float | None) -> None:
    """There is no slot: the run is over, or time is up (raises `TimeoutError`)."""
    if not flow.over():
        if timeout:  # else it only tried
            flow.given_up()
        raise TimeoutError(f"no slot came within {timeout:g} s")
