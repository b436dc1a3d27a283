"""`run`: calls from a pool of threads, or from this one; nothing left behind."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.laws import left, threads

import tpssim
from tpssim import InputError, run
from tpssim.live.jobs import Failures


def test_a_pool_makes_its_calls_and_leaves_no_thread() -> None:
    before = threads()
    lock = threading.Lock()
    seen: list[int] = []
    names: set[str] = set()
    two = threading.Barrier(2)

    def call(item: int) -> None:
        if item < 2:
            two.wait(30.0)  # which needs two workers
        with lock:
            seen.append(item)
            names.add(threading.current_thread().name)
        if item % 10 == 3:
            raise ValueError(f"no {item}")

    done = run(call, range(100), 5000.0, workers=4)
    assert sorted(seen) == list(range(100))
    assert done.report.ok == 90
    assert done.report.errors == 10
    assert list(done.failures.values()) == [10]
    assert next(iter(done.failures)).startswith("ValueError: no ")
    assert len(names) > 1
    assert not left(before)


def test_failures_are_counted_by_several_threads_at_once() -> None:
    """The other thread adds one in the moment between this one's reading the count and its writing
    it.
    """
    failures = Failures()
    other = threading.Thread(target=failures.add, args=(ValueError("second"),))

    class Read(Counter[str]):
        def __getitem__(self, kind: str) -> int:
            count = super().__getitem__(kind)
            if other.ident is None:
                other.start()
                other.join(0.2)  # as far as it gets
            return count

    failures._counts = Read()
    failures.add(ValueError("first"))
    other.join()
    assert failures.all() == {"ValueError: first": 2}


def test_without_a_pool_calls_are_made_one_at_a_time_on_this_thread(tmp_path: Path) -> None:
    names: list[str] = []

    def call(item: int) -> None:
        names.append(threading.current_thread().name)
        if item == 3:
            raise tpssim.Rejected("429")

    done = run(call, range(10), 5000.0, workers=0, record=tmp_path / "run.ndjson")
    assert set(names) == {"MainThread"}
    assert (done.report.ok, done.report.errors, done.report.drops) == (9, 1, 1)
    assert done.failures == {"Rejected: 429": 1}
    assert '"calls": "blocking"' in (tmp_path / "run.ndjson").read_text(encoding="utf-8")


def test_a_pool_that_is_stopped_forgets_what_waits_for_a_worker() -> None:
    release = threading.Event()
    made: list[int] = []
    handles: list[Any] = []

    def end() -> None:
        handles[0].stop()
        release.set()

    def call(item: int) -> None:
        made.append(item)
        if len(made) == 1:
            threading.Timer(0.1, end).start()
        release.wait(10.0)

    done = run(call, range(10_000), 1000.0, workers=2, started=handles.append)
    assert len(made) == 2
    assert done.report.ok == 2
    assert done.report.in_flight == 0
    assert 2 < done.report.released < 10_000


def test_an_interrupted_pool_ends_its_threads() -> None:
    def items() -> Iterator[int]:
        yield from range(10)
        raise KeyboardInterrupt

    before = threads()
    with pytest.raises(KeyboardInterrupt):
        run(abs, items(), 1000.0, workers=3)
    assert not left(before)


def test_bad_numbers_of_workers() -> None:
    with pytest.raises(InputError, match="workers=-1; allowed"):
        run(abs, [1], 5.0, workers=-1)
