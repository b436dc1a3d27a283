"""A run of hosted code finds all clocks, and leaves nothing behind."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from helpers import ROOT

from tpssim import compare, simulate
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant
from tpssim.simulation import environment
from tpssim.simulation.hosting.patching import rebound

QUICK = Scenario("quick", Constant(0.001), 100.0, 2.0)


class Instance:
    def __init__(self) -> None:
        self.sleeper = time.sleep


KEPT = Instance()


def by_default_argument(seconds: float, nap: Callable[[float], None] = time.sleep) -> None:
    nap(seconds)


def test_nothing_leaks_out() -> None:
    seen: list[Any] = []

    def curious(items: Iterable[Any], tps: float, total: int) -> Iterator[Any]:
        for item in items:
            seen.append((time.perf_counter(), time.time(), threading.get_ident()))
            time.sleep(0.5)
            yield item

    before = {name: getattr(time, name) for name in dir(time)}
    lock, start = threading.Lock, threading.Thread.start
    ticks: list[float] = []
    stop = threading.Event()

    def real_thread() -> None:
        while not stop.wait(0.001):
            ticks.append(time.perf_counter())

    outside = threading.Thread(target=real_thread)
    began = time.perf_counter()
    outside.start()
    simulate(QUICK._replace(duration=50.0), curious)
    stop.set()
    outside.join()
    took = time.perf_counter() - began
    assert {name: getattr(time, name) for name in dir(time)} == before
    assert (threading.Lock, threading.Thread.start) == (lock, start)
    assert KEPT.sleeper is time.sleep
    assert by_default_argument.__defaults__ == (time.sleep,)
    # Inside, time began at 0 on a fixed day and went on for 50 s; outside it was real all the
    # while.
    assert seen[0][:2] == (0.0, 1_767_225_600.0)
    assert seen[10][0] == pytest.approx(5.01, abs=1e-9)
    assert ticks
    assert ticks[-1] - ticks[0] <= took < 50.0


def test_clocks_are_found_in_what_is_frozen() -> None:
    def even(items: Iterable[Any], tps: float, total: int) -> Iterator[Any]:
        for item in items:
            yield item
            KEPT.sleeper(0.499)  # after 1 ms of service

    gc.freeze()
    released = simulate(QUICK, even).released[:4]
    assert released.tolist() == pytest.approx([0.0, 0.5, 1.0, 1.5], abs=1e-9)


def test_two_simulations_may_overlap_in_threads() -> None:
    real = time.sleep, threading.Thread.start
    one, two = rebound(), rebound()
    one.__enter__()
    two.__enter__()
    one.__exit__(None, None, None)
    assert time.sleep is not real[0]
    two.__exit__(None, None, None)
    assert (time.sleep, threading.Thread.start) == real


def test_nothing_of_a_run_is_kept() -> None:
    def by_thread(items: Iterable[Any], tps: float, total: int) -> Iterator[Any]:
        for item in items:
            thread = threading.Thread(target=time.sleep, args=(1.0 / tps,))
            thread.start()
            thread.join()
            yield item

    made: list[Any] = []
    original = environment.World.__init__

    def spy(self: Any, *args: Any) -> None:
        original(self, *args)
        made.append(weakref.ref(self))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment.World, "__init__", spy)
        simulate(QUICK, by_thread)
    gc.collect()
    assert made[0]() is None


def test_it_stands_beside_ours_in_a_comparison() -> None:
    result = compare(
        "blocking-steady:duration=5",
        ["aimd", f"{ROOT / 'tests' / 'throttles' / 'pasted.py'}:aimd"],
        replications=2,
        workers=2,
    )
    ours, theirs = result.of("blocking-steady:duration=5").values()
    assert theirs.controller.endswith("pasted.py:aimd")
    assert [run.measures["throughput"] for run in theirs.runs] == [
        run.measures["throughput"] for run in ours.runs
    ]
