"""Processes to work in, which leave Ctrl-C to their parent and end with it."""

from __future__ import annotations

import atexit
import contextlib
import gc
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from multiprocessing import connection
from typing import Any


class Helped(ProcessPoolExecutor):
    """Processes whose parent works too, while it waits for them (`Shared`)."""

    def __init__(self, workers: int, **options: Any) -> None:
        super().__init__(workers, **options)
        self.workers = workers


@contextlib.contextmanager
def processes(
    workers: int, helped: bool = False, compiled: bool = True
) -> Iterator[ProcessPoolExecutor]:
    """A pool of that many processes; after an error or an interrupt nothing of it is left.

    `helped`: this process is one of them, so two at least. `compiled`: whether the others surely
    run compiled code.
    """
    # spawn: a fork of a program with threads (a notebook) may deadlock.
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    kind, number = (Helped, workers - 1) if helped else (ProcessPoolExecutor, workers)
    with kind(number, mp_context=context, initializer=_begin) as pool:
        try:
            for _ in range(number):
                pool.submit(_make_ready, compiled)
            yield pool
        except BaseException:
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()
            pool.shutdown(cancel_futures=True)
            raise


SELDOM = (100 * 700, 10, 10)  # as by default, but for the first


@contextlib.contextmanager
def garbage_seldom() -> Iterator[None]:
    """Meanwhile garbage is looked for seldom in this process: what is imported, compiled and found
    stays, and looking through it again and again takes a tenth of the time.
    """
    before = gc.get_threshold()
    gc.set_threshold(*SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)


class Shared:
    """Jobs that processes work on, beginning with the first; this one too, with the last, if they
    are `Helped`: `ended` does its part.
    """

    def __init__(
        self,
        executor: Executor,
        work: Callable[..., Any],
        jobs: Sequence[tuple[Any, ...]],
        ahead: int = 0,
        before: Callable[..., None] | None = None,
    ) -> None:
        """`before`: is called with a job that this process begins. `ahead`: as many jobs as
        `Helped` processes have besides those that they are at. Short jobs would make them wait for
        the next one; of long ones this process may run out.
        """
        self._executor, self._work, self._jobs = executor, work, jobs
        self._before = before
        self._left, self._lock = deque(range(len(jobs))), threading.Lock()
        self._sent: dict[int, Future[Any]] = {}
        self._found: dict[int, Any] = {}
        helped = isinstance(executor, Helped)
        for _ in range(executor.workers + ahead if isinstance(executor, Helped) else len(jobs)):
            self._send(again=helped)

    def _send(self, again: bool) -> None:
        """Send the first of those that are left; the next one when it has ended."""
        with self._lock:
            if not self._left:
                return
            number = self._left.popleft()
            sent = self._executor.submit(self._work, *self._jobs[number])
            self._sent[number] = sent
        if again:
            sent.add_done_callback(self._sent_ended)

    def _sent_ended(self, sent: Future[Any]) -> None:
        if not sent.cancelled() and sent.exception() is None:
            self._send(again=True)

    @property
    def left(self) -> int:
        """How many nobody has begun."""
        return len(self._left)

    def begun(self) -> dict[int, Future[Any]]:
        """By number what other processes have not ended yet."""
        with self._lock:
            return {number: sent for number, sent in self._sent.items() if not sent.done()}

    def ended(self) -> Iterator[int]:
        """The numbers of the jobs as they end; an error in one is raised at once."""
        known: set[int] = set()
        try:
            while (number := self._taken_back()) is not None:
                if self._before is not None:
                    self._before(*self._jobs[number])
                self._found[number] = self._work(*self._jobs[number])
                yield number
                yield from self._newly_done(known)
            numbers = {sent: k for k, sent in self._sent.items() if k not in known}
            for sent in as_completed(numbers):
                sent.result()
                yield numbers[sent]
        finally:
            self._give_up()

    def _taken_back(self) -> int | None:
        with self._lock:
            return self._left.pop() if self._left else None

    def _newly_done(self, known: set[int]) -> list[int]:
        with self._lock:
            done = [k for k, sent in self._sent.items() if sent.done() and k not in known]
        for number in done:
            self._sent[number].result()
        known.update(done)
        return done

    def _give_up(self) -> None:
        """Begin no other job."""
        with self._lock:
            self._left.clear()
        for sent in self._sent.values():
            sent.cancel()

    def result(self, number: int) -> Any:
        """Of a job that has ended."""
        return self._found[number] if number in self._found else self._sent[number].result()

    def results(self) -> list[Any]:
        """Of all jobs in their order, when all have ended."""
        return [self.result(number) for number in range(len(self._jobs))]


class Beside:
    """Jobs by name that other processes do beside this one, if there are any; one that none of them
    has begun when its result is wanted is done here.

    `Helped` processes get one each at a time, so that several such lists take turns.
    """

    def __init__(self, executor: Executor | None, spared: int = 0) -> None:
        """`spared`: of the last so many this process begins none, for it would be at the first one
        for as long as the others take to come to all of them.
        """
        self._executor, self._spared = executor, 0 if executor is None else spared
        self.jobs: dict[Any, tuple[Callable[..., Any], tuple[Any, ...]]] = {}
        self._left: deque[Any] = deque()
        self._lock = threading.Lock()
        self._sent: dict[Any, Future[Any]] = {}

    def begin(self, name: Any, work: Callable[..., Any], *given: Any) -> None:
        """One more job."""
        self.jobs[name] = work, given
        with self._lock:
            self._left.append(name)
            busy = sum(not sent.done() for sent in self._sent.values())
        if not isinstance(self._executor, Helped) or busy < self._executor.workers:
            self._send()

    def _send(self) -> None:
        """Send the first of those that are left."""
        with self._lock:
            if self._executor is None or not self._left:
                return
            name = self._left.popleft()
            work, given = self.jobs[name]
            sent = self._sent[name] = self._executor.submit(work, *given)
        sent.add_done_callback(self._sent_ended)

    def _sent_ended(self, sent: Future[Any]) -> None:
        if not sent.cancelled() and sent.exception() is None:
            self._send()

    def next_of(self, names: Sequence[Any]) -> Any:
        """The first of these that waits for nobody: its result is there, or it is no job of these.
        Else the last that nobody has begun, for it can be done here; else the first.
        """
        with self._lock:
            left = set(self._left)
            begun = {name for name, sent in self._sent.items() if not sent.done()}
        free = (name for name in names if name not in left and name not in begun)
        found = next(free, None)
        if found is None:
            found = next((name for name in reversed(names) if name in left), names[0])
        return found

    def result(self, name: Any) -> Any:
        """What a job comes to."""
        with self._lock:
            left = len(self._left) if name in self._left else 0
            if here := left > self._spared:
                self._left.remove(name)
        if not here:
            for _ in range(left):
                self._send()
            if self._spared or not self._sent[name].cancel():
                return self._sent[name].result()
        work, given = self.jobs[name]
        return work(*given)


def _begin() -> None:
    """Ctrl-C reaches every process of a terminal: the parent alone answers it. If it is killed, end
    too.
    """
    gc.set_threshold(*SELDOM)
    atexit.register(gc.freeze)  # what is left at the end goes with the process
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["NUMBA_NUM_THREADS"] = "1"  # the processes are the parallelism
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _make_ready(compiled: bool) -> None:
    """Import what every run takes, while the parent still prepares its work."""
    from tpssim.metrics import measure  # noqa: F401
    from tpssim.simulation import run  # noqa: F401
    from tpssim.simulation.compiled import compiling

    if compiled or compiling.never_compiled():
        compiling.nothing_kept()  # which imports numba, if it is there


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
