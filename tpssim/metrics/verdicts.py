"""One word for a run, with its reason.

`inert`: the law leaves the rate open, and its limit held no call back and it refused none:
the run shows the schedule, not the law. `exceeds`: foreign code released calls by more than a tenth
faster than the wanted rate. Else the rules, in the order in which they are tried on each long
phase:

- `oscillates`: the commanded rate (the limit, if the law commands that) swings by more than half of
  its mean in the steady window, or by more than a tenth in a regular cycle (R > 0.5 and r > 1).
  Noise makes an AIMD swing without a fixed period, so regularity alone would miss it.
- `saturated`: the lag behind the schedule grows by more than 1 % of the time while the consumer is
  at 90 % or more of its capacity: it asks for more than the consumer can sustain, and the backlog
  grows for as long as this lasts. Also where it would converge, but of the calls that it sends in
  the steady window more than a tenth stay without an answer, for the service refuses them, they
  time out or pile up there: where calls overlap, no lag behind the schedule shows that.
- `drifts`: the lag behind the schedule grows by more than 1000 ppm although the consumer is below
  90 %.
- `stuck`: settled, but below 80 % of the achievable.
- `converges`: settled at 80 % of the achievable or above.

A reason says besides if more than a hundredth of the slots were skipped: with a late policy that
gives up slots no lag grows. Of recorded arrivals it says if they are too few to tell (fewer than 20
calls were released), and if a rate that swings does so because the law follows them. Beside the
word stands a remark: `bursts`, where far more calls than wanted are released in a second or in 10
ms, for a rate that is right on average may still be one that no quota allows; and `losses`, where
more than a twentieth of the calls sent in a steady window stayed without an answer.

The word for the run is the worst of its phases: stuck, oscillates, saturated, drifts, converges.
The word for several replications is that of the majority (the worse one in a tie), with its share.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tpssim.core.types import REFUSED, record
from tpssim.metrics.measure import measure_phases
from tpssim.output import format
from tpssim.output.verdict_words import WORDS
from tpssim.scenarios.capacity import most_wanted
from tpssim.scenarios.load import peak
from tpssim.scenarios.plant import Async, Blocking
from tpssim.simulation.trace import Trace, checked_trace

if TYPE_CHECKING:
    from tpssim.metrics.layout import Phase
    from tpssim.scenarios.scenario import Scenario

SWING, REGULAR_SWING = 0.5, 0.1
BUSY = 0.9
OVERLOAD, DRIFT = 10_000.0, 1000.0  # ppm
STUCK = 0.8
EXCESS = 1.1
SKIPPED = 0.01  # of the slots
#: Of the calls sent: so many without an answer make a word, so many a remark.
OVERLOADED, LOSSES = 0.1, 0.05
ENOUGH = 20  # calls that recorded arrivals come to, for a word to mean something
#: Of what is wanted in a second, and in 0.1 s, which may come at once: more of it, beside a few
#: calls, is a burst. A ceiling as of `late="auto"` stays below both.
BURST, FEW_1S, FEW_10MS = 1.25, 2.0, 10.0


@record
class Verdict(NamedTuple):
    word: str
    reason: str


def word_of(phase: Phase) -> str:
    """The word for one phase."""
    regular = phase.period == phase.period and phase.swing > REGULAR_SWING
    if phase.swing > SWING or regular:
        return "oscillates"
    if grows(phase):
        return "saturated"
    if phase.steady_load < BUSY and phase.drift > DRIFT:
        return "drifts"
    if phase.steady_share < STUCK:
        return "stuck"
    return "saturated" if lost(phase) > OVERLOADED else "converges"


def grows(phase: Phase) -> bool:
    """Whether a backlog grows in front of a consumer that is busy."""
    return phase.steady_load >= BUSY and phase.drift > OVERLOAD


def lost(phase: Phase) -> float:
    """The share of the calls sent in the steady window of a phase that need not have stayed without
    an answer: where nothing is achievable, all have to.
    """
    return phase.steady_unanswered if phase.achievable > 0.0 else 0.0


def judge_phase(phase: Phase, what: str = "rate") -> Verdict:
    """The verdict on one phase; `what` the law commands."""
    when, word = f"{phase.start:g}-{phase.end:g} s", word_of(phase)
    if word == "oscillates":
        regular = phase.period == phase.period and phase.swing > REGULAR_SWING
        cycle = f", period {phase.period:.2g} s" if regular else ""
        swing = f"the {what} swings by {format.share(phase.swing)} of its mean"
        return Verdict(word, f"{when}: {swing}{cycle}")
    if word == "saturated" and not grows(phase):
        return Verdict(word, _lost(phase))
    if word == "saturated":
        return Verdict(
            word,
            f"{when}: asks for {phase.commanded:.4g}/s of a consumer that sustains"
            f" {phase.capacity:.4g}/s; the lag grows by {phase.drift / 1e4:.2g} %",
        )
    if word == "drifts":
        return Verdict(word, f"{when}: falls behind its schedule by {phase.drift:.3g} ppm")
    settled = f"{format.share(phase.steady_share)} of the achievable {phase.achievable:.4g}/s"
    return Verdict(
        word, f"{when}: settled at {settled}" if word == "stuck" else f"{when}: {settled}"
    )


def _lost(phase: Phase) -> str:
    when, share = f"{phase.start:g}-{phase.end:g} s", format.share(phase.steady_unanswered)
    return f"{when}: {share} of the calls sent are refused, time out or pile up"


def worst(phases: Sequence[Phase]) -> str:
    """The worst word of any phase."""
    return min((word_of(phase) for phase in phases), key=WORDS.index)


def is_inert(open_rate: bool, limited: float, refused: float) -> bool:
    """Whether no actuator of the law acted: it left the rate open, its limit held no call back, and
    it rejected none.
    """
    return open_rate and limited == 0.0 and refused == 0.0


def word_of_run(open_rate: bool, limited: float, refused: float, phases: Sequence[Phase]) -> str:
    """The word for a run of a law, as `judge` gives it."""
    return "inert" if is_inert(open_rate, limited, refused) else worst(phases)


def inertia(trace: Trace) -> str:
    """Why no actuator of the law acted in a run; "" if one did."""
    open_rate = len(trace.rate) > 0 and bool((trace.rate == math.inf).all())
    if not is_inert(open_rate, trace.meta["limited"], float((trace.outcome == REFUSED).sum())):
        return ""
    least, most = float(trace.limit.min()), float(trace.in_flight.max())
    if least == math.inf:
        return "the law left every actuator open"
    calls = "call was" if most == 1.0 else "calls were"
    why = ""
    if isinstance(trace.scenario.consumer, Blocking):
        why = ": a blocking producer makes one call at a time"
    elif (
        isinstance(trace.scenario.consumer, Async) and trace.scenario.consumer.feedback == "handoff"
    ):
        why = ": with hand-off feedback a call is over when it has been handed over"
    return (
        f"the law left the rate open, and its limit, never below {least:g}, held no call"
        f" back; at most {most:g} {calls} in flight{why}"
    )


def overrun(trace: Trace) -> str:
    """By how much code that hides its rate went beyond the wanted one; "" if it did not."""
    if not len(trace.rate) or not bool(np.isnan(trace.rate).all()):
        return ""
    wanted = peak(trace.scenario) * len(trace.scenario.producers)
    calls, took = len(trace.released), float(trace.released.max())
    # One second more: a window that is full at its start is no excess.
    if calls <= EXCESS * wanted * (took + 1.0):
        return ""
    return f"released {calls:,} calls in {took:.3g} s, where {wanted:g}/s were wanted"


def part_of_windows(phase: Phase, scenario: Scenario) -> str:
    """That a phase may be called stuck for where its steady half lies in the windows of a quota; ""
    if it is not, or that half is as long as two windows.

    >>> from tpssim import simulate
    >>> trace = simulate("llm-quota:duration=60", "fixed")
    >>> part_of_windows(measure_phases(trace)[0], trace.scenario)
    'half of 0-60 s holds less than two windows of a quota (60 s), so where it lies decides'
    """
    known, others = scenario.quotas, scenario.backend.quotas
    longest = max([quota.per for quota in known] + [quota.per for quota in others], default=0.0)
    half = (phase.end - phase.start) / 2.0
    if word_of(phase) != "stuck" or half >= 2.0 * longest:
        return ""
    return (
        f"half of {phase.start:g}-{phase.end:g} s holds less than two windows of a quota"
        f" ({longest:g} s), so where it lies decides"
    )


def besides(trace: Trace, word: str, phase: Phase) -> str:
    """What a reason says besides: the slots that were given up, if they were not few; what the
    windows of a quota, or recorded arrivals, have to do with the word.
    """
    cut = part_of_windows(phase, trace.scenario)
    if cut:
        return f"; {cut}"
    skipped = float(trace.meta.get("skipped", 0.0))
    if skipped > SKIPPED * (len(trace.released) + skipped):
        return f"; {format.share(skipped / (len(trace.released) + skipped))} of the slots skipped"
    if trace.scenario.arrivals is None:
        return ""
    calls = int((trace.outcome != REFUSED).sum())
    if calls < ENOUGH:
        return f"; too few calls to tell: {calls}"
    if word == "oscillates" and bool(np.isfinite(trace.rate).any()):
        return "; a law that follows recorded arrivals swings as they do"
    return ""


def bursts(measures: Mapping[str, float], scenario: Scenario) -> str:
    """How far releases went beyond what is wanted, in a second or in 10 ms; "" if they did not.

    Random gaps have no ceiling of this kind, nor have calls that differ in cost.

    >>> from tpssim.scenarios.builtin import SCENARIOS
    >>> bursts({"burst_1s": 100.0, "burst_10ms": 99.0}, SCENARIOS["blocking-steady"])
    'releases up to 99 calls in 10 ms, where 100/s are wanted'
    """
    if scenario.poisson > 0.0 or scenario.cost is not None:
        return ""
    wanted = most_wanted(scenario)
    found = []
    if measures["burst_1s"] > BURST * wanted + FEW_1S:
        found.append(f"{measures['burst_1s']:,.0f} calls in a second")
    if measures["burst_10ms"] > BURST * 0.1 * wanted + FEW_10MS:
        found.append(f"{measures['burst_10ms']:,.0f} calls in 10 ms")
    return f"releases up to {' and '.join(found)}, where {wanted:g}/s are wanted" if found else ""


def losses(phases: Sequence[Phase]) -> str:
    """In which phase most calls stay without an answer, once it has settled; "" if they are few.

    >>> from tpssim import simulate
    >>> losses(measure_phases(simulate("refusing", "fixed")))
    '0-30 s: 36 % of the calls sent are refused, time out or pile up'
    """
    most = max(phases, key=lost)
    return _lost(most) if lost(most) > LOSSES else ""


def arrived(measures: Mapping[str, float], scenario: Scenario) -> list[tuple[float, str, str]]:
    """What became of recorded arrivals, as (share, of what, in words), where it is not little.

    >>> from tpssim.scenarios.builtin import SCENARIOS
    >>> from tpssim.scenarios.load import with_arrivals
    >>> came = with_arrivals(SCENARIOS["healthy"], (0.0, 0.1, 0.2, 0.3))
    >>> arrived({"refused": 1.0, "wasted": 0.01}, came)
    [(0.25, 'the calls that came', 'refused here')]
    """
    if scenario.arrivals is None:
        return []
    refused, wasted = measures["refused"] / len(scenario.arrivals), measures["wasted"]
    found = [
        (refused, "the calls that came", "refused here"),
        (wasted, "the calls sent", "in vain or too late"),
    ]
    return [each for each in found if each[0] > LOSSES]


def remark(measures: Mapping[str, float], phases: Sequence[Phase], scenario: Scenario) -> str:
    """What stands beside the word of a run: its bursts, what it loses, and what became of recorded
    arrivals; "" if there is nothing.
    """
    shares = [
        f"{format.share(part)} of {what} are {words}"
        for part, what, words in arrived(measures, scenario)
    ]
    cut = [part_of_windows(phase, scenario) for phase in phases]
    said = (bursts(measures, scenario), losses(phases), *shares, next(filter(None, cut), ""))
    return "; ".join(filter(None, said))


def remark_in_short(
    measures: Mapping[str, float], phases: Sequence[Phase], scenario: Scenario
) -> str:
    """The same in a few words, for a picture: "in bursts", "36 % unanswered", or both."""
    most = max(map(lost, phases))
    shares = [(part, words) for part, _, words in arrived(measures, scenario)]
    if not shares and most > LOSSES:
        shares = [(most, "unanswered")]
    words = [f"{format.share(part)} {what}" for part, what in shares]
    return ", ".join(filter(None, ("in bursts" * bool(bursts(measures, scenario)), *words)))


def judge(trace: Trace, rows: list[Phase] | None = None) -> Verdict:
    """The verdict on one run: inert, or the worst of its phases, the later one if two are alike.

    Raises `InputError` for anything but a run.

    >>> from tpssim import simulate
    >>> judge(simulate("blocking-steady:duration=5", "fixed")).word
    'saturated'
    """
    idle = inertia(checked_trace(trace))
    if idle:
        return Verdict("inert", idle)
    excess = overrun(trace)
    if excess:
        return Verdict("exceeds", excess)
    limits = bool((np.isinf(trace.rate) & np.isfinite(trace.limit)).all())
    what = "limit" if limits and len(trace.rate) else "rate"
    phases = measure_phases(trace) if rows is None else rows
    every = [(judge_phase(phase, what), phase) for phase in phases]
    found, phase = min(reversed(every), key=lambda each: WORDS.index(each[0].word))
    return found._replace(reason=found.reason + besides(trace, found.word, phase))


def majority(words: Sequence[str]) -> tuple[str, float]:
    """The most frequent word and its share; the worse one in a tie.

    >>> majority(["stuck", "stuck", "converges"])
    ('stuck', 0.6666666666666666)
    """
    counts = Counter(words)
    word = max(WORDS, key=lambda w: (counts[w], -WORDS.index(w)))
    return word, counts[word] / len(words)
