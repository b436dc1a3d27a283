"""What a report says of the calls of a run, as numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tpssim.live.stats import Tally, ceiling


def numbers(
    tally: Tally, held: Sequence[tuple[int, float]], workers: int, now: float
) -> dict[str, float]:
    """What a report says of the calls, by its names. `held`: as in the tally, with the call that
    waits now. `workers` is 0 where their number is not limited.
    """
    # Long, for every number of a report stands here once, under its name.
    rate, commanded, wanted = tally.rates()
    gaps = max(tally.released - 1, 1)
    late, latency, waits = tally.lateness, tally.latency, tally.waits
    lates = late.quantiles(0.5, 0.9, 0.99, 0.999)
    latencies, waited = latency.quantiles(0.5, 0.9, 0.99), waits.quantiles(0.5, 0.99)
    stretch = tally.last_begun - tally.first_begun
    begun = (waits.n - 1) / stretch if stretch > 0.0 else math.nan
    pooled = bool(workers or waits.n)
    got = begun if pooled else rate  # what reached the service
    *quotas, closed = held
    return {
        "released": tally.released,
        "refused": tally.refused,
        "went_without": tally.went_without,
        "ok": tally.ok,
        "errors": tally.errors,
        "drops": tally.drops,
        "timed_out": tally.timed_out,
        "refused_by_service": tally.refused_by_service,
        "forgotten": tally.forgotten,
        "most_in_flight": tally.most_in_flight,
        "begun": waits.n if pooled else tally.released,
        "seconds": tally.last - tally.first if tally.released else 0.0,
        "wanted": wanted,
        "commanded": commanded,
        "rate": rate,
        "mean_cost": tally.mean_cost() if tally.released else math.nan,
        "begun_rate": got,
        "rate_error": _off(got, commanded),
        "target_error": _off(got, wanted),
        "drift_ppm": tally.drift_ppm,
        "late_p50": lates[0],
        "late_p90": lates[1],
        "late_p99": lates[2],
        "late_p999": lates[3],
        "late_max": late.most if late.n else math.nan,
        "early": tally.early,
        "gap_cv": tally.gap_cv(),
        "gaps_within_10": tally.within_10 / gaps,
        "gaps_within_25": tally.within_25 / gaps,
        "doubles": tally.doubles / gaps,
        "most_in_10ms": tally.in_10ms.count,
        "most_in_1s": tally.in_1s.count,
        "most_begun_in_1s": tally.begun_in_1s.count if pooled else tally.in_1s.count,
        "ceiling": ceiling(tally.highest),
        "skipped": tally.skipped,
        "lost": sum(tally.lost),
        "quota_held": sum(calls for calls, _ in quotas),
        "quota_wait": sum(wait for _, wait in quotas),
        "retry_after_held": closed[0],
        "retry_after_wait": closed[1],
        "latency_p50": latencies[0],
        "latency_p90": latencies[1],
        "latency_p99": latencies[2],
        "latency_max": latency.most if latency.n else math.nan,
        "wait_p50": waited[0],
        "wait_p99": waited[1],
        "service_mean": tally.service(),
        "busy": tally.busy(workers, now),
    }


def _off(rate: float, of: float) -> float:
    return abs(rate / of - 1.0) if 0.0 < of < math.inf else math.nan
