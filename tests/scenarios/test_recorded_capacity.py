"""What is achievable of a recorded service is read from the recording, moment by moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tpssim import simulate
from tpssim.output.pictures import read_picture
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant, Recorded

#: 2 s of calls of 10 ms, then 2 s of calls of 40 ms, again and again: its mean, 16 ms, is of no
#: moment.
SERVICE = Recorded((0.01,) * 200 + (0.04,) * 50, "halves")
ARENA = Scenario("halves", SERVICE, target=80.0, duration=12.0)


def levels(law: str, arena: Scenario = ARENA) -> np.ndarray:
    return np.array([rate for _, _, rate in simulate(arena, law).frame()[0]])


def test_it_is_the_target_while_the_recording_is_fast_and_25_a_second_while_it_is_slow() -> None:
    seen = levels("fixed")
    assert len(seen) == 120
    at_ends = np.isclose(seen, 80.0) | np.isclose(seen, 25.0)
    assert at_ends.mean() > 0.8  # all but the bins in which it turns
    assert 0.2 < np.isclose(seen, 25.0).mean() < 0.75
    assert seen.max() <= 80.0
    assert seen.min() == pytest.approx(25.0)


def test_nobody_delivers_more_than_was_achievable() -> None:
    arena = ARENA._replace(target=1000.0)
    trace = simulate(arena, "fixed")
    done = np.histogram(trace.completed, np.linspace(0.0, 12.0, 121))[0] / 0.1
    # a call more or less at either end of 0.1 s
    assert np.abs(done - levels("fixed", arena)).max() <= 30.0
    assert done.max() == pytest.approx(100.0, abs=10.1)


def test_a_law_that_calls_rarely_meets_the_slow_part_later() -> None:
    assert np.isclose(levels("fixed")[:60], 25.0).any()
    slow = levels("fixed", ARENA._replace(target=10.0))
    assert slow.max() == slow.min() == 10.0  # what is wanted is below both


def test_the_picture_that_is_kept_shows_the_same(tmp_path: Path) -> None:
    trace = simulate(ARENA, "headroom")
    trace.to_npz(tmp_path / "run.npz")
    found = read_picture(tmp_path / "run.npz")
    assert found is not None
    panel, frame, _ = found
    assert [tuple(step) for step in panel.steps] == trace.frame()[0]
    assert list(frame.steps) == list(panel.steps)


def test_any_other_service_has_the_frame_of_its_scenario() -> None:
    arena = ARENA._replace(service=Constant(0.02))
    assert simulate(arena, "fixed").frame()[0] == [(0.0, 12.0, 50.0)]
    assert simulate(arena, "fixed").panel("").steps == []
