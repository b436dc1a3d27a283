"""What a run reports: its report, the numbers for a live monitor, and why its law last acted.

The caller holds the lock of the run, and has counted the last release.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tpssim.live.gates import holding
from tpssim.live.headline import headline
from tpssim.live.report import Report
from tpssim.live.report_numbers import numbers
from tpssim.live.run_setting import Setting
from tpssim.live.session_state import SessionState


def why_of(run: SessionState) -> str:
    """Why the law last moved an actuator, in its own words."""
    explain = getattr(run.law, "why", None)
    changed = run.changed
    if changed is None or explain is None:
        return ""
    _, obs, _ = changed
    if obs.count == 0.0 and obs.refusals == 0.0:  # no call, which is what most laws explain
        return f"the wanted rate changed to {obs.target:g}/s"
    return str(explain(*changed))


def glimpse_of(run: SessionState) -> tuple[dict[str, Any], bytes, bytes]:
    """Numbers and the bins of lateness and latency, for a live monitor; takes 20 us."""
    tally, pacer = run.tally, run.pacer
    state = pacer.state if pacer else run.first_state()
    numbers = {
        "t": run.timing.now() - pacer.start if pacer else 0.0,
        "tps": tally.of_calls(run.target),
        "rate": min(state.rate, tally.of_calls(run.target)),
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


def report_of(run: SessionState) -> Report:
    """The run so far."""
    tally, pacer, now = run.tally, run.pacer, run.timing.now()
    elapsed = now - pacer.start if pacer else 0.0
    share = 1.0 / elapsed if elapsed > 0.0 else math.nan
    if run.watch is not None:
        run.watch.judge(now)
    held = held_so_far(run, now)
    report = Report(
        **numbers(tally, held, run.workers, now),
        in_flight=pacer.flying if pacer else 0,
        target=tally.of_calls(run.target),
        caught_up=pacer.caught_up if pacer else 0.0,
        re_anchored=pacer.re_anchored if pacer else 0.0,
        limited=pacer.limited if pacer else 0.0,
        blocked=tally.blocked * share,
        fetching=max(tally.fetching - run.retrying, 0.0) * share,
        spin_cpu=run.timing.spun * share,
        spin_threshold=run.timing.threshold,
        verdict="",
    )
    return report._replace(verdict=headline(report, _setting(run, held)))


def held_so_far(run: SessionState, now: float) -> list[tuple[int, float]]:
    """How often, and for how long (s), each quota and then Retry-After held calls back, the one
    that waits now included.
    """
    held = list(run.tally.held)
    waits = None if run.queue.head is None else holding(run, now)  # who gave up waits no more
    if waits is not None:
        gate, seconds = waits
        held[gate] = held[gate][0] + 1, held[gate][1] + seconds
    return held


def _setting(run: SessionState, held: Sequence[tuple[int, float]]) -> Setting:
    tally = run.tally
    calls = max(tally.released, 1)
    return Setting(
        law=run.name,
        wanted=tally.rates()[2],
        workers=run.workers,
        tasks=run.tasks,
        from_verb=run.from_verb,
        on_demand=run.on_demand,
        call=tally.latencies / max(tally.ok + tally.errors, 1),
        body=tally.blocked / calls,
        item=max(tally.fetching - run.retrying, 0.0) / calls,
        behind=tally.behind,
        overtaken=tally.overtaken,
        cause=run.watch.cause if run.watch else "",
        lost=tuple(tally.lost),
        held=_held(run, held),
        slower=tally.slower(),
        unreported=not (run.outcome_reported or getattr(run.law, "signals", "").startswith("none")),
        by_permit=run.calls == "permits",
    )


def _held(
    run: SessionState, found: Sequence[tuple[int, float]]
) -> tuple[tuple[str, int, float], ...]:
    """What held calls back, how often, and for how long in all, s."""
    gates = [*(f"quota of {quota}" for quota in run.quotas), "Retry-After of the service"]
    held = zip(gates, found, strict=True)
    return tuple((gate, times, seconds) for gate, (times, seconds) in held if times)
