"""Two real workloads, learned from their first half and judged on their second.

Neither file is a list of calls with starts and ends, so each is made one by a stated rule.
"""

from __future__ import annotations

import csv
import gzip
import heapq
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

import tpssim
from tpssim.experiments.fitting.held_out import ALLOWED, Check, heavy_tailed
from tpssim.scenarios.recordings.calls import Recording


def holds_at_p99(found: Check, heavy: bool) -> bool:
    """Within 10 % (15 % of a heavy tail), or where 95 of 100 runs of the twin are."""
    (row,) = (row for row in found.rows if row.name == "p99")
    inside = row.low <= row.recorded <= row.high
    return inside or abs(row.difference) <= ALLOWED["tail" if heavy else "p99"]


@pytest.mark.parametrize("shared_trace", ["ycsb_read_latency.csv.gz"], indirect=True)
def test_reads_of_a_database(shared_trace: Path) -> None:
    """Counts of latencies in each second: starts spread evenly over it, in any order.

    From 180 s on, where the service is calm; its start-up before is not what comes after.
    """
    with gzip.open(shared_trace, "rt") as file:
        rows = np.loadtxt(file, delimiter=",", skiprows=1)
    rows = rows[(rows[:, 0] >= 180.5) & (rows[:, 0] < 200.0)]
    second, took = (np.repeat(rows[:, column], rows[:, 2].astype(int)) for column in (0, 1))
    draw = np.random.default_rng(0)
    start = second + draw.random(len(second))
    took += 1e-6 * draw.random(len(took))  # a bucket is 1 us wide
    order = np.argsort(start)
    start, took = start[order] - start.min(), took[order]
    found = tpssim.fit(Recording.of(start.tolist(), (start + took).tolist()))
    assert found.estimates["backend.servers"].is_bound()
    checked = found.check(8)
    assert holds_at_p99(checked, heavy_tailed(found.scenario.service)), checked.table()


@pytest.mark.parametrize("shared_trace", ["azure_llm_code_2023.csv"], indirect=True)
def test_bursts_of_requests_to_a_language_model(shared_trace: Path) -> None:
    """Arrivals and tokens: eight servers, first come first served, 20 ms for each generated token
    and 0.2 ms for each that was read.
    """
    with shared_trace.open(newline="") as file:
        rows = list(csv.DictReader(file))
    start = np.array([seconds(row["TIMESTAMP"]) for row in rows])
    start -= start[0]
    read, made = (
        np.array([float(row[name]) for row in rows])
        for name in ("ContextTokens", "GeneratedTokens")
    )
    end, free = [], [0.0] * 8
    for begun, takes in zip(start.tolist(), (2e-4 * read + 0.02 * made).tolist(), strict=True):
        end.append(max(begun, heapq.heappop(free)) + takes)
        heapq.heappush(free, end[-1])
    found = tpssim.fit(Recording.of(start.tolist(), end))
    assert found.estimates["backend.servers"][:] == (8.0, 8.0, 8.0)
    checked = found.check(8)
    assert holds_at_p99(checked, heavy_tailed(found.scenario.service)), checked.table()


def seconds(stamp: str) -> float:
    """A time with seven decimals, of which the library reads six."""
    whole, _, decimals = stamp.partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{decimals}")
