"""How fast recordings are read, and in how much memory: rows of each kind, in a process of its own.

    python benchmarks/import_speed.py [--smoke] [--rows N]

Printed are seconds, CPU seconds, rows a second and the most memory that was held. The exit code is
1 if 5,000,000 rows (scaled to those that are read) would take longer than 60 s of CPU, or if more
than 1 GB is held; with `--smoke` few rows are read, and nothing is made of the figures.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

ROWS, SMOKE = 5_000_000, 20_000
SECONDS, MEGABYTES = 60.0, 1000.0
BEGAN = 1_795_860_000 * 10**9  # ns

#: What reads it: another process, so that nothing else is in its memory.
READER = """
import json, resource, sys, time
from tpssim import read_recording
began, used = time.perf_counter(), time.process_time()
calls = len(read_recording(sys.argv[1]))
print(json.dumps([calls, time.perf_counter() - began, time.process_time() - used,
                  resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def ours(start: int, took: int, number: int) -> str:
    """As `Trace.to_csv` writes it."""
    begun, ended = start / 1e9, (start + took) / 1e9
    outcome = 3 * (number % 50 == 0)
    return f"{begun},{begun},{ended},{took / 1e9},1000.0,inf,3.0,{outcome},0,1.0"


def vegeta(start: int, took: int, number: int) -> str:
    code = 503 if number % 50 == 0 else 200
    return f"{BEGAN + start},{code},{took},0,17,,,run,{number},GET,http://h/{number % 7},"


def table(start: int, took: int, number: int) -> str:
    return f"{(BEGAN + start) // 1000},{took / 1e6},{503 if number % 50 == 0 else 200}"


KINDS: dict[str, tuple[str, Callable[[int, int, int], str]]] = {
    "calls of tpssim": (
        "scheduled,released,completed,latency,rate,limit,in_flight,outcome,producer,cost",
        ours,
    ),
    "Vegeta CSV": ("", vegeta),
    "table": ("timestamp,latency_ms,status", table),
}


def lines(kind: str, rows: int) -> Iterator[str]:
    """The text of a file: calls of 20 ms, a thousand a second."""
    head, line = KINDS[kind]
    if head:
        yield head
    dice = random.Random(1)
    start = 0
    for number in range(rows):
        start += int(dice.expovariate(1e-6))
        yield line(start, int(dice.expovariate(5e-8)), number)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="few rows")
    parser.add_argument("--rows", type=int, default=ROWS, help=f"default: {ROWS:,}")
    args = parser.parse_args()
    rows = SMOKE if args.smoke else args.rows
    worst = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "calls"
        for kind in KINDS:
            with open(path, "w", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines(kind, rows))
            command = [sys.executable, "-c", READER, str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            calls, took, used, held = json.loads(done.stdout)
            if calls != rows:
                print(f"{kind}: {calls:,} calls of {rows:,} rows")
                return 1
            size = path.stat().st_size / 1e6
            print(
                f"{kind:16} {rows:,} rows, {size:,.0f} MB: {took:.1f} s, {used:.1f} s of CPU,"
                f" {rows / used:,.0f} rows a second of CPU, {held:,.0f} MB held"
            )
            worst += used * ROWS / rows > SECONDS or held > MEGABYTES
    return 0 if args.smoke else min(worst, 1)


if __name__ == "__main__":
    sys.exit(main())
