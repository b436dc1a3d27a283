"""Record something truly slow, noisy and blocking: durable SQLite commits; `--help` says how."""

from __future__ import annotations

import argparse
import contextlib
import csv
import multiprocessing
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean, pstdev, quantiles

DESCRIPTION = """\
Record something truly slow, noisy and blocking: durable SQLite commits, one row of about 1 kB each.

    python record_sqlite.py --calls 4000 --neighbour --out sqlite_commits.csv

Each call is one transaction (`journal_mode=DELETE`, `synchronous=FULL`): it returns when the
operating system says that the row is on the disk. `--neighbour` starts a second process that
commits to a database of its own in bursts on the same disk, as another tenant would. `--directory`
must lie on a real disk: on a RAM disk nothing waits for a device, a commit costs some 20
microseconds and nothing is learnt (`df -T DIR` tells; /tmp is a RAM disk on some systems). Standard
library only.
"""

ROW = os.urandom(1024)


def open_database(path: Path) -> sqlite3.Connection:
    """A database whose every commit reaches the disk before it returns."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, payload BLOB)")
    return connection


def commit(connection: sqlite3.Connection, size: int = 1) -> None:
    """One durable transaction of `size` rows."""
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO rows (payload) VALUES (?)", [(ROW,)] * size)
    connection.execute("COMMIT")


def disturb(path: Path) -> None:
    """The neighbour: bursts of large commits with pauses between them, until its recorder ends."""
    connection = open_database(path)
    dice = random.Random(1)
    recorder = multiprocessing.parent_process()
    while recorder is not None and recorder.is_alive():
        for _ in range(dice.randrange(1, 10)):
            commit(connection, 8000)
        time.sleep(dice.expovariate(1 / 0.3))


def record(connection: sqlite3.Connection, calls: int) -> Iterator[tuple[float, float]]:
    """(start since the first call, duration) of each commit, s."""
    origin = time.perf_counter()
    shown = origin
    for number in range(calls):
        start = time.perf_counter()
        commit(connection)
        end = time.perf_counter()
        yield start - origin, end - start
        if end - shown > 1.0:
            shown = end
            print(f"{number + 1} of {calls} commits", file=sys.stderr)


def write(path: Path, rows: list[tuple[float, float]]) -> None:
    """The CSV, complete or absent."""
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, delete=False, newline="", encoding="utf-8"
    ) as file:
        staged = Path(file.name)
        try:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("start_s", "service_s"))
            writer.writerows((f"{start:.4f}", f"{service:.7f}") for start, service in rows)
            file.close()
            staged.chmod(0o644)
            staged.replace(path)
        except BaseException:
            staged.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def neighbourhood(path: Path, wanted: bool) -> Iterator[None]:
    """The neighbour, if wanted; it is gone before its folder is removed, also after an error."""
    if not wanted:
        yield
        return
    neighbour = multiprocessing.Process(target=disturb, args=(path,), daemon=True)
    neighbour.start()
    try:
        yield
    finally:
        neighbour.terminate()
        neighbour.join()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=4000, help="number of commits (default: 4000)")
    parser.add_argument(
        "--neighbour", action="store_true", help="a second process commits in bursts"
    )
    parser.add_argument(
        "--directory", type=Path, help="where the databases live; default: a temporary one"
    )
    parser.add_argument("--out", type=Path, required=True, help="the CSV file to write")
    args = parser.parse_args()
    if args.calls < 2:
        parser.error(f"--calls {args.calls}; allowed: 2 or more")
    if args.out.is_dir() or not os.access(args.out.parent, os.W_OK):
        parser.error(
            f"--out {str(args.out)!r} cannot be written; allowed: a file in a folder that exists"
        )
    if args.directory is not None and not args.directory.is_dir():
        parser.error(
            f"--directory {str(args.directory)!r}; allowed: a folder that exists, on a real disk"
        )
    with (
        tempfile.TemporaryDirectory(dir=args.directory) as folder,
        neighbourhood(Path(folder) / "neighbour.db", args.neighbour),
    ):
        connection = open_database(Path(folder) / "recorded.db")
        try:
            rows = list(record(connection, args.calls))
        finally:
            connection.close()
    write(args.out, rows)
    times = [service for _, service in rows]
    cuts = quantiles(times, n=1000, method="inclusive")
    mean = fmean(times)
    print(
        f"n {len(times)}  mean {mean * 1e3:.3f} ms  CV {pstdev(times) / mean:.2f}  "
        f"p50 {cuts[499] * 1e3:.3f}  p90 {cuts[899] * 1e3:.3f}  "
        f"p99 {cuts[989] * 1e3:.3f}  p99.9 {cuts[998] * 1e3:.3f}  "
        f"max {max(times) * 1e3:.3f} ms"
    )


if __name__ == "__main__":
    main()
