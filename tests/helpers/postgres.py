"""A real service for tests: PostgreSQL behind a pool of so many connections.

Each call is one query, which waits for one of the connections, first come first served; it sleeps
for a drawn time and adds up numbers. Where PostgreSQL or psycopg is not there, `missing` says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

QUERY = "select pg_sleep(%s), sum(sqrt(i)) from generate_series(1, 1000) i"
STARTS = 60.0  # s in which it has to be there
WORDS = ("--auth=trust", "--username=tpssim", "--no-sync", "--encoding=UTF8", "--locale=C")
SETTINGS = ("fsync=off", "autovacuum=off", "shared_buffers=16MB", "jit=off", "bgwriter_delay=10s")


def _program(name: str) -> str | None:
    """Where a program of PostgreSQL is: distributions do not put all of them on the path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return shutil.which(name, path=os.pathsep.join([*map(str, folders), os.defpath]))


def missing() -> str:
    """What is not there; "" if all is."""
    if _program("initdb") is None or _program("postgres") is None:
        return "PostgreSQL is not installed"
    return "" if importlib.util.find_spec("psycopg") else "psycopg is not installed"


class Database:
    """A pool of connections to a server that runs."""

    def __init__(self, folder: str, connections: int, mean: float, cv: float, seed: int) -> None:
        self.folder, self._own = folder, threading.local()
        self._connections: list[Any] = []
        self._pool = ThreadPoolExecutor(connections, initializer=self._connect)
        variance = np.log(1.0 + cv * cv)
        draws = np.random.default_rng(seed).standard_normal(200_000)
        self.sleeps = mean * np.exp(np.sqrt(variance) * draws - variance / 2.0)

    def _connect(self) -> None:
        self._own.connection = connected(self.folder)
        self._connections.append(self._own.connection)

    def _query(self, k: int) -> Any:
        with self._own.connection.cursor() as cursor:
            cursor.execute(QUERY, (float(self.sleeps[k % len(self.sleeps)]),), prepare=True)
            return cursor.fetchone()[1]

    def _begun(self, k: int) -> Future[Any]:
        return self._pool.submit(self._query, k)

    def call(self, k: int) -> Any:
        """Make query k, and wait for its answer."""
        return self._begun(k).result()

    async def acall(self, k: int) -> Any:
        """The same in an event loop."""
        return await asyncio.wrap_future(self._begun(k))

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        for connection in self._connections:
            connection.close()


def connected(folder: str) -> Any:
    """A connection to the server whose socket is in a folder."""
    import psycopg

    return psycopg.connect(host=folder, user="tpssim", dbname="postgres", autocommit=True)


@contextlib.contextmanager
def postgres(
    connections: int = 4, mean: float = 0.02, cv: float = 0.5, seed: int = 0
) -> Iterator[Database]:
    """A server of its own in a new folder, on a socket alone, and a pool of connections to it."""
    # It refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else None
    folder = tempfile.mkdtemp(prefix="tpssim-pg-")
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    data = f"{folder}/data"
    made = subprocess.run(
        [str(_program("initdb")), f"--pgdata={data}", *WORDS],
        capture_output=True, text=True, cwd=folder, user=user,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    options = [f"max_connections={connections + 4}", *SETTINGS]
    words = [str(_program("postgres")), "-D", data, "-k", folder, "-h", ""]
    with open(f"{folder}/log", "w") as log:
        server = subprocess.Popen(
            [*words, *(word for option in options for word in ("-c", option))],
            stdout=log, stderr=log, cwd=folder, user=user,
        )  # fmt: skip
    try:
        _wait(server, folder)
        database = Database(folder, connections, mean, cv, seed)
        try:
            yield database
        finally:
            database.close()
    finally:
        server.send_signal(signal.SIGINT)  # it ends its connections, then itself
        server.wait(STARTS)
        shutil.rmtree(folder)


def _wait(server: subprocess.Popen[bytes], folder: str) -> None:
    """Until it answers."""
    import psycopg

    until = time.monotonic() + STARTS
    while True:
        try:
            connected(folder).close()
            return
        except psycopg.OperationalError:
            log = Path(folder, "log").read_text()
            assert server.poll() is None, log
            assert time.monotonic() < until, log
            time.sleep(0.05)
