"""The functions that metrics have of their own (`Metric.value`), as one that compiles."""

from __future__ import annotations

from collections.abc import Callable

from tpssim.metrics.definitions import METRICS
from tpssim.metrics.layout import Run

Fill = Callable[[Run], None]


def nothing(run: Run) -> None:
    """What is filled before the first."""


def then(before: Fill, name: str, place: int, value: Callable[[Run], float]) -> Fill:
    """A function that fills what `before` fills, then one value more."""

    def fill(run: Run) -> None:
        before(run)
        run.values[place] = value(run)

    # numba names compiled code by this, also that on disk: two of one name might be mixed up.
    fill.__qualname__ = f"fill_{name}"
    return fill


def in_turn() -> Fill:
    """A function that fills all of them, in the order of `METRICS`.

    One within the other, for numba calls no function out of a list at the speed of one that it
    knows.
    """
    fill: Fill = nothing
    for place, (name, metric) in enumerate(METRICS.items()):
        if metric.value is not None:
            fill = then(fill, name, place, metric.value)
    return fill


fill_own_values = in_turn()
