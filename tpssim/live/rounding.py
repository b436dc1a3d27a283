"""Numbers of a report as a reader wants them."""

from __future__ import annotations

import math


def duration(seconds: float) -> str:
    """Three digits in the unit that suits; - if there is no time.

    >>> duration(0.00025), duration(1.5), duration(math.nan)
    ('250 us', '1.5 s', '-')
    """
    if math.isnan(seconds):
        return "-"
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= 0.9995 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


def number(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 1000.0 else f"{rate:.3g}"


def out_of(rate: float, whole: float) -> str:
    """`0.19 of 0.2`: with as many digits as show the difference; if there is no limit, the rate
    alone.
    """
    if whole == math.inf:
        return number(rate)
    digits = next((n for n in (2, 3, 4) if f"{rate:.{n}g}" != f"{whole:.{n}g}"), 5)
    shown = f"{rate:.{digits}g}" if rate < 10.0**digits else f"{rate:,.0f}"
    return f"{shown} of {whole:,.0f}" if whole >= 1000.0 else f"{shown} of {whole:.4g}"


def exact(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 1000.0 else f"{rate:#.4g}"
