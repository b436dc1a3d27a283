"""Services that run, learned from recordings of them: is what `fit` says of them true?

    python benchmarks/twins_live.py [--only NAME] [--seconds S] [--keep FOLDER] [--smoke]

Three tables. (1) `tpssim serve` over HTTP, whose servers, service time and quota are known: what is
fitted to a recording of a load that rises beyond its capacity; to be within 5 %. (2) PostgreSQL
behind four connections, where it is installed: half of a recording is fitted, the other half, under
another load, is foretold; its p99 is to be within 10 %, or among those of twenty runs of the twin.
(3) Of each service `aimd` is recorded, the other laws are foretold as `replay` does, on services
that may have been it, and then run live: throughput within 3 % of the middle one, p99 within 15 %,
the verdict equal. `aimd` itself is foretold as well, and not judged: its rate hangs on whether
answers come evenly or in bunches, which on a service of constant times is chance and lasts. The
exit code is 1 if anything is not as it should be, and the last lines say what. A machine that other
programs keep busy makes services slower from one run to the next,
which no twin foretells: it is said how busy it was.

`--only`: one of blocking, async, quota, postgres; may be repeated. `--keep`: where the recordings
stay, to look at afterwards. `--smoke`: one service, a few seconds, and only that it runs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import math
import os
import statistics
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from helpers.postgres import Database, missing, postgres

import tpssim
from tpssim.core.types import OK, REJECTED, UNFINISHED
from tpssim.experiments.counterfactual import twins
from tpssim.experiments.fitting.estimate import fit
from tpssim.experiments.fitting.fit_result import FitResult
from tpssim.experiments.replay import numbers, scenario_of, trace_of
from tpssim.live.playback import Call, play, read_journal
from tpssim.metrics.verdicts import judge, majority
from tpssim.scenarios.scenario import Scenario
from tpssim.simulation.trace import Trace
from tpssim.validation.live_against_simulated import drive

RECORDED, FORETOLD = "aimd", ("headroom", "ewma-deadzone")
RUNS = 20
CONNECTIONS, SLEEP = 4, 0.1


class Served(NamedTuple):
    """A service of `tpssim serve`, and how it is called."""

    name: str
    consumer: str
    target: float  #: more than it takes
    capacity: float
    words: str
    known: dict[str, float]


CALL = "a call, s"  #: a server's time, and the way there and back
SERVED = (
    Served("blocking", "blocking", 40.0, 25.0, "--rate 25 --servers 1 --queue 100", {CALL: 0.04}),
    Served(
        "async",
        "async",
        52.0,
        40.0,
        "--rate 40 --servers 4 --queue 100000",
        {"backend.servers": 4.0, "service.mean": 0.1},
    ),
    Served(
        "quota",
        "async",
        32.0,
        20.0,
        "--rate 400 --servers 40 --quota 20/1s",
        {CALL: 0.1, "quota, calls": 20.0, "quota, s": 1.0},
    ),
)


@contextlib.contextmanager
def serving(words: str) -> Iterator[str]:
    """`tpssim serve` in a process of its own; its address."""
    command = [sys.executable, "-m", "tpssim", "serve", *words.split()]
    quiet: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **quiet) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[1].rstrip(":")
        finally:
            process.terminate()


#: Runs a law at a target (or stages) for so long, and writes what happens to a file.
Drive = Callable[[Any, Any, float, Path], None]


def in_a_thread(work: Callable[[], Any]) -> None:
    """Do it in a thread of its own: a notebook's has an event loop already."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(work).result()


def over_http(consumer: str, where: str) -> Drive:
    def driven(law: Any, target: Any, seconds: float, path: Path) -> None:
        options = {"seconds": seconds, "record": path}
        in_a_thread(functools.partial(drive, consumer, where, law, target, **options))

    return driven


def on_postgres(database: Database) -> Drive:
    def driven(law: Any, target: Any, seconds: float, path: Path) -> None:
        async def main() -> None:
            def started(handle: Any) -> None:
                asyncio.get_running_loop().call_later(seconds, handle.stop)

            await tpssim.arun(
                database.acall, range(10**9), target,
                controller=law, record=path, started=started, results=False,
            )  # fmt: skip

        in_a_thread(lambda: asyncio.run(main()))

    return driven


def ramps(capacity: float, seconds: float) -> tpssim.Stages:
    """Half of the time up to 1.3 times the capacity and down, then steps to 1.1 times of it."""
    tenth = seconds / 10.0
    up = f"{3 * tenth}s:{1.3 * capacity},{tenth}s:{0.1 * capacity},{tenth}s:{0.1 * capacity}"
    steps = ",".join(f"0s:{x * capacity},{1.5 * tenth}s:{x * capacity}" for x in (0.6, 1.1))
    return tpssim.Stages(f"{up},{steps},0s:{0.2 * capacity},{2 * tenth}s:{0.2 * capacity}")


class Checked(NamedTuple):
    """A row of a table, and what is not as it should be; "" if nothing is."""

    cells: list[str]
    wrong: str
    open: bool = False  #: whether the recording cannot say


def shown(title: str, heads: list[str], rows: list[Checked]) -> list[str]:
    """Print a table; what is not as it should be, a line each."""
    word = {True: "not known", False: "yes"}
    table = [heads, *([*row.cells, row.wrong or word[row.open]] for row in rows)]
    widths = [max(len(row[i]) for row in table if i < len(row)) for i in range(len(heads))]
    print(f"\n{title}")
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    return [f"{title}: {', '.join(row.cells[:2])}: {row.wrong}" for row in rows if row.wrong]


def said_of(found: FitResult) -> dict[str, tuple[float, float, float]]:
    """What a fit says of a service: values, and between which they lie.

    Where no call ever waited for a server, or one was made at a time, the time of a call is known,
    and not how much of it is the service's and how much the network's.
    """
    said = {name: (each.value, each.low, each.high) for name, each in found.estimates.items()}
    delay = said.get("network.mean", (0.0, 0.0, 0.0))
    parts = zip(said["service.mean"], delay, strict=True)
    value, low, high = (part + on_its_way for part, on_its_way in parts)
    said[CALL] = (value, low, high)
    for quota in found.scenario.backend.quotas:
        said["quota, calls"] = (quota.amount,) * 3
        said["quota, s"] = (quota.per,) * 3
    return said


def parameters(service: Served, seconds: float, folder: Path) -> list[Checked]:
    """What is fitted to a recording under stages, beside what is known."""
    path = folder / f"{service.name}-ramp.ndjson"
    with serving(service.words) as where:
        over_http(service.consumer, where)("fixed", ramps(service.capacity, seconds), seconds, path)
    said, rows = said_of(fit(path, holdout=0.0)), []
    for name, true in service.known.items():
        value, low, high = said.get(name, (math.nan,) * 3)
        off = value / true - 1.0
        cells = [f"{true:g}", f"{value:.4g}", f"{low:.4g} to {high:.4g}", f"{off:+.1%}"]
        rows.append(Checked([service.name, name, *cells], "" if abs(off) <= 0.05 else "off"))
    return rows


def held_out(driven: Drive, seconds: float, folder: Path) -> list[Checked]:
    """The second half of a recording of PostgreSQL, foretold from the first."""
    path = folder / "postgres-ramp.ndjson"
    driven("fixed", ramps(CONNECTIONS / SLEEP, seconds), seconds, path)
    found = fit(path, holdout=0.5)
    servers, rows = found.estimates["backend.servers"].value, []
    for row in found.check(RUNS).rows:
        if row.name in ("p50", "p99"):
            numbers = [f"{1e3 * x:.4g}" for x in (row.recorded, row.simulated)]
            spread = f"{1e3 * row.low:.4g} to {1e3 * row.high:.4g}"
            cells = [f"{servers:g} servers", f"{row.name}, ms", *numbers, spread]
            wrong = "off" if row.name == "p99" and not row.holds else ""
            rows.append(Checked([*cells, f"{row.difference:+.1%}"], wrong))
    return rows


def counterfactuals(
    name: str, driven: Drive, target: float, seconds: float, folder: Path
) -> list[Checked]:
    """What laws do live, beside what was foretold from a recording of `RECORDED`."""
    path = folder / f"{name}-{RECORDED}.ndjson"
    driven(RECORDED, target, seconds, path)
    journal = read_journal(path)
    calls = play(journal).calls
    found, services = twins(calls, scenario_of(journal, calls), RUNS)
    # A recording lasts until its last answer, which may be long after its last call.
    services = [service._replace(duration=seconds) for service in services]
    print(f"{name}: {len(calls):,} calls of {RECORDED}; {found.line()}", flush=True)
    for quota in found.scenario.backend.quotas:
        print(f"{name}: {quota}", flush=True)
    rows = []
    for law in (RECORDED, *FORETOLD):
        runs = [
            tpssim.simulate(service, law, replication=number)
            for number, service in enumerate(services[1:])
        ]
        path = folder / f"{name}-{law}.ndjson"
        if law != RECORDED:
            driven(law, target, seconds, path)
        row = _judged(name, law, path, services[0], runs)
        if found.estimates["backend.servers"].is_bound() and found.structure == "overlapping":
            row = _judged_as_far_as_known(row, calls, seconds, runs)
        rows.append(row)
    return rows


def _judged_as_far_as_known(
    row: Checked, calls: list[Call], seconds: float, runs: list[Trace]
) -> Checked:
    """Where the recorded run never filled the service, what a law gets that sends more is open, as
    `replay` says, too.
    """
    recorded = sum(until(call, seconds).outcome == OK for call in calls) / seconds
    least = min(numbers(run)["throughput"] for run in runs)
    if row.wrong and least > recorded:
        print(
            f"{row.cells[0]}, {row.cells[1]}: it was never full when recorded, and this sends more"
        )
        return row._replace(wrong="", open=True)
    return row


def _judged(name: str, law: str, path: Path, twin: Scenario, runs: list[Trace]) -> Checked:
    """A live run beside those that were foretold."""
    journal = read_journal(path)
    back = play(journal)
    calls = [until(call, twin.duration) for call in back.calls]
    live = trace_of(journal, back._replace(calls=calls), twin)
    found, foretold = numbers(live), [numbers(run) for run in runs]
    cells, wrong = [name, law if law != RECORDED else f"{law} (recorded)"], []
    for key, most in (("throughput", 0.03), ("response_p99", 0.15)):
        values = [row[key] for row in foretold]
        low, middle, high = np.nanquantile(values, (0.025, 0.5, 0.975)).tolist()
        off = middle / found[key] - 1.0
        cells += [f"{found[key]:.4g}", f"{middle:.4g} ({low:.4g} to {high:.4g})", f"{off:+.1%}"]
        if not abs(off) <= most:
            inside = min(values) <= found[key] <= max(values)
            wrong.append(f"{key} {off:+.1%}, {'among the runs' if inside else 'as in no run'}")
    word, said = judge(live).word, majority([judge(run).word for run in runs])[0]
    if word != said:
        wrong.append(f"{word}, foretold {said}")
    judged = "" if law == RECORDED else "; ".join(wrong)
    return Checked([*cells, word, said, refusals(live, runs)], judged)


def until(call: Call, end: float) -> Call:
    """A call as it stands at the end of a run: as on the bench, what ends later is unfinished."""
    if not call.completed > end:
        return call
    return call._replace(completed=math.nan, outcome=UNFINISHED, retry_after=math.nan)


def refusals(live: Trace, runs: list[Trace]) -> str:
    """The share of calls that the service refused, live and foretold: what a quota does."""

    def share(trace: Trace) -> float:
        return float((trace.outcome == REJECTED).mean())

    return f"{share(live):.1%}, {statistics.median(map(share, runs)):.1%}"


def main() -> int:
    # Long, and in one piece: each service is recorded, foretold and run, then all is shown.
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true")
    names = [*(service.name for service in SERVED), "postgres"]
    parser.add_argument("--only", choices=names, action="append", help="may be repeated")
    parser.add_argument("--keep", type=Path, help="a folder that keeps the recordings")
    parser.add_argument("--seconds", type=float, default=40.0, help="of each run; default: 40")
    args = parser.parse_args()
    seconds = 5.0 if args.smoke else args.seconds
    chosen = args.only or (["async"] if args.smoke else names)
    known: list[Checked] = []
    judged: list[Checked] = []
    laws: list[Checked] = []
    busy = [os.getloadavg()[0]]
    warnings.simplefilter("ignore", tpssim.ThrottleWarning)  # a busy machine is named below
    with tempfile.TemporaryDirectory() as name:
        folder = args.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        for service in SERVED:
            if service.name not in chosen:
                continue
            known += parameters(service, seconds, folder)
            with serving(service.words) as where:
                driven = over_http(service.consumer, where)
                laws += counterfactuals(service.name, driven, service.target, seconds, folder)
            busy.append(os.getloadavg()[0])
        if "postgres" in chosen:
            if lacking := missing():
                print(f"PostgreSQL: skipped, for {lacking}")
            else:
                with postgres(CONNECTIONS, SLEEP) as database:
                    driven = on_postgres(database)
                    judged += held_out(driven, seconds, folder)
                    target = 1.3 * CONNECTIONS / SLEEP
                    laws += counterfactuals("postgres", driven, target, seconds, folder)
    busy.append(os.getloadavg()[0])
    wrong: list[str] = []
    if known:
        heads = ["service", "number", "known", "fitted", "95 %", "off", "good"]
        wrong += shown("1. Known parameters", heads, known)
    if judged:
        heads = ["fitted", "of what was held out", "live", "foretold", "95 %", "off", "good"]
        wrong += shown("2. PostgreSQL, another load", heads, judged)
    heads = ["service", "law", "live 1/s", "foretold", "off", "p99 s", "foretold", "off"]
    wrong += shown("3. Laws", [*heads, "live", "foretold", "refused", "good"], laws)
    print(f"\n{os.cpu_count()} cores, {min(busy):.1f} to {max(busy):.1f} programs at work")
    rows = len(known) + len(judged) + len(laws)
    print(f"{rows - len(wrong)} of {rows} rows are good" + "".join(f"\n- {x}" for x in wrong))
    return 0 if not wrong or args.smoke else 1


if __name__ == "__main__":
    sys.exit(main())
