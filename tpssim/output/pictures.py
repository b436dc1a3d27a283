"""What is drawn of a run: its columns as a panel of a picture, from memory or from its file."""

from __future__ import annotations

import json
import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim.core.errors import InputError
from tpssim.core.slots import piece_at, target_at
from tpssim.core.types import OK, REFUSED, REJECTED, record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Columns = Mapping[str, "NDArray[Any]"]
Spans = Sequence[tuple[float, float]]
Points = tuple[Sequence[float], Sequence[float]]

POINTS = 1000  # of the commanded rate; more than a panel has pixels


@record
class Panel(NamedTuple):
    """One run: the commanded rate, 1/s, and limit, calls, at times t, s; nan: none.

    When calls were completed, s: all, and by producer.
    """

    title: str
    t: Array
    commanded: Array
    completed: Array
    each: Sequence[Array] = ()
    limit: Array | None = None
    steps: Sequence[
        tuple[float, float, float]
    ] = ()  #: (start, end, achievable) of this run, if it has its own
    costs: Array | None = None  #: what each completed call counts; None: 1
    each_costs: Sequence[Array] = ()
    refused: Array | None = None  #: when calls were released that the service refused, s
    refused_costs: Array | None = None
    refused_here: Array | None = None  #: when calls were wanted that the law refused, s
    refused_here_costs: Array | None = None

    def limited(self) -> bool:
        return self.limit is not None and bool(np.isfinite(self.limit).any())

    def refuses(self) -> bool:
        return self.refused_here is not None and len(self.refused_here) > 0


@record
class Frame(NamedTuple):
    """What all panels of a figure share."""

    steps: Sequence[tuple[float, float, float]]  #: (start, end, achievable rate)
    shades: Sequence[tuple[float, float]]  #: when a disturbance acts
    target: float  #: the most that is wanted
    duration: float
    wanted: Sequence[tuple[float, float]] = ()  #: (time, rate), where that is more than a number
    of: str = "calls"  #: what rates are of: "calls" or "cost"


def wanted_at(points: Points, t: Array) -> Array:
    """What is wanted at times t by points of `core.slots`, 1/s."""
    times, targets = points
    return np.array([target_at(times, targets, piece_at(times, now, 0), now) for now in t.tolist()])


def commanded(
    columns: Columns, producers: Spans, targets: Sequence[Points], t: NDArray[np.float64]
) -> NDArray[np.float64]:
    """`Trace.commanded` of columns by name."""
    total = np.zeros(len(t))
    for index, (start, end) in enumerate(producers):
        mine = (columns["producer"] == index) & (columns["outcome"] != REFUSED)
        times, rates = columns["released"][mine], columns["rate"][mine]
        if not len(times):
            continue
        last, target = np.searchsorted(times, t, side="right"), wanted_at(targets[index], t)
        if np.isnan(rates).all():
            since = np.minimum(np.maximum(t - start, 1.0 / np.maximum(target, 1.0)), 1.0)
            held = (last - np.searchsorted(times, t - 1.0, side="right")) / since
        else:
            held = np.minimum(rates[np.maximum(last - 1, 0)], target)
        total += np.where((t >= start) & (t < end), held, 0.0)
    return total


def limits(columns: Columns, producers: Spans, t: NDArray[np.float64]) -> NDArray[np.float64]:
    """The limit at times t, calls in flight, of all producers in sum; nan without one.

    A law whose rate is open at fewer than half of the releases commands by that: nan too.
    """
    limit = np.where(np.isfinite(columns["limit"]), columns["limit"], np.nan)
    if 2 * np.isinf(columns["rate"]).sum() < len(limit):
        return np.full(len(t), np.nan)
    total = np.zeros(len(t))
    for index, (start, end) in enumerate(producers):
        mine = (columns["producer"] == index) & (columns["outcome"] != REFUSED)
        times, held = columns["released"][mine], limit[mine]
        if len(times):
            last = np.maximum(np.searchsorted(times, t, side="right") - 1, 0)
            total += np.where((t >= start) & (t < end), held[last], 0.0)
    return np.where(total > 0.0, total, np.nan)


def panel(
    columns: Columns, producers: Spans, targets: Sequence[Points], duration: float, title: str
) -> Panel:
    """`Trace.panel` of columns by name."""
    t = np.linspace(0.0, duration, POINTS, endpoint=False)
    done, completed = columns["outcome"] == OK, columns["completed"]
    cost = columns["cost"] if "cost" in columns else np.ones(len(completed))
    mine = [done & (columns["producer"] == i) for i in range(len(producers))]
    each, costs = [completed[one] for one in mine], [cost[one] for one in mine]
    rate, limit = commanded(columns, producers, targets, t), limits(columns, producers, t)
    if np.isfinite(limit).any() and np.isinf(columns["rate"]).all():
        rate = np.full(len(t), np.nan)  # the law commands by its limit alone
    several = len(each) > 1
    return Panel(
        title,
        t,
        rate,
        completed[done],
        each if several else [],
        limit,
        costs=cost[done],
        each_costs=costs if several else [],
        refused=columns["released"][columns["outcome"] == REJECTED],
        refused_costs=cost[columns["outcome"] == REJECTED],
        refused_here=columns["scheduled"][columns["outcome"] == REFUSED],
        refused_here_costs=cost[columns["outcome"] == REFUSED],
    )


#: What reading a damaged archive raises, besides what is raised for any file or text.
DAMAGED = (
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    RecursionError,
    SyntaxError,
)


def targets_of(seen: Mapping[str, Any]) -> list[Points]:
    """The points of what each producer wants; earlier versions wrote one number for all."""
    if "targets" not in seen:
        return [([0.0], [seen["target"]]) for _ in seen["producers"]]
    return [(times, targets) for times, targets in seen["targets"]]


def _check_columns(columns: Columns, seen: Mapping[str, Any], drawn: Frame) -> None:
    """Raise `ValueError` or `TypeError` for what cannot be drawn."""
    lengths = {column.shape for column in columns.values()}
    kinds = {column.dtype.kind for column in columns.values()}
    if len(lengths) > 1 or len(next(iter(lengths))) != 1 or not kinds <= {"f", "i"}:
        raise ValueError("columns that are not of one length, or no numbers")
    spans = [
        *drawn.shades,
        *seen["producers"],
        *drawn.wanted,
        (drawn.target, drawn.duration),
        *(pair for points in targets_of(seen) for pair in zip(*points, strict=True)),
    ]
    numbers = [number for row in (*drawn.steps, *spans) for number in row]
    if (
        not all(isinstance(number, float | int) for number in numbers)
        or not 0.0 < drawn.duration < math.inf
    ):
        raise TypeError("a frame that is no numbers")
    if any(len(row) != 2 for row in spans) or any(len(row) != 3 for row in drawn.steps):
        raise ValueError("a frame without its parts")


def read_picture(path: Path) -> tuple[Panel, Frame, dict[str, Any]] | None:
    """What a picture needs of a run written by `Trace.to_npz`, and its `meta`; None if it is not
    there.

    Raises `InputError` for a file that is none of those.
    """
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            meta = json.loads(str(archive["meta"]))
            columns = {name: archive[name] for name in archive.files if name != "meta"}
            if "picture" not in meta:
                return None  # as earlier versions wrote it
            seen = meta["picture"]
            drawn = Frame(*seen["frame"])
            _check_columns(columns, seen, drawn)
    except (*DAMAGED, OSError, ValueError, LookupError, TypeError, OverflowError) as error:
        raise InputError(
            f"{str(path)!r} is no trace; allowed: an npz file that tpssim wrote"
        ) from error
    found = panel(columns, seen["producers"], targets_of(seen), drawn.duration, "")
    return found._replace(steps=drawn.steps), drawn, meta
