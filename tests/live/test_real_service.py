"""A real service: PostgreSQL, whose few connections are the servers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from helpers.postgres import Database, connected, missing, postgres

import tpssim

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with postgres(connections=3, mean=0.05, cv=0.0) as found:
        yield found


def test_its_connections_are_the_servers(database: Database) -> None:
    async def nine() -> list[Any]:
        return list(await asyncio.gather(*map(database.acall, range(9))))

    begun = time.perf_counter()
    answers = asyncio.run(nine())
    # Nine sleeps of 50 ms on three connections: three after each other, however fast it is.
    assert time.perf_counter() - begun >= 0.15
    assert answers == [pytest.approx(21097.4559, abs=1e-4)] * 9  # the sum of sqrt(1...1000)
    with connected(database.folder) as connection:
        query = "select count(*) from pg_stat_activity where client_port is not null"
        row = connection.execute(query).fetchone()
    assert row is not None
    assert row[0] == 3 + 1  # those of the pool, and this one


def test_calls_at_a_rate_go_well(database: Database) -> None:
    done = tpssim.run(database.call, range(30), 60.0, workers=8, results=False)
    assert (done.report.ok, done.report.errors) == (30, 0)
