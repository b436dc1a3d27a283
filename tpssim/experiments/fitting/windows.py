"""What a service may have counted when a call began: calls in flight, calls or cost in a window.

Each count includes the call itself, as the plant's limits do. Calls are in the order of their
starts; at equal times a call that leaves is gone before one that begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Places = NDArray[np.intp]

MOST_TURNS = 4000  #: from refused to accepted that are looked at for the phase of a window


def in_flight(start: Array, leave: Array, inside: Flags, at: Places | None = None) -> Array:
    """Calls in flight when each began, itself included; those not `inside` are in nobody's way.

    `leave`: when a call is out, nan if never; `at`: the calls for which it is counted, else all.

    >>> start, leave = np.array([0.0, 1.0, 2.0]), np.array([2.0, np.nan, 3.0])
    >>> in_flight(start, leave, np.array([True, True, True])).tolist()
    [1.0, 2.0, 2.0]
    """
    begun = np.concatenate([[0], np.cumsum(inside)])[:-1]
    out = np.sort(leave[inside & ~np.isnan(leave)])
    places = np.arange(len(start)) if at is None else at
    gone = np.searchsorted(out, start[places], side="right")
    # A call that took no time is out when it begins, before it is counted among those that began.
    return np.maximum(begun[places] - gone, 0) + 1.0


def rolling(start: Array, taken: Array, weight: Array, per: float, at: Places | None) -> Array:
    """What began in `(t - per, t]` when each call began at t, itself included.

    `taken`: what each call takes up of the window for those after it (0: it is not counted);
    `weight`: what it needs for itself.

    >>> start, ones = np.array([0.0, 1.0, 2.0]), np.ones(3)
    >>> rolling(start, ones, ones, 2.0, None).tolist()
    [1.0, 2.0, 2.0]
    """
    before = np.concatenate([[0.0], np.cumsum(taken)])
    places = np.arange(len(start)) if at is None else at
    first = np.searchsorted(start + per, start[places], side="right")
    found: Array = before[places] - before[first] + weight[places]
    return found


def fixed(
    start: Array, taken: Array, weight: Array, per: float, phase: float, at: Places | None
) -> Array:
    """The same in the fixed window `[phase + k per, phase + (k + 1) per)` in which a call begins.

    >>> start, ones = np.array([0.0, 1.0, 2.0]), np.ones(3)
    >>> fixed(start, ones, ones, 2.0, 0.0, None).tolist()
    [1.0, 2.0, 1.0]
    """
    before = np.concatenate([[0.0], np.cumsum(taken)])
    places = np.arange(len(start)) if at is None else at
    number = np.floor((start - phase) / per)
    first = np.searchsorted(number, number[places], side="left")
    found: Array = before[places] - before[first] + weight[places]
    return found


def turns(start: Array, refused: Flags) -> tuple[Array, Array]:
    """(last refused start, next accepted one) wherever a service takes calls again.

    >>> turns(np.array([0.0, 1.0, 2.0, 3.0]), np.array([False, True, False, False]))
    (array([1.]), array([2.]))
    """
    again = np.flatnonzero(refused[:-1] & ~refused[1:])
    step = len(again) // MOST_TURNS + 1
    return start[again[::step]], start[again[::step] + 1]


def phase_of(turned: tuple[Array, Array], per: float) -> tuple[float, float]:
    """Where windows of that length begin, between 0 and `per`: in this interval lies the beginning
    of a window between the most pairs of a refused call and an accepted one.

    >>> phase_of((np.array([0.9, 2.7]), np.array([1.2, 3.3])), 2.0)
    (0.9, 1.2)
    """
    low, high = turned
    short = high - low < per
    low, high = low[short] % per, high[short] % per
    if not len(low):
        return 0.0, 0.0
    # A pair across the end of a window is one from before 0 to after it; each stands twice.
    low = np.where(low > high, low - per, low)
    edges = np.concatenate([low, low + per, high, high + per])
    steps = np.repeat([1, -1], 2 * len(low))
    order = np.lexsort((-steps, edges))
    covering = np.cumsum(steps[order])
    best = int(np.argmax(covering))
    begin, end = float(edges[order[best]]), float(edges[order[best + 1]])
    shift = per if begin >= per else 0.0
    return begin - shift, end - shift
