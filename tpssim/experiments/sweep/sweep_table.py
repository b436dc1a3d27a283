"""The table of a sweep."""

from __future__ import annotations

from collections.abc import Sequence

from tpssim.core.statistics import assumption
from tpssim.experiments.sweep.rows import Row
from tpssim.output import format, tables
from tpssim.output.columns import columns
from tpssim.output.over_draws import draws_table
from tpssim.output.records.parts import OverDraws
from tpssim.output.tables import Column, Table, Value
from tpssim.output.verdict_words import GROWING, merit

#: Columns of the table, by measure.
SHOWN = columns("achieved", "swing", "recovery_time", "response_p99", "lateness_p99", "spin_cpu")
LUCK = (
    "the best of several had luck, and the same seed meets the same runs: compare with another"
    " --seed\n"
)


def sweep_table(
    every: Sequence[Row], names: Sequence[str], replications: int, most: int, best: int
) -> Table:
    """Every point, or of more than `most` the `best` (`verdict_words.merit`)."""
    rows, about = every, ""
    if len(rows) > most:
        rows = sorted(rows, key=_merit)[:best]
        about = f"the {best} best of {len(every)} points, by verdict, its share and achieved share"
        if any(row.verdict()[0] in GROWING for row in rows):
            about += f" ({', '.join(GROWING)}: by p99)"
        about += "\n"
    if len(every) > 1:
        about += LUCK
    shown = [
        *(Column(name, left=True) for name in names),
        Column("verdict", left=True),
        *SHOWN.values(),
    ]
    lines: list[list[Value]] = [
        [
            *levels(row),
            format.verdict(*row.verdict(), replications),
            *(row.estimate(name) for name in SHOWN),
        ]
        for row in rows
    ]
    split = any(row.verdict()[1] < 1.0 for row in every)
    notes = [tables.split_note(replications)] if split else []
    return Table(about, shown, lines, [*notes, ("±:", assumption(replications))])


def drawn_table(
    scenario: str, every: Sequence[Row], names: Sequence[str], over: Sequence[OverDraws]
) -> Table:
    """What the points come to on the services that were drawn from what a fit leaves open."""
    heads = [Column(name, left=True) for name in names]
    return draws_table(scenario, heads, zip(map(levels, every), over, strict=True))


def levels(row: Row) -> list[Value]:
    """The values of the factors at a point."""
    return [value if isinstance(value, str) else format.number(value) for value in row.point]


def _merit(row: Row) -> tuple[float, float, float]:
    return merit(*row.verdict(), row.estimate("achieved").mean, row.estimate("response_p99").mean)
