"""Tables as an element of a notebook, in whatever colours it has."""

from __future__ import annotations

from collections.abc import Sequence

from tpssim.output.html.rendering import rendered
from tpssim.output.tables import Note, Table


def shown(tables: Sequence[Table], notes: Sequence[Note] = (), about: str = "") -> str:
    """Each table under its title, its notes below it; `about` above them all, `notes` below.

    >>> from tpssim.output.tables import Column
    >>> html = shown([Table("few", [Column("law", left=True), Column("n")], [["a<b", 2.0]])])
    >>> "<caption" in html, "a&lt;b" in html
    (True, True)
    """
    return rendered("notebook.html", tables=tables, notes=notes, about=about)
