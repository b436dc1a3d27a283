"""On which line of a TOML file each of its values stands, which `tomllib` does not say."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

#: Where a value is: names, and numbers from 0 in a list of tables.
Place = tuple[str | int, ...]
#: One of these ends a value of several lines.
ENDS = ("]", "}", '"""', "'''")


def statements(text: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Headers and assignments of a file that can be read: the line on which each begins, counted
    from 1, its text, and what `tomllib` makes of it alone. Without empty lines and comments.

    >>> for line, text, found in statements("# mine\\na = [\\n  1,\\n]\\n[b]\\n"):
    ...     print(line, found)
    2 {'a': [1]}
    5 {'b': {}}
    """
    begun, lines = 0, list[str]()
    for number, line in enumerate(text.split("\n"), 1):
        begun = begun if lines else number
        lines.append(line)
        if len(lines) > 1 and not any(end in line for end in ENDS):
            continue
        statement = "\n".join(lines)
        try:
            found = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue  # it goes on
        if found:
            yield begun, statement, found
        lines = []


def lines_of(text: str) -> dict[Place, int]:
    """The line of each table and value of a file that can be read, by its place.

    >>> lines_of("a.b = 1\\n[[c]]\\n[[c]]\\nd = {e = 2}\\n")
    {('a',): 1, ('a', 'b'): 1, ('c', 0): 2, ('c',): 2, ('c', 1): 3, ('c', 1, 'd'): 4, \
('c', 1, 'd', 'e'): 4}
    """
    found: dict[Place, int] = {}
    counts: dict[Place, int] = {}
    table: Place = ()
    for line, statement, tree in statements(text):
        if not statement.lstrip().startswith("["):
            for place in _places(tree):
                found.setdefault(table + place, line)
            continue
        table = ()
        while tree:
            ((name, below),) = tree.items()
            table = (*table, name)
            if below == [{}]:
                counts[table] = counts.get(table, 0) + 1
                below = {}
            if table in counts:
                found.setdefault((*table, counts[table] - 1), line)
                found.setdefault(table, line)
                table = (*table, counts[table] - 1)
            tree = below
        found.setdefault(table, line)
    return found


def _places(tree: dict[str, Any]) -> Iterator[Place]:
    """Each name in an assignment, and those in it."""
    for name, value in tree.items():
        yield (name,)
        if isinstance(value, dict):
            yield from ((name, *place) for place in _places(value))
        elif isinstance(value, list):
            for number, entry in enumerate(value):
                if isinstance(entry, dict):
                    yield from ((name, number, *place) for place in [(), *_places(entry)])


def line_at(lines: dict[Place, int], place: Place) -> int:
    """The line of a value, or of the table in which it would stand; 0 if it would be at the top."""
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, 0)
