"""The same scenario in virtual time and live: does the bench agree with reality?

One server answers 800 calls a second, and 200 from a third of the run to two thirds; the target is
500. Live, the calls go over HTTP to `serve` in a process of its own; on the bench, to a backend of
one server. First the time that a live call takes beyond the server's work (client, network,
threads) is measured call by call, without the law. The bench uses these delays as the network of
its scenario. It makes twenty runs, which differ in the order of the delays. The live run is
compared with their median. Their range is shown too, because a live run varies by chance as much.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tpssim.core.errors import Aborted, InputError
from tpssim.core.types import record
from tpssim.experiments.replay import trace_of
from tpssim.live import callees
from tpssim.live.arguments import law_of
from tpssim.live.async_runs import arun
from tpssim.live.playback import play, read_journal
from tpssim.live.report import Report
from tpssim.live.runs import run
from tpssim.metrics.measure import measure
from tpssim.metrics.verdicts import judge, majority
from tpssim.output import records
from tpssim.output.results_dir import plain
from tpssim.output.tables import Column, Note, Table
from tpssim.scenarios.disturbances import Step
from tpssim.scenarios.plant import Async, Backend, Blocking
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant, Recorded
from tpssim.simulation.run import simulate
from tpssim.simulation.trace import Trace

FAST, SLOW, WANTED = 800.0, 200.0, 500.0
PLACES = 100.0
CONSUMERS = ("blocking", "async")
LAWS = ("busy-time",)
#: Calls and rate of the measurement of these delays.
PROBES, PROBE_RATE = 1200, 400.0
RUNS = 20
#: How far a live run may be from the median of the runs on the bench, as a share of it.
ALLOWED = {"throughput": 0.03, "commanded": 0.03, "regain_time": 0.2}
#: What is shown, by measure.
COLUMNS = {
    "throughput": Column("throughput", "1/s", digits=1),
    "commanded": Column("mean rate", "1/s", digits=1),
    "swing": Column("swing", "%", scale=100.0),
    "regain_time": Column("recovery", "s", digits=2),
}


@record
class Pair(NamedTuple):
    """One law on one consumer: live and simulated."""

    law: str
    consumer: str
    delay: float  #: median of the time that a call takes beyond the server's work, s
    live: dict[str, float]
    runs: list[dict[str, float]]  #: on the bench
    verdicts: tuple[str, str]  #: live; of most runs on the bench
    report: Report
    traces: tuple[Trace, Trace]  #: live; the first on the bench

    def simulated(self, name: str) -> float:
        """The median of the runs on the bench."""
        return statistics.median(run[name] for run in self.runs)

    def spread(self, name: str) -> tuple[float, float]:
        """The least and the most of the runs on the bench."""
        values = [run[name] for run in self.runs]
        return min(values), max(values)

    def difference(self, name: str) -> float:
        """Live less bench, as a share of the bench's; 0 if both are infinite, or neither exists."""
        live, simulated = self.live[name], self.simulated(name)
        if live == simulated or (math.isnan(live) and math.isnan(simulated)):
            return 0.0
        return live / simulated - 1.0 if simulated else math.inf

    def complaints(self) -> list[str]:
        """The differences that are not allowed."""
        found = []
        for name, most in ALLOWED.items():
            if not abs(self.difference(name)) <= most:
                low, high = self.spread(name)
                found.append(
                    f"{name} is {self.live[name]:.4g} live, {self.simulated(name):.4g} on the bench"
                    f" ({low:.4g} to {high:.4g})"
                )
        if self.verdicts[0] != self.verdicts[1]:
            found.append(f"live it {self.verdicts[0]}, simulated it {self.verdicts[1]}")
        return found


def scenario_of(consumer: str, delays: Sequence[float], seconds: float) -> Scenario:
    """The scenario on the bench."""
    third = seconds / 3.0
    return Scenario(
        f"http-{consumer}",
        Constant(1.0 / FAST),
        WANTED,
        seconds,
        Blocking() if consumer == "blocking" else Async(0.0, "completion"),
        (Step(third, 2.0 * third, FAST / SLOW),),
        backend=Backend(servers=1.0, places=PLACES),
        network=Recorded(tuple(delays), "measured"),
    )


@contextlib.contextmanager
def server(schedule: str | None = None) -> Iterator[str]:
    """`tpssim serve` in a process of its own; its address."""
    words = ["serve", "--rate", f"{FAST:g}", "--servers", "1", "--queue", f"{PLACES:g}"]
    words += [] if schedule is None else ["--schedule", schedule]
    process = subprocess.Popen(
        [sys.executable, "-m", "tpssim", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # Ctrl-C ends us first
    )
    try:
        assert process.stdout is not None
        answer = process.stdout.readline()
        if not answer.startswith("serving "):
            raise Aborted(f"the server did not start: {answer.strip() or 'no output'}")
        yield answer.split()[1].rstrip(":")
    finally:
        process.terminate()
        process.communicate()


def drive(consumer: str, where: str, law: Any, tps: float, **options: Any) -> Report:
    """Calls to a server, one at a time on this thread, or in an event loop."""
    request = callees.Request(where)
    seconds = options.pop("seconds", None)
    timers: list[threading.Timer] = []

    def started(handle: Any) -> None:
        if seconds is not None:
            timers.append(threading.Timer(seconds, handle.stop))
            timers[0].daemon = True
            timers[0].start()

    options = {"controller": law, "started": started, **options}
    total = options.pop("total", None)
    items = range(10**9 if total is None else total)
    try:
        if consumer == "blocking":
            with callees.url(request, 5.0, 1) as call:
                return run(call, items, tps, workers=0, **options).report

        async def main() -> Report:
            async with callees.async_url(request, 5.0) as call:
                return (await arun(call, items, tps, **options)).report

        return asyncio.run(main())
    finally:
        for timer in timers:
            timer.cancel()


def measured_delays(consumer: str) -> list[float]:
    """The time that each of many calls takes beyond the server's work, if no two overlap, s."""
    with tempfile.TemporaryDirectory() as folder, server() as where:
        path = Path(folder) / "probe.ndjson"
        report = drive(consumer, where, "fixed", PROBE_RATE, total=PROBES, record=path)
        if report.errors:
            raise Aborted(f"{report.errors:.0f} of {PROBES} calls to our own server failed")
        calls = play(read_journal(path)).calls
    return [max(call.completed - call.released - 1.0 / FAST, 0.0) for call in calls]


def numbers(trace: Trace) -> dict[str, float]:
    """The metrics that are compared."""
    import numpy as np

    found = measure(trace)
    grid = np.linspace(0.0, trace.scenario.duration, 3000, endpoint=False)
    chosen = {
        name: found[name]
        for name in ("throughput", "swing", "regain_time", "response_p99", "errors")
    }
    return {"commanded": float(trace.commanded(grid).mean()), **chosen}


def side_by_side(
    laws: Sequence[str] = LAWS,
    consumers: Sequence[str] = CONSUMERS,
    *,
    seconds: float = 30.0,
    progress: Callable[[int, int], None] | None = None,
) -> list[Pair]:
    """Run every law on every consumer, live and simulated. Raises `InputError`, `Aborted`."""
    if not 6.0 <= seconds < math.inf:
        raise InputError(
            f"seconds={seconds:g}; allowed: at least 6, so that a law has time to settle"
        )
    for consumer in consumers:
        if consumer not in CONSUMERS:
            raise InputError(f"there is no consumer {consumer!r}; allowed: {', '.join(CONSUMERS)}")
    records = {law: law_of(law)[1] for law in laws}
    done, total = 0, (len(laws) + 1) * len(consumers)
    pairs = []
    for consumer in consumers:
        delays = measured_delays(consumer)
        scenario = scenario_of(consumer, delays, seconds)
        for label, law in records.items():
            done += 1
            if progress is not None:
                progress(done, total)
            pairs.append(_pair(label, law, consumer, scenario, statistics.median(delays)))
        done += 1
        if progress is not None:
            progress(done, total)
    return pairs


def _pair(label: str, law: Any, consumer: str, scenario: Scenario, delay: float) -> Pair:
    third = scenario.duration / 3.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.ndjson"
        with server(f"{third!r}:{SLOW:g},{2.0 * third!r}:{FAST:g}") as where:
            report = drive(consumer, where, law, WANTED, seconds=scenario.duration, record=path)
        recording = read_journal(path)
    back = play(recording)
    if back.difference:
        raise Aborted(f"{label}: the recording does not play back: {back.difference}")
    live = trace_of(recording, back, scenario)
    simulated = [simulate(scenario, law, replication=k) for k in range(RUNS)]
    return Pair(
        label,
        consumer,
        delay,
        numbers(live),
        [numbers(trace) for trace in simulated],
        (judge(live).word, majority([judge(trace).word for trace in simulated])[0]),
        report,
        (live, simulated[0]),
    )


def record_of(pairs: Sequence[Pair]) -> records.ValidateLiveRecord:
    """The pairs as plain data; what is infinite or does not exist is None."""
    return records.ValidateLiveRecord(
        allowed=ALLOWED,
        pairs=[
            {
                "law": pair.law,
                "consumer": pair.consumer,
                "delay": pair.delay,
                "live": plain(pair.live),
                "bench": plain({name: pair.simulated(name) for name in pair.live}),
                "runs": [plain(run) for run in pair.runs],
                "difference": plain({name: pair.difference(name) for name in ALLOWED}),
                "verdicts": {"live": pair.verdicts[0], "bench": pair.verdicts[1]},
                "complaints": pair.complaints(),
            }
            for pair in pairs
        ],
    )


def table(pairs: Sequence[Pair]) -> str:
    """Live and simulated, four lines a pair, and below them what differs."""
    rows: list[list[str]] = []
    below: list[Note] = []
    for pair in pairs:
        label, complaints = f"{pair.law}, {pair.consumer}", pair.complaints()
        bench = {name: pair.simulated(name) for name in COLUMNS}
        spread = [
            "..".join(column.write(end) for end in pair.spread(name))
            for name, column in COLUMNS.items()
        ]
        off = (
            f"{100.0 * pair.difference(name):+.1f} %" if name in ALLOWED else "" for name in COLUMNS
        )
        rows += [
            [label, "live", *_written(pair.live), pair.verdicts[0]],
            ["", "bench", *_written(bench), pair.verdicts[1]],
            ["", f"of {RUNS} runs", *spread, ""],
            ["", "off by", *off, "FAILS" if complaints else "agrees"],
        ]
        below += [("", f"{label}: {complaint}") for complaint in complaints]
    first = [Column("law, calls", left=True), Column("", left=True)]
    return Table("", [*first, *COLUMNS.values(), Column("verdict")], rows, below).text()


def _written(values: Mapping[str, float]) -> list[str]:
    return [column.write(values[name]) for name, column in COLUMNS.items()]
