"""A quota that nobody announced, of a real server: nginx with `limit_req`."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from helpers.nginx import missing, nginx

from tpssim.cli.main import main
from tpssim.core.types import OK

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

RATE, SECONDS = 100, 20.0


# Without a burst nginx refuses a call that comes a millisecond early, so how much is served depends
# on how precisely this machine wakes a thread.
@pytest.mark.parametrize(("burst", "least"), [(0, 0.3), (20, 0.9)])
def test_its_quota_is_found(burst: int, least: float, tmp_path: Path) -> None:
    """Three times as much is wanted; at most 3 % of the calls after the first five seconds are
    refused.
    """
    with nginx(tmp_path, RATE, burst) as url:
        words = ["live", "--url", url, "--async", "--tps", "300", "--controller", "headroom"]
        out = tmp_path / "out"
        assert main([*words, "--seconds", str(SECONDS), "--out", str(out), "--quiet"]) == 0
    with open(out / "live.csv", newline="", encoding="utf-8") as file:
        calls = list(csv.DictReader(file))
    served = sum(call["outcome"] == str(OK) for call in calls)
    late = [call["outcome"] for call in calls if float(call["released"]) >= 5.0]
    assert least * RATE * SECONDS <= served <= RATE * (SECONDS + 1.0) + burst
    assert sum(outcome != str(OK) for outcome in late) <= 0.03 * len(late)
