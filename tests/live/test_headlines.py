"""The first line of a live report, from numbers worked by hand and from runs on a virtual clock."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.laws import SetOnce
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tpssim import Limiter, Rejected, arun, run, throttle
from tpssim.controllers import CONTROLLERS
from tpssim.core.clocks import VirtualClock
from tpssim.live import late_causes
from tpssim.live.bounded_counts import Most, Trend
from tpssim.live.headline import headline
from tpssim.live.permits import Permit
from tpssim.live.report import Report
from tpssim.live.run_setting import Setting
from tpssim.live.stats import LIMIT, MACHINE, SOURCE, Tally, ceiling
from tpssim.scenarios.retries import Retry

#: 1,000 calls in 10 s at 100 a second, on schedule, all well.
NUMBERS = dict.fromkeys(Report._fields, 0.0) | {
    "released": 1000.0,
    "ok": 1000.0,
    "begun": 1000.0,
    "seconds": 9.99,
    "target": 100.0,
    "commanded": 100.0,
    "rate": 100.0,
    "begun_rate": 100.0,
    "most_in_flight": 50.0,
    "most_in_1s": 100.0,
    "most_begun_in_1s": 100.0,
    "ceiling": 111.0,
    "wait_p50": math.nan,
    "wait_p99": math.nan,
    "service_mean": math.nan,
    "busy": math.nan,
}


def said(how: Setting | None = None, /, **numbers: Any) -> str:
    """The headline of that run, were these numbers otherwise."""
    report = Report(**NUMBERS | numbers | {"verdict": ""})
    return headline(report, how or Setting(wanted=100.0))


def test_on_pace_tells_the_rate() -> None:
    assert said() == "on pace, 100.0/s"
    assert said(rate=99.2) == "on pace, 99.20/s"
    assert said(rate=98.9) == "below pace: 99 of 100 a second"


@pytest.mark.parametrize(
    ("numbers", "first"),
    [
        (
            {"ok": 560, "refused_by_service": 440},
            "44 % of the calls were refused by the service (429, 503)",
        ),
        ({"ok": 880, "timed_out": 120}, "12 % of the calls timed out"),
        ({"ok": 930}, "7 % of the calls failed"),
        (
            {"ok": 600, "refused_by_service": 100, "timed_out": 300},
            "30 % of the calls timed out; 10 % of the calls were refused by the service (429, 503)",
        ),
        (
            {
                "ok": 910,
                "refused_by_service": 40,
                "timed_out": 40,
            },  # and 10 failed: none above 5 %, 9 % in all
            "9 % of the calls were refused, timed out or failed",
        ),
    ],
)
def test_what_went_wrong_comes_first_by_its_name(numbers: dict[str, float], first: str) -> None:
    drops = numbers.get("refused_by_service", 0.0) + numbers.get("timed_out", 0.0)
    errors = 1000.0 - numbers["ok"]
    assert said(**numbers, errors=errors, drops=drops) == f"{first}; on pace, 100.0/s"


def test_waits_that_ended_without_a_slot_come_before_all() -> None:
    """200 tasks that wait for at most a second at 50 a second: 50 are served."""
    numbers = {"released": 50.0, "ok": 50.0, "rate": 50.0, "commanded": 50.0, "begun_rate": 50.0}
    how = Setting(wanted=50.0, on_demand=True)
    line = (
        "150 of 200 waits ended without a slot (a timeout, or cancelled): 50 a second were let"
        " through; "
    )
    assert said(how, **numbers, went_without=150.0) == f"{line}on pace, 50.00/s"
    assert said(went_without=52.0) == "on pace, 100.0/s"  # 52 / 1052 = 4.94 %, 53 / 1053 = 5.03 %
    assert said(went_without=53.0).startswith("53 of 1,053 waits ended without a slot")
    # a run ends
    assert said(how, **numbers | {"released": 5.0}, went_without=1.0) == "too few calls to judge"


def test_few_failures_come_last_and_one_in_a_hundred_is_no_finding() -> None:
    assert said(ok=970, errors=30) == "on pace, 100.0/s; 3 % of the calls failed"
    assert said(ok=990, errors=10) == "on pace, 100.0/s"


@pytest.mark.parametrize(
    ("busy", "seconds", "who"),
    [
        (0.36, 44.1, "9.050/s: quota of 50 calls per 6 s held "),
        (0.8, 15.0, "9.050/s: quota"),  # idle for a fifth of the time, in which it let none through
        (0.98, 44.1, "limited by the workers"),  # they are idle at no time
        (0.8, 3.0, "limited by the workers"),
    ],
)
def test_of_workers_and_a_quota_what_held_most_is_named(
    busy: float, seconds: float, who: str
) -> None:
    """400 calls as a quota lets them through, 50 at once: they wait for one of eight workers."""
    numbers = {
        "released": 400.0,
        "seconds": 44.1,
        "target": math.inf,
        "commanded": math.inf,
        "rate": 9.05,
        "begun_rate": 8.65,
        "wait_p50": 0.4,
        "wait_p99": 0.9,
        "busy": busy,
        "service_mean": 0.15,
    }
    held = (("quota of 50 calls per 6 s", 14, seconds),)
    assert said(Setting(wanted=math.inf, workers=8, held=held), **numbers).startswith(who)


def test_workers_that_are_too_few_are_named_with_how_many_would_do() -> None:
    # 0.3 s a call at 100 a second keep 30 workers busy all the time: 31 have some to spare.
    numbers = {
        "begun_rate": 13.3,
        "wait_p50": 3.3,
        "wait_p99": 6.5,
        "busy": 0.96,
        "service_mean": 0.3,
        "most_in_flight": 90.0,
    }
    who = "limited by the workers: 4 workers were busy 96 % of the time"
    began = "13.3 of 100 a second began, calls waited 3.3 s (median)"
    assert (
        said(Setting(wanted=100.0, workers=4), **numbers)
        == f"{who}; {began}; 31 workers would be enough"
    )
    tasks = said(Setting(wanted=100.0, workers=4, tasks=True), **numbers)
    used = "limited by max_in_flight=4, of which 96 % was used"
    assert tasks == f"{used}; {began}; max_in_flight=31 would be enough"


def test_workers_that_keep_up_are_no_limit() -> None:
    how = Setting(wanted=100.0, workers=40)
    fine = {"wait_p50": 60e-6, "wait_p99": 0.004, "busy": 0.75, "service_mean": 0.3}
    assert said(how, **fine) == "on pace, 100.0/s"
    late = "on pace, 100.0/s; 1 % of the calls waited 1.2 s or longer for their turn"
    assert said(how, **fine | {"wait_p99": 1.2}) == late


def test_what_a_limit_holds_back_is_not_the_callers_doing() -> None:
    how = Setting(law="netflix-vegas", wanted=10.0, body=0.001)
    numbers = {"rate": 5.0, "commanded": 10.0, "target": 10.0, "limited": 950.0}
    assert said(how, **numbers) == "held back by the limit of netflix-vegas: 5 of 10 a second"


def test_a_law_that_slows_down_or_refuses_is_named_and_not_on_pace() -> None:
    how = Setting(law="aimd", wanted=100.0)
    assert said(how, commanded=40.0, rate=40.0) == "held back by aimd: 40 of 100 a second commanded"
    also = "held back by aimd: 40 of 100 a second commanded, and 30 were released"
    assert said(how, commanded=40.0, rate=30.0) == also
    half = "held back by aimd: it refused 50 % of the slots here, 50 of 100 a second were released"
    assert said(how, rate=50.0, refused=1000.0) == half


def test_the_machine_is_named_only_by_what_a_service_could_notice() -> None:
    how = Setting(wanted=100.0, behind=100, cause="a reason")
    late = "10 % of the calls released late, by 40 ms at p99, for a reason"
    assert said(how, late_p99=0.04) == f"on pace, but unevenly: {late}"
    assert said(how, late_p99=0.04, rate=60.0) == f"limited by the generator: {late}"
    assert said(how._replace(behind=50), late_p99=0.04) == "on pace, 100.0/s"


@pytest.mark.parametrize(("interval", "late", "counts"), [
    (0.125, 0.01, False),  # 8 a second, 10 ms
    (0.02, 0.01, False),  # 50 a second
    (0.02, 0.0199, False),
    (0.02, 0.0201, True),  # the next one is due
    (0.0001, 0.0005, False),  # five intervals, and still less than any network's own jitter
    (0.0001, 0.0011, True),
])  # fmt: skip
def test_lateness_is_a_share_of_the_interval(interval: float, late: float, counts: bool) -> None:
    tally = Tally()
    for k in range(20):
        due = interval * k
        tally.release(due, due + late, 1.0 / interval, 1.0 / interval, due - 1e-6, False)
    assert tally.behind == (20 if counts else 0)


def test_what_lags_behind_its_schedule_is_not_on_pace() -> None:
    """The help's own example: the rate as wanted on average, two thirds of it caught up."""
    line = said(
        Setting(wanted=500.0), late_p50=3.3, late_p90=5.0, rate=500.0, commanded=500.0,
        target=500.0,
        released=30_000.0, ok=30_000.0, caught_up=20_465.0, ceiling=551.0,
        most_in_1s=900.0,
    )  # fmt: skip
    first = (
        "behind its schedule by 3.3 s (median): 20,465 of 30,000 calls were caught up, 500.0/s on"
        " average"
    )
    assert line == f"{first}; up to 900 calls were released in one second"
    # What late="auto" makes up for within 0.1 s is on pace.
    assert said(late_p50=0.05, late_p90=0.099) == "on pace, 100.0/s"


def test_more_than_was_wanted_is_not_on_pace() -> None:
    line = said(rate=322.0, most_in_1s=330.0)
    assert (
        line
        == "above the wanted rate: 322 of 100 a second; up to 330 calls were released in one second"
    )


@pytest.mark.parametrize(
    ("cause", "why"),
    [
        (LIMIT, "the limit of aimd delayed them"),
        (SOURCE, "the source was empty"),
        (MACHINE, "this process was stopped"),
    ],
)
def test_what_the_late_policy_gave_up_is_named_with_its_cause(cause: int, why: str) -> None:
    lost = [0.1, 0.1, 0.1, 0.1]
    lost[cause] = 2.7
    how = Setting(law="aimd", wanted=100.0, lost=tuple(lost))
    line = f"3 s of the schedule, 300 slots, were not made up for: {why}"
    assert said(how, rate=70.0, lost=3.0, skipped=300.0) == f"70 of 100/s: {line}"
    # Of an hour's run 3 s are no matter of the rate, and said all the same.
    hour = said(
        how, lost=3.0, skipped=300.0, seconds=3600.0, released=359_700.0, ok=359_700.0, rate=99.92
    )
    assert hour == f"on pace, 99.92/s; {line}"
    assert said(how, lost=0.005, skipped=1.0, seconds=3600.0) == "on pace, 100.0/s"


def test_a_stop_comes_before_the_few_that_were_late_after_it() -> None:
    """Of 160 calls in 3 s one was 1.5 s late, and ten more were caught up with late="auto"."""
    how = Setting(wanted=100.0, behind=11, lost=(0.0, 0.0, 0.0, 1.4))
    numbers = {
        "released": 160.0,
        "ok": 160.0,
        "seconds": 3.0,
        "rate": 53.0,
        "late_max": 1.5,
        "late_p99": 0.09,
    }
    line = said(how, **numbers, lost=1.4, skipped=140.0)
    assert (
        line
        == "53 of 100/s: 1.4 s of the schedule, 140 slots, were not made up for: this process was"
        " stopped"
    )
    # With as much lost, a tenth of a second at a time, the machine is too slow.
    slow = said(how._replace(behind=150), **numbers | {"late_max": 0.1}, lost=1.4, skipped=140.0)
    assert slow.startswith(
        "limited by the generator: 94 % of the calls released late, by 90 ms at p99"
    )


def test_calls_that_outlast_their_slot_are_given_more_workers() -> None:
    how = Setting(wanted=0.2, body=4.8, lost=(0.0, 0.0, 60.0, 0.0))
    numbers = {
        "rate": 0.19,
        "commanded": 0.2,
        "target": 0.2,
        "lost": 60.0,
        "skipped": 12.0,
        "seconds": 1000.0,
    }
    line = said(how, **numbers, most_in_flight=1.0, released=190.0, ok=190.0)
    assert (
        line
        == "0.19 of 0.2/s: calls take longer than their slot, 12 slots given up; workers=2 (run) or"
        " late='burst'"
    )


def test_callers_who_share_a_throttle_and_are_too_few() -> None:
    """20 threads with calls of 0.5 s make 40 a second; at 100 a second 50 calls are open."""
    how = Setting(wanted=100.0, body=0.025, call=0.5, lost=(0.0, 0.0, 6.0, 0.0))
    line = "20 calls at a time take 500 ms each: at most 40 a second; 51 callers would be enough"
    assert said(how, rate=40.0, most_in_flight=20.0, lost=6.0, skipped=600.0) == line


def test_a_limiter_that_is_not_asked_has_lost_nothing() -> None:
    how = Setting(wanted=100.0, on_demand=True, body=0.19, call=0.01, lost=(0.0, 0.0, 9.0, 0.0))
    numbers = {"rate": 5.0, "most_in_flight": 1.0, "lost": 9.0, "skipped": 900.0}
    assert said(how, **numbers) == "nobody asked for more: 5 of 100 a second"
    busy = said(how._replace(call=0.19), **numbers)
    assert (
        busy == "one call at a time takes 190 ms: at most 5.26 a second; 20 callers would be enough"
    )


def test_a_service_that_falls_behind_is_named() -> None:
    """100 a second to one that serves 50: each second calls take a second longer."""
    line = (
        "limited by the service: calls take longer and longer, because it serves 50 of 100 a second"
    )
    assert said(Setting(wanted=100.0, slower=1.0)) == line
    trend, noise = Trend(), Trend()
    for k in range(100):
        trend.add(0.01 * k, 0.01 * k + 0.02)
        noise.add(0.01 * k, 0.02 + (0.01 if k % 2 else 0.0))
    assert trend.slope() == pytest.approx(1.0)
    assert noise.slope() == 0.0


def test_where_no_rate_was_wanted_none_is_missed() -> None:
    how = Setting(wanted=math.inf)
    assert (
        said(how, commanded=math.inf, target=math.inf, ceiling=math.inf)
        == "100.0/s, where no rate was wanted"
    )


def test_too_few() -> None:
    assert said(rate=math.nan, released=1.0, ok=1.0) == "too few calls to judge"
    alone = said(rate=math.nan, released=1.0, ok=0.0, errors=1.0, drops=1.0, refused_by_service=1.0)
    assert (
        alone == "100 % of the calls were refused by the service (429, 503); too few calls to judge"
    )
    assert said(rate=math.nan, released=0.0, ok=0.0) == "no call was made"


def test_few_calls_are_no_pace() -> None:
    how = Setting(wanted=100.0, behind=2, cause="a reason")
    two = {"released": 2.0, "ok": 2.0, "seconds": 2.3e-4, "most_in_1s": 2.0, "begun": 2.0}
    assert said(how, **two, rate=4410.0, rate_error=43.1) == "too few calls to judge"
    eight = {"released": 8.0, "ok": 8.0, "seconds": 0.18, "commanded": 40.0, "ceiling": 111.0}
    forty = Setting(wanted=40.0, behind=1, cause="a reason")
    assert said(forty, **eight, rate=40.0) == "too few calls to judge"
    assert said(forty._replace(behind=0), **eight, rate=39.0) == "too few calls to judge"
    # Four late calls of 50 are chance, and one gap of 14 more or less is 7 %.
    assert said(how._replace(behind=4), released=50.0, ok=50.0) == "on pace, 100.0/s"
    assert said(how._replace(behind=5), released=50.0, ok=50.0).startswith(
        "on pace, but unevenly: 10 % of"
    )
    fifteen = {"released": 15.0, "ok": 15.0, "commanded": 40.0}
    assert said(Setting(wanted=40.0), **fifteen, rate=38.5) == "on pace, 38.50/s"
    assert said(Setting(wanted=40.0), **fifteen, rate=37.5) == "below pace: 38 of 40 a second"


def test_more_than_was_wanted_comes_before_how_evenly() -> None:
    how = Setting(wanted=100.0, behind=150, cause="a reason")
    assert said(how, rate=322.0, most_in_1s=330.0).startswith(
        "above the wanted rate: 322 of 100 a second; "
    )


def test_a_late_first_call_is_not_above_the_wanted_rate() -> None:
    """Of 15 calls at 20 a second, due at 0 to 0.7 s, the first came at 0.1 s: 14 gaps in 0.6 s."""
    numbers = {"released": 15.0, "ok": 15.0, "seconds": 0.6, "rate": 14 / 0.6, "rate_error": 1 / 6}
    line = said(
        Setting(wanted=20.0),
        **numbers,
        commanded=20.0,
        ceiling=23.0,
        most_in_1s=15.0,
        most_begun_in_1s=15.0,
    )
    assert (
        line
        == "the first call was late, and the others made up for it: 15 calls in 600 ms, 23.33/s"
    )


def test_calls_that_begin_at_another_rate_than_they_are_released_are_not_on_pace() -> None:
    line = said(Setting(wanted=100.0, workers=9), begun_rate=80.0, rate_error=0.2, wait_p50=0.001)
    assert line == "released as wanted, but 80 of 100 a second began"


def test_of_few_calls_no_hundredth_is_named() -> None:
    how = Setting(wanted=100.0, workers=40)
    few = said(how, wait_p99=1.2, wait_p50=0.0, busy=0.5, released=20.0, ok=20.0)
    assert few == "on pace, 100.0/s; calls waited up to 1.2 s for their turn"


COUNTS = st.integers(0, 1000)
SHARES = st.floats(0.0, 1.0)
TIMES = st.just(0.0) | st.floats(1e-7, 1e3)
RATIOS = st.just(1.0) | st.floats(0.8, 1.2) | st.floats(1e-3, 1e3)


@st.composite
def drawn_runs(draw: st.DrawFn) -> tuple[Report, Setting]:
    """Numbers as runs may have them, each for itself; those follow that others lead to."""
    n = draw(st.integers(0, 30) | st.integers(0, 100_000))
    wanted = draw(st.just(math.inf) | st.floats(1e-3, 1e6))
    commanded = wanted * draw(st.just(1.0) | st.floats(1e-3, 1.0))
    usual = commanded if commanded < math.inf else 100.0
    rate, begun_rate = (usual * draw(RATIOS) for _ in range(2))
    if draw(st.booleans()):
        begun_rate = rate
    errors, drops, timed_out = sorted((round(n * draw(SHARES)) for _ in range(3)), reverse=True)
    workers = draw(st.sampled_from([0, 0, 1, 4]))
    late_p50, late_p90, late_p99, late_max = sorted(draw(TIMES) for _ in range(4))
    lost = tuple(draw(TIMES) for _ in range(5))
    wait = draw(TIMES) if workers else math.nan
    numbers = {
        "released": n, "begun": n, "ok": n - errors, "errors": errors, "drops": drops,
        "timed_out": timed_out, "refused_by_service": drops - timed_out, "refused": draw(COUNTS),
        "went_without": draw(COUNTS),
        "target": wanted, "wanted": wanted, "commanded": commanded, "rate": rate, "begun_rate":
        begun_rate, "rate_error": abs(begun_rate / commanded - 1.0) if commanded < math.inf else
        math.nan, "seconds": (n - 1) / rate, "ceiling": ceiling(wanted), "lost": sum(lost),
        "skipped": draw(COUNTS), "limited": n * draw(SHARES),
        "wait_p50": wait, "wait_p99": 2.0 * wait,
        "service_mean": draw(TIMES | st.just(math.nan)), "busy": draw(SHARES) if workers else
        math.nan, "late_p50": late_p50, "late_p90": late_p90, "late_p99": late_p99, "late_max":
        late_max, "most_in_flight": draw(COUNTS), "most_in_1s": draw(COUNTS), "most_begun_in_1s":
        draw(COUNTS),
    }  # fmt: skip
    if n < 2:
        numbers |= dict.fromkeys(
            ("wanted", "commanded", "rate", "begun_rate", "rate_error"), math.nan
        )
        numbers["seconds"] = 0.0
    drawn: dict[str, Any] = {**NUMBERS, **{name: float(value) for name, value in numbers.items()}}
    report = Report(**drawn | {"verdict": ""})
    how = Setting(
        law="aimd",
        wanted=report.wanted,
        workers=workers,
        tasks=draw(st.booleans()),
        on_demand=draw(st.booleans()),
        call=draw(TIMES),
        body=draw(TIMES),
        item=draw(TIMES),
        behind=round(n * draw(SHARES)),
        overtaken=round(n * draw(SHARES)),
        cause=draw(st.sampled_from(["", "a reason"])),
        lost=lost,
        slower=draw(st.just(0.0) | st.floats(-1.0, 10.0)),
        unreported=draw(st.booleans()),
        by_permit=draw(st.booleans()),
    )
    return report, how


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(drawn_runs())
def test_every_run_has_a_headline_and_on_pace_is_true(drawn: tuple[Report, Setting]) -> None:
    report, how = drawn
    line = headline(report, how)
    assert line.strip()
    assert not {"nan", "inf"} & set(line.replace(",", " ").replace(";", " ").split())
    assert all(part.strip() for part in line.split(";"))
    if "on pace" in line:
        assert report.released >= 10.0
        assert report.rate_error <= 0.05
        assert report.late_p90 <= max(2.0 / how.wanted, 0.1)


def test_the_pool_is_named_where_its_own_calls_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a second the process had 0.9 s of processor time, of which 0.1 s were the pacing
    thread's.
    """
    spent = {"process": 0.0, "thread": 0.0}
    clock = SimpleNamespace(
        process_time=lambda: spent["process"], thread_time=lambda: spent["thread"]
    )
    monkeypatch.setattr(late_causes, "time", clock)

    def cause(of_workers: list[float]) -> str:
        spent.update(process=0.0, thread=0.0)
        tally = Tally()
        tally.computed += [0.0] * len(of_workers)
        watch = late_causes.Watch(tally, 0.0, False)
        for k in range(20):
            tally.release(0.05 * k, 0.05 * k + 0.06, 20.0, 20.0, 0.05 * k - 1e-6, False)
        spent.update(process=0.9, thread=0.1)
        tally.computed[:] = of_workers
        return watch.judge(1.0)[0]

    end = " compute (80 % of a core) and hold the interpreter lock"
    assert cause([]).startswith(f"other threads of this process{end}; move them")
    assert cause([0.3, 0.4]).startswith(f"the calls themselves{end}: fewer workers")
    assert cause([0.01, 0.0]).startswith(
        f"the calls, or other threads of this process,{end}: fewer workers"
    )


def test_a_pool_counts_the_processor_time_of_its_workers() -> None:
    kept: list[Any] = []

    def compute(_: int) -> None:
        end = time.thread_time() + 0.005
        while time.thread_time() < end:
            pass

    run(compute, range(4), 1000.0, workers=2, started=kept.append)
    computed = kept[0].flow.tally.computed
    assert len(computed) == 2
    assert sum(computed) >= 0.02


@pytest.mark.parametrize(("late", "warned"), [(4, False), (5, True)])
def test_a_few_late_calls_are_no_warning(
    monkeypatch: pytest.MonkeyPatch, late: int, warned: bool
) -> None:
    clock = SimpleNamespace(process_time=lambda: 0.0, thread_time=lambda: 0.0)
    monkeypatch.setattr(late_causes, "time", clock)
    tally = Tally()
    watch = late_causes.Watch(tally, 0.0, True)
    for k in range(12):
        by = 0.15 if k < late else 0.0
        tally.release(0.1 * k, 0.1 * k + by, 10.0, 10.0, 0.1 * k - 1e-6, False)
    assert tally.behind == late
    assert bool(watch.look(1.25)) == warned


# The most in any second.


def by_hand(times: list[float], seconds: float) -> int:
    return max(sum(start <= t < start + seconds for t in times) for start in times)


@pytest.mark.parametrize("seed", range(5))
def test_the_most_in_a_second_is_exact(seed: int) -> None:
    import random

    draw = random.Random(seed)
    gaps = [draw.choice([0.0, 0.001, 0.01, 0.3, 2.0 * draw.random()]) for _ in range(400)]
    times = list(itertools.accumulate(gaps))
    for seconds in (0.01 - 1e-9, 1.0 - 1e-9):
        most = Most(seconds)
        for t in times:
            most.add(t)
        assert most.count == by_hand(times, seconds)


def test_rounding_puts_no_call_into_the_second_before() -> None:
    """0.1 ten times is less than 1 by a bit."""
    tally, now = Tally(), 0.0
    for _ in range(100):
        tally.release(now, now, 10.0, 10.0, now, False)
        now += 0.1
    assert tally.in_1s.count == 10
    assert tally.in_10ms.count == 1


def test_the_ceiling_of_late_auto() -> None:
    assert [ceiling(rate) for rate in (0.2, 10.0, 100.0, math.inf)] == [2.2, 12.0, 111.0, math.inf]


@pytest.mark.parametrize(
    ("target", "shown"), [(20.0, "wanted 20.00; off"), (500.0, "wanted 20.00, now 500.0; off")]
)
def test_the_wanted_rate_at_the_end_is_shown_where_it_is_another(target: float, shown: str) -> None:
    numbers: dict[str, Any] = NUMBERS | {"wanted": 20.0, "target": target, "verdict": ""}
    assert shown in str(Report(**numbers))


# Runs.


def paced(
    n: int, tps: float, body: float | Callable[[int], float], items: Any = None, **options: Any
) -> Report:
    """A loop on a virtual clock whose calls take that long, s."""
    clock = VirtualClock()
    live = throttle(range(n) if items is None else items(clock), tps, clock=clock, **options)
    for k in live:
        clock.set(clock.time() + (body(k) if callable(body) else body))
    return live.report()


def test_one_call_at_a_time_is_named_also_when_a_law_held_back() -> None:
    # 1 / 0.114 s = 8.77 a second; 0.114 s * 50/s = 5.7 calls at once.
    line = "one call at a time takes 114 ms: at most 8.77 a second; use workers=6 (run)"
    unheard = "no outcome was reported, so headroom could see no refusal: pass responses to see()"
    # a plain loop
    assert paced(200, 50.0, 0.114, controller="auto").verdict == f"{line}; {unheard}"
    assert paced(200, 50.0, 0.114).verdict.startswith(line)


def test_a_slow_call_every_now_and_then_is_on_pace() -> None:
    assert paced(100, 10.0, lambda k: 0.09 if k % 2 else 0.01).verdict == "on pace, 10.00/s"


def test_a_stall_that_is_caught_up_shows_as_a_burst() -> None:
    """Call 500 lasts from 5 to 8 s: 501 to 800 leave at 8 s, and 801 to 899 before 9 s."""
    report = paced(1000, 100.0, lambda k: 3.0 if k == 500 else 0.0, late="burst")
    assert report.most_in_1s == 399
    assert "; up to 399 calls were released in one second" in report.verdict
    assert not report.verdict.startswith("on pace")


class StallingClock(VirtualClock):
    """The wait for 3 s ends at 6 s: the process was stopped meanwhile."""

    def wait(self, deadline: float, spin: float) -> float:
        at = super().wait(deadline, spin)
        if 2.995 < at < 3.005:
            self.set(6.0)
        return self.time()


def test_who_waits_in_line_while_the_process_stands_still_has_asked() -> None:
    """The slot of 3.00 s comes at 6.00 s, of which 0.1 s are made up for: 290 slots. 699 in 9.89
    s.
    """
    limiter = Limiter(100.0, clock=StallingClock())
    for _ in range(700):
        with limiter:
            pass
    lost = "2.9 s of the schedule, 290 slots, were not made up for: this process was stopped"
    assert limiter.report().verdict == f"71 of 100/s: {lost}"


def test_who_asks_too_seldom_is_named_beside_a_short_stop() -> None:
    """10 s of 19 were lost: 9 to those who did not ask and 1 to the machine, and the other way
    round.
    """
    how = Setting(
        wanted=100.0, on_demand=True, body=0.01, call=0.001, lost=(0.0, 0.0, 9.0, 1.0, 0.0)
    )
    numbers = {"rate": 47.4, "seconds": 19.0, "released": 900.0, "most_in_flight": 1.0}
    assert said(how, **numbers, lost=10.0).startswith("nobody asked for more: 47 of 100 a second")
    stopped = said(
        how._replace(lost=(0.0, 0.0, 1.0, 9.0, 0.0)), **numbers, lost=10.0, skipped=1000.0
    )
    assert stopped.startswith("47 of 100/s: 10 s of the schedule, 1,000 slots, were not made up")


def test_slots_that_are_skipped_are_lost_to_the_caller() -> None:
    """Call 500 lasts from 5 to 8 s: of the slots of 5.01 to 8 s one is used then, 299 are
    skipped.
    """
    report = paced(700, 100.0, lambda k: 3.0 if k == 500 else 0.0, late="skip")
    assert report.skipped == pytest.approx(299.0)
    assert report.lost == pytest.approx(2.99)
    assert "calls take longer than their slot, 299 slots given up" in report.verdict


def test_slots_that_are_skipped_while_the_source_is_empty() -> None:
    def source(clock: VirtualClock) -> Iterator[int]:
        for k in range(700):
            if k == 500:
                clock.set(clock.time() + 3.0)
            yield k

    report = paced(700, 100.0, 0.0, source, late="skip")
    # The 500th was due at 5.00 s and its item came 3 s after 4.99 s.
    assert report.lost == pytest.approx(2.99)
    rate = f"{report.rate:.2g} of 100/s"  # 699 in 9.98 s
    assert (
        report.verdict
        == f"{rate}: 2.99 s of the schedule, 299 slots, were not made up for: the source was empty"
    )


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_wait_for_retries_is_not_an_empty_source(asynchronous: bool) -> None:
    """Calls 0 to 19 leave from 0 to 0.19 s; the fifth fails at 0.05 s and is tried again 5 s later.
    Its retry leaves at 5.05 s instead of 0.2 s, of which 0.1 s are made up for: 475 slots."""
    report = _once_in_trouble(ValueError("5"), asynchronous, Retry(attempts=1.0, base=5.0))
    why = "the calls waited for their retries, as the service or the policy asked"
    lost = f"4 of 100/s: 4.75 s of the schedule, 475 slots, were not made up for: {why}"
    assert report.verdict == f"{lost}; 5 % of the calls failed"
    assert report.fetching == pytest.approx(0.0, abs=1e-9)


def _once_in_trouble(error: Exception, asynchronous: bool, retries: Any) -> Report:
    """Twenty calls, 100 a second; the fifth raises that the first time."""
    clock = VirtualClock()
    asked: list[int] = []

    def call(k: int) -> None:
        if k == 5 and not asked:
            asked.append(k)
            raise error

    async def task(k: int) -> None:
        call(k)

    if asynchronous:
        return asyncio.run(arun(task, range(20), 100.0, clock=clock, retries=retries)).report
    return run(call, range(20), 100.0, workers=0, clock=clock, retries=retries).report


@pytest.mark.parametrize("asynchronous", [False, True])
def test_retry_after_holds_all_calls_back_and_the_report_says_so(asynchronous: bool) -> None:
    """Refused at 0.05 s, for 5 s: call 6 leaves at 5.05 s instead of 0.06 s."""
    report = _once_in_trouble(Rejected("429", retry_after=5.0), asynchronous, 1)
    assert (report.retry_after_held, report.quota_held) == (1, 0)
    assert report.retry_after_wait == pytest.approx(4.99)
    why = "Retry-After of the service held calls back once, for 4.99 s"
    refused = "5 % of the calls were refused by the service (429, 503)"
    assert report.verdict == f"3.9 of 100 a second: {why}; {refused}"
    assert "\n  held back once for 4.99 s by Retry-After of the service" in str(report)


def test_what_holds_up_the_event_loop_is_not_the_iterables_doing() -> None:
    """Each call holds up the loop for 30 ms, and the items are a list, of which `next` takes no
    time.
    """
    clock = VirtualClock()

    async def task(_: int) -> None:
        clock.set(clock.time() + 0.03)

    report = asyncio.run(arun(task, range(100), 100.0, clock=clock, retries=1)).report
    assert report.fetching == 0.0
    assert "source" not in report.verdict
    assert "iterable" not in report.verdict

    def slow() -> Iterator[int]:
        for k in range(100):
            clock.set(clock.time() + 0.02)
            yield k

    async def quick(_: int) -> None: ...

    report = asyncio.run(arun(quick, slow(), 100.0, clock=clock, retries=1)).report
    assert report.fetching == pytest.approx(1.0)
    # 99 times 20 ms: the schedule begins with the first
    each = "0 us of code a call and 19.8 ms for its item"
    assert report.verdict.startswith(f"limited by the iterable: {each}")


def test_the_sums_agree() -> None:
    clock = VirtualClock()
    live = throttle(range(60), 100.0, clock=clock)
    hand: list[Permit] = []
    for k, permit in live.permits():
        if k >= 50:
            hand.append(permit)
        elif k % 5 == 0:
            permit.drop(timed_out=True)
        else:
            (permit.done, permit.fail, permit.drop, permit.forget)[k % 5 - 1]()
    report = live.report()
    counts = [
        report.ok,
        report.errors,
        report.timed_out,
        report.refused_by_service,
        report.forgotten,
    ]
    assert counts == [10, 30, 10, 10, 10]
    assert report.drops == 20
    assert report.in_flight == report.most_in_flight == 10
    assert report.released == report.ok + report.errors + report.forgotten + report.in_flight


def test_a_call_begins_once_and_its_wait_counts() -> None:
    clock = VirtualClock()
    live = throttle(range(4), 4.0, clock=clock)
    waiting: list[Permit] = []
    for _, permit in live.permits():
        waiting.append(permit)
    for (
        permit
    ) in waiting:  # released at 0, 0.25, 0.5, 0.75; one worker takes them every 2 s from 2 s on
        clock.set(clock.time() + 1.25 if permit is waiting[0] else clock.time())
        permit.begin()
        permit.begin()
        clock.set(clock.time() + 2.0)
        permit.done()
        permit.begin()
    report = live.report()
    assert report.begun == 4
    assert report.begun_rate == pytest.approx(0.5)
    # Waits of 2, 3.75, 5.5, 7.25 s, in bins of 1/32 octave.
    assert report.wait_p50 == pytest.approx(3.75, rel=0.016)
    assert report.wait_p99 == pytest.approx(7.25, rel=0.016)
    assert report.service_mean == pytest.approx(2.0)
    assert report.rate_error == pytest.approx(1.0 - 0.5 / 4.0)


def test_a_pool_that_is_too_small_fails_on_what_began() -> None:
    """Live, without a figure that hangs on time: the workers are held until all has been
    released.
    """
    import threading

    released = threading.Event()

    def items() -> Iterator[int]:
        yield from range(50)
        released.set()

    done = run(lambda _: released.wait(10.0), items(), 200.0, workers=2)
    report = done.report
    assert report.begun == 50
    assert report.verdict.startswith("limited by the workers: 2 workers were busy ")
    assert report.released == report.ok == 50


def test_tasks_that_wait_for_their_turn() -> None:
    async def main() -> Report:
        released = asyncio.Event()

        def items() -> Iterator[int]:
            yield from range(50)
            released.set()

        async def call(_: int) -> None:
            await released.wait()

        return (await arun(call, items(), 200.0, max_in_flight=2)).report

    report = asyncio.run(main())
    assert report.begun == report.ok == 50
    assert report.verdict.startswith("limited by max_in_flight=2, of which ")


def test_refusals_come_first_in_a_run() -> None:
    def call(k: int) -> None:
        if k % 25 < 11:
            raise Rejected("429")

    report = run(call, range(100), 2000.0, workers=0).report
    assert report.verdict.startswith("44 % of the calls were refused by the service (429, 503); ")


def test_a_law_that_refuses_here_in_a_run() -> None:
    report = paced(1000, 100.0, 0.0, controller=SetOnce(math.inf, math.inf, 0.5))
    assert report.verdict.startswith("held back by SetOnce: it refused 49 % of the slots here, ")


def test_a_rate_below_one_has_four_digits() -> None:
    numbers: dict[str, Any] = NUMBERS | {"verdict": ""}
    text = str(Report(**numbers | {"rate": 0.0333, "commanded": 1 / 30, "wanted": 1 / 30}))
    assert ": 0.03330/s (commanded 0.03333, wanted 0.03333, now 100.0; " in text
    slow = Report(**numbers | {"rate": 0.005, "target": 0.005, "wanted": 0.005})
    assert " at 0.005000/s; " in repr(slow)
    assert ": 0.005000/s (commanded 100.0, wanted 0.005000; " in str(slow)


def test_a_slope_is_printed_only_where_no_slot_was_given_up() -> None:
    """Call 50 lasts from 5 to 7 s, which leaves a lag of 0.1 s or less: a step, and no slope."""
    one_slow_call = paced(100, 10.0, lambda k: 2.0 if k == 50 else 0.0)
    assert one_slow_call.skipped > 0.0
    assert "drift" not in str(one_slow_call)
    assert "; drift 0.00 ppm\n" in str(paced(100, 10.0, 0.0))


def test_the_report_prints_no_nan() -> None:
    for n in (0, 1, 2):
        report = paced(n, 10.0, 0.0)
        assert "nan" not in str(report), str(report)
        assert "nan" not in repr(report)


@pytest.mark.parametrize("name", CONTROLLERS)
def test_a_law_says_why_of_numbers_that_exist(name: str) -> None:
    """Another wanted rate is an observation of no call: no latency, and no sentence about one."""
    clock = VirtualClock()
    live = throttle(range(20), 10.0, clock=clock, controller=name)
    for k in live:
        clock.set(clock.time() + 0.01)
        if k % 5 == 4:
            live.tps = 5.0 if k % 10 == 4 else 20.0
        assert "nan" not in live.why()


def test_the_command_line_is_advised_in_its_own_options() -> None:
    """As two tests above; and with tasks: 0.1 s a call, 50 a second, so 5 at once are too few by
    one.
    """
    how = Setting(wanted=0.2, body=4.8, lost=(0.0, 0.0, 60.0, 0.0), from_verb=True)
    numbers = {"rate": 0.19, "commanded": 0.2, "target": 0.2, "lost": 60.0, "skipped": 12.0}
    numbers |= {"seconds": 1000.0, "most_in_flight": 1.0, "released": 190.0, "ok": 190.0}
    line = "calls take longer than their slot, 12 slots given up; --workers 2 or --late burst"
    assert said(how, **numbers) == f"0.19 of 0.2/s: {line}"
    tasks = said(how._replace(tasks=True), **numbers)
    assert tasks.endswith("; --max-in-flight 2 or --late burst")
