"""A recommendation in words and tables that people read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tpssim.output.format import number, share
from tpssim.output.tables import Column, Table, Value

if TYPE_CHECKING:
    from tpssim.output.records.recommendations import Expected, GivenUp, Ranked

#: What the numbers of a run are: in words, their unit, and its share of the unit of the number.
MEANINGS = {
    "goodput": ("goodput", "1/s", 1.0),
    "latency_p99": ("99th percentile of the latency", "ms", 1e3),
    "regain_time": ("time to regain a capacity that is back", "s", 1.0),
    "wasted": ("calls that fail or come too late", "%", 100.0),
}


def ends(found: Expected) -> str:
    """What 95 % of all runs lie between; "" where no run has the number.

    >>> ends({"name": "goodput", "unit": "1/s", "median": 97.0, "low": 95.5, "high": 99.0})
    '95.5 to 99'
    """
    if found["low"] is None:
        return ""
    scale = MEANINGS[found["name"]][2]
    high = "never" if found["high"] is None else number(scale * found["high"], 3)
    return f"{number(scale * found['low'], 3)} to {high}"


def median(found: Expected) -> str:
    """The median; "never" where most runs do not come to it, "-" where there is none."""
    if found["median"] is None:
        return "-" if found["low"] is None else "never"
    return number(MEANINGS[found["name"]][2] * found["median"], 3)


def expected_table(found: Iterable[Expected]) -> Table:
    """What to expect; numbers that no run has are left out."""
    columns = [
        Column("expect", left=True, names=True),
        Column("unit", left=True),
        Column("median"),
        Column("95 % of runs", left=True),
    ]
    rows: list[list[Value]] = [
        [*MEANINGS[each["name"]][:2], median(each), ends(each)]
        for each in found
        if each["low"] is not None
    ]
    return Table("", columns, rows, label=40)


def ranking_table(found: Iterable[Ranked]) -> Table:
    """The finalists, best first."""
    columns = [
        Column("candidate", left=True, names=True),
        Column("value", digits=3, detail="mean over the runs; 1 is the best there can be"),
        Column("behind", digits=3, detail="of the one recommended, in the same runs"),
        Column("goodput", "1/s", digits=None),
        Column("p99", "ms", digits=None),
        Column("wasted", "%", digits=1, scale=100.0),
    ]
    rows: list[list[Value]] = []
    for each in found:
        seen = each["expected"]
        took = seen["latency_p99"]["median"]
        rows.append(
            [
                each["label"],
                each["value"],
                each["behind"],
                seen["goodput"]["median"],
                None if took is None else 1e3 * took,
                seen["wasted"]["median"],
            ]
        )
    return Table("", columns, rows, label=34)


def given_up_in_words(found: GivenUp) -> str:
    """Who is better in one number, and what that costs.

    >>> given_up_in_words({"name": "latency_p99", "unit": "s", "label": "pie", "other": 0.18,
    ...                    "own": 0.31, "goodput": 0.8})
    'Given up: 99th percentile of the latency: 310 ms, with pie 180 ms at 80 % of the goodput.'
    """
    words, unit, scale = MEANINGS[found["name"]]

    def shown(value: float | None) -> str:
        return "never" if value is None else f"{number(scale * value, 3)} {unit}"

    own, other, goodput = shown(found["own"]), shown(found["other"]), found["goodput"]
    cost = f" at {share(goodput)} of the goodput" if goodput is not None else ""
    cost = "" if found["name"] == "goodput" else cost
    return f"Given up: {words}: {own}, with {found['label']} {other}{cost}."
