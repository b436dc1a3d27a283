"""Where to look: a space-filling screen first, then differential evolution, or NSGA-II for two
objectives.

Both work in the unit cube; a parameter lies on a logarithmic scale where its record says so, and
has four digits, so that the text of a setting is the setting. The search is a function of the seed
and of the losses that it gets: with the same losses it asks for the same settings.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim.core.errors import InputError, no_such
from tpssim.core.types import record
from tpssim.core.validation import FLAG, Range, ranges
from tpssim.output.records import searches as parts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SCREEN = 1.0 / 3.0  # of the budget, rounded down to a power of two
EACH = 6  # members of the population for each parameter
LEAST, MOST = 8, 60  # members of a population
LEAST_BUDGET = 16

#: Losses by point and objective of points of the unit cube, a row each.
Ask = Callable[["Array", str], "Array"]
Bounds = tuple[float, float]
#: The values of the parameters of a search, in the order of its axes.
Setting = tuple[float, ...]


@record
class Axis(NamedTuple):
    """One parameter of a search."""

    name: str
    low: float
    high: float
    unit: str
    log: bool

    def part(self) -> parts.Axis:
        """As it stands in a record."""
        return {
            "name": self.name,
            "low": self.low,
            "high": self.high,
            "unit": self.unit,
            "log": self.log,
        }

    def at(self, u: float) -> float:
        """The value at a share of the way, in four digits."""
        if self.unit == FLAG:
            return float(u >= 0.5)
        if self.log:
            value = self.low * (self.high / self.low) ** u
        else:
            value = self.low + (self.high - self.low) * u
        return min(max(float(f"{value:.4g}"), self.low), self.high)

    def share(self, value: float) -> float:
        """The inverse of `at`, within the bounds."""
        value = min(max(value, self.low), self.high)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def axes(law: Any, parameters: Iterable[str] | Mapping[str, Bounds | None] | None) -> list[Axis]:
    """The parameters to search, each between its bounds: those given, or those of its record.

    None: every parameter whose record says where to look, and every switch. Raises `InputError`.
    """
    known = ranges(law)
    if parameters is None:
        wanted: dict[str, Bounds | None] = {
            name: None for name, allowed in known.items() if allowed.search or allowed.unit == FLAG
        }
    elif isinstance(parameters, Mapping):
        wanted = dict(parameters)
    else:
        names = [parameters] if isinstance(parameters, str) else list(parameters)
        wanted = dict.fromkeys(names)
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"parameters: {name} is given twice; allowed: once")
    if not wanted:
        name = type(law).__name__
        if not known:
            raise InputError(f"{name}: no parameter to tune; allowed: none: it has none")
        raise InputError(
            f"{name}: no parameter says where to search; allowed: {', '.join(known)}, with bounds"
        )
    return [_axis(name, bounds, known) for name, bounds in wanted.items()]


def _axis(name: str, bounds: Bounds | None, known: Mapping[str, Range]) -> Axis:
    if name not in known:
        raise no_such("parameter", name, known, "parameters: ")
    allowed = known[name]
    low, high = bounds or allowed.search or (allowed.low, allowed.high)
    if not (allowed.holds(low) and allowed.holds(high) and low < high < math.inf):
        raise InputError(
            f"parameters: {name}={low:g}:{high:g} cannot be searched; allowed: within {allowed}"
        )
    return Axis(name, float(low), float(high), allowed.unit, allowed.log and low > 0.0)


def screen_size(budget: int) -> int:
    """How many points of a budget screen the space: a power of two."""
    return max(LEAST, 1 << math.floor(math.log2(budget * SCREEN)))


def population_of(number: int, screened: int) -> int:
    """How many members a population has for that many parameters."""
    return min(max(LEAST, min(EACH * number, MOST)), screened)


def screen(number: int, points: int, seed: int) -> Array:
    """Scrambled Sobol points in the unit cube."""
    from scipy.stats import qmc  # half a second to import

    sampler: Any = qmc.Sobol(number, rng=seed)
    found: Array = sampler.random_base2(round(math.log2(points)))
    return found


def evolve(start: Array, rounds: int, seed: int, ask: Ask) -> None:
    """Differential evolution (Storn & Price 1997) from a population, for at most so many rounds.

    It ends early only when all of the population have one loss. No polishing: a gradient of noise
    leads nowhere.
    """
    from scipy import optimize

    if rounds < 1:
        return

    def loss(x: Array) -> Array:
        return ask(x.T, "search")[:, 0]

    minimise: Any = optimize.differential_evolution  # its annotations know no vectorised function
    minimise(
        loss,
        [(0.0, 1.0)] * start.shape[1],
        init=start,
        maxiter=rounds,
        tol=0.0,
        vectorized=True,
        updating="deferred",
        polish=False,
        rng=np.random.default_rng(seed),
    )


def spread(start: Array, rounds: int, seed: int, ask: Ask) -> None:
    """NSGA-II (Deb 2002) of optuna from a population, for so many rounds, in whole rounds."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    names = [f"x{i}" for i in range(start.shape[1])]
    distributions: dict[str, Any] = {
        name: optuna.distributions.FloatDistribution(0.0, 1.0) for name in names
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.NSGAIISampler(
            population_size=len(start), crossover=optuna.samplers.nsgaii.SBXCrossover(), seed=seed
        )
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    for member in start.tolist():
        study.enqueue_trial(dict(zip(names, member, strict=True)))
    for _ in range(rounds + 1):
        trials = [study.ask(distributions) for _ in range(len(start))]
        points = np.array([[trial.params[name] for name in names] for trial in trials])
        for trial, losses in zip(trials, ask(points, "search").tolist(), strict=True):
            study.tell(trial, losses)


def front(losses: Array) -> list[int]:
    """The rows that no other row beats: less in one objective and not more in any; of equal ones
    the first.

    >>> front(np.array([[1.0, 5.0], [2.0, 2.0], [3.0, 3.0], [5.0, 1.0], [2.0, 2.0]]))
    [0, 1, 3]
    """
    kept = []
    for i, row in enumerate(losses):
        others = np.delete(losses, i, axis=0)
        beaten = ((others <= row).all(axis=1) & (others < row).any(axis=1)).any()
        if not beaten and not (losses[:i] == row).all(axis=1).any():
            kept.append(i)
    return kept


def best(losses: Array, number: int) -> list[int]:
    """The best rows: by loss, or for two objectives front by front, within one by their first
    objective.
    """
    if losses.shape[1] == 1:
        return [int(i) for i in np.argsort(losses[:, 0], kind="stable")[:number]]
    left = list(range(len(losses)))
    found: list[int] = []
    while left and len(found) < number:
        layer = [left[i] for i in front(losses[left])]
        found += sorted(layer, key=lambda i: float(losses[i, 0]))
        left = [i for i in left if i not in set(layer)]
    return found[:number]


def apart(cube: Array, order: Sequence[int], number: int, distance: float) -> list[int]:
    """The first of an order that lie so far apart in some parameter, as a share of its search
    range.
    """
    found: list[int] = []
    for i in order:
        if len(found) == number:
            break
        if all(np.abs(cube[i] - cube[j]).max() >= distance for j in found):
            found.append(i)
    return found
