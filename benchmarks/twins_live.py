"""Services that run, learned from recordings of them: is what `fit` says of them true?

    python benchmarks/twins_live.py [--only NAME] [--rounds N] [--seconds S] [--keep FOLDER]

Three tables. (1) `tpssim serve` over HTTP, whose servers, service time and quota are known: what is
fitted to a recording of a load that rises beyond its capacity; to be within 5 %. (2) PostgreSQL
behind four connections, where it is installed: half of a recording is fitted, the other half, under
another load, is foretold; its p99 is to be within 10 %, or among those of twenty runs of the twin.
(3) Of each service `aimd` is recorded, the other laws are foretold as `replay` does, on services
that may have been it, and then run live, in three rounds. Of the medians the throughput is to be
within 3 %, the p99 within 15 %, or inside the 95 % interval that sampling alone gives the median of
three live runs, if its ends are within a factor of 2; and the verdict equal. `aimd` itself is
foretold as well, and not judged: its rate hangs on whether answers come evenly or in bunches, which
on a service of constant times is chance and lasts. Last stands how busy the machine was during live
runs: where others keep it busy, services are slower in one run than in the next, and no twin
foretells that. The exit code is 1 if a row fails; the last lines say which.

`--only`: one of blocking, async, quota, postgres; may be repeated. `--keep`: where the recordings
stay; what is there already is judged again and not run. `--smoke`: one service and round, a few
seconds, and only that it runs. In all it takes some half an hour.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import math
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from _laws_foretold import BUSY, RUNS, Drive, Row, recorded, rounds, table
from _served import in_a_thread, serving
from helpers.postgres import Database, missing, postgres

import tpssim
from tpssim.experiments.fitting.estimate import fit
from tpssim.experiments.fitting.fit_result import FitResult
from tpssim.validation.live_against_simulated import drive

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


def over_http(consumer: str, where: str) -> Drive:
    def driven(law: Any, target: Any, seconds: float, path: Path) -> None:
        options = {"seconds": seconds, "record": path}
        in_a_thread(functools.partial(drive, consumer, where, law, target, **options))

    return driven


def on_its_own(service: Served) -> Drive:
    """Each run on a server that has just started: one that was overloaded still works on calls that
    nobody waits for any more.
    """

    def driven(law: Any, target: Any, seconds: float, path: Path) -> None:
        with serving(service.words) as where:
            over_http(service.consumer, where)(law, target, seconds, path)

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


def shown(title: str, heads: list[str], rows: list[Checked]) -> list[str]:
    """Print a table; what is not as it should be, a line each."""
    lines = [heads, *([*row.cells, row.wrong or "yes"] for row in rows)]
    widths = [max(len(row[i]) for row in lines if i < len(row)) for i in range(len(heads))]
    print(f"\n{title}")
    for row in lines:
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
    recorded(on_its_own(service), "fixed", ramps(service.capacity, seconds), seconds, path)
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
    recorded(driven, "fixed", ramps(CONNECTIONS / SLEEP, seconds), seconds, path)
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


def main() -> int:
    # Long, and in one piece: each service is recorded, foretold and run, then all is shown.
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true")
    names = [*(service.name for service in SERVED), "postgres"]
    parser.add_argument("--only", choices=names, action="append", help="may be repeated")
    parser.add_argument("--keep", type=Path, help="a folder that keeps the recordings")
    parser.add_argument("--seconds", type=float, default=40.0, help="of each run; default: 40")
    parser.add_argument("--rounds", type=int, default=3, help="of live runs; default: 3")
    args = parser.parse_args()
    seconds, times = (5.0, 1) if args.smoke else (args.seconds, args.rounds)
    chosen = args.only or (["async"] if args.smoke else names)
    known: list[Checked] = []
    judged: list[Checked] = []
    laws: list[Row] = []
    warnings.simplefilter("ignore", tpssim.ThrottleWarning)  # a busy machine is named below
    with tempfile.TemporaryDirectory() as name:
        folder = args.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        for service in SERVED:
            if service.name not in chosen:
                continue
            known += parameters(service, seconds, folder)
            driven = on_its_own(service)
            laws += rounds(service.name, driven, service.target, seconds, folder, times)
        if "postgres" in chosen:
            if lacking := missing():
                print(f"PostgreSQL: skipped, for {lacking}")
            else:
                with postgres(CONNECTIONS, SLEEP) as database:
                    driven = on_postgres(database)
                    judged += held_out(driven, seconds, folder)
                    target = 1.3 * CONNECTIONS / SLEEP
                    laws += rounds("postgres", driven, target, seconds, folder, times)
    wrong: list[str] = []
    if known:
        heads = ["service", "number", "known", "fitted", "95 %", "off", "good"]
        wrong += shown("1. Known parameters", heads, known)
    if judged:
        heads = ["fitted", "of what was held out", "live", "foretold", "95 %", "off", "good"]
        wrong += shown("2. PostgreSQL, another load", heads, judged)
    wrong += table(laws)
    if BUSY:
        shares = f"{min(BUSY):.0%} to {max(BUSY):.0%} at work during a live run"
        print(f"\n{os.cpu_count()} cores, {shares}; without others it is some 10 % or less")
    rows = len(known) + len(judged) + sum(row.judged for row in laws)
    print(f"{rows - len(wrong)} of {rows} rows are good" + "".join(f"\n- {x}" for x in wrong))
    return 0 if not wrong or args.smoke else 1


if __name__ == "__main__":
    sys.exit(main())
