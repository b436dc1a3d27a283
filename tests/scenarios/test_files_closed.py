"""A recording that is refused half-way leaves no file open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tpssim
from tpssim import InputError
from tpssim.scenarios.recordings import read_service_times
from tpssim.scenarios.recordings.arrivals import read_arrivals
from tpssim.scenarios.recordings.texts import Text

BAD = "0.1,no\n"


@pytest.mark.parametrize(
    ("read", "rows"),
    [
        (read_service_times, BAD * 20_000),
        (read_arrivals, "1e999,1\n" * 20_000),
        (tpssim.read_recording, "soon,0.2\n" * 20_000),
    ],
)
def test_what_is_refused_half_way_is_closed_at_once(
    read: Callable[[Path], Any], rows: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts: list[Any] = []
    begin: Any = Text.__init__

    def noted(self: Text, *args: Any) -> None:
        texts.append(self)
        begin(self, *args)

    monkeypatch.setattr(Text, "__init__", noted)
    path = tmp_path / "calls.csv"
    path.write_text(f"start,latency\n{rows}")
    with pytest.raises(InputError):
        read(path)
    walks = [walk for text in texts for walk in text._walks]
    assert walks
    assert [walk.gi_frame for walk in walks] == [None] * len(walks)
