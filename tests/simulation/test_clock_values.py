"""Throttles by every clock that Python has, what a look at one is, and what a run leaves behind."""

from __future__ import annotations

import copy
import functools
import logging
import math
import os
import pickle
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.hosted_clocks import (
    LISTED,
    NEW_YEAR,
    OF_DAY,
    PAIR,
    PARTIAL,
    QUICK,
    SEOUL,
    SLOTTED,
    Holder,
    Stamped,
    by_default,
    by_keyword,
    inside,
    of_day,
)

from tpssim import InputError, judge, measure, simulate
from tpssim.core.timer_models import TIMERS
from tpssim.scenarios.builtin import SCENARIOS
from tpssim.scenarios.scenario import Scenario
from tpssim.simulation.trace import Trace


def as_throttle(
    clock: Callable[[], Any], seconds: Callable[[Any], float], step: Callable[[float], Any]
) -> Any:
    """Naive AIMD on an absolute schedule, the article's, by any clock; it sleeps, then spins."""

    def throttle(items: Iterable[Any], tps: float, total: int) -> Iterator[Any]:
        rate, last = tps, None
        due = clock()
        for item in items:
            while True:
                left = seconds(due - clock())
                if left <= 0.0:
                    break
                if left > 0.0005:
                    time.sleep(left - 0.0005)
            yield item
            now = clock()
            if last is not None:
                rate = rate * 0.7 if seconds(now - last) > 1.5 / rate else rate + 1.0
                rate = max(1.0, min(rate, tps))
            last = now
            due += step(1.0 / rate)

    return throttle


def total_seconds(left: timedelta) -> float:
    return left.total_seconds()


def nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


#: A clock, seconds of a difference of it, a difference of it from seconds, and what it can show.
CLOCKS: dict[
    str, tuple[Callable[[], Any], Callable[[Any], float], Callable[[float], Any], float]
] = {
    "time.monotonic": (time.monotonic, lambda s: s, lambda s: s, 0.0),
    "time.time": (time.time, lambda s: s, lambda s: s, 2**-22),
    "time.monotonic_ns": (time.monotonic_ns, lambda ns: ns / 1e9, nanoseconds, 1e-9),
    "time.time_ns": (time.time_ns, lambda ns: ns / 1e9, nanoseconds, 1e-9),
    "datetime.now": (datetime.now, total_seconds, lambda s: timedelta(seconds=s), 1e-6),
    "datetime.now(utc)": (
        lambda: datetime.now(UTC),
        total_seconds,
        lambda s: timedelta(seconds=s),
        1e-6,
    ),
    "datetime.utcnow": (datetime.utcnow, total_seconds, lambda s: timedelta(seconds=s), 1e-6),
    "datetime.now(zone)": (
        lambda: datetime.now(SEOUL),
        total_seconds,
        lambda s: timedelta(seconds=s),
        1e-6,
    ),
    "datetime.today": (datetime.today, total_seconds, lambda s: timedelta(seconds=s), 1e-6),
}


@functools.cache
def run_by(clock: str, scenario: Scenario) -> Trace:
    return simulate(scenario, as_throttle(*CLOCKS[clock][:3]), seed=5)


@pytest.mark.usefixtures("searched_once")
@pytest.mark.parametrize(
    ("scenario", "timer"), [("blocking-steady", "ideal"), ("fast-async", "linux")]
)
@pytest.mark.parametrize(
    "clock", ["time.time", "time.time_ns", "datetime.now", "datetime.now(zone)"]
)
def test_a_throttle_achieves_the_same_by_whichever_clock_it_keeps_its_schedule(
    clock: str, scenario: str, timer: str
) -> None:
    duration = 4.0 if scenario == "blocking-steady" else 1.0
    plant = SCENARIOS[scenario]._replace(timer=TIMERS[timer], duration=duration)
    ours, theirs = run_by("time.monotonic", plant), run_by(clock, plant)
    assert judge(theirs).word == judge(ours).word
    assert judge(theirs).word == "converges" or scenario != "fast-async"
    one, two = measure(ours), measure(theirs)
    assert two["throughput"] == pytest.approx(one["throughput"], rel=0.02)
    assert two["lag_p99"] == pytest.approx(one["lag_p99"], rel=0.1, abs=1e-4)


@pytest.mark.usefixtures("searched_once")
@pytest.mark.parametrize("clock", CLOCKS)
def test_a_schedule_of_whole_milliseconds_is_kept_as_exactly_as_the_clock_shows_it(
    clock: str,
) -> None:
    read, seconds, step, resolution = CLOCKS[clock]

    def throttle(items: Iterable[Any], tps: float, total: int) -> Iterator[Any]:
        began = read()
        for k, item in enumerate(items):
            left = seconds(began + step(k / tps) - read())
            if left > 0.0:
                time.sleep(left)
            yield item

    def spinning(items: Iterable[Any], tps: float, total: int) -> Iterator[Any]:
        began = read()
        for k, item in enumerate(items):
            while read() < began + step(k / tps):
                pass
            yield item

    for each in (throttle, spinning):
        trace = simulate(QUICK, each)
        n = len(trace.released)
        assert n in (200, 201)  # the last one is due at the very end
        assert np.abs(trace.released - np.arange(n) / 100.0).max() <= resolution + 1e-12
        assert (trace.scheduled <= trace.released).all()
        assert judge(trace).word == "converges"


@pytest.mark.usefixtures("searched_once")
def test_whole_microseconds_give_the_bits_of_a_steady_clock() -> None:
    def by(
        clock: Callable[[], Any], seconds: Callable[[Any], float], step: Callable[[float], Any]
    ) -> Any:
        def throttle(items: Iterable[Any], tps: float, total: int) -> Iterator[Any]:
            began = clock()
            for k, item in enumerate(items):
                left = seconds(began + step(k / tps) - clock())
                if left > 0.0:
                    time.sleep(left)
                yield item

        return simulate(QUICK, throttle)

    ours, theirs = by(*CLOCKS["time.monotonic"][:3]), by(*CLOCKS["datetime.now"][:3])
    assert np.array_equal(ours.released[:200], theirs.released[:200])
    assert np.array_equal(ours.scheduled[:200], theirs.scheduled[:200])


@pytest.mark.usefixtures("searched_once")
def test_a_look_is_a_datetime_in_every_respect() -> None:
    def look() -> list[Any]:
        naive, aware = datetime.now(), datetime.now(SEOUL)
        assert isinstance(naive, datetime)
        assert isinstance(naive, date)
        assert isinstance(Stamped.now(), Stamped)
        # What is computed from it is a plain datetime again.
        for made in (
            naive + timedelta(1),
            timedelta(1) + naive,
            naive - timedelta(1),
            naive.replace(hour=3),
            aware.astimezone(UTC),
            pickle.loads(pickle.dumps(aware)),
            copy.deepcopy(naive),
            copy.copy(naive),
        ):
            assert type(made) is datetime
        assert type(datetime.now() - naive) is timedelta
        with pytest.raises(TypeError):
            assert naive < aware
        with pytest.raises(TypeError):
            aware - naive
        with pytest.raises(TypeError):
            assert naive < 3  # type: ignore[operator]
        assert (naive == 3) is False
        return [naive, aware]

    naive, aware = inside(look)
    assert aware == NEW_YEAR
    assert NEW_YEAR <= aware <= NEW_YEAR
    assert aware - NEW_YEAR == NEW_YEAR - aware == timedelta(0)
    assert hash(aware) == hash(NEW_YEAR)
    assert {aware: 1}[NEW_YEAR] == 1
    assert repr(aware) == repr(NEW_YEAR.astimezone(SEOUL))
    assert str(aware) == "2026-01-01 09:00:00+09:00"
    assert f"{aware:%H:%M}" == "09:00"
    assert aware.tzinfo is SEOUL
    assert naive.astimezone(UTC) == NEW_YEAR
    assert pickle.loads(pickle.dumps(naive)) == naive
    assert repr(timedelta(5)) == repr(
        inside(lambda: datetime(2026, 1, 6, tzinfo=UTC) - datetime.now(UTC))
    )
    left = inside(lambda: datetime(2026, 1, 6, tzinfo=UTC) - datetime.now(UTC))
    assert type(pickle.loads(pickle.dumps(left))) is timedelta


@pytest.mark.usefixtures("searched_once")
def test_a_look_may_be_compared_with_anything_that_a_number_may() -> None:
    dues = np.array([-1.0, 1.0])
    assert inside(lambda: (time.monotonic() < dues).tolist()) == [False, True]
    assert inside(lambda: time.monotonic_ns() < 10**400)
    assert inside(lambda: time.time() < math.inf)
    assert inside(lambda: (time.monotonic_ns() - 5, type(7 - time.monotonic_ns()))) == (-5, int)


def test_a_deadline_that_never_comes_is_no_spin() -> None:
    def throttle(items: Iterable[Any], tps: float, total: int) -> Iterator[Any]:
        for item in items:
            for _ in range(50):
                assert time.monotonic() < math.inf
            time.sleep(1.0 / tps)
            yield item

    assert len(simulate(QUICK, throttle).released) > 150


def state() -> list[Any]:
    """All that a run replaces, as it is."""
    return [
        *(getattr(time, name) for name in sorted(dir(time))),
        *(vars(datetime)[name] for name in ("now", "utcnow")),
        vars(date)["today"],
        vars(Holder)["now"],
        vars(Holder)["clock"],
        Holder.clocks["utc"],
        *PAIR,
        *LISTED,
        PARTIAL.func,
        SLOTTED.clock,
        by_default.__defaults__,
        (by_keyword.__kwdefaults__ or {})["clock"],
        logging.Formatter.__dict__["converter"],
        socket.socket.__dict__.get("recv"),
        *(getattr(os, name) for name in ("times", "wait")),
        uuid.uuid1,
        signal.getsignal(signal.SIGALRM),
    ]


@pytest.mark.parametrize("end", ["normal", "error", "refused", "exit", "interrupt"])
def test_everything_is_as_it_was_after_a_run_however_it_ended(end: str) -> None:
    def throttle(items: Iterable[Any], tps: float, total: int) -> Iterator[Any]:
        yield datetime.now()
        if end == "error":
            raise ZeroDivisionError
        if end == "refused":
            os.times()
        if end == "exit":
            raise SystemExit
        if end == "interrupt":
            raise KeyboardInterrupt
        yield from items

    before = state()
    try:
        simulate(QUICK, throttle)
    except (InputError, KeyboardInterrupt):
        assert end != "normal"
    after = state()
    assert len(before) == len(after)
    assert all(one is two for one, two in zip(before, after, strict=True))
    assert abs(datetime.now().timestamp() - time.time()) < 60.0
    assert Stamped.today().date() >= date.fromtimestamp(time.time() - 60.0)
    with pytest.raises(TypeError):
        datetime.now = None  # type: ignore[method-assign,assignment]


def test_a_thread_outside_sees_the_true_clock_all_the_while() -> None:
    names = [
        "datetime.now",
        "datetime.utcnow",
        "a default argument",
        "a closure",
        "a slot",
        "a tuple",
    ]
    names += ["a derived class", "time.gmtime", "logging"]
    reads: dict[str, Callable[[], float]] = {
        **{name: OF_DAY[name] for name in names},
        "date.today": lambda: of_day(date.today()) + 86_400.0,
    }
    # Taken before the run, so that it looks by nothing that is replaced.
    true = time.time()
    seen: dict[str, float] = {}
    begun, stop = threading.Event(), threading.Event()

    def outside() -> None:
        assert begun.wait(60.0)
        seen.update((name, read()) for name, read in reads.items())
        stop.set()

    def throttle(items: Iterable[Any], tps: float, total: int) -> Iterator[Any]:
        begun.set()
        while not stop.is_set():
            time.sleep(0.001)
        yield from items

    thread = threading.Thread(target=outside)
    thread.start()
    simulate(QUICK._replace(duration=1e4, target=0.1), throttle)
    thread.join()
    assert set(seen) == set(reads)
    assert min(seen.values()) > true - 2.0 > NEW_YEAR.timestamp() + 86_400.0


def test_a_module_first_imported_in_virtual_time_keeps_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "imported_inside.py").write_text(
        "from datetime import datetime\nfrom time import sleep\nimport time\n"
        "class Clock:\n    now = datetime.now\n    steady = staticmethod(time.monotonic)\n"
        "def nap(seconds, how=time.sleep):\n    how(seconds)\n",
        encoding="utf-8",
    )
    path = tmp_path / "imports.py"
    path.write_text(
        "def throttle(items, tps, total):\n"
        "    import imported_inside as lib\n"
        "    for k, item in enumerate(items):\n"
        "        lib.nap(max(0.0, k / tps - lib.Clock.steady()))\n"
        "        yield item\n",
        encoding="utf-8",
    )
    traces = [simulate(QUICK, f"{path}:throttle") for _ in range(2)]
    assert np.array_equal(traces[0].released, traces[1].released)
    assert len(traces[0].released) == 200
    lib: Any = __import__("imported_inside")
    assert lib.sleep is lib.nap.__defaults__[0] is time.sleep
    assert lib.Clock.steady is time.monotonic
    assert abs(lib.Clock.now().timestamp() - time.time()) < 60.0


def test_a_module_whose_name_begins_as_ours_is_hosted_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tpssim_helper.py").write_text("from time import sleep\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    helper: Any = __import__("tpssim_helper")

    def throttle(items: Iterable[Any], tps: float, total: int) -> Iterator[Any]:
        for item in items:
            yield item
            helper.sleep(1.0 / tps)

    assert np.diff(simulate(QUICK, throttle).released).min() == pytest.approx(0.011)


def test_our_own_live_throttle_is_hosted() -> None:
    from tpssim import throttle as live

    trace = simulate(QUICK, lambda items, tps, total: live(items, tps))
    assert judge(trace).word == "converges"
    assert len(trace.released) == pytest.approx(200, abs=2)
