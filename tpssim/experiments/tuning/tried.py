"""What a search ran: its settings, those of them on fresh seeds, and what these came to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tpssim.core.statistics import Estimate, estimate
from tpssim.core.types import record
from tpssim.metrics.measure import METRICS
from tpssim.metrics.verdicts import majority
from tpssim.output.records import searches as parts
from tpssim.output.records.parts import interval
from tpssim.output.verdict_words import WORDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tpssim.experiments.tuning.search import Setting

    Array = NDArray[np.float64]


@record
class Tried(NamedTuple):
    """A setting of the search."""

    point: Setting
    stage: str  #: default, screen or search
    losses: tuple[float, ...]  #: by objective
    by_scenario: Array  #: by scenario and objective; nan where there is none
    infeasible: str  #: why it cannot be judged


@record
class Finalist(NamedTuple):
    """A setting that was run on fresh seeds; the last of them is the default."""

    point: Setting
    search: tuple[float, ...]  #: what the search found, by objective
    fresh: tuple[Estimate, ...]
    met: int  #: fresh replications
    #: may do best in the median run; of two objectives: on the front of those that were run
    standing: bool


@record
class Outcome(NamedTuple):
    """What a setting came to on one scenario, in the replications that nothing was chosen by."""

    scenario: str
    verdict: str  #: of the majority
    share: float
    measures: dict[str, Estimate]

    @staticmethod
    def of(scenario: str, words: NDArray[np.int8], values: Array) -> Outcome:
        """From verdicts and measures by replication."""
        word, share = (
            majority([WORDS[i] for i in words if i >= 0]) if (words >= 0).any() else ("failed", 1.0)
        )
        measures = {name: estimate(column) for name, column in zip(METRICS, values.T, strict=True)}
        return Outcome(scenario, word, share, measures)

    def part(self) -> parts.Outcome:
        """As it stands in a record."""
        measures = {name: interval(e) for name, e in self.measures.items()}
        return {"verdict": self.verdict, "share": self.share, "measures": measures}
