"""The result of `compare`: what each throttle did on each scenario, as table, pictures, JSON and
CSV.

It reads finished runs and can start none.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tpssim.controllers.article import TWINS
from tpssim.core.schedule import BURST
from tpssim.core.statistics import EACH, Estimate, assumption, estimate
from tpssim.core.timer_models import IDEAL
from tpssim.core.types import record
from tpssim.metrics.layout import Phase
from tpssim.metrics.measure import ENDLESS, METRICS, definitions
from tpssim.metrics.verdicts import Verdict, bursts, majority
from tpssim.output import format, records, tables
from tpssim.output.columns import COLUMNS, columns
from tpssim.output.records import comparisons as parts
from tpssim.output.records.parts import interval
from tpssim.output.results_dir import plain
from tpssim.output.tables import Column, Note, Table, Value
from tpssim.scenarios.scenario import Scenario, base_of, frame

if TYPE_CHECKING:
    from tpssim.output.plots import Figure, Frame, Panel
    from tpssim.simulation.trace import Trace


#: Columns of the tables; measures by name.
FIRST = (
    Column("throttle", left=True),
    Column("verdict", left=True),
    COLUMNS["achieved"],
    Column("steady", "%"),
)
MEASURES = columns("swing", "recovery_time", "response_p99")
ALONE = columns("drift", "spin_cpu")
SHARED = columns("fairness", "time_to_fairness")
COUNTS = columns("caught_up", "re_anchored", "skipped")


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

    def verdict(self) -> tuple[str, float]:
        """The word of the majority and its share."""
        return majority([run.verdict.word for run in self.runs])

    def reason(self) -> str:
        """Why: the reason given for the first replication of the majority."""
        word, _ = self.verdict()
        return next(run.verdict.reason for run in self.runs if run.verdict.word == word)

    def remark(self, scenario: Scenario) -> str:
        """What stands beside the verdict of most runs (`verdicts.bursts`): that of the first of
        them.
        """
        remarks = [text for run in self.runs if (text := bursts(run.measures, scenario))]
        return remarks[0] if 2 * len(remarks) > len(self.runs) else ""

    def phase_estimates(self) -> list[parts.Phase]:
        """One entry a long phase: its bounds and the estimate of every measure in it."""
        fixed = ("start", "end", "achievable", "capacity")
        rows = []
        for same in zip(*(run.phases for run in self.runs), strict=True):
            row: Any = {name: plain(getattr(same[0], name)) for name in fixed}
            for name in Phase._fields:
                if name not in fixed:
                    row[name] = interval(estimate([getattr(phase, name) for phase in same]))
            rows.append(row)
        return rows


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
            *(self._scenario_table(scenario) for scenario in self.scenarios.values()),
            *(self._late_table(variants) for variants in self.late_variants()),
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
        from tpssim.output import plots

        chosen = self.scenarios[scenario or next(iter(self.scenarios))]
        shared: dict[tuple[str, str], list[str]] = {}  # equal runs share a panel
        for label, cell in self.of(chosen.name).items():
            if cell.runs[0].trace is not None:
                shared.setdefault((cell.runs[0].digest or label, _share(cell)), []).append(label)
        panels = []
        for labels in shared.values():
            cell = self.cells[chosen.name, labels[0]]
            remark = ", in bursts" if cell.remark(chosen) else ""
            trace = cell.runs[0].trace
            assert trace is not None
            panels.append(trace.panel(_panel_title(labels, f"{_share(cell)}{remark}")))
        title = f"{chosen.name}: {chosen.summary}" if chosen.summary else chosen.name
        return title, panels, plots.Frame(*frame(chosen))

    def plot_late(self, throttle: str) -> list[Figure]:
        """The rate over time of one throttle under each late policy: a figure for each group of
        variants.
        """
        from tpssim.output import plots

        return [plots.rate_figure(*picture) for picture in self.late_pictures(throttle).values()]

    def late_pictures(self, throttle: str) -> dict[str, tuple[str, list[Panel], Frame]]:
        """What `plots.rate_figure` needs for those, by the scenario that they are variants of."""
        from tpssim.output import plots

        pictures = {}
        for group in self.late_variants():
            panels = []
            for scenario in group:
                cell = self.cells[scenario.name, throttle]
                trace = cell.runs[0].trace
                assert trace is not None
                storm = _storm(cell, scenario)
                title = f"{scenario.late}: {storm:.2g} x the target in the busiest 0.1 s"
                panels.append(trace.panel(title))
            base = base_of(group[0])
            title = f"{base}, {throttle}: what becomes of missed slots"
            pictures[base] = title, panels, plots.Frame(*frame(group[0]))
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
                name: self._listed_scenario(scenario, variants.get(name, ""))
                for name, scenario in self.scenarios.items()
            },
            twins=[pair.part() for pair in self.twins()],
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
            for metric in METRICS:
                value = cell.estimate(metric)
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

    def _about(self, scenario: Scenario) -> str:
        """What is above its table."""
        wanted = (
            f"wanted {scenario.target:g}/s for {scenario.duration:g} s, {self.replications}"
            " replications"
        )
        return f"{scenario.name}: {wanted}" + (f"\n{scenario.summary}" if scenario.summary else "")

    def _scenario_table(self, scenario: Scenario) -> Table:
        last = SHARED if len(scenario.producers) > 1 else ALONE
        rows: list[list[Value]] = [
            [
                label,
                format.verdict(*cell.verdict(), len(cell.runs))
                + ("*" if cell.remark(scenario) else ""),
                cell.estimate("achieved"),
                _steady(cell),
                *(cell.estimate(name) for name in (*MEASURES, *last)),
            ]
            for label, cell in self.of(scenario.name).items()
        ]
        shown = [*FIRST, *MEASURES.values(), *last.values()]
        return Table(self._about(scenario), shown, rows, self._remarks(scenario))

    def _remarks(self, scenario: Scenario) -> list[Note]:
        """A line for each different remark beside a verdict, with the throttles that it is of."""
        found: dict[str, list[str]] = {}
        for label, cell in self.of(scenario.name).items():
            if remark := cell.remark(scenario):
                found.setdefault(remark, []).append(label)
        return [("*", f"{', '.join(labels)}: {remark}") for remark, labels in found.items()]

    def _late_table(self, variants: Sequence[Scenario]) -> Table:
        rows: list[list[Value]] = []
        for label in self.of(variants[0].name):
            for scenario in variants:
                cell = self.cells[scenario.name, label]
                counts = [cell.estimate(name) for name in COUNTS]
                rows.append(
                    [
                        label,
                        str(scenario.late),
                        cell.estimate("achieved"),
                        _storm(cell, scenario),
                        *counts,
                        cell.estimate("response_p99"),
                    ]
                )
        shown = [
            Column("throttle", left=True),
            Column("late", left=True),
            COLUMNS["achieved"],
            Column("storm", "x", digits=1),
            *COUNTS.values(),
            COLUMNS["response_p99"],
        ]
        return Table(_about_late(variants), shown, rows)

    def _listed_scenario(self, scenario: Scenario, variant_of: str) -> parts.ScenarioPart:
        return {
            "summary": scenario.summary,
            "target": scenario.target,
            "duration": scenario.duration,
            "consumer": _json(scenario.consumer),
            "backend": _json(scenario.backend),
            "timeout": plain(scenario.timeout),
            "retry": _json(scenario.retry),
            "late": str(scenario.late),
            "variant_of": variant_of,
            "poisson": scenario.poisson,
            "producers": [_json(producer) for producer in scenario.producers],
            "disturbances": [_json(disturbance) for disturbance in scenario.disturbances],
            "tick": scenario.tick,
            "grid": scenario.grid,
            "service": _json(scenario.service),
            "timer": scenario.timer._asdict(),
            "spin_threshold": scenario.spin_threshold,
            "throttles": {
                label: _cell_part(cell, scenario) for label, cell in self.of(scenario.name).items()
            },
        }


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


def _about_late(variants: Sequence[Scenario]) -> str:
    """What is above the table of late policies."""
    storm = "storm: releases in the busiest 0.1 s, as a multiple of the wanted rate"
    return f"{base_of(variants[0])}: what becomes of missed slots\n{storm}"


def _storm(cell: Cell, scenario: Scenario) -> float:
    """Releases in the busiest 0.1 s as a multiple of the wanted rate."""
    return (cell.estimate("burst_100ms").mean or 0.0) / (
        0.1 * scenario.target * len(scenario.producers)
    )


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


def _steady(cell: Cell) -> str:
    """Share of the achievable in the steady window of each long phase, in %; the extremes of
    many.
    """
    return format.shares([row["steady_share"]["mean"] for row in cell.phase_estimates()])


def _json(record: Any) -> dict[str, Any]:
    """A record of numbers by name; inf, which JSON does not have, becomes null; a recording its
    mean.
    """
    found: dict[str, Any] = {"kind": type(record).__name__}
    for name, value in record._asdict().items():
        if isinstance(value, float | int):
            found[name] = plain(float(value))
        elif isinstance(value, str):
            found[name] = value
        elif hasattr(value, "_asdict"):
            found[name] = _json(value)
    return found | ({"mean": record.mean} if hasattr(record, "mean") else {})


def _cell_part(cell: Cell, scenario: Scenario) -> parts.Cell:
    word, share = cell.verdict()
    return {
        "controller": cell.controller,
        "parameters": dict(cell.parameters),
        "verdict": {
            "word": word,
            "share": share,
            "reason": cell.reason(),
            "remark": cell.remark(scenario),
            "replications": [run.verdict.word for run in cell.runs],
        },
        "calls": [run.calls for run in cell.runs],
        "metrics": {name: interval(cell.estimate(name)) for name in METRICS},
        "phases": cell.phase_estimates(),
    }
