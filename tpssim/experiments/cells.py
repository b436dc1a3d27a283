"""What one throttle did on one scenario: its runs, and what they come to together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from tpssim.core.statistics import Estimate, estimate, estimate_each
from tpssim.core.types import record
from tpssim.metrics.layout import Phase
from tpssim.metrics.measure import METRICS
from tpssim.metrics.verdicts import Verdict, majority, remark, remark_in_short
from tpssim.output.records import comparisons as parts
from tpssim.output.records.parts import interval
from tpssim.output.results_dir import plain
from tpssim.scenarios.load import peak
from tpssim.scenarios.scenario import Scenario

if TYPE_CHECKING:
    from tpssim.simulation.trace import Trace


@record
class Run(NamedTuple):
    """One replication of one throttle on one scenario."""

    measures: dict[str, float]
    phases: list[Phase]
    verdict: Verdict
    calls: int
    #: SHA-256 of the columns scheduled, released, completed and rate; "" if it is a twin's run
    digest: str
    trace: Trace | None


@record
class Cell(NamedTuple):
    """All replications of one throttle on one scenario."""

    controller: str
    parameters: Mapping[str, float]
    runs: list[Run]
    actuators: tuple[str, ...] = ("rate",)  #: what the throttle commands

    def estimate(self, metric: str) -> Estimate:
        """Mean of a measure, and the interval around it that holds the median run."""
        return estimate([run.measures[metric] for run in self.runs])

    def estimates(self) -> dict[str, Estimate]:
        """The same of every measure, by name."""
        columns = [[run.measures[name] for run in self.runs] for name in METRICS]
        return dict(zip(METRICS, estimate_each(columns), strict=True))

    def verdict(self) -> tuple[str, float]:
        """The word of the majority and its share."""
        return majority([run.verdict.word for run in self.runs])

    def reason(self) -> str:
        """Why: the reason given for the first replication of the majority."""
        word, _ = self.verdict()
        return next(run.verdict.reason for run in self.runs if run.verdict.word == word)

    def remark(self, scenario: Scenario) -> str:
        """What stands beside the verdict of most runs (`verdicts.remark`): that of the first of
        them.
        """
        run = self._remarkable(scenario)
        return remark(run.measures, run.phases, scenario) if run else ""

    def remark_in_short(self, scenario: Scenario) -> str:
        """The same in a few words."""
        run = self._remarkable(scenario)
        return remark_in_short(run.measures, run.phases, scenario) if run else ""

    def _remarkable(self, scenario: Scenario) -> Run | None:
        """The first run with a remark, if most have one."""
        found = [run for run in self.runs if remark(run.measures, run.phases, scenario)]
        return found[0] if 2 * len(found) > len(self.runs) else None

    def phase_estimates(self) -> list[parts.Phase]:
        """One entry a long phase: its bounds and the estimate of every measure in it."""
        fixed = ("start", "end", "achievable", "capacity")
        measured = [name for name in Phase._fields if name not in fixed]
        rows = []
        for same in zip(*(run.phases for run in self.runs), strict=True):
            row: Any = {name: plain(getattr(same[0], name)) for name in fixed}
            found = estimate_each([[getattr(phase, name) for phase in same] for name in measured])
            row |= {name: interval(one) for name, one in zip(measured, found, strict=True)}
            rows.append(row)
        return rows


def storm(cell: Cell, scenario: Scenario) -> float:
    """Releases in the busiest 0.1 s as a multiple of the wanted rate."""
    return (cell.estimate("burst_100ms").mean or 0.0) / (
        0.1 * peak(scenario) * len(scenario.producers)
    )
