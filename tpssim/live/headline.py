"""The first line of a live report: what went wrong with the calls, then what limited the rate.

A rule over numbers. Of more than 5 %, waits for a slot that ended without one come first, then
refusals and failures; then the first of these that holds: the workers, one call at a time or the
iterable, the limit of the law, the law, this machine, what the late policy gave up, the service;
"on pace" only where the releases kept to the schedule. What else there is to say follows: bursts,
what was lost, waits, and failures of more than 1 %.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from tpssim.core.types import record
from tpssim.live.late_causes import FEW_LATE
from tpssim.live.report import Report
from tpssim.live.stats import CALLER, LIMIT, MACHINE, RETRIES, SOURCE

#: Fewer calls than these say nothing of a pace.
FEW = 10


@record
class Setting(NamedTuple):
    """How the calls of a report were made, and what its numbers do not hold."""

    law: str = "fixed"
    wanted: float = math.nan  #: mean wanted rate, 1/s
    workers: int = 0  #: 0: as many as it takes, or none
    tasks: bool = False  #: tasks of an event loop, not threads
    from_verb: bool = False  #: who reads it has the options of the command line
    on_demand: bool = False  #: no items: who wants to make a call asks for a slot
    call: float = 0.0  #: mean time from a release to its end, s
    body: float = 0.0  #: s a call that the pacing thread was in the caller's code
    item: float = 0.0  #: s a call that it was in the iterable
    behind: int = 0  #: releases that came late by our own doing
    overtaken: int = 0  #: releases that came late by the caller's
    cause: str = ""  #: why those came late that are our own doing, if known
    lost: tuple[float, ...] = (0.0,) * 5  #: s, by LIMIT, SOURCE, CALLER, MACHINE, RETRIES
    slower: float = 0.0  #: as of `Tally.slower`
    unheard: bool = (
        False  #: whether the law heard of no call what came of it, and would have listened
    )
    by_permit: bool = (
        False  #: whether the calls have permits; else they are the body of a plain loop
    )


def headline(report: Report, how: Setting) -> str:
    """One line: what went wrong, and what limited the rate.

    >>> import tpssim
    >>> tpssim.run(abs, range(3), 1e3, total=1).report.verdict
    'too few calls to judge'
    """
    first, last = _wrong(report)
    return "; ".join(
        [*_given_up(report), *first, *_pace(report, how), *last, *_unheard(report, how)]
    )


def _given_up(report: Report) -> list[str]:
    """More than 5 % of those who asked for a slot went without; the one who waits as a run is cut
    short is none of them."""
    gone, asked = report.went_without, report.went_without + report.released
    if gone < 2.0 or gone <= 0.05 * asked:
        return []
    let = f": {_number(report.rate)} a second were let through" if report.rate > 0.0 else ""
    return [
        f"{gone:,.0f} of {asked:,.0f} waits ended without a slot (a timeout, or cancelled){let}"
    ]


def _wrong(report: Report) -> tuple[list[str], list[str]]:
    """The ways in which more than 5 % of the calls that ended went wrong, the commonest first; and
    those in which more than 1 % did."""
    ended = report.ok + report.errors
    kinds = [
        (report.refused_by_service, "were refused by the service (429, 503)"),
        (report.timed_out, "timed out"),
        (report.errors - report.drops, "failed"),
    ]
    shares = sorted(((n / ended, what) for n, what in kinds if n), reverse=True) if ended else []
    if shares and shares[0][0] <= 0.05 < sum(share for share, _ in shares):
        shares = [(sum(share for share, _ in shares), "were refused, timed out or failed")]
    grave = [f"{_percent(share)} of the calls {what}" for share, what in shares if share > 0.05]
    return grave, [
        f"{_percent(share)} of the calls {what}" for share, what in shares if 0.01 < share <= 0.05
    ]


def _unheard(report: Report, how: Setting) -> list[str]:
    """A loop, or a `with`, takes each call for ok unless it says otherwise or raises; one that
    never did may not know that."""
    if not how.unheard or report.ok < 20.0:
        return []
    if how.by_permit:
        what = f"a refusal that raises nothing is unseen by {how.law}"
        return [f"no call raised and no answer was handed to see(): {what}"]
    return [f"no outcome was reported, so {how.law} could see no refusal: hand answers to see()"]


def _pace(report: Report, how: Setting) -> list[str]:
    """What limited the rate, and then what else there is to say of it."""
    if not report.rate > 0.0:
        return [
            "too few calls to judge" if report.released or report.refused else "no call was made"
        ]
    main = _limit(report, how)
    more = []
    most, began = max((report.most_in_1s, "were released"), (report.most_begun_in_1s, "began"))
    if most > report.ceiling:
        more.append(f"up to {most:,.0f} calls {began} in one second")
    if (report.lost > 1.0 or report.lost > 0.01 * report.seconds) and not _explained(
        report, how, main
    ):
        more.append(_loss(report, how))
    if how.workers and report.wait_p99 > max(1.0 / report.rate, 0.1) and not _starved(report, how):
        wait = _time(report.wait_p99)
        many = f"1 % of the calls waited {wait} or longer"
        more.append(
            f"{many if report.released >= 100.0 else f'calls waited up to {wait}'} for their turn"
        )
    return [main, *more]


def _explained(report: Report, how: Setting, main: str) -> bool:
    """Whether the slots that were given up are what `main` says already."""
    cause = _cause(how)
    if cause == CALLER and how.on_demand:
        return True  # nobody asked
    if cause in (CALLER, SOURCE) and _able(report, how) < 0.99 * how.wanted:
        return True  # nobody could
    if cause == MACHINE and how.behind > 0.5 * report.released:
        return True  # a little with each release
    return _loss(report, how) in main


def _cause(how: Setting) -> int:
    """To what most was lost."""
    return max(range(len(how.lost)), key=how.lost.__getitem__)


def _starved(report: Report, how: Setting) -> bool:
    """Whether most calls wait for a worker longer than an interval, and not only for the system."""
    if not how.workers or not report.wait_p50 > max(1.0 / report.rate, 1e-3):
        return False
    return report.busy > 0.7 or report.begun_rate < 0.97 * report.rate


def _limit(report: Report, how: Setting) -> str:
    rate, wanted, commanded = report.rate, how.wanted, report.commanded
    off = min(
        max(0.01, 1.0 / max(report.released - 1.0, 1.0)), 0.05
    )  # one interval more or less is chance
    below = rate < (1.0 - off) * commanded < math.inf
    at_most = min(commanded, wanted)
    able = _able(report, how)
    behind = _behind(report, how)
    if _starved(report, how):
        return _workers(report, how)
    if able < 0.99 * wanted and rate >= 0.7 * able and not behind:
        return _serial(report, how, able)
    if below and report.held > 0.05 * report.released:
        return f"held back by the limit of {how.law}: {_of(rate, commanded)} a second"
    slots = report.released + report.refused
    if report.refused > 0.05 * slots:
        refused = f"it refused {_percent(report.refused / slots)} of the slots here"
        return f"held back by {how.law}: {refused}, {_of(rate, at_most)} a second were released"
    if behind and below and not _stalled(report, how):
        return f"limited by the generator: {_late(report, how)}"
    if commanded < 0.99 * wanted < math.inf:
        also = f", and {_number(rate)} were released" if below else ""
        alone = f"; one call at a time allows {_number(able)}" if able < 0.99 * wanted else ""
        return f"held back by {how.law}: {_of(commanded, wanted)} a second commanded{also}{alone}"
    if below and how.on_demand and not _kept_waiting(report, how):
        return f"nobody asked for more: {_of(rate, at_most)} a second"
    if below and report.lost > 0.01 * report.seconds:
        return f"{_of(rate, at_most)}/s: {_loss(report, how)}"
    if report.released < FEW:
        return "too few calls to judge"
    if below:
        return f"below pace: {_of(rate, commanded)} a second"
    if how.slower > 0.05:
        served = _of(report.begun_rate / (1.0 + how.slower), rate)
        return (
            f"limited by the service: calls take longer and longer, for it serves {served} a second"
        )
    if wanted == math.inf:
        return f"{_exact(rate)}/s, where no rate was wanted"
    return _on_pace(report, how)


def _behind(report: Report, how: Setting) -> bool:
    """Whether releases came late by our own doing, more of them than chance makes."""
    enough = report.released >= FEW and how.behind >= FEW_LATE
    return enough and how.behind > 0.05 * report.released and how.behind >= how.overtaken


def _late(report: Report, how: Setting) -> str:
    late = f"{_percent(how.behind / report.released)} of the calls released late"
    return (
        f"{late}, by {_time(report.late_p99)} at p99, for"
        f" {how.cause or 'its clock wakes it up late'}"
    )


def _usual(how: Setting) -> float:
    """What `late="auto"` makes up for at once, s, and a little more where slots are far apart."""
    return max(2.0 / how.wanted, 0.1)


def _lagging(report: Report, how: Setting) -> bool:
    return report.late_p90 > _usual(how)


def _stalled(report: Report, how: Setting) -> bool:
    """Whether a few stops cost the rate; what came late beside is what was caught up after them."""
    short = report.seconds * (1.0 - report.rate / report.commanded)
    few = report.late_max > 0.2 * report.lost and how.behind < 0.5 * report.released
    return few and report.lost > max(0.5 * short, 0.01 * report.seconds)


def _kept_waiting(report: Report, how: Setting) -> bool:
    """Whether what is short was lost while somebody waited for a slot."""
    short = report.seconds * (1.0 - report.rate / report.commanded)
    return sum(how.lost) - how.lost[CALLER] > 0.5 * short


def _on_pace(report: Report, how: Setting) -> str:
    """Nothing held the rate back. On pace it is if the releases did not lag by more than
    `late="auto"` makes up for, and were no more than wanted, and began as they were released."""
    above = report.rate > 1.05 * min(report.commanded, how.wanted)
    if above and report.most_in_1s > report.ceiling:
        return f"above the wanted rate: {_of(report.rate, how.wanted)} a second"
    if not _lagging(report, how):
        # no release comes before its time, so the stretch from the first to the last is too short
        if above:
            calls = f"{report.released:,.0f} calls in {_time(report.seconds)}"
            return (
                f"the first call was late, and the others made up for it: {calls},"
                f" {_exact(report.rate)}/s"
            )
        if report.rate_error > 0.05:
            began = _of(report.begun_rate, report.rate)
            return f"released as wanted, but {began} a second began"
        if _behind(report, how):
            return f"on pace, but unevenly: {_late(report, how)}"
        return f"on pace, {_exact(report.rate)}/s"
    half = report.late_p50 > _usual(how)
    late = f"{_time(report.late_p50)} (median)" if half else f"{_time(report.late_p90)} at p90"
    caught = f"{report.caught_up:,.0f} of {report.released:,.0f} calls were caught up"
    why = f", for {how.cause}" if how.cause and _behind(report, how) else ""
    return f"behind its schedule by {late}: {caught}, {_exact(report.rate)}/s on average{why}"


def _able(report: Report, how: Setting) -> float:
    """How many calls a second those who ask for slots have the time for; inf where that is no
    limit.
    """
    n = report.most_in_flight
    if how.workers:
        taken = how.item
    elif n <= 1.0 and not how.on_demand:
        taken = how.item + how.body
    elif (
        how.on_demand or how.body * report.rate > 0.5
    ):  # for more than half of the time nobody asked
        taken = max(how.call / max(n, 1.0), how.item)
    else:
        taken = how.item
    return 1.0 / taken if taken > 0.0 else math.inf


def _workers(report: Report, how: Setting) -> str:
    """Calls wait for workers, who are busy; how many would be enough for calls that take as
    long.
    """
    n, share = how.workers, _percent(report.busy)
    wanted = min(how.wanted, report.commanded)
    needed = report.service_mean * wanted
    enough = (
        math.floor(needed) + 1 if needed < math.inf else n
    )  # any number would do, or none is known
    if how.tasks:
        who, would = f"{_at_most(how, n)}, of which {share} was used", _at_most(how, enough)
    else:
        who = f"the workers: {n} worker{'s were' if n > 1 else ' was'} busy {share} of the time"
        would = f"{enough} workers"
    wait = f"calls waited {_time(report.wait_p50)} (median)"
    began = f"{_number(report.begun_rate)} of {_number(report.rate)} a second began"
    limited = f"limited by {who}; {began}, {wait}"
    return f"{limited}; {would} would do" if n < enough else limited


def _serial(report: Report, how: Setting, able: float) -> str:
    """The iterable, or calls of which each one holds up the next."""
    at_most = f"at most {_number(able)} a second"
    if how.item > how.body:
        each = f"{_time(how.body)} of code a call and {_time(how.item)} for its item"
        return f"limited by the iterable: {each}, so {at_most}"
    n = report.most_in_flight
    if n <= 1.0 and not how.on_demand:
        took = _time(how.body + how.item)
        return f"one call at a time takes {took}: {at_most}{_advice(how, '; use ')}"
    who = "one call at a time takes" if n <= 1.0 else f"{n:.0f} calls at a time take"
    enough = (
        f"; {math.floor(how.call * how.wanted) + 1} callers would do"
        if how.wanted < math.inf
        else ""
    )
    return f"{who} {_time(how.call)}{' each' if n > 1.0 else ''}: {at_most}{enough}"


def _advice(how: Setting, start: str) -> str:
    """So many workers as make the wanted rate possible; none where none was wanted."""
    if how.wanted == math.inf:
        return ""
    enough = max(math.floor((how.body + how.item) * how.wanted) + 1, 2)
    if how.tasks:
        return f"{start}{_at_most(how, enough)}{'' if how.from_verb else ' (arun)'}"
    return f"{start}--workers {enough}" if how.from_verb else f"{start}workers={enough} (run)"


def _at_most(how: Setting, n: int) -> str:
    return f"--max-in-flight {n}" if how.from_verb else f"max_in_flight={n}"


def _loss(report: Report, how: Setting) -> str:
    """What the late policy gave up, and to what most of it was lost."""
    cause = _cause(how)
    if cause == CALLER:
        burst = "--late burst" if how.from_verb else "late='burst'"
        return f"calls outlast their slot, {_slots(report)} given up{_advice(how, '; ')} or {burst}"
    if cause == LIMIT:
        why = f"the limit of {how.law} held them"
    elif cause == SOURCE:
        why = "the source was empty"
    elif cause == RETRIES:
        why = "the calls waited for their retries, as the service or the policy asked"
    else:
        why = "this process stood still"
    return f"{_time(report.lost)} of the schedule, {_slots(report)}, were not made up: {why}"


def _slots(report: Report) -> str:
    n = round(report.skipped)
    return f"{n:,} slot{'' if n == 1 else 's'}"


def _time(seconds: float) -> str:
    """Three digits in the unit that suits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= 0.9995 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


def _number(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 1000.0 else f"{rate:.3g}"


def _of(rate: float, of: float) -> str:
    """`0.19 of 0.2`: with as many digits as it takes to tell them apart; of no limit, the rate
    alone.
    """
    if of == math.inf:
        return _number(rate)
    digits = next((n for n in (2, 3, 4) if f"{rate:.{n}g}" != f"{of:.{n}g}"), 5)
    shown = f"{rate:.{digits}g}" if rate < 10.0**digits else f"{rate:,.0f}"
    return f"{shown} of {of:,.0f}" if of >= 1000.0 else f"{shown} of {of:.4g}"


def _exact(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 1000.0 else f"{rate:#.4g}"
