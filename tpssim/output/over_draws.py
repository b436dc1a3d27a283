"""What comes out over services drawn from what a fit leaves open, as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tpssim.output.columns import columns
from tpssim.output.records.parts import OverDraws
from tpssim.output.tables import Column, Table, Value

SHOWN = columns("achieved", "swing", "response_p99")


def draws_table(
    what: str, names: Sequence[Column], found: Iterable[tuple[Sequence[Value], OverDraws]]
) -> Table:
    """A row for each throttle or point, which `names` name: from the least to the most of the means
    on the drawn services, and to which verdicts so many of them came.
    """
    heads = [*names, *(Column(each.title(), left=True) for each in SHOWN.values())]
    heads.append(Column("verdicts", left=True))
    rows: list[list[Value]] = []
    draws = 0
    for named, over in found:
        draws = over["draws"]
        rows.append([*named, *(_ends(over, name) for name in SHOWN), _verdicts(over)])
    title = f"{what}: from the least to the most of {draws} services that may have been it"
    return Table(title, heads, rows)


def _ends(over: OverDraws, name: str) -> str:
    column = SHOWN[name]._replace(spread=False)
    ends = over["measures"][name]
    return " to ".join(column.write(end) for end in (ends["least"], ends["most"]))


def _verdicts(over: OverDraws) -> str:
    """The two most frequent; of more than two the first, and how many others (80 columns)."""
    counts = list(over["verdicts"].items())
    if len(counts) > 2:
        counts = [counts[0], ("another", sum(count for _, count in counts[1:]))]
    return ", ".join(f"{word} {count}" for word, count in counts)
