"""What a run says of itself: its report, what somebody sees who looks on, why its law did what it
did.

Whoever asks for numbers holds the lock of the flow, and has had the last release counted.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tpssim.live.headline import Setting, headline
from tpssim.live.report import Report

if TYPE_CHECKING:
    from tpssim.live.session import Flow


def why_of(flow: Flow) -> str:
    """Why the law last moved a valve, in its own words."""
    explain = getattr(flow.law, "why", None)
    changed = flow.changed
    if changed is None or explain is None:
        return ""
    _, obs, _ = changed
    if obs.count == 0.0 and obs.refusals == 0.0:  # no news of a call, of which most laws' words are
        return f"{obs.target:g} a second are wanted now"
    return str(explain(*changed))


def glimpse_of(flow: Flow) -> tuple[dict[str, Any], bytes, bytes]:
    """Numbers and the bins of lateness and latency, for somebody who looks on. In 20 us."""
    tally, pacer = flow.tally, flow.pacer
    state = pacer.state if pacer else flow.law.init(flow.target)
    numbers = {
        "t": flow.timing.now() - pacer.start if pacer else 0.0,
        "tps": flow.target,
        "rate": min(state.rate, flow.target),
        "limit": state.limit if state.limit < math.inf else None,
        "reject": state.reject,
        "in_flight": pacer.flying if pacer else 0,
        "released": tally.released,
        "refused": tally.refused,
        "ok": tally.ok,
        "errors": tally.errors,
        "refused_by_service": tally.refused_by_service,
        "timed_out": tally.timed_out,
        "forgotten": tally.forgotten,
    }
    return numbers, tally.lateness.bins.tobytes(), tally.latency.bins.tobytes()


def report_of(flow: Flow) -> Report:
    """The run so far."""
    tally, pacer, now = flow.tally, flow.pacer, flow.timing.now()
    elapsed = now - pacer.start if pacer else 0.0
    share = 1.0 / elapsed if elapsed > 0.0 else math.nan
    if flow.watch is not None:
        flow.watch.judge(now)
    report = Report(
        **tally.numbers(flow.workers, now),
        in_flight=pacer.flying if pacer else 0,
        target=flow.target,
        caught_up=pacer.caught_up if pacer else 0.0,
        re_anchored=pacer.re_anchored if pacer else 0.0,
        held=pacer.held if pacer else 0.0,
        blocked=tally.blocked * share,
        fetching=max(tally.fetching - flow.retrying, 0.0) * share,
        spin_cpu=flow.timing.spun * share,
        spin_threshold=flow.timing.threshold,
        verdict="",
    )
    return report._replace(verdict=headline(report, _setting(flow)))


def _setting(flow: Flow) -> Setting:
    tally = flow.tally
    calls = max(tally.released, 1)
    return Setting(
        law=flow.name,
        wanted=tally.rates()[2],
        workers=flow.workers,
        tasks=flow.tasks,
        from_verb=flow.from_verb,
        on_demand=flow.on_demand,
        call=tally.latencies / max(tally.ok + tally.errors, 1),
        body=tally.blocked / calls,
        item=max(tally.fetching - flow.retrying, 0.0) / calls,
        behind=tally.behind,
        overtaken=tally.overtaken,
        cause=flow.watch.cause if flow.watch else "",
        lost=tuple(tally.lost),
        slower=tally.slower(),
        unheard=not (flow.heard or getattr(flow.law, "signals", "").startswith("none")),
        by_permit=flow.calls == "permits",
    )
