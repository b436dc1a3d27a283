"""What holds a call back whose slot has come: quotas, and what the service asked for."""

from __future__ import annotations

import math

from tpssim.core.pacer import Pacer
from tpssim.core.quota_windows import opening
from tpssim.live.session_state import SessionState


def last_gate(pacer: Pacer, cost: float) -> tuple[int, float]:
    """(which quota, or behind them Retry-After, lets the next call through last; when)."""
    known = pacer.quotas
    gate, opens = 0 if known is None else len(known.ceilings), pacer.closed_until
    if known is not None:
        for number, (ceiling, ring) in enumerate(zip(known.ceilings, known.rings, strict=True)):
            room = opening(ceiling, cost, *ring)
            if room > opens:
                gate, opens = number, room
    return gate, opens


def holding(run: SessionState, now: float) -> tuple[int, float] | None:
    """What holds back the call that waits for its slot, as `last_gate` says it, and for how long so
    far, s; None if nothing does.
    """
    pacer, cost = run.pacer, run.asked_cost
    if pacer is None or math.isnan(cost):
        return None
    gate, opens = last_gate(pacer, cost)
    seconds = min(now, opens) - pacer.deadline
    return (gate, seconds) if seconds > 0.0 else None
