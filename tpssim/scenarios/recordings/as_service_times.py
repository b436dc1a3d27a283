"""A recording of overlapping calls as service times: how long those took that went well."""

from __future__ import annotations

import math

import numpy as np

from tpssim.core.errors import InputError
from tpssim.core.types import OK, OUTCOMES
from tpssim.scenarios.recordings import ServiceTimes
from tpssim.scenarios.recordings.calls import Recording
from tpssim.scenarios.recordings.outcomes import LeftOut


def service_times_of(recording: Recording, shown: str) -> ServiceTimes:
    """In the order of their starts; raises `InputError` where no call went well.

    >>> seen = Recording.of([0.0, 1.0, 1.5], [0.5, 3.0, 1.6], [OK, OK, 1])
    >>> found = service_times_of(seen, "trace")
    >>> [round(time, 9) for time in found.times], found.left_out.rows, round(found.overlap, 3)
    ([0.5, 2.0], 1, 0.333)
    """
    well = recording.outcome == OK
    if not well.any():
        raise InputError(f"{shown}: no call went well; allowed: at least one that did")
    codes, counts = np.unique(recording.outcome[~well], return_counts=True)
    kinds = {OUTCOMES[code]: int(count) for code, count in zip(codes, counts, strict=True)}
    source = recording.source
    return ServiceTimes(
        tuple(recording.latency[well].tolist()),
        column="latency",
        unit="s",
        because=f"as {source.format} has it",
        first="",
        commas=False,
        failed=0,
        first_failed="",
        left_out=LeftOut(("outcome",), tuple(sorted(kinds.items(), key=lambda kind: -kind[1]))),
        ignored=(),
        overlap=overlap(recording),
        costs=() if recording.cost is None else tuple(recording.cost[well].tolist()),
        notes=_notes(recording),
    )


def _notes(recording: Recording) -> tuple[str, ...]:
    source = recording.source
    if not source.unreadable:
        return source.notes
    lost = f"{source.unreadable:,} rows cannot be read ({source.first_unreadable})"
    return (lost, *source.notes)


def overlap(recording: Recording) -> float:
    """The share of calls that started before all earlier ones had completed."""
    ended = np.maximum.accumulate(np.fmax(recording.completion, -math.inf))
    return float((recording.start[1:] < ended[:-1]).sum()) / len(recording)
