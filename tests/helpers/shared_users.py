"""Users of one throttle on the bench's virtual threads and event loops, moved step by step from
outside.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from helpers.shared_model import Contract
from tpssim import Aborted, Rejected
from tpssim.live import async_clocks
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant
from tpssim.simulation.environment import World
from tpssim.simulation.hosting import virtual_threads
from tpssim.simulation.hosting.patching import rebound
from tpssim.simulation.hosting.threads import VirtualThread
from tpssim.simulation.hosting.virtual_threads import Lock

LAST = 1 << 80  # a priority behind all others
STEPS = 300_000  # events between two looks at a run: more, and it does not come to an end

#: How calls end, with the permit or by an exception that leaves its `with`, and what that is in the
#: report.
WITH_PERMIT: dict[str, tuple[Callable[[Any], Any], str]] = {
    "done": (lambda permit: permit.done(), "ok"),
    "fail": (lambda permit: permit.fail(), "failed"),
    "refused": (lambda permit: permit.refused(), "refused"),
    "asked to wait": (lambda permit: permit.refused(retry_after=1.0), "refused"),
    "timed out": (lambda permit: permit.drop(timed_out=True), "timed out"),
    "forget": (lambda permit: permit.forget(), "forgotten"),
    "garbage": (lambda permit: None, "forgotten"),
    "twice": (lambda permit: (permit.done(), permit.fail(), permit.done()), "ok"),
}
BY_EXCEPTION: dict[str, tuple[Callable[[], BaseException], str]] = {
    "ValueError": (lambda: ValueError("body"), "failed"),
    "Rejected": (lambda: Rejected("429"), "refused"),
    "TimeoutError": (lambda: TimeoutError("body"), "timed out"),
    "SystemExit": (lambda: SystemExit(3), "forgotten"),
    "CancelledError": (lambda: asyncio.CancelledError(), "forgotten"),
}
WAYS = [*WITH_PERMIT, *BY_EXCEPTION]


class Stallable(VirtualThread):
    """A virtual thread of a process that may be stopped as a whole."""

    def _resume(self, number: int) -> None:
        until = getattr(self.world, "stopped_until", 0.0)
        if self.world.env.now < until:
            self.world.at(until, self.priority, lambda _: self._resume(number))
        else:
            super()._resume(number)

    def _until(self, time: float) -> None:
        super()._until(time)
        if self.clock.time() < self.world.env.now:
            self.clock.set(self.world.env.now)


def _no_file(*_: Any) -> Any:
    raise OSError("the kernel's timers know no virtual time")


@contextmanager
def stoppable_time() -> Iterator[None]:
    """Hosted code lives in virtual time, which may stand still for it."""
    patches = (
        mock.patch.object(async_clocks, "TimerFile", _no_file),
        mock.patch.object(virtual_threads, "VirtualThread", Stallable),
    )
    with rebound(), patches[0], patches[1]:
        yield


class Bench:
    """Virtual time, moved on by whoever stands outside of it."""

    def __init__(self) -> None:
        self.world: Any = World(Scenario("shared", Constant(0.01), 1.0, 1e9), 0, 0)
        self.errors: list[BaseException] = []
        self.root = Stallable(self.world, 0, lambda: None)
        self.root.start()
        self.vthreads: list[VirtualThread] = [self.root]

    @property
    def now(self) -> float:
        return float(self.world.env.now)

    def go(self, seconds: float) -> None:
        """Time passes."""
        env, end = self.world.env, self.now + seconds
        self.world.at(end, LAST, lambda _: None)
        for _ in range(STEPS):
            if not env.peek() <= end:
                break
            env.step()
        else:
            raise AssertionError(f"it does not come to an end: {STEPS} events in {seconds} s")
        if self.errors:
            raise self.errors[0]

    def settle(self) -> None:
        """Whoever can go on does: a look at the clock may take a microsecond, and a crowd looks
        often.
        """
        self.go(4e-3)

    def stop(self, seconds: float) -> None:
        """The process stands still."""
        self.world.stopped_until = self.now + seconds
        self.go(seconds)
        self.settle()

    def thread(self, body: Callable[[], None]) -> VirtualThread:
        """A new thread."""

        def watched() -> None:
            try:
                body()
            except Exception as error:
                self.errors.append(error)

        vthread = Stallable(self.world, 0, watched, self.root)
        vthread.clock.set(self.now)
        vthread.start()
        self.vthreads.append(vthread)
        return vthread

    def do(self, action: Callable[[], Any]) -> Any:
        """What another thread makes of it, at once."""
        found: list[Any] = []
        self.thread(lambda: found.append(action()))
        self.go(1e-5)
        return found[0]

    def close(self) -> None:
        self.world.stopped_until = 0.0
        for vthread in self.vthreads:
            vthread.close()


class Feed:
    """Items 0, 1, 2, ... that may be late, fail or end; plain or asynchronous."""

    def __init__(self) -> None:
        self.fetched = 0
        self.empty_until = 0.0
        self.ended = self.fails = False

    def __iter__(self) -> Feed:
        return self

    def __next__(self) -> int:
        while (left := self.empty_until - time.perf_counter()) > 0.0:
            time.sleep(left)
        return self._item(StopIteration)

    def _item(self, end: type[Exception]) -> int:
        if self.fails:
            self.fails = False
            raise OSError("not now")
        if self.ended:
            raise end
        self.fetched += 1
        return self.fetched - 1


class AsyncFeed(Feed):
    __iter__ = None  # type: ignore[assignment]

    def __aiter__(self) -> AsyncFeed:
        return self

    async def __anext__(self) -> int:
        while (left := self.empty_until - time.perf_counter()) > 0.0:
            await asyncio.sleep(left)
        return self._item(StopAsyncIteration)


class User:
    """Somebody who asks for slots, one after the other, and learns how each call ends."""

    def __init__(self, run: Any, name: str, timeout: float | None) -> None:
        self.run = run  # a `SharedRun`
        self.name = name
        self.timeout = timeout
        self.asked = 0.0
        self.way = ""  # how the call in hand is to end
        self.state = "new"  # asking, calling, gone
        self.cost = 1.0 + 0.5 * (int(name.split()[1]) % 4)  # where it does not come with an item

    def __repr__(self) -> str:
        return self.name

    def ask(self) -> None:
        self.asked = time.perf_counter()
        self.state = "asking"
        self.run.contract.ask(self)

    def got(self, permit: Any, item: Any) -> None:
        self.run.granted(self, permit, item)
        self.state = "calling"

    def ended(self, how: str) -> None:
        self.run.contract.end(self, how)

    def left(self, error: BaseException) -> None:
        """Gone without a slot."""
        contract: Contract = self.run.contract
        was_first = contract.line[0] is self
        contract.leave(self)  # before the clock is read, which may let others go first
        self.state = "gone"
        if isinstance(error, TimeoutError):
            assert self.timeout is not None
            now = time.perf_counter()
            assert now >= self.asked + self.timeout - 1e-9, "its time was not up"
        elif isinstance(error, OSError):
            assert was_first, "who fetches is the first of the line"
        elif isinstance(error, StopIteration | StopAsyncIteration | Aborted):
            assert self.run.is_over(), f"sent away: {error!r}"
        elif not isinstance(error, asyncio.CancelledError):
            raise error

    def call_of(self, permit: Any) -> None:
        """The call in hand ends in its way; no reference to the permit is left."""
        if self.way in WITH_PERMIT:
            act, how = WITH_PERMIT[self.way]
            before = time.perf_counter()
            act(permit)
            del permit
            if self.way == "asked to wait":
                self.run.asked_to_wait(before, time.perf_counter(), 1.0)
        else:
            make, how = BY_EXCEPTION[self.way]
            try:
                with permit:
                    raise make()
            except BaseException as error:
                error.__traceback__ = None
        self.ended(how)


class ThreadUser(User):
    def __init__(self, run: Any, name: str, timeout: float | None) -> None:
        super().__init__(run, name, timeout)
        self.bell = Lock()
        self.bell.acquire()

    def start(self) -> None:
        self.run.bench.thread(self.work)

    def tell(self, way: str) -> None:
        self.way = way
        self.bell.release()

    def work(self) -> None:
        plain = self.run.plain
        self.ask()
        try:
            while True:
                permit, item = self.run.ask(self)
                self.got(permit, item)
                self.bell.acquire()
                if not plain:
                    self.call_of(permit)
                    break
                del permit
                if self.way != "done":
                    self.run.see(self.way)
                    self.ended("refused")
                    self.ask()
                else:
                    self.ended("ok")  # by asking again
                    self.ask()
        except (TimeoutError, OSError, StopIteration, Aborted) as error:
            self.left(error)
        self.state = "gone"


class TaskUser(User):
    def __init__(self, run: Any, name: str, timeout: float | None, loop: LoopOfTasks) -> None:
        super().__init__(run, name, timeout)
        self.loop = loop
        self.task: asyncio.Task[None] | None = None
        self.bell: asyncio.Event | None = None

    def start(self) -> None:
        self.loop.soon(self._begin)

    def _begin(self) -> None:
        self.bell = asyncio.Event()
        self.task = self.loop.loop.create_task(self.watched())

    def tell(self, way: str) -> None:
        assert self.bell is not None
        self.way = way
        self.loop.soon(self.bell.set)

    def cancel(self) -> None:
        assert self.task is not None
        self.loop.soon(self.task.cancel)

    async def watched(self) -> None:
        try:
            await self.work()
        except BaseException as error:
            self.run.bench.errors.append(error)
        finally:
            self.task = None

    async def work(self) -> None:
        assert self.bell is not None
        plain = self.run.plain
        self.ask()
        try:
            while True:
                permit, item = await self.run.aask(self)
                self.got(permit, item)
                try:
                    await self.bell.wait()
                    self.bell.clear()
                except asyncio.CancelledError as error:
                    error.__traceback__ = None
                    self.way = "garbage"
                if not plain:
                    self.call_of(permit)
                    break
                del permit
                if self.way == "garbage":
                    self.ended("forgotten")  # by the end of the task
                    break
                if self.way == "done":
                    self.ended("ok")
                else:
                    self.run.see(self.way)
                    self.ended("refused")
                self.ask()
        except (
            TimeoutError,
            OSError,
            StopAsyncIteration,
            Aborted,
            asyncio.CancelledError,
        ) as error:
            self.left(error)
        self.state = "gone"


class LoopOfTasks:
    """An event loop in a thread of its own."""

    def __init__(self, bench: Bench) -> None:
        self.loop: Any = None
        self.over: asyncio.Event | None = None
        bench.thread(self._work)
        bench.settle()

    def _work(self) -> None:
        self.loop = asyncio.new_event_loop()
        try:
            self.loop.run_until_complete(self._main())
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            self.loop.close()

    async def _main(self) -> None:
        self.over = asyncio.Event()
        await self.over.wait()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert not left, f"{len(left)} tasks are left"

    def soon(self, action: Callable[[], Any]) -> None:
        self.loop.call_soon_threadsafe(action)

    def close(self) -> None:
        assert self.over is not None
        self.soon(self.over.set)
