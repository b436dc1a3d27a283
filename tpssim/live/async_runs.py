"""`arun`: calls made by tasks of their own."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from typing import Any, TypeVar

from tpssim.core.errors import InputError
from tpssim.core.validation import checked_count
from tpssim.live.arguments import (
    Tps,
    check_options,
    checked_call,
    checked_total,
    cycled,
    cycled_async,
)
from tpssim.live.async_jobs import PlainFeed, stream
from tpssim.live.async_sources import AsyncSource
from tpssim.live.async_throttle import AsyncThrottle, athrottle
from tpssim.live.jobs import Job, Jobs, Run
from tpssim.live.permits import Permit
from tpssim.live.pool_begins import Begins
from tpssim.live.retries import policy_of
from tpssim.live.runs import carried, cost_of_jobs

T = TypeVar("T")


async def arun(
    call: Callable[[T], Awaitable[Any]],
    items: Iterable[T] | AsyncIterable[T],
    tps: Tps,
    total: int | None = None,
    *,
    max_in_flight: int | None = None,
    retries: Any = None,
    results: bool = True,
    started: Callable[[AsyncThrottle[Any]], Any] | None = None,
    **options: Any,
) -> Run:
    """Await `call(item)` at `tps` a second in tasks of their own: the schedule does not wait for
    the calls.

    If `max_in_flight` calls are running, released ones wait for their turn; their latency counts
    from the release. Outcomes, `retries`, `results`, `stop()`, `started` and the options are as in
    `run`. If the iterable raises, the open calls end first, as in `run`.

    A cancelled run cancels its calls, whose items are then pending. The attribute `run` of the
    `CancelledError` holds what was done. `asyncio.timeout` and `wait_for` turn it into a
    `TimeoutError` whose `__cause__` it is:

    >>> async def slow(item):
    ...     await asyncio.sleep(3600.0 * item)
    >>> async def some():
    ...     try:
    ...         async with asyncio.timeout(0.5):
    ...             await arun(slow, [0, 1], 1000.0)
    ...     except TimeoutError as error:
    ...         return error.__cause__.run
    >>> asyncio.run(some()).pending
    [1]

    A complete run:

    >>> async def call(item):
    ...     await asyncio.sleep(0)
    >>> asyncio.run(arun(call, range(5), 1000.0)).report.ok
    5
    """
    if max_in_flight is not None:
        checked_count("max_in_flight", max_in_flight)
    checked_call(call, asynchronous=True)
    check_options(arun, athrottle, options)
    policy = policy_of(retries, call, options.get("seed", 0))
    jobs: Jobs[T] = Jobs(policy, results, options.get("clock"))
    options |= cost_of_jobs(options)
    async with athrottle(_source(jobs, items, total), tps, **options) as paced:
        jobs.flow = paced.flow
        paced.flow.calls = "async" if max_in_flight is None else f"async({max_in_flight})"
        paced.flow.workers = max_in_flight or 0
        with carried(jobs, paced):
            if started is not None:
                started(paced)
            await _made(paced, jobs, call, max_in_flight)
        return jobs.done(paced.report())


def _source(jobs: Jobs[T], items: Iterable[T] | AsyncIterable[T], total: int | None) -> Any:
    """Jobs, asynchronous only if something has to be awaited."""
    if isinstance(items, AsyncIterable):
        return stream(jobs, cycled_async(items, checked_total(total)))
    given = cycled(items, total)
    return jobs.source(given) if jobs.policy is None else stream(jobs, PlainFeed(given))


async def _made(
    paced: AsyncThrottle[Job[T]],
    jobs: Jobs[T],
    call: Callable[[T], Awaitable[Any]],
    most: int | None,
) -> None:
    """Make the calls in tasks; none is left when this returns or raises."""
    turns: Any = contextlib.nullcontext() if most is None else asyncio.Semaphore(most)
    tasks: set[asyncio.Task[None]] = set()
    ends: list[BaseException] = []  # exceptions that are not failures of a call
    stopping = asyncio.Event()  # set when the calls that are left are cancelled
    flow = paced.flow
    begins = Begins(flow)

    async def work(job: Job[T], permit: Permit) -> None:
        try:
            async with turns:
                if most is not None and not flow.borrowed:
                    for seconds in begins.waits(permit.cost):
                        await asyncio.sleep(seconds)
                if not flow.stopped:
                    await _make(jobs, call, job, permit, stopping)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            ends.append(error)
            paced.stop()
        finally:
            permit.forget()  # if it was stopped or cancelled before its turn

    async def over() -> None:
        if tasks:
            await asyncio.wait(set(tasks))  # if cancelled, it does not cancel them

    try:
        async for job, permit in paced.permits():
            task = asyncio.create_task(work(job, permit))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await over()
    except Exception:  # of the iterable, for example: open calls end, others do not begin
        paced.stop()
        await over()
        raise
    finally:
        stopping.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if isinstance(paced._source, AsyncSource):
            await paced._source.end()  # an item that it has fetched during a retry is pending
    if ends:
        raise ends[0]


async def _make(
    jobs: Jobs[T],
    call: Callable[[T], Awaitable[Any]],
    job: Job[T],
    permit: Permit,
    stopping: asyncio.Event,
) -> None:
    """Make one call."""
    permit.begin()
    jobs.begin(job)
    try:
        with permit:
            answer = call(job.item)
            awaited = inspect.isawaitable(answer)
            result = permit.see(await answer if awaited else answer)
    except asyncio.CancelledError as error:
        if stopping.is_set():
            raise  # with all the others: the item is pending
        jobs.end(job, permit, None, error)
    except Exception as error:
        jobs.end(job, permit, None, error)
    else:
        if not awaited:
            raise InputError(
                f"call={call!r} returned {result!r}; allowed: an awaitable, or with run"
            )
        jobs.end(job, permit, result)
