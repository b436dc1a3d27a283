"""What answers ask a caller to wait stands in the recording, and is read back from it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tpssim import InputError, read_recording, throttle
from tpssim.core.clocks import VirtualClock
from tpssim.experiments.counterfactual import recording_of
from tpssim.live.playback import play, read_journal


def recorded(path: Path) -> list[dict[str, Any]]:
    """Ten calls a second; every fourth is refused and asks for half a second, one for none."""
    calls = throttle(range(12), 10.0, clock=VirtualClock(), record=path, controller="aimd")
    for i, permit in calls.permits():
        if i % 4 == 1:
            permit.refused(retry_after=0.5)
        elif i == 6:
            permit.refused()
        else:
            permit.done()
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_waits_are_written_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "run.ndjson"
    ends = [event for event in recorded(path) if event["e"] == "end"]
    asked = [event.get("retry_after") for event in ends]
    assert asked == [0.5 if i % 4 == 1 else None for i in range(12)]
    expected = [0.5 if i % 4 == 1 else math.nan for i in range(12)]
    seen = read_recording(path)
    assert seen.retry_after is not None
    np.testing.assert_array_equal(seen.retry_after, expected)
    back = play(read_journal(path))
    assert back.difference == ""  # decided again as live, where no release came in that time
    again = recording_of(back.calls)
    assert again.retry_after is not None
    np.testing.assert_array_equal(again.retry_after, expected)
    # After a wait that was asked for nothing is released for so long.
    assert np.diff(seen.start)[1::4].min() >= 0.5


def test_a_recording_of_before_is_read_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "run.ndjson"
    for event in (events := recorded(path)):
        event.pop("retry_after", None)
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    assert read_recording(path).retry_after is None
    assert play(read_journal(path)).difference == ""


def test_a_wait_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.ndjson"
    text = "".join(json.dumps(event) + "\n" for event in recorded(path))
    path.write_text(text.replace('"retry_after": 0.5', '"retry_after": -1', 1))
    with pytest.raises(InputError, match=r"retry_after=-1; allowed: a finite number of 0 or more"):
        read_journal(path)
