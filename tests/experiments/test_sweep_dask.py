"""A sweep on a real Dask scheduler and two real workers on loopback, one of which is killed
halfway.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tpssim import sweep
from tpssim.cli.main import main

pytest.importorskip("distributed", reason="the extra dask is not installed")

GRID = ["alpha=0.05:0.5:12", "deadzone=1.02:1.5:12"]
QUIET = ["--dashboard-address", "127.0.0.1:0"]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """The scheduler's address, and two workers."""
    place = tmp_path / "scheduler.json"
    run = [sys.executable, "-m"]
    log = (tmp_path / "dask.log").open("wb")
    where = ["--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(place), *QUIET]
    scheduler = subprocess.Popen(
        [*run, "distributed.cli.dask_scheduler", *where], stdout=log, stderr=log, cwd=tmp_path
    )
    processes = [scheduler]
    try:
        for _ in range(600):
            if place.exists() and place.read_text().endswith("}"):
                break
            time.sleep(0.05)
        address = str(json.loads(place.read_text())["address"])
        options = ["--no-nanny", "--nthreads", "1", "--host", "127.0.0.1", *QUIET]
        workers = [
            subprocess.Popen(
                [*run, "distributed.cli.dask_worker", address, *options],
                stdout=log,
                stderr=log,
                cwd=tmp_path,
            )
            for _ in range(2)
        ]
        processes += workers
        yield address, workers
    finally:
        for process in processes:
            process.kill()
            process.wait()
        log.close()


def test_a_worker_that_is_killed_costs_nothing_but_time(
    cluster: tuple[str, list[subprocess.Popen[bytes]]], tmp_path: Path
) -> None:
    from distributed import Client

    address, workers = cluster
    killed: list[int] = []

    def kill_one(done: int, total: int, calls: int) -> None:
        if not killed and done > total // 10:
            workers[0].kill()
            killed.append(done)

    grid = {"alpha": [0.05, 0.1, 0.2, 0.4], "deadzone": [1.02 + 0.02 * i for i in range(20)]}
    arena = "blocking-steady:duration=100"
    # First, so that the workers find compiled what each of them would compile.
    here = sweep(arena, "ewma-deadzone", grid, replications=20)
    with Client(address) as client:
        client.wait_for_workers(2, timeout=60)
        executor = client.get_executor(pure=False)
        far = sweep(
            arena, "ewma-deadzone", grid, replications=20, executor=executor, progress=kill_one
        )
    assert 0 < killed[0] < 80 * 20
    assert workers[0].wait() != 0
    for name, result in (("far", far), ("here", here)):
        result.to_csv(tmp_path / name)
    assert (tmp_path / "far").read_bytes() == (tmp_path / "here").read_bytes()


def test_the_command_runs_on_dask(
    cluster: tuple[str, list[subprocess.Popen[bytes]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    line = [
        "sweep",
        "--scenario",
        "blocking-steady:duration=20",
        "--grid",
        *GRID,
        "--replications",
        "3",
    ]
    assert main([*line, "--dask", cluster[0], "--out", "far"]) == 0
    assert main([*line, "--workers", "1", "--out", "here"]) == 0
    for name in ("points.csv", "summary.json"):
        assert (tmp_path / "far" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()
