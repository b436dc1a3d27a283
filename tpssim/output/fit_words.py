"""What a fit says of a service, in words and units that people read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tpssim.output.format import number

if TYPE_CHECKING:
    from tpssim.output.records.fits import Fitted, FittedQuota

#: What the estimates are, by name: in words, their unit, and its share of the unit of the number.
MEANINGS = {
    "backend.servers": ("servers", "calls at once", 1.0),
    "service.mean": ("service time, mean", "ms", 1e3),
    "service.cv": ("service time, std / mean", "", 1.0),
    "network.mean": ("on the way, of each answer", "ms", 1e3),
    "backend.places": ("places in the queue", "calls", 1.0),
    "backend.limit": ("refuses above, in flight", "calls", 1.0),
    "backend.rate": ("refuses above, begun in 1 s", "calls", 1.0),
    "backend.failure": ("fails, whatever the load", "%", 100.0),
    "backend.slope": ("slower for each other call", "%", 100.0),
    "backend.knee": ("slower from so many in flight", "calls", 1.0),
    "backend.exponent": ("then by, for each call", "x", 1.0),
    "backend.per_cost": ("longer for each unit of cost", "ms", 1e3),
    "timeout": ("the caller gives up after", "s", 1.0),
    "plateau": ("answers at most", "1/s", 1.0),
}
ONLY = "no other"  # of an interval without any width


def meaning(name: str) -> tuple[str, str, float]:
    """An estimate in words, its unit, and how many of that a unit of the number is."""
    return MEANINGS.get(name, (name, "", 1.0))


def estimate(found: Fitted, scale: float = 1.0) -> float | str:
    """The number itself, where it is known."""
    return "not known" if found["value"] is None else scale * found["value"]


def in_words(found: Fitted, scale: float = 1.0) -> str:
    """An interval, or a bound.

    >>> in_words({"value": 0.02, "low": 0.0195, "high": 0.0206}, 1e3)
    '19.5 to 20.6'
    >>> in_words({"value": 8.0, "low": 8.0, "high": 8.0})
    'no other'
    >>> in_words({"value": None, "low": 14.0, "high": None})
    'at least 14'
    >>> in_words({"value": 0.0, "low": 0.0, "high": 0.01}, 100.0)
    'at most 1'
    """
    low = -math.inf if found["low"] is None else scale * found["low"]
    high = math.inf if found["high"] is None else scale * found["high"]
    if math.isinf(high):
        return f"at least {number(low)}"
    if low == 0.0 and found["value"] == 0.0 and high > 0.0:
        return f"at most {number(high)}"
    ends = number(low), number(high)
    return ONLY if ends[0] == ends[1] else " to ".join(ends)


def quota_in_words(quota: FittedQuota) -> str:
    """A quota, with its intervals where it may be another one.

    >>> sure, near = ({"value": 9.0, "low": x, "high": 18.0 - x} for x in (9.0, 8.5))
    >>> flags = {"counts_refused": True, "retry_after": False}
    >>> quota_in_words({"amount": near, "per": sure, "of": "calls", "window": "rolling", **flags})
    'refuses above 9 (8.5 to 9.5) calls in any 9 s, counting refused ones'
    """
    amount, per = (
        number(part["value"]) + ("" if (ends := in_words(part)) == ONLY else f" ({ends})")
        for part in (quota["amount"], quota["per"])
    )
    window = "each window of" if quota["window"] == "fixed" else "any"
    text = f"refuses above {amount} {quota['of']} in {window} {per} s"
    text += ", counting refused ones" if quota["counts_refused"] else ""
    return text + ("; answers say when to come back" if quota["retry_after"] else "")
