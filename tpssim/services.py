"""How long one call takes: distributions of service time, driven by noise that is drawn beforehand.

A service is a record with a mean and `times(draws)`, which maps standard draws (one per call number) to
service times. The noise never depends on what a controller does: call k draws the same number always.
NumPy is imported when noise is drawn, not before.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Protocol

from tpssim.core import Range

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MEAN = Range(0.0, 1e6, "s", closed_low=False)


class Service(Protocol):
    """A distribution of service times."""

    @property
    def mean(self) -> float: ...  #: expected service time, s
    def noise(self) -> str: ...  #: which standard draws it needs: a key of `STREAMS`
    def times(self, draws: Any) -> Any: ...  #: draws -> service times, s


class Constant(NamedTuple):
    """Every call takes `mean` seconds."""

    mean: Annotated[float, MEAN]  #: service time

    def noise(self) -> str:
        return "uniform"  # any would do; this one is drawn fastest

    def times(self, draws: Array) -> Array:
        times: Array = 0.0 * draws + self.mean
        return times


class Exponential(NamedTuple):
    """Exponential service times: `mean * E` with E standard exponential; CV 1."""

    mean: Annotated[float, MEAN]  #: expected service time

    def noise(self) -> str:
        return "exponential"

    def times(self, draws: Array) -> Array:
        times: Array = self.mean * draws
        return times


class Lognormal(NamedTuple):
    """Lognormal service times: `mean * exp(sigma * Z - sigma^2 / 2)`, `sigma^2 = ln(1 + cv^2)`."""

    mean: Annotated[float, MEAN]  #: expected service time
    cv: Annotated[float, Range(0.0, 20.0, "std / mean")]  #: its spread: coefficient of variation; 0: none

    def noise(self) -> str:
        return "normal"

    def times(self, draws: Array) -> Array:
        import numpy as np

        variance = math.log(1.0 + self.cv * self.cv)
        times: Array = self.mean * np.exp(math.sqrt(variance) * draws - variance / 2.0)
        return times


class Gamma(NamedTuple):
    """Gamma service times of shape `1 / cv^2`, by inversion of one uniform draw; CV `cv`."""

    mean: Annotated[float, MEAN]  #: expected service time
    #: its spread: coefficient of variation
    cv: Annotated[float, Range(0.0, 20.0, "std / mean", closed_low=False)]

    def noise(self) -> str:
        return "uniform"

    def times(self, draws: Array) -> Array:
        import numpy as np
        from scipy.special import gammaincinv

        shape = 1.0 / (self.cv * self.cv)
        times: Array = np.asarray(self.mean / shape * gammaincinv(shape, draws), dtype=np.float64)
        return times


class TwoPhase(NamedTuple):
    """Exponential of mean `fast`, or with probability `share` of mean `slow`, from one uniform draw."""

    fast: Annotated[float, MEAN]  #: expected service time of the fast calls
    slow: Annotated[float, MEAN]  #: expected service time of the slow calls
    #: how many of the calls are slow
    share: Annotated[float, Range(0.0, 1.0, "of the calls", closed_low=False, closed_high=False)]

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


class Pareto(NamedTuple):
    """Pareto service times of tail index `shape`: `m * U^(-1/shape)`, `m = mean * (shape - 1) / shape`."""

    mean: Annotated[float, MEAN]  #: expected service time
    #: the smaller, the longer the longest calls; up to 2 the variance is infinite
    shape: Annotated[float, Range(1.0, 100.0, "tail index", closed_low=False)]

    def noise(self) -> str:
        return "uniform"

    def times(self, draws: Array) -> Array:
        smallest = self.mean * (self.shape - 1.0) / self.shape
        times: Array = smallest * (1.0 - draws) ** (-1.0 / self.shape)  # draws are in [0, 1)
        return times


class Recorded(NamedTuple):
    """A recording replayed in order: call k takes `recording[(start + k) mod n]` seconds.

    Replications differ in `start`, which is drawn once, so the autocorrelation of the recording is kept.
    """

    recording: tuple[float, ...]  #: service times in their order, s
    source: str  #: where they come from

    @property
    def mean(self) -> float:
        return math.fsum(self.recording) / len(self.recording)

    def noise(self) -> str:
        return "uniform"

    def times(self, draws: Array) -> Array:
        import numpy as np

        recording = np.asarray(self.recording)
        start = int(draws[0] * len(recording))
        times: Array = recording[(start + np.arange(len(draws))) % len(recording)]
        return times


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
}


def draws(stream: str, n: int, seed: int, replication: int, producer: int = 0, attempt: int = 0) -> Array:
    """The first n draws of a stream: the same numbers for every controller (common random numbers).

    The generator's seed is a pure function of (seed, replication, stream, producer, attempt); a longer
    request continues a shorter one.
    """
    import numpy as np

    key = (replication, STREAMS[stream], producer, attempt)
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
    kind = stream.rpartition(".")[2]
    if kind == "normal":
        return generator.standard_normal(n)
    if kind == "exponential":
        return generator.standard_exponential(n)
    return generator.random(n)
