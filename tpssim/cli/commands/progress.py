"""Progress on stderr, for whatever takes over a second."""

from __future__ import annotations

import bisect
import operator
import sys
import time

from tpssim.output import format


class Progress:
    """Progress on stderr: one line that is redrawn on a terminal, a line every few seconds
    elsewhere.

    As people read it: what is done of how many, and about how long the rest takes. That is said
    once a fifth of what is to do after the first is done, by the pace of the later half of it: the
    first ones compile, and their pace says nothing of the others. So it is at most about four times
    what it took so far.
    """

    KNOWN = 0.2

    def __init__(self, what: str, each: int = 1) -> None:
        self.what = what
        self.each = each  # of those that are counted, in one of those that are shown
        self.shown = time.monotonic()
        # When, and what share of the work was done then. What came before the first was start-up.
        self.points: list[tuple[float, float]] = []
        self.live = sys.stderr.isatty()

    def compiling(self) -> None:
        """Say why nothing is done yet."""
        text = "compiling, once after an installation"
        sys.stderr.write(f"\r{text:<78}" if self.live else f"{text}\n")
        sys.stderr.flush()

    def weighed(self, done: int, total: int, share: float) -> None:
        """As a call, for things that differ in what they take; `share` of the work is done."""
        self(done, total, share=share)

    def __call__(self, done: int, total: int, more: str = "", share: float | None = None) -> None:
        now = time.monotonic()
        if share is None:
            share = done / total if total else 1.0
        self.points.append((now, share))
        if now - self.shown < (0.1 if self.live else 2.0) and not (self.live and done == total):
            return
        self.shown = now
        text = f"{done * self.each:,} of {total * self.each:,} {self.what}{more and ', '}{more}"
        left = self._left()
        if done < total and left is not None:
            text += f", about {format.duration(left)} left"
        sys.stderr.write(f"\r{text:<78}" if self.live else f"{text}\n")
        if self.live and done == total:
            sys.stderr.write(f"\r{'':<78}\r")
        sys.stderr.flush()

    def _left(self) -> float | None:
        """About how long the rest takes, s; None if that cannot be known yet."""
        (now, share), first = self.points[-1], self.points[0][1]
        if share - first < self.KNOWN * (1.0 - first) or now <= self.points[0][0]:
            return None
        half = (
            bisect.bisect_right(self.points, (first + share) / 2.0, key=operator.itemgetter(1)) - 1
        )
        since, shared = self.points[half]
        return (1.0 - share) * (now - since) / (share - shared)


class StageProgress:
    """Progress by stages, a line each."""

    def __init__(self) -> None:
        self.stage, self.line = "", Progress("runs")

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage != self.stage:
            self.stage, self.line = stage, Progress(f"runs of the {stage}")
        self.line(done, total)
