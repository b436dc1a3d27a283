"""What the picture of a live run shows, from its recording."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tpssim.core.profiles import Stages
from tpssim.core.types import REFUSED
from tpssim.experiments.replay import columns_of
from tpssim.live.playback import Call, Journal, wanted_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tpssim.output.plots import LiveRun

    Array = NDArray[np.float64]

STEPS = 64  # of a profile


def live_run(recording: Journal, calls: list[Call]) -> LiveRun:
    """What the picture of a live run shows, of the slots that were released or refused here."""
    from tpssim.output.plots import LiveRun

    begin = float(recording.start["t"])
    made = [call for call in calls if not math.isnan(call.released)]
    columns, refused = columns_of(made), columns_of([c for c in calls if c.outcome == REFUSED])
    changes = [recording.start, *(event for event in recording.events if event["e"] == "tps")]
    ceiling = [level for event in changes for level in _levels(event, begin)]
    last = max(event["t"] for event in recording.events) - begin
    columns["rate"] = _as_wanted(columns["rate"], columns["released"], changes, begin)
    names = ("released", "outcome", "latency", "rate", "limit", "in_flight")
    costly = bool((columns["cost"] != 1.0).any() or (refused["cost"] != 1.0).any())
    return LiveRun(
        **{name: columns[name] for name in names},
        ceiling=ceiling,
        duration=max(last, 1e-6),
        cost=columns["cost"] if costly else None,
        refused_here=refused["scheduled"],
        refused_here_cost=refused["cost"] if costly else None,
    )


def _as_wanted(
    rate: Array, released: Array, changes: Sequence[Mapping[str, Any]], begin: float
) -> Array:
    """A commanded rate, at most what was wanted at each release: a law begins a profile with the
    most of it. One that is open stays so.
    """
    starts = [float(event["t"]) - begin for event in changes]
    wanted = [wanted_of(event) for event in changes]
    places = np.maximum(np.searchsorted(starts, released, side="right") - 1, 0)
    most = [
        level.at(at - starts[place]) if isinstance(level := wanted[place], Stages) else level
        for place, at in zip(places.tolist(), released.tolist(), strict=True)
    ]
    shown: Array = np.where(np.isfinite(rate), np.minimum(rate, most), rate)
    return shown


def _levels(event: Mapping[str, Any], begin: float) -> list[tuple[float, float]]:
    """From when on which rate was wanted, by one event; a profile in steps."""
    since = float(event["t"]) - begin
    wanted = wanted_of(event)
    if not isinstance(wanted, Stages):
        return [(since, wanted)]
    width = wanted.duration / STEPS
    steps = [(since + i * width, wanted.at((i + 0.5) * width)) for i in range(STEPS)]
    return [*steps, (since + wanted.duration, 0.0)]
