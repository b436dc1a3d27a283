"""A wanted rate over time, live: slots in closed form, the end, changes by hand, report, replay."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.laws import SetOnce

from tpssim import Aborted, Limiter, Stages, arun, athrottle, run, simulate, throttle
from tpssim.core.clocks import VirtualClock
from tpssim.core.target_path import TargetPath
from tpssim.experiments.live_pictures import live_run
from tpssim.experiments.replay import scenario_of
from tpssim.live.playback import play, read_journal
from tpssim.live.pool_begins import Begins
from tpssim.scenarios.retries import Retry
from tpssim.scenarios.service_times import Recorded


def trapezoid(k: int) -> float:
    """Slot k of 2 s up to 200 a second, 1 s of that, 2 s down: 50 t^2 = k, and so on."""
    if k <= 200:
        return math.sqrt(k / 50.0)
    return 2.0 + (k - 200) / 200.0 if k <= 400 else 5.0 - math.sqrt((600 - k) / 50.0)


TRAPEZOID = [trapezoid(k) for k in range(600)]


def made(kind: str, tps: Any, clock: VirtualClock, **options: Any) -> list[float]:
    """When each way of calling makes calls that take no time, until it ends by itself."""
    times: list[float] = []

    def call(_: Any) -> None:
        times.append(clock.time())

    async def acall(_: Any) -> None:
        call(_)

    async def main() -> None:
        async for _ in athrottle([None], tps, 10**6, clock=clock, **options):
            call(_)

    if kind == "throttle":
        for _ in throttle([None], tps, 10**6, clock=clock, **options):
            call(_)
    elif kind == "athrottle":
        asyncio.run(main())
    elif kind == "run":
        run(call, [None], tps, 10**6, workers=0, clock=clock, **options)
    elif kind == "arun":
        asyncio.run(arun(acall, [None], tps, 10**6, clock=clock, **options))
    else:
        limiter = Limiter(tps, clock=clock, **options)

        def calls() -> None:
            while True:
                with limiter:
                    call(None)

        with pytest.raises(Aborted, match="the last stage of this limiter is over; allowed: a new"):
            calls()
    return times


@pytest.mark.parametrize("kind", ["throttle", "athrottle", "run", "arun", "Limiter"])
def test_slots_lie_where_the_integral_says_and_the_run_ends_with_the_last_stage(kind: str) -> None:
    clock = VirtualClock()
    times = made(kind, Stages("2s:200,1s:200,2s:0"), clock)
    assert times == pytest.approx(TRAPEZOID, abs=1e-9)
    assert clock.time() == 5.0


def test_it_ends_at_its_time_though_nothing_is_wanted_any_more() -> None:
    """Slots at 0, 1 and 2 s; from 2.5 s on nothing is wanted, and the iteration ends at 4 s."""
    clock = VirtualClock()
    stages = Stages([(2.5, 1.0), (0, 0.0), (1.5, 0.0)], start=1.0)
    assert made("throttle", stages, clock) == [0.0, 1.0, 2.0]
    assert clock.time() == 4.0


def test_items_that_are_left_stay() -> None:
    items = iter(range(100))
    handle = throttle(items, Stages("1s:10", start=10.0), clock=VirtualClock())
    assert list(handle) == list(range(10))
    assert handle.pending == (10,)
    assert next(items) == 11
    assert list(handle) == [], "it has ended for good"


def test_the_end_of_the_items_comes_first() -> None:
    clock = VirtualClock()
    assert list(throttle("ab", Stages("10s:10"), clock=clock)) == ["a", "b"]
    assert clock.time() == pytest.approx(math.sqrt(2.0))  # t^2 / 2 = 1


@pytest.mark.parametrize("late", ["auto", "burst", "delay", "skip"])
def test_who_falls_behind_ends_with_the_last_stage_all_the_same(late: str) -> None:
    """A call of 0.45 s at 10 a second, for 2 s: whoever asks at the end or later gets none."""
    clock = VirtualClock()
    times = []
    for _ in throttle(range(100), Stages("2s:10", start=10.0), late=late, clock=clock):
        times.append(clock.time())
        clock.wait(clock.time() + 0.45, 0.0)
    assert times == pytest.approx([0.0, 0.45, 0.9, 1.35, 1.8])


def test_a_limit_that_is_reached_does_not_outlast_the_profile() -> None:
    clock = VirtualClock()
    handle = throttle(
        range(10), Stages("1s:10", start=10.0), controller=SetOnce(limit=2.0), clock=clock
    )
    open_permits = [permit for _, permit in handle.permits()]
    assert len(open_permits) == 2
    assert clock.time() == 1.0
    assert handle.report().in_flight == 2


def test_an_iterable_that_gives_nothing_does_not_outlast_the_profile() -> None:
    async def two() -> AsyncIterator[int]:
        yield 0
        yield 1
        await asyncio.sleep(3600.0)

    async def main() -> list[int]:
        async with asyncio.timeout(60.0):
            return [item async for item in athrottle(two(), Stages("200ms:50", start=50.0))]

    assert asyncio.run(main()) == [0, 1]


def test_a_plain_iterable_is_waited_for_to_its_end() -> None:
    """It gives nothing from 0 s until 5 s; the last stage is over at 2 s. The item that comes then
    has no slot and is pending."""
    clock = VirtualClock()

    def items() -> Iterator[str]:
        yield "a"
        clock.wait(5.0, 0.0)
        yield "b"

    handle = throttle(items(), Stages("2s:10", start=10.0), clock=clock)
    assert list(handle) == ["a"]
    assert (clock.time(), handle.pending) == (5.0, ("b",))


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_retry_does_not_outlast_the_profile(asynchronous: bool) -> None:
    """It would come after 30 s; the run ends after 2 s, and its item is pending."""
    clock = VirtualClock()

    def call(item: str) -> str:
        if item == "a":
            raise OSError
        return item

    async def acall(item: str) -> str:
        return call(item)

    stages, retries = Stages("2s:10", start=10.0), Retry(attempts=1.0, base=30.0)
    if asynchronous:
        done = asyncio.run(arun(acall, "ab", stages, clock=clock, retries=retries))
    else:
        done = run(call, "ab", stages, clock=clock, workers=0, retries=retries)
    assert (done.pending, done.results, done.failed) == (["a"], [None, "b"], [])
    assert clock.time() <= 2.0


def test_a_law_that_holds_back_caps_the_profile_and_one_that_follows_does_not() -> None:
    """The rate of 90 cuts the ramp to 200: 50 t^2 up to 0.9 s (40.5 slots), then 90 a second."""
    times = made("throttle", Stages("2s:200"), VirtualClock(), controller=SetOnce(rate=90.0))
    expected = [math.sqrt(k / 50.0) if k <= 40 else 0.9 + (k - 40.5) / 90.0 for k in range(140)]
    assert times == pytest.approx(expected, abs=1e-9)
    times = made("throttle", Stages("2s:200,1s:200,2s:0"), VirtualClock(), controller="aimd")
    assert times == pytest.approx(TRAPEZOID, abs=1e-9)


def test_a_profile_may_be_set_and_replaced_while_running() -> None:
    clock = VirtualClock()
    handle = throttle(range(1000), 10.0, clock=clock)
    times = []
    for k in handle:
        times.append(clock.time())
        if k == 10:  # at 1 s: from here 2 t^2 up to 20 a second at 6 s
            handle.tps = Stages("5s:20")
            assert handle.tps == 0.0
        if k == 28:  # 3 s later
            assert handle.tps == pytest.approx(12.0)
            handle.tps = 4.0
        if k == 31:
            handle.tps = Stages("1s:4", start=4.0)
    ramp = [1.0 + math.sqrt(k / 2.0) for k in range(1, 19)]
    assert times[:29] == pytest.approx([k / 10.0 for k in range(11)] + ramp)
    assert times[29:32] == pytest.approx([4.25, 4.5, 4.75])
    assert times[32:] == pytest.approx([5.0, 5.25, 5.5])  # and none at its end
    assert clock.time() == pytest.approx(5.75)


def test_a_change_that_a_signal_handler_prevents_leaves_the_profile_where_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A ramp to 10 a second in 10 s; at 2 s it is to be replaced, and is not."""
    clock = VirtualClock()
    handle = throttle(range(100), Stages("10s:10"), clock=clock)
    begins = Begins(handle.flow)
    next(handle)
    assert begins.due(0.0) == 0.0
    clock.wait(2.0, 0.0)

    def raising(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(TargetPath, "changed", raising)
    with pytest.raises(KeyboardInterrupt):
        handle.tps = 5.0
    monkeypatch.undo()
    assert handle.tps == pytest.approx(2.0)
    # Slots still lie where t^2 / 2 is whole, in a pool too.
    assert [begins.due(0.0) for _ in range(3)] == pytest.approx(
        [math.sqrt(2.0), 2.0, math.sqrt(6.0)]
    )


def test_the_report_says_what_was_wanted() -> None:
    clock = VirtualClock()
    handle = throttle(range(10**6), Stages("2s:200,1s:200,2s:0"), clock=clock)
    assert repr(handle) == "<Throttle: 2s:200,1s:200,2s:0, fixed, 0 released>"
    assert len(list(handle)) == 600
    report = handle.report()
    # 599 slots after the first, up to the last one.
    assert report.wanted == pytest.approx(599.0 / TRAPEZOID[-1])
    assert report.commanded == pytest.approx(report.wanted)
    assert report.rate_error == pytest.approx(0.0, abs=1e-9)
    assert report.target == 0.0
    assert report.gaps_within_10 == 1.0
    assert report.verdict == f"on pace, {599.0 / TRAPEZOID[-1]:.1f}/s"


def test_a_limiter_is_sent_away_where_it_waits() -> None:
    limiter = Limiter(Stages("1s:1", start=1.0), clock=VirtualClock())
    limiter.acquire().done()
    with pytest.raises(Aborted, match=r"the last stage of this limiter is over; allowed: a new"):
        limiter.acquire(timeout=5.0)
    with pytest.raises(Aborted):
        limiter.acquire(timeout=0.0)


@pytest.mark.parametrize("law", ["fixed", "headroom", "aimd:threshold=4", "netflix-vegas"])
def test_a_recorded_run_is_replayed_to_the_bit(law: str, tmp_path: Path) -> None:
    clock, path = VirtualClock(), tmp_path / "run.ndjson"
    handle = throttle(
        range(10**6), Stages("1s:100,1s:20"), controller=law, clock=clock, record=path,
        cost=lambda k: 1.0 + k % 3,
    )  # fmt: skip
    for k, permit in handle.permits():
        clock.wait(clock.time() + 0.002 * (1 + k % 7), 0.0)
        if k % 11 == 5:
            permit.drop()
        else:
            permit.done()
        if k == 30:
            handle.tps = 40.0
        if k == 40:
            handle.tps = Stages("500ms:10,0s:30,500ms:0", start=50.0)
    handle.close()
    played = play(read_journal(path))
    assert played.difference == ""
    assert len(played.calls) == handle.report().released > 41


@pytest.mark.parametrize("tps", ["30s:100", [(30, 100)], None, object()])
def test_what_is_no_rate_is_refused(tps: Any) -> None:
    with pytest.raises(Exception, match=r"tps=.*; allowed: a number in \(0, inf\], or Stages"):
        throttle([1], tps)


def test_what_another_law_would_have_done_has_the_profile_and_the_costs(tmp_path: Path) -> None:
    clock, path = VirtualClock(), tmp_path / "run.ndjson"
    stages = Stages("1s:40,1s:10", start=4.0)
    handle = throttle(
        range(10**6), stages, clock=clock, record=path, cost=lambda k: 1.0 + k % 2, late="burst"
    )
    for _ in handle:
        clock.wait(clock.time() + 0.001, 0.0)
    handle.close()
    recording = read_journal(path)
    scenario = scenario_of(recording, play(recording).calls)
    assert scenario.target == stages
    # The integral is 47; costs of 1 and 2 by turns have reached 46 before the call 31.
    assert isinstance(scenario.cost, Recorded)
    assert scenario.cost.recording == (1.0, 2.0) * 16
    trace = simulate(scenario._replace(duration=2.0), "fixed")
    assert 46.0 <= trace.cost.sum() <= 49.0
    picture = live_run(recording, play(recording).calls)
    since, wanted = picture.ceiling[0]
    assert since == 0.0
    assert wanted == pytest.approx(4.0 + 36.0 / 64.0)  # the middle of 1/64
    assert picture.ceiling[-1] == (2.0, 0.0)
