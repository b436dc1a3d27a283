"""What the points of a sweep come to along axes: in which order, and of how many runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tpssim.core.types import record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Value = float | str


@record
class At(NamedTuple):
    """A measure at a point of a sweep, or over several points."""

    x: Value
    value: float  #: mean over the runs in which it is finite; nan without one
    half: float = 0.0  #: half-width of the interval around it that holds the median run
    runs: int = 0
    never: int = 0  #: runs in which it is infinite
    missing: int = 0  #: runs that failed or do not have it

    def worst(self) -> float:
        """The value, inf where it never happens in some runs: never is worse than late."""
        return math.inf if self.never else self.value


@record
class Cells(NamedTuple):
    """A measure over two factors, arrays of a row for each y."""

    xs: Sequence[Value]
    ys: Sequence[Value]
    values: Array  #: as of `At`: over several points the mean of their means
    runs: Array
    never: Array
    missing: Array

    def worst(self) -> Array:
        """The values, inf where it never happens in some runs: never is worse than late."""
        found: Array = np.where(self.never > 0.0, math.inf, self.values)
        return found


def levels(values: Iterable[Value]) -> list[Value]:
    """The values of a factor along an axis: numbers rising, words in the order in which they come.

    >>> levels([0.3, 0.1, 0.3, 0.2]), levels(["windows", "linux", "windows"])
    ([0.1, 0.2, 0.3], ['windows', 'linux'])
    """
    found = list(dict.fromkeys(values))
    return sorted(found, key=float) if all(isinstance(value, float) for value in found) else found


def measured(value: float | None, half: float, runs: int, n: int, never: int, x: Value = "") -> At:
    """A measure at a point: n of its runs have it, in others it never happens, the rest do not have
    it.
    """
    mean = math.nan if value is None or n == 0 else value
    return At(x, mean, half if math.isfinite(mean) else math.nan, runs, never, runs - n - never)


def mean_of(rows: Sequence[At]) -> At:
    """Several points as one, without an interval, as they share their noise; one as itself."""
    if len(rows) == 1:
        return rows[0]
    x = rows[0].x
    if not isinstance(x, str):
        x = _finite_mean([float(row.x) for row in rows])
    value = _finite_mean([row.value for row in rows])
    runs, never, missing = (
        sum(getattr(row, name) for row in rows) for name in ("runs", "never", "missing")
    )
    return At(x, value, 0.0, runs, never, missing)


def cells_of(points: Sequence[tuple[Value, Value, At]]) -> Cells | None:
    """The cells of (x, y, what is there); None if a pair of an x and a y has no point: a sample."""
    xs, ys = levels(x for x, _, _ in points), levels(y for _, y, _ in points)
    there: dict[tuple[Value, Value], list[At]] = {}
    for x, y, found in points:
        there.setdefault((x, y), []).append(found)
    if len(there) < len(xs) * len(ys):
        return None
    rows = [[mean_of(there[x, y]) for x in xs] for y in ys]
    values, runs, never, missing = (
        np.array([[float(getattr(cell, name)) for cell in row] for row in rows])
        for name in ("value", "runs", "never", "missing")
    )
    return Cells(xs, ys, values, runs, never, missing)


def _finite_mean(values: Sequence[float]) -> float:
    there = [value for value in values if math.isfinite(value)]
    return math.fsum(there) / len(there) if there else math.nan
