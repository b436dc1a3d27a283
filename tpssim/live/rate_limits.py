"""What limited the rate of a run: a rule over the numbers of its report."""

from __future__ import annotations

import math

from tpssim.live.late_causes import FEW_LATE
from tpssim.live.report import Report
from tpssim.live.run_setting import Setting
from tpssim.live.stats import CALLER, CLOSED, LIMIT, QUOTA, RETRIES, SOURCE
from tpssim.output import format

#: With fewer calls than this there is no pace to judge.
FEW = 10


def limit(report: Report, how: Setting) -> str:
    rate, wanted, commanded = report.rate, how.wanted, report.commanded
    # one interval more or less is chance
    off = min(max(0.01, 1.0 / max(report.released - 1.0, 1.0)), 0.05)
    below = rate < (1.0 - off) * commanded < math.inf
    at_most = min(commanded, wanted)
    able = able_rate(report, how)
    behind = _behind(report, how)
    if starved(report, how):
        return _workers(report, how)
    if (below or commanded == math.inf) and _held_share(report, how) > 0.05:
        pace = f"{format.of(rate, at_most)} a second" if below else f"{format.rate(rate)}/s"
        return f"{pace}: {held(how)}"
    if able < 0.99 * wanted and rate >= 0.7 * able and not behind:
        return _serial(report, how, able)
    if below and report.limited > 0.05 * report.released:
        return f"held back by the limit of {how.law}: {format.of(rate, commanded)} a second"
    slots = report.released + report.refused
    if report.refused > 0.05 * slots:
        refused = f"it refused {format.share(report.refused / slots)} of the slots here"
        return (
            f"held back by {how.law}: {refused}, {format.of(rate, at_most)} a second were released"
        )
    if behind and below and not _stalled(report, how):
        return f"limited by the generator: {_late(report, how)}"
    if commanded < 0.99 * wanted < math.inf:
        also = f", and {format.rough(rate)} were released" if below else ""
        alone = f"; one call at a time allows {format.rough(able)}" if able < 0.99 * wanted else ""
        return (
            f"held back by {how.law}: {format.of(commanded, wanted)} a second"
            f" commanded{also}{alone}"
        )
    if below and how.on_demand and not _kept_waiting(report, how):
        return f"nobody asked for more: {format.of(rate, at_most)} a second"
    if below and report.lost > 0.01 * report.seconds:
        return f"{format.of(rate, at_most)}/s: {loss(report, how)}"
    if report.released < FEW:
        return "too few calls to judge"
    if below:
        return f"below pace: {format.of(rate, commanded)} a second"
    if how.slower > 0.05:
        served = format.of(report.begun_rate / (1.0 + how.slower), rate)
        why = f"calls take longer and longer, because it serves {served} a second"
        return f"limited by the service: {why}"
    if wanted == math.inf:
        return f"{format.rate(rate)}/s, where no rate was wanted"
    return _on_pace(report, how)


def _held_share(report: Report, how: Setting) -> float:
    """Which share of the time quotas and Retry-After held calls back."""
    return sum(seconds for *_, seconds in how.held) / max(report.seconds, 1e-9)


def held(how: Setting) -> str:
    """What held calls back for longest.

    >>> held(Setting(held=(("quota of 500 calls per 60 s", 120, 31.0), ("Retry-After", 1, 2.0))))
    'quota of 500 calls per 60 s held calls back 120 times, for 31 s'
    """
    what, number, seconds = max(how.held, key=lambda each: each[2])
    return f"{what} held calls back {format.times(number)}, for {format.seconds(seconds)}"


def _behind(report: Report, how: Setting) -> bool:
    """Whether the generator made releases late, more of them than by chance."""
    enough = report.released >= FEW and how.behind >= FEW_LATE
    return enough and how.behind > 0.05 * report.released and how.behind >= how.overtaken


def _late(report: Report, how: Setting) -> str:
    late = f"{format.share(how.behind / report.released)} of the calls released late"
    return (
        f"{late}, by {format.seconds(report.late_p99)} at p99, for"
        f" {how.cause or 'its clock wakes it late'}"
    )


def _usual(how: Setting) -> float:
    """How late a release may be that `late="auto"` makes up for, s; a little more if slots are
    far apart."""
    return max(2.0 / how.wanted, 0.1)


def _lagging(report: Report, how: Setting) -> bool:
    return report.late_p90 > _usual(how)


def _stalled(report: Report, how: Setting) -> bool:
    """Whether a few stops cost the rate; other late releases are those made up for after them."""
    short = report.seconds * (1.0 - report.rate / report.commanded)
    few = report.late_max > 0.2 * report.lost and how.behind < 0.5 * report.released
    return few and report.lost > max(0.5 * short, 0.01 * report.seconds)


def _kept_waiting(report: Report, how: Setting) -> bool:
    """Whether most of the missing calls were lost while somebody waited for a slot."""
    short = report.seconds * (1.0 - report.rate / report.commanded)
    return sum(how.lost) - how.lost[CALLER] > 0.5 * short


def _on_pace(report: Report, how: Setting) -> str:
    """Nothing limited the rate. It is on pace if releases lagged by no more than `late="auto"`
    makes up for, were not more than wanted, and calls began as they were released."""
    above = report.rate > 1.05 * min(report.commanded, how.wanted)
    if above and report.most_in_1s > report.ceiling:
        return f"above the wanted rate: {format.of(report.rate, how.wanted)} a second"
    if not _lagging(report, how):
        # no release comes before its time, so the stretch from the first to the last is too short
        if above:
            calls = f"{report.released:,.0f} calls in {format.seconds(report.seconds)}"
            return (
                f"the first call was late, and the others made up for it: {calls},"
                f" {format.rate(report.rate)}/s"
            )
        if report.rate_error > 0.05:
            began = format.of(report.begun_rate, report.rate)
            return f"released as wanted, but {began} a second began"
        if _behind(report, how):
            return f"on pace, but unevenly: {_late(report, how)}"
        return f"on pace, {format.rate(report.rate)}/s"
    half = report.late_p50 > _usual(how)
    late = (
        f"{format.seconds(report.late_p50)} (median)"
        if half
        else f"{format.seconds(report.late_p90)} at p90"
    )
    caught = f"{report.caught_up:,.0f} of {report.released:,.0f} calls were caught up"
    why = f", for {how.cause}" if how.cause and _behind(report, how) else ""
    return f"behind its schedule by {late}: {caught}, {format.rate(report.rate)}/s on average{why}"


def able_rate(report: Report, how: Setting) -> float:
    """How many calls a second the callers have time for; inf if that is no limit."""
    n = report.most_in_flight
    if how.workers:
        taken = how.item
    elif n <= 1.0 and not how.on_demand:
        taken = how.item + how.body
    elif (
        how.on_demand or how.body * report.rate > 0.5
    ):  # nobody asked for more than half of the time
        taken = max(how.call / max(n, 1.0), how.item)
    else:
        taken = how.item
    return 1.0 / taken if taken > 0.0 else math.inf


def starved(report: Report, how: Setting) -> bool:
    """Whether most calls wait for a worker for longer than an interval, and not because of the
    system, nor because quotas or Retry-After let calls through in bulk: with workers idle for the
    rest of the time, more of them would make no more calls."""
    share = _held_share(report, how)
    if share > 0.05 and report.busy < 0.9 and share >= min(report.busy, 1.0 - report.busy):
        return False
    if not how.workers or not report.wait_p50 > max(1.0 / report.rate, 1e-3):
        return False
    return report.busy > 0.7 or report.begun_rate < 0.97 * report.rate


def _workers(report: Report, how: Setting) -> str:
    """Calls wait for busy workers; how many workers would be enough."""
    n, share = how.workers, format.share(report.busy)
    wanted = min(how.wanted, report.commanded)
    needed = report.service_mean * wanted
    enough = math.floor(needed) + 1 if needed < math.inf else n  # any number is enough, or unknown
    if how.tasks:
        who, would = f"{_at_most(how, n)}, of which {share} was used", _at_most(how, enough)
    else:
        who = f"the workers: {n} worker{'s were' if n > 1 else ' was'} busy {share} of the time"
        would = f"{enough} workers"
    wait = f"calls waited {format.seconds(report.wait_p50)} (median)"
    began = f"{format.rough(report.begun_rate)} of {format.rough(report.rate)} a second began"
    limited = f"limited by {who}; {began}, {wait}"
    return f"{limited}; {would} would be enough" if n < enough else limited


def _serial(report: Report, how: Setting, able: float) -> str:
    """The iterable, or calls that each delay the next one."""
    at_most = f"at most {format.rough(able)} a second"
    if how.item > how.body:
        each = (
            f"{format.seconds(how.body)} of code a call and {format.seconds(how.item)} for its item"
        )
        return f"limited by the iterable: {each}, so {at_most}"
    n = report.most_in_flight
    if n <= 1.0 and not how.on_demand:
        took = format.seconds(how.body + how.item)
        return f"one call at a time takes {took}: {at_most}{_advice(how, '; use ')}"
    who = "one call at a time takes" if n <= 1.0 else f"{n:.0f} calls at a time take"
    enough = (
        f"; {math.floor(how.call * how.wanted) + 1} callers would be enough"
        if how.wanted < math.inf
        else ""
    )
    return f"{who} {format.seconds(how.call)}{' each' if n > 1.0 else ''}: {at_most}{enough}"


def _advice(how: Setting, start: str) -> str:
    """How many workers the wanted rate needs; "" if none was wanted."""
    if how.wanted == math.inf:
        return ""
    enough = max(math.floor((how.body + how.item) * how.wanted) + 1, 2)
    if how.tasks:
        return f"{start}{_at_most(how, enough)}{'' if how.from_verb else ' (arun)'}"
    return f"{start}--workers {enough}" if how.from_verb else f"{start}workers={enough} (run)"


def _at_most(how: Setting, n: int) -> str:
    return f"--max-in-flight {n}" if how.from_verb else f"max_in_flight={n}"


def largest_cause(how: Setting) -> int:
    """The cause of most of the loss."""
    return max(range(len(how.lost)), key=how.lost.__getitem__)


def loss(report: Report, how: Setting) -> str:
    """What the late policy gave up, and the cause of most of it."""
    cause = largest_cause(how)
    if cause == CALLER:
        burst = "--late burst" if how.from_verb else "late='burst'"
        given_up = f"calls take longer than their slot, {_slots(report)} given up"
        return f"{given_up}{_advice(how, '; ')} or {burst}"
    if cause == LIMIT:
        why = f"the limit of {how.law} delayed them"
    elif cause == SOURCE:
        why = "the source was empty"
    elif cause in (QUOTA, CLOSED):
        why = held(how)
    elif cause == RETRIES:
        why = "the calls waited for their retries, as the service or the policy asked"
    else:
        why = "this process was stopped"
    gone = f"{format.seconds(report.lost)} of the schedule, {_slots(report)}"
    return f"{gone}, were not made up for: {why}"


def _slots(report: Report) -> str:
    n = round(report.skipped)
    return f"{n:,} slot{'' if n == 1 else 's'}"
