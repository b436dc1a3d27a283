"""The first line of a live report: what went wrong with the calls, then what limited the rate.

The line is a rule over numbers. If more than 5 % of the waits for a slot ended without one, it says
so first; then refusals, timeouts and failures of more than 5 %. The limit of the rate is the first
of these that applies: the workers, one call at a time or the iterable, the limit of the law, the
law, this machine, slots that the late policy gave up, the service. "on pace" is said only if the
releases kept to the schedule. At the end come bursts, lost slots, waits, and failures of more than
1 %.
"""

from __future__ import annotations

from tpssim.live.rate_limits import able_rate, held, largest_cause, limit, loss, starved
from tpssim.live.report import Report
from tpssim.live.run_setting import Setting
from tpssim.live.stats import CALLER, CLOSED, MACHINE, QUOTA, SOURCE
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
    """Whether more than 5 % of the waits ended without a slot; one wait, when a run is
    interrupted, does not count."""
    gone, asked = report.went_without, report.went_without + report.released
    if gone < 2.0 or gone <= 0.05 * asked:
        return []
    let = f": {format.rough(report.rate)} a second were let through" if report.rate > 0.0 else ""
    return [
        f"{gone:,.0f} of {asked:,.0f} waits ended without a slot (a timeout, or cancelled){let}"
    ]


def _wrong(report: Report) -> tuple[list[str], list[str]]:
    """The ways in which more than 5 % of the ended calls went wrong, most frequent first; and
    those of more than 1 %."""
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
    """A loop, or a `with`, counts each call as ok unless it reports otherwise or raises; a user
    whose code never did may not know that."""
    if not how.unreported or report.ok < 20.0:
        return []
    if how.by_permit:
        what = f"{how.law} cannot see a refusal that raises nothing"
        return [f"no call raised and no response was passed to see(): {what}"]
    return [f"no outcome was reported, so {how.law} could see no refusal: pass responses to see()"]


def _pace(report: Report, how: Setting) -> list[str]:
    """What limited the rate, and then other remarks on it."""
    if not report.rate > 0.0:
        return [
            "too few calls to judge" if report.released or report.refused else "no call was made"
        ]
    main = limit(report, how)
    more = []
    most, began = max((report.most_in_1s, "were released"), (report.most_begun_in_1s, "began"))
    if sum(seconds for *_, seconds in how.held) > 0.01 * report.seconds and held(how) not in main:
        more.append(held(how))
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
    """Whether `main` already explains the slots that were given up."""
    cause = largest_cause(how)
    if cause in (QUOTA, CLOSED):
        return True  # what held calls back is said of them
    if cause == CALLER and how.on_demand:
        return True  # nobody asked
    if cause in (CALLER, SOURCE) and able_rate(report, how) < 0.99 * how.wanted:
        return True  # nobody could
    if cause == MACHINE and how.behind > 0.5 * report.released:
        return True  # a little with each release
    return loss(report, how) in main
