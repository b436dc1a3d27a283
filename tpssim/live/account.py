"""The account of a live run: its numbers, and what limited it."""

from __future__ import annotations

import math
import sys
import threading
import time
import warnings
from typing import NamedTuple

from tpssim.live.tally import Tally


class ThrottleWarning(RuntimeWarning):
    """The generator itself is what limits the rate; the message names the cause."""


def warn(message: str) -> None:
    """Warn at the caller's line that the run is at: of the first frame that is neither ours nor asyncio's."""
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in ("tpssim", "asyncio"):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, ThrottleWarning, stacklevel=level)


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
    fetching: float  #: share of the time that it was in the iterable, for the next item
    spin_cpu: float  #: share of a core spent reading the clock
    spin_threshold: float  #: s, at the end; nan if the clock is not ours
    verdict: str  #: on pace, or what limited it

    def __repr__(self) -> str:
        pace = "" if math.isnan(self.rate) else f" at {self.rate:.2f}/s"
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
                f" max {us(self.latency_max)}; {self.blocked:.0%} of the time in the caller,"
                f" {self.fetching:.0%} in the iterable",
                f"  outcome   {self.ok:.0f} ok, {self.errors:.0f} failed ({self.drops:.0f} of them dropped),"
                f" {self.refused:.0f} refused here, {self.in_flight:.0f} open",
                f"  schedule  {self.caught_up:.0f} caught up, {self.dropped:.0f} dropped,"
                f" {self.re_anchored:.0f} re-anchored, {self.held:.0f} held by the limit",
                f"  cost      {self.spin_cpu:.1%} of a core spun, threshold {us(self.spin_threshold)}",
            )
        )


class Watch:
    """Is it the generator that is late, and why? Judges a second at a time, and by the pacing thread only,
    whose processor time no other thread can read."""

    def __init__(self, tally: Tally, now: float, in_loop: bool) -> None:
        self._tally = tally
        self._in_loop = in_loop  # whether the pacing thread is an event loop
        self._pacing = threading.get_ident()
        self._worst = 1
        self.cause = ""  #: why releases came late in the second in which most did; "" while none has
        self._warned = False
        self._begin(now)

    def _begin(self, now: float) -> None:
        """A second begins."""
        tally = self._tally
        self._since, self._planned = now, tally.planned
        self._released, self._behind = tally.released, tally.behind
        self._process, self._thread = time.process_time(), time.thread_time()

    def look(self, now: float) -> str:
        """After a release: what to warn of, once. One in five has come late by our doing for a second."""
        seconds = now - self._since
        if seconds <= 1.0:
            return ""
        released, behind = self._tally.released - self._released, self._tally.behind - self._behind
        cause = self.judge(now)
        self._begin(now)
        if self._warned or released < 5 or behind <= 0.2 * released:
            return ""
        self._warned = True
        return f"{behind} of {released} releases came late in the last {seconds:.1f} s, for {cause}"

    def judge(self, now: float) -> str:
        """Why releases have come late in this second so far. Does nothing in another thread."""
        behind = self._tally.behind - self._behind
        if not behind or threading.get_ident() != self._pacing:
            return ""
        cause = self._found(max(now - self._since, 1e-9))
        if behind >= self._worst:
            self._worst, self.cause = behind, cause
        return cause

    def _found(self, seconds: float) -> str:
        mine = (time.thread_time() - self._thread) / seconds
        others = (time.process_time() - self._process) / seconds - mine
        wanted = (self._tally.planned - self._planned) / (self._tally.released - self._released)
        if others > 0.15:  # on a busy machine they get no more
            return (
                f"other threads of this process compute ({others:.0%} of a core) and hold the "
                "interpreter lock; move them to a process, or sys.setswitchinterval(1e-4)"
            )
        if self._in_loop:
            return "a task computes or blocks the event loop too long without await"
        if mine * wanted > 0.9:  # what it would take for the calls that were commanded, in cores
            return "the pacing thread is busy all the time: the rate is too high for one thread"
        return "the system wakes this thread up late; is another process on its core?"


def verdict(tally: Tally, name: str, cause: str, held: float) -> str:
    """One line: what limits the rate, and whether the calls went well.

    `name` is the law's; `held` counts the slots that waited for its limit; `cause` says why wake-ups are
    late, if known.
    """
    ended = tally.ok + tally.errors
    failed = tally.errors / ended if ended else 0.0
    return _pace(tally, name, cause, held) + (f"; {failed:.0%} of the calls failed" if failed > 0.01 else "")


def _pace(tally: Tally, name: str, cause: str, held: float) -> str:
    rate, commanded, wanted = tally.rates()
    if not rate > 0.0:
        return "too few calls to judge"
    below = rate < 0.99 * commanded
    if tally.behind > 0.05 * tally.released and tally.behind >= tally.overtaken:
        share, late = tally.behind / tally.released, tally.lateness.quantile(0.99)
        told = f"{share:.0%} of the calls released late, by {late * 1e3:.3g} ms at p99"
        where = "limited by the generator" if below else "on pace, but unevenly"
        return f"{where}: {told}, for {cause or 'its clock wakes it up late'}"
    if below and held > 0.05 * tally.released:
        return f"held back by the limit of {name}: {rate:.4g} of {commanded:.4g} a second"
    if below and tally.overtaken > 0.05 * tally.released:
        body, item = tally.blocked / tally.released, tally.fetching / tally.released
        able = f"{1.0 / (body + item):.4g} a second" if body + item > 0.0 else "that much"
        each = f"{body * 1e3:.3g} ms of code a call and {item * 1e3:.3g} ms for its item"
        return f"limited by the {'iterable' if item > body else 'caller'}: {each}, so one at a time {able}"
    if commanded < 0.99 * wanted:
        return f"on pace, held back by {name}: {commanded:.4g} of {wanted:.4g} a second commanded"
    return f"below pace: {rate:.4g} of {commanded:.4g} a second" if below else "on pace"
