"""The runs that are missing, handed out to an executor in chunks and taken back as they come.

A chunk is sized by the time that runs take, so that handing it over costs nothing beside it. What
a run comes to depends on its study, point and replication alone, not on chunks, order or workers.
"""

from __future__ import annotations

import os
import pickle
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from typing import Any, NamedTuple

from tpssim.core.errors import Aborted, InputError
from tpssim.core.types import record
from tpssim.experiments.sweep import designs
from tpssim.experiments.sweep.batch_runs import reduced
from tpssim.experiments.sweep.designs import Point
from tpssim.experiments.sweep.run_cache import Answer, RunCache, Study, changed

CHUNK = 0.5  # s, how long a chunk should take
BLOCK = 50  # replications of a point that are run at a stroke
WAITING = 3  # chunks for each worker, running or waiting to run


@record
class Piece(NamedTuple):
    """Some replications of one point."""

    point: Point
    replications: tuple[int, ...]


@record
class Chunk(NamedTuple):
    """What some pieces that ran together came to."""

    answers: list[Answer]
    speed: float  #: runs a second
    unkept: str  #: why they cannot be kept in a store; "" if they can


def run_pieces(study: Study, pieces: Sequence[Piece], key: str = "") -> Chunk:
    """Run the pieces, where a worker runs.

    `key`: under which they will be kept; raises `Differs` if it never was that of the study here.
    """
    unkept = changed(study, key) if key else ""
    answers = []
    began = time.perf_counter()
    for point, replications in pieces:
        try:
            scenario, law = designs.at(study.scenario, study.law, study.factors, point)
            seed = designs.seed_of(study.seed, study.seed_set, point)
            found = reduced(scenario, law, seed, replications)
            answers.append(Answer(point, replications, found, ("", "", "")))
        except Exception as error:  # a user's law may raise anything: this point alone fails
            failure = (type(error).__name__, str(error), traceback.format_exc())
            answers.append(Answer(point, replications, None, failure))
    speed = sum(len(piece.replications) for piece in pieces) / (time.perf_counter() - began)
    return Chunk(answers, speed, unkept or (changed(study, key) if key else ""))


def check_portable(study: Study, executor: Executor | None) -> None:
    """Refuse early a law that other processes could not load; raises `InputError`."""
    if not isinstance(executor, ProcessPoolExecutor):
        return
    cls = type(study.law)
    try:
        pickle.dumps(study)
        lost = cls.__module__ == "__main__" and not hasattr(sys.modules["__main__"], "__file__")
    except (pickle.PicklingError, AttributeError, TypeError):
        lost = True
    if lost:
        raise InputError(
            f"law {cls.__name__} cannot be sent to other processes; "
            "allowed: a class of a module, or threads, or no executor"
        )


def pieces_of(cache: RunCache, point: Point, replications: range) -> Iterator[Piece]:
    """The runs of a point that are missing, in blocks."""
    missing = cache.missing(point, replications)
    for start in range(0, len(missing), BLOCK):
        yield Piece(point, tuple(missing[start : start + BLOCK]))


class _Here(Executor):
    """Runs what it is given at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class _Queue:
    """The missing pieces in order, handed out in chunks of one cache."""

    def __init__(self, missing: Sequence[tuple[RunCache, Piece]]) -> None:
        self.waiting = list(reversed(missing))
        self.runs = sum(len(piece.replications) for _, piece in missing)

    def next(self, runs: float) -> tuple[RunCache, list[Piece]]:
        """At least one piece, and no more runs than that."""
        cache, piece = self.waiting.pop()
        chunk, taken = [piece], len(piece.replications)
        while self.waiting and self.waiting[-1][0] is cache:
            more = len(self.waiting[-1][1].replications)
            if taken + more > runs:
                break
            chunk.append(self.waiting.pop()[1])
            taken += more
        self.runs -= taken
        return cache, chunk


class _Lost(Exception):
    """An answer that no worker gives: each executor has its own way to say so."""


def _answered(future: Future[Any]) -> Chunk:
    try:
        chunk: Chunk = future.result()
    except Exception as error:  # `run_pieces` itself raises nothing but `Differs`
        first = str(error).strip().partition("\n")[0]
        raise _Lost(f"{type(error).__name__}: {first}") from error
    return chunk


def run_missing(
    missing: Sequence[tuple[RunCache, Piece]],
    executor: Executor | None,
    arrived: Callable[[RunCache, Sequence[Answer]], None],
) -> None:
    """Run the pieces; each cache takes its answers, and `arrived` is called after each chunk.

    `executor`: any of `concurrent.futures`; None: in this process. Raises `Aborted` if the workers
    fail; what had arrived is kept.
    """
    queue = _Queue(missing)
    left, size = queue.runs, 1.0  # runs to do; runs a chunk
    pool = _Here() if executor is None else executor
    # More chunks are sent out with each that comes back, until all workers, however many, have
    # enough.
    most = 1 if executor is None else WAITING * (os.cpu_count() or 1)
    out: dict[Future[Any], RunCache] = {}
    try:
        while queue.waiting or out:
            while queue.waiting and len(out) < most:
                cache, chunk = queue.next(min(size, queue.runs / most))
                out[pool.submit(run_pieces, cache.study, chunk, cache.key)] = cache
            for future in wait(out, return_when=FIRST_COMPLETED).done:
                cache, found = out.pop(future), _answered(future)
                # The first chunks compile, and points differ: step by step to what takes `CHUNK`
                # seconds.
                size = min(CHUNK * found.speed, 4.0 * max(size, BLOCK))
                cache.take(found.answers, found.unkept)
                left -= sum(len(answer.replications) for answer in found.answers)
                most += 0 if executor is None else 1
                arrived(cache, found.answers)
    except (BrokenExecutor, _Lost) as error:
        kept = (
            "nothing is kept without a store"
            if missing[0][0].store is None
            else "the others are kept: run it again"
        )
        raise Aborted(
            f"the workers failed ({error}) with {left} runs still to do; {kept}"
        ) from error
    finally:
        for future in out:
            future.cancel()
