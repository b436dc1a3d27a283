"""What the numbers of a live report mean, as (unit, definition): the one place for it."""

from __future__ import annotations

from tpssim.output.records.parts import Definitions

MEANINGS: dict[str, tuple[str, str]] = {
    "released": ("calls", "calls released"),
    "refused": ("calls", "calls that the law refused locally"),
    "went_without": (
        "waits",
        "waits for a slot that timed out or were cancelled; a try (timeout=0) does not count",
    ),
    "ok": ("calls", "calls that succeeded"),
    "errors": ("calls", "calls that failed, including timeouts and refusals by the service"),
    "drops": ("calls", "errors that timed out or were refused by the service"),
    "timed_out": ("calls", "errors that timed out"),
    "refused_by_service": ("calls", "errors that the service refused (429, 503)"),
    "forgotten": ("calls", "calls that were given up; their outcome is unknown"),
    "in_flight": (
        "calls",
        "calls not settled at the end; released = ok + errors + forgotten + in_flight",
    ),
    "most_in_flight": ("calls", "most calls in flight at once"),
    "begun": ("calls", "calls that a worker began; all released calls if there are no workers"),
    "seconds": ("s", "from the first release to the last"),
    "target": ("1/s", "the wanted rate, at the end; all rates are of calls (of the mean cost)"),
    "wanted": ("1/s", "mean wanted rate, weighted by time"),
    "commanded": ("1/s", "mean rate that the law commanded, weighted by time"),
    "rate": ("1/s", "achieved: (calls released - 1) / seconds"),
    "begun_rate": (
        "1/s",
        "what reached the service: (calls begun - 1) / time from the first begin to the last",
    ),
    "mean_cost": ("1", "what calls have cost on average; the last one does not count"),
    "rate_error": ("share", "|begun_rate / commanded - 1|"),
    "target_error": ("share", "|begun_rate / wanted - 1|"),
    "drift_ppm": ("ppm", "slope of lateness over time"),
    "late_p50": ("s", "median of lateness: release - scheduled release"),
    "late_p90": ("s", "90th percentile of lateness"),
    "late_p99": ("s", "99th percentile of lateness"),
    "late_p999": ("s", "99.9th percentile of lateness"),
    "late_max": ("s", "greatest lateness"),
    "early": ("calls", "releases earlier than scheduled"),
    "gap_cv": ("1", "coefficient of variation of the gaps between releases"),
    "gaps_within_10": ("share", "gaps within 10 % of the commanded interval"),
    "gaps_within_25": ("share", "gaps within 25 % of the commanded interval"),
    "doubles": ("share", "gaps below 10 % of the commanded interval"),
    "most_in_10ms": ("calls", "most releases in any 10 ms"),
    "most_in_1s": ("calls", "most releases in any second; exact up to a million"),
    "most_begun_in_1s": ("calls", "most calls that began in any second; exact up to a million"),
    "ceiling": (
        "calls",
        'most releases in a second that late="auto" allows at the highest wanted rate: '
        "target + max(target / 10, 1) + 1",
    ),
    "caught_up": ("calls", "releases that were more than an interval late and not given up"),
    "skipped": ("slots", "slots that the late policy gave up"),
    "lost": ("s", "time that the late policy gave up: the sum of the intervals of skipped slots"),
    "re_anchored": ("times", "how often the late policy restarted the schedule"),
    "limited": ("slots", "slots that the limit delayed"),
    "quota_held": (
        "times",
        "how often calls waited until a quota had room again: one that waited and those right"
        " behind it, which found it open, are once",
    ),
    "quota_wait": ("s", "how long quotas held calls back, one after the other"),
    "retry_after_held": (
        "times",
        "how often calls were held back because the service said when to come back",
    ),
    "retry_after_wait": ("s", "how long Retry-After of the service held calls back"),
    "latency_p50": ("s", "median of the latency, completion - release, of calls that went well"),
    "latency_p90": ("s", "90th percentile of the latency of calls that went well"),
    "latency_p99": ("s", "99th percentile of the latency of calls that went well"),
    "latency_max": ("s", "the longest latency of calls that went well"),
    "wait_p50": ("s", "median of the wait from the release until a worker began the call"),
    "wait_p99": ("s", "99th percentile of the wait"),
    "service_mean": (
        "s",
        "mean time from the begin of a call to its end, if workers make the calls",
    ),
    "busy": ("share", "of the workers' time since the first release, spent making calls"),
    "blocked": ("share", "of the time, spent in the caller's code by the pacing thread"),
    "fetching": ("share", "of the time, spent in the iterable by the pacing thread"),
    "spin_cpu": ("share", "of a core, spent reading the clock"),
    "spin_threshold": (
        "s",
        "how long before a slot the throttle begins to read the clock, at the end of the run",
    ),
}


def definitions() -> Definitions:
    """The same as a part of a record of results."""
    return {
        name: {"unit": unit, "definition": meaning} for name, (unit, meaning) in MEANINGS.items()
    }
