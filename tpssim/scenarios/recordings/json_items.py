"""Objects out of JSON of any size, one at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from tpssim.scenarios.recordings.csv_files import Lost

LARGEST = 1 << 26  # characters of one object
_NEXT = re.compile(r"[\s,]*")


def items(blocks: Iterable[str], key: str, lost: Lost) -> Iterator[tuple[int, Any]]:
    """The items of every array that is the value of a key, wherever it stands, numbered from 1.

    One that is cut off at the end is counted among those that are lost. Raises `ValueError` for
    what is no JSON.

    >>> text = ['{"spans": [{"a": 1}, {"a"', ': 2}], "more": [{"spans": [{"a": 3}, {"a"']
    >>> lost = Lost()
    >>> list(items(text, "spans", lost))
    [(1, {'a': 1}), (2, {'a': 2}), (3, {'a': 3})]
    >>> lost.count, lost.first
    (1, 'row 4: the file is cut off in it')
    """
    opening = re.compile(rf'"{key}"\s*:\s*\[')
    decoder = json.JSONDecoder()
    pieces = iter(blocks)
    text, at, inside = next(pieces, ""), 0, False
    wanted = 0  # characters before another try is worth it
    number = 0
    while True:
        more = True
        if not inside:
            found = opening.search(text, at)
            if found:
                at, inside, more = found.end(), True, False
            else:
                text, at = text[max(at, len(text) - len(key) - 64) :], 0
        elif len(text) - at >= wanted:
            at = _end(text, at)
            if text[at : at + 1] == "]":
                inside, more = False, False
            elif at < len(text):
                try:
                    item, at = decoder.raw_decode(text, at)
                except json.JSONDecodeError:
                    wanted = 2 * (len(text) - at)
                    if wanted > LARGEST:
                        raise
                else:
                    wanted, more = 0, False
                    number += 1
                    yield number, item
        if more:
            piece = next(pieces, "")
            if not piece:
                if inside and _end(text, at) < len(text):
                    lost.rows += 1
                    lost.add(number + 1, "the file is cut off in it")
                return
            text, at = text[at:] + piece, 0


def _end(text: str, at: int) -> int:
    """Behind the spaces and commas before an item."""
    found = _NEXT.match(text, at)
    return found.end() if found else at
