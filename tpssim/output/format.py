"""Numbers as text: the one place where people's numbers get their digits and units.

Knows numbers only, and loads nothing. "-" is what there is none of, "never" what has no end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tpssim.core.statistics import Estimate

NONE, NEVER = "-", "never"
GRAIN = 1e-7  # s: shorter times are the clock's own grain


def number(value: float | None, digits: int = 4) -> str:
    """A number in so many digits; whole ones and large ones with all before the point.

    >>> number(1234567.0), number(1234.56), number(0.98765), number(None), number(math.inf)
    ('1,234,567', '1,234.6', '0.9877', '-', 'never')
    """
    if value is None or math.isnan(value):
        return NONE
    if math.isinf(value):
        return NEVER if value > 0.0 else "-inf"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.1f}" if 1e3 <= abs(value) < 1e9 else f"{value:.{digits}g}"


def fixed(value: float | None, digits: int, scale: float = 1.0) -> str:
    """A number times `scale` with so many decimals, as in a column.

    >>> fixed(0.98765, 1, 100.0), fixed(-0.001, 2), fixed(None, 2), fixed(math.inf, 0)
    ('98.8', '0.00', '-', 'never')
    """
    if value is None or math.isnan(value):
        return NONE
    if value == math.inf:
        return NEVER
    text = f"{value * scale:.{digits}f}"
    return text.lstrip("-") if float(text) == 0.0 else text


def decimals(value: float | None, digits: int = 3) -> int:
    """How many decimals a number has that is written in so many digits, of which nine at most.

    >>> decimals(0.0123), decimals(12.3), decimals(1234.0), decimals(None)
    (4, 1, 0, 0)
    """
    size = abs(value) if value else 0.0
    if not 0.0 < size < math.inf:
        return 0
    return min(max(digits - 1 - math.floor(math.log10(size)), 0), 9)


def mean(value: Estimate, digits: int, scale: float = 1.0) -> str:
    """The mean of an estimate with so many decimals.

    "never" where it never happens in any replication, with their number where in some it does: a
    mean of those in which it does would hide that, and never is worse than late.

    >>> from tpssim.core.statistics import Estimate
    >>> mean(Estimate(0.5, None, None, 3, 0), 1, 100.0), mean(Estimate(0.5, None, None, 3, 1), 1)
    ('50.0', 'never 1/4')
    """
    if value.never:
        return f"{NEVER} {value.never}/{value.never + value.n}" if value.n else NEVER
    return fixed(value.mean, digits, scale)


def half(value: Estimate, digits: int, scale: float = 1.0) -> str:
    """The half-width of the interval of an estimate; "" where it has none, or its mean hides some.

    >>> from tpssim.core.statistics import Estimate
    >>> half(Estimate(0.5, 0.4, 0.6, 5, 0), 1, 100.0), half(Estimate(0.5, None, None, 3, 0), 1)
    ('±10.0', '')
    """
    if value.mean is None or value.high is None or value.never:
        return ""
    return f"±{fixed(value.high - value.mean, digits, scale)}"


def interval(value: Estimate, digits: int, scale: float = 1.0) -> str:
    """A mean with the half-width of its interval.

    >>> from tpssim.core.statistics import Estimate
    >>> interval(Estimate(0.5, 0.4, 0.6, 5, 0), 1, 100.0)
    '50.0 ±10.0'
    """
    return f"{mean(value, digits, scale)} {half(value, digits, scale)}".rstrip()


def bounds(
    value: float | None,
    low: float | None,
    high: float | None,
    write: Callable[[float], str] = number,
) -> str:
    """A number with the ends of its interval, where it has one.

    >>> bounds(0.5, 0.4, 0.6), bounds(0.5, None, None), bounds(None, None, None)
    ('0.5 [0.4, 0.6]', '0.5', '-')
    """
    if value is None:
        return NONE
    if low is None or high is None or math.isnan(low):
        return write(value)
    return f"{write(value)} [{write(low)}, {write(high)}]"


def share(value: float, digits: int = 0) -> str:
    """A share in percent.

    >>> share(0.9375, 2), share(0.5), share(math.nan)
    ('93.75 %', '50 %', '-')
    """
    return NONE if math.isnan(value) else f"{100.0 * value:.{digits}f} %"


def shares(values: Sequence[float | None]) -> str:
    """The share of each of a few phases, in %; the extremes of many.

    >>> shares([0.5, None, 0.987]), shares([0.5, 0.6, 0.7, 0.8])
    ('50/-/99', '50..80')
    """
    known = [value for value in values if value is not None]
    if len(values) > 3 and known:
        return f"{fixed(min(known), 0, 100.0)}..{fixed(max(known), 0, 100.0)}"
    return "/".join(fixed(value, 0, 100.0) for value in values)


def change(before: float, after: float) -> str:
    """By how much a number grew, in percent of what it was; "" of nothing.

    >>> change(2.0, 3.0), change(4.0, 3.0), change(0.0, 1.0)
    ('+50 %', '-25 %', '')
    """
    return f"{100.0 * (after - before) / before:+.0f} %" if before > 0.0 else ""


def times(number: float) -> str:
    """How often.

    >>> times(1), times(1200)
    ('once', '1,200 times')
    """
    return "once" if number == 1 else f"{number:,.0f} times"


def seconds(value: float) -> str:
    """A time in three digits of the unit that suits.

    >>> seconds(1.5), seconds(0.99999), seconds(0.00025), seconds(5e-8), seconds(math.nan)
    ('1.5 s', '1 s', '250 us', '<0.1 us', '-')
    """
    if math.isnan(value):
        return NONE
    if 0.0 < value < GRAIN:
        return "<0.1 us"
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= 0.99949 * size:  # what is written as 1,000 of the next is 1 of this
            return f"{value / size:.3g} {unit}"
    return f"{value * 1e6:.3g} us"


def duration(value: float) -> str:
    """How long something takes, as people say it.

    >>> duration(59.4), duration(200.0), duration(8000.0)
    ('59 s', '3 min', '2 h 13 min')
    """
    if value < 100.0:
        return f"{value:.0f} s"
    minutes = round(value / 60.0)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def rate(value: float) -> str:
    """A rate, 1/s: four digits, and all before the point; "any" without a limit.

    >>> rate(12.345), rate(100.0), rate(12345.678), rate(math.inf), rate(math.nan)
    ('12.35', '100.0', '12,346', 'any', '-')
    """
    if not math.isfinite(value):
        return NONE if math.isnan(value) else "any"
    return f"{value:,.0f}" if value >= 1000.0 else f"{value:#.4g}"


def rough(value: float) -> str:
    """A number in three digits, of which a reader needs no more.

    >>> rough(0.98765), rough(12345.678)
    ('0.988', '12,346')
    """
    return f"{value:,.0f}" if value >= 1000.0 else f"{value:.3g}"


def of(value: float, limit: float) -> str:
    """One rate of another, with as many digits as it takes to tell them apart.

    >>> of(0.19, 0.2), of(99.94, 100.0), of(80.0, math.inf)
    ('0.19 of 0.2', '99.9 of 100', '80')
    """
    if limit == math.inf:
        return rough(value)
    digits = next((n for n in (2, 3, 4) if f"{value:.{n}g}" != f"{limit:.{n}g}"), 5)
    shown = f"{value:.{digits}g}" if value < 10.0**digits else f"{value:,.0f}"
    return f"{shown} of {limit:,.0f}" if limit >= 1000.0 else f"{shown} of {limit:.4g}"


def count(n: float, noun: str) -> str:
    """So many of something.

    >>> count(1, "call"), count(2000, "call")
    ('1 call', '2,000 calls')
    """
    return f"{n:,.0f} {noun}{'' if n == 1 else 's'}"


def verdict(word: str, part: float, n: int) -> str:
    """A verdict for a narrow column: how many replications say so only where not all do.

    >>> verdict("stuck", 1.0, 5), verdict("stuck", 0.8, 5)
    ('stuck', 'stuck 4/5')
    """
    return word if part == 1.0 else f"{word} {out_of(part, n)}"


def out_of(part: float, n: int) -> str:
    """How many of n a share of them is.

    >>> out_of(0.8, 5)
    '4/5'
    """
    return f"{round(part * n)}/{n}"


def ranks(value: Estimate) -> str:
    """The interval of a rank, in whole ranks.

    >>> from tpssim.core.statistics import Estimate
    >>> ranks(Estimate(2.0, 0.4, 3.6, 5, 0)), ranks(Estimate(2.0, None, None, 3, 0))
    ('1-4', '2')
    """
    if value.low is None or value.high is None:
        return fixed(value.mean, 0)
    low, high = max(1, math.floor(value.low + 0.5)), math.floor(value.high + 0.5)
    return str(low) if low == high else f"{low}-{high}"


def setting(name: str, value: float | str) -> str:
    """A parameter with its value, as it may be typed.

    >>> setting("alpha", 0.25), setting("timer", "linux")
    ('alpha=0.25', 'timer=linux')
    """
    return f"{name}={value}" if isinstance(value, str) else f"{name}={value:g}"


def settings(values: Mapping[str, float | str]) -> str:
    """Parameters with their values.

    >>> settings({"alpha": 0.25, "deadzone": 1.5})
    'alpha=0.25, deadzone=1.5'
    """
    return ", ".join(setting(name, value) for name, value in values.items())
