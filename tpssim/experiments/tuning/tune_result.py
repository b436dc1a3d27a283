"""The result of `tune`: a setting, how sure it is, what it gains and what it costs; text, tables,
pictures.

It reads finished searches and runs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim.controllers import CONTROLLERS
from tpssim.core.statistics import CONFIDENCE, Estimate
from tpssim.core.types import record
from tpssim.core.validation import FLAG, exact, ranges
from tpssim.experiments.tuning import summary_text
from tpssim.experiments.tuning.objectives import PENALTY, UNITS, Sense, sense
from tpssim.experiments.tuning.tried import Finalist, Outcome, Tried
from tpssim.metrics.measure import METRICS, definitions
from tpssim.output import format, tables
from tpssim.output.records import TuneRecord
from tpssim.output.records import searches as parts
from tpssim.output.records.parts import interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tpssim.experiments.tuning.objectives import Objective
    from tpssim.experiments.tuning.search import Axis
    from tpssim.experiments.tuning.selection import Change, Choice
    from tpssim.output.plots import Figure, Shown
    from tpssim.scenarios.scenario import Scenario

    Array = NDArray[np.float64]

EDGE = 0.02  # of a search range: a best value so near to its end asks for a wider range


@record
class TuneResult(NamedTuple):
    """Losses are less for better; of two objectives there are two of everything.

    >>> import tpssim
    >>> result = tpssim.tune(
    ...     "blocking-steady:duration=5", "aimd", parameters=["dec_rate"], budget=16, replications=1
    ... )
    >>> result.best == result.given or result.spec().startswith("aimd:dec_rate=")
    True
    """

    controller: str
    given: Any  #: the law that was to be tuned: the default
    best: Any  #: the law that was chosen
    axes: Sequence[Axis]
    scenarios: Sequence[Scenario]
    objectives: Sequence[Objective]
    robust: str
    replications: int
    seed: int
    budget: int
    runs: int
    tried: list[Tried]
    finalists: list[Finalist]
    choice: Choice | None  #: None for two objectives
    winner: Tried
    default: tuple[Estimate, ...]
    tuned: tuple[Estimate, ...]
    gain: tuple[Estimate, ...]  #: default - tuned in paired runs
    outcomes: list[tuple[Outcome, ...]]  #: by scenario: of the default, of the tuned
    worse: list[Change]
    better: list[Change]

    def __repr__(self) -> str:
        n = len(self.scenarios)
        where = self.scenarios[0].name if n == 1 else f"{n} scenarios"
        return (
            f"<TuneResult: {self.spec()} for {where}, of"
            f" {format.count(len(self.tried), 'setting')}, {format.count(self.runs, 'run')};"
            " print(.text()), .line(), .to_pandas(), .plot_profile()>"
        )

    def spec(self) -> str:
        """The chosen law as it may be typed: `NAME:key=value,...`; of a user's class,
        `Name(key=value)`.
        """
        return self._spec(self.best)

    def _spec(self, law: Any) -> str:
        default = type(law)._field_defaults
        values = {name: getattr(law, name) for name in ranges(law)}
        listed = [f"{k}={exact(v)}" for k, v in values.items() if v != default.get(k)]
        if self.controller not in CONTROLLERS:
            return f"{self.controller}({', '.join(listed)})"
        return f"{self.controller}:{','.join(listed)}" if listed else self.controller

    def line(self) -> str:
        """What to use, as a line to paste: the chosen law, or the default where `keeps_default`."""
        quote = '"' if self.controller in CONTROLLERS else ""
        law = self.given if self.keeps_default() else self.best
        return f"throttle(items, tps, controller={quote}{self._spec(law)}{quote})"

    def keeps_default(self) -> bool:
        """Whether nothing was found that did better in the runs that nothing was chosen by."""
        pairs = zip(self.default, self.tuned, self.gain, strict=True)
        return self.winner.point == self.finalists[-1].point or not any(
            after.mean is not None and (before.mean is None or (gain.mean or 0.0) > 0.0)
            for before, after, gain in pairs
        )

    def judgements(self) -> list[str]:
        """Of each objective: `better`, `worse`, `not certain`; `default` if it was chosen,
        `unknown`.
        """
        if self.winner.point == self.finalists[-1].point:
            return ["default"] * len(self.gain)
        return [judgement(gain) for gain in self.gain]

    def optimism(self) -> tuple[float | None, ...]:
        """By how much the search thought better of the winner than fresh runs do, by objective."""
        pairs = zip(self.tuned, self.winner.losses, strict=True)
        return tuple(None if fresh.mean is None else fresh.mean - found for fresh, found in pairs)

    def so_far(self) -> list[float]:
        """The least loss (of the first objective) among the settings tried until then, after each
        of them.
        """
        losses = [row.losses[0] if not row.infeasible else math.inf for row in self.tried]
        return [float(loss) for loss in np.minimum.accumulate(losses)]

    def at_edges(self) -> list[str]:
        """Parameters whose best value lies at an end of what was searched."""
        best = dict(zip([axis.name for axis in self.axes], self.winner.point, strict=True))
        return [f"{name}={exact(best[name])}" for name in self._edges()]

    def _edges(self) -> list[str]:
        if self._stays():  # the default may lie anywhere
            return []
        return [
            axis.name
            for axis, x in zip(self.axes, self.winner.point, strict=True)
            if axis.unit != FLAG and not EDGE < axis.share(x) < 1.0 - EDGE
        ]

    def _stays(self) -> bool:
        """Whether the default was chosen."""
        return bool(self.winner.point == self.finalists[-1].point)

    def text(self) -> str:
        """One screen: the setting, what it gains, how sure that is, what it costs."""
        aims = [(self._sense(k), aim.formula) for k, aim in enumerate(self.objectives)]
        ways = [way for way, _ in aims]
        names = [scenario.name for scenario in self.scenarios]
        size = summary_text.Size(len(self.tried), self.replications, self.runs)
        nothing, stays, best = self.keeps_default(), self._stays(), self.winner.point
        gains = zip(ways, self.default, self.tuned, self.gain, self.judgements(), strict=True)
        curse = "" if self.choice is None else summary_text.curse(ways[0], self.finalists, best)
        stages = [row.stage for row in self.tried]
        blocks = [
            [
                "" if stays else summary_text.warning(self.outcomes),
                summary_text.head(self.controller, names, self.robust, aims, size, nothing),
            ],
            [f"  {self.line()}"],
            [
                *(summary_text.gain(*one) for one in gains),
                summary_text.chosen(self.finalists, self.choice),
                summary_text.optimism(ways, self.winner, self.tuned, curse),
                summary_text.milestones(ways[0], self.so_far(), stages) if len(ways) == 1 else "",
            ],
            [summary_text.parameters(self.axes, self.given, best, self._edges())],
            [summary_text.scenarios(self.outcomes)],
            ["" if stays else summary_text.given_up(self.worse)],
        ]
        return "\n\n".join("\n".join(filter(None, block)) for block in blocks if any(block))

    def records(self) -> Iterator[dict[str, Any]]:
        """One flat row a setting: number, stage, parameters, losses, losses on each scenario."""
        fixed = ("number", "stage", "infeasible")
        aims = [
            f"objective.{aim.name}" if aim.name in fixed else aim.name for aim in self.objectives
        ]
        taken = (*fixed, *aims)
        names = [
            f"controller.{axis.name}" if axis.name in taken else axis.name for axis in self.axes
        ]
        for number, row in enumerate(self.tried):
            found: dict[str, Any] = {"number": number, "stage": row.stage}
            found |= dict(zip(names, row.point, strict=True))
            for k, aim in enumerate(aims):
                found[aim] = None if row.infeasible else row.losses[k]
                for s, scenario in enumerate(self.scenarios):
                    value = float(row.by_scenario[s, k])
                    found[f"{aim} on {scenario.name}"] = None if math.isnan(value) else value
            found["infeasible"] = row.infeasible
            yield found

    def to_csv(self, path: Any) -> None:
        """Write the settings that were tried; equal searches give equal bytes."""
        tables.write_csv(path, self.records())

    def to_pandas(self) -> Any:
        """The settings that were tried as a DataFrame (needs pandas)."""
        return tables.frame(
            [{k: math.nan if v is None else v for k, v in r.items()} for r in self.records()]
        )

    def record(self) -> TuneRecord:
        """Everything but the settings that were tried, as plain data."""
        return TuneRecord(
            controller=self.controller,
            best=self.spec(),
            line=self.line(),
            parameters=self.best._asdict(),
            default_parameters=self.given._asdict(),
            searched=[axis.part() for axis in self.axes],
            at_edges=self.at_edges(),
            scenarios=[scenario.name for scenario in self.scenarios],
            objectives=[
                {
                    "name": aim.name,
                    "formula": aim.formula,
                    "sense": sense(aim.name, aim.formula).part(),
                }
                for aim in self.objectives
            ],
            robust=self.robust,
            replications=self.replications,
            seed=self.seed,
            budget=self.budget,
            settings=len(self.tried),
            infeasible=sum(bool(row.infeasible) for row in self.tried),
            runs=self.runs,
            default=list(map(interval, self.default)),
            tuned=list(map(interval, self.tuned)),
            gain=list(map(interval, self.gain)),
            judgements=self.judgements(),
            keeps_default=self.keeps_default(),
            search_said=list(self.winner.losses) if not self.winner.infeasible else None,
            optimism=list(self.optimism()),
            confidence=CONFIDENCE,
            within=None if self.choice is None else self.choice.within,
            finalists=[self._finalist(one) for one in self.finalists],
            scenario_outcomes=[
                {"scenario": before.scenario, "default": before.part(), "tuned": after.part()}
                for before, after in self.outcomes
            ],
            worse=[change.part() for change in self.worse],
            better=[change.part() for change in self.better],
            definitions=definitions(),
        )

    def _finalist(self, one: Finalist) -> parts.Finalist:
        return {
            "parameters": dict(zip([a.name for a in self.axes], one.point, strict=True)),
            "search": list(one.search) if max(one.search) < PENALTY else None,
            "fresh": list(map(interval, one.fresh)),
            "fresh_replications": one.met,
            "standing": one.standing,
        }

    def plot_convergence(self) -> Figure:
        """Losses in the order in which they were found, and the best so far."""
        from tpssim.output import plots

        return plots.convergence_figure(
            f"{self.controller}: search for {self._title(0)}",
            self._aim(0),
            self._losses(0),
            [row.stage for row in self.tried],
            self._bar(self.default[0]),
            self._bar(self.tuned[0]),
            self._shown(0),
        )

    def plot_profile(self) -> Figure:
        """Every loss over each parameter: how flat the bottom is."""
        from tpssim.output import plots

        columns = [
            plots.Column(
                _words(axis.name) if not axis.unit else f"{_words(axis.name)} ({axis.unit})",
                np.array([row.point[i] for row in self.tried], dtype=np.float64),
                axis.log,
                float(self.tried[0].point[i]),
                float(self.winner.point[i]),
            )
            for i, axis in enumerate(self.axes)
        ]
        return plots.profile_figure(
            f"{self.controller}: {self._title(0)} over each parameter",
            self._aim(0),
            columns,
            self._losses(0),
            self._shown(0),
        )

    def plot_pareto(self) -> Figure:
        """Two objectives against each other: all settings, the front, the default and the knee."""
        from tpssim.output import plots

        marks = [[self._bar(e) for e in one.fresh] for one in self.finalists]
        knee = next(i for i, one in enumerate(self.finalists) if one.point == self.winner.point)
        return plots.pareto_figure(
            f"{self.controller}: {self._title(0)} against {self._title(1)}",
            (self._aim(0), self._aim(1)),
            (self._losses(0), self._losses(1)),
            marks,
            knee,
            (self._shown(0), self._shown(1)),
        )

    def _aim(self, k: int) -> str:
        """An objective on an axis: in words, with its unit."""
        name = self._sense(k).name
        unit = METRICS[name].unit if name in METRICS else UNITS.get(name, "")
        return f"{self._title(k)}, {unit}" if unit else self._title(k)

    def _sense(self, k: int) -> Sense:
        return sense(self.objectives[k].name, self.objectives[k].formula)

    def _shown(self, k: int) -> Shown:
        from tpssim.output import plots

        return plots.Shown(*self._sense(k)[2:])

    def _title(self, k: int) -> str:
        name = self._sense(k).name
        name = _words(name) if name in METRICS else name
        return name if len(name) <= 40 else f"{name[:37]}..."

    def _losses(self, k: int) -> Array:
        return np.array([math.nan if row.infeasible else row.losses[k] for row in self.tried])

    @staticmethod
    def _bar(e: Estimate) -> tuple[float, float, float]:
        mean, low, high = (math.nan if x is None else x for x in e[:3])
        return mean, low, high


def _words(name: str) -> str:
    return name.replace("_", " ")


def judgement(gain: Estimate) -> str:
    """What its interval says of a gain."""
    if gain.mean is None:
        return "unknown"
    if gain.low is not None and gain.low > 0.0:
        return "better"
    return "worse" if gain.high is not None and gain.high < 0.0 else "not certain"
