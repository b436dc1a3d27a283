"""The same scenario in virtual time and live, side by side: does the bench tell the truth?

A server of one place of work answers 800 calls a second, 200 from a third of the run to two thirds; 500 are
wanted. Live, the calls go over HTTP to `serve` in a process of its own; on the bench, to a backend of one
server. What a live call takes beyond the server's work (client, network, threads) is measured first, with the
law out of play, and given to the bench as the backend's `delay`.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tpssim import callees, experiment
from tpssim.core import Aborted, InputError
from tpssim.disturbances import Step
from tpssim.live.account import Report
from tpssim.live.arguments import law_of
from tpssim.live.blocking import run
from tpssim.live.loops import arun
from tpssim.live.playback import play, read_recording
from tpssim.metrics import measure
from tpssim.plant import Async, Backend, Blocking
from tpssim.replays import trace_of
from tpssim.scenario import Scenario
from tpssim.services import Constant
from tpssim.traces import Trace
from tpssim.verdicts import judge

FAST, SLOW, WANTED = 800.0, 200.0, 500.0
PLACES = 100.0
CONSUMERS = ("blocking", "async")
LAWS = ("headroom", "aimd", "ewma-deadzone")
#: Calls and rate of the measurement of what a call takes beyond the server's work.
PROBES, PROBE_RATE = 200, 100.0
#: Differences that are allowed, as shares of the simulated value.
ALLOWED = {"throughput": 0.03, "commanded": 0.03, "recovery_time": 0.2}


class Pair(NamedTuple):
    """One law on one consumer: live and simulated."""

    law: str
    consumer: str
    delay: float  #: measured, s
    live: dict[str, float]
    simulated: dict[str, float]
    verdicts: tuple[str, str]  #: live, simulated
    report: Report
    traces: tuple[Trace, Trace]

    def difference(self, name: str) -> float:
        """Live against simulated, as a share of the simulated value; 0 if both are infinite, or neither is."""
        live, simulated = self.live[name], self.simulated[name]
        if live == simulated or (math.isnan(live) and math.isnan(simulated)):
            return 0.0
        return live / simulated - 1.0 if simulated else math.inf

    def complaints(self) -> list[str]:
        """What is not as it is allowed to be."""
        found = []
        for name, most in ALLOWED.items():
            difference = self.difference(name)
            if not abs(difference) <= most:
                found.append(f"{name} differs by {difference:+.1%}")
        if self.verdicts[0] != self.verdicts[1]:
            found.append(f"live it {self.verdicts[0]}, simulated it {self.verdicts[1]}")
        return found


def scenario_of(consumer: str, delay: float, seconds: float) -> Scenario:
    """The scenario on the bench."""
    third = seconds / 3.0
    return Scenario(
        f"http-{consumer}",
        Constant(1.0 / FAST),
        WANTED,
        seconds,
        Blocking() if consumer == "blocking" else Async(0.0, "completion"),
        (Step(third, 2.0 * third, FAST / SLOW),),
        backend=Backend(servers=1.0, places=PLACES, delay=delay),
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
        told = process.stdout.readline()
        if not told.startswith("serving "):
            raise Aborted(f"the server did not start: {told.strip() or 'it said nothing'}")
        yield told.split()[1].rstrip(":")
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


def measured_delay(consumer: str) -> float:
    """What a call takes beyond the server's work, s, at the median of calls that do not meet."""
    with server() as where:
        report = drive(consumer, where, "fixed", PROBE_RATE, total=PROBES)
    if report.errors:
        raise Aborted(f"{report.errors:.0f} of {PROBES} calls to our own server failed")
    return max(report.latency_p50 - 1.0 / FAST, 0.0)


def numbers(trace: Trace) -> dict[str, float]:
    """What is compared."""
    import numpy as np

    found = measure(trace)
    grid = np.linspace(0.0, trace.scenario.duration, 3000, endpoint=False)
    chosen = {
        name: found[name] for name in ("throughput", "swing", "recovery_time", "response_p99", "errors")
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
    if not 15.0 <= seconds < math.inf:
        raise InputError(f"seconds={seconds:g}; allowed: at least 15, so that a law has time to settle")
    records = {law: law_of(law)[1] for law in laws}
    done, total = 0, (len(laws) + 1) * len(consumers)
    pairs = []
    for consumer in consumers:
        delay = measured_delay(consumer)
        scenario = scenario_of(consumer, delay, seconds)
        for label, law in records.items():
            done += 1
            if progress is not None:
                progress(done, total)
            pairs.append(_pair(label, law, consumer, scenario, delay))
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
        recording = read_recording(path)
    back = play(recording)
    if back.difference:
        raise Aborted(f"{label}: the recording does not play back: {back.difference}")
    live = trace_of(recording, back, scenario)
    simulated = experiment.simulate(scenario, law)
    return Pair(
        label,
        consumer,
        delay,
        numbers(live),
        numbers(simulated),
        (judge(live).word, judge(simulated).word),
        report,
        (live, simulated),
    )


def table(pairs: Sequence[Pair]) -> str:
    """Live beside simulated, a line a pair."""
    head = f"{'law':15}{'calls':10}{'throughput (1/s)':>22}{'commanded (1/s)':>22}{'swing':>12}"
    lines = [f"{head}{'recovery (s)':>20}  verdict", f"{'':25}{'live  bench':>22}{'live  bench':>22}"]
    for pair in pairs:
        cells = ""
        for name, width in (("throughput", 22), ("commanded", 22)):
            live, simulated = pair.live[name], pair.simulated[name]
            cells += f"{f'{live:.1f} {simulated:.1f} {pair.difference(name):+.1%}':>{width}}"
        cells += f"{pair.live['swing']:>6.0%}{pair.simulated['swing']:>6.0%}"
        recovery = f"{pair.live['recovery_time']:.2f} {pair.simulated['recovery_time']:.2f}"
        recovery += f" {pair.difference('recovery_time'):+.0%}"
        cells += f"{recovery:>20}"
        verdict = pair.verdicts[0] if len(set(pair.verdicts)) == 1 else " / ".join(pair.verdicts)
        bad = f"  FAILS: {'; '.join(pair.complaints())}" if pair.complaints() else ""
        lines.append(f"{pair.law:15}{pair.consumer:10}{cells}  {verdict}{bad}")
    return "\n".join(lines)
