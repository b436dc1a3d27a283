"""The log of one run: NumPy columns, one row a call, and what made it.

This room holds results; it computes no metric and starts no run.
"""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim import tables
from tpssim.core import OK, REFUSED, InputError
from tpssim.scenario import Scenario, frame

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from tpssim.plots import Frame, Panel

COLUMNS = (
    "scheduled",
    "released",
    "completed",
    "latency",
    "rate",
    "limit",
    "in_flight",
    "outcome",
    "producer",
)


class Trace(NamedTuple):
    """One run. Every column has one entry a call, in the order of release; times in s since the start."""

    scheduled: NDArray[np.float64]  #: when the schedule wanted the release
    released: NDArray[np.float64]  #: when the call was released; nan if it was refused locally
    completed: NDArray[np.float64]  #: when its work was done; nan if it was not before the end
    latency: NDArray[np.float64]  #: what the law saw: completion (or end of the hand-off) - release
    rate: NDArray[np.float64]  #: rate valve in force at the release, 1/s; nan if the throttle hides it
    limit: NDArray[np.float64]  #: limit valve in force at the release, calls
    in_flight: NDArray[np.float64]  #: calls in flight at the release, this one included
    outcome: NDArray[np.int8]  #: index into `tpssim.core.OUTCOMES`
    producer: NDArray[np.int32]  #: which of the producers released it
    scenario: Scenario
    meta: Mapping[str, Any]  #: controller, parameters, seed, replication, engine, version, spun (CPU s)

    def __repr__(self) -> str:
        n = tables.counted(len(self.released), "call")
        return (
            f"<Trace: {self.meta.get('controller', 'a throttle')} on {self.scenario.name}, "
            f"{n} in {self.scenario.duration:g} s; "
            ".plot(), .to_pandas(), .columns()>"
        )

    def columns(self) -> dict[str, NDArray[Any]]:
        """The columns by name."""
        return {name: getattr(self, name) for name in COLUMNS}

    def to_csv(self, path: str | Path) -> None:
        """Write a header and one row a call; numbers read back to the same bits."""
        write_csv(path, self.columns())

    def to_npz(self, path: str | Path) -> None:
        """Write the columns and, as JSON in `meta`, what made them."""
        arena = self.scenario
        picture = {"frame": frame(arena), "target": arena.target, "producers": arena.producers}
        meta = json.dumps({"scenario": arena.name, "picture": picture, **self.meta}, sort_keys=True)
        # As numpy.savez_compressed, at zlib's first level: as small, in half the time.
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, column in {"meta": np.array(meta), **self.columns()}.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, column, allow_pickle=False)

    def to_pandas(self) -> Any:
        """The columns as a DataFrame (needs pandas)."""
        return tables.frame(self.columns())

    def commanded(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        """The commanded rate at times t, 1/s: of each producer that of its last release, in sum.

        A rate valve that is left open commands the target; one that is hidden (foreign code) is replaced by
        the releases of the last second.
        """
        return commanded(self.columns(), self.scenario.producers, self.scenario.target, t)

    def panel(self, title: str) -> Panel:
        """What a picture of rates needs of this run."""
        return panel(
            self.columns(), self.scenario.producers, self.scenario.target, self.scenario.duration, title
        )

    def plot(self) -> Figure:
        """The rate over time against what was achievable."""
        from tpssim import plots

        title = f"{self.scenario.name}: {self.meta['controller']}"
        return plots.rate_figure(title, [self.panel("")], plots.Frame(*frame(self.scenario)))


Columns = Mapping[str, "NDArray[Any]"]
Spans = Sequence[tuple[float, float]]


def write_csv(path: str | Path, columns: Columns) -> None:
    """`Trace.to_csv` of columns by name."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(zip(*(columns[name].tolist() for name in COLUMNS), strict=True))


def checked_trace(trace: Any) -> Trace:
    """The trace; raises `InputError` if it is none."""
    if not isinstance(trace, Trace):
        raise InputError(f"{type(trace).__name__} is no run; allowed: a Trace, as simulate makes it")
    return trace


def commanded(
    columns: Columns, producers: Spans, target: float, t: NDArray[np.float64]
) -> NDArray[np.float64]:
    """`Trace.commanded` of columns by name."""
    total = np.zeros(len(t))
    for index, (start, end) in enumerate(producers):
        mine = (columns["producer"] == index) & (columns["outcome"] != REFUSED)
        times, rates = columns["released"][mine], np.minimum(columns["rate"][mine], target)
        if not len(times):
            continue
        last = np.searchsorted(times, t, side="right")
        if np.isnan(rates).all():
            since = np.minimum(np.maximum(t - start, 1.0 / target), 1.0)
            held = (last - np.searchsorted(times, t - 1.0, side="right")) / since
        else:
            held = rates[np.maximum(last - 1, 0)]
        total += np.where((t >= start) & (t < end), held, 0.0)
    return total


def limits(columns: Columns, producers: Spans, t: NDArray[np.float64]) -> NDArray[np.float64]:
    """The limit at times t, calls in flight, of all producers in sum; nan without one.

    A law whose rate valve is open at fewer than half of the releases commands by that: nan too.
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


def panel(columns: Columns, producers: Spans, target: float, duration: float, title: str) -> Panel:
    """`Trace.panel` of columns by name."""
    from tpssim import plots

    t = np.linspace(0.0, duration, plots.POINTS, endpoint=False)
    done, completed = columns["outcome"] == OK, columns["completed"]
    each = [completed[done & (columns["producer"] == i)] for i in range(len(producers))]
    rate, limit = commanded(columns, producers, target, t), limits(columns, producers, t)
    if np.isfinite(limit).any() and np.isinf(columns["rate"]).all():
        rate = np.full(len(t), np.nan)  # the law commands by its limit alone
    return plots.Panel(title, t, rate, completed[done], each if len(each) > 1 else [], limit)


def read_picture(path: Path) -> tuple[Panel, Frame, dict[str, Any]] | None:
    """What a picture needs of a run written by `Trace.to_npz`, and its `meta`; None if it is not there.

    Raises `InputError` for a file that is none of those.
    """
    from tpssim import plots

    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            meta = json.loads(str(archive["meta"]))
            columns = {name: archive[name] for name in COLUMNS}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{str(path)!r} is no trace; allowed: an npz file that tpssim wrote") from error
    if "picture" not in meta:
        return None  # as earlier versions wrote it
    seen = meta["picture"]
    drawn = plots.Frame(*seen["frame"])
    return panel(columns, seen["producers"], seen["target"], drawn.duration, ""), drawn, meta
