"""One word for a run, with its reason.

`inert`: the law leaves the rate valve open, and its limit held no call back and it refused none: the run
shows the schedule, not the law. `exceeds`: foreign code released calls by more than a tenth faster than the
wanted rate. Else the rules, in the order in which they are tried on each long phase:

- `oscillates`: the commanded rate swings by more than half of its mean in the steady window, or by more
  than a tenth in a regular cycle (R > 0.5 and r > 1). Noise makes an AIMD swing without a fixed period, so
  regularity alone would miss it.
- `saturated`: the lag behind the schedule grows by more than 1 % of the time while the consumer is at 90 % or
  more of its capacity: it asks for more than the consumer bears, and the backlog grows for as long as this
  lasts.
- `drifts`: the lag behind the schedule grows by more than 1000 ppm although the consumer is below 90 %.
- `stuck`: settled, but below 80 % of the achievable.
- `converges`: settled at 80 % of the achievable or above.

The word for the run is the worst of its phases: stuck, oscillates, saturated, drifts, converges. The word
for several replications is that of the majority (the worse one in a tie), with its share.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tpssim.core import REFUSED
from tpssim.metrics import measure_phases
from tpssim.plant import Async, Blocking
from tpssim.traces import Trace, checked_trace

if TYPE_CHECKING:
    from tpssim.reduction.records import Phase

#: The words, worst first.
WORDS = ("inert", "exceeds", "stuck", "oscillates", "saturated", "drifts", "converges")

#: A backlog grows: the longer the run, the worse it is, however much is achieved meanwhile.
GROWING = ("saturated", "drifts")

SWING, REGULAR_SWING = 0.5, 0.1
BUSY = 0.9
OVERLOAD, DRIFT = 10_000.0, 1000.0  # ppm
STUCK = 0.8
EXCESS = 1.1


class Verdict(NamedTuple):
    word: str
    reason: str


def word_of(phase: Phase) -> str:
    """The word for one phase."""
    regular = phase.period == phase.period and phase.swing > REGULAR_SWING
    if phase.swing > SWING or regular:
        return "oscillates"
    if phase.steady_load >= BUSY and phase.drift > OVERLOAD:
        return "saturated"
    if phase.steady_load < BUSY and phase.drift > DRIFT:
        return "drifts"
    return "stuck" if phase.steady_share < STUCK else "converges"


def judge_phase(phase: Phase) -> Verdict:
    """The verdict on one phase."""
    when, word = f"{phase.start:g}-{phase.end:g} s", word_of(phase)
    if word == "oscillates":
        regular = phase.period == phase.period and phase.swing > REGULAR_SWING
        cycle = f", period {phase.period:.2g} s" if regular else ""
        return Verdict(word, f"{when}: the rate swings by {phase.swing:.0%} of its mean{cycle}")
    if word == "saturated":
        return Verdict(
            word,
            f"{when}: asks for {phase.commanded:.4g}/s of a consumer that bears {phase.capacity:.4g}/s; "
            f"the lag grows by {phase.drift / 1e4:.2g} %",
        )
    if word == "drifts":
        return Verdict(word, f"{when}: falls behind its schedule by {phase.drift:.3g} ppm")
    settled = f"{phase.steady_share:.0%} of the achievable {phase.achievable:.4g}/s"
    return Verdict(word, f"{when}: settled at {settled}" if word == "stuck" else f"{when}: {settled}")


def worst(phases: Sequence[Phase]) -> str:
    """The worst word of any phase."""
    return min((word_of(phase) for phase in phases), key=WORDS.index)


def inertia(trace: Trace) -> str:
    """Why no valve of the law acted in a run; "" if one did."""
    open_rate = len(trace.rate) > 0 and bool((trace.rate == math.inf).all())
    if not open_rate or trace.meta["held"] > 0.0 or bool((trace.outcome == REFUSED).any()):
        return ""
    least, most = float(trace.limit.min()), float(trace.in_flight.max())
    if least == math.inf:
        return "the law left every valve open"
    calls = "call was" if most == 1.0 else "calls were"
    why = ""
    if isinstance(trace.scenario.consumer, Blocking):
        why = ": a blocking producer makes one call at a time"
    elif isinstance(trace.scenario.consumer, Async) and trace.scenario.consumer.feedback == "handoff":
        why = ": with hand-off feedback a call is over when it has been handed over"
    return (
        f"the law left the rate valve open, and its limit, never below {least:g}, held no call back; "
        f"at most {most:g} {calls} in flight{why}"
    )


def overrun(trace: Trace) -> str:
    """By how much code that hides its rate went beyond the wanted one; "" if it did not."""
    if not len(trace.rate) or not bool(np.isnan(trace.rate).all()):
        return ""
    wanted = trace.scenario.target * len(trace.scenario.producers)
    calls, took = len(trace.released), float(trace.released.max())
    # One second more: a window that is full at its start is no excess.
    if calls <= EXCESS * wanted * (took + 1.0):
        return ""
    return f"released {calls:,} calls in {took:.3g} s, where {wanted:g}/s were wanted"


def judge(trace: Trace, rows: list[Phase] | None = None) -> Verdict:
    """The verdict on one run: inert, or the worst of its phases, the later one if two are alike.

    Raises `InputError` for anything but a run.
    """
    idle = inertia(checked_trace(trace))
    if idle:
        return Verdict("inert", idle)
    excess = overrun(trace)
    if excess:
        return Verdict("exceeds", excess)
    every = [judge_phase(phase) for phase in (measure_phases(trace) if rows is None else rows)]
    return min(reversed(every), key=lambda verdict: WORDS.index(verdict.word))


def majority(words: Sequence[str]) -> tuple[str, float]:
    """The most frequent word and its share; the worse one in a tie.

    >>> majority(["stuck", "stuck", "converges"])
    ('stuck', 0.6666666666666666)
    """
    counts = Counter(words)
    word = max(WORDS, key=lambda w: (counts[w], -WORDS.index(w)))
    return word, counts[word] / len(words)


def merit(
    word: str, share: float, achieved: float | None, response_p99: float | None
) -> tuple[float, float, float]:
    """Sorts settings, the best first: by verdict, then its share and what is achieved.

    Where a backlog grows what is achieved says nothing: there the shortest response at p99 comes first. A
    word that is no verdict comes last.

    >>> sorted([("saturated", 1.0, 0.99, 9.8), ("saturated", 0.6, 0.97, 0.6), ("converges", 0.6, 0.9, 0.1)],
    ...        key=lambda setting: merit(*setting))[0]
    ('converges', 0.6, 0.9, 0.1)
    """
    if word not in WORDS:
        return 1.0, 0.0, 0.0
    rank = -float(WORDS.index(word))
    if word in GROWING:
        return rank, math.inf if response_p99 is None else response_p99, 0.0
    return rank, -share, math.inf if achieved is None else -achieved
