"""Sweeps: every point of a design run several times, reduced where it ran, kept as it arrives.

The unit of work is a chunk of points, sized by the time that points take, so that handing it over
costs nothing beside it. What a point comes to depends on the point and the seed alone, not on
chunks, order or workers.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from pathlib import Path
from typing import Any, NamedTuple

from tpssim.core.errors import Aborted, InputError
from tpssim.core.types import record
from tpssim.core.validation import MOST_RUNS, check_size, checked_count
from tpssim.experiments.sweep import designs
from tpssim.experiments.sweep.batch_runs import Reduced, reduced
from tpssim.experiments.sweep.designs import Point, Value
from tpssim.experiments.sweep.store import Store
from tpssim.experiments.sweep.store_keys import Study, changed, keep, key_of, opened
from tpssim.experiments.sweep.sweep_result import Failure, Row, SweepResult
from tpssim.scenarios.scenario import Scenario
from tpssim.simulation.resolve import ControllerLike, contender, scenario_named

CHUNK = 0.5  # s, how long a chunk should take
BLOCK = 50  # replications of a point that are run at a stroke
WAITING = 3  # chunks for each worker, running or waiting to run

#: done, total runs, simulated calls
Progress = Callable[[int, int, int], None]


@record
class Piece(NamedTuple):
    """Some replications of one point."""

    number: int  #: of its point
    point: Point
    replications: tuple[int, ...]


@record
class Answer(NamedTuple):
    """What became of a piece."""

    number: int  #: of its point
    replications: tuple[int, ...]
    found: Reduced | None
    failure: tuple[str, str, str]  #: type, message, traceback


@record
class Chunk(NamedTuple):
    """What became of some pieces that ran together."""

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
    for piece in pieces:
        try:
            scenario, law = designs.at(study.scenario, study.law, study.factors, piece.point)
            seed = designs.seed_of(study.seed, study.seed_set, piece.point)
            found = reduced(scenario, law, seed, piece.replications)
            answers.append(Answer(piece.number, piece.replications, found, ("", "", "")))
        except (
            Exception
        ) as error:  # a law of a user's may raise anything: a failure of this point alone
            failure = (type(error).__name__, str(error), traceback.format_exc())
            answers.append(Answer(piece.number, piece.replications, None, failure))
    speed = sum(len(piece.replications) for piece in pieces) / (time.perf_counter() - began)
    return Chunk(answers, speed, unkept or (changed(study, key) if key else ""))


def sweep(
    scenario: Scenario | str,
    controller: ControllerLike,
    grid: Mapping[str, Iterable[Value]],
    *,
    design: str = "grid",
    points: int | None = None,
    replications: int = 10,
    seed: int = 0,
    seed_set: str = "common",
    executor: Executor | None = None,
    store: Store | str | Path | None = None,
    progress: Progress | None = None,
) -> SweepResult:
    """One law on one scenario at every point of a grid, `replications` times each, reduced to
    measures.

    `grid`: values of each factor by name, `{"alpha": [0.1, 0.2], "service.cv": [0.2, 0.5]}`; with
    `design` `sobol` or `lhs`, the two ends of each and `points` points between them. `seed_set`:
    `common` random numbers at all points, so that differences between points are not noise, or
    `independent` ones. `executor`: any of `concurrent.futures` (None: here). `store`: a file where
    results are kept as they arrive; the same call resumes from it, as long as the code is the same
    (a warning says if that cannot be known). A point that fails is recorded in `result.failures`,
    and the others go on. Equal arguments give equal bits. Raises `InputError` before anything runs.

    >>> grid = {"dec_rate": [0.5, 0.9]}
    >>> result = sweep("blocking-steady:duration=5", "aimd", grid, replications=2)
    >>> [row.point for row in result.rows]
    [(0.5,), (0.9,)]
    """
    checked_count("replications", replications, 1)
    checked_count("seed", seed, 0)
    if seed_set not in designs.SEED_SETS:
        raise InputError(
            f"there is no seed set {seed_set!r}; allowed: {', '.join(designs.SEED_SETS)}"
        )
    arena, rival = scenario_named(scenario), contender(controller)
    if rival.law is None:
        raise InputError(
            f"{rival.label} has no parameters to sweep; allowed: a law such as ewma-deadzone"
        )
    factors = designs.factors(arena, rival.law, grid)
    study = Study(arena, rival.law, tuple(factors), seed, seed_set)
    every = designs.points(factors, design, points, seed)
    check_size("runs of a sweep", len(every) * replications, MOST_RUNS, "0.5 kB of memory")
    if isinstance(executor, ProcessPoolExecutor):
        check_portable(study)
    with contextlib.ExitStack() as stack:
        kept, (key,) = opened(store, [study], stack)
        board = _Board(study, every, replications, kept, key)
        _all(board, executor, progress)
    rows = [board.rows[i] if i in board.rows else Row.failed(every[i]) for i in range(len(every))]
    failures = [Failure(every[i], *board.failed[i].failure) for i in sorted(board.failed)]
    return SweepResult(
        arena, rival.name, rival.law, study.factors, rows, failures, replications, seed, seed_set
    )


def check_portable(study: Study) -> None:
    """Refuse early a law that other processes could not load; raises `InputError`."""
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


class _Board:
    """What is known of the points of a sweep: rows that are complete, runs of others, failures."""

    def __init__(
        self,
        study: Study,
        every: Sequence[Point],
        replications: int,
        store: Store | None,
        prefix: str,
    ) -> None:
        self.study, self.every, self.replications, self.store = study, every, replications, store
        self.rows: dict[int, Row] = {}
        self.failed: dict[int, Answer] = {}
        self.parts: dict[int, dict[int, tuple[int, int, Any]]] = {}
        self.prefix = prefix
        self.calls = 0
        if store is not None:
            specification = {
                "scenario": study.scenario.name,
                "law": repr(study.law),
                "factors": [factor.name for factor in study.factors],
                "seed": study.seed,
            }
            store.describe(self.prefix, specification)

    def key(self, index: int) -> str:
        return key_of(self.prefix, self.every[index])

    def missing(self, index: int) -> list[int]:
        """The replications of a point that are not in the store; those that are there are taken
        over.
        """
        if self.store is None:
            return list(range(self.replications))
        there = self.store.runs(self.key(index))
        wanted = {r: there[r] for r in range(self.replications) if r in there}
        missing = [r for r in range(self.replications) if r not in wanted]
        if wanted:
            self.parts[index] = wanted
            self._finish(index)
        return missing

    def take(self, chunk: Chunk) -> int:
        """Keep the answers; how many runs they stand for."""
        rows, failures = [], []
        for answer in chunk.answers:
            if answer.found is None:
                failures.append((self.key(answer.number), *answer.failure))
                self.parts.pop(answer.number, None)
                # Of several, that of the first replication, whichever came first.
                known = self.failed.get(answer.number)
                if known is None or answer.replications < known.replications:
                    self.failed[answer.number] = answer
                continue
            self.calls += int(answer.found.calls.sum())
            runs = zip(
                answer.found.words.tolist(),
                answer.found.calls.tolist(),
                answer.found.values,
                strict=True,
            )
            key = self.key(answer.number)
            for replication, (word, calls, values) in zip(answer.replications, runs, strict=True):
                rows.append((key, replication, word, calls, values.tobytes()))
                self.parts.setdefault(answer.number, {})[replication] = (word, calls, values)
            self._finish(answer.number)
        if self.store is not None:
            keep(self.store, rows, failures, chunk.unkept)
        return sum(len(answer.replications) for answer in chunk.answers)

    def _finish(self, index: int) -> None:
        runs = self.parts[index]
        if len(runs) == self.replications and index not in self.failed:
            ordered = [runs[r] for r in range(self.replications)]
            self.rows[index] = Row.of(self.every[index], ordered)
            del self.parts[index]


class Here(Executor):
    """Runs what it is given at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class _Chunks:
    """The pieces that are missing, handed out in chunks of as many runs as are asked for."""

    def __init__(self, board: _Board) -> None:
        self.left = 0
        self.pieces: list[Piece] = []
        for index, point in enumerate(board.every):
            missing = board.missing(index)
            self.left += len(missing)
            for i in range(0, len(missing), BLOCK):
                self.pieces.append(Piece(index, point, tuple(missing[i : i + BLOCK])))
        self.pieces.reverse()

    def next(self, runs: float) -> list[Piece]:
        """At least one piece, as long as there are any."""
        chunk: list[Piece] = []
        taken = 0
        while self.pieces and (not chunk or taken + len(self.pieces[-1].replications) <= runs):
            chunk.append(self.pieces.pop())
            taken += len(chunk[-1].replications)
        self.left -= taken
        return chunk


class Lost(Exception):
    """An answer that no worker gives: each executor has its own way to say so."""


def answered(future: Future[Any]) -> Chunk:
    """What became of a chunk; raises `Lost`."""
    try:
        chunk: Chunk = future.result()
    except Exception as error:  # `run_pieces` itself raises nothing but `Differs`
        raise Lost(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}") from error
    return chunk


def _all(board: _Board, executor: Executor | None, progress: Progress | None) -> None:
    """Run what is missing, chunk by chunk."""
    chunks = _Chunks(board)
    total = len(board.every) * board.replications
    done, size = total - chunks.left, 1.0  # runs a chunk
    pool = Here() if executor is None else executor
    # More chunks are sent out with each that comes back, until all workers, however many, have
    # enough.
    most = 1 if executor is None else WAITING * (os.cpu_count() or 1)
    out: set[Future[Any]] = set()
    try:
        while chunks.left or out:
            while chunks.left and len(out) < most:
                chunk = chunks.next(min(size, chunks.left / most))
                out.add(pool.submit(run_pieces, board.study, chunk, board.prefix))
            ready, out = wait(out, return_when=FIRST_COMPLETED)
            for future in ready:
                found = answered(future)
                # The first chunks compile, and points differ: step by step to what takes `CHUNK`
                # seconds.
                size = min(CHUNK * found.speed, 4.0 * max(size, BLOCK))
                done += board.take(found)
                most += 0 if executor is None else 1
            if progress is not None:
                progress(done, total, board.calls)
    except (BrokenExecutor, Lost) as error:
        left = f"{total - done} of {total} runs still to do"
        kept = (
            "nothing is kept without a store"
            if board.store is None
            else "the others are kept: run it again"
        )
        raise Aborted(f"the workers failed ({error}) with {left}; {kept}") from error
    finally:
        for future in out:
            future.cancel()
