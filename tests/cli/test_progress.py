"""What is printed while a command works: how much is done, and how long the rest takes."""

from __future__ import annotations

from typing import Any

import pytest

import tpssim
from tpssim.cli.commands.progress import Progress


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("tpssim.cli.commands.progress.time.monotonic", made.monotonic)
    return made


def test_time_left_is_computed_from_the_work_done(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four pairs that take 2, 2, 2 and 12 s: after three of them 12 s are left, and not 2."""
    progress = Progress("pairs")
    for done in (1, 2, 3):
        clock.now += 2.0
        progress.weighed(done, 4, done / 9.0)
    assert capsys.readouterr().err.splitlines()[-1].endswith("3 of 4 pairs, about 12 s left")


def test_nothing_is_said_of_the_time_left_before_it_can_be_known(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    """A hundred runs; the first four compile for 60 s each, the others take 1 s.

    Of the 99 after the first a fifth is 20: until 21 are done nothing. The later half of these are
    those from the 11th on, at 1 s each: what is said, once every two seconds, is so.
    """
    progress = Progress("runs")
    for done in range(1, 101):
        clock.now += 60.0 if done <= 4 else 1.0
        progress(done, 100)
    lines = [line for line in capsys.readouterr().err.splitlines() if "left" in line]
    assert lines[0] == "22 of 100 runs, about 78 s left"
    assert all(line.endswith(f", about {100 - int(line.split()[0])} s left") for line in lines), (
        "and it falls second by second"
    )


def test_runs_that_were_kept_say_nothing_of_the_pace(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    """900 of 1000 were there before: the next one, in 3 s, is not the pace; a fifth of 100 is."""
    progress = Progress("runs")
    progress(900, 1000)
    clock.now = 3.0
    progress(901, 1000)
    clock.now = 23.0
    progress(920, 1000)
    assert capsys.readouterr().err.splitlines() == [
        "901 of 1,000 runs",
        "920 of 1,000 runs, about 84 s left",  # 80 x (23 - 3) / 19
    ]


def test_things_of_one_size_are_counted(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """Ten a second since the first, 80 of 100 left: 8 s."""
    progress = Progress("runs")
    progress(0, 100)
    clock.now = 2.0
    progress(20, 100)
    assert capsys.readouterr().err == "20 of 100 runs, about 8 s left\n"


def test_pairs_are_shown_as_their_runs(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """Of nine pairs of five runs four are done after 48 s, 12 s each; the first was done at 0 s."""
    progress = Progress("runs", 5)
    progress.weighed(1, 9, 1 / 9)
    clock.now = 36.0
    progress.weighed(4, 9, 4 / 9)
    assert capsys.readouterr().err == "20 of 45 runs, about 60 s left\n"


def progress_of(scenarios: list[Any], controllers: list[str]) -> list[tuple[int, int, float]]:
    found: list[tuple[int, int, float]] = []
    tpssim.compare(
        scenarios, controllers, replications=1, progress=lambda *args: found.append(args)
    )
    return found


def test_a_pair_counts_by_its_calls() -> None:
    # 100 a second for 2 s and for 6 s.
    assert progress_of(["blocking-steady:duration=2", "blocking-steady:duration=6"], ["aimd"]) == [
        (1, 2, 0.25),
        (2, 2, 1.0),
    ]


def test_a_call_that_is_not_compiled_counts_for_a_hundred() -> None:
    pytest.importorskip("numba", reason="nothing is compiled without numba")
    # 100 a second for 2 s in the compiled loop, then as many by code that waits by itself.
    found = progress_of(["blocking-steady:duration=2"], ["aimd", "printed-sleep"])
    assert [share for _, _, share in found] == pytest.approx([200.0 / (200.0 + 100.0 * 200.0), 1.0])
