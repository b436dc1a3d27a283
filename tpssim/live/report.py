"""The account of a live run, in numbers, and the warning of one."""

from __future__ import annotations

import math
import sys
import warnings
from typing import NamedTuple

from tpssim.core.types import record


class ThrottleWarning(RuntimeWarning):
    """The generator itself is what limits the rate; the message names the cause.

    >>> import tpssim
    >>> with warnings.catch_warnings():  # where a late release does not matter
    ...     warnings.simplefilter("ignore", ThrottleWarning)
    ...     len(list(tpssim.throttle(range(5), tps=1000.0)))
    5
    """


def warn(message: str) -> None:
    """Warn at the caller's line that the run is at: of the first frame that is neither ours nor
    asyncio's.
    """
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in (
        "tpssim",
        "asyncio",
    ):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, ThrottleWarning, stacklevel=level)


@record
class Report(NamedTuple):
    """A live run in numbers: times in s, rates in 1/s, shares as fractions; nan where there is
    none.
    """

    released: float  #: calls
    refused: float  #: calls that the law refused locally
    went_without: (
        float  #: waits for a slot that a timeout ended, or that were cancelled; a try is none
    )
    ok: float  #: calls that ended well
    errors: float  #: calls that failed, timed-out ones and refusals of the service included
    drops: float  #: errors that timed out or were refused by the service
    timed_out: float  #: errors that timed out
    refused_by_service: float  #: errors that the service refused (429, 503)
    forgotten: float  #: calls that were given up, of which nothing is known
    in_flight: float  #: calls not settled yet; released = ok + errors + forgotten + in_flight
    most_in_flight: float  #: most calls in flight at once
    begun: float  #: calls that a worker took; all that were released where none waits for one
    seconds: float  #: from the first release to the last
    target: float  #: the wanted rate, at the end
    wanted: float  #: mean wanted rate, weighted by time
    commanded: float  #: mean rate that the law commanded, weighted by time
    rate: float  #: achieved: (released - 1) / seconds
    begun_rate: (
        float  #: (begun - 1) / time from the first begin to the last: what reached the service
    )
    rate_error: float  #: |begun_rate / commanded - 1|
    target_error: float  #: |begun_rate / wanted - 1|
    drift_ppm: float  #: slope of lateness over time, 1e-6
    late_p50: float  #: lateness: release - scheduled release
    late_p90: float
    late_p99: float
    late_p999: float
    late_max: float
    early: float  #: releases before their time
    gap_cv: float  #: coefficient of variation of the gaps between releases
    gaps_within_10: float  #: share of gaps within 10 % of the commanded interval
    gaps_within_25: float  #: share within 25 %
    doubles: float  #: share of gaps below 10 % of the commanded interval
    most_in_10ms: float  #: most releases in any 10 ms
    most_in_1s: float  #: most releases in any second; exact to a million
    most_begun_in_1s: float  #: most calls that began in any second
    ceiling: float  #: most releases in a second that late="auto" allows at the highest wanted rate
    caught_up: float  #: releases more than an interval late that were made up for
    skipped: float  #: slots that the late policy gave up
    lost: float  #: how much of the schedule that was, s
    re_anchored: float  #: times that the late policy restarted the schedule
    held: float  #: slots that waited for the limit valve
    latency_p50: float  #: latency: completion - release
    latency_p90: float
    latency_p99: float
    latency_max: float
    wait_p50: float  #: wait: from the release until a worker began the call
    wait_p99: float
    service_mean: float  #: mean time from the begin of a call to its end, where workers make them
    busy: float  #: share of the workers' time, since the first release, that they were at a call
    blocked: float  #: share of the time that the pacing thread was in the caller's code
    fetching: float  #: share of the time that it was in the iterable, for the next item
    spin_cpu: float  #: share of a core spent reading the clock
    spin_threshold: float  #: s, at the end; nan if the clock is not ours
    verdict: str  #: the headline: what went wrong, and what limited the rate

    def __repr__(self) -> str:
        pace = "" if math.isnan(self.rate) else f" at {_rate(self.rate)}/s"
        n = f"{self.released:,.0f} call{'' if self.released == 1.0 else 's'}"
        return f"<Report: {n} in {self.seconds:.3g} s{pace}; {self.verdict}; print() shows it all>"

    def __str__(self) -> str:
        def us(seconds: float) -> str:
            if math.isnan(seconds):
                return "-"
            for unit, size in (("s", 1.0), ("ms", 1e-3)):
                if seconds >= size:
                    return f"{seconds / size:.3g} {unit}"
            return f"{seconds * 1e6:.3g} us"

        def share(value: float, digits: int = 0) -> str:
            return "-" if math.isnan(value) else f"{value:.{digits}%}"

        calls = f"{self.released:.0f} calls in {self.seconds:.3f} s"
        wanted = f"commanded {_rate(self.commanded)}, wanted {_rate(self.wanted)}"
        if not (math.isnan(self.wanted) or math.isclose(self.wanted, self.target, rel_tol=1e-3)):
            wanted += f", now {_rate(self.target)}"
        failed = self.errors - self.drops
        drift = ""  # where slots were given up, a line through the lags means nothing
        if not self.skipped:
            drift = (
                "; drift - ppm"
                if math.isnan(self.drift_ppm)
                else f"; drift {self.drift_ppm:.2f} ppm"
            )
        gone = f"; {self.went_without:.0f} waits without a slot" if self.went_without else ""
        lines = [
            f"{self.verdict}",
            f"  {calls}: {_rate(self.rate)}/s ({wanted}; off by {share(self.rate_error, 3)})",
            (
                f"  outcome   {self.ok:.0f} ok, {failed:.0f} failed, {self.timed_out:.0f} timed"
                f" out, {self.refused_by_service:.0f} refused by the service, {self.forgotten:.0f}"
                f" forgotten, {self.in_flight:.0f} open; {self.refused:.0f} slots refused"
                f" here{gone}"
            ),
            (
                f"  latency   p50 {us(self.latency_p50)}, p99 {us(self.latency_p99)},"
                f" max {us(self.latency_max)}; {share(self.blocked)} of the time in the caller,"
                f" {share(self.fetching)} in the iterable"
            ),
            (
                f"  workers   {self.begun:.0f} begun, {_rate(self.begun_rate)}/s;"
                f" waited p50 {us(self.wait_p50)}, p99 {us(self.wait_p99)};"
                f" {us(self.service_mean)} a call, {share(self.busy)} busy"
            ),
            (
                f"  lateness  p50 {us(self.late_p50)}, p99 {us(self.late_p99)}, max"
                f" {us(self.late_max)}{drift}"
            ),
            (
                f"  gaps      {self.gaps_within_10:.1%} within 10 %, {self.doubles:.1%} doubles,"
                f" at most {self.most_in_10ms:.0f} in 10 ms, {self.most_in_1s:.0f} in 1 s"
            ),
            (
                f"  schedule  {self.caught_up:.0f} caught up, {self.skipped:.0f} skipped"
                f" ({us(self.lost)}), {self.re_anchored:.0f} re-anchored, {self.held:.0f} held by"
                " the limit"
            ),
            (
                f"  cost      {share(self.spin_cpu, 1)} of a core spun, threshold"
                f" {us(self.spin_threshold)}"
            ),
        ]
        if math.isnan(self.wait_p50):
            del lines[4]  # no call has waited for a worker
        return "\n".join(lines)


def _rate(rate: float) -> str:
    """Two decimals, and three digits below 1."""
    if not math.isfinite(rate):
        return "-" if math.isnan(rate) else "any"
    return f"{rate:#.3g}" if 0.0 < rate < 0.995 else f"{rate:.2f}"
