"""`run`: calls made by a pool of threads."""

from __future__ import annotations

import functools
import inspect
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from tpssim.core.errors import InputError
from tpssim.core.validation import MOST_THREADS, checked_count
from tpssim.live.arguments import Tps, check_options, checked_call, cycled
from tpssim.live.handle import Handle
from tpssim.live.jobs import Job, Jobs
from tpssim.live.jobs import Run as Run
from tpssim.live.permits import Permit
from tpssim.live.pool_begins import Begins
from tpssim.live.retries import policy_of
from tpssim.live.session import Flow
from tpssim.live.throttle import Throttle, throttle

T = TypeVar("T")


def run(
    call: Callable[[T], Any],
    items: Iterable[T],
    tps: Tps,
    total: int | None = None,
    *,
    workers: int = 1,
    retries: Any = None,
    results: bool = True,
    started: Callable[[Throttle[Any]], Any] | None = None,
    **options: Any,
) -> Run:
    """Call `call(item)` at `tps` a second from a pool of threads: the schedule does not wait for
    the calls.

    If all workers are busy, released calls wait for one. Their latency counts from the release, so
    a pool that is too small shows. With `workers=0` there is no pool: one call at a time, on this
    thread, as in a loop over `throttle`. The options are those of `throttle`. `started` is called
    with the throttle before the first call.

    An exception in a call is a refusal (429, 503), a timeout or a failure, whichever client raised
    it. So is a response of this kind that the call returns (see `tpssim.live.outcomes`). `retries`
    tries such calls again: a number of times, by a `tpssim.Retry`, or by the conditions of
    tenacity's `Retrying(...)`. A retry waits for a slot like any other call, and at least as long
    as the service asked.

    After `stop()` the open calls end; items that wait for a worker or a retry are `pending`. The
    same holds for an interrupt, or an exception in a call that ends a program (`SystemExit`): it
    reaches the caller when the pool has stopped, and its attribute `run` holds what was done. With
    `results=False` results and failed items are only counted, for runs without an end.

    >>> run(abs, range(5), 1000.0, workers=2).report.ok
    5
    """
    checked_count("workers", workers, 0, MOST_THREADS)
    checked_call(call, asynchronous=False)
    check_options(run, throttle, options)
    policy = policy_of(retries, call, options.get("seed", 0))
    jobs: Jobs[T] = Jobs(policy, results, options.get("clock"))
    options |= cost_of_jobs(options)
    make = functools.partial(_make, jobs, call)
    with throttle(jobs.source(cycled(items, total)), tps, **options) as paced:
        jobs.flow = paced.flow
        paced.flow.calls = f"pool({workers})" if workers else "blocking"
        paced.flow.workers = workers
        with carried(jobs, paced):
            if started is not None:
                started(paced)
            if workers:
                _pooled(paced, make, workers)
            else:
                for job, permit in paced._all():
                    make(job, permit)
        return jobs.done(paced.report())


def cost_of_jobs(options: dict[str, Any]) -> dict[str, Any]:
    """The option `cost` of a throttle of jobs, if it is a function of their items."""
    cost = options.get("cost")
    return {"cost": lambda job: cost(job.item)} if callable(cost) else {}


def _make(jobs: Jobs[T], call: Callable[[T], Any], job: Job[T], permit: Permit) -> None:
    """Make one call."""
    jobs.begin(job)
    try:
        with permit:
            result = permit.see(call(job.item))
    except Exception as error:
        jobs.end(job, permit, None, error)
    else:
        if inspect.iscoroutine(result):
            result.close()
            raise InputError(
                f"call={call!r} returned a coroutine that nobody awaits; allowed: with arun"
            )
        jobs.end(job, permit, result)


@contextmanager
def carried(jobs: Jobs[Any], paced: Handle) -> Iterator[None]:
    """An exception that ends the run gets what was done as its attribute `run`."""
    try:
        yield
    except BaseException as error:
        with suppress(Exception):  # unless its class allows no attributes
            error.run = jobs.done(paced.report())  # type: ignore[attr-defined]
        raise


def _turn(flow: Flow, begins: Begins, permit: Permit) -> bool:
    """Wait until a call may begin; False if the run has stopped."""
    if not flow.borrowed:
        for seconds in begins.waits(permit.cost):
            time.sleep(seconds)
    return not flow.stopped


def _pooled(paced: Throttle[Job[T]], make: Callable[[Job[T], Permit], None], workers: int) -> None:
    """Make the calls in threads; all have ended when this returns or raises."""
    given_out: queue.SimpleQueue[tuple[Job[T], Permit] | None] = queue.SimpleQueue()
    ends: list[BaseException] = []  # exceptions that are not failures of a call
    flow = paced.flow
    begins = Begins(flow)
    computed = flow.tally.computed
    computed += [0.0] * workers

    def work(i: int) -> None:
        while (given := given_out.get()) is not None:
            job, permit = given
            if not _turn(flow, begins, permit):
                permit.forget()
                continue
            permit.begin()
            try:
                make(job, permit)
            except BaseException as error:
                ends.append(error)
                paced.stop()
            computed[i] = time.thread_time()

    pool: list[threading.Thread] = []
    try:
        for i in range(workers):
            thread = threading.Thread(
                target=work, args=(i,), name=f"tpssim worker {i}", daemon=True
            )
            thread.start()
            pool.append(thread)
        for given in paced.permits():
            given_out.put(given)
    except BaseException:
        paced.stop()
        raise
    finally:
        for _ in pool:
            given_out.put(None)
        for thread in pool:
            thread.join()
    if ends:
        raise ends[0]
