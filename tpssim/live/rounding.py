"""Numbers of a report as a reader wants them."""

from __future__ import annotations

import math


def duration(seconds: float) -> str:
    """Three digits in the unit that suits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= 0.9995 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


def number(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 1000.0 else f"{rate:.3g}"


def of(rate: float, of: float) -> str:
    """`0.19 of 0.2`: with as many digits as it takes to tell them apart; of no limit, the rate
    alone.
    """
    if of == math.inf:
        return number(rate)
    digits = next((n for n in (2, 3, 4) if f"{rate:.{n}g}" != f"{of:.{n}g}"), 5)
    shown = f"{rate:.{digits}g}" if rate < 10.0**digits else f"{rate:,.0f}"
    return f"{shown} of {of:,.0f}" if of >= 1000.0 else f"{shown} of {of:.4g}"


def exact(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 1000.0 else f"{rate:#.4g}"
