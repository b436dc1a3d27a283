"""A table is one record of data, written as text and in HTML by nobody else."""

from __future__ import annotations

import re

from tpssim.core.statistics import Estimate
from tpssim.output.html.notebook import shown
from tpssim.output.tables import Column, Table, Value

COLUMNS = [
    Column("law", left=True),
    Column("achi\xad\neved", "%", digits=1, scale=100.0, spread=True),
    Column("p99", "s", digits=2),
    Column("unit", left=True),
]
ROWS: list[list[Value]] = [
    ["<b>fixed", Estimate(0.941, 0.931, 0.951, 5, 0), 0.5, "s"],
    ["aimd", Estimate(None, None, None, 0, 5), None, "ms"],
]
TABLE = Table("two & more", COLUMNS, ROWS, [("±:", "so sure, " * 12)])


def test_cells_are_data_and_columns_say_how_they_are_written() -> None:
    assert TABLE.text().splitlines() == [
        "two & more",
        "              achi-   p99",
        "law          eved %     s  unit",
        "-------------------------------",
        "<b>fixed  94.1 ±1.0  0.50  s",
        "aimd          never     -  ms",
        "±: so sure, so sure, so sure, so sure, so sure, so sure, so sure, so sure, so",
        "   sure, so sure, so sure, so sure,",
    ]


def test_a_notebook_shows_the_same_cells_escaped() -> None:
    html = shown([TABLE], about="one\ntwo")
    cells = re.findall(r"<td [^>]*>(.*?)</td>", html)
    assert cells == ["&lt;b&gt;fixed", "94.1 ±1.0", "0.50", "s", "aimd", "never", "-", "ms"]
    heads = re.findall(r"<th [^>]*>(.*?)</th>", html)
    assert heads == ["law", "achieved %", "p99 s", "unit"]
    assert "<b>" not in html
    assert "two &amp; more" in html
    assert "one<br>two" in html


def test_a_label_may_be_as_long_as_its_table_says() -> None:
    rows: list[list[Value]] = [["a quantity with a long name", 1.0]]
    columns = [Column("what", left=True), Column("n")]
    assert len(Table("", columns, rows).text().splitlines()) == 4, "a line of its own"
    assert len(Table("", columns, rows, label=40).text().splitlines()) == 3
