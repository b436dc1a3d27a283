"""Axes of values that were swept: edges of cells, ticks and their labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator, NullLocator

from tpssim.output.cells import Value
from tpssim.output.plots.common import log_ticks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

TICKS = 8  # on an axis of values that were swept


def is_numeric(places: Sequence[Value]) -> bool:
    """Whether they lie on an axis of numbers: one that is infinite lies on none."""
    return all(isinstance(place, float) and not math.isinf(place) for place in places)


def cell_edges(values: Sequence[float]) -> tuple[Array, bool]:
    """Edges of cells around the values, and whether those are spaced evenly on a logarithmic
    scale.
    """
    v = np.asarray(values, dtype=np.float64)
    if len(v) == 1:
        return np.array([v[0] - 0.5, v[0] + 0.5]), False
    gaps = np.diff(np.log(v)) if (v > 0.0).all() else np.array([0.0])  # a ratio itself may overflow
    log = len(v) > 2 and bool(np.ptp(gaps) < 1e-3) and gaps[0] > math.log(1.05)
    u = np.log(v) if log else v
    middle = (u[1:] + u[:-1]) / 2.0
    edges = np.concatenate(([1.5 * u[0] - 0.5 * u[1]], middle, [1.5 * u[-1] - 0.5 * u[-2]]))
    return (np.exp(edges) if log else edges), log


def label_values(axis: Any, label: str, places: Sequence[Value] = ()) -> None:
    """What an axis of numbers measures; seconds and shares have their unit (ms, %) at each tick
    instead.
    """
    log = axis.get_scale() == "log"
    if places:
        ticks = spaced([float(place) for place in places], log)
        axis.set_ticks(ticks, labels=tick_labels(ticks, label))
        axis.set_minor_locator(NullLocator())
    elif log:
        low, high = axis.get_view_interval()
        log_ticks(axis, high / low)
    elif label.endswith(" (s)"):
        axis.set_major_formatter(EngFormatter(unit="s"))
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    elif label.endswith(" (share)"):
        axis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value, label)))
    axis.set_label_text(without_unit(label))


def without_unit(label: str) -> str:
    """Without a unit that stands at each tick."""
    return label.removesuffix(" (s)").removesuffix(" (share)")


def spaced(values: Sequence[float], log: bool) -> list[float]:
    """Of values some that leave room for their labels: of evenly spaced ones those with the
    shortest.

    >>> spaced([1.0 + 0.04 * k for k in range(26)], False)
    [1.0, 1.2, 1.4, 1.6, 1.8, 2.0]
    """
    ordered = sorted(values)
    u = np.log(ordered) if log else np.asarray(ordered)
    gaps, least = np.diff(u), (1.0 - 1e-9) * (u[-1] - u[0]) / TICKS
    if len(u) > 2 and np.ptp(gaps) < 1e-6 * gaps[0]:
        stride = math.ceil(least / gaps[0])
        every = [
            ordered[first::step]
            for step in range(stride, max(stride + 1, 3 * stride // 2))
            for first in range(step)
        ]
        return min(every, key=lambda kept: sum(len(place_label(x)) for x in kept) / len(kept))
    kept = [0]
    for i in range(1, len(ordered)):
        if u[i] - u[kept[-1]] >= least:
            kept.append(i)
    return [ordered[i] for i in kept]


def _tick(value: float, label: str) -> str:
    """A value of an axis in the unit of its label: seconds in ms and us, shares in percent."""
    if label.endswith(" (s)"):
        return EngFormatter(unit="s").format_data(value)
    return f"{100.0 * value:.4g} %" if label.endswith(" (share)") else place_label(value)


def tick_labels(values: Sequence[float], label: str) -> list[str]:
    """The same of several, in as many digits as keep them apart."""
    short = [_tick(value, label) for value in values]
    if len(set(short)) == len(short):
        return short
    return [f"{value:.12g}" for value in values]


def place_label(value: Value | None) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
