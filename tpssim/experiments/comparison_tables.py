"""The tables of a comparison: one a scenario, and one for each group of late policies."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tpssim.experiments.cells import Cell, storm
from tpssim.output import format
from tpssim.output.columns import COLUMNS, columns
from tpssim.output.tables import Column, Note, Table, Value
from tpssim.scenarios.load import shown_target
from tpssim.scenarios.scenario import Scenario, base_of

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


#: How the name of a service ends that was drawn from the intervals of a fit.
DRAWN = re.compile(r" draw \d+$")


def scenario_table(scenario: Scenario, cells: Mapping[str, Cell], replications: int) -> Table:
    """What each throttle did on one scenario."""
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
        for label, cell in cells.items()
    ]
    shown = [*FIRST, *MEASURES.values(), *last.values()]
    return Table(_about(scenario, replications), shown, rows, _remarks(scenario, cells))


def _about(scenario: Scenario, replications: int) -> str:
    """What is above its table."""
    runs = format.count(replications, "replication")
    wanted = f"wanted {shown_target(scenario)} for {scenario.duration:g} s, {runs}"
    return f"{scenario.name}: {wanted}" + (f"\n{scenario.summary}" if scenario.summary else "")


def _steady(cell: Cell) -> str:
    """Share of the achievable in the steady window of each long phase, in %; the extremes of
    many.
    """
    return format.shares([row["steady_share"]["mean"] for row in cell.phase_estimates()])


def _remarks(scenario: Scenario, cells: Mapping[str, Cell]) -> list[Note]:
    """A line for each different remark beside a verdict, with the throttles that it is of."""
    found: dict[str, list[str]] = {}
    for label, cell in cells.items():
        if remark := cell.remark(scenario):
            found.setdefault(remark, []).append(label)
    return [("*", f"{', '.join(labels)}: {remark}") for remark, labels in found.items()]


def late_table(
    variants: Sequence[Scenario], throttles: Sequence[str], cells: Mapping[tuple[str, str], Cell]
) -> Table:
    """What becomes of missed slots under each late policy."""
    rows: list[list[Value]] = []
    for label in throttles:
        for scenario in variants:
            cell = cells[scenario.name, label]
            counts = [cell.estimate(name) for name in COUNTS]
            rows.append(
                [
                    label,
                    str(scenario.late),
                    cell.estimate("achieved"),
                    storm(cell, scenario),
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


def _about_late(variants: Sequence[Scenario]) -> str:
    """What is above the table of late policies."""
    storm = "storm: releases in the busiest 0.1 s, as a multiple of the wanted rate"
    return f"{base_of(variants[0])}: what becomes of missed slots\n{storm}"
