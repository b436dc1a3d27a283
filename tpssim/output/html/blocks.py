"""What a page holds, as plain records: a template of the same name writes each kind of block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from tpssim.core.types import record
from tpssim.output.spans import Text
from tpssim.output.tables import Table


@record
class Sortable(NamedTuple):
    """A table that a click on a column's name sorts, inside a box that scrolls; its title is what a
    screen reader says.
    """

    table: Table
    kind: str = ""


@record
class Paragraph(NamedTuple):
    text: Text
    second: Text = ""  #: in a line of its own


@record
class Items(NamedTuple):
    """A list."""

    items: Sequence[Text]
    kind: str = ""


@record
class Facts(NamedTuple):
    """Names and what they are, in two columns."""

    pairs: Sequence[tuple[Text, Text]]
    kind: str = ""


@record
class Heading(NamedTuple):
    text: str


@record
class Command(NamedTuple):
    """What may be pasted: a line, or several in one piece."""

    text: str


@record
class Figure(NamedTuple):
    """A drawing with its caption."""

    drawn: str  #: SVG, or an image: the only markup that a template takes as it is
    caption: Text
    kind: str = ""


@record
class Figures(NamedTuple):
    figures: Sequence[Figure]
    kind: str


@record
class Key(NamedTuple):
    """A line of a legend."""

    name: str
    colour: str
    style: str


@record
class Legend(NamedTuple):
    """What the lines of the drawings below it are."""

    keys: Sequence[Key]


@record
class Folded(NamedTuple):
    """What is there on demand; on paper it is open."""

    title: str
    blocks: Sequence[Block]
    kind: str = ""


Block: TypeAlias = (
    "Sortable | Paragraph | Items | Facts | Heading | Command | Figure | Figures | Legend | Folded"
)


@record
class Section(NamedTuple):
    """A part of the page, to which its name leads."""

    title: str
    blocks: Sequence[Block]
