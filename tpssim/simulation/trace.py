"""The log of one run: NumPy columns, one row a call, and what made it.

This module holds results; it computes no metric and starts no run.
"""

from __future__ import annotations

import csv
import json
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim.core.errors import InputError
from tpssim.core.types import REFUSED, record
from tpssim.output import format, tables
from tpssim.output.pictures import Columns, commanded, panel
from tpssim.scenarios.capacity import capacity
from tpssim.scenarios.drawn import frame, target_points
from tpssim.scenarios.load import mean_cost, spans, wanted
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Recorded, draws

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tpssim.output.pictures import Panel
    from tpssim.output.plots import Figure
    from tpssim.scenarios.drawn import Drawn, Steps

#: What is counted over a run, in `meta`.
COUNTERS = ("spun", "caught_up", "re_anchored", "skipped", "limited")
#: Where each of them stands in an array.
SPUN_COUNTER, CAUGHT_UP_COUNTER, RE_ANCHORED_COUNTER, SKIPPED_COUNTER, LIMITED_COUNTER = range(5)
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
    "cost",
)


@record
class Trace(NamedTuple):
    """One run. Every column has one entry a call, in the order of release; times in s since the
    start.

    >>> import tpssim
    >>> trace = tpssim.simulate("blocking-steady:duration=5", "fixed")
    >>> len(trace.released) == len(trace.completed), float(trace.rate[0])
    (True, 100.0)
    """

    scheduled: NDArray[np.float64]  #: when the schedule wanted the release
    released: NDArray[np.float64]  #: when the call was released; nan if it was refused locally
    completed: NDArray[np.float64]  #: when its work was done; nan if it was not before the end
    latency: NDArray[np.float64]  #: what the law saw: completion (or end of the hand-off) - release
    #: rate in force at the release, 1/s; of cost, as the target is; nan if the throttle hides it
    rate: NDArray[np.float64]
    limit: NDArray[np.float64]  #: limit in force at the release, calls
    in_flight: NDArray[np.float64]  #: calls in flight at the release, this one included
    outcome: NDArray[np.int8]  #: index into `tpssim.core.types.OUTCOMES`
    producer: NDArray[np.int32]  #: which of the producers released it
    cost: NDArray[np.float64]  #: what the call costs; 1 where the scenario gives no cost
    scenario: Scenario
    #: controller, parameters, seed, replication, engine, version, spun (CPU s)
    meta: Mapping[str, Any]

    def __repr__(self) -> str:
        n = format.count(len(self.released), "call")
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
        scenario = self.scenario
        picture = {
            "frame": self.frame(),
            "targets": target_points(scenario),
            "producers": spans(scenario),
        }
        meta = json.dumps(
            {"scenario": scenario.name, "picture": picture, **self.meta}, sort_keys=True
        )
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

        A rate that is left open commands the target; one that is hidden (foreign code) is
        replaced by the releases of the last second.
        """
        return commanded(self.columns(), spans(self.scenario), target_points(self.scenario), t)

    def frame(self) -> Drawn:
        """`frame` of the scenario; with a recorded service what is achievable is that of the calls
        of this run.
        """
        steps, shades, target, duration, points, of = frame(self.scenario)
        return recorded_steps(self) or steps, shades, target, duration, points, of

    def panel(self, title: str) -> Panel:
        """What a picture of rates needs of this run."""
        scenario = self.scenario
        points = target_points(scenario)
        found = panel(self.columns(), spans(scenario), points, scenario.duration, title)
        return found._replace(steps=recorded_steps(self))

    def plot(self) -> Figure:
        """The rate over time against what was achievable."""
        from tpssim.output import plots

        title = f"{self.scenario.name}: {self.meta['controller']}"
        return plots.rate_figure(title, [self.panel("")], plots.Frame(*self.frame()))


# of a run, as its picture has them; calls whose mean is a service time at a time
BINS, FEWEST = (
    120,
    10,
)


def recorded_steps(trace: Trace) -> Steps:
    """What is achievable of a recorded service over time: rows of (start, end, calls a second).

    A recording is slow in one place and fast in another, so its mean over all says nothing of a
    moment: what a bin can take is that of the service times that its own calls drew. Empty for any
    other service.
    """
    scenario, meta = trace.scenario, trace.meta
    here = np.flatnonzero(trace.outcome != REFUSED)
    known = {"seed", "replication"} <= meta.keys() and len(scenario.producers) == 1
    if (
        not isinstance(scenario.service, Recorded)
        or not known
        or not len(here)
        or meta.get("engine") == "live"
    ):
        return []
    recording = np.asarray(scenario.service.recording)
    # Call k takes the recording's k-th service time from where this replication begins.
    begin = int(
        draws(scenario.service.noise(), 1, meta["seed"], meta["replication"])[0] * len(recording)
    )
    took = np.concatenate([[0.0], np.cumsum(recording[(begin + here) % len(recording)])])
    edges = np.linspace(0.0, scenario.duration, BINS + 1)
    low, high = np.searchsorted(trace.released[here], (edges[:-1], edges[1:]))
    short = np.maximum(FEWEST - (high - low), 0)
    low = np.maximum(low - (short + 1) // 2, 0)
    high = np.minimum(np.maximum(high + (short + 1) // 2, low + FEWEST), len(here))
    low = np.minimum(low, np.maximum(high - FEWEST, 0))
    local = (took[high] - took[low]) / (high - low)
    steps: Steps = []
    for start, end, mean in zip(
        edges[:-1].tolist(), edges[1:].tolist(), local.tolist(), strict=True
    ):
        middle = (start + end) / 2.0
        sustained = capacity(scenario, middle) * (
            scenario.service.mean / mean if mean > 0.0 else math.inf
        )
        sustained *= mean_cost(scenario)
        steps.append((start, end, min(wanted(scenario, middle), sustained)))
    return steps


def write_csv(path: str | Path, columns: Columns) -> None:
    """`Trace.to_csv` of columns by name."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(zip(*(columns[name].tolist() for name in COLUMNS), strict=True))


def unsound(scenario: Scenario, controller: str, call: int) -> InputError:
    """The error for a run in which time did not pass as it must."""
    return InputError(
        f"scenario {scenario.name}: controller {controller}: a time of call {call} is negative,"
        " falls or is no number; allowed: laws and service times that give finite numbers"
    )


def first_unsound(trace: Trace) -> int:
    """The first call with a time that cannot be; -1 if there is none.

    Releases never fall, no work is done before its release, no latency is negative, and all are
    finite; nan stands only for what did not happen: a release that was refused locally, a
    completion after the end.
    """
    scheduled, released, completed, latency, outcome = trace[:4] + trace[7:8]
    done, gone = outcome < REFUSED, outcome == REFUSED
    before = np.maximum.accumulate(np.where(gone, 0.0, released)) if gone.any() else released
    falls = np.concatenate([~(released[:1] >= 0.0), ~(released[1:] >= before[:-1])]) & ~gone
    wrong = ~((scheduled >= 0.0) & (scheduled < math.inf)) | falls | ~(np.isnan(released) == gone)
    wrong |= np.where(
        done, ~((completed >= released) & (completed < math.inf)), ~np.isnan(completed)
    )
    wrong |= np.where(done, ~(latency >= 0.0), latency < 0.0)
    return int(wrong.argmax()) if wrong.any() else -1


def sound(trace: Trace) -> Trace:
    """The trace; raises `InputError` for one in which time did not pass as it must."""
    call = first_unsound(trace)
    if call >= 0:
        raise unsound(trace.scenario, str(trace.meta.get("controller", "a throttle")), call)
    return trace


def checked_trace(trace: Any) -> Trace:
    """The trace; raises `InputError` if it is none."""
    if not isinstance(trace, Trace):
        raise InputError(
            f"{type(trace).__name__} is no run; allowed: a Trace, as simulate makes it"
        )
    return trace
