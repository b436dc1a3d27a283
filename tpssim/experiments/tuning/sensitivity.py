"""Which parameters matter: variance-based sensitivity over the search ranges (Sobol indices)."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim.core.errors import InputError
from tpssim.core.statistics import unseen
from tpssim.core.types import record
from tpssim.core.validation import MOST_POINTS, checked_count
from tpssim.experiments.sweep.store import Store
from tpssim.experiments.tuning.evaluations import Progress
from tpssim.experiments.tuning.objectives import PENALTY
from tpssim.experiments.tuning.search import Bounds
from tpssim.experiments.tuning.trials import Aim, Task, Trials
from tpssim.output import format, tables
from tpssim.output.records import searches as parts
from tpssim.output.results_dir import plain
from tpssim.output.tables import Column, Table
from tpssim.scenarios.scenario import Scenario
from tpssim.simulation.resolve import ControllerLike

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tpssim.output.plots import Figure

    Array = NDArray[np.float64]

RESAMPLES = 1000
LEAST = 8  # base points
#: What the intervals are said to hold. They are the middle 95 % of a bootstrap, which takes the
#: points of a design for independent ones: of known functions they held 87 % at worst, and less
#: where few points decide.
CONFIDENCE = 0.8
FEW = 30.0  # points that make the variance: of fewer no interval is given


@record
class Sensitivity(NamedTuple):
    """Shares of the variance of an objective by parameter: rows of (value, low, high); nan: no
    interval.

    >>> two, short = ["dec_rate", "inc_step"], "blocking-steady:duration=5"
    >>> found = sensitivity(short, "aimd", "tracking", parameters=two, replications=1, base=8)
    >>> found.names, found.total.shape
    (['dec_rate', 'inc_step'], (2, 3))
    """

    controller: str
    objective: str
    names: Sequence[str]
    first: Array  #: what the parameter does alone
    total: Array  #: with all its interactions; near 0: it may be left as it is
    points: int  #: settings that were run
    infeasible: (
        int  #: of these; they count as worse than the worst of the others by the range of these
    )
    mean: float  #: of the objective
    deviation: float  #: its standard deviation over the ranges
    deciding: float  #: how many of the settings make the variance (`deciding`)
    base: int

    def text(self) -> str:
        """A table, what matters most first."""
        order = np.argsort(-self.total[:, 0], kind="stable")
        rows = [[self.names[i], _bar(self.first[i]), _bar(self.total[i])] for i in order]
        head = (
            f"sensitivity of {self.objective}: {self.points} settings, mean {self.mean:.4g}, "
            f"standard deviation {self.deviation:.3g}"
        )
        if self.infeasible:
            head += (
                f"; {self.infeasible} infeasible ones count as worse than all others by their range"
            )
        columns = [
            Column("parameter", left=True),
            Column("alone"),
            Column("with\ninteractions"),
        ]
        return f"{Table(head, columns, rows).text()}\n{self.assumption()}"

    def assumption(self) -> str:
        """What the intervals say, and what they do not."""
        if 0.0 < self.deciding < FEW:
            return tables.filled(
                f"no intervals: {self.deciding:.0f} of {2 * self.base} settings make the variance, "
                f"{FEW:g} are the least; take a greater base"
            )
        rare = f"{100.0 * unseen(2 * self.base):.2g} %"
        return tables.filled(
            f"[ ]: {format.share(CONFIDENCE)} under the noise of these replications, as tried on"
            f" known functions; what {rare} of the searched ranges do may be missing"
        )

    def record(self) -> parts.SensitivityPart:
        """All of it, as a part of the record of a search."""
        return {
            "controller": self.controller,
            "objective": self.objective,
            "names": list(self.names),
            "first": self._indices(self.first),
            "total": self._indices(self.total),
            "points": self.points,
            "infeasible": self.infeasible,
            "mean": self.mean,
            "deviation": self.deviation,
            "deciding": self.deciding,
            "base": self.base,
            "confidence": CONFIDENCE,
            "assumption": self.assumption(),
        }

    def _indices(self, found: Array) -> dict[str, parts.Index]:
        """Each row by its parameter."""
        return {
            name: {"value": value, "low": plain(low), "high": plain(high)}
            for name, (value, low, high) in zip(self.names, found.tolist(), strict=True)
        }

    def plot(self) -> Figure:
        """Bars with their intervals."""
        from tpssim.output import plots

        title = f"{self.controller}: what {self.objective} depends on"
        return plots.sensitivity_figure(title, self.names, self.first, self.total)


def _bar(row: Array) -> str:
    value, low, high = row.tolist()
    return format.bounds(value, low, high, _two)


def _two(share: float) -> str:
    return format.fixed(share, 2)


def sensitivity(
    scenarios: Iterable[Scenario | str] | Scenario | str,
    controller: ControllerLike,
    objective: Aim = "balanced",
    *,
    parameters: Iterable[str] | Mapping[str, Bounds | None] | None = None,
    robust: str = "mean",
    replications: int = 3,
    seed: int = 0,
    base: int = 128,
    executor: Executor | None = None,
    store: Store | str | Path | None = None,
    progress: Progress | None = None,
) -> Sensitivity:
    """How much of the variance of an objective each parameter makes, alone and with its
    interactions.

    `base` Sobol points and as many again for each of the k parameters and once more: base (k + 2)
    settings, `replications` runs each on every scenario, all under the same noise. The other
    arguments are as in `tune`. Raises `InputError`.

    >>> found = sensitivity("blocking-steady:duration=5", "ewma-deadzone", "tracking",
    ...                     parameters=["alpha", "deadzone"], replications=1, base=16)
    >>> found.names
    ['alpha', 'deadzone']
    """
    # Half of it is its signature and what it promises.
    checked_count("base", base, LEAST, MOST_POINTS)
    if base & (base - 1):
        raise InputError(f"base={base}; allowed: a power of two, at least {LEAST}")
    task = Task(scenarios, controller, objective, parameters, robust, replications, seed)
    if len(task.objectives) != 1:
        raise InputError(f"{len(task.objectives)} objectives; allowed: one")
    task.check_size(base * (len(task.axes) + 2))
    with contextlib.ExitStack() as stack:
        trials = Trials(task, task.evaluations(executor, store, progress, stack))
        k = len(task.axes)
        trials.runs.begin("sensitivity", base * (k + 2) * len(task.scenarios) * replications)
        cube = saltelli(k, base, seed)
        losses = trials.ask(cube, "sensitivity")[:, 0]
        trials.runs.end()
    bad = losses >= PENALTY
    if bad.all():
        reason = next(iter(trials.tried.values())).infeasible
        raise InputError(
            f"none of {len(losses)} settings can be judged: {reason}; allowed: another objective"
        )
    # Worse than all others by as much as these differ: never is worse than late.
    most, spread = float(losses[~bad].max()), float(np.ptp(losses[~bad]))
    losses[bad] = most + (spread or abs(most) or 1.0)
    first, total = indices(losses, k, seed)
    names = [axis.name for axis in task.axes]
    return Sensitivity(
        task.spec.name,
        task.objectives[0].name,
        names,
        first,
        total,
        len(trials.tried),
        int(sum(bool(row.infeasible) for row in trials.tried.values())),
        float(losses.mean()),
        float(losses.std()),
        deciding(losses, k),
        base,
    )


def saltelli(number: int, base: int, seed: int) -> Array:
    """Points of the unit cube for `indices`: A, B, and for each parameter A with its column from
    B.
    """
    from scipy.stats import qmc

    sampler: Any = qmc.Sobol(2 * number, rng=seed)
    both = sampler.random_base2(round(math.log2(base)))
    a, b = both[:, :number], both[:, number:]
    mixed = []
    for i in range(number):
        part = a.copy()
        part[:, i] = b[:, i]
        mixed.append(part)
    return np.concatenate([a, b, *mixed])


def indices(values: Array, number: int, seed: int) -> tuple[Array, Array]:
    """First-order and total indices of values at the points of `saltelli`: rows of (value, low,
    high).

    With f(A), f(B), f(A with column i of B) and the variance V of the first two together::

        first[i] = mean(f(B) (f(AB_i) - f(A))) / V          (Saltelli 2010)
        total[i] = mean((f(A) - f(AB_i))^2) / (2 V)         (Jansen 1999)

    after the mean is taken off. Intervals: the middle 95 % of a bootstrap over the points (see
    `CONFIDENCE`); nan where fewer than `FEW` points decide. 0 if V is 0.
    """
    blocks = values.reshape(number + 2, -1) - values[: 2 * len(values) // (number + 2)].mean()
    n = blocks.shape[1]
    picks = np.random.default_rng(seed).integers(n, size=(RESAMPLES, n))
    samples = np.concatenate([np.arange(n)[np.newaxis], picks])
    a, b = blocks[0][samples], blocks[1][samples]
    variance = np.concatenate([a, b], axis=1).var(axis=1)
    found = []
    for i in range(number):
        mixed = blocks[2 + i][samples]
        first, total = (b * (mixed - a)).mean(axis=1), ((a - mixed) ** 2).mean(axis=1) / 2.0
        found.append(
            [np.divide(x, variance, np.zeros_like(x), where=variance > 0.0) for x in (first, total)]
        )
    rows = [
        np.array([[one[k][0], *np.quantile(one[k][1:], [0.025, 0.975])] for one in found])
        for k in (0, 1)
    ]
    if 0.0 < deciding(values, number) < FEW:
        for found_rows in rows:
            found_rows[:, 1:] = math.nan
    return rows[0], rows[1]


def deciding(values: Array, number: int) -> float:
    """How many of the points of A and B make their variance: `(sum d^2)^2 / sum d^4`; 0 if there is
    none.

    Of a collapse in 2 % of the ranges, some five points: neither the shares nor a bootstrap know
    its size.
    """
    both = values[: 2 * len(values) // (number + 2)]
    squares = (both - both.mean()) ** 2
    return float(squares.sum() ** 2 / (squares**2).sum()) if squares.any() else 0.0
