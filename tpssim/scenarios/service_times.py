"""How long one call takes: distributions of service time, driven by noise that is drawn beforehand.

A service is a record with a mean and `times(draws)`, which maps standard draws (one per call
number) to service times. The noise never depends on what a controller does: call k draws the same
number always. NumPy is imported when noise is drawn, not before.
"""

from __future__ import annotations

import functools
import itertools
import math
from numbers import Real
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Protocol

from tpssim.core.errors import InputError
from tpssim.core.types import record
from tpssim.core.validation import LONGEST_SERVICE, MOST_CALLS, Range

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MEAN = Range(1e-12, LONGEST_SERVICE, "s")


class Service(Protocol):
    """A distribution of service times."""

    @property
    def mean(self) -> float: ...  #: expected service time, s
    def noise(self) -> str: ...  #: which standard draws it needs: a key of `STREAMS`
    def times(self, draws: Any) -> Any: ...  #: draws -> service times, s


@record
class Constant(NamedTuple):
    """Every call takes `mean` seconds.

    >>> Constant(0.02).times(draws("uniform", 2, 0, 0)).tolist()
    [0.02, 0.02]
    """

    mean: Annotated[float, MEAN, "service time"]

    def noise(self) -> str:
        return "uniform"  # any would do; this one is drawn fastest

    def times(self, draws: Array) -> Array:
        times: Array = 0.0 * draws + self.mean
        return times


@record
class Exponential(NamedTuple):
    """Exponential service times: `mean * E` with E standard exponential; CV 1.

    >>> Exponential(0.02).times(1.0)  # the draw 1 is the mean
    0.02
    """

    mean: Annotated[float, MEAN, "expected service time"]

    def noise(self) -> str:
        return "exponential"

    def times(self, draws: Array) -> Array:
        times: Array = self.mean * draws
        return times


@record
class Lognormal(NamedTuple):
    """Lognormal service times: `mean * exp(sigma * Z - sigma^2 / 2)`, `sigma^2 = ln(1 + cv^2)`.

    >>> round(float(Lognormal(0.02, 0.5).times(0.0)), 5)  # the median: 0.02 / sqrt(1.25)
    0.01789
    """

    mean: Annotated[float, MEAN, "expected service time"]
    cv: Annotated[
        float,
        Range(0.0, 20.0, "std / mean"),
        "coefficient of variation of the service time; 0: it is constant",
    ]

    def noise(self) -> str:
        return "normal"

    def times(self, draws: Array) -> Array:
        import numpy as np

        variance = math.log(1.0 + self.cv * self.cv)
        times: Array = self.mean * np.exp(math.sqrt(variance) * draws - variance / 2.0)
        return times


@record
class Autocorrelated(NamedTuple):
    """Lognormal service times, each near the one before: the logarithms are an autoregression of
    order 1, whose lag-one correlation is `correlation`.

    Mean and CV are those of `Lognormal`. With `Z` standard normal draws the normal draw of call k
    is `x(k) = correlation x(k - 1) + sqrt(1 - correlation^2) Z(k)`, `x(0) = Z(0)`.

    >>> import numpy as np
    >>> slow = Autocorrelated(0.02, 1.0, 0.6)
    >>> bool(slow.times(np.array([1.0, 0.0]))[1] == Lognormal(0.02, 1.0).times(0.6))
    True
    """

    mean: Annotated[float, MEAN, "expected service time"]
    cv: Annotated[
        float,
        Range(0.0, 20.0, "std / mean"),
        "coefficient of variation of the service time; 0: it is constant",
    ]
    correlation: Annotated[
        float,
        Range(0.0, 1.0, "", closed_high=False),
        "correlation of the logarithms of two calls that follow each other",
    ]

    def noise(self) -> str:
        return "normal"

    def times(self, draws: Array) -> Array:
        import numpy as np

        kept, fresh = self.correlation, math.sqrt(1.0 - self.correlation * self.correlation)
        path = itertools.accumulate(draws.tolist(), lambda last, new: kept * last + fresh * new)
        correlated = np.fromiter(path, dtype=np.float64, count=len(draws))
        return Lognormal(self.mean, self.cv).times(correlated)


@record
class Gamma(NamedTuple):
    """Gamma service times of shape `1 / cv^2`, by inversion of one uniform draw; CV `cv`.

    >>> round(float(Gamma(0.02, 1.0).times(0.5)), 5)  # CV 1 is exponential: the median is 0.02 ln 2
    0.01386
    """

    mean: Annotated[float, MEAN, "expected service time"]
    cv: Annotated[
        float,
        Range(1e-6, 20.0, "std / mean"),
        "coefficient of variation of the service time",
    ]

    def noise(self) -> str:
        return "uniform"

    def times(self, draws: Array) -> Array:
        import numpy as np
        from scipy.special import gammaincinv

        shape = 1.0 / (self.cv * self.cv)
        times: Array = np.asarray(self.mean / shape * gammaincinv(shape, draws), dtype=np.float64)
        return times


@record
class TwoPhase(NamedTuple):
    """Exponential of mean `fast`, or with probability `share` of mean `slow`, from one uniform
    draw.

    >>> round(TwoPhase(fast=0.01, slow=0.21, share=0.05).mean, 4)
    0.02
    """

    fast: Annotated[float, MEAN, "expected service time of the fast calls"]
    slow: Annotated[float, MEAN, "expected service time of the slow calls"]
    share: Annotated[
        float,
        Range(0.0, 1.0, "of the calls", closed_low=False, closed_high=False),
        "how many of the calls are slow",
    ]

    @property
    def mean(self) -> float:
        return (1.0 - self.share) * self.fast + self.share * self.slow

    def noise(self) -> str:
        return "uniform"

    def times(self, draws: Array) -> Array:
        import numpy as np

        # A draw below `share` picks the slow phase; divided by it, it is uniform again.
        slow = draws < self.share
        left = np.where(slow, draws / self.share, (draws - self.share) / (1.0 - self.share))
        times: Array = -np.log1p(-left) * np.where(slow, self.slow, self.fast)
        return times


@record
class Pareto(NamedTuple):
    """Pareto service times of tail index `shape`: `m * U^(-1/shape)`, `m = mean * (shape - 1) /
    shape`.

    >>> float(Pareto(0.02, 2.0).times(0.0))  # the shortest: 0.02 (2 - 1) / 2
    0.01
    """

    mean: Annotated[float, MEAN, "expected service time"]
    shape: Annotated[
        float,
        Range(1.0, 100.0, "tail index", closed_low=False),
        "the smaller, the longer the tail of service times; up to 2 their variance is infinite",
    ]

    def noise(self) -> str:
        return "uniform"

    def times(self, draws: Array) -> Array:
        smallest = self.mean * (self.shape - 1.0) / self.shape
        times: Array = smallest * (1.0 - draws) ** (-1.0 / self.shape)  # draws are in [0, 1)
        return times


@record
class Recorded(NamedTuple):
    """A recording replayed in order: call k takes `recording[(start + k) mod n]` seconds.

    Replications differ in `start`, which is drawn once, so the autocorrelation of the recording is
    kept.

    >>> round(Recorded((0.01, 0.03), "two calls").mean, 3)
    0.02
    """

    recording: Annotated[tuple[float, ...], "service times in their order (s)"]
    source: Annotated[str, "where they come from"]

    @property
    def mean(self) -> float:
        return _mean(self.recording)

    def conflict(self) -> str:
        try:
            return wrong_times(self.recording)
        except TypeError:  # what cannot be a key of a cache
            return f"recording={type(self.recording).__name__}; allowed: a tuple of numbers"

    def noise(self) -> str:
        return "uniform"

    def times(self, draws: Array) -> Array:
        import numpy as np

        recording = np.asarray(self.recording)
        start = int(draws[0] * len(recording))
        times: Array = recording[(start + np.arange(len(draws))) % len(recording)]
        return times

    def __reduce__(self) -> Any:
        return _unpickled, (self.recording, self.source)


def times_of(service: Any, noise: Any) -> Array:
    """The service times that these draws come to; raises `InputError` for any that is no time."""
    import numpy as np

    times = np.asarray(service.times(noise), dtype=np.float64)
    if not (times.min() >= 0.0 and times.max() < math.inf):
        wrong = int(np.flatnonzero(~(np.isfinite(times) & (times >= 0.0)))[0])
        raise InputError(
            f"{type(service).__name__}: call {wrong} would take {times[wrong]:g} s; "
            "allowed: finite times of 0 s or more"
        )
    return times


def costs_of(cost: Any, noise: Any) -> Array:
    """The costs that these draws come to; raises `InputError` for any that is none."""
    import numpy as np

    costs = np.asarray(cost.times(noise), dtype=np.float64)
    if not (costs.min() >= 0.0 and costs.max() < math.inf):
        wrong = int(np.flatnonzero(~(np.isfinite(costs) & (costs >= 0.0)))[0])
        raise InputError(
            f"{type(cost).__name__}: call {wrong} would cost {costs[wrong]:g}; "
            "allowed: finite costs of 0 or more"
        )
    return costs


def cost_stream(cost: Any, service: Any) -> str:
    """The stream that costs are drawn from: one of their own.

    Of a recording with as many costs as service times it is that of the service times, so both are
    of the same recorded call.

    >>> cost_stream(Exponential(400.0), Exponential(0.02))
    'cost.exponential'
    """
    recorded = isinstance(cost, Recorded) and isinstance(service, Recorded)
    if recorded and len(cost.recording) == len(service.recording):
        stream: str = service.noise()
        return stream
    return f"cost.{cost.noise()}"


def _unpickled(recording: tuple[float, ...], source: str) -> Recorded:
    """A recording that another process sent: one object for all that are equal, so that they
    compare fast.
    """
    return Recorded(_one_of_equal(recording), source)


@functools.lru_cache(maxsize=16)
def _one_of_equal(recording: tuple[float, ...]) -> tuple[float, ...]:
    return recording


def _mean(recording: tuple[float, ...]) -> float:
    """It is asked for again and again, and a key of a cache would be hashed as often as a sum
    takes.
    """
    known = _means.get(id(recording))
    if known is None or known[0] is not recording:
        if len(_means) >= 256:
            _means.clear()
        known = _means[id(recording)] = recording, math.fsum(recording) / len(recording)
    return known[1]


_means: dict[int, tuple[tuple[float, ...], float]] = {}


@functools.lru_cache(maxsize=256)
def wrong_times(recording: tuple[float, ...]) -> str:
    """What keeps numbers from being recorded service times; "" if nothing does.

    >>> wrong_times((0.02, 1e308))
    'recording[1]=1e+308; allowed: service times from 0 to 1e+06 s'
    """
    if not 0 < len(recording) <= MOST_CALLS:
        return f"{len(recording):,} service times in a recording; allowed: 1 to {MOST_CALLS:,}"
    plain = set(map(type, recording)) == {float}
    fine = (
        plain
        and min(recording) >= 0.0
        and max(recording) <= MEAN.high
        and _mean(recording) < math.inf
    )
    for i, time in enumerate(() if fine else recording):
        number: Any = time
        if not isinstance(number, Real) or not bool(0.0 <= time <= MEAN.high):
            return f"recording[{i}]={time!r}; allowed: service times from 0 to {MEAN.high:g} s"
    if not _mean(recording) >= MEAN.low:
        return f"a mean service time of {_mean(recording):g} s; allowed: at least {MEAN.low:g} s"
    return ""


#: Every source of noise has its own stream, so none depends on how many numbers another one used.
STREAMS = {
    "normal": 0,
    "exponential": 1,
    "uniform": 2,
    "timer.normal": 3,
    "timer.uniform": 4,
    "law.uniform": 5,
    "reject.uniform": 6,
    "failure.uniform": 7,
    "gap.exponential": 8,
    "network.normal": 9,
    "network.exponential": 10,
    "network.uniform": 11,
    "retry.uniform": 12,
    "cost.normal": 13,
    "cost.exponential": 14,
    "cost.uniform": 15,
    "background.gap.exponential": 16,
    "background.normal": 17,
    "background.exponential": 18,
    "background.uniform": 19,
    "background.cost.normal": 20,
    "background.cost.exponential": 21,
    "background.cost.uniform": 22,
}


def draws(
    stream: str,
    n: int,
    seed: int,
    replication: int,
    producer: int = 0,
    attempt: int = 0,
    out: Array | None = None,
) -> Array:
    """The first n draws of a stream: the same numbers for every controller (common random numbers).

    The generator's seed is a pure function of (seed, replication, stream, producer, attempt); a
    longer request continues a shorter one. With `out`, of length n, they are put there.
    """
    import numpy as np

    key = (replication, STREAMS[stream], producer, attempt)
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
    kind = stream.rpartition(".")[2]
    if kind == "normal":
        return generator.standard_normal(n, out=out)
    if kind == "exponential":
        return generator.standard_exponential(n, out=out)
    return generator.random(n, out=out)
