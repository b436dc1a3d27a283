"""Live runs of calls that cost: the law counts calls; recordings are played back to the bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tpssim import InputError, Limiter, throttle
from tpssim.controllers import CONTROLLERS
from tpssim.core.clocks import VirtualClock
from tpssim.core.schedule import late_policy
from tpssim.live.playback import Playback, play, read_journal

RATES = ["headroom", "aimd", "ewma-deadzone", "pid", "bbr", "spark-pid", "firestore-ramp"]


def served(clock: VirtualClock, k: int) -> None:
    """Calls take from 5 to 65 ms, and some 0.3 s."""
    clock.wait(clock.time() + (0.3 if k % 17 == 9 else 0.005 + 0.01 * (k % 7)), 0.0)


def ran(path: Path, tps: float, law: str, cost: Any, late: str = "auto") -> list[float]:
    """When 120 calls were released; with a change of the target on the way."""
    clock, times = VirtualClock(), list[float]()
    handle = throttle(
        range(120), tps, controller=law, clock=clock, record=path, cost=cost, late=late
    )
    for k, permit in handle.permits():
        times.append(permit.released)
        served(clock, k)
        if k % 11 == 5:
            permit.drop()
        else:
            permit.done()
        if k == 60:
            handle.tps = tps / 2.0
    handle.close()
    return times


def played(path: Path) -> Playback:
    found = play(read_journal(path))
    assert found.difference == ""
    return found


@pytest.mark.parametrize("law", sorted(CONTROLLERS))
@pytest.mark.parametrize("late", ["auto", "skip"])
def test_live_calls_of_one_cost_run_as_calls_that_count_one(
    law: str, late: str, tmp_path: Path
) -> None:
    """A power of two rounds nothing: the same releases, and the law commands the same calls."""
    plain = ran(tmp_path / "plain.ndjson", 30.0, law, 1.0, late)
    costly = ran(tmp_path / "costly.ndjson", 30.0 * 64.0, law, 64, late)
    assert plain == costly
    calls, others = (
        played(tmp_path / "plain.ndjson").calls,
        played(tmp_path / "costly.ndjson").calls,
    )
    assert [64.0 * call.rate for call in calls] == [call.rate for call in others]


COSTS: list[Callable[[int], float]] = [
    lambda k: 400.0,
    lambda k: 100.0 + 300.0 * (k % 3),
    lambda k: 1.0 if k < 30 else 900.0,
    lambda k: 0.0 if k % 2 else 700.0,
]


@pytest.mark.parametrize("law", RATES)
@pytest.mark.parametrize("cost", range(len(COSTS)))
@pytest.mark.parametrize("late", ["auto", "skip", "capped(3)"])
def test_costs_that_turn_out_are_played_back_to_the_bit(
    law: str, cost: int, late: str, tmp_path: Path
) -> None:
    path = tmp_path / "run.ndjson"
    times = ran(path, 10_000.0, law, COSTS[cost], late)
    header = json.loads(path.read_text(encoding="utf-8").splitlines()[0])
    assert header["mean_cost"] == "recent"
    calls = played(path).calls
    start = read_journal(path).start["t"]
    assert [call.released + start for call in calls] == pytest.approx(times)


def test_a_limiter_knows_the_mean_of_what_it_is_asked_for(tmp_path: Path) -> None:
    """100 calls a second by a law that finds one slow: 4 s of calls of 40 ms, one at a time."""
    clock, path = VirtualClock(), tmp_path / "run.ndjson"
    limiter = Limiter(50_000.0, controller="aimd", clock=clock, record=path)
    for k in range(100):
        with limiter.acquire(cost=400.0 + 200.0 * (k % 2)):
            served(clock, k)
    limiter.close()
    pacer = played(path).pacer
    assert pacer.mean_cost == pytest.approx(500.0)
    assert pacer.observation is not None
    assert pacer.observation.target == pytest.approx(100.0, rel=0.05)
    assert 1.0 <= pacer.state.rate < 100.0


def test_a_law_with_costs_is_not_slower_than_the_calls_are() -> None:
    """Calls of 20 ms allow 50 a second, of which 20 are wanted: 10,000 of cost, 500 a call. What
    a law finds in calls was once taken for cost, and it stood nearly still."""
    for law in RATES:
        clock = VirtualClock()
        handle = throttle(range(200), 10_000.0, controller=law, cost=500, clock=clock)
        for _ in handle:
            clock.wait(clock.time() + 0.02, 0.0)
        assert handle.report().rate > 0.9 * 20.0, law


def test_the_monitor_shows_calls() -> None:
    clock = VirtualClock()
    handle = throttle(range(50), 2000.0, controller="aimd", cost=500, clock=clock)
    next(handle)
    numbers = handle.flow.glimpse()[0]
    assert (numbers["tps"], numbers["rate"]) == (4.0, 4.0)


def test_old_recordings_and_bad_ones(tmp_path: Path) -> None:
    path = tmp_path / "run.ndjson"
    ran(path, 10_000.0, "aimd", 400)
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    header = json.loads(lines[0])
    assert header["mean_cost"] == 400.0
    for wrong in ("lately", -1.0, True, None):
        path.write_text(json.dumps(header | {"mean_cost": wrong}) + "\n" + "".join(lines[1:]))
        with pytest.raises(InputError, match=r"line 1 of the recording: mean_cost=.*'recent'"):
            play(read_journal(path))
    # Before laws counted calls, each counted as 1, and a recording said nothing of it.
    del header["mean_cost"]
    path.write_text(json.dumps(header) + "\n" + "".join(lines[1:]))
    assert "found (10000.0" in play(read_journal(path)).difference
    assert late_policy(header["late"])
