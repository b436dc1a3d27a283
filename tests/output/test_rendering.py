"""Whatever a template is given is text: nothing in it becomes an element or an attribute."""

from __future__ import annotations

from html.parser import HTMLParser

import jinja2
import pytest

from tpssim.output.html import blocks as b
from tpssim.output.html.cells import named, names, words
from tpssim.output.html.rendering import rendered
from tpssim.output.spans import Span
from tpssim.output.tables import Cell, Table, Value

EVIL = '"><script>alert(1)</script><i x="'


class Seen(HTMLParser):
    """The elements of a page, and the values of their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.values: list[str | None] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.names |= {name for name, _ in attrs}
        self.values += [value for _, value in attrs]


def every_block(text: str) -> list[b.Block]:
    """One of each kind, with that text wherever one may stand."""
    spans = [Span(text, kind) for kind in ("", "strong", "small", "verdict", "name")]
    figure = b.Figure("<svg></svg>", spans)
    cells: list[Value] = [named(text, text), Cell(spans, text, text), text]
    table = Table(text, [names(text, text), words(text, text), words(text)], [cells])
    blocks: list[b.Block] = [
        b.Sortable(table),
        b.Paragraph(text, spans),
        b.Items([text, spans]),
        b.Facts([(text, spans)]),
        b.Heading(text),
        b.Command(text),
        figure,
        b.Figures([figure], "wide"),
        b.Legend([b.Key(text, "var(--ink)", "solid")]),
    ]
    return [*blocks, b.Folded(text, blocks)]


def test_names_of_scenarios_and_controllers_stay_text() -> None:
    page = rendered(
        "page.html",
        verb="compare",
        heading=EVIL,
        made=EVIL,
        command=b.Command(EVIL),
        sections=[b.Section(EVIL, every_block(EVIL))],
    )
    seen = Seen(page)
    assert seen.tags.count("script") == 1, "the page's own"
    assert seen.tags.count("i") == 2, "of the two legends"
    assert "x" not in seen.names
    assert seen.values.count(EVIL) > 10, "shown on demand, as it is"


def test_each_kind_of_block_has_its_template() -> None:
    plain = rendered("blocks.html", blocks=every_block("a word"))
    for tag in ("table", "p", "ul", "dl", "h3", "pre", "figure", "details", "svg"):
        assert f"<{tag}" in plain, tag


def test_a_template_that_names_what_is_not_there_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        rendered("blocks.html")
