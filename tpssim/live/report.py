"""The report of a live run, and the warning of one."""

from __future__ import annotations

import math
import sys
import warnings
from typing import NamedTuple

from tpssim.core.types import record
from tpssim.output.format import number, rate, seconds, share, times
from tpssim.output.meanings import MEANINGS


class ThrottleWarning(RuntimeWarning):
    """The generator itself limits the rate; the message names the cause.

    >>> import tpssim
    >>> with warnings.catch_warnings():  # where a late release does not matter
    ...     warnings.simplefilter("ignore", ThrottleWarning)
    ...     len(list(tpssim.throttle(range(5), tps=1000.0)))
    5
    """


def warn(message: str) -> None:
    """Warn at the caller's line: that of the first frame outside tpssim and asyncio."""
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

    `tpssim.output.meanings.MEANINGS` gives the unit and the meaning of each, and so does
    `help(tpssim.live.report.Report)`.
    """

    released: float
    refused: float
    went_without: float
    ok: float
    errors: float
    drops: float
    timed_out: float
    refused_by_service: float
    forgotten: float
    in_flight: float
    most_in_flight: float
    begun: float
    seconds: float
    target: float
    wanted: float
    commanded: float
    rate: float
    begun_rate: float
    mean_cost: float
    rate_error: float
    target_error: float
    drift_ppm: float
    late_p50: float
    late_p90: float
    late_p99: float
    late_p999: float
    late_max: float
    early: float
    gap_cv: float
    gaps_within_10: float
    gaps_within_25: float
    doubles: float
    most_in_10ms: float
    most_in_1s: float
    most_begun_in_1s: float
    ceiling: float
    caught_up: float
    skipped: float
    lost: float
    re_anchored: float
    limited: float
    quota_held: float
    quota_wait: float
    retry_after_held: float
    retry_after_wait: float
    latency_p50: float
    latency_p90: float
    latency_p99: float
    latency_max: float
    wait_p50: float
    wait_p99: float
    service_mean: float
    busy: float
    blocked: float
    fetching: float
    spin_cpu: float
    spin_threshold: float
    verdict: str

    def __repr__(self) -> str:
        pace = "" if math.isnan(self.rate) else f" at {rate(self.rate)}/s"
        n = f"{self.released:,.0f} call{'' if self.released == 1.0 else 's'}"
        return f"<Report: {n} in {self.seconds:.3g} s{pace}; {self.verdict}; print() shows it all>"

    def __str__(self) -> str:
        lines = [self.verdict, *_calls(self), *_schedule(self)]
        return "\n  ".join(lines)


for _name, (_unit, _meaning) in MEANINGS.items():
    getattr(Report, _name).__doc__ = f"{_meaning} ({_unit})"


def _calls(report: Report) -> list[str]:
    """How many calls there were, and what became of them."""
    r = report
    wanted = f"commanded {rate(r.commanded)}, wanted {rate(r.wanted)}"
    if not (math.isnan(r.wanted) or math.isclose(r.wanted, r.target, rel_tol=1e-3)):
        wanted += f", now {rate(r.target)}"
    gone = f"; {r.went_without:.0f} waits without a slot" if r.went_without else ""
    lines = [
        (
            f"{r.released:.0f} calls in {r.seconds:.3f} s: {rate(r.rate)}/s ({wanted};"
            f" off by {share(r.rate_error, 3)})"
        ),
        (
            f"outcome   {r.ok:.0f} ok, {r.errors - r.drops:.0f} failed, {r.timed_out:.0f} timed"
            f" out, {r.refused_by_service:.0f} refused by the service, {r.forgotten:.0f}"
            f" forgotten, {r.in_flight:.0f} open; {r.refused:.0f} slots refused here{gone}"
        ),
        (
            f"latency   p50 {seconds(r.latency_p50)}, p99 {seconds(r.latency_p99)},"
            f" max {seconds(r.latency_max)}; {share(r.blocked)} of the time in the caller,"
            f" {share(r.fetching)} in the iterable"
        ),
    ]
    if r.mean_cost not in (0.0, 1.0) and not math.isnan(r.rate):
        lines.append(
            f"cost      {number(r.mean_cost)} a call on average, so"
            f" {number(r.rate * r.mean_cost)} a second"
        )
    if not math.isnan(r.wait_p50):  # calls have waited for workers
        lines.append(
            f"workers   {r.begun:.0f} begun, {rate(r.begun_rate)}/s;"
            f" waited p50 {seconds(r.wait_p50)}, p99 {seconds(r.wait_p99)};"
            f" {seconds(r.service_mean)} a call, {share(r.busy)} busy"
        )
    return lines


def _schedule(report: Report) -> list[str]:
    """How the releases kept to the schedule."""
    r = report
    drift = ""  # where slots were given up, a line through the lags means nothing
    if not r.skipped:
        drift = "; drift - ppm" if math.isnan(r.drift_ppm) else f"; drift {r.drift_ppm:.2f} ppm"
    return [
        (
            f"lateness  p50 {seconds(r.late_p50)}, p99 {seconds(r.late_p99)}, max"
            f" {seconds(r.late_max)}{drift}"
        ),
        (
            f"gaps      {share(r.gaps_within_10, 1)} within 10 %, {share(r.doubles, 1)} doubles,"
            f" at most {r.most_in_10ms:.0f} in 10 ms, {r.most_in_1s:.0f} in 1 s"
        ),
        (
            f"schedule  {r.caught_up:.0f} caught up, {r.skipped:.0f} skipped"
            f" ({seconds(r.lost)}), {r.re_anchored:.0f} re-anchored, {r.limited:.0f} limited"
        ),
        *_held(r),
        f"cpu       {share(r.spin_cpu, 1)} of a core spun, threshold {seconds(r.spin_threshold)}",
    ]


def _held(report: Report) -> list[str]:
    """What held calls back, if anything did."""
    r = report
    waits = [
        f"{times(held)} for {seconds(wait)} by {what}"
        for held, wait, what in (
            (r.quota_held, r.quota_wait, "quotas"),
            (r.retry_after_held, r.retry_after_wait, "Retry-After of the service"),
        )
        if held
    ]
    return [f"held back {', '.join(waits)}"] if waits else []
