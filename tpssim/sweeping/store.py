"""Results kept as they arrive, in one SQLite file: what was measured, under which key, and what failed.

One process writes; others never open the file. A row is written when its run is done, so that a process
that is killed loses no more than the runs in flight. Keys are made of everything that decides the numbers.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tpssim.core import VERSION, Aborted, InputError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS campaign (key TEXT PRIMARY KEY, made TEXT, tpssim TEXT, specification TEXT);
CREATE TABLE IF NOT EXISTS run (
    key TEXT, replication INTEGER, word INTEGER, calls INTEGER, measures BLOB,
    PRIMARY KEY (key, replication)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failure (key TEXT PRIMARY KEY, type TEXT, message TEXT, traceback TEXT);
"""

#: replication -> (verdict, calls, measures)
Runs = dict[int, tuple[int, int, Any]]


class Store:
    """An open file of results; a context manager."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(self.path, timeout=1.0, isolation_level=None)
            self._file.execute("PRAGMA journal_mode=WAL")
            self._file.execute("PRAGMA synchronous=NORMAL")
            # One writer: whoever comes second is told at once.
            self._file.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._file.execute("BEGIN EXCLUSIVE")
            for statement in _SCHEMA.split(";\n"):
                self._file.execute(statement)
            self._file.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            raise InputError(
                f"store {str(path)!r} cannot be used: {error}; "
                "allowed: a new file, or a store that nobody else uses"
            ) from error

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def describe(self, key: str, specification: Mapping[str, Any]) -> None:
        """Note once what a campaign is, for whoever opens the file."""
        made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._file.execute(
            "INSERT OR IGNORE INTO campaign VALUES (?, ?, ?, ?)",
            (key, made, VERSION, json.dumps(specification, sort_keys=True)),
        )

    def runs(self, key: str) -> Runs:
        """What is known of a point, by replication."""
        rows = self._file.execute("SELECT replication, word, calls, measures FROM run WHERE key = ?", (key,))
        return {r: (word, calls, np.frombuffer(measures)) for r, word, calls, measures in rows}

    def add(
        self, rows: Iterable[tuple[str, int, int, int, bytes]], failures: Iterable[tuple[str, ...]]
    ) -> None:
        """Keep runs (key, replication, verdict, calls, measures) and failures, all of them or none."""
        self._file.execute("BEGIN")
        try:
            self._file.executemany("INSERT OR REPLACE INTO run VALUES (?, ?, ?, ?, ?)", rows)
            self._file.executemany("INSERT OR REPLACE INTO failure VALUES (?, ?, ?, ?)", failures)
            self._file.execute("COMMIT")
        except sqlite3.Error as error:
            what = f"store {str(self.path)!r} cannot be written: {error}"
            raise Aborted(f"{what}; what had arrived before is kept: run it again when it can") from error


def remove(path: Path) -> None:
    """Delete a store that nobody has open."""
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        name.unlink(missing_ok=True)
