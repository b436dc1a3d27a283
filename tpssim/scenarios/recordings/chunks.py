"""Calls as a parser hands them on: some thousand at a time, in columns, in any order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from tpssim.core.types import record
from tpssim.scenarios.recordings.csv_files import BATCH, Lost
from tpssim.scenarios.recordings.texts import Text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ItemT = TypeVar("ItemT")


@record
class Chunk(NamedTuple):
    """Some calls of a file. Times are whole nanoseconds since 1970, or seconds of a clock of the
    file's own; `NEVER` or nan stands for none.
    """

    lines: Sequence[int]  #: where each of them stands in the file
    start: NDArray[Any]
    completion: NDArray[Any]
    outcome: NDArray[np.int8]
    cost: NDArray[np.float64] | None = None
    retry_after: NDArray[np.float64] | None = None
    name: Sequence[str] | None = None
    #: step of the stamps, s, where the starts do not show it: they were computed from others
    resolution: float = 0.0
    notes: tuple[str, ...] = ()  #: what was found out while it was read
    origin: float = math.nan  #: Unix time of 0 of the file's own clock, s


@record
class Format(NamedTuple):
    """A format: how it is recognised, how it is read, what it cannot say."""

    name: str
    recognised: Callable[[Text], bool]
    chunks: Callable[[Text, Lost], Iterator[Chunk]]
    notes: tuple[str, ...] = ()  #: one sentence each


def batches(items: Iterable[ItemT]) -> Iterator[list[ItemT]]:
    """Some thousand items at a time."""
    items = iter(items)
    while batch := list(islice(items, BATCH)):
        yield batch
