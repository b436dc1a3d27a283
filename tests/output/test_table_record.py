"""A table is one record of data, written as text and in HTML by nobody else."""

from __future__ import annotations

import re

from tpssim.core.statistics import Estimate
from tpssim.output.html.blocks import Sortable
from tpssim.output.html.notebook import shown
from tpssim.output.html.rendering import rendered
from tpssim.output.spans import Span
from tpssim.output.tables import Cell, Column, Table, Value

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


def test_a_page_sorts_and_explains_what_a_terminal_writes_plainly() -> None:
    columns = [
        Column("law", left=True, names=True),
        Column("achi\xad\neved", "%", digits=1, scale=100.0, detail="share of the target"),
        Column("verdict", left=True),
    ]
    word = Cell([Span("stuck", "verdict"), Span(" "), Span("4/5", "small")], -2.0, "settled low")
    rows: list[list[Value]] = [
        ["ewma-dead", Estimate(0.941, 0.931, 0.951, 5, 0), word],
        ["aimd", Estimate(None, None, None, 0, 5), None],
    ]
    table = Table("two laws", columns, rows)
    assert [[*row] for row in table.written()] == [
        ["ewma-dead", "94.1", "stuck 4/5"],
        ["aimd", "never", "-"],
    ]
    page = rendered("blocks.html", blocks=[Sortable(table, "tall")])
    assert '<div class="scroll tall" role="region" aria-label="two laws" tabindex="0">' in page
    assert re.findall(r"<th scope=\"col\"(.*?)><button type=\"button\">(.*?)<", page) == [
        (" class=left", "law"),
        (' title="share of the target"', "achieved %"),
        (" class=left", "verdict"),
    ]
    body = page.partition("<tbody>")[2]
    cells = r"<t[hd](?: scope=\"row\")?((?: class=left)?(?: data-key.*?)?)>"
    assert re.findall(cells, body) == [
        ' class=left data-key="ewma-dead"',
        ' data-key="0.941"',
        ' class=left data-key="-2.0" title="settled low"',
        ' class=left data-key="aimd"',
        ' data-key="inf"',
        " class=left",
    ]
    assert "94.1 <small>±1.0</small>" in page


def test_numbers_may_have_as_many_digits_as_each_needs() -> None:
    column = Column("n", digits=None, scale=1e3)
    values: list[Value] = [1.0, 0.00012347, None, Estimate(0.5, 0.25, 0.75, 5, 0)]
    assert [column.write(value) for value in values] == ["1,000", "0.1235", "-", "500"]
    assert column._replace(scale=1.0, spread=True).write(values[-1]) == "0.500 ±0.250"
