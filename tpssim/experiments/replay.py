"""A recorded live run on the bench: its log as a `Trace`, its service times as a `Scenario`."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tpssim.core.errors import InputError
from tpssim.core.types import OK, OUTCOMES, REFUSED, REJECTED, VERSION, record
from tpssim.core.validation import checked
from tpssim.live.arguments import late_of
from tpssim.live.playback import Call, Journal, Playback, wanted_of
from tpssim.output import records
from tpssim.output.meanings import definitions
from tpssim.output.results_dir import plain
from tpssim.scenarios.disturbances import Swap
from tpssim.scenarios.plant import Async, Blocking, Consumer, Pool
from tpssim.scenarios.scenario import Scenario, checked_scenario
from tpssim.scenarios.service_times import Recorded
from tpssim.simulation.trace import Trace

#: The service times are those of the stretch of time in which a call begins: this many stretches at
#: most,
STRETCHES = 200
#: and none with fewer calls than this.
FEWEST = 10
#: x what went well live: beyond that a law is said to complete more.
MORE = 1.02
FLATTERED = (
    "completes more than was recorded, of calls that overlapped: their times hold what they waited"
    " for one another, and nothing here limits how many the service does at once. Do not rely"
    " on it."
)
NOT_FULL = (
    "completes more than was recorded, of a service that was never full: how many calls it does at"
    " once is not known from this recording. Do not rely on it."
)


@record
class Replay(NamedTuple):
    """A recorded run that was decided again, and what laws do with its service times."""

    recording: Journal
    playback: Playback
    traces: dict[str, Trace]  #: by law: the live run, then the simulated ones; or none at all
    twin: str = ""  #: the service that was fitted, in a sentence; "": its own times were taken
    #: by law and number: the middle one, and between which 95 % of all are, on services drawn from
    #: what the fit leaves open
    predicted: dict[str, dict[str, Any]] = {}  # noqa: RUF012  # of a record: it is never changed
    full: bool = True  #: whether the twin was: else how many calls it does at once is not known

    def numbers(self) -> dict[str, dict[str, float]]:
        """What each law comes to."""
        return {label: numbers(trace) for label, trace in self.traces.items()}

    def without(self) -> str:
        """What is left out of the simulated runs; "" if nothing is."""
        calls = self.playback.calls
        made = sum(call.outcome != REFUSED for call in calls)
        return without(left_out(calls), made) if self.traces and not self.twin else ""

    def _flattered(self, table: Mapping[str, Mapping[str, float]]) -> list[str]:
        """The laws on which nobody should rely."""
        if not self.twin:
            return flattered(self.playback.calls, table)
        recorded = next(iter(table.values()))["throughput"]
        least = {label: row["throughput"].low for label, row in self.predicted.items()}
        return [] if self.full else [law for law, rate in least.items() if rate > recorded]

    def record(self) -> records.ReplayRecord:
        """All but the traces as plain data."""
        header, table = self.recording.header, self.numbers()
        return records.ReplayRecord(
            recording={
                "began": header["began"],
                "controller": header["controller"],
                "parameters": header["parameters"],
                "late": header["late"],
            },
            calls=self.recording.start["calls"],
            complete=bool(self.recording.report),
            decisions=self.playback.decisions,
            difference=self.playback.difference,
            report=plain(self.recording.report),
            numbers=plain(table),
            flattered=self._flattered(table),
            left_out=left_out(self.playback.calls),
            without=self.without(),
            twin=self.twin,
            predicted={
                label: {name: plain(found._asdict()) for name, found in row.items()}
                for label, row in self.predicted.items()
            },
            definitions=definitions(),
        )


def consumer_of(calls: str) -> Consumer:
    """How the calls of a recording were made, as the bench has it.

    >>> consumer_of("pool(8)")
    Pool(workers=8.0, queue=inf)
    """
    kind, _, number = calls.rstrip(")").partition("(")
    if number:
        try:
            return checked(Pool(float(number)), "recording")
        except ValueError as error:  # of float, too
            raise InputError(f"calls={calls!r}; allowed: such as pool(8)") from error
    return Blocking() if kind == "blocking" else Async(0.0, "completion")


def service_times(calls: list[Call], consumer: Consumer) -> list[tuple[float, float]]:
    """(when its work began, how long it took), s, of every call that went well.

    In a pool a call begins when a worker is free for it, first come first served; elsewhere when it
    is released. A wait inside the service is part of its time: a recording cannot tell them apart.
    """
    free = [0.0] * int(consumer.workers) if isinstance(consumer, Pool) else []
    found = []
    for call in calls:
        if math.isnan(call.completed):
            continue
        begun = call.released
        if free:
            begun = max(begun, heapq.heappop(free))
            heapq.heappush(free, call.completed)
        if call.outcome == OK:
            found.append((begun, max(call.completed - begun, 0.0)))
    return sorted(found)


def scenario_of(recording: Journal, calls: list[Call]) -> Scenario:
    """The recorded service as a scenario: what was wanted, how calls were made, how long they took
    and when.

    A call that begins in a stretch of the run (a tenth of a second, say) takes one of that
    stretch's service times, in their order. Calls that did not go well are left out (`left_out`
    counts them), and so is that a service may have been slow because of the calls themselves: a law
    that sends more than the recorded one is flattered by it. Where no rate was wanted, that of its
    slots is. Raises `InputError` without a call that went well.
    """
    consumer = consumer_of(str(recording.start["calls"]))
    times = service_times(calls, consumer)
    if not times:
        raise InputError(
            "no call of the recording went well; allowed: a recording with service times"
        )
    start = float(recording.start["t"])
    end = max(event["t"] for event in recording.events) - start
    source = "the recording"
    wanted, costs = wanted_of(recording.start), {call.cost for call in calls}
    stretches: list[tuple[float, list[float]]] = []
    width = max(0.1, end / STRETCHES)
    for begun, took in times:
        at = math.floor(begun / width) * width
        if not stretches or (at > stretches[-1][0] and len(stretches[-1][1]) >= FEWEST):
            stretches.append((at if stretches else 0.0, []))
        stretches[-1][1].append(took)
    services = [(at, Recorded(tuple(values), source)) for at, values in stretches if at < end]
    edges = [at for at, _ in services[1:]] + [end]
    return checked_scenario(
        Scenario(
            name="recording",
            service=services[0][1],
            target=len(calls) / end if wanted == math.inf else wanted,
            duration=end,
            consumer=consumer,
            disturbances=tuple(
                Swap(at, until, service)
                for (at, service), until in zip(services[1:], edges[1:], strict=True)
            ),
            summary=f"{len(times)} service times of a live run",
            late=late_of(str(recording.header["late"])),
            cost=None if costs == {1.0} else Recorded(tuple(call.cost for call in calls), source),
        )
    )


def left_out(calls: Sequence[Call]) -> dict[str, int]:
    """How many recorded calls are not in the service times, by outcome: all but those that went
    well.

    What the law itself refused was no call.
    """
    counts = Counter(call.outcome for call in calls if call.outcome not in (OK, REFUSED))
    return {OUTCOMES[outcome]: counts[outcome] for outcome in sorted(counts)}


def without(left: Mapping[str, int], calls: int) -> str:
    """What that means for who is simulated; `calls`: in all, "" if none was left out.

    How much more is completed for that is not said: a law that slowed down for calls that did not
    go well does not do so where all go well.
    """
    lost = sum(left.values())
    if not lost or lost == calls:
        return ""
    listed = ", ".join(f"{count:,} {outcome}" for outcome, count in left.items())
    text = (
        f"{lost:,} of {calls:,} recorded calls did not go well ({listed}): they and the time they"
        " took are left out of what is simulated, where every call goes well."
    )
    if left.get(OUTCOMES[REJECTED]):
        text += (
            " The service refused calls, and service times cannot tell its quota: nothing simulated"
            " is refused, however much a law sends. Do not rely on what it completes beyond the"
            " live run."
        )
    return text


def columns_of(calls: list[Call]) -> dict[str, Any]:
    """The columns of a `Trace`; of a run without any call that went well, too."""
    columns: dict[str, Any] = {
        name: np.array([getattr(call, name) for call in calls], dtype=np.float64)
        for name in ("scheduled", "released", "completed", "rate", "limit", "in_flight", "cost")
    }
    return {
        **columns,
        "latency": columns["completed"] - columns["released"],
        "outcome": np.array([call.outcome for call in calls], dtype=np.int8),
        "producer": np.zeros(len(calls), dtype=np.int32),
    }


def trace_of(recording: Journal, playback: Playback, scenario: Scenario) -> Trace:
    """The live run as a log like that of a simulated one."""
    pacer, header, report = playback.pacer, recording.header, recording.report
    meta: dict[str, Any] = {
        "controller": header["controller"],
        "parameters": dict(header["parameters"]),
        "seed": header["seed"],
        "replication": 0,
        "engine": "live",
        "version": VERSION,
        "spun": report.get("spin_cpu", math.nan) * scenario.duration,
        "caught_up": pacer.caught_up,
        "re_anchored": pacer.re_anchored,
        "skipped": pacer.skipped,
        # Which slots the limit held back is not played back; a run that was killed has no report of
        # it.
        # Recordings of earlier versions call it `held`.
        "limited": report.get("limited", report.get("held", pacer.limited)),
        "ceiling": ceiling(scenario, left_out(playback.calls)),
    }

    return Trace(**columns_of(playback.calls), scenario=scenario, meta=meta)


def ceiling(scenario: Scenario, left: Mapping[str, int]) -> str:
    """What the achievable rate of a recording is: without a limit on the callers only the wanted
    rate.

    What a service refuses, by its quota, is in no service time: of one that did it is not
    achievable.
    """
    if isinstance(scenario.consumer, Async):
        return "wanted"
    if left.get(OUTCOMES[REJECTED]):
        return "by service times alone, had no call been refused"
    return "achievable by the recorded service times"


def flattered(calls: list[Call], table: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Which laws complete more than the live run did (the first of the table), where calls
    overlapped.

    Times of calls that overlap hold what they waited for one another in the service; nothing on the
    bench limits how many it does at once.
    """
    if not table or not any(call.in_flight > 1.0 for call in calls):
        return []
    live = next(iter(table.values()))["throughput"]
    return [label for label, row in table.items() if row["throughput"] > MORE * live]


def numbers(trace: Trace) -> dict[str, float]:
    """What a replay tells of a run: rates in 1/s, times in s, shares.

    `spread` is (95th - 5th percentile) / mean of the commanded rate over the whole run; the measure
    `swing` is of a steady window, which a recording need not have.
    """
    ok = trace.outcome == OK
    t = np.linspace(0.0, trace.scenario.duration, 2000, endpoint=False)
    commanded = trace.commanded(t)
    response = np.sort((trace.completed - trace.scheduled)[ok])

    def quantile(q: float) -> float:
        return float(response[math.ceil(q * len(response)) - 1]) if len(response) else math.nan

    low, high = np.quantile(commanded, (0.05, 0.95))
    return {
        "throughput": float(ok.sum()) / trace.scenario.duration,
        "commanded": float(commanded.mean()),
        "spread": float((high - low) / commanded.mean()) if commanded.mean() > 0.0 else math.nan,
        "response_p50": quantile(0.5),
        "response_p99": quantile(0.99),
    }
