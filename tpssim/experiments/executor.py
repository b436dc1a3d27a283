"""Processes to work in, which leave Ctrl-C to their parent and end with it."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing import connection
from typing import Any


class Helped(ProcessPoolExecutor):
    """Processes whose parent works too, while it waits for them (`taken_back`)."""


@contextlib.contextmanager
def processes(workers: int, helped: bool = False) -> Iterator[ProcessPoolExecutor]:
    """A pool of that many processes; after an error or an interrupt nothing of it is left.

    `helped`: this process is one of them, so two at least.
    """
    # spawn: a fork of a program with threads (a notebook) may deadlock.
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    kind, number = (Helped, workers - 1) if helped else (ProcessPoolExecutor, workers)
    with kind(number, mp_context=context, initializer=_begin) as pool:
        try:
            for _ in range(number):
                pool.submit(_make_ready)
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


def taken_back(executor: Executor | None, futures: Sequence[Future[Any]]) -> Iterator[int]:
    """The numbers of those that no process has begun, from the last one on: whoever asks for the
    next one does its work, for nobody else will. No numbers if the processes are not `Helped`.
    """
    if isinstance(executor, Helped):
        for number in reversed(range(len(futures))):
            if futures[number].cancel():
                yield number


def _begin() -> None:
    """Ctrl-C reaches every process of a terminal: the parent alone answers it. If it is killed, end
    too.
    """
    gc.set_threshold(*SELDOM)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["NUMBA_NUM_THREADS"] = "1"  # the processes are the parallelism
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _make_ready() -> None:
    """Import what every run takes, while the parent still prepares its work."""
    from tpssim.metrics import measure  # noqa: F401
    from tpssim.simulation import run  # noqa: F401
    from tpssim.simulation.compiled import compiling

    compiling.nothing_kept()  # which imports numba, if it is there


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
