"""The first line of a live report: what went wrong with the calls, then what limited the rate.

A rule over numbers. Of more than 5 %, waits for a slot that ended without one come first, then
refusals and failures; then the first of these that holds: the workers, one call at a time or the
iterable, the limit of the law, the law, this machine, what the late policy gave up, the service;
"on pace" only where the releases kept to the schedule. What else there is to say follows: bursts,
what was lost, waits, and failures of more than 1 %.
"""

from __future__ import annotations

from tpssim.live.rate_limits import able_rate, largest_cause, limit, loss, starved
from tpssim.live.report import Report
from tpssim.live.run_setting import Setting
from tpssim.live.stats import CALLER, MACHINE, SOURCE
from tpssim.output import format


def headline(report: Report, how: Setting) -> str:
    """One line: what went wrong, and what limited the rate.

    >>> import tpssim
    >>> tpssim.run(abs, range(3), 1e3, total=1).report.verdict
    'too few calls to judge'
    """
    first, last = _wrong(report)
    return "; ".join(
        [*_given_up(report), *first, *_pace(report, how), *last, *_unreported(report, how)]
    )


def _given_up(report: Report) -> list[str]:
    """More than 5 % of those who asked for a slot went without; the one who waits as a run is cut
    short is none of them."""
    gone, asked = report.went_without, report.went_without + report.released
    if gone < 2.0 or gone <= 0.05 * asked:
        return []
    let = f": {format.rough(report.rate)} a second were let through" if report.rate > 0.0 else ""
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
    grave = [f"{format.share(share)} of the calls {what}" for share, what in shares if share > 0.05]
    return grave, [
        f"{format.share(share)} of the calls {what}"
        for share, what in shares
        if 0.01 < share <= 0.05
    ]


def _unreported(report: Report, how: Setting) -> list[str]:
    """A loop, or a `with`, takes each call for ok unless it says otherwise or raises; one that
    never did may not know that."""
    if not how.unreported or report.ok < 20.0:
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
    main = limit(report, how)
    more = []
    most, began = max((report.most_in_1s, "were released"), (report.most_begun_in_1s, "began"))
    if most > report.ceiling:
        more.append(f"up to {most:,.0f} calls {began} in one second")
    if (report.lost > 1.0 or report.lost > 0.01 * report.seconds) and not _explained(
        report, how, main
    ):
        more.append(loss(report, how))
    if how.workers and report.wait_p99 > max(1.0 / report.rate, 0.1) and not starved(report, how):
        wait = format.seconds(report.wait_p99)
        many = f"1 % of the calls waited {wait} or longer"
        more.append(
            f"{many if report.released >= 100.0 else f'calls waited up to {wait}'} for their turn"
        )
    return [main, *more]


def _explained(report: Report, how: Setting, main: str) -> bool:
    """Whether the slots that were given up are what `main` says already."""
    cause = largest_cause(how)
    if cause == CALLER and how.on_demand:
        return True  # nobody asked
    if cause in (CALLER, SOURCE) and able_rate(report, how) < 0.99 * how.wanted:
        return True  # nobody could
    if cause == MACHINE and how.behind > 0.5 * report.released:
        return True  # a little with each release
    return loss(report, how) in main
