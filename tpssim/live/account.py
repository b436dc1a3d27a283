"""The account of a live run: its numbers, and what limited it."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from typing import NamedTuple

from tpssim.live.tally import Tally


class ThrottleWarning(RuntimeWarning):
    """The generator itself is what limits the rate; the message names the cause."""


class Report(NamedTuple):
    """A live run in numbers: times in s, rates in 1/s, shares as fractions; nan where there is none."""

    released: float  #: calls
    refused: float  #: calls that the law refused locally
    ok: float  #: calls that ended well
    errors: float  #: calls that failed, timed-out ones and refusals of the service included
    drops: float  #: errors that timed out or were refused by the service
    in_flight: float  #: calls not settled yet
    seconds: float  #: from the first release to the last
    target: float  #: the wanted rate, at the end
    commanded: float  #: mean rate that the law commanded, weighted by time
    rate: float  #: achieved: (released - 1) / seconds
    rate_error: float  #: |rate / commanded - 1|
    target_error: float  #: |rate / mean wanted rate - 1|
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
    caught_up: float  #: releases more than an interval late that were made up for
    dropped: float  #: slots dropped by the late policy
    re_anchored: float  #: times that the late policy restarted the schedule
    held: float  #: slots that waited for the limit valve
    latency_p50: float  #: latency: completion - release
    latency_p90: float
    latency_p99: float
    latency_max: float
    blocked: float  #: share of the time that the pacing thread was in the caller's code
    spin_cpu: float  #: share of a core spent reading the clock
    spin_threshold: float  #: s, at the end; nan if the clock is not ours
    verdict: str  #: on pace, or what limited it

    def __str__(self) -> str:
        def us(seconds: float) -> str:
            if math.isnan(seconds):
                return "-"
            for unit, size in (("s", 1.0), ("ms", 1e-3)):
                if seconds >= size:
                    return f"{seconds / size:.3g} {unit}"
            return f"{seconds * 1e6:.3g} us"

        calls = f"{self.released:.0f} calls in {self.seconds:.3f} s"
        wanted = f"commanded {self.commanded:.2f}, wanted {self.target:g}"
        return "\n".join(
            (
                f"{self.verdict}",
                f"  {calls}: {self.rate:.2f}/s ({wanted}; off by {self.rate_error:.3%})",
                f"  lateness  p50 {us(self.late_p50)}, p99 {us(self.late_p99)}, max {us(self.late_max)};"
                f" drift {self.drift_ppm:.1f} ppm",
                f"  gaps      {self.gaps_within_10:.1%} within 10 %, {self.doubles:.1%} doubles,"
                f" at most {self.most_in_10ms:.0f} in 10 ms",
                f"  latency   p50 {us(self.latency_p50)}, p99 {us(self.latency_p99)},"
                f" max {us(self.latency_max)}; {self.blocked:.0%} of the time in the caller",
                f"  outcome   {self.ok:.0f} ok, {self.errors:.0f} failed ({self.drops:.0f} of them dropped),"
                f" {self.refused:.0f} refused here, {self.in_flight:.0f} open",
                f"  schedule  {self.caught_up:.0f} caught up, {self.dropped:.0f} dropped,"
                f" {self.re_anchored:.0f} re-anchored, {self.held:.0f} held by the limit",
                f"  cost      {self.spin_cpu:.1%} of a core spun, threshold {us(self.spin_threshold)}",
            )
        )


class Watch:
    """Is it the generator that is late, and why? Looks once a second, warns once."""

    def __init__(self, tally: Tally, now: Callable[[], float], in_loop: bool) -> None:
        self._tally = tally
        self._now = now
        self._in_loop = in_loop  # whether the pacing thread is an event loop
        self.began = now()
        self._process, self._thread = time.process_time(), time.thread_time()
        self._since, self._released, self._behind = self.began, 0, 0
        self._warned = False

    def look(self, now: float) -> None:
        """After a release, in the pacing thread; warns if one in five was late by our doing for a second."""
        if now - self._since <= 1.0:
            return
        tally = self._tally
        since, released, behind = self._since, tally.released - self._released, tally.behind - self._behind
        self._since, self._released, self._behind = now, tally.released, tally.behind
        if self._warned or released < 5 or behind <= 0.2 * released:
            return
        self._warned = True
        message = f"{behind} of {released} releases came late in the last {now - since:.1f} s: {self.cause()}"
        warnings.warn(message, ThrottleWarning, stacklevel=6)

    def cause(self) -> str:
        """Why the pacing thread wakes up late."""
        elapsed = max(self._now() - self.began, 1e-9)
        mine = (time.thread_time() - self._thread) / elapsed
        others = (time.process_time() - self._process) / elapsed - mine
        late = f"{self._tally.lateness.quantile(0.5) * 1e3:.3g} ms late at the median"
        if others > 0.3:
            return (
                f"{late}, for other threads of this process compute ({others:.0%} of a core) and hold the "
                "interpreter lock; move them to a process, or sys.setswitchinterval(1e-4)"
            )
        if self._in_loop:
            return f"{late}, for a task computes or blocks the event loop too long without await"
        if mine > 0.9:
            return f"{late}, for the pacing thread is busy all the time: the rate is too high for one thread"
        return f"{late}, for the system wakes this thread up late; is another process on its core?"


def verdict(tally: Tally, name: str, cause: Callable[[], str] | None) -> str:
    """One line: what limits the rate. `name` is the law's; `cause` says why wake-ups are late."""
    rate, commanded, wanted = tally.rates()
    if not rate > 0.0:
        return "too few calls to judge"
    if tally.behind > 0.05 * tally.released and tally.behind >= tally.overtaken:
        return f"limited by the generator: {cause() if cause else 'its clock wakes it up late'}"
    if rate < 0.99 * commanded and tally.overtaken > 0.05 * tally.released:
        each = tally.blocked / tally.released
        able = f"{1.0 / each:.4g} a second" if each > 0.0 else "that much"
        return f"limited by the caller: its code takes {each * 1e3:.3g} ms a call, so one at a time {able}"
    if commanded < 0.99 * wanted:
        return f"on pace, held back by {name}: {commanded:.4g} of {wanted:.4g} a second commanded"
    if rate < 0.99 * commanded:
        return f"below pace: {rate:.4g} of {commanded:.4g} a second"
    return "on pace"
