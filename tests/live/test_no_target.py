"""`tps=inf`: no rate is wanted, so calls go out at once, or as a law allows."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tpssim import Limiter, athrottle, run, throttle
from tpssim.controllers import CONTROLLERS
from tpssim.core.clocks import VirtualClock
from tpssim.core.errors import InputError
from tpssim.live.events import events
from tpssim.live.playback import play, read_journal

ABLE = [name for name, law in CONTROLLERS.items() if not law.needs_target]


def test_a_fixed_rate_releases_at_once() -> None:
    clock = VirtualClock()
    assert [clock.time() for _ in throttle(range(1000), math.inf, clock=clock)] == [0.0] * 1000


def test_so_does_the_asynchronous_one() -> None:
    async def main() -> list[float]:
        clock = VirtualClock()
        return [clock.time() async for _ in athrottle(range(100), math.inf, clock=clock)]

    assert asyncio.run(main()) == [0.0] * 100


def test_a_rate_that_is_wanted_later_holds_from_then_on() -> None:
    clock = VirtualClock()
    paced = throttle(range(12), math.inf, clock=clock)
    seen = []
    for k in paced:
        seen.append(clock.time())
        if k == 2:
            clock.set(3600.0)
            paced.tps = 50.0
        if k == 9:
            paced.tps = math.inf
    # The call that is due, and the five of the last 0.1 s; then one every 20 ms, and at last at
    # once.
    assert seen == pytest.approx([0.0] * 3 + [3600.0] * 6 + [3600.02] + [3600.02] * 2, rel=1e-9)


@pytest.mark.parametrize("name", ABLE)
def test_a_law_that_finds_its_rate_works(name: str) -> None:
    clock = VirtualClock()
    paced = throttle(range(300), math.inf, controller=name, clock=clock)
    for _ in paced:
        clock.set(clock.time() + 0.01)
    assert paced.report().released == 300
    assert clock.time() < 20.0


def test_a_limit_holds_back() -> None:
    clock = VirtualClock()
    paced = throttle(
        range(99), math.inf, controller="netflix-aimd:initial=10", clock=clock
    ).permits()
    for _ in range(10):
        next(paced)
    assert clock.time() == 0.0


@pytest.mark.parametrize("name", [name for name in CONTROLLERS if name not in ABLE])
def test_a_law_that_starts_from_the_target_refuses(name: str) -> None:
    with pytest.raises(
        InputError, match=rf"^tps=inf with {name}, which .*one of fixed, headroom"
    ) as error:
        throttle("abc", math.inf, controller=name)
    assert "\n" not in str(error.value)
    paced = throttle("abc", 5.0, controller=name)
    with pytest.raises(InputError, match="tps=inf"):
        paced.tps = math.inf
    assert paced.tps == 5.0


def test_a_recording_of_it_is_played_back(tmp_path: Path) -> None:
    path = tmp_path / "run.ndjson"
    clock = VirtualClock()
    paced = throttle(range(9), math.inf, controller="headroom", clock=clock, record=path)
    for k in paced:
        clock.set(clock.time() + 0.01)
        if k == 3:
            paced.tps = 20.0
        if k == 5:
            paced.tps = math.inf
    lines = path.read_text()
    assert '"tps": null' in lines
    assert "Infinity" not in lines
    header, start, *_ = events(path)
    assert (header["tps"], start["tps"]) == (None, None)
    played = play(read_journal(path))
    assert (played.difference, len(played.calls)) == ("", 9)


@pytest.mark.parametrize("tps", [0.0, -1.0, math.nan, -math.inf, True, "1"])
def test_what_is_no_rate_is_refused(tps: float) -> None:
    with pytest.raises(InputError, match=r"allowed: a number in \(0, inf\]"):
        throttle("abc", tps)


def test_a_report_has_no_lateness_where_no_rate_is_wanted() -> None:
    limiter = Limiter(math.inf)
    for _ in range(5):
        with limiter:
            time.sleep(0.002)
    verdict = limiter.report().verdict
    assert "late" not in verdict
    assert "on pace" not in verdict
    assert "one call at a time takes" in verdict


def test_workers_that_are_too_few_for_no_rate_are_named_without_a_number_that_would_do() -> None:
    verdict = run(lambda _: time.sleep(0.002), range(30), math.inf, workers=2).report.verdict
    assert verdict.startswith("limited by the workers: 2 workers")
    assert "would do" not in verdict


@pytest.mark.parametrize(
    "code",
    [
        "limiter = tpssim.Limiter(50)\nwith limiter: pass",
        "it = tpssim.throttle('abc', 50)\nnext(it)",
    ],
)
def test_what_is_open_at_the_end_of_the_program_says_nothing(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import tpssim\n{code}"], capture_output=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
