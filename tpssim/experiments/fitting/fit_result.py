"""What a fit found: the service as a scenario, how sure each number is, and what is not known."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tpssim.experiments.fitting.estimates import Change, Estimate, Unidentified
    from tpssim.experiments.fitting.held_out import Check
    from tpssim.experiments.fitting.limits import Limits
    from tpssim.output.plots import Figure
    from tpssim.output.records import FitRecord
    from tpssim.scenarios.files import Correlated
    from tpssim.scenarios.recordings.calls import Recording
    from tpssim.scenarios.scenario import Scenario


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class FitResult:
    """A service learned from a recording."""

    scenario: Scenario  #: the service; `with_parameters` takes the names of the estimates
    estimates: dict[
        str, Estimate
    ]  #: by name, with their 95 % intervals; a bound has an infinite end
    unidentified: tuple[Unidentified, ...]  #: what the recording cannot say
    changes: tuple[Change, ...]  #: of the service over the time that was fitted
    plateau: Estimate  #: answers per second with all servers at work
    structure: str  #: "one at a time" or "overlapping"
    kind: str  #: of the service times: a distribution of the catalogue, or "recorded"
    recording: Recording  #: all of it
    split: float  #: s since its start: what began before is fitted, the rest held out
    holdout: float
    seed: int
    likelihoods: dict[float, float]  #: log-likelihood of each number of servers that was tried
    limits: Limits | None = None  #: what it refuses and fails
    correlations: tuple[Correlated, ...] = ()  #: of the errors of estimates

    def __repr__(self) -> str:
        return f"<FitResult: {self.structure}, {self.kind}, {len(self.recording):,} calls>"

    def line(self) -> str:
        """The service in a sentence."""
        servers = self.estimates["backend.servers"]
        many = f"at least {servers.low:g}" if servers.is_bound() else f"{servers.value:g}"
        many += " server" if many.split()[-1] == "1" else " servers"
        mean, cv = self.estimates["service.mean"].value, self.estimates["service.cv"].value
        return f"{self.structure}: {many}, {self.kind} of mean {mean:.4g} s and cv {cv:.3g}"

    def table(self) -> str:
        """Estimates with their intervals, what changed, and what is not known."""
        from tpssim.experiments.fitting import telling

        return telling.table(self)

    def check(
        self, runs: int = 20, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> Check:
        """The twin beside the part of the recording that was held out; `.table()`, `.holds`."""
        from tpssim.experiments.fitting import held_out

        quotas = () if self.limits is None else self.limits.quotas
        fixed = (each.phase for each in quotas if each.quota.window == "fixed")
        return held_out.check(
            self.scenario,
            self.recording,
            self.split,
            seed=self.seed,
            runs=runs,
            phase=next(fixed, 0.0),
            drawn=self.draws(runs, self.seed),
            progress=progress,
        )

    def draws(self, n: int, seed: int = 0) -> list[Scenario]:
        """As many services as may have made the recording, drawn from the intervals and
        correlations."""
        from tpssim.experiments.fitting import draws, telling

        return draws.drawn(telling.file_of(self), n, seed)

    def plot(self, check: Check | None = None) -> Figure:
        """The check in a picture: throughput over calls in flight, latencies over time."""
        from tpssim.output import plots

        done = self.check() if check is None else check
        return plots.fit_figure(self.line(), done.flow, done.times, done.since, done.line())

    def record(self, check: Check | None = None, command: str = "") -> FitRecord:
        """All of it, the check included, as plain data."""
        from tpssim.experiments.fitting import telling

        return telling.record_of(self, self.check() if check is None else check, command)

    def to_toml(
        self, path: str | Path | None = None, command: str = "", check: Check | None = None
    ) -> str:
        """The twin as a scenario's file, with provenance and intervals; written to `path`. It is
        checked, if `check` is not given; the file says so where the twin does not hold.
        """
        from tpssim.experiments.fitting import telling

        done = self.check() if check is None else check
        return telling.file_of(self, command, done).to_toml(path)
