"""A pool of processes whose parent works too."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tpssim.experiments.executor import Beside, Helped, Shared, processes


def slept(number: int, seconds: float) -> tuple[int, int]:
    time.sleep(seconds)
    return number, os.getpid()


def failed(number: int) -> None:
    raise ValueError(number)


class Left:
    """Garbage that only a search finds; says when it is found."""

    def __init__(self, path: Path) -> None:
        self.path, self.myself = path, self

    def __del__(self) -> None:
        self.path.touch()


def leave(path: Path) -> None:
    Left(path)


def test_a_process_does_not_look_for_garbage_when_it_ends(tmp_path: Path) -> None:
    with processes(1) as pool:
        pool.submit(leave, tmp_path / "found").result()
    assert not (tmp_path / "found").exists()


@pytest.mark.parametrize("ahead", [0, 1])
def test_each_job_is_done_once_the_last_ones_here(ahead: int) -> None:
    jobs = [(number, 0.05) for number in range(12)]
    with processes(2, helped=True) as pool:
        shared = Shared(pool, slept, jobs, ahead)
        ended = list(shared.ended())
    assert sorted(ended) == list(range(12))
    assert [number for number, _ in shared.results()] == list(range(12))
    mine = [number for number, process in shared.results() if process == os.getpid()]
    # From the last one on, while the other process begins.
    assert mine
    assert mine == list(range(12 - len(mine), 12))


def test_a_process_has_as_many_jobs_ahead_as_is_said() -> None:
    """One that takes long is alone with one process: all others are left to this one."""
    with processes(2, helped=True) as pool:
        pool.submit(slept, 0, 0.0).result()  # it has begun
        shared = Shared(pool, slept, [(0, 1.0), *((number, 0.0) for number in range(1, 9))])
        assert list(shared.ended()) == [8, 7, 6, 5, 4, 3, 2, 1, 0]
        mine = [number for number, process in shared.results() if process == os.getpid()]
    assert mine == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_job_may_have_to_wait_before_it_is_begun_here() -> None:
    waited: list[tuple[int, float]] = []
    with processes(2, helped=True) as pool:
        jobs = [(number, 0.05) for number in range(6)]
        shared = Shared(pool, slept, jobs, before=lambda *job: waited.append(job))
        list(shared.ended())
        mine = [number for number, process in shared.results() if process == os.getpid()]
    assert waited == [(number, 0.05) for number in reversed(mine)]


def test_others_do_all_of_it() -> None:
    with ThreadPoolExecutor(2) as pool:
        shared = Shared(pool, slept, [(number, 0.01) for number in range(4)])
        assert shared.left == 0
        assert sorted(shared.ended()) == [0, 1, 2, 3]
    with processes(1) as alone:
        shared = Shared(alone, slept, [(number, 0.01) for number in range(4)])
        assert sorted(shared.ended()) == [0, 1, 2, 3]
        assert os.getpid() not in [process for _, process in shared.results()]


def test_an_error_ends_it() -> None:
    with processes(2, helped=True) as pool, pytest.raises(ValueError, match="7"):
        list(Shared(pool, failed, [(number,) for number in range(8)]).ended())
    with ThreadPoolExecutor(1) as threads, pytest.raises(ValueError, match="0"):
        list(Shared(threads, failed, [(0,), (0,)]).ended())


def test_what_no_other_process_has_begun_is_done_here() -> None:
    with processes(2, helped=True) as pool:
        pool.submit(slept, 0, 0.0).result()  # it has begun
        beside = Beside(pool)
        for number in range(8):
            beside.begin(number, slept, number, 0.3 if number == 0 else 0.0)
        while not beside._sent[0].running():  # on a busy machine it takes a while
            time.sleep(0.01)
        last, first = beside.result(7), beside.result(0)
    assert (last, first[0]) == ((7, os.getpid()), 0)
    assert first[1] != os.getpid()


def test_without_other_processes_all_is_done_here() -> None:
    beside = Beside(None)
    beside.begin("one", slept, 1, 0.0)
    assert (list(beside.jobs), beside.result("one")) == (["one"], (1, os.getpid()))


def test_the_last_ones_are_waited_for_where_that_is_said() -> None:
    with processes(2, helped=True) as pool:
        pool.submit(slept, 0, 0.0).result()  # it has begun
        beside = Beside(pool, spared=2)
        for number in range(4):
            beside.begin(number, slept, number, 0.3 if number == 0 else 0.0)
        found = [beside.result(number) for number in (3, 2, 1, 0)]
    assert [number for number, _ in found] == [3, 2, 1, 0]
    assert [process == os.getpid() for _, process in found] == [True, False, False, False]


class ByHand(Helped):
    """One other process, whose work ends when the test says so."""

    def __init__(self) -> None:
        self.workers = 1
        self.sent: list[Future[Any]] = []

    def submit(self, work: Callable[..., Any], /, *args: Any, **_: Any) -> Future[Any]:
        self.sent.append(Future())
        return self.sent[-1]


def test_nobody_waits_while_something_can_be_done_here() -> None:
    others = ByHand()
    beside = Beside(others)
    for number in range(3):
        beside.begin(number, slept, number, 0.0)
    assert beside.next_of([0, 1, "no job", 2]) == "no job"
    assert beside.next_of([0, 1, 2]) == 2  # 0 is being done, and 1 would be the next
    others.sent[0].set_result((0, 7))
    assert beside.next_of([0, 1, 2]) == 0
    assert beside.result(2) == (2, os.getpid())
    assert beside.next_of([1]) == 1  # the other process is at it: nothing but to wait
