"""The check of a fit: its scenario under the recorded starts, beside what was recorded of them.

The twin gets the starts of the whole recording, so that it comes to the part that was held out with
the queue that was there then, and is judged on that part alone. It runs several times: what one run
differs from another by says nothing against it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim.core.types import OK, REFUSED, record
from tpssim.experiments.fitting.flows import (
    FEW,
    Calls,
    calls_of,
    crowd,
    errors,
    flows,
    latencies,
    over_time,
)
from tpssim.output.format import number
from tpssim.output.tables import Column, Table, filled
from tpssim.scenarios.load import with_arrivals
from tpssim.scenarios.plant import Async, Pool
from tpssim.scenarios.recordings.calls import Recording
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Recorded
from tpssim.simulation.run import simulate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

RUNS = 20  #: of the twin
QUANTILES = (0.5, 0.9, 0.99)  #: of the latencies
GROUPS = 4  #: of calls by how many were in flight
#: What a twin may be wrong by, as a share of what was recorded, where its own runs differ by less.
ALLOWED = {"throughput": 0.03, "p99": 0.10, "tail": 0.15}
OTHERS = 0.10
ERRORS = 0.01  #: of the share of errors, which may be none
SCALES = {"ms": 1e3, "%": 100.0}  #: what a row is multiplied by where it is shown
HEAVY = 1.5  #: coefficient of variation of the service from which `tail` is allowed at p99


@record
class Row(NamedTuple):
    """A number that was recorded, and that of the twin."""

    name: str
    unit: str
    recorded: float
    simulated: float  #: mean of the runs
    low: float  #: in 95 % of the runs it is from this
    high: float  #: to this
    allowed: float  #: by so much the recorded number may be outside

    @property
    def holds(self) -> bool:
        """Whether the recorded number is one that the twin might have had."""
        inside = self.low <= self.recorded <= self.high  # never so of what the twin has none of
        return inside or abs(self.simulated - self.recorded) <= self.allowed

    @property
    def difference(self) -> float:
        """Of the simulated from the recorded number, as a share; nan of nothing."""
        return self.simulated / self.recorded - 1.0 if self.recorded else math.nan


@record
class Check(NamedTuple):
    """Recorded against simulated."""

    rows: tuple[Row, ...]
    runs: int
    since: float  #: what is judged started then or later, s
    calls: int  #: that are judged
    apart: bool  #: whether they were held out of the fit
    #: of pictures: answers per second while n calls are in flight, recorded and simulated
    flow: tuple[Array, Array, Array]
    #: ends of stretches of time, s; then p50 and p99 of the latency, recorded and simulated
    times: tuple[Array, ...]

    @property
    def holds(self) -> bool:
        """Whether the twin holds in everything."""
        return all(row.holds for row in self.rows)

    @property
    def misses(self) -> tuple[str, ...]:
        """What it misses."""
        return tuple(row.name for row in self.rows if not row.holds)

    def missed(self) -> list[str]:
        """What it misses, and by how much."""
        found = []
        for row in self.rows:
            scale = SCALES.get(row.unit, 1.0)
            seen, made = (number(scale * x, 3) for x in (row.recorded, row.simulated))
            made = made if math.isfinite(row.simulated) else "none"
            found += [] if row.holds else [f"{row.name}: {made} {row.unit}, recorded {seen}"]
        return found

    def line(self) -> str:
        """The outcome in a sentence."""
        part = f"{self.calls:,} calls after {number(self.since)} s that were held out"
        if not self.apart:
            part = f"the {self.calls:,} calls that it was fitted to, for none were held out"
        if not any(row.unit == "ms" for row in self.rows):
            part += f" (fewer than {FEW} of them went well, so no latency is judged)"
        if self.holds:
            return f"The twin holds, on {part}."
        return f"The twin does not hold, on {part}: it misses {'; '.join(self.misses)}."

    def table(self) -> str:
        """Every number, recorded and simulated."""
        columns = [
            Column("", left=True),
            Column("recorded", digits=None),
            Column("simulated", digits=None),
            Column("differ\xad\nence", "%", digits=1, scale=100.0),
            Column("95 % of runs", left=True),
            Column("allowed", digits=None),
            Column("", left=True),
        ]
        rows: list[list[Any]] = []
        for row in self.rows:
            scale = SCALES.get(row.unit, 1.0)
            seen, made, low, high, allowed = (scale * x for x in row[2:])
            difference = None if math.isnan(row.difference) else row.difference
            spread = f"{number(max(low, 0.0))} to {number(high)}"  # nothing here is below 0
            name = f"{row.name} ({row.unit})"
            word = "holds" if row.holds else "misses"
            rows.append([name, seen, made, difference, spread, allowed, word])
        return f"{Table('', columns, rows, label=32).text()}\n{filled(self.line(), further='  ')}"


def check(
    scenario: Scenario,
    recording: Recording,
    since: float = 0.0,
    *,
    seed: int = 0,
    runs: int = RUNS,
    phase: float = 0.0,
    drawn: Sequence[Scenario] = (),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Check:
    """The scenario under the starts of a recording, judged on the calls that started at `since` or
    later; where there are none, on all.

    `phase`: when a fixed window of its quotas begins, s. `drawn`: services that it may be as well,
    a run on each in turn, so that what the fit leaves open is in what the runs differ by.
    """
    seen = calls_of(recording)
    apart = 0.0 < since <= float(seen.start[-1])
    since = since if apart else 0.0
    made = []
    for run in range(runs):
        service = drawn[run % len(drawn)] if drawn else scenario
        twin, shift = replayed(service, seen, recording, phase)
        trace = simulate(twin, "fixed", seed=seed, replication=run)
        there = ~np.isnan(trace.released)
        begun, ended = trace.released[there] - shift, trace.completed[there] - shift
        made.append(Calls(begun, ended, trace.outcome[there]))
        progress(run + 1, runs)
    judged, others = seen.since(since), [one.since(since) for one in made]
    end = float(seen.start[-1])
    heavy = heavy_tailed(scenario.service)
    rows = [
        *_latencies(judged, others, heavy),
        *_rates(seen, made, since, end),
        *_by_crowd(seen, made, since),
    ]
    return Check(
        rows=tuple(rows),
        runs=runs,
        since=since,
        calls=len(judged.start),
        apart=apart,
        flow=flows(seen, made),
        times=over_time(seen, made, end),
    )


def replayed(
    scenario: Scenario, seen: Calls, recording: Recording, phase: float
) -> tuple[Scenario, float]:
    """The scenario under recorded starts, and by what its time is later than theirs.

    Calls that come one at a time are released as they were recorded, whether or not the one before
    is back; a fixed window begins when it did.
    """
    fixed = [quota.per for quota in scenario.backend.quotas if quota.window == "fixed"]
    shift = -phase % fixed[0] if fixed else 0.0
    took = float(np.nanmax(seen.completion - seen.start, initial=0.0))
    cost = None
    if recording.cost is not None and scenario.cost is not None:
        cost = Recorded(tuple(recording.cost[recording.outcome != REFUSED].tolist()), "recorded")
    end = max(scenario.duration, float(seen.start[-1])) + shift + 2.0 * took + 1.0
    moved = tuple(_later(thing, shift, scenario.duration, end) for thing in scenario.disturbances)
    twin = scenario._replace(
        consumer=scenario.consumer
        if isinstance(scenario.consumer, Pool)
        else Async(0.0, "completion"),
        disturbances=moved,
        cost=cost,
        poisson=0.0,
        duration=end,
    )
    arriving = with_arrivals(twin, tuple((seen.start + shift).tolist()))
    return arriving._replace(duration=twin.duration), shift


def _later(thing: Any, shift: float, over: float, end: float) -> Any:
    """A disturbance that many seconds later; one that lasts until all is over lasts until `end`."""
    ends = {name: getattr(thing, name) + shift for name in ("start", "end") if hasattr(thing, name)}
    if getattr(thing, "end", 0.0) >= over:
        ends["end"] = end
    return thing._replace(**ends)


def heavy_tailed(service: Any) -> bool:
    """Whether few calls make up much of the time."""
    cv = getattr(service, "cv", None)
    if isinstance(service, Recorded):
        cv = float(np.std(service.recording)) / service.mean
    return bool(hasattr(service, "shape") or (cv is not None and cv >= HEAVY))


def compared(name: str, unit: str, seen: float, made: Sequence[float], allowed: float) -> Row:
    """A row: the mean of the runs, and where one more of them would be in 95 % of all cases."""
    from scipy.special import stdtrit

    found = np.array([value for value in made if math.isfinite(value)])
    if len(found) < 2:
        return Row(name, unit, seen, math.nan, math.nan, math.nan, allowed)
    mean, n = float(found.mean()), len(found)
    half = float(stdtrit(n - 1, 0.975) * found.std(ddof=1) * math.sqrt(1.0 + 1.0 / n))
    return Row(name, unit, seen, mean, mean - half, mean + half, allowed)


def _latencies(seen: Calls, made: Sequence[Calls], heavy: bool) -> Iterator[Row]:
    """Quantiles of the latencies of calls that went well."""
    took = latencies(seen)
    if len(took) < FEW:
        return
    for q in QUANTILES:
        name = f"p{100.0 * q:g}"
        level = float(np.quantile(took, q))
        others = [
            float(np.quantile(x, q)) if len(x := latencies(one)) else math.nan for one in made
        ]
        share = ALLOWED.get("tail" if heavy and q == 0.99 else name, OTHERS)
        yield compared(name, "ms", level, others, share * level)


def _rates(seen: Calls, made: Sequence[Calls], since: float, end: float) -> Iterator[Row]:
    """Throughput, and how many calls went wrong."""

    def served(calls: Calls) -> float:
        well = calls.completion[calls.outcome == OK]
        return float(((well >= since) & (well <= end)).sum()) / max(end - since, 1e-9)

    rate = served(seen)
    others = [served(one) for one in made]
    yield compared("throughput", "1/s", rate, others, ALLOWED["throughput"] * rate)
    wrong = [errors(one.since(since)) for one in made]
    yield compared("errors", "%", errors(seen.since(since)), wrong, ERRORS)


def _by_crowd(seen: Calls, made: Sequence[Calls], since: float) -> Iterator[Row]:
    """The median latency of calls by how many were in flight at their start."""
    flying, others = _answered(seen, since), [_answered(one, since) for one in made]
    if not flying[0].max(initial=1.0) > 1.0:
        return
    edges = np.unique(np.quantile(flying[0], np.arange(1, GROUPS) / GROUPS, method="lower"))
    ends = [0.0, *edges.tolist(), math.inf]
    for low, high in itertools.pairwise(ends):
        inside = (flying[0] > low) & (flying[0] <= high)
        if int(inside.sum()) < FEW:
            continue
        level = float(np.median(flying[1][inside]))
        medians = [
            float(np.median(took[there])) if (there := (n > low) & (n <= high)).any() else math.nan
            for n, took in others
        ]
        first = low + 1.0
        name = (
            f"p50, {first:g} in flight"
            if high == first
            else f"p50, {first:g} to {high:g} in flight"
        )
        if high == math.inf:
            name = f"p50, {first:g} or more in flight"
        yield compared(name, "ms", level, medians, OTHERS * level)


def _answered(calls: Calls, since: float) -> tuple[Array, Array]:
    """(calls in flight, latency) of the calls that went well, from a time on."""
    there = (calls.outcome == OK) & (calls.start >= since)
    return crowd(calls)[there], (calls.completion - calls.start)[there]
