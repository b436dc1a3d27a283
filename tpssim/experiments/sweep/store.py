"""Results kept as they arrive, in one SQLite file: what was measured, under which key, and what
failed.

One process writes; others never open the file. A row is written when its run is done, so that a
process that is killed loses no more than the runs in flight. Keys are made of everything that
decides the numbers. Each row carries a digest of itself: one that was damaged counts as missing,
and its run is made once more.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tpssim.core.errors import Aborted, InputError
from tpssim.core.types import VERSION

_TABLES = {
    "campaign": ("key TEXT PRIMARY KEY", "made TEXT", "tpssim TEXT", "specification TEXT"),
    "run": ("key TEXT", "replication INTEGER", "word INTEGER", "calls INTEGER", "measures BLOB"),
    "failure": ("key TEXT PRIMARY KEY", "type TEXT", "message TEXT", "traceback TEXT"),
}
_ENDS = {"run": ", PRIMARY KEY (key, replication)) WITHOUT ROWID"}
_APPLICATION, _FORMAT = 0x74707373, 2  # as SQLite notes them in a file; 2: rows with a digest
_SEAL = 16  # bytes of it

#: verdict, calls, measures
Run = tuple[int, int, Any]
#: key, replication, verdict, calls, measures
RunRow = tuple[str, int, int, int, bytes]


def _seal(key: str, replication: int, word: int, calls: int, measures: bytes) -> bytes:
    head = f"{key} {replication} {word} {calls} ".encode()
    return hashlib.blake2b(head + measures, digest_size=_SEAL).digest()


class Store:
    """An open file of results; a context manager."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(self.path, timeout=1.0, isolation_level=None)
            try:
                self._begin()
                self._file.text_factory = (
                    bytes  # where a blob should be, a damaged file may have any text
                )
            except BaseException:
                self._file.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(str(error)) from error

    def _unusable(self, why: str) -> InputError:
        return InputError(
            f"store {str(self.path)!r} cannot be used: {why}; "
            "allowed: a new file, or a store that nobody else uses"
        )

    def _begin(self) -> None:
        """Look before anything is written whether the file is one of ours; raises `InputError`."""
        execute = self._file.execute
        # One writer: a second one fails at once.
        execute("PRAGMA locking_mode=EXCLUSIVE")
        tables = {
            name for (name,) in execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
        ((application,),) = execute("PRAGMA application_id")
        ((version,),) = execute("PRAGMA user_version")
        for table in tables & _TABLES.keys():
            columns = [name for _, name, *_ in execute(f"PRAGMA table_info({table})")]
            if columns != [column.partition(" ")[0] for column in _TABLES[table]]:
                tables.add(f"another {table}")
        if others := tables - _TABLES.keys():
            raise self._unusable(
                f"it is a database of another program, with the table {min(others)!r}"
            )
        if application not in (0, _APPLICATION) or version > _FORMAT:
            raise self._unusable(
                f"it was made by another program or a later version (format {version})"
            )
        execute("PRAGMA journal_mode=WAL")
        execute("PRAGMA synchronous=NORMAL")
        execute("BEGIN EXCLUSIVE")
        for table, entries in _TABLES.items():
            execute(
                f"CREATE TABLE IF NOT EXISTS {table} ({', '.join(entries)}{_ENDS.get(table, ')')}"
            )
        execute(f"PRAGMA application_id={_APPLICATION}")
        execute(f"PRAGMA user_version={_FORMAT}")
        execute("COMMIT")

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def describe(self, key: str, specification: Mapping[str, Any]) -> None:
        """Note once what a campaign is, for whoever opens the file; raises `InputError`."""
        made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        row = key, made, VERSION, json.dumps(specification, sort_keys=True)
        try:
            self._file.execute("INSERT OR IGNORE INTO campaign VALUES (?, ?, ?, ?)", row)
        except sqlite3.Error as error:
            raise self._unusable(str(error)) from error

    def runs(self, key: str) -> dict[int, Run]:
        """What is known of a point, by replication; raises `InputError`."""
        query = "SELECT replication, word, calls, measures FROM run WHERE key = ?"
        try:
            rows = self._file.execute(query, (key,)).fetchall()
        except sqlite3.Error as error:
            raise self._unusable(str(error)) from error
        found: dict[int, Run] = {}
        for replication, word, calls, kept in rows:
            whole = isinstance(kept, bytes) and kept[-_SEAL:] == _seal(
                key, replication, word, calls, measures := kept[:-_SEAL]
            )
            if whole:
                found[replication] = word, calls, np.frombuffer(measures)
        return found

    def add(self, rows: Iterable[RunRow], failures: Iterable[tuple[str, ...]]) -> None:
        """Keep runs and failures, all of them or none."""
        sealed = [(*row[:4], row[4] + _seal(*row)) for row in rows]
        try:
            self._file.execute("BEGIN")
            self._file.executemany("INSERT OR REPLACE INTO run VALUES (?, ?, ?, ?, ?)", sealed)
            self._file.executemany("INSERT OR REPLACE INTO failure VALUES (?, ?, ?, ?)", failures)
            self._file.execute("COMMIT")
        except sqlite3.Error as error:
            if self._file.in_transaction:
                self._file.execute("ROLLBACK")
            if not isinstance(error, sqlite3.OperationalError):  # the file itself is damaged
                raise self._unusable(str(error)) from error
            what = f"store {str(self.path)!r} cannot be written: {error}"
            raise Aborted(
                f"{what}; what had arrived before is kept: run it again when it can"
            ) from error


def remove(path: Path) -> None:
    """Delete a store that nobody has open."""
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        name.unlink(missing_ok=True)
