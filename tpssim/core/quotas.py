"""Known quotas: so many calls, or so much cost, in a window. A pacer breaks none of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Annotated, NamedTuple

from tpssim.core.errors import InputError
from tpssim.core.quota_windows import BOOK, FIRST, Ceiling, count, dropped, is_full, opening, weight
from tpssim.core.types import floored, record
from tpssim.core.validation import Range, checked, exact

#: What a quota counts, and how its window moves.
COUNTED = ("calls", "cost")
WINDOWS = ("rolling", "fixed")


def wrong_words(of: str, window: str, amount: float) -> str:
    """What is wrong with what a quota counts, how its window moves, or how much it lets through;
    "" if nothing is.

    >>> wrong_words("tokens", "rolling", 5.0), wrong_words("calls", "fixed", 5.0)
    ("of='tokens'; allowed: calls, cost", '')
    """
    for name, value, known in (("of", of, COUNTED), ("window", window, WINDOWS)):
        if value not in known:
            return f"{name}={value!r}; allowed: {', '.join(known)}"
    if of == "calls" and amount != floored(amount):
        return f"amount={amount:g} is no whole number of calls; allowed: 1, 2, 3, ..."
    return ""


@record
class Quota(NamedTuple):
    """So many calls, or so much cost, in a window of `per` seconds: a ceiling that no release
    breaks.

    Rolling: of the releases, no half-open window of `per (1 + margin)` holds more than `amount`.
    Fixed: no window [n per, (n + 1) per), lengthened by `margin per / 2` at either end, does; they
    begin at the start of the run, or with `align` at multiples of `per` on the wall clock (UTC).
    The margin is for what happens to a call between here and the server. With `burst` below
    `amount`, calls also take what they weigh out of a bucket of that size, which is full at the
    start and gains `amount / (per (1 + margin))` a second. Numbers are checked where the quota is
    used; a call that weighs more than `amount` or `burst` is an `InputError` there.

    >>> llm = [Quota(500, per=60), Quota(200_000, per=60, of="cost")]
    >>> str(llm[1]), str(Quota(10, 1.0, window="fixed", align=True))
    ('200000 of cost per 60 s', '10 calls per 1 s (fixed, aligned)')
    """

    amount: Annotated[
        float,
        Range(0.0, math.inf, "calls or cost", closed_low=False, closed_high=False),
        "calls, or their cost, in a window",
    ]
    per: Annotated[float, Range(1e-6, 1e9, "s"), "length of the window"]
    of: Annotated[str, "what is counted: calls or cost"] = "calls"
    window: Annotated[str, "how the window moves: rolling or fixed"] = "rolling"
    burst: Annotated[
        float,
        Range(0.0, math.inf, "calls or cost", closed_low=False),
        "how much of it may come at once; inf: the amount",
    ] = math.inf
    margin: Annotated[float, Range(0.0, 1.0, "x per"), "by how much the window is lengthened"] = (
        0.05
    )
    align: Annotated[
        bool, "whether fixed windows begin at multiples of `per` on the wall clock"
    ] = False

    def __str__(self) -> str:
        what = "calls" if self.of == "calls" else "of cost"
        more = [self.window] if self.window != "rolling" else []
        more += ["aligned"] if self.align else []
        more += [f"burst {exact(self.burst)}"] if self.burst < self.amount else []
        text = f"{exact(self.amount)} {what} per {exact(self.per)} s"
        return f"{text} ({', '.join(more)})" if more else text

    def conflict(self) -> str:
        """The words that are allowed, and what would let nothing through."""
        if wrong := wrong_words(self.of, self.window, self.amount):
            return wrong
        if str(self.align) not in ("True", "False"):
            return f"align={self.align!r}; allowed: True, False"
        if self.align and self.window == "rolling":
            return "align=True with window='rolling'; allowed: with window='fixed'"
        if self.of == "calls" and self.burst < 1.0:
            return f"burst={self.burst:g} lets no call through; allowed: >= 1"
        if self.amount < self.burst < math.inf:
            return (
                f"burst={exact(self.burst)} above amount={exact(self.amount)} changes nothing;"
                f" allowed: <= {exact(self.amount)}, or inf"
            )
        return ""


def checked_quotas(quotas: Iterable[Quota], owner: str) -> tuple[Quota, ...]:
    """The quotas, their numbers checked; raises `InputError`.

    >>> checked_quotas([Quota(5, 1)], "throttle")[0].amount
    5.0
    """
    try:
        found = tuple(quotas)
    except TypeError:
        found = ()
    if hasattr(quotas, "_fields") or not all(isinstance(quota, Quota) for quota in found):
        found = ()
    if not found and quotas not in ((), []):
        raise InputError(
            f"{owner}: quotas={quotas!r}; allowed: a list of Quota(amount, per), such as"
            " [Quota(500, 60)]"
        )
    return tuple(checked(quota, f"{owner}: a quota") for quota in found)


def ceiling_of(quota: Quota, start: float, wall: float = 0.0) -> Ceiling:
    """The quota as numbers, for a run that begins at `start`, when the wall clock shows `start +
    wall`.

    >>> ceiling_of(Quota(10.0, 60.0, window="fixed", align=True), 5.0, 1000.0).origin  # 960 s
    -40.0
    """
    fixed = quota.window == "fixed"
    longer = quota.per * (1.0 + quota.margin)
    origin = start
    if quota.align:
        origin = math.floor((start + wall) / quota.per) * quota.per - wall
    return Ceiling(
        amount=quota.amount,
        length=quota.per if fixed else longer,
        by_cost=float(quota.of == "cost"),
        fixed=float(fixed),
        origin=origin,
        half=0.5 * quota.margin * quota.per if fixed else 0.0,
        burst=min(quota.burst, quota.amount),
        fill=quota.amount / longer,
    )


Ring = tuple[list[float], list[float], list[float]]


class Quotas:
    """The quotas of one pacer, and what they have counted.

    Nothing that `rings` counts is changed by `counted` until its answer becomes `rings`: a signal
    handler may raise in between (see `Pacer`).

    >>> quotas = Quotas([Quota(1.0, 10.0, margin=0.0)], 0.0, 0.0)
    >>> quotas.rings = quotas.counted(2.0, 1.0)
    >>> quotas.opening(1.0)
    12.0
    """

    __slots__ = ("ceilings", "quotas", "rings")

    def __init__(self, quotas: Sequence[Quota], start: float, wall: float) -> None:
        self.quotas = tuple(quotas)
        self.ceilings = [ceiling_of(quota, start, wall) for quota in quotas]
        self.rings: list[Ring] = [([0.0] * 16, [0.0] * 16, [0.0] * BOOK) for _ in quotas]

    def opening(self, cost: float) -> float:
        """From when on all of them have room for a call; raises `InputError` if never."""
        opens = -math.inf
        for ceiling, ring in zip(self.ceilings, self.rings, strict=True):
            opens = max(opens, opening(ceiling, cost, *ring))
        if opens == math.inf:
            self._refuse(cost)
        return opens

    def _refuse(self, cost: float) -> None:
        for quota, ceiling in zip(self.quotas, self.ceilings, strict=True):
            if weight(ceiling, cost) > ceiling.burst:
                raise InputError(
                    f"cost={cost:g} is more than the quota of {quota} ever lets through; allowed:"
                    f" <= {exact(ceiling.burst)}"
                )

    def counted(self, now: float, cost: float) -> list[Ring]:
        """The rings with one more call, released now."""
        rings = []
        for ceiling, (times, weights, before) in zip(self.ceilings, self.rings, strict=True):
            book = before[:]
            if is_full(ceiling, times, book):  # before anything is dropped, whose place is in use
                times, weights = _grown(times, book), _grown(weights, book)
                book[FIRST] = 0.0
            dropped(ceiling, now, times, weights, book)
            count(ceiling, now, cost, times, weights, book)
            rings.append((times, weights, book))
        return rings


def _grown(ring: list[float], book: list[float]) -> list[float]:
    """A ring of twice the size, whose entries begin at its first place."""
    first = int(book[FIRST])
    return ring[first:] + ring[:first] + [0.0] * len(ring)
