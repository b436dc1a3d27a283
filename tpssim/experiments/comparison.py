"""The result of `compare`: what each throttle did on each scenario, as table, pictures, JSON and
CSV.

It reads finished runs and can start none.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tpssim.controllers.article import TWINS
from tpssim.core.schedule import BURST
from tpssim.core.statistics import EACH, assumption
from tpssim.core.timer_models import IDEAL
from tpssim.core.types import record
from tpssim.experiments.cells import Cell, storm
from tpssim.experiments.comparison_record import scenario_part
from tpssim.experiments.comparison_tables import (
    DRAWN,
    late_table,
    scenario_table,
)
from tpssim.experiments.over_draws import over_draws
from tpssim.metrics.measure import ENDLESS, definitions
from tpssim.output import format, records, tables
from tpssim.output.pictures import Frame, Panel
from tpssim.output.records import comparisons as parts
from tpssim.output.tables import Note, Table
from tpssim.scenarios.drawn import frame
from tpssim.scenarios.scenario import Scenario, base_of
from tpssim.simulation.run import observes_alike

if TYPE_CHECKING:
    from tpssim.output.plots import Figure
    from tpssim.output.records.parts import OverDraws


@record
class Comparison(NamedTuple):
    """Scenarios by name, and a cell for each (scenario, throttle), in the order in which they were
    given.

    >>> import tpssim
    >>> result = tpssim.compare("blocking-steady:duration=5", ["fixed", "headroom"], replications=2)
    >>> result.of("blocking-steady:duration=5")["fixed"].verdict()
    ('saturated', 1.0)
    """

    scenarios: dict[str, Scenario]
    cells: dict[tuple[str, str], Cell]
    seed: int
    replications: int

    def of(self, scenario: str) -> dict[str, Cell]:
        """The cells of one scenario by throttle."""
        return {label: cell for (name, label), cell in self.cells.items() if name == scenario}

    def table(self, checks: bool = False) -> str:
        """One plain-text table a scenario, 80 columns wide.

        A verdict without a number beside it is that of all replications.

        With `checks` also whether the printed throttles and the laws that should equal them did so.
        """
        parts = [table.text() for table in self._tables()]
        parts.append("\n".join(map(tables.noted, self._notes())))
        return "\n\n".join([*parts, *([twins] if checks and (twins := self._twin_lines()) else [])])

    def undrawn(self) -> Comparison:
        """Without the services that were drawn from the intervals of a fit."""
        kept = {name: each for name, each in self.scenarios.items() if not DRAWN.search(name)}
        cells = {place: cell for place, cell in self.cells.items() if place[0] in kept}
        return self._replace(scenarios=kept, cells=cells)

    def over_draws(self) -> dict[str, dict[str, OverDraws]]:
        """By fitted service: what each throttle comes to on those that were drawn from it."""
        groups: dict[str, list[dict[str, Cell]]] = {}
        for name in self.scenarios:
            if DRAWN.search(name):
                groups.setdefault(DRAWN.sub("", name), []).append(self.of(name))
        return {
            base: {label: over_draws([cells[label] for cells in found]) for label in found[0]}
            for base, found in groups.items()
        }

    def __repr__(self) -> str:
        throttles = len({label for _, label in self.cells})
        return (
            f"<Comparison: {format.count(throttles, 'throttle')} on"
            f" {format.count(len(self.scenarios), 'scenario')},"
            f" {format.count(self.replications, 'replication')}; print(.table()), .plot(),"
            " .rows()>"
        )

    def _repr_html_(self) -> str:
        """The tables in a notebook."""
        from tpssim.output.html.notebook import shown

        return shown(self._tables(), self._notes())

    def _tables(self) -> list[Table]:
        """One a scenario, and one for each group of late policies."""
        return [
            *(
                scenario_table(scenario, self.of(name), self.replications)
                for name, scenario in self.scenarios.items()
            ),
            *(
                late_table(variants, [*self.of(variants[0].name)], self.cells)
                for variants in self.late_variants()
            ),
        ]

    def _notes(self) -> list[Note]:
        """What is below the tables."""
        split = any(cell.verdict()[1] < 1.0 for cell in self.cells.values())
        notes = [tables.split_note(self.replications)] if split else []
        return [*notes, ("±:", assumption(self.replications))]

    def late_variants(self) -> list[list[Scenario]]:
        """Scenarios that differ in nothing but the late policy (and the name), where there are
        several.
        """
        groups: dict[Scenario, list[Scenario]] = {}
        for scenario in self.scenarios.values():
            groups.setdefault(scenario._replace(name="", late=BURST), []).append(scenario)
        return [group for group in groups.values() if len(group) > 1]

    def plot(self, scenario: str | None = None) -> Figure:
        """The rate over time of every throttle on one scenario (by default the first)."""
        from tpssim.output import plots

        return plots.rate_figure(*self.picture(scenario))

    def picture(self, scenario: str | None = None) -> tuple[str, list[Panel], Frame]:
        """What `plots.rate_figure` needs for that."""
        chosen = self.scenarios[scenario or next(iter(self.scenarios))]
        shared: dict[tuple[str, str], list[str]] = {}  # equal runs share a panel
        for label, cell in self.of(chosen.name).items():
            if cell.runs[0].trace is not None:
                shared.setdefault((cell.runs[0].digest or label, _share(cell)), []).append(label)
        panels = []
        for labels in shared.values():
            cell = self.cells[chosen.name, labels[0]]
            trace = cell.runs[0].trace
            assert trace is not None
            verdict = ", ".join(filter(None, (_share(cell), cell.remark_in_short(chosen))))
            panels.append(trace.panel(_panel_title(labels, verdict)))
        title = f"{chosen.name}: {chosen.summary}" if chosen.summary else chosen.name
        return title, panels, Frame(*frame(chosen))

    def plot_late(self, throttle: str) -> list[Figure]:
        """The rate over time of one throttle under each late policy: a figure for each group of
        variants.
        """
        from tpssim.output import plots

        return [plots.rate_figure(*picture) for picture in self.late_pictures(throttle).values()]

    def late_pictures(self, throttle: str) -> dict[str, tuple[str, list[Panel], Frame]]:
        """What `plots.rate_figure` needs for those, by the scenario that they are variants of."""
        pictures = {}
        for group in self.late_variants():
            panels = []
            for scenario in group:
                cell = self.cells[scenario.name, throttle]
                trace = cell.runs[0].trace
                assert trace is not None
                peak = storm(cell, scenario)
                title = f"{scenario.late}: {peak:.2g} x the target in the busiest 0.1 s"
                panels.append(trace.panel(title))
            base = base_of(group[0])
            title = f"{base}, {throttle}: what becomes of missed slots"
            pictures[base] = title, panels, Frame(*frame(group[0]))
        return pictures

    def record(self) -> records.CompareRecord:
        """Everything but the traces as plain data."""
        variants = self._variants()
        return records.CompareRecord(
            seed=self.seed,
            replications=self.replications,
            confidence=EACH,
            assumption=assumption(self.replications),
            metrics=definitions(),
            scenarios={
                name: scenario_part(scenario, variants.get(name, ""), self.of(name))
                for name, scenario in self.scenarios.items()
            },
            twins=[pair.part() for pair in self.twins()],
            over_draws=self.over_draws(),
        )

    def to_json(self, **extra: Any) -> str:
        """The record as JSON; `extra` is added, or takes the place of a field such as `command`.
        Equal runs give equal text.
        """
        return json.dumps({**self.record().to_dict(), **extra}, indent=1, allow_nan=False)

    def _variants(self) -> dict[str, str]:
        """Scenarios that are there for their late policy, and which one each is a variant of."""
        found = {name: base_of(scenario) for name, scenario in self.scenarios.items()}
        found = {name: base for name, base in found.items() if base != name}
        for group in self.late_variants():
            found |= dict.fromkeys((scenario.name for scenario in group), base_of(group[0]))
        return found

    def rows(self) -> Iterator[dict[str, Any]]:
        """One flat row for each scenario and throttle: verdict, then mean, low and high of every
        measure.

        They are over the n replications in which it is finite; in `never` others it never happens.
        """
        for (name, label), cell in self.cells.items():
            word, share = cell.verdict()
            row: dict[str, Any] = {
                "scenario": name,
                "throttle": label,
                "verdict": word,
                "share": share,
            }
            row["remark"] = cell.remark(self.scenarios[name])
            for metric, value in cell.estimates().items():
                row |= {
                    metric: value.mean,
                    f"{metric}_low": value.low,
                    f"{metric}_high": value.high,
                }
                row[f"{metric}_n"] = value.n
                if metric in ENDLESS:
                    row[f"{metric}_never"] = value.never
            yield row

    def twins(self) -> list[Twins]:
        """Printed throttles and the parameterised laws that should equal them, where both ran."""
        found = []
        for printed, law in TWINS.items():
            ideal = [
                name
                for name, scenario in self.scenarios.items()
                if scenario.timer == IDEAL
                and scenario.late == BURST
                and observes_alike(scenario, printed)
                and {(name, printed), (name, law)} <= self.cells.keys()
            ]
            pairs = [
                pair
                for name in ideal
                for pair in zip(
                    self.cells[name, printed].runs, self.cells[name, law].runs, strict=True
                )
                if pair[0].digest
            ]
            if pairs:
                equal = sum(a.digest == b.digest for a, b in pairs)
                calls = sum(a.calls for a, _ in pairs)
                found.append(Twins(printed, law, len(ideal), len(pairs), equal, calls))
        return found

    def _twin_lines(self) -> str:
        borrowed = ""
        if any(not run.digest for cell in self.cells.values() for run in cell.runs):
            borrowed = "; other replications are the law's"
        return "\n".join(
            tables.filled(
                f"{t.printed} and {t.law}: the same trajectory to the bit in {t.equal} of {t.runs}"
                f" runs ({t.calls:,} calls){borrowed}",
                further="  ",
            )
            for t in self.twins()
        )


@record
class Twins(NamedTuple):
    """How a printed throttle and its parameterised twin agree."""

    printed: str
    law: str
    scenarios: int
    runs: int
    equal: int
    calls: int

    def part(self) -> parts.Twins:
        """As it stands in a record."""
        return {
            "printed": self.printed,
            "law": self.law,
            "scenarios": self.scenarios,
            "runs": self.runs,
            "equal": self.equal,
            "calls": self.calls,
        }


def _panel_title(labels: Sequence[str], verdict: str) -> str:
    """Above a panel: the throttles whose first runs are equal to the bit, and what became of them.

    >>> _panel_title(["fixed"], "converges 5/5")
    'fixed: converges 5/5'
    >>> print(_panel_title(["printed-schedule", "printed-spin", "fixed"], "saturated 5/5"))
    printed-schedule = printed-spin = fixed:
    saturated 5/5, equal to the bit
    """
    if len(labels) == 1:
        return f"{labels[0]}: {verdict}"
    names = textwrap.fill(" = ".join(labels), 44, break_on_hyphens=False, break_long_words=False)
    return f"{names}:\n{verdict}, equal to the bit"


def _share(cell: Cell) -> str:
    word, share = cell.verdict()
    return f"{word} {round(share * len(cell.runs))}/{len(cell.runs)}"
