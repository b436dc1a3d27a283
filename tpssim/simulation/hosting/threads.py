"""Virtual threads: code that waits by itself, and each thread that it starts.

A blocking function cannot be a simpy process, so it runs in a greenlet. When it waits, control goes
back to simpy, which switches to it again when virtual time has come. Sole importer of greenlet.
"""

from __future__ import annotations

import math
from asyncio import _get_running_loop, _set_running_loop
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

import greenlet

from tpssim.core.clocks import VirtualClock
from tpssim.core.errors import InputError
from tpssim.core.timer_models import IDEAL, Draws, reads_until, sleep_end
from tpssim.simulation.environment import RELEASE, World

#: The virtual thread of every greenlet that runs one.
_vthreads: dict[Any, VirtualThread] = {}
_abandoned: list[VirtualThread] = []

Place = tuple[tuple[CodeType, int], ...]
DEPTH = 5  # callers by which two looks at the clock are distinguished
SPINS = 16  # looks from one place, compared with one instant, that make a spin loop
LAST_WAITS = 1000  # waits that clean-up may make when the run is over

#: Looks at a clock that costs nothing, without a wait; after that each takes a microsecond.
FREE_READS = 100
STUCK_READ = 1e-6  # s


def current() -> VirtualThread | None:
    """The virtual thread that is running; None in code that is not hosted."""
    return _vthreads.get(greenlet.getcurrent())


class _InTurn:
    """Noise that all threads of a producer share: each wait takes the next draw."""

    def __init__(self, noise: Draws) -> None:
        self.noise = noise
        self.taken = 0

    def __getitem__(self, _: int) -> float:
        self.taken += 1
        return self.noise[self.taken - 1]


class VirtualThread:
    """One flow of control: a greenlet with its own view of virtual time."""

    def __init__(
        self,
        world: World,
        producer: int,
        body: Callable[[], None],
        root: VirtualThread | None = None,
    ) -> None:
        self.world = world
        self.producer = producer
        self.body = body
        # the thread of the producer; it knows all threads that were started
        self.root = root or self
        self.started: list[VirtualThread] = []
        self.priority = RELEASE + (producer << 40) + len(self.root.started)
        late: Draws = world.late(producer) if root is None else root.threads_late
        self.clock = VirtualClock(world.scenario.timer, late, self._until)
        if root is None:
            self.threads_late: Draws = _InTurn(world.late(producer + (1 << 20)))
            self.clock.set(world.env.now)
        else:
            root.started.append(self)
        parent = current()
        self.hub: Any = greenlet.getcurrent() if parent is None else parent.hub
        self.greenlet = greenlet.greenlet(self._run, self.hub)
        self.waits = 0  # number of the wait in progress: a wake-up for an earlier one is stale
        self.until = math.nan  # when the wait in progress ends by itself
        self.wakeable = False
        self.woken = False
        self.closing = False
        self.closed_waits = 0
        self.thread: Any = None  # what the code knows this thread by, if it started it
        self.threads: dict[
            Any, Any
        ] = {}  # of a root: a lock for each thread started, held till it ends
        self.busy = (
            0.0  # seconds that looking at the clock took: all that code needs the processor for
        )
        self.reads = 0  # looks at the clock since the last wait
        self.looks: dict[
            Place, tuple[float, int]
        ] = {}  # by place: compared with what, how often in a row
        self.last: Place = ()
        self.deadline = math.nan  # the instant to come with which the last look was compared

    def start(self) -> None:
        """Begin at the present instant, as soon as the hub is back."""
        _vthreads[self.greenlet] = self
        self.world.at(self.clock.time(), self.priority, lambda _: self.switch())

    def _run(self) -> None:
        try:
            self.body()
        finally:
            _vthreads.pop(greenlet.getcurrent(), None)

    def switch(self) -> None:
        """Let it run until it waits; called from the hub, whose running event loop stays as it
        is.
        """
        if not self.greenlet.dead:
            _switch_to(self.greenlet.switch)

    def away(self) -> None:
        """Switch to the hub, and come back when it says so; a running event loop of ours stays
        ours.
        """
        if self.closing:
            self._abandon_if_restless()
        _switch_to(self.hub.switch)
        self.looked_enough()

    def looked_enough(self) -> None:
        """Whatever the code saw of the clock, it has waited or released since: it does not spin."""
        self.reads = 0
        self.looks.clear()
        self.last = ()
        self.deadline = math.nan

    def _give(self, until: float, wakeable: bool) -> None:
        """Give control away until that time, or until `wake` if it may be woken."""
        self.waits += 1
        number = self.waits
        self.until, self.wakeable = until, wakeable
        if until < math.inf:
            self.world.at(until, self.priority, lambda _: self._resume(number))
        self.away()
        self.until, self.wakeable = math.nan, False

    def _resume(self, number: int) -> None:
        if number == self.waits:
            self.waits += 1
            self.switch()

    def pause(self, until: float = math.inf) -> bool:
        """Wait until that time, or until `wake`; whether it was woken."""
        if self.closing:
            self._abandon_if_restless()
            raise greenlet.GreenletExit
        self.woken = False
        self._give(until, wakeable=True)
        self.clock.set(max(self.world.env.now, self.clock.time()))
        return self.woken

    def wake(self) -> None:
        """End its `pause`, if it is in one, as soon as the hub is back; called by whoever is
        running.
        """
        if not self.wakeable:
            return
        waker = current()
        now = self.world.env.now if waker is None else waker.clock.time()
        number = self.waits
        self.woken = True
        self.world.at(max(now, self.world.env.now), self.priority, lambda _: self._resume(number))

    def catch_up(self) -> None:
        """Let the world come to where this thread's clock stands."""
        self._until(self.clock.time())

    def _until(self, time: float) -> None:
        """Virtual time goes on to that instant (what the clock asks for)."""
        if self.closing:
            self._abandon_if_restless()
        elif time > self.world.env.now:
            self._give(time, wakeable=False)

    def _abandon_if_restless(self) -> None:
        """The run is over. Clean-up that goes on and on is left where it stands, for good."""
        self.closed_waits += 1
        if self.closed_waits > LAST_WAITS:
            _abandoned.append(self)
            while True:
                self.hub.switch()

    def wait(self, seconds: float | None) -> bool:
        """Wait that long (None: for ever) or until woken; the timer makes it late. Whether
        woken.
        """
        if seconds is None:
            return self.pause()
        clock = self.clock
        late = clock.late[clock.sleeps]
        clock.sleeps += 1
        began, reads = clock.time(), self.reads
        woken = self.pause(sleep_end(clock.timer, began, max(seconds, 0.0), late))
        if seconds > 0.0 and not woken and clock.time() == began:
            # Too short to be seen, as in `sleep`: whoever waits for what is left of a timeout never
            # ends.
            self.reads = reads + 1
            self.dawdle()
        return woken

    def sleep(self, seconds: float) -> None:
        """As `time.sleep`; on the ideal timer a sleep of `deadline - now` ends on the deadline to
        the bit.
        """
        if seconds < 0.0:
            raise ValueError("sleep length must be non-negative")
        began, deadline = self.clock.time(), self.deadline
        if isinstance(seconds, Span) and self.clock.timer == IDEAL and deadline > began:
            self.clock.set(deadline)
            self._until(deadline)
        else:
            self.clock.sleep(seconds)
        if self.clock.time() > began:
            self.looked_enough()
        else:
            # Too short to be seen, on an ideal timer: the loop around it is a spin loop.
            self.reads += 1
            self.dawdle()

    def look(self, frame: FrameType) -> float:
        """What the clock shows to the code in that frame, s since the start.

        In a spin loop the looks left are solved for, as in `plan_wait`.
        """
        clock = self.clock
        cost, before = clock.timer.read_cost, clock.time()
        self._compare_last_look()
        place = _place(frame)
        deadline = self._spins_until(place)
        if deadline > before:
            if cost > 0.0:
                clock.reads = reads_until(clock.base, clock.reads, cost, deadline)
            else:
                clock.set(deadline)
            clock.spun += clock.time() - before
            self._until(clock.time())
        else:
            clock.reads += 1
            if cost == 0.0:
                self.dawdle()
        self.reads += 1
        self.last = place
        self.deadline = math.nan
        shown = clock.time()
        self.busy += shown - before
        return shown

    def _compare_last_look(self) -> None:
        """Count how often in a row the place of the last look compared with the same instant, which
        is known by now.
        """
        deadline, times = self.looks.get(self.last, (math.nan, 0))
        self.looks[self.last] = (self.deadline, times + 1 if deadline == self.deadline else 1)

    def _spins_until(self, place: Place) -> float:
        """The instant for which code spins that looks again at this place; nan if it does not.

        It does when the place has looked `SPINS` times without a wait in between, each time
        comparing with the same instant, and so did the last look of all.
        """
        deadline, times = self.looks.get(place, (math.nan, 0))
        return deadline if times >= SPINS and deadline == self.deadline else math.nan

    def notice(self, deadline: float, scheduled: bool) -> None:
        """The code compares now with that instant; it is what a release waits for if it is to come.

        `scheduled`: even if it has passed, since it was asked how long there is left.
        """
        if self.clock.time() < deadline < math.inf:
            self.clock.deadline = self.deadline = deadline
        elif scheduled:
            self.clock.deadline = deadline

    def dawdle(self) -> None:
        """Code that goes on without waiting while no time passes takes some, or the run would never
        end.
        """
        if self.reads >= FREE_READS:
            kept = self.reads, self.looks.copy(), self.last, self.deadline
            self.clock.set(self.clock.time() + STUCK_READ)
            self.catch_up()
            self.reads, self.looks, self.last, self.deadline = kept

    def stuck(self) -> bool:
        """Whether it waits without end, and so does everything that it has started."""
        if self.greenlet.dead:
            return False
        alive = [vthread for vthread in (self, *self.started) if not vthread.greenlet.dead]
        return all(vthread.until == math.inf for vthread in alive)

    def fail(self, message: str) -> None:
        """End the run with an error that the hosted code cannot catch."""
        self.hub.throw(InputError(message))

    def close(self) -> None:
        """The run is over: the code ends where it stands; its own clean-up may not wait."""
        for vthread in self.started:
            vthread.close()
        self.closing = True
        if self.greenlet and not self.greenlet.dead:
            _switch_to(self.greenlet.throw)
        _vthreads.pop(self.greenlet, None)


def _switch_to(other: Callable[[], Any]) -> None:
    """Switch to another flow of control, and come back.

    asyncio knows one running loop a thread: the other begins with none, and afterwards ours is ours
    again.
    """
    loop = _get_running_loop()
    if loop is not None:
        _set_running_loop(None)
    try:
        other()
    finally:
        if _get_running_loop() is not loop:
            _set_running_loop(loop)


def _place(frame: FrameType) -> Place:
    """Where in the code a frame is, callers included."""
    place: list[tuple[CodeType, int]] = []
    at: FrameType | None = frame
    while at is not None and len(place) < DEPTH:
        place.append((at.f_code, at.f_lasti))
        at = at.f_back
    return tuple(place)


class Span(float):
    """A difference of an instant to come and now, unchanged since it was taken."""

    __slots__ = ()
